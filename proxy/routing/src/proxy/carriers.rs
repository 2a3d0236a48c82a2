//! Trunks: calls that come in from one, calls that go out through one, and what is different about them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_resolve::NextHop;
use viaduct_sip::{HeaderName, Host, Message, Method, StatusCode, Uri, delta_seconds};
use viaduct_trunk::{CallerId, Changes, CseqMap, FailPolicy, Line, Unanswered};
use viaduct_txn::Flow;

use super::Proxy;
use super::admitted::Admitted;
use super::arrival::Arrival;
use super::targets::Dialled;
use crate::Refusal;
use crate::body::SdpPart;
use crate::call::LegId;
use crate::calling::Calling;
use crate::calls::CallKey;
use crate::carried::{Carrier, Mask, TrunkSide, rack};
use crate::context::{Best, CommonEdits, ContextId, Media, Target, Way};
use crate::media::Party;
use crate::route::Routing;

/// How often one request is sent with a password. The second time is for a nonce that was too old.
const PROOFS_MAX: u32 = 2;

impl Proxy {
    /// The trunk that requests over this flow come from.
    pub(super) fn trunk_at(&self, flow: Flow) -> Option<Line> {
        if self.config.trunks.is_empty() || flow.transport.is_websocket() {
            return None;
        }
        let trunks = &self.config.trunks;
        let proven = trunks.by_proof(self.proven_names(&flow));
        proven.or_else(|| trunks.by_source(flow.remote.ip())).cloned()
    }

    /// A request from a trunk, outside any dialog: for one of our users or services, never back out.
    pub(super) fn forward_from_trunk(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        routing: &Routing,
        uri: &Uri<'_>,
        line: &Line,
    ) -> Result<(), Refusal> {
        let Arrival {
            server,
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let dialled = called_by(line, request, uri).ok_or(Refusal::UnknownUser)?;
        let number = line.trunk().arriving(&self.config.numbers, &dialled);
        let inside = self.replaced_inside(request, uri);
        if inside.is_none() && !line.trunk().has_number(&number) {
            line.count(|counters| counters.foreign_numbers += 1);
            return Err(Refusal::UnknownUser);
        }
        let method = essentials.cseq.method;
        let admitted = Admitted {
            server: *server,
            flow: *flow,
            request: (*request).clone(),
            caller: Calling::Trunk(line.clone()),
            number,
            dialled,
            gruu: None,
            inside,
            secure: uri.is_sips(),
            edits: CommonEdits {
                record_route: method.makes_dialog(),
                headers: viaduct_trunk::from_trunk(request),
                ..CommonEdits::of(routing)
            },
            is_trying: arrival.has_waited,
            rule: None,
            shown: Changes::default(),
        };
        self.send_on(now, admitted)
    }

    /// A trunk as the target of a request. `None` for one that nothing can be sent to, or not securely where it must be.
    pub(super) fn trunk_target(
        &self,
        wanted: &Dialled<'_>,
        line: Line,
        policy: FailPolicy,
        secure: bool,
    ) -> Option<Target> {
        let Calling::User(user) = wanted.caller else {
            return None;
        };
        let (trunk, plan, domain) = (line.trunk(), &self.config.numbers, &self.config.domain);
        let emergency = plan.is_emergency(wanted.number) || plan.is_emergency(wanted.dialled);
        let called = trunk.dialling(plan, wanted.number);
        let id = CallerId::choose(wanted.request, &user.identities, trunk, plan).changed(wanted.shown, plan);
        let is_known = id.number.is_some() || trunk.account.is_some() || id.anonymous;
        let uri = trunk.uri_of(&called);
        let hides = trunk.hides_topology;
        let host = viaduct_trunk::host_text(&trunk.host);
        let next_hop = NextHop::new(&Host::parse(&host).ok()?, trunk.port, trunk.transport, secure).ok()?;
        Some(Target {
            patience: Some(policy.first_answer),
            carrier: Some(Arc::new(Carrier {
                user: Some(user.name.as_str().into()),
                policy,
                emergency,
                headers: {
                    let mut headers = id.header_edits(trunk, plan, domain);
                    headers.extend(trunk.request_edits());
                    headers
                },
                from: is_known.then(|| id.from_value(trunk, plan, domain)),
                to: hides.then(|| format!("<{uri}>")),
                line,
            })),
            hides,
            ..Target::new(uri, Way::Resolve(next_hop))
        })
    }

    /// The leg of a branch that goes to a trunk has its place there, and counts what is sent to it.
    pub(super) fn seat_on_trunk(&mut self, (id, index): (ContextId, usize), call: CallKey, leg: LegId) {
        let Some(branch) = self.branch_mut(id, index) else {
            return;
        };
        let (Some(carrier), channel) = (branch.target.carrier.clone(), branch.channel.take()) else {
            return;
        };
        if let Some(side) = self
            .calls
            .get_mut(call)
            .and_then(|call| call.side_mut(leg, Party::Callee))
        {
            side.trunk = Some(TrunkSide::new(carrier, channel));
        }
    }

    /// The trunk that one side of a dialog is.
    pub(super) fn carrier_of(&self, call: CallKey, leg: LegId, party: Party) -> Option<Arc<Carrier>> {
        let side = self.calls.get(call)?.side(leg, party)?;
        side.trunk.as_ref().map(|trunk| Arc::clone(&trunk.carrier))
    }

    /// Says what a branch has otherwise than the request that came.
    pub(super) fn mask_branch(&mut self, id: ContextId, index: usize) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let request = context.request.clone();
        let branch = &context.branches[index];
        let mask = match context.media {
            Media::Begins(call) => {
                let leg = self
                    .calls
                    .get(call)
                    .and_then(|call| call.leg_of_branch(&branch.via_branch));
                leg.map(|leg| self.dialog_mask(call, leg, Party::Caller, &request))
            }
            Media::Inside { call, leg, sender } => Some(self.dialog_mask(call, leg, sender, &request)),
            Media::None => branch.target.carrier.as_ref().map(|carrier| Mask {
                from: carrier.from.clone(),
                to: carrier.to.clone(),
                ..Mask::default()
            }),
        };
        let Some(mask) = mask.filter(|mask| !mask.is_empty()) else {
            return;
        };
        if let Some(context) = self.contexts.get_mut(id) {
            context.masked = true;
            context.branches[index].mask = mask;
        }
    }

