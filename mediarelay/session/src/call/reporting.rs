//! RTCP of our own in place of that of the parties (NG `generate-RTCP`).
//!
//! Each party is told every few seconds what was sent to it, in the name of the sources that it hears, and what was heard of it
//! (RFC 3550 section 6.4). What parties report to each other stays here; feedback (RFC 4585) goes on, since nobody here can make a
//! key frame.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::E;
use std::time::{Duration, Instant};

use rand::RngExt;
use viaduct_forward::{Command, FlowId, LegId, MediaKind, Shift, SsrcSnapshot};
use viaduct_rtp::rtcp::{ReportBlock, RtcpWriter, SenderInfo, WriteError};

use super::Call;
use crate::core::Core;
use crate::leg::Component;
use crate::output::Output;
use crate::party::PartyId;

/// How often a leg is reported to, on average: the least of RFC 3550 section 6.2.
const EVERY: Duration = Duration::from_secs(5);

/// A source of which nothing came for so long is not reported on (RFC 3550 section 6.3.5: five intervals).
const ALIVE: Duration = EVERY.saturating_mul(5);

/// A source that paused for longer is silent: its clock is not carried on.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Sources that a leg is told of in one compound, each with a sender report.
const SENDERS_MAX: usize = 8;

/// Sources of a leg that it is told about in one compound: what one report has room for.
const BLOCKS_MAX: usize = 31;

/// Octets of a compound with so many.
const COMPOUND_MAX: usize = 1_200;

/// When parties are reported to, and what they were told.
#[derive(Debug)]
pub(crate) struct Reporting {
    next: Instant,
    legs: BTreeMap<LegId, Told>,
}

/// What a leg was told last.
#[derive(Debug)]
struct Told {
    /// Our own source, which reports while no other is heard.
    ssrc: u32,
    /// By source of the leg: packets that had been expected and lost.
    before: BTreeMap<u32, (u64, u64)>,
}

impl Reporting {
    /// Parties are reported to from now on.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: now + EVERY,
            legs: BTreeMap::new(),
        }
    }

    /// When [`Call::send_reports`] is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Takes in that of another call.
    pub(super) fn merge(&mut self, other: Self) {
        self.next = self.next.min(other.next);
        self.legs.extend(other.legs);
    }
}

/// A source, the flow that it comes by, and what is added to its numbers where it goes on.
#[derive(Debug)]
struct Source {
    flow: FlowId,
    heard: SsrcSnapshot,
    shift: Shift,
}

impl Call {
    /// Whether what an m-line of a party reports to its peer stays here, and both are reported to by us.
    pub(crate) fn is_reported(&self, party: PartyId, media: usize) -> bool {
        self.reporting.is_some() && self.reported_to(party, media).is_some()
    }

    /// The legs of an m-line and of its peer's, if reports can be ours between them: under a key that both parties have only what
    /// one has sent may go to the other.
    fn reported_to(&self, party: PartyId, media: usize) -> Option<(LegId, LegId)> {
        let (peer, opposite) = self.opposite(party, media)?;
        let (from, to) = (self.leg_of(party, media)?, self.leg_of(peer, opposite)?);
        let is_foreign =
            |leg: &crate::leg::Leg| leg.wire.is_raw() || leg.transparent || leg.sdes.passes_on_gcm();
        let share_keys =
            |component| from.shares_its_key_with(to, component) || to.shares_its_key_with(from, component);
        let is_ours = !is_foreign(from) && !is_foreign(to) && !Component::BOTH.into_iter().any(share_keys);
        (is_ours && self.are_joined(party, peer)).then_some((from.id, to.id))
    }

