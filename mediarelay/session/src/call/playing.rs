//! What is played to parties of a call (NG `play media`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use viaduct_clip::{Clip, SAMPLE_RATE};
use viaduct_forward::{CryptoId, MediaKind, MidSelector, Out, Resume, Shift, SsrcSnapshot, Tick};
use viaduct_rtp::g711::Law;
use viaduct_rtp::{ELEMENT_GROWTH_MAX, RtpFields, insert_element};

use super::fax::Gateway;
use super::{Call, Press};
use crate::core::Core;
use crate::leg::Component;
use crate::output::Output;
use crate::party::{Party, PartyId};

/// How much of a clip is in a packet: what phones take by default (RFC 3551 section 4.2).
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// Samples of a frame.
pub(super) const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// Sequence numbers that are left out before a clip in the name of a source: its packets may pass until the workers know.
const MARGIN: u16 = 10;

/// A player that is later than this does not catch up: a burst of speech is of use to nobody.
const LATE_MAX: Duration = Duration::from_millis(200);

/// How a clip is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The first sample.
    pub(crate) start: usize,
    /// How often it is played; `None`: until `duration` is over.
    pub(crate) times: Option<u32>,
    /// How long it is played at most.
    pub(crate) duration: Option<Duration>,
    /// Nobody else is heard meanwhile (NG `block-egress`).
    pub(crate) alone: bool,
}

/// Why nothing can be played to a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unplayable {
    #[error("the party has no audio that passes here")]
    NoAudio,
    #[error("the party takes neither PCMU nor PCMA")]
    NoCodec,
    #[error("the party's keys are those of another")]
    ForeignKeys,
}

/// What is played in a call.
#[derive(Debug, Default)]
pub(crate) struct Playing {
    /// One for each party that hears a clip.
    players: Vec<Player>,
    /// Keys that are pressed or are about to be, in their order.
    pub(super) presses: Vec<Press>,
    /// Fax gateways.
    pub(super) faxes: Vec<Gateway>,
    /// How many of both the relay has counted.
    pub(crate) counted: usize,
    /// Where the relay keeps their timer.
    pub(crate) timer: Option<Instant>,
}

/// Plays a clip to one m-line.
#[derive(Debug)]
pub(crate) struct Player {
    party: PartyId,
    media: usize,
    clip: Arc<Clip>,
    law: Law,
    /// The next sample.
    at: usize,
    /// How often the clip begins anew; `None`: until `until`.
    again: Option<u32>,
    until: Option<Instant>,
    alone: bool,
    /// It speaks in the name of the source that the party hears otherwise, which is not heard meanwhile.
    in_place: bool,
    /// When the next packet is due.
    next: Instant,
    /// Its header.
    header: RtpFields,
}

impl Player {
    /// The octets of the next packet; `None`: that was all.
    fn frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.until.is_some_and(|until| until <= now) {
            return None;
        }
        let law = self.law;
        let first = law.encode(self.sample()?);
        let mut packet = Vec::with_capacity(256);
        packet.extend(self.header.encode());
        packet.push(first);
        packet.extend((1..FRAME_SAMPLES).map(|_| {
            let sample = self.sample();
            sample.map_or(law.silence(), |sample| law.encode(sample))
        }));
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        Some(packet)
    }

    fn sample(&mut self) -> Option<i16> {
        let samples = self.clip.samples();
        if self.at >= samples.len() {
            if let Some(again) = &mut self.again {
                *again = again.checked_sub(1)?;
            }
            self.at = 0;
        }
        let sample = *samples.get(self.at)?;
        self.at += 1;
        Some(sample)
    }
}

/// Under which numbers something of ours begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
}

impl Numbers {
    pub(super) fn random(core: &mut Core) -> Self {
        Self {
            ssrc: core.rng.random(),
            // Far enough from where numbers wrap for a receiver of SRTP that misses the first (RFC 3711 section 3.3.1).
            sequence: core.rng.random::<u16>() >> 1,
            timestamp: core.rng.random(),
        }
    }

    /// Behind what is heard of a source by now, as it is numbered for who hears it, and that many numbers further.
    pub(super) fn behind(
        now: Instant,
        core: &Core,
        (source, shift): (&SsrcSnapshot, Shift),
        further: u16,
    ) -> Self {
        let passed = ticks_since(now, core, source.last_packet, source.reception.clock_rate);
        Self {
            ssrc: source.ssrc,
            sequence: (source.reception.highest_sequence as u16)
                .wrapping_add(shift.sequence)
                .wrapping_add(further),
            timestamp: (source.reception.last_timestamp)
                .wrapping_add(shift.timestamp)
                .wrapping_add(passed)
                .wrapping_add(u32::from(further) * FRAME_SAMPLES as u32),
        }
    }
}

