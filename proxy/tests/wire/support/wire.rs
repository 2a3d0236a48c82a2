//! What a phone speaks over.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use viaduct_sip::{Frame, Framer, Limits, Message, Transport};

use super::PATIENCE;
use super::gateway::Gateway;
use super::socket::{Connection, connect_from, secure};
use super::undisturbed::undisturbed;
use super::websocket::{BINARY, CLOSE, PING, PONG, TEXT, WebSocket};

/// One phone's way to the gateway.
pub(crate) enum Wire {
    Datagrams(UdpSocket),
    Stream(Box<dyn Connection>, Framer),
    WebSocket(WebSocket),
}

impl Wire {
    /// From an address of the phone's own. WS and WSS go to the ports that speak nothing else.
    pub(crate) fn open(transport: Transport, gateway: &Gateway, source: IpAddr) -> Self {
        let ports = gateway.ports;
        let connect = |port| connect_from(source, gateway.at(port)).unwrap();
        let stream = |connection| Self::Stream(connection, Framer::new(Limits::default()));
        match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((source, 0)).unwrap();
                socket.connect(gateway.at(ports.sip)).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Datagrams(socket)
            }
            Transport::Tcp => stream(Box::new(connect(ports.sip))),
            Transport::Tls => stream(Box::new(secure(gateway, connect(ports.sips)))),
            Transport::Ws => Self::WebSocket(WebSocket::open(Box::new(connect(ports.ws)))),
            Transport::Wss => {
                let connection = secure(gateway, connect(ports.wss));
                Self::WebSocket(WebSocket::open(Box::new(connection)))
            }
            Transport::Local => panic!("nobody speaks that over a wire"),
        }
    }

    /// Where it begins.
    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Datagrams(socket) => socket.local_addr(),
            Self::Stream(connection, _) => connection.tcp().local_addr(),
            Self::WebSocket(socket) => socket.connection.tcp().local_addr(),
        }
        .unwrap()
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        match self {
            Self::Datagrams(socket) => assert_eq!(socket.send(message).unwrap(), message.len()),
            Self::Stream(connection, _) => {
                connection.write_all(message).unwrap();
                connection.flush().unwrap();
            }
            Self::WebSocket(socket) => socket.send(TEXT, message),
        }
    }

    /// The next datagram, if one comes in this time.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<Message> {
        let Self::Datagrams(socket) = self else {
            panic!("only datagrams are lost");
        };
        socket.set_read_timeout(Some(time)).unwrap();
        let received = datagram(socket, time);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        match received {
            Ok(message) => Some(message),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message. `None` when the gateway has closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Message> {
        let limits = Limits::default();
        match self {
            Self::Datagrams(socket) => Some(datagram(socket, PATIENCE).unwrap()),
            Self::Stream(connection, framer) => loop {
                match framer.next_frame().unwrap() {
                    Some(Frame::Message(message)) => return Some(message),
                    Some(frame) => panic!("{frame:?}"),
                    None => {}
                }
                let mut buffer = [0; 4_096];
                match undisturbed(PATIENCE, || connection.read(&mut buffer)).unwrap() {
                    0 => return None,
                    length => framer.push(&buffer[..length]),
                }
            },
            Self::WebSocket(socket) => loop {
                let frame = socket.next();
                match frame.opcode {
                    TEXT | BINARY => {
                        return Some(Message::parse_frame(frame.payload.into(), &limits).unwrap());
                    }
                    PING => socket.send(PONG, &frame.payload),
                    CLOSE => return None,
                    _ => panic!("{frame:?}"),
                }
            },
        }
    }
}

fn datagram(socket: &UdpSocket, time: Duration) -> io::Result<Message> {
    let mut buffer = vec![0; 65_536];
    let length = undisturbed(time, || socket.recv(&mut buffer))?;
    buffer.truncate(length);
    Ok(Message::parse_datagram(buffer.into(), &Limits::default()).unwrap())
}
