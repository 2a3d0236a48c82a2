//! The relay: all calls, and the one place where commands, datagrams and time come in.

mod exchanges;
mod keeping;
mod others;
mod playing;
mod publishing;
mod statistics;
mod subscriptions;
mod trickle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use viaduct_forward::{Epoch, FlowId, LegId, LocalAddr, Report, StatsTable, ToControl};
use viaduct_ng::{
    ByteString, CallReport, Delete, ErrorReason, Flag, List, LoadLimit, OkReply, Query, Reply, Request,
};

pub use self::keeping::{NotRebuilt, Rebuilt};
pub(crate) use self::playing::Clips;
use self::trickle::Fragments;
use crate::call::{Call, FaxId, FaxOutput};
use crate::clock::WallClock;
use crate::config::Config;
use crate::core::{CallKey, Core};
use crate::counters::{Counters, Gauges};
use crate::dtls::{BothEngines, Certificate, CertificateError, DtlsEngines};
use crate::output::Output;
use crate::ports::{PortPair, PortPlan, PortUsage};
use crate::state::CallName;

/// What a relay is made of besides its settings.
#[derive(Debug)]
pub struct Parts {
    /// Seeded by the shell from the system, by a test from a constant: ports, passwords and keys come from it.
    pub rng: StdRng,
    /// The relay's certificate, which every DTLS association shows.
    pub certificate: Certificate,
    /// Where the workers count.
    pub stats: StatsTable,
    /// The clock of the workers.
    pub epoch: Epoch,
    /// The time of day.
    pub clock: WallClock,
}

/// All calls of a relay. See the [crate](crate) for the contract.
#[derive(Debug)]
pub struct Relay {
    core: Core,
    /// In boxes, since a tree keeps room for eleven in each of its nodes.
    calls: BTreeMap<CallKey, Box<Call>>,
    by_id: BTreeMap<ByteString, CallKey>,
    /// When each call wants to be looked at.
    timers: BTreeSet<(Instant, CallKey)>,
    /// When the next packet of what is played in a call is due.
    playing: BTreeSet<(Instant, CallKey)>,
    fragments: Fragments,
    /// Why new calls are refused, whatever their number.
    overload: Option<LoadLimit>,
    started: Instant,
}

/// One call in few words, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// `call-id`
    pub call_id: ByteString,
    /// Since 1970.
    pub created: Duration,
    /// It waits for its deletion.
    pub is_deleted: bool,
    /// Who sent the first offer; `None` within this process.
    pub client: Option<IpAddr>,
    /// DSCP and ECN octet of its media, if one is set.
    pub tos: Option<u8>,
}

impl Relay {
    /// A relay without calls. Its first outputs ask for a stock of ports.
    ///
    /// # Errors
    /// The certificate's private key cannot sign.
    pub fn new(now: Instant, config: Config, parts: Parts) -> Result<Self, CertificateError> {
        let engines = BothEngines::new(
            parts.certificate.clone(),
            config.dtls_mtu,
            config.dtls_version,
            &config.limits.dtls,
        )?;
        Ok(Self::with_engines(now, config, parts, Box::new(engines)))
    }

    /// The same with another implementation of DTLS, which shows the certificate of `parts`.
    #[must_use]
    pub fn with_engines(now: Instant, config: Config, parts: Parts, engines: Box<dyn DtlsEngines>) -> Self {
        let addresses = config
            .interfaces
            .iter()
            .flat_map(|interface| &interface.addresses);
        let sets = addresses.map(|of| (of.address, of.ports.clone()));
        let ports = PortPlan::new(sets, config.port_stock, config.port_rest);
        let mut core = Core::new(config, parts, ports, engines);
        core.refill_ports(now);
        Self {
            core,
            calls: BTreeMap::new(),
            by_id: BTreeMap::new(),
            timers: BTreeSet::new(),
            playing: BTreeSet::new(),
            fragments: Fragments::default(),
            overload: None,
            started: now,
        }
    }

