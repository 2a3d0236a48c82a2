//! Programs and tables over restarts, crashes and removals of relays.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aya::programs::TcAttachType;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use viaduct_kmod_helper::{Config, Fast, FrameCount, InstallError, Limits, Refused, Steering, Up, unload};

use crate::bench::{Host, Street, attached, comes_to, flow, ip, rtp};

const INGRESS: TcAttachType = TcAttachType::Ingress;
const NOW: fn() -> Instant = Instant::now;
const ALICE: &str = "10.1.0.2:4000";
const TO_ALICE: &str = "10.1.0.1:30000";
const TO_BOB: &str = "10.2.0.1:30002";
const BOB: &str = "10.2.0.2:5000";

fn config(host: &Host, instance: &str, limits: Limits) -> Config {
    Config {
        instance: instance.parse().unwrap(),
        limits,
        ..host.config()
    }
}

#[test]
fn a_relay_that_starts_again_takes_over_its_flows_and_their_counters() {
    let Some(street) = Street::new(1500) else { return };
    let [alice, bob] =
        [(&street.alice, ALICE), (&street.bob, BOB)].map(|(at, address)| street.socket(at, address));
    let flow = flow(ALICE, TO_ALICE, TO_BOB, BOB);
    let hear = |sequence| {
        alice.send_to(&rtp(sequence, 160), TO_ALICE).unwrap();
        let mut buffer = [0; 2048];
        let len = bob.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], rtp(sequence, 160));
    };
    let mut first = street.host.open();
    first.install(NOW(), &flow).unwrap();
    hear(1);
    drop(first);
    hear(2);
    let mut second = Fast::open(NOW(), &street.host.config()).unwrap();
    assert_eq!(attached("r1", INGRESS), 1);
    hear(3);
    assert_eq!(second.unclaimed(), [flow.key]);
    second.install(NOW(), &flow).unwrap();
    hear(4);
    assert_eq!(second.unclaimed(), []);
    let counters = second.remove(NOW(), &flow.key).unwrap();
    assert_eq!(counters.rtp_packets, 4);
    assert_eq!(second.remove(NOW(), &flow.key), None);
}

/// The kernel gives a program up when a signal waits for the thread that loads it, and it looks at ours for several milliseconds.
#[test]
fn programs_are_loaded_while_signals_come_all_the_time() {
    let Some(host) = Host::new() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let _heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()).unwrap();
    let loading = pthread_self();
    let loaded = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !loaded.load(Ordering::Relaxed) {
                pthread_kill(loading, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let fast = Fast::open(NOW(), &host.config());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let steering = Steering::open(16, &[socket.as_fd()]);
        loaded.store(true, Ordering::Relaxed);
        fast.unwrap();
        steering.unwrap();
    });
}

#[test]
fn nothing_is_forwarded_for_a_relay_that_shows_no_life() {
    let Some(street) = Street::new(1500) else { return };
    let limits = Limits {
        patience: Duration::ZERO,
        ..Limits::default()
    };
    let mut fast = Fast::open(NOW(), &config(&street.host, "silent", limits)).unwrap();
    fast.heartbeat(NOW()).unwrap();
    fast.install(NOW(), &flow(ALICE, TO_ALICE, TO_BOB, BOB)).unwrap();
    // The program's clock is the coarse one.
    let clock = |id| clock_gettime(id).unwrap();
    let beat = clock(ClockId::CLOCK_MONOTONIC);
    while clock(ClockId::CLOCK_MONOTONIC_COARSE) <= beat {
        std::thread::yield_now();
    }
    let alice = street.socket(&street.alice, ALICE);
    let relay = street.socket(&street.host.namespace, TO_ALICE);
    alice.send_to(&rtp(1, 160), TO_ALICE).unwrap();
    let mut buffer = [0; 2048];
    let len = relay.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], rtp(1, 160));
    assert_eq!(
        fast.ups().unwrap()[Up::NoHeartbeat as usize],
        (Up::NoHeartbeat, 1)
    );
}

