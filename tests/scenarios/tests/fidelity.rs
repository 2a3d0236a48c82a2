//! A proxied message differs from what came in only where it must (RFC 3261 sections 16.6 and 16.7): every other header
//! line arrives octet for octet and in its order, and so does the body.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use proptest::prelude::*;
use viaduct_routing::Network;
use viaduct_sim::{EndId, World};
use viaduct_sip::Transport;

/// A message as octets between line ends: a folded header is one line.
#[derive(Debug, PartialEq, Eq)]
struct Lines {
    start: Vec<u8>,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Lines {
    fn of(octets: &[u8]) -> Self {
        let head = octets.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for line in octets[..head].split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match lines.last_mut() {
                Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    last.extend_from_slice(b"\r\n");
                    last.extend_from_slice(line);
                }
                _ => lines.push(line.to_vec()),
            }
        }
        let start = lines.remove(0);
        Self {
            start,
            headers: lines,
            body: octets[head + 4..].to_vec(),
        }
    }

    /// The lines but for those with one of these names.
    fn without(&self, names: &[&str]) -> Vec<&[u8]> {
        let is_other = |line: &&Vec<u8>| !names.iter().any(|name| is_named(line, name));
        self.headers.iter().filter(is_other).map(Vec::as_slice).collect()
    }

    fn named(&self, names: &[&str]) -> Vec<&[u8]> {
        let is_one = |line: &&Vec<u8>| names.iter().any(|name| is_named(line, name));
        self.headers.iter().filter(is_one).map(Vec::as_slice).collect()
    }
}

fn is_named(line: &[u8], name: &str) -> bool {
    let end = line.iter().position(|&byte| byte == b':').unwrap();
    line[..end].trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

/// A blank, as much of it as the grammar lets stand anywhere.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![Just(""), Just(" "), Just("\t "), Just(" \r\n  ")].prop_map(str::to_owned)
}

/// A header that the proxy has no business with. (P-Asserted-Identity is not one: what a user asserts about itself goes.)
fn stranger() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "X-[A-Za-z]{1,8}",
        Just("Warning".to_owned()),
        Just("wArNiNg".to_owned()),
        Just("Supported".to_owned()),
        Just("k".to_owned()),
        Just("Accept-Language".to_owned()),
        Just("Allow".to_owned()),
        Just("P-Called-Party-ID".to_owned()),
        Just("Identity".to_owned()),
        Just("History-Info".to_owned()),
        Just("Error-Info".to_owned()),
        Just("In-Reply-To".to_owned()),
    ];
    // Also what is no value of the header at all: nobody here reads it.
    let value = prop_oneof!["[!-~äöü€]{0,30}", "[ -~]{0,40}", "[a-z]{1,5}(, ?[a-z]{1,5}){0,4}"];
    (name, blank(), value).prop_map(|(name, blank, value)| format!("{name}:{blank}{}", value.trim()))
}

/// The headers that every request has, each in one of its spellings.
fn essentials(method: &'static str, end_of_via: &'static str) -> impl Strategy<Value = Vec<String>> {
    let via = (
        prop_oneof![Just("Via"), Just("v"), Just("VIA")],
        blank(),
        any::<bool>(),
    );
    let via = via.prop_map(move |(name, blank, rport)| {
        let rport = if rport { ";rport" } else { "" };
        format!("{name}:{blank}SIP/2.0/{end_of_via};branch=z9hG4bKfidelity{rport};x=\"a, b\"")
    });
    let below = prop_oneof![
        Just(None),
        Just(Some(
            "Via: SIP/2.0/TCP below.example;branch=z9hG4bKb, SIP / 2.0 / UDP lower;branch=z9hG4bKc"
                .to_owned()
        )),
    ];
    let hops = prop_oneof![
        Just(None),
        Just(Some("Max-Forwards: 70".to_owned())),
        Just(Some("MAX-FORWARDS  :\t9".to_owned())),
    ];
    let from = prop_oneof![
        Just("From: \"A, \\\"B\\\"\" <sip:202@example.com>;tag=1"),
        Just("f:sip:202@example.com;tag=1"),
        Just("FROM: <sip:202@example.com> ; x=y;tag = 1"),
    ];
    let to = prop_oneof![
        Just("To: <sip:201@example.com>"),
        Just("t: \"Zwei\" <sip:201@example.com;x=y>;z"),
    ];
    let call_id = prop_oneof![Just("Call-ID: one@h"), Just("i:one@h")];
    let cseq = prop_oneof![
        Just(format!("CSeq: 7 {method}")),
        Just(format!("cseq:\t7\r\n  {method}")),
    ];
    (via, below, hops, from, to, call_id, cseq).prop_map(|(via, below, hops, from, to, call_id, cseq)| {
        let rest = [from.to_owned(), to.to_owned(), call_id.to_owned(), cseq];
        [Some(via), below, hops]
            .into_iter()
            .flatten()
            .chain(rest)
            .collect()
    })
}

