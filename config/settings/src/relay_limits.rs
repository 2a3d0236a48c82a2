//! `limits` of the media side: how much of everything the relay takes on, part by part.

use std::time::Duration;

use crate::decode::{section, section_default};
use crate::form::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};
use crate::form::{amount, count, duration, or_word, per_second, section_form, size};

/// The most calls that one relay carries.
pub const RELAY_CALLS_MAX: u32 = 100_000;

/// The most that a table of the relay may be made for.
const TABLE_MAX: u32 = 1_000_000;

section! {
    /// How much of everything the relay takes on. The defaults fit a machine that carries thousands of calls, and
    /// there is mostly no reason to touch them: what grows with the number of calls is `auto`. When something is
    /// refused, the metric named here counts; raise that limit then, and no other.
    pub struct RelayLimitSettings {
        /// Calls that tables are made for, those that wait for their deletion among them; further offers are refused.
        /// Counted by `viaduct_relay_limit_hits{limit="calls"}`. `auto` follows `max_sessions`, or `limits.calls` of the
        /// gateway and an eighth more, and is 20000 at least and 100000 at most: more calls need several relays. Lower
        /// it on a machine with little memory.
        calls: Option<usize> = default(or_word("auto", amount(1..=RELAY_CALLS_MAX)), "auto");
        /// One call: its parties, its SDP, its paths.
        signalling: SignallingLimits = default(section_form::<SignallingLimits>(), "{}");
        /// One DTLS handshake.
        dtls: DtlsLimits = default(section_form::<DtlsLimits>(), "{}");
        /// What each worker holds, and how fast strangers may disturb the control thread.
        forwarding: ForwardingLimits = default(section_form::<ForwardingLimits>(), "{}");
        /// Contexts of SRTP.
        srtp: SrtpLimits = default(section_form::<SrtpLimits>(), "{}");
        /// How the threads take turns.
        pace: PaceLimits = default(section_form::<PaceLimits>(), "{}");
        /// What may wait between the threads.
        queues: QueueLimits = default(section_form::<QueueLimits>(), "{}");
        /// Buffers of sockets.
        buffers: BufferLimits = default(section_form::<BufferLimits>(), "{}");
        /// What clients of the relay's listeners may take. Nothing of it is needed within the gateway.
        listeners: ListenerLimits = default(section_form::<ListenerLimits>(), "{}");
        /// Rooms over Janus' protocol (`janus_secret_file`). Nothing of it is needed within the gateway.
        janus: JanusLimits = default(section_form::<JanusLimits>(), "{}");
        /// What one NG message may cost, and how answers are kept for messages that come again.
        ng: NgLimits = default(section_form::<NgLimits>(), "{}");
    }
}

