//! From settings to a relay that runs: addresses, ports, threads.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Instant, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustls::ServerConfig;
use tokio::sync::broadcast;
use viaduct_fax::spandsp::Library;
use viaduct_forward::{CryptoTable, Epoch, Shared, StatsTable};
use viaduct_kmod_helper::{Fast, Instance};
use viaduct_ng::EndpointLearning;
use viaduct_session::{
    Config, DtlsVersion, Interface, InterfaceAddress, Relay, SdesMode, UnnamedMedia, WallClock,
};
use viaduct_settings::{
    DtlsRole, FaxMode, IceMode, KernelMode, Layer, Learning, MediaSettings, PortRange, RelayScheme,
};

use crate::certificate;
use crate::cli::Cli;
use crate::config::RelayConfig;
use crate::control::{Control, ControlPlan, KernelPlan, SteeringPlan};
use crate::fax::{self, FaxThread};
use crate::handle::{Parts, RelayHandle};
use crate::http::Http;
use crate::interfaces::{self, Machine, MediaAddress, MediaInterface};
use crate::janus::{self, Janus};
use crate::line::Line;
use crate::listener::Listener;
use crate::ng::{Desk, Dialogue, NgPort};
use crate::service::{Service, Services};
use crate::socket::{MediaSocket, Sharing, SocketOptions};
use crate::start_error::StartError;
use crate::state::{self, StateFile};
use crate::threads::{OnFailure, Threads};
use crate::tls;
use crate::watch::{Sights, Watch, WorkerSight};
use crate::worker::{FramesPlan, NoticeSender, Nudge, WorkerPlan, WorkerThread};

mod steering;

pub use self::steering::NoSteering;

/// The browsers' port at each address: a socket for each worker.
type SharedPorts = BTreeMap<IpAddr, Vec<Arc<MediaSocket>>>;

