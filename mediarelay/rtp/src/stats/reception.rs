//! Loss, duplicates, reordering and jitter of one received SSRC (RFC 3550, appendices A.1, A.3 and A.8).

use crate::rtcp::ReportBlock;
use crate::tick::Tick;

/// A gap of up to this many packets is loss; beyond it the sender may have begun anew (RFC 3550, appendix A.1).
const DROPOUT_MAX: u16 = 3000;

/// A packet up to this many behind is late; beyond it the sender may have begun anew (RFC 3550, appendix A.1).
const MISORDER_MAX: u16 = 100;

/// How one packet stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or the first.
    InOrder,
    /// Ahead of the next one: so many are missing, for now.
    Gap {
        /// Sequence numbers between the highest before and this one.
        missing: u16,
    },
    /// Behind the highest and not seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// Far from the others: counted when the next one follows it, since the sender has begun anew then.
    Stray,
    /// The second in a row after a jump: the sender has begun anew.
    Restart,
}

/// The running measurement of one SSRC. A packet costs a few additions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    /// Highest sequence number with the count of its cycles above the low 16 bits.
    highest: u32,
    /// Extended sequence number that the current run began with.
    base: u32,
    /// Bit `n`: whether the packet `n` below the highest was seen, for duplicates.
    seen: u64,
    /// Sequence number that would show that a stray packet was the beginning of a new run.
    expected_after_jump: Option<u16>,
    /// Packets expected in the runs before the current one.
    expected_before: u64,
    received: u64,
    duplicates: u64,
    reordered: u64,
    restarts: u32,
    timestamp: u32,
    /// Arrival time minus timestamp of the packet before, in timestamp units.
    transit: u32,
    /// The clock that `transit` counts in, in Hz; 0 until a packet was measured.
    clock_rate: u32,
    /// Jitter in 16ths of a timestamp unit.
    jitter_16ths: u32,
    /// `expected` and `received` at the time of the latest report block.
    reported: (u64, u64),
}

impl Reception {
    /// Begins with the first packet of an SSRC.
    ///
    /// `clock_rate` in Hz belongs to the packet's payload type; 0 if unknown: there is no jitter then.
    #[must_use]
    pub fn new(now: Tick, sequence: u16, timestamp: u32, clock_rate: u32) -> Self {
        let mut reception = Self {
            highest: u32::from(sequence),
            base: u32::from(sequence),
            seen: 1,
            expected_after_jump: None,
            expected_before: 0,
            received: 1,
            duplicates: 0,
            reordered: 0,
            restarts: 0,
            timestamp,
            transit: 0,
            clock_rate: 0,
            jitter_16ths: 0,
            reported: (0, 0),
        };
        reception.measure_jitter(now, timestamp, clock_rate);
        reception
    }

    /// Reads something of each part that the next packet will need, and gives a number that depends on it and means nothing: who
    /// asks for many has them fetched from memory together.
    #[must_use]
    pub fn fetch(&self) -> usize {
        usize::from(self.highest ^ self.timestamp ^ self.jitter_16ths == 0)
            + usize::from(self.seen ^ self.received ^ self.expected_before == 0)
    }

    /// Takes a further packet in.
    pub fn on_packet(&mut self, now: Tick, sequence: u16, timestamp: u32, clock_rate: u32) -> Arrival {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let arrival = match ahead {
            0 => Arrival::Duplicate,
            1 => Arrival::InOrder,
            2..DROPOUT_MAX => Arrival::Gap { missing: ahead - 1 },
            _ if ahead.wrapping_neg() <= MISORDER_MAX => self.behind(ahead.wrapping_neg()),
            _ if self.expected_after_jump == Some(sequence) => Arrival::Restart,
            _ => Arrival::Stray,
        };
        match arrival {
            Arrival::InOrder | Arrival::Gap { .. } => {
                self.highest = self.highest.wrapping_add(u32::from(ahead));
                self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
                self.advance(now, timestamp, clock_rate);
            }
            Arrival::Late => {
                self.received += 1;
                self.reordered += 1;
            }
            Arrival::Duplicate => {
                self.received += 1;
                self.duplicates += 1;
            }
            Arrival::Stray => self.expected_after_jump = Some(sequence.wrapping_add(1)),
            Arrival::Restart => {
                self.expected_before = self.expected();
                // The stray packet before this one belongs to the new run.
                self.base = u32::from(sequence.wrapping_sub(1));
                self.highest = self.base.wrapping_add(1);
                self.seen = 3;
                self.received += 1;
                self.restarts += 1;
                self.clock_rate = 0;
                self.advance(now, timestamp, clock_rate);
            }
        }
        arrival
    }

