//! What is measured of a call while it runs, and kept of what has ended.

use std::time::Instant;

use viaduct_forward::SsrcSnapshot;

use super::Call;
use crate::core::Core;

impl Call {
    /// Scores the sources and takes the rates.
    pub(super) fn measure(&mut self, now: Instant, core: &mut Core) {
        let max = core.config.limits.sources_per_call;
        let reports = self.reporting.is_some();
        core.counters.limits.sources_per_call += self.quality.measure(now, &self.sources(), max, reports);
        self.rates.measure(now, self.totals().forwarded());
        self.state.indices_due = true;
    }

    /// Keeps what flows have counted that are over.
    pub(super) fn keep_ended(&mut self, core: &mut Core) {
        let ended: Vec<SsrcSnapshot> = self
            .legs
            .iter_mut()
            .map(|(_, of)| of)
            .flat_map(|leg| leg.ended.drain(..))
            .collect();
        self.keep_sources(core, &ended);
    }

    pub(crate) fn keep_sources(&mut self, core: &mut Core, ended: &[SsrcSnapshot]) {
        let max = core.config.limits.sources_per_call;
        let without_room = ended.iter().filter(|source| !self.quality.keep(source, max));
        core.counters.limits.sources_per_call += without_room.count() as u64;
    }
}
