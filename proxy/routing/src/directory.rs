//! Users that somebody else keeps: what was answered about each, and how long that is worth something.
//!
//! A source (a database, a service) is asked for one user at a time, by the shell. Its answers are remembered here for
//! every shard. A user who was found is let in for a while without another question; somebody is refused only by an
//! answer that is young. So a known user and an unknown one look the same to whoever guesses passwords, and a changed
//! password is known soon.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::User;

/// Parts of the table, each behind its own lock.
const PARTS: usize = 16;

/// How long a source that failed is not asked for the same user again.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// How long answers are worth something, and how many are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// How long a user that was found is let in without asking again. 5 min.
    pub ttl: Duration,
    /// How long an answer may be used to refuse somebody: an unknown user, or a wrong password. 10 s.
    pub negative_ttl: Duration,
    /// How much longer than `ttl` a user is let in while the source fails. 1 h.
    pub stale: Duration,
    /// Answers that are remembered; beyond, those that were used longest ago are forgotten. 100,000.
    pub entries_max: usize,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(10),
            stale: Duration::from_secs(3_600),
            entries_max: 100_000,
        }
    }
}

/// What a source says about a name.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is this user's.
    Found(Arc<User>),
    /// It is nobody's.
    Nobody,
    /// The source could not be asked, or its answer could not be read.
    Failed,
}

/// Everything that a source has answered. Shared by every shard.
#[derive(Debug)]
pub struct Directory {
    limits: DirectoryLimits,
    hasher: RandomState,
    parts: Vec<Mutex<HashMap<String, Entry>>>,
    forgotten: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// `None` when the name is nobody's, or when nothing is known because the source failed.
    user: Option<Arc<User>>,
    /// The source failed, and there is no user to fall back on.
    is_failed: bool,
    /// When the source last said what stands here.
    answered: Instant,
    /// Until when nothing is asked, whatever the answer's age: the source failed a moment ago.
    spared_until: Option<Instant>,
    used: Instant,
}

impl Directory {
    /// A directory in which nobody has been looked up.
    pub fn new(limits: DirectoryLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// True when the source must be asked before anything can be done with this name.
    pub fn must_ask(&self, now: Instant, name: &str) -> bool {
        self.with(now, name, |entry| match &entry.user {
            _ if entry.is_spared(now) => false,
            Some(_) => entry.age(now) >= self.limits.ttl,
            None => entry.is_failed || entry.age(now) >= self.limits.negative_ttl,
        })
        .unwrap_or(true)
    }

    /// True when somebody may be refused by what is known of this name, or when asking again would be no use.
    pub fn is_sure(&self, now: Instant, name: &str) -> bool {
        self.with(now, name, |entry| {
            let is_young = entry.age(now) < self.limits.negative_ttl;
            entry.is_spared(now) || is_young && !entry.is_failed
        })
        .unwrap_or(false)
    }

    /// True when nothing is known of this name, although its source was asked.
    pub fn is_unavailable(&self, now: Instant, name: &str) -> bool {
        self.with(now, name, |entry| entry.is_failed).unwrap_or(true)
    }

    /// The user of this name, as it was last told.
    pub fn get(&self, name: &str) -> Option<Arc<User>> {
        self.part(name).get(name)?.user.clone()
    }

    /// Takes in what the source said about a name.
    pub fn learn(&self, now: Instant, name: &str, answer: Answer) {
        let mut part = self.part(name);
        let entry = match answer {
            Answer::Found(user) => Entry::answered(now, Some(user)),
            Answer::Nobody => Entry::answered(now, None),
            Answer::Failed => {
                if let Some(known) = part.get_mut(name)
                    && known.user.is_some()
                    && known.age(now) < self.limits.ttl + self.limits.stale
                {
                    known.spared_until = Some(now + FAILED_FOR);
                    return;
                }
                Entry {
                    is_failed: true,
                    spared_until: Some(now + FAILED_FOR),
                    ..Entry::answered(now, None)
                }
            }
        };
        if part.len() >= self.limits.entries_max.div_ceil(PARTS) && !part.contains_key(name) {
            let before = part.len();
            forget_unused(&mut part);
            self.forgotten
                .fetch_add((before - part.len()) as u64, Ordering::Relaxed);
        }
        part.insert(name.to_owned(), entry);
    }

    /// Names that are remembered.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers forgotten because of [`DirectoryLimits::entries_max`].
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Looks at an entry that is used right now.
    fn with<R>(&self, now: Instant, name: &str, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        let mut part = self.part(name);
        let entry = part.get_mut(name)?;
        entry.used = now;
        Some(look(entry))
    }

    fn part(&self, name: &str) -> MutexGuard<'_, HashMap<String, Entry>> {
        lock(&self.parts[self.hasher.hash_one(name) as usize % PARTS])
    }
}

