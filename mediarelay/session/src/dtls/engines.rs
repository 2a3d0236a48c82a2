//! Which engine an association has.

use std::time::Instant;

use viaduct_rtp::srtp::DtlsRole;

use super::any_engine::AnyEngines;
use super::certificate::Certificate;
use super::dimpl_engine::{CertificateError, DimplEngines};
use super::engine::{DtlsEngine, DtlsEngines, PeerCertificates};
use crate::config::DtlsVersion;

/// Makes associations with the `dimpl` crate where peers have ECDSA certificates, as browsers do, and with
/// `viaduct-dtls` where they may have RSA.
///
/// `dimpl` speaks DTLS 1.3 as well and is what browsers are tried with, but as a client it offers no suite for a server
/// with RSA, and as a server it asks for no certificate with it.
#[derive(Debug)]
pub struct BothEngines {
    ecdsa: DimplEngines,
    any: AnyEngines,
}

impl BothEngines {
    /// Engines with this certificate. `mtu` is the largest datagram in octets, `version` that of peers with ECDSA. `limits` are
    /// those of `viaduct-dtls`.
    ///
    /// # Errors
    /// The private key is not one of ECDSA P-256, or the datagrams are too small.
    pub fn new(
        certificate: Certificate,
        mtu: usize,
        version: DtlsVersion,
        limits: &viaduct_dtls::Limits,
    ) -> Result<Self, CertificateError> {
        Ok(Self {
            any: AnyEngines::new(&certificate, mtu, limits)?,
            ecdsa: DimplEngines::new(certificate, mtu, version, limits)?,
        })
    }
}

impl DtlsEngines for BothEngines {
    fn start(&self, role: DtlsRole, peer: PeerCertificates, now: Instant) -> Box<dyn DtlsEngine> {
        match peer {
            PeerCertificates::Ecdsa => self.ecdsa.start(role, peer, now),
            PeerCertificates::Any => self.any.start(role, now),
        }
    }
}
