//! What browsers, probes and Prometheus are served.

use std::io::Write;
use std::net::SocketAddr;

use nix::sys::signal::Signal;

use crate::support::Folder;
use crate::support::bystanders::Bystanders;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http::{Response, exchange, get};
use crate::support::program::{Process, viaduct};
use crate::support::socket::{connect, secure};

/// A page, over HTTP and HTTPS: the same.
fn page(gateway: &Gateway, path: &str) -> Response {
    let ports = gateway.ports;
    let plain = get(gateway.at(ports.http), path);
    let host = gateway.at(ports.https);
    let mut secured = secure(gateway, connect(host));
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let secured = exchange(&mut secured, &request);
    assert_eq!(
        (secured.status, &secured.body),
        (plain.status, &plain.body),
        "{path}"
    );
    for name in ["content-type", "content-security-policy", "cache-control", "etag"] {
        assert_eq!(secured.header(name), plain.header(name), "{path}");
    }
    plain
}

#[test]
fn the_phone_page_is_served_with_what_protects_it() {
    let gateway = Gateway::start();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/phone/", "text/html; charset=utf-8"),
        ("/phone/app.js", "text/javascript; charset=utf-8"),
        ("/phone/phone.css", "text/css; charset=utf-8"),
        ("/phone/icons/phone.svg", "image/svg+xml"),
    ] {
        let page = page(&gateway, path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some(kind)),
            "{path}"
        );
        let policy = page.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(
            page.header("permissions-policy")
                .unwrap()
                .contains("microphone=(self)")
        );
        // Nothing is sent again that is there already.
        let host = gateway.at(gateway.ports.http);
        let known = page.header("etag").unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nIf-None-Match: {known}\r\n\r\n");
        let again = exchange(&mut connect(host), &request);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    gateway.finish();
}

#[test]
fn what_is_not_there_is_not_served() {
    let gateway = Gateway::start();
    let ports = gateway.ports;
    for path in [
        "/other",
        "/phone/../../Cargo.toml",
        "/phone/%2e%2e/app.js",
        "/.git/config",
        "/phone",
        "/api",
    ] {
        let status = if path == "/phone" { 200 } else { 404 };
        let page = page(&gateway, path);
        assert_eq!(page.status, status, "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    // Figures are nobody's business who comes for the page; pages are none of SIP over WebSocket.
    assert_eq!(page(&gateway, "/metrics").status, 404);
    for port in [ports.ws, ports.metrics] {
        for path in ["/", "/api/phone", "/phone/app.js"] {
            assert_eq!(get(gateway.at(port), path).status, 404, "{path} at {port}");
        }
    }
    assert_eq!(get(gateway.at(ports.ws), "/metrics").status, 404);
    let host = gateway.at(ports.http);
    for (path, allowed) in [("/", "GET"), ("/api/phone", "GET"), ("/health/live", "GET")] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let refused = exchange(&mut connect(host), &request);
        assert_eq!(refused.status, 405, "{path}");
        // RFC 9110 section 15.5.6: it says what would be right.
        assert!(
            refused
                .header("allow")
                .is_some_and(|allow| allow.contains(allowed)),
            "{path}: {refused:?}"
        );
    }
    gateway.finish();
}

#[test]
fn the_page_is_told_what_it_needs_and_no_password() {
    let gateway = Gateway::start();
    let told = page(&gateway, "/api/phone");
    assert_eq!(
        (told.status, told.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(told.header("cache-control"), Some("no-store"));
    assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["site"], "viaduct.test");
    assert_eq!(told["sip_path"], "/sip");
    assert_eq!(told["demo"], false);
    assert_eq!(told["user"], serde_json::Value::Null);
    assert_eq!(told["https_port"], gateway.ports.https);
    assert_eq!(told["media"]["udp_port"], gateway.ports.media);
    let people = page(&gateway, "/api/phone/people");
    assert_eq!((people.status, &*people.body), (200, &b"[]"[..]));
    assert_eq!(people.header("cache-control"), Some("no-store"));
    gateway.finish();
}

#[test]
fn probes_are_answered_where_they_ask() {
    let gateway = Gateway::start();
    let ports = gateway.ports;
    for path in ["/health/live", "/health/ready"] {
        for port in [ports.http, ports.metrics] {
            let answer = get(gateway.at(port), path);
            assert_eq!((answer.status, &*answer.body), (200, &b"ok\n"[..]), "{path}");
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
    gateway.finish();
}

/// The text format of OpenMetrics 1.0: every sample is described, every counter ends in `_total`, and there is an end.
#[test]
fn figures_are_what_prometheus_reads() {
    let gateway = Gateway::start();
    let bystanders = Bystanders::of(&gateway);
    let answer = get(gateway.at(gateway.ports.metrics), "/metrics");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (
            200,
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        )
    );
    let text = answer.body_text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut described = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => assert!(name.starts_with("viaduct_") && !help.is_empty(), "{line}"),
            ["#", "TYPE", name, kind] => assert_eq!(described.insert(name, kind), None, "{line}"),
            [sample, value] => {
                let name = sample.split_once('{').map_or(sample, |(name, _)| name);
                let kind = match name.strip_suffix("_total") {
                    Some(counter) => ("counter", counter),
                    None => ("gauge", name),
                };
                assert_eq!(described.get(kind.1), Some(&kind.0), "{line}");
                value.parse::<u64>().unwrap();
            }
            _ => panic!("{line}"),
        }
    }
    assert!(described.len() > 30, "{described:?}");
    for (name, value) in [
        ("viaduct_registrations", 2),
        ("viaduct_calls_now", 1),
        ("viaduct_calls_answered_now", 1),
        ("viaduct_service_calls_now", 1),
        ("viaduct_calls_total", 1),
        ("viaduct_sip_connections", 2),
    ] {
        assert_eq!(gateway.figure(name), value, "{name}");
    }
    bystanders.leave();
    gateway.finish();
}

/// Whoever edits the page sees the change without a build, and nobody sees more than the page.
#[test]
fn pages_can_be_read_from_a_folder() {
    let setup = Setup::default();
    let (http, folder) = (SocketAddr::new(setup.address, setup.ports.http), Folder::new());
    folder.write("gateway.yaml", &setup.text());
    folder.write("web/phone/index.html", "<!doctype html>mine");
    folder.write("web/.secret", "hidden");
    folder.write("secret", "outside");
    let mut command = viaduct(&["run", "--web-dir", "web", "gateway.yaml"]);
    command.current_dir(folder.path());
    let mut process = Process::start(command);
    assert!(process.says("listening on https://"));
    let page = get(http, "/");
    assert_eq!((page.status, &*page.body_text()), (200, "<!doctype html>mine"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-security-policy").is_some());
    for path in [
        "/.secret",
        "/../secret",
        "/phone/../../secret",
        "/%2e%2e/secret",
        "//etc/passwd",
        "/phone/app.js",
    ] {
        assert_eq!(get(http, path).status, 404, "{path}");
    }
    folder.write("web/phone/index.html", "changed");
    assert_eq!(get(http, "/").body_text(), "changed");
    process.signal(Signal::SIGINT);
    process.end().expect_good();
}

/// A connection is kept for further requests, and pages may be asked for one after the other without waiting.
#[test]
fn requests_may_follow_each_other() {
    let gateway = Gateway::start();
    let host = gateway.at(gateway.ports.http);
    let mut connection = connect(host);
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {host}\r\n\r\n");
    connection.write_all(request.repeat(3).as_bytes()).unwrap();
    for _ in 0..3 {
        assert_eq!(Response::read(&mut connection).status, 200);
    }
    drop(connection);
    gateway.finish();
}
