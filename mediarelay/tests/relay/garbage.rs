//! Rubbish and strangers at every port, while a call runs.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use viaduct_forward::DropReason;
use viaduct_mediarelay::{RelayConfig, Snapshot};
use viaduct_ng::{Encoding, Reply, Request};
use viaduct_settings::{PublicIp, RelayListener, RelayScheme};
use viaduct_stun::{Class, MessageWriter, Method, TransactionId};

use crate::support::call::{Call, delete, offer, ok};
use crate::support::ng::Proxy;
use crate::support::phone::Phone;
use crate::support::program::Program;
use crate::support::tcp::{connect, exchange, read_to_end};
use crate::support::{InProcess, free_port, own_address, settings, wait_for};

/// A relay with a listener of one kind, and a call that runs.
fn running(scheme: RelayScheme) -> (InProcess, SocketAddr, Call) {
    let address = own_address();
    let listener = RelayListener {
        scheme,
        address: (address, free_port(address)).into(),
    };
    let mut config = RelayConfig::in_process(settings(address), PublicIp::Auto);
    config.listen = vec![listener];
    let relay = InProcess::start_config(config);
    let mut call = Call::set_up("running", |request| relay.ask(request.clone()));
    call.talk(1);
    (relay, listener.address, call)
}

/// The call still runs, nothing else does, and when it ends nothing is left.
fn is_unharmed(relay: InProcess, mut call: Call) -> Snapshot {
    call.talk(5);
    call.report();
    assert_eq!(relay.snapshot().gauges.calls, 1);
    ok(relay.ask(delete("running")));
    let empty = relay.wait_until_empty();
    relay.shut_down();
    empty
}

fn dropped(snapshot: &Snapshot, reason: DropReason) -> u64 {
    snapshot
        .workers
        .iter()
        .map(|worker| worker.forward.dropped(reason))
        .sum()
}

/// The same rubbish in every run.
fn rubbish() -> impl Iterator<Item = Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(7);
    (0..200).map(move |_| {
        let mut datagram = vec![0; rng.random_range(0..600)];
        rng.fill_bytes(&mut datagram);
        datagram
    })
}

/// A message that looks as if it were good for a while.
fn broken_messages() -> Vec<Vec<u8>> {
    let good = viaduct_ng::encode_packet(b"1", Encoding::Bencode, &offer("x", "v=0\r\n").to_value());
    let mut messages: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    messages.extend([
        b"1 d7:command99999999999999999999:ping".to_vec(),
        b"2 d7:command4294967295:pinge".to_vec(),
        b"3 d999999999:".to_vec(),
        b"4 di99999999999999999999999999ee".to_vec(),
        b"5 {\"command\":".to_vec(),
        [b"6 ".to_vec(), b"l".repeat(60_000)].concat(),
        [b"7 ".to_vec(), b"{\"a\":".repeat(10_000)].concat(),
        [b"8 d".to_vec(), b"1:ad".repeat(10_000)].concat(),
        vec![b'c'; 60_000],
        b" ".to_vec(),
        Vec::new(),
    ]);
    messages
}

#[test]
fn rubbish_for_ng_over_udp_is_counted_and_harms_nobody() {
    let (relay, ng, mut call) = running(RelayScheme::NgUdp);
    let stranger = UdpSocket::bind((ng.ip(), 0)).unwrap();
    let sent = rubbish().chain(broken_messages()).map(|message| {
        stranger.send_to(&message, ng).unwrap();
        call.talk(1);
    });
    let sent = sent.count() as u64;
    // What came before is taken before.
    let mut proxy = Proxy::of(ng, Encoding::Bencode);
    assert_eq!(proxy.ask(&Request::Ping), Reply::Pong);
    let figures = relay.snapshot().ng;
    assert_eq!((figures.received, figures.overload), (sent + 1, 0));
    assert!(figures.not_ng > 10 && figures.malformed > 100, "{figures:?}");
    is_unharmed(relay, call);
}

