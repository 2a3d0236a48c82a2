//! The thread that writes the file.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use viaduct_session::StateChange;

use super::StateFile;
use crate::control::ControlStats;

/// How often it is noted that the relay runs, if nothing else is written.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// How long after a failure the next try is made.
const RETRY: Duration = Duration::from_secs(1);

/// How long nothing is said after a failure was.
const QUIET: Duration = Duration::from_secs(60);

/// Changes that are written together.
pub(crate) type Batch = Vec<StateChange>;

/// The way to the writing thread.
#[derive(Debug, Clone)]
pub(crate) struct StateWriter {
    queue: SyncSender<Batch>,
    /// Whoever has this may write.
    _way: Arc<()>,
}

impl StateWriter {
    /// Hands a batch over.
    ///
    /// # Errors
    /// The batch, if the thread is busy with two others.
    pub(crate) fn write(&self, batch: Batch) -> Result<(), Batch> {
        match self.queue.try_send(batch) {
            // A thread that has ended was a fault, which was told.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(batch)) => Err(batch),
        }
    }
}

/// The way to the thread, and its body, which ends when all ways to it are gone.
pub(crate) fn prepare(
    file: StateFile,
    stats: Arc<ControlStats>,
) -> (StateWriter, impl FnOnce() + Send + 'static) {
    let (queue, batches) = sync_channel(1);
    let way = Arc::new(());
    let ways = Arc::downgrade(&way);
    let disk = Disk { file, stats, ways };
    (StateWriter { queue, _way: way }, move || disk.run(&batches))
}

/// What the thread works with.
struct Disk {
    file: StateFile,
    stats: Arc<ControlStats>,
    ways: Weak<()>,
}

impl Disk {
    fn run(&self, batches: &Receiver<Batch>) {
        loop {
            match batches.recv_timeout(ALIVE_EVERY) {
                Ok(batch) => self.write(&batch),
                // With no call in it, the file has nothing that the time matters for.
                Err(RecvTimeoutError::Timeout) => {
                    if self.file.has_calls().unwrap_or(true) {
                        self.write(&[]);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Writes a batch, however often it takes, while there is somebody who writes. Others wait meanwhile, which their
    /// number bounds.
    fn write(&self, batch: &[StateChange]) {
        let mut told: Option<Instant> = None;
        while let Err(error) = self.file.commit(batch) {
            self.stats.state_failures.add(1);
            if told.is_none_or(|at| at.elapsed() >= QUIET) {
                tracing::warn!("the state of calls cannot be written: {error}");
                told = Some(Instant::now());
            }
            if self.ways.strong_count() == 0 {
                return;
            }
            std::thread::sleep(RETRY);
        }
        self.stats.state_written.add(batch.len() as u64);
    }
}
