//! What a worker says about one datagram, and what it tells control.

use viaduct_rtp::Tick;

use crate::address::{FlowId, FlowKey, LegId, Out, SocketId};
use crate::drop_reason::DropReason;

/// What the shell does with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the buffer's [`data`](crate::PacketBuf::data).
    Forward {
        /// From where to where.
        out: Out,
        /// The socket that is bound to `out.local`.
        via: SocketId,
    },
    /// Send the buffer's [`data`](crate::PacketBuf::data) back where the datagram came from, through the socket it
    /// came in by. Never more than [`GROWTH_MAX`](viaduct_stun::lite::GROWTH_MAX) octets longer than what came.
    Reply,
    /// Give the buffer's [`data`](crate::PacketBuf::data) to control, with both addresses.
    ToControl(ToControl),
    /// Nothing. It is counted.
    Drop(DropReason),
}

/// Why control gets a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToControl {
    /// DTLS from an address that control has allowed, or from an unknown one at a learning port of a leg without keys that
    /// has another address allowed.
    Dtls {
        /// Whose handshake.
        leg: LegId,
    },
    /// A STUN message for a leg with a full ICE agent, or the answer that control waits for.
    Stun {
        /// Whose.
        leg: LegId,
    },
    /// Media from an unknown source at a learning port: authentic where there is a key, in the clear by now.
    UnknownSource {
        /// Whose port.
        leg: LegId,
        /// What it is.
        kind: MediaKind,
    },
    /// Media whose route says so ([`Route::to_control`](crate::Route::to_control)), in the clear by now.
    Media {
        /// Who sends it.
        leg: LegId,
    },
}

impl ToControl {
    /// The leg that it is about.
    #[must_use]
    pub fn leg(&self) -> LegId {
        let (Self::Dtls { leg } | Self::Stun { leg } | Self::UnknownSource { leg, .. } | Self::Media { leg }) =
            self;
        *leg
    }
}

/// RTP or RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

/// A telephone event (RFC 4733 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TelephoneEvent {
    /// 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D; others are no digits.
    pub event: u8,
    /// Loudness in -dBm0, 0 to 63.
    pub volume: u8,
    /// Ticks of the payload's clock.
    pub duration: u16,
    /// That clock in Hz; 0 if unknown.
    pub clock_rate: u32,
}

/// What control must know. Nothing is lost when the queue is full: what was not reported is reported on the next
/// occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The first good packet of a flow whose rule says `confirm`.
    FlowConfirmed {
        /// Which.
        flow: FlowId,
        /// Whose.
        leg: LegId,
        /// When.
        at: Tick,
    },
    /// A good check from an address that this worker has not seen for the leg.
    TupleValidated {
        /// Whose.
        leg: LegId,
        /// From where to where.
        tuple: FlowKey,
        /// PRIORITY of the check.
        priority: Option<u32>,
        /// USE-CANDIDATE of the check; a [`Nominated`](Self::Nominated) follows then.
        use_candidate: bool,
        /// When.
        at: Tick,
    },
    /// The peer nominates an address that is not the leg's selected one.
    Nominated {
        /// Whose.
        leg: LegId,
        /// From where to where.
        tuple: FlowKey,
        /// When.
        at: Tick,
    },
    /// A telephone event (RFC 4733) is over. Reported once, whether its last packets arrive or not: then with what was
    /// heard of it, when the next event begins.
    EventEnded {
        /// Who sends it.
        flow: FlowId,
        /// Whose.
        leg: LegId,
        /// What.
        event: TelephoneEvent,
        /// When.
        at: Tick,
    },
    /// A [`KeyPress`](crate::KeyPress) is over.
    KeyPressed {
        /// In whose name.
        flow: FlowId,
        /// Whose.
        leg: LegId,
        /// Which.
        id: u64,
        /// When.
        at: Tick,
    },
    /// The peer believes to be controlled as well; it was told to change.
    RoleConflict {
        /// Whose.
        leg: LegId,
        /// From where to where.
        tuple: FlowKey,
        /// When.
        at: Tick,
    },
}

impl Report {
    /// The leg that it is about.
    #[must_use]
    pub fn leg(&self) -> LegId {
        let (Self::FlowConfirmed { leg, .. }
        | Self::TupleValidated { leg, .. }
        | Self::Nominated { leg, .. }
        | Self::EventEnded { leg, .. }
        | Self::KeyPressed { leg, .. }
        | Self::RoleConflict { leg, .. }) = self;
        *leg
    }
}
