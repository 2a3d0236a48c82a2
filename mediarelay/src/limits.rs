//! Every bound of the shell that is no setting of the configuration file.

use std::time::Duration;

/// How much of everything the shell holds and how its workers wait. Defaults fit a machine that carries thousands of
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
    /// Orders that wait for one worker. Default 16,384; what does not fit waits with control.
    pub orders_queued: usize,
    /// Orders held by control for workers that do not keep up, beyond which it takes no new calls. Default 65,536.
    pub orders_held: usize,
    /// Datagrams and reports of one worker that wait for control; further datagrams are dropped and counted, further
    /// reports stay with the worker. Default 8,192.
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
    /// How long a client of a TCP listener may take for one request, and be silent between two. Default 60 s.
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
            orders_queued: 16_384,
            orders_held: 65_536,
            notices_queued: 8_192,
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
