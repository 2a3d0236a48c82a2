//! Fuzz targets for everything that reads octets of strangers.
//!
//! A target is one plain function that takes any octets and panics when a law does not hold: what is read prints as it
//! was read, lengths stay within bounds, whoever has no key changes nothing. `cargo test` replays the seeds in `corpus/`
//! and fixed mutations of them; `libfuzzer/` is a workspace of its own whose programs call the same functions.
//!
//! It refuses to be random (every run does the same), to write files, and to open sockets.
//!
//! **Contract: a target returns for every input, or what it reads from breaks a promise.**
//!
//! ```
//! use viaduct_fuzz::{Mutator, TARGETS, sip};
//!
//! sip(b"BYE sip:bob@example.com SIP/2.0\r\nCall-ID: 1\r\n\r\n");
//! let target = TARGETS.iter().find(|target| target.name == "stun").unwrap();
//! let seeds = [b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve octets".to_vec()];
//! let mut mutator = Mutator::new(1);
//! for _ in 0..100 {
//!     (target.run)(&mutator.mutate(&seeds[0], &seeds));
//! }
//! ```
//!
//! A finding goes into the corpus under a name that says what was wrong, before what it is in is mended.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a law that does not hold is told by a panic"
)]

mod clip;
mod digest;
mod dns;
mod dtls;
mod frame;
mod janus;
mod mutator;
mod ng;
mod proxies;
mod proxy;
mod relay;
mod rtp;
mod sdp;
mod services;
mod sip;
mod srtp;
mod stun;
mod udptl;
mod worker;
mod ws_frames;
mod ws_handshake;

pub use clip::clip;
pub use digest::digest;
pub use dns::dns;
pub use dtls::dtls;
pub use frame::frame;
pub use janus::janus;
pub use mutator::Mutator;
pub use ng::{bencode, flags, json};
pub use proxies::proxies;
pub use proxy::proxy;
pub use relay::relay;
pub use rtp::rtp;
pub use sdp::sdp;
pub use services::{hook_answer, user_answer};
pub use sip::sip;
pub use srtp::srtp;
pub use stun::stun;
pub use udptl::udptl;
pub use worker::worker;
pub use ws_frames::ws_frames;
pub use ws_handshake::ws_handshake;

/// A function to be fuzzed, and where its seeds are.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of the function, of its folder in `corpus/`, and of its program in `libfuzzer/`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 23] = [
    Target {
        name: "bencode",
        run: bencode,
    },
    Target {
        name: "clip",
        run: clip,
    },
    Target {
        name: "digest",
        run: digest,
    },
    Target {
        name: "dns",
        run: dns,
    },
    Target {
        name: "dtls",
        run: dtls,
    },
    Target {
        name: "flags",
        run: flags,
    },
    Target {
        name: "frame",
        run: frame,
    },
    Target {
        name: "hook_answer",
        run: hook_answer,
    },
    Target {
        name: "janus",
        run: janus,
    },
    Target {
        name: "json",
        run: json,
    },
    Target {
        name: "proxies",
        run: proxies,
    },
    Target {
        name: "proxy",
        run: proxy,
    },
    Target {
        name: "relay",
        run: relay,
    },
    Target {
        name: "rtp",
        run: rtp,
    },
    Target {
        name: "sdp",
        run: sdp,
    },
    Target {
        name: "sip",
        run: sip,
    },
    Target {
        name: "srtp",
        run: srtp,
    },
    Target {
        name: "stun",
        run: stun,
    },
    Target {
        name: "udptl",
        run: udptl,
    },
    Target {
        name: "user_answer",
        run: user_answer,
    },
    Target {
        name: "worker",
        run: worker,
    },
    Target {
        name: "ws_frames",
        run: ws_frames,
    },
    Target {
        name: "ws_handshake",
        run: ws_handshake,
    },
];
