//! Calls that go on with another relay after theirs was killed.

use std::time::Duration;

use viaduct_forward::{DropReason, Verdict};
use viaduct_ng::Request;
use viaduct_session::{Config, DeleteReason, NotRebuilt};

use crate::browser::Browser;
use crate::browser_and_phone::{PHONE_ANSWERS_WEB, WEB_TO_PHONE, established, phone};
use crate::phone::Phone;
use crate::sdes::{self, SecurePhone};
use crate::world::*;

const BRIEF: Duration = Duration::from_secs(2);

fn other_phone() -> Phone {
    Phone::new("203.0.113.44:6000", 0x0f00_0002)
}

/// Two phones that have heard each other.
fn phones(world: &mut World) -> (Phone, Phone) {
    let (mut caller, mut callee) = (phone(), other_phone());
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    hear_each_other(world, &mut caller, &mut callee);
    (caller, callee)
}

#[track_caller]
fn hear_each_other(world: &mut World, one: &mut Phone, other: &mut Phone) {
    let (verdict, packet) = one.send(world);
    assert_eq!(other.received(world), [packet], "{verdict:?}");
    let (verdict, packet) = other.send(world);
    assert_eq!(one.received(world), [packet], "{verdict:?}");
    let (_, report) = one.send_report(world);
    assert_eq!(other.received_reports(world), [report]);
}

#[test]
fn phones_go_on_at_once() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world);
    let ports = callee.relay;
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())]);
    hear_each_other(&mut world, &mut caller, &mut callee);
    assert_eq!(world.relay.counters().calls_rebuilt, 1);
    // Signalling goes on as well: the same ports, and what was said before is known.
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", Some("b"), "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    assert_eq!(callee.relay, ports);
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())], "and once more");
    hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_phone_behind_a_nat_is_where_it_was_found() {
    let mut world = World::new();
    let (mut caller, mut callee) = (phone(), other_phone());
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    let nat = addr("198.51.100.200:61000");
    caller.send_from(&mut world, nat);
    callee.send(&mut world);
    world.wait(Duration::from_secs(4));
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())]);
    world.take(nat);
    // It is sent to before it has said anything, and nobody takes its place.
    let (_, packet) = callee.send(&mut world);
    let sent: Vec<_> = world
        .take(nat)
        .into_iter()
        .map(|datagram| datagram.data)
        .collect();
    assert_eq!(sent, [packet]);
    let (verdict, _) = caller.send_from(&mut world, addr("198.51.100.66:666"));
    assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    callee.received(&mut world);
    let (_, packet) = caller.send_from(&mut world, nat);
    assert_eq!(callee.received(&mut world), [packet]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn keys_of_an_sdp_and_their_rollover_counters_go_on() {
    let mut world = World::new();
    let (mut secure, mut plain) = (SecurePhone::new(), other_phone());
    plain.read(&world.sdp(&offer(&secure.sdp(1), "a", None, "RTP/AVP")));
    secure.read(&world.sdp(&answer(&plain.sdp(), "a", "b", "")));
    // Once around, so that a relay that forgot it would not understand what follows.
    for sequence in (60_000..=u16::MAX).step_by(500).chain((0..5_000).step_by(500)) {
        sdes::hear_each_other(&mut world, &mut secure, &mut plain, sequence);
        world.wait(Duration::from_secs(1));
    }
    // Known to nobody but those who talk: what came since the indices were last written down.
    sdes::hear_each_other(&mut world, &mut secure, &mut plain, 5_001);
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())]);
    for sequence in 5_002..5_010 {
        sdes::hear_each_other(&mut world, &mut secure, &mut plain, sequence);
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn no_index_of_srtcp_is_used_twice_over_restarts() {
    let mut world = World::new();
    let (mut secure, mut plain) = (SecurePhone::new(), other_phone());
    plain.read(&world.sdp(&offer(&secure.sdp(1), "a", None, "RTP/AVP")));
    let to_secure = world.sdp(&answer(&plain.sdp(), "a", "b", ""));
    secure.read(&to_secure);
    let mut indices = Vec::new();
    // Restarts so soon that nothing is written down in between, and one late enough.
    for wait in [0, 0, 0, 12, 0, 0] {
        world.wait(Duration::from_secs(wait));
        for _ in 0..3 {
            plain.send_report(&mut world);
            for report in world.take(secure.phone.rtcp()) {
                // The E bit and the index stand before the tag of ten octets (RFC 3711 section 3.4).
                let trailer = &report.data[report.data.len() - 14..][..4];
                indices.push(u32::from_be_bytes(trailer.try_into().unwrap()) & 0x7fff_ffff);
            }
        }
        let (next, results) = world.restart(BRIEF);
        assert_eq!(results, [Ok(())]);
        world = next;
    }
    assert_eq!(indices.len(), 18);
    assert!(indices.is_sorted_by(|one, other| one < other), "{indices:?}");
}

#[test]
fn a_browser_comes_back_with_an_ice_restart_on_the_same_ports() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let at_phone = phone.relay;
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())]);
    // Its keys are gone: nothing of it is understood, and nothing breaks.
    let (verdict, _) = browser.send(&mut world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    Browser::run(&mut world, &mut [&mut browser], BRIEF);
    // The proxy asks it for an ICE restart.
    browser.restart_ice();
    phone.read(&world.sdp(&offer(&browser.offer(), "b", Some("p"), WEB_TO_PHONE)));
    assert_eq!(phone.relay, at_phone);
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
    assert_eq!(to_browser.address(0).port(), SHARED);
    browser.forget_dtls();
    browser.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut browser]);
    crate::browser_and_phone::hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_would_have_ended_meanwhile_has_ended() {
    let config = || Config {
        final_timeout: Some(Duration::from_secs(600)),
        offer_timeout: Duration::from_secs(30),
        ..config()
    };
    // Nobody was heard for as long as an answered call may be silent.
    let mut world = World::with(config());
    phones(&mut world);
    let (mut world, results) = world.restart(Duration::from_secs(61));
    assert_eq!(results, [Err(NotRebuilt::Over(DeleteReason::MediaTimeout))]);
    assert_eq!(world.relay.counters().calls_not_rebuilt, 1);
    world.assert_empty();
    // Never answered.
    let mut world = World::with(config());
    world.ok(&offer(&phone().sdp(), "a", None, ""));
    let (_, results) = world.restart(Duration::from_secs(31));
    assert_eq!(results, [Err(NotRebuilt::Over(DeleteReason::OfferTimeout))]);
    // Deleted, and not yet gone.
    let mut world = World::with(config());
    phones(&mut world);
    let Request::Delete(delete) = delete_now() else {
        unreachable!()
    };
    world.ok(&Request::Delete(viaduct_ng::Delete {
        delete_delay: Some(Duration::from_secs(5)),
        ..delete
    }));
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, [Ok(())]);
    world.wait(Duration::from_secs(4));
    assert_eq!(world.relay.gauges().calls, 0);
    world.assert_empty();
}

