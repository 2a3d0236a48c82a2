//! The main job: a browser and a desk phone call each other, and each reads SDP in its own language.

use viaduct_ng::{DtlsRequest, IceLite, IceMode, Replace, TransportProtocol};
use viaduct_routing::{CallEnd, Event};
use viaduct_sim::{BROWSER_ANSWER, BROWSER_OFFER, Dialog, PHONE_ANSWER, PHONE_OFFER, World, says};
use viaduct_sip::{HeaderName, Method, Uri};

#[test]
fn a_browser_calls_a_phone_and_the_phone_hangs_up() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    world.call(browser, "201", Some(BROWSER_OFFER));

    let invite = world.expect(phone, "INVITE");
    assert_eq!(
        invite.request_uri_text(),
        Some(&*world.contact(phone)),
        "the contact, octet for octet"
    );
    assert!(
        says(&invite, "a=x-from:- 46 2 IN IP4 127.0.0.1") && says(&invite, "m=audio 30002 RTP/AVP 8 101")
    );
    assert_eq!(invite.max_forwards(), Some(Ok(69)));
    assert!(
        !invite.has(HeaderName::ProxyAuthorization),
        "credentials are for us alone"
    );
    let offer = world.relay.last().options().clone();
    assert_eq!(offer.transport_protocol, Some(TransportProtocol::RtpAvp));
    assert_eq!(
        (offer.ice.mode, offer.ice.lite),
        (Some(IceMode::Remove), Some(IceLite::Backward))
    );
    assert!(offer.replace.contains(Replace::Origin));

    world.respond(phone, &invite, 180, None);
    world.expect(browser, "180");
    world.respond(phone, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(browser, "200");
    assert!(says(&ok, "m=audio 30004 UDP/TLS/RTP/SAVPF 8 101"));
    let answer = world.relay.last().options().clone();
    assert_eq!(
        (answer.ice.mode, answer.dtls),
        (Some(IceMode::Force), Some(DtlsRequest::Passive))
    );
    let mut dialog = Dialog::of_caller(browser, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(phone, "ACK");

    let mut callee = world.callee_dialog(phone, &invite);
    world.send_in(&mut callee, Method::Bye, None);
    let bye = world.expect(browser, "BYE");
    assert_eq!(bye.request_uri_text(), Some(&*world.contact(browser)));
    world.respond(browser, &bye, 200, None);
    world.expect(phone, "200");
    assert_eq!(world.relay.commands(), ["offer", "answer", "delete"]);
    let ended = world.events().into_iter().any(|event| {
        matches!(
            event,
            Event::CallEnded {
                end: CallEnd::ByCallee,
                ..
            }
        )
    });
    assert!(ended);
    world.expect_clean();
}

#[test]
fn a_phone_calls_a_browser_and_the_browser_answers() {
    let mut world = World::new();
    let (phone, browser) = (world.phone("201"), world.browser("300"));
    world.register(phone);
    world.register(browser);
    let (mut caller, _) = world.answered(phone, browser, PHONE_OFFER, BROWSER_ANSWER);
    let [offer, answer] = &world.relay.asked[..] else {
        panic!("{:?}", world.relay.commands())
    };
    assert_eq!(
        offer.options().transport_protocol,
        Some(TransportProtocol::UdpTlsRtpSavpf)
    );
    assert_eq!(offer.options().ice.lite, Some(IceLite::Forward));
    assert_eq!(
        answer.options().transport_protocol,
        Some(TransportProtocol::RtpAvp)
    );
    let bye = world.send_in(&mut caller, Method::Bye, None);
    assert!(bye.method().is_some());
    let got = world.expect(browser, "BYE");
    world.respond(browser, &got, 200, None);
    world.expect_clean();
}

/// RFC 5658: one Record-Route value for each side, the callee's on top, each naming a socket that its side can reach.
#[test]
fn the_proxy_stays_in_the_route_with_one_value_for_each_side() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    world.call(browser, "201", Some(BROWSER_OFFER));
    let invite = world.expect(phone, "INVITE");
    let routes: Vec<String> = invite
        .values(HeaderName::RecordRoute)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!(routes.len(), 2);
    let uri = |text: &str| text.trim_matches(['<', '>']).to_owned();
    let (top, below) = (uri(&routes[0]), uri(&routes[1]));
    let (top, below) = (Uri::parse(&top).unwrap(), Uri::parse(&below).unwrap());
    assert_eq!(
        (top.host().unwrap().as_str(), top.port()),
        ("192.0.2.1", Some(5060))
    );
    assert_eq!(
        (below.host().unwrap().as_str(), below.port()),
        ("192.0.2.1", Some(8080))
    );
    assert!(top.is_loose_router() && below.is_loose_router());
    assert_eq!(
        below.params().get("transport").and_then(|param| param.value),
        Some("ws")
    );
}

