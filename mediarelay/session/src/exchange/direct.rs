//! Media that may pass beside the relay (NG `ICE`: `force-relay`, `optional`).
//!
//! An SDP goes through as it stands, with candidates of ours beside those of its sender. The peers check and encrypt with
//! each other, and what they send to our ports is passed on whatever it is, as a TURN server would.

use viaduct_ng::{IceMode, SdpSection};
use viaduct_sdp::{Candidate, CandidateType, Connection, Group, Media, MediaOut};

use super::pairing::media_type;
use super::write::edits;
use super::{Exchange, Kind};
use crate::call::Call;
use crate::core::Core;
use crate::describe::Description;
use crate::ice::{Beside, candidates_beside};

impl Exchange<'_> {
    /// Whether the request lets media pass beside the relay where both peers do ICE.
    fn may_be_direct(&self, core: &Core) -> bool {
        let word = self.options.ice.mode;
        core.config.direct_media && matches!(word, Some(IceMode::ForceRelay | IceMode::Optional))
    }

    /// Whether SDPs go through as they stand, ICE or not.
    pub(super) fn forces_relay(&self, core: &Core) -> bool {
        core.config.direct_media && self.options.ice.mode == Some(IceMode::ForceRelay)
    }
}

impl Call {
    /// Notes which m-lines the peers have with each other: those of which both sides do ICE, and for which the request
    /// does not want it to end here. That holds until a request says otherwise.
    pub(super) fn note_direct(&mut self, core: &Core, exchange: &Exchange<'_>, description: &Description) {
        let may = exchange.may_be_direct(core);
        let ends = matches!(exchange.options.ice.mode, Some(IceMode::Force | IceMode::Remove));
        if !may && !ends {
            return;
        }
        for (position, remote) in description.medias.iter().enumerate() {
            let opposite = self.dialogues[exchange.dialogue].opposite(exchange.sender, position);
            let Some(opposite) = opposite.filter(|_| remote.is_live()) else {
                continue;
            };
            let reader = &self.party(exchange.reader).medias[opposite];
            let reader_does = match exchange.kind {
                Kind::Offer => true,
                Kind::Answer => reader.remote.as_ref().is_some_and(|own| own.ice.is_some()),
            };
            let direct = match ends {
                true if exchange.kind == Kind::Offer => false,
                true => reader.direct,
                false => reader.direct || remote.ice.is_some() && reader_does,
            };
            for (party, media) in [(exchange.sender, position), (exchange.reader, opposite)] {
                self.party_mut(party).medias[media].direct = direct;
            }
        }
    }

    /// Makes legs what their m-lines are by now, once it is certain that there will be an SDP.
    pub(super) fn settle_direct(&mut self, core: &mut Core, exchange: &Exchange<'_>) {
        for party in [exchange.sender, exchange.reader] {
            for media in 0..self.party(party).medias.len() {
                let direct = self.party(party).medias[media].direct;
                let Some(leg) = self
                    .leg_of_mut(party, media)
                    .filter(|leg| leg.transparent != direct)
                else {
                    continue;
                };
                leg.transparent = direct;
                if direct {
                    leg.secure = false;
                    leg.end_ice(exchange.now, core);
                    leg.forget_keys(core);
                }
            }
        }
    }

    /// Whether the reader gets the sender's m-line as it stands.
    pub(super) fn goes_through(&self, core: &Core, exchange: &Exchange<'_>, position: usize) -> bool {
        let sender = self.dialogues[exchange.dialogue].opposite(exchange.reader, position);
        let theirs = sender.and_then(|at| self.party(exchange.sender).medias[at].remote.as_ref());
        let reader = &self.party(exchange.reader).medias[position];
        theirs.is_some_and(|theirs| !theirs.rejected) && (reader.direct || exchange.forces_relay(core))
    }

    /// The sender's m-line as it stands; where it does ICE, with our candidates beside its own.
    pub(super) fn write_through(
        &self,
        core: &Core,
        exchange: &Exchange<'_>,
        position: usize,
        sender: Media<'_>,
    ) -> MediaOut {
        let mut out = MediaOut::as_it_stands(sender);
        let relays = exchange.forces_relay(core);
        if relays {
            // The relay is us.
            out.leave_out(|candidate: &Candidate| candidate.kind == CandidateType::Relayed);
        }
        if let Some(address) = exchange.options.media_address {
            out.connection = Connection::unicast(address);
        }
        let reader = &self.party(exchange.reader).medias[position];
        if let (Some(leg), true) = (self.leg_of(exchange.reader, position), reader.direct) {
            let theirs: Vec<Candidate> = sender.candidates().flatten().collect();
            if sender.effective_ice().is_ok_and(|ice| ice.is_some()) {
                let beside = Beside {
                    theirs: &theirs,
                    relays,
                };
                let media_address = exchange.options.media_address;
                out.candidates = candidates_beside(&leg.sockets, &core.instance_id, media_address, beside);
            }
        }
        out.edits = edits(exchange.options, SdpSection::Media(media_type(sender.kind())));
        out
    }

    /// The sender's groups, where its m-lines go through: whoever reads them has the same m-lines.
    pub(super) fn groups_through(&self, core: &Core, exchange: &Exchange<'_>) -> Option<Vec<Group>> {
        let count = self.party(exchange.reader).medias.len();
        let through = (0..count).any(|at| self.goes_through(core, exchange, at));
        through.then(|| exchange.session.attributes().all().flatten().collect())
    }
}
