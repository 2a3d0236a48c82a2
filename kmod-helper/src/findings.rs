//! What the facts mean: one finding per piece that a fast path needs, with what its absence costs.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::facts::Facts;

/// Kernel that first has `tcx` (attach at TC without a qdisc, removed with its owner).
const TCX_SINCE: (u32, u32) = (6, 6);
/// Kernel that first has `sk_lookup`.
const SK_LOOKUP_SINCE: (u32, u32) = (5, 9);
/// What a relay does without a piece of steering.
const NO_STEERING: &str =
    "each media port has a socket: a quarter more CPU for a packet, 5 KiB and four descriptors for a call";
/// Sockets that a call between two plain legs needs when every port has its own: RTP and RTCP on both legs.
const SOCKETS_PER_CALL: u64 = 4;
/// Descriptors that a relay needs besides media ports.
const OTHER_DESCRIPTORS: u64 = 256;

/// Whether everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is missing that the kernel path needs.
    Ready,
    /// At least one finding about it is not good.
    Missing,
}

/// One piece, whether it is there, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Short name, stable for scripts.
    pub name: &'static str,
    /// Whether the piece is there.
    pub good: bool,
    /// Only steering and what rests on it needs it; media is forwarded in the kernel without it.
    pub for_steering: bool,
    /// What was seen.
    pub seen: String,
    /// What its absence costs and what to do; empty when the piece is there.
    pub cost: String,
}

/// All findings about one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    standing: Standing,
    kernel: String,
    findings: Vec<Finding>,
}

impl Findings {
    /// Judges facts, for a relay with these ports for media.
    #[must_use]
    pub fn from_facts(facts: &Facts, rtp_ports: &RangeInclusive<u16>) -> Self {
        let findings = vec![
            at_least(
                "tcx",
                facts,
                TCX_SINCE,
                "there is no kernel path: all media is forwarded in user space",
            ),
            jit(facts),
            capability("CAP_BPF", facts.cap_bpf),
            capability("CAP_NET_ADMIN", facts.cap_net_admin),
            bpffs(facts),
            descriptors(facts),
            receive_buffer(facts),
            for_steering(at_least("sk_lookup", facts, SK_LOOKUP_SINCE, NO_STEERING)),
            for_steering(net_raw(facts)),
            for_steering(given_ports(facts, rtp_ports)),
            for_steering(frames(facts)),
        ];
        let is_well = |finding: &Finding| finding.good || finding.for_steering;
        let standing = if findings.iter().all(is_well) {
            Standing::Ready
        } else {
            Standing::Missing
        };
        Self {
            standing,
            kernel: facts.release.clone(),
            findings,
        }
    }

    /// Whether everything is there.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "kernel {}",
            if self.kernel.is_empty() {
                "unknown"
            } else {
                &self.kernel
            }
        )?;
        for finding in &self.findings {
            let word = match finding {
                Finding { good: true, .. } => "ok",
                Finding {
                    for_steering: true, ..
                } => "absent",
                _ => "missing",
            };
            writeln!(f, "  {word:7} {:14} {}", finding.name, finding.seen)?;
            if !finding.good {
                writeln!(f, "          {:14} {}", "", finding.cost)?;
            }
        }
        writeln!(
            f,
            "Calls do not depend on anything above: what the kernel does not forward, the relay does, and ports that are not steered \
             have sockets."
        )
    }
}

fn finding(name: &'static str, good: bool, seen: String, cost: String) -> Finding {
    Finding {
        name,
        good,
        for_steering: false,
        seen,
        cost: if good { String::new() } else { cost },
    }
}

fn for_steering(finding: Finding) -> Finding {
    Finding {
        for_steering: true,
        ..finding
    }
}

fn bpffs(facts: &Facts) -> Finding {
    let is = if facts.bpffs { "is" } else { "is not" };
    let cost = "there is no kernel path; mount it with: mount -t bpf bpf /sys/fs/bpf";
    finding(
        "bpffs",
        facts.bpffs,
        format!("BPF file system {is} there"),
        cost.to_owned(),
    )
}

