//! The kernel path of one relay.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, ProgramFd, SchedClassifier, TcAttachType, Xdp};

use crate::facts::{Capabilities, is_bpffs};
use crate::flow::{Counters, Flow, Key, Route};
use crate::hops::{Hops, Neighbour};
use crate::instance::{Folder, Instance, Lock};
use crate::netlink::{Link, Netlink, RouteError};
use crate::object::{FORWARD, FORWARD_FRAMES, program};
use crate::slots::Slots;
use crate::tables::{LoadError, Passed, Tables};
use crate::undisturbed::{self, Undisturbed};
use crate::up::Up;

/// Where the BPF file system is mounted as a rule.
pub const BPFFS: &str = "/sys/fs/bpf";

/// What a kernel path is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its name among the relays of this host.
    pub instance: Instance,
    /// The names of the interfaces that media comes in by; none: all that are up, have Ethernet frames and are no ports of
    /// a bridge or bond.
    pub interfaces: Vec<String>,
    /// Where the BPF file system is mounted.
    pub bpffs: PathBuf,
    /// How much, and how long.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance: Instance::default(),
            interfaces: Vec::new(),
            bpffs: PathBuf::from(BPFFS),
            limits: Limits::default(),
        }
    }
}

/// How much, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows at a time; a call of two phones has two. Each takes about 350 octets of the kernel's memory, used or not.
    /// Default 16,384. A relay that finds tables of another size begins with empty ones.
    pub flows_max: u32,
    /// Time without [`Fast::heartbeat`] after which the kernel forwards nothing. Default 5 s.
    pub patience: Duration,
    /// Time that a place in the kernel's tables rests before it is another flow's. Default 1 s; a processor looks at one for
    /// less than a millisecond.
    pub rest: Duration,
    /// Routes are looked up again at least so often, and after every change that the kernel tells of. Default 60 s.
    pub route_age_max: Duration,
    /// Time between two rounds of looking up routes because something has changed. Default 1 s.
    pub route_age_min: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows_max: 16_384,
            patience: Duration::from_secs(5),
            rest: Duration::from_secs(1),
            route_age_max: Duration::from_secs(60),
            route_age_min: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// Places: those of flows, and room for as many as may rest when a quarter of the flows changes within [`rest`](Self::rest).
    fn slots(&self) -> u32 {
        self.flows_max
            .saturating_add(self.flows_max / 4)
            .saturating_add(64)
    }
}

/// Why there is no kernel path, or no steering of ports.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The capabilities that are asked for.
    #[error("this process lacks {0}")]
    Capability(&'static str),
    /// Nothing can be pinned.
    #[error("no BPF file system at {0}; mount it with: mount -t bpf bpf {0}")]
    NoBpffs(PathBuf),
    /// Another relay, or a command, has the instance.
    #[error("another process has the instance `{0}`; give each relay of a host a name of its own")]
    InUse(Instance),
    /// The folder of pins.
    #[error("{path}: {cause}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The kernel refuses the program or its tables.
    #[error("the kernel does not load the program: {0}")]
    Load(String),
    /// Interfaces cannot be listed.
    #[error("asking the kernel for its interfaces: {0}")]
    Netlink(io::Error),
    /// There is no interface of this name that is up and has Ethernet frames.
    #[error("no interface `{0}` that is up and has Ethernet frames")]
    NoInterface(String),
    /// There is no interface at all.
    #[error("no interface that is up and has Ethernet frames")]
    NoInterfaces,
    /// The program cannot be attached. Older kernels than Linux 6.6 have no tcx, those before 5.9 no sk_lookup.
    #[error("attaching to {interface}: {cause}")]
    Attach {
        /// Where.
        interface: String,
        /// What the loader says.
        cause: String,
    },
    /// The interface's frames cannot be had.
    #[error("sockets for frames at {interface}: {cause}{}", hint(cause))]
    Frames {
        /// Which.
        interface: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The program is compiled for little-endian machines.
    #[error("the program is for little-endian machines")]
    Endian,
}

/// What may help.
fn hint(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        // Memory that the kernel shares is locked.
        Some(nix::libc::ENOBUFS) => " (the limit of locked memory: LimitMEMLOCK=infinity, or CAP_IPC_LOCK)",
        Some(nix::libc::EBUSY) => " (another program has the queue)",
        _ => "",
    }
}

