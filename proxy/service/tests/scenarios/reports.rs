//! RTCP: reports at their times, to their addresses, with their contents.

use std::time::Duration;

use viaduct_rtp::rtcp::{Compound, ReportBlock, RtcpPacket, RtcpWriter, SenderInfo};
use viaduct_sdp::Direction;
use viaduct_service::{Component, Service};

use crate::leg::{CALLER, CALLER_RTCP, CALLER_SSRC, Leg, UNIX_START, params};

fn sender_report(info: &SenderInfo, blocks: &[ReportBlock]) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.sender_report(CALLER_SSRC, info, blocks).unwrap();
    writer.sdes(&[(CALLER_SSRC, "caller")]).unwrap();
    writer.finish().to_vec()
}

#[test]
fn a_sender_report_tells_of_both_directions() {
    let mut leg = Leg::new(Service::Echo);
    let theirs = SenderInfo {
        ntp: 0x1234_5678_9abc_def0,
        ..SenderInfo::default()
    };
    leg.receive(Component::Rtcp, &sender_report(&theirs, &[]));
    leg.talk(60, |_| 0);
    leg.sequence = leg.sequence.wrapping_add(20);
    leg.talk(400, |_| 0);
    let reports = leg.take_reports();
    let first = &reports[0];
    assert_eq!(
        (first.from, first.to),
        (Component::Rtcp, CALLER_RTCP.parse().unwrap())
    );
    let packets = leg.take_packets();
    let before: Vec<_> = packets.iter().filter(|packet| packet.at <= first.at).collect();
    let compound = Compound::parse(&first.octets).unwrap();
    let all: Vec<_> = compound.packets().collect();
    let [RtcpPacket::SenderReport(report), RtcpPacket::Sdes(sdes)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(report.ssrc, packets[0].ssrc);
    let cname = sdes.chunks().next().unwrap();
    assert_eq!((cname.ssrc, cname.cname().unwrap().len()), (report.ssrc, 20));
    assert!(report.info.packets.abs_diff(before.len() as u32) <= 1);
    assert_eq!(report.info.octets, 160 * report.info.packets);
    // NTP and timestamp name one moment.
    let ntp = UNIX_START.as_secs() + 2_208_988_800 + first.at.as_secs();
    assert_eq!(report.info.ntp >> 32, ntp);
    let last = before.last().unwrap();
    assert!(report.info.rtp_timestamp.wrapping_sub(last.timestamp) <= 160);
    let block = report.blocks().next().unwrap();
    assert_eq!(block.ssrc, CALLER_SSRC);
    assert_eq!(block.last_sr, 0x5678_9abc);
    let delay = u64::from(block.delay_since_last_sr) * 1_000_000 / 65_536;
    assert!(u128::from(delay).abs_diff(first.at.as_micros()) < 100);
    assert_eq!(block.cumulative_lost, 20);
    assert!(block.fraction_lost > 0);
}

#[test]
fn reports_come_about_every_five_seconds() {
    let mut leg = Leg::new(Service::Music);
    leg.pass(300_000);
    let reports = leg.take_reports();
    assert!((50..=70).contains(&reports.len()), "{}", reports.len());
    for pair in reports.windows(2) {
        let wait = pair[1].at - pair[0].at;
        assert!((Duration::from_millis(2_500)..=Duration::from_millis(7_500)).contains(&wait));
    }
}

#[test]
fn who_has_stopped_sending_reports_as_a_receiver() {
    let mut leg = Leg::new(Service::Music);
    leg.pass(10_000);
    leg.update(|params| params.direction = Direction::RecvOnly);
    leg.take_reports();
    leg.pass(60_000);
    let is_receiver = |octets: &[u8]| {
        let compound = Compound::parse(octets).unwrap();
        matches!(compound.packets().next(), Some(RtcpPacket::ReceiverReport(_)))
    };
    let kinds: Vec<_> = leg
        .take_reports()
        .iter()
        .map(|report| is_receiver(&report.octets))
        .collect();
    assert!(kinds[2..].iter().all(|is_receiver| *is_receiver), "{kinds:?}");
}

#[test]
fn multiplexed_reports_share_the_port_of_rtp() {
    let mut agreed = params();
    agreed.rtcp_mux = true;
    agreed.remote_rtcp = agreed.remote;
    let mut leg = Leg::with(Service::Echo, agreed);
    leg.receive(Component::Rtp, &sender_report(&SenderInfo::default(), &[]));
    assert_eq!(leg.stream.stats().reports_received, 1);
    leg.pass(10_000);
    let report = &leg.take_reports()[0];
    assert_eq!(
        (report.from, report.to),
        (Component::Rtp, CALLER.parse().unwrap())
    );
    // Not agreed: nothing is expected on the other socket.
    leg.receive(Component::Rtcp, &sender_report(&SenderInfo::default(), &[]));
    assert_eq!(leg.stream.stats().drops.unexpected, 1);
}

#[test]
fn the_round_trip_is_measured() {
    let mut leg = Leg::new(Service::Music);
    leg.pass(10_000);
    let report = leg.take_reports().pop().unwrap();
    let compound = Compound::parse(&report.octets).unwrap();
    let Some(RtcpPacket::SenderReport(ours)) = compound.packets().next() else {
        panic!("no sender report")
    };
    let passed = Duration::from_secs(10) - report.at;
    let answered = passed - Duration::from_millis(100).min(passed);
    let block = ReportBlock {
        ssrc: ours.ssrc,
        last_sr: ours.info.ntp_middle(),
        delay_since_last_sr: (answered.as_micros() * 65_536 / 1_000_000) as u32,
        ..ReportBlock::default()
    };
    leg.receive(Component::Rtcp, &sender_report(&SenderInfo::default(), &[block]));
    let trip = leg.stream.stats().round_trip.unwrap();
    assert!(
        trip.abs_diff(passed - answered) < Duration::from_millis(1),
        "{trip:?}"
    );
}

#[test]
fn the_last_word_is_a_goodbye() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(10, |_| 0);
    let ssrc = leg.take_packets()[0].ssrc;
    let goodbye = leg.stream.goodbye(leg.now).unwrap();
    assert_eq!(
        (goodbye.from, goodbye.to),
        (Component::Rtcp, CALLER_RTCP.parse().unwrap())
    );
    let compound = Compound::parse(goodbye.octets).unwrap();
    let all: Vec<_> = compound.packets().collect();
    assert!(matches!(all[0], RtcpPacket::SenderReport(_)));
    let Some(RtcpPacket::Bye(bye)) = all.last() else {
        panic!("{all:?}")
    };
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [ssrc]);
    leg.update(|params| params.remote_rtcp = None);
    assert_eq!(leg.stream.goodbye(leg.now), None);
}