impl Entry {
    fn answered(now: Instant, user: Option<Arc<User>>) -> Self {
        Self {
            user,
            is_failed: false,
            answered: now,
            spared_until: None,
            used: now,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.answered)
    }

    fn is_spared(&self, now: Instant) -> bool {
        self.spared_until.is_some_and(|until| now < until)
    }
}

/// Makes room: everybody goes who was used before the middle of what is remembered.
fn forget_unused(part: &mut HashMap<String, Entry>) {
    let mut used: Vec<Instant> = part.values().map(|entry| entry.used).collect();
    if used.is_empty() {
        return;
    }
    let middle = used.len() / 2;
    let (_, &mut cut, _) = used.select_nth_unstable(middle);
    part.retain(|_, entry| entry.used > cut);
}

/// A panic elsewhere must not take the table with it: every write leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::base;

    const SECOND: Duration = Duration::from_secs(1);

    fn directory() -> Directory {
        Directory::new(DirectoryLimits {
            ttl: 60 * SECOND,
            negative_ttl: 10 * SECOND,
            stale: 600 * SECOND,
            entries_max: 160,
        })
    }

    fn user(password: &str) -> Answer {
        Answer::Found(Arc::new(User::with_password("alice", "example.com", password)))
    }

    #[test]
    fn a_user_is_let_in_for_long_and_refused_for_a_short_time() {
        let (directory, now) = (directory(), base());
        assert!(directory.must_ask(now, "alice") && !directory.is_sure(now, "alice"));
        directory.learn(now, "alice", user("secret"));
        assert_eq!(directory.get("alice").unwrap().name, "alice");
        for (after, must_ask, is_sure) in [
            (9, false, true),
            (10, false, false),
            (59, false, false),
            (60, true, false),
        ] {
            let then = now + after * SECOND;
            assert_eq!(directory.must_ask(then, "alice"), must_ask, "{after}");
            assert_eq!(directory.is_sure(then, "alice"), is_sure, "{after}");
        }
        directory.learn(now, "bob", Answer::Nobody);
        assert!(directory.get("bob").is_none() && !directory.is_unavailable(now, "bob"));
        assert!(!directory.must_ask(now + 9 * SECOND, "bob"));
        assert!(directory.must_ask(now + 10 * SECOND, "bob"));
    }

    #[test]
    fn while_the_source_fails_a_known_user_is_let_in_and_nobody_asks_at_once_again() {
        let (directory, now) = (directory(), base());
        directory.learn(now, "alice", user("secret"));
        let later = now + 659 * SECOND;
        assert!(directory.must_ask(later, "alice"));
        directory.learn(later, "alice", Answer::Failed);
        assert!(!directory.must_ask(later, "alice") && directory.is_sure(later, "alice"));
        assert!(directory.get("alice").is_some() && !directory.is_unavailable(later, "alice"));
        assert!(directory.must_ask(later + SECOND, "alice"));
        directory.learn(later + SECOND, "alice", Answer::Failed);
        assert!(directory.get("alice").is_none() && directory.is_unavailable(later + SECOND, "alice"));
        assert!(!directory.must_ask(later + SECOND, "alice"));
        assert!(directory.must_ask(later + 2 * SECOND, "alice"));
        directory.learn(later + 2 * SECOND, "alice", user("secret"));
        assert!(directory.get("alice").is_some());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_used() {
        let (directory, now) = (directory(), base());
        directory.learn(now, "alice", user("secret"));
        for number in 0..2_000u32 {
            let then = now + Duration::from_millis(number.into());
            assert!(!directory.must_ask(then, "alice"), "{number}");
            directory.learn(then, &format!("user{number}"), Answer::Nobody);
        }
        assert!(directory.len() <= 160, "{}", directory.len());
        assert!(directory.forgotten() >= 1_800);
    }
}
