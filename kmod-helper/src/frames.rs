//! Sockets for frames (AF_XDP, `if_xdp(7)`): what an interface hands to a worker before the kernel makes packets of it, and what
//! leaves by it without the kernel's routes, filters and queues.
//!
//! A queue of an interface has memory that the kernel and all workers share, cut into frames. An address of a frame is in one place
//! at a time: the fill ring (for the kernel to receive into), a worker's ring of received frames, a worker's ring of frames to
//! send, the completion ring (sent), or the list of idle ones. Fill and completion ring and that list are common to a queue's
//! workers, behind a lock that each takes once for many frames; the other rings are one worker's.

mod memory;
mod ring;
mod system;

use std::fmt;
use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use self::memory::{FRAME, Memory};
use self::ring::{Consumer, Descriptor, Producer};
use self::system::RingKind;

/// Times that the kernel is asked to send what waits: it takes a few dozen frames each time.
const KICKS_MAX: usize = 16;

/// Octets of a line of the caches.
const LINE: usize = 64;

/// How long a queue may be another's that has ended.
const FREE_WITHIN: Duration = Duration::from_secs(1);

/// Time between two attempts to have it.
const AGAIN: Duration = Duration::from_millis(10);

/// How many frames a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameCount {
    /// To receive into; a power of two.
    receive: u32,
    /// To send from; a power of two.
    send: u32,
}

impl FrameCount {
    /// Least frames in either direction: a batch.
    const LEAST: u32 = 64;
    /// Most of them: 256 MiB.
    const MOST: u32 = 1 << 17;

    /// So many to receive into, rounded up to a power of two, and half as many to send from.
    #[must_use]
    pub fn new(receive: usize) -> Self {
        let receive = u32::try_from(receive).unwrap_or(Self::MOST);
        let receive = receive.clamp(2 * Self::LEAST, Self::MOST).next_power_of_two();
        Self {
            receive,
            send: receive / 2,
        }
    }

    /// Of those to receive into, how many may be one worker's at a time. All workers together have no more than there are, so that
    /// a flood for one of them takes nothing from the others.
    fn of_one(self, workers: usize) -> u32 {
        let workers = u32::try_from(workers.next_power_of_two()).unwrap_or(u32::MAX);
        (self.receive / workers).max(Self::LEAST)
    }

    fn all(self) -> u32 {
        self.receive + self.send
    }
}

/// The socket of one worker at one queue of an interface.
pub struct FrameSocket {
    received: Consumer<Descriptor>,
    to_send: Producer<Descriptor>,
    queue: Arc<Queue>,
    /// What has been received and is being read.
    came: Vec<Descriptor>,
    /// Frames that have been read, or that are about to be written.
    in_hand: Vec<u64>,
    /// Closed before the memory goes, which the kernel holds anyway as long as it is in use.
    socket: OwnedFd,
}

impl fmt::Debug for FrameSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = self.socket.as_raw_fd();
        f.debug_struct("FrameSocket")
            .field("socket", &socket)
            .finish_non_exhaustive()
    }
}

/// What workers have in common at one queue.
struct Queue {
    memory: Memory,
    common: Mutex<Common>,
}

struct Common {
    fill: Producer<u64>,
    sent: Consumer<u64>,
    idle: Vec<u64>,
}

impl FrameSocket {
    /// Opens the sockets of so many workers at a queue. They receive when they are in the program's table.
    ///
    /// # Errors
    /// What the system says; `EINVAL` where the interface has no such queue, `EBUSY` where somebody else has it.
    pub(crate) fn open(ifindex: u32, queue: u32, workers: usize, count: FrameCount) -> io::Result<Vec<Self>> {
        let memory = Memory::new(count.all())?;
        let first = system::socket()?;
        system::register(&first, &memory)?;
        let fill = system::ring(&first, RingKind::Fill, count.receive)?;
        let sent = system::ring(&first, RingKind::Completion, count.send)?;
        let rings = |socket: &OwnedFd| {
            let received = system::ring(socket, RingKind::Receive, count.of_one(workers))?;
            let to_send = system::ring(socket, RingKind::Send, count.send)?;
            Ok::<_, io::Error>((Consumer::new(received), Producer::new(to_send)))
        };
        let mut sockets = vec![(rings(&first)?, first)];
        for _ in 1..workers {
            let socket = system::socket()?;
            sockets.push((rings(&socket)?, socket));
        }
        let mut fill = Producer::new(fill);
        let addresses = || (0..count.all()).map(|frame| u64::from(frame) * FRAME as u64);
        fill.put(addresses().take(count.receive as usize));
        let common = Common {
            fill,
            sent: Consumer::new(sent),
            idle: addresses().skip(count.receive as usize).collect(),
        };
        let shared = Arc::new(Queue {
            memory,
            common: Mutex::new(common),
        });
        let (_, owner) = &sockets[0];
        bind_when_free(owner, ifindex, queue)?;
        for (_, socket) in &sockets[1..] {
            system::bind(socket, ifindex, queue, Some(owner))?;
        }
        let in_hand = || Vec::with_capacity(count.receive as usize);
        let sockets = sockets.into_iter().map(|((received, to_send), socket)| Self {
            received,
            to_send,
            queue: Arc::clone(&shared),
            came: Vec::with_capacity(count.receive as usize),
            in_hand: in_hand(),
            socket,
        });
        Ok(sockets.collect())
    }

