//! The phones of the relay benchmarks, and the SIP proxy that commands the relay.

mod call;
mod certificate;
mod leg;

use std::time::{Duration, Instant};

pub use self::call::{BROWSER_PASSWORD, BROWSER_UFRAG, CallPlan, MediaMode, relay_address, relay_keys};
pub use self::certificate::certificate;
pub use self::leg::{Crypto, Heard, Leg};
use crate::sample::Latencies;

/// Octets of a packet's payload: 20 ms of G.711.
pub const PAYLOAD_OCTETS: usize = 160;

/// Time between two packets of one stream, while there are not too many streams.
const PACKET_TIME: Duration = Duration::from_millis(20);

/// Calls that talk at [`PACKET_TIME`].
const TALKATIVE_MAX: u32 = 1_000;

/// Packets in a second that more of them send together. With as many as a thousand calls send, the processor of the phones would
/// be the limit: packets of so many streams find its caches cold as well.
const PACKETS_PER_SECOND: u32 = 50_000;

/// Time between two packets of each stream of so many calls.
#[must_use]
pub fn packet_time(calls: usize) -> Duration {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    if calls <= TALKATIVE_MAX {
        PACKET_TIME
    } else {
        Duration::from_secs(2) * calls / PACKETS_PER_SECOND
    }
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
    /// Begins at `start`. Each stream sends every `packet_time`.
    #[must_use]
    pub fn new(streams: usize, packet_time: Duration, start: Instant) -> Self {
        Self {
            start,
            streams,
            packet_time,
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
    fn each_of_many_calls_says_less() {
        assert_eq!(packet_time(1), PACKET_TIME);
        assert_eq!(packet_time(1_000), PACKET_TIME);
        assert_eq!(packet_time(5_000), 10 * PACKET_TIME);
    }

    #[test]
    fn every_stream_sends_once_in_a_packet_time() {
        let start = Instant::now();
        let mut rotation = Rotation::new(4, PACKET_TIME, start);
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
