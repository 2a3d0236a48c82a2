//! What a context remembers about each SSRC, and for how long.

use std::time::Duration;

use super::window::ReplayWindow;
use crate::tick::Tick;

/// How many SSRCs a context keeps.
///
/// An index that was used must stay used for as long as the key lives: forgetting it would let a recorded packet in
/// again (receiving) or repeat key stream (sending). So an SSRC is never forgotten. One that has been idle can be
/// *retired*: of its state only the highest index stays, below which everything counts as used. Where even that finds
/// no room, the newcomer is refused and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SrtpLimits {
    /// SSRCs with full state. Default 32.
    pub live_ssrcs: usize,
    /// How long an SSRC must have been silent before it may be retired for a newcomer. Default 10 s.
    pub retire_after: Duration,
    /// SSRCs of which the highest index is remembered, 16 octets each. Default 1,024.
    pub retired_ssrcs: usize,
}

impl Default for SrtpLimits {
    fn default() -> Self {
        Self {
            live_ssrcs: 32,
            retire_after: Duration::from_secs(10),
            retired_ssrcs: 1024,
        }
    }
}

/// Where one SSRC stands under a key: what must be known to go on with the key elsewhere, after a restart for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SsrcIndices {
    /// Which.
    pub ssrc: u32,
    /// One more than the highest RTP index, rollover counter included; at most 2^48.
    pub rtp_next: u64,
    /// One more than the highest RTCP index; at most 2^31.
    pub rtcp_next: u32,
}

/// Both index spaces of one SSRC.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    ssrc: u32,
    pub(super) last_used: Tick,
    pub(super) rtp: ReplayWindow,
    pub(super) rtcp: ReplayWindow,
}

/// A further SSRC found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Stream {
    fn indices(&self) -> SsrcIndices {
        SsrcIndices {
            ssrc: self.ssrc,
            rtp_next: self.rtp.next(),
            // RTCP indices have 31 bits.
            rtcp_next: self.rtcp.next() as u32,
        }
    }
}

/// All SSRCs of a context. `live` and `retired` have no SSRC in common.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    limits: SrtpLimits,
    live: Vec<Stream>,
    retired: Vec<SsrcIndices>,
    /// Where the RTCP index of an SSRC begins that nothing is remembered of.
    rtcp_first: u32,
    /// Where in `live` the last search ended: a leg usually has one SSRC at a time.
    recent: usize,
    refused: u64,
}

impl Streams {
    pub(super) fn new(limits: SrtpLimits) -> Self {
        Self {
            limits,
            live: Vec::new(),
            retired: Vec::new(),
            rtcp_first: 0,
            recent: 0,
            refused: 0,
        }
    }

    /// Goes on where another context with the key has stopped, of which this was known. What it says of an SSRC counts
    /// as used up to there; the RTCP of SSRCs that it does not name begins at `rtcp_first`.
    pub(super) fn resume(&mut self, indices: &[SsrcIndices], rtcp_first: u32) {
        let room = self.limits.retired_ssrcs.saturating_sub(self.retired.len());
        self.retired.extend(indices.iter().take(room));
        self.rtcp_first = rtcp_first;
    }

    /// Where all SSRCs stand.
    pub(super) fn indices(&self) -> impl Iterator<Item = SsrcIndices> {
        let live = self.live.iter().map(Stream::indices);
        live.chain(self.retired.iter().copied())
    }

    /// Something of the stream that was found last.
    pub(super) fn fetch(&self) -> u32 {
        self.live
            .get(self.recent)
            .map_or(0, |stream| stream.ssrc ^ stream.rtp.next() as u32)
    }

    /// The stream of an SSRC that has full state.
    pub(super) fn find(&mut self, ssrc: u32) -> Option<&mut Stream> {
        if self
            .live
            .get(self.recent)
            .is_none_or(|stream| stream.ssrc != ssrc)
        {
            self.recent = self.live.iter().position(|stream| stream.ssrc == ssrc)?;
        }
        self.live.get_mut(self.recent)
    }

    /// The stream of an SSRC, with full state made if it has none.
    pub(super) fn enter(&mut self, now: Tick, ssrc: u32) -> Result<&mut Stream, Full> {
        if self.find(ssrc).is_none() {
            let candidate = self.candidate(now, ssrc);
            return self.admit(now, candidate);
        }
        self.live.get_mut(self.recent).ok_or(Full)
    }

    /// The state that an SSRC without full state starts from: blank, or what is remembered of it. Changes nothing.
    pub(super) fn candidate(&self, now: Tick, ssrc: u32) -> Stream {
        let retired = self.retired.iter().find(|retired| retired.ssrc == ssrc);
        let (rtp, rtcp) = match retired {
            Some(retired) => (
                ReplayWindow::resumed(retired.rtp_next),
                ReplayWindow::resumed(u64::from(retired.rtcp_next)),
            ),
            None if self.rtcp_first > 0 => (
                ReplayWindow::default(),
                ReplayWindow::resumed(u64::from(self.rtcp_first)),
            ),
            None => (ReplayWindow::default(), ReplayWindow::default()),
        };
        Stream {
            ssrc,
            last_used: now,
            rtp,
            rtcp,
        }
    }

