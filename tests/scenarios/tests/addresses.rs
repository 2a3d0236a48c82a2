//! Which hosts are this proxy's own (RFC 3261 section 16.4).

use viaduct_sim::{BROWSER_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method};

/// A listener on every address of a machine that gained one after the start: a floating IP, a lease.
fn on_every_address() -> World {
    World::with(|config, _| {
        for listener in &mut config.listeners {
            listener.addr.set_ip([0, 0, 0, 0].into());
        }
    })
}

/// RFC 3261 section 16.4: ACK and BYE of a call through an address that nobody told the proxy of.
#[test]
fn a_call_over_an_address_gained_after_the_start_is_kept_and_ended() {
    let mut world = on_every_address();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.move_local(phone, [203, 0, 113, 77]);
    world.register(phone);
    world.register(browser);
    let (mut caller, mut callee) = world.answered(phone, browser, PHONE_OFFER, BROWSER_ANSWER);
    assert!(caller.routes.iter().any(|route| route.contains("203.0.113.77")));
    world.send_in(&mut caller, Method::Info, None);
    let info = world.expect(browser, "INFO");
    world.respond(browser, &info, 200, None);
    world.expect(phone, "200");
    // The address moves on to another machine: the call is still known by its token.
    world.move_local(phone, [203, 0, 113, 78]);
    world.send_in(&mut callee, Method::Bye, None);
    world.expect(phone, "BYE");
}

/// RFC 3261 section 16.5: the address that a request was sent to names this proxy's domain as well as its name does.
#[test]
fn a_user_is_found_at_the_address_that_the_request_arrived_at() {
    let mut world = on_every_address();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(browser);
    let invite = |world: &mut World| {
        let request = world.request(phone, Method::Invite, "300").build().unwrap();
        let text = String::from_utf8(request.to_vec()).unwrap();
        text.replacen("sip:300@example.com", "sip:300@203.0.113.77", 1)
            .into_bytes()
    };
    let octets = invite(&mut world);
    world.send(phone, octets);
    world.expect(phone, "403");
    world.move_local(phone, [203, 0, 113, 77]);
    let octets = invite(&mut world);
    world.send(phone, octets);
    world.expect(phone, "407");
}

/// RFC 3261 sections 8.2.6.2 and 8.2.7: an answer without a transaction carries a To tag, the same for a repeat.
#[test]
fn answers_without_state_carry_a_tag_that_repeats_share() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = |id: &str, broken: &str| {
        format!(
            "INVITE sip:300@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{id};rport\r\n\
             From: <sip:201@example.com>;tag=1\r\nTo: <sip:300@example.com>\r\nCall-ID: {id}\r\n{broken}\r\n\r\n"
        )
        .into_bytes()
    };
    let mut tags = Vec::new();
    for (id, broken) in [
        ("a", "CSeq: 1 BYE"),
        ("a", "CSeq: 1 BYE"),
        ("b", "CSeq: 1 BYE"),
        ("c", "CSeq: 1 INVITE\r\nContent-Length: x"),
        ("c", "CSeq: 1 INVITE\r\nContent-Length: x"),
    ] {
        world.send(phone, request(id, broken));
        let answer = world.expect(phone, "400");
        tags.push(answer.to().unwrap().unwrap().tag().unwrap().to_owned());
        assert!(!answer.has(HeaderName::Contact));
    }
    assert_eq!(tags[0], tags[1]);
    assert_ne!(tags[0], tags[2]);
    assert_eq!(tags[3], tags[4]);
    assert_eq!(world.proxy().gauges(), viaduct_routing::Gauges::default());
}
