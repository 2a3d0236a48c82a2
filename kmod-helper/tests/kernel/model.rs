//! The programs and their model do the same with every frame.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use viaduct_kmod_helper::model::{Outcome, forward};
use viaduct_kmod_helper::{Fast, Flow, Key, Passed, Route, Steering};

use crate::bench::{FAMILIES, Host, Namespace, ethtool, flow, frame, ip, pseudo_header, rtp};

/// `TC_ACT_REDIRECT`: the packet leaves.
const REDIRECT: u32 = 7;
/// `TCX_NEXT`: it goes on.
const NEXT: u32 = -1_i32 as u32;
/// `XDP_REDIRECT`: the frame leaves.
const FRAME_LEAVES: u32 = 4;
/// `XDP_PASS`: the kernel makes a packet of it.
const FRAME_STAYS: u32 = 2;
const ETHERNET: usize = 14;
const MTU: u16 = 1500;

/// The relay's addresses 10.9.0.1 and fd09::1, with everybody else on the same link, whose other end is elsewhere.
struct Kernel {
    fast: RefCell<Fast>,
    program: SchedClassifier,
    /// Under a wrong name: the loader does not say how the right one is found by its pin, and what is tried has none.
    frames: SchedClassifier,
    _host: Host,
    _elsewhere: Namespace,
}

impl Kernel {
    fn new() -> Option<Self> {
        let elsewhere = Namespace::new()?;
        let host = Host::new()?;
        ip(&format!(
            "link add r9 address 02:00:00:00:09:01 type veth peer name p9 address 02:00:00:00:09:08 netns {}",
            elsewhere.path()
        ));
        elsewhere.enter();
        ip("link set p9 up");
        // A veth takes frames of others while its peer merges packets.
        ethtool("-K p9 gro on");
        host.namespace.enter();
        crate::bench::configure(9, 1, "r9");
        // The other end itself, and somebody whom it leads to.
        for (receivers, mac) in [(OTHER_END, "09:08"), (BEHIND, "09:09")] {
            for receiver in receivers {
                let receiver: SocketAddr = receiver.parse().unwrap();
                let receiver = receiver.ip();
                ip(&format!(
                    "neigh replace {receiver} lladdr 02:00:00:00:{mac} dev r9 nud permanent"
                ));
            }
        }
        let mut fast = host.open();
        let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut steering = Steering::open(1, &[ear.as_fd()]).unwrap();
        steering.forward_frames(&mut fast).unwrap();
        let pin = |name| host.bpffs.path().join("viaduct/default").join(name);
        let program = SchedClassifier::from_pin(pin("program")).unwrap();
        let frames = SchedClassifier::from_pin(pin("frames")).unwrap();
        let fast = RefCell::new(fast);
        Some(Self {
            fast,
            program,
            frames,
            _host: host,
            _elsewhere: elsewhere,
        })
    }

    fn install(&self, flow: &Flow) {
        let mut fast = self.fast.borrow_mut();
        fast.install(Instant::now(), flow).unwrap();
        fast.heartbeat(Instant::now()).unwrap();
    }

    /// What the program does with a frame, in the model's words. Why something went up is read from the counters. To `across`, the
    /// other end of the link, it leaves with its first line, for no stack writes that.
    fn run(&self, frame: &[u8], across: bool) -> Outcome {
        let (passed, before) = (self.passed(), self.fast.borrow().ups().unwrap());
        let (result, out) = tried(&self.program, frame);
        let after = self.fast.borrow().ups().unwrap();
        let why = before
            .iter()
            .zip(after)
            .find(|(before, after)| before.1 != after.1);
        let passed = self.passed().across - passed.across;
        match (result, why, passed) {
            (REDIRECT, None, 0) if !across => Outcome::Forward(out[ETHERNET..].to_vec()),
            (REDIRECT, None, 1) if across => Outcome::Forward(behind_first_line(&out, [9, 8])),
            (NEXT, None, 0) => {
                assert_eq!(out, frame, "a packet that goes on is not changed");
                Outcome::NotOurs
            }
            (NEXT, Some((_, (up, _))), 0) => {
                assert_eq!(out, frame, "a packet that goes up is not changed");
                Outcome::Up(up)
            }
            other => panic!("{other:?}, across: {across}"),
        }
    }

