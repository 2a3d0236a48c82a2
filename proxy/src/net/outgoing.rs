//! Connections that the gateway opens: one for each peer, kept for what comes later, and opened again when it is gone
//! (RFC 3261 section 18.1.1).
//!
//! A peer is an address, a transport, the address that we are reached at and, for TLS, the name that its certificate must
//! carry (RFC 5922). What comes in over such a connection is handled like anything that comes over an accepted one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use viaduct_routing::SendId;
use viaduct_sip::Transport;
use viaduct_txn::{Flow, Hop};

use super::conns::Outgoing as Queue;
use super::context::NetContext;
use super::stream::{self, Opener};
use crate::shard::ShardInput;

/// What was counted about connections that the gateway opens.
#[derive(Debug, Default)]
pub(crate) struct OutgoingCounters {
    /// Connections opened.
    pub(crate) opened: AtomicU64,
    /// Connections that could not be opened, for TLS because of the certificate too.
    pub(crate) failed: AtomicU64,
    /// Messages not sent because of `limits.outgoing_connections`.
    pub(crate) over_limit: AtomicU64,
    /// Messages sent over connections that their peers have opened (RFC 5923).
    pub(crate) reused: AtomicU64,
    /// Answers sent over a connection of ours because that of the request was gone.
    pub(crate) answers: AtomicU64,
}

/// Whom a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// TCP or TLS.
    pub(crate) transport: Transport,
    /// The listener whose address the connection leaves from.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The name to verify.
    pub(crate) name: Option<Arc<str>>,
}

impl Peer {
    /// Whom a hop leads to, when a connection may be opened for it.
    pub(crate) fn of(hop: &Hop) -> Option<Self> {
        match hop {
            Hop::Flow(_) => None,
            Hop::Connect {
                transport,
                local,
                remote,
                name,
            } => Some(Self {
                transport: *transport,
                local: *local,
                remote: *remote,
                name: name.clone(),
            }),
        }
    }
}

/// Who wants to know when a message cannot be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) shard: usize,
    pub(crate) id: SendId,
}

/// All connections that the gateway has opened.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

struct Inner {
    peers: DashMap<Peer, Link>,
    net: NetContext,
    tls: TlsConnector,
    runtime: Handle,
    counters: OutgoingCounters,
}

/// A connection to a peer, open or about to be.
struct Link {
    flow: Flow,
    /// Whose messages wait for it to open; `None` when it is open.
    opening: Option<Vec<Waiter>>,
}

