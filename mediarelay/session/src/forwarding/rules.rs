//! From the state of a call to the rules of the workers.

use std::collections::BTreeSet;
use std::time::Instant;

use viaduct_forward::{
    Accept, BlockReason, CryptoDirection, Extensions, FlowId, FlowRule, IceAgent, IcePassword, IceRule,
    LegId, MidSelector, PortMode, PortRule, Route, Select,
};
use viaduct_rtp::ElementForms;
use viaduct_rtp::g711::Law;

use super::{Tables, Wanted, has_output};
use crate::call::Call;
use crate::config::{Config, UnnamedMedia};
use crate::core::Core;
use crate::ice::Agent;
use crate::leg::{Component, Leg, Path};
use crate::party::{Media, PartyId};

impl Call {
    /// Brings the workers up to date.
    pub(crate) fn sync(&mut self, now: Instant, core: &mut Core) {
        self.find_counters(core);
        let wanted = self.wanted(now, &core.config);
        self.installed.become_(wanted, core);
    }

    /// Keeps hold of the counters of flows, which the workers make when they are told of the flow.
    pub(crate) fn find_counters(&mut self, core: &Core) {
        let told = &self.installed.flows;
        let paths = self.legs.iter_mut().flat_map(|(_, leg)| leg.paths.iter_mut());
        for path in paths.filter(|path| path.stats.is_none() && told.contains_key(&path.flow)) {
            path.stats = core.stats.flow(path.flow);
        }
    }

    /// Flows that the kernel forwards.
    pub(crate) fn flows_beside(&self) -> usize {
        let paths = self.legs.values().flat_map(|leg| leg.paths.iter());
        let stats = paths.filter_map(|path| path.stats.as_ref()?.beside());
        stats.filter(|beside| beside.is_active).count()
    }

    fn wanted(&self, now: Instant, config: &Config) -> Wanted {
        let mut wanted = Wanted::default();
        for leg in self.legs.values() {
            self.add_leg(now, leg, &mut wanted.tables);
            for path in leg
                .paths
                .iter()
                .filter(|path| leg.components().contains(&path.component))
            {
                if let Some(mut rule) = self.flow(leg, path) {
                    rule.ambiguous_to_first = config.unnamed_media == UnnamedMedia::First;
                    rule.may_pass = config.srtp_pass_through && !self.recrypts;
                    wanted.add_flow(rule, &self.installed);
                }
            }
        }
        wanted
    }

    fn add_leg(&self, now: Instant, leg: &Leg, tables: &mut Tables) {
        let is_told = self.parties.get(&leg.party).is_none_or(|party| party.is_told());
        for component in Component::BOTH {
            let keys = leg.keys(component).filter(|_| leg.secure);
            if let Some(keys) = keys {
                let (send, receive) = (&keys.send, &keys.receive);
                tables
                    .crypto
                    .insert(send.0, (CryptoDirection::Send, send.1.clone()));
                tables
                    .crypto
                    .insert(receive.0, (CryptoDirection::Receive, receive.1.clone()));
            }
            for socket in leg.sockets.iter().filter(|socket| socket.pair.is_some()) {
                let Some(local) = socket.local(component) else {
                    continue;
                };
                let rule = PortRule {
                    local,
                    leg: leg.id,
                    // Who was told of no port of ours sends to none, wherever it may be.
                    mode: if is_told {
                        leg.port_mode(now, component)
                    } else {
                        PortMode::Settled
                    },
                    authenticate: keys.map(|keys| keys.receive.0),
                };
                tables.ports.insert(local, rule);
                if let Some(tos) = self.tos {
                    tables.marks.insert(local, tos);
                }
            }
        }
        if let Some(ice) = &leg.ice {
            let rule = IceRule {
                ufrag: ice.local.ufrag.clone(),
                leg: leg.id,
                remote_ufrag: ice.remote.as_ref().map(|remote| remote.credentials.ufrag.clone()),
                agent: match ice.agent {
                    Agent::Lite => IceAgent::Lite {
                        password: IcePassword(ice.local.pwd.clone()),
                    },
                    Agent::Full(_) => IceAgent::Full,
                },
            };
            tables.ice.insert(rule.ufrag.clone(), rule);
            if let Some(path) = leg.paths.selected(Component::Rtp).filter(|_| ice.is_lite()) {
                tables.selected.insert(leg.id, path.tuple);
            }
        }
        if let Some(dtls) = &leg.dtls {
            for path in leg.paths.iter() {
                let over = dtls
                    .association(path.component)
                    .is_some_and(|of| of.failure().is_some());
                if !over {
                    tables.dtls.insert(path.tuple, leg.id);
                }
            }
        }
    }

