//! Legs without ICE: the endpoint from the SDP, and the one that is found.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use viaduct_fax::udptl;
use viaduct_forward::{FlowId, LocalAddr, PortMode};

use super::piercing::Piercing;
use super::{Component, Learning, LearningRules, Leg, LegEvent, MediaHost, Origin, Source, Wire, tuple};
use crate::core::Core;

/// How long media is still taken from where a peer was before its SDP named another address: it moves when it has our
/// answer.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// What an SDP says of a peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) rtp: Option<SocketAddr>,
    pub(crate) rtcp: Option<SocketAddr>,
}

impl Leg {
    /// Waits for a peer whose SDP is still on its way: its media may come first.
    pub(crate) fn await_endpoint(&mut self, now: Instant, rules: LearningRules) {
        for component in self.components() {
            self.learning[component.index()].get_or_insert_with(|| Learning::new(rules, now, None));
        }
    }

    /// Takes the addresses of a peer without ICE. An address that is not given, as with hold, leaves things as they are.
    pub(crate) fn set_endpoints(
        &mut self,
        now: Instant,
        core: &mut Core,
        rules: LearningRules,
        to: Endpoints,
    ) {
        self.may_loop = to.rtp.is_some_and(|rtp| core.config.is_ours(rtp));
        for component in self.components() {
            let expected = match component {
                Component::Rtp => to.rtp,
                Component::Rtcp => to.rtcp,
            };
            let Some(expected) = expected else { continue };
            self.set_endpoint(now, core, rules, *component, expected);
            if rules.pierce {
                self.piercing.get_or_insert_with(|| Piercing::new(now));
            }
        }
    }

    fn set_endpoint(
        &mut self,
        now: Instant,
        core: &mut Core,
        rules: LearningRules,
        component: Component,
        expected: SocketAddr,
    ) {
        self.advertised[component.index()] = Some(expected);
        let learning =
            self.learning[component.index()].get_or_insert_with(|| Learning::new(rules, now, None));
        let moved = learning.expected() != Some(expected);
        learning.on_signalling(rules, now, Some(expected));
        if !moved && self.paths.selected(component).is_some() {
            return;
        }
        // What was learnt before is learnt again, measured against the address that is known by now.
        let gone = self
            .paths
            .take(|path| path.component == component && path.origin != Origin::Sdp);
        self.retire(now, core, gone);
        for path in self.paths.iter_mut().filter(|path| path.component == component) {
            path.leaves.get_or_insert(now + LINGER);
        }
        let Some(local) = self.local_for(component, expected) else {
            return;
        };
        if let Some(path) = self.enter_path(now, core, component, tuple(local, expected), Origin::Sdp) {
            path.origin = Origin::Sdp;
            let flow = path.flow;
            self.paths.select(component, flow);
        }
        self.hear_at_other_ports(now, core, component, expected);
    }

    /// Media is taken from addresses of the peer's other m-lines as well.
    pub(crate) fn hear_others(&mut self, now: Instant, core: &mut Core, others: &[SocketAddr]) {
        for remote in others {
            let known = self.paths.iter().any(|path| path.tuple.remote == *remote);
            let Some(local) = self.local_for(Component::Rtp, *remote).filter(|_| !known) else {
                continue;
            };
            if let Some(path) = self.enter_path(now, core, Component::Rtp, tuple(local, *remote), Origin::Sdp)
            {
                path.of_another = true;
            }
        }
    }

    /// A peer is heard at all ports that it was told.
    fn hear_at_other_ports(
        &mut self,
        now: Instant,
        core: &mut Core,
        component: Component,
        remote: SocketAddr,
    ) {
        if self.sockets.len() < 2 || self.ice.is_some() {
            return;
        }
        let locals: Vec<LocalAddr> = self.sockets[1..]
            .iter()
            .filter_map(|socket| socket.local(component))
            .filter(|local| local.is_ipv4() == remote.is_ipv4())
            .collect();
        for local in locals {
            self.enter_path(now, core, component, tuple(local, remote), Origin::Sdp);
        }
    }

    /// Forgets how the endpoint was found: ICE does it from here on.
    pub(crate) fn stop_learning(&mut self) {
        self.learning = [None, None];
    }

