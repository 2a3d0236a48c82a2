//! Fax: T.38 on one side, G.711 on the other (NG `T.38`).

use std::net::SocketAddr;

use viaduct_fax::udptl::ErrorCorrection;
use viaduct_forward::{DropReason, ToControl, Verdict};
use viaduct_rtp::RtpPacket;
use viaduct_rtp::g711::{a_law, mu_law};
use viaduct_session::{Config, FaxId, FaxInput, FaxOutput};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::phone::{Phone, rtp};
use crate::world::*;

/// A packet of UDPTL with an indicator in it, and nothing against losses.
const UDPTL: [u8; 6] = [0, 0, 1, 6, 0, 0];

/// What a fax machine at an address says of itself.
pub(crate) fn of_t38(at: &str, attributes: &str) -> String {
    let at = addr(at);
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=fax 1 1 IN IP4 {ip}\r\ns=fax\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=image {port} udptl t38\r\n\
         a=T38FaxVersion:0\r\na=T38MaxBitRate:9600\r\na=T38FaxRateManagement:transferredTCF\r\n\
         a=T38FaxMaxBuffer:262\r\na=T38FaxMaxDatagram:300\r\na=T38FaxUdpEC:t38UDPFEC\r\n{attributes}"
    )
}

fn converting() -> World {
    World::with(Config {
        fax: true,
        ..config()
    })
}

/// What gateways were told since the last time.
fn told(world: &mut World) -> Vec<FaxInput> {
    world.faxes.drain(..).map(|(_, input)| input).collect()
}

/// The gateway that has begun, and nothing else has happened to any.
#[track_caller]
fn begun(world: &mut World) -> FaxId {
    let [(id, FaxInput::Begin(..))] = &world.faxes[..] else {
        panic!("{:?}", world.faxes)
    };
    let id = *id;
    world.faxes.clear();
    id
}

fn say(world: &mut World, id: FaxId, output: FaxOutput) {
    let now = world.now;
    world.relay.handle_fax(now, id, output);
    world.carry_out();
}

/// A machine that speaks T.38 calls a phone. The ports where the relay hears them, and the gateway.
fn fax_calls_phone(world: &mut World, phone: &mut Phone, flags: &str) -> (SocketAddr, FaxId) {
    let to_phone = world.sdp(&offer(&of_t38("198.51.100.7:6000", ""), "a", None, flags));
    phone.read(&to_phone);
    assert_eq!(told(world), [], "not before the answer");
    let to_fax = world.sdp(&answer(&phone.sdp(), "a", "b", ""));
    (to_fax.address(0), begun(world))
}

