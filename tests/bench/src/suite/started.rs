//! A proxy with its phones.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::{START_MAX, Suite};
use crate::daemon::{Daemon, Launch};
use crate::drive::Signalling;
use crate::gauges::Gauges;
use crate::load::Demand;
use crate::peers::{ProxyPeer, Setup, metrics_address, sip_address};
use crate::sip::{Directory, Load, Registrations, Side};

/// How long phones register at a time until everybody has.
const REGISTER_STEP: Duration = Duration::from_millis(200);

/// How many such times there may be.
const REGISTER_STEPS: usize = 100;

/// Phones that register at the same time then.
const REGISTER_WINDOW: usize = 64;

/// How long is waited before metrics are asked for again.
const METRICS_WAIT: Duration = Duration::from_millis(20);

/// What callgrind counted.
pub(super) const COUNTS: &str = "callgrind.out";

/// A proxy that runs, and phones that know it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) daemon: Daemon,
    pub(super) phones: Signalling,
    pub(super) directory: Arc<Directory>,
}

impl Started {
    /// Starts `peer` in `folder`, which is made, with so many pairs of phones, none of which is registered yet.
    pub(super) fn start(
        suite: &Suite,
        peer: ProxyPeer,
        folder: &Path,
        (pairs, setup): (usize, impl Into<Setup>),
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let launch = peer.prepare(&suite.places, folder, 2 * pairs, setup.into())?;
        Self::launch(suite, &launch, folder, pairs)
    }

    /// The same under callgrind, which leaves its counts in the file [`COUNTS`] of the folder when the program ends.
    pub(super) fn start_counted(
        suite: &Suite,
        peer: ProxyPeer,
        folder: &Path,
        (pairs, setup): (usize, impl Into<Setup>),
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut launch = peer.prepare(&suite.places, folder, 2 * pairs, setup.into())?;
        let program = std::mem::replace(&mut launch.program, "valgrind".into());
        let counted = [
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", folder.join(COUNTS).display()),
            program.display().to_string(),
        ];
        launch.args.splice(0..0, counted);
        Self::launch(suite, &launch, folder, pairs)
    }

    fn launch(suite: &Suite, launch: &Launch, folder: &Path, pairs: usize) -> anyhow::Result<Self> {
        let phones = Signalling::open(sip_address())?;
        let mut daemon = Daemon::start(launch, suite.processor, folder)?;
        daemon.wait_until(START_MAX, || phones.probe())?;
        let (caller, callee) = (phones.address(Side::Caller)?, phones.address(Side::Callee)?);
        Ok(Self {
            daemon,
            phones,
            directory: Arc::new(Directory::new(pairs, caller, callee)),
        })
    }

    /// Waits until our gateway says how it is: it does so a little later than it answers requests.
    pub(super) fn wait_for_metrics(&mut self) -> anyhow::Result<()> {
        self.daemon.wait_until(START_MAX, || {
            let is_there = Gauges::read(metrics_address()).is_ok();
            if !is_there {
                thread::sleep(METRICS_WAIT);
            }
            Ok(is_there)
        })
    }

    /// Registers everybody, which also wakes up what sleeps until it is used, and lets them go on from there.
    pub(super) fn register_all(&mut self) -> anyhow::Result<Registrations> {
        let mut registrations = Registrations::new(self.directory.clone());
        let everybody = self.directory.lines().len() as u64;
        let demand = Demand::Window(REGISTER_WINDOW);
        for _ in 0..REGISTER_STEPS {
            self.phones.run(&mut registrations, demand, REGISTER_STEP)?;
            // They take turns, so nobody was left out.
            if registrations.tally().done >= everybody {
                let tally = std::mem::take(registrations.tally());
                let (reasons, log) = (&tally.reasons, self.daemon.tail());
                ensure!(tally.failed == 0, "phones cannot register: {reasons:?}\n{log}");
                return Ok(registrations);
            }
        }
        let log = self.daemon.tail();
        bail!(
            "phones cannot register: {:?}\n{log}",
            registrations.tally().reasons
        )
    }
}
