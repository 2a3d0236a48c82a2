//! A browser before it talks: it checks the path to the relay (ICE) and shakes hands (DTLS), and has keys then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use dimpl::{Dtls, Output};
use mio::net::UdpSocket;
use viaduct_rtp::srtp::{DtlsRole, SrtpKeyPair, SrtpProfile};
use viaduct_rtp::{Kind, classify};
use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, Method, TransactionId};

use super::{DATAGRAM_MAX, received};
use crate::media::{BROWSER_PASSWORD, BROWSER_UFRAG, Crypto, certificate};

/// How long a browser tries.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a check is repeated.
const REPEAT: Duration = Duration::from_millis(50);

/// What the relay's SDP says about the way to it.
#[derive(Debug)]
struct Way {
    relay: SocketAddr,
    username: String,
    key: IntegrityKey,
    role: DtlsRole,
}

impl Way {
    fn read(sdp: &[u8]) -> anyhow::Result<Self> {
        let sdp = str::from_utf8(sdp)?;
        let value = |name: &str| {
            let mut lines = sdp.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .with_context(|| format!("no {name} in the relay's SDP:\n{sdp}"))
        };
        let mut candidate = value("a=candidate:")?.split(' ').skip(4);
        let (ip, port) = (candidate.next(), candidate.next());
        let (Some(ip), Some(port)) = (ip, port) else {
            bail!("a candidate without an address:\n{sdp}");
        };
        Ok(Self {
            relay: SocketAddr::new(ip.parse()?, port.parse()?),
            username: format!("{}:{BROWSER_UFRAG}", value("a=ice-ufrag:")?),
            key: IntegrityKey::short_term(value("a=ice-pwd:")?),
            role: match value("a=setup:")? {
                "active" => DtlsRole::Server,
                "passive" => DtlsRole::Client,
                other => bail!("a=setup:{other} in an answer"),
            },
        })
    }
}

/// Does at `socket`, which never waits, what browsers do between the relay's answer and the first packet: where the relay is,
/// and the keys.
///
/// # Errors
/// The answer is not one for a browser, or there are no keys in time.
pub(super) fn shake_hands(socket: &UdpSocket, answer: &[u8]) -> anyhow::Result<(SocketAddr, Crypto)> {
    let way = Way::read(answer)?;
    let start = Instant::now();
    let config = dimpl::Config::builder().use_server_cookie(false).build()?;
    let mut dtls = Dtls::new_12(Arc::new(config), certificate()?.clone(), start);
    dtls.set_active(way.role == DtlsRole::Client);
    let (mut is_checked, mut next_check) = (false, start);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let now = Instant::now();
        ensure!(
            now < start + PATIENCE,
            "no keys in {PATIENCE:?}; checks succeed: {is_checked}"
        );
        if now >= next_check {
            next_check = now + REPEAT;
            if is_checked {
                dtls.handle_timeout(now)?;
            } else {
                socket.send_to(&check(&way)?, way.relay)?;
            }
        }
        while let Some((len, _)) = received(socket.recv_from(&mut buffer))? {
            match classify(&buffer[..len]) {
                Kind::Stun if is_request(&buffer[..len]) => {
                    if let Some(response) = response(&buffer[..len], way.relay) {
                        socket.send_to(&response, way.relay)?;
                    }
                }
                // Browsers begin with a handshake when a check has succeeded.
                Kind::Stun if !is_checked => {
                    is_checked = true;
                    dtls.handle_timeout(Instant::now())?;
                }
                Kind::Dtls => {
                    dtls.handle_timeout(Instant::now())?;
                    dtls.handle_packet(&buffer[..len])?;
                }
                _ => {}
            }
        }
        if let Some(crypto) = drive(&mut dtls, socket, &way)? {
            return Ok((way.relay, crypto));
        }
    }
}

/// Sends what the handshake has to say. The keys when there are any.
fn drive(dtls: &mut Dtls, socket: &UdpSocket, way: &Way) -> anyhow::Result<Option<Crypto>> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut crypto = None;
    loop {
        match dtls.poll_output(&mut buffer) {
            Output::Timeout(_) => return Ok(crypto),
            Output::Packet(datagram) => drop(socket.send_to(datagram, way.relay)?),
            Output::KeyingMaterial(material, profile) => {
                let profile = match profile {
                    dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
                    dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
                    _ => SrtpProfile::Aes128CmSha1_80,
                };
                let keys = SrtpKeyPair::from_dtls_exporter(profile, way.role, &material)?;
                crypto = Some(Crypto::new(&keys.send, &keys.receive));
            }
            _ => {}
        }
    }
}

/// A connectivity check that nominates the only path (RFC 8445, section 8.1.1).
fn check(way: &Way) -> anyhow::Result<Vec<u8>> {
    let mut buffer = [0; 256];
    // Each browser has an address of its own and asks again and again: one transaction is enough.
    let transaction = TransactionId([7; 12]);
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, transaction)?;
    writer.username(&way.username)?.priority(1_853_824_767)?;
    writer.use_candidate()?.ice_controlling(7)?;
    writer.integrity(&way.key)?.fingerprint()?;
    Ok(writer.finish().to_vec())
}

fn is_request(datagram: &[u8]) -> bool {
    Message::parse(datagram).is_ok_and(|message| message.class() == Class::Request)
}

/// The answer to a check of a relay with full ICE. `None` to what is none.
pub(super) fn response(datagram: &[u8], relay: SocketAddr) -> Option<Vec<u8>> {
    let message = Message::parse(datagram).ok()?;
    if message.class() != Class::Request {
        return None;
    }
    let mut buffer = [0; 256];
    let transaction = message.transaction_id();
    let mut writer = MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, transaction).ok()?;
    writer.xor_mapped_address(relay).ok()?;
    let key = IntegrityKey::short_term(BROWSER_PASSWORD);
    writer.integrity(&key).ok()?.fingerprint().ok()?;
    Some(writer.finish().to_vec())
}
