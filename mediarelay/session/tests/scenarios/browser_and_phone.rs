//! A browser calls a phone, and a phone calls a browser.

use viaduct_forward::Verdict;
use viaduct_session::What;

use crate::browser::Browser;
use crate::phone::Phone;
use crate::world::*;

/// What our proxy asks for with an offer of a browser for a phone.
pub(crate) const WEB_TO_PHONE: &str = "RTP/AVP ICE=remove rtcp-mux-demux DTLS-reverse=passive bundle=[accept] \
     ICE-lite=backward strip-extmap replace-origin";
/// With the phone's answer.
pub(crate) const PHONE_ANSWERS_WEB: &str = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require DTLS=passive \
     SDES-off generate-mid no-rtcp-attribute replace-origin";
/// With a phone's offer for a browser.
pub(crate) const PHONE_TO_WEB: &str = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require ICE-lite=forward \
     SDES-off generate-mid no-rtcp-attribute replace-origin";
/// With the browser's answer.
pub(crate) const WEB_ANSWERS_PHONE: &str =
    "RTP/AVP ICE=remove rtcp-mux-demux bundle=[accept] strip-extmap replace-origin";

pub(crate) fn browser() -> Browser {
    Browser::new("203.0.113.7:50000", 0xb000_0001)
}

pub(crate) fn phone() -> Phone {
    Phone::new("198.51.100.9:4000", 0x0f00_0001)
}

/// A browser has called a phone, and both can hear each other.
pub(crate) fn established(world: &mut World) -> (Browser, Phone) {
    let (mut browser, mut phone) = (browser(), phone());
    let to_phone = world.sdp(&offer(&browser.offer(), "b", None, WEB_TO_PHONE));
    phone.read(&to_phone);
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
    browser.read(&to_browser);
    Browser::connect(world, &mut [&mut browser]);
    (browser, phone)
}

#[test]
fn a_browsers_offer_becomes_one_that_phones_read() {
    let mut world = World::new();
    let sdp = world.sdp(&offer(&browser().offer(), "b", None, WEB_TO_PHONE));
    assert_eq!(sdp.m_lines().len(), 1);
    assert!(sdp.m_lines()[0].contains(" RTP/AVP "), "{}", sdp.text);
    assert_eq!(sdp.address(0).ip().to_string(), RELAY);
    assert!((30_000..=40_000).contains(&sdp.address(0).port()));
    for name in [
        "ice-ufrag",
        "candidate",
        "fingerprint",
        "setup",
        "crypto",
        "rtcp-mux",
        "group",
        "extmap",
        "ice-lite",
    ] {
        assert!(!sdp.has_attribute(name), "{name} in {}", sdp.text);
    }
    assert_eq!(sdp.value("rtcp"), (sdp.address(0).port() + 1).to_string());
}

#[test]
fn a_phones_answer_becomes_one_that_browsers_read() {
    let mut world = World::new();
    world.sdp(&offer(&browser().offer(), "b", None, WEB_TO_PHONE));
    let sdp = world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    assert!(
        sdp.m_lines()[0].starts_with(&format!("m=audio {SHARED} UDP/TLS/RTP/SAVPF 8 0 101")),
        "{}",
        sdp.text
    );
    for line in [
        "a=ice-lite",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=mid:0",
        "a=group:BUNDLE 0",
        "a=sendrecv",
    ] {
        assert!(sdp.has(line), "{line} in {}", sdp.text);
    }
    assert!(sdp.value("fingerprint").starts_with("sha-256 "));
    assert_eq!(sdp.values("candidate").len(), 1);
    assert!(!sdp.has_attribute("crypto") && !sdp.has_attribute("rtcp"));
}

