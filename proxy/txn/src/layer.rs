//! The transaction layer: finds the transaction of each message and drives it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slotmap::SlotMap;
use viaduct_sip::{
    Essentials, HeaderName, Message, Method, RequestBuilder, ResponseBuilder, StatusCode, Transport,
};

use crate::answered::Answered;
use crate::client::{self, CancelOutcome, Client, ClientState, Tell};
use crate::effects::{Effects, Owner, Timer};
use crate::key::{ClientKey, Keys, ServerKey};
use crate::parts::Parts;
use crate::room::make_room;
use crate::server::{self, Server, ServerState};
use crate::table::{Known, Table};
use crate::{ClientId, Config, Counters, Flow, Hop, Limits, Output, ServerId, Timers, Timing};

/// What a received request turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It begins a transaction, which waits for [`Layer::respond`].
    New(ServerId),
    /// A CANCEL. It begins a transaction of its own, which must be answered whatever becomes of the INVITE.
    Cancel {
        /// The CANCEL's transaction.
        server: ServerId,
        /// The INVITE's transaction. When it has its final answer, the CANCEL changes nothing and deserves a 200 all the
        /// same; `None` deserves a 481 (RFC 3261 section 9.2).
        invite: Option<ServerId>,
    },
    /// A repeat of a request that was answered with [`Layer::respond_and_mark`]: make the answer again, and send it with
    /// [`Layer::respond_again`].
    Marked,
    /// An ACK of a 2xx: it is no transaction's, and is routed like any request of its dialog.
    Ack,
    /// The layer dealt with it: a repeat, an ACK of a 3xx-6xx, or a request beyond the limits.
    Absorbed,
}

/// A request to send in a transaction of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The whole message, our Via with `branch` on top.
    pub octets: Bytes,
    /// The branch of that Via, unique to this request.
    pub branch: Bytes,
    /// True for an INVITE.
    pub is_invite: bool,
    /// Where to.
    pub hop: Hop,
    /// How long to wait for any answer (INVITE) or the final one (others). `None` is 64·T1, timers B and F.
    pub patience: Option<Duration>,
}

/// How late an answered request may be forgotten where nothing comes meanwhile: nobody waits for it, and to be woken for each
/// would cost a quiet registrar as much as a busy one. Every request that comes makes the layer forget what is due.
const FORGET_LATE_MAX: Duration = Duration::from_millis(100);

/// All transactions of one shard. See the [crate documentation](crate) for the contract.
#[derive(Debug, Default)]
pub struct Layer {
    config: Config,
    servers: SlotMap<ServerId, Box<Server>>,
    clients: SlotMap<ClientId, Box<Client>>,
    requests: Table,
    keys: Keys,
    /// When answered requests are forgotten, timer J.
    answered_until: Timers<ServerKey>,
    by_branch: Parts<ClientKey, ClientId>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Layer {
    /// A layer without transactions.
    pub fn new(config: Config) -> Self {
        let mut layer = Self {
            config,
            ..Self::default()
        };
        layer.make_room();
        layer
    }

    /// Works with other timing and limits from here on. Timers that run go on as they were set; transactions beyond a
    /// smaller limit stay.
    pub fn reconfigure(&mut self, timing: Timing, limits: Limits) {
        self.config.timing = timing;
        self.config.limits = limits;
        self.make_room();
    }

    /// A request came. `essentials` are those of `request`.
    pub fn handle_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        essentials: &Essentials<'_>,
    ) -> Received {
        self.forget_answered(now);
        let key = self.keys.of_request(request, essentials);
        let method = essentials.cseq.method;
        match (self.requests.get(&key), method) {
            (Some(&Known::Running(server)), Method::Ack) => self.acknowledged(now, server),
            (Some(&Known::Running(server)), _) => {
                self.counters.request_repeats += 1;
                self.with_server(now, server, |state, fx| {
                    state.request_repeated(fx);
                    server::Next::In(state)
                });
                Received::Absorbed
            }
            (Some(Known::Answered(Answered::Kept(answer))), _) => {
                let (hop, octets) = (answer.hop.clone(), answer.octets.clone());
                self.counters.request_repeats += 1;
                self.send_again(hop, octets);
                Received::Absorbed
            }
            (Some(&Known::Answered(Answered::Marked(mark))), _) => {
                self.counters.request_repeats += 1;
                let reply = reply_hop(flow, essentials, self.config.symmetric_response);
                if self.keys.mark(request, &reply) == mark {
                    Received::Marked
                } else {
                    Received::Absorbed
                }
            }
            (Some(Known::Answered(Answered::Silent)), _) => {
                self.counters.request_repeats += 1;
                Received::Absorbed
            }
            (None, Method::Ack) if self.is_of_forgotten(request, essentials) => Received::Absorbed,
            (None, Method::Ack) => Received::Ack,
            (None, _) if self.requests.len() >= self.room_for_request(essentials) => {
                self.refuse(flow, request, essentials);
                Received::Absorbed
            }
            (None, _) => self.begin(key, flow, request, essentials),
        }
    }

