//! What proxies and people ask over the network.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Message, WebSocket};
use viaduct_mediarelay::RelayConfig;
use viaduct_ng::{Encoding, ErrorReason, Reply, Request, encode_packet};
use viaduct_settings::{RelayListener, RelayScheme, Secret};

use crate::support::call::{Call, answer, delete, offer, ok};
use crate::support::ng::Proxy;
use crate::support::phone::Phone;
use crate::support::program::Program;
use crate::support::tcp::{cli, connect, exchange, http};
use crate::support::{InProcess, free_port, own_address, settings};

const PING: &[u8] = b"1_1 d7:command4:pinge";
const PONG: &[u8] = b"1_1 d6:result4:ponge";

/// A relay with one listener of each kind: NG over UDP and TCP, text, HTTP.
fn relay() -> (InProcess, [SocketAddr; 4]) {
    relay_with(|_| {})
}

fn relay_with(change: impl FnOnce(&mut RelayConfig)) -> (InProcess, [SocketAddr; 4]) {
    let address = own_address();
    let schemes = [
        RelayScheme::NgUdp,
        RelayScheme::NgTcp,
        RelayScheme::Cli,
        RelayScheme::Http,
    ];
    let listen = schemes.map(|scheme| RelayListener {
        scheme,
        address: (address, free_port(address)).into(),
    });
    let mut config = RelayConfig {
        listen: listen.into(),
        ..RelayConfig::in_process(settings(address), viaduct_settings::PublicIp::Auto)
    };
    change(&mut config);
    let relay = InProcess::start_config(config);
    let bound = schemes.map(|scheme| {
        relay
            .handle
            .listeners()
            .iter()
            .find(|(of, _)| *of == scheme)
            .unwrap()
            .1
    });
    (relay, bound)
}

#[test]
fn ng_is_answered_in_the_encoding_it_came_in() {
    let relay = Program::start(&[]);
    for encoding in [Encoding::Bencode, Encoding::Json] {
        let mut proxy = Proxy::of(relay.ng, encoding);
        let call_id = format!("{encoding:?}");
        Call::set_up(&call_id, |request| proxy.ask(request)).talk(2);
        assert_eq!(
            ok(proxy.ask(&Request::List(Default::default()))).calls,
            Some(vec![call_id.as_str().into()])
        );
        assert!(ok(proxy.ask(&delete(&call_id))).call.is_some());
        assert_eq!(
            proxy.ask(&answer(&call_id, "v=0\r\n")),
            Reply::error(ErrorReason::UnknownCallId)
        );
    }
}

#[test]
fn a_repeated_message_gets_the_stored_answer_and_is_not_done_again() {
    let relay = Program::start(&[]);
    let proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let alice = Phone::at(own_address(), 1);
    let first = offer("repeated", &alice.sdp());
    proxy.send("same", &first);
    let answered = proxy.receive();
    for _ in 0..3 {
        proxy.send("same", &first);
        assert_eq!(proxy.receive(), answered);
    }
    // Neither does something else under the same cookie count.
    proxy.send("same", &delete("repeated"));
    assert_eq!(proxy.receive(), answered);
    // Somebody else's cookies are their own.
    let other = Proxy::of(relay.ng, Encoding::Bencode);
    other.send("same", &Request::Ping);
    assert_eq!(other.receive(), b"same d6:result4:ponge");
    let totals = cli(relay.cli, "list totals");
    assert!(
        totals.contains("Total managed sessions                          :1\n"),
        "{totals}"
    );
}

