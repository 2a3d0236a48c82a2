//! A leg: one transport between the relay and one party. Ports, network paths, ICE, keys, and how the endpoint is found.
//!
//! Every m-line of a party has a leg of its own, or shares one with those it is bundled with.

mod ice_events;
mod keys;
mod latching;
mod learning;
mod path;
mod piercing;
mod plain;
mod rebuild;
mod sockets;
mod srtp;
mod totals;

pub(crate) use ice_events::IceRole;
pub(crate) use keys::Keys;
pub(crate) use learning::{Learning, LearningRules, MediaHost, Source};
pub(crate) use path::{Component, Origin, Path, Paths, tuple};
pub(crate) use plain::Endpoints;
pub(crate) use sockets::LocalSocket;
pub(crate) use totals::{Forwarded, LegTotals};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use viaduct_forward::{
    CryptoDirection, CryptoId, FlowKey, LegId, Listener, LocalAddr, Out, Shift, SrtpKeyMaterial, SsrcSnapshot,
};
use viaduct_rtp::srtp::SrtpProfile;

use self::piercing::Piercing;
use crate::core::{CallKey, Core};
use crate::dtls::Dtls;
use crate::event::{DtlsFailure, IceFailure};
use crate::ice::Ice;
use crate::party::PartyId;
use crate::sdes::Sdes;

/// What happened on a leg; the call puts names to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LegEvent {
    Learnt(SocketAddr),
    IceConnected(SocketAddr),
    IceMoved(SocketAddr),
    IceFailed(IceFailure),
    DtlsConnected(SrtpProfile),
    DtlsFailed(DtlsFailure),
    DtlsClosed,
    NoKeys,
}

/// What is spoken on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Rtp,
    /// T.38: whatever comes is passed on as it is, or a fax gateway reads it.
    Udptl,
    /// Whatever comes is passed on as it is.
    Other,
}

impl Wire {
    /// Whether the workers look into nothing.
    pub(crate) fn is_raw(self) -> bool {
        self != Self::Rtp
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) party: PartyId,
    /// The first is the one of `c=`. Never empty.
    pub(crate) sockets: Vec<LocalSocket>,
    /// The command that is carried out has put other ports before those that it had.
    ports_changed: bool,
    /// What is spoken on it.
    pub(crate) wire: Wire,
    /// Whatever comes on either port is passed on as it is: the peers check, encrypt and report by themselves.
    pub(crate) transparent: bool,
    /// The peer's profile is none that browsers have.
    pub(crate) is_no_browser: bool,
    /// The peer's SDP names an address of ours.
    pub(crate) may_loop: bool,
    /// When checks and handshakes have begun with an offer that is not answered yet.
    pub(crate) begun_early: Option<Instant>,
    /// RTCP comes and goes on the port of RTP.
    pub(crate) mux: bool,
    /// Media is SRTP: nothing passes without keys.
    pub(crate) secure: bool,
    /// In boxes, as keys are, since most legs of phones have none.
    pub(crate) ice: Option<Box<Ice>>,
    pub(crate) dtls: Option<Box<Dtls>>,
    /// Where the last DTLS datagram came from, per component: answers go back there.
    dtls_from: Option<Box<[Option<FlowKey>; 2]>>,
    pub(crate) sdes: Sdes,
    keys: [Option<Box<Keys>>; 2],
    pub(crate) paths: Paths,
    learning: [Option<Learning>; 2],
    /// What the peer's SDP says.
    advertised: [Option<SocketAddr>; 2],
    piercing: Option<Piercing>,
    /// Media came and went on to somebody.
    pub(crate) heard: bool,
    /// What came in by paths that are gone.
    pub(crate) past: LegTotals,
    /// Sources of flows that are over, which the call has not heard of.
    pub(crate) ended: Vec<SsrcSnapshot>,
    pub(crate) events: VecDeque<LegEvent>,
}

