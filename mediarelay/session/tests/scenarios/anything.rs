//! Whatever is asked, and whatever comes in: no panic, every order can be carried out, and nothing is left at the end.

use proptest::prelude::*;
use viaduct_ng::{Answer, Delete, Flag, Offer, Query, Request, WordSet};

use viaduct_session::NotRebuilt;

use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::connect::connect;
use crate::faxes;
use crate::phone::Phone;
use crate::world::*;

const FLAGS: &[&str] = &[
    "",
    WEB_TO_PHONE,
    PHONE_ANSWERS_WEB,
    PHONE_TO_WEB,
    WEB_ANSWERS_PHONE,
    "WebRTC",
    "RTP/SAVP",
    "RTP/SAVPF SDES-off",
    "ICE=force rtcp-mux-require bundle=[offer require] generate-mid",
    "bundle=[accept strict]",
    "asymmetric strict-source endpoint-learning=immediate",
    "codec-strip-all codec-except-PCMU allow-no-codec-media",
    "sdp-media-remove=[video] original-sendrecv replace-origin-full replace-SDP-version",
    "reset address-family=IP6 OSRTP-offer",
    "reject-ICE DTLS=off rtcp-mux-reject",
    "ICE-lite=both trickle-ICE media-address=192.0.2.99 TOS=46",
    "T.38-decode",
    "T.38-force codec-transcode-PCMA",
    "T.38-decode RTP/SAVP ICE=force",
];

fn documents() -> Vec<String> {
    let mut browser = browser();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let mut v6 = Phone::new("[2001:db8:aaaa::9]:4000", 1);
    let answer = browser.offer().replace("a=setup:actpass", "a=setup:active");
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    vec![
        browser.offer(),
        browser.offer_video(),
        browser
            .offer_video()
            .replace("m=video 9", "m=video 0\r\na=bundle-only")
            .replace("\r\na=bundle-only UDP", " UDP"),
        answer,
        Browser::new("[2001:db8:bbbb::7]:50000", 5).offer(),
        phone.sdp(),
        phone.sdp_with("RTP/AVP", &["a=inactive", "a=rtcp-mux"]),
        phone.sdp_with("RTP/SAVP", &["a=sendonly", key]),
        phone.sdp_with("RTP/AVP", &[key]),
        phone.sdp_with("RTP/AVP", &["m=video 0 RTP/AVP 96", "m=image 5000 udptl t38"]),
        faxes::of_t38("198.51.100.9:4000", ""),
        phone.sdp().replace("m=audio 4000", "m=audio 0"),
        phone.sdp().replace("c=IN IP4 198.51.100.9", "c=IN IP4 0.0.0.0"),
        v6.sdp(),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Offer {
        sdp: usize,
        from: usize,
        to: Option<usize>,
        branch: Option<usize>,
        flags: usize,
        edits: Vec<(usize, u8)>,
    },
    Answer {
        sdp: usize,
        from: usize,
        to: usize,
        branch: Option<usize>,
        flags: usize,
        edits: Vec<(usize, u8)>,
    },
    Delete {
        from: Option<usize>,
        to: Option<usize>,
        branch: Option<usize>,
        delay: u64,
        to_tag: bool,
    },
    Query,
    Wait {
        millis: u64,
    },
    Packet {
        from: u16,
        to: usize,
        kind: u8,
    },
    Fragment {
        from: usize,
    },
    /// A call besides.
    Other {
        from: usize,
        to: usize,
    },
    /// A party of one call is connected with one of the other, or of its own.
    Connect {
        from: usize,
        to: usize,
        calls: [bool; 2],
    },
}

/// The call besides.
const OTHER: &str = "call-2";

const TAGS: [&str; 4] = ["a", "b", "c", "d"];

fn edits() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)]
}

