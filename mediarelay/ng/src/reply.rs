//! Replies: the result of a request, with typed content.

mod call;
mod record;
mod statistics;

pub use call::{
    CallReport, Counters, Endpoint, MediaFlag, MediaReport, MosEntry, MosProgression, SsrcReport,
    SsrcSummary, StreamFlag, StreamReport, Subscription, TagReport, Totals,
};
pub use record::{Entries, FlagList};
pub use statistics::{ControlStatistics, CurrentStatistics, ProxyStatistics, Statistics, TotalStatistics};

use std::fmt;

use crate::byte_string::ByteString;
use crate::error_reason::ErrorReason;
use crate::value::{Dict, Value};
use record::Field;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `result` = `pong`
    Pong,
    /// `result` = `ok`
    Ok(Box<OkReply>),
    /// `result` = `error`
    Error {
        /// `error-reason`
        reason: ErrorReason,
    },
    /// `result` = `load limit`: only for clients that say they know it
    LoadLimit {
        /// `message`
        message: LoadLimit,
    },
}

/// What a good reply carries. Which of it depends on the command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OkReply {
    /// `sdp`: for the other side.
    pub sdp: Option<ByteString>,
    /// `warning`
    pub warning: Option<ErrorReason>,
    /// `calls`: of `list`.
    pub calls: Option<Vec<ByteString>>,
    /// `statistics`
    pub statistics: Option<Box<Statistics>>,
    /// The content of `query` and `delete`: present when `tags` or `totals` is.
    pub call: Option<Box<CallReport>>,
    /// Every other key, as it came.
    pub rest: Dict,
}

/// Which limit refuses a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadLimit {
    /// `max-sessions`
    Sessions,
    /// `max-load`
    Load,
    /// `max-cpu`
    Cpu,
    /// `max-bandwidth`
    Bandwidth,
    /// A text that is none of these, as a peer sent it.
    Other(ByteString),
}

impl LoadLimit {
    /// The text, letter-exact.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Sessions => ErrorReason::ParallelSessionLimit,
            Self::Load => ErrorReason::LoadLimit,
            Self::Cpu => ErrorReason::CpuLimit,
            Self::Bandwidth => ErrorReason::BandwidthLimit,
            Self::Other(text) => ErrorReason::Other(text.clone()),
        }
    }

    /// The refusal of an offer: to clients that announce `supports` = `load limit` with the limit that was
    /// hit, to all others as the one error they know.
    pub fn reply(self, supports_load_limit: bool) -> Reply {
        if supports_load_limit {
            Reply::LoadLimit { message: self }
        } else {
            Reply::error(ErrorReason::ParallelSessionLimit)
        }
    }

    fn from_text(text: &ByteString) -> Self {
        match ErrorReason::from_text(text) {
            ErrorReason::ParallelSessionLimit => Self::Sessions,
            ErrorReason::LoadLimit => Self::Load,
            ErrorReason::CpuLimit => Self::Cpu,
            ErrorReason::BandwidthLimit => Self::Bandwidth,
            _ => Self::Other(text.clone()),
        }
    }
}

impl fmt::Display for LoadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

/// Why a value is not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not a dictionary with a `result`.
    #[error("no result")]
    NoResult,
    /// A `result` that is none of `ok`, `pong`, `error`, `load limit`.
    #[error("unknown result {0:?}")]
    UnknownResult(ByteString),
}

impl Reply {
    /// `ok` and nothing else.
    pub fn ok() -> Self {
        Self::Ok(Box::default())
    }

    /// `ok` with an SDP: the answer to `offer` and `answer`.
    pub fn sdp(sdp: impl Into<ByteString>) -> Self {
        Self::Ok(Box::new(OkReply {
            sdp: Some(sdp.into()),
            ..OkReply::default()
        }))
    }

    /// `ok` with the content of `query` and `delete`.
    pub fn call(report: CallReport) -> Self {
        Self::Ok(Box::new(OkReply {
            call: Some(Box::new(report)),
            ..OkReply::default()
        }))
    }

    /// `ok` with a `warning`.
    pub fn warning(warning: ErrorReason) -> Self {
        Self::Ok(Box::new(OkReply {
            warning: Some(warning),
            ..OkReply::default()
        }))
    }

    /// `error`
    pub fn error(reason: ErrorReason) -> Self {
        Self::Error { reason }
    }

    /// True when another node may do better: the caller should try it.
    pub fn suggests_another_node(&self) -> bool {
        match self {
            Self::Pong | Self::Ok(_) => false,
            Self::Error { reason } => reason.suggests_another_node(),
            Self::LoadLimit { .. } => true,
        }
    }

    /// Reads a reply.
    pub fn from_value(value: &Value) -> Result<Self, ReplyError> {
        let dict = value.as_dict().ok_or(ReplyError::NoResult)?;
        let result = dict
            .get("result")
            .and_then(Value::as_bytes)
            .ok_or(ReplyError::NoResult)?;
        let text = |key| dict.get(key).and_then(Value::to_bytes).unwrap_or_default();
        match result.as_bytes() {
            b"pong" => Ok(Self::Pong),
            b"error" => Ok(Self::error(ErrorReason::from_text(&text("error-reason")))),
            b"load limit" => Ok(Self::LoadLimit {
                message: LoadLimit::from_text(&text("message")),
            }),
            b"ok" => {
                let mut dict = dict.clone();
                dict.remove("result");
                Ok(Self::Ok(Box::new(OkReply::from_dict(dict))))
            }
            _ => Err(ReplyError::UnknownResult(result.clone())),
        }
    }

    /// Writes a reply.
    pub fn to_value(&self) -> Value {
        let mut dict = Dict::new();
        let result = match self {
            Self::Pong => "pong",
            Self::Ok(_) => "ok",
            Self::Error { .. } => "error",
            Self::LoadLimit { .. } => "load limit",
        };
        dict.insert("result", Value::text(result));
        match self {
            Self::Pong => {}
            Self::Ok(ok) => ok.write(&mut dict),
            Self::Error { reason } => dict.insert("error-reason", Value::Bytes(reason.to_bytes())),
            Self::LoadLimit { message } => {
                dict.insert("message", Value::Bytes(message.reason().to_bytes()));
            }
        }
        Value::Dict(dict)
    }
}

impl OkReply {
    fn from_dict(mut dict: Dict) -> Self {
        let mut ok = Self {
            sdp: Field::take_from(&mut dict, "sdp"),
            warning: Option::<ByteString>::take_from(&mut dict, "warning")
                .map(|text| ErrorReason::from_text(&text)),
            calls: Field::take_from(&mut dict, "calls"),
            statistics: Option::<Statistics>::take_from(&mut dict, "statistics").map(Box::new),
            ..Self::default()
        };
        if dict.get("tags").is_some() || dict.get("totals").is_some() {
            ok.call = CallReport::read(&Value::Dict(std::mem::take(&mut dict))).map(Box::new);
        }
        ok.rest = dict;
        ok
    }

    fn write(&self, dict: &mut Dict) {
        self.sdp.put(dict, "sdp");
        self.warning
            .as_ref()
            .map(ErrorReason::to_bytes)
            .put(dict, "warning");
        self.calls.put(dict, "calls");
        if let Some(statistics) = &self.statistics {
            statistics.put(dict, "statistics");
        }
        if let Some(call) = &self.call {
            call.write_into(dict);
        }
        dict.extend(self.rest.clone());
    }
}

#[cfg(test)]
mod tests;