    /// What the other program does with it before it is a packet. `None`: nothing.
    fn run_as_frame(&self, frame: &[u8], across: bool) -> Option<Vec<u8>> {
        let (before, ups) = (self.passed(), self.fast.borrow().ups().unwrap());
        let (result, out) = tried(&self.frames, frame);
        assert_eq!(
            self.fast.borrow().ups().unwrap(),
            ups,
            "who hears of it next counts it"
        );
        let forwarded = self.passed().as_frames - before.as_frames;
        match (result, forwarded) {
            (FRAME_LEAVES, 1) => {
                let to = if across { [9, 8] } else { [9, 9] };
                Some(behind_first_line(&out, to))
            }
            (FRAME_STAYS, 0) => {
                assert_eq!(out, frame, "a frame that goes on is not changed");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn passed(&self) -> Passed {
        self.fast.borrow().passed().unwrap()
    }
}

/// The packet of a frame whose first line must be that of the relay's link, to a hardware address that ends so.
fn behind_first_line(frame: &[u8], to: [u8; 2]) -> Vec<u8> {
    assert_eq!(
        frame[..12],
        [[2, 0, 0, 0, to[0], to[1]], [2, 0, 0, 0, 9, 1]].concat()
    );
    let kind = if frame[ETHERNET] >> 4 == 4 {
        [0x08, 0x00]
    } else {
        [0x86, 0xdd]
    };
    assert_eq!(frame[12..ETHERNET], kind);
    frame[ETHERNET..].to_vec()
}

/// What a program says of a frame, and the frame as it left it.
fn tried(program: &SchedClassifier, frame: &[u8]) -> (u32, Vec<u8>) {
    let mut out = vec![0; frame.len() + 64];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ..TestRunOptions::default()
    };
    let result = program.test_run(options).unwrap();
    out.truncate(result.data_size_out as usize);
    (result.return_value, out)
}

/// The route of the flows here, as the program was told of it.
fn route(flow: &Flow) -> Route {
    Route {
        ifindex: 0,
        next_hop: flow.destination.ip(),
        mtu: MTU,
        is_local: false,
        is_pair: true,
    }
}

const PEER: [&str; 2] = ["10.9.0.7:4000", "[fd09::7]:4000"];
const LOCAL: [&str; 2] = ["10.9.0.1:30000", "[fd09::1]:30000"];
const SOURCE: [&str; 2] = ["10.9.0.1:30002", "[fd09::1]:30002"];
/// Receivers at the other end of the link, and behind it.
const OTHER_END: [&str; 2] = ["10.9.0.8:5000", "[fd09::8]:5000"];
const BEHIND: [&str; 2] = ["10.9.0.9:5000", "[fd09::9]:5000"];

fn way((from, to): (usize, usize), across: bool) -> Flow {
    let destination = if across { OTHER_END } else { BEHIND };
    flow(PEER[from], LOCAL[from], SOURCE[to], destination[to])
}

/// What a frame is made of, and what is spoilt of it.
#[derive(Debug, Clone)]
struct Case {
    way: (usize, usize),
    across: bool,
    first: u8,
    second: u8,
    sequence: u16,
    payload: Vec<u8>,
    tos: u8,
    ttl: u8,
    rtcp: bool,
    payload_types: u128,
    without_checksum: bool,
    other_peer: bool,
    /// Octets anywhere that are changed after checksums were computed, headers among them.
    spoilt: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
}

fn case() -> impl Strategy<Value = Case> {
    let first = prop_oneof![6 => Just(0x80_u8), 2 => 0x80..=0x9f_u8, 1 => 0xa0..=0xbf_u8, 1 => any::<u8>()];
    let second = prop_oneof![4 => Just(8_u8), 1 => 192..=223_u8, 1 => any::<u8>()];
    let payload_types = prop_oneof![4 => Just(u128::MAX), 1 => any::<u128>()];
    let len = prop_oneof![8 => 0..400_usize, 1 => 1400..1500_usize];
    let payload = len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let spoilt = prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)
    ];
    let ttl = prop_oneof![6 => 2..=255_u8, 1 => 0..=2_u8];
    let packet = (
        (prop::sample::select(FAMILIES.to_vec()), any::<bool>()),
        first,
        second,
        any::<u16>(),
        payload,
    );
    let rare = prop::bool::weighted(0.1);
    let rule = (any::<u8>(), ttl, any::<bool>(), payload_types, rare, rare);
    let harm = (spoilt, prop::option::weighted(0.05, any::<prop::sample::Index>()));
    (packet, rule, harm).prop_map(|(packet, rule, harm)| Case {
        way: packet.0.0,
        across: packet.0.1,
        first: packet.1,
        second: packet.2,
        sequence: packet.3,
        payload: packet.4,
        tos: rule.0,
        ttl: rule.1,
        rtcp: rule.2,
        payload_types: rule.3,
        without_checksum: rule.4,
        other_peer: rule.5,
        spoilt: harm.0,
        cut: harm.1,
    })
}

