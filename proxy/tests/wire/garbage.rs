//! Rubbish at every listener, while others use the gateway.
//!
//! What can be answered is answered as the standards say, the rest is counted, and nobody else notices.

mod connections;
mod datagrams;
mod frames;
mod handshakes;
mod streams;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use viaduct_sip::{HeaderName, Limits, Message};

use crate::support::gateway::DOMAIN;

/// Octets that are no message, and how they are answered: status and reason, or not at all.
struct Case {
    octets: Vec<u8>,
    answer: Option<(u16, &'static str)>,
}

/// A request to the gateway itself, which anybody may send: answered 200. `more` are further lines.
fn options(transport: &str, more: &str) -> String {
    request("OPTIONS", transport, &format!("{more}Content-Length: 0\r\n"))
}

/// The lines that every request has, and the empty line.
fn request(method: &str, transport: &str, more: &str) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!(
        "{method} sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{transport} stranger.invalid;branch=z9hG4bK{number};rport\r\nFrom: \
         <sip:stranger@stranger.invalid>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: {number}\r\nCSeq: 1 \
         {method}\r\n{more}\r\n"
    )
}

/// What is wrong over every transport, and wrong in a way that ends a stream.
fn broken(transport: &str) -> Vec<Case> {
    let good = options(transport, "");
    let case = |octets: String, answer| Case {
        octets: octets.into_bytes(),
        answer,
    };
    let with = |more: &str| options(transport, more);
    let many = |line: &str, times: usize| with(&line.repeat(times));
    let mut not_utf8 = good.clone().into_bytes();
    let host = good.find(DOMAIN).unwrap();
    not_utf8[host] = 0xff;
    vec![
        case(
            with("Content-Length: 0\r\n"),
            Some((400, "Repeated Content-Length")),
        ),
        case(with("l: 5\r\n"), Some((400, "Repeated Content-Length"))),
        case(
            good.replace("Length: 0", "Length: -1"),
            Some((400, "Bad Content-Length")),
        ),
        case(
            good.replace("Length: 0", "Length: 1 1"),
            Some((400, "Bad Content-Length")),
        ),
        case(
            good.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"),
            Some((505, "SIP Version Not Supported")),
        ),
        case(
            good.replacen(DOMAIN, &"a".repeat(8_192), 1),
            Some((414, "Start Line Exceeds 8192 Octets")),
        ),
        case(
            good.replacen(DOMAIN, "<viaduct>", 1),
            Some((400, "Bad Request-URI")),
        ),
        Case {
            octets: not_utf8,
            answer: Some((400, "Bad Request-URI")),
        },
        case(many("X: y\r\n", 300), Some((400, "More Than 256 Headers"))),
        case(
            many("Via: SIP/2.0/UDP a\r\n", 101),
            Some((400, "More Than 100 Vias")),
        ),
        case(
            with(&format!("X: {}\r\n", "y".repeat(16_384))),
            Some((400, "Header Exceeds 16384 Octets")),
        ),
        case(with("no colon\r\n"), Some((400, "Bad Header Line"))),
        case(with(": no name\r\n"), Some((400, "Bad Header Line"))),
        case(with("X: a\nY: b\r\n"), Some((400, "Lone CR or LF"))),
        case(with("Call-ID: another\r\n"), Some((400, "Repeated Call-ID"))),
        // Nobody would recognise an answer.
        case("hello\r\n\r\n".to_owned(), None),
        case(good.replace("CSeq", "C").replace("Length: 0", "Length: -1"), None),
        case("SIP/2.0 OK\r\n\r\n".to_owned(), None),
        case(request("ACK", transport, "Content-Length: -1\r\n"), None),
    ]
}

/// What is a message, but none that means anything. It ends no stream.
fn meaningless(transport: &str) -> Vec<Case> {
    let good = || options(transport, "");
    let case = |octets: String, answer| Case {
        octets: octets.into_bytes(),
        answer,
    };
    vec![
        case(
            good().replace("1 OPTIONS", "1 INVITE"),
            Some((400, "CSeq Method Differs From Request")),
        ),
        case(
            good().replace("CSeq: 1 ", "CSeq: one "),
            Some((400, "Bad CSeq: bad number")),
        ),
        case(
            options(transport, "Max-Forwards: many\r\n"),
            Some((400, "Bad Max-Forwards: bad number")),
        ),
        case(
            options(transport, "Max-Forwards: 0\r\n"),
            Some((483, "Too Many Hops")),
        ),
        case(
            options(transport, "Proxy-Require: magic\r\n"),
            Some((420, "Bad Extension")),
        ),
        case(
            good().replace("sip:viaduct.test SIP", "mailto:viaduct.test SIP"),
            Some((416, "Unsupported URI Scheme")),
        ),
        case(
            good().replace("sip:viaduct.test SIP", "sip:elsewhere.example SIP"),
            Some((403, "Forbidden")),
        ),
        case(
            request("BYE", transport, "Content-Length: 0\r\n"),
            Some((481, "Call/Transaction Does Not Exist")),
        ),
        case(
            request("CANCEL", transport, "Content-Length: 0\r\n"),
            Some((481, "Call/Transaction Does Not Exist")),
        ),
        // The same in Latin-1, in a header that nobody reads.
        Case {
            octets: latin1(&options(transport, "Subject: caf?\r\n")),
            answer: Some((200, "OK")),
        },
    ]
}

fn latin1(text: &str) -> Vec<u8> {
    text.bytes()
        .map(|octet| if octet == b'?' { 0xe9 } else { octet })
        .collect()
}

/// Limits for whoever reads the answers: a message that was refused for its many Vias is answered along all of them.
fn generous() -> Limits {
    Limits {
        vias_max: 1_000,
        headers_max: 1_000,
        ..Limits::default()
    }
}

/// The same rubbish in every run, none of it short enough for a keep-alive.
fn rubbish(seed: u64, count: usize, length_max: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(move |_| {
        let mut octets = vec![0; rng.random_range(5..length_max)];
        rng.fill_bytes(&mut octets);
        octets
    })
}

/// A good message with a few octets changed, the same in every run.
fn mutations(seed: u64, count: usize, good: impl Fn() -> String) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(move |_| {
        let mut octets = good().into_bytes();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..octets.len());
            octets[at] = rng.random();
        }
        octets
    })
}

/// The answer is this one, and it is for this request.
fn expect_answer(answer: &Message, case: &Case) {
    let text = String::from_utf8_lossy(answer.octets());
    let (status, reason) = case.answer.unwrap();
    assert!(
        text.starts_with(&format!("SIP/2.0 {status} {reason}\r\n")),
        "{} was answered\n{text}",
        String::from_utf8_lossy(&case.octets[..case.octets.len().min(1_000)])
    );
    for name in [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
    ] {
        assert!(answer.has(name), "no {name} in\n{text}");
    }
}
