//! What a running gateway is like: for `viaduct status`, for pages and for Prometheus, from the same values.

mod metrics;
mod route;

pub(crate) use self::route::{RouteView, caller};

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;
use viaduct_mediarelay::RelayHandle;
use viaduct_routing::{CallNumber, CallView, Config, Counters, Flags, Gauges, Guard, Location};
use viaduct_trunk::TrunkView;

use crate::hook::Hooks;
use crate::journal::Journal;
use crate::live::{Condition, ConfigStatus};
use crate::net::conns::Conns;
use crate::net::names::Names;
use crate::net::outgoing::Connector;
use crate::shard::{Command, ShardInput, ShardSnapshot, Shards};
use crate::store::StoreCounters;
use crate::users::UserLookups;

/// How long a signalling thread may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Asks every part of the gateway how it is.
#[derive(Clone)]
pub(crate) struct Inspector {
    pub(crate) parts: Arc<Parts>,
}

/// What there is to ask.
pub(crate) struct Parts {
    pub(crate) started: Instant,
    pub(crate) domain: String,
    pub(crate) listeners: Vec<String>,
    pub(crate) shards: Shards,
    pub(crate) location: Arc<Location>,
    pub(crate) conns: Arc<Conns>,
    pub(crate) connector: Connector,
    pub(crate) names: Names,
    pub(crate) guard: Arc<Guard>,
    /// What the store has done, if there is one.
    pub(crate) store: Option<Arc<StoreCounters>>,
    pub(crate) lookups: UserLookups,
    pub(crate) hooks: Hooks,
    pub(crate) journal: Journal,
    /// `built-in`, or the address of another relay.
    pub(crate) relay_mode: String,
    /// The relay in this process.
    pub(crate) relay: Option<RelayHandle>,
    pub(crate) condition: Arc<Condition>,
    /// The configuration that signalling works with.
    pub(crate) routing: Arc<RwLock<Arc<Config>>>,
}

/// The answer to `viaduct status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Version of the program.
    pub(crate) version: String,
    /// Seconds since it started.
    pub(crate) uptime_s: u64,
    /// SIP domain.
    pub(crate) domain: String,
    /// Whether calls are only finished, and none is taken.
    #[serde(default)]
    pub(crate) draining: bool,
    /// The configuration that runs.
    #[serde(default)]
    pub(crate) config: ConfigStatus,
    /// Listeners as they were bound.
    pub(crate) listeners: Vec<String>,
    /// Registered contacts.
    pub(crate) registrations: usize,
    /// What signalling holds right now.
    pub(crate) signalling: Signalling,
    /// Open connections.
    pub(crate) connections: ConnectionStatus,
    /// The relay.
    pub(crate) relay: RelayStatus,
    /// The carriers.
    #[serde(default)]
    pub(crate) trunks: Vec<TrunkView>,
    /// Events that were not written to the log because too many waited.
    pub(crate) log_lines_lost: u64,
}

/// What the signalling threads hold right now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Signalling {
    /// Signalling threads.
    pub(crate) shards: usize,
    /// Calls, ringing and answered.
    pub(crate) calls: usize,
    /// Calls that were answered.
    pub(crate) calls_answered: usize,
    /// Server and client transactions.
    pub(crate) transactions: usize,
    /// Requests on their way, with their branches.
    pub(crate) forwarded_requests: usize,
    /// Requests that wait for the relay or the store.
    pub(crate) waiting: usize,
    /// Calls to the echo and music services.
    pub(crate) service_sessions: usize,
}

/// Connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConnectionStatus {
    /// Those that carry SIP: TCP, TLS, WS, WSS.
    pub(crate) sip: usize,
    /// All, those for pages and in their handshake included.
    pub(crate) all: usize,
    /// Tasks of the runtime that serves them.
    pub(crate) tasks: usize,
}

/// The relay, as far as this process knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RelayStatus {
    /// `built-in`, or the address of another relay.
    pub(crate) mode: String,
    /// What the built-in relay holds right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) built_in: Option<serde_json::Value>,
}

