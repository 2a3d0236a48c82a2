//! Every stream connection there is: where its outgoing messages go, and how many there may be.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::mpsc;
use viaduct_txn::{ConnId, Flow};

use super::sources::{Refusal, SourceLimits, Sources};
use crate::tls::FailureCounts;

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnLimits {
    /// Connections at a time (`limits.connections`).
    pub(crate) connections: usize,
    /// Those of one source.
    pub(crate) source: SourceLimits,
    /// Messages that wait for one peer (`limits.connection_queue`).
    pub(crate) queue: usize,
}

/// What was counted about connections.
#[derive(Debug, Default)]
pub(crate) struct ConnCounters {
    /// Connections refused because of [`ConnLimits::connections`].
    pub(crate) over_limit: AtomicU64,
    /// Connections refused because of [`SourceLimits::connections`].
    pub(crate) over_source_limit: AtomicU64,
    /// Connections refused because of [`SourceLimits::opening`].
    pub(crate) over_rate: AtomicU64,
    /// Connections closed because their peer let [`ConnLimits::queue`] messages pile up, or did not read in time.
    pub(crate) slow_peers: AtomicU64,
    /// Messages that were read later because of `limits.connection_in_flight`.
    pub(crate) held_back: AtomicU64,
    /// Messages that were read later because of `limits.messages_in_flight`.
    pub(crate) crowded_out: AtomicU64,
    /// Connections closed because their first whole message did not come in time.
    pub(crate) half_open: AtomicU64,
    /// Connections closed because a message that had begun did not become whole in time.
    pub(crate) unfinished: AtomicU64,
    /// Connections closed because nothing came in time, or no handshake.
    pub(crate) idle_peers: AtomicU64,
    /// TLS handshakes that failed, by reason.
    pub(crate) tls_failures: FailureCounts,
    /// Connections of trusted proxies that did not begin as they had to.
    pub(crate) proxy_headers_bad: AtomicU64,
    /// WebSocket handshakes that were refused.
    pub(crate) websocket_refusals: AtomicU64,
}

/// All connections, open ones and those in their handshake.
#[derive(Debug)]
pub(crate) struct Conns {
    limits: RwLock<ConnLimits>,
    open: DashMap<ConnId, mpsc::Sender<Bytes>>,
    sources: Mutex<Sources>,
    total: AtomicUsize,
    next: AtomicU64,
    pub(crate) counters: Arc<ConnCounters>,
}

/// A connection's place among those that are allowed. Gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    conns: Arc<Conns>,
    /// Whose it is. `None` while only a proxy is known.
    ip: Option<IpAddr>,
}

/// An open connection's outgoing messages. It is known to others until this is dropped.
#[derive(Debug)]
pub(crate) struct Outgoing {
    conns: Arc<Conns>,
    conn: ConnId,
    queue: mpsc::Receiver<Bytes>,
}

impl Conns {
    pub(crate) fn new(limits: ConnLimits) -> Arc<Self> {
        Arc::new(Self::empty(limits, Arc::default()))
    }

    /// As many places again, in the same counters: for those who watch, so that they get in when nobody else does.
    pub(crate) fn apart(&self) -> Arc<Self> {
        Arc::new(Self::empty(self.limits(), Arc::clone(&self.counters)))
    }

    fn empty(limits: ConnLimits, counters: Arc<ConnCounters>) -> Self {
        Self {
            limits: RwLock::new(limits),
            open: DashMap::new(),
            sources: Mutex::new(Sources::new()),
            total: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            counters,
        }
    }

    /// Works with other limits from here on. Connections that exist stay.
    pub(crate) fn set_limits(&self, limits: ConnLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> ConnLimits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more connection of this source. `None`, and counted, when there is none.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        let mut permit = self.admit_unknown()?;
        permit.belongs_to(ip).then_some(permit)
    }

    /// The same for one that a proxy passes on: whose it is will be [told](Permit::belongs_to).
    pub(crate) fn admit_unknown(self: &Arc<Self>) -> Option<Permit> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.limits().connections {
            self.total.fetch_sub(1, Ordering::Relaxed);
            self.counters.over_limit.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        // From here on the permit gives back what was taken.
        Some(Permit {
            conns: Arc::clone(self),
            ip: None,
        })
    }

