//! Why an association is over.

use crate::wire::Malformed;

/// Why an association is over. The peer was told with an alert, where one fits and it was not the peer who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer did not answer within [`Limits::handshake`](crate::Limits::handshake).
    #[error("the handshake took too long")]
    TimedOut,
    /// The peer sent a fatal alert with this description (RFC 5246 section 7.2).
    #[error("the peer gave up with alert {0}")]
    Alert(u8),
    /// A message cannot be read.
    #[error("a handshake message is malformed")]
    Malformed,
    /// A message came that has no place at this point of the handshake.
    #[error("handshake message {0} came out of place")]
    Unexpected(u8),
    /// The peer speaks no version, cipher suite, group, signature scheme or extension that is required.
    #[error("nothing in common: {0}")]
    NothingInCommon(&'static str),
    /// Neither side's profiles of SRTP are the other's.
    #[error("no SRTP profile in common")]
    NoSrtpProfile,
    /// The peer has no certificate, or one whose key is neither RSA of 2,048 to 8,192 bits nor ECDSA P-256 or P-384.
    #[error("the certificate cannot be used")]
    Certificate,
    /// The peer does not hold the private key of its certificate, or somebody changed what was said.
    #[error("a signature or the handshake's digest is wrong")]
    Forged,
    /// The peer's public value is no point of its group.
    #[error("the key exchange failed")]
    KeyExchange,
    /// The library of cryptography refused what should work.
    #[error("an operation of cryptography failed")]
    Internal,
}

impl Error {
    /// The description of the alert that tells the peer (RFC 5246 section 7.2.2); `None` if it would be wasted.
    pub(crate) fn alert(self) -> Option<u8> {
        match self {
            Self::TimedOut | Self::Alert(_) => None,
            Self::Malformed => Some(50),
            Self::Unexpected(_) => Some(10),
            Self::NothingInCommon(_) | Self::NoSrtpProfile => Some(40),
            Self::Certificate => Some(43),
            Self::Forged => Some(51),
            Self::KeyExchange => Some(47),
            Self::Internal => Some(80),
        }
    }
}

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Internal
    }
}
