//! NG `statistics`.

use std::net::IpAddr;
use std::time::Instant;

use viaduct_ng::{
    ByteString, ControlStatistics, CurrentStatistics, Dict, OkReply, ProxyStatistics, Reply, Statistics,
    TotalStatistics,
};

use super::Relay;
use crate::counters::{ClientCounters, Counters};
use crate::leg::Forwarded;

impl Relay {
    pub(super) fn statistics(&self, now: Instant) -> Reply {
        let uptime = now.saturating_duration_since(self.started).as_secs();
        let statistics = Statistics {
            current: self.current(),
            total: total(&self.core.counters, uptime),
            control: ControlStatistics {
                proxies: self
                    .core
                    .counters
                    .clients
                    .iter()
                    .map(|(client, counters)| proxy(client, counters))
                    .collect(),
                ..ControlStatistics::default()
            },
            ..Statistics::default()
        };
        Reply::Ok(Box::new(OkReply {
            statistics: Some(Box::new(statistics)),
            ..OkReply::default()
        }))
    }

    fn current(&self) -> CurrentStatistics {
        let calls = self.calls.len() as u64;
        let mut rates = Forwarded::default();
        self.calls
            .values()
            .for_each(|call| rates.add(&call.rates.per_second));
        let Forwarded { all, kernel } = rates;
        let streams: usize = self.calls.values().map(|call| call.installed.flows.len()).sum();
        let beside: usize = self.calls.values().map(|call| call.flows_beside()).sum();
        CurrentStatistics {
            sessions_own: calls,
            sessions_total: calls,
            packet_rate_user: Some(all.packets.saturating_sub(kernel.packets)),
            byte_rate_user: Some(all.octets.saturating_sub(kernel.octets)),
            // What the kernel does not forward, it leaves to user space.
            error_rate_user: Some(all.errors),
            packet_rate_kernel: Some(kernel.packets),
            byte_rate_kernel: Some(kernel.octets),
            error_rate_kernel: Some(0),
            packet_rate: all.packets,
            byte_rate: all.octets,
            error_rate: all.errors,
            media_userspace: Some(streams.saturating_sub(beside) as u64),
            media_kernel: Some(beside as u64),
            media_mixed: Some(0),
            ..CurrentStatistics::default()
        }
    }
}

fn total(counters: &Counters, uptime: u64) -> TotalStatistics {
    let ended = counters.ended_regularly
        + counters.ended_by_media_timeout
        + counters.ended_by_silent_timeout
        + counters.ended_by_offer_timeout
        + counters.ended_by_final_timeout;
    let average = counters.ended_duration.as_secs_f64() / ended.max(1) as f64;
    TotalStatistics {
        uptime: uptime.to_string().into(),
        managed_sessions: counters.calls,
        rejected_sessions: counters.calls_refused,
        timeout_sessions: counters.ended_by_media_timeout,
        silent_timeout_sessions: counters.ended_by_silent_timeout,
        final_timeout_sessions: counters.ended_by_final_timeout,
        offer_timeout_sessions: counters.ended_by_offer_timeout,
        regular_terminated_sessions: counters.ended_regularly,
        relayed_packets_user: Some(
            counters
                .relayed_packets
                .saturating_sub(counters.relayed_kernel_packets),
        ),
        relayed_packet_errors_user: Some(counters.relay_errors),
        relayed_bytes_user: Some(
            counters
                .relayed_octets
                .saturating_sub(counters.relayed_kernel_octets),
        ),
        relayed_packets_kernel: Some(counters.relayed_kernel_packets),
        relayed_packet_errors_kernel: Some(0),
        relayed_bytes_kernel: Some(counters.relayed_kernel_octets),
        relayed_packets: counters.relayed_packets,
        relayed_packet_errors: counters.relay_errors,
        relayed_bytes: Some(counters.relayed_octets),
        zero_way_streams: counters.zero_way_calls,
        one_way_streams: counters.one_way_calls,
        average_call_duration: format!("{average:.6}").into(),
        ..TotalStatistics::default()
    }
}

/// The commands of one client, under the names that rtpengine has for them.
fn proxy(client: Option<IpAddr>, counters: &ClientCounters) -> ProxyStatistics {
    let named = [
        ("pingcount", counters.pings),
        ("offercount", counters.offers),
        ("answercount", counters.answers),
        ("deletecount", counters.deletes),
        ("querycount", counters.queries),
        ("listcount", counters.lists),
        ("statisticscount", counters.statistics),
    ];
    let mut rest = Dict::new();
    for (name, count) in named {
        rest.insert(name, i64::try_from(count).unwrap_or(i64::MAX));
    }
    ProxyStatistics {
        proxy: client.map_or(ByteString::from_static("other"), |address| {
            address.to_string().into()
        }),
        errors: counters.errors,
        rest,
    }
}
