//! All figures by name, for JSON and metrics alike: what the one shows, the other has under the same name.

use viaduct_session::{ClientCounters, Counters, Gauges, LimitCounters};

use super::{ConnectionFigures, NgFigures, WorkerFigures};
use crate::control::ControlSnapshot;
use crate::janus::JanusFigures;

/// One figure of a `T`.
pub(super) struct Figure<T> {
    /// As JSON calls it; metrics have a prefix before it.
    pub(super) name: &'static str,
    /// The same as metrics call it.
    pub(super) metric: &'static str,
    /// What it is.
    pub(super) help: &'static str,
    /// Where it stands.
    pub(super) of: fn(&T) -> u64,
}

/// A number of things.
trait Count {
    fn count(self) -> u64;
}

impl Count for u64 {
    fn count(self) -> u64 {
        self
    }
}

impl Count for usize {
    fn count(self) -> u64 {
        self as u64
    }
}

macro_rules! figures {
    ($of:ty, $prefix:literal: $($name:literal, $help:literal, $($field:ident).+;)+) => {
        &[$(Figure {
            name: $name,
            metric: concat!($prefix, $name),
            help: $help,
            of: |of: &$of| of.$($field).+.count(),
        }),+]
    };
}

/// What exists. All of it is 0 when there are no calls.
pub(super) const GAUGES: &[Figure<Gauges>] = figures! { Gauges, "viaduct_relay_":
    "calls", "Calls, those that wait for their deletion among them", calls;
    "calls_ipv4", "Calls with IPv4 on every side", calls_ipv4;
    "calls_ipv6", "Calls with IPv6 on every side", calls_ipv6;
    "calls_mixed", "Calls in which IPv4 and IPv6 meet", calls_mixed;
    "ports_in_use", "Ports that calls use", ports_in_use;
    "flows", "Flows that are forwarded", flows;
    "legs", "Transports between the relay and an endpoint", legs;
    "tuples", "Pairs of addresses that legs are found by", tuples;
    "srtp_contexts", "SRTP contexts", crypto;
    "ice_ufrags", "ICE username fragments", ufrags;
    "ice_fragments_waiting", "Trickled candidates that wait for their party", fragments;
    "players", "Parties that something is played to", players;
    "fax_gateways", "Faxes that sound is made of, or that are made of sound", fax_gateways;
    "dtls_tuples", "Addresses that may send DTLS", dtls_tuples;
    "dtls_associations", "DTLS associations", dtls_associations;
    "call_timers", "Calls with a timer", timers;
    "retired", "Flows and legs whose counters are about to be forgotten", retired;
};

/// What happened to calls.
pub(super) const COUNTERS: &[Figure<Counters>] = figures! { Counters, "viaduct_relay_":
    "calls_created", "Calls that were created", calls;
    "calls_merged", "Calls that became part of another one (NG connect)", calls_merged;
    "calls_rebuilt", "Calls of an earlier relay that went on", calls_rebuilt;
    "calls_not_rebuilt", "Calls of an earlier relay that could not go on", calls_not_rebuilt;
    "calls_refused", "Offers refused because of a limit on calls, or on what the machine does", calls_refused;
    "calls_refused_for_load", "Those of them refused because of max_load, max_cpu or max_bandwidth", calls_refused_for_load;
    "calls_zero_way", "Ended calls in which nobody sent anything", zero_way_calls;
    "calls_one_way", "Ended calls in which one side alone sent", one_way_calls;
    "clips_played", "Clips begun, one for each party that hears it", clips_played;
    "played_packets", "Packets of clips that were sent", played_packets;
    "keys_pressed", "Keys pressed in the name of a party (NG play DTMF)", keys_pressed;
    "keys_unpressed", "Those given up, since the party said nothing meanwhile", keys_unpressed;
    "reports_sent", "RTCP reports of the relay's own that were sent (NG generate-RTCP)", reports_sent;
    "out_of_ports", "Offers that found no ports", out_of_ports;
    "sdp_unusable", "SDPs that could not be used", sdp_unusable;
    "repeats", "Offers and answers that came again and got the same reply", repeats;
    "endpoints_learnt", "Endpoints that were not those of the SDP", endpoints_learnt;
    "addresses_taken", "Addresses of SDPs that another leg had proven to be its own", addresses_taken;
    "strangers", "Packets of unknown sources that were not the peer's", strangers;
    "stale", "Packets and reports about legs that are gone", stale;
    "candidates_unreachable", "Candidates with a name, a transport other than UDP, or no port", candidates_unreachable;
    "ice_connected", "Legs on which ICE found a path", ice_connected;
    "ice_failed", "Legs on which ICE found none or lost it", ice_failed;
    "dtls_connected", "DTLS handshakes that gave keys", dtls_connected;
    "dtls_failed", "DTLS handshakes that did not", dtls_failed;
    "dtls_wrong_fingerprint", "Those in which the certificate was not the one of the SDP", dtls_wrong_fingerprint;
};

