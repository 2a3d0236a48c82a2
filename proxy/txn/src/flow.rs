//! How a peer is reached.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use viaduct_sip::Transport;

/// The identity of one stream connection. Never used twice in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(NonZeroU64);

impl ConnId {
    /// The identity with this number, `None` for 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// One way to one peer: a transport, a local socket, the peer's address and, for a stream, one connection.
///
/// A browser or a phone behind a NAT can be reached by nothing else (RFC 5626 section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// How octets travel.
    pub transport: Transport,
    /// The local address that the peer sends to: a listener's address, or ours of an outgoing connection.
    pub local: SocketAddr,
    /// The peer's address as the socket shows it.
    pub remote: SocketAddr,
    /// The connection. `None` for UDP.
    pub conn: Option<ConnId>,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.remote)?;
        match self.conn {
            Some(conn) => write!(f, " #{}", conn.get()),
            None => Ok(()),
        }
    }
}

/// Where to send a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hop {
    /// On this flow and no other. When its connection is gone, sending fails.
    Flow(Flow),
    /// On a connection to this address, reused or opened (RFC 3261 section 18.1.1). Stream transports only.
    Connect {
        /// TCP or TLS.
        transport: Transport,
        /// Where the peer may reach us: the listener that our Via and Record-Route name. The connection leaves from its
        /// address, and from a port of its own.
        local: SocketAddr,
        /// The peer's address.
        remote: SocketAddr,
        /// For TLS, the name that the peer's certificate must carry (RFC 5922).
        name: Option<Arc<str>>,
    },
}

impl Hop {
    /// How octets travel.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Flow(flow) => flow.transport,
            Self::Connect { transport, .. } => *transport,
        }
    }

    /// The local address that the peer sends to.
    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Flow(flow) => flow.local,
            Self::Connect { local, .. } => *local,
        }
    }

    /// The peer's address.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Self::Flow(flow) => flow.remote,
            Self::Connect { remote, .. } => *remote,
        }
    }

    /// The one connection that this hop depends on. `None` for a datagram, and for a connection that can be opened again.
    pub fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Flow(flow) => flow.conn,
            Self::Connect { .. } => None,
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(flow) => flow.fmt(f),
            Self::Connect {
                transport, remote, ..
            } => write!(f, "{transport} {remote}"),
        }
    }
}

impl From<Flow> for Hop {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}
