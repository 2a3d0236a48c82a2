//! Calls whose media comes and goes as frames, beside the kernel's network stack: over a link between two network namespaces of each
//! test's own. Skipped, with the reason, where a process may not make these.

use std::cell::Cell;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Instant;

use nix::sched::{CloneFlags, setns, unshare};
use viaduct_mediarelay::{RelayConfig, Snapshot, WorkerFigures};
use viaduct_settings::{Bind, InterfaceAddress, KernelMode, MediaSettings, PortRange, PublicIp};

use crate::browsers;
use crate::kernel::bpf_file_system;
use crate::steering::end_calls;
use crate::support::browser::Browser;
use crate::support::call::{Call, delete, ok};
use crate::support::{InProcess, PATIENCE, settings};

/// By family: the relay's address and the phones'.
const ADDRESSES: [[IpAddr; 2]; 2] = [
    [
        IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)),
        IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2)),
    ],
    [
        IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2)),
    ],
];
const OWN: &str = "/proc/thread-self/ns/net";

/// The relay's namespace, where this thread is, and the phones', with a link between them.
struct Link {
    own: File,
    phones: File,
}

impl Link {
    /// `None`, and a line that says why the test is skipped, where that is not allowed.
    fn new() -> Option<Self> {
        let namespace = || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| eprintln!("skipped: making a namespace: {error}"))
                .ok()?;
            ip("link set lo up");
            Some(File::open(OWN).unwrap())
        };
        let (phones, own) = (namespace()?, namespace()?);
        let link = Self { own, phones };
        let there = format!("/proc/{}/fd/{}", std::process::id(), link.phones.as_raw_fd());
        ip(&format!(
            "link add r1 mtu 1500 type veth peer name p1 mtu 1500 netns {there}"
        ));
        configure("r1", 1);
        link.at_phones(|| configure("p1", 2));
        Some(link)
    }

    fn at_phones<T>(&self, act: impl FnOnce() -> T) -> T {
        setns(&self.phones, CloneFlags::CLONE_NEWNET).unwrap();
        let done = act();
        setns(&self.own, CloneFlags::CLONE_NEWNET).unwrap();
        done
    }

    fn call(&self, relay: &InProcess, phones: IpAddr, call_id: &str) -> Call {
        self.at_phones(|| Call::set_up_at(phones, call_id, |request| relay.ask(request.clone())))
    }
}

fn configure(interface: &str, host: u8) {
    ip(&format!("addr add 10.1.0.{host}/24 dev {interface}"));
    ip(&format!("addr add fd01::{host}/64 dev {interface} nodad"));
    ip(&format!("link set {interface} up"));
}

fn ip(words: &str) {
    run("ip", words);
}

fn run(program: &str, words: &str) {
    let done = Command::new(program).args(words.split_whitespace()).status();
    assert!(done.unwrap().success(), "{program} {words}");
}

fn media(address: IpAddr) -> MediaSettings {
    MediaSettings {
        browser_port: None,
        // Ports that the kernel gives to nobody by chance.
        rtp_ports: PortRange {
            first: 20_000,
            last: 20_999,
        },
        frame_interfaces: vec!["r1".to_owned()],
        ..settings(address)
    }
}

/// A relay that has the frames of its interface.
fn relay(media: MediaSettings) -> Option<InProcess> {
    relay_with(RelayConfig::in_process(media, PublicIp::Auto))
}

fn relay_with(config: RelayConfig) -> Option<InProcess> {
    let relay = InProcess::start_config(config);
    let description = relay.handle.description().join("\n");
    if description.contains("\nframes of r1 go to workers\n") {
        return Some(relay);
    }
    relay.shut_down();
    eprintln!("skipped: {description}");
    None
}

/// Frames received and sent so far. A phone may hear a packet before it is counted.
fn frames(relay: &InProcess) -> [u64; 2] {
    let sum = |now: &Snapshot, of: fn(&WorkerFigures) -> u64| now.workers.iter().map(of).sum::<u64>();
    let now = relay.wait_for("what was sent is counted", |now| {
        sum(now, |worker| worker.io.sent)
            == sum(now, |worker| worker.forward.forwarded + worker.forward.replied)
    });
    [
        sum(&now, |worker| worker.io.frames_received),
        sum(&now, |worker| worker.io.frames_sent),
    ]
}

/// Lets phones talk until all that they say goes as frames: until the relay knows the way, packets take that through the kernel.
fn settle(relay: &InProcess, call: &mut Call) {
    settle_by(relay, |packets| call.talk(packets));
}

/// The same with phones that talk so.
fn settle_by(relay: &InProcess, mut talk: impl FnMut(u16)) {
    loop {
        let [_, before] = frames(relay);
        talk(5);
        let [_, after] = frames(relay);
        if after >= before + 10 {
            return;
        }
    }
}

