//! The fields of a packet, in aligned PER (X.691).

use super::{ErrorCorrection, UdptlError};

/// Lengths from here on need two octets.
const SHORT_LENGTH: usize = 0x80;
/// Lengths from here on are those of fragments.
const FRAGMENT_LENGTH: usize = 0x4000;
/// The alternative of `error-recovery`, in the first bit of its octet.
const FEC_INFO: u8 = 0x80;

/// A packet as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) sequence: u16,
    /// The packet that this one is for. Some senders keep a path open with none.
    pub(super) primary: &'a [u8],
    pub(super) recovery: Recovery<'a>,
}

/// What mends the loss of earlier packets. The entries have been looked at: each is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery<'a> {
    /// Earlier packets, the latest first.
    Secondary(Entries<'a>),
    /// Parities, each over `span` packets.
    Fec { span: usize, parities: Entries<'a> },
}

/// A sequence of open types or octet strings, which look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entries<'a> {
    pub(super) count: usize,
    octets: &'a [u8],
}

impl<'a> Entries<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader(self.octets);
        (0..self.count).map_while(move |_| reader.octets("entries").ok())
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Octets behind the packet are ignored.
    pub(super) fn read(datagram: &'a [u8], ifp_max: usize, entries_max: usize) -> Result<Self, UdptlError> {
        let mut reader = Reader(datagram);
        let sequence = u16::from_be_bytes([reader.octet("number")?, reader.octet("number")?]);
        let primary = reader.octets("primary packet")?;
        if primary.len() > ifp_max {
            return Err(UdptlError::Length(primary.len()));
        }
        let recovery = if reader.octet("error recovery")? & FEC_INFO == 0 {
            Recovery::Secondary(reader.entries(ifp_max, entries_max)?)
        } else {
            let span = reader.integer("span of parities")?;
            let parities = reader.entries(ifp_max, entries_max)?;
            let span = usize::try_from(span).map_err(|_| UdptlError::Span)?;
            Recovery::Fec { span, parities }
        };
        Ok(Self {
            sequence,
            primary,
            recovery,
        })
    }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn octet(&mut self, of: &'static str) -> Result<u8, UdptlError> {
        let (first, rest) = self.0.split_first().ok_or(UdptlError::Truncated(of))?;
        self.0 = rest;
        Ok(*first)
    }

    fn length(&mut self, of: &'static str) -> Result<usize, UdptlError> {
        let first = self.octet(of)?;
        match first >> 6 {
            0 | 1 => Ok(usize::from(first)),
            2 => Ok(usize::from(first & 0x3f) << 8 | usize::from(self.octet(of)?)),
            _ => Err(UdptlError::Fragmented(of)),
        }
    }

    fn octets(&mut self, of: &'static str) -> Result<&'a [u8], UdptlError> {
        let length = self.length(of)?;
        let (octets, rest) = self.0.split_at_checked(length).ok_or(UdptlError::Truncated(of))?;
        self.0 = rest;
        Ok(octets)
    }

    /// An integer without bounds: two's complement, as long as it says.
    fn integer(&mut self, of: &'static str) -> Result<i32, UdptlError> {
        let octets = self.octets(of)?;
        let [first, ..] = octets else {
            return Err(UdptlError::Span);
        };
        if octets.len() > size_of::<i32>() {
            return Err(UdptlError::Span);
        }
        let sign = if first & 0x80 == 0 { 0 } else { -1 };
        Ok(octets
            .iter()
            .fold(sign, |value, octet| value << 8 | i32::from(*octet)))
    }

    fn entries(&mut self, ifp_max: usize, entries_max: usize) -> Result<Entries<'a>, UdptlError> {
        let count = self.length("entries")?;
        if count > entries_max {
            return Err(UdptlError::Entries(count));
        }
        let octets = self.0;
        for _ in 0..count {
            let entry = self.octets("entries")?;
            if entry.len() > ifp_max {
                return Err(UdptlError::Length(entry.len()));
            }
        }
        Ok(Entries { count, octets })
    }
}

/// Octets that a packet, earlier packet or parity of this length takes.
pub(super) const fn size_of_octets(length: usize) -> usize {
    if length < SHORT_LENGTH {
        1 + length
    } else {
        2 + length
    }
}

/// Begins a packet with its number and what it is for.
pub(super) fn write_primary(sequence: u16, ifp: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend(sequence.to_be_bytes());
    write_octets(ifp, out);
}

/// Begins what mends losses. So many entries follow.
pub(super) fn write_recovery(correction: ErrorCorrection, span: u8, count: usize, out: &mut Vec<u8>) {
    debug_assert!(count < SHORT_LENGTH && span < 0x80);
    if correction == ErrorCorrection::Fec {
        out.extend([FEC_INFO, 1, span]);
    } else {
        out.push(0);
    }
    out.push(count as u8);
}

/// Writes a packet, an earlier one, or a parity.
pub(super) fn write_octets(octets: &[u8], out: &mut Vec<u8>) {
    debug_assert!(octets.len() < FRAGMENT_LENGTH);
    if octets.len() < SHORT_LENGTH {
        out.push(octets.len() as u8);
    } else {
        out.extend((octets.len() as u16 | 0x8000).to_be_bytes());
    }
    out.extend(octets);
}
