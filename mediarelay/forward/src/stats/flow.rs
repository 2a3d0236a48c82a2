//! One flow's counters.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use viaduct_rtp::Tick;
use viaduct_rtp::stats::{Counters, ReceptionSnapshot};

use super::{Gauge, LastTick, Places, SmallGauge};
use crate::crypto::lock;
use crate::drop_reason::DropReason;
use crate::limits::Limits;

/// What comes beside the workers is dated by a clock that goes in steps of the kernel's ticks, 10 ms at most: for what came closer
/// together than this, sequence numbers tell which was the later one.
const NEAR: Duration = Duration::from_millis(100);

/// Packets and octets, written by one worker.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    packets: Gauge,
    octets: Gauge,
}

impl Traffic {
    #[inline]
    pub(crate) fn count(&self, octets: usize) {
        self.packets.add(1);
        self.octets.add(octets as u64);
    }

    fn snapshot(&self) -> Counters {
        Counters {
            packets: self.packets.get(),
            octets: self.octets.get(),
            errors: 0,
        }
    }
}

/// What went out by one route.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    pub(crate) rtp: Traffic,
    pub(crate) rtcp: Traffic,
    /// Made with the first; nearly no route has one.
    shift: OnceLock<Box<Mutex<Shift>>>,
}

impl RouteStats {
    pub(crate) fn set_shift(&self, shift: Shift) {
        *lock(self.shift.get_or_init(Box::default)) = shift;
    }
}

/// By how much the numbers of a source that goes out are others than those that came in, since something was said in its name in
/// between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shift {
    /// [`Resume::id`](crate::Resume::id) of what it follows from.
    pub id: u64,
    /// Which source.
    pub ssrc: u32,
    /// Added to sequence numbers.
    pub sequence: u16,
    /// Added to timestamps.
    pub timestamp: u32,
}

/// One measured SSRC. The fields are those of [`SsrcSnapshot`].
#[derive(Debug, Default)]
pub(crate) struct SsrcStats {
    traffic: Traffic,
    expected: Gauge,
    received: Gauge,
    last_packet: LastTick,
    ssrc: SmallGauge,
    payload_type: SmallGauge,
    duplicates: SmallGauge,
    reordered: SmallGauge,
    restarts: SmallGauge,
    highest_sequence: SmallGauge,
    last_timestamp: SmallGauge,
    jitter: SmallGauge,
    clock_rate: SmallGauge,
    /// Microseconds plus one; 0 while unknown. The estimator takes nothing above half a minute.
    round_trip: SmallGauge,
    sender_report: SmallGauge,
    sender_report_at: LastTick,
}

impl SsrcStats {
    /// Gives the place to another SSRC.
    pub(crate) fn begin(&self, ssrc: u32) {
        self.ssrc.set(ssrc);
        self.traffic.packets.set(0);
        self.traffic.octets.set(0);
        self.round_trip.set(0);
        self.sender_report_at.clear();
    }

    #[inline]
    pub(crate) fn publish(&self, now: Tick, octets: usize, payload_type: u8, reception: &ReceptionSnapshot) {
        self.traffic.count(octets);
        self.expected.set(reception.expected);
        self.received.set(reception.received);
        self.last_packet.set(now);
        self.payload_type.set(payload_type.into());
        self.duplicates.set(reception.duplicates as u32);
        self.reordered.set(reception.reordered as u32);
        self.restarts.set(reception.restarts);
        self.highest_sequence.set(reception.highest_sequence);
        self.last_timestamp.set(reception.last_timestamp);
        self.jitter.set(reception.jitter);
        self.clock_rate.set(reception.clock_rate);
    }

    pub(crate) fn publish_round_trip(&self, round_trip: Duration) {
        self.round_trip.set(round_trip.as_micros() as u32 + 1);
    }

    pub(crate) fn publish_sender_report(&self, now: Tick, ntp_middle: u32) {
        self.sender_report.set(ntp_middle);
        self.sender_report_at.set(now);
    }

