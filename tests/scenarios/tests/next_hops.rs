//! Requests that go on to somebody elsewhere (RFC 3261 sections 16.5 and 16.6, RFC 3263).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Config, ForeignDomains, Listener, UdpToTcp};
use viaduct_sim::{BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, World};
use viaduct_sip::{HeaderName, Message, Method, RequestBuilder, Transport};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";

/// A world whose users may reach other domains, and a registered caller.
fn open_world(change: impl FnOnce(&mut Config)) -> (World, EndId) {
    let mut world = World::with(|config, _| {
        config.foreign_domains = ForeignDomains::Allow;
        config.listeners.push(Listener {
            transport: Transport::Tls,
            addr: ([192, 0, 2, 1], 5061).into(),
            advertised: None,
        });
        change(config);
    });
    let caller = world.browser("300");
    world.register(caller);
    (world, caller)
}

/// Lets `example.net` lead to these servers, in this order.
fn servers<const N: usize>(world: &mut World, at: [(Transport, &str); N]) -> [EndId; N] {
    world.names.add(
        "example.net",
        &at.map(|(transport, address)| (transport, address.parse().unwrap())),
    );
    at.map(|(transport, address)| world.server("bob", transport, address))
}

fn elsewhere(world: &mut World, caller: EndId, method: Method<'_>) -> RequestBuilder {
    let request = world.request_to(caller, method, "sip:bob@example.net");
    match method {
        Method::Invite => request.body("application/sdp", BROWSER_OFFER),
        _ => request,
    }
}

/// An INVITE to `bob@example.net`, password and all, and its 100.
fn call(world: &mut World, caller: EndId) -> Message {
    let request = elsewhere(world, caller, Method::Invite);
    let invite = world.send_with_password(caller, request);
    world.expect(caller, "100");
    invite
}

fn top_via(message: &Message) -> String {
    String::from_utf8_lossy(message.values(HeaderName::Via).next().unwrap()).into_owned()
}

fn branch(message: &Message) -> String {
    message
        .vias()
        .next()
        .unwrap()
        .unwrap()
        .branch()
        .unwrap()
        .to_owned()
}

/// RFC 3261 section 16.5: a proxy is no open relay.
#[test]
fn other_domains_are_refused_unless_the_configuration_allows_them() {
    let mut world = World::new();
    let caller = world.browser("300");
    world.register(caller);
    let [server] = servers(&mut world, [(Transport::Udp, FIRST)]);
    let request = elsewhere(&mut world, caller, Method::Message).build().unwrap();
    world.send(caller, request);
    world.expect(caller, "403");
    world.expect_nothing(server);
}

/// RFC 3261 section 22.3.
#[test]
fn only_users_of_ours_reach_other_domains() {
    let (mut world, _) = open_world(|_| ());
    let [server] = servers(&mut world, [(Transport::Udp, FIRST)]);
    let stranger = world.phone("mallory");
    let request = elsewhere(&mut world, stranger, Method::Invite).build().unwrap();
    world.send(stranger, request);
    world.expect(stranger, "407");
    world.expect_nothing(server);
}

