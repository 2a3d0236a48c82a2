//! How control tells a worker something, and how a worker tells control.

use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use smallvec::SmallVec;
use viaduct_forward::{Command, CommandError, Report, SocketId, ToControl};

use viaduct_session::{FaxId, FaxOutput};

use super::frames::HopAnswer;
use crate::socket::MediaPort;

/// What control wants of a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// There is a port.
    Open {
        id: SocketId,
        port: MediaPort,
        /// Whether this worker reads from it.
        listen: bool,
    },
    /// A port that is open is held in another way from here on.
    Replace {
        id: SocketId,
        port: MediaPort,
        listen: bool,
    },
    /// The port is given up.
    Close { id: SocketId },
    /// A change of the forwarding tables.
    Apply(Command),
    /// A datagram is to be treated as if it had just come by this socket.
    Inject {
        socket: SocketId,
        from: SocketAddr,
        datagram: Box<[u8]>,
    },
    /// Where frames for a receiver go.
    NextHop(HopAnswer),
    /// The thread ends.
    Stop,
}

impl Order {
    /// Whether what it asks for is to be done at once, and not only before the next datagram.
    pub(crate) fn is_urgent(&self) -> bool {
        matches!(self, Self::Inject { .. } | Self::Stop)
    }
}

/// What a worker tells control.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A datagram that is control's business.
    Datagram {
        worker: usize,
        what: ToControl,
        socket: SocketId,
        from: SocketAddr,
        data: Box<[u8]>,
    },
    /// Something happened.
    Report { worker: usize, report: Report },
    /// A fax gateway says something: no worker's, but it comes the same way.
    Fax { id: FaxId, output: FaxOutput },
    /// A worker asks where frames from one of our addresses to a receiver go.
    NextHop { worker: usize, ends: (IpAddr, IpAddr) },
    /// An order could not be carried out.
    Failed { worker: usize, fault: OrderFault },
}

/// Why an order could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderFault {
    #[error("{command}: {error}")]
    Command {
        command: &'static str,
        error: CommandError,
    },
    #[error("watching socket {}: {error}", .id.0)]
    Socket { id: SocketId, error: io::Error },
}

/// A worker's queue of orders, seen from control.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: SyncSender<Order>,
    waiting: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

/// The same, seen from the worker.
#[derive(Debug)]
pub(crate) struct MailboxReader {
    queue: Receiver<Order>,
    /// Something was put in since it was looked.
    waiting: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

/// Wakes a thread: a descriptor that it waits for beside its sockets. Rung once however much waits for it.
#[derive(Debug)]
pub(crate) struct Bell {
    event: EventFd,
    rung: AtomicBool,
}

/// A queue of at most so many orders.
pub(crate) fn mailbox(capacity: usize) -> io::Result<(Mailbox, MailboxReader)> {
    let (queue, reader) = sync_channel(capacity);
    let waiting = Arc::new(AtomicBool::new(false));
    let bell = Arc::new(Bell::new()?);
    let mailbox = Mailbox {
        queue,
        waiting: Arc::clone(&waiting),
        bell: Arc::clone(&bell),
    };
    let reader = MailboxReader {
        queue: reader,
        waiting,
        bell,
    };
    Ok((mailbox, reader))
}

impl Bell {
    fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            event: EventFd::from_flags(flags)?,
            rung: AtomicBool::new(false),
        })
    }

    /// Wakes the thread, unless it is already told.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // The counter of an eventfd cannot be full: it is read whenever it was written.
            let _ = self.event.write(1);
        }
    }

    /// Notes that the bell was heard. What is put in from here on rings it again.
    fn heard(&self) {
        // Whoever has said that he rings and has yet to do so wakes the thread once more.
        let _ = self.event.read();
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl Mailbox {
    /// Puts an order in; gives it back if there is no room. A worker that is awake takes it before the next datagrams; one that is
    /// not is woken by [`ring`](Self::ring).
    #[expect(
        clippy::result_large_err,
        reason = "what finds no room is kept by control as it is"
    )]
    pub(crate) fn put(&self, order: Order) -> Result<(), Order> {
        self.queue.try_send(order).map_err(|error| match error {
            // A worker that has ended takes no orders; that it has ended is told elsewhere.
            TrySendError::Full(order) | TrySendError::Disconnected(order) => order,
        })?;
        self.waiting.store(true, Ordering::Release);
        Ok(())
    }

    /// Wakes the worker, unless it is already told or has taken all orders.
    pub(crate) fn ring(&self) {
        if self.waiting.load(Ordering::Acquire) {
            self.bell.ring();
        }
    }
}

impl MailboxReader {
    /// Notes that the bell was heard. What is put in from here on rings it again.
    pub(crate) fn heard(&self) {
        self.bell.heard();
    }

    /// Whether orders may have come since this was asked last. They are all to be taken then.
    pub(crate) fn has_some(&self) -> bool {
        self.waiting.load(Ordering::Acquire) && self.waiting.swap(false, Ordering::AcqRel)
    }

    pub(super) fn next(&self) -> Option<Order> {
        self.queue.try_recv().ok()
    }

