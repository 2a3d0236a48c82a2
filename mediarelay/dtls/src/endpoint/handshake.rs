//! What is known during a handshake, and forgotten afterwards.

use std::fmt;

use aws_lc_rs::hmac;

use super::{Endpoint, Output, Role};
use crate::crypto::{KeyShare, MASTER_LEN, Suite, VERIFY_LEN};
use crate::error::Error;
use crate::messages::{FINISHED, SrtpProtection};
use crate::reassembly::Message;
use crate::record::{Protection, SALT_LEN};

/// The message that must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    ClientHello,
    ServerHello,
    Certificate,
    ServerKeyExchange,
    /// Or CertificateRequest, once.
    ServerHelloDone,
    ClientKeyExchange,
    CertificateVerify,
    Finished,
}

/// What both randoms, the suite and the secrets are, as far as they are known. `Debug` does not show secrets.
pub(super) struct Handshake {
    pub(super) role: Role,
    pub(super) expect: Expect,
    /// All messages so far, each as if it had come in one piece.
    pub(super) transcript: Vec<u8>,
    pub(super) client_random: [u8; 32],
    pub(super) server_random: [u8; 32],
    pub(super) suite: Option<Suite>,
    pub(super) srtp: Option<SrtpProtection>,
    pub(super) peer_certificate: Vec<u8>,
    /// A HelloVerifyRequest came.
    pub(super) cookie: Option<Vec<u8>>,
    /// What our cookies are made with, as server. Another one for each association: who has a cookie of its own could use it
    /// elsewhere otherwise.
    pub(super) cookie_key: Option<hmac::Key>,
    /// The server wants our certificate.
    pub(super) certificate_requested: bool,
    /// Ours, as server.
    pub(super) share: Option<KeyShare>,
    /// The server's group and public value.
    pub(super) server_share: (u16, Vec<u8>),
    pub(super) master: [u8; MASTER_LEN],
    /// Derived, but not proved to be the client's: as server, until its CertificateVerify.
    pub(super) protections: Option<Protections>,
    /// Ours, as server, for our Finished.
    pub(super) answer_protection: Option<Protection>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("role", &self.role)
            .field("expect", &self.expect)
            .field("suite", &self.suite)
            .field("srtp", &self.srtp)
            .finish_non_exhaustive()
    }
}

/// Keys of both directions.
pub(super) struct Protections {
    pub(super) client: Protection,
    pub(super) server: Protection,
}

impl Handshake {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            expect: match role {
                Role::Client => Expect::ServerHello,
                Role::Server => Expect::ClientHello,
            },
            transcript: Vec::new(),
            client_random: [0; 32],
            server_random: [0; 32],
            suite: None,
            srtp: None,
            peer_certificate: Vec::new(),
            cookie: None,
            cookie_key: None,
            certificate_requested: false,
            share: None,
            server_share: (0, Vec::new()),
            master: [0; MASTER_LEN],
            protections: None,
            answer_protection: None,
        }
    }

    pub(super) fn suite(&self) -> Result<Suite, Error> {
        self.suite.ok_or(Error::Internal)
    }

    /// Derives the master secret (RFC 7627 section 4) from everything up to ClientKeyExchange, and the keys.
    pub(super) fn derive(&mut self, premaster: &[u8]) -> Result<Protections, Error> {
        let suite = self.suite()?;
        let session = suite.digest(&self.transcript);
        suite.prf(
            premaster,
            "extended master secret",
            &[session.as_ref()],
            &mut self.master,
        );
        let key_len = suite.aead().key_len();
        let mut block = vec![0; 2 * (key_len + SALT_LEN)];
        let seeds = [&self.server_random[..], &self.client_random];
        suite.prf(&self.master, "key expansion", &seeds, &mut block);
        let (keys, salts) = block.split_at(2 * key_len);
        let protection = |side: usize| {
            let salt = std::array::from_fn(|at| salts[side * SALT_LEN + at]);
            Protection::new(suite.aead(), &keys[side * key_len..][..key_len], salt)
        };
        Ok(Protections {
            client: protection(0)?,
            server: protection(1)?,
        })
    }

    /// `verify_data` of the side's Finished, which covers the transcript up to an end.
    fn verify_data(&self, of: Role, transcript: &[u8]) -> Result<[u8; VERIFY_LEN], Error> {
        let suite = self.suite()?;
        let label = match of {
            Role::Client => "client finished",
            Role::Server => "server finished",
        };
        let mut out = [0; VERIFY_LEN];
        suite.prf(
            &self.master,
            label,
            &[suite.digest(transcript).as_ref()],
            &mut out,
        );
        Ok(out)
    }

    /// Compares the peer's Finished; `before` are the octets of the transcript before it.
    pub(super) fn check_finished(&self, message: &Message, before: usize) -> Result<(), Error> {
        let peer = match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let expected = self.verify_data(peer, &self.transcript[..before])?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, message.body())
            .map_err(|_| Error::Forged)
    }

    /// The keying material for SRTP (RFC 5764 section 4.2, RFC 5705).
    fn material(&self) -> Result<(SrtpProtection, Vec<u8>), Error> {
        let srtp = self.srtp.ok_or(Error::NoSrtpProfile)?;
        let mut material = vec![0; srtp.material_len()];
        let seeds = [&self.client_random[..], &self.server_random];
        self.suite()?
            .prf(&self.master, "EXTRACTOR-dtls_srtp", &seeds, &mut material);
        Ok((srtp, material))
    }
}

impl Endpoint {
    /// Adds our Finished to the flight.
    pub(super) fn push_finished(&mut self, handshake: &mut Handshake) -> Result<(), Error> {
        let body = handshake.verify_data(handshake.role, &handshake.transcript)?;
        self.push(handshake, FINISHED, &body);
        Ok(())
    }

    /// Tells that it is done.
    pub(super) fn finish(&mut self, handshake: &Handshake) -> Result<(), Error> {
        let (srtp, material) = handshake.material()?;
        self.outputs.push_back(Output::Keys(srtp, material));
        self.outputs.push_back(Output::Connected);
        self.timers.repeat = None;
        Ok(())
    }

    /// A message is out of place, or in the wrong epoch: only Finished is protected.
    pub(super) fn check_epoch(message: &Message) -> Result<(), Error> {
        if message.epoch == u16::from(message.kind == FINISHED) {
            Ok(())
        } else {
            Err(Error::Unexpected(message.kind))
        }
    }
}