    /// In what a request of `sender` differs on the other side of its dialog.
    pub(super) fn dialog_mask(
        &mut self,
        call: CallKey,
        leg: LegId,
        sender: Party,
        request: &Message,
    ) -> Mask {
        let mut mask = Mask::default();
        let Some(call) = self.calls.get_mut(call) else {
            return mask;
        };
        if sender == Party::Callee {
            let callee = call.side(leg, Party::Callee).and_then(|side| side.trunk.as_ref());
            if callee.is_some_and(|trunk| trunk.carrier.from.is_some()) {
                mask.to = Some(call.caller.address.clone());
            }
            if callee.is_some_and(|trunk| trunk.carrier.to.is_some()) {
                mask.from = call.leg(leg).map(|leg| leg.callee.address.clone());
            }
        }
        let receiver = call.side_mut(leg, sender.other());
        if let Some(trunk) = receiver.and_then(|side| side.trunk.as_mut()) {
            mask.from.clone_from(&trunk.carrier.from);
            mask.to.clone_from(&trunk.carrier.to);
            let came = request.cseq().and_then(Result::ok).map_or(0, |cseq| cseq.number);
            let leaves = match request.method() {
                Some(Method::Ack) => trunk.cseq.of(came),
                _ => trunk.cseq.leave(came),
            };
            mask.cseq = (leaves != came).then_some(leaves);
            if let Some((_, invite)) = rack(request) {
                let left = trunk.cseq.of(invite);
                mask.rack = (left != invite).then_some(left);
            }
        }
        mask
    }

    pub(super) fn is_for_trunk(&self, id: ContextId, index: usize) -> bool {
        let context = self.contexts.get(id);
        context.is_some_and(|context| context.branches[index].target.carrier.is_some())
    }

