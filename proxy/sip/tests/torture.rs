//! Every message of RFC 4475 and RFC 5118, and ten shapes seen in the field, each with the verdict that it deserves.
//!
//! The messages and verdicts are in `data/corpus.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use bytes::Bytes;
use viaduct_sip::{
    Aor, Contact, Edit, HeaderName, Item, Limits, Message, Method, ParseErrorKind, Scheme, Start, Transport,
    UriError, ValueError, ViaTransport,
};

#[path = "data/corpus.rs"]
mod corpus;

use corpus::Verdict::{Good, Refused, Unusable};
use corpus::{corpus, field, rfc4475, rfc5118};

fn parse(octets: &Bytes) -> Result<Message, viaduct_sip::ParseError> {
    Message::parse_datagram(octets.clone(), &Limits::default())
}

fn named(wanted: &str) -> Message {
    let case = corpus().into_iter().find(|(name, ..)| *name == wanted);
    parse(&case.unwrap_or_else(|| panic!("{wanted}")).1).unwrap()
}

fn facts(message: &Message) -> String {
    let essentials = message.essentials().unwrap();
    let start = match message.start() {
        Start::Request { method, uri } => format!("{method} {uri}"),
        Start::Response { status, reason } => format!("{status} {}", std::str::from_utf8(reason).unwrap()),
    };
    let dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    format!(
        "{start} via={}/{} from={} to={} {} {} mf={} body={}",
        dash(essentials.via.transaction_branch()),
        message.vias().map(Result::unwrap).count(),
        dash(essentials.from_tag),
        dash(essentials.to_tag),
        essentials.cseq.number,
        essentials.cseq.method,
        essentials
            .max_forwards
            .map_or("-".to_owned(), |hops| hops.to_string()),
        message.body().len(),
    )
}

#[test]
fn the_corpus_is_whole() {
    assert_eq!((rfc4475().len(), rfc5118().len(), field().len()), (49, 12, 10));
}

#[test]
fn every_message_gets_its_verdict() {
    for (name, octets, verdict) in corpus() {
        match (parse(&octets), verdict) {
            (Ok(message), Good(expected)) => assert_eq!(facts(&message), expected, "{name}"),
            (Ok(message), Unusable(error)) => assert_eq!(message.essentials(), Err(error), "{name}"),
            (Err(error), Refused(kind, answer)) => {
                assert_eq!(error.kind, kind, "{name}");
                let given = error
                    .answer()
                    .map(|answer| parse(&answer.to_tag("x").build().unwrap()).unwrap());
                assert_eq!(
                    given.as_ref().map(|given| given.status().unwrap().get()),
                    answer,
                    "{name}"
                );
            }
            (parsed, verdict) => panic!("{name}: {parsed:?}, expected {verdict:?}"),
        }
    }
}

#[test]
fn an_empty_edit_gives_the_octets_back() {
    for (name, octets, verdict) in corpus() {
        let Ok(message) = parse(&octets) else { continue };
        let printed = Edit::new(&message).finish().unwrap();
        match (name, verdict) {
            // Its second message is not part of it.
            ("dblreq", _) => assert_eq!(printed, octets[..octets.len() - 447]),
            (_, Good(_) | Unusable(_)) => assert_eq!(printed, octets, "{name}"),
            (_, Refused(..)) => unreachable!("refused messages do not parse"),
        }
    }
}

#[test]
fn an_edit_changes_nothing_but_what_it_says() {
    for (name, octets, _) in corpus() {
        let Ok(message) = parse(&octets) else { continue };
        let mut edit = Edit::new(&message);
        edit.prepend(HeaderName::Via, "SIP/2.0/UDP p;branch=z9hG4bKp")
            .append("X-Added", "1");
        let added = Message::parse_datagram(edit.finish().unwrap(), &Limits::default()).unwrap();
        let mut undo = Edit::new(&added);
        assert_eq!(
            undo.remove_first(HeaderName::Via),
            Some(&b"SIP/2.0/UDP p;branch=z9hG4bKp"[..]),
            "{name}"
        );
        undo.remove_all("x-added");
        assert_eq!(&undo.finish().unwrap(), message.octets(), "{name}");
    }
}

#[test]
fn the_same_messages_come_out_of_a_frame() {
    for (name, octets, verdict) in corpus() {
        let framed = Message::parse_frame(octets, &Limits::default());
        match verdict {
            Good(_) if name == "dblreq" => {
                assert!(matches!(
                    framed.unwrap_err().kind,
                    ParseErrorKind::TrailingOctets { .. }
                ));
            }
            Good(expected) => assert_eq!(facts(&framed.unwrap()), expected, "{name}"),
            Unusable(error) => assert_eq!(framed.unwrap().essentials(), Err(error), "{name}"),
            Refused(kind, _) => assert_eq!(framed.unwrap_err().kind, kind, "{name}"),
        }
    }
}

