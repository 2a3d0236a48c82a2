//! Routes as data and carriers: which rule takes a call, where it is sent, and what an outside program may decide.
//!
//! It refuses to know sockets, clocks, transactions and media: it says what should be tried, others try it.
//!
//! **The contract: plain values go in, plain values come out, and every answer says why.**
//!
//! ```
//! use viaduct_trunk::{Destination, HookDecision};
//!
//! let answer = br#"{ "action": "route", "send_to": ["trunk:acme"], "on_fail": [503, "timeout:4s"] }"#;
//! let HookDecision::Route(route) = HookDecision::from_json(answer)? else { panic!("no route") };
//! assert_eq!(route.send_to, [Destination::Trunk("acme".to_owned())]);
//! # Ok::<(), viaduct_trunk::HookError>(())
//! ```

mod destination;
pub mod hook;

pub use self::destination::{Destination, FailOn, Ring, Service, TextError};
pub use self::hook::{Changes, HookDecision, HookError, HookQuery, HookRoute, Rejection};
