//! Sockets: octets in, messages to the shards; messages from the shards, octets out.

pub(crate) mod aliases;
pub(crate) mod conns;
pub(crate) mod context;
pub mod frames;
pub(crate) mod names;
pub(crate) mod outgoing;
pub(crate) mod patience;
pub mod proxies;
pub(crate) mod sources;
pub(crate) mod stream;
pub(crate) mod turns;
pub(crate) mod udp;
pub(crate) mod ws;