section! {
    /// One call: its parties, its SDP, its paths. Hits are counted by `viaduct_relay_limit_hits`, whose label is the key
    /// (with `name_octets` for `name`). Raise `parties_per_call` for calls that fork to many phones.
    pub struct SignallingLimits {
        /// Size of a call-id, tag, via-branch, label or other name that is stored; a longer one is refused.
        name: usize = default(size(64, 64 << 10), "1KiB");
        /// Size of an SDP; a larger one is refused.
        sdp: usize = default(size(4 << 10, 1 << 20), "32KiB");
        /// Lines of an SDP; one with more is refused and counted as `sdp`, as with the next three.
        sdp_lines: usize = default(amount(64..=65_536), "4096");
        /// Formats of one m-line.
        sdp_formats: usize = default(amount(16..=65_536), "256");
        /// Attributes of one m-line, or of the part before the first.
        sdp_attributes: usize = default(amount(16..=65_536), "1024");
        /// Candidates of one m-line, those that are not used among them.
        sdp_candidates: usize = default(amount(16..=65_536), "128");
        /// Parties of a call, the caller and its forks; an offer or answer of a further one is refused.
        parties_per_call: usize = default(amount(2..=1_000), "32");
        /// Further tags that one party may go by.
        aliases_per_party: usize = default(amount(1..=1_000), "16");
        /// m-lines of a party; an SDP with more is refused and counted as `sdp`. Less than `routes_per_flow`, because a
        /// bundle has a route for each and one for DTMF.
        medias_per_party: usize = default(amount(1..=15), "7");
        /// ICE candidates that are used of one m-line, trickled ones among them; further ones are ignored.
        candidates_per_media: usize = default(amount(1..=1_000), "32");
        /// Network paths that are kept for one transport: the selected one and others that ICE has validated.
        paths_per_leg: usize = default(amount(1..=64), "6");
        /// Pairs of ports that one transport has had before the other side moved (`port_latching`), and which stay open.
        former_ports_per_leg: usize = default(amount(0..=16), "2");
        /// Media sources (SSRCs) of a call whose quality is followed; others are relayed all the same.
        sources_per_call: usize = default(amount(0..=1_000), "32");
        /// DTLS associations of the whole relay; `auto` is 4 for each call of `calls`.
        dtls_associations: Option<usize> = default(or_word("auto", amount(1..=TABLE_MAX)), "auto");
        /// Parties of the whole relay that something is played to at a time (NG `play media`), and keys that are pressed or wait
        /// for it (`play DTMF`); a command for one more is refused.
        players: usize = default(amount(0..=100_000), "1000");
        /// Faxes of the whole relay that sound is made of, or that are made of sound (NG `T.38`), at a time; one more passes as it is.
        fax_gateways: usize = default(amount(0..=1_000), "32");
        /// Size of all that is played, 16 kB a second, once however many hear it; a command for more is refused.
        clips: usize = default(size(64 << 10, 4 << 30), "64MiB");
        /// Trickled candidates of the whole relay that wait for the party they are for; further ones are dropped.
        fragments_waiting: usize = default(amount(0..=65_536), "256");
        /// Commands of one call that are kept in `state_file` of `viaduct-relay`; a call with more does not survive a
        /// restart. `0` keeps none.
        commands_kept: usize = default(amount(0..=100_000), "256");
        /// Changes of the whole relay's calls that wait for `state_file`; a call whose command finds no room does not
        /// survive a restart.
        state_waiting: usize = default(amount(1..=1_000_000), "16384");
        /// NG clients whose commands are counted by address. Those of further ones are counted together, as client
        /// `other` of `viaduct_relay_ng_requests`.
        clients_counted: usize = default(amount(0..=10_000), "64");
    }
}

section! {
    /// One DTLS handshake. What is over a limit is left out and counted by `viaduct_relay_limit_hits`, whose label is the key
    /// after `dtls_` (with `message_octets` for `message`, `pending_octets` for `pending`). The sizes hold for peers whose
    /// certificate may be RSA, which are those without ICE; the others have those of their library.
    pub struct DtlsLimits {
        /// Size of one handshake message: chains of certificates are the long ones.
        message: usize = default(size(4 << 10, 1 << 20), "24KiB");
        /// Size of handshake messages that are incomplete or not in turn, together.
        pending: usize = default(size(8 << 10, 4 << 20), "48KiB");
        /// Handshake messages that may come before their turn.
        messages_ahead: u32 = default(count(1..=64), "8");
        /// Encrypted records that may come before what their keys follow from.
        early_records: usize = default(amount(0..=64), "4");
        /// How long a flight waits for its answer before it is sent again; each time twice as long. Lost flights are counted
        /// by nobody: see how long handshakes take.
        first_timeout: Duration = default(duration(10 * MILLISECOND, 10 * SECOND), "100ms");
        /// The longest such wait.
        longest_timeout: Duration = default(duration(50 * MILLISECOND, MINUTE), "800ms");
        /// How long a handshake may take.
        handshake: Duration = default(duration(SECOND, 10 * MINUTE), "40s");
    }
}

