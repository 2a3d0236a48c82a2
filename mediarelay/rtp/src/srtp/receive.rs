//! Unprotecting what comes in.

use std::fmt;
use std::time::Duration;

use super::cipher::{Cipher, ENCRYPTED, NotAuthentic, Position, RTCP_CLEAR_LEN, TRAILER_LEN};
use super::error::UnprotectError;
use super::keys::{Mki, SrtpKeyMaterial};
use super::profile::SrtpProfile;
use super::streams::{Full, SrtpLimits, SsrcIndices, Streams};
use super::window::{RTP_INDEX_END, Refusal, ReplayWindow};
use crate::header::RtpHeader;
use crate::rtcp::be32;
use crate::tick::Tick;

/// The longest packet for which several rollover counters are tried; see [`ReceiveContext::unprotect_rtp`].
const TRIES_LEN_MAX: usize = 2048;

/// How many rollovers may have gone by unseen: more than three days of audio. It bounds the work that a packet causes.
pub(super) const UNSEEN_ROLLOVERS_MAX: u64 = 256;

/// How long after a search that was in vain the next may be made: forgers cause so many and no more.
const SEARCH_EVERY: Duration = Duration::from_millis(200);

/// One direction of one leg, incoming: session keys and the packet indices received so far.
///
/// A packet changes the context only after its tag is found right.
pub struct ReceiveContext {
    profile: SrtpProfile,
    cipher: Cipher,
    mki: Option<Mki>,
    streams: Streams,
    /// When rollovers may be searched for that went by unseen. `None`: every packet under the key comes here.
    pub(super) next_search: Option<Tick>,
}

/// What became of an SRTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedRtp {
    /// Octets of the RTP packet.
    pub len: usize,
    /// The packet's index: rollover counter and sequence number.
    pub index: u64,
}

impl ReceiveContext {
    /// Reads something of what the next packet of RTP will need, and gives a number that depends on it: who asks for many contexts
    /// has them fetched from memory together. The number means nothing and says nothing of the keys.
    #[must_use]
    pub fn fetch(&self) -> usize {
        usize::from(self.cipher.fetch() ^ self.streams.fetch() == 0)
    }

