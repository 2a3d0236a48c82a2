//! Every method passes as its RFC wants it, session timers are watched, and what cannot pass is answered by the table.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{CallEnd, Event, ProxyEnd};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method};

/// Puts a header line into a message.
fn with_line(octets: &[u8], line: &str) -> Vec<u8> {
    let text = std::str::from_utf8(octets).unwrap();
    text.replacen("\r\nCall-ID", &format!("\r\n{line}\r\nCall-ID"), 1)
        .into_bytes()
}

fn pair() -> (World, EndId, EndId) {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    (world, browser, phone)
}

/// A call whose 200 has this line.
fn answered_with(world: &mut World, browser: EndId, phone: EndId, line: &str) -> (Dialog, Dialog) {
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    let answer = world.response(phone, &invite, 200, Some(PHONE_ANSWER));
    world.send(phone, with_line(&answer, line));
    let ok = world.expect(browser, "200");
    assert!(ok.has(HeaderName::SessionExpires), "passed on as it came");
    let mut dialog = Dialog::of_caller(browser, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");
    let callee = world.callee_dialog(phone, &invite);
    (dialog, callee)
}

/// RFC 4028 section 9: the refresh that was promised does not come, so the dialog is dead.
#[test]
fn a_session_that_is_not_refreshed_is_ended() {
    let (mut world, browser, phone) = pair();
    answered_with(&mut world, browser, phone, "Session-Expires: 300;refresher=uac");
    world.pass(330.0);
    world.expect_nothing(phone);
    world.pass(3.0);
    for end in [browser, phone] {
        let bye = world.expect(end, "BYE");
        let reason = bye.text(HeaderName::Reason).unwrap();
        assert!(reason.contains("Session not refreshed"), "{reason}");
        world.respond(end, &bye, 200, None);
    }
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::CallEnded {
            end: CallEnd::ByProxy(ProxyEnd::NotRefreshed),
            ..
        }
    )));
    world.expect_clean();
}

/// RFC 4028 section 8.2: every 2xx to INVITE and UPDATE begins the time again, or ends the watch.
#[test]
fn a_session_that_is_refreshed_goes_on() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = answered_with(&mut world, browser, phone, "Session-Expires: 120");
    for line in ["Session-Expires: 120", "Session-Expires: 120", "X-Timer: none"] {
        world.pass(100.0);
        world.send_in(&mut caller, Method::Update, None);
        let update = world.expect(phone, "UPDATE");
        let answer = world.response(phone, &update, 200, None);
        world.send(phone, with_line(&answer, line));
        world.expect(browser, "200");
    }
    world.pass(2_000.0);
    world.expect_nothing(phone);
    world.send_in(&mut caller, Method::Bye, None);
    let bye = world.expect(phone, "BYE");
    world.respond(phone, &bye, 200, None);
    world.expect_clean();
}

/// RFC 4028 section 6: 422 and Min-SE are between the ends.
#[test]
fn a_422_reaches_the_caller_with_what_it_says() {
    let (mut world, browser, phone) = pair();
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    let answer = world.response(phone, &invite, 422, None);
    world.send(phone, with_line(&answer, "Min-SE: 1800"));
    let refusal = world.expect(browser, "422");
    assert_eq!(refusal.text(HeaderName::MinSe), Some("1800"));
}

/// RFC 3261 section 16.6 step 6: a strict router behind us finds itself in the Request-URI, and the target last.
#[test]
fn a_strict_router_behind_us_gets_what_it_expects() {
    let (mut world, browser, phone) = pair();
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    let answer = world.response(phone, &invite, 200, Some(PHONE_ANSWER));
    // A router between us and the phone, which wrote itself on top.
    let text = String::from_utf8(answer.to_vec()).unwrap();
    let answer = text.replacen(
        "\r\nRecord-Route",
        "\r\nRecord-Route: <sip:strict.example>\r\nRecord-Route",
        1,
    );
    world.send(phone, answer.into_bytes());
    let ok = world.expect(browser, "200");
    let mut dialog = Dialog::of_caller(browser, &ok);
    assert_eq!(
        dialog.routes.last().map(String::as_str),
        Some("<sip:strict.example>")
    );
    for method in [Method::Ack, Method::Bye] {
        world.send_in(&mut dialog, method, None);
        let got = world.expect(phone, method.as_str());
        assert_eq!(got.request_uri_text(), Some("sip:strict.example"), "{method:?}");
        let contact = format!("<{}>", world.contact(phone));
        let routes: Vec<_> = got.values(HeaderName::Route).map(<[u8]>::to_vec).collect();
        assert_eq!(routes, [contact.into_bytes()], "{method:?}");
    }
}

