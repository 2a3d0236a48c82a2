//! Carriers on real sockets: one that is dead, one that is full, one that wants a password, one that calls.

use std::net::{IpAddr, SocketAddr};

use nix::sys::signal::Signal;
use serde_json::Value;
use viaduct_sip::digest::{Algorithm, Credentials, Ha1};
use viaduct_sip::{HeaderName, Message, Method, RequestBuilder};

use crate::support::gateway::{Gateway, Setup};
use crate::support::media::{Media, sdp};
use crate::support::phone::{Phone, expect_status};
use crate::support::program::PASSWORD;
use crate::support::server::Server;
use crate::support::{free_port, own_address, wait_for};

const REALM: &str = "carrier.test";

/// An SDP of the carrier.
fn carrier_sdp(at: IpAddr) -> String {
    sdp(SocketAddr::new(at, 40_000), "8", "a=rtpmap:8 PCMA/8000\r\n")
}

/// What `viaduct trunks` says of one.
fn trunk(gateway: &Gateway, name: &str) -> Value {
    let Value::Array(all) = gateway.ask("trunks") else {
        panic!("no list");
    };
    all.into_iter().find(|one| one["name"] == *name).unwrap()
}

fn challenge(carrier: &mut Server, request: &Message, status: u16) {
    let name = if status == 401 {
        HeaderName::WwwAuthenticate
    } else {
        HeaderName::ProxyAuthenticate
    };
    carrier.respond_with(request, status, |answer| {
        answer.header(
            name,
            format!("Digest realm=\"{REALM}\", nonce=\"n\", qop=\"auth\""),
        )
    });
}

fn expect_proof(request: &Message, header: HeaderName) {
    let found = Credentials::find(request, header, REALM).unwrap().unwrap();
    let ha1 = Ha1::from_password(Algorithm::Md5, "4930", REALM, PASSWORD);
    assert!(
        found
            .credentials
            .prove(&ha1, request.method().unwrap(), request.body())
    );
}