/// Why a flow stays in user space.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no place; see [`Limits::flows_max`].
    #[error("the kernel's table is full")]
    Full,
    /// Its receiver is not reached in a way that the kernel path can use.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Local and peer address, or source and destination, are of different families, or not of one host's kind: unspecified,
    /// multicast, link-local, port 0.
    #[error("no address that packets can have")]
    Address,
    /// The receiver is on this host and of the other family.
    #[error("a receiver on this host is reached in its own family only")]
    LocalFamily,
    /// The kernel refuses; the privilege may be lost.
    #[error("the kernel refuses: {0}")]
    Kernel(#[from] MapError),
}

/// The kernel path of one relay. Dropping it leaves everything as it is, for [`Limits::patience`] at least, so that the next
/// relay of the same name can go on; [`unload`] removes it.
pub struct Fast {
    tables: Tables,
    /// Where packets may go without the stack.
    hops: Hops,
    programs: Ebpf,
    slots: Slots,
    flows: HashMap<Key, Installed>,
    netlink: Netlink,
    /// Routes that were asked for since they last changed, by our address and the receiver's.
    routes: HashMap<(IpAddr, IpAddr), Route>,
    interfaces: Vec<Link>,
    limits: Limits,
    routes_looked_up: Instant,
    routes_changed: bool,
    refused_full: u64,
    folder: Folder,
    /// Held as long as this relay lives.
    _lock: Lock,
}

#[derive(Debug)]
struct Installed {
    slot: u32,
    flow: Flow,
    route: Route,
    /// Counted in places that the flow had before.
    before: Counters,
    /// By this relay, not by one before it.
    is_claimed: bool,
}

impl fmt::Debug for Fast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fast").finish_non_exhaustive()
    }
}

impl Fast {
    /// Loads and attaches, or takes over what a relay of the same name has left.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then but for pins of another release, which are removed.
    pub fn open(now: Instant, config: &Config) -> Result<Self, Refused> {
        if cfg!(target_endian = "big") {
            return Err(Refused::Endian);
        }
        Capabilities::effective().allow()?;
        if !is_bpffs(&config.bpffs) {
            return Err(Refused::NoBpffs(config.bpffs.clone()));
        }
        let mut netlink = Netlink::open().map_err(Refused::Netlink)?;
        let hops = Hops::open(config.limits.flows_max as usize).map_err(Refused::Netlink)?;
        let interfaces = choose(&mut netlink, &config.interfaces)?;
        let folder = Folder::of(&config.bpffs, &config.instance);
        let lock = folder.claim().map_err(|cause| match cause.kind() {
            io::ErrorKind::WouldBlock => Refused::InUse(config.instance.clone()),
            _ => in_folder(&folder, cause),
        })?;
        let is_first = folder.links().is_ok_and(|links| links.is_empty());
        let (programs, tables) = load(&folder, &interfaces, &config.limits).inspect_err(|_| {
            // Where nothing was attached before, what is there now is of use to nobody.
            if is_first {
                let _ = folder.remove();
            }
        })?;
        let limits = config.limits;
        let mut fast = Self {
            slots: Slots::new(tables.slots(), &Default::default(), limits.rest),
            tables,
            hops,
            programs,
            flows: HashMap::new(),
            netlink,
            routes: HashMap::new(),
            interfaces,
            limits,
            routes_looked_up: now,
            routes_changed: false,
            refused_full: 0,
            folder,
            _lock: lock,
        };
        // Whoever had the name before no longer follows neighbours.
        let cleared = fast.tables.clear_hops();
        cleared.map_err(|cause| Refused::Load(causes(&cause)))?;
        fast.take_over().map_err(|cause| Refused::Load(causes(&cause)))?;
        fast.follow_neighbours();
        Ok(fast)
    }

    /// Forwards a flow from here on. A flow with the same key is replaced without a gap, and its counters go on.
    ///
    /// # Errors
    /// [`InstallError`]. A flow with the same key is forwarded no more then.
    pub fn install(&mut self, now: Instant, flow: &Flow) -> Result<(), InstallError> {
        let before = self.flows.remove(&flow.key);
        let carried = before
            .as_ref()
            .map_or_else(Counters::default, |old| self.total(old));
        let installed = self.publish(now, flow, carried);
        if let Some(old) = before {
            if installed.is_err() {
                self.tables.withdraw(old.slot, flow.key)?;
            }
            self.slots.give_back(now, old.slot);
        }
        self.flows.insert(flow.key, installed?);
        Ok(())
    }

