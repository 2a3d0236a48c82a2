//! A map that grows a little at a time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use bytes::Bytes;

/// Parts of a map: each grows by itself, so that nobody waits until all of it has.
const PARTS: usize = 64;

/// A key of [`Parts`].
pub trait Spread {
    /// What decides the part. Whoever chooses keys may get many of them into one part, which then grows as any map does: no
    /// secret is needed.
    fn spread(&self) -> u64;
}

impl Spread for [u8] {
    /// Of its end, where most texts differ.
    fn spread(&self) -> u64 {
        let end = &self[self.len().saturating_sub(16)..];
        // FNV-1a: the simplest that takes every octet into account. Its upper bits hardly depend on the last ones, hence the
        // factor, that of Fibonacci hashing.
        let hash = end.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
    }
}

impl Spread for Bytes {
    fn spread(&self) -> u64 {
        self[..].spread()
    }
}

/// A map in parts, for tables that many entries come to and go from while others wait for an answer.
///
/// A map that fills up moves everything to a place twice as large, which takes tens of milliseconds at a hundred thousand
/// entries. Here one part of 64 does at a time. Its memory goes back when they empty.
#[derive(Debug)]
pub struct Parts<K, V, S = RandomState> {
    parts: Box<[HashMap<K, V, S>]>,
    len: usize,
}

impl<K, V, S: Default> Default for Parts<K, V, S> {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashMap::default()).collect(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq + Spread, V, S: BuildHasher> Parts<K, V, S> {
    /// The value of a key.
    pub fn get<Q: Hash + Eq + Spread + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.parts[part(key)].get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Hash + Eq + Spread + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.parts[part(key)].get_mut(key)
    }

    /// The value of a key from here on. Gives back the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.parts[part(&key)].insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a key and its value away.
    pub fn remove<Q: Hash + Eq + Spread + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let part = &mut self.parts[part(key)];
        let value = part.remove(key)?;
        self.len -= 1;
        // After a flood a map is large and nearly empty. The factor keeps one that breathes from shrinking.
        if part.len() < part.capacity() / 8 {
            part.shrink_to(part.len() * 2);
        }
        Some(value)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no key has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn part<Q: Spread + ?Sized>(key: &Q) -> usize {
    key.spread() as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Bytes {
        format!("z9hG4bK{number:08x}").into()
    }

    fn filled(numbers: std::ops::Range<u32>) -> Parts<Bytes, u32> {
        let mut parts = Parts::default();
        for number in numbers {
            parts.insert(key(number), number);
        }
        parts
    }

    #[test]
    fn a_value_is_there_until_it_is_removed() {
        let mut parts = filled(0..1_000);
        assert_eq!(parts.insert(key(7), 70), Some(7));
        assert_eq!(parts.len(), 1_000, "a key has one value");
        *parts.get_mut(&key(8)).unwrap() = 80;
        assert_eq!((parts.get(&key(7)), parts.get(&key(8))), (Some(&70), Some(&80)));
        assert_eq!(parts.get(&key(1_000)), None);
        assert_eq!(parts.remove(&key(7)), Some(70));
        assert_eq!(parts.remove(&key(7)), None);
        assert_eq!(parts.get(&key(7)), None);
        assert_eq!(parts.len(), 999);
        assert!(!parts.is_empty() && Parts::<Bytes, u32>::default().is_empty());
    }

    /// Otherwise one part would be the whole map.
    #[test]
    fn the_parts_are_about_as_large() {
        let parts = filled(0..64_000);
        let most = parts.parts.iter().map(HashMap::len).max();
        assert!(most < Some(1_500), "{most:?} of 64,000 in one of 64 parts");
    }

    #[test]
    fn the_memory_of_a_flood_goes_back() {
        let room = |parts: &Parts<Bytes, u32>| parts.parts.iter().map(HashMap::capacity).sum::<usize>();
        let mut parts = filled(0..100_000);
        assert!(room(&parts) >= 100_000);
        for number in 0..100_000 {
            parts.remove(&key(number));
        }
        assert!(room(&parts) < 1_000, "{}", room(&parts));
    }
}
