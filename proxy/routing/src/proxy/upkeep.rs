//! Trunks are registered with and asked whether they are there (RFC 3261 sections 10.2 and 11). One shard does it for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use viaduct_resolve::{Failure, NextHop};
use viaduct_sip::{HeaderName, Host, Message, Method, RequestBuilder, StatusCode, Via};
use viaduct_trunk::{
    Line, Probe, ProbeOutput, RegisterRequest, Registrant, RegistrantOutput, Trunk, Trunks, host_text,
};
use viaduct_txn::{ClientId, Hop, Request};

use super::Proxy;
use crate::{Event, Output, Reachable, Ticket, TrunkChange};

/// What is done for the trunks of a configuration.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    cares: Vec<Care>,
    /// Addresses that are looked up.
    resolving: HashMap<Ticket, Job>,
    /// Requests that wait for an answer, and where they went.
    asking: HashMap<ClientId, (Job, Hop)>,
}

/// What is done for one trunk.
#[derive(Debug)]
struct Care {
    line: Line,
    probe: Option<Probe>,
    registrant: Option<Registrant>,
    /// What people were told last.
    was_registered: Option<bool>,
}

/// A request to a trunk.
#[derive(Debug, Clone)]
struct Job {
    /// The trunk's name: it may have gone when the answer comes.
    trunk: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Probe,
    Register(RegisterRequest),
}

/// Trunks are asked one after the other when the gateway starts, not all at once.
const STAGGER: Duration = Duration::from_millis(100);

/// How long the answer to a probe may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(4);

impl Upkeep {
    /// Does what these trunks need. What was done for one that has not changed goes on.
    fn renew(&mut self, now: Instant, trunks: &Trunks, call_ids: &str, rng: &mut impl Rng) {
        let mut before = std::mem::take(&mut self.cares);
        for (number, line) in trunks.iter().enumerate() {
            let same = before.iter().position(|care| care.line.trunk() == line.trunk());
            let care = match same {
                Some(same) => before.swap_remove(same),
                None => {
                    let first = now + STAGGER * u32::try_from(number).unwrap_or(u32::MAX);
                    Care::new(line, first, call_ids, rng)
                }
            };
            self.cares.push(care);
        }
    }

    fn care_of(&mut self, trunk: &str) -> Option<&mut Care> {
        self.cares.iter_mut().find(|care| care.line.trunk().name == trunk)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.cares.iter().filter_map(Care::poll_timeout).min()
    }
}

impl Care {
    fn new(line: &Line, first: Instant, call_ids: &str, rng: &mut impl Rng) -> Self {
        let trunk = line.trunk();
        Self {
            line: line.clone(),
            probe: trunk.probe.map(|interval| Probe::new(first, interval)),
            registrant: trunk
                .register
                .map(|_| Registrant::new(Arc::clone(trunk), first, call_ids, rng.random())),
            was_registered: None,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.probe.as_ref().map(Probe::poll_timeout);
        let registrant = self.registrant.as_ref().and_then(Registrant::poll_timeout);
        probe.into_iter().chain(registrant).min()
    }
}

impl Proxy {
    /// Begins to look after the trunks of the configuration, if that is this shard's task.
    pub(super) fn renew_upkeep(&mut self, now: Instant) {
        if self.shard.index == 0 {
            let config = Arc::clone(&self.config);
            self.upkeep
                .renew(now, &config.trunks, &self.own_call_ids, &mut self.rng);
        }
    }

    /// Ends what trunks keep of us. Whatever was done for them otherwise ends with it.
    pub(super) fn end_upkeep(&mut self, now: Instant) {
        for care in &mut self.upkeep.cares {
            care.probe = None;
            if let Some(registrant) = &mut care.registrant {
                registrant.end(now);
            }
        }
        self.drain_upkeep(now);
    }

    /// True while a trunk has not said that it keeps nothing of us any more, and still has time to.
    pub(super) fn is_upkeep_ending(&self) -> bool {
        let mut registrants = self
            .upkeep
            .cares
            .iter()
            .filter_map(|care| care.registrant.as_ref());
        registrants.any(Registrant::is_ending)
    }

