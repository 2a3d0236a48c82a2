//! What the shell must do for a proxy, and what it may want to know.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use viaduct_ng as ng;
use viaduct_resolve::{Candidate, NextHop};
use viaduct_sip::{Aor, ParseErrorKind, Transport};
use viaduct_trunk::HookQuery;
use viaduct_txn::{ClientId, Flow, Hop};

use crate::{AuthFailure, Failed, Flags};

/// Names one thing that the shell was asked to do and whose result is awaited. Each is unique within its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a message whose fate its sender wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendId(pub(crate) ClientId);

/// What the shell must do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Put these octets on the wire. When that cannot be done and there is an id, say so with
    /// [`handle_send_failed`](crate::Proxy::handle_send_failed).
    Send {
        /// Where to.
        hop: Hop,
        /// One whole message.
        octets: Bytes,
        /// Whose failure matters.
        id: Option<SendId>,
    },
    /// Ask the relay, and give its reply to [`handle_relay`](crate::Proxy::handle_relay). Without a ticket nobody waits
    /// for the reply.
    Relay {
        /// To be given back.
        ticket: Option<Ticket>,
        /// What to ask.
        request: ng::Request,
    },
    /// Make these changes durable, together, then call [`handle_stored`](crate::Proxy::handle_stored).
    Store {
        /// To be given back. Without one nobody waits.
        ticket: Option<Ticket>,
        /// What changed.
        changes: Vec<Change>,
    },
    /// Find the addresses of a next hop, and give them to [`handle_resolved`](crate::Proxy::handle_resolved).
    Resolve {
        /// To be given back.
        ticket: Ticket,
        /// What to resolve.
        next_hop: NextHop,
    },
    /// An address that a next hop led to did not take a request: others are the better choice for a while.
    Dead {
        /// How it was tried.
        transport: Transport,
        /// Where.
        remote: SocketAddr,
    },
    /// Ask the source of users for these names, put its answers into the [`Directory`](crate::Directory), then call
    /// [`handle_looked_up`](crate::Proxy::handle_looked_up).
    LookUp {
        /// To be given back.
        ticket: Ticket,
        /// The names, none twice.
        names: Vec<String>,
    },
    /// Ask the hook about this request, and give what it decides to
    /// [`handle_decided`](crate::Proxy::handle_decided).
    Decide {
        /// To be given back.
        ticket: Ticket,
        /// What is to be decided.
        query: Box<HookQuery>,
    },
    /// Something happened that people or counters may care about.
    Event(Event),
}

/// One address of a next hop, and from where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    /// The address to try.
    pub candidate: Candidate,
    /// The address of this machine that messages to it leave from.
    pub source: IpAddr,
}

/// One change to the stored registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A binding was made or refreshed.
    Put {
        /// Whose.
        aor: Aor,
        /// The contact and everything about it.
        record: Box<BindingRecord>,
    },
    /// A binding is gone.
    Delete {
        /// Whose.
        aor: Aor,
        /// Its Contact URI.
        uri: Arc<str>,
    },
}

/// A binding as it is stored: with the time of day instead of instants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingRecord {
    /// The Contact URI.
    pub uri: String,
    /// Preference in thousandths.
    pub q: u16,
    /// When it ends, seconds since 1970.
    pub expires_unix: u64,
    /// When it was first made, seconds since 1970.
    pub since_unix: u64,
    /// Call-ID of its REGISTER.
    pub call_id: String,
    /// CSeq number of its REGISTER.
    pub cseq: u32,
    /// Device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Flow of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reg_id: Option<u32>,
    /// Routers on the way to it, as one header value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Transport of the flow, as a Via token.
    pub transport: String,
    /// Local address of the flow.
    pub local: SocketAddr,
    /// Remote address of the flow.
    pub remote: SocketAddr,
    /// Branch flags.
    pub flags: Flags,
    /// What the device calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The number of a call in lists and logs: short, and never used twice by one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallNumber(pub u64);

