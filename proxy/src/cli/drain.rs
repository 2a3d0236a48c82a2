//! `viaduct drain`

use std::time::Duration;

use clap::Args;

use super::ask::{Answer, AskArgs};
use super::table::count;
use super::{Outcome, say};
use crate::control::Drained;

/// How often the calls that are left are counted.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How to drain.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Wait until no call is left, and say how many there are.
    #[arg(long)]
    wait: bool,
    /// End the gateway with its last call.
    #[arg(long)]
    stop: bool,
    /// Take calls again.
    #[arg(long, conflicts_with_all = ["wait", "stop"])]
    off: bool,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn run(args: &DrainArgs) -> anyhow::Result<Outcome> {
    let path = format!("/drain?on={}&stop={}", !args.off, args.stop);
    let first = match args.drained(http::Method::POST, &path)? {
        Ok(first) => first,
        Err(outcome) => return Ok(outcome),
    };
    args.show(first)?;
    if args.wait {
        args.wait_for_the_last(first)
    } else {
        Ok(Outcome::Good)
    }
}

impl DrainArgs {
    fn drained(&self, method: http::Method, path: &str) -> anyhow::Result<Result<Drained, Outcome>> {
        Ok(match self.ask.ask(method, path)? {
            Answer::Body(body) => Ok(serde_json::from_slice(&body)?),
            Answer::Over(outcome) => Err(outcome),
        })
    }

    fn show(&self, drained: Drained) -> anyhow::Result<()> {
        if self.ask.json {
            say(&serde_json::to_string(&drained)?);
        } else if drained.draining {
            say(&format!(
                "taking no more calls, {} left",
                count(drained.calls, "call", "calls")
            ));
        } else {
            say("taking calls");
        }
        Ok(())
    }

    /// Says how many calls are left whenever that changes. A gateway that ends with its last call is gone then.
    fn wait_for_the_last(&self, mut last: Drained) -> anyhow::Result<Outcome> {
        while last.calls > 0 {
            std::thread::sleep(LOOK_EVERY);
            let drained = match self.ask.ask_if_there("/drain")? {
                Some(body) => serde_json::from_slice(&body)?,
                None if self.stop => break,
                None => return Ok(Outcome::Unreachable),
            };
            if drained != last {
                self.show(drained)?;
                last = drained;
            }
            if !last.draining {
                // Somebody else has called it off.
                return Ok(Outcome::Failed);
            }
        }
        Ok(Outcome::Good)
    }
}
