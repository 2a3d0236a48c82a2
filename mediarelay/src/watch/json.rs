//! A snapshot as JSON, for people and for `status`.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use viaduct_session::{Gauges, LimitCounters, PortUsage};

use super::{ConnectionFigures, NamedPorts, Snapshot, WorkerFigures};

/// As [`Snapshot::to_json`].
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Snapshot {
    /// The figures that people ask for, as one JSON object. What exists stands at its top: `calls`, `flows`,
    /// `ports_in_use` and their like, all of them 0 when there are no calls. Metrics have all figures.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counters = &self.counters;
        let Gauges {
            calls,
            legs,
            flows,
            crypto,
            ufrags,
            dtls_tuples,
            dtls_associations,
            ports_in_use,
            tuples,
            retired,
            timers,
            fragments,
        } = self.gauges;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.uptime.as_secs(),
            "fast_path": "off",
            "calls": calls,
            "ports_in_use": ports_in_use,
            "flows": flows,
            "legs": legs,
            "tuples": tuples,
            "srtp_contexts": crypto,
            "ice_ufrags": ufrags,
            "ice_fragments_waiting": fragments,
            "dtls_tuples": dtls_tuples,
            "dtls_associations": dtls_associations,
            "call_timers": timers,
            "retired": retired,
            "sockets": self.control.sockets,
            "since_start": {
                "calls": counters.calls,
                "refused": counters.calls_refused,
                "out_of_ports": counters.out_of_ports,
                "ended": {
                    "requested": counters.ended_regularly,
                    "media_timeout": counters.ended_by_media_timeout,
                    "silent_timeout": counters.ended_by_silent_timeout,
                    "offer_timeout": counters.ended_by_offer_timeout,
                    "final_timeout": counters.ended_by_final_timeout,
                },
                "zero_way": counters.zero_way_calls,
                "one_way": counters.one_way_calls,
                "endpoints_learnt": counters.endpoints_learnt,
                "strangers": counters.strangers,
                "ice": { "connected": counters.ice_connected, "failed": counters.ice_failed },
                "dtls": { "connected": counters.dtls_connected, "failed": counters.dtls_failed },
            },
            "limits_hit": limits_hit(&counters.limits),
            "dropped": self.dropped(),
            "ports": self.ports.iter().map(ports).collect::<Vec<_>>(),
            "workers": self.workers.iter().map(worker).collect::<Vec<_>>(),
            "ng": {
                "messages": self.ng.received,
                "repeats": self.ng.cache.hits + self.ng.cache.hits_in_work,
                "not_ng": self.ng.not_ng,
                "malformed": self.ng.malformed,
                "overload": self.ng.overload,
            },
            "connections": self.connections.iter().map(connections).collect::<Vec<_>>(),
        })
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

fn limits_hit(limits: &LimitCounters) -> Value {
    json!({
        "calls": limits.calls,
        "name_octets": limits.name_octets,
        "parties_per_call": limits.parties_per_call,
        "aliases_per_party": limits.aliases_per_party,
        "sdp": limits.sdp,
        "candidates_per_media": limits.candidates_per_media,
        "paths_per_leg": limits.paths_per_leg,
        "dtls_associations": limits.dtls_associations,
        "fragments_waiting": limits.fragments_waiting,
    })
}

fn connections(kind: &ConnectionFigures) -> Value {
    json!({
        "listener": kind.scheme.to_string(),
        "accepted": kind.accepted,
        "refused": kind.refused,
        "failed": kind.failed,
    })
}

fn ports(ports: &NamedPorts) -> Value {
    let PortUsage {
        address,
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
        "to_control": worker.forward.to_control,
        "dropped": dropped,
        "orders_failed": worker.io.orders_failed,
    })
}
