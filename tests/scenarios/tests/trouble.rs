//! What goes wrong gets a clear answer, and leaves nothing behind.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_ng::ErrorReason;
use viaduct_routing::{CallEnd, Event, ProxyEnd};
use viaduct_sim::{BROWSER_OFFER, EndId, Mood, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method};

fn pair() -> (World, EndId, EndId) {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    (world, browser, phone)
}

#[test]
fn nobody_is_404_and_somebody_who_is_out_is_480() {
    let mut world = World::new();
    let browser = world.browser("300");
    world.register(browser);
    world.dial(browser, "nobody", Some(BROWSER_OFFER));
    world.expect(browser, "404");
    world.dial(browser, "201", Some(BROWSER_OFFER));
    world.expect(browser, "480");
    world.expect_clean();
    assert!(world.relay.asked.is_empty(), "the relay is not asked for nothing");
}

#[test]
fn without_a_common_codec_both_lists_are_named() {
    let (mut world, browser, phone) = pair();
    let opus_only = BROWSER_OFFER.replace("SAVPF 111 0 8 126", "SAVPF 111");
    let invite = world.call(browser, "201", Some(&opus_only));
    let refusal = world.expect(browser, "488");
    assert_eq!(
        refusal.text(HeaderName::Warning),
        Some("305 example.com \"no common codec: offered opus, 201 takes PCMA PCMU G722\"")
    );
    world.ack_refusal(browser, &invite, &refusal);
    world.expect_nothing(phone);
    assert!(world.relay.asked.is_empty());
    world.expect_clean();
}

/// A relay that is silent gives the caller a 503 within 3 s, and nobody was bothered.
#[test]
fn a_silent_relay_is_a_503_within_three_seconds() {
    let (mut world, browser, phone) = pair();
    world.relay.mood = Mood::Silent;
    let invite = world.call(browser, "201", Some(BROWSER_OFFER));
    world.pass(3.0);
    let refusal = world.expect(browser, "503");
    assert!(refusal.has(HeaderName::RetryAfter));
    world.ack_refusal(browser, &invite, &refusal);
    world.expect_nothing(phone);
    assert_eq!(
        world.relay.commands(),
        ["offer", "delete"],
        "in case it comes back"
    );
    assert!(
        world
            .events()
            .iter()
            .any(|event| matches!(event, Event::RelayFailed { .. }))
    );
    world.expect_clean();
}

#[test]
fn a_relay_that_refuses_is_told_apart_from_an_sdp_that_it_cannot_read() {
    for (reason, status) in [
        (ErrorReason::OutOfPorts, "503"),
        (ErrorReason::UnparsableSdp, "488"),
    ] {
        let (mut world, browser, phone) = pair();
        world.relay.mood = Mood::Refusing(reason);
        let invite = world.call(browser, "201", Some(BROWSER_OFFER));
        let refusal = world.expect(browser, status);
        world.ack_refusal(browser, &invite, &refusal);
        world.expect_nothing(phone);
        world.expect_clean();
    }
}

/// The phone has answered, but nobody would hear it: it is told that the call is over, and so is the caller.
#[test]
fn an_answer_that_the_relay_cannot_take_ends_the_call_on_both_sides() {
    let (mut world, browser, phone) = pair();
    let invite = world.call(browser, "201", Some(BROWSER_OFFER));
    let to_phone = world.expect(phone, "INVITE");
    world.relay.mood = Mood::Refusing(ErrorReason::OutOfPorts);
    world.respond(phone, &to_phone, 200, Some(PHONE_ANSWER));
    let ack = world.expect(phone, "ACK");
    assert_eq!(
        ack.cseq().unwrap().unwrap().number,
        to_phone.cseq().unwrap().unwrap().number
    );
    let bye = world.expect(phone, "BYE");
    assert!(
        bye.text(HeaderName::Reason)
            .unwrap()
            .contains("Media relay failed")
    );
    world.respond(phone, &bye, 200, None);
    let refusal = world.expect(browser, "503");
    world.ack_refusal(browser, &invite, &refusal);
    world.expect_clean();
}

#[test]
fn calls_beyond_the_limits_are_refused_and_counted() {
    let mut world = World::with(|config, _| {
        config.limits.calls_per_user_max = 1;
        config.limits.calls_max = 2;
    });
    let ends: Vec<EndId> = ["300", "301", "302"].map(|user| world.browser(user)).into();
    let phone = world.phone("201");
    world.register(phone);
    for &end in &ends {
        world.register(end);
    }
    world.call(ends[0], "201", Some(BROWSER_OFFER));
    world.dial(ends[0], "201", Some(BROWSER_OFFER));
    world.expect(ends[0], "486");
    world.call(ends[1], "201", Some(BROWSER_OFFER));
    world.dial(ends[2], "201", Some(BROWSER_OFFER));
    world.expect(ends[2], "503");
    let counters = world.proxy().counters().0;
    assert_eq!(
        (counters.calls_over_user_limit, counters.calls_over_limit),
        (1, 1)
    );
}

