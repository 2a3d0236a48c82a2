//! The way to the control thread for everybody else in the process.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use viaduct_ng as ng;

use crate::control::Office;
use crate::counter::SharedTally;
use crate::worker::Nudge;

/// What is asked of control.
pub(crate) enum Ask {
    /// An NG command.
    Ng {
        request: Box<ng::Request>,
        /// Who sent it; `None` within this process.
        client: Option<IpAddr>,
        reply: Box<dyn FnOnce(ng::Reply) + Send>,
    },
    /// To look at what it has, or to change it, and to tell somebody.
    Visit(Box<dyn FnOnce(&mut Office) + Send>),
}

/// Why nothing came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// So many requests wait that it was not even taken.
    #[error("the relay has too many requests to answer")]
    Busy,
    /// The relay is ending, or has ended.
    #[error("the relay is ending")]
    Ended,
    /// It was taken, and not answered in time. It may still be carried out.
    #[error("the relay did not answer in time")]
    TimedOut,
}

/// A handle: clones lead to the same control thread.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    asks: SyncSender<Ask>,
    nudge: Nudge,
    stats: Arc<LineStats>,
    /// Not an [`Ask`], since it must get through a queue that is full.
    stop: Arc<AtomicBool>,
    patience: Duration,
}

/// Where control hears what is asked.
#[derive(Debug)]
pub(crate) struct LineEnd {
    asks: Receiver<Ask>,
    stop: Arc<AtomicBool>,
}

impl LineEnd {
    /// The next question, if there is one.
    pub(crate) fn next(&self) -> Option<Ask> {
        self.asks.try_recv().ok()
    }

    /// Whether control is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

#[derive(Debug, Default)]
pub(crate) struct LineStats {
    /// Requests that found the queue full.
    pub(crate) refused: SharedTally,
    /// Requests that were taken and not answered in time.
    pub(crate) timed_out: SharedTally,
}

impl Line {
    /// The line, and where control hears it.
    pub(crate) fn new(queued: usize, patience: Duration, nudge: Nudge) -> (Self, LineEnd) {
        let (asks, heard) = sync_channel(queued);
        let stop = Arc::new(AtomicBool::new(false));
        let end = LineEnd {
            asks: heard,
            stop: Arc::clone(&stop),
        };
        (
            Self {
                asks,
                nudge,
                stats: Arc::default(),
                stop,
                patience,
            },
            end,
        )
    }

    /// Tells control to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.nudge.ring();
    }

    /// Asks without waiting.
    pub(crate) fn send(&self, ask: Ask) -> Result<(), Unavailable> {
        self.asks.try_send(ask).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.stats.refused.add(1);
                Unavailable::Busy
            }
            TrySendError::Disconnected(_) => Unavailable::Ended,
        })?;
        self.nudge.ring();
        Ok(())
    }

    /// Has a command carried out.
    pub(crate) async fn ng(
        &self,
        client: Option<IpAddr>,
        request: Box<ng::Request>,
    ) -> Result<ng::Reply, Unavailable> {
        let (tell, told) = oneshot::channel();
        // Whoever does not wait any longer needs no reply.
        let reply = Box::new(move |reply| drop(tell.send(reply)));
        self.send(Ask::Ng {
            request,
            client,
            reply,
        })?;
        self.wait(told).await
    }

    /// Has something looked up.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Office) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (tell, told) = oneshot::channel();
        self.send(Ask::Visit(Box::new(move |office| drop(tell.send(look(office))))))?;
        self.wait(told).await
    }

    pub(crate) fn stats(&self) -> &LineStats {
        &self.stats
    }

    async fn wait<T>(&self, told: oneshot::Receiver<T>) -> Result<T, Unavailable> {
        match tokio::time::timeout(self.patience, told).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unavailable::Ended),
            Err(_) => {
                self.stats.timed_out.add(1);
                Err(Unavailable::TimedOut)
            }
        }
    }
}
