//! A snapshot as metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use viaduct_forward::DropReason;
use viaduct_session::{ClientCounters, Counters, PortUsage};

use super::{ConnectionFigures, NamedPorts, Snapshot, WorkerFigures};
use crate::worker::SendFault;

impl Snapshot {
    /// All figures in the text form of OpenMetrics, ready to be served.
    #[must_use]
    pub fn to_openmetrics(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metrics = Metrics { encoder };
        relay(self, &mut metrics)?;
        calls(self, &mut metrics)?;
        ports(&self.ports, &mut metrics)?;
        media(self, &mut metrics)?;
        workers(&self.workers, &mut metrics)?;
        ng(self, &mut metrics)?;
        rtpengine(self, &mut metrics)
    }
}

fn relay(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    metrics.gauge_f64(
        "viaduct_relay_uptime_seconds",
        "Since the relay began",
        now.uptime.as_secs_f64(),
    )?;
    metrics.gauges(
        "viaduct_relay_info",
        "Always 1; the version is in the label",
        [([("version", env!("CARGO_PKG_VERSION"))], 1)],
    )?;
    metrics.counter_f64(
        "viaduct_relay_control_cpu_seconds",
        "CPU time of the control thread",
        now.control_cpu.as_secs_f64(),
    )?;
    let control = &now.control;
    for (name, help, value) in [
        (
            "viaduct_relay_control_requests",
            "NG commands carried out",
            control.requests,
        ),
        (
            "viaduct_relay_control_requests_refused",
            "Requests that found control's queue full",
            now.requests_refused,
        ),
        (
            "viaduct_relay_control_requests_shed",
            "New calls refused while workers lag",
            control.requests_shed,
        ),
        (
            "viaduct_relay_control_datagrams",
            "Datagrams that workers handed to control",
            control.datagrams,
        ),
        (
            "viaduct_relay_control_reports",
            "Reports of workers",
            control.reports,
        ),
        (
            "viaduct_relay_control_orders_failed",
            "Orders that workers could not carry out",
            control.orders_failed,
        ),
        (
            "viaduct_relay_control_sent",
            "DTLS and STUN datagrams sent by control",
            control.sent,
        ),
        (
            "viaduct_relay_control_send_faults",
            "Those that could not be sent",
            control.send_faults,
        ),
        (
            "viaduct_relay_control_addresses_unknown",
            "Orders for addresses without a socket",
            control.addresses_unknown,
        ),
        ("viaduct_relay_events", "Events of calls", control.events),
    ] {
        metrics.counter(name, help, value)?;
    }
    metrics.gauge(
        "viaduct_relay_control_orders_held",
        "Orders that wait for workers",
        control.orders_held,
    )?;
    metrics.gauge(
        "viaduct_relay_control_flows",
        "Flows that workers were told to have",
        control.flows,
    )?;
    metrics.gauge(
        "viaduct_relay_sockets",
        "Media sockets that are open",
        control.sockets,
    )
}

