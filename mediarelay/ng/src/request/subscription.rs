//! Requests of those who only listen to a call, such as recorders (SIPREC) and monitors, and of those who only talk.

use super::reader::Reader;
use super::{RequestError, write_ids};
use crate::byte_string::ByteString;
use crate::options::{Flag, Options, put};
use crate::value::{Dict, Value};

/// `subscribe request`: asks for an offer to somebody who is to hear parties of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// `call-id`: not empty.
    pub call_id: ByteString,
    /// Whom to hear: `from-tags`, or `from-tag`. Empty where the label in `options` says it, or [`Flag::All`].
    pub from_tags: Vec<ByteString>,
    /// `to-tag`: the listener's name, which is made up where it is absent. One that listens already gets another offer.
    pub to_tag: Option<ByteString>,
    /// Everything else, as for `offer`: it says what the listener is offered.
    pub options: Options,
}

impl SubscribeRequest {
    /// Whether all parties are to be heard.
    #[must_use]
    pub fn all(&self) -> bool {
        self.options.has(Flag::All)
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, RequestError> {
        let from_tags = std::mem::take(&mut reader.from_tags);
        let from_tag = reader.from_tag.take().filter(|_| from_tags.is_empty());
        Ok(Self {
            call_id: reader.take_call_id()?,
            from_tags: from_tags.into_iter().chain(from_tag).collect(),
            to_tag: reader.take_to_tag(),
            options: std::mem::take(&mut reader.options),
        })
    }

    pub(super) fn write(&self, dict: &mut Dict) {
        write_ids(dict, &self.call_id, None, self.to_tag.as_ref(), None);
        let tags = self.from_tags.iter().cloned().map(Value::Bytes).collect();
        let tags = (!self.from_tags.is_empty()).then_some(Value::List(tags));
        put(dict, "from-tags", tags);
        self.options.write(dict);
    }
}

/// `subscribe answer`: what the listener says to its offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeAnswer {
    /// `sdp`: the listener's description.
    pub sdp: ByteString,
    /// `call-id`: not empty.
    pub call_id: ByteString,
    /// `to-tag`: the listener. Not empty.
    pub to_tag: ByteString,
    /// Everything else.
    pub options: Options,
}

impl SubscribeAnswer {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, RequestError> {
        Ok(Self {
            sdp: reader.take_sdp()?,
            call_id: reader.take_call_id()?,
            to_tag: reader.take_to_tag().ok_or(RequestError::NoToTag)?,
            options: std::mem::take(&mut reader.options),
        })
    }

    pub(super) fn write(&self, dict: &mut Dict) {
        dict.insert("sdp", Value::Bytes(self.sdp.clone()));
        write_ids(dict, &self.call_id, None, Some(&self.to_tag), None);
        self.options.write(dict);
    }
}

/// `unsubscribe`: a listener is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// `call-id`: not empty.
    pub call_id: ByteString,
    /// `to-tag`: the listener. Not empty.
    pub to_tag: ByteString,
}

impl Unsubscribe {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, RequestError> {
        Ok(Self {
            call_id: reader.take_call_id()?,
            to_tag: reader.take_to_tag().ok_or(RequestError::NoToTag)?,
        })
    }

    pub(super) fn write(&self, dict: &mut Dict) {
        write_ids(dict, &self.call_id, None, Some(&self.to_tag), None);
    }
}

/// `publish`: somebody talks to whoever will listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// `sdp`: the publisher's offer. The reply has the answer to it.
    pub sdp: ByteString,
    /// `call-id`, which is made up where it is absent.
    pub call_id: Option<ByteString>,
    /// `from-tag`: the publisher's name, which is made up where it is absent.
    pub from_tag: Option<ByteString>,
    /// Everything else.
    pub options: Options,
}

impl Publish {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, RequestError> {
        Ok(Self {
            sdp: reader.take_sdp()?,
            call_id: reader.take_call_id().ok(),
            from_tag: reader.take_from_tag().ok().filter(|tag| !tag.is_empty()),
            options: std::mem::take(&mut reader.options),
        })
    }

    pub(super) fn write(&self, dict: &mut Dict) {
        dict.insert("sdp", Value::Bytes(self.sdp.clone()));
        put(dict, "call-id", self.call_id.clone().map(Value::Bytes));
        put(dict, "from-tag", self.from_tag.clone().map(Value::Bytes));
        self.options.write(dict);
    }
}
