//! Messages, sessions, handles and tokens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use viaduct_ng::{Reply, Request};

use crate::error::{
    INVALID_JSON, INVALID_REQUEST, MISSING_ELEMENT, NO_PLUGIN, NO_SESSION, NO_TOKEN, NOT_AN_OBJECT,
    NOT_DETACHED, Refusal, TOO_MANY, TRANSPORT, UNAUTHORIZED,
};
use crate::message::{ID_MAX, Object, id_of, required, text};
use crate::room::{Room, room_of};
use crate::session::{Credential, Handle, Session};
use crate::videoroom::{Asked, PLUGIN};

/// Carries out NG requests.
pub type Relay<'r> = dyn FnMut(&Request) -> Reply + 'r;

/// Names a connection over which messages come and go; given by the shell and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Over which connection.
    pub to: ConnectionId,
    /// JSON.
    pub text: String,
}

/// How much of everything a gateway takes on. What is over a limit is refused with Janus' code 468 and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions. Default 1,000.
    pub sessions: usize,
    /// Handles of all sessions. Default 10,000.
    pub handles: usize,
    /// Rooms. Default 1,000.
    pub rooms: usize,
    /// Publishers of a room, whatever its creator asks for. Default 15: a call has 32 parties, of which each publisher
    /// and each subscriber takes two.
    pub publishers: usize,
    /// Tokens. Default 10,000.
    pub tokens: usize,
    /// Octets of a token. Default 256.
    pub token_octets: usize,
    /// How long a session lasts that is not heard of. Default 60 s, as with Janus.
    pub session_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1_000,
            handles: 10_000,
            rooms: 1_000,
            publishers: 15,
            tokens: 10_000,
            token_octets: 256,
            session_idle: Duration::from_secs(60),
        }
    }
}

/// What happened since the gateway began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages that came.
    pub messages: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those of them without the secret or a token.
    pub unauthorized: u64,
    /// Sessions that were not heard of for too long.
    pub sessions_timed_out: u64,
    /// Refused by [`Limits::sessions`].
    pub over_sessions: u64,
    /// Refused by [`Limits::handles`].
    pub over_handles: u64,
    /// Refused by [`Limits::rooms`].
    pub over_rooms: u64,
    /// Refused by [`Limits::publishers`], or by what a room's creator has asked for.
    pub over_publishers: u64,
    /// Refused by [`Limits::tokens`] or [`Limits::token_octets`].
    pub over_tokens: u64,
}

/// What exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Sessions.
    pub sessions: usize,
    /// Handles of all sessions.
    pub handles: usize,
    /// Rooms.
    pub rooms: usize,
    /// Tokens.
    pub tokens: usize,
}

/// What happened to a call, as far as clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEvent<'e> {
    /// A party's DTLS handshake is over.
    Connected {
        /// The party.
        tag: &'e [u8],
    },
    /// The first packet of a publisher's m-line came.
    Media {
        /// The publisher.
        tag: &'e [u8],
        /// The m-line's position, from 0.
        index: usize,
    },
    /// The call is over.
    Ended,
}

/// See the [crate].
pub struct Gateway {
    secret: String,
    pub(crate) limits: Limits,
    rng: StdRng,
    tokens: BTreeSet<String>,
    sessions: BTreeMap<u64, Session>,
    pub(crate) handles: BTreeMap<u64, Handle>,
    pub(crate) rooms: BTreeMap<u64, Room>,
    outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the secret nor tokens.
        f.debug_struct("Gateway")
            .field("gauges", &self.gauges())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// A message that was done.
pub(crate) struct Done {
    /// What is said under `janus`.
    pub(crate) word: &'static str,
    /// What else is said.
    pub(crate) members: Object,
    /// Whether the reply names the handle.
    pub(crate) names_sender: bool,
}

impl Done {
    fn just(word: &'static str) -> Self {
        Self {
            word,
            members: Object::new(),
            names_sender: true,
        }
    }

    fn with(word: &'static str, key: &str, value: Value) -> Self {
        let mut done = Self::just(word);
        done.members.insert(key.to_owned(), value);
        done
    }
}

/// Where a message came from, and whom it is about as far as its way says.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    connection: Option<ConnectionId>,
    session: Option<u64>,
    handle: Option<u64>,
}