/// A call that an operator ends, or that has lasted too long, ends for both sides.
#[test]
fn the_proxy_hangs_up_on_both_sides_in_the_name_of_the_other() {
    let (mut world, browser, phone) = pair();
    let (caller, callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    let (to_browser, to_phone) = (world.expect(browser, "BYE"), world.expect(phone, "BYE"));
    assert_eq!(
        to_browser.text(HeaderName::From).map(tag),
        Some(tag(&callee.local))
    );
    assert_eq!(to_phone.text(HeaderName::From).map(tag), Some(tag(&caller.local)));
    assert_eq!(to_phone.text(HeaderName::To).map(tag), Some(tag(&callee.local)));
    assert!(
        to_phone.cseq().unwrap().unwrap().number > caller.cseq,
        "the next number of that direction"
    );
    assert_eq!(to_browser.request_uri_text(), Some(&*world.contact(browser)));
    world.respond(browser, &to_browser, 200, None);
    world.respond(phone, &to_phone, 481, None);
    let ended = |event: &Event| {
        matches!(
            event,
            Event::CallEnded {
                end: CallEnd::ByProxy(ProxyEnd::Operator),
                ..
            }
        )
    };
    assert!(world.events().iter().any(ended));
    world.expect_clean();
}

/// `limits.call_time`: nobody talks for ever, and both sides read why.
#[test]
fn a_call_that_lasts_too_long_is_ended_on_both_sides() {
    let mut world = World::with(|config, _| config.times.call_max = std::time::Duration::from_secs(3_600));
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.pass(3_599.9);
    world.expect_nothing(phone);
    world.pass(0.1);
    for end in [browser, phone] {
        let bye = world.expect(end, "BYE");
        let reason = bye.text(HeaderName::Reason).unwrap();
        assert!(reason.contains("Call too long"), "{reason}");
        world.respond(end, &bye, 200, None);
    }
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::CallEnded {
            end: CallEnd::ByProxy(ProxyEnd::TooLong),
            ..
        }
    )));
    world.expect_clean();
}

fn tag(address: &str) -> String {
    address.split(";tag=").nth(1).unwrap().to_owned()
}

#[test]
fn a_call_without_media_is_ended_when_the_relay_says_so() {
    let (mut world, browser, phone) = pair();
    let (caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let now = world.now();
    world.proxy().handle_media_timeout(now, caller.call_id.as_bytes());
    world.settle();
    world.expect(browser, "BYE");
    world.expect(phone, "BYE");
    assert!(world.relay.sessions().is_empty());
    world.expect_clean();
}

/// RFC 5057: an end that knows no such dialog has left; the other one must not wait for it.
#[test]
fn a_dialog_that_one_side_has_forgotten_ends_for_the_other() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.send_in(&mut caller, Method::Invite, Some(BROWSER_OFFER));
    world.expect(browser, "100");
    let reinvite = world.expect(phone, "INVITE");
    world.respond(phone, &reinvite, 481, None);
    world.expect(browser, "481");
    world.expect(browser, "BYE");
    assert!(world.relay.sessions().is_empty());
    world.clear(browser);
    world.clear(phone);
    world.expect_clean();
}

/// A re-INVITE that is refused changes nothing about the call.
#[test]
fn a_refused_change_leaves_the_call_alone() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.send_in(&mut caller, Method::Invite, Some(BROWSER_OFFER));
    let reinvite = world.expect(phone, "INVITE");
    world.respond(phone, &reinvite, 488, None);
    world.expect(browser, "100");
    world.expect(browser, "488");
    assert_eq!(world.relay.sessions().len(), 1);
    world.send_in(&mut caller, Method::Bye, None);
    world.expect(phone, "ACK");
    let bye = world.expect(phone, "BYE");
    world.respond(phone, &bye, 200, None);
    world.expect_clean();
}

/// A BYE that nobody answers still ends the call at the relay.
#[test]
fn a_bye_that_is_never_answered_ends_the_media_all_the_same() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.send_in(&mut caller, Method::Bye, None);
    world.pass(33.0);
    assert!(world.relay.sessions().is_empty());
    world.clear(phone);
    world.expect_nothing(browser);
    world.expect_clean();
}

#[test]
fn a_phone_calls_a_phone_with_a_codec_only_they_know() {
    let mut world = World::new();
    let (one, two) = (world.phone("201"), world.phone("202"));
    world.register(one);
    world.register(two);
    let g729 = PHONE_OFFER.replace("RTP/AVP 8 0 101", "RTP/AVP 18 101");
    world.call(one, "202", Some(&g729));
    world.expect(two, "INVITE");
}
