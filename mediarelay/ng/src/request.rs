//! Requests: a command with typed fields, read from a value and written to one.

mod ignored;
mod other;
pub(crate) mod reader;
mod subscription;

pub use ignored::{Ignored, Why};
pub use other::{OtherCommand, OtherRequest};
pub use subscription::{Publish, SubscribeAnswer, SubscribeRequest, Unsubscribe};

use std::sync::Arc;
use std::time::Duration;

use crate::byte_string::ByteString;
use crate::decode::DecodeError;
use crate::error_reason::ErrorReason;
use crate::flags;
use crate::options::put;
use crate::options::{Flag, Options};
use crate::packet::Encoding;
use crate::reply::Reply;
use crate::templates::Templates;
use crate::value::{Dict, Value};
use crate::words::{Word, WordSet, same};
use reader::Reader;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `ping`
    Ping,
    /// `offer`
    Offer(Box<Offer>),
    /// `answer`
    Answer(Box<Answer>),
    /// `delete`
    Delete(Delete),
    /// `query`
    Query(Query),
    /// `list`
    List(List),
    /// `statistics`
    Statistics,
    /// `subscribe request`
    SubscribeRequest(Box<SubscribeRequest>),
    /// `subscribe answer`
    SubscribeAnswer(Box<SubscribeAnswer>),
    /// `unsubscribe`
    Unsubscribe(Unsubscribe),
    /// `publish`
    Publish(Box<Publish>),
    /// A command of the protocol that has no type of its own here. One that is not of the protocol is a
    /// [`RequestError`].
    Other(OtherRequest),
}

/// `offer`: makes or changes a call. Also carries trickle ICE fragments, with [`Flag::Fragment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// `sdp`: the sender's description.
    pub sdp: ByteString,
    /// `call-id`: not empty; compared octet by octet.
    pub call_id: ByteString,
    /// `from-tag`: the party that sends this offer.
    pub from_tag: ByteString,
    /// `to-tag`, within a dialog.
    pub to_tag: Option<ByteString>,
    /// `via-branch`: tells parallel forks apart.
    pub via_branch: Option<ByteString>,
    /// Everything else.
    pub options: Options,
}

/// `answer`. The tags are the caller's and the callee's, as in the dialog: the callee's party sends the SDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `sdp`: the sender's description.
    pub sdp: ByteString,
    /// `call-id`: not empty; compared octet by octet.
    pub call_id: ByteString,
    /// `from-tag`: the party that gets the answer.
    pub from_tag: ByteString,
    /// `to-tag`: the party that sends it. Not empty.
    pub to_tag: ByteString,
    /// `via-branch`: tells parallel forks apart.
    pub via_branch: Option<ByteString>,
    /// Everything else.
    pub options: Options,
}

/// `delete`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// `call-id`: not empty.
    pub call_id: ByteString,
    /// `from-tag`: narrows to a branch.
    pub from_tag: Option<ByteString>,
    /// `to-tag`: counts only with [`Flag::ToTag`].
    pub to_tag: Option<ByteString>,
    /// `via-branch`: narrows to a branch.
    pub via_branch: Option<ByteString>,
    /// `delete-delay`: whole seconds; absent means as configured.
    pub delete_delay: Option<Duration>,
    /// `flags`
    pub flags: WordSet<Flag>,
}

/// `query`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// `call-id`: not empty.
    pub call_id: ByteString,
    /// `from-tag`: narrows what is shown.
    pub from_tag: Option<ByteString>,
    /// `to-tag`: narrows what is shown.
    pub to_tag: Option<ByteString>,
}

/// `list`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct List {
    /// `limit`: most calls to name. [`LIMIT_DEFAULT`](Self::LIMIT_DEFAULT) when absent.
    pub limit: Option<u32>,
}

impl List {
    /// Calls named without a `limit`.
    pub const LIMIT_DEFAULT: u32 = 32;
}

/// A request as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The request.
    pub request: Request,
    /// What else stood in the message, in its order: to be logged once a name. At most
    /// [`IGNORED_MAX`](Self::IGNORED_MAX) entries.
    pub ignored: Vec<Ignored>,
}

impl Received {
    /// Ignored parts that are named; further ones are left out.
    pub const IGNORED_MAX: usize = 64;
}

/// Why a message is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The body cannot be read.
    #[error("{error}")]
    Undecodable {
        /// How the body is written.
        encoding: Encoding,
        /// Where it breaks.
        error: DecodeError,
    },
    /// The body is not a dictionary, or has no `command`.
    #[error("no command")]
    NoCommand,
    /// No such command. Commands count case.
    #[error("unrecognized command {0:?}")]
    UnrecognizedCommand(ByteString),
    /// No `sdp`, or an empty one.
    #[error("no sdp")]
    NoSdp,
    /// No `call-id`, or an empty one.
    #[error("no call-id")]
    NoCallId,
    /// No `from-tag`.
    #[error("no from-tag")]
    NoFromTag,
    /// No `to-tag`, or an empty one.
    #[error("no to-tag")]
    NoToTag,
}

