use super::*;
use crate::{CSeq, Contact, ParseErrorKind, ResponseBuilder, ValueError};

fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse_datagram(Bytes::from(text.to_owned()), &Limits::default())
}

fn message(text: &str) -> Message {
    parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn kind(text: &str) -> ParseErrorKind {
    parse(text).expect_err(text).kind
}

const HEAD: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";

fn with(headers: &str) -> String {
    format!("{HEAD}{headers}\r\n")
}

#[test]
fn start_lines_come_apart() {
    let request = message("OPTIONS sip:a SIP/2.0\r\n\r\n");
    assert_eq!(
        request.start(),
        Start::Request {
            method: Method::Options,
            uri: "sip:a"
        }
    );
    for (line, code, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("sip/2.0 100 ", 100, ""),
        ("SIP/2.0 699", 699, ""),
        ("SIP/2.0 200  = 2 ** 3", 200, " = 2 ** 3"),
    ] {
        let response = message(&format!("{line}\r\n\r\n"));
        let status = StatusCode::new(code).unwrap();
        assert_eq!(
            response.start(),
            Start::Response {
                status,
                reason: reason.as_bytes()
            }
        );
    }
}

#[test]
fn bad_start_lines_are_told_apart() {
    for (line, kind_expected) in [
        ("OPTIONS  sip:a SIP/2.0", ParseErrorKind::BadStartLine),
        ("OPTIONS sip:a  SIP/2.0", ParseErrorKind::BadStartLine),
        ("OPTIONS sip:a SIP/2.0 ", ParseErrorKind::BadStartLine),
        (" OPTIONS sip:a SIP/2.0", ParseErrorKind::BadStartLine),
        ("OPTIONS SIP/2.0", ParseErrorKind::BadStartLine),
        ("OPTIONS", ParseErrorKind::BadStartLine),
        ("OPT(IONS sip:a SIP/2.0", ParseErrorKind::BadStartLine),
        ("GET / HTTP/1.1", ParseErrorKind::BadStartLine),
        ("OPTIONS sip:a SIP/x", ParseErrorKind::BadStartLine),
        ("OPTIONS sip:a; lr SIP/2.0", ParseErrorKind::BadRequestUri),
        ("OPTIONS <sip:a> SIP/2.0", ParseErrorKind::BadRequestUri),
        ("OPTIONS sip:a\u{7f} SIP/2.0", ParseErrorKind::BadRequestUri),
        ("OPTIONS sip:a SIP/7.0", ParseErrorKind::UnsupportedVersion),
        ("OPTIONS sip:a SIP/2.01", ParseErrorKind::UnsupportedVersion),
        ("SIP/3.0 200 OK", ParseErrorKind::UnsupportedVersion),
        ("SIP/2.0 4294967301 x", ParseErrorKind::BadStatusCode),
        ("SIP/2.0 99 x", ParseErrorKind::BadStatusCode),
        ("SIP/2.0 700 x", ParseErrorKind::BadStatusCode),
        ("SIP/2.0 +20 x", ParseErrorKind::BadStatusCode),
        ("SIP/2.0", ParseErrorKind::BadStartLine),
    ] {
        assert_eq!(kind(&format!("{line}\r\n\r\n")), kind_expected, "{line}");
    }
    let latin1 = Bytes::from_static(b"OPTIONS sip:\xfc@a SIP/2.0\r\n\r\n");
    let error = Message::parse_datagram(latin1, &Limits::default()).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::BadRequestUri);
    assert!(parse("OPTIONS sip:\u{fc}@a SIP/2.0\r\n\r\n").is_ok());
}

#[test]
fn headers_are_found_in_every_spelling() {
    let message = message(&with(
        "v  :  SIP/2.0/TCP i,\r\n\tSIP/2.0/TCP j\r\nX-one: 1\r\nx-ONE:\r\n 2\r\n 3  \r\nempty:\r\n",
    ));
    let vias: Vec<_> = message.values(HeaderName::Via).collect();
    assert_eq!(
        vias,
        [
            &b"SIP/2.0/UDP h;branch=z9hG4bKa"[..],
            b"SIP/2.0/TCP i",
            b"SIP/2.0/TCP j"
        ]
    );
    assert_eq!(message.headers("VIA").count(), 2);
    assert_eq!(message.header("x-ONE"), Some(&b"1"[..]));
    let folded = message.headers("X-One").nth(1).unwrap();
    assert_eq!(folded.value(), b"2\r\n 3");
    assert_eq!(folded.unfolded().as_ref(), b"2 3");
    assert_eq!(
        (folded.name_text(), folded.name()),
        ("x-ONE", NameRef::Other("X-one"))
    );
    assert_eq!(message.text("Empty"), Some(""));
    assert_eq!(message.text("absent"), None);
    assert_eq!(message.lines().len(), 9);
}

