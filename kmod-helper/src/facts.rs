//! What can be read from this machine without privilege and without changing it.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::fast::Refused;
use crate::given_ports::GivenPorts;
use crate::netlink::Netlink;
use crate::xdp_features::XdpFeatures;

/// Bit of `CAP_NET_ADMIN` in a capability set (`capabilities(7)`).
const CAP_NET_ADMIN: u32 = 12;
/// Bit of `CAP_NET_RAW`.
const CAP_NET_RAW: u32 = 13;
/// Bit of `CAP_SYS_ADMIN`, which older kernels ask for instead of `CAP_BPF`.
const CAP_SYS_ADMIN: u32 = 21;
/// Bit of `CAP_BPF`.
const CAP_BPF: u32 = 39;

/// Everything `check` decides from. Plain values, so that the decisions can be tested on invented machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`, for example `6.18.44`.
    pub release: String,
    /// Major and minor number of the release, when it starts with two numbers.
    pub version: Option<(u32, u32)>,
    /// `/sys/fs/bpf` is a mounted BPF file system.
    pub bpffs: bool,
    /// `net.core.bpf_jit_enable`: 0 off, 1 on, 2 debugging; `None` when the file cannot be read.
    pub jit: Option<u32>,
    /// Effective `CAP_BPF` or `CAP_SYS_ADMIN`.
    pub cap_bpf: bool,
    /// Effective `CAP_NET_ADMIN`.
    pub cap_net_admin: bool,
    /// Effective `CAP_NET_RAW`.
    pub cap_net_raw: bool,
    /// Ports that the kernel gives to programs that ask for any.
    pub given_ports: GivenPorts,
    /// Soft and hard limit of open files.
    pub open_files: (u64, u64),
    /// `net.core.rmem_max` in octets.
    pub receive_buffer_max: Option<u64>,
    /// Interfaces that are up and whose drivers let programs hand frames on. `None` where the kernel does not tell.
    pub frame_interfaces: Option<Vec<String>>,
}

impl Facts {
    /// Reads the facts of the machine and of this process.
    #[must_use]
    pub fn gather() -> Self {
        let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let capabilities = Capabilities::effective();
        Self {
            version: parse_version(&release),
            release,
            bpffs: read("/proc/self/mounts").is_some_and(|mounts| mounts_bpffs(&mounts)),
            jit: read("/proc/sys/net/core/bpf_jit_enable").and_then(|text| text.parse().ok()),
            cap_bpf: capabilities.bpf(),
            cap_net_admin: capabilities.has(CAP_NET_ADMIN),
            cap_net_raw: capabilities.has(CAP_NET_RAW),
            given_ports: GivenPorts::gather(),
            open_files: read("/proc/self/limits")
                .and_then(|limits| open_files(&limits))
                .unwrap_or((0, 0)),
            receive_buffer_max: read("/proc/sys/net/core/rmem_max").and_then(|text| text.parse().ok()),
            frame_interfaces: frame_interfaces().ok(),
        }
    }
}

/// What this process may do.
pub(crate) struct Capabilities(u64);

impl Capabilities {
    /// Its effective ones; none where they cannot be read.
    pub(crate) fn effective() -> Self {
        let set = read("/proc/self/status").and_then(|status| effective_capabilities(&status));
        Self(set.unwrap_or(0))
    }

    /// Whether it may load programs and attach them.
    pub(crate) fn allow(&self) -> Result<(), Refused> {
        for (has, name) in [
            (self.bpf(), "CAP_BPF"),
            (self.has(CAP_NET_ADMIN), "CAP_NET_ADMIN"),
        ] {
            if !has {
                return Err(Refused::Capability(name));
            }
        }
        Ok(())
    }

    fn bpf(&self) -> bool {
        self.has(CAP_BPF) || self.has(CAP_SYS_ADMIN)
    }

    fn has(&self, bit: u32) -> bool {
        self.0 & (1 << bit) != 0
    }
}

fn frame_interfaces() -> io::Result<Vec<String>> {
    let mut features = XdpFeatures::open()?;
    let links = Netlink::open()?.links()?.into_values();
    let links =
        links.filter(|link| link.is_up && link.has_ethernet && features.hands_frames_on(link.ifindex));
    Ok(links.map(|link| link.name).collect())
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// `6.18.44-cloud` is `(6, 18)`.
fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The `CapEff` line of `/proc/self/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether a folder is, or will be when it is made, on a BPF file system.
pub(crate) fn is_bpffs(folder: &Path) -> bool {
    let mut at = folder.ancestors().map(statfs);
    let found = at.find(|answer| !matches!(answer, Err(Errno::ENOENT)));
    found.is_some_and(|answer| answer.is_ok_and(|system| system.filesystem_type() == BPF_FS_MAGIC))
}

fn mounts_bpffs(mounts: &str) -> bool {
    mounts
        .lines()
        .any(|line| line.split_whitespace().nth(2) == Some("bpf"))
}

/// Soft and hard "Max open files" of `/proc/self/limits`; `unlimited` counts as the largest number.
fn open_files(limits: &str) -> Option<(u64, u64)> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut values = line.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((values.next()??, values.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_vendor_kernels() {
        assert_eq!(parse_version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse_version("5.4"), Some((5, 4)));
        assert_eq!(parse_version("unknown"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn other_file_systems_are_not_that_of_bpf() {
        for folder in ["/proc", "/proc/nothing/here", "/", "not/absolute", ""] {
            assert!(!is_bpffs(Path::new(folder)), "{folder:?}");
        }
    }

    #[test]
    fn reads_effective_capabilities() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\n";
        assert_eq!(effective_capabilities(status), Some(0x1ff_feff_ffff));
        assert_eq!(effective_capabilities("CapEff:\tzz"), None);
    }

    #[test]
    fn reads_open_file_limits() {
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024     unlimited     files\n";
        assert_eq!(open_files(limits), Some((1024, u64::MAX)));
        assert_eq!(open_files("Max open files"), None);
    }

    #[test]
    fn finds_a_mounted_bpf_file_system() {
        assert!(mounts_bpffs("bpf /sys/fs/bpf bpf rw 0 0\n"));
        assert!(!mounts_bpffs("tmpfs /sys/fs/bpf tmpfs rw 0 0\n"));
    }
}
