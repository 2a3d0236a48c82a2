//! Commands without a type of their own: who is connected, what is blocked, and what there is not.

use std::time::Instant;

use viaduct_ng::{ByteString, Dict, ErrorReason, OtherCommand, OtherRequest, Reply, Request, Value};

use super::Relay;
use crate::call::Call;
use crate::core::CallKey;
use crate::event::What;
use crate::party::{Blocked, Party, PartyId};
use crate::state::CallName;

impl Relay {
    pub(super) fn other(&mut self, now: Instant, request: &OtherRequest) -> Reply {
        match request.command {
            OtherCommand::Connect => return self.connect(now, &request.body),
            OtherCommand::PlayMedia => return self.play_media(now, &request.body),
            OtherCommand::StopMedia => return self.stop_media(now, &request.body),
            OtherCommand::PlayDtmf => return self.play_dtmf(now, &request.body),
            _ => {}
        }
        let Some(set) = setter(request.command) else {
            return Reply::error(ErrorReason::Unsupported);
        };
        let Some(call_id) = text(&request.body, "call-id") else {
            return Reply::error(ErrorReason::NoCallId);
        };
        self.with_call(now, call_id, |call, _| {
            call.change_blocked(&request.body, set)?;
            Ok(Reply::ok())
        })
    }
}

/// The two parties that a command is about.
fn tags(body: &Dict) -> Result<(&ByteString, &ByteString), ErrorReason> {
    let from = text(body, "from-tag").ok_or(ErrorReason::NoFromTag)?;
    Ok((from, text(body, "to-tag").ok_or(ErrorReason::NoToTag)?))
}

/// What a command changes; `None` for those that change nothing.
fn setter(command: OtherCommand) -> Option<fn(&mut Blocked)> {
    match command {
        OtherCommand::BlockMedia => Some(|blocked| blocked.media = true),
        OtherCommand::UnblockMedia => Some(|blocked| blocked.media = false),
        OtherCommand::BlockDtmf => Some(|blocked| blocked.dtmf = true),
        OtherCommand::SilenceMedia => Some(|blocked| blocked.speech = true),
        OtherCommand::UnsilenceMedia => Some(|blocked| blocked.speech = false),
        OtherCommand::UnblockDtmf => Some(|blocked| blocked.dtmf = false),
        _ => None,
    }
}

/// Whether a command changes who hears whom, for as long as the call lasts.
pub(super) fn is_lasting(command: OtherCommand) -> bool {
    command == OtherCommand::Connect || setter(command).is_some()
}

/// Whether a command is about all parties, and says so.
pub(super) fn is_for_all(body: &Dict) -> bool {
    has_flag(body, "all") || get(body, "all").is_some()
}

impl Relay {
    /// `connect`: two parties hear each other from here on, and nobody else. If they are of two calls, the other call
    /// becomes part of the first one.
    fn connect(&mut self, now: Instant, body: &Dict) -> Reply {
        let result = self.connect_parties(now, body);
        result.map_or_else(Reply::error, |()| Reply::ok())
    }

    fn connect_parties(&mut self, now: Instant, body: &Dict) -> Result<(), ErrorReason> {
        let call_id = text(body, "call-id").ok_or(ErrorReason::NoCallId)?;
        let (from, to) = tags(body)?;
        let key_of = |id: &ByteString| self.by_id.get(id).copied().ok_or(ErrorReason::UnknownCallId);
        let key = key_of(call_id)?;
        let other = text(body, "to-call-id").map_or(Ok(key), key_of)?;
        if other != key {
            let has = |key: CallKey, tag: &ByteString| {
                let call = self.calls.get(&key);
                call.is_some_and(|call| call.party_called(tag).is_some())
            };
            // Nothing can fail once the calls are one.
            if !has(key, from) {
                return Err(ErrorReason::NoSuchFromTag);
            }
            if !has(other, to) {
                return Err(ErrorReason::ToTagNotFound);
            }
            self.merge(key, other)?;
        }
        let result = self.work(now, key, |call, _| Some(call.connect(now, from, to)));
        result.unwrap_or(Err(ErrorReason::UnknownCallId))
    }

    /// Makes a call part of another one.
    fn merge(&mut self, key: CallKey, other: CallKey) -> Result<(), ErrorReason> {
        let Some(of) = self.calls.remove(&other) else {
            return Err(ErrorReason::UnknownCallId);
        };
        let checked = match self.calls.get(&key) {
            Some(call) => call.check_merging(&mut self.core, &of),
            None => Err(ErrorReason::UnknownCallId),
        };
        let Some(call) = self.calls.get_mut(&key).filter(|_| checked.is_ok()) else {
            self.calls.insert(other, of);
            return checked;
        };
        if let Some(at) = of.timer {
            self.timers.remove(&(at, other));
        }
        if let Some(at) = of.plays_at() {
            self.playing.remove(&(at, other));
        }
        for id in of.ids() {
            self.by_id.insert(id.clone(), key);
        }
        let core = &mut self.core;
        core.counters.calls_merged += 1;
        core.event(
            &call.id,
            What::Merged {
                call_id: of.id.clone(),
            },
        );
        if let Some(state) = &mut core.state {
            let (limits, hits) = (&core.config.limits, &mut core.counters.limits);
            let [name, of_name] = [&call.id, &of.id].map(|id| CallName::of(id));
            state.merge(name, &mut call.state, of_name, &of.state, limits, hits);
        }
        call.merge(core, *of);
        Ok(())
    }
}

