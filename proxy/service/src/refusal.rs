//! Why a request is refused, and the answer that says so.

use std::fmt;

use viaduct_sip::{HeaderName, Message, ResponseBuilder, StatusCode, quoted};

use crate::Config;

/// What a service answers to, for Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, OPTIONS";

/// The one body that sessions are made of, for Accept.
pub(crate) const ACCEPT: &str = "application/sdp";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A header that is needed is missing or cannot be read.
    #[error("Bad {0}")]
    BadHeader(HeaderName),
    /// The Request-URI cannot be read.
    #[error("Bad Request-URI")]
    BadUri,
    /// The dialog would keep more than [`Limits::dialog_octets_max`](crate::Limits::dialog_octets_max).
    #[error("Dialog State Too Large")]
    DialogTooLarge,
    /// The body claims to be SDP and is none.
    #[error("Bad SDP")]
    BadSdp,
    /// No service of this name.
    #[error("Not Found")]
    UnknownService,
    /// Nothing that a service does.
    #[error("Method Not Allowed")]
    MethodNotAllowed,
    /// The body is longer than [`Limits::body_octets_max`](crate::Limits::body_octets_max).
    #[error("Request Entity Too Large")]
    BodyTooLarge,
    /// A body that must be understood, and is not SDP.
    #[error("Unsupported Media Type")]
    UnsupportedMediaType,
    /// A body in an encoding.
    #[error("Unsupported Content Encoding")]
    UnsupportedEncoding,
    /// The Request-URI is of another scheme.
    #[error("Unsupported URI Scheme")]
    BadScheme,
    /// Extensions are required that nobody here has.
    #[error("Bad Extension")]
    BadExtension {
        /// Their option tags.
        unsupported: String,
    },
    /// INFO of a package (RFC 6086): none was announced.
    #[error("Bad Info Package")]
    BadInfoPackage,
    /// The shell could not open media.
    #[error("Temporarily Unavailable")]
    NoMedia,
    /// Inside no dialog that exists.
    #[error("Call/Transaction Does Not Exist")]
    NoDialog,
    /// The same INVITE on another way (RFC 3261 section 8.2.2.2).
    #[error("Loop Detected")]
    Merged,
    /// [`Limits::sessions_max`](crate::Limits::sessions_max) is reached.
    #[error("Busy Here")]
    Busy,
    /// An INVITE that was cancelled.
    #[error("Request Terminated")]
    Cancelled,
    /// Nothing in common.
    #[error("Not Acceptable Here: {0}")]
    NotAcceptable(Mismatch),
    /// An offer of ours waits for its answer (RFC 3261 section 14.2, RFC 3311 section 5.2).
    #[error("Request Pending")]
    OfferPending,
    /// CSeq did not rise (RFC 3261 section 12.2.2).
    #[error("CSeq Out Of Order")]
    OutOfOrder,
}

/// Why no session comes of an offer: the warnings of RFC 3261 section 20.43. In the order of how near the offer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mismatch {
    /// No audio, or only audio that is switched off.
    MediaType,
    /// Audio over something else than plain RTP.
    Transport,
    /// Audio at an address that we cannot send to: a name, multicast, another family than before.
    Address,
    /// Audio in other codecs.
    Format,
}

impl Mismatch {
    /// The warn-code.
    fn code(self) -> u16 {
        match self {
            Self::Address => 301,
            Self::Transport => 302,
            Self::MediaType => 304,
            Self::Format => 305,
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "Incompatible network address format",
            Self::Transport => "Incompatible transport protocol: RTP/AVP only",
            Self::MediaType => "Media type not available: audio only",
            Self::Format => "Incompatible media format: PCMU and PCMA only",
        })
    }
}

impl Refusal {
    /// The code of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadHeader(_) | Self::BadUri | Self::DialogTooLarge | Self::BadSdp => {
                StatusCode::BAD_REQUEST
            }
            Self::UnknownService => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadScheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::BadExtension { .. } => StatusCode::BAD_EXTENSION,
            Self::BadInfoPackage => StatusCode::BAD_INFO_PACKAGE,
            Self::NoMedia => StatusCode::TEMPORARILY_UNAVAILABLE,
            Self::NoDialog => StatusCode::CALL_DOES_NOT_EXIST,
            Self::Merged => StatusCode::LOOP_DETECTED,
            Self::Busy => StatusCode::BUSY_HERE,
            Self::Cancelled => StatusCode::REQUEST_TERMINATED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE_HERE,
            Self::OfferPending => StatusCode::REQUEST_PENDING,
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }

    /// The answer, but for the To tag.
    pub(crate) fn answer<'m>(&self, request: &'m Message, config: &Config) -> ResponseBuilder<'m> {
        let answer = ResponseBuilder::new(request, self.status());
        match self {
            Self::BadHeader(_) | Self::BadUri | Self::DialogTooLarge | Self::BadSdp | Self::OutOfOrder => {
                answer.reason(&self.to_string())
            }
            Self::MethodNotAllowed => answer.header(HeaderName::Allow, ALLOW),
            Self::UnsupportedMediaType => answer.header(HeaderName::Accept, ACCEPT),
            Self::UnsupportedEncoding => answer.header(HeaderName::AcceptEncoding, "identity"),
            Self::BadExtension { unsupported } => answer.header(HeaderName::Unsupported, unsupported),
            // An empty list: nothing is wanted (RFC 6086 section 5.2.2).
            Self::BadInfoPackage => answer.header(HeaderName::RecvInfo, ""),
            Self::NoMedia | Self::Busy => {
                answer.header(HeaderName::RetryAfter, config.limits.retry_after_s.to_string())
            }
            Self::NotAcceptable(mismatch) => answer.header(
                HeaderName::Warning,
                format!(
                    "{} {} {}",
                    mismatch.code(),
                    config.host(),
                    quoted::quote(&mismatch.to_string())
                ),
            ),
            Self::UnknownService
            | Self::BodyTooLarge
            | Self::BadScheme
            | Self::NoDialog
            | Self::Merged
            | Self::Cancelled
            | Self::OfferPending => answer,
        }
    }
}
