//! Which parties a message is from and for (NG `from-tag`, `to-tag`, `via-branch`).

use std::net::SocketAddr;
use std::time::Instant;

use litemap::LiteMap;
use viaduct_forward::LegId;
use viaduct_ng::{AliasKey, ByteString, ErrorReason, Flag, Options, SipMessageType};

use super::Call;
use crate::core::Core;
use crate::dialogue::{Dialogue, Exchanged};
use crate::leg::LocalSocket;
use crate::party::{Party, PartyId};

/// From here on a response is final (RFC 3261 section 7.2).
const FINAL_CODE: u16 = 200;

/// How a message names the parties. In an offer `from` is its sender; in an answer `to` is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'n> {
    pub(crate) call_id: &'n ByteString,
    pub(crate) from: &'n ByteString,
    pub(crate) to: Option<&'n ByteString>,
    pub(crate) via_branch: Option<&'n ByteString>,
}

impl Party {
    /// Lets it go by one more tag. False if it has too many.
    fn add_alias(&mut self, core: &mut Core, tag: &ByteString) -> bool {
        let may = self.aliases.len() < core.config.limits.aliases_per_party;
        if may {
            self.aliases.push(tag.clone());
        } else {
            core.counters.limits.aliases_per_party += 1;
        }
        may
    }
}

/// A call's parties as they were before a message, and the ports of its legs. Nothing else of a leg is changed before it is
/// certain that the message will not fail; and legs that a failed one has made are known by nobody afterwards.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    parties: LiteMap<PartyId, Box<Party>>,
    dialogues: Vec<Dialogue>,
    next_party: u32,
    /// In the order of the legs.
    sockets: Vec<(LegId, Vec<LocalSocket>)>,
}

impl Call {
    /// Each m-line of a party without ICE takes media from where the others are, too.
    pub(crate) fn share_endpoints(&mut self, now: Instant, core: &mut Core, party: PartyId) {
        let without_ice = |leg: LegId| {
            self.leg(leg)
                .is_some_and(|leg| leg.ice.is_none() && !leg.wire.is_raw())
        };
        let medias = || self.party(party).medias.iter();
        let mut legs: Vec<LegId> = medias()
            .filter_map(|media| media.leg.filter(|leg| without_ice(*leg)))
            .collect();
        legs.sort_unstable();
        legs.dedup();
        // Also those of a bundle, which were named before the other side had agreed to it.
        let live = medias().filter(|media| media.leg.is_some_and(without_ice));
        let remotes = live.filter_map(|media| media.remote.as_ref());
        let mut endpoints: Vec<SocketAddr> = remotes.filter_map(|remote| remote.rtp).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        if endpoints.len() < 2 {
            return;
        }
        for leg in legs {
            if let Some(leg) = self.legs.get_mut(&leg) {
                leg.hear_others(now, core, &endpoints);
            }
        }
    }

