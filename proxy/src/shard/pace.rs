//! How often a thread lets itself be woken.
//!
//! To be woken costs more than to handle a message. A thread that is woken for each of tens of thousands a second spends
//! its processor on waking, and messages queue behind that. So it is woken at once while little goes on, and at a steady
//! pace while much does: what came meanwhile is taken together. Network cards moderate their interrupts for the same reason.

use std::time::{Duration, Instant};

/// The time between two wake-ups while much goes on, on average. It is what a message may wait longer then.
const EVERY: Duration = Duration::from_micros(250);

/// How far wake-ups may be ahead of that pace: what comes in bursts of a few is never kept waiting.
const AHEAD_MAX: Duration = Duration::from_micros(16 * 250);

/// How late the kernel may end a rest, so that it ends several threads' at once. It takes 50 µs if it is not told.
pub(crate) const SLACK: Duration = Duration::from_micros(5);

/// Counts wake-ups, and says how long to rest before the next.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When all wake-ups so far would have happened at the pace.
    due: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// The thread was woken, or had no need to sleep.
    pub(crate) fn woken(&mut self, now: Instant) {
        // Who has more to do than time to rest owes no more for it than one rest.
        self.due = self.due.clamp(now, now + AHEAD_MAX) + EVERY;
    }

    /// How long not to be woken from `now` on, at most [`EVERY`]: zero while little goes on.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now + AHEAD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// Wake-ups `apart`, or as soon after as the pace lets them, for a second: how many, and the longest rest.
    fn second(apart: Duration) -> (u32, Duration) {
        let start = Instant::now();
        let (mut now, mut pace) = (start, Pace::new(start));
        let (mut woken, mut longest) = (0, Duration::ZERO);
        while now < start + Duration::from_secs(1) {
            pace.woken(now);
            woken += 1;
            let rest = pace.rest(now);
            longest = longest.max(rest);
            now += rest.max(apart);
        }
        (woken, longest)
    }

    #[test]
    fn who_is_woken_seldom_never_rests() {
        assert_eq!(second(250 * MICROSECOND), (4_000, Duration::ZERO));
    }

    #[test]
    fn who_is_woken_often_is_woken_at_a_steady_pace() {
        let (woken, longest) = second(10 * MICROSECOND);
        assert!((4_000..=4_017).contains(&woken), "{woken}");
        assert!(longest <= EVERY, "{longest:?}");
    }

    #[test]
    fn who_had_no_time_to_rest_does_not_make_up_for_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let turns = (0..10_000).map(|turn| start + turn * 100 * MICROSECOND);
        let last = turns.inspect(|now| pace.woken(*now)).last().unwrap();
        assert_eq!(pace.rest(last), EVERY);
        assert_eq!(pace.rest(last + EVERY), Duration::ZERO);
    }

    #[test]
    fn a_burst_of_a_few_is_not_kept_waiting() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for number in 0..16 {
            assert_eq!(pace.rest(start), Duration::ZERO, "wake-up {number}");
            pace.woken(start);
        }
        pace.woken(start);
        assert_eq!(pace.rest(start), EVERY);
        assert_eq!(pace.rest(start + EVERY), Duration::ZERO);
    }
}
