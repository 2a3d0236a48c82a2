//! Many datagrams per system call, for sockets where many come at once.
//!
//! `recvmmsg` and `sendmmsg` through nix, which keeps the headers that the kernel fills in. The headers remember the
//! size of the last address, so each set serves one socket and one direction.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvmmsg, sendmmsg,
};
use viaduct_forward::PacketBuf;

use super::stats::{IoStats, SendFault};

/// Most datagrams of one system call, whatever the settings say.
pub(crate) const BATCH_MAX: usize = 64;

/// The headers of one socket.
pub(super) enum Headers {
    V4(Pair<SockaddrIn>),
    V6(Pair<SockaddrIn6>),
}

/// One set for each direction.
pub(super) struct Pair<A> {
    receive: MultiHeaders<A>,
    send: MultiHeaders<A>,
    /// Of one message that stands for several datagrams.
    burst: MultiHeaders<A>,
}

impl<A: SockaddrLike + Copy> Pair<A> {
    fn new(batch: usize, told: Option<Vec<u8>>) -> Self {
        Self {
            receive: MultiHeaders::preallocate(batch, told),
            send: MultiHeaders::preallocate(batch, None),
            burst: MultiHeaders::preallocate(1, Some(nix::cmsg_space!(u16))),
        }
    }
}

impl Headers {
    /// For a socket of `local`'s family, and up to `batch` datagrams a call.
    pub(super) fn new(local: SocketAddr, batch: usize) -> Self {
        Self::with(local, batch, None)
    }

    /// The same, with room for where each datagram was sent to, if the socket is set to tell.
    pub(super) fn with_destinations(local: SocketAddr, batch: usize) -> Self {
        Self::with(local, batch, Some(nix::cmsg_space!(nix::libc::sockaddr_in6)))
    }

    fn with(local: SocketAddr, batch: usize, told: Option<Vec<u8>>) -> Self {
        let batch = batch.min(BATCH_MAX);
        match local {
            SocketAddr::V4(_) => Self::V4(Pair::new(batch, told)),
            SocketAddr::V6(_) => Self::V6(Pair::new(batch, told)),
        }
    }

    /// Receives into the front of `buffers` without waiting, and says in the front of `from` who sent each. Returns how
    /// many came.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        buffers: &mut [PacketBuf],
        from: &mut [SocketAddr],
    ) -> io::Result<usize> {
        match self {
            Self::V4(pair) => receive(socket, &mut pair.receive, buffers, from, |_, _| ()),
            Self::V6(pair) => receive(socket, &mut pair.receive, buffers, from, |_, _| ()),
        }
    }

    /// The same, and says in the front of `ports` to which port each was sent; 0 where the kernel does not say.
    pub(super) fn receive_at_ports(
        &mut self,
        socket: BorrowedFd<'_>,
        buffers: &mut [PacketBuf],
        from: &mut [SocketAddr],
        ports: &mut [u16],
    ) -> io::Result<usize> {
        match self {
            Self::V4(pair) => receive(socket, &mut pair.receive, buffers, from, |at, told| {
                ports[at] = port_of(told);
            }),
            Self::V6(pair) => receive(socket, &mut pair.receive, buffers, from, |at, told| {
                ports[at] = port_of(told);
            }),
        }
    }

    /// Sends the front of so many datagrams, without waiting: `part` gives whom one goes to, and its octets. Returns how many
    /// went.
    ///
    /// # Errors
    /// Why the first one did not go.
    pub(super) fn send<'b, const N: usize>(
        &mut self,
        socket: BorrowedFd<'_>,
        count: usize,
        part: impl Fn(usize) -> (SocketAddr, [&'b [u8]; N]),
    ) -> io::Result<usize> {
        match self {
            Self::V4(pair) => send(socket, &mut pair.send, count, part),
            Self::V6(pair) => send(socket, &mut pair.send, count, part),
        }
    }

    /// Sends datagrams to one peer with one way through the kernel (UDP_SEGMENT): all are as long as the first but the last, which
    /// may be shorter. All go or none.
    pub(super) fn send_burst(
        &mut self,
        socket: BorrowedFd<'_>,
        to: SocketAddr,
        parts: &[IoSlice<'_>],
    ) -> io::Result<()> {
        match self {
            Self::V4(pair) => send_burst(socket, &mut pair.burst, to, parts),
            Self::V6(pair) => send_burst(socket, &mut pair.burst, to, parts),
        }
    }
}

/// Sends everything that departs, batch by batch, and counts what went and what did not. `send` sends from the front of what it is
/// given; `octets` are those of one datagram.
pub(super) fn send_all<T>(
    stats: &IoStats,
    departing: &[T],
    octets: impl Fn(&T) -> usize,
    mut send: impl FnMut(&[T]) -> io::Result<usize>,
) {
    let mut rest = departing;
    while !rest.is_empty() {
        match send(rest) {
            Ok(sent) => {
                let (gone, left) = rest.split_at(sent.clamp(1, rest.len()));
                stats.sent.add(gone.len() as u64);
                stats
                    .sent_octets
                    .add(gone.iter().map(|of| octets(of) as u64).sum());
                rest = left;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let fault = SendFault::of(&error);
                // With a full buffer the others would fare no better.
                let lost = if fault == SendFault::BufferFull {
                    rest.len()
                } else {
                    1
                };
                (0..lost).for_each(|_| stats.count_fault(fault));
                rest = &rest[lost..];
            }
        }
    }
}

/// An address as the kernel takes it, of one family.
pub(super) trait Address: SockaddrLike + Copy + Into<SocketAddr> {
    /// `None` for an address of the other family.
    fn of(address: SocketAddr) -> Option<Self>;
}

impl Address for SockaddrIn {
    fn of(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V4(address) => Some(Self::from(address)),
            SocketAddr::V6(address) => {
                let ip = address.ip().to_ipv4_mapped()?;
                Some(Self::from(SocketAddrV4::new(ip, address.port())))
            }
        }
    }
}

