use std::net::UdpSocket;

use super::super::mailbox::{Mailbox, MailboxReader, Order, mailbox};
use super::*;
use crate::socket::SocketOptions;

const OPTIONS: SocketOptions = SocketOptions {
    receive_buffer: 256 << 10,
    send_buffer: 256 << 10,
    tos: 0,
};

/// Judges by a closure.
struct Says<F>(F);

impl<F: FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure> Judge for Says<F> {
    fn expect(&mut self, _: &[(SocketId, SocketAddr)]) {}

    fn judge(&mut self, socket: SocketId, from: SocketAddr, buffer: &mut PacketBuf) -> Departure {
        (self.0)(socket, from, buffer)
    }
}

fn says<F: FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure>(judge: F) -> Says<F> {
    Says(judge)
}

struct Bench {
    io: PortSockets,
    stats: Arc<IoStats>,
    mailbox: Mailbox,
    reader: MailboxReader,
    peer: UdpSocket,
}

impl Bench {
    fn new(limits: &ShellLimits) -> Self {
        Self::with(limits, Vec::new())
    }

    fn with(limits: &ShellLimits, lanes: Vec<Arc<Lane>>) -> Self {
        let (mailbox, reader) = mailbox(4).unwrap();
        let stats = Arc::new(IoStats::default());
        let epoll = PortSockets::epoll(&reader.bell(), &lanes, None).unwrap();
        let io = PortSockets::new(epoll, (lanes, None), limits, Arc::clone(&stats));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        Self {
            io,
            stats,
            mailbox,
            reader,
            peer,
        }
    }

    fn open(&mut self, id: u32, sharing: Sharing, listen: bool) -> SocketAddr {
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), sharing, &OPTIONS).unwrap();
        let local = socket.local();
        self.io
            .open(SocketId(id), MediaPort::Socket(Arc::new(socket)), listen)
            .unwrap();
        local
    }

    /// What is read when everything is sent to `to` and reversed.
    fn forward_all(&mut self, via: u32, to: SocketAddr) -> usize {
        let mut received = 0;
        while self.io.wait(Wait::Look).unwrap().datagrams {
            received += self.io.exchange(&mut says(|_, _, buffer| {
                buffer.data_mut().reverse();
                Departure::By(SocketId(via), to)
            }));
        }
        received
    }

    fn heard(&self) -> Vec<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| {
            let (len, from) = self.peer.recv_from(&mut buffer).ok()?;
            Some((buffer[..len].to_vec(), from))
        })
        .collect()
    }
}

#[test]
fn datagrams_go_from_any_kind_of_socket_through_any_other() {
    for from_kind in [Sharing::Alone, Sharing::AmongWorkers] {
        for to_kind in [Sharing::Alone, Sharing::AmongWorkers] {
            let mut bench = Bench::new(&ShellLimits {
                batch: 4,
                ..ShellLimits::default()
            });
            let enter = bench.open(3, from_kind, true);
            let leave = bench.open(9, to_kind, false);
            let peer = bench.peer.local_addr().unwrap();
            // More than a batch, and more than a turn of batches.
            for number in 0..37u8 {
                bench.peer.send_to(&[number, 1, 2], enter).unwrap();
            }
            assert_eq!(bench.forward_all(9, peer), 37);
            let heard = bench.heard();
            let expected: Vec<_> = (0..37u8).map(|number| (vec![2, 1, number], leave)).collect();
            assert_eq!(heard, expected, "{from_kind:?} to {to_kind:?}");
            let stats = bench.stats.snapshot();
            assert_eq!((stats.received, stats.sent, stats.sent_octets), (37, 37, 111));
        }
    }
}

#[test]
fn several_sockets_share_the_buffers() {
    let mut bench = Bench::new(&ShellLimits {
        batch: 4,
        ..ShellLimits::default()
    });
    let ports: Vec<_> = (0..11).map(|id| bench.open(id, Sharing::Alone, true)).collect();
    bench.open(20, Sharing::AmongWorkers, false);
    bench.open(21, Sharing::AmongWorkers, false);
    let peer = bench.peer.local_addr().unwrap();
    for (number, port) in ports.iter().enumerate() {
        bench.peer.send_to(&[number as u8], port).unwrap();
    }
    assert!(bench.io.wait(Wait::ForWork).unwrap().datagrams);
    let read = bench
        .io
        .exchange(&mut says(|id, _, _| Departure::By(SocketId(20 + id.0 % 2), peer)));
    assert_eq!(read, 11);
    let mut heard: Vec<u8> = bench.heard().iter().map(|(data, _)| data[0]).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..11).collect::<Vec<u8>>());
}