/// Something that people or counters may care about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A contact was registered that was not there before.
    Registered {
        /// Whose.
        aor: Aor,
        /// The Contact URI.
        uri: Arc<str>,
        /// How it is reached.
        flow: Flow,
        /// What the device calls itself.
        user_agent: Option<Arc<str>>,
    },
    /// A contact is gone.
    Unregistered {
        /// Whose.
        aor: Aor,
        /// The Contact URI.
        uri: Arc<str>,
        /// Why.
        reason: UnregisterReason,
    },
    /// Credentials were wrong. First requests without any are not told.
    AuthFailed {
        /// Where the request came from.
        flow: Flow,
        /// What is wrong with them.
        failure: AuthFailure,
        /// What a wrong password led to. `None` when it leads to nothing, or when something else is wrong.
        consequence: Option<Failed>,
    },
    /// A request was refused by the proxy itself.
    Refused {
        /// Where it came from.
        flow: Flow,
        /// Its method.
        method: String,
        /// Its Request-URI.
        uri: String,
        /// The code of the answer.
        status: u16,
        /// Why, in words.
        reason: String,
    },
    /// Octets were no SIP message.
    BadMessage {
        /// Where they came from.
        flow: Flow,
        /// What is wrong with them.
        fault: ParseErrorKind,
    },
    /// A call began to ring somewhere, or to be looked for.
    CallStarted {
        /// Its number.
        call: CallNumber,
        /// Its Call-ID.
        call_id: String,
        /// Who calls.
        from: String,
        /// What was dialled.
        to: String,
    },
    /// A call was answered.
    CallAnswered {
        /// Its number.
        call: CallNumber,
        /// From INVITE to 2xx.
        after: Duration,
    },
    /// A call is over, or never came about.
    CallEnded {
        /// Its number.
        call: CallNumber,
        /// How.
        end: CallEnd,
        /// From answer to end; `None` when it was never answered.
        talked: Option<Duration>,
    },
    /// Something about a trunk has changed.
    Trunk {
        /// Its name.
        trunk: String,
        /// What.
        change: TrunkChange,
    },
    /// The relay could not be reached, or refused.
    RelayFailed {
        /// The call's Call-ID.
        call_id: String,
        /// What it said, or that it said nothing.
        reason: String,
    },
}

/// What has changed about a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrunkChange {
    /// It answers.
    Up,
    /// It does not answer.
    Down,
    /// It keeps our registration.
    Registered,
    /// It does not.
    NotRegistered {
        /// What it said, or that it said nothing.
        reason: String,
    },
}

/// Why a contact is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnregisterReason {
    /// The device said so.
    Removed,
    /// Its time was over.
    Expired,
    /// Its connection was closed.
    ConnectionClosed,
    /// Its user is not in the configuration.
    NobodysName,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// The caller hung up.
    ByCaller,
    /// The callee hung up.
    ByCallee,
    /// The caller gave up before an answer.
    Cancelled,
    /// Nobody took it: the final code and its reason.
    Failed {
        /// The code that the caller got.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// The proxy ended it.
    ByProxy(ProxyEnd),
}

/// Why the proxy ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyEnd {
    /// The connection of one side is gone and it sends nothing.
    FlowLost,
    /// No media at all for the relay's time limit.
    MediaTimeout,
    /// The longest time that a call may take.
    TooLong,
    /// An operator said so.
    Operator,
    /// The relay could not do what the call needs.
    RelayFailed,
    /// One side answered that there is no such call.
    DialogGone,
    /// Its ends had promised to refresh it and did not (RFC 4028).
    NotRefreshed,
}

impl ProxyEnd {
    /// The value of the Reason header in the BYE (RFC 3326).
    pub fn reason_header(self) -> &'static str {
        match self {
            Self::FlowLost => "SIP;cause=480;text=\"Connection lost\"",
            Self::MediaTimeout => "SIP;cause=408;text=\"No media\"",
            Self::TooLong => "SIP;cause=480;text=\"Call too long\"",
            Self::Operator => "SIP;cause=480;text=\"Ended by operator\"",
            Self::RelayFailed => "SIP;cause=503;text=\"Media relay failed\"",
            Self::DialogGone => "SIP;cause=481;text=\"Other side knows no such call\"",
            Self::NotRefreshed => "SIP;cause=408;text=\"Session not refreshed\"",
        }
    }

    /// The same in plain words.
    pub fn words(self) -> &'static str {
        match self {
            Self::FlowLost => "its connection is gone and it sends no media",
            Self::MediaTimeout => "no media from either side",
            Self::TooLong => "it took longer than allowed",
            Self::Operator => "ended by the operator",
            Self::RelayFailed => "the media relay failed",
            Self::DialogGone => "one side knows no such call",
            Self::NotRefreshed => "nobody refreshed it in time",
        }
    }
}

/// A hook did not decide: it could not be asked, took too long, or said what is no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hook does not decide")]
pub struct NoDecision;

/// Why the relay gave no usable reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayFailure {
    /// No reply in time.
    #[error("the media relay does not answer")]
    Timeout,
    /// The request could not be sent, or too many wait.
    #[error("the media relay cannot be asked")]
    Unavailable,
}
