//! Scores over a call in bounded room.

use std::time::{Duration, Instant};

use viaduct_ng::{MosEntry, MosProgression};
use viaduct_rtp::stats::Mos;

use crate::clock::WallClock;

/// Entries of the progression. When they are used up, every second one goes and the interval doubles.
const ENTRIES_MAX: usize = 20;

/// Shortest time between entries of the progression.
const INTERVAL: Duration = Duration::from_secs(10);

/// Quality at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) mos: Mos,
    pub(super) round_trip: Duration,
    pub(super) jitter: Duration,
    /// 0 to 1.
    pub(super) loss: f64,
}

/// All moments of a source.
#[derive(Debug)]
pub(super) struct History {
    count: u64,
    /// Sums: score, round trip and jitter in seconds, loss.
    sums: [f64; 4],
    lowest: Option<Sample>,
    highest: Option<Sample>,
    entries: Vec<Sample>,
    interval: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self {
            count: 0,
            sums: [0.0; 4],
            lowest: None,
            highest: None,
            entries: Vec::new(),
            interval: INTERVAL,
        }
    }
}

impl History {
    pub(super) fn push(&mut self, sample: Sample) {
        self.count += 1;
        let figures = [
            sample.mos.score(),
            sample.round_trip.as_secs_f64(),
            sample.jitter.as_secs_f64(),
            sample.loss,
        ];
        for (sum, figure) in self.sums.iter_mut().zip(figures) {
            *sum += figure;
        }
        self.lowest = self
            .lowest
            .filter(|lowest| lowest.mos <= sample.mos)
            .or(Some(sample));
        self.highest = self
            .highest
            .filter(|highest| highest.mos >= sample.mos)
            .or(Some(sample));
        let is_due = |last: &Sample| sample.at.saturating_duration_since(last.at) >= self.interval;
        if self.entries.last().is_none_or(is_due) {
            self.entries.push(sample);
        }
        if self.entries.len() >= ENTRIES_MAX {
            let mut keeps = false;
            self.entries.retain(|_| {
                keeps = !keeps;
                keeps
            });
            self.interval *= 2;
        }
    }

    pub(super) fn average(&self) -> Option<MosEntry> {
        let mean = |sum: f64| sum / self.count as f64;
        let [mos, round_trip, jitter, loss] = self.sums.map(mean);
        (self.count > 0).then(|| MosEntry {
            samples: Some(self.count),
            ..entry(
                (mos * 10.0).round() as i64,
                Duration::from_secs_f64(round_trip),
                Duration::from_secs_f64(jitter),
                loss,
            )
        })
    }

    pub(super) fn lowest(&self, clock: &WallClock) -> Option<MosEntry> {
        self.lowest.map(|sample| moment(&sample, clock))
    }

    pub(super) fn highest(&self, clock: &WallClock) -> Option<MosEntry> {
        self.highest.map(|sample| moment(&sample, clock))
    }

    pub(super) fn progression(&self, clock: &WallClock) -> Option<MosProgression> {
        (!self.entries.is_empty()).then(|| MosProgression {
            interval: self.interval.as_secs(),
            entries: self.entries.iter().map(|sample| moment(sample, clock)).collect(),
            ..MosProgression::default()
        })
    }
}

fn moment(sample: &Sample, clock: &WallClock) -> MosEntry {
    MosEntry {
        reported_at: Some(clock.unix(sample.at).as_secs()),
        ..entry(
            sample.mos.tenths().into(),
            sample.round_trip,
            sample.jitter,
            sample.loss,
        )
    }
}

/// The round trip is known to one end only: from the relay to whoever hears the source.
fn entry(mos: i64, round_trip: Duration, jitter: Duration, loss: f64) -> MosEntry {
    let micros = i64::try_from(round_trip.as_micros()).unwrap_or(i64::MAX);
    MosEntry {
        mos,
        round_trip_time: micros,
        round_trip_time_leg: micros,
        jitter: i64::try_from(jitter.as_millis()).unwrap_or(i64::MAX),
        packet_loss: (loss * 100.0).round() as i64,
        ..MosEntry::default()
    }
}
