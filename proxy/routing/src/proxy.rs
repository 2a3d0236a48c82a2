//! One shard of the proxy: its inputs and where they go.

mod admitted;
mod answer;
mod arrival;
mod cancel;
mod carrier_redirect;
mod carriers;
mod decide;
mod dialog;
mod forward;
mod hangup;
mod hiding;
mod hops;
mod lookup;
mod own_byes;
mod parked;
mod pings;
mod redirect;
mod register;
mod relay;
mod response;
mod serial;
mod session_timer;
mod targets;
mod trickle;
mod upkeep;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use slotmap::{SecondaryMap, SlotMap};
use viaduct_ng as ng;
use viaduct_resolve::Failure;
use viaduct_sip::{Message, ParseError, Transport};
use viaduct_trunk::HookDecision;
use viaduct_txn::{self as txn, ClientId, ConnId, Flow, Layer, ServerId, Timers};

use self::admitted::Admitted;
use self::lookup::Looking;
use self::own_byes::OwnBye;
use self::parked::Parked;
use self::register::PendingRegister;
use self::relay::{Forgotten, RelayUse};
use self::upkeep::Upkeep;
use crate::call::{CallView, LegId};
use crate::calls::{CallKey, Calls};
use crate::context::{Context, ContextId};
use crate::date::HttpDate;
use crate::gruu::Gruus;
use crate::media::Party;
use crate::token::Tokens;
use crate::{
    Authenticator, CallCounts, CallNumber, Config, Counters, Event, Guard, Location, NoDecision, Output,
    ProxyEnd, Reachable, Reasons, RelayFailure, SendId, Ticket, Trunks, Users, WallClock,
};

/// How the services of this process are reached: without leaving it. Nothing that comes from a socket has this transport.
pub const SERVICE_FLOW: Flow = Flow {
    transport: Transport::Local,
    local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    conn: None,
};

/// What all shards of one proxy share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where users are.
    pub location: Arc<Location>,
    /// Who users are.
    pub auth: Arc<Authenticator>,
    /// How much each source asks.
    pub guard: Arc<Guard>,
    /// How many calls there are.
    pub calls: Arc<CallCounts>,
    /// The secret of flow tokens; kept over a restart, calls over UDP survive it.
    pub token_secret: [u8; 32],
    /// What the Call-IDs of requests of our own to trunks begin with: random text that nobody else has. The shell brings
    /// messages with such Call-IDs to shard 0.
    pub own_call_ids: Arc<str>,
}

/// What makes one shard different from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counts from 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
    /// Seeds this shard's random numbers.
    pub seed: [u8; 32],
    /// The time of day.
    pub clock: WallClock,
}

/// One shard: transactions, calls and everything in between. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Proxy {
    config: Arc<Config>,
    users: Arc<Users>,
    location: Arc<Location>,
    auth: Arc<Authenticator>,
    guard: Arc<Guard>,
    call_counts: Arc<CallCounts>,
    tag_key: u64,
    /// What our marks against loops are told from those of others by.
    loop_key: u64,
    tokens: Tokens,
    gruus: Gruus,
    shard: Shard,
    rng: StdRng,
    layer: Layer,
    contexts: SlotMap<ContextId, Box<Context>>,
    by_server: SecondaryMap<ServerId, ContextId>,
    by_client: SecondaryMap<ClientId, (ContextId, usize)>,
    calls: Calls,
    relay_waits: HashMap<Ticket, RelayUse>,
    forgotten: HashMap<(CallKey, LegId), Forgotten>,
    store_waits: HashMap<Ticket, PendingRegister>,
    lookup_waits: Parked<Looking>,
    decision_waits: Parked<Box<Admitted>>,
    resolve_waits: HashMap<Ticket, (ContextId, usize)>,
    tickets: u64,
    alarms: Timers<Alarm>,
    date: HttpDate,
    outputs: VecDeque<Output>,
    counters: Counters,
    /// Calls that exist are finished, and others refused.
    is_draining: bool,
    /// An [`Alarm::Ping`] is set.
    is_pinging: bool,
    /// There may be bindings of users who were in another configuration, or in that of an earlier run.
    are_users_other: bool,
    refused_for: Reasons,
    unread_for: Reasons,
    /// What peers with certificates have proven to be.
    proven: HashMap<ConnId, Arc<[String]>>,
    /// What the trunks need.
    upkeep: Upkeep,
    /// BYEs of our own that a trunk may want to be proven.
    own_byes: HashMap<ClientId, OwnBye>,
    own_call_ids: Arc<str>,
}