#[test]
fn commas_split_lists_and_nothing_else() {
    let message = message(&with(
        "Supported: path, 100rel\r\nSupported: gruu\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT\r\n\
         Authorization: Digest a=b, c=d\r\nX-List: a, b\r\n",
    ));
    assert_eq!(message.values(HeaderName::Supported).count(), 3);
    assert!(message.has_token(HeaderName::Supported, "GRUU"));
    assert!(!message.has_token(HeaderName::Supported, "outbound"));
    for name in ["Date", "Authorization", "X-List"] {
        assert_eq!(message.values(name).count(), 1, "{name}");
    }
}

#[test]
fn typed_views_read_what_is_there() {
    let text = with(
        "Contact: <sip:a@b;x>;q=0.5, *\r\nRoute: <sip:p;lr>\r\nMax-Forwards: 0068\r\nExpires: 99999999999\r\n\
         Content-Type: application/sdp\r\n",
    );
    let message = message(&text);
    let contacts: Vec<_> = message.contacts().map(Result::unwrap).collect();
    assert!(matches!(contacts[0], Contact::Addr(addr) if addr.q() == Some(500)));
    assert_eq!(contacts[1], Contact::Wildcard);
    let route = message.addrs(HeaderName::Route).next().unwrap().unwrap();
    assert!(route.uri().unwrap().is_loose_router());
    assert_eq!(message.max_forwards(), Some(Ok(68)));
    assert_eq!(message.expires(), Some(u32::MAX));
    assert!(message.content_type().unwrap().unwrap().is("application", "SDP"));
    assert_eq!(message.from().unwrap().unwrap().tag(), Some("1"));
    assert_eq!(message.request_uri().unwrap().unwrap().user(), Some("bob"));
    assert_eq!(
        message.share(message.call_id().unwrap().as_bytes()).as_ptr(),
        message.call_id().unwrap().as_ptr()
    );
    assert_eq!(message.share(b"elsewhere"), "elsewhere");
}

#[test]
fn essentials_are_checked_and_nothing_else() {
    let text = with("Contact: \"\r\nExpires: soon\r\nMax-Forwards: 7\r\n");
    let message = message(&text);
    let essentials = message.essentials().unwrap();
    assert_eq!(essentials.via.transaction_branch(), Some("z9hG4bKa"));
    assert_eq!((essentials.from_tag, essentials.to_tag), (Some("1"), None));
    assert_eq!((essentials.call_id, essentials.max_forwards), ("x", Some(7)));
    assert_eq!(
        essentials.cseq,
        CSeq {
            number: 1,
            method: Method::Invite
        }
    );
}

#[test]
fn missing_and_bad_essentials_say_which() {
    let text = with("");
    for name in [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
    ] {
        let without = text.replace(&format!("\r\n{name}:"), "\r\nX-Gone:");
        assert_eq!(
            message(&without).essentials(),
            Err(EssentialsError::Missing(name))
        );
    }
    for (old, new, name, error) in [
        (
            "SIP/2.0/UDP h;",
            "SIP/2.0/UDP h;;",
            HeaderName::Via,
            ValueError::BadParam,
        ),
        (
            "<sip:a@b>",
            "\"a <sip:a@b>",
            HeaderName::From,
            ValueError::UnclosedQuote,
        ),
        ("tag=1", "tag=\"1\"", HeaderName::From, ValueError::BadToken),
        ("<sip:c@d>", "", HeaderName::To, ValueError::Empty),
        ("ID: x", "ID: x y", HeaderName::CallId, ValueError::BadCallId),
        (
            "CSeq: 1",
            "CSeq: 2147483648",
            HeaderName::CSeq,
            ValueError::BadNumber,
        ),
        (
            "\r\n\r\n",
            "\r\nMax-Forwards: 256\r\n\r\n",
            HeaderName::MaxForwards,
            ValueError::BadNumber,
        ),
    ] {
        let bad = message(&text.replace(old, new));
        assert_eq!(
            bad.essentials(),
            Err(EssentialsError::Bad { name, error }),
            "{new}"
        );
    }
    let mismatch = message(&text.replace("1 INVITE", "1 invite"));
    assert_eq!(mismatch.essentials(), Err(EssentialsError::MethodMismatch));
    assert!(
        message(&text.replace("tag=1", "tag="))
            .essentials()
            .unwrap()
            .from_tag
            .is_none()
    );
}

