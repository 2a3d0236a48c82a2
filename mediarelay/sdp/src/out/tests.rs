//! The order and the forms of what is written.

use super::*;
use crate::attribute::{
    Candidate, Crypto, CryptoSuite, Direction, Fingerprint, HashFunction, IceCredentials, IceOptions,
    MasterKey, RemoteCandidate, RemoteCandidates, Rtcp, Setup, TlsId,
};
use crate::attribute::{CandidateAddress, Extmap};
use crate::connection::Connection;

fn text(out: &SessionOut) -> String {
    String::from_utf8(out.to_bytes()).unwrap().replace("\r\n", "\n")
}

fn connection() -> Connection {
    Connection::unicast("203.0.113.1".parse().unwrap())
}

fn sender(lines: &str) -> Session {
    Session::parse(lines.as_bytes()).unwrap()
}

/// The text of one media, without the session part.
fn media_text(media: MediaOut) -> String {
    let out = SessionOut {
        medias: vec![media],
        ..SessionOut::default()
    };
    text(&out)
        .split_once("m=")
        .map(|(_, media)| format!("m={media}"))
        .unwrap()
}

#[test]
fn session_lines_come_in_order() {
    let mut out = SessionOut::from_sender(&sender(
        "v=0\no=- 1 2 IN IP4 192.0.2.1\ns=call\ni=about\nu=http://x\ne=a@b\np=+1\nc=IN IP4 192.0.2.1\nb=TIAS:9\nb=X:1\n\
         b=AS:8\nt=3 4\na=ice-lite\na=tool:x\na=group:BUNDLE 0\na=sendonly\na=msid-semantic: WMS *\n",
    ));
    out.loop_marker = Some("0123456789ab".into());
    out.markers.push(b"music".to_vec());
    out.ice_lite = true;
    out.groups.push(Group::bundle(["0"]));
    out.edits.add.push(b"added:1".to_vec());
    assert_eq!(
        text(&out),
        "v=0\no=- 1 2 IN IP4 192.0.2.1\ns=call\ni=about\nu=http://x\ne=a@b\np=+1\nb=AS:8\nb=TIAS:9\nt=3 4\n\
         a=rtpengine:0123456789ab\na=music\na=ice-lite\na=group:BUNDLE 0\na=tool:x\na=msid-semantic: WMS *\na=added:1\n"
    );
}

#[test]
fn lines_end_with_cr_lf() {
    let bytes = SessionOut::default().to_bytes();
    assert_eq!(bytes, b"v=0\r\no=\r\ns=\r\nt=0 0\r\n");
}

