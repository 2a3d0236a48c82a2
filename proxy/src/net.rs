//! Sockets: octets in, messages to the shards; messages from the shards, octets out.

pub(crate) mod conns;
pub(crate) mod context;
pub(crate) mod names;
pub(crate) mod outgoing;
pub(crate) mod patience;
pub(crate) mod proxies;
pub(crate) mod stream;
pub(crate) mod udp;
pub(crate) mod ws;
