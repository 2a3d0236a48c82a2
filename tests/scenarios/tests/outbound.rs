//! Path, flows and GRUUs (RFC 3327, RFC 5626, RFC 5627).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, NameAddr};

const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";

/// Registers one flow of a device, and answers the 200.
fn register_flow(world: &mut World, end: EndId, reg_id: u32) -> Message {
    let params = format!(";+sip.instance=\"<{INSTANCE}>\";reg-id={reg_id}");
    let request = world
        .register_request_with(end, &params)
        .header(HeaderName::Supported, "path, outbound, gruu");
    world.send_with_password(end, request);
    world.expect(end, "200")
}

fn invite(world: &mut World, caller: EndId, uri: &str) -> Message {
    let request = world
        .request_to(caller, Method::Invite, uri)
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(caller, request)
}

/// RFC 3327 sections 5.2 and 5.3: kept, told, and used as Route; the hop is the one that the REGISTER came over.
#[test]
fn a_path_is_stored_told_and_travelled() {
    let mut world = World::new();
    let (edge, caller) = (world.phone("201"), world.phone("202"));
    let path = "<sip:edge.example;lr>, <sip:inner.example;lr;ob>";
    let request = world
        .register_request(edge)
        .header(HeaderName::Supported, "path")
        .header(HeaderName::Path, "<sip:edge.example;lr>")
        .header(HeaderName::Path, "<sip:inner.example;lr;ob>");
    world.send_with_password(edge, request);
    assert_eq!(world.expect(edge, "200").text(HeaderName::Path), Some(path));
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(edge, "INVITE");
    assert_eq!(got.text(HeaderName::Route), Some(path));
    assert_eq!(got.request_uri_text().unwrap(), world.contact(edge));
}

/// RFC 3261 section 16.6 step 6: a strict router at the beginning of a Path finds itself in the Request-URI.
#[test]
fn a_strict_router_in_a_path_gets_what_it_expects() {
    let mut world = World::new();
    let (edge, caller) = (world.phone("201"), world.phone("202"));
    let request = world
        .register_request(edge)
        .header(HeaderName::Supported, "path")
        .header(HeaderName::Path, "<sip:strict.example>, <sip:inner.example;lr>");
    world.send_with_password(edge, request);
    world.expect(edge, "200");
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(edge, "INVITE");
    assert_eq!(got.request_uri_text(), Some("sip:strict.example"));
    let contact = format!("<{}>", world.contact(edge));
    let routes: Vec<_> = got.values(HeaderName::Route).map(<[u8]>::to_vec).collect();
    assert_eq!(routes, [b"<sip:inner.example;lr>".to_vec(), contact.into_bytes()]);
}

/// RFC 3327 section 5.3: nobody puts itself into the way of a device that does not know of it, but for trusted peers.
#[test]
fn a_path_without_support_is_taken_from_trusted_peers_only() {
    let register = |world: &mut World, end| {
        world
            .register_request(end)
            .header(HeaderName::Path, "<sip:edge.example;lr>")
    };
    let mut world = World::new();
    let phone = world.phone("201");
    let request = register(&mut world, phone);
    world.send_with_password(phone, request);
    let answer = world.expect(phone, "420");
    assert_eq!(answer.text(HeaderName::Unsupported), Some("path"));
    let mut world = World::with(|config, _| {
        config.auth.trust_from = vec![viaduct_routing::Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
    });
    let phone = world.phone("201");
    let request = register(&mut world, phone).build().unwrap();
    world.send(phone, request);
    assert_eq!(
        world.expect(phone, "200").text(HeaderName::Path),
        Some("<sip:edge.example;lr>")
    );
}

/// RFC 5626 section 6.
#[test]
fn a_flow_is_registered_and_said_to_be_one() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    let answer = register_flow(&mut world, browser, 1);
    assert_eq!(answer.text(HeaderName::Require), Some("outbound"));
    assert_eq!(answer.text(HeaderName::FlowTimer), Some("120"));
    let contact = answer.text(HeaderName::Contact).unwrap();
    assert!(contact.contains(";reg-id=1"), "{contact}");
    // Without the extension the number means nothing.
    let params = format!(";+sip.instance=\"<{INSTANCE}>\";reg-id=1");
    let request = world.register_request_with(phone, &params);
    world.send_with_password(phone, request);
    let answer = world.expect(phone, "200");
    assert!(!answer.has(HeaderName::Require));
    assert!(!answer.text(HeaderName::Contact).unwrap().contains("reg-id"));
}

