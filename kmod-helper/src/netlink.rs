//! The few questions to the kernel's routing that a flow needs answered (rtnetlink(7)): which interfaces there are, how an
//! address is reached, what the hardware address of a neighbour is, and whether anything of it has changed.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::flow::Route;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
const NLM_F_MULTI: u16 = 2;
const NLM_F_ACK: u16 = 4;
const NLM_F_ECHO: u16 = 8;

const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_INFO_KIND: u16 = 1;
/// `TC_H_CLSACT`: where filters of both directions hang.
const TC_H_CLSACT: u32 = 0xffff_fff1;
/// Kinds of interfaces that are pairs.
const PAIRS: [&str; 2] = ["veth", "netkit"];
const IFF_UP: u32 = 1;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// `NUD_*`: states in which a neighbour's hardware address is used. Permanent, without resolution, reachable, stale, and the two
/// in which it is asked again.
const NUD_VALID: u16 = 0x80 | 0x40 | 0x02 | 0x04 | 0x08 | 0x10;

/// `RTMGRP_*`: links, IPv4 addresses and routes, IPv6 addresses and routes.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// `RTMGRP_NEIGH`.
const NEIGHBOURS: u32 = 0x4;
/// Octets of one answer; the kernel cuts dumps to fit.
const ANSWER_MAX: usize = 32 * 1024;
/// Datagrams of one answer.
const ANSWERS_MAX: usize = 4096;
/// Seconds that the kernel may take, which answers while it is asked.
const PATIENCE_S: i64 = 2;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Octets of an IP packet.
    pub mtu: u32,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether its frames have an Ethernet header: Ethernet, bridges, bonds, VLANs, veth, loopback.
    pub has_ethernet: bool,
    /// The bridge or bond that it is a port of: what comes in shows itself there again.
    pub master: Option<u32>,
    /// Its hardware address, where it has one as Ethernet has.
    pub address: Option<Mac>,
    /// The kind of its queue for what leaves.
    pub queue: String,
    /// Its other end, if it is one of a pair (veth, netkit) and the other one is in another network namespace.
    pub other_end: Option<Place>,
}

/// Where an interface of another network namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The namespace, by the number that ours has for it.
    pub namespace: u32,
    /// The interface's number there.
    pub ifindex: u32,
}

/// A hardware address of Ethernet.
pub type Mac = [u8; 6];

/// What the kernel knows of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// On which interface.
    pub(crate) ifindex: u32,
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Its hardware address, if packets may be sent there.
    pub(crate) mac: Option<Mac>,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Links, addresses or routes; or more than the kernel kept.
    Routes,
    /// What is known of a neighbour.
    Neighbour(Neighbour),
}

/// Why an address has no route that the kernel path can use.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The kernel was not reached.
    #[error("asking the kernel for a route: {0}")]
    Io(#[from] io::Error),
    /// The kernel knows none from this source, or forbids it.
    #[error("no route from {from} to {to}: {cause}")]
    None {
        /// Our address.
        from: IpAddr,
        /// The receiver's.
        to: IpAddr,
        /// What the kernel says.
        cause: Errno,
    },
    /// It leads nowhere that packets may be sent: broadcast, multicast, prohibited, through a tunnel without Ethernet.
    #[error("the route from {from} to {to} is of no use here")]
    Kind {
        /// Our address.
        from: IpAddr,
        /// The receiver's.
        to: IpAddr,
    },
}

/// A conversation with the kernel about routes, in the network namespace where it was begun.
#[derive(Debug)]
pub(crate) struct Netlink {
    conversation: Conversation,
    changes: OwnedFd,
}

impl Netlink {
    /// Begins it.
    ///
    /// # Errors
    /// What the system says when there is no netlink.
    pub(crate) fn open() -> io::Result<Self> {
        Self::begin(GROUPS)
    }

