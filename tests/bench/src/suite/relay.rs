//! One run of one relay.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};

use super::watch::{Seen, Watch};
use super::{START_MAX, Suite, add_latencies, micros};
use crate::daemon::Daemon;
use crate::drive::{Commander, Phones};
use crate::media::{CallPlan, Crypto, MediaMode, PacketTally, relay_address, relay_keys};
use crate::peers::{RelayPeer, RelaySetup, ng_address};
use crate::results::{Figure, Results, Work};
use crate::usage::{Usage, resident};

pub(super) fn measure(
    suite: &Suite,
    peer: RelayPeer,
    (mode, work): (MediaMode, Work),
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let calls = suite.plan.media_calls;
    let mut phones = Phones::open(calls)?;
    let (daemon, mut commander) = start(suite, peer, folder)?;

    let resident_before = resident(daemon.pid())?;
    let before = Usage::of(daemon.pid())?;
    let mut plans = Vec::new();
    for number in 0..calls {
        let set_up = set_up(&mut commander, &mut phones, u32::try_from(number)?, mode);
        plans.push(set_up.with_context(|| daemon.tail())?);
    }
    let set_up = Usage::of(daemon.pid())?.since(before);
    phones.run(suite.plan.media_warm_up)?;

    let watch = Watch::start(daemon.pid())?;
    let tally = phones.run(suite.plan.media)?;
    let seen = watch.stop()?;
    let memory = resident(daemon.pid())?.saturating_sub(resident_before);
    ensure!(tally.received > 0, "no packet came through:\n{}", daemon.tail());
    let before = Usage::of(daemon.pid())?;
    for plan in &plans {
        commander.command(&plan.delete())?;
    }
    let deletion = Usage::of(daemon.pid())?.since(before);

    let mut add = |figure, value| results.add(work, figure, peer.name(), value);
    add(
        Figure::Processor,
        micros(seen.used.processor) / tally.received as f64,
    );
    if let Some(share) = seen.used.system_share() {
        add(Figure::Kernel, share * 100.0);
    }
    add_heard(&tally, seen, &mut add);
    let calls = calls as f64;
    add(Figure::Memory, memory as f64 / 1_024.0 / calls);
    add(Figure::SetUp, micros(set_up.processor) / calls);
    add(Figure::Deletion, micros(deletion.processor) / calls);
    add_latencies(
        &commander.times,
        [Figure::CommandHalfWithin, Figure::CommandMostWithin],
        &mut add,
    );
    daemon.stop()
}

/// A relay that forwards by its own threads, and who commands it.
pub(super) fn start(suite: &Suite, peer: RelayPeer, folder: &Path) -> anyhow::Result<(Daemon, Commander)> {
    let mut commander = Commander::open(ng_address())?;
    let launch = peer.prepare(&suite.places, folder, RelaySetup::USER_SPACE)?;
    let mut daemon = Daemon::start(&launch, suite.processor, folder)?;
    daemon.wait_until(START_MAX, || commander.probe())?;
    Ok((daemon, commander))
}

/// The same with so many calls of phones that speak RTP, and their phones.
pub(super) fn start_with_calls(
    suite: &Suite,
    peer: RelayPeer,
    folder: &Path,
    calls: usize,
) -> anyhow::Result<(Daemon, Commander, Phones)> {
    let mut phones = Phones::open(calls)?;
    let (daemon, mut commander) = start(suite, peer, folder)?;
    for number in 0..u32::try_from(calls)? {
        let set_up = set_up(&mut commander, &mut phones, number, MediaMode::Plain);
        set_up.with_context(|| daemon.tail())?;
    }
    Ok((daemon, commander, phones))
}

/// Gives the commands for one call.
pub(super) fn set_up(
    commander: &mut Commander,
    phones: &mut Phones,
    number: u32,
    mode: MediaMode,
) -> anyhow::Result<CallPlan> {
    let SetUp { plan, relay, crypto } = negotiate(commander, (phones, None), number, mode)?;
    phones.connect(relay, [crypto, None])?;
    Ok(plan)
}

/// A call that a relay knows.
pub(super) struct SetUp {
    pub(super) plan: CallPlan,
    /// Where its phones send to.
    pub(super) relay: [SocketAddr; 2],
    /// The caller's keys.
    pub(super) crypto: Option<Crypto>,
}

/// Gives the commands for one call of the phones that wait, or of those of another call, which is over.
pub(super) fn negotiate(
    commander: &mut Commander,
    (phones, of): (&Phones, Option<usize>),
    number: u32,
    mode: MediaMode,
) -> anyhow::Result<SetUp> {
    let [caller, callee] = phones.addresses(of)?;
    let plan = CallPlan::new(number, mode, caller, callee);
    let toward_callee = commander.sdp(&plan.offer()?)?;
    let toward_caller = commander.sdp(&plan.answer())?;
    let mut to_relay = relay_address(&toward_caller)?;
    let crypto = match mode {
        MediaMode::Plain => None,
        MediaMode::Sdes => Some(Crypto::new(&plan.caller_key()?, &relay_keys(&toward_caller)?)),
        MediaMode::Dtls => {
            let (relay, crypto) = phones.shake_hands(of, &toward_caller)?;
            to_relay = relay;
            Some(crypto)
        }
    };
    Ok(SetUp {
        plan,
        relay: [to_relay, relay_address(&toward_callee)?],
        crypto,
    })
}

/// What the phones heard, and what else the machine did meanwhile.
pub(super) fn add_heard(tally: &PacketTally, seen: Seen, add: &mut impl FnMut(Figure, f64)) {
    add_latencies(&tally.latencies, [Figure::HalfWithin, Figure::MostWithin], add);
    if let Some(latency) = tally.latencies.within(999, 1_000) {
        add(Figure::NearlyAllWithin, micros(latency));
    }
    let (sent, received) = (tally.sent as f64, tally.received as f64);
    add(Figure::Lost, (sent - received) / sent * 100.0);
    add(Figure::Wrong, (tally.wrong + tally.repeated) as f64);
    add(Figure::Others, seen.others);
}
