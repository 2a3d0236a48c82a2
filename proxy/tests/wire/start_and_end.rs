//! How a gateway begins, why it does not, and how it ends.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use nix::sys::signal::Signal;
use viaduct_sip::{Method, Transport};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::{END_MAX, Gateway, Setup, launch, launch_with};
use crate::support::media::Media;
use crate::support::phone::Phone;
use crate::support::program::{Ended, Process, run, viaduct};
use crate::support::undisturbed::undisturbed;
use crate::support::websocket::CLOSE;
use crate::support::wire::Wire;
use crate::support::{Folder, PATIENCE, wait_for};

/// Tries to run a configuration that cannot run, and answers what is said about it.
fn run_in_vain(folder: &Folder, text: &str) -> String {
    folder.write("gateway.yaml", text);
    let mut command = viaduct(&["run", "gateway.yaml"]);
    command.current_dir(folder.path());
    let Ended { status, log } = Process::start(command).end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let socket = folder.path().join("state/control.sock");
    assert!(!socket.exists(), "the control socket stays behind");
    log
}

/// Who we are, as the message names us.
fn ourselves() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    format!(
        "is taken by process {} (`{}`)",
        std::process::id(),
        name.trim_end()
    )
}

#[test]
fn every_port_that_is_taken_is_named_with_its_protocol_and_its_owner() {
    let setup = Setup::default();
    let (address, ports) = (setup.address, setup.ports);
    let _udp = UdpSocket::bind((address, ports.sip)).unwrap();
    let _tcp = TcpListener::bind((address, ports.https)).unwrap();
    let said = run_in_vain(&Folder::new(), &setup.text());
    for (layer, port, listener) in [("UDP", ports.sip, "sip+udp"), ("TCP", ports.https, "https")] {
        let owner = ourselves();
        let told = format!("port {layer} {port} {owner}");
        assert!(said.contains(&told), "no {told:?} in\n{said}");
        let told = format!("{listener}://{address}:{port}");
        assert!(said.contains(&told), "no {told:?} in\n{said}");
    }
    // The ports that are free are nobody's trouble.
    assert!(!said.contains("sip+tcp"), "{said}");
}

#[test]
fn a_port_for_media_or_figures_that_is_taken_is_named_too() {
    let setup = Setup::default();
    let (address, ports) = (setup.address, setup.ports);
    let held = UdpSocket::bind((address, ports.media)).unwrap();
    let said = run_in_vain(&Folder::new(), &setup.text());
    let owner = ourselves();
    for told in ["UDP", &ports.media.to_string(), &owner] {
        assert!(said.contains(told), "no {told:?} in\n{said}");
    }
    drop(held);
    let _held = TcpListener::bind((address, ports.metrics)).unwrap();
    let said = run_in_vain(&Folder::new(), &setup.text());
    let told = format!("port TCP {} {owner}", ports.metrics);
    assert!(said.contains(&told), "no {told:?} in\n{said}");
}

#[test]
fn a_second_gateway_does_not_take_the_place_of_the_first() {
    let setup = Setup::default();
    let text = setup.text();
    let gateway = setup.start();
    // In the same folder.
    let file = gateway.folder().join("again.yaml");
    std::fs::write(&file, &text).unwrap();
    let said = run(gateway.folder(), &["run", "again.yaml"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(said.err.contains("another viaduct is running"), "{said:?}");
    // In another folder: sockets that are shared by threads are not shared with other programs.
    let said = run_in_vain(&Folder::new(), &text);
    for layer in ["UDP", "TCP"] {
        let told = format!(
            "port {layer} {} is taken by process {} (`viaduct`)",
            gateway.ports.sip,
            gateway.pid()
        );
        assert!(said.contains(&told), "no {told:?} in\n{said}");
    }
    EchoCall::of(&gateway, "201").hang_up();
    gateway.finish();
}

/// What is in the place of the control socket is removed only if it is one.
#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let precious = folder.write("precious.txt", "years of work");
    let text = Setup::default().text() + "admin: { socket: precious.txt }\n";
    let said = run_in_vain(&folder, &text);
    assert!(said.contains("precious.txt"), "{said}");
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "years of work");
}

