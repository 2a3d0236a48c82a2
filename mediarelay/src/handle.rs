//! A running relay, seen from the process that it runs in.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use viaduct_ng as ng;
use viaduct_session::Event;
use viaduct_settings::RelayScheme;

use crate::config::RelayConfig;
use crate::control::ControlStats;
use crate::interfaces::MediaInterface;
use crate::line::{Ask, Line, Unavailable};
use crate::start;
use crate::start_error::StartError;
use crate::threads::Threads;
use crate::watch::{NotReady, Snapshot, Watch};

/// A running relay. A handle: clones are the same relay.
///
/// When the last one is dropped the relay ends, without anybody waiting for it; [`shutdown`](Self::shutdown) waits.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    line: Line,
    watch: Watch,
    events: broadcast::WeakSender<Event>,
    /// Until the shutdown.
    threads: Mutex<Option<Threads>>,
    stop: watch::Sender<bool>,
    listeners: Vec<(RelayScheme, SocketAddr)>,
    interfaces: Vec<MediaInterface>,
    browser_ports: Vec<SocketAddr>,
    description: Vec<String>,
    remarks: Vec<String>,
}

/// What a handle is made of.
pub(crate) struct Parts {
    pub(crate) line: Line,
    pub(crate) watch: Watch,
    pub(crate) events: broadcast::WeakSender<Event>,
    pub(crate) threads: Threads,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) listeners: Vec<(RelayScheme, SocketAddr)>,
    pub(crate) interfaces: Vec<MediaInterface>,
    pub(crate) browser_ports: Vec<SocketAddr>,
    pub(crate) description: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

/// Threads that did not end in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("still running: {}", .threads.join(", "))]
pub struct StillRunning {
    /// Their names.
    pub threads: Vec<String>,
}

impl RelayHandle {
    /// Begins a relay. When this returns, its ports are bound, its listeners take commands, and the stock of media
    /// ports is full.
    ///
    /// Takes milliseconds.
    ///
    /// # Errors
    /// [`StartError`], in words for people. Nothing runs then.
    pub fn start(config: RelayConfig) -> Result<Self, StartError> {
        start::start(config)
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            line,
            watch,
            events,
            threads,
            stop,
            listeners,
            interfaces,
            browser_ports,
            description,
            remarks,
        } = parts;
        let inner = Inner {
            line,
            watch,
            events,
            threads: Mutex::new(Some(threads)),
            stop,
            listeners,
            interfaces,
            browser_ports,
            description,
            remarks,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Has an NG command carried out. Does not wait; `reply` is called on the control thread, once, and must not wait
    /// either.
    ///
    /// # Errors
    /// [`Unavailable::Busy`] or [`Unavailable::Ended`]: nothing was done, and `reply` is not called. It is not called
    /// either if the relay ends before it comes to the command.
    pub fn request(
        &self,
        request: ng::Request,
        reply: impl FnOnce(ng::Reply) + Send + 'static,
    ) -> Result<(), Unavailable> {
        self.inner.line.send(Ask::Ng {
            request: Box::new(request),
            client: None,
            reply: Box::new(reply),
        })
    }

    /// The same, for who can wait. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// [`Unavailable`]. Only [`Unavailable::TimedOut`] leaves open whether the command is carried out.
    pub async fn ask(&self, request: ng::Request) -> Result<ng::Reply, Unavailable> {
        self.inner.line.ng(None, Box::new(request)).await
    }

    /// What happens to calls from here on.
    #[must_use]
    pub fn events(&self) -> Events {
        let receiver = match self.inner.events.upgrade() {
            Some(sender) => sender.subscribe(),
            // The relay has ended: a channel that has too.
            None => broadcast::channel(1).1,
        };
        Events {
            receiver,
            missed: 0,
            stats: self.inner.watch.control_stats(),
        }
    }

    /// All figures at this moment. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub async fn snapshot(&self) -> Result<Snapshot, Unavailable> {
        self.inner.watch.snapshot().await
    }

    /// Whether calls can be taken, and why not. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// [`NotReady`]
    pub async fn readiness(&self) -> Result<(), NotReady> {
        self.inner.watch.readiness().await
    }

    /// The listeners that are bound, with their real ports.
    #[must_use]
    pub fn listeners(&self) -> &[(RelayScheme, SocketAddr)] {
        &self.inner.listeners
    }

    /// The addresses for media.
    #[must_use]
    pub fn interfaces(&self) -> &[MediaInterface] {
        &self.inner.interfaces
    }

    /// The port that browsers share, at each address that has one.
    #[must_use]
    pub fn browser_ports(&self) -> &[SocketAddr] {
        &self.inner.browser_ports
    }

    /// What runs, in a few lines for the log.
    #[must_use]
    pub fn description(&self) -> &[String] {
        &self.inner.description
    }

    /// What the operator should know before the first call fails, in lines for the log: addresses that peers may not
    /// reach, limits of the system that are low.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.inner.remarks
    }

    /// Ends the relay: calls, ports, listeners, threads. Waits for the threads, at most so long. A second time it does
    /// nothing.
    ///
    /// # Errors
    /// [`StillRunning`]; these threads end later, or with the process.
    pub fn shutdown(&self, patience: Duration) -> Result<(), StillRunning> {
        let threads = self
            .inner
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.inner.stop();
        match threads {
            Some(threads) => threads.join(patience).map_err(|threads| StillRunning { threads }),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn stop(&self) {
        // The service thread first: what it has taken is answered by control, or not at all.
        self.stop.send_replace(true);
        self.line.stop();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What happens to calls, in order.
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    missed: u64,
    stats: Arc<ControlStats>,
}

impl Events {
    /// The next event; `None` when the relay has ended. Whoever does not keep up loses the oldest, which
    /// [`missed`](Self::missed) counts.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => self.miss(missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(TryRecvError::Lagged(missed)) => self.miss(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    fn miss(&mut self, events: u64) {
        self.missed += events;
        self.stats.events_missed.add(events);
    }

    /// Events that were lost because they were not taken in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
