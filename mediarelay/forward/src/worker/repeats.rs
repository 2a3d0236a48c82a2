//! Packets that come again and again, because what we send comes back to us.

use std::time::Duration;

use viaduct_rtp::Tick;

/// How many packets are remembered: a loop may have one of RTP and one of RTCP in it.
const REMEMBERED: usize = 2;

/// Octets by which a packet is known, with its length: an RTP header and a bit of what follows.
const OCTETS: usize = 28;

/// A packet that comes once more than this, each time soon, is in a loop. rtpengine's number.
const REPEATS_MAX: u32 = 30;

/// What comes later than this is no repeat.
const SOON: Duration = Duration::from_secs(1);

/// The last packets of a flow, and how often in a row one of them has come again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: [Seen; REMEMBERED],
    next: usize,
    count: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    start: [u8; OCTETS],
    len: usize,
    at: Tick,
}

impl Repeats {
    /// Notes a packet. True if it has come too often.
    pub(super) fn are_too_many(&mut self, now: Tick, packet: &[u8]) -> bool {
        let mut start = [0; OCTETS];
        let known = packet.len().min(OCTETS);
        start[..known].copy_from_slice(&packet[..known]);
        let mut seen = self.seen.iter_mut();
        let Some(seen) = seen.find(|seen| seen.len == packet.len() && seen.start == start) else {
            let len = packet.len();
            self.seen[self.next] = Seen { start, len, at: now };
            self.next = (self.next + 1) % REMEMBERED;
            self.count = 0;
            return false;
        };
        let is_late = now.since(seen.at) > SOON;
        seen.at = now;
        if is_late {
            self.count = 0;
        } else if self.count >= REPEATS_MAX {
            return true;
        } else {
            self.count += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_packet_that_keeps_coming_is_too_many_until_it_rests() {
        let mut repeats = Repeats::default();
        let packet = [7; 40];
        assert!((0..31).all(|at| !repeats.are_too_many(tick(at), &packet)));
        assert!(repeats.are_too_many(tick(32), &packet));
        assert!(repeats.are_too_many(tick(900), &packet));
        assert!(!repeats.are_too_many(tick(2_000), &packet));
    }

    #[test]
    fn different_packets_are_never_too_many() {
        let mut repeats = Repeats::default();
        for at in 0..200_u8 {
            assert!(!repeats.are_too_many(tick(at.into()), &[at; 40]));
            assert!(!repeats.are_too_many(tick(at.into()), &[at; 41]));
        }
    }
}
