//! Targets in parallel and one after the other, the best answer, redirections (RFC 3261 sections 16.5 to 16.8,
//! RFC 5393).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Destination, Redirects, Ring, Routes, Rule, Trunk, Trunks};
use viaduct_sim::{Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

/// Registers an end with a preference.
fn register_with_q(world: &mut World, end: EndId, q: &str) {
    let request = world.register_request_with(end, &format!(";q={q}"));
    world.send_with_password(end, request);
    world.expect(end, "200");
}

/// 202 calls 201, who has two desk phones of preference 1.0 and one of 0.5.
fn preferring() -> (World, EndId, [EndId; 3]) {
    let mut world = World::new();
    let caller = world.phone("202");
    let phones = [world.phone("201"), world.phone("201"), world.phone("201")];
    for (phone, q) in phones.into_iter().zip(["1.0", "1.0", "0.5"]) {
        register_with_q(&mut world, phone, q);
    }
    (world, caller, phones)
}

fn route(to: &str, users: &[&str], ring: Ring) -> Rule {
    Rule {
        send_to: users
            .iter()
            .map(|&user| Destination::User(user.to_owned()))
            .collect(),
        ring,
        ..Rule::new(to, Destination::User(String::new()))
    }
}

fn refuse(world: &mut World, phone: EndId, invite: &Message, status: u16) {
    world.respond(phone, invite, status, None);
    world.expect(phone, "ACK");
}

/// RFC 3261 section 16.6 step 4: equal preference rings together, lower preference when the higher has failed.
#[test]
fn devices_of_lower_preference_ring_when_those_of_higher_have_failed() {
    let (mut world, caller, [a, b, c]) = preferring();
    world.call(caller, "201", Some(PHONE_OFFER));
    let (to_a, to_b) = (world.expect(a, "INVITE"), world.expect(b, "INVITE"));
    world.expect_nothing(c);
    refuse(&mut world, a, &to_a, 486);
    world.expect_nothing(c);
    refuse(&mut world, b, &to_b, 480);
    let to_c = world.expect(c, "INVITE");
    world.expect_nothing(caller);
    world.respond(c, &to_c, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(c, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(c, "BYE");
    world.respond(c, &bye, 200, None);
    world.expect_clean();
}

/// RFC 3261 section 16.6 step 11: a group that rings too long is cancelled and the next is tried; what the cancelled
/// devices say to that is nobody's answer.
#[test]
fn a_group_that_rings_too_long_gives_way_to_the_next() {
    let (mut world, caller, [a, b, c]) = preferring();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let (to_a, to_b) = (world.expect(a, "INVITE"), world.expect(b, "INVITE"));
    world.respond(a, &to_a, 180, None);
    world.respond(b, &to_b, 180, None);
    world.clear(caller);
    world.pass(19.0);
    world.expect_nothing(c);
    world.pass(1.2);
    world.respond(a, &to_a, 180, None);
    world.expect_nothing(caller);
    for (phone, ringing) in [(a, &to_a), (b, &to_b)] {
        let cancel = world.expect(phone, "CANCEL");
        world.respond(phone, &cancel, 200, None);
        refuse(&mut world, phone, ringing, 487);
    }
    let to_c = world.expect(c, "INVITE");
    world.respond(c, &to_c, 180, None);
    world.expect(caller, "180");
    world.pass(60.0);
    world.expect_nothing(c);
    refuse(&mut world, c, &to_c, 486);
    let refusal = world.expect(caller, "486");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 3261 section 16.7 step 6: 408 only when there is nothing else.
#[test]
fn devices_that_all_rang_too_long_are_a_timeout() {
    let mut world = World::with(|config, _| {
        config.routes = Routes::new(vec![route("600", &["201", "203"], Ring::OneByOne)]);
        config.times.ringing_max = std::time::Duration::from_secs(15);
    });
    let (caller, first, second) = (world.phone("202"), world.phone("201"), world.phone("203"));
    world.register(first);
    world.register(second);
    let invite = world.call(caller, "600", Some(PHONE_OFFER));
    for phone in [first, second] {
        let ringing = world.expect(phone, "INVITE");
        world.respond(phone, &ringing, 180, None);
        world.expect(caller, "180");
        world.pass(15.2);
        let cancel = world.expect(phone, "CANCEL");
        world.respond(phone, &cancel, 200, None);
        refuse(&mut world, phone, &ringing, 487);
    }
    let refusal = world.expect(caller, "408");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 3261 section 16.7 step 5: a 6xx ends the search.
#[test]
fn a_6xx_keeps_the_next_group_from_being_tried() {
    let (mut world, caller, [a, b, c]) = preferring();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let (to_a, to_b) = (world.expect(a, "INVITE"), world.expect(b, "INVITE"));
    world.respond(b, &to_b, 180, None);
    world.expect(caller, "180");
    refuse(&mut world, a, &to_a, 600);
    let cancel = world.expect(b, "CANCEL");
    world.respond(b, &cancel, 200, None);
    refuse(&mut world, b, &to_b, 487);
    let refusal = world.expect(caller, "600");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_nothing(c);
    world.expect_clean();
}

/// RFC 3261 section 16.10: who gave up wants nobody else to ring.
#[test]
fn a_caller_who_gives_up_keeps_the_next_group_from_being_tried() {
    let (mut world, caller, [a, b, c]) = preferring();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let (to_a, to_b) = (world.expect(a, "INVITE"), world.expect(b, "INVITE"));
    refuse(&mut world, b, &to_b, 486);
    world.respond(a, &to_a, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let cancel = world.expect(a, "CANCEL");
    world.respond(a, &cancel, 200, None);
    refuse(&mut world, a, &to_a, 487);
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_nothing(c);
    world.expect_clean();
}

/// RFC 3326: the Reason of the caller's CANCEL reaches the phones.
#[test]
fn the_reason_of_a_cancel_is_passed_on() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.respond(phone, &to_phone, 180, None);
    world.expect(caller, "180");
    let cancel = viaduct_sip::RequestBuilder::cancel_for(&invite).unwrap();
    let cancel = cancel.header(HeaderName::Reason, "Q.850;cause=16;text=\"Terminated\"");
    world.send(caller, cancel.build().unwrap());
    world.expect(caller, "200");
    let cancel = world.expect(phone, "CANCEL");
    assert_eq!(
        cancel.text(HeaderName::Reason),
        Some("Q.850;cause=16;text=\"Terminated\"")
    );
}

/// RFC 3261 section 9.1: a phone that answers neither the CANCEL nor the INVITE is given up after 64*T1, as 487.
#[test]
fn a_phone_deaf_to_cancel_is_given_up_after_64_t1() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.respond(phone, &to_phone, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    world.pass(31.0);
    world.expect_nothing(caller);
    world.pass(1.5);
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 3261 section 16.7 step 7: the caller is asked at once for everything that the branches want.
#[test]
fn the_challenges_of_all_branches_go_up_together() {
    let mut world = World::new();
    let (caller, a, b) = (world.phone("202"), world.phone("201"), world.phone("201"));
    world.register(a);
    world.register(b);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    for (phone, status, name, realm) in [
        (a, 407, "Proxy-Authenticate", "one.example"),
        (b, 401, "WWW-Authenticate", "two.example"),
    ] {
        let got = world.expect(phone, "INVITE");
        let answer = world.response(phone, &got, status, None);
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let challenge = format!("\r\n{name}: Digest realm=\"{realm}\", nonce=\"n\"\r\nContent-Length");
        world.send(phone, answer.replacen("\r\nContent-Length", &challenge, 1));
    }
    let refusal = world.expect(caller, "407");
    let has = |name, realm: &str| {
        refusal
            .headers(name)
            .any(|header| String::from_utf8_lossy(header.value()).contains(realm))
    };
    assert!(has(HeaderName::ProxyAuthenticate, "one.example"));
    assert!(has(HeaderName::WwwAuthenticate, "two.example"));
    world.ack_refusal(caller, &invite, &refusal);
}

/// RFC 3261 section 16.7 step 6: a 503 of the only branch does not make the caller avoid this proxy.
#[test]
fn a_lone_503_goes_up_as_500() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    refuse(&mut world, phone, &got, 503);
    world.expect(caller, "500");
}

/// Routes with `ring: one_by_one`.
#[test]
fn the_users_of_a_route_ring_one_by_one() {
    let mut world = World::with(|config, _| {
        config.routes = Routes::new(vec![route("600", &["203", "201", "204"], Ring::OneByOne)]);
    });
    let (caller, first, last) = (world.phone("202"), world.phone("201"), world.phone("204"));
    world.register(first);
    world.register(last);
    let invite = world.call(caller, "600", Some(PHONE_OFFER));
    // 203 is not registered: the list goes on with who is.
    let to_first = world.expect(first, "INVITE");
    world.expect_nothing(last);
    refuse(&mut world, first, &to_first, 486);
    let to_last = world.expect(last, "INVITE");
    refuse(&mut world, last, &to_last, 404);
    let refusal = world.expect(caller, "486");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 5393 section 5.3.3: the breadth is divided among parallel branches, and bounds them.
#[test]
fn max_breadth_is_divided_among_branches_and_bounds_them() {
    let (mut world, caller, [a, b, c]) = preferring();
    world.call(caller, "201", Some(PHONE_OFFER));
    for phone in [a, b] {
        let got = world.expect(phone, "INVITE");
        assert_eq!(got.text(HeaderName::MaxBreadth), Some("30"));
        refuse(&mut world, phone, &got, 486);
    }
    let got = world.expect(c, "INVITE");
    assert_eq!(
        got.text(HeaderName::MaxBreadth),
        Some("60"),
        "nobody else shares it"
    );
    refuse(&mut world, c, &got, 486);
    world.clear(caller);
    let narrow = world
        .request(caller, Method::Invite, "201")
        .header(HeaderName::MaxBreadth, "1")
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(caller, narrow);
    world.expect(caller, "440");
    assert_eq!(world.proxy().counters().0.breadth_over_limit, 1);
}

fn redirect(world: &World, phone: EndId, invite: &Message, contact: &str) -> Vec<u8> {
    let answer = world.response(phone, invite, 302, None);
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let contact = format!("\r\nContact: {contact}\r\nContent-Length");
    answer.replacen("\r\nContent-Length", &contact, 1).into_bytes()
}

/// RFC 3261 section 16.5: by default the caller decides about a redirection.
#[test]
fn a_redirection_is_passed_to_the_caller() {
    let mut world = World::new();
    let (caller, phone, other) = (world.phone("202"), world.phone("201"), world.phone("203"));
    world.register(phone);
    world.register(other);
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let answer = redirect(&world, phone, &got, "<sip:203@example.com>");
    world.send(phone, answer);
    let refusal = world.expect(caller, "302");
    assert_eq!(refusal.text(HeaderName::Contact), Some("<sip:203@example.com>"));
    world.expect_nothing(other);
}

/// RFC 3261 sections 16.5 and 16.7 step 4: followed inside our domain, never to where the call was before.
#[test]
fn a_redirection_is_followed_inside_the_domain_and_never_twice() {
    let mut world = World::with(|config, _| config.redirects = Redirects::Follow);
    let (caller, phone, other) = (world.phone("202"), world.phone("201"), world.phone("203"));
    world.register(phone);
    world.register(other);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let both = "<sip:203@example.com>, <sip:x@bank.example>";
    let answer = redirect(&world, phone, &got, both);
    world.send(phone, answer);
    world.expect(phone, "ACK");
    world.expect_nothing(caller);
    let got = world.expect(other, "INVITE");
    // Back to where it came from: a loop that nobody follows.
    let answer = redirect(&world, other, &got, "<sip:201@example.com>");
    world.send(other, answer);
    world.expect(other, "ACK");
    world.expect_nothing(phone);
    let refusal = world.expect(caller, "302");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
    // Out of the domain: only the caller may decide.
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let answer = redirect(&world, phone, &got, "<sip:x@bank.example>");
    world.send(phone, answer);
    world.expect(caller, "302");
}

/// RFC 3261 section 16.7 steps 4 and 6: whoever redirects, the caller hears of all places in one answer.
#[test]
fn redirections_of_several_devices_go_up_together() {
    let mut world = World::new();
    let (caller, a, b) = (world.phone("202"), world.phone("201"), world.phone("201"));
    let c = world.phone("201");
    for phone in [a, b, c] {
        world.register(phone);
    }
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    for (phone, contacts) in [
        (
            a,
            "<sip:one@bank.example>;q=0.9, \"Two, or three\" <sip:two@bank.example>",
        ),
        (b, "<sip:two@else.example>,<sip:one@bank.example>;q=0.9"),
    ] {
        let got = world.expect(phone, "INVITE");
        let answer = redirect(&world, phone, &got, contacts);
        world.send(phone, answer);
        world.expect(phone, "ACK");
    }
    let got = world.expect(c, "INVITE");
    refuse(&mut world, c, &got, 486);
    let refusal = world.expect(caller, "302");
    let contacts: Vec<&[u8]> = refusal.values(HeaderName::Contact).collect();
    let expected = [
        "<sip:one@bank.example>;q=0.9",
        "\"Two, or three\" <sip:two@bank.example>",
        "<sip:two@else.example>",
    ];
    assert_eq!(contacts, expected.map(str::as_bytes));
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// What the caller may ring is bounded by what a call may ring here: the first device's word passes as it is.
#[test]
fn a_device_cannot_swell_the_redirection_of_another() {
    let mut world = World::with(|config, _| config.limits.branches_max = 4);
    let (caller, a, b) = (world.phone("202"), world.phone("201"), world.phone("201"));
    world.register(a);
    world.register(b);
    world.call(caller, "201", Some(PHONE_OFFER));
    let many = |of: &str| {
        let contacts: Vec<String> = (0..100).map(|n| format!("<sip:{n}@{of}.example>")).collect();
        contacts.join(", ")
    };
    for (phone, contacts) in [(a, "<sip:a@one.example>".to_owned()), (b, many("two"))] {
        let got = world.expect(phone, "INVITE");
        let answer = redirect(&world, phone, &got, &contacts);
        world.send(phone, answer);
    }
    let refusal = world.expect(caller, "302");
    assert_eq!(refusal.values(HeaderName::Contact).count(), 4);
    assert_eq!(world.proxy().counters().0.branches_over_limit, 97);
}

/// RFC 3261 section 16.7 step 4: what is followed is taken out, and the rest is the caller's if nobody answers.
#[test]
fn what_is_left_of_a_followed_redirection_goes_to_the_caller() {
    let mut world = World::with(|config, _| config.redirects = Redirects::Follow);
    let (caller, phone, other) = (world.phone("202"), world.phone("201"), world.phone("203"));
    world.register(phone);
    world.register(other);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let answer = redirect(&world, phone, &got, "<sip:203@example.com>, <sip:x@bank.example>");
    world.send(phone, answer);
    world.expect(phone, "ACK");
    let got = world.expect(other, "INVITE");
    refuse(&mut world, other, &got, 486);
    let refusal = world.expect(caller, "302");
    assert_eq!(refusal.text(HeaderName::Contact), Some("<sip:x@bank.example>"));
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_clean();
}

/// RFC 3261 section 16.7 step 10, RFC 6026: a second phone that answered before its CANCEL came is told by the caller.
#[test]
fn a_second_2xx_is_passed_on_too() {
    let (mut world, caller, [a, b, _]) = preferring();
    world.call(caller, "201", Some(PHONE_OFFER));
    let (to_a, to_b) = (world.expect(a, "INVITE"), world.expect(b, "INVITE"));
    world.respond(a, &to_a, 180, None);
    world.respond(b, &to_b, 180, None);
    world.clear(caller);
    world.respond(a, &to_a, 200, Some(PHONE_ANSWER));
    world.expect(b, "CANCEL");
    world.respond(b, &to_b, 200, Some(PHONE_ANSWER));
    let oks = [world.expect(caller, "200"), world.expect(caller, "200")];
    for (ok, phone) in oks.iter().zip([a, b]) {
        let mut dialog = Dialog::of_caller(caller, ok);
        world.send_in(&mut dialog, Method::Ack, None);
        world.expect(phone, "ACK");
        world.send_in(&mut dialog, Method::Bye, None);
        let bye = world.expect(phone, "BYE");
        world.respond(phone, &bye, 200, None);
    }
    world.expect_clean();
}

/// RFC 3261 section 9.1: a device that lost and has said nothing yet cannot be cancelled. The call does not wait for it.
#[test]
fn a_call_is_over_with_its_bye_although_a_silent_device_is_not_cancelled_yet() {
    let (mut world, caller, [a, b, _]) = preferring();
    world.call(caller, "201", Some(PHONE_OFFER));
    let to_a = world.expect(a, "INVITE");
    world.expect(b, "INVITE");
    world.respond(a, &to_a, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.send_in(&mut dialog, Method::Bye, None);
    world.expect(a, "ACK");
    let bye = world.expect(a, "BYE");
    world.respond(a, &bye, 200, None);
    assert_eq!(world.proxy().gauges().calls, 0);
    assert!(world.relay.sessions().is_empty());
    world.expect_clean();
}

/// RFC 3261 section 16.5: who is called does not spend the caller's money by a redirection to a carrier.
#[test]
fn a_redirection_never_leads_to_a_carrier() {
    let mut world = World::with(|config, _| {
        config.redirects = Redirects::Follow;
        config.trunks = Trunks::new(vec![Trunk::new("a", "a.carrier.example")], None);
        config.routes = Routes::new(vec![Rule::new("+*", "trunk:a".parse().unwrap())]);
    });
    let address = ([198, 51, 100, 1], 5060).into();
    world.names.add("a.carrier.example", &[(Transport::Udp, address)]);
    let carrier = world.server("a", Transport::Udp, "198.51.100.1:5060");
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let answer = redirect(&world, phone, &got, "<sip:+4930123456@example.com>");
    world.send(phone, answer);
    world.expect(caller, "302");
    world.expect_nothing(carrier);
}
