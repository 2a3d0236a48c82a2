//! Answers that the proxy makes itself.

use std::time::Instant;

use viaduct_sip::{HeaderName, Message, ResponseBuilder, StatusCode};
use viaduct_txn::{Flow, Hop, ServerId};

use super::Proxy;
use crate::{Event, Output, Refusal};

/// What passes through this proxy, for Allow.
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, REGISTER, OPTIONS, PRACK, UPDATE, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY";

/// The events of 489, which must name some (RFC 6665 section 8.2.2): nobody here notifies of anything, but what a REFER
/// brings about passes.
const ALLOW_EVENTS: &str = "refer";

impl Proxy {
    /// Answers a request with a refusal, and says so.
    pub(super) fn refuse(&mut self, now: Instant, server: ServerId, flow: Flow, refusal: &Refusal) {
        let Some(request) = self.layer.server_request(server).cloned() else {
            return;
        };
        self.tell_refusal(flow, &request, refusal);
        let answer = self.refusal_builder(now, &request, flow, refusal);
        if !refusal.needs_no_proof() {
            return self.respond(now, server, refusal.status(), answer);
        }
        match answer.stateless_to_tag(self.tag_key).build() {
            Ok(octets) => self.layer.respond_and_forget(server, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// The answer to a request, with everything that its refusal brings along.
    pub(super) fn refusal_builder<'m>(
        &mut self,
        now: Instant,
        request: &'m Message,
        flow: Flow,
        refusal: &Refusal,
    ) -> ResponseBuilder<'m> {
        let mut answer = self.answer_builder(request, flow, refusal.status());
        match refusal {
            Refusal::Unauthenticated {
                asking,
                failure,
                user,
            } => {
                let user = user.as_deref().and_then(|name| self.users.get(name));
                let algorithms = self
                    .config
                    .auth
                    .algorithms(flow.transport, user.as_deref())
                    .to_vec();
                let unix = self.shard.clock.unix(now);
                let unique = rand::Rng::next_u64(&mut self.rng);
                let realm = &self.config.domain;
                for challenge in self.auth.challenges(realm, &algorithms, failure, unix, unique) {
                    answer = answer.header(asking.challenge_header(), &challenge);
                }
            }
            Refusal::BadExtension { unsupported } => {
                answer = answer.header(HeaderName::Unsupported, unsupported.join(", "));
            }
            Refusal::Register(crate::RegisterRefusal::PathUnsupported) => {
                answer = answer.header(HeaderName::Unsupported, "path");
            }
            Refusal::Decided(rejection) => {
                if let Some(reason) = &rejection.reason {
                    answer = answer.reason(reason);
                }
            }
            Refusal::BadEvent => answer = answer.header(HeaderName::AllowEvents, ALLOW_EVENTS),
            Refusal::MethodNotAllowed => answer = answer.header(HeaderName::Allow, ALLOW),
            Refusal::Register(crate::RegisterRefusal::TooBrief) => {
                let least = self.config.registrar.expires_min_s.to_string();
                answer = answer.header(HeaderName::MinExpires, &least);
            }
            _ => {}
        }
        if let Some((code, text)) = refusal.warning() {
            let warning = format!(
                "{code} {} {}",
                self.config.domain,
                viaduct_sip::quoted::quote(&text)
            );
            answer = answer.header(HeaderName::Warning, &warning);
        }
        if let Some(seconds) = refusal.retry_after_s() {
            answer = answer.header(HeaderName::RetryAfter, seconds.to_string());
        }
        answer
    }

    /// An answer of our own: marked with where the request came from, tagged, signed with our name.
    pub(super) fn answer_builder<'m>(
        &mut self,
        request: &'m Message,
        flow: Flow,
        status: StatusCode,
    ) -> ResponseBuilder<'m> {
        let tag = self.random_token();
        self.untagged_answer(request, flow, status).to_tag(&tag)
    }

    /// The same with a tag that it has whenever it is made (RFC 3261 section 8.2.7).
    pub(super) fn lasting_answer_builder<'m>(
        &self,
        request: &'m Message,
        flow: Flow,
        status: StatusCode,
    ) -> ResponseBuilder<'m> {
        self.untagged_answer(request, flow, status)
            .stateless_to_tag(self.tag_key)
    }

    fn untagged_answer<'m>(
        &self,
        request: &'m Message,
        flow: Flow,
        status: StatusCode,
    ) -> ResponseBuilder<'m> {
        let answer = ResponseBuilder::new(request, status)
            .source(flow.remote)
            .record_route(false);
        match &self.config.server {
            Some(server) => answer.header(HeaderName::Server, server),
            None => answer,
        }
    }

    /// Sends an answer in a transaction. One that cannot be built is dropped and counted.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        status: StatusCode,
        answer: ResponseBuilder<'_>,
    ) {
        match answer.build() {
            Ok(octets) => self.layer.respond(now, server, status, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// Sends an answer to a request that has no transaction. Its tag is the same when the request comes again
    /// (RFC 3261 section 8.2.7).
    pub(super) fn answer_without_state(&mut self, flow: Flow, answer: ResponseBuilder<'_>) {
        let answer = answer.source(flow.remote).stateless_to_tag(self.tag_key);
        match answer.build() {
            Ok(octets) => self.outputs.push_back(Output::Send {
                hop: Hop::Flow(flow),
                octets,
                id: None,
            }),
            Err(_) => self.counters.dropped += 1,
        }
    }

    /// A challenge is no refusal worth telling: what is wrong with credentials is told where they are checked.
    fn tell_refusal(&mut self, flow: Flow, request: &Message, refusal: &Refusal) {
        self.refused_for.count(refusal.label());
        if let Refusal::Unauthenticated { .. } = refusal {
            return;
        }
        self.counters.refusals += 1;
        self.event(Event::Refused {
            flow,
            method: request
                .method()
                .map_or_else(String::new, |method| method.as_str().to_owned()),
            uri: request.request_uri_text().unwrap_or_default().to_owned(),
            status: refusal.status().get(),
            reason: refusal.to_string(),
        });
    }
}
