//! What is kept of a call for a relay that goes on with it.

use std::time::Instant;

use super::Call;
use crate::core::Core;
use crate::state::{CallName, MediaRow, key_name};

impl Call {
    /// Writes down what media has taught, if it is something else than before. Indices of SRTP rise with every packet, so
    /// they are looked at only now and then.
    pub(crate) fn keep_media(&mut self, core: &mut Core) {
        let Some(state) = &mut core.state else { return };
        let endpoints: Vec<_> = self.legs.values().flat_map(|leg| leg.endpoints()).collect();
        let indices_due = std::mem::take(&mut self.state.indices_due);
        if !indices_due && endpoints == self.state.media.endpoints {
            return;
        }
        let mut indices = Vec::new();
        for leg in self.legs.values().filter(|leg| leg.dtls.is_none()) {
            for (id, direction, keys) in leg.contexts() {
                let of = state.crypto.indices(id);
                if !of.is_empty() {
                    indices.push((key_name(direction, keys), of));
                }
            }
        }
        let row = MediaRow {
            run: if indices.is_empty() { 0 } else { state.run },
            endpoints,
            indices,
        };
        let (limits, hits) = (&core.config.limits, &mut core.counters.limits);
        state.media(CallName::of(&self.id), &mut self.state, row, limits, hits);
    }

    /// Takes up what media had taught an earlier relay, and lets go of what went with it.
    pub(crate) fn rebuild(&mut self, now: Instant, core: &mut Core, media: MediaRow) {
        for (_, leg) in self.legs.iter_mut() {
            leg.rebuild(now, core);
        }
        for endpoint in &media.endpoints {
            let mut legs = self.legs.iter_mut().map(|(_, of)| of);
            if let Some(leg) = legs.find(|leg| leg.component_of(endpoint.local).is_some() && !leg.is_shared())
            {
                leg.find_endpoint(now, core, *endpoint);
            }
        }
        self.state.media = media;
        self.check_soon(now);
    }
}
