//! Those who only listen to a call: recorders and monitors (NG `subscribe request`).
//!
//! A listener is a party that has a dialogue with a *stand-in*, which is nobody's: its m-lines stand for those of the
//! parties that are heard. So a listener gets its offer, and answers it, as every party does; and what comes in on an
//! m-line that is stood for goes to the listener besides its way.

use viaduct_forward::{LISTENERS_MAX, Listener, MidSelector};
use viaduct_ng::{ByteString, ErrorReason, Flag, Options};
use viaduct_sdp::{
    Codec, CodecList, Connection, Direction, Media, MediaOut, Protocol, RtcpFb, Session, SessionOut,
};

use super::Call;
use crate::core::Core;
use crate::describe::MID_EXTENSION;
use crate::dialogue::Dialogue;
use crate::exchange::names_new_medias;
use crate::leg::Component;
use crate::party::{Part, PartyId};

/// A port that means nothing: a stand-in receives nothing (RFC 863).
pub(crate) const DISCARD: u16 = 9;

/// What a listener is to hear.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The offer of the stand-in.
    pub(crate) session: Session,
    /// Whose m-line each of its m-lines stands for.
    pub(crate) medias: Vec<(PartyId, usize)>,
}

impl Call {
    /// Everybody who takes part: no listeners and no stand-ins.
    pub(crate) fn talkers(&self) -> impl Iterator<Item = PartyId> {
        let talking = self.parties.values().filter(|party| party.part == Part::Talks);
        talking.map(|party| party.id)
    }

    /// The parties that a stand-in stands for.
    pub(super) fn heard_by(&self, stand_in: PartyId) -> Vec<PartyId> {
        let mut parties = Vec::new();
        if let Some(Part::StandsFor(medias)) = self.parties.get(&stand_in).map(|party| &party.part) {
            parties.extend(medias.iter().flatten().map(|(party, _)| *party));
            parties.dedup();
        }
        parties
    }

    /// The m-lines that hear a party's m-line without taking part: none while its SDP says that it sends nothing.
    fn hearing(&self, party: PartyId, media: usize) -> impl Iterator<Item = (PartyId, usize)> {
        let heard = self.parties.get(&party).and_then(|party| party.medias.get(media));
        let sends = heard.is_some_and(|media| media.direction().sends());
        let stand_ins = self.parties.values().filter(move |_| sends);
        stand_ins.filter_map(move |stand_in| {
            let at = stand_in.part.stands_for(party, media)?;
            let (listener, opposite) = self.opposite(stand_in.id, at)?;
            let of = self.parties.get(&listener)?.medias.get(opposite)?;
            of.direction().receives().then_some((listener, opposite))
        })
    }

    /// What a listener is to see an m-line called in packets: where it has to tell it from others, or its sender may call it
    /// something that the listener does not know.
    fn named_to_listener(&self, from: (PartyId, usize), to: (PartyId, usize)) -> Option<MidSelector> {
        let remote =
            |(party, media): (PartyId, usize)| self.parties.get(&party)?.medias.get(media)?.remote.as_ref();
        let is_called = remote(from)?.mid_extension.is_some();
        if !is_called && !self.parties.get(&to.0)?.tells_apart(to.1) {
            return None;
        }
        remote(to)?.named_in_packets()
    }

    /// Where else packets of a party's m-line go.
    pub(crate) fn listeners(&self, party: PartyId, media: usize, component: Component) -> Vec<Listener> {
        let hearing = self.hearing(party, media).filter_map(|(listener, opposite)| {
            let way = self.leg_of(listener, opposite)?.reached_from(component);
            let mid = self.named_to_listener((party, media), (listener, opposite));
            (way.rtp_out.is_some() || way.rtcp_out.is_some()).then_some(Listener { mid, ..way })
        });
        hearing.take(LISTENERS_MAX).collect()
    }

    /// Whether one listener more would be too many for some m-line.
    pub(crate) fn is_heard_by_enough(&self, medias: &[(PartyId, usize)], besides: Option<PartyId>) -> bool {
        medias.iter().any(|(party, media)| {
            let stand_ins = self.parties.values();
            let standing = stand_ins.filter(|of| Some(of.id) != besides);
            let standing = standing.filter(|of| of.part.stands_for(*party, *media).is_some());
            standing.count() >= LISTENERS_MAX
        })
    }

