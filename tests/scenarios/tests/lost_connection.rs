//! A WebSocket breaks in the middle of a call: the call lives while its media does.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{CallEnd, Event, Network, ProxyEnd, Trunk, Trunks};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

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
    let (mut world, browser, phone, caller, _) = call();
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
}

/// RFC 5626 section 5.3: the route set of the other side names the connection that is gone, for it never changes. The dialog
/// goes on over the one that its user has come back by, be it that it is registered over it or that it has spoken.
#[test]
fn a_browser_that_has_come_back_hears_what_the_other_side_says() {
    for is_registered in [true, false] {
        let (world, browser, phone, caller, callee) = call();
        comes_back_and_is_heard(world, (browser, caller), (phone, callee), is_registered);
        let mut world = World::new();
        let (phone, browser) = (world.phone("201"), world.browser("300"));
        world.register(phone);
        world.register(browser);
        let (caller, callee) = world.answered(phone, browser, PHONE_OFFER, BROWSER_ANSWER);
        comes_back_and_is_heard(world, (browser, callee), (phone, caller), is_registered);
    }
}

fn comes_back_and_is_heard(
    mut world: World,
    (browser, of_browser): (EndId, Dialog),
    (phone, mut callee): (EndId, Dialog),
    is_registered: bool,
) {
    world.disconnect(browser);
    let again = world.add("300", Transport::Ws);
    world.send_in(&mut callee, Method::Info, None);
    world.expect(phone, "480");
    if is_registered {
        world.register(again);
        // Silence means nothing any more.
        world.pass(30.0);
        world.expect_nothing(phone);
    } else {
        let mut dialog = Dialog {
            end: again,
            ..of_browser
        };
        world.send_in(&mut dialog, Method::Update, None);
        let update = world.expect(phone, "UPDATE");
        world.respond(phone, &update, 200, None);
        world.expect(again, "200");
    }
    world.send_in(&mut callee, Method::Info, None);
    let info = world.expect(again, "INFO");
    world.respond(again, &info, 200, None);
    world.expect(phone, "200");
    world.send_in(&mut callee, Method::Bye, None);
    let bye = world.expect(again, "BYE");
    world.respond(again, &bye, 200, None);
    world.expect(phone, "200");
    world.expect_clean();
}

/// What the proxy itself has to say reaches it as well.
#[test]
fn a_browser_that_is_registered_again_is_told_that_its_call_is_over() {
    let (mut world, browser, phone, ..) = call();
    world.disconnect(browser);
    let again = world.add("300", Transport::Ws);
    world.register(again);
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    for end in [again, phone] {
        let bye = world.expect(end, "BYE");
        world.respond(end, &bye, 200, None);
    }
    world.expect_clean();
}

/// A page that was loaded again is another one: it knows nothing of the call.
#[test]
fn another_contact_of_the_user_is_not_taken_for_the_one_that_is_gone() {
    let (mut world, browser, phone, _, mut callee) = call();
    world.disconnect(browser);
    let other = world.add("300", Transport::Ws);
    let request = world
        .register_request_bare(other)
        .header(HeaderName::Contact, "<sip:another@300.invalid;transport=ws>");
    world.send_with_password(other, request);
    world.expect(other, "200");
    world.send_in(&mut callee, Method::Info, None);
    world.expect(phone, "480");
    world.expect_nothing(other);
    world.pass(10.0);
    world.expect(phone, "BYE");
}

