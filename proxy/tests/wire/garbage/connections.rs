//! Connections that never become what they should be: no TLS, half a handshake, half a message, and silence.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::{options, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::Gateway;
use crate::support::http::Response;
use crate::support::socket::{connect, opener};
use crate::support::websocket::handshake;

#[test]
fn octets_that_are_no_tls_are_counted_and_harm_nobody() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    let ports = gateway.ports;
    let mut failed = 0;
    for port in [ports.sips, ports.wss, ports.https] {
        let plain = [
            options("TLS", "").into_bytes(),
            handshake(&gateway.at(port).to_string(), &[]).into_bytes(),
            // The record is as long as it says, and holds nothing.
            b"\x16\x03\x01\x00\x05hello".to_vec(),
        ];
        for octets in plain.into_iter().chain(rubbish(9, 20, 2_000)) {
            let mut connection = connect(gateway.at(port));
            connection.write_all(&octets).unwrap();
            let _ = connection.shutdown(Shutdown::Write);
            // An alert, or nothing.
            let _ = connection.read_to_end(&mut Vec::new());
            failed += 1;
        }
        bystanders.expect_unharmed();
    }
    gateway.expect_figure("viaduct_tls_failures_total", failed);
    assert_eq!(gateway.figure("viaduct_tls_failures_total"), failed);
    bystanders.leave();
    gateway.finish();
}

/// Whoever has begun must go on: `limits.handshake` is the time for it.
#[test]
fn beginnings_without_an_end_are_cut_off() {
    let gateway = Gateway::with_limits("handshake: 1s");
    let bystanders = Bystanders::of(&gateway);
    let ports = gateway.ports;
    let message = options("TCP", "");
    let (half, hello, request) = (
        &message.as_bytes()[..100],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /sip HT",
    );
    let without_body = message.replace("Length: 0", "Length: 9");
    let beginnings: [(u16, bool, &[u8]); 14] = [
        // Half a message, or one without its body.
        (ports.sip, false, half),
        (ports.sip, false, without_body.as_bytes()),
        (ports.sips, true, half),
        // Half a handshake of TLS, or not even that.
        (ports.sips, false, hello),
        (ports.wss, false, hello),
        (ports.https, false, hello),
        (ports.sips, false, b""),
        (ports.wss, false, b""),
        (ports.https, false, b""),
        // Half a request of HTTP, or not even that.
        (ports.ws, false, request),
        (ports.wss, true, request),
        (ports.metrics, false, request),
        (ports.ws, false, b""),
        (ports.http, false, b""),
    ];
    let mut connections = Vec::new();
    for (port, is_secure, octets) in beginnings {
        let mut connection = opener(&gateway, port, is_secure)();
        connection.write_all(octets).unwrap();
        connection.flush().unwrap();
        connections.push(connection);
    }
    for mut connection in connections {
        let mut octets = Vec::new();
        // Those that never got as far as TLS may be cut off roughly.
        let _ = connection.read_to_end(&mut octets);
        // Half a request of HTTP may be told that it took too long.
        if !octets.is_empty() {
            assert_eq!(Response::read(&mut &octets[..]).status, 408);
        }
    }
    gateway.expect_figure("viaduct_connections_idle_total", beginnings.len() as u64);
    bystanders.leave();
    gateway.finish();
}
