//! Every bound of a relay that is no setting of the media side.

use std::time::Duration;

/// How much of everything a relay takes on, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLimits {
    /// Sockets, threads, queues and listeners.
    pub shell: ShellLimits,
    /// Calls and what they consist of.
    pub calls: viaduct_session::Limits,
    /// What each worker holds, and how fast it may disturb control. [`sockets`](viaduct_forward::Limits::sockets) counts
    /// from the ports that the settings name, where those are more.
    pub worker: viaduct_forward::Limits,
    /// SRTP contexts of all workers.
    pub crypto: viaduct_forward::CryptoLimits,
    /// What one NG message may cost.
    pub ng: viaduct_ng::Limits,
    /// Answers kept for NG messages that come again.
    pub replies: viaduct_ng::ReplyCacheLimits,
}

impl RelayLimits {
    /// Calls that one relay's tables are made for at most: room for their flows is reserved for each worker when it
    /// begins.
    pub const CALLS_MAX: usize = 100_000;

    /// Limits for so many calls at a time, those among them that wait for their deletion, and at most
    /// [`CALLS_MAX`](Self::CALLS_MAX): with them, calls are what runs out first.
    #[must_use]
    pub fn for_calls(calls: usize) -> Self {
        let calls = calls.min(Self::CALLS_MAX);
        let times = |each: usize| calls * each;
        Self {
            shell: ShellLimits::default(),
            calls: viaduct_session::Limits {
                calls,
                dtls_associations: times(DTLS_ASSOCIATIONS_PER_CALL),
                ..viaduct_session::Limits::default()
            },
            worker: viaduct_forward::Limits {
                flows: times(FLOWS_PER_CALL),
                ufrags: times(UFRAGS_PER_CALL),
                dtls_tuples: times(DTLS_TUPLES_PER_CALL),
                ..viaduct_forward::Limits::default()
            },
            crypto: viaduct_forward::CryptoLimits {
                contexts: times(CRYPTO_CONTEXTS_PER_CALL),
                ..viaduct_forward::CryptoLimits::default()
            },
            ng: viaduct_ng::Limits::default(),
            replies: viaduct_ng::ReplyCacheLimits::default(),
        }
    }
}

/// For as many calls as [`viaduct_session::Limits::calls`] has by default, 20,000.
impl Default for RelayLimits {
    fn default() -> Self {
        Self::for_calls(viaduct_session::Limits::default().calls)
    }
}

/// Two legs with RTP and RTCP ports of their own, and one further path of each while it moves; on one worker at worst.
const FLOWS_PER_CALL: usize = 8;

/// A name for each of two legs, and for each another one while ICE restarts.
const UFRAGS_PER_CALL: usize = 4;

/// One for RTP and RTCP of each of two legs.
const DTLS_ASSOCIATIONS_PER_CALL: usize = 4;

/// As many, each from two paths.
const DTLS_TUPLES_PER_CALL: usize = 8;

/// Both directions of each association, or of each key in an SDP.
const CRYPTO_CONTEXTS_PER_CALL: usize = 8;

