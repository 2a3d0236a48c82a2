//! Where a SIP message goes next: from the host of a URI to addresses in the order to try them (RFC 3263).
//!
//! A [`NextHop`] is what a Route or Request-URI says about the way; a [`Candidate`] is one address to try. This crate
//! asks no DNS server and opens no socket: its shell does.
//!
//! **The contract: candidates are tried in their order, and each one with a transaction of its own (RFC 3263 section
//! 4.3).**
//!
//! ```
//! use viaduct_resolve::NextHop;
//! use viaduct_sip::{Transport, Uri};
//!
//! let hop = NextHop::of_uri(&Uri::parse("sip:bob@192.0.2.7;transport=tcp").unwrap()).unwrap();
//! let candidate = hop.direct().expect("an address needs no DNS");
//! assert_eq!(candidate.transport, Transport::Tcp);
//! assert_eq!(candidate.remote.to_string(), "192.0.2.7:5060");
//! ```

mod candidate;
mod next_hop;

pub use self::candidate::{Candidate, Failure};
pub use self::next_hop::{HopHost, NextHop, NoNextHop};
