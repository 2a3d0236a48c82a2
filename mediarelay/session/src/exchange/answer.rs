//! An answer: what was offered to its sender is settled, and what its reader offered is concluded.

use std::sync::Arc;

use viaduct_forward::LegId;
use viaduct_ng::{DtlsRequest, IceMode, Osrtp};
use viaduct_rtp::srtp::SrtpKeyPair;

use super::legs::latches;
use super::{Exchange, TowardOfferer, passive};
use crate::call::Call;
use crate::core::Core;
use crate::describe::{Description, RemoteMedia};
use crate::leg::{Component, IceRole, Keys, LearningRules, Leg, LegEvent};
use crate::party::{Offered, PartyId};
use crate::sdes::OtherSide;

impl Call {
    /// Settles the legs of the answer's sender.
    pub(super) fn take_answer(&mut self, core: &mut Core, exchange: &Exchange<'_>, description: Description) {
        let rules = exchange.learning(&core.config);
        let count = description.medias.len();
        let offered_bundle = std::mem::take(&mut self.party_mut(exchange.sender).offered_bundle);
        let bundles = offered_bundle && !description.bundles.is_empty();
        self.party_mut(exchange.sender).bundles |= bundles;
        if bundles {
            // From here on they are one transport or nothing.
            self.party_mut(exchange.sender).wishes.bundle_only = true;
            self.share_legs(core, exchange, &description);
        }
        for (position, remote) in description.medias.into_iter().enumerate() {
            let sender = self.party_mut(exchange.sender);
            if remote.rejected {
                sender.refuse(position);
            }
            let media = &mut sender.medias[position];
            let offered = media.offered.take_if(|_| !remote.rejected);
            if let (Some(fax), Some(theirs)) = (&mut media.fax, exchange.fax(position)) {
                fax.theirs = theirs.clone();
            } else if !remote.rejected {
                // Audio all the same.
                media.fax = None;
            }
            let wire = media.wire(&remote);
            media.mid = remote.mid.clone().or(media.mid.take());
            media.protocol = Some(remote.protocol);
            media.twin = exchange.twin(position);
            let remote = Arc::new(remote);
            media.remote = Some(Arc::clone(&remote));
            // In a bundle the first m-line speaks for all.
            let speaks = media
                .leg
                .is_some_and(|leg| sender.first_media_on(leg) == Some(position))
                && !remote.rejected;
            if let Some(leg) = self.leg_of_mut(exchange.sender, position).filter(|_| speaks) {
                leg.wire = wire;
                settle_answerer(leg, core, exchange, rules, offered, &remote);
            }
        }
        // Fewer m-lines than offered: the rest is refused.
        let sender = self.party_mut(exchange.sender);
        for position in count..sender.medias.len() {
            sender.refuse(position);
            if let Some(remote) = &mut sender.medias[position].remote {
                Arc::make_mut(remote).rejected = true;
            }
        }
        self.refuse_unanswered(exchange, count);
    }

    /// m-lines that were offered ports of their own and are bundled by the answer are on the leg of the first, which has their
    /// ports too: the peer was told of them.
    fn share_legs(&mut self, core: &mut Core, exchange: &Exchange<'_>, description: &Description) {
        for group in &description.bundles {
            let medias = &mut self.party_mut(exchange.sender).medias;
            let live = group
                .iter()
                .copied()
                .filter(|at| description.medias[*at].is_live() && medias[*at].leg.is_some());
            let live: Vec<usize> = live.collect();
            let Some(leader) = live.first().and_then(|first| medias[*first].leg) else {
                continue;
            };
            let mut others: Vec<LegId> = live
                .iter()
                .filter_map(|at| medias[*at].leg.replace(leader))
                .collect();
            others.retain(|leg| *leg != leader);
            others.dedup();
            for other in others {
                let Some(other) = self.legs.remove(&other) else {
                    continue;
                };
                let (totals, ended, sockets) = other.give_up(exchange.now, core);
                self.past.add(&totals);
                self.keep_sources(core, &ended);
                if let Some(leg) = self.legs.get_mut(&leader) {
                    leg.take_in(core, sockets);
                }
            }
        }
    }

    /// An m-line that an answer leaves out has no description; it gets that of its counterpart, refused.
    fn refuse_unanswered(&mut self, exchange: &Exchange<'_>, count: usize) {
        for position in count..self.party(exchange.sender).medias.len() {
            if self.party(exchange.sender).medias[position].remote.is_some() {
                continue;
            }
            let opposite = self.dialogues[exchange.dialogue].opposite(exchange.sender, position);
            let like = opposite.and_then(|at| self.party(exchange.reader).medias[at].remote.clone());
            self.party_mut(exchange.sender).medias[position].remote = like.map(|mut like| {
                Arc::make_mut(&mut like).rejected = true;
                like
            });
        }
    }

