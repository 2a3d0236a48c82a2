//! Every seed of the corpus, and the same mutations of them in every run.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what cannot be read is a failed test"
)]

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use viaduct_fuzz::{Mutator, TARGETS};
use viaduct_ng::{Encoding, Packet};
use viaduct_resolve::{Kind, Question, WireError};
use viaduct_rtp::RtpPacket;
use viaduct_rtp::rtcp::Compound;
use viaduct_sdp::{SdpFragment, Session};
use viaduct_settings::{ChallengeSettings, UserDefaults};

/// Mutations of a target, spread over its seeds. All targets together take a few seconds in a debug build.
const MUTATIONS: usize = 6_000;

/// The same where an input takes milliseconds: every word that a flag string has wrong is compared with all that exist.
const MUTATIONS_OF_SLOW: usize = 600;

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// Names in a folder, in order.
fn names(of: &Path) -> Vec<String> {
    let entries = fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Names and octets.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder("corpus").join(target);
    let seed = |name: String| (name.clone(), fs::read(folder.join(name)).unwrap());
    names(&folder).into_iter().map(seed).collect()
}

fn replay(name: &str, mutations: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for (seed, octets) in &seeds {
        run(target.run, octets, &format!("corpus/{name}/{seed}"));
    }
    let others: Vec<Vec<u8>> = seeds.iter().map(|(_, octets)| octets.clone()).collect();
    for (number, (seed, octets)) in (0..).zip(&seeds) {
        let mut mutator = Mutator::new(number);
        for count in 0..mutations / seeds.len() {
            let input = mutator.mutate(octets, &others);
            run(
                target.run,
                &input,
                &format!("mutation {count} of corpus/{name}/{seed}"),
            );
        }
    }
}

/// Runs a target; a panic is told with the input that led to it.
fn run(target: fn(&[u8]), input: &[u8], what: &str) {
    if let Err(cause) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        panic!("{what}: {}\nb\"{}\"", text_of(&*cause), input.escape_ascii());
    }
}

fn text_of(cause: &(dyn Any + Send)) -> &str {
    let text = cause.downcast_ref::<&str>().copied();
    text.or_else(|| cause.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic")
}

#[test]
fn bencode() {
    replay("bencode", MUTATIONS);
}

#[test]
fn clip() {
    replay("clip", MUTATIONS_OF_SLOW);
}

#[test]
fn digest() {
    replay("digest", MUTATIONS);
}

#[test]
fn dns() {
    replay("dns", MUTATIONS);
}

#[test]
fn dtls() {
    replay("dtls", MUTATIONS_OF_SLOW);
}

#[test]
fn flags() {
    replay("flags", MUTATIONS_OF_SLOW);
}

#[test]
fn frame() {
    replay("frame", MUTATIONS);
}

#[test]
fn hook_answer() {
    replay("hook_answer", MUTATIONS);
}

#[test]
fn janus() {
    replay("janus", MUTATIONS);
}

#[test]
fn json() {
    replay("json", MUTATIONS);
}

#[test]
fn proxies() {
    replay("proxies", MUTATIONS);
}

#[test]
fn proxy() {
    replay("proxy", MUTATIONS_OF_SLOW);
}

#[test]
fn relay() {
    replay("relay", MUTATIONS_OF_SLOW);
}

#[test]
fn rtp() {
    replay("rtp", MUTATIONS);
}

#[test]
fn sdp() {
    replay("sdp", MUTATIONS);
}

#[test]
fn sip() {
    replay("sip", MUTATIONS);
}

#[test]
fn srtp() {
    replay("srtp", MUTATIONS);
}

#[test]
fn stun() {
    replay("stun", MUTATIONS);
}

#[test]
fn udptl() {
    replay("udptl", MUTATIONS);
}

#[test]
fn user_answer() {
    replay("user_answer", MUTATIONS_OF_SLOW);
}

#[test]
fn worker() {
    replay("worker", MUTATIONS);
}

#[test]
fn ws_frames() {
    replay("ws_frames", MUTATIONS);
}

#[test]
fn ws_handshake() {
    replay("ws_handshake", MUTATIONS);
}

#[test]
fn every_target_has_seeds_and_a_program_and_nothing_else_has() {
    let targets: Vec<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets);
    let programs = targets.iter().map(|name| format!("{name}.rs"));
    assert_eq!(
        names(&folder("libfuzzer/fuzz_targets")),
        programs.collect::<Vec<_>>()
    );
}

/// True for what a server may answer to a question of ours.
fn is_dns(octets: &[u8]) -> bool {
    [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr]
        .into_iter()
        .any(|kind| {
            let name = "example.com".into();
            let read = Question { name, kind }.decode(0x1234, octets);
            matches!(read, Ok(_) | Err(WireError::Truncated))
        })
}

fn is_user(octets: &[u8]) -> bool {
    let defaults = UserDefaults {
        devices: 1,
        challenge: ChallengeSettings::default(),
    };
    defaults
        .user_of_json("alice", str::from_utf8(octets).unwrap())
        .is_ok()
}

/// A seed that no parser takes shows a fuzzer nothing of what is behind the parser. Those that are wrong on purpose say so
/// in their names.
#[test]
fn seeds_are_read() {
    let is_packet = |octets: &[u8]| RtpPacket::parse(octets).is_ok() || Compound::parse(octets).is_ok();
    let is_document = |octets: &[u8]| Session::parse(octets).is_ok() || SdpFragment::parse(octets).is_ok();
    let is_value = |octets: &[u8], encoding: Encoding| {
        let limits = viaduct_ng::Limits::default();
        let body = Packet::split(octets, &limits).map_or(octets, |packet| packet.body);
        encoding.decode(body, &limits).is_ok()
    };
    for target in TARGETS {
        for (name, octets) in seeds(target.name) {
            let is_read = match target.name {
                "bencode" => is_value(&octets, Encoding::Bencode),
                "json" => is_value(&octets, Encoding::Json),
                "rtp" => is_packet(&octets) || name == "arrivals",
                "flags" => str::from_utf8(&octets).is_ok(),
                "sdp" => is_document(&octets),
                "sip" => viaduct_sip::Message::parse_datagram(octets.into(), &viaduct_sip::Limits::default())
                    .is_ok(),
                "clip" => viaduct_clip::Clip::parse(&octets).is_ok(),
                "stun" => viaduct_stun::Message::parse(&octets).is_ok(),
                "dns" => is_dns(&octets),
                "hook_answer" => viaduct_trunk::hook::HookDecision::from_json(&octets).is_ok(),
                "user_answer" => is_user(&octets),
                "ws_handshake" => octets.starts_with(b"GET /ws HTTP/1.1\r\n"),
                // Stories: every octet means something.
                _ => true,
            };
            let is_wrong = ["fault-", "finding-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            assert!(is_read || is_wrong, "corpus/{}/{name} is not read", target.name);
        }
    }
}

/// So that seeds of text can be read as they are, and a finding is not hidden in a heap.
#[test]
fn seeds_are_small() {
    for target in TARGETS {
        for (name, octets) in seeds(target.name) {
            assert!(
                octets.len() <= 8_192,
                "corpus/{}/{name} has {} octets",
                target.name,
                octets.len()
            );
        }
    }
}
