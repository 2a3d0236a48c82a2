//! Flows to receivers at the other end of a pair of interfaces, where the stack is left out.

use std::net::UdpSocket;
use std::time::Instant;

use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use viaduct_kmod_helper::{Fast, Flow};

use crate::bench::{ALICE, BOB, FAMILIES, Street, TO_ALICE, Tap, call_flow, comes_to, ip, rtp, tc};

const MTU: u32 = 1500;
const BOBS_PORT: u16 = 5000;

/// A call from Alice to Bob, whose links are pairs.
struct Call {
    fast: Fast,
    alice: UdpSocket,
    bob: UdpSocket,
    flow: Flow,
    sequence: u16,
}

impl Call {
    fn new(street: &Street, ends: (usize, usize)) -> Self {
        let mut fast = street.host.open();
        let flow = call_flow(ends);
        fast.install(Instant::now(), &flow).unwrap();
        let alice = street.socket(&street.alice, ALICE[ends.0]);
        alice.connect(TO_ALICE[ends.0]).unwrap();
        let bob = street.socket(&street.bob, BOB[ends.1]);
        Self {
            fast,
            alice,
            bob,
            flow,
            sequence: 0,
        }
    }

    /// Sends a packet from Alice, which Bob must hear from the relay. Whether it went across.
    fn passes_across(&mut self) -> bool {
        let before = self.fast.passed().unwrap().across;
        let packet = rtp(self.sequence, usize::from(self.sequence) * 7 % 1200);
        self.sequence += 1;
        self.alice.send(&packet).unwrap();
        let mut buffer = [0; 2048];
        let (len, from) = self.bob.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&packet[..], self.flow.source));
        self.fast.passed().unwrap().across > before
    }

    /// The same when the relay has looked at what there is.
    fn passes_across_then(&mut self) -> bool {
        assert_eq!(self.fast.heartbeat(Instant::now()).unwrap(), []);
        self.passes_across()
    }
}

#[test]
fn packets_go_across_as_soon_as_the_other_end_is_known() {
    let Some(street) = Street::new(MTU) else { return };
    for ends in FAMILIES {
        let mut call = Call::new(&street, ends);
        // The stack asks for the neighbour with the first packet, unless it knows him from a call before.
        call.passes_across();
        for _ in 1..200 {
            assert!(call.passes_across_then(), "{ends:?}: {}", call.sequence);
        }
        let counters = call.fast.counters(&call.flow.key).unwrap();
        assert_eq!((counters.rtp_packets, counters.expected), (200, 200));
        call.fast.remove(Instant::now(), &call.flow.key).unwrap();
    }
}

#[test]
fn what_goes_across_is_what_the_stack_would_have_sent() {
    let Some(street) = Street::new(MTU) else { return };
    for ends in FAMILIES {
        let mut call = Call::new(&street, ends);
        call.passes_across();
        let tap: Tap = street.tap(&street.bob);
        assert!(call.passes_across_then());
        let across = tap.next_to(BOBS_PORT);
        tc("qdisc add dev r2 clsact");
        call.sequence -= 1;
        assert!(!call.passes_across_then());
        let by_stack = tap.next_to(BOBS_PORT);
        tc("qdisc del dev r2 clsact");
        let settled = |mut frame: Vec<u8>| {
            if ends == (0, 0) {
                // Alice's system numbers her packets.
                frame[18..20].fill(0);
                frame[24..26].fill(0);
            }
            frame
        };
        assert_eq!(settled(across), settled(by_stack), "{ends:?}");
    }
}

#[test]
fn what_somebody_looks_at_on_its_way_out_goes_there_by_the_stack() {
    let Some(street) = Street::new(MTU) else { return };
    let mut call = Call::new(&street, (0, 0));
    call.passes_across();
    assert!(call.passes_across_then());
    // Filters.
    tc("qdisc add dev r2 clsact");
    assert!(!call.passes_across_then());
    tc("qdisc del dev r2 clsact");
    assert!(call.passes_across_then());
    // A queue.
    tc("qdisc add dev r2 root pfifo");
    assert!(!call.passes_across_then());
    tc("qdisc del dev r2 root");
    assert!(call.passes_across_then());
    // A program. Its own lets pass what it does not know.
    let pin = street.host.bpffs.path().join("viaduct/default/program");
    let mut program = SchedClassifier::from_pin(pin).unwrap();
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let link = program.attach_with_options("r2", TcAttachType::Egress, options);
    let link = program.take_link(link.unwrap()).unwrap();
    assert!(!call.passes_across_then());
    drop(link);
    // Another test that begins a program holds what was closed for a moment.
    assert!(comes_to("r2", TcAttachType::Egress, 0));
    assert!(call.passes_across_then());
}

#[test]
fn another_hardware_address_is_not_the_other_end_until_it_is() {
    let Some(street) = Street::new(MTU) else { return };
    let mut call = Call::new(&street, (0, 0));
    call.passes_across();
    assert!(call.passes_across_then());
    street.bob.enter();
    ip("link set p2 address 02:00:00:00:00:77");
    street.host.namespace.enter();
    ip("neigh replace 10.2.0.2 lladdr 02:00:00:00:00:77 dev r2 nud reachable");
    assert!(call.passes_across_then());
    ip("neigh del 10.2.0.2 dev r2");
    assert!(!call.passes_across_then(), "nobody knows where Bob is");
    assert!(call.passes_across_then());
}

#[test]
fn a_relay_that_starts_again_sends_across_what_it_takes_over() {
    let Some(street) = Street::new(MTU) else { return };
    let mut call = Call::new(&street, (1, 1));
    call.passes_across();
    assert!(call.passes_across_then());
    let Call {
        fast,
        alice,
        bob,
        flow,
        sequence,
    } = call;
    drop(fast);
    let mut next = Call {
        fast: street.host.open(),
        alice,
        bob,
        flow,
        sequence,
    };
    assert!(next.passes_across());
}
