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
pub(crate) const WEB_ANSWERS_PHONE: &str = "RTP/AVP ICE=remove rtcp-mux-demux bundle=[accept] strip-extmap replace-origin";

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
    for name in ["ice-ufrag", "candidate", "fingerprint", "setup", "crypto", "rtcp-mux", "group", "extmap", "ice-lite"] {
        assert!(!sdp.has_attribute(name), "{name} in {}", sdp.text);
    }
    assert_eq!(sdp.value("rtcp"), (sdp.address(0).port() + 1).to_string());
}

#[test]
fn a_phones_answer_becomes_one_that_browsers_read() {
    let mut world = World::new();
    world.sdp(&offer(&browser().offer(), "b", None, WEB_TO_PHONE));
    let sdp = world.sdp(&answer(&phone().sdp(), "b", "p", PHONE_ANSWERS_WEB));
    assert!(sdp.m_lines()[0].starts_with(&format!("m=audio {SHARED} UDP/TLS/RTP/SAVPF 8 0 101")), "{}", sdp.text);
    for line in ["a=ice-lite", "a=setup:passive", "a=rtcp-mux", "a=mid:0", "a=group:BUNDLE 0", "a=sendrecv"] {
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
    let events = world.take_events();
    let names: Vec<String> = events.iter().map(|what| format!("{what:?}").split([' ', '{']).next().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        ["Created", "Answered", "IceConnected", "DtlsConnected", "MediaStarted", "MediaStarted", "MediaBothWays"]
    );
    world.ok(&delete_now());
    assert!(matches!(world.take_events().last(), Some(What::Deleted { .. })));
    world.assert_empty();
}
