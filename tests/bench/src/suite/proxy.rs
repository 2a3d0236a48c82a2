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
        let others = self.at_a_pace(
            work,
            load,
            (plan.paced_per_second, plan.paced),
            [
                Figure::Processor,
                Figure::HalfWithin,
                Figure::MostWithin,
                Figure::Failed,
            ],
        )?;
        self.results.add(work, Figure::Others, self.name, others);
        self.at_a_pace(
            work,
            load,
            (plan.steady_per_second, plan.steady),
            [
                Figure::SteadyProcessor,
                Figure::SteadyHalfWithin,
                Figure::SteadyMostWithin,
                Figure::SteadyFailed,
            ],
        )?;
        let rate = self.at_full_load(work, load, plan)?;
        self.at_half_load(work, load, plan, rate / 2.0)
    }

    /// At `rate` operations a second, for so long. In `figures` go their processor time, the delays of half and of most of
    /// them, and how many failed. Answers what others used of the machine meanwhile.
    fn at_a_pace(
        &mut self,
        work: Work,
        load: &mut dyn Load,
        (rate, duration): (f64, Duration),
        [processor, half_within, most_within, failed]: [Figure; 4],
    ) -> anyhow::Result<f64> {
        let (tally, seen, _) = self.work(load, Demand::Paced(rate), duration)?;
        self.ensure_some_succeeded(&tally)?;
        let mut add = |figure, value| self.results.add(work, figure, self.name, value);
        add(processor, micros(seen.used.processor) / tally.done as f64);
        add_latencies(&tally.latencies, [half_within, most_within], &mut add);
        add(failed, tally.failed as f64);
        Ok(seen.others)
    }

    /// Also says how many operations a second there were.
    fn at_full_load(&mut self, work: Work, load: &mut dyn Load, plan: LoadPlan) -> anyhow::Result<f64> {
        let (tally, seen, traffic) = self.work(load, Demand::Window(plan.window), plan.saturated)?;
        self.ensure_some_succeeded(&tally)?;
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
        add(Figure::MidFailed, tally.failed as f64);
        // What full load has broken says nothing by what the little costs that still succeeds.
        if tally.failed > tally.done {
            return Ok(());
        }
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
        for (reason, count) in &tally.reasons {
            let reason = format!("{}: {reason}", self.name);
            *self.results.reasons.entry(reason).or_default() += count;
        }
        Ok((tally, seen, traffic))
    }

    fn ensure_some_succeeded(&self, tally: &Tally) -> anyhow::Result<()> {
        let (reasons, log) = (&tally.reasons, self.daemon.tail());
        ensure!(tally.done > 0, "nothing succeeded: {reasons:?}\n{log}");
        Ok(())
    }
}