#[test]
fn the_bell_is_told_apart_from_datagrams() {
    let mut bench = Bench::new(&ShellLimits::default());
    assert_eq!(
        bench.io.wait(Wait::Look).unwrap(),
        Found {
            bell: false,
            datagrams: false
        }
    );
    bench.mailbox.put(Order::Stop).unwrap();
    bench.mailbox.ring();
    assert_eq!(
        bench.io.wait(Wait::ForWork).unwrap(),
        Found {
            bell: true,
            datagrams: false
        }
    );
    bench.reader.heard();
    assert_eq!(
        bench.io.wait(Wait::Look).unwrap(),
        Found {
            bell: false,
            datagrams: false
        }
    );
    let port = bench.open(0, Sharing::Alone, true);
    bench.peer.send_to(b"x", port).unwrap();
    bench.mailbox.put(Order::Stop).unwrap();
    bench.mailbox.ring();
    assert_eq!(
        bench.io.wait(Wait::ForWork).unwrap(),
        Found {
            bell: true,
            datagrams: true
        }
    );
    assert_eq!(bench.io.exchange(&mut says(|_, _, _| Departure::None)), 1);
}

#[test]
fn a_closed_socket_is_neither_heard_nor_sent_through() {
    let mut bench = Bench::new(&ShellLimits::default());
    let port = bench.open(0, Sharing::Alone, true);
    let peer = bench.peer.local_addr().unwrap();
    // Somebody else holds it too, so the descriptor stays open.
    let Some(Some(End::Own { socket, .. })) = bench.io.sockets.first() else {
        panic!("the port has no socket");
    };
    let other = Arc::clone(socket);
    bench.io.close(SocketId(0));
    bench.peer.send_to(b"x", port).unwrap();
    assert!(!bench.io.wait(Wait::Look).unwrap().datagrams);
    drop(other);
    let still = bench.open(1, Sharing::Alone, true);
    bench.peer.send_to(b"x", still).unwrap();
    assert_eq!(bench.forward_all(0, peer), 1);
    let faults = bench.stats.snapshot().faults;
    assert_eq!(faults[SendFault::NoSocket as usize], (SendFault::NoSocket, 1));
    assert_eq!(bench.stats.snapshot().sockets, 1);
}

#[test]
fn what_cannot_be_sent_is_counted_and_the_rest_goes_on() {
    for kind in [Sharing::Alone, Sharing::AmongWorkers] {
        let mut bench = Bench::new(&ShellLimits::default());
        let port = bench.open(0, Sharing::AmongWorkers, true);
        bench.open(1, kind, false);
        let good = bench.peer.local_addr().unwrap();
        let bad: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        for number in 0..6u8 {
            bench.peer.send_to(&[number], port).unwrap();
        }
        bench.io.wait(Wait::ForWork).unwrap();
        bench.io.exchange(&mut says(|_, _, buffer| {
            let to = if buffer.data()[0] % 2 == 0 { good } else { bad };
            Departure::By(SocketId(1), to)
        }));
        let heard: Vec<u8> = bench.heard().iter().map(|(data, _)| data[0]).collect();
        assert_eq!(heard, [0, 2, 4], "{kind:?}");
        let stats = bench.stats.snapshot();
        let faults: u64 = stats.faults.iter().map(|(_, count)| count).sum();
        assert_eq!((stats.sent, faults), (3, 3));
    }
}

#[test]
fn an_injected_datagram_goes_out_as_if_it_had_come() {
    let mut bench = Bench::new(&ShellLimits::default());
    let leave = bench.open(0, Sharing::AmongWorkers, false);
    let peer = bench.peer.local_addr().unwrap();
    bench.io.inject(b"abc", |buffer| {
        assert_eq!(buffer.data(), b"abc");
        Departure::By(SocketId(0), peer)
    });
    assert_eq!(bench.heard(), [(b"abc".to_vec(), leave)]);
}

