//! What is more than allowed is refused, counted, and nobody else's loss.

use std::io::{Read, Write};

use viaduct_sip::{HeaderName, Method, StatusCode, Transport};

use crate::support::bystanders::Bystanders;
use crate::support::echo_call::EchoCall;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http::get;
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};
use crate::support::socket::connect_from;
use crate::support::{own_address, wait_for};

#[test]
fn a_source_that_sends_too_much_is_refused_and_others_are_not() {
    // So long that no second window begins while the test runs.
    let gateway = Gateway::with_limits("requests_per_source: 100/1d");
    let bystanders = Bystanders::of(&gateway);
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut flood = Phone::between(transport, &gateway, own_address(), "203");
        let mut refused = 0;
        for number in 1..=130 {
            let sent = flood.send(&flood.draft(Method::Options, "201"));
            let answer = flood.final_answer(&sent);
            let expected = if number <= 100 { 407 } else { 503 };
            expect_status(&answer, expected);
            if answer.status() == Some(StatusCode::SERVICE_UNAVAILABLE) {
                assert_eq!(answer.text(HeaderName::RetryAfter), Some("1"));
                refused += 1;
            }
        }
        assert_eq!(refused, 30);
    }
    gateway.expect_exactly("viaduct_sip_requests_over_rate_total", 60);
    bystanders.leave();
    gateway.finish();
}

#[test]
fn more_connections_than_one_source_may_have_are_refused() {
    let gateway = Gateway::with_limits("connections_per_source: 3");
    let source = own_address();
    let ports = gateway.ports;
    let mut held = Vec::new();
    for port in [ports.sip, ports.ws, ports.https] {
        held.push(connect_from(source, gateway.at(port)).unwrap());
    }
    let all = || gateway.ask("status")["connections"]["all"].as_u64().unwrap();
    wait_for(
        "three connections",
        || if all() == 3 { Ok(()) } else { Err(all()) },
    );
    // Whichever listener: a source is a source.
    for port in [ports.sip, ports.sips, ports.ws, ports.http, ports.https] {
        let mut refused = connect_from(source, gateway.at(port)).unwrap();
        assert_eq!(refused.read(&mut [0; 1]).unwrap(), 0);
    }
    gateway.expect_figure("viaduct_connections_over_source_limit_total", 5);
    // Others may, and so may this one when it has let go.
    EchoCall::of(&gateway, "201").hang_up();
    drop(held.pop());
    wait_for("two connections", || if all() == 2 { Ok(()) } else { Err(all()) });
    held.push(connect_from(source, gateway.at(ports.sip)).unwrap());
    wait_for(
        "three connections",
        || if all() == 3 { Ok(()) } else { Err(all()) },
    );
    drop(held);
    gateway.finish();
}

/// Whoever opens and closes connections without a pause, on whichever listener, is refused until he has made one.
#[test]
fn a_source_that_opens_connections_too_fast_is_refused_and_others_are_not() {
    let gateway = Gateway::with_limits("new_connections_per_source: 5/1h");
    let source = own_address();
    let ports = gateway.ports;
    let good = b"OPTIONS sip:viaduct.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:1@x>;tag=1\r\n\
                 To: <sip:viaduct.test>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..5 {
        let mut connection = connect_from(source, gateway.at(ports.sip)).unwrap();
        connection.write_all(good).unwrap();
        assert_ne!(connection.read(&mut [0; 64]).unwrap(), 0);
    }
    for port in [ports.sip, ports.sips, ports.ws, ports.http, ports.https] {
        let mut refused = connect_from(source, gateway.at(port)).unwrap();
        assert_eq!(refused.read(&mut [0; 1]).unwrap(), 0);
    }
    gateway.expect_exactly("viaduct_connections_over_rate_total", 5);
    assert_eq!(gateway.figure("viaduct_connections_over_source_limit_total"), 0);
    EchoCall::of(&gateway, "201").hang_up();
    gateway.finish();
}

#[test]
fn more_connections_than_there_may_be_are_refused() {
    let gateway = Gateway::with_limits("connections: 3");
    let mut held: Vec<Phone> = (0..3).map(|_| Phone::tcp(&gateway, "201")).collect();
    for phone in &mut held {
        phone.register();
    }
    for port in [gateway.ports.sip, gateway.ports.ws, gateway.ports.https] {
        let mut refused = connect_from(own_address(), gateway.at(port)).unwrap();
        assert_eq!(refused.read(&mut [0; 1]).unwrap(), 0);
    }
    // Whoever watches it must not take a full gateway for a dead one.
    let ready = get(gateway.at(gateway.ports.metrics), "/health/ready");
    assert_eq!(ready.status, 200);
    gateway.expect_figure("viaduct_connections_over_limit_total", 3);
    // Who is there stays there.
    for phone in &mut held {
        phone.register();
    }
    drop(held);
    gateway.finish();
}

