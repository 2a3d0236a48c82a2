//! Candidates that a browser finds after its offer or answer (RFC 8838, RFC 8840).
//!
//! Its media goes to the relay, so they mean something to the relay only, and nothing to the other side, which may be a
//! phone that knows no ICE.

use std::time::Instant;

use viaduct_ng as ng;
use viaduct_sip::{Message, Method, StatusCode};

use super::Proxy;
use super::arrival::Arrival;
use crate::call::LegId;
use crate::calls::CallKey;
use crate::media::Party;

impl Proxy {
    /// Hands the candidates in an INFO to the relay, and answers it. False for any other request, and when the relay knows
    /// nothing of the call.
    pub(super) fn take_candidates(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        (call, leg, from): (CallKey, LegId, Party),
    ) -> bool {
        let Arrival {
            server,
            flow,
            request,
            ..
        } = *arrival;
        if !is_fragment(request) {
            return false;
        }
        let Some(entry) = self.calls.get(call) else {
            return false;
        };
        let is_relayed = entry.leg(leg).is_some_and(|leg| leg.relayed);
        let sender = entry.side(leg, from).and_then(|side| side.tag.clone());
        let (Some(from_tag), true) = (sender, is_relayed) else {
            return false;
        };
        let mut options = ng::Options::default();
        options.flags.insert(ng::Flag::Fragment);
        let offer = ng::Offer {
            sdp: request.body_bytes().into(),
            call_id: entry.call_id.clone().into(),
            from_tag: from_tag.into(),
            to_tag: None,
            via_branch: None,
            options,
        };
        // Whatever the relay says to it, the browser could do nothing about it.
        self.ask_relay(None, ng::Request::Offer(Box::new(offer)));
        let answer = self.answer_builder(request, flow, StatusCode::OK);
        self.respond(now, server, StatusCode::OK, answer);
        true
    }
}

/// RFC 8840 section 9: an INFO with a fragment of SDP.
fn is_fragment(request: &Message) -> bool {
    let is_info = request.method() == Some(Method::Info);
    let kind = || request.content_type().and_then(Result::ok);
    is_info && kind().is_some_and(|kind| kind.is("application", "trickle-ice-sdpfrag"))
}
