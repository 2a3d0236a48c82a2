//! Offers and answers as commands: which call, which parties, and whether the same was asked before.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use viaduct_ng::{Answer, ByteString, ErrorReason, LoadLimit, Offer, Options, Osrtp, Reply, Request};
use viaduct_sdp::{ParseFault, PlainTwin, Session};

use super::Relay;
use crate::call::{Call, Names, is_final};
use crate::core::{CallKey, Core};
use crate::dialogue::Exchanged;
use crate::event::{DeleteReason, What};
use crate::exchange::{Exchange, Kind, Voiced, undouble};
use crate::party::PartyId;

/// An offer or an answer, whichever.
struct Message<'m> {
    kind: Kind,
    names: Names<'m>,
    sdp: &'m ByteString,
    session: Session,
    twins: Vec<Option<PlainTwin>>,
    options: Options,
}

impl Relay {
    pub(super) fn offer(&mut self, now: Instant, client: Option<IpAddr>, offer: &Offer) -> Reply {
        let names = names_of_offer(offer);
        let known = self.by_id.get(&offer.call_id).copied();
        if known.is_none()
            && let Some(limit) = self.limit_reached()
        {
            return limit.reply(offer.options.supports_load_limit);
        }
        let message = match self.read(Kind::Offer, names, &offer.call_id, &offer.sdp, &offer.options) {
            Ok(message) => message,
            Err(reason) => return Reply::error(reason),
        };
        if is_our_own(&message.session, &self.core.instance_id, &message.options) {
            return Reply::sdp(offer.sdp.clone());
        }
        let key = known.unwrap_or_else(|| self.create(now, client, &offer.call_id));
        self.take(now, key, &message)
    }

    pub(super) fn answer(&mut self, now: Instant, answer: &Answer) -> Reply {
        let Some(key) = self.by_id.get(&answer.call_id).copied() else {
            return Reply::error(ErrorReason::UnknownCallId);
        };
        let names = names_of_answer(answer);
        let message = match self.read(Kind::Answer, names, &answer.call_id, &answer.sdp, &answer.options) {
            Ok(message) => message,
            Err(reason) => return Reply::error(reason),
        };
        if is_our_own(&message.session, &self.core.instance_id, &message.options) {
            return Reply::sdp(answer.sdp.clone());
        }
        self.take(now, key, &message)
    }

    /// Carries out an offer or an answer of old for a call that is being rebuilt. `None` for other requests.
    pub(super) fn exchange_again(
        &mut self,
        at: Instant,
        call: &mut Call,
        request: &Request,
    ) -> Option<Result<ByteString, ErrorReason>> {
        let message = match request {
            Request::Offer(of) => {
                self.read(Kind::Offer, names_of_offer(of), &of.call_id, &of.sdp, &of.options)
            }
            Request::Answer(of) => self.read(
                Kind::Answer,
                names_of_answer(of),
                &of.call_id,
                &of.sdp,
                &of.options,
            ),
            _ => return None,
        };
        Some(message.and_then(|message| call.take_message(at, &mut self.core, &message)))
    }

    /// Hands an offer or an answer to its call, and then what was trickled ahead of it.
    fn take(&mut self, now: Instant, key: CallKey, message: &Message<'_>) -> Reply {
        let taken = self.work(now, key, |call, core| Some(call.take_message(now, core, message)));
        match taken {
            Some(Ok(sdp)) => {
                self.apply_waiting(now, key);
                Reply::sdp(sdp)
            }
            Some(Err(reason)) => Reply::error(reason),
            None => Reply::error(ErrorReason::UnknownCallId),
        }
    }

    /// Why there may be no further call.
    pub(super) fn limit_reached(&mut self) -> Option<LoadLimit> {
        let (count, limits) = (self.calls.len(), &self.core.config.limits);
        let over_limit = count >= limits.calls;
        let full = over_limit || self.core.config.max_sessions.is_some_and(|max| count >= max);
        self.core.counters.limits.calls += u64::from(over_limit);
        let limit = full
            .then_some(LoadLimit::Sessions)
            .or_else(|| self.overload.clone());
        self.core.counters.calls_refused += u64::from(limit.is_some());
        self.core.counters.calls_refused_for_load += u64::from(!full && limit.is_some());
        limit
    }

    pub(super) fn create(&mut self, now: Instant, client: Option<IpAddr>, call_id: &ByteString) -> CallKey {
        let mut call = Call::new(&mut self.core, now, call_id.clone());
        call.client = client;
        let key = call.key;
        self.core.counters.calls += 1;
        self.core.event(call_id, What::Created);
        self.calls.insert(key, Box::new(call));
        self.by_id.insert(call_id.clone(), key);
        key
    }