#[test]
fn t_38_is_offered_as_sound_and_answered_as_t_38() {
    let mut world = converting();
    let sdp = of_t38("198.51.100.7:6000", "a=sendrecv\r\n");
    let to_phone = world.sdp(&offer(&sdp, "a", None, "T.38-decode"));
    let port = to_phone.address(0).port();
    assert_eq!(to_phone.m_lines(), [format!("m=audio {port} RTP/AVP 0 8")]);
    assert!(to_phone.has("a=rtpmap:8 PCMA/8000"), "{}", to_phone.text);
    assert!(!to_phone.text.contains("T38"), "{}", to_phone.text);
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let to_fax = world.sdp(&answer(&phone.sdp(), "a", "b", ""));
    let port = to_fax.address(0).port();
    assert_eq!(to_fax.m_lines(), [format!("m=image {port} udptl t38")]);
    let lines: Vec<&str> = to_fax
        .text
        .lines()
        .skip_while(|line| !line.starts_with("a="))
        .collect();
    assert_eq!(
        lines,
        [
            "a=T38FaxVersion:0",
            "a=T38MaxBitRate:9600",
            "a=T38FaxRateManagement:transferredTCF",
            "a=T38FaxMaxBuffer:1800",
            "a=T38FaxMaxDatagram:512",
            "a=T38FaxUdpEC:t38UDPFEC",
            "a=sendrecv",
        ]
    );
    let [(_, FaxInput::Begin(plan))] = &world.faxes[..] else {
        panic!("{:?}", world.faxes)
    };
    let (agreed, modems) = (&plan.agreed, &plan.modems);
    assert_eq!(plan.call_id.as_bytes(), CALL.as_bytes());
    assert_eq!(
        (agreed.max_bit_rate, agreed.max_datagram),
        (9_600, 300),
        "what the machine takes"
    );
    assert_eq!(agreed.error_correction, ErrorCorrection::Fec);
    assert!(modems.ecm && modems.v17);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_gateway_hears_both_sides_and_is_heard_by_both() {
    let mut world = converting();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let fax = addr("198.51.100.7:6000");
    let (relay, id) = fax_calls_phone(&mut world, &mut phone, "T.38-decode T.38-no-ECM");
    let verdict = world.receive(fax, relay, &UDPTL);
    assert!(
        matches!(verdict, Verdict::ToControl(ToControl::Media { .. })),
        "{verdict:?}"
    );
    assert_eq!(told(&mut world), [FaxInput::Datagram(UDPTL.to_vec())]);
    let (_, packet) = phone.send(&mut world);
    let samples = packet[12..].iter().map(|octet| a_law::decode(*octet)).collect();
    assert_eq!(told(&mut world), [FaxInput::Sound(samples)]);
    // Two are lost, and one that comes late has been filled in for.
    phone.sequence += 2;
    phone.send(&mut world);
    assert!(matches!(
        &told(&mut world)[..],
        [FaxInput::Missing(320), FaxInput::Sound(_)]
    ));
    phone.sequence -= 2;
    phone.send(&mut world);
    assert_eq!(told(&mut world), []);

    let mut before: Option<(u16, u32)> = None;
    for turn in 0..3_i16 {
        say(
            &mut world,
            id,
            FaxOutput::Sound((0..160).map(|at| at * 100 + turn).collect()),
        );
        let heard = phone.received(&mut world);
        let [packet] = &heard[..] else { panic!("{heard:?}") };
        let packet = RtpPacket::parse(packet).unwrap();
        let header = packet.header();
        assert_eq!((header.payload_type(), header.marker()), (8, turn == 0));
        assert_eq!(packet.payload()[1], a_law::encode(100 + turn));
        let numbers = (header.sequence(), header.timestamp());
        if let Some((sequence, timestamp)) = before {
            assert_eq!(numbers, (sequence.wrapping_add(1), timestamp.wrapping_add(160)));
        }
        before = Some(numbers);
    }
    say(&mut world, id, FaxOutput::Datagram(vec![1, 2, 3]));
    let heard = world.take(fax);
    assert_eq!(
        (heard.len(), &heard[0].data[..], heard[0].from),
        (1, &[1, 2, 3][..], relay)
    );
    let events = world.take_event_names();
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(
        (count("MediaStarted"), count("MediaBothWays")),
        (2, 1),
        "{events:?}"
    );
    // Reports are about sound.
    assert!(matches!(phone.send_report(&mut world).0, Verdict::Drop(_)));
    assert_eq!(world.take(fax), []);
    world.ok(&delete_now());
    assert_eq!(told(&mut world), [FaxInput::End]);
    world.assert_empty();
    // What it says after its end is nobody's.
    let stale = world.relay.counters().stale;
    say(&mut world, id, FaxOutput::Datagram(vec![1]));
    assert_eq!(world.relay.counters().stale, stale + 1);
}

#[test]
fn a_call_turns_to_fax_and_back_and_the_phone_hears_one_source() {
    let mut world = converting();
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let last = caller.sequence;
    // The caller turns to T.38; nothing changes until that is answered.
    let sdp = of_t38("198.51.100.9:4000", "");
    let to_callee = world.sdp(&offer(&sdp, "a", Some("b"), "T.38-decode"));
    assert!(
        to_callee.m_lines()[0].starts_with("m=audio "),
        "{}",
        to_callee.text
    );
    let (_, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [packet]);
    assert_eq!(told(&mut world), []);
    let sdp = callee.sdp();
    world.sdp(&answer(&sdp, "a", "b", ""));
    let id = begun(&mut world);
    world.wait_millis(100);
    say(&mut world, id, FaxOutput::Sound(vec![0; 160]));
    let heard = callee.received(&mut world);
    let packet = RtpPacket::parse(&heard[0]).unwrap();
    let first = (packet.header().ssrc(), packet.header().sequence());
    assert_eq!(first, (caller.ssrc, last + 2), "behind what was heard of it");
    for _ in 0..49 {
        world.wait_millis(20);
        say(&mut world, id, FaxOutput::Sound(vec![0; 160]));
    }
    callee.received(&mut world);
    // Back to sound: the phone's own numbers are old ones, and go on behind those of the fax.
    let sdp = caller.sdp();
    world.sdp(&offer(&sdp, "a", Some("b"), "T.38-decode"));
    let sdp = callee.sdp();
    world.sdp(&answer(&sdp, "a", "b", ""));
    assert_eq!(told(&mut world), [FaxInput::End]);
    caller.send(&mut world);
    let heard = callee.received(&mut world);
    let packet = RtpPacket::parse(&heard[0]).unwrap();
    let next = (packet.header().ssrc(), packet.header().sequence());
    assert_eq!(next, (caller.ssrc, last + 52));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn sound_is_offered_as_t_38_on_request() {
    let mut world = converting();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let to_fax = world.sdp(&offer(
        &phone.sdp(),
        "a",
        None,
        "T.38-force T.38-FEC RTP/SAVP ICE=force",
    ));
    let port = to_fax.address(0).port();
    assert_eq!(to_fax.m_lines(), [format!("m=image {port} udptl t38")]);
    assert!(to_fax.has("a=T38FaxUdpEC:t38UDPFEC"), "{}", to_fax.text);
    for name in ["crypto", "fingerprint", "candidate", "rtcp", "rtpmap"] {
        assert!(!to_fax.has_attribute(name), "{}", to_fax.text);
    }
    let to_phone = world.sdp(&answer(&of_t38("198.51.100.7:6000", ""), "a", "b", ""));
    phone.read(&to_phone);
    assert!(
        to_phone.m_lines()[0].ends_with(" RTP/AVP 8"),
        "what it likes best: {}",
        to_phone.text
    );
    begun(&mut world);
    phone.send(&mut world);
    assert!(matches!(&told(&mut world)[..], [FaxInput::Sound(_)]));
    world.receive(addr("198.51.100.7:6000"), to_fax.address(0), &UDPTL);
    assert!(matches!(&told(&mut world)[..], [FaxInput::Datagram(_)]));
    // A session refresh changes nothing.
    world.sdp(&offer(
        &phone.sdp(),
        "a",
        Some("b"),
        "T.38-force T.38-FEC RTP/SAVP ICE=force",
    ));
    world.sdp(&answer(
        &of_t38("198.51.100.7:6000", "a=x-again\r\n"),
        "a",
        "b",
        "",
    ));
    assert_eq!(told(&mut world), []);
    // A machine that takes no T.38 refuses it.
    let refused = of_t38("198.51.100.7:6000", "").replace("m=image 6000", "m=image 0");
    world.sdp(&offer(&phone.sdp(), "a", Some("b"), "T.38-force"));
    let to_phone = world.sdp(&answer(&refused, "a", "b", ""));
    assert!(
        to_phone.m_lines()[0].starts_with("m=audio 0 RTP/AVP"),
        "{}",
        to_phone.text
    );
    assert_eq!(told(&mut world), [FaxInput::End]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_phone_with_keys_and_of_the_other_law_gets_a_fax_too() {
    let mut world = converting();
    let to_phone = world.sdp(&offer(
        &of_t38("198.51.100.7:6000", ""),
        "a",
        None,
        "T.38-decode RTP/SAVP DTLS=off codec-transcode-PCMU",
    ));
    assert!(
        to_phone.m_lines()[0].ends_with(" RTP/SAVP 0"),
        "{}",
        to_phone.text
    );
    let offered = to_phone.values("crypto");
    let suite = offered
        .iter()
        .find(|line| line.contains(" AES_CM_128_HMAC_SHA1_80 "))
        .unwrap();
    let tag = suite.split(' ').next().unwrap();
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let key = format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}");
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let sdp = phone
        .sdp_with("RTP/SAVP", &[&key])
        .replace(" 8 0 101", " 0 101")
        .replace("a=rtpmap:8 PCMA/8000\r\n", "");
    let to_fax = world.sdp(&answer(&sdp, "a", "b", ""));
    assert!(!to_fax.has_attribute("crypto"), "{}", to_fax.text);
    let id = begun(&mut world);
    say(&mut world, id, FaxOutput::Sound(vec![1_000; 160]));
    let heard = phone.received(&mut world);
    assert_eq!(heard[0].len(), 12 + 160 + 10, "with an authentication tag");
    assert!(
        heard[0][12..172]
            .iter()
            .any(|octet| *octet != mu_law::encode(1_000)),
        "encrypted"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn t_38_passes_as_it_is_without_a_gateway_without_a_word_and_beyond_the_limit() {
    let mut full = Config {
        fax: true,
        ..config()
    };
    full.limits.fax_gateways = 0;
    for (config, flags, over_limit) in [
        (config(), "T.38-decode", 0),
        (
            Config {
                fax: true,
                ..config()
            },
            "",
            0,
        ),
        (
            Config {
                fax: true,
                ..config()
            },
            "T.38-decode T.38-stop",
            0,
        ),
        (full, "T.38-decode", 1),
    ] {
        let mut world = World::with(config);
        let (fax, peer) = (addr("198.51.100.7:6000"), addr("198.51.100.9:6002"));
        let to_peer = world.sdp(&offer(&of_t38("198.51.100.7:6000", ""), "a", None, flags));
        assert!(
            to_peer.m_lines()[0].starts_with("m=image "),
            "{flags}: {}",
            to_peer.text
        );
        assert!(to_peer.has("a=T38FaxMaxBuffer:262"), "{}", to_peer.text);
        let to_fax = world.sdp(&answer(&of_t38("198.51.100.9:6002", ""), "a", "b", flags));
        world.receive(fax, to_fax.address(0), &UDPTL);
        assert_eq!(world.take(peer).len(), 1, "{flags}");
        assert_eq!(world.relay.counters().limits.fax_gateways, over_limit);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn a_gateway_has_its_place_from_the_offer_until_the_call_ends_or_speaks_no_t_38() {
    let mut config = Config {
        fax: true,
        ..config()
    };
    config.limits.fax_gateways = 1;
    let mut world = World::with(config);
    let fax = |call: &str, to: Option<&str>| {
        let sdp = of_t38("198.51.100.7:6000", "");
        in_call(call, offer(&sdp, "a", to, "T.38-decode"))
    };
    let is_sound = |sdp: &Sdp| sdp.m_lines()[0].starts_with("m=audio ");
    // Nobody has answered the first when the second comes.
    assert!(is_sound(&world.sdp(&fax("first", None))));
    assert!(is_sound(&world.sdp(&fax("first", None))), "its place is its own");
    assert!(!is_sound(&world.sdp(&fax("second", None))));
    assert_eq!(world.relay.counters().limits.fax_gateways, 1);
    // The first call turns to sound.
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let mut machine = Phone::new("198.51.100.7:6000", 2);
    world.sdp(&in_call("first", offer(&machine.sdp(), "a", None, "")));
    world.sdp(&in_call("first", answer(&phone.sdp(), "a", "b", "")));
    assert!(is_sound(&world.sdp(&fax("third", None))));
    world.ok(&delete_call("third"));
    let to_phone = world.sdp(&fax("first", Some("b")));
    assert!(is_sound(&to_phone));
    phone.read(&to_phone);
    world.sdp(&in_call("first", answer(&phone.sdp(), "a", "b", "")));
    begun(&mut world);
    assert!(!is_sound(&world.sdp(&fax("fourth", None))));
    assert_eq!(world.relay.counters().limits.fax_gateways, 2);
    for call in ["first", "second", "fourth"] {
        world.ok(&delete_call(call));
    }
    world.faxes.clear();
    world.assert_empty();
}

#[test]
fn t_38_from_behind_a_nat_is_found_and_nothing_else_is_taken_for_it() {
    let mut world = World::new();
    let (fax, peer) = (addr("203.0.113.50:1234"), addr("198.51.100.9:6002"));
    world.sdp(&offer(&of_t38("192.168.0.7:6000", ""), "a", None, ""));
    let to_fax = world.sdp(&answer(&of_t38("198.51.100.9:6002", ""), "a", "b", ""));
    world.receive(fax, to_fax.address(0), b"no T.38");
    world.receive(fax, to_fax.address(0), &rtp(1, 1, 8));
    assert_eq!(world.take(peer), []);
    world.receive(fax, to_fax.address(0), &UDPTL);
    assert_eq!(world.take(peer).len(), 1);
    let relay = world.sockets();
    let back = relay.iter().find_map(|local| {
        world.receive(peer, *local, &UDPTL);
        world.take(fax).pop()
    });
    assert!(back.is_some(), "the way back leads to where it speaks from");
    let stranger = addr("203.0.113.66:666");
    world.receive(stranger, to_fax.address(0), &UDPTL);
    assert_eq!(world.take(peer), []);
    world.wait_millis(3_000);
    let verdict = world.receive(stranger, to_fax.address(0), &UDPTL);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_side_that_sends_too_much_leaves_control_to_others() {
    let mut world = converting();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let (relay, _) = fax_calls_phone(&mut world, &mut phone, "T.38-decode");
    let fax = addr("198.51.100.7:6000");
    for _ in 0..1_000 {
        world.receive(fax, relay, &UDPTL);
    }
    let verdict = world.receive(fax, relay, &UDPTL);
    assert_eq!(verdict, Verdict::Drop(DropReason::ControlLimited));
    assert_eq!(told(&mut world).len(), 200);
    phone.send(&mut world);
    assert_eq!(told(&mut world).len(), 1, "the other side is heard");
    world.wait_millis(1_000);
    world.receive(fax, relay, &UDPTL);
    assert_eq!(told(&mut world).len(), 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_relay_that_goes_on_has_the_gateway_again() {
    let mut world = converting();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let (relay, _) = fax_calls_phone(&mut world, &mut phone, "T.38-decode");
    let (mut world, results) = world.restart(std::time::Duration::from_secs(1));
    assert_eq!(results, [Ok(())]);
    begun(&mut world);
    world.receive(addr("198.51.100.7:6000"), relay, &UDPTL);
    assert!(matches!(&told(&mut world)[..], [FaxInput::Datagram(_)]));
}

#[test]
fn other_m_lines_of_an_offer_stay_as_they_are() {
    let mut world = converting();
    let sdp = of_t38(
        "198.51.100.7:6000",
        "m=video 6010 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
    );
    let to_phone = world.sdp(&offer(&sdp, "a", None, "T.38-decode"));
    let lines = to_phone.m_lines();
    assert!(
        lines[0].starts_with("m=audio ") && lines[1].starts_with("m=video "),
        "{}",
        to_phone.text
    );
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let answered = phone.sdp() + "m=video 0 RTP/AVP 96\r\n";
    let to_fax = world.sdp(&answer(&answered, "a", "b", ""));
    let lines = to_fax.m_lines();
    assert!(
        lines[0].starts_with("m=image ") && lines[1].starts_with("m=video 0 "),
        "{}",
        to_fax.text
    );
    begun(&mut world);
    world.ok(&delete_now());
    world.assert_empty();
}
