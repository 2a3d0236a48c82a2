//! Other domains: found by DNS, reached over connections that the gateway opens (RFC 3263, RFC 5922).

use std::net::IpAddr;

use viaduct_sip::{HeaderName, Message, Method};

use crate::support::dns::{A, Dns, NAPTR, SRV};
use crate::support::gateway::{Gateway, Setup};
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};
use crate::support::server::{Identity, Server};
use crate::support::{Folder, free_port, own_address};

/// Somebody of another domain.
const BOB: &str = "sip:bob@example.test";

/// A gateway whose users may reach other domains, the DNS that it asks, and an address for their servers.
fn open_gateway(more: &str) -> (Gateway, Dns, IpAddr) {
    let elsewhere = own_address();
    let dns = Dns::start(elsewhere);
    let setup = Setup {
        more: format!(
            "foreign_domains: allow\ndns: {{ servers: [\"{}\"], timeout: 5s }}\n{more}",
            dns.address
        ),
        timers: ", next_address: 200ms",
        ..Setup::default()
    };
    (setup.start(), dns, elsewhere)
}

/// Sends a MESSAGE to bob, which this server takes, and answers what it got.
fn message(phone: &mut Phone, server: &mut Server, text: &str) -> Message {
    let draft = phone.draft_to(Method::Message, BOB).body("text/plain", text);
    let sent = phone.begin(draft);
    let got = server.request(Method::Message);
    server.respond(&got, 200);
    expect_status(&phone.final_answer(&sent), 200);
    got
}

fn top_via(message: &Message) -> String {
    String::from_utf8_lossy(message.values(HeaderName::Via).next().unwrap()).into_owned()
}

/// RFC 3263 sections 4.1 to 4.3.
#[test]
fn naptr_and_srv_lead_past_a_dead_server_to_one_that_lives() {
    let (gateway, dns, elsewhere) = open_gateway("");
    let (dead, alive) = (free_port(elsewhere), free_port(elsewhere));
    dns.naptr("example.test", "SIP+D2T", "_sip._tcp.example.test");
    dns.srv("_sip._tcp.example.test", 1, "one.example.test", dead);
    dns.srv("_sip._tcp.example.test", 2, "two.example.test", alive);
    dns.a("one.example.test", elsewhere);
    dns.a("two.example.test", elsewhere);
    let mut server = Server::tcp(elsewhere, alive);
    let mut phone = Phone::udp(&gateway, "201");
    let got = message(&mut phone, &mut server, "hello");
    let listener = gateway.at(gateway.ports.sip);
    assert!(
        top_via(&got).starts_with(&format!("SIP/2.0/TCP {listener};")),
        "{}",
        top_via(&got)
    );
    // What is known is not asked again, what is dead is tried last, and the connection is used again.
    message(&mut phone, &mut server, "hello again");
    for (name, kind) in [
        ("example.test", NAPTR),
        ("_sip._tcp.example.test", SRV),
        ("one.example.test", A),
        ("two.example.test", A),
    ] {
        assert_eq!(dns.asked(name, kind), 1, "{name}");
    }
    gateway.expect_exactly("viaduct_outgoing_connections_total", 1);
    gateway.expect_exactly("viaduct_outgoing_connections_failed_total", 1);
    gateway.expect_exactly("viaduct_hops_failed_over_total", 1);
    drop(server);
    gateway.finish();
}

/// RFC 3263 section 4.3: silence and 503 are reasons for the next address.
#[test]
fn a_silent_server_and_one_that_is_full_are_passed_over() {
    let (gateway, dns, elsewhere) = open_gateway("");
    let ports = [free_port(elsewhere), free_port(elsewhere), free_port(elsewhere)];
    let [mut silent, mut full, mut alive] = ports.map(|port| Server::udp(elsewhere, port));
    for (priority, port) in (1..).zip(ports) {
        dns.srv("_sip._udp.example.test", priority, "host.example.test", port);
    }
    dns.a("host.example.test", elsewhere);
    let mut phone = Phone::udp(&gateway, "201");
    let offer = Media::at(phone.wire.local().ip()).sdp();
    let sent = phone.begin(
        phone
            .draft_to(Method::Invite, BOB)
            .body("application/sdp", &offer),
    );
    let first = silent.request(Method::Invite);
    let second = full.request(Method::Invite);
    full.respond(&second, 503);
    let ack = full.request(Method::Ack);
    assert_eq!(
        top_via(&ack),
        top_via(&second),
        "the refusal is acknowledged where it came from"
    );
    let third = alive.request(Method::Invite);
    alive.respond(&third, 486);
    alive.request(Method::Ack);
    expect_status(&phone.final_answer(&sent), 486);
    assert_ne!(top_via(&first), top_via(&second));
    assert_ne!(top_via(&second), top_via(&third));
    gateway.finish();
}

