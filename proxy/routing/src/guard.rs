//! How much one source may ask of us, and how long it waits after wrong passwords.
//!
//! One table serves every shard: a source that spreads its requests over many Call-IDs is still one source.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Parts of the table, each behind its own lock.
const PARTS: usize = 16;

/// The first pause after too many wrong passwords; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A whole address may fail this many times as often as one user behind it: many users share one.
const USERS_BEHIND_ONE_ADDRESS: u32 = 10;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// What one source may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Requests outside any dialog, from one address. 500 in 1 s.
    pub requests: Rate,
    /// Wrong passwords for one user from one address before it has to wait. 10 in 1 min.
    pub failures: Rate,
    /// The longest wait. 15 min.
    pub pause_max: Duration,
    /// Sources that are remembered; beyond, the ones that were heard longest ago are forgotten. 100,000.
    pub sources_max: usize,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            requests: Rate {
                count: 500,
                per: Duration::from_secs(1),
            },
            failures: Rate {
                count: 10,
                per: Duration::from_secs(60),
            },
            pause_max: Duration::from_secs(900),
            sources_max: 100_000,
        }
    }
}

/// Keeps count of sources. Shared by every shard.
#[derive(Debug)]
pub struct Guard {
    limits: RwLock<GuardLimits>,
    hasher: RandomState,
    parts: Vec<Mutex<HashMap<Source, Record>>>,
}

/// Whom a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    /// Everybody behind an address.
    Address(IpAddr),
    /// One user's name tried from an address.
    User(IpAddr, String),
}

#[derive(Debug)]
struct Record {
    requests: Window,
    failures: Window,
    /// Wrong passwords are not even looked at until then.
    paused_until: Option<Instant>,
    /// How long the last pause was.
    pause: Duration,
    heard: Instant,
}

/// Counts in windows of a fixed length.
#[derive(Debug)]
struct Window {
    since: Instant,
    count: u32,
}

