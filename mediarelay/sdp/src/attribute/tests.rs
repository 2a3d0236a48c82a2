//! Every typed attribute: what is read, what is refused and why, and that printing gives it back.

use std::fmt::Debug;

use super::*;

#[track_caller]
fn reads<T: TypedAttribute + PartialEq + Debug>(value: &str) -> T {
    let read = T::parse_value(value).unwrap_or_else(|reason| panic!("{}:{value}: {reason}", T::NAME));
    let again = T::parse_value(&read.to_string());
    assert_eq!(again.as_ref(), Ok(&read), "{}:{read}", T::NAME);
    read
}

/// Reads, and prints the same text.
#[track_caller]
fn keeps<T: TypedAttribute + PartialEq + Debug>(value: &str) -> T {
    let read = reads::<T>(value);
    assert_eq!(read.to_string(), value, "{}", T::NAME);
    read
}

#[track_caller]
fn refuses<T: TypedAttribute + PartialEq + Debug>(value: &str, reason: Reason) {
    assert_eq!(T::parse_value(value), Err(reason), "{}:{value}", T::NAME);
}

#[test]
fn rtpmap() {
    let opus = keeps::<RtpMap>("111 opus/48000/2");
    assert_eq!(
        (opus.payload_type, opus.clock_rate, opus.channels()),
        (111, 48_000, 2)
    );
    let pcmu = keeps::<RtpMap>("0 PCMU/8000");
    assert_eq!(pcmu.channels(), 1);
    assert!(pcmu.is_same_codec(&keeps("96 PCMU/8000/1")));
    assert!(pcmu.is_same_codec(&keeps("0 pcmu/8000")));
    assert!(!pcmu.is_same_codec(&keeps("0 PCMU/16000")));
    refuses::<RtpMap>("128 x/8000", Reason::OutOfRange("payload type"));
    refuses::<RtpMap>("x PCMU/8000", Reason::Malformed("payload type"));
    refuses::<RtpMap>("", Reason::Missing("payload type"));
    refuses::<RtpMap>("0", Reason::Missing("encoding name"));
    refuses::<RtpMap>("0 PCMU", Reason::Missing("clock rate"));
    refuses::<RtpMap>("0 PCMU/8k", Reason::Malformed("clock rate"));
    refuses::<RtpMap>("0 PCMU/99999999999", Reason::OutOfRange("clock rate"));
}

#[test]
fn fmtp() {
    let fmtp = keeps::<Fmtp>("111 minptime=10; UseInbandFec=1");
    assert_eq!(fmtp.parameter("useinbandfec"), Some("1"));
    reads::<Fmtp>("0");
    refuses::<Fmtp>("", Reason::Missing("format"));
}

#[test]
fn rtcp_fb() {
    assert_eq!(keeps::<RtcpFb>("96 nack pli").payload_type, Some(96));
    assert_eq!(keeps::<RtcpFb>("* ccm fir").payload_type, None);
    refuses::<RtcpFb>("96", Reason::Missing("feedback type"));
    refuses::<RtcpFb>("200 nack", Reason::OutOfRange("payload type"));
}

#[test]
fn packet_times() {
    assert_eq!(keeps::<Ptime>("20").0, 20);
    assert_eq!(keeps::<MaxPtime>("120").0, 120);
    refuses::<Ptime>("20.5", Reason::Malformed("packet time"));
    refuses::<MaxPtime>("", Reason::Missing("packet time"));
}

#[test]
fn rtcp() {
    assert_eq!(keeps::<Rtcp>("53020").address, None);
    assert!(keeps::<Rtcp>("53020 IN IP6 2001:db8::1").address.is_some());
    refuses::<Rtcp>("70000", Reason::OutOfRange("port"));
    refuses::<Rtcp>("1 IN IP4", Reason::Missing("address"));
    refuses::<Rtcp>("1 IN IP4 192.0.2.1 x", Reason::Trailing);
}

#[test]
fn ssrc_and_groups_of_them() {
    let ssrc = keeps::<Ssrc>("3735928559 msid:a b:c");
    assert_eq!(
        (ssrc.attribute.as_str(), ssrc.value.as_deref()),
        ("msid", Some("a b:c"))
    );
    keeps::<Ssrc>("1 previous-ssrc");
    refuses::<Ssrc>("4294967296 cname:x", Reason::OutOfRange("ssrc"));
    refuses::<Ssrc>("1", Reason::Missing("attribute"));
    assert_eq!(keeps::<SsrcGroup>("FID 1 2").ssrcs, [1, 2]);
    refuses::<SsrcGroup>("FID 1 x", Reason::Malformed("ssrc"));
}

