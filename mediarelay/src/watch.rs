//! The relay at one moment, for metrics, health checks and people.

mod figures;
mod json;
mod openmetrics;

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_forward::{WorkerSnapshot, WorkerStats};
use viaduct_ng::ReplyCacheCounters;
use viaduct_session::{Counters, Gauges, PortUsage};
use viaduct_settings::RelayScheme;

use crate::accept::{AcceptStats, Accepts};
use crate::control::{ControlSnapshot, ControlStats, Office};
use crate::interfaces::MediaInterface;
use crate::janus::{Janus, JanusFigures};
use crate::line::{Line, Unavailable};
use crate::ng::Dialogue;
use crate::worker::{IoSnapshot, IoStats};

/// Sees everything; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    line: Line,
    sights: Arc<Sights>,
    /// Rooms, if there are any.
    janus: Option<Janus>,
}

/// What can be seen without asking control.
#[derive(Debug)]
pub(crate) struct Sights {
    pub(crate) started: Instant,
    pub(crate) interfaces: Vec<MediaInterface>,
    pub(crate) workers: Vec<WorkerSight>,
    pub(crate) control: Arc<ControlStats>,
    pub(crate) dialogue: Arc<Dialogue>,
    pub(crate) accepts: Arc<Accepts>,
}

/// One worker's counters.
#[derive(Debug)]
pub(crate) struct WorkerSight {
    pub(crate) io: Arc<IoStats>,
    pub(crate) forward: Arc<WorkerStats>,
}

/// All figures of a relay at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Since the relay began.
    pub uptime: Duration,
    /// What exists.
    pub gauges: Gauges,
    /// What happened to calls.
    pub counters: Counters,
    /// The ports of each address.
    pub ports: Vec<NamedPorts>,
    /// What the control thread did.
    pub control: ControlSnapshot,
    /// CPU time of the control thread.
    pub control_cpu: Duration,
    /// Requests that were not taken because too many waited.
    pub requests_refused: u64,
    /// Requests that control did not answer in time.
    pub requests_timed_out: u64,
    /// Each worker, in order.
    pub workers: Vec<WorkerFigures>,
    /// NG over the network.
    pub ng: NgFigures,
    /// Connections to the listeners over TCP, by kind.
    pub connections: [ConnectionFigures; 4],
    /// Rooms over Janus' protocol.
    pub janus: JanusFigures,
}

/// The ports of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPorts {
    /// The first interface that has the address.
    pub interface: String,
    /// How many pairs of ports are in which state.
    pub usage: PortUsage,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFigures {
    /// CPU time of its thread.
    pub cpu: Duration,
    /// Its sockets.
    pub io: IoSnapshot,
    /// What it decided about datagrams.
    pub forward: WorkerSnapshot,
}

/// NG over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NgFigures {
    /// Messages that came in.
    pub received: u64,
    /// Datagrams that are no NG messages.
    pub not_ng: u64,
    /// Messages answered with what is wrong with them.
    pub malformed: u64,
    /// Messages dropped because too many were being answered.
    pub overload: u64,
    /// Offers over UDP that were told to try another relay, since there had been too much to do for too long.
    pub turned_away: u64,
    /// Answers over UDP that could not be sent.
    pub unsent: u64,
    /// Bodies over HTTP that were refused for their size.
    pub http_too_large: u64,
    /// Files and blobs that could not be played.
    pub media_refused: u64,
    /// Names without effect that were not logged, because enough others were.
    pub ignored_unlogged: u64,
    /// What the cache of answers has seen.
    pub cache: ReplyCacheCounters,
}

/// Connections to the listeners of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// What is spoken there.
    pub scheme: RelayScheme,
    /// Connections that were taken.
    pub accepted: u64,
    /// Connections closed at once because there were too many.
    pub refused: u64,
    /// Connections closed because of what their clients sent, or did not send in time.
    pub failed: u64,
    /// Connections closed because they carried nothing for too long.
    pub idle: u64,
}

/// Why a relay is not ready for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Control does not answer.
    Control(Unavailable),
    /// It is ending.
    Ending,
    /// There are no ports for a call.
    NoPorts,
    /// It was told to take no new calls.
    Draining,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(why) => why.fmt(f),
            Self::Ending => f.write_str("the relay is ending"),
            Self::NoPorts => f.write_str("no media port is open"),
            Self::Draining => f.write_str("no new calls are taken (max_sessions is 0)"),
        }
    }
}

