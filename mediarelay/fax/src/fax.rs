//! Both sides tied together.

use crate::parameters::{Options, Parameters};
use crate::spandsp::{Gateway, GatewayError, Library, Statistics};
use crate::udptl::{self, ErrorCorrection, Limits, Receiver, Sender, UdptlError};

/// Samples of a tick: 20 ms at 8,000 a second.
pub const SAMPLES_PER_TICK: usize = 160;

/// Earlier packets that go along with each. Three cover losses in a row of 90 ms, and their octets are fewer than those of audio.
const REDUNDANCY_DEPTH: usize = 3;
/// Parities that go along with each packet, each over three packets.
const FEC_DEPTH: usize = 3;
/// Times that a packet may be sent under one number. spandsp asks for three.
const COPIES_MAX: u32 = 5;

/// What has gone through since a [`Fax`] was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// UDPTL packets in.
    pub received: udptl::Counters,
    /// IFP packets in that made no sense, or none to spandsp.
    pub refused: u64,
    /// IFP packets out.
    pub sent: u64,
    /// Datagrams out, copies included.
    pub datagrams: u64,
    /// IFP packets that could not be sent: too many at once, or too long.
    pub dropped: u64,
}

/// A fax on its way between T.38 and a fax machine's audio, in either direction.
#[derive(Debug)]
pub struct Fax {
    gateway: Gateway,
    sender: Sender,
    receiver: Receiver,
    numbers: Numbers,
    /// The datagram that was sent last; its memory is used again.
    datagram: Vec<u8>,
    refused: u64,
    sent: u64,
    datagrams: u64,
    unwrapped: u64,
}

impl Fax {
    /// A fax for what was agreed on ([`Parameters::with`]) and what is allowed.
    ///
    /// # Errors
    /// [`GatewayError`] when spandsp has no gateway to give.
    pub fn new(library: &Library, agreed: &Parameters, options: &Options) -> Result<Self, GatewayError> {
        let depth = match agreed.error_correction {
            ErrorCorrection::None => 0,
            ErrorCorrection::Redundancy => REDUNDANCY_DEPTH,
            ErrorCorrection::Fec => FEC_DEPTH,
        };
        Ok(Self {
            gateway: Gateway::new(library, agreed, options)?,
            sender: Sender::new(agreed.error_correction, depth, agreed.max_datagram as usize)
                .with_span(agreed.fec_span),
            receiver: Receiver::new(Limits::default()),
            numbers: Numbers::default(),
            datagram: Vec::new(),
            refused: 0,
            sent: 0,
            datagrams: 0,
            unwrapped: 0,
        })
    }

    /// Takes a datagram of the T.38 side.
    ///
    /// # Errors
    /// [`UdptlError`] for what is no UDPTL packet. IFP packets that make no sense are counted only.
    pub fn datagram(&mut self, datagram: &[u8]) -> Result<(), UdptlError> {
        let (gateway, numbers, refused) = (&mut self.gateway, &mut self.numbers, &mut self.refused);
        self.receiver.take(datagram, |sequence, ifp| {
            let sequence = numbers.renumber(sequence);
            *refused += u64::from(gateway.receive(sequence, ifp).is_err());
        })
    }

    /// Takes samples of the fax machine, 8,000 a second, and uses them up: they are changed.
    pub fn audio(&mut self, samples: &mut [i16]) {
        self.gateway.hear(samples);
    }

    /// Lets the time of samples go by that were lost, at most a second at once. As many samples are to be heard or missed as time
    /// passes: without them nothing comes to the end that it should come to.
    pub fn missing_audio(&mut self, samples: usize) {
        self.gateway.miss(samples);
    }

    /// What is due every 20 ms: audio for the fax machine, silence if there is nothing to say, and datagrams for the T.38 side.
    pub fn tick(&mut self, audio: &mut [i16; SAMPLES_PER_TICK], datagrams: &mut impl FnMut(&[u8])) {
        self.gateway.say(audio);
        for packet in self.gateway.sent() {
            if self.sender.wrap(&packet.ifp, &mut self.datagram).is_err() {
                self.unwrapped += 1;
                continue;
            }
            self.sent += 1;
            // Copies have one number: a receiver that has one of them drops the others.
            for _ in 0..packet.copies.min(COPIES_MAX) {
                datagrams(&self.datagram);
                self.datagrams += 1;
            }
        }
    }

    /// What has gone through.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            received: self.receiver.counters(),
            refused: self.refused,
            sent: self.sent,
            datagrams: self.datagrams,
            dropped: self.unwrapped + self.gateway.dropped(),
        }
    }

    /// What became of the fax so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.gateway.statistics()
    }
}

/// The numbers of packets as spandsp is told them. It takes low numbers after high ones for late packets, so those of a peer that
/// begins anew go on where the earlier ones ended.
#[derive(Debug, Default)]
struct Numbers {
    /// From the peer's to ours.
    offset: u16,
    latest: Option<u16>,
}

impl Numbers {
    /// Our number for the peer's: higher than all before.
    fn renumber(&mut self, sequence: u16) -> u16 {
        let mut number = sequence.wrapping_add(self.offset);
        if let Some(latest) = self.latest
            && (number.wrapping_sub(latest) as i16) <= 0
        {
            // One is left out: something is missing between the two sequences.
            number = latest.wrapping_add(2);
            self.offset = number.wrapping_sub(sequence);
        }
        self.latest = Some(number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up() {
        let mut numbers = Numbers::default();
        let peers = [65_533, 65_535, 0, 1, 5, 0, 1, 3, 1, 40_000, 40_001];
        let ours = peers.map(|number| numbers.renumber(number));
        assert_eq!(ours, [65_533, 65_535, 0, 1, 5, 7, 8, 10, 12, 14, 15]);
    }
}
