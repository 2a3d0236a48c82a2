//! What the facts mean: one finding per piece that a fast path needs, with what its absence costs.

use std::fmt;

use serde::Serialize;

use crate::facts::Facts;

/// Kernel that first has `tcx` (attach at TC without a qdisc, removed with its owner).
const TCX_SINCE: (u32, u32) = (6, 6);
/// Sockets that a call between two plain legs needs when every port has its own: RTP and RTCP on both legs.
const SOCKETS_PER_CALL: u64 = 4;
/// Descriptors that a relay needs besides media ports.
const OTHER_DESCRIPTORS: u64 = 256;

/// Whether everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is missing.
    Ready,
    /// At least one finding is not good.
    Missing,
}

/// One piece, whether it is there, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Short name, stable for scripts.
    pub name: &'static str,
    /// Whether the piece is there.
    pub good: bool,
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
    /// Judges facts.
    #[must_use]
    pub fn from_facts(facts: &Facts) -> Self {
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
            finding(
                "bpffs",
                facts.bpffs,
                "BPF file system",
                "there is no kernel path; mount it with: mount -t bpf bpf /sys/fs/bpf",
            ),
            descriptors(facts),
            receive_buffer(facts),
        ];
        let standing = if findings.iter().all(|finding| finding.good) {
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
            writeln!(
                f,
                "  {:7} {:14} {}",
                if finding.good { "ok" } else { "missing" },
                finding.name,
                finding.seen
            )?;
            if !finding.good {
                writeln!(f, "          {:14} {}", "", finding.cost)?;
            }
        }
        writeln!(
            f,
            "Calls do not depend on anything above: what the kernel does not forward, the relay does."
        )
    }
}

fn finding(name: &'static str, good: bool, what: &str, cost: &str) -> Finding {
    let seen = if good {
        format!("{what} is there")
    } else {
        format!("{what} is not there")
    };
    Finding {
        name,
        good,
        seen,
        cost: if good { String::new() } else { cost.to_owned() },
    }
}

fn at_least(name: &'static str, facts: &Facts, since: (u32, u32), cost: &str) -> Finding {
    let good = facts.version.is_some_and(|version| version >= since);
    let seen = format!(
        "needs Linux {}.{} or newer, this is {}",
        since.0, since.1, facts.release
    );
    Finding {
        name,
        good,
        seen,
        cost: if good { String::new() } else { cost.to_owned() },
    }
}

fn capability(name: &'static str, good: bool) -> Finding {
    let cost =
        format!("start the relay as root, or give it the capability (systemd: AmbientCapabilities={name})");
    Finding {
        name,
        good,
        seen: if good {
            "this process has it".to_owned()
        } else {
            "this process lacks it".to_owned()
        },
        cost: if good { String::new() } else { cost },
    }
}

fn jit(facts: &Facts) -> Finding {
    let good = facts.jit != Some(0);
    let seen = match facts.jit {
        Some(mode) => format!("net.core.bpf_jit_enable = {mode}"),
        // Containers do not see the switch: it is the host's, where every distribution has it on.
        None => "net.core.bpf_jit_enable is not shown here: that of the host counts".to_owned(),
    };
    let cost = "programs would be interpreted, several times slower; sysctl -w net.core.bpf_jit_enable=1";
    Finding {
        name: "jit",
        good,
        seen,
        cost: if good { String::new() } else { cost.to_owned() },
    }
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
    Finding {
        name: "open files",
        good,
        seen: format!(
            "limit {} (hard {}): about {} plain calls",
            limit(soft),
            limit(hard),
            limit(calls)
        ),
        cost: if good {
            String::new()
        } else {
            "raise it (systemd: LimitNOFILE=65536)".to_owned()
        },
    }
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
    Finding {
        name: "receive buffer",
        good,
        seen,
        cost: if good { String::new() } else { cost.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern() -> Facts {
        Facts {
            release: "6.12.0".to_owned(),
            version: Some((6, 12)),
            bpffs: true,
            jit: Some(1),
            cap_bpf: true,
            cap_net_admin: true,
            open_files: (1024, 65_536),
            receive_buffer_max: Some(4 << 20),
        }
    }

    fn missing(facts: &Facts) -> Vec<&'static str> {
        let findings = Findings::from_facts(facts);
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
        assert_eq!(Findings::from_facts(&modern()).standing(), Standing::Ready);
    }

    #[test]
    fn an_old_kernel_lacks_what_came_later() {
        let old = Facts {
            release: "5.8.1".to_owned(),
            version: Some((5, 8)),
            ..modern()
        };
        assert_eq!(missing(&old), ["tcx"]);
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
        assert_eq!(missing(&unknown), ["tcx", "receive buffer"]);
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
            open_files: (1024, 1024),
            receive_buffer_max: Some(212_992),
        };
        let findings = Findings::from_facts(&bare);
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
