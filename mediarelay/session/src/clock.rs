//! The time of day, from the one moment at which it was known.

use std::time::{Duration, Instant};

/// Translates instants into the time since 1970. The shell makes it once from its two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    at: Instant,
    unix: Duration,
}

impl WallClock {
    /// At the instant `at`, `unix` had passed since the beginning of 1970 (UTC).
    #[must_use]
    pub const fn new(at: Instant, unix: Duration) -> Self {
        Self { at, unix }
    }

    /// Time since 1970 at an instant.
    #[must_use]
    pub fn unix(&self, when: Instant) -> Duration {
        match when.checked_duration_since(self.at) {
            Some(after) => self.unix + after,
            None => self.unix.saturating_sub(self.at - when),
        }
    }

    /// The instant at which so much time since 1970 has passed; `None` where the system's clock does not reach.
    #[must_use]
    pub fn instant(&self, unix: Duration) -> Option<Instant> {
        match unix.checked_sub(self.unix) {
            Some(after) => self.at.checked_add(after),
            None => self.at.checked_sub(self.unix - unix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's base instant")]
    fn counts_both_ways_from_the_known_moment() {
        let at = Instant::now() + Duration::from_secs(100);
        let clock = WallClock::new(at, Duration::from_secs(1_000));
        assert_eq!(
            clock.unix(at + Duration::from_millis(1_500)),
            Duration::from_millis(1_001_500)
        );
        assert_eq!(clock.unix(at - Duration::from_secs(3)), Duration::from_secs(997));
        for seconds in [997, 1_000, 1_001] {
            let unix = Duration::from_secs(seconds);
            assert_eq!(clock.unix(clock.instant(unix).unwrap()), unix);
        }
    }
}
