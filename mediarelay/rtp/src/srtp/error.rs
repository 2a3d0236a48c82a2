//! Why a packet is not protected or unprotected.

use crate::header::RtpError;

/// Why a packet cannot be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtectError {
    /// Not an RTP packet.
    #[error(transparent)]
    Rtp(#[from] RtpError),
    /// Shorter than an RTCP header, or not version 2.
    #[error("not an RTCP packet")]
    Rtcp,
    /// The buffer has no room for tag and index.
    #[error("the buffer lacks {missing} octets for the tag")]
    NoRoom {
        /// Octets that are missing.
        missing: usize,
    },
    /// This index of this SSRC was used before: the same key stream would cover two packets.
    #[error("the packet's index was used before")]
    IndexReused,
    /// The index is so old that the window cannot tell whether it was used.
    #[error("the packet's index is older than the window")]
    IndexTooOld,
    /// A further SSRC does not fit [`SrtpLimits`](super::SrtpLimits).
    #[error("the context has too many SSRCs")]
    TooManySsrcs,
    /// 2^48 RTP or 2^31 RTCP packets: the key's life is over (RFC 3711, section 9.2).
    #[error("the key is used up")]
    KeyExhausted,
}

/// Why a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnprotectError {
    /// Not an RTP packet.
    #[error(transparent)]
    Rtp(#[from] RtpError),
    /// Not an RTCP version 2 packet, or too short for header, tag and index.
    #[error("not an SRTCP packet")]
    Rtcp,
    /// The RTP packet is too short for its tag.
    #[error("the packet of {len} octets is too short for its tag")]
    NoTag {
        /// Octets of the packet.
        len: usize,
    },
    /// This index of this SSRC was received before.
    #[error("the packet was received before")]
    Replayed,
    /// The index is older than the replay window.
    #[error("the packet is older than the replay window")]
    TooOld,
    /// The tag is wrong: another key, or the packet was changed.
    #[error("the packet is not authentic")]
    NotAuthentic,
    /// Authentic, but a further SSRC does not fit [`SrtpLimits`](super::SrtpLimits).
    #[error("the context has too many SSRCs")]
    TooManySsrcs,
    /// The index would pass 2^48: the key's life is over (RFC 3711, section 9.2).
    #[error("the key is used up")]
    KeyExhausted,
}
