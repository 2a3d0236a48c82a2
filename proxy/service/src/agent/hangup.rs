//! Calls end: by the caller, or by us.

use std::time::Instant;

use viaduct_sip::{HeaderName, Method, StatusCode, Transport, Via};
use viaduct_txn::{ClientId, Request};

use super::{Agent, LOCAL_FLOW, Place};
use crate::call::Call;
use crate::dialog::Dialog;
use crate::{CallEnd, Event, Output, StreamId};

impl Agent {
    /// A call's alarm came: a 2xx is to be repeated or given up, or the time is over.
    pub(super) fn call_woke(&mut self, now: Instant, id: StreamId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if let Some(waiting) = &mut call.unacknowledged {
            if now >= waiting.give_up_at {
                self.counters.acks_missing += 1;
                // The dialog stands all the same, and is ended as any other (RFC 3261 section 13.3.1.4).
                call.unacknowledged = None;
                let end = call.ending.unwrap_or(CallEnd::NotAcknowledged);
                return self.end_call(now, id, end);
            }
            if now >= waiting.repeat_at {
                waiting.repeated(now, &self.config.times.timing);
                self.counters.answers_repeated += 1;
                let (server, octets) = (waiting.server, waiting.octets.clone());
                self.layer.respond(now, server, StatusCode::OK, octets);
            }
        }
        if call.is_too_long(now) {
            self.end_call(now, id, CallEnd::TooLong);
        }
        self.set_wakeup(id);
    }

    /// Sets the alarm of a call, if it still exists.
    pub(super) fn set_wakeup(&mut self, id: StreamId) {
        if let Some(call) = self.calls.get(&id) {
            self.wakeups.set(id, Some(call.wakeup()));
        }
    }

    /// We end a call: with a BYE, which may not be sent before the ACK of our 2xx (RFC 3261 section 15).
    pub(super) fn end_call(&mut self, now: Instant, id: StreamId, end: CallEnd) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.unacknowledged.is_some() {
            call.ending.get_or_insert(end);
            return;
        }
        match end {
            CallEnd::TooLong => self.counters.calls_too_long += 1,
            CallEnd::Silent => self.counters.calls_silent += 1,
            _ => {}
        }
        if let Some(call) = self.call_over(now, id, end) {
            self.send_bye(now, call.dialog, end);
        }
    }

    /// A call is over: its media is closed, and nothing is kept.
    pub(super) fn call_over(&mut self, now: Instant, id: StreamId, end: CallEnd) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.by_tag.remove(call.dialog.local_tag());
        self.invites.remove(&call.key);
        self.wakeups.set(id, None);
        self.push(Output::CloseMedia { stream: id });
        self.event(Event::CallEnded {
            stream: id,
            end,
            talked: now.saturating_duration_since(call.answered_at),
        });
        Some(call)
    }

    /// Sends a BYE. Its dialog is kept until it is answered.
    fn send_bye(&mut self, now: Instant, mut dialog: Dialog, end: CallEnd) {
        let branch = self.new_branch();
        let mut bye =
            dialog
                .request(Method::Bye)
                .via(Via::value(Transport::Local, self.config.host(), &branch));
        if let Some(reason) = end.reason_header() {
            bye = bye.header(HeaderName::Reason, reason);
        }
        let sent = bye.build().ok().and_then(|octets| {
            let request = Request {
                octets,
                branch: branch.into(),
                is_invite: false,
                hop: LOCAL_FLOW.into(),
                patience: None,
            };
            self.layer.request(now, request)
        });
        let Some(client) = sent else {
            self.counters.byes_failed += 1;
            return;
        };
        if self.ended.len() < self.config.limits.sessions_max {
            self.by_tag
                .insert(dialog.local_tag().clone(), Place::Ended(client));
            self.ended.insert(client, dialog);
        }
    }

    /// The transaction of a BYE of ours is over.
    pub(super) fn forget_ended(&mut self, client: ClientId) {
        if let Some(dialog) = self.ended.remove(&client) {
            self.by_tag.remove(dialog.local_tag());
        }
    }
}
