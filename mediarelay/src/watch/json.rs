//! A snapshot as JSON, for `status --json`.

use serde_json::{Value, json};
use viaduct_session::PortUsage;

use super::{NamedPorts, Snapshot, WorkerFigures};

impl Snapshot {
    /// The figures that people ask for, as one JSON object. Metrics have all of them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counters = &self.counters;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.uptime.as_secs(),
            "fast_path": "off",
            "calls": {
                "current": self.gauges.calls,
                "created": counters.calls,
                "refused": counters.calls_refused,
                "ended": {
                    "requested": counters.ended_regularly,
                    "media_timeout": counters.ended_by_media_timeout,
                    "silent_timeout": counters.ended_by_silent_timeout,
                    "offer_timeout": counters.ended_by_offer_timeout,
                    "final_timeout": counters.ended_by_final_timeout,
                },
                "zero_way": counters.zero_way_calls,
                "one_way": counters.one_way_calls,
            },
            "ice": { "connected": counters.ice_connected, "failed": counters.ice_failed },
            "dtls": { "connected": counters.dtls_connected, "failed": counters.dtls_failed },
            "ports": self.ports.iter().map(ports).collect::<Vec<_>>(),
            "sockets": self.control.sockets,
            "workers": self.workers.iter().map(worker).collect::<Vec<_>>(),
        })
    }
}

fn ports(ports: &NamedPorts) -> Value {
    let PortUsage { address, total, used, stocked, opening, resting, free } = ports.usage;
    json!({
        "interface": ports.interface,
        "address": address.to_string(),
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
    json!({
        "cpu_seconds": worker.cpu.as_secs_f64(),
        "flows": worker.forward.flows,
        "sockets": worker.io.sockets,
        "received": worker.io.received,
        "forwarded": worker.forward.forwarded,
        "replied": worker.forward.replied,
        "dropped": dropped,
    })
}
