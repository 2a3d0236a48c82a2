//! NG over HTTPS and WebSocket over TLS.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use viaduct_mediarelay::{RelayConfig, StartError};
use viaduct_settings::{CertificateKeys, PublicIp, RelayListener, RelayScheme};

use crate::support::tcp::{connect, read_to_end};
use crate::support::{InProcess, free_port, own_address, settings};

/// A certificate in files, for as long as this lives.
struct Certificate {
    files: CertificateKeys,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn of(address: IpAddr) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![address.to_string()]).unwrap();
        let made = params.self_signed(&key).unwrap();
        let path = |what: &str| {
            let name = format!("viaduct-relay-{}-{address}.{what}.pem", std::process::id());
            std::env::temp_dir().join(name).to_str().unwrap().to_owned()
        };
        let files = CertificateKeys {
            cert: path("cert"),
            key: path("key"),
        };
        std::fs::write(&files.cert, made.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        Self {
            files,
            der: made.der().clone(),
        }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        for file in [&self.files.cert, &self.files.key] {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn config(address: IpAddr, tls: Option<CertificateKeys>) -> RelayConfig {
    let listener = RelayListener {
        scheme: RelayScheme::Https,
        address: (address, free_port(address)).into(),
    };
    RelayConfig {
        listen: vec![listener],
        tls,
        ..RelayConfig::in_process(settings(address), PublicIp::Auto)
    }
}

/// A client that believes this certificate and no other.
fn client(to: SocketAddr, believed: &CertificateDer<'static>) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), to.ip().into()).unwrap();
    StreamOwned::new(connection, connect(to))
}

#[test]
fn ng_is_spoken_over_https_and_secure_websockets() {
    let address = own_address();
    let certificate = Certificate::of(address);
    let relay = InProcess::start_config(config(address, Some(certificate.files.clone())));
    let at = relay.handle.listeners()[0].1;
    let mut web = client(at, &certificate.der);
    let ping = "POST /ng HTTP/1.1\r\nHost: relay\r\nContent-Type: application/x-rtpengine-ng\r\nContent-Length: 21\r\n\r\n\
                1_1 d7:command4:pinge";
    web.write_all(ping.as_bytes()).unwrap();
    let mut answer = String::new();
    // An end of TCP without an end of TLS would be an error here.
    web.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n1_1 d6:result4:ponge"),
        "{answer}"
    );

    let mut request = format!("wss://{at}/").into_client_request().unwrap();
    let protocol = "ng.rtpengine.com".parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = tungstenite::client::client(request, client(at, &certificate.der)).unwrap();
    socket.send(Message::text(r#"2_2 {"command":"ping"}"#)).unwrap();
    let pong = socket.read().unwrap().into_data();
    assert_eq!(pong, r#"2_2 {"result":"pong"}"#);
    relay.shut_down();
}

#[test]
fn who_does_not_speak_tls_is_sent_away_and_counted() {
    let address = own_address();
    let certificate = Certificate::of(address);
    let mut config = config(address, Some(certificate.files.clone()));
    config.limits.shell.client_patience = std::time::Duration::from_millis(300);
    let relay = InProcess::start_config(config);
    let at = relay.handle.listeners()[0].1;
    let mut plain = connect(at);
    plain.write_all(b"GET /ping HTTP/1.1\r\n\r\n").unwrap();
    let answer = read_to_end(&mut plain);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(read_to_end(&mut connect(at)), b"", "silent for too long");
    relay.wait_for("both counted", |now| {
        let of = now.connections.iter().find(|of| of.scheme == RelayScheme::Https);
        of.is_some_and(|of| (of.accepted, of.failed) == (2, 2))
    });
    relay.shut_down();
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_at_start() {
    let address = own_address();
    let certificate = Certificate::of(address);
    std::fs::write(&certificate.files.cert, "nothing\n").unwrap();
    match viaduct_mediarelay::RelayHandle::start(config(address, Some(certificate.files.clone()))) {
        Err(StartError::Tls { path, .. }) => assert_eq!(path.to_str(), Some(&*certificate.files.cert)),
        other => panic!("{other:?}"),
    }
}
