//! Counters that a worker writes and everybody reads.
//!
//! Every counter has one writer: the worker that serves the flow. So it is written with a plain load and store, which
//! costs a fraction of an atomic addition, and read without stopping anybody. A snapshot taken while packets arrive may
//! have one counter a packet ahead of another.

mod flow;
mod table;
mod worker;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use viaduct_rtp::Tick;

pub(crate) use flow::RouteStats;
pub use flow::{Beside, BesideSource, FlowSnapshot, FlowStats, RouteSnapshot, Shift, SsrcSnapshot};
pub(crate) use table::LegStats;
pub use table::{Shared, StatsTable, TupleConsent};
pub use worker::{WorkerSnapshot, WorkerStats};

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same in half the room, for figures that have 32 bits anyway and for counts that matter more than their exact
/// value after four billion.
#[derive(Debug, Default)]
pub(crate) struct SmallGauge(AtomicU32);

impl SmallGauge {
    #[inline]
    pub(crate) fn add(&self, amount: u32) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    #[inline]
    pub(crate) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Up to `max` places, of which the first is at hand and the others are allocated together when the second is needed:
/// nearly every flow has one route and one SSRC, and thousands of flows should lie close together in memory.
#[derive(Debug)]
pub(crate) struct Places<T> {
    first: T,
    others: OnceLock<Box<[T]>>,
    max: usize,
}

impl<T: Default> Places<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            first: T::default(),
            others: OnceLock::new(),
            max,
        }
    }

    /// `None` if there is no such place.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        if at == 0 {
            return Some(&self.first).filter(|_| self.max > 0);
        }
        self.others
            .get_or_init(|| (1..self.max).map(|_| T::default()).collect())
            .get(at - 1)
    }

    /// The places that were ever needed, and perhaps more.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let others = self.others.get().map_or(&[][..], |others| others);
        std::iter::once(&self.first).chain(others).take(self.max)
    }
}

/// When something happened last; 0 stands for never.
#[derive(Debug, Default)]
pub(crate) struct LastTick(AtomicU64);

impl LastTick {
    #[inline]
    pub(crate) fn set(&self, now: Tick) {
        self.0.store(now.as_micros().saturating_add(1), Ordering::Relaxed);
    }

    /// It has not happened since.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Tick> {
        self.0
            .load(Ordering::Relaxed)
            .checked_sub(1)
            .map(Tick::from_micros)
    }
}
