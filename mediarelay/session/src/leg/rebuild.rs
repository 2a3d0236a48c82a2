//! A leg of a call that an earlier relay has had.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Leg, Origin, tuple};
use crate::core::Core;
use crate::secrets;
use crate::state::Endpoint;

impl Leg {
    /// Where the peer was found, as far as that is settled. Of a peer that receives elsewhere than it sends from it is not
    /// known where it sends from, so it is found again.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let components = self.components().iter();
        components.filter_map(|component| {
            let learning = self.learning[component.index()].as_ref()?;
            let path = self.paths.selected(*component)?;
            let found = learning.is_settled() && !learning.rules().asymmetric;
            found.then_some(Endpoint {
                local: path.tuple.local,
                remote: path.tuple.remote,
            })
        })
    }

    /// Takes up what cannot be known from commands: the associations that went with the earlier relay.
    pub(crate) fn rebuild(&mut self, now: Instant, core: &mut Core) {
        if let Some(dtls) = &mut self.dtls {
            dtls.begin_anew(secrets::tls_id(&mut core.rng));
        }
        self.rebuild_ice(now, core);
        self.events.clear();
    }

    /// The earlier relay has found the peer here.
    pub(crate) fn find_endpoint(&mut self, now: Instant, core: &mut Core, at: Endpoint) {
        let Some(component) = self.component_of(at.local) else {
            return;
        };
        let Some(learning) = &mut self.learning[component.index()] else {
            return;
        };
        let origin = origin(learning.expected(), at.remote);
        learning.settle();
        let Some(path) = self.enter_path(now, core, component, tuple(at.local, at.remote), origin) else {
            return;
        };
        let flow = path.flow;
        self.paths.select(component, flow);
        self.drop_others(now, component);
    }
}

fn origin(expected: Option<SocketAddr>, found: SocketAddr) -> Origin {
    if expected == Some(found) {
        Origin::Sdp
    } else {
        Origin::Learnt
    }
}
