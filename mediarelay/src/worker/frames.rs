//! A worker's frames: those that interfaces hand to it, and those that it sends without the kernel's routes, filters and queues.
//!
//! Where frames for a receiver go, control finds out. Until it has, and for whatever does not fit into one frame, the socket of the
//! lane is the way, which also makes the kernel look for neighbours that it does not know.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;
use viaduct_forward::PacketBuf;
use viaduct_kmod_helper::frame::{self, Heard};
use viaduct_kmod_helper::{FrameSocket, FramesAt, IpHeader, NextHop};

use super::mailbox::{Notice, NoticeSender};
use super::stats::{IoStats, SendFault};

/// What a worker's frames are made of.
#[derive(Debug)]
pub(crate) struct FramesPlan {
    /// The worker's sockets, those of one interface one after the other.
    pub(crate) sockets: Vec<FramesAt>,
    /// Says when what is known of next hops may be wrong.
    pub(crate) clock: HopClock,
    /// Receivers whose next hops are kept in mind.
    pub(crate) hops_max: usize,
}

/// Counts how often next hops may have changed. Control counts, workers look.
#[derive(Debug, Clone, Default)]
pub(crate) struct HopClock(Arc<AtomicU32>);

impl HopClock {
    /// All that was said of next hops is to be asked for again.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What control says of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HopAnswer {
    /// Our address and the receiver's.
    pub(crate) ends: (IpAddr, IpAddr),
    /// `None`: frames do not go there.
    pub(crate) hop: Option<NextHop>,
    /// What the clock said before it was found out.
    pub(crate) at: u32,
}

/// See the module.
pub(super) struct Frames {
    at: Vec<At>,
    /// By interface: the place in `at` that sends.
    exits: HashMap<u32, usize, RandomState>,
    /// By our address and the receiver's. `None`: asked for, or not reached by frames.
    hops: HashMap<(IpAddr, IpAddr), Option<(usize, NextHop)>, RandomState>,
    hops_max: usize,
    clock: HopClock,
    seen: u32,
    worker: usize,
    notices: NoticeSender,
    /// Our addresses: nobody else sends from them. The kernel takes such packets for forged, too.
    own: Vec<IpAddr>,
    /// Where each datagram of a batch was sent to.
    arrived: Vec<SocketAddr>,
}

/// One socket.
struct At {
    socket: FrameSocket,
    /// Its interface is gone.
    gone: bool,
    leaving: Vec<Leaving>,
}

/// A datagram that waits to be sent.
struct Leaving {
    buffer: usize,
    hop: NextHop,
    header: IpHeader,
}

impl Frames {
    /// Of a worker with ports at these addresses, which tells control by `notices` what it wants to know.
    pub(super) fn new(
        plan: FramesPlan,
        (worker, notices): (usize, NoticeSender),
        own: Vec<IpAddr>,
        batch: usize,
    ) -> Self {
        let mut queues: HashMap<u32, Vec<usize>> = HashMap::new();
        for (place, at) in plan.sockets.iter().enumerate() {
            queues.entry(at.ifindex).or_default().push(place);
        }
        // Workers share an interface's queues evenly.
        let exit = |(ifindex, places): (u32, Vec<usize>)| (ifindex, places[worker % places.len()]);
        let at = plan.sockets.into_iter().map(|at| At {
            socket: at.socket,
            gone: false,
            leaving: Vec::with_capacity(batch),
        });
        Self {
            at: at.collect(),
            exits: queues.into_iter().map(exit).collect(),
            hops: HashMap::default(),
            hops_max: plan.hops_max.max(1),
            seen: plan.clock.now(),
            clock: plan.clock,
            worker,
            notices,
            own,
            arrived: Vec::with_capacity(batch),
        }
    }

    /// Where frames come from, in the order of their places.
    pub(super) fn ears(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.at.iter().map(|at| at.socket.as_fd())
    }

