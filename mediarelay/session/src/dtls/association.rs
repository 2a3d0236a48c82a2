//! One DTLS association and what became of it.

use std::collections::VecDeque;
use std::time::Instant;

use viaduct_dtls::LimitHits as DtlsLimitHits;
use viaduct_rtp::srtp::{DtlsRole, SrtpKeyPair, SrtpProfile};
use viaduct_sdp::Fingerprint;

use super::certificate::is_named;
use super::engine::{DtlsEngine, DtlsEngines, DtlsOutput, PeerCertificates};
use crate::event::DtlsFailure;

/// What an association wants or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Send this to the peer.
    Send(Vec<u8>),
    /// The handshake is over, the certificate is right, and the keys are there.
    Verified(SrtpProfile),
    /// It is over, without keys.
    Failed(DtlsFailure),
    /// The peer has closed it.
    Closed,
}

/// One association.
///
/// `unverified` has the keys of a finished handshake; they become `keys` when the certificate was compared.
#[derive(Debug)]
pub(crate) struct Association {
    role: DtlsRole,
    /// What the engine in use was made for.
    peer: PeerCertificates,
    /// What an engine that was given up has left to be sent.
    left: VecDeque<Vec<u8>>,
    /// `None` once it has failed.
    engine: Option<Box<dyn DtlsEngine>>,
    certificate: Option<Vec<u8>>,
    unverified: Option<SrtpKeyPair>,
    connected: bool,
    keys: Option<SrtpKeyPair>,
    failure: Option<DtlsFailure>,
    failure_told: bool,
}

impl Association {
    pub(super) fn new(
        role: DtlsRole,
        peer: PeerCertificates,
        now: Instant,
        engines: &dyn DtlsEngines,
    ) -> Self {
        Self {
            role,
            peer,
            left: VecDeque::new(),
            engine: Some(engines.start(role, peer, now)),
            certificate: None,
            unverified: None,
            connected: false,
            keys: None,
            failure: None,
            failure_told: false,
        }
    }

    /// The keys, if the peer is who its SDP says.
    pub(crate) fn keys(&self) -> Option<&SrtpKeyPair> {
        self.keys.as_ref()
    }

    /// Why there will be no keys.
    pub(crate) fn failure(&self) -> Option<&DtlsFailure> {
        self.failure.as_ref()
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8], engines: &dyn DtlsEngines) {
        let handled = self
            .engine
            .as_mut()
            .map(|engine| engine.handle_datagram(now, datagram));
        match handled {
            Some(Err(DtlsFailure::Protocol(_)))
                if self.peer == PeerCertificates::Ecdsa && !self.connected && self.unverified.is_none() =>
            {
                self.begin_for_any_certificate(now, engines);
            }
            Some(Err(failure)) => self.fail(failure),
            Some(Ok(())) | None => {}
        }
    }

    /// Peer or engine refused the other: a peer with RSA is a likely reason, so it is tried once more with an engine that
    /// knows both. A server that listens on, or a client that begins anew, is met by it.
    fn begin_for_any_certificate(&mut self, now: Instant, engines: &dyn DtlsEngines) {
        while let Some(output) = self.engine.as_mut().and_then(|engine| engine.poll_output()) {
            if let DtlsOutput::Send(datagram) = output {
                self.left.push_back(datagram);
            }
        }
        self.certificate = None;
        self.peer = PeerCertificates::Any;
        self.engine = Some(engines.start(self.role, self.peer, now));
        if self.role == DtlsRole::Client {
            self.handle_timeout(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(Err(failure)) = self.engine.as_mut().map(|engine| engine.handle_timeout(now)) {
            self.fail(failure);
        }
    }

    pub(super) fn take_limit_hits(&mut self) -> DtlsLimitHits {
        let engine = self.engine.as_mut();
        engine.map(|engine| engine.take_limit_hits()).unwrap_or_default()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.engine.as_ref()?.poll_timeout()
    }

    /// What is still to be sent is kept: an alert may be among it.
    pub(super) fn fail(&mut self, failure: DtlsFailure) {
        // Keys outlive what happens to the association later: an alert at the end does not end SRTP.
        if self.keys.is_none() {
            self.failure.get_or_insert(failure);
        }
        self.unverified = None;
    }

    /// `fingerprints` are those of the peer's SDP; `None` while it has not come.
    pub(super) fn poll(&mut self, fingerprints: Option<&[Fingerprint]>) -> Option<Progress> {
        if let Some(datagram) = self.left.pop_front() {
            return Some(Progress::Send(datagram));
        }
        while let Some(output) = self.engine.as_mut().and_then(|engine| engine.poll_output()) {
            match output {
                DtlsOutput::Send(mut datagram) => {
                    name_first_version(&mut datagram);
                    return Some(Progress::Send(datagram));
                }
                DtlsOutput::Closed => return Some(Progress::Closed),
                DtlsOutput::PeerCertificate(der) => self.certificate = Some(der),
                DtlsOutput::Connected => self.connected = true,
                DtlsOutput::Keys { profile, material } => {
                    match SrtpKeyPair::from_dtls_exporter(profile, self.role, &material) {
                        Ok(keys) => self.unverified = Some(keys),
                        Err(_) => self.fail(DtlsFailure::NoSrtpProfile),
                    }
                }
            }
        }
        if self.connected && self.unverified.is_none() && self.keys.is_none() {
            self.fail(DtlsFailure::NoSrtpProfile);
        }
        if self.failure.is_some() {
            self.engine = None;
            let told = std::mem::replace(&mut self.failure_told, true);
            return self.failure.clone().filter(|_| !told).map(Progress::Failed);
        }
        self.verify(fingerprints?)
    }

    fn verify(&mut self, fingerprints: &[Fingerprint]) -> Option<Progress> {
        if !self.connected {
            return None;
        }
        let keys = self.unverified.take()?;
        if !self
            .certificate
            .as_deref()
            .is_some_and(|der| is_named(der, fingerprints))
        {
            self.fail(DtlsFailure::WrongFingerprint);
            return self.poll(Some(fingerprints));
        }
        let profile = keys.send.profile();
        self.keys = Some(keys);
        Some(Progress::Verified(profile))
    }
}

/// Puts the version of DTLS 1.0 into the record of a ClientHello, where the version that is spoken has not been agreed on: what
/// OpenSSL does, and what the appendix on earlier versions asks of TLS clients (RFC 5246 appendix E.1). Nothing is computed
/// over it.
fn name_first_version(datagram: &mut [u8]) {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    // Type, version, epoch 0, sequence number and length; then the message.
    if let [
        HANDSHAKE,
        254,
        minor,
        0,
        0,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        CLIENT_HELLO,
        ..,
    ] = datagram
    {
        *minor = 255;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hello_names_the_first_version_and_nothing_else_does() {
        let record = |kind: u8, epoch: u8, message: u8| {
            vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, 12, message, 0, 0]
        };
        for (mut datagram, minor) in [
            (record(22, 0, 1), 255),
            (record(22, 0, 16), 253),
            (record(22, 1, 1), 253),
            (record(20, 0, 1), 253),
        ] {
            name_first_version(&mut datagram);
            assert_eq!(datagram[..3], [datagram[0], 254, minor]);
        }
        name_first_version(&mut []);
    }
}
