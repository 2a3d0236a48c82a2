//! What a resolver is told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use viaduct_sip::Transport;

use crate::{Candidate, Failure, NextHop};

/// Everything that a [`Resolver`](crate::Resolver) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The transports spoken here, of UDP, TCP and TLS. A next hop that names none is tried over them in this order.
    pub transports: Vec<Transport>,
    /// Names whose addresses are known without DNS, in lower case. Nothing at all is asked about them.
    pub hosts: HashMap<Arc<str>, Vec<IpAddr>>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds. Each is counted where it is hit, see [`Counters`](crate::Counters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Queries that wait at a time; beyond, [`Failure::Busy`](crate::Failure::Busy). 10,000.
    pub queries_max: usize,
    /// Questions under way at a time; a query that needs one beyond fails with [`Failure::Busy`](crate::Failure::Busy).
    /// 1,000.
    pub questions_max: usize,
    /// Answers that are kept; beyond, the oldest goes. 10,000.
    pub cache_max: usize,
    /// An answer is kept at least this long, also when its servers say 0. 1 s.
    pub ttl_min: Duration,
    /// An answer is kept at most this long. 1 h.
    pub ttl_max: Duration,
    /// That there is no record is kept at most this long, and as long when the servers say nothing (RFC 2308 section 5).
    /// 60 s.
    pub negative_ttl_max: Duration,
    /// That no server answered is kept this long. 5 s.
    pub failure_ttl: Duration,
    /// Records of one answer that are used. 32.
    pub records_max: usize,
    /// SRV names of one NAPTR answer that are followed. 6.
    pub services_max: usize,
    /// Hosts whose addresses are asked for one query, and addresses that come of it. 16.
    pub candidates_max: usize,
    /// How long a dead address is tried last. 30 s.
    pub dead_for: Duration,
    /// Dead addresses that are remembered. 10,000.
    pub dead_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queries_max: 10_000,
            questions_max: 1_000,
            cache_max: 10_000,
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_secs(3_600),
            negative_ttl_max: Duration::from_secs(60),
            failure_ttl: Duration::from_secs(5),
            records_max: 32,
            services_max: 6,
            candidates_max: 16,
            dead_for: Duration::from_secs(30),
            dead_max: 10_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            transports: vec![Transport::Udp, Transport::Tcp, Transport::Tls],
            hosts: HashMap::new(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What becomes of a next hop whose host is an address: its one candidate, if the transport is spoken. `None` when it
    /// is a name. A shell need not disturb its resolver for it.
    pub fn direct(&self, next_hop: &NextHop) -> Option<Result<Vec<Candidate>, Failure>> {
        let candidate = next_hop.direct()?;
        let is_spoken = self.transports.contains(&candidate.transport);
        Some(match is_spoken {
            true => Ok(vec![candidate]),
            false => Err(Failure::NoTransport(next_hop.host.text())),
        })
    }
}
