//! Whether control looks again before it sleeps.

use std::time::Duration;

/// So long is looked before a sleep: about what falling asleep and being woken cost together.
const AT_MOST: Duration = Duration::from_micros(50);

/// Sleeps that have to be as short as that, one after the other.
const FEW: u8 = 3;

/// As many, where looking was in vain again and again: who asks may need the processor on which control looks.
const MANY: u8 = 192;

/// A caller who has its answer and goes on at once finds control asleep, and the sleep was not worth its price: a switch of threads
/// and back, in a virtual machine with the host's help. Where that happens again and again, control looks for a moment before it
/// sleeps, until nothing comes in that moment. Each time that it looks in vain it is slower to begin again.
#[derive(Debug)]
pub(super) struct Linger {
    /// Sleeps in a row that were short.
    short: u8,
    /// How many it takes.
    needed: u8,
}

impl Linger {
    pub(super) fn new() -> Self {
        Self {
            short: 0,
            needed: FEW,
        }
    }

    /// How long to look before a sleep that ends at the latest after `at_most`; `None`: not at all.
    pub(super) fn before(&self, at_most: Option<Duration>) -> Option<Duration> {
        let is_worth_it = self.short >= self.needed && at_most.is_none_or(|at_most| at_most > AT_MOST);
        is_worth_it.then_some(AT_MOST)
    }

    /// Something came while it looked, or nothing did.
    pub(super) fn looked(&mut self, found: bool) {
        if found {
            self.needed = FEW;
        } else {
            self.short = 0;
            self.needed = self.needed.saturating_mul(2).min(MANY);
        }
    }

    /// It was woken after so long; `None`: nothing woke it but time.
    pub(super) fn slept(&mut self, until_woken: Option<Duration>) {
        self.short = match until_woken {
            Some(rest) if rest <= AT_MOST => self.short.saturating_add(1),
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_micros(10));
    const LONG: Option<Duration> = Some(Duration::from_micros(400));

    fn after(sleeps: &[Option<Duration>]) -> Linger {
        let mut linger = Linger::new();
        sleeps.iter().for_each(|sleep| linger.slept(*sleep));
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
    fn it_goes_on_while_something_comes_and_is_slower_to_begin_where_nothing_does() {
        let mut linger = after(&[SHORT; 3]);
        linger.looked(true);
        assert_eq!(linger.before(None), Some(AT_MOST));
        let mut sleeps = Vec::new();
        for _ in 0..8 {
            linger.looked(false);
            let mut count = 0;
            while linger.before(None).is_none() {
                linger.slept(SHORT);
                count += 1;
            }
            sleeps.push(count);
        }
        assert_eq!(sleeps, [6, 12, 24, 48, 96, 192, 192, 192]);
        linger.looked(true);
        linger.slept(LONG);
        (0..3).for_each(|_| linger.slept(SHORT));
        assert_eq!(linger.before(None), Some(AT_MOST));
    }

    #[test]
    fn it_does_not_look_where_little_time_is_left() {
        assert_eq!(after(&[SHORT; 3]).before(Some(Duration::ZERO)), None);
        assert_eq!(after(&[SHORT; 3]).before(SHORT), None);
    }
}