    /// Gives a candidate full state, retiring the longest idle stream if there is no room.
    fn admit(&mut self, now: Tick, stream: Stream) -> Result<&mut Stream, Full> {
        let known = self
            .retired
            .iter()
            .position(|retired| retired.ssrc == stream.ssrc);
        if self.live.len() >= self.limits.live_ssrcs {
            // The place that the returning SSRC leaves in `retired` is free for the one that goes there.
            let room = known.is_some() || self.retired.len() < self.limits.retired_ssrcs;
            let idlest = self.idlest(now).filter(|_| room);
            let Some(idlest) = idlest else {
                self.refused += 1;
                return Err(Full);
            };
            let idle = self.live.swap_remove(idlest);
            self.retired.push(idle.indices());
        }
        if let Some(known) = known {
            self.retired.swap_remove(known);
        }
        if self.live.len() == self.live.capacity() {
            // One, then all: nearly every leg has one SSRC at a time, and thousands of contexts should be small.
            let further = if self.live.is_empty() {
                1
            } else {
                self.limits.live_ssrcs - self.live.len()
            };
            self.live.reserve_exact(further);
        }
        self.recent = self.live.len();
        Ok(self.live.push_mut(stream))
    }

    /// The stream that has been silent longest, if long enough.
    fn idlest(&self, now: Tick) -> Option<usize> {
        let (at, stream) = self
            .live
            .iter()
            .enumerate()
            .min_by_key(|(_, stream)| stream.last_used)?;
        (now.since(stream.last_used) >= self.limits.retire_after).then_some(at)
    }

    /// SSRCs with full state.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// How often a further SSRC found no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SrtpLimits = SrtpLimits {
        live_ssrcs: 2,
        retire_after: Duration::from_secs(10),
        retired_ssrcs: 2,
    };

    fn at(seconds: u64) -> Tick {
        Tick::ZERO.after(Duration::from_secs(seconds))
    }

    /// Lets an SSRC use an index, as a context does.
    fn use_index(streams: &mut Streams, now: Tick, ssrc: u32, index: u64) -> Result<bool, Full> {
        let stream = streams.enter(now, ssrc)?;
        let fresh = stream.rtp.check(index).is_ok();
        if fresh {
            stream.rtp.accept(index);
            stream.last_used = now;
        }
        Ok(fresh)
    }

    #[test]
    fn a_live_stream_is_never_retired() {
        let mut streams = Streams::new(LIMITS);
        assert_eq!(use_index(&mut streams, at(0), 1, 5), Ok(true));
        assert_eq!(use_index(&mut streams, at(0), 2, 5), Ok(true));
        assert_eq!(use_index(&mut streams, at(9), 3, 5), Err(Full));
        assert_eq!(streams.refused(), 1);
        assert_eq!(use_index(&mut streams, at(9), 1, 5), Ok(false));
    }

    #[test]
    fn the_longest_idle_stream_makes_room_and_its_indices_stay_used() {
        let mut streams = Streams::new(LIMITS);
        assert_eq!(use_index(&mut streams, at(0), 1, 700), Ok(true));
        assert_eq!(use_index(&mut streams, at(5), 2, 5), Ok(true));
        assert_eq!(use_index(&mut streams, at(11), 3, 5), Ok(true));
        assert_eq!(streams.live(), 2);
        // SSRC 1 is back, SSRC 2 makes room: nothing up to 700 may come again.
        assert_eq!(use_index(&mut streams, at(16), 1, 700), Ok(false));
        assert_eq!(use_index(&mut streams, at(16), 1, 600), Ok(false));
        assert_eq!(use_index(&mut streams, at(16), 1, 701), Ok(true));
        assert_eq!(streams.refused(), 0);
    }

    #[test]
    fn a_stream_that_comes_and_goes_is_remembered_as_it_was_last() {
        let mut streams = Streams::new(LIMITS);
        for round in 0..4_u64 {
            let now = 100 * round;
            assert_eq!(use_index(&mut streams, at(now), 1, 10 * round), Ok(true));
            assert_eq!(use_index(&mut streams, at(now), 1, 10 * round), Ok(false));
            // Two others take both places in turn.
            assert_eq!(use_index(&mut streams, at(now + 20), 2, round), Ok(true));
            assert_eq!(use_index(&mut streams, at(now + 40), 3, round), Ok(true));
        }
        for index in 0..=30 {
            assert_eq!(use_index(&mut streams, at(500), 1, index), Ok(false));
        }
    }

    #[test]
    fn no_ssrc_is_ever_forgotten() {
        let mut streams = Streams::new(LIMITS);
        for ssrc in 1..=4 {
            assert_eq!(
                use_index(&mut streams, at(20 * u64::from(ssrc)), ssrc, 9),
                Ok(true)
            );
        }
        // Two live, two retired: a fifth would make one be forgotten.
        assert_eq!(use_index(&mut streams, at(200), 5, 9), Err(Full));
        for ssrc in 1..=4 {
            assert_eq!(
                use_index(&mut streams, at(300 + 20 * u64::from(ssrc)), ssrc, 9),
                Ok(false)
            );
        }
    }
}
