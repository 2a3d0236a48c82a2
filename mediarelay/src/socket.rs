//! Media sockets: bound to one address, never blocking, shared by whoever sends through them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

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

/// Peers that one port has sockets for, one after the other. Who moves on more often is sent to as all others are.
pub(crate) const CONNECTED_MAX: usize = 4;

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
    /// Made when a peer has turned out to be the one.
    connected: OnceLock<Box<Connected>>,
    local: SocketAddr,
    sharing: Sharing,
    /// DSCP and ECN byte, for what leaves by other ways.
    tos: AtomicU8,
}

/// A further socket of a port, for one peer alone: what comes from there comes to it, all else to the first. The kernel remembers the
/// way to a socket's peer, and looks it up anew for each datagram without one. A peer stays, since other threads send at any time; for
/// the next one there is another socket.
#[derive(Debug)]
struct Connected {
    udp: UdpSocket,
    peer: SocketAddr,
    next: OnceLock<Box<Connected>>,
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
        let socket = unbound(local, options)?;
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
            connected: OnceLock::new(),
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
        SockRef::from(&self.udp).set_recv_buffer_size(0)
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
        SockRef::from(&self.udp).set_recv_buffer_size(options.receive_buffer)
    }

    /// Sets the DSCP and ECN byte of what is sent from here on.
    pub(crate) fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.tos.store(tos, Ordering::Relaxed);
        for udp in self.connected() {
            self.mark(udp, tos)?;
        }
        self.mark(&self.udp, tos)
    }

    fn mark(&self, udp: &UdpSocket, tos: u8) -> io::Result<()> {
        let socket = SockRef::from(udp);
        match self.local {
            SocketAddr::V4(_) => socket.set_tos_v4(tos.into()),
            SocketAddr::V6(_) => socket.set_tclass_v6(tos.into()),
        }
    }

    /// Opens a further socket of the port for what comes from this peer and goes there. Its descriptor is below `descriptors_max`, for
    /// others need the rest. Before anything can come to it, `watch` sees to it that it is read. The port is to be
    /// [`Alone`](Sharing::Alone), and who reads from it is the one to ask. After an error all is as it was.
    ///
    /// # Errors
    /// What the system says, and `AlreadyExists` where the peer has one or [`CONNECTED_MAX`] others have.
    pub(crate) fn connect(
        &self,
        peer: SocketAddr,
        descriptors_max: RawFd,
        watch: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let place = self.further().last().map_or(&self.connected, |last| &last.next);
        if self.further().count() >= CONNECTED_MAX || self.further().any(|of| of.peer == peer) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (first, tos) = (SockRef::from(&self.udp), self.tos());
        let options = SocketOptions {
            // Linux reports the double of what was asked for (socket(7)).
            receive_buffer: first.recv_buffer_size()? / 2,
            send_buffer: first.send_buffer_size()? / 2,
            tos,
        };
        let second = unbound(self.local, &options)?;
        if second.as_raw_fd() >= descriptors_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        watch(second.as_fd())?;
        // For this moment alone, so that nobody else can ever have the port as well.
        let share = |shared: bool| {
            let others = self.connected().chain([&self.udp]).map(SockRef::from);
            let mut all = others.chain([SockRef::from(&second)]);
            all.try_for_each(|socket| socket.set_reuse_port(shared))
        };
        let bound = share(true).and_then(|()| second.bind(&self.local.into()));
        share(false)?;
        bound?;
        second.connect(&peer.into())?;
        let udp = UdpSocket::from(second);
        let next = OnceLock::new();
        let connected = place.get_or_init(|| Box::new(Connected { udp, peer, next }));
        if self.tos() != tos {
            // Set meanwhile.
            let _ = self.mark(&connected.udp, self.tos());
        }
        Ok(())
    }

    /// The port's further sockets. What came before one of them knew its peer may be from anybody.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &UdpSocket> {
        self.further().map(|connected| &connected.udp)
    }

    #[inline]
    fn further(&self) -> impl Iterator<Item = &Connected> {
        let first = self.connected.get().map(Box::as_ref);
        std::iter::successors(first, |connected| connected.next.get().map(Box::as_ref))
    }

    /// Reads something of each line of memory that sending will need, and gives a number that means nothing.
    #[inline]
    pub(crate) fn glance(&self) -> usize {
        let further = self.further().next().map_or(&self.udp, |first| &first.udp);
        (self.udp.as_raw_fd() ^ further.as_raw_fd()).unsigned_abs() as usize
    }

    /// Sends a datagram.
    #[inline]
    pub(crate) fn send(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        if let Some(connected) = self.further().find(|connected| connected.peer == to) {
            match connected.udp.send(data) {
                // What the network said of an earlier datagram, which stands in the way of this one, once.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
        self.udp.send_to(data, to)
    }

    /// The same, as it was set last.
    pub(crate) fn tos(&self) -> u8 {
        self.tos.load(Ordering::Relaxed)
    }

    /// The size of the receive buffer that the kernel granted, without the part that it takes for itself.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        // Linux doubles what was asked for and reports the double (socket(7)).
        Ok(SockRef::from(&self.udp).recv_buffer_size()? / 2)
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

/// A socket that is bound nowhere yet.
fn unbound(local: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
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
    Ok(socket)
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
            let raw = SockRef::from(socket.udp());
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

    fn anybody(_: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn heard(udp: &UdpSocket) -> Option<Vec<u8>> {
        let mut buffer = [0; 16];
        udp.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())
    }

    #[test]
    fn a_second_socket_has_what_its_peer_sends_and_the_first_one_all_else() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let port = bind(any, Sharing::Alone).unwrap();
            let [peer, stranger] = [(); 2].map(|()| UdpSocket::bind(any).unwrap());
            port.connect(peer.local_addr().unwrap(), RawFd::MAX, anybody)
                .unwrap();
            let second = port.connected().next().unwrap();
            let raw = SockRef::from(second);
            assert_eq!(raw.recv_buffer_size().unwrap() / 2, OPTIONS.receive_buffer);
            port.set_tos(0x68).unwrap();
            let tos = if port.local().is_ipv4() {
                raw.tos_v4()
            } else {
                raw.tclass_v6()
            };
            assert_eq!(tos.unwrap(), 0x68);
            peer.send_to(b"peer", port.local()).unwrap();
            stranger.send_to(b"stranger", port.local()).unwrap();
            assert_eq!((heard(second), heard(second)), (Some(b"peer".to_vec()), None));
            assert_eq!(
                (heard(port.udp()), heard(port.udp())),
                (Some(b"stranger".to_vec()), None)
            );
            for to in [&peer, &stranger] {
                assert_eq!(port.send(b"x", to.local_addr().unwrap()).unwrap(), 1);
                let (_, from) = to.recv_from(&mut [0; 16]).unwrap();
                assert_eq!(from, port.local());
            }
            for sharing in [Sharing::Alone, Sharing::AmongWorkers] {
                let thief = MediaSocket::bind(port.local(), sharing, &OPTIONS);
                assert_eq!(thief.unwrap_err().kind(), io::ErrorKind::AddrInUse);
            }
            // The port is nobody's when both are gone.
            let local = port.local();
            drop(port);
            MediaSocket::bind(local, Sharing::Alone, &OPTIONS).unwrap();
        }
    }

    #[test]
    fn a_port_has_sockets_for_a_few_peers_one_after_the_other() {
        let port = bind("127.0.0.1:0", Sharing::Alone).unwrap();
        let peers: Vec<UdpSocket> = (0..=CONNECTED_MAX)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        for (number, peer) in peers.iter().enumerate() {
            let at = peer.local_addr().unwrap();
            assert_eq!(
                port.connect(at, RawFd::MAX, anybody).is_ok(),
                number < CONNECTED_MAX
            );
            port.connect(at, RawFd::MAX, anybody).unwrap_err();
        }
        for peer in &peers {
            peer.send_to(b"x", port.local()).unwrap();
            port.send(b"y", peer.local_addr().unwrap()).unwrap();
            assert_eq!(heard(peer), Some(b"y".to_vec()));
        }
        let sockets: Vec<&UdpSocket> = port.connected().chain([port.udp()]).collect();
        assert_eq!(sockets.len(), peers.len());
        for socket in sockets {
            assert_eq!((heard(socket), heard(socket)), (Some(b"x".to_vec()), None));
        }
    }

    #[test]
    fn what_the_network_says_of_a_datagram_keeps_no_other_one() {
        let port = bind("127.0.0.1:0", Sharing::Alone).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = peer.local_addr().unwrap();
        port.connect(at, RawFd::MAX, anybody).unwrap();
        drop(peer);
        // Refused by this machine, at once.
        assert_eq!(port.send(b"nobody there", at).unwrap(), 12);
        let peer = UdpSocket::bind(at).unwrap();
        peer.set_nonblocking(true).unwrap();
        for _ in 0..3 {
            assert_eq!(port.send(b"again", at).unwrap(), 5);
            assert_eq!(heard(&peer), Some(b"again".to_vec()));
        }
    }

    #[test]
    fn without_room_for_a_second_socket_all_is_as_it_was() {
        let port = bind("127.0.0.1:0", Sharing::Alone).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = peer.local_addr().unwrap();
        port.connect(at, 3, anybody).unwrap_err();
        let unwatched = |_: BorrowedFd<'_>| Err(io::ErrorKind::OutOfMemory.into());
        port.connect(at, RawFd::MAX, unwatched).unwrap_err();
        assert_eq!(port.connected().count(), 0);
        peer.send_to(b"peer", port.local()).unwrap();
        assert_eq!(heard(port.udp()), Some(b"peer".to_vec()));
    }
}
