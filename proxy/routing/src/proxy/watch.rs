//! A side whose connection goes away in the middle of a call.
//!
//! The media of a browser does not need its WebSocket: when the network comes back, so does the signalling, over a new
//! connection. A page that was closed sends no media either. So the call is kept while the side is heard by the relay,
//! and ended when it is not.

use std::time::{Duration, Instant};

use viaduct_ng as ng;
use viaduct_txn::ConnId;

use super::relay::RelayUse;
use super::{Alarm, Proxy};
use crate::call::{CallState, LegId};
use crate::calls::CallKey;
use crate::context::{Best, ContextId, Media};
use crate::media::Party;
use crate::{ProxyEnd, Refusal, RelayFailure};

impl Proxy {
    pub(super) fn connection_closed(&mut self, now: Instant, conn: ConnId) {
        self.unregister_connection(now, conn);
        self.fail_branches_to(now, conn);
        self.cancel_requests_from(now, conn);
        let mut lost = Vec::new();
        for (key, call) in self.calls.iter_mut() {
            let is_answered = call.state == CallState::Answered;
            for (party, side) in call.sides_mut().filter(|(_, side)| side.hop.conn() == Some(conn)) {
                if let Some(way_back) = &side.way_back {
                    side.hop = way_back.clone();
                } else if is_answered {
                    side.lost = Some(now);
                    lost.push((key, party));
                }
            }
        }
        for (call, party) in lost {
            self.alarms.set(
                now,
                self.config.times.lost_flow_check,
                Alarm::LostFlow { call, party },
            );
        }
    }

    /// Nobody will answer over this connection any more.
    fn fail_branches_to(&mut self, now: Instant, conn: ConnId) {
        let open = |context: &crate::context::Context| -> Vec<usize> {
            let branches = context.branches.iter().enumerate();
            let to_conn = branches.filter(|(_, branch)| branch.conn() == Some(conn) && !branch.is_done());
            to_conn.map(|(index, _)| index).collect()
        };
        let affected: Vec<(ContextId, Vec<usize>)> = self
            .contexts
            .iter()
            .map(|(id, context)| (id, open(context)))
            .filter(|(_, open)| !open.is_empty())
            .collect();
        for (id, indices) in affected {
            for index in indices {
                let client = self
                    .contexts
                    .get(id)
                    .and_then(|context| context.branches[index].client);
                if let Some(client) = client {
                    self.layer.abandon(client);
                }
                self.branch_failed(now, id, index, Best::Local(Refusal::FlowGone));
            }
        }
    }

    /// Nobody is there to take the answer of these requests. A trunk takes it over another connection (RFC 3261 section
    /// 18.2.2).
    fn cancel_requests_from(&mut self, now: Instant, conn: ConnId) {
        let gone = |context: &crate::context::Context| {
            let is_call = context.is_invite && matches!(context.media, Media::Begins(_));
            context.flow.conn == Some(conn) && is_call && context.from_trunk.is_none()
        };
        let ids: Vec<ContextId> = self
            .contexts
            .iter()
            .filter(|(_, context)| gone(context))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.cancel_context(now, id, Some(&ProxyEnd::FlowLost.reason_header().into()));
        }
    }

    /// Finds a side whose connection has gone at the one that its device has registered its contact over again. Pages that
    /// come back do so before they say anything in their calls.
    pub(super) fn find_again(&mut self, now: Instant, key: CallKey, leg: LegId, party: Party) {
        let Some(call) = self.calls.get(key) else { return };
        let side = call.side(leg, party).filter(|side| side.lost.is_some());
        let Some(contact) = side.and_then(|side| side.contact.as_deref()) else {
            return;
        };
        let user = match party {
            Party::Caller => call.caller_user.as_deref(),
            Party::Callee => call.leg(leg).and_then(|leg| leg.callee_user.as_deref()),
        };
        let Some(aor) = user.and_then(|user| self.aor_of(user)) else {
            return;
        };
        let bindings = self.location.lookup(&aor, now);
        let again = bindings.iter().find(|binding| binding.is_same_uri(contact));
        let Some(flow) = again.map(|binding| binding.flow) else {
            return;
        };
        if let Some(side) = self.calls.get_mut(key).and_then(|call| call.side_mut(leg, party)) {
            side.hop = flow.into();
            side.lost = None;
        }
    }

    /// Asks the relay when a lost side was last heard.
    pub(super) fn check_lost_flow(&mut self, now: Instant, key: CallKey, party: Party) {
        if let Some(leg) = self.calls.get(key).and_then(|call| call.taken_by) {
            self.find_again(now, key, leg, party);
        }
        let Some(call) = self
            .calls
            .get(key)
            .filter(|call| call.state == CallState::Answered)
        else {
            return;
        };
        let Some(side) = call.taken_by.and_then(|leg| call.side(leg, party)) else {
            return;
        };
        if side.lost.is_none() {
            return;
        }
        if !call.is_relayed() {
            // Its media is nobody's to watch: without signalling the call is out of anybody's hands.
            return self.end_call(now, key, ProxyEnd::FlowLost);
        }
        let query = ng::Query {
            call_id: call.call_id.clone().into(),
            from_tag: None,
            to_tag: None,
        };
        let ticket = self.next_ticket();
        self.relay_waits
            .insert(ticket, RelayUse::LastPacket { call: key, party });
        self.ask_relay(Some(ticket), ng::Request::Query(query));
    }

    pub(super) fn last_packet_told(
        &mut self,
        now: Instant,
        key: CallKey,
        party: Party,
        reply: Result<ng::Reply, RelayFailure>,
    ) {
        let Some(call) = self
            .calls
            .get(key)
            .filter(|call| call.state == CallState::Answered)
        else {
            return;
        };
        let Some(side) = call.taken_by.and_then(|leg| call.side(leg, party)) else {
            return;
        };
        let Some(lost) = side.lost else { return };
        let last = match reply {
            // A party that the relay does not know was never heard.
            Ok(ng::Reply::Ok(ok)) => side.tag.as_deref().map(|tag| last_packet(&ok, tag).unwrap_or(0)),
            // No such call: its media is over.
            Ok(_) => Some(0),
            // The relay is silent: it may come back, and media may flow meanwhile.
            Err(_) => None,
        };
        let unix = self.shard.clock.unix(now);
        let silence = match last {
            Some(last) => unix.saturating_sub(Duration::from_secs(last)),
            None => Duration::ZERO,
        };
        // Silence from before the connection went says nothing: the side may have been on hold.
        if silence.min(now.saturating_duration_since(lost)) >= self.config.times.lost_flow_silence {
            self.end_call(now, key, ProxyEnd::FlowLost);
        } else {
            self.alarms.set(
                now,
                self.config.times.lost_flow_check,
                Alarm::LostFlow { call: key, party },
            );
        }
    }
}

/// When a party last sent anything, in seconds since 1970. `None` when the reply does not say.
fn last_packet(reply: &ng::OkReply, tag: &[u8]) -> Option<u64> {
    let report = reply.call.as_ref()?.tags.get(tag)?;
    report
        .medias
        .iter()
        .flat_map(|media| &media.streams)
        .map(|stream| stream.last_packet)
        .max()
}
