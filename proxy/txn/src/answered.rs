//! What is left of an answered request: the Completed state of the non-INVITE server transaction (RFC 3261 section 17.2.2).
//!
//! It lasts 32 seconds, and most requests that a busy proxy knows are in it. So it holds nothing but what a repeat of the
//! request needs.

use bytes::Bytes;

use crate::Hop;

/// How a repeat of an answered request is answered.
#[derive(Debug)]
pub(crate) enum Answered {
    /// With the same octets.
    Kept(Box<Answer>),
    /// By the user, who makes the answer again for a request with this mark.
    Marked(u64),
    /// Not at all: there was no answer, and there will be none.
    Silent,
}

/// A final answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) hop: Hop,
    pub(crate) octets: Bytes,
}

impl Answered {
    /// Holds the octets in memory of their own length, and none that they were made in.
    pub(crate) fn kept(hop: Hop, octets: &[u8]) -> Self {
        Self::Kept(Box::new(Answer {
            hop,
            octets: Bytes::copy_from_slice(octets),
        }))
    }
}