    /// `None` while the place is unused.
    fn snapshot(&self) -> Option<SsrcSnapshot> {
        let last_packet = self.last_packet.get()?;
        let traffic = self.traffic.snapshot();
        Some(SsrcSnapshot {
            ssrc: self.ssrc.get(),
            payload_type: self.payload_type.get() as u8,
            packets: traffic.packets,
            octets: traffic.octets,
            reception: ReceptionSnapshot {
                expected: self.expected.get(),
                received: self.received.get(),
                duplicates: self.duplicates.get().into(),
                reordered: self.reordered.get().into(),
                restarts: self.restarts.get(),
                highest_sequence: self.highest_sequence.get(),
                last_timestamp: self.last_timestamp.get(),
                jitter: self.jitter.get(),
                clock_rate: self.clock_rate.get(),
            },
            last_packet,
            round_trip: self
                .round_trip
                .get()
                .checked_sub(1)
                .map(|micros| Duration::from_micros(micros.into())),
            sender_report: self
                .sender_report_at
                .get()
                .map(|at| (self.sender_report.get(), at)),
        })
    }
}

/// What was forwarded of a flow beside the workers, by the kernel, since the flow began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// Whether it is forwarded there at this moment.
    pub is_active: bool,
    /// RTP, which came in and went out the same.
    pub rtp: Counters,
    /// When the last packet came.
    pub last_packet: Option<Tick>,
    /// The SSRC that came last.
    pub source: Option<BesideSource>,
}

/// The SSRC that came last beside the workers. All that came there is put down to it: nearly every flow has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BesideSource {
    /// Which.
    pub ssrc: u32,
    /// Of the last packet.
    pub payload_type: u8,
    /// RTP packets that should have come.
    pub expected: u64,
    /// The highest sequence number, extended by cycles.
    pub highest_sequence: u32,
    /// Timestamp of the last packet.
    pub last_timestamp: u32,
}

impl BesideSource {
    /// Whether its last packet followed the last one that a worker had of the same SSRC.
    fn is_after(&self, last_packet: Tick, workers: &SsrcSnapshot) -> bool {
        let before = workers.last_packet;
        if last_packet.since(before).max(before.since(last_packet)) > NEAR {
            return last_packet > before;
        }
        let ahead = self.highest_sequence as u16;
        ahead.wrapping_sub(workers.reception.highest_sequence as u16) < 1 << 15
    }
}

impl Beside {
    /// Adds what came beside to what workers counted.
    fn add_to(&self, snapshot: &mut FlowSnapshot) {
        snapshot.rtp += self.rtp;
        snapshot.beside = self.rtp;
        snapshot.last_packet = snapshot.last_packet.max(self.last_packet);
        if let Some(route) = snapshot.routes.first_mut() {
            route.rtp += self.rtp;
        }
        let Some((source, last_packet)) = self.source.zip(self.last_packet) else {
            return;
        };
        let known = snapshot.ssrcs.iter().position(|of| of.ssrc == source.ssrc);
        let at = known.unwrap_or_else(|| {
            snapshot.ssrcs.push(SsrcSnapshot {
                ssrc: source.ssrc,
                payload_type: source.payload_type,
                packets: 0,
                octets: 0,
                reception: ReceptionSnapshot::default(),
                last_packet,
                round_trip: None,
                sender_report: None,
            });
            snapshot.ssrcs.len() - 1
        });
        let of = &mut snapshot.ssrcs[at];
        of.packets += self.rtp.packets;
        of.octets += self.rtp.octets;
        of.reception.expected += source.expected;
        of.reception.received += self.rtp.packets;
        if known.is_none() || source.is_after(last_packet, of) {
            of.payload_type = source.payload_type;
            of.reception.highest_sequence = source.highest_sequence;
            of.reception.last_timestamp = source.last_timestamp;
        }
        of.last_packet = of.last_packet.max(last_packet);
    }
}