    /// Takes a further packet in that may follow any number of others, which somebody else has received and measured: what is
    /// between is neither expected nor missed here, and says nothing about jitter.
    pub fn resume(&mut self, now: Tick, sequence: u16, timestamp: u32, clock_rate: u32) {
        self.expected_before = self.expected();
        self.base = u32::from(sequence);
        self.highest = self.base;
        self.seen = 1;
        self.clock_rate = 0;
        self.timestamp = timestamp.wrapping_sub(1);
        self.advance(now, timestamp, clock_rate);
    }

    /// Late or duplicate. What is too far behind for the bits to tell counts as late.
    fn behind(&mut self, back: u16) -> Arrival {
        let bit = 1_u64.checked_shl(u32::from(back)).unwrap_or(0);
        if self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        Arrival::Late
    }

    fn advance(&mut self, now: Tick, timestamp: u32, clock_rate: u32) {
        self.received += 1;
        self.expected_after_jump = None;
        // Packets of one frame or one telephone event share a timestamp: only the first says when it was due.
        if timestamp != self.timestamp {
            self.measure_jitter(now, timestamp, clock_rate);
        }
        self.timestamp = timestamp;
    }

    /// RFC 3550, appendix A.8.
    fn measure_jitter(&mut self, now: Tick, timestamp: u32, clock_rate: u32) {
        if clock_rate == 0 {
            return;
        }
        let arrival = u128::from(now.as_micros()) * u128::from(clock_rate) / 1_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        if clock_rate == self.clock_rate {
            let difference = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
            // Held so that 16 times it fits; a second's worth of any clock is far below.
            let difference = difference.min(1 << 26);
            self.jitter_16ths = self.jitter_16ths - ((self.jitter_16ths + 8) >> 4) + difference;
        }
        self.transit = transit;
        self.clock_rate = clock_rate;
    }

    fn expected(&self) -> u64 {
        self.expected_before + u64::from(self.highest.wrapping_sub(self.base)) + 1
    }

    /// The figures so far.
    #[must_use]
    pub fn snapshot(&self) -> ReceptionSnapshot {
        ReceptionSnapshot {
            expected: self.expected(),
            received: self.received,
            duplicates: self.duplicates,
            reordered: self.reordered,
            restarts: self.restarts,
            highest_sequence: self.highest,
            last_timestamp: self.timestamp,
            jitter: self.jitter_16ths >> 4,
            clock_rate: self.clock_rate,
        }
    }

    /// A report block about this SSRC, without the two fields about sender reports (RFC 3550, appendix A.3). The
    /// fraction lost counts from the previous call.
    pub fn report_block(&mut self, ssrc: u32) -> ReportBlock {
        let (expected, received) = (self.expected(), self.received);
        let expected_interval = expected - self.reported.0;
        let lost_interval = expected_interval.saturating_sub(received - self.reported.1);
        self.reported = (expected, received);
        let fraction_lost = match (lost_interval << 8).checked_div(expected_interval) {
            Some(fraction) => fraction.min(255) as u8,
            None => 0,
        };
        let range = ReportBlock::CUMULATIVE_LOST_RANGE;
        let lost = (expected as i64 - received as i64).clamp((*range.start()).into(), (*range.end()).into());
        ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: lost as i32,
            highest_sequence: self.highest,
            jitter: self.jitter_16ths >> 4,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }
}

/// The figures of one SSRC at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceptionSnapshot {
    /// Packets that should have come, from the first to the highest sequence number.
    pub expected: u64,
    /// Packets that came, duplicates among them.
    pub received: u64,
    /// Packets that came more than once, counted each further time.
    pub duplicates: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// How often the sender began anew with another sequence number.
    pub restarts: u32,
    /// Highest sequence number, extended by the count of its cycles.
    pub highest_sequence: u32,
    /// Timestamp of the packet with the highest sequence number.
    pub last_timestamp: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The clock of these units in Hz; 0 if unknown.
    pub clock_rate: u32,
}

impl ReceptionSnapshot {
    /// Packets that have not come; late ones are taken off again.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received - self.duplicates)
    }

    /// Lost packets as part of the expected ones, 0 to 1.
    #[must_use]
    pub fn loss_fraction(&self) -> f64 {
        if self.expected == 0 {
            0.0
        } else {
            self.lost() as f64 / self.expected as f64
        }
    }

    /// The jitter as time; zero if the clock is unknown.
    #[must_use]
    pub fn jitter_time(&self) -> std::time::Duration {
        let micros = (u64::from(self.jitter) * 1_000_000).checked_div(u64::from(self.clock_rate));
        std::time::Duration::from_micros(micros.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
