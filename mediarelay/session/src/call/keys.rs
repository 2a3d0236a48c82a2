//! Keys that are pressed in the name of a party (NG `play DTMF`), one after the other.

use std::time::{Duration, Instant};

use viaduct_forward::{ClockRate, KeyPress};
use viaduct_ng::ByteString;
use viaduct_rtp::g711::Law;

use super::Call;
use super::digits::CLOCK_RATE;
use crate::core::Core;
use crate::party::PartyId;

/// How much longer than it takes a key may be pressed: a party that says nothing presses none, and others wait behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A key, and how it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// 0 to 15 (RFC 4733 section 3.2).
    pub(crate) event: u8,
    pub(crate) millis: u16,
    /// What follows it at least until the next.
    pub(crate) pause: Duration,
    /// dBm0 with the sign dropped.
    pub(crate) volume: u8,
}

/// A key that is pressed or is about to be.
#[derive(Debug)]
pub(crate) struct Press {
    id: u64,
    party: PartyId,
    key: Key,
    /// When it is pressed at the earliest; `None`: the one before it is not over.
    from: Option<Instant>,
    /// It is pressed, and given up then.
    until: Option<Instant>,
}

impl Press {
    /// The same in a call whose parties are called otherwise.
    pub(super) fn of(self, name: impl Fn(PartyId) -> PartyId) -> Self {
        Self {
            party: name(self.party),
            ..self
        }
    }
}

impl Call {
    /// Whether somebody would hear a key of a party.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_key(&self, party: PartyId) -> Result<(), ByteString> {
        let hearer = self.pressed_on(party).and_then(|media| {
            let (peer, opposite) = self.opposite(party, media)?;
            Some((media, peer, opposite))
        });
        let Some((media, peer, opposite)) = hearer else {
            return Err("Nobody hears the party".into());
        };
        let (own, other) = (self.leg_of(party, media), self.leg_of(peer, opposite));
        if own.zip(other).is_some_and(|(own, other)| {
            own.wire.is_raw() || own.transparent || own.shares_its_key_with(other, crate::leg::Component::Rtp)
        }) {
            return Err("The party's media passes as it is".into());
        }
        let Some(remote) = &self.party(peer).medias[opposite].remote else {
            return Err("Nobody hears the party".into());
        };
        let knows = |law: Law| remote.payload_types.contains(&law.payload_type());
        if remote.telephone_events.is_empty() && !knows(Law::Mu) && !knows(Law::A) {
            return Err("Whoever hears the party knows neither telephone-event nor G.711".into());
        }
        Ok(())
    }

    /// The m-line on which a party's keys are heard: its first of audio.
    fn pressed_on(&self, party: PartyId) -> Option<usize> {
        let medias = &self.parties.get(&party)?.medias;
        medias.iter().position(|media| {
            let remote = media.remote.as_ref();
            media.leg.is_some()
                && remote.is_some_and(|remote| remote.kind_text == "audio" && !remote.rejected)
        })
    }

    /// Presses a key behind those that wait.
    pub(crate) fn press_key(&mut self, now: Instant, core: &mut Core, party: PartyId, key: Key) {
        let is_first = self.presses().iter().all(|press| press.party != party);
        let press = Press {
            id: core.new_id(),
            party,
            key,
            from: is_first.then_some(now),
            until: None,
        };
        self.playing.get_or_insert_default().presses.push(press);
    }

    /// Presses the keys whose time has come, and gives up those that nobody could press. Whether rules follow from that.
    pub(super) fn press_keys(&mut self, now: Instant, core: &mut Core) -> bool {
        let parties = &self.parties;
        let Some(playing) = &mut self.playing else {
            return false;
        };
        let before = playing.presses.len();
        playing.presses.retain(|press| parties.contains_key(&press.party));
        let mut changes = playing.presses.len() < before;
        let late = playing
            .presses
            .iter()
            .find(|press| press.until.is_some_and(|until| until <= now));
        if let Some(late) = late.map(|press| press.id) {
            core.counters.keys_unpressed += 1;
            self.key_over(now, late);
            changes = true;
        }
        for press in self.playing.iter_mut().flat_map(|playing| &mut playing.presses) {
            if press.until.is_none() && press.from.is_some_and(|from| from <= now) {
                press.until = Some(now + Duration::from_millis(press.key.millis.into()) + PATIENCE);
                changes = true;
            }
        }
        changes
    }

    /// A worker has pressed a key to its end.
    pub(super) fn key_pressed(&mut self, now: Instant, core: &mut Core, id: u64) {
        core.counters.keys_pressed += u64::from(self.key_over(now, id));
    }

    /// A key is over, and the next may follow after its pause. Whether it was there.
    fn key_over(&mut self, now: Instant, id: u64) -> bool {
        let Some(playing) = &mut self.playing else {
            return false;
        };
        let Some(at) = playing.presses.iter().position(|press| press.id == id) else {
            return false;
        };
        let over = playing.presses.remove(at);
        let next = playing.presses.iter_mut().find(|press| press.party == over.party);
        if let Some(next) = next {
            next.from = Some(now + over.key.pause);
        }
        true
    }

    /// When [`press_keys`](Self::press_keys) is due.
    pub(super) fn next_press(&self) -> Option<Instant> {
        self.presses()
            .iter()
            .filter_map(|press| press.until.or(press.from))
            .min()
    }

    pub(super) fn presses(&self) -> &[Press] {
        self.playing.as_ref().map_or(&[], |playing| &playing.presses)
    }

    /// What a worker is to know of the key that is pressed on an m-line.
    pub(crate) fn key_press(
        &self,
        party: PartyId,
        media: usize,
        (peer, opposite): (PartyId, usize),
    ) -> Option<KeyPress> {
        let is_pressed = |press: &&Press| press.party == party && press.until.is_some();
        let press = self.presses().iter().find(is_pressed)?;
        if self.pressed_on(party) != Some(media) {
            return None;
        }
        let remote = self.parties.get(&peer)?.medias.get(opposite)?.remote.as_ref()?;
        let clock = |payload_type: u8| {
            let mut known = remote.clock_rates.iter();
            let known = known.find(|of| of.payload_type == payload_type);
            known.map_or(CLOCK_RATE, |of| of.hertz)
        };
        let payload_types = remote.telephone_events.iter().map(|payload_type| ClockRate {
            payload_type: *payload_type,
            hertz: clock(*payload_type),
        });
        Some(KeyPress {
            id: press.id,
            event: press.key.event,
            millis: press.key.millis,
            volume: press.key.volume,
            payload_types: payload_types.collect(),
        })
    }
}
