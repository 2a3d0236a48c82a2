//! Timer values and bounds.

use std::time::Duration;

/// The timers of RFC 3261 section 17 (table 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of the round trip. 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and of final answers to INVITE. 4 s.
    pub t2: Duration,
    /// Longest time that a message stays in the network. 5 s.
    pub t4: Duration,
    /// Timer D over UDP: how long repeats of a final answer to INVITE are acknowledged. At least 32 s.
    pub timer_d: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_d: Duration::from_secs(32),
        }
    }
}

impl Timing {
    /// 64·T1: timers B, F, H, J, L and M, 32 s by default.
    pub fn lifetime(&self) -> Duration {
        64 * self.t1
    }
}

/// Bounds of one transaction layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Server transactions at a time; a request beyond is answered 503 without state. The last eighth is for CANCEL and for
    /// requests inside dialogs. 100,000.
    pub server_transactions_max: usize,
    /// Client transactions at a time; a request beyond is not sent. 200,000.
    pub client_transactions_max: usize,
    /// What a refused request is told to wait, Retry-After in seconds. 5.
    pub retry_after_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            server_transactions_max: 100_000,
            client_transactions_max: 200_000,
            retry_after_s: 5,
        }
    }
}

/// What a [`Layer`](crate::Layer) is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Timer values.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// Answer every datagram where it came from, also without `rport`: a phone behind a NAT hears nothing else.
    /// True.
    pub symmetric_response: bool,
    /// Goes into the To tags of answers that are made without a transaction, see
    /// [`ResponseBuilder::stateless_to_tag`](viaduct_sip::ResponseBuilder::stateless_to_tag). 0.
    pub tag_key: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            limits: Limits::default(),
            symmetric_response: true,
            tag_key: 0,
        }
    }
}

/// What a layer has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that began a server transaction.
    pub requests: u64,
    /// Repeats of a request that a transaction absorbed.
    pub request_repeats: u64,
    /// Requests refused with 503 because of [`Limits::server_transactions_max`].
    pub requests_refused: u64,
    /// Requests not sent because of [`Limits::client_transactions_max`].
    pub clients_refused: u64,
    /// Responses handed to the user of the layer.
    pub responses: u64,
    /// Responses that belong to no transaction, dropped (RFC 3261 section 18.1.2).
    pub responses_stray: u64,
    /// ACKs that belong to no transaction and to no 2xx, dropped.
    pub acks_stray: u64,
    /// Requests and final answers sent again because a timer fired.
    pub retransmissions: u64,
    /// Client transactions that ended without a final answer.
    pub client_timeouts: u64,
    /// INVITE server transactions whose final answer was never acknowledged (timer H).
    pub acks_missing: u64,
}
