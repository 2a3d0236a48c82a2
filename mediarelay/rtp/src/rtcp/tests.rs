use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 12,
        cumulative_lost: -3,
        highest_sequence: 0x0002_fff0,
        jitter: 41,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 65536,
    }
}

const INFO: SenderInfo = SenderInfo {
    ntp: 0xe000_0001_8000_0000,
    rtp_timestamp: 16000,
    packets: 100,
    octets: 16000,
};

/// SR with one block, SDES, BYE.
fn compound() -> Vec<u8> {
    let mut buffer = [0xaa; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.sender_report(7, &INFO, &[block(8)]).unwrap();
    writer.sdes(&[(7, "alice@example"), (9, "")]).unwrap();
    writer.bye(&[7], "done").unwrap();
    writer.finish().to_vec()
}

#[test]
fn reads_what_the_writer_writes() {
    let datagram = compound();
    let compound = Compound::parse(&datagram).unwrap();
    assert_eq!(compound.sender_ssrc(), Some(7));
    assert_eq!(compound.report_blocks().collect::<Vec<_>>(), [block(8)]);
    let mut packets = compound.packets();
    let Some(RtcpPacket::SenderReport(report)) = packets.next() else {
        panic!("no SR")
    };
    assert_eq!((report.ssrc, report.info), (7, INFO));
    assert_eq!(report.info.ntp_middle(), 0x0001_8000);
    assert_eq!(report.blocks().collect::<Vec<_>>(), [block(8)]);
    let Some(RtcpPacket::Sdes(sdes)) = packets.next() else {
        panic!("no SDES")
    };
    let names: Vec<_> = sdes
        .chunks()
        .map(|chunk| (chunk.ssrc, chunk.cname().unwrap()))
        .collect();
    assert_eq!(names, [(7, &b"alice@example"[..]), (9, b"")]);
    let Some(RtcpPacket::Bye(bye)) = packets.next() else {
        panic!("no BYE")
    };
    assert_eq!(
        (bye.ssrcs().collect::<Vec<_>>(), bye.reason()),
        (vec![7], &b"done"[..])
    );
    assert!(packets.next().is_none());
}

#[test]
fn reads_feedback_app_and_extended_reports() {
    // NACK, PLI, APP, XR with a receiver reference time, and a type nobody knows.
    let datagram = b"\x81\xcd\x00\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00\x05\x00\x00\
        \x81\xce\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\
        \x83\xcc\x00\x03\x00\x00\x00\x01nametext\
        \x80\xcf\x00\x04\x00\x00\x00\x01\x04\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\
        \x80\xd0\x00\x01\x00\x00\x00\x09";
    let compound = Compound::parse(datagram).unwrap();
    let packets: Vec<_> = compound.packets().collect();
    assert_eq!(packets.len(), 5);
    let RtcpPacket::TransportFeedback(nack) = packets[0] else {
        panic!("no NACK")
    };
    assert_eq!(
        nack,
        Feedback {
            format: 1,
            sender_ssrc: 1,
            media_ssrc: 2,
            fci: &[0, 5, 0, 0]
        }
    );
    let RtcpPacket::PayloadFeedback(pli) = packets[1] else {
        panic!("no PLI")
    };
    assert_eq!(
        pli,
        Feedback {
            format: 1,
            sender_ssrc: 1,
            media_ssrc: 2,
            fci: &[]
        }
    );
    let RtcpPacket::App(app) = packets[2] else {
        panic!("no APP")
    };
    assert_eq!(
        app,
        App {
            subtype: 3,
            ssrc: 1,
            name: *b"name",
            data: b"text"
        }
    );
    let RtcpPacket::ExtendedReport(report) = packets[3] else {
        panic!("no XR")
    };
    let blocks: Vec<_> = report.blocks().collect();
    assert_eq!(
        blocks,
        [XrBlock {
            kind: 4,
            specific: 0,
            data: &[0, 0, 0, 3, 0, 0, 0, 4]
        }]
    );
    assert!(matches!(
        packets[4],
        RtcpPacket::Other {
            packet_type: 208,
            body: &[0, 0, 0, 9]
        }
    ));
    assert_eq!(compound.report_blocks().count(), 0);
}

#[test]
fn padding_is_only_in_the_last_packet() {
    let padded = b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04";
    let compound = Compound::parse(padded).unwrap();
    let Some(RtcpPacket::ReceiverReport(report)) = compound.packets().next() else {
        panic!("no RR")
    };
    assert_eq!((report.ssrc, report.blocks().len()), (1, 0));
    for count in [0, 3, 12] {
        let mut wrong = padded.to_vec();
        wrong[11] = count;
        assert_eq!(
            Compound::parse(&wrong).unwrap_err(),
            RtcpError::Padding { offset: 0 }
        );
    }
    let mut followed = padded.to_vec();
    followed.extend_from_slice(b"\x80\xc9\x00\x01\x00\x00\x00\x01");
    assert_eq!(
        Compound::parse(&followed).unwrap_err(),
        RtcpError::Padding { offset: 0 }
    );
}

#[test]
fn names_the_place_of_a_fault() {
    let whole = compound();
    assert_eq!(
        Compound::parse(&[]).unwrap_err(),
        RtcpError::TooShort { offset: 0 }
    );
    assert_eq!(
        Compound::parse(&whole[..40]).unwrap_err(),
        RtcpError::Overrun { offset: 0 }
    );
    assert_eq!(
        Compound::parse(&whole[..54]).unwrap_err(),
        RtcpError::TooShort { offset: 52 }
    );
    let mut version = whole.clone();
    version[52] &= 0x3f;
    assert_eq!(
        Compound::parse(&version).unwrap_err(),
        RtcpError::Version {
            offset: 52,
            version: 0
        }
    );
    let mut count = whole.clone();
    count[0] += 1;
    assert_eq!(
        Compound::parse(&count).unwrap_err(),
        RtcpError::Content {
            offset: 0,
            packet_type: 200
        }
    );
    let mut chunks = whole;
    chunks[52] += 1;
    assert_eq!(
        Compound::parse(&chunks).unwrap_err(),
        RtcpError::Content {
            offset: 52,
            packet_type: 202
        }
    );
}

#[test]
fn a_bye_without_sources_has_no_sender() {
    let compound = Compound::parse(b"\x80\xcb\x00\x00\x81\xcb\x00\x01\x00\x00\x00\x05").unwrap();
    assert_eq!(compound.sender_ssrc(), None);
}

#[test]
fn a_missing_end_of_items_is_forgiven_on_the_boundary_only() {
    let datagram = b"\x81\xca\x00\x02\x00\x00\x00\x05\x01\x02ab";
    let Some(RtcpPacket::Sdes(sdes)) = Compound::parse(datagram).unwrap().packets().next() else {
        panic!("no SDES")
    };
    assert_eq!(sdes.chunks().next().unwrap().cname(), Some(&b"ab"[..]));
    let overrun = b"\x81\xca\x00\x02\x00\x00\x00\x05\x01\x03ab";
    assert_eq!(
        Compound::parse(overrun).unwrap_err(),
        RtcpError::Content {
            offset: 0,
            packet_type: 202
        }
    );
}

#[test]
fn the_writer_keeps_its_limits() {
    let mut buffer = [0; 64];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.receiver_report(1, &[]).unwrap();
    let needed = WriteError::BufferTooSmall {
        needed: 8 + 28 + 48,
        available: 64,
    };
    assert_eq!(
        writer.sender_report(1, &INFO, &[block(1), block(2)]).unwrap_err(),
        needed
    );
    assert_eq!(
        writer.receiver_report(1, &[block(1); 32]).unwrap_err(),
        WriteError::TooMany(32)
    );
    assert_eq!(
        writer.bye(&[1], &"x".repeat(256)).unwrap_err(),
        WriteError::TextTooLong(256)
    );
    assert_eq!(Compound::parse(writer.finish()).unwrap().packets().count(), 1);
}

proptest! {
    #[test]
    fn a_report_block_survives_the_round_trip(
        ssrc: u32, fraction_lost: u8, cumulative_lost in -0x80_0000..=0x7f_ffff,
        highest_sequence: u32, jitter: u32, last_sr: u32, delay_since_last_sr: u32,
    ) {
        let block = ReportBlock {
            ssrc, fraction_lost, cumulative_lost, highest_sequence, jitter, last_sr, delay_since_last_sr,
        };
        let mut buffer = [0; 64];
        let mut writer = RtcpWriter::new(&mut buffer);
        writer.receiver_report(1, &[block]).unwrap();
        let compound = Compound::parse(writer.finish()).unwrap();
        prop_assert_eq!(compound.report_blocks().collect::<Vec<_>>(), [block]);
    }

    #[test]
    fn loss_beyond_24_bits_is_held(lost: i32) {
        let encoded = ReportBlock { cumulative_lost: lost, ..ReportBlock::default() }.encode();
        let mut datagram = b"\x81\xc9\x00\x07\x00\x00\x00\x01".to_vec();
        datagram.extend(encoded);
        let read = Compound::parse(&datagram).unwrap().report_blocks().next().unwrap();
        prop_assert_eq!(read.cumulative_lost, lost.clamp(-0x80_0000, 0x7f_ffff));
    }

    #[test]
    fn names_and_reasons_survive_the_round_trip(
        names in proptest::collection::vec((any::<u32>(), "[ -~]{0,40}"), 0..8), reason in "[ -~]{0,40}",
    ) {
        let mut buffer = [0xaa; 1024];
        let mut writer = RtcpWriter::new(&mut buffer);
        let borrowed: Vec<_> = names.iter().map(|(ssrc, name)| (*ssrc, name.as_str())).collect();
        let ssrcs: Vec<_> = names.iter().map(|(ssrc, _)| *ssrc).collect();
        writer.sdes(&borrowed).unwrap().bye(&ssrcs, &reason).unwrap();
        let compound = Compound::parse(writer.finish()).unwrap();
        let mut packets = compound.packets();
        let Some(RtcpPacket::Sdes(sdes)) = packets.next() else { panic!("no SDES") };
        let read: Vec<_> = sdes.chunks().map(|c| (c.ssrc, c.cname().unwrap())).collect();
        let expected: Vec<_> = names.iter().map(|(ssrc, name)| (*ssrc, name.as_bytes())).collect();
        prop_assert_eq!(read, expected);
        let Some(RtcpPacket::Bye(bye)) = packets.next() else { panic!("no BYE") };
        prop_assert_eq!(bye.ssrcs().collect::<Vec<_>>(), ssrcs);
        prop_assert_eq!(bye.reason(), reason.as_bytes());
    }

    #[test]
    fn mutated_compounds_never_panic(
        mutations in proptest::collection::vec((0_usize..112, any::<u8>()), 0..6), cut in 0_usize..120,
    ) {
        let mut datagram = compound();
        for (at, octet) in mutations {
            let at = at % datagram.len();
            datagram[at] = octet;
        }
        datagram.truncate(cut);
        exercise(&datagram);
    }

    #[test]
    fn random_octets_never_panic(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        exercise(&datagram);
    }
}

/// Reads everything there is to read.
fn exercise(datagram: &[u8]) {
    take_apart(datagram);
    let Ok(compound) = Compound::parse(datagram) else {
        return;
    };
    let _ = (compound.sender_ssrc(), compound.report_blocks().count());
    for packet in compound.packets() {
        match packet {
            RtcpPacket::Sdes(sdes) => {
                sdes.chunks()
                    .for_each(|chunk| assert!(chunk.items().count() < datagram.len()));
            }
            RtcpPacket::Bye(bye) => assert!(bye.ssrcs().len() < 32 && bye.reason().len() < 256),
            RtcpPacket::ExtendedReport(report) => assert!(report.blocks().count() < datagram.len()),
            _ => {}
        }
    }
}

#[test]
fn ntp_counts_from_1900() {
    assert_eq!(SenderInfo::ntp_at(Duration::ZERO), 2_208_988_800 << 32);
    assert_eq!(SenderInfo::ntp_at(Duration::from_millis(500)) as u32, 0x8000_0000);
    let block = ReportBlock::default().with_last_sr(7, Duration::from_millis(1_500));
    assert_eq!((block.last_sr, block.delay_since_last_sr), (7, 0x1_8000));
}

/// Takes feedback out and leaves it alone: what comes of a compound is one again, with the same feedback or none.
fn take_apart(datagram: &[u8]) {
    let feedback = |datagram: &[u8]| -> Vec<String> {
        let packets = Compound::parse(datagram).map(|compound| compound.packets());
        let feedback = packets.into_iter().flatten().filter(RtcpPacket::is_feedback);
        feedback.map(|packet| format!("{packet:?}")).collect()
    };
    let mut without = datagram.to_vec();
    let len = remove_feedback(&mut without, datagram.len());
    without.truncate(len);
    let mut alone = datagram.to_vec();
    let len = retain_feedback(&mut alone, datagram.len());
    alone.truncate(len);
    if Compound::parse(datagram).is_err() {
        assert_eq!((&without[..], &alone[..]), (datagram, datagram));
        return;
    }
    assert_eq!(without.is_empty(), Compound::parse(&without).is_err());
    assert_eq!(feedback(&without), Vec::<String>::new());
    assert_eq!(alone.is_empty(), Compound::parse(&alone).is_err());
    assert_eq!(alone.is_empty(), feedback(datagram).is_empty());
    assert_eq!(feedback(&alone), feedback(datagram));
    assert!(without.len() <= datagram.len() && alone.len() <= datagram.len());
}

#[test]
fn feedback_is_left_alone_behind_an_empty_report() {
    let picture_loss = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 0];
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    let blocks = [ReportBlock::default()];
    writer
        .sender_report(7, &SenderInfo::default(), &blocks)
        .unwrap()
        .sdes(&[(7, "somebody")])
        .unwrap();
    let report = writer.finish();
    let empty = [0x80, 201, 0, 1, 0, 0, 0, 7];
    let left = |packets: &[&[u8]]| {
        let mut compound = packets.concat();
        let len = retain_feedback(&mut compound, packets.concat().len());
        compound.truncate(len);
        compound
    };
    assert_eq!(
        left(&[report, &picture_loss, &nack]),
        [&empty[..], &picture_loss, &nack].concat()
    );
    assert_eq!(left(&[report]), []);
    assert_eq!(left(&[&empty, &nack]), [&empty[..], &nack].concat());
    assert_eq!(
        left(&[&nack, report, &picture_loss]),
        [&nack[..], &picture_loss].concat()
    );
    let broken = [report, &picture_loss[..11]].concat();
    assert_eq!(left(&[&broken]), broken);
}
