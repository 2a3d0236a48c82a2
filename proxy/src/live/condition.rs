//! Whether a gateway takes calls, and how old its configuration is.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Report;

/// Shared by those who change it and those who tell of it.
#[derive(Debug)]
pub(crate) struct Condition {
    is_draining: AtomicBool,
    reloads: AtomicU64,
    refused: AtomicU64,
    certificates: AtomicU64,
    config: Mutex<Config>,
}

#[derive(Debug)]
struct Config {
    file: Option<String>,
    applied: Instant,
    waiting: Vec<String>,
}

/// The configuration that runs, as `viaduct status` tells of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ConfigStatus {
    /// The file it comes from. The demo has none.
    pub(crate) file: Option<String>,
    /// Seconds since it was applied.
    pub(crate) age_s: u64,
    /// Times that the file was read again and applied.
    pub(crate) reloads: u64,
    /// Times that the file was read again and refused.
    pub(crate) reloads_refused: u64,
    /// Keys that have changed in the file and need a restart.
    pub(crate) waiting_for_restart: Vec<String>,
}

impl Condition {
    pub(crate) fn new(file: Option<&Path>, now: Instant) -> Self {
        Self {
            is_draining: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            certificates: AtomicU64::new(0),
            config: Mutex::new(Config {
                file: file.map(|file| file.display().to_string()),
                applied: now,
                waiting: Vec::new(),
            }),
        }
    }

    /// True while calls are finished and none is taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::Relaxed);
    }

    pub(super) fn applied(&self, report: &Report) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
        let mut config = self.lock();
        config.applied = Instant::now();
        config.waiting = report.restart.iter().map(|change| change.key.clone()).collect();
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn certificates_changed(&self) {
        self.certificates.fetch_add(1, Ordering::Relaxed);
    }

    /// Times that certificates were read again because their files had changed.
    pub(crate) fn certificates(&self) -> u64 {
        self.certificates.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self) -> ConfigStatus {
        let config = self.lock();
        ConfigStatus {
            file: config.file.clone(),
            age_s: config.applied.elapsed().as_secs(),
            reloads: self.reloads.load(Ordering::Relaxed),
            reloads_refused: self.refused.load(Ordering::Relaxed),
            waiting_for_restart: config.waiting.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Config> {
        // Every write leaves it whole.
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
