//! Calls go on with a relay that takes the place of one that was killed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use viaduct_ng::{Encoding, Request};

use crate::support::call::{Call, answer, delete, offer, ok, sdp_of};
use crate::support::ng::Proxy;
use crate::support::phone::{Phone, media_of};
use crate::support::program::Program;
use crate::support::secrets::{Secrets, secure};
use crate::support::tcp::get;
use crate::support::{free_port, own_address, wait_for};

/// A relay that keeps its calls, and that can be started again where it was.
pub(crate) struct Place {
    address: IpAddr,
    ng: u16,
    cli: u16,
    web: SocketAddr,
    file: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let address = own_address();
        Self {
            address,
            ng: free_port(address),
            cli: free_port(address),
            web: (address, free_port(address)).into(),
            file: std::env::temp_dir().join(format!("viaduct-calls-{}-{address}", std::process::id())),
        }
    }

    pub(crate) fn start(&self) -> Program {
        let options = [
            format!("--state-file={}", self.file.display()),
            format!("--listen-http={}", self.web),
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Program::start_at(self.address, self.ng, self.cli, &options)
            .unwrap_or_else(|outcome| panic!("{}", outcome.log))
    }

    pub(crate) fn figure(&self, name: &str) -> u64 {
        let text = get(self.web, "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Waits until so many changes are on disk.
    pub(crate) fn wait_until_written(&self, changes: u64) {
        wait_for("the state file", || {
            let written = self.figure("viaduct_relay_control_state_written_total");
            (written >= changes && self.figure("viaduct_relay_control_state_waiting") == 0).then_some(())
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

#[test]
fn a_call_of_phones_goes_on_after_its_relay_was_killed() {
    let place = Place::new();
    let relay = place.start();
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut call = Call::set_up("going on", |request| proxy.ask(request));
    call.talk(20);
    call.report();
    // Two commands, and where RTP and RTCP of both were found.
    place.wait_until_written(3);
    let killed = Instant::now();
    assert!(!relay.end(Signal::SIGKILL).status.success());
    let relay = place.start();
    let silent = killed.elapsed();
    assert!(
        relay
            .log
            .iter()
            .any(|line| line.contains("1 go on and 0 have ended")),
        "{:?}",
        relay.log
    );
    // Every packet from here on arrives, both ways, unchanged, by the same ports.
    call.talk(200);
    call.report();
    println!("silent for {silent:?}, then 400 of 400 packets arrived");
    assert!(silent < Duration::from_secs(5), "{silent:?}");
    assert_eq!(place.figure("viaduct_relay_calls_rebuilt_total"), 1);
    // A regular end is no end of calls either.
    assert!(relay.end(Signal::SIGTERM).status.success());
    let relay = place.start();
    call.talk(20);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    ok(proxy.ask(&delete("going on")));
    place.wait_until_written(1);
    drop(relay);
    let relay = place.start();
    assert!(
        relay
            .log
            .iter()
            .any(|line| line.contains("0 go on and 0 have ended")),
        "{:?}",
        relay.log
    );
}

#[test]
fn a_call_with_keys_in_its_sdp_goes_on_after_its_relay_was_killed() {
    let place = Place::new();
    let relay = place.start();
    let mut proxy = Proxy::of(relay.ng, Encoding::Json);
    let (alice, bob) = (Phone::at(own_address(), 0xa11ce), Phone::at(own_address(), 0xb0b));
    let for_bob = media_of(&sdp_of(proxy.ask(&offer("secret", &secure(&alice.sdp())))));
    let Request::Answer(mut answer) = answer("secret", &bob.sdp()) else {
        unreachable!()
    };
    answer.options.transport_protocol = Some(viaduct_ng::TransportProtocol::RtpSavp);
    let to_alice = sdp_of(proxy.ask(&Request::Answer(answer)));
    let (for_alice, mut secrets) = (media_of(&to_alice), Secrets::of(&to_alice));
    let mut talk = |sequences: std::ops::Range<u16>| {
        for sequence in sequences {
            let packet = alice.packet(sequence);
            alice.rtp.send_to(&secrets.protect(&packet), for_alice.0).unwrap();
            assert_eq!(bob.hear(), (packet, for_bob.0));
            let packet = bob.packet(sequence);
            bob.rtp.send_to(&packet, for_bob.0).unwrap();
            assert_eq!(secrets.open(alice.hear().0), packet);
        }
    };
    talk(0..100);
    place.wait_until_written(3);
    assert!(!relay.end(Signal::SIGKILL).status.success());
    let relay = place.start();
    talk(100..300);
    drop(relay);
}

#[test]
fn a_call_whose_port_somebody_else_has_ends_and_that_is_told() {
    let place = Place::new();
    let relay = place.start();
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let mut lost = Call::set_up("lost", |request| proxy.ask(request));
    let mut kept = Call::set_up("kept", |request| proxy.ask(request));
    lost.talk(2);
    kept.talk(2);
    place.wait_until_written(6);
    drop(relay);
    let _taken = std::net::UdpSocket::bind(lost.for_bob.0).unwrap();
    let relay = place.start();
    let told = |text: &str| relay.log.iter().any(|line| line.contains(text));
    assert!(told("1 go on and 1 have ended"), "{:?}", relay.log);
    assert!(
        told(&format!("its port {} cannot be opened", lost.for_bob.0)),
        "{:?}",
        relay.log
    );
    assert_eq!(place.figure("viaduct_relay_calls_not_rebuilt_total"), 1);
    kept.talk(20);
}
