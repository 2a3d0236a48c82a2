//! Rubbish in WebSocket frames (RFC 6455 section 5) and in the messages that they carry (RFC 7118 section 5).

use viaduct_sip::Message;

use super::{broken, expect_answer, generous, meaningless, mutations, options, request, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::Gateway;
use crate::support::socket::{Opener, connect, opener};
use crate::support::websocket::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Sending, TEXT, WebSocket, head,
};

/// The four listeners that speak SIP over WebSocket.
fn everywhere(gateway: &Gateway) -> [(&'static str, Opener<'_>); 4] {
    let ports = gateway.ports;
    [
        ("WS", opener(gateway, ports.ws, false)),
        ("WS", opener(gateway, ports.http, false)),
        ("WSS", opener(gateway, ports.wss, true)),
        ("WSS", opener(gateway, ports.https, true)),
    ]
}

/// A frame with some of it changed.
fn frame(bits: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    Sending {
        bits,
        opcode,
        is_masked: true,
        payload,
    }
    .octets()
}

/// Frames that break the protocol, and the code that says how.
fn wrong_frames() -> Vec<(Vec<u8>, u16)> {
    let good = options("WS", "");
    let good = good.as_bytes();
    let unmasked = |opcode| Sending {
        is_masked: false,
        ..Sending::whole(opcode, good)
    };
    vec![
        (unmasked(TEXT).octets(), 1002),
        (unmasked(BINARY).octets(), 1002),
        // Reserved bits without an extension, reserved opcodes.
        (frame(FIN | 0x40, TEXT, good), 1002),
        (frame(FIN | 0x10, BINARY, good), 1002),
        (frame(FIN, 3, good), 1002),
        (frame(FIN, 11, b""), 1002),
        // Out of order: the end of nothing, and a beginning before the end.
        (frame(FIN, CONTINUATION, good), 1002),
        (frame(0, CONTINUATION, good), 1002),
        ([frame(0, TEXT, b"OPT"), frame(FIN, TEXT, b"IONS")].concat(), 1002),
        (
            [frame(0, BINARY, b"OPT"), frame(0, BINARY, b"IONS")].concat(),
            1002,
        ),
        // Control frames are whole and short.
        (frame(0, PING, b"a"), 1002),
        (frame(FIN, PING, &[0; 126]), 1002),
        (frame(FIN, CLOSE, &[0; 126]), 1002),
        // A close without room for a code, and with codes that are never sent.
        (frame(FIN, CLOSE, &[3]), 1002),
        (frame(FIN, CLOSE, &1005_u16.to_be_bytes()), 1002),
        (frame(FIN, CLOSE, &999_u16.to_be_bytes()), 1002),
        // Text that is none, at once and over a border of fragments.
        (frame(FIN, TEXT, b"OPTIONS \xff"), 1007),
        (
            [frame(0, TEXT, b"caf\xc3"), frame(FIN, CONTINUATION, b"caf")].concat(),
            1007,
        ),
        // Too large: by its head alone, by the sum of its fragments, by more than there can be.
        (head(FIN | TEXT, true, 65_537), 1009),
        (head(FIN | BINARY, true, 1 << 40), 1009),
        (
            [
                frame(0, BINARY, &[b'x'; 40_000]),
                frame(FIN, CONTINUATION, &[b'x'; 40_000]),
            ]
            .concat(),
            1009,
        ),
    ]
}

