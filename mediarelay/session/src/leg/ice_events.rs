//! ICE on a leg: what workers report, what the full agent says, and which path is used.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use viaduct_forward::{FlowKey, LocalAddr, Tick};

use super::{Component, Leg, LegEvent, Origin, Path, tuple};
use crate::core::Core;
use crate::event::IceFailure;
use crate::ice::{Agent, FullAgent, FullEvent, Ice, RemoteCandidate, RemoteIce, State, priority};
use crate::secrets;

/// How often a lite peer's checks are looked at. Browsers check every 2.5 s, and every 5 s at the least (RFC 7675).
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A nominated path without any sign of life for this long may be left for one of lower priority.
const STALE: Duration = Duration::from_secs(3);

/// How long media is still taken by paths of an earlier ICE session once the new one has a path.
const LINGER: Duration = Duration::from_secs(2);

/// A handshake that was begun longer ago, with a peer that says nothing, is repeated too seldom by then.
const FRESH: Duration = Duration::from_secs(2);

/// Who answers checks on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IceRole {
    Lite,
    Full { controlling: bool },
}

impl IceRole {
    /// Ours toward whoever has offered: it controls, unless it is lite (RFC 8445 section 6.1.1).
    pub(crate) fn toward_offerer(lite: bool, offerer_is_lite: bool) -> Self {
        match lite {
            true => Self::Lite,
            false => Self::Full {
                controlling: offerer_is_lite,
            },
        }
    }
}

impl Leg {
    /// ICE of the leg, made with new credentials if there is none.
    pub(crate) fn ensure_ice(&mut self, core: &mut Core, role: IceRole) -> &mut Ice {
        if self.ice.is_none() {
            self.stop_learning();
            self.restart_ice(core, role);
        }
        #[expect(clippy::expect_used, reason = "made above where it was missing")]
        self.ice.as_mut().expect("the leg has ICE")
    }

    /// New credentials on the same ports. Paths stay until the new session has one.
    pub(crate) fn restart_ice(&mut self, core: &mut Core, role: IceRole) {
        let local = secrets::ice_credentials(&mut core.rng);
        let agent = match role {
            IceRole::Lite => Agent::Lite,
            IceRole::Full { controlling } => {
                let locals = self.local_candidates();
                Agent::Full(Box::new(
                    FullAgent::new(&local, controlling, core.rng.random(), &locals)
                        .like_rtpengine(core.config.rtpengine_checks),
                ))
            }
        };
        self.ice = Some(Box::new(Ice::new(local, agent)));
    }

    /// ICE is over: the peer does not do it.
    pub(crate) fn end_ice(&mut self, now: Instant, core: &mut Core) {
        if self.ice.take().is_some() {
            let gone = self.paths.take(|path| path.origin == Origin::Ice);
            self.retire(now, core, gone);
        }
    }

    /// What the peer's SDP says of ICE. To be called with ICE in place.
    pub(crate) fn set_remote_ice(&mut self, now: Instant, core: &mut Core, remote: RemoteIce) {
        let give_up = now + core.config.ice_timeout;
        if remote.lite {
            self.control_ice(core);
        }
        let Some(ice) = &mut self.ice else { return };
        if ice
            .remote
            .as_ref()
            .is_none_or(|known| known.credentials != remote.credentials)
        {
            ice.checking_since = Some(now);
            ice.next_look = Some(give_up);
            ice.state = State::Checking;
        }
        let local = ice.local.clone();
        if let Some(agent) = ice.full_mut() {
            agent.set_remote(now, &local, &remote);
        }
        ice.remote = Some(remote);
    }

    /// An earlier relay had this ICE session. Checks begin anew, with the same credentials.
    pub(super) fn rebuild_ice(&mut self, now: Instant, core: &mut Core) {
        let locals = self.local_candidates();
        let Some(ice) = &mut self.ice else { return };
        if let Some(agent) = ice.full() {
            let controlling = agent.is_controlling();
            let mut agent = FullAgent::new(&ice.local, controlling, core.rng.random(), &locals)
                .like_rtpengine(core.config.rtpengine_checks);
            if let Some(remote) = &ice.remote {
                agent.set_remote(now, &ice.local, remote);
            }
            ice.agent = Agent::Full(Box::new(agent));
        }
        if ice.remote.is_some() {
            ice.checking_since = Some(now);
            ice.next_look = Some(now + core.config.ice_timeout);
        }
    }

    /// The offer that checks and handshakes have begun with is answered. A peer that has not understood them until then, for
    /// it had no SDP of ours, may have been given up: it is tried anew.
    pub(crate) fn begin_again(&mut self, now: Instant, core: &mut Core) {
        let Some(began) = self.begun_early.take() else {
            return;
        };
        if self.ice.is_some() && !self.is_connected() {
            self.rebuild_ice(now, core);
            if let Some(ice) = &mut self.ice {
                ice.state = State::Checking;
            }
        }
        let late = now.saturating_duration_since(began) > FRESH;
        for component in Component::BOTH {
            let is_silent = self.last_dtls_from(component).is_none();
            if let Some(dtls) = self.dtls.as_mut().filter(|_| late && is_silent) {
                core.dtls_live -= usize::from(dtls.forget(component));
            }
        }
    }