/// Why calls ended; `requested` is by `delete`.
pub(super) const ENDS: &[Figure<Counters>] = figures! { Counters, "":
    "requested", "", ended_regularly;
    "timeout", "", ended_by_media_timeout;
    "silent_timeout", "", ended_by_silent_timeout;
    "offer_timeout", "", ended_by_offer_timeout;
    "final_timeout", "", ended_by_final_timeout;
};

/// What went over a limit.
pub(super) const LIMITS: &[Figure<LimitCounters>] = figures! { LimitCounters, "":
    "calls", "", calls;
    "name_octets", "", name_octets;
    "listeners", "", listeners;
    "parties_per_call", "", parties_per_call;
    "aliases_per_party", "", aliases_per_party;
    "sdp", "", sdp;
    "candidates_per_media", "", candidates_per_media;
    "paths_per_leg", "", paths_per_leg;
    "former_ports_per_leg", "", former_ports_per_leg;
    "sources_per_call", "", sources_per_call;
    "dtls_associations", "", dtls_associations;
    "dtls_message_octets", "", dtls_message_octets;
    "dtls_pending_octets", "", dtls_pending_octets;
    "dtls_messages_ahead", "", dtls_messages_ahead;
    "dtls_early_records", "", dtls_early_records;
    "dtls_handshake", "", dtls_handshake;
    "players", "", players;
    "fax_gateways", "", fax_gateways;
    "clips", "", clip_octets;
    "fragments_waiting", "", fragments_waiting;
    "commands_kept", "", commands_kept;
    "state_waiting", "", state_waiting;
};

/// What the control thread did.
pub(super) const CONTROL: &[Figure<ControlSnapshot>] = figures! { ControlSnapshot, "viaduct_relay_control_":
    "requests", "NG commands carried out", requests;
    "requests_shed", "New calls refused while workers lag", requests_shed;
    "datagrams", "Datagrams that workers handed to control", datagrams;
    "reports", "Reports of workers", reports;
    "orders_failed", "Orders that workers could not carry out", orders_failed;
    "sent", "Datagrams sent by control: DTLS, STUN, played media", sent;
    "send_faults", "Those that could not be sent", send_faults;
    "addresses_unknown", "Orders for addresses without a socket", addresses_unknown;
    "events", "Events of calls", events;
    "fax_lost", "Packets and pieces of sound that found no room on their way to a fax gateway or back", fax_lost;
    "digits_lost", "Digits that could not be told (NG DTMF-log-dest)", digits_lost;
    "events_missed", "Events that somebody who watches calls was too slow to take", events_missed;
    "kernel_packets", "RTP packets that the kernel forwarded", kernel_packets;
    "kernel_frames", "Those of them that it forwarded before they became packets", kernel_frames;
    "kernel_across", "Those of them that it put to the other end of a pair of interfaces, in another network namespace", kernel_across;
    "kernel_entered", "Flows given to the kernel", kernel_entered;
    "kernel_left", "Flows taken from the kernel", kernel_left;
    "kernel_refused", "Flows whose receiver the kernel path does not reach", kernel_refused;
    "kernel_full", "Flows for which the kernel's table had no room", kernel_full;
    "steering_lost", "Times that the program which steers ports was found detached", steering_lost;
    "receive_overflows", "Datagrams dropped at sockets of steered ports and of browsers, which were not read in time", receive_overflows;
    "state_written", "Changes of calls written to the state file", state_written;
    "state_failures", "Writes to the state file that failed", state_failures;
};

