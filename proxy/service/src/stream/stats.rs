//! What a stream has counted.

use std::time::Duration;

use viaduct_rtp::stats::ReceptionSnapshot;

/// One stream's figures so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamStats {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Octets of their payloads.
    pub octets_sent: u64,
    /// Blocks of 20 ms that were left out because the shell came too late, or because of a hold.
    pub blocks_skipped: u64,
    /// RTCP compounds sent.
    pub reports_sent: u64,
    /// RTCP compounds received.
    pub reports_received: u64,
    /// The caller's stream. `None` until it began.
    pub received: Option<ReceptionSnapshot>,
    /// From us to the caller and back, by RTCP.
    pub round_trip: Option<Duration>,
    /// How often the echo had to find the caller's timing anew, the first time included.
    pub resyncs: u64,
    /// Keys that the caller pressed.
    pub digits: u64,
    /// Keys that were not sent back because sixteen others waited.
    pub digits_over_limit: u64,
    /// Events that were not told because the shell did not ask for those before.
    pub events_over_limit: u64,
    /// Datagrams that were dropped.
    pub drops: Drops,
}

/// Datagrams that were dropped, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    /// Neither RTP nor RTCP, or broken.
    pub malformed: u64,
    /// From another address than the one that is heard.
    pub foreign: u64,
    /// On the wrong socket, or in a direction that was not agreed.
    pub unexpected: u64,
    /// With a payload type that was not agreed.
    pub unknown_type: u64,
    /// Seen before.
    pub duplicate: u64,
    /// Of another SSRC or far from the sequence, until a second packet confirms it (RFC 3550 appendix A.1).
    pub stray: u64,
    /// With our own SSRC: what we sent has come back.
    pub looped: u64,
    /// Audio with no octet or with more than [`PAYLOAD_SAMPLES_MAX`](crate::PAYLOAD_SAMPLES_MAX), or a broken event.
    pub bad_payload: u64,
}
