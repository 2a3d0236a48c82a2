//! The INVITE client transaction (RFC 3261 section 17.1.1 with RFC 6026 section 8.4).
//!
//! ```text
//! Calling ──1xx──▶ Proceeding ──2xx──▶ Accepted ──M──▶ over
//!    │ A: again        └──3xx-6xx──▶ Completed ──D──▶ over
//!    └──B──▶ over, timeout
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use viaduct_sip::{Message, RequestBuilder, StatusCode};

use super::{Next, Tell, reread};
use crate::effects::{Effects, Letter};

#[derive(Debug)]
pub(crate) enum InviteClient {
    Calling(Calling),
    Proceeding(Proceeding),
    Completed(Completed),
    Accepted(Accepted),
}

/// Nothing came back yet.
#[derive(Debug)]
pub(crate) struct Calling {
    request: Bytes,
    /// What timer A waits next.
    interval: Duration,
    cancel: CancelWish,
}

/// A provisional answer came. How long to wait for a final one is the user's decision (timer C).
#[derive(Debug)]
pub(crate) struct Proceeding {
    request: Bytes,
    cancelled: bool,
}

/// A 3xx-6xx came and was acknowledged; its repeats are acknowledged again.
#[derive(Debug)]
pub(crate) struct Completed {
    ack: Bytes,
}

/// A 2xx came; its repeats and those of other forks go to the user.
#[derive(Debug)]
pub(crate) struct Accepted;

/// Whether the user asked to cancel before a CANCEL was allowed to leave (RFC 3261 section 9.1).
#[derive(Debug)]
enum CancelWish {
    None,
    Pending { reason: Option<Arc<str>> },
}

/// What became of the user's wish to cancel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CancelOutcome {
    /// A CANCEL for this INVITE leaves at once.
    SendNow(Bytes),
    /// It leaves after the first provisional answer.
    Later,
    /// There is nothing to cancel: a final answer came, or a CANCEL is already out.
    TooLate,
}

impl InviteClient {
    pub(super) fn start(fx: &mut Effects<'_>, request: Bytes, patience: Duration) -> Self {
        fx.send(&request);
        fx.set_if_lossy(Letter::A, fx.timing.t1);
        fx.set(Letter::B, patience);
        Self::Calling(Calling {
            request,
            interval: fx.timing.t1,
            cancel: CancelWish::None,
        })
    }

    /// The user wants the INVITE cancelled.
    pub(crate) fn cancel(&mut self, fx: &mut Effects<'_>, reason: Option<Arc<str>>) -> CancelOutcome {
        match self {
            Self::Calling(state) => {
                if let CancelWish::None = state.cancel {
                    state.cancel = CancelWish::Pending { reason };
                }
                CancelOutcome::Later
            }
            Self::Proceeding(state) if !state.cancelled => {
                state.cancelled = true;
                fx.set(Letter::CancelGiveUp, fx.timing.lifetime());
                CancelOutcome::SendNow(state.request.clone())
            }
            Self::Proceeding(_) | Self::Completed(_) | Self::Accepted(_) => CancelOutcome::TooLate,
        }
    }

    pub(super) fn response(self, fx: &mut Effects<'_>, status: StatusCode, response: &Message) -> Next {
        match self {
            Self::Calling(Calling { request, cancel, .. }) if status.is_provisional() => {
                let tell = match cancel {
                    CancelWish::None => Tell::Response,
                    CancelWish::Pending { reason } => Tell::ResponseThenCancel { reason },
                };
                Next::invite(
                    Self::Proceeding(Proceeding {
                        request,
                        cancelled: false,
                    }),
                    tell,
                )
            }
            Self::Proceeding(state) if status.is_provisional() => {
                Next::invite(Self::Proceeding(state), Tell::Response)
            }
            Self::Calling(_) | Self::Proceeding(_) if status.is_success() => {
                fx.set(Letter::M, fx.timing.lifetime());
                Next::invite(Self::Accepted(Accepted), Tell::Response)
            }
            Self::Calling(Calling { request, .. }) | Self::Proceeding(Proceeding { request, .. }) => {
                Completed::enter(fx, &request, response)
            }
            Self::Completed(state) => {
                if status.is_final() && !status.is_success() {
                    fx.send(&state.ack);
                }
                Next::invite(Self::Completed(state), Tell::Nothing)
            }
            Self::Accepted(state) => {
                let tell = if status.is_success() {
                    Tell::Response
                } else {
                    Tell::Nothing
                };
                Next::invite(Self::Accepted(state), tell)
            }
        }
    }

    pub(super) fn fired(self, fx: &mut Effects<'_>, letter: Letter) -> Next {
        match (self, letter) {
            (Self::Calling(state), Letter::A) => Next::invite(Self::Calling(state.repeat(fx)), Tell::Nothing),
            (Self::Calling(_), Letter::B)
            | (Self::Proceeding(Proceeding { cancelled: true, .. }), Letter::CancelGiveUp) => {
                Next::over(Tell::Timeout)
            }
            (Self::Completed(_), Letter::D) | (Self::Accepted(_), Letter::M) => Next::over(Tell::Nothing),
            (state, _) => Next::invite(state, Tell::Nothing),
        }
    }
}

impl Calling {
    fn repeat(self, fx: &mut Effects<'_>) -> Self {
        fx.retransmit(&self.request);
        let interval = 2 * self.interval;
        fx.set(Letter::A, interval);
        Self { interval, ..self }
    }
}

impl Completed {
    fn enter(fx: &mut Effects<'_>, request: &Bytes, response: &Message) -> Next {
        // Fails only when the user's own request does not read back: then nothing can acknowledge its answer.
        let Some(ack) =
            reread(request).and_then(|invite| RequestBuilder::ack_for(&invite, response).ok()?.build().ok())
        else {
            return Next::over(Tell::Response);
        };
        fx.send(&ack);
        let lossy = fx.set_if_lossy(Letter::D, fx.timing.timer_d);
        if lossy {
            Next::invite(InviteClient::Completed(Self { ack }), Tell::Response)
        } else {
            Next::over(Tell::Response)
        }
    }
}
