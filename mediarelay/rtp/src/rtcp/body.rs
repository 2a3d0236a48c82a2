//! Goodbye, application-defined, feedback and extended report packets.

use super::be32;

/// Sources that leave (RFC 3550, section 6.6).
#[derive(Debug, Clone, Copy)]
pub struct Bye<'a> {
    sources: &'a [u8],
    reason: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(crate) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (sources, rest) = body.split_at_checked(4 * usize::from(count))?;
        let reason = match rest {
            [] => rest,
            &[len, ref rest @ ..] => rest.get(..usize::from(len))?,
        };
        Some(Self { sources, reason })
    }

    /// The sources, at most 31.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.sources
            .as_chunks::<4>()
            .0
            .iter()
            .map(|ssrc| u32::from_be_bytes(*ssrc))
    }

    /// Why they leave; empty if not said.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        self.reason
    }
}

/// Application-defined (RFC 3550, section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct App<'a> {
    /// Five bits, up to the application.
    pub subtype: u8,
    /// Who sends.
    pub ssrc: u32,
    /// Four ASCII characters.
    pub name: [u8; 4],
    /// Up to the application.
    pub data: &'a [u8],
}

impl<'a> App<'a> {
    pub(crate) fn read(subtype: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, rest) = body.split_first_chunk::<4>()?;
        let (name, data) = rest.split_first_chunk::<4>()?;
        Some(Self {
            subtype,
            ssrc: be32(ssrc),
            name: *name,
            data,
        })
    }
}

/// Transport-layer or payload-specific feedback (RFC 4585, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback<'a> {
    /// Feedback message type, five bits.
    pub format: u8,
    /// Who sends.
    pub sender_ssrc: u32,
    /// The source it is about; 0 where the format lists sources inside.
    pub media_ssrc: u32,
    /// Feedback control information.
    pub fci: &'a [u8],
}

impl<'a> Feedback<'a> {
    pub(crate) fn read(format: u8, body: &'a [u8]) -> Option<Self> {
        let (sender, rest) = body.split_first_chunk::<4>()?;
        let (media, fci) = rest.split_first_chunk::<4>()?;
        Some(Self {
            format,
            sender_ssrc: be32(sender),
            media_ssrc: be32(media),
            fci,
        })
    }
}

/// Extended report (RFC 3611).
#[derive(Debug, Clone, Copy)]
pub struct ExtendedReport<'a> {
    /// Who sends.
    pub ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> ExtendedReport<'a> {
    /// `None` if the blocks do not fill the body exactly.
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let (ssrc, blocks) = body.split_first_chunk::<4>()?;
        let mut walk = XrBlocks { rest: blocks };
        walk.by_ref().for_each(drop);
        walk.rest.is_empty().then_some(Self {
            ssrc: be32(ssrc),
            blocks,
        })
    }

    /// The report blocks in order.
    #[must_use]
    pub fn blocks(&self) -> XrBlocks<'a> {
        XrBlocks { rest: self.blocks }
    }
}

/// One block of an extended report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XrBlock<'a> {
    /// Its type: 4 for receiver reference time, 5 for DLRR, 7 for VoIP metrics.
    pub kind: u8,
    /// Eight bits that belong to the type.
    pub specific: u8,
    /// Whole words.
    pub data: &'a [u8],
}

/// Iterator of [`ExtendedReport::blocks`].
#[derive(Debug, Clone)]
pub struct XrBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for XrBlocks<'a> {
    type Item = XrBlock<'a>;

    fn next(&mut self) -> Option<XrBlock<'a>> {
        let &[kind, specific, high, low, ref rest @ ..] = self.rest else {
            return None;
        };
        let (data, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes([high, low])))?;
        self.rest = rest;
        Some(XrBlock { kind, specific, data })
    }
}