    #[cfg(test)]
    pub(crate) fn is_rung(&self) -> bool {
        self.bell.rung.load(Ordering::Acquire)
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Wakes control, which waits for it beside what it reads. A handle: clones wake the same thread.
#[derive(Debug, Clone)]
pub(crate) struct Nudge(Arc<Bell>);

impl Nudge {
    pub(crate) fn new() -> io::Result<Self> {
        Bell::new().map(Arc::new).map(Self)
    }

    /// Wakes the thread, unless it is already told.
    pub(crate) fn ring(&self) {
        self.0.ring();
    }

    /// Waits until somebody rings, at most so long; not at all if somebody has since the last wait. Always called by the same
    /// thread, which looks at all its queues afterwards.
    pub(crate) fn wait(&self, at_most: Option<Duration>) {
        self.wait_beside::<OwnedFd>(at_most, &[], |_| {});
    }

    /// The same, and until one of these can be read. `readable` is told the places of those that can be. Returns whether anything
    /// but time has ended the wait.
    pub(crate) fn wait_beside<E: AsFd>(
        &self,
        at_most: Option<Duration>,
        ears: &[E],
        mut readable: impl FnMut(usize),
    ) -> bool {
        let bell = self.0.as_fd();
        let descriptors = iter::once(bell).chain(ears.iter().map(AsFd::as_fd));
        let mut polled: SmallVec<[PollFd<'_>; 4]> = descriptors
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        let has_rung = || self.0.rung.load(Ordering::Acquire);
        let at_most = if has_rung() { Some(Duration::ZERO) } else { at_most };
        // A signal may end it early, as any other thing that is to be looked at.
        let found = ppoll(&mut polled, at_most.map(TimeSpec::from), None).is_ok_and(|count| count > 0);
        let mut ready = polled.iter().map(|one| found && one.any().unwrap_or(true));
        let rung = ready.next() == Some(true) || has_rung();
        if rung {
            self.0.heard();
        }
        ready
            .enumerate()
            .filter(|(_, is_ready)| *is_ready)
            .for_each(|(place, _)| readable(place));
        found || rung
    }
}

/// A worker's way to control.
#[derive(Debug, Clone)]
pub(crate) struct NoticeSender {
    pub(crate) queue: SyncSender<Notice>,
    pub(crate) nudge: Nudge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_gives_the_order_back() {
        let (mailbox, reader) = mailbox(1).unwrap();
        assert!(mailbox.put(Order::Stop).is_ok());
        assert!(matches!(mailbox.put(Order::Stop), Err(Order::Stop)));
        assert!(matches!(reader.next(), Some(Order::Stop)));
        assert!(reader.next().is_none());
        drop(reader);
        assert!(mailbox.put(Order::Stop).is_err());
    }

    #[test]
    fn a_bell_is_rung_once_until_it_is_heard() {
        let (mailbox, reader) = mailbox(4).unwrap();
        mailbox.put(Order::Stop).unwrap();
        for _ in 0..3 {
            mailbox.ring();
        }
        assert_eq!(reader.bell.event.read().unwrap(), 1);
        reader.heard();
        mailbox.ring();
        assert_eq!(reader.bell.event.read().unwrap(), 1);
    }

    #[test]
    fn a_worker_that_has_taken_its_orders_is_not_woken_for_them() {
        let (mailbox, reader) = mailbox(4).unwrap();
        assert!(!reader.has_some());
        mailbox.put(Order::Stop).unwrap();
        mailbox.put(Order::Stop).unwrap();
        assert!(reader.has_some());
        assert!(!reader.has_some());
        mailbox.ring();
        assert!(reader.bell.event.read().is_err());
    }

    #[test]
    fn a_wait_ends_when_something_can_be_read_and_says_what() {
        let nudge = Nudge::new().unwrap();
        let ears = [0, 1, 2].map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let ready = |at_most| {
            let mut ready = Vec::new();
            nudge.wait_beside(at_most, &ears, |place| ready.push(place));
            ready
        };
        assert!(ready(Some(Duration::ZERO)).is_empty());
        for ear in &ears[1..] {
            ear.send_to(b"x", ear.local_addr().unwrap()).unwrap();
        }
        assert_eq!(ready(None), [1, 2]);
        nudge.ring();
        assert_eq!(ready(None), [1, 2]);
        for ear in &ears[1..] {
            ear.recv(&mut [0]).unwrap();
        }
        assert!(ready(Some(Duration::ZERO)).is_empty(), "the bell was heard");
    }

    #[test]
    fn a_nudge_before_the_wait_is_not_lost() {
        let nudge = Nudge::new().unwrap();
        nudge.ring();
        nudge.wait(None);
        let (ringer, waiter) = (nudge.clone(), nudge);
        let thread = std::thread::spawn(move || {
            for _ in 0..1_000 {
                ringer.ring();
                std::thread::yield_now();
            }
        });
        while !thread.is_finished() {
            waiter.wait(Some(Duration::from_millis(10)));
        }
        thread.join().unwrap();
    }
}
