//! What keeps a way open (RFC 5626 section 3.5, RFC 6455 section 5.5), and who has gone without a word.

use std::io::{Read, Write};
use std::net::UdpSocket;

use serde_json::Value;
use viaduct_sip::{Method, Transport};

use crate::support::gateway::Gateway;
use crate::support::phone::{Phone, expect_status};
use crate::support::socket::{Connection, connect, secure};
use crate::support::websocket::{CLOSE, Frame, PING, PONG, TEXT, WebSocket};
use crate::support::wire::Wire;
use crate::support::{PATIENCE, wait_for};

const PING_OCTETS: &[u8] = b"\r\n\r\n";
const PONG_OCTETS: &[u8] = b"\r\n";

#[test]
fn two_line_ends_are_answered_with_one() {
    let gateway = Gateway::start();
    let ports = gateway.ports;
    let udp = UdpSocket::bind((gateway.address, 0)).unwrap();
    udp.connect(gateway.at(ports.sip)).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 64];
    udp.send(PING_OCTETS).unwrap();
    let length = udp.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], PONG_OCTETS);

    let streams: [Box<dyn Connection>; 2] = [
        Box::new(connect(gateway.at(ports.sip))),
        Box::new(secure(&gateway, connect(gateway.at(ports.sips)))),
    ];
    for mut stream in streams {
        // However they are cut, and more than once.
        for pieces in [&[PING_OCTETS][..], &[b"\r\n", b"\r\n"], &[b"\r", b"\n\r", b"\n"]] {
            for piece in pieces {
                stream.write_all(piece).unwrap();
                stream.flush().unwrap();
            }
            let mut pong = [0; 2];
            stream.read_exact(&mut pong).unwrap();
            assert_eq!(pong, PONG_OCTETS);
        }
    }

    let sockets: [Box<dyn Connection>; 2] = [
        Box::new(connect(gateway.at(ports.http))),
        Box::new(secure(&gateway, connect(gateway.at(ports.https)))),
    ];
    for connection in sockets {
        let mut socket = WebSocket::open(connection);
        socket.send(TEXT, PING_OCTETS);
        let pong = Frame {
            opcode: TEXT,
            payload: PONG_OCTETS.to_vec(),
        };
        assert_eq!(socket.next(), pong);
        for payload in [&b""[..], b"who goes there?", &[7; 125]] {
            socket.send(PING, payload);
            let pong = Frame {
                opcode: PONG,
                payload: payload.to_vec(),
            };
            assert_eq!(socket.next(), pong);
        }
    }
    gateway.finish();
}

/// A phone in a tunnel closes nothing. It is asked twice, and gone when it does not answer.
#[test]
fn a_browser_that_answers_no_ping_is_gone_and_one_that_does_stays() {
    let gateway = Gateway::with_limits("websocket_ping: 1s");
    let [mut deaf, mut alive] = ["300", "301"].map(|user| Phone::ws(&gateway, user));
    deaf.register();
    alive.register();
    let Wire::WebSocket(socket) = &mut alive.wire else {
        panic!("no WebSocket")
    };
    let mut pings = 0;
    wait_for("the deaf one gone", || {
        let frame = socket.next();
        assert_eq!(frame.opcode, PING, "{frame:?}");
        socket.send(PONG, &frame.payload);
        pings += 1;
        let shown = gateway.registrations("300");
        if shown.is_empty() { Ok(()) } else { Err(shown) }
    });
    assert!(pings >= 3, "{pings}");
    assert_eq!(gateway.registrations("301").len(), 1);
    gateway.expect_figure("viaduct_connections_idle_total", 1);
    let Wire::WebSocket(socket) = &mut deaf.wire else {
        panic!("no WebSocket")
    };
    assert_eq!([socket.next().opcode, socket.next().opcode], [PING, PING]);
    assert_eq!(socket.connection.read_to_its_end(), b"");
    drop(alive);
    gateway.finish();
}

#[test]
fn a_connection_that_ends_takes_its_registrations_along() {
    let gateway = Gateway::start();
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        let mut phone = Phone::over(transport, &gateway, "300");
        phone.register();
        assert_eq!(gateway.registrations("300").len(), 1);
        if let Wire::WebSocket(socket) = &mut phone.wire {
            socket.send(CLOSE, &1001_u16.to_be_bytes());
            assert_eq!(socket.close_code(), Some(1001));
        }
        drop(phone);
        wait_for("nobody registered", || {
            let shown: Vec<Value> = gateway.registrations("300");
            if shown.is_empty() { Ok(()) } else { Err(shown) }
        });
    }
    gateway.finish();
}

/// RFC 5626 section 3.5: who is registered over a connection is reached over it, however long nothing is said.
#[test]
fn an_idle_connection_ends_unless_somebody_is_registered_over_it() {
    let gateway = Gateway::with_limits("connection_idle: 1s");
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut caller, mut phone) = (
            Phone::ws(&gateway, "203"),
            Phone::over(transport, &gateway, "201"),
        );
        phone.register();
        let mut passer_by = Phone::over(transport, &gateway, "202");
        let sent = passer_by.send(&passer_by.draft(Method::Options, "201"));
        expect_status(&passer_by.final_answer(&sent), 407);
        // Later than this the phone has been silent for longer.
        assert!(passer_by.wire.receive().is_none());
        let text = caller.draft(Method::Message, "201").body("text/plain", "hello");
        let sent = caller.begin(text);
        let message = phone.request(Method::Message);
        phone.respond(&message, 200);
        expect_status(&caller.final_answer(&sent), 200);
        // A registration that ends takes the right with it.
        phone.register_for(0);
        assert!(phone.wire.receive().is_none());
    }
    gateway.expect_figure("viaduct_connections_idle_total", 4);
    gateway.finish();
}
