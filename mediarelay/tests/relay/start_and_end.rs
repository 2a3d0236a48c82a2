//! How a relay begins, why it does not, and what it leaves when it ends.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use viaduct_mediarelay::{RelayConfig, RelayHandle, StartError, Unavailable, port_owner};
use viaduct_ng::{Encoding, Request};
use viaduct_settings::{AdvertisedAddress, Bind, Layer, MediaSettings, PublicIp, RelayListener, RelayScheme};

use crate::support::call::{Call, delete};
use crate::support::ng::Proxy;
use crate::support::program::Program;
use crate::support::undisturbed::undisturbed;
use crate::support::{InProcess, PATIENCE, free_port, own_address, settings};

/// How long a relay may take to end.
const END_MAX: Duration = Duration::from_secs(2);

#[test]
fn a_signal_ends_the_program_in_good_order_although_a_call_runs_and_clients_are_connected() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let address = own_address();
        let ports = [(); 4].map(|()| SocketAddr::new(address, free_port(address)));
        let state = std::env::temp_dir().join(format!("viaduct-end-{}-{address}", std::process::id()));
        let options = [
            format!("--listen-http={}", ports[2]),
            format!("--listen-tcp-ng={}", ports[3]),
            format!("--state-file={}", state.display()),
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let relay = Program::start_at(address, ports[0].port(), ports[1].port(), &options)
            .unwrap_or_else(|outcome| panic!("{}", outcome.log));
        let mut proxy = Proxy::of(relay.ng, Encoding::Json);
        Call::set_up("running", |request| proxy.ask(request)).talk(3);
        // Clients that are in the middle of something, or of nothing.
        let mut clients = [relay.cli, ports[2], ports[3]].map(crate::support::tcp::connect);
        clients
            .iter_mut()
            .for_each(|client| client.write_all(b"x").unwrap());
        let (ng, pid_file) = (relay.ng, relay.pid_file.clone());
        assert!(pid_file.exists());
        let asked = Instant::now();
        let outcome = relay.end(signal);
        assert!(asked.elapsed() < END_MAX, "{:?}", asked.elapsed());
        assert_eq!(outcome.status.code(), Some(0), "{}", outcome.log);
        assert!(
            outcome.log.contains(&format!("{signal}: the relay ends")),
            "{}",
            outcome.log
        );
        assert!(!pid_file.exists());
        UdpSocket::bind(ng).unwrap();
        std::fs::remove_file(state).unwrap();
    }
}

