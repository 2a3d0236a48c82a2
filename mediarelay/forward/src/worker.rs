//! One media worker: its tables, and which of its parts a datagram goes to.

mod ahead;
mod compile;
mod copies;
mod digits;
mod emit;
mod flow;
mod flows;
mod legs;
mod pass;
mod raw;
mod repeats;
mod reports;
mod resumed;
mod rtcp;
mod rtp;
mod select;
mod sockets;
mod speech;
mod ssrcs;
mod stun;

use std::net::SocketAddr;
use std::sync::Arc;

use viaduct_rtp::{Kind, Tick, classify};

use self::copies::Copies;
use self::flows::{FlowIndex, Flows};
use self::legs::Legs;
use self::reports::Reports;
use self::sockets::Sockets;
use crate::address::{Out, SocketId, Tuple};
use crate::buffer::PacketBuf;
use crate::command::{Command, CommandError};
use crate::crypto::lock;
use crate::drop_reason::DropReason;
use crate::hash::Seed;
use crate::limits::Limits;
use crate::rule::PortMode;
use crate::stats::{Shared, WorkerStats};
use crate::verdict::{MediaKind, Report, ToControl, Verdict};

/// The forwarding plane of one thread. See the crate's description for the contract.
#[derive(Debug)]
pub struct Worker {
    limits: Limits,
    shared: Shared,
    sockets: Sockets,
    flows: Flows,
    legs: Legs,
    reports: Reports,
    copies: Copies,
    /// For what is opened although it goes on as it is.
    spare: Box<PacketBuf>,
    stats: Arc<WorkerStats>,
}

impl Worker {
    /// A worker with empty tables. Their memory is reserved here, not per packet.
    ///
    /// `hash_seed` comes from the system's random source; a test gives a constant.
    #[must_use]
    pub fn new(limits: Limits, shared: Shared, hash_seed: [u64; 2]) -> Self {
        let seed = Seed::new(hash_seed);
        Self {
            sockets: Sockets::new(),
            flows: Flows::new(&limits, seed),
            legs: Legs::new(seed),
            reports: Reports::new(limits.reports_queued),
            copies: Copies::new(limits.copies_queued),
            spare: Box::default(),
            stats: Arc::new(WorkerStats::new()),
            limits,
            shared,
        }
    }

    /// The worker's counters, to be read by others at any time.
    #[must_use]
    pub fn stats(&self) -> Arc<WorkerStats> {
        Arc::clone(&self.stats)
    }

    /// Applies one change.
    ///
    /// # Errors
    /// [`CommandError`]; nothing is changed.
    pub fn handle_command(&mut self, now: Tick, command: Command) -> Result<(), CommandError> {
        match command {
            Command::BindSocket { socket, local } => self.sockets.bind(socket, local, self.limits.sockets),
            Command::UnbindSocket { socket } => self.unbind_socket(socket),
            Command::SetPort(rule) => self.set_port(&rule),
            Command::ClearPort { local } => self.sockets.by_local_mut(local).map(sockets::Socket::clear),
            Command::InstallFlow(rule) => self.install_flow(&rule),
            Command::RemoveFlow { flow } => self.remove_flow(flow),
            Command::SetIce(rule) => self.legs.set_ice(&rule, &self.limits, &self.shared.stats),
            Command::RemoveIce { ufrag } => self.legs.remove_ice(ufrag),
            Command::SelectTuple { leg, tuple } => {
                let tuple = match tuple {
                    Some(key) => Some(Tuple::new(self.sockets.id(key.local)?, key.remote)),
                    None => None,
                };
                self.legs.select(leg, tuple)
            }
            Command::AllowDtls { tuple, leg } => {
                let tuple = Tuple::new(self.sockets.id(tuple.local)?, tuple.remote);
                self.legs.allow_dtls(tuple, leg, &self.limits, &self.shared.stats)
            }
            Command::RevokeDtls { tuple } => {
                let tuple = Tuple::new(self.sockets.id(tuple.local)?, tuple.remote);
                self.legs.revoke_dtls(tuple);
                Ok(())
            }
            Command::ReportSent {
                flow,
                ssrc,
                ntp_middle,
                at,
            } => self.flows.report_sent(flow, ssrc, ntp_middle, at),
            Command::ExpectStun {
                transaction,
                local,
                leg,
                until,
            } => {
                let socket = self.sockets.id(local)?;
                self.legs.expect_stun(
                    now,
                    transaction,
                    socket,
                    leg,
                    until,
                    self.limits.stun_transactions,
                )
            }
        }
    }

    /// Judges one datagram; what is to be sent or handed over stands in the buffer afterwards.
    ///
    /// `socket` is the one that it came in by, `from` where it came from. `now` may be the same for a whole batch. A
    /// dropped datagram's octets are undefined.
    pub fn handle_datagram(
        &mut self,
        now: Tick,
        socket: SocketId,
        from: SocketAddr,
        buffer: &mut PacketBuf,
    ) -> Verdict {
        let mut flow = None;
        match self.judge(now, socket, from, buffer, &mut flow) {
            Ok(verdict) => {
                match verdict {
                    Verdict::Forward { .. } => self.stats.forwarded.add(1),
                    Verdict::Reply => self.stats.replied.add(1),
                    Verdict::ToControl(_) => self.stats.to_control.add(1),
                    Verdict::Drop(reason) => self.stats.count_drop(reason),
                }
                verdict
            }
            Err(reason) => {
                self.stats.count_drop(reason);
                if let Some(flow) = flow.and_then(|at| self.flows.get(at)) {
                    flow.stats.count_drop(reason);
                }
                Verdict::Drop(reason)
            }
        }
    }

