//! What is known of each request that came.

use std::hash::{BuildHasherDefault, Hasher};

use crate::ServerId;
use crate::answered::Answered;
use crate::key::ServerKey;
use crate::parts::Parts;

/// What is known of a request that came.
#[derive(Debug)]
pub(crate) enum Known {
    /// Its transaction.
    Running(ServerId),
    /// It was answered, and this is left of it.
    Answered(Answered),
}

/// The requests that are known.
pub(crate) type Table = Parts<ServerKey, Known, BuildHasherDefault<Hashed>>;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_until_it_is_removed() {
        let mut table = Table::default();
        for number in 0..1_000 {
            table.insert(ServerKey::test(number), Known::Answered(Answered::Marked(number)));
        }
        let is_known = |table: &Table, number| table.get(&ServerKey::test(number)).is_some();
        assert!(is_known(&table, 999) && !is_known(&table, 1_000));
        table.remove(&ServerKey::test(999));
        assert!(!is_known(&table, 999) && is_known(&table, 998));
    }

    /// There are hundreds of thousands of them.
    #[test]
    fn what_is_known_of_a_request_is_no_larger_than_two_words_and_its_key() {
        assert_eq!(size_of::<(ServerKey, Known)>(), 32);
    }
}