/// RFC 2308.
#[test]
fn a_domain_that_is_not_there_is_asked_for_once() {
    let (gateway, dns, _) = open_gateway("");
    let mut phone = Phone::udp(&gateway, "201");
    for _ in 0..2 {
        let draft = phone.draft_to(Method::Message, BOB).body("text/plain", "hello");
        expect_status(&phone.ask(draft), 404);
    }
    assert_eq!(dns.asked("example.test", NAPTR), 1);
    assert_eq!(dns.asked("example.test", A), 1);
    gateway.expect_exactly("viaduct_hops_unresolved_total", 2);
    gateway.finish();
}

/// RFC 5922 section 7: the certificate must be for the domain that was called.
#[test]
fn a_server_with_a_certificate_for_another_name_is_refused_and_the_log_says_why() {
    for (name, is_right) in [("example.test", true), ("other.test", false)] {
        let identity = Identity::of(name);
        let folder = Folder::new();
        let file = folder.write("authorities.pem", &identity.certificate);
        let (mut gateway, dns, elsewhere) =
            open_gateway(&format!("tls: {{ trust: [\"{}\"] }}", file.display()));
        let port = free_port(elsewhere);
        dns.srv("_sips._tcp.example.test", 1, "host.example.test", port);
        dns.a("host.example.test", elsewhere);
        let mut server = Server::tls(elsewhere, port, &identity);
        let mut phone = Phone::udp(&gateway, "201");
        let draft = phone
            .draft_to(Method::Message, "sips:bob@example.test")
            .body("text/plain", "hello");
        if is_right {
            let sent = phone.begin(draft);
            let got = server.request(Method::Message);
            assert!(top_via(&got).starts_with("SIP/2.0/TLS "), "{}", top_via(&got));
            server.respond(&got, 200);
            expect_status(&phone.final_answer(&sent), 200);
        } else {
            let sent = phone.begin(draft);
            server.refuse_handshake();
            expect_status(&phone.final_answer(&sent), 500);
            assert!(gateway.says("its certificate is for another name than example.test (RFC 5922)"));
        }
        drop(server);
        gateway.finish();
    }
}

/// A connection that has gone is opened again, inside a dialog too: the Record-Route of that side says to whom.
#[test]
fn a_call_outlives_the_connection_that_it_was_made_over() {
    let (gateway, dns, elsewhere) = open_gateway("");
    let port = free_port(elsewhere);
    dns.a("example.test", elsewhere);
    dns.srv("_sip._tcp.example.test", 1, "example.test", port);
    let mut server = Server::tcp(elsewhere, port);
    let mut phone = Phone::udp(&gateway, "201");
    let sent = phone.begin(phone.draft_to(Method::Invite, BOB));
    let invite = server.request(Method::Invite);
    server.respond(&invite, 200);
    let accepted = phone.final_answer(&sent);
    let dialog = phone.acknowledge(&accepted);
    server.request(Method::Ack);
    server.close();
    // The gateway has seen it close when nothing is open any more.
    gateway.expect_no_outgoing();
    let sent = phone.leave(dialog);
    let bye = server.request(Method::Bye);
    server.respond(&bye, 200);
    expect_status(&phone.final_answer(&sent), 200);
    gateway.expect_exactly("viaduct_outgoing_connections_total", 2);
    drop(server);
    gateway.finish();
}

/// RFC 3261 section 18.1.1.
#[test]
fn what_is_too_large_for_a_datagram_comes_over_tcp() {
    let (gateway, dns, elsewhere) = open_gateway("");
    let port = free_port(elsewhere);
    dns.srv("_sip._udp.example.test", 1, "host.example.test", port);
    dns.a("host.example.test", elsewhere);
    let (mut udp, mut tcp) = (Server::udp(elsewhere, port), Server::tcp(elsewhere, port));
    let mut phone = Phone::udp(&gateway, "201");
    let small = message(&mut phone, &mut udp, "hello");
    assert!(top_via(&small).starts_with("SIP/2.0/UDP "), "{}", top_via(&small));
    let large = message(&mut phone, &mut tcp, &"x".repeat(1_300));
    assert!(top_via(&large).starts_with("SIP/2.0/TCP "), "{}", top_via(&large));
    // Where nobody takes connections it comes in a datagram after all.
    drop(tcp);
    let large = message(&mut phone, &mut udp, &"y".repeat(1_300));
    assert!(top_via(&large).starts_with("SIP/2.0/UDP "), "{}", top_via(&large));
    gateway.finish();
}

/// RFC 3261 section 18.4: the network says at once that nobody is there.
#[test]
fn a_datagram_to_nobody_is_sent_to_the_next_server_at_once() {
    let (gateway, dns, elsewhere) = open_gateway("");
    let (dead, alive) = (free_port(elsewhere), free_port(elsewhere));
    dns.srv("_sip._udp.example.test", 1, "host.example.test", dead);
    dns.srv("_sip._udp.example.test", 2, "host.example.test", alive);
    dns.a("host.example.test", elsewhere);
    let mut server = Server::udp(elsewhere, alive);
    let mut phone = Phone::udp(&gateway, "201");
    message(&mut phone, &mut server, "hello");
    gateway.expect_exactly("viaduct_hops_undelivered_total", 1);
    gateway.finish();
}