#[test]
fn a_user_and_the_gateway_have_so_many_calls_and_no_more() {
    let gateway = Gateway::with_limits("calls_per_user: 2, service_calls: 256");
    let calls: Vec<EchoCall> = (0..2)
        .map(|_| EchoCall::begin(Phone::tcp(&gateway, "201")))
        .collect();
    let mut caller = Phone::tcp(&gateway, "201");
    let offer = Media::at(caller.wire.local().ip()).sdp();
    // Calls are counted by each signalling thread for itself, so further ones are refused sooner or later.
    let mut further = Vec::new();
    let refused = loop {
        assert!(further.len() < 64, "nothing is refused");
        let sent = caller.begin(caller.invitation("100", &offer));
        let answer = caller.final_answer(&sent);
        if answer.status() != Some(StatusCode::OK) {
            break answer;
        }
        further.push(caller.acknowledge(&answer));
    };
    expect_status(&refused, 486);
    gateway.expect_figure("viaduct_calls_over_user_limit_total", 1);
    // Somebody else may.
    EchoCall::of(&gateway, "202").hang_up();
    further.into_iter().for_each(|dialog| caller.hang_up(dialog));
    calls.into_iter().for_each(EchoCall::hang_up);
    drop(caller);
    gateway.finish();
}

/// Nobody waits for a phone that does not read: its connection is closed, and others do not notice.
#[test]
fn a_phone_that_does_not_read_is_cut_off() {
    /// Messages of this size that fill every buffer on the way are some dozens.
    const MESSAGE: usize = 50_000;
    const MESSAGES_MAX: usize = 1_000;
    let gateway = Gateway::with_limits("connection_queue: 8, requests_per_source: 100000/1s");
    let bystanders = Bystanders::of(&gateway);
    let text = "x".repeat(MESSAGE);
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        let (mut deaf, mut caller) = (
            Phone::over(transport, &gateway, "203"),
            Phone::tcp(&gateway, "204"),
        );
        deaf.register();
        let before = gateway.figure("viaduct_connections_slow_total");
        let is_cut_off = |_: &usize| {
            let draft = caller.draft(Method::Message, "203");
            caller.begin(draft.body("text/plain", &text));
            gateway.figure("viaduct_connections_slow_total") > before
        };
        let sent = (1..=MESSAGES_MAX).find(is_cut_off);
        assert!(
            sent.is_some(),
            "{MESSAGES_MAX} messages are kept for somebody who does not read"
        );
        wait_for("nobody registered", || {
            let shown = gateway.registrations("203");
            if shown.is_empty() { Ok(()) } else { Err(shown) }
        });
    }
    bystanders.leave();
    gateway.finish();
}

/// What comes when there are no descriptors left waits; what is there goes on.
#[test]
fn a_gateway_without_descriptors_serves_those_it_has() {
    /// More than the few that are left.
    const MORE: usize = 40;
    let gateway = Gateway::with_limits("connections_per_source: 1000");
    let mut bystanders = Bystanders::of(&gateway);
    let pid = gateway.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |soft: usize| {
        let status = std::process::Command::new("prlimit")
            .args([format!("--pid={pid}"), format!("--nofile={soft}:")])
            .status();
        assert!(status.unwrap().success(), "prlimit");
    };
    limit(open + 5);
    let sip = gateway.at(gateway.ports.sip);
    let waiting: Vec<_> = (0..MORE)
        .map(|_| connect_from(own_address(), sip).unwrap())
        .collect();
    bystanders.expect_unharmed();
    drop(waiting);
    // Those who come later are served again.
    Phone::tcp(&gateway, "204").register();
    limit(1_024);
    bystanders.leave();
    gateway.finish();
}

#[test]
fn a_registrar_that_is_full_refuses_the_next() {
    let gateway = Setup {
        limits: "contacts: 1",
        ..Setup::default()
    }
    .start();
    let (mut first, mut second) = (Phone::tcp(&gateway, "201"), Phone::tcp(&gateway, "202"));
    first.register();
    let contact = format!("<{}>", second.contact);
    let draft = second.registration().header(HeaderName::Contact, &contact);
    let answer = second.ask(draft);
    expect_status(&answer, 503);
    assert!(answer.has(HeaderName::RetryAfter));
    // Who is registered stays so, and may refresh.
    first.register();
    first.register_for(0);
    second.register();
    drop((first, second));
    gateway.finish();
}
