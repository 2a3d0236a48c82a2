//! Signalling threads: each owns one shard of the proxy, its UDP sockets and its services.
//!
//! A thread sleeps in `poll` until a datagram, a queued input or a timer is due. Then it works, in this order:
//!
//! 1. inputs from its queues, a bounded number of each,
//! 2. datagrams, a bounded number of each socket,
//! 3. timers;
//!
//! and after each of them carries out what the proxy wants.

mod in_turn;
mod pace;
mod queue;
mod relay;
mod services;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::oneshot;
use viaduct_ng as ng;
use viaduct_resolve::Failure;
use viaduct_routing::{
    CallNumber, CallView, Config, Counters, Event, Gauges, HookDecision, NoDecision, Output, Proxy,
    Reachable, Reasons, RelayFailure, SERVICE_FLOW, SendId, Ticket, Users,
};
use viaduct_sip::{KeepAlive, Limits, Message, ParseError, Transport};
use viaduct_txn::{ConnId, Flow, Hop, way_back};

use self::pace::Pace;
pub(crate) use self::queue::{Handle, Inputs, ShardHandle, Shards, WAKE, pair};
pub(crate) use self::relay::{RelayLink, RelayTarget};
pub(crate) use self::services::{ServiceInput, Services, ServicesConfig};
use crate::hook::Hooks;
use crate::journal::Journal;
use crate::net::conns::{Conns, Permit};
use crate::net::names::Names;
use crate::net::outgoing::{Connector, Peer, Waiter};
use crate::net::turns::Turn;
use crate::net::udp::{BATCH, Datagram, Inbox, SendRoom, UdpListener};
use crate::store::Store;
use crate::users::UserLookups;

/// Inputs handled before sockets get their turn.
const INPUTS_A_ROUND: usize = 256;

/// Messages of connections handled in a row: as many as datagrams of a socket, so that neither waits for a flood of the
/// other.
const MESSAGES_A_ROUND: usize = BATCH;

/// Datagrams that came to another thread's socket and are handled in a row: as many as come from our own at once. A flood
/// of them must not keep waiting what users of connections, the relay and the store have to say.
const DATAGRAMS_A_ROUND: usize = BATCH;

/// How late a timer of the proxy may fire, so that it does so when the thread is awake anyway. The shortest of them, T1,
/// is an estimate of half a second.
const TIMER_SLACK: Duration = Duration::from_millis(10);

/// How late other timers may fire: what is polled for early costs a round.
const SHORT_SLACK: Duration = Duration::from_micros(500);

/// How often ended registrations are cleared away.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// The token of the socket to a relay that is spoken to in NG.
const RELAY: Token = Token(usize::MAX - 1);

/// What a shard is told from outside its thread.
#[derive(Debug)]
pub(crate) enum ShardInput {
    /// A message came over a connection, in its turn, or over another thread's socket.
    Message {
        flow: Flow,
        message: Message,
        turn: Option<Turn>,
        /// Since when it waits.
        since: Instant,
    },
    /// Octets came that are no message.
    BadMessage {
        flow: Flow,
        error: Box<ParseError>,
        turn: Option<Turn>,
    },
    /// The peer of a connection has proven to have these names, with a certificate.
    Proven { conn: ConnId, names: Arc<[String]> },
    /// A connection is gone. It has its place until every shard knows.
    Closed {
        conn: ConnId,
        place: Option<Arc<Permit>>,
    },
    /// The relay in this process answered.
    Relay {
        ticket: Ticket,
        reply: Result<ng::Reply, RelayFailure>,
    },
    /// A message could not be sent after all.
    SendFailed(SendId),
    /// A datagram that begins like this could not be delivered.
    Undelivered(Bytes),
    /// The addresses of a next hop, or why there are none.
    Resolved {
        ticket: Ticket,
        found: Result<Vec<Reachable>, Failure>,
    },
    /// Changes are durable, or could not be written.
    Stored { ticket: Ticket, stored: bool },
    /// The source of users was asked.
    LookedUp { ticket: Ticket },
    /// The hook has decided about the request of a ticket, or has not.
    Decided {
        ticket: Ticket,
        decision: Result<HookDecision, NoDecision>,
    },
    /// The relay says that a call has no media.
    MediaTimeout { call_id: Bytes },
    /// Something about the media of a service.
    Service(ServiceInput),
    /// Somebody wants to know or do something.
    Command(Command),
}

