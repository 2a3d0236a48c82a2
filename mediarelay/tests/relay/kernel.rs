//! Calls whose media the kernel forwards: in a network namespace of each test's own, over its loopback interface, with a BPF file
//! system of its own. Skipped, with the reason, where a process may not make these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use viaduct_mediarelay::{Outside, RelayConfig, Snapshot};
use viaduct_ng::{
    ByteString, Dict, Encoding, OtherCommand, OtherRequest, Query, Request, TransportProtocol, Unsubscribe,
    Value,
};
use viaduct_settings::{
    KernelMode, MediaSettings, PortRange, PublicIp, RelayListener, RelayScheme, SdesMode, SteeringMode,
};

use crate::restarts::Place;
use crate::support::call::{Call, answer, delete, offer_again, ok, record, sdp_of};
use crate::support::ng::Proxy;
use crate::support::phone::Phone;
use crate::support::secrets::{Secrets, secure};
use crate::support::tcp::cli;
use crate::support::{InProcess, settings, wait_for};

const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const PHONES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Where the relay takes text commands.
const CLI: SocketAddr = SocketAddr::new(RELAY, 9_900);

/// A BPF file system of this thread's own. False, and a line that says why the test is skipped, where that is not allowed.
pub(crate) fn bpf_file_system() -> bool {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let made = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(None::<&str>, "/", None::<&str>, private, None::<&str>))
        .and_then(|()| {
            mount(
                Some("bpf"),
                "/sys/fs/bpf",
                Some("bpf"),
                MsFlags::empty(),
                None::<&str>,
            )
        });
    if let Err(error) = &made {
        eprintln!("skipped: this process may not mount a BPF file system: {error}");
    }
    made.is_ok()
}

/// Namespaces of this thread's own, with a loopback interface and a BPF file system. False, and a line that says why the test is
/// skipped, where that is not allowed.
fn namespaces() -> bool {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("skipped: this process may not make network namespaces: {error}");
        return false;
    }
    if !bpf_file_system() {
        return false;
    }
    // With packets of the usual size, so that there is a limit to try.
    let up = ["link", "set", "lo", "up", "mtu", "1500"];
    assert!(Command::new("ip").args(up).status().unwrap().success());
    true
}

/// A relay that forwards in the kernel, with everything that it needs in namespaces of this thread.
fn relay() -> Option<InProcess> {
    relay_at(RELAY)
}

fn relay_at(address: IpAddr) -> Option<InProcess> {
    relay_with(address, |_| ())
}

fn relay_with(address: IpAddr, change: impl FnOnce(&mut MediaSettings)) -> Option<InProcess> {
    if !namespaces() {
        return None;
    }
    let mut media = MediaSettings {
        browser_port: None,
        // Phones may be at the relay's own address. Theirs are ports that the system gives, and none is to be taken for its.
        rtp_ports: PortRange {
            first: 20_000,
            last: 29_999,
        },
        steering: SteeringMode::Off,
        kernel: KernelMode::Required,
        ..settings(address)
    };
    change(&mut media);
    let mut config = RelayConfig::in_process(media, PublicIp::Auto);
    config.listen.push(RelayListener {
        scheme: RelayScheme::Cli,
        address: CLI,
    });
    Some(InProcess::start_config(config))
}

fn call(relay: &InProcess, phones: IpAddr, call_id: &str) -> Call {
    Call::set_up_at(phones, call_id, |request| relay.ask(request.clone()))
}

fn forwarded_by_workers(snapshot: &Snapshot) -> u64 {
    snapshot
        .workers
        .iter()
        .map(|worker| worker.forward.forwarded)
        .sum()
}

/// A call whose media has just gone over to the kernel.
fn settled(relay: &InProcess, call_id: &str) -> Call {
    settled_at(relay, PHONES, call_id)
}

fn settled_at(relay: &InProcess, phones: IpAddr, call_id: &str) -> Call {
    let mut call = call(relay, phones, call_id);
    call.talk(1);
    relay.wait_for("flows in the kernel", |now| now.control.kernel_flows == 2);
    call
}