/// How much of everything the shell holds, and how its workers wait. Defaults fit a machine that carries thousands of
/// calls; a test makes them small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLimits {
    /// How long a busy worker sleeps between two batches. Default 500 µs: waking once per packet costs 6.6 to 7.9 µs of
    /// CPU a packet, on this tick it is 1.6 to 2.8, for at most as much latency.
    pub tick: Duration,
    /// Datagrams per second above which a worker sleeps between batches. Default 3,000: from about one and a half
    /// datagrams a tick the sleep costs less than it saves.
    pub tick_above_pps: u32,
    /// Datagrams per second below which a worker is woken per datagram again. Default 1,500.
    pub tick_below_pps: u32,
    /// Datagrams that a worker reads from one shared socket, or holds back for sending, at a time. Default 64.
    pub batch: usize,
    /// Sockets that one wake-up of a worker tells of. Default 512; the rest is told of at once afterwards.
    pub ready_sockets: usize,
    /// Orders that wait for one worker. Default 4,096, for a thousand new flows; what does not fit waits with control.
    pub orders_queued: usize,
    /// Orders held by control for workers that do not keep up, beyond which it takes no new calls. Default 65,536.
    pub orders_held: usize,
    /// Datagrams and reports of all workers that wait for control; further datagrams are dropped and counted, further
    /// reports stay with their workers. Default 16,384.
    pub notices_queued: usize,
    /// Requests that wait for control; further ones are refused and counted. Default 4,096.
    pub requests_queued: usize,
    /// Notices, requests and outputs that control takes in a row before it looks at the clock again. Default 256.
    pub control_budget: usize,
    /// Events that a subscriber may lag behind before it loses the oldest. Default 4,096.
    pub events_queued: usize,
    /// `SO_RCVBUF` of a port of its own, in octets. Default 262,144.
    pub port_receive_buffer: usize,
    /// `SO_SNDBUF` of a port of its own, in octets. Default 262,144.
    pub port_send_buffer: usize,
    /// `SO_RCVBUF` of each socket on the browsers' port, in octets. Default 4,194,304: a quarter of a second of a
    /// thousand calls.
    pub shared_receive_buffer: usize,
    /// `SO_SNDBUF` of each socket on the browsers' port, in octets. Default 4,194,304.
    pub shared_send_buffer: usize,
    /// Ports that are bound in one turn of control's loop, so that a burst of calls does not hold it up. Default 64.
    pub binds_per_turn: usize,
    /// NG requests over the network that are being answered; further ones are dropped and counted, and their senders
    /// repeat them. Default 1,024.
    pub ng_outstanding: usize,
    /// Connections of one NG listener over TCP. Default 64.
    pub ng_connections: usize,
    /// How long a connection of an NG listener over TCP may carry nothing between two messages. Default 15 min.
    pub ng_idle: Duration,
    /// `SO_RCVBUF` of an NG listener over UDP, in octets: some hundred offers that wait while the thread is elsewhere.
    /// Default 2,097,152.
    pub ng_receive_buffer: usize,
    /// Names of keys and flags of NG that have no effect and are logged, each once; further ones are not. Default 256.
    pub ng_ignored_logged: usize,
    /// Octets of a message over NG's TCP that are kept while it is incomplete. Default 262,144.
    pub ng_stream_octets: usize,
    /// Connections of one CLI listener. Default 16.
    pub cli_connections: usize,
    /// Octets of one CLI line. Default 1,024.
    pub cli_line_octets: usize,
    /// Connections of one HTTP listener. Default 64.
    pub http_connections: usize,
    /// Octets of one HTTP request's body. Default 262,144.
    pub http_body_octets: usize,
    /// How long a client of a TCP listener may take for one request, and for taking its answer. Default 60 s.
    pub client_patience: Duration,
    /// How long a request to control may take before its asker is told so. Default 5 s.
    pub control_patience: Duration,
}

impl Default for ShellLimits {
    fn default() -> Self {
        Self {
            tick: Duration::from_micros(500),
            tick_above_pps: 3_000,
            tick_below_pps: 1_500,
            batch: 64,
            ready_sockets: 512,
            orders_queued: 4_096,
            orders_held: 65_536,
            notices_queued: 16_384,
            requests_queued: 4_096,
            control_budget: 256,
            events_queued: 4_096,
            port_receive_buffer: 256 << 10,
            port_send_buffer: 256 << 10,
            shared_receive_buffer: 4 << 20,
            shared_send_buffer: 4 << 20,
            binds_per_turn: 64,
            ng_outstanding: 1_024,
            ng_connections: 64,
            ng_idle: Duration::from_secs(15 * 60),
            ng_receive_buffer: 2 << 20,
            ng_ignored_logged: 256,
            ng_stream_octets: 256 << 10,
            cli_connections: 16,
            cli_line_octets: 1_024,
            http_connections: 64,
            http_body_octets: 256 << 10,
            client_patience: Duration::from_secs(60),
            control_patience: Duration::from_secs(5),
        }
    }
}
