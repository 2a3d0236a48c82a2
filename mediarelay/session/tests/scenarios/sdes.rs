//! SRTP with keys from SDPs (RFC 4568), and next to DTLS.

use viaduct_forward::{Tick, Verdict};
use viaduct_rtp::srtp::{ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile};
use viaduct_sdp::{Crypto, TypedAttribute};
use viaduct_session::{SdesMode, What};

use crate::browser_and_phone::{browser, phone};
use crate::phone::{Phone, rtp};
use crate::world::*;

const KEY: [u8; 30] = *b"a key and its salt, 30 octets.";
const PROFILE: SrtpProfile = SrtpProfile::Aes128CmSha1_80;

/// A phone with one suite.
pub(crate) struct SecurePhone {
    pub(crate) phone: Phone,
    send: SendContext,
    receive: Option<ReceiveContext>,
    /// The relay has told it the key that both phones have.
    shares_key: bool,
}

fn crypto_line(tag: u32) -> String {
    let key = Crypto::new(
        tag,
        viaduct_sdp::CryptoSuite::from_name(PROFILE.sdes_name()),
        viaduct_sdp::MasterKey(KEY.to_vec()),
    );
    format!("a=crypto:{key}")
}

impl SecurePhone {
    pub(crate) fn new() -> Self {
        Self {
            phone: phone(),
            send: SendContext::new(
                &SrtpKeyMaterial::from_sdes(PROFILE, &KEY).unwrap(),
                SrtpLimits::default(),
            ),
            receive: None,
            shares_key: false,
        }
    }

    pub(crate) fn sdp(&mut self, tag: u32) -> String {
        self.phone.sdp_with("RTP/SAVP", &[&crypto_line(tag)])
    }

    /// Reads the relay's line with this suite; its tag.
    pub(crate) fn read(&mut self, sdp: &Sdp) -> u32 {
        let lines = sdp
            .values("crypto")
            .into_iter()
            .map(|line| Crypto::parse_value(line).unwrap());
        let line = lines
            .into_iter()
            .find(|line| line.suite.name() == PROFILE.sdes_name())
            .unwrap();
        let key = SrtpKeyMaterial::from_sdes(PROFILE, &line.keys[0].key.0).unwrap();
        self.shares_key = line.keys[0].key.0 == KEY;
        self.receive = Some(ReceiveContext::new(&key, SrtpLimits::default()));
        self.phone.read(sdp);
        line.tag
    }

    pub(crate) fn send(&mut self, world: &mut World, sequence: u16) -> (Verdict, Vec<u8>) {
        let packet = rtp(self.phone.ssrc, sequence, 8);
        let mut buffer = packet.clone();
        buffer.resize(packet.len() + 16, 0);
        let len = self
            .send
            .protect_rtp(Tick::ZERO, &mut buffer, packet.len())
            .unwrap();
        let verdict = world.receive(self.phone.rtp, self.phone.relay.unwrap(), &buffer[..len]);
        (verdict, packet)
    }

    pub(crate) fn received(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        let receive = self.receive.as_mut().unwrap();
        let open = |mut packet: Vec<u8>| {
            let len = receive.unprotect_rtp(Tick::ZERO, &mut packet).unwrap();
            packet.truncate(len);
            packet
        };
        self.phone.received(world).into_iter().map(open).collect()
    }
}

fn plain() -> Phone {
    Phone::new("203.0.113.44:6000", 0x0f00_0002)
}

#[track_caller]
pub(crate) fn hear_each_other(world: &mut World, secure: &mut SecurePhone, plain: &mut Phone, sequence: u16) {
    let (verdict, packet) = secure.send(world, sequence);
    assert_eq!(plain.received(world), [packet], "{verdict:?}");
    let (verdict, packet) = plain.send(world);
    assert_eq!(secure.received(world), [packet], "{verdict:?}");
}

