//! The DTLS engine on the `dimpl` crate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Error, Output};
use viaduct_rtp::srtp::{DtlsRole, SrtpProfile};

use super::certificate::Certificate;
use super::engine::{DtlsEngine, DtlsEngines, DtlsOutput, PeerCertificates};
use crate::config::DtlsVersion;
use crate::event::DtlsFailure;

/// Octets of the buffer that outputs are taken through; grows where a certificate is longer.
const BUFFER_LEN: usize = 2_048;

/// How long the peer's next flight is waited for before ours is sent again; each time twice as long. The second of RFC 6347
/// section 4.2.4.1 is for networks of which nothing is known, and allows less where callers wait: ICE has just shown that the
/// peer is reached, in a fraction of this as a rule.
const FLIGHT_TIMEOUT: Duration = Duration::from_millis(100);

/// How often a flight is sent again, after a timeout or because the peer has repeated its own. Where many datagrams are lost
/// a patient peer repeats often, so this is no bound that a handshake should meet before [`HANDSHAKE_TIMEOUT`].
const FLIGHT_RETRIES: usize = 20;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(40);

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
}

impl std::fmt::Debug for DimplEngines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DimplEngines")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl DimplEngines {
    /// Engines with this certificate. `mtu` is the largest datagram in octets.
    ///
    /// # Errors
    /// The private key is not one that can sign.
    pub fn new(certificate: Certificate, mtu: usize, version: DtlsVersion) -> Result<Self, CertificateError> {
        let config = dimpl::Config::builder()
            .mtu(mtu)
            .use_server_cookie(false)
            .flight_start_rto(FLIGHT_TIMEOUT)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|error| CertificateError::Settings(error.to_string()))?;
        config
            .crypto_provider()
            .key_provider
            .load_private_key(&certificate.private_key)
            .map_err(|error| CertificateError::PrivateKey(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
            certificate: DtlsCertificate {
                certificate: certificate.certificate,
                private_key: certificate.private_key,
            },
            version,
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
            outputs: VecDeque::new(),
            timeout: None,
        })
    }
}

/// One association.
#[derive(Debug)]
struct DimplEngine {
    dtls: Dtls,
    outputs: VecDeque<DtlsOutput>,
    timeout: Option<Instant>,
}

impl DimplEngine {
    /// Takes everything out, up to the time of the next call.
    fn drain(&mut self) -> Result<(), DtlsFailure> {
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            let output = match self.dtls.poll_output(&mut buffer) {
                Output::Timeout(at) => {
                    self.timeout = Some(at);
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
                Output::Connected => DtlsOutput::Connected,
                Output::CloseNotify => DtlsOutput::Closed,
                // Data beside SRTP would be SCTP: data channels are not relayed.
                _ => continue,
            };
            self.outputs.push_back(output);
        }
    }
}

impl DtlsEngine for DimplEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DtlsFailure> {
        // The engine's clock must stand at `now` before it sees a datagram.
        self.handle_timeout(now)?;
        let result = self.dtls.handle_packet(datagram);
        // A fatal alert may be waiting to be sent.
        self.drain()?;
        result.map_err(|error| failure(&error))
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsFailure> {
        let result = self.dtls.handle_timeout(now);
        self.drain()?;
        result.map_err(|error| failure(&error))
    }

    fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
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