    /// What parties say, as an offer of somebody who only sends. Its m-lines are what the parties have told those they
    /// talk to, with plain RTP; the listener's options say what it is offered.
    ///
    /// # Errors
    /// None of the parties has said anything yet.
    pub(crate) fn heard(
        &self,
        core: &Core,
        parties: &[PartyId],
        options: &Options,
    ) -> Result<Heard, ErrorReason> {
        let connection = nowhere(core)?;
        let mut offer: Option<SessionOut> = None;
        let mut medias = Vec::new();
        for party in parties {
            let Some((told, peer)) = self.told_of(*party) else {
                continue;
            };
            let session = read_own(core, told)?;
            let theirs = self.told_of(peer).filter(|(_, to)| to == party);
            let theirs = theirs.map(|(told, _)| read_own(core, told)).transpose()?;
            let at = self.dialogue_of(*party, peer);
            let dialogue = at.and_then(|at| self.dialogues.get(at));
            for position in 0..self.party(*party).medias.len() {
                let opposite = dialogue.and_then(|dialogue| dialogue.opposite(*party, position));
                let told = opposite.and_then(|at| session.media(at));
                let media = told.and_then(|told| self.media_of_stand_in(*party, position, told, &connection));
                let Some(mut media) = media else { continue };
                if let Some(theirs) = theirs.as_ref().and_then(|theirs| theirs.media(position)) {
                    retain_agreed_feedback(&mut media, theirs);
                }
                if !names_new_medias(options) {
                    media.extmaps.retain(|extmap| extmap.uri != MID_EXTENSION);
                }
                if medias.len() >= core.config.limits.medias_per_party {
                    break;
                }
                if options.has(Flag::Siprec) {
                    media.label = Some(medias.len().to_string());
                }
                if options.has(Flag::Inactive) {
                    media.direction = Some(Direction::Inactive);
                }
                medias.push((*party, position));
                offer
                    .get_or_insert_with(|| SessionOut {
                        loop_marker: None,
                        ice_lite: false,
                        groups: Vec::new(),
                        medias: Vec::new(),
                        ..SessionOut::from_sender(&session)
                    })
                    .medias
                    .push(media);
            }
        }
        let mut offer = offer.ok_or(ErrorReason::IncompleteSdp)?;
        if medias.iter().any(|(party, _)| *party != medias[0].0) {
            // What one of them says of the whole does not hold for the others.
            offer.passed.clear();
        }
        let session = read_own(core, &offer.to_bytes())?;
        Ok(Heard { session, medias })
    }

    /// The SDP that a party's peer was told of it last, and that peer.
    fn told_of(&self, party: PartyId) -> Option<(&ByteString, PartyId)> {
        fn of_dialogue(dialogue: &Dialogue, party: PartyId) -> Option<(&ByteString, PartyId)> {
            let peer = dialogue.other(party)?;
            let said = [&dialogue.last_answer, &dialogue.last_offer]
                .into_iter()
                .flatten();
            let mut by_party = said.filter(|said| said.sender() == party);
            by_party.next().map(|said| (&said.reply, peer))
        }
        let peer = self.party(party).peer;
        let with_peer = peer.and_then(|peer| self.dialogue_of(party, peer));
        let preferred = with_peer.and_then(|at| of_dialogue(&self.dialogues[at], party));
        let mut all = self.dialogues.iter().rev();
        preferred.or_else(|| all.find_map(|dialogue| of_dialogue(dialogue, party)))
    }

    /// An m-line of a party, as a stand-in offers it; `None` if it is not live.
    fn media_of_stand_in(
        &self,
        party: PartyId,
        position: usize,
        told: Media<'_>,
        connection: &Connection,
    ) -> Option<MediaOut> {
        let of = &self.party(party).medias[position];
        let remote = of.remote.as_ref().filter(|remote| remote.is_live())?;
        of.leg?;
        let accepted = self.opposite(party, position).and_then(|(peer, at)| {
            let of_peer = self.party(peer).medias[at].remote.as_ref()?;
            Some(&of_peer.payload_types)
        });
        let mut out = MediaOut::from_sender(told);
        out.port = DISCARD;
        out.connection = connection.clone();
        out.mid = None;
        out.direction = Some(Direction::new(remote.direction.sends(), false));
        // Only what was accepted comes, if something was.
        let comes = |codec: &Codec| {
            accepted.is_some_and(|types| codec.payload_type().is_some_and(|of| types.contains(&of)))
        };
        if out.codecs.iter().any(comes) {
            out.codecs.0.retain(comes);
        }
        for codec in &mut out.codecs.0 {
            codec.order_parameters();
        }
        if remote.is_rtp() {
            let protocol = match remote.protocol.has_feedback() {
                true => Protocol::RtpAvpf,
                false => Protocol::RtpAvp,
            };
            out.protocol = protocol.name().unwrap_or_default().to_owned();
        }
        Some(out)
    }
}

/// Leaves of the feedback of codecs what the other side has as well.
fn retain_agreed_feedback(media: &mut MediaOut, theirs: Media<'_>) {
    let mut of_all = theirs.attributes().all::<RtcpFb>().flatten();
    if of_all.any(|feedback| feedback.payload_type.is_none()) {
        return;
    }
    let theirs = CodecList::from_media(theirs);
    for codec in &mut media.codecs.0 {
        if let Some(of) = theirs.iter().find(|of| of.format == codec.format) {
            codec.rtcp_fb.retain(|feedback| of.rtcp_fb.contains(feedback));
        }
    }
}

/// Where a party that is nobody receives: any address but zero, which would mean hold.
pub(crate) fn nowhere(core: &Core) -> Result<Connection, ErrorReason> {
    let address = core.config.interfaces.first().and_then(|of| of.addresses.first());
    let connection = address.map(|of| Connection::unicast(of.advertised()));
    connection.ok_or(ErrorReason::OutOfPorts)
}

/// Reads an SDP of our own making, which may be as long as it is.
pub(crate) fn read_own(core: &Core, sdp: &[u8]) -> Result<Session, ErrorReason> {
    let limits = viaduct_sdp::Limits {
        octets_max: usize::MAX,
        ..core.config.limits.sdp()
    };
    Session::parse_within(sdp, &limits).map_err(|_| ErrorReason::UnwritableSdp)
}
