//! Several devices ring, callers give up, phones say no (RFC 3261 sections 9 and 16.7).

use viaduct_routing::{CallEnd, Event};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method};

/// 300 calls 201, who has a desk phone and a browser.
fn forked() -> (World, EndId, EndId, EndId) {
    let mut world = World::new();
    let (caller, phone, browser) = (world.browser("300"), world.phone("201"), world.browser("201"));
    for end in [caller, phone, browser] {
        world.register(end);
    }
    (world, caller, phone, browser)
}

#[test]
fn every_device_rings_with_an_offer_of_its_own() {
    let (mut world, caller, phone, browser) = forked();
    world.call(caller, "201", Some(BROWSER_OFFER));
    let (to_phone, to_browser) = (world.expect(phone, "INVITE"), world.expect(browser, "INVITE"));
    assert!(viaduct_sim::body_of(&to_phone).contains(" RTP/AVP "));
    assert!(viaduct_sim::body_of(&to_browser).contains(" UDP/TLS/RTP/SAVPF "));
    let branches: Vec<_> = world
        .relay
        .asked
        .iter()
        .map(|asked| match &asked.request {
            viaduct_ng::Request::Offer(offer) => offer.via_branch.clone().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_ne!(branches[0], branches[1], "the relay tells the branches apart");
}

#[test]
fn the_first_to_answer_wins_and_the_others_stop_ringing_without_a_missed_call() {
    let (mut world, caller, phone, browser) = forked();
    world.call(caller, "201", Some(BROWSER_OFFER));
    let (to_phone, to_browser) = (world.expect(phone, "INVITE"), world.expect(browser, "INVITE"));
    world.respond(phone, &to_phone, 180, None);
    world.respond(browser, &to_browser, 180, None);
    world.expect(caller, "180");
    world.expect(caller, "180");
    world.respond(browser, &to_browser, 200, Some(BROWSER_ANSWER));
    let ok = world.expect(caller, "200");
    let cancel = world.expect(phone, "CANCEL");
    let reason = cancel.text(HeaderName::Reason).unwrap();
    assert!(
        reason.contains("cause=200") && reason.contains("Call completed elsewhere"),
        "{reason}"
    );
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &to_phone, 487, None);
    world.expect(phone, "ACK");
    world.expect_nothing(caller);
    assert_eq!(world.relay.commands(), ["offer", "offer", "answer", "delete"]);
    assert_eq!(world.relay.sessions().len(), 1, "the winner's media stays");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(browser, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(browser, "BYE");
    world.respond(browser, &bye, 200, None);
    world.expect_clean();
}

/// RFC 3261 section 16.7 step 6, and the relay forgets each branch with its refusal.
#[test]
fn the_best_of_all_refusals_comes_back_when_the_last_device_refuses() {
    let (mut world, caller, phone, browser) = forked();
    let invite = world.call(caller, "201", Some(BROWSER_OFFER));
    let (to_phone, to_browser) = (world.expect(phone, "INVITE"), world.expect(browser, "INVITE"));
    world.respond(phone, &to_phone, 486, None);
    world.expect(phone, "ACK");
    world.expect_nothing(caller);
    world.respond(browser, &to_browser, 480, None);
    let refusal = world.expect(caller, "486");
    world.ack_refusal(caller, &invite, &refusal);
    let failed = |event: &Event| {
        matches!(
            event,
            Event::CallEnded {
                end: CallEnd::Failed { status: 486, .. },
                ..
            }
        )
    };
    assert!(world.events().iter().any(failed));
    world.expect_clean();
}

#[test]
fn a_decline_everywhere_ends_the_ringing_of_all() {
    let (mut world, caller, phone, browser) = forked();
    world.call(caller, "201", Some(BROWSER_OFFER));
    let (to_phone, to_browser) = (world.expect(phone, "INVITE"), world.expect(browser, "INVITE"));
    world.respond(browser, &to_browser, 180, None);
    world.respond(phone, &to_phone, 603, None);
    let cancel = world.expect(browser, "CANCEL");
    world.respond(browser, &cancel, 200, None);
    world.respond(browser, &to_browser, 487, None);
    world.expect(caller, "180");
    world.expect(caller, "603");
    world.expect_clean();
}

#[test]
fn a_caller_who_gives_up_stops_every_ring() {
    let (mut world, caller, phone, browser) = forked();
    let invite = world.call(caller, "201", Some(BROWSER_OFFER));
    let (to_phone, to_browser) = (world.expect(phone, "INVITE"), world.expect(browser, "INVITE"));
    world.respond(phone, &to_phone, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let cancel = world.expect(phone, "CANCEL");
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &to_phone, 487, None);
    // The browser has said nothing yet: its CANCEL waits for its first word (section 9.1).
    world.expect_nothing(browser);
    world.respond(browser, &to_browser, 180, None);
    world.expect(caller, "180");
    let cancel = world.expect(browser, "CANCEL");
    world.respond(browser, &cancel, 200, None);
    world.expect_nothing(caller);
    world.respond(browser, &to_browser, 487, None);
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::CallEnded {
            end: CallEnd::Cancelled,
            ..
        }
    )));
    world.expect_clean();
}

