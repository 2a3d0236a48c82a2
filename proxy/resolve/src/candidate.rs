//! What comes of resolving a next hop.

use std::net::SocketAddr;
use std::sync::Arc;

use viaduct_sip::Transport;

/// One address that a next hop may be reached at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// Where.
    pub remote: SocketAddr,
    /// For TLS, the name that the peer's certificate must carry: the host that was looked up, not the one that DNS led
    /// to (RFC 5922 section 4).
    pub name: Option<Arc<str>>,
    /// The URI itself asked for this transport, so another must not take its place (RFC 3261 section 18.1.1).
    pub is_fixed: bool,
}

/// Why there is no address to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// DNS says that there is no such name, or that it has no address.
    #[error("{0} has no address")]
    NoAddress(Arc<str>),
    /// No DNS server answered, or none that answered could tell.
    #[error("no DNS server could tell the address of {0}")]
    Unanswered(Arc<str>),
    /// None of the transports that lead there is spoken here.
    #[error("{0} is reached by no transport that is spoken here")]
    NoTransport(Arc<str>),
    /// As many questions as may wait are waiting.
    #[error("too many names are being looked up")]
    Busy,
}
