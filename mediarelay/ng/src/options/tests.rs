//! The shorthand, and the spellings in which options are written.

use super::*;
use crate::value::{Dict, Value};
use crate::words::Word;

fn written(options: &Options) -> Dict {
    let mut dict = Dict::new();
    options.write(&mut dict);
    dict
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .unwrap()
        .as_list()
        .unwrap()
        .iter()
        .map(|text| text.to_bytes().unwrap().to_string())
        .collect()
}

#[test]
fn nothing_asked_for_writes_no_key() {
    assert!(written(&Options::default()).is_empty());
}

#[test]
fn webrtc_stands_for_what_a_browser_needs() {
    let mut options = Options {
        flags: [Flag::WebRtc].into(),
        ..Options::default()
    };
    options.expand_webrtc();
    assert_eq!(
        options,
        Options {
            transport_protocol: Some(TransportProtocol::UdpTlsRtpSavpf),
            ice: Ice {
                mode: Some(IceMode::Force),
                trickle: true,
                ..Ice::default()
            },
            rtcp_mux: [RtcpMux::Offer, RtcpMux::Require].into(),
            bundle: [Bundle::Offer, Bundle::Require].into(),
            sdes: Sdes {
                words: [SdesWord::Off].into(),
                ..Sdes::default()
            },
            flags: [Flag::NoRtcpAttribute, Flag::GenerateMid].into(),
            ..Options::default()
        }
    );
}

#[test]
fn webrtc_leaves_what_the_request_says_itself() {
    let mut options = Options {
        transport_protocol: Some(TransportProtocol::RtpSavpf),
        ice: Ice {
            mode: Some(IceMode::ForceRelay),
            ..Ice::default()
        },
        flags: [Flag::WebRtc].into(),
        ..Options::default()
    };
    options.expand_webrtc();
    assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpSavpf));
    assert_eq!(options.ice.mode, Some(IceMode::ForceRelay));
}

#[test]
fn without_the_shorthand_nothing_changes() {
    let mut options = Options::default();
    options.expand_webrtc();
    assert_eq!(options, Options::default());
}

#[test]
fn dtls_wish_is_read_by_either_name() {
    let (passive, off) = (Some(DtlsRequest::Passive), Some(DtlsRequest::Off));
    assert_eq!(Options::default().dtls_wish(), None);
    assert_eq!(
        Options {
            dtls_reverse: passive,
            ..Options::default()
        }
        .dtls_wish(),
        passive
    );
    assert_eq!(
        Options {
            dtls: off,
            dtls_reverse: passive,
            ..Options::default()
        }
        .dtls_wish(),
        off
    );
}

/// rtpengine 10.5 reads `ICE` only as a string, `endpoint-learning` only as a list, and no `from-interface`.
#[test]
fn kinds_of_values_are_those_of_the_old_release() {
    let options = Options {
        ice: Ice {
            mode: Some(IceMode::Force),
            trickle: true,
            ..Ice::default()
        },
        endpoint_learning: Some(EndpointLearning::Off),
        from_interface: Some("priv".into()),
        to_interface: Some("pub".into()),
        ..Options::default()
    };
    let dict = written(&options);
    assert_eq!(dict.get("ICE"), Some(&Value::text("force")));
    assert_eq!(texts(dict.get("flags")), ["trickle-ICE"]);
    assert_eq!(texts(dict.get("endpoint-learning")), ["off"]);
    assert_eq!(texts(dict.get("direction")), ["priv", "pub"]);
    assert!(dict.get("from-interface").is_none());
}

