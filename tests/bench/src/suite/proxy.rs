//! One run of one proxy.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::started::Started;
use super::watch::{Seen, Watch};
use super::{Suite, add_latencies, micros};
use crate::daemon::Daemon;
use crate::drive::{Signalling, Traffic};
use crate::load::{Demand, Tally};
use crate::peers::{Proof, ProxyPeer};
use crate::plan::LoadPlan;
use crate::results::{Figure, Results, Work};
use crate::sip::{Calls, Load};

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    work: Work,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let proof = match work {
        Work::RegisterDigest => Proof::Digest,
        _ => Proof::Address,
    };
    let mut started = Started::start(suite, peer, folder, (suite.plan.pairs, proof))?;
    let mut registrations = started.register_all()?;

    let mut run = Run {
        daemon: &started.daemon,
        phones: &mut started.phones,
        name: peer.name(),
        results,
    };
    match work {
        Work::Call => run.measure(work, &mut Calls::new(started.directory), suite.plan.call)?,
        _ => run.measure(work, &mut registrations, suite.plan.register)?,
    }
    started.daemon.stop()
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
        let rate = self.at_full_load(work, load, plan)?;
        self.at_half_load(work, load, plan, rate / 2.0)
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

    /// Also says how many operations a second there were.
    fn at_full_load(&mut self, work: Work, load: &mut dyn Load, plan: LoadPlan) -> anyhow::Result<f64> {
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
        Ok(done / seconds)
    }

    /// At `rate` operations a second, evenly spaced, whatever becomes of them.
    fn at_half_load(
        &mut self,
        work: Work,
        load: &mut dyn Load,
        plan: LoadPlan,
        rate: f64,
    ) -> anyhow::Result<()> {
        let (tally, seen, _) = self.work(load, Demand::Paced(rate), plan.half)?;
        let mut add = |figure, value| self.results.add(work, figure, self.name, value);
        add(Figure::MidRate, rate);
        add(
            Figure::MidProcessor,
            micros(seen.used.processor) / tally.done as f64,
        );
        add_latencies(
            &tally.latencies,
            [Figure::MidHalfWithin, Figure::MidMostWithin],
            &mut add,
        );
        for (figure, part) in [
            (Figure::MidHopHalfWithin, 500),
            (Figure::MidHopMostWithin, 990),
            (Figure::MidHopNearlyAllWithin, 999),
        ] {
            if let Some(hop) = tally.hops.within(part, 1_000) {
                add(figure, micros(hop));
            }
        }
        add(Figure::MidFailed, tally.failed as f64);
        add(Figure::MidOthers, seen.others);
        add(Figure::MidWaited, seen.waited);
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
