//! Timers that cost a push and a pop.

use std::time::{Duration, Instant};

use crate::fifo::Fifo;

/// Timers of a state machine whose durations are few.
///
/// SIP sets the same dozen durations over and over (T1, its doublings, T2, T4, 64·T1). Because `now` never goes
/// back, timers of one duration fire in the order they were set, so a first-in-first-out queue per duration replaces
/// a heap. Timers are never removed: the owner ignores one that no longer means anything, which is why `K` should
/// carry a generational key.
#[derive(Debug)]
pub struct Timers<K> {
    queues: Vec<(Duration, Fifo<(Instant, K)>)>,
    len: usize,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            len: 0,
        }
    }
}

impl<K> Timers<K> {
    /// Sets a timer that fires `after` from `now`. `now` must not be earlier than in any call before.
    pub fn set(&mut self, now: Instant, after: Duration, key: K) {
        let at = now + after;
        self.len += 1;
        match self.queues.iter_mut().find(|(duration, _)| *duration == after) {
            Some((_, queue)) => {
                debug_assert!(queue.back().is_none_or(|(last, _)| *last <= at), "time went back");
                queue.push((at, key));
            }
            None => {
                let mut queue = Fifo::default();
                queue.push((at, key));
                self.queues.push((after, queue));
            }
        }
    }

    /// When the next timer fires.
    pub fn next(&self) -> Option<Instant> {
        self.queues
            .iter()
            .filter_map(|(_, queue)| queue.front())
            .map(|(at, _)| *at)
            .min()
    }

    /// Takes one timer that has fired by `now`, the earliest first.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (_, queue) = self
            .queues
            .iter_mut()
            .filter(|(_, queue)| queue.front().is_some_and(|(at, _)| *at <= now))
            .min_by_key(|(_, queue)| queue.front().map(|(at, _)| *at))?;
        let (_, key) = queue.pop()?;
        self.len -= 1;
        Some(key)
    }

    /// Timers set and not yet fired, the meaningless ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::base;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn timers_fire_in_order_of_time_whatever_their_duration() {
        let (now, mut timers) = (base(), Timers::default());
        timers.set(now, 500 * MS, 'c');
        timers.set(now, 100 * MS, 'a');
        timers.set(now + 50 * MS, 100 * MS, 'b');
        assert_eq!(timers.next(), Some(now + 100 * MS));
        assert_eq!(timers.pop(now + 99 * MS), None);
        let fired: Vec<char> = std::iter::from_fn(|| timers.pop(now + 500 * MS)).collect();
        assert_eq!(fired, ['a', 'b', 'c']);
        assert!(timers.is_empty() && timers.next().is_none());
    }

    #[test]
    fn a_queue_per_duration_is_kept_for_reuse() {
        let (now, mut timers) = (base(), Timers::default());
        for round in 0..1_000 {
            timers.set(now + round * MS, 10 * MS, round);
        }
        assert_eq!((timers.len(), timers.queues.len()), (1_000, 1));
    }
}
