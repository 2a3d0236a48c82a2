//! What a URI says about the way to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use viaduct_sip::{Host, Scheme, Transport, Uri};

use crate::Candidate;

/// Where a request goes next, as the topmost Route or the Request-URI says it (RFC 3261 section 8.1.2): the TARGET, port
/// and transport of RFC 3263 section 4.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// A name or an address.
    pub host: HopHost,
    /// The port, if one is named.
    pub port: Option<u16>,
    /// The transport, if one is named: UDP, TCP or TLS.
    pub transport: Option<Transport>,
    /// It is a `sips` URI: only TLS will do.
    pub secure: bool,
}

/// A host to send to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HopHost {
    /// A domain name, in lower case and without a dot at the end.
    Name(Arc<str>),
    /// An address: DNS is not asked.
    Address(IpAddr),
}

/// Why a URI names no next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoNextHop {
    /// It is no `sip` or `sips` URI, or has no host that can be read.
    #[error("URI names no host")]
    NoHost,
    /// It asks for a transport over which nobody can be called on: WebSocket, or one that is unknown.
    #[error("URI asks for a transport that reaches nobody from here")]
    BadTransport,
}

impl NextHop {
    /// What a URI says. The `maddr` parameter takes the place of the host (RFC 3263 section 4).
    ///
    /// # Errors
    ///
    /// See [`NoNextHop`].
    pub fn of_uri(uri: &Uri<'_>) -> Result<Self, NoNextHop> {
        if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
            return Err(NoNextHop::NoHost);
        }
        let maddr = uri.params().get("maddr").and_then(|param| param.value);
        let host = match maddr {
            Some(text) => Host::parse(text).map_err(|_| NoNextHop::NoHost)?,
            None => uri.host().ok_or(NoNextHop::NoHost)?,
        };
        let transport = match uri.params().get("transport") {
            Some(_) => Some(uri.transport().ok_or(NoNextHop::BadTransport)?),
            None => None,
        };
        Self::new(&host, uri.port(), transport, uri.is_sips())
    }

    /// The next hop with these parts.
    ///
    /// # Errors
    ///
    /// [`NoNextHop::BadTransport`] for a transport that opens no connections from here, or UDP where it must be secure;
    /// [`NoNextHop::NoHost`] for a name of dots.
    pub fn new(
        host: &Host<'_>,
        port: Option<u16>,
        transport: Option<Transport>,
        secure: bool,
    ) -> Result<Self, NoNextHop> {
        match transport {
            None | Some(Transport::Tls) => {}
            Some(Transport::Udp | Transport::Tcp) if !secure => {}
            Some(_) => return Err(NoNextHop::BadTransport),
        }
        let host = match host.ip() {
            Some(ip) => HopHost::Address(ip),
            None => {
                let name = host.canonical();
                match name.trim_end_matches('.') {
                    "" => return Err(NoNextHop::NoHost),
                    name => HopHost::Name(name.into()),
                }
            }
        };
        Ok(Self {
            host,
            port,
            transport,
            secure,
        })
    }

    /// The one candidate of a next hop whose host is an address. `None` when DNS must be asked. Without a transport in
    /// the URI it is UDP, or TLS for `sips` (RFC 3263 section 4.1).
    pub fn direct(&self) -> Option<Candidate> {
        let HopHost::Address(ip) = self.host else {
            return None;
        };
        let transport = self.transport_or_default();
        let port = self.port.unwrap_or_else(|| transport.default_port());
        Some(self.candidate(transport, SocketAddr::new(ip, port)))
    }

    /// The transport named, or the one meant when there is none.
    pub(crate) fn transport_or_default(&self) -> Transport {
        match self.transport {
            Some(transport) => transport,
            None if self.secure => Transport::Tls,
            None => Transport::Udp,
        }
    }

    pub(crate) fn candidate(&self, transport: Transport, remote: SocketAddr) -> Candidate {
        Candidate {
            transport,
            remote,
            name: transport.is_secure().then(|| self.host.text()),
            is_fixed: self.transport.is_some() || self.secure,
        }
    }
}

impl HopHost {
    /// The name, or the address as text.
    pub fn text(&self) -> Arc<str> {
        match self {
            Self::Name(name) => Arc::clone(name),
            Self::Address(ip) => ip.to_string().into(),
        }
    }
}

/// As people write it: `sips:example.com:5061 over TLS`.
impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        match &self.host {
            HopHost::Name(name) => f.write_str(name)?,
            HopHost::Address(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            HopHost::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            Some(transport) => write!(f, " over {transport}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(uri: &str) -> Result<NextHop, NoNextHop> {
        NextHop::of_uri(&Uri::parse(uri).unwrap())
    }

    fn direct(uri: &str) -> Option<(Transport, String, Option<Arc<str>>, bool)> {
        let Candidate {
            transport,
            remote,
            name,
            is_fixed,
        } = hop(uri).unwrap().direct()?;
        Some((transport, remote.to_string(), name, is_fixed))
    }

    /// RFC 3263 sections 4.1 and 4.2.
    #[test]
    fn an_address_needs_no_dns() {
        let plain = |transport, remote: &str, fixed| Some((transport, remote.to_owned(), None, fixed));
        assert_eq!(
            direct("sip:a@192.0.2.7"),
            plain(Transport::Udp, "192.0.2.7:5060", false)
        );
        assert_eq!(
            direct("sip:a@192.0.2.7:5070;transport=tcp"),
            plain(Transport::Tcp, "192.0.2.7:5070", true)
        );
        assert_eq!(
            direct("sip:a@[2001:db8::1]"),
            plain(Transport::Udp, "[2001:db8::1]:5060", false)
        );
        assert_eq!(
            direct("sips:a@192.0.2.7"),
            Some((
                Transport::Tls,
                "192.0.2.7:5061".to_owned(),
                Some("192.0.2.7".into()),
                true
            ))
        );
        assert_eq!(direct("sip:a@example.com"), None);
    }

    #[test]
    fn maddr_takes_the_place_of_the_host() {
        assert_eq!(
            direct("sip:a@example.com;maddr=192.0.2.9").map(|candidate| candidate.1),
            Some("192.0.2.9:5060".to_owned())
        );
    }

    #[test]
    fn names_are_compared_without_case_and_final_dot() {
        assert_eq!(hop("sip:a@Example.COM."), hop("sip:b@example.com"));
    }

    #[test]
    fn transports_that_reach_nobody_are_refused() {
        for uri in [
            "sip:a@h;transport=ws",
            "sip:a@h;transport=sctp",
            "sips:a@h;transport=udp",
            "sips:a@h;transport=ws",
        ] {
            assert_eq!(hop(uri), Err(NoNextHop::BadTransport), "{uri}");
        }
        assert_eq!(hop("tel:+4930"), Err(NoNextHop::NoHost));
        assert_eq!(hop("sip:a@.."), Err(NoNextHop::NoHost));
        assert_eq!(
            hop("sips:a@h;transport=tcp").unwrap().transport,
            Some(Transport::Tls)
        );
    }

    #[test]
    fn a_next_hop_reads_like_a_uri() {
        assert_eq!(
            hop("sip:a@[::1]:5070;transport=tcp").unwrap().to_string(),
            "sip:[::1]:5070 over TCP"
        );
        assert_eq!(hop("sips:h").unwrap().to_string(), "sips:h");
    }
}
