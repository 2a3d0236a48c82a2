//! A trunk says that somebody is elsewhere (RFC 3261 section 21.3).

use std::time::Instant;

use viaduct_resolve::NextHop;
use viaduct_sip::{Contact, Message, Uri};

use super::Proxy;
use crate::Refusal;
use crate::context::{Best, Context, ContextId, Media, Target, Way};

impl Proxy {
    /// A trunk redirected a request. It is followed as far as it stays with the trunks of its rule and the trunk is
    /// configured so; otherwise the trunk has failed, and the next one is tried. False inside a dialog, whose ends settle
    /// that between themselves.
    pub(super) fn trunk_redirected(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
    ) -> bool {
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        let branch = &context.branches[index];
        let (Some(carrier), false) = (
            branch.target.carrier.clone(),
            matches!(context.media, Media::Inside { .. }),
        ) else {
            return false;
        };
        let begun = context.branches.len() + context.waiting.iter().map(Vec::len).sum::<usize>();
        let may = branch.target.redirects < carrier.line.trunk().redirects_max
            && begun < self.config.limits.branches_max
            && !branch.is_cancelled
            && !branch.given_up
            && !context.answered
            && !context.cancelled;
        let breadth = branch.breadth;
        let target = may.then(|| within_group(context, index, response)).flatten();
        let Some(target) = target else {
            carrier.line.count(|counters| counters.redirects_refused += 1);
            self.branch_failed(now, id, index, Best::Local(Refusal::TrunkRedirected));
            return true;
        };
        carrier.line.count(|counters| counters.redirected += 1);
        let was_starting = std::mem::replace(&mut context.starting, true);
        self.branch_done(now, id, index);
        self.start_branch(now, id, target, breadth);
        if let Some(context) = self.contexts.get_mut(id) {
            context.starting = was_starting;
        }
        self.finish_if_done(now, id);
        true
    }
}

/// The first contact of a redirection that is a place at one of the trunks of the rule, and was not tried.
fn within_group(context: &Context, index: usize, response: &Message) -> Option<Target> {
    let redirects = context.branches[index].target.redirects + 1;
    let tried = || context.branches.iter().map(|branch| &branch.target);
    let group = || tried().chain(context.waiting.iter().flatten());
    let mut contacts: Vec<_> = response
        .contacts()
        .filter_map(Result::ok)
        .filter_map(|contact| match contact {
            Contact::Addr(addr) => Some((addr.q().unwrap_or(1_000), addr)),
            Contact::Wildcard => None,
        })
        .collect();
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts.into_iter().find_map(|(_, addr)| {
        let uri = addr.uri().ok()?;
        let host = uri.host()?;
        let is_at = |target: &&Target| {
            let carrier = target.carrier.as_ref();
            carrier.is_some_and(|carrier| carrier.line.trunk().is_at(&host))
        };
        let found = group().find(is_at)?;
        let target = Target {
            uri: uri.for_request_line().into(),
            way: way_to(found, &uri)?,
            redirects,
            other_flows: Vec::new(),
            ..found.clone()
        };
        let is_fresh = !group().any(|other| other.uri == target.uri);
        is_fresh.then_some(target)
    })
}

/// The way to a place at a trunk: to an address that is named, else as to the trunk itself.
fn way_to(trunk: &Target, uri: &Uri<'_>) -> Option<Way> {
    if uri.host()?.ip().is_none() {
        return Some(trunk.way.clone());
    }
    let mut next_hop = NextHop::of_uri(uri).ok()?;
    if let Way::Resolve(own) = &trunk.way {
        next_hop.secure |= own.secure;
        next_hop.transport = next_hop.transport.or(own.transport);
    }
    Some(Way::Resolve(next_hop))
}
