//! Where the media of phones really comes from.

use viaduct_forward::{DropReason, Verdict};
use viaduct_ng::EndpointLearning;
use viaduct_session::What;

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser_and_phone::{established, hear_each_other};
use crate::phone::Phone;
use crate::world::*;

const STRANGER: &str = "198.51.100.66:6666";

fn learnt(world: &mut World) -> Vec<std::net::SocketAddr> {
    let events = world.take_events().into_iter();
    events
        .filter_map(|what| match what {
            What::EndpointLearnt { endpoint, .. } => Some(endpoint),
            _ => None,
        })
        .collect()
}

/// The phone is behind a NAT: its SDP names an address that nobody reaches.
#[test]
fn a_phone_behind_a_nat_is_found_by_its_first_packet() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let public = addr("203.0.113.200:40123");
    let (_, packet) = phone.send_from(&mut world, public);
    assert_eq!(
        browser.received(&mut world),
        [packet],
        "the first packet is not lost"
    );
    let (_, packet) = browser.send(&mut world);
    assert_eq!(world.take(public)[0].data, packet);
    assert_eq!(learnt(&mut world), [public]);
    // RTCP of the same host is found at its own port.
    let report = crate::phone::receiver_report(phone.ssrc);
    let rtcp = phone.relay.unwrap();
    let rtcp = std::net::SocketAddr::new(rtcp.ip(), rtcp.port() + 1);
    world.receive(addr("203.0.113.200:40999"), rtcp, &report);
    assert_eq!(browser.received(&mut world), [report]);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A caller is told of its port by the answer. Whoever sends there before has found it by chance, or means no good.
#[test]
fn nobody_is_found_at_a_port_that_its_owner_does_not_know_yet() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    let mut callee = Phone::new("198.51.100.10:5000", 2);
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    // The callee is heard before it answers, and wherever it is.
    let public = addr("203.0.113.200:40123");
    let (_, packet) = callee.send_from(&mut world, public);
    let early = world.take(caller.rtp);
    assert_eq!((early.len(), &early[0].data), (1, &packet));
    caller.relay = Some(early[0].from);
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    assert!(world.take(public).is_empty() && world.take(callee.rtp).is_empty());
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    let (_, packet) = caller.send_from(&mut world, addr("203.0.113.99:1"));
    assert_eq!(
        world.take(callee.rtp)[0].data,
        packet,
        "from then on it may be anywhere"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_stranger_is_displaced_by_the_phone_and_dropped_after_it() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert!(matches!(verdict, Verdict::ToControl(_)), "{verdict:?}");
    callee.received(&mut world);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let (verdict, _) = caller.send_from(&mut world, addr("198.51.100.67:1"));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    assert_eq!(callee.received(&mut world), Vec::<Vec<u8>>::new());
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn after_the_window_nobody_takes_a_settled_leg_over() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let nat = addr("203.0.113.200:40123");
    caller.send_from(&mut world, nat);
    world.wait_millis(3_500);
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    caller.rtp = nat;
    callee.received(&mut world);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_asymmetric_phone_is_heard_where_it_sends_from_and_answered_where_it_listens() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "asymmetric");
    let (_, packet) = caller.send_from(&mut world, addr("198.51.100.9:9999"));
    assert_eq!(callee.received(&mut world), [packet]);
    let (_, packet) = callee.send(&mut world);
    assert_eq!(caller.received(&mut world), [packet], "at the address of the SDP");
    let (_, packet) = caller.send_from(&mut world, addr("198.51.100.9:9999"));
    assert_eq!(callee.received(&mut world), [packet]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn handover_follows_a_new_source_at_any_time() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "media-handover");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.wait_millis(20_000);
    caller.rtp = addr("203.0.113.200:40123");
    caller.send(&mut world);
    callee.received(&mut world);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    assert_eq!(learnt(&mut world), [addr("203.0.113.200:40123")]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn learning_that_is_off_believes_the_sdp() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "endpoint-learning=off");
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    assert_eq!(learnt(&mut world), []);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Without strictness others are heard, but nobody else is sent to.
#[test]
fn without_strict_source_further_sources_are_heard() {
    let mut relaxed = config();
    relaxed.strict_source = false;
    let mut world = World::with(relaxed);
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let (_, packet) = caller.send_from(&mut world, addr(STRANGER));
    assert_eq!(callee.received(&mut world), [packet]);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());

    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "strict-source");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let (verdict, _) = caller.send_from(&mut world, addr(STRANGER));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
}

