//! `viaduct-kmod`: says in plain words what this kernel and these capabilities allow the media fast path.
//!
//! It only looks: it loads nothing, changes nothing and is never needed for a call. The relay forwards media in user
//! space, and what is found here is what a fast path in the kernel would have to work with.

mod facts;
mod findings;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use facts::Facts;
use findings::{Findings, Standing};

/// Says what this kernel allows the media fast path.
#[derive(Parser)]
#[command(name = "viaduct-kmod", version, about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Look at the kernel, the capabilities of this process and the limits that matter, and say what each
    /// missing piece costs. Exit status: 0 everything is there, 1 something is missing, 2 wrong usage.
    Check {
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            // A closed pipe (`viaduct-kmod check | head -1`) lands here too; there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "viaduct-kmod: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Verb::Check { json } = &args.verb;
    let findings = Findings::from_facts(&Facts::gather());
    let text = if *json {
        serde_json::to_string_pretty(&findings).context("printing the findings as JSON")?
    } else {
        findings.to_string()
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("writing to standard output")?;
    Ok(match findings.standing() {
        Standing::Ready => ExitCode::SUCCESS,
        Standing::Missing => ExitCode::FAILURE,
    })
}