    /// One of them, unless it has none any more.
    pub(super) fn ear(&self, place: usize) -> Option<BorrowedFd<'_>> {
        let at = self.at.get(place).filter(|at| !at.gone);
        at.map(|at| at.socket.as_fd())
    }

    /// No frames come to a place any more.
    pub(super) fn leave(&mut self, place: usize) {
        if let Some(at) = self.at.get_mut(place) {
            at.gone = true;
        }
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.at.len()
    }

    /// Whether any have come, without a system call.
    pub(super) fn has_some(&self) -> bool {
        self.at.iter().any(|at| !at.gone && at.socket.has_some())
    }

    /// Receives frames of one place: their datagrams into the front of `buffers`, and who sent each into the front of `from`.
    /// Returns how many frames came, and how many datagrams were in them.
    pub(super) fn receive(
        &mut self,
        place: usize,
        buffers: &mut [PacketBuf],
        from: &mut [SocketAddr],
        stats: &IoStats,
    ) -> (usize, usize) {
        self.arrived.clear();
        let Some(at) = self.at.get_mut(place) else {
            return (0, 0);
        };
        let (arrived, own) = (&mut self.arrived, &self.own);
        let came = at
            .socket
            .receive(buffers.len(), |octets| match Heard::read(octets) {
                Some(heard) if !own.contains(&heard.from.ip()) => {
                    let next = arrived.len();
                    buffers[next].fill(heard.payload);
                    from[next] = heard.from;
                    arrived.push(heard.to);
                }
                _ => stats.frames_damaged.add(1),
            });
        stats.frames_received.add(came as u64);
        (came, self.arrived.len())
    }

    /// Where a datagram of the batch was sent to.
    pub(super) fn arrived(&self, at: usize) -> SocketAddr {
        self.arrived[at]
    }

    /// Forgets next hops that may have changed. To be called before each batch that is sent.
    pub(super) fn renew(&mut self) {
        let now = self.clock.now();
        if now != self.seen {
            self.seen = now;
            self.hops.clear();
        }
    }

    /// Takes a datagram to be sent with the next [`flush`](Self::flush). False: it is to take its way through the kernel.
    pub(super) fn take(
        &mut self,
        local: IpAddr,
        to: SocketAddr,
        header: IpHeader,
        (buffer, len): (usize, usize),
    ) -> bool {
        let ends = (local, to.ip());
        let (exit, hop) = match self.hops.get(&ends) {
            Some(Some(known)) => *known,
            Some(None) => return false,
            None => {
                self.ask(ends);
                return false;
            }
        };
        let fits = frame::fits(&hop, &header, len);
        if fits {
            self.at[exit].leaving.push(Leaving { buffer, hop, header });
        }
        fits
    }

    /// Sends what was taken.
    pub(super) fn flush(&mut self, buffers: &[PacketBuf], stats: &IoStats) {
        for At { socket, leaving, .. } in &mut self.at {
            if leaving.is_empty() {
                continue;
            }
            let sent = socket.send(leaving.len(), |at, frame| {
                let Leaving { buffer, hop, header } = &leaving[at];
                frame::write(frame, hop, header, buffers[*buffer].data())
            });
            let (sent, fault) = match sent {
                Ok(sent) => (sent, SendFault::BufferFull),
                Err(error) => {
                    // Until control has found out what became of the interface.
                    self.hops.clear();
                    (0, SendFault::of(&error))
                }
            };
            let (gone, lost) = leaving.split_at(sent);
            stats.sent.add(gone.len() as u64);
            stats.frames_sent.add(gone.len() as u64);
            let octets = gone.iter().map(|gone| buffers[gone.buffer].len() as u64);
            stats.sent_octets.add(octets.sum());
            lost.iter().for_each(|_| stats.count_fault(fault));
            leaving.clear();
        }
    }

    /// Takes an answer of control, unless things have changed since.
    pub(super) fn learn(&mut self, answer: HopAnswer) {
        self.renew();
        if answer.at != self.seen {
            return;
        }
        let exit = |hop: NextHop| Some((*self.exits.get(&hop.ifindex)?, hop));
        let known = answer.hop.and_then(exit);
        if let Some(slot) = self.hops.get_mut(&answer.ends) {
            *slot = known;
        }
    }

    fn ask(&mut self, ends: (IpAddr, IpAddr)) {
        if self.hops.len() >= self.hops_max {
            self.hops.clear();
        }
        let worker = self.worker;
        if self
            .notices
            .queue
            .try_send(Notice::NextHop { worker, ends })
            .is_ok()
        {
            self.notices.nudge.ring();
            self.hops.insert(ends, None);
        }
    }
}
