//! A queue that grows and shrinks by blocks.

use std::collections::VecDeque;

/// Elements of a block: enough that blocks are rarely made, few enough that making one is nothing anybody waits for.
const BLOCK: usize = 512;

/// First in, first out. What is in it never moves, so that its growth costs the same at any length, and its memory goes
/// back as it empties.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    blocks: VecDeque<VecDeque<T>>,
    /// The last block that was emptied: a queue of constant length needs no other.
    spare: Option<VecDeque<T>>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self {
            blocks: VecDeque::new(),
            spare: None,
        }
    }
}

impl<T> Fifo<T> {
    pub(crate) fn push(&mut self, element: T) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push_back(element),
            last => {
                // The first one begins small, for queues that stay short.
                let room = if last.is_some() { BLOCK } else { 4 };
                let fresh = self.spare.take();
                let mut block = fresh.unwrap_or_else(|| VecDeque::with_capacity(room));
                block.push_back(element);
                self.blocks.push_back(block);
            }
        }
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.blocks.front()?.front()
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.blocks.back()?.back()
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let block = self.blocks.front_mut()?;
        let element = block.pop_front();
        if block.is_empty() {
            self.spare = self.blocks.pop_front();
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_leave_in_the_order_they_came() {
        let mut fifo = Fifo::default();
        let mut expected = VecDeque::new();
        for round in 0..5 * BLOCK {
            fifo.push(round);
            expected.push_back(round);
            if round % 3 == 0 {
                assert_eq!(fifo.pop(), expected.pop_front());
            }
            assert_eq!((fifo.front(), fifo.back()), (expected.front(), expected.back()));
        }
        assert!(std::iter::from_fn(|| fifo.pop()).eq(expected));
        assert_eq!((fifo.pop(), fifo.front(), fifo.back()), (None, None, None));
    }

    #[test]
    fn an_emptied_queue_keeps_one_block() {
        let mut fifo = Fifo::default();
        for element in 0..10 * BLOCK {
            fifo.push(element);
        }
        while fifo.pop().is_some() {}
        assert!(fifo.blocks.is_empty() && fifo.spare.is_some());
        fifo.push(0);
        assert!(fifo.spare.is_none(), "and uses it");
    }
}
