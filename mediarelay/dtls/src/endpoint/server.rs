//! The side that the peer begins with.

use std::time::Instant;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use super::handshake::{Expect, Handshake};
use super::{Endpoint, Output};
use crate::crypto::{GROUPS, KeyShare, SUITES};
use crate::error::Error;
use crate::messages::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ClientHello,
    FINISHED, HELLO_VERIFY_REQUEST, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, ServerHello,
    Signed, read_certificate, read_client_key, write_certificate, write_certificate_request, write_cookie,
    write_parameters,
};
use crate::reassembly::{Message, Reassembly};
use crate::signature::{self, ECDSA_SHA256};
use crate::x509::PublicKey;

impl Endpoint {
    /// Whether no client has shown yet that it receives what we send to it.
    pub(super) fn awaits_hello(&self) -> bool {
        let handshake = self.handshake.as_ref();
        handshake.is_some_and(|handshake| handshake.expect == Expect::ClientHello)
    }

    /// A record came while nobody has begun. A whole ClientHello without our cookie is answered with one, and nothing is kept
    /// of it, so that one that was forged does not stand in the way of another (RFC 6347 section 4.2.1). With the cookie, it
    /// takes the place of all that came before.
    pub(super) fn admit(&mut self, record: &[u8]) -> Result<bool, Error> {
        let whole = Reassembly::whole(0, record).filter(|(_, message)| message.kind == CLIENT_HELLO);
        let Some((sequence, message)) = whole else {
            // A part of one, which is put together with the others first.
            return Ok(true);
        };
        // Anybody can write such a thing.
        let Ok(hello) = ClientHello::read(message.body()) else {
            return Ok(false);
        };
        let Some(mut handshake) = self.handshake.take() else {
            return Ok(false);
        };
        let is_known = handshake.knows_cookie(&hello);
        if is_known {
            self.incoming.begin_at(sequence);
            self.sender.begin_at(sequence);
        } else {
            let cookie = write_cookie(handshake.make_cookie(&hello)?.as_ref());
            self.sender
                .send_once(&mut self.outputs, HELLO_VERIFY_REQUEST, sequence, &cookie)?;
        }
        self.handshake = Some(handshake);
        Ok(is_known)
    }

    /// True once the handshake is over.
    pub(super) fn handle_as_server(
        &mut self,
        now: Instant,
        handshake: &mut Handshake,
        before: usize,
        message: &Message,
    ) -> Result<bool, Error> {
        let body = message.body();
        match (handshake.expect, message.kind) {
            (Expect::ClientHello, CLIENT_HELLO) => {
                let hello = ClientHello::read(body)?;
                if !handshake.knows_cookie(&hello) {
                    // It came in parts.
                    let cookie = write_cookie(handshake.make_cookie(&hello)?.as_ref());
                    handshake.transcript.clear();
                    self.sender.begin_flight();
                    self.sender.push(HELLO_VERIFY_REQUEST, &cookie);
                    self.send_next_flight(now)?;
                    return Ok(false);
                }
                self.answer_hello(handshake, &hello)?;
                handshake.expect = Expect::Certificate;
                self.send_next_flight(now)?;
            }
            (Expect::Certificate, CERTIFICATE) => {
                let certificate = read_certificate(body)?.to_vec();
                PublicKey::of(&certificate)?;
                self.outputs
                    .push_back(Output::PeerCertificate(certificate.clone()));
                handshake.peer_certificate = certificate;
                handshake.expect = Expect::ClientKeyExchange;
            }
            (Expect::ClientKeyExchange, CLIENT_KEY_EXCHANGE) => {
                let share = handshake.share.take().ok_or(Error::Internal)?;
                let protections = handshake.derive(&share.agree(read_client_key(body)?)?)?;
                handshake.protections = Some(protections);
                handshake.expect = Expect::CertificateVerify;
            }
            (Expect::CertificateVerify, CERTIFICATE_VERIFY) => {
                let signed = Signed::read(body)?;
                let transcript = &handshake.transcript[..before];
                signature::verify(
                    &handshake.peer_certificate,
                    signed.scheme,
                    transcript,
                    signed.signature,
                )?;
                let protections = handshake.protections.take().ok_or(Error::Internal)?;
                self.protection = Some(protections.client);
                handshake.answer_protection = Some(protections.server);
                handshake.expect = Expect::Finished;
            }
            (Expect::Finished, FINISHED) => {
                handshake.check_finished(message, before)?;
                self.answer_finished(now, handshake)?;
                return Ok(true);
            }
            (_, kind) => return Err(Error::Unexpected(kind)),
        }
        Ok(false)
    }

