//! What one media worker does with one datagram.
//!
//! The control thread sends a [`Worker`] [`Command`]s: which sockets there are, which flows, which ICE credentials. The
//! shell hands it every datagram and does what the [`Verdict`] says: send these octets from that socket to that peer,
//! send them back, give them to control, or drop them for a named reason. What control must know comes out as
//! [`Report`]s.
//!
//! It refuses to open sockets, read clocks, log, allocate or wait per packet, and to decide: which endpoint a leg has,
//! which keys, which routes is all control's business. It never answers or learns from media that has not been
//! authenticated where there is a key, nor forwards it, unless the receiver has the same key and does that itself
//! ([`FlowRule::passes`]).
//!
//! **Contract: after every [`handle_command`](Worker::handle_command) and [`handle_datagram`](Worker::handle_datagram),
//! send what the verdict says, and drain [`poll_report`](Worker::poll_report) and [`poll_copy`](Worker::poll_copy) at least
//! once per batch.**
//!
//! ```
//! use viaduct_forward::{Command, FlowId, FlowKey, FlowRule, LegId, Limits, Out, PacketBuf, Route, Shared, SocketId};
//! use viaduct_forward::{Tick, Verdict, Worker};
//!
//! let mut worker = Worker::new(Limits::default(), Shared::default(), [1, 2]);
//! let [a, b] = ["192.0.2.1:30000", "192.0.2.1:30002"].map(|local| local.parse().unwrap());
//! let [alice, bob] = ["198.51.100.7:4000", "203.0.113.9:5000"].map(|remote| remote.parse().unwrap());
//! worker.handle_command(Tick::ZERO, Command::BindSocket { socket: SocketId(0), local: a })?;
//! worker.handle_command(Tick::ZERO, Command::BindSocket { socket: SocketId(1), local: b })?;
//! let out = Out { local: b, remote: bob };
//! let rule = FlowRule::new(FlowId(1), FlowKey { local: a, remote: alice }, LegId(1), vec![Route::to(out)]);
//! worker.handle_command(Tick::ZERO, Command::InstallFlow(rule))?;
//!
//! let mut buffer = PacketBuf::new();
//! buffer.fill(b"\x80\x00\x00\x01\0\0\0\xa0\xca\xfe\xba\xbehello");
//! let verdict = worker.handle_datagram(Tick::ZERO, SocketId(0), alice, &mut buffer);
//! assert_eq!(verdict, Verdict::Forward { out, via: SocketId(1) });
//! # Ok::<(), viaduct_forward::CommandError>(())
//! ```

mod address;
mod buffer;
mod command;
mod crypto;
mod drop_reason;
mod hash;
mod limits;
mod rule;
mod stats;
mod verdict;
mod worker;

pub use address::{CryptoId, FlowId, FlowKey, LegId, LocalAddr, Out, SocketId};
pub use buffer::{HEADROOM, PACKET_BUF_LEN, PacketBuf, RECEIVE_MAX, TAILROOM};
pub use command::{Command, CommandError};
pub use crypto::{CryptoCommand, CryptoDirection, CryptoError, CryptoLimits, CryptoTable, EmitError};
pub use drop_reason::DropReason;
pub use limits::{LISTENERS_MAX, Limits, ROUTES_MAX};
pub use rule::{
    Accept, BlockReason, ClockRate, Extensions, FlowRule, IceAgent, IcePassword, IceRule, KeyPress, Listener,
    MidSelector, PortMode, PortRule, Resume, Route, Select,
};
pub use stats::{
    Beside, BesideSource, FlowSnapshot, FlowStats, RouteSnapshot, Shared, Shift, SsrcSnapshot, StatsTable,
    TupleConsent, WorkerSnapshot, WorkerStats,
};
pub use verdict::{MediaKind, Report, TelephoneEvent, ToControl, Verdict};
pub use worker::Worker;

pub use viaduct_rtp::srtp::{SrtpKeyMaterial, SrtpLimits, SrtpProfile, SsrcIndices};
pub use viaduct_rtp::stats::Counters;
pub use viaduct_rtp::{Epoch, Tick};
pub use viaduct_stun::TransactionId;
