//! Audio and video of one browser on one port and one key, towards two ports of a phone, and back.

use viaduct_forward::{
    BlockReason, CryptoDirection, CryptoId, DropReason, FlowId, FlowRule, MidSelector, Route, Select,
    SrtpProfile,
};
use viaduct_rtp::rtcp::{Compound, RtcpPacket};

use crate::peers::*;

const MID_EXTENSION: u8 = 4;
const AUDIO_SSRC: u32 = 0xa0a0_a0a0;
const VIDEO_SSRC: u32 = 0x5e5e_5e5e;
const PHONE_VIDEO_SSRC: u32 = 0x0e0e_0e0e;
const FROM_PHONE_VIDEO: u64 = 22;

fn section(mid: &str, payload_types: &[u8], local: &str, remote: &str) -> Route {
    let select = Select {
        payload_types: payload_types.to_vec(),
        ssrcs: Vec::new(),
        mid: Some(MidSelector {
            extension_id: MID_EXTENSION,
            mid: mid.into(),
        }),
    };
    Route {
        select,
        ..Route::to(out(local, remote))
    }
}

fn bundle_rule() -> FlowRule {
    let routes = vec![
        section("0", &[0, 111], AUDIO, PHONE),
        section("1", &[96, 97, 111], VIDEO, PHONE_VIDEO),
    ];
    let rule = FlowRule::new(FlowId(FROM_BROWSER), key(SHARED, BROWSER), BROWSER_LEG, routes);
    FlowRule {
        unprotect: Some(CryptoId(BROWSER_RECEIVE)),
        ..rule
    }
}

fn bundled_call(relay: &mut Relay) -> SrtpPeer {
    let browser = SrtpPeer::new(SrtpProfile::AeadAes128Gcm, 1);
    relay.crypto(BROWSER_RECEIVE, CryptoDirection::Receive, &browser.relay_keys);
    relay.crypto(BROWSER_SEND, CryptoDirection::Send, &browser.relay_keys);
    relay.install(bundle_rule());
    let back = || Route {
        protect: Some(CryptoId(BROWSER_SEND)),
        ..Route::to(out(SHARED, BROWSER))
    };
    relay.install(FlowRule::new(
        FlowId(FROM_PHONE),
        key(AUDIO, PHONE),
        PHONE_LEG,
        vec![back()],
    ));
    relay.install(FlowRule::new(
        FlowId(FROM_PHONE_VIDEO),
        key(VIDEO, PHONE_VIDEO),
        PHONE_LEG,
        vec![back()],
    ));
    browser
}

/// Sends a packet of the browser and says where it went.
fn goes_to_audio(relay: &mut Relay, browser: &mut SrtpPeer, packet: &[u8]) -> bool {
    let protected = browser.protect_rtp(packet);
    let (verdict, sent) = relay.receive(BROWSER, SHARED, &protected);
    assert_eq!(sent, packet);
    let forwarded = |to, via| viaduct_forward::Verdict::Forward { out: to, via };
    if verdict == forwarded(out(AUDIO, PHONE), relay.socket(AUDIO)) {
        return true;
    }
    assert_eq!(verdict, forwarded(out(VIDEO, PHONE_VIDEO), relay.socket(VIDEO)));
    false
}

#[test]
fn the_mid_chooses_then_its_ssrc_then_the_payload_type() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    let mut to_audio = |packet: &[u8]| goes_to_audio(&mut relay, &mut browser, packet);
    // Payload type 111 is in both sections, so only the MID can tell.
    assert!(to_audio(&rtp_with_mid(AUDIO_SSRC, 1, 111, MID_EXTENSION, "0")));
    assert!(!to_audio(&rtp_with_mid(VIDEO_SSRC, 1, 111, MID_EXTENSION, "1")));
    // Once learnt, the SSRC is enough.
    assert!(to_audio(&rtp_of_type(AUDIO_SSRC, 2, 111)));
    assert!(!to_audio(&rtp_of_type(VIDEO_SSRC, 2, 111)));
    // SSRCs that never said: the payload types that only one section has.
    assert!(to_audio(&rtp_of_type(0x77, 1, 0)));
    assert!(!to_audio(&rtp_of_type(0x78, 1, 96)));
    assert!(!to_audio(&rtp_of_type(0x78, 2, 111)), "learnt by payload type");
    // An SSRC that moves to another m-line.
    assert!(to_audio(&rtp_with_mid(VIDEO_SSRC, 3, 111, MID_EXTENSION, "0")));
    assert!(to_audio(&rtp_of_type(VIDEO_SSRC, 4, 111)));
}

/// As rtpengine does it. A MID corrects what was guessed, and is remembered.
#[test]
fn a_payload_type_of_several_sections_may_go_to_the_first() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    relay.install(FlowRule {
        ambiguous_to_first: true,
        ..bundle_rule()
    });
    let mut to_audio = |packet: &[u8]| goes_to_audio(&mut relay, &mut browser, packet);
    assert!(to_audio(&rtp_of_type(0x77, 1, 111)));
    assert!(!to_audio(&rtp_with_mid(0x77, 2, 111, MID_EXTENSION, "1")));
    assert!(!to_audio(&rtp_of_type(0x77, 3, 111)));
    assert!(!to_audio(&rtp_of_type(0x78, 1, 96)));
}

