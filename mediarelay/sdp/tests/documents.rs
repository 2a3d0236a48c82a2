//! The documents of `tests/data`: each comes out as it went in, and says what its sender meant.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use viaduct_sdp::{
    AddressFamily, CandidateAddress, Connection, CryptoSuite, Direction, Extmap, Fmtp, Label, MediaKind,
    Msid, Protocol, Reason, RtcpFb, Session, Setup, Ssrc,
};

macro_rules! documents {
    ($($test:ident = $file:literal;)*) => {
        $(
            mod $test {
                const SOURCE: &[u8] = include_bytes!(concat!("data/", $file));

                #[test]
                fn comes_out_octet_for_octet() {
                    let session = viaduct_sdp::Session::parse(SOURCE).unwrap();
                    assert_eq!(session.source(), SOURCE);
                    // Put together again from the indexed lines, so that none is lost or doubled.
                    let edits = viaduct_sdp::Edits::new(&session);
                    assert_eq!(edits.apply(), SOURCE);
                    let mut rewritten = viaduct_sdp::Edits::new(&session);
                    for line in session.lines() {
                        rewritten.replace(line.number, line.content);
                    }
                    assert_eq!(rewritten.apply(), SOURCE);
                }
            }
        )*
    };
}

documents! {
    chromium_offer = "chromium-offer.sdp";
    t38_msrp_bfcp = "t38-msrp-bfcp.sdp";
    sdes = "sdes.sdp";
    unknown_attributes = "unknown-attributes.sdp";
    trailing_spaces = "trailing-spaces.sdp";
    desk_phone = "desk-phone.sdp";
    name_space = "name-space.sdp";
    declined_media = "declined-media.sdp";
    empty_name = "empty-name.sdp";
    ipv6_multicast = "ipv6-multicast.sdp";
    late_connection = "late-connection.sdp";
    early_attributes = "early-attributes.sdp";
    lf_only = "lf-only.sdp";
    no_final_line_end = "no-final-line-end.sdp";
    no_timing = "no-timing.sdp";
    latin_1 = "latin-1.sdp";
    firefox_offer = "firefox-offer.sdp";
    jssip_offer = "jssip-offer.sdp";
    baresip_offer = "baresip-offer.sdp";
    sipp_offer = "sipp-offer.sdp";
    yealink_offer = "yealink-offer.sdp";
    t38_reinvite = "t38-reinvite.sdp";
}

fn parse(source: &'static [u8]) -> Session {
    Session::parse(source).unwrap()
}

#[test]
fn chromium_offers_two_bundled_medias_over_dtls() {
    let session = parse(include_bytes!("data/chromium-offer.sdp"));
    let [audio, video] = session.medias().collect::<Vec<_>>()[..] else {
        panic!("two medias")
    };
    assert_eq!((audio.kind(), video.kind()), (MediaKind::Audio, MediaKind::Video));
    assert_eq!(audio.protocol(), Protocol::UdpTlsRtpSavpf);
    assert_eq!(session.bundle_groups()[0].mids, ["0", "1"]);
    assert_eq!(
        (audio.mid().as_deref(), video.mid().as_deref()),
        (Some("0"), Some("1"))
    );
    assert_eq!(audio.effective_setup().unwrap(), Some(Setup::Actpass));
    assert!(audio.effective_connection().unwrap().unwrap().is_zero());
    assert!(audio.rtcp_mux() && audio.attributes().has("rtcp-rsize"));
    assert_eq!(audio.effective_ice().unwrap().unwrap().ufrag, "Xk3f");
    assert!(audio.effective_ice_options().trickle());
    assert!(!session.ice_lite());
    assert_eq!(audio.effective_fingerprints().len(), 1);
    assert_eq!(video.attributes().all::<RtcpFb>().count(), 13);
    assert_eq!(
        audio.attributes().one::<Ssrc>().unwrap().unwrap().ssrc,
        1_479_742_055
    );
}

#[test]
fn chromium_candidates_tell_names_and_tcp_from_what_is_reachable() {
    let session = parse(include_bytes!("data/chromium-offer.sdp"));
    let candidates: Vec<_> = session
        .media(0)
        .unwrap()
        .candidates()
        .map(Result::unwrap)
        .collect();
    assert!(matches!(&candidates[0].address, CandidateAddress::Mdns(name) if name.ends_with(".local")));
    let reachable: Vec<_> = candidates
        .iter()
        .map(viaduct_sdp::Candidate::is_reachable)
        .collect();
    assert_eq!(reachable, [false, true, false]);
    assert_eq!(candidates[1].extension("network-cost"), Some("999"));
}

