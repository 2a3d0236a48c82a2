//! Connections that never become what they should be: no TLS, half a handshake, half a message, and silence.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::{options, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::Gateway;
use crate::support::http::Response;
use crate::support::socket::{connect, opener};
use crate::support::websocket::{Sending, TEXT, WebSocket, handshake};

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
    gateway.expect_exactly("viaduct_tls_failures_total", failed);
    bystanders.leave();
    gateway.finish();
}

/// Whoever has begun must go on: `limits.handshake` is the time for handshakes, `limits.message_time` for messages.
#[test]
fn beginnings_without_an_end_are_cut_off() {
    let gateway = Gateway::with_limits("handshake: 1s, message_time: 1s");
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
    let messages = 3;
    gateway.expect_figure("viaduct_connections_unfinished_total", messages);
    gateway.expect_figure(
        "viaduct_connections_idle_total",
        beginnings.len() as u64 - messages,
    );
    bystanders.leave();
    gateway.finish();
}

/// A connection is for messages: `limits.first_message` is the time for the first, whatever else is said.
#[test]
fn connections_over_which_no_message_comes_are_cut_off() {
    let gateway = Gateway::with_limits("first_message: 1s");
    let ports = gateway.ports;
    let half = options("TCP", "");
    let mut connections = Vec::new();
    for (port, is_secure) in [(ports.sip, false), (ports.sips, true)] {
        for octets in [&b""[..], b"\r\n\r\n", &half.as_bytes()[..50]] {
            let mut connection = opener(&gateway, port, is_secure)();
            connection.write_all(octets).unwrap();
            // Nothing of TLS has been said before this.
            connection.flush().unwrap();
            connections.push(connection);
        }
    }
    // The one that has not even begun with TLS is another limit's: `handshake`.
    let counted = connections.len() as u64 - 1;
    gateway.expect_figure("viaduct_connections_half_open_total", counted);
    drop(connections);
    gateway.finish();
}

/// A frame that comes octet by octet is no frame, whatever it is in the end (RFC 6455 section 5).
#[test]
fn a_frame_without_an_end_is_cut_off_and_silence_is_not() {
    let gateway = Gateway::with_limits("message_time: 1s");
    for (port, is_secure) in [(gateway.ports.ws, false), (gateway.ports.https, true)] {
        let mut silent = WebSocket::open(opener(&gateway, port, is_secure)());
        let mut slow = WebSocket::open(opener(&gateway, port, is_secure)());
        slow.send_octets(&Sending::whole(TEXT, options("WS", "").as_bytes()).octets()[..30]);
        assert_eq!(slow.connection.read_to_its_end(), b"");
        silent.send(TEXT, b"\r\n\r\n");
        assert_eq!(silent.next().payload, b"\r\n");
    }
    gateway.expect_exactly("viaduct_connections_unfinished_total", 2);
    gateway.finish();
}

/// `limits.write_time` holds for whoever asks for pages and reads none, and an open door is closed after a while.
#[test]
fn who_reads_no_page_or_asks_for_none_is_cut_off() {
    /// More than every buffer on the way holds.
    const REQUESTS: usize = 400;
    let gateway = Gateway::with_limits("write_time: 1s, handshake: 1s");
    let mut held = Vec::new();
    for (port, is_secure) in [(gateway.ports.http, false), (gateway.ports.https, true)] {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.at(port));
        let mut polite = opener(&gateway, port, is_secure)();
        polite.write_all(request.as_bytes()).unwrap();
        polite.flush().unwrap();
        assert_eq!(Response::read(&mut *polite).status, 200);
        let mut deaf = opener(&gateway, port, is_secure)();
        // The gateway takes no more requests than it can answer.
        deaf.tcp()
            .set_write_timeout(Some(std::time::Duration::from_secs(2)))
            .unwrap();
        let _ = deaf.write_all(request.repeat(REQUESTS).as_bytes());
        let _ = deaf.flush();
        // The first has had its answer, and says nothing more.
        let _ = polite.read_to_end(&mut Vec::new());
        held.push(deaf);
    }
    gateway.expect_figure("viaduct_connections_slow_total", 2);
    drop(held);
    gateway.finish();
}