#[test]
fn browsers_among_themselves_are_bridged_by_the_relay_on_both_sides() {
    let mut world = World::new();
    let (one, two) = (world.browser("300"), world.browser("301"));
    world.register(one);
    world.register(two);
    let (mut caller, _) = world.answered(one, two, BROWSER_OFFER, BROWSER_ANSWER);
    let [offer, answer] = &world.relay.asked[..] else {
        panic!("{:?}", world.relay.commands())
    };
    assert_eq!(offer.options().ice.lite, Some(IceLite::Both));
    for asked in [offer, answer] {
        assert_eq!(
            asked.options().transport_protocol,
            Some(TransportProtocol::UdpTlsRtpSavpf)
        );
        assert_eq!(asked.options().ice.mode, Some(IceMode::Force));
        assert!(asked.options().codec.is_empty(), "browsers keep all their codecs");
    }
    world.send_in(&mut caller, Method::Bye, None);
    let bye = world.expect(two, "BYE");
    world.respond(two, &bye, 200, None);
    world.expect_clean();
}

#[test]
fn requests_in_a_call_pass_both_ways_with_their_bodies() {
    let mut world = World::new();
    let (browser, phone) = (world.browser("300"), world.phone("201"));
    world.register(browser);
    world.register(phone);
    let (mut caller, mut callee) = world.answered(browser, phone, BROWSER_OFFER, PHONE_ANSWER);
    for method in [
        Method::Info,
        Method::Message,
        Method::Options,
        Method::Refer,
        Method::Notify,
        Method::Other("FOO"),
    ] {
        world.send_in(&mut caller, method, None);
        let got = world.expect(phone, method.as_str());
        assert!(!got.has(HeaderName::Route), "both of our routes are gone");
        world.respond(phone, &got, 200, None);
        world.expect(browser, "200");
        world.send_in(&mut callee, method, None);
        let got = world.expect(browser, method.as_str());
        world.respond(browser, &got, 405, None);
        world.expect(phone, "405");
    }
    assert_eq!(
        world.relay.commands(),
        ["offer", "answer"],
        "nothing there is of the relay's business"
    );
}

/// A message outside any call goes to every device of its user.
#[test]
fn a_message_goes_to_every_device_and_the_first_answer_comes_back() {
    let mut world = World::new();
    let (browser, one, two) = (world.browser("300"), world.phone("201"), world.browser("201"));
    for end in [browser, one, two] {
        world.register(end);
    }
    let message = world
        .request(browser, Method::Message, "201")
        .body("text/plain", "hello");
    world.send_with_password(browser, message);
    let (first, second) = (world.expect(one, "MESSAGE"), world.expect(two, "MESSAGE"));
    assert_eq!((first.body(), second.body()), (&b"hello"[..], &b"hello"[..]));
    assert!(!first.has(HeaderName::RecordRoute));
    world.respond(two, &second, 200, None);
    world.expect(browser, "200");
    world.respond(one, &first, 200, None);
    world.expect_nothing(browser);
    world.expect_clean();
}