impl Connector {
    /// Must be called inside a Tokio runtime, whose connections these will be.
    pub(crate) fn new(net: NetContext, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            inner: Arc::new(Inner {
                peers: DashMap::new(),
                net,
                tls: TlsConnector::from(tls),
                runtime: Handle::current(),
                counters: OutgoingCounters::default(),
            }),
        }
    }

    /// Sends a message to a peer over the connection that there is, its own or ours, or over one that is opened for it. False when it
    /// cannot be sent; what is found out later is told to the waiter.
    pub(crate) fn send(&self, peer: &Peer, octets: Bytes, waiter: Option<Waiter>) -> bool {
        let inner = &self.inner;
        if let Some(flow) = inner.net.aliases.of(peer)
            && inner.net.conns.send(&flow, octets.clone())
        {
            inner.counters.reused.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        if let Some(mut link) = inner.peers.get_mut(peer)
            && inner.net.conns.send(&link.flow, octets.clone())
        {
            if let Some(opening) = &mut link.opening {
                opening.extend(waiter);
            }
            return true;
        }
        // Looked at before the entry is held: counting takes every lock of the table in turn.
        if inner.peers.len() >= inner.net.tuning().outgoing_max {
            inner.counters.over_limit.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let (conn, queue) = inner.net.conns.open();
        let flow = Flow {
            transport: peer.transport,
            local: peer.local,
            remote: peer.remote,
            conn: Some(conn),
        };
        let link = Link {
            flow,
            opening: Some(waiter.into_iter().collect()),
        };
        match inner.peers.entry(peer.clone()) {
            // Another shard was faster.
            Entry::Occupied(mut entry) if inner.net.conns.send(&entry.get().flow, octets.clone()) => {
                if let Some(opening) = &mut entry.get_mut().opening {
                    opening.extend(waiter);
                }
                return true;
            }
            Entry::Occupied(mut entry) => {
                // The one before is gone; if it never opened, its task tells those who waited for it.
                let waited = entry.get_mut().opening.take();
                drop(entry.insert(link));
                self.tell_later(waited.unwrap_or_default());
            }
            Entry::Vacant(entry) => drop(entry.insert(link)),
        }
        let is_queued = inner.net.conns.send(&flow, octets);
        let (connector, peer) = (self.clone(), peer.clone());
        inner.runtime.spawn(connector.open(peer, flow, queue));
        is_queued
    }

    /// Sends an answer to a peer whose own connection is gone. False when it cannot be sent.
    pub(crate) fn answer(&self, peer: &Peer, octets: Bytes) -> bool {
        self.inner.counters.answers.fetch_add(1, Ordering::Relaxed);
        self.send(peer, octets, None)
    }

    /// How many connections there are, and what was counted.
    pub(crate) fn snapshot(&self) -> (usize, &OutgoingCounters) {
        (self.inner.peers.len(), &self.inner.counters)
    }

    /// Opens a connection and serves it until it ends.
    async fn open(self, peer: Peer, flow: Flow, queue: Queue) {
        let patience = self.inner.net.tuning().connect;
        let opened = match timeout(patience, self.connect(&peer)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match opened {
            Ok(stream) => {
                self.inner.counters.opened.fetch_add(1, Ordering::Relaxed);
                if let Some(mut link) = self.link(&peer, flow) {
                    link.opening = None;
                }
                let local = stream.local.unwrap_or(peer.local);
                let inlet = self
                    .inner
                    .net
                    .inlet(peer.transport, local, peer.remote, queue.conn(), None);
                let net = self.inner.net.clone();
                match stream.kind {
                    Kind::Tcp(stream) => stream::talk_over(net, stream, queue, &inlet, Opener::Gateway).await,
                    Kind::Tls(stream) => {
                        stream::talk_over(net, *stream, queue, &inlet, Opener::Gateway).await;
                    }
                }
                self.inner.peers.remove_if(&peer, |_, link| link.flow == flow);
            }
            Err(error) => {
                self.inner.counters.failed.fetch_add(1, Ordering::Relaxed);
                // From here on messages open another connection; those that waited for this one are lost.
                let link = self.inner.peers.remove_if(&peer, |_, link| link.flow == flow);
                drop(queue);
                let waiting = link.and_then(|(_, link)| link.opening).unwrap_or_default();
                let (words, why) = (Words(&peer), explain(&peer, &error));
                if waiting.is_empty() {
                    // Nothing but answers, to whoever chose to go away.
                    tracing::debug!("cannot connect to {words}: {why}");
                } else {
                    tracing::warn!("cannot connect to {words}: {why}");
                }
                self.tell(waiting).await;
            }
        }
    }

    fn link(&self, peer: &Peer, flow: Flow) -> Option<dashmap::mapref::one::RefMut<'_, Peer, Link>> {
        self.inner.peers.get_mut(peer).filter(|link| link.flow == flow)
    }

    async fn connect(&self, peer: &Peer) -> io::Result<Opened> {
        let socket = if peer.remote.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // From the address that the peer will be told, so that it sees one peer and not two.
        socket.bind(SocketAddr::new(peer.local.ip(), 0))?;
        let stream = socket.connect(peer.remote).await?;
        // Signalling is short and urgent. A kernel that cannot do this only makes it slower.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        let kind = match &peer.name {
            None => Kind::Tcp(stream),
            Some(name) => {
                let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
                Kind::Tls(Box::new(self.inner.tls.connect(name, stream).await?))
            }
        };
        Ok(Opened { local, kind })
    }

    async fn tell(&self, waiting: Vec<Waiter>) {
        for Waiter { shard, id } in waiting {
            self.inner
                .net
                .shards
                .at(shard)
                .push(ShardInput::SendFailed(id))
                .await;
        }
    }

    fn tell_later(&self, waiting: Vec<Waiter>) {
        if !waiting.is_empty() {
            let connector = self.clone();
            self.inner
                .runtime
                .spawn(async move { connector.tell(waiting).await });
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("peers", &self.inner.peers.len())
            .finish_non_exhaustive()
    }
}

/// A connection that was opened.
struct Opened {
    local: Option<SocketAddr>,
    kind: Kind,
}

enum Kind {
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A peer as people name it.
struct Words<'p>(&'p Peer);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Peer {
            transport,
            remote,
            name,
            ..
        } = self.0;
        match name {
            Some(name) => write!(f, "{name} at {remote} over {transport}"),
            None => write!(f, "{remote} over {transport}"),
        }
    }
}

/// Why a connection was not opened, with what can be done about it.
fn explain(peer: &Peer, error: &io::Error) -> String {
    use rustls::CertificateError;
    if error.kind() == io::ErrorKind::TimedOut {
        return "it does not answer within limits.connect".to_owned();
    }
    let inside = error
        .get_ref()
        .and_then(|inside| inside.downcast_ref::<rustls::Error>());
    let name = peer.name.as_deref().unwrap_or_default();
    match inside {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            format!("its certificate is for another name than {name} (RFC 5922)")
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate comes from an authority that tls.trust does not name".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its certificate has expired".to_owned(),
        _ => error.to_string(),
    }
}