/// A disk that has lost something is no reason to fail without a word.
#[test]
fn a_store_that_cannot_be_read_is_named() {
    let setup = Setup::default();
    let text = setup.text();
    let gateway = setup.start();
    Phone::udp(&gateway, "201").register();
    let store = gateway.folder().join("state/viaduct.redb");
    let mut whole = Vec::new();
    gateway.end_and_look(Signal::SIGTERM, || whole = std::fs::read(&store).unwrap());
    let mut scratched = whole.clone();
    scratched[..4_096].fill(0xa5);
    for broken in [&b"this is no store"[..], &whole[..whole.len() / 2], &scratched] {
        let folder = Folder::new();
        let file = folder.write("state/viaduct.redb", "");
        std::fs::write(file, broken).unwrap();
        let said = run_in_vain(&folder, &text);
        assert!(said.contains("viaduct.redb"), "{said}");
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_refused() {
    let gateway = Gateway::start();
    let tls = gateway.folder().join("state/tls");
    let folder = Folder::new();
    folder.write(
        "cert.pem",
        &std::fs::read_to_string(tls.join("certificate.pem")).unwrap(),
    );
    folder.write("key.pem", &std::fs::read_to_string(tls.join("key.pem")).unwrap());
    let files = "tls: { certificate: { cert: cert.pem, key: key.pem } }\n";
    let text = Setup::default().text() + files;
    folder.write("gateway.yaml", &text);
    assert_eq!(run(folder.path(), &["check", "gateway.yaml"]).code(), Some(0));
    let other = Gateway::start();
    let key = other.folder().join("state/tls/key.pem");
    folder.write("key.pem", &std::fs::read_to_string(key).unwrap());
    let said = run_in_vain(&folder, &text);
    assert!(said.contains("do not belong together"), "{said}");
    gateway.finish();
    other.finish();
}

#[test]
fn an_address_of_another_machine_is_named() {
    let setup = Setup::default();
    let text = setup
        .text()
        .replace(&format!("sip+udp://{}", setup.address), "sip+udp://203.0.113.77");
    let said = run_in_vain(&Folder::new(), &text);
    assert!(
        said.contains("203.0.113.77 is no address of this machine"),
        "{said}"
    );
}

#[test]
fn a_signal_ends_it_soon_although_calls_run_and_ring() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let setup = Setup::default();
        let text = setup.text();
        let gateway = setup.start();
        let (address, ports) = (gateway.address, gateway.ports);
        let mut calls: Vec<EchoCall> = [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .map(|transport| EchoCall::begin(Phone::over(transport, &gateway, "201")))
            .collect();
        let mut browsers =
            [Transport::Ws, Transport::Wss].map(|transport| Phone::over(transport, &gateway, "300"));
        let mut caller = Phone::udp(&gateway, "202");
        for browser in &mut browsers {
            browser.register();
        }
        let offer = Media::at(caller.wire.local().ip()).sdp();
        caller.begin(caller.invitation("300", &offer));
        for browser in &mut browsers {
            let invite = browser.request(Method::Invite);
            browser.respond(&invite, 180);
        }
        calls.iter_mut().for_each(EchoCall::expect_echo);

        let asked = Instant::now();
        let socket = gateway.folder().join("state/control.sock");
        gateway.end_and_look(signal, || {
            assert!(asked.elapsed() < END_MAX, "{:?}", asked.elapsed());
            assert!(!socket.exists(), "the control socket stays behind");
        });
        // Browsers are told that it is not their fault, and come back.
        for browser in &mut browsers {
            let Wire::WebSocket(socket) = &mut browser.wire else {
                panic!("no WebSocket")
            };
            let close = std::iter::repeat_with(|| socket.next())
                .find(|frame| frame.opcode == CLOSE)
                .unwrap();
            assert_eq!(close.payload[..2], 1001_u16.to_be_bytes());
        }
        // The place is free for the next.
        UdpSocket::bind((address, ports.sip)).unwrap();
        let folder = Folder::new();
        folder.write("gateway.yaml", &text);
        assert_eq!(run(folder.path(), &["check", "gateway.yaml"]).code(), Some(0));
    }
}

/// Whoever starts it may change his mind at any time.
#[test]
fn a_signal_ends_it_in_good_order_while_it_starts() {
    let folder = Folder::new();
    let file = folder.write("gateway.yaml", &Setup::default().text());
    let process = Process::start(viaduct(&["run", file.to_str().unwrap()]));
    let socket = folder.path().join("state/control.sock");
    // One of the first things that it makes, and long before it serves.
    wait_for("its control socket", || std::fs::metadata(&socket));
    process.signal(Signal::SIGTERM);
    process.end().expect_good();
    assert!(!socket.exists(), "the control socket stays behind");
}

#[test]
fn what_it_says_of_itself_can_be_read_by_programs() {
    let folder = Folder::new();
    let text = Setup::default()
        .text()
        .replace("level: debug", "level: debug, format: json");
    let process = launch(&folder.write("gateway.yaml", &text));
    process.signal(Signal::SIGTERM);
    let ended = process.end();
    ended.expect_good();
    let lines = ended.log.lines();
    let said = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    assert!(
        said.filter(|line| line["level"] == "INFO").count() >= 7,
        "{}",
        ended.log
    );
}

#[test]
fn what_it_says_of_itself_can_be_read_anywhere() {
    let gateway = Gateway::start();
    EchoCall::of(&gateway, "201").hang_up();
    gateway.expect_clean();
    let log = gateway.end(Signal::SIGTERM);
    log.expect_good();
    let log = &log.log;
    // A file or a journal is no terminal.
    assert!(!log.contains('\u{1b}'), "{log}");
    for told in ["201 → 100", "answered after", "ended by 201", "ended"] {
        assert!(log.contains(told), "no {told:?} in\n{log}");
    }
    for secret in [crate::support::program::PASSWORD, "response="] {
        assert!(!log.contains(secret), "{secret:?} in\n{log}");
    }
}

/// `sd_notify(3)`: what `Type=notify` and `WatchdogSec=` of the unit wait for.
#[test]
fn systemd_is_told_when_the_gateway_serves_that_it_lives_and_when_it_ends() {
    let folder = Folder::new();
    folder.write("gateway.yaml", &Setup::default().text());
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 64];
        let len = undisturbed(PATIENCE, || socket.recv(&mut buffer)).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "100000"),
    ];
    let gateway = launch_with(&folder.path().join("gateway.yaml"), &variables);
    // The first of them, and not before it serves.
    assert_eq!(
        [heard(), heard(), heard()],
        ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    );
    gateway.signal(Signal::SIGTERM);
    let last = std::iter::repeat_with(heard).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    gateway.end().expect_good();
}
