//! One run of one relay at which calls come and go while many more go on.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use viaduct_ng::{Reply, Request};

use super::relay::{add_heard, start_with_calls};
use super::watch::Watch;
use super::{Suite, add_latencies};
use crate::drive::Commander;
use crate::load::{Demand, Pacer};
use crate::media::{CallPlan, MediaMode};
use crate::peers::RelayPeer;
use crate::results::{Figure, Results, Work};
use crate::sample::Latencies;

/// How long phones talk on when the last call is over.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Commands of one call.
const COMMANDS: usize = 3;

pub(super) fn measure(
    suite: &Suite,
    peer: RelayPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.churn;
    let (_place, daemon, mut commander, mut phones) = start_with_calls(suite, peer, folder, plan.calls)?;
    phones.run_some(0..plan.talking, suite.plan.media_warm_up)?;

    // Nobody talks in calls that come and go, so they may name phones of others.
    let mut coming = Coming {
        commander: &mut commander,
        parties: phones.addresses(Some(plan.calls - 1))?,
        next: u32::try_from(plan.calls)?,
        pacer: Pacer::new(Demand::Paced(plan.per_second), Instant::now()).times(plan.times),
        due: 0,
        call: None,
        failed: 0,
        times: Latencies::default(),
    };
    let watch = Watch::start(daemon.pid())?;
    let tally = phones
        .run_some_beside(0..plan.talking, AFTERWARDS, || coming.go_on())
        .with_context(|| daemon.tail())?;
    let seen = watch.stop()?;
    let mut add = |figure, value| results.add(Work::Churn, figure, peer.name(), value);
    add(Figure::Failed, coming.failed as f64);
    add_latencies(
        &coming.times,
        [Figure::CommandHalfWithin, Figure::CommandMostWithin],
        &mut add,
    );
    add_heard(&tally, seen, &mut add);
    daemon.stop()
}

/// Sets calls up and ends them, one after the other, without ever waiting.
struct Coming<'a> {
    commander: &'a mut Commander,
    parties: [SocketAddr; 2],
    next: u32,
    pacer: Pacer,
    /// Calls that should have begun by now.
    due: u64,
    /// The call that is being set up, how many of its commands were answered, and since when the next one is not.
    call: Option<(CallPlan, usize, Instant)>,
    failed: u64,
    times: Latencies,
}

impl Coming<'_> {
    /// Does what can be done now. Gives whether there is more.
    fn go_on(&mut self) -> anyhow::Result<bool> {
        let now = Instant::now();
        self.due += self.pacer.take_due(now, 0);
        let Some((_, _, asked)) = &self.call else {
            if self.due == 0 {
                return Ok(!self.pacer.is_over());
            }
            self.due -= 1;
            let [caller, callee] = self.parties;
            let call = CallPlan::new(self.next, MediaMode::Plain, caller, callee);
            self.next += 1;
            self.ask(call, 0)?;
            return Ok(true);
        };
        let asked = *asked;
        ensure!(now < asked + PATIENCE, "the relay does not answer");
        let Some(reply) = self.commander.poll()? else {
            return Ok(true);
        };
        let Some((call, answered, _)) = self.call.take() else {
            return Ok(true);
        };
        self.times.add(now.saturating_duration_since(asked));
        if !matches!(reply, Reply::Ok(_)) {
            self.failed += 1;
        } else if answered + 1 < COMMANDS {
            self.ask(call, answered + 1)?;
        }
        Ok(true)
    }

    fn ask(&mut self, call: CallPlan, answered: usize) -> anyhow::Result<()> {
        let request: Request = match answered {
            0 => call.offer()?,
            1 => call.answer(),
            _ => call.delete(),
        };
        self.commander.begin(&request)?;
        self.call = Some((call, answered, Instant::now()));
        Ok(())
    }
}