#[test]
fn people_are_answered_in_the_words_of_rtpengine() {
    let relay = Program::start(&[]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let sessions = |count: usize| format!("Current sessions own: {count}\nCurrent sessions foreign: 0\n");
    assert!(cli(relay.cli, "list numsessions").starts_with(&sessions(0)));
    assert_eq!(cli(relay.cli, "list sessions all"), "No sessions.\n");
    let phones = own_address();
    for call_id in ["one", "two", "thr\u{1b}[2Jee"] {
        Call::set_up_at(phones, call_id, |request| proxy.ask(request)).talk(1);
    }
    let told = cli(relay.cli, "list numsessions");
    assert!(told.starts_with(&sessions(3)));
    assert!(
        told.ends_with(
            "ipv4 only media: 3\nCurrent sessions ipv6 only media: 0\nCurrent sessions ip mixed  media: 0\n"
        ),
        "{told}"
    );
    let list = cli(relay.cli, "list sessions all");
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(
        list.contains("callid:") && list.contains(&format!("proxy:{}", relay.address)),
        "{list}"
    );
    assert!(list.contains("thr\\u{1b}[2Jee"), "{list}");
    let one = cli(relay.cli, "list sessions one");
    for part in [
        "callid: one\n",
        "deletionmark: no\n",
        "--- Tag 'alice'",
        "--- Tag 'bob'",
        "audio over RTP/AVP",
        " 1 p, 172 b, 0 e",
    ] {
        assert!(one.contains(part), "{part} in\n{one}");
    }
    let json: serde_json::Value = serde_json::from_str(&cli(relay.cli, "list jsonstats")).unwrap();
    assert_eq!(json["currentstatistics"]["sessionsown"], 3, "{json}");
    assert!(
        json["interfaces"][0]["ports"]["used"]
            .as_u64()
            .is_some_and(|used| used >= 12),
        "{json}"
    );
    let interfaces = cli(relay.cli, "list interfaces");
    assert!(interfaces.contains("Ports used:    12 /  5000"), "{interfaces}");
    assert!(cli(relay.cli, "list totals").contains("Owned sessions                                  :3\n"));
    assert_eq!(cli(relay.cli, "list timeout"), "TIMEOUT=60\n");
    assert_eq!(cli(relay.cli, "terminate one"), "Sessions terminated: 1\n");
    assert!(cli(relay.cli, "terminate one").contains("not found"));
    assert_eq!(cli(relay.cli, "terminate all"), "Sessions terminated: 2\n");
    assert!(cli(relay.cli, "list numsessions").starts_with(&sessions(0)));
    assert_eq!(
        cli(relay.cli, "nonsense"),
        "Unknown or incomplete command::nonsense\n"
    );
}

#[test]
fn a_relay_can_be_drained_by_hand() {
    let (relay, [_, _, text, web]) = relay();
    let limit = |max: &str| format!("Maximum sessions configured on rtpengine: {max}\n");
    assert_eq!(cli(text, "list maxsessions"), limit("-1"));
    let mut call = Call::set_up("last", |request| relay.ask(request.clone()));
    assert_eq!(cli(text, "set maxsessions 0"), limit("0"));
    let refused = relay.ask(offer("refused", &call.alice.sdp()));
    assert_eq!(refused, Reply::error(ErrorReason::ParallelSessionLimit));
    assert_eq!(http(web, "GET", "/health/ready", "text/plain", b"").0, 503);
    call.talk(2);
    assert_eq!(cli(text, "set maxsessions -1"), limit("-1"));
    ok(relay.ask(offer("taken", &call.alice.sdp())));
    relay.shut_down();
}

#[test]
fn a_line_of_the_text_interface_may_come_over_ng() {
    let relay = Program::start(&[]);
    let proxy = Proxy::of(relay.ng, Encoding::Json);
    proxy
        .socket
        .send(br#"7 {"command":"cli","body":"list numsessions"}"#)
        .unwrap();
    let reply = String::from_utf8(proxy.receive()).unwrap();
    assert!(
        reply.starts_with("7 {") && reply.contains(r"Current sessions own: 0\n"),
        "{reply}"
    );
}

#[test]
fn ng_over_tcp_finds_messages_in_any_pieces() {
    let (relay, [_, ng_tcp, ..]) = relay();
    let mut stream = connect(ng_tcp);
    let answers = |stream: &mut TcpStream, count: usize| {
        let mut answer = vec![0; PONG.len() * count];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, PONG.repeat(count));
    };
    // All at once, then octet by octet.
    stream.write_all(&PING.repeat(3)).unwrap();
    answers(&mut stream, 3);
    for octet in PING {
        stream.write_all(&[*octet]).unwrap();
    }
    answers(&mut stream, 1);
    drop(stream);
    relay.shut_down();
}

#[test]
fn ng_over_http_has_a_cookie_or_none() {
    let (relay, [.., web]) = relay();
    let kind = "application/x-rtpengine-ng";
    assert_eq!(http(web, "POST", "/ng", kind, PING), (200, PONG.to_vec()));
    assert_eq!(
        http(web, "POST", "/ng-plain", kind, &PING[4..]),
        (200, PONG[4..].to_vec())
    );
    let json = http(
        web,
        "POST",
        "/ng-plain",
        "application/json",
        br#"{"command":"ping"}"#,
    );
    assert_eq!(json, (200, br#"{"result":"pong"}"#.to_vec()));
    assert_eq!(http(web, "POST", "/ng", kind, b"nocookie").0, 400);
    assert_eq!(http(web, "POST", "/ng", kind, &vec![b'x'; 300 << 10]).0, 413);
    assert_eq!(relay.snapshot().ng.http_too_large, 1);
    assert_eq!(http(web, "GET", "/no/such/page", kind, b"").0, 404);
    assert_eq!(http(web, "DELETE", "/ng", kind, b"").0, 405);
    relay.shut_down();
}

/// A WebSocket to the relay, or what it answers instead.
fn websocket(web: SocketAddr, headers: &[(&str, &str)]) -> Result<WebSocket<TcpStream>, u16> {
    let mut request = format!("ws://{web}/").into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    match tungstenite::client(request, connect(web)) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn ng_over_websocket_is_spoken_by_subprotocol() {
    let (relay, [.., web]) = relay();
    let mut ng = websocket(web, &[("sec-websocket-protocol", "ng.rtpengine.com")]).unwrap();
    let mut plain = websocket(
        web,
        &[("sec-websocket-protocol", "other.example, ng-plain.rtpengine.com")],
    )
    .unwrap();
    for _ in 0..2 {
        ng.send(Message::binary(PING)).unwrap();
        assert_eq!(ng.read().unwrap(), Message::binary(PONG));
        plain.send(Message::text(r#"{"command":"ping"}"#)).unwrap();
        assert_eq!(plain.read().unwrap(), Message::binary(r#"{"result":"pong"}"#));
    }
    for (name, line, answer) in [
        ("echo.rtpengine.com", "to and fro", "to and fro"),
        (
            "cli.rtpengine.com",
            "list maxsessions",
            "Maximum sessions configured on rtpengine: -1\n",
        ),
    ] {
        let mut socket = websocket(web, &[("sec-websocket-protocol", name)]).unwrap();
        socket.send(Message::text(line)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::binary(answer));
        socket.close(None).unwrap();
    }
    ng.send(Message::Ping(b"still there?".to_vec().into())).unwrap();
    assert_eq!(ng.read().unwrap(), Message::Pong(b"still there?".to_vec().into()));
    // Too much for one message ends the connection.
    let _ = ng.send(Message::binary(vec![b'x'; 300 << 10]));
    assert!(ng.read().is_err());
    plain.close(None).unwrap();
    let figures = relay
        .wait_for("the failed connection", |now| now.connections[2].failed == 1)
        .connections[2];
    assert_eq!((figures.accepted, figures.refused), (4, 0));
    relay.shut_down();
}

#[test]
fn rooms_are_served_to_those_with_a_token_and_only_where_there_is_a_secret() {
    let spoken = ("sec-websocket-protocol", "janus-protocol");
    let (without, [.., web]) = relay();
    assert_eq!(websocket(web, &[spoken]).err(), Some(400));
    assert_eq!(http(web, "POST", "/janus", "application/json", b"{}").0, 404);
    assert_eq!(http(web, "GET", "/admin/info", "", b"").0, 404);
    without.shut_down();

    let secret = viaduct_settings::JanusSecret::Given(Secret::new("secret"));
    let (relay, [.., web]) = relay_with(|config| config.janus_secret = Some(secret));
    let (_, info) = http(web, "GET", "/admin/info", "", b"");
    assert!(String::from_utf8_lossy(&info).contains("server_info"));
    let add = r#"{"janus":"add_token","transaction":"1","token":"t","admin_secret":"secret"}"#;
    let (status, added) = http(web, "POST", "/janus", "application/json", add.as_bytes());
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&added).contains("success"));
    // Pages may come, since every message must have a token.
    let mut socket = websocket(web, &[spoken, ("origin", "https://phone.example")]).unwrap();
    let mut ask = |message: String| -> serde_json::Value {
        socket.send(Message::text(message)).unwrap();
        loop {
            let read: serde_json::Value =
                serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
            if read["janus"] != "ack" {
                return read;
            }
        }
    };
    let refused = ask(r#"{"janus":"create","transaction":"2"}"#.to_owned());
    assert_eq!(refused["error"]["code"], 403);
    let session = ask(r#"{"janus":"create","transaction":"3","token":"t"}"#.to_owned())["data"]["id"].clone();
    let attach = format!(
        r#"{{"janus":"attach","plugin":"janus.plugin.videoroom","transaction":"4","token":"t","session_id":{session}}}"#
    );
    let handle = ask(attach)["data"]["id"].clone();
    let mut plugin = |body: &str, jsep: &str| {
        ask(format!(
            r#"{{"janus":"message","transaction":"5","token":"t","session_id":{session},"handle_id":{handle},
                "body":{body},"jsep":{jsep}}}"#
        ))["plugindata"]["data"]
            .clone()
    };
    let room = plugin(r#"{"request":"create"}"#, "null")["room"].clone();
    let join = format!(r#"{{"request":"join","ptype":"publisher","room":{room}}}"#);
    assert_eq!(plugin(&join, "null")["videoroom"], "joined");
    let offer = serde_json::json!({
        "type": "offer",
        "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n",
    });
    let configured = plugin(r#"{"request":"configure"}"#, &offer.to_string());
    assert_eq!(
        (&configured["configured"], &configured["audio_codec"]),
        (&"ok".into(), &"PCMA".into())
    );
    let figures = relay.snapshot();
    assert_eq!((figures.gauges.calls, figures.janus.gauges.rooms), (1, 1));
    assert_eq!(figures.janus.counters.unauthorized, 1);
    let destroyed = plugin(&format!(r#"{{"request":"destroy","room":{room}}}"#), "null");
    assert_eq!(destroyed["videoroom"], "destroyed");
    relay.wait_for("the end of the room", |now| {
        now.gauges.calls == 0 && now.janus.gauges.rooms == 0
    });
    relay.shut_down();
}

#[test]
fn pages_in_browsers_may_not_command() {
    let (relay, [.., web]) = relay();
    let subprotocol = ("sec-websocket-protocol", "ng.rtpengine.com");
    assert_eq!(
        websocket(web, &[subprotocol, ("origin", "https://evil.example")]).err(),
        Some(403)
    );
    assert_eq!(websocket(web, &[]).err(), Some(400));
    for path in ["/ng", "/ng-plain"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: relay\r\nOrigin: http://{web}\r\nContent-Type: text/plain\r\nContent-Length: \
             {}\r\n\r\n{}",
            PING.len(),
            str::from_utf8(PING).unwrap()
        );
        let answer = String::from_utf8(exchange(web, request.as_bytes())).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert_eq!(relay.snapshot().ng.received, 0);
    relay.shut_down();
}

#[test]
fn one_call_may_be_ruled_over_all_listeners() {
    let (relay, [ng_udp, ng_tcp, text, web]) = relay();
    let phones = own_address();
    let mut proxy = Proxy::of(ng_udp, Encoding::Bencode);
    let mut stream = connect(ng_tcp);
    let mut number = 0;
    let call = Call::set_up_at(phones, "everywhere", |request| {
        number += 1;
        if number == 1 {
            return proxy.ask(request);
        }
        stream
            .write_all(&encode_packet(b"x", Encoding::Bencode, &request.to_value()))
            .unwrap();
        let mut answer = vec![0; 65_536];
        let mut len = 0;
        loop {
            len += stream.read(&mut answer[len..]).unwrap();
            let limits = viaduct_ng::Limits::default();
            if let Ok(value) = Encoding::Bencode.decode(&answer[2..len], &limits) {
                return Reply::from_value(&value).unwrap();
            }
        }
    });
    assert_ne!(call.for_alice, call.for_bob);
    assert!(cli(text, "list sessions all").contains("everywhere"));
    let body = br#"{"command":"delete","call-id":"everywhere","delete-delay":0}"#;
    let (status, body) = http(web, "POST", "/ng-plain", "application/json", body);
    assert_eq!((status, body.starts_with(br#"{"result":"ok""#)), (200, true));
    relay.wait_until_empty();
    // In the process itself nothing is left either.
    assert_eq!(
        ok(relay.ask(Request::List(Default::default()))).calls,
        Some(Vec::new())
    );
    assert_eq!(
        relay.ask(answer("everywhere", "v=0\r\n")),
        Reply::error(ErrorReason::UnknownCallId)
    );
    relay.shut_down();
}

#[test]
fn silent_and_surplus_connections_do_not_keep_others_out() {
    let address = own_address();
    let listener = RelayListener {
        scheme: RelayScheme::Cli,
        address: (address, free_port(address)).into(),
    };
    let mut config = RelayConfig::in_process(settings(address), viaduct_settings::PublicIp::Auto);
    config.listen = vec![listener];
    config.limits.shell.cli_connections = 2;
    config.limits.shell.client_patience = std::time::Duration::from_millis(300);
    let relay = InProcess::start_config(config);
    let text = listener.address;
    let mut silent = [connect(text), connect(text)];
    relay.wait_for("two connections", |now| now.connections[1].accepted == 2);
    assert_eq!(cli(text, "list numsessions"), "", "closed at once");
    // The silent ones are sent away, and there is room again.
    for stream in &mut silent {
        assert_eq!(crate::support::tcp::read_to_end(stream), b"");
    }
    relay.wait_for("room", |_| {
        cli(text, "list numsessions").contains("Current sessions own: 0")
    });
    let figures = relay.snapshot().connections[1];
    assert_eq!(figures.failed, 2);
    assert!(figures.refused >= 1, "{figures:?}");
    relay.shut_down();
}

#[test]
fn ng_connections_that_carry_nothing_are_closed_and_counted() {
    let address = own_address();
    let listen = [RelayScheme::NgTcp, RelayScheme::Http].map(|scheme| RelayListener {
        scheme,
        address: (address, free_port(address)).into(),
    });
    let mut config = RelayConfig::in_process(settings(address), viaduct_settings::PublicIp::Auto);
    config.listen = listen.into();
    config.limits.shell.ng_idle = std::time::Duration::from_millis(100);
    let relay = InProcess::start_config(config);
    let mut stream = connect(listen[0].address);
    stream.write_all(PING).unwrap();
    assert_eq!(crate::support::tcp::read_to_end(&mut stream), PONG);
    let mut request = format!("ws://{}/", listen[1].address)
        .into_client_request()
        .unwrap();
    let protocol = HeaderValue::from_static("ng.rtpengine.com");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = tungstenite::client::client(request, connect(listen[1].address)).unwrap();
    assert!(socket.read().is_err(), "closed");
    relay.wait_for("both counted", |now| {
        let idle = now.connections.iter().map(|of| (of.scheme, of.idle, of.failed));
        let expected = listen.map(|of| (of.scheme, 1, 0));
        expected.iter().all(|of| idle.clone().any(|seen| seen == *of))
    });
    relay.shut_down();
}
