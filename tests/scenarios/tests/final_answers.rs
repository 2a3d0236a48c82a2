//! Which final answer a caller gets, and that nothing is left of a call that got one (RFC 3261 sections 16.7 and 21).

use viaduct_routing::{CallEnd, Event};
use viaduct_sim::{BROWSER_OFFER, EndId, PHONE_OFFER, World};

/// 300 calls 201, who has two phones.
fn two_phones() -> (World, EndId, [EndId; 2]) {
    let mut world = World::new();
    let caller = world.browser("300");
    let phones = [world.phone("201"), world.phone("201")];
    for end in [caller, phones[0], phones[1]] {
        world.register(end);
    }
    (world, caller, phones)
}

/// RFC 3261 section 16.7 step 6, whichever phone is the faster one.
#[test]
fn of_two_refusals_the_caller_gets_the_one_that_says_more() {
    for (one, other, best) in [
        // 6xx before everything.
        (603, 302, 603),
        (486, 600, 600),
        // The lowest class.
        (302, 404, 302),
        (404, 500, 404),
        (486, 501, 486),
        // Inside 4xx what tells the caller how to try again.
        (480, 401, 401),
        (404, 407, 407),
        (486, 415, 415),
        (404, 420, 420),
        (403, 484, 484),
        // Never 408 or 503 when there is another.
        (408, 480, 480),
        (408, 500, 500),
        (503, 480, 480),
        (503, 500, 500),
        // 503 alone is about the one behind us, and goes up as 500.
        (503, 503, 500),
        (408, 408, 408),
        // A flow that failed means nothing to a caller (RFC 5626 section 5.3).
        (430, 430, 480),
        (430, 486, 486),
    ] {
        for [first, second] in [[one, other], [other, one]] {
            let (mut world, caller, phones) = two_phones();
            let invite = world.call(caller, "201", Some(BROWSER_OFFER));
            for (phone, status) in [(phones[0], first), (phones[1], second)] {
                let got = world.expect(phone, "INVITE");
                world.respond(phone, &got, 180, None);
                world.expect(caller, "180");
                world.respond(phone, &got, status, None);
                // One that 6xx made give up has had its CANCEL before.
                while world.try_take(phone).is_some() {}
            }
            let answer = world.take(caller);
            let status = answer.status().map(viaduct_sip::StatusCode::get);
            assert_eq!(status, Some(best), "of {first} and {second}");
            world.expect_nothing(caller);
            world.ack_refusal(caller, &invite, &answer);
            world.expect_clean();
        }
    }
}

/// Whatever a callee says, known or not, the caller hears it, and neither the proxy nor the relay keeps anything.
#[test]
fn nothing_is_left_of_a_call_that_was_refused_with_any_code() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    for status in (300..700).filter(|status| !matches!(status, 430 | 503)) {
        if status % 40 == 0 {
            // Nobody calls so often.
            world.pass(10.0);
            world.register(phone);
        }
        let invite = world.call(caller, "201", Some(PHONE_OFFER));
        let got = world.expect(phone, "INVITE");
        world.respond(phone, &got, status, None);
        world.expect(phone, "ACK");
        let answer = world.expect(caller, &status.to_string());
        world.ack_refusal(caller, &invite, &answer);
        assert_eq!(world.proxy().gauges().calls, 0, "{status}");
        assert!(world.relay.sessions().is_empty(), "{status}");
        let failed = |event: &Event| matches!(event, Event::CallEnded { end: CallEnd::Failed { status: told, .. }, .. } if *told == status);
        assert!(world.events().iter().any(failed), "{status}");
    }
    world.expect_clean();
}
