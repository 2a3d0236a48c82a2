//! How often a thread lets itself be woken.
//!
//! To be woken costs more than to handle a message. A thread that is woken for each of thousands a second spends its
//! processor on waking, and messages queue behind that. So it is woken at once while little goes on, and rests between its
//! turns while much does: what came meanwhile is taken together. Network cards moderate their interrupts for the same reason.

use std::time::{Duration, Instant};

/// The longest time between two turns while much goes on. It is what a message may wait longer then: a five-hundredth of T1,
/// after which the first of them would be sent again.
const BETWEEN_MAX: Duration = Duration::from_millis(1);

/// Messages that have to come in that time for it to be worth a rest. To end one costs as much as to be woken by a message,
/// so that one or two saved wake-ups are no gain.
const WORTH: u32 = 4;

/// Messages enough for one turn: when so many will have come the rest is over, however short. More together save nothing
/// that could be measured.
const ENOUGH: u32 = 32;

/// Over how long messages are counted to know how many come.
const SPAN: Duration = Duration::from_millis(5);

/// How late the kernel may end a rest, so that it ends several threads' at once. It takes 50 µs if it is not told.
pub(crate) const SLACK: Duration = Duration::from_micros(5);

/// Counts what comes, and says how long to rest before the next turn.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the last turn began.
    woken_at: Instant,
    /// Since when messages are counted.
    counted_since: Instant,
    came: u32,
    /// From one turn to the next: zero while little goes on.
    between: Duration,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            woken_at: now,
            counted_since: now,
            came: 0,
            between: Duration::ZERO,
        }
    }

    /// A turn begins: the thread was woken, or had no need to sleep. So many messages were handled in the last one.
    pub(crate) fn woken(&mut self, now: Instant, came: u32) {
        self.woken_at = now;
        self.came = self.came.saturating_add(came);
        let counted = now.saturating_duration_since(self.counted_since);
        if counted >= SPAN {
            self.between = between(counted.checked_div(self.came));
            (self.counted_since, self.came) = (now, 0);
        }
    }

    /// How long not to be woken from `now` on, at most [`BETWEEN_MAX`]: zero while little goes on.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        (self.woken_at + self.between).saturating_duration_since(now)
    }
}

/// The time between two turns when messages come so far `apart`. Not at all: `None`.
fn between(apart: Option<Duration>) -> Duration {
    match apart {
        Some(apart) if apart * WORTH <= BETWEEN_MAX => (apart * ENOUGH).min(BETWEEN_MAX),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// Messages `apart` for a second, and a thread that takes no time for them: how often it is woken, and how long one has
    /// waited at most.
    fn second(apart: Duration) -> (u32, Duration) {
        let start = Instant::now();
        let (mut pace, mut woken, mut longest) = (Pace::new(start), 0, Duration::ZERO);
        let (mut now, mut next, mut came) = (start, start + apart, 0);
        while now < start + SECOND {
            now = next.max(now + pace.rest(now));
            pace.woken(now, came);
            woken += 1;
            longest = longest.max(now - next);
            came = 0;
            while next <= now {
                next += apart;
                came += 1;
            }
        }
        (woken, longest)
    }

    #[test]
    fn who_gets_little_is_woken_for_each_at_once() {
        for apart in [300, 1_000, 10_000, 300_000] {
            let (woken, longest) = second(apart * MICROSECOND);
            assert!(
                woken.abs_diff(1_000_000 / apart) <= 1,
                "{apart} µs apart: {woken}"
            );
            assert_eq!(longest, Duration::ZERO, "{apart} µs apart");
        }
    }

    #[test]
    fn who_gets_more_takes_together_what_comes_in_a_millisecond() {
        for apart in [40, 100, 200] {
            let (woken, longest) = second(apart * MICROSECOND);
            // Until it is known how many come, the thread is woken for each.
            assert!((1_000..=1_130).contains(&woken), "{apart} µs apart: {woken}");
            assert!(longest <= BETWEEN_MAX, "{apart} µs apart: {longest:?}");
        }
    }

    #[test]
    fn who_gets_much_rests_no_longer_than_until_there_is_enough_for_a_turn() {
        for apart in [2, 5, 10, 20] {
            let (woken, longest) = second(apart * MICROSECOND);
            let turns = 1_000_000 / apart / ENOUGH;
            let learning = 5_000 / apart;
            // What comes in a span is known up to a turn's worth.
            let known = turns * 8 / 10..=turns * 12 / 10 + learning;
            assert!(known.contains(&woken), "{apart} µs apart: {woken}");
            let enough = apart * ENOUGH * MICROSECOND;
            assert!(longest <= enough * 12 / 10, "{apart} µs apart: {longest:?}");
        }
    }

    #[test]
    fn a_burst_after_a_silence_is_not_kept_waiting() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let burst = start + 10 * SECOND;
        for number in 0..100 {
            let now = burst + number * 10 * MICROSECOND;
            pace.woken(now, 1);
            assert_eq!(pace.rest(now), Duration::ZERO, "wake-up {number}");
        }
    }

    #[test]
    fn who_worked_longer_than_a_rest_does_not_rest() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let now = start + SPAN;
        pace.woken(now, 100);
        assert_eq!(pace.rest(now), BETWEEN_MAX);
        assert_eq!(pace.rest(now + 300 * MICROSECOND), 700 * MICROSECOND);
        assert_eq!(pace.rest(now + 2 * BETWEEN_MAX), Duration::ZERO);
    }

    #[test]
    fn the_first_message_after_much_ends_the_rests() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.woken(start + SPAN, 100);
        let later = start + SECOND;
        pace.woken(later, 1);
        assert_eq!(pace.rest(later), Duration::ZERO);
    }
}