#[test]
fn systemd_is_told_when_the_relay_serves_that_it_lives_and_when_it_ends() {
    let path = std::env::temp_dir().join(format!("viaduct-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 64];
        let len = undisturbed(PATIENCE, || socket.recv(&mut buffer)).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let relay = Program::start_managed(&path);
    assert_eq!(
        [heard(), heard(), heard()],
        ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    );
    let asked = Instant::now();
    assert_eq!(relay.end(Signal::SIGINT).status.code(), Some(0));
    assert!(asked.elapsed() < END_MAX, "{:?}", asked.elapsed());
    let last = std::iter::repeat_with(heard).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_port_that_is_taken_is_named_with_its_owner() {
    let address = own_address();
    let port = free_port(address);
    let _taken = UdpSocket::bind((address, port)).unwrap();
    let Err(outcome) = Program::start_at(address, port, free_port(address), &[]) else {
        panic!("a relay on a port of somebody else");
    };
    assert_eq!(outcome.status.code(), Some(1));
    let owner = format!(
        "port UDP {address}:{port} is taken by process {} (`",
        std::process::id()
    );
    assert!(outcome.log.contains(&owner), "{}", outcome.log);
    assert!(
        outcome.log.contains("it is wanted for NG commands"),
        "{}",
        outcome.log
    );
}

#[test]
fn a_second_relay_leaves_the_first_ones_pid_file_alone() {
    let first = Program::start(&[]);
    assert!(Program::start_at(first.address, first.ng.port(), first.cli.port(), &[]).is_err());
    assert_eq!(
        std::fs::read_to_string(&first.pid_file).unwrap(),
        format!("{}\n", first.pid())
    );
}

#[test]
fn every_kind_of_port_is_named_when_it_is_taken() {
    let address = own_address();
    let udp = UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap();
    for (scheme, purpose) in [
        (RelayScheme::NgUdp, "NG commands"),
        (RelayScheme::NgTcp, "NG commands over TCP"),
        (RelayScheme::Cli, "the text interface"),
        (RelayScheme::Http, "HTTP"),
    ] {
        let (_udp, _tcp) = (UdpSocket::bind(udp).unwrap(), TcpListener::bind(udp).unwrap());
        let listen = vec![RelayListener { scheme, address: udp }];
        let config = RelayConfig {
            listen,
            ..RelayConfig::in_process(settings(address), PublicIp::Auto)
        };
        match RelayHandle::start(config) {
            Err(StartError::PortTaken {
                layer,
                address,
                purpose: wanted,
                owner,
            }) => {
                assert_eq!((layer, address, wanted), (scheme.layer(), udp, purpose));
                assert_eq!(owner.unwrap().pid, Some(std::process::id()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_browsers_port_of_another_relay_is_not_shared() {
    let address = own_address();
    let media = settings(address);
    let first = InProcess::start_with(media.clone());
    let error = RelayHandle::start(RelayConfig::in_process(media, PublicIp::Auto)).unwrap_err();
    assert!(error.to_string().contains("it is wanted for browsers"), "{error}");
    let browsers = first.handle.browser_ports()[0];
    assert_eq!(
        port_owner(Layer::Udp, browsers).unwrap().pid,
        Some(std::process::id())
    );
    first.shut_down();
}

#[test]
fn an_address_of_another_machine_is_called_that() {
    let mut media = settings(own_address());
    media.interfaces[0].addresses[0].address = Bind::Address("203.0.113.250".parse().unwrap());
    for browser_port in [media.browser_port, None] {
        let media = MediaSettings {
            browser_port,
            ..media.clone()
        };
        let error = RelayHandle::start(RelayConfig::in_process(media, PublicIp::Auto))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "203.0.113.250 is no address of this machine; it is wanted for media"
        );
    }
}

#[test]
fn without_a_public_address_the_relay_says_what_peers_are_told() {
    let address = own_address();
    let mut media = settings(address);
    media.interfaces[0].addresses[0].advertise = Some(AdvertisedAddress::Public);
    let relay = InProcess::start_with(media.clone());
    let [remark] = relay.handle.remarks() else {
        panic!("{:?}", relay.handle.remarks())
    };
    assert!(
        remark.contains("`public_ip` is `auto`") && remark.contains(&address.to_string()),
        "{remark}"
    );
    relay.shut_down();
    let public = PublicIp::Addresses(vec!["198.51.100.9".parse().unwrap()]);
    let relay = InProcess::start_config(RelayConfig::in_process(media, public));
    assert_eq!(relay.handle.remarks(), [""; 0]);
    assert_eq!(
        relay.handle.interfaces()[0].addresses[0].advertised,
        Some("198.51.100.9".parse().unwrap())
    );
}

#[test]
fn a_relay_that_was_shut_down_leaves_its_ports_and_answers_nobody() {
    let address = own_address();
    let mut config = RelayConfig::in_process(settings(address), PublicIp::Auto);
    let listener = RelayListener {
        scheme: RelayScheme::Cli,
        address: SocketAddr::new(address, free_port(address)),
    };
    config.listen.push(listener);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Each time on the same ports.
    for round in 0..3 {
        let relay = InProcess::start_config(config.clone());
        let mut call = Call::set_up("last", |request| relay.ask(request.clone()));
        call.talk(2);
        let (handle, mut events) = (relay.handle.clone(), relay.handle.events());
        let asked = Instant::now();
        relay.shut_down();
        assert!(
            asked.elapsed() < END_MAX,
            "{:?} in round {round}",
            asked.elapsed()
        );
        handle.shutdown(PATIENCE).unwrap();
        assert_eq!(
            handle.request(Request::Ping, |_| panic!("an answer")),
            Err(Unavailable::Ended)
        );
        // What happened before is still told; that it was the end as well.
        let _ = std::iter::from_fn(|| events.try_next()).count();
        assert_eq!(runtime.block_on(events.next()), None);
        UdpSocket::bind(call.for_alice.0).unwrap();
    }
}

#[test]
fn a_relay_may_begin_fail_and_end_within_a_runtime() {
    let config = RelayConfig::in_process(settings(own_address()), PublicIp::Auto);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let relay = RelayHandle::start(config.clone()).unwrap();
        assert_eq!(relay.snapshot().await.unwrap().gauges.calls, 0);
        assert!(RelayHandle::start(config).is_err());
        relay.shutdown(PATIENCE).unwrap();
        assert_eq!(relay.snapshot().await, Err(Unavailable::Ended));
    });
}

#[test]
fn dropping_the_last_handle_ends_the_relay() {
    let address = own_address();
    let relay = InProcess::start(address);
    let browsers = relay.handle.browser_ports()[0];
    let second = relay.handle.clone();
    drop(relay);
    assert!(port_owner(Layer::Udp, browsers).is_some());
    drop(second);
    crate::support::wait_for("the end", || UdpSocket::bind(browsers).ok());
}

#[test]
fn calls_that_come_and_go_leave_nothing() {
    let relay = Program::start(&["--delete-delay=1"]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let phones = own_address();
    let mut round = |number: usize| {
        let call_id = format!("call {number}");
        Call::set_up_at(phones, &call_id, |request| proxy.ask(request)).talk(1);
        proxy.ask(&delete(&call_id));
    };
    // The relay may still be opening ports in advance when the first calls come.
    (0..100).for_each(&mut round);
    let before = relay.descriptors();
    (100..200).for_each(&mut round);
    // Used pairs are closed, and others opened in their place.
    crate::support::wait_for("the descriptors of 100 calls", || {
        (relay.descriptors() <= before).then_some(())
    });
}
