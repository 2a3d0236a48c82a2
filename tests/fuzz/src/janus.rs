//! Janus' protocol: messages, a line each, of two clients that may.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use viaduct_janus::{CallEvent, ConnectionId, Gateway, Limits};
use viaduct_ng::{ErrorReason, Reply, Request};
use viaduct_sdp::SdpFragment;

/// Messages of one story.
const MESSAGES_MAX: usize = 64;

const TOKEN: &[u8] = br#"{"janus":"add_token","transaction":"0","token":"t","admin_secret":"s"}"#;

/// Reads messages, a line each. In each of them `$1` to `$9` stand for the numbers that were given out so far.
///
/// Laws: every message has one reply, and what is sent is an object that says under `janus` what it is; what is asked of the
/// relay is of a room that exists, and a fragment has only what one candidate makes; when the sessions have timed out
/// nothing is left of them.
pub fn janus(data: &[u8]) {
    let start = Instant::now();
    let mut gateway = Gateway::new("s".to_owned(), Limits::default(), StdRng::seed_from_u64(1));
    let mut relay = |request: &Request| answer(request);
    gateway.handle_message(start, ConnectionId(0), TOKEN, &mut relay);
    assert!(said(&mut gateway)[0].1["janus"] == "success");
    let mut numbers: Vec<u64> = Vec::new();
    for (at, line) in data.split(|octet| *octet == b'\n').take(MESSAGES_MAX).enumerate() {
        let now = start + Duration::from_secs(at as u64);
        let from = ConnectionId(1 + (at as u64 & 1));
        match line.first() {
            Some(b'!') => gateway.handle_closed(from),
            Some(b'.') => gateway.handle_timeout(now + Duration::from_secs(50), &mut relay),
            Some(b'~') => {
                let number = numbers.last().copied().unwrap_or_default();
                let call_id = format!("janus {number}");
                let tag = number.to_string();
                let tag = tag.as_bytes();
                for event in [
                    CallEvent::Connected { tag },
                    CallEvent::Media { tag, index: 0 },
                    CallEvent::Ended,
                ] {
                    gateway.handle_call_event(call_id.as_bytes(), event, &mut relay);
                }
            }
            _ => {
                let message = filled(line, &numbers);
                gateway.handle_message(now, from, &message, &mut relay);
                let said = said(&mut gateway);
                let (to, reply) = said.last().expect("every message has a reply");
                assert!(*to == from);
                numbers.extend(number_of(reply));
                continue;
            }
        }
        said(&mut gateway);
    }
    let end = start + Duration::from_secs(1_000);
    gateway.handle_timeout(end, &mut relay);
    let gauges = gateway.gauges();
    assert!(
        (gauges.sessions, gauges.handles, gauges.rooms) == (0, 0, 0),
        "{gauges:?}"
    );
    assert!(gateway.poll_timeout().is_none());
}

/// A relay that takes every SDP that is one.
fn answer(request: &Request) -> Reply {
    let call_id = request.call_id().expect("all requests are of a room");
    assert!(call_id.as_ref().starts_with(b"janus "));
    match request {
        Request::Publish(publish) => match viaduct_sdp::Session::parse(publish.sdp.as_ref()) {
            Ok(_) => Reply::sdp(publish.sdp.clone()),
            Err(_) => Reply::error(ErrorReason::UnparsableSdp),
        },
        Request::SubscribeRequest(_) => Reply::sdp("v=0\r\n"),
        Request::Offer(offer) => {
            let fragment = SdpFragment::parse(offer.sdp.as_ref()).expect("a fragment can be read");
            let candidates = fragment.medias.iter().map(|media| media.candidates.len());
            assert!(candidates.sum::<usize>() <= 1, "{fragment}");
            Reply::ok()
        }
        Request::Query(_) => Reply::error(ErrorReason::UnknownCallId),
        _ => Reply::ok(),
    }
}

fn said(gateway: &mut Gateway) -> Vec<(ConnectionId, Value)> {
    let mut said = Vec::new();
    while let Some(output) = gateway.poll_output() {
        let what: Value = serde_json::from_str(&output.text).expect("what is sent is JSON");
        assert!(what["janus"].is_string(), "{what}");
        said.push((output.to, what));
    }
    said
}

/// The number that a reply gives out.
fn number_of(reply: &Value) -> Option<u64> {
    let data = &reply["plugindata"]["data"];
    [&reply["data"]["id"], &data["id"], &data["room"]]
        .into_iter()
        .find_map(Value::as_u64)
}

fn filled(line: &[u8], numbers: &[u64]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut octets = line.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        let digit = octets
            .peek()
            .copied()
            .filter(|digit| octet == b'$' && digit.is_ascii_digit());
        match digit {
            Some(digit) => {
                octets.next();
                let number = numbers.get(usize::from(digit - b'0').wrapping_sub(1));
                message.extend(number.copied().unwrap_or_default().to_string().bytes());
            }
            None => message.push(octet),
        }
    }
    message
}
