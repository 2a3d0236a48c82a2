//! Connections of clients: plain, and over TLS with the certificate that the gateway has made.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::gateway::{DOMAIN, Gateway};

/// A connection, whatever is between it and the wire.
pub(crate) trait Connection: Read + Write + Send {
    /// What is below.
    fn tcp(&self) -> &TcpStream;

    /// All that comes until the other side ends the connection. It must do so in good order: what it said last could
    /// be lost otherwise.
    fn read_to_its_end(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.read_to_end(&mut octets).unwrap();
        octets
    }
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

impl Connection for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// A connection from an address of ours.
pub(crate) fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&to.into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// A connection from the gateway's own address.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    connect_from(to.ip(), to).unwrap()
}

/// Opens connections of one kind.
pub(crate) type Opener<'g> = Box<dyn Fn() -> Box<dyn Connection> + 'g>;

/// Of connections to one port, with TLS or without.
pub(crate) fn opener(gateway: &Gateway, port: u16, is_secure: bool) -> Opener<'_> {
    Box::new(move || {
        let connection = connect(gateway.at(port));
        if is_secure {
            Box::new(secure(gateway, connection))
        } else {
            Box::new(connection)
        }
    })
}

/// TLS over a connection. The certificate must be the gateway's, and for its domain.
pub(crate) fn secure(gateway: &Gateway, tcp: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    StreamOwned::new(client(gateway), tcp)
}

/// A client of TLS that has said nothing yet.
pub(crate) fn client(gateway: &Gateway) -> ClientConnection {
    let certificate = gateway.folder().join("state/tls/certificate.pem");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(DOMAIN).unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}
