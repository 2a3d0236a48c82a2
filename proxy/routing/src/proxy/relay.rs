//! What the relay is asked, and what becomes of its replies.

use std::time::{Duration, Instant};

use bytes::Bytes;
use viaduct_ng as ng;
use viaduct_sdp::Session;
use viaduct_sip::Message;
use viaduct_txn::Hop;

use super::Proxy;
use super::dialog::PendingAck;
use crate::body::SdpPart;
use crate::call::{Leg, LegId, Rewritten, Side, address_without_tag};
use crate::calls::CallKey;
use crate::context::{Best, Branch, BranchState, ContextId, Media, Target};
use crate::media::{Endpoint, Operation, Party, check_codecs};
use crate::{Event, Flag, Flags, Output, Refusal, RelayFailure, Ticket};

/// What a reply of the relay is waited for.
#[derive(Debug)]
pub(super) enum RelayUse {
    /// A copy of a request waits for its SDP.
    Request {
        context: ContextId,
        branch: usize,
        rewriting: Rewriting,
    },
    /// An answer waits for its SDP.
    Response {
        context: ContextId,
        branch: usize,
        rewriting: Rewriting,
    },
    /// An ACK waits for its SDP.
    Ack {
        ack: Box<PendingAck>,
        rewriting: Rewriting,
    },
    /// When did this side last send anything?
    LastPacket { call: CallKey, party: Party },
}

/// A leg that is over while the relay is still asked about it.
#[derive(Debug)]
pub(super) struct Forgotten {
    /// What the relay will be told.
    request: ng::Delete,
    /// Requests under way.
    asking: u32,
}

/// An SDP that the relay rewrites.
#[derive(Debug, Clone)]
pub(super) struct Rewriting {
    pub(super) call: CallKey,
    pub(super) leg: LegId,
    pub(super) from: Party,
    pub(super) operation: Operation,
    pub(super) received: Bytes,
}

impl Proxy {
    /// Asks the relay to write the SDP of a request for one target, which `hop` leads to. `None` when there is nothing to
    /// write.
    pub(super) fn prepare_offer(
        &mut self,
        now: Instant,
        (context, branch): (ContextId, usize),
        hop: &Hop,
    ) -> Result<Option<Ticket>, Refusal> {
        let Some(entry) = self.contexts.get(context) else {
            return Ok(None);
        };
        let (call, leg, from) = match entry.media {
            Media::None => return Ok(None),
            Media::Begins(call) => {
                let request = entry.request.clone();
                let flags = Flags::NONE.with(Flag::SrcWs, entry.flow.transport.is_websocket());
                let Branch {
                    target, via_branch, ..
                } = &entry.branches[branch];
                let (target, via_branch) = (target.clone(), via_branch.clone());
                let Some(leg) = self.add_leg(call, &target, hop, via_branch, flags, &request) else {
                    return Ok(None);
                };
                self.seat_on_trunk((context, branch), call, leg);
                (call, leg, Party::Caller)
            }
            Media::Inside { call, leg, sender } => (call, leg, sender),
        };
        if !self.config.media.relayed {
            return Ok(None);
        }
        let Some(entry) = self.contexts.get(context) else {
            return Ok(None);
        };
        let sdp = SdpPart::find(&entry.request).map(|part| part.to_rewrite(&entry.request));
        let Some(method) = entry.request.method() else {
            return Ok(None);
        };
        let Some(leg_entry) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else {
            return Ok(None);
        };
        let operation = leg_entry.exchange.request(from, method, sdp.is_some());
        let (Some(operation), Some(sdp)) = (operation, sdp) else {
            return Ok(None);
        };
        let sdp = sdp?;
        if operation == Operation::Offer {
            self.check_offer(call, leg, from, &sdp)?;
        }
        let rewriting = Rewriting {
            call,
            leg,
            from,
            operation,
            received: sdp,
        };
        let ticket = self.rewrite(now, rewriting, |rewriting| RelayUse::Request {
            context,
            branch,
            rewriting,
        })?;
        Ok(Some(ticket))
    }