/// The live counters of one flow. Control reads them through [`snapshot`](Self::snapshot) while a worker writes.
#[derive(Debug)]
pub struct FlowStats {
    pub(crate) rtp: Traffic,
    pub(crate) rtcp: Traffic,
    pub(crate) raw: Traffic,
    pub(crate) last_packet: LastTick,
    pub(crate) last_consent: LastTick,
    pub(crate) untracked: Gauge,
    pub(crate) routes: Places<RouteStats>,
    pub(crate) ssrcs: Places<SsrcStats>,
    /// Made with the first drop: most flows have none.
    drops: OnceLock<Box<[SmallGauge; DropReason::COUNT]>>,
    /// Written by control, which hears of it from the kernel. Few flows of few relays have it.
    beside: OnceLock<Box<Mutex<Beside>>>,
}

impl FlowStats {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rtp: Traffic::default(),
            rtcp: Traffic::default(),
            raw: Traffic::default(),
            last_packet: LastTick::default(),
            last_consent: LastTick::default(),
            untracked: Gauge::default(),
            routes: Places::new(limits.routes_per_flow),
            ssrcs: Places::new(limits.ssrcs_per_flow),
            drops: OnceLock::new(),
            beside: OnceLock::new(),
        }
    }

    /// Something of each line that a packet will change.
    pub(crate) fn glance(&self) -> usize {
        let route = self.routes.get(0).map_or(0, |route| route.rtp.packets.get());
        let ssrc = self.ssrcs.get(0).map_or(0, |of| {
            of.expected.get() + of.traffic.octets.get() + u64::from(of.clock_rate.get())
        });
        let last = usize::from(self.last_packet.get().is_some());
        (self.rtp.packets.get() + route + ssrc) as usize + last
    }

    /// Says what was forwarded beside the workers so far.
    pub fn set_beside(&self, beside: Beside) {
        *lock(self.beside.get_or_init(Box::default)) = beside;
    }

    /// What was forwarded beside the workers, if anything ever was.
    #[must_use]
    pub fn beside(&self) -> Option<Beside> {
        self.beside.get().map(|beside| *lock(beside))
    }

    pub(crate) fn count_drop(&self, reason: DropReason) {
        let none = || Box::new(std::array::from_fn(|_| SmallGauge::default()));
        self.drops.get_or_init(none)[reason.index()].add(1);
    }

    /// When the last good packet came: cheap enough to ask every second for every flow.
    #[must_use]
    pub fn last_packet(&self) -> Option<Tick> {
        let beside = self.beside().and_then(|beside| beside.last_packet);
        self.last_packet.get().max(beside)
    }

    /// When the last good ICE check from the flow's peer came.
    #[must_use]
    pub fn last_consent(&self) -> Option<Tick> {
        self.last_consent.get()
    }

    /// All figures at this moment.
    #[must_use]
    pub fn snapshot(&self) -> FlowSnapshot {
        let counted = |drops: &[SmallGauge; DropReason::COUNT]| {
            let counts = DropReason::ALL.iter();
            let counts = counts.map(|reason| (*reason, u64::from(drops[reason.index()].get())));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        let drops: Vec<(DropReason, u64)> = self.drops.get().map(|drops| counted(drops)).unwrap_or_default();
        let errors: u64 = drops.iter().map(|(_, count)| count).sum();
        let mut snapshot = FlowSnapshot {
            rtp: self.rtp.snapshot(),
            beside: Counters::default(),
            rtcp: self.rtcp.snapshot(),
            raw: self.raw.snapshot(),
            errors,
            drops,
            last_packet: self.last_packet.get(),
            last_consent: self.last_consent.get(),
            untracked: self.untracked.get(),
            routes: self
                .routes
                .iter()
                .map(|route| RouteSnapshot {
                    rtp: route.rtp.snapshot(),
                    rtcp: route.rtcp.snapshot(),
                    shift: route.shift.get().map(|shift| *lock(shift)),
                })
                .collect(),
            ssrcs: self.ssrcs.iter().filter_map(SsrcStats::snapshot).collect(),
        };
        if let Some(beside) = self.beside() {
            beside.add_to(&mut snapshot);
        }
        snapshot
    }
}