section! {
    /// What each worker holds, and how fast strangers may disturb the control thread. An order to a worker that finds no
    /// room is counted by `viaduct_relay_worker_orders_failed`, a datagram that is dropped by `viaduct_relay_drops`.
    pub struct ForwardingLimits {
        /// Sockets of media; raised to the number of media ports where those are more.
        sockets: usize = default(amount(64..=4_000_000), "65536");
        /// Flows: two and more for each side of a call; `auto` is 8 for each call of `calls`.
        flows: Option<usize> = default(or_word("auto", amount(16..=TABLE_MAX)), "auto");
        /// Flows that the kernel forwards: two for a call of two phones. What finds no room is forwarded in user space and
        /// counted by `viaduct_relay_control_kernel_full`.
        kernel_flows: usize = default(amount(16..=TABLE_MAX), "16384");
        /// Receivers, for each worker, whose next hop is kept in mind where frames are sent without the kernel
        /// (`frame_interfaces`). When they are more, all are asked for again.
        next_hops: usize = default(amount(16..=TABLE_MAX), "16384");
        /// ICE user names; `auto` is 4 for each call of `calls`.
        ufrags: Option<usize> = default(or_word("auto", amount(16..=TABLE_MAX)), "auto");
        /// Addresses that may send DTLS; `auto` is 8 for each call of `calls`.
        dtls_tuples: Option<usize> = default(or_word("auto", amount(16..=TABLE_MAX)), "auto");
        /// Routes of one flow; more than `medias_per_party`.
        routes_per_flow: usize = default(amount(2..=16), "8");
        /// Media sources (SSRCs) of one flow that are measured at a time; packets of further ones are forwarded
        /// unmeasured.
        ssrcs_per_flow: usize = default(amount(1..=256), "8");
        /// How long a measured source must have been silent before another may take its place.
        ssrc_idle: Duration = default(duration(SECOND, HOUR), "10s");
        /// Payload types and SSRCs that one route may list, and clock rates that one flow may list.
        selectors_per_route: usize = default(amount(16..=1_024), "64");
        /// Addresses that ICE has validated and that are remembered for one transport; of more, the one checked longest
        /// ago is forgotten.
        tuples_per_leg: usize = default(amount(2..=256), "16");
        /// Checks of our own (`ice: full`) whose answers are waited for.
        stun_transactions: usize = default(amount(16..=TABLE_MAX), "8192");
        /// Reports that wait for the control thread; what does not fit is reported on the next occasion.
        /// Counted by `viaduct_relay_worker_reports_delayed`.
        reports_queued: usize = default(amount(16..=TABLE_MAX), "4096");
        /// Packets for listeners, such as recorders, that wait to be sent; further ones are dropped. Counted by
        /// `viaduct_relay_worker_copies_lost`.
        copies_queued: usize = default(amount(16..=TABLE_MAX), "1024");
        /// Packets of unknown sources that one port may hand to the control thread while it learns.
        learn_per_port: u32 = default(per_second(1..=100_000), "50/1s");
        /// DTLS and STUN datagrams that one transport may hand to the control thread, and packets for a fax gateway. Fax takes
        /// a hundred.
        control_per_leg: u32 = default(per_second(10..=100_000), "200/1s");
        /// How soon a nomination that was not followed yet is reported again.
        nomination_repeat: Duration = default(duration(10 * MILLISECOND, 10 * SECOND), "200ms");
        /// How often in a row a packet may come again where the peer's SDP names an address of the relay; beyond, it goes
        /// round in a loop and is dropped. Counted by `viaduct_relay_drops`.
        loop_repeats: usize = default(amount(1..=1_000_000), "30");
        /// A packet that comes again later than this is no repeat.
        loop_window: Duration = default(duration(10 * MILLISECOND, MINUTE), "1s");
    }
}

