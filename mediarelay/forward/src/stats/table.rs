//! Where control finds the counters of flows and legs, whichever worker writes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use viaduct_rtp::Tick;

use super::flow::{FlowSnapshot, FlowStats};
use crate::address::{FlowId, FlowKey, LegId};
use crate::crypto::{CryptoTable, lock};
use crate::limits::Limits;

/// What the workers of one relay share with each other and with control. A handle: clones share the tables.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// SRTP contexts.
    pub crypto: CryptoTable,
    /// Counters.
    pub stats: StatsTable,
}

/// The counters of all flows and legs. A handle: clones share the table. Workers look into it only when a command
/// comes; each keeps a reference to the counters of its flows.
///
/// Counters outlive their flow, so that the last figures of a call can be read after its media is gone; control takes
/// them out with [`forget_flow`](Self::forget_flow) and [`forget_leg`](Self::forget_leg).
#[derive(Debug, Clone, Default)]
pub struct StatsTable {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    flows: BTreeMap<FlowId, Arc<FlowStats>>,
    legs: BTreeMap<LegId, Arc<LegStats>>,
}

impl StatsTable {
    /// The live counters of a flow.
    #[must_use]
    pub fn flow(&self, flow: FlowId) -> Option<Arc<FlowStats>> {
        lock(&self.tables).flows.get(&flow).cloned()
    }

    /// The figures of a flow at this moment.
    #[must_use]
    pub fn flow_snapshot(&self, flow: FlowId) -> Option<FlowSnapshot> {
        Some(self.flow(flow)?.snapshot())
    }

    /// Takes a flow's counters out.
    pub fn forget_flow(&self, flow: FlowId) -> Option<FlowSnapshot> {
        let stats = lock(&self.tables).flows.remove(&flow)?;
        Some(stats.snapshot())
    }

    /// When each validated address of a leg was last checked by the peer (RFC 7675), in no particular order.
    #[must_use]
    pub fn consents(&self, leg: LegId) -> Vec<TupleConsent> {
        let stats = lock(&self.tables).legs.get(&leg).cloned();
        stats.map(|stats| lock(&stats.tuples).clone()).unwrap_or_default()
    }

    /// Takes a leg's addresses out.
    pub fn forget_leg(&self, leg: LegId) {
        lock(&self.tables).legs.remove(&leg);
    }

    /// Flows and legs in the table: what grows if control forgets to forget.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        let tables = lock(&self.tables);
        (tables.flows.len(), tables.legs.len())
    }

    pub(crate) fn enter_flow(&self, flow: FlowId, limits: &Limits) -> Arc<FlowStats> {
        Arc::clone(
            lock(&self.tables)
                .flows
                .entry(flow)
                .or_insert_with(|| Arc::new(FlowStats::new(limits))),
        )
    }

    pub(crate) fn enter_leg(&self, leg: LegId) -> Arc<LegStats> {
        Arc::clone(lock(&self.tables).legs.entry(leg).or_default())
    }
}

/// When a peer last checked one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleConsent {
    /// From where to where.
    pub tuple: FlowKey,
    /// When the last good check came.
    pub last_check: Tick,
}

/// A leg's validated addresses. Several workers may write, since the kernel spreads a browser's addresses over the
/// sockets of the shared port. The lock is taken once per ICE check, every few seconds, and held for a short search.
#[derive(Debug, Default)]
pub(crate) struct LegStats {
    tuples: Mutex<Vec<TupleConsent>>,
}

impl LegStats {
    /// Notes a good check. Keeps at most `max` addresses: the one checked longest ago makes room.
    pub(crate) fn on_check(&self, tuple: FlowKey, now: Tick, max: usize) {
        let mut tuples = lock(&self.tuples);
        let consent = TupleConsent {
            tuple,
            last_check: now,
        };
        if let Some(known) = tuples.iter_mut().find(|known| known.tuple == tuple) {
            known.last_check = now;
        } else if tuples.len() < max {
            tuples.push(consent);
        } else if let Some(oldest) = tuples.iter_mut().min_by_key(|known| known.last_check) {
            *oldest = consent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> FlowKey {
        FlowKey {
            local: ([192, 0, 2, 1], 3478).into(),
            remote: ([203, 0, 113, 9], port).into(),
        }
    }

    #[test]
    fn a_legs_addresses_are_bounded_and_the_oldest_makes_room() {
        let table = StatsTable::default();
        let leg = table.enter_leg(LegId(1));
        for port in 1..=3 {
            leg.on_check(tuple(port), Tick::from_micros(port.into()), 3);
        }
        leg.on_check(tuple(1), Tick::from_micros(10), 3);
        leg.on_check(tuple(4), Tick::from_micros(11), 3);
        let mut ports: Vec<_> = table
            .consents(LegId(1))
            .iter()
            .map(|c| c.tuple.remote.port())
            .collect();
        ports.sort_unstable();
        assert_eq!(ports, [1, 3, 4]);
        table.forget_leg(LegId(1));
        assert_eq!(table.consents(LegId(1)), []);
    }

    #[test]
    fn counters_outlive_the_worker_until_they_are_forgotten() {
        let table = StatsTable::default();
        let stats = table.enter_flow(FlowId(7), &Limits::default());
        stats.rtp.count(172);
        drop(stats);
        assert_eq!(
            table
                .enter_flow(FlowId(7), &Limits::default())
                .snapshot()
                .rtp
                .packets,
            1
        );
        assert_eq!(table.forget_flow(FlowId(7)).unwrap().rtp.octets, 172);
        assert_eq!((table.flow_snapshot(FlowId(7)), table.sizes()), (None, (0, 0)));
    }
}
