//! Packets that come again and again, because what we send comes back to us.

use viaduct_rtp::Tick;

use crate::limits::Limits;

/// How many packets are remembered: a loop may have one of RTP and one of RTCP in it.
const REMEMBERED: usize = 2;

/// Octets by which a packet is known, with its length: an RTP header and a bit of what follows.
const OCTETS: usize = 28;

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
    pub(super) fn are_too_many(&mut self, now: Tick, packet: &[u8], limits: &Limits) -> bool {
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
        let is_late = now.since(seen.at) > limits.loop_window;
        seen.at = now;
        if is_late {
            self.count = 0;
        } else if self.count as usize >= limits.loop_repeats {
            return true;
        } else {
            self.count += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tick(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_packet_that_keeps_coming_is_too_many_until_it_rests() {
        let mut repeats = Repeats::default();
        let (packet, limits) = ([7; 40], Limits::default());
        let mut are_too_many = |at| repeats.are_too_many(tick(at), &packet, &limits);
        assert!((0..31).all(|at| !are_too_many(at)));
        assert!(are_too_many(32));
        assert!(are_too_many(900));
        assert!(!are_too_many(2_000));
    }

    #[test]
    fn how_many_and_how_soon_is_a_matter_of_limits() {
        let mut repeats = Repeats::default();
        let limits = Limits {
            loop_repeats: 2,
            loop_window: Duration::from_millis(10),
            ..Limits::default()
        };
        let mut are_too_many = |at| repeats.are_too_many(tick(at), &[7; 40], &limits);
        assert_eq!([0, 1, 2, 3].map(&mut are_too_many), [false, false, false, true]);
        assert_eq!([14, 25, 36, 47].map(are_too_many), [false; 4]);
    }

    #[test]
    fn different_packets_are_never_too_many() {
        let (mut repeats, limits) = (Repeats::default(), Limits::default());
        for at in 0..200_u8 {
            assert!(!repeats.are_too_many(tick(at.into()), &[at; 40], &limits));
            assert!(!repeats.are_too_many(tick(at.into()), &[at; 41], &limits));
        }
    }
}
