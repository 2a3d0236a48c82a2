//! Connections that peers have opened and that requests to those peers go over too (RFC 5923).
//!
//! A peer asks for it with `alias` in its Via, and names the port that it is known by there. Its address alone would let
//! anybody behind that address take over what is sent to it. So it counts only over TLS, and only for the names that the
//! peer's certificate has proven.

use std::net::SocketAddr;
use std::sync::Arc;

use dashmap::DashMap;
use viaduct_sip::{Message, Transport};
use viaduct_txn::{ConnId, Flow};

use super::outgoing::Peer;

/// Whom a connection stands for.
type Alias = (SocketAddr, Arc<str>);

/// All of them. As many as connections and the names in their certificates allow.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    flows: DashMap<Alias, Flow>,
    /// What each connection stands for.
    of_conn: DashMap<ConnId, Vec<Alias>>,
}

impl Aliases {
    /// Takes note of a request that asks for it. The first one of a connection decides.
    pub(crate) fn notice(&self, flow: &Flow, names: &[String], request: &Message) {
        let Some(conn) = flow.conn.filter(|_| flow.transport == Transport::Tls) else {
            return;
        };
        if !request.is_request() || self.of_conn.contains_key(&conn) {
            return;
        }
        let Some(Ok(via)) = request.top_via() else { return };
        if !via.params().has("alias") {
            return;
        }
        let port = via.port().unwrap_or_else(|| Transport::Tls.default_port());
        let at = SocketAddr::new(flow.remote.ip(), port);
        let aliases: Vec<Alias> = names.iter().map(|name| (at, name.as_str().into())).collect();
        for alias in &aliases {
            // The youngest is the one that the peer has last thought of.
            self.flows.insert(alias.clone(), *flow);
        }
        self.of_conn.insert(conn, aliases);
    }

    /// The connection that a peer wants its requests on.
    pub(crate) fn of(&self, peer: &Peer) -> Option<Flow> {
        let name = peer.name.clone()?;
        if peer.transport != Transport::Tls || self.of_conn.is_empty() {
            return None;
        }
        self.flows.get(&(peer.remote, name)).map(|flow| *flow)
    }

    /// A connection is gone.
    pub(crate) fn forget(&self, conn: ConnId) {
        let Some((_, aliases)) = self.of_conn.remove(&conn) else {
            return;
        };
        for alias in aliases {
            self.flows.remove_if(&alias, |_, flow| flow.conn == Some(conn));
        }
    }
}

#[cfg(test)]
mod tests {
    use viaduct_sip::Limits;

    use super::*;

    fn flow(conn: u64) -> Flow {
        Flow {
            transport: Transport::Tls,
            local: "192.0.2.1:5061".parse().unwrap(),
            remote: "198.51.100.7:40000".parse().unwrap(),
            conn: ConnId::new(conn),
        }
    }

    fn request(via: &str) -> Message {
        let text = format!(
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TLS {via};branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\n\
             Call-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse_datagram(text.into(), &Limits::default()).unwrap()
    }

    fn peer(port: u16, name: &str) -> Peer {
        Peer {
            transport: Transport::Tls,
            local: "192.0.2.1:5061".parse().unwrap(),
            remote: SocketAddr::from(([198, 51, 100, 7], port)),
            name: Some(name.into()),
        }
    }

    #[test]
    fn a_connection_stands_for_the_names_that_its_peer_has_proven_at_the_port_in_its_via() {
        let aliases = Aliases::default();
        let names = ["sbc.test".to_owned(), "carrier.test".to_owned()];
        aliases.notice(&flow(1), &names, &request("10.0.0.1:5071;alias"));
        for name in &names {
            assert_eq!(aliases.of(&peer(5_071, name)), Some(flow(1)));
        }
        assert_eq!(aliases.of(&peer(5_071, "other.test")), None);
        assert_eq!(aliases.of(&peer(5_061, "sbc.test")), None);
        let over_tcp = Peer {
            transport: Transport::Tcp,
            ..peer(5_071, "sbc.test")
        };
        assert_eq!(aliases.of(&over_tcp), None);
    }

    #[test]
    fn it_must_be_asked_for_and_the_first_request_decides() {
        let aliases = Aliases::default();
        let names = ["sbc.test".to_owned()];
        aliases.notice(&flow(1), &names, &request("10.0.0.1:5071"));
        assert_eq!(aliases.of(&peer(5_071, "sbc.test")), None);
        aliases.notice(&flow(1), &names, &request("10.0.0.1;alias"));
        aliases.notice(&flow(1), &names, &request("10.0.0.1:5072;alias"));
        assert_eq!(aliases.of(&peer(5_061, "sbc.test")), Some(flow(1)));
        assert_eq!(aliases.of(&peer(5_072, "sbc.test")), None);
    }

    #[test]
    fn the_youngest_connection_serves_and_nothing_is_left_of_those_that_are_gone() {
        let aliases = Aliases::default();
        let names = ["sbc.test".to_owned()];
        for conn in [1, 2] {
            aliases.notice(&flow(conn), &names, &request("10.0.0.1;alias"));
        }
        aliases.forget(flow(1).conn.unwrap());
        assert_eq!(aliases.of(&peer(5_061, "sbc.test")), Some(flow(2)));
        aliases.forget(flow(2).conn.unwrap());
        assert!(aliases.flows.is_empty() && aliases.of_conn.is_empty());
    }
}
