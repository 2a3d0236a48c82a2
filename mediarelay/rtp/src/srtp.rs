//! SRTP and SRTCP (RFC 3711, RFC 6188, RFC 7714), protected and unprotected in place in the caller's buffer.
//!
//! A [`SendContext`] or [`ReceiveContext`] belongs to one direction of one leg: every port, m-line and network path
//! that uses the same master key must share it, because the packet index of an SSRC is kept in it and an index used
//! twice repeats key stream.
//!
//! Not done: key derivation rates other than 0 (one derivation at construction).

mod cipher;
mod cm;
mod error;
mod f8;
mod gcm;
mod hmac;
mod kdf;
mod keys;
mod profile;
mod receive;
mod send;
mod streams;
mod window;

pub use error::{ProtectError, UnprotectError};
pub use keys::{DtlsRole, KeyError, Mki, SrtpKeyMaterial, SrtpKeyPair};
pub use profile::{RTCP_GROWTH_MAX, RTP_GROWTH_MAX, SrtpProfile};
pub use receive::{OpenedRtp, ReceiveContext};
pub use send::SendContext;
pub use streams::{SrtpLimits, SsrcIndices};

#[cfg(test)]
mod tests;
