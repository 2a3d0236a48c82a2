//! Questions that are being asked, and who waits for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use viaduct_routing::{HookQuery, Ticket};

/// A request that waits, and its shard.
pub(super) type Waiter = (usize, Ticket);

/// Each question once, however many wait for its answer. How many may is bounded by `limits.requests_waiting`.
#[derive(Debug, Default)]
pub(super) struct Flights {
    waiting: Mutex<HashMap<Arc<HookQuery>, Vec<Waiter>>>,
}

/// The flights while nobody else changes them.
pub(super) struct Board<'f>(MutexGuard<'f, HashMap<Arc<HookQuery>, Vec<Waiter>>>);

impl Flights {
    pub(super) fn board(&self) -> Board<'_> {
        // A table of waiters cannot be left half changed.
        Board(self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Board<'_> {
    /// Lets a request wait for the answer to a question. True when it must be asked: nobody waited for it before.
    pub(super) fn wait(&mut self, question: &Arc<HookQuery>, waiter: Waiter) -> bool {
        if let Some(waiting) = self.0.get_mut(question) {
            waiting.push(waiter);
            return false;
        }
        self.0.insert(question.clone(), vec![waiter]);
        true
    }

    /// The answer is there: who waited for it.
    pub(super) fn landed(&mut self, question: &HookQuery) -> Vec<Waiter> {
        self.0.remove(question).unwrap_or_default()
    }
}