    /// Reads a message within the limits.
    fn read<'m>(
        &mut self,
        kind: Kind,
        names: Names<'m>,
        call_id: &ByteString,
        sdp: &'m ByteString,
        options: &Options,
    ) -> Result<Message<'m>, ErrorReason> {
        let stored = [Some(call_id), Some(names.from), names.to, names.via_branch];
        self.check_names(stored.into_iter().flatten(), None, options)?;
        let session = self.read_sdp(sdp)?;
        let doubles = options.osrtp.contains(Osrtp::Accept) || options.osrtp.contains(Osrtp::AcceptLegacy);
        let undoubled = doubles.then(|| undouble(sdp, &session)).flatten();
        let (session, twins) = match undoubled {
            Some(undoubled) => (self.read_sdp(&undoubled.sdp)?, undoubled.twins),
            None => (session, Vec::new()),
        };
        let mut options = options.clone();
        options.expand_webrtc();
        Ok(Message {
            kind,
            names,
            sdp,
            session,
            twins,
            options,
        })
    }

    /// Whether all names that are stored are short enough.
    pub(super) fn check_names<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n ByteString>,
        another: Option<&'n ByteString>,
        options: &'n Options,
    ) -> Result<(), ErrorReason> {
        let Core { config, counters, .. } = &mut self.core;
        let of_options = [&options.label, &options.set_label, &options.metadata];
        let of_options = of_options.into_iter().filter_map(Option::as_ref);
        let mut stored = names.into_iter().chain(another).chain(of_options);
        if stored.any(|name| name.len() > config.limits.name_octets) {
            counters.limits.name_octets += 1;
            return Err(ErrorReason::Other(
                "A call-id, tag or other name is too long".into(),
            ));
        }
        Ok(())
    }

    /// Reads an SDP within the limits.
    pub(super) fn read_sdp(&mut self, sdp: &[u8]) -> Result<Session, ErrorReason> {
        let Core { config, counters, .. } = &mut self.core;
        let limits = config.limits.sdp();
        let session = Session::parse_within(sdp, &limits).map_err(|error| {
            match error.fault {
                ParseFault::TooLong { .. }
                | ParseFault::TooManyLines { .. }
                | ParseFault::TooManyMedias { .. }
                | ParseFault::TooManyFormats { .. }
                | ParseFault::TooManyAttributes { .. }
                | ParseFault::TooManyCandidates { .. } => counters.limits.sdp += 1,
                _ => counters.sdp_unusable += 1,
            }
            tracing::debug!(%error, "unusable SDP");
            ErrorReason::UnparsableSdp
        })?;
        if config.reject_invalid_sdp && session.ends_at_empty_line() {
            counters.sdp_unusable += 1;
            return Err(ErrorReason::UnparsableSdp);
        }
        Ok(session)
    }
}

fn names_of_offer(offer: &Offer) -> Names<'_> {
    Names {
        call_id: &offer.call_id,
        from: &offer.from_tag,
        to: offer.to_tag.as_ref(),
        via_branch: offer.via_branch.as_ref(),
    }
}

fn names_of_answer(answer: &Answer) -> Names<'_> {
    Names {
        call_id: &answer.call_id,
        from: &answer.from_tag,
        to: Some(&answer.to_tag),
        via_branch: answer.via_branch.as_ref(),
    }
}

/// Whether an SDP has been through this relay already (flag `loop-protect`).
fn is_our_own(session: &Session, instance_id: &str, options: &Options) -> bool {
    let mut marks = session
        .attributes()
        .named("rtpengine")
        .filter_map(|mark| mark.value);
    options.has(viaduct_ng::Flag::LoopProtect)
        && marks.any(|mark| mark.trim_ascii() == instance_id.as_bytes())
}

impl Call {
    /// Takes an offer or answer. One that fails leaves the call as it was; a call that has nothing else ends.
    fn take_message(
        &mut self,
        now: Instant,
        core: &mut Core,
        message: &Message<'_>,
    ) -> Result<ByteString, ErrorReason> {
        let result = self.attempt(now, core, |call, core| match message.kind {
            Kind::Offer => call.take_offer_message(now, core, message),
            Kind::Answer => call.take_answer_message(now, core, message),
        });
        if self.parties.is_empty() {
            self.ends = Some(DeleteReason::Refused);
        }
        result
    }