    /// Chooses, and sends everything up to ServerHelloDone.
    fn answer_hello(&mut self, handshake: &mut Handshake, hello: &ClientHello) -> Result<(), Error> {
        if !hello.extended_master_secret {
            return Err(Error::NothingInCommon("extended master secret"));
        }
        if !hello.schemes.contains(&ECDSA_SHA256) {
            return Err(Error::NothingInCommon("signature scheme of our certificate"));
        }
        let mut suites = SUITES.into_iter().filter(|suite| !suite.rsa);
        let suite = suites.find(|suite| hello.suites.contains(&suite.id));
        let suite = suite.ok_or(Error::NothingInCommon("cipher suite"))?;
        let group = GROUPS.into_iter().find(|group| hello.groups.contains(group));
        let share = KeyShare::new(group.ok_or(Error::NothingInCommon("group"))?)?;
        let srtp = hello.srtp()?;
        handshake.client_random = hello.random;
        aws_lc_rs::rand::fill(&mut handshake.server_random)?;
        handshake.suite = Some(suite);
        handshake.srtp = Some(srtp);
        let answer = ServerHello {
            random: handshake.server_random,
            suite: suite.id,
            srtp,
        };
        self.sender.begin_flight();
        self.push(handshake, SERVER_HELLO, &answer.write(hello.secure_renegotiation));
        let certificate = write_certificate(&self.config.certificate);
        self.push(handshake, CERTIFICATE, &certificate);
        let exchange = self.sign_share(handshake, &share)?;
        self.push(handshake, SERVER_KEY_EXCHANGE, &exchange);
        self.push(handshake, CERTIFICATE_REQUEST, &write_certificate_request());
        self.push(handshake, SERVER_HELLO_DONE, &[]);
        handshake.share = Some(share);
        Ok(())
    }

    /// A ServerKeyExchange.
    fn sign_share(&self, handshake: &Handshake, share: &KeyShare) -> Result<Vec<u8>, Error> {
        let mut body = write_parameters(share.group(), share.public());
        let message = [&handshake.client_random[..], &handshake.server_random, &body].concat();
        let signature = self.config.key.sign(&SystemRandom::new(), &message)?;
        Signed {
            scheme: ECDSA_SHA256,
            signature: signature.as_ref(),
        }
        .write(&mut body);
        Ok(body)
    }

    /// Sends our Finished, which is kept for a client that repeats its own.
    fn answer_finished(&mut self, now: Instant, handshake: &mut Handshake) -> Result<(), Error> {
        let protection = handshake.answer_protection.take().ok_or(Error::Internal)?;
        self.sender.begin_flight();
        self.sender.change_cipher_spec(protection);
        self.push_finished(handshake)?;
        self.send_next_flight(now)?;
        self.finish(handshake)
    }
}

impl Handshake {
    /// What a client must show to have its hello answered: it follows from the hello's random number.
    fn make_cookie(&mut self, hello: &ClientHello) -> Result<hmac::Tag, Error> {
        let key = match &mut self.cookie_key {
            Some(key) => key,
            none => none.insert(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?),
        };
        Ok(hmac::sign(key, &hello.random))
    }

    fn knows_cookie(&self, hello: &ClientHello) -> bool {
        let key = self.cookie_key.as_ref();
        key.is_some_and(|key| hmac::verify(key, &hello.random, &hello.cookie).is_ok())
    }
}
