//! Empty lines to phones behind a NAT, so that it keeps the way to them open.
//!
//! Many NATs forget within half a minute where a datagram came from, and then a phone that is registered for an hour does
//! not ring. An empty line means nothing to a SIP element (RFC 3261 section 7.5) and is a datagram like any other to a NAT.

use std::time::Instant;

use bytes::Bytes;
use viaduct_sip::{Transport, Uri};
use viaduct_txn::Hop;

use super::{Alarm, Proxy};
use crate::Output;
use crate::location::{Binding, Location};

const EMPTY_LINE: &[u8] = b"\r\n\r\n";

impl Proxy {
    /// Begins to send empty lines as often as the configuration says, if that is this shard's task.
    pub(super) fn begin_pings(&mut self, now: Instant) {
        if self.shard.index == 0 && !self.is_pinging {
            self.is_pinging = true;
            self.set_ping(now, 0);
        }
    }

    /// A part of the table at a time, so that they do not leave all at once.
    fn set_ping(&mut self, now: Instant, part: usize) {
        let Some(interval) = self.config.registrar.udp_ping else {
            self.is_pinging = false;
            return;
        };
        let parts = u32::try_from(Location::PARTS).unwrap_or(u32::MAX);
        self.alarms.set(now, interval / parts, Alarm::Ping { part });
    }

    pub(super) fn ping_part(&mut self, now: Instant, part: usize) {
        for flow in self.location.flows_in(part, now, is_behind_nat) {
            self.counters.udp_pings += 1;
            self.outputs.push_back(Output::Send {
                hop: Hop::Flow(flow),
                octets: Bytes::from_static(EMPTY_LINE),
                id: None,
            });
        }
        self.set_ping(now, (part + 1) % Location::PARTS);
    }
}

/// It registered over UDP from elsewhere than its Contact says. A phone that has found out its address outside looks after
/// it, and what is behind another proxy is that one's to look after.
fn is_behind_nat(binding: &Binding) -> bool {
    if binding.flow.transport != Transport::Udp || binding.path.is_some() {
        return false;
    }
    let remote = binding.flow.remote;
    let is_where_it_says = Uri::parse(&binding.uri).is_ok_and(|uri| {
        let ip = uri.host().and_then(|host| host.ip());
        let port = uri.port().unwrap_or_else(|| Transport::Udp.default_port());
        ip.is_some_and(|ip| ip.to_canonical() == remote.ip().to_canonical()) && port == remote.port()
    });
    !is_where_it_says
}
