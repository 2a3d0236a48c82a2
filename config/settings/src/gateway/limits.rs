//! `limits`: how much of everything. Each limit has a counter when it is hit.

use std::time::Duration;

use crate::decode::{section, section_default};
use crate::form::quantity::Rate;
use crate::form::time::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};
use crate::form::{count, duration, or_word, rate, size};

section! {
    /// How much of everything the gateway takes on. Each limit is counted when it is hit.
    pub struct LimitSettings {
        /// Calls at the same time; further ones get 503.
        calls: u32 = default(count(1..=1_000_000), "1000");
        /// Calls at the same time that one user has made; further ones get 486.
        calls_per_user: u32 = default(count(1..=10_000), "4");
        /// Calls at the same time that one user may have out over all trunks together; further ones get 486, and are counted
        /// for each trunk of the route. Emergency calls are not held up. A stolen password costs no more than these.
        trunk_calls_per_user: Option<u32> = default(or_word("none", count(1..=10_000)), "none");
        /// Contacts (devices) that one user may register; a further one replaces the oldest. `devices` of a user
        /// overrides it.
        contacts_per_user: u32 = default(count(1..=1_000), "10");
        /// Registered contacts in all; a further one gets 503.
        contacts: u32 = default(count(1..=10_000_000), "100000");
        /// Contacts in one REGISTER; more get 400.
        contacts_per_register: u32 = default(count(1..=1_000), "20");
        /// Size of one Contact URI; a longer one gets 400.
        contact_uri: usize = default(size(64, 16 << 10), "1KiB");
        /// Size of the Path (RFC 3327) of one registration; a longer one gets 400.
        path: usize = default(size(64, 16 << 10), "2KiB");
        /// Targets that one call may ring, at the same time or one after another.
        branches: u32 = default(count(1..=100), "16");
        /// Copies of one call that all proxies on the way together may make, if the caller says nothing (Max-Breadth,
        /// RFC 5393); a call that would need more gets 440.
        max_breadth: u32 = default(count(1..=1_000), "60");
        /// How long a call may ring before it ends with 408 (Timer C; RFC 3261 16.6 wants more than three minutes).
        ring_time: Duration = default(duration(10 * SECOND, HOUR), "3m1s");
        /// Longest call; `none` for no limit.
        call_time: Option<Duration> = default(or_word("none", duration(MINUTE, 7 * DAY)), "12h");
        /// Size of a SIP message, header and body.
        sip_message: usize = default(size(4 << 10, 1 << 20), "64KiB");
        /// Header fields in a SIP message.
        headers: u32 = default(count(32..=10_000), "256");
        /// SIP transactions in progress; further requests get 503. The last eighth is for what goes on in calls that exist.
        transactions: u32 = default(count(100..=10_000_000), "100000");
        /// Requests that wait for the relay, the store, a name, the user source or the hook, in one signalling thread;
        /// further ones get 503.
        requests_waiting: u32 = default(count(10..=1_000_000), "20000");
        /// Answers of one phone that wait for the relay; further provisional ones are dropped.
        answers_waiting: u32 = default(count(2..=1_000), "16");
        /// Calls of one signalling thread to the echo and music services; further ones get 486.
        service_calls: u32 = default(count(1..=10_000), "256");
        /// Connections (TCP, TLS, WebSocket, HTTP) at the same time.
        connections: u32 = default(count(1..=1_000_000), "20000");
        /// Connections from one source: an IPv4 address, or the /64 of an IPv6 address. Many users may sit behind one
        /// address of a carrier.
        connections_per_source: u32 = default(count(1..=1_000_000), "200");
        /// Connections that one source may open: so many at once, and at the same rate from then on; further ones are closed
        /// before anything is read, so that nobody makes the gateway sign handshake after handshake of TLS. It is generous
        /// because all phones of an office come back at the same moment when its power does. Through `trusted_proxies` the
        /// address counts that they tell. Raise it, with `connections_per_source`, for a load balancer that tells none.
        new_connections_per_source: Rate = default(rate(), "1000/5s");
        /// Connections that the gateway has opened itself; a request that needs one more fails over to the next address of
        /// its target.
        outgoing_connections: u32 = default(count(1..=1_000_000), "1000");
        /// Time to open a connection, TLS handshake included; beyond, the next address is tried.
        connect: Duration = default(duration(100 * MILLISECOND, MINUTE), "3s");
        /// Names that may be looked up at the same time; a request that needs one more gets 503.
        lookups: u32 = default(count(10..=1_000_000), "1000");
        /// Time for the handshakes of TLS, WebSocket and HTTP.
        handshake: Duration = default(duration(SECOND, 5 * MINUTE), "10s");
        /// Time from the beginning of a TCP or TLS connection to its first whole message.
        first_message: Duration = default(duration(SECOND, 5 * MINUTE), "10s");
        /// Time for one message over TCP, TLS or WebSocket from its first octet to its last, pings between its fragments
        /// or not; beyond, the connection is closed.
        message_time: Duration = default(duration(SECOND, 5 * MINUTE), "10s");
        /// Time that a peer may take to read what it is sent.
        write_time: Duration = default(duration(SECOND, 5 * MINUTE), "10s");
        /// A TCP or TLS connection that carried nothing for this long is closed, unless somebody is registered over it.
        connection_idle: Duration = default(duration(SECOND, DAY), "15m");
        /// How often a silent WebSocket is pinged; one that leaves two pings without an answer is closed.
        websocket_ping: Duration = default(duration(SECOND, HOUR), "25s");
        /// Messages waiting to be sent on one connection; a peer that lets them pile up is disconnected.
        connection_queue: u32 = default(count(8..=100_000), "256");
        /// Messages from one connection that wait for signalling threads at the same time. The next is read when one of
        /// them has been handled, so that whoever sends without a pause is slowed down by TCP and keeps nobody else
        /// waiting. Counted are the messages that were read later for it.
        connection_in_flight: u32 = default(count(1..=10_000), "16");
        /// Messages of all connections together that wait for signalling threads. When as many do, no connection has more
        /// than one waiting until there is room. One message of each source is handled after the other, so that whoever
        /// sends little never waits for all that others have sent. Counted are the messages that were read later for it.
        messages_in_flight: u32 = default(count(64..=1_000_000), "8192");
        /// What waits for one signalling thread from other parts of the gateway: results of the relay, the store and
        /// lookups, which wait for room, and apart from them as many datagrams that came to the sockets of other threads,
        /// of which further ones are dropped.
        shard_queue: u32 = default(count(64..=1_000_000), "8192");
        /// How long a call or a subscription may have waited for a signalling thread; beyond 503, before its password is looked
        /// at and with a Retry-After that differs from one to the next. After T1 it has been sent again, and more waits than
        /// can be done. A REGISTER may have waited ten times as long. What belongs to calls that exist, emergencies and the
        /// last step of a transfer are never refused for it. Over UDP it is counted from when the kernel has taken the
        /// datagram; how much may wait there is `net.core.rmem_max`.
        queue_time: Duration = default(duration(10 * MILLISECOND, MINUTE), "500ms");
        /// Requests from one source: an IPv4 address, or the /64 of an IPv6 address.
        requests_per_source: Rate = default(rate(), "500/1s");
        /// Wrong passwords for one user from one source before it has to pause, and ten times as many for all
        /// users together. Half of their number is forgotten after each such time without one. Networks in
        /// `auth.trust_from` never pause.
        register_attempts: Rate = default(rate(), "10/1m");
        /// Sources of which requests, failures and new connections are remembered; beyond, the ones that were heard longest
        /// ago are forgotten.
        sources: u32 = default(count(1_000..=10_000_000), "100000");
        /// Longest pause after wrong passwords, in which no password is looked at; the first takes 1 s, and it doubles
        /// with every further wrong password up to this.
        register_pause: Duration = default(duration(SECOND, DAY), "15m");
        /// Nonces of which the use is remembered, against replay.
        nonces: u32 = default(count(1_000..=10_000_000), "100000");
    }
}
section_default!(LimitSettings);