section! {
    /// Contexts of SRTP. A context that finds no room is counted by `viaduct_relay_control_orders_failed`, a packet of an
    /// SSRC that finds none by `viaduct_relay_drops`.
    pub struct SrtpLimits {
        /// Contexts: one for each direction of each key; `auto` is 8 for each call of `calls`.
        contexts: Option<usize> = default(or_word("auto", amount(16..=TABLE_MAX)), "auto");
        /// SSRCs of one context with full state.
        live_ssrcs: usize = default(amount(2..=1_024), "32");
        /// How long an SSRC must have been silent before it gives way to another; its highest index is remembered.
        retire_after: Duration = default(duration(SECOND, HOUR), "10s");
        /// SSRCs of one context of which the highest index is remembered, 16 bytes each. Where there are more, further
        /// ones are refused: an index must never be used twice.
        retired_ssrcs: usize = default(amount(0..=65_536), "1024");
    }
}

section! {
    /// How the threads take turns. Nothing is refused here: this trades CPU time for latency. See
    /// `viaduct_relay_worker_wakeups`, `viaduct_relay_worker_naps` and `viaduct_relay_worker_cpu_seconds`.
    pub struct PaceLimits {
        /// How long a busy worker sleeps between two batches; a packet waits as long at most. `0s` wakes it for each
        /// packet, at several times the CPU time.
        tick: Duration = default(duration(Duration::ZERO, 20 * MILLISECOND), "500us");
        /// Datagrams of one worker above which it sleeps between batches.
        tick_above: u32 = default(per_second(1..=10_000_000), "3000/1s");
        /// Datagrams of one worker below which it is woken for each again.
        tick_below: u32 = default(per_second(0..=10_000_000), "1500/1s");
        /// Datagrams that a worker reads before it judges and sends them.
        batch: usize = default(amount(1..=64), "64");
        /// Sockets that one wake-up of a worker tells of; the rest is told of right afterwards.
        ready_sockets: usize = default(amount(1..=65_536), "512");
        /// Further sockets of one worker's ports, each for a phone that the port hears alone: the kernel remembers the way to a
        /// socket's peer, and looks it up for each packet otherwise. Steered ports need none, and none is made while half of the
        /// open files that the process may have are in use. Shown by `viaduct_relay_worker_connected`.
        connected_sockets: usize = default(amount(0..=TABLE_MAX), "8192");
        /// Requests, reports and outputs that the control thread takes in a row before it looks at the clock.
        control_budget: usize = default(amount(1..=65_536), "256");
        /// Ports that the control thread opens in a row, so that a burst of calls does not hold it up.
        binds_per_turn: usize = default(amount(1..=10_000), "64");
        /// How long changes of calls may gather before they are written to `state_file`: what a crash loses. The media of
        /// calls is written every 5 s.
        state_delay: Duration = default(duration(MILLISECOND, MINUTE), "100ms");
        /// Changes of calls that are written to `state_file` at a time.
        state_batch: usize = default(amount(1..=1_000_000), "4096");
    }
}

section! {
    /// What may wait between the threads. Raise it if its metric counts although the CPUs are not busy.
    pub struct QueueLimits {
        /// Orders that wait for one worker; what does not fit waits with the control thread.
        /// Shown by `viaduct_relay_control_orders_held`.
        orders: usize = default(amount(16..=TABLE_MAX), "4096");
        /// Orders held by the control thread, beyond which it takes no new calls.
        /// Counted by `viaduct_relay_control_requests_shed`.
        orders_held: usize = default(amount(16..=10_000_000), "65536");
        /// Datagrams and reports of all workers that wait for the control thread; further datagrams are dropped,
        /// further reports wait. Counted by `viaduct_relay_worker_notices_lost` and
        /// `viaduct_relay_worker_reports_held`.
        notices: usize = default(amount(16..=TABLE_MAX), "16384");
        /// Packets and pieces of sound that wait for the thread that converts fax; further ones are dropped. Counted by
        /// `viaduct_relay_control_fax_lost`.
        fax: usize = default(amount(16..=65_536), "1024");
        /// Requests that wait for the control thread; further ones are refused.
        /// Counted by `viaduct_relay_control_requests_refused`.
        requests: usize = default(amount(16..=TABLE_MAX), "4096");
        /// Events that whoever watches calls may lag behind before it loses the oldest. Counted by
        /// `viaduct_relay_control_events_missed`.
        events: usize = default(amount(16..=TABLE_MAX), "4096");
    }
}

