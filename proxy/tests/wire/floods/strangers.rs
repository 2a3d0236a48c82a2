//! Strangers who send what belongs to nothing, what nobody should be able to read, and connections that want nothing.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{request, stranger, talk_through};
use crate::support::gateway::Gateway;
use crate::support::socket::{client, connect, connect_from};
use crate::support::strange_address;
use crate::support::websocket::{BINARY, WebSocket};

fn crowd(gateway: &Gateway, strangers: u16) -> Vec<UdpSocket> {
    (0..strangers)
        .map(|number| stranger(gateway, strange_address(number)))
        .collect()
}

/// RFC 3261 sections 16.4, 16.10 and 17.1.1.3: what belongs to nothing here goes nowhere, and leaves nothing behind.
#[test]
fn messages_that_belong_to_no_call_are_counted_and_go_nowhere() {
    let gateway = Gateway::start();
    let crowd = crowd(&gateway, 100);
    let sip = gateway.at(gateway.ports.sip);
    talk_through(&gateway, "messages that belong to nothing", |turn| {
        let method = ["ACK", "CANCEL", "BYE", "BYE", "INVITE"][turn as usize % 5];
        let asked = request(method, "202", turn);
        let octets = match turn % 5 {
            // Inside a dialog that nobody has, with a route that nobody gave out.
            3 => asked.replace(
                "Max-Forwards",
                &format!("Route: <sip:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA{turn}@{sip};lr>\r\nMax-Forwards"),
            ),
            // An answer to nothing.
            4 => asked.replacen(
                &format!("INVITE sip:202@{} SIP/2.0", super::DOMAIN),
                "SIP/2.0 200 OK",
                1,
            ),
            _ => asked,
        };
        let octets = octets.replace("<sip:202@viaduct.test>\r\n", "<sip:202@viaduct.test>;tag=1\r\n");
        let _ = crowd[turn as usize % crowd.len()].send(octets.as_bytes());
        turn == 50_000
    });
    for reason in ["nothing_to_cancel", "no_dialog", "token_forged"] {
        assert!(gateway.refused_for(reason) > 0, "nothing is {reason}");
    }
    assert!(gateway.figure("viaduct_sip_responses_stray_total") > 0);
    gateway.finish();
}

/// Every message of RFC 4475 and RFC 5118, as it is and damaged, over UDP, TCP and WebSocket.
#[test]
fn messages_made_to_break_parsers_break_nothing() {
    let gateway = Gateway::with_limits(
        "connections_per_source: 1000, new_connections_per_source: 100000/1s, requests_per_source: 100000/1s",
    );
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip/tests/data");
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for rfc in ["rfc4475", "rfc5118"] {
        for entry in std::fs::read_dir(data.join(rfc)).unwrap() {
            messages.push(std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
    assert!(messages.len() >= 49, "there are {}", messages.len());
    let crowd = crowd(&gateway, 50);
    let mut rng = StdRng::seed_from_u64(9);
    let mut socket = None;
    talk_through(&gateway, "torture", |turn| {
        let mut octets = messages[turn as usize % messages.len()].clone();
        // The first time as it is.
        if turn as usize >= 3 * messages.len() {
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..octets.len());
                octets[at] = rng.random();
            }
        }
        match turn as usize / messages.len() % 3 {
            0 => drop(crowd[turn as usize % crowd.len()].send(&octets)),
            1 => {
                let mut connection = connect(gateway.at(gateway.ports.sip));
                // It may be cut off before it is through.
                let _ = connection.write_all(&octets);
            }
            _ => {
                let open = || WebSocket::open(Box::new(connect(gateway.at(gateway.ports.ws))));
                socket.get_or_insert_with(open).send(BINARY, &octets);
            }
        }
        turn == 6_000
    });
    drop(socket);
    gateway.expect_figure("viaduct_sip_bad_messages_total", 500);
    for fault in ["bad_request_uri", "bad_header_line"] {
        assert!(gateway.unread_for(fault) > 0, "nothing is {fault}");
    }
    gateway.finish();
}

/// `limits.connections` and `limits.connections_per_source`: those who are there stay there, and the next wait outside.
#[test]
fn a_crowd_of_connections_that_say_nothing_leaves_those_alone_who_talk() {
    let gateway = Gateway::with_limits("connections: 300, connections_per_source: 20");
    let ports = gateway.ports;
    let mut held = VecDeque::new();
    talk_through(&gateway, "connections that say nothing", |turn| {
        let port = [ports.sip, ports.sips, ports.ws, ports.wss][turn as usize % 4];
        let source = strange_address(turn as u16 % 40);
        held.push_back(connect_from(source, gateway.at(port)).unwrap());
        if held.len() > 400 {
            held.pop_front();
        }
        turn == 4_000
    });
    assert!(gateway.figure("viaduct_connections_over_limit_total") > 0);
    drop(held);
    // One source alone, now that there is room.
    gateway.expect_clean();
    let held: Vec<_> = (0..30)
        .map(|_| connect_from(strange_address(7), gateway.at(ports.sip)).unwrap())
        .collect();
    gateway.expect_figure("viaduct_connections_over_source_limit_total", 10);
    drop(held);
    gateway.finish();
}

/// RFC 8446: the first flight of a server costs a signature. Who goes away with it is counted, and others are not kept
/// waiting.
#[test]
fn handshakes_that_are_never_finished_keep_nobody_waiting() {
    let gateway = Gateway::with_limits("connections_per_source: 1000");
    let ports = gateway.ports;
    talk_through(&gateway, "handshakes that are never finished", |turn| {
        let port = [ports.sips, ports.wss, ports.https][turn as usize % 3];
        let mut connection = connect_from(strange_address(turn as u16 % 50), gateway.at(port)).unwrap();
        let mut hello = client(&gateway);
        hello.write_tls(&mut connection).unwrap();
        // What the gateway has signed.
        assert_ne!(connection.read(&mut [0; 64]).unwrap(), 0);
        turn == 1_500
    });
    assert!(gateway.figure("viaduct_tls_failures_total") > 1_000);
    gateway.finish();
}
