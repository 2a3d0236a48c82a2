//! Flows that are forwarded before their frames become packets, over links.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Instant;

use viaduct_kmod_helper::{Fast, Flow, FrameCount, FramesAt, Hearer, Steering};

use crate::bench::{ALICE, BOB, FAMILIES, Street, TO_ALICE, call_flow, ethtool, hand_on, ip, rtp};

const MTU: u32 = 1500;

/// A call from Alice to Bob, and a relay that forwards it as frames where it can.
struct Call {
    fast: Fast,
    alice: UdpSocket,
    bob: UdpSocket,
    /// What comes up to the relay.
    relay: UdpSocket,
    flow: Flow,
    steering: Steering,
    _workers: Vec<Vec<Vec<FramesAt>>>,
}

impl Call {
    /// `None` where this kernel has no sockets for frames.
    fn new(street: &Street, (from, to): (usize, usize)) -> Option<Self> {
        // A network card sums up what comes in; a phone on a veth leaves its sums to hardware that is not there. And a veth takes
        // frames of others while its peer merges packets.
        for (phone, interface) in [(&street.alice, "p1"), (&street.bob, "p2")] {
            phone.enter();
            ethtool(&format!("-K {interface} tx off gro on"));
        }
        street.host.namespace.enter();
        let relay = street.socket(&street.host.namespace, TO_ALICE[from]);
        relay.set_nonblocking(true).unwrap();
        let mut steering = Steering::open(16, &[relay.as_fd()]).unwrap();
        let mut workers = Vec::new();
        for interface in ["r1", "r2"] {
            workers.push(hand_on(&mut steering, interface, 1, FrameCount::new(128))?);
        }
        let hearer = Hearer {
            socket: 0,
            worker: None,
        };
        steering.steer(TO_ALICE[from].parse().unwrap(), hearer).unwrap();
        let mut fast = street.host.open();
        steering.forward_frames(&mut fast).unwrap();
        let flow = call_flow((from, to));
        fast.install(Instant::now(), &flow).unwrap();
        let alice = street.socket(&street.alice, ALICE[from]);
        alice.connect(TO_ALICE[from]).unwrap();
        Some(Self {
            fast,
            alice,
            bob: street.socket(&street.bob, BOB[to]),
            relay,
            flow,
            steering,
            _workers: workers,
        })
    }

    /// The same when its first two packets are through, the second one as a frame.
    fn settled(street: &Street, ends: (usize, usize)) -> Option<Self> {
        let mut call = Self::new(street, ends)?;
        // The stack asks for the neighbour with the first packet, unless it knows him from a call before.
        call.passes_as_frame(&rtp(0, 160));
        call.look();
        assert!(call.passes_as_frame(&rtp(1, 160)), "{ends:?}");
        Some(call)
    }

    /// Sends a packet from Alice, which Bob must hear from the relay. Whether it was forwarded as a frame.
    fn passes_as_frame(&mut self, packet: &[u8]) -> bool {
        let before = self.fast.passed().unwrap().as_frames;
        self.alice.send(packet).unwrap();
        let mut buffer = [0; 2048];
        let (len, from) = self.bob.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (packet, self.flow.source));
        self.fast.passed().unwrap().as_frames > before
    }

    fn look(&mut self) {
        assert_eq!(self.fast.heartbeat(Instant::now()).unwrap(), []);
    }
}

#[test]
fn a_flow_passes_as_frames_as_soon_as_its_neighbour_is_known() {
    let Some(street) = Street::new(MTU) else { return };
    for ends in FAMILIES {
        let Some(mut call) = Call::settled(&street, ends) else {
            return;
        };
        let mut octets = 2 * 172;
        for sequence in 2..200 {
            let packet = rtp(sequence, usize::from(sequence) * 7 % 1200);
            octets += packet.len() as u64;
            assert!(call.passes_as_frame(&packet), "{ends:?}: {sequence}");
        }
        let counters = call.fast.counters(&call.flow.key).unwrap();
        assert_eq!(
            (counters.rtp_packets, counters.rtp_octets, counters.expected),
            (200, octets, 200)
        );
        // What is not the flow's comes up as ever.
        let report = [&[0x81, 201, 0, 7][..], &[0; 28]].concat();
        call.alice.send(&report).unwrap();
        let mut buffer = [0; 2048];
        let len = call.relay.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], report);
        // Nor is the flow lost when it ends: the relay hears it.
        call.fast.remove(Instant::now(), &call.flow.key).unwrap();
        call.alice.send(&rtp(200, 160)).unwrap();
        assert_eq!(call.relay.recv(&mut buffer).unwrap(), 172);
    }
}

#[test]
fn a_neighbour_that_moves_is_followed_and_one_that_takes_no_frames_has_packets() {
    let Some(street) = Street::new(MTU) else { return };
    let Some(mut call) = Call::settled(&street, (0, 0)) else {
        return;
    };
    // Bob has another hardware address.
    street.bob.enter();
    ip("link set p2 address 02:00:00:00:00:77");
    street.host.namespace.enter();
    ip("neigh replace 10.2.0.2 lladdr 02:00:00:00:00:77 dev r2 nud reachable");
    call.look();
    assert!(call.passes_as_frame(&rtp(2, 160)));
    // His interface takes frames no more, and the relay's then sends none.
    street.bob.enter();
    ethtool("-K p2 gro off");
    street.host.namespace.enter();
    call.look();
    assert!(!call.passes_as_frame(&rtp(3, 160)));
    street.bob.enter();
    ethtool("-K p2 gro on");
    street.host.namespace.enter();
    call.look();
    assert!(call.passes_as_frame(&rtp(4, 160)));
    // The kernel forgets him.
    ip("neigh del 10.2.0.2 dev r2");
    call.look();
    assert!(!call.passes_as_frame(&rtp(5, 160)));
    call.look();
    assert!(call.passes_as_frame(&rtp(6, 160)));
}

#[test]
fn packets_are_forwarded_when_frames_are_not_and_neither_when_the_relay_is_gone() {
    let Some(street) = Street::new(MTU) else { return };
    let Some(mut call) = Call::settled(&street, (0, 0)) else {
        return;
    };
    call.steering.end_forwarding().unwrap();
    assert!(!call.passes_as_frame(&rtp(2, 160)));
    let Call {
        mut steering,
        mut fast,
        alice,
        bob,
        ..
    } = call;
    steering.forward_frames(&mut fast).unwrap();
    // The program outlives the relay, for a while; its frames do not.
    drop((steering, fast));
    alice.send(&rtp(3, 160)).unwrap();
    assert_eq!(bob.recv(&mut [0; 256]).unwrap(), 172);
    let next = street.host.open();
    assert_eq!(next.counters(&call.flow.key).unwrap().rtp_packets, 4);
}
