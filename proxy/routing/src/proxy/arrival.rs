//! A request arrives: what it is, who sent it, whether it may go on, and where (RFC 3261 sections 16.3 to 16.5).

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use viaduct_sip::HeaderName;
use viaduct_sip::token::token;
use viaduct_sip::{
    Aor, Essentials, Host, Item, Message, Method, ResponseBuilder, Scheme, StatusCode, Transport, Uri, Via,
};
use viaduct_trunk::Changes;
use viaduct_txn::{Flow, Received, ServerId};

use super::Proxy;
use super::admitted::Admitted;
use super::targets::Group;
use crate::auth::{Asking, AuthFailure, Authenticated, Authenticator, Presented};
use crate::call_counts::{NoSeat, Seat};
use crate::calling::Calling;
use crate::context::CommonEdits;
use crate::gruu::NotOurs;
use crate::route::{self, Routing};
use crate::{Event, Refusal, User};

/// Octets of a User-Agent in which a program's name is looked for.
const USER_AGENT_READ: usize = 256;

/// Seconds for Retry-After of what has waited too long. Who is told a number at random comes back when others do not.
const LATE_RETRY_AFTER_S: RangeInclusive<u32> = 2..=10;

/// How many times as long as a call a registration may have waited.
const LATE_REGISTER_FACTOR: u32 = 10;

/// A request that begins a transaction.
pub(super) struct Arrival<'m> {
    pub(super) server: ServerId,
    pub(super) flow: Flow,
    pub(super) request: &'m Message,
    pub(super) essentials: Essentials<'m>,
    /// It was here before, and waited until its sender was looked up.
    pub(super) has_waited: bool,
    /// How long it waited to be handled.
    pub(super) waited: Duration,
}

impl Proxy {
    pub(super) fn request_received(&mut self, now: Instant, flow: Flow, request: &Message, waited: Duration) {
        if self.is_of_scanner(request) {
            self.counters.requests_of_scanners += 1;
            return;
        }
        let essentials = match request.essentials() {
            Ok(essentials) => essentials,
            Err(error) => {
                if request.method() == Some(Method::Ack) {
                    self.counters.dropped += 1;
                } else {
                    self.counters.refusals += 1;
                    self.refused_for.count(error.label());
                    let answer = ResponseBuilder::new(request, error.status()).reason(&error.to_string());
                    self.answer_without_state(flow, answer);
                }
                return;
            }
        };
        let flow = self.flow_back(flow, &essentials);
        match self.layer.handle_request(now, flow, request, &essentials) {
            Received::Absorbed => {}
            Received::Marked => self.register_repeated(now, flow, request, &essentials),
            Received::Ack => self.acknowledged(now, flow, request, &essentials),
            Received::Cancel { server, invite } => self.cancel_received(now, flow, server, invite),
            Received::New(server) => {
                let arrival = Arrival {
                    server,
                    flow,
                    request,
                    essentials,
                    has_waited: false,
                    waited,
                };
                if let Err(refusal) = self.admit(now, &arrival) {
                    self.refuse(now, server, flow, &refusal);
                }
            }
        }
    }