/// All of them in any order that keeps the Vias in theirs.
fn shuffled(essentials: Vec<String>, strangers: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let vias: Vec<String> = essentials.iter().filter(|line| is_via(line)).cloned().collect();
    let lines: Vec<String> = essentials.into_iter().chain(strangers).collect();
    Just(lines).prop_shuffle().prop_map(move |lines| {
        let mut vias = vias.iter();
        let in_order = |line: String| match is_via(&line) {
            true => vias.next().unwrap().clone(),
            false => line,
        };
        lines.into_iter().map(in_order).collect()
    })
}

fn is_via(line: &str) -> bool {
    is_named(line.as_bytes(), "Via") || is_named(line.as_bytes(), "v")
}

fn headers(method: &'static str, end_of_via: &'static str) -> impl Strategy<Value = Vec<String>> {
    (
        essentials(method, end_of_via),
        prop::collection::vec(stranger(), 0..8),
    )
        .prop_flat_map(|(essentials, strangers)| shuffled(essentials, strangers))
}

fn compose(start: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut octets = format!("{start}\r\n").into_bytes();
    for line in headers {
        octets.extend_from_slice(line.as_bytes());
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("l:  {}\r\n\r\n", body.len()).as_bytes());
    octets.extend_from_slice(body);
    octets
}

/// 202 and 201, whom the proxy believes, so that nothing is sent twice.
fn trusted(caller: Transport, callee: Transport) -> (World, EndId, EndId) {
    let mut world = World::with(|config, _| {
        config.auth.trust_from = vec![Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
    });
    let (caller, callee) = (world.add("202", caller), world.add("201", callee));
    let register = world.register_request(callee).build().unwrap();
    world.send(callee, register);
    world.expect(callee, "200");
    (world, caller, callee)
}

/// What a proxy writes into a request that passes.
const OURS: [&str; 6] = [
    "Via",
    "v",
    "Max-Forwards",
    "Max-Breadth",
    "Record-Route",
    "Content-Length",
];

fn check_request(sent: &Lines, got: &Lines, makes_dialog: bool) {
    assert_eq!(sent.without(&OURS), got.without(&OURS));
    assert_eq!(sent.body, got.body);
    assert_eq!(sent.named(&["l"]), got.named(&["l"]));
    assert!(got.named(&["Content-Length"]).is_empty(), "there is one already");
    assert_eq!(
        got.named(&["Record-Route"]).len(),
        if makes_dialog { 2 } else { 0 }
    );
    assert_eq!(got.named(&["Max-Forwards"]).len(), 1);
    // Ours on top of all, then the sender's with where it came from, then the others as they were.
    let (before, after) = (sent.named(&["Via", "v"]), got.named(&["Via", "v"]));
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after[2..], before[1..]);
    let marked = String::from_utf8(after[1].to_vec()).unwrap();
    let unmarked: String = marked
        .split(';')
        .filter(|param| !param.starts_with("received="))
        .map(|param| {
            if param.starts_with("rport=") {
                "rport"
            } else {
                param
            }
        })
        .collect::<Vec<_>>()
        .join(";");
    assert_eq!(unmarked.as_bytes(), before[0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_and_its_answer_pass_as_they_are(
        headers in headers("MESSAGE", "UDP 10.0.0.1:5001"),
        back in prop::collection::vec(stranger(), 0..8),
        body in prop::collection::vec(any::<u8>(), 0..200),
        over_websocket: bool,
    ) {
        let transport = if over_websocket { Transport::Ws } else { Transport::Udp };
        let (mut world, caller, callee) = trusted(Transport::Udp, transport);
        let octets = compose("MESSAGE sip:201@example.com SIP/2.0", &headers, &body);
        world.send(caller, octets.clone());
        let got = world.expect(callee, "MESSAGE");
        let (sent, got) = (Lines::of(&octets), Lines::of(got.octets()));
        check_request(&sent, &got, false);
        let start = format!("MESSAGE {} SIP/2.0", world.contact(callee));
        prop_assert_eq!(&got.start, start.as_bytes());

        let copied = ["Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq"];
        let lines = got.named(&copied).into_iter().map(|line| String::from_utf8(line.to_vec()).unwrap());
        let lines: Vec<String> = lines.chain(back).collect();
        let octets = compose("SIP/2.0 299 Gut gemacht, schön", &lines, &body);
        world.send(callee, octets.clone());
        let answer = world.expect(caller, "299");
        let (sent, got) = (Lines::of(&octets), Lines::of(answer.octets()));
        prop_assert_eq!(&sent.start, &got.start);
        // Our Via goes, and nothing else.
        let mut left = sent.headers;
        let ours = left.iter().position(|line| is_named(line, "Via") || is_named(line, "v"));
        left.remove(ours.unwrap());
        prop_assert_eq!(left, got.headers);
        prop_assert_eq!(sent.body, got.body);
    }

    #[test]
    fn an_invite_passes_as_it_is_but_for_the_way_back(
        headers in headers("INVITE", "UDP 10.0.0.1:5001"),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut world, caller, callee) = trusted(Transport::Udp, Transport::Udp);
        let octets = compose("INVITE sip:201@example.com SIP/2.0", &headers, &body);
        world.send(caller, octets.clone());
        world.expect(caller, "100");
        let got = world.expect(callee, "INVITE");
        check_request(&Lines::of(&octets), &Lines::of(got.octets()), true);
    }
}
