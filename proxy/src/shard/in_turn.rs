//! What waits for a thread so that everybody has a turn.
//!
//! One item of each source is taken after the other, and of the connections of a source one after the other as well. Who has
//! one item waits for one of each other source, whatever number of them the others have.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use viaduct_routing::SourceNetwork;
use viaduct_txn::ConnId;

/// The queue, for any number of threads. It has no bound of its own: those who put something in have to keep one.
#[derive(Debug)]
pub(super) struct InTurn<T> {
    sources: Mutex<Option<Sources<T>>>,
}

type Sources<T> = Round<SourceNetwork, Round<ConnId, VecDeque<T>>>;

impl<T> InTurn<T> {
    pub(super) fn new() -> Self {
        Self {
            sources: Mutex::new(Some(Round::default())),
        }
    }

    /// Puts an item behind those of the same connection. It is dropped when the queue is closed.
    pub(super) fn push(&self, source: SourceNetwork, conn: ConnId, item: T) {
        if let Some(sources) = &mut *self.lock() {
            sources.line(source).line(conn).push_back(item);
        }
    }

    /// The next item.
    pub(super) fn pop(&self) -> Option<T> {
        let mut sources = self.lock();
        sources.as_mut()?.serve(|conns| {
            let item = conns.serve(|items| (items.pop_front(), items.is_empty()));
            (item, conns.is_empty())
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(Round::is_empty)
    }

    /// Drops what waits, and all that comes.
    pub(super) fn close(&self) {
        let dropped = self.lock().take();
        // Outside the lock: what is dropped may wake those who want to put in more.
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sources<T>>> {
        // Every change is whole before anything in it could panic.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines that are served one after the other, again and again. None of them is empty.
#[derive(Debug)]
struct Round<K, L> {
    lines: HashMap<K, L>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, L: Default> Round<K, L> {
    /// The line of a key, into which something has to be put. One that begins has its turn after all others.
    fn line(&mut self, key: K) -> &mut L {
        let Self { lines, order } = self;
        lines.entry(key).or_insert_with(|| {
            order.push_back(key);
            L::default()
        })
    }

    /// Lets `take` take an item from the line whose turn it is, and say whether that was its last.
    fn serve<T>(&mut self, take: impl FnOnce(&mut L) -> (Option<T>, bool)) -> Option<T> {
        let key = self.order.pop_front()?;
        let (item, was_last) = take(self.lines.get_mut(&key)?);
        if was_last {
            self.lines.remove(&key);
        } else {
            self.order.push_back(key);
        }
        item
    }
}

impl<K, L> Round<K, L> {
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<K, L> Default for Round<K, L> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> SourceNetwork {
        SourceNetwork::of([192, 0, 2, last].into())
    }

    fn conn(number: u64) -> ConnId {
        ConnId::new(number).unwrap()
    }

    fn drained(queue: &InTurn<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn who_has_one_waits_for_one_of_each_other_source() {
        let queue = InTurn::new();
        for number in 0..5 {
            queue.push(source(1), conn(1), number);
            queue.push(source(2), conn(2), 10 + number);
        }
        queue.push(source(3), conn(3), 20);
        assert_eq!(drained(&queue), [0, 10, 20, 1, 11, 2, 12, 3, 13, 4, 14]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_source_gains_nothing_by_many_connections_and_they_share_its_turns() {
        let queue = InTurn::new();
        for number in 0..4 {
            queue.push(source(1), conn(number + 1), number as u32);
            queue.push(source(1), conn(number + 1), 10 + number as u32);
        }
        queue.push(source(2), conn(9), 20);
        queue.push(source(2), conn(9), 21);
        assert_eq!(drained(&queue), [0, 20, 1, 21, 2, 3, 10, 11, 12, 13]);
    }

    #[test]
    fn what_one_connection_says_keeps_its_order_whatever_comes_between() {
        let queue = InTurn::new();
        queue.push(source(1), conn(1), 0);
        queue.push(source(1), conn(1), 1);
        assert_eq!(queue.pop(), Some(0));
        queue.push(source(1), conn(2), 10);
        queue.push(source(1), conn(1), 2);
        assert_eq!(drained(&queue), [1, 10, 2]);
        queue.push(source(1), conn(1), 3);
        assert_eq!(drained(&queue), [3]);
    }

    #[test]
    fn nothing_is_kept_for_a_thread_that_has_ended() {
        let queue = InTurn::new();
        let item = std::sync::Arc::new(());
        queue.push(source(1), conn(1), item.clone());
        queue.close();
        queue.push(source(1), conn(1), item.clone());
        assert_eq!(std::sync::Arc::strong_count(&item), 1);
        assert!(queue.is_empty() && queue.pop().is_none());
    }
}