/// Ticks of a clock in Hz since then.
fn ticks_since(now: Instant, core: &Core, since: Tick, clock: u32) -> u32 {
    let passed = core.epoch.tick(now).since(since).as_micros() * u128::from(clock) / 1_000_000;
    passed as u32
}

/// How packets of ours get to an m-line.
pub(super) struct Way {
    out: Out,
    protect: Option<CryptoId>,
    mid: Option<MidSelector>,
}

impl Way {
    /// Sends a packet of RTP, with the name of the m-line in it where its receiver wants it.
    pub(super) fn send(&self, core: &mut Core, mut packet: Vec<u8>) {
        if let Some(mid) = &self.mid {
            let len = packet.len();
            packet.resize(len + ELEMENT_GROWTH_MAX, 0);
            let len = insert_element(&mut packet, len, mid.extension_id, mid.mid.as_bytes());
            packet.truncate(len);
        }
        core.output(Output::Emit {
            from: self.out.local,
            to: self.out.remote,
            protect: self.protect,
            kind: MediaKind::Rtp,
            packet,
        });
    }
}

impl Call {
    /// Where a clip can be played to a party, and in which law.
    ///
    /// # Errors
    /// [`Unplayable`].
    fn playable(&self, party: PartyId) -> Result<(usize, Law), Unplayable> {
        let count = self.parties.get(&party).map_or(0, |party| party.medias.len());
        let mut why = Unplayable::NoAudio;
        for at in 0..count {
            match self.playable_on(party, at) {
                Ok(law) => return Ok((at, law)),
                Err(Unplayable::NoAudio) => {}
                Err(other) => why = other,
            }
        }
        Err(why)
    }

    /// In which law a clip can be played to an m-line.
    fn playable_on(&self, party: PartyId, at: usize) -> Result<Law, Unplayable> {
        let media = self.parties.get(&party).and_then(|party| party.medias.get(at));
        let is_audio = media.is_some_and(|media| {
            let remote = media.remote.as_ref();
            !media.direct && remote.is_some_and(|remote| remote.kind_text == "audio" && !remote.rejected)
        });
        let leg = self.leg_of(party, at).filter(|_| is_audio);
        let leg = leg.filter(|leg| !leg.wire.is_raw() && !leg.transparent);
        if leg.ok_or(Unplayable::NoAudio)?.sdes.passes_on_gcm() {
            // Under another's key of GCM only that other's packets may go out.
            return Err(Unplayable::ForeignKeys);
        }
        self.law_to(party, at).ok_or(Unplayable::NoCodec)
    }

    /// What the parties have agreed on may be another thing than when a clip began: it is played on as they hear it now, or no
    /// more.
    pub(crate) fn follow_agreements(&mut self, now: Instant, core: &mut Core) {
        let Some(mut playing) = self.playing.take() else {
            return;
        };
        let ended = playing.players.extract_if(.., |player| {
            let law = self.playable_on(player.party, player.media);
            player.law = law.unwrap_or(player.law);
            player.header.payload_type = player.law.payload_type();
            law.is_err()
        });
        let ended: Vec<Player> = ended.collect();
        for player in playing.players.iter_mut().filter(|player| !player.in_place) {
            if let Some(numbers) = self.place(now, core, player.party, player.media) {
                player.in_place = true;
                player.header.ssrc = numbers.ssrc;
                player.header.sequence = numbers.sequence;
                player.header.timestamp = numbers.timestamp;
            }
        }
        self.playing = Some(playing);
        ended.iter().for_each(|player| self.resume_behind(core, player));
    }

    /// A law of G.711 that a party has agreed to hear.
    pub(super) fn law_to(&self, party: PartyId, at: usize) -> Option<Law> {
        let media = self.parties.get(&party)?.medias.get(at)?;
        if let Some(told) = media.law {
            return Some(told);
        }
        let laws_of = |payload_types: &[u8]| -> Vec<Law> {
            let laws = payload_types.iter().copied();
            laws.filter_map(Law::of_payload_type).collect()
        };
        let own = laws_of(&media.remote.as_ref()?.payload_types);
        let opposite = self.opposite(party, at);
        if opposite.is_some_and(|opposite| self.recoded(opposite, (party, at)).is_some()) {
            return own.first().copied();
        }
        let theirs = opposite.and_then(|(peer, at)| self.parties.get(&peer)?.medias.get(at)?.remote.as_ref());
        match theirs {
            Some(theirs) => {
                let theirs = laws_of(&theirs.payload_types);
                own.into_iter().find(|law| theirs.contains(law))
            }
            None => own.first().copied(),
        }
    }