    /// Carries out an NG command. `client` is the address it came from, `None` within this process: commands are
    /// counted by it.
    pub fn handle_ng(&mut self, now: Instant, client: Option<IpAddr>, request: &Request) -> Reply {
        let request = &*self.with_names(request);
        let counted_max = self.core.config.limits.clients_counted;
        self.core.counters.clients.of(client, counted_max).count(request);
        let reply = if self.core.state.is_some() && keeping::changes_calls(request) {
            self.carry_out_and_keep(now, client, request)
        } else {
            self.carry_out(now, client, request)
        };
        if matches!(reply, Reply::Error { .. } | Reply::LoadLimit { .. }) {
            self.core.counters.clients.of(client, counted_max).errors += 1;
        }
        reply
    }

    fn carry_out(&mut self, now: Instant, client: Option<IpAddr>, request: &Request) -> Reply {
        match request {
            Request::Ping => Reply::Pong,
            Request::Offer(offer) if offer.options.has(Flag::Fragment) => self.trickle(now, offer),
            Request::Offer(offer) => self.offer(now, client, offer),
            Request::Answer(answer) => self.answer(now, answer),
            Request::Delete(delete) => self.delete(now, delete),
            Request::Query(query) => self.query(now, query),
            Request::List(list) => self.list(*list),
            Request::Statistics => self.statistics(now),
            Request::Publish(publish) => self.publish(now, client, publish),
            Request::SubscribeRequest(request) => self.subscribe(now, request),
            Request::SubscribeAnswer(answer) => self.subscribe_answer(now, answer),
            Request::Unsubscribe(unsubscribe) => self.unsubscribe(now, unsubscribe),
            Request::Other(other) => self.other(now, other),
        }
    }

