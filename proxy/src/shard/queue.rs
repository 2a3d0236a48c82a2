//! The way into a thread that sleeps in a poll: queues and a bell.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Poll, Token, Waker};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use viaduct_routing::SourceNetwork;
use viaduct_sip::{HeaderName, Message};
use viaduct_txn::ConnId;

use super::ShardInput;
use super::in_turn::InTurn;

/// The queue's own token; sockets count from 0.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// The sending end, for anybody.
#[derive(Debug)]
pub(crate) struct Handle<T> {
    queue: mpsc::Sender<T>,
    aside: mpsc::Sender<T>,
    in_turn: Arc<InTurn<T>>,
    bell: Arc<Bell>,
}

/// The way into a shard's thread.
pub(crate) type ShardHandle = Handle<ShardInput>;

/// The receiving end, for the thread.
#[derive(Debug)]
pub(crate) struct Inputs<T> {
    queue: mpsc::Receiver<T>,
    aside: mpsc::Receiver<T>,
    in_turn: Arc<InTurn<T>>,
    bell: Arc<Bell>,
}

/// Wakes a thread once for any number of inputs.
#[derive(Debug)]
struct Bell {
    waker: Waker,
    rung: AtomicBool,
}

/// A queue of `length` inputs into the thread that sleeps in `poll`, one as long for what may wait beside it, and one in which
/// connections wait in turn.
pub(crate) fn pair<T>(poll: &Poll, length: usize) -> io::Result<(Handle<T>, Inputs<T>)> {
    let (sender, receiver) = mpsc::channel(length);
    let (sender_aside, receiver_aside) = mpsc::channel(length);
    let in_turn = Arc::new(InTurn::new());
    let bell = Arc::new(Bell {
        waker: Waker::new(poll.registry(), WAKE)?,
        rung: AtomicBool::new(false),
    });
    Ok((
        Handle {
            queue: sender,
            aside: sender_aside,
            in_turn: in_turn.clone(),
            bell: bell.clone(),
        },
        Inputs {
            queue: receiver,
            aside: receiver_aside,
            in_turn,
            bell,
        },
    ))
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Fails only when the thread's poll is gone, and the thread with it.
            let _ = self.waker.wake();
        }
    }
}

impl<T> Handle<T> {
    /// Queues an input, waiting while the queue is full. An input for a thread that has ended is dropped.
    pub(crate) async fn push(&self, input: T) {
        if self.queue.send(input).await.is_ok() {
            self.bell.ring();
        }
    }

    /// Queues an input beside the others, where anybody may send any number: it makes none of them wait. False when there
    /// is no room.
    pub(crate) fn try_push_aside(&self, input: T) -> bool {
        self.try_give_to(&self.aside, input).is_ok()
    }

    /// Queues what comes over a connection, behind what came over it before, and in turn with other connections. It never
    /// waits: how much of it there is, is bounded by whoever lets connections read.
    pub(crate) fn push_in_turn(&self, source: SourceNetwork, conn: ConnId, input: T) {
        self.in_turn.push(source, conn, input);
        self.bell.ring();
    }

    /// Queues an input, or gives it back when there is no room. An input for a thread that has ended is dropped.
    pub(crate) fn try_give(&self, input: T) -> Result<(), T> {
        self.try_give_to(&self.queue, input)
    }

    fn try_give_to(&self, queue: &mpsc::Sender<T>, input: T) -> Result<(), T> {
        match queue.try_send(input) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(input)) => Err(input),
            Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Queues an input from a thread that may wait.
    pub(crate) fn push_blocking(&self, input: T) {
        if self.queue.blocking_send(input).is_ok() {
            self.bell.ring();
        }
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            aside: self.aside.clone(),
            in_turn: self.in_turn.clone(),
            bell: self.bell.clone(),
        }
    }
}

impl<T> Inputs<T> {
    /// Lets the bell ring again: call it before the queue is emptied, so that nothing is missed.
    pub(crate) fn begin(&mut self) {
        self.bell.rung.store(false, Ordering::Release);
    }

    pub(crate) fn next(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// The next of those beside them.
    pub(crate) fn next_aside(&mut self) -> Option<T> {
        self.aside.try_recv().ok()
    }

    /// The next that came over a connection whose turn it is.
    pub(crate) fn next_in_turn(&mut self) -> Option<T> {
        self.in_turn.pop()
    }

    /// The next input, waiting for it. `None` when none can come.
    #[cfg(test)]
    pub(crate) fn wait(&mut self) -> Option<T> {
        self.queue.blocking_recv()
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.aside.is_empty() || !self.in_turn.is_empty()
    }
}

impl<T> Drop for Inputs<T> {
    fn drop(&mut self) {
        self.in_turn.close();
    }
}

/// All shards.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    handles: Arc<[ShardHandle]>,
    hasher: RandomState,
    /// What the Call-IDs of our own requests to trunks begin with.
    own_call_ids: Arc<str>,
}

impl Shards {
    /// Call-IDs that begin with `own_call_ids` belong to the first shard.
    pub(crate) fn new(handles: Vec<ShardHandle>, own_call_ids: Arc<str>) -> Self {
        Self {
            own_call_ids,
            handles: handles.into(),
            hasher: RandomState::new(),
        }
    }

    /// The shard that a message belongs to: everything of one Call-ID goes to one.
    pub(crate) fn index_of(&self, message: &Message) -> usize {
        let call_id = message.header(HeaderName::CallId).unwrap_or_default();
        self.index_of_call(call_id)
    }

    /// The shard of a call.
    pub(crate) fn index_of_call(&self, call_id: &[u8]) -> usize {
        if call_id.starts_with(self.own_call_ids.as_bytes()) {
            return 0;
        }
        self.hasher.hash_one(call_id) as usize % self.handles.len()
    }

    pub(crate) fn of_message(&self, message: &Message) -> &ShardHandle {
        self.at(self.index_of(message))
    }

    /// Some shard, the same for the same number.
    pub(crate) fn any(&self, number: u64) -> &ShardHandle {
        self.at(number as usize % self.handles.len())
    }

    pub(crate) fn at(&self, index: usize) -> &ShardHandle {
        &self.handles[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.handles.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ShardHandle> {
        self.handles.iter()
    }
}
