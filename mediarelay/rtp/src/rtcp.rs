//! RTCP: compound packets, read without copying and written into the caller's buffer (RFC 3550, section 6; RFC 4585;
//! RFC 5506; RFC 3611).

mod body;
mod report;
mod sdes;
mod writer;

pub use body::{App, Bye, ExtendedReport, Feedback, XrBlock, XrBlocks};
pub use report::{REPORT_BLOCK_LEN, ReceiverReport, ReportBlock, ReportBlocks, SenderInfo, SenderReport};
pub use sdes::{Sdes, SdesChunk, SdesChunks, SdesItem, SdesItems};
pub use writer::{RtcpWriter, WriteError};

/// Octets of an RTCP packet's header with the first SSRC: the least a packet has, except BYE and SDES without sources.
pub const RTCP_HEADER_LEN: usize = 8;

/// Packet type numbers.
pub(crate) mod packet_type {
    pub(crate) const SENDER_REPORT: u8 = 200;
    pub(crate) const RECEIVER_REPORT: u8 = 201;
    pub(crate) const SDES: u8 = 202;
    pub(crate) const BYE: u8 = 203;
    pub(crate) const APP: u8 = 204;
    pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
    pub(crate) const EXTENDED_REPORT: u8 = 207;
}

/// Why a datagram is not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Less than a packet header remains at this octet of the datagram.
    #[error("RTCP packet at octet {offset} has no header")]
    TooShort {
        /// Where the packet begins.
        offset: usize,
    },
    /// The version is not 2.
    #[error("RTCP version {version} at octet {offset}")]
    Version {
        /// Where the packet begins.
        offset: usize,
        /// What it says.
        version: u8,
    },
    /// The packet's length reaches past the end.
    #[error("RTCP packet at octet {offset} reaches past the end")]
    Overrun {
        /// Where the packet begins.
        offset: usize,
    },
    /// A padding bit before the last packet, or a count that is zero, not a multiple of four, or too large.
    #[error("RTCP padding at octet {offset} is wrong")]
    Padding {
        /// Where the packet begins.
        offset: usize,
    },
    /// The packet is too short for what its type and count announce.
    #[error("RTCP packet of type {packet_type} at octet {offset} is too short for its content")]
    Content {
        /// Where the packet begins.
        offset: usize,
        /// Its type.
        packet_type: u8,
    },
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy)]
pub enum RtcpPacket<'a> {
    /// Type 200.
    SenderReport(SenderReport<'a>),
    /// Type 201.
    ReceiverReport(ReceiverReport<'a>),
    /// Type 202.
    Sdes(Sdes<'a>),
    /// Type 203.
    Bye(Bye<'a>),
    /// Type 204.
    App(App<'a>),
    /// Type 205: NACK, transport-wide congestion control and others.
    TransportFeedback(Feedback<'a>),
    /// Type 206: picture loss, full intra request, REMB and others.
    PayloadFeedback(Feedback<'a>),
    /// Type 207.
    ExtendedReport(ExtendedReport<'a>),
    /// Any other type, to be passed on unread.
    Other {
        /// Its type.
        packet_type: u8,
        /// What follows the header word, without padding.
        body: &'a [u8],
    },
}

impl RtcpPacket<'_> {
    /// Whether it is feedback (RFC 4585: types 205 and 206).
    #[must_use]
    pub const fn is_feedback(&self) -> bool {
        matches!(self, Self::TransportFeedback(_) | Self::PayloadFeedback(_))
    }
}

/// A datagram of one or more RTCP packets, every bound checked.
///
/// Reduced-size RTCP (RFC 5506) is accepted: the first packet may be of any type.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    datagram: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Reads a datagram; the packets must fill it exactly.
    ///
    /// # Errors
    /// [`RtcpError`] with the place of the first fault.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtcpError> {
        let mut offset = 0;
        loop {
            let (_, next) = read(datagram, offset)?;
            offset = next;
            if offset == datagram.len() {
                return Ok(Self { datagram });
            }
        }
    }

    /// The packets in order. At least one.
    #[must_use]
    pub fn packets(&self) -> Packets<'a> {
        Packets {
            datagram: self.datagram,
            offset: 0,
        }
    }

    /// The SSRC in the first packet's second word: of its sender. `None` if that packet has no body.
    #[must_use]
    pub fn sender_ssrc(&self) -> Option<u32> {
        self.datagram
            .get(4..8)
            .filter(|_| self.datagram[2..4] != [0, 0])
            .map(be32)
    }

    /// Every report block of every sender and receiver report.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        self.packets().flat_map(|packet| match packet {
            RtcpPacket::SenderReport(report) => report.blocks(),
            RtcpPacket::ReceiverReport(report) => report.blocks(),
            RtcpPacket::Sdes(_)
            | RtcpPacket::Bye(_)
            | RtcpPacket::App(_)
            | RtcpPacket::TransportFeedback(_)
            | RtcpPacket::PayloadFeedback(_)
            | RtcpPacket::ExtendedReport(_)
            | RtcpPacket::Other { .. } => ReportBlocks::default(),
        })
    }
}

