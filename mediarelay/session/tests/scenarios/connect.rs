//! Parties that talk to each other without an offer (NG `connect`), of one call or of two, which become one.

use std::time::Duration;

use viaduct_forward::Verdict;
use viaduct_ng::{ByteString, ErrorReason, Request, Value};
use viaduct_session::{Event, What};

use crate::between_likes::phones_hear_each_other;
use crate::phone::Phone;
use crate::rewriting::{sounding, speaking};
use crate::sdes::{self, SecurePhone};
use crate::world::*;

/// The call whose party is called for.
const OTHER: &str = "call-2";

pub(crate) fn connect(call: &str, from: &str, to_call: Option<&str>, to: &str) -> Request {
    let keys = [
        ("command", Some("connect")),
        ("call-id", Some(call)),
        ("from-tag", Some(from)),
        ("to-call-id", to_call),
        ("to-tag", Some(to)),
    ];
    let keys = keys
        .into_iter()
        .filter_map(|(key, value)| Some((ByteString::from(key), Value::text(value?))));
    Request::from_value(&Value::Dict(keys.collect())).unwrap().request
}

fn phones() -> [Phone; 4] {
    [
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.44:6000", 2),
        Phone::new("198.51.100.10:4000", 3),
        Phone::new("203.0.113.45:7000", 4),
    ]
}

fn call(world: &mut World, id: &str, [from, to]: [&str; 2], caller: &mut Phone, callee: &mut Phone) {
    callee.read(&world.sdp(&in_call(id, offer(&caller.sdp(), from, None, ""))));
    caller.read(&world.sdp(&in_call(id, answer(&callee.sdp(), from, to, ""))));
    phones_hear_each_other(world, caller, callee);
}

/// Two calls, of `a` with `b` and of `c` with `d`.
fn two_calls(world: &mut World) -> [Phone; 4] {
    let [mut a, mut b, mut c, mut d] = phones();
    call(world, CALL, ["a", "b"], &mut a, &mut b);
    call(world, OTHER, ["c", "d"], &mut c, &mut d);
    [a, b, c, d]
}