#[test]
fn firefox_session_level_lines_hold_for_its_media() {
    let session = parse(include_bytes!("data/firefox-offer.sdp"));
    let audio = session.media(0).unwrap();
    assert_eq!(audio.effective_fingerprints().len(), 1);
    assert!(audio.effective_ice_options().trickle());
    assert_eq!(audio.effective_direction(), Direction::SendRecv);
    let extmap = audio.attributes().all::<Extmap>().nth(1).unwrap().unwrap();
    assert_eq!((extmap.id, extmap.direction.as_deref()), (2, Some("recvonly")));
    let codecs = audio.codecs();
    assert_eq!(
        codecs
            .iter()
            .map(viaduct_sdp::Codec::encoding)
            .collect::<Vec<_>>(),
        ["opus", "G722", "PCMU", "PCMA", "telephone-event"]
    );
    assert_eq!(
        session.origin().unwrap().unwrap().username,
        "mozilla...THIS_IS_SDPARTA-99.0"
    );
}

#[test]
fn jssip_offer_keeps_relay_candidates_and_wildcard_feedback() {
    let session = parse(include_bytes!("data/jssip-offer.sdp"));
    let [audio, video] = session.medias().collect::<Vec<_>>()[..] else {
        panic!("two medias")
    };
    assert_eq!(audio.candidates().filter(Result::is_ok).count(), 3);
    assert_eq!(audio.effective_fingerprints()[0].hash().name(), "sha-1");
    let passed: Vec<_> = video
        .passed_attributes()
        .map(|attribute| attribute.name)
        .collect();
    assert_eq!(passed, ["rtcp-fb", "rid", "rid", "simulcast"]);
}

#[test]
fn desk_phones_offer_plain_rtp() {
    for (source, address, port) in [
        (&include_bytes!("data/desk-phone.sdp")[..], "192.168.1.50", 11_780),
        (include_bytes!("data/sipp-offer.sdp"), "127.0.1.1", 6_000),
        (include_bytes!("data/baresip-offer.sdp"), "10.0.0.12", 14_620),
        (include_bytes!("data/yealink-offer.sdp"), "172.16.4.21", 12_250),
    ] {
        let session = parse(source);
        let audio = session.media(0).unwrap();
        assert_eq!((audio.protocol(), audio.port()), (Protocol::RtpAvp, port));
        let expected = Connection::unicast(address.parse().unwrap());
        assert_eq!(audio.effective_connection().unwrap(), Some(expected));
        assert!(audio.effective_ice().unwrap().is_none() && audio.effective_fingerprints().is_empty());
    }
}

#[test]
fn baresip_names_its_rtcp_port_and_label() {
    let session = parse(include_bytes!("data/baresip-offer.sdp"));
    let audio = session.media(0).unwrap();
    assert_eq!(audio.rtcp().unwrap().unwrap().port, 14_621);
    assert_eq!(audio.attributes().one::<Label>().unwrap().unwrap().0, "1");
}

#[test]
fn yealink_video_parameters_are_found_by_name() {
    let session = parse(include_bytes!("data/yealink-offer.sdp"));
    let fmtp = session
        .media(1)
        .unwrap()
        .attributes()
        .one::<Fmtp>()
        .unwrap()
        .unwrap();
    assert_eq!(fmtp.parameter("Packetization-Mode"), Some("0"));
    assert_eq!(fmtp.parameter("absent"), None);
}

#[test]
fn fax_chat_and_floor_control_keep_their_formats() {
    let session = parse(include_bytes!("data/t38-msrp-bfcp.sdp"));
    let found: Vec<_> = session
        .medias()
        .map(|media| {
            (
                media.kind(),
                media.protocol(),
                media.formats().collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (MediaKind::Image, Protocol::Udptl, "t38".to_owned()),
            (MediaKind::Message, Protocol::Other, "*".to_owned()),
            (MediaKind::Application, Protocol::Other, "*".to_owned()),
        ]
    );
}

#[test]
fn sdes_keys_are_decoded_with_their_parameters() {
    let session = parse(include_bytes!("data/sdes.sdp"));
    let cryptos: Vec<_> = session.media(0).unwrap().cryptos().map(Result::unwrap).collect();
    let shown: Vec<_> = cryptos
        .iter()
        .map(|crypto| (crypto.tag, crypto.suite.clone(), crypto.keys[0].key.0.len()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, CryptoSuite::AesCm128HmacSha1_80, 30),
            (2, CryptoSuite::Aes256CmHmacSha1_80, 46),
            (3, CryptoSuite::AeadAes128Gcm, 28),
        ]
    );
    assert_eq!(cryptos[0].keys[0].lifetime.unwrap().packets(), 1 << 20);
    assert_eq!(cryptos[0].keys[0].mki.unwrap().octets, 4);
    assert!(cryptos[1].keys[0].padded);
}

