//! Which UDP ports sockets are bound to (sock_diag(7)).

use std::io;
use std::net::SocketAddr;

use nix::sys::socket::{AddressFamily, SockProtocol};

use crate::netlink::{Conversation, NLM_F_DUMP, ip};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_UDP: u8 = 17;

/// A conversation about it, in the network namespace where it was begun.
#[derive(Debug)]
pub struct BoundPorts(Conversation);

impl BoundPorts {
    /// Begins it.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        Conversation::begin(SockProtocol::NetlinkSockDiag).map(Self)
    }

    /// What sockets are bound to, those among them that are connected and those of one device too. An unspecified IPv6 address may
    /// be one that takes IPv4 as well.
    ///
    /// # Errors
    /// The system's, and where the kernel does not tell.
    pub fn list(&mut self) -> io::Result<Vec<SocketAddr>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            self.0
                .ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request(family), |kind, body| {
                    if kind == SOCK_DIAG_BY_FAMILY {
                        found.extend(parse(body));
                    }
                })??;
        }
        Ok(found)
    }
}

/// `struct inet_diag_req_v2`: all of one family, in any state.
fn request(family: AddressFamily) -> [u8; 56] {
    let mut request = [0; 56];
    request[0] = family as u8;
    request[1] = IPPROTO_UDP;
    request[4..8].fill(0xff);
    request
}

/// `struct inet_diag_msg`.
fn parse(body: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let is_v4 = i32::from(body[0]) == AddressFamily::Inet as i32;
    let address = body.get(8..if is_v4 { 12 } else { 24 })?;
    Some(SocketAddr::new(ip(address)?, port))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_socket_is_listed_as_long_as_it_is_bound() {
        let mut ports = match BoundPorts::open() {
            Ok(ports) => ports,
            Err(error) => return println!("skipped: {error}"),
        };
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else {
                println!("skipped: {address} cannot be bound here");
                continue;
            };
            let local = socket.local_addr().unwrap();
            let listed = match ports.list() {
                Ok(listed) => listed,
                Err(error) => return println!("skipped: {error}"),
            };
            assert!(listed.contains(&local), "{local}: {listed:?}");
            let peer = UdpSocket::bind(local.ip().to_string() + ":0").unwrap();
            if !local.ip().is_unspecified() {
                socket.connect(peer.local_addr().unwrap()).unwrap();
                assert!(ports.list().unwrap().contains(&local), "{local} is connected");
            }
        }
    }

    proptest! {
        #[test]
        fn answers_of_any_form_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = parse(&octets);
        }
    }
}
