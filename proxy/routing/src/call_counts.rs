//! How many calls there are, in all and of each user, over all shards.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Limits, User};

/// Parts of the table. More than threads will ever meet in one.
const PARTS: usize = 64;

/// Counts the calls of every shard. Users spread over all shards, so no shard alone can tell who has how many.
#[derive(Debug)]
pub struct CallCounts {
    all: AtomicUsize,
    hasher: RandomState,
    by_user: Vec<Mutex<HashMap<String, usize>>>,
}

/// The place of one call in the counts. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Seat {
    counts: Arc<CallCounts>,
    /// `None` for a call of nobody's own, of which only all together are bounded.
    caller: Option<Arc<User>>,
}

/// Which bound a further call would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// [`Limits::calls_max`].
    Calls,
    /// [`Limits::calls_per_user_max`].
    OfUser,
}

impl Default for CallCounts {
    fn default() -> Self {
        Self {
            all: AtomicUsize::new(0),
            hasher: RandomState::new(),
            by_user: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl CallCounts {
    /// Calls of all users.
    pub fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts one more call of this caller, if the bounds allow it.
    pub(crate) fn take(self: &Arc<Self>, caller: &Arc<User>, limits: &Limits) -> Result<Seat, NoSeat> {
        self.take_one(limits)?;
        let mut part = self.part(&caller.name);
        let of_user = part.get(&caller.name).copied().unwrap_or_default();
        if of_user >= limits.calls_per_user_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(NoSeat::OfUser);
        }
        part.insert(caller.name.clone(), of_user + 1);
        Ok(Seat {
            counts: Arc::clone(self),
            caller: Some(Arc::clone(caller)),
        })
    }

    /// Counts one more call that is no user's own: one that comes in from a trunk, which has bounds of its own.
    pub(crate) fn take_for_trunk(self: &Arc<Self>, limits: &Limits) -> Result<Seat, NoSeat> {
        self.take_one(limits)?;
        Ok(Seat {
            counts: Arc::clone(self),
            caller: None,
        })
    }

    fn take_one(&self, limits: &Limits) -> Result<(), NoSeat> {
        let more = |all| (all < limits.calls_max).then_some(all + 1);
        let taken = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_| NoSeat::Calls)?;
        Ok(())
    }

    /// A panic elsewhere must not take the table with it: every write leaves it whole.
    fn part(&self, user: &str) -> MutexGuard<'_, HashMap<String, usize>> {
        let part = self.hasher.hash_one(user) as usize % PARTS;
        self.by_user[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        let Some(caller) = &self.caller else { return };
        let user = &caller.name;
        let mut part = self.counts.part(user);
        if let Some(count) = part.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                part.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_counts_until_it_is_given_back() {
        let counts = Arc::new(CallCounts::default());
        let limits = Limits {
            calls_max: 3,
            calls_per_user_max: 2,
            ..Limits::default()
        };
        let [alice, bob] =
            ["alice", "bob"].map(|name| Arc::new(User::with_password(name, "example.com", "x")));
        let first = counts.take(&alice, &limits).unwrap();
        let second = counts.take(&alice, &limits).unwrap();
        assert_eq!(counts.take(&alice, &limits).err(), Some(NoSeat::OfUser));
        let third = counts.take(&bob, &limits).unwrap();
        assert_eq!(counts.take(&bob, &limits).err(), Some(NoSeat::Calls));
        drop(first);
        let again = counts.take(&alice, &limits).unwrap();
        assert_eq!(counts.len(), 3);
        drop((second, third, again));
        assert!(counts.is_empty());
        assert!(counts.by_user.iter().all(|part| part.lock().unwrap().is_empty()));
    }
}
