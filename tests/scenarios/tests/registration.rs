//! Devices register, refresh, leave and are found (RFC 3261 section 10, RFC 8760).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Event, Flag, UnregisterReason};
use viaduct_sim::{PHONE_OFFER, World};
use viaduct_sip::digest::{Algorithm, Challenge};
use viaduct_sip::{Aor, HeaderName, Host, Method, Transport};

fn algorithms(world: &mut World, end: viaduct_sim::EndId) -> Vec<Algorithm> {
    let request = world.register_request(end).build().unwrap();
    world.send(end, request);
    let challenge = world.expect(end, "401");
    let values = challenge.headers(HeaderName::WwwAuthenticate);
    values
        .map(|header| Challenge::parse(header.value()).unwrap().algorithm)
        .collect()
}

#[test]
fn browsers_are_challenged_with_md5_last_and_phones_with_md5_alone() {
    let mut world = World::new();
    for (transport, expected) in [
        (Transport::Ws, vec![Algorithm::Sha256, Algorithm::Md5]),
        (Transport::Wss, vec![Algorithm::Sha256, Algorithm::Md5]),
        (Transport::Udp, vec![Algorithm::Md5]),
        (Transport::Tcp, vec![Algorithm::Md5]),
    ] {
        let end = world.add("300", transport);
        assert_eq!(algorithms(&mut world, end), expected, "{transport}");
    }
}

#[test]
fn a_user_may_have_a_list_of_algorithms_of_its_own() {
    let mut world = World::with(|_, users| {
        let user = users.iter_mut().find(|user| user.name == "201").unwrap();
        let both = vec![Algorithm::Sha256, Algorithm::Md5];
        user.challenge = Some(viaduct_routing::UserChallenge {
            websocket: both.clone(),
            other: both,
        });
    });
    let phone = world.phone("201");
    assert_eq!(algorithms(&mut world, phone), [Algorithm::Sha256, Algorithm::Md5]);
}

/// `SRC_WS` makes `DST_WS` of a contact, over WS and WSS alike.
#[test]
fn the_branch_flag_remembers_who_came_over_websocket() {
    let mut world = World::new();
    for (transport, flagged) in [
        (Transport::Ws, true),
        (Transport::Wss, true),
        (Transport::Udp, false),
    ] {
        let end = world.add("300", transport);
        world.register(end);
        let flow = world.flow(end);
        let events = world.events();
        let registered = events
            .iter()
            .any(|event| matches!(event, Event::Registered { flow: at, .. } if *at == flow));
        assert!(registered, "{events:?}");
        let call = world.phone("201");
        world.call(call, "300", Some(PHONE_OFFER));
        let now = world.now();
        let has = world
            .proxy()
            .calls(now)
            .iter()
            .any(|call| call.flags.has(Flag::DstWs));
        assert_eq!(has, flagged, "{transport}");
        world = World::new();
    }
}

#[test]
fn only_the_accounts_own_address_may_be_registered() {
    let mut world = World::new();
    let phone = world.phone("201");
    let stolen = world.register_request(phone);
    let octets = stolen.to("<sip:202@example.com>").build().unwrap();
    let request = viaduct_sip::Message::parse_frame(octets, &viaduct_sip::Limits::default()).unwrap();
    world.send(phone, request.octets().clone());
    // The challenge is for whoever knows a password; 201's does not open 202.
    world.expect(phone, "401");
    let again = world.register_request(phone).to("<sip:202@example.com>");
    world.send_with_password(phone, again);
    world.expect(phone, "403");
}

#[test]
fn a_registration_is_acknowledged_only_when_it_is_durable() {
    let mut world = World::new();
    let phone = world.phone("201");
    world.store_works = false;
    let request = world.register_request(phone);
    world.send_with_password(phone, request);
    world.expect(phone, "500");
}

#[test]
fn a_phone_that_leaves_is_gone_and_one_that_stays_silent_expires() {
    let mut world = World::new();
    let (leaving, silent) = (world.phone("201"), world.phone("202"));
    world.register(leaving);
    world.register(silent);
    let request = world.register_request(leaving).header(HeaderName::Expires, "0");
    world.send_with_password(leaving, request);
    let answer = world.expect(leaving, "200");
    assert!(!answer.has(HeaderName::Contact));
    world.events();
    world.pass(301.0);
    let now = world.now();
    world.proxy().expire_bindings(now);
    world.settle();
    let aor = Aor::new("202", &Host::parse("example.com").unwrap());
    let expired = world.events().into_iter().find_map(|event| match event {
        Event::Unregistered { aor, reason, .. } => Some((aor, reason)),
        _ => None,
    });
    assert_eq!(expired, Some((aor, UnregisterReason::Expired)));
}

/// A page that is closed takes its contact with it: a call to it fails at once, not after a timeout.
#[test]
fn a_browser_whose_connection_closes_is_gone_at_once() {
    let mut world = World::new();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(phone);
    world.register(browser);
    world.disconnect(browser);
    world.dial(phone, "300", Some(PHONE_OFFER));
    world.expect(phone, "480");
}

