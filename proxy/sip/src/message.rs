//! One message: its octets and an index of where its headers are.

mod essentials;
mod salvage;
mod scan;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};

pub use self::essentials::{Essentials, EssentialsError};
pub use self::salvage::Salvage;
pub(crate) use self::scan::{Line, Scan, Span, StartLine, scan};
pub use self::values::{Header, Headers, Values};
use crate::text::{offset_in, trim};
use crate::{HeaderName, Limits, Method, NameRef, ParseError, ParseErrorKind, StatusCode, Uri, UriError};

/// A SIP message as it was received, with an index of its headers.
///
/// Nothing is decoded until it is asked for, and nothing is ever re-encoded: what [`Edit`](crate::Edit) does not touch
/// leaves octet for octet as it came. A clone costs two reference counts. The index is the one allocation of a parse.
#[derive(Clone)]
pub struct Message {
    octets: Bytes,
    index: Index,
}

/// Where the parts of a message are.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    start: StartLine,
    lines: Arc<[Line]>,
    /// The known names among them, one bit for each: most of what is asked for is not there.
    names: u128,
    /// Where the body begins: after the empty line.
    body: usize,
}

/// A start line taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'m> {
    /// `INVITE sip:bob@example.com SIP/2.0`
    Request {
        /// The method, never judged: any token.
        method: Method<'m>,
        /// The Request-URI as written; see [`Message::request_uri`].
        uri: &'m str,
    },
    /// `SIP/2.0 200 OK`
    Response {
        /// 100 to 699.
        status: StatusCode,
        /// Any octets, often none.
        reason: &'m [u8],
    },
}

impl Message {
    /// Reads one datagram (RFC 3261 section 18.3). Octets after Content-Length are dropped, without Content-Length the
    /// body goes to the end. Line ends before the start line are skipped; a datagram of nothing else is
    /// [`Empty`](ParseErrorKind::Empty), see [`KeepAlive`](crate::KeepAlive).
    pub fn parse_datagram(datagram: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        let (mut octets, scan) = Self::scan_whole(datagram, limits, limits.datagram_octets_max)?;
        let present = octets.len() - scan.index.body;
        if let Some(declared) = scan.content_length {
            if declared > present as u64 {
                let kind = ParseErrorKind::BodyTruncated { declared, present };
                return Err(ParseError::new(kind, &octets, limits));
            }
            octets.truncate(scan.index.body + declared as usize);
        }
        Ok(Self::new(octets, scan.index))
    }

    /// Reads one WebSocket message (RFC 7118 section 5). Content-Length may be missing; when it is there it must be
    /// right, but for line ends after the body.
    pub fn parse_frame(frame: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        let (mut octets, scan) = Self::scan_whole(frame, limits, limits.frame_octets_max)?;
        let present = octets.len() - scan.index.body;
        if let Some(declared) = scan.content_length {
            if declared > present as u64 {
                let kind = ParseErrorKind::BodyTruncated { declared, present };
                return Err(ParseError::new(kind, &octets, limits));
            }
            let end = scan.index.body + declared as usize;
            if !octets[end..].iter().all(|&byte| byte == b'\r' || byte == b'\n') {
                let kind = ParseErrorKind::TrailingOctets {
                    count: octets.len() - end,
                };
                return Err(ParseError::new(kind, &octets, limits));
            }
            octets.truncate(end);
        }
        Ok(Self::new(octets, scan.index))
    }

    /// `octets` is exactly one message and `index` was made from it.
    pub(crate) fn new(octets: Bytes, index: Index) -> Self {
        Self { octets, index }
    }

    fn scan_whole(
        mut octets: Bytes,
        limits: &Limits,
        octets_max: usize,
    ) -> Result<(Bytes, Scan), ParseError> {
        let line_ends = octets
            .iter()
            .take_while(|&&byte| byte == b'\r' || byte == b'\n')
            .count();
        octets.advance(line_ends);
        let scanned = if octets.is_empty() {
            Err(ParseErrorKind::Empty)
        } else if octets.len() > octets_max {
            Err(ParseErrorKind::MessageTooLarge { limit: octets_max })
        } else {
            scan(&octets, limits)
        };
        match scanned {
            Ok(scan) => Ok((octets, scan)),
            Err(kind) => Err(ParseError::new(kind, &octets, limits)),
        }
    }

