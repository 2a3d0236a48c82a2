//! Whether control looks again before it sleeps.

use std::time::Duration;

/// So long is looked before a sleep: about what falling asleep and being woken cost together.
const AT_MOST: Duration = Duration::from_micros(50);

/// Sleeps that have to be as short as that, one after the other.
const IN_A_ROW: u8 = 3;

/// A caller who has its answer and goes on at once finds control asleep, and the sleep was not worth its price: a switch of threads
/// and back, in a virtual machine with the host's help. Where that happens again and again, control looks for a moment before it
/// sleeps, until nothing comes in that moment. So it never looks in vain more often than once for some commands that it did not.
#[derive(Debug, Default)]
pub(super) struct Linger {
    short: u8,
}

impl Linger {
    /// How long to look before a sleep that ends at the latest after `at_most`; `None`: not at all.
    pub(super) fn before(&self, at_most: Option<Duration>) -> Option<Duration> {
        let is_worth_it = self.short >= IN_A_ROW && at_most.is_none_or(|at_most| at_most > AT_MOST);
        is_worth_it.then_some(AT_MOST)
    }

    /// After so long, asleep or looking, something came; `None`: nothing came, but the time for something else.
    pub(super) fn rested(&mut self, until_woken: Option<Duration>) {
        self.short = match until_woken {
            Some(rest) if rest <= AT_MOST => self.short.saturating_add(1).min(IN_A_ROW),
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_micros(10));
    const LONG: Option<Duration> = Some(Duration::from_micros(400));

    fn after(rests: &[Option<Duration>]) -> Linger {
        let mut linger = Linger::default();
        rests.iter().for_each(|rest| linger.rested(*rest));
        linger
    }

    #[test]
    fn it_looks_where_short_sleeps_follow_each_other() {
        assert_eq!(after(&[]).before(None), None);
        assert_eq!(after(&[SHORT, SHORT]).before(None), None);
        assert_eq!(after(&[SHORT; 3]).before(None), Some(AT_MOST));
        assert_eq!(after(&[SHORT; 1_000]).before(LONG), Some(AT_MOST));
    }

    #[test]
    fn one_long_sleep_ends_that() {
        assert_eq!(after(&[SHORT, SHORT, SHORT, LONG]).before(None), None);
        assert_eq!(after(&[SHORT, SHORT, SHORT, None]).before(None), None);
        assert_eq!(after(&[SHORT, SHORT, LONG, SHORT]).before(None), None);
    }

    #[test]
    fn it_does_not_look_where_little_time_is_left() {
        assert_eq!(after(&[SHORT; 3]).before(Some(Duration::ZERO)), None);
        assert_eq!(after(&[SHORT; 3]).before(SHORT), None);
    }
}