#[test]
fn every_key_has_its_canonical_spelling() {
    let attr = SdpAttr {
        section: SdpSection::Media(MediaType::Audio),
        add: vec!["a:1".into()],
        remove: vec!["b".into()],
        substitute: vec![("c".into(), "d e".into())],
    };
    let options = Options {
        to_interface: Some("x".into()),
        address_family: Some(AddressFamily::Ip6),
        received_from: Some("2001:db8::1".parse().unwrap()),
        media_address: Some("192.0.2.1".parse().unwrap()),
        tos: Some(Tos::Keep),
        alias_key: Some(AliasKey::Sdp),
        media_echo: Some(MediaEcho::Forward),
        label: Some("l".into()),
        set_label: Some("s".into()),
        metadata: Some("k:v".into()),
        sip_message_type: Some(SipMessageType::Response),
        sip_code: Some(183),
        transport_protocol: Some(TransportProtocol::RtpSavp),
        dtls: Some(DtlsRequest::Off),
        dtls_reverse: Some(DtlsRequest::Passive),
        dtls_fingerprint: Some(FingerprintHash::Sha1),
        sdes: Sdes {
            no: vec!["X".into()],
            order: vec!["A".into(), "B".into()],
            ..Sdes::default()
        },
        osrtp: [Osrtp::Accept].into(),
        ice: Ice {
            mode: Some(IceMode::Force),
            ice2: true,
            lite: Some(IceLite::Both),
            trickle: false,
        },
        rtcp_mux: [RtcpMux::Demux].into(),
        bundle: [Bundle::Accept].into(),
        replace: [Replace::Origin, Replace::SdpVersion].into(),
        sdp_attr: vec![attr],
        sdp_media_remove: [MediaType::Video].into(),
        extmap_strip: vec!["urn:x".into()],
        codec: CodecOptions {
            strip: vec!["all".into()],
            offer: vec!["PCMA".into()],
            ..CodecOptions::default()
        },
        ptime: Some(20),
        ptime_reverse: Some(30),
        delete_delay: Some(Duration::from_secs(5)),
        supports_load_limit: true,
        flags: [Flag::TrustAddress].into(),
        ..Options::default()
    };
    let json = String::from_utf8(crate::json::encode(&Value::Dict(written(&options)))).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"to-interface":"x","address-family":"IP6","received-from":["IP6","2001:db8::1"],"#,
            r#""media-address":"192.0.2.1","TOS":-1,"alias-key":"SDP","media-echo":"forward","label":"l","set-label":"s","metadata":"k:v","#,
            r#""sip-message-type":"SIP response","sip-code":183,"transport-protocol":"RTP/SAVP","DTLS":"off","#,
            r#""DTLS-reverse":"passive","DTLS-fingerprint":"sha-1","SDES":["no-X","order:A;B"],"OSRTP":["accept"],"#,
            r#""ICE":["force","ice2"],"ICE-lite":"both","rtcp-mux":["demux"],"bundle":["accept"],"#,
            r#""replace":["origin","SDP-version"],"#,
            r#""sdp-attr":{"audio":{"add":["a:1"],"remove":["b"],"substitute":[["c","d e"]]}},"#,
            r#""sdp-media-remove":["video"],"extmap":{"strip":["urn:x"]},"codec":{"strip":["all"],"offer":["PCMA"]},"#,
            r#""ptime":20,"ptime-reverse":30,"delete-delay":5,"supports":["load limit"],"flags":["trust-address"]}"#,
        )
    );
}

#[test]
fn words_read_their_own_names() {
    fn check<W: Word>() {
        for word in W::ALL {
            assert_eq!(W::from_text(word.name()), Some(*word));
            assert!(
                word.aliases()
                    .iter()
                    .all(|alias| W::from_text(alias) == Some(*word)),
                "{word:?}"
            );
        }
    }
    check::<AddressFamily>();
    check::<AliasKey>();
    check::<Bundle>();
    check::<DtlsRequest>();
    check::<EndpointLearning>();
    check::<FingerprintHash>();
    check::<Flag>();
    check::<IceLite>();
    check::<IceMode>();
    check::<MediaEcho>();
    check::<MediaType>();
    check::<Osrtp>();
    check::<Replace>();
    check::<RtcpMux>();
    check::<SdesWord>();
    check::<SipMessageType>();
    check::<TransportProtocol>();
}
