//! A look at what a batch of datagrams will need, before they are judged one by one.
//!
//! Between two packets of a flow come those of all others, so a thousand calls find nothing of theirs in the caches: a dozen lines for
//! each packet, one waited for after the other. Here each step is taken for all packets of a batch before the next one, so that the
//! processor fetches many lines at a time.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Mutex;

use viaduct_rtp::srtp::{ReceiveContext, SendContext};

use super::Worker;
use super::flow::Flow;
use super::flows::FlowIndex;
use crate::address::{SocketId, Tuple};

/// Datagrams that are looked at together.
const TOGETHER: usize = 64;

impl Worker {
    /// Fetches what [`handle_datagram`](Self::handle_datagram) will read for these datagrams, given by their sockets and senders.
    /// Changes nothing, and nothing depends on it.
    pub fn look_ahead(&self, datagrams: &[(SocketId, SocketAddr)]) {
        for datagrams in datagrams.chunks(TOGETHER) {
            // One alone waits for its lines either way.
            if datagrams.len() > 1 {
                black_box(self.fetch(datagrams));
            }
        }
    }

    /// Adds up a little of everything: what is not used is not fetched.
    fn fetch(&self, datagrams: &[(SocketId, SocketAddr)]) -> usize {
        let mut places = [FlowIndex::NONE; TOGETHER];
        for (place, (socket, _)) in places.iter_mut().zip(datagrams) {
            *place = self
                .sockets
                .get(*socket)
                .map_or(FlowIndex::NONE, |socket| socket.recent_flow);
        }
        for (place, (socket, from)) in places.iter_mut().zip(datagrams) {
            let tuple = Tuple::new(*socket, *from);
            if self.flows.get(*place).is_none_or(|flow| flow.tuple != tuple) {
                *place = self.flows.by_tuple(tuple).unwrap_or(FlowIndex::NONE);
            }
        }
        let places = &places[..datagrams.len()];
        let flows = || places.iter().filter_map(|place| self.flows.get(*place));
        let of_flows: usize = flows().map(Flow::head).sum();
        let of_parts: usize = flows().map(Flow::parts).sum();
        let vias = flows().filter_map(|flow| flow.routes.first()?.rtp);
        let bound = vias.filter(|target| self.sockets.is_bound(target.via)).count();
        of_flows.wrapping_add(of_parts).wrapping_add(bound)
    }
}

impl Flow {
    /// Something of each line of the flow itself.
    fn head(&self) -> usize {
        self.routes.len()
            + usize::from(self.ssrcs.is_empty())
            + self.events as usize % 2
            + usize::from(self.accept.rtp)
            + usize::from(self.confirm)
            + usize::from(self.rtp_flow.is_some())
            + usize::from(self.repeats.is_some())
            + usize::from(self.unprotect.is_some())
    }

    /// Something of each line that it leads to.
    fn parts(&self) -> usize {
        let route = self.routes.first();
        let of_route = route.map_or(0, |route| {
            usize::from(route.selector.is_any())
                + usize::from(route.speech.is_some())
                + usize::from(route.block.is_some())
                + route
                    .protect
                    .as_ref()
                    .map_or(0, |context| glance(context, SendContext::fetch))
        });
        let unprotect = self.unprotect.as_ref();
        of_route
            + unprotect.map_or(0, |context| glance(context, ReceiveContext::fetch))
            + self
                .ssrcs
                .get(0)
                .map_or(0, |entry| entry.ssrc as usize % 2 + entry.reception.fetch())
            + self.stats.glance()
    }
}

/// Looks at a context, unless another worker has it.
fn glance<T>(context: &Mutex<T>, fetch: impl FnOnce(&T) -> usize) -> usize {
    context.try_lock().map_or(0, |context| fetch(&context))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::stats::Shared;

    #[test]
    fn of_sockets_and_senders_that_nobody_knows_nothing_is_fetched() {
        let worker = Worker::new(Limits::default(), Shared::default(), [1, 2]);
        let from = SocketAddr::from(([192, 0, 2, 7], 4_000));
        let datagrams: Vec<_> = (0..200).map(|socket| (SocketId(socket), from)).collect();
        worker.look_ahead(&datagrams);
        worker.look_ahead(&[]);
        assert_eq!(worker.fetch(&datagrams[..TOGETHER]), 0);
    }
}
