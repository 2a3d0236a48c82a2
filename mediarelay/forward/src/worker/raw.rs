//! The path of a datagram that is not looked into.

use viaduct_rtp::Tick;

use super::Worker;
use super::emit::Packet;
use super::flows::FlowIndex;
use crate::buffer::PacketBuf;
use crate::drop_reason::DropReason;
use crate::verdict::Verdict;

impl Worker {
    pub(super) fn on_raw(
        &mut self,
        now: Tick,
        at: FlowIndex,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let flow = &mut self.flows[at];
        flow.stats.raw.count(buffer.len());
        flow.on_good_packet(now, &mut self.reports, &self.stats);
        self.emit(now, at, 0, Packet::Raw, buffer)
    }
}
