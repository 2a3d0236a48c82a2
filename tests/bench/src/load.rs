//! How much is asked for, and what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::sample::Latencies;

/// When operations begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand {
    /// So many a second, whether or not the earlier ones are done: delays show as delays.
    Paced(f64),
    /// So many at the same time, the next as soon as one is done: shows how many there can be.
    Window(usize),
}

/// Says how many operations are due.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    demand: Demand,
    start: Instant,
    begun: u64,
    times: u64,
}

impl Pacer {
    /// Begins at `start`.
    #[must_use]
    pub fn new(demand: Demand, start: Instant) -> Self {
        Self {
            demand,
            start,
            begun: 0,
            times: u64::MAX,
        }
    }

    /// The same, so many times in all.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// Whether all have begun.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begun >= self.times
    }

    /// How many must begin now to be on time, while `in_flight` are not done. They count as begun.
    pub fn take_due(&mut self, now: Instant, in_flight: usize) -> u64 {
        let due = match self.demand {
            Demand::Paced(per_second) => {
                let elapsed = now.saturating_duration_since(self.start).as_secs_f64();
                ((elapsed * per_second) as u64).saturating_sub(self.begun)
            }
            Demand::Window(window) => window.saturating_sub(in_flight) as u64,
        };
        let due = due.min(self.times - self.begun);
        self.begun += due;
        due
    }
}

/// What came of the operations of one load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations that were seen to succeed.
    pub done: u64,
    /// Operations that were refused, or not done before their deadline, or that could not begin because everybody was
    /// still busy.
    pub failed: u64,
    /// Messages that came a second time.
    pub repeated: u64,
    /// Messages that belong to nothing that is going on.
    pub stray: u64,
    /// Messages that phones sent again because nothing had come.
    pub sent_again: u64,
    /// How long each one took, where it succeeded.
    pub latencies: Latencies,
    /// From the sending of one message to the arrival of what the proxy made of it: of an INVITE to the callee, of the answer
    /// to a REGISTER.
    pub hops: Latencies,
    /// Why operations failed, and how many for each reason.
    pub reasons: BTreeMap<String, u64>,
}

impl Tally {
    /// An operation succeeded.
    pub fn succeed(&mut self, latency: Duration) {
        self.done += 1;
        self.latencies.add(latency);
    }

    /// An operation failed.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failed += 1;
        *self.reasons.entry(reason.into()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_also_by_one_who_looks_rarely() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Demand::Paced(100.0), start);
        assert_eq!(pacer.take_due(start, 0), 0);
        assert_eq!(pacer.take_due(start + Duration::from_millis(10), 1_000), 1);
        assert_eq!(pacer.take_due(start + Duration::from_millis(10), 0), 0);
        assert_eq!(pacer.take_due(start + Duration::from_millis(1_000), 0), 99);
    }

    #[test]
    fn a_window_is_filled_and_not_overfilled() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Demand::Window(8), start);
        assert_eq!(pacer.take_due(start, 0), 8);
        assert_eq!(pacer.take_due(start, 8), 0);
        assert_eq!(pacer.take_due(start, 5), 3);
        assert_eq!(pacer.take_due(start, 9), 0);
    }

    #[test]
    fn no_more_begin_than_are_wanted() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Demand::Window(8), start).times(10);
        assert_eq!((pacer.take_due(start, 0), pacer.is_over()), (8, false));
        assert_eq!((pacer.take_due(start, 0), pacer.is_over()), (2, true));
        assert_eq!(pacer.take_due(start, 0), 0);
    }

    #[test]
    fn failures_are_counted_by_reason() {
        let mut tally = Tally::default();
        tally.fail("486");
        tally.fail("no answer");
        tally.fail("486");
        tally.succeed(Duration::from_millis(1));
        assert_eq!((tally.done, tally.failed), (1, 3));
        assert_eq!(
            tally.reasons,
            BTreeMap::from([("486".into(), 2), ("no answer".into(), 1)])
        );
    }
}
