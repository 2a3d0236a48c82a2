//! A call: its parties, who talks to whom, and everything that must be given back when it ends.

mod deletion;
mod digits;
mod fax;
mod keys;
mod listeners;
mod measure;
mod merging;
mod parties;
mod playing;
mod report;
mod reporting;
mod state;
mod timers;

pub use fax::{FaxId, FaxInput, FaxOutput, FaxPlan};
pub(crate) use keys::{Key, Press};
pub(crate) use listeners::{DISCARD, Heard, nowhere, read_own};
pub(crate) use parties::{Names, is_final};
pub(crate) use playing::{Manner, Playing};
pub(crate) use reporting::Reporting;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use litemap::LiteMap;
use viaduct_forward::{FlowId, FlowKey, LegId, LocalAddr, Report, ToControl};
use viaduct_ng::ByteString;

use crate::core::{CallKey, Core};
use crate::dialogue::Dialogue;
use crate::event::{DeleteReason, MediaRef, What};
use crate::forwarding::Tables;
use crate::leg::{Leg, LegEvent, LegTotals};
use crate::party::{Blocked, Part, Party, PartyId};
use crate::quality::{Quality, Rates};
use crate::state::CallState;

/// See the module.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) key: CallKey,
    pub(crate) id: ByteString,
    /// The ids of calls that were merged into this one.
    pub(crate) merged_ids: Vec<ByteString>,
    /// Who sent the first offer; `None` within this process.
    pub(crate) client: Option<IpAddr>,
    pub(crate) created: Instant,
    pub(crate) answered: Option<Instant>,
    /// The last answer was a provisional one: it rings.
    pub(crate) rings: bool,
    pub(crate) last_signal: Instant,
    /// In boxes, so that one that comes or goes moves the others by a pointer each.
    pub(crate) parties: LiteMap<PartyId, Box<Party>>,
    pub(crate) dialogues: Vec<Dialogue>,
    pub(crate) legs: LiteMap<LegId, Box<Leg>>,
    /// What the workers were told.
    pub(crate) installed: Tables,
    pub(crate) tos: Option<u8>,
    pub(crate) metadata: Option<ByteString>,
    /// Where digits are told.
    pub(crate) dtmf_log: Option<SocketAddr>,
    /// SRTP is opened, whoever has its key (NG flag `recrypt`).
    pub(crate) recrypts: bool,
    /// Digits are told although that says nothing.
    pub(crate) tells_digits: bool,
    pub(crate) blocked: Blocked,
    /// What came in on legs that are gone.
    pub(crate) past: LegTotals,
    pub(crate) quality: Quality,
    pub(crate) rates: Rates,
    /// When the timers of the call as a whole are looked at next.
    pub(crate) next_check: Instant,
    /// Where the relay keeps its timer.
    pub(crate) timer: Option<Instant>,
    /// What is played, and fax gateways; in a box, since most calls have nothing.
    pub(crate) playing: Option<Box<Playing>>,
    /// Reports of our own, if they are wanted (NG `generate-RTCP`).
    pub(crate) reporting: Option<Box<Reporting>>,
    /// It ends for this reason as soon as what is being done is done.
    pub(crate) ends: Option<DeleteReason>,
    /// What was written down of it.
    pub(crate) state: CallState,
    next_party: u32,
}

impl Call {
    pub(crate) fn new(core: &mut Core, now: Instant, id: ByteString) -> Self {
        Self {
            key: core.new_call(),
            id,
            merged_ids: Vec::new(),
            client: None,
            created: now,
            answered: None,
            rings: false,
            last_signal: now,
            parties: LiteMap::new(),
            dialogues: Vec::new(),
            legs: LiteMap::new(),
            installed: Tables::default(),
            tos: core.config.tos,
            metadata: None,
            dtmf_log: core.config.dtmf_log,
            recrypts: false,
            tells_digits: core.config.tell_digits,
            blocked: Blocked::default(),
            past: LegTotals::default(),
            quality: Quality::default(),
            rates: Rates::default(),
            next_check: now,
            timer: None,
            playing: None,
            reporting: None,
            ends: None,
            state: CallState::default(),
            next_party: 1,
        }
    }

    /// One more party; `call_id` is the call's id in the command that it came with.
    pub(crate) fn new_party(&mut self, now: Instant, call_id: &ByteString) -> PartyId {
        let id = PartyId(self.next_party);
        self.next_party += 1;
        let mut party = Party::new(id, now);
        party.call_id = self.place_of_id(call_id).unwrap_or_default();
        self.parties.insert(id, Box::new(party));
        id
    }