    /// Plays a clip to a party from now on, instead of what is played to it.
    ///
    /// # Errors
    /// [`Unplayable`].
    pub(crate) fn start_playing(
        &mut self,
        now: Instant,
        core: &mut Core,
        party: PartyId,
        clip: Arc<Clip>,
        manner: Manner,
    ) -> Result<(), Unplayable> {
        let (media, law) = self.playable(party)?;
        self.stop_playing(core, party);
        self.find_counters(core);
        let in_place = self.place(now, core, party, media);
        let numbers = in_place.unwrap_or_else(|| Numbers::random(core));
        let player = Player {
            party,
            media,
            clip,
            law,
            at: manner.start,
            again: manner.times.map(|times| times.saturating_sub(1)),
            until: manner.duration.map(|duration| now + duration),
            alone: manner.alone,
            in_place: in_place.is_some(),
            next: now,
            header: RtpFields {
                marker: true,
                payload_type: law.payload_type(),
                sequence: numbers.sequence,
                timestamp: numbers.timestamp,
                ssrc: numbers.ssrc,
            },
        };
        self.playing.get_or_insert_default().players.push(player);
        Ok(())
    }

    /// Plays nothing to a party any more. Which sample was next.
    pub(crate) fn stop_playing(&mut self, core: &mut Core, party: PartyId) -> Option<usize> {
        let players = &mut self.playing.as_mut()?.players;
        let at = players.iter().position(|player| player.party == party)?;
        let player = players.swap_remove(at);
        self.resume_behind(core, &player);
        Some(player.at)
    }

    /// The numbers under which a clip goes on in the name of the source that a party hears on an m-line: where its SDP names
    /// sources, a browser hears those and no others.
    fn place(&self, now: Instant, core: &mut Core, party: PartyId, media: usize) -> Option<Numbers> {
        let (peer, opposite) = self.opposite(party, media)?;
        let (to, from) = (self.leg_of(party, media)?, self.leg_of(peer, opposite)?);
        if from.shares_its_key_with(to, Component::Rtp) || to.shares_its_key_with(from, Component::Rtp) {
            return None;
        }
        let told = &self
            .parties
            .get(&peer)?
            .medias
            .get(opposite)?
            .remote
            .as_ref()?
            .ssrcs;
        let first = *told.first()?;
        let heard = from.last_source(|ssrc| told.contains(&ssrc));
        let of = self.parties.get(&party)?.medias.get(media)?;
        let resume = of.resume.filter(|resume| told.contains(&resume.ssrc));
        let is_older = |source: &SsrcSnapshot| {
            resume.is_some_and(|resume| resume.ssrc == source.ssrc && source.last_packet < resume.at)
        };
        if let Some((source, shift)) = heard.filter(|(source, _)| !is_older(source)) {
            return Some(Numbers::behind(now, core, (&source, shift), MARGIN));
        }
        Some(match resume {
            Some(resume) => Numbers {
                ssrc: resume.ssrc,
                sequence: resume.sequence,
                timestamp: (resume.timestamp).wrapping_add(ticks_since(now, core, resume.at, SAMPLE_RATE)),
            },
            None => Numbers {
                ssrc: first,
                ..Numbers::random(core)
            },
        })
    }

    /// A clip is over: the source in whose name it was goes on behind it.
    fn resume_behind(&mut self, core: &mut Core, player: &Player) {
        let media = self
            .parties
            .get_mut(&player.party)
            .and_then(|party| party.medias.get_mut(player.media));
        if let Some(media) = media.filter(|_| player.in_place) {
            media.resume = Some(Resume {
                id: core.new_id(),
                ssrc: player.header.ssrc,
                sequence: player.header.sequence,
                timestamp: player.header.timestamp,
                at: core.epoch.tick(player.next),
                known: None,
            });
        }
    }

