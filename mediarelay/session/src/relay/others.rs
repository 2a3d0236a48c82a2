//! Commands without a type of their own: who is connected, what is blocked, and what there is not.

use std::time::Instant;

use viaduct_ng::{ByteString, Dict, ErrorReason, OtherCommand, OtherRequest, Reply, Value};

use super::Relay;
use crate::call::Call;
use crate::party::{Blocked, Party, PartyId};

impl Relay {
    pub(super) fn other(&mut self, now: Instant, request: &OtherRequest) -> Reply {
        if request.command == OtherCommand::Connect {
            return self.connect(now, &request.body);
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
        OtherCommand::UnblockDtmf => Some(|blocked| blocked.dtmf = false),
        _ => None,
    }
}

impl Relay {
    /// `connect`: two parties of a call hear each other from here on, and nobody else. Parties of two calls are not joined.
    fn connect(&mut self, now: Instant, body: &Dict) -> Reply {
        let Some(call_id) = text(body, "call-id") else {
            return Reply::error(ErrorReason::NoCallId);
        };
        let (from, to) = match tags(body) {
            Ok(tags) => tags,
            Err(reason) => return Reply::error(reason),
        };
        if text(body, "to-call-id").is_some_and(|other| other != call_id) {
            return Reply::error(ErrorReason::Unsupported);
        }
        self.with_call(now, call_id, |call, _| {
            call.connect(from, to)?;
            Ok(Reply::ok())
        })
    }
}

impl Call {
    /// Carries out a command of old for a call that is being rebuilt.
    pub(super) fn other_again(&mut self, request: &OtherRequest) {
        // It went well before.
        if request.command == OtherCommand::Connect {
            if let Ok((from, to)) = tags(&request.body) {
                let _ = self.connect(from, to);
            }
        } else if let Some(set) = setter(request.command) {
            let _ = self.change_blocked(&request.body, set);
        }
    }

    /// Joins two parties, m-line by m-line of the same kind.
    fn connect(&mut self, from: &ByteString, to: &ByteString) -> Result<(), ErrorReason> {
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
        Ok(())
    }

    /// Changes what is blocked for the selected party, or for the whole call.
    fn change_blocked(&mut self, body: &Dict, set: fn(&mut Blocked)) -> Result<(), ErrorReason> {
        match self.selected(body)? {
            Some(party) => set(&mut self.party_mut(party).blocked),
            None => {
                set(&mut self.blocked);
                self.parties
                    .values_mut()
                    .for_each(|party| set(&mut party.blocked));
            }
        }
        Ok(())
    }

    /// The party that a command selects: by label, by the address of its SDP, or by its tag, where the flag
    /// `directional` lets that count. `None` stands for all.
    fn selected(&self, body: &Dict) -> Result<Option<PartyId>, ErrorReason> {
        if has_flag(body, "all") || get(body, "all").is_some() {
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
        match text(body, "from-tag").filter(|_| has_flag(body, "directional")) {
            Some(tag) => find(ErrorReason::NoSuchFromTag, &|party| party.is_called(tag)),
            None => Ok(None),
        }
    }
}

/// A key in any of its spellings: hyphens, spaces or underscores, in any case.
fn get<'d>(body: &'d Dict, key: &str) -> Option<&'d Value> {
    body.iter()
        .find(|(name, _)| name.as_text().is_some_and(|name| is_same(name, key)))
        .map(|(_, value)| value)
}

fn text<'d>(body: &'d Dict, key: &str) -> Option<&'d ByteString> {
    get(body, key)
        .and_then(Value::as_bytes)
        .filter(|text| !text.is_empty())
}

fn has_flag(body: &Dict, flag: &str) -> bool {
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
