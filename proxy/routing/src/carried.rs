//! What a proxy changes in messages that reach a trunk: a trunk is spoken to in its own numbers, names and CSeq.

use std::sync::Arc;

use viaduct_sip::{Edit, HeaderName, Message, Method, NameAddr};
use viaduct_trunk::{Channel, CseqMap, FailPolicy, HeaderEdit, Line};

use crate::call::address_without_tag;

/// A trunk as the target of one request.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) line: Line,
    /// The user who calls.
    pub(crate) user: Option<Arc<str>>,
    /// When the next trunk is tried.
    pub(crate) policy: FailPolicy,
    /// No limit holds it up.
    pub(crate) emergency: bool,
    /// Who is said to call, and what else is different in requests to it.
    pub(crate) headers: Vec<HeaderEdit>,
    /// From on the trunk's side, without its tag. `None` leaves it as it is.
    pub(crate) from: Option<String>,
    /// To on the trunk's side, without its tag. `None` leaves it as it is.
    pub(crate) to: Option<String>,
}

/// A side of a call that is a trunk.
#[derive(Debug)]
pub(crate) struct TrunkSide {
    pub(crate) carrier: Arc<Carrier>,
    /// The numbers of requests that this side receives.
    pub(crate) cseq: CseqMap,
    /// Its place on the trunk, for as long as the side exists.
    _channel: Option<Channel>,
}

impl Carrier {
    /// A trunk that calls: numbers and names are its own.
    pub(crate) fn of_caller(line: Line) -> Self {
        Self {
            headers: line.trunk().request_edits().collect(),
            line,
            user: None,
            policy: FailPolicy::default(),
            emergency: false,
            from: None,
            to: None,
        }
    }
}

impl TrunkSide {
    pub(crate) fn new(carrier: Arc<Carrier>, channel: Option<Channel>) -> Self {
        Self {
            carrier,
            cseq: CseqMap::new(),
            _channel: channel,
        }
    }
}

/// The headers of a request in which the two sides of a dialog differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    /// Another CSeq number.
    pub(crate) cseq: Option<u32>,
    /// Another INVITE in RAck (RFC 3262 section 7.2).
    pub(crate) rack: Option<u32>,
    /// Another From, without its tag.
    pub(crate) from: Option<String>,
    /// Another To, without its tag.
    pub(crate) to: Option<String>,
}

impl Mask {
    /// True when both sides see the same.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts it onto a request.
    pub(crate) fn apply(&self, request: &Message, edit: &mut Edit<'_>) {
        if let (Some(number), Some(method)) = (self.cseq, request.method()) {
            edit.set(HeaderName::CSeq, format!("{number} {}", method.as_str()));
        }
        if let (Some(number), Some((rseq, _))) = (self.rack, rack(request)) {
            edit.set(HeaderName::RAck, format!("{rseq} {number} INVITE"));
        }
        for (name, address) in [(HeaderName::From, &self.from), (HeaderName::To, &self.to)] {
            if let Some(address) = address {
                edit.set(name, tagged(address, request.header(name).unwrap_or_default()));
            }
        }
    }

    /// Takes it off an answer: the sender sees what it wrote.
    pub(crate) fn remove(request: &Message, answer: &Message, edit: &mut Edit<'_>) {
        for name in [HeaderName::CSeq, HeaderName::From] {
            copy(request, name, edit);
        }
        let (Some(Ok(asked)), Some(Ok(answered))) = (request.to(), answer.to()) else {
            return;
        };
        // To gets its tag from the answer, unless the dialog has one already.
        if asked.tag().is_some() {
            copy(request, HeaderName::To, edit);
        } else if asked.uri_octets() != answered.uri_octets() {
            let address = address_without_tag(request.header(HeaderName::To).unwrap_or_default());
            let tag = answer.header(HeaderName::To).unwrap_or_default();
            edit.set(HeaderName::To, tagged(&address, tag));
        }
    }
}

/// The number of a provisional answer and of its INVITE that a PRACK is for.
pub(crate) fn rack(request: &Message) -> Option<(u32, u32)> {
    if request.method() != Some(Method::Prack) {
        return None;
    }
    let mut words = request.text(HeaderName::RAck)?.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn copy(request: &Message, name: HeaderName, edit: &mut Edit<'_>) {
    if let Some(header) = request.headers(name).next() {
        edit.set(name, header.unfolded());
    }
}

/// An address with the tag of the value that it replaces.
fn tagged(address: &str, value: &[u8]) -> String {
    match NameAddr::parse(value).ok().and_then(|addr| addr.tag()) {
        Some(tag) => format!("{address};tag={tag}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::parse;

    fn prack() -> Message {
        parse(
            b"PRACK sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A\" <sip:a@h>;tag=1\r\n\
              To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 8 PRACK\r\nRAck: 776656 7 INVITE\r\n\r\n",
        )
    }

    #[test]
    fn a_masked_request_differs_in_what_the_mask_names_and_an_answer_comes_back_as_asked() {
        let request = prack();
        let mask = Mask {
            cseq: Some(9),
            rack: Some(8),
            from: Some("<sip:+4930@carrier.example>".to_owned()),
            to: None,
        };
        let mut edit = Edit::new(&request);
        mask.apply(&request, &mut edit);
        let masked = parse(&edit.finish().unwrap());
        assert_eq!(masked.text(HeaderName::CSeq), Some("9 PRACK"));
        assert_eq!(masked.text(HeaderName::RAck), Some("776656 8 INVITE"));
        assert_eq!(
            masked.text(HeaderName::From),
            Some("<sip:+4930@carrier.example>;tag=1")
        );
        assert_eq!(masked.text(HeaderName::To), Some("<sip:b@h>;tag=2"));
        let answer = parse(
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:+4930@carrier.example>;tag=1\r\n\
              To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 9 PRACK\r\n\r\n",
        );
        let mut edit = Edit::new(&answer);
        Mask::remove(&request, &answer, &mut edit);
        let answer = parse(&edit.finish().unwrap());
        assert_eq!(answer.text(HeaderName::CSeq), Some("8 PRACK"));
        assert_eq!(answer.text(HeaderName::From), Some("\"A\" <sip:a@h>;tag=1"));
    }

    #[test]
    fn an_empty_mask_changes_no_octet() {
        let request = prack();
        let mut edit = Edit::new(&request);
        assert!(Mask::default().is_empty());
        Mask::default().apply(&request, &mut edit);
        assert_eq!(edit.finish().unwrap(), *request.octets());
        assert_eq!(rack(&request), Some((776_656, 7)));
    }
}
