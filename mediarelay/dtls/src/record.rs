//! Records (RFC 6347 section 4.1) and their protection with AES-GCM (RFC 5288).

use std::fmt;

use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};

use crate::error::Error;
use crate::wire::Reader;

/// Content types.
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;

/// DTLS 1.2.
pub(crate) const VERSION: [u8; 2] = [0xFE, 0xFD];
/// Octets before the content of a record.
pub(crate) const HEADER_LEN: usize = 13;
/// Octets that protection adds: the explicit part of the nonce and the tag.
pub(crate) const PROTECTION_LEN: usize = EXPLICIT_LEN + 16;
/// Octets of the part of the nonce that is told.
const EXPLICIT_LEN: usize = 8;
/// Octets of the part of the nonce that is not.
pub(crate) const SALT_LEN: usize = 4;

/// A record as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) content: u8,
    pub(crate) epoch: u16,
    pub(crate) sequence: u64,
    pub(crate) body: &'a [u8],
    /// Header and body.
    pub(crate) whole: &'a [u8],
}

/// The records of a datagram, up to the first that is none.
pub(crate) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut reader = Reader::new(datagram);
    std::iter::from_fn(move || {
        let before = reader.rest();
        let content = reader
            .u8()
            .ok()
            .filter(|content| (CHANGE_CIPHER_SPEC..=23).contains(content))?;
        // A first ClientHello and a HelloVerifyRequest may be in records of DTLS 1.0.
        let [0xFE, 0xFD | 0xFF] = reader.array().ok()? else {
            return None;
        };
        let epoch = reader.u16().ok()?;
        let [a, b, c, d, e, f] = reader.array().ok()?;
        let body = reader.vec16().ok()?;
        Some(Record {
            content,
            epoch,
            sequence: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            body,
            whole: &before[..HEADER_LEN + body.len()],
        })
    })
}

/// Appends a record.
pub(crate) fn put(out: &mut Vec<u8>, content: u8, epoch: u16, sequence: u64, body: &[u8]) {
    out.push(content);
    out.extend_from_slice(&VERSION);
    out.extend_from_slice(&number(epoch, sequence));
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
}

/// Epoch and sequence number in eight octets.
fn number(epoch: u16, sequence: u64) -> [u8; 8] {
    (u64::from(epoch) << 48 | sequence & 0xFFFF_FFFF_FFFF).to_be_bytes()
}

/// The key of one direction. `Debug` does not show it.
pub(crate) struct Protection {
    key: LessSafeKey,
    salt: [u8; SALT_LEN],
}

impl Protection {
    pub(crate) fn new(
        algorithm: &'static Algorithm,
        key: &[u8],
        salt: [u8; SALT_LEN],
    ) -> Result<Self, Error> {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(Self { key, salt })
    }

    /// The body of a protected record. A sequence number may be used once.
    pub(crate) fn seal(
        &self,
        content: u8,
        epoch: u16,
        sequence: u64,
        plain: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let explicit = number(epoch, sequence);
        let mut sealed = plain.to_vec();
        let aad = aad(content, epoch, sequence, plain.len());
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(explicit), Aad::from(aad), &mut sealed)?;
        let mut body = Vec::with_capacity(plain.len() + PROTECTION_LEN);
        body.extend_from_slice(&explicit);
        body.extend_from_slice(&sealed);
        body.extend_from_slice(tag.as_ref());
        Ok(body)
    }

    /// What a record says, if it is the peer's.
    pub(crate) fn open(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        let len = record.body.len().checked_sub(PROTECTION_LEN)?;
        let (explicit, sealed) = record.body.split_first_chunk::<EXPLICIT_LEN>()?;
        let mut sealed = sealed.to_vec();
        let aad = aad(record.content, record.epoch, record.sequence, len);
        self.key
            .open_in_place(self.nonce(*explicit), Aad::from(aad), &mut sealed)
            .ok()?;
        sealed.truncate(len);
        Some(sealed)
    }

    fn nonce(&self, explicit: [u8; EXPLICIT_LEN]) -> Nonce {
        let [a, b, c, d] = self.salt;
        let [e, f, g, h, i, j, k, l] = explicit;
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").finish_non_exhaustive()
    }
}

/// What is authenticated beside the content (RFC 5246 section 6.2.3.3).
fn aad(content: u8, epoch: u16, sequence: u64, len: usize) -> [u8; HEADER_LEN] {
    let mut aad = [0; HEADER_LEN];
    aad[..8].copy_from_slice(&number(epoch, sequence));
    aad[8] = content;
    aad[9..11].copy_from_slice(&VERSION);
    aad[11..].copy_from_slice(&(len as u16).to_be_bytes());
    aad
}

/// Which protected records have been seen (RFC 6347 section 4.1.2.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// One more than the latest sequence number.
    next: u64,
    /// The 64 before it, the latest in the lowest bit.
    seen: u64,
}

impl Replay {
    pub(crate) fn is_known(&self, sequence: u64) -> bool {
        match self.next.checked_sub(sequence) {
            None | Some(0) => false,
            Some(back @ 1..=64) => self.seen >> (back - 1) & 1 == 1,
            Some(_) => true,
        }
    }

    /// To be called once a record was found to be authentic.
    pub(crate) fn mark(&mut self, sequence: u64) {
        if let Some(ahead) = (sequence + 1).checked_sub(self.next) {
            self.seen = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.seen.checked_shl(by))
                .unwrap_or(0);
            self.next = sequence + 1;
        }
        if let Some(bit) = (self.next - 1 - sequence)
            .try_into()
            .ok()
            .and_then(|by: u32| 1_u64.checked_shl(by))
        {
            self.seen |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::AES_128_GCM;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_opened_as_it_was_sealed_and_not_otherwise() {
        let protection = Protection::new(&AES_128_GCM, &[1; 16], [2; 4]).unwrap();
        let body = protection.seal(HANDSHAKE, 1, 7, b"finished").unwrap();
        let mut datagram = Vec::new();
        put(&mut datagram, HANDSHAKE, 1, 7, &body);
        let record = records(&datagram).next().unwrap();
        assert_eq!(record.whole, datagram);
        assert_eq!(protection.open(&record).as_deref(), Some(&b"finished"[..]));
        for at in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[at] ^= 1;
            let opened = records(&changed)
                .next()
                .and_then(|record| protection.open(&record));
            assert_eq!(opened, None, "octet {at}");
        }
    }

    proptest! {
        #[test]
        fn a_sequence_number_counts_once(numbers in proptest::collection::vec(0_u64..200, 0..300)) {
            let (mut replay, mut seen) = (Replay::default(), std::collections::BTreeSet::new());
            for number in numbers {
                let latest = seen.last().copied().unwrap_or(0);
                let known = replay.is_known(number);
                prop_assert!(known || !seen.contains(&number));
                prop_assert!(!known || seen.contains(&number) || number + 64 <= latest);
                if !known {
                    replay.mark(number);
                    seen.insert(number);
                    prop_assert!(replay.is_known(number));
                }
            }
        }

        #[test]
        fn no_datagram_makes_it_panic(datagram in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(records(&datagram).map(|record| record.whole.len()).sum::<usize>() <= datagram.len());
        }
    }
}
