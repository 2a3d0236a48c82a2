//! The media relay as a library: sockets, threads and listeners around the relay's brain ([`viaduct_session`]) and its
//! packet path ([`viaduct_forward`]). `viaduct-relay` is this library with a command line; a gateway runs it within its
//! own process and speaks NG with it in values.
//!
//! It refuses to parse SDP or SIP, to decide anything about calls, and to ask anybody outside of this machine anything.
//! Its threads are its own: an asynchronous runtime is needed only by those who wait for an answer.
//!
//! **Contract: between [`RelayHandle::start`] and [`RelayHandle::shutdown`] every command is answered or refused, no
//! datagram from outside ends, stops or grows the relay, and afterwards nothing of it is left.**
//!
//! ```
//! use std::time::Duration;
//!
//! use viaduct_mediarelay::{RelayConfig, RelayHandle};
//! use viaduct_ng::{Reply, Request};
//! use viaduct_settings::{MediaSettings, PublicIp};
//!
//! let media = MediaSettings { browser_port: None, ..MediaSettings::default() };
//! let relay = RelayHandle::start(RelayConfig::in_process(media, PublicIp::Auto))?;
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! assert_eq!(runtime.block_on(relay.ask(Request::Ping))?, Reply::Pong);
//! assert_eq!(runtime.block_on(relay.snapshot())?.gauges.calls, 0);
//! relay.shutdown(Duration::from_secs(2))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod certificate;
mod claim;
mod cli;
mod config;
mod control;
mod counter;
mod fax;
mod handle;
mod http;
mod interfaces;
mod janus;
mod lane;
mod limits;
mod line;
mod listener;
mod ng;
mod port_owner;
mod prefault;
mod service;
mod shown;
mod socket;
mod start;
mod start_error;
mod state;
mod systemd;
mod threads;
mod tls;
mod turns;
mod watch;
mod worker;

pub use claim::PortClaim;
pub use config::RelayConfig;
pub use control::{ControlSnapshot, Outside};
pub use handle::{Events, RelayHandle, StillRunning};
pub use interfaces::{MediaAddress, MediaInterface};
pub use janus::JanusFigures;
pub use limits::{RelayLimits, ShellLimits};
pub use line::Unavailable;
pub use port_owner::{PortOwner, port_owner};
pub use prefault::read_code;
pub use start::NoSteering;
pub use start_error::StartError;
pub use systemd::ServiceManager;
pub use threads::{EXIT_FAULT, Failure, OnFailure};
pub use turns::take_short_turns;
pub use watch::{ConnectionFigures, NamedPorts, NgFigures, NotReady, Snapshot, WorkerFigures};
pub use worker::{IoSnapshot, SendFault};

pub use viaduct_session::{DeleteReason, DtlsFailure, Event, IceFailure, MediaRef, What};
