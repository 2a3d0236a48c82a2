//! Clients of Janus' protocol, and a relay that does what it is asked.

#![expect(clippy::unwrap_used, reason = "a reply that is no JSON is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test's clock has to begin somewhere")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "messages are written where they are sent"
)]

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use viaduct_janus::{CallEvent, ConnectionId, Gateway, Gauges, Limits};
use viaduct_ng::{ErrorReason, Reply, Request};

const SECRET: &str = "secret";

const OFFER: &str = "v=0\r\no=x 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8\r\na=mid:a\r\na=sendonly\r\n";

const ONE: ConnectionId = ConnectionId(1);
const TWO: ConnectionId = ConnectionId(2);

/// A gateway, its clock, and what it has asked of the relay.
struct World {
    gateway: Gateway,
    now: Instant,
    asked: Vec<Request>,
    /// What the relay says instead of doing it.
    refusal: Option<ErrorReason>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            gateway: Gateway::new(SECRET.to_owned(), limits, StdRng::seed_from_u64(7)),
            now: Instant::now(),
            asked: Vec::new(),
            refusal: None,
        }
    }

    /// The relay: whoever publishes gets the same SDP back, whoever subscribes gets one.
    fn with_relay<T>(
        &mut self,
        work: impl FnOnce(&mut Gateway, Instant, &mut viaduct_janus::Relay<'_>) -> T,
    ) -> T {
        let (asked, refusal) = (&mut self.asked, &self.refusal);
        work(&mut self.gateway, self.now, &mut |request| {
            asked.push(request.clone());
            match (refusal, request) {
                (Some(reason), _) => Reply::error(reason.clone()),
                (None, Request::Publish(publish)) => Reply::sdp(publish.sdp.clone()),
                (None, Request::SubscribeRequest(_)) => Reply::sdp(OFFER),
                (None, Request::Query(_)) => Reply::error(ErrorReason::UnknownCallId),
                (None, _) => Reply::ok(),
            }
        })
    }

    /// Says something and takes all that is sent because of it.
    fn say(&mut self, from: ConnectionId, message: &Value) -> Vec<(ConnectionId, Value)> {
        self.with_relay(|gateway, now, relay| {
            gateway.handle_message(now, from, message.to_string().as_bytes(), relay);
        });
        self.told()
    }

    fn told(&mut self) -> Vec<(ConnectionId, Value)> {
        let outputs = std::iter::from_fn(|| self.gateway.poll_output());
        outputs
            .map(|output| (output.to, serde_json::from_str(&output.text).unwrap()))
            .collect()
    }

    /// The same with a token; the reply alone.
    fn ask(&mut self, from: ConnectionId, mut message: Value) -> Value {
        message["transaction"] = "t".into();
        message["token"] = "token".into();
        self.say(from, &message).pop().unwrap().1
    }

    fn log_in(&mut self, from: ConnectionId) -> u64 {
        let add =
            json!({ "janus": "add_token", "transaction": "t", "token": "token", "admin_secret": SECRET });
        assert_eq!(self.say(from, &add)[0].1["janus"], "success");
        self.ask(from, json!({ "janus": "create" }))["data"]["id"]
            .as_u64()
            .unwrap()
    }

    fn attach(&mut self, from: ConnectionId, session: u64) -> u64 {
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom", "session_id": session });
        self.ask(from, attach)["data"]["id"].as_u64().unwrap()
    }

    /// A request of the plugin.
    fn plugin(&mut self, who: Client, body: Value) -> Value {
        self.plugin_with(who, body, Value::Null)
    }

    fn plugin_with(&mut self, who: Client, body: Value, jsep: Value) -> Value {
        let message = json!({
            "janus": "message", "session_id": who.session, "handle_id": who.handle, "body": body, "jsep": jsep,
        });
        self.ask(who.at, message)
    }

    fn client(&mut self, at: ConnectionId) -> Client {
        let session = self.log_in(at);
        let handle = self.attach(at, session);
        Client { at, session, handle }
    }

    fn room(&mut self, who: Client) -> u64 {
        let made = self.plugin(who, json!({ "request": "create", "publishers": 2 }));
        data(&made)["room"].as_u64().unwrap()
    }

    fn publish(&mut self, who: Client, room: u64) -> u64 {
        let join = json!({ "request": "join", "ptype": "publisher", "room": room });
        let joined = self.plugin(who, join);
        assert_eq!(data(&joined)["videoroom"], "joined", "{joined}");
        let configured = self.configure(who, json!({ "audio": true }), OFFER);
        assert_eq!(data(&configured)["configured"], "ok", "{configured}");
        data(&joined)["id"].as_u64().unwrap()
    }

    fn configure(&mut self, who: Client, mut body: Value, offer: &str) -> Value {
        body["request"] = "configure".into();
        self.plugin_with(who, body, json!({ "type": "offer", "sdp": offer }))
    }

    fn subscribe(&mut self, who: Client, room: u64, feed: u64) -> Value {
        let join = json!({ "request": "join", "ptype": "subscriber", "room": room, "feed": feed });
        self.plugin(who, join)
    }
}

