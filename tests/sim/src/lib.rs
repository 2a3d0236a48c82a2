//! A world for call stories: one proxy, scripted browsers and phones, a relay that keeps books, and a clock that only
//! moves when told.
//!
//! A story reads like a ladder: [`World::send`] and friends make an end act, [`World::expect`] takes what it received
//! next. Nothing is asynchronous: when a call returns, everything that could happen at that instant has happened.
//!
//! ```
//! use viaduct_sim::World;
//!
//! let mut world = World::new();
//! let browser = world.browser("300");
//! let phone = world.phone("201");
//! world.register(browser);
//! world.register(phone);
//! let call = world.call(browser, "201", Some(viaduct_sim::BROWSER_OFFER));
//! let invite = world.expect(phone, "INVITE");
//! world.respond(phone, &invite, 180, None);
//! world.expect(browser, "180");
//! # let _ = call;
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of tests: an expectation that fails is a failed test"
)]

mod dialog;
mod end;
mod hook;
mod names;
mod relay;
mod sdp;
mod source;
mod world;

pub use self::dialog::Dialog;
pub use self::end::EndId;
pub use self::hook::Hook;
pub use self::names::Names;
pub use self::relay::{Asked, Mood, ScriptedRelay};
pub use self::sdp::{BROWSER_ANSWER, BROWSER_OFFER, PHONE_ANSWER, PHONE_OFFER, body_of, says};
pub use self::source::UserSource;
pub use self::world::{PASSWORD, World};
