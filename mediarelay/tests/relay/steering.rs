//! Calls whose ports have no sockets, because a program in the kernel steers them: in a network namespace of each test's own, over
//! its loopback interface. Skipped, with the reason, where a process may not make one or load programs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use viaduct_mediarelay::{RelayConfig, RelayHandle, Snapshot, StartError};
use viaduct_ng::{Request, Value};
use viaduct_settings::{MediaSettings, PortRange, PublicIp, SteeringMode};

use crate::support::call::{Call, delete, ok};
use crate::support::phone::Phone;
use crate::support::{InProcess, PATIENCE, settings};

const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const PHONES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Ports that the kernel gives to nobody by chance.
const PORTS: PortRange = PortRange {
    first: 20_000,
    last: 20_999,
};
/// Ports of a call of two phones.
const PORTS_OF_CALL: u64 = 4;
/// Calls that are shared out to the workers.
const CALLS: u64 = 24;

fn media(address: IpAddr, rtp_ports: PortRange) -> MediaSettings {
    MediaSettings {
        browser_port: None,
        rtp_ports,
        steering: SteeringMode::Required,
        ..settings(address)
    }
}

/// A network namespace of this thread's own. False, and a line that says why the test is skipped, where that is not allowed.
fn namespace() -> bool {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("skipped: this process may not make network namespaces: {error}");
        return false;
    }
    ip("link set lo up");
    true
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split_whitespace()).status();
    assert!(done.unwrap().success(), "ip {words}");
}

