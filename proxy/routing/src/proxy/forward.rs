//! A request goes on: one copy for each target (RFC 3261 section 16.6).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;
use viaduct_sip::{Edit, EditError, HeaderName, Message, StatusCode, Via};
use viaduct_trunk::{Channel, Line};
use viaduct_txn::{Flow, Hop, Request, ServerId, way_to_sender};

use super::arrival::loop_mark;
use super::hops::attempt_on_hop;
use super::targets::Group;
use super::{Alarm, Proxy};
use crate::body::SdpPart;
use crate::call::{Call, NewCall, Side, address_without_tag, contact_uri};
use crate::call_counts::Seat;
use crate::calling::Calling;
use crate::carried::{Carrier, TrunkSide};
use crate::context::{
    Attempt, Best, Branch, BranchState, CommonEdits, Context, ContextId, Media, Target, Way,
};
use crate::media::{Endpoint, Profile};
use crate::{Event, Refusal};

/// A request on its way out.
pub(super) struct Forward {
    pub(super) server: ServerId,
    pub(super) flow: Flow,
    pub(super) request: Message,
    pub(super) edits: CommonEdits,
    /// The caller has heard already that its INVITE is here: it waited for somebody.
    pub(super) is_trying: bool,
    /// How many branches may come of it. `None` inside a dialog, where nothing forks.
    pub(super) breadth: Option<u32>,
    /// The trunk that sent it.
    pub(super) from_trunk: Option<Line>,
    /// Its sender is a trunk that may see nothing of the inside.
    pub(super) hides: bool,
}

/// A call that may begin.
pub(super) struct BeginCall {
    pub(super) caller: Calling,
    pub(super) dialled: String,
    pub(super) seat: Seat,
    /// The place on the trunk that it comes from.
    pub(super) channel: Option<Channel>,
}

impl Proxy {
    /// An INVITE outside any dialog: a call begins.
    pub(super) fn begin_call(
        &mut self,
        now: Instant,
        forward: Forward,
        begin: BeginCall,
        groups: Vec<Group>,
    ) {
        let BeginCall {
            caller,
            dialled,
            seat,
            channel,
        } = begin;
        let request = &forward.request;
        let number = self.calls.next_number(self.shard.index, self.shard.count);
        let address = address_without_tag(request.header(HeaderName::From).unwrap_or_default());
        let call_id = request.share(request.call_id().unwrap_or_default().as_bytes());
        self.counters.calls += 1;
        self.event(Event::CallStarted {
            call: number,
            call_id: String::from_utf8_lossy(&call_id).into_owned(),
            from: caller.label(),
            to: dialled.clone(),
        });
        let side = Side {
            endpoint: Endpoint {
                profile: caller_profile(&forward, &caller),
                codecs: caller.codecs(),
            },
            hop: forward.flow.into(),
            address,
            tag: request
                .from()
                .and_then(Result::ok)
                .and_then(|from| from.tag())
                .map(|tag| request.share(tag.as_bytes())),
            contact: contact_uri(request),
            routes: route_set(request, &[]),
            cseq: request.cseq().and_then(Result::ok).map_or(0, |cseq| cseq.number),
            lost: None,
            way_back: match &caller {
                // A page or a phone that loses its connection has mostly gone itself, or is behind a NAT.
                Calling::User(_) => None,
                Calling::Trunk(line) => request
                    .top_via()
                    .and_then(Result::ok)
                    .and_then(|via| way_to_trunk(&forward.flow, &via, line)),
            },
            trunk: match &caller {
                Calling::User(_) => None,
                Calling::Trunk(line) => {
                    let carrier = Arc::new(Carrier::of_caller(line.clone()));
                    Some(TrunkSide::new(carrier, channel))
                }
            },
        };
        let call = self.calls.insert(Call::new(
            NewCall {
                number,
                call_id,
                caller: side,
                caller_user: Some(caller.label()),
                dialled,
                seat,
            },
            now,
        ));
        self.alarms
            .set(now, self.config.times.call_max, Alarm::CallMax(call));
        self.forward_with(now, forward, groups, Media::Begins(call), Some(caller));
    }

    /// A request without media of its own.
    pub(super) fn forward(&mut self, now: Instant, forward: Forward, groups: Vec<Group>) {
        self.forward_with(now, forward, groups, Media::None, None);
    }

