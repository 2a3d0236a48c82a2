//! The plugin `janus.plugin.videoroom`.

use serde_json::{Value, json};
use viaduct_ng::{ByteString, OkReply, Reply};

use crate::error::{
    BAD_CANDIDATE, EXISTS, FAILED, INVALID_ELEMENT, MISSING_ELEMENT, NO_ROOM, NO_SUCH_REQUEST,
    PUBLISHERS_FULL, Refusal, TOO_MANY, UNAUTHORIZED,
};
use crate::gateway::{CallEvent, Done, Gateway, Relay};
use crate::message::{Object, id, id_of, missing, required, text};
use crate::request::{self, Place};
use crate::room::{Publication, Publisher, Room, Subscriber, room_of};
use crate::session::Credential;
use crate::stream::{self, Wanted};

/// Its name.
pub(crate) const PLUGIN: &str = "janus.plugin.videoroom";

/// Publishers of a room whose creator does not say.
const PUBLISHERS_DEFAULT: u64 = 3;

/// The furthest m-line that a candidate may be for; no call has as many.
const LINE_MAX: u64 = 63;

/// A message for the plugin.
pub(crate) struct Asked<'m> {
    session: u64,
    handle: u64,
    credential: Credential,
    transaction: &'m str,
    body: &'m Object,
    jsep: Option<Jsep<'m>>,
}

/// An SDP, and what it is.
#[derive(Clone, Copy)]
struct Jsep<'m> {
    kind: &'m str,
    sdp: &'m str,
}

impl<'m> Asked<'m> {
    pub(crate) fn read(
        session: u64,
        handle: u64,
        credential: Credential,
        transaction: &'m str,
        object: &'m Object,
    ) -> Result<Self, Refusal> {
        let body = object.get("body").and_then(Value::as_object);
        let jsep = object.get("jsep").and_then(Value::as_object);
        Ok(Self {
            session,
            handle,
            credential,
            transaction,
            body: body.ok_or_else(|| missing("body"))?,
            jsep: jsep.and_then(|jsep| {
                Some(Jsep {
                    kind: text(jsep, "type")?,
                    sdp: text(jsep, "sdp")?,
                })
            }),
        })
    }

    /// The SDP, which must be of this kind.
    fn sdp(&self, kind: &str) -> Result<&'m str, Refusal> {
        let jsep = self.jsep.ok_or_else(|| failed("No SDP"))?;
        (jsep.kind == kind)
            .then_some(jsep.sdp)
            .ok_or_else(|| failed(format!("Not an {kind}")))
    }
}

fn failed(reason: impl Into<String>) -> Refusal {
    Refusal::new(FAILED, reason)
}

fn no_room() -> Refusal {
    Refusal::new(NO_ROOM, "No such room")
}

/// What the plugin says: with an SDP or without.
fn said(word: &'static str, data: &Value, jsep: Option<(&str, &ByteString)>) -> Done {
    let mut members = Object::new();
    members.insert("plugindata".to_owned(), json!({ "plugin": PLUGIN, "data": data }));
    if let Some((kind, sdp)) = jsep {
        members.insert("jsep".to_owned(), json!({ "type": kind, "sdp": sdp.to_text() }));
    }
    Done {
        word,
        members,
        names_sender: true,
    }
}

/// The relay's SDP, or why there is none.
fn sdp_of(reply: Reply) -> Result<ByteString, Refusal> {
    match reply {
        Reply::Ok(ok) => {
            let OkReply { sdp, .. } = *ok;
            sdp.ok_or_else(|| failed("No SDP"))
        }
        reply => Err(refusal_of(&reply)),
    }
}

fn refusal_of(reply: &Reply) -> Refusal {
    failed(match reply {
        Reply::Error { reason } => reason.to_string(),
        Reply::LoadLimit { message } => message.to_string(),
        Reply::Ok(_) | Reply::Pong => "No SDP".to_owned(),
    })
}

