//! Bursts to one peer: the packets of a picture, which the kernel takes as one datagram and parts again at the very end
//! (UDP_SEGMENT). Measured: a quarter of what sending them one by one costs.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use viaduct_forward::PacketBuf;

use super::batch::{BATCH_MAX, Headers, send_all};
use super::stats::IoStats;

/// Shorter datagrams are not looked at: speech has one packet for each peer at a time, and looking costs.
pub(super) const OCTETS_MIN: usize = 500;

/// Octets of one burst: those of the longest UDP datagram there is over IPv4.
const OCTETS_MAX: usize = 65_507;

/// Where datagrams stand that wait to be sent, and where each goes.
pub(super) type Departing = [(usize, SocketAddr)];

/// Sends batches of one socket, and what of them are bursts as such.
pub(super) struct Bursts {
    /// False where the kernel does not know how (before 4.18), or once a driver has refused.
    usable: bool,
    singles: Vec<(usize, SocketAddr)>,
}

/// Places in a batch that belong together.
struct Burst {
    to: SocketAddr,
    places: [u8; BATCH_MAX],
    len: usize,
}

impl Burst {
    fn places(&self) -> impl Iterator<Item = usize> {
        self.places[..self.len].iter().map(|at| usize::from(*at))
    }
}

/// What goes with the datagram at a place to the same peer: those of the same length that follow it, up to the first shorter one,
/// which may be the last. Order is kept: nothing to that peer is left out in between.
fn burst_from(first: usize, departing: &Departing, octets: impl Fn(usize) -> usize) -> Burst {
    let (size, to) = (octets(first), departing[first].1);
    let mut burst = Burst {
        to,
        places: [0; BATCH_MAX],
        len: 0,
    };
    let room = OCTETS_MAX / size.max(1);
    for (at, (_, peer)) in departing.iter().enumerate().take(BATCH_MAX).skip(first) {
        if *peer != to {
            continue;
        }
        let of = octets(at);
        if of > size || of == 0 || burst.len == room {
            break;
        }
        burst.places[burst.len] = at as u8;
        burst.len += 1;
        if of < size {
            break;
        }
    }
    burst
}

impl Bursts {
    /// For a socket, and up to `batch` datagrams at a time.
    pub(super) fn new(socket: &impl AsFd, batch: usize) -> Self {
        Self {
            usable: getsockopt(socket, UdpGsoSegment).is_ok(),
            singles: Vec::with_capacity(batch),
        }
    }