    pub(super) fn forward_with(
        &mut self,
        now: Instant,
        forward: Forward,
        groups: Vec<Group>,
        media: Media,
        caller: Option<Calling>,
    ) {
        let Forward {
            server,
            flow,
            request,
            edits,
            is_trying,
            breadth,
            from_trunk,
            hides,
        } = forward;
        let is_invite = request.method() == Some(viaduct_sip::Method::Invite);
        if is_invite && !is_trying {
            let trying = viaduct_sip::ResponseBuilder::new(&request, StatusCode::TRYING).source(flow.remote);
            self.respond(now, server, StatusCode::TRYING, trying);
        }
        let context = self.contexts.insert(Box::new(Context {
            server,
            request,
            flow,
            is_invite,
            edits,
            media,
            caller,
            from_trunk,
            hides,
            breadth,
            branches: Vec::new(),
            masked: false,
            waiting: groups.into(),
            groups_started: 0,
            starting: false,
            best: None,
            challenges: Vec::new(),
            redirections: Vec::new(),
            answered: false,
            cancelled: false,
            server_ended: false,
        }));
        self.by_server.insert(server, context);
        self.start_next_group(now, context);
    }

    /// Sends a copy to a target, once it is known where that is.
    pub(super) fn start_branch(&mut self, now: Instant, id: ContextId, target: Target, breadth: Option<u32>) {
        let udp_to_tcp = self.config.udp_to_tcp;
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let via_branch = new_branch(&mut self.rng, self.loop_key, &context.request);
        let index = context.branches.len();
        let way = target.way.clone();
        let carrier = target.carrier.clone().filter(|_| context.is_new_call());
        context.branches.push(Branch::new(target, via_branch, breadth));
        if let Some(carrier) = carrier {
            let held = context.branches.iter().find_map(|branch| branch.channel.as_ref());
            match carrier
                .line
                .take_for(now, carrier.user.as_ref(), carrier.emergency, held)
            {
                Ok(channel) => context.branches[index].channel = Some(channel),
                Err(full) => return self.branch_failed(now, id, index, Best::Local(full.into())),
            }
        }
        match way {
            Way::Hop(hop) => {
                let attempt = attempt_on_hop(&context.branches[index].target, hop, udp_to_tcp);
                self.offer_branch(now, id, index, attempt);
            }
            Way::Resolve(next_hop) => self.resolve_branch(now, id, index, next_hop),
        }
    }

    /// It is known where a copy goes: it leaves at once, or when the relay has written its SDP.
    pub(super) fn offer_branch(&mut self, now: Instant, id: ContextId, index: usize, attempt: Attempt) {
        let media = self.prepare_offer(now, (id, index), &attempt.hop);
        self.mask_branch(id, index);
        let Some(branch) = self.branch_mut(id, index) else {
            return;
        };
        branch.attempt = Some(attempt);
        match media {
            Ok(None) => self.send_branch(now, id, index),
            Ok(Some(ticket)) => branch.state = BranchState::Offering(ticket),
            Err(refusal) => self.branch_failed(now, id, index, Best::Local(refusal)),
        }
    }

    /// Sends a copy where its attempt says, with the SDP that the relay wrote for it.
    pub(super) fn send_branch(&mut self, now: Instant, id: ContextId, index: usize) {
        // Edits of a message that was read before cannot contradict each other: a fault of ours, not of a peer.
        let Some(octets) = self.octets_of_branch(id, index) else {
            let refusal = Refusal::Overload("Cannot edit request");
            return self.branch_failed(now, id, index, Best::Local(refusal));
        };
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let is_invite = context.is_invite;
        let branch = &mut context.branches[index];
        let Some(attempt) = &branch.attempt else { return };
        let request = Request {
            octets,
            branch: branch.transaction_branch(),
            is_invite,
            hop: attempt.hop.clone(),
            patience: branch.patience(self.config.times.address_patience),
        };
        // A trunk may want it again, with a password.
        if branch.left.is_empty() && branch.target.carrier.is_none() {
            branch.sdp = None;
        }
        match self.layer.request(now, request) {
            Some(client) => {
                branch.state = BranchState::Sent;
                branch.client = Some(client);
                self.by_client.insert(client, (id, index));
            }
            None => {
                let refusal = Refusal::Overload("Too many transactions");
                self.branch_failed(now, id, index, Best::Local(refusal));
            }
        }
    }

