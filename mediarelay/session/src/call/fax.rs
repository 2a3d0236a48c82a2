//! Fax gateways of a call: T.38 on one side, G.711 on the other (NG `T.38`).
//!
//! What makes the one of the other works elsewhere, for it takes time: this is what goes there and what comes back.

use std::time::Instant;

use viaduct_fax::parameters::{Options as Modems, Parameters};
use viaduct_forward::{LegId, Resume, Tick};
use viaduct_ng::ByteString;
use viaduct_rtp::g711::Law;
use viaduct_rtp::{RtpFields, RtpPacket};

use super::Call;
use super::playing::{FRAME, FRAME_SAMPLES, Numbers};
use crate::core::Core;
use crate::leg::Component;
use crate::output::Output;
use crate::party::PartyId;

/// Packets that are taken for lost at most, where numbers leave some out: more is a source that has begun anew.
const LOST_MAX: u16 = 50;

/// Names one gateway; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaxId(pub u64);

/// What a gateway is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaxInput {
    /// Begin.
    Begin(Box<FaxPlan>),
    /// A datagram of UDPTL has come.
    Datagram(Vec<u8>),
    /// Sound has come: samples of 16 bits at 8,000 Hz.
    Sound(Vec<i16>),
    /// So many samples have not.
    Missing(usize),
    /// End.
    End,
}

/// What a gateway is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaxPlan {
    /// The call that it is of, for people.
    pub call_id: ByteString,
    /// What was agreed on T.38.
    pub agreed: Parameters,
    /// Which modems may be used.
    pub modems: Modems,
}

/// What a gateway says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaxOutput {
    /// A datagram of UDPTL.
    Datagram(Vec<u8>),
    /// Sound: samples of 16 bits at 8,000 Hz, the next 20 ms of it.
    Sound(Vec<i16>),
}

/// One m-line of T.38, and the one that it talks to.
#[derive(Debug)]
pub(super) struct Gateway {
    id: FaxId,
    fax: (PartyId, usize),
    voice: (PartyId, usize),
    agreed: Parameters,
    modems: Modems,
    /// The header of the next packet to the phone.
    header: RtpFields,
    /// When that is due.
    due: Tick,
    /// The source that is heard, and its next number.
    next: Option<(u32, u16)>,
}

impl Call {
    /// Whether there is room for a gateway. One that a call has already, or has offered, is its own.
    pub(crate) fn may_fax(&self, core: &Core) -> bool {
        let taken: usize = core.fax_places.values().sum();
        taken < core.config.limits.fax_gateways || core.fax_places.contains_key(&self.key)
    }

    /// Keeps places for the m-lines that speak T.38, answered or not.
    fn keep_fax_places(&self, core: &mut Core) {
        let medias = self.parties.values().flat_map(|party| &party.medias);
        match medias.filter(|media| media.fax.is_some()).count() {
            0 => core.fax_places.remove(&self.key),
            places => core.fax_places.insert(self.key, places),
        };
    }

    /// Begins and ends gateways as the parties have agreed.
    pub(crate) fn follow_faxes(&mut self, now: Instant, core: &mut Core) {
        self.keep_fax_places(core);
        if self.gateways().is_empty() && !core.fax_places.contains_key(&self.key) {
            return;
        }
        let mut gateways = std::mem::take(&mut self.playing.get_or_insert_default().faxes);
        let ended = gateways.extract_if(.., |gateway| {
            let same = self.agreed_on_fax(gateway.fax);
            same.is_none_or(|(voice, agreed, modems)| {
                (voice, &agreed, modems) != (gateway.voice, &gateway.agreed, gateway.modems)
            })
        });
        let ended: Vec<Gateway> = ended.collect();
        for gateway in ended {
            self.resume_behind_fax(core, &gateway);
            gateway.end(core);
        }
        let medias = self.parties.values().flat_map(|party| {
            let fax = (0..party.medias.len()).filter(|at| party.medias[*at].fax.is_some());
            fax.map(|at| (party.id, at))
        });
        for fax in medias {
            let is_there = gateways.iter().any(|gateway| gateway.fax == fax);
            let Some((voice, agreed, modems)) = self.agreed_on_fax(fax).filter(|_| !is_there) else {
                continue;
            };
            let numbers = self.numbers_of_fax(now, core, fax);
            let id = FaxId(core.new_id());
            core.faxes.insert(id, self.key);
            core.counters.fax_gateways += 1;
            let plan = FaxPlan {
                call_id: self.id.clone(),
                agreed: agreed.clone(),
                modems,
            };
            core.output(Output::Fax(id, FaxInput::Begin(Box::new(plan))));
            gateways.push(Gateway {
                id,
                fax,
                voice,
                agreed,
                modems,
                header: RtpFields {
                    marker: true,
                    payload_type: 0,
                    sequence: numbers.sequence,
                    timestamp: numbers.timestamp,
                    ssrc: numbers.ssrc,
                },
                due: core.epoch.tick(now),
                next: None,
            });
        }
        self.playing.get_or_insert_default().faxes = gateways;
    }

