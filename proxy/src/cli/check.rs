//! `viaduct check`

use std::path::PathBuf;

use clap::Args;
use viaduct_ng::flags::{ModuleFlags, print};
use viaduct_routing::media::{Endpoint, IceRole, MediaConfig, Party, Policy, Profile};
use viaduct_routing::{Flag, Flags};
use viaduct_settings::{Diagnostics, GatewaySettings, IceMode, MediaPolicy};

use super::{Outcome, complain, say};
use crate::{config_file, convert};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let loaded = config_file::load(&args.file)?;
    let (diagnostics, policy) = match &loaded {
        Ok(loaded) => (&loaded.warnings, explain_policy(&loaded.settings)),
        Err(diagnostics) => (diagnostics, Vec::new()),
    };
    if args.json {
        let report = serde_json::json!({ "diagnostics": diagnostics.to_json(), "media_policy": policy });
        say(&serde_json::to_string_pretty(&report)?);
    } else {
        print_text(&args.file, diagnostics, &policy);
    }
    Ok(if loaded.is_ok() {
        Outcome::Good
    } else {
        Outcome::Failed
    })
}

fn print_text(file: &std::path::Path, diagnostics: &Diagnostics, policy: &[String]) {
    if !diagnostics.is_empty() {
        complain(&diagnostics.to_string());
    }
    for line in policy {
        say(line);
    }
    let verdict = if diagnostics.is_empty() {
        "good".to_owned()
    } else {
        diagnostics.summary()
    };
    let verdict = format!("{}: {verdict}", file.display());
    if diagnostics.errors() == 0 {
        say(&verdict);
    } else {
        complain(&verdict);
    }
}

/// Each row of the media policy table as it will be sent, with what was added for its reader and why.
fn explain_policy(settings: &GatewaySettings) -> Vec<String> {
    let MediaPolicy::Table(table) = &settings.media_policy else {
        return Vec::new();
    };
    let ice = match settings.relay.media.ice {
        IceMode::Lite => IceRole::Lite,
        IceMode::Full => IceRole::Full,
    };
    let config = MediaConfig {
        policy: Policy::Table(Box::new(convert::media_table(table))),
        ice,
        ..MediaConfig::default()
    };
    let (web, phone) = (Endpoint::new(Profile::Web), Endpoint::new(Profile::Phone));
    let given = [
        ("ws-to-ws", table.ws_to_ws.is_some(), true, true),
        ("ws-to-phone", table.ws_to_phone.is_some(), true, false),
        ("phone-to-ws", table.phone_to_ws.is_some(), false, true),
        ("phone-to-phone", table.phone_to_phone.is_some(), false, false),
    ];
    let mut lines = Vec::new();
    for (name, is_given, from_ws, to_ws) in given {
        if !is_given {
            continue;
        }
        let flags = Flags::NONE.with(Flag::SrcWs, from_ws).with(Flag::DstWs, to_ws);
        let kind = |ws: bool| if ws { &web } else { &phone };
        for (half, reader) in [("offer", Party::Callee), ("answer", Party::Caller)] {
            let (options, additions) = config.explain(kind(from_ws), kind(to_ws), flags, reader);
            lines.push(format!(
                "media_policy.{name}.{half}: {}",
                print(&ModuleFlags::from(options))
            ));
            lines.extend(additions.iter().map(|addition| format!("    added {addition}")));
        }
    }
    lines
}
