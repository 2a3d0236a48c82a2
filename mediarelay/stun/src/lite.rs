//! The ICE-lite responder: answers one binding request, keeps nothing (RFC 8445, sections 2.5 and 7.3; RFC 8489,
//! sections 6.3, 7.1 and 9.1.3).
//!
//! A lite agent never sends checks. It answers the peer's, and the flags of a good check ([`Check`]) tell whoever keeps
//! the leg's state which address is alive and which one the peer has chosen.
//!
//! What is answered and what is not:
//!
//! | request | answer |
//! |---|---|
//! | no FINGERPRINT, or a wrong one; not a binding request; malformed | none |
//! | no USERNAME or no MESSAGE-INTEGRITY | 400 |
//! | USERNAME is not `local:remote` of this agent, or the integrity does not hold | 401 |
//! | authenticated, with a comprehension-required attribute that nobody here knows | 420 |
//! | authenticated, from a peer that is controlled as well | 487 |
//! | authenticated | success with XOR-MAPPED-ADDRESS |
//!
//! A lite agent is always controlled (RFC 8445, section 6.1.1), so 487 needs no comparison of tie-breakers: the peer is
//! told to change roles.

use std::net::SocketAddr;

use crate::attribute::AttributeType;
use crate::fingerprint::FingerprintError;
use crate::integrity::{IntegrityError, IntegrityKey};
use crate::message::{Class, Message, Method, ParseError};
use crate::writer::{MessageWriter, WriteError};

/// Room that any answer fits into, in octets.
pub const RESPONSE_MAX: usize = 128;

/// No answer is more than this many octets longer than the request it answers: a forged source address gains nothing.
pub const GROWTH_MAX: usize = 24;

/// How many unknown types one 420 answer lists at most. With [`GROWTH_MAX`] this bounds the answer's size.
pub const UNKNOWN_LISTED_MAX: usize = 8;

/// The local side of one leg: what its SDP told the peer, and what the peer's SDP said.
#[derive(Debug, Clone)]
pub struct LiteCredentials {
    local_ufrag: Box<str>,
    remote_ufrag: Option<Box<str>>,
    key: IntegrityKey,
}

impl LiteCredentials {
    /// Credentials from `a=ice-ufrag` and `a=ice-pwd` of our SDP and, once known, `a=ice-ufrag` of the peer's.
    ///
    /// While the peer's fragment is `None`, any is taken: checks may arrive before the answer does.
    #[must_use]
    pub fn new(local_ufrag: &str, local_password: &str, remote_ufrag: Option<&str>) -> Self {
        Self {
            local_ufrag: local_ufrag.into(),
            remote_ufrag: remote_ufrag.map(Into::into),
            key: IntegrityKey::short_term(local_password),
        }
    }

    /// Our username fragment: the part of USERNAME before the colon.
    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    /// The peer's username fragment, if known.
    #[must_use]
    pub fn remote_ufrag(&self) -> Option<&str> {
        self.remote_ufrag.as_deref()
    }
}

/// The peer's ICE role, as its check says, with the tie-breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRole {
    /// ICE-CONTROLLING: what a peer of a lite agent should be.
    Controlling(u64),
    /// ICE-CONTROLLED: a role conflict.
    Controlled(u64),
}

/// What an authenticated check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check<'a> {
    /// The peer's username fragment: the part of USERNAME after the colon.
    pub remote_ufrag: &'a str,
    /// PRIORITY: of the peer-reflexive candidate, should this address be unknown.
    pub priority: Option<u32>,
    /// USE-CANDIDATE: the peer nominates the pair.
    pub use_candidate: bool,
    /// The peer's role; `None` if the peer sent neither attribute.
    pub peer_role: Option<PeerRole>,
}

/// Why a request got an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// 400: USERNAME or MESSAGE-INTEGRITY is missing.
    BadRequest,
    /// 401: USERNAME is not this agent's.
    UnknownUsername,
    /// 401: the integrity does not hold.
    WrongIntegrity,
    /// 420: a comprehension-required attribute is unknown.
    UnknownAttribute,
    /// 487: the peer is controlled, and so is every lite agent.
    RoleConflict,
}