/// RFC 3261 section 16.6: over TCP the Via and the Record-Route of that side name our TCP listener.
#[test]
fn a_call_to_another_domain_stays_in_the_route_of_the_connection() {
    let (mut world, caller) = open_world(|_| ());
    let [server] = servers(&mut world, [(Transport::Tcp, FIRST)]);
    call(&mut world, caller);
    let invite = world.expect(server, "INVITE");
    assert_eq!(invite.request_uri_text(), Some("sip:bob@example.net"));
    assert!(
        top_via(&invite).starts_with("SIP/2.0/TCP 192.0.2.1:5060;"),
        "{}",
        top_via(&invite)
    );
    let route = String::from_utf8_lossy(invite.values(HeaderName::RecordRoute).next().unwrap()).into_owned();
    assert!(route.contains("@192.0.2.1:5060;transport=tcp;lr"), "{route}");
    world.respond(server, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(server, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(server, "BYE");
    world.respond(server, &bye, 200, None);
    world.expect_clean();
}

/// RFC 3263 section 4.3: a transport error is a reason for the next address, in a transaction of its own.
#[test]
fn the_next_address_is_tried_when_the_first_takes_no_connection() {
    let (mut world, caller) = open_world(|_| ());
    let [dead, alive] = servers(&mut world, [(Transport::Tcp, FIRST), (Transport::Tcp, SECOND)]);
    world.disconnect_unnoticed(dead);
    call(&mut world, caller);
    let invite = world.expect(alive, "INVITE");
    assert_eq!(world.names.dead, [(Transport::Tcp, FIRST.parse().unwrap())]);
    assert_eq!(
        world.relay.commands(),
        ["offer"],
        "the relay's session is the branch's, whatever its address"
    );
    world.respond(alive, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(alive, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(alive, "BYE");
    world.respond(alive, &bye, 200, None);
    world.expect_clean();
}

/// RFC 3263 section 4.3.
#[test]
fn a_silent_address_is_left_after_its_patience() {
    let (mut world, caller) = open_world(|_| ());
    let [silent, alive] = servers(&mut world, [(Transport::Udp, FIRST), (Transport::Udp, SECOND)]);
    call(&mut world, caller);
    let first = world.expect(silent, "INVITE");
    world.pass(4.9);
    world.expect_nothing(alive);
    world.pass(0.2);
    let second = world.expect(alive, "INVITE");
    assert_ne!(
        branch(&first),
        branch(&second),
        "each address has a transaction of its own"
    );
    assert_eq!(world.names.dead, [(Transport::Udp, FIRST.parse().unwrap())]);
    world.respond(alive, &second, 486, None);
    world.expect(alive, "ACK");
    world.expect(caller, "486");
    world.clear(silent);
    world.pass(40.0);
    world.expect_nothing(silent);
}

/// RFC 3263 section 4.3: 503 is a reason for the next address; its ACK stays with the transaction that it answers.
#[test]
fn an_overloaded_server_is_passed_over() {
    let (mut world, caller) = open_world(|_| ());
    let [full, alive] = servers(&mut world, [(Transport::Udp, FIRST), (Transport::Udp, SECOND)]);
    call(&mut world, caller);
    let first = world.expect(full, "INVITE");
    world.respond(full, &first, 503, None);
    let ack = world.expect(full, "ACK");
    assert_eq!(branch(&ack), branch(&first));
    let second = world.expect(alive, "INVITE");
    assert!(world.names.dead.is_empty(), "it is full, not dead");
    world.respond(alive, &second, 180, None);
    world.expect(caller, "180");
}

#[test]
fn when_every_address_fails_the_caller_is_told() {
    let (mut world, caller) = open_world(|_| ());
    let both = servers(&mut world, [(Transport::Tcp, FIRST), (Transport::Tcp, SECOND)]);
    for end in both {
        world.disconnect_unnoticed(end);
    }
    let invite = call(&mut world, caller);
    let refusal = world.expect(caller, "500");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 3261 section 9.1: a CANCEL goes where its INVITE went, and ends the search.
#[test]
fn a_caller_who_gives_up_starts_no_further_address() {
    let (mut world, caller) = open_world(|_| ());
    let [ringing, other] = servers(&mut world, [(Transport::Udp, FIRST), (Transport::Udp, SECOND)]);
    let invite = call(&mut world, caller);
    let first = world.expect(ringing, "INVITE");
    world.respond(ringing, &first, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let cancel = world.expect(ringing, "CANCEL");
    assert_eq!(branch(&cancel), branch(&first));
    world.respond(ringing, &cancel, 200, None);
    world.respond(ringing, &first, 503, None);
    world.expect(ringing, "ACK");
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_nothing(other);
    world.expect_clean();
}

#[test]
fn a_call_cancelled_while_its_name_is_looked_up_never_leaves() {
    let (mut world, caller) = open_world(|_| ());
    let [server] = servers(&mut world, [(Transport::Udp, FIRST)]);
    world.names.is_slow = true;
    let invite = call(&mut world, caller);
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    world.let_names_answer();
    world.expect_nothing(server);
    world.expect_clean();
}

#[test]
fn a_domain_without_address_is_not_found() {
    let (mut world, caller) = open_world(|_| ());
    let request = elsewhere(&mut world, caller, Method::Message);
    world.send_with_password(caller, request);
    let refusal = world.expect(caller, "404");
    let reason = String::from_utf8_lossy(refusal.octets())
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert!(!reason.contains("example.com"), "{reason}");
    world.expect_clean();
}

#[test]
fn requests_that_wait_for_names_have_a_bound() {
    let (mut world, caller) = open_world(|config| config.limits.requests_waiting_max = 1);
    servers(&mut world, [(Transport::Udp, FIRST)]);
    world.names.is_slow = true;
    for expected in [None, Some("503")] {
        let request = elsewhere(&mut world, caller, Method::Message);
        world.send_with_password(caller, request);
        match expected {
            None => world.expect_nothing(caller),
            Some(status) => drop(world.expect(caller, status)),
        }
    }
    assert_eq!(world.proxy().counters().0.waiting_over_limit, 1);
}

/// RFC 3261 sections 16.5 and 16.6 step 6.
#[test]
fn a_route_that_is_not_ours_is_followed() {
    let (mut world, caller) = open_world(|_| ());
    let loose = world.server("edge", Transport::Tcp, FIRST);
    let strict = world.server("edge", Transport::Tcp, SECOND);
    for (server, route, uri, left) in [
        (
            loose,
            "<sip:198.51.100.1;transport=tcp;lr>",
            "sip:bob@example.net",
            "<sip:198.51.100.1;transport=tcp;lr>",
        ),
        (
            strict,
            "<sip:198.51.100.2;transport=tcp>",
            "sip:198.51.100.2;transport=tcp",
            "<sip:bob@example.net>",
        ),
    ] {
        let request = elsewhere(&mut world, caller, Method::Message).route(route);
        world.send_with_password(caller, request);
        let message = world.expect(server, "MESSAGE");
        assert_eq!(message.request_uri_text(), Some(uri));
        let routes: Vec<_> = message
            .values(HeaderName::Route)
            .map(String::from_utf8_lossy)
            .collect();
        assert_eq!(routes, [left]);
        world.respond(server, &message, 200, None);
        world.expect(caller, "200");
    }
}

/// RFC 3261 section 18.1.1.
#[test]
fn a_request_too_large_for_a_datagram_goes_over_tcp_or_else_over_udp() {
    for has_tcp in [true, false] {
        let (mut world, caller) = open_world(|_| ());
        let [udp] = servers(&mut world, [(Transport::Udp, FIRST)]);
        let tcp = world.server("bob", Transport::Tcp, FIRST);
        if !has_tcp {
            world.disconnect_unnoticed(tcp);
        }
        let request = elsewhere(&mut world, caller, Method::Message).body("text/plain", "x".repeat(1_400));
        world.send_with_password(caller, request);
        let (taker, other, token) = if has_tcp {
            (tcp, udp, "SIP/2.0/TCP ")
        } else {
            (udp, tcp, "SIP/2.0/UDP ")
        };
        let message = world.expect(taker, "MESSAGE");
        assert!(top_via(&message).starts_with(token), "{}", top_via(&message));
        world.respond(taker, &message, 200, None);
        world.expect(caller, "200");
        world.expect_nothing(other);
        world.expect_clean();
    }
}

#[test]
fn a_transport_that_the_uri_asks_for_is_kept_whatever_the_size() {
    let (mut world, caller) = open_world(|_| ());
    let [udp] = servers(&mut world, [(Transport::Udp, FIRST)]);
    let request = world
        .request_to(caller, Method::Message, "sip:bob@example.net;transport=udp")
        .body("text/plain", "x".repeat(1_400));
    world.send_with_password(caller, request);
    world.expect(udp, "MESSAGE");
}

#[test]
fn a_phone_that_registered_over_udp_gets_large_requests_over_udp_unless_told_otherwise() {
    for (udp_to_tcp, over_tcp) in [(UdpToTcp::Resolved, false), (UdpToTcp::Always, true)] {
        let (mut world, caller) = open_world(|config| config.udp_to_tcp = udp_to_tcp);
        let phone = world.phone("201");
        world.register(phone);
        let address = world.flow(phone).remote.to_string();
        let tcp = world.server("201", Transport::Tcp, &address);
        let request = world
            .request(caller, Method::Message, "201")
            .body("text/plain", "x".repeat(1_400));
        world.send_with_password(caller, request);
        world.expect(if over_tcp { tcp } else { phone }, "MESSAGE");
    }
}

/// RFC 5922: the name that was asked for is the one to verify; it comes back with the token when the peer's connection
/// must be opened again.
#[test]
fn a_sips_uri_goes_over_tls_only() {
    let (mut world, caller) = open_world(|_| ());
    let tls = world.server("bob", Transport::Tls, "198.51.100.1:5061");
    let request = world.request_to(caller, Method::Message, "sips:bob@198.51.100.1");
    world.send_with_password(caller, request);
    let message = world.expect(tls, "MESSAGE");
    assert!(
        top_via(&message).starts_with("SIP/2.0/TLS 192.0.2.1:5061;"),
        "{}",
        top_via(&message)
    );
}

/// RFC 3261 section 18.4: an ICMP error is a transport error. The branch in what it quotes says whose.
#[test]
fn a_datagram_that_the_network_gives_back_is_a_reason_for_the_next_address() {
    let (mut world, caller) = open_world(|_| ());
    let [dead, alive] = servers(&mut world, [(Transport::Udp, FIRST), (Transport::Udp, SECOND)]);
    call(&mut world, caller);
    let first = world.expect(dead, "INVITE");
    let text = String::from_utf8_lossy(first.octets()).into_owned();
    let now = world.now();
    let end = text.find("\r\nVia").unwrap();
    for harmless in [
        &text.as_bytes()[..end],
        text.replacen("INVITE", "CANCEL", 1).as_bytes(),
        text.replacen("z9hG4bK", "z9hG4bX", 1).as_bytes(),
    ] {
        world.proxy().handle_undelivered(now, harmless);
        world.settle();
    }
    world.expect_nothing(alive);
    world
        .proxy()
        .handle_undelivered(now, &text.as_bytes()[..text.len().min(548)]);
    world.settle();
    let second = world.expect(alive, "INVITE");
    assert_ne!(branch(&first), branch(&second));
    assert_eq!(world.names.dead, [(Transport::Udp, FIRST.parse().unwrap())]);
    // One that has been heard is alive, whatever the network says.
    world.respond(alive, &second, 180, None);
    world.expect(caller, "180");
    let octets = second.octets().clone();
    world.proxy().handle_undelivered(now, &octets);
    world.respond(alive, &second, 486, None);
    world.expect(caller, "486");
}

/// RFC 3261 section 16.4: a `maddr` that names us has led to us; whom we go on to is the host. RFC 3263 section 4: one that
/// names somebody else takes the place of the host.
#[test]
fn a_maddr_leads_to_us_or_from_us_but_not_in_circles() {
    let (mut world, caller) = open_world(|_| ());
    let [host, other] = servers(&mut world, [(Transport::Udp, FIRST), (Transport::Udp, SECOND)]);
    let other_ip = SECOND.split(':').next().unwrap();
    for (uri, sent, at) in [
        (
            "sip:bob@example.net;maddr=192.0.2.1;transport=tcp;x=y",
            "sip:bob@example.net;x=y".to_owned(),
            host,
        ),
        (
            "sip:bob@example.net:5070;maddr=example.com",
            "sip:bob@example.net".to_owned(),
            host,
        ),
        (
            &*format!("sip:bob@example.net;maddr={other_ip}"),
            format!("sip:bob@example.net;maddr={other_ip}"),
            other,
        ),
    ] {
        let request = world.request_to(caller, Method::Message, uri);
        world.send_with_password(caller, request);
        let got = world.expect(at, "MESSAGE");
        assert_eq!(got.request_uri_text(), Some(&*sent));
        world.respond(at, &got, 200, None);
        world.expect(caller, "200");
    }
}
