//! When a worker sleeps between two batches.

use std::time::Duration;

use viaduct_forward::Tick;

use crate::limits::ShellLimits;

/// Over how long the rate of datagrams is measured.
const WINDOW: Duration = Duration::from_millis(50);

/// Whether a worker is woken per datagram or reads what has come every tick.
///
/// A wake-up costs several times what forwarding a datagram does. With little to do it is better to wake for each, since
/// nothing waits; with much to do, to let some collect. Between the two rates the worker keeps to what it did before.
#[derive(Debug)]
pub(super) struct Pace {
    tick: Duration,
    above: u64,
    below: u64,
    window_began: Tick,
    /// Datagrams in this window.
    count: u64,
    ticking: bool,
}

impl Pace {
    pub(super) fn new(limits: &ShellLimits) -> Self {
        Self {
            tick: limits.tick,
            above: limits.tick_above_pps.into(),
            below: limits.tick_below_pps.into(),
            window_began: Tick::ZERO,
            count: 0,
            ticking: false,
        }
    }

    /// So many datagrams were read.
    pub(super) fn on_batch(&mut self, now: Tick, datagrams: usize) {
        self.count += datagrams as u64;
        let elapsed = now.since(self.window_began);
        if elapsed < WINDOW {
            return;
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let per_second = self.count.saturating_mul(1_000_000) / micros;
        self.ticking = if self.ticking {
            per_second >= self.below
        } else {
            per_second > self.above
        };
        self.window_began = now;
        self.count = 0;
    }

    /// How long to sleep when everything has been read; `None`: wait for the next datagram.
    pub(super) fn nap(&self) -> Option<Duration> {
        (self.ticking && !self.tick.is_zero()).then_some(self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `per_second` for a second in batches a millisecond apart.
    fn feed(pace: &mut Pace, second: u64, per_second: usize) {
        for millis in 0..1_000 {
            pace.on_batch(
                Tick::from_micros(second * 1_000_000 + millis * 1_000),
                per_second / 1_000,
            );
        }
    }

    #[test]
    fn a_worker_naps_under_load_and_wakes_per_datagram_without() {
        let limits = ShellLimits::default();
        let mut pace = Pace::new(&limits);
        feed(&mut pace, 1, 1_000);
        assert_eq!(pace.nap(), None);
        feed(&mut pace, 2, 10_000);
        assert_eq!(pace.nap(), Some(limits.tick));
        feed(&mut pace, 3, 2_000);
        assert_eq!(
            pace.nap(),
            Some(limits.tick),
            "between the two rates nothing changes"
        );
        feed(&mut pace, 4, 1_000);
        assert_eq!(pace.nap(), None);
        feed(&mut pace, 5, 2_000);
        assert_eq!(pace.nap(), None, "between the two rates nothing changes");
    }

    #[test]
    fn one_datagram_after_a_long_silence_ends_the_naps() {
        let mut pace = Pace::new(&ShellLimits::default());
        feed(&mut pace, 1, 10_000);
        assert!(pace.nap().is_some());
        pace.on_batch(Tick::from_micros(60_000_000), 1);
        assert_eq!(pace.nap(), None);
    }

    #[test]
    fn without_a_tick_nobody_naps() {
        let mut pace = Pace::new(&ShellLimits {
            tick: Duration::ZERO,
            ..ShellLimits::default()
        });
        feed(&mut pace, 1, 10_000);
        assert_eq!(pace.nap(), None);
    }
}
