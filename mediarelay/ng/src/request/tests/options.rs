//! The keys of sections 5.1 to 5.7, one module a section.

use super::*;

mod addresses {
    use super::*;

    #[test]
    fn direction_names_both_interfaces() {
        for keys in [
            r#""direction":["a","b"]"#,
            r#""direction":"a,b""#,
            r#""from-interface":"a","to interface":"b""#,
        ] {
            let read = options(keys);
            assert_eq!(
                (read.from_interface.as_deref(), read.to_interface.as_deref()),
                (Some("a"), Some("b")),
                "{keys}"
            );
        }
        let (read, ignored) = offer(r#""direction":["a","b","c"]"#);
        assert_eq!((read.to_interface.as_deref(), ignored.len()), (Some("b"), 1));
    }

    #[test]
    fn address_family() {
        assert_eq!(
            options(r#""address family":"IP6""#).address_family,
            Some(AddressFamily::Ip6)
        );
        ignores(
            r#""address-family":"IPX""#,
            &["address-family=IPX is unusable: expected one of IP4, IP6"],
        );
    }

    #[test]
    fn received_from_as_pair_or_alone() {
        for keys in [
            r#""received-from":["IP4","192.0.2.1"]"#,
            r#""received from":"192.0.2.1""#,
            r#""received-from":["IP6","192.0.2.1"]"#,
        ] {
            assert_eq!(
                options(keys).received_from,
                Some("192.0.2.1".parse().unwrap()),
                "{keys}"
            );
        }
        let bracketed = options(r#""received-from":["IP6","[2001:db8::1]"]"#);
        assert_eq!(bracketed.received_from, Some("2001:db8::1".parse().unwrap()));
        ignores(
            r#""received-from":["IP4"]"#,
            &["received-from is unusable: expected family and address"],
        );
    }

    #[test]
    fn tos_is_an_octet_or_keep_or_default() {
        for (tos, expected) in [
            ("0", Some(Tos::Set(0))),
            ("255", Some(Tos::Set(255))),
            ("-1", Some(Tos::Keep)),
            ("256", None),
        ] {
            assert_eq!(options(&format!(r#""TOS":{tos}"#)).tos, expected, "{tos}");
        }
    }

    #[test]
    fn names_and_metadata() {
        let read =
            options(r#""media address":"2001:db8::5","from-label":"a","set-label":"b","metadata":"k:v|l:w""#);
        assert_eq!(read.media_address, Some("2001:db8::5".parse().unwrap()));
        assert_eq!((read.label, read.set_label), (Some("a".into()), Some("b".into())));
        assert_eq!(read.metadata, Some("k:v|l:w".into()));
    }

    #[test]
    fn sip_message_type_and_code() {
        for (text, expected) in [
            ("SIP request", SipMessageType::Request),
            ("sip_request", SipMessageType::Request),
            ("request", SipMessageType::Request),
            ("SIP response", SipMessageType::Response),
            ("sip-reply", SipMessageType::Response),
            ("reply", SipMessageType::Response),
        ] {
            let read = options(&format!(r#""sip-message-type":"{text}","sip_code":"200""#));
            assert_eq!(
                (read.sip_message_type, read.sip_code),
                (Some(expected), Some(200)),
                "{text}"
            );
        }
    }
}

mod transport {
    use super::*;

    #[test]
    fn transport_protocols() {
        for protocol in TransportProtocol::ALL {
            let read = options(&format!(r#""transport-protocol":"{protocol}""#));
            assert_eq!(read.transport_protocol, Some(*protocol));
        }
    }

    #[test]
    fn dtls_words() {
        for (word, expected) in [
            ("off", DtlsRequest::Off),
            ("no", DtlsRequest::Off),
            ("disable", DtlsRequest::Off),
            ("passive", DtlsRequest::Passive),
            ("active", DtlsRequest::Active),
        ] {
            assert_eq!(options(&format!(r#""DTLS":"{word}""#)).dtls, Some(expected));
            assert_eq!(
                options(&format!(r#""dtls reverse":"{word}""#)).dtls_reverse,
                Some(expected)
            );
        }
    }

    #[test]
    fn dtls_fingerprint_hashes() {
        for (text, expected) in [
            ("SHA-1", FingerprintHash::Sha1),
            ("SHA-224", FingerprintHash::Sha224),
            ("sha-256", FingerprintHash::Sha256),
            ("SHA-384", FingerprintHash::Sha384),
            ("SHA-512", FingerprintHash::Sha512),
        ] {
            assert_eq!(
                options(&format!(r#""DTLS-fingerprint":"{text}""#)).dtls_fingerprint,
                Some(expected)
            );
        }
    }

    #[test]
    fn sdes_members_as_list_string_and_flags() {
        let list = options(
            r#""SDES":["off","UNENCRYPTED_SRTP","no-AES_CM_128_HMAC_SHA1_80","only-AEAD_AES_128_GCM","order:A;B","offerer_pref:C","priority"]"#,
        );
        let words = [SdesWord::Off, SdesWord::UnencryptedSrtp, SdesWord::Prefer];
        assert_eq!(list.sdes.words, words.into());
        assert_eq!(list.sdes.no, ["AES_CM_128_HMAC_SHA1_80"]);
        assert_eq!(list.sdes.only, ["AEAD_AES_128_GCM"]);
        assert_eq!(
            (list.sdes.order.join(" "), list.sdes.offerer_pref.join(" ")),
            ("A B".into(), "C".into())
        );
        let twins = flags(&[
            "SDES-off",
            "SDES-unencrypted_srtp",
            "SDES-no-AES_CM_128_HMAC_SHA1_80",
            "SDES-only-AEAD_AES_128_GCM",
            "SDES-order:A;B",
            "SDES-offerer_pref:C",
            "SDES-prefer",
        ]);
        assert_eq!(twins.sdes, list.sdes);
        assert!(twins.sdes.is_off());
    }

    #[test]
    fn every_sdes_word_is_read() {
        for word in SdesWord::ALL {
            assert!(
                options(&format!(r#""SDES":"{word}""#)).sdes.words.contains(*word),
                "{word}"
            );
        }
        for text in ["no", "disable", "disabled"] {
            assert!(options(&format!(r#""SDES":["{text}"]"#)).sdes.is_off());
        }
    }

    #[test]
    fn padding_of_keys_by_either_name() {
        assert_eq!(flags(&["pad-crypto"]).sdes, options(r#""SDES":["pad"]"#).sdes);
    }

    #[test]
    fn osrtp_members_and_flags() {
        let words = [Osrtp::Offer, Osrtp::AcceptRfc, Osrtp::AcceptLegacy];
        assert_eq!(
            options(r#""OSRTP":["offer-RFC","accept-rfc","accept-legacy"]"#).osrtp,
            words.into()
        );
        assert_eq!(
            flags(&["OSRTP-accept", "OSRTP-offer-legacy"]).osrtp,
            [Osrtp::Accept, Osrtp::OfferLegacy].into()
        );
    }
}

mod ice {
    use super::*;

    #[test]
    fn modes() {
        for (text, expected) in [
            ("default", IceMode::Default),
            ("remove", IceMode::Remove),
            ("force", IceMode::Force),
            ("optional", IceMode::Optional),
            ("force-relay", IceMode::ForceRelay),
            ("force_relay", IceMode::ForceRelay),
            ("force relay", IceMode::ForceRelay),
        ] {
            assert_eq!(
                options(&format!(r#""ICE":"{text}""#)).ice.mode,
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn list_members() {
        let read = options(r#""ICE":["force","trickle","ice2","lite-both"]"#).ice;
        assert_eq!(
            read,
            Ice {
                mode: Some(IceMode::Force),
                trickle: true,
                ice2: true,
                lite: Some(IceLite::Both)
            }
        );
        for (text, expected) in [
            ("lite", IceLite::Forward),
            ("lite-forward", IceLite::Forward),
            ("lite-backward", IceLite::Backward),
            ("lite-off", IceLite::Off),
            ("no-lite", IceLite::Off),
        ] {
            assert_eq!(
                options(&format!(r#""ICE":["{text}"]"#)).ice.lite,
                Some(expected),
                "{text}"
            );
        }
        ignores(
            r#""ICE":["fource"]"#,
            &["ICE=fource is unusable: expected a known member"],
        );
    }

    #[test]
    fn lite_by_its_own_key() {
        for (text, expected) in [
            ("off", IceLite::Off),
            ("none", IceLite::Off),
            ("forward", IceLite::Forward),
            ("fwd", IceLite::Forward),
            ("backward", IceLite::Backward),
            ("bk", IceLite::Backward),
            ("both", IceLite::Both),
        ] {
            assert_eq!(
                options(&format!(r#""ICE-lite":"{text}""#)).ice.lite,
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn trickle_as_flag() {
        assert!(flags(&["trickle-ICE"]).ice.trickle);
        assert!(flags(&["trickle ice"]).ice.trickle);
    }
}

mod multiplexing {
    use super::*;

    #[test]
    fn rtcp_mux_members_and_flags() {
        for word in RtcpMux::ALL {
            assert_eq!(
                options(&format!(r#""rtcp-mux":["{word}"]"#)).rtcp_mux,
                [*word].into()
            );
            assert_eq!(flags(&[&format!("rtcp-mux-{word}")]).rtcp_mux, [*word].into());
        }
    }

    #[test]
    fn bundle_members_and_flags() {
        for word in Bundle::ALL {
            assert_eq!(options(&format!(r#""BUNDLE":["{word}"]"#)).bundle, [*word].into());
            assert_eq!(flags(&[&format!("BUNDLE-{word}")]).bundle, [*word].into());
        }
    }

    #[test]
    fn generated_rtcp_as_flag_or_switch() {
        assert!(flags(&["generate-rtcp"]).has(Flag::GenerateRtcp));
        assert!(options(r#""generate RTCP":"on""#).has(Flag::GenerateRtcp));
        assert!(!options(r#""flags":["generate-RTCP"],"generate-RTCP":"off""#).has(Flag::GenerateRtcp));
        ignores(
            r#""generate-RTCP":"maybe""#,
            &["generate-RTCP=maybe is unusable: expected on or off"],
        );
    }
}

mod rewriting {
    use super::*;

    #[test]
    fn replace_members_and_flags() {
        for word in Replace::ALL {
            assert_eq!(
                options(&format!(r#""replace":["{word}"]"#)).replace,
                [*word].into()
            );
            assert_eq!(flags(&[&format!("replace-{word}")]).replace, [*word].into());
        }
        let spelled =
            options(r#""replace":["SDP version","zero address","session name","origin_full"]"#).replace;
        let words = [
            Replace::SdpVersion,
            Replace::ZeroAddress,
            Replace::SessionName,
            Replace::OriginFull,
        ];
        assert_eq!(spelled, words.into());
    }

    #[test]
    fn sdp_attr_sections_and_edits() {
        let read = options(
            r#""sdp-attr":{"none":{"add":["x"]},"audio":{"add":"a,b","remove":["ptime"],"substitute":[["a","b"],["c","d"]]},"global":{"remove":["y"]}}"#,
        );
        let [global, audio] = &read.sdp_attr[..] else {
            panic!("two sections")
        };
        assert_eq!(
            (global.section, global.add.join(" "), global.remove.join(" ")),
            (SdpSection::Global, "x".into(), "y".into())
        );
        assert_eq!(
            (audio.section, audio.add.join(" ")),
            (SdpSection::Media(MediaType::Audio), "a b".into())
        );
        let pairs: Vec<_> = audio
            .substitute
            .iter()
            .map(|(from, to)| format!("{from}>{to}"))
            .collect();
        assert_eq!(pairs, ["a>b", "c>d"]);
    }

    #[test]
    fn sdp_attr_flags() {
        let read = flags(&[
            "sdp-attr-add-audio-ptime:20",
            "sdp-attr-remove-none-rtcp-mux",
            "sdp-attr-substitute-video-sendrecv>recv..only",
        ]);
        let shown: Vec<_> = read
            .sdp_attr
            .iter()
            .map(|attr| attr.section.to_string())
            .collect();
        assert_eq!(shown, ["audio", "global", "video"]);
        assert_eq!(read.sdp_attr[0].add, ["ptime:20"]);
        assert_eq!(read.sdp_attr[1].remove, ["rtcp-mux"]);
        assert_eq!(
            read.sdp_attr[2].substitute,
            [("sendrecv".to_owned(), "recv only".to_owned())]
        );
    }

    #[test]
    fn broken_sdp_attr_is_ignored() {
        ignores(
            r#""sdp-attr":{"sound":{},"audio":{"substitute":["x",["a"]],"x":["y"]},"video":1},"flags":["sdp-attr-add-x"]"#,
            &[
                "sdp-attr=sound is unusable: expected a section: global, audio, video, …",
                "sdp-attr=substitute is unusable: expected pairs of texts",
                "sdp-attr=substitute is unusable: expected pairs of texts",
                "sdp-attr=y is unusable: expected a known member",
                "sdp-attr is unusable: expected a dictionary",
                "flags=sdp-attr-add-x is unknown",
            ],
        );
    }

    #[test]
    fn media_and_header_extensions_are_taken_out() {
        assert_eq!(
            options(r#""sdp-media-remove":["video","image"]"#).sdp_media_remove,
            [MediaType::Video, MediaType::Image].into()
        );
        let read = options(r#""extmap":{"strip":["urn:a"],"mask":["urn:b"]}"#);
        assert_eq!(
            (read.extmap_strip.join(" "), read.extmap_mask.join(" ")),
            ("urn:a".into(), "urn:b".into())
        );
        assert_eq!(options(r#""extmap":{"strip":["all"]}"#), flags(&["strip-extmap"]));
    }
}

mod codecs {
    use super::*;

    #[test]
    fn lists_and_flags() {
        for (name, _) in crate::options::CodecOptions::default().lists() {
            let list = options(&format!(
                r#""codec":{{"{name}":["opus","telephone-event/8000"]}}"#
            ));
            let twins = flags(&[
                &format!("codec-{name}-opus"),
                &format!("codec-{name}-telephone-event/8000"),
            ]);
            assert_eq!(list, twins, "{name}");
            assert!(!list.codec.is_empty());
        }
        assert_eq!(flags(&["transcode-opus"]).codec.transcode, ["opus"]);
        ignores(
            r#""flags":["codec-strip-","codec-strip","codec-x-y"]"#,
            &[
                "flags=codec-strip- is unknown",
                "flags=codec-strip is unknown",
                "flags=codec-x-y is unknown",
            ],
        );
    }

    #[test]
    fn packet_times() {
        let read = options(r#""ptime":20,"reverse ptime":"40""#);
        assert_eq!((read.ptime, read.ptime_reverse), (Some(20), Some(40)));
    }
}

mod learning_and_flags {
    use super::*;

    #[test]
    fn alias_key_and_media_echo() {
        let of = |text: &str| options(text);
        assert_eq!(of(r#""alias-key":"SDP""#).alias_key, Some(AliasKey::Sdp));
        assert_eq!(of(r#""alias key":"endpoint""#).alias_key, Some(AliasKey::Address));
        assert_eq!(of(r#""alias-key":"off""#).alias_key, None);
        assert_eq!(of(r#""media-echo":"bkw""#).media_echo, Some(MediaEcho::Backward));
        assert_eq!(
            of(r#""media echo":"sinkhole""#).media_echo,
            Some(MediaEcho::Blackhole)
        );
    }

    #[test]
    fn endpoint_learning_as_string_list_and_flag() {
        for mode in EndpointLearning::ALL {
            assert_eq!(
                options(&format!(r#""endpoint-learning":"{mode}""#)).endpoint_learning,
                Some(*mode)
            );
            assert_eq!(
                options(&format!(r#""endpoint learning":["{mode}"]"#)).endpoint_learning,
                Some(*mode)
            );
            assert_eq!(
                flags(&[&format!("endpoint-learning-{mode}")]).endpoint_learning,
                Some(*mode)
            );
        }
    }

    #[test]
    fn every_flag_is_read_in_every_spelling() {
        for flag in Flag::ALL {
            let name = flag.name();
            for spelling in [
                name.to_owned(),
                name.replace('-', " "),
                name.replace('-', "_"),
                name.to_lowercase(),
            ] {
                assert_eq!(flags(&[&spelling]).flags, [*flag].into(), "{spelling}");
            }
        }
        assert!(flags(&["ICE-reject"]).has(Flag::RejectIce));
        assert!(flags(&["allow-empty-codec-media"]).has(Flag::AllowNoCodecMedia));
    }

    #[test]
    fn supports_load_limit() {
        assert!(options(r#""supports":["load limit"]"#).supports_load_limit);
        ignores(
            r#""supports":["x"]"#,
            &["supports=x is unusable: expected a known member"],
        );
    }

    #[test]
    fn delete_delay_is_in_seconds_and_bounded() {
        assert_eq!(options(r#""delete-delay":0"#).delete_delay, Some(Duration::ZERO));
        assert_eq!(
            options(r#""delete_delay":"30""#).delete_delay,
            Some(Duration::from_secs(30))
        );
        assert_eq!(options(r#""delete-delay":-1"#).delete_delay, None);
        let longest = Duration::from_secs(u32::MAX.into());
        assert_eq!(
            options(r#""delete-delay":9223372036854775807"#).delete_delay,
            Some(longest)
        );
    }
}
