//! What happens to a call that is there already: hold, other addresses, other media, ICE restarts.

use std::time::Duration;

use viaduct_forward::{DropReason, Verdict};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::phone::Phone;
use crate::world::*;

/// Our proxy's flags for a re-offer of the phone, and the browser's answer to it.
const PHONE_RE_OFFERS: &str = PHONE_TO_WEB;

#[test]
fn a_phone_holds_a_browser_and_resumes() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    hear_each_other(&mut world, &mut browser, &mut phone);
    let ports = world.relay.gauges();

    let to_browser = world.sdp(&offer(
        &phone.sdp_with("RTP/AVP", &["a=sendonly"]),
        "p",
        Some("b"),
        PHONE_RE_OFFERS,
    ));
    assert!(
        to_browser.has("a=sendonly") && to_browser.has("a=setup:actpass"),
        "{}",
        to_browser.text
    );
    let held = browser
        .offer_with("recvonly")
        .replace("a=setup:actpass", "a=setup:active");
    let to_phone = world.sdp(&answer(&held, "p", "b", WEB_ANSWERS_PHONE));
    assert!(to_phone.has("a=recvonly"), "{}", to_phone.text);
    let (verdict, _) = browser.send(&mut world);
    assert_eq!(verdict, Verdict::Drop(DropReason::BlockedDirection));
    let (_, music) = phone.send(&mut world);
    assert_eq!(browser.received(&mut world), [music]);

    world.sdp(&offer(&phone.sdp(), "p", Some("b"), PHONE_RE_OFFERS));
    let resumed = browser
        .offer_with("sendrecv")
        .replace("a=setup:actpass", "a=setup:active");
    world.sdp(&answer(&resumed, "p", "b", WEB_ANSWERS_PHONE));
    hear_each_other(&mut world, &mut browser, &mut phone);
    let after = world.relay.gauges();
    assert_eq!(
        (after.flows, after.crypto, after.dtls_associations),
        (ports.flows, ports.crypto, 1)
    );
    assert_eq!(browser.nominated, 1, "ICE went on undisturbed");
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 2543: a connection address of zero.
#[test]
fn an_old_phone_holds_with_a_zero_address() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let held = caller.sdp().replace("c=IN IP4 198.51.100.9", "c=IN IP4 0.0.0.0");
    let to_callee = world.sdp(&offer(&held, "a", Some("b"), ""));
    assert!(to_callee.has("c=IN IP4 0.0.0.0"), "{}", to_callee.text);
    world.sdp(&answer(
        &callee.sdp_with("RTP/AVP", &["a=recvonly"]),
        "a",
        "b",
        "",
    ));
    let (verdict, _) = callee.send(&mut world);
    assert_eq!(verdict, Verdict::Drop(DropReason::BlockedDirection));
    let to_callee = world.sdp(&offer(&held, "a", Some("b"), "replace-zero-address"));
    assert!(to_callee.has(&format!("c=IN IP4 {RELAY}")), "{}", to_callee.text);
    world.sdp(&answer(
        &callee.sdp_with("RTP/AVP", &["a=recvonly"]),
        "a",
        "b",
        "",
    ));
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `bundle`: a party that was told to bundle is so for the whole call, whoever offers (RFC 9143 section 7.5).
#[test]
fn a_bundle_that_was_required_stays_over_re_offers_of_either_side() {
    const MID: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    for word in ["require", "strict"] {
        let mut world = World::new();
        let mut caller = Phone::new("198.51.100.9:4000", 1);
        let plain = format!(
            "{}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
            caller.sdp()
        );
        let mut callee = Phone::new("198.51.100.8:5000", 2);
        let bundled = format!(
            "{}a=mid:1\r\na=extmap-allow-mixed\r\n{MID}m=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:2\r\n{MID}",
            callee.sdp().replace("m=audio", "a=group:BUNDLE 1 2\r\nm=audio")
        );
        let first = world.sdp(&offer(&plain, "a", None, &format!("bundle=[{word}]")));
        let to_caller = world.sdp(&answer(&bundled, "a", "b", ""));
        let again = world.sdp(&offer(&plain, "a", Some("b"), ""));
        assert_eq!(again.value("group"), "BUNDLE 1 2", "{}", again.text);
        assert!(again.has("a=bundle-only"), "{}", again.text);
        assert_eq!([again.address(0), again.address(1)], [first.address(0); 2]);
        world.sdp(&answer(&bundled, "a", "b", ""));

        let reverse = world.sdp(&offer(&bundled, "b", Some("a"), ""));
        assert!(
            !reverse.has_attribute("group") && !reverse.has_attribute("extmap"),
            "{}",
            reverse.text
        );
        assert_eq!(
            [reverse.address(0), reverse.address(1)],
            [to_caller.address(0), to_caller.address(1)]
        );
        let back = world.sdp(&answer(&plain, "b", "a", ""));
        assert_eq!(back.value("group"), "BUNDLE 1 2", "{}", back.text);
        assert_eq!([back.address(0), back.address(1)], [first.address(0); 2]);
        assert!(back.has("a=extmap-allow-mixed"), "{}", back.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn a_re_offer_keeps_ports_credentials_and_roles() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let first = world.sdp(&offer(&browser.offer(), "b", None, WEB_TO_PHONE));
    phone.read(&first);
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
    browser.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut browser]);
    for _ in 0..3 {
        let second = world.sdp(&offer(
            &browser.offer_with("sendrecv"),
            "b",
            Some("p"),
            WEB_TO_PHONE,
        ));
        assert_eq!(second.address(0), first.address(0));
        let again = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        for name in [
            "ice-ufrag",
            "ice-pwd",
            "fingerprint",
            "setup",
            "tls-id",
            "candidate",
        ] {
            assert_eq!(again.values(name), to_browser.values(name), "{name}");
        }
        browser.read(&again);
        hear_each_other(&mut world, &mut browser, &mut phone);
    }
    world.ok(&delete_now());
    world.assert_empty();
}

