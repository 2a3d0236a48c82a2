//! Handshake messages out of fragments, in the order in which they were sent (RFC 6347 section 4.2.3).

use std::collections::BTreeMap;

use crate::config::{LimitHits, Limits};
use crate::wire::{Malformed, Reader, u24};

/// Octets before the content of a handshake message or fragment.
pub(crate) const HEADER_LEN: usize = 12;

/// A whole handshake message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    /// The epoch of its records.
    pub(crate) epoch: u16,
    /// Header, as if it had come in one piece, and body: what is signed and digested.
    pub(crate) whole: Vec<u8>,
}

impl Message {
    pub(crate) fn new(kind: u8, epoch: u16, sequence: u16, body: &[u8]) -> Self {
        let mut whole = Vec::with_capacity(HEADER_LEN + body.len());
        put_header(&mut whole, kind, body.len(), sequence, 0, body.len());
        whole.extend_from_slice(body);
        Self { kind, epoch, whole }
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.whole[HEADER_LEN..]
    }
}

/// Writes the header of a fragment.
pub(crate) fn put_header(out: &mut Vec<u8>, kind: u8, len: usize, sequence: u16, offset: usize, part: usize) {
    out.push(kind);
    out.extend_from_slice(&u24(len));
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&u24(offset));
    out.extend_from_slice(&u24(part));
}

/// A message of which something is missing.
#[derive(Debug)]
struct Partial {
    kind: u8,
    epoch: u16,
    body: Vec<u8>,
    /// Which octets are there.
    there: Vec<bool>,
    missing: usize,
}

/// What fragments were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Some belong to messages that were handled: the peer repeats itself.
    pub(crate) repeated: bool,
}

/// Puts messages together.
#[derive(Debug)]
pub(crate) struct Reassembly {
    next: u16,
    waiting: BTreeMap<u16, Partial>,
    octets: usize,
    pub(crate) hits: LimitHits,
}

impl Reassembly {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            octets: 0,
            hits: LimitHits::default(),
        }
    }

    /// Takes the fragments of a record. What does not fit is left out: it may be forged, and a true one is repeated.
    pub(crate) fn insert(&mut self, limits: &Limits, epoch: u16, record: &[u8]) -> Result<Seen, Malformed> {
        let (mut seen, mut reader) = (Seen::default(), Reader::new(record));
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let (len, sequence) = (reader.u24()?, reader.u16()?);
            let offset = reader.u24()?;
            let part = reader.vec24()?;
            if offset + part.len() > len {
                return Err(Malformed);
            }
            if sequence < self.next {
                seen.repeated = true;
            } else if sequence - self.next > limits.messages_ahead {
                self.hits.messages_ahead += 1;
            } else if len > limits.message_octets {
                self.hits.message_octets += 1;
            } else {
                self.insert_part(limits, sequence, (kind, epoch, len), offset, part);
            }
        }
        Ok(seen)
    }

    fn insert_part(
        &mut self,
        limits: &Limits,
        sequence: u16,
        (kind, epoch, len): (u8, u16, usize),
        offset: usize,
        part: &[u8],
    ) {
        if !self.waiting.contains_key(&sequence) && self.octets + len > limits.pending_octets {
            self.hits.pending_octets += 1;
            return;
        }
        let octets = &mut self.octets;
        let partial = self.waiting.entry(sequence).or_insert_with(|| {
            *octets += len;
            Partial {
                kind,
                epoch,
                body: vec![0; len],
                there: vec![false; len],
                missing: len,
            }
        });
        if (partial.kind, partial.epoch, partial.body.len()) != (kind, epoch, len) {
            return;
        }
        let range = offset..offset + part.len();
        for ((octet, there), from) in partial.body[range.clone()]
            .iter_mut()
            .zip(&mut partial.there[range])
            .zip(part)
        {
            if !std::mem::replace(there, true) {
                *octet = *from;
                partial.missing -= 1;
            }
        }
    }

    /// The message in a record, if there is a whole one and nothing else, with its number.
    pub(crate) fn whole(epoch: u16, record: &[u8]) -> Option<(u16, Message)> {
        let mut reader = Reader::new(record);
        let kind = reader.u8().ok()?;
        let (len, sequence) = (reader.u24().ok()?, reader.u16().ok()?);
        let (offset, body) = (reader.u24().ok()?, reader.vec24().ok()?);
        let is_whole = offset == 0 && body.len() == len && reader.is_empty();
        is_whole.then(|| (sequence, Message::new(kind, epoch, sequence, body)))
    }

    /// Forgets what is there: the message of this number is the next one.
    pub(crate) fn begin_at(&mut self, sequence: u16) {
        self.waiting.clear();
        self.octets = 0;
        self.next = sequence;
    }

    /// The next message, if it is complete.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let first = self.waiting.first_entry()?;
        if *first.key() != self.next || first.get().missing > 0 {
            return None;
        }
        let partial = first.remove();
        self.octets -= partial.body.len();
        let message = Message::new(partial.kind, partial.epoch, self.next, &partial.body);
        self.next = self.next.saturating_add(1);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fragment(sequence: u16, body: &[u8], offset: usize, part: usize) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, 11, body.len(), sequence, offset, part);
        out.extend_from_slice(&body[offset..offset + part]);
        out
    }

    #[test]
    fn limits_hold() {
        let limits = Limits {
            message_octets: 10,
            pending_octets: 15,
            messages_ahead: 2,
            ..Limits::default()
        };
        let mut reassembly = Reassembly::new();
        for (sequence, len) in [(1, 10), (2, 10), (1, 11), (3, 1)] {
            reassembly
                .insert(&limits, 0, &fragment(sequence, &[1; 20][..len], 0, 1))
                .unwrap();
        }
        assert_eq!((reassembly.waiting.len(), reassembly.octets), (1, 10));
        assert!(reassembly.insert(&limits, 0, &[11, 0, 0, 1]).is_err());
        let hits = LimitHits {
            pending_octets: 1,
            message_octets: 1,
            messages_ahead: 1,
            early_records: 0,
        };
        assert_eq!(reassembly.hits, hits);
    }

    #[test]
    fn what_was_handled_is_told_to_be_a_repetition() {
        let mut reassembly = Reassembly::new();
        let whole = fragment(0, b"", 0, 0);
        assert!(!reassembly.insert(&Limits::default(), 0, &whole).unwrap().repeated);
        assert_eq!(reassembly.next().unwrap().body(), b"");
        assert!(reassembly.insert(&Limits::default(), 0, &whole).unwrap().repeated);
        assert_eq!(reassembly.next(), None);
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_and_in_order(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
            order in proptest::collection::vec(any::<u16>(), 100),
        ) {
            let mut fragments: Vec<_> = bodies.iter().enumerate().flat_map(|(sequence, body)| {
                let starts = (0..body.len().max(1)).step_by(7);
                starts.map(move |at| fragment(sequence as u16, body, at, (body.len() - at).min(9)))
            }).collect();
            let mut keys = order.iter().cycle();
            fragments.sort_by_cached_key(|_| *keys.next().unwrap());
            let (mut reassembly, mut out) = (Reassembly::new(), Vec::new());
            for fragment in fragments {
                reassembly.insert(&Limits::default(), 0, &fragment).unwrap();
                out.extend(std::iter::from_fn(|| reassembly.next()));
            }
            let out: Vec<_> = out.iter().map(|message| message.body().to_vec()).collect();
            prop_assert_eq!(out, bodies);
            prop_assert_eq!(reassembly.octets, 0);
        }
    }
}
