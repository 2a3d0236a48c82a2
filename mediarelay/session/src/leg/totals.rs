//! What came in on a leg, whichever path it took.

use viaduct_forward::{DropReason, FlowSnapshot, RouteSnapshot};
use viaduct_rtp::stats::Counters;

/// Sums over flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LegTotals {
    /// RTP, and what was not looked into.
    pub(crate) rtp: Counters,
    pub(crate) rtcp: Counters,
}

impl LegTotals {
    /// What came in by a flow. Datagrams that something was wrong with count as errors of RTP; those that were held
    /// back on purpose do not.
    pub(crate) fn received(flow: &FlowSnapshot) -> Self {
        let mut totals = Self {
            rtp: flow.rtp,
            rtcp: flow.rtcp,
        };
        totals.rtp += flow.raw;
        let wrong = flow.drops.iter().filter(|(reason, _)| !is_intended(*reason));
        totals.rtp.errors += wrong.map(|(_, count)| count).sum::<u64>();
        totals
    }

    /// What went out by a route.
    pub(crate) fn sent(route: &RouteSnapshot) -> Self {
        Self {
            rtp: route.rtp,
            rtcp: route.rtcp,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rtp += other.rtp;
        self.rtcp += other.rtcp;
    }
}

/// Whether a drop is what control asked for.
fn is_intended(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::BlockedDirection
            | DropReason::BlockedDtmf
            | DropReason::BlockedMedia
            | DropReason::BlockedTraffic
            | DropReason::NoOutput
            | DropReason::NoRoute
    )
}