#[test]
fn a_response_is_not_held_to_a_method() {
    let text = with("").replace("INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK");
    assert!(message(&text).essentials().is_ok());
}

#[test]
fn datagrams_end_where_content_length_says() {
    let cut = message(&format!("{}abcdef", with("Content-Length: 3\r\n")));
    assert_eq!(
        (cut.body(), cut.octets().ends_with(b"\r\n\r\nabc")),
        (&b"abc"[..], true)
    );
    assert_eq!(message(&format!("{}abcdef", with(""))).body_bytes(), "abcdef");
    let truncated = ParseErrorKind::BodyTruncated {
        declared: 4,
        present: 3,
    };
    assert_eq!(kind(&format!("{}abc", with("l: 4\r\n"))), truncated);
    for bad in ["-1", "", "1,1", "+1", "99999999999999999999999", "0x1"] {
        let text = with(&format!("Content-Length: {bad}\r\n"));
        assert_eq!(kind(&text), ParseErrorKind::BadContentLength, "{bad}");
    }
}

#[test]
fn a_frame_holds_one_message() {
    let frame = |text: String| Message::parse_frame(Bytes::from(text), &Limits::default());
    assert_eq!(frame(format!("{}abc", with(""))).unwrap().body(), b"abc");
    let padded = frame(format!("{}abc\r\n\r\n", with("l: 3\r\n"))).unwrap();
    assert_eq!(padded.body(), b"abc");
    let two = frame(format!("{}{}", with("l: 0\r\n"), with("")));
    let count = with("").len();
    assert_eq!(two.unwrap_err().kind, ParseErrorKind::TrailingOctets { count });
}

#[test]
fn line_ends_before_a_message_are_skipped() {
    assert_eq!(message(&format!("\r\n\r\n{}", with(""))), message(&with("")));
    assert_eq!(kind("\r\n\r\n\r\n"), ParseErrorKind::Empty);
    assert_eq!(kind(""), ParseErrorKind::Empty);
}

#[test]
fn a_repeated_header_must_not_contradict_itself() {
    assert!(
        parse(&with(
            "Call-ID: x\r\ni:  x \r\nUser-Agent: a\r\nUser-Agent: b\r\n"
        ))
        .is_ok()
    );
    for (line, name) in [
        ("Call-ID: y", HeaderName::CallId),
        ("t: <sip:c@e>", HeaderName::To),
        ("CSeq: 2 INVITE", HeaderName::CSeq),
        ("l: 0\r\nContent-Length: 1", HeaderName::ContentLength),
        ("l: 0\r\nContent-Length: 0", HeaderName::ContentLength),
        ("Expires: 1\r\nExpires: 2", HeaderName::Expires),
    ] {
        assert_eq!(
            kind(&with(&format!("{line}\r\n"))),
            ParseErrorKind::HeaderRepeated(name)
        );
    }
}

#[test]
fn bad_lines_are_told_apart() {
    for (text, kind_expected) in [
        (with("no colon\r\n"), ParseErrorKind::BadHeaderLine),
        (with(": no name\r\n"), ParseErrorKind::BadHeaderLine),
        (with("bad(name: x\r\n"), ParseErrorKind::BadHeaderLine),
        (with("X-A: a\nY: b\r\n"), ParseErrorKind::LoneLineBreak),
        (with("X-A: a\rY: b\r\n"), ParseErrorKind::LoneLineBreak),
        (with("\n"), ParseErrorKind::LoneLineBreak),
        (HEAD.to_owned(), ParseErrorKind::HeadUnterminated),
        (HEAD.replace("\r\n", "\n"), ParseErrorKind::LoneLineBreak),
        (format!("{HEAD}X"), ParseErrorKind::HeadUnterminated),
        (format!("{HEAD}X-A: y\r\n"), ParseErrorKind::HeadUnterminated),
        (format!("{HEAD}\r"), ParseErrorKind::HeadUnterminated),
        (
            "OPTIONS sip:a SIP/2.0\r\n X-A: y\r\n\r\n".to_owned(),
            ParseErrorKind::BadHeaderLine,
        ),
        (
            "OPTIONS sip:a SIP/2.0".to_owned(),
            ParseErrorKind::HeadUnterminated,
        ),
    ] {
        assert_eq!(kind(&text), kind_expected, "{text:?}");
    }
}