impl Leg {
    pub(crate) fn new(core: &mut Core, call: CallKey, party: PartyId, sockets: Vec<LocalSocket>) -> Self {
        debug_assert!(!sockets.is_empty());
        Self {
            id: core.new_leg(call),
            party,
            sockets,
            ports_changed: false,
            wire: Wire::Rtp,
            transparent: false,
            is_no_browser: false,
            may_loop: false,
            begun_early: None,
            mux: false,
            secure: false,
            ice: None,
            dtls: None,
            dtls_from: None,
            sdes: Sdes::default(),
            keys: [None, None],
            paths: Paths::default(),
            learning: [None, None],
            advertised: [None; 2],
            piercing: None,
            heard: false,
            past: LegTotals::default(),
            ended: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// The socket of `c=` and of the `m=` line.
    pub(crate) fn primary(&self) -> &LocalSocket {
        // Never empty.
        &self.sockets[0]
    }

    /// Whether it is on a port that it shares with others.
    pub(crate) fn is_shared(&self) -> bool {
        self.primary().pair.is_none()
    }

    /// The components that datagrams of this leg come on.
    pub(crate) fn components(&self) -> &'static [Component] {
        if self.mux || self.wire.is_raw() || self.is_shared() {
            &Component::BOTH[..1]
        } else {
            &Component::BOTH
        }
    }

    /// Which component a socket of ours is for.
    pub(crate) fn component_of(&self, local: LocalAddr) -> Option<Component> {
        self.sockets.iter().find_map(|socket| socket.component_of(local))
    }

    /// What the peer's SDP says of a component's address.
    pub(crate) fn advertised(&self, component: Component) -> Option<SocketAddr> {
        self.advertised[component.index()]
    }

    /// The component that carries a component's packets: RTP's for both, where they share a port.
    fn carrier(&self, component: Component) -> Component {
        if self.components().contains(&component) {
            component
        } else {
            Component::Rtp
        }
    }

    /// The keys of a component, where there are any.
    pub(crate) fn keys(&self, component: Component) -> Option<&Keys> {
        self.keys[self.carrier(component).index()].as_deref()
    }

    /// The SRTP contexts of the leg, each once.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = (CryptoId, CryptoDirection, &SrtpKeyMaterial)> {
        let [rtp, rtcp] = &self.keys;
        let rtcp = rtcp.as_ref().filter(|rtcp| Some(*rtcp) != rtp.as_ref());
        let keys = rtp.iter().chain(rtcp).filter(|_| self.secure);
        keys.flat_map(|keys| {
            [
                (keys.send.0, CryptoDirection::Send, &keys.send.1),
                (keys.receive.0, CryptoDirection::Receive, &keys.receive.1),
            ]
        })
    }

    /// Whether media of a component can be understood and made.
    pub(crate) fn is_ready(&self, component: Component) -> bool {
        !self.secure || self.keys(component).is_some()
    }

    /// Where packets of a component are sent; `None` while the peer's address or keys are missing.
    pub(crate) fn egress(&self, component: Component) -> Option<Out> {
        let carrier = self.carrier(component);
        self.paths.out(carrier).filter(|_| self.is_ready(carrier))
    }

    /// Where packets go that came in on a component of another leg, and what protects them.
    pub(crate) fn reached_from(&self, component: Component) -> Listener {
        let context = |of| self.keys(of).filter(|_| self.secure).map(|keys| keys.send.0);
        let protect = context(component);
        // There is one context for both. Where RTCP comes on the port of RTP, and this leg has another DTLS association
        // for it, there is none that would fit.
        let fits = component == Component::Rtcp || context(Component::Rtcp) == protect;
        // What is not looked into goes on by its own component.
        let carrier = if self.transparent {
            component
        } else {
            Component::Rtp
        };
        Listener {
            rtp_out: self.egress(carrier),
            rtcp_out: self.egress(Component::Rtcp).filter(|_| fits),
            protect,
            mid: None,
        }
    }

    /// The source that was heard last, of those that count, and how it is numbered for who hears it.
    pub(crate) fn last_source(&self, counts: impl Fn(u32) -> bool) -> Option<(SsrcSnapshot, Shift)> {
        let paths = self.paths.iter().filter(|path| path.component == Component::Rtp);
        let heard = paths.filter_map(|path| {
            let flow = path.stats.as_ref()?.snapshot();
            let sources = flow.ssrcs.into_iter().filter(|source| counts(source.ssrc));
            let source = sources.max_by_key(|source| source.last_packet)?;
            let shifts = flow.routes.into_iter().filter_map(|route| route.shift);
            let shift = shifts.into_iter().find(|shift| shift.ssrc == source.ssrc);
            Some((source, shift.unwrap_or_default()))
        });
        heard.max_by_key(|(source, _)| source.last_packet)
    }

    /// Whether the peer of another leg has the key that this one's peer sends under.
    pub(crate) fn shares_its_key_with(&self, other: &Self, component: Component) -> bool {
        let both = self.keys(component).zip(other.keys(component));
        let same = both.is_some_and(|(own, theirs)| own.receive.1.is_same_key(&theirs.send.1));
        same && self.secure && other.secure
    }

