//! A snapshot as metrics.

mod writer;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use viaduct_forward::DropReason;
use viaduct_kmod_helper::Up;
use viaduct_session::{ClientCounters, PortUsage};

use self::writer::Metrics;
use super::figures::{
    COMMANDS, CONNECTIONS, CONTROL, CONTROL_GAUGES, COUNTERS, ENDS, Figure, GAUGES, JANUS, JANUS_GAUGES,
    JANUS_LIMITS, LIMITS, NG, PORTS_FAILED, WORKER, WORKER_GAUGES,
};
use super::{NamedPorts, Snapshot, WorkerFigures};
use crate::control::{ControlSnapshot, Outside};
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
        let mut metrics = Metrics::new(encoder);
        relay(self, &mut metrics)?;
        calls(self, &mut metrics)?;
        ports(self, &mut metrics)?;
        media(self, &mut metrics)?;
        workers(&self.workers, &mut metrics)?;
        ng(self, &mut metrics)?;
        janus(self, &mut metrics)?;
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
    let cpu = now.control_cpu.as_secs_f64();
    metrics.counter_f64(
        "viaduct_relay_control_cpu_seconds",
        "CPU time of the control thread",
        cpu,
    )?;
    let name = "viaduct_relay_control_requests_refused";
    metrics.counter(
        name,
        "Requests that found control's queue full",
        now.requests_refused,
    )?;
    let name = "viaduct_relay_control_requests_timed_out";
    metrics.counter(
        name,
        "Requests that control did not answer in time",
        now.requests_timed_out,
    )?;
    metrics.all_counters(CONTROL, &now.control)?;
    metrics.all_gauges(CONTROL_GAUGES, &now.control)?;
    kernel(&now.control, metrics)
}

fn kernel(now: &ControlSnapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let outside = Outside::ALL.iter().zip(now.kernel_outside);
    metrics.gauges(
        "viaduct_relay_control_kernel_outside",
        "Flows but those of RTCP that the kernel path is open to and has not, by reason",
        outside.map(|(why, count)| ([("reason", why.name())], count)),
    )?;
    let ups = Up::ALL.iter().zip(now.kernel_ups);
    metrics.counters(
        "viaduct_relay_control_kernel_up",
        "Packets of the kernel's flows that it passed up to workers, by reason",
        ups.map(|(up, count)| ([("reason", up.name())], count)),
    )
}

fn calls(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    metrics.all_gauges(GAUGES, &now.gauges)?;
    metrics.all_counters(COUNTERS, &now.counters)?;
    let ended = by("reason", ENDS, &now.counters);
    metrics.counters("viaduct_relay_calls_ended", "Calls that ended, by reason", ended)?;
    let hits = by("limit", LIMITS, &now.counters.limits);
    metrics.counters("viaduct_relay_limit_hits", "What went over a limit", hits)
}

fn ports(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let values = now.ports.iter().flat_map(|ports| {
        let PortUsage {
            address,
            ports: _,
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
            let labels = [
                ("interface", ports.interface.clone()),
                ("address", address.to_string()),
                ("state", state.to_owned()),
            ];
            (labels, count as u64)
        })
    });
    metrics.gauges(
        "viaduct_relay_port_pairs",
        "Pairs of media ports, by state",
        values,
    )?;
    let failed = by("reason", PORTS_FAILED, &now.control);
    metrics.counters(
        "viaduct_relay_ports_failed",
        "Media ports that could not be opened, by reason",
        failed,
    )
}

fn media(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    let sum = |of: &dyn Fn(&WorkerFigures) -> u64| now.workers.iter().map(of).sum::<u64>();
    let drops = DropReason::ALL.iter().map(|reason| {
        (
            [("reason", reason.text())],
            sum(&|worker| worker.forward.dropped(*reason)),
        )
    });
    metrics.counters("viaduct_relay_drops", "Datagrams dropped, by reason", drops)?;
    let faults = SendFault::ALL.into_iter().map(|fault| {
        (
            [("reason", fault.text())],
            sum(&|worker| worker.io.faults[fault as usize].1),
        )
    });
    metrics.counters(
        "viaduct_relay_send_faults",
        "Datagrams that could not be sent, by reason",
        faults,
    )
}

fn workers(workers: &[WorkerFigures], metrics: &mut Metrics<'_>) -> fmt::Result {
    let numbered = || {
        workers
            .iter()
            .enumerate()
            .map(|(number, worker)| ([("worker", number.to_string())], worker))
    };
    let of_each = |figure: &'static Figure<WorkerFigures>| {
        numbered().map(move |(labels, worker)| (labels, (figure.of)(worker)))
    };
    for figure in WORKER {
        metrics.counters(figure.metric, figure.help, of_each(figure))?;
    }
    for figure in WORKER_GAUGES {
        metrics.gauges(figure.metric, figure.help, of_each(figure))?;
    }
    let cpu = numbered().map(|(labels, worker)| (labels, worker.cpu.as_secs_f64()));
    metrics.counters_f64("viaduct_relay_worker_cpu_seconds", "CPU time of the thread", cpu)
}

