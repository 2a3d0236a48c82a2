//! Many local ports that a few sockets hear: what a relay needs so that a port costs it no descriptor.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use aya::maps::{HashMap, Map, MapData, MapError, ProgramArray, SockMap, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{SkLookup, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::errno::Errno;
use thiserror::Error;

use crate::abi::{ANYBODY, NOBODY, PORTS_EACH, RawAddress, RawHearer, RawInterface};
use crate::facts::Capabilities;
use crate::fast::{Fast, Refused, causes};
use crate::frames::{FrameCount, FrameSocket};
use crate::netlink::{Link, Netlink};
use crate::object::{FRAMES as FRAMES_PROGRAM, STEER, program, steer_object};
use crate::shared_words::PortTable;
use crate::tables::unless_gone;
use crate::undisturbed::{self, Undisturbed};

const ADDRESSES: &str = "ADDRESSES";
const PORTS: &str = "PORTS";
const SOCKETS: &str = "SOCKETS";
const INTERFACES: &str = "INTERFACES";
const FRAMES: &str = "FRAMES";
const FORWARDER: &str = "FORWARDER";

/// Queues of an interface whose frames are taken; those that come by others take their way through the kernel.
const QUEUES_MAX: u32 = 64;

/// Hands what comes to ports that nobody is bound to, to sockets that are bound elsewhere, in the network namespace where it was
/// opened.
///
/// Nothing is pinned: it ends when it is dropped, or with its process. Sockets that other programs have bound to ports that are
/// steered here hear nothing but what comes from peers that they are connected to.
pub struct Steering {
    /// Where the ports of each address begin.
    begins: HashMap<MapData, RawAddress, u32>,
    /// The addresses by their places.
    addresses: Vec<IpAddr>,
    addresses_max: u32,
    ports: PortTable,
    /// Where the kernel tells of the attachment.
    link: LinkFacts,
    interfaces: HashMap<MapData, u32, RawInterface>,
    /// Sockets for frames.
    frames: XskMap<MapData>,
    /// What forwards the frames of flows.
    forwarder: ProgramArray<MapData>,
    /// Places that are taken among the sockets for frames.
    frames_taken: u32,
    /// Attachments to interfaces.
    attached: Vec<FdLink>,
    /// Holds the programs.
    ebpf: Ebpf,
    _sockets: SockMap<MapData>,
}

/// Who hears a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hearer {
    /// The socket, by its place.
    pub socket: u32,
    /// The worker that is handed the frames, where interfaces hand them on. `None`: frames take their way through the kernel, as far
    /// as the socket, or to where the kernel forwards them.
    pub worker: Option<u32>,
}

/// Why a port is not steered.
#[derive(Debug, Error)]
pub enum SteerError {
    /// Ports of as many addresses are steered as there is room for.
    #[error("there is room for the ports of {0} addresses, and they are taken")]
    Addresses(u32),
    /// The kernel does not take the address.
    #[error(transparent)]
    Kernel(#[from] MapError),
}

/// The socket of a worker at one queue of an interface.
#[derive(Debug)]
pub struct FramesAt {
    /// The interface.
    pub ifindex: u32,
    /// The socket.
    pub socket: FrameSocket,
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steering").finish_non_exhaustive()
    }
}