    /// The rule of a path; `None` while nothing from it can be understood.
    fn flow(&self, leg: &Leg, path: &Path) -> Option<FlowRule> {
        if !leg.is_ready(path.component) {
            return None;
        }
        let party = self.parties.get(&leg.party)?;
        let on_leg = |(at, media): (usize, &Media)| (media.leg == Some(leg.id)).then_some(at);
        let medias: Vec<usize> = party.medias.iter().enumerate().filter_map(on_leg).collect();
        let bundled = medias.len() > 1;
        let own = medias
            .iter()
            .map(|media| self.route(leg.party, *media, bundled, path.component));
        let routes = self
            .dtmf_route(leg.party, &medias)
            .into_iter()
            .chain(own)
            .collect();
        let mut rule = FlowRule::new(path.flow, path.tuple, leg.id, routes);
        rule.unprotect = leg
            .keys(path.component)
            .filter(|_| leg.secure)
            .map(|keys| keys.receive.0);
        rule.accept = match path.component {
            _ if leg.transparent => Accept::ANYTHING,
            _ if leg.wire.is_raw() => Accept::RAW,
            Component::Rtp => Accept::RTP_AND_RTCP,
            Component::Rtcp => Accept::RTCP,
        };
        rule.may_loop = leg.may_loop;
        if path.component == Component::Rtcp {
            rule.rtp_flow = leg.paths.selected(Component::Rtp).map(|rtp| rtp.flow);
        }
        rule.clock_rates = medias
            .iter()
            .filter_map(|media| party.medias[*media].remote.as_ref())
            .flat_map(|remote| remote.clock_rates.iter().copied())
            .take(CLOCKS_MAX)
            .collect();
        if (self.dtmf_log.is_some() || self.tells_digits) && rule.accept.rtp {
            rule.events = self.telephone_events(leg.party, &medias);
        }
        let waits = path.component == Component::Rtp && !leg.heard && has_output(&rule);
        rule.confirm = !path.confirmed || waits;
        Some(rule)
    }

    /// Where media of one m-line goes.
    fn route(&self, party: PartyId, media: usize, bundled: bool, component: Component) -> Route {
        let mut route = Route {
            select: if bundled {
                self.select(party, media)
            } else {
                Select::default()
            },
            listeners: self.listeners(party, media, component),
            ..Route::nowhere()
        };
        let Some((peer, opposite)) = self.target(party, media) else {
            return route;
        };
        if let Some(to) = self.leg_of(peer, opposite) {
            let way = to.reached_from(component);
            route.rtp_out = way.rtp_out;
            // Nobody learns anything from reports of its own.
            route.rtcp_out = way.rtcp_out.filter(|_| peer != party);
            route.protect = way.protect;
            let from = self.leg_of(party, media);
            route.same_key = from.is_some_and(|from| from.shares_its_key_with(to, component));
        }
        let is_faxed = self.is_faxed((party, media));
        if is_faxed || self.awaits_fax((party, media), (peer, opposite)) {
            (route.rtp_out, route.rtcp_out) = (None, None);
            route.to_control = is_faxed && component == Component::Rtp;
        }
        // Two packets of one index under one key must not differ.
        route.recode = self
            .recoded((party, media), (peer, opposite))
            .filter(|_| !route.same_key);
        if component == Component::Rtp {
            route.silence = self.silence(party, media).filter(|_| !route.same_key);
            route.key_press = self
                .key_press(party, media, (peer, opposite))
                .filter(|_| !route.same_key);
        }
        let hearer = self.parties.get(&peer).and_then(|peer| peer.medias.get(opposite));
        route.resume = hearer
            .and_then(|hearer| hearer.resume)
            .filter(|_| !route.same_key);
        route.extensions = self.extensions_to(party, media, peer, opposite);
        route.mid = self.named_to((party, media), (peer, opposite));
        route.feedback = self.takes_feedback((party, media), (peer, opposite));
        route.reports = !self.is_reported(party, media);
        // Checks pass whichever way media does.
        let passes = |block: &BlockReason| {
            *block == BlockReason::Direction && self.leg_of(party, media).is_some_and(|leg| leg.transparent)
        };
        route.block = self.block(party, media, peer, opposite);
        route.block = route.block.filter(|block| !passes(block));
        if route.same_key && self.silence(party, media).is_some() {
            // Nothing can be said in its place.
            route.block = route.block.or(Some(BlockReason::Media));
        }
        route
    }

