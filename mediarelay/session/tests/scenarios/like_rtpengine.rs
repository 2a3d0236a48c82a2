//! What a relay does that is started with rtpengine's options, and what only such a relay does.

use std::time::Duration;

use viaduct_ng::MediaFlag;
use viaduct_rtp::rtcp::{Compound, RtcpPacket};
use viaduct_session::Config;

use crate::phone::{Phone, receiver_report, rtp};
use crate::rewriting::phones;
use crate::world::*;

/// Two m-lines of one phone, the second one's port four above.
fn two(phone: &mut Phone) -> String {
    let port = phone.rtp.port() + 4;
    format!(
        "{}m=video {port} RTP/AVP 105\r\na=rtpmap:105 H264/90000\r\na=sendrecv\r\n",
        phone.sdp()
    )
}

/// An answer has as many m-lines as its offer (RFC 3264 section 6). Of one that it leaves out the offerer reads that it is
/// refused, port 0, with what it has offered.
#[test]
fn an_m_line_that_an_answer_leaves_out_is_refused_with_what_was_offered() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    world.sdp(&offer(&two(&mut caller), "a", None, ""));
    let told = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let video = &told.text[told.text.find("m=video").unwrap()..];
    assert!(
        video.starts_with("m=video 0 RTP/AVP 105\r\nc=IN IP4 0.0.0.0\r\n"),
        "{video}"
    );
    assert!(
        video.contains("a=rtpmap:105 H264/90000\r\na=sendrecv\r\na=rtcp:9\r\n"),
        "{video}"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

fn feedback_beside_a_report() -> Vec<u8> {
    let loss = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    [receiver_report(1), loss.to_vec()].concat()
}

/// RFC 4585: feedback is for those who have agreed on it, by their profile or by `a=rtcp-fb`.
#[test]
fn feedback_is_kept_from_a_phone_that_takes_none() {
    for (answered, passes) in [
        ("RTP/AVP", false),
        ("RTP/AVP with feedback", true),
        ("RTP/AVPF", true),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let offered = caller.sdp_with("RTP/AVPF", &["a=rtcp-fb:* nack pli"]);
        callee.read(&world.sdp(&offer(&offered, "a", None, "transport-protocol=RTP/AVP")));
        let (profile, lines) = match answered {
            "RTP/AVP with feedback" => ("RTP/AVP", &["a=rtcp-fb:* nack pli"][..]),
            profile => (profile, &[][..]),
        };
        caller.read(&world.sdp(&answer(&callee.sdp_with(profile, lines), "a", "b", "")));
        let relay = caller.relay.unwrap();
        let relay = std::net::SocketAddr::new(relay.ip(), relay.port() + 1);
        world.receive(caller.rtcp(), relay, &feedback_beside_a_report());
        let received = callee.received_reports(&mut world);
        let packets = Compound::parse(&received[0]).unwrap();
        let has = packets
            .packets()
            .any(|packet| matches!(packet, RtcpPacket::PayloadFeedback(_)));
        assert_eq!((received.len(), has), (1, passes), "{answered}");
        world.receive(caller.rtcp(), relay, &feedback_beside_a_report()[8..]);
        assert_eq!(
            callee.received_reports(&mut world).len(),
            usize::from(passes),
            "{answered}"
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// An SDP with an address of ours is no mistake with direct media, but what goes there may come back.
#[test]
fn a_packet_that_goes_round_is_stopped_until_it_has_rested() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    let ours = caller
        .sdp()
        .replace("198.51.100.9", RELAY)
        .replace("m=audio 4000", "m=audio 30130");
    callee.read(&world.sdp(&offer(&ours, "a", None, "")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    let flags = |world: &mut World| world.query().tags.get(b"a").unwrap().medias[0].flags.clone();
    assert!(flags(&mut world).known.contains(MediaFlag::LoopCheck));
    let packet = rtp(1, 7, 8);
    let send = |world: &mut World| {
        world.receive(caller.rtp, caller.relay.unwrap(), &packet);
        callee.received(world).len()
    };
    assert!((0..31).all(|_| send(&mut world) == 1));
    assert_eq!((send(&mut world), send(&mut world)), (0, 0));
    world.wait(Duration::from_secs(2));
    assert_eq!(send(&mut world), 1);
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    assert!(!flags(&mut world).known.contains(MediaFlag::LoopCheck));
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 3264 section 6.1 lets an answer number DTMF otherwise. rtpengine leaves such out.
#[test]
fn dtmf_that_an_answer_numbers_otherwise_passes_or_is_left_out() {
    for (renumbered_events, flags, passes) in [
        (true, "", true),
        (false, "", false),
        (false, "allow-asymmetric-codecs", true),
    ] {
        let mut world = World::with(Config {
            renumbered_events,
            ..config()
        });
        let (mut caller, mut callee) = phones();
        world.sdp(&offer(&caller.sdp(), "a", None, ""));
        let answered = callee.sdp().replace("101", "97");
        let told = world.sdp(&answer(&answered, "a", "b", flags));
        assert_eq!(
            told.text.contains("a=rtpmap:97 telephone-event/8000"),
            passes,
            "{flags}"
        );
        assert!(told.text.contains("a=rtpmap:8 PCMA/8000"));
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 4867 section 8.3.1: an answer that leaves `octet-align` out has chosen the other form, in which nobody understands the
/// offerer. What else it has is taken; where that is nothing, so is this.
#[test]
fn an_answer_with_the_other_form_of_amr_is_told_without_it() {
    for (offered, answered, others, passes) in [
        ("octet-align=1", "mode-set=0", true, false),
        ("octet-align=1", "mode-set=0", false, true),
        ("octet-align=1", "octet-align=1", true, true),
        ("octet-align=0", "mode-set=0", true, true),
        ("mode-set=0", "octet-align=1", true, false),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let amr = |sdp: String, fmtp: &str| {
            let formats = if others { " 96 8" } else { " 96" };
            let sdp = sdp.replace(" 8 0 101\r\n", &format!("{formats}\r\n"));
            format!("{sdp}a=rtpmap:96 AMR-WB/16000\r\na=fmtp:96 {fmtp}\r\n")
        };
        world.sdp(&offer(&amr(caller.sdp(), offered), "a", None, ""));
        let told = world.sdp(&answer(&amr(callee.sdp(), answered), "a", "b", ""));
        assert_eq!(
            told.text.contains("a=rtpmap:96 AMR-WB/16000"),
            passes,
            "{offered}, {answered}: {}",
            told.text
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Without ICE: the second m-line of a phone hears what comes from the port of the first.
#[test]
fn an_m_line_hears_the_addresses_of_others_of_its_phone_where_that_is_wanted() {
    for shared_endpoints in [true, false] {
        let mut world = World::with(Config {
            shared_endpoints,
            ..config()
        });
        let (mut caller, mut callee) = phones();
        world.sdp(&offer(&two(&mut caller), "a", None, ""));
        let to_caller = world.sdp(&answer(&two(&mut callee), "a", "b", ""));
        let video = to_caller.address(1);
        let video_of = |phone: &Phone| std::net::SocketAddr::new(phone.rtp.ip(), phone.rtp.port() + 4);
        world.receive(video_of(&caller), video, &rtp(1, 1, 105));
        assert_eq!(world.take(video_of(&callee)).len(), 1);
        world.receive(caller.rtp, video, &rtp(1, 2, 105));
        assert_eq!(world.take(video_of(&callee)).len(), usize::from(shared_endpoints));
        world.receive(addr("203.0.113.200:9"), video, &rtp(1, 3, 105));
        assert_eq!(world.take(video_of(&callee)), [], "a stranger");
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 9143 section 7.2: an offer of a bundle may name ports of their own, and its sender does not know at once that they are
/// one.
#[test]
fn an_m_line_of_a_bundle_is_heard_from_the_address_that_was_offered_for_it() {
    let mut world = World::with(Config {
        shared_endpoints: true,
        port_latching: false,
        ..config()
    });
    let (mut caller, mut callee) = phones();
    let offered = two(&mut caller)
        .replace("m=audio", "a=group:BUNDLE a v\r\nm=audio")
        .replace("m=video", "a=mid:a\r\nm=video");
    let to_callee = world.sdp(&offer(
        &format!("{offered}a=mid:v\r\n"),
        "a",
        None,
        "bundle-accept",
    ));
    assert_eq!(to_callee.m_lines().len(), 2);
    let to_caller = world.sdp(&answer(&two(&mut callee), "a", "b", ""));
    assert_eq!(to_caller.address(0), to_caller.address(1));
    let at = |phone: &Phone| std::net::SocketAddr::new(phone.rtp.ip(), phone.rtp.port() + 4);
    world.receive(at(&caller), to_caller.address(0), &rtp(1, 1, 105));
    assert_eq!(world.take(at(&callee)).len(), 1);
    world.receive(caller.rtp, to_caller.address(0), &rtp(2, 1, 8));
    assert_eq!(callee.received(&mut world).len(), 1);
    // In a later offer the bundle has one port, which is where all was received before: nobody has moved.
    let again = offered.replace("m=video 4004", "m=video 4000");
    let again = world.sdp(&offer(&format!("{again}a=mid:v\r\n"), "a", Some("b"), ""));
    let ports = |sdp: &Sdp| [sdp.address(0), sdp.address(1)];
    assert_eq!(ports(&again), ports(&to_callee));
    world.sdp(&answer(&two(&mut callee), "a", "b", ""));
    let back = world.sdp(&offer(&two(&mut callee), "b", Some("a"), ""));
    assert!(
        back.has("a=group:BUNDLE a v") && back.has("a=bundle-only"),
        "{}",
        back.text
    );
    assert!(
        !back.has_attribute("extmap"),
        "it has bundled without: {}",
        back.text
    );
    world.ok(&delete_now());
    world.assert_empty();
}

const KEYS: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const FINGERPRINT: &str = "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13";

/// NG `DTLS=off` in an answer: the offerer, who has offered both, is answered with keys (RFC 4568).
#[test]
fn an_answer_may_choose_keys_over_dtls() {
    for (flags, chosen, other) in [
        ("DTLS=off", "crypto", "fingerprint"),
        ("", "fingerprint", "crypto"),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let offered = caller.sdp_with("RTP/SAVP", &[KEYS, FINGERPRINT, "a=setup:actpass"]);
        world.sdp(&offer(&offered, "a", None, "transport-protocol=RTP/AVP"));
        let told = world.sdp(&answer(&callee.sdp(), "a", "b", flags));
        assert!(
            told.has_attribute(chosen) && !told.has_attribute(other),
            "{flags}: {}",
            told.text
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// A first ClientHello names DTLS 1.0 in its record, as OpenSSL's does (RFC 5246 appendix E.1).
#[test]
fn a_handshake_begins_with_the_offer_where_that_is_wanted_and_again_with_a_late_answer() {
    let hello = |data: &[u8]| data.starts_with(&[22, 254, 255, 0, 0]) && data[13] == 1;
    for begin_at_offer in [true, false] {
        let mut world = World::with(Config {
            begin_at_offer,
            ..config()
        });
        let (mut caller, mut callee) = phones();
        let offered = caller.sdp_with("UDP/TLS/RTP/SAVP", &[FINGERPRINT, "a=setup:actpass"]);
        world.sdp(&offer(&offered, "a", None, "transport-protocol=RTP/AVP"));
        let early = caller.received(&mut world);
        assert_eq!(early.iter().any(|data| hello(data)), begin_at_offer);
        world.wait(Duration::from_secs(40));
        caller.received(&mut world);
        world.sdp(&answer(&callee.sdp(), "a", "b", ""));
        assert!(caller.received(&mut world).iter().any(|data| hello(data)));
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 8445 section 8.1.1: what is chosen has a pair for each component, so a handshake before that goes where both reach; to
/// who has candidates for one alone it goes at once.
#[test]
fn a_handshake_that_is_begun_early_waits_for_a_host_that_both_components_reach() {
    use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, Method};
    const PASSWORD: &str = "bd5e845657ecb8d6dd8e1bc6";
    const HOSTS: [&str; 2] = ["198.51.100.4", "198.51.100.8"];
    const PORTS: [u16; 2] = [2000, 2001];
    let of = |host: usize, port: u16| std::net::SocketAddr::new(HOSTS[host].parse().unwrap(), port);
    // The check to an address succeeds. Who has been greeted.
    let succeeds = |world: &mut World, at| {
        let check = world.take(at).remove(0);
        let id = Message::parse(&check.data).unwrap().transaction_id();
        let mut buffer = [0; 256];
        let mut writer = MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, id).unwrap();
        writer.xor_mapped_address(check.from).unwrap();
        let key = IntegrityKey::short_term(PASSWORD);
        writer.integrity(&key).unwrap().fingerprint().unwrap();
        world.receive(at, check.from, writer.finish());
        let hellos = world.network.iter().filter(|sent| sent.data[0] == 22);
        hellos.map(|sent| sent.to).collect::<Vec<_>>()
    };
    for components in [1, 2] {
        let mut world = World::with(Config {
            begin_at_offer: true,
            ..config()
        });
        let (mut caller, _) = phones();
        let mut lines = vec![
            FINGERPRINT.to_owned(),
            "a=setup:actpass".to_owned(),
            "a=ice-ufrag:q2758e93".to_owned(),
            format!("a=ice-pwd:{PASSWORD}"),
        ];
        for (at, host) in HOSTS.iter().enumerate() {
            for (component, port) in PORTS.iter().enumerate().take(components) {
                let (number, priority) = (component + 1, 2_130_706_303 - 2 * at - component);
                lines.push(format!(
                    "a=candidate:{at} {number} UDP {priority} {host} {port} typ host"
                ));
            }
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let offered = caller.sdp_with("UDP/TLS/RTP/SAVPF", &lines);
        let flags = "transport-protocol=RTP/AVP ICE=remove rtcp-mux-demux";
        world.sdp(&offer(&offered, "a", None, flags));
        world.wait_millis(500);
        let [rtp, rtcp] = PORTS;
        if components == 1 {
            assert_eq!(succeeds(&mut world, of(0, rtp)), [of(0, rtp)]);
        } else {
            assert_eq!(succeeds(&mut world, of(0, rtp)), []);
            assert_eq!(succeeds(&mut world, of(1, rtp)), []);
            assert_eq!(succeeds(&mut world, of(1, rtcp)), [of(1, rtp), of(1, rtcp)]);
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 8445 section 7.3: the answer to a check need not wait for the SDP of who sends it.
#[test]
fn a_check_that_comes_before_the_answer_is_answered_at_once() {
    use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, Method, TransactionId};
    for rtpengine_checks in [true, false] {
        let mut world = World::with(Config {
            rtpengine_checks,
            ..config()
        });
        let (mut caller, callee) = phones();
        let told = world.sdp(&offer(&caller.sdp(), "a", None, "ICE=force"));
        let key = IntegrityKey::short_term(told.value("ice-pwd"));
        let mut buffer = [0; 256];
        let id = TransactionId([3; 12]);
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
        writer
            .username(&format!("{}:theirs", told.value("ice-ufrag")))
            .unwrap();
        writer.priority(1_862_270_975).unwrap().ice_controlled(5).unwrap();
        writer.integrity(&key).unwrap().fingerprint().unwrap();
        let check = writer.finish().to_vec();
        world.receive(callee.rtp, told.address(0), &check);
        let answers = callee.received(&mut world);
        let read = Message::parse(&answers[0]).unwrap();
        assert_eq!((read.class(), read.transaction_id()), (Class::Success, id));
        assert_eq!(read.xor_mapped_address(), Ok(callee.rtp));
        read.verify_integrity(&key).unwrap();
        let named = read
            .software()
            .is_some_and(|software| software.starts_with("rtpengine"));
        assert_eq!(named, rtpengine_checks);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// An offer may be answered with a bundle (RFC 9143); what was told before it is known stays good.
#[test]
fn a_phone_that_bundles_is_heard_at_all_ports_that_it_was_told() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    let to_callee = world.sdp(&offer(&two(&mut caller), "a", None, "bundle-offer generate-mid"));
    let group = format!("a=group:{}\r\nm=audio", to_callee.value("group"));
    let names: Vec<&str> = to_callee.values("mid");
    let bundled = callee.sdp().replace("m=audio", &group);
    let port = callee.rtp.port();
    let bundled = format!(
        "{bundled}a=mid:{}\r\nm=video {port} RTP/AVP 105\r\na=rtpmap:105 H264/90000\r\na=mid:{}\r\n",
        names[0], names[1]
    );
    world.sdp(&answer(&bundled, "a", "b", ""));
    let video_of_caller = std::net::SocketAddr::new(caller.rtp.ip(), caller.rtp.port() + 4);
    for told in [to_callee.address(0), to_callee.address(1)] {
        world.receive(callee.rtp, told, &rtp(2, told.port(), 105));
        assert_eq!(world.take(video_of_caller).len(), 1, "{told}");
    }
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 8842 section 4: another transport is another association.
#[test]
fn a_phone_that_is_told_other_ports_is_told_of_another_association() {
    for port_latching in [false, true] {
        let mut world = World::with(Config {
            port_latching,
            ..config()
        });
        let (mut caller, mut callee) = phones();
        let flags = "transport-protocol=UDP/TLS/RTP/SAVP";
        let before = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        let answered = callee.sdp_with("UDP/TLS/RTP/SAVP", &[FINGERPRINT, "a=setup:active"]);
        world.sdp(&answer(&answered, "a", "b", ""));
        let mut elsewhere = Phone::new("198.51.100.9:4100", caller.ssrc);
        let after = world.sdp(&offer(&elsewhere.sdp(), "a", Some("b"), ""));
        assert_eq!(before.address(0) == after.address(0), port_latching);
        assert_eq!(before.value("tls-id") == after.value("tls-id"), port_latching);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// A key with an identifier (RFC 4568 section 6.1) is told to the other side as it is where keys are, and its packets have it.
#[test]
fn a_key_with_an_identifier_is_passed_on_and_spoken() {
    use viaduct_rtp::Tick;
    use viaduct_rtp::srtp::{Mki, ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile};
    let mut world = World::with(Config {
        sdes: viaduct_session::SdesMode::Rtpengine,
        ..config()
    });
    let material: Vec<u8> = (0..30).collect();
    let keys = SrtpKeyMaterial::from_sdes(SrtpProfile::Aes128CmSha1_80, &material).unwrap();
    let keys = keys.with_mki(Mki::new(1, 32));
    let line = format!("{KEYS}|1:32");
    let (mut caller, mut callee) = phones();
    let offered = caller.sdp_with("RTP/SAVP", &[&line]);
    let told = world.sdp(&offer(&offered, "a", None, "DTLS=off"));
    assert!(told.has(&line), "{}", told.text);
    let answered = callee.sdp_with("RTP/SAVP", &[&line]);
    let to_caller = world.sdp(&answer(&answered, "a", "b", ""));
    assert!(to_caller.has(&line), "{}", to_caller.text);
    let (mut send, mut receive) = (
        SendContext::new(&keys, SrtpLimits::default()),
        ReceiveContext::new(&keys, SrtpLimits::default()),
    );
    let packet = rtp(1, 7, 8);
    let mut buffer = [packet.clone(), vec![0; 80]].concat();
    let len = send.protect_rtp(Tick::ZERO, &mut buffer, packet.len()).unwrap();
    assert_eq!(len, packet.len() + 32 + 10);
    world.receive(caller.rtp, to_caller.address(0), &buffer[..len]);
    let mut received = callee.received(&mut world).remove(0);
    assert_eq!(received.len(), len);
    let len = receive.unprotect_rtp(Tick::ZERO, &mut received).unwrap();
    assert_eq!(received[..len], packet);
    world.ok(&delete_now());
    world.assert_empty();
}