impl Guard {
    /// A guard that has heard of nobody.
    pub fn new(limits: GuardLimits) -> Self {
        Self {
            limits: RwLock::new(limits),
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Works with other limits from here on. What was counted stays, and so do pauses.
    pub fn set_limits(&self, limits: GuardLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> GuardLimits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request outside any dialog came from an address. False when that is more than it may send.
    pub fn admit(&self, now: Instant, ip: IpAddr) -> bool {
        let rate = self.limits().requests;
        self.with(now, Source::Address(ip), |record| {
            record.requests.count(now, rate.per) <= rate.count
        })
    }

    /// How long this user must wait at this address before a password is looked at. `None` when not at all.
    pub fn pause(&self, now: Instant, ip: IpAddr, user: &str) -> Option<Duration> {
        let left = |source: Source| {
            let part = self.part(&source);
            part.get(&source)?
                .paused_until?
                .checked_duration_since(now)
                .filter(|left| !left.is_zero())
        };
        left(Source::User(ip, user.to_owned())).max(left(Source::Address(ip)))
    }

    /// A password was wrong. Answers how long the next one must wait, if it must.
    pub fn failed(&self, now: Instant, ip: IpAddr, user: &str) -> Option<Duration> {
        let GuardLimits {
            failures: Rate { count, per },
            pause_max,
            ..
        } = self.limits();
        let fail = |source: Source, count: u32| {
            self.with(now, source, |record| {
                if record.failures.count(now, per) < count {
                    return None;
                }
                record.pause = (2 * record.pause).clamp(FIRST_PAUSE, pause_max);
                record.paused_until = Some(now + record.pause);
                Some(record.pause)
            })
        };
        let own = fail(Source::User(ip, user.to_owned()), count);
        own.max(fail(
            Source::Address(ip),
            count.saturating_mul(USERS_BEHIND_ONE_ADDRESS),
        ))
    }

    /// A password was right: what went before is forgiven.
    pub fn succeeded(&self, ip: IpAddr, user: &str) {
        let source = Source::User(ip, user.to_owned());
        self.part(&source).remove(&source);
    }

    /// Sources that are remembered.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<R>(&self, now: Instant, source: Source, change: impl FnOnce(&mut Record) -> R) -> R {
        let mut part = self.part(&source);
        if part.len() >= self.limits().sources_max.div_ceil(PARTS) && !part.contains_key(&source) {
            self.forget_oldest(&mut part);
        }
        let record = part.entry(source).or_insert_with(|| Record::new(now));
        record.heard = now;
        change(record)
    }

    /// Makes room: everybody goes who was heard before the middle of what is remembered.
    fn forget_oldest(&self, part: &mut HashMap<Source, Record>) {
        let mut heard: Vec<Instant> = part.values().map(|record| record.heard).collect();
        let middle = heard.len() / 2;
        let (_, &mut cut, _) = heard.select_nth_unstable(middle);
        part.retain(|_, record| record.heard > cut);
    }

    fn part(&self, source: &Source) -> MutexGuard<'_, HashMap<Source, Record>> {
        lock(&self.parts[self.hasher.hash_one(source) as usize % PARTS])
    }
}

impl Record {
    fn new(now: Instant) -> Self {
        let window = || Window { since: now, count: 0 };
        Self {
            requests: window(),
            failures: window(),
            paused_until: None,
            pause: Duration::ZERO,
            heard: now,
        }
    }
}

impl Window {
    /// Counts one more, in a fresh window when the last one is over.
    fn count(&mut self, now: Instant, per: Duration) -> u32 {
        if now.saturating_duration_since(self.since) >= per {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
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

    fn guard(requests: u32, failures: u32) -> Guard {
        Guard::new(GuardLimits {
            requests: Rate {
                count: requests,
                per: SECOND,
            },
            failures: Rate {
                count: failures,
                per: 60 * SECOND,
            },
            pause_max: 8 * SECOND,
            sources_max: 160,
        })
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn an_address_gets_so_many_requests_in_a_window_and_others_are_not_touched() {
        let (guard, now) = (guard(3, 10), base());
        let admitted = (0..5).filter(|_| guard.admit(now, ip(1))).count();
        assert_eq!(admitted, 3);
        assert!(guard.admit(now, ip(2)));
        assert!(guard.admit(now + SECOND, ip(1)));
    }

    #[test]
    fn wrong_passwords_cost_time_that_doubles() {
        let (guard, now) = (guard(100, 3), base());
        assert_eq!(guard.failed(now, ip(1), "alice"), None);
        assert_eq!(guard.failed(now, ip(1), "alice"), None);
        let pauses: Vec<u64> = (0..6)
            .filter_map(|_| guard.failed(now, ip(1), "alice"))
            .map(|pause| pause.as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
        assert_eq!(guard.pause(now + 3 * SECOND, ip(1), "alice"), Some(5 * SECOND));
        assert_eq!(guard.pause(now + 8 * SECOND, ip(1), "alice"), None);
        assert_eq!(
            guard.pause(now, ip(1), "bob"),
            None,
            "others behind the same address are not touched"
        );
        assert_eq!(
            guard.pause(now, ip(2), "alice"),
            None,
            "alice can come in from elsewhere"
        );
        guard.succeeded(ip(1), "alice");
        assert_eq!(guard.pause(now, ip(1), "alice"), None);
    }

    #[test]
    fn trying_many_users_from_one_address_costs_the_address() {
        let (guard, now) = (guard(100, 3), base());
        for number in 0..29 {
            guard.failed(now, ip(1), &format!("user{number}"));
        }
        assert_eq!(guard.pause(now, ip(1), "alice"), None);
        guard.failed(now, ip(1), "user30");
        assert_eq!(guard.pause(now, ip(1), "alice"), Some(SECOND));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (guard, now) = (guard(1, 3), base());
        for number in 0..2_000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            guard.admit(now + Duration::from_millis(number.into()), address);
        }
        assert!(guard.len() <= 176, "{}", guard.len());
        let last = IpAddr::from(1_999u32.to_be_bytes());
        assert!(
            !guard.admit(now + Duration::from_millis(1_999), last),
            "the youngest are remembered"
        );
    }
}
