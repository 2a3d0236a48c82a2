//! Janus' protocol, as far as rtpengine speaks it: sessions, handles, and the rooms of the plugin `janus.plugin.videoroom`,
//! in which publishers send media to the relay and subscribers get it from there.
//!
//! **What it is.** A [`Gateway`] takes messages of clients as octets and carries them out with NG requests: a room is a call,
//! each handle in it a party whose tag is the handle's number. Who publishes has `publish`, who subscribes
//! `subscribe request` and `subscribe answer`, and trickled candidates are an `offer` of a fragment. What clients are to be
//! told comes out of [`Gateway::poll_output`].
//!
//! **What it refuses to do.** It does no I/O, reads no clock, and has no media. It takes no token that was not added by
//! somebody who knows the secret, and serves nobody without one, except who asks whether it is there. It knows no
//! other plugin.
//!
//! **Contract: tell it of every connection that has closed ([`Gateway::handle_closed`]), of what happens to calls
//! ([`Gateway::handle_call_event`]), and of time when [`Gateway::poll_timeout`] says so; send what
//! [`Gateway::poll_output`] gives, in order.**
//!
//! ```
//! use std::time::Instant;
//! use rand::{SeedableRng, rngs::StdRng};
//! use viaduct_janus::{ConnectionId, Gateway, Limits};
//! use viaduct_ng::{ErrorReason, Reply};
//!
//! let mut gateway = Gateway::new("secret".to_owned(), Limits::default(), StdRng::seed_from_u64(1));
//! let message = br#"{"janus":"ping","transaction":"1"}"#;
//! let mut relay = |_: &_| Reply::error(ErrorReason::Unsupported);
//! gateway.handle_message(Instant::now(), ConnectionId(1), message, &mut relay);
//! let output = gateway.poll_output().unwrap();
//! assert_eq!(output.text, r#"{"janus":"pong","transaction":"1"}"#);
//! ```

mod error;
mod gateway;
mod message;
mod request;
mod room;
mod session;
mod stream;
mod videoroom;

pub use gateway::{CallEvent, ConnectionId, Counters, Gateway, Gauges, Limits, Output, Relay};
