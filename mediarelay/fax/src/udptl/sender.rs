//! Packets out.

use std::collections::VecDeque;

use super::packet::{size_of_octets, write_octets, write_primary, write_recovery};
use super::{ENTRIES_MAX, ErrorCorrection, IFP_MAX, UdptlError};

/// Packets behind each parity unless [`Sender::with_span`] says otherwise: as others have it in the field.
pub const SPAN: u8 = 3;
/// Packets behind each parity at most: what a receiver with a short memory still has.
const SPAN_MAX: u8 = 8;

/// Octets that a number, and the head of error recovery, take at most.
const NUMBER_SIZE: usize = 2;
const SECONDARY_HEAD_SIZE: usize = 2;
const FEC_HEAD_SIZE: usize = 4;

/// Numbers IFP packets and sends earlier ones along, or their parities.
#[derive(Debug)]
pub struct Sender {
    correction: ErrorCorrection,
    /// Earlier packets in each packet, or parities.
    depth: usize,
    span: usize,
    /// Octets of a datagram.
    max_datagram: usize,
    sequence: u16,
    /// Earlier packets, the latest first.
    earlier: VecDeque<Vec<u8>>,
    parity: Vec<u8>,
}

impl Sender {
    /// A sender that begins with number 0.
    ///
    /// `depth` is how many earlier packets go along with each ([`ErrorCorrection::Redundancy`]), or how many parities
    /// ([`ErrorCorrection::Fec`]), which is how many losses in a row can be mended; more than
    /// [`ENTRIES_MAX`](super::ENTRIES_MAX) count as that. `max_datagram` is the octets of UDP payload that the receiver takes
    /// (T38FaxMaxDatagram): as much goes along as fits.
    #[must_use]
    pub fn new(correction: ErrorCorrection, depth: usize, max_datagram: usize) -> Self {
        Self {
            correction,
            depth: depth.min(ENTRIES_MAX),
            span: usize::from(SPAN),
            max_datagram,
            sequence: 0,
            earlier: VecDeque::new(),
            parity: Vec::new(),
        }
    }

    /// Computes each parity over this many packets, 1 to 8. It is 3 otherwise.
    #[must_use]
    pub fn with_span(mut self, span: u8) -> Self {
        self.span = usize::from(span.clamp(1, SPAN_MAX));
        self
    }

    /// The number of the next packet.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// Writes the next packet into `out`, whose content it replaces, and returns its number.
    ///
    /// An IFP packet that does not fit into the receiver's datagrams is sent by itself: it can be neither divided nor left
    /// out, and receivers take more than they say.
    ///
    /// # Errors
    /// [`UdptlError::Length`] for an IFP packet of no octets, or of more than [`IFP_MAX`](super::IFP_MAX). Nothing is written
    /// and no number used.
    pub fn wrap(&mut self, ifp: &[u8], out: &mut Vec<u8>) -> Result<u16, UdptlError> {
        if ifp.is_empty() || ifp.len() > IFP_MAX {
            return Err(UdptlError::Length(ifp.len()));
        }
        let sequence = self.sequence;
        write_primary(sequence, ifp, out);
        let room = self
            .max_datagram
            .saturating_sub(NUMBER_SIZE + size_of_octets(ifp.len()));
        match self.correction {
            ErrorCorrection::None => write_recovery(ErrorCorrection::Redundancy, 0, 0, out),
            ErrorCorrection::Redundancy => self.write_earlier(room, out),
            ErrorCorrection::Fec => self.write_parities(room, out),
        }
        self.sequence = sequence.wrapping_add(1);
        self.remember(ifp);
        Ok(sequence)
    }

    fn write_earlier(&self, room: usize, out: &mut Vec<u8>) {
        let mut room = room.saturating_sub(SECONDARY_HEAD_SIZE);
        let fits = |packet: &&Vec<u8>| {
            let left = room.checked_sub(size_of_octets(packet.len()));
            room = left.unwrap_or(0);
            left.is_some()
        };
        // A receiver counts back from the packet's number, so the first that does not fit ends the list.
        let count = self.earlier.iter().take(self.depth).take_while(fits).count();
        write_recovery(ErrorCorrection::Redundancy, 0, count, out);
        for packet in self.earlier.iter().take(count) {
            write_octets(packet, out);
        }
    }

    /// Writes as many parities as there are packets for and as fit, with fewer packets behind each in the beginning.
    fn write_parities(&mut self, room: usize, out: &mut Vec<u8>) {
        let (mut count, mut span) = (self.depth.min(self.earlier.len()), 0);
        while count > 0 {
            span = self.span.min(self.earlier.len() / count);
            let size: usize = (0..count)
                .map(|at| size_of_octets(self.parity_len(at, count, span)))
                .sum();
            if size + FEC_HEAD_SIZE <= room {
                break;
            }
            count -= 1;
        }
        if count == 0 && room < FEC_HEAD_SIZE {
            return write_recovery(ErrorCorrection::Redundancy, 0, 0, out);
        }
        // A span of 0 means nothing, even of no parities.
        write_recovery(ErrorCorrection::Fec, span.max(1) as u8, count, out);
        let mut parity = std::mem::take(&mut self.parity);
        for at in 0..count {
            parity.clear();
            for packet in self.behind(at, count, span) {
                xor(&mut parity, packet);
            }
            write_octets(&parity, out);
        }
        self.parity = parity;
    }

    /// What the parity in this place is made of. The first parity has the oldest packet, as T.38 figure 9 draws it: packet
    /// `n` has parities of `n - span * count + at`, and on in steps of `count`.
    fn behind(&self, at: usize, count: usize, span: usize) -> impl Iterator<Item = &Vec<u8>> {
        self.earlier.iter().skip(count - 1 - at).step_by(count).take(span)
    }

    fn parity_len(&self, at: usize, count: usize, span: usize) -> usize {
        self.behind(at, count, span).map(Vec::len).max().unwrap_or(0)
    }

    fn remember(&mut self, ifp: &[u8]) {
        let keep = match self.correction {
            ErrorCorrection::None => return,
            ErrorCorrection::Redundancy => self.depth,
            ErrorCorrection::Fec => self.depth * self.span,
        };
        if keep == 0 {
            return;
        }
        // The oldest one's memory is used again.
        let mut packet = if self.earlier.len() < keep {
            Vec::new()
        } else {
            self.earlier.pop_back().unwrap_or_default()
        };
        packet.clear();
        packet.extend(ifp);
        self.earlier.push_front(packet);
    }
}

/// Adds a packet to a parity, which becomes as long as the longest.
pub(super) fn xor(parity: &mut Vec<u8>, packet: &[u8]) {
    if parity.len() < packet.len() {
        parity.resize(packet.len(), 0);
    }
    for (sum, octet) in parity.iter_mut().zip(packet) {
        *sum ^= octet;
    }
}
