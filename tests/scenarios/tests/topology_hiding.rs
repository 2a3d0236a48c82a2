//! A trunk with `hide_topology` reads the gateway alone, and every dialog with it works nevertheless (RFC 3261 sections
//! 12.2 and 16.6, RFC 3323 section 5.3).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{Network, Routes, Rule, Trunk, Trunks};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{Edit, HeaderName, Limits, Message, Method, ResponseBuilder, StatusCode, Transport};
use viaduct_trunk::{Account, From, Pattern};

const CARRIER: &str = "198.51.100.1:5060";
const NUMBER: &str = "030123456";
/// A router between our user and us, and one between us and the callee at the carrier.
const INNER_ROUTER: &str = "<sip:10.9.9.9;lr>";
const OUTER_ROUTER: &str = "<sip:edge.carrier.example;lr>";

/// A world with a trunk that may see nothing, over this transport, and a registered browser and phone.
fn world_over(transport: Transport, change: impl Fn(&mut Trunk)) -> (World, [EndId; 3]) {
    let mut world = World::with(|config, _| {
        let mut trunk = Trunk::new("a", "carrier.example");
        trunk.transport = Some(transport);
        trunk.caller_id = Some("+4930999".to_owned());
        trunk.hides_topology = true;
        trunk.numbers.push(Pattern::new("+4930*"));
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
    world
        .names
        .add("carrier.example", &[(transport, CARRIER.parse().unwrap())]);
    let trunk = world.server("a", transport, CARRIER);
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    (world, [browser, phone, trunk])
}

fn world() -> (World, [EndId; 3]) {
    world_over(Transport::Udp, |_| ())
}

fn parse(octets: impl Into<bytes::Bytes>) -> Message {
    Message::parse_frame(octets.into(), &Limits::default()).unwrap()
}

/// What only the inside knows: addresses of phones and routers, names that browsers make up, and what our own listeners
/// for users are.
fn expect_hidden(message: &Message) {
    let text = String::from_utf8_lossy(message.octets());
    for inner in [
        "10.0.0.",
        "10.9.9.9",
        ".invalid",
        ":8080",
        "transport=ws",
        "Inner",
    ] {
        assert!(!text.contains(inner), "{inner} in {text}");
    }
    assert!(!message.has(HeaderName::Warning), "{text}");
    let own = |value: &&[u8]| String::from_utf8_lossy(value).contains("192.0.2.1");
    assert!(
        !message.values(HeaderName::RecordRoute).any(|value| own(&value)),
        "no route of ours is needed: {text}"
    );
    if message.is_request() {
        assert_eq!(message.values(HeaderName::Via).count(), 1, "{text}");
        assert!(message.values(HeaderName::Via).all(|via| own(&via)), "{text}");
    }
    assert!(
        message.values(HeaderName::Contact).all(|contact| own(&contact)),
        "{text}"
    );
}

fn contact(message: &Message) -> String {
    message.text(HeaderName::Contact).unwrap().to_owned()
}

/// The INVITE of a call of the browser, through a router before us.
fn call_through_router(world: &mut World, caller: EndId) -> Message {
    let request = world
        .request(caller, Method::Invite, NUMBER)
        .via("SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKinner")
        .header(HeaderName::RecordRoute, INNER_ROUTER)
        .header(HeaderName::Warning, "399 10.9.9.9 \"Inner\"")
        .body("application/sdp", BROWSER_OFFER);
    let invite = world.send_with_password(caller, request);
    world.expect(caller, "100");
    invite
}

/// The callee answers as one would behind a router that stays in the way.
fn answer(world: &mut World, trunk: EndId, request: &Message, status: u16, sdp: Option<&str>) {
    let octets = world.response(trunk, request, status, sdp);
    let response = parse(octets);
    let mut edit = Edit::new(&response);
    edit.prepend(HeaderName::RecordRoute, OUTER_ROUTER);
    world.send(trunk, edit.finish().unwrap());
}

/// RFC 3261 sections 16.6, 16.7 and 12.2.1.1: out, and back to the caller with everything that it wrote.
#[test]
fn a_call_out_shows_nothing_of_the_inside_and_its_caller_notices_nothing() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, [browser, _, trunk]) = world_over(transport, |_| ());
        let sent = call_through_router(&mut world, browser);
        let invite = world.expect(trunk, "INVITE");
        expect_hidden(&invite);
        assert!(!invite.has(HeaderName::RecordRoute));
        assert_eq!(
            invite.text(HeaderName::To),
            Some("<sip:+4930123456@carrier.example>")
        );
        assert_eq!(invite.call_id(), sent.call_id());
        answer(&mut world, trunk, &invite, 183, Some(PHONE_ANSWER));
        let early = world.expect(browser, "183");
        assert_eq!(
            early.values(HeaderName::Via).count(),
            2,
            "the caller's and its router's"
        );
        answer(&mut world, trunk, &invite, 200, Some(PHONE_ANSWER));
        let ok = world.expect(browser, "200");
        for name in [HeaderName::From, HeaderName::CSeq] {
            assert_eq!(ok.text(name), sent.text(name));
        }
        assert!(
            ok.text(HeaderName::To)
                .unwrap()
                .starts_with("<sip:030123456@example.com>;tag="),
            "{ok:?}"
        );
        // RFC 3581 section 4: as if it had been there all the time.
        let via = ok.text(HeaderName::Via).unwrap();
        assert!(
            via.contains("received=10.0.0.") && via.contains("rport=500"),
            "{via}"
        );
        let routes: Vec<String> = ok
            .values(HeaderName::RecordRoute)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        assert_eq!(
            (&*routes[0], &*routes[3]),
            (OUTER_ROUTER, INNER_ROUTER),
            "{routes:?}"
        );
        assert_eq!(routes.len(), 4, "{routes:?}");
    }
}

