//! What a relay tells of itself.

use std::collections::HashSet;

use serde_json::Value;
use viaduct_mediarelay::{NotReady, RelayConfig};
use viaduct_settings::{PublicIp, RelayListener, RelayScheme, relay_schema};

use crate::support::call::{Call, delete, ok};
use crate::support::tcp::{get, http};
use crate::support::{InProcess, free_port, own_address, settings, wait_for};

fn relay(max_sessions: Option<u32>) -> (InProcess, std::net::SocketAddr) {
    let address = own_address();
    let web = (address, free_port(address)).into();
    let config = RelayConfig {
        listen: vec![RelayListener {
            scheme: RelayScheme::Http,
            address: web,
        }],
        max_sessions,
        ..RelayConfig::in_process(settings(address), PublicIp::Auto)
    };
    (InProcess::start_config(config), web)
}

#[test]
fn the_status_shows_a_call_and_afterwards_nothing() {
    let (relay, web) = relay(None);
    let status = || serde_json::from_str::<Value>(&get(web, "/status")).unwrap();
    let mut call = Call::set_up("seen", |request| relay.ask(request.clone()));
    call.talk(2);
    call.report();
    let busy = status();
    assert_eq!(
        (
            &busy["calls"],
            &busy["legs"],
            &busy["flows"],
            &busy["ports_in_use"]
        ),
        (&1.into(), &2.into(), &4.into(), &4.into())
    );
    assert_eq!(busy["ports"][0]["used"], 2);
    ok(relay.ask(delete("seen")));
    let existing = [
        "calls",
        "ports_in_use",
        "flows",
        "legs",
        "tuples",
        "srtp_contexts",
        "ice_ufrags",
        "dtls_tuples",
        "dtls_associations",
        "call_timers",
        "retired",
    ];
    let empty = wait_for("an empty relay", || {
        Some(status()).filter(|status| existing.iter().all(|key| status[key] == 0))
    });
    assert_eq!(empty["since_start"]["calls_ended"]["requested"], 1);
    assert_eq!(empty["dropped"], Value::Object(Default::default()));
    // The same as within the process.
    let own = serde_json::to_value(relay.snapshot()).unwrap();
    assert_eq!(own["calls"], 0);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&own), keys(&empty));
    relay.shut_down();
}

#[test]
fn metrics_are_well_formed_and_follow_a_call() {
    let (relay, web) = relay(None);
    let mut call = Call::set_up("counted", |request| relay.ask(request.clone()));
    call.talk(10);
    let value = |name: &str| {
        let metrics = get(web, "/metrics");
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} in\n{metrics}"))
            .parse::<f64>()
            .unwrap()
    };
    assert_eq!(value("viaduct_relay_calls"), 1.0);
    assert_eq!(value("viaduct_relay_calls_created_total"), 1.0);
    assert_eq!(value(r#"rtpengine_sessions{type="own"}"#), 1.0);
    wait_for("20 packets", || {
        (value(r#"rtpengine_packets_total{type="userspace"}"#) == 20.0).then_some(())
    });
    let metrics = get(web, "/metrics");
    assert!(metrics.ends_with("# EOF\n"));
    let mut seen = HashSet::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(name.to_owned()), "twice: {name}");
    }
    // Every family is described once, before its values.
    let families: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    assert_eq!(families.iter().collect::<HashSet<_>>().len(), families.len());
    assert!(families.len() > 60, "{}", families.len());
    // The ones that the reference names for limits are among them.
    let schema = relay_schema().to_string();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let named: HashSet<&str> = schema
        .match_indices("viaduct_relay_")
        .map(|(start, _)| {
            let rest = &schema[start..];
            &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]
        })
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(
            families
                .iter()
                .any(|family| family.split(' ').next() == Some(name)),
            "{name}"
        );
    }
    relay.shut_down();
}

#[test]
fn events_that_nobody_takes_in_time_are_counted() {
    let mut config = RelayConfig::in_process(settings(own_address()), PublicIp::Auto);
    config.limits.shell.events_queued = 1;
    let relay = InProcess::start_config(config);
    let mut events = relay.handle.events();
    for call in ["one", "two"] {
        let _call = Call::set_up(call, |request| relay.ask(request.clone()));
    }
    while events.try_next().is_some() {}
    assert!(events.missed() > 0);
    assert_eq!(relay.snapshot().control.events_missed, events.missed());
    relay.shut_down();
}

#[test]
fn health_says_whether_calls_can_be_taken_and_why_not() {
    let (ready, web) = relay(None);
    assert_eq!(
        (get(web, "/health/live"), get(web, "/health/ready")),
        ("live\n".to_owned(), "ready\n".to_owned())
    );
    assert_eq!(get(web, "/ping"), "pong\n");
    ready.shut_down();
    let (draining, web) = relay(Some(0));
    let (status, body) = http(web, "GET", "/health/ready", "text/plain", b"");
    assert_eq!(
        (status, &body[..]),
        (503, &b"no new calls are taken (max_sessions is 0)\n"[..])
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    assert_eq!(
        runtime.block_on(draining.handle.readiness()),
        Err(NotReady::Draining)
    );
    draining.shut_down();
}
