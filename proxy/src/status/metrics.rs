//! Counters and gauges as Prometheus reads them.

mod trunks;

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use viaduct_routing::Reasons;

use super::{Parts, Snapshots};
use crate::shard::ShardSnapshot;
use crate::store::StoreCounters;

/// The values of one moment.
#[derive(Debug)]
struct Moment {
    counters: Vec<(&'static str, &'static str, u64)>,
    /// Counters with one value a reason.
    reasons: [(&'static str, &'static str, Reasons); 2],
    gauges: Vec<(&'static str, &'static str, u64)>,
}

/// The text, `None` when it cannot be written.
pub(super) fn encode(parts: &Parts, snapshots: &Snapshots) -> Option<String> {
    let mut registry = Registry::with_prefix("viaduct");
    registry.register_collector(Box::new(Moment::new(parts, snapshots)));
    registry.register_collector(Box::new(trunks::Trunks(parts.trunks())));
    let mut out = String::new();
    text::encode(&mut out, &registry).ok()?;
    Some(out)
}

impl Moment {
    fn new(parts: &Parts, snapshots: &Snapshots) -> Self {
        let (counters, gauges) = (snapshots.counters(), snapshots.gauges());
        let sum = |of: fn(&viaduct_txn::Counters) -> u64| {
            snapshots
                .shards
                .iter()
                .map(|shard| of(&shard.transactions))
                .sum::<u64>()
        };
        let by_reason = |of: fn(&ShardSnapshot) -> &Reasons| {
            let mut all = Reasons::default();
            snapshots.shards.iter().for_each(|shard| all.add(of(shard)));
            all
        };
        let of_services = |of: fn(&viaduct_service::Counters) -> u64| {
            snapshots
                .shards
                .iter()
                .map(|shard| of(&shard.service_counters))
                .sum::<u64>()
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let of_store = |of: fn(&StoreCounters) -> &AtomicU64| {
            parts
                .store
                .as_deref()
                .map_or(0, |counters| of(counters).load(Ordering::Relaxed))
        };
        let conns = &parts.conns.counters;
        let (opened_now, opened) = parts.connector.snapshot();
        let names = parts.names.snapshot();
        let (sip, all) = parts.conns.len();
        let (lookups, directory) = (parts.lookups.counters(), parts.lookups.directory());
        let hooks = parts.hooks.counters();
        let config = parts.condition.config();
        let mut moment = Self {
            counters: vec![
                ("sip_messages", "SIP messages received", counters.messages),
                (
                    "sip_bad_messages",
                    "Octets received that were no SIP message",
                    counters.bad_messages,
                ),
                (
                    "sip_dropped",
                    "SIP messages dropped without an answer",
                    counters.dropped,
                ),
                (
                    "sip_sends_failed",
                    "SIP messages that could not be sent",
                    counters.sends_failed,
                ),
                (
                    "sip_retransmissions",
                    "SIP messages sent again",
                    sum(|c| c.retransmissions),
                ),
                (
                    "sip_request_repeats",
                    "Repeated requests absorbed",
                    sum(|c| c.request_repeats),
                ),
                (
                    "sip_responses_stray",
                    "Responses to nothing",
                    sum(|c| c.responses_stray),
                ),
                (
                    "sip_client_timeouts",
                    "Requests that got no final answer",
                    sum(|c| c.client_timeouts),
                ),
                (
                    "sip_acks_missing",
                    "Final answers never acknowledged",
                    sum(|c| c.acks_missing),
                ),
                (
                    "sip_requests_over_limit",
                    "Requests over limits.transactions",
                    sum(|c| c.requests_refused),
                ),
                (
                    "sip_clients_over_limit",
                    "Requests not sent for want of a transaction",
                    sum(|c| c.clients_refused),
                ),
                (
                    "sip_requests_over_rate",
                    "Requests over limits.requests_per_source",
                    counters.requests_over_rate,
                ),
                (
                    "sip_requests_late",
                    "Requests refused for limits.queue_time",
                    counters.requests_late,
                ),
                (
                    "sip_requests_of_scanners",
                    "Requests dropped for auth.drop_user_agents",
                    counters.requests_of_scanners,
                ),
                ("registers", "REGISTER requests carried out", counters.registers),
                ("auth_failures", "Wrong credentials", counters.auth_failures),
                (
                    "auth_paused",
                    "Credentials not looked at: limits.register_attempts",
                    counters.passwords_paused,
                ),
                (
                    "refusals",
                    "Requests refused by the proxy itself",
                    counters.refusals,
                ),
                (
                    "refused_draining",
                    "Calls and probes refused because calls are only finished",
                    counters.refused_draining,
                ),
                (
                    "config_reloads",
                    "Times that the configuration was read again and applied",
                    config.reloads,
                ),
                (
                    "config_reloads_refused",
                    "Times that the configuration was read again and refused",
                    config.reloads_refused,
                ),
                (
                    "tls_certificates_changed",
                    "Times that certificates were read again because their files had changed",
                    parts.condition.certificates(),
                ),
                ("calls", "Calls begun", counters.calls),
                ("calls_answered", "Calls answered", counters.calls_answered),
                (
                    "calls_ended_by_proxy",
                    "Calls that the proxy ended",
                    counters.calls_ended_by_proxy,
                ),
                (
                    "calls_over_limit",
                    "Calls over limits.calls",
                    counters.calls_over_limit,
                ),
                (
                    "calls_over_user_limit",
                    "Calls over limits.calls_per_user",
                    counters.calls_over_user_limit,
                ),
                (
                    "requests_over_waiting_limit",
                    "Requests over limits.requests_waiting",
                    counters.waiting_over_limit,
                ),
                (
                    "branches_over_limit",
                    "Targets over limits.branches",
                    counters.branches_over_limit,
                ),
                (
                    "breadth_over_limit",
                    "Calls over Max-Breadth or limits.max_breadth",
                    counters.breadth_over_limit,
                ),
                (
                    "udp_pings",
                    "Empty lines to phones behind NATs",
                    counters.udp_pings,
                ),
                (
                    "answers_over_limit",
                    "Answers over limits.answers_waiting",
                    counters.answers_over_limit,
                ),
                ("relay_requests", "Requests to the relay", counters.relay_requests),
                (
                    "relay_failures",
                    "Requests to the relay that failed",
                    counters.relay_failures,
                ),
                (
                    "hops_unresolved",
                    "Next hops without an address",
                    counters.hops_unresolved,
                ),
                (
                    "hops_failed_over",
                    "Requests sent to a further address of their next hop",
                    counters.hops_failed_over,
                ),
                (
                    "hops_undelivered",
                    "Datagrams to next hops that the network could not deliver",
                    counters.hops_undelivered,
                ),
                (
                    "hops_udp_to_tcp",
                    "Requests too large for a datagram, sent over TCP",
                    counters.hops_udp_to_tcp,
                ),
                (
                    "service_calls",
                    "Calls to the echo and music services",
                    of_services(|c| c.calls),
                ),
                (
                    "service_calls_over_limit",
                    "Calls over limits.service_calls",
                    of_services(|c| c.calls_over_limit),
                ),
                (
                    "service_calls_silent",
                    "Calls to services without media",
                    of_services(|c| c.calls_silent),
                ),
                (
                    "service_media_unavailable",
                    "Calls to services for want of a port",
                    of_services(|c| c.media_unavailable),
                ),
                (
                    "shard_dropped",
                    "Messages over limits.shard_queue",
                    snapshots.shards.iter().map(|s| s.dropped).sum(),
                ),
                (
                    "connections_over_limit",
                    "Connections over limits.connections",
                    read(&conns.over_limit),
                ),
                (
                    "connections_over_source_limit",
                    "Connections over limits.connections_per_source",
                    read(&conns.over_source_limit),
                ),
                (
                    "connections_over_rate",
                    "Connections over limits.new_connections_per_source",
                    read(&conns.over_rate),
                ),
                (
                    "connections_slow",
                    "Connections closed over limits.connection_queue or limits.write_time",
                    read(&conns.slow_peers),
                ),
                (
                    "messages_held_back",
                    "Messages read later over limits.connection_in_flight",
                    read(&conns.held_back),
                ),
                (
                    "messages_crowded_out",
                    "Messages read later over limits.messages_in_flight",
                    read(&conns.crowded_out),
                ),
                (
                    "connections_half_open",
                    "Connections closed over limits.first_message",
                    read(&conns.half_open),
                ),
                (
                    "connections_unfinished",
                    "Connections closed over limits.message_time",
                    read(&conns.unfinished),
                ),
                (
                    "connections_idle",
                    "Connections closed because nothing came",
                    read(&conns.idle_peers),
                ),
                (
                    "outgoing_connections",
                    "Connections opened by the gateway",
                    read(&opened.opened),
                ),
                (
                    "outgoing_connections_failed",
                    "Connections that the gateway could not open",
                    read(&opened.failed),
                ),
                (
                    "outgoing_connections_over_limit",
                    "Messages not sent over limits.outgoing_connections",
                    read(&opened.over_limit),
                ),
                (
                    "connections_reused",
                    "Messages sent over connections that their peers opened and offered with alias",
                    read(&opened.reused),
                ),
                (
                    "answers_over_new_connections",
                    "Answers sent over a connection of the gateway because that of the request was gone",
                    read(&opened.answers),
                ),
                ("dns_questions", "Questions to DNS", names.counters.questions),
                (
                    "dns_cache_hits",
                    "Questions that a kept answer spared",
                    names.counters.cache_hits,
                ),
                (
                    "dns_failures",
                    "Questions to DNS without an answer",
                    names.counters.failures,
                ),
                (
                    "lookups_over_limit",
                    "Requests over limits.lookups",
                    names.counters.queries_over_limit,
                ),
                (
                    "dead_addresses",
                    "Addresses of next hops that took no request",
                    names.counters.dead,
                ),
                (
                    "tls_failures",
                    "TLS handshakes that failed",
                    conns.tls_failures.iter().map(|(.., count)| count).sum(),
                ),
                (
                    "proxy_headers_bad",
                    "Connections of trusted proxies without a header of the PROXY protocol",
                    read(&conns.proxy_headers_bad),
                ),
                (
                    "websocket_refusals",
                    "WebSocket handshakes refused",
                    read(&conns.websocket_refusals),
                ),
                (
                    "store_commits",
                    "Transactions of the store",
                    of_store(|c| &c.commits),
                ),
                (
                    "store_changes",
                    "Changes of registrations that were stored",
                    of_store(|c| &c.changes),
                ),
                (
                    "store_failures",
                    "Transactions of the store that failed",
                    of_store(|c| &c.failures),
                ),
                (
                    "store_refused",
                    "Changes of registrations not taken because too many waited for the disk",
                    of_store(|c| &c.refused),
                ),
                (
                    "sources_forgotten",
                    "Sources of requests forgotten because of limits.sources",
                    parts.guard.forgotten(),
                ),
                (
                    "lookups",
                    "Requests that waited for the user source",
                    counters.lookups,
                ),
                (
                    "user_source_questions",
                    "Questions to the user source",
                    read(&lookups.asked),
                ),
                (
                    "user_source_failures",
                    "Questions that the user source did not answer well",
                    read(&lookups.failed),
                ),
                (
                    "user_source_refused",
                    "Requests not taken because too many waited for the user source",
                    read(&lookups.refused),
                ),
                (
                    "user_source_forgotten",
                    "Answers forgotten because of user_source.entries",
                    directory.as_ref().map_or(0, |directory| directory.forgotten()),
                ),
                (
                    "hook_requests",
                    "Requests that the hook was to decide about",
                    counters.decisions,
                ),
                ("hook_questions", "Questions to the hook", read(&hooks.asked)),
                (
                    "hook_remembered",
                    "Questions that a remembered decision of the hook spared",
                    read(&hooks.remembered),
                ),
                (
                    "hook_joined",
                    "Questions that waited for the hook's answer to the same one",
                    read(&hooks.joined),
                ),
                (
                    "hook_failures",
                    "Requests about which the hook did not decide",
                    counters.decisions_failed,
                ),
                (
                    "hook_rejections",
                    "Requests that the hook refused",
                    counters.rejected_by_hook,
                ),
                (
                    "log_lines_lost",
                    "Events not written to the log",
                    parts.journal.lost(),
                ),
            ],
            reasons: [
                (
                    "refusals_by_reason",
                    "Requests refused by the proxy itself, challenges included",
                    by_reason(|shard| &shard.refused_for),
                ),
                (
                    "sip_bad_messages_by_fault",
                    "Octets received that were no SIP message",
                    by_reason(|shard| &shard.unread_for),
                ),
            ],
            gauges: vec![
                (
                    "draining",
                    "1 while calls are finished and none is taken",
                    u64::from(parts.condition.is_draining()),
                ),
                (
                    "config_age_seconds",
                    "Age of the configuration that runs",
                    config.age_s,
                ),
                (
                    "config_keys_waiting",
                    "Keys of the configuration that changed and need a restart",
                    config.waiting_for_restart.len() as u64,
                ),
                ("calls_now", "Calls, ringing and answered", gauges.calls as u64),
                (
                    "calls_answered_now",
                    "Calls that were answered",
                    gauges.calls_answered as u64,
                ),
                (
                    "service_calls_now",
                    "Calls that the services have",
                    snapshots
                        .shards
                        .iter()
                        .map(|shard| super::service_sessions(&shard.services) as u64)
                        .sum(),
                ),
                (
                    "server_transactions",
                    "Server transactions",
                    gauges.server_transactions as u64,
                ),
                (
                    "client_transactions",
                    "Client transactions",
                    gauges.client_transactions as u64,
                ),
                (
                    "names_waiting",
                    "Requests whose next hop is being looked up",
                    gauges.names_waiting as u64,
                ),
                (
                    "registrations",
                    "Registered contacts",
                    parts.location.len() as u64,
                ),
                (
                    "outgoing_connections_now",
                    "Connections opened by the gateway that exist",
                    opened_now as u64,
                ),
                ("dns_cached", "Answers of DNS that are kept", names.cached as u64),
                (
                    "sources",
                    "Sources of requests that are remembered",
                    parts.guard.len() as u64,
                ),
                (
                    "user_source_entries",
                    "Answers of the user source that are remembered",
                    directory.as_ref().map_or(0, |directory| directory.len() as u64),
                ),
                (
                    "hook_entries",
                    "Decisions of the hook that are remembered",
                    parts.hooks.remembered() as u64,
                ),
                ("sip_connections", "Open SIP connections", sip as u64),
                ("connections", "Connections of every kind", all as u64),
            ],
        };
        moment.counters.extend(conns.tls_failures.iter());
        moment
    }
}

impl Collector for Moment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in &self.counters {
            let counter = ConstCounter::new(*value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for (name, help, reasons) in &self.reasons {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (reason, count) in reasons.iter() {
                ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
            }
        }
        for (name, help, value) in &self.gauges {
            let gauge = ConstGauge::new(*value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