    /// A party that exists: names of parties are never kept longer than the parties.
    #[expect(
        clippy::expect_used,
        reason = "parties are removed together with all that names them"
    )]
    pub(crate) fn party(&self, id: PartyId) -> &Party {
        self.parties.get(&id).expect("the party exists")
    }

    #[expect(
        clippy::expect_used,
        reason = "parties are removed together with all that names them"
    )]
    pub(crate) fn party_mut(&mut self, id: PartyId) -> &mut Party {
        self.parties.get_mut(&id).expect("the party exists")
    }

    /// The party that goes by a tag, the newest first.
    pub(crate) fn party_called(&self, tag: &[u8]) -> Option<PartyId> {
        self.parties
            .values()
            .rev()
            .find(|party| party.is_called(tag))
            .map(|party| party.id)
    }

    /// Where two parties' dialogue stands.
    pub(crate) fn dialogue_of(&self, one: PartyId, other: PartyId) -> Option<usize> {
        self.dialogues
            .iter()
            .position(|dialogue| dialogue.joins(one, other))
    }

    /// Whether any side of it has IPv4, and whether any has IPv6.
    pub(crate) fn families(&self) -> [bool; 2] {
        self.legs.values().fold([false; 2], |[v4, v6], leg| {
            let is_v4 = leg.primary().rtp.is_ipv4();
            [v4 || is_v4, v6 || !is_v4]
        })
    }

    pub(crate) fn leg(&self, leg: LegId) -> Option<&Leg> {
        self.legs.get(&leg).map(Box::as_ref)
    }

    /// The leg of a party's m-line.
    pub(crate) fn leg_of(&self, party: PartyId, media: usize) -> Option<&Leg> {
        self.leg(self.parties.get(&party)?.medias.get(media)?.leg?)
    }

    pub(crate) fn leg_of_mut(&mut self, party: PartyId, media: usize) -> Option<&mut Leg> {
        let leg = self.parties.get(&party)?.medias.get(media)?.leg?;
        self.legs.get_mut(&leg).map(Box::as_mut)
    }

    /// The party and m-line that a party's m-line talks to, where both are live.
    pub(crate) fn opposite(&self, party: PartyId, media: usize) -> Option<(PartyId, usize)> {
        let peer = self.parties.get(&party)?.peer?;
        let opposite = self.dialogues[self.dialogue_of(party, peer)?].opposite(party, media)?;
        let of_peer = self.parties.get(&peer)?.medias.get(opposite)?;
        let own = self.parties.get(&party)?.medias.get(media)?;
        (!of_peer.is_rejected() && !own.is_rejected()).then_some((peer, opposite))
    }

    /// Whether two parties talk to each other: each is the one that the other has.
    pub(crate) fn are_joined(&self, one: PartyId, other: PartyId) -> bool {
        let peer_of = |party| self.parties.get(&party).and_then(|party| party.peer);
        peer_of(one) == Some(other) && peer_of(other) == Some(one)
    }

    /// A leg that no m-line names is closed.
    pub(crate) fn close_unused_legs(&mut self, now: Instant, core: &mut Core) {
        let used: Vec<LegId> = self
            .parties
            .values()
            .flat_map(|party| &party.medias)
            .filter_map(|media| media.leg)
            .collect();
        let unused: Vec<LegId> = self
            .legs
            .keys()
            .copied()
            .filter(|leg| !used.contains(leg))
            .collect();
        for leg in unused {
            if let Some(leg) = self.legs.remove(&leg) {
                let (totals, ended) = leg.close(now, core);
                self.past.add(&totals);
                self.keep_sources(core, &ended);
            }
        }
    }

    /// A party is gone: nothing stands for it, and who has listened to it alone is gone as well.
    fn stand_for_no_more(&mut self, gone: PartyId) {
        let mut over = Vec::new();
        for (_, party) in self.parties.iter_mut() {
            let Part::StandsFor(medias) = &mut party.part else {
                continue;
            };
            medias
                .iter_mut()
                .filter(|of| of.is_some_and(|(party, _)| party == gone))
                .for_each(|of| *of = None);
            if party.peer == Some(gone) || medias.iter().all(Option::is_none) {
                over.extend([Some(party.id), party.peer].into_iter().flatten());
            }
        }
        for party in over {
            self.parties.remove(&party);
            self.dialogues.retain(|dialogue| dialogue.other(party).is_none());
        }
    }

    /// Takes a party out, with its legs and dialogues. Whoever talked to it talks to the one that answered before.
    pub(crate) fn remove_party(&mut self, now: Instant, core: &mut Core, party: PartyId) {
        self.parties.remove(&party);
        self.stand_for_no_more(party);
        self.dialogues.retain(|dialogue| dialogue.other(party).is_none());
        let left_alone: Vec<PartyId> = self
            .parties
            .values()
            .filter(|other| other.peer == Some(party))
            .map(|other| other.id)
            .collect();
        for other in left_alone {
            let of_other = self
                .dialogues
                .iter()
                .rev()
                .filter(|dialogue| dialogue.other(other).is_some());
            let next = of_other
                .max_by_key(|dialogue| dialogue.answered)
                .and_then(|dialogue| dialogue.other(other));
            self.party_mut(other).peer = next;
        }
        self.close_unused_legs(now, core);
    }

    /// A worker hands a datagram up.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        core: &mut Core,
        why: ToControl,
        local: LocalAddr,
        from: SocketAddr,
        data: &[u8],
    ) {
        let Some(leg) = self.legs.get_mut(&why.leg()) else {
            core.counters.stale += 1;
            return;
        };
        match why {
            ToControl::Dtls { .. } => leg.on_dtls(now, core, local, from, data),
            ToControl::Stun { .. } => leg.on_stun(now, core, local, from, data),
            ToControl::UnknownSource { .. } => leg.on_unknown_source(now, core, local, from, data),
            // For gateways, see `take_for_fax`.
            ToControl::Media { .. } => {}
        }
    }

    /// A worker reports something.
    pub(crate) fn handle_report(&mut self, now: Instant, core: &mut Core, report: Report) {
        let leg = report.leg();
        let Some(of) = self.legs.get_mut(&leg) else {
            core.counters.stale += 1;
            return;
        };
        match report {
            Report::FlowConfirmed { flow, .. } => {
                of.on_confirmed(now, core, flow);
                self.note_heard(now, core, leg, flow);
            }
            Report::TupleValidated { tuple, priority, .. } => of.on_validated(now, core, tuple, priority),
            Report::Nominated { tuple, .. } => of.on_nominated(now, core, tuple),
            Report::EventEnded { flow, event, .. } => self.tell_digit(core, leg, flow, event),
            Report::KeyPressed { id, .. } => self.key_pressed(now, core, id),
            // The worker has told the peer to change roles.
            Report::RoleConflict { .. } => {}
        }
    }

    /// Another leg has the addresses of a path.
    pub(crate) fn evict(&mut self, now: Instant, core: &mut Core, leg: LegId, tuple: FlowKey) {
        self.keep_shifts();
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.evict(now, core, tuple);
        }
    }

    /// Moves ICE, DTLS and learning on, and tells what happened.
    pub(crate) fn drive(&mut self, now: Instant, core: &mut Core) {
        for (_, leg) in self.legs.iter_mut() {
            leg.drive(now, core);
        }
        self.tell(core);
    }

    /// Brings the workers up to date. No other leg may have the addresses of a path by then.
    pub(crate) fn settle(&mut self, now: Instant, core: &mut Core) {
        self.keep_ended(core);
        self.follow_agreements(now, core);
        self.follow_faxes(now, core);
        self.sync(now, core);
        core.release(now);
    }

    /// When [`drive`](Self::drive) or the check of the timers is due.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Instant {
        let legs = self
            .legs
            .iter_mut()
            .map(|(_, of)| of)
            .filter_map(|leg| leg.poll_timeout(now));
        let reports = self.reporting.as_ref().map(|reporting| reporting.next());
        let next = legs.chain(reports).min();
        next.map_or(self.next_check, |at| at.min(self.next_check))
    }

    /// Time since the answer; zero before it.
    pub(crate) fn since_answer(&self, now: Instant) -> Duration {
        self.answered
            .map_or(Duration::ZERO, |answered| now.saturating_duration_since(answered))
    }

    pub(crate) fn media_ref(&self, party: PartyId, media: usize) -> MediaRef {
        let of = self.parties.get(&party);
        let remote = of.and_then(|party| party.medias.get(media)?.remote.as_ref());
        // Before its first SDP a party has the m-lines of the other side.
        let opposite = || {
            let (peer, at) = self
                .dialogues
                .iter()
                .find_map(|dialogue| Some((dialogue.other(party)?, dialogue.opposite(party, media)?)))?;
            self.parties.get(&peer)?.medias.get(at)?.remote.as_ref()
        };
        MediaRef {
            tag: of.map(|party| party.name()).unwrap_or_default(),
            index: media + 1,
            kind: remote
                .or_else(opposite)
                .map(|remote| remote.kind_text.clone())
                .unwrap_or_default(),
        }
    }

    /// Whether a party talks to whoever listens.
    fn publishes(&self, party: PartyId) -> bool {
        let peer = self.parties.get(&party).and_then(|party| party.peer);
        let peer = peer.and_then(|peer| self.parties.get(&peer));
        peer.is_some_and(|peer| peer.part == Part::Audience)
    }

    /// The first packet of a flow came: its leg is heard if it went on to somebody, or may.
    fn note_heard(&mut self, now: Instant, core: &mut Core, leg: LegId, flow: FlowId) {
        self.installed.confirmed(flow);
        let has_output = self.installed.has_output(flow);
        // A report alone is not media.
        let snapshot = core.stats.flow_snapshot(flow);
        let has_media = snapshot.is_some_and(|flow| flow.rtp.packets + flow.raw.packets > 0);
        let Some(party) = self.leg(leg).map(|leg| leg.party) else {
            return;
        };
        let publishes = self.publishes(party);
        let Some(of) = self
            .legs
            .get_mut(&leg)
            .filter(|leg| (has_output || publishes) && has_media && !leg.heard)
        else {
            return;
        };
        of.heard = true;
        let media = self
            .parties
            .get(&party)
            .and_then(|party| party.first_media_on(leg));
        match media {
            Some(media) if publishes => {
                let media = self.media_ref(party, media);
                core.event(&self.id, What::PublisherHeard { media });
            }
            Some(media) => self.tell_media(now, core, party, media),
            None => {}
        }
    }

    fn tell_media(&mut self, now: Instant, core: &mut Core, party: PartyId, media: usize) {
        let Some((peer, opposite)) = self.opposite(party, media) else {
            return;
        };
        let after = self.since_answer(now);
        let started = What::MediaStarted {
            from: self.media_ref(party, media),
            to: self.party(peer).name(),
            after,
        };
        core.event(&self.id, started);
        // Under the name of the side that is there longer.
        let first = (party.min(peer), if party < peer { media } else { opposite });
        if self.leg_of(peer, opposite).is_some_and(|leg| leg.heard) {
            let both = What::MediaBothWays {
                media: self.media_ref(first.0, first.1),
                after,
            };
            core.event(&self.id, both);
        }
    }

    /// Puts names to what happened on the legs.
    fn tell(&mut self, core: &mut Core) {
        let mut told = Vec::new();
        for (_, leg) in self.legs.iter_mut() {
            told.extend(leg.events.drain(..).map(|event| (leg.party, leg.id, event)));
        }
        for (party, leg, event) in told {
            let of_party = self.parties.get(&party);
            let media = of_party
                .and_then(|party| party.first_media_on(leg))
                .unwrap_or_default();
            let media = self.media_ref(party, media);
            let what = match event {
                LegEvent::Learnt(endpoint) => What::EndpointLearnt { media, endpoint },
                LegEvent::IceConnected(remote) => What::IceConnected { media, remote },
                LegEvent::IceMoved(remote) => What::IceMoved { media, remote },
                LegEvent::IceFailed(reason) => What::IceFailed { media, reason },
                LegEvent::DtlsConnected(profile) => What::DtlsConnected { media, profile },
                LegEvent::DtlsFailed(reason) => What::DtlsFailed { media, reason },
                LegEvent::DtlsClosed => What::DtlsClosed { media },
                LegEvent::NoKeys => What::NoKeys { media },
            };
            core.event(&self.id, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::describe::RemoteMedia;

    /// In octets, with room for a field or two, and below the next size that an allocator would give them.
    #[test]
    fn what_every_call_has_is_small() {
        assert!(size_of::<Call>() <= 768, "{}", size_of::<Call>());
        assert!(size_of::<Party>() <= 448, "{}", size_of::<Party>());
        assert!(size_of::<RemoteMedia>() <= 432, "{}", size_of::<RemoteMedia>());
        assert!(size_of::<Leg>() <= 640, "{}", size_of::<Leg>());
        assert!(size_of::<Dialogue>() <= 256, "{}", size_of::<Dialogue>());
    }
}