impl Gateway {
    pub(crate) fn videoroom(&mut self, asked: &Asked<'_>, relay: &mut Relay<'_>) -> Result<Done, Refusal> {
        let room = id_of(asked.body, "room");
        match required(asked.body, "request", "message.request")? {
            "create" => self.create_room(asked, relay),
            "exists" => {
                let exists = room.is_some_and(|room| self.rooms.contains_key(&room));
                let data =
                    json!({ "videoroom": "success", "room": room.unwrap_or_default(), "exists": exists });
                Ok(said("success", &data, None))
            }
            "destroy" => self.destroy_room(asked, room.ok_or_else(no_room)?, relay),
            "join" => {
                self.acknowledge(asked);
                self.join(asked, room, relay)
            }
            "configure" | "publish" => {
                self.acknowledge(asked);
                self.configure(asked, room, relay)
            }
            "start" => {
                self.acknowledge(asked);
                self.start(asked, room, relay)
            }
            "unpublish" => {
                self.acknowledge(asked);
                self.unpublish(asked, relay)
            }
            "leave" => {
                self.acknowledge(asked);
                let room = self.room_joined(asked.handle)?;
                self.depart(asked.handle, relay);
                self.end_deserted_rooms(relay);
                let data = json!({ "videoroom": "event", "room": room, "leaving": "ok" });
                Ok(said("event", &data, None))
            }
            _ => Err(Refusal::new(NO_SUCH_REQUEST, "Unknown videoroom request")),
        }
    }

    /// Says that the message was taken; what comes of it is said afterwards.
    fn acknowledge(&mut self, asked: &Asked<'_>) {
        let ack = json!({ "janus": "ack", "transaction": asked.transaction, "session_id": asked.session });
        self.tell(asked.session, &ack);
    }

    fn room_of_handle(&self, handle: u64) -> Option<u64> {
        self.handles.get(&handle).and_then(|handle| handle.room)
    }

    /// The room that a handle takes part in.
    fn room_joined(&self, handle: u64) -> Result<u64, Refusal> {
        let room = self
            .room_of_handle(handle)
            .ok_or_else(|| failed("Not in any room"))?;
        self.rooms.get(&room).ok_or_else(no_room)?;
        Ok(room)
    }

    /// The same, which must be the one that a message names, if it names one.
    fn room_meant(&self, handle: u64, named: Option<u64>) -> Result<u64, Refusal> {
        let room = self.room_joined(handle)?;
        if named.is_some_and(|named| named != room) {
            return Err(failed("Not in the room"));
        }
        Ok(room)
    }

    fn create_room(&mut self, asked: &Asked<'_>, relay: &mut Relay<'_>) -> Result<Done, Refusal> {
        if self.room_of_handle(asked.handle).is_some() {
            return Err(Refusal::new(EXISTS, "User already exists in a room"));
        }
        if self.rooms.len() >= self.limits.rooms {
            self.counters.over_rooms += 1;
            return Err(Refusal::new(TOO_MANY, "There are too many rooms"));
        }
        let room = match asked.body.get("room") {
            None | Some(Value::Null) => self.fresh_id(),
            Some(named) => id(named).ok_or_else(|| Refusal::new(EXISTS, "Invalid room ID requested"))?,
        };
        if self.rooms.contains_key(&room) {
            return Err(failed("Requested room already exists"));
        }
        let publishers = id_of(asked.body, "publishers").unwrap_or(PUBLISHERS_DEFAULT);
        let publishers = usize::try_from(publishers).unwrap_or(usize::MAX);
        // A call of that name may be left of an earlier relay, whose rooms nobody knows any more.
        relay(&request::delete(room, None));
        let made = Room::new(asked.handle, publishers.min(self.limits.publishers));
        self.rooms.insert(room, made);
        self.enter(asked.handle, Some(room));
        let data = json!({ "videoroom": "created", "room": room, "permanent": false });
        Ok(said("success", &data, None))
    }

    fn enter(&mut self, handle: u64, room: Option<u64>) {
        if let Some(handle) = self.handles.get_mut(&handle) {
            handle.room = room;
        }
    }

    fn destroy_room(&mut self, asked: &Asked<'_>, room: u64, relay: &mut Relay<'_>) -> Result<Done, Refusal> {
        let creator = self.rooms.get(&room).ok_or_else(no_room)?.creator;
        let is_own = self
            .handles
            .get(&creator)
            .is_some_and(|of| of.session == asked.session);
        if !is_own && asked.credential != Credential::Secret {
            return Err(Refusal::new(UNAUTHORIZED, "The room is somebody else's"));
        }
        self.end_room(room, relay);
        let data = json!({ "videoroom": "destroyed", "room": room, "permanent": false });
        Ok(said("success", &data, None))
    }

