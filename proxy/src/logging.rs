//! What the program writes about itself.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use viaduct_settings::{LogFormat, LogLevel, LogSettings};

/// Sends log lines to standard error. The variable `VIADUCT_LOG` overrides the level, part by part, as in
/// `viaduct_proxy=debug,info`.
pub(crate) fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::try_from_env("VIADUCT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber in one process is a test's: the first goes on.
    let _ = match settings.format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}
