//! How each program is started: configured for the same work, and otherwise as it comes.

mod kamailio;
mod relays;
mod viaduct;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::daemon::Launch;
use crate::drive::ADDRESS;

/// Where proxies listen for SIP.
pub const SIP_PORT: u16 = 5_060;

/// Where relays listen for NG.
pub const NG_PORT: u16 = 2_223;

/// The ports that relays give to calls.
const MEDIA_PORTS: [u16; 2] = [20_000, 29_999];

/// Places that the benchmarks are given.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder with our programs.
    pub programs: PathBuf,
    /// A folder on a disk, for configurations, stores and logs.
    pub work: PathBuf,
    /// A folder in memory, if there is one.
    pub memory: Option<PathBuf>,
}

/// What is measured as a SIP proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyPeer {
    /// `viaduct`, as a user gets it.
    Viaduct,
    /// `viaduct` with its store in memory: what is missing to the above is what the disk costs.
    ViaductInMemory,
    /// Kamailio.
    Kamailio,
}

/// What is measured as a media relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelayPeer {
    /// `viaduct-relay`.
    Viaduct,
    /// rtpengine, without its kernel module.
    Rtpengine,
}

impl ProxyPeer {
    /// How it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viaduct => "viaduct",
            Self::ViaductInMemory => "viaduct-in-memory",
            Self::Kamailio => "kamailio",
        }
    }

    /// Writes its configuration for so many users into `folder`, which is empty.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(self, places: &Places, folder: &Path, users: usize) -> anyhow::Result<Launch> {
        match self {
            Self::Viaduct => viaduct::prepare(self.name(), places, folder, &folder.join("state"), users),
            Self::ViaductInMemory => {
                let state = self.state_in_memory(places).context("no folder in memory")?;
                viaduct::prepare(self.name(), places, folder, &state, users)
            }
            Self::Kamailio => kamailio::prepare(self.name(), folder, users),
        }
    }

    /// What it keeps outside of its folder.
    #[must_use]
    pub fn state_in_memory(self, places: &Places) -> Option<PathBuf> {
        let memory = places.memory.as_ref().filter(|_| self == Self::ViaductInMemory);
        memory.map(|memory| memory.join("state"))
    }
}

impl RelayPeer {
    /// How it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viaduct => "viaduct-relay",
            Self::Rtpengine => "rtpengine",
        }
    }

    /// How it is started.
    #[must_use]
    pub fn prepare(self, places: &Places) -> Launch {
        let (program, args) = match self {
            Self::Viaduct => (places.programs.join("viaduct-relay"), relays::viaduct_args()),
            Self::Rtpengine => ("rtpengine".into(), relays::rtpengine_args()),
        };
        Launch {
            name: self.name().to_owned(),
            program,
            args,
        }
    }
}

/// Where proxies listen.
#[must_use]
pub fn sip_address() -> SocketAddr {
    (ADDRESS, SIP_PORT).into()
}

/// Where relays listen for commands.
#[must_use]
pub fn ng_address() -> SocketAddr {
    (ADDRESS, NG_PORT).into()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
