use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Octets that say when a nonce was made and tell it from others of that time.
const STAMP_OCTETS: usize = 16;
/// Octets of the HMAC that are kept: 128 bits.
const MAC_OCTETS: usize = 16;
/// How far the clock that made a nonce may have been ahead of ours, for servers that share a secret.
const SKEW_MAX: Duration = Duration::from_secs(5);

/// Makes nonces and knows them again without storing them: a nonce is its time, a number, and an HMAC-SHA256 over both
/// (RFC 7616 section 3.3 leaves the form to the server). Servers with the same secret accept each other's nonces.
#[derive(Clone)]
pub struct NonceSource {
    keyed: Hmac<Sha256>,
    lifetime: Duration,
}

/// What a nonce says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonceStamp {
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: u64,
    /// The number that tells it from others of the same millisecond.
    pub unique: u64,
}

/// What a nonce is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceVerdict {
    /// Ours and within its lifetime.
    Fresh(NonceStamp),
    /// Ours, but too old (or from a future that our clock does not know): answer with `stale=true` if the rest is right.
    Stale(NonceStamp),
    /// Not made with our secret.
    Forged,
}

impl NonceSource {
    /// `secret` should be random and, if nonces are to survive a restart, kept.
    pub fn new(secret: [u8; 32], lifetime: Duration) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let keyed = Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length");
        Self { keyed, lifetime }
    }

    /// A nonce made at `now` (since 1970). `unique` must not repeat within a millisecond: a counter or a random number.
    pub fn issue(&self, now: Duration, unique: u64) -> String {
        let issued_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let stamp = NonceStamp { issued_ms, unique }.to_octets();
        let mut octets = [0; STAMP_OCTETS + MAC_OCTETS];
        octets[..STAMP_OCTETS].copy_from_slice(&stamp);
        octets[STAMP_OCTETS..].copy_from_slice(&self.mac(&stamp).finalize().into_bytes()[..MAC_OCTETS]);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Judges a nonce that came back at `now` (since 1970).
    pub fn verify(&self, nonce: &str, now: Duration) -> NonceVerdict {
        let mut octets = [0; STAMP_OCTETS + MAC_OCTETS];
        if URL_SAFE_NO_PAD.decode_slice(nonce, &mut octets) != Ok(octets.len()) {
            return NonceVerdict::Forged;
        }
        let (stamp, mac) = octets.split_at(STAMP_OCTETS);
        if self.mac(stamp).verify_truncated_left(mac).is_err() {
            return NonceVerdict::Forged;
        }
        let stamp = NonceStamp::from_octets(stamp);
        let issued = Duration::from_millis(stamp.issued_ms);
        let is_fresh = match now.checked_sub(issued) {
            Some(age) => age <= self.lifetime,
            None => issued - now <= SKEW_MAX,
        };
        if is_fresh {
            NonceVerdict::Fresh(stamp)
        } else {
            NonceVerdict::Stale(stamp)
        }
    }

    /// How long a nonce is good.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    fn mac(&self, stamp: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(stamp);
        mac
    }
}

impl fmt::Debug for NonceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceSource")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl NonceStamp {
    fn to_octets(self) -> [u8; STAMP_OCTETS] {
        (u128::from(self.issued_ms) << 64 | u128::from(self.unique)).to_be_bytes()
    }

    fn from_octets(octets: &[u8]) -> Self {
        let number = octets
            .iter()
            .fold(0u128, |number, &octet| number << 8 | u128::from(octet));
        Self {
            issued_ms: (number >> 64) as u64,
            unique: number as u64,
        }
    }
}
