//! From settings to a relay that runs: addresses, ports, threads.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::broadcast;
use viaduct_forward::{Epoch, Shared, StatsTable};
use viaduct_session::Relay;
use viaduct_settings::{Layer, MediaSettings, PortRange, RelayScheme};

use crate::cli::Cli;
use crate::config::RelayConfig;
use crate::control::{Control, ControlPlan};
use crate::handle::{Parts, RelayHandle};
use crate::http::Http;
use crate::interfaces::{self, Machine, MediaAddress, MediaInterface, Public};
use crate::line::Line;
use crate::ng::{Desk, Dialogue};
use crate::public_address::{STUN_SERVERS, discover};
use crate::service::{self, Listener, Services};
use crate::socket::{MediaSocket, Sharing, SocketOptions};
use crate::start_error::StartError;
use crate::threads::Threads;
use crate::watch::{Sights, Watch, WorkerSight};
use crate::worker::{NoticeSender, Nudge, WorkerPlan, WorkerThread};

/// How long the start waits for STUN servers.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(2);

/// What each worker holds at most. Every call has at most six flows on one worker (two legs with RTP and RTCP ports of
/// their own, and one path of a browser while it moves), so these fit the limit on calls of `session`.
fn forward_limits() -> viaduct_forward::Limits {
    viaduct_forward::Limits {
        flows: 131_072,
        ufrags: 65_536,
        dtls_tuples: 131_072,
        ..viaduct_forward::Limits::default()
    }
}

/// The browsers' port at each address: a socket for each worker.
type SharedPorts = BTreeMap<IpAddr, Vec<Arc<MediaSocket>>>;

pub(crate) fn start(config: RelayConfig) -> Result<RelayHandle, StartError> {
    let mut remarks = Vec::new();
    raise_file_limit(&mut remarks);
    let machine = Machine::look().map_err(StartError::system("listing the addresses of this machine"))?;
    let public =
        Public { setting: &config.public_ip, discover: &|ip| discover(ip, &STUN_SERVERS, DISCOVERY_PATIENCE) };
    let (interfaces, of_interfaces) = interfaces::resolve(&config.media.interfaces, &machine, &public)?;
    remarks.extend(of_interfaces);
    let listeners = config.listen.iter().map(Listener::bind).collect::<Result<Vec<_>, _>>()?;
    let workers = worker_count(&config.media);
    let shared_ports = bind_shared_ports(&config, &interfaces, workers, &mut remarks)?;
    let relay = Builder { config, interfaces, shared_ports, workers, remarks }.build(listeners)?;
    Ok(relay)
}

struct Builder {
    config: RelayConfig,
    interfaces: Vec<MediaInterface>,
    shared_ports: SharedPorts,
    workers: usize,
    remarks: Vec<String>,
}

/// A thread that is ready to begin.
type Body = (String, Box<dyn FnOnce() + Send>);

impl Builder {
    fn build(self, listeners: Vec<Listener>) -> Result<RelayHandle, StartError> {
        let limits = &self.config.limits;
        let (started, epoch) = (Instant::now(), Epoch::new(Instant::now()));
        let shared = Shared::default();
        let nudge = Nudge::default();
        let (queue, notices) = sync_channel(limits.notices_queued * self.workers);
        let (crew, mut bodies) = self.workers(epoch, &shared, &NoticeSender { queue, nudge: nudge.clone() })?;
        let listening = listeners.iter().map(Listener::address).collect::<Result<Vec<_>, _>>();
        let listening = listening.map_err(StartError::system("asking for the port of a listener"))?;

        let (line, asks) = Line::new(limits.requests_queued, limits.control_patience, nudge.clone());
        let (events, _) = broadcast::channel(limits.events_queued);
        let sights = self.sights(started, &crew);
        let control = Control::new(ControlPlan {
            relay: self.relay(shared.stats, epoch, started)?,
            workers: crew,
            crypto: shared.crypto,
            port_options: self.port_options(),
            shared: self.shared_ports.values().cloned().collect(),
            asks,
            notices,
            nudge,
            events: events.clone(),
            stats: Arc::clone(&sights.control),
            limits: limits.clone(),
        });
        bodies.push(("relay-control".to_owned(), Box::new(move || control.run())));

        let description = self.description(&listening);
        let services = self.services(&line, &sights);
        let watch = services.watch.clone();
        let (stop, body) = service::prepare(listeners, services)
            .map_err(StartError::system("beginning the service thread"))?;
        bodies.push(("relay-service".to_owned(), Box::new(body)));

        let mut threads = Threads::new(self.config.on_failure.clone());
        for (name, body) in bodies {
            threads.spawn(&name, body).map_err(StartError::system("beginning a thread"))?;
        }
        Ok(RelayHandle::new(Parts {
            line,
            watch,
            events: events.downgrade(),
            threads,
            stop,
            listeners: listening,
            interfaces: self.interfaces,
            browser_ports: self.shared_ports.values().filter_map(|group| Some(group.first()?.local())).collect(),
            description,
        }))
    }