    /// The same, to hear of neighbours too.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn open_with_neighbours() -> io::Result<Self> {
        Self::begin(GROUPS | NEIGHBOURS)
    }

    fn begin(groups: u32) -> io::Result<Self> {
        let conversation = Conversation::begin(SockProtocol::NetlinkRoute)?;
        let changes = netlink_socket(SockProtocol::NetlinkRoute, SockFlag::SOCK_NONBLOCK)?;
        bind(changes.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self {
            conversation,
            changes,
        })
    }

    /// Whether links, addresses or routes have changed since it was last asked.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut changed = false;
        self.changes(|_| changed = true);
        changed
    }

    /// What has changed since it was last asked.
    pub(crate) fn changes(&mut self, mut each: impl FnMut(Changed)) {
        let mut buffer = [0; 8192];
        for _ in 0..ANSWERS_MAX {
            match recv(self.changes.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) => {
                    for message in Messages(&buffer[..len]) {
                        match message.kind {
                            RTM_NEWNEIGH | RTM_DELNEIGH => {
                                let is_there = message.kind == RTM_NEWNEIGH;
                                if let Some(neighbour) = parse_neighbour(is_there, message.body) {
                                    each(Changed::Neighbour(neighbour));
                                }
                            }
                            _ => each(Changed::Routes),
                        }
                    }
                }
                Err(Errno::ENOBUFS) => each(Changed::Routes),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }

    /// The hardware address of a neighbour, if the kernel knows it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn neighbour(&mut self, ifindex: u32, ip: IpAddr) -> io::Result<Option<Mac>> {
        let mut found = None;
        let request = neighbour_request(ifindex, ip);
        let answer = self.conversation.ask(RTM_GETNEIGH, 0, &request, |kind, body| {
            if kind == RTM_NEWNEIGH {
                found = parse_neighbour(true, body).and_then(|neighbour| neighbour.mac);
            }
        })?;
        Ok(answer.ok().and(found))
    }

    /// All interfaces, by number.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn links(&mut self) -> io::Result<BTreeMap<u32, Link>> {
        let mut links = BTreeMap::new();
        let parse = |kind, body: &[u8]| {
            if let Some(link) = (kind == RTM_NEWLINK).then(|| parse_link(body)).flatten() {
                links.insert(link.ifindex, link);
            }
        };
        self.conversation
            .ask(RTM_GETLINK, NLM_F_DUMP, &[0; 16], parse)?
            .map_err(io::Error::from)?;
        Ok(links)
    }

    /// One interface, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn link(&mut self, ifindex: u32) -> io::Result<Option<Link>> {
        self.link_by(&link_request(ifindex))
    }

    /// One interface of another network namespace, if it is there and this process may look there (`CAP_NET_ADMIN` of the user
    /// namespace that has it).
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn link_elsewhere(&mut self, place: Place) -> io::Result<Option<Link>> {
        let mut request = link_request(place.ifindex).to_vec();
        add_attribute(&mut request, IFLA_TARGET_NETNSID, &place.namespace.to_ne_bytes());
        self.link_by(&request)
    }

    /// Whether filters (`tc filter`) may hang at an interface.
    pub(crate) fn may_have_filters(&mut self, ifindex: u32) -> bool {
        let mut found = false;
        let mut request = [0; 20];
        request[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        request[12..16].copy_from_slice(&TC_H_CLSACT.to_ne_bytes());
        // Whoever asks without an echo is not answered, and of filters that are gone nothing is said but that it was asked.
        let flags = NLM_F_ECHO | NLM_F_ACK;
        let answer = self.conversation.ask(RTM_GETQDISC, flags, &request, |kind, _| {
            found |= kind == RTM_NEWQDISC;
        });
        // What is not there is a refusal.
        answer.is_err() || found
    }

    fn link_by(&mut self, request: &[u8]) -> io::Result<Option<Link>> {
        let mut found = None;
        let answer = self.conversation.ask(RTM_GETLINK, 0, request, |kind, body| {
            if kind == RTM_NEWLINK {
                found = parse_link(body);
            }
        })?;
        Ok(answer.ok().and(found))
    }

    /// How `to` is reached from our address `from`.
    ///
    /// # Errors
    /// [`RouteError`].
    pub(crate) fn route(&mut self, from: IpAddr, to: IpAddr) -> Result<Route, RouteError> {
        let mut found = None;
        let request = route_request(from, to);
        let answer = self.conversation.ask(RTM_GETROUTE, 0, &request, |kind, body| {
            if kind == RTM_NEWROUTE {
                found = parse_route(to, body);
            }
        })?;
        if let Err(cause) = answer {
            return Err(RouteError::None { from, to, cause });
        }
        let useless = RouteError::Kind { from, to };
        let Some(found) = found else { return Err(useless) };
        let link = self.link(found.ifindex)?;
        let Some(link) = link.filter(|link| link.has_ethernet && link.is_up) else {
            return Err(useless);
        };
        let mtu = found.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu));
        Ok(Route {
            ifindex: found.ifindex,
            next_hop: found.next_hop,
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            is_local: found.is_local,
            is_pair: link.other_end.is_some(),
        })
    }
}