impl Case {
    fn flow(&self) -> Flow {
        Flow {
            tos: self.tos,
            rtcp: self.rtcp,
            payload_types: self.payload_types,
            ..way(self.way, self.across)
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut packet = rtp(self.sequence, 0);
        packet[..2].copy_from_slice(&[self.first, self.second]);
        packet.extend(&self.payload);
        let Key { local, mut peer } = self.flow().key;
        if self.other_peer {
            peer.set_port(4001);
        }
        let mut frame = frame(peer, local, &packet);
        let is_v4 = peer.is_ipv4();
        let udp_at = ETHERNET + if is_v4 { 20 } else { 40 };
        if self.without_checksum {
            frame[udp_at + 6..udp_at + 8].fill(0);
        }
        if is_v4 {
            frame[ETHERNET + 8] = self.ttl;
            let header = etherparse::Ipv4Header::from_slice(&frame[ETHERNET..]).unwrap().0;
            let checksum = header.calc_header_checksum();
            frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            frame[ETHERNET + 7] = self.ttl;
        }
        for (at, octet) in &self.spoilt {
            let at = ETHERNET + at.index(frame.len() - ETHERNET);
            // A wrong checksum goes on as a wrong one, which the model does not follow: see the test below.
            let is_covered = at >= udp_at + 8 && !self.without_checksum;
            if !is_covered && !(udp_at + 6..udp_at + 8).contains(&at) {
                frame[at] = *octet;
            }
        }
        if let Some(cut) = self.cut {
            // The kernel takes no frame for a trial that ends within its IP header.
            frame.truncate(udp_at + cut.index(frame.len() - udp_at));
        }
        frame
    }
}

/// Whether a frame's sum is that of its addresses. Of a whole one that is chance.
fn is_left_to_hardware(frame: &[u8], key: &Key) -> bool {
    let udp_at = ETHERNET + if key.peer.is_ipv4() { 20 } else { 40 };
    let [len, sum] = [4, 6].map(|at| u16::from_be_bytes([frame[udp_at + at], frame[udp_at + at + 1]]));
    sum == pseudo_header(key.peer.ip(), key.local.ip(), len)
}

#[test]
fn the_program_does_what_its_model_says() {
    let Some(kernel) = Kernel::new() else { return };
    let mut runner = TestRunner::new(Cases {
        cases: 3_000,
        failure_persistence: None,
        ..Cases::default()
    });
    let forwarded = Cell::new(0);
    let result = runner.run(&case(), |case| {
        let flow = case.flow();
        kernel.install(&flow);
        let frame = case.frame();
        let expected = forward(&frame, &flow, &route(&flow));
        forwarded.set(forwarded.get() + usize::from(matches!(expected, Outcome::Forward(_))));
        let as_frame = kernel.run_as_frame(&frame, case.across);
        match &expected {
            Outcome::Forward(out) if !is_left_to_hardware(&frame, &flow.key) => {
                prop_assert_eq!(as_frame.as_ref(), Some(out));
            }
            _ => prop_assert_eq!(as_frame, None),
        }
        prop_assert_eq!(kernel.run(&frame, case.across), expected);
        Ok(())
    });
    result.unwrap();
    let forwarded = forwarded.get();
    assert!(
        forwarded > 300,
        "only {forwarded} frames were forwarded: the cases are too wild"
    );
}

#[test]
fn a_frame_with_a_vlan_tag_goes_on_as_it_is() {
    let Some(kernel) = Kernel::new() else { return };
    let flow = way((0, 0), true);
    kernel.install(&flow);
    let mut frame = frame(flow.key.peer, flow.key.local, &rtp(1, 160));
    assert!(matches!(kernel.run(&frame, true), Outcome::Forward(_)));
    frame.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(kernel.run_as_frame(&frame, true), None);
    assert_eq!(forward(&frame, &flow, &route(&flow)), Outcome::NotOurs);
    assert_eq!(kernel.run(&frame, true), Outcome::NotOurs);
}

/// RFC 1624: a checksum that is changed by differences stays as wrong as it was, so that the receiver drops what the network
/// has spoilt.
#[test]
fn a_spoilt_packet_is_not_made_a_good_one() {
    let Some(kernel) = Kernel::new() else { return };
    for (ends, across) in FAMILIES
        .into_iter()
        .flat_map(|ends| [(ends, false), (ends, true)])
    {
        let flow = way(ends, across);
        kernel.install(&flow);
        let mut frame = frame(flow.key.peer, flow.key.local, &rtp(1, 160));
        *frame.last_mut().unwrap() ^= 1;
        let as_frame = kernel.run_as_frame(&frame, across);
        let Outcome::Forward(mut out) = kernel.run(&frame, across) else {
            panic!("{ends:?} is not forwarded")
        };
        let Outcome::Forward(expected) = forward(&frame, &flow, &route(&flow)) else {
            panic!("{ends:?} is not forwarded by the model")
        };
        assert_eq!(as_frame.as_ref(), Some(&out), "{ends:?}");
        assert_ne!(out, expected, "the model makes a right checksum");
        let checksum_at = if ends.1 == 0 { 26 } else { 46 };
        out[checksum_at..checksum_at + 2].copy_from_slice(&expected[checksum_at..checksum_at + 2]);
        assert_eq!(out, expected);
    }
}

#[test]
fn a_frame_whose_sum_is_left_to_hardware_becomes_a_packet_first() {
    let Some(kernel) = Kernel::new() else { return };
    for ends in FAMILIES {
        let flow = way(ends, true);
        kernel.install(&flow);
        let Key { local, peer } = flow.key;
        let mut frame = frame(peer, local, &rtp(1, 160));
        assert!(kernel.run_as_frame(&frame, true).is_some(), "{ends:?}");
        let udp_at = ETHERNET + if ends.0 == 0 { 20 } else { 40 };
        let sum = pseudo_header(peer.ip(), local.ip(), 8 + 12 + 160);
        frame[udp_at + 6..udp_at + 8].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(kernel.run_as_frame(&frame, true), None, "{ends:?}");
    }
}
