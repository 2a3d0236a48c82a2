//! Places in the kernel's tables, and how long one rests before it is another flow's.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Places by number. One that was given back is not handed out before it has rested: a processor that found it a moment ago
/// may still be reading it.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Places that nobody has had since they were made.
    untouched: std::ops::Range<u32>,
    rested: Vec<u32>,
    resting: VecDeque<(Instant, u32)>,
    rest: Duration,
}

impl Slots {
    /// So many places, of which some are taken.
    pub(crate) fn new(count: u32, taken: &BTreeSet<u32>, rest: Duration) -> Self {
        let untouched = taken.last().map_or(0, |last| last + 1).min(count);
        Self {
            rested: (0..untouched).filter(|slot| !taken.contains(slot)).collect(),
            untouched: untouched..count,
            resting: VecDeque::new(),
            rest,
        }
    }

    /// A place, unless all are taken or resting.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u32> {
        while let Some((since, slot)) = self.resting.front().copied()
            && now.saturating_duration_since(since) >= self.rest
        {
            self.resting.pop_front();
            self.rested.push(slot);
        }
        self.rested.pop().or_else(|| self.untouched.next())
    }

    /// Gives one back that a processor may still be reading.
    pub(crate) fn give_back(&mut self, now: Instant, slot: u32) {
        self.resting.push_back((now, slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(1);

    #[test]
    fn a_place_rests_before_it_is_handed_out_again() {
        let now = Instant::now();
        let mut slots = Slots::new(2, &BTreeSet::new(), REST);
        assert_eq!([0, 1].map(|_| slots.take(now)), [Some(0), Some(1)]);
        slots.give_back(now, 0);
        assert_eq!(slots.take(now + REST / 2), None);
        assert_eq!(slots.take(now + REST), Some(0));
        assert_eq!(slots.take(now + REST), None);
    }

    #[test]
    fn places_that_were_found_taken_are_left_alone() {
        let now = Instant::now();
        let mut slots = Slots::new(4, &BTreeSet::from([1]), REST);
        let mut all: Vec<_> = std::iter::from_fn(|| slots.take(now)).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 2, 3]);
    }
}
