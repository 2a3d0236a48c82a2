//! Trunks as Prometheus reads them: one value for each trunk.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use viaduct_trunk::{TrunkCounters, TrunkState, TrunkView};

/// What is known of the trunks at one moment.
#[derive(Debug)]
pub(super) struct Trunks(pub(super) Vec<TrunkView>);

type Count = (&'static str, &'static str, fn(&TrunkCounters) -> u64);

const COUNTERS: [Count; 15] = [
    ("trunk_calls_in", "Calls that came in", |c| c.calls_in),
    ("trunk_calls_out", "Calls that were tried to go out", |c| {
        c.calls_out
    }),
    (
        "trunk_calls_answered",
        "Calls that went out and were answered",
        |c| c.answered,
    ),
    ("trunk_calls_failed", "Calls that the trunk itself failed", |c| {
        c.failed
    }),
    ("trunk_over_limit", "Calls held up by a limit of the trunk", |c| {
        c.over_limit
    }),
    (
        "trunk_over_user_limit",
        "Calls held up because their user had as many over the trunk as one may",
        |c| c.over_user_limit,
    ),
    (
        "trunk_over_all_user_limit",
        "Calls held up over limits.trunk_calls_per_user",
        |c| c.over_all_user_limit,
    ),
    (
        "trunk_redirected",
        "Redirections of the trunk that were followed",
        |c| c.redirected,
    ),
    (
        "trunk_redirects_refused",
        "Redirections of the trunk that were not followed",
        |c| c.redirects_refused,
    ),
    (
        "trunk_avoided",
        "Calls that passed over the trunk because it was down or resting",
        |c| c.avoided,
    ),
    (
        "trunk_challenged",
        "Requests that the trunk wanted a password for",
        |c| c.challenged,
    ),
    (
        "trunk_credentials_refused",
        "Passwords that the trunk did not take",
        |c| c.refused_credentials,
    ),
    (
        "trunk_foreign_numbers",
        "Calls that came in for a number that is none of ours",
        |c| c.foreign_numbers,
    ),
    ("trunk_probes_lost", "Probes that were not answered", |c| {
        c.probes_lost
    }),
    ("trunk_registrations_failed", "Registrations that failed", |c| {
        c.registrations_failed
    }),
];

type Gauge = (&'static str, &'static str, fn(&TrunkView) -> Option<u64>);

const GAUGES: [Gauge; 3] = [
    (
        "trunk_up",
        "1 while the trunk answers, 0 while it does not",
        |view| match view.state {
            TrunkState::Up | TrunkState::Resting => Some(1),
            TrunkState::Down => Some(0),
            TrunkState::Unknown => None,
        },
    ),
    (
        "trunk_calls_now",
        "Calls over the trunk, in both directions",
        |view| Some(view.calls.into()),
    ),
    (
        "trunk_registered_seconds",
        "How long the trunk keeps our registration",
        |view| view.registered_s,
    ),
];

impl Collector for Trunks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        for (name, help, of) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for view in &self.0 {
                let labels = [("trunk", view.name.as_str())];
                ConstCounter::new(of(&view.counters)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, of) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for view in &self.0 {
                let Some(value) = of(view) else { continue };
                let labels = [("trunk", view.name.as_str())];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
