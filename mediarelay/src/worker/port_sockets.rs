//! The way that needs no privilege: a socket for each port, and one of each worker on the browsers' port.
//!
//! A port of its own has one datagram waiting as a rule, even after a tick, so it is read once per wake-up and written
//! at once: batches of one cost more than they save (measured: 1.14 against 1.00). The browsers' port is where datagrams
//! collect; there whole batches are read and written.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use viaduct_forward::{PacketBuf, SocketId};

use super::batch::{BATCH_MAX, Departing, Headers};
use super::io::{Departure, Found, MediaIo, Wait};
use super::mailbox::Bell;
use super::stats::{IoStats, SendFault};
use crate::limits::ShellLimits;
use crate::socket::{MediaSocket, Sharing};

/// Batches read from one shared socket before the others have their turn.
const BATCHES_PER_TURN: usize = 4;

/// What [`Wait::Briefly`] means.
const BRIEFLY_MILLIS: u8 = 10;

/// Stands for the mailbox among the sockets' numbers, which have 32 bits.
const BELL: u64 = u64::MAX;

/// See the module.
pub(super) struct PortSockets {
    epoll: Epoll,
    /// By the sockets' numbers.
    sockets: Vec<Option<End>>,
    ready: Box<[EpollEvent]>,
    ready_count: usize,
    /// What datagrams are read into and sent from.
    buffers: Box<[PacketBuf]>,
    /// So many buffers at the front wait in a shared socket's `departing`.
    held: usize,
    /// Who sent what is in each buffer.
    from: Box<[SocketAddr]>,
    /// Shared sockets with something to send.
    departing: Vec<SocketId>,
    stats: Arc<IoStats>,
}

/// One socket.
struct End {
    socket: Arc<MediaSocket>,
    listening: bool,
    /// Of a shared one.
    batches: Option<Box<Batches>>,
}

struct Batches {
    headers: Headers,
    departing: Vec<Departing>,
}

impl PortSockets {
    /// What can fail: made before the thread is, since the rest belongs to the thread that uses it.
    pub(super) fn epoll(bell: &Bell) -> io::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(epoll)
    }

    pub(super) fn new(epoll: Epoll, limits: &ShellLimits, stats: Arc<IoStats>) -> Self {
        let batch = limits.batch.clamp(1, BATCH_MAX);
        Self {
            epoll,
            sockets: Vec::new(),
            ready: vec![EpollEvent::empty(); limits.ready_sockets.max(1)].into(),
            ready_count: 0,
            buffers: vec![PacketBuf::new(); batch].into(),
            held: 0,
            from: vec![SocketAddr::from(([0, 0, 0, 0], 0)); batch].into(),
            departing: Vec::new(),
            stats,
        }
    }

    fn end(&mut self, id: SocketId) -> Option<&mut End> {
        self.sockets.get_mut(id.0 as usize)?.as_mut()
    }

    /// Reads one datagram. Level-triggered: if there are more, the next wait says so at once.
    fn read_one(
        &mut self,
        id: SocketId,
        judge: &mut impl FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure,
    ) -> usize {
        let Some(Some(end)) = self.sockets.get(id.0 as usize) else {
            return 0;
        };
        let buffer = &mut self.buffers[self.held];
        let from = match end.socket.udp().recv_from(buffer.receive_space()) {
            Ok((len, from)) => {
                buffer.set_received(len);
                from
            }
            Err(error) => {
                self.count_receive_error(&error);
                return 0;
            }
        };
        if let Departure::By(via, to) = judge(id, from, buffer)
            && self.depart(self.held, via, to)
        {
            self.held += 1;
            if self.held == self.buffers.len() {
                self.flush();
            }
        }
        1
    }

    /// Reads a few batches.
    fn read_batches(
        &mut self,
        id: SocketId,
        judge: &mut impl FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure,
    ) -> usize {
        let mut received = 0;
        for _ in 0..BATCHES_PER_TURN {
            // A batch takes all buffers.
            self.flush();
            let Some(Some(End {
                socket,
                batches: Some(batches),
                ..
            })) = self.sockets.get_mut(id.0 as usize)
            else {
                break;
            };
            let count = match batches.headers.receive(socket, &mut self.buffers, &mut self.from) {
                Ok(count) => count,
                Err(error) => {
                    self.count_receive_error(&error);
                    break;
                }
            };
            for at in 0..count {
                if let Departure::By(via, to) = judge(id, self.from[at], &mut self.buffers[at]) {
                    self.depart(at, via, to);
                }
            }
            received += count;
            if count < self.buffers.len() {
                break;
            }
        }
        self.flush();
        received
    }

    fn count_receive_error(&self, error: &io::Error) {
        match error.kind() {
            // Somebody else read it, or its checksum was wrong.
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
            _ => self.stats.receive_errors.add(1),
        }
    }

    /// Sends a buffer, or puts it down for the next flush. Returns whether the buffer is still needed.
    fn depart(&mut self, buffer: usize, via: SocketId, to: SocketAddr) -> bool {
        let Some(Some(end)) = self.sockets.get_mut(via.0 as usize) else {
            self.stats.count_fault(SendFault::NoSocket);
            return false;
        };
        if let Some(batches) = &mut end.batches {
            if batches.departing.is_empty() {
                self.departing.push(via);
            }
            batches.departing.push((buffer, to));
            return true;
        }
        let data = self.buffers[buffer].data();
        match end.socket.udp().send_to(data, to) {
            Ok(_) => {
                self.stats.sent.add(1);
                self.stats.sent_octets.add(data.len() as u64);
            }
            Err(error) => self.stats.count_fault(SendFault::of(&error)),
        }
        false
    }

    /// Sends what was put down; all buffers are free afterwards.
    fn flush(&mut self) {
        while let Some(id) = self.departing.pop() {
            let Some(Some(End {
                socket,
                batches: Some(batches),
                ..
            })) = self.sockets.get_mut(id.0 as usize)
            else {
                continue;
            };
            let mut rest = &batches.departing[..];
            while !rest.is_empty() {
                match batches.headers.send(socket, &self.buffers, rest) {
                    Ok(sent) => {
                        let (gone, left) = rest.split_at(sent.clamp(1, rest.len()));
                        let octets: usize = gone.iter().map(|(at, _)| self.buffers[*at].len()).sum();
                        self.stats.sent.add(gone.len() as u64);
                        self.stats.sent_octets.add(octets as u64);
                        rest = left;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let fault = SendFault::of(&error);
                        // With a full buffer the others would fare no better.
                        let lost = if fault == SendFault::BufferFull {
                            rest.len()
                        } else {
                            1
                        };
                        (0..lost).for_each(|_| self.stats.count_fault(fault));
                        rest = &rest[lost..];
                    }
                }
            }
            batches.departing.clear();
        }
        self.held = 0;
    }
}

