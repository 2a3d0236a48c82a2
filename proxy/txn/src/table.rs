//! What is known of each request that came.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::ServerId;
use crate::answered::Answered;
use crate::key::ServerKey;

/// Parts of the table: each grows by itself, so that nobody waits until all of it has.
const PARTS: usize = 64;

/// What is known of a request that came.
#[derive(Debug)]
pub(crate) enum Known {
    /// Its transaction.
    Running(ServerId),
    /// It was answered, and this is left of it.
    Answered(Answered),
}

/// The requests that are known.
#[derive(Debug)]
pub(crate) struct Table {
    parts: Box<[HashMap<ServerKey, Known, BuildHasherDefault<Hashed>>]>,
    len: usize,
}

/// The hasher of keys that are hashes.
#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, octets: &[u8]) {
        debug_assert!(false, "a key that is no hash: {octets:?}");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashMap::default()).collect(),
            len: 0,
        }
    }
}

impl Table {
    pub(crate) fn get(&self, key: &ServerKey) -> Option<&Known> {
        self.parts[part(key)].get(key)
    }

    /// What is known of this request is this from here on.
    pub(crate) fn insert(&mut self, key: ServerKey, known: Known) {
        if self.parts[part(&key)].insert(key, known).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, key: &ServerKey) {
        let part = &mut self.parts[part(key)];
        if part.remove(key).is_some() {
            self.len -= 1;
            // After a flood a table is large and nearly empty. The factor keeps one that breathes from shrinking.
            if part.len() < part.capacity() / 8 {
                part.shrink_to(part.len() * 2);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

fn part(key: &ServerKey) -> usize {
    key.spread() as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(table: &mut Table, numbers: std::ops::Range<u64>) {
        for number in numbers {
            table.insert(ServerKey::test(number), Known::Answered(Answered::Marked(number)));
        }
    }

    #[test]
    fn a_request_is_known_until_it_is_removed() {
        let mut table = Table::default();
        marked(&mut table, 0..1_000);
        marked(&mut table, 0..1_000);
        assert_eq!(table.len(), 1_000, "what is known again is known once");
        let is_known = |table: &Table, number| table.get(&ServerKey::test(number)).is_some();
        assert!(is_known(&table, 999) && !is_known(&table, 1_000));
        for _ in 0..2 {
            table.remove(&ServerKey::test(999));
        }
        assert!(!is_known(&table, 999) && is_known(&table, 998));
        assert_eq!(table.len(), 999);
    }

    #[test]
    fn the_memory_of_a_flood_goes_back() {
        let room = |table: &Table| table.parts.iter().map(HashMap::capacity).sum::<usize>();
        let mut table = Table::default();
        marked(&mut table, 0..100_000);
        assert!(room(&table) >= 100_000);
        for number in 0..100_000 {
            table.remove(&ServerKey::test(number));
        }
        assert!(room(&table) < 1_000, "{}", room(&table));
    }

    /// There are hundreds of thousands of them.
    #[test]
    fn what_is_known_of_a_request_is_no_larger_than_two_words_and_its_key() {
        assert_eq!(size_of::<(ServerKey, Known)>(), 32);
    }
}