fn calls(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let gauges = &now.gauges;
    for (name, help, value) in [
        (
            "viaduct_relay_calls",
            "Calls, those that wait for their deletion among them",
            gauges.calls,
        ),
        (
            "viaduct_relay_legs",
            "Transports between the relay and an endpoint",
            gauges.legs,
        ),
        ("viaduct_relay_flows", "Flows that are forwarded", gauges.flows),
        (
            "viaduct_relay_ports_in_use",
            "Ports that calls use",
            gauges.ports_in_use,
        ),
        ("viaduct_relay_srtp_contexts", "SRTP contexts", gauges.crypto),
        (
            "viaduct_relay_ice_ufrags",
            "ICE username fragments",
            gauges.ufrags,
        ),
        (
            "viaduct_relay_ice_fragments_waiting",
            "Trickled candidates that wait for their party",
            gauges.fragments,
        ),
        (
            "viaduct_relay_dtls_tuples",
            "Addresses that may send DTLS",
            gauges.dtls_tuples,
        ),
        (
            "viaduct_relay_dtls_associations",
            "DTLS associations",
            gauges.dtls_associations,
        ),
        (
            "viaduct_relay_tuples",
            "Pairs of addresses that legs are found by",
            gauges.tuples,
        ),
        (
            "viaduct_relay_retired",
            "Flows and legs whose counters are about to be forgotten",
            gauges.retired,
        ),
        ("viaduct_relay_call_timers", "Calls with a timer", gauges.timers),
    ] {
        metrics.gauge(name, help, value as u64)?;
    }
    let counters = &now.counters;
    for (name, help, value) in [
        (
            "viaduct_relay_calls_created",
            "Calls that were created",
            counters.calls,
        ),
        (
            "viaduct_relay_calls_refused",
            "Offers refused because of a limit on calls",
            counters.calls_refused,
        ),
        (
            "viaduct_relay_calls_zero_way",
            "Ended calls in which nobody sent anything",
            counters.zero_way_calls,
        ),
        (
            "viaduct_relay_calls_one_way",
            "Ended calls in which one side alone sent",
            counters.one_way_calls,
        ),
        (
            "viaduct_relay_out_of_ports",
            "Offers that found no ports",
            counters.out_of_ports,
        ),
        (
            "viaduct_relay_sdp_unusable",
            "SDPs that could not be used",
            counters.sdp_unusable,
        ),
        (
            "viaduct_relay_endpoints_learnt",
            "Endpoints that were not those of the SDP",
            counters.endpoints_learnt,
        ),
        (
            "viaduct_relay_strangers",
            "Packets of unknown sources that were not the peer's",
            counters.strangers,
        ),
        (
            "viaduct_relay_stale",
            "Packets and reports about legs that are gone",
            counters.stale,
        ),
        (
            "viaduct_relay_repeats",
            "Offers and answers that came again and got the same reply",
            counters.repeats,
        ),
        (
            "viaduct_relay_candidates_unreachable",
            "Candidates with a name, a transport other than UDP, or no port",
            counters.candidates_unreachable,
        ),
        (
            "viaduct_relay_ice_connected",
            "Legs on which ICE found a path",
            counters.ice_connected,
        ),
        (
            "viaduct_relay_ice_failed",
            "Legs on which ICE found none or lost it",
            counters.ice_failed,
        ),
        (
            "viaduct_relay_dtls_connected",
            "DTLS handshakes that gave keys",
            counters.dtls_connected,
        ),
        (
            "viaduct_relay_dtls_failed",
            "DTLS handshakes that did not",
            counters.dtls_failed,
        ),
        (
            "viaduct_relay_dtls_wrong_fingerprint",
            "Those in which the certificate was not the one of the SDP",
            counters.dtls_wrong_fingerprint,
        ),
    ] {
        metrics.counter(name, help, value)?;
    }
    metrics.counters(
        "viaduct_relay_calls_ended",
        "Calls that ended",
        ends(counters, "requested"),
    )?;
    let limits = &counters.limits;
    metrics.counters(
        "viaduct_relay_limit_hits",
        "What went over a limit",
        [
            ([("limit", "calls")], limits.calls),
            ([("limit", "name_octets")], limits.name_octets),
            ([("limit", "parties_per_call")], limits.parties_per_call),
            ([("limit", "aliases_per_party")], limits.aliases_per_party),
            ([("limit", "sdp")], limits.sdp),
            ([("limit", "candidates_per_media")], limits.candidates_per_media),
            ([("limit", "paths_per_leg")], limits.paths_per_leg),
            ([("limit", "dtls_associations")], limits.dtls_associations),
            ([("limit", "fragments_waiting")], limits.fragments_waiting),
        ],
    )
}