    /// A response came. `Some` hands it to the user as the answer of that request; `None` means the layer dealt with
    /// it. `essentials` are those of `response`.
    pub fn handle_response(
        &mut self,
        now: Instant,
        response: &Message,
        essentials: &Essentials<'_>,
    ) -> Option<ClientId> {
        let found = response.status().zip(self.client_of(response, essentials));
        let Some((status, client)) = found else {
            self.counters.responses_stray += 1;
            return None;
        };
        let is_own_cancel = self
            .clients
            .get(client)
            .is_some_and(|client| client.is_own_cancel);
        let tell = self.with_client(now, client, |state, fx| state.response(fx, status, response));
        let for_user = match tell {
            Tell::Nothing | Tell::Timeout => false,
            Tell::Response => !is_own_cancel,
            Tell::ResponseThenCancel { reason } => {
                self.cancel(now, client, reason.as_ref());
                true
            }
        };
        if for_user {
            self.counters.responses += 1;
        }
        for_user.then_some(client)
    }

    /// Sends an answer in a server transaction. `octets` is the whole response, `status` its code. An answer that the
    /// state of the transaction forbids (a second final one, but for further 2xx to an INVITE) is not sent.
    pub fn respond(&mut self, now: Instant, server: ServerId, status: StatusCode, octets: Bytes) {
        self.answer(now, server, status, octets, None);
    }

    /// Sends a final answer to a request other than INVITE and keeps no more of it than a mark of the request: its repeat
    /// is [`Received::Marked`]. For answers that can be made again at any time from the request alone, with the same tag.
    pub fn respond_and_mark(&mut self, now: Instant, server: ServerId, status: StatusCode, octets: Bytes) {
        let entry = self.servers.get(server);
        let mark = entry.and_then(|entry| Some(self.keys.mark(entry.request.as_ref()?, &entry.reply)));
        self.answer(now, server, status, octets, mark);
    }

    /// Sends the answer to a request that was [`Received::Marked`]. `essentials` are those of the request.
    pub fn respond_again(&mut self, flow: Flow, essentials: &Essentials<'_>, octets: Bytes) {
        let reply = reply_hop(flow, essentials, self.config.symmetric_response);
        self.send_again(reply, octets);
    }

    /// Sends a final answer and forgets the server transaction with it: whoever misses the answer asks again and gets another
    /// (RFC 3261 section 8.2.7). It must bear the [stateless tag](viaduct_sip::stateless_tag) of [`Config::tag_key`], by
    /// which its ACK is known.
    pub fn respond_and_forget(&mut self, server: ServerId, octets: Bytes) {
        let Some(entry) = self.servers.get(server) else {
            return;
        };
        self.outputs.push_back(Output::Send {
            hop: entry.reply.clone(),
            octets,
            client: None,
        });
        self.forget(server);
    }

    /// Sends a request in a new client transaction. `None` when [`Limits::client_transactions_max`] is reached or the
    /// branch is in use: nothing was sent.
    ///
    /// [`Limits::client_transactions_max`]: crate::Limits::client_transactions_max
    pub fn request(&mut self, now: Instant, request: Request) -> Option<ClientId> {
        let key = ClientKey {
            branch: request.branch.clone(),
            is_cancel: false,
        };
        self.start(now, key, request, false)
    }

