//! What becomes a Request-URI and what becomes a route set (RFC 3261 sections 12.1, 12.2.1.1, 16.6 and 19.1.1).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_sim::{Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method};

/// Registers a contact with this URI, and answers the 200.
fn register(world: &mut World, end: EndId, uri: &str, expires: &str) -> Message {
    let request = world
        .register_request_bare(end)
        .header(HeaderName::Contact, format!("<{uri}>"))
        .header(HeaderName::Expires, expires);
    world.send_with_password(end, request);
    world.expect(end, "200")
}

fn with_line(octets: &[u8], line: &str, before: &str) -> Vec<u8> {
    let text = std::str::from_utf8(octets).unwrap();
    let changed = text.replacen(before, &format!("\r\n{line}{before}"), 1);
    assert_ne!(changed, text);
    changed.into_bytes()
}

fn routes(message: &Message) -> Vec<String> {
    let values = message.values(HeaderName::Route);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// RFC 3261 sections 16.6 step 2 and 19.1.1, table 1: `method` and headers go, everything else of a contact stays, in its
/// order and with its escapes. The registrar tells it as it came, and knows it again.
#[test]
fn a_contact_becomes_a_request_uri_without_what_none_may_have() {
    for (contact, target) in [
        ("sip:201@10.0.0.1:5001;method=MESSAGE", "sip:201@10.0.0.1:5001"),
        (
            "sip:201@10.0.0.1:5001?Route=%3Csip:evil.example%3E&Subject=x",
            "sip:201@10.0.0.1:5001",
        ),
        (
            "sip:201:pw@10.0.0.1:5001;lr;Method=BYE;maddr=10.0.0.1;ttl=3;transport=udp;user=phone;x-y=%41?a=b",
            "sip:201:pw@10.0.0.1:5001;lr;maddr=10.0.0.1;ttl=3;transport=udp;user=phone;x-y=%41",
        ),
        (
            "sip:2%301?;method=x@10.0.0.1:5001;ob",
            "sip:2%301?;method=x@10.0.0.1:5001;ob",
        ),
    ] {
        let mut world = World::new();
        let (phone, caller) = (world.phone("201"), world.phone("202"));
        let told = register(&mut world, phone, contact, "300");
        let told = told.text(HeaderName::Contact).unwrap().to_owned();
        assert!(told.starts_with(&format!("<{contact}>")), "{told}");
        for method in [Method::Invite, Method::Message] {
            let request = world.request(caller, method, "201");
            world.send_with_password(caller, request);
            let got = world.expect(phone, method.as_str());
            assert_eq!(got.request_uri_text(), Some(target));
            assert!(!got.has(HeaderName::Route) && !got.has(HeaderName::Subject));
            world.clear(caller);
        }
        let told = register(&mut world, phone, contact, "0");
        assert!(!told.has(HeaderName::Contact), "it is known again: {contact}");
    }
}

/// RFC 8599 sections 4.1.1 and 5.2: who is woken up by whom is between the device and its push service; what is written in
/// the contact comes back in the 200 and in every request to it.
#[test]
fn push_parameters_of_a_contact_pass_untouched() {
    let mut world = World::new();
    let (phone, caller) = (world.phone("201"), world.phone("202"));
    let contact = "sip:201@10.0.0.1:5001;pn-provider=acme;pn-param=acme-param;pn-prid=ZTY4ZDJlMzODE1NmUgKi0K";
    let told = register(&mut world, phone, contact, "300");
    assert!(told.text(HeaderName::Contact).unwrap().contains(contact));
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    assert_eq!(got.request_uri_text(), Some(contact));
    // We push nothing, so we do not say that we would.
    let told = String::from_utf8_lossy(told.octets()).into_owned();
    assert!(!told.contains("Feature-Caps"), "{told}");
}

/// A call in which both sides have a router of their own, and what each of them is sent when the operator ends it.
fn byes_of_a_call_between(caller_router: &str, callee_router: &str) -> (Message, Message, World, [EndId; 2]) {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    let request = world
        .request(caller, Method::Invite, "201")
        .header(HeaderName::RecordRoute, caller_router)
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(caller, request);
    world.expect(caller, "100");
    let invite = world.expect(phone, "INVITE");
    let answer = world.response(phone, &invite, 200, Some(PHONE_ANSWER));
    let line = format!("Record-Route: {callee_router}");
    world.send(phone, with_line(&answer, &line, "\r\nRecord-Route"));
    let ok = world.expect(caller, "200");
    assert_eq!(ok.values(HeaderName::RecordRoute).count(), 4);
    let mut dialog = Dialog::of_caller(caller, &ok);
    // The first router is the caller's own, which takes itself out.
    dialog.routes.remove(0);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    let byes = (world.expect(caller, "BYE"), world.expect(phone, "BYE"));
    (byes.0, byes.1, world, [caller, phone])
}

/// RFC 3261 sections 12.1.1 and 12.1.2: the route set of a side is what stands between us and it, and not what is behind us.
#[test]
fn a_bye_of_our_own_travels_along_the_routers_of_its_side_only() {
    let (caller_router, callee_router) = ("<sip:edge-a.example;lr>", "<sip:edge-b.example;lr>");
    let (to_caller, to_callee, world, [caller, phone]) = byes_of_a_call_between(caller_router, callee_router);
    assert_eq!(routes(&to_caller), [caller_router]);
    assert_eq!(routes(&to_callee), [callee_router]);
    assert_eq!(to_caller.request_uri_text(), Some(&*world.contact(caller)));
    assert_eq!(to_callee.request_uri_text(), Some(&*world.contact(phone)));
}

/// RFC 3261 section 12.2.1.1: a strict router finds itself in the Request-URI, and the target at the end of Route.
#[test]
fn a_bye_of_our_own_is_written_for_strict_routers_too() {
    let (to_caller, to_callee, world, ends) =
        byes_of_a_call_between("<sip:edge-a.example>", "<sip:edge-b.example>");
    for (bye, router, end) in [
        (to_caller, "sip:edge-a.example", ends[0]),
        (to_callee, "sip:edge-b.example", ends[1]),
    ] {
        assert_eq!(bye.request_uri_text(), Some(router));
        assert_eq!(routes(&bye), [format!("<{}>", world.contact(end))]);
    }
}

/// RFC 3261 section 12.2.1.2: a target refresh is followed, but the route set of a dialog never changes.
#[test]
fn a_new_contact_inside_a_call_is_where_our_own_bye_goes() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(caller);
    world.register(phone);
    let (mut dialog, _) = world.answered(caller, phone, PHONE_OFFER, PHONE_ANSWER);
    dialog.cseq += 1;
    let update = world.in_dialog(&dialog, Method::Update, None);
    let moved = String::from_utf8(update.octets().to_vec()).unwrap();
    let contact = format!("<{}>", world.contact(caller));
    let moved = moved.replacen(&contact, "<sip:elsewhere@10.0.0.99:5099>", 1);
    world.send(caller, moved.into_bytes());
    let got = world.expect(phone, "UPDATE");
    let answer = world.response(phone, &got, 200, None);
    world.send(
        phone,
        with_line(&answer, "Record-Route: <sip:late.example;lr>", "\r\nCall-ID"),
    );
    world.expect(caller, "200");
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    let bye = world.expect(caller, "BYE");
    assert_eq!(bye.request_uri_text(), Some("sip:elsewhere@10.0.0.99:5099"));
    assert!(routes(&world.expect(phone, "BYE")).is_empty());
}