#[test]
fn a_request_to_a_lost_browser_fails_at_once() {
    let (mut world, browser, phone, _, mut callee) = call();
    world.disconnect(browser);
    world.send_in(&mut callee, Method::Info, None);
    world.expect(phone, "480");
    // A BYE ends the call though nobody is there to take it (RFC 3261 section 15.1.1).
    world.send_in(&mut callee, Method::Bye, None);
    world.expect(phone, "481");
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

/// RFC 3261 section 12.2.1.2: a phone on another network says so by a target refresh. What the other side says goes there,
/// though the route set still names where it was.
#[test]
fn a_phone_that_has_moved_hears_what_the_other_side_says() {
    for is_caller in [true, false] {
        let mut world = World::new();
        let (caller, called) = (world.phone("202"), world.phone("201"));
        world.register(caller);
        world.register(called);
        let (by_caller, by_called) = world.answered(caller, called, PHONE_OFFER, PHONE_ANSWER);
        let ((of_moving, moving), (mut other, stays)) = if is_caller {
            ((by_caller, "202"), (by_called, called))
        } else {
            ((by_called, "201"), (by_caller, caller))
        };
        let moved = world.phone(moving);
        let mut dialog = Dialog {
            end: moved,
            ..of_moving
        };
        world.send_in(&mut dialog, Method::Invite, Some(PHONE_OFFER));
        let reinvite = world.expect(stays, "INVITE");
        world.respond(stays, &reinvite, 200, Some(PHONE_ANSWER));
        world.expect(moved, "100");
        world.expect(moved, "200");
        world.send_in(&mut dialog, Method::Ack, None);
        world.expect(stays, "ACK");
        other.target = world.contact(moved);
        world.send_in(&mut other, Method::Info, None);
        let info = world.expect(moved, "INFO");
        assert_eq!(info.request_uri_text(), Some(&*world.contact(moved)));
        world.respond(moved, &info, 200, None);
        world.expect(stays, "200");
        world.send_in(&mut other, Method::Bye, None);
        let bye = world.expect(moved, "BYE");
        world.respond(moved, &bye, 200, None);
        world.expect_clean();
    }
}

/// A call that a trunk at 198.51.100.1:5060 has begun over a connection from another port, and the two ends of the trunk: what
/// it has opened, and where it listens.
fn call_of_trunk(is_answered: bool) -> (World, [EndId; 2], EndId, Message) {
    let mut world = World::with(|config, _| {
        let mut trunk = Trunk::new("a", "198.51.100.1");
        trunk.trust_from = vec![Network {
            address: [198, 51, 100, 1].into(),
            prefix: 32,
        }];
        config.trunks = Trunks::new(vec![trunk], None);
    });
    let [opened, listening] =
        ["198.51.100.1:41234", "198.51.100.1:5060"].map(|address| world.server("a", Transport::Tcp, address));
    let phone = world.phone("201");
    world.register(phone);
    let invite = world
        .request_to(opened, Method::Invite, "sip:201@example.com")
        .body("application/sdp", PHONE_OFFER);
    let text = String::from_utf8(invite.build().unwrap().to_vec()).unwrap();
    let text = text.replacen(
        "SIP/2.0/TCP 198.51.100.1:41234",
        "SIP/2.0/TCP 198.51.100.1:5060",
        1,
    );
    world.send(opened, text);
    world.expect(opened, "100");
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 180, None);
    world.expect(opened, "180");
    if is_answered {
        world.respond(phone, &got, 200, Some(PHONE_ANSWER));
        let ok = world.expect(opened, "200");
        let mut dialog = Dialog::of_caller(opened, &ok);
        world.send_in(&mut dialog, Method::Ack, None);
        world.expect(phone, "ACK");
    }
    (world, [opened, listening], phone, got)
}

/// RFC 3261 section 18: servers close connections over which nothing comes. That is no word about their calls, not even of
/// those without media: they are connected to when there is something to say.
#[test]
fn a_trunk_that_has_closed_its_connection_is_connected_to() {
    for ends_here in [false, true] {
        let (mut world, [opened, listening], phone, invite) = call_of_trunk(true);
        world.disconnect(opened);
        world.pass(60.0);
        world.expect_nothing(phone);
        let mut callee = world.callee_dialog(phone, &invite);
        world.send_in(&mut callee, Method::Info, None);
        let info = world.expect(listening, "INFO");
        world.respond(listening, &info, 200, None);
        world.expect(phone, "200");
        if ends_here {
            let now = world.now();
            let call = world.proxy().calls(now)[0].call;
            assert!(world.proxy().hang_up(now, call));
            world.settle();
            let bye = world.expect(phone, "BYE");
            world.respond(phone, &bye, 200, None);
        } else {
            world.send_in(&mut callee, Method::Bye, None);
        }
        let bye = world.expect(listening, "BYE");
        world.respond(listening, &bye, 200, None);
        world.expect_clean();
    }
}

/// RFC 3261 section 18.2.2: while it rings, too. The answer finds its way by itself.
#[test]
fn a_call_of_a_trunk_rings_on_when_its_connection_is_closed() {
    let (mut world, [opened, listening], phone, invite) = call_of_trunk(false);
    world.disconnect(opened);
    world.expect_nothing(phone);
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    assert_eq!(world.relay.sessions().len(), 1);
    let mut callee = world.callee_dialog(phone, &invite);
    world.send_in(&mut callee, Method::Bye, None);
    let bye = world.expect(listening, "BYE");
    world.respond(listening, &bye, 200, None);
    world.expect(phone, "200");
    world.expect_clean();
}