impl Steering {
    /// Loads the program and attaches it to the network namespace of this thread. There is room for the ports of so many addresses,
    /// with half a mebibyte of the kernel's memory for each; the sockets are named by their places.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(addresses_max: u32, sockets: &[BorrowedFd<'_>]) -> Result<Self, Refused> {
        if cfg!(target_endian = "big") {
            return Err(Refused::Endian);
        }
        Capabilities::effective().allow()?;
        // Features are tried with programs, too.
        let _undisturbed = Undisturbed::begin();
        let load = |cause: &dyn std::error::Error| Refused::Load(causes(cause));
        let mut loader = EbpfLoader::new();
        // The program needs none of the kernel's type information, and reading it takes long.
        loader.btf(None);
        let addresses_max = addresses_max.clamp(1, u32::MAX / PORTS_EACH);
        loader.map_max_entries(ADDRESSES, addresses_max);
        loader.map_max_entries(PORTS, addresses_max * PORTS_EACH);
        loader.map_max_entries(SOCKETS, u32::try_from(sockets.len()).unwrap_or(u32::MAX).max(1));
        let mut ebpf = loader.load(steer_object()).map_err(|cause| load(&cause))?;
        let mut take = |name| {
            let map = ebpf.take_map(name);
            map.ok_or_else(|| Refused::Load(format!("the object lacks {name}")))
        };
        let begins = HashMap::try_from(take(ADDRESSES)?).map_err(|cause| load(&cause))?;
        let Map::Array(ports) = take(PORTS)? else {
            return Err(Refused::Load(format!("{PORTS} of the object is no array")));
        };
        let ports = PortTable::new(ports, addresses_max).map_err(|cause| load(&cause))?;
        let interfaces = HashMap::try_from(take(INTERFACES)?).map_err(|cause| load(&cause))?;
        let frames = XskMap::try_from(take(FRAMES)?).map_err(|cause| load(&cause))?;
        let forwarder = ProgramArray::try_from(take(FORWARDER)?).map_err(|cause| load(&cause))?;
        let mut table = SockMap::try_from(take(SOCKETS)?).map_err(|cause| load(&cause))?;
        for (at, socket) in (0..).zip(sockets) {
            table.set(at, socket, 0).map_err(|cause| load(&cause))?;
        }
        let program: &mut SkLookup = program(&mut ebpf, STEER)?;
        undisturbed::load(|| program.load()).map_err(|cause| load(&cause))?;
        let link = attach(program).map_err(|cause| Refused::Attach {
            interface: "the network namespace".to_owned(),
            cause: causes(&*cause),
        })?;
        Ok(Self {
            begins,
            addresses: Vec::new(),
            addresses_max,
            ports,
            link,
            interfaces,
            frames,
            forwarder,
            frames_taken: 0,
            attached: Vec::new(),
            ebpf,
            _sockets: table,
        })
    }

    /// Lets an interface hand frames for ports to so many workers before the kernel makes packets of them. Gives each worker's
    /// sockets, one for each queue of the interface.
    ///
    /// # Errors
    /// [`Refused`]; then frames take their way through the kernel, as before. Only drivers that have XDP of their own will do.
    pub fn hand_on(
        &mut self,
        interface: &str,
        workers: usize,
        count: FrameCount,
    ) -> Result<Vec<Vec<FramesAt>>, Refused> {
        let link = find(interface)?;
        let Some(address) = link.address.filter(|_| link.is_up && link.has_ethernet) else {
            return Err(Refused::NoInterface(interface.to_owned()));
        };
        let refused = |cause: &dyn std::error::Error| Refused::Attach {
            interface: interface.to_owned(),
            cause: causes(cause),
        };
        let failed = |cause| Refused::Frames {
            interface: interface.to_owned(),
            cause,
        };
        let program: &mut Xdp = program(&mut self.ebpf, FRAMES_PROGRAM)?;
        if program.fd().is_err() {
            undisturbed::load(|| program.load()).map_err(|cause| Refused::Load(causes(&cause)))?;
        }
        let attached = program.attach_to_if_index(link.ifindex, XdpMode::Driver);
        let attached = attached.and_then(|id| program.take_link(id));
        let attached = attached.map_err(|cause| refused(&cause))?;
        // Undone with our process, unlike the older way.
        let attached = FdLink::try_from(attached).map_err(|cause| refused(&cause))?;
        let mut of_workers: Vec<Vec<FramesAt>> = (0..workers).map(|_| Vec::new()).collect();
        let mut at = self.frames_taken;
        let mut queues = 0;
        while queues < QUEUES_MAX {
            if (self.frames.len().saturating_sub(at) as usize) < workers {
                return Err(failed(io::Error::other("too many queues and workers")));
            }
            let sockets = match FrameSocket::open(link.ifindex, queues, workers, count) {
                Err(error) if queues > 0 && error.raw_os_error() == Some(Errno::EINVAL as i32) => break,
                sockets => sockets.map_err(failed)?,
            };
            for (socket, of_worker) in sockets.into_iter().zip(&mut of_workers) {
                let put = self.frames.set(at, socket.raw(), 0);
                put.map_err(|cause| Refused::Load(causes(&cause)))?;
                at += 1;
                of_worker.push(FramesAt {
                    ifindex: link.ifindex,
                    socket,
                });
            }
            queues += 1;
        }
        let interface = RawInterface {
            first: self.frames_taken,
            queues,
            workers: u32::try_from(workers).unwrap_or(u32::MAX),
            address,
            unused: [0; 2],
        };
        let put = self.interfaces.insert(link.ifindex, interface, 0);
        put.map_err(|cause| Refused::Load(causes(&cause)))?;
        self.frames_taken = at;
        self.attached.push(attached);
        Ok(of_workers)
    }

    /// Lets interfaces that hand frames on hand those for ports without a worker to the kernel path, which forwards them before they
    /// become packets, as far as it has their flows.
    ///
    /// # Errors
    /// [`Refused`]; then they are forwarded as packets.
    pub fn forward_frames(&mut self, fast: &mut Fast) -> Result<(), Refused> {
        let program = fast.forward_frames()?;
        let put = self.forwarder.set(0, program, 0);
        put.map_err(|cause| Refused::Load(causes(&cause)))
    }

    /// Ends what [`forward_frames`](Self::forward_frames) began.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn end_forwarding(&mut self) -> Result<(), MapError> {
        unless_gone(self.forwarder.clear_index(&0))
    }

    /// Lets what comes to a port be heard by somebody, whatever was said of the port before.
    ///
    /// # Errors
    /// There is no room for another address, or the kernel does not take it.
    pub fn steer(&mut self, local: SocketAddr, hearer: Hearer) -> Result<(), SteerError> {
        let hearer = RawHearer {
            socket: hearer.socket.saturating_add(1),
            worker: hearer.worker.map_or(NOBODY, |worker| worker.saturating_add(1)),
        };
        self.set(local, hearer)
    }

    /// Spreads the frames for a port over all workers, each peer's always to the same one. What takes its way through the kernel
    /// is heard by who is bound to the port.
    ///
    /// # Errors
    /// The same.
    pub fn spread(&mut self, local: SocketAddr) -> Result<(), SteerError> {
        let hearer = RawHearer {
            socket: NOBODY,
            worker: ANYBODY,
        };
        self.set(local, hearer)
    }

    /// Leaves a port to whoever is bound to it.
    pub fn release(&mut self, local: SocketAddr) {
        if let Some(place) = self.place(local.ip()) {
            self.ports.set(place, local.port(), RawHearer::NONE);
        }
    }

    fn set(&mut self, local: SocketAddr, hearer: RawHearer) -> Result<(), SteerError> {
        let place = match self.place(local.ip()) {
            Some(place) => place,
            None => self.add(local.ip())?,
        };
        self.ports.set(place, local.port(), hearer);
        Ok(())
    }

    /// The place of an address.
    fn place(&self, address: IpAddr) -> Option<u32> {
        (0..)
            .zip(&self.addresses)
            .find_map(|(place, known)| (*known == address).then_some(place))
    }

    /// Gives an address a place.
    fn add(&mut self, address: IpAddr) -> Result<u32, SteerError> {
        let place = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        if place >= self.addresses_max {
            return Err(SteerError::Addresses(self.addresses_max));
        }
        self.begins
            .insert(RawAddress::from(address), place * PORTS_EACH, 0)?;
        self.addresses.push(address);
        Ok(place)
    }

    /// Whether datagrams still pass the program: nobody has detached it.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.link.is_attached()
    }
}

