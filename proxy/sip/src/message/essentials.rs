use super::Message;
use crate::list::Elements;
use crate::text::{ascii, decimal, is_all_graphic, is_whole_token};
use crate::{CSeq, HeaderName, Method, NameAddr, StatusCode, ValueError, Via};

/// What every element needs of a message, checked (RFC 3261 sections 8.1.1 and 16.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Essentials<'m> {
    /// The top Via.
    pub via: Via<'m>,
    /// From.
    pub from: NameAddr<'m>,
    /// To.
    pub to: NameAddr<'m>,
    /// The From tag. `None` from peers of RFC 2543.
    pub from_tag: Option<&'m str>,
    /// The To tag: present inside a dialog and in most responses.
    pub to_tag: Option<&'m str>,
    /// The Call-ID.
    pub call_id: &'m str,
    /// The CSeq; in a request its method equals that of the start line.
    pub cseq: CSeq<'m>,
    /// Max-Forwards, 0 to 255. `None` when absent.
    pub max_forwards: Option<u8>,
}

/// Why a message cannot be processed. A request deserves a 400, a response is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EssentialsError {
    /// A header that every message has is not there.
    #[error("{0} Missing")]
    Missing(HeaderName),
    /// A header's value cannot be read.
    #[error("Bad {name}: {error}")]
    Bad {
        /// The header.
        name: HeaderName,
        /// Its fault.
        error: ValueError,
    },
    /// CSeq and start line name different methods (RFC 4475 sections 3.1.2.17 and 3.1.2.18).
    #[error("CSeq Method Differs From Request")]
    MethodMismatch,
}

impl EssentialsError {
    /// The answer to a request with this fault: 400.
    pub fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }

    /// A short stable word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing(_) => "header_missing",
            Self::Bad { .. } => "header_unreadable",
            Self::MethodMismatch => "method_mismatch",
        }
    }
}

impl Message {
    /// Checks what every element needs. Nothing else in the message is judged: a bad header that nobody here reads must
    /// not stop a call.
    pub fn essentials(&self) -> Result<Essentials<'_>, EssentialsError> {
        let values = self.essential_values();
        let value = |slot: Slot| values[slot as usize].ok_or(EssentialsError::Missing(slot.name()));
        let via = Elements::new(value(Slot::Via)?)
            .next()
            .ok_or(ValueError::Empty)
            .and_then(Via::parse);
        let via = Slot::Via.check(via)?;
        let (from, from_tag) = Slot::From.check(tagged(value(Slot::From)?))?;
        let (to, to_tag) = Slot::To.check(tagged(value(Slot::To)?))?;
        let call_id = Slot::CallId.check(call_id(value(Slot::CallId)?))?;
        let cseq = Slot::CSeq.check(CSeq::parse(value(Slot::CSeq)?))?;
        if self
            .method()
            .is_some_and(|method: Method<'_>| method != cseq.method)
        {
            return Err(EssentialsError::MethodMismatch);
        }
        let max_forwards = values[Slot::MaxForwards as usize].map(max_forwards).transpose();
        let max_forwards = Slot::MaxForwards.check(max_forwards)?;
        Ok(Essentials {
            via,
            from,
            to,
            from_tag,
            to_tag,
            call_id,
            cseq,
            max_forwards,
        })
    }

    /// The first value of each essential header, found in one walk.
    fn essential_values(&self) -> [Option<&[u8]>; SLOTS] {
        let mut values = [None; SLOTS];
        for line in self.index.lines.iter() {
            let slot = match line.name {
                Some(HeaderName::Via) => Slot::Via,
                Some(HeaderName::From) => Slot::From,
                Some(HeaderName::To) => Slot::To,
                Some(HeaderName::CallId) => Slot::CallId,
                Some(HeaderName::CSeq) => Slot::CSeq,
                Some(HeaderName::MaxForwards) => Slot::MaxForwards,
                _ => continue,
            };
            values[slot as usize].get_or_insert(self.at(line.value));
        }
        values
    }
}

const SLOTS: usize = 6;

#[derive(Clone, Copy)]
enum Slot {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
}

impl Slot {
    fn name(self) -> HeaderName {
        match self {
            Self::Via => HeaderName::Via,
            Self::From => HeaderName::From,
            Self::To => HeaderName::To,
            Self::CallId => HeaderName::CallId,
            Self::CSeq => HeaderName::CSeq,
            Self::MaxForwards => HeaderName::MaxForwards,
        }
    }

    fn check<T>(self, value: Result<T, ValueError>) -> Result<T, EssentialsError> {
        value.map_err(|error| EssentialsError::Bad {
            name: self.name(),
            error,
        })
    }
}

/// A From or To value and its tag. An empty one counts as none.
fn tagged(value: &[u8]) -> Result<(NameAddr<'_>, Option<&str>), ValueError> {
    let (addr, tag) = NameAddr::parse_with_tag(value)?;
    match tag.and_then(|tag| tag.raw) {
        None | Some(b"") => Ok((addr, None)),
        Some(tag) if is_whole_token(tag) => Ok((addr, Some(ascii(tag)))),
        Some(_) => Err(ValueError::BadToken),
    }
}

/// `word` is printable ASCII without a few characters; peers use the few as well.
pub(super) fn call_id(value: &[u8]) -> Result<&str, ValueError> {
    if value.is_empty() || !is_all_graphic(value) {
        return Err(ValueError::BadCallId);
    }
    Ok(ascii(value))
}

pub(super) fn max_forwards(value: &[u8]) -> Result<u8, ValueError> {
    decimal(value)
        .and_then(|hops| u8::try_from(hops).ok())
        .ok_or(ValueError::BadNumber)
}
