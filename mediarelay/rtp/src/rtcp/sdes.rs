//! Source descriptions (RFC 3550, section 6.5).

use super::be32;

/// A source description packet: up to 31 chunks.
#[derive(Debug, Clone, Copy)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> Sdes<'a> {
    /// `None` if the chunks do not fit the body.
    pub(crate) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let sdes = Self { count, body };
        let complete = sdes.chunks().count() == usize::from(count);
        complete.then_some(sdes)
    }

    /// One chunk per source.
    #[must_use]
    pub fn chunks(&self) -> SdesChunks<'a> {
        SdesChunks {
            left: self.count,
            rest: self.body,
        }
    }
}

/// Iterator of [`Sdes::chunks`].
#[derive(Debug, Clone)]
pub struct SdesChunks<'a> {
    left: u8,
    rest: &'a [u8],
}

impl<'a> Iterator for SdesChunks<'a> {
    type Item = SdesChunk<'a>;

    fn next(&mut self) -> Option<SdesChunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (ssrc, list) = self.rest.split_first_chunk::<4>()?;
        // Items end with a zero octet; the chunk ends at the next multiple of four, counted from its SSRC. Phones that
        // leave the zero out where the last item ends on the boundary are forgiven.
        let mut end = 0;
        while end < list.len() && list[end] != 0 {
            end += 2 + usize::from(*list.get(end + 1)?);
        }
        let items = list.get(..end)?;
        self.rest = list.get((end + 1).next_multiple_of(4).min(list.len())..)?;
        Some(SdesChunk {
            ssrc: be32(ssrc),
            items,
        })
    }
}

/// What is said about one source.
#[derive(Debug, Clone, Copy)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: u32,
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// The items in order.
    #[must_use]
    pub fn items(&self) -> SdesItems<'a> {
        SdesItems { rest: self.items }
    }

    /// The canonical name, as octets: peers do send names that are not UTF-8.
    #[must_use]
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items()
            .find(|item| item.kind == SdesItem::CNAME)
            .map(|item| item.value)
    }
}

/// One item of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// Its type, 1 to 255.
    pub kind: u8,
    /// Its text.
    pub value: &'a [u8],
}

impl SdesItem<'_> {
    /// Canonical name.
    pub const CNAME: u8 = 1;
    /// The media identification of a bundled m-line (RFC 8843, section 15.1).
    pub const MID: u8 = 15;
}

/// Iterator of [`SdesChunk::items`].
#[derive(Debug, Clone)]
pub struct SdesItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SdesItems<'a> {
    type Item = SdesItem<'a>;

    fn next(&mut self) -> Option<SdesItem<'a>> {
        let &[kind, len, ref rest @ ..] = self.rest else {
            return None;
        };
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some(SdesItem { kind, value })
    }
}
