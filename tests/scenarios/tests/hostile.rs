//! Nothing from the network hijacks a call, relays for strangers, or keeps anything.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use proptest::prelude::*;
use viaduct_sim::{BROWSER_OFFER, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method};

#[test]
fn nobody_calls_without_a_password_or_in_anothers_name() {
    let mut world = World::new();
    let (phone, victim) = (world.phone("201"), world.phone("202"));
    world.register(victim);
    let invite = world
        .request(phone, Method::Invite, "202")
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(phone, invite);
    world.expect(phone, "407");
    let forged = world
        .request(phone, Method::Invite, "202")
        .from("<sip:300@example.com>;tag=x");
    world.send_with_password(phone, forged.body("application/sdp", PHONE_OFFER));
    world.expect(phone, "403");
    let foreign = world
        .request(phone, Method::Invite, "202")
        .from("<sip:boss@bank.example>;tag=x");
    world.send_with_password(phone, foreign.body("application/sdp", PHONE_OFFER));
    world.expect(phone, "403");
    world.expect_nothing(victim);
    assert!(world.relay.asked.is_empty());
}

#[test]
fn a_withheld_number_needs_a_password_all_the_same() {
    let mut world = World::new();
    let (phone, callee) = (world.phone("201"), world.phone("202"));
    world.register(callee);
    let hidden = world
        .request(phone, Method::Invite, "202")
        .from("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=x");
    world.send_with_password(phone, hidden.body("application/sdp", PHONE_OFFER));
    world.expect(phone, "100");
    world.expect(callee, "INVITE");
}

#[test]
fn the_proxy_relays_for_nobody() {
    let mut world = World::new();
    let phone = world.phone("201");
    for (uri, route) in [
        ("sip:victim@bank.example", ""),
        ("sip:201@example.com", "Route: <sip:bank.example;lr>\r\n"),
        ("sip:+491234@198.51.100.1;transport=tcp", ""),
    ] {
        let request = world.request(phone, Method::Invite, "201").build().unwrap();
        let octets = String::from_utf8(request.to_vec()).unwrap();
        let octets = octets.replacen("sip:201@example.com", uri, 1).replacen(
            "\r\nFrom",
            &format!("\r\n{route}From"),
            1,
        );
        world.send(phone, octets.into_bytes());
        world.expect(phone, "403");
    }
}

#[test]
fn unknown_schemes_and_extensions_are_named() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world.request(phone, Method::Invite, "201").build().unwrap();
    let octets =
        String::from_utf8(request.to_vec())
            .unwrap()
            .replacen("sip:201@example.com", "mailto:a@b.c", 1);
    world.send(phone, octets.into_bytes());
    world.expect(phone, "416");
    let request = world
        .request(phone, Method::Invite, "202")
        .header(HeaderName::ProxyRequire, "x-magic")
        .build();
    world.send(phone, request.unwrap());
    let answer = world.expect(phone, "420");
    assert_eq!(answer.text(HeaderName::Unsupported), Some("x-magic"));
    let request = world
        .register_request(phone)
        .header(HeaderName::Require, "x-magic")
        .build()
        .unwrap();
    world.send(phone, request);
    world.expect(phone, "420");
}

#[test]
fn too_many_hops_end_here() {
    let mut world = World::new();
    let browser = world.browser("300");
    let request = world
        .request(browser, Method::Invite, "201")
        .max_forwards(0)
        .build()
        .unwrap();
    world.send(browser, request);
    world.expect(browser, "483");
}

