//! Another configuration, or no further calls, while there are calls.

use std::sync::Arc;

use viaduct_routing::{Change, Config, Event, ForeignDomains, Output, UnregisterReason, User, Users};
use viaduct_sim::{BROWSER_OFFER, Dialog, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Method};

#[test]
fn a_call_goes_on_under_another_configuration_even_without_its_users() {
    let mut config = Config::new("example.com");
    let mut world = World::with(|theirs, _| config = theirs.clone());
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    let (mut caller, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let users: Users = [User::with_password("202", "example.com", "secret")]
        .into_iter()
        .collect();
    config.limits.calls_per_user_max = 0;
    world.proxy().reconfigure(Arc::new(config), Arc::new(users));
    world.send_in(&mut caller, Method::Info, None);
    let info = world.expect(phone, "INFO");
    world.respond(phone, &info, 200, None);
    world.expect(browser, "200");
    // Nobody begins a call who is no user any more.
    let again = world.request(browser, Method::Invite, "202");
    world.send_with_password(browser, again.body("application/sdp", PHONE_OFFER));
    world.expect(browser, "407");
    world.send_in(&mut callee, Method::Bye, None);
    let bye = world.expect(browser, "BYE");
    world.respond(browser, &bye, 200, None);
    world.expect(phone, "200");
}

/// RFC 3261 section 21.5.4: the caller is told when to try again, and that before it is asked for a password.
#[test]
fn a_proxy_that_drains_refuses_calls_and_probes_and_nothing_else() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    world.proxy().set_draining(true);

    let invite = world.request(phone, Method::Invite, "300");
    world.send(
        phone,
        invite.body("application/sdp", PHONE_OFFER).build().unwrap(),
    );
    let refusal = world.expect(phone, "503");
    assert_eq!(refusal.text(HeaderName::RetryAfter), Some("60"));
    let probe = world.request(phone, Method::Options, "300").build().unwrap();
    let probe =
        String::from_utf8(probe.to_vec())
            .unwrap()
            .replacen("sip:300@example.com", "sip:example.com", 1);
    world.send(phone, probe.clone().into_bytes());
    world.expect(phone, "503");
    assert_eq!(world.proxy().counters().0.refused_draining, 2);

    // A registration is renewed, a message delivered, the call changed and ended.
    world.register(phone);
    let message = world.request(phone, Method::Message, "300");
    world.send_with_password(phone, message);
    let message = world.expect(browser, "MESSAGE");
    world.respond(browser, &message, 200, None);
    world.expect(phone, "200");
    world.send_in(&mut caller, Method::Bye, None);
    let bye = world.expect(phone, "BYE");
    world.respond(phone, &bye, 200, None);
    world.expect(browser, "200");
    assert_eq!(world.proxy().gauges().calls, 0);

    world.proxy().set_draining(false);
    world.send(
        phone,
        probe
            .replacen("branch=z9hG4bK", "branch=z9hG4bKx", 1)
            .into_bytes(),
    );
    world.expect(phone, "200");
}

/// RFC 3891 section 3: the last step of a transfer belongs to a call that is to be finished. What names no dialog, or comes
/// when there is no call, replaces nothing.
#[test]
fn a_proxy_that_drains_lets_a_transfer_be_finished() {
    let mut world = World::new();
    let (browser, phone, third) = (world.browser("300"), world.phone("201"), world.phone("202"));
    for end in [browser, phone, third] {
        world.register(end);
    }
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let tag = |of: &str| of.split_once(";tag=").map(|(_, tag)| tag.to_owned()).unwrap();
    let (from_tag, to_tag) = (tag(&caller.local), tag(&caller.remote));
    let replaces = format!("{};to-tag={to_tag};from-tag={from_tag}", caller.call_id);
    world.proxy().set_draining(true);
    let replacing = |world: &mut World, value: &str| {
        let invite = world.request(third, Method::Invite, "201");
        invite
            .header(HeaderName::Replaces, value)
            .body("application/sdp", PHONE_OFFER)
    };
    for nonsense in ["", "call", "call;to-tag=1", ";to-tag=1;from-tag=2"] {
        let invite = replacing(&mut world, nonsense).build().unwrap();
        world.send(third, invite);
        world.expect(third, "503");
    }
    let invite = replacing(&mut world, &replaces);
    world.send_with_password(third, invite);
    world.expect(third, "100");
    let got = world.expect(phone, "INVITE");
    assert_eq!(got.text(HeaderName::Replaces), Some(&*replaces));
    world.respond(phone, &got, 200, Some(PHONE_ANSWER));
    let ok = world.expect(third, "200");
    let mut replaced = Dialog::of_caller(third, &ok);
    world.send_in(&mut replaced, Method::Ack, None);
    world.expect(phone, "ACK");
    for (dialog, end) in [(&mut caller, browser), (&mut replaced, third)] {
        world.send_in(dialog, Method::Bye, None);
        let bye = world.expect(phone, "BYE");
        world.respond(phone, &bye, 200, None);
        world.expect(end, "200");
    }
    // Nothing is left to be replaced.
    let late = replacing(&mut world, &replaces).build().unwrap();
    world.send(third, late);
    world.expect(third, "503");
}

/// RFC 3261 section 21.5.4: a call out of the domain is a call, too.
#[test]
fn a_proxy_that_drains_takes_no_call_to_another_domain() {
    let mut world = World::with(|config, _| config.foreign_domains = ForeignDomains::Allow);
    let phone = world.phone("201");
    world.proxy().set_draining(true);
    let invite = world.request_to(phone, Method::Invite, "sip:x@elsewhere.example");
    world.send(phone, invite.build().unwrap());
    let refusal = world.expect(phone, "503");
    assert_eq!(refusal.text(HeaderName::RetryAfter), Some("60"));
    // Who asks whether they are there asks them.
    let probe = world.request_to(phone, Method::Options, "sip:elsewhere.example");
    world.send(phone, probe.build().unwrap());
    world.expect(phone, "407");
}

/// RFC 3261 section 10.3: a registrar keeps bindings of its users, and of nobody else.
#[test]
fn devices_of_a_user_who_is_taken_out_are_signed_off() {
    let mut config = Config::new("example.com");
    let mut world = World::with(|theirs, _| config = theirs.clone());
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    let gone = world.contact(phone);
    world.events();
    let config = Arc::new(config);
    let with = |names: &[&str]| {
        let users = names
            .iter()
            .map(|name| User::with_password(name, "example.com", "secret"));
        Arc::new(users.collect::<Users>())
    };
    world.proxy().reconfigure(config.clone(), with(&["300"]));
    let now = world.now();
    world.proxy().expire_bindings(now);
    let mut stored = Vec::new();
    while let Some(output) = world.proxy().poll_output() {
        match output {
            Output::Store { changes, .. } => stored.extend(changes),
            Output::Event(Event::Unregistered { uri, reason, .. }) => {
                assert_eq!((&*uri, reason), (&*gone, UnregisterReason::NobodysName));
            }
            other => panic!("{other:?}"),
        }
    }
    let [Change::Delete { uri, .. }] = stored.as_slice() else {
        panic!("{stored:?}")
    };
    assert_eq!(**uri, *gone);
    // Whoever comes back is not registered until its device says so. Everybody else is.
    world.proxy().reconfigure(config, with(&["201", "300"]));
    world.dial(browser, "201", Some(BROWSER_OFFER));
    world.expect(browser, "480");
    world.call(phone, "300", Some(PHONE_OFFER));
    world.expect(browser, "INVITE");
}
