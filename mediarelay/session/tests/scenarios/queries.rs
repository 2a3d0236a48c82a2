//! What can be asked: `query`, `list`, `statistics`, `ping`, and what can be blocked.

use viaduct_forward::{DropReason, Verdict};
use viaduct_ng::{
    Dict, ErrorReason, List, MediaFlag, Offer, OtherCommand, OtherRequest, Query, Reply, Request, StreamFlag,
    Value,
};
use viaduct_rtp::rtcp::{ReportBlock, RtcpWriter, SenderInfo};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser_and_phone::{established, hear_each_other};
use crate::phone::Phone;
use crate::world::*;

#[test]
fn a_query_tells_of_both_sides() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    for _ in 0..10 {
        hear_each_other(&mut world, &mut browser, &mut phone);
        world.wait_millis(20);
    }
    phone.send_report(&mut world);
    let report = world.query();
    assert_eq!((report.created, report.last_signal), (BEGINNING, BEGINNING));
    assert_eq!((report.totals.rtp.packets, report.totals.rtcp.packets), (20, 1));

    let of_browser = &report.tags.get(b"b").unwrap().medias[0];
    for flag in [
        MediaFlag::DtlsSrtp,
        MediaFlag::DtlsRolePassive,
        MediaFlag::Ice,
        MediaFlag::IceLiteSelf,
        MediaFlag::RtcpMux,
    ] {
        assert!(
            of_browser.flags.known.contains(flag),
            "{flag}: {:?}",
            of_browser.flags
        );
    }
    assert_eq!(of_browser.kind, "audio");
    assert_eq!(of_browser.protocol.as_ref().unwrap(), &"UDP/TLS/RTP/SAVPF");
    let [stream] = &of_browser.streams[..] else {
        panic!("one stream")
    };
    assert_eq!(stream.local_port, Some(u64::from(SHARED)));
    assert_eq!(stream.endpoint.port, Some(50_000));
    assert_eq!((stream.stats.packets, stream.stats_out.packets), (10, 11));
    assert!(stream.flags.known.contains(StreamFlag::DtlsFingerprintVerified));
    assert_eq!(stream.ssrc, Some(0xb000_0001));

    let of_phone = &report.tags.get(b"p").unwrap().medias[0];
    let [rtp, rtcp] = &of_phone.streams[..] else {
        panic!("two streams")
    };
    assert_eq!((rtp.stats.packets, rtp.stats_out.packets), (10, 10));
    assert_eq!(
        (rtcp.stats.packets, rtcp.flags.known.contains(StreamFlag::Rtcp)),
        (1, true)
    );
    assert!(rtp.flags.known.contains(StreamFlag::Confirmed));
    assert_eq!(of_phone.egress_ssrcs[0].ssrc, 0xb000_0001);
    assert_eq!(report.ssrc.get(b"2952790017").unwrap().packets, 10);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_query_may_ask_for_one_side() {
    let mut world = World::new();
    phones(&mut world, "");
    let ask = |from: Option<&str>, call: &str| {
        Request::Query(Query {
            call_id: call.into(),
            from_tag: from.map(Into::into),
            to_tag: None,
        })
    };
    let both = world.ok(&ask(Some("a"), CALL)).call.unwrap();
    assert_eq!(both.tags.0.len(), 2, "whoever talks to it is shown with it");
    let nobody = world.ok(&ask(Some("nobody"), CALL)).call.unwrap();
    assert_eq!(nobody.tags.0.len(), 0);
    assert_eq!(world.fails(&ask(None, "another")), ErrorReason::UnknownCallId);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Reports that cross the relay give round trips, and these a score.
#[test]
fn quality_is_scored_once_reports_come() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let rtcp_port = |phone: &Phone| {
        let relay = phone.relay.unwrap();
        std::net::SocketAddr::new(relay.ip(), relay.port() + 1)
    };
    for second in 1..20_u64 {
        for _ in 0..44 {
            phones_hear_each_other(&mut world, &mut caller, &mut callee);
            world.wait_millis(20);
        }
        let info = SenderInfo {
            ntp: second << 32,
            ..SenderInfo::default()
        };
        let mut buffer = [0; 256];
        let mut writer = RtcpWriter::new(&mut buffer);
        writer.sender_report(caller.ssrc, &info, &[]).unwrap();
        world.receive(caller.rtcp(), rtcp_port(&caller), writer.finish());
        world.wait_millis(60);
        let block = ReportBlock {
            ssrc: caller.ssrc,
            last_sr: info.ntp_middle(),
            ..ReportBlock::default()
        };
        let mut buffer = [0; 256];
        let mut writer = RtcpWriter::new(&mut buffer);
        writer.receiver_report(callee.ssrc, &[block]).unwrap();
        world.receive(callee.rtcp(), rtcp_port(&callee), writer.finish());
        world.wait_millis(60);
    }
    let report = world.query();
    let of_caller = report.ssrc.get(caller.ssrc.to_string().as_bytes()).unwrap();
    let average = of_caller.average_mos.as_ref().unwrap();
    assert!((40..=45).contains(&average.mos), "{average:?}");
    assert_eq!(average.round_trip_time_leg, 60_000);
    assert!(of_caller.lowest_mos.is_some() && of_caller.mos_progression.is_some());
    assert!(
        report
            .ssrc
            .get(callee.ssrc.to_string().as_bytes())
            .unwrap()
            .average_mos
            .is_none()
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn lists_are_limited_and_in_order() {
    let mut world = World::new();
    for n in 0..3 {
        let Request::Offer(first) = offer(&Phone::new("198.51.100.9:4000", 1).sdp(), "a", None, "") else {
            unreachable!()
        };
        world.sdp(&Request::Offer(Box::new(Offer {
            call_id: format!("call-{n}").into(),
            ..*first
        })));
    }
    assert_eq!(world.list(), ["call-0", "call-1", "call-2"]);
    let two = world.ok(&Request::List(List { limit: Some(2) })).calls.unwrap();
    assert_eq!(two.len(), 2);
    assert_eq!(world.relay.calls().count(), 3);
    let summary = world.relay.calls().next().unwrap();
    assert_eq!(
        (summary.created.as_secs(), summary.is_deleted),
        (BEGINNING, false)
    );
    assert!(world.relay.report(b"call-1").is_some() && world.relay.report(b"call-9").is_none());
}

#[test]
fn commands_are_counted_by_client_and_pings_are_answered() {
    let mut world = World::new();
    assert_eq!(world.ng(&Request::Ping), Reply::Pong);
    let (mut caller, mut callee) = phones(&mut world, "");
    for _ in 0..25 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.wait_millis(1_000);
    }
    world.fails(&answer(&caller.sdp(), "x", "y", ""));
    let statistics = world.ok(&Request::Statistics).statistics.unwrap();
    assert_eq!(
        (statistics.current.sessions_own, statistics.total.managed_sessions),
        (1, 1)
    );
    assert_eq!(statistics.current.packet_rate, 2);
    assert_eq!(statistics.total.uptime, "25");
    let of_client = &statistics.control.proxies[0];
    assert_eq!(
        (of_client.proxy.to_text().as_ref(), of_client.errors),
        ("127.0.0.1", 1)
    );
    assert_eq!(of_client.rest.get("offercount"), Some(&Value::Integer(1)));
    assert_eq!(of_client.rest.get("pingcount"), Some(&Value::Integer(1)));
    world.ok(&delete_now());
    let statistics = world.ok(&Request::Statistics).statistics.unwrap();
    assert_eq!(statistics.total.regular_terminated_sessions, 1);
    assert_eq!(statistics.total.relayed_packets, 50);
    world.assert_empty();
}

fn other(command: OtherCommand, keys: &[(&str, &str)], flags: &[&str]) -> Request {
    let mut body = Dict::new();
    for (key, value) in keys {
        body.insert(*key, Value::text(*value));
    }
    body.insert("flags", Value::texts(flags.iter().copied()));
    Request::Other(OtherRequest { command, body })
}

#[test]
fn media_is_blocked_for_all_or_for_one() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let call = [("call-id", CALL), ("from-tag", "a")];
    world.ok(&other(OtherCommand::BlockMedia, &call, &["directional"]));
    assert_eq!(caller.send(&mut world).0, Verdict::Drop(DropReason::BlockedMedia));
    let (_, packet) = callee.send(&mut world);
    assert_eq!(caller.received(&mut world), [packet]);
    // Modules send a from-tag always; without the flag it selects nobody.
    world.ok(&other(OtherCommand::BlockMedia, &call, &[]));
    assert_eq!(callee.send(&mut world).0, Verdict::Drop(DropReason::BlockedMedia));
    world.ok(&other(OtherCommand::UnblockMedia, &[("call_id", CALL)], &["all"]));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);

    let by_address = [("call-id", CALL), ("address", "203.0.113.44")];
    world.ok(&other(OtherCommand::BlockMedia, &by_address, &[]));
    assert_eq!(callee.send(&mut world).0, Verdict::Drop(DropReason::BlockedMedia));
    world.ok(&other(OtherCommand::UnblockMedia, &by_address, &[]));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn dtmf_is_blocked_and_speech_goes_on() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    world.ok(&other(OtherCommand::BlockDtmf, &[("call-id", CALL)], &[]));
    let digit = crate::phone::rtp(caller.ssrc, 1, 101);
    let verdict = world.receive(caller.rtp, caller.relay.unwrap(), &digit);
    assert_eq!(verdict, Verdict::Drop(DropReason::BlockedDtmf));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&other(OtherCommand::UnblockDtmf, &[("call-id", CALL)], &[]));
    world.receive(caller.rtp, caller.relay.unwrap(), &digit);
    assert_eq!(callee.received(&mut world), [digit]);
    let report = world.query();
    let to_callee = &report.tags.get(b"b").unwrap().medias[0].streams[0];
    assert_eq!(to_callee.stats_out.packets, 2);
    world.ok(&delete_now());
    world.assert_empty();
}