    /// Takes further candidates of the peer.
    pub(crate) fn add_candidates(&mut self, now: Instant, candidates: &[RemoteCandidate]) {
        let Some(ice) = self.ice.as_mut().filter(|ice| ice.remote.is_some()) else {
            // What comes before both sides have spoken is taken with the SDP that it belongs to.
            return;
        };
        if let Some(agent) = ice.full_mut() {
            candidates
                .iter()
                .for_each(|candidate| agent.add_candidate(candidate));
            agent.handle_timeout(now);
        }
    }

    /// The peer is lite: checks and choice are ours (RFC 8445 section 6.1.1), under the credentials that were told.
    fn control_ice(&mut self, core: &mut Core) {
        let locals = self.local_candidates();
        let Some(ice) = self
            .ice
            .as_mut()
            .filter(|ice| !ice.full().is_some_and(FullAgent::is_controlling))
        else {
            return;
        };
        ice.agent = Agent::Full(Box::new(
            FullAgent::new(&ice.local, true, core.rng.random(), &locals)
                .like_rtpengine(core.config.rtpengine_checks),
        ));
    }

    /// A worker has answered a good check.
    pub(crate) fn on_validated(&mut self, now: Instant, core: &mut Core, at: FlowKey, priority: Option<u32>) {
        let (Some(component), Some(ice)) = (self.component_of(at.local), &self.ice) else {
            core.counters.stale += 1;
            return;
        };
        if !ice.is_lite() {
            return;
        }
        let Some(path) = self.enter_path(now, core, component, at, Origin::Ice) else {
            return;
        };
        path.origin = Origin::Ice;
        path.priority = priority.unwrap_or(path.priority);
        path.seen = now;
        let flow = path.flow;
        // Until the peer has chosen, any path that works may be used (RFC 8445 section 12.1.1).
        let in_use = self
            .paths
            .selected(component)
            .is_some_and(|path| path.origin == Origin::Ice);
        let failed = self.ice.as_ref().is_some_and(|ice| ice.state != State::Connected);
        if !in_use || failed && component == Component::Rtp {
            self.move_to(now, core, component, flow);
        }
    }

    /// The peer of a lite agent has chosen a path.
    pub(crate) fn on_nominated(&mut self, now: Instant, core: &mut Core, at: FlowKey) {
        self.on_validated(now, core, at, None);
        let Some(component) = self.component_of(at.local) else {
            return;
        };
        let Some(new) = self.paths.by_tuple(at) else {
            return;
        };
        let (flow, priority) = (new.flow, new.priority);
        let stays = self.paths.selected(component).is_some_and(|old| {
            let better = old.flow == flow || old.nominated && old.priority > priority;
            better && old.leaves.is_none() && now.saturating_duration_since(last_sign(old, core)) < STALE
        });
        if let Some(path) = self.paths.by_flow_mut(flow) {
            path.nominated = true;
        }
        if !stays {
            self.move_to(now, core, component, flow);
        }
    }

    /// STUN for the full agent.
    pub(crate) fn on_stun(
        &mut self,
        now: Instant,
        core: &mut Core,
        local: LocalAddr,
        from: SocketAddr,
        data: &[u8],
    ) {
        let component = self.component_of(local);
        let waits = self.ice.as_ref().is_some_and(|ice| ice.remote.is_none());
        let agent = self.ice.as_deref_mut().and_then(Ice::full_mut);
        let (Some(component), Some(agent)) = (component, agent) else {
            core.counters.stale += 1;
            return;
        };
        let good = agent.handle_datagram(now, component, local, from, data);
        // The agent answers when it knows the peer's credentials; the peer need not wait (RFC 8445 section 7.3).
        if good
            && waits
            && let Some(answer) = self.ice.as_ref().and_then(|ice| ice.early_answer(from, data))
        {
            core.send(local, from, answer);
        }
        if good && let Some(path) = self.enter_path(now, core, component, tuple(local, from), Origin::Ice) {
            path.origin = Origin::Ice;
            path.seen = now;
        }
    }

    pub(super) fn drive_ice(&mut self, now: Instant, core: &mut Core) {
        let Some(ice) = &mut self.ice else { return };
        let look = ice.next_look.is_some_and(|at| at <= now);
        if let Some(agent) = ice.full_mut() {
            if agent.poll_timeout().is_some_and(|at| at <= now) {
                agent.handle_timeout(now);
            }
            self.drain_agent(now, core);
        }
        if look {
            self.look_at_ice(now, core);
        }
    }

