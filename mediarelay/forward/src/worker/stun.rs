//! STUN: answered here for lite agents, handed to control for full ones, dropped otherwise.

use std::net::SocketAddr;

use viaduct_rtp::Tick;
use viaduct_stun::lite::{self, BindingRequest, Check, Outcome, RESPONSE_MAX, Rejection};
use viaduct_stun::{Class, Message};

use super::Worker;
use super::legs::{Agent, Leg};
use super::reports::Reports;
use crate::address::{FlowKey, LegId, SocketId, Tuple};
use crate::buffer::PacketBuf;
use crate::drop_reason::DropReason;
use crate::limits::Limits;
use crate::stats::WorkerStats;
use crate::verdict::{Report, ToControl, Verdict};

impl Worker {
    pub(super) fn on_stun(
        &mut self,
        now: Tick,
        socket: SocketId,
        from: SocketAddr,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let request = match BindingRequest::read(buffer.data()) {
            Ok(request) => request,
            Err(lite::DropReason::NotRequest(Class::Success | Class::Error)) => {
                return self.on_stun_answer(now, socket, buffer);
            }
            Err(reason) => return Err(reason.into()),
        };
        let port_leg = self.sockets.get(socket).and_then(|port| port.leg);
        let local = self.sockets.local(socket).ok_or(DropReason::UnknownSocket)?;
        let ufrag = request.local_ufrag().ok_or(DropReason::UnknownUfrag)?;
        let (owner, leg) = self.legs.by_ufrag(ufrag).ok_or(DropReason::UnknownUfrag)?;
        let id = owner.leg;
        if port_leg.is_some_and(|port_leg| port_leg != id) {
            return Err(DropReason::ForeignUfrag);
        }
        let credentials = match &owner.agent {
            Agent::Lite(credentials) => credentials,
            Agent::Full => return self.legs.on_agent_stun(now, id, self.limits.control_per_leg),
        };
        let mut answer = [0; RESPONSE_MAX];
        let (len, result) = match request.respond(credentials, from, &mut answer) {
            Outcome::Response { len, result } => (len, result),
            Outcome::Drop(_) => return Err(DropReason::MalformedStun),
        };
        let checked = Checked {
            id,
            key: FlowKey { local, remote: from },
            tuple: Tuple::new(socket, from),
            now,
            limits: &self.limits,
            reports: &mut self.reports,
            stats: &self.stats,
        };
        match result {
            Ok(check) => {
                checked.on_good_check(leg, &check);
                if let Some(flow) = self.flows.by_tuple(Tuple::new(socket, from)) {
                    self.flows[flow].stats.last_consent.set(now);
                }
            }
            Err(rejection) => checked.on_refused_check(leg, rejection),
        }
        buffer.with_room()[..len].copy_from_slice(&answer[..len]);
        buffer.set_len(len);
        Ok(Verdict::Reply)
    }

    /// An answer goes to control if it is awaited, or if the port belongs to a leg with a full agent.
    fn on_stun_answer(
        &mut self,
        now: Tick,
        socket: SocketId,
        buffer: &PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let message = Message::parse(buffer.data()).map_err(|_| DropReason::MalformedStun)?;
        if let Some(leg) = self.legs.take_awaited(now, message.transaction_id(), socket) {
            return Ok(Verdict::ToControl(ToControl::Stun { leg }));
        }
        let leg = self.sockets.get(socket).and_then(|port| port.leg);
        let leg = leg
            .filter(|leg| self.legs.has_full_agent(*leg))
            .ok_or(DropReason::UnexpectedStun)?;
        self.legs.on_agent_stun(now, leg, self.limits.control_per_leg)
    }
}

/// One answered check, with what it takes to note it.
struct Checked<'w> {
    id: LegId,
    key: FlowKey,
    tuple: Tuple,
    now: Tick,
    limits: &'w Limits,
    reports: &'w mut Reports,
    stats: &'w WorkerStats,
}

impl Checked<'_> {
    /// Notes the address, and tells control of a new one and of a nomination that it has not followed yet.
    fn on_good_check(mut self, leg: &mut Leg, check: &Check<'_>) {
        let now = self.now;
        leg.stats.on_check(self.key, now, self.limits.tuples_per_leg);
        let Some(at) = leg.enter_tuple(self.tuple, now, self.limits.tuples_per_leg) else {
            return;
        };
        leg.tuples[at].last_check = now;
        if !leg.tuples[at].reported {
            let report = Report::TupleValidated {
                leg: self.id,
                tuple: self.key,
                priority: check.priority,
                use_candidate: check.use_candidate,
                at: now,
            };
            if !self.report(leg, report) {
                return;
            }
            leg.tuples[at].reported = true;
        }
        let repeat = self.limits.nomination_repeat;
        let due = leg.tuples[at]
            .nomination_reported
            .is_none_or(|last| now.since(last) >= repeat);
        if check.use_candidate && leg.selected != Some(self.tuple) && due {
            let report = Report::Nominated {
                leg: self.id,
                tuple: self.key,
                at: now,
            };
            if self.report(leg, report) {
                leg.tuples[at].nomination_reported = Some(now);
            }
        }
    }

    fn on_refused_check(mut self, leg: &mut Leg, rejection: Rejection) {
        match rejection {
            Rejection::UnknownUsername | Rejection::WrongIntegrity => self.stats.checks_not_authentic.add(1),
            Rejection::BadRequest | Rejection::UnknownAttribute => self.stats.checks_refused.add(1),
            Rejection::RoleConflict => {
                self.stats.checks_refused.add(1);
                let report = Report::RoleConflict {
                    leg: self.id,
                    tuple: self.key,
                    at: self.now,
                };
                self.report(leg, report);
            }
        }
    }

    /// Whether the report is on its way; if not, its occasion comes again with the next check.
    fn report(&mut self, leg: &mut Leg, report: Report) -> bool {
        let reported =
            leg.validated.permit(self.now, self.limits.control_per_leg) && self.reports.push(report);
        self.stats.reports_delayed.add((!reported).into());
        reported
    }
}
