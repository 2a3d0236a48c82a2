//! `viaduct calls` and `viaduct hangup`

use clap::Args;
use viaduct_routing::{CallState, CallView, EndView};

use super::Outcome;
use super::ask::{Answer, AskArgs};
use super::table::{duration, lay_out};

/// Which call.
#[derive(Debug, Args)]
pub(super) struct HangupArgs {
    /// The number that `viaduct calls` shows.
    call: u64,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn run(args: &AskArgs) -> anyhow::Result<Outcome> {
    args.show("/calls", |all: Vec<CallView>| {
        if all.is_empty() {
            return "there is no call".to_owned();
        }
        let rows: Vec<Vec<String>> = all.iter().map(row).collect();
        lay_out(
            &["call", "from", "to", "state", "for", "caller", "callee", "flags"],
            &rows,
        )
    })
}

pub(super) fn hang_up(args: &HangupArgs) -> anyhow::Result<Outcome> {
    match args
        .ask
        .ask(http::Method::POST, &format!("/calls/{}/hangup", args.call))?
    {
        Answer::Body(_) => Ok(Outcome::Good),
        Answer::Over(outcome) => Ok(outcome),
    }
}

fn row(call: &CallView) -> Vec<String> {
    let end = |end: &EndView| format!("{} {}", end.profile.as_str(), end.flow);
    let flags: Vec<&str> = call.flags.iter().map(viaduct_routing::Flag::as_str).collect();
    let callees: Vec<String> = call.callees.iter().map(end).collect();
    vec![
        call.call.0.to_string(),
        call.caller.user.clone().unwrap_or_else(|| call.from.clone()),
        call.to.clone(),
        match call.state {
            CallState::Ringing => "ringing",
            CallState::Answered => "answered",
            CallState::Ending => "ending",
        }
        .to_owned(),
        duration(call.talked_s.unwrap_or(call.age_s)),
        end(&call.caller),
        callees.join(", "),
        flags.join(" "),
    ]
}