#[test]
fn a_settled_call_is_forwarded_by_the_kernel_and_counted_as_if_it_were_not() {
    let Some(relay) = relay() else { return };
    assert!(
        relay
            .handle
            .description()
            .iter()
            .any(|line| line.ends_with("in the kernel: on lo"))
    );
    let mut call = settled(&relay, "settled");
    let before = forwarded_by_workers(&relay.snapshot());
    call.talk(200);
    // Reports are read by workers.
    call.report();
    let after = relay.wait_for("reports", |now| forwarded_by_workers(now) >= before + 2);
    assert_eq!(forwarded_by_workers(&after), before + 2);
    let statistics = ok(relay.ask(Request::Statistics)).statistics.unwrap();
    assert_eq!(
        (
            statistics.current.media_kernel,
            statistics.current.media_userspace
        ),
        (Some(2), Some(2))
    );
    assert_eq!(
        statistics.current.rest.get("media_ports"),
        Some(&Value::text("sockets"))
    );
    let query = Query {
        call_id: "settled".into(),
        from_tag: None,
        to_tag: None,
    };
    let report = ok(relay.ask(Request::Query(query))).call.unwrap();
    assert_eq!(
        (report.totals.rtp.packets, report.totals.rtp.bytes),
        (402, 402 * 172)
    );
    let report = ok(relay.ask(delete("settled"))).call.unwrap();
    assert_eq!((report.totals.rtp.packets, report.totals.rtcp.packets), (402, 2));
    let total = ok(relay.ask(Request::Statistics)).statistics.unwrap().total;
    let packets = [total.relayed_packets_kernel, total.relayed_packets_user];
    assert_eq!((packets, total.relayed_packets), ([Some(400), Some(4)], 404));
    let octets = [total.relayed_bytes_kernel, total.relayed_bytes_user];
    assert_eq!(octets, [Some(400 * 172), Some(2 * 172 + 2 * 8)]);
    let totals = cli(CLI, "list totals");
    let line = |label: &str, count: u64| totals.contains(&format!(" {label:<48}:{count}\n"));
    assert!(line("Total relayed packets (kernel)", 400), "{totals}");
    assert!(line("Total relayed packets (userspace)", 4), "{totals}");
    let empty = relay.wait_until_empty();
    let control = empty.control;
    assert_eq!(
        (control.kernel_flows, control.kernel_entered, control.kernel_left),
        (0, 2, 2)
    );
    assert_eq!(control.kernel_refused, 0);
    relay.shut_down();
    assert!(
        !Path::new("/sys/fs/bpf/viaduct").exists(),
        "a relay that keeps no calls leaves nothing"
    );
}

