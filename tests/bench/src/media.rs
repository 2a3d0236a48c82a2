//! The phones of the relay benchmarks, and the SIP proxy that commands the relay.

mod call;
mod leg;

use std::time::{Duration, Instant};

pub use self::call::{CallPlan, MediaMode, relay_address, relay_keys};
pub use self::leg::{Crypto, Heard, Leg};
use crate::sample::Latencies;

/// Octets of a packet's payload: 20 ms of G.711.
pub const PAYLOAD_OCTETS: usize = 160;

/// Time between two packets of one stream, while there are not too many streams.
const PACKET_TIME: Duration = Duration::from_millis(20);

/// Packets that all phones together send in a second at most: a thousand calls. What talks more than that says less: the
/// processor that relays have would be the limit, and a packet cost what is left of it.
const PACKETS_PER_SECOND_MAX: u32 = 100_000;

/// Time between two packets of each of so many streams.
#[must_use]
pub fn packet_time(streams: usize) -> Duration {
    let streams = u32::try_from(streams).unwrap_or(u32::MAX);
    PACKET_TIME.max(Duration::from_secs(1) * streams / PACKETS_PER_SECOND_MAX)
}

/// What came of the packets that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketTally {
    /// Packets sent by phones.
    pub sent: u64,
    /// Packets that came to the other phone, whole and for the first time.
    pub received: u64,
    /// Packets that came again.
    pub repeated: u64,
    /// Datagrams that are not what the other phone sent: damaged, not authentic, or somebody else's.
    pub wrong: u64,
    /// From the sending to the receiving phone.
    pub latencies: Latencies,
}

impl PacketTally {
    /// Counts what one datagram turned out to be.
    pub fn count(&mut self, heard: Heard) {
        match heard {
            Heard::Packet(latency) => {
                self.received += 1;
                self.latencies.add(latency);
            }
            Heard::Repeated => self.repeated += 1,
            Heard::Late => {}
            Heard::Wrong => self.wrong += 1,
        }
    }
}

/// When each of many streams sends: packets are spread evenly over time, one stream after the other.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    start: Instant,
    streams: usize,
    packet_time: Duration,
    sent: u64,
}

impl Rotation {
    /// Begins at `start`.
    #[must_use]
    pub fn new(streams: usize, start: Instant) -> Self {
        Self {
            start,
            streams,
            packet_time: packet_time(streams),
            sent: 0,
        }
    }

    /// The stream that must send now, if any. It counts as sent.
    pub fn take_due(&mut self, now: Instant) -> Option<usize> {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let due = elapsed * self.streams as u128 / self.packet_time.as_nanos();
        if u128::from(self.sent) >= due {
            return None;
        }
        let stream = (self.sent % self.streams as u64) as usize;
        self.sent += 1;
        Some(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_streams_send_no_more_than_a_thousand_calls() {
        assert_eq!(packet_time(2), PACKET_TIME);
        assert_eq!(packet_time(2_000), PACKET_TIME);
        assert_eq!(packet_time(10_000), 5 * PACKET_TIME);
    }

    #[test]
    fn every_stream_sends_once_in_a_packet_time() {
        let start = Instant::now();
        let mut rotation = Rotation::new(4, start);
        assert_eq!(rotation.take_due(start), None);
        assert_eq!(rotation.take_due(start + Duration::from_millis(4)), None);
        assert_eq!(rotation.take_due(start + Duration::from_millis(5)), Some(0));
        assert_eq!(rotation.take_due(start + Duration::from_millis(5)), None);
        let late = start + Duration::from_millis(25);
        let mut caught_up = Vec::new();
        while let Some(stream) = rotation.take_due(late) {
            caught_up.push(stream);
        }
        assert_eq!(caught_up, [1, 2, 3, 0]);
    }
}