impl RequestError {
    /// The text to answer with.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Undecodable { encoding, .. } => encoding.undecodable(),
            Self::NoCommand => ErrorReason::NoCommand,
            Self::UnrecognizedCommand(_) => ErrorReason::UnrecognizedCommand,
            Self::NoSdp => ErrorReason::NoSdp,
            Self::NoCallId => ErrorReason::NoCallId,
            Self::NoFromTag => ErrorReason::NoFromTag,
            Self::NoToTag => ErrorReason::NoToTag,
        }
    }

    /// The reply to send.
    pub fn reply(&self) -> Reply {
        Reply::error(self.reason())
    }
}

impl Request {
    /// Reads a request. Only what is missing is an error; what is unknown or unusable is ignored and
    /// named. Keys may be spelled with hyphens, spaces or underscores and in any case.
    pub fn from_value(value: &Value) -> Result<Received, RequestError> {
        Self::from_value_with(value, &Arc::default())
    }

    /// The same, with flag strings that the request may refer to.
    pub fn from_value_with(value: &Value, templates: &Arc<Templates>) -> Result<Received, RequestError> {
        let dict = value.as_dict().ok_or(RequestError::NoCommand)?;
        let command = dict
            .get("command")
            .and_then(Value::as_bytes)
            .ok_or(RequestError::NoCommand)?;
        if let Some(command) = OtherCommand::from_name(command) {
            let mut body = dict.clone();
            body.remove("command");
            return Ok(Received {
                request: Self::Other(OtherRequest { command, body }),
                ignored: Vec::new(),
            });
        }
        let request: fn(&mut Reader) -> Result<Self, RequestError> = match command.as_bytes() {
            b"ping" => |_| Ok(Self::Ping),
            b"offer" => |reader| Ok(Self::Offer(Box::new(read_offer(reader)?))),
            b"answer" => |reader| Ok(Self::Answer(Box::new(read_answer(reader)?))),
            b"delete" => |reader| Ok(Self::Delete(read_delete(reader)?)),
            b"query" => |reader| Ok(Self::Query(read_query(reader)?)),
            b"list" => |reader| Ok(Self::List(List { limit: reader.limit })),
            b"statistics" => |_| Ok(Self::Statistics),
            b"publish" => |reader| Ok(Self::Publish(Box::new(Publish::read(reader)?))),
            b"subscribe request" => {
                |reader| Ok(Self::SubscribeRequest(Box::new(SubscribeRequest::read(reader)?)))
            }
            b"subscribe answer" => {
                |reader| Ok(Self::SubscribeAnswer(Box::new(SubscribeAnswer::read(reader)?)))
            }
            b"unsubscribe" => |reader| Ok(Self::Unsubscribe(Unsubscribe::read(reader)?)),
            _ => return Err(RequestError::UnrecognizedCommand(command.clone())),
        };
        let mut reader = Reader::default();
        for text in templates.of_command(&command.to_text()) {
            flags::read_rtpp_flags(text, &mut reader);
        }
        reader.templates = Arc::clone(templates);
        // What it says itself beats a template, wherever that stands.
        let named = dict.iter().filter(|(key, _)| is_template(key));
        let own = dict.iter().filter(|(key, _)| !is_template(key));
        for (key, value) in named.chain(own) {
            reader.key(key, value);
        }
        let request = request(&mut reader)?;
        Ok(Received {
            request,
            ignored: reader.ignored,
        })
    }

