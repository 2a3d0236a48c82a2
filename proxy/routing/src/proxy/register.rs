//! REGISTER, from arrival to the answer that leaves when the store has it.

use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use viaduct_sip::quoted::quote;
use viaduct_sip::{Aor, Essentials, HeaderName, Message, ResponseBuilder, StatusCode, Transport};
use viaduct_txn::{ConnId, Flow, ServerId};

use super::Proxy;
use super::arrival::Arrival;
use crate::auth::Asking;
use crate::gruu::Gruus;
use crate::location::{Binding, Bindings};
use crate::registrar::{Extensions, Registrar, contact_value};
use crate::{BindingRecord, Change, Event, Output, Refusal, UnregisterReason, User, WallClock};

/// A REGISTER whose changes are not durable yet.
#[derive(Debug)]
pub(super) struct PendingRegister {
    server: ServerId,
    flow: Flow,
    aor: Aor,
    extensions: Extensions,
    bindings: Bindings,
}

impl Proxy {
    pub(super) fn register(&mut self, now: Instant, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival {
            server,
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let to = essentials.to.uri().map_err(|_| Refusal::BadHeader("To"))?;
        // An address of record is a SIP or SIPS URI (RFC 3261 section 10.3, RFC 4475 section 3.3.4).
        let host = to.host().ok_or(Refusal::BadHeader("To"))?;
        if !self.config.is_our_host(&host, flow.local) {
            return Err(Refusal::RelayDenied);
        }
        check_require(request)?;
        let name = Aor::user_of(&to).ok_or(Refusal::BadHeader("To"))?;
        let who = self.authenticate(now, (request, *flow), Asking::AsRegistrar, Some(&name))?;
        if who.user().name != name {
            return Err(Refusal::NotYours {
                user: who.user().name.clone(),
                address: to.as_str().to_owned(),
            });
        }
        self.check_registering_party(arrival, who.user())?;
        if self.is_waiting_room_full() {
            self.counters.waiting_over_limit += 1;
            return Err(Refusal::Overload("Too many requests wait"));
        }
        let aor = self.aor_of(&name).ok_or(Refusal::BadHeader("To"))?;
        let config = Arc::clone(&self.config);
        let registrar = Registrar {
            times: &config.registrar,
            limits: &config.limits,
            contacts_max: who.user().contacts_max,
        };
        let is_trusted_peer = config.auth.trusts(flow.remote.ip());
        let extensions = Extensions::read(request, is_trusted_peer, &config.limits)?;
        let done = registrar.register(
            &self.location,
            &aor,
            (request, essentials),
            &extensions,
            (*flow, now),
        )?;
        self.counters.registers += 1;
        self.tell_changes(&aor, &done.made, &done.removed);
        let pending = PendingRegister {
            server: *server,
            flow: *flow,
            aor: aor.clone(),
            extensions,
            bindings: done.bindings,
        };
        if !config.durable_registrations {
            self.answer_register(now, &pending);
            return Ok(());
        }
        let clock = self.shard.clock;
        let put = done.kept.iter().map(|binding| Change::Put {
            aor: aor.clone(),
            record: Box::new(BindingRecord::new(binding, now, clock)),
        });
        let gone = done.removed.iter().chain(&done.replaced);
        let delete = gone.map(|binding| Change::Delete {
            aor: aor.clone(),
            uri: binding.uri.clone(),
        });
        let changes: Vec<Change> = delete.chain(put).collect();
        if changes.is_empty() {
            self.answer_register(now, &pending);
        } else {
            let ticket = self.next_ticket();
            self.store_waits.insert(ticket, pending);
            self.outputs.push_back(Output::Store {
                ticket: Some(ticket),
                changes,
            });
        }
        Ok(())
    }

    pub(super) fn register_stored(&mut self, now: Instant, ticket: crate::Ticket, stored: bool) {
        let Some(pending) = self.store_waits.remove(&ticket) else {
            return;
        };
        if stored {
            self.answer_register(now, &pending);
        } else {
            // The binding works until the next restart; the client must not believe that it survives one.
            self.refuse(now, pending.server, pending.flow, &Refusal::StoreFailed);
        }
    }

    fn answer_register(&mut self, now: Instant, pending: &PendingRegister) {
        let Some(request) = self.layer.server_request(pending.server).cloned() else {
            return;
        };
        let PendingRegister {
            server,
            flow,
            aor,
            extensions,
            bindings,
        } = pending;
        match self
            .registered(now, (&request, *flow), (aor, bindings), extensions)
            .build()
        {
            Ok(octets) => self.layer.respond_and_mark(now, *server, StatusCode::OK, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// A REGISTER came again whose answer got lost. It is told what stands in the table; it was seen before who asks, and
    /// a nonce that is good for one request has served this one.
    pub(super) fn register_repeated(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        essentials: &Essentials<'_>,
    ) {
        let is_trusted_peer = self.config.auth.trusts(flow.remote.ip());
        let to = essentials.to.uri().ok();
        let aor = to.and_then(|to| self.aor_of(&Aor::user_of(&to)?));
        let extensions = Extensions::read(request, is_trusted_peer, &self.config.limits);
        // Both could be read when it came first.
        let (Some(aor), Ok(extensions)) = (aor, extensions) else {
            return;
        };
        let bindings = self.location.lookup(&aor, now);
        match self
            .registered(now, (request, flow), (&aor, &bindings), &extensions)
            .build()
        {
            Ok(octets) => self.layer.respond_again(flow, essentials, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// The 200 to a REGISTER (RFC 3261 section 10.3, step 8). It can be made at any time from the request and the table.
    fn registered<'m>(
        &mut self,
        now: Instant,
        (request, flow): (&'m Message, Flow),
        (aor, bindings): (&Aor, &Bindings),
        extensions: &Extensions,
    ) -> ResponseBuilder<'m> {
        let mut answer = self.lasting_answer_builder(request, flow, StatusCode::OK);
        for binding in bindings {
            let mut value = contact_value(binding, now);
            if extensions.gruu {
                self.push_gruus(&mut value, aor, binding, request);
            }
            answer = answer.header(HeaderName::Contact, value);
        }
        if let Some(path) = &extensions.path {
            answer = answer.header(HeaderName::Path, path.as_bytes());
        }
        if extensions.outbound {
            answer = answer.header(HeaderName::Require, "outbound");
            if let Some(seconds) = self.config.registrar.flow_timer_s
                && flow.transport.is_reliable()
            {
                answer = answer.header(HeaderName::FlowTimer, seconds.to_string());
            }
        }
        if self.config.service_route {
            answer = answer.header(HeaderName::ServiceRoute, self.service_route(&flow));
        }
        let date = self.date.at(self.shard.clock.unix(now).as_secs());
        answer.header(HeaderName::Date, date)
    }

    /// The GRUUs of a device (RFC 5627 section 5.3). A temporary one only for the device that asks: it dies with this
    /// registration.
    fn push_gruus(&mut self, value: &mut Vec<u8>, aor: &Aor, binding: &Binding, request: &Message) {
        let Some(instance) = &binding.instance else {
            return;
        };
        value.extend_from_slice(b";pub-gruu=");
        value.extend_from_slice(quote(&Gruus::public(aor, instance)).as_bytes());
        if request.call_id() == Some(&*binding.call_id) {
            let salt = self.rng.next_u64();
            let temporary = self.gruus.temporary(aor, instance, &binding.call_id, salt);
            value.extend_from_slice(b";temp-gruu=");
            value.extend_from_slice(quote(&temporary).as_bytes());
        }
    }

    /// The way that a device shall send its requests by: the one that it came (RFC 3608 section 6.3).
    fn service_route(&self, flow: &Flow) -> String {
        let sent_by = self.sent_by(&(*flow).into());
        match flow.transport {
            Transport::Udp | Transport::Local => format!("<sip:{sent_by};lr>"),
            other => format!("<sip:{sent_by};transport={};lr>", other.uri_param()),
        }
    }

    /// Nobody registers for another: From must be an address of the user that To names (RFC 3261 section 10.2).
    fn check_registering_party(&self, arrival: &Arrival<'_>, user: &User) -> Result<(), Refusal> {
        let (from, to) = (&arrival.essentials.from, &arrival.essentials.to);
        // Who registers itself, as nearly everybody does, is the user that To was seen to name.
        if from.uri_octets() == to.uri_octets() {
            return Ok(());
        }
        let from = from.uri().map_err(|_| Refusal::BadHeader("From"))?;
        let is_ours = from
            .host()
            .is_some_and(|host| self.config.is_our_host(&host, arrival.flow.local));
        let name = Aor::user_of(&from).filter(|_| is_ours);
        if name.is_some_and(|name| user.may_call_as(&name)) {
            return Ok(());
        }
        Err(Refusal::NotYours {
            user: user.name.clone(),
            address: from.as_str().to_owned(),
        })
    }

    fn tell_changes(&mut self, aor: &Aor, made: &Bindings, removed: &Bindings) {
        for binding in made {
            self.event(Event::Registered {
                aor: aor.clone(),
                uri: binding.uri.clone(),
                flow: binding.flow,
                user_agent: binding.user_agent.clone(),
            });
        }
        for binding in removed {
            self.tell_unregistered(aor, binding, UnregisterReason::Removed);
        }
    }

    fn tell_unregistered(&mut self, aor: &Aor, binding: &Binding, reason: UnregisterReason) {
        self.event(Event::Unregistered {
            aor: aor.clone(),
            uri: binding.uri.clone(),
            reason,
        });
    }

    /// A connection is gone: what was registered over it is, too.
    pub(super) fn unregister_connection(&mut self, now: Instant, conn: ConnId) {
        let gone = self.location.connection_closed(conn, now);
        self.forget_bindings(gone, UnregisterReason::ConnectionClosed);
    }

    /// Removes bindings that have ended, and those whose users a configuration does not have. One shard does it for all,
    /// every few seconds.
    pub fn expire_bindings(&mut self, now: Instant) {
        let ended = self.location.expire(now);
        self.forget_bindings(ended, UnregisterReason::Expired);
        // Not at once: until every shard has the configuration, one that has not lets them register.
        if std::mem::take(&mut self.are_users_other) {
            let is_known = |aor: &Aor| !aor.user().is_some_and(|name| self.users.is_nobody(name));
            let strangers = self.location.retain(now, is_known);
            self.forget_bindings(strangers, UnregisterReason::NobodysName);
        }
    }

    fn forget_bindings(&mut self, gone: Vec<(Aor, Arc<Binding>)>, reason: UnregisterReason) {
        if gone.is_empty() {
            return;
        }
        for (aor, binding) in &gone {
            self.tell_unregistered(aor, binding, reason);
        }
        if !self.config.durable_registrations {
            return;
        }
        let delete = |(aor, binding): (Aor, Arc<Binding>)| Change::Delete {
            aor,
            uri: binding.uri.clone(),
        };
        let changes = gone.into_iter().map(delete).collect();
        self.outputs.push_back(Output::Store {
            ticket: None,
            changes,
        });
    }
}

impl BindingRecord {
    /// The binding with the time of day.
    pub fn new(binding: &Binding, now: Instant, clock: WallClock) -> Self {
        let unix = |instant: Instant| match instant.checked_duration_since(now) {
            Some(ahead) => (clock.unix(now) + ahead).as_secs(),
            None => clock.unix(now).saturating_sub(now - instant).as_secs(),
        };
        Self {
            uri: binding.uri.to_string(),
            q: binding.q,
            expires_unix: unix(binding.expires_at),
            since_unix: unix(binding.since),
            call_id: binding.call_id.to_string(),
            cseq: binding.cseq,
            instance: binding.instance.as_deref().map(str::to_owned),
            reg_id: binding.reg_id,
            path: binding.path.as_deref().map(str::to_owned),
            transport: binding.flow.transport.via_token().to_owned(),
            local: binding.flow.local,
            remote: binding.flow.remote,
            flags: binding.flags,
            user_agent: binding.user_agent.as_deref().map(str::to_owned),
        }
    }

    /// The binding again, after a restart. `None` when its time is over, or when it was reached over a connection: that
    /// is gone, and its client comes back by itself (RFC 5626 section 4.5).
    pub fn restore(self, now: Instant, clock: WallClock) -> Option<Binding> {
        let transport = viaduct_sip::Transport::from_via_token(&self.transport)?;
        if transport != viaduct_sip::Transport::Udp {
            return None;
        }
        let seconds = std::time::Duration::from_secs;
        Some(Binding {
            uri: self.uri.into(),
            q: self.q,
            expires_at: clock.instant(now, seconds(self.expires_unix))?,
            call_id: self.call_id.into(),
            cseq: self.cseq,
            instance: self.instance.map(Into::into),
            reg_id: self.reg_id,
            path: self.path.map(Into::into),
            flow: Flow {
                transport,
                local: self.local,
                remote: self.remote,
                conn: None,
            },
            flags: self.flags,
            user_agent: self.user_agent.map(Into::into),
            since: now,
        })
    }
}

/// A registrar must know every extension that a REGISTER requires (RFC 3261 section 10.3, step 2).
fn check_require(request: &viaduct_sip::Message) -> Result<(), Refusal> {
    /// Understood, or of no consequence to a registrar.
    const KNOWN: [&[u8]; 3] = [b"path", b"outbound", b"gruu"];
    let unknown = request
        .values(HeaderName::Require)
        .filter(|tag| !KNOWN.iter().any(|k| k.eq_ignore_ascii_case(tag)));
    let unsupported: Vec<String> = unknown
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(Refusal::BadExtension { unsupported })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Flags;
    use crate::test::base;

    #[test]
    fn a_stored_binding_comes_back_with_its_path_and_flow() {
        let now = base() + Duration::from_secs(10);
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let binding = Binding {
            uri: "sip:a@192.0.2.2:5062;ob".into(),
            q: 700,
            expires_at: now + Duration::from_secs(90),
            call_id: "one@h".into(),
            cseq: 9,
            instance: Some("urn:uuid:1".into()),
            reg_id: Some(2),
            path: Some("<sip:edge.example;lr>, <sip:inner.example;lr>".into()),
            flow: Flow {
                transport: Transport::Udp,
                local: ([192, 0, 2, 1], 5060).into(),
                remote: ([192, 0, 2, 2], 61_000).into(),
                conn: None,
            },
            flags: Flags::NONE,
            user_agent: Some("Desk".into()),
            since: now,
        };
        let record = BindingRecord::new(&binding, now, clock);
        assert_eq!(record.clone().restore(now, clock), Some(binding));
        assert_eq!(record.restore(now + Duration::from_secs(91), clock), None);
    }
}
