//! One phone in one call: sends packets, and knows those of the other phone again.

use std::time::{Duration, Instant};

use viaduct_rtp::srtp::{ReceiveContext, SendContext, SrtpKeyMaterial, SrtpLimits};
use viaduct_rtp::{Epoch, RTP_HEADER_LEN, RtpFields, RtpPacket, Tick};

use super::PAYLOAD_OCTETS;

/// PCMA.
const PAYLOAD_TYPE: u8 = 8;

/// Octets of timestamp clock in a packet time, at 8 kHz.
const TIMESTAMP_STEP: u32 = 160;

/// Room for a packet with its SRTP tag.
const PACKET_MAX: usize = RTP_HEADER_LEN + PAYLOAD_OCTETS + 32;

/// Keys of both directions of a leg.
#[derive(Debug)]
pub struct Crypto {
    send: SendContext,
    receive: ReceiveContext,
}

impl Crypto {
    /// `own` protects what the phone sends, `other` what the relay sends to it.
    #[must_use]
    pub fn new(own: &SrtpKeyMaterial, other: &SrtpKeyMaterial) -> Self {
        Self {
            send: SendContext::new(own, SrtpLimits::default()),
            receive: ReceiveContext::new(other, SrtpLimits::default()),
        }
    }
}

/// What a datagram turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A packet of the other phone, and how long it was on its way.
    Packet(Duration),
    /// One that had come before.
    Repeated,
    /// One that nobody waits for any more.
    Late,
    /// Anything else.
    Wrong,
}

/// What tells packets of the call that a phone had before.
#[derive(Debug)]
struct Before {
    other_ssrc: u32,
    receive: Option<ReceiveContext>,
}

/// Two of them, one for each phone of a call, are made by [`pair`](Self::pair). A packet is sent by one and heard by the
/// other.
#[derive(Debug)]
pub struct Leg {
    ssrc: u32,
    other_ssrc: u32,
    epoch: Epoch,
    crypto: Option<Crypto>,
    /// When each packet was sent: the first has number 0. `None` once it was heard.
    sent: Vec<Option<Instant>>,
    /// Packets before this one are not waited for.
    awaited_from: usize,
    /// On the same sockets, so that something of it may still come.
    before: Option<Box<Before>>,
    buffer: [u8; PACKET_MAX],
}

impl Leg {
    /// The two legs of call number `call`. `epoch` is before the first packet.
    #[must_use]
    pub fn pair(call: u32, epoch: Instant, crypto: [Option<Crypto>; 2]) -> [Self; 2] {
        let (first, second) = (0x1000_0000 | call, 0x2000_0000 | call);
        let [first_crypto, second_crypto] = crypto;
        [(first, second, first_crypto), (second, first, second_crypto)].map(|(ssrc, other_ssrc, crypto)| {
            Self {
                ssrc,
                other_ssrc,
                epoch: Epoch::new(epoch),
                crypto,
                sent: Vec::new(),
                awaited_from: 0,
                before: None,
                buffer: [0; PACKET_MAX],
            }
        })
    }

    /// The phone has had another call before, on the same sockets.
    pub fn follow(&mut self, before: Self) {
        self.before = Some(Box::new(Before {
            other_ssrc: before.other_ssrc,
            receive: before.crypto.map(|crypto| crypto.receive),
        }));
    }

    /// The next packet, to be sent at once. `None` when the sequence numbers are used up.
    pub fn packet(&mut self, now: Instant) -> Option<&[u8]> {
        let number = u16::try_from(self.sent.len()).ok()?;
        let header = RtpFields {
            marker: number == 0,
            payload_type: PAYLOAD_TYPE,
            sequence: number,
            timestamp: u32::from(number).wrapping_mul(TIMESTAMP_STEP),
            ssrc: self.ssrc,
        };
        let mut len = RTP_HEADER_LEN + PAYLOAD_OCTETS;
        self.buffer[..RTP_HEADER_LEN].copy_from_slice(&header.encode());
        self.buffer[RTP_HEADER_LEN..len].fill(voice(number));
        if let Some(crypto) = &mut self.crypto {
            len = crypto
                .send
                .protect_rtp(self.epoch.tick(now), &mut self.buffer, len)
                .ok()?;
        }
        self.sent.push(Some(now));
        Some(&self.buffer[..len])
    }