/// A REGISTER that came twice is answered twice with the same, and counts once.
#[test]
fn a_repeated_register_is_absorbed() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world.register_request(phone);
    let sent = world.send_with_password(phone, request);
    let first = world.expect(phone, "200");
    world.send(phone, sent.octets().clone());
    assert_eq!(world.expect(phone, "200").octets(), first.octets());
    assert_eq!(world.proxy().counters().0.registers, 1);
}

/// RFC 3261 17.2.2 and 8.2.7: the 200 got lost. Its count of the nonce is used up, and yet the phone is told what stands,
/// with the tag that it would have read first.
#[test]
fn a_register_whose_answer_got_lost_is_told_what_stands() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world
        .register_request(phone)
        .header(HeaderName::Expires, "300")
        .header(HeaderName::Supported, "gruu, path");
    let sent = world.send_with_password(phone, request);
    let first = world.expect(phone, "200");
    world.pass(3.0);
    world.send(phone, sent.octets().clone());
    let second = world.expect(phone, "200");
    let contact = |answer: &viaduct_sip::Message| answer.text(HeaderName::Contact).unwrap().to_owned();
    assert_eq!(
        contact(&second),
        contact(&first).replace("expires=300", "expires=297")
    );
    assert_eq!(second.text(HeaderName::To), first.text(HeaderName::To));
    assert!(first.to().unwrap().unwrap().tag().is_some());

    let leaving = world
        .register_request_bare(phone)
        .header(HeaderName::Contact, "*")
        .header(HeaderName::Expires, "0");
    world.send_with_password(phone, leaving);
    world.expect(phone, "200");
    world.send(phone, sent.octets().clone());
    let third = world.expect(phone, "200");
    assert!(!third.has(HeaderName::Contact), "a repeat registers nothing");
    assert_eq!(world.proxy().counters().0.registers, 2);

    world.pass(33.0);
    world.send(phone, sent.octets().clone());
    let forgotten = world.expect(phone, "401");
    assert!(
        forgotten
            .text(HeaderName::WwwAuthenticate)
            .unwrap()
            .contains("stale=true")
    );
}

/// RFC 3261 17.2.2: what was refused is refused again in the same words.
#[test]
fn a_refused_register_that_comes_again_gets_the_same_octets() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world.register_request(phone).header(HeaderName::Expires, "1");
    let sent = world.send_with_password(phone, request);
    let first = world.expect(phone, "423");
    world.pass(3.0);
    world.send(phone, sent.octets().clone());
    assert_eq!(world.expect(phone, "423").octets(), first.octets());
}

#[test]
fn an_overheard_register_is_worth_nothing_to_somebody_else() {
    let mut world = World::new();
    let (phone, thief) = (world.phone("201"), world.phone("202"));
    let request = world.register_request(phone);
    let sent = world.send_with_password(phone, request);
    world.expect(phone, "200");
    let mut edit = viaduct_sip::Edit::new(&sent);
    edit.set(HeaderName::Via, "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKthief");
    edit.set(HeaderName::CallId, "another");
    let replay = edit.finish().unwrap();
    world.send(thief, replay);
    world.expect(thief, "401");
}

#[test]
fn options_to_the_proxy_is_answered_without_a_password() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world.request(phone, Method::Options, "").build();
    // No user part: the proxy itself.
    let octets = std::str::from_utf8(&request.unwrap())
        .unwrap()
        .replace("sip:@example.com", "sip:example.com");
    world.send(phone, octets.into_bytes());
    let answer = world.expect(phone, "200");
    assert!(answer.has(HeaderName::Allow) && answer.has(HeaderName::Accept));
}

/// `auth.trust_from`: devices of a network are believed, unless they name nobody.
#[test]
fn devices_of_a_trusted_network_need_no_password() {
    let ten = viaduct_routing::Network {
        address: [10, 0, 0, 0].into(),
        prefix: 24,
    };
    let mut world = World::with(|config, _| config.auth.trust_from = vec![ten]);
    let (caller, callee, stranger) = (world.phone("200"), world.phone("201"), world.phone("nobody"));
    for end in [caller, callee] {
        let request = world.register_request(end).build().unwrap();
        world.send(end, request);
        assert_eq!(
            world
                .expect(end, "200")
                .text(HeaderName::Contact)
                .map(|contact| contact.contains("expires=")),
            Some(true)
        );
    }
    let register = world.register_request(stranger).build().unwrap();
    world.send(stranger, register);
    world.expect(stranger, "401");

    let invite = world.request(caller, Method::Invite, "201");
    world.send(caller, invite.build().unwrap());
    world.expect(callee, "INVITE");
    let message = world.request(stranger, Method::Message, "201");
    world.send(stranger, message.build().unwrap());
    world.expect(stranger, "407");
}

#[test]
fn a_trusted_network_is_no_other_network() {
    let other = viaduct_routing::Network {
        address: [10, 0, 1, 0].into(),
        prefix: 24,
    };
    let mut world = World::with(|config, _| config.auth.trust_from = vec![other]);
    let phone = world.phone("200");
    let request = world.register_request(phone).build().unwrap();
    world.send(phone, request);
    world.expect(phone, "401");
}
