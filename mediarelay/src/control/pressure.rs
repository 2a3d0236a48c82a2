//! How hard the machine works: beyond a limit no new calls are taken (NG `max-load`, `max-cpu`, `max-bandwidth`).

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_ng::LoadLimit;
use viaduct_session::Relay;

use crate::config::LoadLimits;
use crate::worker::IoStats;

/// How often the machine is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at the machine, if there is a limit to hold.
#[derive(Debug)]
pub(super) struct Pressure {
    limits: LoadLimits,
    workers: Vec<Arc<IoStats>>,
    before: Sample,
    next: Instant,
}

/// What is known of the machine at one moment. What cannot be read holds nobody up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: Instant,
    /// The mean of the last minute, in hundredths.
    load: Option<u64>,
    processors: Option<Processors>,
    /// Octets of media sent on since the beginning.
    octets: u64,
}

/// Time that processors have spent since the machine began, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Processors {
    busy: u64,
    all: u64,
}

impl Pressure {
    /// `None` without limits: then nobody is woken for it.
    pub(super) fn new(now: Instant, limits: LoadLimits, workers: Vec<Arc<IoStats>>) -> Option<Self> {
        (limits != LoadLimits::default()).then(|| Self {
            limits,
            before: Sample::take(now, &workers),
            workers,
            next: now + LOOK_EVERY,
        })
    }

    /// Tells the relay whether it may take new calls, if it is time to look.
    pub(super) fn look(&mut self, now: Instant, relay: &mut Relay) {
        if now < self.next {
            return;
        }
        let sample = Sample::take(now, &self.workers);
        let exceeded = sample.exceeds(&self.before, &self.limits);
        if exceeded.as_ref() != relay.overload() {
            match &exceeded {
                Some(limit) => tracing::warn!("new calls are refused: {limit}"),
                None => tracing::info!("new calls are taken again"),
            }
            relay.set_overload(exceeded);
        }
        self.before = sample;
        self.next = now + LOOK_EVERY;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next
    }
}

impl Sample {
    fn take(now: Instant, workers: &[Arc<IoStats>]) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            at: now,
            load: load_of(&read("/proc/loadavg")),
            processors: Processors::of(&read("/proc/stat")),
            octets: workers
                .iter()
                .map(|worker| worker.snapshot().forwarded_octets)
                .sum(),
        }
    }

    /// The limit that the time since `before` has exceeded.
    fn exceeds(&self, before: &Self, limits: &LoadLimits) -> Option<LoadLimit> {
        let is_over = |limit: Option<u64>, value: Option<u64>| {
            limit.zip(value).is_some_and(|(limit, value)| value > limit)
        };
        if is_over(limits.cpu, self.cpu_since(before)) {
            Some(LoadLimit::Cpu)
        } else if is_over(limits.load, self.load) {
            Some(LoadLimit::Load)
        } else if is_over(limits.bandwidth, Some(self.octets_per_second_since(before))) {
            Some(LoadLimit::Bandwidth)
        } else {
            None
        }
    }

    /// Of all processors together, in hundredths of a percent.
    fn cpu_since(&self, before: &Self) -> Option<u64> {
        let (now, then) = self.processors.zip(before.processors)?;
        let all = now.all.saturating_sub(then.all);
        (now.busy.saturating_sub(then.busy) * 10_000).checked_div(all)
    }

    fn octets_per_second_since(&self, before: &Self) -> u64 {
        let elapsed = self.at.saturating_duration_since(before.at).as_millis() as u64;
        let octets = self.octets.saturating_sub(before.octets);
        octets.saturating_mul(1_000).checked_div(elapsed).unwrap_or(0)
    }
}

/// The first number of `/proc/loadavg`, which has two decimals, in hundredths.
fn load_of(loadavg: &str) -> Option<u64> {
    let (whole, hundredths) = loadavg.split_ascii_whitespace().next()?.split_once('.')?;
    let hundredths = hundredths.parse::<u64>().ok().filter(|_| hundredths.len() == 2)?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(hundredths)
}

impl Processors {
    /// The first line of `/proc/stat`. What is stolen by the host is no time of this machine's.
    fn of(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?;
        let mut fields = fields.split_ascii_whitespace().map(str::parse::<u64>);
        let mut field = || fields.next()?.ok();
        let (user, nice, system) = (field()?, field()?, field()?);
        let (idle, waiting) = (field()?, field()?);
        let (interrupts, soft_interrupts) = (field()?, field()?);
        let busy = user + nice + system + interrupts + soft_interrupts;
        Some(Self {
            busy,
            all: busy + idle + waiting,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, load: &str, stat: &str, octets: u64) -> Sample {
        Sample {
            at,
            load: load_of(load),
            processors: Processors::of(stat),
            octets,
        }
    }

    #[test]
    fn each_limit_is_told_by_its_name() {
        let begun = Instant::now();
        let before = sample(
            begun,
            "0.10 0.10 0.10 1/2 3",
            "cpu  100 0 100 700 100 0 0 9 0 0\n",
            0,
        );
        // A second later: 80 of 200 ticks busy, and 1.5 MB sent.
        let now = sample(
            begun + Duration::from_secs(1),
            "3.25 0.10 0.10 1/2 3",
            "cpu  140 0 120 800 120 10 10 9 0 0\ncpu0 …\n",
            1_500_000,
        );
        let exceeds = |cpu, load, bandwidth| {
            let limits = LoadLimits { load, cpu, bandwidth };
            now.exceeds(&before, &limits)
        };
        assert_eq!(exceeds(Some(3_999), None, None), Some(LoadLimit::Cpu));
        assert_eq!(exceeds(Some(4_000), None, None), None);
        assert_eq!(exceeds(None, Some(324), None), Some(LoadLimit::Load));
        assert_eq!(exceeds(None, Some(325), None), None);
        assert_eq!(exceeds(None, None, Some(1_499_999)), Some(LoadLimit::Bandwidth));
        assert_eq!(exceeds(None, None, Some(1_500_000)), None);
        assert_eq!(exceeds(Some(0), Some(0), Some(0)), Some(LoadLimit::Cpu));
    }

    #[test]
    fn what_cannot_be_read_holds_nobody_up() {
        let begun = Instant::now();
        for (load, stat) in [
            ("", ""),
            ("x", "cpu 1 2"),
            ("1.5", "cpu a b c d e f g"),
            ("99999999999999999999.00 ", "intr 1"),
        ] {
            let sample = sample(begun, load, stat, 0);
            assert_eq!((sample.load, sample.processors), (None, None));
            let limits = LoadLimits {
                load: Some(0),
                cpu: Some(0),
                bandwidth: Some(0),
            };
            assert_eq!(sample.exceeds(&sample, &limits), None);
        }
    }

    #[test]
    fn this_machine_can_be_read() {
        let sample = Sample::take(Instant::now(), &[]);
        assert!(sample.load.is_some() && sample.processors.is_some(), "{sample:?}");
    }
}