pub(crate) fn start(config: RelayConfig) -> Result<RelayHandle, StartError> {
    let mut remarks = Vec::new();
    raise_file_limit(&mut remarks);
    let machine = Machine::look().map_err(StartError::system("listing the addresses of this machine"))?;
    let (interfaces, of_interfaces) = interfaces::resolve(&config.media, &machine, &config.public_ip)?;
    remarks.extend(of_interfaces);
    check_addresses(&interfaces)?;
    let listeners = config
        .listen
        .iter()
        .map(|listener| Listener::bind(listener, &config.limits.shell, config.control_tos));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let tls = config.tls.as_ref().map(tls::config).transpose()?;
    let workers = worker_count(&config.media);
    let shared_ports = bind_shared_ports(&config, &interfaces, workers, &mut remarks)?;
    let relay = Builder {
        config,
        interfaces,
        shared_ports,
        workers,
        remarks,
    }
    .build(listeners, tls)?;
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
    fn build(
        self,
        listeners: Vec<Listener>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<RelayHandle, StartError> {
        let limits = &self.config.limits.shell;
        let started = Instant::now();
        let epoch = Epoch::new(started);
        let shared = Shared {
            crypto: CryptoTable::new(self.config.limits.crypto),
            stats: StatsTable::default(),
        };
        let nudge = Nudge::new().map_err(StartError::system("making control's bell"))?;
        let (queue, notices) = sync_channel(limits.notices_queued);
        let mut ports = steering::begin(&self.config, &self.interfaces, self.workers)?;
        let (crew, workers) = self.workers(
            epoch,
            &shared,
            ports.plan.as_ref(),
            std::mem::take(&mut ports.frames),
            &NoticeSender {
                queue: queue.clone(),
                nudge: nudge.clone(),
            },
        )?;
        let listening = listeners
            .iter()
            .map(Listener::address)
            .collect::<Result<Vec<_>, _>>();
        let listening = listening.map_err(StartError::system("asking for the port of a listener"))?;

        let (line, asks) = Line::new(limits.requests_queued, limits.control_patience, nudge.clone());
        let (events, _) = broadcast::channel(limits.events_queued);
        let sights = self.sights(started, &crew);
        let stats = shared.stats.clone();
        let (library, of_fax) = self.fax();
        let (fax, converting) = library
            .map(|library| {
                let sender = NoticeSender {
                    queue: queue.clone(),
                    nudge: nudge.clone(),
                };
                fax::prepare(library, limits.fax_queued, sender, Arc::clone(&sights.control))
            })
            .unzip();
        let mut relay = self.relay(shared.stats, epoch, started, fax.is_some())?;
        let (saved, writer) = match &self.config.state_file {
            Some(path) => {
                let (file, saved) = StateFile::open(path)?;
                relay.keep_state(saved.run, shared.crypto.clone());
                (
                    Some(saved),
                    Some(state::prepare(file, Arc::clone(&sights.control))),
                )
            }
            None => (None, None),
        };
        let (mut kernel, of_kernel) = self.kernel(started, epoch, &stats, &sights)?;
        if let Some(kernel) = &mut kernel {
            ports.forward_frames(&mut kernel.fast);
        }
        let mut control = Control::new(
            started,
            ControlPlan {
                relay,
                workers: crew,
                crypto: shared.crypto,
                epoch,
                port_options: self.port_options(),
                shared: self.shared_ports.values().cloned().collect(),
                asks,
                notices,
                nudge,
                state: writer.as_ref().map(|(writer, _)| writer.clone()),
                events: events.clone(),
                stats: Arc::clone(&sights.control),
                limits: limits.clone(),
                kernel,
                fax,
                steering: ports.plan,
                claims: ports.claims,
                load_limits: self.config.load_limits,
            },
        );
        let of_state = saved.map(|saved| control.rebuild(started, saved));
        control.open_stock(started);

        let mut description =
            self.description(&listening, (&ports.words, ports.of_frames), &of_kernel, of_fax);
        let last = description.len().saturating_sub(1);
        description.splice(last..last, of_state);
        let janus = self.janus(&line)?;
        let mut services = self.services(&line, sights, janus.clone());
        services.tls = tls;
        services.janus = janus.map(|janus| (janus, events.downgrade()));
        services.digits = self.config.dtmf_log_ng_tcp.then(|| events.downgrade());
        let watch = services.watch.clone();
        let service = Service::new().map_err(StartError::system("beginning the service thread"))?;
        let (sockets, streams) = Listener::split(listeners);
        let ng_port = |socket| {
            NgPort::new(
                socket,
                services.desk.clone(),
                service.handle(),
                limits.control_patience,
            )
        };
        control.listen(sockets.into_iter().map(ng_port).collect());
        let (stop, serve) = service.body(streams, services);

        // Control first: it ends the workers if not all of them can begin.
        let control: Body = ("relay-control".to_owned(), Box::new(move || control.run()));
        let service: Body = ("relay-service".to_owned(), Box::new(serve));
        let state = writer.map(|(_, write)| -> Body { ("relay-state".to_owned(), Box::new(write)) });
        let converting = converting
            .map(|fax: FaxThread| -> Body { ("relay-fax".to_owned(), Box::new(move || fax.run())) });
        let bodies = [control, service].into_iter().chain(state).chain(converting);
        let bodies = bodies.chain(workers);
        let threads = spawn_all(self.config.on_failure.clone(), bodies).inspect_err(|_| {
            stop.send_replace(true);
            line.stop();
        })?;
        Ok(RelayHandle::new(Parts {
            line,
            watch,
            events: events.downgrade(),
            threads,
            stop,
            listeners: listening,
            browser_ports: self.browser_ports(),
            interfaces: self.interfaces,
            description,
            remarks: self.remarks,
        }))
    }

    fn browser_ports(&self) -> Vec<SocketAddr> {
        let groups = self.shared_ports.values();
        groups.filter_map(|group| Some(group.first()?.local())).collect()
    }

    /// The workers as control sees them, and their threads.
    fn workers(
        &self,
        epoch: Epoch,
        shared: &Shared,
        steering: Option<&SteeringPlan>,
        frames: Vec<FramesPlan>,
        notices: &NoticeSender,
    ) -> Result<(Vec<WorkerThread>, Vec<Body>), StartError> {
        let mut crew = Vec::new();
        let mut bodies = Vec::new();
        let mut frames = frames.into_iter();
        for number in 0..self.workers {
            let plan = WorkerPlan {
                number,
                epoch,
                forward: self.worker_limits(),
                shared: shared.clone(),
                hash_seed: rand::random(),
                limits: self.config.limits.shell.clone(),
                notices: notices.clone(),
                lanes: steering.map_or_else(Vec::new, |steering| steering.lanes[number].clone()),
                frames: frames.next(),
            };
            let (worker, body) =
                WorkerThread::prepare(plan).map_err(StartError::system("beginning a worker"))?;
            crew.push(worker);
            bodies.push((
                format!("relay-media-{number}"),
                Box::new(body) as Box<dyn FnOnce() + Send>,
            ));
        }
        Ok((crew, bodies))
    }

    fn sights(&self, started: Instant, crew: &[WorkerThread]) -> Sights {
        let workers = crew.iter().map(|worker| WorkerSight {
            io: Arc::clone(&worker.io),
            forward: Arc::clone(&worker.forward),
        });
        Sights {
            started,
            interfaces: self.interfaces.clone(),
            workers: workers.collect(),
            control: Arc::default(),
            dialogue: Arc::new(Dialogue::new(
                started,
                self.config.ng_cookies,
                &self.config.limits,
                self.config.templates.clone(),
            )),
            accepts: Arc::default(),
        }
    }

    fn janus(&self, line: &Line) -> Result<Option<Janus>, StartError> {
        let secret = self.config.janus_secret.as_ref().map(janus::secret).transpose()?;
        let (limits, waiting) = (&self.config.limits.janus, self.config.limits.shell.janus_waiting);
        Ok(secret.map(|secret| Janus::new(secret, limits.clone(), waiting, line.clone())))
    }

    fn services(&self, line: &Line, sights: Sights, janus: Option<Janus>) -> Services {
        let limits = self.config.limits.shell.clone();
        let (dialogue, accepts) = (Arc::clone(&sights.dialogue), Arc::clone(&sights.accepts));
        let watch = Watch::new(line.clone(), sights, janus.clone());
        let cli = Cli::new(line.clone(), self.config.media.clone(), self.interfaces.clone());
        let desk = Desk::new(
            dialogue,
            line.clone(),
            cli.clone(),
            limits.ng_outstanding,
            limits.media_file_octets,
        );
        let http = Http::new(desk.clone(), watch.clone(), janus, &limits);
        Services {
            desk,
            cli,
            http,
            watch,
            accepts,
            limits,
            tls: None,
            digits: None,
            janus: None,
        }
    }

    fn port_options(&self) -> SocketOptions {
        SocketOptions {
            receive_buffer: self.config.limits.shell.port_receive_buffer,
            send_buffer: self.config.limits.shell.port_send_buffer,
            tos: tos(&self.config.media),
        }
    }

    /// The limits of each worker. As many sockets as there are ports fit in any case.
    fn worker_limits(&self) -> viaduct_forward::Limits {
        let addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        // All of a range, and the port of browsers.
        let ports: usize = addresses.map(|address| address.ports.range().len() + 1).sum();
        let limits = self.config.limits.worker.clone();
        viaduct_forward::Limits {
            sockets: limits.sockets.max(ports),
            ..limits
        }
    }

    /// The relay's brain.
    /// What converts fax, and in a few words why nothing does.
    fn fax(&self) -> (Option<Library>, Option<String>) {
        match self.config.media.fax {
            FaxMode::Off => (None, None),
            FaxMode::Auto => match Library::load() {
                Ok(library) => (Some(library), None),
                Err(error) => (None, Some(format!("T.38 passes as it is: {error}"))),
            },
        }
    }

    fn relay(
        &self,
        stats: StatsTable,
        epoch: Epoch,
        now: Instant,
        converts_fax: bool,
    ) -> Result<Relay, StartError> {
        let time_of_day = SystemTime::now();
        let certificate =
            certificate::make(time_of_day).map_err(|error| StartError::Certificate(error.to_string()))?;
        // A clock before 1970 is wrong in any case; only the times in reports come from it.
        let unix = time_of_day
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let parts = viaduct_session::Parts {
            rng: StdRng::from_rng(&mut rand::rng()),
            certificate,
            stats,
            epoch,
            clock: WallClock::new(now, unix),
        };
        let config = session_config(&self.config, &self.interfaces, converts_fax);
        let relay = Relay::new(now, config, parts);
        relay.map_err(|error| StartError::Certificate(error.to_string()))
    }

    /// The kernel path, and in a few words where it is or why it is not.
    fn kernel(
        &self,
        now: Instant,
        epoch: Epoch,
        stats: &StatsTable,
        sights: &Sights,
    ) -> Result<(Option<KernelPlan>, String), StartError> {
        let media = &self.config.media;
        let is_required = match media.kernel {
            KernelMode::Off => return Ok((None, "off".to_owned())),
            KernelMode::Auto => false,
            KernelMode::Required => true,
        };
        // The settings allow no other names.
        let instance: Instance = media.kernel_instance.parse().unwrap_or_default();
        let config = viaduct_kmod_helper::Config {
            instance: instance.clone(),
            interfaces: media.kernel_interfaces.clone(),
            limits: viaduct_kmod_helper::Limits {
                flows_max: self
                    .config
                    .limits
                    .shell
                    .kernel_flows
                    .try_into()
                    .unwrap_or(u32::MAX),
                ..viaduct_kmod_helper::Limits::default()
            },
            ..viaduct_kmod_helper::Config::default()
        };
        let fast = match Fast::open(now, &config) {
            Ok(fast) => fast,
            Err(refused) if is_required => return Err(StartError::Kernel(refused)),
            Err(refused) => return Ok((None, format!("off: {refused}"))),
        };
        let names: Vec<&str> = fast.interfaces().iter().map(|link| link.name.as_str()).collect();
        let description = format!("on {}", names.join(" "));
        let plan = KernelPlan {
            fast,
            instance,
            stats: stats.clone(),
            epoch,
            tos: tos(media),
            counts: Arc::clone(&sights.control),
        };
        Ok((Some(plan), description))
    }

    /// What runs, in a few lines.
    fn description(
        &self,
        listening: &[(RelayScheme, SocketAddr)],
        (of_ports, of_frames): (&str, Vec<String>),
        of_kernel: &str,
        of_fax: Option<String>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let PortRange { first, last } = self.config.media.rtp_ports;
        for interface in &self.interfaces {
            for MediaAddress {
                address,
                advertised,
                ports,
            } in &interface.addresses
            {
                let told = advertised.map_or(String::new(), |ip| format!(", peers are told {ip}"));
                let own = match (ports.range().start(), ports.range().end()) {
                    own if own == (&first, &last) => String::new(),
                    (first, last) => format!(", ports {first} to {last}"),
                };
                lines.push(format!("interface {}: {address}{told}{own}", interface.name));
            }
        }
        lines.push(format!("media ports {first} to {last}, {of_ports}"));
        lines.extend(of_frames);
        for port in self.browser_ports() {
            lines.push(format!("browsers share port {port}"));
        }
        for (scheme, address) in listening {
            lines.push(format!("listening on {scheme}://{address}"));
        }
        lines.extend(of_fax);
        lines.push(format!(
            "{} workers in user space; fast path in the kernel: {of_kernel}",
            self.workers
        ));
        lines
    }
}

/// What the relay's brain is told.
fn session_config(config: &RelayConfig, interfaces: &[MediaInterface], converts_fax: bool) -> Config {
    let RelayConfig {
        media,
        max_sessions,
        sip_source,
        dtmf_log,
        dtmf_log_ng_tcp,
        reject_invalid_sdp,
        limits,
        ..
    } = config;
    let address = |address: &MediaAddress| InterfaceAddress {
        address: address.address,
        advertised: address.advertised,
        ports: address.ports.clone(),
        browser_port: media.browser_port,
    };
    let interfaces = interfaces.iter().map(|interface| Interface {
        name: interface.name.clone(),
        addresses: interface.addresses.iter().map(address).collect(),
    });
    Config {
        ice_lite: media.ice == IceMode::Lite,
        dtls_mtu: media.dtls_mtu,
        dtls_version: match media.dtls_version {
            viaduct_settings::DtlsVersion::V1_2 => DtlsVersion::V1_2,
            viaduct_settings::DtlsVersion::Auto => DtlsVersion::Auto,
        },
        sdes: match media.sdes {
            viaduct_settings::SdesMode::OwnKeys => SdesMode::OwnKeys,
            viaduct_settings::SdesMode::Rtpengine => SdesMode::Rtpengine,
        },
        srtp_pass_through: media.srtp_pass_through,
        direct_media: media.direct_media,
        begin_at_offer: media.begin_at_offer,
        rtpengine_checks: media.rtpengine_checks,
        shared_endpoints: media.shared_endpoints,
        renumbered_events: media.renumbered_events,
        unnamed_media: match media.unnamed_media {
            viaduct_settings::UnnamedMedia::Drop => UnnamedMedia::Drop,
            viaduct_settings::UnnamedMedia::First => UnnamedMedia::First,
        },
        dtls_passive: media.dtls_role == DtlsRole::Passive,
        learning: match media.learning {
            Learning::Heuristic => EndpointLearning::Heuristic,
            Learning::Delayed => EndpointLearning::Delayed,
            Learning::Immediate => EndpointLearning::Immediate,
            Learning::Never => EndpointLearning::Off,
        },
        learning_time: media.learning_time,
        strict_source: media.strict_source,
        port_latching: media.port_latching,
        sip_source: *sip_source,
        dtmf_log: *dtmf_log,
        tell_digits: *dtmf_log_ng_tcp,
        reject_invalid_sdp: *reject_invalid_sdp,
        fax: converts_fax,
        // Sockets are bound with it.
        tos: None,
        media_timeout: media.idle_timeout,
        silent_timeout: media.silent_timeout,
        offer_timeout: media.offer_timeout,
        final_timeout: media.final_timeout,
        delete_delay: media.delete_delay,
        ice_timeout: media.ice_timeout,
        consent_timeout: media.consent_timeout,
        port_rest: media.port_rest,
        port_stock: media.port_stock,
        max_sessions: max_sessions.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        limits: limits.calls.clone(),
        interfaces: interfaces.collect(),
    }
}

/// Begins all threads. If one cannot begin, those before it are on their own.
fn spawn_all(on_failure: OnFailure, bodies: impl Iterator<Item = Body>) -> Result<Threads, StartError> {
    let mut threads = Threads::new(on_failure);
    for (name, body) in bodies {
        threads
            .spawn(&name, body)
            .map_err(StartError::system("beginning a thread"))?;
    }
    Ok(threads)
}

/// Every address for media can be bound. One that moves between machines can be bound before it is here with
/// `net.ipv4.ip_nonlocal_bind`, so the system is asked and not its list of addresses.
fn check_addresses(interfaces: &[MediaInterface]) -> Result<(), StartError> {
    for MediaAddress { address, .. } in interfaces.iter().flat_map(|interface| &interface.addresses) {
        let any_port = SocketAddr::new(*address, 0);
        UdpSocket::bind(any_port)
            .map_err(|error| StartError::binding(Layer::Udp, any_port, "media", error))?;
    }
    Ok(())
}

/// Socket per port: the more descriptors, the more calls.
fn raise_file_limit(remarks: &mut Vec<String>) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        remarks.push(format!(
            "the limit on open files stays at {soft} of {hard} that are allowed"
        ));
    }
}

fn worker_count(media: &MediaSettings) -> usize {
    let configured = media.workers.and_then(|workers| usize::try_from(workers).ok());
    configured
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
        .max(1)
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
        receive_buffer: config.limits.shell.shared_receive_buffer,
        send_buffer: config.limits.shell.shared_send_buffer,
        tos: tos(&config.media),
    };
    for address in interfaces.iter().flat_map(|interface| &interface.addresses) {
        if shared.contains_key(&address.address) {
            continue;
        }
        let group = bind_group(SocketAddr::new(address.address, port), workers, &options)?;
        shared.insert(address.address, group);
    }
    let granted = shared
        .values()
        .flatten()
        .next()
        .and_then(|socket| socket.receive_buffer().ok());
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
    let bind = |_| {
        MediaSocket::bind(local, Sharing::AmongWorkers, options)
            .map(Arc::new)
            .map_err(fail)
    };
    (0..workers).map(bind).collect()
}

#[cfg(test)]
mod tests;
