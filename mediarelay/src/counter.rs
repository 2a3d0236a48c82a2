//! Numbers that one thread writes and everybody reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer: written with a plain load and store, which costs a fraction of an atomic addition.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// To be called by the one writer only.
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(amount);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// To be called by the one writer only.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that several threads add to, none of them per packet.
#[derive(Debug, Default)]
pub(crate) struct SharedTally(AtomicU64);

impl SharedTally {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