#[test]
fn flows_of_one_port_do_not_take_each_others_packets() {
    let Some(street) = Street::new(1500) else { return };
    let mut fast = street.host.open();
    let other = "10.1.0.2:4002";
    let [first, second] =
        [(ALICE, BOB), (other, "10.2.0.2:5002")].map(|(peer, to)| flow(peer, TO_ALICE, TO_BOB, to));
    let phones = [ALICE, other].map(|at| street.socket(&street.alice, at));
    let hearers = [BOB, "10.2.0.2:5002"].map(|at| street.socket(&street.bob, at));
    let relay = street.socket(&street.host.namespace, TO_ALICE);
    let mut buffer = [0; 2048];
    let mut sequence = 0;
    // In every order of coming and going.
    for (early, late) in [(0, 1), (1, 0)] {
        let flows = [&first, &second];
        for at in [early, late, early] {
            fast.install(NOW(), flows[at]).unwrap();
        }
        for at in [early, late] {
            sequence += 1;
            phones[at].send_to(&rtp(sequence, 160), TO_ALICE).unwrap();
            assert_eq!(hearers[at].recv(&mut buffer).unwrap(), 172);
        }
        for (gone, at) in [(late, early), (early, late)] {
            let counted = fast.remove(NOW(), &flows[gone].key).unwrap();
            assert!(counted.rtp_packets > 0);
            sequence += 1;
            phones[gone].send_to(&rtp(sequence, 160), TO_ALICE).unwrap();
            assert_eq!(relay.recv(&mut buffer).unwrap(), 172);
            if fast.counters(&flows[at].key).is_some() {
                phones[at].send_to(&rtp(sequence, 160), TO_ALICE).unwrap();
                assert_eq!(hearers[at].recv(&mut buffer).unwrap(), 172);
            }
        }
    }
}

