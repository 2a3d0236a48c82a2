//! Ports without sockets of their own: a program in the kernel hands what comes to them to one socket, and another one, which takes
//! whole IP packets, sends for all of them.
//!
//! Why not the same socket, with the source port as a control message: the kernel refuses that. And why not a program that
//! changes the source port on the way out: it would have to be at every interface, now and later, and firewalls of this host
//! would see the wrong port. A raw socket costs the same (measured: 1,488 ns against 1,561 over loopback).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::socket::sockopt::{Ipv4OrigDstAddr, Ipv6OrigDstAddr, RcvBufForce, SndBufForce};
use nix::sys::socket::{SetSockOpt, setsockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use viaduct_kmod_helper::IpHeader;

use crate::socket::{MediaSocket, Sharing, SocketOptions};

/// `IPPROTO_RAW`: a socket that sends what has an IP header already, and receives nothing.
const WHOLE_PACKETS: i32 = 255;

/// A port that is steered.
#[derive(Debug)]
pub(crate) struct SteeredPort {
    local: SocketAddr,
    tos: AtomicU8,
}

impl SteeredPort {
    pub(crate) fn new(local: SocketAddr, tos: u8) -> Self {
        Self {
            local,
            tos: AtomicU8::new(tos),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sets the DSCP and ECN byte of what is sent from here on.
    pub(crate) fn set_tos(&self, tos: u8) {
        self.tos.store(tos, Ordering::Relaxed);
    }

    pub(crate) fn tos(&self) -> u8 {
        self.tos.load(Ordering::Relaxed)
    }
}

/// The way of one worker's datagrams at one address: where it hears what comes to its ports, and what it sends with.
#[derive(Debug)]
pub(crate) struct Lane {
    address: IpAddr,
    /// Bound to a port that nobody is told of. Says of each datagram where it was sent to.
    ears: UdpSocket,
    mouth: Socket,
    /// Time to live, hop limit.
    hops: u8,
    options: SocketOptions,
}

impl Lane {
    /// Opens one. Asks for `CAP_NET_RAW`.
    pub(crate) fn open(address: IpAddr, options: &SocketOptions) -> io::Result<Self> {
        let any_port = SocketAddr::new(address, 0);
        let ears = MediaSocket::bind(any_port, Sharing::Alone, options)?.into_udp();
        let hops = socket2::SockRef::from(&ears);
        let hops = match address {
            IpAddr::V4(_) => {
                setsockopt(&ears, Ipv4OrigDstAddr, &true)?;
                hops.ttl_v4()?
            }
            IpAddr::V6(_) => {
                setsockopt(&ears, Ipv6OrigDstAddr, &true)?;
                hops.unicast_hops_v6()?
            }
        };
        let protocol = Protocol::from(WHOLE_PACKETS);
        let mouth = Socket::new(
            Domain::for_address(any_port),
            Type::RAW.nonblocking(),
            Some(protocol),
        )?;
        // Routes may depend on the source.
        mouth.bind(&any_port.into())?;
        mouth.set_send_buffer_size(options.send_buffer)?;
        // Whoever may steer may go beyond the limits of the system.
        force(&ears, RcvBufForce, options.receive_buffer);
        force(&mouth, SndBufForce, options.send_buffer);
        Ok(Self {
            address,
            ears,
            mouth,
            hops: u8::try_from(hops).unwrap_or(u8::MAX),
            options: *options,
        })
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Where datagrams are read.
    pub(crate) fn ears(&self) -> BorrowedFd<'_> {
        self.ears.as_fd()
    }

    /// Where packets are sent to [`mailing_address`].
    pub(crate) fn mouth(&self) -> BorrowedFd<'_> {
        self.mouth.as_fd()
    }

    /// The headers of a datagram from one of our ports.
    pub(crate) fn header(&self, port: u16, to: SocketAddr, tos: u8, payload: &[u8]) -> Option<IpHeader> {
        IpHeader::new(SocketAddr::new(self.address, port), to, tos, self.hops, payload)
    }

    /// Sends one datagram.
    pub(crate) fn send(&self, port: &SteeredPort, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let number = port.local().port();
        let header = self.header(number, to, port.tos(), payload);
        let header = header.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let parts = [io::IoSlice::new(header.octets()), io::IoSlice::new(payload)];
        let sent = self
            .mouth
            .send_to_vectored(&parts, &SockAddr::from(mailing_address(to)));
        match sent {
            Err(error) if is_too_long(&error) => self.send_in_fragments(number, to, port.tos(), payload),
            sent => sent.map(|_| ()),
        }
    }

    /// Sends one datagram that is longer than a packet on its way may be. That takes an ordinary socket, which cuts it; rare enough
    /// to make one each time.
    pub(crate) fn send_in_fragments(
        &self,
        port: u16,
        to: SocketAddr,
        tos: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let options = SocketOptions { tos, ..self.options };
        let local = SocketAddr::new(self.address, port);
        let socket = MediaSocket::bind(local, Sharing::Alone, &options)?;
        socket.udp().send_to(payload, to)?;
        Ok(())
    }
}

/// Whom a whole packet is given to the kernel for: it refuses ports there (`raw(7)`).
pub(crate) fn mailing_address(mut to: SocketAddr) -> SocketAddr {
    to.set_ip(to.ip().to_canonical());
    to.set_port(0);
    to
}

/// Whether a packet did not go because of its length.
pub(crate) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32)
}

/// Without the privilege it stays at what was granted.
fn force<O: SetSockOpt<Val = usize>>(socket: &impl AsFd, option: O, octets: usize) {
    let _ = setsockopt(socket, option, &octets);
}