#[test]
fn a_call_leaves_the_kernel_for_a_recorder_and_no_packet_is_missing() {
    let Some(relay) = relay() else { return };
    let mut call = settled(&relay, "recorded");
    call.talk(50);
    let recorder = Phone::at(PHONES, 9);
    record(|request| relay.ask(request), "recorded", &recorder);
    // Bob is heard by the recorder, so his packets are a worker's; Alice's are the kernel's still.
    let control = relay.snapshot().control;
    assert_eq!(control.kernel_flows, 1);
    assert_eq!(control.kernel_outside[Outside::Listener as usize], 1);
    let told = cli(CLI, "list kernel recorded");
    let lines = |end: &str| told.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!(lines(": in the kernel, 50 RTP packets"), 1, "{told}");
    let listened = ": in user space, since somebody listens: a recorder or a subscriber";
    assert_eq!(lines(listened), 1, "{told}");
    let all = cli(CLI, "list kernel all");
    assert!(all.starts_with("In the kernel: 1 flows\n"), "{all}");
    assert!(
        all.contains("In user space: 1 flows, since somebody listens"),
        "{all}"
    );
    assert!(
        all.ends_with("\nMedia ports: each with a socket of its own\n"),
        "{all}"
    );
    assert!(cli(CLI, "list kernel another").contains("Call Id not found (another)"));
    call.talk(50);
    for sequence in 51..101 {
        assert_eq!(recorder.hear().0, call.bob.packet(sequence));
    }
    let report = ok(relay.ask(delete("recorded"))).call.unwrap();
    assert_eq!(report.totals.rtp.packets, 202);
    // What the kernel had is no loss where a worker goes on.
    let lost = report.ssrc.0.iter().map(|(_, of)| of.cumulative_loss);
    assert!(
        lost.clone().all(|lost| lost.unwrap_or(0) == 0),
        "{:?}",
        lost.collect::<Vec<_>>()
    );
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn media_that_is_blocked_leaves_the_kernel_and_comes_back() {
    let Some(relay) = relay() else { return };
    let mut call = settled(&relay, "blocked");
    let other = |command| {
        let mut body = Dict::new();
        body.insert("call-id", Value::Bytes(ByteString::from_static("blocked")));
        ok(relay.ask(Request::Other(OtherRequest { command, body })));
    };
    other(OtherCommand::BlockMedia);
    assert_eq!(relay.snapshot().control.kernel_flows, 0);
    call.alice
        .rtp
        .send_to(&call.alice.packet(500), call.for_alice.0)
        .unwrap();
    relay.wait_for("a blocked packet", |now| {
        let dropped = now.workers.iter().flat_map(|worker| &worker.forward.drops);
        dropped.map(|(_, count)| count).sum::<u64>() == 1
    });
    other(OtherCommand::UnblockMedia);
    assert_eq!(relay.snapshot().control.kernel_flows, 2);
    call.talk(20);
    let report = ok(relay.ask(delete("blocked"))).call.unwrap();
    assert_eq!(report.totals.rtp.packets, 2 + 1 + 40);
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn a_call_goes_on_in_user_space_when_the_kernel_path_is_taken_away() {
    let Some(relay) = relay() else { return };
    let mut call = settled(&relay, "robbed");
    call.talk(20);
    viaduct_kmod_helper::unload(
        Path::new("/sys/fs/bpf"),
        &viaduct_kmod_helper::Instance::default(),
    )
    .unwrap();
    // Whoever forwards them, none is missing.
    call.talk(20);
    let lost = relay.wait_for("the loss to be noticed", |now| now.control.kernel_path == 0);
    assert_eq!(lost.control.kernel_flows, 0);
    assert_eq!(
        cli(CLI, "list kernel robbed"),
        "There is no kernel path: workers forward everything.\n"
    );
    call.talk(20);
    let report = ok(relay.ask(delete("robbed"))).call.unwrap();
    assert_eq!(report.totals.rtp.packets, 122);
    relay.wait_until_empty();
    relay.shut_down();
}

/// A call of two phones with the same keys. What both have, by the last SDP of the relay.
fn secure_call(relay: &InProcess, call_id: &str) -> (Call, Secrets) {
    let mut told = Vec::new();
    let call = Call::set_up_at(PHONES, call_id, |request| {
        let mut request = request.clone();
        let (sdp, options) = match &mut request {
            Request::Offer(offer) => (&mut offer.sdp, &mut offer.options),
            Request::Answer(answer) => (&mut answer.sdp, &mut answer.options),
            other => panic!("{other:?}"),
        };
        *sdp = secure(str::from_utf8(sdp.as_bytes()).unwrap()).into();
        options.transport_protocol = Some(TransportProtocol::RtpSavp);
        let reply = relay.ask(request);
        told = sdp_of(reply.clone());
        reply
    });
    (call, Secrets::of(&told))
}

#[test]
fn srtp_that_both_phones_have_the_keys_for_is_the_kernels() {
    let Some(relay) = relay_with(RELAY, |media| {
        media.sdes = SdesMode::Rtpengine;
        media.srtp_pass_through = true;
    }) else {
        return;
    };
    let (call, mut secrets) = secure_call(&relay, "secret");
    let passes = |packet: &[u8]| {
        call.alice.rtp.send_to(packet, call.for_alice.0).unwrap();
        assert_eq!(call.bob.hear(), (packet.to_vec(), call.for_bob.0));
        call.bob.rtp.send_to(packet, call.for_bob.0).unwrap();
        assert_eq!(call.alice.hear(), (packet.to_vec(), call.for_alice.0));
    };
    // Forged packets are the phones' to drop, and take nothing into the kernel.
    passes(&call.alice.packet(1));
    let unproven = relay.wait_for("forged packets", |now| {
        let workers = now.workers.iter();
        workers.map(|worker| worker.forward.passed_unproven).sum::<u64>() == 2
    });
    assert_eq!(unproven.control.kernel_flows, 0);
    let first = secrets.protect(&call.alice.packet(2));
    passes(&first);
    let before = relay.wait_for("flows in the kernel", |now| now.control.kernel_flows == 2);
    for sequence in 3..100 {
        let packet = call.alice.packet(sequence);
        let protected = secrets.protect(&packet);
        passes(&protected);
        assert_eq!(secrets.open(protected), packet);
    }
    let after = relay.snapshot();
    assert_eq!(forwarded_by_workers(&after), forwarded_by_workers(&before));
    let report = ok(relay.ask(delete("secret"))).call.unwrap();
    assert_eq!(report.totals.rtp.packets, 2 * 99);
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn behind_the_kernel_nothing_is_missing_but_what_was_lost_before() {
    for (address, phones, longest) in [(RELAY, PHONES, 1_472), (IPV6, IPV6, 1_452)] {
        let Some(relay) = relay_at(address) else { return };
        let mut call = settled_at(&relay, phones, "lossy");
        let before = forwarded_by_workers(&relay.snapshot());
        let (sent, lost) = call.talk_with_losses(400, longest);
        assert_eq!((sent, lost), (380, 20));
        // The smallest and the largest packets too.
        assert_eq!(forwarded_by_workers(&relay.snapshot()), before);
        let report = ok(relay.ask(delete("lossy"))).call.unwrap();
        assert_eq!(report.totals.rtp.packets, 2 * (1 + sent));
        let losses: Vec<_> = report.ssrc.0.iter().map(|(_, of)| of.cumulative_loss).collect();
        assert_eq!(losses, [Some(20), Some(20)]);
        relay.wait_until_empty();
        relay.shut_down();
    }
}

/// Every packet is heard: while the relay is there, while nobody is, while another one starts, and from then on.
#[test]
fn media_goes_on_in_the_kernel_while_a_relay_takes_the_place_of_one_that_was_killed() {
    if !namespaces() {
        return;
    }
    let place = Place::new();
    let flows_in_kernel = || place.figure("viaduct_relay_control_kernel_flows");
    let are_in = || {
        wait_for("both flows in the kernel", || {
            (flows_in_kernel() == 2).then_some(())
        });
    };
    let relay = place.start();
    if !relay
        .log
        .iter()
        .any(|line| line.ends_with("in the kernel: on lo"))
    {
        eprintln!("skipped: {:?}", relay.log.last());
        return;
    }
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut call = Call::set_up_at(PHONES, "over", |request| proxy.ask(request));
    call.talk(1);
    are_in();
    call.talk(20);
    place.wait_until_written(3);
    assert!(!relay.end(Signal::SIGKILL).status.success());
    call.talk(50);
    let is_over = AtomicBool::new(false);
    let relay = std::thread::scope(|scope| {
        let phones = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                call.talk(1);
            }
        });
        let relay = place.start();
        are_in();
        is_over.store(true, Ordering::Relaxed);
        phones.join().unwrap();
        relay
    });
    call.talk(50);
    assert_eq!(place.figure("viaduct_relay_calls_rebuilt_total"), 1);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    ok(proxy.ask(&delete("over")));
    assert_eq!(flows_in_kernel(), 0);
}

