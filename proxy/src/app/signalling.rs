//! The signalling threads, and what they have in common.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use mio::Poll;
use tokio::sync::watch;
use viaduct_mediarelay::RelayHandle;
use viaduct_routing::{
    Authenticator, Binding, CallCounts, Config, Guard, Listener, Location, Proxy, Shard, Shared, Users,
    WallClock,
};
use viaduct_settings::{GatewaySettings, RelayMode, Scheme};
use viaduct_sip::Limits;

use super::{Extras, Stopper};
use crate::convert;
use crate::hook::Hooks;
use crate::journal::Journal;
use crate::live::Condition;
use crate::net::conns::Conns;
use crate::net::context::NetContext;
use crate::net::names::Names;
use crate::net::outgoing::Connector;
use crate::net::turns::Places;
use crate::net::udp::UdpListener;
use crate::shard::{Inputs, RelayTarget, Services, ShardInput, ShardParts, ShardThread, Shards, pair};
use crate::status::{self, Inspector};
use crate::store::{Store, StoreFile, StoreThread};
use crate::tls;
use crate::users::UserLookups;

/// Where a gateway runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The folder of its state.
    pub(super) folder: &'a Path,
    /// Listeners as they were bound.
    pub(super) listeners: &'a [Listener],
    /// The addresses of this machine.
    pub(super) own: &'a [IpAddr],
    /// How many signalling threads there are.
    pub(super) count: usize,
    /// When it started.
    pub(super) now: Instant,
}

/// Everything that signalling threads need, before they run.
pub(super) struct Prepared {
    pub(super) common: Common,
    /// One for each thread.
    pub(super) queues: Vec<Queue>,
    pub(super) net: NetContext,
    /// `None` when registrations are kept in memory only.
    pub(super) store: Option<StoreThread>,
}

/// What wakes one thread, and what it is told.
pub(super) struct Queue {
    poll: Poll,
    inputs: Inputs<ShardInput>,
}

/// What all signalling threads work with.
pub(super) struct Common {
    config: Arc<Config>,
    users: Arc<Users>,
    clock: WallClock,
    started: Instant,
    conns: Arc<Conns>,
    connector: Connector,
    store: Option<Store>,
    limits: Limits,
    pub(super) shared: Shared,
    pub(super) shards: Shards,
    pub(super) names: Names,
    pub(super) lookups: UserLookups,
    pub(super) hooks: Hooks,
    pub(super) journal: Journal,
}

/// Opens the store, puts back what is known of an earlier life, and starts what signalling asks: the store, sources of
/// users, the hook, names.
pub(super) fn prepare(
    settings: &GatewaySettings,
    place: &Place<'_>,
    extras: &Extras,
    stopping: watch::Receiver<bool>,
) -> anyhow::Result<Prepared> {
    let clock = wall_clock(place.now);
    let file = StoreFile::open(place.folder)?;
    let journal = Journal::start(extras.printer(), settings.relay.mode == RelayMode::BuiltIn);
    let shared = shared(settings, &file)?;
    let store_config = convert::store_config(settings);
    if store_config.is_some() {
        restore(&file, &shared.location, place.now, clock)?;
    } else {
        file.forget_all()?;
    }
    let mut config = convert::routing_config(settings, place.listeners.to_vec(), place.own, place.count);
    config.trunks = convert::trunks::all(settings, None);

    let (shards, queues) = queues(settings, place.count, &shared)?;
    let lookups = UserLookups::start(shards.clone());
    let users = Arc::new(lookups.install(lookups.prepare(settings)?, settings));
    let hooks = Hooks::new(shards.clone());
    hooks.install(hooks.prepare(settings.hook.as_ref())?);
    let (store, store_thread) = match store_config {
        Some(config) => {
            let (store, thread) = Store::start(file, config, shards.clone())?;
            (Some(store), Some(thread))
        }
        None => (None, None),
    };
    let net = NetContext {
        shards: shards.clone(),
        conns: Conns::new(convert::conn_limits(settings)),
        aliases: Arc::default(),
        location: shared.location.clone(),
        places: Places::new(settings.limits.messages_in_flight as usize),
        tuning: Arc::new(RwLock::new(convert::tuning(settings))),
        proxies: Arc::new(RwLock::new(Arc::new(convert::proxies(settings)))),
        stopping,
    };
    let common = Common {
        config: Arc::new(config),
        users,
        clock,
        started: place.now,
        conns: net.conns.clone(),
        connector: Connector::new(net.clone(), tls::client_config(&settings.tls)?),
        store,
        limits: convert::message_limits(settings),
        shared,
        names: Names::start(&convert::names_config(settings, place.listeners), shards.clone()),
        shards,
        lookups,
        hooks,
        journal,
    };
    Ok(Prepared {
        common,
        queues,
        net,
        store: store_thread,
    })
}

