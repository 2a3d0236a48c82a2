//! Frames that interfaces hand to workers, and frames that workers send, over links.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

use etherparse::{NetHeaders, PacketHeaders};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use viaduct_kmod_helper::{FrameCount, FrameSocket, FramesAt, Hearer, NextHops, Refused, Steering};

use crate::bench::{PATIENCE, Street, frame_between, hand_on, ip, rtp};

const WORKERS: usize = 2;
const MTU: u32 = 1500;
/// By family: what the relay has towards Alice, and Alice's address.
const RELAY: [&str; 2] = ["10.1.0.1:30000", "[fd01::1]:30000"];
const ALICE: [&str; 2] = ["10.1.0.2:4000", "[fd01::2]:4000"];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A relay whose interface towards Alice hands frames on.
struct Relay {
    steering: Steering,
    /// Hears what takes its way through the kernel.
    ear: UdpSocket,
    workers: Vec<Vec<FramesAt>>,
}

impl Relay {
    /// `None` where this kernel has no sockets for frames.
    fn new(at: &str) -> Option<Self> {
        let ear = UdpSocket::bind(at).unwrap();
        ear.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut steering = Steering::open(16, &[ear.as_fd()]).unwrap();
        let workers = hand_on(&mut steering, "r1", WORKERS, FrameCount::new(512))?;
        assert_eq!(workers.len(), WORKERS);
        Some(Self {
            steering,
            ear,
            workers,
        })
    }

    fn give(&mut self, port: &str, worker: Option<u32>) {
        let hearer = Hearer { socket: 0, worker };
        self.steering.steer(address(port), hearer).unwrap();
    }

