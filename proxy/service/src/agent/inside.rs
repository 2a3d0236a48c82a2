//! Requests inside a dialog, and the ACK of a 2xx (RFC 3261 sections 12.2.2 and 14.2, RFC 3311).

use std::time::Instant;

use viaduct_sdp::{Direction, Session};
use viaduct_sip::{Essentials, HeaderName, Message, Method, ResponseBuilder, StatusCode};

use super::arrival::{Arrival, check_require};
use super::{Agent, Place};
use crate::call::Call;
use crate::negotiation::{Pending, Plan};
use crate::refusal::Refusal;
use crate::{CallEnd, DigitSource, StreamId, body};

impl Agent {
    pub(super) fn serve_inside(&mut self, now: Instant, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival {
            server,
            request,
            essentials,
        } = *arrival;
        let method = essentials.cseq.method;
        let id = match self.place_of(&essentials) {
            Some(Place::Call(id)) => id,
            // It crossed ours: both sides have what they wanted.
            Some(Place::Ended(_)) if method == Method::Bye => {
                let answer = ResponseBuilder::new(request, StatusCode::OK);
                self.accept(now, server, request, answer);
                return Ok(());
            }
            Some(Place::Ended(_)) | None => return Err(Refusal::NoDialog),
        };
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        call.dialog.take_cseq(essentials.cseq.number)?;
        match method {
            // Honoured whatever it requires: nothing else could be done with the call.
            Method::Bye => {
                let answer = ResponseBuilder::new(request, StatusCode::OK);
                self.accept(now, server, request, answer);
                self.call_over(now, id, CallEnd::Caller);
                Ok(())
            }
            Method::Invite => self.reinvite_received(now, id, arrival),
            Method::Update => self.update_received(now, id, arrival),
            Method::Info => self.info_received(now, id, arrival),
            Method::Options => {
                check_require(request)?;
                self.accept(now, server, request, self.capabilities(request));
                Ok(())
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    /// The ACK of a 2xx came. It may bring the answer to our offer.
    pub(super) fn acknowledged(&mut self, now: Instant, request: &Message, essentials: &Essentials<'_>) {
        let call = match self.place_of(essentials) {
            Some(Place::Call(id)) => self.calls.get_mut(&id).map(|call| (id, call)),
            Some(Place::Ended(_)) | None => None,
        };
        let Some((id, call)) = call else {
            self.counters.acks_stray += 1;
            return;
        };
        let acknowledged = call
            .unacknowledged
            .take_if(|waiting| waiting.cseq == essentials.cseq.number);
        let Some(acknowledged) = acknowledged else {
            self.counters.acks_stray += 1;
            return;
        };
        let (family, ending) = (call.family, call.ending);
        self.set_wakeup(id);
        if let Some(pending) = acknowledged.offer {
            let answer = body::session(request, &self.config.limits).ok().flatten();
            let agreed = answer.and_then(|answer| pending.answered(&answer, family).ok());
            match agreed {
                Some(plan) => self.agree(id, plan),
                None => return self.end_call(now, id, ending.unwrap_or(CallEnd::BadAnswer)),
            }
        }
        if let Some(end) = ending {
            self.end_call(now, id, end);
        }
    }

    /// A re-INVITE: hold, resume, another address or codec, or a wish to hear our offer (RFC 3261 section 14.2).
    fn reinvite_received(
        &mut self,
        now: Instant,
        id: StreamId,
        arrival: &Arrival<'_>,
    ) -> Result<(), Refusal> {
        let Arrival { server, request, .. } = *arrival;
        check_require(request)?;
        let limits = &self.config.limits;
        let offer = body::session(request, limits)?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        if call.has_offered() {
            return Err(Refusal::OfferPending);
        }
        if let Some(end) = call.ending {
            // Who sends this has our 2xx, so a BYE may go.
            call.unacknowledged = None;
            self.end_call(now, id, end);
            return Err(Refusal::NoDialog);
        }
        let plan = plan_of(offer.as_ref(), call)?;
        call.dialog.refresh_target(request, limits.dialog_octets_max)?;
        let mut call = self.calls.remove(&id).ok_or(Refusal::NoDialog)?;
        let (sdp, pending, plan) = match plan {
            Some(plan) => {
                let sdp = call
                    .local
                    .describe(&plan.layout, &plan.params, plan.params.direction);
                (sdp, None, Some(plan))
            }
            None => {
                let pending = Pending::next(&call.layout, &call.params);
                let direction = Direction::SendRecv;
                let sdp = call.local.describe(&pending.layout, &pending.params, direction);
                (sdp, Some(pending), None)
            }
        };
        // What was offered may be used at once (RFC 3264 section 5.1).
        let widened = pending.as_ref().map(|pending| pending.params);
        // A 2xx that waits for its ACK is replaced: who sends this has it.
        self.accept_invite(now, &mut call, (server, request), sdp, pending);
        self.calls.insert(id, call);
        self.set_wakeup(id);
        match plan {
            Some(plan) => self.agree(id, plan),
            None => widened
                .into_iter()
                .for_each(|params| self.update_media(id, params)),
        }
        Ok(())
    }

    /// An UPDATE: the same as a re-INVITE, answered without an ACK; without offer a sign of life (RFC 3311).
    fn update_received(&mut self, now: Instant, id: StreamId, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival { server, request, .. } = *arrival;
        check_require(request)?;
        let limits = &self.config.limits;
        let offer = body::session(request, limits)?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        if offer.is_some() && call.has_offered() {
            return Err(Refusal::OfferPending);
        }
        let plan = plan_of(offer.as_ref(), call)?;
        call.dialog.refresh_target(request, limits.dialog_octets_max)?;
        let sdp = plan.as_ref().map(|plan| {
            call.local
                .describe(&plan.layout, &plan.params, plan.params.direction)
        });
        let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
        let mut answer = self.ok_with_contact(call, request);
        if let Some(sdp) = sdp {
            answer = answer.body("application/sdp", sdp);
        }
        self.respond(now, server, request, StatusCode::OK, answer);
        if let Some(plan) = plan {
            self.agree(id, plan);
        }
        Ok(())
    }

    /// An INFO: a key press, or something that nobody here minds (RFC 6086).
    fn info_received(&mut self, now: Instant, id: StreamId, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival { server, request, .. } = *arrival;
        check_require(request)?;
        if request.has(HeaderName::InfoPackage) {
            return Err(Refusal::BadInfoPackage);
        }
        if request.body().len() > self.config.limits.body_octets_max {
            return Err(Refusal::BodyTooLarge);
        }
        let answer = ResponseBuilder::new(request, StatusCode::OK);
        self.accept(now, server, request, answer);
        if let Some(digit) = body::digit(request) {
            self.digit_pressed(id, digit, DigitSource::Info);
        }
        Ok(())
    }

    /// Something was agreed.
    fn agree(&mut self, id: StreamId, plan: Plan) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.layout = plan.layout;
        self.update_media(id, plan.params);
    }

    /// The dialog that a request of the caller's belongs to.
    fn place_of(&self, essentials: &Essentials<'_>) -> Option<Place> {
        let place = *self.by_tag.get(essentials.to_tag?.as_bytes())?;
        let dialog = match place {
            Place::Call(id) => &self.calls.get(&id)?.dialog,
            Place::Ended(client) => self.ended.get(&client)?,
        };
        dialog.is_of(essentials).then_some(place)
    }
}

/// What becomes of a further offer. `None` without offer.
fn plan_of(offer: Option<&Session>, call: &Call) -> Result<Option<Plan>, Refusal> {
    offer
        .map(|offer| Plan::of_next(offer, &call.layout, &call.params, call.family))
        .transpose()
        .map_err(Refusal::NotAcceptable)
}
