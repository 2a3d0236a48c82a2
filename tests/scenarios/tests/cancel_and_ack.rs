//! What goes hop by hop: the ACK of a refusal and CANCEL (RFC 3261 sections 9, 16.10 and 17.1.1.3, RFC 3263 section 4.4).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::ForeignDomains;
use viaduct_sim::{Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, Transport};

/// A caller, and a phone that is registered behind two routers, so that requests to it have Route values.
fn behind_routers() -> (World, EndId, EndId) {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    let request = world
        .register_request(phone)
        .header(HeaderName::Supported, "path")
        .header(HeaderName::Path, "<sip:edge.example;lr>, <sip:inner.example;lr>");
    world.send_with_password(phone, request);
    world.expect(phone, "200");
    (world, caller, phone)
}

fn values(message: &Message, name: HeaderName) -> Vec<String> {
    let values = message.values(name);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// Holds a request to what it must have of its INVITE: Request-URI, the top Via and no other, Route, From, Call-ID and
/// the number of CSeq.
fn assert_is_of(request: &Message, invite: &Message) {
    assert_eq!(request.request_uri_text(), invite.request_uri_text());
    let vias = values(request, HeaderName::Via);
    assert_eq!(vias[..], values(invite, HeaderName::Via)[..1]);
    assert!(!values(invite, HeaderName::Route).is_empty());
    for name in [HeaderName::Route, HeaderName::From, HeaderName::CallId] {
        assert_eq!(values(request, name), values(invite, name), "{name:?}");
    }
    let number = |message: &Message| message.cseq().unwrap().unwrap().number;
    assert_eq!(number(request), number(invite));
    assert_eq!(request.cseq().unwrap().unwrap().method, request.method().unwrap());
    assert!(request.body().is_empty());
}

/// RFC 3261 section 9.1, RFC 3326 section 2.
#[test]
fn a_cancel_says_which_invite_it_is_for_and_why() {
    let (mut world, caller, phone) = behind_routers();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 180, None);
    let cancel = viaduct_sip::RequestBuilder::cancel_for(&invite).unwrap();
    let reason = "SIP;cause=600;text=\"Busy Everywhere\"";
    world.send(caller, cancel.header(HeaderName::Reason, reason).build().unwrap());
    let cancel = world.expect(phone, "CANCEL");
    assert_is_of(&cancel, &got);
    assert_eq!(values(&cancel, HeaderName::To), values(&got, HeaderName::To));
    assert_eq!(cancel.text(HeaderName::Reason), Some(reason));
    assert!(!cancel.has(HeaderName::Require) && !cancel.has(HeaderName::ProxyRequire));
}

/// RFC 3261 section 17.1.1.3: To is that of the refusal, everything else that of the INVITE.
#[test]
fn the_ack_of_a_refusal_goes_along_its_invite() {
    let (mut world, caller, phone) = behind_routers();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let refusal = world.response(phone, &got, 486, None);
    world.send(phone, refusal.clone());
    let ack = world.expect(phone, "ACK");
    assert_is_of(&ack, &got);
    let refusal = Message::parse_frame(refusal, &viaduct_sip::Limits::default()).unwrap();
    assert_eq!(values(&ack, HeaderName::To), values(&refusal, HeaderName::To));
    // The caller's own ACK ends here.
    let refusal = world.expect(caller, "486");
    world.ack_refusal(caller, &invite, &refusal);
    world.expect_nothing(phone);
}

/// RFC 3261 section 13.2.2.4: the ACK of a 2xx is a request of the dialog, with a branch of its own, and gets no answer.
#[test]
fn the_ack_of_a_2xx_goes_along_the_route_set() {
    let (mut world, caller, phone) = behind_routers();
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    let sent = world.send_in(&mut dialog, Method::Ack, None);
    let ack = world.expect(phone, "ACK");
    let vias = values(&ack, HeaderName::Via);
    assert_eq!(vias.len(), 2);
    assert_ne!(vias[0], values(&got, HeaderName::Via)[0]);
    let branch = sent.vias().next().unwrap().unwrap().branch().unwrap().to_owned();
    assert!(vias[1].contains(&branch));
    // Sent again it goes again: there is no transaction that would know it.
    world.send(caller, sent.octets().clone());
    world.expect(phone, "ACK");
    world.expect_nothing(caller);
}