/// Why calls ended, each with its count; `requested` is what an end by `delete` is called.
fn ends(counters: &Counters, requested: &'static str) -> [([(&'static str, &'static str); 1], u64); 5] {
    [
        ([("reason", requested)], counters.ended_regularly),
        ([("reason", "timeout")], counters.ended_by_media_timeout),
        ([("reason", "silent_timeout")], counters.ended_by_silent_timeout),
        ([("reason", "offer_timeout")], counters.ended_by_offer_timeout),
        ([("reason", "final_timeout")], counters.ended_by_final_timeout),
    ]
}

fn ports(ports: &[NamedPorts], metrics: &mut Metrics<'_>) -> fmt::Result {
    let values = ports.iter().flat_map(|ports| {
        let PortUsage {
            address,
            total: _,
            used,
            stocked,
            opening,
            resting,
            free,
        } = ports.usage;
        let states = [
            ("used", used),
            ("stocked", stocked),
            ("opening", opening),
            ("resting", resting),
            ("free", free),
        ];
        states.map(|(state, count)| {
            let labels = [("address", address.to_string()), ("state", state.to_owned())];
            (labels, count as u64)
        })
    });
    metrics.gauges(
        "viaduct_relay_port_pairs",
        "Pairs of media ports by state",
        values,
    )
}

fn media(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let control = &now.control;
    metrics.counters(
        "viaduct_relay_ports_failed",
        "Media ports that could not be opened",
        [
            ([("reason", "taken")], control.ports_taken),
            ([("reason", "no_descriptor")], control.ports_without_descriptor),
            ([("reason", "other")], control.ports_failed),
        ],
    )?;
    let drops = DropReason::ALL.iter().map(|reason| {
        let count = now
            .workers
            .iter()
            .map(|worker| worker.forward.dropped(*reason))
            .sum::<u64>();
        ([("reason", reason.text())], count)
    });
    metrics.counters("viaduct_relay_drops", "Datagrams dropped, by reason", drops)?;
    let faults = SendFault::ALL.into_iter().map(|fault| {
        let count = now
            .workers
            .iter()
            .map(|worker| worker.io.faults[fault as usize].1)
            .sum::<u64>();
        ([("reason", fault.text())], count)
    });
    metrics.counters(
        "viaduct_relay_send_faults",
        "Datagrams that could not be sent, by reason",
        faults,
    )
}

/// One figure of something that there are several of: name, help, and where it stands.
type Figure<T> = (&'static str, &'static str, fn(&T) -> u64);

