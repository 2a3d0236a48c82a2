//! Writes a compound packet into a buffer that the caller owns.

use super::packet_type;
use super::report::{REPORT_BLOCK_LEN, ReportBlock, SenderInfo};
use super::sdes::SdesItem;

/// Why something cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer ends before the packet does.
    #[error("RTCP buffer has {available} octets, {needed} are needed")]
    BufferTooSmall {
        /// Octets the compound would have.
        needed: usize,
        /// Octets the buffer has.
        available: usize,
    },
    /// More than 31 blocks, chunks or sources in one packet.
    #[error("{0} entries in one RTCP packet")]
    TooMany(usize),
    /// A text of more than 255 octets.
    #[error("RTCP text of {0} octets")]
    TextTooLong(usize),
}

/// A compound under construction. After every call the buffer holds complete packets.
#[derive(Debug)]
pub struct RtcpWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> RtcpWriter<'b> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends a sender report.
    ///
    /// # Errors
    /// [`WriteError`]; what was written before stays. The same holds for every method below.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<&mut Self, WriteError> {
        let count = count(blocks.len())?;
        let info = info.encode();
        let body = self.begin(
            packet_type::SENDER_REPORT,
            count,
            4 + info.len() + REPORT_BLOCK_LEN * blocks.len(),
        )?;
        body[..4].copy_from_slice(&ssrc.to_be_bytes());
        body[4..4 + info.len()].copy_from_slice(&info);
        put_blocks(&mut body[4 + info.len()..], blocks);
        Ok(self)
    }

    /// Appends a receiver report.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> Result<&mut Self, WriteError> {
        let count = count(blocks.len())?;
        let body = self.begin(
            packet_type::RECEIVER_REPORT,
            count,
            4 + REPORT_BLOCK_LEN * blocks.len(),
        )?;
        body[..4].copy_from_slice(&ssrc.to_be_bytes());
        put_blocks(&mut body[4..], blocks);
        Ok(self)
    }

    /// Appends a source description with one canonical name per source.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sdes(&mut self, names: &[(u32, &str)]) -> Result<&mut Self, WriteError> {
        let count = count(names.len())?;
        let mut len = 0;
        for (_, cname) in names {
            text_len(cname)?;
            len += 4 + (2 + cname.len() + 1).next_multiple_of(4);
        }
        let mut body = self.begin(packet_type::SDES, count, len)?;
        for (ssrc, cname) in names {
            let (chunk, rest) = body.split_at_mut(4 + (2 + cname.len() + 1).next_multiple_of(4));
            chunk[..4].copy_from_slice(&ssrc.to_be_bytes());
            chunk[4] = SdesItem::CNAME;
            chunk[5] = cname.len() as u8;
            chunk[6..6 + cname.len()].copy_from_slice(cname.as_bytes());
            body = rest;
        }
        Ok(self)
    }

    /// Appends a goodbye; an empty reason is left out.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn bye(&mut self, ssrcs: &[u32], reason: &str) -> Result<&mut Self, WriteError> {
        let count = count(ssrcs.len())?;
        let reason_len = text_len(reason)?;
        let text = if reason.is_empty() {
            0
        } else {
            (1 + reason.len()).next_multiple_of(4)
        };
        let body = self.begin(packet_type::BYE, count, 4 * ssrcs.len() + text)?;
        let (sources, rest) = body.split_at_mut(4 * ssrcs.len());
        for (place, ssrc) in sources.chunks_exact_mut(4).zip(ssrcs) {
            place.copy_from_slice(&ssrc.to_be_bytes());
        }
        if let Some((len, text)) = rest.split_first_mut() {
            *len = reason_len;
            text[..reason.len()].copy_from_slice(reason.as_bytes());
        }
        Ok(self)
    }

    /// Ends construction and gives the compound.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }

    /// Appends a packet header and gives the zeroed place of its body, whose length is a multiple of four.
    ///
    /// At most 31 entries of at most 260 octets: the length in words always fits its 16 bits.
    fn begin(&mut self, packet_type: u8, count: u8, body_len: usize) -> Result<&mut [u8], WriteError> {
        let start = self.len + 4;
        let end = start + body_len;
        let available = self.buffer.len();
        let Some(packet) = self.buffer.get_mut(self.len..end) else {
            return Err(WriteError::BufferTooSmall {
                needed: end,
                available,
            });
        };
        let words = (body_len / 4) as u16;
        packet[..2].copy_from_slice(&[0x80 | count, packet_type]);
        packet[2..4].copy_from_slice(&words.to_be_bytes());
        packet[4..].fill(0);
        self.len = end;
        Ok(&mut self.buffer[start..end])
    }
}

fn count(entries: usize) -> Result<u8, WriteError> {
    match u8::try_from(entries) {
        Ok(count) if count < 32 => Ok(count),
        _ => Err(WriteError::TooMany(entries)),
    }
}

fn text_len(text: &str) -> Result<u8, WriteError> {
    u8::try_from(text.len()).map_err(|_| WriteError::TextTooLong(text.len()))
}

fn put_blocks(place: &mut [u8], blocks: &[ReportBlock]) {
    for (place, block) in place.chunks_exact_mut(REPORT_BLOCK_LEN).zip(blocks) {
        place.copy_from_slice(&block.encode());
    }
}
