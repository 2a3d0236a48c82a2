//! One run of one proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::watch::{Seen, Watch};
use super::{START_MAX, Suite, add_latencies, micros};
use crate::daemon::Daemon;
use crate::drive::{Signalling, Traffic};
use crate::load::{Demand, Tally};
use crate::peers::{Proof, ProxyPeer, sip_address};
use crate::plan::LoadPlan;
use crate::results::{Figure, Results, Work};
use crate::sip::{Calls, Directory, Load, Registrations, Side};

/// How long phones register at a time until everybody has.
const REGISTER_STEP: Duration = Duration::from_millis(200);

/// How many such times there may be.
const REGISTER_STEPS: usize = 50;

/// Phones that register at the same time then.
const REGISTER_WINDOW: usize = 64;

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    work: Work,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let pairs = suite.plan.pairs;
    let proof = match work {
        Work::RegisterDigest => Proof::Digest,
        _ => Proof::Address,
    };
    let launch = peer.prepare(&suite.places, folder, 2 * pairs, proof)?;
    let mut phones = Signalling::open(sip_address())?;
    let mut daemon = Daemon::start(&launch, suite.processor, folder)?;
    daemon.wait_until(START_MAX, || phones.probe())?;

    let (caller, callee) = (phones.address(Side::Caller)?, phones.address(Side::Callee)?);
    let directory = Arc::new(Directory::new(pairs, caller, callee));
    let mut registrations = Registrations::new(directory.clone());
    register_all(&mut phones, &mut registrations, 2 * pairs).with_context(|| daemon.tail())?;

    let name = peer.name();
    let mut run = Run {
        daemon: &daemon,
        phones: &mut phones,
        name,
        results,
    };
    match work {
        Work::Call => run.measure(work, &mut Calls::new(directory), suite.plan.call)?,
        _ => run.measure(work, &mut registrations, suite.plan.register)?,
    }
    daemon.stop()
}

/// Registers everybody. Also wakes up what sleeps until it is used.
fn register_all(
    phones: &mut Signalling,
    registrations: &mut Registrations,
    everybody: usize,
) -> anyhow::Result<()> {
    for _ in 0..REGISTER_STEPS {
        phones.run(registrations, Demand::Window(REGISTER_WINDOW), REGISTER_STEP)?;
        // They take turns, so nobody was left out.
        if registrations.tally().done >= everybody as u64 {
            let tally = std::mem::take(registrations.tally());
            ensure!(tally.failed == 0, "phones cannot register: {:?}", tally.reasons);
            return Ok(());
        }
    }
    bail!("phones cannot register: {:?}", registrations.tally().reasons)
}

/// A proxy that is being measured.
struct Run<'a> {
    daemon: &'a Daemon,
    phones: &'a mut Signalling,
    name: &'static str,
    results: &'a mut Results,
}

impl Run<'_> {
    fn measure(&mut self, work: Work, load: &mut dyn Load, plan: LoadPlan) -> anyhow::Result<()> {
        self.at_a_pace(work, load, plan)?;
        self.at_full_load(work, load, plan)
    }

    fn at_a_pace(&mut self, work: Work, load: &mut dyn Load, plan: LoadPlan) -> anyhow::Result<()> {
        let (tally, seen, _) = self.work(load, Demand::Paced(plan.paced_per_second), plan.paced)?;
        let mut add = |figure, value| self.results.add(work, figure, self.name, value);
        add(Figure::Processor, micros(seen.used.processor) / tally.done as f64);
        add_latencies(
            &tally.latencies,
            [Figure::HalfWithin, Figure::MostWithin],
            &mut add,
        );
        add(Figure::Failed, tally.failed as f64);
        add(Figure::Others, seen.others);
        Ok(())
    }

    fn at_full_load(&mut self, work: Work, load: &mut dyn Load, plan: LoadPlan) -> anyhow::Result<()> {
        let (tally, seen, traffic) = self.work(load, Demand::Window(plan.window), plan.saturated)?;
        let (done, seconds) = (tally.done as f64, traffic.elapsed.as_secs_f64());
        let mut add = |figure, value| self.results.add(work, figure, self.name, value);
        add(Figure::Rate, done / seconds);
        add(Figure::Messages, traffic.messages as f64 / seconds);
        add(Figure::Busy, seen.used.processor.as_secs_f64() / seconds * 100.0);
        add(Figure::FullProcessor, micros(seen.used.processor) / done);
        if let Some(share) = seen.used.system_share() {
            add(Figure::Kernel, share * 100.0);
        }
        add_latencies(
            &tally.latencies,
            [Figure::FullHalfWithin, Figure::FullMostWithin],
            &mut add,
        );
        add(Figure::FullFailed, tally.failed as f64);
        add(Figure::FullOthers, seen.others);
        Ok(())
    }

    fn work(
        &mut self,
        load: &mut dyn Load,
        demand: Demand,
        duration: Duration,
    ) -> anyhow::Result<(Tally, Seen, Traffic)> {
        let watch = Watch::start(self.daemon.pid())?;
        let traffic = self.phones.run(load, demand, duration)?;
        let seen = watch.stop()?;
        let tally = std::mem::take(load.tally());
        let (reasons, log) = (&tally.reasons, self.daemon.tail());
        ensure!(tally.done > 0, "nothing succeeded: {reasons:?}\n{log}");
        for (reason, count) in reasons {
            let reason = format!("{}: {reason}", self.name);
            *self.results.reasons.entry(reason).or_default() += count;
        }
        Ok((tally, seen, traffic))
    }
}