#[test]
fn names_and_groups_of_media() {
    keeps::<Mid>("audio-0");
    refuses::<Mid>("a b", Reason::Malformed("mid"));
    keeps::<Label>("1");
    assert_eq!(keeps::<Msid>("stream track").track.as_deref(), Some("track"));
    keeps::<Msid>("-");
    assert!(keeps::<Group>("BUNDLE 0 1").is_bundle());
    assert!(!keeps::<Group>("LS 0 1").is_bundle());
    assert_eq!(keeps::<Group>("BUNDLE").mids.len(), 0);
    assert_eq!(Group::bundle(["0", "1"]).to_string(), "BUNDLE 0 1");
}

#[test]
fn extensions_and_restrictions() {
    keeps::<Extmap>("4 urn:ietf:params:rtp-hdrext:sdes:mid");
    let extmap = keeps::<Extmap>("255/sendonly urn:x attr=1 b");
    assert_eq!(extmap.attributes, "attr=1 b");
    refuses::<Extmap>("0 urn:x", Reason::OutOfRange("extension id"));
    refuses::<Extmap>("15 urn:x", Reason::OutOfRange("extension id"));
    refuses::<Extmap>("256 urn:x", Reason::OutOfRange("extension id"));
    refuses::<Extmap>("1", Reason::Missing("URI"));
    keeps::<Rid>("hi send pt=97;max-width=1280");
    keeps::<Rid>("hi send");
    refuses::<Rid>("hi", Reason::Missing("direction"));
    keeps::<Simulcast>("send hi;lo recv x");
}

#[test]
fn directions() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (direction, reversed) in [
        (SendRecv, SendRecv),
        (SendOnly, RecvOnly),
        (RecvOnly, SendOnly),
        (Inactive, Inactive),
    ] {
        assert_eq!(direction.reversed(), reversed);
        assert_eq!(Direction::from_name(direction.name()), Some(direction));
        assert_eq!(Direction::new(direction.sends(), direction.receives()), direction);
    }
    assert_eq!(SendRecv.and(SendOnly), SendOnly);
    assert_eq!(SendOnly.and(RecvOnly), Inactive);
    assert_eq!(Direction::from_name("Sendrecv"), None);
}

#[test]
fn setup_and_tls_id() {
    for word in ["active", "passive", "actpass", "holdconn"] {
        keeps::<Setup>(word);
    }
    assert_eq!(reads::<Setup>("ActPass"), Setup::Actpass);
    refuses::<Setup>("maybe", Reason::Unknown("role"));
    keeps::<TlsId>("0123456789abcdef0123456789abcdef");
    refuses::<TlsId>("short", Reason::OutOfRange("tls-id"));
    refuses::<TlsId>("0123456789abcdef0123 56789abcdef", Reason::Malformed("tls-id"));
}

#[test]
fn fingerprints_have_the_length_of_their_hash() {
    let sha1 = ["AB"; 20].join(":");
    let fingerprint = keeps::<Fingerprint>(&format!("sha-1 {sha1}"));
    assert_eq!(fingerprint.digest(), [0xab; 20]);
    // rtpengine's tests expect 59 characters for SHA-1 and 95 for SHA-256.
    assert_eq!((sha1.len(), ["00"; 32].join(":").len()), (59, 95));
    for (name, octets) in [("sha-224", 28), ("sha-256", 32), ("sha-384", 48), ("sha-512", 64)] {
        keeps::<Fingerprint>(&format!("{name} {}", vec!["0F"; octets].join(":")));
        refuses::<Fingerprint>(&format!("{name} {sha1}"), Reason::Malformed("fingerprint"));
    }
    assert_eq!(
        reads::<Fingerprint>(&format!("SHA-1 {}", sha1.to_lowercase())),
        fingerprint
    );
    refuses::<Fingerprint>(&format!("md5 {sha1}"), Reason::Unknown("hash function"));
    for broken in ["sha-1", "sha-1 AB", "sha-1 A:B", "sha-1 +A:BC"] {
        refuses::<Fingerprint>(broken, Reason::Malformed("fingerprint"));
    }
    assert_eq!(Fingerprint::new(HashFunction::Sha256, &[0; 20]), None);
}

