//! The sample configurations in `config/`, as somebody would use them who has just read them.

use std::fmt::Write;

use nix::sys::signal::Signal;

use crate::support::program::{Process, run, viaduct};
use crate::support::{Folder, free_port, own_address};

/// A sample of this name, in a folder with the files that it names.
fn sample(name: &str) -> (Folder, String) {
    let path = format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let folder = Folder::new();
    folder.write(name, &text);
    for user in ["alice", "201", "acme"] {
        folder.write(&format!("secrets/{user}"), "apple pie\n");
    }
    folder.write("users.csv", "user,secret,name\n203,kiwi,Desk 203\n");
    (folder, text)
}

/// The sample at an address and ports of ours.
fn moved_here(text: &str) -> String {
    let address = own_address();
    let mut text = text.to_owned();
    for other in ["10.0.0.5", "192.168.1.5", "0.0.0.0"] {
        text = text.replace(other, &address.to_string());
    }
    text = text.replace("127.0.0.1:9100", &format!("{address}:{}", free_port(address)));
    text = text.replace("address: \"fd00::5\"", "address: \"::1\"");
    text = text.replace(
        "browser_port: 3480",
        &format!("browser_port: {}", free_port(address)),
    );
    let (sip, sips, https) = (free_port(address), free_port(address), free_port(address));
    for (scheme, from, to) in [
        ("https", 443, https),
        ("sip+udp", 5060, sip),
        ("sip+tcp", 5060, sip),
        ("sip+tls", 5061, sips),
    ] {
        text = text.replace(
            &format!("{scheme}://{address}:{from}"),
            &format!("{scheme}://{address}:{to}"),
        );
    }
    text
}

/// Starts it, asks it how it is, and ends it.
fn expect_to_run(folder: &Folder, name: &str) {
    let mut command = viaduct(&["run", name]);
    command
        .current_dir(folder.path())
        .env("BOB_SECRET", "apple pie")
        .env("SECOND_SECRET", "date cake");
    let mut process = Process::start(command);
    assert!(process.says("listening on sip+tls://"), "{name} does not start");
    let status = run(folder.path(), &["status", "--json"]).json();
    assert_eq!(status["domain"], "voice.example.com");
    assert_eq!(status["listeners"].as_array().map(Vec::len), Some(4), "{status}");
    process.signal(Signal::SIGINT);
    process.end().expect_good();
}

#[test]
fn the_complete_sample_has_no_mistakes_and_starts() {
    let (folder, text) = sample("gateway.yaml");
    let mut command = viaduct(&["check", "gateway.yaml"]);
    let said = command
        .current_dir(folder.path())
        .env("BOB_SECRET", "apple pie")
        .env("SECOND_SECRET", "date cake")
        .output()
        .unwrap();
    let said = crate::support::program::Said::from(said);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(said.out.ends_with("gateway.yaml: good\n"), "{said:?}");
    // The merged table of the media policy is shown, row by row.
    for row in ["ws-to-ws", "ws-to-phone", "phone-to-ws", "phone-to-phone"] {
        for half in ["offer", "answer"] {
            assert!(
                said.out.contains(&format!("media_policy.{row}.{half}: ")),
                "{said:?}"
            );
        }
    }
    folder.write("gateway.yaml", &moved_here(&text));
    expect_to_run(&folder, "gateway.yaml");
}

#[test]
fn the_smallest_sample_has_no_mistakes_and_starts() {
    let (folder, mut text) = sample("minimal.yaml");
    let said = run(folder.path(), &["check", "minimal.yaml"]);
    assert_eq!(
        (said.code(), &*said.out),
        (Some(0), "minimal.yaml: good\n"),
        "{said:?}"
    );
    let address = own_address();
    let port = || free_port(address);
    let (sip, sips, https, media, metrics) = (port(), port(), port(), port(), port());
    // What it leaves out, elsewhere than by default.
    write!(
        text,
        "listen: [\"https://{address}:{https}\", \"sip+udp://{address}:{sip}\", \"sip+tcp://{address}:{sip}\", \
         \"sip+tls://{address}:{sips}\"]\nrelay: {{ interfaces: {{ default: {{ address: \"{address}\" }} }}, \
         browser_port: {media} }}\nmetrics: {{ listen: \"{address}:{metrics}\" }}\n"
    )
    .unwrap();
    folder.write("minimal.yaml", &text);
    expect_to_run(&folder, "minimal.yaml");
}
