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