    /// The numbers of what a phone hears of a fax: behind what it has heard of that party before, for it is the same source to the
    /// phone.
    fn numbers_of_fax(&self, now: Instant, core: &mut Core, (party, media): (PartyId, usize)) -> Numbers {
        let heard = self
            .leg_of(party, media)
            .and_then(|leg| leg.last_source(|_| true));
        match heard {
            Some((source, shift)) => Numbers::behind(now, core, (&source, shift), 1),
            None => Numbers::random(core),
        }
    }

    /// A fax is over: the source in whose name it was goes on behind it.
    fn resume_behind_fax(&mut self, core: &mut Core, gateway: &Gateway) {
        let (party, media) = gateway.voice;
        let of = self.parties.get_mut(&party);
        if let Some(media) = of.and_then(|party| party.medias.get_mut(media)) {
            media.resume = Some(Resume {
                id: core.new_id(),
                ssrc: gateway.header.ssrc,
                sequence: gateway.header.sequence,
                timestamp: gateway.header.timestamp,
                at: gateway.due,
                known: None,
            });
            // What becomes of it is kept as behind a clip.
            self.playing.get_or_insert_default();
        }
    }

    /// With whom a party of T.38 talks, and what was agreed; `None` before the answer.
    fn agreed_on_fax(&self, (party, at): (PartyId, usize)) -> Option<((PartyId, usize), Parameters, Modems)> {
        let fax = self.parties.get(&party)?.medias.get(at)?.fax.as_ref()?;
        let voice = self
            .opposite(party, at)
            .filter(|(peer, _)| self.are_joined(party, *peer))?;
        fax.agreed
            .then(|| (voice, fax.ours.with(&fax.theirs), fax.modems))
    }

    /// Whether what is said on an m-line goes to a gateway.
    pub(crate) fn is_faxed(&self, from: (PartyId, usize)) -> bool {
        let mut gateways = self.gateways().iter();
        gateways.any(|gateway| gateway.fax == from || gateway.voice == from)
    }

    /// Whether two m-lines of which one speaks T.38 wait for the first answer: what they would send each other is of no use.
    pub(crate) fn awaits_fax(&self, one: (PartyId, usize), other: (PartyId, usize)) -> bool {
        let speaks_fax = |(party, media): (PartyId, usize)| {
            let media = self.parties.get(&party).and_then(|party| party.medias.get(media));
            media.is_some_and(|media| media.fax.is_some())
        };
        let dialogue = self.dialogue_of(one.0, other.0).map(|at| &self.dialogues[at]);
        (speaks_fax(one) || speaks_fax(other)) && dialogue.is_none_or(|dialogue| !dialogue.answered)
    }

    /// Media for a gateway has come.
    pub(crate) fn take_for_fax(&mut self, core: &mut Core, leg: LegId, data: &[u8]) {
        let Some((party, media)) = self.legs.get(&leg).and_then(|leg| {
            let party = self.parties.get(&leg.party)?;
            Some((leg.party, party.first_media_on(leg.id)?))
        }) else {
            return;
        };
        let mut gateways = self.playing.iter_mut().flat_map(|playing| &mut playing.faxes);
        let from = (party, media);
        let Some(gateway) = gateways.find(|gateway| gateway.fax == from || gateway.voice == from) else {
            core.counters.stale += 1;
            return;
        };
        if gateway.fax == from {
            core.output(Output::Fax(gateway.id, FaxInput::Datagram(data.to_vec())));
        } else {
            gateway.hear(core, data);
        }
    }

