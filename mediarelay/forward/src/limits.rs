//! Every bound of a worker.

use std::time::Duration;

/// The most that [`Limits::routes_per_flow`] can be.
pub const ROUTES_MAX: usize = 16;

/// Listeners of one route.
pub const LISTENERS_MAX: usize = 8;

/// How much of everything one worker holds, and how fast it may disturb control. All memory is bounded by these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Highest [`SocketId`](crate::SocketId) plus one. Default 65,536.
    pub sockets: usize,
    /// Flows. Default 16,384.
    pub flows: usize,
    /// Routes of one flow, at most [`ROUTES_MAX`](crate::ROUTES_MAX). Default 8.
    pub routes_per_flow: usize,
    /// SSRCs of one flow that are measured at a time; packets of further ones are forwarded unmeasured and
    /// counted. Default 8.
    pub ssrcs_per_flow: usize,
    /// How long an SSRC must have been silent before a further one may take its place. Default 10 s.
    pub ssrc_idle: Duration,
    /// Payload types and SSRCs that one route may list, and clock rates that one flow may list. Default 64.
    pub selectors_per_route: usize,
    /// ICE username fragments. Default 16,384.
    pub ufrags: usize,
    /// Validated addresses that are remembered per leg; of more, the one checked longest ago is forgotten, except the
    /// selected one. Default 16.
    pub tuples_per_leg: usize,
    /// Addresses that may send DTLS. Default 32,768.
    pub dtls_tuples: usize,
    /// STUN transactions that are waited for. Default 8,192.
    pub stun_transactions: usize,
    /// Reports that wait for control; what does not fit is reported on the next occasion. Default 4,096.
    pub reports_queued: usize,
    /// Packets for listeners that wait to be sent; further ones are dropped and counted. They are sent after every batch.
    /// Default 1,024.
    pub copies_queued: usize,
    /// Packets of unknown sources that one learning port may hand to control per second. Default 50.
    pub learn_per_port: u32,
    /// DTLS datagrams and reports about checks that the validated addresses of one leg may cause per second, and as
    /// many STUN datagrams for its full agent that anybody may cause; and packets that a route hands to control. Default 200.
    pub control_per_leg: u32,
    /// How soon a nomination that control has not followed is reported again. Default 200 ms.
    pub nomination_repeat: Duration,
    /// How often in a row a packet may come again on a flow whose peer's SDP names an address of ours; then it is in a loop and
    /// is dropped. Default 30, as with rtpengine.
    pub loop_repeats: usize,
    /// What comes again later than this is no repeat. Default 1 s.
    pub loop_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 65_536,
            flows: 16_384,
            routes_per_flow: 8,
            ssrcs_per_flow: 8,
            ssrc_idle: Duration::from_secs(10),
            selectors_per_route: 64,
            ufrags: 16_384,
            tuples_per_leg: 16,
            dtls_tuples: 32_768,
            stun_transactions: 8_192,
            reports_queued: 4_096,
            copies_queued: 1_024,
            learn_per_port: 50,
            control_per_leg: 200,
            nomination_repeat: Duration::from_millis(200),
            loop_repeats: 30,
            loop_window: Duration::from_secs(1),
        }
    }
}
