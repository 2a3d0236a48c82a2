//! Replaced ranges, applied in one pass.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{EditError, Piece};

/// What takes the place of a range of the message.
#[derive(Debug, Clone)]
struct Splice {
    range: Range<usize>,
    order: isize,
    text: Piece,
}

pub(super) struct Splices<'a> {
    octets: &'a Bytes,
    text: &'a [u8],
    list: SmallVec<[Splice; 16]>,
}

impl<'a> Splices<'a> {
    pub(super) fn new(octets: &'a Bytes, text: &'a [u8]) -> Self {
        Self {
            octets,
            text,
            list: SmallVec::new(),
        }
    }

    pub(super) fn remove(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.replace(range, 0..0);
        }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: Piece) {
        self.list.push(Splice {
            range,
            order: 0,
            text,
        });
    }

    /// Of what is put in at one offset, lower `order` comes first.
    pub(super) fn insert(&mut self, offset: usize, order: isize, text: Piece) {
        self.list.push(Splice {
            range: offset..offset,
            order,
            text,
        });
    }

    /// The message with every range replaced.
    pub(super) fn apply(mut self) -> Result<Bytes, EditError> {
        if self.list.is_empty() {
            return Ok(self.octets.clone());
        }
        // What is put in before a range comes before what takes the range's place.
        self.list
            .sort_by_key(|splice| (splice.range.start, !splice.range.is_empty(), splice.order));
        let mut out = Vec::with_capacity(self.octets.len() + self.text.len());
        let mut copied = 0;
        for splice in &self.list {
            if splice.range.start < copied {
                return Err(EditError::Overlap);
            }
            out.extend_from_slice(&self.octets[copied..splice.range.start]);
            out.extend_from_slice(&self.text[splice.text.clone()]);
            copied = splice.range.end;
        }
        out.extend_from_slice(&self.octets[copied..]);
        Ok(Bytes::from(out))
    }
}
