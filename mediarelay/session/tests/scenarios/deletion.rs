//! The end of calls: `delete`, its delay, what it tells, and what it leaves.

use std::time::Duration;

use viaduct_ng::{ByteString, Delete, ErrorReason, Flag, Offer, Reply, Request, WordSet};
use viaduct_session::{DeleteReason, What};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::phone::Phone;
use crate::world::*;

fn delete(from: Option<&str>, to: Option<&str>, delay: Option<u64>) -> Delete {
    Delete {
        call_id: CALL.into(),
        from_tag: from.map(ByteString::from),
        to_tag: to.map(ByteString::from),
        via_branch: None,
        delete_delay: delay.map(Duration::from_secs),
        flags: WordSet::new(),
    }
}

fn deleted(world: &mut World) -> Option<DeleteReason> {
    world.take_events().into_iter().find_map(|what| match what {
        What::Deleted { reason, .. } => Some(reason),
        _ => None,
    })
}

#[test]
fn a_deleted_call_lives_for_its_delay_and_can_be_revived() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    world.ok(&Request::Delete(delete(Some("a"), None, None)));
    assert!(world.relay.calls().all(|call| call.is_deleted));
    world.wait_millis(10_000);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    // The delete was early: the call goes on.
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    world.wait_millis(25_000);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    assert_eq!(deleted(&mut world), None);

    world.ok(&Request::Delete(delete(Some("a"), None, Some(5))));
    world.wait_millis(4_900);
    assert_eq!(world.list().len(), 1);
    world.wait_millis(200);
    assert_eq!(deleted(&mut world), Some(DeleteReason::Requested));
    assert_eq!(world.list().len(), 0);
    world.assert_empty();
}

#[test]
fn what_is_not_there_gives_a_warning_or_an_error() {
    let mut world = World::new();
    let ok = world.ok(&Request::Delete(delete(None, None, None)));
    assert_eq!(ok.warning, Some(ErrorReason::NothingToDelete));
    let fatal = Delete {
        flags: WordSet::from([Flag::Fatal]),
        ..delete(None, None, None)
    };
    assert_eq!(world.fails(&Request::Delete(fatal)), ErrorReason::NothingToDelete);
    phones(&mut world, "");
    let ok = world.ok(&Request::Delete(delete(Some("nobody"), None, None)));
    assert_eq!(ok.warning, Some(ErrorReason::NothingToDelete));
    assert_eq!(world.list().len(), 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_delete_tells_what_the_call_was() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    for _ in 0..3 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
    }
    let report = world
        .ok(&Request::Delete(delete(Some("b"), Some("a"), Some(0))))
        .call
        .unwrap();
    assert_eq!((report.totals.rtp.packets, report.totals.rtp.bytes), (6, 6 * 172));
    let What::Deleted { totals, .. } = world.take_events().pop().unwrap() else {
        panic!("the end")
    };
    assert_eq!(totals.rtp.packets, 6);
    assert_eq!(world.relay.counters().relayed_packets, 6);
    world.assert_empty();
}

#[test]
fn fast_deletion_tells_nothing() {
    let mut world = World::new();
    phones(&mut world, "");
    let fast = Delete {
        flags: WordSet::from([Flag::Fast]),
        ..delete(None, None, Some(0))
    };
    assert_eq!(world.ng(&Request::Delete(fast)), Reply::ok());
    world.assert_empty();
}

/// Three are called at once; one answers; the others are cancelled, each by its branch.
#[test]
fn a_branch_is_deleted_without_the_call() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    let mut callee = Phone::new("203.0.113.44:6000", 2);
    let sdp = caller.sdp();
    let branch = |name: &str| {
        let Request::Offer(offer) = offer(&sdp, "a", None, "") else {
            unreachable!()
        };
        Request::Offer(Box::new(Offer {
            via_branch: Some(name.into()),
            ..*offer
        }))
    };
    let to_callee = world.sdp(&branch("one"));
    world.sdp(&branch("two"));
    world.sdp(&branch("three"));
    callee.read(&to_callee);
    let Request::Answer(mut first) = answer(&callee.sdp(), "a", "b", "") else {
        unreachable!()
    };
    first.via_branch = Some("one".into());
    caller.read(&world.sdp(&Request::Answer(first)));
    assert_eq!(world.relay.gauges().ports_in_use, 8);
    for name in ["two", "three"] {
        let of_branch = Delete {
            via_branch: Some(name.into()),
            ..delete(Some("a"), None, Some(0))
        };
        world.ok(&Request::Delete(of_branch));
    }
    assert_eq!(world.relay.gauges().ports_in_use, 4);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&Request::Delete(delete(Some("b"), None, Some(0))));
    assert_eq!(deleted(&mut world), Some(DeleteReason::Requested));
    world.assert_empty();
}

/// With flag `to-tag` the to-tag counts; without it the from-tag does, which modules always send.
#[test]
fn the_end_of_an_answered_dialogue_ends_the_call_whoever_hangs_up() {
    for (from, to, flags) in [
        ("a", None, &[][..]),
        ("b", None, &[]),
        ("a", Some("b"), &[Flag::ToTag]),
        ("b", Some("a"), &[]),
    ] {
        let mut world = World::new();
        let (_caller, mut callee) = phones(&mut world, "");
        // A branch that never answered.
        let Request::Offer(other) = offer(&callee.sdp(), "a", None, "") else {
            unreachable!()
        };
        world.sdp(&Request::Offer(Box::new(Offer {
            via_branch: Some("never".into()),
            ..*other
        })));
        let hang_up = Delete {
            flags: flags.iter().copied().collect(),
            ..delete(Some(from), to, Some(0))
        };
        world.ok(&Request::Delete(hang_up));
        assert_eq!(
            deleted(&mut world),
            Some(DeleteReason::Requested),
            "{from} {to:?}"
        );
        world.assert_empty();
    }
}

/// The same call-id and tags again: another call.
#[test]
fn a_call_may_come_again() {
    let mut world = World::new();
    for _ in 0..3 {
        let (mut caller, mut callee) = phones(&mut world, "");
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.ok(&delete_now());
    }
    assert_eq!(world.relay.counters().calls, 3);
    world.assert_empty();
}
