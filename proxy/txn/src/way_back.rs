//! The way back to somebody whose connection is gone (RFC 3261 section 18.2.2).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use viaduct_sip::{Limits, Message, Transport, Via};

use crate::{Flow, Hop};

/// Where to send an answer that can no longer be sent on the flow that its request came over: over a connection to the
/// address that the request came from, at the port that its sender names in Via.
///
/// `None` when nobody is to be found there: a provisional answer is not worth a connection, nobody can connect to a
/// browser, datagrams need no connection, and requests take the ways that they are told to.
pub fn way_back(flow: &Flow, answer: &Bytes, limits: &Limits) -> Option<Hop> {
    if !matches!(flow.transport, Transport::Tcp | Transport::Tls) {
        return None;
    }
    let answer = Message::parse_datagram(answer.clone(), limits).ok()?;
    if !answer.status()?.is_final() {
        return None;
    }
    way_to_sender(flow, &answer.top_via()?.ok()?)
}

/// Where the sender of a request with this Via can be connected to, should the connection of the request be gone: at the
/// address that it came from and the port that Via names. `None` over transports that nobody connects over, or to.
pub fn way_to_sender(flow: &Flow, via: &Via<'_>) -> Option<Hop> {
    if !matches!(flow.transport, Transport::Tcp | Transport::Tls) {
        return None;
    }
    let port = via.port().unwrap_or_else(|| flow.transport.default_port());
    let name: Option<Arc<str>> = match flow.transport {
        Transport::Tls => Some(via.host().canonical().into()),
        _ => None,
    };
    Some(Hop::Connect {
        transport: flow.transport,
        local: flow.local,
        // What `received` says, if it is there: the address that we saw.
        remote: SocketAddr::new(flow.remote.ip(), port),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(transport: Transport) -> Flow {
        Flow {
            transport,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "198.51.100.7:40000".parse().unwrap(),
            conn: None,
        }
    }

    fn message(first_line: &str, sent_by: &str) -> Bytes {
        format!(
            "{first_line}\r\nVia: SIP/2.0/TCP {sent_by};branch=z9hG4bK1;received=198.51.100.7\r\n\
             From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
        )
        .into()
    }

    fn way(transport: Transport, first_line: &str, sent_by: &str) -> Option<Hop> {
        way_back(
            &flow(transport),
            &message(first_line, sent_by),
            &Limits::default(),
        )
    }

    #[test]
    fn an_answer_goes_to_the_port_that_its_reader_names_at_the_address_that_was_seen() {
        let to = |transport, port, name: Option<&str>| {
            Some(Hop::Connect {
                transport,
                local: "192.0.2.1:5060".parse().unwrap(),
                remote: SocketAddr::from(([198, 51, 100, 7], port)),
                name: name.map(Into::into),
            })
        };
        let answered = |transport, sent_by| way(transport, "SIP/2.0 200 OK", sent_by);
        assert_eq!(
            answered(Transport::Tcp, "10.0.0.1:5070"),
            to(Transport::Tcp, 5070, None)
        );
        assert_eq!(
            answered(Transport::Tcp, "10.0.0.1"),
            to(Transport::Tcp, 5060, None)
        );
        let name = Some("sbc.example.com");
        assert_eq!(
            answered(Transport::Tls, "SBC.example.com"),
            to(Transport::Tls, 5061, name)
        );
    }

    #[test]
    fn nothing_else_is_sent_back() {
        assert_eq!(way(Transport::Tcp, "SIP/2.0 180 Ringing", "h"), None);
        assert_eq!(way(Transport::Tcp, "MESSAGE sip:b@h SIP/2.0", "h"), None);
        for transport in [Transport::Udp, Transport::Ws, Transport::Wss] {
            assert_eq!(way(transport, "SIP/2.0 200 OK", "h"), None);
        }
        let damaged = Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n");
        assert_eq!(
            way_back(&flow(Transport::Tcp), &damaged, &Limits::default()),
            None
        );
    }
}
