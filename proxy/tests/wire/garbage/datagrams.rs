//! Rubbish over UDP.

use std::net::{IpAddr, UdpSocket};

use bytes::Bytes;
use viaduct_sip::Message;

use super::{Case, broken, expect_answer, generous, meaningless, mutations, options, request, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::Gateway;
use crate::support::phone::parse;
use crate::support::{PATIENCE, own_address};

/// Somebody who sends what he likes.
struct Stranger(UdpSocket);

impl Stranger {
    fn of(gateway: &Gateway, source: IpAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.connect(gateway.at(gateway.ports.sip)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn send(&self, octets: &[u8]) {
        self.0.send(octets).unwrap();
    }

    fn receive(&self) -> Message {
        let mut buffer = vec![0; 65_536];
        let length = self.0.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        Message::parse_datagram(buffer.into(), &generous()).unwrap()
    }

    /// Asks something good. What was sent before has been taken when the answer comes; what has been said about it
    /// comes before the answer or is left out.
    fn catch_up(&self) {
        let asked = options("UDP", "");
        let call_id = parse(Bytes::from(asked.clone())).call_id().unwrap().to_owned();
        self.send(asked.as_bytes());
        while self.receive().call_id() != Some(&call_id) {}
    }
}

/// What only datagrams can be: cut off, too long, with something behind.
fn cut_wrong() -> Vec<Case> {
    let good = options("UDP", "");
    let case = |octets: String, answer| Case {
        octets: octets.into_bytes(),
        answer,
    };
    vec![
        case(
            request("OPTIONS", "UDP", "Content-Length: 5\r\n") + "1234",
            Some((400, "Content-Length Exceeds Message")),
        ),
        case(
            request("OPTIONS", "UDP", "Content-Length: 99999999999999999999\r\n"),
            Some((400, "Bad Content-Length")),
        ),
        case(
            good[..good.len() - 2].to_owned(),
            Some((400, "Header Section Not Ended")),
        ),
        case(good[..good.len() / 2].to_owned(), None),
        case(
            options("UDP", "") + &"x".repeat(20_000),
            Some((513, "Message Exceeds 16384 Octets")),
        ),
    ]
}

/// The ports of media belong to those who are in a call.
#[test]
fn rubbish_at_the_ports_of_media_harms_no_call() {
    let gateway = Gateway::start();
    let bystanders = Bystanders::of(&gateway);
    let stranger = UdpSocket::bind((own_address(), 0)).unwrap();
    let browsers = gateway.at(gateway.ports.media);
    // As somebody who knows the number of a stream would send it, and as a browser would.
    let speech = [&[0x80, 8, 0, 1, 0, 0, 0, 0, 0x7e, 0x57, 0, 1][..], &[0x2a; 160]].concat();
    let check = b"\0\x01\0\0\x21\x12\xa4\x42transaction!".to_vec();
    let hello = b"\x16\xfe\xff\0\0\0\0\0\0\0\0\0\x04\x01\0\0\0".to_vec();
    for octets in rubbish(10, 200, 1_400).chain([speech, check, hello]) {
        for to in [bystanders.media(), browsers] {
            stranger.send_to(&octets, to).unwrap();
        }
    }
    bystanders.leave();
    gateway.finish();
}

#[test]
fn rubbish_over_udp_is_answered_or_counted_and_harms_nobody() {
    let gateway = Gateway::with_limits("sip_message: 16KiB");
    let mut bystanders = Bystanders::of(&gateway);
    let stranger = Stranger::of(&gateway, own_address());

    // Longer lines than fit the limit on messages are a matter of other transports.
    let fits = |case: &Case| case.octets.len() < 16_000;
    let mut bad = 0;
    for case in broken("UDP").into_iter().filter(fits).chain(cut_wrong()) {
        stranger.send(&case.octets);
        bad += 1;
        if case.answer.is_some() {
            expect_answer(&stranger.receive(), &case);
        }
    }
    stranger.catch_up();
    gateway.expect_figure("viaduct_sip_bad_messages_total", bad);
    for case in meaningless("UDP") {
        stranger.send(&case.octets);
        expect_answer(&stranger.receive(), &case);
    }
    // What is behind the body is no concern of the message's.
    stranger.send((options("UDP", "") + "anything\r\n\r\n").as_bytes());
    assert_eq!(stranger.receive().status().unwrap().get(), 200);
    // What keeps a way open is no message, and no fault.
    for keep_alive in [&b""[..], b"\r\n", b"\0", b"\0\0\0\0"] {
        stranger.send(keep_alive);
    }
    stranger.catch_up();
    gateway.expect_exactly("viaduct_sip_bad_messages_total", bad);
    bystanders.expect_unharmed();

    for (number, octets) in rubbish(1, 300, 1_400).enumerate() {
        stranger.send(&octets);
        bad += 1;
        if number % 16 == 0 {
            stranger.catch_up();
        }
    }
    gateway.expect_exactly("viaduct_sip_bad_messages_total", bad);
    bystanders.expect_unharmed();

    let count =
        || gateway.figure("viaduct_sip_bad_messages_total") + gateway.figure("viaduct_sip_messages_total");
    let before = count();
    let mutated = Stranger::of(&gateway, own_address());
    for (number, octets) in mutations(2, 300, || options("UDP", "")).enumerate() {
        mutated.send(&octets);
        if number % 16 == 0 {
            stranger.catch_up();
        }
    }
    crate::support::wait_for("every message counted", || {
        let seen = count() - before;
        if seen >= 300 { Ok(()) } else { Err(seen) }
    });
    bystanders.leave();
    gateway.finish();
}
