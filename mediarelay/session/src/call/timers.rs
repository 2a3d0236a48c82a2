//! The timers of a call as a whole: what ends it without a command.

use std::time::{Duration, Instant};

use viaduct_forward::Tick;

use super::Call;
use crate::core::Core;
use crate::event::DeleteReason;
use crate::party::PartyId;

/// How often quality and rates of a call are measured while it can have media.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// How long after an offer or answer another answer may come: nobody lets it ring for longer (RFC 3261 section 16.7, timer C).
const LAST_ANSWER: Duration = Duration::from_secs(180);

/// A check is never put off longer than this, so that settings far away do not keep what is wrong.
const CHECK_AT_LEAST: Duration = Duration::from_secs(3_600);

impl Call {
    /// Time has passed: looks at what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, core: &mut Core) {
        self.send_reports(now, core);
        if !self.is_to_be_checked(now) {
            return;
        }
        self.delete_due(now, core);
        if self.ends.is_some() {
            return;
        }
        if now.saturating_duration_since(self.last_signal) >= LAST_ANSWER {
            for (_, party) in self.parties.iter_mut() {
                party.refuse_for_good();
            }
            self.close_unused_legs(now, core);
        }
        self.find_counters(core);
        self.measure(now, core);
        match self.first_deadline(core) {
            Some((at, reason)) if at <= now => self.ends = Some(reason),
            deadline => self.plan_check(now, deadline.map(|(at, _)| at)),
        }
    }

    /// Something has happened that moves deadlines: they are looked at when it is done.
    pub(crate) fn check_soon(&mut self, now: Instant) {
        self.next_check = now;
    }

    /// Whether deadlines are to be looked at.
    pub(crate) fn is_to_be_checked(&self, now: Instant) -> bool {
        self.next_check <= now
    }

    fn plan_check(&mut self, now: Instant, deadline: Option<Instant>) {
        let deletions = self.parties.values().filter_map(|party| party.delete_at);
        let measures = self.answered.map(|_| now + MEASURE_EVERY);
        let next = deletions.chain(deadline).chain(measures).min();
        self.next_check = next.unwrap_or(now + CHECK_AT_LEAST).min(now + CHECK_AT_LEAST);
    }

    /// When the call would end next, and why.
    fn first_deadline(&self, core: &Core) -> Option<(Instant, DeleteReason)> {
        let config = &core.config;
        let longest = config
            .final_timeout
            .map(|timeout| (self.created + timeout, DeleteReason::FinalTimeout));
        let idle = if self.answered.is_none() || self.rings {
            // Who lets it ring may be silent meanwhile.
            (
                self.last_signal + config.offer_timeout,
                DeleteReason::OfferTimeout,
            )
        } else {
            let (timeout, reason) = if self.flows_both_ways() {
                (config.media_timeout, DeleteReason::MediaTimeout)
            } else {
                (config.silent_timeout, DeleteReason::SilentTimeout)
            };
            let heard = self.last_packet().map(|tick| core.epoch.instant(tick));
            (
                self.last_signal.max(heard.unwrap_or(self.last_signal)) + timeout,
                reason,
            )
        };
        longest.into_iter().chain([idle]).min_by_key(|(at, _)| *at)
    }

    /// Whether some m-line may have media in both directions.
    fn flows_both_ways(&self) -> bool {
        let both = |party: PartyId, media: usize| {
            let Some((peer, opposite)) = self.opposite(party, media) else {
                return false;
            };
            if self.party(party).medias[media].direct {
                // It may never come by here.
                return false;
            }
            let direction = |party: PartyId, media: usize| self.party(party).medias[media].direction();
            let (one, other) = (direction(party, media), direction(peer, opposite));
            one.sends() && one.receives() && other.sends() && other.receives()
        };
        self.parties
            .values()
            .any(|party| (0..party.medias.len()).any(|media| both(party.id, media)))
    }

    /// When the last packet of any flow came.
    fn last_packet(&self) -> Option<Tick> {
        let paths = self.legs.values().flat_map(|leg| leg.paths.iter());
        paths.filter_map(|path| path.stats.as_ref()?.last_packet()).max()
    }
}
