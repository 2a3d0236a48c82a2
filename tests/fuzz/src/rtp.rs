//! RTP and RTCP packets, and the measurement of a stream.

use viaduct_rtp::rtcp::{Compound, REPORT_BLOCK_LEN, ReportBlock, RtcpPacket, RtcpWriter, SdesItem};
use viaduct_rtp::stats::{Reception, RttEstimator};
use viaduct_rtp::telephone_event::TelephoneEvent;
use viaduct_rtp::{Kind, RTP_HEADER_LEN, RtpFields, RtpHeader, RtpPacket, Tick, classify, static_clock_rate};

/// Reads octets as an RTP packet, as an RTCP compound, and as a sequence of arrivals to be measured.
///
/// Laws: the parts of a packet are the packet; what can be written again reads the same; report blocks lie inside the
/// datagram; no measurement leaves its range.
pub fn rtp(data: &[u8]) {
    let kind = classify(data);
    if let Ok(packet) = RtpPacket::parse(data) {
        assert!(matches!(kind, Kind::Rtp | Kind::Rtcp));
        read_packet(&packet, data);
    }
    if let Ok(compound) = Compound::parse(data) {
        assert!(compound.packets().count() >= 1 && data.len().is_multiple_of(4));
        let blocks = compound.report_blocks().count();
        assert!(blocks * REPORT_BLOCK_LEN <= data.len());
        let mut rtt = RttEstimator::default();
        for packet in compound.packets() {
            read_rtcp(packet, data.len(), &mut rtt);
        }
    }
    measure(data);
}

fn read_packet(packet: &RtpPacket<'_>, data: &[u8]) {
    let header = packet.header();
    assert!(header.size() >= RTP_HEADER_LEN + 4 * header.csrcs().count());
    assert_eq!(header.size() + header.body().len(), data.len());
    let padding = header.body().len() - packet.payload().len();
    assert_eq!(padding > 0, header.has_padding());
    assert!(padding == 0 || usize::from(data[data.len() - 1]) == padding);
    if let Some(extension) = header.extension() {
        assert!(extension.data.len().is_multiple_of(4));
        let elements = extension
            .elements()
            .map(|element| 1 + element.data.len())
            .sum::<usize>();
        assert!(elements <= extension.data.len());
    }
    let fields = RtpFields {
        marker: header.marker(),
        payload_type: header.payload_type(),
        sequence: header.sequence(),
        timestamp: header.timestamp(),
        ssrc: header.ssrc(),
    };
    let octets = fields.encode();
    assert_eq!(octets[1..], data[1..RTP_HEADER_LEN]);
    let again = RtpHeader::parse(&octets).unwrap();
    assert_eq!((again.size(), again.ssrc()), (RTP_HEADER_LEN, header.ssrc()));
    let _ = static_clock_rate(header.payload_type());
    if let Some(event) = TelephoneEvent::parse(packet.payload()) {
        assert_eq!(TelephoneEvent::parse(&event.encode()), Some(event));
        let _ = event.key();
    }
}