    /// Concludes what the reader has offered: ICE, keys and rtcp-mux are agreed with this answer.
    pub(super) fn conclude_offer(&mut self, core: &mut Core, exchange: &Exchange<'_>) {
        self.choose_ice(core, exchange.reader);
        for (position, remote) in self.live_leaders(exchange.reader) {
            self.conclude_media(core, exchange, position, &remote);
        }
        self.join(exchange.sender, exchange.reader, exchange.dialogue);
    }

    /// Whether the relay is a lite agent toward a party, which holds from its first leg with ICE on.
    pub(super) fn choose_ice(&mut self, core: &Core, party: PartyId) {
        let of = self.party(party);
        let lite = of.wishes.ice_lite.unwrap_or(core.config.ice_lite);
        let spoken = of.medias.iter().any(|media| {
            let leg = media.leg.and_then(|leg| self.legs.get(&leg));
            leg.is_some_and(|leg| leg.ice.is_some())
        });
        if !spoken {
            self.party_mut(party).ice_lite = lite;
        }
    }

    /// Those m-lines of a party that are live and the first on their legs, with what the party says of them.
    pub(super) fn live_leaders(&self, party: PartyId) -> Vec<(usize, Arc<RemoteMedia>)> {
        let of = self.party(party);
        let live = of.medias.iter().enumerate().filter_map(|(position, media)| {
            let remote = media.remote.clone().filter(|remote| remote.is_live())?;
            (of.first_media_on(media.leg?) == Some(position)).then_some((position, remote))
        });
        live.collect()
    }

    fn conclude_media(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        position: usize,
        remote: &RemoteMedia,
    ) {
        let opposite = self.dialogues[exchange.dialogue].opposite(exchange.reader, position);
        let answered = opposite.and_then(|at| self.party(exchange.sender).medias[at].remote.as_ref());
        let opportunity = answered.is_some_and(|of| !of.protocol.is_secure() && !of.cryptos.is_empty());
        let answered = answered.cloned();
        let other = opposite.and_then(|opposite| self.leg_of(exchange.sender, opposite));
        let other_muxes = other.is_some_and(|leg| leg.mux);
        let other_side = OtherSide {
            suite: other.and_then(|leg| leg.keys(Component::Rtp)).map(Keys::profile),
            key: other.and_then(|leg| leg.sdes.peer_key()).cloned(),
        };
        let toward = self.dialogues[exchange.dialogue].toward_offerer;
        let reader = self.party(exchange.reader);
        let lite = reader.ice_lite && !remote.ice.as_ref().is_some_and(|ice| ice.lite);
        let mut sdes = reader.wishes.sdes.as_deref().cloned().unwrap_or_default();
        if let Some(offer) = &reader.offer_sdes {
            sdes.no.extend_from_slice(&offer.no);
            sdes.only.extend_from_slice(&offer.only);
            sdes.offerer_pref.extend_from_slice(&offer.offerer_pref);
        }
        let rules = toward.learning.unwrap_or_else(|| LearningRules::of(&core.config));
        let Some(leg) = self.leg_of_mut(exchange.reader, position) else {
            return;
        };
        if leg.transparent {
            leg.set_endpoints(exchange.now, core, rules, remote.endpoints());
            return;
        }
        leg.begin_again(exchange.now, core);
        let with_ice = conclude_ice(leg, core, exchange, toward, lite, remote);
        if !with_ice {
            leg.end_ice(exchange.now, core);
            leg.set_endpoints(exchange.now, core, rules, remote.endpoints());
        }
        if let Some((answered, at)) = answered.as_ref().and_then(|of| Some((of, of.rtp?)))
            && !latches(core, exchange, leg, answered)
            && leg.ice.is_none()
            && leg.is_for_another(at)
        {
            leg.change_ports(core, at);
        }
        leg.follow_ports(exchange.now, core);
        let web_like = with_ice && remote.dtls.is_some();
        let wanted = toward.mux_accept || leg.is_shared() || web_like || other_muxes;
        leg.mux |= remote.mux && !toward.mux_reject && wanted;
        let toward = TowardOfferer {
            accept_osrtp: toward.accept_osrtp || opportunity,
            ..toward
        };
        conclude_keys(leg, core, exchange, toward, remote, |leg, core| {
            let mode = core.config.sdes;
            leg.sdes
                .choose(&remote.cryptos, &other_side, &sdes, mode, &mut core.rng)
        });
    }