impl Rejection {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::UnknownUsername | Self::WrongIntegrity => 401,
            Self::UnknownAttribute => 420,
            Self::RoleConflict => 487,
        }
    }

    /// The reason phrase on the wire (RFC 8489, section 14.8; RFC 8445, section 16.1).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::UnknownUsername | Self::WrongIntegrity => "Unauthenticated",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::RoleConflict => "Role Conflict",
        }
    }
}

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Not a well-formed message.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// A method other than Binding.
    #[error("STUN method is not Binding")]
    NotBinding,
    /// An indication or a response.
    #[error("STUN message is not a request")]
    NotRequest(Class),
    /// No FINGERPRINT, or a wrong one (RFC 8489, section 6.3: silently discarded; RFC 8445, section 7.1: ICE uses it).
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Send the first `len` octets of the buffer back to where the datagram came from.
    Response {
        /// Octets of the answer.
        len: usize,
        /// What the check said, or why it was refused.
        result: Result<Check<'a>, Rejection>,
    },
    /// Say nothing.
    Drop(DropReason),
}

/// Answers a datagram that belongs to a known leg.
///
/// Where several legs share a port, use [`BindingRequest::read`] first, find the leg by
/// [`local_ufrag`](BindingRequest::local_ufrag), then [`respond`](BindingRequest::respond).
pub fn respond<'a>(
    credentials: &LiteCredentials,
    datagram: &'a [u8],
    from: SocketAddr,
    out: &mut [u8; RESPONSE_MAX],
) -> Outcome<'a> {
    match BindingRequest::read(datagram) {
        Ok(request) => request.respond(credentials, from, out),
        Err(reason) => Outcome::Drop(reason),
    }
}

/// A binding request with a good FINGERPRINT, read once; nothing in it is authenticated yet.
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    message: Message<'a>,
    username: Option<&'a str>,
    priority: Option<u32>,
    use_candidate: bool,
    peer_role: Option<PeerRole>,
    unknown: [AttributeType; UNKNOWN_LISTED_MAX],
    unknown_len: usize,
}

