//! The echo and music services: an agent on each shard, and one thread for the media of all their calls.

mod media;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use viaduct_service::{
    Agent, Config, Counters, Event, Family, Gauges, MediaAddress, MediaOpenError, Output, StreamEvent,
    StreamId,
};
use viaduct_settings::GatewaySettings;
use viaduct_sip::{Limits, Message};

use self::media::{MediaThread, Order};
use super::{Handle, Shards};

/// What the media thread tells a shard.
#[derive(Debug)]
pub(crate) enum ServiceInput {
    /// The media of a call is open, or cannot be opened.
    Opened {
        stream: StreamId,
        result: Result<MediaAddress, MediaOpenError>,
    },
    /// The media of a call has something to tell.
    Told { stream: StreamId, event: StreamEvent },
}

/// What services are started with.
#[derive(Debug, Clone)]
pub(crate) struct ServicesConfig {
    agent: Config,
    message_limits: Limits,
    addresses: Addresses,
}

/// Where services receive media, at most one address of each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Addresses {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Addresses {
    /// The first of each family, one that only this machine reaches if there is no other.
    fn choose(candidates: &[IpAddr]) -> Self {
        let first = |is_wanted: fn(&IpAddr) -> bool| {
            let far = candidates.iter().find(|ip| is_wanted(ip) && !ip.is_loopback());
            far.or_else(|| candidates.iter().find(|ip| is_wanted(ip)))
                .copied()
        };
        Self {
            v4: first(IpAddr::is_ipv4),
            v6: first(IpAddr::is_ipv6),
        }
    }

    fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

impl ServicesConfig {
    /// `candidates` are addresses of this machine that the relay reaches, the preferred one first.
    pub(crate) fn new(settings: &GatewaySettings, candidates: &[IpAddr]) -> anyhow::Result<Self> {
        let mut agent = Config::new(&settings.site.domain)
            .with_context(|| format!("the domain `{}` fits no SIP URI", settings.site.domain))?;
        agent.times.timing = crate::convert::timing(&settings.timers);
        agent.limits.sessions_max = settings.limits.service_calls as usize;
        agent.limits.transactions.server_transactions_max = agent
            .limits
            .transactions
            .server_transactions_max
            .min(settings.limits.transactions as usize);
        let addresses = Addresses::choose(candidates);
        if addresses.v4.is_none() {
            agent.offer_family = Family::V6;
        }
        Ok(Self {
            agent,
            message_limits: crate::convert::message_limits(settings),
            addresses,
        })
    }
}

/// The services of one shard.
#[derive(Debug)]
pub(crate) struct Services {
    agent: Agent,
    media: Handle<Order>,
    shard: usize,
    messages: VecDeque<Message>,
    limits: Limits,
}

impl Services {
    /// Starts the media thread, and makes an agent for each shard.
    pub(crate) fn start(config: ServicesConfig, shards: &Shards) -> anyhow::Result<Vec<Self>> {
        let ServicesConfig {
            agent,
            message_limits,
            addresses,
        } = config;
        let media =
            MediaThread::spawn(addresses, shards.clone()).context("starting the services' media thread")?;
        let services = (0..shards.len()).map(|shard| Self {
            agent: Agent::new(agent.clone(), rand::random()),
            media: media.clone(),
            shard,
            messages: VecDeque::new(),
            limits: message_limits,
        });
        Ok(services.collect())
    }

    /// Works with another configuration from here on. Where media is received stays as it is.
    pub(crate) fn reconfigure(&mut self, config: &ServicesConfig) {
        self.agent.reconfigure(config.agent.clone());
        self.limits = config.message_limits;
    }

    /// A message of the proxy.
    pub(crate) fn handle_message(&mut self, now: Instant, octets: Bytes) {
        match Message::parse_frame(octets, &self.limits) {
            Ok(message) => self.agent.handle_message(now, &message),
            // Headers that the proxy added took it over a limit. The transaction of the caller times out.
            Err(error) => tracing::warn!("a message to a service cannot be read: {error}"),
        }
        self.drain();
    }

    /// Something about media.
    pub(crate) fn handle(&mut self, now: Instant, input: ServiceInput) {
        match input {
            ServiceInput::Opened { stream, result } => self.agent.handle_media_opened(now, stream, result),
            ServiceInput::Told { stream, event } => self.agent.handle_stream_event(now, stream, event),
        }
        self.drain();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.drain();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    /// The next message for the proxy.
    pub(crate) fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    pub(crate) fn gauges(&self) -> Gauges {
        self.agent.gauges()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.agent.counters().0
    }

    fn drain(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            let shard = self.shard;
            match output {
                Output::Send { octets } => match Message::parse_frame(octets, &self.limits) {
                    Ok(message) => self.messages.push_back(message),
                    Err(error) => tracing::warn!("a message of a service cannot be read: {error}"),
                },
                // The media thread never waits for a shard, so a shard may wait for it.
                Output::OpenMedia {
                    stream,
                    service,
                    family,
                    params,
                } => {
                    self.media.push_blocking(Order::Open {
                        shard,
                        stream,
                        service,
                        family,
                        params,
                    });
                }
                Output::UpdateMedia { stream, params } => {
                    self.media.push_blocking(Order::Update {
                        shard,
                        stream,
                        params,
                    });
                }
                Output::CloseMedia { stream } => self.media.push_blocking(Order::Close { shard, stream }),
                Output::Event(event) => tell(&event),
            }
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.media.push_blocking(Order::Leave { shard: self.shard });
    }
}

/// Calls are told of by the proxy; what only a service knows goes to the log.
fn tell(event: &Event) {
    match event {
        Event::MediaFailed { stream, error } => {
            tracing::warn!(%stream, "a call to a service gets no media: {error}");
        }
        Event::Refused {
            call_id,
            method,
            status,
            reason,
        } => {
            tracing::debug!(call_id, "a service refused {method}: {status} {reason}");
        }
        Event::CallStarted {
            stream,
            service,
            call_id,
        } => tracing::debug!(%stream, call_id, "{service} is called"),
        Event::CallAnswered { stream } => tracing::debug!(%stream, "a service answered"),
        Event::CallEnded { stream, end, talked } => {
            tracing::debug!(%stream, ?end, ?talked, "a service's call ended");
        }
        Event::Digit {
            stream,
            digit,
            source,
        } => tracing::debug!(%stream, %digit, ?source, "a service heard a key"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_settings::{FixedEnvironment, load_gateway};

    use super::*;

    #[test]
    fn services_are_as_patient_as_the_rest_of_signalling() {
        let environment = FixedEnvironment::default().with_file("secret", "apple pie");
        let text = "site: { domain: localhost }\nusers: { a: { secret_file: secret } }\n\
                    timers: { t1: 20ms, t2: 80ms, t4: 90ms }";
        let loaded = load_gateway("test.yaml", text, &environment, &|_| Vec::new()).unwrap();
        let config = ServicesConfig::new(&loaded.settings, &[]).unwrap();
        let timing = config.agent.times.timing;
        let expected = [20, 80, 90].map(Duration::from_millis);
        assert_eq!([timing.t1, timing.t2, timing.t4], expected);
    }
}
