//! What is in the kernel, for people: read from the pins, whether the relay lives or not.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use aya::maps::MapError;
use serde::Serialize;

use crate::flow::{Flow, tag};
use crate::instance::{Folder, Instance};
use crate::netlink::Netlink;
use crate::tables::{Entry, Tables, age};

/// Why an instance cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It has no pins that can be read: it does not exist, or it is of another release.
    #[error("there is no instance `{0}` whose tables can be read: {1}")]
    Instance(Instance, MapError),
    /// Its folder cannot be read.
    #[error("the pins of `{0}`: {1}")]
    Folder(Instance, io::Error),
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub instance: String,
    /// The interfaces that its program is attached to; a number where the interface is not known here.
    pub interfaces: Vec<String>,
    /// Whether a relay has it open.
    pub is_held: bool,
    /// Milliseconds since the relay's last sign of life; none: there never was one.
    pub heartbeat_age_ms: Option<u64>,
    /// Milliseconds after which nothing is forwarded without a sign of life.
    pub patience_ms: Option<u64>,
    /// Flows.
    pub flows: usize,
    /// RTP packets of these flows.
    pub rtp_packets: u64,
    /// Octets of RTP of these flows.
    pub rtp_octets: u64,
    /// Packets of flows that went up to user space, by reason, where there were any.
    pub ups: Vec<UpCount>,
}

/// Packets that went up for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UpCount {
    /// The reason's name.
    pub reason: &'static str,
    /// How many.
    pub packets: u64,
}

impl Status {
    /// Reads that of one instance.
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn read(bpffs: &Path, instance: &Instance) -> Result<Self, StatusError> {
        let folder = Folder::of(bpffs, instance);
        let broken = |cause| StatusError::Instance(instance.clone(), cause);
        let in_folder = |cause| StatusError::Folder(instance.clone(), cause);
        let tables = Tables::pinned(&folder).map_err(broken)?;
        let entries = tables.entries().map_err(broken)?;
        let pulse = tables.pulse().map_err(broken)?;
        let ups = tables.ups().map_err(broken)?;
        let ups = ups.into_iter().filter(|(_, packets)| *packets > 0);
        let sum = |of: fn(&Entry) -> u64| entries.iter().map(of).sum();
        Ok(Self {
            instance: instance.to_string(),
            interfaces: names(&folder.links().map_err(in_folder)?),
            is_held: folder.lock().is_err(),
            heartbeat_age_ms: pulse.map(|(age, _)| age.as_millis() as u64),
            patience_ms: pulse.map(|(_, patience)| patience.as_millis() as u64),
            flows: entries.len(),
            rtp_packets: sum(|entry| entry.counters.rtp_packets),
            rtp_octets: sum(|entry| entry.counters.rtp_octets),
            ups: ups
                .map(|(up, packets)| UpCount {
                    reason: up.name(),
                    packets,
                })
                .collect(),
        })
    }

    /// The instances that there are.
    #[must_use]
    pub fn instances(bpffs: &Path) -> Vec<Instance> {
        Folder::instances(bpffs)
    }

    /// Whether packets are forwarded: somebody says so often enough.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let age = self.heartbeat_age_ms.zip(self.patience_ms);
        age.is_some_and(|(age, patience)| age <= patience)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = if self.is_held {
            "a relay has it open"
        } else {
            "no relay has it open"
        };
        writeln!(f, "{}: {held}", self.instance)?;
        writeln!(f, "  attached to  {}", words(&self.interfaces))?;
        match (self.heartbeat_age_ms, self.is_alive()) {
            (Some(age), true) => writeln!(f, "  heartbeat    {} ago", seconds(age))?,
            (Some(age), false) => writeln!(f, "  heartbeat    {} ago: nothing is forwarded", seconds(age))?,
            (None, _) => writeln!(f, "  heartbeat    never: nothing is forwarded")?,
        }
        writeln!(
            f,
            "  flows        {}, with {} RTP packets of {} octets",
            self.flows, self.rtp_packets, self.rtp_octets
        )?;
        for up in &self.ups {
            writeln!(f, "  went up      {:8} {}", up.packets, up.reason)?;
        }
        Ok(())
    }
}

/// What of the kernel's flows is of one call, or of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    lines: Vec<String>,
}