/// Where the kernel says no without them, the programs are too clever.
#[test]
fn programs_need_no_more_than_the_capabilities_that_the_relay_asks_for() {
    const BPFFS: &str = "VIADUCT_TEST_BPFFS";
    const NAME: &str = "life::programs_need_no_more_than_the_capabilities_that_the_relay_asks_for";
    let open = |bpffs: &Path| {
        let config = Config {
            bpffs: bpffs.to_owned(),
            ..Config::default()
        };
        let mut fast = Fast::open(NOW(), &config).unwrap();
        let ear = UdpSocket::bind("10.1.0.1:0").unwrap();
        let mut steering = Steering::open(16, &[ear.as_fd()]).unwrap();
        steering.forward_frames(&mut fast).unwrap();
        let frames = steering.hand_on("r1", 1, FrameCount::new(128)).unwrap();
        assert_eq!(frames.len(), 1);
    };
    // The test itself, begun again with less.
    if let Some(bpffs) = std::env::var_os(BPFFS) {
        return open(Path::new(&bpffs));
    }
    let Some(street) = Street::new(1500) else { return };
    let done = Command::new("setpriv")
        .args([
            "--bounding-set",
            "-all,+bpf,+net_admin,+net_raw,+ipc_lock,+dac_override",
            "--inh-caps",
            "-all",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(BPFFS, street.host.bpffs.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).replace("\\n", "\n");
    let end = said.len().saturating_sub(4_000);
    assert!(
        done.status.success(),
        "{}",
        &said[said.floor_char_boundary(end)..]
    );
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
}

#[test]
fn relays_of_one_host_do_not_disturb_each_other() {
    let Some(street) = Street::new(1500) else { return };
    let host = &street.host;
    let [one, two] = ["one", "two"].map(|name| config(host, name, Limits::default()));
    let mut first = Fast::open(NOW(), &one).unwrap();
    let mut second = Fast::open(NOW(), &two).unwrap();
    assert!(matches!(Fast::open(NOW(), &one), Err(Refused::InUse(_))));
    let flows = [
        flow(ALICE, TO_ALICE, TO_BOB, BOB),
        flow(BOB, TO_BOB, TO_ALICE, ALICE),
    ];
    for (fast, flow) in [&mut first, &mut second].into_iter().zip(&flows) {
        fast.heartbeat(NOW()).unwrap();
        fast.install(NOW(), flow).unwrap();
    }
    let [alice, bob] =
        [(&street.alice, ALICE), (&street.bob, BOB)].map(|(at, address)| street.socket(at, address));
    let mut buffer = [0; 2048];
    alice.send_to(&rtp(1, 160), TO_ALICE).unwrap();
    assert_eq!(bob.recv(&mut buffer).unwrap(), 172);
    bob.send_to(&rtp(2, 160), TO_BOB).unwrap();
    assert_eq!(alice.recv(&mut buffer).unwrap(), 172);

    let before = attached("r1", INGRESS);
    unload(host.bpffs.path(), &one.instance).unwrap();
    assert!(comes_to("r1", INGRESS, before - 1));
    assert!(!first.is_attached() && second.is_attached());
    bob.send_to(&rtp(3, 160), TO_BOB).unwrap();
    assert_eq!(alice.recv(&mut buffer).unwrap(), 172);
}

#[test]
fn unloading_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    let mut fast = host.open();
    fast.install(
        NOW(),
        &flow(
            "127.0.0.1:4000",
            "127.0.0.1:30000",
            "127.0.0.1:30002",
            "127.0.0.1:5000",
        ),
    )
    .unwrap();
    drop(fast);
    assert_eq!(attached("lo", INGRESS), 1);
    unload(host.bpffs.path(), &host.config().instance).unwrap();
    assert!(comes_to("lo", INGRESS, 0));
    assert!(!host.bpffs.path().join("viaduct").exists());
    let again = unload(host.bpffs.path(), &host.config().instance);
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_full_table_is_said_and_counted_and_has_room_when_a_flow_ends() {
    let Some(host) = Host::new() else { return };
    let limits = Limits {
        flows_max: 2,
        ..Limits::default()
    };
    let mut fast = Fast::open(NOW(), &config(&host, "small", limits)).unwrap();
    let flow = |port: u16| {
        let peer = format!("127.0.0.1:{port}");
        flow(&peer, "127.0.0.1:30000", "127.0.0.1:30002", "127.0.0.1:5000")
    };
    fast.install(NOW(), &flow(1)).unwrap();
    fast.install(NOW(), &flow(2)).unwrap();
    assert!(matches!(fast.install(NOW(), &flow(3)), Err(InstallError::Full)));
    assert_eq!((fast.refused_full(), fast.flows().count()), (1, 2));
    // One that is there is replaced all the same.
    fast.install(NOW(), &flow(2)).unwrap();
    fast.remove(NOW(), &flow(1).key).unwrap();
    fast.install(NOW(), &flow(3)).unwrap();
    assert_eq!(fast.refused_full(), 1);
}

#[test]
fn tables_of_another_size_are_begun_anew() {
    let Some(host) = Host::new() else { return };
    let limits = |flows_max| Limits {
        flows_max,
        ..Limits::default()
    };
    let mut fast = Fast::open(NOW(), &config(&host, "a", limits(8))).unwrap();
    fast.install(
        NOW(),
        &flow("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"),
    )
    .unwrap();
    drop(fast);
    let fast = Fast::open(NOW(), &config(&host, "a", limits(9))).unwrap();
    assert_eq!(fast.unclaimed(), []);
    // That of the host itself, and this one.
    assert!(comes_to("lo", INGRESS, 2));
}

#[test]
fn flows_follow_changed_routes_and_leave_the_kernel_without_one() {
    let Some(street) = Street::new(1500) else { return };
    let limits = Limits {
        route_age_min: Duration::ZERO,
        ..Limits::default()
    };
    let mut fast = Fast::open(NOW(), &config(&street.host, "roads", limits)).unwrap();
    fast.heartbeat(NOW()).unwrap();
    let far = "10.77.0.9:5000";
    ip("route add 10.77.0.0/16 via 10.1.0.2");
    let flow = flow(ALICE, TO_ALICE, TO_BOB, far);
    fast.install(NOW(), &flow).unwrap();
    street.bob.enter();
    ip("addr add 10.77.0.9/32 dev lo");
    street.host.namespace.enter();
    ip("route replace 10.77.0.0/16 via 10.2.0.2");
    assert_eq!(fast.heartbeat(NOW()).unwrap(), []);
    let [alice, bob] =
        [(&street.alice, ALICE), (&street.bob, far)].map(|(at, address)| street.socket(at, address));
    alice.send_to(&rtp(1, 160), TO_ALICE).unwrap();
    let mut buffer = [0; 2048];
    assert_eq!(bob.recv(&mut buffer).unwrap(), 172);
    ip("route del 10.77.0.0/16");
    let lost = fast.heartbeat(NOW()).unwrap();
    assert_eq!((lost.len(), lost[0].0, lost[0].1.rtp_packets), (1, flow.key, 1));
    assert_eq!(fast.flows().count(), 0);
}

#[test]
fn interfaces_are_those_that_are_named() {
    let Some(street) = Street::new(1500) else { return };
    let named = |names: &[&str]| Config {
        interfaces: names.iter().map(|name| (*name).to_owned()).collect(),
        ..street.host.config()
    };
    let before = attached("r2", INGRESS);
    let fast = Fast::open(NOW(), &named(&["r1"])).unwrap();
    assert_eq!((attached("r1", INGRESS), attached("r2", INGRESS)), (1, before));
    drop(fast);
    drop(Fast::open(NOW(), &named(&["r2"])).unwrap());
    assert!(comes_to("r1", INGRESS, 0) && comes_to("r2", INGRESS, 1));
    let refused = Fast::open(NOW(), &named(&["r1", "nowhere"]));
    assert!(matches!(refused, Err(Refused::NoInterface(name)) if name == "nowhere"));
}