#[test]
fn every_media_slot_comes_in_order() {
    let session = sender(
        "v=0\nm=audio 9 RTP/AVP 111 0\ni=about\nc=IN IP4 192.0.2.1\nb=AS:8\na=x-first\na=maxptime:60\na=ptime:20\n\
         a=rtcp-fb:111 nack\na=fmtp:111 a=b\na=rtpmap:111 opus/48000/2\na=extmap:4 urn:x\na=extmap-allow-mixed\n\
         a=sendonly\na=label:L\na=mid:m\na=x-second\na=rtcp-fb:* ccm fir\na=candidate:1 1 UDP 1 192.0.2.1 1 typ host\n\
         a=rtcp:1\na=setup:active\na=bundle-only\n",
    );
    let mut out = MediaOut::from_sender(session.media(0).unwrap());
    out.port = 30_000;
    out.connection = connection();
    out.bundle_only = true;
    out.rtcp = Some(Rtcp {
        port: 30_001,
        address: None,
    });
    out.rtcp_mux = true;
    out.cryptos
        .push(Crypto::new(1, CryptoSuite::AeadAes128Gcm, MasterKey(vec![0; 28])));
    out.setup = Some(Setup::Actpass);
    out.fingerprints
        .push(Fingerprint::new(HashFunction::Sha1, &[1; 20]).unwrap());
    out.tls_id = Some(TlsId("0123456789abcdef0123456789abcdef".into()));
    out.ice = Some(IceCredentials {
        ufrag: "uuuuuuuu".into(),
        pwd: "pppppppppppppppppppppppppp".into(),
    });
    out.ice_options = IceOptions(vec!["trickle".into()]);
    let address: std::net::IpAddr = "203.0.113.1".parse().unwrap();
    out.candidates.push(Candidate::host(
        "ffffffffffffffff",
        1,
        2_130_706_431,
        address,
        30_000,
    ));
    let chosen = RemoteCandidate {
        component: 1,
        address: CandidateAddress::Ip(address),
        port: 7,
    };
    out.remote_candidates = Some(RemoteCandidates(vec![chosen]));
    out.end_of_candidates = true;
    out.edits.add.push(b"added".to_vec());
    assert_eq!(
        media_text(out),
        format!(
            "m=audio 30000 RTP/AVP 111 0\ni=about\nc=IN IP4 203.0.113.1\nb=AS:8\n\
             a=mid:m\na=label:L\na=bundle-only\n\
             a=rtpmap:111 opus/48000/2\na=fmtp:111 a=b\na=rtcp-fb:111 nack\na=rtpmap:0 PCMU/8000\n\
             a=extmap-allow-mixed\na=extmap:4 urn:x\n\
             a=x-first\na=x-second\na=rtcp-fb:* ccm fir\n\
             a=sendonly\na=rtcp:30001\na=rtcp-mux\n\
             a=crypto:1 AEAD_AES_128_GCM inline:{}\n\
             a=setup:actpass\na=fingerprint:sha-1 {}\na=tls-id:0123456789abcdef0123456789abcdef\n\
             a=ptime:20\na=maxptime:60\n\
             a=ice-ufrag:uuuuuuuu\na=ice-pwd:pppppppppppppppppppppppppp\na=ice-options:trickle\n\
             a=candidate:ffffffffffffffff 1 UDP 2130706431 203.0.113.1 30000 typ host\n\
             a=remote-candidates:1 203.0.113.1 7\na=end-of-candidates\na=added\n",
            "A".repeat(38),
            ["01"; 20].join(":")
        )
    );
}

#[test]
fn rejected_media_keeps_formats_mid_and_label_only() {
    let session = sender(
        "v=0\nm=video 9 RTP/AVP 96 97\nb=AS:8\na=mid:1\na=label:L\na=rtpmap:96 VP8/90000\na=sendrecv\na=x\n",
    );
    let mut out = MediaOut::from_sender(session.media(0).unwrap());
    (out.port, out.connection, out.rejected) = (30_002, connection(), true);
    assert_eq!(
        media_text(out.clone()),
        "m=video 0 RTP/AVP 96 97\nc=IN IP4 0.0.0.0\nb=AS:8\na=mid:1\na=label:L\n"
    );
    out.connection = Connection::unicast("2001:db8::1".parse().unwrap());
    assert!(media_text(out).contains("\nc=IN IP6 ::\n"));
}

#[test]
fn empty_codec_list_falls_back_to_the_original_formats_and_then_to_zero() {
    let mut out = MediaOut::new("audio", 4, "RTP/AVP", connection());
    assert!(media_text(out.clone()).starts_with("m=audio 4 RTP/AVP 0\n"));
    out.formats = vec!["8".into(), "0".into()];
    assert!(media_text(out).starts_with("m=audio 4 RTP/AVP 8 0\n"));
}

#[test]
fn other_protocols_keep_their_formats_and_parameters() {
    let session = sender(
        "v=0\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=sctp-port:5000\na=fmtp:webrtc-datachannel x=1\n",
    );
    let mut out = MediaOut::from_sender(session.media(0).unwrap());
    (out.port, out.connection, out.direction) = (5, connection(), None);
    assert_eq!(
        media_text(out),
        "m=application 5 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 203.0.113.1\na=sctp-port:5000\n\
         a=fmtp:webrtc-datachannel x=1\n"
    );
}