    /// Keeps what the workers have made of sources that go on behind clips, since the next flow of a source goes on with it.
    pub(crate) fn keep_shifts(&mut self) {
        if self.playing.is_none() {
            return;
        }
        let waits = |party: &Party, at: usize| {
            let resume = party.medias[at].resume;
            resume.filter(|resume| resume.known.is_none())
        };
        let parties = self.parties.values();
        let waiting = parties.flat_map(|party| {
            let all = 0..party.medias.len();
            all.filter_map(|at| Some((party.id, at, waits(party, at)?.id)))
        });
        let known: Vec<(PartyId, usize, Shift)> = waiting
            .filter_map(|(party, at, id)| {
                let (peer, opposite) = self.opposite(party, at)?;
                let from = self.leg_of(peer, opposite)?;
                let flows = from.paths.iter().filter_map(|path| path.stats.as_ref());
                let mut shifts = flows.flat_map(|stats| stats.snapshot().routes);
                let shift = shifts.find_map(|route| route.shift.filter(|shift| shift.id == id))?;
                Some((party, at, shift))
            })
            .collect();
        for (party, at, shift) in known {
            if let Some(resume) = &mut self.party_mut(party).medias[at].resume {
                resume.known = Some(shift);
            }
        }
    }

    /// How many players there are for others than these parties.
    pub(crate) fn players_besides(&self, parties: &[PartyId]) -> usize {
        let players = self.players().iter();
        let others = players.filter(|player| !parties.contains(&player.party));
        self.presses().len() + others.count()
    }

    /// Sends what is due. Whether a clip is over: rules may follow from that.
    pub(crate) fn play(&mut self, now: Instant, core: &mut Core) -> bool {
        let Some(mut playing) = self.playing.take() else {
            return false;
        };
        let over = playing
            .players
            .extract_if(.., |player| !self.play_one(now, core, player));
        let over: Vec<Player> = over.collect();
        self.playing = Some(playing);
        over.iter().for_each(|player| self.resume_behind(core, player));
        !over.is_empty() | self.press_keys(now, core)
    }

    /// Whether there is more to play.
    fn play_one(&self, now: Instant, core: &mut Core, player: &mut Player) -> bool {
        if now.saturating_duration_since(player.next) > LATE_MAX {
            player.next = now;
        }
        let way = self.way_to(player.party, player.media);
        while player.next <= now {
            let Some(packet) = player.frame(now) else {
                return false;
            };
            player.next += FRAME;
            let Some(way) = &way else {
                continue;
            };
            core.counters.played_packets += 1;
            way.send(core, packet);
        }
        true
    }

    /// `None` while a party's address or keys are missing, and while it does not want to hear anything.
    pub(super) fn way_to(&self, party: PartyId, media: usize) -> Option<Way> {
        let of = self.parties.get(&party)?.medias.get(media)?;
        if !of.direction().receives() {
            return None;
        }
        let way = self.leg_of(party, media)?.reached_from(Component::Rtp);
        Some(Way {
            out: way.rtp_out?,
            protect: way.protect,
            mid: self.named_to((party, media), (party, media)),
        })
    }

    /// When [`play`](Self::play) is due.
    pub(crate) fn next_packet(&self) -> Option<Instant> {
        let packets = self.players().iter().map(|player| player.next);
        packets.chain(self.next_press()).min()
    }

    /// Whether an m-line hears a clip and nobody else.
    pub(crate) fn hears_clip_alone(&self, party: PartyId, media: usize) -> bool {
        let mut players = self.players().iter();
        players
            .any(|player| (player.alone || player.in_place) && (player.party, player.media) == (party, media))
    }

    /// Takes in what was played in another call, whose parties are called otherwise from here on.
    pub(super) fn take_players(&mut self, other: Playing, name: impl Fn(PartyId) -> PartyId) {
        let players = other.players.into_iter().map(|player| Player {
            party: name(player.party),
            ..player
        });
        let players: Vec<Player> = players.collect();
        let presses = other.presses.into_iter().map(|press| press.of(&name));
        let playing = self.playing.get_or_insert_default();
        playing.counted += other.counted;
        playing.presses.extend(presses);
        playing.players.extend(players);
    }

    fn players(&self) -> &[Player] {
        self.playing.as_ref().map_or(&[], |playing| &playing.players)
    }

    /// How many parties hear something, and how many keys wait.
    pub(crate) fn players_count(&self) -> usize {
        self.players().len() + self.presses().len()
    }

    /// How many of them the relay has counted.
    pub(crate) fn players_counted(&self) -> usize {
        self.playing.as_ref().map_or(0, |playing| playing.counted)
    }

    /// Where the relay keeps the timer of what is played.
    pub(crate) fn plays_at(&self) -> Option<Instant> {
        self.playing.as_ref()?.timer
    }
}
