//! `viaduct demo`: everything in one process, with nothing to write.

use std::net::{Ipv4Addr, SocketAddr};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::http::get;
use crate::support::program::{Process, run, viaduct};
use crate::support::{Folder, free_port, own_address};

/// Starts it with ports of its own, in a folder of its own.
fn demo(folder: &Folder, ports: &[(&str, u16)]) -> Process {
    let mut command = viaduct(&["demo", "--address", &own_address().to_string()]);
    for (option, port) in ports {
        command.args([*option, &port.to_string()]);
    }
    command
        .args(["--rtp-ports", "30500-30599"])
        .current_dir(folder.path());
    Process::start(command)
}

#[test]
fn the_demo_hands_out_users_and_keeps_their_passwords() {
    let folder = Folder::new();
    let options = ["--http", "--https", "--sip", "--sips", "--browser-port"];
    let ports = options.map(|option| (option, free_port(Ipv4Addr::UNSPECIFIED.into())));
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0].1));
    let mut handed_out = Vec::new();
    for _ in 0..2 {
        let process = demo(&folder, &ports);
        let api = crate::support::wait_for("the demo's page", || {
            std::net::TcpStream::connect(http).map(|_| get(http, "/api/phone"))
        });
        let told: Value = serde_json::from_slice(&api.body).unwrap();
        assert_eq!(
            (&told["demo"], &told["user"]["name"]),
            (&Value::from(true), &Value::from("300"))
        );
        assert_eq!(told["desk_phone"]["port"], ports[2].1);
        // A page that is opened before the first one has registered is somebody else, and one that is loaded again is who it was.
        for (question, user) in [("", "301"), ("?prefer=300", "300"), ("", "302")] {
            let told = get(http, &format!("/api/phone{question}")).body;
            let told: Value = serde_json::from_slice(&told).unwrap();
            assert_eq!(told["user"]["name"], user);
        }
        handed_out.push((
            told["user"]["password"].clone(),
            told["desk_phone"]["password"].clone(),
        ));
        // Who can be there or not. A service always is, so it is none of them.
        let people: Value = serde_json::from_slice(&get(http, "/api/phone/people").body).unwrap();
        let is_listed = |user: &str| people.as_array().unwrap().iter().any(|one| one["user"] == user);
        assert!(
            is_listed("201") && is_listed("202") && is_listed("307"),
            "{people}"
        );
        assert!(!is_listed("100") && !is_listed("101"), "{people}");
        // Those who ask find it without being told where.
        assert_eq!(run(folder.path(), &["status"]).code(), Some(0));
        process.signal(Signal::SIGINT);
        process.end().expect_good();
    }
    assert_eq!(handed_out[0], handed_out[1]);
}
