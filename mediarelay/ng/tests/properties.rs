//! Laws: no octets make a reader panic; what is printed reads the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use viaduct_ng::flags::{self, ModuleFlags, ViaBranch};
use viaduct_ng::{
    Answer, ByteString, CallReport, CodecOptions, Counters, Delete, Dict, Entries, ErrorReason, Flag, Ice,
    Limits, List, LoadLimit, MediaReport, MosEntry, Offer, OkReply, Options, OtherCommand, OtherRequest,
    Packet, Publish, Query, Reply, Request, Sdes, SdpAttr, SdpSection, SsrcReport, Statistics, StreamReport,
    SubscribeAnswer, SubscribeRequest, TagReport, Tos, Totals, Unsubscribe, Value, Word, WordSet, bencode,
    json,
};

const SEEDS: [&[u8]; 5] = [
    include_bytes!("data/opensips-offer.ng"),
    include_bytes!("data/kamailio-answer.ng"),
    include_bytes!("data/query-reply.ng"),
    br#"1 {"command":"offer","sdp":"v=0\r\n","call-id":"c","from-tag":"f","flags":["SDES-off","codec-strip-PCMU"],"sdp-attr":{"audio":{"add":["a"]}}}"#,
    br#"1 {"command":"delete","call-id":"c","rtpp-flags":"ICE=force sdp-attr=[audio=[add=[a b]]] to-tag=x DTLS"}"#,
];

const FLAG_SEEDS: [&str; 4] = [
    "ICE=force-relay DTLS=passive",
    "trust-address RTP/SAVPF rtcp-mux-require SDES-off in-iface=priv out-iface=pub",
    "sdp-attr=[audio=[add=[a b] substitute=[[x y]]] none=[remove=[z]]] codec-strip-all codec-offer-PCMA",
    "UDP/TLS/RTP/SAVPF ICE=[force trickle] via-branch=auto delete-delay=30 call-id=x to-tag=y T.38-decode",
];

/// A seed with octets changed, cut out or doubled.
fn mutated(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), any::<u8>(), 0..5_u8, 1..30_usize);
    (select(seeds), prop::collection::vec(edit, 0..10)).prop_map(|(seed, edits)| {
        let mut octets = seed.to_vec();
        for (at, octet, kind, length) in edits {
            if octets.is_empty() {
                break;
            }
            let at = at.index(octets.len());
            let end = (at + length).min(octets.len());
            match kind {
                0 => octets[at] = octet,
                1 => octets.insert(at, octet),
                2 => drop(octets.drain(at..end)),
                3 => {
                    let copy = octets[at..end].to_vec();
                    octets.splice(at..at, copy);
                }
                _ => octets[at] ^= 0x20,
            }
        }
        octets
    })
}

fn octets() -> impl Strategy<Value = ByteString> {
    prop::collection::vec(any::<u8>(), 0..12).prop_map(ByteString::from)
}

fn some_octets() -> impl Strategy<Value = ByteString> {
    prop::collection::vec(any::<u8>(), 1..12).prop_map(ByteString::from)
}

/// A text as it can stand in a codec, a suite or a name: no escapes, no separators.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9/_]{0,10}"
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..3)
}

/// Attributes, where a space or an equals sign may stand alone.
fn attributes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z]{1,4}(:[a-z0-9]{1,3})?([ =][a-z]{1,3}){0,2}", 0..3)
}

fn word<W: Word>() -> impl Strategy<Value = W> {
    select(W::ALL)
}

