//! Which ports the kernel gives to programs that ask for any.

use std::fs;
use std::ops::RangeInclusive;

/// The ports of `net.ipv4.ip_local_port_range` without those of `net.ipv4.ip_local_reserved_ports`. IPv6 has the same.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GivenPorts {
    range: Vec<RangeInclusive<u16>>,
    reserved: Vec<RangeInclusive<u16>>,
}

impl GivenPorts {
    /// Reads those of this network namespace. What cannot be read gives nothing.
    #[must_use]
    pub fn gather() -> Self {
        let [range, reserved] = ["ip_local_port_range", "ip_local_reserved_ports"]
            .map(|name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default());
        Self::of(&range, &reserved)
    }

    /// From the two texts: `32768 60999`, and `3480,30000-39999`.
    #[must_use]
    pub fn of(range: &str, reserved: &str) -> Self {
        Self {
            range: ranges(range),
            reserved: ranges(reserved),
        }
    }

    /// Whether any of these ports may be given.
    #[must_use]
    pub fn has_any_of(&self, ports: &RangeInclusive<u16>) -> bool {
        let is_in = |ranges: &[RangeInclusive<u16>], port| ranges.iter().any(|range| range.contains(&port));
        ports
            .clone()
            .any(|port| is_in(&self.range, port) && !is_in(&self.reserved, port))
    }
}

fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let text = text.trim();
    if let Some((first, last)) = text.split_once(char::is_whitespace) {
        return range(first, last).into_iter().collect();
    }
    let ranges = text.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        range(first, last)
    });
    ranges.collect()
}

fn range(first: &str, last: &str) -> Option<RangeInclusive<u16>> {
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gives(ports: RangeInclusive<u16>, range: &str, reserved: &str) -> bool {
        GivenPorts::of(range, reserved).has_any_of(&ports)
    }

    #[test]
    fn ports_are_given_from_the_range_but_for_those_that_are_reserved() {
        let range = "32768\t60999\n";
        assert!(!gives(20_000..=29_999, range, "\n"));
        assert!(gives(30_000..=39_999, range, "\n"));
        assert!(!gives(30_000..=39_999, range, "3480,30000-39999\n"));
        assert!(!gives(30_000..=39_999, range, "30000-34999,35000-39999"));
        assert!(gives(30_000..=39_999, range, "30000-39998"));
        assert!(gives(40_000..=40_001, range, "40000"));
        assert!(gives(60_999..=61_000, range, "x,,-"));
        assert!(!gives(61_000..=61_001, range, ""));
    }
}
