//! The INVITE server transaction (RFC 3261 section 17.2.1 with RFC 6026 section 8.7).
//!
//! ```text
//! Proceeding ──2xx──▶ Accepted ──L──▶ over
//!     └──3xx-6xx──▶ Completed ──ACK──▶ Confirmed ──I──▶ over
//!                       └──H──▶ over, unacknowledged
//! ```

use std::time::Duration;

use bytes::Bytes;
use viaduct_sip::StatusCode;

use crate::effects::{Effects, Letter};

#[derive(Debug)]
pub(crate) enum InviteServer {
    Proceeding(Proceeding),
    Completed(Completed),
    Confirmed(Confirmed),
    Accepted(Accepted),
}

/// No final answer yet.
#[derive(Debug)]
pub(crate) struct Proceeding {
    last_provisional: Option<Bytes>,
}

/// A 3xx-6xx was sent and not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Completed {
    answer: Bytes,
    /// What timer G waits next.
    interval: Duration,
}

/// The ACK came; its repeats are absorbed.
#[derive(Debug)]
pub(crate) struct Confirmed;

/// A 2xx was sent. The user repeats it; repeats of the INVITE are absorbed.
#[derive(Debug)]
pub(crate) struct Accepted;

impl InviteServer {
    pub(super) fn new() -> Self {
        Self::Proceeding(Proceeding {
            last_provisional: None,
        })
    }

    pub(super) fn request_repeated(&self, fx: &mut Effects<'_>) {
        match self {
            Self::Proceeding(Proceeding {
                last_provisional: Some(answer),
            })
            | Self::Completed(Completed { answer, .. }) => {
                fx.retransmit(answer);
            }
            Self::Proceeding(_) | Self::Confirmed(_) | Self::Accepted(_) => {}
        }
    }

    pub(super) fn respond(self, fx: &mut Effects<'_>, status: StatusCode, octets: Bytes) -> Option<Self> {
        match self {
            Self::Proceeding(_) if status.is_provisional() => {
                fx.send(&octets);
                Some(Self::Proceeding(Proceeding {
                    last_provisional: Some(octets),
                }))
            }
            Self::Proceeding(_) if status.is_success() => {
                fx.send(&octets);
                fx.set(Letter::L, fx.timing.lifetime());
                Some(Self::Accepted(Accepted))
            }
            Self::Proceeding(_) => Some(Self::Completed(Completed::enter(fx, octets))),
            // Further 2xx: repeats of the first, or from other branches of a fork (RFC 6026 section 8.7).
            Self::Accepted(state) => {
                if status.is_success() {
                    fx.send(&octets);
                }
                Some(Self::Accepted(state))
            }
            // Only one final answer of this kind exists.
            state @ (Self::Completed(_) | Self::Confirmed(_)) => Some(state),
        }
    }

    pub(super) fn acknowledged(self, fx: &mut Effects<'_>) -> Option<Self> {
        match self {
            Self::Completed(_) => fx
                .set_if_lossy(Letter::I, fx.timing.t4)
                .then_some(Self::Confirmed(Confirmed)),
            state @ (Self::Proceeding(_) | Self::Confirmed(_) | Self::Accepted(_)) => Some(state),
        }
    }

    /// Timer H is the caller's: it is the one end that the user is told about.
    pub(super) fn fired(self, fx: &mut Effects<'_>, letter: Letter) -> Option<Self> {
        match (self, letter) {
            (Self::Completed(state), Letter::G) => Some(Self::Completed(state.repeat(fx))),
            (Self::Confirmed(_), Letter::I) | (Self::Accepted(_), Letter::L) => None,
            (state, _) => Some(state),
        }
    }
}

impl Completed {
    fn enter(fx: &mut Effects<'_>, answer: Bytes) -> Self {
        fx.send(&answer);
        fx.set_if_lossy(Letter::G, fx.timing.t1);
        fx.set(Letter::H, fx.timing.lifetime());
        Self {
            answer,
            interval: fx.timing.t1,
        }
    }

    fn repeat(self, fx: &mut Effects<'_>) -> Self {
        fx.retransmit(&self.answer);
        let interval = (2 * self.interval).min(fx.timing.t2);
        fx.set(Letter::G, interval);
        Self { interval, ..self }
    }
}
