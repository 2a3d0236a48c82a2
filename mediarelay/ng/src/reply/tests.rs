//! Replies: exact keys and nesting, what is read back, and what is kept of unknown peers.

use super::*;
use crate::limits::Limits;
use crate::packet::{Encoding, Packet};

fn json(reply: &Reply) -> String {
    String::from_utf8(crate::json::encode(&reply.to_value())).unwrap()
}

fn read(json: &str) -> Result<Reply, ReplyError> {
    Reply::from_value(&crate::json::decode(json.as_bytes(), &Limits::default()).unwrap())
}

#[test]
fn results_are_written_and_read() {
    for (reply, text) in [
        (Reply::Pong, r#"{"result":"pong"}"#),
        (Reply::ok(), r#"{"result":"ok"}"#),
        (Reply::sdp("v=0"), r#"{"result":"ok","sdp":"v=0"}"#),
        (
            Reply::error(ErrorReason::UnknownCallId),
            r#"{"result":"error","error-reason":"Unknown call-id"}"#,
        ),
        (
            Reply::warning(ErrorReason::NothingToDelete),
            r#"{"result":"ok","warning":"Call-ID not found or tags didn't match"}"#,
        ),
        (
            Reply::LoadLimit {
                message: LoadLimit::Cpu,
            },
            r#"{"result":"load limit","message":"CPU usage limit exceeded"}"#,
        ),
    ] {
        assert_eq!(json(&reply), text);
        assert_eq!(read(text), Ok(reply));
    }
}

#[test]
fn what_is_not_a_reply_is_refused() {
    assert_eq!(read("{}"), Err(ReplyError::NoResult));
    assert_eq!(read("[]"), Err(ReplyError::NoResult));
    assert_eq!(read(r#"{"result":1}"#), Err(ReplyError::NoResult));
    assert_eq!(
        read(r#"{"result":"maybe"}"#),
        Err(ReplyError::UnknownResult("maybe".into()))
    );
}

#[test]
fn load_limit_is_told_only_to_those_who_know_it() {
    for limit in [
        LoadLimit::Sessions,
        LoadLimit::Load,
        LoadLimit::Cpu,
        LoadLimit::Bandwidth,
    ] {
        let error = limit.clone().reply(false);
        assert_eq!(error, Reply::error(ErrorReason::ParallelSessionLimit));
        let told = limit.clone().reply(true);
        assert_eq!(Reply::from_value(&told.to_value()), Ok(told.clone()));
        assert_eq!(told, Reply::LoadLimit { message: limit });
        assert!(error.suggests_another_node() && told.suggests_another_node());
    }
}

#[test]
fn only_what_another_node_may_do_better_suggests_one() {
    assert!(!Reply::ok().suggests_another_node());
    assert!(!Reply::error(ErrorReason::UnparsableSdp).suggests_another_node());
    assert!(Reply::error(ErrorReason::OutOfPorts).suggests_another_node());
}

#[test]
fn further_keys_are_kept() {
    let Ok(Reply::Ok(ok)) = read(r#"{"sdp":"v","result":"ok","to-tag":"t","from-tags":["a"]}"#) else {
        panic!("ok")
    };
    assert_eq!(ok.rest.len(), 2);
    assert_eq!(
        json(&Reply::Ok(ok)),
        r#"{"result":"ok","sdp":"v","to-tag":"t","from-tags":["a"]}"#
    );
}

#[test]
fn calls_of_list() {
    let reply = Reply::Ok(Box::new(OkReply {
        calls: Some(vec!["a".into(), "b".into()]),
        ..OkReply::default()
    }));
    assert_eq!(json(&reply), r#"{"result":"ok","calls":["a","b"]}"#);
    assert_eq!(read(&json(&reply)), Ok(reply));
}

/// A call with one party, as the relay would report it.
fn report() -> CallReport {
    let counters = Counters {
        packets: 2,
        bytes: 3,
        errors: 4,
        rest: Dict::new(),
    };
    let endpoint = Endpoint {
        family: Some("IPv4".into()),
        address: Some("192.0.2.1".into()),
        port: Some(4_000),
        rest: Dict::new(),
    };
    let stream = StreamReport {
        local_port: Some(30_000),
        local_address: Some("203.0.113.1".into()),
        family: Some("IPv4".into()),
        endpoint: endpoint.clone(),
        advertised_endpoint: endpoint,
        crypto_suite: Some("AEAD_AES_128_GCM".into()),
        last_packet: 9,
        last_kernel_packet: Some(0),
        last_user_packet: Some(9),
        ssrc: Some(7),
        flags: [StreamFlag::Rtp, StreamFlag::DtlsFingerprintVerified]
            .into_iter()
            .collect(),
        stats: counters.clone(),
        stats_out: counters.clone(),
        rest: Dict::new(),
    };
    let media = MediaReport {
        index: 1,
        kind: "audio".into(),
        protocol: Some("RTP/AVP".into()),
        codec: Some("PCMA/8000".into()),
        label: None,
        streams: vec![stream],
        flags: [MediaFlag::Initialized, MediaFlag::DtlsRolePassive]
            .into_iter()
            .collect(),
        ingress_ssrcs: vec![SsrcSummary {
            ssrc: 7,
            rest: Dict::new(),
        }],
        egress_ssrcs: Vec::new(),
        rest: Dict::new(),
    };
    let peer = Subscription {
        tag: "t".into(),
        kind: "offer/answer".into(),
        rest: Dict::new(),
    };
    let tag = TagReport {
        tag: "f".into(),
        via_branch: Some("b".into()),
        tag_aliases: Some(vec!["x".into()]),
        label: Some("l".into()),
        created: 5,
        subscriptions: vec![peer.clone()],
        subscribers: vec![peer],
        medias: vec![media],
        ..TagReport::default()
    };
    let mos = |reported_at, samples| MosEntry {
        mos: 43,
        round_trip_time: 1_000,
        round_trip_time_leg: 500,
        jitter: 2,
        packet_loss: 0,
        samples,
        reported_at,
        rest: Dict::new(),
    };
    let progression = MosProgression {
        interval: 1,
        entries: vec![mos(Some(6), None)],
        rest: Dict::new(),
    };
    let source = SsrcReport {
        bytes: 1,
        packets: 2,
        last_rtp_timestamp: 3,
        last_rtp_seq: 4,
        cumulative_loss: Some(-1),
        average_mos: Some(mos(None, Some(5))),
        lowest_mos: Some(mos(Some(6), None)),
        highest_mos: Some(mos(Some(7), None)),
        mos_progression: Some(progression),
        rest: Dict::new(),
    };
    CallReport {
        created: 5,
        created_us: Some(6),
        created_ts: Some("5.000006".into()),
        last_signal: 8,
        last_redis_update: Some(0),
        metadata: Some("k:v".into()),
        ssrc: Entries(vec![("7".into(), source)]),
        tags: Entries(vec![("f".into(), tag)]),
        totals: Totals {
            rtp: counters.clone(),
            rtcp: counters,
            rest: Dict::new(),
        },
        ..CallReport::default()
    }
}

#[test]
fn call_report_has_the_exact_keys_and_nesting() {
    let mos = r#""MOS":43,"round-trip time":1000,"round-trip time leg":500,"jitter":2,"packet loss":0"#;
    let endpoint = r#"{"family":"IPv4","address":"192.0.2.1","port":4000}"#;
    let counters = r#"{"packets":2,"bytes":3,"errors":4}"#;
    let stream = [
        r#"{"local port":30000,"local address":"203.0.113.1","family":"IPv4","endpoint":"#,
        endpoint,
        r#","advertised endpoint":"#,
        endpoint,
        r#","crypto suite":"AEAD_AES_128_GCM","last packet":9,"last kernel packet":0,"last user packet":9,"SSRC":7,"#,
        r#""flags":["RTP","DTLS fingerprint verified"],"stats":"#,
        counters,
        r#","stats_out":"#,
        counters,
        "}",
    ]
    .concat();
    let expected = [
        r#"{"result":"ok","created":5,"created_us":6,"created_ts":"5.000006","last signal":8,"last redis update":0,"#,
        r#""metadata":"k:v","SSRC":{"7":{"bytes":1,"packets":2,"last RTP timestamp":3,"last RTP seq":4,"#,
        r#""cumulative loss":-1,"average MOS":{"#,
        mos,
        r#","samples":5},"lowest MOS":{"#,
        mos,
        r#","reported at":6},"highest MOS":{"#,
        mos,
        r#","reported at":7},"MOS progression":{"interval":1,"entries":[{"#,
        mos,
        r#","reported at":6}]}}},"tags":{"f":{"tag":"f","via-branch":"b","tag-aliases":["x"],"label":"l","created":5,"#,
        r#""subscriptions":[{"tag":"t","type":"offer/answer"}],"subscribers":[{"tag":"t","type":"offer/answer"}],"#,
        r#""medias":[{"index":1,"type":"audio","protocol":"RTP/AVP","codec":"PCMA/8000","streams":["#,
        &stream,
        r#"],"flags":["initialized","DTLS role passive"],"ingress SSRCs":[{"SSRC":7}],"egress SSRCs":[]}],"VSC":[]}},"#,
        r#""totals":{"RTP":"#,
        counters,
        r#","RTCP":"#,
        counters,
        "}}",
    ]
    .concat();
    assert_eq!(json(&Reply::call(report())), expected);
    assert_eq!(read(&expected), Ok(Reply::call(report())));
}

#[test]
fn reply_of_a_peer_is_read_typed_and_written_without_loss() {
    let limits = Limits::default();
    let datagram = include_bytes!("../../tests/data/query-reply.ng");
    let packet = Packet::split(datagram, &limits).unwrap();
    let value = Encoding::Bencode.decode(packet.body, &limits).unwrap();
    let reply = Reply::from_value(&value).unwrap();
    let Reply::Ok(ok) = &reply else { panic!("ok") };
    let call = ok.call.as_ref().unwrap();
    assert_eq!(call.totals.rtp.packets, 998);
    let party = call.tags.get(b"1928301774").unwrap();
    let media = &party.medias[0];
    assert!(media.flags.known.contains(MediaFlag::DtlsRolePassive));
    assert_eq!(media.flags.other, ["brand new flag"]);
    assert!(media.streams[0].flags.known.contains(StreamFlag::Kernelized));
    // As OpenSIPS walks: from the stream's source to its quality.
    let source = media.streams[0].ssrc.unwrap().to_string();
    let quality = call
        .ssrc
        .get(source.as_bytes())
        .unwrap()
        .average_mos
        .as_ref()
        .unwrap();
    assert_eq!((quality.mos, quality.samples), (43, Some(5)));
    assert_eq!(call.tags.get(b"<untagged 2>").unwrap().tag, "");
    assert_eq!(call.rest.get("new key"), Some(&Value::Integer(1)));
    assert_eq!(sorted(&reply.to_value()), sorted(&value));
}

/// The same value with the keys of every dictionary sorted.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Dict(dict) => {
            let mut pairs: Vec<_> = dict
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Dict(pairs.into_iter().collect())
        }
        Value::List(members) => Value::List(members.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[test]
fn value_of_another_kind_stays_where_it_was() {
    let text = r#"{"result":"ok","created":"soon","last signal":0,"SSRC":{},"tags":[],"totals":{"RTP":{"packets":-1,"bytes":0,"errors":0},"RTCP":{"packets":0,"bytes":0,"errors":0}}}"#;
    let Ok(Reply::Ok(ok)) = read(text) else {
        panic!("ok")
    };
    let call = ok.call.as_ref().unwrap();
    assert_eq!(call.rest.get("created"), Some(&Value::text("soon")));
    assert_eq!(call.rest.get("tags"), Some(&Value::List(Vec::new())));
    assert_eq!(call.totals.rtp.rest.get("packets"), Some(&Value::Integer(-1)));
    let written = Reply::Ok(ok).to_value();
    assert_eq!(
        written.as_dict().unwrap().get("created"),
        Some(&Value::text("soon"))
    );
}

#[test]
fn statistics_keep_what_differs_between_releases() {
    let text = concat!(
        r#"{"result":"ok","statistics":{"currentstatistics":{"sessionsown":1,"sessionsforeign":0,"sessionstotal":"1","#,
        r#""transcodedmedia":0,"packetrate":50,"byterate":8600,"errorrate":0,"media_kernel":1,"playercache":3},"#,
        r#""totalstatistics":{"uptime":"77","managedsessions":9,"avgcallduration":"12.500000","relayedpackets_user":5},"#,
        r#""intervalstatistics":{"totalcallsduration":"0.0"},"#,
        r#""controlstatistics":{"proxies":[{"proxy":"192.0.2.1","offercount":4,"errorcount":1}],"totaloffercount":4},"#,
        r#""interfaces":[]}}"#,
    );
    let Ok(Reply::Ok(ok)) = read(text) else {
        panic!("ok")
    };
    let statistics = ok.statistics.as_ref().unwrap();
    let (current, total) = (&statistics.current, &statistics.total);
    assert_eq!((current.sessions_total, current.media_kernel), (1, Some(1)));
    assert_eq!(
        (total.uptime.to_string(), total.average_call_duration.to_string()),
        ("77".into(), "12.500000".into())
    );
    let proxy = &statistics.control.proxies[0];
    assert_eq!(
        (proxy.errors, proxy.rest.get("offercount")),
        (1, Some(&Value::Integer(4)))
    );
    assert!(statistics.rest.get("interfaces").is_some() && statistics.interval.is_some());
    let again = Reply::from_value(&Reply::Ok(ok.clone()).to_value());
    assert_eq!(again, Ok(Reply::Ok(ok)));
}
