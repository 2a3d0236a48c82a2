//! The path of an RTP packet: authenticate, measure, choose a route, protect.

use viaduct_rtp::{RtpHeader, RtpPacket, Tick};

use super::Worker;
use super::emit::Packet;
use super::flow::Flow;
use super::flows::FlowIndex;
use super::ssrcs::Entry;
use crate::buffer::PacketBuf;
use crate::crypto::lock;
use crate::drop_reason::DropReason;
use crate::limits::Limits;
use crate::verdict::Verdict;

impl Worker {
    pub(super) fn on_rtp(
        &mut self,
        now: Tick,
        at: FlowIndex,
        buffer: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let flow = &mut self.flows[at];
        if !flow.accept.rtp {
            return Err(DropReason::NotAccepted);
        }
        if flow.passes {
            return self.on_passing_rtp(now, at, buffer);
        }
        let wire_len = buffer.len();
        let mut index = None;
        if let Some(context) = &flow.unprotect {
            let opened = lock(context).open_rtp(now, buffer.data_mut())?;
            buffer.set_len(opened.len);
            index = Some(opened.index);
        }
        let packet = RtpPacket::parse(buffer.data()).map_err(|_| DropReason::MalformedRtp)?;
        flow.stats.rtp.count(wire_len);
        flow.on_good_packet(now, &mut self.reports, &self.stats);
        if flow.is_event(packet.header()) {
            flow.on_event(now, &packet, &mut self.reports, &self.stats);
        }
        let route_at = flow.measure_and_route(now, packet.header(), wire_len, &self.limits)?;
        let ssrc = packet.header().ssrc();
        if let Some(route) = flow.routes.get(route_at) {
            if let Some((context, index)) = route.protect.as_ref().filter(|_| route.same_key).zip(index) {
                // To its receiver it is a packet of the sender's, whose others may have passed unopened.
                lock(context).follow(now, ssrc, index);
            }
            if route.speech.is_some() {
                flow.say(now, route_at, buffer, &mut self.reports, &self.stats)?;
            }
        }
        self.emit(now, at, route_at, Packet::Rtp, buffer)
    }
}

impl Flow {
    /// Counts a packet for its SSRC and finds its route.
    pub(super) fn measure_and_route(
        &mut self,
        now: Tick,
        header: &RtpHeader<'_>,
        wire_len: usize,
        limits: &Limits,
    ) -> Result<usize, DropReason> {
        let clocks = &self.clocks;
        let entry = self
            .ssrcs
            .on_packet(now, header, limits.ssrc_idle, || clocks.of(header.payload_type()));
        let at = match entry {
            Entry::Known(at) => Some(at),
            Entry::New(at) => {
                if let Some(stats) = self.stats.ssrcs.get(at) {
                    stats.begin(header.ssrc());
                }
                Some(at)
            }
            Entry::Untracked => {
                self.stats.untracked.add(1);
                None
            }
        };
        let tracked = at.and_then(|at| Some((self.ssrcs.get(at)?, self.stats.ssrcs.get(at)?)));
        if let Some((entry, stats)) = tracked {
            stats.publish(now, wire_len, header.payload_type(), &entry.reception.snapshot());
        }
        self.route(header, at)
    }

    /// The route of a packet whose SSRC has this place in the table.
    fn route(&mut self, header: &RtpHeader<'_>, ssrc_at: Option<usize>) -> Result<usize, DropReason> {
        if let [only] = &self.routes[..]
            && only.selector.is_any()
        {
            return Ok(0);
        }
        let named = self.sections.named_by(header)?;
        let entry = ssrc_at.and_then(|at| self.ssrcs.get_mut(at));
        if let Some(entry) = &entry
            && let Some(route) = entry.route
            && (named.is_none() || named == entry.section)
        {
            return Ok(route.into());
        }
        let known = named.or_else(|| entry.as_ref()?.section);
        let (route, section) =
            self.sections
                .route(&self.routes, known, header.payload_type(), header.ssrc())?;
        if let Some(entry) = entry {
            entry.section = section;
            entry.route = Some(route as u8);
        }
        Ok(route)
    }
}
