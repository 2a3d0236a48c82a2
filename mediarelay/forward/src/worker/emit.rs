//! The end of every packet's path: out by its route, protected if the receiver wants that.

use viaduct_rtp::rtcp::{remove_feedback, retain_feedback, shift_sender_reports};
use viaduct_rtp::srtp::ProtectError;
use viaduct_rtp::{Tick, insert_element};

use super::Worker;
use super::flows::FlowIndex;
use crate::buffer::PacketBuf;
use crate::crypto::{SharedSend, lock};
use crate::drop_reason::DropReason;
use crate::stats::Shift;
use crate::verdict::{ToControl, Verdict};

/// What goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet {
    Rtp,
    Rtcp,
    /// As it came in; no key is applied.
    Raw,
}

impl Packet {
    /// Protects what is in the buffer, where there is a key.
    #[inline]
    pub(super) fn protect(
        self,
        now: Tick,
        key: Option<&SharedSend>,
        buffer: &mut PacketBuf,
    ) -> Result<(), ProtectError> {
        if let Some(context) = key {
            let len = buffer.len();
            let len = match self {
                Self::Rtp => lock(context).protect_rtp(now, buffer.with_room(), len)?,
                Self::Rtcp => lock(context).protect_rtcp(now, buffer.with_room(), len)?,
                Self::Raw => len,
            };
            buffer.set_len(len);
        }
        Ok(())
    }
}

impl Worker {
    /// Sends what is in the buffer by a route of a flow.
    #[inline]
    pub(super) fn emit(
        &mut self,
        now: Tick,
        at: FlowIndex,
        route_at: usize,
        packet: Packet,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let shift = match packet {
            Packet::Rtcp => self.flows.shift(at, route_at),
            Packet::Rtp | Packet::Raw => None,
        };
        let flow = &mut self.flows[at];
        let route = flow.routes.get_mut(route_at).ok_or(DropReason::NoRoute)?;
        if !route.listeners.is_empty() {
            self.copies
                .for_listeners(now, route, packet, buffer.data(), &self.sockets, &self.stats);
        }
        let target = match packet {
            Packet::Rtp | Packet::Raw => {
                if let Some(reason) = route.block {
                    return Err(reason.into());
                }
                if let Some(window) = &mut route.to_control {
                    // Others need control as well.
                    if !window.permit(now, self.limits.control_per_leg) {
                        return Err(DropReason::ControlLimited);
                    }
                    if let Some(taken) = flow.stats.routes.get(route_at) {
                        taken.rtp.count(buffer.len());
                    }
                    return Ok(Verdict::ToControl(ToControl::Media { leg: flow.leg }));
                }
                route.rtp
            }
            Packet::Rtcp => route.rtcp,
        };
        let target = target.ok_or(DropReason::NoOutput)?;
        if !self.sockets.is_bound(target.via) {
            return Err(DropReason::OutputUnbound);
        }
        if let (Packet::Rtp, Some(law)) = (packet, route.recode) {
            law.recode(buffer.data_mut());
        }
        if let (Packet::Rtp, Some(resumed)) = (packet, &mut route.resumed) {
            let stats = flow.stats.routes.get(route_at);
            resumed.renumber(now, &flow.clocks, buffer.data_mut(), stats);
        }
        if let Some(Shift { ssrc, timestamp, .. }) = shift {
            shift_sender_reports(buffer.data_mut(), ssrc, timestamp);
        }
        if let (Packet::Rtp, Some(ids)) = (packet, &route.extensions) {
            ids.retain(buffer);
        }
        if let (Packet::Rtp, Some((id, mid))) = (packet, &route.mid) {
            let len = buffer.len();
            let len = insert_element(buffer.with_room(), len, *id, mid);
            buffer.set_len(len);
        }
        if packet == Packet::Rtcp && !route.feedback {
            let len = buffer.len();
            let len = remove_feedback(buffer.data_mut(), len);
            if len == 0 {
                return Err(DropReason::UnwantedFeedback);
            }
            buffer.set_len(len);
        }
        if packet == Packet::Rtcp && !route.reports {
            let len = buffer.len();
            let len = retain_feedback(buffer.data_mut(), len);
            if len == 0 {
                // That is no fault of the sender's.
                return Ok(Verdict::Drop(DropReason::ReportsReplaced));
            }
            buffer.set_len(len);
        }
        packet.protect(now, route.protect.as_ref(), buffer)?;
        if let Some(sent) = flow.stats.routes.get(route_at) {
            match packet {
                Packet::Rtp | Packet::Raw => sent.rtp.count(buffer.len()),
                Packet::Rtcp => sent.rtcp.count(buffer.len()),
            }
        }
        Ok(Verdict::Forward {
            out: target.out,
            via: target.via,
        })
    }
}
