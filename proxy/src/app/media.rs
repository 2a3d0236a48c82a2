//! The media relay that a gateway works with: one in this process, another one, or none.

use std::net::IpAddr;

use anyhow::{Context, bail};
use viaduct_mediarelay::RelayHandle;
use viaduct_settings::{GatewaySettings, RelayMode};

use crate::built_in;
use crate::journal::Journal;
use crate::shard::{RelayTarget, Shards};

/// Starts the relay of this process, if there is to be one.
pub(super) fn start_relay(
    settings: &GatewaySettings,
    shards: &Shards,
    journal: &Journal,
) -> anyhow::Result<Option<RelayHandle>> {
    match settings.relay.mode {
        RelayMode::Ng(_) | RelayMode::None => Ok(None),
        RelayMode::BuiltIn => built_in::start(settings, shards, journal).map(Some),
    }
}

/// How signalling reaches the relay.
pub(super) async fn relay_target(
    settings: &GatewaySettings,
    relay: Option<&RelayHandle>,
) -> anyhow::Result<RelayTarget> {
    match (&settings.relay.mode, relay) {
        (RelayMode::BuiltIn, Some(relay)) => Ok(RelayTarget::BuiltIn(relay.clone())),
        (RelayMode::BuiltIn, None) => bail!("the built-in relay was not started"),
        (RelayMode::None, _) => Ok(RelayTarget::None),
        (RelayMode::Ng(address), _) => {
            let mut found = tokio::net::lookup_host((address.host.as_str(), address.port))
                .await
                .with_context(|| format!("looking up the relay {address}"))?;
            let address = found
                .next()
                .with_context(|| format!("the relay {address} has no address"))?;
            Ok(RelayTarget::Ng {
                address,
                patience: settings.relay.timeout,
            })
        }
    }
}

/// Where services can receive media: the addresses of the relay, then all others of this machine.
pub(super) fn addresses(relay: Option<&RelayHandle>, own: &[IpAddr]) -> Vec<IpAddr> {
    let of_relay = relay
        .into_iter()
        .flat_map(RelayHandle::interfaces)
        .flat_map(|interface| &interface.addresses);
    of_relay
        .map(|address| address.address)
        .chain(own.iter().copied())
        .collect()
}
