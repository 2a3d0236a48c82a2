//! What is played to phones and browsers (NG `play media`), over real sockets.

use std::net::SocketAddr;
use std::path::PathBuf;

use viaduct_clip::Clip;
use viaduct_ng::{Dict, Encoding, ErrorReason, OtherCommand, OtherRequest, Reply, Request, Value};
use viaduct_rtp::RtpPacket;
use viaduct_rtp::g711::a_law;

use crate::support::call::{Call, delete, ok};
use crate::support::ng::Proxy;
use crate::support::program::Program;
use crate::support::tcp::http;
use crate::support::{free_port, own_address};

/// A file that goes with its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, octets: &[u8]) -> Self {
        let name = format!("viaduct {name} {}.wav", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, octets).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Half a second in which no two packets are alike.
fn clip() -> Clip {
    Clip::new((0..4_000).map(|at| (at * at / 7) as i16).collect())
}

fn request(command: OtherCommand, call_id: &str, keys: &[(&str, Value)]) -> Request {
    let mut body = Dict::new();
    body.insert("call-id", Value::text(call_id));
    for (key, value) in keys {
        body.insert(*key, value.clone());
    }
    Request::Other(OtherRequest { command, body })
}

#[test]
fn a_file_is_heard_from_where_the_peer_is_heard() {
    let address = own_address();
    let metrics = SocketAddr::new(address, free_port(address));
    let relay = Program::start(&["--listen-http", &metrics.to_string()]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut call = Call::set_up_at(own_address(), "announced", |request| proxy.ask(request));
    call.talk(3);
    let clip = clip();
    let file = File::new("announcement", &clip.to_wav());
    let path = Value::text(file.0.to_str().unwrap());
    let keys = [("from-tag", Value::text("alice")), ("file", path)];
    let play = request(OtherCommand::PlayMedia, "announced", &keys);
    let reply = ok(proxy.ask(&play));
    assert_eq!(reply.rest.get("duration"), Some(&Value::Integer(500)));
    let mut heard: Vec<u8> = Vec::new();
    for _ in 0..25 {
        let (packet, from) = call.alice.hear();
        assert_eq!(from, call.for_alice.0);
        heard.extend(RtpPacket::parse(&packet).unwrap().payload());
    }
    let expected: Vec<u8> = clip
        .samples()
        .iter()
        .map(|sample| a_law::encode(*sample))
        .collect();
    assert_eq!(heard, expected);
    call.talk(3);
    let page = String::from_utf8(http(metrics, "GET", "/metrics", "", b"").1).unwrap();
    for line in [
        "viaduct_relay_clips_played_total 1",
        "viaduct_relay_played_packets_total 25",
    ] {
        assert!(page.lines().any(|have| have == line), "{line} in {page}");
    }
    ok(proxy.ask(&delete("announced")));
}

#[test]
fn what_cannot_be_played_is_refused_and_the_call_goes_on() {
    let relay = Program::start(&[]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Json);
    let mut call = Call::set_up_at(own_address(), "silent", |request| proxy.ask(request));
    let song = File::new("song", b"ID3\x04 and whatever else");
    for (keys, why) in [
        (
            vec![("file", Value::text("/nowhere/at/all.wav"))],
            "Failed to start media playback: /nowhere/at/all.wav: No such file or directory (os error 2)",
        ),
        (
            vec![("file", Value::text(song.0.to_str().unwrap()))],
            "Failed to start media playback: not a WAV file that can be played: \
             Ill-formed WAVE file: no RIFF tag found",
        ),
        (vec![], "Failed to start media playback: No media file specified"),
    ] {
        let keys = [vec![("from-tag", Value::text("bob"))], keys].concat();
        let play = request(OtherCommand::PlayMedia, "silent", &keys);
        let expected = Reply::Error {
            reason: ErrorReason::Other(why.into()),
        };
        assert_eq!(proxy.ask(&play), expected);
        call.talk(1);
    }
    ok(proxy.ask(&delete("silent")));
}