/// RFC 5626 section 6: 439 when there is a hop before us that does not keep flows.
#[test]
fn a_first_hop_without_flows_is_named() {
    let mut world = World::new();
    let edge = world.phone("201");
    for (path, status) in [
        ("<sip:edge.example;lr>", "439"),
        ("<sip:edge.example;lr;ob>", "200"),
    ] {
        let params = format!(";+sip.instance=\"<{INSTANCE}>\";reg-id=1");
        let request = world
            .register_request_with(edge, &params)
            .header(HeaderName::Supported, "path, outbound")
            .header(HeaderName::Path, path)
            .via("SIP/2.0/TCP phone.invalid;branch=z9hG4bKbehind");
        let octets = request.build().unwrap();
        let request = Message::parse_frame(octets, &viaduct_sip::Limits::default()).unwrap();
        world.send(edge, request.octets().clone());
        let challenge = world.expect(edge, "401");
        world.send_again_with_password(edge, &request, &challenge);
        let got = world.take(edge);
        assert_eq!(got.status().unwrap().to_string(), status, "{path}");
    }
}

/// RFC 5626 section 6: one REGISTER is for one flow, and may sign off other contacts beside it.
#[test]
fn a_flow_is_registered_alone() {
    let mut world = World::new();
    let phone = world.phone("201");
    let flow = format!("<sip:201@10.0.0.1:5001>;+sip.instance=\"<{INSTANCE}>\";reg-id=1");
    for (other, status) in [
        ("<sip:201@10.0.0.1:5002>", "400"),
        ("<sip:201@10.0.0.1:5002>;expires=0", "200"),
    ] {
        let request = world
            .register_request_bare(phone)
            .header(HeaderName::Supported, "path, outbound")
            .header(HeaderName::Contact, &*flow)
            .header(HeaderName::Contact, other);
        world.send_with_password(phone, request);
        let answer = world.expect(phone, status);
        assert_eq!(
            answer.values(HeaderName::Contact).count(),
            usize::from(status == "200")
        );
    }
    // Without the extension it is two contacts as any others.
    let request = world
        .register_request_bare(phone)
        .header(HeaderName::Contact, &*flow)
        .header(HeaderName::Contact, "<sip:201@10.0.0.1:5002>");
    world.send_with_password(phone, request);
    assert_eq!(world.expect(phone, "200").values(HeaderName::Contact).count(), 2);
}

/// RFC 5626 section 7: two flows of one device never ring at the same time; a dead one gives way to the other.
#[test]
fn flows_of_one_device_are_tried_one_after_the_other() {
    let mut world = World::new();
    let (first, second) = (world.browser("300"), world.browser("300"));
    let caller = world.phone("201");
    register_flow(&mut world, first, 1);
    world.pass(1.0);
    register_flow(&mut world, second, 2);
    world.call(caller, "300", Some(PHONE_OFFER));
    // The flow that was registered last is the liveliest.
    let to_second = world.expect(second, "INVITE");
    world.expect_nothing(first);
    world.respond(second, &to_second, 180, None);
    world.expect(caller, "180");
    world.disconnect(second);
    let to_first = world.expect(first, "INVITE");
    world.expect_nothing(caller);
    world.respond(first, &to_first, 200, Some(BROWSER_ANSWER));
    world.expect(caller, "200");
}

/// RFC 5626 section 7, with a flow that nobody knows to be dead: the next is tried within seconds.
#[test]
fn a_silent_flow_gives_way_within_seconds_and_a_430_at_once() {
    let mut world = World::new();
    let (first, second, third) = (world.phone("300"), world.phone("300"), world.phone("300"));
    let caller = world.phone("201");
    for (number, end) in (1..).zip([first, second, third]) {
        register_flow(&mut world, end, number);
        world.pass(1.0);
    }
    let invite = world.call(caller, "300", Some(PHONE_OFFER));
    world.expect(third, "INVITE");
    world.pass(2.5);
    let to_second = world.expect(second, "INVITE");
    world.respond(second, &to_second, 430, None);
    let to_first = world.expect(first, "INVITE");
    world.respond(first, &to_first, 430, None);
    let refusal = world.expect(caller, "480");
    world.ack_refusal(caller, &invite, &refusal);
}

/// RFC 5626 section 5.3: a device whose only flow is gone is away, at once.
#[test]
fn a_device_whose_only_flow_is_dead_is_away_at_once() {
    let mut world = World::new();
    let (browser, caller) = (world.browser("300"), world.phone("201"));
    register_flow(&mut world, browser, 1);
    world.disconnect_unnoticed(browser);
    world.call(caller, "300", Some(PHONE_OFFER));
    world.expect(caller, "480");
}

fn param(contact: &str, name: &str) -> String {
    let addr = NameAddr::parse(contact.as_bytes()).unwrap();
    addr.params().text(name).unwrap().into_owned()
}

