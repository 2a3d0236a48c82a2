//! The side that begins.

use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;

use super::handshake::{Expect, Handshake};
use super::{Endpoint, Output};
use crate::crypto::{KeyShare, SUITES};
use crate::error::Error;
use crate::messages::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ClientHello,
    FINISHED, HELLO_VERIFY_REQUEST, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, ServerHello,
    ServerKeyExchange, Signed, read_certificate, read_certificate_request, read_cookie, write_certificate,
    write_client_key,
};
use crate::reassembly::Message;
use crate::signature::{self, ECDSA_SHA256};

impl Endpoint {
    /// Makes a ClientHello the flight: the first one, or that with the cookie.
    pub(super) fn push_client_hello(&mut self, handshake: &mut Handshake) -> Result<(), Error> {
        if handshake.cookie.is_none() {
            aws_lc_rs::rand::fill(&mut handshake.client_random)?;
        }
        let cookie = handshake.cookie.as_deref().unwrap_or_default();
        let body = ClientHello::write(&handshake.client_random, cookie);
        // A hello that was asked to be repeated counts for nothing (RFC 6347 section 4.2.1).
        handshake.transcript.clear();
        self.sender.begin_flight();
        self.push(handshake, CLIENT_HELLO, &body);
        Ok(())
    }

    /// True once the handshake is over.
    pub(super) fn handle_as_client(
        &mut self,
        now: Instant,
        handshake: &mut Handshake,
        before: usize,
        message: &Message,
    ) -> Result<bool, Error> {
        let body = message.body();
        match (handshake.expect, message.kind) {
            (Expect::ServerHello, HELLO_VERIFY_REQUEST) if handshake.cookie.is_none() => {
                handshake.cookie = Some(read_cookie(body)?.to_vec());
                self.push_client_hello(handshake)?;
                self.send_next_flight(now)?;
            }
            (Expect::ServerHello, SERVER_HELLO) => {
                let hello = ServerHello::read(body)?;
                let suite = SUITES.into_iter().find(|suite| suite.id == hello.suite);
                handshake.suite = Some(suite.ok_or(Error::NothingInCommon("cipher suite"))?);
                handshake.server_random = hello.random;
                handshake.srtp = Some(hello.srtp);
                handshake.expect = Expect::Certificate;
            }
            (Expect::Certificate, CERTIFICATE) => {
                let certificate = read_certificate(body)?.to_vec();
                if !handshake.suite()?.fits(&certificate)? {
                    return Err(Error::Certificate);
                }
                self.outputs
                    .push_back(Output::PeerCertificate(certificate.clone()));
                handshake.peer_certificate = certificate;
                handshake.expect = Expect::ServerKeyExchange;
            }
            (Expect::ServerKeyExchange, SERVER_KEY_EXCHANGE) => {
                check_server_share(handshake, body)?;
                handshake.expect = Expect::ServerHelloDone;
            }
            (Expect::ServerHelloDone, CERTIFICATE_REQUEST) if !handshake.certificate_requested => {
                if !read_certificate_request(body)?.contains(&ECDSA_SHA256) {
                    return Err(Error::NothingInCommon("signature scheme of our certificate"));
                }
                handshake.certificate_requested = true;
            }
            (Expect::ServerHelloDone, SERVER_HELLO_DONE) => self.answer_server(now, handshake)?,
            (Expect::Finished, FINISHED) => {
                handshake.check_finished(message, before)?;
                // The server has everything of ours, and says nothing that we would have to answer.
                self.sender.begin_flight();
                self.finish(handshake)?;
                return Ok(true);
            }
            (_, kind) => return Err(Error::Unexpected(kind)),
        }
        Ok(false)
    }

    /// Sends our share, our certificate if it is wanted, and Finished.
    fn answer_server(&mut self, now: Instant, handshake: &mut Handshake) -> Result<(), Error> {
        self.sender.begin_flight();
        if handshake.certificate_requested {
            let body = write_certificate(&self.config.certificate);
            self.push(handshake, CERTIFICATE, &body);
        }
        let (group, theirs) = std::mem::take(&mut handshake.server_share);
        let share = KeyShare::new(group)?;
        self.push(handshake, CLIENT_KEY_EXCHANGE, &write_client_key(share.public()));
        let protections = handshake.derive(&share.agree(&theirs)?)?;
        if handshake.certificate_requested {
            let signature = self
                .config
                .key
                .sign(&SystemRandom::new(), &handshake.transcript)?;
            let mut body = Vec::new();
            Signed {
                scheme: ECDSA_SHA256,
                signature: signature.as_ref(),
            }
            .write(&mut body);
            self.push(handshake, CERTIFICATE_VERIFY, &body);
        }
        self.sender.change_cipher_spec(protections.client);
        self.push_finished(handshake)?;
        handshake.expect = Expect::Finished;
        self.protection = Some(protections.server);
        self.send_next_flight(now)
    }
}

/// Takes the server's share, if its certificate's key has signed it for this handshake.
fn check_server_share(handshake: &mut Handshake, body: &[u8]) -> Result<(), Error> {
    let exchange = ServerKeyExchange::read(body)?;
    let message = [
        &handshake.client_random,
        &handshake.server_random,
        exchange.parameters,
    ]
    .concat();
    let signed = &exchange.signed;
    signature::verify(
        &handshake.peer_certificate,
        signed.scheme,
        &message,
        signed.signature,
    )?;
    handshake.server_share = (exchange.group, exchange.public.to_vec());
    Ok(())
}