    fn take_offer_message(
        &mut self,
        now: Instant,
        core: &mut Core,
        message: &Message<'_>,
    ) -> Result<ByteString, ErrorReason> {
        let alias = message
            .options
            .alias_key
            .and_then(|key| self.party_like(key, message.sdp, message.first_address()));
        let (sender, reader) = self.parties_of_offer(now, core, &message.names, alias)?;
        self.revive(&[sender, reader]);
        let dialogue = self.ensure_dialogue(sender, reader);
        // Once an answer has settled an offer, the same SDP may mean something else.
        let asked = &self.dialogues[dialogue];
        let repeated = asked.last_offer.as_ref().filter(|last| {
            asked.last_answer.is_none() && last.is_repeat(sender, message.sdp, &message.options)
        });
        if let Some(last) = repeated {
            core.counters.repeats += 1;
            return Ok(last.reply.clone());
        }
        let voiced = self.voice_offer(core, &message.options, message.sdp, &message.session);
        let reply = self.exchange_message(now, core, message, (sender, reader, dialogue), voiced)?;
        let dialogue = &mut self.dialogues[dialogue];
        dialogue.last_offer = Some(message.exchanged(sender, &reply));
        dialogue.last_answer = None;
        Ok(reply)
    }

    /// Takes in what a message says, or what was made of it.
    fn exchange_message(
        &mut self,
        now: Instant,
        core: &mut Core,
        message: &Message<'_>,
        (sender, reader, dialogue): (PartyId, PartyId, usize),
        voiced: Option<Voiced>,
    ) -> Result<ByteString, ErrorReason> {
        let said = Exchange {
            may_fax: self.may_fax(core),
            ..message.exchange(now, sender, reader, dialogue)
        };
        let Some(Voiced { sdp, faxes }) = voiced else {
            return self.exchange(core, &said);
        };
        let limits = core.config.limits.sdp();
        let session = Session::parse_within(&sdp, &limits).map_err(|_| ErrorReason::UnparsableSdp)?;
        self.exchange(
            core,
            &Exchange {
                session: &session,
                faxes: &faxes,
                ..said
            },
        )
    }

    fn take_answer_message(
        &mut self,
        now: Instant,
        core: &mut Core,
        message: &Message<'_>,
    ) -> Result<ByteString, ErrorReason> {
        let (sender, reader) = self.parties_of_answer(core, &message.names, &message.options)?;
        self.revive(&[sender, reader]);
        let dialogue = self
            .dialogue_of(sender, reader)
            .ok_or(ErrorReason::InvalidDialogue)?;
        let asked = &self.dialogues[dialogue];
        if asked
            .last_offer
            .as_ref()
            .is_none_or(|offer| offer.sender() != reader)
        {
            return Err(ErrorReason::InvalidDialogue);
        }
        let last = asked.last_answer.as_ref();
        let reply = match last.filter(|last| last.is_repeat(sender, message.sdp, &message.options)) {
            Some(last) => {
                core.counters.repeats += 1;
                let reply = last.reply.clone();
                // Another fork may have answered in between.
                self.join(sender, reader, dialogue);
                reply
            }
            None => {
                let voiced = self.voice_answer(dialogue, sender, reader, message.sdp, &message.session);
                let reply = self.exchange_message(now, core, message, (sender, reader, dialogue), voiced)?;
                self.dialogues[dialogue].last_answer = Some(message.exchanged(sender, &reply));
                reply
            }
        };
        let is_final = is_final(&message.options);
        // No other answer follows: of another fork, or of this one when it lifts its receiver.
        if is_final.unwrap_or(self.party(sender).tag_fixed) {
            self.party_mut(sender).refuse_for_good();
            self.close_unused_legs(now, core);
        }
        let provisional = is_final == Some(false);
        self.rings = provisional && (self.rings || self.answered.is_none());
        if self.answered.is_none() {
            self.answered = Some(now);
            let after = now.saturating_duration_since(self.created);
            core.event(&self.id, What::Answered { after });
        }
        Ok(reply)
    }
}

impl Message<'_> {
    fn exchange(&self, now: Instant, sender: PartyId, reader: PartyId, dialogue: usize) -> Exchange<'_> {
        Exchange {
            now,
            kind: self.kind,
            sender,
            reader,
            dialogue,
            session: &self.session,
            twins: &self.twins,
            faxes: &[],
            may_fax: false,
            options: &self.options,
        }
    }

    /// Where the first m-line receives.
    fn first_address(&self) -> Option<SocketAddr> {
        let media = self.session.media(0)?;
        let connection = media.effective_connection().ok().flatten()?;
        Some(SocketAddr::new(connection.address.ip()?, media.port()))
    }

    fn exchanged(&self, sender: PartyId, reply: &ByteString) -> Exchanged {
        Exchanged::new(sender, self.sdp, &self.options, reply.clone())
    }
}