/// What people ask of a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// What exists and what was counted.
    Snapshot(oneshot::Sender<ShardSnapshot>),
    /// The calls.
    Calls(oneshot::Sender<Vec<CallView>>),
    /// End a call. Answers whether there was one.
    HangUp(CallNumber, oneshot::Sender<bool>),
    /// End the registrations with trunks. Answers when nothing is waited for any more.
    LeaveTrunks(oneshot::Sender<()>),
    /// Refuse further calls, or take them again.
    Drain(bool),
    /// Work with other settings.
    Reconfigure(Arc<ShardSettings>),
    /// End the thread.
    Stop,
}

/// Settings that a running shard takes over.
#[derive(Debug)]
pub(crate) struct ShardSettings {
    pub(crate) config: Arc<Config>,
    pub(crate) users: Arc<Users>,
    pub(crate) limits: Limits,
    pub(crate) services: ServicesConfig,
}

/// What exists in a shard, and what it has counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardSnapshot {
    pub(crate) gauges: Gauges,
    pub(crate) counters: Counters,
    pub(crate) refused_for: Reasons,
    pub(crate) unread_for: Reasons,
    pub(crate) transactions: viaduct_txn::Counters,
    /// Calls that the services of this process have.
    pub(crate) services: viaduct_service::Gauges,
    pub(crate) service_counters: viaduct_service::Counters,
    /// Datagrams and inputs of other threads dropped because a queue was full.
    pub(crate) dropped: u64,
}

/// What a shard's thread is made from.
pub(crate) struct ShardParts {
    pub(crate) proxy: Proxy,
    pub(crate) listeners: Vec<UdpListener>,
    pub(crate) inputs: Inputs<ShardInput>,
    pub(crate) poll: Poll,
    pub(crate) index: usize,
    pub(crate) shards: Shards,
    pub(crate) conns: Arc<Conns>,
    pub(crate) connector: Connector,
    pub(crate) names: Names,
    /// `None` when registrations are kept in memory only.
    pub(crate) store: Option<Store>,
    pub(crate) lookups: UserLookups,
    pub(crate) hooks: Hooks,
    pub(crate) relay: RelayTarget,
    pub(crate) services: Services,
    pub(crate) journal: Journal,
    pub(crate) limits: Limits,
}

/// A shard's thread.
pub(crate) struct ShardThread {
    proxy: Proxy,
    listeners: Vec<UdpListener>,
    inputs: Inputs<ShardInput>,
    poll: Poll,
    index: usize,
    shards: Shards,
    conns: Arc<Conns>,
    connector: Connector,
    names: Names,
    store: Option<Store>,
    lookups: UserLookups,
    hooks: Hooks,
    relay: RelayLink,
    services: Services,
    journal: Journal,
    limits: Limits,
    /// Datagrams that leave when the round is over.
    outgoing: Vec<Datagram>,
    next_expiry: Instant,
    dropped: u64,
    /// Messages and other inputs handled since the last turn began.
    came: u32,
    /// Who waits until trunks have ended our registrations.
    leaving: Option<oneshot::Sender<()>>,
    stopping: bool,
}