/// RFC 3261 section 9.2: 200 for as long as the INVITE has a transaction, and nobody is bothered.
#[test]
fn a_cancel_that_comes_too_late_is_answered_and_changes_nothing() {
    for status in [200, 486] {
        let (mut world, caller, phone) = behind_routers();
        let invite = world.call(caller, "201", Some(PHONE_OFFER));
        let got = world.expect(phone, "INVITE");
        world.respond(phone, &got, status, (status == 200).then_some(PHONE_ANSWER));
        world.clear(phone);
        let answer = world.take(caller);
        world.cancel(caller, &invite);
        let ok = world.expect(caller, "200");
        assert_eq!(ok.cseq().unwrap().unwrap().method, Method::Cancel);
        world.expect_nothing(phone);
        assert_eq!(world.relay.sessions().len(), usize::from(status == 200));
        // Repeats get the same answer.
        world.cancel(caller, &invite);
        assert_eq!(world.expect(caller, "200").octets(), ok.octets());
        if status == 200 {
            let mut dialog = Dialog::of_caller(caller, &answer);
            world.send_in(&mut dialog, Method::Ack, None);
            world.expect(phone, "ACK");
            world.pass(40.0);
            world.clear(phone);
            world.cancel(caller, &invite);
            world.expect(caller, "481");
        } else {
            world.ack_refusal(caller, &invite, &answer);
            world.expect_clean();
        }
    }
}

/// RFC 3261 section 9.1: one CANCEL however often the caller gives up, and none of what is no INVITE.
#[test]
fn a_caller_who_gives_up_twice_cancels_once() {
    let (mut world, caller, phone) = behind_routers();
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 180, None);
    world.cancel(caller, &invite);
    world.cancel(caller, &invite);
    let cancel = world.expect(phone, "CANCEL");
    world.respond(phone, &cancel, 200, None);
    world.expect_nothing(phone);
    world.respond(phone, &got, 487, None);
    world.clear(phone);
    world.clear(caller);
    let message = world.request(caller, Method::Message, "201");
    let message = world.send_with_password(caller, message);
    world.expect(phone, "MESSAGE");
    let text = String::from_utf8(message.octets().to_vec()).unwrap();
    let cancel = text
        .replacen("MESSAGE sip:", "CANCEL sip:", 1)
        .replacen(" MESSAGE\r\n", " CANCEL\r\n", 1);
    world.send(caller, cancel.into_bytes());
    world.expect(caller, "481");
    world.expect_nothing(phone);
}

/// RFC 3263 section 4.4 and RFC 3261 section 18.1.1: both go to the address that their INVITE went to, which is not the
/// first one of its domain.
#[test]
fn cancel_and_ack_go_to_the_address_that_their_invite_went_to() {
    const ADDRESSES: [&str; 2] = ["203.0.113.1:5060", "203.0.113.2:5060"];
    let mut world = World::with(|config, _| config.foreign_domains = ForeignDomains::Allow);
    let caller = world.browser("300");
    world.register(caller);
    let [first, second] = ADDRESSES.map(|address| world.server("s", Transport::Udp, address));
    let known = ADDRESSES.map(|address| (Transport::Udp, address.parse().unwrap()));
    world.names.add("example.net", &known);
    for gives_up in [true, false] {
        let request = world.request_to(caller, Method::Invite, "sip:bob@example.net");
        let invite = world.send_with_password(caller, request);
        world.expect(caller, "100");
        let got = world.expect(first, "INVITE");
        world.respond(first, &got, 503, None);
        world.expect(first, "ACK");
        let again = world.expect(second, "INVITE");
        assert_ne!(
            values(&again, HeaderName::Via)[0],
            values(&got, HeaderName::Via)[0]
        );
        world.respond(second, &again, 180, None);
        world.expect(caller, "180");
        if gives_up {
            world.cancel(caller, &invite);
            world.expect(caller, "200");
            let cancel = world.expect(second, "CANCEL");
            world.respond(second, &cancel, 200, None);
            world.respond(second, &again, 487, None);
        } else {
            world.respond(second, &again, 404, None);
        }
        let ack = world.expect(second, "ACK");
        assert_eq!(
            values(&ack, HeaderName::Via)[0],
            values(&again, HeaderName::Via)[0]
        );
        world.expect_nothing(first);
        world.clear(caller);
    }
}

/// RFC 3261 section 14.1: a change of a call that is taken back leaves the call as it was.
#[test]
fn a_change_of_a_call_can_be_taken_back() {
    let (mut world, caller, phone) = behind_routers();
    world.register(caller);
    let (mut dialog, _) = world.answered(caller, phone, PHONE_OFFER, PHONE_ANSWER);
    let reinvite = world.send_in(&mut dialog, Method::Invite, Some(PHONE_OFFER));
    world.expect(caller, "100");
    let got = world.expect(phone, "INVITE");
    world.cancel(caller, &reinvite);
    world.expect(caller, "200");
    // Nothing was heard of it yet (section 9.1).
    world.expect_nothing(phone);
    world.respond(phone, &got, 180, None);
    world.expect(caller, "180");
    let cancel = world.expect(phone, "CANCEL");
    assert_eq!(
        values(&cancel, HeaderName::Via)[..],
        values(&got, HeaderName::Via)[..1]
    );
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &got, 487, None);
    world.expect(phone, "ACK");
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &reinvite, &refusal);
    assert_eq!(world.relay.sessions().len(), 1, "they talk on");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(phone, "BYE");
    world.respond(phone, &bye, 200, None);
    world.expect_clean();
}