/// What the control thread has.
pub(super) const CONTROL_GAUGES: &[Figure<ControlSnapshot>] = figures! { ControlSnapshot, "viaduct_relay_control_":
    "orders_held", "Orders that wait for workers", orders_held;
    "flows", "Flows that workers were told to have", flows;
    "kernel_path", "1 while there is a kernel path, 0 otherwise", kernel_path;
    "kernel_flows", "Flows that the kernel forwards", kernel_flows;
    "sockets", "Media sockets that are open", sockets;
    "steering", "1 while ports are steered, 0 otherwise", steering;
    "frames", "1 while interfaces hand frames to workers, 0 otherwise", frames;
    "ports_steered", "Ports of calls that are steered and need no socket", ports_steered;
    "state_waiting", "Changes of calls that wait for the state file", state_waiting;
};

/// Ports that could not be opened, by reason.
pub(super) const PORTS_FAILED: &[Figure<ControlSnapshot>] = figures! { ControlSnapshot, "":
    "taken", "", ports_taken;
    "no_descriptor", "", ports_without_descriptor;
    "other", "", ports_failed;
};

/// What each worker did.
pub(super) const WORKER: &[Figure<WorkerFigures>] = figures! { WorkerFigures, "viaduct_relay_worker_":
    "received", "Datagrams read", io.received;
    "forwarded", "Datagrams sent on", forward.forwarded;
    "forwarded_octets", "Octets sent on", io.forwarded_octets;
    "replied", "STUN answers", forward.replied;
    "to_control", "Datagrams for control", forward.to_control;
    "sent", "Datagrams sent", io.sent;
    "sent_in_bursts", "Those of them that went together with others to the same peer", io.sent_in_bursts;
    "receive_errors", "Reads that failed", io.receive_errors;
    "strays", "Datagrams to ports that are steered no more, or not yet", io.strays;
    "frames_received", "Frames that interfaces handed on", io.frames_received;
    "frames_damaged", "Frames that were damaged, forged in the relay's own name, or no datagrams", io.frames_damaged;
    "frames_sent", "Datagrams that were sent as frames", io.frames_sent;
    "wakeups", "Batches read", io.wakeups;
    "naps", "Ticks slept", io.naps;
    "notices_lost", "Datagrams that found control's queue full", io.notices_lost;
    "reports_held", "Reports that found control's queue full", io.reports_held;
    "reports_delayed", "Reports that wait for the next occasion", forward.reports_delayed;
    "passed_unproven", "SRTP sent on unopened that was tried and is not authentic", forward.passed_unproven;
    "copies", "Packets made for listeners", forward.copies;
    "copies_lost", "Packets that listeners did not get", forward.copies_lost;
    "checks_not_authentic", "ICE checks with a wrong password", forward.checks_not_authentic;
    "checks_refused", "ICE checks answered with another error", forward.checks_refused;
    "orders", "Orders carried out", io.orders;
    "orders_failed", "Orders that could not be", io.orders_failed;
};

/// What each worker has.
pub(super) const WORKER_GAUGES: &[Figure<WorkerFigures>] = figures! { WorkerFigures, "viaduct_relay_worker_":
    "flows", "Flows installed", forward.flows;
    "sockets", "Sockets that it reads", io.sockets;
    "connected", "Further sockets of ports, each for one peer alone", io.connected;
};

