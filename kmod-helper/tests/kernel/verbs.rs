//! `viaduct-kmod` as an operator uses it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Instant;

use viaduct_kmod_helper::{Config, Fast, tag};

use crate::bench::{Host, flow};

/// Runs the program with the words, on this host's BPF file system. Gives its exit status and what it printed.
fn kmod(host: &Host, words: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viaduct-kmod"));
    command
        .args(words.split_whitespace())
        .arg("--bpffs")
        .arg(host.bpffs.path());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn an_operator_loads_looks_and_unloads() {
    let Some(host) = Host::new() else { return };
    assert_eq!(kmod(&host, "unload").0, Some(0));
    let (code, text) = kmod(&host, "status");
    assert!(
        code == Some(1) && text.starts_with("No relay has anything in the kernel"),
        "{text}"
    );

    let (code, text) = kmod(&host, "load --interface lo --instance edge --flows-max 100");
    assert!(code == Some(0) && text.contains("attached to  lo\n"), "{text}");
    let (code, text) = kmod(&host, "status");
    assert!(
        code == Some(1) && text.contains("edge: no relay has it open"),
        "{text}"
    );
    assert!(text.contains("never: nothing is forwarded"), "{text}");

    let mut config = Config {
        instance: "edge".parse().unwrap(),
        ..host.config()
    };
    config.limits.flows_max = 100;
    let mut fast = Fast::open(Instant::now(), &config).unwrap();
    fast.heartbeat(Instant::now()).unwrap();
    let mut flow = flow(
        "127.0.0.1:4000",
        "127.0.0.1:30000",
        "127.0.0.1:30002",
        "127.0.0.1:5000",
    );
    flow.tag = tag("a84b4c76e66710");
    fast.install(Instant::now(), &flow).unwrap();
    let (code, text) = kmod(&host, "status --json");
    assert!(code == Some(0) && text.contains("\"is_held\": true"), "{text}");
    assert!(text.contains("\"flows\": 1"), "{text}");
    for what in ["a84b4c76e66710", "127.0.0.1:5000"] {
        let (code, text) = kmod(&host, &format!("explain {what} --instance edge"));
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains("127.0.0.1:4000 -> 127.0.0.1:30000 leaves as"),
            "{text}"
        );
        assert!(text.contains("forwarded by the kernel, no packet yet"), "{text}");
    }
    let (code, text) = kmod(&host, "explain another --instance edge");
    assert!(
        code == Some(0) && text.starts_with("No flow of another is in the kernel"),
        "{text}"
    );
    let (code, text) = kmod(&host, "load --instance edge");
    assert!(
        code == Some(1) && text.contains("another process has the instance `edge`"),
        "{text}"
    );

    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = relay.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = relay.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(b"it is on hold\n").unwrap();
        line
    });
    let (code, text) = kmod(
        &host,
        &format!("explain a84b4c76e66710 --instance edge --relay {address}"),
    );
    assert!(
        code == Some(0) && text.contains("forwarded by the kernel") && text.ends_with("it is on hold\n"),
        "{text}"
    );
    assert_eq!(answering.join().unwrap(), "list kernel a84b4c76e66710\n");

    assert_eq!(kmod(&host, "unload --instance edge").0, Some(0));
    assert_eq!(kmod(&host, "explain another --instance edge").0, Some(1));
    let (code, text) = kmod(&host, "unload --instance edge");
    assert!(
        code == Some(1) && text.contains("unloading the instance `edge`"),
        "{text}"
    );
}
