//! `viaduct run`

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, complain, config_file, serving_runtime};
use crate::app::{Extras, Gateway, Stopper};
use crate::logging;

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
            ..Extras::default()
        };
        let gateway = Gateway::start(loaded.settings, extras).await?;
        for (scheme, address) in &gateway.bound {
            tracing::info!("listening on {scheme}://{address}");
        }
        stop_on_signals(gateway.stopper())?;
        gateway.run_to_end().await?;
        tracing::info!("ended");
        Ok(Outcome::Good)
    })
}

/// SIGINT and SIGTERM end the gateway in order; a second one ends it at once.
pub(super) fn stop_on_signals(stopper: Stopper) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stopper.stop();
        }
        std::process::exit(1);
    });
    Ok(())
}
