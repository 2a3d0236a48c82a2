//! Media sockets: bound to one address, never blocking, shared by whoever sends through them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lane::SteeredPort;

/// What a media socket is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// `SO_RCVBUF`, in octets.
    pub(crate) receive_buffer: usize,
    /// `SO_SNDBUF`, in octets.
    pub(crate) send_buffer: usize,
    /// DSCP and ECN byte of what is sent.
    pub(crate) tos: u8,
}

/// Datagrams that a port with closed ears can have collected, generously: the least room of a receive queue takes a few of
/// the shortest.
const HEARD_EARLY_MAX: usize = 64;

/// How a socket shares its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The address is this socket's alone.
    Alone,
    /// Several workers have a socket each on the address, and the kernel spreads the peers over them
    /// (`SO_REUSEPORT`).
    AmongWorkers,
}

/// A bound UDP socket. Its worker reads from it; every thread may send through it.
#[derive(Debug)]
pub(crate) struct MediaSocket {
    udp: UdpSocket,
    local: SocketAddr,
    sharing: Sharing,
    /// DSCP and ECN byte, for what leaves by other ways.
    tos: AtomicU8,
}

/// A port for media, and how it is held.
#[derive(Debug, Clone)]
pub(crate) enum MediaPort {
    /// By a socket.
    Socket(Arc<MediaSocket>),
    /// By the lane of its address.
    Steered(Arc<SteeredPort>),
}

impl MediaPort {
    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Socket(socket) => socket.local(),
            Self::Steered(port) => port.local(),
        }
    }
}

impl MediaSocket {
    /// Binds a socket. `local` names a concrete address, so that what is sent has it as its source.
    pub(crate) fn bind(local: SocketAddr, sharing: Sharing, options: &SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(local),
            Type::DGRAM.nonblocking(),
            Some(Protocol::UDP),
        )?;
        match local {
            SocketAddr::V4(_) => socket.set_tos_v4(options.tos.into())?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_tclass_v6(options.tos.into())?;
            }
        }
        socket.set_recv_buffer_size(options.receive_buffer)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        match sharing {
            Sharing::Alone => {}
            Sharing::AmongWorkers => socket.set_reuse_port(true)?,
        }
        socket.bind(&local.into())?;
        let udp = UdpSocket::from(socket);
        let local = if local.port() == 0 {
            udp.local_addr()?
        } else {
            local
        };
        Ok(Self {
            udp,
            local,
            sharing,
            tos: AtomicU8::new(options.tos),
        })
    }

    /// Leaves room for a datagram or two: a port that waits for its call collects no more than
    /// [`open_ears`](Self::open_ears) throws away. A filter that drops everything costs ten times as much to set and take
    /// away.
    pub(crate) fn close_ears(&self) -> io::Result<()> {
        // The kernel makes the least that it allows of it.
        socket2::SockRef::from(&self.udp).set_recv_buffer_size(0)
    }

    /// The opposite of [`close_ears`](Self::close_ears): what came before is thrown away.
    pub(crate) fn open_ears(&self, options: &SocketOptions) -> io::Result<()> {
        for _ in 0..HEARD_EARLY_MAX {
            match self.udp.recv(&mut []) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A message of the network about an earlier owner of the port, or a damaged datagram.
                Err(_) => {}
            }
        }
        socket2::SockRef::from(&self.udp).set_recv_buffer_size(options.receive_buffer)
    }

    /// Sets the DSCP and ECN byte of what is sent from here on.
    pub(crate) fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.tos.store(tos, Ordering::Relaxed);
        let socket = socket2::SockRef::from(&self.udp);
        match self.local {
            SocketAddr::V4(_) => socket.set_tos_v4(tos.into()),
            SocketAddr::V6(_) => socket.set_tclass_v6(tos.into()),
        }
    }

    /// The same, as it was set last.
    pub(crate) fn tos(&self) -> u8 {
        self.tos.load(Ordering::Relaxed)
    }

    /// The size of the receive buffer that the kernel granted, without the part that it takes for itself.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        // Linux doubles what was asked for and reports the double (socket(7)).
        Ok(socket2::SockRef::from(&self.udp).recv_buffer_size()? / 2)
    }

    #[inline]
    pub(crate) fn udp(&self) -> &UdpSocket {
        &self.udp
    }

    pub(crate) fn into_udp(self) -> UdpSocket {
        self.udp
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }
}

/// Datagrams that the system dropped at a socket since it was opened, because there was no room for them; 0 where it does not
/// say.
pub(crate) fn overflows(socket: &impl AsFd) -> u64 {
    getsockopt(socket, MemInfo).map_or(0, |info| info[DROPS].into())
}

/// `SO_MEMINFO`: what a socket holds, and what it has dropped (`SK_MEMINFO_VARS` numbers).
#[derive(Debug, Clone, Copy)]
struct MemInfo;

/// `SK_MEMINFO_DROPS`
const DROPS: usize = 8;

nix::getsockopt_impl!(
    MemInfo,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; DROPS + 1],
    GetStruct<[u32; DROPS + 1]>
);

impl AsFd for MediaSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SocketOptions = SocketOptions {
        receive_buffer: 64 << 10,
        send_buffer: 64 << 10,
        tos: 184,
    };

    fn bind(local: &str, sharing: Sharing) -> io::Result<MediaSocket> {
        MediaSocket::bind(local.parse().unwrap(), sharing, &OPTIONS)
    }

    #[test]
    fn a_socket_has_the_buffers_and_the_byte_it_was_asked_for() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let socket = bind(local, Sharing::Alone).unwrap();
            let raw = socket2::SockRef::from(socket.udp());
            let tos = if socket.local().is_ipv4() {
                raw.tos_v4()
            } else {
                raw.tclass_v6()
            };
            assert_eq!(tos.unwrap(), 184);
            assert_eq!(socket.receive_buffer().unwrap(), 64 << 10);
            socket.set_tos(0).unwrap();
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_by_the_system() {
        let options = SocketOptions {
            receive_buffer: 0,
            ..OPTIONS
        };
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), Sharing::Alone, &options).unwrap();
        assert_eq!(overflows(&socket), 0);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1_000 {
            peer.send_to(b"too many", socket.local()).unwrap();
        }
        let mut heard = 0;
        while socket.udp().recv(&mut [0; 16]).is_ok() {
            heard += 1;
        }
        assert_eq!(overflows(&socket), 1_000 - heard);
    }

    #[test]
    fn an_address_is_shared_only_by_those_who_say_so() {
        let first = bind("127.0.0.1:0", Sharing::AmongWorkers).unwrap();
        let second = MediaSocket::bind(first.local(), Sharing::AmongWorkers, &OPTIONS).unwrap();
        assert_eq!(second.local(), first.local());
        let alone = MediaSocket::bind(first.local(), Sharing::Alone, &OPTIONS);
        assert_eq!(alone.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_socket_with_closed_ears_hears_only_what_comes_after_they_open() {
        let socket = bind("127.0.0.1:0", Sharing::Alone).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.close_ears().unwrap();
        for _ in 0..1_000 {
            peer.send_to(b"early", socket.local()).unwrap();
        }
        socket.open_ears(&OPTIONS).unwrap();
        assert_eq!(socket.receive_buffer().unwrap(), OPTIONS.receive_buffer);
        // On loopback a datagram is in the receive queue when `send_to` returns.
        peer.send_to(b"on time", socket.local()).unwrap();
        let mut buffer = [0; 16];
        let (len, from) = socket.udp().recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from),
            (&b"on time"[..], peer.local_addr().unwrap())
        );
    }
}