#[test]
fn both_hear_each_other() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    for _ in 0..5 {
        let (verdict, packet) = browser.send(&mut world);
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
        assert_eq!(phone.received(&mut world), [packet]);
        let (_, packet) = phone.send(&mut world);
        assert_eq!(browser.received(&mut world), [packet]);
        let (_, report) = browser.send_report(&mut world);
        assert_eq!(phone.received_reports(&mut world), [report]);
        let (_, report) = phone.send_report(&mut world);
        assert_eq!(browser.received(&mut world), [report]);
        world.wait_millis(20);
    }
    assert_eq!(
        world.take_event_names(),
        [
            "Created",
            "Answered",
            "IceConnected",
            "DtlsConnected",
            "MediaStarted",
            "MediaStarted",
            "MediaBothWays"
        ]
    );
    world.ok(&delete_now());
    assert!(matches!(world.take_events().last(), Some(What::Deleted { .. })));
    world.assert_empty();
}

#[test]
fn a_phone_calls_a_browser() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let to_browser = world.sdp(&offer(&phone.sdp(), "p", None, PHONE_TO_WEB));
    assert!(to_browser.m_lines()[0].starts_with(&format!("m=audio {SHARED} UDP/TLS/RTP/SAVPF 8 0 101")));
    for line in ["a=ice-lite", "a=setup:actpass", "a=rtcp-mux", "a=mid:1"] {
        assert!(to_browser.has(line), "{line} in {}", to_browser.text);
    }
    let to_phone = world.sdp(&answer(&browser.answer(&to_browser), "p", "b", WEB_ANSWERS_PHONE));
    assert!(to_phone.m_lines()[0].contains(" RTP/AVP "), "{}", to_phone.text);
    assert!(!to_phone.has_attribute("rtcp-mux") && !to_phone.has_attribute("candidate"));
    phone.read(&to_phone);
    Browser::connect(&mut world, &mut [&mut browser]);
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Without ICE-lite, checks go both ways through control; with ports of its own, a browser has four candidates.
#[test]
fn a_full_agent_connects_on_either_kind_of_port() {
    let flags = WEB_TO_PHONE.replace("ICE-lite=backward ", "");
    let mut own_ports = config();
    own_ports.interfaces[0].addresses[0].browser_port = None;
    for config in [config(), own_ports] {
        let has_own = config.interfaces[0].addresses[0].browser_port.is_none();
        let mut world = World::with(config);
        let (mut browser, mut phone) = (browser(), phone());
        phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
        let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        assert!(!to_browser.has_attribute("ice-lite"));
        assert_eq!(to_browser.address(0).port() == SHARED, !has_own);
        browser.read(&to_browser);
        Browser::connect(&mut world, &mut [&mut browser]);
        hear_each_other(&mut world, &mut browser, &mut phone);
        // Consent is renewed for minutes.
        for _ in 0..12 {
            Browser::run(
                &mut world,
                &mut [&mut browser],
                std::time::Duration::from_secs(10),
            );
            hear_each_other(&mut world, &mut browser, &mut phone);
        }
        world.ok(&delete_now());
        assert_eq!(world.relay.counters().ice_failed, 0);
        world.assert_empty();
    }
}

/// The relay begins the handshake where nobody asks it to wait.
#[test]
fn the_relay_may_begin_the_handshake() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let flags = WEB_TO_PHONE.replace("DTLS-reverse=passive ", "");
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
    let flags = PHONE_ANSWERS_WEB.replace("DTLS=passive ", "");
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", &flags));
    assert!(to_browser.has("a=setup:active"));
    browser.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut browser]);
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Firefox has fingerprint and options at session level, no bundle-only, and m-lines with port 9.
const FIREFOX: &str = "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 5 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=sendrecv\r\n\
    a=fingerprint:sha-256 \
    10:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=group:BUNDLE 0 1\r\na=ice-options:trickle\r\na=msid-semantic:WMS *\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\n\
    a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=fmtp:109 maxplaybackrate=48000;stereo=1\r\n\
    a=ice-pwd:0123456789abcdef0123456789abcdef\r\na=ice-ufrag:12345678\r\na=mid:0\r\na=rtcp-mux\r\n\
    a=rtpmap:109 opus/48000/2\r\na=rtpmap:9 G722/8000/1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=setup:actpass\r\na=ssrc:123 cname:{a}\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 120\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendrecv\r\n\
    a=ice-pwd:0123456789abcdef0123456789abcdef\r\na=ice-ufrag:12345678\r\na=mid:1\r\na=rtcp-mux\r\n\
    a=rtpmap:120 VP8/90000\r\na=setup:actpass\r\n";