#[test]
fn a_secure_caller_reaches_a_plain_callee() {
    let mut world = World::new();
    let (mut caller, mut callee) = (SecurePhone::new(), plain());
    let to_callee = world.sdp(&offer(&caller.sdp(5), "a", None, "RTP/AVP"));
    assert!(
        !to_callee.has_attribute("crypto") && !to_callee.has_attribute("fingerprint"),
        "{}",
        to_callee.text
    );
    callee.read(&to_callee);
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    assert!(to_caller.m_lines()[0].contains("RTP/SAVP "), "{}", to_caller.text);
    assert_eq!(caller.read(&to_caller), 5);
    hear_each_other(&mut world, &mut caller, &mut callee, 1);
    let report = world.query();
    let stream = &report.tags.get(b"a").unwrap().medias[0].streams[0];
    assert_eq!(
        stream.crypto_suite.as_ref().unwrap().to_text(),
        PROFILE.sdes_name()
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_plain_caller_reaches_a_secure_callee_that_chooses_a_suite() {
    let mut world = World::new();
    let (mut caller, mut callee) = (plain(), SecurePhone::new());
    let to_callee = world.sdp(&offer(&caller.sdp(), "a", None, "RTP/SAVP"));
    assert!(
        to_callee.values("crypto").len() >= 4 && to_callee.has_attribute("fingerprint"),
        "both kinds"
    );
    let tag = callee.read(&to_callee);
    caller.read(&world.sdp(&answer(&callee.sdp(tag), "a", "b", "RTP/AVP")));
    hear_each_other(&mut world, &mut callee, &mut caller, 1);
    // The same keys and ports over a re-offer: nothing is lost, and no key stream is begun twice.
    let contexts = |world: &World| -> Vec<_> {
        let rules = world.rules.values();
        rules
            .map(|rule| (rule.unprotect, rule.routes[0].protect))
            .collect()
    };
    let before = contexts(&world);
    let again = world.sdp(&offer(&caller.sdp(), "a", Some("b"), "RTP/SAVP"));
    assert!(!again.has_attribute("fingerprint") || again.has_attribute("crypto"));
    assert_eq!(again.address(0), to_callee.address(0));
    world.sdp(&answer(&callee.sdp(tag), "a", "b", "RTP/AVP"));
    assert_eq!(contexts(&world), before);
    hear_each_other(&mut world, &mut callee, &mut caller, 2);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn sdes_and_dtls_can_each_be_left_out() {
    for (flags, crypto, fingerprint) in [
        ("RTP/SAVP SDES-off", false, true),
        ("RTP/SAVP DTLS=off", true, false),
        ("RTP/SAVP", true, true),
    ] {
        let mut world = World::new();
        let sdp = world.sdp(&offer(&plain().sdp(), "a", None, flags));
        assert_eq!(
            (sdp.has_attribute("crypto"), sdp.has_attribute("fingerprint")),
            (crypto, fingerprint),
            "{flags}"
        );
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn both_sides_with_keys_of_their_own_are_decrypted_and_encrypted_again() {
    let mut world = World::new();
    let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
    callee.phone = plain();
    let to_callee = world.sdp(&offer(&caller.sdp(1), "a", None, ""));
    assert!(
        !to_callee.has_attribute("fingerprint"),
        "the sender has no DTLS: {}",
        to_callee.text
    );
    let tag = callee.read(&to_callee);
    assert_eq!(tag, 1, "the sender's suite keeps its tag");
    let to_caller = world.sdp(&answer(&callee.sdp(tag), "a", "b", ""));
    caller.read(&to_caller);
    for sequence in 1..4 {
        let (_, packet) = caller.send(&mut world, sequence);
        assert_eq!(callee.received(&mut world), [packet]);
        let (_, packet) = callee.send(&mut world, sequence);
        assert_eq!(caller.received(&mut world), [packet]);
    }
    // What is forged is not forwarded.
    let forged = rtp(caller.phone.ssrc, 9, 8);
    let verdict = world.receive(caller.phone.rtp, caller.phone.relay.unwrap(), &forged);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    world.ok(&delete_now());
    world.assert_empty();
}

/// An answer that says SAVP and gives no key we could use.
#[test]
fn without_common_keys_there_is_no_media_and_that_is_told() {
    let mut world = World::new();
    let (mut caller, mut callee) = (plain(), phone());
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "RTP/SAVP DTLS=off")));
    world.take_events();
    caller.read(&world.sdp(&answer(&callee.sdp_with("RTP/SAVP", &[]), "a", "b", "RTP/AVP")));
    assert!(
        world
            .take_events()
            .iter()
            .any(|what| matches!(what, What::NoKeys { .. }))
    );
    let (verdict, _) = caller.send(&mut world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    assert_eq!(callee.received(&mut world), Vec::<Vec<u8>>::new());
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 8643: keys on a plain m-line.
#[test]
fn opportunistic_keys_are_accepted_when_asked_for() {
    let mut world = World::new();
    let (mut caller, mut callee) = (SecurePhone::new(), plain());
    let sdp = caller.phone.sdp_with("RTP/AVP", &[&crypto_line(1)]);
    callee.read(&world.sdp(&offer(&sdp, "a", None, "RTP/AVP OSRTP-accept")));
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", "OSRTP-accept"));
    assert!(to_caller.m_lines()[0].contains("RTP/AVP "), "{}", to_caller.text);
    caller.read(&to_caller);
    hear_each_other(&mut world, &mut caller, &mut callee, 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_browser_talks_to_a_phone_with_sdes() {
    let mut world = World::new();
    let (mut caller, mut callee) = (browser(), SecurePhone::new());
    let flags = "RTP/SAVP ICE=remove rtcp-mux-demux DTLS=off DTLS-reverse=passive bundle=[accept] ICE-lite=backward strip-extmap";
    let to_callee = world.sdp(&offer(&caller.offer(), "a", None, flags));
    let tag = callee.read(&to_callee);
    assert!(!to_callee.has_attribute("fingerprint"), "{}", to_callee.text);
    let to_caller = world.sdp(&answer(
        &callee.sdp(tag),
        "a",
        "b",
        crate::browser_and_phone::PHONE_ANSWERS_WEB,
    ));
    assert!(
        to_caller.has_attribute("fingerprint") && !to_caller.has_attribute("crypto"),
        "{}",
        to_caller.text
    );
    caller.read(&to_caller);
    crate::browser::Browser::connect(&mut world, &mut [&mut caller]);
    let (verdict, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [packet], "{verdict:?}");
    let (verdict, packet) = callee.send(&mut world, 1);
    assert_eq!(caller.received(&mut world), [packet], "{verdict:?}");
    world.ok(&delete_now());
    world.assert_empty();
}

/// As with rtpengine, where proxies and SBCs may count on seeing their key again (RFC 4568 section 6.1 has keys for one
/// direction, and here both hops of a direction have the same).
#[test]
fn like_rtpengine_both_hops_of_a_direction_have_one_key() {
    for (mode, shares) in [(SdesMode::OwnKeys, false), (SdesMode::Rtpengine, true)] {
        let mut world = World::with(viaduct_session::Config {
            sdes: mode,
            ..config()
        });
        let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
        callee.phone = plain();
        let to_callee = world.sdp(&offer(&caller.sdp(1), "a", None, "DTLS=off"));
        let tag = callee.read(&to_callee);
        assert_eq!((tag, callee.shares_key), (1, shares), "{}", to_callee.text);
        let suites = to_callee.values("crypto").len();
        assert_eq!(suites, if shares { 12 } else { 4 }, "{}", to_callee.text);
        caller.read(&world.sdp(&answer(&callee.sdp(tag), "a", "b", "")));
        assert_eq!(caller.shares_key, shares);
        for sequence in 1..4 {
            let (verdict, packet) = caller.send(&mut world, sequence);
            assert_eq!(callee.received(&mut world), [packet], "{verdict:?}");
            let (verdict, packet) = callee.send(&mut world, sequence);
            assert_eq!(caller.received(&mut world), [packet], "{verdict:?}");
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// SRTP that passes unopened, where both sides have the same keys.
#[test]
fn like_rtpengine_what_both_sides_have_the_key_for_is_not_opened() {
    for (mode, pass_through, flags, passes) in [
        (SdesMode::Rtpengine, true, "DTLS=off", true),
        (SdesMode::Rtpengine, true, "DTLS=off recrypt", false),
        (SdesMode::Rtpengine, false, "DTLS=off", false),
        (SdesMode::OwnKeys, true, "DTLS=off", false),
    ] {
        let mut world = World::with(viaduct_session::Config {
            sdes: mode,
            srtp_pass_through: pass_through,
            ..config()
        });
        let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
        callee.phone = plain();
        let tag = callee.read(&world.sdp(&offer(&caller.sdp(1), "a", None, flags)));
        caller.read(&world.sdp(&answer(&callee.sdp(tag), "a", "b", "")));
        let (_, packet) = caller.send(&mut world, 1);
        assert_eq!(callee.received(&mut world), [packet]);
        let forged = rtp(caller.phone.ssrc, 2, 8);
        world.receive(caller.phone.rtp, caller.phone.relay.unwrap(), &forged);
        let received = callee.phone.received(&mut world);
        assert_eq!(
            received.contains(&forged),
            passes,
            "{mode:?} {pass_through} {flags}"
        );
        // Reports are checked all the same.
        let report = crate::phone::receiver_report(caller.phone.ssrc);
        let relay = caller.phone.relay.unwrap();
        let relay = std::net::SocketAddr::new(relay.ip(), relay.port() + 1);
        let verdict = world.receive(caller.phone.rtcp(), relay, &report);
        assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Whoever can send from where a phone's SDP says that it is does not keep the phone from being found behind its NAT, nor
/// is anybody found by packets that are not authentic.
#[test]
fn what_passes_unopened_moves_nobody() {
    let mut world = World::with(viaduct_session::Config {
        sdes: SdesMode::Rtpengine,
        srtp_pass_through: true,
        ..config()
    });
    let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
    callee.phone = plain();
    let tag = callee.read(&world.sdp(&offer(&caller.sdp(1), "a", None, "DTLS=off")));
    caller.read(&world.sdp(&answer(&callee.sdp(tag), "a", "b", "")));
    let relay = caller.phone.relay.unwrap();
    let forged = rtp(caller.phone.ssrc, 1, 8);
    world.receive(caller.phone.rtp, relay, &forged);
    assert_eq!(callee.phone.received(&mut world), std::slice::from_ref(&forged));
    let verdict = world.receive(addr("203.0.113.99:999"), relay, &forged);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    assert_eq!(world.relay.counters().endpoints_learnt, 0);
    // The phone's own packets do, wherever they come from.
    caller.phone.rtp = addr("203.0.113.55:40000");
    caller.send(&mut world, 2);
    assert_eq!(world.relay.counters().endpoints_learnt, 1);
    let (_, packet) = callee.send(&mut world, 1);
    assert_eq!(caller.received(&mut world), [packet]);
    // And then nobody else is heard, whatever they send.
    let verdict = world.receive(addr("203.0.113.99:999"), relay, &forged);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 8643 section 3: keys beside a plain profile are passed on, and used if the answer has some as well.
#[test]
fn opportunistic_keys_are_passed_on() {
    for accepts in [true, false] {
        let mut world = World::new();
        let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
        callee.phone = plain();
        let offered = caller.phone.sdp_with("RTP/AVP", &[&crypto_line(1)]);
        let to_callee = world.sdp(&offer(&offered, "a", None, ""));
        assert!(to_callee.m_lines()[0].contains("RTP/AVP "), "{}", to_callee.text);
        assert!(!to_callee.has_attribute("fingerprint"));
        assert_eq!(callee.read(&to_callee), 1);
        let line = crypto_line(1);
        let lines: &[&str] = if accepts { &[&line] } else { &[] };
        let to_caller = world.sdp(&answer(&callee.phone.sdp_with("RTP/AVP", lines), "a", "b", ""));
        assert_eq!(to_caller.has_attribute("crypto"), accepts, "{}", to_caller.text);
        if accepts {
            caller.read(&to_caller);
            let (verdict, packet) = caller.send(&mut world, 1);
            assert_eq!(callee.received(&mut world), [packet], "{verdict:?}");
        } else {
            caller.phone.read(&to_caller);
            let (verdict, packet) = caller.phone.send(&mut world);
            assert_eq!(callee.phone.received(&mut world), [packet], "{verdict:?}");
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// NG `SDES`, `DTLS`: rtpengine offers both kinds of keys to whom nothing is known of.
#[test]
fn like_rtpengine_dtls_is_offered_beside_keys() {
    for (mode, flags, beside) in [
        (SdesMode::OwnKeys, "", false),
        (SdesMode::Rtpengine, "", true),
        (SdesMode::Rtpengine, "DTLS=off", false),
    ] {
        let mut world = World::with(viaduct_session::Config {
            sdes: mode,
            ..config()
        });
        let sdp = world.sdp(&offer(&SecurePhone::new().sdp(1), "a", None, flags));
        assert_eq!(sdp.has_attribute("fingerprint"), beside, "{mode:?} {flags}");
        assert!(sdp.has_attribute("crypto"), "{}", sdp.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Under a key that both phones have, only what one of them has sent goes to the other.
#[test]
fn nobody_reports_under_the_key_of_others() {
    let mut world = World::with(viaduct_session::Config {
        sdes: SdesMode::Rtpengine,
        ..config()
    });
    let (mut caller, mut callee) = (SecurePhone::new(), SecurePhone::new());
    callee.phone = plain();
    let flags = "DTLS=off generate-RTCP";
    let tag = callee.read(&world.sdp(&offer(&caller.sdp(1), "a", None, flags)));
    caller.read(&world.sdp(&answer(&callee.sdp(tag), "a", "b", "")));
    assert!(caller.shares_key && callee.shares_key);
    for sequence in 1..50 {
        let (_, packet) = caller.send(&mut world, sequence);
        assert_eq!(callee.received(&mut world), [packet]);
        world.wait_millis(20);
    }
    world.wait(std::time::Duration::from_secs(7));
    assert!(callee.phone.received_reports(&mut world).is_empty());
    assert!(caller.phone.received_reports(&mut world).is_empty());
    world.ok(&delete_now());
    world.assert_empty();
}
