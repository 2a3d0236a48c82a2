//! How much one source may ask of us, and how long it waits after wrong passwords.
//!
//! One table serves every shard: a source that spreads its requests over many Call-IDs is still one source.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::SourceNetwork;

/// Parts of the table, each behind its own lock.
const PARTS: usize = 16;

/// The first pause after too many wrong passwords; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A pause that was doubled this often is longer than any process lives.
const DOUBLINGS_MAX: u32 = 24;

/// A whole source may fail this many times as often as one user behind it: many users share one.
const USERS_BEHIND_ONE_SOURCE: u32 = 10;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// What one source ([`SourceNetwork`]) may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Requests outside any dialog, from one source. 500 in 1 s.
    pub requests: Rate,
    /// Wrong passwords for one user from one source before it has to wait; half of their number is forgotten after
    /// each such time without one. 10 in 1 min.
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
    forgotten: AtomicU64,
}

/// Whom a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    /// Everybody there.
    Network(SourceNetwork),
    /// One user's name tried from there.
    User(SourceNetwork, String),
}

#[derive(Debug)]
struct Record {
    requests: Window,
    failures: Fading,
    /// Passwords are not even looked at until then.
    paused_until: Option<Instant>,
    heard: Instant,
}

/// Counts in windows of a fixed length.
#[derive(Debug)]
struct Window {
    since: Instant,
    count: u32,
}

/// A count that fades: half of it is gone after each `per` in which nothing came.
#[derive(Debug)]
struct Fading {
    since: Instant,
    count: u32,
}

/// What a wrong password led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How many there were for this user from this source, as far as they have not faded.
    pub times: u32,
    /// How long the next password must wait, if it must.
    pub pause: Option<Duration>,
}

impl Guard {
    /// A guard that has heard of nobody.
    pub fn new(limits: GuardLimits) -> Self {
        Self {
            limits: RwLock::new(limits),
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            forgotten: AtomicU64::new(0),
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
        self.with(now, Source::network(ip), |record| {
            record.requests.count(now, rate.per) <= rate.count
        })
    }

    /// How long this user must wait at this source before a password is looked at. `None` when not at all.
    pub fn pause(&self, now: Instant, ip: IpAddr, user: &str) -> Option<Duration> {
        let left = |source: Source| {
            let part = self.part(&source);
            part.get(&source)?
                .paused_until?
                .checked_duration_since(now)
                .filter(|left| !left.is_zero())
        };
        left(Source::user(ip, user)).max(left(Source::network(ip)))
    }

    /// A password was wrong. Each one beyond [`GuardLimits::failures`] makes the next wait twice as long.
    pub fn failed(&self, now: Instant, ip: IpAddr, user: &str) -> Failed {
        let GuardLimits {
            failures: Rate { count, per },
            pause_max,
            ..
        } = self.limits();
        let fail = |source: Source, count: u32| {
            self.with(now, source, |record| {
                let times = record.failures.count(now, per);
                let pause = times.checked_sub(count).map(|beyond| {
                    let doubled = FIRST_PAUSE.saturating_mul(1 << beyond.min(DOUBLINGS_MAX));
                    doubled.min(pause_max)
                });
                if let Some(pause) = pause {
                    record.paused_until = Some(now + pause);
                    // Waiting out a pause is no merit.
                    record.failures.since = now + pause;
                }
                Failed { times, pause }
            })
        };
        let own = fail(Source::user(ip, user), count);
        let of_all = fail(Source::network(ip), count.saturating_mul(USERS_BEHIND_ONE_SOURCE));
        Failed {
            times: own.times,
            pause: own.pause.max(of_all.pause),
        }
    }

    /// A password was right: what went before is forgiven.
    pub fn succeeded(&self, ip: IpAddr, user: &str) {
        let source = Source::user(ip, user);
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
            self.forget_oldest(now, &mut part);
        }
        let record = part.entry(source).or_insert_with(|| Record::new(now));
        record.heard = now;
        change(record)
    }

