use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;

use super::{Body, BuildError, Writer};
use crate::edit::{source_params, via_param_splices};
use crate::list::Elements;
use crate::message::Salvage;
use crate::param::RawParam;
use crate::text::{is_whole_token, offset_in};
use crate::{HeaderName, Message, NameAddr, NameRef, StatusCode, Via};

/// Makes the response to a request (RFC 3261 section 8.2.6).
///
/// All Vias, From, To, Call-ID and CSeq are those of the request, octet for octet; Record-Route too where a dialog may
/// come of it, and Timestamp in a 100. A refusal leaves out From, To and Call-ID where the request has none: whoever sent
/// it recognises the answer by Via and CSeq (section 17.1.3).
#[derive(Debug, Clone)]
#[must_use]
pub struct ResponseBuilder<'m> {
    request: &'m Message,
    status: StatusCode,
    reason: Option<String>,
    to_tag: Option<String>,
    source: Option<SocketAddr>,
    record_route: bool,
    headers: Writer,
    body: Option<Body>,
}

impl<'m> ResponseBuilder<'m> {
    /// A response with the registered reason phrase and no body.
    pub fn new(request: &'m Message, status: StatusCode) -> Self {
        let makes_dialog = request.method().is_some_and(|method| method.makes_dialog());
        let is_dialog_status = (101..300).contains(&status.get());
        Self {
            request,
            status,
            reason: None,
            to_tag: None,
            source: None,
            record_route: makes_dialog && is_dialog_status,
            headers: Writer::default(),
            body: None,
        }
    }

    /// A response to a request that could not be parsed.
    pub fn from_salvage(salvage: &'m Salvage, status: StatusCode) -> Self {
        Self::new(salvage.message(), status)
    }

