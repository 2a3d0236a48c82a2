//! The non-INVITE server transaction (RFC 3261 section 17.2.2), but for its last state, which is kept apart.
//!
//! ```text
//! Trying ──1xx──▶ Proceeding ──final──▶ Completed, see `answered`
//!    └────────────────final────────────────▲
//! ```

use bytes::Bytes;
use viaduct_sip::StatusCode;

use super::Next;
use crate::answered::Answered;
use crate::effects::Effects;

#[derive(Debug)]
pub(crate) enum NonInviteServer {
    Trying(Trying),
    Proceeding(Proceeding),
}

/// Nothing was answered; repeats of the request are absorbed.
#[derive(Debug)]
pub(crate) struct Trying;

/// A 1xx was sent.
#[derive(Debug)]
pub(crate) struct Proceeding {
    provisional: Bytes,
}

impl NonInviteServer {
    pub(super) fn new() -> Self {
        Self::Trying(Trying)
    }

    pub(super) fn request_repeated(&self, fx: &mut Effects<'_>) {
        match self {
            Self::Trying(_) => {}
            Self::Proceeding(state) => fx.retransmit(&state.provisional),
        }
    }

    /// With a `mark` nothing else is kept of a final answer.
    pub(super) fn respond(
        fx: &mut Effects<'_>,
        status: StatusCode,
        octets: Bytes,
        mark: Option<u64>,
    ) -> Next {
        fx.send(&octets);
        if status.is_provisional() {
            Next::In(Self::Proceeding(Proceeding { provisional: octets }).into())
        } else if fx.is_reliable() {
            // Timer J is 0: nothing is repeated.
            Next::Over
        } else {
            Next::Answered(mark.map_or_else(|| Answered::kept(fx.hop.clone(), &octets), Answered::Marked))
        }
    }
}
