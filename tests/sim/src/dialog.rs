//! One side's view of a dialog, as its user agent would keep it (RFC 3261 section 12).

use viaduct_sip::{HeaderName, Message, NameAddr};

use crate::EndId;

/// What an end needs to send requests inside a dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// Whose view it is.
    pub end: EndId,
    /// The Call-ID.
    pub call_id: String,
    /// From of its own requests, with its tag.
    pub local: String,
    /// To of its own requests, with the other's tag.
    pub remote: String,
    /// Request-URI of its own requests.
    pub target: String,
    /// Route of its own requests, in order.
    pub routes: Vec<String>,
    /// CSeq of its last request.
    pub cseq: u32,
}

impl Dialog {
    /// The caller's view, from its INVITE and the response that makes the dialog.
    pub fn of_caller(end: EndId, response: &Message) -> Self {
        let mut routes = routes(response);
        routes.reverse();
        Self {
            end,
            call_id: response.call_id().unwrap().to_owned(),
            local: text(response, HeaderName::From),
            remote: text(response, HeaderName::To),
            target: contact(response),
            routes,
            cseq: response.cseq().unwrap().unwrap().number,
        }
    }

    /// The callee's view, from the INVITE it got and the tag it answered with.
    pub fn of_callee(end: EndId, invite: &Message, tag: &str) -> Self {
        Self {
            end,
            call_id: invite.call_id().unwrap().to_owned(),
            local: format!("{};tag={tag}", text(invite, HeaderName::To)),
            remote: text(invite, HeaderName::From),
            target: contact(invite),
            routes: routes(invite),
            cseq: 100,
        }
    }
}

fn text(message: &Message, name: HeaderName) -> String {
    message.text(name).unwrap().to_owned()
}

fn routes(message: &Message) -> Vec<String> {
    message
        .values(HeaderName::RecordRoute)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

fn contact(message: &Message) -> String {
    let value = message.values(HeaderName::Contact).next().expect("no Contact");
    NameAddr::parse(value).unwrap().uri().unwrap().as_str().to_owned()
}
