//! What is a document, and the limits.

use super::*;
use crate::error::Reason;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

fn fault(source: impl AsRef<[u8]>) -> (usize, ParseFault) {
    let error = Session::parse(source.as_ref()).unwrap_err();
    (error.line, error.fault)
}

fn fault_within(source: &str, limits: Limits) -> (usize, ParseFault) {
    let error = Session::parse_within(source.as_bytes(), &limits).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn document_begins_with_version_zero() {
    for source in [
        "",
        "\r\n",
        "o=- 1 1 IN IP4 192.0.2.1\r\n",
        "v=1\r\n",
        "v=00\r\n",
        "hello\r\n",
        "\r\nv=0\r\n",
    ] {
        assert_eq!(fault(source), (1, ParseFault::NoVersion), "{source:?}");
    }
    assert!(Session::parse(b"v=0").is_ok());
    assert!(Session::parse(b"v=0 \n").is_ok());
}

#[test]
fn second_session_is_refused() {
    assert_eq!(fault(format!("{HEAD}v=0\r\n")), (5, ParseFault::SecondSession));
}

#[test]
fn octets_that_other_parsers_take_for_an_end_are_refused() {
    assert_eq!(
        fault(format!("{HEAD}a=x\0y\r\n")),
        (5, ParseFault::ForbiddenOctet { octet: 0 })
    );
    assert_eq!(
        fault(format!("{HEAD}a=x\ry\r\n")),
        (5, ParseFault::ForbiddenOctet { octet: b'\r' })
    );
    assert!(Session::parse(format!("{HEAD}a=x\r\r\n").as_bytes()).is_ok());
}

#[test]
fn malformed_m_lines_are_refused_with_their_reason() {
    for (line, reason) in [
        ("m=", Reason::Missing("media")),
        ("m=audio", Reason::Missing("port")),
        ("m=audio 9", Reason::Missing("proto")),
        ("m=audio x RTP/AVP 0", Reason::Malformed("port")),
        ("m=audio -1 RTP/AVP 0", Reason::Malformed("port")),
        ("m=audio +1 RTP/AVP 0", Reason::Malformed("port")),
        ("m=audio 65536 RTP/AVP 0", Reason::OutOfRange("port")),
        ("m=audio 9/ RTP/AVP 0", Reason::Missing("number of ports")),
        ("m=audio 9/99999 RTP/AVP 0", Reason::OutOfRange("number of ports")),
    ] {
        assert_eq!(
            fault(format!("{HEAD}{line}\r\n")),
            (5, ParseFault::MediaLine(reason)),
            "{line}"
        );
    }
    let latin = [HEAD.as_bytes(), b"m=audi\xf6 9 RTP/AVP 0\r\n"].concat();
    assert_eq!(fault(latin), (5, ParseFault::MediaLine(Reason::NotText)));
}

#[test]
fn m_line_may_lack_formats() {
    let session = Session::parse(format!("{HEAD}m=audio 0 RTP/AVP\r\n").as_bytes()).unwrap();
    assert_eq!(session.media(0).unwrap().formats().count(), 0);
}

#[test]
fn every_limit_is_enforced() {
    let limits = Limits::default();
    let document =
        format!("{HEAD}m=audio 9 RTP/AVP 0 8 9\r\na=x\r\na=candidate:1\r\na=candidate:2\r\nm=audio 9 x\r\n");
    assert!(Session::parse_within(document.as_bytes(), &limits).is_ok());
    let octets = document.len();
    for (limits, expected) in [
        (
            Limits {
                octets_max: octets - 1,
                ..limits
            },
            (
                1,
                ParseFault::TooLong {
                    octets,
                    limit: octets - 1,
                },
            ),
        ),
        (
            Limits {
                lines_max: 8,
                ..limits
            },
            (9, ParseFault::TooManyLines { limit: 8 }),
        ),
        (
            Limits {
                medias_max: 1,
                ..limits
            },
            (9, ParseFault::TooManyMedias { limit: 1 }),
        ),
        (
            Limits {
                formats_max: 2,
                ..limits
            },
            (5, ParseFault::TooManyFormats { limit: 2 }),
        ),
        (
            Limits {
                attributes_max: 2,
                ..limits
            },
            (8, ParseFault::TooManyAttributes { limit: 2 }),
        ),
        (
            Limits {
                candidates_max: 1,
                ..limits
            },
            (8, ParseFault::TooManyCandidates { limit: 1 }),
        ),
    ] {
        assert_eq!(fault_within(&document, limits), expected);
    }
}

#[test]
fn a_candidate_counts_however_its_name_is_written() {
    let limits = Limits {
        candidates_max: 1,
        ..Limits::default()
    };
    for second in [
        "a=candidate:2",
        "a=candidate :2",
        "a=candidate\x0c",
        "a=candidate",
    ] {
        let document = format!("{HEAD}m=audio 9 RTP/AVP 0\r\na=candidate:1\r\n{second}\r\n");
        let expected = (7, ParseFault::TooManyCandidates { limit: 1 });
        assert_eq!(fault_within(&document, limits), expected, "{second:?}");
    }
}

#[test]
fn blank_line_ends_the_document_and_is_kept() {
    let source = format!("{HEAD}m=audio 9 RTP/AVP 0\r\n\r\na=sendonly\r\nm=video 9 RTP/AVP 31\r\n");
    let session = Session::parse(source.as_bytes()).unwrap();
    assert_eq!(session.source(), source.as_bytes());
    assert_eq!(session.medias().len(), 1);
    assert_eq!(session.media(0).unwrap().attributes().direction(), None);
}

#[test]
fn lines_without_equals_sign_belong_to_no_letter() {
    let session = Session::parse(format!("{HEAD}nonsense\r\nx\r\n=y\r\n").as_bytes()).unwrap();
    let odd: Vec<_> = session
        .lines()
        .skip(4)
        .map(|line| (line.letter(), line.value()))
        .collect();
    assert_eq!(odd, [(None, &b"nonsense"[..]), (None, b"x"), (None, b"=y")]);
}

#[test]
fn repeated_session_lines_are_all_given() {
    let session = Session::parse(b"v=0\r\ne=a@example.org\r\ne=b@example.org\r\nt=0 0\r\nt=1 2\r\n").unwrap();
    assert_eq!(
        session.values(b'e').collect::<Vec<_>>(),
        [&b"a@example.org"[..], b"b@example.org"]
    );
    assert_eq!(session.values(b't').count(), 2);
}

#[test]
fn media_outside_the_document_is_none() {
    let session = Session::parse(HEAD.as_bytes()).unwrap();
    assert!(session.media(0).is_none());
    assert!(session.media(usize::MAX).is_none());
}

#[test]
fn session_lines_are_typed_or_say_why_not() {
    for (line, reason) in [
        ("o=- 1 1 IN IP4", Reason::Missing("address")),
        ("o=- x 1 IN IP4 192.0.2.1", Reason::Malformed("sess-id")),
        ("o=- 1 1 ATM IP4 192.0.2.1", Reason::Unknown("nettype")),
        ("o=- 1 1 IN IP5 192.0.2.1", Reason::Unknown("addrtype")),
        ("o=- 1 1 IN IP6 192.0.2.1", Reason::Malformed("address")),
        ("o=- 1 1 IN IP4 192.0.2.1 more", Reason::Trailing),
    ] {
        let session = Session::parse(format!("v=0\r\n{line}\r\n").as_bytes()).unwrap();
        assert_eq!(
            session.origin(),
            Err(LineError {
                line: 2,
                name: "o=",
                reason
            }),
            "{line}"
        );
    }
    for (line, reason) in [
        ("c=IN IP4", Reason::Missing("address")),
        ("c=IN IP4 192.0.2.300", Reason::Malformed("address")),
        ("c=IN IP4 233.252.0.1/x", Reason::Malformed("ttl")),
    ] {
        let session = Session::parse(format!("v=0\r\n{line}\r\n").as_bytes()).unwrap();
        assert_eq!(
            session.connection(),
            Err(LineError {
                line: 2,
                name: "c=",
                reason
            }),
            "{line}"
        );
    }
    let session = Session::parse(b"v=0\r\nb=AS\r\nb=AS:x\r\nb=AS:64\r\n").unwrap();
    let read: Vec<_> = session
        .bandwidths()
        .map(|b| b.map_err(|error| error.line))
        .collect();
    assert_eq!(
        read,
        [
            Err(2),
            Err(3),
            Ok(Bandwidth {
                kind: "AS".to_owned(),
                value: 64
            })
        ]
    );
}

#[test]
fn names_are_told_from_addresses() {
    let session = Session::parse(b"v=0\r\nc=IN IP4 media.example.org\r\n").unwrap();
    let connection = session.connection().unwrap().unwrap();
    assert_eq!(connection.address.ip(), None);
    assert_eq!(connection.to_string(), "IN IP4 media.example.org");
}

#[test]
fn an_empty_line_ends_it_and_that_can_be_seen() {
    for (source, cut) in [
        ("v=0", false),
        ("v=0\r\n", false),
        ("v=0\r\r\n", false),
        ("v=0\r\n\r\n", true),
        ("v=0\n\nm=audio 9 RTP/AVP 0\n", true),
        ("v=0\r\nm=audio 9 RTP/AVP 0\r\n", false),
    ] {
        let session = Session::parse(source.as_bytes()).unwrap();
        assert_eq!(session.ends_at_empty_line(), cut, "{source:?}");
        assert_eq!(
            session.medias().count(),
            usize::from(source.contains("m=") && !cut)
        );
    }
}