fn set<W: Word>() -> impl Strategy<Value = WordSet<W>> {
    prop::collection::vec(select(W::ALL), 0..3).prop_map(|words| words.into_iter().collect())
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn unique(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_key(|name| name.to_ascii_lowercase());
    names.dedup_by_key(|name| name.to_ascii_lowercase());
    names
}

prop_compose! {
    fn sdes()(words in set(), no in names(), only in names(), order in names(), offerer_pref in names()) -> Sdes {
        Sdes { words, no: unique(no), only: unique(only), order, offerer_pref }
    }
}

prop_compose! {
    fn ice()(mode in of(word()), trickle in any::<bool>(), ice2 in any::<bool>(), lite in of(word())) -> Ice {
        Ice { mode, trickle, ice2, lite }
    }
}

prop_compose! {
    fn codec()(lists in prop::collection::vec(names(), 9)) -> CodecOptions {
        let mut lists = lists.into_iter();
        let mut next = || lists.next().unwrap_or_default();
        CodecOptions {
            strip: next(), except: next(), offer: next(), ignore: next(), transcode: next(), mask: next(),
            consume: next(), accept: next(), set: next(),
        }
    }
}

prop_compose! {
    fn sdp_attr(section: SdpSection)(
        add in attributes(),
        remove in attributes(),
        substitute in prop::collection::vec(("[a-z]{1,4}", "[a-z]{1,4}( [a-z])?"), 0..2),
    ) -> SdpAttr {
        SdpAttr { section, add, remove, substitute }
    }
}

fn sdp_attrs() -> impl Strategy<Value = Vec<SdpAttr>> {
    let audio = SdpSection::Media(viaduct_ng::MediaType::Audio);
    (sdp_attr(SdpSection::Global), sdp_attr(audio)).prop_map(|(global, audio)| {
        [global, audio]
            .into_iter()
            .filter(|attr| !attr.is_empty())
            .collect()
    })
}

prop_compose! {
    fn addresses()(
        from_interface in of(name()), to_interface in of(name()), address_family in of(word()),
        received_from in of(address()), media_address in of(address()),
        tos in of(prop_oneof![Just(Tos::Keep), any::<u8>().prop_map(Tos::Set)]),
        label in of(some_octets()), set_label in of(some_octets()), metadata in of(some_octets()),
        dtmf_log_dest in of((address(), any::<u16>()).prop_map(SocketAddr::from)),
        sip_message_type in of(word()), sip_code in of(any::<u16>()),
    ) -> Options {
        Options {
            from_interface, to_interface, address_family, received_from, media_address, tos, label, set_label,
            metadata, dtmf_log_dest, sip_message_type, sip_code, ..Options::default()
        }
    }
}

prop_compose! {
    fn encryption()(
        transport_protocol in of(word()), dtls in of(word()), dtls_reverse in of(word()),
        dtls_fingerprint in of(word()), sdes in sdes(), osrtp in set(), ice in ice(), rtcp_mux in set(),
        bundle in set(), replace in set(),
    ) -> Options {
        Options {
            transport_protocol, dtls, dtls_reverse, dtls_fingerprint, sdes, osrtp, ice, rtcp_mux, bundle, replace,
            ..Options::default()
        }
    }
}

prop_compose! {
    fn options()(
        base in addresses(), secure in encryption(), sdp_attr in sdp_attrs(), sdp_media_remove in set(),
        extmap_strip in prop::collection::vec("urn:[a-z]{1,5}", 0..2),
        extmap_mask in prop::collection::vec("urn:[a-z]{1,5}", 0..2),
        codec in codec(), ptime in of(any::<u32>()), ptime_reverse in of(any::<u32>()),
        t38 in set(), t38_version in of(any::<u8>()), endpoint_learning in of(word()), delay in of(any::<u32>()), supports_load_limit in any::<bool>(),
        flags in set::<Flag>(),
    ) -> Options {
        let Options { transport_protocol, dtls, dtls_reverse, dtls_fingerprint, sdes, osrtp, ice, rtcp_mux, bundle,
            replace, .. } = secure;
        let delete_delay = delay.map(|seconds| Duration::from_secs(seconds.into()));
        Options {
            transport_protocol, dtls, dtls_reverse, dtls_fingerprint, sdes, osrtp, ice, rtcp_mux, bundle, replace,
            sdp_attr, sdp_media_remove, extmap_strip, extmap_mask, codec, ptime, ptime_reverse, t38, t38_version, endpoint_learning,
            delete_delay, supports_load_limit, flags, ..base
        }
    }
}

prop_compose! {
    fn offer()(
        sdp in some_octets(), call_id in some_octets(), from_tag in octets(), to_tag in of(some_octets()),
        via_branch in of(octets()), options in options(),
    ) -> Request {
        Request::Offer(Box::new(Offer { sdp, call_id, from_tag, to_tag, via_branch, options }))
    }
}

prop_compose! {
    fn answer()(
        sdp in some_octets(), call_id in some_octets(), from_tag in octets(), to_tag in some_octets(),
        via_branch in of(octets()), options in options(),
    ) -> Request {
        Request::Answer(Box::new(Answer { sdp, call_id, from_tag, to_tag, via_branch, options }))
    }
}

prop_compose! {
    fn delete()(
        call_id in some_octets(), from_tag in of(octets()), to_tag in of(some_octets()), via_branch in of(octets()),
        delay in of(any::<u32>()), flags in set::<Flag>(),
    ) -> Request {
        let delete_delay = delay.map(|seconds| Duration::from_secs(seconds.into()));
        Request::Delete(Delete { call_id, from_tag, to_tag, via_branch, delete_delay, flags })
    }
}

prop_compose! {
    fn query()(call_id in some_octets(), from_tag in of(octets()), to_tag in of(some_octets())) -> Request {
        Request::Query(Query { call_id, from_tag, to_tag })
    }
}

prop_compose! {
    fn subscribe_request()(
        call_id in some_octets(), from_tags in prop::collection::vec(octets(), 0..3), to_tag in of(some_octets()),
        options in options(),
    ) -> Request {
        Request::SubscribeRequest(Box::new(SubscribeRequest { call_id, from_tags, to_tag, options }))
    }
}

prop_compose! {
    fn subscribe_answer()(
        sdp in some_octets(), call_id in some_octets(), to_tag in some_octets(), options in options(),
    ) -> Request {
        Request::SubscribeAnswer(Box::new(SubscribeAnswer { sdp, call_id, to_tag, options }))
    }
}

prop_compose! {
    fn publish()(
        sdp in some_octets(), call_id in of(some_octets()), from_tag in of(some_octets()), options in options(),
    ) -> Request {
        Request::Publish(Box::new(Publish { sdp, call_id, from_tag, options }))
    }
}

prop_compose! {
    fn unsubscribe()(call_id in some_octets(), to_tag in some_octets()) -> Request {
        Request::Unsubscribe(Unsubscribe { call_id, to_tag })
    }
}

prop_compose! {
    fn other()(command in word::<OtherCommand>(), keys in prop::collection::vec(("[a-z]{1,8}", value()), 0..4)) -> Request {
        let keys = keys.into_iter().filter(|(key, _)| key != "command");
        let body = keys.map(|(key, value)| (ByteString::from(key), value)).collect();
        Request::Other(OtherRequest { command, body })
    }
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Ping),
        Just(Request::Statistics),
        of(any::<u32>()).prop_map(|limit| Request::List(List { limit })),
        offer(),
        answer(),
        delete(),
        query(),
        subscribe_request(),
        subscribe_answer(),
        unsubscribe(),
        publish(),
        other(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        octets().prop_map(Value::Bytes),
        any::<i64>().prop_map(Value::Integer)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((octets(), inner), 0..5)
                .prop_map(|pairs| Value::Dict(pairs.into_iter().collect())),
        ]
    })
}

