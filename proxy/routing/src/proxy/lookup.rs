//! Requests that wait until the source of users has been asked.
//!
//! Before a password is looked at, its user must be known; before a user is called, too. What the source has answered
//! stands in the [`Directory`](crate::Directory), so a request that waited goes on where it stopped. Nobody can make us
//! ask who has not shown a nonce of ours: the sender's address of a datagram may be forged.

use std::time::{Duration, Instant};

use viaduct_sip::{Essentials, Method, ResponseBuilder, StatusCode};
use viaduct_txn::{Flow, ServerId};

use super::Proxy;
use super::admitted::Admitted;
use super::arrival::Arrival;
use super::parked::Waiting;
use crate::auth::Asking;
use crate::{Output, Refusal, Ticket};

/// What is looked up for a request.
#[derive(Debug)]
pub(super) struct Looking {
    names: Vec<String>,
    next: Next,
}

/// Where a request goes on.
#[derive(Debug)]
pub(super) enum Next {
    /// Its sender's password is looked at.
    Authenticate,
    /// It is sent to the users that it is for.
    Ring(Box<Admitted>),
}

impl Proxy {
    /// Lets a request wait when nothing is known of who claims to have sent it. True when it waits.
    pub(super) fn waits_for_sender(&mut self, now: Instant, arrival: &Arrival<'_>) -> Result<bool, Refusal> {
        if !self.users.has_directory() {
            return Ok(false);
        }
        let Some(name) = self.claimed_sender(now, arrival) else {
            return Ok(false);
        };
        let Some(directory) = self.users.directory_of(&name) else {
            return Ok(false);
        };
        let must_ask = directory.must_ask(now, &name);
        if !must_ask && directory.is_unavailable(now, &name) {
            return Err(Refusal::UsersUnavailable);
        }
        let may_have_changed = || !directory.is_sure(now, &name) && !self.is_proven(arrival);
        if !must_ask && !may_have_changed() {
            return Ok(false);
        }
        let request = (arrival.server, arrival.flow);
        self.wait_for_users(now, request, false, vec![name], Next::Authenticate)?;
        Ok(true)
    }