    /// Whether nothing was sent.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.sent.is_empty()
    }

    /// Waits no longer for what was sent so far.
    pub fn forget_sent(&mut self) {
        self.awaited_from = self.sent.len();
    }

    /// Takes a datagram that the relay sent to this phone. `other` is the leg of the other phone.
    pub fn hear(&mut self, now: Instant, datagram: &mut [u8], other: &mut Self) -> Heard {
        let of_before = match &mut self.before {
            Some(before) => before.has_sent(self.epoch.tick(now), datagram),
            None => false,
        };
        if of_before {
            return Heard::Late;
        }
        self.hear_other(now, datagram, other)
    }

    fn hear_other(&mut self, now: Instant, datagram: &mut [u8], other: &mut Self) -> Heard {
        let tick = self.epoch.tick(now);
        let len = match &mut self.crypto {
            Some(crypto) => match crypto.receive.unprotect_rtp(tick, datagram) {
                Ok(len) => len,
                Err(_) => return Heard::Wrong,
            },
            None => datagram.len(),
        };
        let Ok(packet) = RtpPacket::parse(&datagram[..len]) else {
            return Heard::Wrong;
        };
        let is_whole = is_whole(&packet) && packet.header().ssrc() == self.other_ssrc;
        let number = usize::from(packet.header().sequence());
        match other.sent.get_mut(number) {
            Some(_) if is_whole && number < other.awaited_from => Heard::Late,
            Some(sent) if is_whole => sent.take().map_or(Heard::Repeated, |sent| {
                Heard::Packet(now.saturating_duration_since(sent))
            }),
            _ => Heard::Wrong,
        }
    }
}

impl Before {
    /// Whether a datagram is a whole packet of the phone that was heard in that call.
    fn has_sent(&mut self, now: Tick, datagram: &[u8]) -> bool {
        // The header is in the clear.
        let is_of = |datagram: &[u8]| {
            let packet = RtpPacket::parse(datagram);
            packet.is_ok_and(|packet| packet.header().ssrc() == self.other_ssrc)
        };
        if !is_of(datagram) {
            return false;
        }
        let Some(receive) = &mut self.receive else {
            return RtpPacket::parse(datagram).is_ok_and(|packet| is_whole(&packet));
        };
        let mut copy = datagram.to_vec();
        let Ok(len) = receive.unprotect_rtp(now, &mut copy) else {
            return false;
        };
        RtpPacket::parse(&copy[..len]).is_ok_and(|packet| is_whole(&packet))
    }
}

/// Whether a packet's payload is as it was made.
fn is_whole(packet: &RtpPacket<'_>) -> bool {
    let voice = voice(packet.header().sequence());
    let payload = packet.payload();
    payload.len() == PAYLOAD_OCTETS && payload.iter().all(|octet| *octet == voice)
}

/// What the octets of a packet's payload are, so that one packet cannot pass for another.
fn voice(number: u16) -> u8 {
    (number % 251) as u8
}

#[cfg(test)]
mod tests {
    use viaduct_rtp::srtp::SrtpProfile;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn keys(octet: u8) -> SrtpKeyMaterial {
        SrtpKeyMaterial::new(SrtpProfile::Aes128CmSha1_80, &[octet; 16], &[octet; 14]).unwrap()
    }

    #[test]
    fn a_packet_is_heard_once_and_its_time_measured() {
        let start = Instant::now();
        let [mut a, mut b] = Leg::pair(3, start, [None, None]);
        let mut packet = a.packet(start).unwrap().to_vec();
        assert_eq!(packet.len(), RTP_HEADER_LEN + PAYLOAD_OCTETS);
        assert_eq!(
            b.hear(start + MILLISECOND, &mut packet, &mut a),
            Heard::Packet(MILLISECOND)
        );
        assert_eq!(b.hear(start + MILLISECOND, &mut packet, &mut a), Heard::Repeated);
    }

    #[test]
    fn what_comes_after_its_time_is_late() {
        let start = Instant::now();
        let [mut a, mut b] = Leg::pair(3, start, [None, None]);
        let mut early = a.packet(start).unwrap().to_vec();
        a.forget_sent();
        let mut next = a.packet(start).unwrap().to_vec();
        assert_eq!(b.hear(start, &mut early, &mut a), Heard::Late);
        assert_eq!(b.hear(start, &mut next, &mut a), Heard::Packet(Duration::ZERO));
    }