#[test]
fn what_no_section_takes_is_dropped() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    let ambiguous = browser.protect_rtp(&rtp_of_type(0x99, 1, 111));
    relay.drops(BROWSER, SHARED, &ambiguous, DropReason::NoRoute);
    let unknown_mid = browser.protect_rtp(&rtp_with_mid(0x99, 2, 0, MID_EXTENSION, "7"));
    relay.drops(BROWSER, SHARED, &unknown_mid, DropReason::UnknownMid);
    let foreign_type = browser.protect_rtp(&rtp_with_mid(0x99, 3, 96, MID_EXTENSION, "0"));
    relay.drops(BROWSER, SHARED, &foreign_type, DropReason::NoRoute);
}

#[test]
fn listed_ssrcs_choose_without_mid() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    let mut rule = bundle_rule();
    rule.routes[0].select.ssrcs = vec![AUDIO_SSRC];
    rule.routes[1].select.ssrcs = vec![VIDEO_SSRC];
    relay.install(rule);
    assert!(goes_to_audio(
        &mut relay,
        &mut browser,
        &rtp_of_type(AUDIO_SSRC, 1, 111)
    ));
    assert!(!goes_to_audio(
        &mut relay,
        &mut browser,
        &rtp_of_type(VIDEO_SSRC, 1, 111)
    ));
}

#[test]
fn what_was_learnt_survives_a_new_rule() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    let first = rtp_with_mid(VIDEO_SSRC, 1, 111, MID_EXTENSION, "1");
    assert!(!goes_to_audio(&mut relay, &mut browser, &first));
    // The sections change places, and so do their numbers inside.
    let mut rule = bundle_rule();
    rule.routes.reverse();
    relay.install(rule);
    assert!(!goes_to_audio(
        &mut relay,
        &mut browser,
        &rtp_of_type(VIDEO_SSRC, 2, 111)
    ));
}

#[test]
fn a_route_without_mid_blocks_its_payload_type_in_every_section() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    let mut rule = bundle_rule();
    let blocked = Route {
        select: Select {
            payload_types: vec![126],
            ..Select::default()
        },
        block: Some(BlockReason::Dtmf),
        ..Route::nowhere()
    };
    rule.routes.insert(0, blocked);
    relay.install(rule);
    let digit = browser.protect_rtp(&rtp_with_mid(AUDIO_SSRC, 1, 126, MID_EXTENSION, "0"));
    relay.drops(BROWSER, SHARED, &digit, DropReason::BlockedDtmf);
    // Reports of the stream that the digit belongs to, and of anybody else, go on.
    for sender in [AUDIO_SSRC, 0x99] {
        let report = browser.protect_rtcp(&receiver_report(sender, &[]));
        relay.forwards(BROWSER, SHARED, &report, out(AUDIO, PHONE));
    }
    let speech = rtp_with_mid(AUDIO_SSRC, 2, 0, MID_EXTENSION, "0");
    assert!(goes_to_audio(&mut relay, &mut browser, &speech));
}

#[test]
fn both_phone_ports_come_back_on_one_key() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    for sequence in 0..20 {
        // The same SSRC and sequence numbers on both ports would repeat key stream; different SSRCs do not.
        let audio = rtp(PHONE_SSRC, sequence);
        let sent = relay.forwards(PHONE, AUDIO, &audio, out(SHARED, BROWSER));
        assert_eq!(browser.unprotect_rtp(&sent), audio);
        let video = rtp_of_type(PHONE_VIDEO_SSRC, sequence, 96);
        let sent = relay.forwards(PHONE_VIDEO, VIDEO, &video, out(SHARED, BROWSER));
        assert_eq!(browser.unprotect_rtp(&sent), video);
    }
    let clash = rtp_of_type(PHONE_SSRC, 5, 96);
    relay.drops(PHONE_VIDEO, VIDEO, &clash, DropReason::SendIndexReused);
}

#[test]
fn reports_follow_the_media() {
    let mut relay = Relay::new();
    let mut browser = bundled_call(&mut relay);
    goes_to_audio(
        &mut relay,
        &mut browser,
        &rtp_with_mid(AUDIO_SSRC, 1, 0, MID_EXTENSION, "0"),
    );
    goes_to_audio(
        &mut relay,
        &mut browser,
        &rtp_with_mid(VIDEO_SSRC, 1, 96, MID_EXTENSION, "1"),
    );
    relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, 1), out(SHARED, BROWSER));
    relay.forwards(
        PHONE_VIDEO,
        VIDEO,
        &rtp_of_type(PHONE_VIDEO_SSRC, 1, 96),
        out(SHARED, BROWSER),
    );

    let to_audio = out(AUDIO, PHONE);
    let to_video = out(VIDEO, PHONE_VIDEO);
    let picture_loss = b"\x81\xce\x00\x02\x00\x00\x00\x01\x0e\x0e\x0e\x0e".to_vec();
    let Some(RtcpPacket::PayloadFeedback(feedback)) =
        Compound::parse(&picture_loss).unwrap().packets().next()
    else {
        panic!("not feedback")
    };
    assert_eq!(feedback.media_ssrc, PHONE_VIDEO_SSRC);
    for (report, expected) in [
        // By the sender.
        (sender_report(AUDIO_SSRC, 1, &[about(PHONE_VIDEO_SSRC)]), to_audio),
        (sender_report(VIDEO_SSRC, 1, &[]), to_video),
        // A receiver that sends nothing itself: by the source it reports on.
        (receiver_report(1, &[about(PHONE_SSRC)]), to_audio),
        (receiver_report(1, &[about(PHONE_VIDEO_SSRC)]), to_video),
        (picture_loss, to_video),
        // By nothing: the first route.
        (receiver_report(1, &[]), to_audio),
    ] {
        let protected = browser.protect_rtcp(&report);
        assert_eq!(relay.forwards(BROWSER, SHARED, &protected, expected), report);
    }
}