    /// Derives the session keys.
    #[must_use]
    pub fn new(keys: &SrtpKeyMaterial, limits: SrtpLimits) -> Self {
        Self {
            profile: keys.profile(),
            cipher: Cipher::new(keys),
            mki: keys.mki(),
            streams: Streams::new(limits),
            next_search: None,
        }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// SSRCs with full state.
    #[must_use]
    pub fn live_ssrcs(&self) -> usize {
        self.streams.live()
    }

    /// How often an authentic packet was refused because its SSRC found no room.
    #[must_use]
    pub fn refused_ssrcs(&self) -> u64 {
        self.streams.refused()
    }

    /// Where each SSRC stands.
    #[must_use]
    pub fn indices(&self) -> Vec<SsrcIndices> {
        self.streams.indices().collect()
    }

    /// Goes on after another context with the key, of which this was known last: what came until then is not accepted
    /// again. What came between then and the end of that context could be, once. It may be any number of packets that
    /// [went by unseen](Self::expect_unseen).
    pub fn resume(&mut self, indices: &[SsrcIndices]) {
        self.streams.resume(indices, 0);
        if !indices.is_empty() {
            self.expect_unseen();
        }
    }

    /// From here on packets under the key may go to their receiver without coming here. So the sequence number may have
    /// wrapped any number of times when one comes: see [`unprotect_rtp`](Self::unprotect_rtp).
    pub fn expect_unseen(&mut self) {
        self.next_search.get_or_insert(Tick::ZERO);
    }

    /// Turns an SRTP packet into RTP in its first octets and says how long that is.
    ///
    /// A sender may have begun shortly before its sequence number wrapped, and the keys may have come here only after
    /// the wrap; its first packet here then has a rollover counter of 1. So for the first packet of an SSRC whose
    /// sequence number is in the lower half, 1 is tried after 0. Where packets [go by unseen](Self::expect_unseen), one
    /// that does not hold where it should is tried behind up to 256 rollovers, and after a search in vain not again for
    /// 200 ms. What was recorded while it went by unseen may so be accepted, once.
    ///
    /// # Errors
    /// [`UnprotectError`]; no index is used up, the packet's octets after the header are undefined.
    pub fn unprotect_rtp(&mut self, now: Tick, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        self.open_rtp(now, packet).map(|opened| opened.len)
    }

    /// [`unprotect_rtp`](Self::unprotect_rtp) for who wants to know the packet's index as well.
    ///
    /// # Errors
    /// The same.
    pub fn open_rtp(&mut self, now: Tick, packet: &mut [u8]) -> Result<OpenedRtp, UnprotectError> {
        let tag_len = self.cipher.rtp_tag_len();
        let packet = self.without_mki(packet, tag_len)?;
        let header = RtpHeader::parse(packet)?;
        let (ssrc, sequence, header_len) = (header.ssrc(), header.sequence(), header.size());
        let len = packet
            .len()
            .checked_sub(tag_len)
            .filter(|len| *len >= header_len)
            .ok_or(UnprotectError::NoTag { len: packet.len() })?;
        let window = match self.streams.find(ssrc) {
            Some(stream) => stream.rtp,
            None => self.streams.candidate(now, ssrc).rtp,
        };
        let near = window
            .estimate(sequence)
            .and_then(|index| window.check(index).map(|()| index));
        let searches = self.next_search.is_some_and(|at| at <= now);
        let rollovers = if packet.len() > TRIES_LEN_MAX {
            0
        } else if searches {
            UNSEEN_ROLLOVERS_MAX
        } else {
            u64::from(window.next() == 0 && sequence < 0x8000)
        };
        let index = if rollovers == 0 {
            let index = near?;
            self.cipher
                .open_rtp(packet, header_len, Position { ssrc, index })?;
            index
        } else {
            let further = further(&window, sequence, rollovers).filter(|index| Ok(*index) != near);
            let indices = near.ok().into_iter().chain(further);
            match self.open_at_one_of(packet, header_len, ssrc, indices) {
                Ok(index) => index,
                Err(forged) => {
                    if searches {
                        self.next_search = Some(now.after(SEARCH_EVERY));
                    }
                    near?;
                    return Err(forged.into());
                }
            }
        };
        let stream = self.streams.enter(now, ssrc)?;
        stream.rtp.accept(index);
        stream.last_used = now;
        Ok(OpenedRtp { len, index })
    }

    /// A packet without the identifier of our key, which it must have if the key has one. No tag covers it.
    fn without_mki<'p>(&self, packet: &'p mut [u8], tag_len: usize) -> Result<&'p mut [u8], UnprotectError> {
        let Some(mki) = self.mki else { return Ok(packet) };
        let len = mki.remove(packet, self.cipher.behind_mki(tag_len));
        Ok(&mut packet[..len.ok_or(UnprotectError::NotAuthentic)?])
    }

    /// Tries indices in turn, and gives the one that held.
    fn open_at_one_of(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        indices: impl Iterator<Item = u64>,
    ) -> Result<u64, NotAuthentic> {
        let mut untouched = [0; TRIES_LEN_MAX];
        let untouched = &mut untouched[..packet.len()];
        untouched.copy_from_slice(packet);
        for index in indices {
            if self
                .cipher
                .open_rtp(packet, header_len, Position { ssrc, index })
                .is_ok()
            {
                return Ok(index);
            }
            packet.copy_from_slice(untouched);
        }
        Err(NotAuthentic)
    }

    /// Turns an SRTCP packet into an RTCP compound in its first octets and says how long that is.
    ///
    /// A packet whose E bit is clear is authenticated but not encrypted; it is accepted, since the bit is covered by
    /// the tag: whoever set it has the key.
    ///
    /// # Errors
    /// [`UnprotectError`]; the context is unchanged, the packet's octets after the first eight are undefined.
    pub fn unprotect_rtcp(&mut self, now: Tick, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let tag_len = self.cipher.rtcp_tag_len();
        let packet = self.without_mki(packet, tag_len)?;
        let len = packet
            .len()
            .checked_sub(tag_len + TRAILER_LEN)
            .filter(|len| *len >= RTCP_CLEAR_LEN && packet[0] >> 6 == 2)
            .ok_or(UnprotectError::Rtcp)?;
        let trailer_at = match self.cipher {
            Cipher::Cm(_) => len,
            Cipher::Gcm(_) => len + tag_len,
        };
        let trailer = be32(&packet[trailer_at..]);
        let encrypted = trailer & ENCRYPTED != 0;
        let at = Position {
            ssrc: be32(&packet[4..]),
            index: u64::from(trailer & !ENCRYPTED),
        };
        let window = match self.streams.find(at.ssrc) {
            Some(stream) => stream.rtcp,
            None => self.streams.candidate(now, at.ssrc).rtcp,
        };
        window.check(at.index)?;
        self.cipher.open_rtcp(packet, at, encrypted)?;
        let stream = self.streams.enter(now, at.ssrc)?;
        stream.rtcp.accept(at.index);
        stream.last_used = now;
        Ok(len)
    }

    #[cfg(test)]
    pub(super) fn with(profile: SrtpProfile, cipher: Cipher) -> Self {
        Self {
            profile,
            cipher,
            mki: None,
            streams: Streams::new(SrtpLimits::default()),
            next_search: None,
        }
    }
}

/// The indices of a sequence number beyond what was seen, with so many rollovers.
fn further(window: &ReplayWindow, sequence: u16, rollovers: u64) -> impl Iterator<Item = u64> + use<> {
    let next = window.next();
    let first = next + u64::from(sequence.wrapping_sub(next as u16));
    (0..=rollovers)
        .map(move |rollover| first + (rollover << 16))
        .take_while(|index| *index < RTP_INDEX_END)
}

impl From<NotAuthentic> for UnprotectError {
    fn from(_: NotAuthentic) -> Self {
        Self::NotAuthentic
    }
}

impl From<Full> for UnprotectError {
    fn from(_: Full) -> Self {
        Self::TooManySsrcs
    }
}

impl From<Refusal> for UnprotectError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Seen => Self::Replayed,
            Refusal::TooOld => Self::TooOld,
            Refusal::Exhausted => Self::KeyExhausted,
        }
    }
}

impl fmt::Debug for ReceiveContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveContext")
            .field("profile", &self.profile)
            .field("live_ssrcs", &self.streams.live())
            .finish_non_exhaustive()
    }
}
