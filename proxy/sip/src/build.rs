//! Messages made from nothing or from other messages.

mod request;
mod response;

use bytes::Bytes;

pub use self::request::RequestBuilder;
pub use self::response::{ResponseBuilder, stateless_tag};
use crate::number::push_decimal;
use crate::text::is_whole_token;
use crate::{HeaderName, NameRef};

/// Why a message cannot be made as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The message that this one is made from is no request.
    #[error("not a request")]
    NotARequest,
    /// A header that the message needs is not there.
    #[error("{0} missing")]
    Missing(HeaderName),
    /// A Request-URI with characters that no URI has, or none.
    #[error("bad Request-URI")]
    BadRequestUri,
    /// A header name, method or tag that is no token.
    #[error("bad token")]
    BadToken,
    /// A value with CR or LF: it would become a header of its own.
    #[error("line break in a value")]
    LineBreak,
    /// A message it is made from has a value that cannot be read.
    #[error("bad {0}")]
    Bad(HeaderName),
}

/// Room for the header lines that a message usually gets, so that collecting them allocates once.
const LINES_OCTETS: usize = 384;

/// Header lines being written. The first fault is kept until the end.
#[derive(Debug, Clone, Default)]
struct Writer {
    octets: Vec<u8>,
    fault: Option<BuildError>,
}

impl Writer {
    fn with_capacity(octets: usize) -> Self {
        Self {
            octets: Vec::with_capacity(octets),
            fault: None,
        }
    }

    fn fail(&mut self, fault: BuildError) {
        self.fault.get_or_insert(fault);
    }

    /// Text from the caller: no line break may pass.
    fn text(&mut self, text: &[u8]) {
        if memchr::memchr2(b'\r', b'\n', text).is_some() {
            self.fail(BuildError::LineBreak);
        }
        self.octets.extend_from_slice(text);
    }

    /// Text of ours.
    fn number(&mut self, number: u64) {
        push_decimal(&mut self.octets, number);
    }

    fn line(&mut self, name: NameRef<'_>, value: &[u8]) {
        let text = name.as_str().as_bytes();
        if matches!(name, NameRef::Other(_)) && !is_whole_token(text) {
            self.fail(BuildError::BadToken);
        }
        if self.octets.capacity() == 0 {
            self.octets.reserve(LINES_OCTETS);
        }
        self.octets.extend_from_slice(text);
        self.octets.extend_from_slice(b": ");
        self.text(value);
        self.end_line();
    }

    /// A value received from elsewhere, folds and all.
    fn received_line(&mut self, name: HeaderName, value: &[u8]) {
        self.received_line_with(name, value, &[]);
    }

    /// A received value and something of ours behind it, in pieces.
    fn received_line_with(&mut self, name: HeaderName, value: &[u8], more: &[&[u8]]) {
        self.octets.extend_from_slice(name.as_str().as_bytes());
        self.octets.extend_from_slice(b": ");
        self.octets.extend_from_slice(value);
        for piece in more {
            self.octets.extend_from_slice(piece);
        }
        self.end_line();
    }

    fn end_line(&mut self) {
        self.octets.extend_from_slice(b"\r\n");
    }

    /// The headers of the body, the empty line and the body.
    fn finish(mut self, body: Option<&Body>) -> Result<Bytes, BuildError> {
        if let Some(body) = body {
            self.line(HeaderName::ContentType.into(), body.content_type.as_bytes());
        }
        let octets = body.map_or(&[][..], |body| &body.octets);
        self.octets
            .extend_from_slice(HeaderName::ContentLength.as_str().as_bytes());
        self.octets.extend_from_slice(b": ");
        self.number(octets.len() as u64);
        self.octets.extend_from_slice(b"\r\n\r\n");
        self.octets.extend_from_slice(octets);
        match self.fault {
            None => Ok(Bytes::from(self.octets)),
            Some(fault) => Err(fault),
        }
    }
}

#[derive(Debug, Clone)]
struct Body {
    content_type: String,
    octets: Bytes,
}