/// RFC 5393 section 4.2: a request that comes back as it first came has been here. One that was changed where it matters for
/// its way has not.
#[test]
fn a_loop_ends_here_and_a_spiral_goes_on() {
    let mut world = World::with(|config, _| {
        config.auth.trust_from = vec![viaduct_routing::Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
    });
    let (caller, phone, other) = (world.phone("202"), world.phone("201"), world.phone("203"));
    for end in [phone, other] {
        let request = world.register_request(end).build().unwrap();
        world.send(end, request);
        world.expect(end, "200");
    }
    for method in [Method::Invite, Method::Message] {
        let request = world.request(caller, method, "201").build().unwrap();
        world.send(caller, request);
        let got = world.expect(phone, method.as_str());
        for (number, (uri, call_id, is_loop)) in [
            ("sip:201@example.com", "", true),
            ("sip:203@example.com", "", false),
            ("sip:201@example.com", "another", false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut edit = viaduct_sip::Edit::new(&got);
            edit.set_request_uri(uri).prepend(
                HeaderName::Via,
                format!("SIP/2.0/UDP 10.0.0.2:5002;branch=z9hG4bKback{number}"),
            );
            edit.remove_all(HeaderName::RecordRoute);
            if !call_id.is_empty() {
                edit.set(HeaderName::CallId, format!("{call_id}{method:?}"));
            }
            world.send(phone, edit.finish().unwrap());
            if is_loop {
                world.expect(phone, "482");
                continue;
            }
            let reached = if uri.contains("203") { other } else { phone };
            let again = std::iter::from_fn(|| world.try_take(reached))
                .find(|message| message.method() == Some(method))
                .unwrap_or_else(|| panic!("{method:?} to {uri} with {call_id:?} went nowhere"));
            assert_eq!(again.vias().count(), 4, "ours, theirs, ours and the caller's");
            world.clear(phone);
        }
    }
}

/// Somebody who knows Call-ID and tags, but not our token, cannot touch the call.
#[test]
fn a_request_of_a_call_without_our_token_is_nobodys() {
    let mut world = World::new();
    let (browser, phone, thief) = (world.browser("300"), world.phone("201"), world.phone("202"));
    for end in [browser, phone, thief] {
        world.register(end);
    }
    let (caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let mut stolen = viaduct_sim::Dialog {
        end: thief,
        routes: Vec::new(),
        ..caller.clone()
    };
    world.send_in(&mut stolen, Method::Bye, None);
    world.expect(thief, "481");
    stolen.routes = caller
        .routes
        .iter()
        .map(|route| route.replacen("sip:", "sip:A", 1))
        .collect();
    world.send_in(&mut stolen, Method::Bye, None);
    world.expect(thief, "403");
    // A token of another call of the thief's own is no better.
    world.answered(thief, phone, PHONE_OFFER, PHONE_ANSWER);
    world.clear(thief);
    assert_eq!(world.relay.sessions().len(), 2);
    world.expect_nothing(browser);
}

#[test]
fn a_cancel_of_nothing_is_481_and_a_bye_outside_a_dialog_too() {
    let mut world = World::new();
    let phone = world.phone("201");
    let invite = world.request(phone, Method::Invite, "202").build().unwrap();
    let invite = viaduct_sip::Message::parse_frame(invite, &viaduct_sip::Limits::default()).unwrap();
    world.cancel(phone, &invite);
    world.expect(phone, "481");
    let bye = world.request(phone, Method::Bye, "202").build().unwrap();
    world.send(phone, bye);
    world.expect(phone, "481");
}

#[test]
fn broken_requests_are_answered_when_they_can_be() {
    let mut world = World::new();
    let phone = world.phone("201");
    let good = world.request(phone, Method::Options, "202").build().unwrap();
    let good = String::from_utf8(good.to_vec()).unwrap();
    for (from, to, status) in [
        ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", "400"),
        ("SIP/2.0\r\n", "SIP/7.0\r\n", "505"),
        ("Max-Forwards: 70", "Max-Forwards: many", "400"),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 70\r\nContent-Length: 1\r\nContent-Length: 2",
            "400",
        ),
    ] {
        assert!(good.contains(from), "{good}");
        world.send(phone, good.replacen(from, to, 1).into_bytes());
        world.expect(phone, status);
    }
    // An answer is recognised by Via and CSeq (RFC 3261 section 17.1.3).
    world.send(phone, good.replace("Call-ID", "X-ID").into_bytes());
    assert!(!world.expect(phone, "400").has(HeaderName::CallId));
    world.send(phone, good.replace("CSeq", "X-CSeq").into_bytes());
    world.expect_nothing(phone);
    world.expect_clean();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done to the octets of a call's messages, nothing panics and the call of others goes on.
    #[test]
    fn garbage_leaves_other_calls_alone(
        seed in proptest::collection::vec((0usize..2_000, any::<u8>()), 1..40),
        cut in 0usize..2_000,
    ) {
        let mut world = World::new();
        let (browser, phone, stranger) = (world.browser("300"), world.phone("201"), world.phone("202"));
        for end in [browser, phone, stranger] {
            world.register(end);
        }
        let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
        let asked = world_message(&mut world, stranger);
        let samples = [
            world.request(stranger, Method::Invite, "201").body("application/sdp", PHONE_OFFER).build().unwrap(),
            world.in_dialog(&caller, Method::Invite, Some(BROWSER_OFFER)).octets().clone(),
            world.response(stranger, &asked, 200, Some(PHONE_ANSWER)),
        ];
        for sample in samples {
            let mut octets = sample.to_vec();
            for &(at, byte) in &seed {
                let at = at % octets.len();
                octets[at] = byte;
            }
            octets.truncate(octets.len().max(1).min(cut.max(1)));
            world.send(stranger, octets);
        }
        world.clear(browser);
        world.clear(phone);
        world.send_in(&mut caller, Method::Info, None);
        let info = world.expect(phone, "INFO");
        world.respond(phone, &info, 200, None);
        world.expect(browser, "200");
    }
}

fn world_message(world: &mut World, end: viaduct_sim::EndId) -> viaduct_sip::Message {
    let octets = world.request(end, Method::Invite, "201").build().unwrap();
    viaduct_sip::Message::parse_frame(octets, &viaduct_sip::Limits::default()).unwrap()
}

/// The clock of an attacker who guesses passwords runs slower and slower; the owner elsewhere notices nothing.
#[test]
fn guessing_passwords_costs_time_that_grows() {
    let mut world = World::with(|_, users| {
        users.iter_mut().find(|user| user.name == "201").unwrap().secrets =
            viaduct_routing::User::with_password("201", "example.com", "another").secrets;
    });
    let thief = world.phone("201");
    let mut waits = Vec::new();
    for _ in 0..14 {
        let request = world.register_request(thief);
        world.send_with_password(thief, request);
        let answer = world.take(thief);
        match answer.status().map(viaduct_sip::StatusCode::get) {
            Some(401) => {}
            Some(503) => {
                let seconds: u32 = answer.text(HeaderName::RetryAfter).unwrap().parse().unwrap();
                waits.push(seconds);
                world.pass(f64::from(seconds));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [1, 2], "every further guess is paid for");
    assert!(world.proxy().counters().0.passwords_paused >= 2);
}

#[test]
fn a_source_that_floods_is_slowed_and_others_are_not() {
    let mut world = World::new();
    let (flooder, phone) = (world.phone("202"), world.phone("201"));
    let mut answers = std::collections::BTreeMap::new();
    for _ in 0..600 {
        let request = world.register_request(flooder).build().unwrap();
        world.send(flooder, request);
        *answers
            .entry(world.take(flooder).status().unwrap().get())
            .or_insert(0) += 1;
    }
    assert_eq!(answers, [(401, 500), (503, 100)].into());
    world.register(phone);
    assert_eq!(world.proxy().counters().0.requests_over_rate, 100);
}

#[test]
fn a_user_bound_to_a_transport_may_not_use_another() {
    let mut world = World::with(|_, users| {
        let user = users.iter_mut().find(|user| user.name == "201").unwrap();
        user.transports = Some(vec![viaduct_sip::Transport::Wss]);
    });
    let phone = world.phone("201");
    let request = world.register_request(phone);
    world.send_with_password(phone, request);
    world.expect(phone, "403");
}
