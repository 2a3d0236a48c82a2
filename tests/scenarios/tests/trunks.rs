//! Calls through carriers: out with failover and passwords, in without (RFC 3261 sections 16.7, 22.3 and 12.2.1.1, RFC
//! 3325).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::time::Duration;

use viaduct_ng::{DtlsRequest, IceMode, RtcpMux, TransportProtocol};
use viaduct_routing::{Config, Network, Routes, Rule, Trunk, Trunks};
use viaduct_sim::{BROWSER_OFFER, Dialog, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::digest::{Algorithm, Credentials, Ha1};
use viaduct_sip::{HeaderName, Message, Method, RequestBuilder, ResponseBuilder, StatusCode, Transport};
use viaduct_trunk::{Account, From, MediaEncryption, NumberFormat, Pattern, TrunkCounters, TrunkView};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";
const REALM: &str = "carrier.example";
const NUMBER: &str = "030123456";

/// Two trunks, `a` and `b`, and a rule that sends what begins with `+` to both.
fn two_trunks(config: &mut Config, change: impl Fn(&mut Trunk)) {
    let trunks = ["a", "b"].map(|name| {
        let mut trunk = Trunk::new(name, &format!("{name}.carrier.example"));
        trunk.caller_id = Some("+4930999".to_owned());
        change(&mut trunk);
        trunk
    });
    config.trunks = Trunks::new(trunks.into(), None);
    config.numbers.country = Some("49".to_owned());
    config.routes = Routes::new(vec![
        Rule::new("112", "trunk:a".parse().unwrap()),
        Rule {
            from: From::AnyUser,
            send_to: vec!["trunk:a".parse().unwrap(), "trunk:b".parse().unwrap()],
            ..Rule::new("+*", "trunk:a".parse().unwrap())
        },
    ]);
}

/// A world with two trunks that are there, and a registered browser.
fn world_with(change: impl Fn(&mut Trunk)) -> (World, EndId, [EndId; 2]) {
    let mut world = World::with(|config, _| two_trunks(config, &change));
    let trunks = [("a", FIRST), ("b", SECOND)].map(|(name, address)| {
        world.names.add(
            &format!("{name}.carrier.example"),
            &[(Transport::Udp, address.parse().unwrap())],
        );
        world.server(name, Transport::Udp, address)
    });
    let caller = world.browser("300");
    world.register(caller);
    (world, caller, trunks)
}

fn with_account(trunk: &mut Trunk) {
    trunk.account = Some(Account::new("4930999", "secret"));
}

fn view(world: &mut World, name: &str) -> TrunkView {
    let now = world.now();
    world.proxy().trunks().get(name).unwrap().view(now)
}

fn counters(world: &mut World, name: &str) -> TrunkCounters {
    view(world, name).counters
}

fn cseq(message: &Message) -> u32 {
    message.cseq().unwrap().unwrap().number
}

/// A trunk wants a password.
fn challenge(world: &mut World, trunk: EndId, request: &Message, nonce: &str) {
    let value = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=SHA-256");
    let octets = ResponseBuilder::new(request, StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        .to_tag("challenge")
        .header(HeaderName::ProxyAuthenticate, value)
        .build()
        .unwrap();
    world.send(trunk, octets);
    if request.method() == Some(Method::Invite) {
        let ack = world.expect(trunk, "ACK");
        assert_eq!(cseq(&ack), cseq(request), "each ACK belongs to its INVITE");
    }
}

fn expect_proof(request: &Message) {
    let found = Credentials::find(request, HeaderName::ProxyAuthorization, REALM);
    let credentials = found.unwrap().unwrap().credentials;
    let ha1 = Ha1::from_password(Algorithm::Sha256, "4930999", REALM, "secret");
    assert!(credentials.prove(&ha1, request.method().unwrap(), request.body()));
    assert_eq!(Some(&*credentials.uri), request.request_uri_text());
}

/// RFC 3261 section 16.6, RFC 3325: a trunk reads its own numbers, and who calls from us alone.
#[test]
fn a_call_leaves_in_the_numbers_and_names_of_its_trunk() {
    let (mut world, caller, [a, b]) = world_with(|trunk| {
        trunk.format = NumberFormat::Digits;
        trunk.prefix = "77".to_owned();
        trunk.numbers.push(Pattern::new("+4930*"));
    });
    let request = world
        .request(caller, Method::Invite, NUMBER)
        .header(HeaderName::PAssertedIdentity, "<sip:+1900@evil.example>")
        .header(HeaderName::PPreferredIdentity, "<sip:+4930777@example.com>")
        .header(
            HeaderName::Identity,
            "eyJh.eyJh.c2ln;info=<https://cert.example/c>;alg=ES256",
        )
        .body("application/sdp", BROWSER_OFFER);
    world.send_with_password(caller, request);
    world.expect(caller, "100");
    let invite = world.expect(a, "INVITE");
    assert_eq!(
        invite.request_uri_text(),
        Some("sip:774930123456@a.carrier.example")
    );
    let from = invite.text(HeaderName::From).unwrap();
    assert!(
        from.starts_with("\"300\" <sip:4930777@a.carrier.example>;tag="),
        "{from}"
    );
    let asserted: Vec<&[u8]> = invite.values(HeaderName::PAssertedIdentity).collect();
    assert_eq!(asserted, [b"\"300\" <sip:4930777@a.carrier.example>"]);
    assert!(!invite.has(HeaderName::PPreferredIdentity));
    let identity = invite.text(HeaderName::Identity).unwrap();
    assert!(identity.starts_with("eyJh.eyJh.c2ln"), "{identity}");
    world.respond(a, &invite, 183, Some(PHONE_ANSWER));
    let early = world.expect(caller, "183");
    assert!(!early.body().is_empty(), "early media passes");
    world.respond(a, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    assert!(ok.text(HeaderName::From).unwrap().contains("sip:300@example.com"));
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    let ack = world.expect(a, "ACK");
    assert_eq!(
        ack.text(HeaderName::From),
        Some(from),
        "one From for the whole dialog"
    );
    assert_eq!(view(&mut world, "a").calls, 1);
    let mut theirs = world.callee_dialog(a, &invite);
    world.send_in(&mut theirs, Method::Bye, None);
    let bye = world.expect(caller, "BYE");
    assert!(bye.text(HeaderName::To).unwrap().contains("sip:300@example.com"));
    world.respond(caller, &bye, 200, None);
    let ok = world.expect(a, "200");
    assert_eq!(ok.text(HeaderName::To), Some(theirs.remote.as_str()));
    assert_eq!((view(&mut world, "a").calls, view(&mut world, "b").calls), (0, 0));
    world.expect_nothing(b);
    world.expect_clean();
}

/// RFC 3261 section 22.3: we answer the trunk's challenge, the caller never sees it.
#[test]
fn a_trunk_that_wants_a_password_gets_it_from_us() {
    let (mut world, caller, [a, _]) = world_with(with_account);
    let invite = world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let first = world.expect(a, "INVITE");
    assert!(
        !first.has(HeaderName::ProxyAuthorization),
        "our users' credentials stay here"
    );
    challenge(&mut world, a, &first, "n1");
    let second = world.expect(a, "INVITE");
    expect_proof(&second);
    assert_eq!(
        (cseq(&second), second.call_id()),
        (cseq(&first) + 1, first.call_id())
    );
    assert_eq!(second.body(), first.body(), "the relay's session is the same");
    assert_eq!(world.relay.commands(), ["offer"]);
    world.expect_nothing(caller);
    world.respond(a, &second, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    assert_eq!(cseq(&ok), cseq(&invite), "the caller knows nothing of it");
    assert_eq!(counters(&mut world, "a").challenged, 1);
}

/// RFC 3261 section 12.2.1.1, RFC 3262 section 7.2: from then on every request of the dialog has another number.
#[test]
fn after_a_challenge_every_request_of_the_dialog_is_renumbered() {
    let (mut world, caller, [a, _]) = world_with(with_account);
    let invite = world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let first = world.expect(a, "INVITE");
    challenge(&mut world, a, &first, "n1");
    let second = world.expect(a, "INVITE");
    let reliable = ResponseBuilder::new(&second, StatusCode::new(183).unwrap())
        .to_tag("t-0")
        .header(HeaderName::Require, "100rel")
        .header(HeaderName::RSeq, "17")
        .header(HeaderName::Contact, format!("<{}>", world.contact(a)))
        .build()
        .unwrap();
    world.send(a, reliable);
    let ringing = world.expect(caller, "183");
    let mut dialog = Dialog::of_caller(caller, &ringing);
    dialog.cseq += 1;
    let prack = world.in_dialog(&dialog, Method::Prack, None);
    let mut edit = viaduct_sip::Edit::new(&prack);
    edit.append(HeaderName::RAck, format!("17 {} INVITE", cseq(&invite)));
    world.send(caller, edit.finish().unwrap());
    let prack = world.expect(a, "PRACK");
    let rack = format!("17 {} INVITE", cseq(&second));
    assert_eq!(prack.text(HeaderName::RAck), Some(rack.as_str()));
    assert_eq!(cseq(&prack), cseq(&second) + 1);
    world.send(a, ResponseBuilder::new(&prack, StatusCode::OK).build().unwrap());
    assert_eq!(cseq(&world.expect(caller, "200")), dialog.cseq);
    let answer = ResponseBuilder::new(&second, StatusCode::OK)
        .to_tag("t-0")
        .header(HeaderName::Contact, format!("<{}>", world.contact(a)))
        .body("application/sdp", PHONE_ANSWER.to_owned())
        .build()
        .unwrap();
    world.send(a, answer);
    world.expect(caller, "200");
    let of_invite = Dialog {
        cseq: cseq(&invite),
        ..dialog.clone()
    };
    let ack = world.in_dialog(&of_invite, Method::Ack, None);
    world.send(caller, ack.octets().clone());
    assert_eq!(
        cseq(&world.expect(a, "ACK")),
        cseq(&second),
        "the ACK of the INVITE that was answered"
    );
    // Challenged again inside the dialog.
    let again = world.send_in(&mut dialog, Method::Invite, Some(BROWSER_OFFER));
    world.expect(caller, "100");
    let unproven = world.expect(a, "INVITE");
    assert_eq!(cseq(&unproven), cseq(&prack) + 1);
    challenge(&mut world, a, &unproven, "n2");
    let proven = world.expect(a, "INVITE");
    expect_proof(&proven);
    assert_eq!(cseq(&proven), cseq(&unproven) + 1);
    let answer = ResponseBuilder::new(&proven, StatusCode::OK)
        .header(HeaderName::Contact, format!("<{}>", world.contact(a)))
        .body("application/sdp", PHONE_ANSWER.to_owned())
        .build()
        .unwrap();
    world.send(a, answer);
    assert_eq!(cseq(&world.expect(caller, "200")), cseq(&again));
    world.send_in(&mut dialog, Method::Ack, None);
    assert_eq!(cseq(&world.expect(a, "ACK")), cseq(&proven));
    let bye = world.send_in(&mut dialog, Method::Bye, None);
    let there = world.expect(a, "BYE");
    assert_eq!(cseq(&there), cseq(&proven) + 1);
    challenge(&mut world, a, &there, "n3");
    let there = world.expect(a, "BYE");
    expect_proof(&there);
    assert_eq!(cseq(&there), cseq(&proven) + 2);
    world.send(a, ResponseBuilder::new(&there, StatusCode::OK).build().unwrap());
    assert_eq!(cseq(&world.expect(caller, "200")), cseq(&bye));
    world.expect_clean();
}

/// A BYE that the proxy sends itself is renumbered too.
#[test]
fn a_call_that_the_operator_ends_ends_at_the_trunk_too() {
    let (mut world, caller, [a, _]) = world_with(with_account);
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let first = world.expect(a, "INVITE");
    challenge(&mut world, a, &first, "n1");
    let second = world.expect(a, "INVITE");
    world.respond(a, &second, 200, Some(PHONE_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = Dialog::of_caller(caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(a, "ACK");
    let now = world.now();
    let call = world.proxy().calls(now)[0].call;
    assert!(world.proxy().hang_up(now, call));
    world.settle();
    let bye = world.expect(a, "BYE");
    assert_eq!(cseq(&bye), cseq(&second) + 1);
    assert_eq!(bye.text(HeaderName::From), second.text(HeaderName::From));
    world.expect(caller, "BYE");
    assert_eq!(view(&mut world, "a").calls, 0);
    challenge(&mut world, a, &bye, "n2");
    let proven = world.expect(a, "BYE");
    expect_proof(&proven);
    assert_eq!(cseq(&proven), cseq(&bye) + 1);
    challenge(&mut world, a, &proven, "n3");
    world.expect_nothing(a);
}

/// A wrong password is ours to mend, not the caller's to answer.
#[test]
fn a_caller_is_never_asked_for_the_trunks_password() {
    for change in [with_account as fn(&mut Trunk), |_: &mut Trunk| ()] {
        let (mut world, caller, trunks) = world_with(change);
        world.call(caller, NUMBER, Some(BROWSER_OFFER));
        for trunk in trunks {
            let mut tries = 0;
            while let Some(invite) = world.try_take(trunk) {
                tries += 1;
                challenge(&mut world, trunk, &invite, "n1");
            }
            assert!((1..=2).contains(&tries), "{tries} tries");
        }
        world.expect(caller, "500");
        world.expect_clean();
    }
}

/// RFC 3261 section 16.7 step 6; a trunk's own failure leads to the next, with the same relay session's place taken anew.
#[test]
fn the_next_trunk_is_tried_when_one_fails_by_itself() {
    for status in [408, 500, 502, 503, 504] {
        let (mut world, caller, [a, b]) = world_with(|_| ());
        world.call(caller, NUMBER, Some(BROWSER_OFFER));
        let invite = world.expect(a, "INVITE");
        world.respond(a, &invite, status, None);
        world.expect(a, "ACK");
        let invite = world.expect(b, "INVITE");
        assert_eq!(
            invite.request_uri_text(),
            Some("sip:+4930123456@b.carrier.example")
        );
        assert_eq!(world.relay.commands(), ["offer", "delete", "offer"]);
        assert_eq!(
            (view(&mut world, "a").calls, view(&mut world, "b").calls),
            (0, 1),
            "{status}"
        );
        world.respond(b, &invite, 200, Some(PHONE_ANSWER));
        world.expect(caller, "200");
        assert_eq!(counters(&mut world, "a").failed, 1);
        assert_eq!(counters(&mut world, "b").answered, 1);
    }
}

#[test]
fn a_callee_who_does_not_want_to_is_not_called_again_through_another_trunk() {
    for status in [403, 404, 480, 484, 486, 488, 600, 603] {
        let (mut world, caller, [a, b]) = world_with(|_| ());
        world.call(caller, NUMBER, Some(BROWSER_OFFER));
        let invite = world.expect(a, "INVITE");
        world.respond(a, &invite, status, None);
        world.expect(a, "ACK");
        world.expect(caller, &status.to_string());
        world.expect_nothing(b);
        world.expect_clean();
    }
}

#[test]
fn a_silent_trunk_is_left_after_five_seconds_and_one_that_rings_is_not() {
    let (mut world, caller, [a, b]) = world_with(|_| ());
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    world.expect(a, "INVITE");
    world.pass(4.9);
    world.expect_nothing(b);
    world.pass(0.2);
    let invite = world.expect(b, "INVITE");
    world.respond(b, &invite, 180, None);
    world.expect(caller, "180");
    world.pass(60.0);
    world.respond(b, &invite, 200, Some(PHONE_ANSWER));
    world.expect(caller, "200");
    let (mut world, caller, [a, b]) = world_with(|_| ());
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(a, "INVITE");
    world.respond(a, &invite, 183, None);
    world.pass(60.0);
    world.expect_nothing(b);
}

/// RFC 3261 section 21.5.4.
#[test]
fn a_trunk_that_asks_to_be_left_alone_is() {
    let (mut world, caller, [a, b]) = world_with(|_| ());
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(a, "INVITE");
    let busy = ResponseBuilder::new(&invite, StatusCode::SERVICE_UNAVAILABLE)
        .to_tag("busy")
        .header(HeaderName::RetryAfter, "30")
        .build()
        .unwrap();
    world.send(a, busy);
    world.expect(a, "ACK");
    let invite = world.expect(b, "INVITE");
    world.respond(b, &invite, 486, None);
    world.expect(b, "ACK");
    world.expect(caller, "486");
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    world.expect_nothing(a);
    let invite = world.expect(b, "INVITE");
    assert_eq!(counters(&mut world, "a").avoided, 1);
    world.respond(b, &invite, 486, None);
    world.expect(b, "ACK");
    world.expect(caller, "486");
    world.pass(31.0);
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    world.expect(a, "INVITE");
}

#[test]
fn a_full_trunk_is_passed_over_but_not_by_an_emergency() {
    let (mut world, caller, [a, b]) = world_with(|trunk| trunk.calls_max = Some(1));
    for trunk in [a, b] {
        world.call(caller, NUMBER, Some(BROWSER_OFFER));
        world.expect(trunk, "INVITE");
    }
    world.dial(caller, NUMBER, Some(BROWSER_OFFER));
    world.expect(caller, "100");
    let refusal = world.expect(caller, "503");
    assert!(refusal.has(HeaderName::RetryAfter));
    let (mut world, caller, [a, _]) = world_with(|trunk| {
        trunk.calls_max = Some(1);
        trunk.prefix = "77".to_owned();
    });
    let now = world.now();
    let channel = world.proxy().trunks().get("a").unwrap().take(now, false).unwrap();
    world.call(caller, "112", Some(BROWSER_OFFER));
    let invite = world.expect(a, "INVITE");
    assert_eq!(invite.request_uri_text(), Some("sip:112@a.carrier.example"));
    drop(channel);
}

#[test]
fn giving_up_while_it_rings_reaches_the_trunk_and_frees_its_channel() {
    let (mut world, caller, [a, b]) = world_with(with_account);
    let invite = world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let first = world.expect(a, "INVITE");
    challenge(&mut world, a, &first, "n1");
    let second = world.expect(a, "INVITE");
    world.respond(a, &second, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let cancel = world.expect(a, "CANCEL");
    assert_eq!(cseq(&cancel), cseq(&second));
    world.respond(a, &cancel, 200, None);
    world.respond(a, &second, 487, None);
    world.expect(a, "ACK");
    assert_eq!(cseq(&world.expect(caller, "487")), cseq(&invite));
    world.expect_nothing(b);
    assert_eq!(view(&mut world, "a").calls, 0);
    world.expect_clean();
}

/// A request other than INVITE is proven to the trunk as well.
#[test]
fn a_text_message_goes_out_through_a_trunk() {
    let (mut world, caller, [a, _]) = world_with(with_account);
    let request = world
        .request(caller, Method::Message, NUMBER)
        .body("text/plain", "hello");
    let sent = world.send_with_password(caller, request);
    let first = world.expect(a, "MESSAGE");
    challenge(&mut world, a, &first, "n1");
    let second = world.expect(a, "MESSAGE");
    expect_proof(&second);
    assert_eq!(cseq(&second), cseq(&first) + 1);
    world.respond(a, &second, 200, None);
    assert_eq!(cseq(&world.expect(caller, "200")), cseq(&sent));
    assert_eq!(view(&mut world, "a").calls, 0);
}

/// A world whose trunk `a` is trusted by its address and has the numbers +4930123*.
fn inbound(change: impl Fn(&mut Trunk)) -> (World, EndId, EndId) {
    let mut world = World::with(|config, _| {
        two_trunks(config, |trunk| {
            if trunk.name == "a" {
                trunk.trust_from.push(Network {
                    address: FIRST.split(':').next().unwrap().parse().unwrap(),
                    prefix: 32,
                });
            }
            trunk.numbers.push(Pattern::new("+4930123*"));
            change(trunk);
        });
        let mut rules = vec![Rule {
            from: From::Trunk("a".to_owned()),
            ..Rule::new("+4930123*", "user:201".parse().unwrap())
        }];
        rules.extend(config.routes.rules().to_vec());
        config.routes = Routes::new(rules);
    });
    world
        .names
        .add("b.carrier.example", &[(Transport::Udp, SECOND.parse().unwrap())]);
    let trunk = world.server("a", Transport::Udp, FIRST);
    let phone = world.phone("201");
    world.register(phone);
    (world, trunk, phone)
}

fn from_outside(world: &mut World, trunk: EndId, number: &str) -> RequestBuilder {
    world
        .request_to(trunk, Method::Invite, &format!("sip:{number}@example.com"))
        .from("<sip:+4917012345@carrier.example>;tag=outside")
        .body("application/sdp", PHONE_OFFER)
}

/// Trust by address: no password, but for our own numbers only.
#[test]
fn a_trunk_calls_in_without_a_password() {
    let (mut world, trunk, phone) = inbound(|_| ());
    let invite = from_outside(&mut world, trunk, "030123456")
        .header(HeaderName::PAssertedIdentity, "<sip:+4917012345@carrier.example>")
        .build()
        .unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "100");
    let invite = world.expect(phone, "INVITE");
    assert!(
        invite.has(HeaderName::PAssertedIdentity),
        "what a trunk asserts is worth something"
    );
    assert_eq!(view(&mut world, "a").calls, 1);
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(trunk, "200");
    let mut dialog = Dialog::of_caller(trunk, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");
    let mut callee = world.callee_dialog(phone, &invite);
    world.send_in(&mut callee, Method::Bye, None);
    let bye = world.expect(trunk, "BYE");
    world.respond(trunk, &bye, 200, None);
    assert_eq!(view(&mut world, "a").calls, 0);
    world.expect_clean();
}

/// Toll fraud: a call that came in does not go out, and other sources are asked for a password.
#[test]
fn a_trunk_reaches_our_numbers_only_and_never_the_outside() {
    let (mut world, trunk, phone) = inbound(|_| ());
    let second = world.server("b", Transport::Udp, SECOND);
    for number in ["+442071234567", "+4930999", "00442071234567"] {
        let invite = from_outside(&mut world, trunk, number).build().unwrap();
        world.send(trunk, invite);
        world.expect(trunk, "404");
    }
    assert_eq!(counters(&mut world, "a").foreign_numbers, 3);
    let elsewhere = world
        .request_to(trunk, Method::Invite, "sip:+442071234567@b.carrier.example")
        .build()
        .unwrap();
    world.send(trunk, elsewhere);
    world.expect(trunk, "403");
    world.expect_nothing(second);
    let invite = from_outside(&mut world, second, "+4930123456").build().unwrap();
    world.send(second, invite);
    world.expect(second, "407");
    world.expect_nothing(phone);
}

/// RFC 5922 section 7.1: a certificate says who calls, wherever from. It says nothing of another connection.
#[test]
fn a_trunk_that_proves_its_name_needs_no_password() {
    let (mut world, _, phone) = inbound(|trunk| {
        if trunk.name == "b" {
            trunk.trust_names.push("sbc.b.example".to_owned());
        }
        if trunk.name == "a" {
            trunk.trust_from.clear();
            trunk.trust_names.push("sbc.a.example".to_owned());
        }
    });
    let (proven, other, wrong) = (
        world.server("a", Transport::Tls, "203.0.113.80:40000"),
        world.server("a", Transport::Tls, "203.0.113.80:40001"),
        world.server("a", Transport::Tls, "203.0.113.80:40002"),
    );
    for (end, name) in [(proven, "sbc.a.example"), (wrong, "sbc.c.example")] {
        let conn = world.flow(end).conn.unwrap();
        world.proxy().handle_peer_proven(conn, [name.to_owned()].into());
    }
    for stranger in [other, wrong] {
        let invite = from_outside(&mut world, stranger, "+4930123456").build().unwrap();
        world.send(stranger, invite);
        world.expect(stranger, "407");
    }
    let invite = from_outside(&mut world, proven, "+4930123456").build().unwrap();
    world.send(proven, invite);
    world.expect(phone, "INVITE");
    assert_eq!(view(&mut world, "a").calls, 1);
}

#[test]
fn without_numbers_a_trunk_still_never_calls_out() {
    let (mut world, trunk, _) = inbound(|trunk| trunk.numbers.clear());
    let second = world.server("b", Transport::Udp, SECOND);
    let invite = from_outside(&mut world, trunk, "+442071234567").build().unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "404");
    world.expect_nothing(second);
}

/// RFC 3325 section 7.
#[test]
fn who_wants_to_stay_unknown_does() {
    let (mut world, trunk, phone) = inbound(|_| ());
    let invite = from_outside(&mut world, trunk, "+4930123456")
        .header(HeaderName::PAssertedIdentity, "<sip:+4917012345@carrier.example>")
        .header(HeaderName::Privacy, "id")
        .build()
        .unwrap();
    world.send(trunk, invite);
    let invite = world.expect(phone, "INVITE");
    assert!(!invite.has(HeaderName::PAssertedIdentity) && invite.has(HeaderName::Privacy));
}

/// RFC 3325 section 5: what a user says about itself is nobody's assertion.
#[test]
fn a_user_asserts_nothing_to_another_user() {
    let (mut world, _, phone) = inbound(|_| ());
    let caller = world.phone("202");
    let request = world
        .request(caller, Method::Invite, "201")
        .header(HeaderName::PAssertedIdentity, "<sip:+4930110@police.example>")
        .body("application/sdp", PHONE_OFFER);
    world.send_with_password(caller, request);
    assert!(!world.expect(phone, "INVITE").has(HeaderName::PAssertedIdentity));
}

#[test]
fn a_trunk_has_no_more_channels_in_than_out() {
    let (mut world, trunk, phone) = inbound(|trunk| trunk.calls_max = Some(1));
    for expected in ["100", "503"] {
        let invite = from_outside(&mut world, trunk, "+4930123456").build().unwrap();
        world.send(trunk, invite);
        world.expect(trunk, expected);
    }
    world.expect(phone, "INVITE");
    world.expect_nothing(phone);
    assert_eq!(counters(&mut world, "a").over_limit, 1);
}

/// A call for the Contact that we registered says in To which number is meant.
#[test]
fn a_call_for_our_registered_contact_is_for_the_number_in_to() {
    let (mut world, trunk, phone) = inbound(|_| ());
    let invite = from_outside(&mut world, trunk, "a")
        .to("<sip:+4930123456@carrier.example>")
        .build()
        .unwrap();
    world.send(trunk, invite);
    world.expect(trunk, "100");
    world.expect(phone, "INVITE");
}

/// A trunk that took our registration calls from where it took it.
#[test]
fn a_registered_trunk_is_known_by_where_it_took_the_registration() {
    let (mut world, _, phone) = inbound(|_| ());
    let second = world.server("b", Transport::Udp, SECOND);
    let until = world.now() + Duration::from_secs(60);
    let at = "198.51.100.2".parse().unwrap();
    world.proxy().trunks().get("b").unwrap().set_registered(until, at);
    let invite = from_outside(&mut world, second, "+4930123456").build().unwrap();
    world.send(second, invite);
    world.expect(second, "404");
    assert_eq!(counters(&mut world, "b").calls_in, 0, "no rule is for trunk b");
    world.expect_nothing(phone);
}

/// A trunk is offered what it takes, encrypted as it wants it.
#[test]
fn media_is_written_for_its_trunk() {
    let (mut world, caller, [a, b]) = world_with(|trunk| {
        if trunk.name == "a" {
            trunk.encryption = MediaEncryption::Sdes;
            trunk.codecs = Some(vec!["pcma".to_owned()]);
        }
    });
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(a, "INVITE");
    let options = world.relay.last().options().clone();
    assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpSavp));
    assert_eq!(options.codec.except[..2], ["pcma", "telephone-event/8000"]);
    world.respond(a, &invite, 503, None);
    world.expect(a, "ACK");
    world.expect(b, "INVITE");
    let options = world.relay.last().options().clone();
    assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpAvp));
    assert_eq!(options.codec.except[0], "PCMA");
}

/// RFC 5763 section 5: what a trunk with DTLS-SRTP is offered, and what its own offer is answered with, whoever is on the
/// other side.
#[test]
fn a_trunk_with_dtls_reads_fingerprints_and_neither_ice_nor_keys() {
    let (mut world, caller, [a, _]) = world_with(|trunk| trunk.encryption = MediaEncryption::Dtls);
    world.call(caller, NUMBER, Some(BROWSER_OFFER));
    let invite = world.expect(a, "INVITE");
    let options = world.relay.last().options().clone();
    let protocol = options.transport_protocol;
    assert_eq!(protocol, Some(TransportProtocol::UdpTlsRtpSavp));
    assert_eq!(options.ice.mode, Some(IceMode::Remove));
    assert!(options.sdes.is_off() && options.rtcp_mux.contains(RtcpMux::Offer));
    assert_ne!(options.dtls, Some(DtlsRequest::Off));
    world.respond(a, &invite, 200, Some(DTLS_SDP));
    world.expect(caller, "200");
    let options = world.relay.last().options().clone();
    assert_eq!(
        options.ice.mode,
        Some(IceMode::Force),
        "the browser reads this one"
    );
}

#[test]
fn a_trunk_with_dtls_is_answered_with_the_protocol_that_it_has_offered() {
    let (mut world, a, phone) = inbound(|trunk| trunk.encryption = MediaEncryption::Dtls);
    let invite = from_outside(&mut world, a, "+4930123456");
    let invite = invite.body("application/sdp", DTLS_SDP).build().unwrap();
    world.send(a, invite);
    let invite = world.expect(phone, "INVITE");
    let options = world.relay.last().options().clone();
    assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpAvp));
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    let options = world.relay.last().options().clone();
    assert_eq!(
        (options.transport_protocol, options.ice.mode),
        (None, Some(IceMode::Remove))
    );
    assert!(options.sdes.is_off());
}

const DTLS_SDP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                        m=audio 4000 UDP/TLS/RTP/SAVP 8\r\na=setup:actpass\r\na=fingerprint:sha-256 \
                        00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";