    /// Leaves a flow to user space. `None`: it was not here.
    pub fn remove(&mut self, now: Instant, key: &Key) -> Option<Counters> {
        let installed = self.flows.remove(key)?;
        // If the kernel refuses, its tables are out of our reach, and what is left there ends with the heartbeat.
        let _ = self.tables.withdraw(installed.slot, *key);
        self.slots.give_back(now, installed.slot);
        Some(self.total(&installed))
    }

    /// What the kernel has forwarded of a flow. `None`: it is not here.
    #[must_use]
    pub fn counters(&self, key: &Key) -> Option<Counters> {
        Some(self.total(self.flows.get(key)?))
    }

    /// The flows that are forwarded.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.values().map(|installed| &installed.flow)
    }

    /// Keys of flows that a relay before this one left and that this one has not installed anew.
    #[must_use]
    pub fn unclaimed(&self) -> Vec<Key> {
        let unclaimed = self.flows.iter().filter(|(_, installed)| !installed.is_claimed);
        unclaimed.map(|(key, _)| *key).collect()
    }

    /// Says that the relay lives, and follows changed routes. To be called several times within [`Limits::patience`].
    ///
    /// Gives the flows that had to leave the kernel because their receiver is not reached as before, with what was counted.
    ///
    /// # Errors
    /// What the kernel says when it refuses: the privilege is lost, or the tables are.
    pub fn heartbeat(&mut self, now: Instant) -> Result<Vec<(Key, Counters)>, MapError> {
        self.tables.beat(self.limits.patience)?;
        for (neighbour, head) in self.hops.look() {
            self.tables.set_hop(neighbour, head)?;
        }
        self.routes_changed |= self.netlink.has_changed();
        let age = now.saturating_duration_since(self.routes_looked_up);
        let is_due = self.routes_changed && age >= self.limits.route_age_min;
        if !is_due && age < self.limits.route_age_max {
            return Ok(Vec::new());
        }
        self.routes_changed = false;
        self.routes_looked_up = now;
        Ok(self.follow_routes(now))
    }

    /// The program that forwards frames before the kernel makes packets of them, for an interface that hands them to it, and which
    /// is let know from here on where frames go. What it does not forward comes to the other program as ever.
    ///
    /// # Errors
    /// [`Refused`]; all packets take their way through the stack then.
    pub(crate) fn forward_frames(&mut self) -> Result<&ProgramFd, Refused> {
        if !self.hops.allows_frames() {
            self.hops.allow_frames().map_err(Refused::Netlink)?;
            let cleared = self.tables.clear_hops();
            cleared.map_err(|cause| Refused::Load(causes(&cause)))?;
            self.follow_neighbours();
        }
        let program: &mut Xdp = program(&mut self.programs, FORWARD_FRAMES)?;
        if program.fd().is_err() {
            undisturbed::load(|| program.load()).map_err(|cause| Refused::Load(causes(&cause)))?;
            pin(&self.folder.pin("frames"), |path| program.pin(path))?;
        }
        program.fd().map_err(|cause| Refused::Load(causes(&cause)))
    }

    /// How many packets did not leave by the stack, since the tables were made.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn passed(&self) -> Result<Passed, MapError> {
        self.tables.passed()
    }

    /// Whether packets still reach the program: nobody has unloaded it.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        match self.folder.links() {
            Ok(links) => !links.is_empty(),
            // A process that has no descriptors left cannot look; what was attached still is.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The interfaces that it is attached to.
    #[must_use]
    pub fn interfaces(&self) -> &[Link] {
        &self.interfaces
    }

    /// Flows that found no place, since it was opened.
    #[must_use]
    pub fn refused_full(&self) -> u64 {
        self.refused_full
    }

    /// How many packets of flows went up to user space, for each reason, since the tables were made.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn ups(&self) -> Result<[(Up, u64); Up::COUNT], MapError> {
        self.tables.ups()
    }

    fn publish(&mut self, now: Instant, flow: &Flow, before: Counters) -> Result<Installed, InstallError> {
        let route = self.resolve(flow)?;
        let full = self.flows.len() >= self.limits.flows_max as usize;
        let slot = if full { None } else { self.slots.take(now) };
        let Some(slot) = slot else {
            self.refused_full += 1;
            return Err(InstallError::Full);
        };
        self.follow_neighbour(&route);
        if let Err(cause) = self.tables.publish(slot, flow, &route) {
            self.slots.give_back(now, slot);
            return Err(cause.into());
        }
        Ok(Installed {
            slot,
            flow: flow.clone(),
            route,
            before,
            is_claimed: true,
        })
    }

    fn total(&self, installed: &Installed) -> Counters {
        self.tables.counters(installed.slot).since(installed.before)
    }

    fn take_over(&mut self) -> Result<(), MapError> {
        let entries = self.tables.entries()?;
        let taken = entries.iter().map(|entry| entry.slot).collect();
        self.slots = Slots::new(self.tables.slots(), &taken, self.limits.rest);
        for entry in entries {
            self.tables.guess(entry.slot, entry.flow.key);
            let installed = Installed {
                slot: entry.slot,
                flow: entry.flow,
                route: entry.route,
                before: Counters::default(),
                is_claimed: false,
            };
            self.flows.insert(installed.flow.key, installed);
        }
        Ok(())
    }

    /// How a flow's receiver is reached, if the program can go there.
    fn resolve(&mut self, flow: &Flow) -> Result<Route, InstallError> {
        check_addresses(flow)?;
        let ends = (flow.source.ip(), flow.destination.ip());
        let route = match self.routes.get(&ends) {
            Some(route) => *route,
            None => {
                // As many as there may be flows; they are asked for anew every minute anyway.
                if self.routes.len() >= self.limits.flows_max as usize {
                    self.routes.clear();
                }
                let route = self.netlink.route(ends.0, ends.1)?;
                self.routes.insert(ends, route);
                route
            }
        };
        if route.is_local && flow.key.local.is_ipv4() != flow.source.is_ipv4() {
            return Err(InstallError::LocalFamily);
        }
        Ok(route)
    }

    /// Whether there may be a way for packets besides the stack.
    fn may_pass(&self, route: &Route) -> bool {
        !route.is_local && (route.is_pair || self.hops.allows_frames())
    }

    /// Lets packets go to a flow's next hop without the stack, if they may.
    fn follow_neighbour(&mut self, route: &Route) {
        if !self.may_pass(route) {
            return;
        }
        let neighbour = (route.ifindex, route.next_hop);
        if let Some(head) = self.hops.follow(neighbour) {
            // If the kernel refuses, packets take their way through the stack.
            let _ = self.tables.set_hop(neighbour, Some(head));
        }
    }

    /// Follows the next hops of all flows, and no others.
    fn follow_neighbours(&mut self) {
        let routes = self.flows.values().map(|of| of.route);
        let routes: Vec<Route> = routes.filter(|route| self.may_pass(route)).collect();
        let of_use: HashSet<Neighbour> = routes
            .iter()
            .map(|route| (route.ifindex, route.next_hop))
            .collect();
        for gone in self.hops.retain(|neighbour| of_use.contains(neighbour)) {
            // If the kernel refuses, nothing leads there.
            let _ = self.tables.set_hop(gone, None);
        }
        for route in &routes {
            self.follow_neighbour(route);
        }
    }

    fn follow_routes(&mut self, now: Instant) -> Vec<(Key, Counters)> {
        self.routes.clear();
        let flows = self.flows.values();
        let flows: Vec<_> = flows
            .map(|of| (of.flow.clone(), of.route, of.is_claimed))
            .collect();
        let moves = |(flow, route, is_claimed): (Flow, Route, bool)| {
            let stays = self.resolve(&flow).is_ok_and(|found| found == route);
            (!stays).then_some((flow, is_claimed))
        };
        let moved: Vec<_> = flows.into_iter().filter_map(moves).collect();
        let mut lost = Vec::new();
        for (flow, is_claimed) in moved {
            let counters = self.counters(&flow.key).unwrap_or_default();
            if self.install(now, &flow).is_err() {
                lost.push((flow.key, counters));
            } else if let Some(installed) = self.flows.get_mut(&flow.key) {
                installed.is_claimed = is_claimed;
            }
        }
        self.follow_neighbours();
        lost
    }
}