    /// The copy of a branch for its attempt. When that is a datagram too large, the attempt becomes one over TCP, and the
    /// datagram waits for its failure.
    fn octets_of_branch(&mut self, id: ContextId, index: usize) -> Option<Bytes> {
        let context = self.contexts.get(id)?;
        let branch = &context.branches[index];
        let attempt = branch.attempt.clone()?;
        let octets = self.copy_of(context, branch, &attempt.hop).ok()?;
        let Some(stream) = self.stream_instead(&attempt, octets.len()) else {
            return Some(octets);
        };
        self.counters.hops_udp_to_tcp += 1;
        let branch = self.branch_mut(id, index)?;
        branch.left.push_front(Attempt {
            is_fixed: true,
            ..attempt
        });
        branch.attempt = Some(stream.clone());
        let context = self.contexts.get(id)?;
        self.copy_of(context, &context.branches[index], &stream.hop).ok()
    }

    pub(super) fn branch_mut(&mut self, id: ContextId, index: usize) -> Option<&mut Branch> {
        self.contexts.get_mut(id)?.branches.get_mut(index)
    }

    /// The request as it leaves on a branch.
    fn copy_of(&self, context: &Context, branch: &Branch, hop: &Hop) -> Result<Bytes, EditError> {
        let Context {
            request, flow, edits, ..
        } = context;
        let target = &branch.target;
        let mut edit = Edit::new(request);
        if request.request_uri_text() != Some(&target.uri) {
            edit.set_request_uri(&target.uri);
        }
        let hops = request.max_forwards().and_then(Result::ok);
        edit.set(
            HeaderName::MaxForwards,
            hops.map_or(70, |hops| hops.saturating_sub(1)).to_string(),
        );
        if let Some(breadth) = branch.breadth {
            edit.set(HeaderName::MaxBreadth, breadth.to_string());
        }
        if !target.hides {
            edit.mark_source(flow.remote);
        }
        edits.apply_to_routes(&mut edit, request);
        if let Some(path) = &target.path {
            put_path(&mut edit, path, &target.uri);
        }
        if let Some(line) = edits.credentials_line {
            edit.remove_line(line);
        }
        for header in &edits.headers {
            header.apply(&mut edit);
        }
        branch.mask.apply(request, &mut edit);
        for (name, value) in &branch.credentials {
            edit.append(*name, value);
        }
        let scheme = context.scheme();
        if target.hides {
            let found = match context.media {
                Media::Inside { call, leg, sender } => Some((call, leg, sender)),
                Media::Begins(_) | Media::None => None,
            };
            let from = self.way_to_sender(request, flow, found);
            self.hide_request(&mut edit, request, (scheme, hop), from);
        } else if edits.record_route {
            let call_id = request.call_id().unwrap_or_default().as_bytes();
            // The callee's side on top (RFC 5658 section 5).
            let upstream = (*flow).into();
            for side in [(&upstream, context.hides), (hop, false)] {
                edit.prepend(HeaderName::RecordRoute, self.record_route(call_id, side, scheme));
            }
        }
        // What a trunk is not to see has gone by here, so what is configured for it counts.
        for header in target.carrier.iter().flat_map(|carrier| &carrier.headers) {
            header.apply(&mut edit);
        }
        let via_branch = branch.transaction_branch();
        let via_branch = String::from_utf8_lossy(&via_branch);
        edit.prepend(
            HeaderName::Via,
            Via::value(hop.transport(), &self.sent_by(hop), &via_branch),
        );
        if let (Some(sdp), Some(part)) = (&branch.sdp, SdpPart::find(request)) {
            edit.set_body(None, &part.replace(request, sdp));
        }
        if hop.transport().is_reliable() {
            edit.ensure_content_length();
        }
        edit.finish()
    }

    /// Our Record-Route for the side that is reached over `hop`, and that may see nothing of the other if it `hides` it. In
    /// a dialog that a `sips` URI begins it is one, too (RFC 5630 section 3.1.3).
    pub(super) fn record_route(&self, call_id: &[u8], (hop, hides): (&Hop, bool), scheme: &str) -> String {
        let token = self.tokens.issue(call_id, hop, hides);
        ["<", &self.own_uri(scheme, &token, hop), ";lr>"].concat()
    }

    /// Host and port of ours as the peer at the end of this hop may write them.
    pub(super) fn sent_by(&self, hop: &Hop) -> String {
        match self.config.listener_of(hop.transport(), hop.local()) {
            Some(listener) => listener.sent_by(hop.local()),
            None => self.config.domain.clone(),
        }
    }
}

