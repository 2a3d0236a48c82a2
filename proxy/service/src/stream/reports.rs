//! RTCP of one stream: when reports leave, what they say, what came back (RFC 3550 section 6).

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use viaduct_rtp::Tick;
use viaduct_rtp::rtcp::{Compound, ReportBlock, RtcpPacket, RtcpWriter, SenderInfo, WriteError};
use viaduct_rtp::stats::RttEstimator;

/// One stream's RTCP.
#[derive(Debug)]
pub(super) struct Reports {
    interval: Duration,
    due: Instant,
    cname: String,
    rng: StdRng,
    /// Middle of the NTP time in the caller's latest sender report, and when it came.
    last_sr: Option<(u32, Instant)>,
    round_trip: RttEstimator,
    /// RTP packets sent by the time of the two latest reports, the later one first.
    sent: [u64; 2],
}

/// What a report says about what we send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) ssrc: u32,
    pub(super) packets: u64,
    pub(super) octets: u64,
    /// The timestamp that belongs to the moment of the report.
    pub(super) timestamp: u32,
}

impl Reports {
    pub(super) fn new(now: Instant, interval: Duration, mut rng: StdRng) -> Self {
        let cname = viaduct_sip::token::random_token::<12>(|octets| rng.fill_bytes(octets));
        let mut reports = Self {
            interval,
            due: now,
            cname,
            rng,
            last_sr: None,
            round_trip: RttEstimator::default(),
            sent: [0, 0],
        };
        reports.plan(now);
        reports
    }

    /// When the next report leaves.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The latest measured round trip.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.last()
    }

    /// Sets the time of the next report: half to one and a half intervals from now (RFC 3550 section 6.3.1).
    pub(super) fn plan(&mut self, now: Instant) {
        let random = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        self.due = now + self.interval.mul_f64(0.5 + random);
    }

    /// Writes a report, and with `is_last` a goodbye, and gives its length. `heard` is about the caller's stream.
    pub(super) fn write(
        &mut self,
        (now, tick, unix): (Instant, Tick, Duration),
        sent: Sent,
        heard: Option<ReportBlock>,
        is_last: bool,
        buffer: &mut [u8],
    ) -> usize {
        let block = heard.map(|block| self.with_last_sr(now, block));
        let blocks = block.as_slice();
        let info = SenderInfo {
            ntp: SenderInfo::ntp_at(unix),
            rtp_timestamp: sent.timestamp,
            // The counters of a report wrap (RFC 3550 section 6.4.1).
            packets: sent.packets as u32,
            octets: sent.octets as u32,
        };
        // Who has sent nothing since the report before the last is no sender (RFC 3550 section 6.4).
        let is_sender = sent.packets > self.sent[1];
        self.sent = [sent.packets, self.sent[0]];
        if is_sender {
            self.round_trip.on_sender_report(tick, info.ntp_middle());
        }
        let mut writer = RtcpWriter::new(buffer);
        let mut write = || -> Result<(), WriteError> {
            if is_sender {
                writer.sender_report(sent.ssrc, &info, blocks)?;
            } else {
                writer.receiver_report(sent.ssrc, blocks)?;
            }
            writer.sdes(&[(sent.ssrc, &self.cname)])?;
            if is_last {
                writer.bye(&[sent.ssrc], "")?;
            }
            Ok(())
        };
        // The buffer holds more than the longest of these.
        let is_whole = write().is_ok();
        debug_assert!(is_whole, "report longer than the buffer");
        writer.finish().len()
    }

    /// Takes a compound in. `ours` and `theirs` are the SSRCs of both directions. False when it is none.
    pub(super) fn take(
        &mut self,
        (now, tick): (Instant, Tick),
        ours: u32,
        theirs: Option<u32>,
        octets: &[u8],
    ) -> bool {
        let Ok(compound) = Compound::parse(octets) else {
            return false;
        };
        for packet in compound.packets() {
            if let RtcpPacket::SenderReport(report) = packet
                && theirs.is_none_or(|theirs| theirs == report.ssrc)
            {
                self.last_sr = Some((report.info.ntp_middle(), now));
            }
        }
        for block in compound.report_blocks().filter(|block| block.ssrc == ours) {
            self.round_trip.on_report_block(tick, &block);
        }
        true
    }

    /// The caller has begun anew: its earlier reports are another stream's.
    pub(super) fn forget_source(&mut self) {
        self.last_sr = None;
    }

    fn with_last_sr(&self, now: Instant, block: ReportBlock) -> ReportBlock {
        match self.last_sr {
            Some((middle, came)) => block.with_last_sr(middle, now.saturating_duration_since(came)),
            None => block,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test::base;

    #[test]
    fn reports_leave_at_random_times_around_their_interval() {
        let now = base();
        let mut reports = Reports::new(now, Duration::from_secs(5), StdRng::from_seed([1; 32]));
        let waits: Vec<f64> = (0..200)
            .map(|_| {
                reports.plan(now);
                (reports.due() - now).as_secs_f64()
            })
            .collect();
        assert!(waits.iter().all(|wait| (2.5..=7.5).contains(wait)));
        let mean = waits.iter().sum::<f64>() / 200.0;
        assert!((4.5..5.5).contains(&mean), "{mean}");
    }
}