fn end(relay: InProcess, call_ids: &[&str]) {
    let empty = end_calls(&relay, call_ids);
    assert_eq!(empty.control.receive_overflows, 0);
    let damaged: u64 = empty.workers.iter().map(|worker| worker.io.frames_damaged).sum();
    assert_eq!(damaged, 0);
    relay.shut_down();
}

#[test]
fn calls_of_all_workers_are_heard_by_frames_as_without() {
    let Some(link) = Link::new() else { return };
    for [address, phones] in ADDRESSES {
        let Some(relay) = relay(media(address)) else {
            return;
        };
        let names: Vec<String> = (0..24).map(|number| format!("call {number}")).collect();
        let mut calls: Vec<Call> = names.iter().map(|name| link.call(&relay, phones, name)).collect();
        settle(&relay, &mut calls[0]);
        let before = frames(&relay);
        for call in &mut calls {
            call.talk(20);
            call.report();
        }
        let [received, sent] = frames(&relay);
        let after = relay.snapshot();
        assert_eq!(received - before[0], 24 * 42);
        // Each worker asks for the way once, and by the kernel's goes what comes meanwhile.
        assert!(sent - before[1] > 24 * 42 / 2, "{sent}");
        assert!(after.workers.iter().all(|worker| worker.io.frames_received > 0));
        assert!(after.workers.iter().all(|worker| worker.io.strays == 0));
        assert_eq!(after.control.frames, 1);
        end(relay, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn behind_frames_nothing_is_missing_but_what_was_lost_before_and_what_is_too_long_is_cut() {
    let Some(link) = Link::new() else { return };
    for ([address, phones], longest) in ADDRESSES.into_iter().zip([1_472, 1_452]) {
        let Some(relay) = relay(media(address)) else {
            return;
        };
        let mut call = link.call(&relay, phones, "lossy");
        settle(&relay, &mut call);
        let before = frames(&relay);
        let (sent, _) = call.talk_with_losses(400, longest);
        let after = frames(&relay);
        assert_eq!([after[0] - before[0], after[1] - before[1]], [2 * sent; 2]);
        // Several packets each, which only the kernel puts together and takes apart.
        let mut packet = call.alice.packet(1);
        packet.resize(1_800, 7);
        call.alice.rtp.send_to(&packet, call.for_alice.0).unwrap();
        assert_eq!(call.bob.hear(), (packet, call.for_bob.0));
        assert_eq!(frames(&relay), after);
        end(relay, &["lossy"]);
    }
}

#[test]
fn frames_are_heard_after_bursts_and_after_silence() {
    let Some(link) = Link::new() else { return };
    let [address, phones] = ADDRESSES[0];
    let media = MediaSettings {
        workers: Some(1),
        ..media(address)
    };
    let mut config = RelayConfig::in_process(media, PublicIp::Auto);
    // A worker that naps between batches from its first packets on.
    config.limits.shell.tick_above_pps = 1;
    config.limits.shell.tick_below_pps = 0;
    let Some(relay) = relay_with(config) else { return };
    let mut call = link.call(&relay, phones, "bursts");
    settle(&relay, &mut call);
    let mut sequence = 1_000;
    for _ in 0..20 {
        // More than one turn from which on nobody tells the worker of frames.
        let burst: Vec<Vec<u8>> = (0..100)
            .map(|number| call.alice.packet(sequence + number))
            .collect();
        sequence += 100;
        for packet in &burst {
            call.alice.rtp.send_to(packet, call.for_alice.0).unwrap();
        }
        for packet in burst {
            assert_eq!(call.bob.hear(), (packet, call.for_bob.0));
        }
        // It naps once or twice more, and then waits to be told.
        let before = Cell::new(0);
        relay.wait_for("the worker to wait", |now| {
            let naps = now.workers[0].io.naps;
            before.replace(naps) == naps
        });
        call.talk(1);
    }
    end(relay, &["bursts"]);
}

#[test]
fn a_browser_on_the_shared_port_is_heard_by_frames() {
    let Some(link) = Link::new() else { return };
    let [address, phones] = ADDRESSES[0];
    let settings = MediaSettings {
        browser_port: Some(3_480),
        ..media(address)
    };
    let Some(relay) = relay(settings) else { return };
    let mut call = link.at_phones(|| browsers::Call::at(&relay, 1, Browser::at(phones, 1_001), phones));
    settle_by(&relay, |packets| call.talk(packets));
    let before = frames(&relay);
    call.talk(50);
    call.report();
    let [received, sent] = frames(&relay);
    // There may be checks of the way beside them.
    let counts = [received - before[0], sent - before[1]];
    assert!(counts.iter().all(|count| *count >= 102), "{counts:?}");
    ok(relay.ask(delete(call.id())));
    end(relay, &[]);
}

#[test]
fn nobody_is_heard_in_the_name_of_the_relays_own_addresses() {
    let Some(link) = Link::new() else { return };
    let [address, phones] = ADDRESSES[0];
    let second = IpAddr::from([10, 1, 0, 9]);
    ip("addr add 10.1.0.9/24 dev r1");
    let mut settings = media(address);
    let addresses = &mut settings.interfaces[0].addresses;
    addresses.push(InterfaceAddress::new(Bind::Address(second)));
    let Some(relay) = relay(settings) else { return };
    let mut call = link.call(&relay, phones, "forged");
    settle(&relay, &mut call);
    let forger = link.at_phones(|| {
        ip("addr add 10.1.0.9/32 dev lo");
        UdpSocket::bind((second, 4_000)).unwrap()
    });
    forger.send_to(&call.alice.packet(7), call.for_alice.0).unwrap();
    relay.wait_for("the forged frame", |now| {
        now.workers
            .iter()
            .map(|worker| worker.io.frames_damaged)
            .sum::<u64>()
            == 1
    });
    call.talk(20);
    ok(relay.ask(delete("forged")));
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn calls_go_on_when_the_interface_was_down() {
    let Some(link) = Link::new() else { return };
    let [address, phones] = ADDRESSES[0];
    let Some(relay) = relay(media(address)) else {
        return;
    };
    let mut call = link.call(&relay, phones, "down and up");
    settle(&relay, &mut call);
    ip("link set r1 down");
    ip("link set r1 up");
    settle(&relay, &mut call);
    call.talk(20);
    end(relay, &["down and up"]);
}

/// A relay and a call, `settled`, whose flows the kernel has.
fn in_kernel(link: &Link, [address, phones]: [IpAddr; 2]) -> Option<(InProcess, Call)> {
    let relay = relay(MediaSettings {
        kernel: KernelMode::Required,
        ..media(address)
    })?;
    let mut call = link.call(&relay, phones, "settled");
    call.talk(1);
    relay.wait_for("flows in the kernel", |now| now.control.kernel_flows == 2);
    Some((relay, call))
}

#[test]
fn what_the_kernel_forwards_is_left_to_it() {
    let Some(link) = Link::new() else { return };
    if !bpf_file_system() {
        return;
    }
    let Some((relay, mut call)) = in_kernel(&link, ADDRESSES[0]) else {
        return;
    };
    // What is on its way to a worker stays its.
    let mut before = frames(&relay);
    loop {
        call.talk(1);
        let now = frames(&relay);
        if std::mem::replace(&mut before, now) == now {
            break;
        }
    }
    call.talk(50);
    assert_eq!(frames(&relay), before);
    // RTCP stays with workers, at ports of its own.
    call.report();
    assert_eq!(frames(&relay)[0], before[0] + 2);
    assert_eq!(relay.snapshot().control.kernel_flows, 2);
    end(relay, &["settled"]);
}

#[test]
fn what_the_kernel_forwards_leaves_before_it_becomes_a_packet() {
    let Some(link) = Link::new() else { return };
    if !bpf_file_system() {
        return;
    }
    // A network card sums up what comes in; phones on a veth leave their sums to hardware that is not there. And a veth takes frames
    // of others while its peer merges packets.
    link.at_phones(|| run("ethtool", "-K p1 tx off gro on"));
    for addresses in ADDRESSES {
        let Some((relay, mut call)) = in_kernel(&link, addresses) else {
            return;
        };
        // What is on its way to a worker stays its, and the relay hears once a second of neighbours.
        let counted = |relay: &InProcess| {
            let now = relay.snapshot().control;
            [now.kernel_packets, now.kernel_frames]
        };
        let deadline = Instant::now() + PATIENCE;
        while counted(&relay)[1] == 0 {
            assert!(Instant::now() < deadline, "{:?}", relay.snapshot().control);
            call.talk(1);
        }
        call.talk(50);
        let [packets, frames] = counted(&relay);
        relay.wait_for("what the kernel forwarded is counted", |now| {
            let now = &now.control;
            // But for one in ten seconds, which takes the way of packets.
            now.kernel_packets >= packets + 50
                && now.kernel_frames + 4 >= frames + now.kernel_packets - packets
        });
        end(relay, &["settled"]);
    }
}

#[test]
fn an_interface_that_cannot_hand_frames_on_is_named_with_the_reason() {
    let Some(_link) = Link::new() else { return };
    let [address, _] = ADDRESSES[0];
    let settings = MediaSettings {
        frame_interfaces: vec!["lo".to_owned(), "r9".to_owned()],
        ..media(address)
    };
    let relay = InProcess::start_with(settings);
    let description = relay.handle.description().join("\n");
    relay.shut_down();
    if !description.contains("steered") {
        eprintln!("skipped: {description}");
        return;
    }
    assert!(description.contains("\nno frames of lo: "), "{description}");
    assert!(
        description.contains("\nno frames of r9: no interface `r9`"),
        "{description}"
    );
}
