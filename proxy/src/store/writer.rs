//! The thread that writes registrations down.
//!
//! It takes whatever waits, writes it in one transaction and waits for the disk once, so a thousand registrations in a
//! burst cost hardly more than one. A registration is acknowledged after that, or, with a window, before: then the
//! thread lets changes gather for no longer than the window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use viaduct_routing::{Change, Ticket};

use super::StoreFile;
use crate::shard::{ShardInput, Shards};

/// Writes that wait for the disk, and at most as many that could not be written and are tried again.
const QUEUE: usize = 16_384;

/// Writes in one transaction.
const BATCH: usize = 1_024;

/// How long after a failure the next try is made, if nothing else is to be written before.
const RETRY: Duration = Duration::from_secs(1);

/// How registrations are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// How long an acknowledged registration may wait for its turn. Zero acknowledges what the disk has.
    pub(crate) window: Duration,
}

/// What the thread has done. All only rise.
#[derive(Debug, Default)]
pub(crate) struct StoreCounters {
    /// Transactions written.
    pub(crate) commits: AtomicU64,
    /// Changes written with them.
    pub(crate) changes: AtomicU64,
    /// Transactions that failed.
    pub(crate) failures: AtomicU64,
    /// Writes not taken because [`QUEUE`] of them waited, or given up after they failed.
    pub(crate) refused: AtomicU64,
}

/// The way to the writing thread.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    queue: SyncSender<Order>,
    shared: Arc<Shared>,
}

/// The writing thread, to be ended.
#[derive(Debug)]
pub(crate) struct StoreThread {
    queue: SyncSender<Order>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    config: StoreConfig,
    /// The last transaction failed: nothing is acknowledged before it is written.
    is_failing: AtomicBool,
    counters: Arc<StoreCounters>,
}

#[derive(Debug)]
enum Order {
    Write(Write),
    Stop,
}

/// Changes that belong together, and who waits for them.
#[derive(Debug)]
struct Write {
    shard: usize,
    ticket: Option<Ticket>,
    changes: Vec<Change>,
}

/// Where changes are written to.
trait Disk: Send + 'static {
    /// Writes changes in their order, all or none, and waits until they are safe.
    fn commit(&self, changes: &mut dyn Iterator<Item = &Change>) -> anyhow::Result<()>;
}

impl Disk for StoreFile {
    fn commit(&self, changes: &mut dyn Iterator<Item = &Change>) -> anyhow::Result<()> {
        self.commit(changes)
    }
}

struct Writer<D> {
    disk: D,
    queue: Receiver<Order>,
    shards: Shards,
    shared: Arc<Shared>,
    /// Writes that nobody waits for any more and that could not be written, the oldest first.
    held: VecDeque<Write>,
}

impl Store {
    /// Starts the writing thread.
    pub(crate) fn start(
        file: StoreFile,
        config: StoreConfig,
        shards: Shards,
    ) -> anyhow::Result<(Self, StoreThread)> {
        Self::start_on(file, config, shards)
    }

    fn start_on(disk: impl Disk, config: StoreConfig, shards: Shards) -> anyhow::Result<(Self, StoreThread)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            config,
            is_failing: AtomicBool::new(false),
            counters: Arc::default(),
        });
        let writer = Writer {
            disk,
            queue: receiver,
            shards,
            shared: shared.clone(),
            held: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .context("starting the store's thread")?;
        let store = Self {
            queue: sender.clone(),
            shared,
        };
        let thread = StoreThread {
            queue: sender,
            thread,
        };
        Ok((store, thread))
    }

    /// Takes changes. A ticket whose answer is known already comes back with it: true when it may be acknowledged,
    /// false when nothing will be written. Any other ticket is answered by [`ShardInput::Stored`].
    pub(crate) fn write(
        &self,
        shard: usize,
        ticket: Option<Ticket>,
        changes: Vec<Change>,
    ) -> Option<(Ticket, bool)> {
        let may_wait =
            !self.shared.config.window.is_zero() && !self.shared.is_failing.load(Ordering::Acquire);
        let write = Write {
            shard,
            ticket: ticket.filter(|_| !may_wait),
            changes,
        };
        match self.queue.try_send(Order::Write(write)) {
            Ok(()) => ticket.filter(|_| may_wait).map(|ticket| (ticket, true)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
                ticket.map(|ticket| (ticket, false))
            }
        }
    }

    pub(crate) fn counters(&self) -> &Arc<StoreCounters> {
        &self.shared.counters
    }
}

impl StoreThread {
    /// Writes what waits, and ends.
    pub(crate) fn stop(self) {
        if self.queue.send(Order::Stop).is_ok() && self.thread.join().is_err() {
            tracing::error!("the store's thread ended with a fault");
        }
    }
}

impl<D: Disk> Writer<D> {
    fn run(mut self) {
        let mut is_stopping = false;
        while !is_stopping {
            let batch;
            (batch, is_stopping) = self.gather();
            if !(batch.is_empty() && self.held.is_empty()) {
                self.write(batch);
            }
        }
    }

    /// Waits for something to write, and for as much more as may wait with it. True when nothing more will come.
    fn gather(&self) -> (Vec<Write>, bool) {
        let first = if self.held.is_empty() {
            self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.queue.recv_timeout(RETRY)
        };
        let mut batch = Vec::new();
        let mut next = match first {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => return (batch, false),
            Err(RecvTimeoutError::Disconnected) => return (batch, true),
        };
        let mut is_awaited = false;
        let until = Instant::now() + self.shared.config.window;
        while let Some(order) = next {
            let Order::Write(write) = order else {
                return (batch, true);
            };
            is_awaited |= write.ticket.is_some();
            batch.push(write);
            if batch.len() == BATCH {
                break;
            }
            // Whoever waits for an answer does not wait for others.
            let patience = until.saturating_duration_since(Instant::now());
            next = if is_awaited || patience.is_zero() {
                self.queue.try_recv().ok()
            } else {
                self.queue.recv_timeout(patience).ok()
            };
        }
        (batch, false)
    }

