//! What an agent wants done, and what it tells.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use viaduct_sip::StatusCode;

use crate::{Family, MediaParams, Service};

/// One call's media, and with it the call. Never used twice in the life of an agent; agents of several shards count
/// each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// The number, from 1 on.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the shell must do next. For one stream the order is [`OpenMedia`](Self::OpenMedia), any number of
/// [`UpdateMedia`](Self::UpdateMedia), [`CloseMedia`](Self::CloseMedia).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Hand these octets, one message, to the proxy of the same shard over the local flow.
    Send {
        /// One whole message.
        octets: Bytes,
    },
    /// Open two UDP sockets, make a [`Stream`](crate::Stream) for them, and say where they are with
    /// [`Agent::handle_media_opened`](crate::Agent::handle_media_opened). The caller waits for it.
    OpenMedia {
        /// Which.
        stream: StreamId,
        /// What shall be heard.
        service: Service,
        /// The family that the sockets must have.
        family: Family,
        /// What was agreed so far; [`MediaParams::remote`] is empty until an INVITE without offer is acknowledged.
        params: MediaParams,
    },
    /// Something was agreed anew: hold, resume, another address. For [`Stream::update`](crate::Stream::update).
    UpdateMedia {
        /// Which.
        stream: StreamId,
        /// What holds from here on.
        params: MediaParams,
    },
    /// Let [`Stream::goodbye`](crate::Stream::goodbye) say its last word and close the sockets. Also for a stream that
    /// is not open yet: what opens later is to be closed.
    CloseMedia {
        /// Which.
        stream: StreamId,
    },
    /// For logs and people.
    Event(Event),
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody calls a service; its media is being opened.
    CallStarted {
        /// Which.
        stream: StreamId,
        /// What was called.
        service: Service,
        /// Call-ID, as the caller's proxy sees it.
        call_id: String,
    },
    /// The 200 left.
    CallAnswered {
        /// Which.
        stream: StreamId,
    },
    /// There is no media for a call; its [`CallEnded`](Self::CallEnded) follows.
    MediaFailed {
        /// Which.
        stream: StreamId,
        /// Why.
        error: MediaOpenError,
    },
    /// A call that was started is over.
    CallEnded {
        /// Which.
        stream: StreamId,
        /// By whom or by what.
        end: CallEnd,
        /// From the 200 on; zero when there was none.
        talked: Duration,
    },
    /// The caller pressed a key.
    Digit {
        /// Which.
        stream: StreamId,
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: char,
        /// How it came.
        source: DigitSource,
    },
    /// A request was refused.
    Refused {
        /// Its Call-ID.
        call_id: String,
        /// Its method.
        method: String,
        /// The code of the answer.
        status: StatusCode,
        /// Why, in words.
        reason: String,
    },
}

/// How a key press came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigitSource {
    /// In an INFO request.
    Info,
    /// As telephone-event in RTP (RFC 4733).
    Rtp,
}

/// What ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// The caller hung up.
    Caller,
    /// The caller gave up before the answer.
    Cancelled,
    /// The shell could not open media, or took too long.
    MediaUnavailable,
    /// The 200 was never acknowledged.
    NotAcknowledged,
    /// The ACK brought no answer to our offer, or none that we can use.
    BadAnswer,
    /// [`Times::session_max`](crate::Times::session_max) is over.
    TooLong,
    /// The caller sent no media for [`StreamConfig::silence_max`](crate::StreamConfig::silence_max).
    Silent,
    /// [`Agent::hang_up`](crate::Agent::hang_up) was called.
    Operator,
}

impl CallEnd {
    /// The value of the Reason header in our BYE (RFC 3326). `None` for ends that need no BYE.
    pub fn reason_header(self) -> Option<&'static str> {
        match self {
            Self::Caller | Self::Cancelled | Self::MediaUnavailable => None,
            Self::NotAcknowledged => Some("SIP;cause=408;text=\"ACK missing\""),
            Self::BadAnswer => Some("SIP;cause=488;text=\"No usable answer in ACK\""),
            Self::TooLong => Some("SIP;cause=480;text=\"Call too long\""),
            Self::Silent => Some("SIP;cause=408;text=\"No media\""),
            Self::Operator => Some("SIP;cause=480;text=\"Ended by operator\""),
        }
    }
}

/// Why there is no media for a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaOpenError {
    /// No port is free.
    #[error("no free port")]
    NoPort,
    /// There is no address of this family to offer.
    #[error("no address of this family")]
    NoFamily,
    /// The system says no.
    #[error("{0}")]
    Io(String),
    /// The shell gave an address that no caller could send to. Made by the agent.
    #[error("unusable address {0}")]
    Unusable(SocketAddr),
    /// The shell took longer than [`Times::media_open_max`](crate::Times::media_open_max). Made by the agent.
    #[error("not opened in time")]
    TimedOut,
}
