//! Digest authentication: RFC 3261 section 22, RFC 7616, RFC 8760.
//!
//! A server prints a [`Challenge`] with a nonce from its [`NonceSource`]. When the [`Credentials`] come, it asks, in this
//! order: are they for our realm ([`Credentials::find`]), is the nonce ours and young ([`NonceSource::verify`]), does the
//! response prove the secret ([`Credentials::prove`]), has this count been used ([`NonceCounts::check`])? A wrong nonce
//! with a right proof is answered with `stale`, so the client tries again without asking its user.
//!
//! ```
//! use std::time::Duration;
//! use viaduct_sip::Method;
//! use viaduct_sip::digest::*;
//!
//! let nonces = NonceSource::new([7; 32], Duration::from_secs(300));
//! let now = Duration::from_secs(1_700_000_000);
//! let challenge = Challenge::new("example.com", nonces.issue(now, 1), Algorithm::Sha256);
//!
//! let ha1 = Ha1::from_password(Algorithm::Sha256, "alice", "example.com", "secret");
//! let answer = Answer { username: "alice", ha1: &ha1, method: Method::Register, uri: "sip:example.com",
//!     cnonce: "c", nc: 1, body: b"" };
//! let value = Challenge::parse(challenge.to_string().as_bytes()).unwrap().answer(&answer).unwrap();
//!
//! let credentials = Credentials::parse(value.as_bytes()).unwrap();
//! assert!(matches!(nonces.verify(&credentials.nonce, now), NonceVerdict::Fresh(_)));
//! assert!(credentials.prove(&ha1, Method::Register, b""));
//! ```

mod algorithm;
mod challenge;
mod credentials;
mod ha1;
mod nonce;
mod nonce_counts;
mod params;
mod response;
#[cfg(test)]
mod tests;

pub use self::algorithm::{Algorithm, Qop};
pub use self::challenge::{Answer, Challenge};
pub use self::credentials::{Credentials, FoundCredentials};
pub use self::ha1::Ha1;
pub use self::nonce::{NonceSource, NonceStamp, NonceVerdict};
pub use self::nonce_counts::{CountVerdict, NonceCounts};

/// Why a digest header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another scheme than Digest.
    #[error("authentication scheme is not Digest")]
    OtherScheme,
    /// A parameter without value, a quote that never closes, or text that is not UTF-8.
    #[error("bad parameter in a digest header")]
    BadParam,
    /// A parameter that must be there is not.
    #[error("{0} missing in a digest header")]
    Missing(&'static str),
    /// An algorithm that we do not know.
    #[error("unknown digest algorithm")]
    UnknownAlgorithm,
    /// A quality of protection that we do not know.
    #[error("unknown qop")]
    UnknownQop,
    /// A nonce count that is not up to eight hexadecimal digits.
    #[error("bad nonce count")]
    BadNonceCount,
    /// The secret at hand is for another algorithm than the challenge.
    #[error("secret of another algorithm")]
    OtherAlgorithm,
}
