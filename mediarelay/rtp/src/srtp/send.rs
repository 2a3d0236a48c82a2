//! Protecting what goes out.

use std::fmt;

use super::cipher::{Cipher, Position, RTCP_CLEAR_LEN, TRAILER_LEN};
use super::error::ProtectError;
use super::keys::{Mki, SrtpKeyMaterial};
use super::profile::SrtpProfile;
use super::streams::{Full, SrtpLimits, SsrcIndices, Streams};
use super::window::{RTCP_INDEX_END, Refusal, ReplayWindow};
use crate::header::RtpHeader;
use crate::rtcp::be32;
use crate::tick::Tick;

/// One direction of one leg, outgoing: session keys and the packet indices used so far.
///
/// A relay protects packets that others have numbered. So an index is checked as a receiver would: one that was used,
/// or is too old to tell, is refused, since encrypting other octets under it would give both away.
pub struct SendContext {
    profile: SrtpProfile,
    cipher: Cipher,
    mki: Option<Mki>,
    streams: Streams,
    /// Index of an SSRC's first RTCP packet.
    first_rtcp: u64,
}

/// Where RTCP is counted from under a key that somebody else sends under as well: half way, which is 34 years of one
/// packet a second away.
const FIRST_SHARED_RTCP: u64 = RTCP_INDEX_END / 2;

impl SendContext {
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
            first_rtcp: if keys.is_shared() { FIRST_SHARED_RTCP } else { 0 },
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

    /// How often a packet was refused because its SSRC found no room.
    #[must_use]
    pub fn refused_ssrcs(&self) -> u64 {
        self.streams.refused()
    }

    /// Where each SSRC stands.
    #[must_use]
    pub fn indices(&self) -> Vec<SsrcIndices> {
        self.streams.indices().collect()
    }

    /// Goes on after another context with the key, of which this was known last. Both kinds of index must not be used
    /// twice for different octets:
    ///
    /// - RTP keeps the numbers of those who made it, so an index comes twice only if its sender uses a sequence number
    ///   twice. What was known to be used is refused; for what was used after that, the same packet gives the same
    ///   octets.
    /// - RTCP is numbered here. Whoever resumes adds to each `rtcp_next`, and gives as `rtcp_first` for all other SSRCs,
    ///   more than can have been used since.
    pub fn resume(&mut self, indices: &[SsrcIndices], rtcp_first: u32) {
        self.streams.resume(indices, rtcp_first);
    }

    /// Turns the RTP packet in the first `len` octets of the buffer into SRTP and says how long that is.
    ///
    /// The buffer needs [`SrtpProfile::rtp_tag_len`] octets after the packet, and those of an identifier of the key.
    ///
    /// # Errors
    /// [`ProtectError`]; the buffer is unchanged, and no index is used up.
    pub fn protect_rtp(&mut self, now: Tick, buffer: &mut [u8], len: usize) -> Result<usize, ProtectError> {
        let tag_len = self.cipher.rtp_tag_len();
        let sealed = len + tag_len;
        let end = sealed + self.mki.map_or(0, |mki| mki.len());
        let missing = end.saturating_sub(buffer.len());
        let whole = buffer.get_mut(..end).ok_or(ProtectError::NoRoom { missing })?;
        let packet = &mut whole[..sealed];
        let header = RtpHeader::parse(&packet[..len])?;
        let (ssrc, sequence, header_len) = (header.ssrc(), header.sequence(), header.size());
        let stream = self.streams.enter(now, ssrc)?;
        let index = stream.rtp.estimate(sequence)?;
        stream.rtp.check(index)?;
        self.cipher.seal_rtp(packet, header_len, Position { ssrc, index });
        stream.rtp.accept(index);
        stream.last_used = now;
        if let Some(mki) = self.mki {
            mki.insert(whole, self.cipher.behind_mki(tag_len));
        }
        Ok(end)
    }

    /// RTP of an SSRC goes on with this index: what was before it went under the key without this context. An index that
    /// this context has come to already changes nothing.
    pub fn follow(&mut self, now: Tick, ssrc: u32, index: u64) {
        // Where there is no room, the packet is refused.
        let Ok(stream) = self.streams.enter(now, ssrc) else {
            return;
        };
        if index >= stream.rtp.next() && stream.rtp.estimate(index as u16) != Ok(index) {
            stream.rtp = ReplayWindow::resumed(index);
        }
    }

    /// Turns the RTCP compound in the first `len` octets of the buffer into SRTCP and says how long that is.
    ///
    /// The buffer needs [`SrtpProfile::rtcp_tag_len`] and four octets after the compound, and those of an identifier of the
    /// key. The index counts from zero
    /// for each SSRC, or from the middle under a key that is [shared](SrtpKeyMaterial::shared).
    ///
    /// # Errors
    /// [`ProtectError`]; the buffer is unchanged, and no index is used up.
    pub fn protect_rtcp(&mut self, now: Tick, buffer: &mut [u8], len: usize) -> Result<usize, ProtectError> {
        let tag_len = self.cipher.rtcp_tag_len();
        let sealed = len + tag_len + TRAILER_LEN;
        let end = sealed + self.mki.map_or(0, |mki| mki.len());
        let missing = end.saturating_sub(buffer.len());
        let whole = buffer.get_mut(..end).ok_or(ProtectError::NoRoom { missing })?;
        let packet = &mut whole[..sealed];
        if len < RTCP_CLEAR_LEN || packet[0] >> 6 != 2 {
            return Err(ProtectError::Rtcp);
        }
        let ssrc = be32(&packet[4..]);
        let stream = self.streams.enter(now, ssrc)?;
        let index = stream.rtcp.next().max(self.first_rtcp);
        if index >= RTCP_INDEX_END {
            return Err(ProtectError::KeyExhausted);
        }
        self.cipher.seal_rtcp(packet, Position { ssrc, index });
        stream.rtcp.accept(index);
        stream.last_used = now;
        if let Some(mki) = self.mki {
            mki.insert(whole, self.cipher.behind_mki(tag_len));
        }
        Ok(end)
    }

    /// Continues an SSRC's RTCP at this index, for vectors that do not begin at zero.
    #[cfg(test)]
    pub(super) fn with(profile: SrtpProfile, cipher: Cipher, rtcp: Option<(u32, u64)>) -> Self {
        let mut streams = Streams::new(SrtpLimits::default());
        if let Some((ssrc, next)) = rtcp {
            streams.enter(Tick::ZERO, ssrc).unwrap().rtcp = ReplayWindow::resumed(next);
        }
        Self {
            profile,
            cipher,
            mki: None,
            streams,
            first_rtcp: 0,
        }
    }
}

impl From<Full> for ProtectError {
    fn from(_: Full) -> Self {
        Self::TooManySsrcs
    }
}

impl From<Refusal> for ProtectError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Seen => Self::IndexReused,
            Refusal::TooOld => Self::IndexTooOld,
            Refusal::Exhausted => Self::KeyExhausted,
        }
    }
}

impl fmt::Debug for SendContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendContext")
            .field("profile", &self.profile)
            .field("live_ssrcs", &self.streams.live())
            .finish_non_exhaustive()
    }
}
