//! More comes than can be handled, so that requests wait: what begins something is refused, at once and for little, and what
//! exists is looked after (RFC 3261 section 21.5.4, RFC 6357 section 3).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use viaduct_routing::{Gauges, Network, Trunk, Trunks};
use viaduct_sim::{BROWSER_OFFER, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Limits, Message, Method, Transport};

/// Just as long as `limits.queue_time`.
const SHORT: Duration = Duration::from_millis(500);

/// A little longer.
const LONG: Duration = Duration::from_millis(501);

/// Longer than a REGISTER may wait.
const VERY_LONG: Duration = Duration::from_millis(5_001);

fn pair() -> (World, EndId, EndId) {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    world.pass(40.0);
    (world, browser, phone)
}

/// Seconds until it may come again, of the 503 that an end has got.
fn retry_after(world: &mut World, end: EndId) -> u32 {
    let answer = world.expect(end, "503");
    answer.text(HeaderName::RetryAfter).unwrap().parse().unwrap()
}

/// Sends a request when nothing waits, and again with a password when much does.
fn send_proven(world: &mut World, end: EndId, method: Method<'_>, queue: Duration) {
    world.queue = Duration::ZERO;
    let request = world.request(end, method, "201").build().unwrap();
    world.send(end, request.clone());
    let challenge = world.expect(end, "407");
    world.queue = queue;
    let request = Message::parse_frame(request, &Limits::default()).unwrap();
    world.send_again_with_password(end, &request, &challenge);
}

/// Before anybody looks at its password, sent once, and not remembered. Not all are told to come back at the same time.
#[test]
fn a_call_that_has_waited_too_long_is_refused() {
    let (mut world, browser, phone) = pair();
    let mut times = BTreeSet::new();
    for method in [Method::Invite, Method::Subscribe].repeat(5) {
        send_proven(&mut world, browser, method, LONG);
        times.insert(retry_after(&mut world, browser));
    }
    assert!(
        times.len() > 1 && times.iter().all(|time| (2..=10).contains(time)),
        "{times:?}"
    );
    assert_eq!(world.proxy().gauges(), Gauges::default());
    assert_eq!(world.proxy().counters().0.requests_late, 10);
    assert!(world.relay.asked.is_empty());
    world.expect_nothing(phone);
    world.pass(40.0);
    world.expect_nothing(browser);
    send_proven(&mut world, browser, Method::Invite, SHORT);
    world.expect(browser, "100");
    world.expect(phone, "INVITE");
}

/// To ask a stranger for a password is as little work as to refuse, so a crowd of strangers that keeps everybody waiting gets
/// nobody refused but itself.
#[test]
fn who_has_shown_no_password_is_asked_for_one_however_much_waits() {
    let (mut world, browser, _) = pair();
    for method in [
        Method::Invite,
        Method::Subscribe,
        Method::Message,
        Method::Options,
    ] {
        world.queue = VERY_LONG;
        let request = world.request(browser, method, "201").build().unwrap();
        world.send(browser, request);
        world.expect(browser, "407");
    }
    assert_eq!(world.proxy().counters().0.requests_late, 0);
}

#[test]
fn what_belongs_to_a_call_is_served_however_long_it_has_waited() {
    let (mut world, browser, phone) = pair();
    let invite = world.call(browser, "201", Some(BROWSER_OFFER));
    let got = world.expect(phone, "INVITE");
    world.queue = 10 * VERY_LONG;
    world.respond(phone, &got, 180, None);
    world.expect(browser, "180");
    world.cancel(browser, &invite);
    world.expect(browser, "200");
    world.expect(phone, "CANCEL");
    world.respond(phone, &got, 487, None);
    world.expect(phone, "ACK");
    let refusal = world.expect(browser, "487");
    world.ack_refusal(browser, &invite, &refusal);
    world.queue = Duration::ZERO;
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.queue = 10 * VERY_LONG;
    for method in [Method::Invite, Method::Info, Method::Refer, Method::Bye] {
        let sdp = (method == Method::Invite).then_some(BROWSER_OFFER);
        world.send_in(&mut caller, method, sdp);
        let got = world.expect(phone, method.as_str());
        world.respond(phone, &got, 200, sdp.map(|_| PHONE_ANSWER));
        if method == Method::Invite {
            world.expect(browser, "100");
        }
        world.expect(browser, "200");
        if method == Method::Invite {
            world.send_in(&mut caller, Method::Ack, None);
            world.expect(phone, "ACK");
        }
    }
    assert_eq!(world.proxy().counters().0.requests_late, 0);
    world.expect_clean();
}

/// Nobody is called who is not registered.
#[test]
fn registrations_are_refused_last() {
    let (mut world, _, phone) = pair();
    world.queue = LONG;
    world.register(phone);
    world.queue = VERY_LONG;
    let request = world.register_request(phone);
    world.send_with_password(phone, request);
    retry_after(&mut world, phone);
    assert_eq!(world.proxy().counters().0.requests_late, 1);
}

/// Neither a call for help nor the call that a transfer is made of (RFC 3891) is an additional call that could as well be made
/// later.
#[test]
fn emergencies_and_transfers_are_not_refused_for_it() {
    let (mut world, browser, phone) = pair();
    let (caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.queue = VERY_LONG;
    world.dial(browser, "112", Some(BROWSER_OFFER));
    world.expect(browser, "404");
    let tags =
        [&caller.remote, &caller.local].map(|address| address.split(";tag=").nth(1).unwrap().to_owned());
    let replaces = format!("{};to-tag={};from-tag={}", caller.call_id, tags[0], tags[1]);
    let third = world.phone("202");
    let request = world
        .request(third, Method::Invite, "201")
        .header(HeaderName::Replaces, replaces)
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(third, request);
    world.expect(third, "100");
    assert!(world.expect(phone, "INVITE").has(HeaderName::Replaces));
}

/// A carrier that reads 503 tries another way.
#[test]
fn calls_of_trunks_are_refused_as_well() {
    let mut world = World::with(|config, _| {
        let mut trunk = Trunk::new("a", "198.51.100.1");
        trunk.trust_from = vec![Network {
            address: [198, 51, 100, 1].into(),
            prefix: 32,
        }];
        config.trunks = Trunks::new(vec![trunk], None);
    });
    let trunk = world.server("a", Transport::Udp, "198.51.100.1:5060");
    world.queue = LONG;
    let invite = world.request(trunk, Method::Invite, "201").build().unwrap();
    world.send(trunk, invite);
    retry_after(&mut world, trunk);
}