impl Address for SockaddrIn6 {
    fn of(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V4(_) => None,
            SocketAddr::V6(address) => Some(Self::from(SocketAddrV6::new(
                *address.ip(),
                address.port(),
                0,
                address.scope_id(),
            ))),
        }
    }
}

fn receive<A: Address>(
    socket: BorrowedFd<'_>,
    headers: &mut MultiHeaders<A>,
    buffers: &mut [PacketBuf],
    from: &mut [SocketAddr],
    mut each: impl FnMut(usize, &RecvMsg<'_, '_, A>),
) -> io::Result<usize> {
    let mut lengths = [0; BATCH_MAX];
    // Slices beyond the buffers stay empty and are not passed on.
    let count = buffers.len().min(BATCH_MAX);
    let mut received = 0;
    {
        let mut buffers = buffers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH_MAX] = std::array::from_fn(|_| {
            let space = buffers.next().map_or(&mut [][..], PacketBuf::receive_space);
            [IoSliceMut::new(space)]
        });
        let results = recvmmsg(
            socket.as_raw_fd(),
            headers,
            slices[..count].iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        for (result, (length, from)) in results.zip(lengths.iter_mut().zip(from)) {
            *length = result.bytes;
            each(received, &result);
            if let Some(address) = result.address {
                *from = address.into();
            }
            received += 1;
        }
    }
    for (buffer, length) in buffers.iter_mut().zip(&lengths[..received]) {
        buffer.set_received(*length);
    }
    Ok(received)
}

/// The port that a datagram was sent to, or 0.
fn port_of<A>(told: &RecvMsg<'_, '_, A>) -> u16 {
    let mut told = told.cmsgs().into_iter().flatten();
    let port = told.find_map(|told| match told {
        ControlMessageOwned::Ipv4OrigDstAddr(to) => Some(to.sin_port),
        ControlMessageOwned::Ipv6OrigDstAddr(to) => Some(to.sin6_port),
        _ => None,
    });
    port.map_or(0, u16::from_be)
}