    /// The two hear each other from here on, and nobody else.
    pub(crate) fn join(&mut self, one: PartyId, other: PartyId, dialogue: usize) {
        self.party_mut(one).peer = Some(other);
        self.party_mut(other).peer = Some(one);
        self.dialogues[dialogue].answered = true;
    }
}

/// Whether the reader's ICE is answered, and then with what.
fn conclude_ice(
    leg: &mut Leg,
    core: &mut Core,
    exchange: &Exchange<'_>,
    toward: TowardOfferer,
    lite: bool,
    remote: &RemoteMedia,
) -> bool {
    let refused = toward.reject_ice || exchange.options.ice.mode == Some(IceMode::Remove);
    let Some(ice) = remote.ice.as_deref().cloned().filter(|_| !refused) else {
        return false;
    };
    let role = IceRole::toward_offerer(lite, ice.lite);
    if leg.ensure_ice(core, role).is_restart(&ice.credentials) {
        leg.restart_ice(core, role);
    }
    leg.set_remote_ice(exchange.now, core, ice);
    true
}

/// Which keys the reader's offer is answered with: none, by DTLS, or those that `choose` takes from its SDP.
fn conclude_keys(
    leg: &mut Leg,
    core: &mut Core,
    exchange: &Exchange<'_>,
    toward: TowardOfferer,
    remote: &RemoteMedia,
    choose: impl FnOnce(&mut Leg, &mut Core) -> Option<SrtpKeyPair>,
) {
    let asked = exchange.options.osrtp;
    let opportunistic = !remote.protocol.is_secure() && !remote.cryptos.is_empty();
    let accepts = toward.accept_osrtp || asked.contains(Osrtp::Accept) || asked.contains(Osrtp::AcceptRfc);
    leg.secure = remote.protocol.is_secure() || opportunistic && accepts;
    if !leg.secure {
        leg.forget_keys(core);
        return;
    }
    let no_dtls = toward.prefer_sdes || exchange.options.dtls_wish() == Some(DtlsRequest::Off);
    let use_sdes = !remote.cryptos.is_empty() && (remote.dtls.is_none() || no_dtls);
    if let Some(dtls) = remote
        .dtls
        .as_deref()
        .cloned()
        .filter(|_| !use_sdes && !opportunistic)
    {
        leg.is_no_browser = !remote.protocol.has_feedback();
        leg.set_remote_dtls(core, dtls);
        let wish = passive(exchange.options.dtls_wish()).or(toward.dtls_passive);
        let passive = wish.unwrap_or(core.config.dtls_passive);
        leg.ensure_dtls(core).fix_role_to_offerer(passive);
        return;
    }
    match choose(leg, core) {
        Some(pair) => leg.set_sdes_keys(core, &pair),
        None => leg.events.push_back(LegEvent::NoKeys),
    }
}

/// Settles a leg whose peer has answered.
fn settle_answerer(
    leg: &mut Leg,
    core: &mut Core,
    exchange: &Exchange<'_>,
    rules: LearningRules,
    offered: Option<Offered>,
    remote: &RemoteMedia,
) {
    if leg.transparent {
        leg.set_endpoints(exchange.now, core, rules, remote.endpoints());
        return;
    }
    leg.mux |= remote.mux && offered.is_some_and(|offered| offered.mux);
    match remote.ice.as_deref().cloned() {
        Some(ice) if leg.ice.is_some() => leg.set_remote_ice(exchange.now, core, ice),
        _ => {
            leg.end_ice(exchange.now, core);
            leg.set_endpoints(exchange.now, core, rules, remote.endpoints());
            leg.follow_ports(exchange.now, core);
        }
    }
    // A repeated answer settles what is settled.
    let (may_dtls, may_sdes, opportunistic) = match offered {
        Some(offered) => (offered.dtls, offered.sdes, offered.opportunistic),
        None => {
            let agreed = leg.sdes.is_agreed();
            (leg.dtls.is_some(), agreed, agreed && !remote.protocol.is_secure())
        }
    };
    leg.secure = remote.protocol.is_secure() || opportunistic && !remote.cryptos.is_empty();
    if !leg.secure {
        leg.forget_keys(core);
        return;
    }
    if let Some(dtls) = remote.dtls.as_deref().cloned().filter(|_| may_dtls) {
        leg.is_no_browser = !remote.protocol.has_feedback();
        leg.set_remote_dtls(core, dtls);
        leg.ensure_dtls(core).fix_role_to_answerer();
        return;
    }
    match may_sdes.then(|| leg.sdes.accept(&remote.cryptos)).flatten() {
        Some(pair) => leg.set_sdes_keys(core, &pair),
        None => {
            leg.forget_keys(core);
            leg.events.push_back(LegEvent::NoKeys);
        }
    }
}
