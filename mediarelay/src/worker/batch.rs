//! Many datagrams per system call, for sockets where many come at once.
//!
//! `recvmmsg` and `sendmmsg` through nix, which keeps the headers that the kernel fills in. The headers remember the
//! size of the last address, so each set serves one socket and one direction.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg};
use viaduct_forward::PacketBuf;

use crate::socket::MediaSocket;

/// Most datagrams of one system call, whatever the settings say.
pub(crate) const BATCH_MAX: usize = 64;

/// A datagram that waits to be sent: where it stands, and where it goes.
pub(super) type Departing = (usize, SocketAddr);

/// The headers of one socket.
pub(super) enum Headers {
    V4(Pair<SockaddrIn>),
    V6(Pair<SockaddrIn6>),
}

/// One set for each direction.
pub(super) struct Pair<A> {
    receive: MultiHeaders<A>,
    send: MultiHeaders<A>,
}

impl<A: SockaddrLike + Copy> Pair<A> {
    fn new(batch: usize) -> Self {
        Self {
            receive: MultiHeaders::preallocate(batch, None),
            send: MultiHeaders::preallocate(batch, None),
        }
    }
}

impl Headers {
    /// For a socket of `local`'s family, and up to `batch` datagrams a call.
    pub(super) fn new(local: SocketAddr, batch: usize) -> Self {
        let batch = batch.min(BATCH_MAX);
        match local {
            SocketAddr::V4(_) => Self::V4(Pair::new(batch)),
            SocketAddr::V6(_) => Self::V6(Pair::new(batch)),
        }
    }

    /// Receives into the front of `buffers` without waiting, and says in the front of `from` who sent each. Returns how
    /// many came.
    pub(super) fn receive(
        &mut self,
        socket: &MediaSocket,
        buffers: &mut [PacketBuf],
        from: &mut [SocketAddr],
    ) -> io::Result<usize> {
        let mut lengths = [0; BATCH_MAX];
        let count = match self {
            Self::V4(pair) => receive(socket, &mut pair.receive, buffers, &mut lengths, from)?,
            Self::V6(pair) => receive(socket, &mut pair.receive, buffers, &mut lengths, from)?,
        };
        for (buffer, length) in buffers.iter_mut().zip(&lengths[..count]) {
            buffer.set_received(*length);
        }
        Ok(count)
    }

    /// Sends from the front of `departing`, without waiting. Returns how many went.
    ///
    /// # Errors
    /// Why the first one did not go.
    pub(super) fn send(
        &mut self,
        socket: &MediaSocket,
        buffers: &[PacketBuf],
        departing: &[Departing],
    ) -> io::Result<usize> {
        match self {
            Self::V4(pair) => send(socket, &mut pair.send, buffers, departing),
            Self::V6(pair) => send(socket, &mut pair.send, buffers, departing),
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
    socket: &MediaSocket,
    headers: &mut MultiHeaders<A>,
    buffers: &mut [PacketBuf],
    lengths: &mut [usize; BATCH_MAX],
    from: &mut [SocketAddr],
) -> io::Result<usize> {
    let mut buffers = buffers.iter_mut();
    // Slices beyond the buffers stay empty and are not passed on.
    let count = buffers.len().min(BATCH_MAX);
    let mut slices: [[IoSliceMut<'_>; 1]; BATCH_MAX] = std::array::from_fn(|_| {
        let space = buffers.next().map_or(&mut [][..], PacketBuf::receive_space);
        [IoSliceMut::new(space)]
    });
    let fd = socket.udp().as_raw_fd();
    let results = recvmmsg(
        fd,
        headers,
        slices[..count].iter_mut(),
        MsgFlags::MSG_DONTWAIT,
        None,
    )?;
    let mut received = 0;
    for (result, (length, from)) in results.zip(lengths.iter_mut().zip(from)) {
        *length = result.bytes;
        if let Some(address) = result.address {
            *from = address.into();
        }
        received += 1;
    }
    Ok(received)
}

fn send<A: Address>(
    socket: &MediaSocket,
    headers: &mut MultiHeaders<A>,
    buffers: &[PacketBuf],
    departing: &[Departing],
) -> io::Result<usize> {
    let count = departing.len().min(BATCH_MAX);
    let mut addresses: [Option<A>; BATCH_MAX] = [None; BATCH_MAX];
    let mut usable = 0;
    for (slot, (_, to)) in addresses.iter_mut().zip(&departing[..count]) {
        *slot = A::of(*to);
        if slot.is_none() {
            break;
        }
        usable += 1;
    }
    if usable == 0 {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let slices: [[IoSlice<'_>; 1]; BATCH_MAX] = std::array::from_fn(|at| {
        let data = departing[..usable]
            .get(at)
            .map_or(&[][..], |(buffer, _)| buffers[*buffer].data());
        [IoSlice::new(data)]
    });
    let fd = socket.udp().as_raw_fd();
    let sent = sendmmsg(
        fd,
        headers,
        &slices[..usable],
        &addresses[..usable],
        [],
        MsgFlags::MSG_DONTWAIT,
    )?;
    Ok(sent.count())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::socket::{Sharing, SocketOptions};

    const OPTIONS: SocketOptions = SocketOptions {
        receive_buffer: 256 << 10,
        send_buffer: 256 << 10,
        tos: 0,
    };

    fn socket(local: &str) -> MediaSocket {
        MediaSocket::bind(local.parse().unwrap(), Sharing::Alone, &OPTIONS).unwrap()
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
            let departing: Vec<Departing> = (0..5).map(|at| (at, right.local())).collect();
            for round in 0..3u8 {
                for (at, buffer) in buffers.iter_mut().enumerate() {
                    buffer.fill(&[round, at as u8]);
                }
                assert_eq!(headers.send(&left, &buffers, &departing).unwrap(), 5);
                let mut into = vec![PacketBuf::new(); 8];
                let mut from = vec![nobody(); 8];
                let mut receiving = Headers::new(right.local(), 8);
                assert_eq!(receiving.receive(&right, &mut into, &mut from).unwrap(), 5);
                for at in 0..5 {
                    assert_eq!(into[at].data(), [round, at as u8]);
                    assert_eq!(from[at], left.local());
                }
                let empty = receiving.receive(&right, &mut into, &mut from).unwrap_err();
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
                headers.receive(&right, &mut into, &mut from).unwrap(),
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
        assert_eq!(headers.send(&left, &buffers, &departing).unwrap(), 1);
        assert!(headers.send(&left, &buffers, &departing[1..]).is_err());
        assert_eq!(headers.send(&left, &buffers, &departing[2..]).unwrap(), 1);
        // Port 0 is refused by the kernel.
        let nowhere = [(0, SocketAddr::from(([127, 0, 0, 1], 0)))];
        assert!(headers.send(&left, &buffers, &nowhere).is_err());
    }
}
