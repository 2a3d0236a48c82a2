use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use viaduct_forward::{FlowId, FlowKey, FlowRule, LegId, Out, PortMode, PortRule, Route};

use super::*;
use crate::socket::{MediaPort, MediaSocket, Sharing, SocketOptions};
use crate::worker::mailbox::Nudge;

const OPTIONS: SocketOptions = SocketOptions {
    receive_buffer: 1 << 20,
    send_buffer: 1 << 20,
    tos: 0,
};

/// A worker on loopback, with the other end of its queues.
struct Bench {
    worker: WorkerThread,
    thread: Option<JoinHandle<()>>,
    notices: Receiver<Notice>,
    nudge: Nudge,
}

impl Bench {
    fn start(limits: ShellLimits) -> Self {
        let (queue, notices) = sync_channel(limits.notices_queued);
        let nudge = Nudge::new().unwrap();
        let plan = WorkerPlan {
            number: 5,
            epoch: Epoch::new(Instant::now()),
            forward: Limits::default(),
            shared: Shared::default(),
            hash_seed: [1, 2],
            limits,
            notices: NoticeSender {
                queue,
                nudge: nudge.clone(),
            },
            lanes: Vec::new(),
            frames: None,
        };
        let (worker, body) = WorkerThread::prepare(plan).unwrap();
        Self {
            worker,
            thread: Some(std::thread::spawn(body)),
            notices,
            nudge,
        }
    }

    fn put(&self, order: Order) {
        assert!(self.worker.mailbox.put(order).is_ok());
    }

    fn order(&self, order: Order) {
        self.put(order);
        self.worker.mailbox.ring();
    }

    fn open(&self, id: u32, sharing: Sharing) -> SocketAddr {
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), sharing, &OPTIONS).unwrap();
        let local = socket.local();
        self.order(Order::Open {
            id: SocketId(id),
            port: MediaPort::Socket(Arc::new(socket)),
            listen: true,
        });
        local
    }

    fn install(&self, flow: u64, enter: SocketAddr, from: SocketAddr, leave: SocketAddr, to: SocketAddr) {
        let rule = rule(flow, enter, from, leave, to);
        self.order(Order::Apply(Command::InstallFlow(rule)));
    }

    fn next_notice(&self) -> Notice {
        loop {
            if let Ok(notice) = self.notices.try_recv() {
                return notice;
            }
            self.nudge.wait(Some(Duration::from_secs(10)));
        }
    }

    fn stop(mut self) {
        self.order(Order::Stop);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A flow that is confirmed.
fn rule(flow: u64, enter: SocketAddr, from: SocketAddr, leave: SocketAddr, to: SocketAddr) -> FlowRule {
    let route = Route::to(Out {
        local: leave,
        remote: to,
    });
    let key = FlowKey {
        local: enter,
        remote: from,
    };
    FlowRule {
        confirm: true,
        ..FlowRule::new(FlowId(flow), key, LegId(flow), vec![route])
    }
}

fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

#[test]
fn media_flows_and_its_first_packet_is_reported() {
    let bench = Bench::start(ShellLimits::default());
    let ((alice, alice_addr), (bob, bob_addr)) = (peer(), peer());
    let (a, b) = (
        bench.open(0, Sharing::Alone),
        bench.open(1, Sharing::AmongWorkers),
    );
    bench.install(1, a, alice_addr, b, bob_addr);
    bench.install(2, b, bob_addr, a, alice_addr);
    for sequence in 0..200 {
        alice.send_to(&rtp(sequence), a).unwrap();
        bob.send_to(&rtp(sequence), b).unwrap();
        let mut buffer = [0; 2048];
        let (len, from) = bob.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&rtp(sequence)[..], b));
        let (len, from) = alice.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&rtp(sequence)[..], a));
    }
    let mut confirmed = Vec::new();
    for _ in 0..2 {
        let Notice::Report {
            worker: 5,
            report: Report::FlowConfirmed { flow, .. },
        } = bench.next_notice()
        else {
            panic!("a confirmed flow");
        };
        confirmed.push(flow.0);
    }
    confirmed.sort_unstable();
    assert_eq!(confirmed, [1, 2]);
    // The last datagram is counted after it has gone.
    while bench.worker.io.snapshot().sent < 400 {
        std::thread::yield_now();
    }
    assert_eq!(bench.worker.forward.snapshot().forwarded, 400);
    let io = bench.worker.io.snapshot();
    assert_eq!(
        (io.received, io.sent, io.orders, io.orders_failed, io.sockets),
        (400, 400, 4, 0, 2)
    );
    assert_ne!(io.thread, 0);
    bench.stop();
}

#[test]
fn a_datagram_finds_orders_carried_out_that_nobody_woke_the_worker_for() {
    let bench = Bench::start(ShellLimits::default());
    let ((alice, alice_addr), (bob, bob_addr)) = (peer(), peer());
    let (a, b) = (bench.open(0, Sharing::Alone), bench.open(1, Sharing::Alone));
    // The worker watches the port when it has told this.
    bench.order(Order::Apply(Command::RemoveFlow { flow: FlowId(99) }));
    assert!(matches!(bench.next_notice(), Notice::Failed { .. }));
    for flow in 1..100 {
        let rule = rule(flow, a, alice_addr, b, bob_addr);
        bench.put(Order::Apply(Command::InstallFlow(rule)));
        alice.send_to(&rtp(1), a).unwrap();
        let mut buffer = [0; 2048];
        let (len, from) = bob.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&rtp(1)[..], b));
        bench.put(Order::Apply(Command::RemoveFlow { flow: FlowId(flow) }));
    }
    bench.stop();
}

