//! Commands about those who only listen to a call (NG `subscribe request`, `subscribe answer`, `unsubscribe`).

use std::time::Instant;

use viaduct_ng::{
    ByteString, Dict, ErrorReason, Flag, OkReply, Options, Reply, Request, SubscribeAnswer, SubscribeRequest,
    Unsubscribe, Value,
};
use viaduct_sdp::Session;

use super::Relay;
use crate::call::{Call, Heard};
use crate::core::Core;
use crate::exchange::{Exchange, Kind};
use crate::party::{Part, PartyId};
use crate::secrets;

/// What a listener is offered.
#[derive(Debug)]
struct Subscribed {
    sdp: ByteString,
    listener: ByteString,
    heard: Heard,
}

impl Relay {
    pub(super) fn subscribe(&mut self, now: Instant, request: &SubscribeRequest) -> Reply {
        if let Err(reason) = self.check_names(&request.from_tags, request.to_tag.as_ref(), &request.options) {
            return Reply::error(reason);
        }
        self.with_call(now, &request.call_id, |call, core| {
            let subscribed = call.subscribe(now, core, request)?;
            Ok(call.subscribed(subscribed, &request.options))
        })
    }

    pub(super) fn subscribe_answer(&mut self, now: Instant, answer: &SubscribeAnswer) -> Reply {
        let session = match self.read_sdp(&answer.sdp) {
            Ok(session) => session,
            Err(reason) => return Reply::error(reason),
        };
        self.with_call(now, &answer.call_id, |call, core| {
            call.subscribe_answer(now, core, &answer.to_tag, &session, &answer.options)?;
            Ok(Reply::ok())
        })
    }

    pub(super) fn unsubscribe(&mut self, now: Instant, unsubscribe: &Unsubscribe) -> Reply {
        self.with_call(now, &unsubscribe.call_id, |call, core| {
            call.unsubscribe(now, core, &unsubscribe.to_tag)?;
            Ok(Reply::ok())
        })
    }

    /// Carries out a command of old for a call that is being rebuilt. `None` for other requests, and for those that give
    /// no SDP back.
    pub(super) fn subscribe_again(
        &mut self,
        at: Instant,
        call: &mut Call,
        request: &Request,
    ) -> Option<Result<ByteString, ErrorReason>> {
        match request {
            Request::SubscribeRequest(request) => {
                let subscribed = call.subscribe(at, &mut self.core, request);
                return Some(subscribed.map(|subscribed| subscribed.sdp));
            }
            Request::SubscribeAnswer(answer) => {
                // It went well before.
                if let Ok(session) = self.read_sdp(&answer.sdp) {
                    let (tag, options) = (&answer.to_tag, &answer.options);
                    let _ = call.subscribe_answer(at, &mut self.core, tag, &session, options);
                }
            }
            Request::Unsubscribe(unsubscribe) => {
                let _ = call.unsubscribe(at, &mut self.core, &unsubscribe.to_tag);
            }
            _ => {}
        }
        None
    }
}

impl Call {
    /// Makes an offer for a listener. One that fails leaves the call as it was.
    fn subscribe(
        &mut self,
        now: Instant,
        core: &mut Core,
        request: &SubscribeRequest,
    ) -> Result<Subscribed, ErrorReason> {
        self.attempt(now, core, |call, core| call.offer_listener(now, core, request))
    }

    fn offer_listener(
        &mut self,
        now: Instant,
        core: &mut Core,
        request: &SubscribeRequest,
    ) -> Result<Subscribed, ErrorReason> {
        let parties = self.parties_to_hear(request)?;
        let mut options = request.options.clone();
        options.expand_webrtc();
        // It has chosen whom to hear.
        options.label = None;
        let heard = self.heard(core, &parties, &options)?;
        let tag = match &request.to_tag {
            Some(tag) => tag.clone(),
            None => secrets::tag(&mut core.rng).into(),
        };
        let known = self.party_called(&tag);
        let (stand_in, listener) = match known {
            Some(listener) => (self.stand_in_of(listener)?, listener),
            None => {
                let mut add = || self.add_party(now, core, &request.call_id);
                (add()?, add()?)
            }
        };
        if self.is_heard_by_enough(&heard.medias, Some(stand_in)) {
            core.counters.limits.listeners += 1;
            return Err(ErrorReason::Other("Too many listen already".into()));
        }
        let medias = heard.medias.iter().copied().map(Some).collect();
        self.party_mut(stand_in).part = Part::StandsFor(medias);
        let party = self.party_mut(listener);
        party.part = Part::Listens;
        party.tag = Some(tag.clone());
        let dialogue = self.ensure_dialogue(stand_in, listener);
        let exchange = Exchange {
            now,
            kind: Kind::Offer,
            sender: stand_in,
            reader: listener,
            dialogue,
            session: &heard.session,
            twins: &[],
            faxes: &[],
            may_fax: false,
            options: &options,
        };
        let sdp = self.exchange(core, &exchange)?;
        Ok(Subscribed {
            sdp,
            listener: tag,
            heard,
        })
    }

