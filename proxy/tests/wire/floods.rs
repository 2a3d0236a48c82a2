//! Crowds of strangers that mean harm, at real sockets, while two users talk.
//!
//! What each crowd does is refused and counted by name, the gateway's memory stays what it was, and the two who talk do not
//! have to wait for each other.

mod connections;
mod members;
mod strangers;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use viaduct_sip::{HeaderName, Transport};

use crate::support::conversation::Conversation;
use crate::support::gateway::{DOMAIN, Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::socket::{connect, connect_from, opener};
use crate::support::websocket::{BINARY, CONTINUATION, FIN, PING, WebSocket, head};
use crate::support::{own_address, strange_address};

/// What a crowd may cost the gateway at most, in KiB of memory, whatever it sends.
const MEMORY_MAX: u64 = 48 << 10;

/// How long users may have to wait for each other at most: for a call, or for an answer within one. On machines that do
/// nothing else it is a hundredth of that.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How many calls users must get through at least while a crowd is there.
const CALLS_MIN: usize = 5;

/// Lets `crowd` do what it does, each time with the next number, until it answers that it has had enough, and two users talk
/// on a thread of their own meanwhile.
fn talk_through(gateway: &Gateway, name: &str, crowd: impl FnMut(u64) -> bool) {
    talk_on(Conversation::of(gateway), gateway, name, crowd);
}

/// The same with users who talk already.
fn talk_on(mut users: Conversation, gateway: &Gateway, name: &str, mut crowd: impl FnMut(u64) -> bool) {
    users.go_on();
    let (before, _) = gateway.memory();
    let is_over = AtomicBool::new(false);
    let users = thread::scope(|scope| {
        let users = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) || users.calls() < CALLS_MIN {
                users.go_on();
            }
            users
        });
        // Users end even if the crowd fails.
        let over = OnDrop(|| is_over.store(true, Ordering::Relaxed));
        let _ = (0..).find(|turn| users.is_finished() || crowd(*turn));
        drop(over);
        users.join().unwrap()
    });
    let (setup, exchange) = users.longest();
    let (after, most) = gateway.memory();
    eprintln!(
        "{name}: {} calls, each set up within {setup:?}; an answer within a call took {exchange:?} at most; memory {before} \
         KiB before, {after} KiB after, {most} KiB at most",
        users.calls()
    );
    assert!(setup < WAIT_MAX && exchange < WAIT_MAX, "{setup:?}, {exchange:?}");
    assert!(most < before + MEMORY_MAX, "{before} KiB became {most} KiB");
    users.hang_up();
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Somebody at an address of his own who sends datagrams and reads nothing.
fn stranger(gateway: &Gateway, source: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    socket.connect(gateway.at(gateway.ports.sip)).unwrap();
    socket
}