#[test]
fn rubbish_for_ng_over_tcp_ends_its_connection_and_nothing_else() {
    let (relay, ng, mut call) = running(RelayScheme::NgTcp);
    let mut good = connect(ng);
    let mut failed = 0;
    for message in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"1 d999999999:".to_vec(),
        b"1 d99999999999999999999999999:".to_vec(),
        [b"1 d".to_vec(), b"i1e".repeat(200_000)].concat(),
        [b"1 ".to_vec(), b"d1:a".repeat(100_000)].concat(),
        vec![b'c'; 100_000],
        b"1 {\"command\":\"ping\"}".to_vec(),
    ] {
        assert_eq!(
            exchange(ng, &message),
            b"",
            "{}",
            message[..8.min(message.len())].escape_ascii()
        );
        failed += 1;
        call.talk(1);
    }
    // Half a message, and the client is gone.
    connect(ng).write_all(b"1 d7:comm").unwrap();
    failed += 1;
    relay.wait_for("the failed connections", |now| {
        now.connections[0].failed == failed
    });
    good.write_all(b"1 d7:command4:pinge").unwrap();
    let mut answer = [0; 18];
    std::io::Read::read_exact(&mut good, &mut answer).unwrap();
    assert_eq!(&answer, b"1 d6:result4:ponge");
    drop(good);
    is_unharmed(relay, call);
}

#[test]
fn rubbish_for_the_text_interface_is_answered_or_cut_off() {
    let (relay, text, mut call) = running(RelayScheme::Cli);
    for line in [
        vec![b'x'; 100_000],
        b"\0\xff\xfe\n".to_vec(),
        b"list sessions \xff\xff\n".to_vec(),
        b"\n".to_vec(),
    ] {
        let answer = exchange(text, &line);
        assert!(
            answer.ends_with(b"\n") && answer.len() < 200,
            "{}",
            answer.escape_ascii()
        );
        call.talk(1);
    }
    drop(connect(text));
    relay.wait_for("the long line", |now| {
        now.connections[1].failed == 1 && now.connections[1].accepted == 5
    });
    is_unharmed(relay, call);
}

#[test]
fn half_requests_and_rubbish_over_http_are_cut_off() {
    let (relay, web, mut call) = running(RelayScheme::Http);
    // Some ask for half of something and wait; they keep their own connections and nothing else.
    let mut waiting: Vec<_> = [
        &b"GET /metrics HTTP/1.1\r\nHost: x\r\n"[..],
        b"POST /ng HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n1 d7:",
        b"POST /ng HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nx",
        b"",
    ]
    .into_iter()
    .map(|half| {
        let mut stream = connect(web);
        stream.write_all(half).unwrap();
        stream
    })
    .collect();
    for request in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
        b"GET\r\n\r\n".to_vec(),
        [
            b"GET / HTTP/1.1\r\nX: ".to_vec(),
            vec![b'y'; 200_000],
            b"\r\n\r\n".to_vec(),
        ]
        .concat(),
        [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"A: b\r\n".repeat(5_000),
            b"\r\n".to_vec(),
        ]
        .concat(),
        b"POST /ng HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
        b"POST /ng HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
    ] {
        let answer = exchange(web, &request);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            answer.escape_ascii()
        );
        call.talk(1);
    }
    relay.wait_for("the failed connections", |now| now.connections[2].failed >= 6);
    assert_eq!(crate::support::tcp::get(web, "/health/ready"), "ready\n");
    waiting.clear();
    is_unharmed(relay, call);
}

