//! The path of an RTCP compound: authenticate, measure round trips, choose a route, protect.

use viaduct_rtp::Tick;
use viaduct_rtp::rtcp::{Compound, ReportBlock, RtcpPacket};

use super::Worker;
use super::emit::Packet;
use super::flows::{FlowIndex, Flows};
use crate::address::FlowId;
use crate::buffer::PacketBuf;
use crate::command::CommandError;
use crate::crypto::lock;
use crate::drop_reason::DropReason;
use crate::limits::ROUTES_MAX;
use crate::verdict::Verdict;

/// How many sources of one compound are looked at: what one report can have. It bounds the work that a packet causes.
const SOURCES_MAX: usize = 31;

impl Worker {
    pub(super) fn on_rtcp(
        &mut self,
        now: Tick,
        at: FlowIndex,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let flow = &mut self.flows[at];
        if !flow.accept.rtcp {
            return Err(DropReason::NotAccepted);
        }
        let wire_len = buffer.len();
        if let Some(context) = &flow.unprotect {
            let len = lock(context).unprotect_rtcp(now, buffer.data_mut())?;
            buffer.set_len(len);
        }
        let compound = Compound::parse(buffer.data()).map_err(|_| DropReason::MalformedRtcp)?;
        flow.stats.rtcp.count(wire_len);
        flow.on_good_packet(now, &mut self.reports, &self.stats);
        let origins = self.flows.origins(at);
        self.flows.measure_round_trips(now, at, &origins, &compound);
        let route_at = self.flows.rtcp_route(at, &origins, &compound);
        self.emit(now, at, route_at, Packet::Rtcp, buffer)
    }
}

/// For each route of a flow, the flow that brings media back from where the route leads: the sources that this flow's
/// peer hears and reports on.
type Origins = [Option<FlowIndex>; ROUTES_MAX];

impl Flows {
    /// The flow itself, or for an RTCP port of its own the flow of the RTP.
    pub(super) fn media_flow(&self, at: FlowIndex) -> FlowIndex {
        self[at].rtp_flow.and_then(|id| self.by_id(id)).unwrap_or(at)
    }

    fn origins(&self, at: FlowIndex) -> Origins {
        let mut origins = [None; ROUTES_MAX];
        for (origin, route) in origins.iter_mut().zip(&self[at].routes) {
            let back = |target: Option<super::flow::Target>| self.by_tuple(target?.back);
            *origin = back(route.rtcp)
                .or_else(|| back(route.rtp))
                .map(|at| self.media_flow(at));
        }
        origins
    }

    /// A sender report is remembered with its source. A report block is an answer to one that went to this flow's peer,
    /// from a source of another flow.
    fn measure_round_trips(&mut self, now: Tick, at: FlowIndex, origins: &Origins, compound: &Compound<'_>) {
        let media = self.media_flow(at);
        for packet in compound.packets().take(SOURCES_MAX) {
            if let RtcpPacket::SenderReport(report) = packet
                && let Some((place, source)) = self[media].ssrcs.find_mut(report.ssrc)
            {
                source.round_trip.on_sender_report(now, report.info.ntp_middle());
                if let Some(stats) = self[media].stats.ssrcs.get(place) {
                    stats.publish_sender_report(now, report.info.ntp_middle());
                }
            }
        }
        for block in compound.report_blocks().take(SOURCES_MAX) {
            for origin in origins.iter().flatten() {
                self.on_report_block(now, *origin, &block);
            }
        }
    }

    /// Control has sent a report of its own about a source of a flow. One that has no place any more has no round trip either.
    pub(super) fn report_sent(
        &mut self,
        flow: FlowId,
        ssrc: u32,
        ntp_middle: u32,
        at: Tick,
    ) -> Result<(), CommandError> {
        let flow = self.by_id(flow).ok_or(CommandError::UnknownFlow(flow))?;
        if let Some((_, source)) = self[flow].ssrcs.find_mut(ssrc) {
            source.round_trip.on_sender_report(at, ntp_middle);
        }
        Ok(())
    }

    fn on_report_block(&mut self, now: Tick, origin: FlowIndex, block: &ReportBlock) {
        let flow = &mut self[origin];
        let Some((place, source)) = flow.ssrcs.find_mut(block.ssrc) else {
            return;
        };
        let Some(round_trip) = source.round_trip.on_report_block(now, block) else {
            return;
        };
        if let Some(stats) = flow.stats.ssrcs.get(place) {
            stats.publish_round_trip(round_trip);
        }
    }

    /// See [`Select`](crate::Select), last paragraph. Routes without an output for RTCP are passed over, so that one which
    /// only takes payload types out does not swallow reports.
    fn rtcp_route(&self, at: FlowIndex, origins: &Origins, compound: &Compound<'_>) -> usize {
        let flow = &self[at];
        if flow.routes.len() < 2 {
            return 0;
        }
        let takes_rtcp = |route: &usize| flow.routes[*route].rtcp.is_some();
        let by_sender = || {
            let sender = compound.sender_ssrc()?;
            let known = flow
                .ssrcs
                .position(sender)
                .and_then(|place| flow.ssrcs.get(place));
            let section = known.and_then(|entry| entry.section);
            let taken = || known?.route.map(usize::from).filter(takes_rtcp);
            flow.sections
                .rtcp_route(&flow.routes, section, sender)
                .or_else(taken)
        };
        let heard_from = |ssrc: u32| {
            let from = |at: FlowIndex| self[at].ssrcs.position(ssrc).is_some();
            origins
                .iter()
                .position(|origin| origin.is_some_and(from))
                .filter(takes_rtcp)
        };
        by_sender()
            .or_else(|| reported_sources(compound).take(SOURCES_MAX).find_map(heard_from))
            .or_else(|| (0..flow.routes.len()).find(takes_rtcp))
            .unwrap_or(0)
    }
}

/// The sources that a compound is about.
fn reported_sources(compound: &Compound<'_>) -> impl Iterator<Item = u32> {
    let feedback = compound.packets().filter_map(|packet| match packet {
        RtcpPacket::TransportFeedback(feedback) | RtcpPacket::PayloadFeedback(feedback) => {
            Some(feedback.media_ssrc)
        }
        RtcpPacket::SenderReport(_)
        | RtcpPacket::ReceiverReport(_)
        | RtcpPacket::Sdes(_)
        | RtcpPacket::Bye(_)
        | RtcpPacket::App(_)
        | RtcpPacket::ExtendedReport(_)
        | RtcpPacket::Other { .. } => None,
    });
    feedback.chain(compound.report_blocks().map(|block| block.ssrc))
}