    /// Sends the reports that are due.
    pub(super) fn send_reports(&mut self, now: Instant, core: &mut Core) {
        let Some(mut reporting) = self.reporting.take_if(|reporting| reporting.next <= now) else {
            return;
        };
        // RFC 3550 section 6.3.1.
        let spread = (core.rng.random::<f64>() + 0.5) / (E - 1.5);
        reporting.next = now + EVERY.mul_f64(spread);
        self.find_counters(core);
        let ways = self.reported_ways();
        let live = self.sources();
        for (leg, from) in &ways {
            let told = reporting.legs.entry(*leg).or_insert_with(|| Told {
                ssrc: core.rng.random(),
                before: BTreeMap::new(),
            });
            self.report_to(now, core, &live, (*leg, from), told);
        }
        reporting.legs.retain(|leg, _| ways.contains_key(leg));
        self.reporting = Some(reporting);
    }

    /// The legs that are reported to, each with those whose media goes to it now.
    fn reported_ways(&self) -> BTreeMap<LegId, BTreeSet<LegId>> {
        let mut ways: BTreeMap<LegId, BTreeSet<LegId>> = BTreeMap::new();
        for party in self.parties.values() {
            for media in 0..party.medias.len() {
                let Some((from, to)) = self.reported_to(party.id, media) else {
                    continue;
                };
                let sources = ways.entry(to).or_default();
                if self.sends_to_its_peer(party.id, media) {
                    sources.insert(from);
                }
            }
        }
        ways
    }

    /// Tells a leg what was sent to it from these legs, and what came from it. `live` are the sources of all flows of the call.
    fn report_to(
        &self,
        now: Instant,
        core: &mut Core,
        live: &[SsrcSnapshot],
        (leg, from): (LegId, &BTreeSet<LegId>),
        told: &mut Told,
    ) {
        let Some(of) = self.leg(leg) else { return };
        let way = of.reached_from(Component::Rtcp);
        let Some(out) = way.rtcp_out else { return };
        let sent = self.alive(now, core, from.iter().copied(), SENDERS_MAX);
        let heard = self.alive(now, core, [leg].into_iter(), BLOCKS_MAX);
        if sent.is_empty() && heard.is_empty() {
            return;
        }
        let blocks = self.blocks(now, core, live, &heard, told);
        let ntp = SenderInfo::ntp_at(core.clock.unix(now));
        let senders = sent.iter().map(|source| {
            let info = self.info(now, core, live, ntp, source);
            (source.heard.ssrc, info)
        });
        let senders: Vec<(u32, SenderInfo)> = senders.collect();
        let mut buffer = [0; COMPOUND_MAX];
        let Ok(packet) = compound(&mut buffer, told.ssrc, &senders, &blocks, &core.instance_id) else {
            debug_assert!(false, "what is counted fits");
            return;
        };
        let packet = packet.to_vec();
        core.counters.reports_sent += 1;
        core.output(Output::Emit {
            from: out.local,
            to: out.remote,
            protect: way.protect,
            kind: MediaKind::Rtcp,
            packet,
        });
        let at = core.epoch.tick(now);
        for (source, (ssrc, info)) in sent.iter().zip(&senders) {
            core.forward(Command::ReportSent {
                flow: source.flow,
                ssrc: *ssrc,
                ntp_middle: info.ntp_middle(),
                at,
            });
        }
    }

