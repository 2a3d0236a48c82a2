//! Ports that a phone is told anew when the other side moves (NG `port-latching`).

use std::time::Duration;

use viaduct_session::Config;

use crate::between_likes::phones_hear_each_other;
use crate::phone::Phone;
use crate::rewriting::phones;
use crate::world::*;

/// A relay whose ports go with the addresses of the other side.
fn world() -> World {
    World::with(Config {
        port_latching: false,
        ..config()
    })
}

/// The caller somewhere else.
fn moved(caller: &Phone, port: u16) -> Phone {
    Phone {
        relay: caller.relay,
        ..Phone::new(&format!("198.51.100.9:{port}"), caller.ssrc)
    }
}

fn established(world: &mut World) -> (Phone, Phone) {
    let (mut caller, mut callee) = phones();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(world, &mut caller, &mut callee);
    (caller, callee)
}

#[test]
fn a_phone_is_told_other_ports_when_the_other_side_moves_and_the_same_when_it_comes_back() {
    let mut world = world();
    let (caller, mut callee) = established(&mut world);
    let before = callee.relay;
    let mut elsewhere = moved(&caller, 4100);
    callee.read(&world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), "")));
    assert_ne!(callee.relay, before);
    elsewhere.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    assert_eq!(elsewhere.relay, caller.relay, "the callee has not moved");
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    let (_, report) = elsewhere.send_report(&mut world);
    assert_eq!(callee.received_reports(&mut world), [report]);

    let mut back = moved(&caller, 4000);
    callee.read(&world.sdp(&offer(&back.sdp(), "a", Some("b"), "")));
    assert_eq!(callee.relay, before);
    back.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(&mut world, &mut back, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// It has not read the offer yet, and must not fall silent over it.
#[test]
fn the_ports_before_are_good_until_the_phone_has_answered() {
    let mut world = world();
    let (caller, mut callee) = established(&mut world);
    let mut elsewhere = moved(&caller, 4100);
    let told = world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), ""));
    assert_ne!(Some(told.address(0)), callee.relay);
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    callee.read(&told);
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    world.wait(Duration::from_secs(5));
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_offerer_is_told_other_ports_in_an_answer_from_elsewhere() {
    let mut world = world();
    let (mut caller, callee) = established(&mut world);
    let before = caller.relay;
    let mut elsewhere = Phone {
        relay: callee.relay,
        ..Phone::new("203.0.113.44:6100", callee.ssrc)
    };
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    caller.read(&world.sdp(&answer(&elsewhere.sdp(), "a", "b", "")));
    assert_ne!(caller.relay, before);
    phones_hear_each_other(&mut world, &mut caller, &mut elsewhere);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn ports_stay_where_that_is_asked_for_or_nothing_is_to_be_sent() {
    for (latching, flags, direction, stay) in [
        (true, "", "sendrecv", true),
        (true, "no-port-latching", "sendrecv", false),
        (false, "port-latching", "sendrecv", true),
        (false, "", "sendonly", true),
        (false, "", "inactive", true),
        (false, "", "recvonly", false),
    ] {
        let mut world = World::with(Config {
            port_latching: latching,
            ..config()
        });
        let (caller, callee) = established(&mut world);
        let sdp = moved(&caller, 4100).sdp_with("RTP/AVP", &[&format!("a={direction}")]);
        let told = world.sdp(&offer(&sdp, "a", Some("b"), flags));
        assert_eq!(
            Some(told.address(0)) == callee.relay,
            stay,
            "{latching} {flags} {direction}"
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// With ICE other ports mean another session of it (RFC 8445 section 9).
#[test]
fn with_ice_other_ports_come_with_other_credentials() {
    for (flags, stays) in [("ICE=force no-port-latching", false), ("ICE=force", true)] {
        let mut world = world();
        let (mut caller, _) = phones();
        let first = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        let again = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        assert_eq!(first.value("ice-ufrag"), again.value("ice-ufrag"));
        let other = world.sdp(&offer(&moved(&caller, 4100).sdp(), "a", None, flags));
        assert_eq!(first.value("ice-ufrag") == other.value("ice-ufrag"), stays);
        assert_eq!(first.address(0) == other.address(0), stays);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Whoever moves without end gets no ports without end.
#[test]
fn few_former_ports_are_kept() {
    let mut world = world();
    let (caller, mut callee) = established(&mut world);
    for port in 0..20 {
        let mut elsewhere = moved(&caller, 4100 + 2 * port);
        let told = world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), ""));
        if port == 19 {
            callee.read(&told);
            elsewhere.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
            phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
        }
    }
    assert_eq!(world.relay.gauges().ports_in_use, 8);
    assert!(world.relay.counters().limits.former_ports_per_leg > 0);
    world.ok(&delete_now());
    world.assert_empty();
}

/// What a restarted relay is told of the call leads to the same ports.
#[test]
fn ports_that_have_changed_outlive_a_restart() {
    let mut world = world();
    let (caller, mut callee) = established(&mut world);
    let mut elsewhere = moved(&caller, 4100);
    callee.read(&world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), "")));
    elsewhere.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    let (mut world, results) = world.restart(Duration::from_secs(1));
    assert_eq!(results, [Ok(())]);
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}
