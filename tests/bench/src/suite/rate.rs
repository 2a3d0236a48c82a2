//! One search for the highest rate of calls of which none fails.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::started::Started;
use super::watch::Watch;
use super::{Suite, note};
use crate::load::{Demand, Tally};
use crate::peers::{Proof, ProxyPeer, SIP_PORT};
use crate::ramp::Ramp;
use crate::results::{Figure, Results, Work};
use crate::sip::{Calls, Load, Side};
use crate::usage::datagrams_lost;

/// A program that has more calls under way at the end than begin in this time falls behind. Given longer, it would fail:
/// it does not hold the rate.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// What came of one rate.
#[derive(Debug)]
struct Step {
    tally: Tally,
    /// The part of its processor that the program used, in percent.
    busy: f64,
    /// Datagrams that came faster than the program read them.
    unread: u64,
    /// The same for the phones: the limit was not the program's.
    unread_by_phones: u64,
    /// The part of their processor that the phones used, in percent.
    phones_busy: f64,
}

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.rate;
    let mut ramp = Ramp::new(plan.first, plan.factor, plan.max, plan.tries);
    let (mut running, mut starts) = (None, 0);
    let mut held = None;
    while let Some(rate) = ramp.rate() {
        let mut program = match running.take() {
            Some(program) => program,
            None => {
                starts += 1;
                let folder = folder.join(starts.to_string());
                start(suite, peer, &folder, plan.pairs)?
            }
        };
        let step = program.step(rate, plan.step)?;
        let has_failed = step.tally.failed > 0;
        note(&format!("  {rate:.0} calls a second: {}", told(&step)));
        ramp.tried(has_failed);
        if has_failed {
            blame(peer, &step, results);
        } else {
            held = Some(step);
        }
        // Whoever has failed may be full of what is left of it: the next rate gets a fresh program.
        if has_failed {
            program.started.daemon.stop()?;
        } else {
            running = Some(program);
        }
    }
    if let Some(program) = running {
        program.started.daemon.stop()?;
    }
    let mut add = |figure, value| results.add(Work::CallRate, figure, peer.name(), value);
    add(Figure::HeldRate, ramp.held().unwrap_or(0.0));
    if let Some(failed) = ramp.failed() {
        add(Figure::FailedRate, failed);
    }
    if let Some(step) = held {
        add(Figure::Busy, step.busy);
        add(Figure::PhonesBusy, step.phones_busy);
    }
    Ok(())
}

/// A proxy whose phones call each other.
#[derive(Debug)]
struct Calling {
    started: Started,
    calls: Calls,
}

fn start(suite: &Suite, peer: ProxyPeer, folder: &Path, pairs: usize) -> anyhow::Result<Calling> {
    let mut started = Started::start(suite, peer, folder, (pairs, Proof::Address))?;
    started.register_all()?;
    let calls = Calls::new(started.directory.clone());
    Ok(Calling { started, calls })
}

impl Calling {
    fn step(&mut self, rate: f64, duration: Duration) -> anyhow::Result<Step> {
        let Started { daemon, phones, .. } = &mut self.started;
        let phone_ports = [
            phones.address(Side::Caller)?.port(),
            phones.address(Side::Callee)?.port(),
        ];
        let before = (datagrams_lost(&[SIP_PORT])?, datagrams_lost(&phone_ports)?);
        let watch = Watch::start(daemon.pid())?;
        let traffic = phones
            .run(&mut self.calls, Demand::Paced(rate), duration)
            .with_context(|| daemon.tail())?;
        let seen = watch.stop()?;
        let mut tally = std::mem::take(self.calls.tally());
        if traffic.left as f64 > rate * BEHIND_MAX.as_secs_f64() {
            tally.fail("it fell behind");
        }
        let percent = |part: Duration| part.as_secs_f64() / traffic.elapsed.as_secs_f64() * 100.0;
        Ok(Step {
            tally,
            busy: percent(seen.used.processor),
            phones_busy: 100.0 - percent(traffic.idle),
            unread: datagrams_lost(&[SIP_PORT])? - before.0,
            unread_by_phones: datagrams_lost(&phone_ports)? - before.1,
        })
    }
}

fn told(step: &Step) -> String {
    let Step { tally, busy, .. } = step;
    let failures: Vec<String> = tally
        .reasons
        .iter()
        .map(|(reason, count)| format!("{reason} ({count})"))
        .collect();
    let failures = if failures.is_empty() {
        "none failed".to_owned()
    } else {
        failures.join(", ")
    };
    format!(
        "{failures}; processor {busy:.0} % (phones {:.0} %), sent again {}, unread {}",
        step.phones_busy, tally.sent_again, step.unread
    )
}

/// Keeps why calls failed.
fn blame(peer: ProxyPeer, step: &Step, results: &mut Results) {
    let mut add = |reason: &str, count| {
        let reason = format!("{} past its call rate: {reason}", peer.name());
        *results.reasons.entry(reason).or_default() += count;
    };
    for (reason, count) in &step.tally.reasons {
        add(reason, *count);
    }
    for (what, count) in [
        ("datagrams that it did not read in time", step.unread),
        (
            "datagrams that the phones did not read in time",
            step.unread_by_phones,
        ),
    ] {
        if count > 0 {
            add(what, count);
        }
    }
}
