//! Every transport with every other: the Vias, routes and lengths that each side reads (RFC 3261 sections 16.6, 18.1.1 and
//! 18.3, RFC 5658, RFC 7118).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_sim::{Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

const ALL: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Ws, Transport::Wss];

/// What our Via to a peer over this transport begins with.
fn via_to(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "SIP/2.0/UDP 192.0.2.1:5060;",
        Transport::Tcp => "SIP/2.0/TCP 192.0.2.1:5060;",
        Transport::Ws => "SIP/2.0/WS 192.0.2.1:8080;",
        Transport::Wss => "SIP/2.0/WSS 192.0.2.1:8443;",
        Transport::Tls | Transport::Local => unreachable!("no such listener here"),
    }
}

/// What stands behind the token in our Record-Route value for a peer over this transport (RFC 7118 section 5.2.4: `ws` over
/// TLS, too).
fn route_to(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "@192.0.2.1:5060;lr>",
        Transport::Tcp => "@192.0.2.1:5060;transport=tcp;lr>",
        Transport::Ws => "@192.0.2.1:8080;transport=ws;lr>",
        Transport::Wss => "@192.0.2.1:8443;transport=ws;lr>",
        Transport::Tls | Transport::Local => unreachable!("no such listener here"),
    }
}

fn pair(from: Transport, to: Transport) -> (World, EndId, EndId) {
    let mut world = World::new();
    let (caller, callee) = (world.add("202", from), world.add("201", to));
    world.register(caller);
    world.register(callee);
    (world, caller, callee)
}

fn first(message: &Message, name: HeaderName) -> String {
    String::from_utf8_lossy(message.values(name).next().unwrap()).into_owned()
}

/// The message without its length, as datagrams and WebSockets may have it (RFC 3261 section 20.14, RFC 7118 section 5).
fn without_length(octets: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(octets).unwrap();
    let lines = text.split_inclusive("\r\n");
    lines
        .filter(|line| !line.starts_with("Content-Length:"))
        .collect::<String>()
        .into_bytes()
}

/// A call over each pair of transports, with requests from either side, ended by the callee.
#[test]
fn calls_between_any_two_transports_are_held_and_ended() {
    for (from, to) in ALL.into_iter().flat_map(|from| ALL.map(|to| (from, to))) {
        let (mut world, caller, callee) = pair(from, to);
        world.call(caller, "201", Some(PHONE_OFFER));
        let invite = world.expect(callee, "INVITE");
        assert!(
            first(&invite, HeaderName::Via).starts_with(via_to(to)),
            "{from} {to}"
        );
        let routes: Vec<String> = invite
            .values(HeaderName::RecordRoute)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        // The callee's side on top (RFC 5658 section 5).
        assert_eq!(routes.len(), 2, "{from} {to}");
        assert!(routes[0].ends_with(route_to(to)), "{from} {to}: {}", routes[0]);
        assert!(routes[1].ends_with(route_to(from)), "{from} {to}: {}", routes[1]);
        world.respond(callee, &invite, 180, None);
        let ringing = world.expect(caller, "180");
        assert_eq!(ringing.vias().count(), 1, "{from} {to}");
        world.respond(callee, &invite, 200, Some(PHONE_ANSWER));
        let ok = world.expect(caller, "200");
        let mut dialog = Dialog::of_caller(caller, &ok);
        world.send_in(&mut dialog, Method::Ack, None);
        world.expect(callee, "ACK");
        let mut back = world.callee_dialog(callee, &invite);
        for (dialog, sender, receiver, over) in [
            (&mut dialog, caller, callee, to),
            (&mut back, callee, caller, from),
        ] {
            world.send_in(dialog, Method::Info, None);
            let info = world.expect(receiver, "INFO");
            assert!(
                first(&info, HeaderName::Via).starts_with(via_to(over)),
                "{from} {to}"
            );
            assert!(!info.has(HeaderName::Route), "{from} {to}");
            world.respond(receiver, &info, 200, None);
            world.expect(sender, "200");
        }
        world.send_in(&mut back, Method::Bye, None);
        let bye = world.expect(caller, "BYE");
        world.respond(caller, &bye, 200, None);
        world.expect(callee, "200");
        world.expect_clean();
    }
}

/// RFC 3261 section 18.3: on a stream the length is all that tells one message from the next, so it is written where the
/// sender had none.
#[test]
fn a_message_without_length_has_one_on_a_stream() {
    for (from, to) in [
        (Transport::Udp, Transport::Tcp),
        (Transport::Ws, Transport::Tcp),
        (Transport::Wss, Transport::Udp),
    ] {
        let (mut world, caller, callee) = pair(from, to);
        let (mut dialog, mut back) = world.answered(caller, callee, PHONE_OFFER, PHONE_ANSWER);
        dialog.cseq += 1;
        let info = world.in_dialog(&dialog, Method::Info, None);
        world.send(caller, without_length(info.octets()));
        let got = world.expect(callee, "INFO");
        assert_eq!(
            got.has(HeaderName::ContentLength),
            to.is_reliable(),
            "{from} {to}"
        );
        world.respond(callee, &got, 200, None);
        world.expect(caller, "200");
        back.cseq += 1;
        let info = world.in_dialog(&back, Method::Info, None);
        world.send(callee, info.octets().clone());
        let got = world.expect(caller, "INFO");
        let answer = world.response(caller, &got, 200, None);
        world.send(caller, without_length(&answer));
        let ok = world.expect(callee, "200");
        assert_eq!(ok.has(HeaderName::ContentLength), to.is_reliable(), "{from} {to}");
    }
}

/// RFC 7118 section 5: a browser's `.invalid` names are names to us and no addresses. Its contact is what it registered,
/// octet for octet, and nothing is looked up.
#[test]
fn a_browser_is_called_by_the_name_that_it_made_up() {
    for transport in [Transport::Ws, Transport::Wss] {
        let (mut world, caller, browser) = pair(Transport::Udp, transport);
        world.names.is_slow = true;
        world.call(caller, "201", Some(PHONE_OFFER));
        let invite = world.expect(browser, "INVITE");
        assert_eq!(
            invite.request_uri_text(),
            Some("sip:k201@201.invalid;transport=ws")
        );
    }
}
