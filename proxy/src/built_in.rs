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
    let relay = RelayHandle::start(config(settings)).context("the media relay does not start")?;
    tokio::spawn(hear(relay.events(), shards.clone(), journal.clone()));
    Ok(relay)
}

/// The relay has room for the gateway's calls, and for those that signalling has ended a moment before it hears of it.
pub(crate) fn config(settings: &GatewaySettings) -> RelayConfig {
    let calls = settings.limits.calls as usize;
    let media = settings.relay.media.clone();
    RelayConfig::in_process(media, settings.site.public_ip.clone()).with_room_for(calls + calls / 8)
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

#[cfg(test)]
mod tests {
    use viaduct_mediarelay::RelayLimits;
    use viaduct_settings::{FixedEnvironment, load_gateway};

    use super::*;

    fn limits(text: &str) -> RelayLimits {
        let environment = FixedEnvironment::default().with_file("secret", "apple pie");
        let text =
            format!("site: {{ domain: localhost }}\nusers: {{ a: {{ secret_file: secret }} }}\n{text}");
        let loaded = load_gateway("test.yaml", &text, &environment, &|_| Vec::new());
        config(&loaded.unwrap().settings).limits
    }

    #[test]
    fn the_relay_has_room_for_the_gateways_calls() {
        assert_eq!(limits(""), RelayLimits::default());
        assert_eq!(limits("limits: { calls: 40000 }"), RelayLimits::for_calls(45_000));
        // As many as one relay can carry.
        let most = limits("limits: { calls: 1000000 }");
        assert_eq!(most, RelayLimits::for_calls(RelayLimits::CALLS_MAX));
    }

    /// Settings know no relay; what they tell of its room must be true all the same.
    #[test]
    fn settings_know_how_many_calls_a_relay_can_carry() {
        assert_eq!(viaduct_settings::RELAY_CALLS_MAX as usize, RelayLimits::CALLS_MAX);
    }

    #[test]
    fn what_is_written_for_the_relay_counts_more() {
        let limits =
            limits("limits: { calls: 40000 }\nrelay: { limits: { calls: 50, srtp: { live_ssrcs: 7 } } }");
        assert_eq!((limits.calls.calls, limits.crypto.srtp.live_ssrcs), (50, 7));
    }
}
