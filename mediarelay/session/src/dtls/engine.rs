//! What a DTLS implementation must be able to do.

use std::fmt;
use std::time::Instant;

use viaduct_dtls::LimitHits as DtlsLimitHits;
use viaduct_rtp::srtp::{DtlsRole, SrtpProfile};

use crate::event::DtlsFailure;

/// Which certificates a peer may have, as far as can be told before it shows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerCertificates {
    /// ECDSA, as browsers make theirs.
    Ecdsa,
    /// Any kind: telephone systems often have RSA.
    Any,
}

/// Makes the ends of DTLS associations, all with the relay's certificate.
pub trait DtlsEngines: fmt::Debug + Send {
    /// One end that has not sent or received anything. A client sends its ClientHello with the first
    /// [`handle_timeout`](DtlsEngine::handle_timeout).
    fn start(&self, role: DtlsRole, peer: PeerCertificates, now: Instant) -> Box<dyn DtlsEngine>;
}

/// One end of a DTLS association, without I/O.
///
/// **Contract: after every `handle_*` call, drain [`poll_output`](Self::poll_output).** After a fault the association is
/// over.
///
/// The peer's certificate is handed out, never judged: whether it is the right one is the relay's business, and keys are
/// not used before.
pub trait DtlsEngine: fmt::Debug + Send {
    /// A datagram came.
    ///
    /// # Errors
    /// Why the association is over. What is not addressed to it, repeated or malformed is no error.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DtlsFailure>;

    /// Time has passed: [`poll_timeout`](Self::poll_timeout), or earlier.
    ///
    /// # Errors
    /// Why the association is over.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsFailure>;

    /// What comes out next.
    fn poll_output(&mut self) -> Option<DtlsOutput>;

    /// How often its limits were met since this was asked last; nothing where it has none.
    fn take_limit_hits(&mut self) -> DtlsLimitHits {
        DtlsLimitHits::default()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. Valid after the outputs are drained.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What comes out of a [`DtlsEngine`].
#[derive(Clone, PartialEq, Eq)]
pub enum DtlsOutput {
    /// To be sent to the peer.
    Send(Vec<u8>),
    /// The peer's certificate in DER.
    PeerCertificate(Vec<u8>),
    /// SRTP profile and exported keying material (RFC 5764 section 4.2).
    Keys {
        /// How media is protected.
        profile: SrtpProfile,
        /// Both keys, then both salts, the client's first.
        material: Vec<u8>,
    },
    /// The handshake is over.
    Connected,
    /// The peer has closed the association.
    Closed,
}

impl fmt::Debug for DtlsOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(datagram) => write!(f, "Send({} octets)", datagram.len()),
            Self::PeerCertificate(der) => write!(f, "PeerCertificate({} octets)", der.len()),
            Self::Keys { profile, .. } => write!(f, "Keys({profile:?})"),
            Self::Connected => f.write_str("Connected"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}
