//! What came in on a leg, whichever path it took.

use viaduct_forward::{DropReason, FlowSnapshot, RouteSnapshot};
use viaduct_rtp::stats::Counters;

/// Sums over flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LegTotals {
    /// RTP, and what was not looked into.
    pub(crate) rtp: Counters,
    pub(crate) rtcp: Counters,
    /// What of RTP the kernel has forwarded.
    pub(crate) kernel: Counters,
}

impl LegTotals {
    /// What came in by a flow. Datagrams that something was wrong with count as errors of RTP; those that were held
    /// back on purpose do not.
    pub(crate) fn received(flow: &FlowSnapshot) -> Self {
        let mut totals = Self {
            rtp: flow.rtp,
            rtcp: flow.rtcp,
            kernel: flow.beside,
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
            kernel: Counters::default(),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rtp += other.rtp;
        self.rtcp += other.rtcp;
        self.kernel += other.kernel;
    }

    /// All packets, and those that the kernel has forwarded.
    pub(crate) fn forwarded(&self) -> Forwarded {
        let mut all = self.rtp;
        all += self.rtcp;
        Forwarded {
            all,
            kernel: self.kernel,
        }
    }
}

/// What was forwarded, and what of it by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forwarded {
    pub(crate) all: Counters,
    pub(crate) kernel: Counters,
}

impl Forwarded {
    pub(crate) fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.kernel += other.kernel;
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
