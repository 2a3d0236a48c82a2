//! The relay's brain: offer/answer/delete, legs, ICE, DTLS-SRTP, endpoint learning. No I/O.

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

pub use clock::WallClock;
pub use config::{Config, DtlsVersion, Interface, InterfaceAddress, Limits};
pub use counters::{ClientCounters, Clients, Counters, Gauges, LimitCounters};
pub use dtls::{Certificate, CertificateError, DimplEngines, DtlsEngine, DtlsEngines, DtlsOutput};
pub use event::{DeleteReason, DtlsFailure, Event, IceFailure, MediaRef, What};
pub use output::Output;
pub use ports::{PortPair, PortPlan, PortUsage};
pub use relay::{CallSummary, Parts, Relay};