/// The call whose party a command connects with one of its own call, if it names one.
pub(super) fn connects_to(request: &Request) -> Option<&ByteString> {
    match request {
        Request::Other(other) if other.command == OtherCommand::Connect => text(&other.body, "to-call-id"),
        _ => None,
    }
}

impl Call {
    /// Carries out a command of old for a call that is being rebuilt.
    pub(super) fn other_again(&mut self, at: Instant, request: &OtherRequest) {
        // It went well before.
        if request.command == OtherCommand::Connect {
            if let Ok((from, to)) = tags(&request.body) {
                let _ = self.connect(at, from, to);
            }
        } else if let Some(set) = setter(request.command) {
            let _ = self.change_blocked(&request.body, set);
        }
    }

    /// Joins two parties, m-line by m-line of the same kind.
    fn connect(&mut self, now: Instant, from: &ByteString, to: &ByteString) -> Result<(), ErrorReason> {
        let from = self.party_called(from).ok_or(ErrorReason::NoSuchFromTag)?;
        let to = self.party_called(to).ok_or(ErrorReason::ToTagNotFound)?;
        if from == to {
            return Err(ErrorReason::InvalidDialogue);
        }
        let kinds = |party: &Party| -> Vec<Option<String>> {
            let remotes = party.medias.iter().map(|media| media.remote.as_ref());
            remotes.map(|remote| Some(remote?.kind_text.clone())).collect()
        };
        let (ours, theirs) = (kinds(self.party(from)), kinds(self.party(to)));
        let at = self.ensure_dialogue(from, to);
        let dialogue = &mut self.dialogues[at];
        for (position, kind) in ours.iter().enumerate().filter(|(_, kind)| kind.is_some()) {
            if dialogue.opposite(from, position).is_some() {
                continue;
            }
            let free = |place: &usize| theirs[*place] == *kind && dialogue.opposite(to, *place).is_none();
            if let Some(opposite) = (0..theirs.len()).find(free) {
                dialogue.join(from, position, opposite);
            }
        }
        self.join(from, to, at);
        self.revive(&[from, to]);
        // They talk, whatever each was waiting for.
        self.answered.get_or_insert(now);
        self.rings = false;
        self.last_signal = now;
        self.check_soon(now);
        Ok(())
    }

    /// Changes what is blocked for the selected party, or for the whole call.
    fn change_blocked(&mut self, body: &Dict, set: fn(&mut Blocked)) -> Result<(), ErrorReason> {
        match self.selected(body, has_flag(body, "directional"))? {
            Some(party) => set(&mut self.party_mut(party).blocked),
            None => {
                set(&mut self.blocked);
                for (_, party) in self.parties.iter_mut() {
                    set(&mut party.blocked);
                }
            }
        }
        Ok(())
    }

    /// The party that a command selects: by label, by the address of its SDP, or by its tag, where that counts. `None`
    /// stands for all, or for nobody.
    pub(super) fn selected(&self, body: &Dict, by_tag: bool) -> Result<Option<PartyId>, ErrorReason> {
        if is_for_all(body) {
            return Ok(None);
        }
        let find = |reason: ErrorReason, fits: &dyn Fn(&Party) -> bool| {
            let found = self.parties.values().find(|party| fits(party));
            found.map(|party| Some(party.id)).ok_or(reason)
        };
        if let Some(label) = text(body, "label").or_else(|| text(body, "from-label")) {
            return find(ErrorReason::NoSuchLabel, &|party| {
                party.label.as_ref() == Some(label)
            });
        }
        if let Some(address) = text(body, "address") {
            let address = address.as_text().and_then(|text| text.parse().ok());
            return find(ErrorReason::NoSuchAddress, &|party| {
                let mut remotes = party.medias.iter().filter_map(|media| media.remote.as_ref()?.rtp);
                remotes.any(|remote| Some(remote.ip()) == address)
            });
        }
        match text(body, "from-tag").filter(|_| by_tag) {
            Some(tag) => find(ErrorReason::NoSuchFromTag, &|party| party.is_called(tag)),
            None => Ok(None),
        }
    }
}

/// A key in any of its spellings: hyphens, spaces or underscores, in any case.
pub(super) fn get<'d>(body: &'d Dict, key: &str) -> Option<&'d Value> {
    body.iter()
        .find(|(name, _)| name.as_text().is_some_and(|name| is_same(name, key)))
        .map(|(_, value)| value)
}

pub(super) fn text<'d>(body: &'d Dict, key: &str) -> Option<&'d ByteString> {
    get(body, key)
        .and_then(Value::as_bytes)
        .filter(|text| !text.is_empty())
}

pub(super) fn has_flag(body: &Dict, flag: &str) -> bool {
    let mut flags = get(body, "flags")
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter();
    flags.any(|member| {
        member
            .as_bytes()
            .and_then(ByteString::as_text)
            .is_some_and(|text| is_same(text, flag))
    })
}

fn is_same(one: &str, other: &str) -> bool {
    let folded = |text: &str| text.to_ascii_lowercase().replace([' ', '_'], "-");
    folded(one) == folded(other)
}