    /// Asks the relay to rewrite an SDP.
    pub(super) fn rewrite(
        &mut self,
        _now: Instant,
        rewriting: Rewriting,
        use_of: impl FnOnce(Rewriting) -> RelayUse,
    ) -> Result<Ticket, Refusal> {
        if self.is_waiting_room_full() {
            self.counters.waiting_over_limit += 1;
            return Err(Refusal::Overload("Too many requests wait"));
        }
        let Some(request) = self.relay_request(&rewriting) else {
            return Err(Refusal::NoDialog);
        };
        if let Some(leg) = self
            .calls
            .get_mut(rewriting.call)
            .and_then(|call| call.leg_mut(rewriting.leg))
        {
            leg.relayed = true;
            leg.asking += 1;
        }
        let ticket = self.next_ticket();
        self.relay_waits.insert(ticket, use_of(rewriting));
        self.ask_relay(Some(ticket), request);
        Ok(ticket)
    }

    /// The NG request for an SDP. The offerer's tag is always the from-tag.
    fn relay_request(&self, rewriting: &Rewriting) -> Option<ng::Request> {
        let call = self.calls.get(rewriting.call)?;
        let leg = call.leg(rewriting.leg)?;
        let (sender, reader) = match rewriting.from {
            Party::Caller => (&call.caller, &leg.callee),
            Party::Callee => (&leg.callee, &call.caller),
        };
        let (sender_tag, reader_tag) = (sender.tag.clone(), reader.tag.clone());
        let media = &self.config.media;
        let received_from = sender.hop.remote().ip().to_canonical();
        let via_branch = self
            .names_branch(rewriting, leg)
            .then(|| leg.via_branch.clone().into());
        let sdp = rewriting.received.clone().into();
        let call_id = call.call_id.clone().into();
        Some(match rewriting.operation {
            Operation::Offer => {
                let from_caller = rewriting.from == Party::Caller;
                let mut options = media.offer(&sender.endpoint, &reader.endpoint, leg.flags, from_caller);
                options.received_from = Some(received_from);
                let from_tag = sender_tag?.into();
                let to_tag = reader_tag.map(Into::into);
                ng::Request::Offer(Box::new(ng::Offer {
                    sdp,
                    call_id,
                    from_tag,
                    to_tag,
                    via_branch,
                    options,
                }))
            }
            Operation::Answer => {
                let to_caller = rewriting.from == Party::Callee;
                let mut options = media.answer(&sender.endpoint, &reader.endpoint, leg.flags, to_caller);
                options.received_from = Some(received_from);
                let (from_tag, to_tag) = (reader_tag?.into(), sender_tag?.into());
                ng::Request::Answer(Box::new(ng::Answer {
                    sdp,
                    call_id,
                    from_tag,
                    to_tag,
                    via_branch,
                    options,
                }))
            }
        })
    }

    /// A branch is named to the relay while the dialog is young: the tags say enough afterwards.
    fn names_branch(&self, rewriting: &Rewriting, leg: &Leg) -> bool {
        let is_callers_offer = rewriting.from == Party::Caller && rewriting.operation == Operation::Offer;
        let is_callees_answer = rewriting.from == Party::Callee && rewriting.operation == Operation::Answer;
        let taken = self
            .calls
            .get(rewriting.call)
            .is_some_and(|call| call.taken_by == Some(leg.id));
        !taken && (is_callers_offer || is_callees_answer)
    }

