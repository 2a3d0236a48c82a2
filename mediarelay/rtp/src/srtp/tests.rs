use std::time::Duration;

use proptest::prelude::*;

use super::cipher::Cipher;
use super::gcm::GcmCipher;
use super::receive::UNSEEN_ROLLOVERS_MAX;
use super::*;
use crate::header::{RtpError, RtpFields};
use crate::tick::Tick;

const NOW: Tick = Tick::ZERO;

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn keys(profile: SrtpProfile) -> SrtpKeyMaterial {
    let material: Vec<u8> = (0..46).map(|n| n * 5 + 1).collect();
    SrtpKeyMaterial::new(
        profile,
        &material[..profile.key_len()],
        &material[32..32 + profile.salt_len()],
    )
    .unwrap()
}

fn pair(profile: SrtpProfile) -> (SendContext, ReceiveContext) {
    let keys = keys(profile);
    (
        SendContext::new(&keys, SrtpLimits::default()),
        ReceiveContext::new(&keys, SrtpLimits::default()),
    )
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: 160,
        ssrc,
    };
    let mut packet = fields.encode().to_vec();
    packet.extend((0..160).map(|n| n ^ sequence as u8));
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let mut writer = crate::rtcp::RtcpWriter::new(&mut buffer);
    writer
        .receiver_report(ssrc, &[crate::rtcp::ReportBlock::default()])
        .unwrap();
    writer.finish().to_vec()
}