#[test]
fn wsinv_is_read_through_all_its_blanks() {
    let message = named("wsinv");
    let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
    assert_eq!(vias[0].branch(), Some("390skdjuw"));
    assert_eq!(
        (vias[1].transport().known(), vias[1].host().as_str()),
        (Some(Transport::Tcp), "spindle.example.com")
    );
    assert_eq!(vias[2].transaction_branch(), Some("z9hG4bK30239"));
    let from = message.from().unwrap().unwrap();
    assert_eq!(from.display_name().unwrap().as_ref(), b"J Rosenberg \\\"");
    let Contact::Addr(contact) = message.contacts().next().unwrap().unwrap() else {
        panic!("an address")
    };
    assert_eq!(
        (contact.q(), contact.params().text("newparam").as_deref()),
        (Some(330), Some("newvalue"))
    );
    assert!(contact.params().has("secondparam"));
    assert_eq!(
        message.header("UnknownHeaderWithUnusualValue"),
        Some(&b";;,,;;,;"[..])
    );
    let folded = message.headers("newfangledheader").next().unwrap();
    assert_eq!(
        folded.unfolded().as_ref(),
        b"newfangled value continued newfangled value"
    );
    assert_eq!(message.text(HeaderName::Subject), Some(""));
}

#[test]
fn intmeth_keeps_its_quoted_control_characters() {
    let message = named("intmeth");
    let to = message.to().unwrap().unwrap();
    assert_eq!(to.display_name().unwrap().as_ref(), b"BEL:\x07 NUL:\0 DEL:\x7f");
    let from = message.from().unwrap().unwrap();
    assert_eq!(
        from.params().text("fromParam''~+*_!.-%").as_deref(),
        Some("работающий")
    );
    let uri = message.request_uri().unwrap().unwrap();
    assert_eq!(
        uri.user(),
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(uri.password(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(
        message.call_id(),
        Some("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
    );
    assert_eq!(message.text("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
}

#[test]
fn escapes_are_resolved_where_they_are_escapes_and_nowhere_else() {
    let esc01 = named("esc01");
    let to = esc01.to().unwrap().unwrap().uri().unwrap();
    assert_eq!(Aor::from_uri(&to).unwrap().as_str(), "user@example.com");
    let uri = esc01.request_uri().unwrap().unwrap();
    assert_eq!(uri.user_unescaped().unwrap().as_ref(), b"sips:user@example.com");
    assert_eq!(uri.scheme(), Scheme::Sip);
    let Contact::Addr(contact) = esc01.contacts().next().unwrap().unwrap() else {
        panic!("an address")
    };
    let contact = contact.uri().unwrap();
    assert!(contact.is_loose_router());
    assert_eq!(
        contact
            .params()
            .get("name")
            .unwrap()
            .value_unescaped()
            .unwrap()
            .as_ref(),
        b"value%41"
    );

    let esc02 = named("esc02");
    assert_ne!(esc02.method(), Some(Method::Register));
    assert_eq!(esc02.contacts().count(), 2);
    assert_eq!(
        esc02.from().unwrap().unwrap().display_name().unwrap().as_ref(),
        b"%Z%45"
    );

    let escnull = named("escnull");
    let to = escnull.to().unwrap().unwrap().uri().unwrap();
    assert_eq!(Aor::from_uri(&to).unwrap().as_str(), "null-%00-null@example.com");
    let users: Vec<_> = escnull
        .contacts()
        .map(|contact| match contact.unwrap() {
            Contact::Addr(addr) => addr.uri().unwrap().user_unescaped().unwrap().into_owned(),
            Contact::Wildcard => panic!("no wildcard"),
        })
        .collect();
    assert_eq!(users, [b"\0".to_vec(), b"\0\0".to_vec()]);
}

#[test]
fn parameters_without_brackets_belong_to_the_header() {
    let contact = |message: &Message| match message.contacts().next().unwrap().unwrap() {
        Contact::Addr(addr) => (
            addr.params().has("unknownparam"),
            addr.uri().unwrap().params().has("unknownparam"),
        ),
        Contact::Wildcard => panic!("no wildcard"),
    };
    assert_eq!(contact(&named("cparam01")), (true, false));
    assert_eq!(contact(&named("cparam02")), (false, true));
    let bad = named("regbadct");
    assert_eq!(bad.contacts().next(), Some(Err(ValueError::UriNeedsBrackets)));
    let message = named("regescrt");
    let Contact::Addr(good) = message.contacts().next().unwrap().unwrap() else {
        panic!("an address")
    };
    let route = good.uri().unwrap().headers().get("route").unwrap();
    assert_eq!(
        route.value_unescaped().unwrap().as_ref(),
        b"<sip:sip.example.com>"
    );
}

#[test]
fn what_a_proxy_must_see_is_there_to_see() {
    assert!(
        !named("escruri")
            .request_uri()
            .unwrap()
            .unwrap()
            .headers()
            .is_empty()
    );
    assert_eq!(
        named("unkscm").request_uri().unwrap().unwrap().scheme(),
        Scheme::Other("nobodyKnowsThisScheme")
    );
    assert_eq!(
        named("unksm2").to().unwrap().unwrap().uri().unwrap().scheme(),
        Scheme::Other("isbn")
    );
    assert!(named("bext01").has_token(HeaderName::ProxyRequire, "noProxiesSupportThis"));
    assert_eq!(
        named("baddate").header(HeaderName::Date),
        Some(&b"Fri, 01 Jan 2010 16:00:00 EST"[..])
    );
    assert_eq!(
        named("badaspec").to().unwrap().unwrap().uri_octets(),
        b"sip:t.watson@example.org"
    );
    assert_eq!(
        named("baddn")
            .from()
            .unwrap()
            .unwrap()
            .display_name()
            .unwrap()
            .as_ref(),
        b"Bell, Alexander"
    );
    assert_eq!(named("scalar02").expires(), Some(u32::MAX));
    assert_eq!(named("semiuri").values(HeaderName::Accept).count(), 6);
    let transports = named("transports");
    let tokens: Vec<_> = transports
        .vias()
        .map(|via| via.unwrap().transport().as_str())
        .collect();
    assert_eq!(tokens, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
    let broadcast = named("bcast").vias().nth(1).unwrap().unwrap().host().ip();
    assert_eq!(broadcast, Some("255.255.255.255".parse().unwrap()));
    let boundary = named("mpart01");
    let media = boundary.content_type().unwrap().unwrap();
    assert_eq!(media.params.text("boundary").as_deref(), Some("7a9cbec02ceef655"));
}

#[test]
fn ipv6_is_read_as_rfc_5118_says() {
    let host = |name| {
        let message = named(name);
        let uri = message.request_uri().unwrap();
        uri.map(|uri| (uri.host().unwrap().ip().unwrap().to_string(), uri.port()))
    };
    assert_eq!(host("ipv6-good"), Ok(("2001:db8::10".to_owned(), None)));
    assert_eq!(host("ipv6-bad"), Err(UriError::BadPort));
    assert_eq!(host("port-ambiguous"), Ok(("2001:db8::10:5070".to_owned(), None)));
    assert_eq!(
        host("port-unambiguous"),
        Ok(("2001:db8::10".to_owned(), Some(5070)))
    );
    assert_eq!(host("ipv6-bug-abnf-3-colons"), host("ipv6-correct-abnf-2-colons"));
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let received = named(name).top_via().unwrap().unwrap().received();
        assert_eq!(received, Some("2001:db8::9:255".parse().unwrap()), "{name}");
    }
    let mapped = named("ipv4-mapped-ipv6");
    let via = mapped.top_via().unwrap().unwrap();
    assert_eq!(
        (via.host().ip().unwrap().to_canonical().to_string(), via.port()),
        ("192.0.2.10".to_owned(), Some(19823))
    );
    let mixed = named("mult-ip-in-header");
    let last = mixed.vias().last().unwrap().unwrap();
    assert_eq!(
        (last.transport(), last.received().unwrap().is_ipv4()),
        (ViaTransport::Known(Transport::Tcp), true)
    );
}

#[test]
fn field_messages_say_what_they_mean() {
    let register = named("jssip-register");
    let Contact::Addr(contact) = register.contacts().next().unwrap().unwrap() else {
        panic!("an address")
    };
    assert_eq!(contact.expires(), Some(600));
    assert_eq!(
        contact.params().text("+sip.instance").as_deref(),
        Some("<urn:uuid:f1a1b0ba-2a0a-4ed4-9a3f-6ab2d9a3b3c1>")
    );
    assert_eq!(register.values(HeaderName::Authorization).count(), 1);
    let ack = named("sipjs-ack");
    let routes: Vec<_> = ack
        .addrs(HeaderName::Route)
        .map(|route| route.unwrap().uri().unwrap())
        .collect();
    assert_eq!(routes[0].user(), Some("t0k3n.QQ-_"));
    assert!(routes.iter().all(viaduct_sip::Uri::is_loose_router));
    let cisco = named("cisco-compact");
    let uri = cisco.request_uri().unwrap().unwrap();
    assert_eq!(
        (uri.number(), uri.params().has("phone-context")),
        (Some("+1-408-555-0100"), true)
    );
    assert_eq!(cisco.top_via().unwrap().unwrap().port(), Some(50962));
    let answer = named("ok-joined-vias");
    assert_eq!(answer.vias().nth(1).unwrap().unwrap().rport(), Some(Some(51820)));
    let notify = named("notify-utf8");
    assert_eq!(
        notify.to().unwrap().unwrap().display_name().unwrap().as_ref(),
        "Иван".as_bytes()
    );
    let state = Item::parse(notify.header(HeaderName::SubscriptionState).unwrap()).unwrap();
    assert!(state.is("active") && state.params.text("expires").as_deref() == Some("3599"));
    let refer = named("gruu-refer");
    let target = refer.addrs(HeaderName::ReferTo).next().unwrap().unwrap();
    let replaces = target
        .uri()
        .unwrap()
        .headers()
        .get("Replaces")
        .unwrap()
        .value_unescaped()
        .unwrap()
        .into_owned();
    assert_eq!(replaces, b"12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994");
    let latin1 = named("latin1-message");
    assert_eq!(latin1.header(HeaderName::Subject), Some(&b"Gr\xfc\xdfe"[..]));
    assert_eq!(latin1.text(HeaderName::Subject), None);
}
