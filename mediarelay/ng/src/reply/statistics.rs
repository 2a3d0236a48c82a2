//! The content of `statistics`. What differs between releases is kept as it came.

use super::record::record;
use crate::byte_string::ByteString;
use crate::value::Value;

record! {
    /// Statistics of the daemon.
    Statistics {
        /// Calls that run.
        current: CurrentStatistics = "currentstatistics";
        /// Since the start.
        total: TotalStatistics = "totalstatistics";
        /// Least, most and average per interval: delays and rates of commands.
        interval: Option<Value> = "intervalstatistics";
        /// By client.
        control: ControlStatistics = "controlstatistics";
    }
}

record! {
    /// Calls that run.
    CurrentStatistics {
        /// Calls of this node.
        sessions_own: u64 = "sessionsown";
        /// Calls of other nodes, kept in reserve.
        sessions_foreign: u64 = "sessionsforeign";
        /// Both.
        sessions_total: u64 = "sessionstotal";
        /// Media that is transcoded.
        transcoded_media: u64 = "transcodedmedia";
        /// Packets per second that user space forwards.
        packet_rate_user: Option<u64> = "packetrate_user";
        /// Their octets.
        byte_rate_user: Option<u64> = "byterate_user";
        /// Errors per second there.
        error_rate_user: Option<u64> = "errorrate_user";
        /// Packets per second that the kernel forwards.
        packet_rate_kernel: Option<u64> = "packetrate_kernel";
        /// Their octets.
        byte_rate_kernel: Option<u64> = "byterate_kernel";
        /// Errors per second there.
        error_rate_kernel: Option<u64> = "errorrate_kernel";
        /// Packets per second.
        packet_rate: u64 = "packetrate";
        /// Octets per second.
        byte_rate: u64 = "byterate";
        /// Errors per second.
        error_rate: u64 = "errorrate";
        /// Streams that user space alone forwards.
        media_userspace: Option<u64> = "media_userspace";
        /// Streams that the kernel alone forwards.
        media_kernel: Option<u64> = "media_kernel";
        /// Streams that both forward.
        media_mixed: Option<u64> = "media_mixed";
    }
}

record! {
    /// Since the start, without the calls that run.
    TotalStatistics {
        /// Seconds, as decimal digits.
        uptime: ByteString = "uptime";
        /// Calls.
        managed_sessions: u64 = "managedsessions";
        /// Refused.
        rejected_sessions: u64 = "rejectedsessions";
        /// Ended for want of media.
        timeout_sessions: u64 = "timeoutsessions";
        /// The same, on hold.
        silent_timeout_sessions: u64 = "silenttimeoutsessions";
        /// Ended for their length.
        final_timeout_sessions: u64 = "finaltimeoutsessions";
        /// Never answered.
        offer_timeout_sessions: u64 = "offertimeoutsessions";
        /// Ended by `delete`.
        regular_terminated_sessions: u64 = "regularterminatedsessions";
        /// Ended by the operator.
        forced_terminated_sessions: u64 = "forcedterminatedsessions";
        /// Packets that user space forwarded.
        relayed_packets_user: Option<u64> = "relayedpackets_user";
        /// Packets that it could not forward.
        relayed_packet_errors_user: Option<u64> = "relayedpacketerrors_user";
        /// Octets that it forwarded.
        relayed_bytes_user: Option<u64> = "relayedbytes_user";
        /// Packets that the kernel forwarded.
        relayed_packets_kernel: Option<u64> = "relayedpackets_kernel";
        /// Packets that it could not forward.
        relayed_packet_errors_kernel: Option<u64> = "relayedpacketerrors_kernel";
        /// Octets that it forwarded.
        relayed_bytes_kernel: Option<u64> = "relayedbytes_kernel";
        /// Packets.
        relayed_packets: u64 = "relayedpackets";
        /// Packets that could not be forwarded.
        relayed_packet_errors: u64 = "relayedpacketerrors";
        /// Octets.
        relayed_bytes: Option<u64> = "relayedbytes";
        /// Streams without any packet.
        zero_way_streams: u64 = "zerowaystreams";
        /// Calls with media one way only.
        one_way_streams: u64 = "onewaystreams";
        /// Seconds, as a decimal fraction.
        average_call_duration: ByteString = "avgcallduration";
    }
}

record! {
    /// Commands, by client.
    ControlStatistics {
        /// One a client.
        proxies: Vec<ProxyStatistics> = "proxies";
    }
}

record! {
    /// One client: its counters by command (`offercount`, `pingcount`, …) are in `rest`.
    ProxyStatistics {
        /// Its address.
        proxy: ByteString = "proxy";
        /// Requests answered with an error.
        errors: u64 = "errorcount";
    }
}
