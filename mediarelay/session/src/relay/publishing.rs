//! Whoever talks to those who will listen (NG `publish`).
//!
//! A publisher has a dialogue with an *audience*, which is nobody's: it answers the publisher's offer and receives nothing.
//! Who listens does so as to any other party.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use rand::RngExt;
use viaduct_ng::{ByteString, Dict, ErrorReason, Flag, OkReply, Publish, Replace, Reply, Request, Value};
use viaduct_sdp::{Codec, Direction, MediaOut, Session, SessionOut};

use super::Relay;
use crate::call::{Call, DISCARD, nowhere, read_own};
use crate::core::Core;
use crate::dialogue::Exchanged;
use crate::event::{DeleteReason, What};
use crate::exchange::{Exchange, Kind};
use crate::party::{Part, PartyId};
use crate::secrets;

/// `s=` of our answer.
const SESSION_NAME: &[u8] = b"rtpengine-compatible";

/// Members of `codec` `accept` that stand for every codec.
const ANY: [&str; 2] = ["any", "all"];

impl Relay {
    /// A request in which call and publisher have names, whether it came with them or not.
    pub(super) fn with_names<'r>(&mut self, request: &'r Request) -> Cow<'r, Request> {
        let Request::Publish(publish) = request else {
            return Cow::Borrowed(request);
        };
        if publish.call_id.is_some() && publish.from_tag.is_some() {
            return Cow::Borrowed(request);
        }
        let mut publish = publish.clone();
        let rng = &mut self.core.rng;
        let [call_id, from_tag] = [&mut publish.call_id, &mut publish.from_tag];
        call_id.get_or_insert_with(|| secrets::tag(rng).into());
        from_tag.get_or_insert_with(|| secrets::tag(rng).into());
        Cow::Owned(Request::Publish(publish))
    }

    pub(super) fn publish(&mut self, now: Instant, client: Option<IpAddr>, publish: &Publish) -> Reply {
        let (Some(call_id), Some(from_tag)) = (&publish.call_id, &publish.from_tag) else {
            return Reply::error(ErrorReason::NoCallId);
        };
        let known = self.by_id.get(call_id).copied();
        if known.is_none()
            && let Some(limit) = self.limit_reached()
        {
            return limit.reply(publish.options.supports_load_limit);
        }
        let checked = self.check_names([call_id], Some(from_tag), &publish.options);
        let session = match checked.and_then(|()| self.read_sdp(&publish.sdp)) {
            Ok(session) => session,
            Err(reason) => return Reply::error(reason),
        };
        if known.is_none() {
            self.create(now, client, call_id);
        }
        self.with_call(now, call_id, |call, core| {
            let sdp = call.publish(now, core, publish, &session)?;
            let mut rest = Dict::new();
            rest.insert("call-id", Value::Bytes(call_id.clone()));
            rest.insert("from-tag", Value::Bytes(from_tag.clone()));
            Ok(Reply::Ok(Box::new(OkReply {
                sdp: Some(sdp),
                rest,
                ..OkReply::default()
            })))
        })
    }

    /// Carries out a command of old for a call that is being rebuilt. `None` for other requests.
    pub(super) fn publish_again(
        &mut self,
        at: Instant,
        call: &mut Call,
        request: &Request,
    ) -> Option<Result<ByteString, ErrorReason>> {
        let Request::Publish(publish) = request else {
            return None;
        };
        let session = self.read_sdp(&publish.sdp);
        Some(session.and_then(|session| call.publish(at, &mut self.core, publish, &session)))
    }
}

impl Call {
    /// Takes the offer of a publisher and answers it. One that fails leaves the call as it was.
    fn publish(
        &mut self,
        now: Instant,
        core: &mut Core,
        publish: &Publish,
        session: &Session,
    ) -> Result<ByteString, ErrorReason> {
        let result = self.attempt(now, core, |call, core| {
            call.take_publication(now, core, publish, session)
        });
        if self.parties.is_empty() {
            self.ends = Some(DeleteReason::Refused);
        }
        result
    }

