//! How each program is started: configured for the same work, and otherwise as it comes.

mod kamailio;
mod relays;
mod viaduct;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit};

use crate::daemon::Launch;
use crate::drive::ADDRESS;
use crate::results::Work;

/// Where proxies listen for SIP.
pub const SIP_PORT: u16 = 5_060;

/// Where relays listen for NG.
pub const NG_PORT: u16 = 2_223;

/// Where our gateway listens for SIP over WebSocket, without TLS and with it.
pub const WEB_PORTS: [u16; 2] = [8_080, 8_443];

/// Where our programs serve their metrics, where they are asked for.
pub const METRICS_PORT: u16 = 9_100;

/// The ports that relays give to calls: enough for 5,000, and none that the kernel gives to anybody by itself.
const MEDIA_PORTS: [u16; 2] = [10_000, 31_999];

/// Descriptors that rtpengine has open for a call: for each of two phones one port for RTP and one for RTCP.
const RTPENGINE_DESCRIPTORS: u64 = 4;

/// Descriptors that it has open for other things.
const OTHER_DESCRIPTORS: u64 = 500;

/// Places that the benchmarks are given.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder with our programs.
    pub programs: PathBuf,
    /// A folder on a disk, for configurations, stores and logs.
    pub work: PathBuf,
}

/// What is measured as a SIP proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyPeer {
    /// `viaduct` with registrations in memory only, as Kamailio keeps them here.
    Viaduct,
    /// `viaduct` as a user gets it, with registrations on disk.
    ViaductOnDisk,
    /// Kamailio as Debian's unit starts it: with its default allocator.
    Kamailio,
    /// Kamailio with the fastest of its allocators, which somebody must know to ask for.
    KamailioTuned,
}

/// How phones prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Their address is enough.
    Address,
    /// Digest, MD5.
    Digest,
}

/// What a proxy is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// How phones prove who they are.
    pub proof: Proof,
    /// T1 of RFC 3261 where it is not that of the RFC; our gateway's only.
    pub t1: Option<Duration>,
}

impl From<Proof> for Setup {
    fn from(proof: Proof) -> Self {
        Self { proof, t1: None }
    }
}

/// What a relay is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaySetup {
    /// Its address for media.
    pub media: Ipv4Addr,
    /// Whether the kernel may forward; our relay's only.
    pub in_kernel: bool,
    /// Whether the interfaces of a street hand it frames; our relay's only.
    pub frames: bool,
}

impl RelaySetup {
    /// Everything by its own threads, on this machine.
    pub const USER_SPACE: Self = Self {
        media: ADDRESS,
        in_kernel: false,
        frames: false,
    };
}

/// What is measured as a media relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelayPeer {
    /// `viaduct-relay`, its ports steered where the kernel and our capabilities allow it.
    Viaduct,
    /// The same with a socket for each port, as without capabilities.
    ViaductSockets,
    /// rtpengine, without its kernel module.
    Rtpengine,
}

impl ProxyPeer {
    /// How it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viaduct => "viaduct",
            Self::ViaductOnDisk => "viaduct-on-disk",
            Self::Kamailio => "kamailio",
            Self::KamailioTuned => "kamailio-tuned",
        }
    }

    /// True for a program that may not be installed.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Kamailio | Self::KamailioTuned)
    }

    /// True when this is worth measuring with it: what the disk costs shows in registrations only.
    #[must_use]
    pub fn does(self, work: Work) -> bool {
        match self {
            Self::Viaduct => true,
            // What is measured there are figures of our own: Kamailio takes all memory that it will have at its start.
            Self::Kamailio | Self::KamailioTuned => {
                !matches!(work, Work::Memory | Work::Wss | Work::Instructions)
            }
            Self::ViaductOnDisk => work == Work::RegisterDigest,
        }
    }

    /// Writes its configuration for so many users into `folder`, which is empty.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(
        self,
        places: &Places,
        folder: &Path,
        users: usize,
        setup: Setup,
    ) -> anyhow::Result<Launch> {
        let name = self.name();
        match self {
            Self::Viaduct => viaduct::prepare(name, places, folder, users, (setup, "memory")),
            Self::ViaductOnDisk => viaduct::prepare(name, places, folder, users, (setup, "disk")),
            Self::Kamailio => kamailio::prepare(name, folder, users, (setup.proof, &[])),
            Self::KamailioTuned => {
                kamailio::prepare(name, folder, users, (setup.proof, &kamailio::FAST_ALLOCATOR))
            }
        }
    }
}

impl RelayPeer {
    /// How it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viaduct => "viaduct-relay",
            Self::ViaductSockets => "sockets",
            Self::Rtpengine => "rtpengine",
        }
    }

    /// True when this is worth measuring with it: what it has to itself shows where media are not the kernel's, and there are
    /// no more calls than it can have descriptors for.
    ///
    /// # Errors
    /// The limit of descriptors is not to be had.
    pub fn does(self, work: Work, calls: usize) -> anyhow::Result<bool> {
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let room = descriptors.saturating_sub(OTHER_DESCRIPTORS) / RTPENGINE_DESCRIPTORS;
        let has_room = calls as u64 <= room;
        Ok(match self {
            Self::Viaduct => true,
            Self::ViaductSockets => matches!(work, Work::Plain | Work::MediaRate) && has_room,
            Self::Rtpengine => has_room,
        })
    }

    /// How it is started. What it reads is written into `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(self, places: &Places, folder: &Path, setup: RelaySetup) -> anyhow::Result<Launch> {
        let ours = |steering| relays::viaduct_args(folder, setup, steering);
        let (program, args) = match self {
            Self::Viaduct => (places.programs.join("viaduct-relay"), ours("auto")?),
            Self::ViaductSockets => (places.programs.join("viaduct-relay"), ours("off")?),
            Self::Rtpengine => ("rtpengine".into(), relays::rtpengine_args(setup)),
        };
        Ok(Launch {
            name: self.name().to_owned(),
            program,
            args,
        })
    }
}

/// Where proxies listen.
#[must_use]
pub fn sip_address() -> SocketAddr {
    (ADDRESS, SIP_PORT).into()
}

/// Where our programs serve their metrics.
#[must_use]
pub fn metrics_address() -> SocketAddr {
    (ADDRESS, METRICS_PORT).into()
}

/// Where relays listen for commands.
#[must_use]
pub fn ng_address() -> SocketAddr {
    (ADDRESS, NG_PORT).into()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
