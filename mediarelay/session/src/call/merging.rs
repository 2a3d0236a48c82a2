//! Two calls become one, so that a party of one may talk to a party of the other (NG `connect`).

use viaduct_ng::{ByteString, ErrorReason};

use super::Call;
use crate::core::Core;
use crate::party::PartyId;

impl Call {
    /// Every id that it is known by, its own first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ByteString> {
        std::iter::once(&self.id).chain(&self.merged_ids)
    }

    pub(crate) fn has_id(&self, id: &ByteString) -> bool {
        self.ids().any(|known| known == id)
    }

    /// Which of its ids it is; its own is 0.
    pub(crate) fn place_of_id(&self, id: &ByteString) -> Option<u16> {
        let place = self.ids().position(|known| known == id)?;
        u16::try_from(place).ok()
    }

    /// Whether another call may become part of this one.
    ///
    /// # Errors
    /// Parties of both have the same tag, or there would be too many of them.
    pub(crate) fn check_merging(&self, core: &mut Core, other: &Self) -> Result<(), ErrorReason> {
        let mut tags = other
            .parties
            .values()
            .flat_map(|party| party.tag.iter().chain(&party.aliases));
        if tags.any(|tag| self.party_called(tag).is_some()) {
            return Err(ErrorReason::ConnectTagCollision);
        }
        core.check_parties(self.parties.len() + other.parties.len())?;
        core.check_parties(self.ids().count() + other.ids().count())
    }

    /// Takes in another call: all its parties with their dialogues and legs, what the workers know of them, what was
    /// counted, and its ids. Nothing changes for anybody's media.
    pub(crate) fn merge(&mut self, core: &mut Core, other: Self) {
        let Self {
            key,
            id,
            merged_ids,
            client: _,
            created,
            answered,
            rings,
            last_signal,
            parties,
            dialogues,
            legs,
            installed,
            tos: _,
            metadata,
            dtmf_log,
            recrypts,
            tells_digits,
            blocked,
            past,
            quality,
            rates,
            next_check,
            timer: _,
            playing,
            reporting,
            ends: _,
            state: _,
            next_party,
        } = other;
        self.rings = match (self.answered, answered) {
            (Some(_), Some(_)) => self.rings && rings,
            (Some(_), None) => self.rings,
            (None, _) => rings,
        };
        self.answered = self.answered.into_iter().chain(answered).min();
        // As old as the older one, so that nothing lasts longer than it may.
        self.created = self.created.min(created);
        self.last_signal = self.last_signal.max(last_signal);
        self.next_check = self.next_check.min(next_check);
        self.metadata = self.metadata.take().or(metadata);
        self.dtmf_log = self.dtmf_log.or(dtmf_log);
        self.recrypts |= recrypts;
        self.tells_digits |= tells_digits;
        self.reporting = match (self.reporting.take(), reporting) {
            (Some(mut own), Some(other)) => {
                own.merge(*other);
                Some(own)
            }
            (own, other) => own.or(other),
        };
        self.past.add(&past);
        let without_room = self.quality.merge(quality, core.config.limits.sources_per_call);
        core.counters.limits.sources_per_call += without_room;
        self.rates.merge(&rates);
        self.installed.merge(installed);

        let ids_before = self.ids().count();
        self.merged_ids.push(id);
        self.merged_ids.extend(merged_ids);
        // Who came under which id is kept in 16 bits; there are no more ids than there may be parties.
        let ids_before = u16::try_from(ids_before).unwrap_or(u16::MAX);
        let parties_before = self.next_party - 1;
        let renamed = |party: PartyId| PartyId(party.0 + parties_before);
        self.next_party += next_party - 1;

        let all_blocked = self.blocked;
        self.blocked = all_blocked.and(blocked);
        for (_, party) in self.parties.iter_mut() {
            party.blocked = party.blocked.or(all_blocked);
        }
        for (_, mut party) in parties {
            party.blocked = party.blocked.or(blocked);
            party.call_id = party.call_id.saturating_add(ids_before);
            party.rename(renamed);
            self.parties.insert(party.id, party);
        }
        // Its places are this call's as soon as that is settled.
        core.fax_places.remove(&key);
        if let Some(mut playing) = playing {
            self.take_faxes(core, std::mem::take(&mut playing.faxes), renamed);
            self.take_players(*playing, renamed);
        }
        self.dialogues.extend(dialogues.into_iter().map(|mut dialogue| {
            dialogue.rename(renamed);
            dialogue
        }));
        for (id, mut leg) in legs {
            leg.party = renamed(leg.party);
            core.legs.insert(id, self.key);
            self.legs.insert(id, leg);
        }
    }
}
