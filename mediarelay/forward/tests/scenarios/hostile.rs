//! Strangers, forgers, and octets that make no sense.

use proptest::prelude::*;
use viaduct_forward::{DropReason, PacketBuf, RECEIVE_MAX, SocketId, SrtpProfile, Verdict};

use crate::peers::*;

#[test]
fn a_wrong_key_opens_nothing_and_confirms_nothing() {
    for profile in SrtpProfile::ALL {
        let mut relay = Relay::new();
        let mut browser = browser_calls_phone(&mut relay, profile);
        let mut impostor = SrtpPeer::new(profile, 2);
        let forged = impostor.protect_rtp(&rtp(BROWSER_SSRC, 1));
        relay.drops(BROWSER, SHARED, &forged, DropReason::NotAuthentic);
        let forged = impostor.protect_rtcp(&receiver_report(BROWSER_SSRC, &[]));
        relay.drops(BROWSER, SHARED, &forged, DropReason::NotAuthentic);
        let snapshot = relay.flow(FROM_BROWSER);
        assert_eq!(
            (snapshot.rtp.packets, snapshot.errors, snapshot.last_packet),
            (0, 2, None)
        );
        assert_eq!(snapshot.ssrcs, []);
        assert_eq!(relay.reports(), []);
        let good = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
        relay.forwards(BROWSER, SHARED, &good, out(AUDIO, PHONE));
    }
}

#[test]
fn plain_rtp_does_not_pass_where_srtp_is_due() {
    let mut relay = Relay::new();
    browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    relay.drops(BROWSER, SHARED, &rtp(BROWSER_SSRC, 1), DropReason::NotAuthentic);
    let report = receiver_report(BROWSER_SSRC, &[about(1), about(2)]);
    relay.drops(BROWSER, SHARED, &report, DropReason::NotAuthentic);
    // SRTP towards a plain phone does not leave as it came either: the phone's flow has no key, so its tag stays part
    // of the payload and is protected once more.
    let mut browser = SrtpPeer::new(SrtpProfile::AeadAes128Gcm, 1);
    let protected = browser.protect_rtp(&rtp(PHONE_SSRC, 1));
    let sent = relay.forwards(PHONE, AUDIO, &protected, out(SHARED, BROWSER));
    assert_ne!(sent[..protected.len()], protected);
}

#[test]
fn a_recorded_packet_is_not_played_again() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    let recorded: Vec<_> = (0..300)
        .map(|n| browser.protect_rtp(&rtp(BROWSER_SSRC, n)))
        .collect();
    for packet in &recorded {
        relay.forwards(BROWSER, SHARED, packet, out(AUDIO, PHONE));
    }
    relay.drops(BROWSER, SHARED, &recorded[299], DropReason::Replayed);
    relay.drops(BROWSER, SHARED, &recorded[0], DropReason::TooOld);
    let report = browser.protect_rtcp(&receiver_report(BROWSER_SSRC, &[]));
    relay.forwards(BROWSER, SHARED, &report, out(AUDIO_RTCP, PHONE_RTCP));
    relay.drops(BROWSER, SHARED, &report, DropReason::Replayed);
    let drops = relay.flow(FROM_BROWSER).drops;
    assert_eq!(drops, [(DropReason::Replayed, 2), (DropReason::TooOld, 1)]);
}

#[test]
fn strangers_are_not_heard() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    // Even an authentic packet from an address that control has not installed.
    let stolen = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    relay.drops(STRANGER, SHARED, &stolen, DropReason::NoLeg);
    relay.drops(STRANGER, AUDIO, &rtp(PHONE_SSRC, 1), DropReason::NoLeg);
    relay.drops("198.51.100.9:4009", AUDIO, &rtp(PHONE_SSRC, 1), DropReason::NoLeg);
    // The phone's address at another port of the relay.
    relay.drops(PHONE, VIDEO, &rtp(PHONE_SSRC, 1), DropReason::NoLeg);
    relay.drops("198.51.100.9:0", AUDIO, &rtp(PHONE_SSRC, 1), DropReason::PortZero);
    relay.forwards(BROWSER, SHARED, &stolen, out(AUDIO, PHONE));
}

#[test]
fn cut_packets_are_dropped_by_name() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    let whole = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    for len in 0..whole.len() {
        let reason = match len {
            0..12 => DropReason::Unclassified,
            _ => DropReason::NotAuthentic,
        };
        relay.drops(BROWSER, SHARED, &whole[..len], reason);
    }
    let report = sender_report(PHONE_SSRC, 1, &[about(1)]);
    for len in 0..report.len() {
        let reason = match len {
            0..8 => DropReason::Unclassified,
            // The report alone is a compound.
            52 => continue,
            _ => DropReason::MalformedRtcp,
        };
        relay.drops(PHONE_RTCP, AUDIO_RTCP, &report[..len], reason);
    }
    let mut padded = rtp(PHONE_SSRC, 1);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 200;
    relay.drops(PHONE, AUDIO, &padded, DropReason::MalformedRtp);
    relay.forwards(BROWSER, SHARED, &whole, out(AUDIO, PHONE));
}

#[test]
fn a_datagram_that_may_be_cut_is_not_read() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    let mut long = rtp(1, 1);
    long.resize(RECEIVE_MAX, 0);
    relay.drops(PHONE, AUDIO, &long, DropReason::Oversize);
    long.truncate(RECEIVE_MAX - 1);
    relay.forwards(PHONE, AUDIO, &long, out(VIDEO, PHONE_VIDEO));
}