fn send<'b, A: Address, const N: usize>(
    socket: BorrowedFd<'_>,
    headers: &mut MultiHeaders<A>,
    count: usize,
    part: impl Fn(usize) -> (SocketAddr, [&'b [u8]; N]),
) -> io::Result<usize> {
    let mut addresses: [Option<A>; BATCH_MAX] = [None; BATCH_MAX];
    let mut slices = [[IoSlice::new(&[]); N]; BATCH_MAX];
    let mut usable = 0;
    for at in 0..count.min(BATCH_MAX) {
        let (to, octets) = part(at);
        addresses[at] = A::of(to);
        if addresses[at].is_none() {
            break;
        }
        slices[at] = octets.map(IoSlice::new);
        usable += 1;
    }
    if usable == 0 {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let sent = sendmmsg(
        socket.as_raw_fd(),
        headers,
        &slices[..usable],
        &addresses[..usable],
        [],
        MsgFlags::MSG_DONTWAIT,
    )?;
    Ok(sent.count())
}

fn send_burst<A: Address>(
    socket: BorrowedFd<'_>,
    headers: &mut MultiHeaders<A>,
    to: SocketAddr,
    parts: &[IoSlice<'_>],
) -> io::Result<()> {
    let to = A::of(to).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let first = parts.first().map_or(0, |part| part.len());
    let size = u16::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    sendmmsg(
        socket.as_raw_fd(),
        headers,
        &[parts],
        [Some(to)],
        [ControlMessage::UdpGsoSegments(&size)],
        MsgFlags::MSG_DONTWAIT,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::socket::{MediaSocket, Sharing, SocketOptions};

    const OPTIONS: SocketOptions = SocketOptions {
        receive_buffer: 256 << 10,
        send_buffer: 256 << 10,
        tos: 0,
    };

    fn socket(local: &str) -> MediaSocket {
        MediaSocket::bind(local.parse().unwrap(), Sharing::Alone, &OPTIONS).unwrap()
    }

    /// Datagrams by their buffers, and where they go.
    fn send(
        headers: &mut Headers,
        by: &MediaSocket,
        buffers: &[PacketBuf],
        to: &[(usize, SocketAddr)],
    ) -> io::Result<usize> {
        headers.send(by.as_fd(), to.len(), |at| (to[at].1, [buffers[to[at].0].data()]))
    }

    fn nobody() -> SocketAddr {
        ([0, 0, 0, 0], 0).into()
    }

    #[test]
    fn a_batch_goes_out_and_comes_in_with_its_addresses() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let (left, right) = (socket(local), socket(local));
            let mut headers = Headers::new(left.local(), 8);
            let mut buffers: Vec<PacketBuf> = vec![PacketBuf::new(); 8];
            let departing: Vec<(usize, SocketAddr)> = (0..5).map(|at| (at, right.local())).collect();
            for round in 0..3u8 {
                for (at, buffer) in buffers.iter_mut().enumerate() {
                    buffer.fill(&[round, at as u8]);
                }
                assert_eq!(send(&mut headers, &left, &buffers, &departing).unwrap(), 5);
                let mut into = vec![PacketBuf::new(); 8];
                let mut from = vec![nobody(); 8];
                let mut receiving = Headers::new(right.local(), 8);
                assert_eq!(receiving.receive(right.as_fd(), &mut into, &mut from).unwrap(), 5);
                for at in 0..5 {
                    assert_eq!(into[at].data(), [round, at as u8]);
                    assert_eq!(from[at], left.local());
                }
                let empty = receiving
                    .receive(right.as_fd(), &mut into, &mut from)
                    .unwrap_err();
                assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
            }
        }
    }

    #[test]
    fn headers_serve_again_after_shorter_batches_and_long_datagrams() {
        let right = socket("127.0.0.1:0");
        let left = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut headers = Headers::new(right.local(), 4);
        let (mut into, mut from) = (vec![PacketBuf::new(); 4], vec![nobody(); 4]);
        for lengths in [&[1usize, 1400, 0, 9][..], &[5000][..], &[3, 2][..]] {
            for length in lengths {
                left.send_to(&vec![7; *length], right.local()).unwrap();
            }
            assert_eq!(
                headers.receive(right.as_fd(), &mut into, &mut from).unwrap(),
                lengths.len()
            );
            for (at, length) in lengths.iter().enumerate() {
                assert_eq!(into[at].len(), (*length).min(viaduct_forward::RECEIVE_MAX));
                assert_eq!(from[at], left.local_addr().unwrap());
            }
        }
    }

    #[test]
    fn one_that_cannot_go_is_named_when_it_is_first() {
        let (left, right) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut headers = Headers::new(left.local(), 8);
        let mut buffers = vec![PacketBuf::new(); 3];
        for buffer in &mut buffers {
            buffer.fill(b"x");
        }
        let foreign: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        let departing = [(0, right.local()), (1, foreign), (2, right.local())];
        assert_eq!(send(&mut headers, &left, &buffers, &departing).unwrap(), 1);
        assert!(send(&mut headers, &left, &buffers, &departing[1..]).is_err());
        assert_eq!(send(&mut headers, &left, &buffers, &departing[2..]).unwrap(), 1);
        // Port 0 is refused by the kernel.
        let nowhere = [(0, SocketAddr::from(([127, 0, 0, 1], 0)))];
        assert!(send(&mut headers, &left, &buffers, &nowhere).is_err());
    }
}