    /// Another reason phrase.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    /// The tag for To. Not used when the request has one, and not in a 100.
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.to_tag = Some(tag.to_owned());
        self
    }

    /// A tag for To that depends on nothing but the request and `key`, see [`stateless_tag`]: for who keeps no state, and
    /// must answer a request that comes again with the same tag (RFC 3261 section 8.2.7).
    pub fn stateless_to_tag(self, key: u64) -> Self {
        let tag = stateless_tag(self.request, key);
        self.to_tag(&tag)
    }

    /// Where the request came from: goes into the top Via as [`Edit::mark_source`](crate::Edit::mark_source) does it.
    /// For a request that was not marked when it was received.
    pub fn source(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Copies Record-Route, or not. The default is right for a user agent: in 101 to 299 to a method that makes dialogs.
    pub fn record_route(mut self, copied: bool) -> Self {
        self.record_route = copied;
        self
    }

    /// A further header.
    pub fn header<'n>(mut self, name: impl Into<NameRef<'n>>, value: impl AsRef<[u8]>) -> Self {
        self.headers.line(name.into(), value.as_ref());
        self
    }

    /// A body and its type.
    pub fn body(mut self, content_type: &str, octets: impl Into<Bytes>) -> Self {
        self.body = Some(Body {
            content_type: content_type.to_owned(),
            octets: octets.into(),
        });
        self
    }

    /// The octets of the response.
    pub fn build(self) -> Result<Bytes, BuildError> {
        if !self.request.is_request() {
            return Err(BuildError::NotARequest);
        }
        let mut out = Writer::with_capacity(self.octets_expected());
        out.octets.extend_from_slice(b"SIP/2.0 ");
        out.number(self.status.get().into());
        out.octets.push(b' ');
        let reason = self.reason.as_deref().unwrap_or(self.status.default_reason());
        out.text(reason.as_bytes());
        out.end_line();
        self.vias(&mut out)?;
        if self.record_route {
            for header in self.request.headers(HeaderName::RecordRoute) {
                out.received_line(HeaderName::RecordRoute, header.value());
            }
        }
        if let Some(from) = self.expected(HeaderName::From)? {
            out.received_line(HeaderName::From, from);
        }
        if let Some(to) = self.expected(HeaderName::To)? {
            self.to(to, &mut out)?;
        }
        if let Some(call_id) = self.expected(HeaderName::CallId)? {
            out.received_line(HeaderName::CallId, call_id);
        }
        out.received_line(HeaderName::CSeq, self.needed(HeaderName::CSeq)?);
        if self.status == StatusCode::TRYING
            && let Some(timestamp) = self.request.header(HeaderName::Timestamp)
        {
            out.received_line(HeaderName::Timestamp, timestamp);
        }
        out.octets.extend_from_slice(&self.headers.octets);
        out.fault = out.fault.or(self.headers.fault);
        out.finish(self.body.as_ref())
    }

    /// What is repeated, what is added, and the little that stands between.
    fn octets_expected(&self) -> usize {
        let body = self
            .body
            .as_ref()
            .map_or(0, |body| body.octets.len() + body.content_type.len());
        let repeated = self.request.headers_end();
        repeated + self.headers.octets.len() + body + 128
    }

    fn needed(&self, name: HeaderName) -> Result<&'m [u8], BuildError> {
        let value = self.request.header(name).filter(|value| !value.is_empty());
        value.ok_or(BuildError::Missing(name))
    }

    /// `None` where it is missing and the response is a refusal.
    fn expected(&self, name: HeaderName) -> Result<Option<&'m [u8]>, BuildError> {
        match self.needed(name) {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.status.get() >= 400 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn vias(&self, out: &mut Writer) -> Result<(), BuildError> {
        self.needed(HeaderName::Via)?;
        let mut source = self.source;
        for header in self.request.headers(HeaderName::Via) {
            let value = header.value();
            let top = source.and_then(|_| Elements::new(value).next_range());
            let (Some(address), Some(top)) = (source, top) else {
                out.received_line(HeaderName::Via, value);
                continue;
            };
            source = None;
            out.octets.extend_from_slice(b"Via: ");
            write_marked(&value[top.clone()], address, &mut out.octets);
            out.octets.extend_from_slice(&value[top.end..]);
            out.end_line();
        }
        Ok(())
    }

    fn to(&self, to: &[u8], out: &mut Writer) -> Result<(), BuildError> {
        let place = place_of_tag(to);
        match (&self.to_tag, place) {
            (Some(tag), Some((at, before))) if self.status != StatusCode::TRYING => {
                if !is_whole_token(tag.as_bytes()) {
                    return Err(BuildError::BadToken);
                }
                let pieces = [before.as_bytes(), tag.as_bytes(), &to[at..]];
                out.received_line_with(HeaderName::To, &to[..at], &pieces);
            }
            _ => out.received_line(HeaderName::To, to),
        }
        Ok(())
    }
}

/// Where in a To value a tag belongs, and what comes before it. `None` where there is one, and in a value that cannot be
/// read, which goes back as it came. A tag without a value is none (see
/// [`Essentials::to_tag`](crate::Essentials::to_tag)), so it gets one.
fn place_of_tag(to: &[u8]) -> Option<(usize, &'static str)> {
    let (_, tag) = NameAddr::parse_with_tag(to).ok()?;
    match tag {
        None => Some((to.len(), ";tag=")),
        Some(RawParam { name, raw: None }) => Some((offset_in(to, name)? + name.len(), "=")),
        Some(RawParam { raw: Some(raw), .. }) if raw.is_empty() => Some((offset_in(to, raw)?, "")),
        Some(_) => None,
    }
}

/// The tag for To that [`ResponseBuilder::stateless_to_tag`] gives to the response of a request.
///
/// The ACK of a refusal that bears it leads to the same tag: it has top Via, From, Call-ID and the number in CSeq in common
/// with the INVITE (RFC 3261 section 17.1.1.3).
pub fn stateless_tag(request: &Message, key: u64) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    request.values(HeaderName::Via).next().hash(&mut hasher);
    for name in [HeaderName::From, HeaderName::CallId] {
        request.header(name).hash(&mut hasher);
    }
    let number = request.cseq().and_then(Result::ok).map(|cseq| cseq.number);
    number.hash(&mut hasher);
    crate::token::token(&hasher.finish().to_be_bytes())
}

