//! Requests that wait until somebody else's program has decided about them.
//!
//! It is asked once for each request outside any dialog, when it is known who sent the request and before the routes are
//! looked at. What it decides is not asked about again: neither the targets of a redirection nor the next trunk.

use std::collections::BTreeMap;
use std::time::Instant;

use viaduct_sip::{Message, NameAddr};
use viaduct_trunk::{Caller, Changes, HookDecision, HookQuery, HookRoute};
use viaduct_txn::{Flow, ServerId};

use super::Proxy;
use super::admitted::Admitted;
use super::parked::Waiting;
use crate::{NoDecision, OnNoDecision, Output, Refusal, Ticket};

impl Proxy {
    /// Lets a request wait for a decision. Gives it back when none is asked for.
    pub(super) fn waits_for_decision(
        &mut self,
        now: Instant,
        mut admitted: Admitted,
    ) -> Result<Option<Admitted>, Refusal> {
        let query = match &self.config.hook {
            Some(hook) if hook.asks_about(&admitted.request) && !self.is_emergency(&admitted) => {
                query(&admitted, &hook.headers)
            }
            _ => return Ok(Some(admitted)),
        };
        if self.is_waiting_room_full() {
            self.counters.waiting_over_limit += 1;
            return Err(Refusal::Overload("Too many requests wait"));
        }
        let (server, flow) = (admitted.server, admitted.flow);
        if !std::mem::replace(&mut admitted.is_trying, true) {
            self.say_trying(now, server, flow);
        }
        self.counters.decisions += 1;
        let ticket = self.next_ticket();
        self.outputs.push_back(Output::Decide {
            ticket,
            query: Box::new(query),
        });
        let waiting = Waiting {
            server,
            flow,
            what: Box::new(admitted),
        };
        self.decision_waits.insert(ticket, waiting);
        Ok(None)
    }

    /// Help is not to depend on whether a program answers, nor on what it says.
    fn is_emergency(&self, admitted: &Admitted) -> bool {
        let plan = &self.config.numbers;
        plan.is_emergency(&admitted.number) || plan.is_emergency(&admitted.dialled)
    }

    /// The program has decided about the request of a ticket, or has not.
    pub(super) fn decided(
        &mut self,
        now: Instant,
        ticket: Ticket,
        decision: Result<HookDecision, NoDecision>,
    ) {
        let Some(Waiting { server, flow, what }) = self.decision_waits.remove(ticket) else {
            return;
        };
        let result = self
            .carry_out(*what, decision)
            .and_then(|admitted| self.look_up_and_ring(now, admitted));
        if let Err(refusal) = result {
            self.refuse(now, server, flow, &refusal);
        }
    }

    /// The request as it goes on.
    fn carry_out(
        &mut self,
        mut admitted: Admitted,
        decision: Result<HookDecision, NoDecision>,
    ) -> Result<Admitted, Refusal> {
        let decision = match decision {
            Ok(decision) => decision,
            Err(NoDecision) => {
                self.counters.decisions_failed += 1;
                let on_failure = self.config.hook.as_ref().map(|hook| hook.on_failure);
                return match on_failure {
                    Some(OnNoDecision::Reject) => Err(Refusal::NoDecision),
                    Some(OnNoDecision::Continue) | None => Ok(admitted),
                };
            }
        };
        self.change(&mut admitted, decision.changes());
        match decision {
            HookDecision::Continue(_) => {}
            HookDecision::Route(route) => {
                admitted.gruu = None;
                admitted.rule = Some(rule(route));
            }
            HookDecision::Reject(rejection) => {
                self.counters.rejected_by_hook += 1;
                return Err(Refusal::Decided(rejection));
            }
        }
        Ok(admitted)
    }

    /// Another number takes the place of the dialled one everywhere; who is shown to call is for trunks to write.
    fn change(&self, admitted: &mut Admitted, changes: Changes) {
        if let Some(number) = &changes.number {
            admitted.number = self.config.numbers.normalise(number);
            admitted.dialled.clone_from(number);
            admitted.gruu = None;
        }
        admitted.shown = changes;
    }

    /// True while a request waits for a decision.
    pub(super) fn is_undecided(&self, server: ServerId) -> bool {
        self.decision_waits.has(server)
    }

    /// The caller gives up while its INVITE waits for a decision.
    pub(super) fn cancel_undecided(&mut self, now: Instant, invite: ServerId) {
        if let Some(waiting) = self.decision_waits.remove_request(invite) {
            self.terminate_parked(now, invite, waiting.flow);
        }
    }
}

/// The targets of a decision as a rule for this one call.
fn rule(route: HookRoute) -> crate::Rule {
    let mut send_to = Vec::with_capacity(route.send_to.len());
    for target in route.send_to {
        // The phones of one user ring once.
        if !send_to.contains(&target) {
            send_to.push(target);
        }
    }
    crate::Rule {
        to: viaduct_trunk::Pattern::new("*"),
        from: viaduct_trunk::From::Anybody,
        send_to,
        ring: route.ring,
        on_fail: route.on_fail,
    }
}

fn query(admitted: &Admitted, headers: &[String]) -> HookQuery {
    let request = &admitted.request;
    let Flow {
        transport, remote, ..
    } = admitted.flow;
    let (from_user, from_trunk) = match admitted.caller.as_caller() {
        Caller::User(name) => (Some(name.to_owned()), None),
        Caller::Trunk(name) => (None, Some(name.to_owned())),
    };
    let from = request.from().and_then(Result::ok);
    let uri = from.as_ref().and_then(|from| from.uri().ok());
    let name = from.as_ref().and_then(NameAddr::display_name);
    HookQuery {
        call_id: request.call_id().unwrap_or_default().to_owned(),
        method: request
            .method()
            .map_or_else(String::new, |method| method.as_str().to_owned()),
        number: admitted.dialled.clone(),
        from_user,
        from_trunk,
        from_uri: uri.map_or_else(String::new, |uri| uri.as_str().to_owned()),
        from_name: name.map_or_else(String::new, |name| String::from_utf8_lossy(&name).into_owned()),
        source: remote.ip().to_canonical(),
        transport: transport.to_string(),
        headers: headers_of(request, headers),
    }
}

fn headers_of(request: &Message, wanted: &[String]) -> BTreeMap<String, Vec<String>> {
    let found = wanted.iter().map(|name| {
        let lines = request.headers(name.as_str());
        let values = lines.map(|line| String::from_utf8_lossy(line.value()).into_owned());
        (name.clone(), values.collect::<Vec<_>>())
    });
    found.filter(|(_, values)| !values.is_empty()).collect()
}