/// Removes an instance: its program from all interfaces, its tables, its pins. A relay that has it open goes on in user space.
///
/// # Errors
/// What the system says. `NotFound`: there is no such instance.
pub fn unload(bpffs: &Path, instance: &Instance) -> io::Result<()> {
    Folder::of(bpffs, instance).remove()
}

fn check_addresses(flow: &Flow) -> Result<(), InstallError> {
    let key = flow.key;
    let is_of_one_family =
        key.local.is_ipv4() == key.peer.is_ipv4() && flow.source.is_ipv4() == flow.destination.is_ipv4();
    let ends = [key.local, key.peer, flow.source, flow.destination];
    if !is_of_one_family || ends.iter().any(|end| end.port() == 0 || !is_plain(end.ip())) {
        return Err(InstallError::Address);
    }
    Ok(())
}

/// An address of one host that means the same on every interface.
fn is_plain(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
    };
    !(is_link_local || ip.is_unspecified() || ip.is_multicast())
}

fn choose(netlink: &mut Netlink, names: &[String]) -> Result<Vec<Link>, Refused> {
    let links = netlink.links().map_err(Refused::Netlink)?;
    let mut links = links.into_values().filter(|link| link.is_up && link.has_ethernet);
    if names.is_empty() {
        let links: Vec<Link> = links.filter(|link| link.master.is_none()).collect();
        return if links.is_empty() {
            Err(Refused::NoInterfaces)
        } else {
            Ok(links)
        };
    }
    let links: Vec<Link> = links.by_ref().collect();
    let find = |name: &String| {
        let link = links.iter().find(|link| link.name == *name);
        link.cloned().ok_or_else(|| Refused::NoInterface(name.clone()))
    };
    names.iter().map(find).collect()
}

