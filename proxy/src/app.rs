//! The gateway put together: settings → sockets → threads → running → ended.
//!
//! Everything that can fail at start fails here, before the first call is taken, and says what to do.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use mio::Poll;
use tokio::net::TcpListener;
use tokio::sync::watch;
use viaduct_mediarelay::{RelayHandle, port_owner};
use viaduct_routing::{
    Authenticator, Binding, CallCounts, Guard, Listener, Location, Proxy, Shard, Shared, Trunks, WallClock,
};
use viaduct_settings::{GatewaySettings, Layer, Loaded, RelayMode, Scheme};

use crate::built_in;
use crate::control::ControlSocket;
use crate::convert;
use crate::health::Health;
use crate::hook::Hooks;
use crate::http::{self, DeskPhone, DialEntry, HttpContext, PhoneApi, PhoneUser, Surface};
use crate::journal::{Journal, Printer};
use crate::live::{self, Condition, Live};
use crate::net::conns::Conns;
use crate::net::context::NetContext;
use crate::net::names::Names;
use crate::net::outgoing::Connector;
use crate::net::proxies::Proxies;
use crate::net::stream;
use crate::net::udp::UdpListener;
use crate::private;
use crate::shard::{
    Command, RelayTarget, Services, ServicesConfig, ShardInput, ShardParts, ShardThread, Shards, pair,
};
use crate::status::{Inspector, Parts};
use crate::store::{Store, StoreFile, StoreThread};
use crate::tls::{self, Secure};
use crate::users::UserLookups;

/// How long the end of the process may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The media relay's part of it.
const RELAY_STOP_MAX: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// What a gateway is started with, besides its settings.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Users whose passwords the phone page is given: the demo's.
    pub(crate) handed_out: Vec<PhoneUser>,
    /// The quick dial list of the phone page.
    pub(crate) dial: Vec<DialEntry>,
    /// How a desk phone is set up, for the phone page.
    pub(crate) desk_phone: Option<DeskPhone>,
    /// Pages are read from here.
    pub(crate) web_dir: Option<PathBuf>,
    /// Lines about calls go to standard output.
    pub(crate) plain_lines: bool,
    /// Where the settings come from, to read them again. The demo writes none.
    pub(crate) file: Option<PathBuf>,
}

/// Ends a running gateway.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    stopping: Arc<watch::Sender<bool>>,
}

