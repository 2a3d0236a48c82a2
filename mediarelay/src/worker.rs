//! Worker threads: each owns one [`forward::Worker`](viaduct_forward::Worker) and reads its sockets.
//!
//! Nothing here allocates, logs, waits for a lock or reads a clock per datagram: the clock is read once per batch, and
//! what control must have is copied into its queue, which `forward` keeps rare.

mod batch;
mod bursts;
mod frames;
mod io;
mod mailbox;
mod pace;
mod port_sockets;
mod stats;
mod steered;
mod thread;

pub(crate) use self::frames::{FramesPlan, HopAnswer, HopClock};
pub(crate) use self::mailbox::{Mailbox, Notice, NoticeSender, Nudge, Order};
#[cfg(test)]
pub(crate) use self::mailbox::{MailboxReader, mailbox};
pub(crate) use self::stats::IoStats;
pub use self::stats::{IoSnapshot, SendFault};
pub(crate) use self::thread::{WorkerPlan, WorkerThread};
