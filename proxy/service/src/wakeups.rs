//! One alarm for each call.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::StreamId;

/// When each call wants to be woken. A call that is gone leaves nothing behind, however long its alarm was.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    by_time: BTreeSet<(Instant, StreamId)>,
    of: HashMap<StreamId, Instant>,
}

impl Wakeups {
    /// Sets the one alarm of a call, or takes it away.
    pub(crate) fn set(&mut self, id: StreamId, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(id, at),
            None => self.of.remove(&id),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, id));
        }
        if let Some(at) = at {
            self.by_time.insert((at, id));
        }
        debug_assert_eq!(self.by_time.len(), self.of.len());
    }

    /// The earliest alarm.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one alarm that has come by `now`, the earliest first.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<StreamId> {
        let (at, id) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.of.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test::base;

    #[test]
    fn a_call_has_one_alarm() {
        let (now, second) = (base(), Duration::from_secs(1));
        let mut wakeups = Wakeups::default();
        wakeups.set(StreamId(1), Some(now + 3_600 * second));
        wakeups.set(StreamId(2), Some(now + 2 * second));
        wakeups.set(StreamId(1), Some(now + second));
        assert_eq!(wakeups.next(), Some(now + second));
        assert_eq!(wakeups.pop(now), None);
        let woken: Vec<_> = std::iter::from_fn(|| wakeups.pop(now + 9 * second)).collect();
        assert_eq!(woken, [StreamId(1), StreamId(2)]);
        assert_eq!(wakeups.next(), None);
    }

    #[test]
    fn a_call_that_is_gone_leaves_nothing_behind() {
        let now = base();
        let mut wakeups = Wakeups::default();
        for number in 0..1_000 {
            wakeups.set(StreamId(number), Some(now + Duration::from_secs(3_600)));
            wakeups.set(StreamId(number), None);
        }
        assert!(wakeups.by_time.is_empty() && wakeups.of.is_empty());
    }
}
