//! One worker's counters.

use super::Gauge;
use crate::drop_reason::DropReason;

/// The live counters of one worker.
#[derive(Debug)]
pub struct WorkerStats {
    pub(crate) forwarded: Gauge,
    pub(crate) replied: Gauge,
    pub(crate) to_control: Gauge,
    pub(crate) checks_not_authentic: Gauge,
    pub(crate) checks_refused: Gauge,
    pub(crate) reports_delayed: Gauge,
    pub(crate) passed_unproven: Gauge,
    pub(crate) copies: Gauge,
    pub(crate) copies_lost: Gauge,
    pub(crate) flows: Gauge,
    drops: [Gauge; DropReason::COUNT],
}

impl WorkerStats {
    pub(crate) fn new() -> Self {
        Self {
            forwarded: Gauge::default(),
            replied: Gauge::default(),
            to_control: Gauge::default(),
            checks_not_authentic: Gauge::default(),
            checks_refused: Gauge::default(),
            reports_delayed: Gauge::default(),
            passed_unproven: Gauge::default(),
            copies: Gauge::default(),
            copies_lost: Gauge::default(),
            flows: Gauge::default(),
            drops: std::array::from_fn(|_| Gauge::default()),
        }
    }

    pub(crate) fn count_drop(&self, reason: DropReason) {
        self.drops[reason.index()].add(1);
    }

    /// All figures at this moment.
    #[must_use]
    pub fn snapshot(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            forwarded: self.forwarded.get(),
            replied: self.replied.get(),
            to_control: self.to_control.get(),
            checks_not_authentic: self.checks_not_authentic.get(),
            checks_refused: self.checks_refused.get(),
            reports_delayed: self.reports_delayed.get(),
            passed_unproven: self.passed_unproven.get(),
            copies: self.copies.get(),
            copies_lost: self.copies_lost.get(),
            flows: self.flows.get(),
            drops: DropReason::ALL
                .iter()
                .map(|reason| (*reason, self.drops[reason.index()].get()))
                .collect(),
        }
    }
}

/// The figures of one worker at one moment. Every datagram is in exactly one of `forwarded`, `replied`, `to_control`
/// and `drops`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// Datagrams sent on.
    pub forwarded: u64,
    /// STUN answers, those to refused checks among them.
    pub replied: u64,
    /// Datagrams handed to control.
    pub to_control: u64,
    /// ICE checks answered with 401: wrong password or wrong name.
    pub checks_not_authentic: u64,
    /// ICE checks answered with another error: something missing, an unknown attribute, a role conflict.
    pub checks_refused: u64,
    /// Reports that found the queue full or the leg too talkative, and wait for the next occasion.
    pub reports_delayed: u64,
    /// SRTP that was sent on unopened and was tried, and is not authentic: it settles nothing.
    pub passed_unproven: u64,
    /// Packets made for listeners.
    pub copies: u64,
    /// Packets that listeners did not get: too many waited, or there was no socket or no key for them.
    pub copies_lost: u64,
    /// Flows installed.
    pub flows: u64,
    /// Drops by reason, all reasons.
    pub drops: Vec<(DropReason, u64)>,
}

impl WorkerSnapshot {
    /// How often datagrams were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()].1
    }
}
