//! Round-trip time between the relay and an endpoint, from the sender reports that it forwards and the receiver
//! reports that come back (RFC 3550, section 6.4.1).

use std::time::Duration;

use crate::rtcp::ReportBlock;
use crate::tick::Tick;

/// How many sender reports are remembered: an endpoint answers one of the latest.
const REMEMBERED: usize = 4;

/// Round trips longer than this are taken for nonsense: a wrong "delay since last SR". In RTCP's units it is also what
/// keeps a 32-bit NTP fraction from being mistaken after its 18 hours.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(30);

/// The middle of the NTP timestamps of sender reports, and when they passed.
type Passed = [Option<(u32, Tick)>; REMEMBERED];

/// Remembers when the sender reports of one source passed, and computes round trips from the answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RttEstimator {
    /// Made with the first report: many sources send none.
    passed: Option<Box<Passed>>,
    next: usize,
    last: Option<Duration>,
}

impl RttEstimator {
    /// A sender report of the source goes to the endpoint: the middle of its NTP timestamp.
    pub fn on_sender_report(&mut self, now: Tick, ntp_middle: u32) {
        self.passed.get_or_insert_default()[self.next] = Some((ntp_middle, now));
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// A report block about the source comes back from the endpoint: the time from the relay to it and back.
    ///
    /// `None` if the block answers no remembered report, or its delay is longer than the time that passed.
    pub fn on_report_block(&mut self, now: Tick, block: &ReportBlock) -> Option<Duration> {
        if block.last_sr == 0 {
            return None;
        }
        let (_, passed) = self
            .passed
            .as_deref()?
            .iter()
            .flatten()
            .find(|(middle, _)| *middle == block.last_sr)?;
        let delay = Duration::from_micros((u64::from(block.delay_since_last_sr) * 1_000_000) >> 16);
        let round_trip = now
            .since(*passed)
            .checked_sub(delay)
            .filter(|trip| *trip <= ROUND_TRIP_MAX)?;
        self.last = Some(round_trip);
        Some(round_trip)
    }

    /// The latest round trip.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::SenderInfo;

    fn info(second: u64) -> SenderInfo {
        SenderInfo {
            ntp: (0xe000_0000 + second) << 32,
            ..SenderInfo::default()
        }
    }

    fn block(second: u64, delay: Duration) -> ReportBlock {
        let delay_since_last_sr = (delay.as_micros() * 65536 / 1_000_000) as u32;
        ReportBlock {
            last_sr: info(second).ntp_middle(),
            delay_since_last_sr,
            ..ReportBlock::default()
        }
    }

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    #[test]
    fn subtracts_the_endpoints_delay() {
        let mut estimator = RttEstimator::default();
        estimator.on_sender_report(at(1000), info(1).ntp_middle());
        let trip = estimator
            .on_report_block(at(3080), &block(1, Duration::from_secs(2)))
            .unwrap();
        assert_eq!(trip, Duration::from_millis(80));
        assert_eq!(estimator.last(), Some(trip));
    }

    #[test]
    fn answers_to_the_latest_reports_count() {
        let mut estimator = RttEstimator::default();
        for second in 1..=6 {
            estimator.on_sender_report(at(1000 * second), info(second).ntp_middle());
        }
        assert_eq!(
            estimator.on_report_block(at(7000), &block(2, Duration::ZERO)),
            None
        );
        let trip = estimator.on_report_block(at(6050), &block(4, Duration::from_secs(2)));
        assert_eq!(trip, Some(Duration::from_millis(50)));
    }

    #[test]
    fn nonsense_is_no_measurement() {
        let mut estimator = RttEstimator::default();
        estimator.on_sender_report(at(1000), info(1).ntp_middle());
        assert_eq!(estimator.on_report_block(at(2000), &ReportBlock::default()), None);
        assert_eq!(
            estimator.on_report_block(at(2000), &block(1, Duration::from_secs(2))),
            None
        );
        assert_eq!(
            estimator.on_report_block(at(60_000), &block(1, Duration::ZERO)),
            None
        );
        assert_eq!(estimator.last(), None);
    }
}
