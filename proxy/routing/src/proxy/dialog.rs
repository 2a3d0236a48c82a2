//! Requests inside a dialog, and the ACK of a 2xx (RFC 3261 sections 12.2 and 16.4).
//!
//! They go where our Record-Route token says. The call is looked up for media only.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{Edit, Essentials, HeaderName, Message, Method, Via};
use viaduct_txn::{Flow, Hop};

use super::Proxy;
use super::arrival::Arrival;
use super::forward::{Forward, new_branch, put_path};
use super::relay::{RelayUse, Rewriting};
use crate::body::SdpPart;
use crate::call::{LegId, Side};
use crate::calls::CallKey;
use crate::carried::{Carrier, Mask};
use crate::context::{CommonEdits, Media, Target, Way};
use crate::media::Party;
use crate::route::{self, Routing};
use crate::{Output, ProxyEnd, Refusal};

/// An ACK of a 2xx whose SDP the relay writes.
#[derive(Debug)]
pub(super) struct PendingAck {
    request: Message,
    flow: Flow,
    edits: CommonEdits,
    uri: Arc<str>,
    to: Hop,
    mask: Mask,
    /// Routers beyond the hop, for a sender who does not know them.
    path: Option<Arc<str>>,
    /// It goes to a trunk that may see nothing of the inside.
    hides: bool,
    /// The trunk that it goes to.
    carrier: Option<Arc<Carrier>>,
    found: Option<(CallKey, LegId, Party)>,
}

impl Proxy {
    /// A request with a To tag begins a transaction.
    pub(super) fn forward_in_dialog(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        routing: &Routing,
    ) -> Result<(), Refusal> {
        let Arrival {
            server,
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let method = essentials.cseq.method;
        // Only a dialog that was made through here has our Route. There is no other way in: a request that comes
        // without is either lost or after something.
        let to = routing.hop.clone().ok_or(Refusal::NoDialog)?;
        let found = self.find_call(essentials);
        let has_sdp = SdpPart::find(request).is_some();
        let media = match found {
            Some((call, leg, sender)) => {
                self.heard_from(call, leg, sender, *flow, request, essentials);
                self.find_again(now, call, leg, sender.other());
                if self.take_candidates(now, arrival, (call, leg, sender)) {
                    return Ok(());
                }
                Media::Inside { call, leg, sender }
            }
            None if has_sdp && matches!(method, Method::Invite | Method::Update | Method::Prack) => {
                // Its SDP would reach the other side as it is, and nobody would hear anything.
                return Err(Refusal::NoDialog);
            }
            None => Media::None,
        };
        let edits = in_dialog_edits(routing, request);
        let sender = found.and_then(|(call, leg, sender)| self.carrier_of(call, leg, sender));
        let forward = Forward {
            server: *server,
            flow: *flow,
            request: (*request).clone(),
            edits,
            is_trying: false,
            breadth: None,
            from_trunk: sender.map(|carrier| carrier.line.clone()),
            hides: routing.inside.is_some(),
        };
        let (uri, hop) = self.dialog_target(now, (request, flow), routing, to, found);
        let mut target = Target::new(uri, Way::Hop(hop));
        target.hides = routing.hides;
        target.path = routing.path();
        target.carrier = match media {
            Media::Inside { call, leg, sender } => self.carrier_of(call, leg, sender.other()),
            Media::None | Media::Begins(_) => None,
        };
        self.forward_with(now, forward, vec![vec![target]], media, None);
        Ok(())
    }

    /// An ACK of a 2xx: no transaction, no answer.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        essentials: &Essentials<'_>,
    ) {
        let uri = request.request_uri().and_then(Result::ok);
        let routing = uri.and_then(|uri| {
            let ours = (&*self.config, &self.tokens);
            route::read(ours, request, &uri, flow.local).ok()
        });
        let Some((routing, to)) = routing.and_then(|routing| Some((routing.clone(), routing.hop?))) else {
            self.counters.dropped += 1;
            return;
        };
        if essentials.max_forwards == Some(0) {
            self.counters.dropped += 1;
            return;
        }
        let found = self.find_call(essentials);
        if let Some((call, leg, from)) = found {
            self.find_again(now, call, leg, from.other());
        }
        let (uri, to) = self.dialog_target(now, (request, &flow), &routing, to, found);
        let mut ack = PendingAck {
            request: request.clone(),
            flow,
            edits: in_dialog_edits(&routing, request),
            uri,
            to,
            mask: Mask::default(),
            path: routing.path(),
            hides: routing.hides,
            carrier: found.and_then(|(call, leg, from)| self.carrier_of(call, leg, from.other())),
            found,
        };
        let Some((call, leg, from)) = found else {
            return self.send_ack(&ack, None);
        };
        ack.mask = self.dialog_mask(call, leg, from, request);
        self.heard_from(call, leg, from, flow, request, essentials);
        if !self.config.media.relayed {
            return self.send_ack(&ack, None);
        }
        let sdp = SdpPart::find(request).and_then(|part| part.to_rewrite(request).ok());
        let Some(entry) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else {
            return;
        };
        let operation = entry.exchange.request(from, Method::Ack, sdp.is_some());
        let (Some(operation), Some(received)) = (operation, sdp) else {
            return self.send_ack(&ack, None);
        };
        if let Some(known) = entry.repeat(from, operation, &received).cloned() {
            return self.send_ack(&ack, Some(&known));
        }
        let rewriting = Rewriting {
            call,
            leg,
            from,
            operation,
            received,
        };
        let asked = self.rewrite(now, rewriting, |rewriting| RelayUse::Ack {
            ack: Box::new(ack),
            rewriting,
        });
        if asked.is_err() {
            self.end_call(now, call, ProxyEnd::RelayFailed);
        }
    }