    /// The m-line that media of another one is for: that of the peer, or with NG `media-echo` its own.
    fn target(&self, party: PartyId, media: usize) -> Option<(PartyId, usize)> {
        match self.parties.get(&party)?.echo {
            Some(true) => {
                // Under another's key of GCM only that other's packets may go out.
                let leg = self.leg_of(party, media)?;
                (!leg.sdes.passes_on_gcm()).then_some((party, media))
            }
            Some(false) => None,
            None => self
                .opposite(party, media)
                .filter(|(peer, _)| self.are_joined(party, *peer)),
        }
    }

    /// The law of G.711 that a party speaks, where its peer knows nothing but the other one: an answer has told it so, or nobody has
    /// negotiated between parties that were connected on request.
    pub(crate) fn recoded(&self, from: (PartyId, usize), to: (PartyId, usize)) -> Option<Law> {
        let law = |(party, media): (PartyId, usize)| {
            let media = self.parties.get(&party)?.medias.get(media)?;
            media
                .law
                .or_else(|| Law::only_of(&media.remote.as_ref()?.payload_types))
        };
        let (spoken, known) = (law(from)?, law(to)?);
        (spoken != known).then_some(spoken)
    }

    /// The header extensions that a peer gets: those that were agreed on, where requests have chosen, and none that names
    /// m-lines where its SDP has none.
    fn extensions_to(
        &self,
        party: PartyId,
        media: usize,
        peer: PartyId,
        opposite: usize,
    ) -> Option<Extensions> {
        let (from, to) = (self.parties.get(&party)?, self.parties.get(&peer)?);
        let of_peer = to.medias.get(opposite)?;
        let leg = self.leg(of_peer.leg?)?;
        if leg.sdes.passes_on_gcm() {
            return None;
        }
        if let Some(agreed) = &of_peer.extensions {
            let remote = of_peer.remote.as_ref();
            let mixed = remote.is_some_and(|remote| remote.extmap_allow_mixed);
            let forms = if mixed || agreed.iter().any(|id| *id > ONE_BYTE_ID_MAX) {
                ElementForms::Both
            } else {
                ElementForms::OneByte
            };
            return Some(Extensions::Only(agreed.clone(), forms));
        }
        let names = from.medias.get(media)?.remote.as_ref()?.mid_extension?;
        let reads_names = of_peer.remote.as_ref()?.mid_extension.is_some();
        (from.tells_apart(media) && !reads_names).then_some(Extensions::Without(names))
    }

    /// Whether RTCP feedback of a party goes on: not from one with the profile for it to one that has shown neither the
    /// profile nor any feedback that it takes.
    fn takes_feedback(&self, from: (PartyId, usize), to: (PartyId, usize)) -> bool {
        let remote =
            |(party, media): (PartyId, usize)| self.parties.get(&party)?.medias.get(media)?.remote.as_ref();
        let gives = remote(from).is_some_and(|from| from.protocol.has_feedback());
        !gives || remote(to).is_none_or(|to| to.feedback)
    }

    /// The name of an m-line that a party wants to see in packets: it, or who sends them, has others on the same transport,
    /// and its SDP has the extension for that.
    pub(crate) fn named_to(&self, from: (PartyId, usize), to: (PartyId, usize)) -> Option<MidSelector> {
        let tells_apart = |(party, media)| {
            let party = self.parties.get(&party);
            party.is_some_and(|party| party.tells_apart(media))
        };
        if !tells_apart(to) && !tells_apart(from) {
            return None;
        }
        let media = self.parties.get(&to.0)?.medias.get(to.1)?;
        let remote = media.remote.as_ref()?;
        let leg = self.leg(media.leg?)?;
        if leg.sdes.passes_on_gcm() {
            return None;
        }
        remote.named_in_packets()
    }

    /// What takes blocked DTMF out of all m-lines of a flow, before any of their own routes.
    fn dtmf_route(&self, party: PartyId, medias: &[usize]) -> Option<Route> {
        if !self.is_dtmf_blocked(party) {
            return None;
        }
        let events = self.telephone_events(party, medias);
        (!events.is_empty()).then(|| Route {
            select: Select {
                payload_types: events,
                ..Select::default()
            },
            block: Some(BlockReason::Dtmf),
            ..Route::nowhere()
        })
    }