/// What a timer of this crate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// Timer C of a branch, set when its `ring`th provisional answer came.
    Ringing {
        context: ContextId,
        branch: usize,
        ring: u32,
    },
    /// A group of targets, the `group`th, has rung as long as it may while others wait.
    NextGroup { context: ContextId, group: u32 },
    /// Was the session refreshed after its `refresh`th refresh?
    Session { call: CallKey, refresh: u32 },
    /// Empty lines are due to the phones in a part of the location table.
    Ping { part: usize },
    /// The longest time of a call is over.
    CallMax(CallKey),
    /// Has the side whose connection went away left?
    LostFlow { call: CallKey, party: Party },
}

impl Proxy {
    /// A shard without calls.
    pub fn new(config: Arc<Config>, users: Arc<Users>, shared: &Shared, shard: Shard) -> Self {
        // Tags of answers without a transaction are told from others by nobody, so any part of a secret will do.
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = shared.token_secret;
        let tag_key = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let loop_key = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
        let layer = Layer::new(txn::Config {
            timing: config.times.timing.clone(),
            limits: layer_limits(&config),
            tag_key,
            ..txn::Config::default()
        });
        let mut proxy = Self {
            config,
            users,
            location: shared.location.clone(),
            auth: shared.auth.clone(),
            guard: shared.guard.clone(),
            call_counts: shared.calls.clone(),
            tag_key,
            loop_key,
            tokens: Tokens::new(&shared.token_secret),
            gruus: Gruus::new(&shared.token_secret),
            rng: StdRng::from_seed(shard.seed),
            shard,
            layer,
            contexts: SlotMap::with_key(),
            by_server: SecondaryMap::new(),
            by_client: SecondaryMap::new(),
            calls: Calls::default(),
            relay_waits: HashMap::new(),
            forgotten: HashMap::new(),
            store_waits: HashMap::new(),
            lookup_waits: Parked::default(),
            decision_waits: Parked::default(),
            resolve_waits: HashMap::new(),
            tickets: 0,
            alarms: Timers::default(),
            date: HttpDate::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            is_draining: false,
            is_pinging: false,
            are_users_other: true,
            refused_for: Reasons::default(),
            unread_for: Reasons::default(),
            proven: HashMap::new(),
            upkeep: Upkeep::default(),
            own_byes: HashMap::new(),
            own_call_ids: Arc::clone(&shared.own_call_ids),
        };
        proxy.make_room();
        proxy
    }

    /// Nothing waits for a table that grows, see [`txn::room_for`].
    fn make_room(&mut self) {
        let limit = self.config.limits.server_transactions_max;
        txn::make_room(&mut self.contexts, limit);
        let room = txn::room_for(limit);
        self.by_server.set_capacity(room);
        self.by_client.set_capacity(room);
        self.calls.make_room(self.config.limits.calls_max);
    }

    /// A message came over a flow.
    pub fn handle_message(&mut self, now: Instant, flow: Flow, message: &Message) {
        self.handle_message_after(now, flow, message, Duration::ZERO);
    }

    /// A message came over a flow, and has waited so long to be handled. What would begin something is refused when that is
    /// more than [`Times::queue_max`](crate::Times::queue_max).
    pub fn handle_message_after(&mut self, now: Instant, flow: Flow, message: &Message, waited: Duration) {
        self.counters.messages += 1;
        if message.is_request() {
            self.request_received(now, flow, message, waited);
        } else {
            self.response_received(now, message);
        }
        self.drain_layer(now);
    }

    /// Octets came that are no message. A request that can be recognised is answered.
    pub fn handle_bad_message(&mut self, now: Instant, flow: Flow, error: &ParseError) {
        self.counters.bad_messages += 1;
        self.unread_for.count(error.kind.label());
        self.outputs.push_back(Output::Event(Event::BadMessage {
            flow,
            fault: error.kind,
        }));
        if let Some(answer) = error.answer() {
            self.answer_without_state(flow, answer);
        }
        self.drain_layer(now);
    }

    /// The peer of a connection has proven to have these names: those in its certificate (RFC 5922 section 7.1), in lower
    /// case. Tell it before the first message of the connection; it holds until the connection is gone.
    pub fn handle_peer_proven(&mut self, conn: ConnId, names: Arc<[String]>) {
        self.proven.insert(conn, names);
    }

    /// The names that the peer of a flow has proven to have. None without a certificate.
    pub fn proven_names(&self, flow: &Flow) -> &[String] {
        flow.conn
            .and_then(|conn| self.proven.get(&conn))
            .map_or(&[], |names| names)
    }

    /// A connection is gone, with everything that was reached over it.
    pub fn handle_connection_closed(&mut self, now: Instant, conn: ConnId) {
        self.proven.remove(&conn);
        self.connection_closed(now, conn);
        self.drain_layer(now);
    }

    /// A message with this id could not be sent.
    pub fn handle_send_failed(&mut self, now: Instant, id: SendId) {
        self.counters.sends_failed += 1;
        self.send_failed(now, id.0);
        self.drain_layer(now);
    }