impl MediaIo for PortSockets {
    fn open(&mut self, id: SocketId, socket: Arc<MediaSocket>, listen: bool) -> io::Result<()> {
        self.close(id);
        if listen {
            self.epoll
                .add(&*socket, EpollEvent::new(EpollFlags::EPOLLIN, id.0.into()))?;
            self.stats.sockets.add(1);
        }
        let batch = self.buffers.len();
        let batches = match socket.sharing() {
            Sharing::Alone => None,
            Sharing::AmongWorkers => Some(Box::new(Batches {
                headers: Headers::new(socket.local(), batch),
                departing: Vec::with_capacity(batch),
            })),
        };
        let at = id.0 as usize;
        if at >= self.sockets.len() {
            self.sockets.resize_with(at + 1, || None);
            self.departing.reserve(self.sockets.len());
        }
        self.sockets[at] = Some(End {
            socket,
            listening: listen,
            batches,
        });
        Ok(())
    }

    fn close(&mut self, id: SocketId) {
        if let Some(end) = self.sockets.get_mut(id.0 as usize).and_then(Option::take)
            && end.listening
        {
            // Other threads may still hold the descriptor, so it must be taken out here.
            let _ = self.epoll.delete(&*end.socket);
            self.stats.sockets.set(self.stats.sockets.get().saturating_sub(1));
        }
    }

    fn wait(&mut self, wait: Wait) -> io::Result<Found> {
        let timeout = match wait {
            Wait::ForWork => EpollTimeout::NONE,
            Wait::Briefly => EpollTimeout::from(BRIEFLY_MILLIS),
            Wait::Look => EpollTimeout::ZERO,
        };
        self.ready_count = match self.epoll.wait(&mut self.ready, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let bell = self.ready[..self.ready_count]
            .iter()
            .any(|event| event.data() == BELL);
        Ok(Found {
            bell,
            datagrams: self.ready_count > usize::from(bell),
        })
    }

    fn exchange(
        &mut self,
        mut judge: impl FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure,
    ) -> usize {
        let mut received = 0;
        for at in 0..self.ready_count {
            let Ok(id) = u32::try_from(self.ready[at].data()).map(SocketId) else {
                continue;
            };
            let is_shared = self.end(id).is_some_and(|end| end.batches.is_some());
            received += if is_shared {
                self.read_batches(id, &mut judge)
            } else {
                self.read_one(id, &mut judge)
            };
        }
        self.flush();
        self.ready_count = 0;
        self.stats.received.add(received as u64);
        received
    }

    fn inject(&mut self, datagram: &[u8], judge: impl FnOnce(&mut PacketBuf) -> Departure) {
        self.flush();
        let buffer = &mut self.buffers[0];
        buffer.fill(datagram);
        if let Departure::By(via, to) = judge(buffer) {
            self.depart(0, via, to);
        }
        self.flush();
    }
}

#[cfg(test)]
mod tests;