#[test]
fn a_stranger_is_not_forwarded_by_the_kernel() {
    let Some(relay) = relay() else { return };
    let mut call = settled(&relay, "guarded");
    let mallory = UdpSocket::bind((PHONES, 0)).unwrap();
    mallory.send_to(&call.alice.packet(7), call.for_alice.0).unwrap();
    call.talk(20);
    let quiet = Some(Duration::from_millis(1));
    call.bob.rtp.set_read_timeout(quiet).unwrap();
    assert!(
        call.bob.rtp.recv(&mut [0; 2_048]).is_err(),
        "Bob hears a stranger"
    );
    ok(relay.ask(delete("guarded")));
    relay.wait_until_empty();
    relay.shut_down();
}

#[test]
fn packets_that_race_with_changes_of_their_call_arrive_once_and_in_order() {
    let Some(relay) = relay() else { return };
    let call = settled(&relay, "changing");
    let ask = |request| relay.ask(request);
    let are_in = |count| {
        let what = format!("{count} flows in the kernel");
        relay.wait_for(&what, |now| now.control.kernel_flows == count);
    };
    let entered = relay.snapshot().control.kernel_entered;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let phones = scope.spawn(|| {
            let mut sequence = 1_u16;
            // Each packet is waited for, so what is lost fails at once, and what comes twice is in the way of the next.
            while !is_over.load(Ordering::Relaxed) {
                for (from, to, relay) in [
                    (&call.alice, &call.bob, (call.for_alice.0, call.for_bob.0)),
                    (&call.bob, &call.alice, (call.for_bob.0, call.for_alice.0)),
                ] {
                    from.rtp.send_to(&from.packet(sequence), relay.0).unwrap();
                    assert_eq!(to.hear(), (from.packet(sequence), relay.1));
                }
                sequence = sequence.wrapping_add(1);
            }
        });
        for _ in 0..10 {
            ok(ask(offer_again("changing", &call.alice.sdp())));
            ok(ask(answer("changing", &call.bob.sdp())));
            are_in(2);
            let recorder = Phone::at(PHONES, 9);
            let listener = record(ask, "changing", &recorder);
            are_in(1);
            recorder.hear();
            ok(ask(Request::Unsubscribe(Unsubscribe {
                call_id: "changing".into(),
                to_tag: listener,
            })));
            are_in(2);
        }
        is_over.store(true, Ordering::Relaxed);
        phones.join().unwrap();
    });
    // An offer that changes nothing need not take a flow out; each recorder takes Bob's.
    assert!(relay.snapshot().control.kernel_entered >= entered + 10);
    for phone in [&call.alice, &call.bob] {
        phone.rtp.set_nonblocking(true).unwrap();
        assert!(phone.rtp.recv(&mut [0; 2_048]).is_err(), "a packet came twice");
    }
    ok(relay.ask(delete("changing")));
    relay.wait_until_empty();
    relay.shut_down();
}