/// The party whose SDP came with the flag; the other one's digits go on.
#[test]
fn dtmf_of_a_party_can_be_blocked_with_its_sdp() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 0x0f00_0001);
    let mut callee = Phone::new("203.0.113.44:6000", 0x0f00_0002);
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "block-DTMF")));
    caller.read(&world.sdp(&answer(&callee.sdp(), "a", "b", "")));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let digit = |phone: &Phone| crate::phone::rtp(phone.ssrc, phone.sequence + 1, 101);
    let verdict = world.receive(caller.rtp, caller.relay.unwrap(), &digit(&caller));
    assert_eq!(verdict, Verdict::Drop(DropReason::BlockedDtmf));
    world.receive(callee.rtp, callee.relay.unwrap(), &digit(&callee));
    assert_eq!(caller.received(&mut world), [digit(&callee)]);
    // A re-offer without it changes nothing; the command does.
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    let verdict = world.receive(caller.rtp, caller.relay.unwrap(), &digit(&caller));
    assert_eq!(verdict, Verdict::Drop(DropReason::BlockedDtmf));
    let unblock = other(
        OtherCommand::UnblockDtmf,
        &[("call-id", CALL), ("from-tag", "a")],
        &["directional"],
    );
    world.ok(&unblock);
    world.receive(caller.rtp, caller.relay.unwrap(), &digit(&caller));
    assert_eq!(callee.received(&mut world), [digit(&caller)]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_there_is_not_is_refused() {
    let mut world = World::new();
    let call = [("call-id", CALL)];
    assert_eq!(
        world.fails(&other(OtherCommand::StartForwarding, &call, &[])),
        ErrorReason::Unsupported
    );
    assert_eq!(
        world.fails(&other(OtherCommand::BlockMedia, &call, &[])),
        ErrorReason::UnknownCallId
    );
    assert_eq!(
        world.fails(&other(OtherCommand::BlockMedia, &[], &[])),
        ErrorReason::NoCallId
    );
    phones(&mut world, "");
    let nobody = [("call-id", CALL), ("label", "nobody")];
    assert_eq!(
        world.fails(&other(OtherCommand::BlockMedia, &nobody, &[])),
        ErrorReason::NoSuchLabel
    );
    world.ok(&delete_now());
    world.assert_empty();
}