    /// Sources forgotten because of [`GuardLimits::sources_max`].
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Makes room: everybody goes who was heard before the middle of what is remembered. Those who must wait go last:
    /// nobody ends a pause by sending from many addresses.
    fn forget_oldest(&self, now: Instant, part: &mut HashMap<Source, Record>) {
        let rank = |record: &Record| (record.paused_until.is_some_and(|until| now < until), record.heard);
        let mut ranks: Vec<(bool, Instant)> = part.values().map(rank).collect();
        if ranks.is_empty() {
            return;
        }
        let (before, middle) = (part.len(), ranks.len() / 2);
        let (_, &mut cut, _) = ranks.select_nth_unstable(middle);
        part.retain(|_, record| rank(record) > cut);
        self.forgotten
            .fetch_add((before - part.len()) as u64, Ordering::Relaxed);
    }

    fn part(&self, source: &Source) -> MutexGuard<'_, HashMap<Source, Record>> {
        lock(&self.parts[self.hasher.hash_one(source) as usize % PARTS])
    }
}

impl Source {
    fn network(ip: IpAddr) -> Self {
        Self::Network(SourceNetwork::of(ip))
    }

    fn user(ip: IpAddr, name: &str) -> Self {
        Self::User(SourceNetwork::of(ip), name.to_owned())
    }
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            requests: Window { since: now, count: 0 },
            failures: Fading { since: now, count: 0 },
            paused_until: None,
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

impl Fading {
    /// Counts one more on top of what has not faded.
    fn count(&mut self, now: Instant, per: Duration) -> u32 {
        let halvings = now.saturating_duration_since(self.since).as_nanos() / per.as_nanos().max(1);
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.count = self.count.checked_shr(halvings).unwrap_or(0).saturating_add(1);
        self.since = now;
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
        let failed: Vec<(u32, Option<u64>)> = (0..8)
            .map(|_| guard.failed(now, ip(1), "alice"))
            .map(|failed| (failed.times, failed.pause.map(|pause| pause.as_secs())))
            .collect();
        let pauses = [None, None, Some(1), Some(2), Some(4), Some(8), Some(8), Some(8)];
        assert_eq!(failed, (1..=8).zip(pauses).collect::<Vec<_>>());
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
        assert_eq!(guard.failed(now, ip(1), "alice").times, 1);
    }

    #[test]
    fn what_was_wrong_fades_with_time_but_not_with_waiting_for_the_end_of_a_pause() {
        let (guard, now) = (guard(100, 3), base());
        for _ in 0..6 {
            guard.failed(now, ip(1), "alice");
        }
        let after_pause = now + 8 * SECOND;
        let failed = guard.failed(after_pause + 59 * SECOND, ip(1), "alice");
        assert_eq!((failed.times, failed.pause), (7, Some(8 * SECOND)));
        let much_later = after_pause + 59 * SECOND + 8 * SECOND + 120 * SECOND;
        let failed = guard.failed(much_later, ip(1), "alice");
        assert_eq!((failed.times, failed.pause), (2, None), "7 has become 1");
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

    /// RFC 8981: a host takes any address of its /64.
    #[test]
    fn a_host_that_changes_its_ipv6_address_stays_one_source() {
        let (guard, now) = (guard(3, 3), base());
        let host = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, number, 0, 0, number]);
        let neighbour: IpAddr = "2001:db8:0:2::1".parse().unwrap();
        let admitted = (0..5).filter(|number| guard.admit(now, host(*number))).count();
        assert_eq!(admitted, 3);
        assert!(guard.admit(now, neighbour));
        for number in 0..3 {
            guard.failed(now, host(number), "alice");
        }
        assert_eq!(guard.pause(now, host(9), "alice"), Some(SECOND));
        assert_eq!(guard.pause(now, neighbour, "alice"), None);
        guard.succeeded(host(8), "alice");
        assert_eq!(guard.pause(now, host(0), "alice"), None);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_but_no_pause() {
        let (guard, now) = (guard(1, 1), base());
        for _ in 0..4 {
            guard.failed(now, ip(1), "alice");
        }
        for number in 0..2_000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            guard.admit(now + Duration::from_millis(number.into()), address);
        }
        assert!(guard.len() <= 176, "{}", guard.len());
        assert!(guard.forgotten() >= 1_800);
        let later = now + Duration::from_millis(1_999);
        let last = IpAddr::from(1_999u32.to_be_bytes());
        assert!(!guard.admit(later, last), "the youngest are remembered");
        assert!(
            guard.pause(later, ip(1), "alice").is_some(),
            "nobody gets out of a pause"
        );
    }
}