#[test]
fn nothing_is_lost_or_reordered_while_the_worker_naps() {
    // A tick from the first window on, and never back.
    let limits = ShellLimits {
        tick_above_pps: 0,
        tick_below_pps: 0,
        ..ShellLimits::default()
    };
    let bench = Bench::start(limits);
    let ((alice, alice_addr), (bob, bob_addr)) = (peer(), peer());
    let (a, b) = (
        bench.open(0, Sharing::Alone),
        bench.open(1, Sharing::AmongWorkers),
    );
    bench.install(1, a, alice_addr, b, bob_addr);
    let mut buffer = [0; 2048];
    for round in (0..2_000u16).take_while(|round| *round < 200 || bench.worker.io.snapshot().naps == 0) {
        for sequence in round * 10..round * 10 + 10 {
            alice.send_to(&rtp(sequence), a).unwrap();
        }
        for sequence in round * 10..round * 10 + 10 {
            let (len, _) = bob.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], &rtp(sequence)[..]);
        }
    }
    assert!(bench.worker.io.snapshot().naps > 0);
    bench.stop();
}

#[test]
fn an_unknown_source_goes_to_control_with_its_datagram() {
    let bench = Bench::start(ShellLimits::default());
    let (alice, alice_addr) = peer();
    let a = bench.open(7, Sharing::Alone);
    let rule = PortRule {
        local: a,
        leg: LegId(3),
        mode: PortMode::Learning,
        authenticate: None,
    };
    bench.order(Order::Apply(Command::SetPort(rule)));
    // Orders before this one are done when its failure is told.
    bench.order(Order::Apply(Command::RemoveFlow { flow: FlowId(99) }));
    let Notice::Failed { worker: 5, fault } = bench.next_notice() else {
        panic!("a failure")
    };
    assert_eq!(fault.to_string(), "remove flow: there is no flow 99");
    alice.send_to(&rtp(1), a).unwrap();
    let Notice::Datagram {
        what,
        socket,
        from,
        data,
        ..
    } = bench.next_notice()
    else {
        panic!("a datagram")
    };
    assert!(matches!(
        what,
        viaduct_forward::ToControl::UnknownSource { leg: LegId(3), .. }
    ));
    assert_eq!((socket, from, &data[..]), (SocketId(7), alice_addr, &rtp(1)[..]));
    bench.stop();
}

#[test]
fn an_injected_datagram_is_forwarded() {
    let bench = Bench::start(ShellLimits::default());
    let ((_, alice_addr), (bob, bob_addr)) = (peer(), peer());
    let (a, b) = (bench.open(0, Sharing::Alone), bench.open(1, Sharing::Alone));
    bench.install(1, a, alice_addr, b, bob_addr);
    bench.order(Order::Inject {
        socket: SocketId(0),
        from: alice_addr,
        datagram: rtp(9).into(),
    });
    let mut buffer = [0; 2048];
    let (len, from) = bob.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (&rtp(9)[..], b));
    bench.stop();
}

#[test]
fn a_full_queue_to_control_is_counted_and_reports_wait_for_room() {
    let bench = Bench::start(ShellLimits {
        notices_queued: 1,
        ..ShellLimits::default()
    });
    let (bob, bob_addr) = peer();
    let (a, b) = (bench.open(0, Sharing::Alone), bench.open(1, Sharing::Alone));
    let rule = PortRule {
        local: b,
        leg: LegId(3),
        mode: PortMode::Learning,
        authenticate: None,
    };
    bench.order(Order::Apply(Command::SetPort(rule)));
    let peers: Vec<_> = (0..3).map(|_| peer()).collect();
    for (flow, (_, address)) in peers.iter().enumerate() {
        bench.install(flow as u64, a, *address, b, bob_addr);
    }
    let mut buffer = [0; 2048];
    for (alice, _) in &peers {
        alice.send_to(&rtp(1), a).unwrap();
        bob.recv_from(&mut buffer).unwrap();
    }
    // The queue holds one report by now; a datagram for control finds it full.
    bob.send_to(&rtp(1), b).unwrap();
    while bench.worker.io.snapshot().notices_lost == 0 {
        std::thread::yield_now();
    }
    assert!(bench.worker.io.snapshot().reports_held > 0);
    let mut confirmed: Vec<u64> = (0..3)
        .map(|_| match bench.next_notice() {
            Notice::Report {
                report: Report::FlowConfirmed { flow, .. },
                ..
            } => flow.0,
            other => panic!("{other:?}"),
        })
        .collect();
    confirmed.sort_unstable();
    assert_eq!(confirmed, [0, 1, 2]);
    bench.stop();
}

#[test]
fn a_closed_socket_is_forgotten() {
    let bench = Bench::start(ShellLimits::default());
    bench.open(0, Sharing::Alone);
    bench.order(Order::Close { id: SocketId(0) });
    bench.order(Order::Close { id: SocketId(0) });
    let Notice::Failed { fault, .. } = bench.next_notice() else {
        panic!("a failure")
    };
    assert_eq!(fault.to_string(), "unbind socket: there is no socket 0");
    assert_eq!(bench.worker.io.snapshot().sockets, 0);
    bench.stop();
}