fn step() -> impl Strategy<Value = Step> {
    let (sdp, flags) = (0..documents().len(), 0..FLAGS.len());
    let optional = || prop::option::of(0..TAGS.len());
    prop_oneof![
        4 => (sdp.clone(), 0..TAGS.len(), optional(), optional(), flags.clone(), edits())
            .prop_map(|(sdp, from, to, branch, flags, edits)| Step::Offer { sdp, from, to, branch, flags, edits }),
        4 => (sdp, 0..TAGS.len(), 0..TAGS.len(), optional(), flags, edits())
            .prop_map(|(sdp, from, to, branch, flags, edits)| Step::Answer { sdp, from, to, branch, flags, edits }),
        1 => (optional(), optional(), optional(), 0..3_u64, any::<bool>())
            .prop_map(|(from, to, branch, delay, to_tag)| Step::Delete { from, to, branch, delay, to_tag }),
        1 => Just(Step::Query),
        2 => (0..20_000_u64).prop_map(|millis| Step::Wait { millis }),
        4 => (any::<u16>(), any::<usize>(), any::<u8>()).prop_map(|(from, to, kind)| Step::Packet { from, to, kind }),
        1 => (0..TAGS.len()).prop_map(|from| Step::Fragment { from }),
        1 => (0..TAGS.len(), 0..TAGS.len()).prop_map(|(from, to)| Step::Other { from, to }),
        1 => (0..TAGS.len(), 0..TAGS.len(), any::<[bool; 2]>())
            .prop_map(|(from, to, calls)| Step::Connect { from, to, calls }),
    ]
}

fn edited(sdp: &str, edits: &[(usize, u8)]) -> viaduct_ng::ByteString {
    let mut octets = sdp.as_bytes().to_vec();
    for (at, octet) in edits {
        let at = at % octets.len();
        octets[at] = *octet;
    }
    octets.into()
}

fn run(world: &mut World, documents: &[String], step: &Step) {
    let name = |at: &usize| viaduct_ng::ByteString::from(TAGS[*at]);
    match step {
        Step::Offer {
            sdp,
            from,
            to,
            branch,
            flags,
            edits,
        } => {
            let offer = Offer {
                sdp: edited(&documents[*sdp], edits),
                call_id: CALL.into(),
                from_tag: name(from),
                to_tag: to.as_ref().map(name),
                via_branch: branch.as_ref().map(name),
                options: options(FLAGS[*flags]),
            };
            world.ng(&Request::Offer(Box::new(offer)));
        }
        Step::Answer {
            sdp,
            from,
            to,
            branch,
            flags,
            edits,
        } => {
            let answer = Answer {
                sdp: edited(&documents[*sdp], edits),
                call_id: CALL.into(),
                from_tag: name(from),
                to_tag: name(to),
                via_branch: branch.as_ref().map(name),
                options: options(FLAGS[*flags]),
            };
            world.ng(&Request::Answer(Box::new(answer)));
        }
        Step::Delete {
            from,
            to,
            branch,
            delay,
            to_tag,
        } => {
            let delete = Delete {
                call_id: CALL.into(),
                from_tag: from.as_ref().map(name),
                to_tag: to.as_ref().map(name),
                via_branch: branch.as_ref().map(name),
                delete_delay: Some(std::time::Duration::from_secs(*delay)),
                flags: if *to_tag {
                    WordSet::from([Flag::ToTag])
                } else {
                    WordSet::new()
                },
            };
            world.ng(&Request::Delete(delete));
        }
        Step::Query => {
            let query = Query {
                call_id: CALL.into(),
                from_tag: None,
                to_tag: None,
            };
            world.ng(&Request::Query(query));
            world.ng(&Request::Statistics);
        }
        Step::Wait { millis } => world.wait_millis(*millis),
        Step::Packet { from, to, kind } => send(world, *from, *to, *kind),
        Step::Other { from, to } => {
            let mut phones = [("198.51.100.19:4000", 7), ("198.51.100.20:4000", 8)]
                .map(|(address, ssrc)| Phone::new(address, ssrc));
            world.ng(&in_call(OTHER, offer(&phones[0].sdp(), TAGS[*from], None, "")));
            world.ng(&in_call(
                OTHER,
                answer(&phones[1].sdp(), TAGS[*from], TAGS[*to], ""),
            ));
        }
        Step::Connect { from, to, calls } => {
            let [of, other] = calls.map(|is_other| if is_other { OTHER } else { CALL });
            world.ng(&connect(of, TAGS[*from], Some(other), TAGS[*to]));
        }
        Step::Fragment { from } => {
            let mut offer = Offer {
                sdp: "a=ice-ufrag:uf0001\r\na=ice-pwd:x\r\na=candidate:1 1 udp 1 198.51.100.9 4000 typ host\r\n".into(),
                call_id: CALL.into(),
                from_tag: name(from),
                to_tag: None,
                via_branch: None,
                options: options(""),
            };
            offer.options.flags.insert(Flag::Fragment);
            world.ng(&Request::Offer(Box::new(offer)));
        }
    }
}

