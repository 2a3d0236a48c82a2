//! Behind a proxy: the address of its client counts, if the proxy is one that is believed.

use std::io::{Read, Write};
use std::net::IpAddr;

use viaduct_sip::{Frame, Framer, Limits, Message, Transport};

use crate::support::gateway::{Gateway, Setup};
use crate::support::own_address;
use crate::support::phone::Phone;
use crate::support::socket::{Connection, connect_from, secure};
use crate::support::websocket::WebSocket;
use crate::support::wire::Wire;

/// A gateway that believes the proxy at this address.
fn behind(proxy: IpAddr, tell_by: &str, limits: &'static str) -> Gateway {
    Setup {
        more: format!("trusted_proxies: {{ from: [{proxy}], tell_by: {tell_by} }}\n"),
        limits,
        ..Setup::default()
    }
    .start()
}

/// Registers over a wire. Answers the address that the gateway takes for the phone's.
fn seen(gateway: &Gateway, transport: Transport, wire: Wire) -> (Phone, String) {
    let mut phone = Phone::over(Transport::Udp, gateway, "300");
    phone.transport = transport;
    phone.wire = wire;
    phone.register();
    let shown = gateway.registrations("300");
    let address = shown[0]["address"].as_str().unwrap().to_owned();
    (phone, address)
}

#[test]
fn a_header_of_a_trusted_proxy_says_who_a_browser_is() {
    let (proxy, stranger) = (own_address(), own_address());
    for (tell_by, name, value) in [
        ("x-forwarded-for", "X-Forwarded-For", "10.1.1.1, 203.0.113.7"),
        (
            "forwarded",
            "Forwarded",
            "for=10.1.1.1, for=203.0.113.7;proto=https",
        ),
    ] {
        let gateway = behind(proxy, tell_by, "connections_per_source: 1");
        let open = |source: IpAddr, port: u16| {
            let connection = connect_from(source, gateway.at(port)).unwrap();
            WebSocket::open_for(Box::new(connection), name, value)
        };
        let socket = open(proxy, gateway.ports.ws).ok().unwrap();
        let (phone, address) = seen(&gateway, Transport::Ws, Wire::WebSocket(socket));
        assert!(address.starts_with("203.0.113.7:"), "{tell_by}: {address}");
        // That client has its connection; others behind the same proxy have theirs.
        assert_eq!(open(proxy, gateway.ports.http).err(), Some(503));
        gateway.expect_exactly("viaduct_connections_over_source_limit_total", 1);
        let other = connect_from(proxy, gateway.at(gateway.ports.ws)).unwrap();
        let other = WebSocket::open_for(Box::new(other), name, &value.replace("113.7", "113.8"));
        drop((other.ok().unwrap(), phone));
        // Whoever is no proxy may say what he likes.
        let socket = open(stranger, gateway.ports.ws).ok().unwrap();
        let (phone, address) = seen(&gateway, Transport::Ws, Wire::WebSocket(socket));
        assert!(
            address.starts_with(&format!("{stranger}:")),
            "{tell_by}: {address}"
        );
        drop(phone);
        gateway.finish();
    }
}

/// Everybody behind it comes from one address: what counts is the one that it tells.
#[test]
fn a_trusted_proxy_may_open_connections_as_fast_as_its_clients_do() {
    let proxy = own_address();
    let gateway = behind(proxy, "x-forwarded-for", "new_connections_per_source: 1/1h");
    let open = |client: &str| {
        let connection = connect_from(proxy, gateway.at(gateway.ports.ws)).unwrap();
        WebSocket::open_for(Box::new(connection), "X-Forwarded-For", client).err()
    };
    for last in 1..=10 {
        assert_eq!(open(&format!("203.0.113.{last}")), None);
    }
    assert_eq!(open("203.0.113.1"), Some(503));
    // One host of IPv6 has all addresses of its network.
    assert_eq!(open("2001:db8::1"), None);
    assert_eq!(open("2001:db8::2"), Some(503));
    gateway.expect_exactly("viaduct_connections_over_rate_total", 2);
    gateway.finish();
}

/// Version 1 and version 2 for 203.0.113.7, port 4711.
fn beginnings() -> [Vec<u8>; 2] {
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0x13, 0xc4],
    ];
    let v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 5060\r\n".to_vec();
    [v1, v2.concat()]
}

#[test]
fn the_proxy_protocol_says_who_anybody_is_on_every_listener() {
    let proxy = own_address();
    let gateway = behind(proxy, "proxy-protocol", "handshake: 1s");
    let ports = gateway.ports;
    let connect = |port: u16, begin: &[u8]| {
        let mut connection = connect_from(proxy, gateway.at(port)).unwrap();
        connection.write_all(begin).unwrap();
        connection
    };
    let framer = || Framer::new(Limits::default());
    for begin in beginnings() {
        let over_tls = |port| Box::new(secure(&gateway, connect(port, &begin)));
        let wires = [
            (
                Transport::Tcp,
                Wire::Stream(Box::new(connect(ports.sip, &begin)), framer()),
            ),
            (Transport::Tls, Wire::Stream(over_tls(ports.sips), framer())),
            (
                Transport::Ws,
                Wire::WebSocket(WebSocket::open(Box::new(connect(ports.ws, &begin)))),
            ),
            (
                Transport::Wss,
                Wire::WebSocket(WebSocket::open(over_tls(ports.https))),
            ),
        ];
        for (transport, wire) in wires {
            let (mut phone, address) = seen(&gateway, transport, wire);
            assert_eq!(address, "203.0.113.7:4711", "{transport}");
            phone.register_for(0);
        }
    }
    // A proxy that says nothing, or nonsense, is not heard.
    for (begin, port) in [
        (&b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..], ports.sip),
        (b"PROXY TCP4 nonsense\r\n", ports.https),
    ] {
        let mut refused = connect(port, begin);
        // What was sent behind the nonsense is unread, so the end may be a rough one.
        let _ = refused.read_to_end(&mut Vec::new());
    }
    gateway.expect_figure("viaduct_proxy_headers_bad_total", 2);
    assert_eq!(connect(ports.sips, b"").read_to_its_end(), b"");
    gateway.expect_figure("viaduct_connections_idle_total", 1);
    // For itself a proxy asks too: LOCAL, to see whether somebody is there.
    let mut local = connect(ports.sip, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\r\n\r\n");
    let mut pong = [0; 2];
    local.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    drop(local);
    gateway.finish();
}

/// A header that nobody asked for is rubbish, and no way to take another's address.
#[test]
fn strangers_cannot_use_the_proxy_protocol() {
    let gateway = behind(own_address(), "proxy-protocol", "");
    let [line, _] = beginnings();
    let mut connection = connect_from(own_address(), gateway.at(gateway.ports.sip)).unwrap();
    connection.write_all(&line).unwrap();
    connection.write_all(b"\r\n").unwrap();
    let octets = connection.read_to_its_end();
    let mut framer = Framer::new(Limits::default());
    framer.push(&octets);
    let status = |frame: Frame| match frame {
        Frame::Message(message) => Message::status(&message).map(viaduct_sip::StatusCode::get),
        other => panic!("{other:?}"),
    };
    assert!(
        framer
            .next_frame()
            .unwrap()
            .map(status)
            .is_none_or(|status| status == Some(400))
    );
    gateway.expect_figure("viaduct_sip_bad_messages_total", 1);
    assert_eq!(gateway.figure("viaduct_proxy_headers_bad_total"), 0);
    gateway.finish();
}