#[test]
fn strangers_at_media_ports_are_dropped_and_counted() {
    let (relay, _, mut call) = running(RelayScheme::Cli);
    call.report();
    let stranger = UdpSocket::bind((own_address(), 0)).unwrap();
    let transaction = TransactionId([9; 12]);
    let mut stun = [0; 64];
    let mut writer = MessageWriter::new(&mut stun, Class::Request, Method::BINDING, transaction).unwrap();
    writer.fingerprint().unwrap();
    let stun = writer.finish().to_vec();
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 1];
    hello.resize(63, 0);
    let browsers = relay.handle.browser_ports()[0];
    let media = [call.for_alice.0, call.for_alice.1, call.for_bob.0, call.for_bob.1];
    for port in media.into_iter().chain([browsers]) {
        for datagram in rubbish().chain([
            stun.clone(),
            hello.clone(),
            call.alice.packet(7),
            call.bob.report(),
        ]) {
            stranger.send_to(&datagram, port).unwrap();
        }
        call.talk(1);
        call.report();
    }
    // Neither phone has heard any of it, or `talk` would have. Nobody has got an answer.
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv_from(&mut [0; 64]).is_err());
    let figures = relay.wait_for("the last of the rubbish", |now| {
        let received: u64 = now.workers.iter().map(|worker| worker.io.received).sum();
        // Two packets and two reports before, and as many for each port.
        received == 6 * 4 + 5 * 204
    });
    for (reason, at_least) in [
        (DropReason::UnknownSource, 4),
        (DropReason::DtlsNotAllowed, 5),
        (DropReason::Unclassified, 100),
        (DropReason::NoLeg, 1),
    ] {
        assert!(
            dropped(&figures, reason) >= at_least,
            "{reason:?}: {:?}",
            figures.workers
        );
    }
    let all: u64 = DropReason::ALL
        .iter()
        .map(|reason| dropped(&figures, *reason))
        .sum();
    let judged: u64 = figures
        .workers
        .iter()
        .map(|worker| worker.forward.forwarded + worker.forward.to_control)
        .sum();
    assert_eq!(
        all + judged
            + figures
                .workers
                .iter()
                .map(|worker| worker.forward.replied)
                .sum::<u64>(),
        6 * 4 + 5 * 204
    );
    is_unharmed(relay, call);
}

/// Cookie guessing: an answer is kept for who has asked. Somebody else who guesses the cookie neither reads it nor keeps the
/// owner of the cookie from being answered.
#[test]
fn guessed_cookies_of_another_sender_give_away_and_spoil_nothing() {
    let (relay, ng, mut call) = running(RelayScheme::NgUdp);
    let (proxy, guesser) = (Proxy::of(ng, Encoding::Bencode), Proxy::of(ng, Encoding::Bencode));
    let alice = Phone::at(own_address(), 1);
    let request = offer("guessed", &alice.sdp());
    for n in 0..200 {
        // Before the owner uses it, and after.
        let cookie = format!("4711_{n}");
        guesser.send(&cookie, &Request::Ping);
        assert_eq!(guesser.receive(), format!("{cookie} d6:result4:ponge").as_bytes());
        proxy.send(&cookie, &request);
        let answered = proxy.receive();
        assert!(
            answered.starts_with(format!("{cookie} d").as_bytes()),
            "{}",
            answered.escape_ascii()
        );
        assert!(contains(&answered, b"v=0\r\n"), "{}", answered.escape_ascii());
        guesser.send(&cookie, &Request::Ping);
        assert_eq!(guesser.receive(), format!("{cookie} d6:result4:ponge").as_bytes());
        proxy.send(&cookie, &request);
        assert_eq!(proxy.receive(), answered);
        call.talk(1);
    }
    let figures = relay.snapshot().ng;
    // Each used its own cookie twice.
    assert_eq!((figures.received, figures.cache.hits), (800, 400));
    ok(relay.ask(delete("guessed")));
    is_unharmed(relay, call);
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_flood_does_not_make_the_program_grow() {
    let relay = Program::start(&[]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut call = Call::set_up("running", |request| proxy.ask(request));
    call.talk(1);
    let stranger = UdpSocket::bind((relay.address, 0)).unwrap();
    let flood = |call: &mut Call, times: usize| {
        for _ in 0..times {
            for datagram in rubbish() {
                stranger.send_to(&datagram, relay.ng).unwrap();
                stranger.send_to(&datagram, call.for_alice.0).unwrap();
            }
            call.talk(1);
            let mut half = connect(relay.cli);
            half.write_all(b"list").unwrap();
            half.shutdown(std::net::Shutdown::Write).unwrap();
            read_to_end(&mut half);
        }
    };
    flood(&mut call, 5);
    let before = relay.memory();
    flood(&mut call, 50);
    let grown = relay.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} octets more");
    wait_for("an answer", || {
        (proxy.ask(&Request::Ping) == Reply::Pong).then_some(())
    });
    call.talk(1);
}
