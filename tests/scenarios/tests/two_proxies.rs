//! Two proxies in a row, each with a relay and a secret of its own (RFC 3261 section 16, RFC 5658 section 5).

use viaduct_routing::{ForeignDomains, Network};
use viaduct_sim::{BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

/// `example.com` and `second.example`, and how each sees the other.
struct Row {
    first: World,
    second: World,
    to_second: EndId,
    to_first: EndId,
}

impl Row {
    fn new() -> Self {
        let mut first = World::with(|config, _| config.foreign_domains = ForeignDomains::Allow);
        let to_second = first.server("second", Transport::Udp, "10.9.0.2:5060");
        let there = ([10, 9, 0, 2], 5060).into();
        first.names.add("second.example", &[(Transport::Udp, there)]);
        // It believes the first: whoever that lets pass is who they say.
        let mut second = World::second(|config, _| {
            config.aliases.push("example.com".to_owned());
            config.auth.trust_from = vec![Network {
                address: [10, 9, 0, 1].into(),
                prefix: 32,
            }];
        });
        let to_first = second.server("first", Transport::Udp, "10.9.0.1:5060");
        Self {
            first,
            second,
            to_second,
            to_first,
        }
    }

    /// Carries what the proxies say to each other. Answers the requests and codes that passed.
    fn carry(&mut self) -> Vec<Message> {
        let mut passed = Vec::new();
        loop {
            let there = self.first.try_take(self.to_second);
            let back = self.second.try_take(self.to_first);
            if let Some(message) = &there {
                self.second.send(self.to_first, message.octets().clone());
            }
            if let Some(message) = &back {
                self.first.send(self.to_second, message.octets().clone());
            }
            if there.is_none() && back.is_none() {
                return passed;
            }
            passed.extend(there.into_iter().chain(back));
        }
    }
}

/// An end's request, and the 200 to it, over both proxies.
fn within(row: &mut Row, dialog: &mut Dialog, method: Method<'_>, from_first: bool, other: EndId) -> Message {
    let (near, far) = match from_first {
        true => (&mut row.first, other),
        false => (&mut row.second, other),
    };
    near.send_in(dialog, method, None);
    row.carry();
    let opposite = if from_first {
        &mut row.second
    } else {
        &mut row.first
    };
    let got = opposite.expect(far, method.as_str());
    if method != Method::Ack {
        opposite.respond(far, &got, 200, None);
        row.carry();
        let near = if from_first {
            &mut row.first
        } else {
            &mut row.second
        };
        near.expect(dialog.end, "200");
    }
    got
}

/// RFC 5658 section 5: each proxy stands in the route twice, and takes out what is its own and nothing else.
#[test]
fn a_call_over_two_proxies_is_held_and_ended_from_either_side() {
    let mut row = Row::new();
    let browser = row.first.browser("300");
    row.first.register(browser);
    let phone = row.second.phone("201");
    row.second.register(phone);
    let invite = row
        .first
        .request_to(browser, Method::Invite, "sip:201@second.example")
        .body("application/sdp", BROWSER_OFFER);
    row.first.send_with_password(browser, invite);
    row.carry();
    row.first.expect(browser, "100");
    let got = row.second.expect(phone, "INVITE");
    assert_eq!(got.values(HeaderName::RecordRoute).count(), 4);
    assert_eq!(got.values(HeaderName::Via).count(), 3);
    assert!(viaduct_sim::body_of(&got).contains(" RTP/AVP "));
    row.second.respond(phone, &got, 180, None);
    row.carry();
    row.first.expect(browser, "180");
    row.second.respond(phone, &got, 200, Some(PHONE_ANSWER));
    row.carry();
    let ok = row.first.expect(browser, "200");
    let mut caller = Dialog::of_caller(browser, &ok);
    let mut callee = row.second.callee_dialog(phone, &got);
    assert_eq!((caller.routes.len(), callee.routes.len()), (4, 4));
    within(&mut row, &mut caller, Method::Ack, true, phone);
    for _ in 0..2 {
        let info = within(&mut row, &mut caller, Method::Info, true, phone);
        assert!(!info.has(HeaderName::Route), "every router took out its own");
        let info = within(&mut row, &mut callee, Method::Info, false, browser);
        assert!(!info.has(HeaderName::Route));
    }
    within(&mut row, &mut callee, Method::Bye, false, browser);
    row.first.expect_clean();
    row.second.expect_clean();
}

/// RFC 3261 sections 9.2 and 16.10: CANCEL goes hop by hop, and the 487 comes all the way back.
#[test]
fn a_call_over_two_proxies_is_cancelled_all_the_way() {
    let mut row = Row::new();
    let browser = row.first.browser("300");
    row.first.register(browser);
    let phone = row.second.phone("201");
    row.second.register(phone);
    let invite = row
        .first
        .request_to(browser, Method::Invite, "sip:201@second.example")
        .body("application/sdp", BROWSER_OFFER);
    let invite = row.first.send_with_password(browser, invite);
    row.carry();
    let got = row.second.expect(phone, "INVITE");
    row.second.respond(phone, &got, 180, None);
    row.carry();
    row.first.clear(browser);
    row.first.cancel(browser, &invite);
    row.first.expect(browser, "200");
    row.carry();
    let cancel = row.second.expect(phone, "CANCEL");
    row.second.respond(phone, &cancel, 200, None);
    row.second.respond(phone, &got, 487, None);
    row.carry();
    let refusal = row.first.expect(browser, "487");
    row.first.ack_refusal(browser, &invite, &refusal);
    row.first.expect_clean();
    row.second.expect_clean();
}

/// RFC 3261 section 16.7: what the second proxy says itself reaches the caller.
#[test]
fn a_refusal_of_the_second_proxy_reaches_the_caller() {
    let mut row = Row::new();
    let phone = row.first.phone("201");
    row.first.register(phone);
    for (to, status) in [
        ("sip:999@second.example", "404"),
        ("sip:202@second.example", "480"),
    ] {
        let message = row
            .first
            .request_to(phone, Method::Message, to)
            .body("text/plain", "x");
        row.first.send_with_password(phone, message);
        row.carry();
        row.first.expect(phone, status);
    }
}

/// RFC 5393 section 4.2: a loop is when a proxy finds its own mark. One beside it, at the same address, marks otherwise.
#[test]
fn two_proxies_of_one_machine_are_no_loop() {
    let only = |address: [u8; 4]| Network {
        address: address.into(),
        prefix: 32,
    };
    let mut first = World::with(|config, _| {
        config.foreign_domains = ForeignDomains::Allow;
        config.auth.trust_from = vec![only([10, 0, 0, 1])];
    });
    let caller = first.phone("202");
    let to_second = first.server("second", Transport::Udp, "10.9.0.2:5060");
    let there = ([10, 9, 0, 2], 5060).into();
    first.names.add("second.example", &[(Transport::Udp, there)]);
    let mut second = World::second(|config, _| {
        // What a machine with the address of both would say.
        config.aliases = vec!["example.com".to_owned(), "192.0.2.1".to_owned()];
        config.auth.trust_from = vec![only([10, 9, 0, 1])];
    });
    let to_first = second.server("first", Transport::Udp, "10.9.0.1:5060");
    let phone = second.phone("201");
    second.register(phone);
    // Nothing but the way is changed: no password is taken out.
    let message = first.request_to(caller, Method::Message, "sip:201@second.example");
    first.send(caller, message.body("text/plain", "x").build().unwrap());
    let message = first.expect(to_second, "MESSAGE");
    assert!(
        message
            .vias()
            .flatten()
            .any(|via| via.host().as_str() == "192.0.2.1")
    );
    second.send(to_first, message.octets().clone());
    second.expect(phone, "MESSAGE");
}
