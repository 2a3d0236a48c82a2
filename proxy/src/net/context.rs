//! What every connection's task needs.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use viaduct_routing::{Location, SourceNetwork};
use viaduct_sip::{Limits, Message, ParseError, Transport};
use viaduct_txn::{ConnId, Flow};

use super::aliases::Aliases;
use super::conns::{Conns, Permit};
use super::proxies::{self, Proxies};
use super::turns::{Full, Places, Turn, Turns};
use crate::shard::{ShardHandle, ShardInput, Shards};
use crate::tls::Failure;

/// How long connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnTimes {
    /// TLS and WebSocket handshakes (`limits.handshake`).
    pub(crate) handshake: Duration,
    /// One message from its first octet to its last (`limits.message_time`).
    pub(crate) message: Duration,
    /// From the beginning of a TCP or TLS connection to its first whole message (`limits.first_message`).
    pub(crate) first_message: Duration,
    /// A peer that must read (`limits.write_time`).
    pub(crate) write: Duration,
    /// A TCP or TLS connection without traffic (`limits.connection_idle`).
    pub(crate) idle: Duration,
    /// Between pings of a WebSocket (`limits.websocket_ping`).
    pub(crate) ping: Duration,
}

/// What a connection is given when it begins, and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// What its messages may be.
    pub(crate) limits: Limits,
    /// How long it may take.
    pub(crate) times: ConnTimes,
    /// Messages of it that wait for shards at a time (`limits.connection_in_flight`).
    pub(crate) in_flight: usize,
    /// How long it may take to open, when the gateway opens it (`limits.connect`).
    pub(crate) connect: Duration,
    /// Connections that the gateway may have opened at a time (`limits.outgoing_connections`).
    pub(crate) outgoing_max: usize,
}

/// Shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct NetContext {
    pub(crate) shards: Shards,
    pub(crate) conns: Arc<Conns>,
    /// Which of them requests to their peers go over too.
    pub(crate) aliases: Arc<Aliases>,
    /// Who is registered over which connection.
    pub(crate) location: Arc<Location>,
    /// For the messages of all connections.
    pub(crate) places: Places,
    /// For connections that begin.
    pub(crate) tuning: Arc<RwLock<Tuning>>,
    /// Whose word is taken for whose connections they pass on.
    pub(crate) proxies: Arc<RwLock<Arc<Proxies>>>,
    /// True when the process is about to end.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Where one connection's messages go.
#[derive(Debug)]
pub(crate) struct Inlet {
    context: NetContext,
    flow: Flow,
    conn: ConnId,
    /// What the peer has proven to be.
    names: Arc<[String]>,
    source: SourceNetwork,
    /// The connection's place among all, unless the gateway has opened it.
    place: Option<Arc<Permit>>,
    turns: Turns,
}

impl NetContext {
    /// The way into the shards for a connection.
    pub(crate) fn inlet(
        &self,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        conn: ConnId,
        place: Option<Permit>,
    ) -> Inlet {
        // A socket that takes IPv4 over IPv6 shows mapped addresses; nothing else should see them.
        let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let flow = Flow {
            transport,
            local: canonical(local),
            remote: canonical(remote),
            conn: Some(conn),
        };
        Inlet {
            context: self.clone(),
            flow,
            conn,
            names: Arc::default(),
            source: SourceNetwork::of(flow.remote.ip()),
            place: place.map(Arc::new),
            turns: self.places.turns(self.tuning().in_flight),
        }
    }