    /// The relay answered, or did not.
    pub fn handle_relay(&mut self, now: Instant, ticket: Ticket, reply: Result<ng::Reply, RelayFailure>) {
        self.relay_answered(now, ticket, reply);
        self.drain_layer(now);
    }

    /// The changes of a ticket are durable, or could not be written.
    pub fn handle_stored(&mut self, now: Instant, ticket: Ticket, stored: bool) {
        self.register_stored(now, ticket, stored);
        self.drain_layer(now);
    }

    /// The network gave back the beginning of a datagram that it could not deliver.
    pub fn handle_undelivered(&mut self, now: Instant, quoted: &[u8]) {
        self.undelivered(now, quoted);
        self.drain_layer(now);
    }

    /// The next hop of a ticket has these addresses, in the order to try them, or none.
    pub fn handle_resolved(&mut self, now: Instant, ticket: Ticket, found: Result<Vec<Reachable>, Failure>) {
        if !self.trunk_resolved(now, ticket, &found) {
            self.next_hop_resolved(now, ticket, found);
        }
        self.drain_layer(now);
    }

    /// The source was asked for the names of a ticket: what it said is in the [`Directory`](crate::Directory). A name
    /// that is not there could not be asked for.
    pub fn handle_looked_up(&mut self, now: Instant, ticket: Ticket) {
        self.users_looked_up(now, ticket);
        self.drain_layer(now);
    }

    /// Somebody else's program has decided about the request of a ticket, or has not, or not in time.
    pub fn handle_decided(
        &mut self,
        now: Instant,
        ticket: Ticket,
        decision: Result<HookDecision, NoDecision>,
    ) {
        self.decided(now, ticket, decision);
        self.drain_layer(now);
    }

    /// The relay says that no media has come from either side of a call for its time limit.
    pub fn handle_media_timeout(&mut self, now: Instant, call_id: &[u8]) {
        for call in self.calls.with_call_id(call_id) {
            self.end_call(now, call, ProxyEnd::MediaTimeout);
        }
        self.drain_layer(now);
    }