impl Watch {
    pub(crate) fn new(line: Line, sights: Sights, janus: Option<Janus>) -> Self {
        Self {
            line,
            janus,
            sights: Arc::new(sights),
        }
    }

    /// What the control thread counts, and others for it.
    pub(crate) fn control_stats(&self) -> Arc<ControlStats> {
        Arc::clone(&self.sights.control)
    }

    /// All figures.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Unavailable> {
        let seen = self.line.visit(Seen::by).await?;
        Ok(self.complete(seen))
    }

    /// Whether calls can be taken.
    pub(crate) async fn readiness(&self) -> Result<(), NotReady> {
        if self.sights.control.is_ending() {
            return Err(NotReady::Ending);
        }
        let seen = self.line.visit(Seen::by).await.map_err(NotReady::Control)?;
        if seen.draining {
            return Err(NotReady::Draining);
        }
        let is_usable = |ports: &PortUsage| ports.stocked + ports.used > 0;
        if seen.ports.iter().any(is_usable) {
            Ok(())
        } else {
            Err(NotReady::NoPorts)
        }
    }

    fn complete(&self, seen: Seen) -> Snapshot {
        let sights = &*self.sights;
        let ports = seen.ports.into_iter().map(|usage| NamedPorts {
            interface: sights.name_of(&usage),
            usage,
        });
        let workers = sights.workers.iter().map(|worker| {
            let io = worker.io.snapshot();
            WorkerFigures {
                cpu: cpu_time(io.thread),
                io,
                forward: worker.forward.snapshot(),
            }
        });
        let control = sights.control.snapshot();
        let ng = &sights.dialogue.stats;
        Snapshot {
            uptime: sights.started.elapsed(),
            gauges: seen.gauges,
            counters: seen.counters,
            ports: ports.collect(),
            control,
            control_cpu: cpu_time(control.thread),
            requests_refused: self.line.stats().refused.get(),
            requests_timed_out: self.line.stats().timed_out.get(),
            workers: workers.collect(),
            ng: NgFigures {
                received: ng.received.get(),
                not_ng: ng.not_ng.get(),
                malformed: ng.malformed.get(),
                overload: ng.overload.get(),
                turned_away: ng.turned_away.get(),
                unsent: ng.unsent.get(),
                http_too_large: ng.http_too_large.get(),
                media_refused: ng.media_refused.get(),
                ignored_unlogged: ng.ignored_unlogged.get(),
                cache: sights.dialogue.cache_counters(),
            },
            janus: self.janus.as_ref().map(Janus::figures).unwrap_or_default(),
            connections: [
                connections(RelayScheme::NgTcp, &sights.accepts.ng),
                connections(RelayScheme::Cli, &sights.accepts.cli),
                connections(RelayScheme::Http, &sights.accepts.http),
                connections(RelayScheme::Https, &sights.accepts.https),
            ],
        }
    }
}

impl Sights {
    fn name_of(&self, usage: &PortUsage) -> String {
        let has =
            |interface: &&MediaInterface| interface.addresses.iter().any(|address| address.is_of(usage));
        self.interfaces
            .iter()
            .find(has)
            .map(|interface| interface.name.clone())
            .unwrap_or_default()
    }
}

fn connections(scheme: RelayScheme, stats: &AcceptStats) -> ConnectionFigures {
    ConnectionFigures {
        scheme,
        accepted: stats.accepted.get(),
        refused: stats.refused.get(),
        failed: stats.failed.get(),
        idle: stats.idle.get(),
    }
}

/// What control is asked for.
struct Seen {
    gauges: Gauges,
    counters: Counters,
    ports: Vec<PortUsage>,
    draining: bool,
}

impl Seen {
    fn by(office: &mut Office) -> Self {
        office.count_overflows();
        Self {
            gauges: office.relay.gauges(),
            counters: office.relay.counters().clone(),
            ports: office.relay.port_usage(),
            draining: office.relay.max_sessions() == Some(0),
        }
    }
}

/// The CPU time of a thread of this process; zero if it has ended.
fn cpu_time(thread: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
    let nanos = text
        .split_ascii_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
