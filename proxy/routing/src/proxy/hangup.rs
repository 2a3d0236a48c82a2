//! Calls end: by their sides, or by the proxy.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{Edit, HeaderName, Limits, Message, Method, NameAddr, RequestBuilder, Via};
use viaduct_trunk::HeaderEdit;
use viaduct_txn::{Hop, Request};

use super::Proxy;
use crate::call::{Call, CallState, LegId, Side};
use crate::calls::CallKey;
use crate::context::{ContextId, Media};
use crate::media::Party;
use crate::{CallEnd, Event, Output, ProxyEnd};

impl Proxy {
    /// One dialog of a call is over.
    pub(super) fn leg_over(&mut self, now: Instant, call: CallKey, leg: LegId, end: CallEnd) {
        self.forget_leg(call, leg);
        if self.calls.get(call).is_some_and(Call::is_deserted) {
            self.call_over(now, call, end);
        }
    }

    /// A call is over: the relay forgets it, and people are told.
    pub(super) fn call_over(&mut self, now: Instant, key: CallKey, end: CallEnd) {
        let Some(call) = self.calls.get(key) else { return };
        let legs: Vec<LegId> = call.legs().iter().map(|leg| leg.id).collect();
        for leg in legs {
            self.forget_leg(key, leg);
        }
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        let end = call.ending.clone().unwrap_or(end);
        self.event(Event::CallEnded {
            call: call.number,
            end,
            talked: call.talked(now),
        });
    }