#[test]
fn firefox_is_understood_and_its_video_refused_in_place() {
    let mut world = World::new();
    let to_phone = world.sdp(&offer(FIREFOX, "b", None, WEB_TO_PHONE));
    let m_lines = to_phone.m_lines();
    assert_eq!(m_lines.len(), 2, "{}", to_phone.text);
    assert!(
        m_lines[0].contains(" RTP/AVP ") && m_lines[1].starts_with("m=video 3"),
        "{}",
        to_phone.text
    );
    let refused = format!("{}m=video 0 RTP/AVP 120\r\n", phone().sdp());
    let to_browser = world.sdp(&answer(&refused, "b", "p", PHONE_ANSWERS_WEB));
    let m_lines = to_browser.m_lines();
    assert!(
        m_lines[0].starts_with("m=audio 3478 UDP/TLS/RTP/SAVPF "),
        "{}",
        to_browser.text
    );
    assert_eq!(m_lines[1], "m=video 0 UDP/TLS/RTP/SAVPF 120");
    assert_eq!(to_browser.value("group"), "BUNDLE 0");
    assert_eq!(to_browser.values("mid"), ["0", "1"]);
    assert!(to_browser.has("a=setup:passive"));
    world.ok(&delete_now());
    world.assert_empty();
}

/// A phone that answers with one m-line where two were offered.
#[test]
fn m_lines_that_an_answer_leaves_out_are_refused() {
    let mut world = World::new();
    world.sdp(&offer(&browser().offer_video(), "b", None, WEB_TO_PHONE));
    let to_browser = world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    assert_eq!(to_browser.m_lines().len(), 2, "{}", to_browser.text);
    assert_eq!(to_browser.m_lines()[1], "m=video 0 UDP/TLS/RTP/SAVPF 96 97");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn audio_and_video_of_a_bundle_reach_different_ports_of_a_phone() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let to_phone = world.sdp(&offer(&browser.offer_video(), "b", None, WEB_TO_PHONE));
    phone.read(&to_phone);
    let mut video = Phone::new("198.51.100.9:4002", 0x0f00_0002);
    video.relay = Some(to_phone.address(1));
    assert_ne!(to_phone.address(0).port(), to_phone.address(1).port());
    let both = format!(
        "{}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
        phone.sdp()
    );
    let to_browser = world.sdp(&answer(&both, "b", "p", PHONE_ANSWERS_WEB));
    assert_eq!(to_browser.value("group"), "BUNDLE 0 1");
    assert_eq!(to_browser.address(0), to_browser.address(1));
    browser.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut browser]);
    let (_, audio_packet) = browser.send_type(&mut world, 8);
    assert_eq!(phone.received(&mut world), [audio_packet]);
    browser.ssrc += 1;
    let (_, video_packet) = browser.send_type(&mut world, 96);
    assert_eq!(video.received(&mut world), [video_packet]);
    assert_eq!(phone.received(&mut world), Vec::<Vec<u8>>::new());
    let (_, packet) = video.send(&mut world);
    assert_eq!(browser.received(&mut world), [named(packet, "1")]);
    let report = world.query();
    let of_browser = report.tags.get(b"b").unwrap();
    assert_eq!(of_browser.medias.len(), 2);
    assert_eq!(of_browser.medias[0].streams[0].stats.packets, 2);
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG's shorthand for all that browsers need.
#[test]
fn a_phone_with_video_calls_a_browser_that_bundles() {
    for flags in ["WebRTC", "WebRTC bundle=[strict]"] {
        let mut world = World::new();
        let (mut browser, mut phone) = (browser(), phone());
        let mut video = Phone::new("198.51.100.9:4002", 0x0f00_0002);
        let both = format!(
            "{}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
            phone.sdp()
        );
        let to_browser = world.sdp(&offer(&both, "p", None, flags));
        assert_eq!(to_browser.value("group"), "BUNDLE 1 2", "{}", to_browser.text);
        assert_eq!(
            to_browser.values("ice-ufrag")[0],
            to_browser.values("ice-ufrag")[1]
        );
        let (audio_part, video_part) = to_browser.text.split_once("m=video ").unwrap();
        assert!(video_part.contains("a=bundle-only\r\n") && !audio_part.contains("bundle-only"));
        assert_eq!(
            video_part.starts_with("0 "),
            flags.contains("strict"),
            "{}",
            to_browser.text
        );
        let to_phone = world.sdp(&answer(&browser.answer(&to_browser), "p", "b", WEB_ANSWERS_PHONE));
        assert_ne!(to_phone.address(0), to_phone.address(1));
        phone.read(&to_phone);
        video.relay = Some(to_phone.address(1));
        Browser::connect(&mut world, &mut [&mut browser]);
        let (_, packet) = browser.send(&mut world);
        assert_eq!(phone.received(&mut world), [packet]);
        for (sender, mid) in [(&mut phone, "1"), (&mut video, "2")] {
            let (_, packet) = sender.send(&mut world);
            assert_eq!(browser.received(&mut world), [named(packet, mid)]);
        }
        assert_eq!(world.relay.gauges().dtls_associations, 1);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// The proxy names its profile's flags with every message, also where nothing is there to answer them.
#[test]
fn early_media_reaches_the_caller_before_the_final_answer() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, WEB_TO_PHONE)));
    let early = phone.sdp();
    let first = world.sdp(&answer(&early, "b", "p", PHONE_ANSWERS_WEB));
    browser.read(&first);
    Browser::connect(&mut world, &mut [&mut browser]);
    let (_, ringing) = phone.send(&mut world);
    assert_eq!(browser.received(&mut world), [ringing]);
    let again = world.sdp(&answer(&early, "b", "p", PHONE_ANSWERS_WEB));
    assert_eq!(again.text, first.text);
    assert_eq!(world.relay.counters().repeats, 1);
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// With one m-line there is nothing to tell apart, and the phone would get packets with names that it never asked for.
#[test]
fn a_browser_with_one_m_line_names_it_in_no_packet() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    for _ in 0..2 {
        let to_phone = world.sdp(&offer(&browser.offer(), "b", None, WEB_TO_PHONE));
        assert!(!to_phone.has_attribute("extmap"), "{}", to_phone.text);
        phone.read(&to_phone);
        let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        assert!(!to_browser.has_attribute("extmap"), "{}", to_browser.text);
        browser.read(&to_browser);
    }
    let again = world.sdp(&offer(&phone.sdp(), "p", Some("b"), PHONE_TO_WEB));
    assert!(!again.has_attribute("extmap"), "{}", again.text);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A phone's packet as a browser gets it that has several m-lines on one transport (RFC 8843 section 15), and that names
/// the extension for that 4 in its SDP.
pub(crate) fn named(mut packet: Vec<u8>, mid: &str) -> Vec<u8> {
    let len = packet.len();
    packet.resize(len + viaduct_rtp::ELEMENT_GROWTH_MAX, 0);
    let len = viaduct_rtp::insert_element(&mut packet, len, 4, mid.as_bytes());
    packet.truncate(len);
    packet
}

/// Media of both goes through.
#[track_caller]
pub(crate) fn hear_each_other(world: &mut World, browser: &mut Browser, phone: &mut Phone) {
    let (verdict, packet) = browser.send(world);
    assert_eq!(phone.received(world), [packet], "{verdict:?}");
    let (verdict, packet) = phone.send(world);
    assert_eq!(browser.received(world), [packet], "{verdict:?}");
}
