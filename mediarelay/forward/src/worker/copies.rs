//! Packets for listeners, which are sent besides what a verdict says.

use std::collections::VecDeque;

use viaduct_rtp::{ElementForms, Tick, insert_element, retain_elements};

use super::emit::Packet;
use super::flow::{CompiledListener, CompiledRoute, Target};
use super::sockets::Sockets;
use crate::address::{Out, SocketId};
use crate::buffer::PacketBuf;
use crate::rule::BlockReason;
use crate::stats::WorkerStats;

/// A queue of bounded length. Its buffers are made when they are first needed, and used again.
#[derive(Debug)]
pub(super) struct Copies {
    queue: VecDeque<(Target, Box<PacketBuf>)>,
    #[expect(clippy::vec_box, reason = "they go to and from the queue without being moved")]
    spare: Vec<Box<PacketBuf>>,
    max: usize,
}

impl Copies {
    pub(super) fn new(max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            spare: Vec::new(),
            max,
        }
    }

    /// Makes a packet for each listener of a route. A party that is on hold is heard all the same; one that is muted,
    /// or whose digits are to be kept secret, is not.
    #[cold]
    pub(super) fn for_listeners(
        &mut self,
        now: Tick,
        route: &CompiledRoute,
        packet: Packet,
        data: &[u8],
        sockets: &Sockets,
        stats: &WorkerStats,
    ) {
        if packet == Packet::Rtp && !matches!(route.block, None | Some(BlockReason::Direction)) {
            return;
        }
        for listener in &route.listeners {
            let target = match packet {
                Packet::Rtp | Packet::Raw => listener.rtp,
                Packet::Rtcp => listener.rtcp,
            };
            let Some(target) = target else { continue };
            let sent = sockets.is_bound(target.via) && self.push(now, listener, target, packet, data);
            if sent {
                stats.copies.add(1);
            } else {
                stats.copies_lost.add(1);
            }
        }
    }

    /// Returns whether there was room, and a key where one is needed.
    fn push(
        &mut self,
        now: Tick,
        listener: &CompiledListener,
        target: Target,
        packet: Packet,
        data: &[u8],
    ) -> bool {
        if self.queue.len() >= self.max {
            return false;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.fill(data);
        if let (Packet::Rtp, Some((id, mid))) = (packet, &listener.mid) {
            let len = retain_elements(buffer.data_mut(), data.len(), ElementForms::Both, |of| of != *id);
            let len = insert_element(buffer.with_room(), len, *id, mid);
            buffer.set_len(len);
        }
        if packet
            .protect(now, listener.protect.as_ref(), &mut buffer)
            .is_err()
        {
            self.spare.push(buffer);
            return false;
        }
        self.queue.push_back((target, buffer));
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The oldest.
    pub(super) fn pop(&mut self, into: &mut PacketBuf) -> Option<(Out, SocketId)> {
        let (target, mut buffer) = self.queue.pop_front()?;
        std::mem::swap(&mut *buffer, into);
        self.spare.push(buffer);
        Some((target.out, target.via))
    }
}