    /// Does something that leaves the call as it was if it fails.
    pub(crate) fn attempt<T>(
        &mut self,
        now: Instant,
        core: &mut Core,
        what: impl FnOnce(&mut Self, &mut Core) -> Result<T, ErrorReason>,
    ) -> Result<T, ErrorReason> {
        let before = self.checkpoint();
        let result = what(self, core);
        match &result {
            Ok(_) => {
                self.last_signal = now;
                for (_, leg) in self.legs.iter_mut() {
                    leg.close_former_ports(now, core);
                }
            }
            Err(_) => self.restore(now, core, before),
        }
        result
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            parties: self.parties.clone(),
            dialogues: self.dialogues.clone(),
            next_party: self.next_party,
            sockets: self
                .legs
                .values()
                .map(|leg| (leg.id, leg.sockets.clone()))
                .collect(),
        }
    }

    fn restore(&mut self, now: Instant, core: &mut Core, before: Checkpoint) {
        self.parties = before.parties;
        self.dialogues = before.dialogues;
        self.next_party = before.next_party;
        for (leg, sockets) in before.sockets {
            if let Some(leg) = self.legs.get_mut(&leg) {
                leg.restore_ports(core, sockets);
            }
        }
        self.close_unused_legs(now, core);
    }

    /// The sender and the reader of an offer. What is not known yet is made; `alias` is whom an unknown from-tag means.
    pub(crate) fn parties_of_offer(
        &mut self,
        now: Instant,
        core: &mut Core,
        names: &Names<'_>,
        alias: Option<PartyId>,
    ) -> Result<(PartyId, PartyId), ErrorReason> {
        let known_reader = names.to.and_then(|tag| self.party_called(tag));
        let mut known_sender = self.party_called(names.from);
        if known_sender.is_none()
            && let Some(alias) = alias
        {
            known_sender = Some(alias);
            self.party_mut(alias).add_alias(core, names.from);
        }
        // The callee may offer before an answer has named it.
        let unnamed = known_reader.and_then(|reader| self.unnamed_partner(reader, names.via_branch));
        let sender = match known_sender.or(unnamed) {
            Some(sender) => sender,
            None => self.add_party(now, core, names.call_id)?,
        };
        self.party_mut(sender)
            .tag
            .get_or_insert_with(|| names.from.clone());
        let reader = match known_reader {
            Some(reader) => reader,
            None => match self.fork(sender, names) {
                Some(reader) => reader,
                None => self.add_party(now, core, names.call_id)?,
            },
        };
        if sender == reader {
            return Err(ErrorReason::InvalidDialogue);
        }
        let reader = self.party_mut(reader);
        if let Some(tag) = names.to {
            reader.tag.get_or_insert_with(|| tag.clone());
        }
        if reader.via_branch.is_none() {
            reader.via_branch = names.via_branch.cloned();
        }
        Ok((sender, reader.id))
    }

    /// The sender and the reader of an answer, under the tags that a dialogue has: the sender is the callee.
    pub(crate) fn parties_of_answer(
        &mut self,
        core: &mut Core,
        names: &Names<'_>,
        options: &Options,
    ) -> Result<(PartyId, PartyId), ErrorReason> {
        let reader = self
            .party_called(names.from)
            .ok_or(ErrorReason::InvalidDialogue)?;
        let tag = names.to.ok_or(ErrorReason::NoToTag)?;
        let sender = match self.party_called(tag) {
            Some(sender) => sender,
            None => self.name_answerer(core, reader, tag, names.via_branch, options)?,
        };
        if sender == reader {
            return Err(ErrorReason::InvalidDialogue);
        }
        self.party_mut(sender).tag_fixed |=
            is_final(options) == Some(true) && !options.has(Flag::Provisional);
        Ok((sender, reader))
    }

    /// The dialogue of two parties, made where there is none.
    pub(crate) fn ensure_dialogue(&mut self, sender: PartyId, reader: PartyId) -> usize {
        self.dialogue_of(sender, reader).unwrap_or_else(|| {
            // Most calls have one, and a vector begins with room for four.
            self.dialogues.reserve_exact(1);
            self.dialogues.reserve_exact(1);
            self.dialogues.push(Dialogue::new(sender, reader));
            self.dialogues.len() - 1
        })
    }

    /// These parties are wanted again, should they have been about to be deleted.
    pub(crate) fn revive(&mut self, parties: &[PartyId]) {
        for party in parties {
            self.party_mut(*party).delete_at = None;
        }
    }

    /// Finds who answers under a tag that is not known: the party that was made for the branch, else the latest one
    /// without a tag, else the latest one, which goes by the new tag as well from here on.
    fn name_answerer(
        &mut self,
        core: &mut Core,
        reader: PartyId,
        tag: &ByteString,
        via_branch: Option<&ByteString>,
        options: &Options,
    ) -> Result<PartyId, ErrorReason> {
        let of_branch = via_branch.and_then(|branch| {
            let mut partners = self.partners(reader);
            partners
                .find(|party| party.via_branch.as_ref() == Some(branch))
                .map(|party| party.id)
        });
        let unnamed = || {
            self.partners(reader)
                .find(|party| party.tag.is_none())
                .map(|party| party.id)
        };
        let latest = || {
            self.party(reader)
                .peer
                .or_else(|| self.partners(reader).next().map(|party| party.id))
        };
        let found = of_branch
            .or_else(unnamed)
            .or_else(latest)
            .ok_or(ErrorReason::InvalidDialogue)?;
        let party = self.party_mut(found);
        match &party.tag {
            None => party.tag = Some(tag.clone()),
            // Ports were offered once, and whoever has them under another name is not the one who answers here.
            Some(_) if party.tag_fixed || options.has(Flag::NewBranch) => {
                return Err(ErrorReason::InvalidDialogue);
            }
            Some(_) => {
                // The latest name is the one it is shown by.
                if party.add_alias(core, tag) {
                    let first = party.tag.replace(tag.clone());
                    party.aliases.retain(|alias| alias != tag);
                    party.aliases.extend(first);
                }
            }
        }
        Ok(found)
    }

    /// The party that an offer with an unknown from-tag is from by `key`: it has asked for the same key before, with the
    /// same SDP or with the same address in its first m-line.
    pub(crate) fn party_like(&self, key: AliasKey, sdp: &[u8], first: Option<SocketAddr>) -> Option<PartyId> {
        let exchanged = self
            .dialogues
            .iter()
            .flat_map(|dialogue| [&dialogue.last_offer, &dialogue.last_answer]);
        let mut of_key = exchanged.flatten().filter(|of| of.alias_key() == Some(key));
        let address = |party: PartyId| self.parties.get(&party)?.medias.first()?.remote.as_ref()?.rtp;
        let is_like = |of: &&Exchanged| match key {
            AliasKey::Sdp => of.has_sdp(sdp),
            AliasKey::Address => first.is_some() && address(of.sender()) == first,
        };
        of_key.find(is_like).map(Exchanged::sender)
    }

    /// The party that an offer without a known to-tag is for: the one that an earlier offer made for the same branch,
    /// or, where neither names a to-tag nor a branch, the latest one: an offer in a dialogue need not name both ends.
    fn fork(&self, sender: PartyId, names: &Names<'_>) -> Option<PartyId> {
        let of_branch = self.partners(sender).find(|party| {
            let named = names.via_branch.is_some() || names.to.is_none();
            named && party.via_branch.as_ref() == names.via_branch
        });
        // A party that has answered under another tag is not the one that is called here.
        let fits = |party: &&Party| names.to.is_none() || party.tag.is_none();
        let of_branch = of_branch.filter(fits).map(|party| party.id);
        of_branch.or_else(|| self.unnamed_partner(sender, names.via_branch))
    }

    /// The latest partner without a tag that was made for this branch, or for none.
    fn unnamed_partner(&self, of: PartyId, via_branch: Option<&ByteString>) -> Option<PartyId> {
        let fits = |party: &&Party| {
            let branch = party.via_branch.as_ref();
            party.tag.is_none() && (branch == via_branch || branch.is_none() || via_branch.is_none())
        };
        self.partners(of).find(fits).map(|party| party.id)
    }

    /// Those who have a dialogue with a party, the latest first.
    pub(super) fn partners(&self, of: PartyId) -> impl Iterator<Item = &Party> {
        let partners = self
            .dialogues
            .iter()
            .rev()
            .filter_map(move |dialogue| dialogue.other(of));
        partners.filter_map(|party| self.parties.get(&party).map(Box::as_ref))
    }

    /// One more party, within the limit.
    pub(crate) fn add_party(
        &mut self,
        now: Instant,
        core: &mut Core,
        call_id: &ByteString,
    ) -> Result<PartyId, ErrorReason> {
        core.check_parties(self.parties.len() + 1)?;
        Ok(self.new_party(now, call_id))
    }
}

/// Whether an SDP came in a final response (NG `sip-message-type`, `sip-code`); `None` if it does not say.
pub(crate) fn is_final(options: &Options) -> Option<bool> {
    let is_response = options.sip_message_type == Some(SipMessageType::Response);
    Some(options.sip_code.filter(|_| is_response)? >= FINAL_CODE)
}