#[test]
fn edits_remove_by_name_tag_and_whole() {
    let session = sender("v=0\nm=audio 9 RTP/AVP 0 8\na=x:1\na=y:1\na=y:2\na=fmtp:0 p\na=fmtp:8 p\n");
    let mut out = MediaOut::from_sender(session.media(0).unwrap());
    out.connection = connection();
    out.edits.remove = vec![
        b"X".to_vec(),
        b"y:2".to_vec(),
        b"fmtp:8".to_vec(),
        b"sendrecv".to_vec(),
    ];
    assert_eq!(
        media_text(out),
        "m=audio 0 RTP/AVP 0 8\nc=IN IP4 203.0.113.1\na=rtpmap:0 PCMU/8000\na=fmtp:0 p\na=rtpmap:8 PCMA/8000\na=y:1\n"
    );
}

#[test]
fn edits_substitute_the_whole_attribute() {
    let mut out = MediaOut::new("audio", 4, "RTP/AVP", connection());
    out.direction = Some(Direction::SendRecv);
    out.passed.push(b"x:1 more".to_vec());
    out.edits.substitute = vec![
        (b"sendrecv".to_vec(), b"recvonly".to_vec()),
        (b"x:1".to_vec(), b"z".to_vec()),
        (b"recvonly".to_vec(), b"never".to_vec()),
    ];
    assert_eq!(
        media_text(out),
        "m=audio 4 RTP/AVP 0\nc=IN IP4 203.0.113.1\na=z\na=recvonly\n"
    );
}

#[test]
fn values_cannot_bring_lines_of_their_own() {
    let mut out = SessionOut {
        name: b"x\r\na=evil".to_vec(),
        ..SessionOut::default()
    };
    out.edits.add.push(b"y\nm=audio 1 RTP/AVP 0\0".to_vec());
    let mut media = MediaOut::new("audio\r\n", 4, "RTP/AVP", connection());
    media.mid = Some("0\r\na=evil".into());
    media.extmaps.push(Extmap {
        id: 1,
        direction: None,
        uri: "u\n".into(),
        attributes: String::new(),
    });
    out.medias.push(media);
    let written = Session::parse(&out.to_bytes()).unwrap();
    assert_eq!(written.medias().len(), 1);
    assert!(!written.attributes().has("evil") && !written.media(0).unwrap().attributes().has("evil"));
}

#[test]
fn what_is_written_reads_as_it_was_meant() {
    let source = sender(include_str!("../../tests/data/chromium-offer.sdp"));
    let mut out = SessionOut::from_sender(&source);
    out.medias = source.medias().map(MediaOut::from_sender).collect();
    let written = Session::parse(&out.to_bytes()).unwrap();
    for (sent, written) in source.medias().zip(written.medias()) {
        assert_eq!(sent.codecs(), written.codecs());
        assert_eq!(sent.mid(), written.mid());
        let passed = |media: crate::Media<'_>| {
            media
                .passed_attributes()
                .map(|attribute| attribute.content.to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(passed(sent), passed(written));
        assert!(written.cryptos().next().is_none() && written.candidates().next().is_none());
    }
}

#[test]
fn a_plain_twin_stands_where_it_belongs() {
    let told = |twin| {
        let mut media = MediaOut::new("audio", 4_000, "RTP/SAVPF", connection());
        media.formats = vec!["8".to_owned()];
        media.cryptos = vec![Crypto::new(
            1,
            CryptoSuite::AesCm128HmacSha1_80,
            MasterKey(vec![1; 30]),
        )];
        media.twin = twin;
        let text = media_text(media);
        let lines = text.lines().filter(|line| !line.starts_with("a=crypto"));
        (
            lines.collect::<Vec<_>>().join("\n"),
            text.matches("a=crypto").count(),
        )
    };
    let (srtp, address) = ("m=audio 4000 RTP/SAVPF 8", "c=IN IP4 203.0.113.1");
    for (twin, expected) in [
        (None, format!("{srtp}\n{address}")),
        (
            Some(PlainTwin::RefusedBefore),
            format!("m=audio 0 RTP/AVPF 8\n{srtp}\n{address}"),
        ),
        (
            Some(PlainTwin::RefusedAfter),
            format!("{srtp}\n{address}\nm=audio 0 RTP/AVPF 8"),
        ),
        (
            Some(PlainTwin::Offered),
            format!("m=audio 4000 RTP/AVPF 8\n{address}\n{srtp}\n{address}"),
        ),
    ] {
        assert_eq!(told(twin), (expected, 1), "{twin:?}");
    }
}
