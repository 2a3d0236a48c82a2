//! The path of SRTP that its receiver can open as it is.

use viaduct_rtp::{RtpHeader, RtpPacket, Tick};

use super::Worker;
use super::emit::Packet;
use super::flow::Flow;
use super::flows::FlowIndex;
use super::reports::Reports;
use crate::buffer::PacketBuf;
use crate::crypto::lock;
use crate::drop_reason::DropReason;
use crate::stats::WorkerStats;
use crate::verdict::Verdict;

impl Worker {
    /// RTP of a flow that [passes](crate::FlowRule::passes).
    pub(super) fn on_passing_rtp(
        &mut self,
        now: Tick,
        at: FlowIndex,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let flow = &mut self.flows[at];
        let wire_len = buffer.len();
        // The header is in the clear. What follows is not, the length of the padding included.
        let header = RtpHeader::parse(buffer.data()).map_err(|_| DropReason::MalformedRtp)?;
        flow.stats.rtp.count(wire_len);
        flow.stats.last_packet.set(now);
        if flow.confirm || flow.is_event(&header) {
            flow.look_into(
                now,
                buffer.data(),
                &mut self.spare,
                &mut self.reports,
                &self.stats,
            );
        }
        let route_at = flow.measure_and_route(now, &header, wire_len, &self.limits)?;
        self.emit(now, at, route_at, Packet::Raw, buffer)
    }
}

impl Flow {
    /// Opens a copy of a packet. Only one that is authentic settles an endpoint or has digits in it.
    #[cold]
    fn look_into(
        &mut self,
        now: Tick,
        packet: &[u8],
        copy: &mut PacketBuf,
        reports: &mut Reports,
        stats: &WorkerStats,
    ) {
        let Some(context) = &self.unprotect else { return };
        copy.fill(packet);
        let mut context = lock(context);
        let Ok(len) = context.unprotect_rtp(now, copy.data_mut()) else {
            stats.passed_unproven.add(1);
            return;
        };
        context.expect_unseen();
        drop(context);
        copy.set_len(len);
        self.on_good_packet(now, reports, stats);
        if let Ok(packet) = RtpPacket::parse(copy.data())
            && self.is_event(packet.header())
        {
            self.on_event(now, &packet, reports, stats);
        }
    }
}