impl Gateway {
    /// Without sessions. Who knows `secret` may add tokens.
    #[must_use]
    pub fn new(secret: String, limits: Limits, rng: StdRng) -> Self {
        Self {
            secret,
            limits,
            rng,
            tokens: BTreeSet::new(),
            sessions: BTreeMap::new(),
            handles: BTreeMap::new(),
            rooms: BTreeMap::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a message over a connection. The reply is the last output.
    pub fn handle_message(
        &mut self,
        now: Instant,
        from: ConnectionId,
        message: &[u8],
        relay: &mut Relay<'_>,
    ) {
        let way = Way {
            connection: Some(from),
            ..Way::default()
        };
        let text = self.process(now, way, message, relay);
        self.outputs.push_back(Output { to: from, text });
    }

    /// Takes the body of an HTTP request and gives that of its response. What stands behind `/janus` in the path names the
    /// session and the handle. Events go over the session's connection, so that no session can be created this way.
    pub fn handle_post(&mut self, now: Instant, path: &str, message: &[u8], relay: &mut Relay<'_>) -> String {
        let mut names = path
            .trim_start_matches('/')
            .split('/')
            .skip(1)
            .map(|name| name.parse().ok());
        let way = Way {
            connection: None,
            session: names.next().flatten(),
            handle: names.next().flatten(),
        };
        self.process(now, way, message, relay)
    }

    /// What is said to whoever asks what this is.
    #[must_use]
    pub fn info() -> String {
        let mut reply = Object::new();
        reply.insert("janus".to_owned(), "server_info".into());
        reply.extend(server_info());
        Value::Object(reply).to_string()
    }

    /// A connection is gone. Its sessions may be claimed over another one until they time out.
    pub fn handle_closed(&mut self, connection: ConnectionId) {
        for session in self.sessions.values_mut() {
            session.connection = session.connection.filter(|of| *of != connection);
        }
    }

    /// Ends sessions that were not heard of for too long.
    pub fn handle_timeout(&mut self, now: Instant, relay: &mut Relay<'_>) {
        let idle = self.limits.session_idle;
        let due: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.active + idle <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.counters.sessions_timed_out += 1;
            self.tell(id, &json!({ "janus": "timeout", "session_id": id }));
            self.end_session(id, relay);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.sessions.values().map(|session| session.active).min();
        oldest.map(|active| active + self.limits.session_idle)
    }

    /// What to send next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether a call may be one of a room's. Nobody needs to tell of others.
    #[must_use]
    pub fn is_room(call_id: &[u8]) -> bool {
        room_of(call_id).is_some()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What exists.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            sessions: self.sessions.len(),
            handles: self.handles.len(),
            rooms: self.rooms.len(),
            tokens: self.tokens.len(),
        }
    }

    fn process(&mut self, now: Instant, way: Way, message: &[u8], relay: &mut Relay<'_>) -> String {
        self.counters.messages += 1;
        let mut reply = Object::new();
        let object = match serde_json::from_slice(message) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Refusal::new(NOT_AN_OBJECT, "JSON string is not an object")),
            Err(_) => Err(Refusal::new(INVALID_JSON, "Failed to parse JSON")),
        };
        let object = match object {
            Ok(object) => object,
            Err(refusal) => {
                self.refuse(&refusal, &mut reply);
                return Value::Object(reply).to_string();
            }
        };
        let way = Way {
            session: id_of(&object, "session_id").or(way.session),
            handle: id_of(&object, "handle_id").or(way.handle),
            ..way
        };
        let (mut names_session, mut names_sender) = (true, true);
        let done = required(&object, "janus", "janus").and_then(|verb| {
            names_session = verb != "create";
            let transaction = required(&object, "transaction", "transaction")?;
            self.obey(now, way, verb, transaction, &object, relay)
        });
        match done {
            Ok(done) => {
                reply.insert("janus".to_owned(), done.word.into());
                reply.extend(done.members);
                names_sender = done.names_sender;
            }
            Err(refusal) => {
                self.refuse(&refusal, &mut reply);
                if text(&object, "janus") == Some("message") && object.contains_key("body") {
                    reply.insert("plugindata".to_owned(), json!({ "plugin": PLUGIN, "data": {} }));
                }
            }
        }
        if let Some(transaction) = text(&object, "transaction") {
            reply.insert("transaction".to_owned(), transaction.into());
        }
        if let Some(session) = way.session.filter(|_| names_session) {
            reply.insert("session_id".to_owned(), session.into());
        }
        if let Some(handle) = way.handle.filter(|_| names_sender) {
            reply.insert("sender".to_owned(), handle.into());
        }
        Value::Object(reply).to_string()
    }

    fn refuse(&mut self, refusal: &Refusal, reply: &mut Object) {
        self.counters.refused += 1;
        self.counters.unauthorized += u64::from(refusal.code == UNAUTHORIZED);
        reply.insert("janus".to_owned(), "error".into());
        let error = json!({ "code": refusal.code, "reason": refusal.reason });
        reply.insert("error".to_owned(), error);
    }

    fn obey(
        &mut self,
        now: Instant,
        way: Way,
        verb: &str,
        transaction: &str,
        object: &Object,
        relay: &mut Relay<'_>,
    ) -> Result<Done, Refusal> {
        match verb {
            "ping" => return Ok(Done::just("pong")),
            "info" => {
                return Ok(Done {
                    members: server_info(),
                    ..Done::just("server_info")
                });
            }
            "add_token" => return self.add_token(object),
            "remove_token" => return self.remove_token(object),
            _ => {}
        }
        let credential = self.credential(object)?;
        if verb == "create" {
            return self.create(now, way, object);
        }
        let no_session = || Refusal::new(NO_SESSION, "Session ID not found");
        let id = way.session.ok_or_else(no_session)?;
        let session = self.sessions.get_mut(&id).ok_or_else(no_session)?;
        session.active = now;
        match verb {
            "keepalive" => return Ok(Done::just("ack")),
            "claim" => {
                let unsupported = || Refusal::new(TRANSPORT, "Unsupported transport protocol");
                session.connection = Some(way.connection.ok_or_else(unsupported)?);
                return Ok(Done::just("success"));
            }
            "attach" => return self.attach(id, object),
            "destroy" => {
                self.end_session(id, relay);
                return Ok(Done::just("success"));
            }
            "detach" | "message" | "trickle" | "hangup" => {}
            _ => return Err(Refusal::new(INVALID_REQUEST, "Unhandled request method")),
        }
        let no_handle = || Refusal::new(INVALID_REQUEST, "No plugin handle given or invalid handle");
        let handle = way.handle.ok_or_else(no_handle)?;
        if self.handles.get(&handle).is_none_or(|of| of.session != id) {
            return Err(match verb {
                "detach" => Refusal::new(NOT_DETACHED, "Could not detach handle from plugin"),
                _ => no_handle(),
            });
        }
        match verb {
            "detach" => {
                self.end_handle(handle, relay);
                Ok(Done::just("success"))
            }
            "hangup" => {
                self.hang_up(handle, relay);
                Ok(Done::just("success"))
            }
            "trickle" => self.trickle(handle, object, relay).map(|()| Done {
                names_sender: false,
                ..Done::just("ack")
            }),
            _ => {
                let asked = Asked::read(id, handle, credential, transaction, object)?;
                self.videoroom(&asked, relay)
            }
        }
    }

    /// Whether the secret stands in a message, which is compared in constant time.
    fn has_secret(&self, object: &Object) -> bool {
        let given = text(object, "admin_secret").unwrap_or_default();
        !self.secret.is_empty() && bool::from(given.as_bytes().ct_eq(self.secret.as_bytes()))
    }

    fn credential(&self, object: &Object) -> Result<Credential, Refusal> {
        let token = text(object, "token").filter(|token| self.tokens.contains(*token));
        match token {
            _ if self.has_secret(object) => Ok(Credential::Secret),
            Some(_) => Ok(Credential::Token),
            None => Err(Refusal::new(UNAUTHORIZED, "No 'token' given that is known here")),
        }
    }

    fn administer(&self, object: &Object) -> Result<(), Refusal> {
        let refusal = || Refusal::new(UNAUTHORIZED, "No 'admin_secret' given, or another one");
        self.has_secret(object).then_some(()).ok_or_else(refusal)
    }

    fn add_token(&mut self, object: &Object) -> Result<Done, Refusal> {
        self.administer(object)?;
        let token = required(object, "token", "token")?;
        let is_new = !self.tokens.contains(token);
        if token.len() > self.limits.token_octets || (is_new && self.tokens.len() >= self.limits.tokens) {
            self.counters.over_tokens += 1;
            return Err(Refusal::new(TOO_MANY, "There is no room for this token"));
        }
        self.tokens.insert(token.to_owned());
        Ok(Done::with("success", "data", json!({ "plugins": [PLUGIN] })))
    }

    fn remove_token(&mut self, object: &Object) -> Result<Done, Refusal> {
        self.administer(object)?;
        match self.tokens.remove(required(object, "token", "token")?) {
            true => Ok(Done::just("success")),
            false => Err(Refusal::new(NO_TOKEN, "No such token")),
        }
    }

    fn create(&mut self, now: Instant, way: Way, object: &Object) -> Result<Done, Refusal> {
        let connection = way
            .connection
            .ok_or_else(|| Refusal::new(TRANSPORT, "Unsupported transport protocol"))?;
        if self.sessions.len() >= self.limits.sessions {
            self.counters.over_sessions += 1;
            return Err(Refusal::new(TOO_MANY, "There are too many sessions"));
        }
        let wanted = id_of(object, "id").filter(|id| !self.sessions.contains_key(id));
        let id = wanted.unwrap_or_else(|| self.fresh_id());
        let session = Session {
            connection: Some(connection),
            handles: BTreeSet::new(),
            active: now,
        };
        self.sessions.insert(id, session);
        Ok(Done::with("success", "data", json!({ "id": id })))
    }

    fn attach(&mut self, session: u64, object: &Object) -> Result<Done, Refusal> {
        let plugin =
            text(object, "plugin").ok_or_else(|| Refusal::new(MISSING_ELEMENT, "No plugin given"))?;
        if plugin != PLUGIN {
            return Err(Refusal::new(NO_PLUGIN, "Unsupported plugin"));
        }
        if self.handles.len() >= self.limits.handles {
            self.counters.over_handles += 1;
            return Err(Refusal::new(TOO_MANY, "There are too many handles"));
        }
        let id = self.fresh_id();
        if let Some(of) = self.sessions.get_mut(&session) {
            of.handles.insert(id);
            self.handles.insert(id, Handle { session, room: None });
        }
        Ok(Done {
            names_sender: false,
            ..Done::with("success", "data", json!({ "id": id }))
        })
    }

    fn end_session(&mut self, id: u64, relay: &mut Relay<'_>) {
        // What its handles would be told of each other's end goes nowhere.
        let handles = self.sessions.remove(&id).map(|session| session.handles);
        for handle in handles.into_iter().flatten() {
            self.end_handle(handle, relay);
        }
    }

    fn end_handle(&mut self, handle: u64, relay: &mut Relay<'_>) {
        self.depart(handle, relay);
        if let Some(of) = self.handles.remove(&handle)
            && let Some(session) = self.sessions.get_mut(&of.session)
        {
            session.handles.remove(&handle);
        }
        self.end_deserted_rooms(relay);
    }

    /// Sends something to a session, if it has a connection.
    pub(crate) fn tell(&mut self, session: u64, what: &Value) {
        let connection = self.sessions.get(&session).and_then(|session| session.connection);
        if let Some(to) = connection {
            let text = what.to_string();
            self.outputs.push_back(Output { to, text });
        }
    }

    /// A number that names nothing yet, and that nobody can guess.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        loop {
            let id = self.rng.random_range(1..=ID_MAX);
            let is_feed = |room: &Room| room.handle_of(id).is_some();
            let is_taken = self.sessions.contains_key(&id)
                || self.handles.contains_key(&id)
                || self.rooms.contains_key(&id)
                || self.rooms.values().any(is_feed);
            if !is_taken {
                return id;
            }
        }
    }
}

fn server_info() -> Object {
    let mut info = Object::new();
    info.insert("name".to_owned(), "rtpengine Janus interface".into());
    info.insert(
        "version_string".to_owned(),
        concat!("viaduct ", env!("CARGO_PKG_VERSION")).into(),
    );
    let plugins = json!({ PLUGIN: { "name": "rtpengine Janus videoroom" } });
    info.insert("plugins".to_owned(), plugins);
    info
}
