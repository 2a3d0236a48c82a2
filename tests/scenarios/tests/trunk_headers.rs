//! Headers that a trunk reads otherwise than they were written: those of its configuration, and over whom a call was
//! diverted (RFC 5806, RFC 7044).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Network, Routes, Rule, Trunk, Trunks};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{
    Edit, HeaderName, Limits, Message, Method, NameRef, ResponseBuilder, StatusCode, Transport,
};
use viaduct_trunk::{Account, From, HeaderEdit};

const CARRIER: &str = "198.51.100.1:5060";
const NUMBER: &str = "030123456";
const SIGNATURE: &str = "eyJh.eyJh.c2ln;info=<https://cert.example/c>;alg=ES256";
const TENANT: &str = "X-Tenant";
const SECRET: &str = "X-Secret";

/// A trunk, and a registered browser that calls over it and is called from it.
fn world_with(change: impl Fn(&mut Trunk)) -> (World, [EndId; 2]) {
    let mut world = World::with(|config, _| {
        let mut trunk = Trunk::new("a", "carrier.example");
        trunk.caller_id = Some("+4930999".to_owned());
        trunk.trust_from.push(Network {
            address: "198.51.100.1".parse().unwrap(),
            prefix: 32,
        });
        change(&mut trunk);
        config.trunks = Trunks::new(vec![trunk], None);
        config.numbers.country = Some("49".to_owned());
        config.routes = Routes::new(vec![
            Rule {
                from: From::Trunk("a".to_owned()),
                ..Rule::new("+4930300", "user:300".parse().unwrap())
            },
            Rule {
                from: From::AnyUser,
                ..Rule::new("+*", "trunk:a".parse().unwrap())
            },
        ]);
    });
    let address = (Transport::Udp, CARRIER.parse().unwrap());
    world.names.add("carrier.example", &[address]);
    let trunk = world.server("a", Transport::Udp, CARRIER);
    let browser = world.browser("300");
    world.register(browser);
    (world, [browser, trunk])
}

fn configured(trunk: &mut Trunk) {
    trunk.headers = vec![
        HeaderEdit::remove(SECRET),
        HeaderEdit::set(TENANT, "blue"),
        HeaderEdit::set(HeaderName::UserAgent, "Viaduct"),
    ];
}

/// What the trunk should read, and nothing of what it should not.
fn expect_configured(request: &Message) {
    let text = String::from_utf8_lossy(request.octets());
    let values: Vec<_> = request.values(TENANT).collect();
    assert_eq!(values, [b"blue"], "{text}");
    assert_eq!(request.text(HeaderName::UserAgent), Some("Viaduct"), "{text}");
    assert!(!request.has(SECRET), "{text}");
}

/// An INVITE, or another request, of the browser for somebody at the trunk, with further headers.
fn send(world: &mut World, browser: EndId, method: Method<'static>, headers: &[(&str, &str)]) {
    let mut request = world.request(browser, method, NUMBER);
    for (name, value) in headers {
        request = request.header(NameRef::from(*name), value);
    }
    if method == Method::Invite {
        request = request.body("application/sdp", BROWSER_OFFER);
    }
    world.send_with_password(browser, request);
}

/// The same inside a dialog.
fn send_in(world: &mut World, dialog: &mut Dialog, method: Method<'_>, headers: &[(&str, &str)]) {
    if method != Method::Ack {
        dialog.cseq += 1;
    }
    let request = world.in_dialog(dialog, method, None);
    let mut edit = Edit::new(&request);
    for (name, value) in headers {
        edit.append(*name, value);
    }
    world.send(dialog.end, edit.finish().unwrap());
}

/// The browser's call is there and answered.
fn accept(world: &mut World, [browser, trunk]: [EndId; 2]) -> (Message, Dialog) {
    world.expect(browser, "100");
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    (invite, Dialog::of_caller(browser, &ok))
}

/// The trunk calls the browser.
fn call_in(world: &mut World, [browser, trunk]: [EndId; 2]) -> Message {
    let invite = world
        .request_to(trunk, Method::Invite, "sip:+4930300@192.0.2.1")
        .header(TENANT, "theirs")
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "100");
    world.expect(browser, "INVITE")
}

