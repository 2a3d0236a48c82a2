//! Answers kept for requests that come again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::byte_string::ByteString;

/// Bounds of a [`ReplyCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyCacheLimits {
    /// Requests remembered. Default 65,536.
    pub entries_max: usize,
    /// Cookies and replies kept, in octets. Default 67,108,864.
    pub octets_max: usize,
    /// How often the older half is forgotten: an entry lives once to twice as long. Default 30 s.
    pub generation: Duration,
}

impl Default for ReplyCacheLimits {
    fn default() -> Self {
        Self {
            entries_max: 65_536,
            octets_max: 64 << 20,
            generation: Duration::from_secs(30),
        }
    }
}

/// What is known of a request that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing: do it, then call [`ReplyCache::finish`].
    New,
    /// It is being done. The repetition is noted, and answered when it is done.
    InWork,
    /// It was done: send this again, octet for octet.
    Done(Bytes),
}

/// What a [`ReplyCache`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyCacheCounters {
    /// Requests not seen before.
    pub misses: u64,
    /// Repetitions answered from the cache.
    pub hits: u64,
    /// Repetitions of a request in work.
    pub hits_in_work: u64,
    /// Entries forgotten before their time, to stay within the limits.
    pub evictions: u64,
    /// Replies too large to keep.
    pub oversized: u64,
}

/// Remembers requests by sender and cookie, so that a repeated one is not done twice.
///
/// rtpengine keys on the cookie alone; with the sender as part of the key, one client cannot read another's
/// replies by guessing cookies. Entries live in two generations. A full generation is retired early, which
/// keeps every operation at constant cost and the memory bounded whatever comes in.
#[derive(Debug)]
pub struct ReplyCache {
    limits: ReplyCacheLimits,
    young: Generation,
    old: Generation,
    /// When `young` was begun.
    begun: Instant,
    counters: ReplyCacheCounters,
}

type Key = (SocketAddr, ByteString);

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<Key, Entry>,
    octets: usize,
}

#[derive(Debug)]
enum Entry {
    InWork { repeated: bool },
    Done(Bytes),
}

impl ReplyCache {
    /// An empty cache.
    pub fn new(limits: ReplyCacheLimits, now: Instant) -> Self {
        Self {
            limits,
            young: Generation::default(),
            old: Generation::default(),
            begun: now,
            counters: ReplyCacheCounters::default(),
        }
    }

    /// A request came in from `sender`. If it is [`Lookup::New`] it counts as in work from here on.
    pub fn begin(&mut self, now: Instant, sender: SocketAddr, cookie: &[u8]) -> Lookup {
        self.age(now);
        let key = (sender, ByteString::from(cookie));
        let entry = match self.young.entries.get_mut(&key) {
            Some(entry) => Some(entry),
            None => self.old.entries.get_mut(&key),
        };
        match entry {
            Some(Entry::Done(reply)) => {
                self.counters.hits += 1;
                Lookup::Done(reply.clone())
            }
            Some(Entry::InWork { repeated }) => {
                *repeated = true;
                self.counters.hits_in_work += 1;
                Lookup::InWork
            }
            None => {
                self.counters.misses += 1;
                self.insert(now, key, Entry::InWork { repeated: false });
                Lookup::New
            }
        }
    }

    /// The request was done. Returns how often `reply` is to be sent: twice if the request was repeated
    /// meanwhile, however often, else once.
    pub fn finish(&mut self, now: Instant, sender: SocketAddr, cookie: &[u8], reply: Bytes) -> usize {
        self.age(now);
        let key = (sender, ByteString::from(cookie));
        let entry = self.young.remove(&key).or_else(|| self.old.remove(&key));
        let repeated = matches!(entry, Some(Entry::InWork { repeated: true }));
        if octets_of(&key, &reply) > self.limits.octets_max / 2 {
            self.counters.oversized += 1;
        } else {
            self.insert(now, key, Entry::Done(reply));
        }
        if repeated { 2 } else { 1 }
    }

    /// Requests remembered.
    pub fn len(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of cookies and replies kept.
    pub fn octets(&self) -> usize {
        self.young.octets + self.old.octets
    }

    /// What was seen so far.
    pub fn counters(&self) -> ReplyCacheCounters {
        self.counters
    }

    /// Forgets what has lived its time.
    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.begun);
        if age >= self.limits.generation {
            let retired = std::mem::take(&mut self.young);
            self.old = if age >= 2 * self.limits.generation {
                Generation::default()
            } else {
                retired
            };
            self.begun = now;
        }
    }

    /// Puts an entry into the young generation, which may fill half of the cache.
    fn insert(&mut self, now: Instant, key: Key, entry: Entry) {
        let octets = entry.octets(&key);
        let young = &self.young;
        let is_full = young.entries.len() >= (self.limits.entries_max / 2).max(1)
            || young.octets + octets > self.limits.octets_max / 2;
        if is_full {
            self.counters.evictions += self.old.entries.len() as u64;
            self.old = std::mem::take(&mut self.young);
            self.begun = now;
        }
        self.young.octets += octets;
        self.young.entries.insert(key, entry);
    }
}

impl Generation {
    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.octets -= entry.octets(key);
        Some(entry)
    }
}

impl Entry {
    fn octets(&self, key: &Key) -> usize {
        match self {
            Self::InWork { .. } => octets_of(key, &[]),
            Self::Done(reply) => octets_of(key, reply),
        }
    }
}