impl Explanation {
    /// Looks for the flows of a call, by its Call-ID, or those that come from or go to an address, with or without port.
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn of(bpffs: &Path, instance: &Instance, what: &str) -> Result<Self, StatusError> {
        let status = Status::read(bpffs, instance)?;
        let tables = Tables::pinned(&Folder::of(bpffs, instance));
        let entries = tables.and_then(|tables| tables.entries());
        let entries = entries.map_err(|cause| StatusError::Instance(instance.clone(), cause))?;
        let mut found: Vec<&Entry> = entries.iter().filter(|entry| is_of(&entry.flow, what)).collect();
        found.sort_by_key(|entry| entry.flow.key);
        let mut lines: Vec<String> = found.into_iter().map(|entry| line(entry, &status)).collect();
        if lines.is_empty() {
            lines.push(format!(
                "No flow of {what} is in the kernel: the relay forwards it, if it knows it."
            ));
        }
        Ok(Self { lines })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn is_of(flow: &Flow, what: &str) -> bool {
    let ends = [flow.key.peer, flow.key.local, flow.source, flow.destination];
    if let Ok(address) = what.parse::<SocketAddr>() {
        return ends.contains(&address);
    }
    if let Ok(ip) = what.parse::<IpAddr>() {
        return ends.iter().any(|end| end.ip() == ip);
    }
    flow.tag == tag(what)
}

fn line(entry: &Entry, status: &Status) -> String {
    let Entry { flow, counters, .. } = entry;
    let head = format!("{} leaves as {} -> {}", flow.key, flow.source, flow.destination);
    if !status.is_alive() {
        return format!("{head}: not forwarded, since the relay shows no life");
    }
    let Some(last) = counters.last_packet else {
        return format!("{head}: forwarded by the kernel, no packet yet");
    };
    let age = age(last);
    let lost = counters.expected.saturating_sub(counters.rtp_packets);
    format!(
        "{head}: forwarded by the kernel, {} RTP packets of {} octets, {lost} missing, the last {} ago",
        counters.rtp_packets,
        counters.rtp_octets,
        seconds(age.as_millis() as u64)
    )
}

fn names(interfaces: &[u32]) -> Vec<String> {
    let links = Netlink::open().and_then(|mut netlink| netlink.links());
    let links = links.unwrap_or_default();
    let name = |ifindex: &u32| {
        let link = links.get(ifindex);
        link.map_or_else(|| ifindex.to_string(), |link| link.name.clone())
    };
    interfaces.iter().map(name).collect()
}

fn words(words: &[String]) -> String {
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(" ")
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let [peer, local, source, destination] = [
            "198.51.100.7:4000",
            "192.0.2.1:30000",
            "192.0.2.1:30002",
            "203.0.113.9:5000",
        ]
        .map(|text| text.parse().unwrap());
        Flow {
            key: crate::Key { local, peer },
            source,
            destination,
            tos: 0,
            rtcp: false,
            payload_types: 0,
            tag: tag("a84b4c76e66710@pc33"),
        }
    }

    #[test]
    fn a_flow_is_found_by_its_call_and_by_its_addresses() {
        for what in [
            "a84b4c76e66710@pc33",
            "203.0.113.9",
            "203.0.113.9:5000",
            "192.0.2.1:30000",
        ] {
            assert!(is_of(&flow(), what), "{what}");
        }
        for what in ["a84b4c76e66710", "203.0.113.8", "203.0.113.9:5001", ""] {
            assert!(!is_of(&flow(), what), "{what}");
        }
    }

    #[test]
    fn a_relay_that_shows_no_life_is_said_to_forward_nothing() {
        let mut status = Status {
            instance: "default".to_owned(),
            interfaces: vec!["eth0".to_owned(), "lo".to_owned()],
            is_held: true,
            heartbeat_age_ms: Some(100),
            patience_ms: Some(5000),
            flows: 2,
            rtp_packets: 100,
            rtp_octets: 17_200,
            ups: Vec::new(),
        };
        assert!(status.to_string().contains("0.1 s ago\n"), "{status}");
        assert!(status.to_string().contains("eth0 lo"), "{status}");
        for age in [Some(5001), None] {
            status.heartbeat_age_ms = age;
            assert!(status.to_string().contains("nothing is forwarded"), "{status}");
        }
    }
}
