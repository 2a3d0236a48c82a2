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
    /// Cares that there have been.
    begun: u64,
    /// Addresses that are looked up.
    resolving: HashMap<Ticket, Job>,
    /// Requests that wait for an answer, and where they went.
    asking: HashMap<ClientId, (Job, Hop)>,
}

/// What is done for one trunk.
#[derive(Debug)]
struct Care {
    id: CareId,
    line: Line,
    stage: Stage,
    probe: Option<Probe>,
    registrant: Option<Registrant>,
    /// What people were told last.
    was_registered: Option<bool>,
}

/// Which care: it may have gone when an answer comes, and another one have begun for a trunk of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CareId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The registration begins when one with a trunk of the same name has ended: the two could not be told apart.
    Waiting,
    Running,
    /// The configuration has the registration no more, so it is ended.
    Leaving,
}

/// A request to a trunk.
#[derive(Debug, Clone)]
struct Job {
    care: CareId,
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
    /// Does what these trunks need. What was done for one that has not changed goes on. A registration that none of them
    /// wants is ended (RFC 3261 section 10.2.2).
    fn renew(&mut self, now: Instant, trunks: &Trunks, call_ids: &str, rng: &mut impl Rng) {
        let mut before = std::mem::take(&mut self.cares);
        let mut unchanged = trunks.iter().map(|line| {
            let is_same = |care: &Care| care.stage != Stage::Leaving && care.line.trunk() == line.trunk();
            let same = before.iter().position(is_same);
            same.map(|same| before.swap_remove(same))
        });
        let kept: Vec<Option<Care>> = unchanged.by_ref().collect();
        let wants = |line: &Line| {
            trunks
                .iter()
                .any(|other| other.trunk().registers_like(line.trunk()))
        };
        self.cares = before;
        self.cares.retain_mut(|care| match care.stage {
            Stage::Leaving => true,
            // Whoever comes after it takes the same registration over.
            _ if wants(&care.line) => false,
            _ => care.leave(now),
        });
        for (number, (line, kept)) in trunks.iter().zip(kept).enumerate() {
            let care = kept.unwrap_or_else(|| {
                let first = now + STAGGER * u32::try_from(number).unwrap_or(u32::MAX);
                self.begin(line, first, call_ids, rng)
            });
            self.cares.push(care);
        }
    }

    fn begin(&mut self, line: &Line, first: Instant, call_ids: &str, rng: &mut impl Rng) -> Care {
        self.begun += 1;
        let mut care = Care {
            id: CareId(self.begun),
            line: line.clone(),
            stage: Stage::Running,
            probe: line.trunk().probe.map(|interval| Probe::new(first, interval)),
            registrant: None,
            was_registered: None,
        };
        if self.is_left(&line.trunk().name) {
            care.stage = Stage::Waiting;
        } else {
            care.register(first, call_ids, rng);
        }
        care
    }

    /// True while a registration with a trunk of this name is being ended.
    fn is_left(&self, trunk: &str) -> bool {
        let is_leaving = |care: &Care| care.stage == Stage::Leaving && care.line.trunk().name == trunk;
        self.cares.iter().any(is_leaving)
    }

    /// Forgets what has ended, and begins what has waited for it.
    fn settle(&mut self, now: Instant, call_ids: &str, rng: &mut impl Rng) {
        let is_over = |care: &Care| {
            care.stage == Stage::Leaving && !care.registrant.as_ref().is_some_and(Registrant::is_ending)
        };
        self.cares.retain(|care| !is_over(care));
        for index in 0..self.cares.len() {
            let care = &self.cares[index];
            if care.stage == Stage::Waiting && !self.is_left(&care.line.trunk().name) {
                self.cares[index].register(now, call_ids, rng);
            }
        }
    }

    fn care_of(&mut self, id: CareId) -> Option<&mut Care> {
        self.cares.iter_mut().find(|care| care.id == id)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.cares.iter().filter_map(Care::poll_timeout).min()
    }
}

impl Care {
    /// Begins to register with the trunk, if that is configured.
    fn register(&mut self, first: Instant, call_ids: &str, rng: &mut impl Rng) {
        let trunk = self.line.trunk();
        self.stage = Stage::Running;
        self.registrant = trunk
            .register
            .map(|_| Registrant::new(Arc::clone(trunk), first, call_ids, rng.random()));
    }

    /// Begins to end the registration. False when there is nothing to be done for that.
    fn leave(&mut self, now: Instant) -> bool {
        let Some(registrant) = &mut self.registrant else {
            return false;
        };
        registrant.end(now);
        self.stage = Stage::Leaving;
        self.probe = None;
        if !registrant.is_ending() {
            self.line.set_unwanted();
        }
        // What it has to tell is not told yet.
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.probe.as_ref().map(Probe::poll_timeout);
        let registrant = self.registrant.as_ref().and_then(Registrant::poll_timeout);
        probe.into_iter().chain(registrant).min()
    }

    /// The registration was ended by us. Answers why, in words.
    fn ended(&self, is_sure: bool) -> String {
        let why = match self.stage {
            Stage::Leaving => "the configuration has changed",
            Stage::Waiting | Stage::Running => "the gateway stops",
        };
        let reason = if is_sure {
            why.to_owned()
        } else {
            format!("{why}, and the trunk was not told in time")
        };
        match self.stage {
            Stage::Leaving => self.line.set_unwanted(),
            Stage::Waiting | Stage::Running => self.line.set_ended(reason.clone()),
        }
        reason
    }
}

impl Proxy {
    /// Begins to look after the trunks of the configuration, if that is this shard's task.
    pub(super) fn renew_upkeep(&mut self, now: Instant) {
        if self.shard.index == 0 {
            let config = Arc::clone(&self.config);
            self.upkeep
                .renew(now, &config.trunks, &self.own_call_ids, &mut self.rng);
            self.drain_upkeep(now);
        }
    }

    /// Ends what trunks keep of us. Whatever was done for them otherwise ends with it.
    pub(super) fn end_upkeep(&mut self, now: Instant) {
        for care in &mut self.upkeep.cares {
            care.probe = None;
            if let Some(registrant) = care.registrant.as_mut().filter(|_| care.stage == Stage::Running) {
                registrant.end(now);
            }
        }
        // What has waited for the end of another one does not begin.
        self.upkeep.cares.retain(|care| care.stage != Stage::Waiting);
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
            let (id, trunk) = (care.id, care.line.trunk().name.clone());
            let mut job = |what| jobs.push(Job { care: id, what });
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
                    RegistrantOutput::Ended { is_sure } => TrunkChange::NotRegistered {
                        reason: care.ended(is_sure),
                    },
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
        self.upkeep.settle(now, &self.own_call_ids, &mut self.rng);
        for job in jobs {
            self.resolve_trunk(now, job);
        }
    }

    /// Has the addresses of a trunk looked up.
    fn resolve_trunk(&mut self, now: Instant, job: Job) {
        let Some(care) = self.upkeep.care_of(job.care) else {
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
        let Some(care) = self.upkeep.care_of(job.care) else {
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
        if let Some(care) = self.upkeep.care_of(job.care) {
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
        let Some(care) = self.upkeep.care_of(job.care) else {
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
