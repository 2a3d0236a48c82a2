//! What an agent counts.

/// What an agent has counted since it was made. All only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages received.
    pub messages: u64,
    /// Messages dropped: requests that cannot be answered, answers to nothing.
    pub dropped: u64,
    /// Requests refused, whatever for.
    pub refusals: u64,
    /// Calls begun: INVITEs for which media was asked of the shell.
    pub calls: u64,
    /// Calls answered.
    pub calls_answered: u64,
    /// Calls refused because of [`Limits::sessions_max`](crate::Limits::sessions_max).
    pub calls_over_limit: u64,
    /// Calls refused because no codec, address or transport was common.
    pub calls_incompatible: u64,
    /// Calls refused because the shell could not open media, or took longer than
    /// [`Times::media_open_max`](crate::Times::media_open_max).
    pub media_unavailable: u64,
    /// Calls ended because of [`Times::session_max`](crate::Times::session_max).
    pub calls_too_long: u64,
    /// Calls ended because the caller sent no media.
    pub calls_silent: u64,
    /// Requests refused because of [`Limits::body_octets_max`](crate::Limits::body_octets_max).
    pub bodies_over_limit: u64,
    /// Requests refused because of [`Limits::dialog_octets_max`](crate::Limits::dialog_octets_max).
    pub dialogs_over_limit: u64,
    /// SDP that could not be read; what went over [`Limits::sdp`](crate::Limits::sdp) is among it.
    pub bad_sdp: u64,
    /// Requests inside a dialog with a CSeq that did not rise.
    pub out_of_order: u64,
    /// Requests for a dialog that does not exist, tags or Call-ID forged or late.
    pub dialogs_unknown: u64,
    /// ACKs that acknowledge nothing: repeats, or for an unknown dialog.
    pub acks_stray: u64,
    /// 2xx sent again because no ACK came.
    pub answers_repeated: u64,
    /// 2xx that were never acknowledged.
    pub acks_missing: u64,
    /// Our BYEs that nobody answered, or that the transaction layer refused to send.
    pub byes_failed: u64,
    /// Digits reported, from INFO and from RTP.
    pub digits: u64,
}

/// What exists in an agent at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Calls whose media is being opened.
    pub calls_opening: usize,
    /// Calls answered.
    pub calls_answered: usize,
    /// Dialogs that we ended and whose BYE has no answer yet.
    pub dialogs_ending: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
}

macro_rules! add_fields {
    ($name:ident: $($field:ident),* $(,)?) => {
        impl std::ops::Add for $name {
            type Output = Self;

            /// Of several shards together.
            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field + other.$field),* }
            }
        }
    };
}

add_fields!(Counters: messages, dropped, refusals, calls, calls_answered, calls_over_limit, calls_incompatible,
    media_unavailable, calls_too_long, calls_silent, bodies_over_limit, dialogs_over_limit, bad_sdp, out_of_order,
    dialogs_unknown, acks_stray, answers_repeated, acks_missing, byes_failed, digits);
add_fields!(Gauges: calls_opening, calls_answered, dialogs_ending, server_transactions, client_transactions);
