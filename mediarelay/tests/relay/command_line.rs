//! The program as start scripts of rtpengine call it.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use nix::sys::signal::Signal;
use viaduct_ng::{Encoding, Reply, Request};

use crate::support::call::{Call, delete, offer, ok, sdp_of};
use crate::support::ng::Proxy;
use crate::support::phone::{Phone, media_of};
use crate::support::program::{Program, run};
use crate::support::tcp::{cli, get};
use crate::support::{free_port, own_address};

#[test]
fn the_tutorials_command_line_carries_a_call() {
    let relay = Program::start(&[]);
    assert_eq!(
        fs::read_to_string(&relay.pid_file).unwrap(),
        format!("{}\n", relay.pid())
    );
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    assert_eq!(proxy.ask(&Request::Ping), Reply::Pong);
    let mut call = Call::set_up("tutorial", |request| proxy.ask(request));
    for media in [call.for_alice.0, call.for_alice.1, call.for_bob.0, call.for_bob.1] {
        assert!(
            media.ip() == relay.address && (50_000..=55_000).contains(&media.port()),
            "{media}"
        );
    }
    assert_eq!((call.for_alice.0.port() % 2, call.for_bob.0.port() % 2), (0, 0));
    call.talk(20);
    call.report();
    assert!(cli(relay.cli, "list sessions all").contains("tutorial"));
    let report = ok(proxy.ask(&delete("tutorial"))).call.unwrap();
    assert_eq!((report.totals.rtp.packets, report.totals.rtp.errors), (40, 0));
    assert_eq!(relay.end(Signal::SIGTERM).status.code(), Some(0));
}

#[test]
fn what_runs_is_said_in_the_log() {
    let relay = Program::start(&["--table=0", "--homer=192.0.2.1:9060"]);
    let log = relay.log.join("\n");
    for line in [
        format!("interface eth0: {}", relay.address),
        format!("listening on ng+udp://{}", relay.ng),
        format!("listening on cli://{}", relay.cli),
        "media ports 50000 to 55000".to_owned(),
        "accepted and without effect: table, homer".to_owned(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in\n{log}");
    }
}

#[test]
fn an_advertised_address_stands_in_the_sdp() {
    let address = own_address();
    let inside = format!("inside/{address}!203.0.113.7");
    let relay = Program::start(&["-i", &inside]);
    let mut proxy = Proxy::of(relay.ng, Encoding::Bencode);
    let Request::Offer(mut request) = offer("advertised", &Phone::at(address, 1).sdp()) else {
        panic!("an offer")
    };
    request.options.to_interface = Some("inside".into());
    let (rtp, _) = media_of(&sdp_of(proxy.ask(&Request::Offer(request))));
    assert_eq!(rtp.ip(), IpAddr::from([203, 0, 113, 7]));
}

#[test]
fn wrong_options_are_all_named_and_nothing_is_started() {
    let (status, _, err) = run(&[
        "--config-file=none",
        "-n",
        "127.0.0.1:70000",
        "--no-such-option",
        "-m",
        "5000x",
    ]);
    assert_eq!(status.code(), Some(64));
    for mistake in ["70000", "no-such-option", "5000x"] {
        assert!(err.contains(mistake), "{mistake} in\n{err}");
    }
}

#[test]
fn help_and_version_are_printed() {
    let (status, out, _) = run(&["--help"]);
    assert!(status.success() && out.contains("--listen-ng"), "{out}");
    let (status, out, _) = run(&["--version"]);
    assert!(status.success());
    assert_eq!(out, format!("viaduct-relay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (status, _, err) = run(&["--config-file=/no/such/file.yaml"]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("cannot read /no/such/file.yaml"), "{err}");
}

#[test]
fn yaml_is_taken_as_well() {
    let address = own_address();
    let web = SocketAddr::new(address, free_port(address));
    let file = std::env::temp_dir().join(format!("viaduct-relay-{}-{address}.yaml", std::process::id()));
    let text = format!("listen: [http://{web}]\ninterfaces: {{ inside: {{ address: {address} }} }}\n");
    fs::write(&file, text).unwrap();
    let started = Program::start_with_file(&file, address);
    fs::remove_file(&file).unwrap();
    let relay = started.unwrap_or_else(|outcome| panic!("{}", outcome.log));
    assert_eq!(get(web, "/health/ready"), "ready\n");
    let log = relay.log.join("\n");
    assert!(log.contains(&format!("interface inside: {address}")), "{log}");
}
