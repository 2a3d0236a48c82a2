//! The path of a datagram that is not looked into.

use viaduct_rtp::Tick;

use super::Worker;
use super::flows::FlowIndex;
use crate::buffer::PacketBuf;
use crate::drop_reason::DropReason;
use crate::verdict::Verdict;

impl Worker {
    /// Forwards what is neither RTP nor RTCP as it is.
    pub(super) fn forward_raw(
        &mut self,
        now: Tick,
        at: FlowIndex,
        buffer: &PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let flow = &mut self.flows[at];
        flow.stats.raw.count(buffer.len());
        flow.on_good_packet(now, &mut self.reports, &self.stats);
        let route = flow.routes.first().ok_or(DropReason::NoRoute)?;
        if let Some(reason) = route.block {
            return Err(reason.into());
        }
        let target = route.rtp.ok_or(DropReason::NoOutput)?;
        if !self.sockets.is_bound(target.via) {
            return Err(DropReason::OutputUnbound);
        }
        if let Some(sent) = flow.stats.routes.get(0) {
            sent.rtp.count(buffer.len());
        }
        Ok(Verdict::Forward {
            out: target.out,
            via: target.via,
        })
    }
}
