//! All that is known of a call, as NG `query` tells it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use viaduct_forward::SsrcSnapshot;
use viaduct_ng::{
    ByteString, CallReport, Counters, Endpoint, Entries, FlagList, MediaFlag, MediaReport, SsrcSummary,
    StreamFlag, StreamReport, Subscription, TagReport, Totals,
};
use viaduct_rtp::stats::Counters as Traffic;

use super::Call;
use crate::core::Core;
use crate::dialogue::Dialogue;
use crate::dtls::Dtls;
use crate::ice::{FullAgent, Ice};
use crate::leg::{Component, Leg, LegTotals};
use crate::party::{Media, Part, Party, PartyId};

/// How parties that talk to each other are called.
const PUB_SUB: ByteString = ByteString::from_static("pub/sub");
const OFFER_ANSWER: ByteString = ByteString::from_static("offer/answer");

/// What went out to each m-line.
type Sent = BTreeMap<(PartyId, usize), LegTotals>;

impl Call {
    /// The whole call; with `only`, of its parties the one with this tag and those it talks to.
    pub(crate) fn report(&mut self, core: &Core, only: Option<&ByteString>) -> CallReport {
        self.find_counters(core);
        let clock = &core.clock;
        let created = clock.unix(self.created);
        let sent = self.sent();
        let shown = |party: &&Party| {
            !matches!(party.part, Part::StandsFor(_) | Part::Audience)
                && only.is_none_or(|tag| {
                    party.is_called(tag) || self.partners(party.id).any(|other| other.is_called(tag))
                })
        };
        let mut unnamed = 0;
        let tags = self.parties.values().map(Box::as_ref).filter(shown).map(|party| {
            let name = party.tag.clone().unwrap_or_else(|| {
                unnamed += 1;
                format!("<untagged {unnamed}>").into()
            });
            (name, self.report_party(core, party, &sent))
        });
        let tags = Entries(tags.collect());
        let sources = self.quality.report(&self.sources(), clock);
        CallReport {
            created: created.as_secs(),
            created_us: Some(created.subsec_micros().into()),
            created_ts: Some(format!("{}.{:06}", created.as_secs(), created.subsec_micros()).into()),
            last_signal: clock.unix(self.last_signal).as_secs(),
            // There is no Redis here, and nothing is forwarded in the kernel.
            last_redis_update: Some(0),
            metadata: self.metadata.clone(),
            ssrc: Entries(
                sources
                    .into_iter()
                    .map(|(ssrc, of)| (ssrc.to_string().into(), of))
                    .collect(),
            ),
            tags,
            totals: self.totals().to_ng(),
            ..CallReport::default()
        }
    }

    /// What the workers have measured of each source on each flow.
    pub(super) fn sources(&self) -> Vec<SsrcSnapshot> {
        self.legs.values().flat_map(|leg| sources_of(leg)).collect()
    }

    /// What has gone out to each m-line.
    fn sent(&self) -> Sent {
        let mut sent = Sent::new();
        for leg in self.legs.values() {
            for path in leg.paths.iter() {
                let Some(stats) = &path.stats else { continue };
                let mut targets = self.targets(path.flow, leg.id);
                let routes = stats.snapshot().routes;
                let mut distinct: Vec<_> = targets.iter().flatten().copied().collect();
                distinct.dedup();
                if distinct.len() == 1 {
                    // Whatever their places were before, all routes of the flow have led there.
                    targets = vec![distinct.pop(); routes.len()];
                }
                for (target, route) in targets.into_iter().zip(routes) {
                    let Some(target) = target else { continue };
                    sent.entry(target).or_default().add(&LegTotals::sent(&route));
                }
            }
        }
        sent
    }

    fn report_party(&self, core: &Core, party: &Party, sent: &Sent) -> TagReport {
        let (subscriptions, subscribers) = self.subscriptions(party);
        let medias = party.medias.iter().enumerate();
        TagReport {
            tag: party.name(),
            via_branch: party.via_branch.clone(),
            tag_aliases: (!party.aliases.is_empty()).then(|| party.aliases.clone()),
            label: party.label.clone(),
            created: core.clock.unix(party.created).as_secs(),
            subscriptions,
            subscribers,
            medias: medias
                .map(|(at, media)| self.report_media(core, party, at, media, sent))
                .collect(),
            ..TagReport::default()
        }
    }

