//! Routes as data and carriers: which rule takes a call, which trunk carries it, what the trunk reads, and how it is
//! registered with and watched.
//!
//! It refuses to know sockets, transactions and media: it says what should be tried and what a message should say, others
//! try it and write it.
//!
//! **The contract: plain values and `now` go in, plain values come out, and every decision can say why.** The two state
//! machines, [`Probe`] and [`Registrant`], are drained after every `handle_*` call.
//!
//! ```
//! use viaduct_trunk::{Caller, From, NumberPlan, Routes, Rule};
//!
//! let plan = NumberPlan { country: Some("49".to_owned()), ..NumberPlan::default() };
//! let out = Rule { from: From::AnyUser, ..Rule::new("+*", "trunk:acme".parse()?) };
//! let routes = Routes::new(vec![out]);
//! let (index, rule) = routes.find(&plan.normalise("030 123456".replace(' ', "").as_str()), Caller::User("alice")).unwrap();
//! assert_eq!((index, rule.send_to[0].to_string().as_str()), (0, "trunk:acme"));
//! println!("{}", routes.explain(&plan, "030123456", Caller::Trunk("acme")));
//! # Ok::<(), viaduct_trunk::TextError>(())
//! ```

mod account;
mod cseq_map;
mod destination;
mod fail_policy;
mod header_edit;
pub mod hook;
mod identity;
mod network;
mod number;
mod pattern;
mod probe;
mod registrant;
mod route;
#[cfg(test)]
mod test;
mod trunk;
mod trunks;

pub use self::account::{Account, Asked, Unanswered};
pub use self::cseq_map::CseqMap;
pub use self::destination::{Destination, FailOn, Ring, Service, TextError};
pub use self::fail_policy::FailPolicy;
pub use self::header_edit::{HeaderEdit, HeaderKey};
pub use self::hook::{Changes, HookDecision, HookError, HookQuery, HookRoute, Rejection};
pub use self::identity::{CallerId, between_users, dialled, from_trunk};
pub use self::network::Network;
pub use self::number::{NumberFormat, NumberPlan, NumberRule, is_e164};
pub use self::pattern::Pattern;
pub use self::probe::{Probe, ProbeOutput};
pub use self::registrant::{RegisterRequest, Registrant, RegistrantOutput};
pub use self::route::{Caller, Checked, Explanation, From, Routes, Rule, Verdict};
pub use self::trunk::{MediaEncryption, Trunk, host_text};
pub use self::trunks::{Channel, Line, TrunkCounters, TrunkState, TrunkView, Trunks, Unusable};
