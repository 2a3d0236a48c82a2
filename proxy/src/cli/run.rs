//! `viaduct run`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use viaduct_mediarelay::ServiceManager;
use viaduct_settings::{GatewaySettings, Loaded};

use super::{Outcome, complain, serving_runtime};
use crate::app::{Extras, Gateway, Stopper};
use crate::live::Live;
use crate::{config_file, logging};

/// What to run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration file.
    file: PathBuf,
    /// Serve the pages from this folder instead of from the program, to edit them.
    #[arg(long, value_name = "FOLDER")]
    web_dir: Option<PathBuf>,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let loaded = match config_file::load(&args.file)? {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            complain(&diagnostics.to_string());
            return Ok(Outcome::Failed);
        }
    };
    if !loaded.warnings.is_empty() {
        complain(&loaded.warnings.to_string());
    }
    logging::start(&loaded.settings.log);
    serving_runtime()?.block_on(async {
        let extras = Extras {
            web_dir: args.web_dir.clone(),
            file: Some(args.file.clone()),
            ..Extras::default()
        };
        let manager = ServiceManager::of_environment().map(Arc::new);
        let Some(gateway) = start(loaded, extras, manager.clone()).await? else {
            return Ok(Outcome::Good);
        };
        for (scheme, address) in &gateway.bound {
            tracing::info!("listening on {scheme}://{address}");
        }
        if let Some(manager) = manager {
            manager.ready();
            // That this is carried out shows that the runtime turns.
            tokio::spawn(async move { manager.tell_alive(async || true).await });
        }
        gateway.run_to_end().await?;
        tracing::info!("ended");
        Ok(Outcome::Good)
    })
}

/// Starts a gateway that SIGINT and SIGTERM end in order, a second one ends at once, and SIGHUP reloads. `None` when one came before it
/// had started. `manager` is told when it ends.
pub(super) async fn start(
    loaded: Loaded<GatewaySettings>,
    extras: Extras,
    manager: Option<Arc<ServiceManager>>,
) -> anyhow::Result<Option<Gateway>> {
    let mut signals = Signals::hear()?;
    let hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        gateway = Gateway::start(loaded, extras) => {
            let gateway = gateway?;
            tokio::spawn(reload_on(hangup, gateway.live()));
            tokio::spawn(signals.stop(gateway.stopper(), manager));
            Ok(Some(gateway))
        }
        () = signals.next() => Ok(None),
    }
}

/// SIGHUP reads the configuration again, as it does with most servers. What comes of it is in the log.
async fn reload_on(mut hangup: Signal, live: Live) {
    while hangup.recv().await.is_some() {
        if let Err(error) = live.reload().await {
            tracing::warn!("{error:#}");
        }
    }
}

/// What asks the process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on they do not end the process by themselves.
    fn hear() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    async fn stop(mut self, stopper: Stopper, manager: Option<Arc<ServiceManager>>) {
        for _ in 0..2 {
            self.next().await;
            if let Some(manager) = &manager {
                manager.stopping();
            }
            stopper.stop();
        }
        std::process::exit(1);
    }
}
