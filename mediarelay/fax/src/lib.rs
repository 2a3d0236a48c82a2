//! The fax half of a gateway between T.38 and the telephone: UDPTL packets on one side, a fax machine's audio on the other.
//!
//! [`Fax`] is all of it. [`parameters`] reads and writes what SDP says about T.38, [`udptl`] the packets, [`ifp`] looks at what
//! is in them, and [`spandsp`] has the modems: a library that is opened while the program runs, so that it is needed only by
//! those who carry fax.
//!
//! It refuses to open sockets, to read a clock, and to know codecs: audio is linear, 8,000 samples a second, and time passes with
//! [`Fax::tick`].
//!
//! ```no_run
//! use viaduct_fax::parameters::{Options, Parameters};
//! use viaduct_fax::spandsp::Library;
//! use viaduct_fax::Fax;
//!
//! let library = Library::load()?;
//! let offer = Parameters::read([("T38FaxVersion", Some("0"))].into_iter());
//! let answer = offer.answer();
//! let mut fax = Fax::new(&library, &answer.with(&offer), &Options::default())?;
//! // Every 20 ms:
//! fax.audio(&mut [0; 160]);
//! let mut audio = [0; 160];
//! fax.tick(&mut audio, &mut |datagram| println!("{datagram:x?}"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fax;
pub mod ifp;
pub mod parameters;
// The one part that is not safe Rust: spandsp is a library in C.
#[expect(unsafe_code, reason = "spandsp is a library in C")]
pub mod spandsp;
pub mod udptl;

pub use fax::{Counters, Fax, SAMPLES_PER_TICK};
