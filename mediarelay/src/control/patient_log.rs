//! Warnings that would otherwise repeat with every call.

use std::fmt;
use std::time::{Duration, Instant};

/// How often the same is said.
const INTERVAL: Duration = Duration::from_secs(60);

/// Says something at most once a minute, with how often it was not said.
#[derive(Debug, Default)]
pub(super) struct PatientLog {
    said: Option<Instant>,
    unsaid: u64,
}

impl PatientLog {
    pub(super) fn warn(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        if self.permit(now) {
            match std::mem::take(&mut self.unsaid) {
                0 => tracing::warn!("{what}"),
                times => tracing::warn!("{what} ({times} more times since this was said last)"),
            }
        }
    }

    fn permit(&mut self, now: Instant) -> bool {
        if self
            .said
            .is_some_and(|said| now.saturating_duration_since(said) < INTERVAL)
        {
            self.unsaid += 1;
            return false;
        }
        self.said = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute() {
        let start = Instant::now();
        let mut log = PatientLog::default();
        let said = (0..150)
            .filter(|second| log.permit(start + Duration::from_secs(*second)))
            .count();
        assert_eq!((said, log.unsaid), (3, 147));
    }
}