fn protect_rtp(context: &mut SendContext, packet: &[u8]) -> Result<Vec<u8>, ProtectError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + RTP_GROWTH_MAX, 0);
    let len = context.protect_rtp(NOW, &mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn protect_rtcp(context: &mut SendContext, packet: &[u8]) -> Result<Vec<u8>, ProtectError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + RTCP_GROWTH_MAX, 0);
    let len = context.protect_rtcp(NOW, &mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect_rtp(context: &mut ReceiveContext, packet: &[u8]) -> Result<Vec<u8>, UnprotectError> {
    let mut buffer = packet.to_vec();
    let len = context.unprotect_rtp(NOW, &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect_rtcp(context: &mut ReceiveContext, packet: &[u8]) -> Result<Vec<u8>, UnprotectError> {
    let mut buffer = packet.to_vec();
    let len = context.unprotect_rtcp(NOW, &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// RFC 3711 section 3.1: the identifier stands before the tag, and with AES-GCM at the end (RFC 7714 section 8.1). It is not
/// covered by the tag, so it must be compared.
#[test]
fn packets_under_a_key_with_an_identifier_carry_it() {
    for profile in SrtpProfile::SDES {
        let material: Vec<u8> = (0..profile.key_len() + profile.salt_len())
            .map(|n| n as u8)
            .collect();
        let plain = SrtpKeyMaterial::from_sdes(profile, &material).unwrap();
        for (value, len) in [(1, 32), (0x1234, 2), (u64::MAX, 8)] {
            let keys = plain.clone().with_mki(Mki::new(value, len));
            let [mut send, mut bare] =
                [&keys, &plain].map(|keys| SendContext::new(keys, SrtpLimits::default()));
            let mut receive = ReceiveContext::new(&keys, SrtpLimits::default());
            let (media, report) = (rtp(7, 1), rtcp(7));
            let sealed = protect_rtp(&mut send, &media).unwrap();
            let without = protect_rtp(&mut bare, &media).unwrap();
            let behind = if profile.is_aead() {
                0
            } else {
                profile.rtp_tag_len()
            };
            let at = sealed.len() - behind - len;
            assert_eq!(sealed[at + len - 1], value as u8);
            assert_eq!(
                [&sealed[..at], &sealed[at + len..]].concat(),
                without,
                "{profile:?}"
            );
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(
                unprotect_rtp(&mut receive, &other),
                Err(UnprotectError::NotAuthentic)
            );
            assert!(unprotect_rtp(&mut receive, &without).is_err());
            assert_eq!(unprotect_rtp(&mut receive, &sealed).unwrap(), media);
            let sealed = protect_rtcp(&mut send, &report).unwrap();
            let without = protect_rtcp(&mut bare, &report).unwrap();
            assert_eq!(sealed.len(), without.len() + len);
            assert!(unprotect_rtcp(&mut receive, &without).is_err());
            assert_eq!(unprotect_rtcp(&mut receive, &sealed).unwrap(), report);
            assert!(unprotect_rtp(&mut receive, &media[..12]).is_err());
        }
    }
    assert_eq!(
        (Mki::new(256, 1), Mki::new(1, 33), Mki::new(0, 0)),
        (None, None, None)
    );
}

/// RFC 7714, sections 16 and 17: session keys 00 01 02 …, salt "Quid pro quo".
mod rfc_7714 {
    use super::*;

    const SALT: [u8; 12] = *b"Quid pro quo";
    const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
    const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    /// The sender of the RTCP packet, "Mars", and its index.
    const RTCP_POSITION: (u32, u64) = (0x4d61_7273, 0x5d4);

    fn cipher(profile: SrtpProfile) -> Cipher {
        let key: Vec<u8> = (0..profile.key_len()).map(|n| n as u8).collect();
        Cipher::Gcm(GcmCipher::from_session_keys(profile, &key, SALT))
    }

    #[test]
    fn rtp_vectors() {
        let vectors = [
            (
                SrtpProfile::AeadAes128Gcm,
                "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
            ),
            (
                SrtpProfile::AeadAes256Gcm,
                "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
            ),
        ];
        for (profile, protected) in vectors {
            let mut send = SendContext::with(profile, cipher(profile), None);
            assert_eq!(protect_rtp(&mut send, &hex(RTP)).unwrap(), hex(protected));
            let mut receive = ReceiveContext::with(profile, cipher(profile));
            assert_eq!(unprotect_rtp(&mut receive, &hex(protected)).unwrap(), hex(RTP));
        }
    }

    #[test]
    fn rtcp_vectors() {
        let vectors = [
            (
                SrtpProfile::AeadAes128Gcm,
                "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
            ),
            (
                SrtpProfile::AeadAes256Gcm,
                "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
            ),
        ];
        for (profile, protected) in vectors {
            let mut send = SendContext::with(profile, cipher(profile), Some(RTCP_POSITION));
            assert_eq!(protect_rtcp(&mut send, &hex(RTCP)).unwrap(), hex(protected));
            let mut receive = ReceiveContext::with(profile, cipher(profile));
            assert_eq!(unprotect_rtcp(&mut receive, &hex(protected)).unwrap(), hex(RTCP));
        }
    }

    /// Section 17.3: tagged but not encrypted.
    #[test]
    fn rtcp_without_encryption() {
        let tagged = hex(
            "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
        );
        let profile = SrtpProfile::AeadAes128Gcm;
        let mut receive = ReceiveContext::with(profile, cipher(profile));
        assert_eq!(unprotect_rtcp(&mut receive, &tagged).unwrap(), hex(RTCP));
        let mut claims_encryption = tagged;
        let e_bit = claims_encryption.len() - 4;
        claims_encryption[e_bit] |= 0x80;
        let mut receive = ReceiveContext::with(profile, cipher(profile));
        assert_eq!(
            unprotect_rtcp(&mut receive, &claims_encryption),
            Err(UnprotectError::NotAuthentic)
        );
    }
}

#[test]
fn every_profile_carries_rtp_and_rtcp() {
    for profile in SrtpProfile::SDES {
        let encrypts = !matches!(profile, SrtpProfile::NullSha1_80 | SrtpProfile::NullSha1_32);
        let (mut send, mut receive) = pair(profile);
        for sequence in 0..300 {
            let plain = rtp(7, sequence);
            let protected = protect_rtp(&mut send, &plain).unwrap();
            assert_eq!(protected.len(), plain.len() + profile.rtp_tag_len());
            assert_eq!(protected[12..plain.len()] != plain[12..], encrypts);
            assert_eq!(unprotect_rtp(&mut receive, &protected).unwrap(), plain);
        }
        for _ in 0..3 {
            let plain = rtcp(7);
            let protected = protect_rtcp(&mut send, &plain).unwrap();
            assert_eq!(protected.len(), plain.len() + profile.rtcp_tag_len() + 4);
            assert_eq!(protected[8..plain.len()] != plain[8..], encrypts);
            assert_eq!(unprotect_rtcp(&mut receive, &protected).unwrap(), plain);
        }
    }
}

/// Whoever has a key of ours and passes on our packets must not count its RTCP as we do.
#[test]
fn rtcp_under_a_shared_key_repeats_no_index() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (mut owner, mut receive) = pair(profile);
    let mut relay = SendContext::new(&keys(profile).shared(), SrtpLimits::default());
    let plain = rtcp(7);
    let trailer = |packet: &[u8]| u32::from_be_bytes(packet[packet.len() - 4..].try_into().unwrap());
    let of_owner = protect_rtcp(&mut owner, &plain).unwrap();
    let first = protect_rtcp(&mut relay, &plain).unwrap();
    let second = protect_rtcp(&mut relay, &plain).unwrap();
    assert!(trailer(&first) - trailer(&of_owner) >= 1 << 29);
    assert_eq!(trailer(&second), trailer(&first) + 1);
    for packet in [&of_owner, &first, &second] {
        assert_eq!(unprotect_rtcp(&mut receive, packet).unwrap(), plain);
    }
    // Media keeps its index, and so looks the same.
    assert_eq!(
        protect_rtp(&mut owner, &rtp(7, 9)).unwrap(),
        protect_rtp(&mut relay, &rtp(7, 9)).unwrap()
    );
}

#[test]
fn csrcs_and_extension_stay_in_the_clear() {
    for profile in SrtpProfile::ALL {
        let (mut send, mut receive) = pair(profile);
        let mut plain =
            b"\x91\x00\x00\x01\0\0\0\xa0\0\0\0\x07\xaa\xaa\xaa\xaa\xbe\xde\x00\x01\x10\x41\x00\x00".to_vec();
        plain.extend(b"payload");
        let protected = protect_rtp(&mut send, &plain).unwrap();
        assert_eq!(protected[..24], plain[..24]);
        assert_ne!(protected[24..31], plain[24..31]);
        assert_eq!(unprotect_rtp(&mut receive, &protected).unwrap(), plain);
    }
}

#[test]
fn no_octet_may_change() {
    for profile in SrtpProfile::SDES {
        let (mut send, mut receive) = pair(profile);
        let protected = protect_rtp(&mut send, &rtp(7, 1)).unwrap();
        for at in 2..protected.len() {
            let mut changed = protected.clone();
            changed[at] ^= 0x40;
            assert_eq!(
                unprotect_rtp(&mut receive, &changed),
                Err(UnprotectError::NotAuthentic),
                "octet {at}"
            );
        }
        let protected_rtcp = protect_rtcp(&mut send, &rtcp(7)).unwrap();
        for at in 1..protected_rtcp.len() {
            let mut changed = protected_rtcp.clone();
            changed[at] ^= 0x40;
            assert_eq!(
                unprotect_rtcp(&mut receive, &changed),
                Err(UnprotectError::NotAuthentic),
                "octet {at}"
            );
        }
        // None of that has changed the context.
        assert_eq!(receive.live_ssrcs(), 0);
        assert!(unprotect_rtp(&mut receive, &protected).is_ok());
        assert!(unprotect_rtcp(&mut receive, &protected_rtcp).is_ok());
    }
}

#[test]
fn a_forged_packet_far_ahead_does_not_move_the_window() {
    let (mut send, mut receive) = pair(SrtpProfile::Aes128CmSha1_80);
    let first = protect_rtp(&mut send, &rtp(7, 1)).unwrap();
    assert!(unprotect_rtp(&mut receive, &first).is_ok());
    let mut forged = protect_rtp(&mut send, &rtp(7, 2)).unwrap();
    forged[2..4].copy_from_slice(&30_000_u16.to_be_bytes());
    assert_eq!(
        unprotect_rtp(&mut receive, &forged),
        Err(UnprotectError::NotAuthentic)
    );
    let third = protect_rtp(&mut send, &rtp(7, 3)).unwrap();
    assert!(unprotect_rtp(&mut receive, &third).is_ok());
}

#[test]
fn another_key_opens_nothing() {
    for profile in SrtpProfile::ALL {
        let (mut send, _) = pair(profile);
        let other = SrtpKeyMaterial::new(
            profile,
            &[9; 32][..profile.key_len()],
            &[8; 14][..profile.salt_len()],
        )
        .unwrap();
        let mut receive = ReceiveContext::new(&other, SrtpLimits::default());
        let protected = protect_rtp(&mut send, &rtp(7, 1)).unwrap();
        assert_eq!(
            unprotect_rtp(&mut receive, &protected),
            Err(UnprotectError::NotAuthentic)
        );
        let protected = protect_rtcp(&mut send, &rtcp(7)).unwrap();
        assert_eq!(
            unprotect_rtcp(&mut receive, &protected),
            Err(UnprotectError::NotAuthentic)
        );
    }
}

#[test]
fn replays_are_refused() {
    for profile in SrtpProfile::ALL {
        let (mut send, mut receive) = pair(profile);
        let packets: Vec<_> = (1000..1200)
            .map(|sequence| protect_rtp(&mut send, &rtp(7, sequence)).unwrap())
            .collect();
        for packet in packets.iter().skip(1) {
            assert!(unprotect_rtp(&mut receive, packet).is_ok());
        }
        assert_eq!(
            unprotect_rtp(&mut receive, &packets[199]),
            Err(UnprotectError::Replayed)
        );
        assert_eq!(
            unprotect_rtp(&mut receive, &packets[72]),
            Err(UnprotectError::Replayed)
        );
        assert_eq!(
            unprotect_rtp(&mut receive, &packets[71]),
            Err(UnprotectError::TooOld)
        );
        assert_eq!(
            unprotect_rtp(&mut receive, &packets[0]),
            Err(UnprotectError::TooOld)
        );
        let report = protect_rtcp(&mut send, &rtcp(7)).unwrap();
        assert!(unprotect_rtcp(&mut receive, &report).is_ok());
        assert_eq!(
            unprotect_rtcp(&mut receive, &report),
            Err(UnprotectError::Replayed)
        );
    }
}

#[test]
fn an_index_is_never_used_twice_for_sending() {
    let (mut send, _) = pair(SrtpProfile::AeadAes128Gcm);
    protect_rtp(&mut send, &rtp(7, 500)).unwrap();
    protect_rtp(&mut send, &rtp(7, 502)).unwrap();
    assert!(protect_rtp(&mut send, &rtp(7, 501)).is_ok(), "reordered");
    let mut other_payload = rtp(7, 501);
    other_payload[40] ^= 1;
    assert_eq!(
        protect_rtp(&mut send, &other_payload),
        Err(ProtectError::IndexReused)
    );
    assert_eq!(
        protect_rtp(&mut send, &rtp(7, 300)),
        Err(ProtectError::IndexTooOld)
    );
    // Another SSRC has indices of its own.
    assert!(protect_rtp(&mut send, &rtp(8, 500)).is_ok());
}

#[test]
fn the_rollover_counter_follows_the_sequence_number() {
    for profile in SrtpProfile::ALL {
        let (mut send, mut receive) = pair(profile);
        // Three cycles in steps of 1,000, of which the receiver gets every third.
        for step in 0_u32..200 {
            let protected = protect_rtp(&mut send, &rtp(7, (step * 1000) as u16)).unwrap();
            if step % 3 == 0 {
                assert!(unprotect_rtp(&mut receive, &protected).is_ok(), "step {step}");
            }
        }
    }
}

#[test]
fn contexts_go_on_where_others_have_stopped() {
    for profile in SrtpProfile::ALL {
        let (mut send, mut receive) = pair(profile);
        // Twice around: a rollover counter of 2.
        for sequence in (0..=u16::MAX)
            .step_by(1 << 14)
            .chain((0..=u16::MAX).step_by(1 << 14))
            .chain([3, 4])
        {
            let packet = protect_rtp(&mut send, &rtp(7, sequence)).unwrap();
            unprotect_rtp(&mut receive, &packet).unwrap();
        }
        let report = protect_rtcp(&mut send, &rtcp(7)).unwrap();
        unprotect_rtcp(&mut receive, &report).unwrap();
        let known = (send.indices(), receive.indices());
        assert_eq!(
            known.0,
            [SsrcIndices {
                ssrc: 7,
                rtp_next: (2 << 16) + 5,
                rtcp_next: 1
            }]
        );
        assert_eq!(known.1, known.0);
        // Unknown to those who go on: one more of each.
        let unknown = protect_rtp(&mut send, &rtp(7, 5)).unwrap();
        protect_rtcp(&mut send, &rtcp(7)).unwrap();

        let (mut send, mut late) = pair(profile);
        let leap = known.0.iter().map(|of| SsrcIndices {
            rtcp_next: of.rtcp_next + 1_000,
            ..*of
        });
        send.resume(&leap.collect::<Vec<_>>(), 1_000);
        late.resume(&known.1);
        // The same packet again is the same octets, and what was known to be used is refused.
        assert_eq!(protect_rtp(&mut send, &rtp(7, 5)).unwrap(), unknown);
        assert_eq!(protect_rtp(&mut send, &rtp(7, 4)), Err(ProtectError::IndexReused));
        assert_eq!(unprotect_rtp(&mut late, &unknown).unwrap(), rtp(7, 5));
        let (_, mut very_late) = pair(profile);
        very_late.resume(&known.1);
        let far = protect_rtp(&mut sender_at(profile, (9 << 16) + 3), &rtp(7, 3)).unwrap();
        assert_eq!(unprotect_rtp(&mut very_late, &far).unwrap(), rtp(7, 3));
        // The peer, who knows of nothing, and the one who goes on read all that follows.
        for sequence in [6, 7, 900] {
            let packet = protect_rtp(&mut send, &rtp(7, sequence)).unwrap();
            assert_eq!(unprotect_rtp(&mut receive, &packet).unwrap(), rtp(7, sequence));
            assert_eq!(unprotect_rtp(&mut late, &packet).unwrap(), rtp(7, sequence));
        }
        for (ssrc, next) in [(7, 1_002), (8, 1_001)] {
            let report = protect_rtcp(&mut send, &rtcp(ssrc)).unwrap();
            assert_eq!(unprotect_rtcp(&mut receive, &report).unwrap(), rtcp(ssrc));
            let stands = send.indices();
            assert_eq!(stands.iter().find(|of| of.ssrc == ssrc).unwrap().rtcp_next, next);
        }
    }
}

#[test]
fn a_late_packet_from_before_the_wrap_is_opened() {
    let (mut send, mut receive) = pair(SrtpProfile::Aes128CmSha1_80);
    let before = protect_rtp(&mut send, &rtp(7, 65534)).unwrap();
    let late = protect_rtp(&mut send, &rtp(7, 65535)).unwrap();
    let after = protect_rtp(&mut send, &rtp(7, 3)).unwrap();
    for packet in [before, after, late] {
        assert!(unprotect_rtp(&mut receive, &packet).is_ok());
    }
}

#[test]
fn a_stream_first_seen_after_its_wrap_is_opened() {
    for profile in SrtpProfile::ALL {
        let (mut send, mut receive) = pair(profile);
        protect_rtp(&mut send, &rtp(7, 65530)).unwrap();
        // RTCP comes first and must not fix the rollover counter.
        let report = protect_rtcp(&mut send, &rtcp(7)).unwrap();
        unprotect_rtcp(&mut receive, &report).unwrap();
        for sequence in [4, 5, 6] {
            let protected = protect_rtp(&mut send, &rtp(7, sequence)).unwrap();
            assert_eq!(unprotect_rtp(&mut receive, &protected).unwrap(), rtp(7, sequence));
        }
    }
}

/// A sender whose packets of one SSRC go on from any index.
fn sender_at(profile: SrtpProfile, index: u64) -> SendContext {
    let (mut send, _) = pair(profile);
    send.follow(NOW, 7, index);
    send
}

#[test]
fn packets_are_opened_after_rollovers_that_went_by_unseen() {
    for profile in SrtpProfile::SDES {
        let (mut send, mut receive) = pair(profile);
        let sequence = 40_000;
        let first = protect_rtp(&mut send, &rtp(7, sequence)).unwrap();
        unprotect_rtp(&mut receive, &first).unwrap();
        receive.expect_unseen();
        let mut rollover = 0;
        // Ahead and behind of where it would be without; once a sequence number that has just been seen.
        for (further, sequence) in [(3, 1_000), (1, 900), (5, 60_000), (2, 60_000), (200, 59_990)] {
            rollover += further;
            let index = rollover << 16 | u64::from(sequence);
            let mut send = sender_at(profile, index);
            let mut packet = protect_rtp(&mut send, &rtp(7, sequence)).unwrap();
            let again = packet.clone();
            let opened = receive.open_rtp(NOW, &mut packet).unwrap();
            assert_eq!(
                (opened.index, &packet[..opened.len]),
                (index, &rtp(7, sequence)[..])
            );
            assert_eq!(
                unprotect_rtp(&mut receive, &again),
                Err(UnprotectError::Replayed),
                "{profile:?} {index}"
            );
            // That search was in vain.
            receive.next_search = Some(NOW);
        }
    }
}

#[test]
fn forgers_cause_one_search_in_a_while() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (_, mut receive) = pair(profile);
    let mut at = |millis: u64, packet: &[u8]| {
        let now = NOW.after(Duration::from_millis(millis));
        receive.unprotect_rtp(now, &mut packet.to_vec())
    };
    let good = |rollover: u64| {
        let mut send = sender_at(profile, rollover << 16 | 5);
        protect_rtp(&mut send, &rtp(7, 5)).unwrap()
    };
    assert_eq!(
        at(0, &good(2)),
        Err(UnprotectError::NotAuthentic),
        "nothing goes by"
    );
    receive.expect_unseen();
    let mut at = |millis: u64, packet: &[u8]| {
        let now = NOW.after(Duration::from_millis(millis));
        receive.unprotect_rtp(now, &mut packet.to_vec())
    };
    assert_eq!(at(1_000, &rtp(7, 5)), Err(UnprotectError::NotAuthentic));
    assert_eq!(at(1_199, &good(2)), Err(UnprotectError::NotAuthentic));
    assert!(at(1_200, &good(2)).is_ok());
    let far = 2 + 1 + UNSEEN_ROLLOVERS_MAX + 1;
    assert_eq!(at(1_200, &good(far)), Err(UnprotectError::Replayed), "too far");
}

#[test]
fn a_sender_goes_on_where_packets_went_without_it() {
    let (mut send, mut receive) = pair(SrtpProfile::Aes128CmSha1_80);
    let index = 5 << 16 | 7;
    send.follow(NOW, 7, index);
    receive.expect_unseen();
    let mut packet = protect_rtp(&mut send, &rtp(7, 7)).unwrap();
    assert_eq!(receive.open_rtp(NOW, &mut packet).map(|of| of.index), Ok(index));
    // What it has sent stays sent.
    for index in [index, index - 1, 7] {
        send.follow(NOW, 7, index);
        assert_eq!(protect_rtp(&mut send, &rtp(7, 7)), Err(ProtectError::IndexReused));
    }
    // Packets that change places are no reason to leave any out.
    send.follow(NOW, 7, index + 2);
    assert!(protect_rtp(&mut send, &rtp(7, 9)).is_ok());
    send.follow(NOW, 7, index + 1);
    assert!(protect_rtp(&mut send, &rtp(7, 8)).is_ok());
}

#[test]
fn a_full_context_counts_and_goes_on() {
    let limits = SrtpLimits {
        live_ssrcs: 2,
        retire_after: Duration::from_secs(10),
        retired_ssrcs: 0,
    };
    let keys = keys(SrtpProfile::AeadAes128Gcm);
    let (mut send, _) = pair(SrtpProfile::AeadAes128Gcm);
    let mut receive = ReceiveContext::new(&keys, limits);
    for ssrc in 1..=2 {
        let packet = protect_rtp(&mut send, &rtp(ssrc, 1)).unwrap();
        assert!(unprotect_rtp(&mut receive, &packet).is_ok());
    }
    let third = protect_rtp(&mut send, &rtp(3, 1)).unwrap();
    assert_eq!(
        unprotect_rtp(&mut receive, &third),
        Err(UnprotectError::TooManySsrcs)
    );
    assert_eq!((receive.live_ssrcs(), receive.refused_ssrcs()), (2, 1));
    let again = protect_rtp(&mut send, &rtp(1, 2)).unwrap();
    assert!(unprotect_rtp(&mut receive, &again).is_ok());

    let mut small = SendContext::new(&keys, limits);
    assert!(protect_rtp(&mut small, &rtp(1, 1)).is_ok() && protect_rtp(&mut small, &rtp(2, 1)).is_ok());
    assert_eq!(
        protect_rtp(&mut small, &rtp(3, 1)),
        Err(ProtectError::TooManySsrcs)
    );
    assert_eq!(
        protect_rtcp(&mut small, &rtcp(3)),
        Err(ProtectError::TooManySsrcs)
    );
    assert_eq!(small.refused_ssrcs(), 2);
}

#[test]
fn the_last_rtcp_index_ends_the_key() {
    let profile = SrtpProfile::Aes128CmSha1_80;
    let mut send = SendContext::with(profile, Cipher::new(&keys(profile)), Some((7, (1 << 31) - 1)));
    assert!(protect_rtcp(&mut send, &rtcp(7)).is_ok());
    assert_eq!(protect_rtcp(&mut send, &rtcp(7)), Err(ProtectError::KeyExhausted));
}

#[test]
fn what_is_no_packet_is_named() {
    let (mut send, mut receive) = pair(SrtpProfile::Aes128CmSha1_80);
    let mut packet = rtp(7, 1);
    assert_eq!(
        send.protect_rtp(NOW, &mut packet, 172),
        Err(ProtectError::NoRoom { missing: 10 })
    );
    assert_eq!(
        send.protect_rtcp(NOW, &mut packet, 172),
        Err(ProtectError::NoRoom { missing: 14 })
    );
    assert_eq!(
        send.protect_rtp(NOW, &mut packet, 8),
        Err(ProtectError::Rtp(RtpError::TooShort { len: 8 }))
    );
    assert_eq!(send.protect_rtcp(NOW, &mut packet, 7), Err(ProtectError::Rtcp));
    assert_eq!(send.live_ssrcs(), 0);
    assert_eq!(packet, rtp(7, 1));
    assert_eq!(
        unprotect_rtp(&mut receive, &packet[..11]),
        Err(UnprotectError::Rtp(RtpError::TooShort { len: 11 }))
    );
    assert_eq!(
        unprotect_rtp(&mut receive, &packet[..21]),
        Err(UnprotectError::NoTag { len: 21 })
    );
    assert_eq!(
        unprotect_rtcp(&mut receive, &packet[..21]),
        Err(UnprotectError::Rtcp)
    );
}

mod libsrtp;

proptest! {
    #[test]
    fn any_packet_comes_back(
        profile in proptest::sample::select(&SrtpProfile::ALL[..]),
        sequence: u16,
        ssrc: u32,
        csrcs in 0_u8..16,
        words in proptest::option::of(0_u8..4),
        payload in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let fields = RtpFields { marker: false, payload_type: 96, sequence, timestamp: 1, ssrc };
        let mut plain = fields.encode().to_vec();
        plain[0] |= csrcs;
        plain.extend(vec![7; 4 * usize::from(csrcs)]);
        if let Some(words) = words {
            plain[0] |= 0x10;
            plain.extend([0xbe, 0xde, 0, words]);
            plain.extend(vec![0; 4 * usize::from(words)]);
        }
        plain.extend(payload);
        let (mut send, mut receive) = pair(profile);
        let protected = protect_rtp(&mut send, &plain).unwrap();
        prop_assert_eq!(unprotect_rtp(&mut receive, &protected).unwrap(), plain);
    }

    #[test]
    fn random_octets_never_panic(
        profile in proptest::sample::select(&SrtpProfile::ALL[..]),
        mut packet in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let (mut send, mut receive) = pair(profile);
        if let Some(first) = packet.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        prop_assert!(unprotect_rtp(&mut receive, &packet).is_err());
        prop_assert!(unprotect_rtcp(&mut receive, &packet).is_err());
        let _ = (protect_rtp(&mut send, &packet), protect_rtcp(&mut send, &packet));
    }
}
