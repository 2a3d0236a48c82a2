//! `viaduct reload` and `viaduct diff`

use std::path::PathBuf;

use clap::Args;

use super::ask::{Answer, AskArgs};
use super::{Outcome, complain, say};
use crate::control::{self, RELOAD_MAX};
use crate::live::Report;

/// Which gateway reloads.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    ask: AskArgs,
}

/// What to compare with what runs.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The configuration file. The gateway reads it itself, with its own environment.
    file: PathBuf,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn reload(args: &ReloadArgs) -> anyhow::Result<Outcome> {
    show(&args.ask, http::Method::POST, "/reload", "applied")
}

pub(super) fn diff(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let file = std::path::absolute(&args.file)?;
    show(
        &args.ask,
        http::Method::GET,
        &control::diff_path(&file),
        "would be applied",
    )
}

/// Asks for a report and prints it. A file with mistakes is a failure.
fn show(ask: &AskArgs, method: http::Method, path: &str, verb: &str) -> anyhow::Result<Outcome> {
    let body = match ask.ask_patiently(method, path, RELOAD_MAX)? {
        Answer::Body(body) => body,
        Answer::Over(outcome) => return Ok(outcome),
    };
    let report: Report = serde_json::from_slice(&body)?;
    if ask.json {
        say(&serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, verb);
    }
    Ok(match report.mistakes {
        None => Outcome::Good,
        Some(_) => Outcome::Failed,
    })
}

fn print(report: &Report, verb: &str) {
    if let Some(mistakes) = &report.mistakes {
        complain(mistakes);
        return complain("Nothing was changed; the running configuration stays.");
    }
    if !report.warnings.is_empty() {
        complain(&report.warnings);
    }
    say(&report.text(verb));
}