fn ng(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    metrics.all_counters(NG, &now.ng)?;
    for figure in CONNECTIONS {
        let kinds = now.connections.iter();
        let values = kinds.map(|kind| ([("listener", kind.scheme.to_string())], (figure.of)(kind)));
        metrics.counters(figure.metric, figure.help, values)?;
    }
    metrics.counters(
        "viaduct_relay_ng_requests",
        "NG commands, by client; `other` are this process and those beyond the clients that are told apart",
        requests(now, "client"),
    )?;
    let errors = clients(now).map(|(client, counters)| ([("client", client)], counters.errors));
    metrics.counters(
        "viaduct_relay_ng_errors",
        "NG commands answered with an error, by client",
        errors,
    )
}

fn janus(now: &Snapshot, metrics: &mut Metrics<'_>) -> fmt::Result {
    metrics.all_gauges(JANUS_GAUGES, &now.janus)?;
    metrics.all_counters(JANUS, &now.janus)?;
    let over = by("limit", JANUS_LIMITS, &now.janus);
    metrics.counters(
        "viaduct_relay_janus_over_limit",
        "What went over a limit of rooms",
        over,
    )
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
    metrics.unknown(
        "rtpengine_sessions_total",
        "Total managed sessions",
        counters.calls,
    )?;
    let ended = by("reason", ENDS, counters).map(|([(label, reason)], count)| {
        (
            [(
                label,
                if reason == "requested" {
                    "terminated"
                } else {
                    reason
                },
            )],
            count,
        )
    });
    let closed = ended.chain([([("reason", "rejected")], counters.calls_refused)]);
    metrics.counters("rtpengine_closed_sessions", "Ended sessions", closed)?;
    let user_space = [("type", "userspace")];
    let packets = now.workers.iter().map(|worker| worker.forward.forwarded).sum();
    metrics.counters(
        "rtpengine_packets",
        "Total relayed packets",
        [(user_space, packets)],
    )?;
    let octets = now.workers.iter().map(|worker| worker.io.forwarded_octets).sum();
    metrics.counters("rtpengine_bytes", "Total relayed bytes", [(user_space, octets)])?;
    let one_way = counters.one_way_calls;
    metrics.counter(
        "rtpengine_one_way_sessions",
        "Sessions with media one way only",
        one_way,
    )?;
    let duration = counters.ended_duration.as_secs_f64();
    metrics.counter_f64(
        "rtpengine_call_duration",
        "Total duration of ended calls",
        duration,
    )?;
    metrics.counters("rtpengine_requests", "Requests by proxy", requests(now, "proxy"))?;
    metrics.gauges(
        "rtpengine_ports",
        "Media ports",
        single_ports(now, |usage| usage.total),
    )?;
    metrics.gauges(
        "rtpengine_ports_used",
        "Media ports in use",
        single_ports(now, |usage| usage.used),
    )?;
    let free = single_ports(now, |usage| usage.total - usage.used);
    metrics.gauges("rtpengine_ports_free", "Media ports not in use", free)
}

/// Ports as rtpengine counts them: not in pairs.
fn single_ports(
    now: &Snapshot,
    pairs: fn(&PortUsage) -> usize,
) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
    now.ports.iter().map(move |NamedPorts { interface, usage }| {
        let labels = [
            ("name", interface.clone()),
            ("address", usage.address.to_string()),
        ];
        (labels, 2 * pairs(usage) as u64)
    })
}

/// The figures of a table, told apart by a label.
fn by<T>(
    label: &'static str,
    figures: &'static [Figure<T>],
    of: &T,
) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
    figures
        .iter()
        .map(move |figure| ([(label, figure.name)], (figure.of)(of)))
}

/// Every command of every client.
fn requests(now: &Snapshot, who: &'static str) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
    clients(now).flat_map(move |(client, counters)| {
        COMMANDS.iter().map(move |command| {
            (
                [(who, client.clone()), ("request", command.name.to_owned())],
                (command.of)(counters),
            )
        })
    })
}

/// The clients by address; those that are not counted by address, and this process, are `other`.
fn clients(now: &Snapshot) -> impl Iterator<Item = (String, &ClientCounters)> {
    let named =
        |client: Option<std::net::IpAddr>| client.map_or("other".to_owned(), |address| address.to_string());
    now.counters
        .clients
        .iter()
        .map(move |(client, counters)| (named(client), counters))
}
