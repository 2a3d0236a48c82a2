//! A client of WebSocket (RFC 6455), frame by frame: it can do wrong what a library does right.

use std::io::{Read, Write};

use super::PATIENCE;
use super::http::{self, Response};
use super::socket::Connection;
use super::undisturbed::undisturbed;

/// Opcodes (RFC 6455 section 5.2).
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The key of RFC 6455 section 1.3, and what it must be answered with.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame, as the gateway sends them: whole and unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A frame that is to be sent.
pub(crate) struct Sending<'p> {
    /// FIN and the reserved bits, in their places.
    pub(crate) bits: u8,
    pub(crate) opcode: u8,
    pub(crate) is_masked: bool,
    pub(crate) payload: &'p [u8],
}

/// The bit of a last fragment.
pub(crate) const FIN: u8 = 0x80;

impl<'p> Sending<'p> {
    /// A whole frame, as it should be.
    pub(crate) fn whole(opcode: u8, payload: &'p [u8]) -> Self {
        Self {
            bits: FIN,
            opcode,
            is_masked: true,
            payload,
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = head(self.bits | self.opcode, self.is_masked, self.payload.len() as u64);
        if self.is_masked {
            octets.extend(
                self.payload
                    .iter()
                    .zip(MASK.iter().cycle())
                    .map(|(octet, mask)| octet ^ mask),
            );
        } else {
            octets.extend(self.payload);
        }
        octets
    }
}

/// What client frames are masked with.
const MASK: [u8; 4] = [0x5a, 0x01, 0xff, 0x80];

/// The head of a frame that says it has this many octets.
pub(crate) fn head(first: u8, is_masked: bool, length: u64) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut octets = vec![first];
    match length {
        0..=125 => octets.push(mask | length as u8),
        126..=0xffff => {
            octets.push(mask | 126);
            octets.extend((length as u16).to_be_bytes());
        }
        _ => {
            octets.push(mask | 127);
            octets.extend(length.to_be_bytes());
        }
    }
    if is_masked {
        octets.extend(MASK);
    }
    octets
}

/// The handshake as a SIP client writes it, with other lines in place of some.
pub(crate) fn handshake(host: &str, changes: &[(&str, Option<&str>)]) -> String {
    let mut lines = vec![
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "sip"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    for (name, value) in changes {
        lines.retain(|(have, _)| have != name);
        lines.extend(value.map(|value| (*name, value)));
    }
    let lines: String = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET /sip HTTP/1.1\r\n{lines}\r\n")
}

/// An open WebSocket.
pub(crate) struct WebSocket {
    pub(crate) connection: Box<dyn Connection>,
}

impl WebSocket {
    /// Opens it. The answer must be what RFC 6455 and RFC 7118 want.
    pub(crate) fn open(mut connection: Box<dyn Connection>) -> Self {
        let host = connection.tcp().peer_addr().unwrap().to_string();
        let response = http::exchange(&mut *connection, &handshake(&host, &[]));
        expect_accepted(&response);
        Self { connection }
    }

    /// The same through a proxy that adds a header. The error is the status of a refusal.
    pub(crate) fn open_for(
        mut connection: Box<dyn Connection>,
        name: &str,
        value: &str,
    ) -> Result<Self, u16> {
        let host = connection.tcp().peer_addr().unwrap().to_string();
        let response = http::exchange(&mut *connection, &handshake(&host, &[(name, Some(value))]));
        if response.status != 101 {
            return Err(response.status);
        }
        expect_accepted(&response);
        Ok(Self { connection })
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.send_octets(&Sending::whole(opcode, payload).octets());
    }

    pub(crate) fn send_octets(&mut self, octets: &[u8]) {
        self.connection.write_all(octets).unwrap();
        self.connection.flush().unwrap();
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Frame {
        self.next_or_end().unwrap()
    }

    /// The next frame. `None` when the connection ends.
    fn next_or_end(&mut self) -> Option<Frame> {
        let mut two = [0; 2];
        if undisturbed(PATIENCE, || self.connection.read(&mut two[..1])).unwrap() == 0 {
            return None;
        }
        self.connection.read_exact(&mut two[1..]).unwrap();
        assert_eq!(two[0] & 0xf0, FIN, "a fragment or a reserved bit: {two:?}");
        assert_eq!(two[1] & 0x80, 0, "servers do not mask");
        let length = match two[1] {
            126 => {
                let mut length = [0; 2];
                self.connection.read_exact(&mut length).unwrap();
                u16::from_be_bytes(length).into()
            }
            127 => panic!("nothing here is so long"),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.connection.read_exact(&mut payload).unwrap();
        Some(Frame {
            opcode: two[0] & 0x0f,
            payload,
        })
    }

    /// The code that the other side closes with, and then the end of the connection. `None` when it ends without one.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        let frame = self.next_or_end()?;
        assert_eq!(frame.opcode, CLOSE, "{frame:?}");
        let code = frame
            .payload
            .first_chunk()
            .map_or(1005, |code| u16::from_be_bytes(*code));
        assert_eq!(self.connection.read_to_its_end(), b"", "octets after a close");
        Some(code)
    }
}

pub(crate) fn expect_accepted(response: &Response) {
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(response.header("sec-websocket-protocol"), Some("sip"));
    // It was offered, and is not spoken here.
    assert_eq!(response.header("sec-websocket-extensions"), None);
}