/// RFC 6665 section 4.4: a NOTIFY may overtake the answer to its SUBSCRIBE.
#[test]
fn a_notify_that_overtakes_the_200_arrives() {
    let (mut world, browser, phone) = pair();
    let subscribe = world
        .request(browser, Method::Subscribe, "201")
        .header(HeaderName::Event, "dialog");
    world.send_with_password(browser, subscribe);
    let got = world.expect(phone, "SUBSCRIBE");
    assert_eq!(got.values(HeaderName::RecordRoute).count(), 2);
    let mut dialog = world.callee_dialog(phone, &got);
    let notify = world.send_in(&mut dialog, Method::Notify, None);
    let to_browser = world.expect(browser, "NOTIFY");
    assert_eq!(to_browser.cseq(), notify.cseq());
    world.respond(phone, &got, 200, None);
    world.expect(browser, "200");
    world.respond(browser, &to_browser, 200, None);
    world.expect(phone, "200");
    // Without a call there is nothing to remember: the route tokens know the way.
    assert_eq!(world.proxy().gauges().calls, 0);
}

/// RFC 3515, RFC 3891, RFC 3892: a transfer passes as it is, and so does its progress.
#[test]
fn a_refer_with_replaces_passes_untouched() {
    let (mut world, browser, phone) = pair();
    let (mut caller, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    caller.cseq += 1;
    let refer = world.in_dialog(&caller, Method::Refer, None);
    let refer_to = "<sip:202@example.com?Replaces=1%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>";
    let line =
        format!("Refer-To: {refer_to}\r\nReferred-By: <sip:300@example.com>;cid=\"20398823.2UWQFN309shb3\"");
    world.send(browser, with_line(refer.octets(), &line));
    let got = world.expect(phone, "REFER");
    assert_eq!(got.text(HeaderName::ReferTo), Some(refer_to));
    assert!(got.text(HeaderName::ReferredBy).unwrap().contains("cid="));
    world.respond(phone, &got, 202, None);
    world.expect(browser, "202");
    callee.cseq += 1;
    let notify = world.in_dialog(&callee, Method::Notify, None);
    let text = String::from_utf8(notify.octets().to_vec()).unwrap();
    let body = "SIP/2.0 100 Trying\r\n";
    let fragment = text.replacen(
        "Content-Length: 0",
        &format!("Content-Type: message/sipfrag\r\nContent-Length: {}", body.len()),
        1,
    );
    world.send(phone, format!("{fragment}{body}").into_bytes());
    let got = world.expect(browser, "NOTIFY");
    assert_eq!(got.body(), body.as_bytes());
}

/// RFC 3428, RFC 3903, RFC 3261 section 16.3: what the proxy does not know it passes on like anything else, and it keeps
/// no dialog where none is made.
#[test]
fn requests_of_every_kind_reach_their_user() {
    let (mut world, browser, phone) = pair();
    for (method, makes_dialog) in [
        (Method::Message, false),
        (Method::Publish, false),
        (Method::Info, false),
        (Method::Notify, true),
        (Method::Refer, true),
        (Method::Options, false),
        (Method::Other("FROBNICATE"), false),
    ] {
        let body: &[u8] = &[0, 1, 0xff, 0xfe, b'\r', b'\n'];
        let request = world
            .request(browser, method, "201")
            .header(HeaderName::Event, "x-event")
            .body("application/octet-stream", body.to_vec());
        world.send_with_password(browser, request);
        let got = world.expect(phone, method.as_str());
        assert_eq!(got.body(), body, "{method:?}");
        assert_eq!(got.has(HeaderName::RecordRoute), makes_dialog, "{method:?}");
        world.respond(phone, &got, 299, None);
        world.expect(browser, "299");
    }
    world.expect_clean();
}

/// RFC 3261 section 22.3 and RFC 3515 section 2.4.1: outside a dialog a REFER needs a password like anything else.
#[test]
fn nobody_refers_or_notifies_without_a_password() {
    let (mut world, browser, phone) = pair();
    for method in [
        Method::Refer,
        Method::Notify,
        Method::Message,
        Method::Other("FROBNICATE"),
    ] {
        let request = world.request(browser, method, "201").build().unwrap();
        world.send(browser, request);
        world.expect(browser, "407");
    }
    world.expect_nothing(phone);
}

/// The answers that the proxy makes itself, RFC 3261 section 21 and the RFC of each.
#[test]
fn what_cannot_pass_is_answered_with_the_reason() {
    let (mut world, _, phone) = pair();
    let plain = |world: &mut World, method, change: &dyn Fn(String) -> String| -> Message {
        let request = world.request(phone, method, "300").build().unwrap();
        let octets = change(String::from_utf8(request.to_vec()).unwrap());
        world.send(phone, octets.into_bytes());
        world.take(phone)
    };
    let status = |answer: &Message| answer.status().unwrap().get();
    let long = format!("sip:{}@example.com", "3".repeat(9_000));
    for (code, method, from, to) in [
        // The version, 21.5.6.
        (505, Method::Invite, " SIP/2.0\r\nVia", " SIP/7.0\r\nVia"),
        // The scheme, 21.4.14.
        (
            416,
            Method::Invite,
            "sip:300@example.com SIP",
            "urn:service:sos SIP",
        ),
        // The length of the Request-URI, 21.4.12.
        (
            414,
            Method::Invite,
            "sip:300@example.com SIP",
            &format!("{long} SIP"),
        ),
        // A proxy must do what it cannot, 16.3 step 5.
        (
            420,
            Method::Invite,
            "\r\nCall-ID",
            "\r\nProxy-Require: x-magic\r\nCall-ID",
        ),
        // 16.3 step 3.
        (483, Method::Invite, "Max-Forwards: 70", "Max-Forwards: 0"),
        (400, Method::Invite, "Max-Forwards: 70", "Max-Forwards: many"),
        // Inside no dialog of ours, 12.2.2.
        (
            481,
            Method::Bye,
            "To: <sip:300@example.com>",
            "To: <sip:300@example.com>;tag=1",
        ),
        (481, Method::Bye, "X", "X"),
        // Somebody else's domain, 16.5.
        (
            403,
            Method::Invite,
            "sip:300@example.com SIP",
            "sip:300@bank.example SIP",
        ),
    ] {
        let answer = plain(&mut world, method, &|text| text.replacen(from, to, 1));
        assert_eq!(status(&answer), code, "{to}");
        if answer.cseq().unwrap().unwrap().method == Method::Invite {
            world.pass(40.0);
            world.clear(phone);
        }
    }
    // Behind the password: nobody, and a request that is for this proxy and that it does not know.
    for (code, method, to) in [
        (404, Method::Message, "999"),
        (480, Method::Message, "202"),
        // RFC 6665 section 7.3.2: presence and voice mail are kept by nobody here.
        (489, Method::Subscribe, "201"),
        (489, Method::Publish, "201"),
    ] {
        let request = world.request(phone, method, to);
        world.send_with_password(phone, request);
        let answer = world.take(phone);
        assert_eq!(status(&answer), code, "{method:?} {to}");
        // RFC 6665 section 8.2.2: a 489 says which events there are.
        assert_eq!(answer.has(HeaderName::AllowEvents), code == 489);
    }
    let request = world.request_to(phone, Method::Message, "sip:example.com");
    world.send_with_password(phone, request);
    let answer = world.expect(phone, "405");
    assert!(answer.text(HeaderName::Allow).unwrap().contains("INVITE"));
}

/// RFC 3261 section 8.2.2.3: Require is between the ends. Only a registrar is one.
#[test]
fn a_requirement_is_the_callees_business() {
    let (mut world, browser, phone) = pair();
    let request = world
        .request(phone, Method::Invite, "300")
        .header(HeaderName::Require, "x-magic")
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(phone, request);
    world.expect(phone, "100");
    let got = world.expect(browser, "INVITE");
    assert_eq!(got.text(HeaderName::Require), Some("x-magic"));
    world.respond(browser, &got, 200, Some(BROWSER_ANSWER));
    world.expect(phone, "200");
}

/// RFC 3261 sections 12.2.1.1 and 16.4: a strict router before us puts our Record-Route value into the Request-URI.
#[test]
fn a_strict_router_before_us_is_understood() {
    let (mut world, browser, phone) = pair();
    let (mut caller, _) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    let uri_of = |route: &str| route.trim_matches(['<', '>']).to_owned();
    let target = std::mem::replace(&mut caller.target, uri_of(&caller.routes[0]));
    caller.routes.remove(0);
    caller.routes.push(format!("<{target}>"));
    for method in [Method::Ack, Method::Info, Method::Bye] {
        world.send_in(&mut caller, method, None);
        let got = world.expect(phone, method.as_str());
        assert_eq!(got.request_uri_text(), Some(&*target), "{method:?}");
        assert!(!got.has(HeaderName::Route), "{method:?}");
        if method != Method::Ack {
            world.respond(phone, &got, 200, None);
            world.expect(browser, "200");
        }
    }
    world.expect_clean();
}
