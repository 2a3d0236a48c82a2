//! How many calls each user has out over all trunks together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts calls out of users, over all trunks and shards. Nobody is in it without one.
#[derive(Debug, Default)]
pub(super) struct UserCalls {
    calls: Mutex<HashMap<Arc<str>, u32>>,
}

/// One call's place in the count, free again when the last clone is dropped. Legs of one call share it: a call that goes from
/// one trunk to the next is still one.
#[derive(Debug)]
pub(super) struct Seat {
    counts: Arc<UserCalls>,
    user: Arc<str>,
}

impl UserCalls {
    /// How many calls a user has.
    pub(super) fn of(&self, user: &str) -> u32 {
        self.lock().get(user).copied().unwrap_or_default()
    }

    /// Counts one more, if there are fewer than `most`.
    pub(super) fn take(self: &Arc<Self>, user: &Arc<str>, most: Option<u32>) -> Option<Arc<Seat>> {
        let mut calls = self.lock();
        let of_user = calls.get(user).copied().unwrap_or_default();
        if most.is_some_and(|most| of_user >= most) {
            return None;
        }
        calls.insert(Arc::clone(user), of_user.saturating_add(1));
        drop(calls);
        Some(Arc::new(Seat {
            counts: Arc::clone(self),
            user: Arc::clone(user),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        // Counting cannot leave the table half changed.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut calls = self.counts.lock();
        if let Some(count) = calls.get_mut(&self.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                calls.remove(&self.user);
            }
        }
    }
}
