//! One run of one relay.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::watch::{Seen, Watch};
use super::{START_MAX, Suite, add_latencies, micros};
use crate::daemon::Daemon;
use crate::drive::{Commander, LAST_PACKETS, Phones, Sending};
use crate::media::{CallPlan, Crypto, MediaMode, PacketTally, relay_address, relay_keys};
use crate::peers::{RelayPeer, RelaySetup, ng_address};
use crate::results::{Figure, Results, Work};
use crate::street::{Deaf, RELAY, Street};
use crate::usage::{Usage, resident};

/// Relays that keep hardware addresses in mind have noticed after so long that one has changed.
const NOTICED_WITHIN: Duration = Duration::from_millis(500);

pub(super) fn measure(
    suite: &Suite,
    peer: RelayPeer,
    (mode, work): (MediaMode, Work),
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let calls = suite.plan.media_calls;
    let place = Place::of(suite)?;
    let mut phones = place.phones(calls)?;
    let (mut daemon, mut commander) = start(suite, peer, folder, place.setup())?;

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
    let to_deaf = place.to_deaf_phones(&mut phones, &daemon, suite.plan.media)?;
    // One that cannot keep up has much to read first.
    daemon.wait_until(START_MAX, || commander.probe())?;
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
    if let Some(time) = to_deaf {
        add(Figure::OwnProcessor, time);
    }
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

/// What came of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) sent: u64,
    /// Packets that came to the phones that they were for, heard or not.
    pub(super) arrived: u64,
}

/// Where phones are.
pub(super) enum Place {
    /// On this machine, as the relay is.
    Here,
    /// On links of their own.
    There(Street),
}

impl Place {
    /// The one that the plan wants.
    fn of(suite: &Suite) -> anyhow::Result<Self> {
        Ok(if suite.plan.links {
            Self::There(Street::new()?)
        } else {
            Self::Here
        })
    }

    fn phones(&self, calls: usize) -> anyhow::Result<Phones> {
        match self {
            Self::Here => Ok(Phones::open(calls)?),
            Self::There(street) => Phones::open_at(street, calls),
        }
    }

    /// What a packet takes in the relay, in microseconds, when the kernel does not receive it in the phone's place right behind the
    /// link: with phones on other machines no relay pays for that. `None`: phones are here.
    fn to_deaf_phones(
        &self,
        phones: &mut Phones,
        daemon: &Daemon,
        time: Duration,
    ) -> anyhow::Result<Option<f64>> {
        let Self::There(street) = self else {
            return Ok(None);
        };
        street.set_deaf(Deaf::Phones, true)?;
        phones.talk_unheard(NOTICED_WITHIN)?;
        let (arrived, before) = (street.arrived()?, Usage::of(daemon.pid())?);
        phones.talk_unheard(time)?;
        let used = Usage::of(daemon.pid())?.since(before).processor;
        let arrived = street.arrived()? - arrived;
        street.set_deaf(Deaf::Phones, false)?;
        phones.talk_unheard(NOTICED_WITHIN)?;
        ensure!(arrived > 0, "no packet came through:\n{}", daemon.tail());
        Ok(Some(micros(used) / arrived as f64))
    }

    /// Phones on links hear nothing from here on: they can send more then, and packets that come for them are counted all the same.
    pub(super) fn deafen(&self) -> anyhow::Result<()> {
        match self {
            Self::Here => Ok(()),
            Self::There(street) => street.set_deaf(Deaf::Phones, true),
        }
    }

    /// Lets phones, which are deaf where they can be, send so many packets a second for a while.
    pub(super) fn pass(
        &self,
        phones: &mut Phones,
        sending: Sending,
        per_second: f64,
        time: Duration,
    ) -> anyhow::Result<Passed> {
        Ok(match self {
            Self::Here => {
                let tally = phones.run_at(per_second, time)?;
                Passed {
                    sent: tally.sent,
                    arrived: tally.received,
                }
            }
            Self::There(street) => {
                let before = street.arrived()?;
                let sent = phones.flood((street, sending), per_second, time)?;
                thread::sleep(LAST_PACKETS);
                let arrived = street.arrived()? - before;
                Passed { sent, arrived }
            }
        })
    }

    /// A relay that forwards by its own threads.
    fn setup(&self) -> RelaySetup {
        match self {
            Self::Here => RelaySetup::USER_SPACE,
            Self::There(_) => RelaySetup {
                media: RELAY,
                in_kernel: false,
                frames: true,
            },
        }
    }
}

/// A relay that forwards by its own threads, and who commands it.
fn start(
    suite: &Suite,
    peer: RelayPeer,
    folder: &Path,
    setup: RelaySetup,
) -> anyhow::Result<(Daemon, Commander)> {
    let mut commander = Commander::open(ng_address())?;
    let launch = peer.prepare(&suite.places, folder, setup)?;
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
) -> anyhow::Result<(Place, Daemon, Commander, Phones)> {
    let place = Place::of(suite)?;
    let mut phones = place.phones(calls)?;
    let (daemon, mut commander) = start(suite, peer, folder, place.setup())?;
    for number in 0..u32::try_from(calls)? {
        let set_up = set_up(&mut commander, &mut phones, number, MediaMode::Plain);
        set_up.with_context(|| daemon.tail())?;
    }
    Ok((place, daemon, commander, phones))
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