#[test]
fn every_request_of_a_call_has_the_headers_of_its_trunk() {
    let (mut world, [browser, trunk]) = world_with(configured);
    let own = [(TENANT, "red"), (TENANT, "green"), (SECRET, "1"), ("X-Free", "a")];
    send(&mut world, browser, Method::Invite, &own);
    let (invite, mut ours) = accept(&mut world, [browser, trunk]);
    expect_configured(&invite);
    assert_eq!(invite.text("X-Free"), Some("a"));
    for method in [Method::Ack, Method::Info] {
        send_in(&mut world, &mut ours, method, &own);
        let request = world.expect(trunk, method.as_str());
        expect_configured(&request);
        assert_eq!(request.text("X-Free"), Some("a"));
    }
    let mut theirs = world.callee_dialog(trunk, &invite);
    send_in(&mut world, &mut theirs, Method::Info, &own);
    let info = world.expect(browser, "INFO");
    assert_eq!(info.text(TENANT), Some("red"), "what the trunk writes is its own");
    assert!(info.has(SECRET));
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    expect_configured(&world.expect(trunk, "BYE"));
    assert!(!world.expect(browser, "BYE").has(TENANT));
}

/// RFC 3261 section 22.3: the request that proves who we are is the one that was challenged.
#[test]
fn a_request_outside_a_call_has_them_and_has_them_again_with_a_password() {
    let (mut world, [browser, trunk]) = world_with(|trunk| {
        configured(trunk);
        trunk.account = Some(Account::new("4930999", "secret"));
    });
    send(&mut world, browser, Method::Message, &[(SECRET, "1")]);
    let first = world.expect(trunk, "MESSAGE");
    expect_configured(&first);
    let challenge = ResponseBuilder::new(&first, StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        .to_tag("challenge")
        .header(
            HeaderName::ProxyAuthenticate,
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
        )
        .build()
        .unwrap();
    world.send(trunk, challenge);
    let again = world.expect(trunk, "MESSAGE");
    assert!(again.has(HeaderName::ProxyAuthorization));
    expect_configured(&again);
}

#[test]
fn a_trunk_that_calls_reads_them_in_requests_and_not_in_answers() {
    let (mut world, [browser, trunk]) = world_with(configured);
    let invite = call_in(&mut world, [browser, trunk]);
    assert_eq!(invite.text(TENANT), Some("theirs"));
    world.respond(browser, &invite, 200, Some(BROWSER_ANSWER));
    let ok = world.expect(trunk, "200");
    assert!(!ok.has(TENANT));
    world.send_in(&mut Dialog::of_caller(trunk, &ok), Method::Ack, None);
    assert!(!world.expect(browser, "ACK").has(TENANT));
    let mut ours = world.callee_dialog(browser, &invite);
    send_in(&mut world, &mut ours, Method::Bye, &[(SECRET, "1")]);
    expect_configured(&world.expect(trunk, "BYE"));
}

/// RFC 8224 section 4: whoever changes what was signed may have to take the signature out; nobody else does.
#[test]
fn a_signature_goes_if_it_is_named() {
    for named in [false, true] {
        let (mut world, [browser, trunk]) = world_with(|trunk| {
            let edit = named.then(|| HeaderEdit::remove(HeaderName::Identity));
            trunk.headers.extend(edit);
        });
        send(&mut world, browser, Method::Invite, &[("Identity", SIGNATURE)]);
        let (invite, _) = accept(&mut world, [browser, trunk]);
        assert_eq!(invite.text(HeaderName::Identity), (!named).then_some(SIGNATURE));
    }
}

/// RFC 5806 section 4, RFC 7044 section 9.2: requests and answers tell how a call was diverted.
#[test]
fn who_a_call_was_diverted_by_is_passed_or_taken_out() {
    let diversion = "<sip:201@10.0.0.7>;reason=unconditional";
    let history = "<sip:201@10.0.0.7?Reason=SIP%3Bcause%3D302>;index=1, <sip:300@example.com>;index=1.1";
    for hides in [false, true] {
        let (mut world, [browser, trunk]) = world_with(|trunk| trunk.hides_diversion = hides);
        let own = [("Diversion", diversion), ("History-Info", history)];
        send(&mut world, browser, Method::Invite, &own);
        let (invite, _) = accept(&mut world, [browser, trunk]);
        assert_eq!(invite.text(HeaderName::Diversion), (!hides).then_some(diversion));
        assert_eq!(invite.text(HeaderName::HistoryInfo), (!hides).then_some(history));
        let invite = call_in(&mut world, [browser, trunk]);
        let ok = ResponseBuilder::new(&invite, StatusCode::new(480).unwrap())
            .to_tag("b")
            .header(HeaderName::HistoryInfo, history)
            .build()
            .unwrap();
        world.send(browser, ok);
        let refusal = world.expect(trunk, "480");
        assert_eq!(refusal.text(HeaderName::HistoryInfo), (!hides).then_some(history));
    }
}

/// What the trunk reads of these entries of a Diversion, with `hide_topology`.
fn shown_outside(entries: &[&str]) -> Vec<String> {
    let (mut world, [browser, trunk]) = world_with(|trunk| trunk.hides_topology = true);
    let own: Vec<_> = entries.iter().map(|entry| ("Diversion", *entry)).collect();
    send(&mut world, browser, Method::Invite, &own);
    let (invite, mut ours) = accept(&mut world, [browser, trunk]);
    let text = |message: &Message| -> Vec<String> {
        let values = message.values(HeaderName::Diversion);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    };
    send_in(&mut world, &mut ours, Method::Ack, &own);
    let ack = world.expect(trunk, "ACK");
    assert_eq!(text(&ack), text(&invite), "in a dialog as at its beginning");
    text(&invite)
}

/// RFC 3323 section 5.3: the inside has no addresses outside.
#[test]
fn a_diversion_names_nobody_by_an_inner_address() {
    let shown = shown_outside(&[
        "\"sip:201@10.0.0.7:5060\" <sip:201@10.0.0.7:5060;transport=ws>;reason=no-answer;counter=1",
        "\"Bob\" <sip:202@192.168.0.9>;reason=time-of-day",
        "sip:202@df7jal23ls0d.invalid;reason=user-busy, <sips:203@pbx>;privacy=full",
        "<tel:+4930777>;reason=away",
        "<sip:+4930777@other.example;user=phone>;reason=unknown",
    ]);
    assert_eq!(
        shown,
        [
            "<sip:201@example.com>;reason=no-answer;counter=1",
            "\"Bob\" <sip:202@example.com>;reason=time-of-day",
            "sip:202@example.com;reason=user-busy",
            "<sips:203@example.com>;privacy=full",
            "<tel:+4930777>;reason=away",
            "<sip:+4930777@other.example;user=phone>;reason=unknown",
        ]
    );
}

/// What cannot be read could name anybody. A line that is folded (RFC 3261 section 7.3.1) is no reason to lose the call.
#[test]
fn a_diversion_that_cannot_be_read_goes_where_nothing_may_be_seen() {
    assert_eq!(
        shown_outside(&["\"unclosed <sip:201@10.0.0.7>", "<sip:+4930777@other.example>"]),
        ["<sip:+4930777@other.example>"]
    );
    assert!(shown_outside(&["<201 10.0.0.7"]).is_empty());
    let (mut world, [browser, trunk]) = world_with(|trunk| trunk.hides_topology = true);
    let request = world.request(browser, Method::Message, NUMBER).build().unwrap();
    let folded = String::from_utf8(request.to_vec()).unwrap().replacen(
        "\r\nCall-ID",
        "\r\nDiversion: <sip:201@10.0.0.7>\r\n ;reason=away\r\nCall-ID",
        1,
    );
    let first = Message::parse_frame(folded.into(), &Limits::default()).unwrap();
    world.send(browser, first.octets().clone());
    let challenge = world.expect(browser, "407");
    world.send_again_with_password(browser, &first, &challenge);
    let message = world.expect(trunk, "MESSAGE");
    let diversion = message.text(HeaderName::Diversion).unwrap();
    assert!(
        diversion.starts_with("<sip:201@example.com>") && diversion.ends_with(";reason=away"),
        "{diversion}"
    );
}
