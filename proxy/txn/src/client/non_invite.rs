//! The non-INVITE client transaction (RFC 3261 section 17.1.2).
//!
//! ```text
//! Trying ──1xx──▶ Proceeding ──final──▶ Completed ──K──▶ over
//!    │ E: again      │ E: again
//!    └──────F────────┴──▶ over, timeout
//! ```

use std::time::Duration;

use bytes::Bytes;
use viaduct_sip::StatusCode;

use super::{Next, Tell};
use crate::effects::{Effects, Letter};

#[derive(Debug)]
pub(crate) enum NonInviteClient {
    Trying(Trying),
    Proceeding(Proceeding),
    Completed(Completed),
}

/// Nothing came back yet.
#[derive(Debug)]
pub(crate) struct Trying {
    request: Bytes,
    /// What timer E waits next.
    interval: Duration,
}

/// A provisional answer came.
#[derive(Debug)]
pub(crate) struct Proceeding {
    request: Bytes,
}

/// The final answer came; its repeats are absorbed.
#[derive(Debug)]
pub(crate) struct Completed;

impl NonInviteClient {
    pub(super) fn start(fx: &mut Effects<'_>, request: Bytes, patience: Duration) -> Self {
        fx.send(&request);
        fx.set_if_lossy(Letter::E, fx.timing.t1);
        fx.set(Letter::F, patience);
        Self::Trying(Trying {
            request,
            interval: fx.timing.t1,
        })
    }

    pub(super) fn response(self, fx: &mut Effects<'_>, status: StatusCode) -> Next {
        match self {
            Self::Trying(Trying { request, .. }) | Self::Proceeding(Proceeding { request }) => {
                if status.is_provisional() {
                    Next::non_invite(Self::Proceeding(Proceeding { request }), Tell::Response)
                } else if fx.set_if_lossy(Letter::K, fx.timing.t4) {
                    Next::non_invite(Self::Completed(Completed), Tell::Response)
                } else {
                    Next::over(Tell::Response)
                }
            }
            state @ Self::Completed(_) => Next::non_invite(state, Tell::Nothing),
        }
    }

    pub(super) fn fired(self, fx: &mut Effects<'_>, letter: Letter) -> Next {
        match (self, letter) {
            (Self::Trying(Trying { request, interval }), Letter::E) => {
                fx.retransmit(&request);
                let interval = (2 * interval).min(fx.timing.t2);
                fx.set(Letter::E, interval);
                Next::non_invite(Self::Trying(Trying { request, interval }), Tell::Nothing)
            }
            (Self::Proceeding(Proceeding { request }), Letter::E) => {
                fx.retransmit(&request);
                fx.set(Letter::E, fx.timing.t2);
                Next::non_invite(Self::Proceeding(Proceeding { request }), Tell::Nothing)
            }
            (Self::Trying(_) | Self::Proceeding(_), Letter::F) => Next::over(Tell::Timeout),
            (Self::Completed(_), Letter::K) => Next::over(Tell::Nothing),
            (state, _) => Next::non_invite(state, Tell::Nothing),
        }
    }
}