#[derive(Clone, Copy)]
struct Client {
    at: ConnectionId,
    session: u64,
    handle: u64,
}

fn data(reply: &Value) -> &Value {
    &reply["plugindata"]["data"]
}

#[track_caller]
fn assert_refused(reply: &Value, code: u16) {
    assert_eq!(reply["error"]["code"], code, "{reply}");
}

#[test]
fn without_a_token_nothing_is_done_but_saying_what_this_is() {
    let mut world = World::new(Limits::default());
    for (verb, word) in [("ping", "pong"), ("info", "server_info")] {
        let reply = &world.say(ONE, &json!({ "janus": verb, "transaction": "t" }))[0].1;
        assert_eq!(reply["janus"], word);
    }
    for verb in [
        "create",
        "attach",
        "message",
        "keepalive",
        "destroy",
        "trickle",
        "add_token",
        "none",
    ] {
        for secret in [
            Value::Null,
            "".into(),
            "secre".into(),
            "secretly".into(),
            7.into(),
        ] {
            let message =
                json!({ "janus": verb, "transaction": "t", "token": "another", "admin_secret": secret });
            assert_refused(&world.say(ONE, &message)[0].1, 403);
        }
    }
    assert_eq!(world.gateway.gauges(), Gauges::default());
    assert!(world.asked.is_empty());
    let counters = world.gateway.counters();
    assert_eq!((counters.refused, counters.unauthorized), (40, 40));
}