#[test]
fn crypto_lines() {
    let key_40 = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    keeps::<Crypto>(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key_40}"));
    keeps::<Crypto>(&format!(
        "9 AES_CM_128_HMAC_SHA1_32 inline:{key_40}|2^31|1:4;inline:{key_40}|1000|2:4 KDR=1 UNENCRYPTED_SRTP"
    ));
    keeps::<Crypto>(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key_40}|66051:4"));
    keeps::<Crypto>("1 X_NEW_SUITE inline:AAAA");
    let read = reads::<Crypto>(&format!("1 aes_cm_128_hmac_sha1_80 INLINE:{key_40}"));
    assert_eq!(read.suite, CryptoSuite::AesCm128HmacSha1_80);
    for (value, reason) in [
        ("", Reason::Missing("tag")),
        ("x S inline:AAAA", Reason::Malformed("tag")),
        ("1000000000 S inline:AAAA", Reason::OutOfRange("tag")),
        ("1", Reason::Missing("crypto suite")),
        ("1 S", Reason::Missing("key")),
        ("1 S AAAA", Reason::Missing("key method")),
        ("1 S uri:AAAA", Reason::Unknown("key method")),
        ("1 S inline:", Reason::Malformed("key")),
        ("1 S inline:A", Reason::Malformed("key")),
        ("1 S inline:AA!A", Reason::Malformed("key")),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", Reason::Malformed("key")),
        ("1 S inline:AAAA|2^49", Reason::OutOfRange("lifetime")),
        ("1 S inline:AAAA|x", Reason::Malformed("lifetime")),
        ("1 S inline:AAAA|1:0", Reason::OutOfRange("MKI length")),
        ("1 S inline:AAAA|1:129", Reason::OutOfRange("MKI length")),
        ("1 S inline:AAAA|256:1", Reason::OutOfRange("MKI length")),
        ("1 S inline:AAAA|1:4|2^20", Reason::Trailing),
        ("1 S inline:AAAA|1|2", Reason::Trailing),
    ] {
        refuses::<Crypto>(value, reason);
    }
}

#[test]
fn keys_have_the_lengths_the_upstream_suites_expect() {
    // rtpengine's tests count the characters of unpadded base64 by cipher.
    let lengths: Vec<_> = CryptoSuite::KNOWN
        .iter()
        .map(|suite| {
            let (key, salt) = suite.key_and_salt_len().unwrap();
            let crypto = Crypto::new(1, suite.clone(), MasterKey(vec![7; key + salt]));
            let text = crypto.to_string();
            assert_eq!(Crypto::parse_value(&text), Ok(crypto));
            text.split_once("inline:").unwrap().1.len()
        })
        .collect();
    assert_eq!(lengths, [59, 38, 62, 62, 51, 51, 40, 40, 40, 40, 40, 40]);
}

#[test]
fn padding_of_keys_is_remembered() {
    let padded = keeps::<Crypto>("1 S inline:AA==");
    let unpadded = keeps::<Crypto>("1 S inline:AA");
    assert_eq!(padded.keys[0].key, unpadded.keys[0].key);
    assert_eq!((padded.keys[0].padded, unpadded.keys[0].padded), (true, false));
}

#[test]
fn keys_do_not_show_in_debug() {
    let crypto = reads::<Crypto>("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz");
    assert!(format!("{crypto:?}").contains("MasterKey(30 octets)"));
    assert!(!format!("{:?}", reads::<IcePwd>("x9cml/YzichV2+XlhiMu8g==")).contains("x9cml"));
}

#[test]
fn ice_credentials_and_options() {
    keeps::<IceUfrag>("8hhY");
    keeps::<IceUfrag>("a");
    refuses::<IceUfrag>("", Reason::Missing("ice-ufrag"));
    refuses::<IceUfrag>(&"a".repeat(257), Reason::OutOfRange("ice-ufrag"));
    refuses::<IceUfrag>("a b c", Reason::Malformed("ice-ufrag"));
    keeps::<IcePwd>("asd88fgpdd777uzjYhagZg");
    keeps::<IcePwd>("bd5e8b");
    refuses::<IcePwd>(&"a".repeat(257), Reason::OutOfRange("ice-pwd"));
    refuses::<IcePwd>("aé", Reason::Malformed("ice-pwd"));
    let strong = |ufrag: &str, pwd: &str| {
        IceCredentials {
            ufrag: ufrag.into(),
            pwd: pwd.into(),
        }
        .is_strong()
    };
    assert!(strong("8hhY", "asd88fgpdd777uzjYhagZg"));
    assert!(!strong("8hhY", "asd88fgpdd777uzjYhagZ"));
    assert!(!strong("8hh", "asd88fgpdd777uzjYhagZg"));
    let options = keeps::<IceOptions>("trickle ice2");
    assert!(options.trickle() && options.has("ice2") && !options.has("rtp+ecn"));
}

