//! What can be read of a request that is not a message, so that it gets an answer all the same.

use std::sync::Arc;

use bytes::Bytes;

use super::scan::{Line, StartLine, header_line, span};
use super::{Index, Message};
use crate::text::is_token;
use crate::{CSeq, HeaderName, Limits, Method, ParseErrorKind, Via};

/// The lines of a faulty request that its answer must repeat: Via, From, To, Call-ID and CSeq, each as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage(Message);

/// The headers that an answer repeats (RFC 3261 section 8.2.6.2).
const NEEDED: [HeaderName; 5] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
];

impl Salvage {
    /// The top Via, if it can be read: where the answer has to go when it cannot go back on a connection.
    pub fn top_via(&self) -> Option<Via<'_>> {
        self.0.top_via()?.ok()
    }

    /// The Call-ID as received.
    pub fn call_id(&self) -> &[u8] {
        self.0.header(HeaderName::CallId).unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &Message {
        &self.0
    }

    /// Looks for the lines that an answer needs, past everything that cannot be read. `None` when one is missing, and
    /// for what must not be answered: responses and ACK.
    pub(crate) fn from_octets(octets: &Bytes, limits: &Limits) -> Option<Self> {
        let octets = octets.slice(..octets.len().min(limits.head_octets_max).min(u32::MAX as usize));
        let head = &octets[..];
        if head
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
        {
            return None;
        }
        let method = head.iter().take_while(|&&byte| is_token(byte)).count();
        let mut at = memchr::memchr(b'\n', head)? + 1;
        let mut lines: Vec<Line> = Vec::new();
        while at < head.len() && !head[at..].starts_with(b"\r\n") {
            match header_line(head, at) {
                Ok(Some((line, end))) => {
                    let needed = line.name.is_some_and(|name| NEEDED.contains(&name));
                    if needed && lines.len() < limits.headers_max {
                        lines.push(line);
                    }
                    at = end;
                }
                Ok(None) => break,
                Err(ParseErrorKind::LoneLineBreak | ParseErrorKind::BadHeaderLine) => {
                    at += memchr::memchr(b'\n', &head[at..])? + 1;
                }
                Err(_) => return None,
            }
        }
        let start = StartLine::Request {
            method: span(0, method),
            uri: span(method, method),
        };
        let names = lines.iter().filter_map(|line| line.name).map(HeaderName::bit);
        let index = Index {
            start,
            names: names.fold(0, |all, bit| all | bit),
            lines: Arc::from(lines),
            body: at,
        };
        let salvage = Self(Message::new(octets.clone(), index));
        (salvage.has_all_needed() && !salvage.is_ack()).then_some(salvage)
    }

    fn has_all_needed(&self) -> bool {
        NEEDED
            .into_iter()
            .all(|name| self.0.header(name).is_some_and(|value| !value.is_empty()))
    }

    fn is_ack(&self) -> bool {
        let cseq = self
            .0
            .header(HeaderName::CSeq)
            .and_then(|value| CSeq::parse(value).ok());
        self.0.method() == Some(Method::Ack) || cseq.is_some_and(|cseq| cseq.method == Method::Ack)
    }
}
