//! Users in a database or a service, asked for when they are needed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use viaduct_sip::{HeaderName, Message, Method, StatusCode};

use crate::support::gateway::{DOMAIN, Gateway, Setup};
use crate::support::phone::{Phone, expect_status};
use crate::support::program::PASSWORD;
use crate::support::service::{Question, Service};
use crate::support::{Folder, PATIENCE, wait_for};

fn with_source(source: &str) -> Gateway {
    Setup {
        more: format!("user_source: {{ {source} }}\n"),
        ..Setup::default()
    }
    .start()
}

fn try_to_register(phone: &mut Phone) -> Message {
    let draft = phone.registration();
    phone.ask(draft)
}

/// Everybody from 500 to 599 has an account.
fn directory(question: &Question) -> (u16, String) {
    let is_known =
        question.target.contains("user=5") && question.target.ends_with(&format!("&realm={DOMAIN}"));
    if is_known {
        (
            200,
            format!("{{\"secret\": \"{PASSWORD}\", \"name\": \"Five\", \"devices\": 1}}"),
        )
    } else {
        (404, String::new())
    }
}

#[test]
fn users_of_a_service_register_and_are_called() {
    let service = Service::start(directory);
    let url = service.url("/sip-users");
    let gateway = with_source(&format!("http: \"{url}\", token_env: PASSWORD"));
    let mut callee = Phone::udp(&gateway, "501");
    callee.register();
    let mut caller = Phone::tcp(&gateway, "502");
    let sent = caller.begin(caller.draft(Method::Message, "501").body("text/plain", "Hello"));
    let asked = callee.request(Method::Message);
    callee.respond(&asked, 200);
    expect_status(&caller.final_answer(&sent), 200);
    let realm = format!("&realm={DOMAIN}");
    assert_eq!(
        service.targets(),
        [
            format!("/sip-users?user=501{realm}"),
            format!("/sip-users?user=502{realm}")
        ]
    );
    let token = service.asked.lock().unwrap()[0]
        .header("authorization")
        .map(str::to_owned);
    assert_eq!(token, Some(format!("Bearer {PASSWORD}")));

    // Whom nobody knows is asked for once, refused twice, and cannot be called.
    let mut stranger = Phone::udp(&gateway, "666");
    for _ in 0..2 {
        expect_status(&try_to_register(&mut stranger), 401);
    }
    let sent = caller.begin(caller.draft(Method::Message, "667").body("text/plain", "Hello"));
    expect_status(&caller.final_answer(&sent), 404);
    gateway.expect_exactly("viaduct_user_source_questions_total", 4);
    gateway.expect_exactly("viaduct_user_source_entries", 4);
    drop((callee, caller, stranger));
    gateway.finish();
}

#[test]
fn a_service_that_answers_nothing_holds_up_only_those_who_need_it() {
    let (release, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let service = Service::start(move |question| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        directory(question)
    });
    let url = service.url("/");
    let gateway = with_source(&format!("http: \"{url}\", timeout: 20s"));
    let mut waiting = Phone::udp(&gateway, "501");
    let draft = waiting.registration();
    let sent = waiting.begin(draft);
    wait_for("the question", || {
        if service.targets().is_empty() {
            Err("none")
        } else {
            Ok(())
        }
    });
    let mut other = Phone::udp(&gateway, "201");
    other.register();
    assert_eq!(gateway.ask("status")["signalling"]["waiting"], 1);
    release.send(()).unwrap();
    expect_status(&waiting.final_answer(&sent), 200);
    drop((waiting, other));
    gateway.finish();
}

#[test]
fn without_the_service_strangers_are_asked_to_come_back_and_nobody_is_called_unknown() {
    let broken = Arc::new(Mutex::new(true));
    let is_broken = broken.clone();
    let service = Service::start(move |question| match *is_broken.lock().unwrap() {
        true => (500, "<html>".to_owned()),
        false => directory(question),
    });
    let url = service.url("/users");
    let gateway = with_source(&format!("http: \"{url}\""));
    let mut phone = Phone::udp(&gateway, "501");
    let refused = try_to_register(&mut phone);
    expect_status(&refused, 503);
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    gateway.expect_exactly("viaduct_user_source_failures_total", 1);
    assert_eq!(gateway.refused_for("users_unavailable"), 1);
    *broken.lock().unwrap() = false;
    wait_for("an answer", || {
        let answer = try_to_register(&mut phone);
        match answer.status().map(StatusCode::get) {
            Some(200) => Ok(()),
            other => Err(other),
        }
    });
    drop(phone);
    gateway.finish();
}

#[test]
fn users_of_a_database_register_and_a_reload_takes_another_source() {
    let folder = Folder::new();
    let path = folder.path().join("users.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE TABLE people (user TEXT PRIMARY KEY, secret TEXT, codecs TEXT)")
        .unwrap();
    let add = |user: &str| {
        let values = [user, PASSWORD, "pcma pcmu"];
        database
            .execute("INSERT INTO people VALUES (?, ?, ?)", values)
            .unwrap();
    };
    add("501");
    let source = format!(
        "sqlite: \"{}\", table: people, negative_ttl: 100ms",
        path.display()
    );
    let gateway = Setup {
        limits: "register_attempts: 1000/1m",
        more: format!("user_source: {{ {source} }}\n"),
        ..Setup::default()
    }
    .start();
    let mut phone = Phone::udp(&gateway, "501");
    phone.register();
    let mut later = Phone::udp(&gateway, "502");
    expect_status(&try_to_register(&mut later), 401);
    add("502");
    wait_for("the user to be known", || {
        match try_to_register(&mut later).status().map(StatusCode::get) {
            Some(200) => Ok(()),
            other => Err(other),
        }
    });

    gateway.rewrite(|text| text.replace("table: people", "table: animals"));
    let said = gateway.command(&["reload"]);
    assert_ne!(said.code(), Some(0));
    assert!(
        said.out.contains("no such table: animals") || said.err.contains("no such table: animals"),
        "{said:?}"
    );
    phone.register();
    gateway.rewrite(|text| {
        let start = text.find("user_source").unwrap();
        text[..start].to_owned()
    });
    assert_eq!(gateway.command(&["reload"]).code(), Some(0));
    expect_status(&try_to_register(&mut phone), 401);
    drop((phone, later));
    gateway.expect_clean();
    // A reload that is refused is an error in the log.
    gateway.end(Signal::SIGINT);
}