fn at_least(name: &'static str, facts: &Facts, since: (u32, u32), cost: &str) -> Finding {
    let good = facts.version.is_some_and(|version| version >= since);
    let seen = format!(
        "needs Linux {}.{} or newer, this is {}",
        since.0, since.1, facts.release
    );
    finding(name, good, seen, cost.to_owned())
}

fn capability(name: &'static str, good: bool) -> Finding {
    let cost =
        format!("start the relay as root, or give it the capability (systemd: AmbientCapabilities={name})");
    let has = if good { "has" } else { "lacks" };
    finding(name, good, format!("this process {has} it"), cost)
}

fn net_raw(facts: &Facts) -> Finding {
    let net_raw = capability("CAP_NET_RAW", facts.cap_net_raw);
    let cost = format!("{NO_STEERING}; {}", net_raw.cost);
    finding(net_raw.name, net_raw.good, net_raw.seen, cost)
}

/// A program that is given a port of the relay would hear nothing there.
fn given_ports(facts: &Facts, rtp_ports: &RangeInclusive<u16>) -> Finding {
    let good = !facts.given_ports.has_any_of(rtp_ports);
    let (first, last) = (rtp_ports.start(), rtp_ports.end());
    let may = if good { "not given" } else { "given" };
    finding(
        "media ports",
        good,
        format!("{first} to {last} are {may} to programs that ask for any port"),
        format!("{NO_STEERING}; sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}"),
    )
}

fn frames(facts: &Facts) -> Finding {
    let names = facts.frame_interfaces.as_deref();
    let seen = match names {
        Some([]) => "no interface hands frames on".to_owned(),
        Some(names) => format!("may be had of {} (media.frame_interfaces)", names.join(" ")),
        None => "this kernel does not tell which interfaces hand frames on".to_owned(),
    };
    let cost = "what encrypts takes its way through the kernel's sockets, at twice the CPU for a packet";
    finding(
        "frames",
        names.is_some_and(|names| !names.is_empty()),
        seen,
        cost.to_owned(),
    )
}

fn jit(facts: &Facts) -> Finding {
    let good = facts.jit != Some(0);
    let seen = match facts.jit {
        Some(mode) => format!("net.core.bpf_jit_enable = {mode}"),
        // Containers do not see the switch: it is the host's, where every distribution has it on.
        None => "net.core.bpf_jit_enable is not shown here: that of the host counts".to_owned(),
    };
    let cost = "programs would be interpreted, several times slower; sysctl -w net.core.bpf_jit_enable=1";
    finding("jit", good, seen, cost.to_owned())
}

fn descriptors(facts: &Facts) -> Finding {
    let (soft, hard) = facts.open_files;
    let calls = hard.saturating_sub(OTHER_DESCRIPTORS) / SOCKETS_PER_CALL;
    let good = calls >= 1_000;
    let limit = |value: u64| {
        if value == u64::MAX {
            "unlimited".to_owned()
        } else {
            value.to_string()
        }
    };
    let seen = format!(
        "limit {} (hard {}): about {} plain calls",
        limit(soft),
        limit(hard),
        limit(calls)
    );
    let cost = "raise it (systemd: LimitNOFILE=65536)";
    finding("open files", good, seen, cost.to_owned())
}

