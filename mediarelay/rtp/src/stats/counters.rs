//! Packets and octets.

use std::ops::AddAssign;

/// Packets, their octets, and those among them that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Counters {
    /// Datagrams.
    pub packets: u64,
    /// Octets of their UDP payloads, as they were on the wire.
    pub octets: u64,
    /// Datagrams that were not forwarded because something was wrong with them. Not among `packets`.
    pub errors: u64,
}

impl Counters {
    /// Counts one datagram.
    pub fn count(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.octets += other.octets;
        self.errors += other.errors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_adds() {
        let mut total = Counters {
            packets: 1,
            octets: 100,
            errors: 2,
        };
        let mut one = Counters::default();
        one.count(172);
        total += one;
        assert_eq!(
            total,
            Counters {
                packets: 2,
                octets: 272,
                errors: 2
            }
        );
    }
}