#[track_caller]
fn is_heard_by_nobody(world: &mut World, phone: &mut Phone) {
    let (verdict, _) = phone.send(world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
}

/// After a transfer the caller of one dialogue talks to the callee of another one of the call.
#[test]
fn two_parties_of_a_call_are_connected() {
    let mut world = World::new();
    let [mut a, mut b, mut c, mut d] = phones();
    call(&mut world, CALL, ["a", "b"], &mut a, &mut b);
    call(&mut world, CALL, ["c", "d"], &mut c, &mut d);
    let nobody = connect(CALL, "nobody", None, "d");
    assert_eq!(world.fails(&nobody), ErrorReason::NoSuchFromTag);
    world.ok(&connect(CALL, "a", None, "d"));
    phones_hear_each_other(&mut world, &mut a, &mut d);
    is_heard_by_nobody(&mut world, &mut c);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn two_calls_become_one_and_keep_both_names() {
    let mut world = World::new();
    let [mut a, mut b, mut c, mut d] = two_calls(&mut world);
    let [mut e, mut f] = [
        Phone::new("198.51.100.11:4000", 5),
        Phone::new("203.0.113.46:8000", 6),
    ];
    // Of another call, whose parties have the same names.
    call(&mut world, "call-3", ["a", "b"], &mut e, &mut f);
    let untouched = world.query_call("call-3");
    world.take_events();
    world.ok(&connect(OTHER, "c", Some(CALL), "a"));
    let merged = Event {
        call_id: OTHER.into(),
        what: What::Merged { call_id: CALL.into() },
    };
    assert_eq!(world.events, [merged]);
    phones_hear_each_other(&mut world, &mut a, &mut c);
    is_heard_by_nobody(&mut world, &mut b);
    is_heard_by_nobody(&mut world, &mut d);
    phones_hear_each_other(&mut world, &mut e, &mut f);
    let after = world.query_call("call-3");
    assert_eq!(
        (after.tags.0.len(), after.created),
        (untouched.tags.0.len(), untouched.created)
    );

    assert_eq!(
        (world.relay.gauges().calls, world.relay.counters().calls_merged),
        (2, 1)
    );
    assert_eq!(world.list(), ["call-1", "call-2", "call-3"]);
    let tags = |report: viaduct_ng::CallReport| -> Vec<ByteString> {
        report.tags.0.into_iter().map(|(tag, _)| tag).collect()
    };
    for name in [CALL, OTHER] {
        assert_eq!(tags(world.query_call(name)), ["c", "d", "a", "b"]);
    }
    // Signalling goes on under either name.
    a.read(&world.sdp(&in_call(OTHER, offer(&c.sdp(), "c", Some("a"), ""))));
    c.read(&world.sdp(&in_call(OTHER, answer(&a.sdp(), "c", "a", ""))));
    phones_hear_each_other(&mut world, &mut a, &mut c);
    // The same again, whichever name is given.
    world.ok(&connect(CALL, "a", Some(OTHER), "c"));
    phones_hear_each_other(&mut world, &mut a, &mut c);

    for name in [CALL, OTHER, "call-3"] {
        world.ok(&delete_call(name));
    }
    world.assert_empty();
}

/// Deleting one of them leaves the parties of the other, and who has stayed talks to whom it talked to.
#[test]
fn a_call_that_was_merged_is_deleted_by_its_name() {
    let mut world = World::new();
    let [mut a, mut b, mut c, mut d] = two_calls(&mut world);
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    phones_hear_each_other(&mut world, &mut a, &mut d);
    let ports = world.relay.gauges().ports_in_use;
    world.ok(&delete_call(OTHER));
    assert!(world.relay.gauges().ports_in_use < ports);
    is_heard_by_nobody(&mut world, &mut c);
    phones_hear_each_other(&mut world, &mut a, &mut b);
    // Nobody is left under that name.
    assert!(world.ok(&delete_call(OTHER)).warning.is_some());
    world.take_events();
    world.ok(&delete_now());
    let mut ended: Vec<&str> = world
        .events
        .iter()
        .filter(|event| matches!(event.what, What::Deleted { .. }))
        .filter_map(|event| event.call_id.as_text())
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [CALL, OTHER], "whoever knows it by either name is told");
    assert_eq!(world.list(), Vec::<ByteString>::new());
    world.assert_empty();
}

/// A party is taken away, the others of both calls talk on.
#[test]
fn who_has_transferred_may_go() {
    let mut world = World::new();
    let [mut a, _b, _c, mut d] = two_calls(&mut world);
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    for (call, tag) in [(CALL, "b"), (OTHER, "c")] {
        let Request::Delete(mut delete) = delete_call(call) else {
            unreachable!()
        };
        delete.from_tag = Some(tag.into());
        world.ok(&Request::Delete(delete));
    }
    phones_hear_each_other(&mut world, &mut a, &mut d);
    let Request::Delete(mut delete) = delete_call(OTHER) else {
        unreachable!()
    };
    delete.from_tag = Some("d".into());
    world.ok(&Request::Delete(delete));
    world.assert_empty();
}

#[test]
fn what_cannot_be_connected_stays_as_it_was() {
    let mut few = config();
    few.limits.parties_per_call = 3;
    let mut world = World::with(few);
    let [mut a, mut b, mut c, mut d] = two_calls(&mut world);
    let [mut e, mut f] = [
        Phone::new("198.51.100.11:4000", 5),
        Phone::new("203.0.113.46:8000", 6),
    ];
    call(&mut world, "call-3", ["a", "x"], &mut e, &mut f);
    let before = (world.relay.gauges(), world.list());
    for (refused, reason) in [
        (
            connect(CALL, "a", Some("call-9"), "d"),
            ErrorReason::UnknownCallId,
        ),
        (
            connect("call-9", "a", Some(OTHER), "d"),
            ErrorReason::UnknownCallId,
        ),
        (connect(CALL, "d", Some(OTHER), "d"), ErrorReason::NoSuchFromTag),
        (connect(CALL, "a", Some(OTHER), "a"), ErrorReason::ToTagNotFound),
        (
            connect(CALL, "b", Some("call-3"), "x"),
            ErrorReason::ConnectTagCollision,
        ),
        (
            connect(CALL, "a", Some(OTHER), "d"),
            ErrorReason::Other("Too many parties in this call".into()),
        ),
    ] {
        assert_eq!(world.fails(&refused), reason, "{refused:?}");
    }
    assert_eq!(world.relay.counters().limits.parties_per_call, 1);
    assert_eq!((world.relay.gauges(), world.list()), before);
    phones_hear_each_other(&mut world, &mut a, &mut b);
    phones_hear_each_other(&mut world, &mut c, &mut d);
    phones_hear_each_other(&mut world, &mut e, &mut f);
    for call in [CALL, OTHER, "call-3"] {
        world.ok(&delete_call(call));
    }
    world.assert_empty();
}

/// Keys stay with the party whose they are.
#[test]
fn a_phone_with_keys_is_connected_with_one_of_another_call() {
    let mut world = World::new();
    let (mut secure, [mut a, mut b, _, mut d]) = (SecurePhone::new(), phones());
    call(&mut world, CALL, ["a", "b"], &mut a, &mut b);
    d.read(&world.sdp(&in_call(OTHER, offer(&secure.sdp(1), "c", None, "RTP/AVP"))));
    secure.read(&world.sdp(&in_call(OTHER, answer(&d.sdp(), "c", "d", ""))));
    sdes::hear_each_other(&mut world, &mut secure, &mut d, 7);
    world.ok(&connect(CALL, "b", Some(OTHER), "c"));
    sdes::hear_each_other(&mut world, &mut secure, &mut b, 8);
    // And back in a relay that takes the place of this one.
    let (mut world, results) = world.restart(Duration::from_secs(2));
    assert_eq!(results, [Ok(())]);
    sdes::hear_each_other(&mut world, &mut secure, &mut b, 9);
    world.ok(&delete_now());
    world.ok(&delete_call(OTHER));
    world.assert_empty();
}

#[test]
fn calls_that_became_one_go_on_as_one_after_a_restart() {
    let mut world = World::new();
    let [mut a, mut b, mut c, mut d] = two_calls(&mut world);
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    phones_hear_each_other(&mut world, &mut a, &mut d);
    let created = world.query().created;
    let (mut world, results) = world.restart(Duration::from_secs(2));
    assert_eq!(results, [Ok(())]);
    phones_hear_each_other(&mut world, &mut a, &mut d);
    assert_eq!((world.list().len(), world.query().created), (2, created));
    // What is done under either name is kept as well.
    c.read(&world.sdp(&in_call(OTHER, offer(&d.sdp(), "d", Some("c"), ""))));
    d.read(&world.sdp(&in_call(OTHER, answer(&c.sdp(), "d", "c", ""))));
    b.read(&world.sdp(&offer(&a.sdp(), "a", Some("b"), "")));
    a.read(&world.sdp(&answer(&b.sdp(), "a", "b", "")));
    let (mut world, results) = world.restart(Duration::from_secs(2));
    assert_eq!(results, [Ok(())]);
    phones_hear_each_other(&mut world, &mut a, &mut b);
    phones_hear_each_other(&mut world, &mut c, &mut d);
    world.ok(&delete_call(OTHER));
    world.ok(&delete_now());
    world.assert_empty();
}

/// One of them is not kept, so the whole is not: with commands missing it would be another call.
#[test]
fn a_call_that_is_not_kept_takes_the_other_one_with_it() {
    let mut few = config();
    few.limits.commands_kept = 4;
    let mut world = World::with(few);
    let [mut a, _, _, mut d] = two_calls(&mut world);
    assert_eq!(world.store.len(), 2);
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    assert_eq!(
        world.store.len(),
        0,
        "there is room for two commands of each, and for no further one"
    );
    phones_hear_each_other(&mut world, &mut a, &mut d);
    world.ok(&delete_now());
    world.ok(&delete_call(OTHER));
    world.assert_empty();
}

/// What was blocked stays blocked, and nobody else is.
#[test]
fn whose_media_was_blocked_is_blocked_in_the_call_that_they_are_in_then() {
    let mut world = World::new();
    let [mut a, mut b, _, mut d] = two_calls(&mut world);
    let block = Value::Dict(
        [("command", "block media"), ("call-id", OTHER)]
            .map(|(key, value)| (ByteString::from(key), Value::text(value)))
            .into_iter()
            .collect(),
    );
    world.ok(&Request::from_value(&block).unwrap().request);
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    is_heard_by_nobody(&mut world, &mut d);
    let (_, packet) = a.send(&mut world);
    assert_eq!(d.received(&mut world), [packet]);
    world.ok(&connect(CALL, "a", None, "b"));
    phones_hear_each_other(&mut world, &mut a, &mut b);
    world.ok(&delete_now());
    world.ok(&delete_call(OTHER));
    world.assert_empty();
}

/// Nobody has negotiated between them: each is told in the law of G.711 that it knows.
#[test]
fn who_speaks_another_law_is_told_in_ones_own() {
    let mut world = World::new();
    let [mut a, mut b, mut c, mut d] = phones();
    let pcma = |phone: &mut Phone| speaking(&phone.sdp(), "8 101");
    b.read(&world.sdp(&offer(&pcma(&mut a), "a", None, "")));
    a.read(&world.sdp(&answer(&pcma(&mut b), "a", "b", "")));
    let pcmu = |phone: &mut Phone| speaking(&phone.sdp(), "0 101");
    d.read(&world.sdp(&in_call(OTHER, offer(&pcmu(&mut c), "c", None, ""))));
    c.read(&world.sdp(&in_call(OTHER, answer(&pcmu(&mut d), "c", "d", ""))));
    world.ok(&connect(CALL, "a", Some(OTHER), "d"));
    let [to_a, to_d] = [a.relay.unwrap(), d.relay.unwrap()];
    world.receive(a.rtp, to_a, &sounding(8, 1, 0x00));
    assert_eq!(d.received(&mut world), [sounding(0, 1, 0x29)]);
    world.receive(d.rtp, to_d, &sounding(0, 4, 0x00));
    assert_eq!(a.received(&mut world), [sounding(8, 4, 0x2a)]);
    // Digits are the same in both.
    world.receive(d.rtp, to_d, &sounding(101, 4, 0x00));
    assert_eq!(a.received(&mut world), [sounding(101, 4, 0x00)]);
    world.ok(&delete_now());
    world.ok(&delete_call(OTHER));
    world.assert_empty();
}