/// Writes the Via value `via` with what [`source_params`] says about it. One that cannot be read goes back as it came.
fn write_marked(via: &[u8], source: SocketAddr, out: &mut Vec<u8>) {
    let Ok(parsed) = Via::parse(via) else {
        return out.extend_from_slice(via);
    };
    let mut text = Vec::with_capacity(64);
    let params = source_params(&parsed, source, &mut text);
    let mut splices = via_param_splices(via, &parsed, &params, &text).unwrap_or_default();
    splices.sort_by_key(|splice| splice.range.start);
    let mut copied = 0;
    for splice in splices {
        out.extend_from_slice(&via[copied..splice.range.start]);
        out.extend_from_slice(&text[splice.text]);
        copied = splice.range.end;
    }
    out.extend_from_slice(&via[copied..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn message(text: &str) -> Message {
        Message::parse_datagram(Bytes::from(text.to_owned()), &Limits::default()).unwrap()
    }

    fn invite() -> Message {
        message(
            "INVITE sip:bob@example.com SIP/2.0\r\n\
             v: SIP/2.0/UDP pc33.example.com;rport;branch=z9hG4bKa,\r\n SIP/2.0/TCP x\r\n\
             Via: SIP/2.0/TCP y\r\n\
             Record-Route: <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\n\
             f: Alice <sip:alice@example.com>;tag=1\r\nt: sip:bob@example.com\r\n\
             i: c1\r\nCSeq: 7\r\n INVITE\r\nTimestamp: 54\r\n\r\n",
        )
    }

    #[test]
    fn a_response_repeats_what_the_request_says() {
        let request = invite();
        let made = ResponseBuilder::new(&request, StatusCode::OK)
            .to_tag("xyz")
            .header(HeaderName::Contact, "<sip:bob@192.0.2.1>")
            .body("application/sdp", "v=0\r\n")
            .build()
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&made).unwrap(),
            "SIP/2.0 200 OK\r\n\
             Via: SIP/2.0/UDP pc33.example.com;rport;branch=z9hG4bKa,\r\n SIP/2.0/TCP x\r\n\
             Via: SIP/2.0/TCP y\r\n\
             Record-Route: <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\n\
             From: Alice <sip:alice@example.com>;tag=1\r\nTo: sip:bob@example.com;tag=xyz\r\n\
             Call-ID: c1\r\nCSeq: 7\r\n INVITE\r\nContact: <sip:bob@192.0.2.1>\r\n\
             Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
    }

    #[test]
    fn trying_has_a_timestamp_and_neither_tag_nor_route() {
        let request = invite();
        let made = ResponseBuilder::new(&request, StatusCode::TRYING)
            .to_tag("xyz")
            .build()
            .unwrap();
        let made = Message::parse_datagram(made, &Limits::default()).unwrap();
        assert_eq!(made.text(HeaderName::To), Some("sip:bob@example.com"));
        assert_eq!(made.text(HeaderName::Timestamp), Some("54"));
        assert!(!made.has(HeaderName::RecordRoute));
    }

    #[test]
    fn failures_do_not_record_the_route() {
        let request = invite();
        let made = ResponseBuilder::new(&request, StatusCode::BUSY_HERE)
            .build()
            .unwrap();
        assert!(
            !Message::parse_datagram(made, &Limits::default())
                .unwrap()
                .has(HeaderName::RecordRoute)
        );
    }

    #[test]
    fn a_tag_without_a_value_gets_one() {
        for (to, answered) in [
            ("<sip:b@h>", "<sip:b@h>;tag=t"),
            ("<sip:b@h>;x;tag=;y", "<sip:b@h>;x;tag=t;y"),
            ("<sip:b@h> ; tag = \t;y", "<sip:b@h> ; tag = \tt;y"),
            ("<sip:b@h>;TAG;y=1", "<sip:b@h>;TAG=t;y=1"),
            ("<sip:b@h>;tag;tag=", "<sip:b@h>;tag;tag=t"),
            ("<sip:b@h>;tag=;tag=u", "<sip:b@h>;tag=t;tag=u"),
            ("<sip:b@h>;tag;tag=u", "<sip:b@h>;tag;tag=u"),
            ("sip:b@h;tag=", "sip:b@h;tag=t"),
            ("<sip:b@h>;tag=\"\"", "<sip:b@h>;tag=\"\""),
        ] {
            let request = message(&format!(
                "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=f\r\nTo: {to}\r\n\
                 Call-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
            ));
            let made = ResponseBuilder::new(&request, StatusCode::OK)
                .to_tag("t")
                .build()
                .unwrap();
            let made = Message::parse_datagram(made, &Limits::default()).unwrap();
            assert_eq!(made.text(HeaderName::To), Some(answered), "{to}");
            if let Ok(essentials) = made.essentials() {
                assert!(matches!(essentials.to_tag, Some("t" | "u")), "{to}");
            }
        }
    }

    #[test]
    fn the_source_goes_into_the_top_via_only() {
        let request = invite();
        let source = "192.0.2.9:5099".parse().unwrap();
        let made = ResponseBuilder::new(&request, StatusCode::OK)
            .source(source)
            .build()
            .unwrap();
        let made = Message::parse_datagram(made, &Limits::default()).unwrap();
        let vias: Vec<_> = made.vias().map(Result::unwrap).collect();
        assert_eq!(vias.len(), 3);
        assert_eq!(vias[0].rport(), Some(Some(5099)));
        assert_eq!(vias[0].received(), Some("192.0.2.9".parse().unwrap()));
        assert_eq!(vias[0].transaction_branch(), Some("z9hG4bKa"));
        assert!(vias[1..].iter().all(|via| via.params().is_empty()));
    }

    #[test]
    fn an_existing_tag_is_kept() {
        let request = message(
            "BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 BYE\r\n\r\n",
        );
        let made = ResponseBuilder::new(&request, StatusCode::OK)
            .to_tag("3")
            .build()
            .unwrap();
        let made = Message::parse_datagram(made, &Limits::default()).unwrap();
        assert_eq!(made.to().unwrap().unwrap().tag(), Some("2"));
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        let request = invite();
        let build = || ResponseBuilder::new(&request, StatusCode::OK);
        assert_eq!(build().reason("OK\r\nX: y").build(), Err(BuildError::LineBreak));
        assert_eq!(build().header("X", "y\nZ: 1").build(), Err(BuildError::LineBreak));
        assert_eq!(build().header("X Y", "z").build(), Err(BuildError::BadToken));
        assert_eq!(build().to_tag("a;b").build(), Err(BuildError::BadToken));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let response = message("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n");
        assert_eq!(
            ResponseBuilder::new(&response, StatusCode::OK).build(),
            Err(BuildError::NotARequest)
        );
        let request = message("BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a>\r\n\r\n");
        let built = ResponseBuilder::new(&request, StatusCode::OK).build();
        assert_eq!(built, Err(BuildError::Missing(HeaderName::To)));
        // Nobody would recognise it.
        let built = ResponseBuilder::new(&request, StatusCode::BAD_REQUEST).build();
        assert_eq!(built, Err(BuildError::Missing(HeaderName::CSeq)));
    }

    /// RFC 4475 section 3.3.1.
    #[test]
    fn a_refusal_needs_no_more_than_via_and_cseq() {
        let request =
            message("BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCSeq: 7 BYE\r\n\r\n");
        let made = ResponseBuilder::new(&request, StatusCode::BAD_REQUEST)
            .to_tag("t")
            .build();
        assert_eq!(
            made.unwrap(),
            "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCSeq: 7 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }
}
