//! A browser: ICE, DTLS-SRTP, and RTCP on the port of RTP. Or a carrier, which has the same without ICE.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::certificate::{calculate_fingerprint, format_fingerprint, generate_self_signed_certificate};
use dimpl::{Dtls, DtlsCertificate, Output};
use viaduct_rtp::srtp::{DtlsRole, ReceiveContext, SendContext, SrtpKeyPair, SrtpLimits, SrtpProfile};
use viaduct_rtp::{Kind, Tick, classify};
use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, Method, TransactionId};

use super::PATIENCE;
use super::phone::media_of;

/// How soon a check is repeated, and timers are looked at.
const STEP: Duration = Duration::from_millis(20);

const UFRAG: &str = "brwsr";
const PASSWORD: &str = "password-of-the-browser";

/// One browser.
pub(crate) struct Browser {
    pub(crate) socket: UdpSocket,
    ssrc: u32,
    /// What it offers about the handshake, when it has no ICE.
    carrier: Option<&'static str>,
    certificate: DtlsCertificate,
    /// Where the relay's one candidate is.
    pub(crate) relay: SocketAddr,
    srtp: Option<(SendContext, ReceiveContext)>,
}

impl Browser {
    /// At an address, with a source number of its own.
    pub(crate) fn at(address: IpAddr, ssrc: u32) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let certificate = generate_self_signed_certificate().unwrap();
        Self {
            relay: socket.local_addr().unwrap(),
            socket,
            ssrc,
            carrier: None,
            certificate,
            srtp: None,
        }
    }

    /// A carrier that offers this role in the handshake.
    pub(crate) fn carrier_at(address: IpAddr, ssrc: u32, setup: &'static str) -> Self {
        Self {
            carrier: Some(setup),
            ..Self::at(address, ssrc)
        }
    }

    /// Whether it checks paths.
    pub(crate) fn has_ice(&self) -> bool {
        self.carrier.is_none()
    }

    /// What it offers.
    pub(crate) fn sdp(&self) -> String {
        let local = self.socket.local_addr().unwrap();
        let (ip, port) = (local.ip(), local.port());
        let fingerprint = format_fingerprint(&calculate_fingerprint(&self.certificate.certificate));
        if let Some(setup) = self.carrier {
            return format!(
                "v=0\r\no=- {} 2 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} UDP/TLS/RTP/SAVP \
                 8\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\na=rtcp-mux\r\na=rtpmap:8 \
                 PCMA/8000\r\n",
                self.ssrc
            );
        }
        format!(
            "v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio {port} UDP/TLS/RTP/SAVPF \
             8\r\nc=IN IP4 {ip}\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2122260223 {ip} {port} typ \
             host\r\na=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 \
             {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:8 PCMA/8000\r\n",
            self.ssrc
        )
    }

    /// Takes the relay's answer, and does what browsers do until there are keys.
    pub(crate) fn connect(&mut self, answer: &[u8]) {
        let answer = str::from_utf8(answer).unwrap();
        let value = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let ice = self.has_ice().then(|| {
            let candidate: Vec<&str> = value("a=candidate:").split(' ').collect();
            self.relay = SocketAddr::new(candidate[4].parse().unwrap(), candidate[5].parse().unwrap());
            let username = format!("{}:{UFRAG}", value("a=ice-ufrag:"));
            (username, IntegrityKey::short_term(value("a=ice-pwd:")))
        });
        if ice.is_none() {
            assert!(
                !answer.contains("a=candidate:") && !answer.contains("a=ice-"),
                "{answer}"
            );
            assert!(answer.contains(" UDP/TLS/RTP/SAVP "), "{answer}");
            self.relay = media_of(answer.as_bytes()).0;
        }
        let role = match value("a=setup:") {
            "active" => DtlsRole::Server,
            "passive" => DtlsRole::Client,
            other => panic!("a=setup:{other} in an answer"),
        };
        let config = Arc::new(dimpl::Config::builder().use_server_cookie(false).build().unwrap());
        let mut dtls = Dtls::new_12(config, self.certificate.clone(), Instant::now());
        dtls.set_active(role == DtlsRole::Client);
        let (mut checked, deadline) = (ice.is_none(), Instant::now() + PATIENCE);
        let mut buffer = [0; 4_096];
        self.socket.set_read_timeout(Some(STEP)).unwrap();
        while self.srtp.is_none() {
            assert!(Instant::now() < deadline, "no keys; checks succeed: {checked}");
            if let Some((username, key)) = &ice {
                self.check(username, key);
            }
            while let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
                match classify(&buffer[..len]) {
                    Kind::Stun => checked |= self.on_stun(&buffer[..len]),
                    Kind::Dtls => {
                        dtls.handle_timeout(Instant::now()).unwrap();
                        dtls.handle_packet(&buffer[..len]).unwrap();
                    }
                    other => panic!("{other:?} before there are keys"),
                }
                self.drive(&mut dtls, role);
            }
            if checked {
                dtls.handle_timeout(Instant::now()).unwrap();
                self.drive(&mut dtls, role);
            }
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Sends a connectivity check that nominates the path.
    fn check(&self, username: &str, key: &IntegrityKey) {
        let mut buffer = [0; 256];
        let transaction = TransactionId(rand::random());
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, transaction).unwrap();
        writer.username(username).unwrap();
        writer
            .priority(1_853_824_767)
            .unwrap()
            .use_candidate()
            .unwrap()
            .ice_controlling(7)
            .unwrap();
        writer.integrity(key).unwrap().fingerprint().unwrap();
        self.socket.send_to(writer.finish(), self.relay).unwrap();
    }

    /// Answers a check of the relay's. True for an answer to one of ours that is good.
    fn on_stun(&self, datagram: &[u8]) -> bool {
        let message = Message::parse(datagram).unwrap();
        if message.class() == Class::Request {
            let mut buffer = [0; 256];
            let transaction = message.transaction_id();
            let mut writer =
                MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, transaction).unwrap();
            writer.xor_mapped_address(self.relay).unwrap();
            writer
                .integrity(&IntegrityKey::short_term(PASSWORD))
                .unwrap()
                .fingerprint()
                .unwrap();
            self.socket.send_to(writer.finish(), self.relay).unwrap();
        }
        message.class() == Class::Success
    }

    fn drive(&mut self, dtls: &mut Dtls, role: DtlsRole) {
        let mut buffer = vec![0; 4_096];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Timeout(_) => break,
                Output::Packet(datagram) => drop(self.socket.send_to(datagram, self.relay).unwrap()),
                Output::KeyingMaterial(material, profile) => {
                    let profile = SrtpProfile::from_dtls_id(match profile {
                        dimpl::SrtpProfile::AES128_CM_SHA1_80 => 1,
                        dimpl::SrtpProfile::AEAD_AES_128_GCM => 7,
                        _ => 8,
                    });
                    let keys = SrtpKeyPair::from_dtls_exporter(profile.unwrap(), role, &material).unwrap();
                    let send = SendContext::new(&keys.send, SrtpLimits::default());
                    self.srtp = Some((send, ReceiveContext::new(&keys.receive, SrtpLimits::default())));
                }
                _ => {}
            }
        }
    }

    /// Sends a packet in its protection.
    pub(crate) fn send(&mut self, packet: &[u8]) {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 64, 0);
        let (send, _) = self.srtp.as_mut().unwrap();
        let len = match classify(packet) {
            Kind::Rtcp => send.protect_rtcp(Tick::ZERO, &mut buffer, packet.len()),
            _ => send.protect_rtp(Tick::ZERO, &mut buffer, packet.len()),
        };
        self.socket.send_to(&buffer[..len.unwrap()], self.relay).unwrap();
    }

    /// The next packet of media or report, out of its protection.
    pub(crate) fn hear(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4_096];
        loop {
            let (len, from) = self.socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, self.relay);
            let receive = &mut self.srtp.as_mut().unwrap().1;
            let opened = match classify(&buffer[..len]) {
                Kind::Rtcp => receive.unprotect_rtcp(Tick::ZERO, &mut buffer[..len]),
                Kind::Rtp => receive.unprotect_rtp(Tick::ZERO, &mut buffer[..len]),
                Kind::Stun => {
                    self.on_stun(&buffer[..len]);
                    continue;
                }
                // The end of the handshake.
                _ => continue,
            };
            return buffer[..opened.unwrap()].to_vec();
        }
    }

    /// An RTP packet of this browser, in the clear.
    pub(crate) fn packet(&self, sequence: u16) -> Vec<u8> {
        super::phone::packet(self.ssrc, sequence)
    }

    /// An empty receiver report of this browser, in the clear.
    pub(crate) fn report(&self) -> Vec<u8> {
        super::phone::report(self.ssrc)
    }
}