/// NG `received-from` counts only when asked for; `trust-address` says what holds anyway.
#[test]
fn the_source_of_the_sip_message_counts_when_asked_for() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.5:4000", 1);
    let mut callee = Phone::new("203.0.113.44:6000", 2);
    let with_source = |sdp: String, flags: &str| {
        let viaduct_ng::Request::Offer(mut offer) = offer(&sdp, "a", None, flags) else {
            unreachable!()
        };
        offer.options.received_from = Some("198.51.100.9".parse().unwrap());
        viaduct_ng::Request::Offer(offer)
    };
    callee.read(&world.sdp(&with_source(caller.sdp(), "SIP-source-address")));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let (_, packet) = callee.send(&mut world);
    assert_eq!(world.take(addr("198.51.100.9:4000"))[0].data, packet);
    world.ok(&delete_now());

    world.wait_millis(100);
    callee.read(&world.sdp(&with_source(caller.sdp(), "trust-address")));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let (_, packet) = callee.send(&mut world);
    assert_eq!(world.take(addr("10.0.0.5:4000"))[0].data, packet);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A phone that hears ringing sends before its answer has come.
#[test]
fn media_that_is_earlier_than_its_answer_is_taken() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    let mut callee = Phone::new("203.0.113.44:6000", 2);
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let (_, packet) = callee.send(&mut world);
    assert_eq!(caller.received(&mut world), [packet]);
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Thousands of packets of strangers leave nothing behind.
#[test]
fn strangers_cost_nothing_that_lasts() {
    let mut relaxed = config();
    relaxed.strict_source = false;
    relaxed.learning = EndpointLearning::Heuristic;
    let mut world = World::with(relaxed);
    let (mut browser, mut phone) = established(&mut world);
    hear_each_other(&mut world, &mut browser, &mut phone);
    for n in 0..3_000_u16 {
        phone.send_from(&mut world, addr(&format!("198.18.0.{}:{}", n % 200, 10_000 + n)));
        world.wait_millis(50);
    }
    let gauges = world.relay.gauges();
    assert!(gauges.flows <= 12 && gauges.tuples <= 12, "{gauges:?}");
    world.network.clear();
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// NATs on the way let in who was written to. Whoever is heard, or is not there, is not written to for ever.
#[test]
fn empty_datagrams_open_the_way_to_a_phone_until_it_is_heard() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    let mut callee = Phone::new("203.0.113.44:6000", 2);
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "pierce-NAT")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "pierce-NAT")));
    let empty = |world: &mut World, phone: &Phone| {
        let mut heard = phone.received(world);
        heard.extend(phone.received_reports(world));
        assert!(heard.iter().all(Vec::is_empty), "{heard:?}");
        heard.len()
    };
    assert_eq!(
        (empty(&mut world, &caller), empty(&mut world, &callee)),
        (2, 2),
        "RTP and RTCP at once"
    );
    world.wait_millis(3_500);
    assert_eq!(
        (empty(&mut world, &caller), empty(&mut world, &callee)),
        (6, 6),
        "every second"
    );
    callee.send(&mut world);
    callee.send_report(&mut world);
    caller.received(&mut world);
    caller.received_reports(&mut world);
    world.wait_millis(40_000);
    assert_eq!(empty(&mut world, &callee), 0, "it was heard");
    assert_eq!(empty(&mut world, &caller), 2 * (30 - 4), "and who is never heard");
    world.ok(&delete_now());
    world.assert_empty();
}
