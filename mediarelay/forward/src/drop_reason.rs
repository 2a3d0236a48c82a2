//! Every way out that is not forward, reply or control.

use viaduct_rtp::srtp::{ProtectError, UnprotectError};
use viaduct_stun::{Class, lite};

use crate::rule::BlockReason;

/// Declares the enum with its texts and the list of all variants in one place.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a datagram was dropped. Each has a counter per worker and, where a flow is known, per flow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A few words for people: logs, metrics, the call view.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// The shell gave a socket that was never bound, or is gone.
    UnknownSocket = "socket is not bound",
    /// The source port is 0: nothing can be sent there.
    PortZero = "source port is zero",
    /// The datagram fills the receive buffer and may have been cut.
    Oversize = "datagram is too long",
    /// None of the protocols of a media port, or too short for the one it looks like.
    Unclassified = "not a media protocol",
    /// ZRTP, which is not supported.
    Zrtp = "ZRTP is not supported",
    /// TURN channel data, which is not supported.
    TurnChannel = "TURN channel data is not supported",
    /// Media at a port that belongs to no leg, from an address of no flow.
    NoLeg = "port belongs to no leg",
    /// Media from an address of no flow at a port whose leg has its endpoint.
    UnknownSource = "source is not the leg's endpoint",
    /// The same while learning, but control was told often enough.
    LearningLimited = "too many packets of unknown sources",
    /// RTP on an RTCP flow or the reverse.
    NotAccepted = "flow does not take this protocol",
    /// The RTP header or padding does not fit.
    MalformedRtp = "malformed RTP",
    /// The RTCP compound does not fit.
    MalformedRtcp = "malformed RTCP",
    /// Wrong SRTP tag, or none.
    NotAuthentic = "SRTP authentication failed",
    /// SRTP packet that came before.
    Replayed = "SRTP packet was received before",
    /// SRTP packet older than the replay window.
    TooOld = "SRTP packet is older than the replay window",
    /// Authentic, but the receive context has no room for a further SSRC.
    ReceiveSsrcLimit = "too many SSRCs to receive",
    /// The receive key has no index left.
    ReceiveKeyExhausted = "SRTP receive key is used up",
    /// No route takes the packet.
    NoRoute = "no route takes the packet",
    /// The MID names no m-line of the rule.
    UnknownMid = "MID is not in the rule",
    /// NG `block media`.
    BlockedMedia = "media is blocked",
    /// NG `block DTMF`.
    BlockedDtmf = "DTMF is blocked",
    /// On hold, or one-way.
    BlockedDirection = "direction does not allow media",
    /// NG `drop-traffic`.
    BlockedTraffic = "traffic is dropped on request",
    /// The route has no output for this protocol.
    NoOutput = "route has no output",
    /// Nothing but RTCP feedback, for a receiver that has agreed on none.
    UnwantedFeedback = "receiver takes no RTCP feedback",
    /// RTCP without feedback, in whose place control writes reports of its own.
    ReportsReplaced = "RTCP reports are replaced by the relay's own",
    /// It has come too often: it goes round and round.
    Loop = "packet goes round in a loop",
    /// The output's socket is gone.
    OutputUnbound = "output socket is gone",
    /// The send context has used the packet's index: a plain sender repeats a sequence number.
    SendIndexReused = "SRTP index was used before",
    /// The packet is too far behind for the send context to know.
    SendIndexTooOld = "SRTP index is too old to send",
    /// The send context has no room for a further SSRC.
    SendSsrcLimit = "too many SSRCs to send",
    /// The send key has no index left.
    SendKeyExhausted = "SRTP send key is used up",
    /// Not a well-formed STUN message, or not Binding.
    MalformedStun = "malformed STUN",
    /// STUN without FINGERPRINT, or with a wrong one.
    StunFingerprint = "STUN fingerprint is wrong",
    /// A check for a username fragment that is not ours.
    UnknownUfrag = "ICE username fragment is unknown",
    /// A check for a leg at a port of another leg.
    ForeignUfrag = "ICE username fragment belongs to another port",
    /// A keepalive; it wants no answer.
    StunIndication = "STUN indication",
    /// A STUN answer that nobody waits for.
    UnexpectedStun = "STUN answer is not expected",
    /// DTLS from an address that control has not allowed.
    DtlsNotAllowed = "DTLS from an address that is not validated",
    /// STUN, DTLS, or media for control, but the leg has caused enough work for control.
    ControlLimited = "leg sends too much to control",
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl From<UnprotectError> for DropReason {
    fn from(error: UnprotectError) -> Self {
        match error {
            UnprotectError::Rtp(_) => Self::MalformedRtp,
            UnprotectError::Rtcp => Self::MalformedRtcp,
            UnprotectError::NoTag { .. } | UnprotectError::NotAuthentic => Self::NotAuthentic,
            UnprotectError::Replayed => Self::Replayed,
            UnprotectError::TooOld => Self::TooOld,
            UnprotectError::TooManySsrcs => Self::ReceiveSsrcLimit,
            UnprotectError::KeyExhausted => Self::ReceiveKeyExhausted,
        }
    }
}

impl From<ProtectError> for DropReason {
    fn from(error: ProtectError) -> Self {
        match error {
            ProtectError::Rtp(_) => Self::MalformedRtp,
            ProtectError::Rtcp => Self::MalformedRtcp,
            // The buffer's tailroom is larger than any tag; only a datagram that is cut could come here.
            ProtectError::NoRoom { .. } => Self::Oversize,
            ProtectError::IndexReused => Self::SendIndexReused,
            ProtectError::IndexTooOld => Self::SendIndexTooOld,
            ProtectError::TooManySsrcs => Self::SendSsrcLimit,
            ProtectError::KeyExhausted => Self::SendKeyExhausted,
        }
    }
}

impl From<lite::DropReason> for DropReason {
    /// For messages that are no answers; those are another matter.
    fn from(reason: lite::DropReason) -> Self {
        match reason {
            lite::DropReason::Malformed(_) | lite::DropReason::NotBinding => Self::MalformedStun,
            lite::DropReason::Fingerprint(_) => Self::StunFingerprint,
            lite::DropReason::NotRequest(Class::Success | Class::Error) => Self::UnexpectedStun,
            lite::DropReason::NotRequest(Class::Indication | Class::Request) => Self::StunIndication,
        }
    }
}

impl From<BlockReason> for DropReason {
    fn from(reason: BlockReason) -> Self {
        match reason {
            BlockReason::Media => Self::BlockedMedia,
            BlockReason::Dtmf => Self::BlockedDtmf,
            BlockReason::Direction => Self::BlockedDirection,
            BlockReason::Traffic => Self::BlockedTraffic,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_counter_and_a_text_of_its_own() {
        for (at, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at);
        }
        let texts: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.text()).collect();
        assert_eq!(texts.len(), DropReason::COUNT);
    }
}
