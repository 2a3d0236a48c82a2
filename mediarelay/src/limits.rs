//! Every bound of a relay, as its settings ask for them (`limits` of the media side).

use std::time::Duration;

use viaduct_settings::{
    BufferLimits, DtlsLimits, ForwardingLimits, JanusLimits, ListenerLimits, PaceLimits, QueueLimits,
    RelayLimitSettings,
};

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
    /// Rooms over Janus' protocol.
    pub janus: viaduct_janus::Limits,
}

impl RelayLimits {
    /// Calls that one relay's tables are made for at most: room for their flows is reserved for each worker when it
    /// begins.
    pub const CALLS_MAX: usize = 100_000;

    /// Limits for so many calls at a time, those among them that wait for their deletion, and at most
    /// [`CALLS_MAX`](Self::CALLS_MAX): with them, calls are what runs out first.
    #[must_use]
    pub fn for_calls(calls: usize) -> Self {
        let settings = RelayLimitSettings {
            calls: Some(calls),
            ..RelayLimitSettings::default()
        };
        Self::of(&settings, None)
    }

    /// The limits that settings ask for. `wanted` is how many calls there may be at a time as far as others have a say:
    /// where the settings leave it open, there is room for as many, and at least for
    /// [`viaduct_session::Limits::calls`]'s default, which costs little.
    #[must_use]
    pub fn of(settings: &RelayLimitSettings, wanted: Option<usize>) -> Self {
        let calls = settings.calls.unwrap_or_else(|| {
            let least = viaduct_session::Limits::default().calls;
            wanted.unwrap_or(least).max(least)
        });
        let calls = calls.min(Self::CALLS_MAX);
        Self {
            shell: ShellLimits::of(settings),
            calls: calls_of(settings, calls),
            worker: worker_of(&settings.forwarding, calls),
            crypto: viaduct_forward::CryptoLimits {
                contexts: settings.srtp.contexts.unwrap_or(calls * CRYPTO_CONTEXTS_PER_CALL),
                srtp: viaduct_forward::SrtpLimits {
                    live_ssrcs: settings.srtp.live_ssrcs,
                    retire_after: settings.srtp.retire_after,
                    retired_ssrcs: settings.srtp.retired_ssrcs,
                },
            },
            ng: viaduct_ng::Limits {
                octets_max: settings.ng.message,
                cookie_octets_max: settings.ng.cookie,
                depth_max: settings.ng.depth,
                elements_max: settings.ng.elements,
            },
            replies: viaduct_ng::ReplyCacheLimits {
                entries_max: settings.ng.replies,
                octets_max: settings.ng.replies_size,
                generation: settings.ng.replies_kept,
            },
            janus: janus_of(&settings.janus),
        }
    }
}

// Every field is named, here and below: one that is added cannot be without a key.

fn calls_of(settings: &RelayLimitSettings, calls: usize) -> viaduct_session::Limits {
    let of = &settings.signalling;
    viaduct_session::Limits {
        calls,
        name_octets: of.name,
        parties_per_call: of.parties_per_call,
        aliases_per_party: of.aliases_per_party,
        medias_per_party: of.medias_per_party,
        candidates_per_media: of.candidates_per_media,
        sdp_octets: of.sdp,
        sdp_lines: of.sdp_lines,
        sdp_formats: of.sdp_formats,
        sdp_attributes: of.sdp_attributes,
        sdp_candidates: of.sdp_candidates,
        dtls: dtls_of(&settings.dtls),
        paths_per_leg: of.paths_per_leg,
        former_ports_per_leg: of.former_ports_per_leg,
        sources_per_call: of.sources_per_call,
        dtls_associations: of.dtls_associations.unwrap_or(calls * DTLS_ASSOCIATIONS_PER_CALL),
        players: of.players,
        fax_gateways: of.fax_gateways,
        clip_octets: of.clips,
        fragments_waiting: of.fragments_waiting,
        commands_kept: of.commands_kept,
        state_waiting: of.state_waiting,
        clients_counted: of.clients_counted,
    }
}

fn dtls_of(of: &DtlsLimits) -> viaduct_session::DtlsLimits {
    viaduct_session::DtlsLimits {
        message_octets: of.message,
        pending_octets: of.pending,
        // The settings allow no more.
        messages_ahead: u16::try_from(of.messages_ahead).unwrap_or(u16::MAX),
        early_records: of.early_records,
        first_timeout: of.first_timeout,
        longest_timeout: of.longest_timeout,
        handshake: of.handshake,
    }
}