section! {
    /// Buffers of sockets (`SO_RCVBUF`, `SO_SNDBUF`). Linux grants no more than `net.core.rmem_max` and `wmem_max`; the
    /// relay says at start if it got less for browsers. Datagrams that find a receive buffer full are counted by
    /// `viaduct_relay_control_receive_overflows` at `browser_port` and steered ports, and otherwise by the system alone
    /// (`RcvbufErrors` in /proc/net/snmp); those that find a send buffer full by `viaduct_relay_send_faults`.
    pub struct BufferLimits {
        /// To receive at a port of `rtp_ports`.
        port_receive: usize = default(size(4 << 10, 1 << 30), "256KiB");
        /// To send from one.
        port_send: usize = default(size(4 << 10, 1 << 30), "256KiB");
        /// To receive at `browser_port`, for each worker: a quarter of a second of a thousand calls.
        browser_receive: usize = default(size(4 << 10, 1 << 30), "4MiB");
        /// To send from it.
        browser_send: usize = default(size(4 << 10, 1 << 30), "4MiB");
        /// To receive what comes to steered ports of `rtp_ports`, for each worker and address: a tenth of a second of a
        /// thousand calls. With `CAP_NET_ADMIN`, which steering needs, the system's limits do not count.
        steered_receive: usize = default(size(4 << 10, 1 << 30), "4MiB");
        /// To send from them.
        steered_send: usize = default(size(4 << 10, 1 << 30), "4MiB");
        /// Frames of 2 KiB to receive into, for each queue of an interface of `frame_interfaces`, and half as many to send from;
        /// rounded up to a power of two. Workers have equal shares of them. They are locked in memory. What finds none is counted by
        /// `viaduct_relay_control_receive_overflows`.
        frames: usize = default(amount(128..=131_072), "4096");
        /// To receive at an NG listener over UDP: some hundred offers that wait.
        ng_receive: usize = default(size(4 << 10, 1 << 30), "2MiB");
    }
}

section! {
    /// What clients of the relay's listeners may take. Connections over a limit are counted by
    /// `viaduct_relay_connections_refused`, those closed for what they sent or did not send by
    /// `viaduct_relay_connections_failed`.
    pub struct ListenerLimits {
        /// NG requests that are being answered; further ones are dropped, and their senders repeat them.
        /// Counted by `viaduct_relay_ng_overload`.
        ng_outstanding: usize = default(amount(1..=65_536), "1024");
        /// Connections of one NG listener over TCP.
        ng_connections: usize = default(amount(1..=65_536), "64");
        /// How long such a connection, or one over WebSocket, may carry nothing between two messages before it is closed.
        /// Counted by `viaduct_relay_connections_idle`.
        ng_idle: Duration = default(duration(10 * SECOND, DAY), "15m");
        /// Size of an NG message over TCP or WebSocket.
        ng_stream: usize = default(size(16 << 10, 16 << 20), "256KiB");
        /// Names of keys and flags of NG that have no effect and are logged, each once; further ones are only counted,
        /// by `viaduct_relay_ng_ignored_unlogged`.
        ng_ignored_logged: usize = default(amount(0..=65_536), "256");
        /// Connections of one `cli` listener.
        cli_connections: usize = default(amount(1..=65_536), "16");
        /// Size of one line there.
        cli_line: usize = default(size(64, 1 << 20), "1KiB");
        /// Connections of one `http` listener.
        http_connections: usize = default(amount(1..=65_536), "64");
        /// Size of the body of an HTTP request; a larger one gets 413. Counted by
        /// `viaduct_relay_ng_http_too_large`.
        http_body: usize = default(size(16 << 10, 16 << 20), "256KiB");
        /// Size of a file or blob that is played (NG `play media`); a larger one is refused. Counted by
        /// `viaduct_relay_ng_media_refused`.
        media_file: usize = default(size(64 << 10, 256 << 20), "32MiB");
        /// How long a client over TCP may take for one request, and for taking its answer.
        client_patience: Duration = default(duration(SECOND, HOUR), "60s");
        /// How long the control thread may take for a request before whoever asked is told so, and how long it may be behind
        /// with NG over UDP before new calls there are told to try another relay. Counted by
        /// `viaduct_relay_control_requests_timed_out` and `viaduct_relay_ng_turned_away`.
        control_patience: Duration = default(duration(100 * MILLISECOND, MINUTE), "5s");
    }
}