impl Stopper {
    fn new() -> Self {
        Self {
            stopping: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets it end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves when somebody said so.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    stopper: Stopper,
    live: Live,
    health: Health,
    shards: Shards,
    threads: Vec<JoinHandle<io::Result<()>>>,
    store: Option<StoreThread>,
    relay: Option<RelayHandle>,
    /// Where it listens: scheme, address, and what serves it.
    pub(crate) bound: Vec<(Scheme, SocketAddr)>,
}

/// Sockets that were bound, before anything runs.
struct Bound {
    udp: Vec<Vec<UdpListener>>,
    tcp: Vec<(Scheme, std::net::TcpListener)>,
    listeners: Vec<Listener>,
    addresses: Vec<(Scheme, SocketAddr)>,
}

impl Gateway {
    /// Starts everything. Must run inside a Tokio runtime.
    pub(crate) async fn start(loaded: Loaded<GatewaySettings>, extras: Extras) -> anyhow::Result<Self> {
        let now = Instant::now();
        let settings = loaded.settings.clone();
        let condition = Arc::new(Condition::new(extras.file.as_deref(), now));
        let folder = PathBuf::from(&settings.site.state_dir);
        private::make_folder(&folder)?;
        let control = ControlSocket::bind(Path::new(&settings.control_socket))?;
        let store = StoreFile::open(&folder)?;
        let shards_wanted = std::thread::available_parallelism().map_or(1, usize::from);
        let bound = bind_all(&settings, shards_wanted)?;
        let own = own_addresses();
        let names = certificate_names(&settings, &own);
        let stopper = Stopper::new();
        let printer = if extras.plain_lines {
            Printer::Plain
        } else {
            Printer::Log
        };
        let journal = Journal::start(printer, settings.relay.mode == RelayMode::BuiltIn);

        let clock = wall_clock(now);
        let shared = Shared {
            location: Arc::new(Location::default()),
            auth: Arc::new(Authenticator::new(
                store.secret("nonces", rand::random)?,
                settings.auth.nonce_lifetime,
                settings.limits.nonces as usize,
            )),
            guard: Arc::new(Guard::new(convert::guard_limits(&settings))),
            calls: Arc::new(CallCounts::default()),
            token_secret: store.secret("flow-tokens", rand::random)?,
            own_call_ids: format!("{:016x}-", rand::random::<u64>()).into(),
        };
        let store_config = convert::store_config(&settings);
        if store_config.is_some() {
            restore(&store, &shared.location, now, clock)?;
        } else {
            store.forget_all()?;
        }

        let mut config = convert::routing_config(&settings, bound.listeners.clone(), &own, shards_wanted);
        config.trunks = Trunks::new(convert::trunks::trunks(&settings), None);
        let config = Arc::new(config);
        let mut polls = Vec::new();
        let mut handles = Vec::new();
        for _ in 0..shards_wanted {
            let poll = Poll::new().context("making a poll")?;
            let (handle, inputs) =
                pair(&poll, settings.limits.shard_queue as usize).context("making a queue")?;
            handles.push(handle);
            polls.push((poll, inputs));
        }
        let shards = Shards::new(handles, Arc::clone(&shared.own_call_ids));
        let lookups = UserLookups::start(shards.clone());
        let users = Arc::new(lookups.install(lookups.prepare(&settings)?, &settings));
        let hooks = Hooks::new(shards.clone());
        hooks.install(hooks.prepare(settings.hook.as_ref())?);
        let (store, store_thread) = match store_config {
            Some(config) => {
                let (store, thread) = Store::start(store, config, shards.clone())?;
                (Some(store), Some(thread))
            }
            None => (None, None),
        };
        let conns = Conns::new(convert::conn_limits(&settings));
        let limits = convert::message_limits(&settings);

        let net = NetContext {
            shards: shards.clone(),
            conns: conns.clone(),
            location: shared.location.clone(),
            tuning: Arc::new(RwLock::new(convert::tuning(&settings))),
            proxies: Arc::new(RwLock::new(Arc::new(convert::proxies(&settings)))),
            stopping: stopper.stopping.subscribe(),
        };
        let connector = Connector::new(net.clone(), tls::client_config(&settings.tls)?);
        let names_config = convert::names_config(&settings, &bound.listeners);
        let resolver = Names::start(&names_config, shards.clone());

        let relay = start_relay(&settings, &shards, &journal)?;
        let target = relay_target(&settings, relay.as_ref()).await?;
        let media = media_addresses(relay.as_ref(), &own);
        let services = ServicesConfig::new(&settings, &media)?;
        let services = Services::start(services, &shards)?;

        let mut threads = Vec::new();
        let parts = polls.into_iter().zip(bound.udp).zip(services).enumerate();
        for (index, (((poll, inputs), listeners), services)) in parts {
            let shard = Shard {
                index: index as u64,
                count: shards_wanted as u64,
                seed: rand::random(),
                clock,
            };
            let parts = ShardParts {
                proxy: Proxy::new(config.clone(), users.clone(), &shared, shard),
                listeners,
                inputs,
                poll,
                index,
                shards: shards.clone(),
                conns: conns.clone(),
                connector: connector.clone(),
                names: resolver.clone(),
                store: store.clone(),
                lookups: lookups.clone(),
                hooks: hooks.clone(),
                relay: target.clone(),
                services,
                journal: journal.clone(),
                limits,
            };
            let thread = ShardThread::new(parts, now).context("starting a signalling thread")?;
            threads.push(spawn_shard(index, thread, &stopper)?);
        }

        let inspector = Inspector {
            parts: Arc::new(Parts {
                started: now,
                domain: settings.site.domain.clone(),
                listeners: bound
                    .addresses
                    .iter()
                    .map(|(scheme, address)| format!("{scheme}://{address}"))
                    .collect(),
                shards: shards.clone(),
                location: shared.location.clone(),
                conns,
                connector,
                names: resolver.clone(),
                journal: journal.clone(),
                guard: shared.guard.clone(),
                store: store.as_ref().map(|store| store.counters().clone()),
                lookups: lookups.clone(),
                hooks: hooks.clone(),
                relay_mode: match &settings.relay.mode {
                    RelayMode::BuiltIn => "built-in".to_owned(),
                    RelayMode::Ng(address) => format!("ng:udp://{address}"),
                    RelayMode::None => "none".to_owned(),
                },
                relay: relay.clone(),
                condition,
                routing: Arc::new(RwLock::new(config)),
            }),
        };
        let health = Health::new(inspector.clone());
        let file = extras.file.clone();
        let context = HttpContext {
            net: net.clone(),
            origins: Arc::new(RwLock::new(convert::origins(&settings))),
            health: health.clone(),
            phone: Arc::new(phone_api(&settings, extras, shared.location, &bound.addresses)),
        };
        let secure = if bound.tcp.iter().any(|(scheme, _)| scheme.is_secure()) {
            Some(Secure::new(&settings.tls, &folder, names)?)
        } else {
            None
        };
        serve_all(bound.tcp, secure.as_ref(), &net, &context)?;
        serve_metrics(&settings, &net, &context).await?;
        let parts = live::Parts {
            net,
            names: resolver,
            lookups,
            hooks,
            guard: shared.guard,
            origins: context.origins,
            secure,
            listeners: bound.listeners,
            own,
            media,
        };
        let live = Live::new(file, loaded, parts, inspector.clone(), stopper.clone());
        tokio::spawn(live.clone().watch_certificates());
        tokio::spawn(control.serve(inspector, live.clone(), stopper.clone()));
        health.set_ready(true);
        Ok(Self {
            stopper,
            live,
            health,
            shards,
            threads,
            store: store_thread,
            relay,
            bound: bound.addresses,
        })
    }

    /// Ends it when somebody says so.
    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Changes it while it runs.
    pub(crate) fn live(&self) -> Live {
        self.live.clone()
    }

    /// Waits until somebody says so, then ends everything in order: no new connections, then signalling, then media,
    /// then the store.
    pub(crate) async fn run_to_end(self) -> anyhow::Result<()> {
        self.stopper.stopped().await;
        self.health.set_ready(false);
        for shard in self.shards.iter() {
            shard.push(ShardInput::Command(Command::Stop)).await;
        }
        let Self {
            threads,
            store,
            relay,
            ..
        } = self;
        let ending = tokio::task::spawn_blocking(move || {
            let mut result = Ok(());
            for thread in threads {
                result = match thread.join() {
                    Ok(Ok(())) => result,
                    Ok(Err(error)) => Err(anyhow::Error::new(error).context("a signalling thread failed")),
                    Err(_) => Err(anyhow::anyhow!("a signalling thread ended with a fault")),
                };
            }
            if let Some(Err(stuck)) = relay.map(|relay| relay.shutdown(RELAY_STOP_MAX)) {
                tracing::warn!("the media relay: {stuck}");
            }
            if let Some(store) = store {
                store.stop();
            }
            result
        });
        match tokio::time::timeout(STOP_MAX, ending).await {
            Ok(ended) => ended.context("ending")?,
            Err(_) => bail!("the gateway did not end within {} s", STOP_MAX.as_secs()),
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// A signalling thread that fails takes the process with it: half a gateway would lose every other call silently.
fn spawn_shard(
    index: usize,
    thread: ShardThread,
    stopper: &Stopper,
) -> anyhow::Result<JoinHandle<io::Result<()>>> {
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

fn bind_all(settings: &GatewaySettings, shards: usize) -> anyhow::Result<Bound> {
    let mut bound = Bound {
        udp: (0..shards).map(|_| Vec::new()).collect(),
        tcp: Vec::new(),
        listeners: Vec::new(),
        addresses: Vec::new(),
    };
    let mut taken = Vec::new();
    for listener in &settings.listen {
        let mut wanted = listener.address;
        let result = if listener.scheme == Scheme::SipUdp {
            bind_udp(&mut bound.udp, &mut wanted)
        } else {
            bind_tcp(wanted).map(|socket| {
                wanted = socket.local_addr().unwrap_or(wanted);
                bound.tcp.push((listener.scheme, socket));
            })
        };
        if let Err(error) = result {
            taken.push(explain_bind(listener.scheme, wanted, &error));
            continue;
        }
        bound.addresses.push((listener.scheme, wanted));
        bound.listeners.push(Listener {
            transport: convert::transport(listener.scheme),
            addr: wanted,
            advertised: convert::advertised(listener, settings.site.public_ip.known()),
        });
    }
    if taken.is_empty() {
        Ok(bound)
    } else {
        bail!(taken.join("\n"))
    }
}

/// Binds one socket for each thread. The first finds out whether the address is free: further ones share it.
fn bind_udp(threads: &mut [Vec<UdpListener>], address: &mut SocketAddr) -> io::Result<()> {
    // Sharing an address would also share it with another process of the same user.
    if address.port() != 0 && port_owner(Layer::Udp, *address).is_some() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    for listeners in threads {
        let listener = UdpListener::bind(*address)?;
        *address = listener.bound();
        listeners.push(listener);
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A gateway that restarts need not wait for connections of its former life.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why an address cannot be bound, in words, with the process that has it.
fn explain_bind(scheme: Scheme, address: SocketAddr, error: &io::Error) -> String {
    let layer = scheme.layer();
    let name = match layer {
        Layer::Udp => "UDP",
        Layer::Tcp => "TCP",
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => match port_owner(layer, address) {
            Some(owner) => format!(
                "port {name} {} is taken by {owner}. Stop it, or choose another address than {scheme}://{address}",
                address.port()
            ),
            None => format!(
                "port {name} {} is taken. Choose another address than {scheme}://{address}",
                address.port()
            ),
        },
        io::ErrorKind::PermissionDenied => format!(
            "port {name} {} needs a privilege: ports below 1024 are root's (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{} is no address of this machine, so {scheme}://{address} cannot be opened",
                address.ip()
            )
        }
        _ => format!("{scheme}://{address} cannot be opened: {error}"),
    }
}

/// Addresses of this machine that peers may use, loopback included.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        // Link-local addresses mean nothing without the interface's name.
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Where services can receive media: the addresses of the relay, then all others of this machine.
fn media_addresses(relay: Option<&RelayHandle>, own: &[IpAddr]) -> Vec<IpAddr> {
    let of_relay = relay
        .into_iter()
        .flat_map(RelayHandle::interfaces)
        .flat_map(|interface| &interface.addresses);
    of_relay
        .map(|address| address.address)
        .chain(own.iter().copied())
        .collect()
}

/// Names for a certificate of our own: how browsers may call this machine.
fn certificate_names(settings: &GatewaySettings, own: &[IpAddr]) -> Vec<String> {
    let addresses = own
        .iter()
        .chain(settings.site.public_ip.known())
        .map(ToString::to_string);
    let mut names: Vec<String> = vec![settings.site.domain.clone(), "localhost".to_owned()];
    names.extend(addresses);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
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

fn start_relay(
    settings: &GatewaySettings,
    shards: &Shards,
    journal: &Journal,
) -> anyhow::Result<Option<RelayHandle>> {
    match settings.relay.mode {
        RelayMode::Ng(_) | RelayMode::None => Ok(None),
        RelayMode::BuiltIn => built_in::start(settings, shards, journal).map(Some),
    }
}

async fn relay_target(
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

fn phone_api(
    settings: &GatewaySettings,
    extras: Extras,
    location: Arc<Location>,
    bound: &[(Scheme, SocketAddr)],
) -> PhoneApi {
    let https = bound.iter().find(|(scheme, _)| *scheme == Scheme::Https);
    let of_browsers = extras.handed_out.iter().map(|user| DialEntry {
        number: user.name.clone(),
        label: user.display_name.clone(),
    });
    let dial = extras.dial.iter().cloned();
    PhoneApi {
        site: settings.site.domain.clone(),
        location,
        people: dial
            .filter(|entry| settings.users.contains_key(&entry.number))
            .chain(of_browsers)
            .collect(),
        handed_out: extras.handed_out,
        dial: extras.dial,
        udp_port: match settings.relay.mode {
            RelayMode::BuiltIn => settings.relay.media.browser_port,
            RelayMode::Ng(_) | RelayMode::None => None,
        },
        desk_phone: extras.desk_phone,
        https_port: https.map(|(_, address)| address.port()),
        web_dir: extras.web_dir,
    }
}

/// Starts a task for each TCP listener.
fn serve_all(
    sockets: Vec<(Scheme, std::net::TcpListener)>,
    secure: Option<&Secure>,
    net: &NetContext,
    context: &HttpContext,
) -> anyhow::Result<()> {
    let web = secure.map(|secure| secure.web.clone());
    let sip = secure.map(|secure| secure.sip.clone());
    for (scheme, socket) in sockets {
        let listener = TcpListener::from_std(socket).context("listening")?;
        let net = net.clone();
        let router = |surface| http::router(context.clone(), surface);
        match scheme {
            Scheme::SipUdp => {}
            Scheme::SipTcp => drop(tokio::spawn(stream::serve(net, listener, None))),
            Scheme::SipTls => drop(tokio::spawn(stream::serve(net, listener, sip.clone()))),
            Scheme::Ws => drop(tokio::spawn(http::serve(
                net,
                listener,
                None,
                router(Surface::SipOnly),
            ))),
            Scheme::Wss => drop(tokio::spawn(http::serve(
                net,
                listener,
                web.clone(),
                router(Surface::SipOnly),
            ))),
            Scheme::Http => drop(tokio::spawn(http::serve(
                net,
                listener,
                None,
                router(Surface::Everything),
            ))),
            Scheme::Https => {
                drop(tokio::spawn(http::serve(
                    net,
                    listener,
                    web.clone(),
                    router(Surface::Everything),
                )));
            }
        }
    }
    Ok(())
}

/// Health and metrics, on a port of their own.
async fn serve_metrics(
    settings: &GatewaySettings,
    net: &NetContext,
    context: &HttpContext,
) -> anyhow::Result<()> {
    let Some(address) = settings.metrics.listen else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!(explain_bind(Scheme::Http, address, &error)))
        .context("health and metrics cannot be served")?;
    let router = http::router(context.clone(), Surface::Operations);
    let net = NetContext {
        conns: net.conns.apart(),
        // Whoever watches comes by himself.
        proxies: Arc::new(RwLock::new(Arc::new(Proxies::none()))),
        ..net.clone()
    };
    tokio::spawn(http::serve(net, listener, None, router));
    Ok(())
}