#[test]
fn a_call_whose_peers_would_be_told_something_else_ends() {
    let mut world = World::new();
    phones(&mut world);
    let mut other = config();
    other.interfaces[0].addresses[0].advertised = Some("203.0.113.1".parse().unwrap());
    let (mut world, results) = world.restart_with(BRIEF, other);
    assert_eq!(results, [Err(NotRebuilt::Differs)]);
    world.assert_empty();
}

#[test]
fn a_call_whose_ports_are_in_no_range_any_more_ends() {
    let mut world = World::new();
    phones(&mut world);
    let mut other = config();
    other.interfaces[0].addresses[0].ports = (50_000..=50_100).into();
    let (mut world, results) = world.restart_with(BRIEF, other);
    assert_eq!(results, [Err(NotRebuilt::PortTaken)]);
    world.assert_empty();
}

#[test]
fn a_call_of_which_a_command_is_missing_or_damaged_ends() {
    for damage in [
        (|rows| drop(rows.remove(&0))) as fn(&mut std::collections::BTreeMap<u32, Vec<u8>>),
        |rows| rows.get_mut(&1).unwrap().truncate(40),
        |rows| rows.clear(),
    ] {
        let mut world = World::new();
        phones(&mut world);
        world.store.values_mut().for_each(damage);
        let (mut world, results) = world.restart(BRIEF);
        assert_eq!(results, [Err(NotRebuilt::Unreadable)]);
        world.assert_empty();
    }
}

#[test]
fn a_call_with_more_commands_than_are_kept_ends_with_its_relay() {
    let mut few = config();
    few.limits.commands_kept = 3;
    let mut world = World::with(few);
    let (mut caller, mut callee) = phones(&mut world);
    world.ok(&offer(&caller.sdp(), "a", Some("b"), ""));
    assert_eq!(world.store.len(), 1);
    world.ok(&answer(&callee.sdp(), "a", "b", ""));
    assert_eq!(world.relay.counters().limits.commands_kept, 1);
    hear_each_other(&mut world, &mut caller, &mut callee);
    let (mut world, results) = world.restart(BRIEF);
    assert_eq!(results, []);
    world.assert_empty();
}

#[test]
fn a_store_that_does_not_keep_up_costs_calls_that_are_kept_and_no_calls() {
    let mut few = config();
    few.limits.state_waiting = 1;
    let mut world = World::with(few);
    // The world takes what is kept after each command, so only one change fits beside another one.
    let (mut caller, mut callee) = phones(&mut world);
    world.wait(Duration::from_secs(10));
    hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    assert_eq!(world.relay.gauges().calls, 0);
    assert_eq!(world.relay.state_waiting(), 0);
}

#[test]
fn sources_that_were_heard_are_counted_anew() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world);
    let created = world.query().created;
    let (mut world, _) = world.restart(BRIEF);
    hear_each_other(&mut world, &mut caller, &mut callee);
    let report = world.query();
    assert_eq!(report.created, created, "it is as old as it was");
    assert_eq!(report.totals.rtp.packets, 2);
}
