//! A dialog as its callee keeps it (RFC 3261 section 12).

use bytes::Bytes;
use viaduct_sip::{Contact, Essentials, HeaderName, Message, Method, NameAddr, RequestBuilder, Scheme};

use crate::refusal::Refusal;

/// One dialog.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    call_id: Bytes,
    local_tag: Bytes,
    /// Empty from peers of RFC 2543.
    remote_tag: Bytes,
    /// Our address with our tag: From of what we send.
    local: Vec<u8>,
    /// The caller's address with its tag, as it wrote it.
    remote: Vec<u8>,
    /// The caller's Contact: the Request-URI of what we send.
    target: String,
    /// Record-Route of the INVITE, first to last.
    routes: Vec<Vec<u8>>,
    remote_cseq: u32,
    local_cseq: u32,
}

impl Dialog {
    /// The dialog that a 2xx with this tag makes of an INVITE (RFC 3261 section 12.1.1). It keeps at most
    /// `octets_max` octets of it.
    pub(crate) fn accept(
        invite: &Message,
        essentials: &Essentials<'_>,
        local_tag: Bytes,
        octets_max: usize,
    ) -> Result<Self, Refusal> {
        let header = |name| invite.header(name).ok_or(Refusal::BadHeader(name));
        let (from, to) = (header(HeaderName::From)?, header(HeaderName::To)?);
        // An empty tag would stay in our answers, and the dialog would have none.
        let has_tag = NameAddr::parse(to).is_ok_and(|to| to.params().has("tag"));
        if has_tag {
            return Err(Refusal::BadHeader(HeaderName::To));
        }
        let target = target(invite)?.ok_or(Refusal::BadHeader(HeaderName::Contact))?;
        let mut octets = essentials.call_id.len() + from.len() + to.len() + target.len();
        let mut routes = Vec::new();
        for route in invite.values(HeaderName::RecordRoute) {
            octets += route.len();
            if octets > octets_max {
                break;
            }
            NameAddr::parse(route)
                .ok()
                .and_then(|route| route.uri().ok())
                .ok_or(Refusal::BadHeader(HeaderName::RecordRoute))?;
            routes.push(one_line(route));
        }
        if octets > octets_max {
            return Err(Refusal::DialogTooLarge);
        }
        let mut local = one_line(to);
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(&local_tag);
        Ok(Self {
            // Copied: a piece of the message would keep all of it.
            call_id: Bytes::copy_from_slice(essentials.call_id.as_bytes()),
            local_tag,
            remote_tag: Bytes::copy_from_slice(essentials.from_tag.unwrap_or_default().as_bytes()),
            local,
            remote: one_line(from),
            target,
            routes,
            remote_cseq: essentials.cseq.number,
            local_cseq: 0,
        })
    }

    /// Our tag.
    pub(crate) fn local_tag(&self) -> &Bytes {
        &self.local_tag
    }

    /// The Call-ID as text.
    pub(crate) fn call_id(&self) -> String {
        String::from_utf8_lossy(&self.call_id).into_owned()
    }

    /// True when a request of the caller's belongs to this dialog (RFC 3261 section 12.2.2).
    pub(crate) fn is_of(&self, essentials: &Essentials<'_>) -> bool {
        self.call_id == essentials.call_id.as_bytes()
            && self.remote_tag == essentials.from_tag.unwrap_or_default().as_bytes()
            && essentials.to_tag.map(str::as_bytes) == Some(&self.local_tag[..])
    }

    /// Takes the CSeq of a request in. It must rise (RFC 3261 section 12.2.2); gaps are none of our business.
    pub(crate) fn take_cseq(&mut self, number: u32) -> Result<(), Refusal> {
        if number <= self.remote_cseq {
            return Err(Refusal::OutOfOrder);
        }
        self.remote_cseq = number;
        Ok(())
    }

    /// Takes the Contact of a target refresh request that is being accepted.
    pub(crate) fn refresh_target(&mut self, request: &Message, octets_max: usize) -> Result<(), Refusal> {
        if let Some(target) = target(request)? {
            if target.len() > octets_max {
                return Err(Refusal::DialogTooLarge);
            }
            self.target = target;
        }
        Ok(())
    }

    /// A request of ours, but for its Via (RFC 3261 section 12.2.1.1).
    pub(crate) fn request(&mut self, method: Method<'_>) -> RequestBuilder {
        self.local_cseq += 1;
        let builder = match self.strict_router() {
            None => {
                let builder = RequestBuilder::new(method, &self.target);
                self.routes.iter().fold(builder, RequestBuilder::route)
            }
            // A strict router takes the Request-URI's place, and the target becomes the last Route.
            Some(router) => {
                let builder = RequestBuilder::new(method, &router);
                let builder = self.routes[1..].iter().fold(builder, RequestBuilder::route);
                builder.route(format!("<{}>", self.target))
            }
        };
        builder
            .from(&self.local)
            .to(&self.remote)
            .call_id(&self.call_id)
            .cseq(self.local_cseq)
    }