#[test]
fn candidates() {
    let host = keeps::<Candidate>("1 1 UDP 2130706431 192.0.2.1 5000 typ host");
    assert_eq!(
        host,
        Candidate::host("1", 1, 2_130_706_431, "192.0.2.1".parse().unwrap(), 5_000)
    );
    assert!(host.is_reachable());
    let reflexive = keeps::<Candidate>("2 2 UDP 1 2001:db8::1 5010 typ srflx raddr 10.0.1.1 rport 5010");
    assert_eq!(reflexive.related.as_ref().unwrap().1, 5_010);
    keeps::<Candidate>("3 1 UDP 1 192.0.2.1 1 typ prflx raddr 10.0.0.1 rport 1 generation 0 ufrag abcd");
    keeps::<Candidate>("4 1 UDP 1 192.0.2.1 1 typ relay raddr x.local rport 0");
    let tcp = keeps::<Candidate>("5 1 TCP 1 192.0.2.1 9 typ host tcptype active");
    assert_eq!((tcp.tcp_type, tcp.is_reachable()), (Some(TcpType::Active), false));
    keeps::<Candidate>("5 1 TCP 1 192.0.2.1 9 typ host tcptype so");
    keeps::<Candidate>("6 1 SCTP 1 192.0.2.1 9 typ other");
    assert!(!keeps::<Candidate>("7 1 UDP 1 host.example.org 9 typ host").is_reachable());
    assert!(!keeps::<Candidate>("7 1 UDP 1 192.0.2.1 0 typ host").is_reachable());
    let mdns = keeps::<Candidate>("8 1 UDP 1 0d3cfb8c.LOCAL 9 typ host");
    assert!(matches!(mdns.address, CandidateAddress::Mdns(_)));
    assert_eq!(
        reads::<Candidate>("1 1 udp 1 192.0.2.1 1 typ host").transport,
        Transport::Udp
    );
}

#[test]
fn candidates_refused() {
    for (value, reason) in [
        ("", Reason::Missing("foundation")),
        ("broken", Reason::Missing("component")),
        ("1 0 UDP 1 192.0.2.1 1 typ host", Reason::OutOfRange("component")),
        (
            "1 257 UDP 1 192.0.2.1 1 typ host",
            Reason::OutOfRange("component"),
        ),
        (
            "1 1 UDP 4294967296 192.0.2.1 1 typ host",
            Reason::OutOfRange("priority"),
        ),
        ("1 1 UDP -1 192.0.2.1 1 typ host", Reason::Malformed("priority")),
        ("1 1 UDP 1 192.0.2.1 65536 typ host", Reason::OutOfRange("port")),
        ("1 1 UDP 1 192.0.2.1 1", Reason::Missing("typ")),
        ("1 1 UDP 1 192.0.2.1 1 type host", Reason::Malformed("typ")),
        ("1 1 UDP 1 192.0.2.1 1 typ", Reason::Missing("candidate type")),
        (
            "1 1 UDP 1 192.0.2.1 1 typ srflx raddr 10.0.0.1",
            Reason::Missing("rport"),
        ),
        (
            "1 1 UDP 1 192.0.2.1 1 typ srflx rport 1",
            Reason::Missing("raddr"),
        ),
        (
            "1 1 UDP 1 192.0.2.1 1 typ host generation",
            Reason::Missing("extension value"),
        ),
        (
            "1 1 TCP 1 192.0.2.1 1 typ host tcptype x",
            Reason::Unknown("tcptype"),
        ),
        (
            "1 1 TCP 1 192.0.2.1 1 typ host tcptype so tcptype so",
            Reason::Malformed("extension"),
        ),
    ] {
        refuses::<Candidate>(value, reason);
    }
    let long = format!("{} 1 UDP 1 192.0.2.1 1 typ host", "f".repeat(33));
    refuses::<Candidate>(&long, Reason::OutOfRange("foundation"));
}