    /// What control must know, oldest first. Drain it at least once per batch.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop()
    }

    /// Whether there are packets for listeners.
    #[must_use]
    pub fn has_copies(&self) -> bool {
        !self.copies.is_empty()
    }

    /// The next packet for a listener: puts it into the buffer and says how to send it. Drain it once per batch.
    pub fn poll_copy(&mut self, buffer: &mut PacketBuf) -> Option<(Out, SocketId)> {
        self.copies.pop(buffer)
    }

    /// Leaves in `found` the flow that the datagram belongs to, for the counters of the drop that may follow.
    fn judge(
        &mut self,
        now: Tick,
        socket: SocketId,
        from: SocketAddr,
        buffer: &mut PacketBuf,
        found: &mut Option<FlowIndex>,
    ) -> Result<Verdict, DropReason> {
        if buffer.is_cut() {
            return Err(DropReason::Oversize);
        }
        if from.port() == 0 {
            return Err(DropReason::PortZero);
        }
        let port = self.sockets.get_mut(socket).ok_or(DropReason::UnknownSocket)?;
        let tuple = Tuple::new(socket, from);
        let takes_any = port.mode == PortMode::LearningAny;
        if viaduct_stun::is_stun(buffer.data()) {
            let flow = self.flows.by_tuple(tuple);
            return match flow.filter(|at| self.flows[*at].accept.stun) {
                Some(at) => self.on_raw(now, at, buffer),
                None if flow.is_none() && takes_any => {
                    self.on_unknown_source(now, socket, MediaKind::Rtp, buffer)
                }
                None => self.on_stun(now, socket, from, buffer),
            };
        }
        let flow = self.flows.find(&mut port.recent_flow, tuple);
        *found = flow;
        if let Some(at) = flow.filter(|at| self.flows[*at].accept.raw) {
            return self.on_raw(now, at, buffer);
        }
        if let Some(at) = flow
            && let Some(repeats) = &mut self.flows[at].repeats
            && repeats.are_too_many(now, buffer.data(), &self.limits)
        {
            return Err(DropReason::Loop);
        }
        match (classify(buffer.data()), flow) {
            (Kind::Rtp, Some(at)) => self.on_rtp(now, at, buffer),
            (Kind::Rtcp, Some(at)) => self.on_rtcp(now, at, buffer),
            (_, None) if takes_any => self.on_unknown_source(now, socket, MediaKind::Rtp, buffer),
            (Kind::Rtp, None) => self.on_unknown_source(now, socket, MediaKind::Rtp, buffer),
            (Kind::Rtcp, None) => self.on_unknown_source(now, socket, MediaKind::Rtcp, buffer),
            (Kind::Dtls, _) => self.on_dtls(now, socket, tuple),
            (Kind::Stun, _) => Err(DropReason::MalformedStun),
            (Kind::Zrtp, _) => Err(DropReason::Zrtp),
            (Kind::Turn, _) => Err(DropReason::TurnChannel),
            (Kind::Unknown, _) => Err(DropReason::Unclassified),
        }
    }

    /// DTLS from an address that control has allowed, or, where a leg without ICE still looks for its endpoint, from one that
    /// may turn out to be it.
    fn on_dtls(&mut self, now: Tick, socket: SocketId, tuple: Tuple) -> Result<Verdict, DropReason> {
        let judged = self.legs.on_dtls(now, tuple, self.limits.control_per_leg);
        if judged != Err(DropReason::DtlsNotAllowed) {
            return judged;
        }
        let port = self.sockets.get_mut(socket).ok_or(DropReason::UnknownSocket)?;
        let is_learning = port.mode == PortMode::Learning && port.authenticate.is_none();
        let waits = |leg: &_| is_learning && self.legs.awaits_dtls(*leg);
        let Some(leg) = port.leg.filter(waits) else {
            return judged;
        };
        if port.limiter.permit(now, self.limits.learn_per_port) {
            Ok(Verdict::ToControl(ToControl::Dtls { leg }))
        } else {
            Err(DropReason::LearningLimited)
        }
    }

    /// Media from an address of no flow: perhaps the endpoint that a leg waits for.
    fn on_unknown_source(
        &mut self,
        now: Tick,
        socket: SocketId,
        kind: MediaKind,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let port = self.sockets.get_mut(socket).ok_or(DropReason::UnknownSocket)?;
        let leg = port.leg.ok_or(DropReason::NoLeg)?;
        match port.mode {
            PortMode::Settled => return Err(DropReason::UnknownSource),
            PortMode::Learning | PortMode::LearningAny => {}
        }
        let takes_any = port.mode == PortMode::LearningAny;
        if let Some(context) = &port.authenticate {
            let mut context = lock(context);
            let len = match kind {
                MediaKind::Rtp => context.unprotect_rtp(now, buffer.data_mut())?,
                MediaKind::Rtcp => context.unprotect_rtcp(now, buffer.data_mut())?,
            };
            buffer.set_len(len);
        }
        if !takes_any {
            check_form(kind, buffer.data())?;
        }
        if port.limiter.permit(now, self.limits.learn_per_port) {
            Ok(Verdict::ToControl(ToControl::UnknownSource { leg, kind }))
        } else {
            Err(DropReason::LearningLimited)
        }
    }
}

/// Whether a packet in the clear is well-formed.
fn check_form(kind: MediaKind, data: &[u8]) -> Result<(), DropReason> {
    match kind {
        MediaKind::Rtp => match viaduct_rtp::RtpPacket::parse(data) {
            Ok(_) => Ok(()),
            Err(_) => Err(DropReason::MalformedRtp),
        },
        MediaKind::Rtcp => match viaduct_rtp::rtcp::Compound::parse(data) {
            Ok(_) => Ok(()),
            Err(_) => Err(DropReason::MalformedRtcp),
        },
    }
}