#[test]
fn what_is_no_message_is_refused_by_name() {
    let mut world = World::new(Limits::default());
    for (message, code) in [
        ("", 454),
        ("{", 454),
        ("[]", 455),
        ("{}", 456),
        (r#"{"janus":7}"#, 456),
        (r#"{"janus":"ping"}"#, 456),
        (r#"{"janus":"ping","transaction":7}"#, 456),
    ] {
        world.with_relay(|gateway, now, relay| gateway.handle_message(now, ONE, message.as_bytes(), relay));
        assert_refused(&world.told()[0].1, code);
    }
    let session = world.log_in(ONE);
    assert_refused(
        &world.ask(ONE, json!({ "janus": "dance", "session_id": session })),
        457,
    );
    assert_refused(
        &world.ask(ONE, json!({ "janus": "message", "session_id": session })),
        457,
    );
    assert_refused(
        &world.ask(ONE, json!({ "janus": "keepalive", "session_id": 1 })),
        458,
    );
    let other = json!({ "janus": "attach", "plugin": "janus.plugin.echotest", "session_id": session });
    assert_refused(&world.ask(ONE, other), 460);
    let who = world.client(TWO);
    assert_refused(&world.plugin(who, json!({ "request": "dance" })), 423);
    assert_refused(
        &world.plugin(who, json!({ "request": "join", "ptype": "publisher", "room": 1 })),
        426,
    );
    // Another session's handle is no handle.
    let theirs = json!({ "janus": "detach", "session_id": session, "handle_id": who.handle });
    assert_refused(&world.ask(ONE, theirs), 463);
}

#[test]
fn a_publisher_is_heard_by_a_subscriber_and_told_of_its_media() {
    let mut world = World::new(Limits::default());
    let speaker = world.client(ONE);
    let room = world.room(speaker);
    let feed = world.publish(speaker, room);
    let hearer = world.client(TWO);
    let attached = world.subscribe(hearer, room, feed);
    assert_eq!(
        (&data(&attached)["id"], &attached["jsep"]["type"]),
        (&json!(feed), &json!("offer"))
    );
    let answer = json!({ "type": "answer", "sdp": OFFER });
    let started = world.plugin_with(hearer, json!({ "request": "start", "room": room }), answer);
    assert_eq!(data(&started)["started"], "ok");
    let commands: Vec<_> = world.asked.iter().map(Request::command).collect();
    assert_eq!(
        commands,
        ["delete", "publish", "subscribe request", "subscribe answer"]
    );
    let Request::SubscribeRequest(request) = &world.asked[2] else {
        panic!("{:?}", world.asked)
    };
    assert_eq!(request.from_tags, [speaker.handle.to_string().as_str()]);

    let (call_id, tag) = (format!("janus {room}"), speaker.handle.to_string());
    for media in [
        CallEvent::Media {
            tag: tag.as_bytes(),
            index: 0,
        },
        CallEvent::Connected { tag: tag.as_bytes() },
        CallEvent::Media {
            tag: tag.as_bytes(),
            index: 9,
        },
    ] {
        world.with_relay(|gateway, _, relay| gateway.handle_call_event(call_id.as_bytes(), media, relay));
    }
    let told = world.told();
    let words: Vec<_> = told
        .iter()
        .map(|(to, what)| (*to, what["janus"].clone()))
        .collect();
    assert_eq!(words, [(ONE, json!("webrtcup")), (ONE, json!("media"))]);
    assert_eq!(
        (&told[1].1["mid"], &told[1].1["type"]),
        (&json!("a"), &json!("audio"))
    );
}

#[test]
fn others_hear_of_publishers_that_come_and_go() {
    let mut world = World::new(Limits::default());
    let (one, two) = (world.client(ONE), world.client(TWO));
    let room = world.room(one);
    world.publish(one, room);
    let join = json!({ "request": "join", "ptype": "publisher", "room": room, "id": 77 });
    let joined = world.plugin(two, join);
    assert_eq!(data(&joined)["publishers"].as_array().unwrap().len(), 1);
    let message = json!({
        "janus": "message", "transaction": "t", "token": "token", "session_id": two.session,
        "handle_id": two.handle, "body": { "request": "publish" }, "jsep": { "type": "offer", "sdp": OFFER },
    });
    let told = world.say(TWO, &message);
    assert_eq!(
        told[0],
        (
            TWO,
            json!({ "janus": "ack", "transaction": "t", "session_id": two.session })
        )
    );
    assert_eq!(
        (told[1].0, &data(&told[1].1)["publishers"][0]["id"]),
        (ONE, &json!(77))
    );
    assert_eq!(told[2].1["jsep"]["type"], "answer");
    let destroy =
        json!({ "janus": "destroy", "transaction": "t", "token": "token", "session_id": two.session });
    let told = world.say(TWO, &destroy);
    assert_eq!(
        (&data(&told[0].1)["unpublished"], &data(&told[1].1)["leaving"]),
        (&json!(77), &json!(77))
    );
    assert_eq!(
        told[2],
        (
            TWO,
            json!({ "janus": "success", "transaction": "t", "session_id": two.session })
        )
    );
}

#[test]
fn media_that_is_paused_is_offered_to_the_relay_as_inactive() {
    let mut world = World::new(Limits::default());
    let who = world.client(ONE);
    let room = world.room(who);
    world.publish(who, room);
    for (wanted, direction) in [(false, "a=inactive"), (true, "a=sendonly")] {
        let reply = world.plugin(who, json!({ "request": "configure", "audio": wanted }));
        assert_eq!(data(&reply)["streams"][0].get("disabled").is_some(), !wanted);
        assert_eq!(reply.get("jsep"), None);
        let Some(Request::Publish(publish)) = world.asked.last() else {
            panic!("{:?}", world.asked)
        };
        assert!(publish.sdp.to_text().contains(direction), "{:?}", publish.sdp);
    }
    let asked = world.asked.len();
    world.plugin(who, json!({ "request": "configure", "audio": true }));
    assert_eq!(world.asked.len(), asked, "nothing has changed");
}

#[test]
fn candidates_become_fragments_that_hold_nothing_else() {
    let mut world = World::new(Limits::default());
    let who = world.client(ONE);
    let room = world.room(who);
    world.publish(who, room);
    let asked = world.asked.len();
    let line = "candidate:1 1 udp 2130706431 192.0.2.9 4000 typ host ufrag abcd";
    for (candidate, code, fragment) in [
        (
            json!({ "candidate": line, "sdpMid": "a" }),
            None,
            Some("a=mid:a\r\na=ice-ufrag:abcd\r\n"),
        ),
        (
            json!({ "candidate": line, "sdpMLineIndex": 1 }),
            None,
            Some("RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\n"),
        ),
        (
            json!({ "candidate": line, "sdpMid": "a\r\na=x" }),
            Some(466),
            None,
        ),
        (json!({ "candidate": line, "sdpMLineIndex": 64 }), Some(456), None),
        (json!({ "candidate": line }), Some(456), None),
        (
            json!({ "candidate": "candidate:1 1 udp", "sdpMid": "a" }),
            Some(466),
            None,
        ),
        (json!({ "candidate": "", "sdpMid": "a" }), None, None),
        (json!({ "completed": true }), None, None),
        (json!({}), Some(456), None),
    ] {
        world.asked.truncate(asked);
        let message = json!({
            "janus": "trickle", "session_id": who.session, "handle_id": who.handle, "candidate": candidate,
        });
        let reply = world.ask(ONE, message);
        match code {
            Some(code) => assert_refused(&reply, code),
            None => assert_eq!(reply["janus"], "ack"),
        }
        let sent = world.asked.get(asked).map(|request| match request {
            Request::Offer(offer) => offer.sdp.to_text().into_owned(),
            other => panic!("{other:?}"),
        });
        match fragment {
            Some(fragment) => assert!(sent.as_ref().unwrap().contains(fragment), "{sent:?}"),
            None => assert_eq!(sent, None),
        }
    }
}

#[test]
fn a_relay_that_refuses_leaves_the_room_as_it_was() {
    let mut world = World::new(Limits::default());
    let (one, two) = (world.client(ONE), world.client(TWO));
    let room = world.room(one);
    world.plugin(
        one,
        json!({ "request": "join", "ptype": "publisher", "room": room }),
    );
    world.refusal = Some(ErrorReason::OutOfPorts);
    let reply = world.configure(one, json!({}), OFFER);
    assert_refused(&reply, 512);
    assert_eq!(reply["error"]["reason"], "Ran out of ports");
    assert_refused(&world.configure(one, json!({}), "blah"), 512);
    world.refusal = None;
    let asked = world.asked.len();
    // Whoever publishes nothing cannot be heard.
    assert_refused(&world.subscribe(two, room, 1), 512);
    assert_eq!(world.asked.len(), asked);
    assert_refused(&world.plugin(one, json!({ "request": "configure" })), 512);
}

#[test]
fn only_its_creator_or_who_knows_the_secret_ends_a_room() {
    let mut world = World::new(Limits::default());
    let (one, two) = (world.client(ONE), world.client(TWO));
    let room = world.room(one);
    let destroy = json!({ "request": "destroy", "room": room });
    assert_refused(&world.plugin(two, destroy.clone()), 403);
    let other_handle = Client {
        handle: world.attach(ONE, one.session),
        ..one
    };
    assert_eq!(
        data(&world.plugin(other_handle, destroy.clone()))["videoroom"],
        "destroyed"
    );
    assert_refused(&world.plugin(one, destroy.clone()), 426);
    let again = world.plugin(one, json!({ "request": "create", "room": room }));
    assert_eq!(data(&again)["room"], room);
    let message = json!({
        "janus": "message", "transaction": "t", "admin_secret": SECRET, "session_id": two.session,
        "handle_id": two.handle, "body": destroy,
    });
    assert_eq!(data(&world.say(TWO, &message)[0].1)["videoroom"], "destroyed");
}

#[test]
fn what_is_over_a_limit_is_refused_and_counted() {
    let mut world = World::new(Limits {
        sessions: 1,
        handles: 4,
        rooms: 1,
        publishers: 1,
        tokens: 1,
        token_octets: 5,
        ..Limits::default()
    });
    let one = world.client(ONE);
    assert_refused(&world.ask(TWO, json!({ "janus": "create" })), 468);
    for token in ["other", "longer"] {
        let add = json!({ "janus": "add_token", "transaction": "t", "token": token, "admin_secret": SECRET });
        assert_refused(&world.say(ONE, &add)[0].1, 468);
    }
    let room = world.room(one);
    world.publish(one, room);
    let two = Client {
        handle: world.attach(ONE, one.session),
        ..one
    };
    let join = json!({ "request": "join", "ptype": "publisher", "room": room });
    assert_refused(&world.plugin(two, join), 432);
    assert_refused(&world.plugin(two, json!({ "request": "create" })), 468);
    world.attach(ONE, one.session);
    world.attach(ONE, one.session);
    let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom", "session_id": one.session });
    assert_refused(&world.ask(ONE, attach), 468);
    let counters = world.gateway.counters();
    let over = [
        counters.over_sessions,
        counters.over_handles,
        counters.over_rooms,
        counters.over_publishers,
        counters.over_tokens,
    ];
    assert_eq!(over, [1, 1, 1, 1, 2]);
}

#[test]
fn a_session_outlives_its_connection_and_not_its_time() {
    let mut world = World::new(Limits::default());
    let who = world.client(ONE);
    let room = world.room(who);
    world.publish(who, room);
    world.gateway.handle_closed(ONE);
    assert_eq!(
        world.ask(TWO, json!({ "janus": "claim", "session_id": who.session }))["janus"],
        "success"
    );
    world.now += Duration::from_secs(59);
    world.with_relay(|gateway, now, relay| gateway.handle_timeout(now, relay));
    assert_eq!(
        world.ask(TWO, json!({ "janus": "keepalive", "session_id": who.session }))["janus"],
        "ack"
    );
    assert_eq!(
        world.gateway.poll_timeout(),
        Some(world.now + Duration::from_secs(60))
    );
    world.now += Duration::from_secs(60);
    world.with_relay(|gateway, now, relay| gateway.handle_timeout(now, relay));
    assert_eq!(
        world.told(),
        [(TWO, json!({ "janus": "timeout", "session_id": who.session }))]
    );
    // Its room was its own, and nobody else was there.
    assert_eq!(
        world.gateway.gauges(),
        Gauges {
            tokens: 1,
            ..Gauges::default()
        }
    );
    assert!(matches!(world.asked.last(), Some(Request::Delete(_))));
    assert_eq!(world.gateway.counters().sessions_timed_out, 1);
}

#[test]
fn when_the_call_of_a_room_ends_its_people_are_told_and_may_come_back() {
    let mut world = World::new(Limits::default());
    let (one, two) = (world.client(ONE), world.client(TWO));
    let room = world.room(one);
    let feed = world.publish(one, room);
    world.subscribe(two, room, feed);
    let call_id = format!("janus {room}");
    world.with_relay(|gateway, _, relay| {
        gateway.handle_call_event(call_id.as_bytes(), CallEvent::Ended, relay);
        gateway.handle_call_event(b"janus 1", CallEvent::Ended, relay);
        gateway.handle_call_event(b"other", CallEvent::Ended, relay);
    });
    let mut words: Vec<_> = world
        .told()
        .iter()
        .map(|(to, what)| (*to, what["janus"].clone()))
        .collect();
    words.sort_by_key(|(to, _)| *to);
    assert_eq!(words, [(ONE, json!("hangup")), (TWO, json!("hangup"))]);
    assert_refused(&world.subscribe(two, room, feed), 512);
    assert_eq!(data(&world.configure(one, json!({}), OFFER))["configured"], "ok");
    assert_eq!(data(&world.subscribe(two, room, feed))["videoroom"], "attached");
}

#[test]
fn over_http_everything_works_but_what_needs_a_connection() {
    let mut world = World::new(Limits::default());
    let who = world.client(ONE);
    let mut post = |path: &str, mut message: Value| -> Value {
        message["transaction"] = "t".into();
        message["token"] = "token".into();
        let reply = world.with_relay(|gateway, now, relay| {
            gateway.handle_post(now, path, message.to_string().as_bytes(), relay)
        });
        serde_json::from_str(&reply).unwrap()
    };
    assert_refused(&post("/janus", json!({ "janus": "create" })), 450);
    let session = format!("/janus/{}", who.session);
    assert_eq!(post(&session, json!({ "janus": "keepalive" }))["janus"], "ack");
    assert_refused(&post("/janus/x/y/z", json!({ "janus": "keepalive" })), 458);
    let handle = format!("{session}/{}", who.handle);
    let made = post(
        &handle,
        json!({ "janus": "message", "body": { "request": "create" } }),
    );
    assert_eq!(
        (&data(&made)["videoroom"], &made["sender"]),
        (&json!("created"), &json!(who.handle))
    );
}