    fn end_room(&mut self, room: u64, relay: &mut Relay<'_>) {
        self.rooms.remove(&room);
        relay(&request::delete(room, None));
        for handle in self.handles.values_mut() {
            handle.room = handle.room.filter(|of| *of != room);
        }
    }

    /// Ends the rooms in which nobody is and whose creator is gone.
    pub(crate) fn end_deserted_rooms(&mut self, relay: &mut Relay<'_>) {
        let is_deserted = |room: &Room| room.is_empty() && !self.handles.contains_key(&room.creator);
        let deserted: Vec<u64> = self
            .rooms
            .iter()
            .filter(|(_, room)| is_deserted(room))
            .map(|(id, _)| *id)
            .collect();
        for room in deserted {
            self.end_room(room, relay);
        }
    }

    fn join(&mut self, asked: &Asked<'_>, room: Option<u64>, relay: &mut Relay<'_>) -> Result<Done, Refusal> {
        let kind = required(asked.body, "ptype", "message.ptype")?;
        let before = self.room_of_handle(asked.handle);
        if before.is_some() && before != room {
            return Err(Refusal::new(EXISTS, "User already exists in a different room"));
        }
        let publishes = match kind {
            "publisher" => true,
            "subscriber" | "listener" => false,
            _ => return Err(Refusal::new(INVALID_ELEMENT, "Invalid 'ptype'")),
        };
        let room = room.ok_or_else(no_room)?;
        if self.rooms.get(&room).ok_or_else(no_room)?.has(asked.handle) {
            return Err(Refusal::new(EXISTS, "User already exists in the room"));
        }
        if publishes {
            self.join_as_publisher(asked, room)
        } else {
            self.join_as_subscriber(asked, room, relay)
        }
    }

    fn join_as_publisher(&mut self, asked: &Asked<'_>, id_of_room: u64) -> Result<Done, Refusal> {
        let feed = match asked.body.get("id") {
            None | Some(Value::Null) => self.fresh_id(),
            Some(named) => id(named).ok_or_else(|| Refusal::new(EXISTS, "Invalid feed ID requested"))?,
        };
        let room = self.rooms.get_mut(&id_of_room).ok_or_else(no_room)?;
        if room.handle_of(feed).is_some() {
            return Err(Refusal::new(EXISTS, "Feed already exists"));
        }
        if room.publishers.len() >= room.publishers_max {
            self.counters.over_publishers += 1;
            return Err(Refusal::new(PUBLISHERS_FULL, "The room has all its publishers"));
        }
        let publishers: Vec<Value> = room.publishers.values().filter_map(describe).collect();
        let publisher = Publisher {
            feed,
            publication: None,
        };
        room.publishers.insert(asked.handle, publisher);
        self.enter(asked.handle, Some(id_of_room));
        let data = json!({ "videoroom": "joined", "room": id_of_room, "id": feed, "publishers": publishers });
        Ok(said("event", &data, None))
    }

    fn join_as_subscriber(
        &mut self,
        asked: &Asked<'_>,
        id_of_room: u64,
        relay: &mut Relay<'_>,
    ) -> Result<Done, Refusal> {
        let wrong = |reason: &str| Refusal::new(MISSING_ELEMENT, reason);
        let mut feeds = Vec::new();
        let single = match asked.body.get("feed") {
            None | Some(Value::Null) => None,
            Some(feed) => Some(id(feed).ok_or_else(|| wrong("'message.feed' is no feed's name"))?),
        };
        feeds.extend(single);
        if let Some(streams) = asked.body.get("streams").filter(|streams| !streams.is_null()) {
            let streams = streams
                .as_array()
                .ok_or_else(|| wrong("'message.streams' is no array"))?;
            for stream in streams {
                // All m-lines of a feed are subscribed to, whichever of them are named.
                let feed = stream.as_object().and_then(|stream| id_of(stream, "feed"));
                let feed =
                    feed.ok_or_else(|| wrong("'message.streams' has a member without a feed's name"))?;
                if !feeds.contains(&feed) {
                    // A room has no more feeds than that, so one of these is none of its.
                    if feeds.len() > self.limits.publishers {
                        return Err(failed("No such feed exists"));
                    }
                    feeds.push(feed);
                }
            }
        }
        if feeds.is_empty() {
            return Err(wrong("No feeds to subscribe to given"));
        }
        let room = self.rooms.get_mut(&id_of_room).ok_or_else(no_room)?;
        let mut publishers = Vec::new();
        for feed in &feeds {
            let handle = room
                .handle_of(*feed)
                .filter(|handle| room.publishers[handle].publication.is_some());
            publishers.push(handle.ok_or_else(|| failed("No such feed exists"))?);
        }
        let plain = asked.body.get("plain").and_then(Value::as_bool).unwrap_or(false);
        let sdp = sdp_of(relay(&request::subscribe(
            id_of_room,
            asked.handle,
            &publishers,
            plain,
        )))?;
        room.subscribers.insert(asked.handle, Subscriber::default());
        self.enter(asked.handle, Some(id_of_room));
        let mut data = json!({ "videoroom": "attached", "room": id_of_room });
        match single {
            Some(feed) => data["id"] = feed.into(),
            None => {
                let streams = feeds.iter().enumerate();
                data["streams"] = streams
                    .map(|(index, feed)| json!({ "mindex": index, "feed_id": feed }))
                    .collect();
            }
        }
        Ok(said("event", &data, Some(("offer", &sdp))))
    }