    pub(super) fn relay_answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        reply: Result<ng::Reply, RelayFailure>,
    ) {
        // A ticket that nobody waits for any more: the branch was given up meanwhile.
        let Some(use_of) = self.relay_waits.remove(&ticket) else {
            return;
        };
        match use_of {
            RelayUse::Request {
                context,
                branch,
                rewriting,
            } => {
                let sdp = self.rewritten(&rewriting, reply);
                self.offer_written(now, context, branch, ticket, sdp);
            }
            RelayUse::Response {
                context,
                branch,
                rewriting,
            } => {
                let sdp = self.rewritten(&rewriting, reply);
                self.answer_written(now, context, branch, ticket, sdp);
            }
            RelayUse::Ack { ack, rewriting } => {
                let sdp = self.rewritten(&rewriting, reply);
                self.ack_written(now, &ack, rewriting.call, sdp);
            }
            RelayUse::LastPacket { call, party } => self.last_packet_told(now, call, party, reply),
        }
    }

    /// The SDP in a reply, remembered for repeats, or the refusal that its absence means.
    fn rewritten(
        &mut self,
        rewriting: &Rewriting,
        reply: Result<ng::Reply, RelayFailure>,
    ) -> Result<Bytes, Refusal> {
        self.asked_no_more(rewriting);
        let (refusal, reason) = match reply {
            Ok(ng::Reply::Ok(ok)) => match ok.sdp {
                Some(sdp) => {
                    let sent: Bytes = sdp.into();
                    if let Some(leg) = self
                        .calls
                        .get_mut(rewriting.call)
                        .and_then(|call| call.leg_mut(rewriting.leg))
                    {
                        let Rewriting {
                            from,
                            operation,
                            received,
                            ..
                        } = rewriting.clone();
                        leg.remember(Rewritten {
                            from,
                            operation,
                            received,
                            sent: sent.clone(),
                        });
                    }
                    return Ok(sent);
                }
                None => (Refusal::RelayUnavailable, "reply without SDP".to_owned()),
            },
            Ok(ng::Reply::Error { reason }) => {
                let refusal = if blames_sdp(&reason) {
                    Refusal::BadSdp
                } else {
                    Refusal::RelayUnavailable
                };
                (refusal, reason.to_string())
            }
            Ok(ng::Reply::LoadLimit { message }) => (Refusal::RelayUnavailable, message.to_string()),
            Ok(other) => (Refusal::RelayUnavailable, format!("unexpected reply {other:?}")),
            Err(failure) => (Refusal::RelayUnavailable, failure.to_string()),
        };
        self.counters.relay_failures += 1;
        if let Some(call) = self.calls.get(rewriting.call) {
            let call_id = String::from_utf8_lossy(&call.call_id).into_owned();
            self.event(Event::RelayFailed { call_id, reason });
        }
        Err(refusal)
    }

    /// The SDP of a request is ready: the copy leaves.
    fn offer_written(
        &mut self,
        now: Instant,
        id: ContextId,
        index: usize,
        ticket: Ticket,
        sdp: Result<Bytes, Refusal>,
    ) {
        let Some(branch) = self
            .contexts
            .get_mut(id)
            .and_then(|context| context.branches.get_mut(index))
        else {
            return;
        };
        if !matches!(branch.state, BranchState::Offering(waited) if waited == ticket) {
            return;
        }
        match sdp {
            Ok(sdp) => {
                branch.sdp = Some(sdp);
                self.send_branch(now, id, index);
            }
            Err(refusal) => self.branch_failed(now, id, index, Best::Local(refusal)),
        }
    }

    /// Makes the leg of a branch.
    fn add_leg(
        &mut self,
        call: CallKey,
        target: &Target,
        hop: &Hop,
        via_branch: Bytes,
        flags: Flags,
        request: &Message,
    ) -> Option<LegId> {
        let to = request.header(viaduct_sip::HeaderName::To).unwrap_or_default();
        let codecs = match &target.carrier {
            Some(carrier) => carrier.line.trunk().codecs.clone(),
            None => target.user.as_ref().and_then(|user| user.codecs.clone()),
        };
        let callee = Side {
            endpoint: Endpoint {
                profile: target.profile(),
                codecs,
            },
            hop: hop.clone(),
            address: address_without_tag(to),
            tag: None,
            contact: Some(target.uri.to_string()),
            routes: Vec::new(),
            cseq: 0,
            lost: None,
            way_back: None,
            trunk: None,
        };
        let user = match (&target.user, target.service) {
            (Some(user), _) => Some(user.name.clone()),
            (None, Some(service)) => Some(service.name().to_owned()),
            (None, None) => target
                .carrier
                .as_ref()
                .map(|carrier| format!("trunk:{}", carrier.line.trunk().name)),
        };
        let flags = target.flags.iter().fold(flags, |all, flag| all | flag);
        Some(self.calls.get_mut(call)?.add_leg(via_branch, callee, user, flags))
    }

    /// Refuses an offer that its reader cannot take before anybody is bothered with it.
    fn check_offer(&self, call: CallKey, leg: LegId, from: Party, sdp: &Bytes) -> Result<(), Refusal> {
        let offer = Session::parse(sdp).map_err(|_| Refusal::BadSdp)?;
        let Some(call) = self.calls.get(call) else {
            return Ok(());
        };
        let (Some(sender), Some(reader)) = (call.side(leg, from), call.side(leg, from.other())) else {
            return Ok(());
        };
        // Two endpoints of one kind settle it between themselves, unless one of them is told what it takes.
        if sender.endpoint.profile == reader.endpoint.profile && reader.endpoint.codecs.is_none() {
            return Ok(());
        }
        let name = match from {
            Party::Caller => call.leg(leg).and_then(|leg| leg.callee_user.clone()),
            Party::Callee => call.caller_user.clone(),
        };
        check_codecs(
            &offer,
            &reader.endpoint,
            name.as_deref().unwrap_or("the other side"),
        )?;
        Ok(())
    }

    /// The relay forgets a branch, and with the last one the call. While a request about the branch is under way, the
    /// word that it is over waits: it must not overtake a repeat of that request.
    pub(super) fn forget_leg(&mut self, call: CallKey, leg: LegId) {
        let Some(entry) = self.calls.get_mut(call) else {
            return;
        };
        let Some(gone) = entry.remove_leg(leg).filter(|gone| gone.relayed) else {
            return;
        };
        let is_last = !entry.is_relayed();
        let request = ng::Delete {
            call_id: entry.call_id.clone().into(),
            from_tag: entry.caller.tag.clone().map(Into::into),
            to_tag: None,
            via_branch: (!is_last).then(|| gone.via_branch.into()),
            delete_delay: Some(Duration::ZERO),
            flags: Default::default(),
        };
        if gone.asking == 0 {
            self.ask_relay(None, ng::Request::Delete(request));
        } else {
            self.forgotten.insert(
                (call, leg),
                Forgotten {
                    request,
                    asking: gone.asking,
                },
            );
        }
    }

    /// A request about a leg has come to its end.
    fn asked_no_more(&mut self, rewriting: &Rewriting) {
        let Rewriting { call, leg, .. } = *rewriting;
        if let Some(leg) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) {
            leg.asking = leg.asking.saturating_sub(1);
        } else if let Some(forgotten) = self.forgotten.get_mut(&(call, leg)) {
            forgotten.asking -= 1;
            if forgotten.asking == 0
                && let Some(forgotten) = self.forgotten.remove(&(call, leg))
            {
                self.ask_relay(None, ng::Request::Delete(forgotten.request));
            }
        }
    }

    pub(super) fn ask_relay(&mut self, ticket: Option<Ticket>, request: ng::Request) {
        self.counters.relay_requests += 1;
        self.outputs.push_back(Output::Relay { ticket, request });
    }
}

/// The relay could not make sense of the SDP: not its fault, and no other relay would do better.
fn blames_sdp(reason: &ng::ErrorReason) -> bool {
    matches!(
        reason,
        ng::ErrorReason::UnparsableSdp | ng::ErrorReason::IncompleteSdp | ng::ErrorReason::UnwritableSdp
    )
}