/// Questions to one part of the kernel, and its answers.
#[derive(Debug)]
pub(crate) struct Conversation {
    socket: OwnedFd,
    sequence: u32,
}

impl Conversation {
    /// Begins it.
    ///
    /// # Errors
    /// What the system says when there is no such part.
    pub(crate) fn begin(protocol: SockProtocol) -> io::Result<Self> {
        let socket = netlink_socket(protocol, SockFlag::empty())?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks one question; every message of the answer goes to `each` with its kind and body.
    ///
    /// # Errors
    /// The system's; within, what the kernel says of the question.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<Result<(), Errno>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::with_capacity(16 + body.len());
        request.extend((16 + body.len() as u32).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend([0; 4]);
        request.extend(body);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut buffer = vec![0; ANSWER_MAX];
        for _ in 0..ANSWERS_MAX {
            let len = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            for message in Messages(&buffer[..len]) {
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_DONE => return Ok(Ok(())),
                    NLMSG_ERROR => return Ok(error_code(message.body)),
                    kind => each(kind, message.body),
                }
                if message.flags & NLM_F_MULTI == 0 {
                    return Ok(Ok(()));
                }
            }
        }
        Err(io::Error::other("the kernel's answer does not end"))
    }
}

fn netlink_socket(protocol: SockProtocol, flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | flags,
        protocol,
    )
}

struct Message<'b> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'b [u8],
}

/// The messages of one datagram.
struct Messages<'b>(&'b [u8]);

impl<'b> Iterator for Messages<'b> {
    type Item = Message<'b>;

    fn next(&mut self) -> Option<Message<'b>> {
        let len = u32_at(self.0, 0)? as usize;
        let message = self.0.get(..len).filter(|message| message.len() >= 16)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16_at(message, 4)?,
            flags: u16_at(message, 6)?,
            sequence: u32_at(message, 8)?,
            body: &message[16..],
        })
    }
}

/// Attributes: kind and value.
pub(crate) struct Attributes<'b>(pub(crate) &'b [u8]);