/// Loads the program and attaches it.
fn load(folder: &Folder, interfaces: &[Link], limits: &Limits) -> Result<(Ebpf, Tables), Refused> {
    // Features are tried with programs, too.
    let _undisturbed = Undisturbed::begin();
    let (mut ebpf, tables) =
        Tables::load(folder, limits.flows_max, limits.slots()).map_err(|cause| match cause {
            LoadError::Io(cause) => in_folder(folder, cause),
            other => Refused::Load(causes(&other)),
        })?;
    let program: &mut SchedClassifier = program(&mut ebpf, FORWARD)?;
    undisturbed::load(|| program.load()).map_err(|cause| Refused::Load(causes(&cause)))?;
    attach_all(program, folder, interfaces)?;
    pin(&folder.pin("program"), |path| program.pin(path))?;
    Ok((ebpf, tables))
}

/// Attaches to each interface, or gives what is attached there the program just loaded; detaches from all others.
fn attach_all(program: &mut SchedClassifier, folder: &Folder, interfaces: &[Link]) -> Result<(), Refused> {
    for interface in interfaces {
        attach(program, folder, interface).map_err(|cause| Refused::Attach {
            interface: interface.name.clone(),
            cause: causes(&*cause),
        })?;
    }
    for ifindex in folder.links().map_err(|cause| in_folder(folder, cause))? {
        if !interfaces.iter().any(|interface| interface.ifindex == ifindex) {
            std::fs::remove_file(folder.link(ifindex)).map_err(|cause| in_folder(folder, cause))?;
        }
    }
    Ok(())
}

fn attach(
    program: &mut SchedClassifier,
    folder: &Folder,
    interface: &Link,
) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.link(interface.ifindex);
    if let Ok(pinned) = PinnedLink::from_pin(&path) {
        if replace(program, pinned).is_ok() {
            return Ok(());
        }
        // Its interface is gone and another has its number.
        std::fs::remove_file(&path)?;
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program.attach_with_options(&interface.name, TcAttachType::Ingress, options)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(&path)?;
    Ok(())
}

/// Pins a program itself, so that it can be found and tried.
fn pin(path: &Path, put: impl FnOnce(&Path) -> Result<(), PinError>) -> Result<(), Refused> {
    let fresh = if path.exists() {
        std::fs::remove_file(path)
    } else {
        Ok(())
    };
    let refused = |cause: &dyn std::error::Error| Refused::Load(causes(cause));
    fresh.map_err(|cause| refused(&cause))?;
    put(path).map_err(|cause| refused(&cause))
}

/// Puts the program in the place of the one that a pinned link has, between two packets.
fn replace(program: &mut SchedClassifier, pinned: PinnedLink) -> Result<(), ProgramError> {
    let link = SchedClassifierLink::try_from(FdLink::from(pinned)).map_err(|_| ProgramError::NotAttached)?;
    let id = program.attach_to_link(link)?;
    drop(program.take_link(id)?);
    Ok(())
}

fn in_folder(folder: &Folder, cause: io::Error) -> Refused {
    Refused::Folder {
        path: folder.path().to_owned(),
        cause,
    }
}

/// An error with everything behind it, on one line; what the verifier had to say, if it did, at its end.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
