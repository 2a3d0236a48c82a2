//! Time on the packet path: a number that fits an atomic.

use std::time::{Duration, Instant};

/// A moment in microseconds after an [`Epoch`] that all threads of a relay share.
///
/// A worker reads the clock once per batch and gives every packet of the batch the same tick. Subtraction saturates:
/// what seems to come from the future is zero microseconds old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(u64);

impl Tick {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// The moment so many microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds after the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The moment so much later, at most the end of time.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        let micros = duration.as_micros();
        let micros = if micros > u64::MAX as u128 {
            u64::MAX
        } else {
            micros as u64
        };
        Self(self.0.saturating_add(micros))
    }
}

/// The instant that ticks count from: taken once when the relay starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(Instant);

impl Epoch {
    /// Counts from this instant.
    #[must_use]
    pub const fn new(start: Instant) -> Self {
        Self(start)
    }

    /// The tick of an instant; [`Tick::ZERO`] for one before the epoch.
    #[must_use]
    pub fn tick(&self, now: Instant) -> Tick {
        Tick::ZERO.after(now.saturating_duration_since(self.0))
    }

    /// The instant of a tick.
    #[must_use]
    pub fn instant(&self, tick: Tick) -> Instant {
        self.0 + Duration::from_micros(tick.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's base instant")]
    fn instants_and_ticks_convert_both_ways() {
        let start = Instant::now();
        let epoch = Epoch::new(start);
        let later = start + Duration::from_millis(1500);
        assert_eq!(epoch.tick(later), Tick::from_micros(1_500_000));
        assert_eq!(epoch.instant(Tick::from_micros(1_500_000)), later);
        assert_eq!(Epoch::new(later).tick(start), Tick::ZERO);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Tick::from_micros(5).since(Tick::from_micros(9)), Duration::ZERO);
        assert_eq!(
            Tick::from_micros(9).since(Tick::from_micros(5)),
            Duration::from_micros(4)
        );
        assert_eq!(
            Tick::from_micros(9).after(Duration::MAX),
            Tick::from_micros(u64::MAX)
        );
    }
}