    /// A gateway says something.
    pub(crate) fn handle_fax(&mut self, now: Instant, core: &mut Core, id: FaxId, output: FaxOutput) {
        let mut gateways = self.gateways().iter().enumerate();
        let Some((of, gateway)) = gateways.find(|(_, gateway)| gateway.id == id) else {
            core.counters.stale += 1;
            return;
        };
        let (fax, voice) = (gateway.fax, gateway.voice);
        match output {
            FaxOutput::Datagram(data) => {
                let way = self
                    .leg_of(fax.0, fax.1)
                    .and_then(|leg| leg.reached_from(Component::Rtp).rtp_out);
                if let Some(out) = way {
                    core.counters.fax_datagrams += 1;
                    core.output(Output::Send {
                        from: out.local,
                        to: out.remote,
                        data,
                    });
                }
            }
            FaxOutput::Sound(samples) => self.say_fax(now, core, of, voice, &samples),
        }
    }

    fn say_fax(
        &mut self,
        now: Instant,
        core: &mut Core,
        of: usize,
        voice: (PartyId, usize),
        samples: &[i16],
    ) {
        let law = self.law_to(voice.0, voice.1);
        let way = self.way_to(voice.0, voice.1);
        let Some(gateway) = self
            .playing
            .as_mut()
            .and_then(|playing| playing.faxes.get_mut(of))
        else {
            return;
        };
        gateway.due = core.epoch.tick(now + FRAME);
        let header = &mut gateway.header;
        // Time goes on, whether it is heard or not.
        let packet = law.map(|law| {
            header.payload_type = law.payload_type();
            let mut packet = Vec::with_capacity(256);
            packet.extend(header.encode());
            packet.extend(samples.iter().map(|sample| law.encode(*sample)));
            packet
        });
        header.marker = false;
        header.sequence = header.sequence.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(samples.len() as u32);
        if let Some((packet, way)) = packet.zip(way) {
            way.send(core, packet);
        }
    }

    /// Takes in the gateways of another call, whose parties are called otherwise from here on.
    pub(super) fn take_faxes(
        &mut self,
        core: &mut Core,
        other: Vec<Gateway>,
        name: impl Fn(PartyId) -> PartyId,
    ) {
        let of_other = other.into_iter().map(|gateway| {
            core.faxes.insert(gateway.id, self.key);
            Gateway {
                fax: (name(gateway.fax.0), gateway.fax.1),
                voice: (name(gateway.voice.0), gateway.voice.1),
                ..gateway
            }
        });
        self.playing.get_or_insert_default().faxes.extend(of_other);
    }

    /// Ends all gateways: the call is over.
    pub(crate) fn end_faxes(&mut self, core: &mut Core) {
        core.fax_places.remove(&self.key);
        if let Some(playing) = &mut self.playing {
            playing.faxes.drain(..).for_each(|gateway| gateway.end(core));
        }
    }

    fn gateways(&self) -> &[Gateway] {
        self.playing.as_ref().map_or(&[], |playing| &playing.faxes)
    }
}

impl Gateway {
    fn end(self, core: &mut Core) {
        core.faxes.remove(&self.id);
        core.output(Output::Fax(self.id, FaxInput::End));
    }

    /// The phone has said something.
    fn hear(&mut self, core: &mut Core, data: &[u8]) {
        let Ok(packet) = RtpPacket::parse(data) else {
            return;
        };
        let header = packet.header();
        let Some(law) = Law::of_payload_type(header.payload_type()) else {
            return;
        };
        let (ssrc, sequence) = (header.ssrc(), header.sequence());
        let missing = match self.next {
            Some((known, next)) if known == ssrc => sequence.wrapping_sub(next),
            _ => 0,
        };
        if missing > u16::MAX - LOST_MAX {
            // It comes too late: its place was filled.
            return;
        }
        self.next = Some((ssrc, sequence.wrapping_add(1)));
        if (1..=LOST_MAX).contains(&missing) {
            // Each of what phones send by default.
            let samples = usize::from(missing) * FRAME_SAMPLES;
            core.output(Output::Fax(self.id, FaxInput::Missing(samples)));
        }
        let samples = packet.payload().iter().map(|octet| law.decode(*octet));
        core.output(Output::Fax(self.id, FaxInput::Sound(samples.collect())));
    }
}