/// Takes feedback (RFC 4585: types 205 and 206) out of the compound in the first `len` octets. How many octets are left; 0 if
/// it was nothing else. What is no compound stays as it is.
#[must_use]
pub fn remove_feedback(buffer: &mut [u8], len: usize) -> usize {
    retain(buffer, len, 0, false)
}

/// Leaves feedback alone in the compound in the first `len` octets, behind a receiver report without blocks if a report stood
/// before it: a compound begins with one. How many octets are left; 0 if there was no feedback. What is no compound stays as it
/// is.
#[must_use]
pub fn retain_feedback(buffer: &mut [u8], len: usize) -> usize {
    let first = Compound::parse(&buffer[..len]).map(|compound| compound.packets().next());
    let begins_with_report = matches!(
        first,
        Ok(Some(RtcpPacket::SenderReport(_) | RtcpPacket::ReceiverReport(_)))
    );
    // A report has no less than that.
    let start = if begins_with_report { RTCP_HEADER_LEN } else { 0 };
    let left = retain(buffer, len, start, true);
    if left == start {
        return 0;
    }
    if begins_with_report {
        buffer[..4].copy_from_slice(&[0x80, packet_type::RECEIVER_REPORT, 0, 1]);
    }
    left
}

/// Moves the packets of a compound that are feedback, or those that are not, to `start`: no later than where the first of them
/// is. Where they end.
fn retain(buffer: &mut [u8], len: usize, start: usize, feedback: bool) -> usize {
    if Compound::parse(&buffer[..len]).is_err() {
        return len;
    }
    let (mut from, mut to) = (0, start);
    while let Ok((packet, next)) = read(&buffer[..len], from) {
        if packet.is_feedback() == feedback {
            buffer.copy_within(from..next, to);
            to += next - from;
        }
        from = next;
    }
    to
}

/// Adds to the timestamps of a source's sender reports in a compound. What is no compound stays as it is.
pub fn shift_sender_reports(buffer: &mut [u8], ssrc: u32, timestamp: u32) {
    if Compound::parse(buffer).is_err() {
        return;
    }
    let mut from = 0;
    while let Ok((packet, next)) = read(buffer, from) {
        if let RtcpPacket::SenderReport(report) = packet
            && report.ssrc == ssrc
        {
            let shifted = report.info.rtp_timestamp.wrapping_add(timestamp);
            // Behind the header, the SSRC and the NTP time (RFC 3550, section 6.4.1).
            buffer[from + 16..from + 20].copy_from_slice(&shifted.to_be_bytes());
        }
        from = next;
    }
}

/// Iterator of [`Compound::packets`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    datagram: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        // `Compound::parse` has read the same packets, so an error means the end here.
        let (packet, next) = read(self.datagram, self.offset).ok()?;
        self.offset = next;
        Some(packet)
    }
}

/// The packet at an octet of the datagram, and where the next one begins.
fn read(datagram: &[u8], offset: usize) -> Result<(RtcpPacket<'_>, usize), RtcpError> {
    let Some(&[first, packet_type, length_high, length_low]) =
        datagram.get(offset..).and_then(|rest| rest.first_chunk())
    else {
        return Err(RtcpError::TooShort { offset });
    };
    if first >> 6 != 2 {
        return Err(RtcpError::Version {
            offset,
            version: first >> 6,
        });
    }
    let next = offset + 4 + 4 * usize::from(u16::from_be_bytes([length_high, length_low]));
    let mut body = datagram
        .get(offset + 4..next)
        .ok_or(RtcpError::Overrun { offset })?;
    if first & 0x20 != 0 {
        let padding = body.last().copied().map_or(0, usize::from);
        let len = body.len().checked_sub(padding);
        match len {
            Some(len) if next == datagram.len() && padding > 0 && padding % 4 == 0 => body = &body[..len],
            _ => return Err(RtcpError::Padding { offset }),
        }
    }
    let count = first & 0x1f;
    let packet = match packet_type {
        packet_type::SENDER_REPORT => SenderReport::read(count, body).map(RtcpPacket::SenderReport),
        packet_type::RECEIVER_REPORT => ReceiverReport::read(count, body).map(RtcpPacket::ReceiverReport),
        packet_type::SDES => Sdes::read(count, body).map(RtcpPacket::Sdes),
        packet_type::BYE => Bye::read(count, body).map(RtcpPacket::Bye),
        packet_type::APP => App::read(count, body).map(RtcpPacket::App),
        packet_type::TRANSPORT_FEEDBACK => Feedback::read(count, body).map(RtcpPacket::TransportFeedback),
        packet_type::PAYLOAD_FEEDBACK => Feedback::read(count, body).map(RtcpPacket::PayloadFeedback),
        packet_type::EXTENDED_REPORT => ExtendedReport::read(body).map(RtcpPacket::ExtendedReport),
        packet_type => Some(RtcpPacket::Other { packet_type, body }),
    };
    Ok((packet.ok_or(RtcpError::Content { offset, packet_type })?, next))
}

/// The first four octets as a number; the caller has checked that there are four.
pub(crate) fn be32(octets: &[u8]) -> u32 {
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])
}

#[cfg(test)]
mod tests;
