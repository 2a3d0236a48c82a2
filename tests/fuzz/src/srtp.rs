//! SRTP and SRTCP: packets from strangers, and packets from a peer that arrive in any order, more than once, or damaged.

use std::time::Duration;

use viaduct_rtp::rtcp::RtcpWriter;
use viaduct_rtp::srtp::{
    ProtectError, RTCP_GROWTH_MAX, ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits, SrtpProfile,
};
use viaduct_rtp::{RtpFields, RtpHeader, Tick};

/// So few that retiring an SSRC and refusing one happen.
const LIMITS: SrtpLimits = SrtpLimits {
    live_ssrcs: 2,
    retire_after: Duration::from_secs(1),
    retired_ssrcs: 1,
};

/// Steps of one story that are taken.
const STEPS_MAX: usize = 64;

/// The first octet chooses the profile (bits 0 and 1), RTP or RTCP (bit 2), and what the rest is: a packet of a stranger
/// (bit 3), or a story of steps of three octets.
///
/// Laws: a packet that is refused changes nothing; one that is accepted is what the peer sent, and is accepted once; a
/// damaged one never is; no index is used for two packets.
pub fn srtp(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let profile = SrtpProfile::ALL[usize::from(choice & 3)];
    let is_rtcp = choice & 4 != 0;
    if choice & 8 != 0 {
        stranger(profile, is_rtcp, rest);
    } else {
        let mut story = Story::new(profile, is_rtcp);
        for step in rest.as_chunks::<3>().0.iter().take(STEPS_MAX) {
            story.step(*step);
        }
    }
}

/// The key that the seeds are made with; whoever fuzzes does not know it.
fn keys(profile: SrtpProfile) -> SrtpKeyMaterial {
    let octets: Vec<u8> = (1..=46).collect();
    SrtpKeyMaterial::from_sdes(profile, &octets[..profile.key_len() + profile.salt_len()]).unwrap()
}

/// Octets that protecting a packet adds.
fn growth(profile: SrtpProfile, is_rtcp: bool) -> usize {
    if is_rtcp {
        profile.rtcp_tag_len() + 4
    } else {
        profile.rtp_tag_len()
    }
}

fn stranger(profile: SrtpProfile, is_rtcp: bool, packet: &[u8]) {
    let mut context = ReceiveContext::new(&keys(profile), LIMITS);
    let mut unprotect = |packet: &[u8]| {
        let mut buffer = packet.to_vec();
        let result = if is_rtcp {
            context.unprotect_rtcp(Tick::ZERO, &mut buffer)
        } else {
            context.unprotect_rtp(Tick::ZERO, &mut buffer)
        };
        (result, context.live_ssrcs())
    };
    let (first, second) = (unprotect(packet), unprotect(packet));
    match first {
        (Ok(len), live) => {
            assert_eq!((len + growth(profile, is_rtcp), live), (packet.len(), 1));
            assert!(second.0.is_err());
        }
        (Err(_), live) => {
            assert_eq!(live, 0);
            assert_eq!(first, second);
        }
    }
}

/// What a peer has sent.
struct Sent {
    plain: Vec<u8>,
    protected: Vec<u8>,
    was_accepted: bool,
}

struct Story {
    profile: SrtpProfile,
    is_rtcp: bool,
    now: Tick,
    sender: SendContext,
    receiver: ReceiveContext,
    sent: Vec<Sent>,
}

impl Story {
    fn new(profile: SrtpProfile, is_rtcp: bool) -> Self {
        let keys = keys(profile);
        Self {
            profile,
            is_rtcp,
            now: Tick::ZERO,
            sender: SendContext::new(&keys, LIMITS),
            receiver: ReceiveContext::new(&keys, LIMITS),
            sent: Vec::new(),
        }
    }

    fn step(&mut self, [what, a, b]: [u8; 3]) {
        let chosen = (!self.sent.is_empty()).then(|| usize::from(a) % self.sent.len().max(1));
        match (what & 3, chosen) {
            (0, _) => self.send(
                u32::from(what >> 2 & 3),
                u16::from_be_bytes([a, b]),
                what & 0x80 != 0,
            ),
            (1, Some(chosen)) => self.deliver(chosen),
            (2, Some(chosen)) => self.damage(chosen, usize::from(b)),
            // Rollovers are searched for from here on.
            (3, _) if what & 0x40 != 0 => self.receiver.expect_unseen(),
            _ => self.now = self.now.after(Duration::from_millis(100 * u64::from(b))),
        }
    }

    fn send(&mut self, ssrc: u32, sequence: u16, at_once: bool) {
        let plain = if self.is_rtcp {
            rtcp(ssrc, sequence)
        } else {
            rtp(ssrc, sequence)
        };
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + RTCP_GROWTH_MAX, 0);
        let result = if self.is_rtcp {
            self.sender.protect_rtcp(self.now, &mut buffer, plain.len())
        } else {
            self.sender.protect_rtp(self.now, &mut buffer, plain.len())
        };
        match result {
            Ok(len) => {
                assert_eq!(len, plain.len() + growth(self.profile, self.is_rtcp));
                buffer.truncate(len);
                assert!(
                    !self.sent.iter().any(|sent| sent.protected == buffer),
                    "an index was used twice"
                );
                self.sent.push(Sent {
                    plain,
                    protected: buffer,
                    was_accepted: false,
                });
                if at_once {
                    self.deliver(self.sent.len() - 1);
                }
            }
            Err(error) => {
                let is_expected = matches!(
                    error,
                    ProtectError::IndexReused | ProtectError::IndexTooOld | ProtectError::TooManySsrcs
                );
                assert!(is_expected, "{error}");
                assert_eq!(buffer[..plain.len()], plain);
                if error == ProtectError::IndexReused {
                    assert!(!self.is_rtcp, "RTCP counts its own indices");
                }
            }
        }
    }

    fn unprotect(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let result = if self.is_rtcp {
            self.receiver.unprotect_rtcp(self.now, buffer)
        } else {
            self.receiver.unprotect_rtp(self.now, buffer)
        };
        result.ok()
    }

    fn deliver(&mut self, chosen: usize) {
        let mut buffer = self.sent[chosen].protected.clone();
        let accepted = self.unprotect(&mut buffer);
        let sent = &mut self.sent[chosen];
        if let Some(len) = accepted {
            assert!(!sent.was_accepted, "a packet was accepted twice");
            assert_eq!(buffer[..len], sent.plain);
            sent.was_accepted = true;
        }
        assert!(self.receiver.live_ssrcs() <= LIMITS.live_ssrcs);
    }

    fn damage(&mut self, chosen: usize, bit: usize) {
        let mut buffer = self.sent[chosen].protected.clone();
        let bit = bit * 7 % (8 * buffer.len());
        buffer[bit / 8] ^= 1 << (bit % 8);
        let live = self.receiver.live_ssrcs();
        assert_eq!(self.unprotect(&mut buffer), None, "bit {bit} was changed");
        assert_eq!(self.receiver.live_ssrcs(), live);
    }
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let fields = RtpFields {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: 160 * u32::from(sequence),
        ssrc,
    };
    let mut packet = fields.encode().to_vec();
    packet.extend(std::iter::repeat_n(sequence as u8, usize::from(sequence % 40)));
    assert_eq!(RtpHeader::parse(&packet).map(|header| header.ssrc()), Ok(ssrc));
    packet
}

fn rtcp(ssrc: u32, count: u16) -> Vec<u8> {
    let mut buffer = [0; 64];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.bye(&[ssrc], &"x".repeat(usize::from(count % 40))).unwrap();
    writer.finish().to_vec()
}
