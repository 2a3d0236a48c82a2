//! A WebSocket breaks in the middle of a call: the call lives while its media does.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{CallEnd, Event, ProxyEnd};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method, Transport};

fn call() -> (World, EndId, EndId, Dialog, Dialog) {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    let (caller, callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    (world, browser, phone, caller, callee)
}

fn tag(dialog: &Dialog) -> String {
    dialog.local.split(";tag=").nth(1).unwrap().to_owned()
}

#[test]
fn a_page_that_is_gone_ends_the_call_on_the_other_side() {
    let (mut world, browser, phone, caller, _) = call();
    let last = world.unix();
    world.relay.last_packet.insert(tag(&caller), last);
    world.disconnect(browser);
    world.pass(5.0);
    world.expect_nothing(phone);
    world.pass(5.0);
    let bye = world.expect(phone, "BYE");
    assert!(bye.text(HeaderName::Reason).unwrap().contains("Connection lost"));
    world.respond(phone, &bye, 200, None);
    let ended = |event: &Event| {
        matches!(
            event,
            Event::CallEnded {
                end: CallEnd::ByProxy(ProxyEnd::FlowLost),
                ..
            }
        )
    };
    assert!(world.events().iter().any(ended));
    world.expect_clean();
}

#[test]
fn a_browser_that_is_still_heard_keeps_its_call() {
    let (mut world, browser, phone, caller, _) = call();
    world.disconnect(browser);
    for _ in 0..30 {
        let last = world.unix();
        world.relay.last_packet.insert(tag(&caller), last);
        world.pass(1.0);
    }
    world.expect_nothing(phone);
    assert_eq!(world.relay.sessions().len(), 1);
}

/// A browser that was on hold sent nothing before either: silence counts from when the connection went.
#[test]
fn silence_from_before_the_break_does_not_count() {
    let (mut world, browser, phone, caller, _) = call();
    let last = world.unix();
    world.relay.last_packet.insert(tag(&caller), last);
    world.pass(60.0);
    world.disconnect(browser);
    world.pass(5.0);
    world.expect_nothing(phone);
}

/// The browser comes back over another connection, in the same dialog.
#[test]
fn a_browser_that_comes_back_takes_its_call_with_it() {
    let (mut world, browser, phone, caller, mut callee) = call();
    world.disconnect(browser);
    let again = world.add("300", Transport::Ws);
    world.register(again);
    let mut dialog = Dialog { end: again, ..caller };
    world.send_in(&mut dialog, Method::Invite, Some(BROWSER_OFFER));
    let reinvite = world.expect(phone, "INVITE");
    world.respond(phone, &reinvite, 200, Some(PHONE_ANSWER));
    world.expect(again, "100");
    world.expect(again, "200");
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");
    world.pass(30.0);
    world.expect_nothing(phone);
    // The proxy can reach it over the new connection, should it have to.
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    world.proxy().hang_up(now, call);
    world.settle();
    world.expect(again, "BYE");
    world.expect(phone, "BYE");
    callee.cseq += 1;
}

#[test]
fn a_request_to_a_lost_browser_fails_at_once() {
    let (mut world, browser, phone, _, mut callee) = call();
    world.disconnect(browser);
    world.send_in(&mut callee, Method::Info, None);
    world.expect(phone, "480");
    // A BYE ends the call though nobody is there to take it.
    world.send_in(&mut callee, Method::Bye, None);
    world.expect(phone, "480");
    assert!(world.relay.sessions().is_empty());
    world.expect_clean();
}

#[test]
fn a_called_page_that_is_gone_ends_the_call_too() {
    let mut world = World::new();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(phone);
    world.register(browser);
    world.answered(phone, browser, PHONE_OFFER, BROWSER_ANSWER);
    world.disconnect(browser);
    world.pass(9.0);
    world.expect(phone, "BYE");
}

/// RFC 5922 section 7.1: what a certificate proves is true of its connection, and of no other.
#[test]
fn what_a_peer_has_proven_ends_with_its_connection() {
    let mut world = World::new();
    let (proxy, other) = (world.add("201", Transport::Tls), world.add("202", Transport::Tls));
    let (flow, other) = (world.flow(proxy), world.flow(other));
    let names = ["sbc.carrier.example".to_owned()];
    world
        .proxy()
        .handle_peer_proven(flow.conn.unwrap(), names.clone().into());
    assert_eq!(world.proxy().proven_names(&flow), names);
    assert!(world.proxy().proven_names(&other).is_empty());
    world.disconnect(proxy);
    assert!(world.proxy().proven_names(&flow).is_empty());
}
