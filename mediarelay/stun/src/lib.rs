//! STUN messages (RFC 8489) and the ICE-lite responder (RFC 8445): octets in, octets out.
//!
//! The parser borrows the datagram, the writer fills the caller's buffer, and a binding request is answered without an
//! allocation: that is what a media worker does for every browser every few seconds.
//!
//! It refuses to keep ICE state (candidate pairs, nomination, consent timers), to speak TURN, to use long-term
//! credentials, and to do any I/O.
//!
//! **Contract: nothing here changes what it was given except the output buffer, and every answer is at most
//! [`GROWTH_MAX`](lite::GROWTH_MAX) octets longer than the request it answers.**
//!
//! ```
//! use viaduct_stun::{Class, IntegrityKey, MessageWriter, Method, TransactionId};
//! use viaduct_stun::lite::{self, LiteCredentials, Outcome};
//!
//! let here = LiteCredentials::new("evtj", "VOkJxbRl1RmTxUk/WvJxBt", None);
//! let mut request = [0; 128];
//! let mut message = MessageWriter::new(&mut request, Class::Request, Method::BINDING, TransactionId([7; 12]))?;
//! message.username("evtj:h6vY")?.priority(0x6e00_01ff)?.ice_controlling(42)?;
//! message.integrity(&IntegrityKey::short_term("VOkJxbRl1RmTxUk/WvJxBt"))?.fingerprint()?;
//! let request = message.finish();
//! let mut answer = [0; lite::RESPONSE_MAX];
//! let outcome = lite::respond(&here, request, "192.0.2.1:32853".parse().unwrap(), &mut answer);
//! assert!(matches!(outcome, Outcome::Response { result: Ok(check), .. } if check.remote_ufrag == "h6vY"));
//! # Ok::<(), viaduct_stun::WriteError>(())
//! ```

mod attribute;
mod fingerprint;
mod integrity;
pub mod lite;
mod message;
mod writer;

pub use attribute::{AttributeType, ErrorCode, RawAttribute, UnknownAttributes, ValueError};
pub use fingerprint::FingerprintError;
pub use integrity::{IntegrityError, IntegrityKey};
pub use message::{
    Attributes, Class, HEADER_LEN, MAGIC_COOKIE, Message, Method, ParseError, TransactionId, is_stun,
};
pub use writer::{MessageWriter, WriteError};
