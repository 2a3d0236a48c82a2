//! Browser to browser, phone to phone.

use crate::browser::Browser;
use crate::phone::Phone;
use crate::world::*;

/// A row of a table in OpenSIPS's documentation. The relay puts itself between all the same.
const FORCE_RELAY: &str = "ICE=force-relay DTLS=passive";
const WEB_TO_WEB: &str = "UDP/TLS/RTP/SAVPF ICE=force ICE-lite=both rtcp-mux-offer rtcp-mux-require SDES-off bundle=[accept] \
     generate-mid no-rtcp-attribute replace-origin DTLS-reverse=passive";
const WEB_ANSWERS_WEB: &str = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require SDES-off bundle=[accept] \
     generate-mid no-rtcp-attribute replace-origin DTLS=passive";

#[test]
fn two_browsers_hear_each_other() {
    for (offers, answers) in [(WEB_TO_WEB, WEB_ANSWERS_WEB), (FORCE_RELAY, FORCE_RELAY)] {
        let mut world = World::new();
        let mut caller = Browser::new("203.0.113.7:50000", 0xb000_0001);
        let mut callee = Browser::new("198.51.100.77:50100", 0xb000_0101);
        let to_callee = world.sdp(&offer(&caller.offer(), "a", None, offers));
        assert!(
            to_callee.values("ice-ufrag")[0] != caller.credentials.ufrag,
            "{}",
            to_callee.text
        );
        assert_eq!(to_callee.address(0).ip().to_string(), RELAY);
        let to_caller = world.sdp(&answer(&callee.answer(&to_callee), "a", "b", answers));
        caller.read(&to_caller);
        assert!(
            to_caller.has("a=setup:passive") && to_caller.has("a=rtcp-mux"),
            "{}",
            to_caller.text
        );
        Browser::connect(&mut world, &mut [&mut caller, &mut callee]);
        for _ in 0..3 {
            let (verdict, packet) = caller.send_type(&mut world, 111);
            assert_eq!(callee.received(&mut world), [packet], "{verdict:?}");
            let (verdict, packet) = callee.send_type(&mut world, 111);
            assert_eq!(caller.received(&mut world), [packet], "{verdict:?}");
            let (_, report) = caller.send_report(&mut world);
            assert_eq!(callee.received(&mut world), [report]);
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Without a word about the protocol, each side gets what the other has.
#[test]
fn what_is_not_asked_for_passes_through() {
    let mut world = World::new();
    let mut phone = Phone::new("198.51.100.9:4000", 1);
    let sdp = world.sdp(&offer(
        &phone.sdp_with("RTP/AVP", &["a=sendrecv", "a=ptime:20", "a=x-own:1"]),
        "a",
        None,
        "",
    ));
    for line in [
        "a=rtpmap:8 PCMA/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=x-own:1",
        "a=sendrecv",
        "s=call",
    ] {
        assert!(sdp.has(line), "{line} in {}", sdp.text);
    }
    assert!(
        sdp.text.starts_with("v=0\r\no=desk 77 1 IN IP4 198.51.100.9\r\n"),
        "{}",
        sdp.text
    );
    assert!(!sdp.has_attribute("fingerprint") && !sdp.has_attribute("ice-ufrag"));
    world.ok(&delete_now());
    world.assert_empty();
}

/// Two phones; the second address of each is that of its RTCP.
pub(crate) fn phones(world: &mut World, flags: &str) -> (Phone, Phone) {
    let mut caller = Phone::new("198.51.100.9:4000", 0x0f00_0001);
    let mut callee = Phone::new("203.0.113.44:6000", 0x0f00_0002);
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, flags)));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", flags)));
    (caller, callee)
}

#[track_caller]
pub(crate) fn phones_hear_each_other(world: &mut World, caller: &mut Phone, callee: &mut Phone) {
    let (verdict, packet) = caller.send(world);
    assert_eq!(callee.received(world), [packet], "{verdict:?}");
    let (verdict, packet) = callee.send(world);
    assert_eq!(caller.received(world), [packet], "{verdict:?}");
}

#[test]
fn two_phones_hear_each_other_and_each_others_reports() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "replace-origin");
    for _ in 0..3 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        let (_, report) = caller.send_report(&mut world);
        assert_eq!(callee.received_reports(&mut world), [report]);
        let (_, report) = callee.send_report(&mut world);
        assert_eq!(caller.received_reports(&mut world), [report]);
    }
    assert_eq!(world.relay.gauges().ports_in_use, 4);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A fax: what is not RTP passes as it is.
#[test]
fn udptl_is_relayed_untouched() {
    let mut world = World::new();
    let fax = |port: u16| {
        format!(
            "v=0\r\no=fax 1 1 IN IP4 198.51.100.9\r\ns=fax\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
             m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n"
        )
    };
    let to_callee = world.sdp(&offer(&fax(4000), "a", None, ""));
    assert!(to_callee.has("a=T38FaxVersion:0") && to_callee.m_lines()[0].ends_with(" udptl t38"));
    let to_caller = world.sdp(&answer(&fax(5000), "a", "b", ""));
    world.receive(
        addr("198.51.100.9:4000"),
        to_caller.address(0),
        b"\x00\x01\x06\x01fax",
    );
    assert_eq!(
        world.take(addr("198.51.100.9:5000"))[0].data,
        b"\x00\x01\x06\x01fax"
    );
    world.receive(
        addr("198.51.100.9:5000"),
        to_callee.address(0),
        b"\x80\x01 looks like RTP",
    );
    assert_eq!(
        world.take(addr("198.51.100.9:4000"))[0].data,
        b"\x80\x01 looks like RTP"
    );
    world.ok(&delete_now());
    world.assert_empty();
}
