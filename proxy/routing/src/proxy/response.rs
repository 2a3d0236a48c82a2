//! Answers come back (RFC 3261 section 16.7).

use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{Edit, HeaderName, Message, Method, StatusCode};
use viaduct_txn::{ClientId, ServerId};

use super::redirect::read_again;
use super::relay::{RelayUse, Rewriting};
use super::{Alarm, Proxy};
use crate::body::SdpPart;
use crate::call::{CallState, LegId};
use crate::calls::CallKey;
use crate::carried::Mask;
use crate::context::{Best, BranchState, ContextId, Media};
use crate::media::Party;
use crate::route;
use crate::{CallEnd, Event, ProxyEnd, Refusal, Ticket};

/// The Reason of a CANCEL to the branches that lost (RFC 3326): phones show no missed call.
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Proxy {
    pub(super) fn response_received(&mut self, now: Instant, response: &Message) {
        let Ok(essentials) = response.essentials() else {
            self.counters.dropped += 1;
            return;
        };
        let Some(client) = self.layer.handle_response(now, response, &essentials) else {
            return;
        };
        let Some(&(id, index)) = self.by_client.get(client) else {
            if !self.trunk_answered(now, client, response) {
                self.bye_answered(now, client, response);
            }
            return;
        };
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .map(|context| &mut context.branches[index])
        else {
            return;
        };
        branch.is_heard = true;
        if let BranchState::Answering { .. } = branch.state {
            // Answers go on in the order in which they came.
            if branch.inbox.len() < self.config.limits.answers_waiting_max {
                branch.inbox.push_back(response.clone());
            } else {
                self.counters.answers_over_limit += 1;
            }
            return;
        }
        self.branch_answered(now, id, index, response);
    }

    /// One answer of a branch, none before it being under way.
    fn branch_answered(&mut self, now: Instant, id: ContextId, index: usize, response: &Message) {
        let Some(status) = response.status() else { return };
        if status == StatusCode::TRYING {
            return;
        }
        if status.is_provisional() {
            self.restart_ringing(now, id, index);
        }
        if status.get() < 300 {
            self.learn_callee(id, index, response);
            match self.prepare_answer(now, id, index, response) {
                Ok(Sdp::AsItIs) => {}
                Ok(Sdp::Known(sdp)) => return self.deliver(now, id, index, response, Some(&sdp)),
                Ok(Sdp::Asked(ticket)) => {
                    if let Some(context) = self.contexts.get_mut(id) {
                        let response = response.clone();
                        context.branches[index].state = BranchState::Answering { ticket, response };
                    }
                    return;
                }
                Err(refusal) => return self.answer_lost(now, id, index, response, refusal),
            }
        }
        self.deliver(now, id, index, response, None);
    }

    /// The SDP of an answer is ready, or will never be.
    pub(super) fn answer_written(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        ticket: Ticket,
        sdp: Result<Bytes, Refusal>,
    ) {
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .and_then(|context| context.branches.get_mut(index))
        else {
            return;
        };
        let response = match &branch.state {
            BranchState::Answering {
                ticket: waited,
                response,
            } if *waited == ticket => response.clone(),
            _ => return,
        };
        branch.state = BranchState::Sent;
        match sdp {
            Ok(sdp) => self.deliver(now, id, index, &response, Some(&sdp)),
            Err(refusal) => self.answer_lost(now, id, index, &response, refusal),
        }
        self.drain_inbox(now, id, index);
    }

    /// Takes up the answers that came meanwhile, until one of them needs the relay again.
    fn drain_inbox(&mut self, now: Instant, id: ContextId, index: usize) {
        loop {
            let Some(branch) = self
                .contexts
                .get_mut(id)
                .and_then(|context| context.branches.get_mut(index))
            else {
                return;
            };
            if !matches!(branch.state, BranchState::Sent | BranchState::Done) {
                return;
            }
            let Some(next) = branch.inbox.pop_front() else {
                return;
            };
            self.branch_answered(now, id, index, &next);
        }
    }

    /// Sends an answer upstream, or weighs it against others.
    fn deliver(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
        sdp: Option<&Bytes>,
    ) {
        let Some(status) = response.status() else { return };
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        if status.is_provisional() {
            // A device that is given up rings for nobody any more.
            if !context.answered && !context.branches[index].given_up {
                self.send_upstream(now, id, Some(index), response, sdp);
            }
            return;
        }
        if status.is_success() {
            let first = !context.answered;
            if !first && !context.is_invite {
                return self.branch_done(now, id, index);
            }
            self.leg_answered(id, index);
            self.observe_session(now, id, response);
            self.send_upstream(now, id, Some(index), response, sdp);
            if let Some(context) = self.contexts.get_mut(id) {
                context.answered = true;
                context.waiting.clear();
                context.branches[index].state = BranchState::Done;
            }
            if first {
                self.cancel_others(now, id, index, Some(ELSEWHERE));
                self.taken(now, id, index);
            }
            return self.finish_if_done(now, id);
        }
        if status.class() == 6 {
            if let Some(context) = self.contexts.get_mut(id) {
                context.waiting.clear();
            }
            self.cancel_others(now, id, index, None);
        }
        if matches!(status.get(), 401 | 407) && self.is_for_trunk(id, index) {
            return match self.prove_to_trunk(now, id, index, response) {
                true => {}
                false => self.branch_failed(now, id, index, Best::Local(Refusal::TrunkRefusedUs)),
            };
        }
        if status.class() == 3
            && self.is_for_trunk(id, index)
            && self.trunk_redirected(now, id, index, response)
        {
            return;
        }
        if status.class() == 3 && self.follow_redirect(now, id, index, response) {
            return;
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && self.try_next_address(now, id, index) {
            return;
        }
        self.branch_failed(now, id, index, Best::Received(response.clone()));
    }

    /// Removes our Via and hands the answer to the one before us. `index` is the branch of an answer below 300.
    pub(super) fn send_upstream(
        &mut self,
        now: Instant,
        id: ContextId,
        index: Option<usize>,
        response: &Message,
        sdp: Option<&Bytes>,
    ) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let Some(status) = response.status() else { return };
        let mut edit = Edit::new(response);
        edit.remove_first(HeaderName::Via);
        if context.masked {
            Mask::remove(&context.request, response, &mut edit);
        }
        let branch = index.and_then(|index| context.branches.get(index));
        if context.has_hidden(branch) {
            self.put_back(&mut edit, context, branch, response);
        }
        if context.hides {
            self.hide_response(&mut edit, context, branch, response);
        }
        for header in context.from_trunk.iter().flat_map(|line| line.trunk().withheld()) {
            header.apply(&mut edit);
        }
        if let (Some(sdp), Some(part)) = (sdp, SdpPart::find(response)) {
            edit.set_body(None, &part.replace(response, sdp));
        }
        if context.flow.transport.is_reliable() {
            edit.ensure_content_length();
        }
        match edit.finish() {
            Ok(octets) => self.layer.respond(now, context.server, status, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// A branch ended without success. The relay forgets it, and the caller is told when it was the last.
    pub(super) fn branch_failed(&mut self, now: Instant, id: ContextId, index: usize, best: Best) {
        if self.try_other_flow(now, id, index, &best) {
            return;
        }
        self.trunk_failed(now, id, index, &best);
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        match best {
            // We cancelled it because it rang too long: its user has said nothing.
            Best::Received(response)
                if context.branches[index].given_up
                    && response.status() == Some(StatusCode::REQUEST_TERMINATED) =>
            {
                context.refuse_with(Best::Timeout);
            }
            Best::Received(response) => match response.status().map_or(0, StatusCode::get) {
                300..=399 => self.keep_redirection(id, response),
                status => {
                    if let 401 | 407 = status {
                        context.collect_challenges(&response);
                    }
                    context.refuse_with(Best::Received(response));
                }
            },
            best => context.refuse_with(best),
        }
        self.branch_done(now, id, index);
    }

    pub(super) fn branch_done(&mut self, now: Instant, id: ContextId, index: usize) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let branch = &mut context.branches[index];
        branch.state = BranchState::Done;
        branch.inbox.clear();
        branch.channel = None;
        if let Media::Begins(call) = context.media {
            let via_branch = context.branches[index].via_branch.clone();
            if let Some(leg) = self
                .calls
                .get(call)
                .and_then(|call| call.leg_of_branch(&via_branch))
            {
                self.forget_leg(call, leg);
            }
        }
        self.finish_if_done(now, id);
    }

    /// When every branch is done: the best refusal goes upstream, and what the request meant for its call happens.
    pub(super) fn finish_if_done(&mut self, now: Instant, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if !context.all_done() {
            return;
        }
        if !context.answered && !context.cancelled && !context.waiting.is_empty() {
            return self.start_next_group(now, id);
        }
        let mut refused = None;
        if !context.answered {
            context.answered = true;
            // A caller who gave up is told so, unless somebody downstream said something stronger.
            let best = context
                .best
                .take()
                .filter(|best| !context.cancelled || best.status().class() == 6);
            let otherwise = if context.cancelled {
                Best::Terminated
            } else {
                Best::Timeout
            };
            let best = best.unwrap_or(otherwise);
            refused = Some(best.status().get());
            self.send_refusal(now, id, best);
        }
        self.request_over(now, id, refused);
        self.drop_if_over(id);
    }

    fn send_refusal(&mut self, now: Instant, id: ContextId, best: Best) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let (server, flow, request) = (context.server, context.flow, context.request.clone());
        let (media, is_invite, cancelled) = (context.media, context.is_invite, context.cancelled);
        let status = best.status();
        let mut reason = status.default_reason().to_owned();
        match best {
            // Nobody is told that a request other than INVITE timed out, here or elsewhere (RFC 4320 section 4.2).
            best if !is_invite && best.status() == StatusCode::REQUEST_TIMEOUT => {
                self.layer.leave_unanswered(now, server);
            }
            Best::Received(response) => {
                if let viaduct_sip::Start::Response { reason: text, .. } = response.start() {
                    reason = String::from_utf8_lossy(text).into_owned();
                }
                self.send_received_refusal(now, id, &response);
            }
            Best::Local(refusal) => {
                // Only 481 and 408 make sure that whoever says BYE is done with the dialog (RFC 3261 section 15.1.1).
                let is_bye = request.method() == Some(Method::Bye);
                let refusal = if is_bye && refusal == Refusal::FlowGone {
                    Refusal::NoDialog
                } else {
                    refusal
                };
                reason = refusal.to_string();
                self.refuse(now, server, flow, &refusal);
            }
            Best::Timeout | Best::Terminated => {
                let answer = self.answer_builder(&request, flow, status);
                self.respond(now, server, status, answer);
            }
        }
        if let Media::Begins(call) = media {
            let end = if cancelled {
                CallEnd::Cancelled
            } else {
                CallEnd::Failed {
                    status: status.get(),
                    reason,
                }
            };
            self.call_over(now, call, end);
        }
    }

    /// A lone 503 would make the caller avoid this proxy, not the one behind it (RFC 3261 section 16.7, step 6), and that
    /// a flow failed means nothing to a caller (RFC 5626 section 5.3).
    fn send_received_refusal(&mut self, now: Instant, id: ContextId, response: &Message) {
        let status = match response.status().map(StatusCode::get) {
            Some(300..=399) => return self.send_redirection(now, id, response),
            Some(401 | 407) => return self.send_challenges(now, id, response),
            Some(430) => StatusCode::TEMPORARILY_UNAVAILABLE,
            Some(503) => StatusCode::SERVER_INTERNAL_ERROR,
            _ => return self.send_upstream(now, id, None, response, None),
        };
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let (server, flow, request) = (context.server, context.flow, context.request.clone());
        let answer = self.answer_builder(&request, flow, status);
        self.respond(now, server, status, answer);
    }

    /// A challenge carries what every branch wants to be proven (RFC 3261 section 16.7 step 7).
    fn send_challenges(&mut self, now: Instant, id: ContextId, response: &Message) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let mut edit = Edit::new(response);
        for (name, value) in &context.challenges {
            let is_there = response
                .headers(*name)
                .any(|header| *header.unfolded() == **value);
            if !is_there {
                edit.append(*name, value);
            }
        }
        let merged = read_again(edit);
        self.send_upstream(now, id, None, merged.as_ref().unwrap_or(response), None);
    }

    /// What the end of a request means for the call that it belongs to.
    fn request_over(&mut self, now: Instant, id: ContextId, refused: Option<u16>) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let Media::Inside { call, leg, sender } = context.media else {
            return;
        };
        let is_target_refresh = matches!(context.request.method(), Some(Method::Invite | Method::Update));
        let gone = is_target_refresh && matches!(refused, Some(481 | 408));
        if context.request.method() == Some(Method::Bye) {
            let end = match sender {
                Party::Caller => CallEnd::ByCaller,
                Party::Callee => CallEnd::ByCallee,
            };
            self.leg_over(now, call, leg, end);
        } else if gone {
            // RFC 5057 section 5.1: the dialog is gone at that end.
            self.end_call(now, call, ProxyEnd::DialogGone);
        }
    }

    /// A 2xx came from this branch: there is a dialog with its callee.
    fn leg_answered(&mut self, id: ContextId, index: usize) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let Media::Begins(key) = context.media else { return };
        let via_branch = &context.branches[index].via_branch;
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if let Some(leg) = call.leg_of_branch(via_branch).and_then(|leg| call.leg_mut(leg)) {
            leg.answered = true;
        }
    }

    /// A 2xx came first from this branch: the call is taken.
    fn taken(&mut self, now: Instant, id: ContextId, index: usize) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let Media::Begins(key) = context.media else { return };
        if let Some(carrier) = &context.branches[index].target.carrier {
            carrier.line.count(|counters| counters.answered += 1);
        }
        let via_branch = &context.branches[index].via_branch;
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        call.taken_by = call.leg_of_branch(via_branch);
        call.state = CallState::Answered;
        call.answered = Some(now);
        let (number, after) = (call.number, now.saturating_duration_since(call.started));
        self.counters.calls_answered += 1;
        self.event(Event::CallAnswered { call: number, after });
    }

    /// An answer whose SDP cannot be written. A provisional one is not worth a call; without the final one there is no
    /// media, so the callee is told that the call is over and the caller that it failed.
    fn answer_lost(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
        refusal: Refusal,
    ) {
        if response.status().is_none_or(StatusCode::is_provisional) {
            return;
        }
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        if let Media::Begins(call) = context.media {
            let via_branch = context.branches[index].via_branch.clone();
            if let Some(leg) = self
                .calls
                .get(call)
                .and_then(|call| call.leg_of_branch(&via_branch))
            {
                self.end_callee(now, call, leg, response, ProxyEnd::RelayFailed);
            }
        }
        self.branch_failed(now, id, index, Best::Local(refusal));
    }

    /// What an answer says about the endpoint that gave it.
    fn learn_callee(&mut self, id: ContextId, index: usize, response: &Message) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let found = match context.media {
            Media::None => None,
            Media::Begins(call) => {
                let via_branch = &context.branches[index].via_branch;
                self.calls
                    .get(call)
                    .and_then(|entry| entry.leg_of_branch(via_branch))
                    .map(|leg| (call, leg, Party::Callee))
            }
            Media::Inside { call, leg, sender } => Some((call, leg, sender.other())),
        };
        let Some((call, leg, party)) = found else { return };
        let call_id = response.call_id().unwrap_or_default().as_bytes();
        let (ours, at) = ((&*self.config, &self.tokens), context.flow.local);
        // The callee's side stands above our values, the caller's below (RFC 3261 section 16.6 step 4).
        let routes = response
            .values(HeaderName::RecordRoute)
            .take_while(|value| !route::is_own_record_route(ours, at, call_id, value));
        let mut routes: Vec<String> = routes
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        routes.reverse();
        let begins = matches!(context.media, Media::Begins(_));
        let tag = response
            .to()
            .and_then(Result::ok)
            .and_then(|to| to.tag())
            .map(|tag| response.share(tag.as_bytes()));
        let Some(side) = self
            .calls
            .get_mut(call)
            .and_then(|call| call.side_mut(leg, party))
        else {
            return;
        };
        if begins {
            side.tag = tag.or_else(|| side.tag.take());
            side.learn(response, routes);
        } else if let Some(contact) = crate::call::contact_uri(response) {
            // A target refresh (RFC 3261 section 12.2.1.2); the route set stays.
            side.contact = Some(contact);
        }
    }

    /// Asks the relay to write the SDP of an answer, unless it did so before.
    fn prepare_answer(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
    ) -> Result<Sdp, Refusal> {
        let Some(context) = self.contexts.get(id).filter(|_| self.config.media.relayed) else {
            return Ok(Sdp::AsItIs);
        };
        let carries = matches!(
            context.request.method(),
            Some(Method::Invite | Method::Update | Method::Prack)
        );
        let (Some(part), true) = (SdpPart::find(response), carries) else {
            return Ok(Sdp::AsItIs);
        };
        let Some((call, leg, from)) = self.leg_of(context.media, &context.branches[index].via_branch) else {
            return Ok(Sdp::AsItIs);
        };
        let received = part.to_rewrite(response)?;
        let Some(entry) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else {
            return Ok(Sdp::AsItIs);
        };
        let operation = entry.exchange.response(from);
        if let Some(known) = entry.repeat(from, operation, &received) {
            return Ok(Sdp::Known(known.clone()));
        }
        let rewriting = Rewriting {
            call,
            leg,
            from,
            operation,
            received,
        };
        let ticket = self.rewrite(now, rewriting, |rewriting| RelayUse::Response {
            context: id,
            branch: index,
            rewriting,
        })?;
        Ok(Sdp::Asked(ticket))
    }

    /// Whose SDP an answer carries.
    fn leg_of(&self, media: Media, via_branch: &[u8]) -> Option<(CallKey, LegId, Party)> {
        match media {
            Media::None => None,
            Media::Begins(call) => Some((
                call,
                self.calls.get(call)?.leg_of_branch(via_branch)?,
                Party::Callee,
            )),
            Media::Inside { call, leg, sender } => Some((call, leg, sender.other())),
        }
    }

    /// A provisional answer restarts timer C (RFC 3261 section 16.7, step 2).
    fn restart_ringing(&mut self, now: Instant, id: ContextId, index: usize) {
        let Some(context) = self.contexts.get_mut(id).filter(|context| context.is_invite) else {
            return;
        };
        let branch = &mut context.branches[index];
        branch.ring += 1;
        let alarm = Alarm::Ringing {
            context: id,
            branch: index,
            ring: branch.ring,
        };
        self.alarms.set(now, self.config.times.ringing_max, alarm);
    }

    /// Timer C fired (RFC 3261 section 16.8).
    pub(super) fn rang_too_long(&mut self, now: Instant, id: ContextId, index: usize, ring: u32) {
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .and_then(|context| context.branches.get_mut(index))
        else {
            return;
        };
        if branch.ring == ring {
            self.give_up_branch(now, id, index);
        }
    }

    pub(super) fn client_timed_out(&mut self, now: Instant, client: ClientId) {
        let Some((id, index)) = self.by_client.get(client).copied() else {
            self.trunk_unanswered(now, client);
            return;
        };
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let branch = &context.branches[index];
        if branch.is_done() || branch.client != Some(client) {
            return;
        }
        let best = if context.cancelled {
            Best::Terminated
        } else {
            Best::Timeout
        };
        self.address_is_dead(id, index);
        if !self.try_next_address(now, id, index) {
            self.branch_failed(now, id, index, best);
        }
    }

    /// The transport refused a copy: as if its target had answered 503 (RFC 3261 section 16.9). A flow that is gone
    /// means that its user is.
    pub(super) fn send_failed(&mut self, now: Instant, client: ClientId) {
        let Some((id, index)) = self.by_client.get(client).copied() else {
            if !self.trunk_unanswered(now, client) {
                self.layer.abandon(client);
            }
            return;
        };
        let Some(branch) = self.contexts.get(id).map(|context| &context.branches[index]) else {
            return;
        };
        let is_awaited = !branch.is_done() && branch.client == Some(client);
        let (lost, refusal) = (branch.conn(), branch.unreachable());
        self.layer.abandon(client);
        if is_awaited {
            self.address_is_dead(id, index);
            if !self.try_next_address(now, id, index) {
                self.branch_failed(now, id, index, Best::Local(refusal));
            }
        }
        if let Some(conn) = lost {
            self.unregister_connection(now, conn);
        }
    }

    pub(super) fn server_ended(&mut self, server: ServerId) {
        let Some(id) = self.by_server.remove(server) else {
            return;
        };
        if let Some(context) = self.contexts.get_mut(id) {
            context.server_ended = true;
        }
        self.drop_if_over(id);
    }

    pub(super) fn client_ended(&mut self, client: ClientId) {
        let Some((id, index)) = self.by_client.remove(client) else {
            return self.trunk_client_ended(client);
        };
        if let Some(context) = self.contexts.get_mut(id) {
            let branch = &mut context.branches[index];
            // Another address may have been tried since.
            if branch.client == Some(client) {
                branch.client = None;
            }
        }
        self.drop_if_over(id);
    }

    fn drop_if_over(&mut self, id: ContextId) {
        if self.contexts.get(id).is_some_and(|context| context.is_over()) {
            self.contexts.remove(id);
        }
    }
}

/// What an answer's SDP needs.
enum Sdp {
    /// There is none, or none that is ours to change.
    AsItIs,
    /// The relay wrote it before.
    Known(Bytes),
    /// The relay is asked.
    Asked(Ticket),
}
