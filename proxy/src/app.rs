//! The gateway put together: settings → sockets → threads → running → ended.
//!
//! Everything that can fail at start fails here, before the first call is taken, and says what to do.

mod media;
mod signalling;
mod sockets;
mod surfaces;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{oneshot, watch};
use viaduct_mediarelay::RelayHandle;
use viaduct_settings::{GatewaySettings, Loaded, Scheme};

use self::signalling::{Place, Prepared};
use self::sockets::Bound;
pub(crate) use self::sockets::own_addresses;
use crate::control::ControlSocket;
use crate::convert;
use crate::health::Health;
use crate::http::{DeskPhone, DialEntry, HttpContext, PhoneUser};
use crate::journal::Printer;
use crate::live::{self, Condition, Live};
use crate::private;
use crate::shard::{Command, Services, ServicesConfig, ShardInput, Shards};
use crate::store::StoreThread;
use crate::tls::Secure;

/// How long the end of the process may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The media relay's part of it.
const RELAY_STOP_MAX: Duration = Duration::from_secs(2);

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

impl Extras {
    fn printer(&self) -> Printer {
        if self.plain_lines {
            Printer::Plain
        } else {
            Printer::Log
        }
    }
}

/// Ends a running gateway.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    /// Somebody said so.
    asked: Arc<watch::Sender<bool>>,
    /// It ends, and connections with it.
    stopping: Arc<watch::Sender<bool>>,
}

impl Stopper {
    fn new() -> Self {
        Self {
            asked: Arc::new(watch::Sender::new(false)),
            stopping: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets it end.
    pub(crate) fn stop(&self) {
        self.asked.send_replace(true);
    }

    /// Resolves when somebody said so. There are connections until it [ends](Self::end) indeed.
    async fn asked(&self) {
        // The sender lives as long as `self`.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    /// Ends connections, and what else waits for this.
    fn end(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves when it ends.
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

impl Gateway {
    /// Starts everything. Must run inside a Tokio runtime.
    pub(crate) async fn start(loaded: Loaded<GatewaySettings>, extras: Extras) -> anyhow::Result<Self> {
        let now = Instant::now();
        let settings = loaded.settings.clone();
        let condition = Arc::new(Condition::new(extras.file.as_deref(), now));
        let folder = PathBuf::from(&settings.site.state_dir);
        private::make_folder(&folder)?;
        let control = ControlSocket::bind(Path::new(&settings.control_socket))?;
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let bound = Bound::bind(&settings, count)?;
        let own = own_addresses();
        let stopper = Stopper::new();
        let place = Place {
            folder: &folder,
            listeners: &bound.listeners,
            own: &own,
            count,
            now,
        };
        let Prepared {
            common,
            queues,
            net,
            store,
        } = signalling::prepare(&settings, &place, &extras, stopper.stopping.subscribe())?;

        let relay = media::start_relay(&settings, &common.shards, &common.journal)?;
        let target = media::relay_target(&settings, relay.as_ref()).await?;
        let media = media::addresses(relay.as_ref(), &own);
        let services = Services::start(ServicesConfig::new(&settings, &media)?, &common.shards)?;
        let parts = queues.into_iter().zip(bound.udp).zip(services);
        let threads = common.start(parts, &target, &stopper)?;

        let inspector = common.inspector(&settings, &bound.addresses, relay.clone(), condition);
        let health = Health::new(inspector.clone());
        let file = extras.file.clone();
        let context = HttpContext {
            net: net.clone(),
            origins: Arc::new(RwLock::new(convert::origins(&settings))),
            health: health.clone(),
            phone: Arc::new(surfaces::phone_api(
                &settings,
                extras,
                common.shared.location.clone(),
                &bound.addresses,
            )),
        };
        let secure = if bound.tcp.iter().any(|(scheme, _)| scheme.is_secure()) {
            let names = certificate_names(&settings, &own);
            Some(Secure::new(&settings.tls, &folder, names)?)
        } else {
            None
        };
        surfaces::serve_all(bound.tcp, secure.as_ref(), &context)?;
        surfaces::serve_metrics(&settings, &context).await?;
        let shards = common.shards.clone();
        let parts = live::Parts {
            net,
            names: common.names,
            lookups: common.lookups,
            hooks: common.hooks,
            guard: common.shared.guard,
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
            store,
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

    /// Waits until somebody says so, then ends everything in order: registrations with trunks, connections, signalling,
    /// media, then the store.
    pub(crate) async fn run_to_end(self) -> anyhow::Result<()> {
        self.stopper.asked().await;
        self.health.set_ready(false);
        self.leave_trunks().await;
        self.stopper.end();
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

    /// Ends registrations with trunks, while there are connections to do so over. The first shard looks after them, and
    /// after the time that it takes.
    async fn leave_trunks(&self) {
        let (answer, left) = oneshot::channel();
        let leave = async {
            let shard = self.shards.at(0);
            shard
                .push(ShardInput::Command(Command::LeaveTrunks(answer)))
                .await;
            // A shard that failed keeps nobody waiting.
            let _ = left.await;
        };
        if tokio::time::timeout(STOP_MAX, leave).await.is_err() {
            tracing::warn!(
                "registrations with trunks are left to run out: the signalling thread does not answer"
            );
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
