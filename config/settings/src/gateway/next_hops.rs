//! `dns`, `foreign_domains` and `udp_to_tcp`: how somebody is reached who is not registered here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::decode::{Decoder, Fault, Form, TextForm, section, section_default};
use crate::form::address::is_host_name;
use crate::form::time::{HOUR, MILLISECOND, MINUTE, SECOND};
use crate::form::{address, choices, count, duration, map_of, one_or_many};
use crate::shape::Shape;
use crate::tree::{Kind, Node};

/// The port of a DNS server.
const DNS_PORT: u16 = 53;

section! {
    /// How names of other domains are turned into addresses (RFC 3263).
    pub struct DnsSettings {
        /// Servers that are asked, one after the other: `system` for those of `/etc/resolv.conf`, or a list of addresses,
        /// each with a port if it is not 53.
        servers: Option<Vec<SocketAddr>> = default(ServersForm, "system");
        /// Names whose addresses are known without DNS: nothing is asked about them.
        hosts: Vec<(String, Vec<IpAddr>)> = default(map_of("host name", HostNameForm, one_or_many(address())), "{}");
        /// How long one server may take to answer. Each is asked twice.
        timeout: Duration = default(duration(100 * MILLISECOND, 30 * SECOND), "2s");
        /// Answers that are kept; beyond, the oldest is forgotten.
        cache: u32 = default(count(10..=10_000_000), "10000");
        /// Longest time that an answer is kept, whatever its server says.
        max_ttl: Duration = default(duration(SECOND, 24 * HOUR), "1h");
        /// Longest time that the absence of a name is kept.
        negative_ttl: Duration = default(duration(SECOND, HOUR), "60s");
        /// How long an address that took no request is tried after all others of its name.
        dead_address: Duration = default(duration(SECOND, HOUR), "30s");
    }
}
section_default!(DnsSettings);

choices! {
    /// What becomes of a call to another domain, or along a Route that leads elsewhere.
    pub enum ForeignDomains {
        /// It is refused with 403.
        Deny = "deny",
        /// It goes on if its sender is a user of this gateway.
        Allow = "allow",
    }
}

choices! {
    /// Which requests of more than 1300 octets go over TCP instead of UDP (RFC 3261 18.1.1).
    pub enum UdpToTcp {
        /// None.
        Never = "never",
        /// Those to next hops that were looked up and whose URI names no transport. Over UDP if TCP fails.
        Resolved = "resolved",
        /// Those to phones that registered over UDP too. Many phones have no TCP and are reached later for it.
        Always = "always",
    }
}

/// `system`, or one or several server addresses.
pub(crate) struct ServersForm;

/// The word form of [`ServersForm`].
struct ServersWord;

/// One server: an address, with a port if it is not 53.
struct ServerForm;

/// A name that the file gives addresses to.
pub(crate) struct HostNameForm;

impl Form for ServersForm {
    type Value = Option<Vec<SocketAddr>>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => one_or_many(ServerForm).decode(node, decoder).map(Some),
            Kind::List(_) | Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::Map(_) => {
                ServersWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![Shape::Word("system"), Form::shape(&one_or_many(ServerForm))])
    }
}

impl TextForm for ServersWord {
    type Value = Option<Vec<SocketAddr>>;

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        match text {
            "system" => Ok(None),
            _ => ServerForm.parse(text).map(|server| Some(vec![server])),
        }
    }

    fn shape(&self) -> Shape {
        Form::shape(&ServersForm)
    }
}

impl TextForm for ServerForm {
    type Value = SocketAddr;

    fn parse(&self, text: &str) -> Result<SocketAddr, Fault> {
        let alone = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT));
        let server = alone.or_else(|_| text.parse());
        server
            .map_err(|_| Fault::bad().help("an address such as `192.0.2.53` or `192.0.2.53:5353`".to_owned()))
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "the address of a DNS server".to_owned(),
            pattern: None,
        }
    }
}

impl TextForm for HostNameForm {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        if text.parse::<IpAddr>().is_ok() || !is_host_name(text) {
            return Err(Fault::bad().help("a host name, such as `pbx.example.com`".to_owned()));
        }
        Ok(text.trim_end_matches('.').to_ascii_lowercase())
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a host name".to_owned(),
            pattern: None,
        }
    }
}

/// Longest patience with one address of a next hop.
pub(crate) const PATIENCE_MAX: Duration = MINUTE;
