//! Handshakes with OpenSSL's own programs, whose certificate is RSA or ECDSA, in both roles.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a peer in another process needs a socket and time; a test fails where it must"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_dtls::{Config, Endpoint, Limits, Output, Role};

/// What `openssl req` makes a key of.
const KEYS: [&[&str]; 3] = [
    &["-newkey", "rsa:2048"],
    &["-newkey", "rsa:3072"],
    &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
];

/// A directory with a certificate and its key, which goes away with it.
struct Files(std::path::PathBuf);

impl Files {
    fn new(case: &str, key: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("viaduct-dtls-{}-{case}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=peer"])
            .args(key)
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self(folder)
    }

    /// The certificate in DER.
    fn certificate(&self) -> Vec<u8> {
        let shown = Command::new("openssl")
            .args(["x509", "-in", "cert.pem", "-outform", "DER"])
            .current_dir(&self.0)
            .output()
            .unwrap();
        shown.stdout
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `openssl s_client` or `s_server`; it is ended with this.
struct Peer(Child);

impl Peer {
    fn new(files: &Files, args: &[&str], profiles: &str) -> Self {
        let child = Command::new("openssl")
            .args(args)
            .args([
                "-cert",
                "cert.pem",
                "-key",
                "key.pem",
                "-dtls1_2",
                "-use_srtp",
                profiles,
            ])
            .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"])
            .current_dir(&files.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Waits for a line and returns what follows in it.
    fn line(&mut self, beginning: &str) -> String {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let found = lines.find_map(|line| line.unwrap().trim().strip_prefix(beginning).map(str::to_owned));
        found.unwrap_or_else(|| panic!("openssl never said {beginning:?}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.stdin.as_mut().map(|input| input.write_all(b"Q\n"));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Drives an end until it is connected. Returns the peer's certificate and the keying material.
fn connect(socket: &UdpSocket, endpoint: &mut Endpoint) -> (Vec<u8>, Vec<u8>) {
    let (mut certificate, mut material, begun) = (Vec::new(), Vec::new(), Instant::now());
    let mut buffer = [0; 4_096];
    let mut connected = false;
    endpoint.handle_timeout(begun).unwrap();
    while begun.elapsed() < Duration::from_secs(20) {
        while let Some(output) = endpoint.poll_output() {
            match output {
                // The peer may not listen yet: it is sent again.
                Output::Send(datagram) => drop(socket.send(&datagram)),
                Output::PeerCertificate(der) => certificate = der,
                Output::Keys(_, keys) => material = keys,
                Output::Connected => connected = true,
                Output::Closed => {}
            }
        }
        if connected {
            return (certificate, material);
        }
        let wait = endpoint
            .poll_timeout()
            .unwrap()
            .saturating_duration_since(Instant::now());
        socket
            .set_read_timeout(Some(wait.max(Duration::from_millis(1))))
            .unwrap();
        match socket.recv(&mut buffer) {
            Ok(len) => endpoint.handle_datagram(Instant::now(), &buffer[..len]).unwrap(),
            Err(_) => endpoint.handle_timeout(Instant::now()).unwrap(),
        }
    }
    panic!("no handshake");
}

fn endpoint(role: Role, mtu: usize) -> Endpoint {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let config = Config::new(
        certificate.der().to_vec(),
        &key.serialize_der(),
        mtu,
        Limits::default(),
    )
    .unwrap();
    Endpoint::new(Arc::new(config), role, Instant::now())
}

fn assert_same(material: &[u8], shown: &str) {
    let hex: String = material.iter().map(|octet| format!("{octet:02X}")).collect();
    // What is exported depends on its length only by where it ends.
    assert_eq!(shown[..hex.len()], hex);
}

#[test]
fn we_connect_to_a_server_with_either_kind_of_certificate() {
    for (case, key) in KEYS.iter().enumerate() {
        for (asks, profiles) in [
            (&["-naccept", "1"][..], "SRTP_AES128_CM_SHA1_80"),
            (&["-verify", "2"], "SRTP_AEAD_AES_128_GCM"),
            (
                &["-verify", "2", "-listen", "-mtu", "300"],
                "SRTP_AES128_CM_SHA1_80",
            ),
        ] {
            let files = Files::new(&format!("server-{case}"), key);
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = UdpSocket::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let at = port.to_string();
            let arguments = [&["s_server", "-4", "-accept", &at], asks].concat();
            let mut peer = Peer::new(&files, &arguments, profiles);
            peer.line("ACCEPT");
            socket.connect(("127.0.0.1", port)).unwrap();
            let (certificate, material) = connect(&socket, &mut endpoint(Role::Client, 600));
            assert_eq!(certificate, files.certificate());
            assert_same(&material, &peer.line("Keying material: "));
        }
    }
}

#[test]
fn a_client_with_either_kind_of_certificate_connects_to_us() {
    for (case, key) in KEYS.iter().enumerate() {
        let files = Files::new(&format!("client-{case}"), key);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap().to_string();
        let mut peer = Peer::new(
            &files,
            &["s_client", "-4", "-connect", &to],
            "SRTP_AES128_CM_SHA1_80",
        );
        let (_, from) = socket.peek_from(&mut [0; 1]).unwrap();
        socket.connect(from).unwrap();
        let (certificate, material) = connect(&socket, &mut endpoint(Role::Server, 300));
        assert_eq!(certificate, files.certificate());
        assert_same(&material, &peer.line("Keying material: "));
    }
}
