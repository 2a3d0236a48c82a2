//! How a gateway begins, why it does not, and how it ends.

use std::net::{TcpListener, UdpSocket};
use std::time::Instant;

use nix::sys::signal::Signal;
use viaduct_sip::{Method, Transport};

use crate::support::Folder;
use crate::support::echo_call::EchoCall;
use crate::support::gateway::{END_MAX, Gateway, Setup};
use crate::support::media::Media;
use crate::support::phone::Phone;
use crate::support::program::{Said, run};
use crate::support::websocket::CLOSE;
use crate::support::wire::Wire;

/// Tries to run a configuration that cannot run.
fn run_in_vain(folder: &Folder, text: &str) -> Said {
    folder.write("gateway.yaml", text);
    let said = run(folder.path(), &["run", "gateway.yaml"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    let socket = folder.path().join("state/control.sock");
    assert!(!socket.exists(), "the control socket stays behind");
    said
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
        assert!(said.err.contains(&told), "no {told:?} in\n{}", said.err);
        let told = format!("{listener}://{address}:{port}");
        assert!(said.err.contains(&told), "no {told:?} in\n{}", said.err);
    }
    // The ports that are free are nobody's trouble.
    assert!(!said.err.contains("sip+tcp"), "{}", said.err);
}

#[test]
fn a_port_for_media_or_figures_that_is_taken_is_named_too() {
    let setup = Setup::default();
    let (address, ports) = (setup.address, setup.ports);
    let held = UdpSocket::bind((address, ports.media)).unwrap();
    let said = run_in_vain(&Folder::new(), &setup.text());
    let owner = ourselves();
    for told in ["UDP", &ports.media.to_string(), &owner] {
        assert!(said.err.contains(told), "no {told:?} in\n{}", said.err);
    }
    drop(held);
    let _held = TcpListener::bind((address, ports.metrics)).unwrap();
    let said = run_in_vain(&Folder::new(), &setup.text());
    let told = format!("port TCP {} {owner}", ports.metrics);
    assert!(said.err.contains(&told), "no {told:?} in\n{}", said.err);
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
        assert!(said.err.contains(&told), "no {told:?} in\n{}", said.err);
    }
    EchoCall::of(&gateway, "201").hang_up();
    gateway.finish();
}

#[test]
fn an_address_of_another_machine_is_named() {
    let setup = Setup::default();
    let text = setup
        .text()
        .replace(&format!("sip+udp://{}", setup.address), "sip+udp://203.0.113.77");
    let said = run_in_vain(&Folder::new(), &text);
    assert!(
        said.err.contains("203.0.113.77 is no address of this machine"),
        "{said:?}"
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