/// The figures of one flow at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FlowSnapshot {
    /// Good RTP that came in, as it was on the wire.
    pub rtp: Counters,
    /// What of that came beside the workers.
    pub beside: Counters,
    /// Good RTCP that came in, as it was on the wire.
    pub rtcp: Counters,
    /// What came in on a flow that takes anything.
    pub raw: Counters,
    /// Datagrams that were dropped.
    pub errors: u64,
    /// The same by reason; those that never happened are left out.
    pub drops: Vec<(DropReason, u64)>,
    /// When the last good packet came.
    pub last_packet: Option<Tick>,
    /// When the last good ICE check from the flow's peer came.
    pub last_consent: Option<Tick>,
    /// RTP packets whose SSRC found no room to be measured.
    pub untracked: u64,
    /// What went out, by place in the rule's list of routes. A rule that moves routes about goes on counting by place.
    pub routes: Vec<RouteSnapshot>,
    /// The SSRCs that are measured.
    pub ssrcs: Vec<SsrcSnapshot>,
}

/// What went out by one route, as it was on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteSnapshot {
    /// RTP.
    pub rtp: Counters,
    /// RTCP.
    pub rtcp: Counters,
    /// What is added to the numbers of a source on this route, if that ever was anything.
    pub shift: Option<Shift>,
}

/// One measured SSRC of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SsrcSnapshot {
    /// Which.
    pub ssrc: u32,
    /// Of its last packet.
    pub payload_type: u8,
    /// Good packets.
    pub packets: u64,
    /// Their octets on the wire.
    pub octets: u64,
    /// Loss, duplicates, jitter.
    pub reception: ReceptionSnapshot,
    /// When its last packet came.
    pub last_packet: Tick,
    /// Between the relay and the endpoint that receives this SSRC, from its latest report. Measured if both flows are
    /// on one worker.
    pub round_trip: Option<Duration>,
    /// Its last sender report: the middle of the NTP timestamp, and when it came.
    pub sender_report: Option<(u32, Tick)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 0xa11ce;

    /// A worker's last packet was this one, then; the last one beside it was that one, then.
    fn highest(worker: (u32, u64), beside: (u32, u64)) -> (u32, Tick) {
        let stats = FlowStats::new(&Limits::default());
        let of = stats.ssrcs.get(0).unwrap();
        of.begin(SSRC);
        let reception = ReceptionSnapshot {
            highest_sequence: worker.0,
            ..ReceptionSnapshot::default()
        };
        of.publish(Tick::from_micros(worker.1), 172, 8, &reception);
        stats.set_beside(Beside {
            is_active: true,
            last_packet: Some(Tick::from_micros(beside.1)),
            source: Some(BesideSource {
                ssrc: SSRC,
                payload_type: 8,
                expected: 1,
                highest_sequence: beside.0,
                last_timestamp: 0,
            }),
            ..Beside::default()
        });
        let ssrcs = stats.snapshot().ssrcs;
        assert_eq!(ssrcs.len(), 1);
        (ssrcs[0].reception.highest_sequence, ssrcs[0].last_packet)
    }

    #[test]
    fn the_later_packet_tells_whoever_had_it() {
        let (then, later) = (1_000_000, 2_000_000);
        let at = Tick::from_micros;
        // By time.
        assert_eq!(highest((100, then), (5, later)), (5, at(later)));
        assert_eq!(highest((5, later), (100, then)), (5, at(later)));
        // The clock of the kernel is late, and both were within one of its ticks.
        assert_eq!(highest((1, then), (19, then - 4_245)), (19, at(then)));
        assert_eq!(highest((19, then), (1, then - 4_245)), (19, at(then)));
        assert_eq!(highest((19, then), (18, then + 1_000)), (19, at(then + 1_000)));
        // Across the end of the numbers.
        assert_eq!(highest((65_535, then), (3, then - 4_245)), (3, at(then)));
        assert_eq!(highest((65_536, then), (65_535, then)), (65_536, at(then)));
    }
}
