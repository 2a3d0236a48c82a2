//! Parties that hear themselves (NG `media-echo`).

use viaduct_ng::{MediaEcho, Request};

use crate::phone::Phone;
use crate::rewriting::phones;
use crate::world::*;

/// A call in which the offer asks for an echo, or for none.
fn call(world: &mut World, echo: MediaEcho) -> (Phone, Phone) {
    let (mut caller, mut callee) = phones();
    let Request::Offer(mut request) = offer(&caller.sdp(), "a", None, "") else {
        unreachable!()
    };
    request.options.media_echo = Some(echo);
    callee.read(&world.sdp(&Request::Offer(request)));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    (caller, callee)
}

#[test]
fn whoever_is_to_hear_itself_does_and_nobody_hears_another() {
    for (echo, hear_themselves) in [
        (MediaEcho::Forward, [false, true]),
        (MediaEcho::Backward, [true, false]),
        (MediaEcho::Both, [true, true]),
        (MediaEcho::Blackhole, [false, false]),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = call(&mut world, echo);
        let (_, of_caller) = caller.send(&mut world);
        let (_, of_callee) = callee.send(&mut world);
        let expected = |hears: bool, packet| if hears { vec![packet] } else { vec![] };
        assert_eq!(
            caller.received(&mut world),
            expected(hear_themselves[0], of_caller),
            "{echo:?}"
        );
        assert_eq!(
            callee.received(&mut world),
            expected(hear_themselves[1], of_callee),
            "{echo:?}"
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// What is not from the party must not be sent to it in our name.
#[test]
fn a_stranger_is_not_echoed() {
    let mut world = World::new();
    let (mut caller, _) = call(&mut world, MediaEcho::Both);
    caller.send(&mut world);
    caller.received(&mut world);
    let stranger = addr("203.0.113.99:9999");
    caller.send_from(&mut world, stranger);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    assert_eq!(world.take(stranger), []);
    world.ok(&delete_now());
    world.assert_empty();
}

/// RTCP about oneself says nothing.
#[test]
fn reports_are_not_echoed() {
    let mut world = World::new();
    let (mut caller, _) = call(&mut world, MediaEcho::Both);
    caller.send(&mut world);
    caller.send_report(&mut world);
    assert_eq!(caller.received_reports(&mut world), Vec::<Vec<u8>>::new());
    world.ok(&delete_now());
    world.assert_empty();
}
