//! The DTLS engine on the `dimpl` crate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::crypto::CryptoProvider;
use dimpl::{Dtls, DtlsCertificate, Error, Output};
use viaduct_dtls::Limits;
use viaduct_rtp::srtp::{DtlsRole, SrtpProfile};

use super::certificate::Certificate;
use super::engine::{DtlsEngine, DtlsEngines, DtlsOutput, PeerCertificates};
use super::loaded_key::LoadedKey;
use crate::config::DtlsVersion;
use crate::event::DtlsFailure;

/// Octets of the buffer that outputs are taken through; grows where a certificate is longer.
const BUFFER_LEN: usize = 2_048;

/// How often a flight is sent again, after a timeout or because the peer has repeated its own: more often than there is
/// time for with the limits as they are by themselves.
const FLIGHT_RETRIES: usize = 46;

/// How long the engine waits first, by its own clock. It doubles its waits without a bound: so often, and from so little, that
/// they stay below [`NEVER`].
const ENGINE_TIMEOUT: Duration = Duration::from_micros(1);

/// How long the engine lets a handshake take by its own clock: the longest that it takes as a setting.
const NEVER: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// When a server sends its last flight again unasked, where something was lost: up to the longest wait of a client that has
/// doubled its own since the beginning of the usual time for a handshake.
const LAST_FLIGHT_REPEATS: [Duration; 8] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1_500),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(12),
    Duration::from_secs(24),
];

/// The type of a record that holds an alert (RFC 5246 section 6.2.1).
const ALERT: u8 = 21;

/// Why there are no DTLS engines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The private key cannot be read.
    #[error("the private key is not usable: {0}")]
    PrivateKey(String),
    /// The settings do not fit each other.
    #[error("DTLS settings: {0}")]
    Settings(String),
}

/// Makes associations with `dimpl`: DTLS 1.2 or 1.3, ECDSA certificates on both sides.
///
/// The server's cookie exchange (RFC 6347 section 4.2.1) is off: datagrams only come from addresses that ICE has
/// validated, or that the peer's SDP names, so it would protect nobody and cost a round trip.
pub struct DimplEngines {
    config: Arc<dimpl::Config>,
    certificate: DtlsCertificate,
    version: DtlsVersion,
    waits: Waits,
}

/// How long what is waited for.
///
/// The second of RFC 6347 section 4.2.4.1 is for networks of which nothing is known, and allows less where callers wait: ICE
/// has just shown that the peer is reached, in a fraction of the first wait as a rule.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// How much of our time passes in a while of the engine's.
    pace: u32,
    longest: Duration,
    handshake: Duration,
}

impl Waits {
    fn of(limits: &Limits) -> Self {
        let pace = limits.first_timeout.as_nanos() / ENGINE_TIMEOUT.as_nanos();
        Self {
            pace: u32::try_from(pace).unwrap_or(u32::MAX),
            longest: limits.longest_timeout,
            handshake: limits.handshake,
        }
    }
}

impl std::fmt::Debug for DimplEngines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DimplEngines")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl DimplEngines {
    /// Engines with this certificate. `mtu` is the largest datagram in octets. Of the limits only the times count: the sizes
    /// are the library's own.
    ///
    /// # Errors
    /// The private key is not one that can sign.
    pub fn new(
        certificate: Certificate,
        mtu: usize,
        version: DtlsVersion,
        limits: &Limits,
    ) -> Result<Self, CertificateError> {
        let library = dimpl::crypto::aws_lc_rs::default_provider();
        let key = LoadedKey::load(library.key_provider, &certificate.private_key)
            .map_err(|error| CertificateError::PrivateKey(error.to_string()))?;
        let config = dimpl::Config::builder()
            .with_crypto_provider(CryptoProvider {
                // The library wants it for as long as the program runs, which is as long as its relay does.
                key_provider: Box::leak(Box::new(key)),
                ..library
            })
            .mtu(mtu)
            .use_server_cookie(false)
            .flight_start_rto(ENGINE_TIMEOUT)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(NEVER)
            .build()
            .map_err(|error| CertificateError::Settings(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
            certificate: DtlsCertificate {
                certificate: certificate.certificate,
                private_key: certificate.private_key,
            },
            version,
            waits: Waits::of(limits),
        })
    }
}

