//! Changing a gateway that runs: another configuration, or no further calls.
//!
//! A reload reads the file again, refuses it as a whole if anything in it is wrong, and otherwise hands every part what
//! concerns it. Nothing that exists ends because of it: calls and connections go on under what they began with.

mod certificates;
mod condition;
mod report;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex;
use viaduct_routing::{Guard, Listener};
use viaduct_settings::{Difference, GatewaySettings, Loaded, RelayMode};

pub(crate) use self::condition::{Condition, ConfigStatus};
pub(crate) use self::report::Report;
use crate::app::Stopper;
use crate::hook::{Hook, Hooks};
use crate::http::handshake::Origins;
use crate::net::context::NetContext;
use crate::net::names::Names;
use crate::shard::{Command, ServicesConfig, ShardInput, ShardSettings};
use crate::status::Inspector;
use crate::tls::{Prepared, Secure};
use crate::users::{Source, UserLookups};
use crate::{built_in, config_file, convert, logging};

/// How often a gateway that ends with its last call looks whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The parts of a gateway that take over settings while they run.
pub(crate) struct Parts {
    pub(crate) net: NetContext,
    pub(crate) names: Names,
    pub(crate) lookups: UserLookups,
    pub(crate) hooks: Hooks,
    pub(crate) guard: Arc<Guard>,
    pub(crate) origins: Arc<RwLock<Origins>>,
    /// `None` without a secure listener.
    pub(crate) secure: Option<Secure>,
    /// Listeners as they were bound.
    pub(crate) listeners: Vec<Listener>,
    /// The addresses of this machine.
    pub(crate) own: Vec<IpAddr>,
    /// Where services receive media.
    pub(crate) media: Vec<IpAddr>,
}

/// Changes a running gateway.
#[derive(Clone)]
pub(crate) struct Live {
    inner: Arc<Inner>,
}

struct Inner {
    /// The configuration file. The demo has none.
    file: Option<PathBuf>,
    parts: Parts,
    running: Mutex<Running>,
    condition: Arc<Condition>,
    inspector: Inspector,
    stopper: Stopper,
}

/// The configuration that runs: what needs a restart is as it was at the start, everything else as it was read last.
struct Running {
    started: Loaded<GatewaySettings>,
    latest: Loaded<GatewaySettings>,
}

/// What was made from files before anything is changed: nothing of it can fail any more.
struct Ready {
    secure: Option<Prepared>,
    source: Option<Arc<Source>>,
    hook: Option<Arc<Hook>>,
}

impl Running {
    fn differences(&self, wanted: &Loaded<GatewaySettings>) -> Vec<Difference> {
        let of = |from: &Loaded<GatewaySettings>, is_live: bool| {
            let mut found = from.differences(wanted);
            found.retain(|difference| difference.is_live() == is_live);
            found
        };
        let mut found = of(&self.latest, true);
        found.extend(of(&self.started, false));
        found
    }
}

impl Live {
    pub(crate) fn new(
        file: Option<PathBuf>,
        started: Loaded<GatewaySettings>,
        parts: Parts,
        inspector: Inspector,
        stopper: Stopper,
    ) -> Self {
        let latest = started.clone();
        Self {
            inner: Arc::new(Inner {
                file,
                parts,
                running: Mutex::new(Running { started, latest }),
                condition: inspector.parts.condition.clone(),
                inspector,
                stopper,
            }),
        }
    }

    /// Reads the configuration file again and applies what has changed. What came of it goes to the log too.
    pub(crate) async fn reload(&self) -> anyhow::Result<Report> {
        let file =
            self.inner.file.as_deref().context(
                "this gateway has no configuration file: it was not started with `viaduct run FILE`",
            )?;
        let mut running = self.inner.running.lock().await;
        let report = match self.judge(&running, file).await {
            Ok((mut report, wanted, ready)) => {
                self.apply(&running, &wanted, ready, &mut report).await;
                self.inner.condition.applied(&report);
                running.latest = *wanted;
                report
            }
            Err(report) => {
                self.inner.condition.refused();
                report
            }
        };
        report.log();
        Ok(report)
    }

    /// What a reload of this file would do.
    pub(crate) async fn compare(&self, file: &Path) -> Report {
        let running = self.inner.running.lock().await;
        match self.judge(&running, file).await {
            Ok((report, ..)) | Err(report) => report,
        }
    }