    /// Takes a datagram that a worker has handed up: which socket it came in by, and where from.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        why: ToControl,
        local: LocalAddr,
        from: SocketAddr,
        data: &[u8],
    ) {
        let key = self.core.legs.get(&why.leg()).copied();
        if let ToControl::Media { leg } = why {
            // Nothing about the call follows from it.
            match key.and_then(|key| self.calls.get_mut(&key)) {
                Some(call) => call.take_for_fax(&mut self.core, leg, data),
                None => self.core.counters.stale += 1,
            }
            return;
        }
        match key {
            Some(key) => self.work(now, key, |call, core| {
                call.handle_packet(now, core, why, local, from, data);
            }),
            None => self.core.counters.stale += 1,
        }
    }

    /// Takes what a worker reports.
    pub fn handle_report(&mut self, now: Instant, report: Report) {
        match self.core.legs.get(&report.leg()).copied() {
            Some(key) => self.work(now, key, |call, core| call.handle_report(now, core, report)),
            None => self.core.counters.stale += 1,
        }
    }

    /// Takes what a fax gateway says.
    pub fn handle_fax(&mut self, now: Instant, id: FaxId, output: FaxOutput) {
        let key = self.core.faxes.get(&id);
        match key.and_then(|key| self.calls.get_mut(key)) {
            Some(call) => call.handle_fax(now, &mut self.core, id, output),
            None => self.core.counters.stale += 1,
        }
    }

    /// The flows that workers know of a call.
    pub fn flows_of(&self, call_id: &[u8]) -> impl Iterator<Item = FlowId> {
        let call = self.by_id.get(call_id).and_then(|key| self.calls.get(key));
        call.into_iter()
            .flat_map(|call| call.installed.flows.keys().copied())
    }

    /// The call that a leg is of.
    #[must_use]
    pub fn call_id_of(&self, leg: LegId) -> Option<&ByteString> {
        let key = self.core.legs.get(&leg)?;
        self.calls.get(key).map(|call| &call.id)
    }

    /// Both ports of a pair are bound and the workers know.
    pub fn handle_pair_opened(&mut self, now: Instant, pair: PortPair) {
        if !self.core.ports.opened(pair) {
            self.core.counters.stale += 1;
        }
        self.core.refill_ports(now);
    }

    /// A pair could not be bound. Another one is asked for in its place.
    pub fn handle_pair_failed(&mut self, now: Instant, pair: PortPair) {
        self.core.counters.ports_failed += 1;
        self.core.ports.failed(now, pair);
        self.core.refill_ports(now);
    }

    /// Does what is due. To be called when [`poll_timeout`](Self::poll_timeout) says so; earlier does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
        self.fragments.handle_timeout(now);
        self.play(now);
        let due: Vec<CallKey> = self
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, key)| *key)
            .collect();
        for key in due {
            self.work(now, key, |call, core| call.handle_timeout(now, core));
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let calls = self.timers.first().map(|(at, _)| *at);
        let playing = self.playing.first().map(|(at, _)| *at);
        [
            calls,
            playing,
            self.core.poll_timeout(),
            self.fragments.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What the shell must do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.next_output()
    }

    /// What was counted since the relay began.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// What exists.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges {
            calls: self.calls.len(),
            legs: self.core.legs.len(),
            dtls_associations: self.core.dtls_live,
            tuples: self.core.tuples(),
            retired: self.core.retired(),
            timers: self.timers.len(),
            fragments: self.fragments.len(),
            players: self.core.players,
            fax_gateways: self.core.faxes.len(),
            ..Gauges::default()
        };
        for call in self.calls.values() {
            match call.families() {
                [true, true] => gauges.calls_mixed += 1,
                [true, false] => gauges.calls_ipv4 += 1,
                [false, true] => gauges.calls_ipv6 += 1,
                [false, false] => {}
            }
            let installed = &call.installed;
            gauges.flows += installed.flows.len();
            gauges.crypto += installed.crypto.len();
            gauges.ufrags += installed.ice.len();
            gauges.dtls_tuples += installed.dtls.len();
            gauges.ports_in_use += installed.ports.len();
        }
        gauges
    }

    /// The ports of each address, and of each interface that has ports of its own there.
    #[must_use]
    pub fn port_usage(&self) -> Vec<PortUsage> {
        self.core.ports.usage().collect()
    }

    /// Calls beyond which offers are refused.
    #[must_use]
    pub fn max_sessions(&self) -> Option<usize> {
        self.core.config.max_sessions
    }

    /// Changes it; calls that run stay.
    pub fn set_max_sessions(&mut self, max: Option<usize>) {
        self.core.config.max_sessions = max;
    }

    /// Why new calls are refused at the moment, whatever their number.
    #[must_use]
    pub fn overload(&self) -> Option<&LoadLimit> {
        self.overload.as_ref()
    }

    /// Refuses new calls for this reason from here on (NG `max-load`, `max-cpu`, `max-bandwidth`), or takes them again.
    /// Calls that run stay.
    pub fn set_overload(&mut self, limit: Option<LoadLimit>) {
        self.overload = limit;
    }

    /// All calls, in the order of their names.
    pub fn calls(&self) -> impl Iterator<Item = CallSummary> {
        let clock = self.core.clock;
        self.by_id.iter().filter_map(move |(id, key)| {
            let call = self.calls.get(key)?;
            Some(CallSummary {
                call_id: id.clone(),
                created: clock.unix(call.created),
                is_deleted: call.is_deleted(),
                client: call.client,
                tos: call.tos,
            })
        })
    }

    /// All that is known of a call, as `query` tells it.
    pub fn report(&mut self, call_id: &[u8]) -> Option<CallReport> {
        let key = self.by_id.get(call_id)?;
        let call = self.calls.get_mut(key)?;
        Some(call.report(&self.core, None))
    }

    /// What identifies this relay to itself in SDPs (flag `loop-protect`).
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.core.instance_id
    }

    fn delete(&mut self, now: Instant, delete: &Delete) -> Reply {
        let not_found = || {
            if delete.flags.contains(Flag::Fatal) {
                Reply::error(ErrorReason::NothingToDelete)
            } else {
                Reply::warning(ErrorReason::NothingToDelete)
            }
        };
        let Some(key) = self.by_id.get(&delete.call_id).copied() else {
            return not_found();
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return not_found();
        };
        let Some(selected) = call.parties_to_delete(delete) else {
            return not_found();
        };
        let report = (!delete.flags.contains(Flag::Fast)).then(|| call.report(&self.core, None));
        self.work(now, key, |call, core| {
            call.delete(now, core, &selected, delete.delete_delay);
        });
        Reply::Ok(Box::new(OkReply {
            call: report.map(Box::new),
            ..OkReply::default()
        }))
    }

    fn query(&mut self, _now: Instant, query: &Query) -> Reply {
        let call = self
            .by_id
            .get(&query.call_id)
            .and_then(|key| self.calls.get_mut(key));
        match call {
            Some(call) => {
                let only = query.to_tag.as_ref().or(query.from_tag.as_ref());
                Reply::call(call.report(&self.core, only))
            }
            None => Reply::error(ErrorReason::UnknownCallId),
        }
    }

    fn list(&self, list: List) -> Reply {
        let limit = usize::try_from(list.limit.unwrap_or(List::LIMIT_DEFAULT)).unwrap_or(usize::MAX);
        Reply::Ok(Box::new(OkReply {
            calls: Some(self.by_id.keys().take(limit).cloned().collect()),
            ..OkReply::default()
        }))
    }

    /// Answers a command about a call with what is made of it.
    fn with_call(
        &mut self,
        now: Instant,
        call_id: &ByteString,
        work: impl FnOnce(&mut Call, &mut Core) -> Result<Reply, ErrorReason>,
    ) -> Reply {
        let key = self.by_id.get(call_id).copied();
        let result = key.and_then(|key| self.work(now, key, |call, core| Some(work(call, core))));
        match result {
            Some(result) => result.unwrap_or_else(Reply::error),
            None => Reply::error(ErrorReason::UnknownCallId),
        }
    }

    /// Does something with a call, and then all that follows from it.
    fn work<T: Default>(
        &mut self,
        now: Instant,
        key: CallKey,
        work: impl FnOnce(&mut Call, &mut Core) -> T,
    ) -> T {
        let Some(call) = self.calls.get_mut(&key) else {
            return T::default();
        };
        // Before flows may end that tell of them.
        call.keep_shifts();
        let result = work(call, &mut self.core);
        // At once: a turn of the timers for it would bring the workers up to date a second time.
        if call.ends.is_none() && call.is_to_be_checked(now) {
            call.handle_timeout(now, &mut self.core);
        }
        if call.ends.is_none() {
            call.drive(now, &mut self.core);
        }
        self.evict(now, key);
        self.bring_up_to_date(now, key);
        result
    }

    /// Whoever has lost an address to a leg of the call lets go of it before the workers hear of its next owner.
    fn evict(&mut self, now: Instant, by: CallKey) {
        for eviction in self.core.take_evictions() {
            if let Some(call) = self.calls.get_mut(&eviction.call) {
                call.evict(now, &mut self.core, eviction.leg, eviction.tuple);
            }
            if eviction.call != by {
                self.bring_up_to_date(now, eviction.call);
            }
        }
    }

    /// Settles a call after something has happened to it and sets its timer, or ends it if that is the outcome.
    fn bring_up_to_date(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.ends.is_some() {
            self.end(now, key);
            return;
        }
        call.settle(now, &mut self.core);
        call.keep_media(&mut self.core);
        let at = call.poll_timeout(now);
        if call.timer != Some(at) {
            if let Some(before) = call.timer.replace(at) {
                self.timers.remove(&(before, key));
            }
            self.timers.insert((at, key));
        }
        self.plan_playing(key);
    }

    fn end(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        for id in call.ids() {
            self.by_id.remove(id);
        }
        self.core.forget_state(|| CallName::of(&call.id));
        if let Some(at) = call.timer {
            self.timers.remove(&(at, key));
        }
        if let Some(at) = call.plays_at() {
            self.playing.remove(&(at, key));
        }
        self.core.players -= call.players_counted();
        call.close(now, &mut self.core);
        self.core.refill_ports(now);
    }
}