impl<'a> BindingRequest<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`DropReason`]: all of these go unanswered.
    pub fn read(datagram: &'a [u8]) -> Result<Self, DropReason> {
        let message = Message::parse(datagram)?;
        if message.method() != Method::BINDING {
            return Err(DropReason::NotBinding);
        }
        if message.class() != Class::Request {
            return Err(DropReason::NotRequest(message.class()));
        }
        message.verify_fingerprint()?;
        let mut request = Self {
            message,
            username: None,
            priority: None,
            use_candidate: false,
            peer_role: None,
            unknown: [AttributeType(0); UNKNOWN_LISTED_MAX],
            unknown_len: 0,
        };
        for attribute in message.attributes() {
            request.note(attribute.kind, attribute.value);
        }
        Ok(request)
    }

    /// Takes one attribute in. The first of a type counts; an ICE attribute of the wrong length counts as absent.
    fn note(&mut self, kind: AttributeType, value: &'a [u8]) {
        match kind {
            AttributeType::USERNAME if self.username.is_none() => {
                // What is not UTF-8 cannot be one of our names; an empty one is refused as such a name.
                self.username = Some(std::str::from_utf8(value).unwrap_or_default());
            }
            AttributeType::PRIORITY if self.priority.is_none() => {
                self.priority = value.try_into().map(u32::from_be_bytes).ok();
            }
            AttributeType::USE_CANDIDATE => self.use_candidate = true,
            AttributeType::ICE_CONTROLLING if self.peer_role.is_none() => {
                self.peer_role = value
                    .try_into()
                    .map(|v| PeerRole::Controlling(u64::from_be_bytes(v)))
                    .ok();
            }
            AttributeType::ICE_CONTROLLED if self.peer_role.is_none() => {
                self.peer_role = value
                    .try_into()
                    .map(|v| PeerRole::Controlled(u64::from_be_bytes(v)))
                    .ok();
            }
            kind if !kind.is_required() || kind.is_understood() => {}
            kind => {
                // What does not fit is left unlisted: the peer learns of it after it has dropped the first eight.
                if let Some(place) = self.unknown.get_mut(self.unknown_len) {
                    *place = kind;
                    self.unknown_len += 1;
                }
            }
        }
    }

    /// The message itself.
    #[must_use]
    pub fn message(&self) -> &Message<'a> {
        &self.message
    }

    /// The part of USERNAME before the first colon: the fragment of the agent that is asked. Not authenticated.
    #[must_use]
    pub fn local_ufrag(&self) -> Option<&'a str> {
        Some(self.username?.split_once(':')?.0)
    }

    /// Checks the request against an agent's credentials and writes the answer.
    pub fn respond(
        &self,
        credentials: &LiteCredentials,
        from: SocketAddr,
        out: &mut [u8; RESPONSE_MAX],
    ) -> Outcome<'a> {
        let result = self.check(credentials);
        #[expect(
            clippy::expect_used,
            reason = "the longest answer, 420 with eight types, has 100 octets"
        )]
        let len = self
            .answer(&result, credentials, from, out)
            .expect("every answer fits RESPONSE_MAX");
        Outcome::Response { len, result }
    }

    /// The order is that of RFC 8489: presence, name, integrity (9.1.3), then unknown attributes (6.3.1), then ICE.
    fn check(&self, credentials: &LiteCredentials) -> Result<Check<'a>, Rejection> {
        let (Some(username), true) = (self.username, self.message.has_integrity()) else {
            return Err(Rejection::BadRequest);
        };
        let (local, remote_ufrag) = username.split_once(':').ok_or(Rejection::UnknownUsername)?;
        let expected = credentials.remote_ufrag();
        if local != credentials.local_ufrag() || expected.is_some_and(|expected| expected != remote_ufrag) {
            return Err(Rejection::UnknownUsername);
        }
        match self.message.verify_integrity(&credentials.key) {
            Ok(()) => {}
            Err(IntegrityError::Absent | IntegrityError::Mismatch) => return Err(Rejection::WrongIntegrity),
        }
        if self.unknown_len > 0 {
            return Err(Rejection::UnknownAttribute);
        }
        if let Some(PeerRole::Controlled(_)) = self.peer_role {
            return Err(Rejection::RoleConflict);
        }
        Ok(Check {
            remote_ufrag,
            priority: self.priority,
            use_candidate: self.use_candidate,
            peer_role: self.peer_role,
        })
    }

    /// 400 and 401 carry no integrity (RFC 8489, section 9.1.3); every answer carries FINGERPRINT.
    fn answer(
        &self,
        result: &Result<Check<'a>, Rejection>,
        credentials: &LiteCredentials,
        from: SocketAddr,
        out: &mut [u8; RESPONSE_MAX],
    ) -> Result<usize, WriteError> {
        let class = if result.is_ok() {
            Class::Success
        } else {
            Class::Error
        };
        let mut message = MessageWriter::new(out, class, Method::BINDING, self.message.transaction_id())?;
        match *result {
            Ok(_) => {
                message.xor_mapped_address(from)?.integrity(&credentials.key)?;
            }
            Err(rejection) => {
                message.error_code(rejection.code(), rejection.reason())?;
                match rejection {
                    Rejection::BadRequest | Rejection::UnknownUsername | Rejection::WrongIntegrity => {}
                    Rejection::UnknownAttribute => {
                        message.unknown_attributes(&self.unknown[..self.unknown_len])?;
                        message.integrity(&credentials.key)?;
                    }
                    Rejection::RoleConflict => {
                        message.integrity(&credentials.key)?;
                    }
                }
            }
        }
        message.fingerprint()?;
        Ok(message.finish().len())
    }
}

#[cfg(test)]
mod tests;