fn find(interface: &str) -> Result<Link, Refused> {
    let links = Netlink::open().and_then(|mut netlink| netlink.links());
    let links = links.map_err(Refused::Netlink)?;
    let mut links = links.into_values();
    let found = links.find(|link| link.name == interface);
    found.ok_or_else(|| Refused::NoInterface(interface.to_owned()))
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
    fn an_address_and_who_hears_a_port_are_as_the_program_has_them() {
        let address = RawAddress::from(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(&address.address[..5], [192, 0, 2, 7, 0]);
        assert_eq!(address.family, 2);
        let address = RawAddress::from("2001:db8::7".parse::<IpAddr>().unwrap());
        assert_eq!(
            (address.address[0], address.address[15], address.family),
            (0x20, 7, 10)
        );
        let hearer = RawHearer {
            socket: 1,
            worker: ANYBODY,
        };
        assert_eq!(hearer.bits().to_le_bytes(), [1, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(RawHearer::NONE.bits(), 0);
    }

    #[test]
    fn an_attachment_that_was_undone_is_told_from_one_that_holds() {
        let holds = "pos:\t0\nlink_type:\tnetns\nlink_id:\t7\nprog_id:\t9\nnetns_ino:\t4026531840\nattach_type:\t36\n";
        assert!(is_attached(holds, "link_id:\t7"));
        assert!(!is_attached(holds, "link_id:\t8"), "the descriptor is another's");
        assert!(!is_attached(&holds.replace("4026531840", "0"), "link_id:\t7"));
    }
}
