//! Groups of targets are tried one after the other (RFC 3261 section 16.6 step 4), and redirections followed.

use std::time::Instant;

use viaduct_sip::{Aor, Contact, Message, Method, StatusCode};
use viaduct_trunk::Changes;

use super::targets::{Asked, Dialled, Group};
use super::{Alarm, Proxy};
use crate::Refusal;
use crate::config::Redirects;
use crate::context::{Best, ContextId, Target};

impl Proxy {
    /// Tries the next group of targets. Without one, nothing happens.
    pub(super) fn start_next_group(&mut self, now: Instant, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let Some(group) = context.waiting.pop_front() else {
            return;
        };
        context.groups_started += 1;
        let (number, more) = (context.groups_started, !context.waiting.is_empty());
        // What a trunk does while it rings is not for us to judge.
        let is_trunk = group.iter().any(|target| target.carrier.is_some());
        if more && !is_trunk {
            let alarm = Alarm::NextGroup {
                context: id,
                group: number,
            };
            self.alarms.set(now, self.config.times.group_ring, alarm);
        }
        let breadth = context.breadth;
        self.start_group(now, id, group, breadth);
    }

    /// Tries targets at the same time, beside what is tried already.
    fn start_group(&mut self, now: Instant, id: ContextId, group: Group, breadth: Option<u32>) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let shares = shares(breadth, group.len());
        // One that fails at once must not look like the last of all.
        context.starting = true;
        for (target, share) in group.into_iter().zip(shares) {
            self.start_branch(now, id, target, share);
        }
        if let Some(context) = self.contexts.get_mut(id) {
            context.starting = false;
        }
        self.finish_if_done(now, id);
    }

    /// A group has rung as long as it may while others wait: it is given up, and the next is tried.
    pub(super) fn group_rang_too_long(&mut self, now: Instant, id: ContextId, group: u32) {
        let Some(context) = self
            .contexts
            .get_mut(id)
            .filter(|context| context.groups_started == group && !context.answered && !context.cancelled)
        else {
            return;
        };
        if context.waiting.is_empty() {
            return;
        }
        context.starting = true;
        for index in 0..context.branches.len() {
            self.give_up_branch(now, id, index);
        }
        if let Some(context) = self.contexts.get_mut(id) {
            context.starting = false;
        }
        self.start_next_group(now, id);
    }

    /// Follows the contacts of a 3xx as far as they are in our domain and not yet tried (RFC 3261 section 16.5). False
    /// when there is nothing to follow.
    pub(super) fn follow_redirect(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
    ) -> bool {
        let found = self.redirected_to(now, id, response);
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        let mut fresh = Group::new();
        for target in found {
            let tried = context.branches.iter().map(|branch| &branch.target);
            let mut known = tried.chain(context.waiting.iter().flatten()).chain(&fresh);
            if !known.any(|other| other.is_same(&target)) {
                fresh.push(target);
            }
        }
        let begun = context.branches.len() + context.waiting.iter().map(Vec::len).sum::<usize>();
        fresh.truncate(self.config.limits.branches_max.saturating_sub(begun));
        // The others hold the rest of the breadth.
        let breadth = context.branches[index].breadth;
        let room = breadth.and_then(|breadth| usize::try_from(breadth).ok());
        fresh.truncate(room.unwrap_or(usize::MAX));
        if fresh.is_empty() {
            return false;
        }
        context.starting = true;
        self.branch_done(now, id, index);
        self.start_group(now, id, fresh, breadth);
        true
    }

    /// Whom of ours the contacts of a 3xx lead to. Never to a carrier: who is called does not spend the caller's money.
    fn redirected_to(&mut self, now: Instant, id: ContextId, response: &Message) -> Group {
        let mut group = Group::new();
        let Some(context) = self.contexts.get(id) else {
            return group;
        };
        let may = self.config.redirects == Redirects::Follow
            && context.request.method() == Some(Method::Invite)
            && !context.answered
            && !context.cancelled;
        let (Some(caller), true) = (context.caller.clone(), may) else {
            return group;
        };
        let at = context.flow.local;
        let asked = Asked {
            serially: false,
            secure: context.is_secure(),
        };
        let request = context.request.clone();
        for contact in response.contacts().filter_map(Result::ok) {
            let Contact::Addr(addr) = contact else { continue };
            let Ok(uri) = addr.uri() else { continue };
            if !uri.host().is_some_and(|host| self.config.is_our_host(&host, at)) {
                continue;
            }
            let Some(name) = Aor::user_of(&uri) else {
                continue;
            };
            let wanted = Dialled {
                number: &name,
                dialled: &name,
                caller: &caller,
                request: &request,
                rule: None,
                shown: &Changes::default(),
            };
            let found = self.targets(now, &wanted, asked).unwrap_or_default();
            let is_ours = |target: &Target| target.carrier.is_none();
            group.extend(found.into_iter().flatten().filter(is_ours));
        }
        group
    }
}

impl Proxy {
    /// Tries another flow to the device of a branch when the one that was tried is dead (RFC 5626 section 7). False when
    /// there is none, or when it was not the flow that failed.
    pub(super) fn try_other_flow(&mut self, now: Instant, id: ContextId, index: usize, best: &Best) -> bool {
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        let is_wanted = !context.answered && !context.cancelled;
        let branch = &mut context.branches[index];
        let is_dead = match best {
            Best::Local(Refusal::FlowGone) | Best::Timeout => true,
            Best::Received(response) => {
                matches!(response.status().map(StatusCode::get), Some(430 | 408))
            }
            Best::Local(_) | Best::Terminated => false,
        };
        if !is_wanted || !is_dead || branch.given_up || branch.is_cancelled {
            return false;
        }
        let mut others = std::mem::take(&mut branch.target.other_flows).into_iter();
        let Some(mut next) = others.next() else {
            return false;
        };
        next.other_flows = others.collect();
        next.patience = (!next.other_flows.is_empty()).then_some(self.config.times.flow_patience);
        let breadth = branch.breadth;
        let was_starting = std::mem::replace(&mut context.starting, true);
        self.branch_done(now, id, index);
        self.start_branch(now, id, next, breadth);
        if let Some(context) = self.contexts.get_mut(id) {
            context.starting = was_starting;
        }
        self.finish_if_done(now, id);
        true
    }
}

/// Max-Breadth divided among `branches` (RFC 5393 section 5.3.3). As many as there are branches, each at least 1 when
/// the breadth is enough for all.
fn shares(breadth: Option<u32>, branches: usize) -> impl Iterator<Item = Option<u32>> {
    let branches = u32::try_from(branches).unwrap_or(u32::MAX);
    (0..branches).map(move |number| {
        let breadth = breadth?;
        Some(breadth / branches + u32::from(number < breadth % branches))
    })
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn the_breadth_is_divided_without_a_rest() {
        let parts: Vec<_> = shares(Some(60), 7).map(Option::unwrap).collect();
        assert_eq!(parts, [9, 9, 9, 9, 8, 8, 8]);
        assert_eq!(shares(Some(3), 3).flatten().collect::<Vec<_>>(), [1, 1, 1]);
        assert!(shares(None, 2).all(|share| share.is_none()));
    }
}
