//! Trickle ICE (RFC 8838, RFC 8840): candidates that come after the offer, or before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_ng::{ByteString, ErrorReason, Offer, Reply};
use viaduct_sdp::{FragmentMedia, SdpFragment};

use super::Relay;
use crate::call::Call;
use crate::core::{CallKey, Core};
use crate::describe::reachable;
use crate::ice::RemoteCandidate;
use crate::party::PartyId;

/// How long a fragment waits for the party it is for: it has overtaken the offer or answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Fragments that have come too early, in their order.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    call_id: ByteString,
    from_tag: ByteString,
    fragment: SdpFragment,
}

impl Fragments {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|waiting| waiting.until <= now) {
            self.waiting.pop_front();
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.until)
    }
}

impl Relay {
    /// Takes a fragment. The reply has no SDP.
    pub(super) fn trickle(&mut self, now: Instant, offer: &Offer) -> Reply {
        let Core { config, counters, .. } = &mut self.core;
        let limits = config.limits.sdp();
        let Ok(fragment) = SdpFragment::parse_within(&offer.sdp, &limits) else {
            counters.sdp_unusable += 1;
            return Reply::error(ErrorReason::UnparsableSdp);
        };
        let names_max = config.limits.name_octets;
        if offer.call_id.len() > names_max || offer.from_tag.len() > names_max {
            counters.limits.name_octets += 1;
            return Reply::error(ErrorReason::Other(
                "A call-id, tag or other name is too long".into(),
            ));
        }
        let key = self.by_id.get(&offer.call_id).copied();
        let is_known = |key: &CallKey| {
            self.calls
                .get(key)
                .is_some_and(|call| call.party_called(&offer.from_tag).is_some())
        };
        match key.filter(is_known) {
            Some(key) => self.work(now, key, |call, core| {
                call.add_fragment(now, core, &offer.from_tag, &fragment);
            }),
            None => self.keep_fragment(now, offer, fragment),
        }
        Reply::ok()
    }

    fn keep_fragment(&mut self, now: Instant, offer: &Offer, fragment: SdpFragment) {
        if self.fragments.waiting.len() >= self.core.config.limits.fragments_waiting {
            self.core.counters.limits.fragments_waiting += 1;
            return;
        }
        self.fragments.waiting.push_back(Waiting {
            until: now + PATIENCE,
            call_id: offer.call_id.clone(),
            from_tag: offer.from_tag.clone(),
            fragment,
        });
    }

    /// A party may have come that fragments wait for.
    pub(super) fn apply_waiting(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self
            .calls
            .get(&key)
            .filter(|_| !self.fragments.waiting.is_empty())
        else {
            return;
        };
        let is_for_it = |waiting: &Waiting| {
            call.has_id(&waiting.call_id) && call.party_called(&waiting.from_tag).is_some()
        };
        let (found, kept) = std::mem::take(&mut self.fragments.waiting)
            .into_iter()
            .partition(is_for_it);
        self.fragments.waiting = kept;
        for Waiting {
            from_tag, fragment, ..
        } in Vec::from(found)
        {
            self.work(now, key, |call, core| {
                call.add_fragment(now, core, &from_tag, &fragment);
            });
        }
    }
}

impl Call {
    /// Takes the candidates of a fragment to the legs of its sender.
    fn add_fragment(&mut self, now: Instant, core: &mut Core, from_tag: &ByteString, fragment: &SdpFragment) {
        let Some(party) = self.party_called(from_tag) else {
            return;
        };
        let parts = std::iter::once(&fragment.session).chain(&fragment.medias);
        for (position, part) in parts.enumerate().filter(|(_, part)| !part.candidates.is_empty()) {
            let mut medias = self.party(party).medias.iter();
            let named = part
                .mid
                .as_ref()
                .and_then(|mid| medias.position(|media| media.mid.as_ref() == Some(mid)));
            // Without a name the place counts; what stands before the first m-line is for the first.
            let place = || position.saturating_sub(1);
            let media = if part.mid.is_some() { named } else { Some(place()) };
            let Some(media) = media.filter(|at| *at < self.party(party).medias.len()) else {
                continue;
            };
            let ufrag = part.ufrag.as_ref().or(fragment.session.ufrag.as_ref());
            let candidates =
                self.new_candidates(core, party, media, part, ufrag.map(|ufrag| ufrag.0.as_str()));
            if let Some(leg) = self.leg_of_mut(party, media) {
                leg.add_candidates(now, &candidates);
            }
        }
    }

    /// Notes the candidates of a fragment that are of the peer's current ICE session, within the limit.
    fn new_candidates(
        &mut self,
        core: &mut Core,
        party: PartyId,
        media: usize,
        part: &FragmentMedia,
        ufrag: Option<&str>,
    ) -> Vec<RemoteCandidate> {
        let remote = self.party_mut(party).medias[media].remote.as_mut();
        let Some(ice) = remote.and_then(|remote| Arc::make_mut(remote).ice.as_mut()) else {
            return Vec::new();
        };
        if ufrag.is_some_and(|ufrag| ufrag != ice.credentials.ufrag) {
            return Vec::new();
        }
        let known = ice.candidates.len();
        for candidate in &part.candidates {
            match reachable(candidate) {
                None => core.counters.candidates_unreachable += 1,
                Some(candidate) if ice.candidates.contains(&candidate) => {}
                Some(_) if ice.candidates.len() >= core.config.limits.candidates_per_media => {
                    core.counters.limits.candidates_per_media += 1;
                }
                Some(candidate) => ice.candidates.push(candidate),
            }
        }
        ice.candidates[known..].to_vec()
    }
}