    /// What the ear hears next.
    fn heard(&self) -> Vec<u8> {
        let mut buffer = [0; 65_536];
        let len = self.ear.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    /// The next frame for a worker.
    fn frame(&mut self, worker: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let sockets = &mut self.workers[worker];
            let mut polled: Vec<_> = sockets
                .iter()
                .map(|at| PollFd::new(at.socket.as_fd(), PollFlags::POLLIN))
                .collect();
            poll(&mut polled, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
            for at in sockets {
                let mut frame = Vec::new();
                if at.socket.receive(1, |octets| frame = octets.to_vec()) == 1 {
                    return frame;
                }
            }
        }
        panic!("no frame for worker {worker}");
    }

    /// Whether a worker has a frame now.
    fn has_frame(&mut self, worker: usize) -> bool {
        let mut sockets = self.workers[worker].iter_mut();
        sockets.any(|at| at.socket.receive(1, |_| {}) > 0)
    }

    fn sender(&mut self) -> &mut FrameSocket {
        &mut self.workers[0][0].socket
    }
}

/// Source, destination and payload of a frame.
fn read(frame: &[u8]) -> (SocketAddr, SocketAddr, Vec<u8>) {
    let headers = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let udp = headers.transport.unwrap().udp().unwrap();
    let (from, to) = match headers.net.unwrap() {
        NetHeaders::Ipv4(ip, _) => (ip.source.into(), ip.destination.into()),
        NetHeaders::Ipv6(ip, _) => (ip.source.into(), ip.destination.into()),
        other => panic!("{other:?}"),
    };
    let payload = headers.payload.slice().to_vec();
    (
        SocketAddr::new(from, udp.source_port),
        SocketAddr::new(to, udp.destination_port),
        payload,
    )
}

#[test]
fn a_ports_frames_go_to_its_worker_and_all_else_through_the_kernel() {
    let Some(street) = Street::new(MTU) else { return };
    for family in [0, 1] {
        let ear = ["10.1.0.1:0", "[fd01::1]:0"][family];
        let Some(mut relay) = Relay::new(ear) else { return };
        let (to, from) = (RELAY[family], ALICE[family]);
        let other = to.replace("30000", "30002");
        let alice = street.socket(&street.alice, from);
        relay.give(to, Some(1));
        relay.give(&other, None);
        for sequence in 0..600 {
            let packet = rtp(sequence, 20 + usize::from(sequence) * 2);
            alice.send_to(&packet, to).unwrap();
            assert_eq!(read(&relay.frame(1)), (address(from), address(to), packet));
        }
        // A port that no worker is named for.
        alice.send_to(b"through the kernel", &other).unwrap();
        assert_eq!(relay.heard(), b"through the kernel");
        // A datagram of several packets.
        alice.send_to(&[7; 4_000], to).unwrap();
        assert_eq!(relay.heard(), [7; 4_000]);
        // The port is another worker's now, then nobody's, then closed.
        relay.give(to, Some(0));
        alice.send_to(b"first", to).unwrap();
        assert_eq!(read(&relay.frame(0)).2, b"first");
        relay.give(to, None);
        alice.send_to(b"again", to).unwrap();
        assert_eq!(relay.heard(), b"again");
        relay.steering.release(address(to));
        alice.connect(to).unwrap();
        alice.send(b"x").unwrap();
        let refused = alice.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(!relay.has_frame(0) && !relay.has_frame(1));
    }
}

#[test]
fn a_flood_for_one_worker_takes_nothing_from_another() {
    let Some(street) = Street::new(MTU) else { return };
    let Some(mut relay) = Relay::new("10.1.0.1:0") else {
        return;
    };
    let other = RELAY[0].replace("30000", "30002");
    relay.give(RELAY[0], Some(0));
    relay.give(&other, Some(1));
    let alice = street.socket(&street.alice, ALICE[0]);
    // More than there are frames, and nobody reads them.
    for sequence in 0..2_000 {
        alice.send_to(&rtp(sequence, 160), RELAY[0]).unwrap();
    }
    for sequence in 0..100 {
        alice.send_to(&rtp(sequence, 160), &other).unwrap();
        assert_eq!(read(&relay.frame(1)).2, rtp(sequence, 160));
    }
    let lost = |worker: usize| -> u64 {
        let sockets = relay.workers[worker].iter();
        sockets.map(|at| at.socket.losses().unwrap().count()).sum()
    };
    assert_eq!((lost(0), lost(1)), (2_000 - 256, 0));
    // What came first was kept.
    assert_eq!(read(&relay.frame(0)).2, rtp(0, 160));
}

#[test]
fn peers_of_a_port_that_is_spread_stay_with_their_workers() {
    let Some(street) = Street::new(MTU) else { return };
    let Some(mut relay) = Relay::new("10.1.0.1:30000") else {
        return;
    };
    relay.steering.spread(address(RELAY[0])).unwrap();
    let mut seen = [0; WORKERS];
    for port in 4_000..4_032 {
        let alice = street.socket(&street.alice, &format!("10.1.0.2:{port}"));
        let mut workers = Vec::new();
        for _ in 0..3 {
            alice.send_to(b"hello", RELAY[0]).unwrap();
            // What is sent over veth has arrived, or not, when the call that sends it returns.
            workers.push((0..WORKERS).find(|worker| relay.has_frame(*worker)).unwrap());
        }
        assert!(workers.iter().all(|worker| *worker == workers[0]), "{workers:?}");
        seen[workers[0]] += 1;
    }
    assert!(seen.iter().all(|count| *count > 4), "{seen:?}");
}

#[test]
fn frames_for_other_hardware_addresses_and_of_no_host_are_the_kernels() {
    let Some(street) = Street::new(MTU) else { return };
    let Some(mut relay) = Relay::new("10.1.0.1:0") else {
        return;
    };
    relay.give(RELAY[0], Some(0));
    let alice = street.socket(&street.alice, ALICE[0]);
    alice.send_to(b"mine", RELAY[0]).unwrap();
    assert_eq!(read(&relay.frame(0)).2, b"mine");
    street.alice.enter();
    ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:99 dev p1 nud permanent");
    alice.send_to(b"not mine", RELAY[0]).unwrap();
    street.host.namespace.enter();
    assert!(!relay.has_frame(0));
    relay.ear.set_nonblocking(true).unwrap();
    assert!(relay.ear.recv(&mut [0; 16]).is_err());
}

#[test]
fn what_a_worker_sends_arrives_by_the_route_that_the_kernel_has() {
    let Some(street) = Street::new(MTU) else { return };
    for family in [0, 1] {
        let Some(mut relay) = Relay::new(["10.1.0.1:0", "[fd01::1]:0"][family]) else {
            return;
        };
        let (from, to) = (address(RELAY[family]), address(ALICE[family]));
        let alice = street.socket(&street.alice, ALICE[family]);
        let mut hops = NextHops::open(8).unwrap();
        // Of a neighbour that the kernel never spoke to nothing is known; the first packet makes it ask.
        let hop = hops.find(from.ip(), to.ip());
        assert_eq!(hop, None);
        relay.ear.send_to(b"first", to).unwrap();
        assert_eq!(alice.recv(&mut [0; 16]).unwrap(), 5);
        assert!(hops.have_changed());
        let hop = hops.find(from.ip(), to.ip()).unwrap();
        assert_eq!(hop.mtu, MTU as usize);
        // More than there are frames: they come back when they are sent.
        for round in 0..40_u16 {
            let packets: Vec<_> = (0..64).map(|at| rtp(round * 64 + at, usize::from(at))).collect();
            let sent = relay.sender().send(packets.len(), |at, frame| {
                let octets = frame_between([hop.from, hop.to], [from, to], &packets[at]);
                frame[..octets.len()].copy_from_slice(&octets);
                octets.len()
            });
            assert_eq!(sent.unwrap(), packets.len());
            let mut buffer = [0; 2_048];
            for packet in packets {
                let (len, source) = alice.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..len], source), (packet.as_slice(), from));
            }
        }
    }
}