/// A datagram to one of the sockets, from an endpoint of an SDP or from anywhere.
fn send(world: &mut World, from: u16, to: usize, kind: u8) {
    let sockets = world.sockets();
    let local = sockets[to % sockets.len()];
    let known: Vec<_> = world
        .rules
        .values()
        .filter(|rule| rule.key.local == local)
        .map(|rule| rule.key.remote)
        .collect();
    let host = if local.is_ipv4() {
        format!("198.51.100.9:{}", from.max(1))
    } else {
        format!("[2001:db8:aaaa::9]:{}", from.max(1))
    };
    let from = known
        .first()
        .copied()
        .filter(|_| from.is_multiple_of(2))
        .unwrap_or_else(|| addr(&host));
    let data = match kind % 5 {
        0 => crate::phone::rtp(7, u16::from(kind), 8),
        1 => crate::phone::receiver_report(7),
        2 => b"\x16\xfe\xff\0\0\0\0\0\0\0\0\0\x10\x01\0\0\x04\0\0\0\0\0\0\0\x04abcd".to_vec(),
        3 => vec![kind; 60],
        _ => b"\x00\x01\0\0\x21\x12\xa4\x42aaaaaaaaaaaa".to_vec(),
    };
    world.receive(from, local, &data);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_messages_breaks_anything(steps in prop::collection::vec(step(), 1..40)) {
        let documents = documents();
        let mut config = config();
        let mut v6 = viaduct_session::InterfaceAddress::new(RELAY_V6.parse().unwrap());
        v6.ports = (30_000..=30_400).into();
        config.interfaces[0].addresses.push(v6);
        let mut world = World::with(config);
        for step in &steps {
            run(&mut world, &documents, step);
        }
        for call in [CALL, OTHER] {
            world.ng(&delete_call(call));
        }
        world.assert_empty();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_asked_makes_the_same_call_again(
        steps in prop::collection::vec(step(), 1..40),
        down in prop_oneof![Just(0), 1..40_u64],
    ) {
        let documents = documents();
        let mut config = config();
        let mut v6 = viaduct_session::InterfaceAddress::new(RELAY_V6.parse().unwrap());
        v6.ports = (30_000..=30_400).into();
        config.interfaces[0].addresses.push(v6);
        let mut world = World::with(config);
        for step in &steps {
            run(&mut world, &documents, step);
        }
        let (calls, ports) = (world.relay.gauges().calls, world.relay.gauges().ports_in_use);
        let (mut world, results) = world.restart(std::time::Duration::from_secs(down));
        prop_assert_eq!(results.len(), calls);
        for result in results {
            match result {
                // Parties may have been due to go meanwhile.
                Ok(()) => prop_assert!(down > 0 || world.relay.gauges().ports_in_use == ports),
                Err(reason) => prop_assert!(matches!(reason, NotRebuilt::Over(_)), "{:?}", reason),
            }
        }
        for step in &steps {
            run(&mut world, &documents, step);
        }
        for call in [CALL, OTHER] {
            world.ng(&delete_call(call));
        }
        world.assert_empty();
    }
}
