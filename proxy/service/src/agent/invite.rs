//! A call begins: an INVITE outside any dialog, its media, its answer (RFC 3261 section 13.3).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use viaduct_sdp::Direction;
use viaduct_sip::{Essentials, HeaderName, Message, ResponseBuilder, StatusCode};
use viaduct_txn::ServerId;

use super::arrival::{Arrival, check_require};
use super::{Agent, Place};
use crate::call::{Call, Exchange, InviteKey, Opening, Unacknowledged};
use crate::dialog::Dialog;
use crate::negotiation::{Local, Pending, Plan};
use crate::refusal::{ALLOW, Refusal};
use crate::{CallEnd, Event, MediaAddress, Output, Service, StreamId, body};

impl Agent {
    pub(super) fn invite_received(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        service: Service,
    ) -> Result<(), Refusal> {
        let Arrival {
            server,
            request,
            essentials,
        } = arrival;
        let key = key_of(essentials);
        if self.invites.contains(&key) {
            return Err(Refusal::Merged);
        }
        check_require(request)?;
        let offer = body::session(request, &self.config.limits)?;
        if self.openings.len() + self.calls.len() >= self.config.limits.sessions_max {
            return Err(Refusal::Busy);
        }
        let (exchange, family) = match offer {
            Some(offer) => {
                let plan = Plan::of_first(&offer).map_err(Refusal::NotAcceptable)?;
                let family = plan.family;
                (Exchange::Answer(plan), family)
            }
            None => (Exchange::Offer(Pending::first()), self.config.offer_family),
        };
        let tag = self.new_tag();
        let dialog = Dialog::accept(request, essentials, tag, self.config.limits.dialog_octets_max)?;
        let opening = Opening {
            key,
            service,
            server: *server,
            request: (*request).clone(),
            dialog,
            exchange,
            family,
        };
        self.open(now, opening);
        Ok(())
    }

    /// Asks the shell for the media of a call.
    fn open(&mut self, now: Instant, opening: Opening) {
        self.streams += 1;
        let id = StreamId(self.streams);
        let Opening { service, family, .. } = opening;
        self.counters.calls += 1;
        self.event(Event::CallStarted {
            stream: id,
            service,
            call_id: opening.dialog.call_id(),
        });
        self.push(Output::OpenMedia {
            stream: id,
            service,
            family,
            params: *opening.exchange.params(),
        });
        self.invites.insert(opening.key.clone());
        self.by_invite.insert(opening.server, id);
        self.wakeups.set(id, Some(now + self.config.times.media_open_max));
        self.openings.insert(id, opening);
    }

    /// The media is open: the call is answered.
    pub(super) fn answer_call(&mut self, now: Instant, id: StreamId, address: MediaAddress) {
        let Some(opening) = self.take_opening(id) else {
            return;
        };
        let mut local = Local::new(address, self.rng.next_u64());
        let (sdp, layout, params, offer) = match opening.exchange {
            Exchange::Answer(plan) => {
                let sdp = local.describe(&plan.layout, &plan.params, plan.params.direction);
                (sdp, plan.layout, plan.params, None)
            }
            Exchange::Offer(pending) => {
                let sdp = local.describe(&pending.layout, &pending.params, Direction::SendRecv);
                (sdp, pending.layout.clone(), pending.params, Some(pending))
            }
        };
        let tag = opening.dialog.local_tag().clone();
        let mut call = Call {
            key: opening.key,
            service: opening.service,
            dialog: opening.dialog,
            family: opening.family,
            local,
            layout,
            params,
            answered_at: now,
            ends_at: now + self.config.times.session_max,
            unacknowledged: None,
            ending: None,
        };
        self.accept_invite(now, &mut call, (opening.server, &opening.request), sdp, offer);
        self.by_tag.insert(tag, Place::Call(id));
        self.calls.insert(id, call);
        self.set_wakeup(id);
        self.counters.calls_answered += 1;
        self.event(Event::CallAnswered { stream: id });
    }

    /// Sends the 200 to an INVITE, and waits for its ACK.
    pub(super) fn accept_invite(
        &mut self,
        now: Instant,
        call: &mut Call,
        (server, request): (ServerId, &Message),
        sdp: Vec<u8>,
        offer: Option<Pending>,
    ) {
        let answer = self
            .ok_with_contact(call, request)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, "")
            .body("application/sdp", sdp)
            .build();
        // It holds what was checked when it came, and what is ours.
        let Ok(octets) = answer else {
            self.counters.dropped += 1;
            return;
        };
        self.layer.respond(now, server, StatusCode::OK, octets.clone());
        let cseq = request.cseq().and_then(Result::ok).map_or(0, |cseq| cseq.number);
        let timing = &self.config.times.timing;
        call.unacknowledged = Some(Unacknowledged::new(now, timing, (server, cseq), octets, offer));
    }

    /// A 200 that makes or refreshes the dialog: with our tag and Contact.
    pub(super) fn ok_with_contact<'m>(&self, call: &Call, request: &'m Message) -> ResponseBuilder<'m> {
        ResponseBuilder::new(request, StatusCode::OK)
            .to_tag(&String::from_utf8_lossy(call.dialog.local_tag()))
            .header(
                HeaderName::Contact,
                format!("<sip:{}@{}>", call.service, self.config.host()),
            )
    }

    /// A call ends before it was answered.
    pub(super) fn refuse_opening(&mut self, now: Instant, id: StreamId, end: CallEnd) {
        let Some(opening) = self.take_opening(id) else {
            return;
        };
        self.invites.remove(&opening.key);
        let refusal = match end {
            CallEnd::Cancelled => Refusal::Cancelled,
            _ => Refusal::NoMedia,
        };
        let tag = opening.dialog.local_tag();
        self.refuse_with_tag(now, opening.server, &opening.request, &refusal, tag);
        self.push(Output::CloseMedia { stream: id });
        self.event(Event::CallEnded {
            stream: id,
            end,
            talked: Duration::ZERO,
        });
    }

    fn take_opening(&mut self, id: StreamId) -> Option<Opening> {
        let opening = self.openings.remove(&id)?;
        self.by_invite.remove(&opening.server);
        self.wakeups.set(id, None);
        Some(opening)
    }
}

fn key_of(essentials: &Essentials<'_>) -> InviteKey {
    // Copied: a piece of the message would keep all of it.
    let copied = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let from_tag = essentials.from_tag.unwrap_or_default();
    (
        copied(essentials.call_id),
        copied(from_tag),
        essentials.cseq.number,
    )
}
