//! The built-in echo and music services: a SIP user agent and the media of its calls, without I/O.
//!
//! An [`Agent`] answers `sip:echo@…` and `sip:music@…` for one signalling shard; a [`Stream`] is the RTP and RTCP of
//! one call. The echo chimes ([`CHIME_HZ`]) and then returns what the caller says and which keys it presses; the music
//! plays an endless tune over a keynote of [`MUSIC_BASE_HZ`].
//!
//! It refuses to be reached from the network: the agent's only neighbour is the proxy in the same shard. It opens no
//! socket, reads no clock, speaks no codec but G.711, and calls nobody.
//!
//! **The contract: after every call that takes `now`, drain [`Agent::poll_output`] until it returns `None`, call
//! [`Agent::handle_timeout`] no later than [`Agent::poll_timeout`] says, and answer every [`Output::OpenMedia`] with
//! [`Agent::handle_media_opened`].** `now` never goes back. A [`Stream`] has its own, said there.
//!
//! ```
//! # #[expect(clippy::disallowed_methods, reason = "an example is a shell")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//! use viaduct_service::{Agent, Config, MediaAddress, Output};
//! use viaduct_sip::{Limits, Message};
//!
//! let octets = "INVITE sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/LOCAL p.example.com;branch=z9hG4bK1\r\n\
//!     From: <sip:201@example.com>;tag=1\r\nTo: <sip:100@example.com>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
//!     Contact: <sip:201@192.0.2.7>\r\n\r\n";
//! let (now, mut agent) = (Instant::now(), Agent::new(Config::new("example.com")?, [1; 32]));
//! agent.handle_message(now, &Message::parse_frame(octets.into(), &Limits::default())?);
//! let outputs: Vec<Output> = std::iter::from_fn(|| agent.poll_output()).collect();
//! let Some(Output::OpenMedia { stream, .. }) = outputs.last() else { panic!("{outputs:?}") };
//! agent.handle_media_opened(now, *stream, Ok(MediaAddress::pair("192.0.2.1:4000".parse()?).unwrap()));
//! let Some(Output::Send { octets }) = agent.poll_output() else { panic!("no answer") };
//! assert!(octets.starts_with(b"SIP/2.0 200 OK\r\n"));
//! # Ok(())
//! # }
//! ```

mod agent;
mod body;
mod call;
mod config;
mod counters;
mod dialog;
mod media;
mod negotiation;
mod output;
mod refusal;
mod service;
mod stream;
#[cfg(test)]
mod test;
mod wakeups;

pub use self::agent::Agent;
pub use self::config::{Config, Limits, Times};
pub use self::counters::{Counters, Gauges};
pub use self::media::{
    CLOCK_HZ, Codec, Component, Family, MediaAddress, MediaParams, ReceiveTypes, SendTypes,
};
pub use self::output::{CallEnd, DigitSource, Event, MediaOpenError, Output, StreamId};
pub use self::service::Service;
pub use self::stream::{
    BLOCK_SAMPLES, CHIME_HZ, CHIME_PAUSE_SAMPLES, CHIME_SAMPLES, CHIME_TONE_SAMPLES, Drops,
    ECHO_DELAY_SAMPLES, MUSIC_BASE_HZ, MUSIC_FIFTH_HZ, PAYLOAD_SAMPLES_MAX, Stream, StreamConfig,
    StreamEvent, StreamSetup, StreamStats, Transmit,
};
