//! Rubbish over TCP and TLS: where one message cannot be understood, nothing behind it can.

use std::io::Write;
use std::net::Shutdown;

use viaduct_sip::{Frame, Framer, Limits, Message};

use super::{Case, broken, expect_answer, generous, meaningless, mutations, options, request, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::Gateway;
use crate::support::socket::{Connection, Opener, connect, opener};
use crate::support::websocket::{BINARY, Sending, WebSocket};

fn openers(gateway: &Gateway) -> [(&'static str, Opener<'_>); 2] {
    let ports = gateway.ports;
    [
        ("TCP", opener(gateway, ports.sip, false)),
        ("TLS", opener(gateway, ports.sips, true)),
    ]
}

/// Every message in these octets, which must be nothing but messages.
fn messages(octets: &[u8]) -> Vec<Message> {
    let mut framer = Framer::new(generous());
    framer.push(octets);
    let mut messages = Vec::new();
    while let Some(frame) = framer.next_frame().unwrap() {
        match frame {
            Frame::Message(message) => messages.push(message),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(framer.buffered(), 0);
    messages
}

/// What only streams can be.
fn framed_wrong(transport: &str) -> Vec<Case> {
    let case = |octets: String, answer| Case {
        octets: octets.into_bytes(),
        answer,
    };
    vec![
        case(
            request("OPTIONS", transport, ""),
            Some((400, "Content-Length Missing")),
        ),
        case(
            request("OPTIONS", transport, "Content-Length: 70000\r\n"),
            Some((513, "Message Exceeds 65536 Octets")),
        ),
        case(
            options(transport, &"X: 1234567890\r\n".repeat(5_000)),
            Some((513, "Header Section Exceeds 65536 Octets")),
        ),
    ]
}

/// Sends octets, and answers what came until the gateway ended the connection of its own accord.
fn until_closed(open: &Opener<'_>, octets: &[u8]) -> Vec<Message> {
    let mut connection = open();
    connection.write_all(octets).unwrap();
    connection.flush().unwrap();
    messages(&connection.read_to_its_end())
}

#[test]
fn rubbish_over_streams_is_answered_and_ends_its_connection_and_nothing_else() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    let mut bad = 0;
    for (transport, open) in openers(&gateway) {
        for case in broken(transport).into_iter().chain(framed_wrong(transport)) {
            let answers = until_closed(&open, &case.octets);
            bad += 1;
            assert_eq!(answers.len(), usize::from(case.answer.is_some()), "{answers:?}");
            answers.iter().for_each(|answer| expect_answer(answer, &case));
        }
        // Good ones before it are answered; one behind it is not looked at.
        let good = || options(transport, "");
        let unanswered = "rubbish\r\n\r\n".to_owned();
        let answered = good().replace("Length: 0", "Length: -1");
        for (rubbish, expected) in [(unanswered, vec![200, 200]), (answered, vec![200, 200, 400])] {
            let octets = [good(), good(), rubbish, good()].concat();
            let answers = until_closed(&open, octets.as_bytes());
            // Signalling threads are not in step with each other.
            let mut have: Vec<u16> = answers
                .iter()
                .map(|answer| answer.status().unwrap().get())
                .collect();
            have.sort_unstable();
            assert_eq!(have, expected, "{answers:?}");
            bad += 1;
        }
        bystanders.expect_unharmed();
    }
    gateway.expect_exactly("viaduct_sip_bad_messages_total", bad);
    bystanders.leave();
    gateway.finish();
}

/// More than the gateway reads before it has had enough.
const MUCH: usize = 1 << 20;

/// Who is refused in the middle of a long message must learn why, even if he does not look before he is done.
#[test]
fn the_last_word_reaches_one_who_talks_on() {
    let gateway = Gateway::start();
    for (transport, open) in openers(&gateway) {
        let case = Case {
            octets: request("OPTIONS", transport, "Content-Length: 90000000\r\n").into_bytes(),
            answer: Some((513, "Message Exceeds 65536 Octets")),
        };
        let mut connection = open();
        connection.write_all(&case.octets).unwrap();
        // Where the gateway's patience is over before the last octet is sent, that is an error here.
        let _ = connection
            .write_all(&vec![b'x'; MUCH])
            .and_then(|()| connection.flush());
        gateway.expect_clean();
        let answers = messages(&connection.read_to_its_end());
        assert_eq!(answers.len(), 1, "{answers:?}");
        expect_answer(&answers[0], &case);
    }
    let plain = gateway.at(gateway.ports.ws);
    let mut socket = WebSocket::open(Box::new(connect(plain)));
    let frame = Sending::whole(BINARY, &vec![b'x'; MUCH]).octets();
    let _ = socket.connection.write_all(&frame);
    gateway.expect_clean();
    assert_eq!(socket.close_code(), Some(1009));
    gateway.finish();
}

#[test]
fn what_means_nothing_over_streams_is_answered_and_the_connection_goes_on() {
    let gateway = Gateway::start();
    for (transport, open) in openers(&gateway) {
        let mut connection = open();
        let mut framer = Framer::new(Limits::default());
        for case in meaningless(transport) {
            connection.write_all(&case.octets).unwrap();
            connection.flush().unwrap();
            let answer = loop {
                if let Some(Frame::Message(answer)) = framer.next_frame().unwrap() {
                    break answer;
                }
                let mut buffer = [0; 4_096];
                let length = connection.read(&mut buffer).unwrap();
                assert_ne!(length, 0, "closed");
                framer.push(&buffer[..length]);
            };
            expect_answer(&answer, &case);
        }
    }
    gateway.finish();
}

#[test]
fn octets_that_never_become_a_message_harm_nobody() {
    let gateway = Gateway::start();
    let bystanders = Bystanders::of(&gateway);
    let good = || options("TCP", "");
    // A message cut off anywhere, and one whose body never comes.
    let mut halves: Vec<Vec<u8>> = (0..good().len())
        .step_by(20)
        .map(|at| good()[..at].into())
        .collect();
    halves.push(request("OPTIONS", "TCP", "Content-Length: 500\r\n").into_bytes());
    for octets in halves
        .into_iter()
        .chain(rubbish(3, 40, 3_000))
        .chain(mutations(4, 40, good))
    {
        let mut connection = connect(gateway.at(gateway.ports.sip));
        connection.write_all(&octets).unwrap();
        // The gateway may have had enough already.
        let _ = connection.shutdown(Shutdown::Write);
        messages(&connection.read_to_its_end());
    }
    bystanders.leave();
    gateway.finish();
}
