//! Text that nobody but us can read or make, and for which nothing need be stored.
//!
//! A seal depends on everything that is sealed, so it may begin the key stream: what is equal looks equal, and nothing
//! else does (the construction of RFC 5297, with HMAC-SHA-256).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Octets of the seal, which is also what the key stream begins from: 96 bits.
const SEAL_OCTETS: usize = 12;

/// What an HMAC of ours is for: no two uses may share an input.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Use {
    Seal = 1,
    Stream = 2,
    Mark = 3,
}

/// Seals and opens texts of one kind. Two with the same secret and label understand each other.
#[derive(Clone)]
pub(crate) struct Sealer {
    mac: Hmac<Sha256>,
    label: [u8; 4],
}

impl Sealer {
    /// Flow tokens are signed with the same secret; they begin with a length, and no `label` of ours is such a one.
    pub(crate) fn new(secret: &[u8; 32], label: [u8; 4]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mac = Hmac::new_from_slice(secret).expect("any key length is right");
        Self { mac, label }
    }

    /// Seals octets, as letters that every part of a URI may hold. They are opened only with the same `with`.
    pub(crate) fn seal(&self, with: &[u8], octets: &[u8]) -> String {
        let seal = self.seal_of(with, octets);
        let mut sealed = [&seal, octets].concat();
        self.apply_stream(seal, &mut sealed[SEAL_OCTETS..]);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// What was sealed. `None` when we did not, or not `with` this.
    pub(crate) fn open(&self, with: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let octets = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (seal, rest) = octets.split_first_chunk::<SEAL_OCTETS>()?;
        let mut octets = rest.to_vec();
        self.apply_stream(*seal, &mut octets);
        let is_ours = bool::from(self.seal_of(with, &octets).ct_eq(seal));
        is_ours.then_some(octets)
    }

    /// What a text is known again by, and cannot be told from.
    pub(crate) fn mark<const N: usize>(&self, text: &str) -> [u8; N] {
        self.hash(Use::Mark, &[text.as_bytes()])
    }

    fn seal_of(&self, with: &[u8], octets: &[u8]) -> [u8; SEAL_OCTETS] {
        // The length keeps the end of the one apart from the beginning of the other.
        let length = (with.len() as u64).to_be_bytes();
        self.hash(Use::Seal, &[&length, with, octets])
    }

    fn apply_stream(&self, seal: [u8; SEAL_OCTETS], octets: &mut [u8]) {
        for (number, block) in (0u32..).zip(octets.chunks_mut(32)) {
            let stream: [u8; 32] = self.hash(Use::Stream, &[&seal, &number.to_be_bytes()]);
            for (octet, key) in block.iter_mut().zip(stream) {
                *octet ^= key;
            }
        }
    }

    fn hash<const N: usize>(&self, what_for: Use, parts: &[&[u8]]) -> [u8; N] {
        let mut mac = self.mac.clone();
        mac.update(&self.label);
        mac.update(&[what_for as u8]);
        for part in parts {
            mac.update(part);
        }
        let whole = mac.finalize().into_bytes();
        let mut short = [0; N];
        short.copy_from_slice(&whole[..N]);
        short
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&[1; 32], *b"test")
    }

    #[test]
    fn only_the_same_kind_opens_what_was_sealed() {
        let sealed = sealer().seal(b"call", b"hello");
        assert_eq!(sealer().open(b"call", &sealed).as_deref(), Some(&b"hello"[..]));
        assert_eq!(sealer().open(b"cal1", &sealed), None);
        assert_eq!(Sealer::new(&[2; 32], *b"test").open(b"call", &sealed), None);
        assert_eq!(Sealer::new(&[1; 32], *b"else").open(b"call", &sealed), None);
    }

    #[test]
    fn no_changed_octet_goes_unnoticed() {
        let octets = URL_SAFE_NO_PAD.decode(sealer().seal(b"call", b"hello")).unwrap();
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            assert_eq!(sealer().open(b"call", &URL_SAFE_NO_PAD.encode(changed)), None);
            assert_eq!(
                sealer().open(b"call", &URL_SAFE_NO_PAD.encode(&octets[..at])),
                None
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_is_opened_again(with: Vec<u8>, octets: Vec<u8>) {
            let sealed = sealer().seal(&with, &octets);
            prop_assert_eq!(sealer().open(&with, &sealed), Some(octets));
        }

        #[test]
        fn no_text_is_opened_by_chance(text in "[A-Za-z0-9_-]{0,120}") {
            prop_assert_eq!(sealer().open(b"call", &text), None);
        }
    }
}