#[test]
fn the_longest_datagram_has_room_for_its_tag() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes256Gcm);
    let mut long = rtp(PHONE_SSRC, 1);
    long.resize(RECEIVE_MAX - 1, 7);
    let sent = relay.forwards(PHONE, AUDIO, &long, out(SHARED, BROWSER));
    assert_eq!(browser.unprotect_rtp(&sent), long);
    // 480 words of an application-defined packet.
    let words = (RECEIVE_MAX - 4) / 4;
    let mut report = vec![0x80, 204, ((words - 1) >> 8) as u8, (words - 1) as u8];
    report.extend(PHONE_SSRC.to_be_bytes());
    report.resize(4 * words, 1);
    let sent = relay.forwards(PHONE_RTCP, AUDIO_RTCP, &report, out(SHARED, BROWSER));
    assert_eq!(browser.unprotect_rtcp(&sent), report);
}

#[test]
fn other_protocols_are_named() {
    let mut relay = Relay::new();
    browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    let starting_with = |first: u8| vec![first; 40];
    relay.drops(BROWSER, SHARED, &starting_with(0x10), DropReason::Zrtp);
    relay.drops(BROWSER, SHARED, &starting_with(0x40), DropReason::TurnChannel);
    relay.drops(BROWSER, SHARED, &starting_with(0xc0), DropReason::Unclassified);
    relay.drops(BROWSER, SHARED, &starting_with(0x00), DropReason::MalformedStun);
    relay.drops(BROWSER, SHARED, &starting_with(0x16), DropReason::DtlsNotAllowed);
    relay.drops(BROWSER, SHARED, &[], DropReason::Unclassified);
}

/// A phone that restarts with the same SSRC and a lower sequence number: encrypting under used indices would repeat key
/// stream, so these packets do not leave.
#[test]
fn an_index_is_never_used_twice() {
    let mut relay = Relay::new();
    browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    for sequence in 500..700 {
        relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, sequence), out(SHARED, BROWSER));
    }
    relay.drops(PHONE, AUDIO, &rtp(PHONE_SSRC, 690), DropReason::SendIndexReused);
    relay.drops(PHONE, AUDIO, &rtp(PHONE_SSRC, 100), DropReason::SendIndexTooOld);
}

#[test]
fn an_ssrc_flood_is_bounded_and_hurts_no_measured_stream() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    for sequence in 0..100_u16 {
        let sent = relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, sequence), out(SHARED, BROWSER));
        browser.unprotect_rtp(&sent);
        for n in 0..50 {
            relay.receive(PHONE, AUDIO, &rtp(1000 + 50 * u32::from(sequence) + n, 1));
        }
        relay.wait(20);
    }
    let snapshot = relay.flow(FROM_PHONE);
    assert_eq!(snapshot.ssrcs.len(), 8);
    let stream = snapshot.ssrcs.iter().find(|s| s.ssrc == PHONE_SSRC).unwrap();
    assert_eq!((stream.reception.lost(), stream.packets), (0, 100));
    assert_eq!(snapshot.untracked, 5000 - 7);
    // The send context has room for 32; further SSRCs are refused, not let in at the cost of others.
    let refused = relay.dropped(DropReason::SendSsrcLimit);
    assert_eq!(refused, 5000 - 31);
}

/// Somebody with the key may flood as well.
#[test]
fn an_authentic_ssrc_flood_is_bounded_too() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    for ssrc in 0..32 {
        let packet = browser.protect_rtp(&rtp(ssrc, 1));
        relay.forwards(BROWSER, SHARED, &packet, out(AUDIO, PHONE));
    }
    let mut other = SrtpPeer::new(SrtpProfile::Aes128CmSha1_80, 1);
    for ssrc in 32..60 {
        let packet = other.protect_rtp(&rtp(ssrc, 1));
        relay.drops(BROWSER, SHARED, &packet, DropReason::ReceiveSsrcLimit);
    }
    // After ten seconds of silence the first of them make room, and still cannot be replayed.
    relay.wait(10_000);
    let packet = SrtpPeer::new(SrtpProfile::Aes128CmSha1_80, 1).protect_rtp(&rtp(99, 1));
    relay.forwards(BROWSER, SHARED, &packet, out(AUDIO, PHONE));
    for ssrc in 0..32 {
        let recorded = SrtpPeer::new(SrtpProfile::Aes128CmSha1_80, 1).protect_rtp(&rtp(ssrc, 1));
        let verdict = relay.receive(BROWSER, SHARED, &recorded).0;
        let refused = [DropReason::Replayed, DropReason::TooOld].map(Verdict::Drop);
        assert!(refused.contains(&verdict), "{verdict:?}");
    }
}

proptest! {
    /// No octets panic, every datagram is counted exactly once, and nothing is forwarded to the phone without a key.
    #[test]
    fn any_datagram_gets_one_verdict(
        datagrams in proptest::collection::vec(
            (0_u32..5, 0_usize..4, proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..40,
        ),
    ) {
        let mut relay = Relay::new();
        browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
        let peers = [BROWSER, PHONE, PHONE_RTCP, STRANGER];
        let total = datagrams.len() as u64;
        let mut buffer = PacketBuf::new();
        for (socket, peer, mut datagram, media) in datagrams {
            if let (true, Some(first)) = (media, datagram.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            buffer.fill(&datagram);
            let verdict =
                relay.worker.handle_datagram(relay.now, SocketId(socket), addr(peers[peer]), &mut buffer);
            if let Verdict::Forward { out: to, .. } = verdict {
                prop_assert_eq!(to, out(SHARED, BROWSER));
            }
            prop_assert_ne!(verdict, Verdict::Reply);
        }
        let snapshot = relay.worker.stats().snapshot();
        let drops: u64 = snapshot.drops.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(snapshot.forwarded + snapshot.replied + snapshot.to_control + drops, total);
    }
}
