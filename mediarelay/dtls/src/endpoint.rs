//! One end of an association: time, records and what both roles share.

mod client;
mod handshake;
mod server;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Config, LimitHits};
use crate::error::Error;
use crate::flight::Sender;
use crate::messages::SrtpProtection;
use crate::reassembly::{Message, Reassembly};
use crate::record::{ALERT, HANDSHAKE, Protection, Record, Replay, records};
use handshake::Handshake;

/// `close_notify` (RFC 5246 section 7.2.1)
const CLOSE_NOTIFY: u8 = 0;
/// The level of alerts after which nothing comes.
const FATAL: u8 = 2;

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We do.
    Client,
    /// The peer does.
    Server,
}

/// What comes out of an [`Endpoint`].
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// A datagram for the peer.
    Send(Vec<u8>),
    /// The peer's certificate in DER. It is the peer's only once [`Output::Connected`] has come.
    PeerCertificate(Vec<u8>),
    /// The profile and the exported keying material (RFC 5764 section 4.2): both keys, then both salts, the client's first.
    Keys(SrtpProtection, Vec<u8>),
    /// The handshake is over.
    Connected,
    /// The peer has closed the association.
    Closed,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(datagram) => write!(f, "Send({} octets)", datagram.len()),
            Self::PeerCertificate(der) => write!(f, "PeerCertificate({} octets)", der.len()),
            Self::Keys(profile, _) => write!(f, "Keys({profile:?})"),
            Self::Connected => f.write_str("Connected"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

/// One end of an association.
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<Config>,
    outputs: VecDeque<Output>,
    sender: Sender,
    incoming: Reassembly,
    /// The peer's key, once there is one.
    protection: Option<Protection>,
    replay: Replay,
    /// Protected records that came before their key.
    early: Vec<Vec<u8>>,
    timers: Timers,
    /// `None` once it is over, for good or ill.
    handshake: Option<Box<Handshake>>,
    failed: bool,
}

/// When something is to be done without the peer.
#[derive(Debug)]
struct Timers {
    /// The handshake fails.
    deadline: Instant,
    /// The flight is sent again.
    repeat: Option<Instant>,
    /// The next wait.
    wait: Duration,
    /// When the flight was sent last.
    sent: Instant,
}

impl Endpoint {
    /// Nothing is sent before the first [`Self::handle_timeout`] of a client.
    pub fn new(config: Arc<Config>, role: Role, now: Instant) -> Self {
        let timers = Timers {
            deadline: now + config.limits.handshake,
            repeat: (role == Role::Client).then_some(now),
            wait: config.limits.first_timeout,
            sent: now,
        };
        Self {
            sender: Sender::new(config.mtu),
            outputs: VecDeque::new(),
            incoming: Reassembly::new(),
            protection: None,
            replay: Replay::default(),
            early: Vec::new(),
            timers,
            handshake: Some(Box::new(Handshake::new(role))),
            failed: false,
            config,
        }
    }

