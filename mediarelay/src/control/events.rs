//! What the log says of calls. Addresses and names stay below `info`.

use viaduct_session::{DeleteReason, Event, What};

/// What a user would notice is `info`, everything else `debug`.
pub(super) fn log(event: &Event) {
    let call_id = &event.call_id;
    match &event.what {
        What::IceFailed { media, reason } => {
            tracing::info!("a browser has no network path: {reason:?}");
            tracing::debug!(%call_id, ?media, ?reason, "ICE failed");
        }
        What::DtlsFailed { media, reason } => {
            tracing::info!("a call has no keys: {reason}");
            tracing::debug!(%call_id, ?media, ?reason, "DTLS failed");
        }
        What::NoKeys { media } => {
            tracing::info!("a call has no keys: nothing was offered that they could be taken from");
            tracing::debug!(%call_id, ?media, "no keys");
        }
        What::Deleted {
            reason: DeleteReason::MediaTimeout | DeleteReason::SilentTimeout,
            lasted,
            ..
        } => {
            tracing::info!("a call ended for want of media after {} s", lasted.as_secs());
            tracing::debug!(%call_id, ?event.what, "call ended");
        }
        what => tracing::debug!(%call_id, ?what, "call"),
    }
}
