//! Every token that the modules of OpenSIPS and Kamailio treat by itself, worked examples, diagnostics, and
//! printing.

use super::*;
use crate::options::{
    AddressFamily, Bundle, DtlsRequest, Flag, Ice, IceMode, MediaType, Osrtp, Replace, RtcpMux, Sdes,
    SdesWord, SdpSection, Tos, TransportProtocol,
};
use crate::words::Word;
use std::time::Duration;

/// Options of an OpenSIPS string that has nothing to complain about.
#[track_caller]
fn opensips(text: &str) -> Options {
    clean(parse_opensips(text)).options
}

/// The same for Kamailio.
#[track_caller]
fn kamailio(text: &str) -> Options {
    clean(parse_kamailio(text)).options
}

#[track_caller]
fn clean(parsed: ParsedFlags) -> ModuleFlags {
    assert_eq!(parsed.diagnostics, []);
    parsed.flags
}

fn complaints(parsed: &ParsedFlags) -> Vec<String> {
    parsed.diagnostics.iter().map(ToString::to_string).collect()
}

/// The options that a JSON object, as a module would send it, stands for.
fn dictionary(json: &str) -> Options {
    let value = crate::json::decode(json.as_bytes(), &crate::Limits::default()).unwrap();
    let mut reader = Reader::default();
    value
        .as_dict()
        .unwrap()
        .iter()
        .for_each(|(key, value)| reader.key(key, value));
    assert_eq!(reader.ignored, []);
    reader.options
}

mod worked_examples {
    use super::*;

