//! HMAC-SHA1 over a packet and the four octets after it (RFC 2104; RFC 3711, section 4.2).
//!
//! Built on SHA-1's compression function, which reads the packet where it lies; a general streaming HMAC copies every
//! octet through its buffer and clones that buffer per packet, which costs a quarter more.

use sha1::block_api::compress;

/// Octets of an untruncated tag.
pub(super) const TAG_LEN: usize = 20;

/// Octets that SHA-1 takes at a time.
const BLOCK_LEN: usize = 64;

/// SHA-1's initial state (FIPS 180-4, section 5.3.1).
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The two SHA-1 states after the padded key: what every tag under this key starts from.
#[derive(Clone)]
pub(super) struct HmacKey {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl HmacKey {
    pub(super) fn new(key: &[u8; TAG_LEN]) -> Self {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK_LEN];
            for (octet, key) in block.iter_mut().zip(key) {
                *octet ^= key;
            }
            let mut state = INITIAL;
            compress(&mut state, &[block]);
            state
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    /// Something of it: see [`Cipher::fetch`](super::cipher::Cipher::fetch).
    pub(super) fn fetch(&self) -> u32 {
        self.inner[0] ^ self.outer[4]
    }

    /// The tag of `message` followed by `trailer`.
    pub(super) fn tag(&self, message: &[u8], trailer: [u8; 4]) -> [u8; TAG_LEN] {
        let (blocks, rest) = message.as_chunks::<BLOCK_LEN>();
        let mut state = self.inner;
        compress(&mut state, blocks);
        let mut tail = [0; 2 * BLOCK_LEN];
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()..rest.len() + 4].copy_from_slice(&trailer);
        finish(&mut state, &mut tail, rest.len() + 4, message.len() + 4);

        let mut tail = [0; 2 * BLOCK_LEN];
        write_state(&state, &mut tail);
        let mut state = self.outer;
        finish(&mut state, &mut tail, TAG_LEN, TAG_LEN);
        let mut tag = [0; TAG_LEN];
        write_state(&state, &mut tag);
        tag
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

fn write_state(state: &[u32; 5], out: &mut [u8]) {
    for (place, word) in out.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    use super::*;

    /// HMAC as RFC 2104 writes it.
    fn by_the_book(key: &[u8; TAG_LEN], message: &[u8]) -> Vec<u8> {
        let padded = |pad: u8| {
            let mut block = [pad; BLOCK_LEN];
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            block
        };
        let inner = Sha1::new()
            .chain_update(padded(0x36))
            .chain_update(message)
            .finalize();
        Sha1::new()
            .chain_update(padded(0x5c))
            .chain_update(inner)
            .finalize()
            .to_vec()
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            key: [u8; TAG_LEN], trailer: [u8; 4], message in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let whole = [&message[..], &trailer].concat();
            prop_assert_eq!(HmacKey::new(&key).tag(&message, trailer).to_vec(), by_the_book(&key, &whole));
        }
    }
}