    /// Whom a party hears, and who hears it.
    fn subscriptions(&self, party: &Party) -> (Vec<Subscription>, Vec<Subscription>) {
        let subscription = |id: PartyId, kind: &ByteString| Subscription {
            tag: self.party(id).name(),
            kind: kind.clone(),
            ..Subscription::default()
        };
        let peer = party.peer.filter(|peer| self.are_joined(party.id, *peer));
        if party.part == Part::Listens {
            let heard = peer.map(|stand_in| self.heard_by(stand_in)).unwrap_or_default();
            let heard = heard.into_iter().map(|id| subscription(id, &PUB_SUB));
            return (heard.collect(), Vec::new());
        }
        let talks_to: Vec<Subscription> = peer
            .map(|peer| subscription(peer, &OFFER_ANSWER))
            .into_iter()
            .collect();
        let listeners = self.parties.values().filter(|of| of.part == Part::Listens);
        let hears = |of: &PartyId| {
            let stand_in = self.party(*of).peer;
            stand_in.is_some_and(|stand_in| self.heard_by(stand_in).contains(&party.id))
        };
        let listeners = listeners.map(|of| of.id).filter(hears);
        let listeners = listeners.map(|of| subscription(of, &PUB_SUB));
        (talks_to.clone(), talks_to.into_iter().chain(listeners).collect())
    }

    fn report_media(&self, core: &Core, party: &Party, at: usize, media: &Media, sent: &Sent) -> MediaReport {
        let remote = media.remote.as_ref();
        let leg = media.leg.and_then(|leg| self.leg(leg));
        let opposite = self.opposite(party.id, at);
        let talks_to = opposite.and_then(|(peer, media)| self.leg_of(peer, media));
        let named = |leg: Option<&Leg>| {
            let ssrcs = leg.map(sources_of).unwrap_or_default();
            let mut ssrcs: Vec<u32> = ssrcs.iter().map(|source| source.ssrc).collect();
            ssrcs.sort_unstable();
            ssrcs.dedup();
            let summary = |ssrc: u32| SsrcSummary {
                ssrc: ssrc.into(),
                ..SsrcSummary::default()
            };
            ssrcs.into_iter().map(summary).collect()
        };
        let went_out = sent.get(&(party.id, at)).copied().unwrap_or_default();
        // The figures of a bundle stand at its first m-line.
        let is_first = leg.is_some_and(|leg| party.first_media_on(leg.id) == Some(at));
        let kind = self.media_ref(party.id, at).kind;
        MediaReport {
            index: at as u64 + 1,
            kind: kind.into(),
            protocol: media
                .protocol
                .and_then(viaduct_sdp::Protocol::name)
                .map(ByteString::from_static),
            codec: remote
                .and_then(|remote| remote.codec.clone())
                .map(ByteString::from),
            label: remote
                .and_then(|remote| remote.label.clone())
                .map(ByteString::from),
            streams: leg
                .map(|leg| streams(core, leg, is_first, &went_out))
                .unwrap_or_default(),
            flags: self.media_flags(party, at, media, leg),
            ingress_ssrcs: named(leg),
            egress_ssrcs: named(talks_to),
            ..MediaReport::default()
        }
    }

    fn media_flags(&self, party: &Party, at: usize, media: &Media, leg: Option<&Leg>) -> FlagList<MediaFlag> {
        use viaduct_rtp::srtp::DtlsRole;
        let Some(leg) = leg else {
            return FlagList::default();
        };
        let direction = media.direction();
        let ice = leg.ice.as_deref();
        let full = ice.and_then(Ice::full);
        let dtls = leg.dtls.as_deref().filter(|_| leg.secure);
        let role = dtls.and_then(Dtls::role);
        let lite_peer = ice
            .and_then(|ice| ice.remote.as_ref())
            .is_some_and(|remote| remote.lite);
        // Without ICE it is said whether we would control: we do where we offer.
        let was_offered = |dialogue: &Dialogue| {
            let offer = dialogue.last_offer.as_ref();
            dialogue.other(party.id).is_some() && offer.is_some_and(|offer| offer.sender() != party.id)
        };
        let would_control = ice.is_none() && self.dialogues.iter().any(was_offered);
        let feedback = media.protocol.is_some_and(viaduct_sdp::Protocol::has_feedback);
        let flags = [
            (MediaFlag::Initialized, media.remote.is_some()),
            (
                MediaFlag::Asymmetric,
                leg.rules(Component::Rtp).is_some_and(|rules| rules.asymmetric),
            ),
            (MediaFlag::Send, direction.receives()),
            (MediaFlag::Recv, direction.sends()),
            (MediaFlag::RtcpMux, leg.mux),
            (MediaFlag::DtlsSrtp, dtls.is_some()),
            (MediaFlag::DtlsRoleActive, role == Some(DtlsRole::Client)),
            (MediaFlag::DtlsRolePassive, role == Some(DtlsRole::Server)),
            (MediaFlag::Sdes, leg.secure && leg.sdes.is_agreed()),
            (
                MediaFlag::Passthrough,
                leg.wire.is_raw() && media.fax.is_none() || leg.transparent,
            ),
            (MediaFlag::LoopCheck, leg.may_loop),
            (MediaFlag::Ice, ice.is_some()),
            (
                MediaFlag::IceControlling,
                would_control || full.is_some_and(FullAgent::is_controlling),
            ),
            (MediaFlag::IceLitePeer, lite_peer),
            (MediaFlag::IceLiteSelf, ice.is_some_and(Ice::is_lite)),
            (MediaFlag::RtcpFeedback, feedback),
            (MediaFlag::RtcpGenerator, self.is_reported(party.id, at)),
            (MediaFlag::BlockEgress, party.blocked.media || self.blocked.media),
        ];
        flags
            .into_iter()
            .filter(|(_, holds)| *holds)
            .map(|(flag, _)| flag)
            .collect()
    }
}