/// RFC 5627 section 5.3 and 6.1: a GRUU reaches its device and no other of the same user.
#[test]
fn a_gruu_reaches_one_device_only() {
    let mut world = World::new();
    let (browser, other, caller) = (world.browser("300"), world.phone("300"), world.phone("201"));
    world.register(other);
    let answer = register_flow(&mut world, browser, 1);
    let contact = answer
        .values(HeaderName::Contact)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .find(|value| value.contains("gruu"))
        .unwrap();
    let (public, temporary) = (param(&contact, "pub-gruu"), param(&contact, "temp-gruu"));
    assert_eq!(public, format!("sip:300@example.com;gr={INSTANCE}"));
    assert!(temporary.starts_with("sip:tgruu.") && temporary.ends_with("@example.com;gr"));
    for gruu in [&public, &temporary] {
        invite(&mut world, caller, gruu);
        world.expect(caller, "100");
        let got = world.expect(browser, "INVITE");
        assert_eq!(got.request_uri_text().unwrap(), world.contact(browser));
        world.expect_nothing(other);
        world.respond(browser, &got, 486, None);
        world.expect(browser, "ACK");
        world.expect(caller, "486");
    }
    // Earlier temporary ones stay good until the Call-ID of the registration changes.
    world.pass(40.0);
    world.clear(caller);
    let renewed = register_flow(&mut world, browser, 1);
    assert!(renewed.has(HeaderName::Contact));
    invite(&mut world, caller, &temporary);
    world.expect(caller, "404");
    invite(&mut world, caller, &public);
    world.expect(caller, "100");
    world.expect(browser, "INVITE");
}

/// RFC 5627 section 6.1: 480 while the device is away, 404 for what is no GRUU of ours.
#[test]
fn a_gruu_of_a_device_that_is_away_is_a_480_and_a_forged_one_a_404() {
    let mut world = World::new();
    let (phone, caller) = (world.phone("300"), world.phone("201"));
    world.register(phone);
    for (uri, status) in [
        ("sip:300@example.com;gr=urn:uuid:other", "480"),
        ("sip:nobody@example.com;gr=urn:uuid:other", "404"),
        (
            "sip:tgruu.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@example.com;gr",
            "404",
        ),
    ] {
        invite(&mut world, caller, uri);
        world.expect(caller, status);
    }
    world.expect_nothing(phone);
}

/// RFC 5627 section 6.1: inside a dialog a GRUU is the contact of its device, wherever that is by then.
#[test]
fn a_dialog_with_a_gruu_follows_its_device_to_another_connection() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(phone);
    let answer = register_flow(&mut world, browser, 1);
    let gruu = param(answer.text(HeaderName::Contact).unwrap(), "temp-gruu");
    let (mut caller, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    // As if the browser had put its GRUU into Contact.
    callee.target.clone_from(&gruu);
    world.send_in(&mut callee, Method::Info, None);
    let info = world.expect(browser, "INFO");
    assert_eq!(info.request_uri_text().unwrap(), world.contact(browser));
    world.respond(browser, &info, 200, None);
    world.expect(phone, "200");
    // It says so, and comes back over another connection.
    let public = format!("sip:300@example.com;gr={INSTANCE}");
    caller.cseq += 1;
    let update = world.in_dialog(&caller, Method::Update, None);
    let text = String::from_utf8(update.octets().to_vec()).unwrap();
    let contact = world.contact(browser);
    let text = text.replacen(&format!("<{contact}>"), &format!("<{public}>"), 1);
    world.send(browser, text.into_bytes());
    let update = world.expect(phone, "UPDATE");
    world.respond(phone, &update, 200, None);
    world.expect(browser, "200");
    world.disconnect(browser);
    let again = world.browser("300");
    register_flow(&mut world, again, 1);
    callee.target.clone_from(&public);
    world.send_in(&mut callee, Method::Info, None);
    let info = world.expect(again, "INFO");
    assert_eq!(info.request_uri_text().unwrap(), world.contact(again));
    // Of a device that is no part of the dialog it is worth nothing: the way to the browser is the old one, and gone.
    let stranger = world.browser("302");
    let params = ";+sip.instance=\"<urn:uuid:stranger>\";reg-id=1";
    let request = world
        .register_request_with(stranger, params)
        .header(HeaderName::Supported, "outbound, gruu");
    world.send_with_password(stranger, request);
    world.expect(stranger, "200");
    callee.target = "sip:302@example.com;gr=urn:uuid:stranger".to_owned();
    world.clear(phone);
    world.send_in(&mut callee, Method::Info, None);
    world.expect_nothing(stranger);
    world.expect(phone, "480");
}

/// RFC 5630 section 5.3: what is called by a `sips` URI is called over TLS, or not at all.
#[test]
fn a_sips_call_reaches_secure_flows_only() {
    let mut world = World::new();
    let (plain, secure) = (world.phone("300"), world.add("300", viaduct_sip::Transport::Wss));
    let caller = world.add("201", viaduct_sip::Transport::Wss);
    world.register(plain);
    invite(&mut world, caller, "sips:300@example.com");
    world.expect(caller, "480");
    world.register(secure);
    let sent = invite(&mut world, caller, "sips:300@example.com");
    world.expect(caller, "100");
    world.expect_nothing(plain);
    let got = world.expect(secure, "INVITE");
    let routes: Vec<_> = got.values(HeaderName::RecordRoute).collect();
    assert!(routes.len() == 2 && routes.iter().all(|route| route.starts_with(b"<sips:")));
    world.respond(secure, &got, 200, Some(BROWSER_ANSWER));
    let ok = world.expect(caller, "200");
    assert_eq!(sent.call_id(), ok.call_id());
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(secure, "ACK");
}