    /// A trunk wants to be shown who we are (RFC 3261 section 22.3): the request goes there again, with a higher CSeq.
    /// False when it cannot be shown.
    pub(super) fn prove_to_trunk(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
    ) -> bool {
        let cnonce = self.random_token();
        let Some(context) = self.contexts.get(id) else {
            return false;
        };
        let branch = &context.branches[index];
        let Some(carrier) = branch.target.carrier.clone() else {
            return false;
        };
        carrier.line.count(|counters| counters.challenged += 1);
        let may =
            branch.proofs < PROOFS_MAX && !branch.is_cancelled && !context.answered && !context.cancelled;
        let (Some(account), Some(method), true) =
            (&carrier.line.trunk().account, context.request.method(), may)
        else {
            return false;
        };
        let sdp = branch.sdp.as_ref().zip(SdpPart::find(&context.request));
        let written = sdp.map(|(sdp, part)| part.replace(&context.request, sdp));
        let asked = viaduct_trunk::Asked {
            method,
            uri: &branch.target.uri,
            body: written.as_deref().unwrap_or(context.request.body()),
            cnonce: &cnonce,
            again: branch.proofs > 0,
        };
        let credentials = match account.answer(response, &asked) {
            Ok(credentials) => credentials,
            Err(Unanswered::Refused | Unanswered::NoChallenge) => {
                carrier.line.count(|counters| counters.refused_credentials += 1);
                return false;
            }
        };
        let cseq = self.next_cseq(id, index);
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        context.masked = true;
        let branch = &mut context.branches[index];
        branch.mask.cseq = Some(cseq);
        branch.credentials = credentials;
        branch.proofs += 1;
        branch.attempts += 1;
        branch.client = None;
        branch.is_heard = false;
        // A timer C of the first one concerns this one no more.
        branch.ring += 1;
        self.send_branch(now, id, index);
        true
    }

    /// The CSeq number that a branch is sent again with.
    fn next_cseq(&mut self, id: ContextId, index: usize) -> u32 {
        let Some(context) = self.contexts.get(id) else {
            return 1;
        };
        let branch = &context.branches[index];
        let cseq = context.request.cseq().and_then(Result::ok);
        let came = cseq.map_or(0, |cseq| cseq.number);
        let (call, leg, receiver) = match context.media {
            Media::Begins(call) => {
                let leg = self
                    .calls
                    .get(call)
                    .and_then(|call| call.leg_of_branch(&branch.via_branch));
                (Some(call), leg, Party::Callee)
            }
            Media::Inside { call, leg, sender } => (Some(call), Some(leg), sender.other()),
            Media::None => (None, None, Party::Callee),
        };
        let sent = branch.mask.cseq.unwrap_or(came);
        let side = call
            .zip(leg)
            .and_then(|(call, leg)| self.calls.get_mut(call)?.side_mut(leg, receiver));
        match side.and_then(|side| side.trunk.as_mut()) {
            Some(trunk) => trunk.cseq.leave_again(came),
            // Outside any dialog nobody else counts.
            None => CseqMap::new().leave_again(sent),
        }
    }

    /// A branch to a trunk failed: whether the next trunk is tried is for the rule to say.
    pub(super) fn trunk_failed(&mut self, now: Instant, id: ContextId, index: usize, best: &Best) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let Some(carrier) = context.branches[index].target.carrier.clone() else {
            return;
        };
        if matches!(context.media, Media::Inside { .. }) {
            return;
        }
        let goes_on = match best {
            Best::Received(response) => {
                let status = response.status().map_or(0, StatusCode::get);
                if status == 503 {
                    let wish = response.header(HeaderName::RetryAfter).and_then(delta_seconds);
                    carrier
                        .line
                        .rest(now, wish.map(|s| Duration::from_secs(s.into())));
                }
                carrier.policy.goes_on_after(status)
            }
            Best::Local(Refusal::NoTrunk(_)) => true,
            Best::Local(_) | Best::Timeout => {
                carrier.line.count(|counters| counters.failed += 1);
                true
            }
            Best::Terminated => false,
        };
        if let (Best::Received(_), true) = (best, goes_on) {
            carrier.line.count(|counters| counters.failed += 1);
        }
        if !goes_on {
            context.waiting.clear();
        }
    }
}

/// What a trunk calls. A call for the Contact that we registered says in To which number is meant.
fn called_by(line: &Line, request: &Message, uri: &Uri<'_>) -> Option<String> {
    let dialled = viaduct_trunk::dialled(uri)?;
    if dialled != line.trunk().name {
        return Some(dialled);
    }
    let to = request.to()?.ok()?;
    viaduct_trunk::dialled(&to.uri().ok()?)
}
