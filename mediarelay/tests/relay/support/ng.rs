//! A proxy that speaks NG over UDP.

use std::net::{SocketAddr, UdpSocket};

use viaduct_ng::{Encoding, Limits, Packet, Reply, Request, encode_packet};

use super::PATIENCE;
use super::undisturbed::undisturbed;

/// One proxy with a socket of its own.
pub(crate) struct Proxy {
    pub(crate) socket: UdpSocket,
    encoding: Encoding,
    asked: u64,
}

impl Proxy {
    /// For a relay that listens there. Only its answers are heard.
    pub(crate) fn of(relay: SocketAddr, encoding: Encoding) -> Self {
        let socket = UdpSocket::bind((relay.ip(), 0)).unwrap();
        socket.connect(relay).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            encoding,
            asked: 0,
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Reply {
        self.asked += 1;
        let cookie = format!("cookie_{}", self.asked);
        self.send(&cookie, request);
        let answer = self.receive();
        let packet = Packet::split(&answer, &Limits::default()).unwrap();
        assert_eq!(
            (&*packet.cookie().to_text(), packet.encoding),
            (&*cookie, self.encoding)
        );
        Reply::from_value(&packet.encoding.decode(packet.body, &Limits::default()).unwrap()).unwrap()
    }

    /// Asks without waiting.
    pub(crate) fn send(&self, cookie: &str, request: &Request) {
        let message = encode_packet(cookie.as_bytes(), self.encoding, &request.to_value());
        self.socket.send(&message).unwrap();
    }

    /// What comes next, as it came.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let len = undisturbed(PATIENCE, || self.socket.recv(&mut buffer)).unwrap();
        buffer.truncate(len);
        buffer
    }
}
