//! `viaduct-relay`: the media relay as a program of its own, beside a SIP proxy that speaks NG.
//!
//! Arguments, then settings, then sockets and threads, then calls until a signal, then the end. Nothing is bound before
//! all settings are known to be good, and all mistakes are told in one run.
//!
//! It stays in the foreground, with or without `-f`: systemd, containers and shells want that, and they know better
//! than a double fork how to keep a program.

mod pid_file;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
#[cfg(feature = "jemalloc")]
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use viaduct_mediarelay::{RelayConfig, RelayHandle, ServiceManager, read_code, take_short_turns};
use viaduct_settings::{
    Code, ConfigFile, Diagnostics, Invocation, Loaded, LogFormat, LogLevel, LogSettings, RelaySettings,
    parse_args,
};

use crate::pid_file::PidFile;

/// Memory is allocated by one thread and freed by another with every call, which this allocator does best.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Wrong options or settings (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;

/// How long the end may take. Calls are not waited for: their media could not be moved elsewhere.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(1_500);

/// What rtpengine reads when no file is named.
const RTPENGINE_CONF: &str = "/etc/rtpengine/rtpengine.conf";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let invocation = match parse_args(&arguments) {
        Ok(invocation) => invocation,
        Err(mistakes) => return usage_error(&mistakes),
    };
    let arguments = match invocation {
        Invocation::Help(text) | Invocation::Version(text) => return print(&text),
        Invocation::Run(arguments) => arguments,
    };
    let config = match read_config(&arguments.config_file) {
        Ok(config) => config,
        Err(error) => {
            complain(format_args!("viaduct-relay: {error:#}\n"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let config = config.as_ref().map(|(file, text)| (file.as_str(), text.as_str()));
    let loaded = match arguments.settings(config) {
        Ok(loaded) => loaded,
        Err(mistakes) => return usage_error(&mistakes),
    };
    match run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("viaduct-relay: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Builds the relay, runs it until a signal, and ends it.
fn run(loaded: Loaded<RelaySettings>) -> anyhow::Result<()> {
    let Loaded {
        settings, warnings, ..
    } = loaded;
    begin_log(&settings.log);
    // Options without effect are named together.
    for warning in warnings
        .iter()
        .filter(|warning| warning.code != Code::OptionUnused)
    {
        tracing::warn!("{}", warning.message);
    }
    if !settings.unused_options.is_empty() {
        tracing::info!(
            "accepted and without effect: {}",
            settings.unused_options.join(", ")
        );
    }
    tracing::info!(
        "viaduct-relay {} stays in the foreground",
        env!("CARGO_PKG_VERSION")
    );
    // Before any thread begins.
    take_short_turns();
    read_code();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("beginning to wait for signals")?;
    // From here on a signal ends the relay in good order, also while it begins.
    let ended = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate()].map(signal)
    };
    let [interrupt, terminate] = ended;
    let mut interrupt = interrupt.context("waiting for SIGINT")?;
    let mut terminate = terminate.context("waiting for SIGTERM")?;
    let pid_file = settings.pid_file.clone();
    let relay = RelayHandle::start(RelayConfig::from(settings)).context("the relay does not start")?;
    // Not before: the ports may be those of a relay that runs, and so may the file be.
    let pid_file = pid_file.as_deref().map(PidFile::write).transpose()?;
    for line in relay.remarks() {
        tracing::warn!("{line}");
    }
    for line in relay.description() {
        tracing::info!("{line}");
    }
    let manager = ServiceManager::of_environment();
    if let Some(manager) = &manager {
        manager.ready();
    }
    let signal = runtime.block_on(async {
        let told_alive = async {
            match &manager {
                Some(manager) => manager.tell_alive(async || relay.snapshot().await.is_ok()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            never = told_alive => match never {},
        }
    });
    tracing::info!("{signal}: the relay ends");
    if let Some(manager) = &manager {
        manager.stopping();
    }
    if let Err(stuck) = relay.shutdown(SHUTDOWN_PATIENCE) {
        tracing::warn!("{stuck}");
    }
    drop(pid_file);
    Ok(())
}

/// The name and the text of the configuration file.
fn read_config(file: &ConfigFile) -> anyhow::Result<Option<(String, String)>> {
    let (path, must_exist) = match file {
        ConfigFile::None => return Ok(None),
        ConfigFile::Unnamed => (RTPENGINE_CONF, false),
        ConfigFile::Path(path) => (path.as_str(), true),
    };
    match fs::read(path) {
        Ok(octets) => {
            let text = String::from_utf8(octets).with_context(|| format!("{path} is not UTF-8"))?;
            Ok(Some((path.to_owned(), text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
    }
}

fn begin_log(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false);
    match settings.format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}

fn usage_error(mistakes: &Diagnostics) -> ExitCode {
    complain(format_args!("{mistakes}\n"));
    ExitCode::from(EXIT_USAGE)
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // A closed pipe (`viaduct-relay --help | head -1`): there is nobody left to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: std::fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}
