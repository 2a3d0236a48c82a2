//! What a program used, with all its threads and the processes that it started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Processor time that a program used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In its own code and in the kernel for it, to the nanosecond.
    pub processor: Duration,
    /// The same from the coarser counters (10 ms) that tell the two apart: in its own code …
    pub user: Duration,
    /// … and in the kernel.
    pub system: Duration,
    /// How long its threads could have run and had no processor, together.
    pub waited: Duration,
}

impl Usage {
    /// Everything that the process `root` and its descendants used. Those that ended meanwhile are left out.
    ///
    /// # Errors
    /// `/proc` cannot be read, or `root` is gone.
    pub fn of(root: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in family(root)? {
            if let Some(one) = of_process(pid) {
                sum = sum.plus(one);
            } else if pid == root {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("process {root} is gone"),
                ));
            }
        }
        Ok(sum)
    }

    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(earlier.processor),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }

    /// The part of the time that was spent in the kernel, 0 to 1. `None` when the counters show nothing.
    #[must_use]
    pub fn system_share(self) -> Option<f64> {
        let all = (self.user + self.system).as_secs_f64();
        (all > 0.0).then(|| self.system.as_secs_f64() / all)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            processor: self.processor + other.processor,
            user: self.user + other.user,
            system: self.system + other.system,
            waited: self.waited + other.waited,
        }
    }
}

/// Time that all processors of the machine together were busy since it started, whoever used them.
///
/// # Errors
/// `/proc` cannot be read.
pub fn machine_busy() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    busy_of(&stat).ok_or_else(|| io::Error::other("no processors in /proc/stat"))
}

/// Processors of the machine.
///
/// # Errors
/// `/proc` cannot be read.
pub fn processors() -> io::Result<usize> {
    let stat = fs::read_to_string("/proc/stat")?;
    Ok(processors_of(&stat).max(1))
}

/// Memory of the process that is resident, in octets.
///
/// # Errors
/// The process is gone.
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    resident_of(&status).ok_or_else(|| io::Error::other("no VmRSS in /proc"))
}

/// Datagrams that UDP sockets with these local ports lost since they were opened because nobody read them in time.
///
/// # Errors
/// `/proc` cannot be read.
pub fn datagrams_lost(ports: &[u16]) -> io::Result<u64> {
    Ok(lost_of(&fs::read_to_string("/proc/net/udp")?, ports))
}

fn of_process(pid: u32) -> Option<Usage> {
    let stat = Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    // The clock of the process: it counts on when threads end, and is not rounded to ticks.
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    Some(Usage {
        processor: clock.now().ok()?.into(),
        user: ticks(stat.user),
        system: ticks(stat.system),
        waited: waited_of(pid).unwrap_or_default(),
    })
}

/// What the threads of a process have waited for a processor: the second number of their `schedstat`. Nothing is known where
/// the kernel does not count it.
fn waited_of(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_thread = |entry: fs::DirEntry| {
        let counts = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        counts.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some(Duration::from_nanos(
        threads.flatten().filter_map(of_thread).sum(),
    ))
}

/// The process and its descendants.
fn family(root: u32) -> io::Result<BTreeSet<u32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        if let Some(stat) = stat.as_deref().and_then(Stat::parse) {
            parents.insert(pid, stat.parent);
        }
    }
    Ok(descendants(root, &parents))
}

/// `root` and everybody whose chain of parents leads to it.
fn descendants(root: u32, parents: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let children = parents.iter().filter(|(_, parent)| found.contains(parent));
        let children: Vec<u32> = children
            .map(|(&pid, _)| pid)
            .filter(|pid| !found.contains(pid))
            .collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children);
    }
}

/// `USER_HZ`: the unit of the times in `/proc/PID/stat`, the same on all Linux systems that we build for.
const TICKS_PER_SECOND: u64 = 100;

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

/// The first line of `/proc/stat` without `idle` and `iowait`. `guest` and what follows are in `user` already.
fn busy_of(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Option<Vec<u64>> = fields
        .split_ascii_whitespace()
        .map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields?[..] else {
        return None;
    };
    Some(ticks(user + nice + system + irq + softirq + steal))
}

fn processors_of(stat: &str) -> usize {
    let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines.filter(|rest| !rest.starts_with(' ')).count()
}

/// The column `drops` of `/proc/net/udp`, summed up over sockets with these local ports.
fn lost_of(table: &str, ports: &[u16]) -> u64 {
    let of_line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let lost: u64 = fields.last()?.parse().ok()?;
        ports.contains(&port).then_some(lost)
    };
    table.lines().skip(1).filter_map(of_line).sum()
}

/// The fields of `/proc/PID/stat` that matter here (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    user: u64,
    system: u64,
}

impl Stat {
    /// The name in the second field may hold blanks and brackets, so the fields are counted from its last bracket.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            user: fields.get(11)?.parse().ok()?,
            system: fields.get(12)?.parse().ok()?,
        })
    }
}

/// `VmRSS` of `/proc/PID/status`, in octets.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_moves_no_field() {
        let line = "4711 (tcp) (main 1) S 42 4711 4711 0 -1 4194560 9 0 0 0 123 45 0 0 20 0 1 0 99 1000 200";
        let stat = Stat {
            parent: 42,
            user: 123,
            system: 45,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("4711 (cut) S 42 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn the_status_is_read() {
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmRSS:\t  2048 kB\nThreads:\t3\n";
        assert_eq!(resident_of(status), Some(2_048 * 1_024));
        assert_eq!(resident_of("Name:\tx\n"), None);
    }

    #[test]
    fn what_sockets_lost_is_found_by_their_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 1: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0000 17\n\
            \x20 2: 0100007F:13C5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 98 2 0000 4\n\
            \x20 3: 00000000:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 97 2 0000 3\n";
        assert_eq!(lost_of(table, &[5_060]), 20);
        assert_eq!(lost_of(table, &[5_061, 5_060]), 24);
        assert_eq!(lost_of(table, &[5_062]), 0);
        assert!(datagrams_lost(&[1]).is_ok());
    }

    #[test]
    fn a_machine_is_busy_when_it_neither_idles_nor_waits() {
        let stat = "cpu  100 20 30 5000 600 1 2 3 4 5\ncpu0 50 10 15 2500 300 1 1 1 2 3\n";
        assert_eq!(busy_of(stat), Some(Duration::from_millis(1_560)));
        assert_eq!(processors_of(stat), 1);
        assert_eq!(busy_of("cpu  100 20\n"), None);
        assert_eq!(busy_of("intr 1 2 3\n"), None);
        assert!(machine_busy().unwrap() > Duration::ZERO);
    }

    #[test]
    fn descendants_are_found_whatever_their_numbers() {
        let parents = BTreeMap::from([(1, 0), (50, 1), (7, 50), (8, 7), (51, 1), (52, 51)]);
        assert_eq!(descendants(50, &parents), BTreeSet::from([7, 8, 50]));
        assert_eq!(descendants(9, &parents), BTreeSet::from([9]));
    }

    #[test]
    fn work_shows_in_the_usage_of_this_process() {
        let own = std::process::id();
        let before = Usage::of(own).unwrap();
        let begun = Instant::now();
        let mut sum = 0u64;
        while begun.elapsed() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 7);
        }
        let used = Usage::of(own).unwrap().since(before);
        // The machine may be busy with other things, but not so that nothing shows.
        assert!(used.processor > Duration::from_millis(1), "{used:?}");
        assert!(used.processor < Duration::from_secs(60), "{used:?}");
        assert!(resident(own).unwrap() > 100_000);
    }
}
