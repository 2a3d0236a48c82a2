//! MESSAGE-INTEGRITY: HMAC-SHA1 with a short-term credential (RFC 8489, sections 9.1 and 14.5).
//!
//! HMAC (RFC 2104) is built here on SHA-1's compression function, because a check has only three blocks to hash and a
//! general streaming HMAC spends as long on copying its state and buffering as on hashing.

use std::fmt;

use sha1::block_api::compress;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::message::HEADER_LEN;

/// Octets of the attribute's value.
pub(crate) const VALUE_LEN: usize = 20;

/// Octets that SHA-1 takes at a time.
const BLOCK_LEN: usize = 64;

/// SHA-1's initial state (FIPS 180-4, section 5.3.1).
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Why MESSAGE-INTEGRITY does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// The message has none.
    #[error("MESSAGE-INTEGRITY is absent")]
    Absent,
    /// It was not made with this key, or the message was changed.
    #[error("MESSAGE-INTEGRITY differs")]
    Mismatch,
}

/// A password turned into the two SHA-1 states that every HMAC starts from.
///
/// Making one costs two SHA-1 blocks; using it saves them on every message. `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct IntegrityKey {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl IntegrityKey {
    /// The key of a short-term credential: the password itself.
    ///
    /// An ICE password consists of ASCII letters, digits, `+` and `/` (RFC 8839, section 5.4), on which the
    /// `OpaqueString` preparation that RFC 8489 asks for changes nothing; a password from elsewhere must be prepared.
    #[must_use]
    pub fn short_term(password: &str) -> Self {
        let mut key = [0; BLOCK_LEN];
        match key.get_mut(..password.len()) {
            Some(place) => place.copy_from_slice(password.as_bytes()),
            None => key[..VALUE_LEN].copy_from_slice(&Sha1::digest(password)),
        }
        let keyed = |pad: u8| {
            let mut state = INITIAL;
            compress(&mut state, &[key.map(|octet| octet ^ pad)]);
            state
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    /// The attribute's value for a message of which everything before MESSAGE-INTEGRITY is given.
    ///
    /// The HMAC covers the header's length field as if the message ended with MESSAGE-INTEGRITY; this function puts
    /// that length in, whatever the header says.
    pub(crate) fn sign(&self, before: &[u8]) -> [u8; VALUE_LEN] {
        debug_assert!(before.len() >= HEADER_LEN);
        let length = (before.len() - HEADER_LEN + 4 + VALUE_LEN) as u16;
        let mut state = self.inner;
        let mut rest = before;
        if let Some((first, after)) = before.split_first_chunk::<BLOCK_LEN>() {
            let mut first = *first;
            first[2..4].copy_from_slice(&length.to_be_bytes());
            compress(&mut state, &[first]);
            rest = after;
        }
        let (blocks, rest) = rest.as_chunks::<BLOCK_LEN>();
        compress(&mut state, blocks);
        let mut tail = [0; 2 * BLOCK_LEN];
        tail[..rest.len()].copy_from_slice(rest);
        if before.len() < BLOCK_LEN {
            tail[2..4].copy_from_slice(&length.to_be_bytes());
        }
        finish(&mut state, &mut tail, rest.len(), before.len());

        let mut tail = [0; 2 * BLOCK_LEN];
        write_state(&state, &mut tail);
        let mut state = self.outer;
        finish(&mut state, &mut tail, VALUE_LEN, VALUE_LEN);
        let mut value = [0; VALUE_LEN];
        write_state(&state, &mut value);
        value
    }

    /// Compares in constant time, in words: octet by octet costs as much as a SHA-1 block.
    pub(crate) fn matches(&self, before: &[u8], found: &[u8; VALUE_LEN]) -> bool {
        words(&self.sign(before)).ct_eq(&words(found)).into()
    }
}

/// Hashes the last `len` octets of a message of `total` octets, which stand at the beginning of a zeroed `tail`.
/// Both HMAC passes have one block before them, the padded key, which counts as well.
fn finish(state: &mut [u32; 5], tail: &mut [u8; 2 * BLOCK_LEN], len: usize, total: usize) {
    tail[len] = 0x80;
    let end = if len + 9 <= BLOCK_LEN {
        BLOCK_LEN
    } else {
        2 * BLOCK_LEN
    };
    let bits = (BLOCK_LEN + total) as u64 * 8;
    tail[end - 8..end].copy_from_slice(&bits.to_be_bytes());
    compress(state, tail[..end].as_chunks::<BLOCK_LEN>().0);
}

fn words(value: &[u8; VALUE_LEN]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, octets) in words.iter_mut().zip(value.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*octets);
    }
    words
}

fn write_state(state: &[u32; 5], out: &mut [u8]) {
    for (place, word) in out.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every split into blocks, and keys longer than a block.
        #[test]
        fn equals_the_general_hmac(
            mut message in proptest::collection::vec(any::<u8>(), HEADER_LEN..300),
            password in "[a-zA-Z0-9+/]{0,130}",
        ) {
            let signed = IntegrityKey::short_term(&password).sign(&message);
            let length = (message.len() - HEADER_LEN + 24) as u16;
            message[2..4].copy_from_slice(&length.to_be_bytes());
            let mut oracle = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
            oracle.update(&message);
            let expected: [u8; VALUE_LEN] = oracle.finalize().into_bytes().into();
            prop_assert_eq!(signed, expected);
        }
    }

    #[test]
    fn the_key_does_not_show() {
        assert_eq!(
            format!("{:?}", IntegrityKey::short_term("secret")),
            "IntegrityKey(..)"
        );
    }
}
