//! One search for the highest rate of packets of which none is lost.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::relay::{Passed, start_with_calls};
use super::watch::Watch;
use super::{Suite, note};
use crate::drive::Sending;
use crate::peers::RelayPeer;
use crate::ramp::Ramp;
use crate::results::{Figure, Results, Work};

/// Phones that send less than this part of what they should are the limit themselves.
const KEPT_UP: f64 = 0.98;

/// A relay that loses packets and uses less than this of its processor, in percent, does not handle them any more: rtpengine gives ports
/// up whose queues it has found full a few times. What it does from then on says nothing of rates.
const GIVEN_UP: f64 = 50.0;

/// How often a rate at which something was lost is tried again: others may have had the processor for a moment.
const AGAIN: usize = 1;

/// What came of one rate.
#[derive(Debug)]
struct Step {
    passed: Passed,
    /// The part of its processor that the relay used, in percent.
    busy: f64,
}

impl Step {
    fn lost(&self) -> u64 {
        self.passed.sent.saturating_sub(self.passed.arrived)
    }

    /// Packets a second that phones have sent.
    fn rate(&self, time: Duration) -> f64 {
        self.passed.sent as f64 / time.as_secs_f64()
    }
}

pub(super) fn measure(
    suite: &Suite,
    peer: RelayPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.media_rate;
    let (place, daemon, _, mut phones) = start_with_calls(suite, peer, folder, plan.calls)?;
    let heard = phones.run_at(plan.first, suite.plan.media_warm_up)?;
    ensure!(
        heard.wrong + heard.repeated == 0,
        "packets came through damaged or twice"
    );
    place.deafen()?;

    // Its links have a program, and it needs more to come to its limit.
    let sending = match peer {
        RelayPeer::Viaduct => Sending::Volleys,
        RelayPeer::ViaductSockets | RelayPeer::Rtpengine => Sending::Packets,
    };
    let mut at = |rate: f64| -> anyhow::Result<Step> {
        let watch = Watch::start(daemon.pid())?;
        let passed = place.pass(&mut phones, sending, rate, plan.step)?;
        let used = watch.stop()?.used.processor;
        let busy = used.as_secs_f64() / plan.step.as_secs_f64() * 100.0;
        Ok(Step { passed, busy })
    };
    let mut ramp = Ramp::new(plan.first, plan.factor, plan.max, plan.tries);
    let mut held: Option<(f64, f64)> = None;
    while let Some(rate) = ramp.rate() {
        let mut step = at(rate)?;
        for _ in 0..AGAIN {
            if step.lost() > 0 {
                let again = at(rate)?;
                // One that has given up meanwhile has done so at this rate.
                step = if again.lost() == 0 { again } else { step };
            }
        }
        ensure!(
            step.passed.arrived > 0 || held.is_some(),
            "no packet came through:\n{}",
            daemon.tail()
        );
        let (sent, lost) = (step.rate(plan.step), step.lost());
        note(&format!(
            "  {sent:.0} packets a second: {lost} lost, {:.0} % busy",
            step.busy
        ));
        if lost == 0 && held.is_none_or(|(best, _)| sent > best) {
            held = Some((sent, step.busy));
        }
        if lost > 0 && step.busy < GIVEN_UP {
            note("  it has given ports up");
            break;
        }
        ramp.tried(lost > 0);
        if sent < KEPT_UP * rate {
            note("  the phones can send no more");
            break;
        }
    }
    let mut add = |figure, value| results.add(Work::MediaRate, figure, peer.name(), value);
    if let Some((rate, busy)) = held {
        add(Figure::HeldRate, rate);
        add(Figure::Busy, busy);
    }
    if let Some(rate) = ramp.failed() {
        add(Figure::FailedRate, rate);
    }
    daemon.stop()
}
