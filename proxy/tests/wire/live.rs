//! What changes while a gateway runs: its configuration, and whether it takes calls. Nothing that exists ends of it.

use nix::sys::signal::Signal;
use viaduct_sip::{HeaderName, Method, Transport};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::{Gateway, Setup};
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};
use crate::support::program::run;
use crate::support::socket::connect_from;
use crate::support::{Folder, http, wait_for};

fn invite(phone: &mut Phone, to: &str) -> viaduct_sip::Message {
    let sdp = Media::at(phone.wire.local().ip()).sdp();
    phone.ask(phone.invitation(to, &sdp))
}

#[test]
fn a_reload_is_felt_by_what_begins_and_not_by_what_goes_on() {
    let gateway = Gateway::start();
    let mut call = EchoCall::of(&gateway, "201");
    let mut browser = Phone::over(Transport::Wss, &gateway, "300");
    browser.register();
    let mut leaver = Phone::tcp(&gateway, "202");
    leaver.register();

    gateway.rewrite(|text| {
        text.replace(
            "\"202\": { secret_env: PASSWORD,  }",
            "\"205\": { secret_env: PASSWORD }",
        )
        .replace("calls: 100, ", "calls: 100, connections_per_source: 3")
            + "routes: [{ match: { to: '105' }, send_to: 'service:echo' }]\n"
    });
    let told = [
        "  users.202: removed { secret_env: PASSWORD }",
        "  users.205: added { secret_env: PASSWORD }",
        "  routes: added { match: { to: 105 }, send_to: service:echo }",
        "  limits.connections_per_source: 200 → 3",
    ];
    let said = gateway.command(&["diff", "gateway.yaml"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(said.out.starts_with("would be applied:\n"), "{said:?}");
    expect_status(&leaver.register(), 200);
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(said.out.starts_with("applied:\n"), "{said:?}");
    for told in told {
        assert!(
            said.out.lines().any(|line| line == told),
            "no {told} in {}",
            said.out
        );
    }
    gateway.expect_exactly("viaduct_config_reloads_total", 1);
    assert!(
        gateway
            .command(&["diff", "gateway.yaml"])
            .out
            .contains("nothing differs")
    );

    // The call and the connections are as they were.
    call.expect_echo();
    browser.register();
    // Users came and went, numbers too.
    Phone::udp(&gateway, "205").register();
    let draft = leaver.registration();
    expect_status(&leaver.ask(draft), 401);
    let mut fresh = Phone::udp(&gateway, "203");
    expect_status(&invite(&mut fresh, "100"), 404);
    let sdp = Media::at(fresh.wire.local().ip()).sdp();
    let sent = fresh.begin(fresh.invitation("105", &sdp));
    let accepted = fresh.final_answer(&sent);
    let dialog = fresh.acknowledge(&accepted);
    fresh.hang_up(dialog);
    // A limit holds for what begins: there are three connections.
    let _fourth = connect_from(gateway.phones, gateway.at(gateway.ports.sip)).unwrap();
    gateway.expect_figure("viaduct_connections_over_source_limit_total", 1);
    call.expect_echo();
    call.hang_up();
    drop((browser, leaver, fresh));
    gateway.finish();
}

#[test]
fn a_file_with_mistakes_is_refused_as_a_whole_and_all_are_told() {
    let gateway = Gateway::start();
    gateway.rewrite(|text| {
        text.replace("\"201\"", "\"209\"")
            .replace("calls: 100", "calls: many")
            .replace("level: debug", "level: debgu")
    });
    for arguments in [&["diff", "gateway.yaml"][..], &["reload"]] {
        let said = gateway.command(arguments);
        assert_eq!(said.code(), Some(1), "{said:?}");
        for mistake in ["many", "debgu", "the running configuration stays"] {
            assert!(said.err.contains(mistake), "no {mistake} in {}", said.err);
        }
        assert_eq!(said.out, "");
    }
    gateway.expect_exactly("viaduct_config_reloads_refused_total", 1);
    // What was good in it is not applied either.
    Phone::tcp(&gateway, "201").register();
    let said = gateway.command(&["diff", "missing.yaml"]);
    assert_eq!(said.code(), Some(1), "{said:?}");
    assert!(said.err.contains("missing.yaml"), "{said:?}");
    gateway.end(Signal::SIGINT);
}

#[test]
fn what_needs_a_restart_is_named_until_there_is_one() {
    let gateway = Gateway::start();
    let port = gateway.ports.ws;
    gateway.rewrite(|text| {
        text.replace("state_dir: state", "state_dir: elsewhere")
            .replace("min_expires: 10s", "min_expires: 90s")
    });
    for _ in 0..2 {
        let said = gateway.command(&["reload"]);
        assert_eq!(said.code(), Some(0), "{said:?}");
        let (_, restart) = said.out.split_once("needs a restart:\n").unwrap();
        assert_eq!(restart, "  site.state_dir: state → elsewhere\n");
    }
    let status = gateway.ask("status");
    assert_eq!(status["config"]["waiting_for_restart"][0], "site.state_dir");
    gateway.expect_exactly("viaduct_config_keys_waiting", 1);
    assert!(!gateway.folder().join("elsewhere").exists());
    // The other key is applied: RFC 3261 section 10.3, step 7.
    let mut phone = Phone::over(Transport::Ws, &gateway, "201");
    let contact = format!("<{}>;expires=20", phone.contact);
    let draft = phone.registration().header(HeaderName::Contact, &contact);
    let answer = phone.ask(draft);
    expect_status(&answer, 423);
    assert_eq!(answer.text(HeaderName::MinExpires), Some("90"));
    // Nothing was bound or given up.
    assert_eq!(gateway.ports.ws, port);
    gateway.rewrite(|text| text.replace("state_dir: elsewhere", "state_dir: state"));
    gateway.command(&["reload"]);
    assert_eq!(gateway.figure("viaduct_config_keys_waiting"), 0);
    drop(phone);
    gateway.finish();
}

#[test]
fn the_hangup_signal_reloads() {
    let gateway = Gateway::start();
    gateway.rewrite(|text| text.replace("calls: 100", "calls: 200"));
    gateway.signal(Signal::SIGHUP);
    gateway.expect_figure("viaduct_config_reloads_total", 1);
    let log = gateway.end(Signal::SIGTERM);
    log.expect_good();
    assert!(log.log.contains("limits.calls: 100 → 200"), "{}", log.log);
}

/// The password of a user may stand elsewhere: it is read again, and never shown.
#[test]
fn a_password_that_changed_in_its_file_is_asked_for_from_then_on() {
    let folder = Folder::new();
    let secret = folder.write("secret", "one-old-pie");
    let more: &'static str = Box::leak(
        format!("challenge: {{ other: [MD5] }} }}\n  \"205\": {{ secret_file: {secret:?}").into_boxed_str(),
    );
    let gateway = Setup {
        user_204: more,
        ..Setup::default()
    }
    .start();
    let mut phone = Phone::tcp(&gateway, "205");
    phone.password = "one-old-pie";
    phone.register();
    folder.write("secret", "one-new-pie");
    let said = gateway.command(&["reload"]);
    assert!(said.out.contains("users.205 (password): changed"), "{said:?}");
    assert!(!said.out.contains("pie"), "{said:?}");
    let draft = phone.registration();
    expect_status(&phone.ask(draft), 401);
    phone.password = "one-new-pie";
    phone.register();
    drop(phone);
    gateway.finish();
}

#[test]
fn draining_finishes_calls_and_takes_no_others() {
    let gateway = Gateway::start();
    let mut call = EchoCall::of(&gateway, "201");
    let mut other = Phone::tcp(&gateway, "202");
    other.register();
    let said = gateway.command(&["drain"]);
    assert_eq!(
        (said.code(), &*said.out),
        (Some(0), "taking no more calls, 1 call left\n")
    );
    // RFC 3261 section 21.5.4: when to try again.
    let refused = invite(&mut other, "100");
    expect_status(&refused, 503);
    assert_eq!(refused.text(HeaderName::RetryAfter), Some("60"));
    // Registrations go on, and so does the call.
    other.register();
    call.expect_echo();
    let ready = http::get(gateway.at(gateway.ports.metrics), "/health/ready");
    assert_eq!(
        (ready.status, &*ready.body_text()),
        (503, "taking no more calls\n")
    );
    let status = gateway.command(&["status"]).out;
    assert!(status.contains("taking no more calls"), "{status}");
    gateway.expect_exactly("viaduct_draining", 1);
    gateway.expect_exactly("viaduct_refused_draining_total", 1);

    assert_eq!(gateway.command(&["drain", "--off"]).out, "taking calls\n");
    let second = EchoCall::begin(other);
    second.hang_up();

    // Whoever waits is told when the last call ends, and the gateway ends with it.
    let folder = gateway.folder().to_owned();
    let waiting = std::thread::spawn(move || run(&folder, &["drain", "--wait", "--stop"]));
    gateway.expect_figure("viaduct_draining", 1);
    call.expect_echo();
    let number = gateway.ask("calls")[0]["call"].to_string();
    assert_eq!(gateway.command(&["hangup", &number]).code(), Some(0));
    let bye = call.phone.request(Method::Bye);
    call.phone.respond(&bye, 200);
    gateway.ended().expect_good();
    let said = waiting.join().unwrap();
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(
        said.out.starts_with("taking no more calls, 1 call left\n"),
        "{said:?}"
    );
}

#[test]
fn a_gateway_without_calls_that_drains_to_its_end_ends_at_once() {
    let gateway = Gateway::start();
    assert_eq!(gateway.command(&["drain", "--stop"]).code(), Some(0));
    wait_for("the end", || {
        let said = gateway.command(&["status"]);
        if said.code() == Some(3) { Ok(()) } else { Err(said) }
    });
    gateway.ended().expect_good();
}