    /// Gives a connection its identity and its queue.
    pub(crate) fn open(self: &Arc<Self>) -> (ConnId, Outgoing) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::expect_used,
            reason = "counts up from 1; 2^64 connections take longer than the process lives"
        )]
        let conn = ConnId::new(number).expect("connection numbers begin at 1");
        let (sender, queue) = mpsc::channel(self.limits().queue);
        self.open.insert(conn, sender);
        (
            conn,
            Outgoing {
                conns: Arc::clone(self),
                conn,
                queue,
            },
        )
    }

    /// Queues a message for the peer of a flow. False when the connection is gone, or its peer does not read: then it
    /// is about to be closed.
    pub(crate) fn send(&self, flow: &Flow, octets: Bytes) -> bool {
        let Some(conn) = flow.conn else { return false };
        let Some(sender) = self.open.get(&conn).map(|entry| entry.value().clone()) else {
            return false;
        };
        match sender.try_send(octets) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.counters.slow_peers.fetch_add(1, Ordering::Relaxed);
                // Without a sender the connection's task sees the end of its queue and closes.
                self.open.remove(&conn);
                false
            }
        }
    }

    /// Connections that are open, and those that are allowed in all.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.open.len(), self.total.load(Ordering::Relaxed))
    }

    fn lock_sources(&self) -> MutexGuard<'_, Sources> {
        // Counting cannot leave the table half changed.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Counts it among the connections of this source. False, and counted, when there are too many, or they come too fast.
    pub(crate) fn belongs_to(&mut self, ip: IpAddr) -> bool {
        self.leave_source();
        let limits = self.conns.limits().source;
        let entered = self.conns.lock_sources().enter(Instant::now(), ip, &limits);
        let counters = &self.conns.counters;
        let counter = match entered {
            Ok(()) => {
                self.ip = Some(ip);
                return true;
            }
            Err(Refusal::TooMany) => &counters.over_source_limit,
            Err(Refusal::TooFast) => &counters.over_rate,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn leave_source(&mut self) {
        if let Some(ip) = self.ip.take() {
            self.conns.lock_sources().leave(Instant::now(), ip);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.conns.total.fetch_sub(1, Ordering::Relaxed);
        self.leave_source();
    }
}

impl Outgoing {
    /// The connection whose messages these are.
    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    /// The next message to send. `None` when the connection must close.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.queue.recv().await
    }

    /// A message that is already waiting.
    pub(crate) fn try_next(&mut self) -> Option<Bytes> {
        self.queue.try_recv().ok()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.conns.open.remove(&self.conn);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viaduct_routing::Rate;
    use viaduct_sip::Transport;

    use super::*;

    fn conns(connections: usize, per_source: usize, queue: usize) -> Arc<Conns> {
        Conns::new(ConnLimits {
            connections,
            source: SourceLimits {
                connections: per_source,
                // As good as at once, so that nothing is left of who has gone.
                opening: Rate {
                    count: 1_000_000,
                    per: Duration::from_nanos(1),
                },
                remembered: 100,
            },
            queue,
        })
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn places_are_given_back() {
        let conns = conns(3, 2, 8);
        let first = conns.admit(ip(1)).unwrap();
        let _second = conns.admit(ip(1)).unwrap();
        assert!(conns.admit(ip(1)).is_none(), "two of one source are enough");
        let _third = conns.admit(ip(2)).unwrap();
        assert!(conns.admit(ip(3)).is_none(), "three are enough");
        drop(first);
        assert!(conns.admit(ip(1)).is_some());
        let counters = &conns.counters;
        assert_eq!(counters.over_source_limit.load(Ordering::Relaxed), 1);
        assert_eq!(counters.over_limit.load(Ordering::Relaxed), 1);
        assert_eq!(conns.len(), (0, 2));
    }

    #[test]
    fn a_connection_counts_for_whom_a_proxy_names() {
        let conns = conns(9, 1, 8);
        let mut first = conns.admit_unknown().unwrap();
        let mut second = conns.admit_unknown().unwrap();
        assert!(first.belongs_to(ip(1)));
        assert!(!second.belongs_to(ip(1)));
        assert!(second.belongs_to(ip(2)));
        assert!(conns.admit(ip(2)).is_none());
        drop((first, second));
        assert!(conns.admit(ip(1)).is_some() && conns.lock_sources().len() == 0);
    }

    #[test]
    fn a_peer_that_does_not_read_loses_its_connection() {
        let conns = conns(9, 9, 2);
        let (conn, mut outgoing) = conns.open();
        let addr = "192.0.2.1:5060".parse().unwrap();
        let flow = Flow {
            transport: Transport::Tcp,
            local: addr,
            remote: addr,
            conn: Some(conn),
        };
        assert!(conns.send(&flow, Bytes::from_static(b"1")));
        assert!(conns.send(&flow, Bytes::from_static(b"2")));
        assert!(!conns.send(&flow, Bytes::from_static(b"3")));
        assert!(
            !conns.send(&flow, Bytes::from_static(b"4")),
            "it is not known any more"
        );
        assert_eq!(outgoing.try_next().as_deref(), Some(&b"1"[..]));
        assert_eq!(outgoing.try_next().as_deref(), Some(&b"2"[..]));
        assert_eq!(outgoing.try_next(), None);
        assert_eq!(conns.counters.slow_peers.load(Ordering::Relaxed), 1);
    }
}
