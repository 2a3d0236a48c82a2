//! Many local ports that a few sockets hear: what a relay needs so that a port costs it no descriptor.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use aya::maps::{HashMap, MapData, MapError, SockMap};
use aya::programs::SkLookup;
use aya::programs::links::FdLink;
use aya::{Ebpf, EbpfLoader};

use crate::abi::RawPort;
use crate::facts::Facts;
use crate::fast::{Refused, causes};
use crate::object::{STEER, steer_object};
use crate::tables::unless_gone;

const PORTS: &str = "PORTS";
const SOCKETS: &str = "SOCKETS";

/// Hands what comes to ports that nobody is bound to, to sockets that are bound elsewhere, in the network namespace where it was
/// opened.
///
/// Nothing is pinned: it ends when it is dropped, or with its process. Sockets that other programs have bound to ports that are
/// steered here hear nothing but what comes from peers that they are connected to.
pub struct Steering {
    ports: HashMap<MapData, RawPort, u32>,
    /// Where the kernel tells of the attachment.
    link: LinkFacts,
    /// Holds the program, the sockets' table and the attachment.
    _ebpf: Ebpf,
    _sockets: SockMap<MapData>,
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steering").finish_non_exhaustive()
    }
}

impl Steering {
    /// Loads the program and attaches it to the network namespace of this thread. There is room for so many ports; the sockets
    /// are named by their places.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(ports_max: u32, sockets: &[BorrowedFd<'_>]) -> Result<Self, Refused> {
        if cfg!(target_endian = "big") {
            return Err(Refused::Endian);
        }
        Facts::gather().allow()?;
        let load = |cause: &dyn std::error::Error| Refused::Load(causes(cause));
        let mut loader = EbpfLoader::new();
        // The program needs none of the kernel's type information, and reading it takes long.
        loader.btf(None);
        loader.map_max_entries(PORTS, ports_max.max(1));
        loader.map_max_entries(SOCKETS, u32::try_from(sockets.len()).unwrap_or(u32::MAX).max(1));
        let mut ebpf = loader.load(steer_object()).map_err(|cause| load(&cause))?;
        let mut take = |name| {
            let map = ebpf.take_map(name);
            map.ok_or_else(|| Refused::Load(format!("the object lacks {name}")))
        };
        let ports = HashMap::try_from(take(PORTS)?).map_err(|cause| load(&cause))?;
        let mut table = SockMap::try_from(take(SOCKETS)?).map_err(|cause| load(&cause))?;
        for (at, socket) in (0..).zip(sockets) {
            table.set(at, socket, 0).map_err(|cause| load(&cause))?;
        }
        let program = ebpf.program_mut(STEER);
        let program = program.and_then(|program| <&mut SkLookup>::try_from(program).ok());
        let program = program.ok_or_else(|| Refused::Load(format!("the object lacks {STEER}")))?;
        program.load().map_err(|cause| load(&cause))?;
        let link = attach(program).map_err(|cause| Refused::Attach {
            interface: "the network namespace".to_owned(),
            cause: causes(&*cause),
        })?;
        Ok(Self {
            ports,
            link,
            _ebpf: ebpf,
            _sockets: table,
        })
    }

    /// Lets what comes to a port be heard by the socket at this place, whatever was said of the port before.
    ///
    /// # Errors
    /// What the kernel says: there is no room, or the privilege is lost.
    pub fn steer(&mut self, local: SocketAddr, socket: u32) -> Result<(), MapError> {
        self.ports.insert(RawPort::from(local), socket, 0)
    }

    /// Leaves a port to whoever is bound to it.
    ///
    /// # Errors
    /// What the kernel says. That the port was not steered is no error.
    pub fn release(&mut self, local: SocketAddr) -> Result<(), MapError> {
        unless_gone(self.ports.remove(&RawPort::from(local)))
    }

    /// Whether datagrams still pass the program: nobody has detached it.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.link.is_attached()
    }
}

fn attach(program: &mut SkLookup) -> Result<LinkFacts, Box<dyn std::error::Error>> {
    let namespace = File::open("/proc/thread-self/ns/net")?;
    let id = program.attach(namespace)?;
    let link = FdLink::from(program.take_link(id)?);
    Ok(LinkFacts::of(link)?)
}

/// An attachment, and where the kernel tells of it. The loader gives neither its descriptor nor all that the kernel says.
struct LinkFacts {
    /// Stays open: a process that has no descriptors left must not take its ports for lost.
    told: File,
    line: String,
    _link: FdLink,
}

impl LinkFacts {
    fn of(link: FdLink) -> io::Result<Self> {
        let id = link.info().map_err(io::Error::other)?.id();
        let line = format!("link_id:\t{id}");
        for entry in fs::read_dir("/proc/self/fdinfo")? {
            // Other threads close descriptors meanwhile.
            let Ok(told) = File::open(entry?.path()) else {
                continue;
            };
            if reads(&told).is_some_and(|text| has_line(&text, &line)) {
                return Ok(Self {
                    told,
                    line,
                    _link: link,
                });
            }
        }
        Err(io::Error::other(
            "the attachment is not among the descriptors of this process",
        ))
    }

    fn is_attached(&self) -> bool {
        reads(&self.told).is_some_and(|text| is_attached(&text, &self.line))
    }
}

/// What the kernel tells now: such a file is written anew when it is read from its beginning.
fn reads(told: &File) -> Option<String> {
    /// More than it tells of any attachment.
    const LENGTH_MAX: usize = 1_024;
    let mut octets = [0; LENGTH_MAX];
    let length = told.read_at(&mut octets, 0).ok()?;
    String::from_utf8(octets[..length].to_vec()).ok()
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|of| of == line)
}

/// The kernel names namespace 0 for an attachment that was undone.
fn is_attached(text: &str, line: &str) -> bool {
    has_line(text, line) && !has_line(text, "netns_ino:\t0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_as_the_program_has_it() {
        let port = RawPort::from(SocketAddr::from(([192, 0, 2, 7], 30_000)));
        assert_eq!(&port.address[..5], [192, 0, 2, 7, 0]);
        assert_eq!((port.number, port.family), (30_000, 2));
        let port = RawPort::from("[2001:db8::7]:30000".parse::<SocketAddr>().unwrap());
        assert_eq!((port.address[0], port.address[15], port.family), (0x20, 7, 10));
    }

    #[test]
    fn an_attachment_that_was_undone_is_told_from_one_that_holds() {
        let holds = "pos:\t0\nlink_type:\tnetns\nlink_id:\t7\nprog_id:\t9\nnetns_ino:\t4026531840\nattach_type:\t36\n";
        assert!(is_attached(holds, "link_id:\t7"));
        assert!(!is_attached(holds, "link_id:\t8"), "the descriptor is another's");
        assert!(!is_attached(&holds.replace("4026531840", "0"), "link_id:\t7"));
    }
}