    /// Cancels an INVITE: at once after a provisional answer, otherwise as soon as one comes (RFC 3261 section 9.1).
    /// `reason` is the value of the CANCEL's Reason header (RFC 3326). An INVITE that already has its final answer is
    /// left alone.
    pub fn cancel(&mut self, now: Instant, client: ClientId, reason: Option<&Arc<str>>) {
        let outcome = {
            let Some(entry) = self.clients.get_mut(client) else {
                return;
            };
            let mut fx = Effects {
                now,
                owner: Owner::Client(client),
                hop: &entry.hop,
                timing: &self.config.timing,
                timers: &mut self.timers,
                outputs: &mut self.outputs,
                counters: &mut self.counters,
            };
            match &mut entry.state {
                Some(ClientState::Invite(state)) => state.cancel(&mut fx, reason.cloned()),
                Some(ClientState::NonInvite(_)) | None => CancelOutcome::TooLate,
            }
        };
        if let CancelOutcome::SendNow(invite) = outcome {
            self.send_cancel(now, client, &invite, reason.map(AsRef::as_ref));
        }
    }

    /// Ends a client transaction without a word: its request could not be sent, or nobody wants the answer.
    pub fn abandon(&mut self, client: ClientId) {
        self.remove_client(client);
    }

    /// Ends a server transaction that will never be answered: a request other than INVITE that got no answer itself
    /// (RFC 4320 section 4.2). Its repeats are absorbed.
    pub fn leave_unanswered(&mut self, now: Instant, server: ServerId) {
        self.with_server(now, server, |_, fx| {
            if fx.is_reliable() {
                server::Next::Over
            } else {
                server::Next::Answered(Answered::Silent)
            }
        });
    }

    fn forget(&mut self, server: ServerId) {
        if let Some(entry) = self.servers.remove(server) {
            self.requests.remove(&entry.key);
            self.outputs.push_back(Output::ServerEnded {
                server,
                acknowledged: true,
            });
        }
    }