    fn take_publication(
        &mut self,
        now: Instant,
        core: &mut Core,
        publish: &Publish,
        session: &Session,
    ) -> Result<ByteString, ErrorReason> {
        let tag = publish.from_tag.as_ref().ok_or(ErrorReason::NoFromTag)?;
        let call_id = publish.call_id.as_ref().ok_or(ErrorReason::NoCallId)?;
        let (publisher, audience) = self.publisher(now, core, call_id, tag)?;
        let mut options = publish.options.clone();
        options.expand_webrtc();
        options.replace.insert(Replace::Origin);
        let dialogue = self.ensure_dialogue(publisher, audience);
        let offer = Exchange {
            now,
            kind: Kind::Offer,
            sender: publisher,
            reader: audience,
            dialogue,
            session,
            twins: &[],
            faxes: &[],
            may_fax: false,
            options: &options,
        };
        self.exchange(core, &offer)?;
        // What listeners are told of the publisher.
        let said = Exchanged::new(publisher, &publish.sdp, &options, publish.sdp.clone());
        self.dialogues[dialogue].last_offer = Some(said);
        let answered = answer_of_audience(core, session, &options)?;
        let answer = Exchange {
            kind: Kind::Answer,
            sender: audience,
            reader: publisher,
            session: &answered,
            ..offer
        };
        let reply = self.exchange(core, &answer)?;
        if self.answered.is_none() {
            self.answered = Some(now);
            let after = now.saturating_duration_since(self.created);
            core.event(&self.id, What::Answered { after });
        }
        Ok(reply)
    }

    /// The publisher of this name and its audience, made where there are none.
    ///
    /// # Errors
    /// Somebody else has that name, or there is no room.
    fn publisher(
        &mut self,
        now: Instant,
        core: &mut Core,
        call_id: &ByteString,
        tag: &ByteString,
    ) -> Result<(PartyId, PartyId), ErrorReason> {
        if let Some(publisher) = self.party_called(tag) {
            let peer = self.party(publisher).peer;
            let audience = peer.filter(|peer| self.party(*peer).part == Part::Audience);
            return audience
                .map(|audience| (publisher, audience))
                .ok_or(ErrorReason::InvalidDialogue);
        }
        let mut add = || self.add_party(now, core, call_id);
        let (publisher, audience) = (add()?, add()?);
        self.party_mut(publisher).tag = Some(tag.clone());
        self.party_mut(audience).part = Part::Audience;
        Ok((publisher, audience))
    }
}

/// What an audience answers: it takes those codecs of each m-line that `accept` of `codec` names, else the first, with what goes
/// with it.
fn answer_of_audience(
    core: &mut Core,
    offer: &Session,
    options: &viaduct_ng::Options,
) -> Result<Session, ErrorReason> {
    let connection = nowhere(core)?;
    let accepts = |codec: &Codec| {
        let name = codec.rtpmap.as_ref().map_or("", |rtpmap| &rtpmap.encoding);
        let mut accept = options.codec.accept.iter();
        accept.any(|of| ANY.contains(&of.as_str()) || of.eq_ignore_ascii_case(name))
    };
    let media = |offered: viaduct_sdp::Media<'_>| {
        let mut out = MediaOut::from_sender(offered);
        out.rejected = offered.is_rejected() && !offered.is_bundle_only();
        out.port = DISCARD;
        out.connection = connection.clone();
        out.passed.clear();
        out.direction = Some(match options.has(Flag::Bidirectional) {
            true => Direction::SendRecv,
            false => Direction::RecvOnly,
        });
        if out.codecs.iter().any(accepts) {
            out.codecs.0.retain(accepts);
        } else if let Some(first) = out.codecs.iter().next().cloned() {
            out.codecs
                .0
                .retain(|codec| *codec == first || codec.accompanies(&first));
        }
        for codec in &mut out.codecs.0 {
            codec.order_parameters();
        }
        out
    };
    let number: u32 = core.rng.random();
    let answer = SessionOut {
        origin: format!("- {number} 1 {}", connection.address).into_bytes(),
        name: SESSION_NAME.to_vec(),
        passed: Vec::new(),
        groups: Vec::new(),
        bandwidths: Vec::new(),
        medias: offer.medias().map(media).collect(),
        ..SessionOut::from_sender(offer)
    };
    read_own(core, &answer.to_bytes())
}
