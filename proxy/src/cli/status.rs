//! `viaduct status`

use viaduct_trunk::TrunkView;

use super::Outcome;
use super::ask::AskArgs;
use super::table::{count, duration};
use crate::live::ConfigStatus;
use crate::status::{RelayStatus, Status};

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
        relay_line(relay),
    ];
    if !status.trunks.is_empty() {
        lines.push(trunks_line(&status.trunks));
    }
    lines.push(config_line(&status.config));
    if status.draining {
        lines.insert(1, "taking no more calls (viaduct drain)".to_owned());
    }
    lines.push(format!("listening {}", status.listeners.join(" ")));
    lines.join("\n")
}

/// How old the configuration is, and whether a part of it waits.
fn config_line(config: &ConfigStatus) -> String {
    let mut line = format!("configuration {} old", duration(config.age_s));
    if !config.waiting_for_restart.is_empty() {
        line += &format!(
            ", waiting for a restart: {}",
            config.waiting_for_restart.join(" ")
        );
    }
    line
}

/// Each trunk with how it is, and with what is wrong.
fn trunks_line(trunks: &[TrunkView]) -> String {
    let all = trunks.iter().map(|trunk| {
        let unregistered = if trunk.registration_error.is_some() {
            ", not registered"
        } else {
            ""
        };
        let calls = count(trunk.calls as usize, "call", "calls");
        format!("{} {}{unregistered}, {calls}", trunk.name, trunk.state.as_str())
    });
    format!("trunks {}", all.collect::<Vec<_>>().join("; "))
}

/// The relay, with what it holds where it is in this process.
fn relay_line(relay: &RelayStatus) -> String {
    let figure = |name: &str| relay.built_in.as_ref().and_then(|figures| figures[name].as_u64());
    match (figure("calls"), figure("ports_in_use"), figure("flows")) {
        (Some(calls), Some(ports), Some(flows)) => format!(
            "relay {}: {calls} calls, {ports} ports in use, {flows} media flows",
            relay.mode
        ),
        _ => format!("relay {}", relay.mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trunk_is_told_with_what_is_wrong() {
        let trunk = TrunkView {
            name: "acme".to_owned(),
            host: "sbc.example".to_owned(),
            state: viaduct_trunk::TrunkState::Down,
            calls: 1,
            calls_max: None,
            registered_s: None,
            registration_error: Some("403 Forbidden".to_owned()),
            counters: viaduct_trunk::TrunkCounters::default(),
        };
        let other = TrunkView {
            name: "second".to_owned(),
            registration_error: None,
            state: viaduct_trunk::TrunkState::Up,
            calls: 0,
            ..trunk.clone()
        };
        assert_eq!(
            trunks_line(&[trunk, other]),
            "trunks acme down, not registered, 1 call; second up, 0 calls"
        );
    }

    #[test]
    fn the_relay_is_told_of_as_far_as_it_is_known() {
        let mut relay = RelayStatus {
            mode: "built-in".to_owned(),
            built_in: Some(serde_json::json!({ "calls": 2, "ports_in_use": 3, "flows": 8, "legs": 4 })),
        };
        assert_eq!(
            relay_line(&relay),
            "relay built-in: 2 calls, 3 ports in use, 8 media flows"
        );
        relay.built_in = None;
        assert_eq!(relay_line(&relay), "relay built-in");
    }
}
