//! Rooms over Janus' protocol: the connections of its clients, and the way to the control thread, where all that they say is
//! carried out in the order in which it comes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{broadcast, mpsc};
use viaduct_janus::{CallEvent, ConnectionId, Counters, Gateway, Gauges, Limits};
use viaduct_ng as ng;
use viaduct_session::{Event, What};
use viaduct_settings::JanusSecret;

use crate::control::Office;
use crate::counter::SharedTally;
use crate::line::{Line, Unavailable};
use crate::start_error::StartError;

/// How often it is looked whether a session has timed out: those times need not be exact.
const LOOK: Duration = Duration::from_secs(1);

/// Serves clients of Janus' protocol; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Janus {
    line: Line,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Used by the control thread, and by others only to look at figures and to say that a connection is gone.
    gateway: Mutex<Gateway>,
    connections: Mutex<HashMap<ConnectionId, mpsc::Sender<Bytes>>>,
    next: AtomicU64,
    waiting: usize,
    /// Connections that did not take what they were told.
    slow: SharedTally,
}

/// All figures about rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JanusFigures {
    /// What exists.
    pub gauges: Gauges,
    /// What happened.
    pub counters: Counters,
    /// Connections closed because they took what they were told too slowly.
    pub slow: u64,
}

/// A client's connection. It is known until this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    janus: Janus,
    told: mpsc::Receiver<Bytes>,
}

/// The secret that settings name.
///
/// # Errors
/// The file cannot be read, or its first line is empty.
pub(crate) fn secret(from: &JanusSecret) -> Result<String, StartError> {
    let path = match from {
        JanusSecret::Given(secret) => return Ok(secret.expose().to_owned()),
        JanusSecret::File(path) => Path::new(path),
    };
    let fail = |error: String| StartError::JanusSecret {
        path: path.to_owned(),
        error,
    };
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let secret = text.lines().next().unwrap_or_default().trim_end();
    if secret.is_empty() {
        return Err(fail("its first line is empty".to_owned()));
    }
    Ok(secret.to_owned())
}

impl Janus {
    pub(crate) fn new(secret: String, limits: Limits, waiting: usize, line: Line) -> Self {
        let gateway = Gateway::new(secret, limits, StdRng::from_rng(&mut rand::rng()));
        Self {
            line,
            shared: Arc::new(Shared {
                gateway: Mutex::new(gateway),
                connections: Mutex::default(),
                next: AtomicU64::new(1),
                waiting,
                slow: SharedTally::default(),
            }),
        }
    }

    /// A client has connected.
    pub(crate) fn connect(&self) -> Connection {
        let id = ConnectionId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (tell, told) = mpsc::channel(self.shared.waiting);
        lock(&self.shared.connections).insert(id, tell);
        Connection {
            id,
            janus: self.clone(),
            told,
        }
    }

    /// Takes the body of an HTTP request and gives that of its response.
    pub(crate) async fn post(&self, path: String, body: Bytes) -> Result<String, Unavailable> {
        self.visit(move |gateway, now, relay| gateway.handle_post(now, &path, &body, relay))
            .await
    }

    /// All figures.
    pub(crate) fn figures(&self) -> JanusFigures {
        let gateway = lock(&self.shared.gateway);
        JanusFigures {
            gauges: gateway.gauges(),
            counters: gateway.counters(),
            slow: self.shared.slow.get(),
        }
    }

    /// Tells clients what happens to calls, and ends sessions in time. Ends with the relay.
    pub(crate) async fn look(self, mut events: broadcast::Receiver<Event>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.take_event(event).await,
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = look.tick() => self.take_time().await,
            }
        }
    }

    async fn take_event(&self, event: Event) {
        let is_told = matches!(
            event.what,
            What::DtlsConnected { .. } | What::PublisherHeard { .. } | What::Deleted { .. }
        );
        if !is_told || !Gateway::is_room(&event.call_id) {
            return;
        }
        let told = self
            .visit(move |gateway, _, relay| {
                let what = match &event.what {
                    What::DtlsConnected { media, .. } => CallEvent::Connected { tag: &media.tag },
                    What::PublisherHeard { media } => CallEvent::Media {
                        tag: &media.tag,
                        index: media.index.saturating_sub(1),
                    },
                    _ => CallEvent::Ended,
                };
                gateway.handle_call_event(&event.call_id, what, relay);
            })
            .await;
        if let Err(error) = told {
            tracing::debug!("clients of rooms were not told of something: {error}");
        }
    }

    async fn take_time(&self) {
        let due = lock(&self.shared.gateway).poll_timeout();
        if due.is_some_and(|due| due <= Instant::now()) {
            // What was not done is done the next time.
            let _ = self
                .visit(|gateway, now, relay| gateway.handle_timeout(now, relay))
                .await;
        }
    }

    /// Has the control thread do something with the gateway, and sends what comes of it.
    async fn visit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Gateway, Instant, &mut viaduct_janus::Relay<'_>) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let shared = Arc::clone(&self.shared);
        self.line.visit(move |office| shared.work(office, work)).await
    }
}

impl Shared {
    fn work<T>(
        &self,
        office: &mut Office,
        work: impl FnOnce(&mut Gateway, Instant, &mut viaduct_janus::Relay<'_>) -> T,
    ) -> T {
        let now = Instant::now();
        let mut gateway = lock(&self.gateway);
        let done = work(&mut gateway, now, &mut |request: &ng::Request| {
            office.ask(now, request)
        });
        // A client may send media as soon as it knows where to, and workers must know by then.
        office.flush(now);
        let mut connections = lock(&self.connections);
        while let Some(output) = gateway.poll_output() {
            let Some(connection) = connections.get(&output.to) else {
                continue;
            };
            if connection.try_send(output.text.into()).is_err() {
                // Its task sees that nothing more can come, and closes it.
                connections.remove(&output.to);
                self.slow.add(1);
            }
        }
        done
    }
}

impl Connection {
    /// A message of the client. What is said to it comes by [`told`](Self::told).
    pub(crate) async fn take(&self, message: Bytes) -> Result<(), Unavailable> {
        let id = self.id;
        self.janus
            .visit(move |gateway, now, relay| gateway.handle_message(now, id, &message, relay))
            .await
    }

    /// What the client is told next; `None` when it has taken too little of it.
    pub(crate) async fn told(&mut self) -> Option<Bytes> {
        self.told.recv().await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.janus.shared.connections).remove(&self.id);
        lock(&self.janus.shared.gateway).handle_closed(self.id);
    }
}

/// A panic while the lock was held would have ended the process; there is no half-changed state to fear.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