    /// The sources that were heard lately on legs, the latest first. One that came by several flows is there once.
    fn alive(&self, now: Instant, core: &Core, legs: impl Iterator<Item = LegId>, max: usize) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for leg in legs.filter_map(|leg| self.leg(leg)) {
            let paths = leg.paths.iter().filter(|path| path.component == Component::Rtp);
            for (flow, stats) in paths.filter_map(|path| Some((path.flow, path.stats.as_ref()?))) {
                let of = stats.snapshot();
                let shifts = || of.routes.iter().filter_map(|route| route.shift);
                sources.extend(of.ssrcs.iter().map(|heard| {
                    Source {
                        flow,
                        heard: *heard,
                        shift: shifts()
                            .find(|shift| shift.ssrc == heard.ssrc)
                            .unwrap_or_default(),
                    }
                }));
            }
        }
        let silent =
            |source: &Source| now.saturating_duration_since(core.epoch.instant(source.heard.last_packet));
        sources.retain(|source| silent(source) <= ALIVE);
        sources.sort_by_key(|source| std::cmp::Reverse(source.heard.last_packet));
        let mut seen = BTreeSet::new();
        sources.retain(|source| seen.insert(source.heard.ssrc));
        sources.truncate(max);
        sources
    }

    /// What was heard of sources, and of each since the last time.
    fn blocks(
        &self,
        now: Instant,
        core: &Core,
        live: &[SsrcSnapshot],
        heard: &[Source],
        told: &mut Told,
    ) -> Vec<ReportBlock> {
        let mut before = BTreeMap::new();
        let blocks = heard.iter().map(|Source { heard: source, .. }| {
            let heard = self.quality.heard(source.ssrc, live);
            before.insert(source.ssrc, (heard.expected, heard.lost));
            let (expected, lost) = told.before.get(&source.ssrc).copied().unwrap_or_default();
            let expected = heard.expected.saturating_sub(expected);
            let lost = heard.lost.saturating_sub(lost);
            let fraction = (lost << 8).checked_div(expected).unwrap_or(0).min(255);
            let block = ReportBlock {
                ssrc: source.ssrc,
                fraction_lost: fraction as u8,
                cumulative_lost: heard
                    .lost
                    .min(ReportBlock::CUMULATIVE_LOST_RANGE.end().unsigned_abs().into())
                    as i32,
                highest_sequence: source.reception.highest_sequence,
                jitter: source.reception.jitter,
                ..ReportBlock::default()
            };
            match source.sender_report {
                Some((middle, at)) => {
                    let delay = now.saturating_duration_since(core.epoch.instant(at));
                    block.with_last_sr(middle, delay)
                }
                None => block,
            }
        });
        let blocks = blocks.collect();
        told.before = before;
        blocks
    }

    /// What a source says of itself in our words. Octets are those of whole packets, as rtpengine counts them.
    fn info(
        &self,
        now: Instant,
        core: &Core,
        live: &[SsrcSnapshot],
        ntp: u64,
        Source {
            heard: source, shift, ..
        }: &Source,
    ) -> SenderInfo {
        let heard = self.quality.heard(source.ssrc, live);
        let since = now.saturating_duration_since(core.epoch.instant(source.last_packet));
        let ticks = since.as_micros() * u128::from(source.reception.clock_rate) / 1_000_000;
        let passed = if since <= PAUSE_MAX { ticks as u32 } else { 0 };
        SenderInfo {
            ntp,
            rtp_timestamp: source
                .reception
                .last_timestamp
                .wrapping_add(shift.timestamp)
                .wrapping_add(passed),
            // Both wrap, as they do for a sender (RFC 3550 section 6.4.1 has 32 bits).
            packets: heard.packets as u32,
            octets: heard.octets as u32,
        }
    }
}

/// The compound: reports of what was sent with the blocks in the first of them, or a report with the blocks alone, and names.
fn compound<'b>(
    buffer: &'b mut [u8],
    own: u32,
    senders: &[(u32, SenderInfo)],
    blocks: &[ReportBlock],
    name: &str,
) -> Result<&'b [u8], WriteError> {
    let mut writer = RtcpWriter::new(buffer);
    let mut blocks = Some(blocks);
    for (ssrc, info) in senders {
        writer.sender_report(*ssrc, info, blocks.take().unwrap_or_default())?;
    }
    if let Some(blocks) = blocks {
        writer.receiver_report(own, blocks)?;
    }
    let names: Vec<(u32, &str)> = match senders {
        [] => vec![(own, name)],
        senders => senders.iter().map(|(ssrc, _)| (*ssrc, name)).collect(),
    };
    writer.sdes(&names)?;
    Ok(writer.finish())
}
