//! A room: who publishes there, and who hears whom.

use std::collections::BTreeMap;

use viaduct_ng::ByteString;

use crate::stream::{Stream, Wanted};

/// See the module. People in it are named by their handles.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// The handle that has created it. The room ends when that is gone and nobody is there any more.
    pub(crate) creator: u64,
    pub(crate) publishers_max: usize,
    pub(crate) publishers: BTreeMap<u64, Publisher>,
    /// Who subscribes.
    pub(crate) subscribers: BTreeMap<u64, Subscriber>,
}

/// Somebody who publishes, or may.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    /// The name by which others subscribe to it.
    pub(crate) feed: u64,
    pub(crate) publication: Option<Publication>,
}

/// What somebody publishes.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// As its client has written it.
    pub(crate) offer: String,
    pub(crate) wanted: Wanted,
    pub(crate) streams: Vec<Stream>,
    /// Its client knows that media comes.
    pub(crate) is_up: bool,
}

/// Somebody who subscribes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subscriber {
    /// Its client knows that there is a connection.
    pub(crate) is_up: bool,
}

impl Room {
    pub(crate) fn new(creator: u64, publishers_max: usize) -> Self {
        Self {
            creator,
            publishers_max,
            publishers: BTreeMap::new(),
            subscribers: BTreeMap::new(),
        }
    }

    /// The handle behind the name of a feed.
    pub(crate) fn handle_of(&self, feed: u64) -> Option<u64> {
        let mut publishers = self.publishers.iter();
        publishers
            .find(|(_, publisher)| publisher.feed == feed)
            .map(|(handle, _)| *handle)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.subscribers.is_empty()
    }

    /// Whether somebody takes part under this handle.
    pub(crate) fn has(&self, handle: u64) -> bool {
        self.publishers.contains_key(&handle) || self.subscribers.contains_key(&handle)
    }
}

/// `call-id` of a room's call.
pub(crate) fn call_id(room: u64) -> ByteString {
    format!("{CALL_ID_PREFIX}{room}").into()
}

/// The room of a call; `None` if it is another's.
pub(crate) fn room_of(call_id: &[u8]) -> Option<u64> {
    let number = call_id.strip_prefix(CALL_ID_PREFIX.as_bytes())?;
    str::from_utf8(number).ok()?.parse().ok()
}

/// As rtpengine names the calls of its rooms.
const CALL_ID_PREFIX: &str = "janus ";