/// A CANCEL that crosses a 200 loses: the call exists and so must its media.
#[test]
fn a_cancel_that_crosses_an_answer_loses() {
    let mut world = World::new();
    let (caller, phone) = (world.browser("300"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    let invite = world.call(caller, "201", Some(BROWSER_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.respond(phone, &to_phone, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    world.expect(phone, "CANCEL");
    world.respond(phone, &to_phone, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    assert_eq!(ok.cseq().unwrap().unwrap().method, Method::Invite);
    assert_eq!(world.relay.sessions().len(), 1);
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(phone, "BYE");
    world.respond(phone, &bye, 200, None);
    world.expect_clean();
}

/// While the relay writes the offer nobody has been bothered, and nobody is.
#[test]
fn a_call_cancelled_before_the_relay_answered_bothers_nobody() {
    let mut world = World::new();
    let (caller, phone) = (world.browser("300"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    world.relay.mood = viaduct_sim::Mood::Slow;
    let invite = world.call(caller, "201", Some(BROWSER_OFFER));
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    world.expect(caller, "487");
    world.let_relay_answer();
    world.expect_nothing(phone);
    assert_eq!(
        world.relay.commands(),
        ["offer", "delete"],
        "the session is deleted after it was made"
    );
    world.expect_clean();
}

/// Timer C (RFC 3261 section 16.8): a phone that rings for ever is cancelled.
#[test]
fn a_phone_that_rings_for_three_minutes_is_given_up() {
    let mut world = World::new();
    let (caller, phone) = (world.browser("300"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    world.call(caller, "201", Some(BROWSER_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.respond(phone, &to_phone, 180, None);
    world.pass(120.0);
    world.respond(phone, &to_phone, 180, None);
    world.pass(170.0);
    world.expect_nothing(phone);
    world.pass(11.0);
    let cancel = world.expect(phone, "CANCEL");
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &to_phone, 487, None);
    world.clear(caller);
    world.expect_clean();
}

/// A phone that is switched off: the INVITE is repeated, then the caller hears so (timer B).
#[test]
fn a_phone_that_is_switched_off_is_a_timeout() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    world.pass(33.0);
    let repeats = std::iter::from_fn(|| Some(world.take(phone))).take(7).count();
    assert_eq!(repeats, 7);
    let refusal = world.expect(caller, "408");
    world.ack_refusal(caller, &invite, &refusal);
    world.clear(caller);
    world.expect_clean();
}

#[test]
fn a_caller_whose_connection_breaks_while_it_rings_stops_the_ringing() {
    let mut world = World::new();
    let (caller, phone) = (world.browser("300"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    world.call(caller, "201", Some(BROWSER_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.respond(phone, &to_phone, 180, None);
    world.disconnect(caller);
    let cancel = world.expect(phone, "CANCEL");
    assert!(
        cancel
            .text(HeaderName::Reason)
            .unwrap()
            .contains("Connection lost")
    );
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &to_phone, 487, None);
    world.expect_clean();
}

#[test]
fn a_callee_whose_connection_breaks_while_it_rings_is_gone_at_once() {
    let mut world = World::new();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(phone);
    world.register(browser);
    let invite = world.call(phone, "300", Some(PHONE_OFFER));
    let to_browser = world.expect(browser, "INVITE");
    world.respond(browser, &to_browser, 180, None);
    world.expect(phone, "180");
    world.disconnect(browser);
    let refusal = world.expect(phone, "480");
    world.ack_refusal(phone, &invite, &refusal);
    world.expect_clean();
}

/// The proxy learns only by sending that the connection is gone: the caller hears so in the same instant.
#[test]
fn a_connection_found_dead_on_sending_is_a_480() {
    let mut world = World::new();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(phone);
    world.register(browser);
    world.disconnect_unnoticed(browser);
    world.call(phone, "300", Some(PHONE_OFFER));
    world.expect(phone, "480");
    world.dial(phone, "300", Some(PHONE_OFFER));
    world.expect(phone, "480");
    world.clear(phone);
    world.expect_clean();
}