    /// The payload types of telephone events on m-lines of a party. A sender takes its numbers from the receiver's SDP as
    /// a rule, and from its own where it errs.
    fn telephone_events(&self, party: PartyId, medias: &[usize]) -> Vec<u8> {
        let events_of = |party: PartyId, media: usize| {
            let of = self
                .parties
                .get(&party)
                .and_then(|party| party.medias.get(media)?.remote.as_ref());
            of.map(|remote| remote.telephone_events.as_slice())
                .unwrap_or_default()
        };
        let mut events = BTreeSet::new();
        for media in medias {
            events.extend(events_of(party, *media));
            if let Some((peer, opposite)) = self.opposite(party, *media) {
                events.extend(events_of(peer, opposite));
            }
        }
        events.into_iter().take(SELECTORS_MAX).collect()
    }

    /// Which packets of a bundle belong to an m-line.
    fn select(&self, party: PartyId, media: usize) -> Select {
        let remote = self
            .parties
            .get(&party)
            .and_then(|party| party.medias[media].remote.as_ref());
        let Some(remote) = remote else {
            return Select::default();
        };
        let mid = remote.mid.clone().filter(|mid| !mid.is_empty());
        Select {
            payload_types: remote.payload_types.iter().copied().take(SELECTORS_MAX).collect(),
            ssrcs: remote.ssrcs.clone(),
            // Where packets carry no MID, the m-line is told by SSRC and payload type all the same, under a number
            // that no extension of one octet has.
            mid: mid.map(|mid| MidSelector {
                extension_id: remote.mid_extension.unwrap_or(NO_EXTENSION),
                mid,
            }),
        }
    }

    /// Whether media of an m-line goes on to its peer.
    pub(crate) fn sends_to_its_peer(&self, party: PartyId, media: usize) -> bool {
        let target = self.target(party, media).filter(|(peer, _)| *peer != party);
        target.is_some_and(|(peer, opposite)| self.block(party, media, peer, opposite).is_none())
    }

    fn block(&self, party: PartyId, media: usize, peer: PartyId, opposite: usize) -> Option<BlockReason> {
        let direction = |party: PartyId, media: usize| {
            let of = self.parties.get(&party).and_then(|party| party.medias.get(media));
            of.map(Media::direction).unwrap_or_default()
        };
        let blocked = self.blocked.media || self.parties.get(&party).is_some_and(|party| party.blocked.media);
        if blocked || self.hears_clip_alone(peer, opposite) {
            Some(BlockReason::Media)
        } else if !direction(party, media).sends() || !direction(peer, opposite).receives() {
            Some(BlockReason::Direction)
        } else {
            None
        }
    }

    /// What of a silenced party's audio goes on: its telephone events. `None`: it is not silenced.
    fn silence(&self, party: PartyId, media: usize) -> Option<Vec<u8>> {
        let of = self.parties.get(&party)?;
        let is_audio = of.medias.get(media)?.remote.as_ref()?.kind_text == "audio";
        let is_silenced = self.blocked.speech || of.blocked.speech;
        (is_audio && is_silenced).then(|| self.telephone_events(party, &[media]))
    }

    fn is_dtmf_blocked(&self, party: PartyId) -> bool {
        self.blocked.dtmf || self.parties.get(&party).is_some_and(|party| party.blocked.dtmf)
    }

    /// The m-lines that media of a flow goes to, in the order of the flow's routes.
    pub(crate) fn targets(&self, flow: FlowId, leg: LegId) -> Vec<Option<(PartyId, usize)>> {
        let Some((of, flow)) = self.legs.get(&leg).zip(self.installed.flows.get(&flow)) else {
            return Vec::new();
        };
        let on_leg: Vec<usize> = match self.parties.get(&of.party) {
            Some(party) => (0..party.medias.len())
                .filter(|at| party.medias[*at].leg == Some(leg))
                .collect(),
            None => Vec::new(),
        };
        // Routes stand in the order of the m-lines; one before them may take DTMF out.
        let before = usize::from(flow.takes_dtmf_out);
        let target = |route: usize| self.target(of.party, *on_leg.get(route.checked_sub(before)?)?);
        (0..usize::from(flow.routes)).map(target).collect()
    }
}

/// Clocks of one flow, and selectors of one route: what the workers take by default.
const CLOCKS_MAX: usize = 64;
const SELECTORS_MAX: usize = 48;

/// The highest identifier of the one-byte form (RFC 8285 section 4.2).
const ONE_BYTE_ID_MAX: u8 = 14;

/// An identifier that no header extension has (RFC 8285 section 4.2 reserves it).
const NO_EXTENSION: u8 = 15;
