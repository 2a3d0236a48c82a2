//! Connections that send without a pause.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use viaduct_sip::Transport;

use super::{WAIT_MAX, request, talk_on, talk_through};
use crate::support::conversation::Conversation;
use crate::support::gateway::Gateway;
use crate::support::phone::Phone;
use crate::support::socket::{Connection, connect_from, secure};
use crate::support::strange_address;
use crate::support::websocket::{BINARY, Sending, WebSocket};

/// Connections of each kind.
const OF_EACH: u16 = 10;

/// Messages that each of them writes at a time.
const IN_A_ROW: u64 = 50;

/// Somebody who writes whatever his connection takes, and reads whatever comes, so that he is not cut off.
struct Talker {
    connection: Box<dyn Connection>,
    transport: Transport,
    /// Not written yet.
    rest: Vec<u8>,
    said: u64,
    /// His messages are like nobody else's.
    number: u64,
}

impl Talker {
    /// The `number`-th of all, at the `source`-th strange address.
    fn new(gateway: &Gateway, transport: Transport, source: u16, number: u16) -> Self {
        let ports = gateway.ports;
        let open = |port: u16| connect_from(strange_address(source), gateway.at(port)).unwrap();
        let mut connection: Box<dyn Connection> = match transport {
            Transport::Tls => Box::new(secure(gateway, open(ports.sips))),
            Transport::Ws => WebSocket::open(Box::new(open(ports.ws))).connection,
            _ => Box::new(open(ports.sip)),
        };
        // Handshakes wait for each other, what follows does not.
        connection.flush().unwrap();
        if transport == Transport::Tls {
            connection.write_all(b"\r\n\r\n").unwrap();
            assert_ne!(connection.read(&mut [0; 8]).unwrap(), 0);
        }
        connection.tcp().set_nonblocking(true).unwrap();
        Self {
            connection,
            transport,
            rest: Vec::new(),
            said: 0,
            number: u64::from(number) << 32,
        }
    }

    fn go_on(&mut self) {
        if self.rest.is_empty() {
            self.rest = (0..IN_A_ROW).flat_map(|_| self.next()).collect();
        }
        match self.connection.write(&self.rest) {
            Ok(written) => drop(self.rest.drain(..written)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        match self.connection.read(&mut [0; 65_536]) {
            Ok(read) => assert_ne!(read, 0, "{:?} is cut off", self.transport),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
    }

    fn next(&mut self) -> Vec<u8> {
        self.said += 1;
        let (method, user) =
            [("INVITE", "202"), ("REGISTER", ""), ("OPTIONS", "202")][self.said as usize % 3];
        let protocol = match self.transport {
            Transport::Tls => "/TLS",
            Transport::Ws => "/WS",
            _ => "/TCP",
        };
        let asked = request(method, user, self.number + self.said).replacen("/UDP", protocol, 1);
        if self.transport == Transport::Ws {
            Sending::whole(BINARY, asked.as_bytes()).octets()
        } else {
            asked.into_bytes()
        }
    }
}

/// RFC 3261 section 18: a connection is read as fast as its messages are handled, and no faster. The queue of a signalling
/// thread takes far more than anybody would wait for, so that nothing but `limits.connection_in_flight` holds them back.
#[test]
fn connections_that_never_stop_talking_make_nobody_wait() {
    let gateway = Gateway::with_limits(
        "shard_queue: 1000000, connections_per_source: 1000, requests_per_source: 1000000/1s",
    );
    let mut crowd: Vec<Talker> = [Transport::Tcp, Transport::Tls, Transport::Ws]
        .into_iter()
        .flat_map(|transport| (0..OF_EACH).map(move |number| (transport, number)))
        .enumerate()
        .map(|(number, (transport, _))| Talker::new(&gateway, transport, number as u16, number as u16))
        .collect();
    let before = gateway.figure("viaduct_sip_messages_total");
    let mut longest = Duration::ZERO;
    talk_through(&gateway, "connections that never stop talking", |turn| {
        crowd.iter_mut().for_each(Talker::go_on);
        if turn % 100 == 0 {
            let begun = Instant::now();
            let mut newcomer = Phone::over(
                [Transport::Tcp, Transport::Tls][turn as usize / 100 % 2],
                &gateway,
                "204",
            );
            newcomer.register();
            longest = longest.max(begun.elapsed());
        }
        turn == 400
    });
    eprintln!("newcomers were registered within {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    assert!(gateway.figure("viaduct_sip_messages_total") > before + 5_000);
    assert!(gateway.figure("viaduct_messages_held_back_total") > 0);
    drop(crowd);
    gateway.finish();
}

/// Connections that together let more messages wait than all signalling threads would ever hold (16 each). Each source has its
/// turn, so that a call over UDP, and over a WebSocket of somebody else, waits for one message of each of them at most.
#[test]
fn connections_that_together_would_fill_every_queue_make_nobody_wait() {
    const SOURCES: u16 = 60;
    const OF_EACH: u16 = 20;
    // Who floods over so many connections at once has little time for each.
    let gateway = Gateway::with_limits(
        "requests_per_source: 1000000/1s, first_message: 5m, message_time: 5m, write_time: 5m",
    );
    let users = Conversation::over(&gateway, [Transport::Udp, Transport::Ws]);
    let mut crowd: Vec<Talker> = (0..SOURCES * OF_EACH)
        .map(|number| {
            let transport = [Transport::Tcp, Transport::Ws][usize::from(number % 2)];
            Talker::new(&gateway, transport, number / OF_EACH, number)
        })
        .collect();
    talk_on(
        users,
        &gateway,
        "connections that would fill every queue",
        |turn| {
            crowd.iter_mut().for_each(Talker::go_on);
            turn == 3
        },
    );
    assert!(gateway.figure("viaduct_messages_crowded_out_total") > 0);
    drop(crowd);
    gateway.finish();
}