    /// A timer may have fired.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        self.drain_layer(now);
        if self.upkeep.poll_timeout().is_some_and(|due| due <= now) {
            self.upkeep_due(now);
            self.drain_layer(now);
        }
        while let Some(alarm) = self.alarms.pop(now) {
            match alarm {
                Alarm::Ringing {
                    context,
                    branch,
                    ring,
                } => self.rang_too_long(now, context, branch, ring),
                Alarm::NextGroup { context, group } => self.group_rang_too_long(now, context, group),
                Alarm::Session { call, refresh } => self.watch_session(now, call, refresh),
                Alarm::Ping { part } => self.ping_part(now, part),
                Alarm::CallMax(call) => self.end_call(now, call, ProxyEnd::TooLong),
                Alarm::LostFlow { call, party } => self.check_lost_flow(now, call, party),
            }
            self.drain_layer(now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.layer.poll_timeout(),
            self.alarms.next(),
            self.upkeep.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What to do next. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Ends a call: BYE to both sides. False when there is no such call.
    pub fn hang_up(&mut self, now: Instant, call: CallNumber) -> bool {
        let Some(key) = self.calls.with_number(call) else {
            return false;
        };
        self.end_call(now, key, ProxyEnd::Operator);
        self.drain_layer(now);
        true
    }

    /// From here on, or until it is told otherwise, calls that exist go on and others are refused (503, Retry-After). An
    /// INVITE that replaces a call (RFC 3891) is part of one that exists.
    /// A bare OPTIONS gets the same answer, so that whoever probes goes elsewhere. Everything else is served as before.
    pub fn set_draining(&mut self, is_draining: bool) {
        self.is_draining = is_draining;
    }

    /// Registers with the trunks of the configuration and asks whether they are there, from here on. One shard does, the
    /// first; it is told so at the start and after every [`reconfigure`](Self::reconfigure).
    pub fn look_after_trunks(&mut self, now: Instant) {
        self.renew_upkeep(now);
    }

    /// Ends the registrations with trunks (RFC 3261 section 10.2.2), for a stop in order. The shard that
    /// [looks after them](Self::look_after_trunks) does.
    pub fn leave_trunks(&mut self, now: Instant) {
        self.end_upkeep(now);
        self.drain_layer(now);
    }

    /// True while trunks that were [left](Self::leave_trunks) have time to say that they keep no registration any more.
    pub fn is_leaving_trunks(&self) -> bool {
        self.is_upkeep_ending()
    }

    /// Keeps the ways to phones behind NATs open from here on, see
    /// [`RegistrarTimes::udp_ping`](crate::RegistrarTimes::udp_ping). One shard does, the first; it is told so at the start
    /// and after every [`reconfigure`](Self::reconfigure).
    pub fn look_after_flows(&mut self, now: Instant) {
        self.begin_pings(now);
    }

    /// Works with another configuration and other users from here on. Calls and transactions go on as they began. Devices
    /// of users who are gone are signed off with the next [`expire_bindings`](Self::expire_bindings).
    pub fn reconfigure(&mut self, config: Arc<Config>, users: Arc<Users>) {
        self.layer
            .reconfigure(config.times.timing.clone(), layer_limits(&config));
        self.config = config;
        self.users = users;
        self.make_room();
        self.are_users_other = true;
    }

    /// The trunks, with what all shards know of them.
    pub fn trunks(&self) -> &Trunks {
        &self.config.trunks
    }

    /// The calls of this shard.
    pub fn calls(&self, now: Instant) -> Vec<CallView> {
        self.calls.iter().map(|(_, call)| call.view(now)).collect()
    }

    /// What exists in this shard right now.
    pub fn gauges(&self) -> Gauges {
        let (servers, clients) = self.layer.len();
        Gauges {
            calls: self.calls.len(),
            calls_answered: self.calls.answered(),
            server_transactions: servers,
            client_transactions: clients,
            forwarded_requests: self.contexts.len(),
            relay_requests_waiting: self.relay_waits.len(),
            store_requests_waiting: self.store_waits.len(),
            names_waiting: self.resolve_waits.len(),
            lookups_waiting: self.lookup_waits.len(),
            decisions_waiting: self.decision_waits.len(),
        }
    }

    /// What this shard has counted.
    pub fn counters(&self) -> (Counters, txn::Counters) {
        (self.counters, self.layer.counters())
    }

    /// Why requests were refused, challenges included: labels of [`Refusal`](crate::Refusal).
    pub fn refused_for(&self) -> &Reasons {
        &self.refused_for
    }

    /// Why octets were no SIP message: labels of [`ParseErrorKind`](viaduct_sip::ParseErrorKind).
    pub fn unread_for(&self) -> &Reasons {
        &self.unread_for
    }

    /// Carries out what the transaction layer wants.
    fn drain_layer(&mut self, now: Instant) {
        while let Some(output) = self.layer.poll_output() {
            match output {
                txn::Output::Send { hop, octets, client } => {
                    self.outputs.push_back(Output::Send {
                        hop,
                        octets,
                        id: client.map(SendId),
                    });
                }
                txn::Output::Timeout { client } => self.client_timed_out(now, client),
                txn::Output::ServerEnded { server, .. } => self.server_ended(server),
                txn::Output::ClientEnded { client } => self.client_ended(client),
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Requests that wait for somebody else have a bound.
    fn is_waiting_room_full(&self) -> bool {
        let waiting = self.relay_waits.len()
            + self.store_waits.len()
            + self.resolve_waits.len()
            + self.lookup_waits.len()
            + self.decision_waits.len();
        waiting >= self.config.limits.requests_waiting_max
    }

    /// Sixteen random octets as text that fits tags and branches.
    fn random_token(&mut self) -> String {
        viaduct_sip::token::random_token::<12>(|octets| self.rng.fill_bytes(octets))
    }
}

/// Bounds of a shard's transactions.
fn layer_limits(config: &Config) -> txn::Limits {
    let most = config.limits.server_transactions_max;
    txn::Limits {
        server_transactions_max: most,
        // Every request may fork.
        client_transactions_max: most.saturating_mul(config.limits.branches_max),
        ..txn::Limits::default()
    }
}

/// What exists in a shard at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Gauges {
    /// Calls, ringing and answered.
    pub calls: usize,
    /// Calls that were answered.
    pub calls_answered: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Requests on their way, with their branches.
    pub forwarded_requests: usize,
    /// Requests to the relay without a reply yet.
    pub relay_requests_waiting: usize,
    /// Registrations not yet durable.
    pub store_requests_waiting: usize,
    /// Requests whose next hop is being looked up.
    pub names_waiting: usize,
    /// Requests that wait for the source of users.
    pub lookups_waiting: usize,
    /// Requests that wait for the decision of a hook.
    pub decisions_waiting: usize,
}

impl std::ops::Add for Gauges {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            calls_answered: self.calls_answered + other.calls_answered,
            server_transactions: self.server_transactions + other.server_transactions,
            client_transactions: self.client_transactions + other.client_transactions,
            forwarded_requests: self.forwarded_requests + other.forwarded_requests,
            relay_requests_waiting: self.relay_requests_waiting + other.relay_requests_waiting,
            store_requests_waiting: self.store_requests_waiting + other.store_requests_waiting,
            names_waiting: self.names_waiting + other.names_waiting,
            lookups_waiting: self.lookups_waiting + other.lookups_waiting,
            decisions_waiting: self.decisions_waiting + other.decisions_waiting,
        }
    }
}
