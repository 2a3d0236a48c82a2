//! A SIP server elsewhere, which the gateway comes to.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use viaduct_sip::{Framer, Limits, Message, Method, ResponseBuilder, StatusCode};

use super::undisturbed::undisturbed;
use super::wire::Wire;
use super::{PATIENCE, wait_for};

/// See the module.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    kind: Kind,
    wire: Option<Wire>,
}

enum Kind {
    Udp(UdpSocket),
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
}

/// A certificate of somebody's own, and its key.
pub(crate) struct Identity {
    /// As a file has it.
    pub(crate) certificate: String,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Somebody who may be called by this name.
    pub(crate) fn of(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new([name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key.into())
            .unwrap();
        Self {
            certificate: made.pem(),
            config: Arc::new(config),
        }
    }
}

/// A socket at a port that was found free: a program that another test is about to start may have what found it for a moment longer.
fn bound<S>(bind: impl FnMut() -> io::Result<S>) -> S {
    wait_for("the port", bind)
}

impl Server {
    pub(crate) fn udp(ip: IpAddr, port: u16) -> Self {
        let socket = bound(|| UdpSocket::bind((ip, port)));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::new((ip, port).into(), Kind::Udp(socket))
    }

    pub(crate) fn tcp(ip: IpAddr, port: u16) -> Self {
        let listener = bound(|| TcpListener::bind((ip, port)));
        listener.set_nonblocking(true).unwrap();
        Self::new((ip, port).into(), Kind::Tcp(listener))
    }

    pub(crate) fn tls(ip: IpAddr, port: u16, identity: &Identity) -> Self {
        let listener = bound(|| TcpListener::bind((ip, port)));
        listener.set_nonblocking(true).unwrap();
        let config = Arc::clone(&identity.config);
        Self::new((ip, port).into(), Kind::Tls(listener, config))
    }

    fn new(address: SocketAddr, kind: Kind) -> Self {
        Self {
            address,
            kind,
            wire: None,
        }
    }

    /// The next request with this method. Repeats of others are left out.
    pub(crate) fn request(&mut self, method: Method<'static>) -> Message {
        loop {
            let message = self.message();
            if message.method() == Some(method) {
                return message;
            }
        }
    }

    /// The next message of any kind.
    pub(crate) fn message(&mut self) -> Message {
        match self.wire().receive() {
            Some(message) => message,
            None => panic!("the gateway has closed the connection"),
        }
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, request: &Message, status: u16) {
        self.respond_with(request, status, |answer| answer);
    }

    /// Answers a request with more than a status.
    pub(crate) fn respond_with<'m>(
        &mut self,
        request: &'m Message,
        status: u16,
        more: impl FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) {
        let status = StatusCode::new(status).unwrap();
        let contact = format!("<sip:server@{}>", self.address);
        let answer = ResponseBuilder::new(request, status)
            .to_tag("server")
            .header(viaduct_sip::HeaderName::Contact, &contact);
        self.wire().send(&more(answer).build().unwrap());
    }

    /// Sends octets to the gateway.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.wire().send(octets);
    }

    /// The way to the gateway: where its first datagram came from, or the connection that it opened.
    fn wire(&mut self) -> &mut Wire {
        let kind = &self.kind;
        self.wire.get_or_insert_with(|| kind.accept())
    }

    /// Takes a connection whose TLS the gateway breaks off.
    pub(crate) fn refuse_handshake(&mut self) {
        let mut stream = match self.wire() {
            Wire::Stream(stream, _) => stream,
            Wire::Datagrams(_) | Wire::WebSocket(_) => panic!("no TLS here"),
        };
        let mut buffer = [0; 16];
        std::io::Read::read(&mut stream, &mut buffer).unwrap_err();
    }

    /// Closes the connection that the gateway has opened.
    pub(crate) fn close(&mut self) {
        self.wire = None;
    }
}

impl Kind {
    fn accept(&self) -> Wire {
        let stream = |listener: &TcpListener| {
            let (stream, _) = wait_for("a connection of the gateway", || listener.accept());
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        match self {
            Self::Udp(socket) => {
                let (_, gateway) = undisturbed(PATIENCE, || socket.peek_from(&mut [0])).unwrap();
                let socket = socket.try_clone().unwrap();
                socket.connect(gateway).unwrap();
                Wire::Datagrams(socket)
            }
            Self::Tcp(listener) => Wire::Stream(Box::new(stream(listener)), Framer::new(Limits::default())),
            Self::Tls(listener, config) => {
                let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                let stream = StreamOwned::new(connection, stream(listener));
                Wire::Stream(Box::new(stream), Framer::new(Limits::default()))
            }
        }
    }
}
