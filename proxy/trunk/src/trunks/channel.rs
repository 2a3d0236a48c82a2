//! The right to one call over a trunk.

use std::sync::Arc;

use super::Line;
use super::users::Seat;

/// One call's place on a trunk, free again when this is dropped: nothing can leak one.
#[derive(Debug)]
pub struct Channel {
    line: Line,
    /// Whose call is counted.
    user: Option<Arc<str>>,
    /// Its place among the calls that its user has out over all trunks.
    seat: Option<Arc<Seat>>,
}

impl Channel {
    pub(super) fn new(line: Line, user: Option<Arc<str>>, seat: Option<Arc<Seat>>) -> Self {
        Self { line, user, seat }
    }

    pub(super) fn seat(&self) -> Option<Arc<Seat>> {
        self.seat.clone()
    }

    /// The trunk that it is on.
    pub fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.line.release(self.user.as_ref());
    }
}

/// Why a trunk takes no call right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It does not answer probes.
    #[error("it does not answer")]
    Down,
    /// It asked to be left alone (RFC 3261 section 21.5.4).
    #[error("it asked to be left alone for a while")]
    Resting,
    /// It carries as many calls as it may: [`Trunk::calls_max`](crate::Trunk::calls_max).
    #[error("it carries as many calls as it may")]
    Full,
    /// It carries as many calls of this user as it may:
    /// [`Trunk::calls_per_user_max`](crate::Trunk::calls_per_user_max).
    #[error("it carries as many calls of this user as it may")]
    FullForUser,
    /// The user has as many calls out over all trunks as one may:
    /// [`Trunks::with_calls_per_user_max`](crate::Trunks::with_calls_per_user_max).
    #[error("this user has as many calls out over trunks as one may")]
    UserFull,
    /// Too many calls began in this second:
    /// [`Trunk::calls_per_second_max`](crate::Trunk::calls_per_second_max).
    #[error("too many calls began in this second")]
    TooFast,
}
