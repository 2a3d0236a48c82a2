//! How the sources of a call fare: packets, loss, and an estimate of what is heard.
//!
//! The workers measure each source on each of its flows. Here the figures of flows that have ended are kept, and every
//! few seconds a score is made from what was lost since the last time, the jitter, and the round trip to whoever
//! hears the source. Without RTCP there is no round trip, and so no score, unless the relay reports itself: then what it has
//! heard is scored, with no round trip as long as nobody answers.

mod history;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use viaduct_forward::SsrcSnapshot;
use viaduct_ng::SsrcReport;
use viaduct_rtp::stats::{CodecQuality, Counters, estimate_mos};

use self::history::{History, Sample};
use crate::clock::WallClock;
use crate::leg::Forwarded;

/// The sources of one call.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    sources: BTreeMap<u32, Source>,
}

/// One source.
#[derive(Debug, Default)]
struct Source {
    /// Of flows that have ended.
    past: Figures,
    /// Of the flow that was heard last.
    last_timestamp: u32,
    last_sequence: u32,
    /// All flows together at the time of the last score.
    measured: Figures,
    history: History,
}

/// What was heard of a source: packets with their octets, and how many were expected and lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) expected: u64,
    pub(crate) lost: u64,
}

/// What adds up over the flows of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figures {
    traffic: Counters,
    expected: u64,
    lost: u64,
}

impl Figures {
    fn of(source: &SsrcSnapshot) -> Self {
        Self {
            traffic: Counters {
                packets: source.packets,
                octets: source.octets,
                errors: 0,
            },
            expected: source.reception.expected,
            lost: source.reception.lost(),
        }
    }

    fn add(&mut self, other: Self) {
        self.traffic += other.traffic;
        self.expected += other.expected;
        self.lost += other.lost;
    }
}

impl Quality {
    /// Keeps the figures of a flow that has ended. False if there are too many sources.
    pub(crate) fn keep(&mut self, source: &SsrcSnapshot, sources_max: usize) -> bool {
        let Some(known) = self.source(source.ssrc, sources_max) else {
            return false;
        };
        known.past.add(Figures::of(source));
        known.last_timestamp = source.reception.last_timestamp;
        known.last_sequence = source.reception.highest_sequence;
        true
    }

    /// Takes in the sources of another call. Of one that both have heard the sums are kept, and the scores of this call.
    /// Returns how many found no room.
    pub(crate) fn merge(&mut self, other: Self, sources_max: usize) -> u64 {
        let mut without_room = 0;
        for (ssrc, source) in other.sources {
            if let Some(known) = self.sources.get_mut(&ssrc) {
                known.past.add(source.past);
                known.measured.add(source.measured);
            } else if self.sources.len() < sources_max {
                self.sources.insert(ssrc, source);
            } else {
                without_room += 1;
            }
        }
        without_room
    }

    /// Scores all sources. `live` has them by flow, so one may stand there more than once. `always`: without a round trip too.
    /// Returns how many found no room.
    pub(crate) fn measure(
        &mut self,
        now: Instant,
        live: &[SsrcSnapshot],
        sources_max: usize,
        always: bool,
    ) -> u64 {
        let mut without_room = 0;
        for (ssrc, flows) in by_source(live) {
            match self.source(ssrc, sources_max) {
                Some(source) => source.measure(now, &flows, always),
                None => without_room += 1,
            }
        }
        without_room
    }

    /// What was heard of a source, on flows that have ended too.
    pub(crate) fn heard(&self, ssrc: u32, live: &[SsrcSnapshot]) -> Heard {
        let mut all = self
            .sources
            .get(&ssrc)
            .map(|source| source.past)
            .unwrap_or_default();
        let flows = live.iter().filter(|flow| flow.ssrc == ssrc);
        flows.for_each(|flow| all.add(Figures::of(flow)));
        Heard {
            packets: all.traffic.packets,
            octets: all.traffic.octets,
            expected: all.expected,
            lost: all.lost,
        }
    }

    /// What is known of each source.
    pub(crate) fn report(&self, live: &[SsrcSnapshot], clock: &WallClock) -> Vec<(u32, SsrcReport)> {
        let live = by_source(live);
        let unknown = live.keys().filter(|ssrc| !self.sources.contains_key(ssrc));
        let all = self.sources.keys().chain(unknown);
        let none = Source::default();
        let report = |ssrc: &u32| {
            let source = self.sources.get(ssrc).unwrap_or(&none);
            (
                *ssrc,
                source.report(live.get(ssrc).map_or(&[], |flows| flows), clock),
            )
        };
        all.map(report).collect()
    }

