//! SIP messages: parse, edit in place, print.
//!
//! A [`Message`] is the octets that were received and an index of where its headers are. Typed views ([`Via`],
//! [`NameAddr`], [`CSeq`], [`Uri`] …) are read from it on demand without copying. Changes are collected in an [`Edit`]
//! and applied in one pass. [`ResponseBuilder`] and [`RequestBuilder`] make new messages; [`digest`] authenticates.
//!
//! This crate refuses to do I/O, to allocate per header, to judge headers that nobody reads, and to touch octets that
//! were not edited: what another element signed stays signed.
//!
//! **Whatever octets come in, a parser answers with a message or a typed error: it never panics, never holds more than
//! its [`Limits`], and takes time linear in the octets.**
//!
//! ```
//! use viaduct_sip::{Edit, HeaderName, Limits, Message, Method};
//!
//! let datagram = "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
//!     From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let message = Message::parse_datagram(datagram.into(), &Limits::default())?;
//! assert_eq!(message.essentials()?.cseq.method, Method::Options);
//! let mut edit = Edit::new(&message);
//! edit.set_request_uri("sip:bob@192.0.2.7").set(HeaderName::MaxForwards, "69");
//! assert!(edit.finish()?.starts_with(b"OPTIONS sip:bob@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aor;
mod build;
mod cseq;
pub mod digest;
mod edit;
mod error;
mod header_name;
mod host;
mod item;
mod keep_alive;
mod limits;
mod list;
mod message;
mod method;
mod name_addr;
mod number;
mod param;
pub mod quoted;
mod status;
pub mod stream;
mod text;
pub mod token;
mod transport;
pub mod uri;
mod via;

pub use self::aor::Aor;
pub use self::build::{BuildError, RequestBuilder, ResponseBuilder, stateless_tag};
pub use self::cseq::{CSEQ_MAX, CSeq};
pub use self::edit::{Edit, EditError};
pub use self::error::{ParseError, ParseErrorKind, ValueError};
pub use self::header_name::{HeaderName, NameRef, Occurs};
pub use self::host::Host;
pub use self::item::{Item, MediaType};
pub use self::keep_alive::KeepAlive;
pub use self::limits::Limits;
pub use self::list::elements;
pub use self::message::{Essentials, EssentialsError, Header, Headers, Message, Salvage, Start, Values};
pub use self::method::Method;
pub use self::name_addr::{Contact, NameAddr};
pub use self::number::{delta_seconds, push_decimal, q_value};
pub use self::param::{Param, ParamIter, Params};
pub use self::status::{StatusCode, default_reason};
pub use self::stream::{Frame, Framer};
pub use self::transport::Transport;
pub use self::uri::{Scheme, Uri, UriError};
pub use self::via::{BRANCH_COOKIE, Via, ViaTransport};