    /// The first good packet of a path came.
    pub(crate) fn on_confirmed(&mut self, now: Instant, core: &mut Core, flow: FlowId) {
        let Some(path) = self.paths.by_flow_mut(flow) else {
            return;
        };
        path.confirmed = true;
        path.seen = now;
        let (component, remote) = (path.component, path.tuple.remote);
        let is_learnt = path.origin == Origin::Learnt;
        let Some(learning) = &mut self.learning[component.index()] else {
            return;
        };
        let is_expected = learning.expected() == Some(remote);
        if is_expected && learning.on_expected(now) {
            self.paths.select(component, flow);
            self.drop_others(now, component);
        } else if is_learnt && !is_expected && learning.on_heard(now, remote) {
            self.follow(core, component, flow, remote);
            self.drop_others(now, component);
        }
    }

    /// Sends to a source from here on.
    fn follow(&mut self, core: &mut Core, component: Component, flow: FlowId, from: SocketAddr) {
        self.paths.select(component, flow);
        core.counters.endpoints_learnt += 1;
        if component == Component::Rtp {
            self.events.push_back(LegEvent::Learnt(from));
        }
    }

    /// A packet of an unknown source came. It is in the clear where there is a key, and has used up its index there, so
    /// it cannot be judged again.
    pub(crate) fn on_unknown_source(
        &mut self,
        now: Instant,
        core: &mut Core,
        local: LocalAddr,
        from: SocketAddr,
        data: &[u8],
    ) {
        if self.wire == Wire::Udptl && !udptl::is_packet(data) {
            core.counters.strangers += 1;
            return;
        }
        if self.take_source(now, core, local, from) && !self.secure {
            core.inject(local, from, data);
        }
    }

    /// Something came from an unknown source. True if it is heard from here on.
    pub(super) fn take_source(
        &mut self,
        now: Instant,
        core: &mut Core,
        local: LocalAddr,
        from: SocketAddr,
    ) -> bool {
        let component = self.component_of(local);
        let media = self.paths.selected(Component::Rtp).map(|path| MediaHost {
            address: path.tuple.remote.ip(),
            found: self.is_settled(Component::Rtp),
        });
        let media = media.filter(|_| component == Some(Component::Rtcp));
        let learning = component.and_then(|component| self.learning[component.index()].as_mut());
        let (Some(component), Some(learning)) = (component, learning) else {
            core.counters.strangers += 1;
            return false;
        };
        let source = learning.on_unknown(now, from, media);
        if source == Source::Stranger {
            core.counters.strangers += 1;
            return false;
        }
        let Some(path) = self.enter_path(now, core, component, tuple(local, from), Origin::Learnt) else {
            return false;
        };
        let flow = path.flow;
        if source == Source::Followed {
            self.follow(core, component, flow, from);
            if self.is_settled(component) {
                self.drop_others(now, component);
            }
        }
        true
    }

    pub(super) fn drive_learning(&mut self, now: Instant) {
        for component in Component::BOTH {
            let Some(learning) = &mut self.learning[component.index()] else {
                continue;
            };
            let was_settled = learning.is_settled();
            let next_counts = learning.handle_timeout(now);
            if learning.is_settled() && !was_settled {
                self.drop_others(now, component);
            }
            if next_counts {
                // Another confirmation is wanted, should the SDP's address be the right one.
                self.paths
                    .iter_mut()
                    .filter(|path| path.component == component)
                    .for_each(|path| path.confirmed = false);
            }
        }
    }

    /// What the workers shall do with unknown sources at a socket.
    pub(crate) fn port_mode(&self, now: Instant, component: Component) -> PortMode {
        match &self.learning[component.index()] {
            Some(learning) if self.transparent || self.wire == Wire::Udptl => match learning.port_mode(now) {
                PortMode::Settled => PortMode::Settled,
                PortMode::Learning | PortMode::LearningAny => PortMode::LearningAny,
            },
            Some(learning) if !self.wire.is_raw() && self.ice.is_none() => learning.port_mode(now),
            Some(_) | None => PortMode::Settled,
        }
    }

    /// The endpoint is found: other sources are heard no more, unless the rules let them.
    pub(super) fn drop_others(&mut self, now: Instant, component: Component) {
        let rules = self.learning[component.index()].as_ref().map(Learning::rules);
        if rules.is_some_and(|rules| !rules.strict || rules.asymmetric) {
            return;
        }
        let selected = self.paths.selected(component).map(|path| path.tuple.remote);
        let others = self.paths.iter_mut().filter(|path| {
            path.component == component && Some(path.tuple.remote) != selected && !path.of_another
        });
        others.for_each(|path| path.leaves = Some(now));
    }

    /// The socket that reaches an address: one of its family.
    fn local_for(&self, component: Component, remote: SocketAddr) -> Option<LocalAddr> {
        let mut locals = self.sockets.iter().filter_map(|socket| socket.local(component));
        locals.find(|local| local.is_ipv4() == remote.is_ipv4())
    }
}
