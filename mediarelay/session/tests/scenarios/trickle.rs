//! Candidates that come after their SDP, or before it (RFC 8838).

use std::time::Duration;

use viaduct_ng::{ErrorReason, Flag, Offer, Request};

use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::world::*;

fn fragment(from: &str, text: &str) -> Request {
    let Request::Offer(mut offer) = offer(text, from, None, "") else {
        unreachable!()
    };
    offer.options.flags.insert(Flag::Fragment);
    Request::Offer(Box::new(Offer { ..*offer }))
}

/// An offer without candidates, as trickling browsers begin; they never learn ours, so checks can only come from us.
fn without_candidates(sdp: &str) -> String {
    sdp.split_inclusive("\r\n")
        .filter(|line| !line.starts_with("a=candidate"))
        .collect()
}

fn candidates_of(browser: &Browser) -> String {
    format!(
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2122260223 {} {} typ host\r\n\
         a=end-of-candidates\r\n",
        browser.credentials.ufrag,
        browser.credentials.pass,
        browser.address.ip(),
        browser.address.port()
    )
}

const FULL: &str = "RTP/AVP ICE=remove rtcp-mux-demux DTLS-reverse=passive bundle=[accept] strip-extmap";

/// Checks that the relay has sent to an address.
fn checks(world: &mut World, browser: &Browser) -> usize {
    world.take(browser.address).len()
}

#[test]
fn a_fragment_after_the_answer_is_checked_at_once() {
    let mut world = World::new();
    let mut browser = browser();
    world.sdp(&offer(&without_candidates(&browser.offer()), "b", None, FULL));
    world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    world.wait_millis(1_000);
    assert_eq!(checks(&mut world, &browser), 0);
    assert_eq!(world.ok(&fragment("b", &candidates_of(&browser))).sdp, None);
    world.wait_millis(200);
    assert!(checks(&mut world, &browser) > 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_fragment_between_offer_and_answer_is_kept() {
    let mut world = World::new();
    let mut browser = browser();
    world.sdp(&offer(&without_candidates(&browser.offer()), "b", None, FULL));
    world.ok(&fragment("b", &candidates_of(&browser)));
    world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    world.wait_millis(200);
    assert!(checks(&mut world, &browser) > 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_fragment_that_overtakes_its_offer_waits_three_seconds() {
    for (late, expected) in [(2_000, true), (3_100, false)] {
        let mut world = World::new();
        let mut browser = browser();
        world.ok(&fragment("b", &candidates_of(&browser)));
        assert_eq!(world.relay.gauges().fragments, 1);
        world.wait(Duration::from_millis(late));
        world.sdp(&offer(&without_candidates(&browser.offer()), "b", None, FULL));
        assert_eq!(world.relay.gauges().fragments, 0);
        world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
        world.wait_millis(200);
        assert_eq!(checks(&mut world, &browser) > 0, expected, "{late}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Candidates of an ICE session that is over.
#[test]
fn a_fragment_of_another_generation_is_ignored() {
    let mut world = World::new();
    let mut browser = browser();
    world.sdp(&offer(&without_candidates(&browser.offer()), "b", None, FULL));
    world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    world.ok(&fragment(
        "b",
        &candidates_of(&browser).replace("a=ice-ufrag:", "a=ice-ufrag:old"),
    ));
    world.wait_millis(200);
    assert_eq!(checks(&mut world, &browser), 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn fragments_and_candidates_are_bounded() {
    let mut world = World::new();
    let browser = browser();
    for _ in 0..1_000 {
        world.ok(&fragment("b", &candidates_of(&browser)));
    }
    assert_eq!(world.relay.gauges().fragments, 256);
    assert_eq!(world.relay.counters().limits.fragments_waiting, 744);
    world.wait_millis(3_100);
    assert_eq!(world.relay.gauges().fragments, 0);

    let mut browser = browser;
    world.sdp(&offer(&browser.offer(), "b", None, FULL));
    for n in 0..60 {
        let more = candidates_of(&browser).replace(
            "typ host",
            &format!("typ host\r\na=candidate:{n} 1 udp 1 198.18.0.{n} 9 typ host"),
        );
        world.ok(&fragment("b", &more));
    }
    assert!(world.relay.counters().limits.candidates_per_media > 0);
    assert_eq!(world.fails(&fragment("b", "a=x\rb")), ErrorReason::UnparsableSdp);
    world.ok(&delete_now());
    world.assert_empty();
}
