//! Sender and receiver reports (RFC 3550, sections 6.4.1 and 6.4.2).

use std::time::Duration;

use super::be32;

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// Octets of one report block.
pub const REPORT_BLOCK_LEN: usize = 24;

/// Octets of the sender information, without the SSRC before it.
const SENDER_INFO_LEN: usize = 20;

/// What a receiver says about one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source that is reported on.
    pub ssrc: u32,
    /// Packets lost since the previous report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; 24 bits, negative if duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Highest sequence number received, extended by the count of its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time in the last sender report from this source; 0 if there was none.
    pub last_sr: u32,
    /// Time since that report, in units of 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// The range that fits the 24 bits of the cumulative loss.
    pub const CUMULATIVE_LOST_RANGE: std::ops::RangeInclusive<i32> = -0x80_0000..=0x7f_ffff;

    /// The block with what it says of the source's last sender report: the middle of its NTP time, and how long ago it came.
    #[must_use]
    pub fn with_last_sr(self, ntp_middle: u32, delay: Duration) -> Self {
        Self {
            last_sr: ntp_middle,
            delay_since_last_sr: u32::try_from((delay.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX),
            ..self
        }
    }

    fn decode(octets: &[u8; REPORT_BLOCK_LEN]) -> Self {
        let loss = be32(&octets[4..]);
        Self {
            ssrc: be32(octets),
            fraction_lost: (loss >> 24) as u8,
            // The shift up and down extends the sign of the 24 bits.
            cumulative_lost: (loss << 8) as i32 >> 8,
            highest_sequence: be32(&octets[8..]),
            jitter: be32(&octets[12..]),
            last_sr: be32(&octets[16..]),
            delay_since_last_sr: be32(&octets[20..]),
        }
    }

    /// The block on the wire; the cumulative loss is held to its 24 bits.
    #[must_use]
    pub fn encode(&self) -> [u8; REPORT_BLOCK_LEN] {
        let range = Self::CUMULATIVE_LOST_RANGE;
        let lost = self.cumulative_lost.clamp(*range.start(), *range.end()) as u32 & 0x00ff_ffff;
        let words = [
            self.ssrc,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ];
        let mut octets = [0; REPORT_BLOCK_LEN];
        for (place, word) in octets.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }
}

/// Iterator over the report blocks of one packet.
#[derive(Debug, Clone, Default)]
pub struct ReportBlocks<'a> {
    blocks: std::slice::Iter<'a, [u8; REPORT_BLOCK_LEN]>,
}

impl<'a> ReportBlocks<'a> {
    /// `None` if there are fewer than `count`. What follows them is a profile's extension and is left unread.
    fn read(count: u8, octets: &'a [u8]) -> Option<Self> {
        let len = usize::from(count) * REPORT_BLOCK_LEN;
        let (blocks, _) = octets.get(..len)?.as_chunks::<REPORT_BLOCK_LEN>();
        Some(Self {
            blocks: blocks.iter(),
        })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.blocks.next().map(ReportBlock::decode)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.blocks.size_hint()
    }
}

impl ExactSizeIterator for ReportBlocks<'_> {}

/// What a sender says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// Wall-clock time as NTP timestamp: seconds since 1900 in the upper half, the fraction in the lower.
    pub ntp: u64,
    /// The same moment in timestamp units of the stream.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

impl SenderInfo {
    /// NTP time of a time since 1970: seconds since 1900 and a 32-bit fraction. It wraps in 2036, as all of RTCP does.
    #[must_use]
    pub const fn ntp_at(unix: Duration) -> u64 {
        let seconds = unix.as_secs().wrapping_add(NTP_TO_UNIX_S) << 32;
        // Below 2^62, since there are fewer than 2^30 nanoseconds.
        let fraction = ((unix.subsec_nanos() as u64) << 32) / 1_000_000_000;
        seconds | fraction
    }

    /// The middle 32 bits of the NTP time: what a receiver repeats as "last SR".
    #[must_use]
    pub const fn ntp_middle(&self) -> u32 {
        (self.ntp >> 16) as u32
    }

    fn decode(octets: &[u8; SENDER_INFO_LEN]) -> Self {
        Self {
            ntp: u64::from(be32(octets)) << 32 | u64::from(be32(&octets[4..])),
            rtp_timestamp: be32(&octets[8..]),
            packets: be32(&octets[12..]),
            octets: be32(&octets[16..]),
        }
    }

    pub(crate) fn encode(&self) -> [u8; SENDER_INFO_LEN] {
        let mut octets = [0; SENDER_INFO_LEN];
        octets[..8].copy_from_slice(&self.ntp.to_be_bytes());
        octets[8..12].copy_from_slice(&self.rtp_timestamp.to_be_bytes());
        octets[12..16].copy_from_slice(&self.packets.to_be_bytes());
        octets[16..].copy_from_slice(&self.octets.to_be_bytes());
        octets
    }
}

/// A sender report.
#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    /// Who sends.
    pub ssrc: u32,
    /// About itself.
    pub info: SenderInfo,
    count: u8,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(crate) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, rest) = body.split_first_chunk::<4>()?;
        let (info, blocks) = rest.split_first_chunk::<SENDER_INFO_LEN>()?;
        ReportBlocks::read(count, blocks)?;
        Some(Self {
            ssrc: u32::from_be_bytes(*ssrc),
            info: SenderInfo::decode(info),
            count,
            blocks,
        })
    }

    /// About the sources it receives.
    #[must_use]
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks::read(self.count, self.blocks).unwrap_or_default()
    }
}

/// A receiver report.
#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    /// Who sends.
    pub ssrc: u32,
    count: u8,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(crate) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, blocks) = body.split_first_chunk::<4>()?;
        ReportBlocks::read(count, blocks)?;
        Some(Self {
            ssrc: u32::from_be_bytes(*ssrc),
            count,
            blocks,
        })
    }

    /// About the sources it receives.
    #[must_use]
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks::read(self.count, self.blocks).unwrap_or_default()
    }
}