    /// Something may be due for a trunk.
    pub(super) fn upkeep_due(&mut self, now: Instant) {
        for care in &mut self.upkeep.cares {
            if let Some(probe) = &mut care.probe {
                probe.handle_timeout(now);
            }
            if let Some(registrant) = &mut care.registrant {
                registrant.handle_timeout(now);
            }
        }
        self.drain_upkeep(now);
    }

    /// Carries out what the trunks need.
    fn drain_upkeep(&mut self, now: Instant) {
        let mut jobs = Vec::new();
        let mut events = Vec::new();
        for care in &mut self.upkeep.cares {
            let trunk = care.line.trunk().name.clone();
            let mut job = |what| {
                jobs.push(Job {
                    trunk: trunk.clone(),
                    what,
                });
            };
            while let Some(output) = care.probe.as_mut().and_then(Probe::poll_output) {
                match output {
                    ProbeOutput::Ask => job(What::Probe),
                    ProbeOutput::Changed { up } => {
                        care.line.set_up(up);
                        events.push((
                            trunk.clone(),
                            if up { TrunkChange::Up } else { TrunkChange::Down },
                        ));
                    }
                }
            }
            while let Some(output) = care.registrant.as_mut().and_then(Registrant::poll_output) {
                let change = match output {
                    RegistrantOutput::Send(request) => {
                        job(What::Register(request));
                        continue;
                    }
                    RegistrantOutput::Registered { until, at } => {
                        care.line.set_registered(until, at);
                        TrunkChange::Registered
                    }
                    RegistrantOutput::Failed { reason, .. } => {
                        care.line.set_unregistered(now, reason.clone());
                        TrunkChange::NotRegistered { reason }
                    }
                    RegistrantOutput::Ended { is_sure } => {
                        let reason = if is_sure {
                            "the gateway stops"
                        } else {
                            "the gateway stops, and the trunk was not told in time"
                        };
                        care.line.set_ended(reason.to_owned());
                        TrunkChange::NotRegistered {
                            reason: reason.to_owned(),
                        }
                    }
                };
                let is_registered = change == TrunkChange::Registered;
                if care.was_registered.replace(is_registered) != Some(is_registered) {
                    events.push((trunk.clone(), change));
                }
            }
        }
        for (trunk, change) in events {
            self.event(Event::Trunk { trunk, change });
        }
        for job in jobs {
            self.resolve_trunk(now, job);
        }
    }

    /// Has the addresses of a trunk looked up.
    fn resolve_trunk(&mut self, now: Instant, job: Job) {
        let Some(care) = self.upkeep.care_of(&job.trunk) else {
            return;
        };
        match next_hop_of(care.line.trunk()) {
            Some(next_hop) => {
                let ticket = self.next_ticket();
                self.upkeep.resolving.insert(ticket, job);
                self.outputs.push_back(Output::Resolve { ticket, next_hop });
            }
            None => self.upkeep_unanswered(now, &job),
        }
    }

    /// The addresses of a trunk are known, or cannot be. False when the ticket is somebody else's.
    pub(super) fn trunk_resolved(
        &mut self,
        now: Instant,
        ticket: Ticket,
        found: &Result<Vec<Reachable>, Failure>,
    ) -> bool {
        let Some(job) = self.upkeep.resolving.remove(&ticket) else {
            return false;
        };
        let addresses = found.as_deref().unwrap_or_default();
        let hop = addresses
            .iter()
            .find_map(|address| self.attempt(address))
            .map(|attempt| attempt.hop);
        let sent = hop.is_some_and(|hop| self.ask_trunk(now, &job, hop));
        if !sent {
            self.upkeep_unanswered(now, &job);
        }
        self.drain_upkeep(now);
        true
    }

