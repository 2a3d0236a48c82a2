//! Sources that go on under other numbers than their senders', since something else was said in their names in between.

use viaduct_rtp::Tick;

use super::flow::{Clocks, CompiledRoute};
use super::flows::{FlowIndex, Flows};
use crate::rule::Resume;
use crate::stats::{RouteStats, Shift};

/// A source that goes on, and since its first packet by how much its numbers are others.
#[derive(Debug)]
pub(super) struct Resumed {
    resume: Resume,
    shift: Option<Shift>,
}

impl Resumed {
    pub(super) fn new(resume: Resume) -> Self {
        Self {
            resume,
            shift: resume.known,
        }
    }

    /// Gives a packet of the source its number; others stay as they are.
    pub(super) fn renumber(
        &mut self,
        now: Tick,
        clocks: &Clocks,
        packet: &mut [u8],
        stats: Option<&RouteStats>,
    ) {
        let Some([_, payload_type, rest @ ..]) = packet.first_chunk_mut::<12>() else {
            return;
        };
        let [sequence @ .., t0, t1, t2, t3, s0, s1, s2, s3] = rest;
        if u32::from_be_bytes([*s0, *s1, *s2, *s3]) != self.resume.ssrc {
            return;
        }
        let number = u16::from_be_bytes(*sequence);
        let timestamp = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        let resume = self.resume;
        let shift = *self.shift.get_or_insert_with(|| {
            let clock = u64::from(clocks.of(*payload_type & 0x7f));
            let later = now.since(resume.at).as_micros() as u64 * clock / 1_000_000;
            let shift = Shift {
                id: resume.id,
                ssrc: resume.ssrc,
                sequence: resume.sequence.wrapping_sub(number),
                timestamp: resume
                    .timestamp
                    .wrapping_add(later as u32)
                    .wrapping_sub(timestamp),
            };
            if let Some(stats) = stats {
                stats.set_shift(shift);
            }
            shift
        });
        *sequence = number.wrapping_add(shift.sequence).to_be_bytes();
        [*t0, *t1, *t2, *t3] = timestamp.wrapping_add(shift.timestamp).to_be_bytes();
    }
}

impl Flows {
    /// By how much the numbers of a source differ that goes on by a route. Reports that come by a port of their own are about
    /// packets of another flow.
    pub(super) fn shift(&self, at: FlowIndex, route_at: usize) -> Option<Shift> {
        let own = self[at].routes.get(route_at)?.resumed.as_ref()?;
        let of_media = &self[self.media_flow(at)].routes;
        let mut resumed = of_media.iter().filter_map(|route| route.resumed.as_ref());
        resumed.find(|of| of.resume.id == own.resume.id)?.shift
    }
}

/// What routes of a flow know of sources that go on, from those before them.
pub(super) fn take_over(routes: &mut [CompiledRoute], before: &[CompiledRoute]) {
    for resumed in routes.iter_mut().filter_map(|route| route.resumed.as_mut()) {
        let mut known = before.iter().filter_map(|route| route.resumed.as_ref());
        if let Some(same) = known.find(|known| known.resume.id == resumed.resume.id) {
            resumed.shift = resumed.shift.or(same.shift);
        }
    }
}
