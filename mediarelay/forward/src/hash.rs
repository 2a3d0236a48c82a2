//! A fast hash for the tables that every packet looks into.

use std::hash::{BuildHasher, Hasher};

/// Multiply-and-fold with a secret seed. Only control inserts into the tables, so a peer cannot build long chains by
/// choosing what it sends; the seed keeps the addresses that control learns from peers from doing so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    start: u64,
    multiplier: u64,
}

impl Seed {
    pub(crate) fn new([start, multiplier]: [u64; 2]) -> Self {
        // The fractional part of the golden ratio has its bits well mixed, so a seed of zeros in a test does no harm.
        Self {
            start,
            multiplier: (multiplier ^ 0x9e37_79b9_7f4a_7c15) | 1,
        }
    }
}

impl BuildHasher for Seed {
    type Hasher = FoldHasher;

    fn build_hasher(&self) -> FoldHasher {
        FoldHasher {
            state: self.start,
            multiplier: self.multiplier,
        }
    }
}

#[derive(Debug)]
pub(crate) struct FoldHasher {
    state: u64,
    multiplier: u64,
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.state ^ value) * u128::from(self.multiplier);
        self.state = (product as u64 ^ (product >> 64) as u64).rotate_left(23);
    }

    // A table of arrays writes their length first, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::address::{SocketId, Tuple};

    #[test]
    fn neighbours_spread() {
        for seed in [[0, 0], [1, 2], [0x1234_5678_9abc_def0, 0xfeed_f00d]] {
            let seed = Seed::new(seed);
            let mut full = HashSet::new();
            let (mut low, mut high) = (HashSet::new(), HashSet::new());
            for n in 0..10_000_u32 {
                let remote = ([10, 0, (n >> 8) as u8, n as u8], 4000 + (n % 7) as u16).into();
                let hash = seed.hash_one(Tuple::new(SocketId(n % 16), remote));
                full.insert(hash);
                low.insert(hash & 0xffff);
                high.insert(hash >> 57);
            }
            assert_eq!(full.len(), 10_000);
            // 10,000 balls in 65,536 bins leave about 9,283 bins filled.
            assert!(low.len() > 9_000, "{}", low.len());
            assert_eq!(high.len(), 128);
        }
    }

    #[test]
    fn texts_of_different_length_differ() {
        let seed = Seed::new([3, 5]);
        let hashes: HashSet<_> = ["", "\0", "a", "a\0", "abcdefgh", "abcdefgh\0", "abcdefghi"]
            .into_iter()
            .map(|text| seed.hash_one(text))
            .collect();
        assert_eq!(hashes.len(), 7);
    }
}