impl ShardThread {
    /// Registers everything that can wake the thread.
    pub(crate) fn new(parts: ShardParts, now: Instant) -> io::Result<Self> {
        let ShardParts {
            proxy,
            mut listeners,
            inputs,
            poll,
            index,
            shards,
            conns,
            connector,
            names,
            store,
            lookups,
            hooks,
            relay,
            services,
            journal,
            limits,
        } = parts;
        for (number, listener) in listeners.iter_mut().enumerate() {
            poll.registry()
                .register(listener.source(), Token(number), Interest::READABLE)?;
        }
        let relay = RelayLink::new(relay, &poll, RELAY)?;
        Ok(Self {
            proxy,
            listeners,
            inputs,
            poll,
            index,
            shards,
            conns,
            connector,
            names,
            store,
            lookups,
            hooks,
            relay,
            services,
            journal,
            limits,
            outgoing: Vec::new(),
            next_expiry: now + EXPIRE_EVERY,
            dropped: 0,
            came: 0,
            leaving: None,
            stopping: false,
        })
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.proxy.look_after_trunks(Instant::now());
        self.proxy.look_after_flows(Instant::now());
        let mut events = Events::with_capacity(64);
        let mut ready = vec![true; self.listeners.len()];
        let mut inboxes: Vec<Inbox> = self.listeners.iter().map(|_| Inbox::new()).collect();
        let mut room = SendRoom::new();
        // Without it rests are longer than they should be, and nothing else is different.
        let _ = nix::sys::prctl::set_timerslack(pace::SLACK.as_nanos() as u64);
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        while !self.stopping {
            let timeout = self.time_to_sleep(now, &ready);
            if timeout != Some(Duration::ZERO) {
                let rest = pace.rest(now);
                if !rest.is_zero() {
                    std::thread::sleep(rest);
                }
            }
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => pace.woken(Instant::now(), std::mem::take(&mut self.came)),
                // Timers may be due all the same, however often that happens.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    RELAY => self.relay.readable(),
                    Token(number) => {
                        ready[number] = true;
                        if event.is_error() {
                            self.take_undelivered(number);
                        }
                    }
                }
            }
            self.take_inputs();
            self.flush(&mut room);
            for (number, (ready, inbox)) in ready.iter_mut().zip(&mut inboxes).enumerate() {
                if *ready {
                    *ready = self.take_datagrams(number, inbox);
                    self.flush(&mut room);
                }
            }
            now = Instant::now();
            self.take_relay_replies(now);
            self.fire_timers(now);
            self.flush(&mut room);
            self.tell_left();
        }
        Ok(())
    }

    /// No time at all while something is known to wait.
    fn time_to_sleep(&self, now: Instant, ready: &[bool]) -> Option<Duration> {
        if ready.contains(&true) || self.inputs.is_waiting() {
            return Some(Duration::ZERO);
        }
        let timers = [
            (self.proxy.poll_timeout(), TIMER_SLACK),
            (self.services.poll_timeout(), SHORT_SLACK),
            (self.relay.poll_timeout(), SHORT_SLACK),
        ];
        let due = timers.into_iter().filter_map(|(at, slack)| Some(at? + slack));
        let next = due.fold(self.next_expiry, Instant::min);
        Some(next.saturating_duration_since(now))
    }

    fn take_inputs(&mut self) {
        self.inputs.begin();
        for _ in 0..INPUTS_A_ROUND {
            let Some(input) = self.inputs.next() else { break };
            self.take(input);
        }
        for _ in 0..MESSAGES_A_ROUND {
            let Some(input) = self.inputs.next_in_turn() else {
                break;
            };
            self.take(input);
        }
        for _ in 0..DATAGRAMS_A_ROUND {
            let Some(input) = self.inputs.next_aside() else {
                return;
            };
            self.take(input);
        }
    }

    fn take(&mut self, input: ShardInput) {
        self.came += 1;
        self.handle(Instant::now(), input);
    }

    fn handle(&mut self, now: Instant, input: ShardInput) {
        match input {
            ShardInput::Message {
                flow,
                message,
                turn: _turn,
                since,
            } => {
                let waited = now.saturating_duration_since(since);
                self.proxy.handle_message_after(now, flow, &message, waited);
            }
            ShardInput::BadMessage {
                flow,
                error,
                turn: _turn,
            } => self.proxy.handle_bad_message(now, flow, &error),
            ShardInput::Proven { conn, names } => self.proxy.handle_peer_proven(conn, names),
            ShardInput::Closed { conn, place: _place } => self.proxy.handle_connection_closed(now, conn),
            ShardInput::Relay { ticket, reply } => self.proxy.handle_relay(now, ticket, reply),
            ShardInput::SendFailed(id) => self.proxy.handle_send_failed(now, id),
            ShardInput::Undelivered(quoted) => self.proxy.handle_undelivered(now, &quoted),
            ShardInput::Resolved { ticket, found } => self.proxy.handle_resolved(now, ticket, found),
            ShardInput::Stored { ticket, stored } => self.proxy.handle_stored(now, ticket, stored),
            ShardInput::LookedUp { ticket } => self.proxy.handle_looked_up(now, ticket),
            ShardInput::Decided { ticket, decision } => self.proxy.handle_decided(now, ticket, decision),
            ShardInput::MediaTimeout { call_id } => self.proxy.handle_media_timeout(now, &call_id),
            ShardInput::Service(input) => self.services.handle(now, input),
            ShardInput::Command(command) => self.command(now, command),
        }
        self.carry_out(now);
    }

    fn command(&mut self, now: Instant, command: Command) {
        // Whoever asked may have gone; then nobody misses the answer.
        match command {
            Command::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Command::Calls(answer) => drop(answer.send(self.proxy.calls(now))),
            Command::HangUp(call, answer) => drop(answer.send(self.proxy.hang_up(now, call))),
            Command::LeaveTrunks(answer) => {
                self.leaving = Some(answer);
                self.proxy.leave_trunks(now);
            }
            Command::Drain(is_draining) => self.proxy.set_draining(is_draining),
            Command::Reconfigure(settings) => self.reconfigure(now, &settings),
            Command::Stop => self.stopping = true,
        }
    }

    /// Answers whoever waits for trunks, when there is nothing to wait for.
    fn tell_left(&mut self) {
        if let Some(answer) = self.leaving.take_if(|_| !self.proxy.is_leaving_trunks()) {
            // Whoever asked may have had no more time.
            let _ = answer.send(());
        }
    }

    fn reconfigure(&mut self, now: Instant, settings: &ShardSettings) {
        let ShardSettings {
            config,
            users,
            limits,
            services,
        } = settings;
        self.proxy.reconfigure(config.clone(), users.clone());
        self.proxy.look_after_trunks(now);
        self.proxy.look_after_flows(now);
        self.limits = *limits;
        self.services.reconfigure(services);
    }

    fn snapshot(&self) -> ShardSnapshot {
        let (counters, transactions) = self.proxy.counters();
        ShardSnapshot {
            gauges: self.proxy.gauges(),
            counters,
            refused_for: self.proxy.refused_for().clone(),
            unread_for: self.proxy.unread_for().clone(),
            transactions,
            services: self.services.gauges(),
            service_counters: self.services.counters(),
            dropped: self.dropped,
        }
    }

    /// Hands what the network could not deliver to every shard: the kernel does not know which one sent it.
    fn take_undelivered(&mut self, number: usize) {
        for quoted in self.listeners[number].take_undelivered() {
            for (index, shard) in self.shards.iter().enumerate() {
                // In a flood of them, timers find out as well.
                if index != self.index && !shard.try_push_aside(ShardInput::Undelivered(quoted.clone())) {
                    self.dropped += 1;
                }
            }
            self.handle(Instant::now(), ShardInput::Undelivered(quoted));
        }
    }

    /// Takes the datagrams of one socket that wait, a bounded number. True when more may be waiting.
    fn take_datagrams(&mut self, number: usize, inbox: &mut Inbox) -> bool {
        let may_have_more = match self.listeners[number].receive(inbox) {
            Ok(may_have_more) => may_have_more,
            // An ICMP error of an earlier datagram, or nothing that waiting would mend. Neither concerns the next.
            Err(error) => {
                tracing::debug!("receiving SIP over UDP: {error}");
                return true;
            }
        };
        // What came together has one time.
        let now = Instant::now();
        for (origin, waited, octets) in inbox.datagrams() {
            let flow = Flow {
                transport: Transport::Udp,
                local: origin.local,
                remote: origin.remote,
                conn: None,
            };
            self.came += 1;
            self.datagram(now, flow, waited, octets);
        }
        may_have_more
    }

    fn datagram(&mut self, now: Instant, flow: Flow, waited: Duration, octets: &[u8]) {
        match KeepAlive::recognize(octets) {
            Some(KeepAlive::Ping) => {
                return self.send(&flow.into(), Bytes::from_static(KeepAlive::PONG), None);
            }
            Some(KeepAlive::Empty | KeepAlive::Pong | KeepAlive::Nul) => return,
            None => {}
        }
        let input = match Message::parse_datagram(Bytes::copy_from_slice(octets), &self.limits) {
            Ok(message) => {
                let since = now.checked_sub(waited).unwrap_or(now);
                let owner = self.shards.index_of(&message);
                if owner != self.index {
                    let input = ShardInput::Message {
                        flow,
                        message,
                        turn: None,
                        since,
                    };
                    if !self.shards.at(owner).try_push_aside(input) {
                        self.dropped += 1;
                    }
                    return;
                }
                ShardInput::Message {
                    flow,
                    message,
                    turn: None,
                    since,
                }
            }
            Err(error) => ShardInput::BadMessage {
                flow,
                error: Box::new(error),
                turn: None,
            },
        };
        self.handle(now, input);
    }

    fn take_relay_replies(&mut self, now: Instant) {
        self.relay.work(now);
        while let Some((ticket, reply)) = self.relay.poll_reply() {
            self.came += 1;
            self.proxy.handle_relay(now, ticket, reply);
            self.carry_out(now);
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        if self.proxy.poll_timeout().is_some_and(|at| at <= now) {
            self.proxy.handle_timeout(now);
        }
        if self.services.poll_timeout().is_some_and(|at| at <= now) {
            self.services.handle_timeout(now);
        }
        if self.next_expiry <= now {
            self.next_expiry = now + EXPIRE_EVERY;
            // The table is everybody's; one thread clears it.
            if self.index == 0 {
                self.proxy.expire_bindings(now);
            }
        }
        self.carry_out(now);
    }

    /// Carries out what the proxy and the services want, until neither wants anything.
    fn carry_out(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.proxy.poll_output() {
                self.output(now, output);
            }
            match self.services.poll_message() {
                Some(message) => self.proxy.handle_message(now, SERVICE_FLOW, &message),
                None => return,
            }
        }
    }

    fn output(&mut self, now: Instant, output: Output) {
        match output {
            Output::Send { hop, octets, id } => self.send(&hop, octets, id.map(|id| (now, id))),
            Output::Relay { ticket, request } => {
                let me = self.shards.at(self.index).clone();
                if let Some((ticket, failure)) = self.relay.ask(now, ticket, request, me) {
                    self.proxy.handle_relay(now, ticket, Err(failure));
                }
            }
            Output::Store { ticket, changes } => {
                let answered = match &self.store {
                    Some(store) => store.write(self.index, ticket, changes),
                    None => ticket.map(|ticket| (ticket, true)),
                };
                if let Some((ticket, stored)) = answered {
                    self.proxy.handle_stored(now, ticket, stored);
                }
            }
            Output::Resolve { ticket, next_hop } => {
                if let Some(found) = self.names.resolve(self.index, ticket, next_hop) {
                    self.proxy.handle_resolved(now, ticket, found);
                }
            }
            Output::Dead { transport, remote } => self.names.dead(transport, remote),
            Output::LookUp { ticket, names } => {
                if !self.lookups.ask(self.index, ticket, names) {
                    self.proxy.handle_looked_up(now, ticket);
                }
            }
            Output::Decide { ticket, query } => {
                if let Some(decision) = self.hooks.ask(self.index, ticket, *query) {
                    self.proxy.handle_decided(now, ticket, decision);
                }
            }
            Output::Event(event) => self.tell(event),
        }
    }

    fn send(&mut self, hop: &Hop, octets: Bytes, id: Option<(Instant, SendId)>) {
        let sent = match hop {
            Hop::Flow(flow) => match flow.transport {
                Transport::Udp => {
                    return self.outgoing.push(Datagram {
                        local: flow.local,
                        remote: flow.remote,
                        octets,
                        id: id.map(|(_, id)| id),
                    });
                }
                Transport::Local => {
                    self.services.handle_message(Instant::now(), octets);
                    true
                }
                Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                    self.conns.send(flow, octets.clone()) || self.answer_elsewhere(flow, octets)
                }
            },
            Hop::Connect { .. } => {
                let waiter = id.map(|(_, id)| Waiter {
                    shard: self.index,
                    id,
                });
                Peer::of(hop).is_some_and(|peer| self.connector.send(&peer, octets, waiter))
            }
        };
        if let (false, Some((now, id))) = (sent, id) {
            self.proxy.handle_send_failed(now, id);
        }
    }

    /// Answers somebody whose connection is gone over one that is opened for it (RFC 3261 section 18.2.2).
    fn answer_elsewhere(&self, flow: &Flow, octets: Bytes) -> bool {
        let peer = way_back(flow, &octets, &self.limits).and_then(|hop| Peer::of(&hop));
        peer.is_some_and(|peer| self.connector.answer(&peer, octets))
    }

    /// Sends the datagrams of a round, those that leave from one address together.
    fn flush(&mut self, room: &mut SendRoom) {
        // What could not be sent may make the proxy send something else.
        while !self.outgoing.is_empty() {
            let now = Instant::now();
            let outgoing = std::mem::take(&mut self.outgoing);
            for together in outgoing.chunk_by(|one, next| one.local == next.local) {
                self.send_together(now, room, together);
            }
            self.carry_out(now);
        }
    }

    fn send_together(&mut self, now: Instant, room: &mut SendRoom, mut datagrams: &[Datagram]) {
        while let Some(first) = datagrams.first() {
            let listener = self.listeners.iter().find(|one| one.serves(first.local));
            let sent = listener.map(|listener| listener.send_all(room, datagrams));
            let left = match sent {
                Some(Ok(sent)) => {
                    datagrams = &datagrams[sent.max(1)..];
                    continue;
                }
                // A full socket buffer loses a datagram as a full network does: the transaction sends it again.
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => true,
                Some(Err(error)) => {
                    tracing::debug!(remote = %first.remote, "sending SIP over UDP: {error}");
                    false
                }
                None => false,
            };
            if let (false, Some(id)) = (left, first.id) {
                self.proxy.handle_send_failed(now, id);
            }
            datagrams = &datagrams[1..];
        }
    }

    fn tell(&mut self, event: Event) {
        self.journal.tell(event);
    }
}
