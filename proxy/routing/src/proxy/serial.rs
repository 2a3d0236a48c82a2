//! Groups of targets are tried one after the other (RFC 3261 section 16.6 step 4), and the flows of one device.

use std::time::Instant;

use viaduct_sip::StatusCode;

use super::targets::Group;
use super::{Alarm, Proxy};
use crate::Refusal;
use crate::context::{Best, ContextId};

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
    pub(super) fn start_group(&mut self, now: Instant, id: ContextId, group: Group, breadth: Option<u32>) {
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
