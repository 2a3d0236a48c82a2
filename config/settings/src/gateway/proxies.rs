//! `trusted_proxies`: who passes on the connections of others, and says whose they are.

use crate::decode::{section, section_default};
use crate::form::network::Network;
use crate::form::{choice, choices, list, network};

section! {
    /// Proxies before the gateway, such as HAProxy or nginx, whose word is taken for whose connections they pass on. That
    /// address then counts for limits, for answers and in the log. Nobody else is believed.
    pub struct ProxySettings {
        /// Networks and addresses of these proxies.
        from: Vec<Network> = default(list(network()), "[]");
        /// How they say it. It must be what they really send: they pass on everything else as their clients wrote it.
        tell_by: TellBy = default(choice::<TellBy>(), "x-forwarded-for");
    }
}
section_default!(ProxySettings);

choices! {
    /// How a proxy says whose connection it passes on.
    pub enum TellBy {
        /// The header of that name, for WebSocket.
        XForwardedFor = "x-forwarded-for",
        /// The header of RFC 7239, for WebSocket.
        Forwarded = "forwarded",
        /// The PROXY protocol, version 1 or 2, before anything else: on `sip+tcp`, `sip+tls`, `ws`, `wss`, `http` and
        /// `https`. A connection from these addresses without it is closed.
        ProxyProtocol = "proxy-protocol",
    }
}
