//! One run of one relay between links, with what it takes in interrupts.

use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::changes::{Change, Changes, Changing};
use super::relay::{add_heard, set_up};
use super::watch::Watch;
use super::{START_MAX, Suite, micros};
use crate::daemon::Daemon;
use crate::drive::{Commander, Phones};
use crate::gauges::{metrics, sum};
use crate::media::MediaMode;
use crate::peers::{RelayPeer, RelaySetup, metrics_address, ng_address};
use crate::plan::StreetPlan;
use crate::results::{Figure, Results, Work};
use crate::sample::Spread;
use crate::street::{Deaf, PHONES, RELAY, Street};
use crate::usage::{Usage, resident};

/// What a relay that lets the kernel forward waits for: that it has all flows.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long phones talk on when the last call is changed.
const AFTER_CHANGE: Duration = Duration::from_millis(100);

/// How calls are changed.
const WAYS: [(Change, Figure); 3] = [
    (Change::Again, Figure::OfferedAgain),
    (Change::Record, Figure::RecorderCame),
    (Change::Unrecord, Figure::RecorderWent),
];

pub(super) fn measure(
    suite: &Suite,
    peer: RelayPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.street;
    let street = Street::new()?;
    let setup = RelaySetup {
        media: RELAY,
        in_kernel: true,
        frames: false,
    };
    let mut commander = Commander::open(ng_address())?;
    let mut phones = Phones::open_at(&street, plan.calls)?;
    let mut daemon = Daemon::start(
        &peer.prepare(&suite.places, folder, setup)?,
        suite.processor,
        folder,
    )?;
    daemon.wait_until(START_MAX, || commander.probe())?;
    let mut add = |figure, value| results.add(Work::Kernel, figure, peer.name(), value);

    let resident_before = resident(daemon.pid())?;
    let before = Usage::of(daemon.pid())?;
    let mut calls = Vec::new();
    for number in 0..plan.calls {
        let set_up = set_up(
            &mut commander,
            &mut phones,
            u32::try_from(number)?,
            MediaMode::Plain,
        );
        calls.push(Changing::new(set_up.with_context(|| daemon.tail())?));
    }
    let used = Usage::of(daemon.pid())?.since(before);
    add(Figure::SetUp, micros(used.processor) / plan.calls as f64);
    phones.run(suite.plan.media_warm_up)?;
    if peer == RelayPeer::Viaduct {
        let all = 2 * plan.calls as u64;
        daemon.wait_until(START_MAX, || {
            thread::sleep(LOOK_AGAIN);
            Ok(sum(&metrics(metrics_address())?, "viaduct_relay_control_kernel_flows") == all)
        })?;
    }

    let by_workers = by_workers(peer)?;
    let watch = Watch::start(daemon.pid())?;
    let tally = phones.run(plan.heard)?;
    let seen = watch.stop()?;
    ensure!(tally.received > 0, "no packet came through:\n{}", daemon.tail());
    if let Some((before, after)) = by_workers.zip(self::by_workers(peer)?) {
        let in_kernel = tally.received.saturating_sub(after - before);
        add(Figure::InKernel, in_kernel as f64 / tally.received as f64 * 100.0);
    }
    let memory = resident(daemon.pid())?.saturating_sub(resident_before);
    add(Figure::Memory, memory as f64 / 1_024.0 / plan.calls as f64);
    add_heard(&tally, seen, &mut add);

    let unheard = Unheard::measure(&street, &mut phones, &daemon, plan)?;
    ensure!(unheard.arrived > 0, "no packet came through:\n{}", daemon.tail());
    add(Figure::Processor, unheard.own + unheard.interrupts);
    add(Figure::OwnProcessor, unheard.own);
    add(Figure::Interrupts, unheard.interrupts);
    let (sent, arrived) = (unheard.sent as f64, unheard.arrived as f64);
    add(Figure::UnheardLost, (sent - arrived) / sent * 100.0);

    let listener = street
        .at(1, || Ok(UdpSocket::bind((PHONES[1], 0))?))?
        .local_addr()?;
    let mut wrong = 0;
    for (change, figure) in WAYS {
        let changed = &mut calls[..plan.changed];
        let mut changes = Changes::new(&mut commander, changed, change, (listener, plan.change_every));
        let tally = phones
            .run_beside(AFTER_CHANGE, plan.changed, || changes.go_on())
            .with_context(|| format!("{change:?}"))?;
        wrong += tally.sent.abs_diff(tally.received) + tally.wrong + tally.repeated;
        if let Some(slowest) = tally.latencies.percentile(100) {
            add(figure, micros(slowest));
        }
    }
    add(Figure::ChangedWrong, wrong as f64);

    daemon.stop()
}

/// What a relay takes while nobody hears what it sends, for each packet that it passes on, in microseconds.
struct Unheard {
    /// In its own threads.
    own: f64,
    /// In interrupts: what sending takes more than when the relay is deaf.
    interrupts: f64,
    /// Packets sent to it.
    sent: u64,
    /// Packets that it passed on.
    arrived: u64,
}

impl Unheard {
    /// With it and without it in turn: of what one turn shows more than the next, the median is taken, for others may have
    /// the machine for a moment. What its own threads use is known exactly, and some of it they do once a second, so it is added
    /// up.
    fn measure(
        street: &Street,
        phones: &mut Phones,
        daemon: &Daemon,
        plan: StreetPlan,
    ) -> anyhow::Result<Self> {
        let (mut own, mut interrupts) = (Duration::ZERO, Vec::new());
        let (mut sent, mut arrived) = (0, 0);
        for _ in 0..plan.turns {
            street.set_deaf(Deaf::Phones, true)?;
            let (arrived_before, before) = (street.arrived()?, Usage::of(daemon.pid())?);
            let with = phones.talk_unheard(plan.unheard)?;
            own += Usage::of(daemon.pid())?.since(before).processor;
            let passed_on = street.arrived()? - arrived_before;
            street.set_deaf(Deaf::Phones, false)?;

            street.set_deaf(Deaf::Relay, true)?;
            let without = phones.talk_unheard(plan.unheard)?;
            street.set_deaf(Deaf::Relay, false)?;

            sent += with.sent;
            arrived += passed_on;
            if passed_on > 0 {
                // For what was sent with it, so much would have been used without it.
                let sending = micros(without.used) / without.sent as f64 * with.sent as f64;
                interrupts.push((micros(with.used) - sending) / passed_on as f64);
            }
        }
        Ok(Self {
            own: micros(own) / arrived.max(1) as f64,
            interrupts: Spread::of(&interrupts).map_or(0.0, |spread| spread.median),
            sent,
            arrived,
        })
    }
}

/// Packets that our relay's threads have forwarded.
fn by_workers(peer: RelayPeer) -> anyhow::Result<Option<u64>> {
    let text = match peer {
        RelayPeer::Viaduct | RelayPeer::ViaductSockets => metrics(metrics_address())?,
        RelayPeer::Rtpengine => return Ok(None),
    };
    Ok(Some(sum(&text, "viaduct_relay_worker_forwarded_total")))
}