    /// Whom a listener asks for, each once.
    fn parties_to_hear(&self, request: &SubscribeRequest) -> Result<Vec<PartyId>, ErrorReason> {
        if request.all() {
            return Ok(self.talkers().collect());
        }
        if let Some(label) = &request.options.label {
            let labelled = self
                .talkers()
                .find(|id| self.party(*id).label.as_ref() == Some(label));
            return labelled.map(|id| vec![id]).ok_or(ErrorReason::NoSuchLabel);
        }
        let mut parties = Vec::new();
        for tag in &request.from_tags {
            let found = self.talkers().find(|id| self.party(*id).is_called(tag));
            let party = found.ok_or(ErrorReason::NoSuchFromTag)?;
            if !parties.contains(&party) {
                parties.push(party);
            }
        }
        if parties.is_empty() {
            return Err(ErrorReason::NoFromTag);
        }
        Ok(parties)
    }

    /// The stand-in that a listener has its dialogue with.
    ///
    /// # Errors
    /// The party is no listener.
    fn stand_in_of(&self, listener: PartyId) -> Result<PartyId, ErrorReason> {
        let party = self.party(listener);
        match (&party.part, party.peer) {
            (Part::Listens, Some(stand_in)) => Ok(stand_in),
            _ => Err(ErrorReason::InvalidDialogue),
        }
    }

    fn subscribe_answer(
        &mut self,
        now: Instant,
        core: &mut Core,
        tag: &ByteString,
        session: &Session,
        options: &Options,
    ) -> Result<(), ErrorReason> {
        let listener = self.party_called(tag).ok_or(ErrorReason::ToTagNotFound)?;
        let stand_in = self.stand_in_of(listener)?;
        let mut options = options.clone();
        options.expand_webrtc();
        let exchange = Exchange {
            now,
            kind: Kind::Answer,
            sender: listener,
            reader: stand_in,
            dialogue: self.ensure_dialogue(stand_in, listener),
            session,
            twins: &[],
            faxes: &[],
            may_fax: false,
            options: &options,
        };
        self.attempt(now, core, |call, core| call.exchange(core, &exchange))
            .map(|_| ())
    }

    fn unsubscribe(&mut self, now: Instant, core: &mut Core, tag: &ByteString) -> Result<(), ErrorReason> {
        let listener = self.party_called(tag).ok_or(ErrorReason::ToTagNotFound)?;
        self.stand_in_of(listener)?;
        self.last_signal = now;
        self.remove_party(now, core, listener);
        self.check_soon(now);
        Ok(())
    }

    /// What is told to whoever asked for a listener.
    fn subscribed(&self, subscribed: Subscribed, options: &Options) -> Reply {
        let Subscribed { sdp, listener, heard } = subscribed;
        let mut tags: Vec<ByteString> = Vec::new();
        for (party, _) in &heard.medias {
            let name = self.party(*party).name();
            if !tags.contains(&name) {
                tags.push(name);
            }
        }
        let mut rest = Dict::new();
        rest.insert("to-tag", Value::Bytes(listener));
        if let [only] = &tags[..] {
            rest.insert("from-tag", Value::Bytes(only.clone()));
        }
        rest.insert(
            "from-tags",
            Value::List(tags.iter().cloned().map(Value::Bytes).collect()),
        );
        if options.has(Flag::Siprec) {
            self.name_medias(&heard, &tags, &mut rest);
        }
        Reply::Ok(Box::new(OkReply {
            sdp: Some(sdp),
            rest,
            ..OkReply::default()
        }))
    }

    /// `tag-medias` and `media-labels`: which m-line of the offer, by its label, is whose.
    fn name_medias(&self, heard: &Heard, tags: &[ByteString], into: &mut Dict) {
        let mut of_tag: Vec<Vec<Value>> = vec![Vec::new(); tags.len()];
        let mut labels = Dict::new();
        for (at, (id, position)) in heard.medias.iter().enumerate() {
            let party = self.party(*id);
            let (label, name) = (at.to_string(), party.name());
            let index = i64::try_from(position + 1).unwrap_or(i64::MAX);
            let media = &party.medias[*position];
            let mut dict = Dict::new();
            dict.insert("index", Value::Integer(index));
            dict.insert("type", Value::text(self.media_ref(*id, *position).kind));
            dict.insert("label", Value::text(label.clone()));
            dict.insert("mode", Value::text(media.direction().reversed().name()));
            if let Some(tag) = tags.iter().position(|tag| *tag == name) {
                of_tag[tag].push(Value::Dict(dict.clone()));
            }
            // Here it is the party's label that counts: the m-line's is the key.
            dict.remove("label");
            if let Some(label) = &party.label {
                dict.insert("label", Value::Bytes(label.clone()));
            }
            dict.insert("tag", Value::Bytes(name));
            labels.insert(label.as_str(), Value::Dict(dict));
        }
        let tag_medias = tags.iter().zip(of_tag).map(|(tag, medias)| {
            let mut dict = Dict::new();
            dict.insert("tag", Value::Bytes(tag.clone()));
            let party = self.party_called(tag).map(|party| self.party(party));
            if let Some(label) = party.and_then(|party| party.label.clone()) {
                dict.insert("label", Value::Bytes(label));
            }
            dict.insert("medias", Value::List(medias));
            Value::Dict(dict)
        });
        into.insert("tag-medias", Value::List(tag_medias.collect()));
        into.insert("media-labels", Value::Dict(labels));
    }
}