    /// How the endpoint of a component is found; `None` with ICE.
    pub(crate) fn rules(&self, component: Component) -> Option<LearningRules> {
        self.learning[component.index()].as_ref().map(Learning::rules)
    }

    /// Whether the endpoint of a component is settled.
    pub(crate) fn is_settled(&self, component: Component) -> bool {
        match &self.learning[component.index()] {
            Some(learning) => learning.is_settled(),
            None => self.paths.selected(component).is_some_and(|path| path.nominated),
        }
    }

    /// Time has passed, or a datagram came: moves everything on that can be.
    pub(crate) fn drive(&mut self, now: Instant, core: &mut Core) {
        self.drive_ice(now, core);
        self.drive_dtls(now, core);
        self.drive_learning(now);
        self.pierce(now, core);
        let gone = self.paths.take(|path| path.leaves.is_some_and(|at| at <= now));
        self.retire(now, core, gone);
    }

    /// When to call [`drive`](Self::drive) at the latest.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let learning = self
            .learning
            .iter()
            .flatten()
            .filter_map(|learning| learning.poll_timeout(now))
            .min();
        let ice = self.ice.as_deref_mut().and_then(Ice::poll_timeout);
        let dtls = self.dtls.as_deref().and_then(Dtls::poll_timeout);
        let departure = self.paths.next_departure();
        let piercing = self.piercing.as_ref().map(Piercing::next);
        [learning, ice, dtls, departure, piercing]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gives everything back. Returns what came in, and the sources that the call has not heard of.
    pub(crate) fn close(mut self, now: Instant, core: &mut Core) -> (LegTotals, Vec<SsrcSnapshot>) {
        let paths = self.paths.take(|_| true);
        self.retire(now, core, paths);
        self.end_dtls(core);
        for pair in self.sockets.iter().filter_map(|socket| socket.pair) {
            core.release_pair(pair);
        }
        core.end_leg(now, self.id);
        (self.past, self.ended)
    }

    /// Gives up everything but its ports, which it returns as well.
    pub(crate) fn give_up(
        mut self,
        now: Instant,
        core: &mut Core,
    ) -> (LegTotals, Vec<SsrcSnapshot>, Vec<LocalSocket>) {
        let sockets = std::mem::take(&mut self.sockets);
        let (totals, ended) = self.close(now, core);
        (totals, ended, sockets)
    }

    /// What came in by all paths of the leg, live and gone.
    pub(crate) fn received(&self) -> LegTotals {
        let mut totals = self.past;
        for stats in self.paths.iter().filter_map(|path| path.stats.as_ref()) {
            totals.add(&LegTotals::received(&stats.snapshot()));
        }
        totals
    }

    /// Enters a path, or finds it. Of too many, the one that was good longest ago and is not selected makes room. `None`
    /// if the addresses are another leg's.
    pub(crate) fn enter_path(
        &mut self,
        now: Instant,
        core: &mut Core,
        component: Component,
        at: FlowKey,
        origin: Origin,
    ) -> Option<&mut Path> {
        if self.paths.by_tuple(at).is_none() {
            if !core.claim(at, self.id, origin) {
                return None;
            }
            if self.paths.len_of(component) >= core.config.limits.paths_per_leg {
                core.counters.limits.paths_per_leg += 1;
                let others = self.paths.iter().filter(|path| path.component == component);
                let oldest = others
                    .filter(|path| !self.paths.is_selected(path.flow))
                    .min_by_key(|path| path.seen);
                let oldest = oldest.map(|path| path.flow);
                let gone = self.paths.take(|path| Some(path.flow) == oldest);
                self.retire(now, core, gone);
            }
            let flow = core.new_flow();
            self.paths.push(Path {
                flow,
                component,
                tuple: at,
                origin,
                priority: 0,
                nominated: false,
                seen: now,
                of_another: false,
                confirmed: false,
                leaves: None,
                stats: None,
            });
        }
        let path = self.paths.by_tuple_mut(at)?;
        path.leaves = None;
        Some(path)
    }

    /// Another leg has the addresses of a path.
    pub(crate) fn evict(&mut self, now: Instant, core: &mut Core, at: FlowKey) {
        let gone = self.paths.take(|path| path.tuple == at);
        self.retire(now, core, gone);
    }

    fn retire(&mut self, now: Instant, core: &mut Core, gone: Vec<Path>) {
        for path in gone {
            if let Some(snapshot) = core.stats.flow_snapshot(path.flow) {
                self.past.add(&LegTotals::received(&snapshot));
                self.ended.extend(snapshot.ssrcs);
            }
            core.end_flow(now, path.flow, path.tuple, self.id);
        }
    }
}