    /// Whom a request claims to be from, as far as that may be looked up.
    fn claimed_sender(&self, now: Instant, arrival: &Arrival<'_>) -> Option<String> {
        let Arrival {
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let ip = flow.remote.ip();
        if self.config.auth.trusts(ip) {
            let address = match essentials.cseq.method {
                Method::Register => &essentials.to,
                _ => &essentials.from,
            };
            return viaduct_trunk::dialled(&address.uri().ok()?);
        }
        let unix = self.shard.clock.unix(now);
        let realm = &self.config.domain;
        let name = self
            .auth
            .claimed_with_own_nonce(request, asking(essentials), realm, unix)?;
        self.guard.pause(now, ip, &name).is_none().then_some(name)
    }

    /// Whether the password is right by what is known. Whoever is trusted needs none.
    fn is_proven(&self, arrival: &Arrival<'_>) -> bool {
        let Arrival {
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let realm = &self.config.domain;
        self.config.auth.trusts(flow.remote.ip())
            || self
                .auth
                .is_proven(request, asking(essentials), realm, &self.users)
    }

    /// Lets a request wait when nothing is known of users that it is for. Gives it back when it need not.
    pub(super) fn waits_for_callees(
        &mut self,
        now: Instant,
        mut admitted: Admitted,
    ) -> Result<Option<Admitted>, Refusal> {
        let names: Vec<String> = self
            .callees(&admitted)
            .into_iter()
            .filter(|name| {
                let directory = self.users.directory_of(name);
                directory.is_some_and(|directory| directory.must_ask(now, name))
            })
            .collect();
        if names.is_empty() {
            return Ok(Some(admitted));
        }
        let request = (admitted.server, admitted.flow);
        let is_trying = std::mem::replace(&mut admitted.is_trying, true);
        self.wait_for_users(now, request, is_trying, names, Next::Ring(Box::new(admitted)))?;
        Ok(None)
    }

    fn wait_for_users(
        &mut self,
        now: Instant,
        (server, flow): (ServerId, Flow),
        is_trying: bool,
        names: Vec<String>,
        next: Next,
    ) -> Result<(), Refusal> {
        if self.is_waiting_room_full() {
            self.counters.waiting_over_limit += 1;
            return Err(Refusal::Overload("Too many requests wait"));
        }
        if !is_trying {
            self.say_trying(now, server, flow);
        }
        self.counters.lookups += 1;
        let ticket = self.next_ticket();
        self.outputs.push_back(Output::LookUp {
            ticket,
            names: names.clone(),
        });
        let what = Looking { names, next };
        self.lookup_waits.insert(ticket, Waiting { server, flow, what });
        Ok(())
    }

    /// An answer may take longer than the caller's patience before it repeats its INVITE.
    pub(super) fn say_trying(&mut self, now: Instant, server: ServerId, flow: Flow) {
        let request = self.layer.server_request(server).cloned();
        if let Some(request) = request.filter(|request| request.method() == Some(Method::Invite)) {
            let trying = ResponseBuilder::new(&request, StatusCode::TRYING).source(flow.remote);
            self.respond(now, server, StatusCode::TRYING, trying);
        }
    }

    /// The source was asked for the names of a ticket.
    pub(super) fn users_looked_up(&mut self, now: Instant, ticket: Ticket) {
        let Some(waiting) = self.lookup_waits.remove(ticket) else {
            return;
        };
        let Waiting { server, flow, what } = waiting;
        let Looking { names, next } = what;
        let result = match next {
            Next::Ring(admitted) => self.ring(now, *admitted),
            Next::Authenticate if names.iter().any(|name| self.is_name_unavailable(now, name)) => {
                Err(Refusal::UsersUnavailable)
            }
            Next::Authenticate => self.admit_again(now, server, flow),
        };
        if let Err(refusal) = result {
            self.refuse(now, server, flow, &refusal);
        }
    }

    /// True when one of those whom a request is for could not be looked up.
    pub(super) fn is_unavailable(&self, now: Instant, admitted: &Admitted) -> bool {
        let callees = self.callees(admitted);
        callees.iter().any(|name| self.is_name_unavailable(now, name))
    }

    fn is_name_unavailable(&self, now: Instant, name: &str) -> bool {
        let directory = self.users.directory_of(name);
        directory.is_some_and(|directory| directory.is_unavailable(now, name))
    }

    fn admit_again(&mut self, now: Instant, server: ServerId, flow: Flow) -> Result<(), Refusal> {
        let Some(request) = self.layer.server_request(server).cloned() else {
            return Ok(());
        };
        // It was read before it waited.
        let Ok(essentials) = request.essentials() else {
            return Ok(());
        };
        let arrival = Arrival {
            server,
            flow,
            request: &request,
            essentials,
            has_waited: true,
            waited: Duration::ZERO,
        };
        self.admit(now, &arrival)
    }

    /// True while a request waits for the source of users.
    pub(super) fn is_looked_up(&self, server: ServerId) -> bool {
        self.lookup_waits.has(server)
    }

    /// The caller gives up while its INVITE waits.
    pub(super) fn cancel_looked_up(&mut self, now: Instant, invite: ServerId) {
        if let Some(waiting) = self.lookup_waits.remove_request(invite) {
            self.terminate_parked(now, invite, waiting.flow);
        }
    }

    /// Answers an INVITE whose caller gave up before it went anywhere (RFC 3261 section 9.2).
    pub(super) fn terminate_parked(&mut self, now: Instant, invite: ServerId, flow: Flow) {
        if let Some(request) = self.layer.server_request(invite).cloned() {
            let status = StatusCode::REQUEST_TERMINATED;
            let answer = self.answer_builder(&request, flow, status);
            self.respond(now, invite, status, answer);
        }
    }
}

/// In which role the password of a request's sender is asked for.
fn asking(essentials: &Essentials<'_>) -> Asking {
    match essentials.cseq.method {
        Method::Register => Asking::AsRegistrar,
        _ => Asking::AsProxy,
    }
}