/// One registered contact, as `viaduct registrations` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RegistrationView {
    /// Address of record.
    pub(crate) aor: String,
    /// Contact URI.
    pub(crate) contact: String,
    /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`.
    pub(crate) transport: String,
    /// Where it is reached.
    pub(crate) address: String,
    /// Branch flags: `DST_WS` for a contact that registered over WS or WSS.
    pub(crate) flags: Flags,
    /// Seconds until it ends.
    pub(crate) expires_s: u64,
    /// What the device calls itself.
    pub(crate) user_agent: Option<String>,
    /// The device's identity.
    pub(crate) instance: Option<String>,
    /// Preference, 0 to 1.
    pub(crate) q: f32,
}

/// Everything that shards said.
pub(crate) struct Snapshots {
    pub(crate) shards: Vec<ShardSnapshot>,
}

impl Snapshots {
    pub(crate) fn gauges(&self) -> Gauges {
        self.shards
            .iter()
            .map(|shard| shard.gauges)
            .fold(Gauges::default(), |all, one| all + one)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.shards
            .iter()
            .map(|shard| shard.counters)
            .fold(Counters::default(), |all, one| all + one)
    }
}

/// Dialogs of every stage that the services have.
fn service_sessions(gauges: &viaduct_service::Gauges) -> usize {
    gauges.calls_opening + gauges.calls_answered + gauges.dialogs_ending
}

impl Parts {
    /// The configuration that signalling works with.
    pub(crate) fn routing(&self) -> Arc<Config> {
        Arc::clone(&self.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signalling works with another configuration.
    pub(crate) fn set_routing(&self, config: Arc<Config>) {
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Every trunk, in the order of the configuration.
    pub(crate) fn trunks(&self) -> Vec<TrunkView> {
        let now = Instant::now();
        let config = self.routing();
        config.trunks.iter().map(|line| line.view(now)).collect()
    }
}

impl Inspector {
    /// What each shard holds and counted. `None` when one does not answer in time.
    pub(crate) async fn snapshots(&self) -> Option<Snapshots> {
        let shards = self.ask(Command::Snapshot).await?;
        Some(Snapshots { shards })
    }

    /// The whole status. `None` when a signalling thread does not answer.
    pub(crate) async fn status(&self) -> Option<Status> {
        let parts = &self.parts;
        let snapshots = self.snapshots().await?;
        let gauges = snapshots.gauges();
        let (sip, all) = parts.conns.len();
        Some(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: parts.started.elapsed().as_secs(),
            domain: parts.domain.clone(),
            draining: parts.condition.is_draining(),
            config: parts.condition.config(),
            listeners: parts.listeners.clone(),
            registrations: parts.location.snapshot(Instant::now()).len(),
            signalling: Signalling {
                shards: snapshots.shards.len(),
                calls: gauges.calls,
                calls_answered: gauges.calls_answered,
                transactions: gauges.server_transactions + gauges.client_transactions,
                forwarded_requests: gauges.forwarded_requests,
                waiting: gauges.relay_requests_waiting
                    + gauges.store_requests_waiting
                    + gauges.lookups_waiting
                    + gauges.decisions_waiting,
                service_sessions: snapshots
                    .shards
                    .iter()
                    .map(|shard| service_sessions(&shard.services))
                    .sum(),
            },
            connections: ConnectionStatus {
                sip,
                all,
                tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            },
            relay: RelayStatus {
                mode: parts.relay_mode.clone(),
                built_in: self.relay_status().await,
            },
            trunks: parts.trunks(),
            log_lines_lost: parts.journal.lost(),
        })
    }

    /// Calls that a gateway has to finish before it can end: those between users, those to services, and requests that
    /// wait for somebody. `None` when a signalling thread does not answer.
    pub(crate) async fn calls_left(&self) -> Option<usize> {
        let snapshots = self.snapshots().await?;
        let Gauges {
            calls,
            relay_requests_waiting,
            store_requests_waiting,
            ..
        } = snapshots.gauges();
        let at_services = snapshots
            .shards
            .iter()
            .map(|shard| service_sessions(&shard.services));
        // A call to a service is a call of signalling too, and ends there first.
        let calls = calls.max(at_services.sum());
        Some(calls.max(relay_requests_waiting + store_requests_waiting))
    }

    /// Every registered contact, in the order of their addresses.
    pub(crate) fn registrations(&self) -> Vec<RegistrationView> {
        let now = Instant::now();
        let mut all: Vec<RegistrationView> = self
            .parts
            .location
            .snapshot(now)
            .into_iter()
            .map(|(aor, binding)| RegistrationView {
                aor: aor.as_str().to_owned(),
                contact: binding.uri.to_string(),
                transport: binding.flow.transport.to_string(),
                address: binding.flow.remote.to_string(),
                flags: binding.flags,
                expires_s: binding.time_left(now).unwrap_or_default().as_secs(),
                user_agent: binding.user_agent.as_deref().map(str::to_owned),
                instance: binding.instance.as_deref().map(str::to_owned),
                q: f32::from(binding.q) / 1_000.0,
            })
            .collect();
        all.sort_by(|a, b| (&a.aor, &a.contact).cmp(&(&b.aor, &b.contact)));
        all
    }

    /// Every call, in the order of their numbers.
    pub(crate) async fn calls(&self) -> Option<Vec<CallView>> {
        let mut calls = self.ask(Command::Calls).await?.concat();
        calls.sort_by_key(|call| call.call);
        Some(calls)
    }

    /// Ends a call. `None` when a signalling thread does not answer, `Some(false)` when there is no such call.
    pub(crate) async fn hang_up(&self, call: CallNumber) -> Option<bool> {
        let found = self.ask(|answer| Command::HangUp(call, answer)).await?;
        Some(found.contains(&true))
    }

    /// What was counted, in the text format of OpenMetrics.
    pub(crate) async fn metrics(&self) -> Option<String> {
        let snapshots = self.snapshots().await?;
        metrics::encode(&self.parts, &snapshots)
    }

    async fn relay_status(&self) -> Option<serde_json::Value> {
        let relay = self.parts.relay.as_ref()?;
        Some(relay.snapshot().await.ok()?.to_json())
    }

    /// Asks every shard the same.
    async fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Option<Vec<T>> {
        let mut answers = Vec::new();
        for shard in self.parts.shards.iter() {
            let (sender, receiver) = oneshot::channel();
            shard.push(ShardInput::Command(command(sender))).await;
            answers.push(receiver);
        }
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.push(timeout(ANSWER_MAX, answer).await.ok()?.ok()?);
        }
        Some(all)
    }
}