#[test]
fn trailing_spaces_do_not_hide_attributes() {
    let session = parse(include_bytes!("data/trailing-spaces.sdp"));
    let audio = session.media(0).unwrap();
    assert_eq!(audio.formats().collect::<Vec<_>>(), ["0", "101"]);
    assert!(audio.rtcp_mux());
    assert_eq!(audio.attributes().direction(), Some(Direction::SendRecv));
    assert_eq!(
        audio.attributes().one::<viaduct_sdp::Ptime>().unwrap().unwrap().0,
        20
    );
    assert_eq!(
        audio.effective_connection().unwrap().unwrap().to_string(),
        "IN IP4 192.0.2.7"
    );
    assert_eq!(
        session.origin().unwrap().unwrap().to_string(),
        "- 1 1 IN IP4 192.0.2.7"
    );
}

#[test]
fn empty_and_blank_names_are_told_apart() {
    assert_eq!(
        parse(include_bytes!("data/empty-name.sdp")).name(),
        Some(&b""[..])
    );
    assert_eq!(
        parse(include_bytes!("data/name-space.sdp")).name(),
        Some(&b" "[..])
    );
}

#[test]
fn declined_media_is_rejected() {
    let session = parse(include_bytes!("data/declined-media.sdp"));
    assert_eq!(
        session
            .medias()
            .map(|media| media.is_rejected())
            .collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn first_of_several_connections_counts_and_the_session_fills_in() {
    let session = parse(include_bytes!("data/ipv6-multicast.sdp"));
    let [audio, video] = session.medias().collect::<Vec<_>>()[..] else {
        panic!("two medias")
    };
    assert_eq!(audio.port_count(), 2);
    let audio = audio.effective_connection().unwrap().unwrap();
    assert_eq!(
        (audio.to_string().as_str(), audio.multicast.as_deref()),
        ("IN IP4 233.252.0.1/127", Some("127"))
    );
    let video = video.effective_connection().unwrap().unwrap();
    assert_eq!(
        (video.address.family(), video.multicast.as_deref()),
        (AddressFamily::Ip6, Some("3"))
    );
}

#[test]
fn order_of_lines_in_a_section_does_not_matter() {
    let session = parse(include_bytes!("data/late-connection.sdp"));
    let audio = session.media(0).unwrap();
    assert_eq!(
        audio.effective_connection().unwrap().unwrap().to_string(),
        "IN IP4 192.0.2.88"
    );
    assert_eq!(audio.effective_direction(), Direction::RecvOnly);
    assert_eq!(session.attributes().direction(), Some(Direction::SendOnly));
    assert_eq!(
        audio
            .bandwidths()
            .map(|b| b.unwrap().to_string())
            .collect::<Vec<_>>(),
        ["TIAS:64000"]
    );
    let early = parse(include_bytes!("data/early-attributes.sdp"));
    assert_eq!(early.value(b't'), Some(&b"0 0"[..]));
}

#[test]
fn latin_1_spoils_only_the_reader_of_its_line() {
    let session = parse(include_bytes!("data/latin-1.sdp"));
    let error = session.origin().unwrap_err();
    assert_eq!((error.line, error.name, error.reason), (2, "o=", Reason::NotText));
    assert_eq!(session.name(), Some(&b"caf\xe9"[..]));
    let audio = session.media(0).unwrap();
    assert_eq!(audio.value(b'i'), Some(&b"salle \xe0 manger"[..]));
    let passed: Vec<_> = audio
        .passed_attributes()
        .map(|attribute| attribute.content)
        .collect();
    assert_eq!(passed, [b"x-name:J\xfcrgen"]);
}

#[test]
fn unknown_lines_are_kept_and_unknown_attributes_passed() {
    let session = parse(include_bytes!("data/unknown-attributes.sdp"));
    let passed: Vec<_> = session
        .attributes()
        .iter()
        .map(|attribute| (attribute.name, attribute.value))
        .collect();
    assert_eq!(
        passed,
        [
            ("x-session", Some(&b"one:two"[..])),
            ("tool", Some(b"libfoo 9.1")),
            ("", None),
        ]
    );
    let audio = session.media(0).unwrap();
    assert_eq!(audio.lines().last().unwrap().letter(), Some(b'z'));
    assert_eq!(
        audio.attributes().named("x-media").next().unwrap().value,
        Some(&b" leading space kept"[..])
    );
    // An attribute of RFC 3108 that is called `direction` says nothing about the flow.
    assert_eq!(audio.attributes().direction(), None);
    assert!(audio.attributes().one::<Msid>().unwrap().is_none());
}
