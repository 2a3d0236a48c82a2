//! Forwards the settled plain media of a relay in the kernel, and steers ports to sockets.
//!
//! A program at the ingress of the host's interfaces (tcx) finds the flow that a packet belongs to, rewrites addresses, ports
//! and checksums, and sends the packet on its way, at a tenth of what a relay's thread takes for it. Which flows there are,
//! user space says: [`Fast`] loads the program, or finds the one that a relay before it has left, and installs and removes
//! [`Flow`]s.
//!
//! It refuses to be needed: whatever is missing is a [`Refused`] or an [`InstallError`] with its reason, and whatever the
//! program does not forward (see [`Up`]) goes on to the relay's socket. It decides nothing: which flows may be forwarded by the
//! kernel is the relay's business.
//!
//! [`Steering`] is another program, which lets few sockets hear many ports, so that a relay's ports cost it no descriptor. Where it
//! is asked to, it hands a worker the frames of an interface before the kernel makes packets of them ([`FrameSocket`]), and
//! [`NextHops`] says where frames that are to be sent go.
//!
//! **Contract: call [`Fast::heartbeat`] several times within [`Limits::patience`]; without it the kernel forwards nothing.**
//!
//! ```no_run
//! use std::time::Instant;
//! use viaduct_kmod_helper::{Config, Fast, Flow, Key, tag};
//!
//! let mut fast = Fast::open(Instant::now(), &Config::default())?;
//! fast.heartbeat(Instant::now())?;
//! let [local, source] = ["192.0.2.1:30000", "192.0.2.1:30002"].map(|address| address.parse().unwrap());
//! let [peer, destination] = ["198.51.100.7:4000", "203.0.113.9:5000"].map(|address| address.parse().unwrap());
//! let key = Key { local, peer };
//! let flow = Flow { key, source, destination, tos: 184, rtcp: false, payload_types: 1 << 8, tag: tag("a84b4c76e66710") };
//! fast.install(Instant::now(), &flow)?;
//! let counters = fast.remove(Instant::now(), &key);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abi;
mod bound_ports;
mod facts;
mod fast;
mod findings;
mod flow;
pub mod frame;
mod frames;
mod given_ports;
mod hops;
mod instance;
mod ip_header;
pub mod model;
mod netlink;
mod next_hops;
mod object;
mod shared_words;
mod slots;
mod status;
mod steering;
mod tables;
mod undisturbed;
mod up;
mod xdp_features;

pub use bound_ports::BoundPorts;
pub use facts::Facts;
pub use fast::{BPFFS, Config, Fast, InstallError, Limits, Refused, unload};
pub use findings::{Finding, Findings, Standing};
pub use flow::{Counters, Flow, Key, Route, Source, tag};
pub use frames::{FrameCount, FrameLosses, FrameSocket};
pub use given_ports::GivenPorts;
pub use instance::{Instance, InstanceError};
pub use ip_header::IpHeader;
pub use netlink::{Link, Mac, Place, RouteError};
pub use next_hops::{NextHop, NextHops};
pub use status::{Explanation, Status, StatusError, UpCount};
pub use steering::{FramesAt, Hearer, SteerError, Steering};
pub use tables::{Passed, age};
pub use up::Up;
