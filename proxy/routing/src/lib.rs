//! The proxy's brain: registrar, location, forwarding, calls and media policy (RFC 3261 sections 10 and 16).
//!
//! A [`Proxy`] is one shard: it owns its transactions and calls, and shares the location table and the authenticator
//! with other shards. It decides who somebody is, where a request goes, and what the relay must make of each SDP. It
//! opens no socket, reads no clock, asks no store itself, and never writes SDP.
//!
//! **The contract: give every message of one Call-ID to the same shard; after every call that takes `now`, drain
//! [`Proxy::poll_output`] until it returns `None`; call [`Proxy::handle_timeout`] no later than
//! [`Proxy::poll_timeout`] says.** Every [`Output`] with a [`Ticket`] must come back with a result.
//!
//! ```
//! # #[expect(clippy::disallowed_methods, reason = "an example is a shell")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{sync::Arc, time::{Duration, Instant}};
//! use viaduct_routing::{Authenticator, CallCounts, Config, Guard, GuardLimits, Location, Output, Proxy, Shard, Shared, User, WallClock};
//! use viaduct_sip::{Limits, Message, Transport};
//! use viaduct_txn::Flow;
//!
//! let users = [User::with_password("201", "example.com", "secret")].into_iter().collect();
//! let shared = Shared {
//!     location: Arc::new(Location::default()),
//!     auth: Arc::new(Authenticator::new([1; 32], Duration::from_secs(300), 1_000)),
//!     guard: Arc::new(Guard::new(GuardLimits::default())),
//!     calls: Arc::new(CallCounts::default()),
//!     token_secret: [2; 32],
//!     own_call_ids: "random text".into(),
//! };
//! let now = Instant::now();
//! let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
//! let shard = Shard { index: 0, count: 1, seed: [3; 32], clock };
//! let mut proxy = Proxy::new(Arc::new(Config::new("example.com")), Arc::new(users), &shared, shard);
//!
//! let octets = "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1;rport\r\n\
//!     From: <sip:201@example.com>;tag=1\r\nTo: <sip:201@example.com>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n\r\n";
//! let flow = Flow { transport: Transport::Udp, local: "192.0.2.1:5060".parse()?, remote: "192.0.2.7:5060".parse()?,
//!     conn: None };
//! proxy.handle_message(now, flow, &Message::parse_datagram(octets.into(), &Limits::default())?);
//! let Some(Output::Send { octets, .. }) = proxy.poll_output() else { panic!("no answer") };
//! assert!(octets.starts_with(b"SIP/2.0 401 Unauthorized\r\n"));
//! # Ok(())
//! # }
//! ```

mod auth;
mod body;
mod call;
mod call_counts;
mod calling;
mod calls;
mod carried;
mod clock;
mod config;
mod context;
mod counters;
mod date;
mod directory;
mod flags;
mod gruu;
mod guard;
mod location;
pub mod media;
mod output;
mod proxy;
mod refusal;
mod registrar;
mod route;
mod sealed;
mod source_network;
#[cfg(test)]
mod test;
mod token;
mod user;

pub use self::auth::{Asking, AuthFailure, Authenticated, Authenticator, Presented};
pub use self::call::{CallState, CallView, EndView};
pub use self::call_counts::CallCounts;
pub use self::clock::WallClock;
pub use self::config::{
    AuthConfig, Config, ForeignDomains, HookConfig, Limits, Listener, OnNoDecision, Redirects,
    RegistrarTimes, Times, UdpToTcp,
};
pub use self::counters::{Counters, Reasons};
pub use self::directory::{Answer, Directory, DirectoryLimits};
pub use self::flags::{Flag, Flags};
pub use self::guard::{Failed, Guard, GuardLimits, Rate};
pub use self::location::{Binding, Bindings, Location};
pub use self::output::{
    BindingRecord, CallEnd, CallNumber, Change, Event, NoDecision, Output, ProxyEnd, Reachable, RelayFailure,
    SendId, Ticket, TrunkChange, UnregisterReason,
};
pub use self::proxy::{Gauges, Proxy, SERVICE_FLOW, Shard, Shared};
pub use self::refusal::Refusal;
pub use self::registrar::{RegisterRefusal, Registered};
pub use self::source_network::SourceNetwork;
pub use self::user::{User, UserChallenge, Users};
pub use viaduct_trunk::{
    Destination, HookDecision, HookQuery, Network, NumberPlan, Ring, Routes, Rule, Service, Trunk, Trunks,
};
