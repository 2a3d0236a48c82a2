//! The DTLS engine on `viaduct-dtls`, for peers with certificates of any kind.

use std::sync::Arc;
use std::time::Instant;

use viaduct_dtls::{Config, Endpoint, Error, LimitHits, Limits, Output, Role, SrtpProtection};
use viaduct_rtp::srtp::{DtlsRole, SrtpProfile};

use super::certificate::Certificate;
use super::dimpl_engine::CertificateError;
use super::engine::{DtlsEngine, DtlsOutput};
use crate::event::DtlsFailure;

/// Makes associations of DTLS 1.2.
#[derive(Debug)]
pub(super) struct AnyEngines(Arc<Config>);

impl AnyEngines {
    pub(super) fn new(
        certificate: &Certificate,
        mtu: usize,
        limits: &Limits,
    ) -> Result<Self, CertificateError> {
        let der = certificate.certificate.clone();
        let config = Config::new(der, &certificate.private_key, mtu, *limits)
            .map_err(|error| CertificateError::Settings(error.to_string()))?;
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn start(&self, role: DtlsRole, now: Instant) -> Box<dyn DtlsEngine> {
        let role = match role {
            DtlsRole::Client => Role::Client,
            DtlsRole::Server => Role::Server,
        };
        Box::new(AnyEngine(Endpoint::new(Arc::clone(&self.0), role, now)))
    }
}

/// One association.
#[derive(Debug)]
struct AnyEngine(Endpoint);

impl DtlsEngine for AnyEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DtlsFailure> {
        self.0.handle_datagram(now, datagram).map_err(failure)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsFailure> {
        self.0.handle_timeout(now).map_err(failure)
    }

    fn poll_output(&mut self) -> Option<DtlsOutput> {
        Some(match self.0.poll_output()? {
            Output::Send(datagram) => DtlsOutput::Send(datagram),
            Output::PeerCertificate(der) => DtlsOutput::PeerCertificate(der),
            Output::Keys(profile, material) => DtlsOutput::Keys {
                profile: srtp_profile(profile),
                material,
            },
            Output::Connected => DtlsOutput::Connected,
            Output::Closed => DtlsOutput::Closed,
        })
    }

    fn take_limit_hits(&mut self) -> LimitHits {
        self.0.take_limit_hits()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }
}

fn failure(error: Error) -> DtlsFailure {
    match error {
        Error::TimedOut => DtlsFailure::TimedOut,
        Error::NoSrtpProfile => DtlsFailure::NoSrtpProfile,
        other => DtlsFailure::Protocol(other.to_string()),
    }
}

fn srtp_profile(profile: SrtpProtection) -> SrtpProfile {
    match profile {
        SrtpProtection::Aes128CmSha1_80 => SrtpProfile::Aes128CmSha1_80,
        SrtpProtection::AeadAes128Gcm => SrtpProfile::AeadAes128Gcm,
        SrtpProtection::AeadAes256Gcm => SrtpProfile::AeadAes256Gcm,
    }
}
