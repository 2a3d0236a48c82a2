//! The SSRCs of one flow: what is measured of each, and which route its packets take.

use std::time::Duration;

use viaduct_rtp::stats::{Reception, RttEstimator};
use viaduct_rtp::{RtpHeader, Tick};

/// One SSRC.
#[derive(Debug)]
pub(super) struct Ssrc {
    pub(super) ssrc: u32,
    /// The m-line that its packets were last found to belong to.
    pub(super) section: Option<u8>,
    /// The route that its packets of `payload_type` take; `None` after a change of rules or of section.
    pub(super) route: Option<u8>,
    pub(super) payload_type: u8,
    pub(super) clock_rate: u32,
    last_packet: Tick,
    /// Others may have received packets since the last one.
    resumes: bool,
    pub(super) reception: Reception,
    pub(super) round_trip: RttEstimator,
}

/// Up to so many SSRCs. Room for one is made with the first, since most flows have one and some have none; room for all when
/// the second shows itself.
#[derive(Debug)]
pub(super) struct Ssrcs {
    entries: Vec<Ssrc>,
    max: usize,
    /// Where the last search ended: most flows have one SSRC at a time.
    recent: usize,
    /// Others receive packets too.
    beside: bool,
}

/// What became of a packet's SSRC.
pub(super) enum Entry {
    /// It is known.
    Known(usize),
    /// It is new and has this place.
    New(usize),
    /// There is no place for it.
    Untracked,
}

impl Ssrcs {
    pub(super) fn new(max: usize) -> Self {
        Self {
            entries: Vec::new(),
            max,
            recent: 0,
            beside: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    pub(super) fn position(&self, ssrc: u32) -> Option<usize> {
        if self
            .entries
            .get(self.recent)
            .is_some_and(|entry| entry.ssrc == ssrc)
        {
            return Some(self.recent);
        }
        self.entries.iter().position(|entry| entry.ssrc == ssrc)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Ssrc> {
        self.entries.get_mut(at)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Ssrc> {
        self.entries.get(at)
    }

    pub(super) fn find_mut(&mut self, ssrc: u32) -> Option<(usize, &mut Ssrc)> {
        let at = self.position(ssrc)?;
        Some((at, &mut self.entries[at]))
    }

    /// Takes a packet in. `clock_rate` is asked when the payload type is not that of the SSRC's last packet.
    #[inline]
    pub(super) fn on_packet(
        &mut self,
        now: Tick,
        header: &RtpHeader<'_>,
        idle: Duration,
        clock_rate: impl FnOnce() -> u32,
    ) -> Entry {
        let Some(at) = self.position(header.ssrc()) else {
            return self.on_new(now, header, idle, clock_rate());
        };
        self.recent = at;
        let entry = &mut self.entries[at];
        if entry.payload_type != header.payload_type() {
            entry.payload_type = header.payload_type();
            entry.clock_rate = clock_rate();
            entry.route = None;
        }
        entry.last_packet = now;
        let (sequence, timestamp) = (header.sequence(), header.timestamp());
        if entry.resumes {
            entry.reception.resume(now, sequence, timestamp, entry.clock_rate);
            entry.resumes = self.beside;
        } else {
            entry
                .reception
                .on_packet(now, sequence, timestamp, entry.clock_rate);
        }
        Entry::Known(at)
    }

    /// Finds a place: a free one, or that of the SSRC which has been silent longest, if long enough.
    fn on_new(&mut self, now: Tick, header: &RtpHeader<'_>, idle: Duration, clock_rate: u32) -> Entry {
        let entry = Ssrc {
            ssrc: header.ssrc(),
            section: None,
            route: None,
            payload_type: header.payload_type(),
            clock_rate,
            last_packet: now,
            resumes: self.beside,
            reception: Reception::new(now, header.sequence(), header.timestamp(), clock_rate),
            round_trip: RttEstimator::default(),
        };
        if self.entries.len() < self.max {
            if self.entries.len() == self.entries.capacity() {
                let further = if self.entries.is_empty() {
                    1
                } else {
                    self.max - self.entries.len()
                };
                self.entries.reserve_exact(further);
            }
            self.entries.push(entry);
            self.recent = self.entries.len() - 1;
            return Entry::New(self.recent);
        }
        let oldest = self
            .entries
            .iter()
            .enumerate()
            .min_by_key(|(_, entry)| entry.last_packet);
        match oldest {
            Some((at, oldest)) if now.since(oldest.last_packet) >= idle => {
                self.entries[at] = entry;
                self.recent = at;
                Entry::New(at)
            }
            _ => Entry::Untracked,
        }
    }

    /// Whether others receive packets too, from here on.
    pub(super) fn set_beside(&mut self, beside: bool) {
        let changes = self.beside || beside;
        self.beside = beside;
        for entry in &mut self.entries {
            entry.resumes |= changes;
        }
    }

    /// The rule has changed: routes must be found again, sections may have other numbers, payload types other clocks.
    pub(super) fn on_new_rule(
        &mut self,
        successor: impl Fn(u8) -> Option<u8>,
        clock_rate: impl Fn(u8) -> u32,
    ) {
        for entry in &mut self.entries {
            entry.clock_rate = clock_rate(entry.payload_type);
            entry.route = None;
            entry.section = entry.section.and_then(&successor);
        }
    }
}