    #[test]
    fn browser_to_browser() {
        let text = "ICE=force-relay DTLS=passive";
        assert_eq!(
            opensips(text),
            dictionary(r#"{"ICE":"force-relay","DTLS":"passive"}"#)
        );
        assert_eq!(kamailio(text), opensips(text));
        let expected = Options {
            ice: Ice {
                mode: Some(IceMode::ForceRelay),
                ..Ice::default()
            },
            dtls: Some(DtlsRequest::Passive),
            ..Options::default()
        };
        assert_eq!(opensips(text), expected);
    }

    #[test]
    fn browser_to_phone() {
        let text = "RTP/AVP replace-session-connection replace-origin ICE=remove";
        let dict =
            r#"{"transport-protocol":"RTP/AVP","replace":["session-connection","origin"],"ICE":"remove"}"#;
        assert_eq!(opensips(text), dictionary(dict));
        assert_eq!(kamailio(text), opensips(text));
    }

    #[test]
    fn phone_to_browser() {
        let text = "UDP/TLS/RTP/SAVPF ICE=force";
        assert_eq!(
            opensips(text),
            dictionary(r#"{"transport-protocol":"UDP/TLS/RTP/SAVPF","ICE":"force"}"#)
        );
        assert_eq!(kamailio(text), opensips(text));
    }

    #[test]
    fn interfaces_and_lists() {
        let text = "trust-address RTP/SAVPF rtcp-mux-require SDES-off in-iface=priv out-iface=pub";
        let dict = r#"{"flags":["trust-address","SDES-off"],"transport-protocol":"RTP/SAVPF","rtcp-mux":["require"],"direction":["priv","pub"]}"#;
        assert_eq!(opensips(text), dictionary(dict));
    }
}

mod opensips_tokens {
    use super::*;

    #[test]
    fn key_with_a_value_is_a_key() {
        let read = opensips("TOS=184 label=x OSRTP=accept DTLS=off");
        assert_eq!((read.tos, read.label), (Some(Tos::Set(184)), Some("x".into())));
        assert_eq!(
            (read.osrtp, read.dtls),
            ([Osrtp::Accept].into(), Some(DtlsRequest::Off))
        );
    }

    #[test]
    fn brackets_are_lists_and_dictionaries() {
        let read = opensips(
            "ICE=[force trickle] sdp-attr=[audio=[add=[a..b c--d] substitute=[[x y]]] none=[remove=[z]]]",
        );
        assert_eq!(
            read.ice,
            Ice {
                mode: Some(IceMode::Force),
                trickle: true,
                ..Ice::default()
            }
        );
        assert_eq!(read.sdp_attr[0].add, ["a b", "c=d"]);
        assert_eq!(read.sdp_attr[0].substitute, [("x".to_owned(), "y".to_owned())]);
        assert_eq!(read.sdp_attr[1].section, SdpSection::Global);
    }

    #[test]
    fn bare_words_are_flags() {
        let read = opensips(
            "trust-address codec-strip-PCMU transcode-opus loop-protect strict-source asymmetric WebRTC",
        );
        assert_eq!(read.codec.strip, ["PCMU"]);
        assert_eq!(read.codec.transcode, ["opus"]);
        let flags = [
            Flag::TrustAddress,
            Flag::LoopProtect,
            Flag::StrictSource,
            Flag::Asymmetric,
            Flag::WebRtc,
        ];
        assert_eq!(read.flags, flags.into());
    }

    #[test]
    fn whole_transport_names() {
        for protocol in TransportProtocol::ALL
            .iter()
            .filter(|protocol| protocol.name().contains('/'))
        {
            assert_eq!(opensips(protocol.name()).transport_protocol, Some(*protocol));
        }
    }

    #[test]
    fn transport_by_parts() {
        for (text, expected) in [
            ("RTP", TransportProtocol::RtpAvp),
            ("AVP", TransportProtocol::RtpAvp),
            ("SRTP", TransportProtocol::RtpSavp),
            ("AVPF", TransportProtocol::RtpAvpf),
            ("SRTP AVPF", TransportProtocol::RtpSavpf),
            ("SRTP AVPF RTP", TransportProtocol::RtpAvpf),
            ("RTP/SAVPF AVP", TransportProtocol::RtpSavp),
            ("RTP/SAVPF RTP/AVP", TransportProtocol::RtpAvp),
        ] {
            assert_eq!(opensips(text).transport_protocol, Some(expected), "{text}");
        }
    }

    #[test]
    fn replace_words() {
        let read = opensips(
            "replace-origin replace-session-connection replace-username replace-session-name replace-SDP-version replace-zero-address",
        );
        let words = [
            Replace::Origin,
            Replace::SessionConnection,
            Replace::Username,
            Replace::SessionName,
            Replace::SdpVersion,
            Replace::ZeroAddress,
        ];
        assert_eq!(read.replace, words.into());
    }

    #[test]
    fn rtcp_mux_words() {
        let read = opensips("rtcp-mux-demux rtcp-mux-offer rtcp-mux-reject rtcp-mux-accept rtcp-mux-require");
        assert_eq!(read.rtcp_mux, RtcpMux::ALL.iter().copied().collect());
    }

    #[test]
    fn interfaces_come_in_pairs() {
        let read = opensips("out-iface=b in-iface=a");
        assert_eq!(
            (read.from_interface.as_deref(), read.to_interface.as_deref()),
            (Some("a"), Some("b"))
        );
        let alone = parse_opensips("ICE=force in-iface=a");
        assert_eq!(
            complaints(&alone),
            ["column 11: `in-iface=a`: needs `out-iface` beside it"]
        );
        assert!(alone.has_errors());
        assert_eq!(alone.flags.options.from_interface, None);
        let alone = parse_opensips("out-iface=b");
        assert_eq!(
            complaints(&alone),
            ["column 1: `out-iface=b`: needs `in-iface` beside it"]
        );
    }

    #[test]
    fn internal_and_external() {
        let read = opensips("internal external");
        assert_eq!(
            (read.from_interface.as_deref(), read.to_interface.as_deref()),
            (Some("internal"), Some("external"))
        );
        let crowd = parse_opensips("internal external internal");
        assert_eq!(
            complaints(&crowd),
            ["column 19: `internal`: more than two interfaces"]
        );
    }

    #[test]
    fn address_family_and_delete_delay() {
        let read = opensips("address-family=IP4 delete-delay=30");
        assert_eq!(
            (read.address_family, read.delete_delay),
            (Some(AddressFamily::Ip4), Some(Duration::from_secs(30)))
        );
        let wrong = parse_opensips("address-family=IPX");
        assert_eq!(
            complaints(&wrong),
            ["column 1: `address-family=IPX`: expected one of IP4, IP6"]
        );
    }

    #[test]
    fn repacketize_has_no_effect() {
        let parsed = parse_opensips("repacketize=20");
        assert_eq!(
            complaints(&parsed),
            ["column 1: `repacketize=20`: no relay knows it"]
        );
        assert!(!parsed.has_errors());
        assert!(parse_opensips("repacketize=x").has_errors());
        assert_eq!(
            complaints(&parse_opensips("repacketize")),
            ["column 1: `repacketize`: a value is missing"]
        );
    }

    #[test]
    fn orders_to_the_module() {
        let flags = clean(parse_opensips(
            "force-answer call-id=c from-tag=f to-tag=t via-branch-param=br7",
        ));
        assert!(flags.force_answer && flags.send_to_tag);
        assert_eq!(
            (flags.call_id, flags.from_tag, flags.to_tag),
            (Some("c".into()), Some("f".into()), Some("t".into()))
        );
        assert_eq!(flags.via_branch, Some(ViaBranch::Text("br7".into())));
        assert_eq!(flags.options, Options::default());
        assert!(clean(parse_opensips("to-tag")).send_to_tag);
        assert_eq!(clean(parse_opensips("callid=x")).call_id, Some("x".into()));
    }

    #[test]
    fn via_branches() {
        for (text, expected) in [
            ("via-branch=1", ViaBranch::First),
            ("via-branch=2", ViaBranch::Second),
            ("via-branch=auto", ViaBranch::Auto),
            ("via-branch=extra", ViaBranch::Extra),
        ] {
            assert_eq!(clean(parse_opensips(text)).via_branch, Some(expected));
        }
        let wrong = parse_opensips("via-branch=next");
        assert_eq!(
            complaints(&wrong),
            ["column 1: `via-branch=next`: expected one of 1, 2, auto, extra"]
        );
    }

    #[test]
    fn received_from_and_media_address() {
        let read = opensips("received-from=192.0.2.1 media-address=2001:db8::1");
        assert_eq!(read.received_from, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(read.media_address, Some("2001:db8::1".parse().unwrap()));
        assert_eq!(
            complaints(&parse_opensips("media-address")),
            ["column 1: `media-address`: a value is missing"]
        );
    }

    #[test]
    fn strings_of_rtp_relay() {
        let flags = clean(parse_opensips(
            "call-id=a84b from-tag=192 to-tag=a6c in-iface=x out-iface=y UDP/TLS/RTP/SAVPF ICE=force via-branch-param=br0",
        ));
        assert_eq!(
            flags.options.transport_protocol,
            Some(TransportProtocol::UdpTlsRtpSavpf)
        );
        assert_eq!(flags.via_branch, Some(ViaBranch::Text("br0".into())));
    }
}

mod kamailio_tokens {
    use super::*;

    #[test]
    fn lists_with_hyphen_or_equals_sign() {
        for (hyphen, equals) in [
            ("replace-origin", "replace=origin"),
            ("SDES-off", "SDES=off"),
            ("OSRTP-accept", "OSRTP=accept"),
            ("rtcp-mux-demux", "rtcp-mux=demux"),
            ("codec-strip-PCMU", "codec-strip=PCMU"),
            ("codec-offer-PCMU", "codec-offer=PCMU"),
            ("codec-mask-PCMU", "codec-mask=PCMU"),
            ("codec-set-PCMU", "codec-set=PCMU"),
            ("codec-except-PCMU", "codec-except=PCMU"),
            ("codec-accept-PCMU", "codec-accept=PCMU"),
            ("codec-consume-PCMU", "codec-consume=PCMU"),
            ("transcode-opus", "codec-transcode=opus"),
            ("codec-transcode-opus", "transcode=opus"),
        ] {
            assert_eq!(kamailio(hyphen), kamailio(equals), "{hyphen}");
            assert_ne!(kamailio(hyphen), Options::default(), "{hyphen}");
        }
    }

    #[test]
    fn fax_words() {
        use crate::T38;

        for text in ["T38-decode", "T.38-decode", "T38=decode", "T.38=[decode]"] {
            assert!(kamailio(text).t38.contains(T38::Decode), "{text}");
        }
        for text in ["T.38-no-V.17", "T.38=[no-V17]", "T38-no-V17"] {
            assert!(kamailio(text).t38.contains(T38::NoV17), "{text}");
        }
    }

    #[test]
    fn numbers() {
        let read = kamailio("TOS=-1 delete-delay=0");
        assert_eq!(
            (read.tos, read.delete_delay),
            (Some(Tos::Keep), Some(Duration::ZERO))
        );
    }

    #[test]
    fn direction_twice() {
        let read = kamailio("direction=a direction=b");
        assert_eq!(
            (read.from_interface.as_deref(), read.to_interface.as_deref()),
            (Some("a"), Some("b"))
        );
        assert_eq!(kamailio("direction=a").from_interface.as_deref(), Some("a"));
    }

    #[test]
    fn bare_dtls_is_part_of_the_transport() {
        for (text, expected) in [
            ("RTP/SAVPF DTLS", TransportProtocol::UdpTlsRtpSavpf),
            ("DTLS RTP/SAVP", TransportProtocol::RtpSavp),
            ("RTP/SAVP DTLS", TransportProtocol::UdpTlsRtpSavp),
            ("DTLS AVPF", TransportProtocol::UdpTlsRtpSavpf),
        ] {
            assert_eq!(kamailio(text).transport_protocol, Some(expected), "{text}");
        }
        assert!(matches!(
            parse_opensips("DTLS").diagnostics[0].problem,
            Problem::UnknownFlag { .. }
        ));
        assert_eq!(kamailio("DTLS=passive").dtls, Some(DtlsRequest::Passive));
    }

    #[test]
    fn via_branches() {
        for (text, expected) in [
            ("1", ViaBranch::First),
            ("2", ViaBranch::Second),
            ("auto", ViaBranch::Auto),
            ("extra", ViaBranch::Extra),
            ("next", ViaBranch::Next),
            ("auto-next", ViaBranch::AutoNext),
            ("next-auto", ViaBranch::AutoNext),
            ("auto-extra", ViaBranch::AutoExtra),
            ("extra-auto", ViaBranch::AutoExtra),
        ] {
            let flags = clean(parse_kamailio(&format!("via-branch={text}")));
            assert_eq!(flags.via_branch, Some(expected), "{text}");
        }
        assert!(parse_kamailio("via-branch=3").has_errors());
    }

    #[test]
    fn directional_selects() {
        assert!(kamailio("directional").has(Flag::Directional));
        assert!(opensips("directional").has(Flag::Directional));
    }
}

mod complaints {
    use super::*;

    #[test]
    fn every_mistake_of_a_string_is_told_with_its_place() {
        let parsed =
            parse_opensips("trust-adress ICE=fource foo=1 label= sdp-attr=[audio record-call via-branch");
        assert_eq!(
            complaints(&parsed),
            [
                "column 1: `trust-adress`: unknown flag; did you mean `trust-address`?",
                "column 14: `ICE=fource`: expected a known member",
                "column 25: `foo=1`: unknown key",
                "column 31: `label=`: a value is missing",
                "column 38: `sdp-attr=[audio record-call via-branch`: unbalanced bracket",
            ]
        );
        let severities: Vec<_> = parsed.diagnostics.iter().map(Diagnostic::severity).collect();
        assert_eq!(
            severities,
            [
                Severity::Warning,
                Severity::Error,
                Severity::Warning,
                Severity::Error,
                Severity::Error
            ]
        );
    }

    #[test]
    fn words_that_may_stand_there_are_listed() {
        let parsed = parse_opensips("DTLS=pasive");
        assert_eq!(
            complaints(&parsed),
            ["column 1: `DTLS=pasive`: expected one of off, passive, active"]
        );
    }

    #[test]
    fn wrong_member_of_a_list_is_named() {
        let parsed = parse_opensips("rtcp-mux=[offer maybe] codec=[strop=[x]] sdp-attr=[audio=[add=[a]] x]");
        assert_eq!(
            complaints(&parsed),
            [
                "column 1: `rtcp-mux=[offer maybe]`: `maybe`: expected a known member",
                "column 24: `codec=[strop=[x]]`: `x`: expected a known member",
                "column 42: `sdp-attr=[audio=[add=[a]] x]`: `x` in a dictionary has no `=`",
            ]
        );
        assert_eq!(parsed.flags.options.rtcp_mux, [RtcpMux::Offer].into());
    }

    #[test]
    fn of_many_mistakes_only_the_first_get_suggestions() {
        let text = "trust-adres ".repeat(10_000);
        for parsed in [parse_opensips(&text), parse_kamailio(&text)] {
            let suggested = |diagnostic: &Diagnostic| {
                matches!(diagnostic.problem, Problem::UnknownFlag { suggestion: Some(_) })
            };
            let with = parsed.diagnostics.iter().filter(|of| suggested(of)).count();
            assert_eq!((with, parsed.diagnostics.len()), (16, 10_000));
        }
    }

    #[test]
    fn mistyped_keys_get_a_suggestion() {
        for (text, expected) in [
            ("TOSS=1", "TOS"),
            ("transport-protcol=RTP/AVP", "transport-protocol"),
            ("lable=x", "label"),
        ] {
            let Problem::UnknownKey { suggestion } = parse_opensips(text).diagnostics[0].problem else {
                panic!("{text}")
            };
            assert_eq!(suggestion, Some(expected));
        }
    }

    #[test]
    fn brackets_that_go_too_deep() {
        let text = format!("x={}{}", "[".repeat(9), "]".repeat(9));
        assert_eq!(
            parse_opensips(&text).diagnostics[0].problem,
            Problem::TooDeep { limit: 8 }
        );
    }

    #[test]
    fn empty_string_says_nothing() {
        assert_eq!(clean(parse_opensips("  ")), ModuleFlags::default());
    }
}

mod printing {
    use super::*;

    #[track_caller]
    fn prints(flags: &ModuleFlags, expected: &str) {
        assert_eq!(print(flags), expected);
        assert_eq!(&clean(parse_opensips(expected)), flags);
    }

    #[test]
    fn profile_of_a_browser() {
        let mut options = Options {
            flags: [Flag::WebRtc, Flag::StrictSource].into(),
            ..Options::default()
        };
        options.expand_webrtc();
        prints(
            &options.into(),
            "UDP/TLS/RTP/SAVPF ICE=force trickle-ICE SDES-off rtcp-mux-offer rtcp-mux-require BUNDLE-offer BUNDLE-require \
             generate-mid no-rtcp-attribute strict-source",
        );
    }

    #[test]
    fn everything() {
        let text = "RTP/SAVP ICE=[optional ice2] ICE-lite=both DTLS=off DTLS-reverse=passive DTLS-fingerprint=sha-1 \
             SDES-pad SDES-no-X SDES-only-Y SDES-order:A;B OSRTP-offer rtcp-mux-demux BUNDLE-accept replace-origin \
             codec-strip-all codec-offer-opus/48000/2///x--1 in-iface=a out-iface=b address-family=IP6 \
             received-from=192.0.2.1 media-address=2001:db8::1 TOS=-1 label=l set-label=s metadata=k:v|l:w \
             sip-message-type=SIP-response sip-code=183 \
             sdp-attr=[audio=[add=[a..b c] remove=[d] substitute=[[e f] [g h]]] global=[add=[i]]] \
             sdp-media-remove=[video image] extmap=[strip=[urn:a urn:b] mask=[urn:c]] ptime=20 ptime-reverse=40 \
             endpoint-learning-off delete-delay=7 supports=load-limit loop-protect trust-address call-id=c from-tag=f \
             to-tag=t via-branch-param=br1 force-answer";
        let flags = clean(parse_opensips(text));
        prints(&flags, text);
        let options = &flags.options;
        assert_eq!(options.bundle, [Bundle::Accept].into());
        assert_eq!(
            options.sdp_media_remove,
            [MediaType::Video, MediaType::Image].into()
        );
        let words = [SdesWord::Pad].into();
        let (no, only) = (vec!["X".to_owned()], vec!["Y".to_owned()]);
        let order = vec!["A".to_owned(), "B".to_owned()];
        assert_eq!(
            options.sdes,
            Sdes {
                words,
                no,
                only,
                order,
                offerer_pref: Vec::new()
            }
        );
    }

    #[test]
    fn rare_forms() {
        for text in [
            "transport-protocol=accept",
            "transport-protocol=udptl",
            "ICE=ice2",
            "from-interface=a",
            "to-interface=b",
            "via-branch=1",
            "via-branch=2",
            "via-branch=auto",
            "via-branch=extra",
            "to-tag",
            "flags=to-tag",
            "TOS=0",
            "",
            "sdp-attr=[audio=[add=[x a---b a-=b]]]",
            "codec=[offer=[x fmtp-=1]]",
        ] {
            prints(&clean(parse_opensips(text)), text);
        }
        assert_eq!(
            print(&ModuleFlags {
                via_branch: Some(ViaBranch::AutoNext),
                ..ModuleFlags::default()
            }),
            "via-branch=auto-next"
        );
        assert_eq!(
            print(&ModuleFlags {
                via_branch: Some(ViaBranch::AutoExtra),
                ..ModuleFlags::default()
            }),
            "via-branch=auto-extra"
        );
        assert_eq!(
            print(&ModuleFlags {
                via_branch: Some(ViaBranch::Next),
                ..ModuleFlags::default()
            }),
            "via-branch=next"
        );
    }
}
