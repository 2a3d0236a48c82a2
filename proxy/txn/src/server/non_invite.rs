//! The non-INVITE server transaction (RFC 3261 section 17.2.2).
//!
//! ```text
//! Trying ──1xx──▶ Proceeding ──final──▶ Completed ──J──▶ over
//!    └────────────────final────────────────▲
//! ```

use bytes::Bytes;
use viaduct_sip::StatusCode;

use crate::effects::{Effects, Letter};

#[derive(Debug)]
pub(crate) enum NonInviteServer {
    Trying(Trying),
    Proceeding(Proceeding),
    Completed(Completed),
}

/// Nothing was answered; repeats of the request are absorbed.
#[derive(Debug)]
pub(crate) struct Trying;

/// A 1xx was sent.
#[derive(Debug)]
pub(crate) struct Proceeding {
    provisional: Bytes,
}

/// The final answer was sent.
#[derive(Debug)]
pub(crate) struct Completed {
    answer: Bytes,
}

impl NonInviteServer {
    pub(super) fn new() -> Self {
        Self::Trying(Trying)
    }

    pub(super) fn request_repeated(&self, fx: &mut Effects<'_>) {
        match self {
            Self::Trying(_) => {}
            Self::Proceeding(Proceeding { provisional: octets })
            | Self::Completed(Completed { answer: octets }) => {
                fx.retransmit(octets);
            }
        }
    }

    pub(super) fn respond(self, fx: &mut Effects<'_>, status: StatusCode, octets: Bytes) -> Option<Self> {
        match self {
            Self::Trying(_) | Self::Proceeding(_) if status.is_provisional() => {
                fx.send(&octets);
                Some(Self::Proceeding(Proceeding { provisional: octets }))
            }
            Self::Trying(_) | Self::Proceeding(_) => {
                fx.send(&octets);
                fx.set_if_lossy(Letter::J, fx.timing.lifetime())
                    .then_some(Self::Completed(Completed { answer: octets }))
            }
            state @ Self::Completed(_) => Some(state),
        }
    }

    pub(super) fn fired(self, letter: Letter) -> Option<Self> {
        match (self, letter) {
            (Self::Completed(_), Letter::J) => None,
            (state, _) => Some(state),
        }
    }
}
