//! Counters that a worker writes and everybody reads.
//!
//! Every counter has one writer: the worker that serves the flow. So it is written with a plain load and store, which
//! costs a fraction of an atomic addition, and read without stopping anybody. A snapshot taken while packets arrive may
//! have one counter a packet ahead of another.

mod flow;
mod table;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};

use viaduct_rtp::Tick;

pub use flow::{FlowSnapshot, FlowStats, RouteSnapshot, SsrcSnapshot};
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

/// When something happened last; 0 stands for never.
#[derive(Debug, Default)]
pub(crate) struct LastTick(AtomicU64);

impl LastTick {
    #[inline]
    pub(crate) fn set(&self, now: Tick) {
        self.0.store(now.as_micros().saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Tick> {
        self.0
            .load(Ordering::Relaxed)
            .checked_sub(1)
            .map(Tick::from_micros)
    }
}