#[test]
fn a_neighbour_that_moves_and_a_route_that_goes_are_noticed() {
    let Some(street) = Street::new(MTU) else { return };
    let (from, to) = (address(RELAY[0]).ip(), address(ALICE[0]).ip());
    let mut hops = NextHops::open(8).unwrap();
    ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 dev r1 nud permanent");
    hops.have_changed();
    assert_eq!(hops.find(from, to).unwrap().to, [2, 0, 0, 0, 0, 1]);
    assert!(!hops.have_changed());
    ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:02 dev r1 nud permanent");
    assert!(hops.have_changed());
    assert_eq!(hops.find(from, to).unwrap().to, [2, 0, 0, 0, 0, 2]);
    // Of one that nobody asked for nothing is said.
    ip("neigh replace 10.1.0.3 lladdr 02:00:00:00:00:03 dev r1 nud permanent");
    assert!(!hops.have_changed());
    ip("link set r1 mtu 1400");
    assert!(hops.have_changed());
    assert_eq!(hops.find(from, to).unwrap().mtu, 1_400);
    ip("link set r1 down");
    assert!(hops.have_changed());
    assert_eq!(hops.find(from, to), None);
    // Nobody but the relay itself is there.
    assert_eq!(hops.find(from, from), None);
    drop(street);
}

#[test]
fn interfaces_without_xdp_of_their_own_are_refused_and_so_is_a_second_relay() {
    let Some(_street) = Street::new(MTU) else { return };
    let Some(mut relay) = Relay::new("10.1.0.1:0") else {
        return;
    };
    let count = FrameCount::new(128);
    let refused = relay.steering.hand_on("lo", 1, count).unwrap_err();
    assert!(
        matches!(refused, Refused::Attach { .. } | Refused::NoInterface(_)),
        "{refused}"
    );
    let refused = relay.steering.hand_on("nothere", 1, count).unwrap_err();
    assert!(matches!(refused, Refused::NoInterface(_)), "{refused}");
    let ear = UdpSocket::bind("10.1.0.1:0").unwrap();
    let mut second = Steering::open(4, &[ear.as_fd()]).unwrap();
    let refused = second.hand_on("r1", 1, count).unwrap_err();
    assert!(matches!(refused, Refused::Attach { .. }), "{refused}");
    // With the first one all of it goes.
    drop(relay);
    assert!(hand_on(&mut second, "r1", 1, count).is_some());
}
