//! What the unit tests of this crate share.

use std::time::Instant;

use viaduct_sip::{Limits, Message};

/// Some instant to count from.
#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
pub(crate) fn base() -> Instant {
    Instant::now()
}

pub(crate) fn parse(octets: &[u8]) -> Message {
    Message::parse_datagram(octets.to_vec().into(), &Limits::default()).unwrap()
}