/// RFC 3966, RFC 3261 section 19.1.6: a number may be dialled without a domain, whatever stands between its digits, and may
/// stand in From and To. It is nobody's but that of the user who has it.
#[test]
fn numbers_without_a_domain_are_dialled_and_called_from() {
    let mut world = World::with(|_, users| {
        let user = users.iter_mut().find(|user| user.name == "202").unwrap();
        user.identities = vec!["+4930999".to_owned()];
    });
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    for (from, status) in [
        ("<tel:202>", 200),
        ("\"Me\" <tel:+49-(30)-999>", 200),
        ("<tel:+49-30-998>", 403),
        ("<tel:201>", 403),
        ("<urn:service:sos>", 403),
    ] {
        let request = world
            .request_to(caller, Method::Message, "tel:2-0-1;phone-context=example.com")
            .from(format!("{from};tag=x"));
        world.send_with_password(caller, request);
        if status == 200 {
            let got = world.expect(phone, "MESSAGE");
            assert_eq!(got.request_uri_text(), Some(&*world.contact(phone)));
            assert_eq!(got.text(HeaderName::From), Some(&*format!("{from};tag=x")));
            assert_eq!(
                got.text(HeaderName::To),
                Some("<tel:2-0-1;phone-context=example.com>")
            );
            world.respond(phone, &got, 200, None);
        }
        world.expect(caller, &status.to_string());
        world.expect_nothing(phone);
    }
}