/// NG over the network.
pub(super) const NG: &[Figure<NgFigures>] = figures! { NgFigures, "viaduct_relay_ng_":
    "messages", "NG messages over the network", received;
    "not_ng", "Datagrams that are no NG messages", not_ng;
    "malformed", "Messages answered with what is wrong with them", malformed;
    "overload", "Messages dropped because too many were being answered", overload;
    "turned_away", "Offers over UDP that were told to try another relay, since there had been too much to do for too long", turned_away;
    "unsent", "Answers over UDP that could not be sent", unsent;
    "http_too_large", "Bodies over HTTP that were refused for their size", http_too_large;
    "media_refused", "Files and blobs that could not be played", media_refused;
    "ignored_unlogged", "Names without effect that were not logged, because enough others were", ignored_unlogged;
    "repeats", "Repeated messages answered from the cache", cache.hits;
    "repeats_in_work", "Messages repeated before they were answered", cache.hits_in_work;
    "cache_evictions", "Answers forgotten early to stay within limits", cache.evictions;
    "cache_oversized", "Answers too large to keep for repetitions", cache.oversized;
};

/// Connections to listeners over TCP.
pub(super) const CONNECTIONS: &[Figure<ConnectionFigures>] = figures! { ConnectionFigures, "viaduct_relay_connections_":
    "accepted", "Connections to listeners over TCP", accepted;
    "refused", "Those closed because there were too many", refused;
    "failed", "Those closed for what their clients sent, or did not send in time", failed;
    "idle", "Those closed because they carried nothing for too long", idle;
};

/// Rooms over Janus' protocol: what exists.
pub(super) const JANUS_GAUGES: &[Figure<JanusFigures>] = figures! { JanusFigures, "viaduct_relay_janus_":
    "sessions", "Clients of Janus' protocol that are logged in", gauges.sessions;
    "handles", "Those of their handles that publish, subscribe or may", gauges.handles;
    "rooms", "Rooms", gauges.rooms;
    "tokens", "Tokens that were added", gauges.tokens;
};

/// What happened there.
pub(super) const JANUS: &[Figure<JanusFigures>] = figures! { JanusFigures, "viaduct_relay_janus_":
    "messages", "Messages of Janus' protocol", counters.messages;
    "refused", "Those that were refused", counters.refused;
    "unauthorized", "Those of them without a token or the secret", counters.unauthorized;
    "sessions_timed_out", "Sessions whose clients said nothing for too long", counters.sessions_timed_out;
    "connections_slow", "Connections closed because they took what they were told too slowly", slow;
};

/// What went over a limit there.
pub(super) const JANUS_LIMITS: &[Figure<JanusFigures>] = figures! { JanusFigures, "":
    "sessions", "", counters.over_sessions;
    "handles", "", counters.over_handles;
    "rooms", "", counters.over_rooms;
    "publishers", "", counters.over_publishers;
    "tokens", "", counters.over_tokens;
};

/// The commands of one client.
pub(super) const COMMANDS: &[Figure<ClientCounters>] = figures! { ClientCounters, "":
    "ping", "", pings;
    "offer", "", offers;
    "answer", "", answers;
    "delete", "", deletes;
    "query", "", queries;
    "list", "", lists;
    "statistics", "", statistics;
    "other", "", others;
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Debug;

    use super::*;

    /// The fields of a record of numbers.
    fn fields(record: &impl Debug) -> usize {
        format!("{record:?}").matches(": ").count()
    }

    #[test]
    fn every_gauge_and_every_limit_is_shown() {
        assert_eq!(GAUGES.len(), fields(&Gauges::default()));
        assert_eq!(LIMITS.len(), fields(&LimitCounters::default()));
        // Errors are counted apart from commands.
        assert_eq!(COMMANDS.len(), fields(&ClientCounters::default()) - 1);
    }

    #[test]
    fn a_figure_reads_its_own_field() {
        let gauges = Gauges {
            calls: 3,
            retired: 9,
            ..Gauges::default()
        };
        let shown: Vec<_> = GAUGES
            .iter()
            .map(|figure| (figure.name, (figure.of)(&gauges)))
            .collect();
        assert_eq!(shown.iter().filter(|(_, count)| *count > 0).count(), 2);
        assert!(shown.contains(&("calls", 3)) && shown.contains(&("retired", 9)));
        assert_eq!(
            shown.iter().map(|(name, _)| name).collect::<HashSet<_>>().len(),
            shown.len()
        );
    }
}
