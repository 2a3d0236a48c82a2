//! Ways to walk through headers and their values.

use std::borrow::Cow;

use super::{Line, Message, essentials};
use crate::list::Elements;
use crate::text::{ascii, is_blank};
use crate::{
    CSeq, Contact, HeaderName, MediaType, NameAddr, NameRef, Occurs, ValueError, Via, delta_seconds,
};

/// One header line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'m> {
    message: &'m Message,
    index: usize,
}

impl<'m> Header<'m> {
    pub(super) fn new(message: &'m Message, index: usize) -> Self {
        Self { message, index }
    }

    /// Its place among the header lines, from 0. Identifies the line for [`Edit::remove_line`](crate::Edit::remove_line).
    pub fn index(&self) -> usize {
        self.index
    }

    /// The name: known, or as written.
    pub fn name(&self) -> NameRef<'m> {
        match self.line().name {
            Some(name) => NameRef::Known(name),
            None => NameRef::Other(self.name_text()),
        }
    }

    /// The name as written.
    pub fn name_text(&self) -> &'m str {
        ascii(self.message.at(self.line().name_span()))
    }

    /// The value without blanks at its ends, folds as received.
    pub fn value(&self) -> &'m [u8] {
        self.message.at(self.line().value)
    }

    /// The value on one line: each fold, with the blanks around it, becomes one space (RFC 3261 section 7.3.1).
    pub fn unfolded(&self) -> Cow<'m, [u8]> {
        let value = self.value();
        if memchr::memchr(b'\n', value).is_none() {
            return Cow::Borrowed(value);
        }
        let mut text = Vec::with_capacity(value.len());
        for piece in value.split(|&byte| byte == b'\n') {
            let start = piece
                .iter()
                .position(|&byte| !is_blank(byte))
                .unwrap_or(piece.len());
            let end = piece
                .iter()
                .rposition(|&byte| !is_blank(byte))
                .map_or(start, |last| last + 1);
            if !text.is_empty() && start < end {
                text.push(b' ');
            }
            text.extend_from_slice(&piece[start..end]);
        }
        Cow::Owned(text)
    }

    fn line(&self) -> &'m Line {
        self.message.line(self.index)
    }
}

/// The lines of one header. See [`Message::headers`].
#[derive(Debug, Clone)]
pub struct Headers<'m, 'n> {
    message: &'m Message,
    name: NameRef<'n>,
    next: usize,
}

impl<'m, 'n> Headers<'m, 'n> {
    pub(super) fn new(message: &'m Message, name: NameRef<'n>) -> Self {
        let next = match name {
            NameRef::Known(known) if message.index.names & known.bit() == 0 => message.index.lines.len(),
            _ => 0,
        };
        Self { message, name, next }
    }
}

impl<'m> Iterator for Headers<'m, '_> {
    type Item = Header<'m>;

    fn next(&mut self) -> Option<Header<'m>> {
        let lines = &self.message.index.lines;
        let found = match self.name {
            NameRef::Known(name) => {
                let left = lines.get(self.next..)?;
                self.next + left.iter().position(|line| line.name == Some(name))?
            }
            NameRef::Other(_) => {
                (self.next..lines.len()).find(|&index| self.message.is_named(index, self.name))?
            }
        };
        self.next = found + 1;
        Some(Header::new(self.message, found))
    }
}

/// The values of one header over all its lines. See [`Message::values`].
#[derive(Debug, Clone)]
pub struct Values<'m, 'n> {
    headers: Headers<'m, 'n>,
    elements: Elements<'m>,
}

impl<'m, 'n> Values<'m, 'n> {
    pub(super) fn new(message: &'m Message, name: NameRef<'n>) -> Self {
        Self {
            headers: Headers::new(message, name),
            elements: Elements::new(b""),
        }
    }
}

impl<'m> Iterator for Values<'m, '_> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        loop {
            if let Some(element) = self.elements.next() {
                return Some(element);
            }
            let value = self.headers.next()?.value();
            if self.headers.name.occurs() != Occurs::List {
                return Some(value);
            }
            self.elements = Elements::new(value);
        }
    }
}

/// Typed views of the headers that a proxy reads.
impl Message {
    /// The Vias from top to bottom.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ValueError>> {
        self.values(HeaderName::Via).map(Via::parse)
    }

    /// The top Via. `None` when there is none.
    pub fn top_via(&self) -> Option<Result<Via<'_>, ValueError>> {
        self.vias().next()
    }

    /// The values of an address header: Route, Record-Route, Path, P-Asserted-Identity and so on. For Contact, which
    /// may be `*`, see [`contacts`](Self::contacts).
    pub fn addrs(&self, name: HeaderName) -> impl Iterator<Item = Result<NameAddr<'_>, ValueError>> {
        self.values(name).map(NameAddr::parse)
    }

    /// The contacts in order.
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'_>, ValueError>> {
        self.values(HeaderName::Contact).map(Contact::parse)
    }

    /// From. `None` when absent.
    pub fn from(&self) -> Option<Result<NameAddr<'_>, ValueError>> {
        self.header(HeaderName::From).map(NameAddr::parse)
    }

    /// To. `None` when absent.
    pub fn to(&self) -> Option<Result<NameAddr<'_>, ValueError>> {
        self.header(HeaderName::To).map(NameAddr::parse)
    }

    /// Call-ID as received. `None` when absent or not of visible ASCII characters.
    pub fn call_id(&self) -> Option<&str> {
        self.header(HeaderName::CallId)
            .and_then(|value| essentials::call_id(value).ok())
    }

    /// CSeq. `None` when absent.
    pub fn cseq(&self) -> Option<Result<CSeq<'_>, ValueError>> {
        self.header(HeaderName::CSeq).map(CSeq::parse)
    }

    /// Max-Forwards, 0 to 255. `None` when absent.
    pub fn max_forwards(&self) -> Option<Result<u8, ValueError>> {
        self.header(HeaderName::MaxForwards).map(essentials::max_forwards)
    }

    /// Expires in seconds, cut to 2^32-1. `None` when absent or no number, which RFC 3261 section 10.3 treats alike.
    pub fn expires(&self) -> Option<u32> {
        self.header(HeaderName::Expires).and_then(delta_seconds)
    }

    /// Content-Type. `None` when absent.
    pub fn content_type(&self) -> Option<Result<MediaType<'_>, ValueError>> {
        self.header(HeaderName::ContentType).map(MediaType::parse)
    }
}