    /// For the program's table.
    pub(crate) fn raw(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether frames have come: to be asked without a system call.
    #[must_use]
    pub fn has_some(&self) -> bool {
        self.received.has_some()
    }

    /// Shows `take` the frames that have come, `max` at most. Returns how many they were.
    pub fn receive(&mut self, max: usize, mut take: impl FnMut(&[u8])) -> usize {
        let memory = &self.queue.memory;
        self.came.clear();
        let came = &mut self.came;
        self.received.take(max, |descriptor| came.push(descriptor));
        // Another processor wrote them: they are fetched all at a time, not one after the other.
        let came = self.came.iter().filter_map(|of| memory.read(of.address, of.len));
        let lines = came.flat_map(|octets| octets.iter().step_by(LINE));
        black_box(lines.fold(0, |sum: u8, octet| sum.wrapping_add(*octet)));
        for Descriptor { address, len, .. } in &self.came {
            if let Some(octets) = memory.read(*address, *len) {
                take(octets);
            }
        }
        self.in_hand.clear();
        let addresses = self.came.iter().map(|of| of.address - of.address % FRAME as u64);
        self.in_hand.extend(addresses);
        let count = self.in_hand.len();
        if count > 0 {
            let mut common = self.queue.lock();
            common.fill.put(self.in_hand.drain(..));
            if common.fill.wants_to_be_woken() {
                system::wake_receiver(&self.socket);
            }
        }
        count
    }

    /// Sends up to `count` frames, each of which `write` makes: it is given the number of one, from 0, and where to write it, and
    /// says how long it is. Returns how many were taken on; those behind found no idle frame.
    ///
    /// # Errors
    /// The interface does not send: it is down, or gone. What was taken on is lost then.
    pub fn send(
        &mut self,
        count: usize,
        mut write: impl FnMut(usize, &mut [u8]) -> usize,
    ) -> io::Result<usize> {
        self.in_hand.clear();
        let mut common = self.queue.lock();
        let Common { sent, idle, .. } = &mut *common;
        sent.take(usize::MAX, |address| idle.push(address - address % FRAME as u64));
        let count = count.min(idle.len()).min(self.to_send.room());
        let left = idle.len() - count;
        self.in_hand.extend(idle.drain(left..));
        drop(common);
        let memory = &self.queue.memory;
        let descriptors = self.in_hand.iter().enumerate().map(|(number, address)| {
            let len = memory.write(*address, |frame| write(number, frame));
            Descriptor {
                address: *address,
                len,
                options: 0,
            }
        });
        self.to_send.put(descriptors);
        if count > 0 && self.to_send.wants_to_be_woken() {
            self.kick()?;
        }
        Ok(count)
    }

    /// Lets the kernel send what waits.
    fn kick(&self) -> io::Result<()> {
        for _ in 0..KICKS_MAX {
            match system::wake_sender(&self.socket) {
                // It does some at a time, and leaves others where a queue is full: the next kick finds them.
                Ok(()) | Err(Errno::EAGAIN | Errno::EBUSY | Errno::ENOBUFS | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.to_send.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What tells others how many frames for this worker found no room.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn losses(&self) -> io::Result<FrameLosses> {
        self.socket.try_clone().map(FrameLosses)
    }
}

/// How many frames for a worker found no room at one queue.
#[derive(Debug)]
pub struct FrameLosses(OwnedFd);

impl FrameLosses {
    /// Since the socket was opened.
    #[must_use]
    pub fn count(&self) -> u64 {
        system::lost(&self.0)
    }
}

/// Binds the first socket of a queue. What had the queue before may have ended a moment ago: the kernel gives queues back a little
/// later.
fn bind_when_free(socket: &OwnedFd, ifindex: u32, queue: u32) -> io::Result<()> {
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        match system::bind(socket, ifindex, queue, None) {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) && Instant::now() < deadline => {
                thread::sleep(AGAIN);
            }
            bound => return bound,
        }
    }
}

impl AsFd for FrameSocket {
    /// Readable when frames have come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Common> {
        // Nothing between taking and giving back panics; if it did, some frames would be lost.
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_powers_of_two_within_limits() {
        let count = |receive| {
            let count = FrameCount::new(receive);
            (count.receive, count.send)
        };
        assert_eq!(count(0), (128, 64));
        assert_eq!(count(4_000), (4_096, 2_048));
        assert_eq!(count(usize::MAX), (1 << 17, 1 << 16));
        let of_one = |workers| FrameCount::new(4_096).of_one(workers);
        assert_eq!([1, 2, 3, 8, 1_000].map(of_one), [4_096, 2_048, 1_024, 512, 64]);
    }
}
