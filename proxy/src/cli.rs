//! The command line: one file a verb.

mod ask;
mod calls;
mod check;
mod demo;
mod drain;
mod live;
mod passwords;
mod registrations;
mod route;
mod run;
mod status;
mod table;
mod trunks;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use viaduct_mediarelay::take_short_turns;

/// A SIP proxy, registrar and WebRTC gateway: browsers and phones call each other.
#[derive(Debug, Parser)]
#[command(name = "viaduct", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start everything in one process, with users made up here and no file to write.
    Demo(demo::DemoArgs),
    /// Start the gateway that a configuration file describes.
    Run(run::RunArgs),
    /// Find every mistake of a configuration file. Exit status: 0 none, 1 some.
    Check(check::CheckArgs),
    /// What a running gateway is like, on one screen.
    Status(ask::AskArgs),
    /// Who is registered, from where, over what.
    Registrations(ask::AskArgs),
    /// The calls there are.
    Calls(ask::AskArgs),
    /// The trunks: how they are, and what has become of calls.
    Trunks(ask::AskArgs),
    /// Where a number goes, and why. Asks a running gateway, or a configuration file.
    Route(route::RouteArgs),
    /// End a call.
    Hangup(calls::HangupArgs),
    /// Read the configuration file again and apply what has changed, without ending a call or a connection.
    Reload(live::ReloadArgs),
    /// What a reload of this file would change, without changing it.
    Diff(live::DiffArgs),
    /// Finish the calls there are and refuse others.
    Drain(drain::DrainArgs),
    /// End a running gateway.
    Stop(ask::AskArgs),
}

/// What a command comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well: 0.
    Good,
    /// It failed, or what was asked about is not well: 1.
    Failed,
    /// The gateway cannot be reached: 3. (2 is wrong usage, which the argument parser says.)
    Unreachable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Unreachable => Self::from(3),
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.verb {
        Verb::Demo(args) => demo::run(args),
        Verb::Run(args) => run::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Status(args) => status::run(args),
        Verb::Registrations(args) => registrations::run(args),
        Verb::Calls(args) => calls::run(args),
        Verb::Trunks(args) => trunks::run(args),
        Verb::Route(args) => route::run(args),
        Verb::Hangup(args) => calls::hang_up(args),
        Verb::Reload(args) => live::reload(args),
        Verb::Diff(args) => live::diff(args),
        Verb::Drain(args) => drain::run(args),
        Verb::Stop(args) => ask::stop(args),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            complain(&format!("viaduct: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output. A closed pipe (`viaduct calls | head -1`) is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The runtime of commands that serve. All their threads begin after it.
fn serving_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    take_short_turns();
    Ok(tokio::runtime::Builder::new_multi_thread()
        .thread_name("net")
        .enable_all()
        .build()?)
}

/// The runtime of commands that only ask.
fn asking_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Args::command().debug_assert();
    }
}
