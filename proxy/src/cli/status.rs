//! `viaduct status`

use super::Outcome;
use super::ask::AskArgs;
use super::table::{count, duration};
use crate::status::Status;

pub(super) fn run(args: &AskArgs) -> anyhow::Result<Outcome> {
    args.show("/status", |status: Status| text(&status))
}

fn text(status: &Status) -> String {
    let Status {
        signalling,
        connections,
        relay,
        ..
    } = status;
    let mut lines = vec![
        format!(
            "{}  up {}  version {}",
            status.domain,
            duration(status.uptime_s),
            status.version
        ),
        format!(
            "calls {} now, {} answered, {} at the services",
            signalling.calls, signalling.calls_answered, signalling.service_sessions
        ),
        format!(
            "registered {}  connections {}",
            count(status.registrations, "contact", "contacts"),
            connections.sip
        ),
        format!(
            "signalling {}, {} transactions, {} waiting",
            count(signalling.shards, "thread", "threads"),
            signalling.transactions,
            signalling.waiting
        ),
        format!("relay {}", relay.mode),
    ];
    if let Some(serde_json::Value::Object(built_in)) = &relay.built_in {
        let numbers = built_in
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_u64()?)));
        let numbers: Vec<String> = numbers.collect();
        lines.push(format!("  {}", numbers.join(", ")));
    }
    lines.push(format!("listening {}", status.listeners.join(" ")));
    lines.join("\n")
}