#[test]
fn an_empty_datagram_is_read_once() {
    for kind in [Sharing::Alone, Sharing::AmongWorkers] {
        let mut bench = Bench::new(&ShellLimits::default());
        let port = bench.open(0, kind, true);
        bench.peer.send_to(b"", port).unwrap();
        bench.io.wait(Wait::ForWork).unwrap();
        assert_eq!(
            bench.io.exchange(&mut says(|_, _, buffer| {
                assert!(buffer.is_empty());
                Departure::None
            })),
            1
        );
        assert!(!bench.io.wait(Wait::Look).unwrap().datagrams);
    }
}

/// One packet after the other, each answered before the next.
fn talk(bench: &mut Bench, port: SocketAddr, via: u32, packets: usize) {
    let peer = bench.peer.local_addr().unwrap();
    for number in 0..packets {
        bench.peer.send_to(&[number as u8, 1], port).unwrap();
        assert_eq!(bench.forward_all(via, peer), 1);
        assert_eq!(bench.heard(), [(vec![1, number as u8], port)]);
    }
}

#[test]
fn a_port_that_hears_one_peer_alone_gets_a_further_socket_and_goes_on_to_hear_all() {
    let mut bench = Bench::new(&ShellLimits::default());
    let port = bench.open(0, Sharing::Alone, true);
    talk(&mut bench, port, 0, usize::from(REGULAR) - 1);
    assert_eq!(bench.stats.snapshot().connected, 0);
    talk(&mut bench, port, 0, 200);
    assert_eq!(bench.stats.snapshot().connected, 1);
    // The peer's by one socket, a stranger's by the other.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(&[7, 1], port).unwrap();
    let peer = bench.peer.local_addr().unwrap();
    assert_eq!(bench.forward_all(0, peer), 1);
    assert_eq!(bench.heard(), [(vec![1, 7], port)]);
    // The peer has gone, and this machine says so; what a stranger sends is forwarded to where the peer was, nevertheless.
    let again = std::mem::replace(&mut bench.peer, UdpSocket::bind("127.0.0.1:0").unwrap());
    drop(again);
    for _ in 0..3 {
        stranger.send_to(&[8, 1], port).unwrap();
        bench.forward_all(0, peer);
    }
    assert!(!bench.io.wait(Wait::Look).unwrap().datagrams);
    let stats = bench.stats.snapshot();
    assert_eq!(stats.sent, stats.received);
    assert_eq!((stats.receive_errors, stats.sockets), (0, 1));
    // Another one in its place.
    bench.peer.set_nonblocking(true).unwrap();
    talk(&mut bench, port, 0, 200);
    assert_eq!(bench.stats.snapshot().connected, 2);
    bench.io.close(SocketId(0));
    let stats = bench.stats.snapshot();
    assert_eq!((stats.connected, stats.sockets), (0, 0));
}

#[test]
fn a_port_with_several_peers_has_one_socket() {
    let mut bench = Bench::new(&ShellLimits::default());
    let port = bench.open(0, Sharing::Alone, true);
    let peer = bench.peer.local_addr().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..300 {
        bench.peer.send_to(b"x", port).unwrap();
        other.send_to(b"y", port).unwrap();
        assert_eq!(bench.forward_all(0, peer), 2);
    }
    assert_eq!(bench.stats.snapshot().connected, 0);
}

#[test]
fn further_sockets_are_bounded_and_given_to_a_few_ports_at_a_time() {
    for (max, ports) in [(0, 1), (2, 9), (64, 9)] {
        let mut bench = Bench::new(&ShellLimits {
            connected_sockets: max,
            ..ShellLimits::default()
        });
        let ports: Vec<SocketAddr> = (0..ports)
            .map(|id| bench.open(id, Sharing::Alone, true))
            .collect();
        let peer = bench.peer.local_addr().unwrap();
        let mut before = 0;
        for round in 0..100 {
            for port in &ports {
                bench.peer.send_to(&[1], port).unwrap();
            }
            assert!(bench.io.wait(Wait::ForWork).unwrap().datagrams);
            let read = bench
                .io
                .exchange(&mut says(|_, _, _| Departure::By(SocketId(0), peer)));
            assert_eq!((read, bench.heard().len()), (ports.len(), ports.len()), "{round}");
            let connected = bench.stats.snapshot().connected as usize;
            assert!(connected <= before + CONNECTED_PER_TURN);
            before = connected;
        }
        assert_eq!(before, max.min(ports.len()));
    }
}