/// RFC 3261 sections 16.7 and 22.3: a call passes a dead and a full trunk and proves itself to the third.
#[test]
fn a_call_finds_the_trunk_that_works_and_shows_it_the_password() {
    let elsewhere = own_address();
    let (dead, full, picky) = (free_port(elsewhere), free_port(elsewhere), free_port(elsewhere));
    let setup = Setup {
        more: format!(
            "trunks:
  dead: {{ proxy: 'sip:{elsewhere}:{dead}', transport: udp, options_ping: never }}
  full: {{ proxy: 'sip:{elsewhere}:{full}', transport: udp, options_ping: never }}
  picky:
    proxy: 'sip:{elsewhere}:{picky}'
    transport: udp
    login: {{ user: \"4930\", secret_env: PASSWORD }}
    options_ping: never
    max_calls: 5
numbers: {{ country: \"49\" }}
routes:
  - match: {{ to: \"+*\", from_user: any }}
    send_to: [trunk:dead, trunk:full, trunk:picky]
    on_fail: [503, \"timeout:1s\"]
"
        ),
        ..Setup::default()
    };
    let gateway = setup.start();
    let (mut full, mut picky) = (Server::udp(elsewhere, full), Server::udp(elsewhere, picky));
    let mut caller = Phone::udp(&gateway, "201");
    let offer = Media::at(caller.wire.local().ip()).sdp();
    let sent = caller.begin(caller.invitation("030123456", &offer));
    let invite = full.request(Method::Invite);
    full.respond(&invite, 503);
    full.request(Method::Ack);
    let first = picky.request(Method::Invite);
    let uri = first.request_uri_text().unwrap();
    assert!(uri.starts_with("sip:+4930123456@"), "{uri}");
    challenge(&mut picky, &first, 407);
    picky.request(Method::Ack);
    let second = picky.request(Method::Invite);
    expect_proof(&second, HeaderName::ProxyAuthorization);
    let number = |message: &Message| message.cseq().unwrap().unwrap().number;
    assert_eq!(number(&second), number(&first) + 1);
    picky.respond_with(&second, 200, |answer| {
        answer.body("application/sdp", carrier_sdp(elsewhere))
    });
    let accepted = caller.final_answer(&sent);
    assert_eq!(number(&accepted), number(&sent));
    let dialog = caller.acknowledge(&accepted);
    assert_eq!(number(&picky.request(Method::Ack)), number(&second));
    assert_eq!(trunk(&gateway, "picky")["calls"], 1);
    let route = gateway.command(&["route", "030123456", "--from", "201"]);
    assert!(
        route.out.contains("is +4930123456 by the number rules")
            && route.out.contains("trunk picky is unknown, 1 of 5 calls"),
        "{route:?}"
    );
    let bye = caller.leave(dialog);
    let there = picky.request(Method::Bye);
    assert_eq!(number(&there), number(&second) + 1);
    picky.respond(&there, 200);
    expect_status(&caller.final_answer(&bye), 200);
    let counted = |name: &str, what: &str| trunk(&gateway, name)["counters"][what].as_u64();
    assert_eq!(
        (counted("dead", "failed"), counted("full", "failed")),
        (Some(1), Some(1))
    );
    assert_eq!(counted("picky", "answered"), Some(1));
    gateway.finish();
}

/// RFC 3261 section 10.2: a trunk that a reload brings is registered with, and calls in without a password.
#[test]
fn a_trunk_that_keeps_our_registration_calls_in() {
    let elsewhere = own_address();
    let mut carrier = Server::udp(elsewhere, free_port(elsewhere));
    let mut gateway = Gateway::start();
    let more = format!(
        "trunks:
  carrier:
    proxy: 'sip:{}'
    transport: udp
    register: {{ user: \"4930\", secret_env: PASSWORD }}
    numbers: [\"+4930*\"]
    options_ping: never
routes:
  - match: {{ to: \"+4930*\", from_trunk: carrier }}
    send_to: user:202
",
        carrier.address
    );
    gateway.rewrite(|text| text + &more);
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    let first = carrier.request(Method::Register);
    challenge(&mut carrier, &first, 401);
    let second = carrier.request(Method::Register);
    expect_proof(&second, HeaderName::Authorization);
    carrier.respond_with(&second, 200, |answer| answer.header(HeaderName::Expires, "300"));
    assert!(gateway.says("trunk carrier  keeps our registration"));
    let left = trunk(&gateway, "carrier")["registered_s"].as_u64().unwrap();
    assert!((290..=300).contains(&left), "{left}");
    let mut called = Phone::udp(&gateway, "202");
    called.register();
    let contact = second.text(HeaderName::Contact).unwrap();
    let target = contact.split(['<', '>']).nth(1).unwrap();
    let invite = RequestBuilder::new(Method::Invite, target)
        .via(format!(
            "SIP/2.0/UDP {};branch=z9hG4bKfromoutside",
            carrier.address
        ))
        .from("<sip:+4917012345@carrier.test>;tag=outside")
        .to("<sip:+4930777@carrier.test>")
        .call_id("from-outside")
        .cseq(1)
        .header(HeaderName::Contact, format!("<sip:carrier@{}>", carrier.address))
        .body("application/sdp", carrier_sdp(elsewhere));
    carrier.send(&invite.build().unwrap());
    let invite = called.request(Method::Invite);
    called.respond(&invite, 486);
    called.request(Method::Ack);
    wait_for("a call that came in", || {
        let seen = trunk(&gateway, "carrier");
        let is_over = seen["counters"]["calls_in"] == 1 && seen["calls"] == 0;
        if is_over { Ok(()) } else { Err(seen) }
    });
    gateway.finish();
}

/// RFC 3261 section 10.2.2: over the connection that it was made over, which is there until then.
#[test]
fn a_gateway_that_stops_ends_its_registration() {
    let elsewhere = own_address();
    let mut carrier = Server::tcp(elsewhere, free_port(elsewhere));
    let mut gateway = Gateway::start();
    let more = format!(
        "trunks:
  carrier:
    proxy: 'sip:{}'
    transport: tcp
    register: {{ user: \"4930\", secret_env: PASSWORD, unregister: 10s }}
    options_ping: never
",
        carrier.address
    );
    gateway.rewrite(|text| text + &more);
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    let first = carrier.request(Method::Register);
    carrier.respond_with(&first, 200, |answer| answer.header(HeaderName::Expires, "300"));
    assert!(gateway.says("trunk carrier  keeps our registration"));
    gateway.signal(Signal::SIGTERM);
    let last = carrier.request(Method::Register);
    assert_eq!(last.text(HeaderName::Expires), Some("0"));
    challenge(&mut carrier, &last, 401);
    let proven = carrier.request(Method::Register);
    expect_proof(&proven, HeaderName::Authorization);
    assert_eq!(proven.text(HeaderName::Expires), Some("0"));
    carrier.respond(&proven, 200);
    gateway.ended().expect_good();
}

/// Without a gateway that runs: a configuration file is asked.
#[test]
fn a_route_is_explained_from_a_configuration_file() {
    let gateway = Gateway::start();
    let explain = |number: &str, from: &str| {
        let file = gateway.folder().join("gateway.yaml");
        gateway.command(&[
            "route",
            number,
            "--from",
            from,
            "--config",
            file.to_str().unwrap(),
        ])
    };
    let said = explain("100", "201");
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(
        said.out.contains("→ rule 1: 100 is 100") && said.out.contains("service:echo"),
        "{said:?}"
    );
    let said = explain("202", "201");
    assert!(
        said.out.contains("no rule takes it") && said.out.contains("user:202"),
        "{said:?}"
    );
    let said = explain("202", "trunk:nobody");
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(said.err.contains("has no trunk nobody"), "{said:?}");
    gateway.finish();
}