impl DtlsEngines for DimplEngines {
    /// A peer with another certificate than ECDSA is refused.
    fn start(&self, role: DtlsRole, _peer: PeerCertificates, now: Instant) -> Box<dyn DtlsEngine> {
        let (config, certificate) = (Arc::clone(&self.config), self.certificate.clone());
        let mut dtls = match self.version {
            DtlsVersion::V1_2 => Dtls::new_12(config, certificate, now),
            DtlsVersion::Auto => Dtls::new_auto(config, certificate, now),
        };
        dtls.set_active(role == DtlsRole::Client);
        Box::new(DimplEngine {
            dtls,
            role,
            clock: now,
            wakes_at: now,
            due: None,
            deadline: Some(now + self.waits.handshake),
            waits: self.waits,
            outputs: VecDeque::new(),
            repeats: 0,
            last_flight: Vec::new(),
            last_flight_due: VecDeque::new(),
        })
    }
}

/// One association.
///
/// The engine doubles its waits without a bound, so that where much is lost a handshake may stand still for longer than
/// anybody waits. Its clock is therefore not ours: it stands still, and is put forward to the end of a wait when so
/// many times as long, or the longest wait, has passed for us.
#[derive(Debug)]
struct DimplEngine {
    dtls: Dtls,
    role: DtlsRole,
    waits: Waits,
    /// What the engine takes for the time.
    clock: Instant,
    /// When it wants to be called, by that clock.
    wakes_at: Instant,
    /// When it is called; `None` before it has said when.
    due: Option<Instant>,
    /// When the handshake has taken too long; `None` once it is over.
    deadline: Option<Instant>,
    outputs: VecDeque<DtlsOutput>,
    /// How often a wait of the handshake was over in vain, or the peer's, when ours was over.
    repeats: u32,
    /// A server's last flight. The client waits for it, and only what the client repeats makes the engine repeat it; the
    /// client may have doubled its wait often by then. The same datagram once more is what networks do as well.
    last_flight: Vec<Vec<u8>>,
    last_flight_due: VecDeque<Instant>,
}

impl DimplEngine {
    /// Takes everything out, up to the time of the next call.
    fn drain(&mut self, now: Instant) -> Result<(), DtlsFailure> {
        let mut buffer = vec![0; BUFFER_LEN];
        let first = self.outputs.len();
        loop {
            let output = match self.dtls.poll_output(&mut buffer) {
                Output::Timeout(at) => {
                    if self.due.is_none() || at != self.wakes_at {
                        let wait = at.saturating_duration_since(self.clock);
                        self.due = Some(match self.deadline {
                            Some(_) => now + wait.saturating_mul(self.waits.pace).min(self.waits.longest),
                            None => now + wait,
                        });
                        self.wakes_at = at;
                    }
                    return Ok(());
                }
                Output::BufferTooSmall { needed } => {
                    buffer.resize(needed, 0);
                    continue;
                }
                Output::Packet(datagram) => DtlsOutput::Send(datagram.to_vec()),
                Output::PeerCert(der) => DtlsOutput::PeerCertificate(der.to_vec()),
                Output::KeyingMaterial(material, profile) => DtlsOutput::Keys {
                    profile: srtp_profile(profile).ok_or(DtlsFailure::NoSrtpProfile)?,
                    material: material.to_vec(),
                },
                Output::Connected => {
                    self.deadline = None;
                    self.keep_last_flight(now, first);
                    DtlsOutput::Connected
                }
                Output::CloseNotify => DtlsOutput::Closed,
                // Data beside SRTP would be SCTP: data channels are not relayed.
                _ => continue,
            };
            self.outputs.push_back(output);
        }
    }

    /// What was sent since `first`, at the end of a handshake or after it, may be sent again if there was need of that: the
    /// engine repeats its last flight only where it was not received.
    fn keep_last_flight(&mut self, now: Instant, first: usize) {
        if self.role == DtlsRole::Client || self.repeats == 0 {
            return;
        }
        let sent = self.outputs.range(first..).filter_map(|output| match output {
            DtlsOutput::Send(datagram) if datagram.first() != Some(&ALERT) => Some(datagram.clone()),
            _ => None,
        });
        let sent: Vec<_> = sent.collect();
        if !sent.is_empty() {
            self.last_flight = sent;
            self.last_flight_due = LAST_FLIGHT_REPEATS.iter().map(|after| now + *after).collect();
        }
    }

