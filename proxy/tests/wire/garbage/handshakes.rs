//! Handshakes of WebSocket that are refused (RFC 6455 section 4.2, RFC 7118 section 4), and HTTP that is none.

use std::io::Write;

use super::{options, rubbish};
use crate::support::bystanders::Bystanders;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http::{Response, exchange};
use crate::support::socket::{Opener, connect, opener};
use crate::support::websocket::{expect_accepted, handshake};

/// The listeners that take handshakes, and the names they are called by.
fn everywhere(gateway: &Gateway) -> [(String, Opener<'_>); 4] {
    let ports = gateway.ports;
    [
        (ports.ws, false),
        (ports.http, false),
        (ports.wss, true),
        (ports.https, true),
    ]
    .map(|(port, is_secure)| (gateway.at(port).to_string(), opener(gateway, port, is_secure)))
}

#[test]
fn a_handshake_that_is_wrong_is_told_what_would_be_right() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    let mut refused = 0;
    for (host, open) in everywhere(&gateway) {
        let own = format!("http://{host}");
        let mut refuse = |request: &str, status: u16, hint: Option<(&str, &str)>| {
            let response = exchange(&mut *open(), request);
            assert_eq!(response.status, status, "{request}{response:?}");
            if let Some((name, value)) = hint {
                assert_eq!(response.header(name), Some(value), "{request}{response:?}");
            }
            refused += 1;
        };
        let with = |name: &str, value: Option<&str>| handshake(&host, &[(name, value)]);
        let version = Some(("sec-websocket-version", "13"));
        let upgrade = Some(("upgrade", "websocket"));
        for (request, status, hint) in [
            (with("Sec-WebSocket-Protocol", None), 400, None),
            (with("Sec-WebSocket-Protocol", Some("chat, sipx")), 400, None),
            (with("Sec-WebSocket-Version", Some("8")), 426, version),
            (with("Sec-WebSocket-Version", None), 426, version),
            (with("Sec-WebSocket-Key", None), 400, None),
            (with("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZQ==")), 400, None),
            (with("Upgrade", None), 426, upgrade),
            (with("Upgrade", Some("h2c")), 426, upgrade),
            (with("Connection", Some("keep-alive")), 426, upgrade),
            (with("Origin", Some("https://evil.example")), 403, None),
            (with("Origin", Some("null")), 403, None),
            // Another port of the same machine is another origin.
            (
                with("Origin", Some(&format!("http://{}:1", gateway.address))),
                403,
                None,
            ),
        ] {
            refuse(&request, status, hint);
        }
        // Pages of this gateway may, and so may programs, which have no page. The token may be in any case.
        for (name, value) in [
            ("Origin", Some(&*own)),
            ("Sec-WebSocket-Protocol", Some("chat, SIP")),
            ("Upgrade", Some("WebSocket")),
        ] {
            expect_accepted(&exchange(&mut *open(), &with(name, value)));
        }
        let post = with("Accept", None).replacen("GET", "POST", 1);
        let response = exchange(&mut *open(), &post);
        assert_eq!(response.status, 405, "{response:?}");
        assert!(response.header("allow").unwrap().contains("GET"), "{response:?}");
        let elsewhere = with("Accept", None).replacen("/sip", "/other", 1);
        assert_eq!(exchange(&mut *open(), &elsewhere).status, 404);
        bystanders.expect_unharmed();
    }
    gateway.expect_exactly("viaduct_websocket_refusals_total", refused);
    bystanders.leave();
    gateway.finish();
}

#[test]
fn pages_of_others_may_connect_where_that_is_configured() {
    for (origins, from, status) in [
        ("any", "https://evil.example", 101),
        ("[\"https://www.example.com\"]", "https://www.example.com", 101),
        ("[\"https://www.example.com\"]", "https://evil.example", 403),
    ] {
        let gateway = Setup {
            origins,
            ..Setup::default()
        }
        .start();
        let at = gateway.at(gateway.ports.http);
        let request = handshake(&at.to_string(), &[("Origin", Some(from))]);
        assert_eq!(
            exchange(&mut connect(at), &request).status,
            status,
            "{origins}: {from}"
        );
        gateway.finish();
    }
}

#[test]
fn octets_that_are_no_http_are_refused_and_harm_nobody() {
    let gateway = Gateway::start();
    let mut bystanders = Bystanders::of(&gateway);
    let figures = gateway.ports.metrics;
    let metrics = (gateway.at(figures).to_string(), opener(&gateway, figures, false));
    for (host, open) in everywhere(&gateway).into_iter().chain([metrics]) {
        for (octets, status) in [
            (options("WS", "").into_bytes(), 400),
            (b"\xff\xfe\r\n\r\n".to_vec(), 400),
            (b"GET /sip HTTP/1.1\r\nHost\r\n\r\n".to_vec(), 400),
            (b"GET /sip HTTP/9.9\r\n\r\n".to_vec(), 400),
        ] {
            let mut connection = open();
            connection.write_all(&octets).unwrap();
            connection.flush().unwrap();
            let response = Response::read(&mut *connection);
            let request = String::from_utf8_lossy(&octets[..octets.len().min(60)]);
            assert_eq!(response.status, status, "{request}");
            connection.read_to_its_end();
        }
        // A head without an end is read for a while, and no further.
        let mut connection = open();
        let begun = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: ");
        let endless = std::iter::once(begun).chain(std::iter::repeat_n("y".repeat(8_192), 1_000));
        let mut written = endless.map(|octets| connection.write_all(octets.as_bytes()));
        assert!(
            written.any(|written| written.is_err()),
            "8 MB of a head are taken"
        );
        for octets in rubbish(8, 20, 2_000) {
            let mut connection = open();
            connection.write_all(&octets).unwrap();
            connection.flush().unwrap();
            let _ = connection.tcp().shutdown(std::net::Shutdown::Write);
            // Answered, or closed without a word: it is over.
            let _ = connection.read_to_end(&mut Vec::new());
        }
        bystanders.expect_unharmed();
    }
    bystanders.leave();
    gateway.finish();
}