fn workers(workers: &[WorkerFigures], metrics: &mut Metrics<'_>) -> fmt::Result {
    let counters: [Figure<WorkerFigures>; 16] = [
        ("viaduct_relay_worker_received", "Datagrams read", |worker| {
            worker.io.received
        }),
        ("viaduct_relay_worker_forwarded", "Datagrams sent on", |worker| {
            worker.forward.forwarded
        }),
        (
            "viaduct_relay_worker_forwarded_octets",
            "Octets sent on",
            |worker| worker.io.forwarded_octets,
        ),
        ("viaduct_relay_worker_replied", "STUN answers", |worker| {
            worker.forward.replied
        }),
        (
            "viaduct_relay_worker_to_control",
            "Datagrams for control",
            |worker| worker.forward.to_control,
        ),
        ("viaduct_relay_worker_sent", "Datagrams sent", |worker| {
            worker.io.sent
        }),
        (
            "viaduct_relay_worker_receive_errors",
            "Reads that failed",
            |worker| worker.io.receive_errors,
        ),
        ("viaduct_relay_worker_wakeups", "Batches read", |worker| {
            worker.io.wakeups
        }),
        ("viaduct_relay_worker_naps", "Ticks slept", |worker| {
            worker.io.naps
        }),
        (
            "viaduct_relay_worker_notices_lost",
            "Datagrams that found control's queue full",
            |worker| worker.io.notices_lost,
        ),
        (
            "viaduct_relay_worker_reports_held",
            "Reports that found control's queue full",
            |worker| worker.io.reports_held,
        ),
        (
            "viaduct_relay_worker_checks_not_authentic",
            "ICE checks with a wrong password",
            |worker| worker.forward.checks_not_authentic,
        ),
        (
            "viaduct_relay_worker_checks_refused",
            "ICE checks answered with another error",
            |worker| worker.forward.checks_refused,
        ),
        (
            "viaduct_relay_worker_reports_delayed",
            "Reports that wait for the next occasion",
            |worker| worker.forward.reports_delayed,
        ),
        ("viaduct_relay_worker_orders", "Orders carried out", |worker| {
            worker.io.orders
        }),
        (
            "viaduct_relay_worker_orders_failed",
            "Orders that could not be",
            |worker| worker.io.orders_failed,
        ),
    ];
    let labelled = |figure: fn(&WorkerFigures) -> u64| {
        let numbered = workers.iter().enumerate();
        numbered.map(move |(number, worker)| ([("worker", number.to_string())], figure(worker)))
    };
    for (name, help, figure) in counters {
        metrics.counters(name, help, labelled(figure))?;
    }
    metrics.gauges(
        "viaduct_relay_worker_flows",
        "Flows installed",
        labelled(|worker| worker.forward.flows),
    )?;
    metrics.gauges(
        "viaduct_relay_worker_sockets",
        "Sockets that it reads",
        labelled(|worker| worker.io.sockets),
    )?;
    let cpu = workers.iter().enumerate();
    let cpu = cpu.map(|(number, worker)| ([("worker", number.to_string())], worker.cpu.as_secs_f64()));
    metrics.counters_f64("viaduct_relay_worker_cpu_seconds", "CPU time of the thread", cpu)
}

fn ng(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let ng = &now.ng;
    for (name, help, value) in [
        (
            "viaduct_relay_ng_messages",
            "NG messages over the network",
            ng.received,
        ),
        (
            "viaduct_relay_ng_not_ng",
            "Datagrams that are no NG messages",
            ng.not_ng,
        ),
        (
            "viaduct_relay_ng_malformed",
            "Messages answered with what is wrong with them",
            ng.malformed,
        ),
        (
            "viaduct_relay_ng_overload",
            "Messages dropped because too many were being answered",
            ng.overload,
        ),
        (
            "viaduct_relay_ng_repeats",
            "Repeated messages that were not done again",
            ng.cache.hits + ng.cache.hits_in_work,
        ),
        (
            "viaduct_relay_ng_cache_evictions",
            "Answers forgotten early to stay within limits",
            ng.cache.evictions,
        ),
        (
            "viaduct_relay_ng_cache_oversized",
            "Answers too large to keep for repetitions",
            ng.cache.oversized,
        ),
    ] {
        metrics.counter(name, help, value)?;
    }
    let figures: [Figure<ConnectionFigures>; 3] = [
        (
            "viaduct_relay_connections",
            "Connections to listeners over TCP",
            |kind| kind.accepted,
        ),
        (
            "viaduct_relay_connections_refused",
            "Those closed because there were too many",
            |kind| kind.refused,
        ),
        (
            "viaduct_relay_connections_failed",
            "Those closed for what their clients sent, or did not",
            |kind| kind.failed,
        ),
    ];
    for (name, help, figure) in figures {
        let values = now
            .connections
            .iter()
            .map(|kind| ([("listener", kind.scheme.to_string())], figure(kind)));
        metrics.counters(name, help, values)?;
    }
    metrics.counters(
        "viaduct_relay_ng_requests",
        "NG commands by client",
        requests(now, "client"),
    )?;
    let errors = clients(now).map(|(client, counters)| ([("client", client)], counters.errors));
    metrics.counters(
        "viaduct_relay_ng_errors",
        "NG commands answered with an error",
        errors,
    )
}

/// Every command of every client.
fn requests(now: &Snapshot, who: &'static str) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
    clients(now).flat_map(move |(client, counters)| {
        commands(counters)
            .map(|(command, count)| ([(who, client.clone()), ("request", command.to_owned())], count))
    })
}

