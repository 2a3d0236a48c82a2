//! `viaduct route`: where a number goes, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use viaduct_trunk::Caller;

use super::ask::AskArgs;
use super::{Outcome, complain, say};
use crate::status::{RouteView, caller};
use crate::{config_file, convert};

/// Which call.
#[derive(Debug, Args)]
pub(super) struct RouteArgs {
    /// What is dialled.
    number: String,
    /// Who calls: a user, or `trunk:NAME`.
    #[arg(long, value_name = "WHO")]
    from: String,
    /// Ask this configuration file in place of a running gateway.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn run(args: &RouteArgs) -> anyhow::Result<Outcome> {
    match &args.config {
        Some(file) => offline(args, file),
        None => {
            let query: String = form(&[("number", &args.number), ("from", &args.from)]);
            args.ask
                .show(&format!("/route?{query}"), |view: RouteView| view.to_string())
        }
    }
}

/// Reads the file and decides as a gateway with it would.
fn offline(args: &RouteArgs, file: &Path) -> anyhow::Result<Outcome> {
    let settings = match config_file::load(file)? {
        Ok(loaded) => loaded.settings,
        Err(diagnostics) => {
            complain(&diagnostics.to_string());
            return Ok(Outcome::Failed);
        }
    };
    let caller = caller(&args.from);
    let is_known = match caller {
        Caller::User(user) => settings.users.contains_key(user) || settings.user_source.is_some(),
        Caller::Trunk(trunk) => settings.trunks.iter().any(|known| known.name == trunk),
    };
    if !is_known {
        bail!("{} has no {caller}", file.display());
    }
    let explanation = convert::trunks::routes(&settings).explain(
        &convert::trunks::numbers(&settings),
        &args.number,
        caller,
    );
    let view = RouteView {
        explanation: explanation.to_string(),
        decision: serde_json::to_value(&explanation)?,
        asks_hook: settings.hook.is_some(),
        trunks: Vec::new(),
        passed_over: BTreeMap::new(),
    };
    if args.ask.json {
        say(&serde_json::to_string_pretty(&view)?);
    } else {
        say(&view.to_string());
    }
    Ok(Outcome::Good)
}

/// Pairs as the query of a URL.
fn form(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let octets = text.bytes().map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        });
        octets.collect()
    };
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reaches_the_gateway_as_it_was_typed() {
        assert_eq!(
            form(&[("number", "+49 *#ä"), ("from", "a")]),
            "number=%2B49%20%2A%23%C3%A4&from=a"
        );
    }
}