section! {
    /// Rooms over Janus' protocol. Whoever goes over a limit is refused with the protocol's code 468 (432 for `publishers`).
    /// Counted by `viaduct_relay_janus_over_limit`, whose label is the key, with `tokens` for `token`.
    pub struct JanusLimits {
        /// Sessions, each a client that is logged in.
        sessions: usize = default(amount(1..=TABLE_MAX), "1000");
        /// Handles of all sessions, each for one that publishes or subscribes.
        handles: usize = default(amount(1..=TABLE_MAX), "10000");
        /// Rooms of all clients.
        rooms: usize = default(amount(1..=TABLE_MAX), "1000");
        /// Publishers of one room, whatever its creator asks for. Of the `parties_per_call` each publisher and each
        /// subscriber takes two.
        publishers: usize = default(amount(1..=500), "15");
        /// Tokens that have been added.
        tokens: usize = default(amount(1..=TABLE_MAX), "10000");
        /// Size of a token.
        token: usize = default(size(16, 4 << 10), "256B");
        /// How long a session lasts whose client says nothing. Counted by `viaduct_relay_janus_sessions_timed_out`.
        session_idle: Duration = default(duration(SECOND, DAY), "60s");
        /// Messages that wait for one connection; one that takes them too slowly is closed. Counted by
        /// `viaduct_relay_janus_connections_slow`.
        waiting: usize = default(amount(16..=65_536), "256");
    }
}

section! {
    /// What one NG message may cost, and how answers are kept for messages that come again. A message that is too large is
    /// counted by `viaduct_relay_ng_malformed`.
    pub struct NgLimits {
        /// Size of a message.
        message: usize = default(size(16 << 10, 16 << 20), "256KiB");
        /// Size of its cookie.
        cookie: usize = default(size(16, 4 << 10), "255B");
        /// Dictionaries and lists inside each other.
        depth: usize = default(amount(9..=64), "32");
        /// Values in one message, keys included.
        elements: usize = default(amount(1_024..=1_000_000), "65536");
        /// Requests whose answers are kept; beyond, the oldest are forgotten early, and their
        /// repetitions are carried out again. Counted by `viaduct_relay_ng_cache_evictions`.
        replies: usize = default(amount(16..=10_000_000), "65536");
        /// Size of all answers that are kept; one that is too large is not kept. Counted by
        /// `viaduct_relay_ng_cache_oversized`.
        replies_size: usize = default(size(64 << 10, 4 << 30), "64MiB");
        /// How often the older half of them is forgotten: an answer is kept once to twice as long.
        replies_kept: Duration = default(duration(SECOND, 10 * MINUTE), "30s");
    }
}

section_default!(
    RelayLimitSettings,
    SignallingLimits,
    DtlsLimits,
    ForwardingLimits,
    SrtpLimits,
    PaceLimits,
    QueueLimits,
    BufferLimits,
    ListenerLimits,
    JanusLimits,
    NgLimits
);