/// The phone's re-offer asks the browser with `actpass`; a browser that shook hands as client answers `active`.
#[test]
fn a_re_offer_from_either_side_keeps_the_handshake() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    for _ in 0..2 {
        let to_browser = world.sdp(&offer(&phone.sdp(), "p", Some("b"), PHONE_RE_OFFERS));
        let to_phone = world.sdp(&answer(&browser.answer(&to_browser), "p", "b", WEB_ANSWERS_PHONE));
        phone.read(&to_phone);
        Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(1));
        hear_each_other(&mut world, &mut browser, &mut phone);
        let to_phone = world.sdp(&offer(
            &browser.offer_with("sendrecv"),
            "b",
            Some("p"),
            WEB_TO_PHONE,
        ));
        phone.read(&to_phone);
        browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB)));
        hear_each_other(&mut world, &mut browser, &mut phone);
    }
    assert_eq!(world.relay.counters().dtls_connected, 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_phone_that_moves_is_followed_at_once() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    hear_each_other(&mut world, &mut browser, &mut phone);
    phone.rtp = addr("198.51.100.50:7000");
    let to_browser = world.sdp(&offer(&phone.sdp(), "p", Some("b"), PHONE_RE_OFFERS));
    world.sdp(&answer(&browser.answer(&to_browser), "p", "b", WEB_ANSWERS_PHONE));
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.wait_millis(5_000);
    assert_eq!(
        world
            .rules
            .values()
            .filter(|rule| rule.key.remote == addr("198.51.100.9:4000"))
            .count(),
        0
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_ice_restart_keeps_keys_and_media() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut world = World::new();
        let (mut browser, mut phone) = (browser(), phone());
        phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
        let first = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        browser.read(&first);
        Browser::connect(&mut world, &mut [&mut browser]);
        hear_each_other(&mut world, &mut browser, &mut phone);

        let old = browser.relay;
        browser.restart_ice();
        world.sdp(&offer(&browser.offer_with("sendrecv"), "b", Some("p"), &flags));
        // Media flows on by the old path meanwhile.
        browser.relay = old;
        hear_each_other(&mut world, &mut browser, &mut phone);
        browser.relay = None;
        let second = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        assert_ne!(
            second.value("ice-ufrag"),
            first.value("ice-ufrag"),
            "RFC 8445 section 9: both sides change"
        );
        assert_eq!(second.address(0), first.address(0));
        browser.move_to("203.0.113.99:51000");
        browser.read(&second);
        Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(3));
        assert!(browser.relay.is_some(), "{flags}");
        hear_each_other(&mut world, &mut browser, &mut phone);
        assert_eq!(
            world.relay.counters().dtls_connected,
            1,
            "the association outlives the restart"
        );
        assert_eq!(world.relay.gauges().ufrags, 1);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// A page that is loaded anew has another certificate and another ICE.
#[test]
fn another_certificate_restarts_the_handshake() {
    let mut world = World::new();
    let (_old, mut phone) = established(&mut world);
    let mut reloaded = Browser::new("203.0.113.7:50555", 0xb000_0200);
    phone.read(&world.sdp(&offer(&reloaded.offer(), "b", Some("p"), WEB_TO_PHONE)));
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
    reloaded.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut reloaded]);
    hear_each_other(&mut world, &mut reloaded, &mut phone);
    assert_eq!(world.relay.counters().dtls_connected, 2);
    assert_eq!(world.relay.gauges().dtls_associations, 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn video_is_added_and_taken_away_again() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let with_video = |phone: &mut Phone, port: u16| {
        format!(
            "{}m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
            phone.sdp()
        )
    };
    let to_callee = world.sdp(&offer(&with_video(&mut caller, 4002), "a", Some("b"), ""));
    assert_eq!(to_callee.m_lines().len(), 2);
    let to_caller = world.sdp(&answer(&with_video(&mut callee, 6002), "a", "b", ""));
    let picture = crate::phone::rtp(0xcafe, 1, 96);
    world.receive(addr("198.51.100.9:4002"), to_caller.address(1), &picture);
    assert_eq!(world.take(addr("203.0.113.44:6002"))[0].data, picture);
    assert_eq!(world.relay.gauges().ports_in_use, 8);

    let without = |phone: &mut Phone| format!("{}m=video 0 RTP/AVP 96\r\n", phone.sdp());
    let to_callee = world.sdp(&offer(&without(&mut caller), "a", Some("b"), ""));
    assert_eq!(to_callee.m_lines()[1], "m=video 0 RTP/AVP 96");
    let to_caller = world.sdp(&answer(&without(&mut callee), "a", "b", ""));
    assert_eq!(to_caller.m_lines()[1], "m=video 0 RTP/AVP 96");
    assert_eq!(world.relay.gauges().ports_in_use, 4);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// `o=` counts up when the SDP changed, and only then.
#[test]
fn the_version_is_steady_while_nothing_changes() {
    let mut world = World::new();
    let (mut caller, mut callee) = (
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.44:6000", 2),
    );
    let version = |sdp: &Sdp| sdp.session.origin().unwrap().unwrap().version;
    let flags = "replace-origin replace-SDP-version";
    let first = version(&world.sdp(&offer(&caller.sdp(), "a", None, flags)));
    world.sdp(&answer(&callee.sdp(), "a", "b", flags));
    let same = version(&world.sdp(&offer(&caller.sdp(), "a", Some("b"), flags)));
    world.sdp(&answer(&callee.sdp(), "a", "b", flags));
    let held = version(&world.sdp(&offer(
        &caller.sdp_with("RTP/AVP", &["a=sendonly"]),
        "a",
        Some("b"),
        flags,
    )));
    assert_eq!((first.as_str(), same.as_str(), held.as_str()), ("1", "1", "2"));
    world.ok(&delete_now());
    world.assert_empty();
}

/// An offer that is never answered leaves media as it was.
#[test]
fn an_offer_that_is_refused_changes_nothing() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    world.sdp(&offer(
        &phone.sdp_with("RTP/SAVP", &["a=sendrecv"]),
        "p",
        Some("b"),
        PHONE_RE_OFFERS,
    ));
    // 488. The phone goes on with what was agreed.
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 8122 section 5: the hash of an answer is the peer's business, that of an offer ours.
#[test]
fn an_offer_has_a_strong_hash_though_the_peer_has_answered_with_a_weak_one() {
    let mut world = World::new();
    let (mut caller, mut callee) = crate::rewriting::phones();
    let flags = "RTP/SAVP SDES-off";
    world.sdp(&offer(&caller.sdp(), "a", None, flags));
    let weak = "a=fingerprint:sha-1 F1:D2:D2:F9:24:E9:86:AC:86:FD:F7:B3:6C:94:BC:DF:32:BE:EC:15";
    let sdp = callee.sdp_with("RTP/SAVP", &["a=setup:active", weak]);
    world.sdp(&answer(&sdp, "a", "b", ""));
    let again = world.sdp(&offer(&caller.sdp(), "a", Some("b"), flags));
    assert!(
        again.value("fingerprint").starts_with("sha-256 "),
        "{}",
        again.text
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `transport-protocol`: an answer may be told under another name, if its kind of keys stays what was agreed on.
#[test]
fn an_answer_gets_the_protocol_that_is_asked_for() {
    for (asked, told) in [
        ("RTP/AVPF", "RTP/AVPF"),
        ("RTP/SAVPF", "RTP/AVP"),
        ("", "RTP/AVP"),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = crate::rewriting::phones();
        world.sdp(&offer(&caller.sdp(), "a", None, ""));
        let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", asked));
        let m_line = to_caller.m_lines()[0];
        assert!(m_line.contains(&format!(" {told} ")), "{asked}: {m_line}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}