    fn write(&mut self, batch: Vec<Write>) {
        let counters = &self.shared.counters;
        let changes = || self.held.iter().chain(&batch).flat_map(|write| &write.changes);
        let stored = match self.disk.commit(&mut changes()) {
            Ok(()) => {
                counters.commits.fetch_add(1, Ordering::Relaxed);
                counters
                    .changes
                    .fetch_add(changes().count() as u64, Ordering::Relaxed);
                true
            }
            Err(error) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!("registrations cannot be stored: {error:#}");
                false
            }
        };
        self.shared.is_failing.store(!stored, Ordering::Release);
        if stored {
            self.held.clear();
        }
        for write in batch {
            match write.ticket {
                Some(ticket) => self
                    .shards
                    .at(write.shard)
                    .push_blocking(ShardInput::Stored { ticket, stored }),
                None if stored => {}
                None => self.hold(write),
            }
        }
    }

    /// Keeps what was acknowledged for the next try; the oldest go when there are too many.
    fn hold(&mut self, write: Write) {
        if self.held.len() >= QUEUE {
            self.held.pop_front();
            self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.held.push_back(write);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mio::Poll;
    use viaduct_sip::Aor;

    use super::super::tests::{aor, folder, record};
    use super::*;
    use crate::shard::{Inputs, pair};

    /// A disk that can be out of order.
    #[derive(Default, Clone)]
    struct Paper {
        is_broken: Arc<AtomicBool>,
        written: Arc<Mutex<Vec<Change>>>,
    }

    impl Disk for Paper {
        fn commit(&self, changes: &mut dyn Iterator<Item = &Change>) -> anyhow::Result<()> {
            if self.is_broken.load(Ordering::Relaxed) {
                anyhow::bail!("no space left");
            }
            self.written.lock().unwrap().extend(changes.cloned());
            Ok(())
        }
    }

    struct Shard {
        // The queue rings a bell of the poll.
        _poll: Poll,
        inputs: Inputs<ShardInput>,
        shards: Shards,
    }

    impl Shard {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let (handle, inputs) = pair(&poll, 64).unwrap();
            Self {
                _poll: poll,
                inputs,
                shards: Shards::new(vec![handle], "ours-".into()),
            }
        }

        /// The answer that must come.
        fn answer(&mut self) -> (Ticket, bool) {
            match self.inputs.wait() {
                Some(ShardInput::Stored { ticket, stored }) => (ticket, stored),
                other => panic!("{other:?}"),
            }
        }
    }

    fn put(user: &str) -> Vec<Change> {
        vec![Change::Put {
            aor: aor(user),
            record: Box::new(record("sip:a@h")),
        }]
    }

    fn users(changes: &[Change]) -> Vec<&str> {
        let user = |change| match change {
            &Change::Put { ref aor, .. } | &Change::Delete { ref aor, .. } => Aor::user(aor),
        };
        changes.iter().filter_map(user).collect()
    }

    const NO_WINDOW: StoreConfig = StoreConfig {
        window: Duration::ZERO,
    };
    const LONG: StoreConfig = StoreConfig {
        window: Duration::from_secs(60),
    };

    #[test]
    fn without_a_window_the_answer_comes_after_the_disk_has_it() {
        let mut shard = Shard::new();
        let folder = folder("no-window");
        let file = StoreFile::open(&folder).unwrap();
        let (store, thread) = Store::start(file, NO_WINDOW, shard.shards.clone()).unwrap();
        let ticket = Ticket(7);
        assert_eq!(store.write(0, Some(ticket), put("alice")), None);
        assert_eq!(shard.answer(), (ticket, true));
        thread.stop();
        assert_eq!(StoreFile::open(&folder).unwrap().bindings().unwrap().len(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn with_a_window_the_answer_does_not_wait_and_the_end_writes_everything() {
        let shard = Shard::new();
        let paper = Paper::default();
        let (store, thread) = Store::start_on(paper.clone(), LONG, shard.shards.clone()).unwrap();
        let ticket = Ticket(7);
        assert_eq!(store.write(0, Some(ticket), put("alice")), Some((ticket, true)));
        assert_eq!(store.write(0, None, put("bob")), None);
        assert!(paper.written.lock().unwrap().is_empty());
        thread.stop();
        assert_eq!(users(&paper.written.lock().unwrap()), ["alice", "bob"]);
        assert_eq!(store.counters().commits.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn after_a_failure_nothing_is_acknowledged_unwritten_and_what_was_is_tried_again() {
        let mut shard = Shard::new();
        let paper = Paper::default();
        let brief = StoreConfig {
            window: Duration::from_millis(1),
        };
        let (store, thread) = Store::start_on(paper.clone(), brief, shard.shards.clone()).unwrap();
        paper.is_broken.store(true, Ordering::Relaxed);
        let [first, second, third] = [1, 2, 3].map(Ticket);
        assert_eq!(store.write(0, Some(first), put("alice")), Some((first, true)));
        while !store.shared.is_failing.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(store.write(0, Some(second), put("bob")), None);
        assert_eq!(shard.answer(), (second, false));
        paper.is_broken.store(false, Ordering::Relaxed);
        assert_eq!(store.write(0, Some(third), put("carol")), None);
        assert_eq!(shard.answer(), (third, true));
        thread.stop();
        assert_eq!(
            users(&paper.written.lock().unwrap()),
            ["alice", "carol"],
            "bob was told that it failed"
        );
        assert!(store.counters().failures.load(Ordering::Relaxed) >= 2);
    }
}