    /// Writes a request, in spellings that rtpengine 10.5 and the newest release both take.
    pub fn to_value(&self) -> Value {
        let mut dict = Dict::new();
        dict.insert("command", Value::text(self.command()));
        match self {
            Self::Ping | Self::Statistics => {}
            Self::Offer(offer) => {
                let Offer {
                    sdp,
                    call_id,
                    from_tag,
                    to_tag,
                    via_branch,
                    options,
                } = &**offer;
                dict.insert("sdp", Value::Bytes(sdp.clone()));
                write_ids(
                    &mut dict,
                    call_id,
                    Some(from_tag),
                    to_tag.as_ref(),
                    via_branch.as_ref(),
                );
                options.write(&mut dict);
            }
            Self::Answer(answer) => {
                let Answer {
                    sdp,
                    call_id,
                    from_tag,
                    to_tag,
                    via_branch,
                    options,
                } = &**answer;
                dict.insert("sdp", Value::Bytes(sdp.clone()));
                write_ids(
                    &mut dict,
                    call_id,
                    Some(from_tag),
                    Some(to_tag),
                    via_branch.as_ref(),
                );
                options.write(&mut dict);
            }
            Self::Delete(delete) => {
                let Delete {
                    call_id,
                    from_tag,
                    to_tag,
                    via_branch,
                    delete_delay,
                    flags,
                } = delete;
                write_ids(
                    &mut dict,
                    call_id,
                    from_tag.as_ref(),
                    to_tag.as_ref(),
                    via_branch.as_ref(),
                );
                let options = Options {
                    delete_delay: *delete_delay,
                    flags: *flags,
                    ..Options::default()
                };
                options.write(&mut dict);
            }
            Self::Query(Query {
                call_id,
                from_tag,
                to_tag,
            }) => {
                write_ids(&mut dict, call_id, from_tag.as_ref(), to_tag.as_ref(), None);
            }
            Self::List(List { limit }) => {
                put(
                    &mut dict,
                    "limit",
                    limit.map(|limit| Value::Integer(limit.into())),
                );
            }
            Self::Publish(publish) => publish.write(&mut dict),
            Self::SubscribeRequest(request) => request.write(&mut dict),
            Self::SubscribeAnswer(answer) => answer.write(&mut dict),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(&mut dict),
            Self::Other(other) => dict.extend(other.body.clone()),
        }
        Value::Dict(dict)
    }

    /// The command's name.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Offer(_) => "offer",
            Self::Answer(_) => "answer",
            Self::Delete(_) => "delete",
            Self::Query(_) => "query",
            Self::List(_) => "list",
            Self::Statistics => "statistics",
            Self::Publish(_) => "publish",
            Self::SubscribeRequest(_) => "subscribe request",
            Self::SubscribeAnswer(_) => "subscribe answer",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Other(other) => other.command.name(),
        }
    }

    /// The call it is about.
    pub fn call_id(&self) -> Option<&ByteString> {
        match self {
            Self::Offer(offer) => Some(&offer.call_id),
            Self::Answer(answer) => Some(&answer.call_id),
            Self::Delete(delete) => Some(&delete.call_id),
            Self::Query(query) => Some(&query.call_id),
            Self::Publish(publish) => publish.call_id.as_ref(),
            Self::SubscribeRequest(request) => Some(&request.call_id),
            Self::SubscribeAnswer(answer) => Some(&answer.call_id),
            Self::Unsubscribe(unsubscribe) => Some(&unsubscribe.call_id),
            Self::Other(other) => other.body.get("call-id").and_then(Value::as_bytes),
            Self::Ping | Self::List(_) | Self::Statistics => None,
        }
    }
}

fn is_template(key: &ByteString) -> bool {
    key.as_text().is_some_and(|key| same(key, "template"))
}

fn read_offer(reader: &mut Reader) -> Result<Offer, RequestError> {
    Ok(Offer {
        sdp: reader.take_sdp()?,
        call_id: reader.take_call_id()?,
        from_tag: reader.take_from_tag()?,
        to_tag: reader.take_to_tag(),
        via_branch: reader.via_branch.take(),
        options: std::mem::take(&mut reader.options),
    })
}

fn read_answer(reader: &mut Reader) -> Result<Answer, RequestError> {
    Ok(Answer {
        sdp: reader.take_sdp()?,
        call_id: reader.take_call_id()?,
        from_tag: reader.take_from_tag()?,
        to_tag: reader.take_to_tag().ok_or(RequestError::NoToTag)?,
        via_branch: reader.via_branch.take(),
        options: std::mem::take(&mut reader.options),
    })
}

fn read_delete(reader: &mut Reader) -> Result<Delete, RequestError> {
    Ok(Delete {
        call_id: reader.take_call_id()?,
        from_tag: reader.take_from_tag().ok(),
        to_tag: reader.take_to_tag(),
        via_branch: reader.via_branch.take(),
        delete_delay: reader.options.delete_delay,
        flags: reader.options.flags,
    })
}

fn read_query(reader: &mut Reader) -> Result<Query, RequestError> {
    Ok(Query {
        call_id: reader.take_call_id()?,
        from_tag: reader.take_from_tag().ok(),
        to_tag: reader.take_to_tag(),
    })
}

fn write_ids(
    dict: &mut Dict,
    call_id: &ByteString,
    from_tag: Option<&ByteString>,
    to_tag: Option<&ByteString>,
    via_branch: Option<&ByteString>,
) {
    dict.insert("call-id", Value::Bytes(call_id.clone()));
    put(dict, "from-tag", from_tag.cloned().map(Value::Bytes));
    put(dict, "to-tag", to_tag.cloned().map(Value::Bytes));
    put(dict, "via-branch", via_branch.cloned().map(Value::Bytes));
}

#[cfg(test)]
mod tests;