    fn configure(
        &mut self,
        asked: &Asked<'_>,
        room: Option<u64>,
        relay: &mut Relay<'_>,
    ) -> Result<Done, Refusal> {
        let id_of_room = self.room_meant(asked.handle, room)?;
        let room = self.rooms.get_mut(&id_of_room).ok_or_else(no_room)?;
        let publisher = room.publishers.get_mut(&asked.handle);
        let publisher = publisher.ok_or_else(|| failed("Not a publisher"))?;
        let said_now = |key: &str| asked.body.get(key).and_then(Value::as_bool);
        let said_now = Wanted {
            audio: said_now("audio"),
            video: said_now("video"),
        };
        let before = publisher.publication.as_ref();
        let wanted = before.map(|of| of.wanted).unwrap_or_default().then(said_now);
        let offer = match (asked.jsep, before) {
            (Some(_), _) => asked.sdp("offer")?,
            (None, Some(publication)) => &publication.offer,
            (None, None) => return Err(failed("Not an existing publisher")),
        };
        let is_same = before.is_some_and(|of| of.wanted == wanted && of.offer == offer);
        let mut answer = None;
        if !is_same || asked.jsep.is_some() {
            let paused = stream::with_pauses(offer, wanted).ok_or_else(|| failed("Failed to parse SDP"))?;
            let sdp = sdp_of(relay(&request::publish(id_of_room, asked.handle, paused)))?;
            publisher.publication = Some(Publication {
                offer: offer.to_owned(),
                wanted,
                streams: stream::streams(sdp.as_ref(), wanted),
                is_up: before.is_some_and(|of| of.is_up),
            });
            answer = asked.jsep.map(|_| sdp);
        }
        let mut data = json!({ "videoroom": "event", "room": id_of_room, "configured": "ok" });
        if let (Some(data), Some(publication)) = (data.as_object_mut(), &publisher.publication) {
            stream::describe(&publication.streams, data);
        }
        let news: Vec<Value> = describe(publisher).into_iter().collect();
        self.tell_publishers(id_of_room, asked.handle, "publishers", &news.into());
        let jsep = answer.as_ref().map(|sdp| ("answer", sdp));
        Ok(said("event", &data, jsep))
    }

    fn start(
        &mut self,
        asked: &Asked<'_>,
        room: Option<u64>,
        relay: &mut Relay<'_>,
    ) -> Result<Done, Refusal> {
        let room = self.room_meant(asked.handle, room)?;
        let sdp = asked.sdp("answer")?;
        let subscribers = &self.rooms.get(&room).ok_or_else(no_room)?.subscribers;
        if !subscribers.contains_key(&asked.handle) {
            return Err(Refusal::new(MISSING_ELEMENT, "Not a subscriber"));
        }
        let reply = relay(&request::subscribe_answer(room, asked.handle, sdp));
        if !matches!(reply, Reply::Ok(_)) {
            return Err(refusal_of(&reply));
        }
        let data = json!({ "videoroom": "event", "room": room, "started": "ok" });
        Ok(said("event", &data, None))
    }

