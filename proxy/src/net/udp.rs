//! One UDP socket of one signalling thread.
//!
//! Every thread has its own on the same address (SO_REUSEPORT): the kernel spreads peers over them. A socket on the
//! unspecified address learns from each datagram which address it was sent to, and answers from there.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

/// The largest datagram there is, and a little more to see that one was larger.
pub(crate) const DATAGRAM_MAX: usize = 65_536;

/// What the kernel is asked to keep for us while we are busy, in octets. It may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct UdpListener {
    socket: UdpSocket,
    bound: SocketAddr,
}

/// Where a datagram came from and which of our addresses it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl UdpListener {
    /// Binds an address that other threads may bind too.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // The kernel's own limit may be lower; that is no reason not to start.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&addr.into())?;
        if addr.ip().is_unspecified() {
            match addr {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        let socket = UdpSocket::from_std(socket.into());
        let bound = socket.local_addr()?;
        Ok(Self { socket, bound })
    }

    /// The bound address, its port known.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.bound
    }

    pub(crate) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// True when messages of flows with this local address leave through this socket.
    pub(crate) fn serves(&self, local: SocketAddr) -> bool {
        self.bound == local
            || (self.bound.ip().is_unspecified()
                && self.bound.port() == local.port()
                && self.bound.is_ipv4() == local.is_ipv4())
    }

    /// Takes one datagram. `None` when none is waiting.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Origin)>> {
        let received = if self.bound.ip().is_unspecified() {
            self.receive_with_address(buffer)
        } else {
            self.socket.recv_from(buffer).map(|(len, remote)| {
                (
                    len,
                    Origin {
                        remote,
                        local: self.bound,
                    },
                )
            })
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one datagram from one of our addresses.
    pub(crate) fn send(&self, local: SocketAddr, remote: SocketAddr, octets: &[u8]) -> io::Result<()> {
        if !self.bound.ip().is_unspecified() || local.ip().is_unspecified() {
            self.socket.send_to(octets, remote)?;
            return Ok(());
        }
        let to = SockaddrStorage::from(remote);
        let slices = [IoSlice::new(octets)];
        let fd = self.socket.as_raw_fd();
        match local.ip() {
            IpAddr::V4(ip) => {
                let info = nix::libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: in_addr(ip),
                    ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
                };
                sendmsg(
                    fd,
                    &slices,
                    &[ControlMessage::Ipv4PacketInfo(&info)],
                    MsgFlags::empty(),
                    Some(&to),
                )?;
            }
            IpAddr::V6(ip) => {
                let info = nix::libc::in6_pktinfo {
                    ipi6_addr: in6_addr(ip),
                    ipi6_ifindex: 0,
                };
                sendmsg(
                    fd,
                    &slices,
                    &[ControlMessage::Ipv6PacketInfo(&info)],
                    MsgFlags::empty(),
                    Some(&to),
                )?;
            }
        }
        Ok(())
    }

    fn receive_with_address(&self, buffer: &mut [u8]) -> io::Result<(usize, Origin)> {
        let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let received = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), MsgFlags::empty())?;
        let remote = received.address.as_ref().and_then(to_std);
        let remote = remote.ok_or_else(|| io::Error::other("datagram without a source address"))?;
        let to = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
            }
            _ => None,
        });
        let local = SocketAddr::new(to.unwrap_or(self.bound.ip()), self.bound.port());
        Ok((received.bytes, Origin { remote, local }))
    }
}

fn to_std(addr: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = addr.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = addr.as_sockaddr_in6()?;
    Some(SocketAddr::new(v6.ip().into(), v6.port()))
}

fn in_addr(ip: Ipv4Addr) -> nix::libc::in_addr {
    nix::libc::in_addr {
        s_addr: u32::from(ip).to_be(),
    }
}

fn in6_addr(ip: Ipv6Addr) -> nix::libc::in6_addr {
    nix::libc::in6_addr { s6_addr: ip.octets() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for the datagram that is on its way over loopback.
    fn receive(listener: &UdpListener) -> (Vec<u8>, Origin) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        for _ in 0..1_000_000 {
            if let Some((len, origin)) = listener.receive(&mut buffer).unwrap() {
                return (buffer[..len].to_vec(), origin);
            }
            std::thread::yield_now();
        }
        panic!("nothing came");
    }

    #[test]
    fn a_socket_on_every_address_answers_from_the_one_it_was_asked_at() {
        let listener = UdpListener::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = listener.bound().port();
        let peer = std::net::UdpSocket::bind("127.0.0.9:0").unwrap();
        peer.connect(("127.0.0.5", port)).unwrap();
        peer.send(b"hello").unwrap();
        let (octets, origin) = receive(&listener);
        assert_eq!(octets, b"hello");
        assert_eq!(origin.local, SocketAddr::from(([127, 0, 0, 5], port)));
        assert!(listener.serves(origin.local));
        // A connected socket hears this only if it comes from where it sent to.
        listener.send(origin.local, origin.remote, b"back").unwrap();
        let mut buffer = [0; 16];
        peer.set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        assert_eq!(peer.recv(&mut buffer).unwrap(), 4);
    }

    #[test]
    fn ipv6_works_the_same() {
        let listener = UdpListener::bind("[::]:0".parse().unwrap()).unwrap();
        let peer = std::net::UdpSocket::bind("[::1]:0").unwrap();
        peer.send_to(b"x", ("::1", listener.bound().port())).unwrap();
        let (_, origin) = receive(&listener);
        assert_eq!(origin.local.ip(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        listener.send(origin.local, origin.remote, b"y").unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 1);
    }

    #[test]
    fn threads_share_an_address() {
        let first = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = UdpListener::bind(first.bound()).unwrap();
        assert_eq!(first.bound(), second.bound());
        assert!(!second.serves("127.0.0.2:1".parse().unwrap()));
    }
}
