//! Calls that end by themselves.

use std::time::Duration;

use viaduct_ng::{Request, SipMessageType};
use viaduct_session::{Config, DeleteReason, IceFailure, What};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::phone::Phone;
use crate::world::*;

fn end(world: &mut World) -> Option<(DeleteReason, u64)> {
    world.take_events().into_iter().find_map(|what| match what {
        What::Deleted { reason, lasted, .. } => Some((reason, lasted.as_secs())),
        _ => None,
    })
}

#[test]
fn a_call_without_media_ends_after_a_minute() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    for _ in 0..6 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.wait_millis(50_000);
    }
    assert_eq!(end(&mut world), None, "one packet in a while is enough");
    world.wait_millis(9_000);
    assert_eq!(end(&mut world), None);
    world.wait_millis(2_000);
    assert_eq!(end(&mut world), Some((DeleteReason::MediaTimeout, 310)));
    assert_eq!(world.relay.counters().ended_by_media_timeout, 1);
    world.assert_empty();
}

#[test]
fn signalling_counts_as_a_sign_of_life() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    for _ in 0..4 {
        world.wait_millis(50_000);
        world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
        world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    }
    assert_eq!(end(&mut world), None);
    world.wait_millis(61_000);
    assert!(end(&mut world).is_some());
    assert_eq!(world.relay.counters().zero_way_calls, 1);
    world.assert_empty();
}

#[test]
fn a_held_call_may_be_silent_for_an_hour() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    world.sdp(&offer(
        &caller.sdp_with("RTP/AVP", &["a=inactive"]),
        "a",
        Some("b"),
        "",
    ));
    world.sdp(&answer(
        &callee.sdp_with("RTP/AVP", &["a=inactive"]),
        "a",
        "b",
        "",
    ));
    world.wait_millis(3_500_000);
    assert_eq!(end(&mut world), None);
    world.wait_millis(200_000);
    assert_eq!(end(&mut world), Some((DeleteReason::SilentTimeout, 3_600)));
    world.assert_empty();
}

#[test]
fn an_offer_waits_for_its_answer_so_long() {
    let mut world = World::with(Config {
        offer_timeout: Duration::from_secs(180),
        ..config()
    });
    world.sdp(&offer(&Phone::new("198.51.100.9:4000", 1).sdp(), "a", None, ""));
    world.wait_millis(179_000);
    assert_eq!(end(&mut world), None);
    world.wait_millis(2_000);
    assert_eq!(end(&mut world), Some((DeleteReason::OfferTimeout, 180)));
    world.assert_empty();
}

/// A 183 with SDP, and nobody says a word for minutes.
#[test]
fn a_call_that_rings_is_not_a_silent_one() {
    let mut world = World::new();
    let (mut caller, mut callee) = (
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.44:6000", 2),
    );
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let response = |sdp: String, code: u16| {
        let Request::Answer(mut answer) = answer(&sdp, "a", "b", "") else {
            unreachable!()
        };
        answer.options.sip_message_type = Some(SipMessageType::Response);
        answer.options.sip_code = Some(code);
        Request::Answer(answer)
    };
    caller.read(&world.sdp(&response(callee.sdp(), 183)));
    world.wait_millis(170_000);
    assert_eq!(end(&mut world), None);
    world.sdp(&response(callee.sdp(), 200));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.wait_millis(61_000);
    assert_eq!(end(&mut world), Some((DeleteReason::MediaTimeout, 230)));
    world.assert_empty();
}

#[test]
fn the_longest_call_ends_with_media_flowing() {
    let mut world = World::with(Config {
        final_timeout: Some(Duration::from_secs(100)),
        ..config()
    });
    let (mut caller, mut callee) = phones(&mut world, "");
    for _ in 0..9 {
        world.wait_millis(11_000);
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
    }
    world.wait_millis(1_500);
    assert_eq!(end(&mut world), Some((DeleteReason::FinalTimeout, 100)));
    world.assert_empty();
}

/// A browser whose firewall lets no UDP through.
#[test]
fn ice_without_a_path_is_told() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut world = World::new();
        world.sdp(&offer(&browser().offer(), "b", None, &flags));
        world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
        world.wait_millis(31_000);
        let events = world.take_events();
        let failed = events.iter().any(|what| {
            matches!(
                what,
                What::IceFailed {
                    reason: IceFailure::NoPath,
                    ..
                }
            )
        });
        assert!(failed, "{flags}: {events:?}");
        assert_eq!(world.relay.counters().ice_failed, 1);
        world.wait_millis(60_000);
        assert_eq!(world.relay.gauges().calls, 0);
        world.assert_empty();
    }
}

/// RFC 7675: the browser is gone without a word, and comes back.
#[test]
fn a_browser_that_stops_checking_is_lost_and_may_come_back() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut world = World::new();
        let (mut browser, mut phone) = (browser(), phone());
        phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
        browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB)));
        Browser::connect(&mut world, &mut [&mut browser]);
        hear_each_other(&mut world, &mut browser, &mut phone);
        world.take_events();
        for _ in 0..10 {
            world.wait_millis(5_000);
            phone.send(&mut world);
        }
        let events = world.take_events();
        let lost = events.iter().filter(|what| {
            matches!(
                what,
                What::IceFailed {
                    reason: IceFailure::ConsentLost,
                    ..
                }
            )
        });
        assert_eq!(lost.count(), 1, "{flags}: {events:?}");
        world.network.clear();
        Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(20));
        browser.received(&mut world);
        hear_each_other(&mut world, &mut browser, &mut phone);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// One that never shakes hands: the association is given up, nothing is left of it.
#[test]
fn a_handshake_without_an_answer_fails() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let flags = WEB_TO_PHONE.replace("DTLS-reverse=passive ", "");
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
    let flags = PHONE_ANSWERS_WEB.replace("DTLS=passive ", "");
    browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", &flags)));
    browser.deaf_to_dtls = true;
    Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(59));
    let events = world.take_events();
    assert!(
        events.iter().any(|what| matches!(what, What::DtlsFailed { .. })),
        "{events:?}"
    );
    assert_eq!(world.relay.counters().dtls_failed, 1);
    world.ok(&delete_now());
    world.assert_empty();
}
