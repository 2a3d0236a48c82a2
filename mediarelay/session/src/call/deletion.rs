//! The end of parties and of calls.

use std::time::{Duration, Instant};

use viaduct_ng::{ByteString, Delete, Flag};

use super::Call;
use crate::core::Core;
use crate::event::{DeleteReason, What};
use crate::forwarding::Wanted;
use crate::leg::{Forwarded, LegTotals};
use crate::party::PartyId;

impl Call {
    /// Whether all who take part are about to be deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.talkers().all(|party| self.party(party).delete_at.is_some())
    }

    /// The parties that a `delete` is about; `None` if it names one that there is not.
    ///
    /// Without names it is all of them, or, where calls were merged, those who came under the call's id. Else it is the
    /// party with the tag or the branch. In any case it is also those who have nobody else to talk to then. A dialogue that
    /// was answered is over for both of its ends, whoever else was called meanwhile.
    pub(crate) fn parties_to_delete(&self, delete: &Delete) -> Option<Vec<PartyId>> {
        let of_branch = |branch: &ByteString| {
            let mut parties = self.parties.values().rev();
            parties
                .find(|party| party.via_branch.as_ref() == Some(branch))
                .map(|party| party.id)
        };
        let to_tag = delete
            .to_tag
            .as_ref()
            .filter(|tag| delete.flags.contains(Flag::ToTag) && !tag.is_empty());
        let from_tag = delete.from_tag.as_ref().filter(|tag| !tag.is_empty());
        let branch = delete.via_branch.as_ref().filter(|branch| !branch.is_empty());
        let Some(tag) = to_tag.or(from_tag) else {
            return match branch {
                Some(branch) => of_branch(branch).map(|party| self.with_dependants(vec![party])),
                None => self.parties_under(&delete.call_id),
            };
        };
        let by_branch = branch.and_then(of_branch);
        // A fork whose tag nobody has told: the caller's name stands for it.
        let unnamed = || {
            let caller = to_tag.and(from_tag).and_then(|tag| self.party_called(tag))?;
            self.partners(caller)
                .find(|party| party.tag.is_none())
                .map(|party| party.id)
        };
        let party = by_branch.or_else(|| self.party_called(tag)).or_else(unnamed)?;
        Some(self.with_dependants(vec![party]))
    }

    /// Everybody who is there because of one of the call's ids; `None` if nobody is any more.
    fn parties_under(&self, call_id: &ByteString) -> Option<Vec<PartyId>> {
        if self.merged_ids.is_empty() {
            return Some(self.parties.keys().copied().collect());
        }
        let place = self.place_of_id(call_id)?;
        let parties = self.parties.values().filter(|party| party.call_id == place);
        let parties: Vec<PartyId> = parties.map(|party| party.id).collect();
        (!parties.is_empty()).then(|| self.with_dependants(parties))
    }

    /// These parties, and those who have nobody to talk to without them.
    fn with_dependants(&self, mut gone: Vec<PartyId>) -> Vec<PartyId> {
        let answered = |one: PartyId, other: PartyId| {
            self.dialogue_of(one, other)
                .is_some_and(|dialogue| self.dialogues[dialogue].answered)
        };
        let mut looked_at = 0;
        while let Some(of) = gone.get(looked_at).copied() {
            looked_at += 1;
            let partners: Vec<PartyId> = self.partners(of).map(|party| party.id).collect();
            for partner in partners {
                let was_answered = answered(of, partner);
                let stays = self
                    .partners(partner)
                    .any(|other| !gone.contains(&other.id) && (!was_answered || answered(partner, other.id)));
                if !stays && !gone.contains(&partner) {
                    gone.push(partner);
                }
            }
        }
        gone
    }

    /// Deletes parties, at once or after the delay.
    pub(crate) fn delete(
        &mut self,
        now: Instant,
        core: &mut Core,
        parties: &[PartyId],
        delay: Option<Duration>,
    ) {
        let at = now + delay.unwrap_or(core.config.delete_delay);
        self.last_signal = now;
        for party in parties {
            self.party_mut(*party).delete_at = Some(at);
        }
        self.delete_due(now, core);
        self.check_soon(now);
    }

    /// Takes out the parties whose time has come; with the last one the call ends.
    pub(crate) fn delete_due(&mut self, now: Instant, core: &mut Core) {
        let is_due = |at: Instant| at <= now;
        if self
            .talkers()
            .all(|party| self.party(party).delete_at.is_some_and(is_due))
        {
            self.ends = Some(DeleteReason::Requested);
            return;
        }
        let due = self
            .parties
            .values()
            .filter(|party| party.delete_at.is_some_and(is_due));
        let due: Vec<PartyId> = due.map(|party| party.id).collect();
        for party in due {
            self.remove_party(now, core, party);
        }
    }

    /// Gives everything back, counts the call and tells of its end.
    pub(crate) fn close(mut self, now: Instant, core: &mut Core) {
        self.find_counters(core);
        self.end_faxes(core);
        let reason = self.ends.unwrap_or(DeleteReason::Requested);
        let (totals, senders) = (self.totals(), self.senders());
        let lasted = now.saturating_duration_since(self.created);
        self.count_end(core, reason, &totals, senders, lasted);
        self.installed.become_(Wanted::default(), core);
        for (_, leg) in std::mem::take(&mut self.legs) {
            leg.close(now, core);
        }
        core.release(now);
        let what = What::Deleted {
            reason,
            lasted,
            totals: Box::new(totals.to_ng()),
        };
        self.ids().for_each(|id| core.event(id, what.clone()));
    }

    /// What came in, by all legs.
    pub(crate) fn totals(&self) -> LegTotals {
        let mut totals = self.past;
        self.legs.values().for_each(|leg| totals.add(&leg.received()));
        totals
    }

    /// How many parties have sent media. Who sent only on m-lines that are over is not among them.
    fn senders(&self) -> usize {
        let has_sent = |party: &PartyId| {
            self.legs
                .values()
                .any(|leg| leg.party == *party && leg.received().rtp.packets > 0)
        };
        self.parties.keys().filter(|party| has_sent(party)).count()
    }

    fn count_end(
        &self,
        core: &mut Core,
        reason: DeleteReason,
        totals: &LegTotals,
        senders: usize,
        lasted: Duration,
    ) {
        let counters = &mut core.counters;
        match reason {
            DeleteReason::Requested => counters.ended_regularly += 1,
            DeleteReason::MediaTimeout => counters.ended_by_media_timeout += 1,
            DeleteReason::SilentTimeout => counters.ended_by_silent_timeout += 1,
            DeleteReason::OfferTimeout => counters.ended_by_offer_timeout += 1,
            DeleteReason::FinalTimeout => counters.ended_by_final_timeout += 1,
            DeleteReason::Refused => {}
        }
        if self.answered.is_some() {
            counters.zero_way_calls += u64::from(totals.rtp.packets == 0);
            counters.one_way_calls += u64::from(totals.rtp.packets > 0 && senders < 2);
        }
        counters.ended_duration += lasted;
        let Forwarded { all, kernel } = totals.forwarded();
        counters.relayed_packets += all.packets;
        counters.relayed_octets += all.octets;
        counters.relay_errors += all.errors;
        counters.relayed_kernel_packets += kernel.packets;
        counters.relayed_kernel_octets += kernel.octets;
    }
}
