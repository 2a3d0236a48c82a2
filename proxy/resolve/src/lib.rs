//! Where a SIP message goes next: from the host of a URI to addresses in the order to try them (RFC 3263).
//!
//! A [`NextHop`] is what a Route or Request-URI says about the way; a [`Candidate`] is one address to try. A [`Resolver`]
//! turns the one into the other by NAPTR, SRV and address records. It asks no DNS server itself, opens no socket, and tries
//! no address: its shell does, with the octets that [`Question::encode`] writes and [`Question::decode`] reads.
//!
//! **The contract: after every call that takes `now`, drain [`Resolver::poll_output`] until it returns `None`; every
//! [`Output::Ask`] comes back as one [`Resolver::handle_answer`].** Candidates are tried in their order, each one with a
//! transaction of its own (RFC 3263 section 4.3).
//!
//! ```
//! # #[expect(clippy::disallowed_methods, reason = "an example is a shell")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, Instant};
//! use viaduct_resolve::{Answer, Config, Kind, NextHop, Output, QueryId, Record, Resolver};
//! use viaduct_sip::Uri;
//!
//! let (now, mut resolver) = (Instant::now(), Resolver::new(Config::default(), [1; 32]));
//! resolver.handle_query(now, QueryId(1), NextHop::of_uri(&Uri::parse("sip:bob@example.net:5070")?)?);
//! while let Some(output) = resolver.poll_output() {
//!     match output {
//!         Output::Ask(question) if question.kind == Kind::A => {
//!             let records = vec![Record::A([192, 0, 2, 7].into())];
//!             resolver.handle_answer(now, &question, Answer::Records { records, ttl: Duration::from_secs(60) });
//!         }
//!         Output::Ask(question) => resolver.handle_answer(now, &question, Answer::Nothing { ttl: None }),
//!         Output::Resolved { found, .. } => assert_eq!(found?[0].remote, "192.0.2.7:5070".parse()?),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod cache;
mod candidate;
mod config;
mod next_hop;
mod plan;
mod question;
mod resolver;
#[cfg(test)]
mod test;
mod wire;

pub use self::candidate::{Candidate, Failure};
pub use self::config::{Config, Limits};
pub use self::next_hop::{HopHost, NextHop, NoNextHop};
pub use self::question::{Answer, Kind, Naptr, Question, Record, Srv};
pub use self::resolver::{Counters, Output, QueryId, Resolver};
pub use self::wire::WireError;