/// The clients by address; those that are not counted by address, and this process, are `other`.
fn clients(now: &Snapshot) -> impl Iterator<Item = (String, &ClientCounters)> {
    now.counters.clients.iter().map(|(client, counters)| {
        (
            client.map_or("other".to_owned(), |address| address.to_string()),
            counters,
        )
    })
}

fn commands(counters: &ClientCounters) -> [(&'static str, u64); 8] {
    [
        ("ping", counters.pings),
        ("offer", counters.offers),
        ("answer", counters.answers),
        ("delete", counters.deletes),
        ("query", counters.queries),
        ("list", counters.lists),
        ("statistics", counters.statistics),
        ("other", counters.others),
    ]
}

/// What is true of us among rtpengine's metrics, so that its dashboards show something.
fn rtpengine(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let counters = &now.counters;
    metrics.gauges(
        "rtpengine_sessions",
        "Owned sessions",
        [([("type", "own")], now.gauges.calls as u64)],
    )?;
    metrics.gauge("rtpengine_uptime_seconds", "Uptime", now.uptime.as_secs())?;
    // As a counter its family would be called like the gauge above, which OpenMetrics forbids.
    metrics
        .begin(
            "rtpengine_sessions_total",
            "Total managed sessions",
            MetricType::Unknown,
        )?
        .encode_gauge(&counters.calls)?;
    let rejected = ([("reason", "rejected")], counters.calls_refused);
    let closed = ends(counters, "terminated").into_iter().chain([rejected]);
    metrics.counters("rtpengine_closed_sessions", "Ended sessions", closed)?;
    let forwarded = now.workers.iter().map(|worker| worker.forward.forwarded).sum();
    let octets = now.workers.iter().map(|worker| worker.io.forwarded_octets).sum();
    let user_space = [("type", "userspace")];
    metrics.counters(
        "rtpengine_packets",
        "Total relayed packets",
        [(user_space, forwarded)],
    )?;
    metrics.counters("rtpengine_bytes", "Total relayed bytes", [(user_space, octets)])?;
    metrics.counter(
        "rtpengine_one_way_sessions",
        "Sessions with media one way only",
        counters.one_way_calls,
    )?;
    metrics.counter_f64(
        "rtpengine_call_duration",
        "Total duration of ended calls",
        counters.ended_duration.as_secs_f64(),
    )?;
    metrics.counters("rtpengine_requests", "Requests by proxy", requests(now, "proxy"))?;
    let single = |count: usize| 2 * count as u64;
    for (name, help, count) in [
        (
            "rtpengine_ports",
            "Media ports",
            (|usage| usage.total) as fn(&PortUsage) -> usize,
        ),
        ("rtpengine_ports_used", "Media ports in use", |usage| usage.used),
        ("rtpengine_ports_free", "Media ports not in use", |usage| {
            usage.total - usage.used
        }),
    ] {
        let values = now.ports.iter().map(|ports| {
            let labels = [
                ("name", ports.interface.clone()),
                ("address", ports.usage.address.to_string()),
            ];
            (labels, single(count(&ports.usage)))
        });
        metrics.gauges(name, help, values)?;
    }
    Ok(())
}

/// Writes families of metrics.
struct Metrics<'e> {
    encoder: DescriptorEncoder<'e>,
}

const NO_EXEMPLAR: Option<&Exemplar<[(&str, &str); 0], f64>> = None;

impl Metrics<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.begin(name, help, MetricType::Counter)?
            .encode_counter(&value, NO_EXEMPLAR)
    }

    fn counter_f64(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.begin(name, help, MetricType::Counter)?
            .encode_counter(&value, NO_EXEMPLAR)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauge_f64(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            family
                .encode_family(&labels)?
                .encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    fn counters_f64<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            family
                .encode_family(&labels)?
                .encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.encoder.encode_descriptor(name, help, None, kind)
    }
}
