//! What every connection's task needs.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use viaduct_routing::Location;
use viaduct_sip::{Limits, Message, ParseError, Transport};
use viaduct_txn::{ConnId, Flow};

use super::conns::Conns;
use crate::shard::{ShardInput, Shards};
use crate::tls::Failure;

/// How long connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnTimes {
    /// TLS and WebSocket handshakes, and one message from its first octet to its last (`limits.handshake`).
    pub(crate) handshake: Duration,
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
}

/// Shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct NetContext {
    pub(crate) shards: Shards,
    pub(crate) conns: Arc<Conns>,
    /// Who is registered over which connection.
    pub(crate) location: Arc<Location>,
    /// For connections that begin.
    pub(crate) tuning: Arc<RwLock<Tuning>>,
    /// True when the process is about to end.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Where one connection's messages go.
#[derive(Debug)]
pub(crate) struct Inlet {
    context: NetContext,
    flow: Flow,
    conn: ConnId,
}

impl NetContext {
    /// The way into the shards for a connection.
    pub(crate) fn inlet(
        &self,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        conn: ConnId,
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
    pub(crate) async fn proven(&self, names: Vec<String>) {
        let names: Arc<[String]> = names.into();
        for shard in self.context.shards.iter() {
            let input = ShardInput::Proven {
                conn: self.conn,
                names: Arc::clone(&names),
            };
            shard.push(input).await;
        }
    }

    /// Hands a message to its shard, waiting while the shard is busy: that is what slows a peer down.
    pub(crate) async fn message(&self, message: Message) {
        self.context
            .shards
            .of_message(&message)
            .push(ShardInput::Message {
                flow: self.flow,
                message,
            })
            .await;
    }

    /// True when somebody is registered over this connection.
    pub(crate) fn is_registered(&self) -> bool {
        self.context.location.is_reached_over(self.conn, Instant::now())
    }

    /// Octets that are no message: a shard answers them if they can be answered.
    pub(crate) async fn bad_message(&self, error: ParseError) {
        let shard = self.context.shards.any(self.conn.get());
        shard
            .push(ShardInput::BadMessage {
                flow: self.flow,
                error: Box::new(error),
            })
            .await;
    }

    /// The connection is gone: every shard may have calls over it.
    pub(crate) async fn closed(&self) {
        for shard in self.context.shards.iter() {
            shard.push(ShardInput::Closed(self.conn)).await;
        }
    }
}