    /// The SDP of an ACK is ready. Without it the callee would have no media, so the call ends.
    pub(super) fn ack_written(
        &mut self,
        now: Instant,
        ack: &PendingAck,
        call: CallKey,
        sdp: Result<Bytes, Refusal>,
    ) {
        match sdp {
            Ok(sdp) => self.send_ack(ack, Some(&sdp)),
            Err(_) => {
                self.send_ack(ack, None);
                self.end_call(now, call, ProxyEnd::RelayFailed);
            }
        }
    }

    fn send_ack(&mut self, ack: &PendingAck, sdp: Option<&Bytes>) {
        let PendingAck {
            request,
            flow,
            edits,
            uri,
            to,
            mask,
            path,
            hides,
            carrier,
            found,
        } = ack;
        let branch = new_branch(&mut self.rng, self.loop_key, request);
        let mut edit = Edit::new(request);
        if request.request_uri_text() != Some(uri) {
            edit.set_request_uri(uri);
        }
        let hops = request
            .max_forwards()
            .and_then(Result::ok)
            .map_or(70, |hops| hops.saturating_sub(1));
        edit.set(HeaderName::MaxForwards, hops.to_string());
        if !*hides {
            edit.mark_source(flow.remote);
        }
        edits.apply_to_routes(&mut edit, request);
        if let Some(path) = path {
            put_path(&mut edit, path, uri);
        }
        mask.apply(request, &mut edit);
        if *hides {
            let from = self.way_to_sender(request, flow, *found);
            self.hide_request(&mut edit, request, ("sip", to), from);
        }
        // Who calls was said in the INVITE (RFC 3325 section 9.1: no identity in an ACK).
        for header in carrier
            .iter()
            .flat_map(|carrier| carrier.line.trunk().request_edits())
        {
            header.apply(&mut edit);
        }
        let via_branch = String::from_utf8_lossy(&branch);
        edit.prepend(
            HeaderName::Via,
            Via::value(to.transport(), &self.sent_by(to), &via_branch),
        );
        if let (Some(sdp), Some(part)) = (sdp, SdpPart::find(request)) {
            edit.set_body(None, &part.replace(request, sdp));
        }
        if to.transport().is_reliable() {
            edit.ensure_content_length();
        }
        match edit.finish() {
            Ok(octets) => self.outputs.push_back(Output::Send {
                hop: to.clone(),
                octets,
                id: None,
            }),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// The call that a message inside a dialog belongs to.
    pub(super) fn find_call(&self, essentials: &Essentials<'_>) -> Option<(CallKey, LegId, Party)> {
        self.calls
            .find(essentials.call_id, essentials.from_tag?, essentials.to_tag?)
    }

    /// One side of a call has sent a request: it is there, over this flow, and its CSeq has risen.
    fn heard_from(
        &mut self,
        call: CallKey,
        leg: LegId,
        party: Party,
        flow: Flow,
        request: &Message,
        essentials: &Essentials<'_>,
    ) {
        let refreshes = matches!(
            essentials.cseq.method,
            Method::Invite | Method::Update | Method::Subscribe
        );
        let contact = if refreshes {
            crate::call::contact_uri(request)
        } else {
            None
        };
        let Some(side) = self
            .calls
            .get_mut(call)
            .and_then(|call| call.side_mut(leg, party))
        else {
            return;
        };
        side.cseq = side.cseq.max(essentials.cseq.number);
        if contact.is_some() {
            side.contact = contact;
        }
        match &side.hop {
            // A peer that we connect to is reached that way again, whatever connection it has spoken over.
            Hop::Connect { .. } => {}
            Hop::Flow(known) if *known == flow => {}
            Hop::Flow(_) => {
                side.hop = Hop::Flow(flow);
                side.lost = None;
            }
        }
    }

    /// True for a side of a call that is a user of ours: no trunk, and nobody of another domain.
    fn is_user(&self, call: CallKey, leg: LegId, party: Party) -> bool {
        let Some(call) = self.calls.get(call) else {
            return false;
        };
        let is_named = match party {
            Party::Caller => call.caller_user.is_some(),
            Party::Callee => call.leg(leg).is_some_and(|leg| leg.callee_user.is_some()),
        };
        is_named && call.side(leg, party).is_some_and(|side| side.trunk.is_none())
    }

    /// Request-URI and hop of a request inside a dialog. A GRUU stands for the contact of its device, which may have
    /// come back over another flow since (RFC 5627 section 6.1). So may a side without one: it is where it spoke last.
    fn dialog_target(
        &self,
        now: Instant,
        (request, flow): (&Message, &Flow),
        routing: &Routing,
        hop: Hop,
        found: Option<(CallKey, LegId, Party)>,
    ) -> (Arc<str>, Hop) {
        let strict_next = match routing.next_route(request) {
            Some(Ok(route)) if !route.is_loose_router() => Some(route.as_str()),
            _ => None,
        };
        let inside = routing.inside.as_ref().map(|inside| inside.contact.as_str());
        let uri = inside
            .or(strict_next)
            .or(routing.strict.as_deref())
            .or(request.request_uri_text())
            .unwrap_or_default();
        let receiver = found.and_then(|(call, leg, sender)| self.calls.get(call)?.side(leg, sender.other()));
        let is_known = inside.is_some() || receiver.is_some_and(|side| side.contact.as_deref() == Some(uri));
        match self.contact_of_gruu(now, uri, flow.local, (&hop, is_known)) {
            Some(binding) => (binding.request_uri(), binding.flow.into()),
            None => {
                let is_user =
                    found.is_some_and(|(call, leg, sender)| self.is_user(call, leg, sender.other()));
                let moved = receiver.and_then(|side| moved_to(&hop, side, is_user));
                (uri.into(), moved.unwrap_or(hop))
            }
        }
    }
}

/// How a side is reached when that is not what its token `named` any more: a user who has spoken from somewhere else since, or
/// a peer that is connected to because its connection is gone. A server that speaks from several addresses may listen at one.
fn moved_to(named: &Hop, side: &Side, is_user: bool) -> Option<Hop> {
    let is_heard_there = is_user && matches!(side.hop, Hop::Flow(_));
    let is_connected_to = named.conn().is_some() && side.hop.transport().is_reliable();
    let has_moved = (is_heard_there || is_connected_to) && *named != side.hop;
    has_moved.then(|| side.hop.clone())
}

fn in_dialog_edits(routing: &Routing, request: &Message) -> CommonEdits {
    let strict_next = matches!(routing.next_route(request), Some(Ok(route)) if !route.is_loose_router());
    CommonEdits {
        strict_next,
        ..CommonEdits::of(routing)
    }
}
