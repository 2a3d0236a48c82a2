//! One UDP socket of one signalling thread.
//!
//! Every thread has its own on the same address (SO_REUSEPORT): the kernel spreads peers over them. A socket on the
//! unspecified address learns from each datagram which address it was sent to, and answers from there.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg,
    sendmmsg, sendmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use smallvec::SmallVec;
use socket2::{Domain, Protocol, Socket, Type};
use viaduct_routing::SendId;

/// The largest datagram there is, and a little more to see that one was larger.
pub(crate) const DATAGRAM_MAX: usize = 65_536;

/// What the kernel is asked to keep for us while we are busy, in octets. It may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Octets of an undelivered datagram that the network gives back and that are read: enough for the request line and the
/// first Via.
const QUOTED_MAX: usize = 576;

/// ICMP messages taken before datagrams get their turn.
const ERRORS_A_ROUND: usize = 64;

/// Faults of earlier datagrams that a later one is told and that are passed over.
const FORMER_ERRORS_MAX: usize = 3;

/// Datagrams taken or sent in one system call.
pub(crate) const BATCH: usize = 32;

/// Datagrams asked for while few come: one, and room to see that it was the only one. To prepare for more takes longer than
/// the rest of the call.
const FEW: usize = 2;

/// System calls in a row that have found as many datagrams as they could take before the kernel is asked when each came.
/// While little waits, nobody needs to know.
const FULL_UNTIMED_MAX: u32 = 16;

/// Room for the datagrams that one system call takes from one socket. One thread's own: it holds addresses for the kernel. And
/// one socket's own: the room that the kernel has for what it says about a datagram is as large as what it said last, which
/// is not the same for all sockets.
#[derive(Debug)]
pub(crate) struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    buffer: Vec<u8>,
    taken: Vec<Option<Taken>>,
    /// More than one came last time, so that as many as possible are asked for.
    come_together: bool,
    /// How many system calls in a row have found as much as they could take.
    full: u32,
    /// The kernel says when each datagram came.
    is_timed: bool,
}

/// What was taken: so many octets, from somebody, who has waited so long.
type Taken = (usize, Origin, Duration);

/// What one system call needs to send many datagrams. One thread's own.
#[derive(Debug)]
pub(crate) struct SendRoom {
    plain: MultiHeaders<SockaddrStorage>,
    from_v4: MultiHeaders<SockaddrStorage>,
    from_v6: MultiHeaders<SockaddrStorage>,
}

