//! rtcp-mux and separate ports, as NG asks for them.

use crate::between_likes::phones_hear_each_other;
use crate::phone::Phone;
use crate::world::*;

fn phone() -> Phone {
    Phone::new("198.51.100.9:4000", 0x0f00_0001)
}

fn other() -> Phone {
    Phone::new("203.0.113.44:6000", 0x0f00_0002)
}

const MUX: &[&str] = &["a=rtcp-mux"];

#[test]
fn what_the_sender_offers_is_offered_on_unless_asked_otherwise() {
    for (offered, flags, told, port) in [
        (MUX, "", true, true),
        (&[][..], "", false, true),
        (&[], "rtcp-mux-offer", true, true),
        (&[], "rtcp-mux-require", true, false),
        (MUX, "rtcp-mux-demux", false, true),
        (MUX, "rtcp-mux-accept", true, true),
        (MUX, "no-rtcp-attribute", true, false),
    ] {
        let mut world = World::new();
        let sdp = world.sdp(&offer(&phone().sdp_with("RTP/AVP", offered), "a", None, flags));
        assert_eq!(
            sdp.has_attribute("rtcp-mux"),
            told,
            "{offered:?} {flags}: {}",
            sdp.text
        );
        let separate = sdp
            .values("rtcp")
            .first()
            .is_some_and(|rtcp| *rtcp != sdp.address(0).port().to_string());
        assert_eq!(separate, port, "{offered:?} {flags}: {}", sdp.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn one_side_muxes_and_the_other_does_not() {
    let mut world = World::new();
    let (mut caller, mut callee) = (phone(), other());
    callee.read(&world.sdp(&offer(
        &caller.sdp_with("RTP/AVP", MUX),
        "a",
        None,
        "rtcp-mux-demux",
    )));
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    assert!(to_caller.has_attribute("rtcp-mux"), "{}", to_caller.text);
    caller.read(&to_caller);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let (_, report) = callee.send_report(&mut world);
    assert_eq!(caller.received(&mut world), [report], "on the port of RTP");
    let report = crate::phone::receiver_report(caller.ssrc);
    world.receive(caller.rtp, caller.relay.unwrap(), &report);
    assert_eq!(callee.received_reports(&mut world), [report]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn muxing_agreed_by_both_needs_one_port() {
    let mut world = World::new();
    let (mut caller, mut callee) = (phone(), other());
    callee.read(&world.sdp(&offer(&caller.sdp_with("RTP/AVP", MUX), "a", None, "")));
    let to_caller = world.sdp(&answer(&callee.sdp_with("RTP/AVP", MUX), "a", "b", ""));
    caller.read(&to_caller);
    assert!(to_caller.has_attribute("rtcp-mux"));
    let report = crate::phone::receiver_report(caller.ssrc);
    world.receive(caller.rtp, caller.relay.unwrap(), &report);
    assert_eq!(callee.received(&mut world), [report]);
    let report = world.query();
    assert_eq!(report.tags.get(b"a").unwrap().medias[0].streams.len(), 1);
    // It stays so over a re-offer that says nothing of it.
    let again = world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    assert!(again.has_attribute("rtcp-mux"), "{}", again.text);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_answer_that_refuses_to_mux_gets_separate_ports() {
    let mut world = World::new();
    let (mut caller, mut callee) = (phone(), other());
    callee.read(&world.sdp(&offer(&caller.sdp_with("RTP/AVP", MUX), "a", None, "")));
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    assert!(!to_caller.has_attribute("rtcp-mux"), "{}", to_caller.text);
    caller.read(&to_caller);
    let (_, report) = caller.send_report(&mut world);
    assert_eq!(callee.received_reports(&mut world), [report]);
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 3605: RTCP is not on the next port.
#[test]
fn rtcp_goes_where_the_sdp_says() {
    let mut world = World::new();
    let (mut caller, mut callee) = (phone(), other());
    let sdp = caller.sdp_with("RTP/AVP", &["a=rtcp:4999 IN IP4 198.51.100.10"]);
    callee.read(&world.sdp(&offer(&sdp, "a", None, "full-rtcp-attribute")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "full-rtcp-attribute")));
    let (_, report) = callee.send_report(&mut world);
    assert_eq!(world.take(addr("198.51.100.10:4999"))[0].data, report);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_phone_that_sends_reports_to_the_port_of_rtp_is_understood() {
    let mut world = World::new();
    let (caller, callee) = crate::between_likes::phones(&mut world, "");
    let report = crate::phone::receiver_report(caller.ssrc);
    world.receive(caller.rtp, caller.relay.unwrap(), &report);
    assert_eq!(callee.received_reports(&mut world), [report]);
    world.ok(&delete_now());
    world.assert_empty();
}
