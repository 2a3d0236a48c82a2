//! What has changed about calls goes to the writer, in batches and behind everything else.

use std::time::{Duration, Instant};

use viaduct_session::Relay;

use crate::limits::ShellLimits;
use crate::state::{Batch, StateWriter};

/// How soon a writer is tried again that is busy, at the end.
const RETRY: Duration = Duration::from_millis(1);

/// See the module. One batch is written at a time; meanwhile changes wait with the relay's brain, which bounds them.
#[derive(Debug)]
pub(super) struct Keeper {
    writer: StateWriter,
    /// A batch that found the writer busy.
    held: Option<Batch>,
    next: Option<Instant>,
    delay: Duration,
    batch: usize,
}

impl Keeper {
    pub(super) fn new(writer: StateWriter, limits: &ShellLimits) -> Self {
        Self {
            writer,
            held: None,
            next: None,
            delay: limits.state_delay,
            batch: limits.state_batch.max(1),
        }
    }

    /// Hands on what has gathered, if it is time.
    pub(super) fn keep(&mut self, now: Instant, relay: &mut Relay) {
        if !self.has_work(relay) {
            return;
        }
        let next = *self.next.get_or_insert(now + self.delay);
        if now >= next {
            self.hand_on(relay);
            self.next = self.has_work(relay).then_some(now + self.delay);
        }
    }

    pub(super) fn poll_timeout(&self, relay: &Relay) -> Option<Instant> {
        self.next.filter(|_| self.has_work(relay))
    }

    /// Hands on all that there is. What the writer has not taken by the deadline is lost.
    pub(super) fn keep_all(mut self, relay: &mut Relay, deadline: Instant) {
        relay.keep_all();
        while self.has_work(relay) {
            if self.hand_on(relay) {
                continue;
            }
            if Instant::now() >= deadline {
                tracing::warn!("the state of some calls could not be written in time");
                return;
            }
            std::thread::sleep(RETRY);
        }
    }

    fn has_work(&self, relay: &Relay) -> bool {
        self.held.is_some() || relay.state_waiting() > 0
    }

    /// False if the writer is busy.
    fn hand_on(&mut self, relay: &mut Relay) -> bool {
        let batch = self.held.take().unwrap_or_else(|| {
            let changes = std::iter::from_fn(|| relay.poll_state());
            changes.take(self.batch).collect()
        });
        self.held = self.writer.write(batch).err();
        self.held.is_none()
    }
}
