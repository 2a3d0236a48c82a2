//! The media relay in this process, and what it tells of calls.

use anyhow::Context;
use bytes::Bytes;
use viaduct_mediarelay::{DeleteReason, Event, Events, IceFailure, RelayConfig, RelayHandle, What};
use viaduct_settings::GatewaySettings;

use crate::journal::{Journal, MediaNote};
use crate::shard::{ShardInput, Shards};

/// Starts the relay, and a task that hears what it tells. The task ends with the relay.
pub(crate) fn start(
    settings: &GatewaySettings,
    shards: &Shards,
    journal: &Journal,
) -> anyhow::Result<RelayHandle> {
    let config = RelayConfig::in_process(settings.relay.media.clone(), settings.site.public_ip.clone());
    let relay = RelayHandle::start(config).context("the media relay does not start")?;
    tokio::spawn(hear(relay.events(), shards.clone(), journal.clone()));
    Ok(relay)
}

async fn hear(mut events: Events, shards: Shards, journal: Journal) {
    while let Some(event) = events.next().await {
        if let What::Deleted {
            reason: DeleteReason::MediaTimeout | DeleteReason::SilentTimeout,
            ..
        } = event.what
        {
            let call_id = Bytes::copy_from_slice(event.call_id.as_bytes());
            shards
                .at(shards.index_of_call(&call_id))
                .push(ShardInput::MediaTimeout { call_id })
                .await;
        }
        if let Some(note) = note_of(&event) {
            journal.tell_media(note);
        }
    }
}

/// What people are told of an event, if anything.
fn note_of(event: &Event) -> Option<MediaNote> {
    let call_id = event.call_id.to_string();
    match &event.what {
        What::MediaBothWays { after, media } if media.kind == "audio" => Some(MediaNote::BothWays {
            call_id,
            after: *after,
        }),
        What::IceFailed { media, reason } => {
            let why = match reason {
                IceFailure::NoPath => "no ICE check succeeded",
                IceFailure::ConsentLost => "the peer has fallen silent",
            };
            let what = format!("no network path for the {} of {}: {why}", media.kind, media.tag);
            Some(MediaNote::Trouble { call_id, what })
        }
        What::DtlsFailed { media, reason } => {
            let what = format!("no keys for the {} of {}: {reason}", media.kind, media.tag);
            Some(MediaNote::Trouble { call_id, what })
        }
        What::NoKeys { media } => {
            let what = format!(
                "no keys for the {} of {}: its SDP offers none that are known here",
                media.kind, media.tag
            );
            Some(MediaNote::Trouble { call_id, what })
        }
        _ => None,
    }
}