/// A datagram to send.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) octets: Bytes,
    /// Whom to tell when it cannot be sent.
    pub(crate) id: Option<SendId>,
}

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
        // What the network says about datagrams that it could not deliver is kept for us, each with what it was about.
        match addr {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
        }
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

    /// Takes datagrams that wait, [`BATCH`] at most, in one system call: after one that has found less than two, [`FEW`].
    /// True when more may be waiting.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> io::Result<bool> {
        if !inbox.come_together {
            inbox.full = 0;
            return self.receive_up_to::<FEW>(inbox);
        }
        let may_have_more = self.receive_up_to::<BATCH>(inbox)?;
        inbox.full = if may_have_more { inbox.full + 1 } else { 0 };
        if inbox.full > FULL_UNTIMED_MAX && !inbox.is_timed {
            // A kernel that does not is as good as one under which nothing waits.
            inbox.is_timed = setsockopt(&self.socket, sockopt::ReceiveTimestampns, &true).is_ok();
            // It says more than before, and needs room for it.
            inbox.headers = Inbox::headers();
        }
        Ok(may_have_more)
    }

    fn receive_up_to<const COUNT: usize>(&self, inbox: &mut Inbox) -> io::Result<bool> {
        let Inbox {
            headers,
            buffer,
            taken,
            come_together,
            is_timed,
            ..
        } = inbox;
        taken.clear();
        *come_together = false;
        let mut slices = buffer.chunks_exact_mut(DATAGRAM_MAX);
        let mut slices: [[IoSliceMut<'_>; 1]; COUNT] =
            std::array::from_fn(|_| [IoSliceMut::new(slices.next().unwrap_or_default())]);
        let fd = self.socket.as_raw_fd();
        let received = match recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::empty(), None) {
            Ok(received) => received,
            Err(Errno::EWOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let now = is_timed.then(SystemTime::now);
        for message in received {
            // A datagram without an address to answer to concerns nobody.
            let origin = message.address.as_ref().and_then(to_std).map(|remote| {
                let local = message
                    .cmsgs()
                    .ok()
                    .and_then(|mut all| all.find_map(|message| destination(&message)));
                let local = local.map_or(self.bound, |ip| SocketAddr::new(ip, self.bound.port()));
                Origin { remote, local }
            });
            let waited = now.and_then(|now| {
                let came = message.cmsgs().ok()?.find_map(|message| time_of(&message))?;
                // Somebody may have set the clock.
                now.duration_since(came).ok()
            });
            taken.push(origin.map(|origin| (message.bytes, origin, waited.unwrap_or_default())));
        }
        *come_together = taken.len() >= FEW;
        Ok(taken.len() == COUNT)
    }

    /// Takes what the network has said about datagrams that it could not deliver (ICMP): the beginning of each. The peer
    /// of whoever sent it may be another thread's.
    pub(crate) fn take_undelivered(&self) -> Vec<Bytes> {
        let fd = self.socket.as_raw_fd();
        let mut found = Vec::new();
        let mut control = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
        for _ in 0..ERRORS_A_ROUND {
            let mut quoted = [0; QUOTED_MAX];
            let mut slices = [IoSliceMut::new(&mut quoted)];
            let taken = recvmsg::<SockaddrStorage>(
                fd,
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
            );
            let Ok(taken) = taken else { break };
            let is_dead = taken
                .cmsgs()
                .is_ok_and(|mut all| all.any(|message| is_unreachable(&message)));
            let octets = taken.bytes;
            if is_dead {
                found.push(Bytes::copy_from_slice(&quoted[..octets]));
            }
        }
        found
    }

    /// Sends datagrams that leave from one of our addresses, the same for all. Answers how many of them were sent before
    /// one could not be. The first one's fault is an error.
    pub(crate) fn send_all(&self, room: &mut SendRoom, datagrams: &[Datagram]) -> io::Result<usize> {
        let mut sent = self.try_send_all(room, datagrams);
        for _ in 0..FORMER_ERRORS_MAX {
            // The kernel tells whoever sends next of an earlier datagram that could not be delivered.
            match &sent {
                Err(error) if is_of_the_network(error) => sent = self.try_send_all(room, datagrams),
                _ => break,
            }
        }
        sent
    }

    fn try_send_all(&self, room: &mut SendRoom, datagrams: &[Datagram]) -> io::Result<usize> {
        let [first, second, ..] = datagrams else {
            return match datagrams.first() {
                Some(only) => self.send(only.local, only.remote, &only.octets).map(|()| 1),
                None => Ok(0),
            };
        };
        debug_assert_eq!(first.local, second.local);
        let datagrams = &datagrams[..datagrams.len().min(BATCH)];
        let addresses: SmallVec<[Option<SockaddrStorage>; BATCH]> = datagrams
            .iter()
            .map(|datagram| Some(SockaddrStorage::from(datagram.remote)))
            .collect();
        let slices: SmallVec<[[IoSlice<'_>; 1]; BATCH]> = datagrams
            .iter()
            .map(|datagram| [IoSlice::new(&datagram.octets)])
            .collect();
        let fd = self.socket.as_raw_fd();
        let (no_flags, local) = (MsgFlags::empty(), first.local.ip());
        let sent = if !self.bound.ip().is_unspecified() || local.is_unspecified() {
            sendmmsg(fd, &mut room.plain, slices.iter(), addresses, [], no_flags)?.count()
        } else {
            match local {
                IpAddr::V4(ip) => {
                    let info = ipv4_info(ip);
                    let from = [ControlMessage::Ipv4PacketInfo(&info)];
                    sendmmsg(fd, &mut room.from_v4, slices.iter(), addresses, from, no_flags)?.count()
                }
                IpAddr::V6(ip) => {
                    let info = ipv6_info(ip);
                    let from = [ControlMessage::Ipv6PacketInfo(&info)];
                    sendmmsg(fd, &mut room.from_v6, slices.iter(), addresses, from, no_flags)?.count()
                }
            }
        };
        Ok(sent)
    }

    /// Sends one datagram from one of our addresses.
    fn send(&self, local: SocketAddr, remote: SocketAddr, octets: &[u8]) -> io::Result<()> {
        if !self.bound.ip().is_unspecified() || local.ip().is_unspecified() {
            self.socket.send_to(octets, remote)?;
            return Ok(());
        }
        let to = SockaddrStorage::from(remote);
        let slices = [IoSlice::new(octets)];
        let fd = self.socket.as_raw_fd();
        match local.ip() {
            IpAddr::V4(ip) => {
                let info = ipv4_info(ip);
                sendmsg(
                    fd,
                    &slices,
                    &[ControlMessage::Ipv4PacketInfo(&info)],
                    MsgFlags::empty(),
                    Some(&to),
                )?;
            }
            IpAddr::V6(ip) => {
                let info = ipv6_info(ip);
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
}

impl Inbox {
    /// Room for [`BATCH`] datagrams of any size. Pages that no datagram reaches take no memory.
    pub(crate) fn new() -> Self {
        Self {
            headers: Self::headers(),
            buffer: vec![0; BATCH * DATAGRAM_MAX],
            taken: Vec::with_capacity(BATCH),
            come_together: false,
            full: 0,
            is_timed: false,
        }
    }

    fn headers() -> MultiHeaders<SockaddrStorage> {
        let said = nix::cmsg_space!(nix::libc::in6_pktinfo, TimeSpec);
        MultiHeaders::preallocate(BATCH, Some(said))
    }

    /// What was taken last, and how long each has waited, as far as the kernel was asked.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (Origin, Duration, &[u8])> {
        let slots = self.buffer.chunks_exact(DATAGRAM_MAX).zip(&self.taken);
        slots.filter_map(|(slot, taken)| {
            let (octets, origin, waited) = (*taken)?;
            Some((origin, waited, &slot[..octets]))
        })
    }
}

impl SendRoom {
    pub(crate) fn new() -> Self {
        Self {
            plain: MultiHeaders::preallocate(BATCH, None),
            from_v4: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(nix::libc::in_pktinfo))),
            from_v6: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(nix::libc::in6_pktinfo))),
        }
    }
}

/// What an ICMP message means that nobody is there. Others (too large, on its way too long) are not the peer's fault.
fn is_unreachable(message: &ControlMessageOwned) -> bool {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message
    else {
        return false;
    };
    let from_the_network =
        [nix::libc::SO_EE_ORIGIN_ICMP, nix::libc::SO_EE_ORIGIN_ICMP6].contains(&error.ee_origin);
    let Ok(number) = i32::try_from(error.ee_errno) else {
        return false;
    };
    from_the_network && is_of_the_network(&io::Error::from_raw_os_error(number))
}

fn is_of_the_network(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

/// The address of ours that a datagram was sent to.
fn destination(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    }
}

/// When a datagram came.
fn time_of(message: &ControlMessageOwned) -> Option<SystemTime> {
    let ControlMessageOwned::ScmTimestampns(time) = message else {
        return None;
    };
    SystemTime::UNIX_EPOCH.checked_add(Duration::from(*time))
}

/// What makes the kernel send from this address.
fn ipv4_info(ip: Ipv4Addr) -> nix::libc::in_pktinfo {
    nix::libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: in_addr(ip),
        ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
    }
}

/// The same for IPv6.
fn ipv6_info(ip: Ipv6Addr) -> nix::libc::in6_pktinfo {
    nix::libc::in6_pktinfo {
        ipi6_addr: in6_addr(ip),
        ipi6_ifindex: 0,
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
        let mut inbox = Inbox::new();
        for _ in 0..1_000_000 {
            listener.receive(&mut inbox).unwrap();
            if let Some((origin, _, octets)) = inbox.datagrams().next() {
                return (octets.to_vec(), origin);
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

    fn datagram(local: SocketAddr, remote: SocketAddr, text: String) -> Datagram {
        Datagram {
            local,
            remote,
            octets: text.into(),
            id: None,
        }
    }

    #[test]
    fn many_datagrams_leave_and_come_in_one_call_each_from_its_own_address() {
        for (any, ours, peer) in [
            ("0.0.0.0:0", "127.0.0.5", "127.0.0.9:0"),
            ("127.0.0.5:0", "127.0.0.5", "127.0.0.9:0"),
            ("[::]:0", "::1", "[::1]:0"),
        ] {
            let listener = UdpListener::bind(any.parse().unwrap()).unwrap();
            let ours = SocketAddr::new(ours.parse().unwrap(), listener.bound().port());
            let peer = UdpListener::bind(peer.parse().unwrap()).unwrap();
            let mut room = SendRoom::new();
            for _ in 0..2 {
                let datagrams: Vec<Datagram> = (0..BATCH + 3)
                    .map(|number| datagram(ours, peer.bound(), format!("{number}")))
                    .collect();
                assert_eq!(listener.send_all(&mut room, &datagrams).unwrap(), BATCH);
                assert_eq!(listener.send_all(&mut room, &datagrams[BATCH..]).unwrap(), 3);
                let (mut inbox, mut got) = (Inbox::new(), Vec::new());
                while got.len() < BATCH + 3 {
                    peer.receive(&mut inbox).unwrap();
                    for (origin, _, octets) in inbox.datagrams() {
                        assert_eq!(origin.remote, ours);
                        got.push(String::from_utf8(octets.to_vec()).unwrap());
                    }
                }
                let expected: Vec<String> = (0..BATCH + 3).map(|number| number.to_string()).collect();
                assert_eq!(got, expected);
            }
        }
    }

    #[test]
    fn a_few_are_asked_for_until_many_come() {
        let listener = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let bound = listener.bound();
        // Loopback has delivered a datagram when it has taken it.
        let send = |count| {
            for _ in 0..count {
                peer.send_to(b"x", bound).unwrap();
            }
        };
        let mut inbox = Inbox::new();
        let mut receive = |more| {
            assert_eq!(listener.receive(&mut inbox).unwrap(), more);
            inbox.datagrams().count()
        };
        send(1);
        assert_eq!(receive(false), 1);
        send(FEW + BATCH + 1);
        assert_eq!(receive(true), FEW);
        assert_eq!(receive(true), BATCH);
        assert_eq!(receive(false), 1);
        assert_eq!(receive(false), 0);
    }

    #[test]
    fn how_long_a_datagram_has_waited_is_known_when_many_keep_waiting() {
        for any in ["0.0.0.0:0", "127.0.0.1:0", "[::]:0"] {
            let listener = UdpListener::bind(any.parse().unwrap()).unwrap();
            let (ours, from) = match listener.bound().is_ipv4() {
                true => ("127.0.0.1", "127.0.0.1:0"),
                false => ("::1", "[::1]:0"),
            };
            let to = SocketAddr::new(ours.parse().unwrap(), listener.bound().port());
            let peer = std::net::UdpSocket::bind(from).unwrap();
            let mut inbox = Inbox::new();
            let mut waited = |listener: &UdpListener, count: usize| {
                for _ in 0..count {
                    peer.send_to(b"x", to).unwrap();
                }
                listener.receive(&mut inbox).unwrap();
                let all: Vec<_> = inbox
                    .datagrams()
                    .map(|(origin, waited, _)| {
                        assert_eq!(origin.local, to);
                        waited
                    })
                    .collect();
                all
            };
            waited(&listener, FEW);
            for _ in 0..=FULL_UNTIMED_MAX {
                assert_eq!(waited(&listener, BATCH), [Duration::ZERO; BATCH]);
            }
            let begun = SystemTime::now();
            let known = waited(&listener, BATCH);
            let bound = begun.elapsed().unwrap();
            assert!(
                known
                    .iter()
                    .all(|&waited| waited > Duration::ZERO && waited <= bound),
                "{known:?}"
            );
            // The first of them has waited longest.
            assert!(known.is_sorted_by(|one, next| one >= next), "{known:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_does_not_keep_the_others_back() {
        let listener = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let wrong: SocketAddr = "[::1]:9".parse().unwrap();
        let to = |remote| datagram(listener.bound(), remote, "x".to_owned());
        let datagrams = [to(peer.bound()), to(wrong), to(peer.bound())];
        let mut room = SendRoom::new();
        assert_eq!(listener.send_all(&mut room, &datagrams).unwrap(), 1);
        assert!(listener.send_all(&mut room, &datagrams[1..]).is_err());
        assert_eq!(listener.send_all(&mut room, &datagrams[2..]).unwrap(), 1);
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