#[test]
fn every_limit_holds_exactly() {
    let text = with("X-A: abc\r\n");
    let check =
        |limits: Limits| Message::parse_datagram(Bytes::from(text.clone()), &limits).map_err(|e| e.kind);
    let (start, head, header) = (34, text.len(), "Via: SIP/2.0/UDP h;branch=z9hG4bKa".len());
    let limits = Limits {
        datagram_octets_max: text.len(),
        head_octets_max: head,
        start_line_octets_max: start,
        header_octets_max: header,
        headers_max: 6,
        vias_max: 1,
        ..Limits::default()
    };
    assert!(check(limits).is_ok());
    let tighter = |tighten: fn(&mut Limits)| {
        let mut tight = limits;
        tighten(&mut tight);
        check(tight).unwrap_err()
    };
    assert_eq!(
        tighter(|l| l.datagram_octets_max -= 1),
        ParseErrorKind::MessageTooLarge {
            limit: text.len() - 1
        }
    );
    assert_eq!(
        tighter(|l| l.head_octets_max -= 1),
        ParseErrorKind::HeadTooLarge { limit: head - 1 }
    );
    assert_eq!(
        tighter(|l| l.start_line_octets_max -= 1),
        ParseErrorKind::StartLineTooLong { limit: start - 1 }
    );
    assert_eq!(
        tighter(|l| l.header_octets_max -= 1),
        ParseErrorKind::HeaderTooLong { limit: header - 1 }
    );
    assert_eq!(
        tighter(|l| l.headers_max -= 1),
        ParseErrorKind::TooManyHeaders { limit: 5 }
    );
    assert_eq!(
        tighter(|l| l.vias_max -= 1),
        ParseErrorKind::TooManyVias { limit: 0 }
    );
}

#[test]
fn vias_are_counted_over_commas_and_lines() {
    let text = with("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\n");
    let limits = |vias_max| Limits {
        vias_max,
        ..Limits::default()
    };
    assert!(Message::parse_datagram(Bytes::from(text.clone()), &limits(4)).is_ok());
    let error = Message::parse_datagram(Bytes::from(text), &limits(3)).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooManyVias { limit: 3 });
}

#[test]
fn a_faulty_request_is_answered_from_what_can_be_read() {
    for (text, code) in [
        (with("Content-Length: 9\r\n"), 400),
        (
            with("junk\r\nContent-Length: 0\r\n").replace("CSeq", "\u{fc}: x\r\nCSeq"),
            400,
        ),
        (with("").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
        (with("").replace("sip:bob", &"a".repeat(9000)), 414),
        (with(&format!("X-A: {}\r\n", "a".repeat(66_000))), 513),
        (with("").replace("INVITE sip", "INVITE  sip"), 400),
        (with("X-A: a\rb\r\n"), 400),
        (with(&"X-A: y\r\n".repeat(300)), 400),
    ] {
        let error = parse(&text).unwrap_err();
        let answer = error
            .answer()
            .unwrap_or_else(|| panic!("{error}"))
            .to_tag("t")
            .build()
            .unwrap();
        let answer = Message::parse_datagram(answer, &Limits::default()).unwrap();
        assert_eq!(answer.status().unwrap().get(), code, "{error}");
        let essentials = answer.essentials().unwrap();
        assert_eq!(essentials.via.transaction_branch(), Some("z9hG4bKa"));
        assert_eq!((essentials.call_id, essentials.to_tag), ("x", Some("t")));
    }
}

#[test]
fn what_must_not_be_answered_is_not() {
    let broken = with("Content-Length: 9\r\n");
    for text in [
        broken.replace("INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK"),
        broken.replace("INVITE", "ACK"),
        broken.replace("CSeq: 1 INVITE", "CSeq: 1 ACK"),
        broken.replace("Call-ID: x", "X-A: x"),
        broken.replace("Call-ID: x", "Call-ID:"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\0\0".to_owned(),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.salvage, None, "{text}");
    }
}

#[test]
fn an_answer_never_carries_a_lone_line_break() {
    let text = with("l: 9\r\n").replace(
        "Via: SIP/2.0/UDP h",
        "Via: SIP/2.0/UDP evil\nX: y\r\nVia: SIP/2.0/UDP h",
    );
    let error = parse(&text).unwrap_err();
    let salvage = error.salvage.unwrap();
    assert_eq!(salvage.top_via().unwrap().host().as_str(), "h");
    let answer = ResponseBuilder::from_salvage(&salvage, StatusCode::BAD_REQUEST)
        .build()
        .unwrap();
    assert!(!String::from_utf8(answer.to_vec()).unwrap().contains("evil"));
}

#[test]
fn a_clone_shares_everything() {
    let message = message(&with(""));
    let clone = message.clone();
    assert_eq!(clone.octets().as_ptr(), message.octets().as_ptr());
    assert_eq!(clone, message);
    assert!(format!("{message:?}").contains("sip:bob@example.com"));
}
