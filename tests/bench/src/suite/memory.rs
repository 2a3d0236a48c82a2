//! What registrations and calls leave in memory once everything about them has been said.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::ensure;

use super::started::Started;
use super::{Suite, note};
use crate::drive::Traffic;
use crate::gauges::{Gauges, settled_memory};
use crate::load::Demand;
use crate::peers::{Proof, ProxyPeer, Setup, metrics_address};
use crate::results::{Figure, Results, Work};
use crate::sip::{Calls, Load, Registrations};

/// Phones that register at the same time in a burst.
const BURST: usize = 64;

/// T1 there. Transactions last for 64 times T1: with the 500 ms of RFC 3261 half a minute each time, and no more of them at
/// the same time, because everything begins within that.
const T1: Duration = Duration::from_millis(150);

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.memory;
    let mut add = |figure, value| results.add(Work::Memory, figure, peer.name(), value);

    let slow = Demand::Paced(plan.slow_per_second);
    let mut program = Settling::start(suite, peer, &folder.join("slow"), plan.slow_pairs)?;
    add(Figure::SlowRegistration, program.register(slow)?);
    program.started.daemon.stop()?;

    let mut program = Settling::start(suite, peer, &folder.join("burst"), plan.pairs)?;
    add(
        Figure::BurstRegistration,
        program.register(Demand::Window(BURST))?,
    );
    add(Figure::LiveCall, program.call(plan.calls, plan.calls_per_second)?);
    program.started.daemon.stop()
}

/// A gateway, and what it used when it last had nothing to do.
#[derive(Debug)]
struct Settling {
    started: Started,
    memory: u64,
}

impl Settling {
    fn start(suite: &Suite, peer: ProxyPeer, folder: &Path, pairs: usize) -> anyhow::Result<Self> {
        let setup = Setup {
            proof: Proof::Address,
            t1: Some(T1),
        };
        let mut started = Started::start(suite, peer, folder, (pairs, setup))?;
        started.wait_for_metrics()?;
        let mut own = Self { started, memory: 0 };
        own.settle()?;
        Ok(own)
    }

    /// Registers every phone once. The memory of one registration, in octets.
    fn register(&mut self, demand: Demand) -> anyhow::Result<f64> {
        let everybody = self.started.directory.lines().len();
        let mut registrations = Registrations::new(self.started.directory.clone());
        self.do_all(&mut registrations, demand, everybody)?;
        let before = self.memory;
        let gauges = self.settle()?;
        ensure!(
            gauges.registrations == everybody as u64,
            "registrations are lost: {gauges:?}"
        );
        Ok(each(self.memory, before, everybody))
    }

    /// Sets up so many calls and lets them go on. The memory of one, in octets.
    fn call(&mut self, calls: usize, per_second: f64) -> anyhow::Result<f64> {
        let mut load = Calls::that_go_on(self.started.directory.clone());
        self.do_all(&mut load, Demand::Paced(per_second), calls)?;
        let before = self.memory;
        let gauges = self.settle()?;
        ensure!(gauges.calls == calls as u64, "calls are lost: {gauges:?}");
        Ok(each(self.memory, before, calls))
    }

    fn do_all(&mut self, load: &mut dyn Load, demand: Demand, times: usize) -> anyhow::Result<Traffic> {
        let traffic = self.started.phones.run_times(load, demand, times)?;
        let tally = load.tally();
        ensure!(
            tally.done == times as u64,
            "{} of {times} succeeded: {:?}\n{}",
            tally.done,
            tally.reasons,
            self.started.daemon.tail()
        );
        Ok(traffic)
    }

    fn settle(&mut self) -> anyhow::Result<Gauges> {
        let pass = |time: Duration| {
            thread::sleep(time);
            Ok(())
        };
        let (memory, gauges) = settled_memory(self.started.daemon.pid(), metrics_address(), pass)?;
        note(&format!("  {} KiB with {gauges:?}", memory / 1_024));
        self.memory = memory;
        Ok(gauges)
    }
}

fn each(after: u64, before: u64, count: usize) -> f64 {
    (after as f64 - before as f64) / count as f64
}