fn read_rtcp(packet: RtcpPacket<'_>, octets: usize, rtt: &mut RttEstimator) {
    let mut buffer = [0; 2_048];
    let mut writer = RtcpWriter::new(&mut buffer);
    match packet {
        RtcpPacket::SenderReport(report) => {
            let blocks: Vec<ReportBlock> = report.blocks().collect();
            rtt.on_sender_report(Tick::ZERO, report.info.ntp_middle());
            rtts_are_sane(rtt, &blocks);
            writer.sender_report(report.ssrc, &report.info, &blocks).unwrap();
            let again = only(writer.finish());
            let RtcpPacket::SenderReport(again) = again else {
                panic!("{again:?}")
            };
            assert_eq!((again.ssrc, again.info), (report.ssrc, report.info));
            assert!(again.blocks().eq(blocks));
        }
        RtcpPacket::ReceiverReport(report) => {
            let blocks: Vec<ReportBlock> = report.blocks().collect();
            rtts_are_sane(rtt, &blocks);
            writer.receiver_report(report.ssrc, &blocks).unwrap();
            let again = only(writer.finish());
            let RtcpPacket::ReceiverReport(again) = again else {
                panic!("{again:?}")
            };
            assert_eq!(again.ssrc, report.ssrc);
            assert!(again.blocks().eq(blocks));
        }
        RtcpPacket::Sdes(sdes) => {
            for chunk in sdes.chunks() {
                assert!(chunk.items().map(|item| 2 + item.value.len()).sum::<usize>() <= octets);
                let first = chunk.items().find(|item| item.kind == SdesItem::CNAME);
                assert_eq!(chunk.cname(), first.map(|item| item.value));
            }
        }
        RtcpPacket::Bye(bye) => {
            let ssrcs: Vec<u32> = bye.ssrcs().collect();
            assert!(4 * ssrcs.len() + bye.reason().len() <= octets);
            let Ok(reason) = str::from_utf8(bye.reason()) else {
                return;
            };
            writer.bye(&ssrcs, reason).unwrap();
            let again = only(writer.finish());
            let RtcpPacket::Bye(again) = again else {
                panic!("{again:?}")
            };
            assert!(again.ssrcs().eq(ssrcs) && again.reason() == bye.reason());
        }
        RtcpPacket::App(app) => assert!(app.data.len() + 12 <= octets),
        RtcpPacket::TransportFeedback(feedback) | RtcpPacket::PayloadFeedback(feedback) => {
            assert!(feedback.fci.len() + 12 <= octets);
        }
        RtcpPacket::ExtendedReport(report) => {
            assert!(report.blocks().count() * 4 <= octets);
        }
        RtcpPacket::Other { body, .. } => assert!(body.len() + 4 <= octets),
    }
}

fn only(datagram: &[u8]) -> RtcpPacket<'_> {
    let mut packets = Compound::parse(datagram).unwrap().packets();
    let packet = packets.next().unwrap();
    assert!(packets.next().is_none());
    packet
}

/// A round trip that is answered at once took no longer than there was time for.
fn rtts_are_sane(rtt: &mut RttEstimator, blocks: &[ReportBlock]) {
    let now = Tick::from_micros(500_000);
    for block in blocks {
        if let Some(round_trip) = rtt.on_report_block(now, block) {
            assert!(round_trip <= now.since(Tick::ZERO));
            assert_eq!(rtt.last(), Some(round_trip));
        }
    }
}

/// Takes the octets as arrivals of eight octets each: sequence number, timestamp step, time step, clock.
fn measure(data: &[u8]) {
    let (arrivals, _) = data.as_chunks::<8>();
    let mut reception: Option<Reception> = None;
    let (mut now, mut timestamp) = (Tick::ZERO, 0_u32);
    for [
        high,
        low,
        step_high,
        step_low,
        micros_high,
        micros_low,
        clock,
        report,
    ] in arrivals.iter().copied()
    {
        let sequence = u16::from_be_bytes([high, low]);
        timestamp = timestamp.wrapping_add(u32::from_be_bytes([0, step_high, step_low, 0]));
        let micros = u64::from(u16::from_be_bytes([micros_high, micros_low])) << (report & 0x1f);
        now = Tick::from_micros(now.as_micros().saturating_add(micros));
        let clock_rate = [0, 8_000, 48_000, u32::MAX][usize::from(clock & 3)];
        match &mut reception {
            None => reception = Some(Reception::new(now, sequence, timestamp, clock_rate)),
            Some(reception) => drop(reception.on_packet(now, sequence, timestamp, clock_rate)),
        }
        if let Some(reception) = &mut reception {
            let figures = reception.snapshot();
            assert!(figures.duplicates <= figures.received && figures.reordered <= figures.received);
            assert!((0.0..=1.0).contains(&figures.loss_fraction()));
            let _ = figures.jitter_time();
            if report & 0x80 != 0 {
                let block = reception.report_block(7);
                assert!(ReportBlock::CUMULATIVE_LOST_RANGE.contains(&block.cumulative_lost));
                assert_eq!(block.highest_sequence, figures.highest_sequence);
            }
        }
    }
}
