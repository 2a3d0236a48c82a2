use std::time::{Duration, Instant};

/// Turns instants into the time of day, for nonces and for what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    at: Instant,
    unix: Duration,
}

impl WallClock {
    /// A clock that showed `unix` (time since 1970) at `at`.
    pub fn new(at: Instant, unix: Duration) -> Self {
        Self { at, unix }
    }

    /// The time since 1970 at `now`.
    pub fn unix(&self, now: Instant) -> Duration {
        match now.checked_duration_since(self.at) {
            Some(since) => self.unix + since,
            None => self.unix.saturating_sub(self.at - now),
        }
    }

    /// The instant at which the clock shows `unix`. `None` when that is before `now`.
    pub fn instant(&self, now: Instant, unix: Duration) -> Option<Instant> {
        unix.checked_sub(self.unix(now)).map(|ahead| now + ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::base;

    #[test]
    fn the_time_of_day_and_instants_turn_into_each_other() {
        let (at, second) = (base() + Duration::from_secs(100), Duration::from_secs(1));
        let clock = WallClock::new(at, 1_000 * second);
        assert_eq!(clock.unix(at + second), 1_001 * second);
        assert_eq!(clock.unix(at - second), 999 * second);
        assert_eq!(clock.instant(at, 1_005 * second), Some(at + 5 * second));
        assert_eq!(clock.instant(at, 999 * second), None);
    }
}