/// A relay with steered ports.
fn relay(media: MediaSettings) -> Option<InProcess> {
    let config = RelayConfig::in_process(media.clone(), PublicIp::Auto);
    match RelayHandle::start(config) {
        Ok(handle) => handle.shutdown(PATIENCE).unwrap(),
        Err(StartError::Steering(why)) => {
            eprintln!("skipped: {why}");
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    Some(InProcess::start_with(media))
}

fn call_at(relay: &InProcess, phones: IpAddr, call_id: &str) -> Call {
    Call::set_up_at(phones, call_id, |request| relay.ask(request.clone()))
}

fn end(relay: InProcess, call_ids: &[&str]) {
    end_calls(&relay, call_ids);
    relay.shut_down();
}

/// Ends calls, of which nothing may be left then.
pub(crate) fn end_calls(relay: &InProcess, call_ids: &[&str]) -> Snapshot {
    for call_id in call_ids {
        ok(relay.ask(delete(call_id)));
    }
    let empty = relay.wait_until_empty();
    assert_eq!(empty.control.ports_steered, 0);
    assert_eq!(empty.control.orders_failed, 0);
    empty
}

#[test]
fn a_call_needs_no_sockets_and_is_heard_as_with_them() {
    if !namespace() {
        return;
    }
    for (address, phones) in [(RELAY, PHONES), (IPV6, IPV6)] {
        let Some(relay) = relay(media(address, PORTS)) else {
            return;
        };
        let description = relay.handle.description();
        assert!(
            description
                .contains(&"media ports 20000 to 20999, steered to one socket of each worker".to_owned()),
            "{description:?}"
        );
        // Workers get calls by chance: of so many, each has some, and hears what is theirs.
        let names: Vec<String> = (0..CALLS).map(|number| format!("call {number}")).collect();
        let mut calls: Vec<Call> = names.iter().map(|name| call_at(&relay, phones, name)).collect();
        for call in &mut calls {
            call.talk(20);
            call.report();
        }
        let snapshot = relay.snapshot();
        assert_eq!(snapshot.control.ports_steered, CALLS * PORTS_OF_CALL);
        assert_eq!(snapshot.control.sockets, 0);
        assert!(snapshot.workers.iter().all(|worker| worker.io.received > 0));
        assert!(snapshot.workers.iter().all(|worker| worker.io.strays == 0));
        end(relay, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn packets_that_must_be_cut_come_from_the_right_port_too() {
    if !namespace() {
        return;
    }
    ip("link set lo mtu 1500");
    for (address, phones) in [(RELAY, PHONES), (IPV6, IPV6)] {
        let Some(relay) = relay(media(address, PORTS)) else {
            return;
        };
        let mut call = call_at(&relay, phones, "long");
        call.talk(1);
        for len in [1_400, 1_800] {
            let mut packet = call.alice.packet(1);
            packet.resize(len, 7);
            call.alice.rtp.send_to(&packet, call.for_alice.0).unwrap();
            assert_eq!(call.bob.hear(), (packet, call.for_bob.0));
        }
        end(relay, &["long"]);
    }
}

#[test]
fn behind_steered_ports_nothing_is_missing_but_what_was_lost_before() {
    if !namespace() {
        return;
    }
    ip("link set lo mtu 1500");
    for (address, phones, longest) in [(RELAY, PHONES, 1_472), (IPV6, IPV6, 1_452)] {
        let Some(relay) = relay(media(address, PORTS)) else {
            return;
        };
        let mut call = call_at(&relay, phones, "lossy");
        let (sent, lost) = call.talk_with_losses(400, longest);
        assert_eq!((sent, lost), (380, 20));
        let snapshot = relay.snapshot();
        let strays: u64 = snapshot.workers.iter().map(|worker| worker.io.strays).sum();
        assert_eq!((strays, snapshot.control.receive_overflows), (0, 0));
        assert_eq!(snapshot.control.steering, 1);
        let report = ok(relay.ask(delete("lossy"))).call.unwrap();
        assert_eq!(report.totals.rtp.packets, 2 * sent);
        let losses: Vec<_> = report.ssrc.0.iter().map(|(_, of)| of.cumulative_loss).collect();
        assert_eq!(losses, [Some(20), Some(20)]);
        end(relay, &[]);
    }
}

#[test]
fn whether_ports_are_steered_is_told() {
    if !namespace() {
        return;
    }
    let Some(relay) = relay(media(RELAY, PORTS)) else {
        return;
    };
    let _call = call_at(&relay, PHONES, "told");
    let statistics = ok(relay.ask(Request::Statistics)).statistics.unwrap();
    let told = |key: &str| statistics.current.rest.get(key).cloned();
    assert_eq!(told("media_ports"), Some(Value::text("steered")));
    assert_eq!(told("ports_steered"), Some(Value::Integer(4)));
    end(relay, &["told"]);
}

#[test]
fn ports_of_the_range_that_others_have_stay_theirs_and_free_ones_are_closed() {
    if !namespace() {
        return;
    }
    let other = UdpSocket::bind((RELAY, 20_002)).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let ports = PortRange {
        first: 20_000,
        last: 20_007,
    };
    let Some(relay) = relay(media(RELAY, ports)) else {
        return;
    };
    let mut call = call_at(&relay, PHONES, "neighbour");
    call.talk(20);
    let phone = Phone::at(PHONES, 7);
    phone.rtp.send_to(b"yours", (RELAY, 20_002)).unwrap();
    assert_eq!(other.recv(&mut [0; 16]).unwrap(), 5);
    let used = [call.for_alice, call.for_bob].map(|(rtp, _)| rtp.port());
    let free = [20_000, 20_004, 20_006]
        .into_iter()
        .find(|port| !used.contains(port));
    phone.rtp.connect((RELAY, free.unwrap())).unwrap();
    phone.rtp.send(b"x").unwrap();
    let refused = phone.rtp.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    end(relay, &["neighbour"]);
}

#[test]
fn a_call_goes_on_with_sockets_of_its_own_when_the_program_is_detached() {
    if !namespace() {
        return;
    }
    let Some(relay) = relay(media(RELAY, PORTS)) else {
        return;
    };
    let mut calls = ["one", "two", "three"].map(|name| call_at(&relay, PHONES, name));
    calls.iter_mut().for_each(|call| call.talk(20));
    detach_steering();
    let after = relay.wait_for("the loss to be noticed", |now| now.control.ports_steered == 0);
    assert_eq!(after.control.steering_lost, 1);
    assert!(after.control.sockets >= 3 * PORTS_OF_CALL);
    relay.wait_for("sockets in the place of steered ports", |now| {
        let sockets: u64 = now.workers.iter().map(|worker| worker.io.sockets).sum();
        // Beside the lanes of two workers.
        sockets == 2 + 3 * PORTS_OF_CALL
    });
    for call in &mut calls {
        call.talk(20);
        call.report();
    }
    let mut late = call_at(&relay, PHONES, "late");
    late.talk(20);
    end(relay, &["one", "two", "three", "late"]);
}

#[test]
fn ports_that_any_program_may_get_are_not_steered() {
    if !namespace() {
        return;
    }
    let ports = PortRange {
        first: 40_000,
        last: 40_999,
    };
    let config = |steering| {
        let media = MediaSettings {
            steering,
            ..media(RELAY, ports)
        };
        RelayConfig::in_process(media, PublicIp::Auto)
    };
    let refused = RelayHandle::start(config(SteeringMode::Required)).err().unwrap();
    let advice = "sysctl -w net.ipv4.ip_local_reserved_ports=40000-40999";
    assert!(refused.to_string().contains(advice), "{refused}");
    let relay = RelayHandle::start(config(SteeringMode::Auto)).unwrap();
    assert!(relay.description().iter().any(|line| line.contains(advice)));
    relay.shutdown(PATIENCE).unwrap();
}

#[test]
fn relays_of_one_host_do_not_take_each_others_ports() {
    if !namespace() {
        return;
    }
    let Some(first) = relay(media(RELAY, PORTS)) else {
        return;
    };
    let config = |steering, rtp_ports| {
        let media = MediaSettings {
            steering,
            ..media(RELAY, rtp_ports)
        };
        RelayConfig::in_process(media, PublicIp::Auto)
    };
    let beside = PortRange {
        first: 21_000,
        last: 21_999,
    };
    for steering in [SteeringMode::Off, SteeringMode::Auto, SteeringMode::Required] {
        let refused = RelayHandle::start(config(steering, PORTS)).err().unwrap();
        assert!(
            refused
                .to_string()
                .contains("has ports 20000 to 20999 of 127.0.0.1"),
            "{refused}"
        );
        let second = RelayHandle::start(config(steering, beside)).unwrap();
        second.shutdown(PATIENCE).unwrap();
    }
    first.shut_down();
    // Of two with sockets neither is in the way of the other, and a third one does not steer what they may bind.
    let bound = [(); 2].map(|()| RelayHandle::start(config(SteeringMode::Off, PORTS)).unwrap());
    let third = RelayHandle::start(config(SteeringMode::Auto, PORTS)).unwrap();
    let description = third.description().join("\n");
    assert!(
        description.contains("each with a socket of its own: the relay of process"),
        "{description}"
    );
    for relay in bound.into_iter().chain([third]) {
        relay.shutdown(PATIENCE).unwrap();
    }
}

/// Does what `bpftool link detach` does with the attachments of this process to this thread's network namespace.
#[expect(
    unsafe_code,
    reason = "no crate at hand detaches what another part of the process holds"
)]
fn detach_steering() {
    const BPF_LINK_DETACH: i32 = 34;
    let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let here = here
        .to_str()
        .unwrap()
        .trim_matches(|of: char| !of.is_ascii_digit())
        .to_owned();
    let mut detached = 0;
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if !text.lines().any(|line| line == format!("netns_ino:\t{here}")) {
            continue;
        }
        let fd: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let link = &raw const fd;
        // SAFETY: the kernel reads four octets, which are `fd`, and writes none; the relay of this test keeps the descriptor open.
        let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, link, size_of::<u32>()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        detached += 1;
    }
    assert_eq!(detached, 1);
}