    /// Reads a file and everything it names. The error is a report of what is wrong.
    async fn judge(
        &self,
        running: &Running,
        file: &Path,
    ) -> Result<(Report, Box<Loaded<GatewaySettings>>, Ready), Report> {
        let name = file.display().to_string();
        let path = file.to_owned();
        let loaded = tokio::task::spawn_blocking(move || config_file::load(&path)).await;
        let wanted = match loaded {
            Ok(Ok(Ok(loaded))) => Box::new(loaded),
            Ok(Ok(Err(diagnostics))) => return Err(Report::wrong(name, &diagnostics)),
            Ok(Err(error)) => return Err(Report::unusable(name, format!("{error:#}"))),
            Err(fault) => return Err(Report::unusable(name, fault.to_string())),
        };
        let secure = self.inner.parts.secure.as_ref();
        let prepared = match secure
            .map(|secure| secure.prepare(&wanted.settings.tls))
            .transpose()
        {
            Ok(prepared) => prepared,
            Err(error) => return Err(Report::unusable(name, format!("{error:#}"))),
        };
        let settings = running.started.settings.with_live_part_of(&wanted.settings);
        let source = match self.inner.parts.lookups.prepare(&settings) {
            Ok(source) => source,
            Err(error) => return Err(Report::unusable(name, format!("{error:#}"))),
        };
        let hook = match self.inner.parts.hooks.prepare(settings.hook.as_ref()) {
            Ok(hook) => hook,
            Err(error) => return Err(Report::unusable(name, format!("{error:#}"))),
        };
        let mut differences = running.differences(&wanted);
        let is_other = secure.zip(prepared.as_ref());
        if is_other.is_some_and(|(secure, prepared)| secure.is_other(prepared))
            && !differences.iter().any(|one| one.is_within("tls.certificate"))
        {
            differences.push(Difference::unseen("tls.certificate (contents of the files)"));
        }
        let ready = Ready {
            secure: prepared,
            source,
            hook,
        };
        Ok((Report::new(name, differences, &wanted.warnings), wanted, ready))
    }

    async fn apply(
        &self,
        running: &Running,
        wanted: &Loaded<GatewaySettings>,
        ready: Ready,
        report: &mut Report,
    ) {
        let Parts {
            net,
            names,
            lookups,
            hooks,
            guard,
            origins,
            secure,
            listeners,
            own,
            media,
        } = &self.inner.parts;
        let settings = running.started.settings.with_live_part_of(&wanted.settings);
        if let (Some(secure), Some(prepared)) = (secure, ready.secure) {
            secure.install(prepared);
        }
        if settings.log.level != running.latest.settings.log.level && !logging::set_level(settings.log.level)
        {
            report.note("log.level has no effect while VIADUCT_LOG is set".to_owned());
        }
        let room = built_in::config(&running.started.settings).limits.calls.calls;
        if settings.relay.mode == RelayMode::BuiltIn && settings.limits.calls as usize > room {
            report.note(format!(
                "limits.calls is {}, but the built-in relay was started with room for {room}: more need a restart",
                settings.limits.calls
            ));
        }
        guard.set_limits(convert::guard_limits(&settings));
        net.conns.set_limits(convert::conn_limits(&settings));
        net.tune(convert::tuning(&settings));
        net.trust(convert::proxies(&settings));
        *origins.write().unwrap_or_else(PoisonError::into_inner) = convert::origins(&settings);
        names
            .reconfigure(convert::names_config(&settings, listeners))
            .await;
        let shards = net.shards.len();
        let services = match ServicesConfig::new(&settings, media) {
            Ok(services) => services,
            // The domain decides whether it can be made, and that needs a restart to change.
            Err(error) => return report.note(format!("{error:#}")),
        };
        hooks.install(ready.hook);
        let before = &self.inner.inspector.parts;
        let mut config = convert::routing_config(&settings, listeners.clone(), own, shards);
        config.trunks = convert::trunks::all(&settings, Some(&before.routing().trunks));
        let config = Arc::new(config);
        before.set_routing(config.clone());
        let for_shards = Arc::new(ShardSettings {
            config,
            users: Arc::new(lookups.install(ready.source, &settings)),
            limits: convert::message_limits(&settings),
            services,
        });
        for shard in net.shards.iter() {
            let command = Command::Reconfigure(Arc::clone(&for_shards));
            shard.push(ShardInput::Command(command)).await;
        }
    }

    /// Refuses further calls, or takes them again. With `then_stop` the gateway ends with its last call.
    pub(crate) async fn drain(&self, is_draining: bool, then_stop: bool) {
        self.inner.condition.set_draining(is_draining);
        for shard in self.inner.parts.net.shards.iter() {
            shard.push(ShardInput::Command(Command::Drain(is_draining))).await;
        }
        tracing::info!(
            "{}",
            if is_draining {
                "taking no more calls"
            } else {
                "taking calls again"
            }
        );
        if is_draining && then_stop {
            tokio::spawn(self.clone().stop_after_the_last_call());
        }
    }

    async fn stop_after_the_last_call(self) {
        let Inner {
            condition,
            inspector,
            stopper,
            ..
        } = &*self.inner;
        while condition.is_draining() {
            if inspector.calls_left().await == Some(0) {
                tracing::info!("the last call has ended");
                return stopper.stop();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("file", &self.inner.file)
            .finish_non_exhaustive()
    }
}