fn janus_of(of: &JanusLimits) -> viaduct_janus::Limits {
    viaduct_janus::Limits {
        sessions: of.sessions,
        handles: of.handles,
        rooms: of.rooms,
        publishers: of.publishers,
        tokens: of.tokens,
        token_octets: of.token,
        session_idle: of.session_idle,
    }
}

fn worker_of(of: &ForwardingLimits, calls: usize) -> viaduct_forward::Limits {
    viaduct_forward::Limits {
        sockets: of.sockets,
        flows: of.flows.unwrap_or(calls * FLOWS_PER_CALL),
        routes_per_flow: of.routes_per_flow,
        ssrcs_per_flow: of.ssrcs_per_flow,
        ssrc_idle: of.ssrc_idle,
        selectors_per_route: of.selectors_per_route,
        ufrags: of.ufrags.unwrap_or(calls * UFRAGS_PER_CALL),
        tuples_per_leg: of.tuples_per_leg,
        dtls_tuples: of.dtls_tuples.unwrap_or(calls * DTLS_TUPLES_PER_CALL),
        stun_transactions: of.stun_transactions,
        reports_queued: of.reports_queued,
        copies_queued: of.copies_queued,
        learn_per_port: of.learn_per_port,
        control_per_leg: of.control_per_leg,
        nomination_repeat: of.nomination_repeat,
        loop_repeats: of.loop_repeats,
        loop_window: of.loop_window,
    }
}