    /// A datagram came from the peer. What is not DTLS, not authentic or known is left out.
    ///
    /// # Errors
    /// Why the association is over. An alert for the peer may be among the outputs.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Error> {
        if self.failed {
            return Ok(());
        }
        let mut repeated = false;
        for record in records(datagram) {
            let handled = self.handle_record(now, record);
            repeated |= self.or_fail(handled)?;
        }
        // The peer has not got what we sent last. It repeats a flight in several datagrams, and is answered once.
        if repeated
            && !self.sender.is_empty()
            && now >= self.timers.sent + self.config.limits.first_timeout / 2
        {
            let sent = self.send_flight(now);
            self.or_fail(sent)?;
        }
        Ok(())
    }

    /// Time has passed: [`Self::poll_timeout`], or earlier.
    ///
    /// # Errors
    /// Why the association is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.failed || self.handshake.is_none() {
            return Ok(());
        }
        if self.timers.deadline <= now {
            return self.or_fail(Err(Error::TimedOut));
        }
        if self.timers.repeat.is_some_and(|at| at <= now) {
            let sent = match self.sender.is_empty() {
                true => self.begin(now),
                false => self.send_flight(now),
            };
            self.timers.wait = (self.timers.wait * 2).min(self.config.limits.longest_timeout);
            return self.or_fail(sent);
        }
        Ok(())
    }

    /// What comes out next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How often limits were met since this was asked last.
    pub fn take_limit_hits(&mut self) -> LimitHits {
        std::mem::take(&mut self.incoming.hits)
    }

    /// When to call [`Self::handle_timeout`] at the latest; `None` if nothing is waited for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failed || self.handshake.is_none() {
            return None;
        }
        let deadline = self.timers.deadline;
        Some(self.timers.repeat.map_or(deadline, |repeat| repeat.min(deadline)))
    }

    /// True if the peer repeats what was handled.
    fn handle_record(&mut self, now: Instant, record: Record<'_>) -> Result<bool, Error> {
        match (record.epoch, record.content, &self.protection) {
            (0, HANDSHAKE, None) => {
                if self.awaits_hello() && !self.admit(record.body)? {
                    return Ok(false);
                }
                self.handle_fragments(now, 0, record.body)
            }
            // Once the peer's key is known, it says nothing unprotected but what it has said before.
            (0, HANDSHAKE, Some(_)) => {
                let seen = self.incoming.insert(&self.config.limits, 0, record.body);
                Ok(seen.is_ok_and(|seen| seen.repeated))
            }
            // Nobody has begun who could end it.
            (0, ALERT, None) if self.awaits_hello() => Ok(false),
            (0, ALERT, None) => self.handle_alert(record.body).map(|()| false),
            (1, _, None) => {
                if self.early.len() < self.config.limits.early_records {
                    self.early.push(record.whole.to_vec());
                } else {
                    self.incoming.hits.early_records += 1;
                }
                Ok(false)
            }
            (1, content, Some(protection)) => {
                if self.replay.is_known(record.sequence) {
                    return Ok(false);
                }
                let Some(plain) = protection.open(&record) else {
                    return Ok(false);
                };
                self.replay.mark(record.sequence);
                match content {
                    HANDSHAKE => self.handle_fragments(now, 1, &plain),
                    ALERT => self.handle_alert(&plain).map(|()| false),
                    _ => Ok(false),
                }
            }
            // A change of cipher says nothing that the epoch does not; and nothing else is expected.
            _ => Ok(false),
        }
    }

    fn handle_fragments(&mut self, now: Instant, epoch: u16, body: &[u8]) -> Result<bool, Error> {
        let seen = match self.incoming.insert(&self.config.limits, epoch, body) {
            Ok(seen) => seen,
            // Without protection anybody can write such a thing.
            Err(_) if epoch == 0 => return Ok(false),
            Err(malformed) => return Err(malformed.into()),
        };
        while self.handshake.is_some()
            && let Some(message) = self.incoming.next()
        {
            self.handle_message(now, &message)?;
        }
        if self.protection.is_some() {
            // What came before its key is read; whether any of it repeats something is of no interest.
            for early in std::mem::take(&mut self.early) {
                for record in records(&early) {
                    self.handle_record(now, record)?;
                }
            }
        }
        Ok(seen.repeated)
    }

    fn handle_message(&mut self, now: Instant, message: &Message) -> Result<(), Error> {
        let Some(mut handshake) = self.handshake.take() else {
            return Ok(());
        };
        Self::check_epoch(message)?;
        // Finished and CertificateVerify are about what was said before them.
        let before = handshake.transcript.len();
        handshake.transcript.extend_from_slice(&message.whole);
        let is_over = match handshake.role {
            Role::Client => self.handle_as_client(now, &mut handshake, before, message)?,
            Role::Server => self.handle_as_server(now, &mut handshake, before, message)?,
        };
        if !is_over {
            self.handshake = Some(handshake);
        }
        Ok(())
    }

    fn handle_alert(&mut self, body: &[u8]) -> Result<(), Error> {
        match body {
            [_, CLOSE_NOTIFY] if self.handshake.is_none() => {
                self.outputs.push_back(Output::Closed);
                Ok(())
            }
            [FATAL, description] => Err(Error::Alert(*description)),
            _ => Ok(()),
        }
    }

    /// A client's first flight.
    fn begin(&mut self, now: Instant) -> Result<(), Error> {
        let Some(mut handshake) = self.handshake.take() else {
            return Ok(());
        };
        self.push_client_hello(&mut handshake)?;
        self.handshake = Some(handshake);
        self.send_flight(now)
    }

    /// Adds a message to the flight and to the transcript.
    fn push(&mut self, handshake: &mut Handshake, kind: u8, body: &[u8]) {
        let whole = self.sender.push(kind, body);
        handshake.transcript.extend_from_slice(whole);
    }

    fn send_flight(&mut self, now: Instant) -> Result<(), Error> {
        self.timers.sent = now;
        self.timers.repeat = Some(now + self.timers.wait);
        self.sender.send(&mut self.outputs)
    }

    /// Sends a further flight, whose wait begins anew.
    fn send_next_flight(&mut self, now: Instant) -> Result<(), Error> {
        self.timers.wait = self.config.limits.first_timeout;
        self.send_flight(now)?;
        self.timers.wait *= 2;
        Ok(())
    }

    fn or_fail<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = result {
            self.failed = true;
            self.handshake = None;
            if let Some(description) = error.alert() {
                // The association is over in any case.
                let _ = self.sender.send_alert(&mut self.outputs, description);
            }
        }
        result
    }
}
