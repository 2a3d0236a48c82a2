//! Offers and answers that fail leave a call that runs entirely as it was.

use viaduct_ng::{CallReport, ErrorReason, Request};
use viaduct_session::{Config, Gauges, Limits};

use crate::between_likes::phones_hear_each_other;
use crate::browser_and_phone::{PHONE_TO_WEB, established as browser_and_phone, hear_each_other};
use crate::phone::Phone;
use crate::world::*;

/// Room for two phones and two m-lines more on one side; ports go with the other side's address.
fn world() -> World {
    let mut config = Config {
        port_latching: false,
        limits: Limits {
            parties_per_call: 2,
            medias_per_party: 3,
            sdp_octets: 1_500,
            ..Limits::default()
        },
        ..config()
    };
    config.interfaces[0].addresses[0].ports = (30_000..=30_007).into();
    World::with(config)
}

fn established(world: &mut World) -> (Phone, Phone) {
    let (mut caller, mut callee) = (
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.44:6000", 2),
    );
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(world, &mut caller, &mut callee);
    (caller, callee)
}

/// What of a call can be seen from outside. Counters of legs that were made in vain are kept for a moment.
fn seen(world: &mut World) -> (Gauges, usize, CallReport) {
    let used = world.relay.port_usage().iter().map(|usage| usage.used).sum();
    let gauges = Gauges {
        retired: 0,
        ..world.relay.gauges()
    };
    (gauges, used, world.query())
}

/// Each way in which a command about the call may fail.
fn failing() -> Vec<(&'static str, Request, ErrorReason)> {
    let mut elsewhere = Phone::new("198.51.100.77:4100", 1);
    let sdp = elsewhere.sdp();
    let long = "a".repeat(2_000);
    let with_lines = |count: usize| sdp.clone() + &"m=audio 4102 RTP/AVP 8\r\n".repeat(count);
    let other = |text: &str| ErrorReason::Other(text.to_owned().into());
    vec![
        (
            "no SDP at all",
            offer("hello", "a", Some("b"), ""),
            ErrorReason::UnparsableSdp,
        ),
        (
            "an SDP without m-lines",
            offer("v=0\r\no=- 1 1 IN IP4 198.51.100.77\r\n", "a", Some("b"), ""),
            ErrorReason::IncompleteSdp,
        ),
        (
            "an m-line without an address",
            offer(&sdp.replace("c=IN IP4 198.51.100.77\r\n", ""), "a", Some("b"), ""),
            ErrorReason::IncompleteSdp,
        ),
        (
            "too many m-lines",
            offer(&with_lines(3), "a", Some("b"), ""),
            ErrorReason::UnparsableSdp,
        ),
        (
            "an SDP that is too long",
            offer(&format!("{sdp}a={long}\r\n"), "a", Some("b"), ""),
            ErrorReason::UnparsableSdp,
        ),
        (
            "no ports for the last of three m-lines, after others were found for the first",
            offer(&with_lines(2), "a", Some("b"), ""),
            ErrorReason::OutOfPorts,
        ),
        (
            "an offer to oneself",
            offer(&sdp, "a", Some("a"), ""),
            ErrorReason::InvalidDialogue,
        ),
        (
            "a party too many",
            offer(&sdp, "c", Some("d"), ""),
            other("Too many parties in this call"),
        ),
        (
            "a tag that is too long",
            offer(&sdp, "a", Some(&long), ""),
            other("A call-id, tag or other name is too long"),
        ),
        (
            "an answer to oneself",
            answer(&sdp, "a", "a", ""),
            ErrorReason::InvalidDialogue,
        ),
        (
            "an answer of who has offered",
            answer(&sdp, "b", "a", ""),
            ErrorReason::InvalidDialogue,
        ),
        (
            "an answer to nobody",
            answer(&sdp, "x", "b", ""),
            ErrorReason::InvalidDialogue,
        ),
        (
            "an answer without m-lines",
            answer("v=0\r\n", "a", "b", ""),
            ErrorReason::IncompleteSdp,
        ),
    ]
}

#[test]
fn a_command_that_fails_leaves_a_call_of_phones_as_it_was() {
    for (what, command, reason) in failing() {
        let mut world = world();
        let (mut caller, mut callee) = established(&mut world);
        let before = seen(&mut world);
        assert_eq!(world.fails(&command), reason, "{what}");
        assert!(seen(&mut world) == before, "{what}: {:?}", seen(&mut world));
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        // What was told before is told again.
        let again = world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
        assert_eq!(Some(again.address(0)), callee.relay, "{what}");
        let back = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
        assert_eq!(Some(back.address(0)), caller.relay, "{what}");
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Also in a row, and with an offer open that is still to be answered.
#[test]
fn an_open_offer_outlives_all_that_fails() {
    let mut world = world();
    let (caller, mut callee) = established(&mut world);
    let mut elsewhere = Phone {
        relay: caller.relay,
        ..Phone::new("198.51.100.9:4300", caller.ssrc)
    };
    let told = world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), ""));
    let before = seen(&mut world);
    for (what, command, _) in failing() {
        // This one needs what the open offer has.
        if what != "an answer of who has offered" {
            world.fails(&command);
        }
        assert!(seen(&mut world) == before, "{what}: {:?}", seen(&mut world));
    }
    callee.read(&told);
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    phones_hear_each_other(&mut world, &mut elsewhere, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_browser_keeps_ice_and_keys_over_offers_that_fail() {
    let mut world = World::new();
    let (mut browser, mut phone) = browser_and_phone(&mut world);
    hear_each_other(&mut world, &mut browser, &mut phone);
    let before = seen(&mut world);
    let restarted = browser.offer().replace(
        "m=audio",
        "a=ice-ufrag:another\r\na=ice-pwd:anotherpasswordanotherpassword\r\nm=nothing",
    );
    for command in [
        offer("v=0\r\n", "b", Some("p"), ""),
        offer(&restarted, "b", Some("b"), ""),
        answer("v=0\r\n", "p", "b", PHONE_TO_WEB),
    ] {
        world.fails(&command);
        assert!(seen(&mut world) == before, "{:?}", seen(&mut world));
    }
    hear_each_other(&mut world, &mut browser, &mut phone);
    assert_eq!(browser.nominated, 1, "ICE went on undisturbed");
    world.ok(&delete_now());
    world.assert_empty();
}

/// Ports rest after a call, but not at the cost of the next one.
#[test]
fn calls_that_follow_each_other_find_ports_where_there_are_few() {
    let mut world = world();
    for _ in 0..20 {
        established(&mut world);
        world.ok(&delete_now());
    }
    assert_eq!(world.relay.counters().out_of_ports, 0);
    world.assert_empty();
}
