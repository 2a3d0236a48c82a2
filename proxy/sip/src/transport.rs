use std::fmt;

/// How a SIP message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One message per datagram.
    Udp,
    /// RFC 3261 section 18.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket, RFC 7118.
    Ws,
    /// WebSocket over TLS, RFC 7118.
    Wss,
    /// A peer inside this process. Never on a wire.
    Local,
}

impl Transport {
    /// Every transport, in the order of the variants.
    pub const ALL: [Self; 6] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Local];

    /// The token in a Via header's sent-protocol: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or `LOCAL`.
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
            Self::Local => "LOCAL",
        }
    }

    /// The transport that a Via token names. Any case; `None` for a token unknown to us (RFC 4475 section 3.1.1.10).
    pub fn from_via_token(token: &str) -> Option<Self> {
        Self::from_via_octets(token.as_bytes())
    }

    pub(crate) fn from_via_octets(token: &[u8]) -> Option<Self> {
        let is = |transport: &Self| transport.via_token().as_bytes().eq_ignore_ascii_case(token);
        Self::ALL.into_iter().find(is)
    }

    /// The value of a URI's `transport` parameter. `ws` for both WebSocket kinds (RFC 7118 section 5.2.4).
    pub fn uri_param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
            Self::Local => "local",
        }
    }

    /// The transport that a URI's `transport` parameter asks for. `secure` is true for a `sips` URI, which turns TCP
    /// into TLS and WebSocket into its TLS kind (RFC 5630 section 3.1.2, RFC 7118 section 5.2.4). `None` for an unknown
    /// value, for UDP asked for by `sips`, and for `local`: no URI from outside names a peer inside.
    pub fn from_uri_param(value: &str, secure: bool) -> Option<Self> {
        let is = |name: &str| value.eq_ignore_ascii_case(name);
        if is("ws") {
            Some(if secure { Self::Wss } else { Self::Ws })
        } else if is("wss") {
            Some(Self::Wss)
        } else if is("tcp") {
            Some(if secure { Self::Tls } else { Self::Tcp })
        } else if is("tls") {
            Some(Self::Tls)
        } else if is("udp") && !secure {
            Some(Self::Udp)
        } else {
            None
        }
    }

    /// True when the transport itself delivers or reports failure, so that transactions do not retransmit.
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// True when nobody on the way can read it.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Local)
    }

    /// True for WebSocket, plain or over TLS.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port meant when a URI or Via names none: 5060, 5061 for TLS, 80 and 443 for WebSocket. 0 for `Local`, which
    /// has no ports.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
            Self::Local => 0,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn via_tokens_come_back_in_any_case() {
        for transport in Transport::ALL {
            let token = transport.via_token();
            assert_eq!(Transport::from_via_token(token), Some(transport));
            assert_eq!(
                Transport::from_via_token(&token.to_ascii_lowercase()),
                Some(transport)
            );
        }
        assert_eq!(Transport::from_via_token("SCTP"), None);
    }

    #[test]
    fn sips_turns_a_uri_transport_into_its_secure_kind() {
        assert_eq!(Transport::from_uri_param("ws", false), Some(Transport::Ws));
        assert_eq!(Transport::from_uri_param("WS", true), Some(Transport::Wss));
        assert_eq!(Transport::from_uri_param("tcp", true), Some(Transport::Tls));
        assert_eq!(Transport::from_uri_param("udp", true), None);
        assert_eq!(Transport::from_uri_param("sctp", false), None);
        assert_eq!(
            Transport::from_uri_param(Transport::Local.uri_param(), false),
            None
        );
    }
}
