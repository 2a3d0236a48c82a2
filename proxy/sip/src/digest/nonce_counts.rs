use std::collections::BTreeMap;

use super::NonceStamp;

/// Counts below the highest that are still told apart: requests may overtake each other by that many.
const WINDOW: u32 = 64;

/// Remembers which nonce counts were used, so that an overheard request cannot be sent again.
///
/// Bounded: when there are more nonces than fit, the oldest is forgotten, and from then on every nonce as old is refused
/// as [`Forgotten`](CountVerdict::Forgotten) unless it is still remembered. So nothing is ever accepted twice.
///
/// Whoever accepts the same nonces must ask the same table: with one table for each of several threads a request could be
/// replayed once on each, because the digest does not cover the Call-ID.
#[derive(Debug, Clone)]
pub struct NonceCounts {
    nonces_max: usize,
    windows: BTreeMap<NonceStamp, Window>,
    /// The youngest nonce ever forgotten.
    floor: Option<NonceStamp>,
}

/// What a nonce count is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountVerdict {
    /// First seen.
    Accepted,
    /// Seen before, or so far behind the highest that it cannot be told: refuse.
    Replayed,
    /// The nonce is too old to know: treat it as stale.
    Forgotten,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl NonceCounts {
    /// Default for `nonces_max`: about 4 MB.
    pub const NONCES_MAX: usize = 65_536;

    /// Remembers up to `nonces_max` nonces, at least one.
    pub fn new(nonces_max: usize) -> Self {
        Self {
            nonces_max: nonces_max.max(1),
            windows: BTreeMap::new(),
            floor: None,
        }
    }

    /// Judges a count and remembers it. Only for nonces that were [verified](super::NonceSource::verify) and responses
    /// that were [proven](super::Credentials::prove): anything else would let strangers fill the memory.
    pub fn check(&mut self, nonce: NonceStamp, count: u32) -> CountVerdict {
        if let Some(window) = self.windows.get_mut(&nonce) {
            return if window.accept(count) {
                CountVerdict::Accepted
            } else {
                CountVerdict::Replayed
            };
        }
        if self.floor.is_some_and(|floor| nonce <= floor) {
            return CountVerdict::Forgotten;
        }
        self.windows.insert(
            nonce,
            Window {
                highest: count,
                seen: 1,
            },
        );
        if self.windows.len() > self.nonces_max
            && let Some((oldest, _)) = self.windows.pop_first()
        {
            self.floor = self.floor.max(Some(oldest));
        }
        CountVerdict::Accepted
    }

    /// Nonces remembered.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// True when no nonce is remembered.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

impl Window {
    fn accept(&mut self, count: u32) -> bool {
        if let Some(behind) = self.highest.checked_sub(count) {
            if behind >= WINDOW || self.seen >> behind & 1 == 1 {
                return false;
            }
            self.seen |= 1 << behind;
            return true;
        }
        let ahead = count - self.highest;
        self.seen = if ahead >= WINDOW { 0 } else { self.seen << ahead };
        self.seen |= 1;
        self.highest = count;
        true
    }
}
