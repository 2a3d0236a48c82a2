//! What a relay has left over after a long time of calls that come and go: nothing of theirs.
//!
//! The relay is judged by what it says of itself (every gauge of `/metrics` that is not about time), by what the kernel says of
//! its process (memory, descriptors, threads), and by what is pinned there. When all calls are over each must be what it was before
//! the first, and while there are always as many calls, memory must stand still.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;

/// Gauges that do not count anything of calls.
const NOT_OF_CALLS: [&str; 2] = ["viaduct_relay_uptime_seconds", "rtpengine_uptime_seconds"];

/// In the labels of gauges of ports that are given to nobody for a while.
const RESTS: &str = "state=\"resting\"";

/// Part of the memory by which it may differ between two times: allocators keep some of what was freed.
const GROWTH_SHARE_MAX: f64 = 0.02;

/// Octets by which it may differ in any case.
const GROWTH_OCTETS_MAX: u64 = 512 << 10;

/// Memory is looked at in three parts, and each must be seen a few times.
const SAMPLES_MIN: usize = 9;

/// What a relay has, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint(pub BTreeMap<String, u64>);

impl Footprint {
    /// Every gauge of a page in the format of `/metrics`, with its labels.
    #[must_use]
    pub fn of_metrics(page: &str) -> Self {
        let mut gauges = BTreeMap::new();
        let mut gauge = None;
        for line in page.lines() {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                gauge = typed
                    .strip_suffix(" gauge")
                    .filter(|name| !NOT_OF_CALLS.contains(name));
                continue;
            }
            let is_of = |name: &str| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            };
            if gauge.is_some_and(is_of)
                && let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse::<u64>()
            {
                gauges.insert(name.to_owned(), value);
            }
        }
        Self(gauges)
    }

    /// Adds what a process has.
    ///
    /// # Errors
    /// It is gone.
    pub fn add_process(&mut self, pid: u32) -> io::Result<()> {
        for (name, folder) in [("descriptors", "fd"), ("threads", "task")] {
            let entries = fs::read_dir(format!("/proc/{pid}/{folder}"))?;
            self.0.insert(name.to_owned(), entries.count() as u64);
        }
        Ok(())
    }

    /// Adds so many of something.
    pub fn add(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    /// Whether there are no calls, and no ports that rest after one.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let mut busy = self.0.iter().filter(|(_, count)| **count > 0);
        !busy.any(|(name, _)| name == "viaduct_relay_calls" || name.contains(RESTS))
    }

    /// What there is more of, or less, than before.
    #[must_use]
    pub fn left_since(&self, before: &Self) -> Vec<Left> {
        let names = self
            .0
            .keys()
            .chain(before.0.keys().filter(|name| !self.0.contains_key(*name)));
        let left = names.map(|name| Left {
            name: name.clone(),
            before: before.0.get(name).copied().unwrap_or_default(),
            after: self.0.get(name).copied().unwrap_or_default(),
        });
        left.filter(|left| left.before != left.after).collect()
    }
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    name: String,
    before: u64,
    after: u64,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} before, {} after", self.name, self.before, self.after)
    }
}

/// Memory over time, with as many calls all the while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory(Vec<u64>);

impl Memory {
    /// One more look, some time after the last.
    pub fn add(&mut self, octets: u64) {
        self.0.push(octets);
    }

    /// The medians of the second and of the last third of the time. `None` when it was too short to say.
    #[must_use]
    pub fn thirds(&self) -> Option<[u64; 2]> {
        let third = self.0.len() / 3;
        (self.0.len() >= SAMPLES_MIN)
            .then(|| [median(&self.0[third..2 * third]), median(&self.0[2 * third..])])
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.thirds().is_some_and(|[before, after]| {
            let share = (before as f64 * GROWTH_SHARE_MAX) as u64;
            after.saturating_sub(before) <= share.max(GROWTH_OCTETS_MAX)
        })
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP viaduct_relay_calls Calls\n# TYPE viaduct_relay_calls gauge\nviaduct_relay_calls 3\n\
        # TYPE viaduct_relay_calls_created counter\nviaduct_relay_calls_created_total 9\n\
        # TYPE viaduct_relay_uptime_seconds gauge\nviaduct_relay_uptime_seconds 77\n\
        # TYPE viaduct_relay_ports gauge\nviaduct_relay_ports{state=\"used\"} 12\nviaduct_relay_ports{state=\"idle\"} 8\n# EOF\n";

    #[test]
    fn gauges_are_what_a_relay_has() {
        let footprint = Footprint::of_metrics(PAGE);
        let names: Vec<_> = footprint
            .0
            .iter()
            .map(|(name, value)| (&**name, *value))
            .collect();
        assert_eq!(
            names,
            [
                ("viaduct_relay_calls", 3),
                ("viaduct_relay_ports{state=\"idle\"}", 8),
                ("viaduct_relay_ports{state=\"used\"}", 12),
            ]
        );
    }

    #[test]
    fn what_is_left_is_named() {
        let before = Footprint::of_metrics(PAGE);
        assert_eq!(before.left_since(&before), []);
        let mut after = Footprint::of_metrics(&PAGE.replace("used\"} 12", "used\"} 13"));
        after.add("flows in the kernel", 2);
        after.0.remove("viaduct_relay_calls");
        let left: Vec<String> = after.left_since(&before).iter().map(Left::to_string).collect();
        assert_eq!(
            left,
            [
                "flows in the kernel: 0 before, 2 after",
                "viaduct_relay_ports{state=\"used\"}: 12 before, 13 after",
                "viaduct_relay_calls: 3 before, 0 after",
            ]
        );
    }

    #[test]
    fn a_relay_rests_when_its_ports_do_not() {
        assert!(!Footprint::of_metrics(PAGE).is_at_rest(), "it has calls");
        let without_calls = PAGE.replace("calls 3", "calls 0");
        assert!(Footprint::of_metrics(&without_calls).is_at_rest());
        let resting = without_calls.replace("idle", "resting");
        assert!(!Footprint::of_metrics(&resting).is_at_rest());
    }

    #[test]
    fn a_process_has_descriptors_and_threads() {
        let mut footprint = Footprint::default();
        footprint.add_process(std::process::id()).unwrap();
        assert!(footprint.0.values().all(|count| *count > 0));
        assert_eq!(footprint.0.len(), 2);
        assert!(footprint.add_process(u32::MAX).is_err());
    }

    fn memory(of: impl Fn(u64) -> u64) -> Memory {
        Memory((0..30).map(of).collect())
    }

    #[test]
    fn memory_may_rise_at_first_and_must_stand_still_then() {
        const MIB: u64 = 1 << 20;
        assert!(memory(|at| 30 * MIB + 3 * MIB * at.min(9)).is_flat());
        assert!(memory(|at| 50 * MIB - at).is_flat());
        // One look in between does not count.
        assert!(memory(|at| if at == 25 { 90 * MIB } else { 50 * MIB }).is_flat());
        assert!(!memory(|at| 50 * MIB + at * 200_000).is_flat());
        assert_eq!(memory(|at| at).thirds(), Some([15, 25]));
    }

    #[test]
    fn a_short_time_says_nothing() {
        let mut memory = Memory::default();
        (0..8).for_each(|_| memory.add(5));
        assert!(memory.thirds().is_none() && !memory.is_flat());
        memory.add(5);
        assert!(memory.is_flat());
    }
}