/// A request that nobody has sent before, to a user or to the gateway itself.
fn request(method: &str, user: &str, number: u64) -> String {
    let at = if user.is_empty() { "" } else { "@" };
    format!(
        "{method} sip:{user}{at}{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}{method};rport\r\nFrom: \
         <sip:201@{DOMAIN}>;tag={number}\r\nTo: <sip:202@{DOMAIN}>\r\nCall-ID: flood-{number}\r\nCSeq: 1 \
         {method}\r\nContact: <sip:201@192.0.2.1>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// RFC 3261 section 26.3.2.4: whoever has not proven to be somebody costs no state.
#[test]
fn floods_of_requests_from_many_addresses_leave_users_alone() {
    const STRANGERS: u16 = 200;
    let gateway = Gateway::start();
    let crowd: Vec<UdpSocket> = (0..STRANGERS)
        .map(|number| stranger(&gateway, strange_address(number)))
        .collect();
    talk_through(&gateway, "requests from many addresses", |turn| {
        let from = &crowd[turn as usize % crowd.len()];
        let asked = match turn % 3 {
            0 => request("INVITE", "202", turn),
            1 => request("REGISTER", "", turn),
            _ => request("OPTIONS", "202", turn),
        };
        // A queue that is full is the system's way to refuse.
        let _ = from.send(asked.as_bytes());
        turn == 100_000
    });
    assert!(gateway.refused_for("unauthenticated") > 0);
    gateway.finish();
}

/// A password that was proven once proves nothing again, wherever it is repeated from, and its owner notices nothing.
#[test]
fn a_registration_that_is_replayed_from_many_addresses_changes_nothing() {
    const STRANGERS: u16 = 50;
    let gateway = Gateway::start();
    let mut owner = Phone::udp(&gateway, "203");
    let draft = owner
        .registration()
        .header(HeaderName::Contact, &format!("<{}>", owner.contact));
    let asked = owner.send(&draft);
    let challenge = owner.final_answer(&asked);
    let proven = owner.prove(draft, &challenge);
    let sent = owner.send(&proven);
    expect_status(&owner.final_answer(&sent), 200);
    let registered = String::from_utf8(sent.octets().to_vec()).unwrap();
    let branch = sent.top_via().unwrap().unwrap().branch().unwrap().to_owned();
    let crowd: Vec<UdpSocket> = (0..STRANGERS)
        .map(|number| stranger(&gateway, strange_address(number)))
        .collect();
    talk_through(&gateway, "a registration replayed", |turn| {
        let again = registered.replacen(&branch, &format!("z9hG4bKreplay{turn}"), 1);
        let _ = crowd[turn as usize % crowd.len()].send(again.as_bytes());
        turn == 20_000
    });
    assert!(gateway.refused_for("unauthenticated") > 100);
    assert!(gateway.figure("viaduct_auth_failures_total") > 100);
    let shown = gateway.registrations("203");
    assert_eq!(shown.len(), 1, "{shown:?}");
    let contact = format!("<{}>;expires=0", owner.contact);
    let removal = owner.registration().header(HeaderName::Contact, &contact);
    expect_status(&owner.insist(removal), 200);
    gateway.finish();
}

/// Wrong passwords for a user from everywhere: each address is slowed, and the user can call from where he is.
#[test]
fn a_password_that_is_guessed_from_many_addresses_locks_nobody_out() {
    let gateway = Gateway::with_limits("requests_per_source: 100000/1s");
    talk_through(&gateway, "a password guessed", |turn| {
        let mut guesser = Phone::between(Transport::Udp, &gateway, strange_address(turn as u16 % 20), "201");
        guesser.password = "guessed";
        let draft = guesser.registration();
        let answer = guesser.ask(draft);
        assert!(matches!(answer.status().unwrap().get(), 401 | 503), "{answer:?}");
        turn == 500
    });
    assert!(gateway.refused_for("paused") > 0, "nobody was slowed");
    assert!(gateway.figure("viaduct_auth_paused_total") > 0);
    gateway.finish();
}

/// RFC 3261 section 21.5.4: more comes than can be handled, so that a carrier's calls wait. They are refused, each to come back
/// after a time of its own.
#[test]
fn calls_that_have_waited_too_long_are_refused_and_counted() {
    let at = own_address();
    let gateway = Setup {
        limits: "queue_time: 10ms",
        more: format!(
            "trunks:\n  carrier: {{ proxy: 'sip:{at}', transport: udp, trust_from: ['{at}/32'], options_ping: never }}\n"
        ),
        ..Setup::default()
    }
    .start();
    let carrier = stranger(&gateway, at);
    carrier.set_nonblocking(true).unwrap();
    let mut refused = 0;
    for turn in 0..20_000 {
        if refused >= 10 {
            break;
        }
        for number in 0..64 {
            let _ = carrier.send(request("OPTIONS", "", turn << 8 | number).as_bytes());
        }
        let _ = carrier.send(request("INVITE", "203", turn << 8).as_bytes());
        let mut buffer = [0; 2_048];
        while let Ok(length) = carrier.recv(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..length]);
            if answer.starts_with("SIP/2.0 503 ") && answer.contains("CSeq: 1 INVITE") {
                assert!(answer.contains("\r\nRetry-After: "), "{answer}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 10, "{refused}");
    assert!(gateway.figure("viaduct_sip_requests_late_total") >= 10);
    assert!(gateway.refused_for("late") >= 10);
    gateway.finish();
}

/// What is larger than a message may be, in every way that it can be. Over UDP, TCP and TLS.
#[test]
fn messages_that_are_far_too_large_are_refused_and_cost_nothing() {
    let gateway = Gateway::with_limits("connections_per_source: 1000, requests_per_source: 100000/1s");
    let large =
        |more: &str| request("OPTIONS", "", 0).replace("Max-Forwards", &format!("{more}Max-Forwards"));
    let bombs = [
        (
            "header_too_long",
            large(&format!("X: {}\r\n", "y".repeat(20_000))),
        ),
        (
            "head_too_large",
            large(&format!("X: {}\r\n", "y".repeat(1 << 20))),
        ),
        ("too_many_headers", large(&"X: y\r\n".repeat(10_000))),
        ("too_many_vias", large(&"Via: SIP/2.0/UDP a\r\n".repeat(101))),
        // The same in one line.
        (
            "too_many_vias",
            large(&format!("Via: {}\r\n", ["SIP/2.0/UDP a"; 1_000].join(","))),
        ),
        (
            "head_too_large",
            large(&"X-Long: 12345678901234567890\r\n".repeat(40_000)),
        ),
        ("start_line_too_long", request("OPTIONS", &"u".repeat(1 << 20), 0)),
        (
            "message_too_large",
            request("OPTIONS", "", 0).replace("Length: 0", "Length: 1048576"),
        ),
    ];
    let ports = gateway.ports;
    let ways = [(ports.sip, false), (ports.sips, true)];
    let datagrams = stranger(&gateway, strange_address(1));
    talk_through(&gateway, "messages far too large", |turn| {
        let (_, bomb) = &bombs[turn as usize % bombs.len()];
        let (port, is_secure) = ways[turn as usize / bombs.len() % ways.len()];
        let mut connection = opener(&gateway, port, is_secure)();
        // It may be cut off before it is through.
        let _ = connection
            .write_all(bomb.as_bytes())
            .and_then(|()| connection.flush());
        let _ = connection.read_to_end(&mut Vec::new());
        let _ = datagrams.send(&bomb.as_bytes()[..bomb.len().min(60_000)]);
        turn == 140
    });
    for (fault, _) in bombs {
        assert!(gateway.unread_for(fault) > 0, "nothing is {fault}");
    }
    gateway.finish();
}

/// RFC 3261 section 20.22: a number from 0 to 255. What says something else is refused at once, and 0 goes no further.
#[test]
fn games_with_max_forwards_end_here() {
    let gateway = Gateway::start();
    let crowd: Vec<UdpSocket> = (0..50)
        .map(|number| stranger(&gateway, strange_address(number)))
        .collect();
    let games = [
        "0",
        "00",
        "-1",
        "256",
        "99999999999999999999",
        "",
        "1 0",
        "0x10",
        "255",
    ];
    talk_through(&gateway, "games with Max-Forwards", |turn| {
        let hops = games[turn as usize % games.len()];
        let asked = request("INVITE", "202", turn).replace("Forwards: 70", &format!("Forwards: {hops}"));
        let _ = crowd[turn as usize % crowd.len()].send(asked.as_bytes());
        turn == 20_000
    });
    for reason in ["too_many_hops", "header_unreadable", "unauthenticated"] {
        assert!(gateway.refused_for(reason) > 0, "nothing is {reason}");
    }
    gateway.finish();
}

/// Who says an octet now and then is not there: `limits.handshake` and `limits.message_time` are the times for that.
#[test]
fn slow_talkers_are_cut_off_however_often_they_say_something() {
    const OF_EACH: usize = 20;
    let gateway = Gateway::with_limits(
        "handshake: 1s, message_time: 1s, connections_per_source: 1000, requests_per_source: 100000/1s",
    );
    let ports = gateway.ports;
    // Each begins well and has no end.
    let endless = |beginning: &[u8]| [beginning, &[b'x'; 15_000]].concat();
    let message = endless(b"OPTIONS sip:viaduct.test SIP/2.0\r\nX: ");
    let upgrade = endless(b"GET /sip HTTP/1.1\r\nX: ");
    let hello = endless(b"\x16\x03\x01\x3f\xff\x01\0\x3f\xf0\x03\x03");
    let frame = endless(&head(BINARY, true, 60_000));
    // Fragments without an end, and a ping between any two (RFC 6455 section 5.4).
    let ping = head(FIN | PING, true, 0);
    let further = [head(CONTINUATION, true, 0), ping].concat();
    let fragments = [head(BINARY, true, 0), further.repeat(1_500)].concat();
    let ways = [
        (ports.sip, false, &message),
        (ports.sips, true, &message),
        (ports.sips, false, &hello),
        (ports.wss, false, &hello),
        (ports.ws, false, &upgrade),
        (ports.wss, true, &upgrade),
    ];
    let mut talkers = Vec::new();
    for (port, is_secure, says) in ways {
        for _ in 0..OF_EACH {
            let connection = opener(&gateway, port, is_secure)();
            talkers.push((connection, says.iter()));
        }
    }
    for says in [&frame, &fragments] {
        for _ in 0..OF_EACH {
            let socket = WebSocket::open(Box::new(connect(gateway.at(ports.ws))));
            talkers.push((socket.connection, says.iter()));
        }
    }
    talk_through(&gateway, "slow talkers", |_| {
        talkers.retain_mut(|(connection, says)| {
            let octet = [*says.next().unwrap()];
            let is_said = connection.write_all(&octet).and_then(|()| connection.flush());
            is_said.is_ok() && !is_ended(connection.tcp())
        });
        talkers.is_empty()
    });
    // Those in a message of SIP, the others in a handshake.
    gateway.expect_figure("viaduct_connections_unfinished_total", (4 * OF_EACH) as u64);
    gateway.expect_figure("viaduct_connections_idle_total", (4 * OF_EACH) as u64);
    gateway.finish();
}

/// True when the other side has ended the connection. Waits a moment for it, which is the pace of the slow.
fn is_ended(connection: &TcpStream) -> bool {
    connection
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    match connection.peek(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Half of them say something and end their half, half of them slam the door; none of them is waited for.
#[test]
fn connections_that_are_half_closed_or_reset_are_forgotten() {
    /// Kept half open at a time.
    const HELD: usize = 100;
    let gateway = Gateway::with_limits("connections: 500, requests_per_source: 100000/1s");
    let ports = gateway.ports;
    let good = request("OPTIONS", "", 0).replace("/UDP", "/TCP");
    let mut held = VecDeque::new();
    talk_through(&gateway, "connections half closed", |turn| {
        let port = [ports.sip, ports.sips, ports.ws, ports.wss][turn as usize / 2 % 4];
        let Ok(mut connection) = connect_from(strange_address(turn as u16 % 50), gateway.at(port)) else {
            panic!("a connection is refused");
        };
        // Plain octets where TLS is expected may be cut off at once.
        let _ = connection.write_all(good.as_bytes());
        if turn % 2 == 0 {
            let _ = connection.shutdown(Shutdown::Write);
            held.push_back(connection);
        } else {
            // Closed with a word: the answer that nobody reads resets it.
            socket2::SockRef::from(&connection)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        if held.len() > HELD {
            held.pop_front();
        }
        turn == 4_000
    });
    // TLS and HTTP that ended before they began are counted; a stream of SIP may end whenever it likes.
    assert!(gateway.figure("viaduct_tls_failures_total") > 1_000);
    // Those that are held are gone here: what is left is what was there before.
    gateway.expect_clean();
    drop(held);
    gateway.finish();
}
