//! A program of the operator's decides about calls over HTTP: docs/hook.md.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;
use viaduct_sip::{HeaderName, Method};

use crate::support::gateway::{Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::program::PASSWORD;
use crate::support::service::{Question, Service};
use crate::support::{PATIENCE, wait_for};

fn with_hook(hook: &str) -> Gateway {
    Setup {
        more: format!("hook: {{ {hook} }}\n"),
        ..Setup::default()
    }
    .start()
}

/// Sends what is for 900 to 202 and refuses what is for 901.
fn decide(question: &Question) -> (u16, String) {
    let asked: Value = serde_json::from_str(&question.body).unwrap();
    let answer = match asked["number"].as_str().unwrap() {
        "900" => r#"{"action":"route","send_to":["user:202"]}"#,
        "901" => r#"{"action":"reject","status":480,"reason":"Nobody there"}"#,
        _ => r#"{"action":"continue"}"#,
    };
    (200, answer.to_owned())
}

/// Sends a text message to a number, and gives the answer.
fn send(caller: &mut Phone, callee: Option<&mut Phone>, number: &str) -> viaduct_sip::Message {
    let sent = caller.begin(caller.draft(Method::Message, number).body("text/plain", "Hello"));
    if let Some(callee) = callee {
        let asked = callee.request(Method::Message);
        callee.respond(&asked, 200);
    }
    caller.final_answer(&sent)
}

#[test]
fn a_service_chooses_targets_and_refuses_and_is_spared_the_same_question() {
    let service = Service::start(decide);
    let url = service.url("/calls");
    let gateway = with_hook(&format!(
        "url: \"{url}\", token_env: PASSWORD, methods: [MESSAGE], headers: [Content-Type], cache: 1h"
    ));
    let (mut caller, mut callee) = (Phone::udp(&gateway, "201"), Phone::udp(&gateway, "202"));
    callee.register();
    for _ in 0..2 {
        expect_status(&send(&mut caller, Some(&mut callee), "900"), 200);
    }
    expect_status(&send(&mut caller, None, "901"), 480);
    expect_status(&send(&mut caller, Some(&mut callee), "202"), 200);
    {
        let asked = service.asked.lock().unwrap();
        assert_eq!(asked.len(), 3, "{asked:?}");
        let first = &asked[0];
        assert_eq!(first.target, "/calls");
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(
            first.header("authorization"),
            Some(format!("Bearer {PASSWORD}").as_str())
        );
        let question: Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(
            (&question["method"], &question["from_user"]),
            (&"MESSAGE".into(), &"201".into())
        );
        assert_eq!(question["headers"]["Content-Type"][0], "text/plain");
    }
    for (figure, expected) in [
        ("requests_total", 4),
        ("questions_total", 3),
        ("remembered_total", 1),
        ("rejections_total", 1),
        ("failures_total", 0),
        ("entries", 3),
    ] {
        assert_eq!(
            gateway.figure(&format!("viaduct_hook_{figure}")),
            expected,
            "{figure}"
        );
    }
    assert_eq!(gateway.refused_for("rejected_by_hook"), 1);
    let route = gateway.command(&["route", "900", "--from", "201"]);
    assert!(route.out.starts_with("the hook is asked first"), "{route:?}");
    drop((caller, callee));
    gateway.finish();
}

#[test]
fn a_service_that_fails_is_told_once_and_a_reload_says_what_happens_meanwhile() {
    let broken = Arc::new(Mutex::new(true));
    let is_broken = broken.clone();
    let service = Service::start(move |question| match *is_broken.lock().unwrap() {
        true => (500, r#"{"action":"continue"}"#.to_owned()),
        false => decide(question),
    });
    let url = service.url("/");
    let mut gateway = with_hook(&format!("url: \"{url}\", methods: [MESSAGE]"));
    let (mut caller, mut callee) = (Phone::udp(&gateway, "201"), Phone::udp(&gateway, "202"));
    callee.register();
    expect_status(&send(&mut caller, Some(&mut callee), "202"), 200);
    assert!(gateway.says("the hook does not decide: it answers 500"));
    gateway.rewrite(|text| text.replace("methods: [MESSAGE]", "methods: [MESSAGE], on_failure: reject"));
    let said = gateway.command(&["reload"]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(said.out.contains("hook.on_failure"), "{said:?}");
    let refused = send(&mut caller, None, "202");
    expect_status(&refused, 503);
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    assert_eq!(gateway.refused_for("no_decision"), 1);
    gateway.expect_exactly("viaduct_hook_failures_total", 2);
    *broken.lock().unwrap() = false;
    expect_status(&send(&mut caller, Some(&mut callee), "900"), 200);
    assert!(gateway.says("the hook decides again"));
    drop((caller, callee));
    gateway.expect_clean();
    // The failure is a warning in the log.
    gateway.end(Signal::SIGINT);
}

#[test]
fn a_service_that_thinks_holds_nobody_else_up() {
    let (release, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let service = Service::start(move |question| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        decide(question)
    });
    let url = service.url("/");
    let gateway = with_hook(&format!("url: \"{url}\", methods: [MESSAGE], timeout: 30s"));
    let (mut caller, mut callee) = (Phone::udp(&gateway, "201"), Phone::udp(&gateway, "202"));
    let sent = caller.begin(caller.draft(Method::Message, "202").body("text/plain", "Hello"));
    wait_for("the question", || {
        if service.targets().is_empty() {
            Err("none")
        } else {
            Ok(())
        }
    });
    callee.register();
    assert_eq!(gateway.ask("status")["signalling"]["waiting"], 1);
    release.send(()).unwrap();
    let asked = callee.request(Method::Message);
    callee.respond(&asked, 200);
    expect_status(&caller.final_answer(&sent), 200);
    drop((caller, callee));
    gateway.finish();
}

/// Twenty calls at once that differ in nothing but their Call-ID are one question, where decisions are remembered.
#[test]
fn the_same_question_at_the_same_time_is_asked_once() {
    const CALLS: usize = 20;
    let (release, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let service = Service::start(move |question| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        decide(question)
    });
    let url = service.url("/");
    let gateway = with_hook(&format!(
        "url: \"{url}\", methods: [MESSAGE], timeout: 30s, cache: 1h"
    ));
    let mut caller = Phone::tcp(&gateway, "201");
    let sent: Vec<_> = (0..CALLS)
        .map(|_| caller.begin(caller.draft(Method::Message, "901").body("text/plain", "Hello")))
        .collect();
    gateway.expect_figure("viaduct_hook_joined_total", CALLS as u64 - 1);
    release.send(()).unwrap();
    for sent in &sent {
        expect_status(&caller.final_answer(sent), 480);
    }
    assert_eq!(service.targets().len(), 1);
    gateway.expect_exactly("viaduct_hook_questions_total", 1);
    gateway.expect_exactly("viaduct_hook_requests_total", CALLS as u64);
    drop(caller);
    gateway.finish();
}

#[test]
fn a_service_that_does_not_answer_is_left_after_its_time() {
    let (release, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let service = Service::start(move |question| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        decide(question)
    });
    let url = service.url("/");
    let mut gateway = with_hook(&format!("url: \"{url}\", methods: [MESSAGE], timeout: 100ms"));
    let mut caller = Phone::udp(&gateway, "201");
    // Nobody has this number: the hook would have refused it otherwise.
    expect_status(&send(&mut caller, None, "901"), 404);
    assert!(gateway.says("the hook does not decide: no decision in 100 ms"));
    gateway.expect_exactly("viaduct_hook_failures_total", 1);
    release.send(()).unwrap();
    drop(caller);
    gateway.expect_clean();
    gateway.end(Signal::SIGINT);
}
