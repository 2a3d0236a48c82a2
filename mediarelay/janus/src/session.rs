//! Who is logged in, and what they have attached.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::gateway::ConnectionId;

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Where its events go; `None` since that connection has closed.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) handles: BTreeSet<u64>,
    /// When it was last heard of.
    pub(crate) active: Instant,
}

/// A part of a client that takes part in a room, or will.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) session: u64,
    pub(crate) room: Option<u64>,
}

/// By what a message is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The secret itself.
    Secret,
    /// A token that was added with it. Any will do, as with Janus: what keeps clients apart is that nobody can guess the
    /// number of another's session.
    Token,
}
