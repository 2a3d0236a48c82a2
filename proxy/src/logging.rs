//! What the program writes about itself.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use viaduct_settings::{LogFormat, LogLevel, LogSettings};

/// Overrides the level, part by part, as in `viaduct_proxy=debug,info`.
const OVERRIDE: &str = "VIADUCT_LOG";

/// Puts another filter in place of the one that the log was started with.
static REPLACE: OnceLock<Box<dyn Fn(EnvFilter) -> bool + Send + Sync>> = OnceLock::new();

/// Sends log lines to standard error. The variable `VIADUCT_LOG` overrides the level.
pub(crate) fn start(settings: &LogSettings) {
    let filter = EnvFilter::try_from_env(OVERRIDE).unwrap_or_else(|_| filter(settings.level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber in one process is a test's: the first goes on.
    match settings.format {
        LogFormat::Text => {
            let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            if subscriber.try_init().is_ok() {
                let _ = REPLACE.set(Box::new(move |filter| handle.reload(filter).is_ok()));
            }
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().with_filter_reloading();
            let handle = subscriber.reload_handle();
            if subscriber.try_init().is_ok() {
                let _ = REPLACE.set(Box::new(move |filter| handle.reload(filter).is_ok()));
            }
        }
    }
}

/// Says more or less from here on. False when `VIADUCT_LOG` decides, or nobody listens.
pub(crate) fn set_level(level: LogLevel) -> bool {
    std::env::var_os(OVERRIDE).is_none() && REPLACE.get().is_some_and(|replace| replace(filter(level)))
}

fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(level.as_str())
}