    /// Sends everything that departs, and counts it.
    pub(super) fn send(
        &mut self,
        (socket, headers): (BorrowedFd<'_>, &mut Headers),
        departing: &Departing,
        buffers: &[PacketBuf],
        stats: &IoStats,
    ) {
        let octets = |at: usize| buffers[departing[at].0].len();
        if !self.usable || (0..departing.len()).all(|at| octets(at) < OCTETS_MIN) {
            return send_each((socket, headers), departing, buffers, stats);
        }
        let mut done = [false; BATCH_MAX];
        for at in 0..departing.len() {
            if done.get(at) == Some(&true) {
                continue;
            }
            if self.usable && octets(at) >= OCTETS_MIN {
                let burst = burst_from(at, departing, octets);
                if burst.len > 1 {
                    self.send_singles((socket, &mut *headers), buffers, stats);
                    if self.send_burst((socket, &mut *headers), &burst, departing, buffers, stats) {
                        burst.places().for_each(|at| done[at] = true);
                        continue;
                    }
                }
            }
            self.singles.push(departing[at]);
        }
        self.send_singles((socket, headers), buffers, stats);
    }

    /// False if none of it went: each is to be tried by itself, which tells why.
    fn send_burst(
        &mut self,
        (socket, headers): (BorrowedFd<'_>, &mut Headers),
        burst: &Burst,
        departing: &Departing,
        buffers: &[PacketBuf],
        stats: &IoStats,
    ) -> bool {
        let mut parts = [IoSlice::new(&[]); BATCH_MAX];
        for (part, at) in parts.iter_mut().zip(burst.places()) {
            *part = IoSlice::new(buffers[departing[at].0].data());
        }
        let parts = &parts[..burst.len];
        match headers.send_burst(socket, burst.to, parts) {
            Ok(()) => {
                stats.sent.add(burst.len as u64);
                stats.sent_in_bursts.add(burst.len as u64);
                stats
                    .sent_octets
                    .add(parts.iter().map(|part| part.len() as u64).sum());
                true
            }
            Err(error) => {
                // It comes with encryption of IP, or with a card that adds no checksums. Other faults are the peer's.
                self.usable &= error.raw_os_error() != Some(Errno::EIO as i32);
                false
            }
        }
    }

    fn send_singles(&mut self, by: (BorrowedFd<'_>, &mut Headers), buffers: &[PacketBuf], stats: &IoStats) {
        send_each(by, &self.singles, buffers, stats);
        self.singles.clear();
    }
}

/// Sends datagrams as what they are.
fn send_each(
    (socket, headers): (BorrowedFd<'_>, &mut Headers),
    departing: &Departing,
    buffers: &[PacketBuf],
    stats: &IoStats,
) {
    let octets = |(buffer, _): &(usize, SocketAddr)| buffers[*buffer].len();
    send_all(stats, departing, octets, |rest| {
        let part = |at: usize| (rest[at].1, [buffers[rest[at].0].data()]);
        headers.send(socket, rest.len(), part)
    });
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::socket::{MediaSocket, Sharing, SocketOptions};

    fn peer(number: u16) -> SocketAddr {
        ([192, 0, 2, 1], number).into()
    }

    /// The places that go with the first of datagrams of these lengths to these peers.
    fn places(datagrams: &[(usize, u16)]) -> Vec<usize> {
        let departing: Vec<_> = datagrams.iter().map(|(_, to)| (0, peer(*to))).collect();
        let burst = burst_from(0, &departing, |at| datagrams[at].0);
        burst.places().collect()
    }

    #[test]
    fn a_burst_is_of_one_peer_and_one_length_but_for_its_end() {
        assert_eq!(places(&[(1_100, 1), (1_100, 1), (700, 1)]), [0, 1, 2]);
        assert_eq!(places(&[(1_100, 1), (700, 1), (700, 1)]), [0, 1]);
        assert_eq!(places(&[(1_100, 1), (1_101, 1), (1_100, 1)]), [0]);
        assert_eq!(places(&[(1_100, 1), (1_100, 2), (1_100, 1)]), [0, 2]);
        assert_eq!(places(&[(1_100, 1), (0, 1), (1_100, 1)]), [0]);
        assert_eq!(places(&[(1_100, 1); 64]).len(), 59);
    }

    struct Street {
        from: MediaSocket,
        headers: Headers,
        bursts: Bursts,
        stats: IoStats,
    }

    impl Street {
        fn new(local: &str) -> Self {
            let options = SocketOptions {
                receive_buffer: 1 << 20,
                send_buffer: 1 << 20,
                tos: 0,
            };
            let from = MediaSocket::bind(local.parse().unwrap(), Sharing::Alone, &options).unwrap();
            Self {
                headers: Headers::new(from.local(), BATCH_MAX),
                bursts: Bursts::new(&from, BATCH_MAX),
                stats: IoStats::default(),
                from,
            }
        }

        fn send(&mut self, datagrams: &[(Vec<u8>, SocketAddr)]) {
            let mut buffers = vec![PacketBuf::new(); datagrams.len()];
            let mut departing = Vec::new();
            for (at, (octets, to)) in datagrams.iter().enumerate() {
                buffers[at].fill(octets);
                departing.push((at, *to));
            }
            let by = (self.from.as_fd(), &mut self.headers);
            self.bursts.send(by, &departing, &buffers, &self.stats);
        }
    }

    fn listener(local: &str) -> UdpSocket {
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    fn heard(by: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        let len = by.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    #[test]
    fn what_goes_as_a_burst_arrives_as_it_was_and_in_order() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let mut street = Street::new(local);
            let (left, right) = (listener(local), listener(local));
            let [to_left, to_right] = [&left, &right].map(|of| of.local_addr().unwrap());
            // Speech, a picture to each of two, and a picture whose packets grow.
            let lengths = [160, 1_100, 1_100, 640, 160, 1_100, 1_101, 1_101];
            let datagrams: Vec<_> = (0..BATCH_MAX)
                .map(|at| {
                    let to = if at % 3 == 0 { to_right } else { to_left };
                    (vec![at as u8; lengths[at % lengths.len()]], to)
                })
                .collect();
            street.send(&datagrams);
            for (by, of) in [(&left, to_left), (&right, to_right)] {
                for (octets, _) in datagrams.iter().filter(|(_, to)| *to == of) {
                    assert_eq!(heard(by), *octets);
                }
            }
            let stats = street.stats.snapshot();
            assert_eq!(stats.sent, BATCH_MAX as u64);
            assert_eq!(
                stats.sent_octets,
                datagrams
                    .iter()
                    .map(|(octets, _)| octets.len() as u64)
                    .sum::<u64>()
            );
            assert!(stats.sent_in_bursts > 20, "{stats:?}");
        }
    }

    #[test]
    fn where_bursts_are_unknown_all_goes_one_by_one() {
        let mut street = Street::new("127.0.0.1:0");
        let by = listener("127.0.0.1:0");
        street.bursts.usable = false;
        let datagrams = vec![(vec![7; 1_000], by.local_addr().unwrap()); 5];
        street.send(&datagrams);
        for (octets, _) in &datagrams {
            assert_eq!(heard(&by), *octets);
        }
        assert_eq!(
            (
                street.stats.snapshot().sent,
                street.stats.snapshot().sent_in_bursts
            ),
            (5, 0)
        );
    }

    /// What cannot go as a burst is tried by itself, and counted for what it is.
    #[test]
    fn a_burst_that_cannot_go_is_counted_one_by_one() {
        let mut street = Street::new("127.0.0.1:0");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        street.send(&vec![(vec![7; 1_000], nowhere); 3]);
        let stats = street.stats.snapshot();
        assert!(street.bursts.usable, "it is the peer's fault");
        assert_eq!(stats.sent, 0);
        assert_eq!(stats.faults.iter().map(|(_, count)| count).sum::<u64>(), 3);
    }
}