/// A lane whose one port is that of its own socket, so that nobody has to steer. `None`, and a line that says so, where whole packets
/// may not be sent.
fn lane(ip: &str) -> Option<(Arc<Lane>, SocketAddr)> {
    let lane = match Lane::open(ip.parse().unwrap(), &OPTIONS) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: this process may not send whole packets: {error}");
            return None;
        }
        lane => lane.unwrap(),
    };
    let local = socket2::SockRef::from(&lane.ears()).local_addr().unwrap();
    Some((Arc::new(lane), local.as_socket().unwrap()))
}

#[test]
fn a_lane_hears_and_says_what_its_ports_do() {
    for ip in ["127.0.0.1", "::1"] {
        let Some((lane, port)) = lane(ip) else { return };
        let limits = ShellLimits {
            batch: 4,
            ..ShellLimits::default()
        };
        let mut bench = Bench::with(&limits, vec![lane]);
        bench.peer = UdpSocket::bind((port.ip(), 0)).unwrap();
        bench.peer.set_nonblocking(true).unwrap();
        let peer = bench.peer.local_addr().unwrap();
        let steered = |at: SocketAddr| MediaPort::Steered(Arc::new(SteeredPort::new(at, 184)));
        // Nobody is bound to the port that it is said from.
        let leave = SocketAddr::new(port.ip(), 20_010);
        bench.io.open(SocketId(3), steered(port), true).unwrap();
        bench.io.open(SocketId(9), steered(leave), false).unwrap();
        for number in 0..37u8 {
            bench.peer.send_to(&[number, 1, 2], port).unwrap();
        }
        assert_eq!(bench.forward_all(9, peer), 37);
        let expected: Vec<_> = (0..37u8).map(|number| (vec![2, 1, number], leave)).collect();
        assert_eq!(bench.heard(), expected);
        let before = bench.stats.snapshot();
        assert_eq!((before.received, before.sent, before.sent_octets), (37, 37, 111));
        // What cannot go does not keep the others.
        bench.io.inject(b"x", |_| {
            Departure::By(SocketId(9), SocketAddr::from(([0, 0, 0, 0], 0)))
        });
        bench.io.inject(b"y", |_| Departure::By(SocketId(9), peer));
        assert_eq!(bench.heard(), [(b"y".to_vec(), leave)]);
        bench.io.close(SocketId(3));
        bench.peer.send_to(b"late", port).unwrap();
        bench.forward_all(9, peer);
        assert_eq!((bench.heard(), bench.stats.snapshot().strays), (vec![], 1));
        let elsewhere = steered("192.0.2.1:20000".parse().unwrap());
        assert!(bench.io.open(SocketId(1), elsewhere, true).is_err());
    }
}

#[test]
fn a_port_is_given_to_the_next_before_the_one_before_it_lets_go() {
    let Some((lane, port)) = lane("127.0.0.1") else {
        return;
    };
    let mut bench = Bench::with(&ShellLimits::default(), vec![lane]);
    let steered = || MediaPort::Steered(Arc::new(SteeredPort::new(port, 0)));
    bench.io.open(SocketId(0), steered(), true).unwrap();
    bench.io.open(SocketId(1), steered(), true).unwrap();
    bench.io.close(SocketId(0));
    bench.peer.send_to(b"x", port).unwrap();
    let mut heard = Vec::new();
    while bench.io.wait(Wait::Look).unwrap().datagrams {
        bench.io.exchange(&mut says(|id, _, _| {
            heard.push(id);
            Departure::None
        }));
    }
    assert_eq!(heard, [SocketId(1)]);
}
