//! The flow table: by name for control, by addresses for packets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Index, IndexMut};

use super::flow::Flow;
use crate::address::{FlowId, SocketId, Tuple};
use crate::hash::Seed;
use crate::limits::Limits;

/// A place in the table. It may be taken by another flow later, so whoever keeps one checks what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlowIndex(u32);

impl FlowIndex {
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// All flows of a worker. `by_id`, `by_tuple` and `by_socket` have one entry for every occupied slot.
#[derive(Debug)]
pub(super) struct Flows {
    slots: Vec<Option<Flow>>,
    free: Vec<FlowIndex>,
    by_id: BTreeMap<FlowId, FlowIndex>,
    by_tuple: HashMap<Tuple, FlowIndex, Seed>,
    by_socket: BTreeSet<(SocketId, FlowId)>,
    max: usize,
}

impl Flows {
    pub(super) fn new(limits: &Limits, seed: Seed) -> Self {
        Self {
            // Reserved, and touched from the front as flows come: growing would move all flows in the middle of a batch.
            slots: Vec::with_capacity(limits.flows),
            free: Vec::with_capacity(limits.flows),
            by_id: BTreeMap::new(),
            // Grows instead: entries lie about at random, so a few would touch all of its memory. They are small and quickly
            // moved.
            by_tuple: HashMap::with_hasher(seed),
            by_socket: BTreeSet::new(),
            max: limits.flows,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The flow of a datagram, tried first at the place where the socket's last one was.
    #[inline]
    pub(super) fn find(&self, recent: &mut FlowIndex, tuple: Tuple) -> Option<FlowIndex> {
        if self.get(*recent).is_some_and(|flow| flow.tuple == tuple) {
            return Some(*recent);
        }
        let found = self.by_tuple(tuple)?;
        *recent = found;
        Some(found)
    }

    #[inline]
    pub(super) fn by_tuple(&self, tuple: Tuple) -> Option<FlowIndex> {
        self.by_tuple.get(&tuple).copied()
    }

    pub(super) fn by_id(&self, id: FlowId) -> Option<FlowIndex> {
        self.by_id.get(&id).copied()
    }

    #[inline]
    pub(super) fn get(&self, at: FlowIndex) -> Option<&Flow> {
        self.slots.get(at.0 as usize)?.as_ref()
    }

    /// Puts a flow in, or in the place of the one with the same name. The caller has checked that there is room and that
    /// no other flow has these addresses.
    pub(super) fn put(&mut self, flow: Flow) {
        let (id, tuple, socket) = (flow.id, flow.tuple, flow.socket);
        if let Some(at) = self.by_id(id) {
            let earlier = std::mem::replace(&mut self[at], flow);
            self.by_tuple.remove(&earlier.tuple);
            self.by_tuple.insert(tuple, at);
            self.by_socket.remove(&(earlier.socket, id));
            self.by_socket.insert((socket, id));
            return;
        }
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at.0 as usize] = Some(flow);
                at
            }
            None => {
                self.slots.push(Some(flow));
                FlowIndex(self.slots.len() as u32 - 1)
            }
        };
        self.by_id.insert(id, at);
        self.by_tuple.insert(tuple, at);
        self.by_socket.insert((socket, id));
        debug_assert!(self.is_consistent());
    }

    pub(super) fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let at = self.by_id.remove(&id)?;
        let flow = self.slots[at.0 as usize].take()?;
        self.by_tuple.remove(&flow.tuple);
        self.by_socket.remove(&(flow.socket, id));
        self.free.push(at);
        debug_assert!(self.is_consistent());
        Some(flow)
    }

    /// Removes the flows that come in by a socket.
    pub(super) fn remove_all_of(&mut self, socket: SocketId) {
        let of_socket = (socket, FlowId(0))..=(socket, FlowId(u64::MAX));
        while let Some((_, id)) = self.by_socket.range(of_socket.clone()).next() {
            self.remove(*id);
        }
    }

    fn is_consistent(&self) -> bool {
        let flows = self.by_id.len();
        flows == self.by_tuple.len()
            && flows == self.by_socket.len()
            && flows + self.free.len() == self.slots.len()
    }
}

impl Index<FlowIndex> for Flows {
    type Output = Flow;

    /// Of a place that [`Flows::find`] or a sibling has given while no command came in between.
    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "places are found and used within one datagram; only commands empty them"
    )]
    fn index(&self, at: FlowIndex) -> &Flow {
        self.slots[at.0 as usize]
            .as_ref()
            .expect("a place that was just found")
    }
}

impl IndexMut<FlowIndex> for Flows {
    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "places are found and used within one datagram; only commands empty them"
    )]
    fn index_mut(&mut self, at: FlowIndex) -> &mut Flow {
        self.slots[at.0 as usize]
            .as_mut()
            .expect("a place that was just found")
    }
}