    /// What a connection that begins is given.
    pub(crate) fn tuning(&self) -> Tuning {
        *self.tuning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives connections that begin from here on something else.
    pub(crate) fn tune(&self, tuning: Tuning) {
        *self.tuning.write().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    pub(crate) fn proxies(&self) -> Arc<Proxies> {
        Arc::clone(&self.proxies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another set of proxies at their word from here on.
    pub(crate) fn trust(&self, proxies: Proxies) {
        *self.proxies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(proxies);
    }

    /// Makes room for a connection. One that a proxy passes on counts for its source as soon as that is known.
    pub(crate) fn admit(&self, remote: SocketAddr) -> Option<Permit> {
        let ip = remote.ip().to_canonical();
        if self.proxies().trusts(ip) {
            self.conns.admit_unknown()
        } else {
            self.conns.admit(ip)
        }
    }

    /// Whose connection it is. Where a proxy says so at its beginning, that is read. `None` when there is no such
    /// beginning, or the source has too many already.
    pub(crate) async fn source(
        &self,
        stream: &mut TcpStream,
        remote: SocketAddr,
        permit: &mut Permit,
    ) -> Option<SocketAddr> {
        if !self.proxies().begins(remote.ip().to_canonical()) {
            return Some(remote);
        }
        let counters = &self.conns.counters;
        match timeout(self.tuning().times.handshake, proxies::read_header(stream)).await {
            Ok(Ok(None)) => Some(remote),
            Ok(Ok(Some(source))) => permit.belongs_to(source.ip()).then_some(source),
            Ok(Err(error)) => {
                counters.proxy_headers_bad.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("no header of the PROXY protocol from {remote}: {error}");
                None
            }
            Err(_) => {
                counters.idle_peers.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// A TLS handshake has failed: counted by its reason, and said in words.
    pub(crate) fn tls_failed(&self, remote: SocketAddr, error: &std::io::Error) {
        let (failure, words) = Failure::of(error);
        if self.conns.counters.tls_failures.count(failure, Instant::now()) {
            tracing::info!("no TLS connection with {remote}: {words}");
        } else {
            tracing::debug!("no TLS connection with {remote}: {words}");
        }
    }

    /// Resolves when the process is about to end.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that whoever could say so is gone: the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

impl Inlet {
    /// The peer has proven to have these names. Every shard is told before the first message.
    pub(crate) fn proven(&mut self, names: Vec<String>) {
        self.names = names.into();
        for shard in self.context.shards.iter() {
            let input = ShardInput::Proven {
                conn: self.conn,
                names: Arc::clone(&self.names),
            };
            self.push(shard, input);
        }
    }

    /// The right to hand over one more message. `None`, and counted, when as many wait as may: then the next must not be
    /// read before one of them is handled, so that TCP slows the peer down.
    pub(crate) fn turn(&self) -> Option<Turn> {
        let counters = &self.context.conns.counters;
        let counter = match self.turns.try_next() {
            Ok(turn) => return Some(turn),
            Err(Full::Own) => &counters.held_back,
            Err(Full::All) => &counters.crowded_out,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The same, as soon as it is there. May be asked for and dropped any number of times.
    pub(crate) async fn next_turn(&self) -> Turn {
        self.turns.next().await
    }

    /// Hands a message to its shard.
    pub(crate) fn message(&self, message: Message, turn: Turn) {
        if !self.names.is_empty() {
            self.context.aliases.notice(&self.flow, &self.names, &message);
        }
        let shard = self.context.shards.of_message(&message);
        let input = ShardInput::Message {
            flow: self.flow,
            message,
            turn: Some(turn),
            since: Instant::now(),
        };
        self.push(shard, input);
    }

    /// True when somebody is registered over this connection.
    pub(crate) fn is_registered(&self) -> bool {
        self.context.location.is_reached_over(self.conn, Instant::now())
    }

    /// Octets that are no message: a shard answers them if they can be answered.
    pub(crate) fn bad_message(&self, error: ParseError, turn: Turn) {
        let input = ShardInput::BadMessage {
            flow: self.flow,
            error: Box::new(error),
            turn: Some(turn),
        };
        self.push(self.context.shards.any(self.conn.get()), input);
    }

    /// The connection is gone: every shard may have calls over it, and learns it after the last message.
    pub(crate) fn closed(&self) {
        self.context.aliases.forget(self.conn);
        for shard in self.context.shards.iter() {
            let input = ShardInput::Closed {
                conn: self.conn,
                place: self.place.clone(),
            };
            self.push(shard, input);
        }
    }

    fn push(&self, shard: &ShardHandle, input: ShardInput) {
        shard.push_in_turn(self.source, self.conn, input);
    }
}