    /// The proxy ends a call: BYE to both sides of every dialog, or CANCEL while it rings.
    pub(super) fn end_call(&mut self, now: Instant, key: CallKey, why: ProxyEnd) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if call.state == CallState::Ending {
            return;
        }
        let was_ringing = call.state == CallState::Ringing;
        call.state = CallState::Ending;
        call.ending = Some(CallEnd::ByProxy(why));
        self.counters.calls_ended_by_proxy += 1;
        if was_ringing {
            if let Some(context) = self.context_of(key) {
                return self.cancel_context(now, context, Some(&Arc::from(why.reason_header())));
            }
        } else {
            let legs: Vec<LegId> = call.legs().iter().map(|leg| leg.id).collect();
            for leg in legs {
                for party in [Party::Caller, Party::Callee] {
                    self.send_bye(now, key, leg, party, why);
                }
            }
        }
        self.call_over(now, key, CallEnd::ByProxy(why));
    }

    /// Ends the dialog with one callee whose 2xx never reached the caller: ACK, then BYE.
    pub(super) fn end_callee(
        &mut self,
        now: Instant,
        key: CallKey,
        leg: LegId,
        accepted: &Message,
        why: ProxyEnd,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(entry) = call.leg(leg) else { return };
        let cseq = accepted.cseq().and_then(Result::ok).map_or(1, |cseq| cseq.number);
        let (uri, hop) = self.way_to(now, &entry.callee);
        let ack = self.request_between(
            Method::Ack,
            &call.caller,
            (&entry.callee, &uri),
            &call.call_id,
            cseq,
            None,
        );
        if let Some((octets, _)) = ack {
            self.outputs.push_back(Output::Send {
                hop,
                octets,
                id: None,
            });
        }
        self.send_bye(now, key, leg, Party::Callee, why);
    }

    /// Sends a BYE to one side, in the name of the other.
    fn send_bye(&mut self, now: Instant, key: CallKey, leg: LegId, to: Party, why: ProxyEnd) {
        self.find_again(now, key, leg, to);
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let Some(cseq) = call.side(leg, to.other()).map(|sender| sender.cseq + 1) else {
            return;
        };
        let cseq = match call.side_mut(leg, to).and_then(|side| side.trunk.as_mut()) {
            Some(trunk) => trunk.cseq.leave(cseq),
            None => cseq,
        };
        let Some(call) = self.calls.get(key) else { return };
        let (Some(receiver), Some(sender)) = (call.side(leg, to), call.side(leg, to.other())) else {
            return;
        };
        if receiver.lost.is_some() {
            return;
        }
        let reason = why.reason_header();
        let (uri, hop) = self.way_to(now, receiver);
        let bye = self.request_between(
            Method::Bye,
            sender,
            (receiver, &uri),
            &call.call_id,
            cseq,
            Some(reason),
        );
        let Some((octets, branch)) = bye else { return };
        let carrier = receiver.trunk.as_ref().map(|trunk| Arc::clone(&trunk.carrier));
        // Only a trunk's wish for a password is waited for: the transaction repeats the BYE until there is an answer.
        let request = Request {
            octets: octets.clone(),
            branch,
            is_invite: false,
            hop: hop.clone(),
            patience: None,
        };
        if let Some(client) = self.layer.request(now, request) {
            self.remember_bye(client, carrier, octets, hop);
        }
    }

    /// Request-URI and hop of a request to one side. Without a Contact the URI is empty, and no request can be made.
    fn way_to(&self, now: Instant, side: &Side) -> (Arc<str>, Hop) {
        let contact = side.contact.as_deref().unwrap_or_default();
        match self.contact_of_gruu(now, contact, side.hop.local(), (&side.hop, true)) {
            Some(binding) => (binding.request_uri(), binding.flow.into()),
            None => (contact.into(), side.hop.clone()),
        }
    }

    /// A request of a dialog as `sender` would send it, through us.
    fn request_between(
        &self,
        method: Method<'_>,
        sender: &Side,
        (receiver, uri): (&Side, &str),
        call_id: &Bytes,
        cseq: u32,
        reason: Option<&str>,
    ) -> Option<(Bytes, Bytes)> {
        let tagged = |side: &Side| {
            let tag = side.tag.as_deref().map(String::from_utf8_lossy)?;
            Some(format!("{};tag={tag}", side.address))
        };
        let known_as = receiver
            .trunk
            .as_ref()
            .and_then(|trunk| trunk.carrier.from.as_ref());
        let from = match (known_as, sender.tag.as_deref()) {
            (Some(address), Some(tag)) => format!("{address};tag={}", String::from_utf8_lossy(tag)),
            _ => tagged(sender)?,
        };
        let called = receiver
            .trunk
            .as_ref()
            .and_then(|trunk| trunk.carrier.to.as_ref());
        let to = match (called, receiver.tag.as_deref()) {
            (Some(address), Some(tag)) => format!("{address};tag={}", String::from_utf8_lossy(tag)),
            _ => tagged(receiver)?,
        };
        let seed = (call_id, sender.tag.as_deref(), cseq, method.as_str());
        let branch = viaduct_sip::token::branch(&own_branch_octets(&seed));
        let via = Via::value(receiver.hop.transport(), &self.sent_by(&receiver.hop), &branch);
        let (uri, routes) = along(uri, &receiver.routes);
        let mut builder = RequestBuilder::new(method, uri)
            .via(&via)
            .from(&from)
            .to(&to)
            .call_id(std::str::from_utf8(call_id).ok()?)
            .cseq(cseq);
        for route in &routes {
            builder = builder.route(&**route);
        }
        if let Some(reason) = reason {
            builder = builder.header(HeaderName::Reason, reason);
        }
        let octets = builder.build().ok()?;
        let own = receiver
            .trunk
            .as_ref()
            .map(|trunk| &trunk.carrier.line.trunk().headers);
        let octets = match own.filter(|headers| !headers.is_empty()) {
            Some(headers) => with_headers(octets, headers)?,
            None => octets,
        };
        Some((octets, branch.into()))
    }

    fn context_of(&self, call: CallKey) -> Option<ContextId> {
        self.contexts
            .iter()
            .find(|(_, context)| context.media == Media::Begins(call))
            .map(|(id, _)| id)
    }
}

/// Request-URI and Route of a request to `uri` along these routers. A strict one at the beginning finds itself in the
/// Request-URI (RFC 3261 section 12.2.1.1).
fn along<'r>(uri: &'r str, routes: &'r [String]) -> (&'r str, Vec<Cow<'r, str>>) {
    let all = |routes: &'r [String]| routes.iter().map(|route| Cow::from(route.as_str()));
    let strict = routes.split_first().and_then(|(first, rest)| {
        let first = NameAddr::parse(first.as_bytes()).ok()?.uri().ok()?;
        (!first.is_loose_router()).then_some((first.as_str(), rest))
    });
    match strict {
        Some((first, rest)) => {
            let target = Cow::from(["<", uri, ">"].concat());
            (first, all(rest).chain([target]).collect())
        }
        None => (uri, all(routes).collect()),
    }
}

/// A request of our own as the trunk wants it that it goes to.
fn with_headers(octets: Bytes, headers: &[HeaderEdit]) -> Option<Bytes> {
    let request = Message::parse_frame(octets, &Limits::default()).ok()?;
    let mut edit = Edit::new(&request);
    for header in headers {
        header.apply(&mut edit);
    }
    edit.finish().ok()
}

/// A branch that is unique because the dialog and its CSeq are.
fn own_branch_octets(seed: &impl std::hash::Hash) -> [u8; 8] {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    hasher.finish().to_be_bytes()
}