    fn drain_agent(&mut self, now: Instant, core: &mut Core) {
        for component in Component::BOTH {
            while let Some(event) = self
                .ice
                .as_deref_mut()
                .and_then(Ice::full_mut)
                .and_then(|agent| agent.poll(component))
            {
                match event {
                    FullEvent::Send {
                        from,
                        to,
                        data,
                        is_request,
                    } => {
                        if is_request && self.is_shared() {
                            core.expect_answer(now, from, self.id, &data);
                        }
                        core.send(from, to, data);
                    }
                    FullEvent::Nominated { local, remote } => {
                        let Some(path) =
                            self.enter_path(now, core, component, tuple(local, remote), Origin::Ice)
                        else {
                            continue;
                        };
                        (path.origin, path.nominated, path.seen) = (Origin::Ice, true, now);
                        let flow = path.flow;
                        self.move_to(now, core, component, flow);
                    }
                    // Before there was a path, candidates and checks of the peer may still come.
                    FullEvent::Disconnected if component == Component::Rtp && self.is_connected() => {
                        self.fail_ice(core, IceFailure::ConsentLost);
                    }
                    FullEvent::Disconnected => {}
                }
            }
        }
    }

    /// Sends by a path from here on. Media still comes by the others.
    fn move_to(
        &mut self,
        now: Instant,
        core: &mut Core,
        component: Component,
        flow: viaduct_forward::FlowId,
    ) {
        let Some(remote) = self.paths.by_flow_mut(flow).map(|path| path.tuple.remote) else {
            return;
        };
        let before = self.paths.selected(component).map(|path| path.flow);
        self.paths.select(component, flow);
        // What ICE has not validated is left, once it has a path.
        for path in self
            .paths
            .iter_mut()
            .filter(|path| path.component == component && path.origin != Origin::Ice)
        {
            path.leaves.get_or_insert(now + LINGER);
        }
        let Some(ice) = &mut self.ice else { return };
        if component == Component::Rtcp {
            return;
        }
        let connects = std::mem::replace(&mut ice.state, State::Connected) != State::Connected;
        ice.next_look = Some(now + LOOK_EVERY).filter(|_| ice.is_lite());
        if connects {
            core.counters.ice_connected += 1;
            self.events.push_back(LegEvent::IceConnected(remote));
        } else if before != Some(flow) {
            self.events.push_back(LegEvent::IceMoved(remote));
        }
    }

    /// Looks whether a path was found in time, and whether a lite peer still checks the one in use.
    fn look_at_ice(&mut self, now: Instant, core: &mut Core) {
        let Some(ice) = &mut self.ice else { return };
        match ice.state {
            State::Checking => {
                ice.next_look = None;
                self.fail_ice(core, IceFailure::NoPath);
            }
            State::Connected | State::Failed => {
                ice.next_look = Some(now + LOOK_EVERY).filter(|_| ice.is_lite());
                if ice.is_lite() {
                    self.look_at_consent(now, core);
                }
            }
        }
    }

    fn look_at_consent(&mut self, now: Instant, core: &mut Core) {
        for consent in core.stats.consents(self.id) {
            let at = core.epoch.instant(consent.last_check);
            if let Some(path) = self.paths.by_tuple_mut(consent.tuple) {
                path.seen = path.seen.max(at);
            }
        }
        let timeout = core.config.consent_timeout;
        let fresh = |path: &&Path| now.saturating_duration_since(path.seen) < timeout;
        let failed = self.ice.as_ref().is_some_and(|ice| ice.state == State::Failed);
        let selected = self
            .paths
            .selected(Component::Rtp)
            .filter(fresh)
            .map(|path| path.flow);
        let of_ice = self
            .paths
            .iter()
            .filter(|path| path.component == Component::Rtp && path.origin == Origin::Ice);
        let best = of_ice
            .filter(fresh)
            .max_by_key(|path| path.seen)
            .map(|path| path.flow);
        match (selected, best) {
            (Some(flow), _) if failed => self.move_to(now, core, Component::Rtp, flow),
            (Some(_), _) => {}
            (None, Some(flow)) => self.move_to(now, core, Component::Rtp, flow),
            (None, None) => self.fail_ice(core, IceFailure::ConsentLost),
        }
    }

    fn fail_ice(&mut self, core: &mut Core, reason: IceFailure) {
        if let Some(ice) = self.ice.as_mut().filter(|ice| ice.state != State::Failed) {
            ice.state = State::Failed;
            core.counters.ice_failed += 1;
            self.events.push_back(LegEvent::IceFailed(reason));
        }
    }

    fn is_connected(&self) -> bool {
        self.ice.as_ref().is_some_and(|ice| ice.state == State::Connected)
    }

    /// Our candidates as a full agent needs them.
    fn local_candidates(&self) -> Vec<(Component, LocalAddr, u32)> {
        let of = |component: Component| {
            let locals = self.sockets.iter().enumerate();
            locals.filter_map(move |(at, socket)| {
                Some((component, socket.local(component)?, priority(at, component)))
            })
        };
        self.components()
            .iter()
            .flat_map(|component| of(*component))
            .collect()
    }
}

/// When a path was last known to be good: a check, or a packet that the workers have counted.
fn last_sign(path: &Path, core: &Core) -> Instant {
    let instant = |tick: Option<Tick>| tick.map(|tick| core.epoch.instant(tick));
    let counted = path
        .stats
        .as_ref()
        .and_then(|stats| instant(stats.last_packet().max(stats.last_consent())));
    counted.map_or(path.seen, |counted| counted.max(path.seen))
}