    /// A timer may have fired.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.forget_answered(now);
        while let Some(Timer { owner, letter }) = self.timers.pop(now) {
            match owner {
                Owner::Server(server) => {
                    self.with_server(now, server, |state, fx| state.fired(fx, letter));
                }
                Owner::Client(client) => {
                    self.with_client(now, client, |state, fx| state.fired(fx, letter));
                }
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let forget = self.answered_until.next().map(|due| due + FORGET_LATE_MAX);
        [self.timers.next(), forget].into_iter().flatten().min()
    }

    /// What to do next. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The request that began a server transaction. `None` after its final answer.
    pub fn server_request(&self, server: ServerId) -> Option<&Message> {
        self.servers.get(server)?.request.as_ref()
    }

    /// The client transaction whose request carries this branch; never that of a CANCEL.
    pub fn client_with_branch(&self, branch: &[u8]) -> Option<ClientId> {
        let key = ClientKey {
            branch: Bytes::copy_from_slice(branch),
            is_cancel: false,
        };
        self.by_branch.get(&key).copied()
    }

    /// True while a server transaction exists and has no final answer.
    pub fn is_pending(&self, server: ServerId) -> bool {
        self.servers.get(server).is_some_and(|server| server.is_pending())
    }

    /// Server transactions, those included that only wait for repeats of their request, and client transactions.
    pub fn len(&self) -> (usize, usize) {
        (self.requests.len(), self.clients.len())
    }

    /// True when no transaction exists.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Nothing waits for a table that grows, see [`room_for`](crate::room::room_for).
    fn make_room(&mut self) {
        // Clients may be many more, as requests fork; those of forked ones alone make tables grow.
        let limit = self.config.limits.server_transactions_max;
        make_room(&mut self.servers, limit);
        make_room(&mut self.clients, limit);
    }

    /// How many server transactions there may be before this request is refused. What belongs to a call that exists, and
    /// mostly ends it, has an eighth that is kept for it.
    fn room_for_request(&self, essentials: &Essentials<'_>) -> usize {
        let most = self.config.limits.server_transactions_max;
        let goes_on = essentials.to_tag.is_some() || essentials.cseq.method == Method::Cancel;
        if goes_on { most } else { most - most / 8 }
    }

    fn begin(
        &mut self,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        essentials: &Essentials<'_>,
    ) -> Received {
        self.counters.requests += 1;
        let method = essentials.cseq.method;
        let server = self.servers.insert(Box::new(Server {
            key,
            request: Some(request.clone()),
            reply: reply_hop(flow, essentials, self.config.symmetric_response),
            state: Some(ServerState::new(method == Method::Invite)),
        }));
        self.requests.insert(key, Known::Running(server));
        match method {
            Method::Cancel => Received::Cancel {
                server,
                invite: self.cancelled(request, essentials),
            },
            _ => Received::New(server),
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        server: ServerId,
        status: StatusCode,
        octets: Bytes,
        mark: Option<u64>,
    ) {
        self.with_server(now, server, |state, fx| state.respond(fx, status, octets, mark));
        if status.is_final()
            && let Some(entry) = self.servers.get_mut(server)
        {
            entry.request = None;
        }
    }

    /// The INVITE that a CANCEL is about.
    fn cancelled(&mut self, cancel: &Message, essentials: &Essentials<'_>) -> Option<ServerId> {
        let key = self.keys.of_cancelled(cancel, essentials);
        match self.requests.get(&key) {
            Some(&Known::Running(invite)) => Some(invite),
            _ => None,
        }
    }

    /// Sends an answer again because its request came again.
    fn send_again(&mut self, hop: Hop, octets: Bytes) {
        self.counters.retransmissions += 1;
        self.outputs.push_back(Output::Send {
            hop,
            octets,
            client: None,
        });
    }

    fn acknowledged(&mut self, now: Instant, server: ServerId) -> Received {
        // An ACK of a 2xx has a branch of its own, but clients that reuse the INVITE's are common.
        if self
            .servers
            .get(server)
            .is_some_and(|server| server.is_accepted())
        {
            return Received::Ack;
        }
        self.with_server(now, server, ServerState::acknowledged);
        Received::Absorbed
    }

    /// True for the ACK of a refusal that was sent without keeping anything.
    fn is_of_forgotten(&self, ack: &Message, essentials: &Essentials<'_>) -> bool {
        let tag = viaduct_sip::stateless_tag(ack, self.config.tag_key);
        essentials.to_tag == Some(&*tag)
    }

    /// Answers 503 without keeping anything.
    fn refuse(&mut self, flow: Flow, request: &Message, essentials: &Essentials<'_>) {
        self.counters.requests_refused += 1;
        let retry_after = self.config.limits.retry_after_s.to_string();
        let built = ResponseBuilder::new(request, StatusCode::SERVICE_UNAVAILABLE)
            .source(flow.remote)
            .stateless_to_tag(self.config.tag_key)
            .header(HeaderName::RetryAfter, &retry_after)
            .build();
        // A request whose essentials were read can be answered; one that cannot is dropped.
        let Ok(octets) = built else { return };
        self.outputs.push_back(Output::Send {
            hop: reply_hop(flow, essentials, self.config.symmetric_response),
            octets,
            client: None,
        });
    }

    fn start(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: Request,
        is_own_cancel: bool,
    ) -> Option<ClientId> {
        if self.clients.len() >= self.config.limits.client_transactions_max
            || self.by_branch.get(&key).is_some()
        {
            self.counters.clients_refused += 1;
            return None;
        }
        let Self {
            config,
            clients,
            timers,
            outputs,
            counters,
            by_branch,
            ..
        } = self;
        let patience = request.patience.unwrap_or_else(|| config.timing.lifetime());
        let client = clients.insert_with_key(|client| {
            let mut fx = Effects {
                now,
                owner: Owner::Client(client),
                hop: &request.hop,
                timing: &config.timing,
                timers,
                outputs,
                counters,
            };
            let state = ClientState::start(request.is_invite, &mut fx, request.octets, patience);
            Box::new(Client {
                key: key.clone(),
                hop: request.hop.clone(),
                is_own_cancel,
                state: Some(state),
            })
        });
        by_branch.insert(key, client);
        Some(client)
    }

    fn send_cancel(&mut self, now: Instant, client: ClientId, invite: &Bytes, reason: Option<&str>) {
        let Some(entry) = self.clients.get(client) else {
            return;
        };
        let Some(octets) = cancel_octets(invite, reason) else {
            return;
        };
        let branch = entry.key.branch.clone();
        let key = ClientKey {
            branch: branch.clone(),
            is_cancel: true,
        };
        let hop = entry.hop.clone();
        self.start(
            now,
            key,
            Request {
                octets,
                branch,
                is_invite: false,
                hop,
                patience: None,
            },
            true,
        );
    }

    fn client_of(&self, response: &Message, essentials: &Essentials<'_>) -> Option<ClientId> {
        let branch = response.share(essentials.via.branch()?.as_bytes());
        let is_cancel = essentials.cseq.method == Method::Cancel;
        let client = *self.by_branch.get(&ClientKey { branch, is_cancel })?;
        // An answer to another method than was asked is nobody's.
        let is_invite = matches!(self.clients.get(client)?.state, Some(ClientState::Invite(_)));
        (is_invite == (essentials.cseq.method == Method::Invite)).then_some(client)
    }

    /// Lets `step` take a server transaction from its state into the next. Nothing happens when it is gone.
    fn with_server(
        &mut self,
        now: Instant,
        server: ServerId,
        step: impl FnOnce(ServerState, &mut Effects<'_>) -> server::Next,
    ) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        let Some(state) = entry.state.take() else { return };
        let mut fx = Effects {
            now,
            owner: Owner::Server(server),
            hop: &entry.reply,
            timing: &self.config.timing,
            timers: &mut self.timers,
            outputs: &mut self.outputs,
            counters: &mut self.counters,
        };
        let (answered, acknowledged) = match step(state, &mut fx) {
            server::Next::In(state) => {
                entry.state = Some(state);
                return;
            }
            server::Next::Answered(answered) => (Some(answered), true),
            server::Next::Over => (None, true),
            server::Next::OverUnacknowledged => (None, false),
        };
        if !acknowledged {
            self.counters.acks_missing += 1;
        }
        if let Some(entry) = self.servers.remove(server) {
            match answered {
                Some(answered) => {
                    let lifetime = self.config.timing.lifetime();
                    self.answered_until.set(now, lifetime, entry.key);
                    self.requests.insert(entry.key, Known::Answered(answered));
                }
                None => drop(self.requests.remove(&entry.key)),
            }
        }
        self.outputs
            .push_back(Output::ServerEnded { server, acknowledged });
    }

    /// Forgets what was answered long enough ago.
    fn forget_answered(&mut self, now: Instant) {
        while let Some(key) = self.answered_until.pop(now) {
            self.requests.remove(&key);
        }
    }

    /// As [`with_server`](Self::with_server), for a client transaction. Tells what its user must know.
    fn with_client(
        &mut self,
        now: Instant,
        client: ClientId,
        step: impl FnOnce(ClientState, &mut Effects<'_>) -> client::Next,
    ) -> Tell {
        let Some(entry) = self.clients.get_mut(client) else {
            return Tell::Nothing;
        };
        let Some(state) = entry.state.take() else {
            return Tell::Nothing;
        };
        let mut fx = Effects {
            now,
            owner: Owner::Client(client),
            hop: &entry.hop,
            timing: &self.config.timing,
            timers: &mut self.timers,
            outputs: &mut self.outputs,
            counters: &mut self.counters,
        };
        let next = step(state, &mut fx);
        entry.state = next.state;
        let (is_over, is_own_cancel) = (entry.state.is_none(), entry.is_own_cancel);
        if next.tell == Tell::Timeout && !is_own_cancel {
            self.counters.client_timeouts += 1;
            self.outputs.push_back(Output::Timeout { client });
        }
        if is_over {
            self.remove_client(client);
        }
        next.tell
    }

    fn remove_client(&mut self, client: ClientId) {
        let Some(entry) = self.clients.remove(client) else {
            return;
        };
        self.by_branch.remove(&entry.key);
        if !entry.is_own_cancel {
            self.outputs.push_back(Output::ClientEnded { client });
        }
    }
}

/// The CANCEL of an INVITE that was sent, with the Reason header's value (RFC 3326).
fn cancel_octets(invite: &Bytes, reason: Option<&str>) -> Option<Bytes> {
    let invite = client::reread(invite)?;
    let mut cancel = RequestBuilder::cancel_for(&invite).ok()?;
    if let Some(reason) = reason {
        cancel = cancel.header(HeaderName::Reason, reason);
    }
    cancel.build().ok()
}

/// Where answers to a request go (RFC 3261 section 18.2.2, RFC 3581 section 4). A datagram that asks for `rport` is
/// answered where it came from, any other at the port its Via names.
fn reply_hop(flow: Flow, essentials: &Essentials<'_>, symmetric: bool) -> Hop {
    let via = &essentials.via;
    if flow.transport != Transport::Udp || symmetric || via.rport().is_some() {
        return Hop::Flow(flow);
    }
    let mut remote = flow.remote;
    remote.set_port(via.port().unwrap_or_else(|| Transport::Udp.default_port()));
    Hop::Flow(Flow { remote, ..flow })
}
