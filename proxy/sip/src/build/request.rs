use bytes::Bytes;

use super::{Body, BuildError, Writer};
use crate::text::{is_all_uri, is_whole_token};
use crate::{CSEQ_MAX, CSeq, HeaderName, Message, Method, NameRef};

/// The value of Max-Forwards in a fresh request (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// Makes a request: a fresh one, or the ACK or CANCEL of an INVITE.
///
/// From, To, Call-ID and CSeq must be given. A Via may be left to whoever sends the request.
#[derive(Debug, Clone)]
#[must_use]
pub struct RequestBuilder {
    method: String,
    uri: String,
    vias: Writer,
    routes: Writer,
    max_forwards: u8,
    from: Option<Writer>,
    to: Option<Writer>,
    call_id: Option<Writer>,
    cseq: Option<u32>,
    headers: Writer,
    body: Option<Body>,
    fault: Option<BuildError>,
}

impl RequestBuilder {
    /// A request with Max-Forwards 70 and no other header yet.
    pub fn new(method: Method<'_>, uri: &str) -> Self {
        let bad_uri = uri.is_empty() || !is_all_uri(uri.as_bytes());
        let bad_method = !is_whole_token(method.as_str().as_bytes());
        Self {
            method: method.as_str().to_owned(),
            uri: uri.to_owned(),
            vias: Writer::default(),
            routes: Writer::default(),
            max_forwards: MAX_FORWARDS,
            from: None,
            to: None,
            call_id: None,
            cseq: None,
            headers: Writer::default(),
            body: None,
            fault: bad_uri
                .then_some(BuildError::BadRequestUri)
                .or(bad_method.then_some(BuildError::BadToken)),
        }
    }

    /// The ACK to a final response other than 2xx (RFC 3261 section 17.1.1.3). `invite` is the request as it was sent,
    /// with our Via on top; To is that of `response`.
    pub fn ack_for(invite: &Message, response: &Message) -> Result<Self, BuildError> {
        let to = response
            .header(HeaderName::To)
            .ok_or(BuildError::Missing(HeaderName::To))?;
        Self::for_hop(invite, Method::Ack, to)
    }

    /// The CANCEL of an INVITE (RFC 3261 section 9.1). `invite` is the request as it was sent, with our Via on top.
    pub fn cancel_for(invite: &Message) -> Result<Self, BuildError> {
        let to = invite
            .header(HeaderName::To)
            .ok_or(BuildError::Missing(HeaderName::To))?;
        Self::for_hop(invite, Method::Cancel, to)
    }

    /// A request that goes one hop, along with an INVITE: its Request-URI, top Via, Route, From, Call-ID and number.
    fn for_hop(invite: &Message, method: Method<'_>, to: &[u8]) -> Result<Self, BuildError> {
        let uri = invite.request_uri_text().ok_or(BuildError::NotARequest)?;
        let needed = |name| invite.values(name).next().ok_or(BuildError::Missing(name));
        let cseq = CSeq::parse(needed(HeaderName::CSeq)?).map_err(|_| BuildError::Bad(HeaderName::CSeq))?;
        let mut made = Self::new(method, uri).cseq(cseq.number);
        made.vias.received_line(HeaderName::Via, needed(HeaderName::Via)?);
        for route in invite.headers(HeaderName::Route) {
            made.routes.received_line(HeaderName::Route, route.value());
        }
        made.from = Some(received(HeaderName::From, needed(HeaderName::From)?));
        made.to = Some(received(HeaderName::To, to));
        made.call_id = Some(received(HeaderName::CallId, needed(HeaderName::CallId)?));
        Ok(made)
    }

    /// A Via below those already given.
    pub fn via(mut self, value: impl AsRef<[u8]>) -> Self {
        self.vias.line(HeaderName::Via.into(), value.as_ref());
        self
    }

    /// A Route below those already given.
    pub fn route(mut self, value: impl AsRef<[u8]>) -> Self {
        self.routes.line(HeaderName::Route.into(), value.as_ref());
        self
    }

    /// From, with its tag.
    pub fn from(mut self, value: impl AsRef<[u8]>) -> Self {
        self.from = Some(given(HeaderName::From, value));
        self
    }

    /// To, with a tag inside a dialog.
    pub fn to(mut self, value: impl AsRef<[u8]>) -> Self {
        self.to = Some(given(HeaderName::To, value));
        self
    }

    /// Call-ID.
    pub fn call_id(mut self, value: impl AsRef<[u8]>) -> Self {
        self.call_id = Some(given(HeaderName::CallId, value));
        self
    }

    /// The number of CSeq, 0 to 2^31-1; the method is that of the request.
    pub fn cseq(mut self, number: u32) -> Self {
        self.cseq = Some(number);
        self
    }