    /// Sends a request to a trunk. False when that cannot be done.
    fn ask_trunk(&mut self, now: Instant, job: &Job, hop: Hop) -> bool {
        let branch = viaduct_sip::token::random_branch::<9>(|octets| self.rng.fill_bytes(octets));
        let (tag, call_id) = (self.random_token(), self.random_token());
        let sent_by = self.sent_by(&hop);
        let via = Via::value(hop.transport(), &sent_by, &branch);
        let call_id = format!("{}{call_id}", self.own_call_ids);
        let domain = self.config.domain.clone();
        let Some(care) = self.upkeep.care_of(&job.trunk) else {
            return false;
        };
        let trunk = care.line.trunk();
        let (builder, patience) = match &job.what {
            What::Register(request) => {
                let builder = request.builder(trunk, &sent_by, hop.transport().uri_param());
                (builder, None)
            }
            What::Probe => {
                let uri = trunk.uri();
                let builder = RequestBuilder::new(Method::Options, &uri)
                    .from(format!("<sip:{domain}>;tag={tag}"))
                    .to(format!("<{uri}>"))
                    .call_id(call_id)
                    .cseq(1)
                    .header(HeaderName::Accept, "application/sdp");
                (builder, Some(PROBE_PATIENCE))
            }
        };
        let Ok(octets) = builder.via(via).build() else {
            return false;
        };
        let request = Request {
            octets,
            branch: branch.into(),
            is_invite: false,
            hop: hop.clone(),
            patience,
        };
        let Some(client) = self.layer.request(now, request) else {
            return false;
        };
        self.upkeep.asking.insert(client, (job.clone(), hop));
        true
    }

    /// A trunk answered. False when the request was somebody else's.
    pub(super) fn trunk_answered(&mut self, now: Instant, client: ClientId, response: &Message) -> bool {
        let Some((job, hop)) = self.upkeep.asking.get(&client).cloned() else {
            return false;
        };
        let Some(status) = response.status() else {
            return true;
        };
        if status.is_provisional() {
            return true;
        }
        if let Some(care) = self.upkeep.care_of(&job.trunk) {
            match (&job.what, &mut care.probe, &mut care.registrant) {
                (What::Probe, Some(probe), _) => {
                    if status == StatusCode::SERVICE_UNAVAILABLE {
                        care.line.count(|counters| counters.probes_lost += 1);
                    }
                    probe.handle_answer(status.get());
                }
                (What::Register(_), _, Some(registrant)) => {
                    registrant.handle_answer(now, response, hop.remote().ip());
                }
                (What::Probe | What::Register(_), _, _) => {}
            }
        }
        self.drain_upkeep(now);
        true
    }

    /// A request to a trunk came to nothing. False when it was somebody else's.
    pub(super) fn trunk_unanswered(&mut self, now: Instant, client: ClientId) -> bool {
        let Some((job, hop)) = self.upkeep.asking.remove(&client) else {
            return false;
        };
        self.layer.abandon(client);
        // Another address of the trunk is better the next time.
        self.outputs.push_back(Output::Dead {
            transport: hop.transport(),
            remote: hop.remote(),
        });
        self.upkeep_unanswered(now, &job);
        self.drain_upkeep(now);
        true
    }

    /// The transaction of a request to a trunk is over.
    pub(super) fn trunk_client_ended(&mut self, client: ClientId) {
        self.own_byes.remove(&client);
        self.upkeep.asking.remove(&client);
    }

    fn upkeep_unanswered(&mut self, now: Instant, job: &Job) {
        let Some(care) = self.upkeep.care_of(&job.trunk) else {
            return;
        };
        match (&job.what, &mut care.probe, &mut care.registrant) {
            (What::Probe, Some(probe), _) => {
                care.line.count(|counters| counters.probes_lost += 1);
                probe.handle_no_answer();
            }
            (What::Register(_), _, Some(registrant)) => registrant.handle_no_answer(now),
            (What::Probe | What::Register(_), _, _) => {}
        }
    }
}

/// Where requests to a trunk go.
fn next_hop_of(trunk: &Trunk) -> Option<NextHop> {
    let host = host_text(&trunk.host);
    NextHop::new(&Host::parse(&host).ok()?, trunk.port, trunk.transport, false).ok()
}