/// The same kind of value with text only: what JSON can carry.
fn text_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(Value::text),
        any::<i64>().prop_map(Value::Integer)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((".{0,8}", inner), 0..5).prop_map(|pairs| Value::Dict(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.into(), value))
                    .collect()
            )),
        ]
    })
}

fn count() -> impl Strategy<Value = u64> {
    0..=i64::MAX.unsigned_abs()
}

prop_compose! {
    fn counters()(packets in count(), bytes in count(), errors in count()) -> Counters {
        Counters { packets, bytes, errors, rest: Dict::new() }
    }
}

prop_compose! {
    fn mos()(mos in any::<i64>(), jitter in any::<i64>(), samples in of(count()), reported_at in of(count())) -> MosEntry {
        MosEntry { mos, jitter, samples, reported_at, ..MosEntry::default() }
    }
}

prop_compose! {
    fn stream()(
        local_port in of(count()), stats in counters(), stats_out in counters(), flags in set(), ssrc in of(count()),
        other in prop::collection::vec("[a-z]{9}", 0..2),
    ) -> StreamReport {
        let flags = viaduct_ng::FlagList { known: flags, other: other.into_iter().map(ByteString::from).collect() };
        StreamReport { local_port, stats, stats_out, flags, ssrc, ..StreamReport::default() }
    }
}

