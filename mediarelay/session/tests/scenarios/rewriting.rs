//! What operators ask for in the SDP itself.

use viaduct_ng::{MediaType, Request, SdpAttr, SdpSection};

use crate::browser_and_phone::*;
use crate::phone::{Phone, rtp};
use crate::world::*;

fn change(request: Request, change: impl FnOnce(&mut viaduct_ng::Options)) -> Request {
    match request {
        Request::Offer(mut offer) => {
            change(&mut offer.options);
            Request::Offer(offer)
        }
        Request::Answer(mut answer) => {
            change(&mut answer.options);
            Request::Answer(answer)
        }
        other => other,
    }
}

pub(crate) fn phones() -> (Phone, Phone) {
    (
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.44:6000", 2),
    )
}

/// Firefox refuses a whole SDP over one m-line of T.38.
#[test]
fn media_that_the_reader_must_not_see_is_refused_toward_its_sender() {
    let mut world = World::new();
    let mut browser = browser();
    let with_fax = format!("{}m=image 4010 udptl t38\r\na=T38FaxVersion:0\r\n", phone().sdp());
    let request = change(offer(&with_fax, "p", None, PHONE_TO_WEB), |options| {
        options.sdp_media_remove.insert(MediaType::Image);
    });
    let to_browser = world.sdp(&request);
    assert_eq!(to_browser.m_lines().len(), 1, "{}", to_browser.text);
    let to_phone = world.sdp(&answer(&browser.answer(&to_browser), "p", "b", WEB_ANSWERS_PHONE));
    assert_eq!(to_phone.m_lines()[1], "m=image 0 udptl t38", "{}", to_phone.text);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn codecs_are_left_out_and_put_in_order() {
    for (flags, m_line) in [
        ("codec-strip-PCMU", "RTP/AVP 8 101"),
        (
            "codec-strip-all codec-except-PCMU codec-except-telephone-event",
            "RTP/AVP 0 101",
        ),
        ("codec-strip-all codec-offer-PCMU codec-offer-PCMA", "RTP/AVP 0 8"),
        ("codec-mask-PCMA", "RTP/AVP 0 101"),
        ("codec-strip-all", "RTP/AVP 8 0 101"),
    ] {
        let mut world = World::new();
        let (mut caller, _) = phones();
        let sdp = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        assert!(sdp.m_lines()[0].ends_with(m_line), "{flags}: {}", sdp.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
    let mut world = World::new();
    let sdp = world.sdp(&offer(
        &phones().0.sdp(),
        "a",
        None,
        "codec-strip-all allow-no-codec-media",
    ));
    assert!(sdp.m_lines()[0].starts_with("m=audio 0 "), "{}", sdp.text);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A phone's SDP with these formats and no others.
pub(crate) fn speaking(sdp: &str, formats: &str) -> String {
    let named = sdp.replace("RTP/AVP 8 0 101", &format!("RTP/AVP {formats}"));
    let is_kept = |line: &&str| {
        let of = line
            .strip_prefix("a=rtpmap:")
            .and_then(|map| map.split(' ').next());
        of.is_none_or(|of| formats.split(' ').any(|format| format == of))
    };
    named.split_inclusive("\r\n").filter(is_kept).collect()
}

/// A packet with one sound all through.
pub(crate) fn sounding(payload_type: u8, ssrc: u32, octet: u8) -> Vec<u8> {
    let mut packet = rtp(ssrc, 7, payload_type);
    packet[12..].fill(octet);
    packet
}

/// NG `codec` `accept`: a phone whose law of G.711 is taken, although the other one declines it, speaks it.
#[test]
fn a_law_that_is_accepted_is_converted_for_who_knows_the_other() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    let both = speaking(&caller.sdp(), "0 8 101");
    callee.read(&world.sdp(&offer(&both, "a", None, "codec-accept-PCMU")));
    let pcma = speaking(&callee.sdp(), "8 101");
    let to_caller = world.sdp(&answer(&pcma, "a", "b", ""));
    assert!(
        to_caller.m_lines()[0].ends_with("RTP/AVP 0 101") && to_caller.has("a=rtpmap:0 PCMU/8000"),
        "{}",
        to_caller.text
    );
    caller.read(&to_caller);
    let [to_a, to_b] = [caller.relay.unwrap(), callee.relay.unwrap()];
    world.receive(caller.rtp, to_a, &sounding(0, 1, 0x00));
    assert_eq!(callee.received(&mut world), [sounding(8, 1, 0x2a)]);
    world.receive(callee.rtp, to_b, &sounding(8, 2, 0x00));
    assert_eq!(caller.received(&mut world), [sounding(0, 2, 0x29)]);
    // An offer that does not ask for it ends it.
    callee.read(&world.sdp(&offer(&both, "a", Some("b"), "")));
    let to_caller = world.sdp(&answer(&pcma, "a", "b", ""));
    assert!(
        to_caller.m_lines()[0].ends_with("RTP/AVP 8 101"),
        "{}",
        to_caller.text
    );
    world.receive(callee.rtp, to_b, &sounding(8, 2, 0x00));
    assert_eq!(caller.received(&mut world), [sounding(8, 2, 0x00)]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_law_that_is_accepted_is_not_converted_without_need() {
    for (offered, accepts, answered, told) in [
        // The callee takes it.
        ("0 8 101", "PCMU", "0 8 101", "0 8 101"),
        // The caller likes the other one better.
        ("8 0 101", "PCMU", "8 101", "8 101"),
        // It was not offered.
        ("8 101", "PCMU", "8 101", "8 101"),
        // It is nothing that could be made of what the callee speaks.
        ("0 9 101", "PCMU", "9 101", "9 101"),
        ("9 8 101", "G722", "8 101", "8 101"),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let offered = speaking(&caller.sdp(), offered);
        world.sdp(&offer(&offered, "a", None, &format!("codec-accept-{accepts}")));
        let sdp = world.sdp(&answer(&speaking(&callee.sdp(), answered), "a", "b", ""));
        assert!(sdp.m_lines()[0].ends_with(&format!(" {told}")), "{}", sdp.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn packet_times_are_asked_for_in_both_directions() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    let request = change(offer(&caller.sdp(), "a", None, ""), |options| {
        options.ptime = Some(30);
        options.ptime_reverse = Some(60);
    });
    assert!(world.sdp(&request).has("a=ptime:30"));
    assert!(world.sdp(&answer(&callee.sdp(), "a", "b", "")).has("a=ptime:60"));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn attributes_are_added_removed_and_replaced() {
    let mut world = World::new();
    let sdp = phones()
        .0
        .sdp_with("RTP/AVP", &["a=x-remove:1", "a=x-old:1", "a=sendrecv"]);
    let of_audio = SdpAttr {
        add: vec!["x-new:1".to_owned()],
        remove: vec!["x-remove".to_owned()],
        substitute: vec![("x-old:1".to_owned(), "x-other:2".to_owned())],
        ..SdpAttr::new(SdpSection::Media(MediaType::Audio))
    };
    let of_session = SdpAttr {
        add: vec!["x-top".to_owned()],
        ..SdpAttr::new(SdpSection::Global)
    };
    let request = change(offer(&sdp, "a", None, ""), |options| {
        options.sdp_attr = vec![of_audio, of_session];
    });
    let told = world.sdp(&request);
    assert!(
        told.has("a=x-new:1") && told.has("a=x-other:2") && told.has("a=x-top"),
        "{}",
        told.text
    );
    assert!(
        !told.has("a=x-remove:1") && !told.has("a=x-old:1"),
        "{}",
        told.text
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn direction_attributes_may_be_left_as_they_are() {
    let mut world = World::new();
    let sdp = phones().0.sdp_with("RTP/AVP", &[]);
    assert!(world.sdp(&offer(&sdp, "a", None, "")).has("a=sendrecv"));
    assert!(
        !world
            .sdp(&offer(&sdp, "a", None, "original-sendrecv"))
            .has("a=sendrecv")
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// An origin with our address whose names and number stay, whoever is behind it.
#[test]
fn the_origin_stays_what_it_was_first_when_asked_for() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    let flags = "replace-origin-full replace-session-name replace-username";
    let first = world.sdp(&offer(&caller.sdp(), "a", None, flags));
    let origin = first.session.origin().unwrap().unwrap();
    assert_eq!(
        (origin.username.as_str(), origin.address.to_string()),
        ("desk", format!("IN IP4 {RELAY}"))
    );
    world.sdp(&answer(&callee.sdp(), "a", "b", flags));
    let renamed = caller
        .sdp_with("RTP/AVP", &["a=sendonly"])
        .replace("s=call", "s=other")
        .replace("o=desk 77", "o=office 78");
    let second = world.sdp(&offer(&renamed, "a", Some("b"), flags));
    assert!(second.has("s=call"), "{}", second.text);
    let after = second.session.origin().unwrap().unwrap();
    assert_eq!(after.session_id, origin.session_id);
    assert_eq!(after.username, origin.username);
    assert_ne!(after.version, origin.version);
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `replace`: `force-increment-sdp-ver` counts what is asked for, the same things among it.
#[test]
fn every_sdp_gets_a_version_of_its_own_when_asked_for() {
    let mut world = World::new();
    let sdp = phones().0.sdp();
    let versions = [(); 3].map(|()| {
        let told = world.sdp(&offer(&sdp, "a", None, "replace-force-increment-sdp-ver"));
        told.session.origin().unwrap().unwrap().version
    });
    assert_eq!(versions, ["1", "2", "3"]);
    world.ok(&delete_now());
    world.assert_empty();
}

/// RFC 8866 section 5.3: a name is a must. Chromium throws an SDP away over an empty one.
#[test]
fn a_session_without_a_name_gets_one() {
    for name in ["s=\r\n", "s= \r\n", ""] {
        let mut world = World::new();
        let sdp = phones().0.sdp().replace("s=call\r\n", name);
        let told = world.sdp(&offer(&sdp, "a", None, PHONE_TO_WEB));
        assert!(told.has("s=-") || told.has("s= "), "{}", told.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 3264 section 6.1; `single-codec` is rtpengine's flag for phones that change codec in mid-call.
#[test]
fn an_answer_has_what_was_offered_or_one_codec_of_it() {
    for (flags, m_line) in [("", "RTP/AVP 8 101"), ("single-codec", "RTP/AVP 8 101")] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let without = caller.sdp().replace(" 8 0 101", " 8 101");
        world.sdp(&offer(&without, "a", None, ""));
        let more = callee.sdp().replace(" 8 0 101", " 8 9 101");
        let told = world.sdp(&answer(&more, "a", "b", flags));
        assert!(told.m_lines()[0].ends_with(m_line), "{}", told.text);
    }
    let mut world = World::new();
    let (mut caller, mut callee) = phones();
    world.sdp(&offer(&caller.sdp(), "a", None, ""));
    let told = world.sdp(&answer(&callee.sdp(), "a", "b", "single-codec"));
    assert!(told.m_lines()[0].ends_with("RTP/AVP 8 101"), "{}", told.text);
}

/// RFC 4585 section 4.2: an endpoint that does not know them passes over them.
#[test]
fn feedback_lines_are_passed_on_whatever_the_profile() {
    let mut world = World::new();
    let (mut caller, _) = phones();
    let sdp = caller.sdp_with("RTP/AVP", &["a=rtcp-fb:8 ccm fir", "a=rtcp-fb:* nack"]);
    let told = world.sdp(&offer(&sdp, "a", None, ""));
    assert_eq!(told.values("rtcp-fb"), ["8 ccm fir", "* nack"], "{}", told.text);
}

/// NG `bundle`: m-lines keep ports of their own until the answer bundles them (RFC 9143 section 7.2.1); then packets go
/// to the first, and are told apart by the extension that the offer brings (RFC 9143 section 15).
#[test]
fn an_offered_bundle_is_shared_when_it_is_answered() {
    const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    let two = |phone: &mut Phone| {
        format!(
            "{}m=video 4010 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
            phone.sdp()
        )
    };
    for accepts in [true, false] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let request = change(offer(&two(&mut caller), "a", None, ""), |options| {
            options.bundle.insert(viaduct_ng::Bundle::Offer);
        });
        let told = world.sdp(&request);
        assert_eq!(told.values("group"), ["BUNDLE 1 2"], "{}", told.text);
        assert_eq!(told.values("extmap"), [format!("1 {MID}"), format!("1 {MID}")]);
        assert_ne!(told.address(0), told.address(1));
        let mut back = two(&mut callee).replace("m=audio", "a=group:BUNDLE 1 2\r\nm=audio");
        back = back.replace("m=video 4010 RTP/AVP 96", "a=mid:1\r\nm=video 6000 RTP/AVP 96") + "a=mid:2\r\n";
        if !accepts {
            back = two(&mut callee);
        }
        let back = back.replace("m=video", &format!("a=extmap:1 {MID}\r\nm=video"));
        callee.read(&told);
        let to_caller = world.sdp(&answer(&back, "a", "b", ""));
        caller.read(&to_caller);
        let (verdict, packet) = caller.send(&mut world);
        let received = callee.received(&mut world);
        let header = viaduct_rtp::RtpHeader::parse(&received[0]).unwrap();
        let named = header.extension().and_then(|extension| extension.element(1));
        assert_eq!(named, accepts.then_some(&b"1"[..]), "{verdict:?}");
        assert!(received[0].ends_with(&packet[12..]));
        assert!(!to_caller.has_attribute("group"), "{}", to_caller.text);
        assert_ne!(to_caller.address(0), to_caller.address(1));
        let legs: Vec<_> = world
            .query()
            .tags
            .get(b"b")
            .unwrap()
            .medias
            .iter()
            .map(|media| media.streams[0].local_port)
            .collect();
        assert_eq!(legs[0] == legs[1], accepts);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// Where m-lines have a payload type in common and nothing else tells their packets apart, they may not share a port
/// (RFC 9143 section 9.2).
#[test]
fn a_bundle_that_could_not_be_told_apart_is_answered_without() {
    const MID: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    for (of_video, extension, accepted) in [(0, "", false), (96, "", true), (0, MID, true)] {
        let mut world = World::new();
        let (mut caller, mut callee) = phones();
        let video =
            |port: u16| format!("m=video {port} RTP/AVP {of_video}\r\na=rtpmap:{of_video} VP8/90000\r\n");
        let bundled = format!(
            "{}a=mid:1\r\n{extension}{}a=mid:2\r\n{extension}",
            caller.sdp().replace("m=audio", "a=group:BUNDLE 1 2\r\nm=audio"),
            video(4000)
        );
        world.sdp(&offer(&bundled, "a", None, "bundle=[accept]"));
        let back = format!("{}{}", callee.sdp(), video(6010));
        let told = world.sdp(&answer(&back, "a", "b", ""));
        assert_eq!(told.has_attribute("group"), accepted, "{}", told.text);
        assert_eq!(told.address(0) == told.address(1), accepted, "{}", told.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// A packet with header extensions of the one-byte form.
fn with_extensions(packet: &[u8], extensions: &[(u8, &str)]) -> Vec<u8> {
    let mut elements = Vec::new();
    for (id, data) in extensions {
        elements.push(id << 4 | (data.len() - 1) as u8);
        elements.extend(data.as_bytes());
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    let mut with = packet[..12].to_vec();
    with[0] |= 0x10;
    with.extend([0xbe, 0xde, 0, (elements.len() / 4) as u8]);
    with.extend(elements);
    with.extend(&packet[12..]);
    with
}

/// NG `extmap`: what was left out of SDPs is left out of packets; what is masked is only the sender's business.
#[test]
fn header_extensions_that_were_not_agreed_on_are_left_out_of_packets() {
    const OFFERED: &[&str] = &["a=extmap:1 foo", "a=extmap:2 bar", "a=extmap:3 baz"];
    const ALL: [(u8, &str); 4] = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];
    for (flags, shown, told, passed) in [
        (
            "",
            &["1 foo", "2 bar", "3 baz"][..],
            &["1 foo", "2 bar"][..],
            &ALL[..],
        ),
        (
            "extmap=[strip=[foo]]",
            &["2 bar", "3 baz"],
            &["2 bar"],
            &ALL[1..2],
        ),
        (
            "extmap=[mask=[foo]]",
            &["2 bar", "3 baz"],
            &["1 foo", "2 bar"],
            &ALL[1..2],
        ),
        ("extmap=[strip=[all]]", &[], &[], &[]),
        ("strip-extmap", &[], &[], &[]),
        ("extmap=[mask=[all]]", &[], &["1 foo", "2 bar", "3 baz"], &[]),
    ] {
        let mut world = World::new();
        let mut caller = Phone::new("198.51.100.9:4000", 1);
        let mut callee = Phone::new("203.0.113.44:6000", 2);
        let to_callee = world.sdp(&offer(&caller.sdp_with("RTP/AVP", OFFERED), "a", None, flags));
        assert_eq!(to_callee.values("extmap"), shown, "{flags}");
        callee.read(&to_callee);
        // It takes the first two of those that it was shown.
        let taken = OFFERED[..2].iter().copied().filter(|line| to_callee.has(line));
        let answered = callee.sdp_with("RTP/AVP", &taken.collect::<Vec<_>>());
        let to_caller = world.sdp(&answer(
            &answered,
            "a",
            "b",
            if flags.contains("strip") { flags } else { "" },
        ));
        assert_eq!(to_caller.values("extmap"), told, "{flags}");
        caller.read(&to_caller);
        for (from, to) in [(&caller, &callee), (&callee, &caller)] {
            let plain = crate::phone::rtp(from.ssrc, 7, 8);
            world.receive(from.rtp, from.relay.unwrap(), &with_extensions(&plain, &ALL));
            let expected = match passed {
                [] => plain.clone(),
                passed => with_extensions(&plain, passed),
            };
            assert_eq!(to.received(&mut world), [expected], "{flags}");
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// RFC 8285 section 4.1.2: elements of the two-byte form are for who has agreed to both forms, or to identifiers that no other form
/// has.
#[test]
fn elements_of_header_extensions_have_a_form_that_their_receiver_takes() {
    const SENT: &[u8] = b"\x10\0\0\x06\x01\x01a\x02\x12as long as this is";
    for (offered, taken, expected) in [
        (
            &["a=extmap:1 foo", "a=extmap:2 bar", "a=extmap:3 baz"][..],
            &["a=extmap:1 foo", "a=extmap:2 bar"][..],
            &b"\xbe\xde\0\x01\x10a\0\0"[..],
        ),
        (
            &["a=extmap:1 foo", "a=extmap:2 bar", "a=extmap:3 baz"],
            &["a=extmap-allow-mixed", "a=extmap:1 foo", "a=extmap:2 bar"],
            SENT,
        ),
        (
            &["a=extmap:1 foo", "a=extmap:20 bar", "a=extmap:3 baz"],
            &["a=extmap:1 foo", "a=extmap:20 bar"],
            b"\x10\0\0\x01\x01\x01a\0",
        ),
    ] {
        let mut world = World::new();
        let mut caller = Phone::new("198.51.100.9:4000", 1);
        let mut callee = Phone::new("203.0.113.44:6000", 2);
        let flags = "extmap=[mask=[baz]]";
        callee.read(&world.sdp(&offer(&caller.sdp_with("RTP/AVP", offered), "a", None, flags)));
        caller.read(&world.sdp(&answer(&callee.sdp_with("RTP/AVP", taken), "a", "b", "")));
        let plain = crate::phone::rtp(caller.ssrc, 7, 8);
        let with = |extension: &[u8]| {
            let mut packet = [&plain[..12], extension, &plain[12..]].concat();
            packet[0] |= 0x10;
            packet
        };
        let mut sent = SENT.to_vec();
        sent.resize(28, 0);
        world.receive(caller.rtp, caller.relay.unwrap(), &with(&sent));
        let expected = if expected == SENT { &sent } else { expected };
        assert_eq!(callee.received(&mut world), [with(expected)], "{taken:?}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}