impl<'b> Iterator for Attributes<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<(u16, &'b [u8])> {
        let len = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & 0x3fff;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

struct FoundRoute {
    ifindex: u32,
    next_hop: IpAddr,
    mtu: Option<u32>,
    is_local: bool,
}

fn link_request(ifindex: u32) -> [u8; 16] {
    let mut request = [0; 16];
    request[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    request
}

fn route_request(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    let mut request = vec![family(to), bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (kind, ip) in [(RTA_DST, to), (RTA_SRC, from)] {
        add_address(&mut request, kind, ip);
    }
    request
}

fn neighbour_request(ifindex: u32, ip: IpAddr) -> Vec<u8> {
    let mut request = vec![family(ip), 0, 0, 0];
    request.extend(ifindex.to_ne_bytes());
    request.extend([0; 4]);
    add_address(&mut request, NDA_DST, ip);
    request
}

fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet as u8,
        IpAddr::V6(_) => AddressFamily::Inet6 as u8,
    }
}

fn add_address(request: &mut Vec<u8>, kind: u16, ip: IpAddr) {
    let value = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    add_attribute(request, kind, &value);
}

/// An attribute whose length is a multiple of four.
fn add_attribute(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    request.extend((4 + value.len() as u16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
}

fn parse_neighbour(is_there: bool, body: &[u8]) -> Option<Neighbour> {
    let ifindex = u32_at(body, 4)?;
    let is_valid = is_there && u16_at(body, 8)? & NUD_VALID != 0;
    let (mut ip, mut mac) = (None, None);
    for (kind, value) in Attributes(body.get(12..)?) {
        match kind {
            NDA_DST => ip = self::ip(value),
            NDA_LLADDR => mac = Mac::try_from(value).ok(),
            _ => {}
        }
    }
    Some(Neighbour {
        ifindex,
        ip: ip?,
        mac: mac.filter(|_| is_valid),
    })
}

fn parse_route(to: IpAddr, body: &[u8]) -> Option<FoundRoute> {
    let kind = *body.get(7)?;
    if kind != RTN_UNICAST && kind != RTN_LOCAL {
        return None;
    }
    let mut found = FoundRoute {
        ifindex: 0,
        next_hop: to,
        mtu: None,
        is_local: kind == RTN_LOCAL,
    };
    for (kind, value) in Attributes(body.get(12..)?) {
        match kind {
            RTA_OIF => found.ifindex = u32_at(value, 0)?,
            RTA_GATEWAY => found.next_hop = ip(value)?,
            RTA_VIA => found.next_hop = ip(value.get(2..)?)?,
            RTA_METRICS => {
                let mtu = Attributes(value).find(|(kind, _)| *kind == RTAX_MTU);
                found.mtu = mtu.and_then(|(_, value)| u32_at(value, 0));
            }
            _ => {}
        }
    }
    (found.ifindex != 0).then_some(found)
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let kind = u16_at(body, 2)?;
    let mut link = Link {
        ifindex: u32_at(body, 4)?,
        name: String::new(),
        mtu: 0,
        is_up: u32_at(body, 8)? & IFF_UP != 0,
        has_ethernet: kind == ARPHRD_ETHER || kind == ARPHRD_LOOPBACK,
        master: None,
        address: None,
        queue: String::new(),
        other_end: None,
    };
    let (mut end, mut namespace, mut is_pair) = (None, None, false);
    for (kind, value) in Attributes(body.get(16..)?) {
        match kind {
            IFLA_ADDRESS => link.address = Mac::try_from(value).ok(),
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_MASTER => link.master = u32_at(value, 0),
            IFLA_QDISC => link.queue = text(value),
            IFLA_LINK => end = u32_at(value, 0),
            // Said only where it is another one.
            IFLA_LINK_NETNSID => namespace = u32_at(value, 0),
            IFLA_LINKINFO => {
                let kind = Attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                is_pair = kind.is_some_and(|(_, kind)| PAIRS.contains(&text(kind).as_str()));
            }
            _ => {}
        }
    }
    let place = end
        .zip(namespace)
        .map(|(ifindex, namespace)| Place { namespace, ifindex });
    link.other_end = place.filter(|_| is_pair);
    Some(link)
}

/// A text that ends with a zero.
fn text(value: &[u8]) -> String {
    let text = value.split(|octet| *octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn error_code(body: &[u8]) -> Result<(), Errno> {
    match u32_at(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw(code.saturating_neg())),
        None => Err(Errno::EBADMSG),
    }
}

/// An address, by its length.
pub(crate) fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(value).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    let value = octets.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*value))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    let value = octets.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_loopback_interface_is_found_and_leads_to_this_host() {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let lo = links.get(&1).unwrap();
        assert_eq!(netlink.link(1).unwrap().as_ref(), Some(lo));
        assert_eq!(netlink.link(u32::MAX / 2).unwrap(), None);
        assert_eq!((lo.name.as_str(), lo.has_ethernet, lo.master), ("lo", true, None));
        let here = IpAddr::from([127, 0, 0, 1]);
        // A machine for tests may have its loopback interface down.
        if lo.is_up {
            let route = netlink.route(here, here).unwrap();
            assert_eq!((route.ifindex, route.is_local, route.next_hop), (1, true, here));
        }
    }

    #[test]
    fn addresses_of_others_are_no_source() {
        let mut netlink = Netlink::open().unwrap();
        let [from, to] = [[192, 0, 2, 77], [192, 0, 2, 78]].map(IpAddr::from);
        assert!(netlink.route(from, to).is_err());
    }

    proptest! {
        #[test]
        fn answers_of_any_form_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..256)) {
            for message in Messages(&octets).take(100) {
                let _ = error_code(message.body);
            }
            let _ = (parse_link(&octets), parse_route([0, 0, 0, 0].into(), &octets), parse_neighbour(true, &octets));
        }
    }
}