prop_compose! {
    fn media()(index in count(), codec in of(octets()), streams in prop::collection::vec(stream(), 0..2)) -> MediaReport {
        MediaReport { index, codec, streams, ..MediaReport::default() }
    }
}

prop_compose! {
    fn call()(
        created in count(), metadata in of(octets()), rtp in counters(), rtcp in counters(),
        medias in prop::collection::vec(media(), 0..2), average_mos in of(mos()), tag in octets(), ssrc in any::<u32>(),
        rest in of(value()),
    ) -> CallReport {
        let party = TagReport { tag: tag.clone(), created, medias, ..TagReport::default() };
        let source = SsrcReport { average_mos, ..SsrcReport::default() };
        let rest = rest.into_iter().map(|value| ("no such key".into(), value)).collect();
        CallReport {
            created, metadata, rest,
            tags: Entries(vec![(tag, party)]),
            ssrc: Entries(vec![(ssrc.to_string().into(), source)]),
            totals: Totals { rtp, rtcp, rest: Dict::new() },
            ..CallReport::default()
        }
    }
}

fn reason() -> impl Strategy<Value = ErrorReason> {
    prop_oneof![
        select(ErrorReason::ALL),
        octets().prop_map(|text| ErrorReason::from_text(&text)),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let ok = (
        of(octets()),
        of(reason()),
        of(prop::collection::vec(octets(), 0..3)),
        any::<bool>(),
    )
        .prop_map(|(sdp, warning, calls, statistics)| {
            let statistics = statistics.then(Box::<Statistics>::default);
            Reply::Ok(Box::new(OkReply {
                sdp,
                warning,
                calls,
                statistics,
                ..OkReply::default()
            }))
        });
    prop_oneof![
        Just(Reply::Pong),
        reason().prop_map(Reply::error),
        select(vec![
            LoadLimit::Sessions,
            LoadLimit::Load,
            LoadLimit::Cpu,
            LoadLimit::Bandwidth
        ])
        .prop_map(|message| Reply::LoadLimit { message }),
        ok,
        call().prop_map(Reply::call),
    ]
}

prop_compose! {
    /// What a flag string can say: no spaces and brackets in texts.
    fn module_flags()(
        options in options(), label in of(name()), set_label in of(name()), metadata in of(name()),
        call_id in of(name()), from_tag in of(name()), to_tag in of(name()), send_to_tag in any::<bool>(),
        via_branch in of(prop_oneof![
            Just(ViaBranch::First), Just(ViaBranch::Second), Just(ViaBranch::Auto), Just(ViaBranch::Extra),
            name().prop_map(|text| ViaBranch::Text(text.into())),
        ]),
        force_answer in any::<bool>(),
    ) -> ModuleFlags {
        let text = |text: Option<String>| text.map(ByteString::from);
        let options =
            Options { label: text(label), set_label: text(set_label), metadata: text(metadata), ..options };
        let send_to_tag = send_to_tag || to_tag.is_some();
        ModuleFlags {
            options, call_id: text(call_id), from_tag: text(from_tag), to_tag: text(to_tag), send_to_tag, via_branch,
            force_answer,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let limits = Limits::default();
        let _ = (bencode::decode(&octets, &limits), json::decode(&octets, &limits));
        let _ = Packet::split(&octets, &limits).map(|packet| packet.request(&limits));
        let _ = (flags::parse_opensips(&text), flags::parse_kamailio(&text));
    }

    #[test]
    fn mutated_messages_never_panic_and_settle_when_read(datagram in mutated(&SEEDS)) {
        let limits = Limits::default();
        if let Ok(packet) = Packet::split(&datagram, &limits) {
            match packet.request(&limits) {
                Ok(received) => {
                    let again = Request::from_value(&received.request.to_value()).unwrap();
                    prop_assert_eq!(again.request, received.request);
                    prop_assert_eq!(again.ignored, []);
                }
                Err(error) => prop_assert!(!packet.reply(&error.reply()).is_empty()),
            }
            if let Ok(value) = packet.encoding.decode(packet.body, &limits)
                && let Ok(reply) = Reply::from_value(&value)
            {
                prop_assert_eq!(Reply::from_value(&reply.to_value()), Ok(reply));
            }
        }
    }

    #[test]
    fn mutated_flag_strings_never_panic_and_name_places_inside(
        seed in select(&FLAG_SEEDS[..]), edits in prop::collection::vec((any::<Index>(), any::<char>(), any::<bool>()), 0..6),
    ) {
        let mut characters: Vec<char> = seed.chars().collect();
        for (at, character, insert) in edits {
            let at = at.index(characters.len());
            if insert { characters.insert(at, character) } else { characters[at] = character }
        }
        let text: String = characters.into_iter().collect();
        for parsed in [flags::parse_opensips(&text), flags::parse_kamailio(&text)] {
            for diagnostic in &parsed.diagnostics {
                prop_assert!(text[diagnostic.offset..].starts_with(&diagnostic.token));
                prop_assert!(!diagnostic.to_string().is_empty());
            }
        }
    }

    #[test]
    fn bencode_prints_what_reads_the_same(value in value()) {
        prop_assert_eq!(bencode::decode(&bencode::encode(&value), &Limits::default()), Ok(value));
    }

    #[test]
    fn json_prints_what_reads_the_same(value in text_value()) {
        prop_assert_eq!(json::decode(&json::encode(&value), &Limits::default()), Ok(value));
    }

    #[test]
    fn canonical_bencode_comes_out_as_it_went_in(value in value()) {
        let body = bencode::encode(&value);
        let again = bencode::decode(&body, &Limits::default()).unwrap();
        prop_assert_eq!(bencode::encode(&again), body);
    }

    #[test]
    fn cut_bencode_is_never_a_value(value in value(), at in any::<Index>()) {
        let body = bencode::encode(&value);
        let cut = &body[..at.index(body.len())];
        prop_assert!(bencode::decode(cut, &Limits::default()).is_err());
    }

    #[test]
    fn requests_print_what_reads_the_same(request in request()) {
        let received = Request::from_value(&request.to_value()).unwrap();
        prop_assert_eq!(received.request, request);
        prop_assert_eq!(received.ignored, []);
    }

    #[test]
    fn requests_survive_the_wire(request in request()) {
        let limits = Limits::default();
        let body = bencode::encode(&request.to_value());
        let datagram = [b"1_2 ", &body[..]].concat();
        let packet = Packet::split(&datagram, &limits).unwrap();
        prop_assert_eq!(packet.request(&limits).unwrap().request, request);
    }

    #[test]
    fn replies_print_what_reads_the_same(reply in reply()) {
        prop_assert_eq!(Reply::from_value(&reply.to_value()), Ok(reply));
    }

    #[test]
    fn flag_strings_print_what_reads_the_same(flags in module_flags()) {
        let text = flags::print(&flags);
        let parsed = flags::parse_opensips(&text);
        prop_assert_eq!(&parsed.diagnostics, &[], "{}", text);
        prop_assert_eq!(parsed.flags, flags, "{}", text);
    }

    #[test]
    fn expanding_the_shorthand_twice_changes_nothing(mut options in options()) {
        options.expand_webrtc();
        let once = options.clone();
        options.expand_webrtc();
        prop_assert_eq!(options, once);
    }
}
