use bytes::Bytes;

use crate::Hop;

slotmap::new_key_type! {
    /// One server transaction.
    pub struct ServerId;

    /// One client transaction.
    pub struct ClientId;
}

/// What the user of a [`Layer`](crate::Layer) must do, or know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Put these octets on the wire. When that fails and `client` is given, treat its request as answered 503
    /// (RFC 3261 section 16.9) and [`abandon`](crate::Layer::abandon) it.
    Send {
        /// Where to.
        hop: Hop,
        /// One whole message.
        octets: Bytes,
        /// The client transaction that sends. `None` for answers.
        client: Option<ClientId>,
    },
    /// No final answer came to this request (timers B and F, or a cancelled INVITE that nobody ended). An INVITE counts
    /// as answered 408, other requests are left without an answer (RFC 4320 section 4.2).
    Timeout {
        /// The request's transaction. Its [`ClientEnded`](Self::ClientEnded) follows.
        client: ClientId,
    },
    /// A server transaction is over; its key means nothing from here on.
    ServerEnded {
        /// Which.
        server: ServerId,
        /// False when the final answer to an INVITE was never acknowledged (timer H).
        acknowledged: bool,
    },
    /// A client transaction is over; no more answers come to it.
    ClientEnded {
        /// Which.
        client: ClientId,
    },
}