    fn source(&mut self, ssrc: u32, max: usize) -> Option<&mut Source> {
        if self.sources.len() >= max && !self.sources.contains_key(&ssrc) {
            return None;
        }
        Some(self.sources.entry(ssrc).or_default())
    }
}

impl Source {
    fn measure(&mut self, now: Instant, flows: &[&SsrcSnapshot], always: bool) {
        let all = self.all(flows);
        let expected = all.expected.saturating_sub(self.measured.expected);
        let lost = all.lost.saturating_sub(self.measured.lost);
        let heard = flows.iter().max_by_key(|flow| flow.last_packet);
        let Some((flow, round_trip)) = heard.and_then(|flow| {
            let none = always.then_some(Duration::ZERO);
            Some((flow, flow.round_trip.or(none)?))
        }) else {
            return;
        };
        if expected == 0 {
            return;
        }
        self.measured = all;
        let loss = lost as f64 / expected as f64;
        let jitter = flow.reception.jitter_time();
        self.history.push(Sample {
            at: now,
            mos: estimate_mos(loss, jitter, round_trip, CodecQuality::G711),
            round_trip,
            jitter,
            loss,
        });
    }

    fn report(&self, flows: &[&SsrcSnapshot], clock: &WallClock) -> SsrcReport {
        let all = self.all(flows);
        let heard = flows
            .iter()
            .max_by_key(|flow| flow.last_packet)
            .map(|flow| flow.reception);
        let (timestamp, sequence) = heard.map_or((self.last_timestamp, self.last_sequence), |reception| {
            (reception.last_timestamp, reception.highest_sequence)
        });
        SsrcReport {
            bytes: all.traffic.octets,
            packets: all.traffic.packets,
            last_rtp_timestamp: timestamp.into(),
            last_rtp_seq: sequence.into(),
            cumulative_loss: Some(i64::try_from(all.lost).unwrap_or(i64::MAX)),
            average_mos: self.history.average(),
            lowest_mos: self.history.lowest(clock),
            highest_mos: self.history.highest(clock),
            mos_progression: self.history.progression(clock),
            ..SsrcReport::default()
        }
    }

    fn all(&self, flows: &[&SsrcSnapshot]) -> Figures {
        let mut all = self.past;
        flows.iter().for_each(|flow| all.add(Figures::of(flow)));
        all
    }
}

fn by_source(live: &[SsrcSnapshot]) -> BTreeMap<u32, Vec<&SsrcSnapshot>> {
    let mut sources: BTreeMap<u32, Vec<&SsrcSnapshot>> = BTreeMap::new();
    for flow in live {
        sources.entry(flow.ssrc).or_default().push(flow);
    }
    sources
}

/// Packets, octets and errors per second, over the time between two looks at a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    last: Option<(Instant, Forwarded)>,
    pub(crate) per_second: Forwarded,
}

impl Rates {
    /// Takes in those of another call. What one of them has not measured yet is not known of both.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.last = self.last.zip(other.last).map(|((at, mut sums), (_, others))| {
            sums.add(&others);
            (at, sums)
        });
        self.per_second.add(&other.per_second);
    }

    /// Takes the sums at one moment.
    pub(crate) fn measure(&mut self, now: Instant, sums: Forwarded) {
        let Some((at, before)) = self.last.replace((now, sums)) else {
            return;
        };
        let millis = now
            .saturating_duration_since(at)
            .max(Duration::from_millis(1))
            .as_millis();
        let rate = |sum: u64, before: u64| {
            let rate = u128::from(sum.saturating_sub(before)) * 1_000 / millis;
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        let rates = |sums: Counters, before: Counters| Counters {
            packets: rate(sums.packets, before.packets),
            octets: rate(sums.octets, before.octets),
            errors: rate(sums.errors, before.errors),
        };
        self.per_second = Forwarded {
            all: rates(sums.all, before.all),
            kernel: rates(sums.kernel, before.kernel),
        };
    }
}

#[cfg(test)]
mod tests;
