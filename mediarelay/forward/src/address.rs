//! Who is who: sockets, tuples, flows, legs, crypto contexts.

use std::net::{IpAddr, SocketAddr};

/// The address of a local UDP socket, which is also the socket's identity for control: port numbers are never shared
/// by two sockets of different meaning.
pub type LocalAddr = SocketAddr;

/// A local UDP socket as the shell numbers it: small, dense, the same for every worker of a relay.
///
/// A number must not be given to another socket before every flow that names the old one is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// The addresses that a datagram of a flow carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Our socket.
    pub local: LocalAddr,
    /// The peer. An IPv4 address mapped into IPv6 equals the IPv4 address.
    pub remote: SocketAddr,
}

/// One direction of media from one peer address. Unique in the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// One endpoint's side of a call. Unique in the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// One SRTP context: one master key, one direction. Unique in the relay, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CryptoId(pub u64);

/// Where a datagram goes: from which of our sockets to which peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Out {
    /// Our socket.
    pub local: LocalAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// Socket and peer in the form that is compared and hashed per packet: three words.
///
/// IPv4 is written as mapped into IPv6, so a dual-stack socket's view and control's are equal. Flow label and scope of
/// IPv6 do not count: the socket already says which link a link-local peer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tuple {
    ip: [u64; 2],
    socket_and_port: u64,
}

impl Tuple {
    /// Not after any other, and not before any other: the ends of a range.
    pub(crate) const FIRST: Self = Self {
        ip: [0; 2],
        socket_and_port: 0,
    };
    pub(crate) const LAST: Self = Self {
        ip: [u64::MAX; 2],
        socket_and_port: u64::MAX,
    };

    pub(crate) fn new(socket: SocketId, remote: SocketAddr) -> Self {
        let ip = match remote.ip() {
            IpAddr::V4(ip) => [0, 0xffff_0000_0000 | u64::from(u32::from(ip))],
            IpAddr::V6(ip) => {
                let ip = u128::from(ip);
                [(ip >> 64) as u64, ip as u64]
            }
        };
        Self {
            ip,
            socket_and_port: u64::from(socket.0) << 16 | u64::from(remote.port()),
        }
    }

    pub(crate) fn socket(self) -> SocketId {
        SocketId((self.socket_and_port >> 16) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let v4 = Tuple::new(SocketId(1), "192.0.2.1:5000".parse().unwrap());
        assert_eq!(
            v4,
            Tuple::new(SocketId(1), "[::ffff:192.0.2.1]:5000".parse().unwrap())
        );
        assert_ne!(v4, Tuple::new(SocketId(2), "192.0.2.1:5000".parse().unwrap()));
        assert_ne!(v4, Tuple::new(SocketId(1), "192.0.2.1:5001".parse().unwrap()));
        assert_ne!(v4, Tuple::new(SocketId(1), "[2001:db8::1]:5000".parse().unwrap()));
    }
}