    /// Another Max-Forwards than 70.
    pub fn max_forwards(mut self, hops: u8) -> Self {
        self.max_forwards = hops;
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

    /// The octets of the request.
    pub fn build(self) -> Result<Bytes, BuildError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let cseq = self.cseq.ok_or(BuildError::Missing(HeaderName::CSeq))?;
        if cseq > CSEQ_MAX {
            return Err(BuildError::Bad(HeaderName::CSeq));
        }
        let from = self.from.ok_or(BuildError::Missing(HeaderName::From))?;
        let to = self.to.ok_or(BuildError::Missing(HeaderName::To))?;
        let call_id = self.call_id.ok_or(BuildError::Missing(HeaderName::CallId))?;
        let body_octets = self
            .body
            .as_ref()
            .map_or(0, |body| body.octets.len() + body.content_type.len());
        let mut out = Writer::with_capacity(512 + self.headers.octets.len() + body_octets);
        for part in [&self.method, " ", &self.uri, " SIP/2.0"] {
            out.text(part.as_bytes());
        }
        out.end_line();
        let max_forwards = given(HeaderName::MaxForwards, self.max_forwards.to_string());
        let cseq = given(HeaderName::CSeq, format!("{cseq} {}", self.method));
        for part in [
            self.vias,
            max_forwards,
            self.routes,
            from,
            to,
            call_id,
            cseq,
            self.headers,
        ] {
            out.octets.extend_from_slice(&part.octets);
            out.fault = out.fault.or(part.fault);
        }
        out.finish(self.body.as_ref())
    }
}

fn given(name: HeaderName, value: impl AsRef<[u8]>) -> Writer {
    let mut writer = Writer::default();
    writer.line(name.into(), value.as_ref());
    writer
}

fn received(name: HeaderName, value: &[u8]) -> Writer {
    let mut writer = Writer::default();
    writer.received_line(name, value);
    writer
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
            "INVITE sip:bob@192.0.2.4;transport=ws SIP/2.0\r\n\
             Via: SIP/2.0/UDP proxy;branch=z9hG4bKp, SIP/2.0/TCP pc\r\n\
             Route: <sip:a;lr>,\r\n <sip:b;lr>\r\nMax-Forwards: 12\r\n\
             From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\n\
             CSeq: 314159 INVITE\r\nContent-Length: 0\r\n\r\n",
        )
    }

    #[test]
    fn the_ack_of_a_failure_goes_along_the_invite() {
        let response = message(
            "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP proxy;branch=z9hG4bKp\r\n\
             From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=b\r\nCall-ID: c1\r\n\
             CSeq: 314159 INVITE\r\n\r\n",
        );
        let ack = RequestBuilder::ack_for(&invite(), &response)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&ack).unwrap(),
            "ACK sip:bob@192.0.2.4;transport=ws SIP/2.0\r\n\
             Via: SIP/2.0/UDP proxy;branch=z9hG4bKp\r\nMax-Forwards: 70\r\n\
             Route: <sip:a;lr>,\r\n <sip:b;lr>\r\n\
             From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=b\r\nCall-ID: c1\r\n\
             CSeq: 314159 ACK\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_cancel_may_carry_a_reason() {
        let cancel = RequestBuilder::cancel_for(&invite())
            .unwrap()
            .header(
                HeaderName::Reason,
                "SIP;cause=200;text=\"Call completed elsewhere\"",
            )
            .build()
            .unwrap();
        let cancel = Message::parse_datagram(cancel, &Limits::default()).unwrap();
        let essentials = cancel.essentials().unwrap();
        assert_eq!(
            essentials.cseq,
            CSeq {
                number: 314_159,
                method: Method::Cancel
            }
        );
        assert_eq!(essentials.to_tag, None);
        assert_eq!(cancel.vias().count(), 1);
        assert!(cancel.has(HeaderName::Reason));
    }

    #[test]
    fn a_fresh_request_is_whole_or_says_what_is_missing() {
        let options = || RequestBuilder::new(Method::Options, "sip:example.com");
        assert_eq!(options().build(), Err(BuildError::Missing(HeaderName::CSeq)));
        let made = options()
            .via("SIP/2.0/UDP h;branch=z9hG4bK1")
            .from("<sip:a@b>;tag=1")
            .to("<sip:b@c>")
            .call_id("x")
            .cseq(1)
            .max_forwards(0)
            .body("text/plain", "hi")
            .build()
            .unwrap();
        let made = Message::parse_datagram(made, &Limits::default()).unwrap();
        let essentials = made.essentials().unwrap();
        assert_eq!((essentials.max_forwards, essentials.call_id), (Some(0), "x"));
        assert_eq!(made.body(), b"hi");
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        let whole =
            |builder: RequestBuilder| builder.from("<sip:a>").to("<sip:b>").call_id("x").cseq(1).build();
        assert_eq!(
            whole(RequestBuilder::new(Method::Bye, "sip:a SIP/2.0\r\nX: y")),
            Err(BuildError::BadRequestUri)
        );
        assert_eq!(
            whole(RequestBuilder::new(Method::Other("A B"), "sip:a")),
            Err(BuildError::BadToken)
        );
        assert_eq!(
            whole(RequestBuilder::new(Method::Bye, "sip:a").via("v\r\nX: y")),
            Err(BuildError::LineBreak)
        );
    }
}
