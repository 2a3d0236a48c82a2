//! Redirections: followed inside our domain where that is wanted, or passed to the caller with what every branch offers
//! (RFC 3261 sections 16.5 and 16.7 step 4).

use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{Aor, Contact, Edit, HeaderName, Limits, Message, Method};
use viaduct_trunk::Changes;

use super::Proxy;
use super::targets::{Asked, Dialled, Group};
use crate::config::Redirects;
use crate::context::{Best, ContextId, Target};

impl Proxy {
    /// Follows the contacts of a 3xx as far as they are in our domain and not yet tried; what is left of them is for the
    /// caller. False when there is nothing to follow.
    pub(super) fn follow_redirect(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        response: &Message,
    ) -> bool {
        let found = self.redirected_to(now, id, response);
        let branches_max = self.config.limits.branches_max;
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        let begun = context.branches.len() + context.waiting.iter().map(Vec::len).sum::<usize>();
        // The others hold the rest of the breadth.
        let breadth = context.branches[index].breadth;
        let share = breadth.and_then(|breadth| usize::try_from(breadth).ok());
        let room = branches_max
            .saturating_sub(begun)
            .min(share.unwrap_or(usize::MAX));
        let (mut fresh, mut served) = (Group::new(), Vec::new());
        for (contact, target) in found {
            let tried = context.branches.iter().map(|branch| &branch.target);
            let mut known = tried.chain(context.waiting.iter().flatten()).chain(&fresh);
            let is_known = known.any(|other| other.is_same(&target));
            if is_known || fresh.len() < room {
                served.push(contact);
            }
            if !is_known && fresh.len() < room {
                fresh.push(target);
            }
        }
        if fresh.is_empty() {
            return false;
        }
        if let Some(rest) = without_contacts(response, &served) {
            self.keep_redirection(id, rest);
        }
        if let Some(context) = self.contexts.get_mut(id) {
            context.starting = true;
        }
        self.branch_done(now, id, index);
        self.start_group(now, id, fresh, breadth);
        true
    }

    /// Remembers a redirection for the caller, who gets what all branches offer in one answer.
    pub(super) fn keep_redirection(&mut self, id: ContextId, response: Message) {
        let limits = &self.config.limits;
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        for contact in contact_values(&response) {
            if context.redirections.contains(&contact) {
                continue;
            }
            if context.redirections.len() < limits.branches_max
                && contact.len() <= limits.contact_uri_octets_max
            {
                context.redirections.push(contact);
            } else {
                self.counters.branches_over_limit += 1;
            }
        }
        context.refuse_with(Best::Received(response));
    }

    /// Sends a redirection with the contacts of all others.
    pub(super) fn send_redirection(&mut self, now: Instant, id: ContextId, response: &Message) {
        let Some(context) = self.contexts.get(id) else {
            return;
        };
        let own: Vec<Bytes> = contact_values(response).collect();
        let mut others = context
            .redirections
            .iter()
            .filter(|contact| !own.contains(contact))
            .peekable();
        if others.peek().is_none() {
            return self.send_upstream(now, id, None, response, None);
        }
        let mut edit = Edit::new(response);
        for contact in others {
            edit.append(HeaderName::Contact, contact);
        }
        let merged = read_again(edit);
        self.send_upstream(now, id, None, merged.as_ref().unwrap_or(response), None);
    }

    /// Whom of ours the contacts of a 3xx lead to, each with the place of its contact among them. Never to a carrier: who
    /// is called does not spend the caller's money.
    fn redirected_to(&mut self, now: Instant, id: ContextId, response: &Message) -> Vec<(usize, Target)> {
        let mut targets = Vec::new();
        let Some(context) = self.contexts.get(id) else {
            return targets;
        };
        let may = self.config.redirects == Redirects::Follow
            && context.request.method() == Some(Method::Invite)
            && !context.answered
            && !context.cancelled;
        let (Some(caller), true) = (context.caller.clone(), may) else {
            return targets;
        };
        let at = context.flow.local;
        let asked = Asked {
            serially: false,
            secure: context.is_secure(),
        };
        let request = context.request.clone();
        for (place, contact) in response.contacts().enumerate() {
            let Ok(Contact::Addr(addr)) = contact else {
                continue;
            };
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
            let found = found.into_iter().flatten().filter(is_ours);
            targets.extend(found.map(|target| (place, target)));
        }
        targets
    }
}

/// The contacts of a redirection. One that is broken over lines is nobody's loss.
fn contact_values(response: &Message) -> impl Iterator<Item = Bytes> {
    response
        .values(HeaderName::Contact)
        .filter(|value| !value.contains(&b'\n') && matches!(Contact::parse(value), Ok(Contact::Addr(_))))
        .map(|value| response.share(value))
}

/// A redirection without the contacts at these places. `None` when no other is left.
fn without_contacts(response: &Message, places: &[usize]) -> Option<Message> {
    let values = response.values(HeaderName::Contact).enumerate();
    let left = values.filter(|(place, _)| !places.contains(place));
    let left: Vec<&[u8]> = left.map(|(_, value)| value).collect();
    if left.is_empty() {
        return None;
    }
    let mut edit = Edit::new(response);
    edit.remove_all(HeaderName::Contact);
    for contact in left {
        edit.append(HeaderName::Contact, contact);
    }
    read_again(edit)
}

/// The message that an edit makes. `None` when a piece of it cannot be written anew.
pub(super) fn read_again(edit: Edit<'_>) -> Option<Message> {
    Message::parse_frame(edit.finish().ok()?, &Limits::default()).ok()
}