fn octets_of((_, cookie): &Key, reply: &[u8]) -> usize {
    cookie.len() + reply.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's base instant")]
    fn base() -> Instant {
        Instant::now()
    }

    fn sender(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn cache(limits: ReplyCacheLimits) -> (ReplyCache, Instant) {
        let now = base();
        (ReplyCache::new(limits, now), now)
    }

    const REPLY: Bytes = Bytes::from_static(b"1 d6:result4:ponge");

    #[test]
    fn repeated_request_gets_the_same_reply() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        assert_eq!(cache.begin(now, sender(1), b"1"), Lookup::New);
        assert_eq!(cache.finish(now, sender(1), b"1", REPLY), 1);
        for _ in 0..3 {
            assert_eq!(cache.begin(now, sender(1), b"1"), Lookup::Done(REPLY));
        }
        let counters = cache.counters();
        assert_eq!((counters.misses, counters.hits, counters.hits_in_work), (1, 3, 0));
    }

    #[test]
    fn repetition_while_in_work_is_answered_once_more() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        assert_eq!(cache.begin(now, sender(1), b"1"), Lookup::InWork);
        assert_eq!(cache.begin(now, sender(1), b"1"), Lookup::InWork);
        assert_eq!(cache.finish(now, sender(1), b"1", REPLY), 2);
        assert_eq!(cache.counters().hits_in_work, 2);
    }

    #[test]
    fn senders_and_cookies_are_kept_apart() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        cache.finish(now, sender(1), b"1", REPLY);
        assert_eq!(cache.begin(now, sender(2), b"1"), Lookup::New);
        assert_eq!(cache.begin(now, sender(1), b"2"), Lookup::New);
    }

    #[test]
    fn entries_live_thirty_to_sixty_seconds() {
        let (mut cache, start) = cache(ReplyCacheLimits::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        cache.begin(at(1), sender(1), b"1");
        cache.finish(at(1), sender(1), b"1", REPLY);
        assert_eq!(cache.begin(at(29), sender(1), b"1"), Lookup::Done(REPLY));
        assert_eq!(cache.begin(at(31), sender(1), b"1"), Lookup::Done(REPLY));
        assert_eq!(cache.begin(at(60), sender(1), b"1"), Lookup::Done(REPLY));
        assert_eq!(cache.begin(at(61), sender(1), b"1"), Lookup::New);
        assert_eq!(cache.counters().evictions, 0);
    }

    #[test]
    fn idle_cache_forgets_everything() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        cache.finish(now, sender(1), b"1", REPLY);
        assert_eq!(
            cache.begin(now + Duration::from_secs(3600), sender(2), b"2"),
            Lookup::New
        );
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn request_in_work_survives_a_change_of_generation() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        let later = now + Duration::from_secs(45);
        assert_eq!(cache.begin(later, sender(1), b"1"), Lookup::InWork);
        assert_eq!(cache.finish(later, sender(1), b"1", REPLY), 2);
        assert_eq!(cache.begin(later, sender(1), b"1"), Lookup::Done(REPLY));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn forgotten_request_in_work_is_still_answered() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        assert_eq!(
            cache.finish(now + Duration::from_secs(120), sender(1), b"1", REPLY),
            1
        );
    }

    #[test]
    fn number_of_entries_is_bounded_and_evictions_are_counted() {
        let (mut cache, now) = cache(ReplyCacheLimits {
            entries_max: 8,
            ..ReplyCacheLimits::default()
        });
        for number in 0..100 {
            let cookie = number.to_string();
            cache.begin(now, sender(1), cookie.as_bytes());
            cache.finish(now, sender(1), cookie.as_bytes(), REPLY);
            assert!(cache.len() <= 8);
        }
        // The four newest are always there.
        for number in 96..100 {
            let known = cache.begin(now, sender(1), number.to_string().as_bytes());
            assert_eq!(known, Lookup::Done(REPLY), "{number}");
        }
        assert_eq!(cache.counters().evictions, 92);
    }

    #[test]
    fn octets_are_bounded() {
        let (mut cache, now) = cache(ReplyCacheLimits {
            octets_max: 1_000,
            ..ReplyCacheLimits::default()
        });
        let reply = Bytes::from(vec![b'x'; 99]);
        for number in 0..100_u8 {
            cache.begin(now, sender(1), &[number]);
            cache.finish(now, sender(1), &[number], reply.clone());
            assert!(cache.octets() <= 1_000, "{}", cache.octets());
        }
        assert!(cache.len() >= 5);
    }

    #[test]
    fn oversized_reply_is_not_kept() {
        let (mut cache, now) = cache(ReplyCacheLimits {
            octets_max: 100,
            ..ReplyCacheLimits::default()
        });
        cache.begin(now, sender(1), b"1");
        assert_eq!(cache.finish(now, sender(1), b"1", Bytes::from(vec![0; 60])), 1);
        assert_eq!(
            (cache.counters().oversized, cache.len(), cache.octets()),
            (1, 0, 0)
        );
    }

    #[test]
    fn octets_come_back_to_zero() {
        let (mut cache, now) = cache(ReplyCacheLimits::default());
        cache.begin(now, sender(1), b"1");
        cache.finish(now, sender(1), b"1", REPLY);
        assert_eq!(cache.octets(), 1 + REPLY.len());
        cache.begin(now + Duration::from_secs(61), sender(1), b"");
        assert_eq!(cache.octets(), 0);
    }
}
