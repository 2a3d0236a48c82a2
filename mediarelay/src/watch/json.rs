//! A snapshot as JSON, for people and for `status`.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use viaduct_kmod_helper::Up;
use viaduct_session::PortUsage;

use super::figures::{
    CONNECTIONS, CONTROL, CONTROL_GAUGES, COUNTERS, ENDS, Figure, GAUGES, JANUS, JANUS_GAUGES, JANUS_LIMITS,
    LIMITS, NG, PORTS_FAILED, WORKER, WORKER_GAUGES,
};
use super::{ConnectionFigures, NamedPorts, Snapshot, WorkerFigures};
use crate::control::Outside;

/// As [`Snapshot::to_json`].
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Snapshot {
    /// All figures as one JSON object. What exists stands at its top: `calls`, `ports_in_use`, `flows` and their like,
    /// all of them 0 when there are no calls.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut top = Map::new();
        top.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        top.insert("uptime_seconds".to_owned(), self.uptime.as_secs().into());
        let fast_path = if self.control.kernel_path > 0 {
            "kernel"
        } else {
            "off"
        };
        top.insert("fast_path".to_owned(), fast_path.into());
        let media_ports = if self.control.steering > 0 {
            "steered"
        } else {
            "sockets"
        };
        top.insert("media_ports".to_owned(), media_ports.into());
        top.extend(entries(GAUGES, &self.gauges));
        let mut since_start: Map<_, _> = entries(COUNTERS, &self.counters).collect();
        since_start.insert("calls_ended".to_owned(), object(entries(ENDS, &self.counters)));
        let mut control: Map<_, _> = entries(CONTROL_GAUGES, &self.control).collect();
        control.extend(entries(CONTROL, &self.control));
        control.insert("requests_refused".to_owned(), self.requests_refused.into());
        control.insert("requests_timed_out".to_owned(), self.requests_timed_out.into());
        control.insert(
            "ports_failed".to_owned(),
            object(entries(PORTS_FAILED, &self.control)),
        );
        let outside = Outside::ALL.iter().zip(self.control.kernel_outside);
        let outside = outside.map(|(why, count)| (why.name().to_owned(), count.into()));
        control.insert("kernel_outside".to_owned(), object(outside));
        let ups = Up::ALL.iter().zip(self.control.kernel_ups);
        let ups = ups.map(|(up, count)| (up.name().to_owned(), count.into()));
        control.insert("kernel_up".to_owned(), object(ups));
        control.insert("cpu_seconds".to_owned(), self.control_cpu.as_secs_f64().into());
        let mut janus: Map<_, _> = entries(JANUS_GAUGES, &self.janus).collect();
        janus.extend(entries(JANUS, &self.janus));
        janus.insert(
            "over_limit".to_owned(),
            object(entries(JANUS_LIMITS, &self.janus)),
        );
        for (key, value) in [
            ("since_start", Value::Object(since_start)),
            ("limits_hit", object(entries(LIMITS, &self.counters.limits))),
            ("dropped", self.dropped()),
            ("ports", self.ports.iter().map(ports).collect()),
            ("control", Value::Object(control)),
            ("workers", self.workers.iter().map(worker).collect()),
            ("ng", object(entries(NG, &self.ng))),
            ("janus", Value::Object(janus)),
            ("connections", object(self.connections.iter().map(connections))),
        ] {
            top.insert(key.to_owned(), value);
        }
        Value::Object(top)
    }

    /// Datagrams that all workers dropped, by reason; reasons that never occurred are left out.
    fn dropped(&self) -> Value {
        let mut dropped = Map::new();
        for (reason, count) in self.workers.iter().flat_map(|worker| &worker.forward.drops) {
            if *count > 0 {
                let sum = dropped.entry(reason.text()).or_insert(json!(0));
                *sum = json!(sum.as_u64().unwrap_or_default() + count);
            }
        }
        Value::Object(dropped)
    }
}

fn entries<T>(figures: &'static [Figure<T>], of: &T) -> impl Iterator<Item = (String, Value)> {
    figures
        .iter()
        .map(move |figure| (figure.name.to_owned(), (figure.of)(of).into()))
}

fn object(entries: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.collect())
}

fn ports(ports: &NamedPorts) -> Value {
    let PortUsage {
        address,
        ports: ref of,
        total,
        used,
        stocked,
        opening,
        resting,
        free,
    } = ports.usage;
    json!({
        "interface": ports.interface,
        "address": address.to_string(),
        "first_port": of.range().start(),
        "last_port": of.range().end(),
        "pairs": total,
        "used": used,
        "stocked": stocked,
        "opening": opening,
        "resting": resting,
        "free": free,
    })
}

fn worker(worker: &WorkerFigures) -> Value {
    let dropped: u64 = worker.forward.drops.iter().map(|(_, count)| count).sum();
    let faults: u64 = worker.io.faults.iter().map(|(_, count)| count).sum();
    let mut figures: Map<_, _> = entries(WORKER_GAUGES, worker)
        .chain(entries(WORKER, worker))
        .collect();
    figures.insert("dropped".to_owned(), dropped.into());
    figures.insert("send_faults".to_owned(), faults.into());
    figures.insert("cpu_seconds".to_owned(), worker.cpu.as_secs_f64().into());
    Value::Object(figures)
}

fn connections(kind: &ConnectionFigures) -> (String, Value) {
    (kind.scheme.to_string(), object(entries(CONNECTIONS, kind)))
}
