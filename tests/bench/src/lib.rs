//! How much processor time, how much delay: our proxy and our relay beside Kamailio and rtpengine.
//!
//! One process, one thread: it starts a program as its user would, plays the phones (and, for proxies, the media relay)
//! over plain UDP sockets, and reads from `/proc` what the program used for it. Programs are measured in turn, A B A B …,
//! each run with a fresh one, and the median of the runs counts: what disturbs the machine disturbs everybody.
//!
//! What decides ([`sip`], [`media`]) is apart from what waits and sends ([`drive`]), so it can be tested without a socket.
//!
//! It refuses to run without bounds: every load has a duration, every operation a deadline, every wait a limit. It refuses
//! to judge: it prints figures.
//!
//! **Contract: an operation counts when it was seen to succeed at both ends; everything else is counted as what it was.**
//!
//! ```
//! use std::time::Duration;
//! use viaduct_bench::sample::{Latencies, Spread};
//!
//! let mut latencies = Latencies::default();
//! for millis in 1..=100 {
//!     latencies.add(Duration::from_millis(millis));
//! }
//! assert_eq!(latencies.percentile(99), Some(Duration::from_millis(99)));
//! assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).map(|spread| spread.median), Some(2.0));
//! ```

pub mod daemon;
pub mod disk;
pub mod drive;
pub mod gauges;
pub mod load;
pub mod media;
pub mod peers;
pub mod picture;
pub mod plan;
pub mod ramp;
pub mod report;
pub mod results;
pub mod sample;
pub mod sip;
pub mod soak;
pub mod street;
pub mod suite;
pub mod usage;