    fn repeat_last_flight(&mut self, now: Instant) {
        while self.last_flight_due.pop_front_if(|at| *at <= now).is_some() {
            let again = self.last_flight.iter().cloned().map(DtlsOutput::Send);
            self.outputs.extend(again);
        }
        if self.last_flight_due.is_empty() {
            self.last_flight = Vec::new();
        }
    }
}

impl DtlsEngine for DimplEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DtlsFailure> {
        self.handle_timeout(now)?;
        let (over, first) = (self.deadline.is_none(), self.outputs.len());
        let result = self.dtls.handle_packet(datagram);
        // A fatal alert may be waiting to be sent.
        self.drain(now)?;
        if over && self.outputs.len() > first {
            self.repeats += 1;
            self.keep_last_flight(now, first);
        }
        result.map_err(|error| failure(&error))
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsFailure> {
        if self.deadline.is_some_and(|at| at <= now) {
            return Err(DtlsFailure::TimedOut);
        }
        if self.due.is_some_and(|at| at <= now) {
            self.clock = self.clock.max(self.wakes_at);
            self.due = None;
            self.repeats += u32::from(self.deadline.is_some());
        }
        self.repeat_last_flight(now);
        let result = self.dtls.handle_timeout(self.clock);
        self.drain(now)?;
        result.map_err(|error| failure(&error))
    }

    fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let repeat = self.last_flight_due.front().copied();
        [self.due, self.deadline, repeat].into_iter().flatten().min()
    }
}

fn failure(error: &Error) -> DtlsFailure {
    match error {
        Error::Timeout(_) => DtlsFailure::TimedOut,
        other => DtlsFailure::Protocol(other.to_string()),
    }
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines(now: Instant) -> [Box<dyn DtlsEngine>; 2] {
        [DtlsRole::Client, DtlsRole::Server].map(|role| {
            let made = dimpl::certificate::generate_self_signed_certificate().unwrap();
            let certificate = Certificate {
                certificate: made.certificate,
                private_key: made.private_key,
            };
            let engines = DimplEngines::new(certificate, 1_200, DtlsVersion::V1_2, &Limits::default());
            engines.unwrap().start(role, PeerCertificates::Any, now)
        })
    }

    /// What it sends, and whether it says that it is connected.
    fn outputs(engine: &mut dyn DtlsEngine) -> (Vec<Vec<u8>>, bool) {
        let outputs: Vec<_> = std::iter::from_fn(|| engine.poll_output()).collect();
        let connected = outputs.contains(&DtlsOutput::Connected);
        let sent = outputs.into_iter().filter_map(|output| match output {
            DtlsOutput::Send(datagram) => Some(datagram),
            _ => None,
        });
        (sent.collect(), connected)
    }

    /// One whose client doubles its waits is asked seldom, and each of its answers may be lost.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's base instant")]
    fn a_server_that_was_asked_after_the_end_repeats_its_last_flight_unasked() {
        let now = Instant::now();
        let [mut client, mut server] = engines(now);
        client.handle_timeout(now).unwrap();
        loop {
            for datagram in outputs(&mut *client).0 {
                server.handle_datagram(now, &datagram).unwrap();
            }
            let (answer, connected) = outputs(&mut *server);
            if connected {
                break;
            }
            for datagram in answer {
                client.handle_datagram(now, &datagram).unwrap();
            }
        }
        assert!(
            server
                .poll_timeout()
                .is_none_or(|at| at > now + Duration::from_secs(3_600))
        );

        // The end was lost: the client asks again, and the answer to that is lost as well.
        let now = client.poll_timeout().unwrap();
        client.handle_timeout(now).unwrap();
        for datagram in outputs(&mut *client).0 {
            server.handle_datagram(now, &datagram).unwrap();
        }
        assert!(!outputs(&mut *server).0.is_empty());
        let mut last = Vec::new();
        for after in LAST_FLIGHT_REPEATS {
            server.handle_timeout(now + after).unwrap();
            last = outputs(&mut *server).0;
            assert!(!last.is_empty(), "after {after:?}");
        }
        for datagram in &last {
            client.handle_datagram(now, datagram).unwrap();
        }
        assert!(outputs(&mut *client).1);
    }
}