impl CommonEdits {
    /// Takes our Route values out, and makes up for strict routers on either side (RFC 3261 sections 16.4 and 16.6
    /// step 6).
    pub(super) fn apply_to_routes(&self, edit: &mut Edit<'_>, request: &Message) {
        for _ in 0..self.own_routes {
            edit.remove_first(HeaderName::Route);
        }
        let from_last = self.drop_last_route.then(|| edit.remove_last(HeaderName::Route));
        if self.strict_next {
            edit.remove_first(HeaderName::Route);
            match from_last.flatten() {
                Some(value) => edit.append(HeaderName::Route, value),
                None => {
                    let uri = request.request_uri_text().unwrap_or_default();
                    edit.append(HeaderName::Route, format!("<{uri}>"))
                }
            };
        }
    }
}

/// Sends a copy along the Path of its contact (RFC 3327 section 5.2). A strict router at its beginning gets what it
/// expects (RFC 3261 section 16.6 step 6).
pub(super) fn put_path(edit: &mut Edit<'_>, path: &str, uri: &str) {
    let mut values = viaduct_sip::elements(path.as_bytes());
    let first = values
        .next()
        .and_then(|value| viaduct_sip::NameAddr::parse(value).ok())
        .and_then(|addr| addr.uri().ok());
    let Some(first) = first.filter(|first| !first.is_loose_router()) else {
        edit.prepend(HeaderName::Route, path);
        return;
    };
    edit.set_request_uri(first.as_str());
    edit.append(HeaderName::Route, format!("<{uri}>"));
    let rest: Vec<&[u8]> = values.collect();
    if !rest.is_empty() {
        edit.prepend(HeaderName::Route, rest.join(&b", "[..]));
    }
}

/// Routers between us and the sender of a message, nearest first: the Record-Route values in it that are not `ours`.
pub(super) fn route_set(message: &Message, ours: &[String]) -> Vec<String> {
    let values = message.values(HeaderName::RecordRoute);
    let text = values.map(|value| String::from_utf8_lossy(value).into_owned());
    text.filter(|value| !ours.contains(value)).collect()
}

/// A branch of ours: random, with the mark by which a loop is seen.
pub(super) fn new_branch(rng: &mut impl Rng, loop_key: u64, request: &Message) -> Bytes {
    let mut branch = viaduct_sip::token::random_branch::<9>(|octets| rng.fill_bytes(octets));
    branch.push_str(&loop_mark(loop_key, request));
    branch.into()
}

/// Where a trunk that has sent a request with this Via may be connected to. Over TLS it has to be who we take it for when we
/// call it: what it writes into Via may be an address.
fn way_to_trunk(flow: &Flow, via: &Via<'_>, line: &Line) -> Option<Hop> {
    let mut way = way_to_sender(flow, via)?;
    if let Hop::Connect { name: Some(name), .. } = &mut way {
        *name = line.trunk().host.as_str().into();
    }
    Some(way)
}

/// What the caller speaks: what its account says, else what it offers, else what it came over.
fn caller_profile(forward: &Forward, caller: &Calling) -> Profile {
    let offered = || {
        let sdp = SdpPart::find(&forward.request)?.of(&forward.request);
        Profile::of_offer(&viaduct_sdp::Session::parse(&sdp).ok()?)
    };
    let by_flow = if forward.flow.transport.is_websocket() {
        Profile::Web
    } else {
        Profile::Phone
    };
    caller.profile().or_else(offered).unwrap_or(by_flow)
}

#[cfg(test)]
mod tests {
    use viaduct_sip::Transport;
    use viaduct_trunk::{Trunk, Trunks};

    use super::*;

    /// RFC 5922 section 7: the name that a certificate must carry is the one of the domain that is meant.
    #[test]
    fn a_trunk_that_is_connected_to_again_must_be_who_it_is_in_the_configuration() {
        let trunks = Trunks::new(vec![Trunk::new("a", "sbc.carrier.example")], None);
        let line = trunks.get("a").unwrap();
        let via = Via::parse(b"SIP/2.0/TLS 198.51.100.1:5071;branch=z9hG4bK1").unwrap();
        let flow = |transport| Flow {
            transport,
            local: ([192, 0, 2, 1], 5061).into(),
            remote: ([198, 51, 100, 1], 41_234).into(),
            conn: None,
        };
        for (transport, name) in [
            (Transport::Tls, Some("sbc.carrier.example".into())),
            (Transport::Tcp, None),
        ] {
            let way = Hop::Connect {
                transport,
                local: ([192, 0, 2, 1], 5061).into(),
                remote: ([198, 51, 100, 1], 5071).into(),
                name,
            };
            assert_eq!(way_to_trunk(&flow(transport), &via, line), Some(way));
        }
        assert_eq!(way_to_trunk(&flow(Transport::Udp), &via, line), None);
    }
}