    /// The URI of the first router, if it is one of RFC 2543.
    fn strict_router(&self) -> Option<String> {
        let first = NameAddr::parse(self.routes.first()?).ok()?;
        let uri = first.uri().ok()?;
        (!uri.is_loose_router()).then(|| uri.as_str().to_owned())
    }
}

/// The URI of the first Contact. `None` without Contact.
fn target(request: &Message) -> Result<Option<String>, Refusal> {
    let Some(contact) = request.contacts().next() else {
        return Ok(None);
    };
    let bad = Refusal::BadHeader(HeaderName::Contact);
    let Ok(Contact::Addr(contact)) = contact else {
        return Err(bad);
    };
    match contact.uri() {
        Ok(uri) if matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) => Ok(Some(uri.as_str().to_owned())),
        _ => Err(bad),
    }
}

/// A received value on one line: folds become blanks.
fn one_line(value: &[u8]) -> Vec<u8> {
    let blank = |octet: &u8| {
        if matches!(octet, b'\r' | b'\n') {
            b' '
        } else {
            *octet
        }
    };
    value.iter().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::message;

    fn invite(headers: &str) -> Message {
        message(&format!(
            "INVITE sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/LOCAL p;branch=z9hG4bK1\r\n\
             From: \"A\"\r\n <sip:alice@example.com>;tag=a\r\nTo: <sip:100@example.com>\r\nCall-ID: c1\r\n\
             CSeq: 7 INVITE\r\n{headers}\r\n"
        ))
    }

    fn dialog(headers: &str) -> Result<Dialog, Refusal> {
        let invite = invite(headers);
        Dialog::accept(&invite, &invite.essentials().unwrap(), "b".into(), 8_192)
    }

    fn bye(dialog: &mut Dialog) -> String {
        let octets = dialog.request(Method::Bye).build().unwrap();
        String::from_utf8(octets.to_vec()).unwrap()
    }

    #[test]
    fn a_bye_goes_along_the_recorded_route_to_the_contact() {
        let mut dialog = dialog(
            "Record-Route: <sip:p2;lr>,\r\n <sip:p1;lr>\r\nRecord-Route: <sip:p0;lr>\r\n\
             Contact: <sip:alice@192.0.2.7;transport=ws>;expires=5\r\n",
        )
        .unwrap();
        assert_eq!(
            bye(&mut dialog),
            "BYE sip:alice@192.0.2.7;transport=ws SIP/2.0\r\nMax-Forwards: 70\r\nRoute: <sip:p2;lr>\r\n\
             Route: <sip:p1;lr>\r\nRoute: <sip:p0;lr>\r\nFrom: <sip:100@example.com>;tag=b\r\n\
             To: \"A\"   <sip:alice@example.com>;tag=a\r\nCall-ID: c1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(bye(&mut dialog).contains("\r\nCSeq: 2 BYE\r\n"));
    }

    #[test]
    fn a_strict_router_gets_its_own_uri() {
        let mut dialog =
            dialog("Record-Route: <sip:old>, <sip:p1;lr>\r\nContact: <sip:alice@192.0.2.7>\r\n").unwrap();
        let bye = bye(&mut dialog);
        assert!(bye.starts_with("BYE sip:old SIP/2.0\r\n"), "{bye}");
        assert!(
            bye.contains("\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:alice@192.0.2.7>\r\n"),
            "{bye}"
        );
    }

    #[test]
    fn what_makes_no_dialog_is_refused() {
        let bad = |name| Some(Refusal::BadHeader(name));
        assert_eq!(dialog("").err(), bad(HeaderName::Contact));
        assert_eq!(dialog("Contact: *\r\n").err(), bad(HeaderName::Contact));
        assert_eq!(dialog("Contact: <tel:1>\r\n").err(), bad(HeaderName::Contact));
        let routes = "Contact: <sip:a@b>\r\nRecord-Route: <sip:p\r\n";
        assert_eq!(dialog(routes).err(), bad(HeaderName::RecordRoute));
        let route = "Record-Route: <sip:p;lr>\r\n".repeat(200);
        assert!(dialog(&format!("Contact: <sip:a@b>\r\n{route}")).is_ok());
        let long = format!("Record-Route: <sip:{};lr>\r\n", "p".repeat(9_000));
        assert_eq!(
            dialog(&format!("Contact: <sip:a@b>\r\n{long}")).err(),
            Some(Refusal::DialogTooLarge)
        );
    }

    #[test]
    fn only_call_id_and_both_tags_together_are_the_dialog() {
        let dialog = dialog("Contact: <sip:a@b>\r\n").unwrap();
        let is_of = |call_id: &str, from: &str, to: &str| {
            let request = message(&format!(
                "BYE sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/LOCAL p;branch=z9hG4bK2\r\n\
                 From: <sip:x>;tag={from}\r\nTo: <sip:y>;tag={to}\r\nCall-ID: {call_id}\r\nCSeq: 8 BYE\r\n\r\n"
            ));
            dialog.is_of(&request.essentials().unwrap())
        };
        assert!(is_of("c1", "a", "b"));
        assert!(!is_of("c2", "a", "b") && !is_of("c1", "x", "b") && !is_of("c1", "a", "x"));
    }
}