    #[test]
    fn what_comes_of_the_call_before_is_late_and_of_another_call_is_wrong() {
        let start = Instant::now();
        for is_secure in [false, true] {
            let crypto = |octet| is_secure.then(|| Crypto::new(&keys(octet), &keys(octet)));
            let [mut a, b] = Leg::pair(3, start, [crypto(1), crypto(1)]);
            let mut late = a.packet(start).unwrap().to_vec();
            let [mut c, mut d] = Leg::pair(4, start, [crypto(2), crypto(2)]);
            d.follow(b);
            assert_eq!(d.hear(start, &mut late, &mut c), Heard::Late);
            let mut own = c.packet(start).unwrap().to_vec();
            assert_eq!(d.hear(start, &mut own, &mut c), Heard::Packet(Duration::ZERO));
            let [mut e, _] = Leg::pair(5, start, [crypto(3), crypto(3)]);
            let mut strange = e.packet(start).unwrap().to_vec();
            assert_eq!(d.hear(start, &mut strange, &mut c), Heard::Wrong);
            let mut damaged = a.packet(start).unwrap().to_vec();
            damaged[20] ^= 1;
            assert_eq!(d.hear(start, &mut damaged, &mut c), Heard::Wrong);
        }
    }

    #[test]
    fn what_is_not_the_other_phones_packet_is_wrong() {
        let start = Instant::now();
        let [mut a, mut b] = Leg::pair(3, start, [None, None]);
        let [mut stranger, _] = Leg::pair(4, start, [None, None]);
        let mut foreign = stranger.packet(start).unwrap().to_vec();
        let mut cut = a.packet(start).unwrap()[..100].to_vec();
        let mut damaged = a.packet(start).unwrap().to_vec();
        damaged[40] ^= 1;
        let mut unsent = a.packet(start).unwrap().to_vec();
        unsent[3] = 77;
        unsent[RTP_HEADER_LEN..].fill(voice(77));
        for datagram in [&mut foreign, &mut cut, &mut damaged, &mut unsent] {
            assert_eq!(b.hear(start, datagram, &mut a), Heard::Wrong);
        }
        assert_eq!(b.hear(start, &mut [], &mut a), Heard::Wrong);
    }

    #[test]
    fn an_encrypted_leg_speaks_srtp_both_ways() {
        let start = Instant::now();
        let crypto = Crypto::new(&keys(1), &keys(2));
        let [mut a, mut b] = Leg::pair(0, start, [Some(crypto), None]);
        // What a relay in the middle does.
        let mut relay = Crypto::new(&keys(2), &keys(1));
        let tick = Epoch::new(start).tick(start);

        let mut packet = a.packet(start).unwrap().to_vec();
        assert_eq!(packet.len(), RTP_HEADER_LEN + PAYLOAD_OCTETS + 10);
        assert_eq!(
            b.hear(start, &mut packet.clone(), &mut a),
            Heard::Wrong,
            "still encrypted"
        );
        let len = relay.receive.unprotect_rtp(tick, &mut packet).unwrap();
        assert_eq!(
            b.hear(start, &mut packet[..len], &mut a),
            Heard::Packet(Duration::ZERO)
        );

        let mut answer = [0; 256];
        let plain = b.packet(start).unwrap();
        let len = plain.len();
        answer[..len].copy_from_slice(plain);
        let len = relay.send.protect_rtp(tick, &mut answer, len).unwrap();
        assert_eq!(
            a.hear(start, &mut answer[..len], &mut b),
            Heard::Packet(Duration::ZERO)
        );
        assert_eq!(
            a.hear(start, &mut answer[..len], &mut b),
            Heard::Wrong,
            "a replay"
        );
    }

    #[test]
    fn a_leg_falls_silent_before_its_numbers_repeat() {
        let start = Instant::now();
        let [mut a, _] = Leg::pair(0, start, [None, None]);
        let sent = std::iter::from_fn(|| a.packet(start).map(<[u8]>::len))
            .take(100_000)
            .count();
        assert_eq!(sent, 65_536);
    }
}