/// RFC 3261 section 12.2: requests of both sides arrive where they should, hidden in the one direction only.
#[test]
fn requests_in_the_dialog_reach_both_sides() {
    let (mut world, [browser, _, trunk]) = world();
    world.call(browser, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(trunk, "INVITE");
    answer(&mut world, trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    let mut ours = Dialog::of_caller(browser, &ok);
    // The router at the carrier is played by the carrier: it takes its own Route off.
    ours.routes.pop();
    world.send_in(&mut ours, Method::Ack, None);
    expect_hidden(&world.expect(trunk, "ACK"));
    world.send_in(&mut ours, Method::Invite, Some(BROWSER_OFFER));
    world.expect(browser, "100");
    let again = world.expect(trunk, "INVITE");
    expect_hidden(&again);
    assert_eq!(
        contact(&again),
        contact(&invite),
        "one Contact for the whole dialog"
    );
    assert_eq!(again.text(HeaderName::From), invite.text(HeaderName::From));
    world.respond(trunk, &again, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    assert_eq!(ok.values(HeaderName::Via).count(), 1);
    world.send_in(&mut ours, Method::Ack, None);
    expect_hidden(&world.expect(trunk, "ACK"));
    let mut theirs = world.callee_dialog(trunk, &invite);
    assert!(theirs.routes.is_empty() && theirs.target.contains("192.0.2.1"));
    for (method, offer, accepted) in [
        (Method::Update, None, None),
        (Method::Invite, Some(PHONE_OFFER), Some(BROWSER_ANSWER)),
    ] {
        world.send_in(&mut theirs, method, offer);
        if method == Method::Invite {
            world.expect(trunk, "100");
        }
        let arrived = world.expect(browser, method.as_str());
        assert_eq!(arrived.request_uri_text(), Some(&*world.contact(browser)));
        assert!(
            arrived
                .text(HeaderName::To)
                .unwrap()
                .contains("sip:300@example.com")
        );
        assert!(
            arrived
                .text(HeaderName::From)
                .unwrap()
                .contains("sip:030123456@example.com")
        );
        assert!(contact(&arrived).contains(&world.contact(trunk)));
        world.respond(browser, &arrived, 200, accepted);
        let ok = world.expect(trunk, "200");
        expect_hidden(&ok);
        assert_eq!(ok.text(HeaderName::From), Some(&*theirs.local));
        if method == Method::Invite {
            assert_eq!(contact(&ok), contact(&invite));
        }
    }
    world.send_in(&mut theirs, Method::Ack, None);
    world.expect(browser, "ACK");
    world.send_in(&mut theirs, Method::Bye, None);
    let bye = world.expect(browser, "BYE");
    world.respond(browser, &bye, 200, None);
    expect_hidden(&world.expect(trunk, "200"));
    world.expect_clean();
}

/// RFC 3261 section 12.1.1: a call that comes in is answered with a Contact of ours, and routed by that alone.
#[test]
fn a_call_in_is_answered_by_us_alone() {
    let (mut world, [browser, _, trunk]) = world();
    let invite = world
        .request_to(trunk, Method::Invite, "sip:+4930300@192.0.2.1")
        .header(HeaderName::RecordRoute, OUTER_ROUTER)
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(trunk, invite);
    expect_hidden(&world.expect(trunk, "100"));
    let invite = world.expect(browser, "INVITE");
    for status in [180, 200] {
        let octets = world.response(
            browser,
            &invite,
            status,
            (status == 200).then_some(BROWSER_ANSWER),
        );
        let response = parse(octets);
        let mut edit = Edit::new(&response);
        edit.prepend(HeaderName::RecordRoute, INNER_ROUTER);
        edit.append(HeaderName::Warning, "399 10.9.9.9 \"Inner\"");
        world.send(browser, edit.finish().unwrap());
    }
    let ringing = world.expect(trunk, "180");
    let ok = world.expect(trunk, "200");
    for answer in [&ringing, &ok] {
        expect_hidden(answer);
        let routes: Vec<&[u8]> = answer.values(HeaderName::RecordRoute).collect();
        assert_eq!(routes, [OUTER_ROUTER.as_bytes()]);
    }
    assert_eq!(contact(&ringing), contact(&ok));
    let mut theirs = Dialog::of_caller(trunk, &ok);
    theirs.routes.clear();
    world.send_in(&mut theirs, Method::Ack, None);
    let ack = world.expect(browser, "ACK");
    assert_eq!(ack.request_uri_text(), Some(&*world.contact(browser)));
    assert_eq!(
        ack.text(HeaderName::Route),
        Some(INNER_ROUTER),
        "the router that nobody outside knows"
    );
    let mut ours = world.callee_dialog(browser, &invite);
    ours.routes.retain(|route| route != OUTER_ROUTER);
    world.send_in(&mut ours, Method::Bye, None);
    let bye = world.expect(trunk, "BYE");
    expect_hidden(&bye);
    world.respond(trunk, &bye, 200, None);
    let ok = world.expect(browser, "200");
    assert_eq!(ok.values(HeaderName::Via).count(), 1);
    world.expect_clean();
}

/// RFC 3261 sections 9.1 and 17.1.1.3.
#[test]
fn giving_up_and_refusals_work_hidden() {
    let (mut world, [browser, _, trunk]) = world();
    let sent = call_through_router(&mut world, browser);
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 180, None);
    world.expect(browser, "180");
    world.cancel(browser, &sent);
    world.expect(browser, "200");
    let cancel = world.expect(trunk, "CANCEL");
    expect_hidden(&cancel);
    assert_eq!(cancel.text(HeaderName::Via), invite.text(HeaderName::Via));
    world.respond(trunk, &cancel, 200, None);
    world.respond(trunk, &invite, 487, None);
    expect_hidden(&world.expect(trunk, "ACK"));
    world.expect(browser, "487");
    let sent = call_through_router(&mut world, browser);
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 486, None);
    expect_hidden(&world.expect(trunk, "ACK"));
    let refusal = world.expect(browser, "486");
    assert_eq!(refusal.values(HeaderName::Via).count(), 2);
    assert_eq!(refusal.text(HeaderName::From), sent.text(HeaderName::From));
    world.expect_clean();
}

/// RFC 3262 section 4, with a challenge before it: the numbers of the trunk's side and everything that is hidden.
#[test]
fn a_reliable_answer_is_acknowledged_after_a_challenge() {
    let (mut world, [browser, _, trunk]) = world_over(Transport::Udp, |trunk| {
        trunk.account = Some(Account::new("4930999", "secret"));
    });
    world.call(browser, NUMBER, Some(BROWSER_OFFER));
    let first = world.expect(trunk, "INVITE");
    let challenge = ResponseBuilder::new(&first, StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        .to_tag("c")
        .header(
            HeaderName::ProxyAuthenticate,
            "Digest realm=\"carrier.example\", nonce=\"n\", qop=\"auth\"",
        )
        .build()
        .unwrap();
    world.send(trunk, challenge);
    expect_hidden(&world.expect(trunk, "ACK"));
    let second = world.expect(trunk, "INVITE");
    expect_hidden(&second);
    assert_eq!(contact(&second), contact(&first));
    let reliable = parse(world.response(trunk, &second, 183, Some(PHONE_ANSWER)));
    let mut edit = Edit::new(&reliable);
    edit.append(HeaderName::Require, "100rel");
    edit.append(HeaderName::RSeq, "17");
    edit.prepend(HeaderName::RecordRoute, OUTER_ROUTER);
    world.send(trunk, edit.finish().unwrap());
    let early = world.expect(browser, "183");
    let mut dialog = Dialog::of_caller(browser, &early);
    assert_eq!(dialog.routes.pop().as_deref(), Some(OUTER_ROUTER));
    dialog.cseq += 1;
    let prack = world.in_dialog(&dialog, Method::Prack, None);
    let mut edit = Edit::new(&prack);
    edit.append(HeaderName::RAck, format!("17 {} INVITE", dialog.cseq - 1));
    world.send(browser, edit.finish().unwrap());
    let prack = world.expect(trunk, "PRACK");
    expect_hidden(&prack);
    let invite = second.cseq().unwrap().unwrap().number;
    assert_eq!(
        prack.text(HeaderName::RAck),
        Some(&*format!("17 {invite} INVITE"))
    );
    world.send(
        trunk,
        ResponseBuilder::new(&prack, StatusCode::OK).build().unwrap(),
    );
    world.expect(browser, "200");
}

/// RFC 3515, RFC 3892: what a transfer names of the inside is named by our domain.
#[test]
fn a_transfer_names_nobody_by_an_inner_address() {
    let (mut world, [browser, phone, trunk]) = world();
    world.call(browser, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    let mut dialog = Dialog::of_caller(browser, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(trunk, "ACK");
    for (target, shown) in [
        (
            format!("<{}?Replaces=x%3Bto-tag%3D1>", world.contact(phone)),
            "<sip:201@example.com?Replaces=x%3Bto-tag%3D1>",
        ),
        (
            "<sip:+4930777@other.example>".to_owned(),
            "<sip:+4930777@other.example>",
        ),
    ] {
        dialog.cseq += 1;
        let refer = world.in_dialog(&dialog, Method::Refer, None);
        let mut edit = Edit::new(&refer);
        edit.append(HeaderName::ReferTo, target);
        edit.append(HeaderName::ReferredBy, "<sip:300@10.0.0.1>");
        edit.append(HeaderName::Contact, format!("<{}>", world.contact(browser)));
        world.send(browser, edit.finish().unwrap());
        let refer = world.expect(trunk, "REFER");
        expect_hidden(&refer);
        assert_eq!(refer.text(HeaderName::ReferTo), Some(shown));
        assert_eq!(refer.text(HeaderName::ReferredBy), Some("<sip:300@example.com>"));
        assert_eq!(contact(&refer), contact(&invite));
        world.respond(trunk, &refer, 202, None);
        world.expect(browser, "202");
    }
}

/// RFC 3891 section 3: the Contact that the trunk has seen stands for the same device in a call that takes the place of
/// the one that it was shown in, and for nobody else's.
#[test]
fn a_hidden_contact_can_be_called_to_replace_its_call_and_for_nothing_else() {
    let (mut world, [browser, phone, trunk]) = world();
    let sent = world.call(browser, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    let mut dialog = Dialog::of_caller(browser, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    let target = world.callee_dialog(trunk, &invite).target;
    let replaces = format!("{};to-tag=f1;from-tag=t-2", sent.call_id().unwrap());
    let taking = world
        .request_to(trunk, Method::Invite, &target)
        .header(HeaderName::Replaces, &replaces)
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(trunk, taking);
    world.clear(trunk);
    let arrived = world.expect(browser, "INVITE");
    assert_eq!(arrived.request_uri_text(), Some(&*world.contact(browser)));
    assert_eq!(arrived.text(HeaderName::Replaces), Some(&*replaces));
    // The trunk has referred another user of ours to it.
    let request = world
        .request_to(phone, Method::Invite, &target)
        .header(HeaderName::Replaces, &replaces)
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(phone, request);
    world.expect(phone, "100");
    world.expect(browser, "INVITE");
    for other in ["", "other;to-tag=f1;from-tag=t-2"] {
        let plain = world
            .request_to(trunk, Method::Invite, &target)
            .header(HeaderName::Replaces, other)
            .body("application/sdp", PHONE_OFFER)
            .build()
            .unwrap();
        world.send(trunk, plain);
        world.expect(trunk, "404");
    }
    world.expect_nothing(browser);
}

/// RFC 3261 section 12.2: nothing of it is remembered, so another process with the same secret goes on.
#[test]
fn a_dialog_outlives_a_restart() {
    let (mut world, [browser, phone, trunk]) = world_over(Transport::Udp, |_| ());
    world.call(phone, NUMBER, Some(PHONE_OFFER));
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(phone, "200");
    let mut ours = Dialog::of_caller(phone, &ok);
    world.send_in(&mut ours, Method::Ack, None);
    world.expect(trunk, "ACK");
    let mut theirs = world.callee_dialog(trunk, &invite);
    let (mut later, [other_browser, other_phone, other_trunk]) = world_over(Transport::Udp, |_| ());
    assert_eq!([browser, phone, trunk], [other_browser, other_phone, other_trunk]);
    later.send_in(&mut theirs, Method::Update, None);
    let update = later.expect(phone, "UPDATE");
    assert_eq!(update.request_uri_text(), Some(&*later.contact(phone)));
    later.respond(phone, &update, 200, None);
    expect_hidden(&later.expect(trunk, "200"));
    later.send_in(&mut ours, Method::Bye, None);
    let bye = later.expect(trunk, "BYE");
    expect_hidden(&bye);
    later.respond(trunk, &bye, 200, None);
    later.expect(phone, "200");
}

/// RFC 3261 section 21.3: a phone that forwards its calls names where by our domain.
#[test]
fn a_redirection_names_nobody_by_an_inner_address() {
    let (mut world, [browser, _, trunk]) = world();
    let invite = world
        .request_to(trunk, Method::Invite, "sip:+4930300@192.0.2.1")
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "100");
    let invite = world.expect(browser, "INVITE");
    let moved = ResponseBuilder::new(&invite, StatusCode::new(302).unwrap())
        .to_tag("m")
        .header(HeaderName::Contact, "<sip:201@10.0.0.9:5060>")
        .header(HeaderName::Contact, "<sip:+4930777@other.example>")
        .build()
        .unwrap();
    world.send(browser, moved);
    let moved = world.expect(trunk, "302");
    let contacts: Vec<&[u8]> = moved.values(HeaderName::Contact).collect();
    assert_eq!(
        contacts,
        [&b"<sip:201@example.com>"[..], b"<sip:+4930777@other.example>"]
    );
}

/// RFC 5627 section 6.1: the hidden Contact of a browser with a GRUU leads to wherever that browser is by then.
#[test]
fn a_hidden_gruu_follows_its_device_to_another_connection() {
    const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";
    let (mut world, [browser, _, trunk]) = world();
    let register = |world: &mut World, end: EndId| {
        let params = format!(";+sip.instance=\"<{INSTANCE}>\";reg-id=1");
        let request = world
            .register_request_with(end, &params)
            .header(HeaderName::Supported, "outbound, gruu");
        world.send_with_password(end, request);
        world.expect(end, "200");
    };
    register(&mut world, browser);
    let invite = world
        .request_to(trunk, Method::Invite, "sip:+4930300@192.0.2.1")
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "100");
    let invite = world.expect(browser, "INVITE");
    let ok = ResponseBuilder::new(&invite, StatusCode::OK)
        .to_tag("gruu")
        .header(
            HeaderName::Contact,
            format!("<sip:300@example.com;gr={INSTANCE}>"),
        )
        .body("application/sdp", BROWSER_ANSWER)
        .build()
        .unwrap();
    world.send(browser, ok);
    let ok = world.expect(trunk, "200");
    expect_hidden(&ok);
    assert!(!contact(&ok).contains("urn:uuid"));
    let mut theirs = Dialog::of_caller(trunk, &ok);
    world.send_in(&mut theirs, Method::Ack, None);
    world.expect(browser, "ACK");
    world.disconnect(browser);
    let again = world.browser("300");
    register(&mut world, again);
    world.send_in(&mut theirs, Method::Bye, None);
    let bye = world.expect(again, "BYE");
    assert_eq!(bye.request_uri_text(), Some(&*world.contact(again)));
}

/// A call that the operator ends.
#[test]
fn a_bye_of_our_own_says_what_the_trunk_has_read_before() {
    let (mut world, [browser, _, trunk]) = world();
    world.call(browser, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(trunk, "INVITE");
    world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    world.send_in(&mut Dialog::of_caller(browser, &ok), Method::Ack, None);
    world.expect(trunk, "ACK");
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    let bye = world.expect(trunk, "BYE");
    expect_hidden(&bye);
    assert_eq!(bye.text(HeaderName::From), invite.text(HeaderName::From));
    let to = bye.text(HeaderName::To).unwrap();
    assert!(to.starts_with("<sip:+4930123456@carrier.example>;tag="), "{to}");
    let bye = world.expect(browser, "BYE");
    assert!(
        bye.text(HeaderName::From)
            .unwrap()
            .starts_with("<sip:030123456@example.com>")
    );
}

/// RFC 3261 sections 20.35 and 20.41: which programs there are is nobody's business outside, if we say so.
#[test]
fn names_of_programs_go_when_they_should() {
    for hides in [false, true] {
        let (mut world, [browser, _, trunk]) = world_over(Transport::Udp, |trunk| {
            trunk.hides_topology = false;
            trunk.hides_software = hides;
        });
        let request = world
            .request(browser, Method::Invite, NUMBER)
            .header(HeaderName::UserAgent, "JsSIP 3")
            .header(HeaderName::Organization, "Example")
            .body("application/sdp", BROWSER_OFFER);
        world.send_with_password(browser, request);
        world.expect(browser, "100");
        let invite = world.expect(trunk, "INVITE");
        for name in [HeaderName::UserAgent, HeaderName::Organization] {
            assert_eq!(invite.has(name), !hides);
        }
        world.respond(trunk, &invite, 200, Some(PHONE_ANSWER));
        let ok = world.expect(browser, "200");
        world.send_in(&mut Dialog::of_caller(browser, &ok), Method::Ack, None);
        world.expect(trunk, "ACK");
        let mut theirs = world.callee_dialog(trunk, &invite);
        world.send_in(&mut theirs, Method::Info, None);
        let info = world.expect(browser, "INFO");
        let answer = ResponseBuilder::new(&info, StatusCode::OK)
            .header(HeaderName::Server, "JsSIP 3")
            .build()
            .unwrap();
        world.send(browser, answer);
        assert_eq!(world.expect(trunk, "200").has(HeaderName::Server), !hides);
    }
}