    /// The workers as control sees them, and their threads.
    fn workers(
        &self,
        epoch: Epoch,
        shared: &Shared,
        notices: &NoticeSender,
    ) -> Result<(Vec<WorkerThread>, Vec<Body>), StartError> {
        let mut crew = Vec::new();
        let mut bodies = Vec::new();
        for number in 0..self.workers {
            let plan = WorkerPlan {
                number,
                epoch,
                forward: forward_limits(),
                shared: shared.clone(),
                hash_seed: rand::random(),
                limits: self.config.limits.clone(),
                notices: notices.clone(),
            };
            let (worker, body) = WorkerThread::prepare(plan).map_err(StartError::system("beginning a worker"))?;
            crew.push(worker);
            bodies.push((format!("relay-media-{number}"), Box::new(body) as Box<dyn FnOnce() + Send>));
        }
        Ok((crew, bodies))
    }

    fn sights(&self, started: Instant, crew: &[WorkerThread]) -> Sights {
        let workers = crew
            .iter()
            .map(|worker| WorkerSight { io: Arc::clone(&worker.io), forward: Arc::clone(&worker.forward) });
        Sights {
            started,
            interfaces: self.interfaces.clone(),
            workers: workers.collect(),
            control: Arc::default(),
            dialogue: Arc::new(Dialogue::new(started, self.config.ng_cookies)),
            accepts: Arc::default(),
        }
    }

    fn services(&self, line: &Line, sights: Sights) -> Services {
        let limits = self.config.limits.clone();
        let (dialogue, accepts) = (Arc::clone(&sights.dialogue), Arc::clone(&sights.accepts));
        let watch = Watch::new(line.clone(), sights);
        let cli = Cli::new(line.clone(), &self.config, self.interfaces.clone());
        let desk = Desk::new(dialogue, line.clone(), cli.clone(), limits.ng_outstanding);
        let http = Http::new(desk.clone(), watch.clone(), &limits);
        Services { desk, cli, http, watch, accepts, limits }
    }

    fn port_options(&self) -> SocketOptions {
        SocketOptions {
            receive_buffer: self.config.limits.port_receive_buffer,
            send_buffer: self.config.limits.port_send_buffer,
            tos: tos(&self.config.media),
        }
    }

    fn relay(&self, stats: StatsTable, epoch: Epoch, now: Instant) -> Result<Relay, StartError> {
        todo!()
    }

    /// What runs, in a few lines.
    fn description(&self, listening: &[(RelayScheme, SocketAddr)]) -> Vec<String> {
        let mut lines = self.remarks.clone();
        for interface in &self.interfaces {
            for MediaAddress { address, advertised } in &interface.addresses {
                let told = advertised.map_or(String::new(), |ip| format!(", peers are told {ip}"));
                lines.push(format!("interface {}: {address}{told}", interface.name));
            }
        }
        let PortRange { first, last } = self.config.media.rtp_ports;
        lines.push(format!("media ports {first} to {last}"));
        for group in self.shared_ports.values().filter_map(|group| group.first()) {
            lines.push(format!("browsers share port {}", group.local()));
        }
        for (scheme, address) in listening {
            lines.push(format!("listening on {scheme}://{address}"));
        }
        lines.push(format!("{} workers in user space; fast path in the kernel: off", self.workers));
        lines
    }
}

/// Socket per port: the more descriptors, the more calls.
fn raise_file_limit(remarks: &mut Vec<String>) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        remarks.push(format!("the limit on open files stays at {soft} of {hard} that are allowed"));
    }
}

fn worker_count(media: &MediaSettings) -> usize {
    let configured = media.workers.and_then(|workers| usize::try_from(workers).ok());
    configured.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get)).max(1)
}

fn tos(media: &MediaSettings) -> u8 {
    // The settings allow no more.
    u8::try_from(media.tos).unwrap_or(u8::MAX)
}

/// Binds the browsers' port at every address.
fn bind_shared_ports(
    config: &RelayConfig,
    interfaces: &[MediaInterface],
    workers: usize,
    remarks: &mut Vec<String>,
) -> Result<SharedPorts, StartError> {
    let mut shared = SharedPorts::new();
    let Some(port) = config.media.browser_port else {
        return Ok(shared);
    };
    let options = SocketOptions {
        receive_buffer: config.limits.shared_receive_buffer,
        send_buffer: config.limits.shared_send_buffer,
        tos: tos(&config.media),
    };
    for address in interfaces.iter().flat_map(|interface| &interface.addresses) {
        if shared.contains_key(&address.address) {
            continue;
        }
        let group = bind_group(SocketAddr::new(address.address, port), workers, &options)?;
        shared.insert(address.address, group);
    }
    let granted = shared.values().flatten().next().and_then(|socket| socket.receive_buffer().ok());
    if let Some(granted) = granted.filter(|granted| *granted < options.receive_buffer) {
        remarks.push(format!(
            "the browsers' port has a receive buffer of {granted} octets, not {}: raise net.core.rmem_max",
            options.receive_buffer
        ));
    }
    Ok(shared)
}

/// A socket for each worker on one address.
fn bind_group(
    local: SocketAddr,
    workers: usize,
    options: &SocketOptions,
) -> Result<Vec<Arc<MediaSocket>>, StartError> {
    let fail = |error| StartError::binding(Layer::Udp, local, "browsers", error);
    // Another relay of the same user could join a shared port, and take half of our browsers. One that is alone cannot
    // be bound beside it.
    let alone = MediaSocket::bind(local, Sharing::Alone, options).map_err(fail)?;
    let local = alone.local();
    drop(alone);
    let bind = |_| MediaSocket::bind(local, Sharing::AmongWorkers, options).map(Arc::new).map_err(fail);
    (0..workers).map(bind).collect()
}