    /// True when the program that sent a request is one that is not answered.
    fn is_of_scanner(&self, request: &Message) -> bool {
        let names = &self.config.auth.dropped_user_agents;
        if names.is_empty() {
            return false;
        }
        let Some(agent) = request.header(HeaderName::UserAgent) else {
            return false;
        };
        let agent = &agent[..agent.len().min(USER_AGENT_READ)];
        names.iter().any(|name| {
            let mut places = agent.windows(name.len().max(1));
            places.any(|place| place.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    /// How the sender of a request is reached. Phones are answered where they send from, for most are behind a NAT. A
    /// trunk that does not ask for `rport` is answered at the port that it names: some send from other ports than they
    /// listen at (RFC 3261 section 18.2.2). One that is behind a NAT names another address than it sends from.
    fn flow_back(&self, flow: Flow, essentials: &Essentials<'_>) -> Flow {
        let via = &essentials.via;
        if flow.transport != Transport::Udp || via.rport().is_some() {
            return flow;
        }
        let (named, source) = (via.host().ip(), flow.remote.ip());
        let is_there = named.is_some_and(|ip| ip.to_canonical() == source.to_canonical());
        if !is_there || self.trunk_at(flow).is_none() {
            return flow;
        }
        let port = via.port().unwrap_or_else(|| Transport::Udp.default_port());
        let remote = SocketAddr::new(source, port);
        Flow { remote, ..flow }
    }

    pub(super) fn admit(&mut self, now: Instant, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival {
            request, essentials, ..
        } = arrival;
        self.check_hops(arrival)?;
        check_proxy_require(request)?;
        let request_uri = request.request_uri().and_then(Result::ok);
        let request_uri = request_uri.ok_or(Refusal::BadHeader("Request-URI"))?;
        let at = arrival.flow.local;
        let routing = route::read((&self.config, &self.tokens), request, &request_uri, at)?;
        if essentials.to_tag.is_some() {
            return self.forward_in_dialog(now, arrival, &routing);
        }
        let trunk = self.trunk_at(arrival.flow);
        let is_limited = trunk.is_none() && !arrival.has_waited;
        if is_limited && !self.guard.admit(now, arrival.flow.remote.ip()) {
            self.counters.requests_over_rate += 1;
            return Err(Refusal::TooFast);
        }
        let uri = match &routing.strict {
            Some(text) => Uri::parse(text).map_err(|_| Refusal::BadHeader("Request-URI"))?,
            None => request_uri,
        };
        if let Scheme::Other(_) = uri.scheme() {
            return Err(Refusal::BadScheme);
        }
        let is_ours = uri
            .host()
            .is_none_or(|host| self.config.is_our_host(&host, arrival.flow.local));
        let is_probe = is_ours && uri.user().is_none() && uri.number().is_none();
        if self.is_drained_of(request, is_probe) {
            self.counters.refused_draining += 1;
            return Err(Refusal::Draining);
        }
        if self.is_late(now, arrival, &uri) {
            self.counters.requests_late += 1;
            let seconds = self.rng.random_range(LATE_RETRY_AFTER_S);
            return Err(Refusal::Late { seconds });
        }
        if trunk.is_none() && !arrival.has_waited && self.waits_for_sender(now, arrival)? {
            return Ok(());
        }
        if routing.foreign || !is_ours {
            return self.forward_elsewhere(now, arrival, &routing, &uri);
        }
        match essentials.cseq.method {
            Method::Register => self.register(now, arrival),
            Method::Options if is_probe => {
                self.answer_options(arrival);
                Ok(())
            }
            // Inside a dialog, or nowhere.
            Method::Bye | Method::Prack | Method::Update => Err(Refusal::NoDialog),
            _ => match trunk {
                Some(line) => self.forward_from_trunk(now, arrival, &routing, &uri, &line),
                None => self.forward_to_user(now, arrival, &routing, &uri),
            },
        }
    }

    /// Whether a request outside any dialog is refused because calls are only finished here.
    fn is_drained_of(&self, request: &Message, is_to_us: bool) -> bool {
        self.is_draining
            && match request.method() {
                Some(Method::Invite) => !self.may_replace_a_call(request),
                Some(Method::Options) => is_to_us,
                _ => false,
            }
    }

    /// Whether a request that would make work has waited too long for it: its sender has sent it again by then, and others
    /// wait meanwhile. Registrations are refused last, because nobody is called without them. Who has not shown a nonce of
    /// ours is asked for a password as always: that is no more work, and a crowd of strangers keeps no user out by it.
    fn is_late(&self, now: Instant, arrival: &Arrival<'_>, uri: &Uri<'_>) -> bool {
        let longest = self.config.times.queue_max;
        if arrival.waited <= longest {
            return false;
        }
        let Arrival { request, flow, .. } = arrival;
        let is_emergency = || {
            let dialled = viaduct_trunk::dialled(uri);
            dialled.is_some_and(|number| self.config.numbers.is_emergency(&number))
        };
        let asking = match arrival.essentials.cseq.method {
            Method::Register if arrival.waited > longest * LATE_REGISTER_FACTOR => Asking::AsRegistrar,
            Method::Invite if !is_emergency() && !self.may_replace_a_call(request) => Asking::AsProxy,
            Method::Subscribe => Asking::AsProxy,
            _ => return false,
        };
        let unix = self.shard.clock.unix(now);
        let realm = &self.config.domain;
        self.trunk_at(*flow).is_some()
            || self.config.auth.trusts(flow.remote.ip())
            || self
                .auth
                .claimed_with_own_nonce(request, asking, realm, unix)
                .is_some()
    }

    /// True for the last step of a transfer, which continues a call rather than begins one (RFC 3891 section 3). The call
    /// may be another shard's; the end that has it checks the name, and answers 481 when there is none.
    fn may_replace_a_call(&self, request: &Message) -> bool {
        let replaces = request.values(HeaderName::Replaces).next();
        let is_dialog = replaces
            .and_then(|value| Item::parse(value).ok())
            .is_some_and(|item| item.params.has("to-tag") && item.params.has("from-tag"));
        is_dialog && !self.call_counts.is_empty()
    }

    /// Max-Forwards and loops (RFC 3261 section 16.3 steps 3 and 4, RFC 5393 section 4.2).
    fn check_hops(&self, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let Arrival {
            flow,
            request,
            essentials,
            ..
        } = arrival;
        if essentials.max_forwards == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        let mut mark = None;
        let earlier = request.values(HeaderName::Via).skip(1);
        let earlier = earlier.filter_map(|via| Via::parse(via).ok());
        for via in iter::once(essentials.via).chain(earlier) {
            let Some(found) = via.branch().and_then(mark_of) else {
                continue;
            };
            if self.config.is_our_host(&via.host(), flow.local)
                && mark.get_or_insert_with(|| loop_mark(self.loop_key, request)) == found
            {
                return Err(Refusal::Loop);
            }
        }
        Ok(())
    }

    /// A request to somebody of ours, outside any dialog.
    fn forward_to_user(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        routing: &Routing,
        uri: &Uri<'_>,
    ) -> Result<(), Refusal> {
        let Arrival {
            server,
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let who = self.authenticate_caller(now, arrival)?;
        let method = essentials.cseq.method;
        let dialled = dialled(uri, method)?;
        let gruu = self.gruus.read(uri).transpose();
        let gruu = gruu.map_err(|NotOurs| Refusal::UnknownUser)?;
        let is_own = gruu.is_none() && dialled == who.user().name;
        if matches!(method, Method::Subscribe | Method::Publish) && is_own {
            // A phone that asks for its own voice mail or presence: nobody here keeps either.
            return Err(Refusal::BadEvent);
        }
        let admitted = Admitted {
            server: *server,
            flow: *flow,
            request: (*request).clone(),
            caller: Calling::User(Arc::clone(who.user())),
            number: self.config.numbers.normalise(&dialled),
            dialled,
            gruu,
            inside: self.replaced_inside(request, uri),
            secure: uri.is_sips(),
            edits: CommonEdits {
                credentials_line: who.line(),
                record_route: method.makes_dialog(),
                headers: viaduct_trunk::between_users().into(),
                ..CommonEdits::of(routing)
            },
            is_trying: arrival.has_waited,
            rule: None,
            shown: Changes::default(),
        };
        self.send_on(now, admitted)
    }

    /// Every request outside a dialog must be some user's own (RFC 3261 section 22.3).
    pub(super) fn authenticate_caller(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
    ) -> Result<Authenticated, Refusal> {
        let from = arrival.essentials.from.uri();
        let from = from.map_err(|_| Refusal::BadHeader("From"))?;
        let is_ours = from
            .host()
            .is_some_and(|host| self.config.is_our_host(&host, arrival.flow.local));
        // A number belongs to no domain (RFC 3966 section 5.1.5): it is somebody's here or nobody's.
        let name = match from.scheme() {
            Scheme::Tel => viaduct_trunk::dialled(&from).map(Cow::Owned),
            _ => Aor::user_of(&from).filter(|_| is_ours),
        };
        let who = self.authenticate(
            now,
            (arrival.request, arrival.flow),
            Asking::AsProxy,
            name.as_deref(),
        )?;
        let may = match &name {
            Some(name) => who.user().may_call_as(name),
            // RFC 3323 section 4.1.1.3: the network knows who it is, the callee need not.
            None => from
                .host()
                .is_some_and(|host| host.as_str().eq_ignore_ascii_case("anonymous.invalid")),
        };
        if !may {
            return Err(Refusal::NotYours {
                user: who.user().name.clone(),
                address: from.as_str().to_owned(),
            });
        }
        Ok(who)
    }

    /// Who proves to have sent this request. `name` is whom it claims to be from, whose list of algorithms counts.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        (request, flow): (&Message, Flow),
        asking: Asking,
        name: Option<&str>,
    ) -> Result<Authenticated, Refusal> {
        let ip = flow.remote.ip();
        let realm = &self.config.domain;
        let known = (asking, &**realm);
        if let Some(who) = Authenticator::trusted(request, known, &self.users, &self.config.auth, ip, name) {
            check_transport(who.user(), flow)?;
            return Ok(who);
        }
        // Whoever is trusted is never made to wait.
        let is_guarded = !self.config.auth.trusts(ip);
        let presented = Presented::read(request, asking, realm);
        let claimed = presented.user().filter(|_| is_guarded);
        if let Some(pause) = claimed.and_then(|user| self.guard.pause(now, ip, user)) {
            self.counters.passwords_paused += 1;
            return Err(Refusal::Paused {
                seconds: whole_seconds(pause),
            });
        }
        let unix = self.shard.clock.unix(now);
        let checked = self
            .auth
            .check(request, presented, &self.users, &self.config.auth, unix);
        match checked {
            Ok(who) => {
                self.guard.succeeded(ip, &who.user().name);
                check_transport(who.user(), flow)?;
                Ok(who)
            }
            Err(failure) => {
                let consequence = match &failure {
                    AuthFailure::WrongSecret { name } if is_guarded => Some(self.guard.failed(now, ip, name)),
                    _ => None,
                };
                if !matches!(failure, AuthFailure::Missing | AuthFailure::Stale) {
                    self.counters.auth_failures += 1;
                    self.event(Event::AuthFailed {
                        flow,
                        failure: failure.clone(),
                        consequence,
                    });
                }
                Err(Refusal::Unauthenticated {
                    asking,
                    failure,
                    user: name.map(str::to_owned),
                })
            }
        }
    }

    /// The address of record of a user.
    pub(super) fn aor_of(&self, user: &str) -> Option<Aor> {
        Some(Aor::new(user, &Host::parse(&self.config.domain).ok()?))
    }

    /// How many branches may come of a request (RFC 5393 section 5.3.3), if that is enough for the largest group.
    pub(super) fn breadth(&mut self, request: &Message, groups: &[Group]) -> Result<u32, Refusal> {
        let breadth = match request.text(HeaderName::MaxBreadth) {
            Some(text) => text.parse().map_err(|_| Refusal::BadHeader("Max-Breadth"))?,
            None => self.config.limits.breadth_max,
        };
        let widest = groups.iter().map(Vec::len).max().unwrap_or_default();
        if usize::try_from(breadth).is_ok_and(|breadth| breadth < widest) {
            self.counters.breadth_over_limit += 1;
            return Err(Refusal::TooBroad);
        }
        Ok(breadth.min(self.config.limits.breadth_max))
    }

    /// A place for a further call of this user.
    pub(super) fn seat(&mut self, user: &Arc<User>) -> Result<Seat, Refusal> {
        let seat = self.call_counts.take(user, &self.config.limits);
        seat.map_err(|no_seat| self.no_seat(no_seat))
    }

    pub(super) fn no_seat(&mut self, no_seat: NoSeat) -> Refusal {
        match no_seat {
            NoSeat::Calls => {
                self.counters.calls_over_limit += 1;
                Refusal::Overload("Too many calls")
            }
            NoSeat::OfUser => {
                self.counters.calls_over_user_limit += 1;
                Refusal::UserBusy
            }
        }
    }

    /// Whoever asks again is answered again: nothing is kept of what phones ask every few seconds.
    fn answer_options(&mut self, arrival: &Arrival<'_>) {
        let answer = self
            .lasting_answer_builder(arrival.request, arrival.flow, StatusCode::OK)
            .header(HeaderName::Allow, super::answer::ALLOW)
            .header(HeaderName::Accept, "application/sdp")
            .header(HeaderName::Supported, "path, outbound, gruu");
        match answer.build() {
            Ok(octets) => self.layer.respond_and_forget(arrival.server, octets),
            Err(_) => self.counters.dropped += 1,
        }
    }
}

/// A user may be bound to some transports.
fn check_transport(user: &User, flow: Flow) -> Result<(), Refusal> {
    match &user.transports {
        Some(allowed) if !allowed.contains(&flow.transport) => Err(Refusal::WrongTransport {
            user: user.name.clone(),
            transport: flow.transport,
        }),
        _ => Ok(()),
    }
}

/// A pause as Retry-After says it: a second begun is a second.
fn whole_seconds(pause: Duration) -> u32 {
    u32::try_from(pause.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Proxy-Require names what every proxy must do: we have no extension of that kind (RFC 3261 section 16.3, step 5).
fn check_proxy_require(request: &Message) -> Result<(), Refusal> {
    let tags = request.values(HeaderName::ProxyRequire);
    let unsupported: Vec<String> = tags
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(Refusal::BadExtension { unsupported })
    }
}

/// What was dialled: the user part, or the number of a `tel` URI without its visual separators.
fn dialled(uri: &Uri<'_>, method: Method<'_>) -> Result<String, Refusal> {
    // Without a user part it is for this proxy, which calls nobody and keeps nothing.
    viaduct_trunk::dialled(uri).ok_or(match method {
        Method::Invite => Refusal::UnknownUser,
        _ => Refusal::MethodNotAllowed,
    })
}

/// What may be the [`loop_mark`] in a branch, if it has the shape of one of ours.
fn mark_of(branch: &str) -> Option<&str> {
    let mark = branch.get(branch.len().checked_sub(LOOP_MARK_CHARS)?..)?;
    mark.starts_with('-').then_some(mark)
}

/// A dash and 64 bits as a token.
const LOOP_MARK_CHARS: usize = 14;

/// The end of a branch of ours: equal for requests that would be routed alike (RFC 5393 section 4.2.1). Other proxies have
/// other keys, so that one beside us, at the same address, is not taken for us.
pub(super) fn loop_mark(key: u64, request: &Message) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    request.request_uri_text().hash(&mut hasher);
    for name in [
        HeaderName::Route,
        HeaderName::ProxyRequire,
        HeaderName::ProxyAuthorization,
    ] {
        request.values(name).for_each(|value| value.hash(&mut hasher));
    }
    for name in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
    ] {
        request.header(name).hash(&mut hasher);
    }
    ["-", &token(&hasher.finish().to_be_bytes())].concat()
}
