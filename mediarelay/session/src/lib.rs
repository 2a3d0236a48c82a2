//! The relay's brain: offer and answer, legs, ICE, DTLS-SRTP, endpoint learning.
//!
//! **What it is.** One [`Relay`] holds all calls of a media relay. It takes NG commands as typed values and answers them
//! with typed values; it takes the few datagrams that the media workers hand up (STUN for full ICE agents, DTLS, first
//! packets of unknown sources) and their reports; and it says by [`Output`]s what is to be done: ports to open, flows to
//! install, keys, ICE credentials, datagrams to send. Media itself never comes here once a flow is installed.
//!
//! **What it refuses to do.** It does no I/O and reads no clock. It leaves no media to pass beside the relay unless
//! [`Config::direct_media`] lets it. It forwards no SRTP that it has not verified, though both sides have the same key. It
//! takes a DTLS certificate for nobody's but the one whose fingerprint the SDP names. It
//! does not record, play or transcode.
//!
//! What another relay needs to go on with its calls after a restart comes out of [`poll_state`](Relay::poll_state), if that
//! is asked for with [`keep_state`](Relay::keep_state), and goes back in through [`rebuild`](Relay::rebuild).
//!
//! **Contract: after every `handle_*` call, do what [`poll_output`](Relay::poll_output) says, in order, until it returns
//! `None`, and call [`handle_timeout`](Relay::handle_timeout) when [`poll_timeout`](Relay::poll_timeout) is due. When the
//! last call has ended and its ports have rested, nothing is left of it, in the relay or in the workers.**
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rand::{SeedableRng, rngs::StdRng};
//! use viaduct_ng::{Packet, Reply};
//! use viaduct_session::{Certificate, Config, Interface, InterfaceAddress, Output, Parts, Relay, WallClock};
//!
//! let now = Instant::now();
//! let made = dimpl::certificate::generate_self_signed_certificate()?;
//! let parts = Parts {
//!     rng: StdRng::seed_from_u64(1),
//!     certificate: Certificate { certificate: made.certificate, private_key: made.private_key },
//!     stats: viaduct_forward::StatsTable::default(),
//!     epoch: viaduct_forward::Epoch::new(now),
//!     clock: WallClock::new(now, Duration::from_secs(1_700_000_000)),
//! };
//! let addresses = vec![InterfaceAddress::new([192, 0, 2, 1].into())];
//! let config = Config::new(vec![Interface { name: "default".into(), addresses }]);
//! let mut relay = Relay::new(now, config, parts)?;
//! while let Some(Output::OpenPair(pair)) = relay.poll_output() {
//!     relay.handle_pair_opened(now, pair); // a shell binds sockets here
//! }
//! let sdp = "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
//! let body = format!("1 d7:command5:offer7:call-id1:c8:from-tag1:f3:sdp{}:{sdp}e", sdp.len());
//! let limits = viaduct_ng::Limits::default();
//! let offer = Packet::split(body.as_bytes(), &limits).unwrap().request(&limits)?.request;
//! let Reply::Ok(reply) = relay.handle_ng(now, None, &offer) else { panic!("the offer is good") };
//! assert!(reply.sdp.unwrap().to_text().contains("c=IN IP4 192.0.2.1\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod clock;
mod config;
mod core;
mod counters;
mod describe;
mod dialogue;
mod dtls;
mod event;
mod exchange;
mod forwarding;
mod ice;
mod leg;
mod output;
mod party;
mod ports;
mod quality;
mod relay;
mod sdes;
mod secrets;
mod state;

pub use call::{FaxId, FaxInput, FaxOutput, FaxPlan};
pub use clock::WallClock;
pub use config::{Config, DtlsVersion, Interface, InterfaceAddress, Limits, SdesMode, UnnamedMedia};
pub use counters::{ClientCounters, Clients, Counters, Gauges, LimitCounters};
pub use dtls::{
    BothEngines, Certificate, CertificateError, DimplEngines, DtlsEngine, DtlsEngines, DtlsOutput,
    PeerCertificates,
};
pub use event::{DeleteReason, Digit, DtlsFailure, Event, IceFailure, MediaRef, What};
pub use output::Output;
pub use ports::{PortPair, PortPlan, PortSet, PortSetId, PortUsage};
pub use relay::{CallSummary, NotRebuilt, Parts, Rebuilt, Relay};
pub use state::{CallName, StateChange};
pub use viaduct_dtls::{LimitHits as DtlsLimitHits, Limits as DtlsLimits};