fn receive_buffer(facts: &Facts) -> Finding {
    /// One tick of 0.5 ms at a million packets a second, with the kernel's bookkeeping per packet.
    const WANTED: u64 = 1 << 20;
    let good = facts.receive_buffer_max.is_some_and(|octets| octets >= WANTED);
    let seen = match facts.receive_buffer_max {
        Some(octets) => format!("net.core.rmem_max = {octets}"),
        None => "net.core.rmem_max cannot be read".to_owned(),
    };
    let cost = "bursts may be lost while a worker sleeps; sysctl -w net.core.rmem_max=4194304";
    finding("receive buffer", good, seen, cost.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_ports::GivenPorts;

    const PORTS: RangeInclusive<u16> = 30_000..=39_999;

    fn modern() -> Facts {
        Facts {
            release: "6.12.0".to_owned(),
            version: Some((6, 12)),
            bpffs: true,
            jit: Some(1),
            cap_bpf: true,
            cap_net_admin: true,
            cap_net_raw: true,
            given_ports: GivenPorts::of("32768 60999", "30000-39999"),
            open_files: (1024, 65_536),
            receive_buffer_max: Some(4 << 20),
            frame_interfaces: Some(vec!["eth0".to_owned()]),
        }
    }

    fn missing(facts: &Facts) -> Vec<&'static str> {
        let findings = Findings::from_facts(facts, &PORTS);
        findings
            .findings
            .iter()
            .filter(|finding| !finding.good)
            .map(|finding| finding.name)
            .collect()
    }

    #[test]
    fn a_modern_kernel_with_capabilities_is_ready() {
        assert_eq!(missing(&modern()), Vec::<&str>::new());
        assert_eq!(
            Findings::from_facts(&modern(), &PORTS).standing(),
            Standing::Ready
        );
    }

    #[test]
    fn what_steering_alone_needs_is_named_and_nothing_fails_for_it() {
        let facts = Facts {
            cap_net_raw: false,
            given_ports: GivenPorts::of("32768 60999", ""),
            frame_interfaces: Some(Vec::new()),
            ..modern()
        };
        assert_eq!(missing(&facts), ["CAP_NET_RAW", "media ports", "frames"]);
        let findings = Findings::from_facts(&facts, &PORTS);
        assert_eq!(findings.standing(), Standing::Ready);
        let text = findings.to_string();
        for said in [
            "  absent  CAP_NET_RAW",
            "30000 to 39999 are given",
            "  absent  frames         no interface hands frames on",
            "sysctl -w net.ipv4.ip_local_reserved_ports=30000-39999",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        // Ports below those that the kernel gives.
        assert_eq!(
            Findings::from_facts(&facts, &(20_000..=29_999))
                .findings
                .iter()
                .filter(|of| !of.good)
                .count(),
            2
        );
    }

    #[test]
    fn an_old_kernel_lacks_what_came_later() {
        let old = Facts {
            release: "5.8.1".to_owned(),
            version: Some((5, 8)),
            ..modern()
        };
        assert_eq!(missing(&old), ["tcx", "sk_lookup"]);
        let between = Facts {
            release: "6.1.0".to_owned(),
            version: Some((6, 1)),
            ..modern()
        };
        assert_eq!(missing(&between), ["tcx"]);
    }

    #[test]
    fn an_unknown_kernel_is_never_taken_for_good() {
        let unknown = Facts {
            release: String::new(),
            version: None,
            jit: None,
            receive_buffer_max: None,
            ..modern()
        };
        assert_eq!(missing(&unknown), ["tcx", "receive buffer", "sk_lookup"]);
    }

    #[test]
    fn every_missing_piece_says_what_it_costs() {
        let bare = Facts {
            release: "4.19.0".to_owned(),
            version: Some((4, 19)),
            bpffs: false,
            jit: Some(0),
            cap_bpf: false,
            cap_net_admin: false,
            cap_net_raw: false,
            given_ports: GivenPorts::of("1024 65535", ""),
            open_files: (1024, 1024),
            receive_buffer_max: Some(212_992),
            frame_interfaces: None,
        };
        let findings = Findings::from_facts(&bare, &PORTS);
        assert_eq!(findings.standing(), Standing::Missing);
        assert!(
            findings
                .findings
                .iter()
                .all(|finding| !finding.good && !finding.cost.is_empty())
        );
        let text = findings.to_string();
        assert!(
            text.contains("systemd: AmbientCapabilities=CAP_NET_ADMIN"),
            "{text}"
        );
    }

    #[test]
    fn unlimited_descriptors_do_not_overflow() {
        let facts = Facts {
            open_files: (u64::MAX, u64::MAX),
            ..modern()
        };
        assert_eq!(missing(&facts), Vec::<&str>::new());
    }
}
