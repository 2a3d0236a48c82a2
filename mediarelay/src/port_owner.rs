//! Who has a port: the answer to "address already in use".

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use viaduct_settings::Layer;

/// A process that has a port. What cannot be found out is left open: other users' descriptors are theirs to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// The address that it is bound to, which may be the unspecified one.
    pub address: SocketAddr,
    /// Its process number.
    pub pid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.name) {
            (Some(pid), Some(name)) => write!(f, "process {pid} (`{name}`)"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("a process that this user may not look at"),
        }
    }
}

/// Finds out who keeps us from binding an address. `None` if nobody does.
///
/// Reads `/proc/net` for the socket and `/proc/*/fd` for its process, so it takes milliseconds and is for messages to
/// people only.
#[must_use]
pub fn port_owner(layer: Layer, address: SocketAddr) -> Option<PortOwner> {
    find(Path::new("/proc"), layer, address)
}

fn find(proc: &Path, layer: Layer, wanted: SocketAddr) -> Option<PortOwner> {
    let tables = match layer {
        Layer::Udp => ["udp", "udp6"],
        Layer::Tcp => ["tcp", "tcp6"],
    };
    let entry = tables.iter().find_map(|table| {
        let text = fs::read_to_string(proc.join("net").join(table)).ok()?;
        text.lines()
            .filter_map(|line| Entry::parse(line, layer))
            .find(|entry| collide(entry.address, wanted))
    })?;
    let pid = process_of(proc, entry.inode);
    let name = pid.and_then(|pid| fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok());
    Some(PortOwner {
        address: entry.address,
        pid,
        name: name.map(|name| name.trim_end().to_owned()),
    })
}

/// Whether two sockets cannot both be bound. The table does not say whether `[::]` takes IPv4 too, so it is supposed to.
pub(crate) fn collide(theirs: SocketAddr, ours: SocketAddr) -> bool {
    let [theirs_ip, ours_ip] = [theirs.ip(), ours.ip()].map(|ip| ip.to_canonical());
    let any_v6 = theirs_ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let same_family = theirs_ip.is_ipv4() == ours_ip.is_ipv4();
    let overlap = theirs_ip == ours_ip || theirs_ip.is_unspecified() || ours_ip.is_unspecified();
    theirs.port() == ours.port() && overlap && (same_family || any_v6)
}

/// One line of a table.
struct Entry {
    address: SocketAddr,
    inode: u64,
}

impl Entry {
    /// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
    fn parse(line: &str, layer: Layer) -> Option<Self> {
        const LISTENING: &str = "0A";
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok().filter(|inode| *inode != 0)?;
        match layer {
            Layer::Tcp if state != LISTENING => None,
            Layer::Tcp | Layer::Udp => Some(Self {
                address: address(local)?,
                inode,
            }),
        }
    }
}

/// An address as the kernel writes it: each word of it as a number of this machine's byte order, in hex.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| {
            Some(
                u32::from_str_radix(str::from_utf8(word).ok()?, 16)
                    .ok()?
                    .to_ne_bytes(),
            )
        })
        .collect::<Option<_>>()?;
    let ip = match *words {
        [word] => IpAddr::V4(Ipv4Addr::from(word)),
        [_, _, _, _] => {
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The process that has a descriptor of a socket.
fn process_of(proc: &Path, inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir(proc).ok()?.flatten();
    processes
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .find(|(_, path)| {
            let descriptors = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
            descriptors
                .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
                .any(|target| target.as_os_str() == wanted.as_str())
        })
        .map(|(pid, _)| pid)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn parse(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn our_own_sockets_are_found_under_our_name() {
        let us = std::process::id();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let udp = UdpSocket::bind(local).unwrap();
            let tcp = TcpListener::bind(local).unwrap();
            let sockets = [
                (Layer::Udp, udp.local_addr().unwrap()),
                (Layer::Tcp, tcp.local_addr().unwrap()),
            ];
            for (layer, address) in sockets {
                let owner = port_owner(layer, address).unwrap();
                assert_eq!((owner.address, owner.pid), (address, Some(us)));
                assert_eq!(owner.to_string(), format!("process {us} (`{}`)", name.trim_end()));
            }
        }
    }

    #[test]
    fn a_free_port_has_no_owner() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        assert_eq!(port_owner(Layer::Udp, address), None);
    }

    #[test]
    fn a_wildcard_socket_takes_the_port_from_every_address() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let owner = port_owner(Layer::Udp, SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        assert_eq!(owner.address, SocketAddr::from(([0, 0, 0, 0], port)));
    }

    #[test]
    fn addresses_collide_as_the_kernel_sees_it() {
        for (theirs, ours, expected) in [
            ("0.0.0.0:5060", "10.0.0.1:5060", true),
            ("10.0.0.1:5060", "0.0.0.0:5060", true),
            ("10.0.0.1:5060", "10.0.0.2:5060", false),
            ("10.0.0.1:5060", "10.0.0.1:5061", false),
            ("[::]:5060", "10.0.0.1:5060", true),
            ("[::1]:5060", "127.0.0.1:5060", false),
            ("[::ffff:10.0.0.1]:5060", "10.0.0.1:5060", true),
            ("0.0.0.0:5060", "[::1]:5060", false),
        ] {
            assert_eq!(collide(parse(theirs), parse(ours)), expected, "{theirs} {ours}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_spelling_is_understood() {
        assert_eq!(address("0100007F:13C4"), Some(parse("127.0.0.1:5060")));
        assert_eq!(
            address("00000000000000000000000001000000:13C4"),
            Some(parse("[::1]:5060"))
        );
        for text in [
            "",
            "0100007F",
            "0100007F:",
            "xx:13C4",
            "0100007F0100007F:13C4",
            "0100007F:13C4F",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
        let line =
            "  91: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 2 0";
        assert_eq!(Entry::parse(line, Layer::Tcp).unwrap().inode, 4711);
        assert!(Entry::parse(&line.replace(" 0A ", " 01 "), Layer::Tcp).is_none());
        assert!(Entry::parse("  sl  local_address rem_address   st", Layer::Udp).is_none());
    }
}