impl LegTotals {
    /// As NG has them.
    pub(crate) fn to_ng(self) -> Totals {
        Totals {
            rtp: counters(self.rtp),
            rtcp: counters(self.rtcp),
            ..Totals::default()
        }
    }
}

fn sources_of(leg: &Leg) -> Vec<SsrcSnapshot> {
    leg.paths
        .iter()
        .filter_map(|path| path.stats.as_ref())
        .flat_map(|stats| stats.snapshot().ssrcs)
        .collect()
}

/// RTP and RTCP of a leg, or one stream for both.
fn streams(core: &Core, leg: &Leg, with_figures: bool, went_out: &LegTotals) -> Vec<StreamReport> {
    let came_in = if with_figures {
        leg.received()
    } else {
        LegTotals::default()
    };
    let components = leg.components();
    components
        .iter()
        .map(|component| {
            let of = |totals: &LegTotals| {
                let both = components.len() == 1;
                let mut sum = if *component == Component::Rtp {
                    totals.rtp
                } else {
                    totals.rtcp
                };
                if both {
                    sum += totals.rtcp;
                }
                counters(sum)
            };
            stream(core, leg, *component, of(&came_in), of(went_out))
        })
        .collect()
}

fn stream(
    core: &Core,
    leg: &Leg,
    component: Component,
    stats: Counters,
    stats_out: Counters,
) -> StreamReport {
    let local = leg.primary().local(component);
    let selected = leg.paths.selected(component);
    let paths = || leg.paths.iter().filter(|path| path.component == component);
    let stats_of = || paths().filter_map(|path| path.stats.as_ref());
    let last = stats_of().filter_map(|stats| stats.last_packet()).max();
    let last = last.map_or(0, |tick| core.clock.unix(core.epoch.instant(tick)).as_secs());
    let sources = stats_of().flat_map(|stats| stats.snapshot().ssrcs);
    let source = sources
        .max_by_key(|source| source.last_packet)
        .map(|source| source.ssrc.into());
    StreamReport {
        local_port: local.map(|local| local.port().into()),
        local_address: local.map(|local| local.ip().to_string().into()),
        family: local.map(|local| family(local.ip())),
        endpoint: endpoint(selected.map(|path| path.tuple.remote)),
        advertised_endpoint: endpoint(leg.advertised(component)),
        crypto_suite: leg
            .keys(component)
            .map(|keys| ByteString::from_static(keys.profile().sdes_name())),
        last_packet: last,
        last_kernel_packet: Some(0),
        last_user_packet: Some(last),
        ssrc: source,
        flags: stream_flags(leg, component),
        stats,
        stats_out,
        ..StreamReport::default()
    }
}

fn stream_flags(leg: &Leg, component: Component) -> FlagList<StreamFlag> {
    let rules = leg.rules(component);
    let is_verified = leg
        .dtls
        .as_ref()
        .is_some_and(|dtls| dtls.keys(component).is_some());
    let flags = [
        (StreamFlag::Rtp, component == Component::Rtp),
        (StreamFlag::Rtcp, component == Component::Rtcp || leg.mux),
        (StreamFlag::Filled, leg.paths.selected(component).is_some()),
        (StreamFlag::Confirmed, leg.is_settled(component)),
        (StreamFlag::DtlsFingerprintVerified, is_verified),
        (
            StreamFlag::StrictSourceAddress,
            rules.is_some_and(|rules| rules.strict),
        ),
        (
            StreamFlag::MediaHandover,
            rules.is_some_and(|rules| rules.handover),
        ),
        (StreamFlag::Ice, leg.ice.is_some()),
    ];
    flags
        .into_iter()
        .filter(|(_, holds)| *holds)
        .map(|(flag, _)| flag)
        .collect()
}

fn counters(traffic: Traffic) -> Counters {
    Counters {
        packets: traffic.packets,
        bytes: traffic.octets,
        errors: traffic.errors,
        ..Counters::default()
    }
}

fn endpoint(address: Option<SocketAddr>) -> Endpoint {
    Endpoint {
        family: address.map(|address| family(address.ip())),
        address: address.map(|address| address.ip().to_string().into()),
        port: address.map(|address| address.port().into()),
        ..Endpoint::default()
    }
}

fn family(ip: IpAddr) -> ByteString {
    ByteString::from_static(if ip.is_ipv4() { "IPv4" } else { "IPv6" })
}
