//! The caller gives up (RFC 3261 sections 9.2 and 16.10).

use std::sync::Arc;
use std::time::Instant;

use viaduct_sip::{HeaderName, StatusCode};
use viaduct_txn::{Flow, ServerId};

use super::Proxy;
use crate::Refusal;
use crate::context::{BranchState, ContextId};

impl Proxy {
    pub(super) fn cancel_received(
        &mut self,
        now: Instant,
        flow: Flow,
        cancel: ServerId,
        invite: Option<ServerId>,
    ) {
        let Some(invite) = invite else {
            return self.refuse(now, cancel, flow, &Refusal::NothingToCancel);
        };
        let Some(request) = self.layer.server_request(cancel).cloned() else {
            return;
        };
        // Answered at once, whatever becomes of the INVITE, or has become of it.
        let answer = self.answer_builder(&request, flow, StatusCode::OK);
        self.respond(now, cancel, StatusCode::OK, answer);
        if !self.layer.is_pending(invite) {
            return;
        }
        if self.is_looked_up(invite) {
            self.cancel_looked_up(now, invite);
        }
        if self.is_undecided(invite) {
            self.cancel_undecided(now, invite);
        }
        if let Some(&context) = self.by_server.get(invite) {
            let reason = request.text(HeaderName::Reason).map(Arc::from);
            self.cancel_context(now, context, reason.as_ref());
        }
    }

    /// Cancels every branch of a request that has no final answer.
    pub(super) fn cancel_context(&mut self, now: Instant, id: ContextId, reason: Option<&Arc<str>>) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if context.answered || context.cancelled {
            return;
        }
        context.cancelled = true;
        context.waiting.clear();
        for index in 0..context.branches.len() {
            self.cancel_branch(now, id, index, reason);
        }
        self.finish_if_done(now, id);
    }

    /// Cancels the branches that lost against `winner`.
    pub(super) fn cancel_others(
        &mut self,
        now: Instant,
        id: ContextId,
        winner: usize,
        reason: Option<&'static str>,
    ) {
        let Some(context) = self.contexts.get(id).filter(|context| context.is_invite) else {
            return;
        };
        let reason = reason.map(Arc::from);
        for index in (0..context.branches.len()).filter(|&index| index != winner) {
            self.cancel_branch(now, id, index, reason.as_ref());
        }
    }

    /// Cancels a branch that rang too long: what it says to that is no answer of its user.
    pub(super) fn give_up_branch(&mut self, now: Instant, id: ContextId, index: usize) {
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .and_then(|context| context.branches.get_mut(index))
            .filter(|branch| !branch.is_done())
        else {
            return;
        };
        branch.given_up = true;
        self.cancel_branch(now, id, index, None);
    }

    /// Cancels one branch. One that has not left yet never will; one that is out is over when it says so.
    fn cancel_branch(&mut self, now: Instant, id: ContextId, index: usize, reason: Option<&Arc<str>>) {
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .and_then(|context| context.branches.get_mut(index))
        else {
            return;
        };
        branch.is_cancelled = true;
        match (&branch.state, branch.client) {
            (BranchState::Waiting | BranchState::Resolving(_) | BranchState::Offering(_), _) => {
                self.branch_done(now, id, index);
            }
            (BranchState::Sent | BranchState::Answering { .. }, Some(client)) => {
                self.layer.cancel(now, client, reason);
            }
            (BranchState::Sent | BranchState::Answering { .. } | BranchState::Done, _) => {}
        }
    }
}