    fn unpublish(&mut self, asked: &Asked<'_>, relay: &mut Relay<'_>) -> Result<Done, Refusal> {
        let room = self.room_joined(asked.handle)?;
        if !self.stop_publishing(room, asked.handle, relay) {
            return Err(failed("Not a publisher"));
        }
        let data = json!({ "videoroom": "event", "room": room, "unpublished": "ok" });
        Ok(said("event", &data, None))
    }

    /// Takes back what a handle publishes, and tells the others. False if it is no publisher.
    fn stop_publishing(&mut self, id_of_room: u64, handle: u64, relay: &mut Relay<'_>) -> bool {
        let room = self.rooms.get_mut(&id_of_room);
        let Some(publisher) = room.and_then(|room| room.publishers.get_mut(&handle)) else {
            return false;
        };
        let (feed, publication) = (publisher.feed, publisher.publication.take());
        if publication.is_some() {
            relay(&request::delete(id_of_room, Some(handle)));
        }
        self.tell_publishers(id_of_room, handle, "unpublished", &feed.into());
        true
    }

    /// The media of a handle ends; a publisher stays in the room.
    pub(crate) fn hang_up(&mut self, handle: u64, relay: &mut Relay<'_>) {
        let Some(room) = self.room_of_handle(handle) else {
            return;
        };
        if !self.stop_publishing(room, handle, relay) {
            self.depart(handle, relay);
        }
    }

    /// Takes a handle out of its room, and tells the others.
    pub(crate) fn depart(&mut self, handle: u64, relay: &mut Relay<'_>) {
        let Some(id_of_room) = self.room_of_handle(handle) else {
            return;
        };
        let is_publisher = self.stop_publishing(id_of_room, handle, relay);
        self.enter(handle, None);
        let Some(room) = self.rooms.get_mut(&id_of_room) else {
            return;
        };
        if let Some(publisher) = room.publishers.remove(&handle).filter(|_| is_publisher) {
            self.tell_publishers(id_of_room, handle, "leaving", &publisher.feed.into());
        } else if room.subscribers.remove(&handle).is_some() {
            relay(&request::unsubscribe(id_of_room, handle));
        }
    }

    /// Tells all publishers of a room but one.
    fn tell_publishers(&mut self, id_of_room: u64, except: u64, key: &str, value: &Value) {
        let Some(room) = self.rooms.get(&id_of_room) else {
            return;
        };
        let others: Vec<u64> = room
            .publishers
            .keys()
            .copied()
            .filter(|handle| *handle != except)
            .collect();
        for handle in others {
            let data = json!({ "videoroom": "event", "room": id_of_room, key: value });
            let event = json!({ "plugindata": { "plugin": PLUGIN, "data": data } });
            self.tell_handle(handle, "event", event);
        }
    }

    /// Tells a handle something, over its session.
    fn tell_handle(&mut self, handle: u64, word: &str, mut what: Value) {
        let Some(session) = self.handles.get(&handle).map(|handle| handle.session) else {
            return;
        };
        what["janus"] = word.into();
        what["session_id"] = session.into();
        what["sender"] = handle.into();
        self.tell(session, &what);
    }

    /// Takes a trickled candidate, or the word that there are no more.
    pub(crate) fn trickle(
        &mut self,
        handle: u64,
        object: &Object,
        relay: &mut Relay<'_>,
    ) -> Result<(), Refusal> {
        let one = object.get("candidate").and_then(Value::as_object);
        let all = object.get("candidates").and_then(Value::as_array);
        let candidates = all.into_iter().flatten().filter_map(Value::as_object);
        let mut candidates = one.into_iter().chain(candidates).peekable();
        if candidates.peek().is_none() {
            return Err(missing("candidate"));
        }
        let room = self.room_joined(handle)?;
        candidates.try_for_each(|candidate| take_candidate(room, handle, candidate, relay))
    }

    /// Takes what happened to a call. Those of others are ignored.
    pub fn handle_call_event(&mut self, call_id: &[u8], event: CallEvent<'_>, relay: &mut Relay<'_>) {
        let Some(room) = room_of(call_id).filter(|room| self.rooms.contains_key(room)) else {
            return;
        };
        let handle = |tag: &[u8]| str::from_utf8(tag).ok().and_then(|tag| tag.parse().ok());
        match event {
            CallEvent::Connected { tag } => {
                if let Some(handle) = handle(tag) {
                    self.bring_up(room, handle);
                }
            }
            CallEvent::Media { tag, index } => {
                if let Some(handle) = handle(tag) {
                    self.bring_up(room, handle);
                    self.tell_of_media(room, handle, index);
                }
            }
            CallEvent::Ended => self.lose_call(room, relay),
        }
    }

