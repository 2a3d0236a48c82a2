//! The phones of the proxy benchmarks.

mod call;
pub mod line;
mod register;
mod repeat;
#[cfg(test)]
mod test;

use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::call::Calls;
pub use self::line::{Directory, Line};
pub use self::register::Registrations;
use crate::load::Tally;

/// An operation that is not done after this has failed: time for what is lost to be sent again three times (after 0.5, 1.5
/// and 3.5 s). A phone that follows RFC 3261 would wait for 32 s; whoever holds it would have hung up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One of the two sockets that all phones share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The phones that call.
    Caller,
    /// The phones that are called.
    Callee,
}

/// Messages that are to be sent to the proxy.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: Vec<(Side, Bytes)>,
}

impl Outbox {
    /// One more, after the others.
    pub fn push(&mut self, side: Side, message: Bytes) {
        self.messages.push((side, message));
    }

    /// Takes them out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = (Side, Bytes)> + '_ {
        self.messages.drain(..)
    }
}

/// Phones that do one kind of thing again and again. Knows no socket and reads no clock.
pub trait Load {
    /// Lets the next idle phone begin. False when all are busy.
    fn begin(&mut self, now: Instant, out: &mut Outbox) -> bool;

    /// A datagram came.
    fn handle(&mut self, now: Instant, side: Side, datagram: Bytes, out: &mut Outbox);

    /// Sends again what has no answer, and fails what has taken longer than [`PATIENCE`].
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox);

    /// How many operations are going on.
    fn in_flight(&self) -> usize;

    /// What came of the others.
    fn tally(&mut self) -> &mut Tally;
}