#[test]
fn remote_candidates() {
    let remote = keeps::<RemoteCandidates>("1 192.0.2.3 45664 2 2001:db8::1 45665");
    assert_eq!(remote.0.len(), 2);
    refuses::<RemoteCandidates>("", Reason::Missing("component"));
    refuses::<RemoteCandidates>("1 192.0.2.3", Reason::Missing("port"));
}

#[test]
fn long_lists_are_read_in_time() {
    let words: Vec<String> = (0..8_000).map(|number| number.to_string()).collect();
    let words = words.join(" ");
    let text = format!("v=0\r\na=group:BUNDLE {words}\r\nm=audio 9 RTP/AVP 0\r\na=ice-options:{words}\r\n");
    let session = Session::parse_within(
        text.as_bytes(),
        &crate::Limits {
            octets_max: 1 << 20,
            ..Default::default()
        },
    );
    let session = session.unwrap();
    assert_eq!(session.media(0).unwrap().effective_ice_options().0.len(), 8_000);
    assert_eq!(crate::check_answer(&session, &session), []);
}

#[test]
fn error_names_line_and_attribute() {
    let session = Session::parse(b"v=0\r\nm=audio 9 RTP/AVP 0\r\na=ptime:x\r\n").unwrap();
    let error = session.media(0).unwrap().attributes().one::<Ptime>().unwrap_err();
    assert_eq!(error.to_string(), "line 3: ptime: packet time is malformed");
    let latin = Session::parse(b"v=0\r\na=label:\xe9\r\n").unwrap();
    assert_eq!(
        latin.attributes().one::<Label>().unwrap_err().reason,
        Reason::NotText
    );
}

#[test]
fn attributes_of_the_media_come_before_those_of_the_session() {
    let text =
        b"v=0\r\na=setup:active\r\na=tls-id:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=ice-options:ice2\r\na=inactive\r\n\
        a=ice-ufrag:aaaa\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\n\
        m=audio 9 RTP/AVP 0\r\na=setup:passive\r\na=ice-options:trickle ice2\r\na=ice-ufrag:bbbb\r\n\
        a=ice-pwd:bbbbbbbbbbbbbbbbbbbbbb\r\nm=video 9 RTP/AVP 31\r\na=sendonly\r\n";
    let session = Session::parse(text).unwrap();
    let [audio, video] = session.medias().collect::<Vec<_>>()[..] else {
        panic!("two medias")
    };
    assert_eq!(audio.effective_setup(), Ok(Some(Setup::Passive)));
    assert_eq!(video.effective_setup(), Ok(Some(Setup::Active)));
    assert!(audio.effective_tls_id().unwrap().is_some());
    assert_eq!(audio.effective_ice_options().0, ["trickle", "ice2"]);
    assert_eq!(audio.effective_ice().unwrap().unwrap().ufrag, "bbbb");
    assert_eq!(video.effective_ice().unwrap().unwrap().ufrag, "aaaa");
    assert_eq!(audio.effective_direction(), Direction::Inactive);
    assert_eq!(video.effective_direction(), Direction::SendOnly);
}

#[test]
fn fingerprints_of_one_level_replace_those_of_the_other() {
    let (ours, theirs) = (["AA"; 20].join(":"), ["BB"; 20].join(":"));
    let text = format!(
        "v=0\r\na=fingerprint:sha-1 {ours}\r\nm=audio 9 RTP/AVP 0\r\na=fingerprint:md5 00\r\n\
         a=fingerprint:sha-1 {theirs}\r\nm=video 9 RTP/AVP 31\r\n"
    );
    let session = Session::parse(text.as_bytes()).unwrap();
    let shown: Vec<_> = session
        .medias()
        .map(|media| media.effective_fingerprints())
        .collect();
    assert_eq!(shown[0], [reads::<Fingerprint>(&format!("sha-1 {theirs}"))]);
    assert_eq!(shown[1], [reads::<Fingerprint>(&format!("sha-1 {ours}"))]);
}

#[test]
fn half_of_the_ice_credentials_is_none() {
    let session = Session::parse(b"v=0\r\nm=audio 9 RTP/AVP 0\r\na=ice-ufrag:aaaa\r\n").unwrap();
    assert_eq!(session.media(0).unwrap().effective_ice(), Ok(None));
}

#[test]
fn bundle_only_media_is_not_rejected() {
    let session = Session::parse(b"v=0\r\nm=video 0 RTP/AVP 31\r\na=bundle-only\r\n").unwrap();
    let media = session.media(0).unwrap();
    assert!(media.is_bundle_only() && !media.is_rejected());
}
