//! SIP transactions (RFC 3261 section 17, RFC 6026, RFC 4320): requests and their answers, repeated until they arrive.
//!
//! The [`Layer`] finds the transaction of every message, absorbs repeats, retransmits over UDP, acknowledges 3xx-6xx
//! and sends CANCEL when it may. It does not know what a proxy or a user agent is, opens no socket, reads no clock and
//! starts no task.
//!
//! **The contract: after every call that takes `now`, drain [`Layer::poll_output`] until it returns `None`; call
//! [`Layer::handle_timeout`] no later than [`Layer::poll_timeout`] says.** `now` never goes back.
//!
//! ```
//! # #[expect(clippy::disallowed_methods, reason = "an example is a shell")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//! use viaduct_sip::{Limits, Message, ResponseBuilder, StatusCode, Transport};
//! use viaduct_txn::{Config, Flow, Layer, Output, Received};
//!
//! let octets = "OPTIONS sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport\r\n\
//!     From: <sip:b@a.example>;tag=1\r\nTo: <sip:a.example>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let request = Message::parse_datagram(octets.into(), &Limits::default())?;
//! let (local, remote) = ("192.0.2.9:5060".parse()?, "192.0.2.1:5060".parse()?);
//! let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
//!
//! let (now, mut layer) = (Instant::now(), Layer::new(Config::default()));
//! let Received::New(server) = layer.handle_request(now, flow, &request, &request.essentials()?) else { panic!() };
//! let answer = ResponseBuilder::new(&request, StatusCode::OK).source(remote).build()?;
//! layer.respond(now, server, StatusCode::OK, answer);
//! assert!(matches!(layer.poll_output(), Some(Output::Send { .. })));
//! assert!(matches!(layer.poll_output(), Some(Output::ServerEnded { .. })));
//! // The same request again is answered from memory.
//! assert_eq!(layer.handle_request(now, flow, &request, &request.essentials()?), Received::Absorbed);
//! assert!(matches!(layer.poll_output(), Some(Output::Send { .. })));
//! # Ok(())
//! # }
//! ```

mod answered;
mod client;
mod config;
mod effects;
mod fifo;
mod flow;
mod key;
mod layer;
mod output;
mod parts;
mod room;
mod server;
mod table;
#[cfg(test)]
mod test;
mod timers;
mod way_back;

pub use self::config::{Config, Counters, Limits, Timing};
pub use self::flow::{ConnId, Flow, Hop};
pub use self::layer::{Layer, Received, Request};
pub use self::output::{ClientId, Output, ServerId};
pub use self::parts::{Parts, Spread};
pub use self::room::{make_room, room_for};
pub use self::timers::Timers;
pub use self::way_back::{way_back, way_to_sender};