    /// Tells a client that its connection for media is there, once.
    fn bring_up(&mut self, room: u64, handle: u64) {
        let Some(room) = self.rooms.get_mut(&room) else {
            return;
        };
        let publisher = room.publishers.get_mut(&handle);
        let of_publisher = publisher.and_then(|of| Some(&mut of.publication.as_mut()?.is_up));
        let of_subscriber = room.subscribers.get_mut(&handle).map(|of| &mut of.is_up);
        if let Some(is_up) = of_publisher.or(of_subscriber)
            && !std::mem::replace(is_up, true)
        {
            self.tell_handle(handle, "webrtcup", json!({}));
        }
    }

    fn tell_of_media(&mut self, room: u64, handle: u64, index: usize) {
        let publisher = self
            .rooms
            .get(&room)
            .and_then(|room| room.publishers.get(&handle));
        let publication = publisher.and_then(|publisher| publisher.publication.as_ref());
        if let Some(stream) = publication.and_then(|of| of.streams.get(index)) {
            let what = json!({ "type": stream.kind_text, "mid": stream.mid, "receiving": true });
            self.tell_handle(handle, "media", what);
        }
    }

    /// The call of a room is gone: its media has ended, and the room stays.
    fn lose_call(&mut self, id_of_room: u64, relay: &mut Relay<'_>) {
        // It may be one that ended before the present one began.
        if matches!(relay(&request::query(id_of_room)), Reply::Ok(_)) {
            return;
        }
        let Some(room) = self.rooms.get_mut(&id_of_room) else {
            return;
        };
        let publishers = room.publishers.iter_mut();
        let lost = publishers.filter_map(|(handle, of)| of.publication.take().map(|_| (*handle, of.feed)));
        let lost: Vec<(u64, u64)> = lost.collect();
        let subscribers = std::mem::take(&mut room.subscribers);
        for handle in subscribers.into_keys() {
            self.enter(handle, None);
            self.tell_handle(handle, "hangup", json!({ "reason": "The call has ended" }));
        }
        for (handle, feed) in lost {
            self.tell_handle(handle, "hangup", json!({ "reason": "The call has ended" }));
            self.tell_publishers(id_of_room, handle, "unpublished", &feed.into());
        }
    }
}

/// A publisher as others are told, if it publishes.
fn describe(publisher: &Publisher) -> Option<Value> {
    let mut told = Object::new();
    told.insert("id".to_owned(), publisher.feed.into());
    stream::describe(&publisher.publication.as_ref()?.streams, &mut told);
    Some(Value::Object(told))
}

fn take_candidate(room: u64, handle: u64, candidate: &Object, relay: &mut Relay<'_>) -> Result<(), Refusal> {
    let Some(line) = text(candidate, "candidate") else {
        let is_end = candidate.get("completed").is_some();
        return is_end.then_some(()).ok_or_else(|| missing("candidate.candidate"));
    };
    let index = candidate.get("sdpMLineIndex").and_then(Value::as_u64);
    let place = match (text(candidate, "sdpMid"), index) {
        (Some(mid), _) => Place::Mid(mid),
        (None, Some(index @ ..=LINE_MAX)) => Place::Line(index as usize),
        _ => {
            return Err(Refusal::new(
                MISSING_ELEMENT,
                "Neither 'sdpMid' nor 'sdpMLineIndex' given",
            ));
        }
    };
    // An empty one says that there are no more.
    if line.strip_prefix("candidate:").unwrap_or(line).trim().is_empty() {
        return Ok(());
    }
    let ufrag = text(candidate, "usernameFragment");
    let request = request::trickle(room, handle, line, &place, ufrag)
        .ok_or_else(|| Refusal::new(BAD_CANDIDATE, "Failed to parse trickle candidate"))?;
    match relay(&request) {
        Reply::Ok(_) => Ok(()),
        reply => Err(refusal_of(&reply)),
    }
}
