//! Every way a request can be refused by the proxy itself, and the answer to each.

use viaduct_resolve::Failure;
use viaduct_sip::StatusCode;
use viaduct_trunk::{Rejection, Unusable};

use crate::auth::{Asking, AuthFailure};
use crate::media::NoCommonCodec;
use crate::registrar::RegisterRefusal;

/// Seconds after which a caller may try a proxy again that only finishes its calls: another one takes its place mostly.
const DRAINING_RETRY_AFTER_S: u32 = 60;

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Max-Forwards was 0 (RFC 3261 section 16.3, step 3).
    #[error("Too Many Hops")]
    TooManyHops,
    /// The request was here before, unchanged (RFC 5393 section 4.2).
    #[error("Loop Detected")]
    Loop,
    /// Max-Breadth is too small for all targets (RFC 5393 section 5.3.3.2).
    #[error("Max-Breadth Exceeded")]
    TooBroad,
    /// Proxy-Require, or Require to the registrar, names extensions that we do not have.
    #[error("Bad Extension")]
    BadExtension {
        /// The option tags.
        unsupported: Vec<String>,
    },
    /// The Request-URI is of a scheme that we do not route.
    #[error("Unsupported URI Scheme")]
    BadScheme,
    /// The Request-URI, To or From cannot be read.
    #[error("Bad {0}")]
    BadHeader(&'static str),
    /// Nobody has proven to be anybody: the answer is a challenge.
    #[error("{failure}")]
    Unauthenticated {
        /// As registrar or as proxy.
        asking: Asking,
        /// What is wrong with the credentials.
        failure: AuthFailure,
        /// The user named in From or To, whose list of algorithms counts.
        user: Option<String>,
    },
    /// Too many wrong passwords before: no further one is looked at for a while.
    #[error("Too Many Wrong Passwords")]
    Paused {
        /// Whole seconds left, at least 1.
        seconds: u32,
    },
    /// The source sends more than it may.
    #[error("Too Many Requests")]
    TooFast,
    /// The request has waited too long to be handled: more comes than can be.
    #[error("Too Busy")]
    Late {
        /// Seconds until it may come again; others are told others, so that not all come back at once.
        seconds: u32,
    },
    /// The user may not use this transport.
    #[error("{user} may not use {transport}")]
    WrongTransport {
        /// Who it is.
        user: String,
        /// What it came over.
        transport: viaduct_sip::Transport,
    },
    /// The user is not the owner of the address it registers or calls from.
    #[error("{user} may not use {address}")]
    NotYours {
        /// Who it is.
        user: String,
        /// What it wanted to use.
        address: String,
    },
    /// A domain that is not ours.
    #[error("Relaying denied")]
    RelayDenied,
    /// A Route of ours with a token that does not verify.
    #[error("Flow token does not verify")]
    TokenForged,
    /// Nobody has this address.
    #[error("Not Found")]
    UnknownUser,
    /// The user is known and has no contact.
    #[error("Not registered")]
    NotRegistered,
    /// The connection to the target is gone.
    #[error("Connection to the user is gone")]
    FlowGone,
    /// No address of the next hop took the request (RFC 3261 section 16.9).
    #[error("Next hop cannot be reached")]
    Unreachable,
    /// The next hop has no address.
    #[error(transparent)]
    Unresolved(#[from] viaduct_resolve::Failure),
    /// Inside no dialog that went through here.
    #[error("Call/Transaction Does Not Exist")]
    NoDialog,
    /// A CANCEL for nothing.
    #[error("Nothing to cancel")]
    NothingToCancel,
    /// The request makes no sense here.
    #[error("Method Not Allowed")]
    MethodNotAllowed,
    /// Subscriptions and publications are nobody's here.
    #[error("Bad Event")]
    BadEvent,
    /// No codec that both sides know.
    #[error(transparent)]
    NoCommonCodec(#[from] NoCommonCodec),
    /// The body is no SDP that the relay can read.
    #[error("Bad SDP")]
    BadSdp,
    /// The body is signed or encrypted, so that the relay cannot stand between the two sides.
    #[error("Body cannot be rewritten")]
    SealedBody,
    /// The registrar says no.
    #[error(transparent)]
    Register(#[from] RegisterRefusal),
    /// The user has as many calls as it may have.
    #[error("Too many calls of this user")]
    UserBusy,
    /// A bound of this proxy is reached.
    #[error("{0}")]
    Overload(&'static str),
    /// Calls that exist are finished, and others refused.
    #[error("Taking no more calls")]
    Draining,
    /// A trunk takes no call right now.
    #[error("No trunk: {0}")]
    NoTrunk(#[from] Unusable),
    /// A trunk wants to be shown a password that we do not have, or does not take ours. Nothing for the caller to answer.
    #[error("The trunk does not let us in")]
    TrunkRefusedUs,
    /// A trunk redirected the call to where it does not go: nobody else spends the caller's money, and the caller cannot
    /// reach what a carrier names.
    #[error("The trunk redirected the call")]
    TrunkRedirected,
    /// The relay does not answer, or cannot take the call.
    #[error("Media relay unavailable")]
    RelayUnavailable,
    /// The source of users does not answer.
    #[error("User data unavailable")]
    UsersUnavailable,
    /// The hook does not decide, and nothing goes on without it.
    #[error("Nobody decides about calls")]
    NoDecision,
    /// The hook says no.
    #[error("{}", .0.reason.as_deref().unwrap_or("Refused by the hook"))]
    Decided(Rejection),
    /// The store could not be written.
    #[error("Registration could not be stored")]
    StoreFailed,
}

impl Refusal {
    /// The code of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooManyHops => StatusCode::TOO_MANY_HOPS,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::TooBroad => StatusCode::MAX_BREADTH_EXCEEDED,
            Self::BadExtension { .. } => StatusCode::BAD_EXTENSION,
            Self::BadScheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::BadHeader(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated { asking, .. } => asking.status(),
            Self::NotYours { .. } | Self::WrongTransport { .. } | Self::RelayDenied | Self::TokenForged => {
                StatusCode::FORBIDDEN
            }
            Self::UnknownUser => StatusCode::NOT_FOUND,
            Self::NotRegistered | Self::FlowGone => StatusCode::TEMPORARILY_UNAVAILABLE,
            Self::NoDialog | Self::NothingToCancel => StatusCode::CALL_DOES_NOT_EXIST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadEvent => StatusCode::BAD_EVENT,
            Self::NoCommonCodec(_) | Self::BadSdp | Self::SealedBody => StatusCode::NOT_ACCEPTABLE_HERE,
            Self::Register(refusal) => refusal.status(),
            Self::UserBusy | Self::NoTrunk(Unusable::FullForUser | Unusable::UserFull) => {
                StatusCode::BUSY_HERE
            }
            Self::Overload(_)
            | Self::Draining
            | Self::NoTrunk(_)
            | Self::RelayUnavailable
            | Self::UsersUnavailable
            | Self::NoDecision
            | Self::Paused { .. }
            | Self::TooFast
            | Self::Late { .. } => StatusCode::SERVICE_UNAVAILABLE,
            // What is no code of an answer does not pass its reader.
            Self::Decided(rejection) => StatusCode::new(rejection.status).unwrap_or(StatusCode::FORBIDDEN),
            // A 503 would make the caller avoid this proxy, not the one behind it (RFC 3261 section 16.7, step 6).
            Self::StoreFailed | Self::Unreachable | Self::TrunkRefusedUs | Self::TrunkRedirected => {
                StatusCode::SERVER_INTERNAL_ERROR
            }
            Self::Unresolved(failure) => match failure {
                Failure::NoAddress(_) | Failure::NoTransport(_) => StatusCode::NOT_FOUND,
                Failure::Unanswered(_) => StatusCode::SERVER_INTERNAL_ERROR,
                Failure::Busy => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// True when anybody can bring it about, who has proven nothing yet. Such a refusal is sent once and not remembered:
    /// whoever asks in the name of many addresses must not fill the memory, nor have answers repeated to them.
    pub fn needs_no_proof(&self) -> bool {
        match self {
            Self::TooManyHops
            | Self::Loop
            | Self::BadExtension { .. }
            | Self::BadScheme
            | Self::BadHeader(_)
            | Self::Paused { .. }
            | Self::TooFast
            | Self::Late { .. }
            | Self::RelayDenied
            | Self::TokenForged
            | Self::NoDialog
            | Self::NothingToCancel => true,
            // A wrong password that is repeated by the network must not count twice.
            Self::Unauthenticated { failure, .. } => !matches!(failure, AuthFailure::WrongSecret { .. }),
            _ => false,
        }
    }

    /// A short stable word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooManyHops => "too_many_hops",
            Self::Loop => "loop",
            Self::TooBroad => "too_broad",
            Self::BadExtension { .. } => "bad_extension",
            Self::BadScheme => "bad_scheme",
            Self::BadHeader(_) => "bad_header",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Paused { .. } => "paused",
            Self::TooFast => "too_fast",
            Self::Late { .. } => "late",
            Self::WrongTransport { .. } => "wrong_transport",
            Self::NotYours { .. } => "not_yours",
            Self::RelayDenied => "relay_denied",
            Self::TokenForged => "token_forged",
            Self::UnknownUser => "unknown_user",
            Self::NotRegistered => "not_registered",
            Self::FlowGone => "flow_gone",
            Self::NoDialog => "no_dialog",
            Self::NothingToCancel => "nothing_to_cancel",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BadEvent => "bad_event",
            Self::NoCommonCodec(_) => "no_common_codec",
            Self::BadSdp => "bad_sdp",
            Self::SealedBody => "sealed_body",
            Self::Register(refusal) => refusal.label(),
            Self::UserBusy => "user_busy",
            Self::Overload(_) => "overload",
            Self::RelayUnavailable => "relay_unavailable",
            Self::UsersUnavailable => "users_unavailable",
            Self::NoDecision => "no_decision",
            Self::Decided(_) => "rejected_by_hook",
            Self::StoreFailed => "store_failed",
            Self::Unreachable => "unreachable",
            Self::Unresolved(_) => "unresolved",
            Self::Draining => "draining",
            Self::NoTrunk(_) => "no_trunk",
            Self::TrunkRefusedUs => "trunk_refused_us",
            Self::TrunkRedirected => "trunk_redirected",
        }
    }

    /// The Warning header that goes with the answer (RFC 3261 section 20.43): code and text.
    pub fn warning(&self) -> Option<(u16, String)> {
        match self {
            Self::NoCommonCodec(no_codec) => Some((305, no_codec.to_string())),
            Self::BadSdp => Some((399, "the media relay cannot read this SDP".to_owned())),
            Self::SealedBody => {
                let text = "a body that is signed or encrypted cannot be written for the media relay";
                Some((399, text.to_owned()))
            }
            _ => None,
        }
    }

    /// Seconds for Retry-After.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Paused { seconds } | Self::Late { seconds } => Some(*seconds),
            Self::Draining => Some(DRAINING_RETRY_AFTER_S),
            Self::TooFast => Some(1),
            Self::Overload(_)
            | Self::NoTrunk(_)
            | Self::RelayUnavailable
            | Self::UsersUnavailable
            | Self::NoDecision
            | Self::Register(RegisterRefusal::Full)
            | Self::Unresolved(Failure::Busy) => Some(5),
            _ => None,
        }
    }
}
