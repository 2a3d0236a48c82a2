//! The program's own commands: what they print, and what they exit with.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use viaduct_sip::{HeaderName, Method};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::{Gateway, Setup};
use crate::support::program::run;
use crate::support::{Folder, wait_for};

/// A configuration in which four things are wrong, and where: line and column.
const WRONG: &str = "version: 1
site: { domain: viaduct.test }
listen:
  - udp://127.0.0.1:5060
users:
  \"201\": { secret_env: PASSWORD, devices: many }
relay:
  timeout: 2500
log: { level: debgu }
";
const MISTAKES: [(&str, usize, usize); 4] = [
    ("udp://127.0.0.1:5060", 4, 5),
    ("many", 6, 43),
    ("2500", 8, 12),
    ("debgu", 9, 15),
];

#[test]
fn every_mistake_is_shown_with_file_line_and_column_in_one_run() {
    let folder = Folder::new();
    folder.write("wrong.yaml", WRONG);
    for arguments in [["check", "wrong.yaml"], ["run", "wrong.yaml"]] {
        let said = run(folder.path(), &arguments);
        assert_eq!(said.code(), Some(1), "{said:?}");
        for (what, line, column) in MISTAKES {
            let place = format!("wrong.yaml:{line}:{column}");
            assert!(
                said.err.contains(&place),
                "no {place} for {what} in\n{}",
                said.err
            );
            assert!(said.err.contains(what), "no {what} in\n{}", said.err);
        }
        assert_eq!(said.err.matches("error[").count(), MISTAKES.len(), "{}", said.err);
        assert_eq!(said.out, "");
    }
    let said = run(folder.path(), &["check", "wrong.yaml"]);
    assert!(said.err.ends_with("wrong.yaml: 4 errors\n"), "{said:?}");
    let said = run(folder.path(), &["check", "--json", "wrong.yaml"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let report = &report["diagnostics"];
    assert_eq!(report["errors"], 4, "{report}");
    let places = report["diagnostics"].as_array().unwrap().iter().map(|one| {
        let number = |key: &str| usize::try_from(one[key].as_u64().unwrap()).unwrap();
        (number("line"), number("column"))
    });
    assert!(
        places.eq(MISTAKES.map(|(_, line, column)| (line, column))),
        "{report}"
    );
}

#[test]
fn a_good_configuration_is_good_and_starts_nothing() {
    let folder = Folder::new();
    let setup = Setup {
        limits: "calls: 50",
        ..Setup::default()
    };
    let text = setup.text().replace("calls: 100, ", "");
    folder.write("gateway.yaml", &text);
    let said = run(folder.path(), &["check", "gateway.yaml"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert_eq!(said.out, "gateway.yaml: good\n", "{said:?}");
    assert!(!folder.path().join("state").exists());
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("binary.yaml"), b"site: \xff\xfe").unwrap();
    for (file, told) in [
        ("missing.yaml", "missing.yaml"),
        ("binary.yaml", "binary.yaml:1:"),
    ] {
        for verb in ["check", "run"] {
            let said = run(folder.path(), &[verb, file]);
            assert_eq!(said.code(), Some(1), "{said:?}");
            assert!(said.err.contains(told), "{said:?}");
        }
    }
    assert_eq!(run(folder.path(), &["chekc"]).code(), Some(2));
    assert_eq!(run(folder.path(), &["--version"]).code(), Some(0));
}

/// Commands that ask a gateway.
const ASKING: [&[&str]; 5] = [
    &["status"],
    &["registrations"],
    &["calls"],
    &["hangup", "1"],
    &["stop"],
];

#[test]
fn without_a_gateway_those_who_ask_say_so_and_exit_with_3() {
    let folder = Folder::new();
    for arguments in ASKING {
        let said = run(folder.path(), arguments);
        assert_eq!(said.code(), Some(3), "{said:?}");
        assert!(
            said.err
                .contains("no running gateway answers on state/control.sock"),
            "{said:?}"
        );
        assert_eq!(said.out, "");
    }
    // The same when one has been there and could not clean up.
    let gateway = Gateway::start();
    gateway.die_and_look(|folder| {
        assert!(folder.join("state/control.sock").exists());
        for arguments in ASKING {
            assert_eq!(run(folder, arguments).code(), Some(3), "{arguments:?}");
        }
    });
}

/// One that hangs is no better than none, and whoever asks must not hang with it.
#[test]
fn a_gateway_that_does_not_answer_is_not_waited_for() {
    let gateway = Gateway::start();
    gateway.signal(Signal::SIGSTOP);
    wait_for("every thread stopped", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
        let states =
            threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
        let running = states.filter(|state| !state.contains("State:\tT"));
        match running.count() {
            0 => Ok(()),
            running => Err(running),
        }
    });
    let said = gateway.command(&["status"]);
    gateway.signal(Signal::SIGCONT);
    assert_eq!(said.code(), Some(3), "{said:?}");
    assert!(said.err.contains("does not answer"), "{said:?}");
    gateway.finish();
}

#[test]
fn calls_are_listed_and_can_be_ended() {
    let gateway = Gateway::start();
    assert_eq!(gateway.command(&["calls"]).out, "there is no call\n");
    assert_eq!(gateway.command(&["registrations"]).out, "nobody is registered\n");
    let mut call = EchoCall::of(&gateway, "201");
    let calls = gateway.ask("calls");
    let [shown] = &calls.as_array().unwrap()[..] else {
        panic!("{calls}")
    };
    let number = shown["call"].to_string();
    assert_eq!(
        (&shown["state"], &shown["to"]),
        (&"answered".into(), &"100".into())
    );
    assert_eq!(shown["caller"]["user"], "201");
    assert_eq!(shown["relayed"], true);
    let table = gateway.command(&["calls"]).out;
    let line = table.lines().find(|line| line.contains("answered")).unwrap();
    for told in [&*number, "201", "100", "phone TCP"] {
        assert!(line.contains(told), "no {told} in {line}");
    }
    let status = gateway.command(&["status"]).out;
    assert!(
        status.contains("calls 1 now, 1 answered, 1 at the services"),
        "{status}"
    );

    let said = gateway.command(&["hangup", "4711"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(said.err.contains("there is no call 4711"), "{said:?}");
    call.expect_echo();

    assert_eq!(gateway.command(&["hangup", &number]).code(), Some(0));
    let bye = call.phone.request(Method::Bye);
    assert!(bye.has(HeaderName::Reason));
    call.phone.respond(&bye, 200);
    drop(call);
    gateway.expect_clean();
    assert_eq!(gateway.command(&["hangup", &number]).code(), Some(1));
    gateway.finish();
}

#[test]
fn a_gateway_can_be_asked_from_anywhere_by_its_owner_alone() {
    let gateway = Gateway::start();
    let state = gateway.folder().join("state");
    let socket = state.join("control.sock");
    let elsewhere = Folder::new();
    let said = run(
        elsewhere.path(),
        &["status", "--json", "--socket", socket.to_str().unwrap()],
    );
    assert_eq!(said.json()["domain"], "viaduct.test");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&socket)), (0o700, 0o600));
    assert_eq!(mode(&state.join("tls/key.pem")), 0o600);
    assert_eq!(mode(&state.join("viaduct.redb")), 0o600);
    gateway.finish();
}

#[test]
fn stop_ends_it_in_good_order() {
    let gateway = Gateway::start();
    let call = EchoCall::of(&gateway, "201");
    assert_eq!(gateway.command(&["stop"]).code(), Some(0));
    gateway.ended().expect_good();
    drop(call);
}

#[test]
fn a_second_signal_ends_it_too() {
    let gateway = Gateway::start();
    gateway.signal(Signal::SIGTERM);
    // The first has begun its work; whether the second finds any left is up to the machine.
    let ended = gateway.end(Signal::SIGTERM);
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{ended:?}");
}
