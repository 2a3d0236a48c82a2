//! What happens to calls, for logs, for people, and for a proxy that must end a call.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use viaduct_ng::{ByteString, Totals};
use viaduct_rtp::srtp::SrtpProfile;

/// Which m-line of which party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRef {
    /// The party's tag; empty while it has none.
    pub tag: ByteString,
    /// Position in its SDP, from 1.
    pub index: usize,
    /// `audio`, `video`, …
    pub kind: String,
}

/// Something happened to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The call.
    pub call_id: ByteString,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The first offer came.
    Created,
    /// An answer came, the first of the call.
    Answered {
        /// Time since the first offer.
        after: Duration,
    },
    /// The first packet of an m-line went on to the other side.
    MediaStarted {
        /// Who sends it.
        from: MediaRef,
        /// The tag of the party that hears it.
        to: ByteString,
        /// Time since the answer; zero for media that was earlier.
        after: Duration,
    },
    /// The first packet of a publisher's m-line came, whoever hears it (NG `publish`).
    PublisherHeard {
        /// The m-line.
        media: MediaRef,
    },
    /// Both sides of an m-line hear each other.
    MediaBothWays {
        /// The m-line, as the party that offered it numbers it.
        media: MediaRef,
        /// Time since the answer; zero for media that was earlier.
        after: Duration,
    },
    /// The endpoint of a peer without ICE is not the one of its SDP.
    EndpointLearnt {
        /// Whose.
        media: MediaRef,
        /// Where its media comes from.
        endpoint: SocketAddr,
    },
    /// ICE has a path for an m-line and those bundled with it.
    IceConnected {
        /// Whose.
        media: MediaRef,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// ICE has moved to another path.
    IceMoved {
        /// Whose.
        media: MediaRef,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// ICE has no path, or none any more. Media stops unless the peer comes back.
    IceFailed {
        /// Whose.
        media: MediaRef,
        /// Why.
        reason: IceFailure,
    },
    /// A DTLS handshake is over and the peer's certificate is the one of its SDP.
    DtlsConnected {
        /// Whose.
        media: MediaRef,
        /// How media is protected.
        profile: SrtpProfile,
    },
    /// There are no keys, and no media will pass.
    DtlsFailed {
        /// Whose.
        media: MediaRef,
        /// Why.
        reason: DtlsFailure,
    },
    /// The peer has closed its DTLS association: it is going away.
    DtlsClosed {
        /// Whose.
        media: MediaRef,
    },
    /// An SRTP m-line was accepted with nothing that we could take keys from.
    NoKeys {
        /// Whose.
        media: MediaRef,
    },
    /// Another call has become part of this one, because a party of it was connected with one of this call.
    Merged {
        /// Its id, which means this call from here on.
        call_id: ByteString,
    },
    /// A digit was dialled, and somebody wants to know.
    Digit(Box<Digit>),
    /// The call is gone, and all that belonged to it.
    Deleted {
        /// Why.
        reason: DeleteReason,
        /// Time since the first offer.
        lasted: Duration,
        /// What was relayed.
        totals: Box<Totals>,
    },
}

/// A digit that was dialled (RFC 4733), once it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digit {
    /// Who is to be told in any case (NG `DTMF-log-dest`).
    pub to: Option<SocketAddr>,
    /// Who dialled.
    pub source_tag: ByteString,
    /// Everybody who takes part.
    pub tags: Vec<ByteString>,
    /// Where it came from.
    pub source: IpAddr,
    /// 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D.
    pub event: u8,
    /// How long it was held.
    pub duration: Duration,
    /// Loudness in -dBm0, 0 to 63.
    pub volume: u8,
}

/// Why ICE has no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceFailure {
    /// No check has succeeded in time.
    NoPath,
    /// The checks on the selected path have stopped.
    ConsentLost,
}

/// Why a DTLS handshake gave no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtlsFailure {
    /// The certificate is not the one of the SDP.
    WrongFingerprint,
    /// The handshake did not end in time.
    TimedOut,
    /// The peer negotiated no SRTP profile, or one that we do not have.
    NoSrtpProfile,
    /// There are as many associations as there may be.
    TooMany,
    /// The handshake failed for another reason, in words.
    Protocol(String),
}

impl fmt::Display for DtlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongFingerprint => "the peer's certificate is not the one of its SDP",
            Self::TimedOut => "the handshake did not end in time",
            Self::NoSrtpProfile => "no common SRTP profile",
            Self::TooMany => "too many DTLS associations",
            Self::Protocol(reason) => reason,
        })
    }
}

/// Why a call is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeleteReason {
    /// `delete`, its delay over.
    Requested,
    /// The first offer could not be served.
    Refused,
    /// No packet for [`Config::media_timeout`](crate::Config::media_timeout): a proxy should end the SIP call.
    MediaTimeout,
    /// The same while on hold.
    SilentTimeout,
    /// Never answered.
    OfferTimeout,
    /// Reached [`Config::final_timeout`](crate::Config::final_timeout).
    FinalTimeout,
}
