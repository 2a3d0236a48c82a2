//! Parties that go by several tags (NG `alias-key`, answers under another to-tag).

use viaduct_ng::{AliasKey, Request};

use crate::phone::Phone;
use crate::rewriting::phones;
use crate::world::*;

fn with_key(request: Request, key: AliasKey) -> Request {
    match request {
        Request::Offer(mut offer) => {
            offer.options.alias_key = Some(key);
            Request::Offer(offer)
        }
        Request::Answer(mut answer) => {
            answer.options.alias_key = Some(key);
            Request::Answer(answer)
        }
        other => other,
    }
}

/// A call whose messages all have the key, and the caller's SDP.
fn call(world: &mut World, key: AliasKey) -> (Phone, Phone, String) {
    let (mut caller, mut callee) = phones();
    let sdp = caller.sdp();
    callee.read(&world.sdp(&with_key(offer(&sdp, "a", None, ""), key)));
    caller.read(&world.sdp(&with_key(answer(&callee.sdp(), "a", "b", ""), key)));
    (caller, callee, sdp)
}

#[test]
fn an_unknown_tag_with_a_known_sdp_is_the_party_that_sent_it() {
    let mut world = World::new();
    let (_, callee, sdp) = call(&mut world, AliasKey::Sdp);
    let again = world.sdp(&with_key(offer(&sdp, "a2", None, ""), AliasKey::Sdp));
    assert_eq!(Some(again.address(0)), callee.relay);
    let caller = world.query().tags.get(b"a").unwrap().clone();
    assert_eq!(caller.tag_aliases, Some(vec!["a2".into()]));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_unknown_tag_with_a_known_address_is_the_party_that_is_there() {
    let mut world = World::new();
    let (mut caller, callee, _) = call(&mut world, AliasKey::Address);
    let again = world.sdp(&with_key(offer(&caller.sdp(), "a2", None, ""), AliasKey::Address));
    assert_eq!(Some(again.address(0)), callee.relay);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn nobody_is_taken_for_another_unless_both_messages_ask_for_it() {
    for (first, second) in [
        (None, None),
        (None, Some(AliasKey::Sdp)),
        (Some(AliasKey::Address), Some(AliasKey::Sdp)),
        (Some(AliasKey::Sdp), None),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let sdp = caller.sdp();
        let keyed = |request, key: Option<AliasKey>| match key {
            Some(key) => with_key(request, key),
            None => request,
        };
        callee.read(&world.sdp(&keyed(offer(&sdp, "a", None, ""), first)));
        world.sdp(&answer(&callee.sdp(), "a", "b", ""));
        let other = world.sdp(&keyed(offer(&sdp, "a2", None, ""), second));
        assert_ne!(Some(other.address(0)), callee.relay, "{first:?} {second:?}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Forks that the proxy does not tell apart by branch.
#[test]
fn a_party_is_shown_by_the_tag_that_has_answered_last() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    world.sdp(&offer(&caller.sdp(), "a", None, ""));
    let sdp = callee.sdp();
    world.sdp(&answer(&sdp, "a", "b1", ""));
    world.sdp(&answer(&sdp, "a", "b2", ""));
    let report = world.query();
    let party = report.tags.get(b"b2").expect("the later tag");
    assert_eq!(party.tag_aliases, Some(vec!["b1".into()]));
    assert_eq!(report.tags.get(b"a").unwrap().subscriptions[0].tag, "b2");
    world.ok(&delete_now());
    world.assert_empty();
}