impl Common {
    /// Starts a thread for each of `parts`: its queue, its sockets and its services.
    pub(super) fn start(
        &self,
        parts: impl Iterator<Item = ((Queue, Vec<UdpListener>), Services)>,
        relay: &RelayTarget,
        stopper: &Stopper,
    ) -> anyhow::Result<Vec<JoinHandle<io::Result<()>>>> {
        let parts = parts.enumerate();
        let threads = parts.map(|(index, ((Queue { poll, inputs }, listeners), services))| {
            let shard = Shard {
                index: index as u64,
                count: self.shards.iter().count() as u64,
                seed: rand::random(),
                clock: self.clock,
            };
            let parts = ShardParts {
                proxy: Proxy::new(self.config.clone(), self.users.clone(), &self.shared, shard),
                listeners,
                inputs,
                poll,
                index,
                shards: self.shards.clone(),
                conns: self.conns.clone(),
                connector: self.connector.clone(),
                names: self.names.clone(),
                store: self.store.clone(),
                lookups: self.lookups.clone(),
                hooks: self.hooks.clone(),
                relay: relay.clone(),
                services,
                journal: self.journal.clone(),
                limits: self.limits,
            };
            let thread = ShardThread::new(parts, self.started).context("starting a signalling thread")?;
            spawn(index, thread, stopper)
        });
        threads.collect()
    }

    /// What can be asked about the gateway.
    pub(super) fn inspector(
        &self,
        settings: &GatewaySettings,
        bound: &[(Scheme, SocketAddr)],
        relay: Option<RelayHandle>,
        condition: Arc<Condition>,
    ) -> Inspector {
        let listeners = bound
            .iter()
            .map(|(scheme, address)| format!("{scheme}://{address}"));
        Inspector {
            parts: Arc::new(status::Parts {
                started: self.started,
                domain: settings.site.domain.clone(),
                listeners: listeners.collect(),
                shards: self.shards.clone(),
                location: self.shared.location.clone(),
                conns: self.conns.clone(),
                connector: self.connector.clone(),
                names: self.names.clone(),
                journal: self.journal.clone(),
                guard: self.shared.guard.clone(),
                store: self.store.as_ref().map(|store| store.counters().clone()),
                lookups: self.lookups.clone(),
                hooks: self.hooks.clone(),
                relay_mode: match &settings.relay.mode {
                    RelayMode::BuiltIn => "built-in".to_owned(),
                    RelayMode::Ng(address) => format!("ng:udp://{address}"),
                    RelayMode::None => "none".to_owned(),
                },
                relay,
                condition,
                routing: Arc::new(RwLock::new(self.config.clone())),
            }),
        }
    }
}

fn shared(settings: &GatewaySettings, store: &StoreFile) -> anyhow::Result<Shared> {
    Ok(Shared {
        location: Arc::new(Location::default()),
        auth: Arc::new(Authenticator::new(
            store.secret("nonces", rand::random)?,
            settings.auth.nonce_lifetime,
            settings.limits.nonces as usize,
        )),
        guard: Arc::new(Guard::new(convert::guard_limits(settings))),
        calls: Arc::new(CallCounts::default()),
        token_secret: store.secret("flow-tokens", rand::random)?,
        own_call_ids: format!("{:016x}-", rand::random::<u64>()).into(),
    })
}

fn queues(settings: &GatewaySettings, count: usize, shared: &Shared) -> anyhow::Result<(Shards, Vec<Queue>)> {
    let mut handles = Vec::with_capacity(count);
    let mut queues = Vec::with_capacity(count);
    for _ in 0..count {
        let poll = Poll::new().context("making a poll")?;
        let (handle, inputs) = pair(&poll, settings.limits.shard_queue as usize).context("making a queue")?;
        handles.push(handle);
        queues.push(Queue { poll, inputs });
    }
    Ok((Shards::new(handles, Arc::clone(&shared.own_call_ids)), queues))
}

/// A signalling thread that fails takes the process with it: half a gateway would lose every other call silently.
fn spawn(index: usize, thread: ShardThread, stopper: &Stopper) -> anyhow::Result<JoinHandle<io::Result<()>>> {
    struct StopOnDrop(Stopper);
    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    let stop = StopOnDrop(stopper.clone());
    std::thread::Builder::new()
        .name(format!("sip-{index}"))
        .spawn(move || {
            let _stop = stop;
            thread.run()
        })
        .context("starting a signalling thread")
}

fn wall_clock(now: Instant) -> WallClock {
    // A clock before 1970 is wrong in any case; then every nonce and expiry is relative to the start.
    let unix = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallClock::new(now, unix)
}

/// Puts registrations of an earlier life into the table, and forgets those that mean nothing any more.
fn restore(store: &StoreFile, location: &Location, now: Instant, clock: WallClock) -> anyhow::Result<()> {
    let mut gone = Vec::new();
    for (aor, record) in store.bindings()? {
        let uri = record.uri.clone();
        match record.restore(now, clock) {
            Some(binding) => {
                let binding: Arc<Binding> = Arc::new(binding);
                location.update(&aor, now, |bindings| bindings.push(binding));
            }
            None => gone.push((aor, uri)),
        }
    }
    if !gone.is_empty() {
        store.forget(&gone)?;
    }
    Ok(())
}