#[test]
fn frames_that_break_the_protocol_are_answered_with_the_code_for_it() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    for (_, open) in everywhere(&gateway) {
        for (octets, code) in wrong_frames() {
            let mut socket = WebSocket::open(open());
            socket.send_octets(&octets);
            let head = &octets[..octets.len().min(16)];
            assert_eq!(socket.close_code(), Some(code), "for {head:x?}");
        }
        // Good ones are answered in kind.
        for code in [1000_u16, 1001, 3000, 4999] {
            let mut socket = WebSocket::open(open());
            socket.send(CLOSE, &code.to_be_bytes());
            assert_eq!(socket.close_code(), Some(code));
        }
        let mut socket = WebSocket::open(open());
        socket.send(CLOSE, b"");
        assert_eq!(socket.close_code(), Some(1005));
        bystanders.expect_unharmed();
    }
    for octets in rubbish(5, 60, 1_000) {
        let mut socket = WebSocket::open(Box::new(connect(gateway.at(gateway.ports.ws))));
        socket.send_octets(&octets);
        // It may look like the beginning of something.
        let _ = socket.connection.tcp().shutdown(std::net::Shutdown::Write);
        socket.connection.read_to_its_end();
    }
    bystanders.leave();
    gateway.finish();
}

/// The next frame, which must hold an answer.
fn answer(socket: &mut WebSocket) -> Message {
    let frame = socket.next();
    let is_text = str::from_utf8(&frame.payload).is_ok();
    assert_eq!(frame.opcode, if is_text { TEXT } else { BINARY });
    Message::parse_frame(frame.payload.into(), &generous()).unwrap()
}

#[test]
fn a_frame_holds_one_message_and_a_bad_one_says_nothing_about_the_next() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    for (transport, open) in everywhere(&gateway) {
        let mut socket = WebSocket::open(open());
        for opcode in [TEXT, BINARY] {
            for case in broken(transport).into_iter().chain(meaningless(transport)) {
                if opcode == TEXT && str::from_utf8(&case.octets).is_err() {
                    continue;
                }
                socket.send(opcode, &case.octets);
                if case.answer.is_some() {
                    expect_answer(&answer(&mut socket), &case);
                }
            }
        }
        // Without Content-Length the frame says it; with one it must be right.
        let status = |socket: &mut WebSocket, text: String| {
            socket.send(TEXT, text.as_bytes());
            answer(socket).status().unwrap().get()
        };
        assert_eq!(status(&mut socket, request("OPTIONS", transport, "")), 200);
        assert_eq!(
            status(&mut socket, options(transport, "") + &options(transport, "")),
            400
        );
        assert_eq!(
            status(
                &mut socket,
                request("OPTIONS", transport, "Content-Length: 5\r\n") + "1234"
            ),
            400
        );
        // In pieces, with a ping between them: it is answered first.
        let good = options(transport, "");
        let (first, rest) = good.as_bytes().split_at(30);
        let (second, third) = rest.split_at(1);
        for octets in [
            frame(0, TEXT, first),
            frame(FIN, PING, b"still there?"),
            frame(0, CONTINUATION, second),
            frame(0, CONTINUATION, b""),
            frame(FIN, CONTINUATION, third),
        ] {
            socket.send_octets(&octets);
        }
        let pong = socket.next();
        assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"still there?"[..]));
        assert_eq!(answer(&mut socket).status().unwrap().get(), 200);
        // And what nobody answers.
        socket.send(TEXT, b"");
        socket.send(PONG, b"unasked");
        let before = gateway.figure("viaduct_sip_bad_messages_total");
        for octets in rubbish(6, 30, 500) {
            socket.send(BINARY, &octets);
        }
        gateway.expect_figure("viaduct_sip_bad_messages_total", before + 30);
        assert_eq!(status(&mut socket, options(transport, "")), 200);
        socket.send(CLOSE, &1000_u16.to_be_bytes());
        assert_eq!(socket.close_code(), Some(1000));
        bystanders.expect_unharmed();
    }
    let mut socket = WebSocket::open(Box::new(connect(gateway.at(gateway.ports.ws))));
    for octets in mutations(7, 100, || options("WS", "")) {
        socket.send(BINARY, &octets);
    }
    socket.send(CLOSE, &1000_u16.to_be_bytes());
    while socket.next().opcode != CLOSE {}
    bystanders.leave();
    gateway.finish();
}