    /// The octets of the message, exactly as received.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The start line.
    pub fn start(&self) -> Start<'_> {
        match self.index.start {
            StartLine::Request { method, uri } => Start::Request {
                method: Method::from_ascii(self.at(method)),
                uri: self.uri_text(uri),
            },
            StartLine::Response { status, reason } => Start::Response {
                status,
                reason: self.at(reason),
            },
        }
    }

    /// True for a request.
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, StartLine::Request { .. })
    }

    /// The method of the start line. `None` for a response, whose method stands in CSeq.
    pub fn method(&self) -> Option<Method<'_>> {
        match self.index.start {
            StartLine::Request { method, .. } => Some(Method::from_ascii(self.at(method))),
            StartLine::Response { .. } => None,
        }
    }

    /// The response code. `None` for a request.
    pub fn status(&self) -> Option<StatusCode> {
        match self.index.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The Request-URI as written. `None` for a response.
    pub fn request_uri_text(&self) -> Option<&str> {
        match self.index.start {
            StartLine::Request { uri, .. } => Some(self.uri_text(uri)),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI taken apart. `None` for a response; an error deserves a 400, an unknown
    /// [`scheme`](Uri::scheme) a 416.
    pub fn request_uri(&self) -> Option<Result<Uri<'_>, UriError>> {
        self.request_uri_text().map(Uri::parse_checked)
    }

    /// The header lines in order.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Header<'_>> + Clone {
        (0..self.index.lines.len()).map(|index| Header::new(self, index))
    }

    /// The lines of one header, in order.
    pub fn headers<'m, 'n>(&'m self, name: impl Into<NameRef<'n>>) -> Headers<'m, 'n> {
        Headers::new(self, name.into())
    }

    /// The value of the first line of a header: folds and all, without blanks at its ends.
    pub fn header<'n>(&self, name: impl Into<NameRef<'n>>) -> Option<&[u8]> {
        self.headers(name).next().map(|header| header.value())
    }

    /// As [`header`](Self::header), `None` also when the value is not UTF-8.
    pub fn text<'n>(&self, name: impl Into<NameRef<'n>>) -> Option<&str> {
        self.header(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// True when there is a line of this header.
    pub fn has<'n>(&self, name: impl Into<NameRef<'n>>) -> bool {
        self.headers(name).next().is_some()
    }

    /// The values of a header over all its lines: the elements of comma lists, the whole lines of any other header.
    pub fn values<'m, 'n>(&'m self, name: impl Into<NameRef<'n>>) -> Values<'m, 'n> {
        Values::new(self, name.into())
    }

    /// True when one of the header's values is `token`, any case: option tags in Supported, methods in Allow.
    pub fn has_token<'n>(&self, name: impl Into<NameRef<'n>>, token: &str) -> bool {
        self.values(name)
            .any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.octets[self.index.body..]
    }

    /// The body, sharing the message's memory.
    pub fn body_bytes(&self) -> Bytes {
        self.octets.slice(self.index.body..)
    }

    /// A piece of this message (a value, a URI …) as octets that outlive the borrow, sharing the message's memory.
    /// Octets from elsewhere are copied.
    pub fn share(&self, piece: &[u8]) -> Bytes {
        match offset_in(&self.octets, piece) {
            Some(offset) => self.octets.slice(offset..offset + piece.len()),
            None => Bytes::copy_from_slice(piece),
        }
    }

    pub(crate) fn line(&self, index: usize) -> &Line {
        &self.index.lines[index]
    }

    /// Indices of the lines of one header.
    pub(crate) fn line_indices(&self, name: NameRef<'_>) -> impl Iterator<Item = usize> {
        (0..self.index.lines.len()).filter(move |&index| self.is_named(index, name))
    }

    /// A whole line with its CRLF.
    pub(crate) fn line_range(&self, index: usize) -> Range<usize> {
        let end = self
            .index
            .lines
            .get(index + 1)
            .map_or(self.headers_end(), |next| next.start as usize);
        self.index.lines[index].start as usize..end
    }

    /// Where the first header line begins, or the empty line if there is none.
    pub(crate) fn headers_start(&self) -> usize {
        self.index
            .lines
            .first()
            .map_or(self.headers_end(), |line| line.start as usize)
    }

    /// Where the empty line begins.
    pub(crate) fn headers_end(&self) -> usize {
        self.index.body - 2
    }

    pub(crate) fn at(&self, span: Span) -> &[u8] {
        &self.octets[span.range()]
    }

    fn is_named(&self, index: usize, name: NameRef<'_>) -> bool {
        let line = self.line(index);
        match name {
            NameRef::Known(known) => line.name == Some(known),
            NameRef::Other(text) => {
                line.name.is_none() && self.at(line.name_span()).eq_ignore_ascii_case(text.as_bytes())
            }
        }
    }

    fn uri_text(&self, span: Span) -> &str {
        #[expect(
            clippy::expect_used,
            reason = "the scan refuses a Request-URI that is not UTF-8"
        )]
        std::str::from_utf8(self.at(span)).expect("the scan checked the Request-URI")
    }
}

impl ParseError {
    pub(crate) fn new(kind: ParseErrorKind, octets: &Bytes, limits: &Limits) -> Self {
        Self {
            kind,
            salvage: Salvage::from_octets(octets, limits).map(Box::new),
        }
    }
}

/// Equal when the octets are.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Message {}

/// The start line alone: messages carry secrets and personal data.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call_id = self.header(HeaderName::CallId).unwrap_or_default();
        let mut debug = f.debug_struct("Message");
        match self.start() {
            Start::Request { method, uri } => debug.field("method", &method.as_str()).field("uri", &uri),
            Start::Response { status, reason } => debug
                .field("status", &status.get())
                .field("reason", &String::from_utf8_lossy(reason)),
        };
        debug
            .field("call_id", &String::from_utf8_lossy(trim(call_id)))
            .field("octets", &self.octets.len())
            .finish_non_exhaustive()
    }
}