/// For as many calls as [`viaduct_session::Limits::calls`] has by default, 20,000.
impl Default for RelayLimits {
    fn default() -> Self {
        Self::of(&RelayLimitSettings::default(), None)
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
    /// Datagrams that a worker reads before it judges and sends them. Default 64.
    pub batch: usize,
    /// Sockets that one wake-up of a worker tells of. Default 512; the rest is told of at once afterwards.
    pub ready_sockets: usize,
    /// Further sockets of a worker's ports, each for one peer alone. Default 8,192: it saves 0.3 µs for each datagram.
    pub connected_sockets: usize,
    /// Orders that wait for one worker. Default 4,096, for a thousand new flows; what does not fit waits with control.
    pub orders_queued: usize,
    /// Orders held by control for workers that do not keep up, beyond which it takes no new calls. Default 65,536.
    pub orders_held: usize,
    /// Datagrams and reports of all workers that wait for control; further datagrams are dropped and counted, further
    /// reports stay with their workers. Default 16,384.
    pub notices_queued: usize,
    /// What waits for the thread that converts fax; more is dropped and counted. Default 1,024.
    pub fax_queued: usize,
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
    /// `SO_RCVBUF` of each worker's socket for the ports of an address that are steered, in octets. Default 4,194,304: a tenth of a
    /// second of a thousand calls.
    pub steered_receive_buffer: usize,
    /// `SO_SNDBUF` of the socket that it sends from them with, in octets. Default 4,194,304.
    pub steered_send_buffer: usize,
    /// Frames to receive into, for each queue of an interface that hands frames on, and half as many to send from. Default 4,096.
    pub frames: usize,
    /// Ports that are bound in one turn of control's loop, so that a burst of calls does not hold it up. Default 64.
    pub binds_per_turn: usize,
    /// How long changes of calls gather before they are written to the state file. Default 100 ms.
    pub state_delay: Duration,
    /// Changes of calls that are written at a time. Default 4,096.
    pub state_batch: usize,
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
    /// Names of keys and flags of NG that have no effect and are logged, each once; further ones are counted. Default 256.
    pub ng_ignored_logged: usize,
    /// Octets of a message over NG's TCP that are kept while it is incomplete. Default 262,144.
    pub ng_stream_octets: usize,
    /// Connections of one CLI listener. Default 16.
    pub cli_connections: usize,
    /// Flows that the kernel forwards; further ones stay in user space and are counted. Default 16,384.
    pub kernel_flows: usize,
    /// Receivers, for each worker, whose next hop is kept in mind. Default 16,384.
    pub next_hops: usize,
    /// Octets of one CLI line. Default 1,024.
    pub cli_line_octets: usize,
    /// Connections of one HTTP listener. Default 64.
    pub http_connections: usize,
    /// Octets of one HTTP request's body. Default 262,144.
    pub http_body_octets: usize,
    /// Octets of a file or blob that is played. Default 33,554,432: six minutes of a compact disc's sound, and far more of speech.
    pub media_file_octets: usize,
    /// Messages of Janus' protocol that wait for one connection. Default 256.
    pub janus_waiting: usize,
    /// How long a client of a TCP listener may take for one request, and for taking its answer. Default 60 s.
    pub client_patience: Duration,
    /// How long a request to control may take before its asker is told so, and how long control may be behind with NG over UDP
    /// before new calls there are told to try another relay. Default 5 s.
    pub control_patience: Duration,
}

impl ShellLimits {
    fn of(settings: &RelayLimitSettings) -> Self {
        let RelayLimitSettings {
            pace,
            queues,
            buffers,
            listeners,
            forwarding,
            janus,
            ..
        } = settings;
        let PaceLimits {
            tick,
            tick_above,
            tick_below,
            batch,
            ready_sockets,
            connected_sockets,
            control_budget,
            binds_per_turn,
            state_delay,
            state_batch,
        } = pace;
        let QueueLimits {
            orders,
            orders_held,
            notices,
            fax,
            requests,
            events,
        } = queues;
        let BufferLimits {
            port_receive,
            port_send,
            browser_receive,
            browser_send,
            steered_receive,
            steered_send,
            frames,
            ng_receive,
        } = buffers;
        let ListenerLimits {
            ng_outstanding,
            ng_connections,
            ng_idle,
            ng_stream,
            ng_ignored_logged,
            cli_connections,
            cli_line,
            http_connections,
            http_body,
            media_file,
            client_patience,
            control_patience,
        } = listeners;
        Self {
            tick: *tick,
            tick_above_pps: *tick_above,
            tick_below_pps: *tick_below,
            batch: *batch,
            ready_sockets: *ready_sockets,
            connected_sockets: *connected_sockets,
            orders_queued: *orders,
            orders_held: *orders_held,
            notices_queued: *notices,
            fax_queued: *fax,
            requests_queued: *requests,
            control_budget: *control_budget,
            events_queued: *events,
            port_receive_buffer: *port_receive,
            port_send_buffer: *port_send,
            shared_receive_buffer: *browser_receive,
            shared_send_buffer: *browser_send,
            steered_receive_buffer: *steered_receive,
            steered_send_buffer: *steered_send,
            frames: *frames,
            binds_per_turn: *binds_per_turn,
            state_delay: *state_delay,
            state_batch: *state_batch,
            ng_outstanding: *ng_outstanding,
            ng_connections: *ng_connections,
            ng_idle: *ng_idle,
            ng_receive_buffer: *ng_receive,
            ng_ignored_logged: *ng_ignored_logged,
            ng_stream_octets: *ng_stream,
            cli_connections: *cli_connections,
            kernel_flows: forwarding.kernel_flows,
            next_hops: forwarding.next_hops,
            cli_line_octets: *cli_line,
            http_connections: *http_connections,
            http_body_octets: *http_body,
            media_file_octets: *media_file,
            janus_waiting: janus.waiting,
            client_patience: *client_patience,
            control_patience: *control_patience,
        }
    }
}

impl Default for ShellLimits {
    fn default() -> Self {
        Self {
            tick: Duration::from_micros(500),
            tick_above_pps: 3_000,
            tick_below_pps: 1_500,
            batch: 64,
            ready_sockets: 512,
            connected_sockets: 8_192,
            orders_queued: 4_096,
            orders_held: 65_536,
            notices_queued: 16_384,
            fax_queued: 1_024,
            requests_queued: 4_096,
            control_budget: 256,
            events_queued: 4_096,
            port_receive_buffer: 256 << 10,
            port_send_buffer: 256 << 10,
            shared_receive_buffer: 4 << 20,
            shared_send_buffer: 4 << 20,
            steered_receive_buffer: 4 << 20,
            steered_send_buffer: 4 << 20,
            frames: 4_096,
            binds_per_turn: 64,
            state_delay: Duration::from_millis(100),
            state_batch: 4_096,
            ng_outstanding: 1_024,
            ng_connections: 64,
            ng_idle: Duration::from_secs(15 * 60),
            ng_receive_buffer: 2 << 20,
            ng_ignored_logged: 256,
            ng_stream_octets: 256 << 10,
            cli_connections: 16,
            kernel_flows: 16_384,
            next_hops: 16_384,
            cli_line_octets: 1_024,
            http_connections: 64,
            http_body_octets: 256 << 10,
            media_file_octets: 32 << 20,
            janus_waiting: 256,
            client_patience: Duration::from_secs(60),
            control_patience: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests;
