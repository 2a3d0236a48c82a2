//! A socket for each port, which needs no privilege; one of each worker on the browsers' port; and lanes for ports that a program
//! in the kernel steers, which have no sockets.
//!
//! A socket of one port has one datagram waiting as a rule, even after a tick, so it is read once per wake-up: batches of one cost
//! more than they save (measured: 1.14 against 1.00). The browsers' port and lanes are where datagrams collect; there whole batches
//! are read and written. What single sockets have is judged batch by batch as well, so that what many datagrams need is fetched
//! from memory at a time.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit};
use viaduct_forward::{PacketBuf, SocketId};

use super::batch::{BATCH_MAX, Headers};
use super::bursts::{self, Bursts};
use super::frames::{Frames, HopAnswer};
use super::io::{Departure, Found, Judge, MediaIo, Wait};
use super::mailbox::Bell;
use super::stats::{IoStats, SendFault};
use super::steered::WorkerLane;
use crate::lane::{Lane, SteeredPort};
use crate::limits::ShellLimits;
use crate::socket::{MediaPort, MediaSocket, Sharing};

/// Batches read from one shared socket before the others have their turn.
const BATCHES_PER_TURN: usize = 4;

/// What [`Wait::Briefly`] means.
const BRIEFLY_MILLIS: u8 = 10;

/// Frames of one turn from which on a worker that looks at each tick anyway is not told of them. While the kernel has to tell, it looks
/// through its list of those to be told with each frame that has been sent, too, which takes a twentieth of what a packet costs.
const UNTOLD_FROM: usize = 16;

/// Stands for the socket of a datagram that is nobody's.
const NO_SOCKET: SocketId = SocketId(u32::MAX);

/// Stands for the mailbox among the sockets' numbers, which have 32 bits.
const BELL: u64 = u64::MAX;

/// The first lane among them; others follow.
const LANES: u64 = 1 << 32;

/// The first socket for frames.
const FRAMES: u64 = 1 << 33;

/// The first further socket of the first port; the next one of the same port is as far from it.
const CONNECTED: u64 = 1 << 34;

/// Datagrams that a port hears from one peer, one after the other, before it gets a further socket for it: half a second of speech.
const REGULAR: u8 = 25;

/// Ports that get a further socket in one turn, which takes some 20 µs for each; others wait.
const CONNECTED_PER_TURN: usize = 4;

/// Ports that may wait for it; others have to be heard for as long again.
const REGULAR_WAITING: usize = 4_096;

/// See the module.
pub(super) struct PortSockets {
    epoll: Epoll,
    /// By the sockets' numbers.
    sockets: Vec<Option<End>>,
    ready: Box<[EpollEvent]>,
    ready_count: usize,
    /// What datagrams are read into and sent from.
    buffers: Box<[PacketBuf]>,
    /// Who sent what is in each buffer.
    from: Box<[SocketAddr]>,
    /// For which socket each datagram in the buffers is that is to be judged, and who sent it.
    heard: Vec<(SocketId, SocketAddr)>,
    /// Which of them leave: where each stands, by which socket, and to whom.
    leaving: Vec<(usize, SocketId, SocketAddr)>,
    lanes: Vec<WorkerLane>,
    frames: Option<Frames>,
    /// Whether the kernel tells of frames.
    frames_told: bool,
    /// Frames of the last turn.
    frames_read: usize,
    /// Who has something to send.
    departing: Vec<Exit>,
    /// Ports that have heard one peer alone for a while, and may get a further socket for it.
    regular: VecDeque<(SocketId, SocketAddr)>,
    connected_max: u64,
    /// Further sockets have no descriptor from here on.
    descriptors_max: RawFd,
    stats: Arc<IoStats>,
}

/// One port.
enum End {
    Own {
        socket: Arc<MediaSocket>,
        listening: bool,
        regular: Regular,
    },
    Shared {
        socket: Arc<MediaSocket>,
        listening: bool,
        batches: Box<Batches>,
    },
    Steered {
        port: Arc<SteeredPort>,
        /// Its place in `lanes`.
        lane: usize,
    },
}

/// Whether a port hears one peer alone.
#[derive(Debug, Clone, Copy, Default)]
struct Regular {
    /// The peer's port, which tells peers apart well enough.
    port: u16,
    /// Datagrams from there in a row.
    count: u8,
}

impl Regular {
    /// Takes a datagram in. True with the one that makes the peer the one.
    fn hears(&mut self, from: SocketAddr) -> bool {
        if self.port != from.port() {
            *self = Self {
                port: from.port(),
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        self.count == REGULAR
    }

    /// Whether this peer is still the one.
    fn has(&self, peer: SocketAddr) -> bool {
        self.port == peer.port() && self.count >= REGULAR
    }
}

struct Batches {
    headers: Headers,
    bursts: Bursts,
    /// Where each stands that waits to be sent, and where it goes.
    departing: Vec<(usize, SocketAddr)>,
}

/// This one of a port's further sockets is ready.
fn connected_event(id: SocketId, place: usize) -> EpollEvent {
    let number = CONNECTED * (place as u64 + 1) + u64::from(id.0);
    EpollEvent::new(EpollFlags::EPOLLIN, number)
}

/// The port that one of the sockets' numbers stands for, and which of its further sockets, if it is none of the first ones.
fn port_of(number: u64) -> (SocketId, Option<usize>) {
    let place = (number / CONNECTED).checked_sub(1);
    (SocketId(number as u32), place.map(|place| place as usize))
}

/// Of the descriptors that this process may have.
fn half_of_descriptors() -> RawFd {
    let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    RawFd::try_from(most / 2).unwrap_or(RawFd::MAX)
}

/// Where batches leave.
#[derive(Clone, Copy)]
enum Exit {
    Shared(SocketId),
    Lane(usize),
}

impl PortSockets {
    /// What can fail: made before the thread is, since the rest belongs to the thread that uses it.
    pub(super) fn epoll(bell: &Bell, lanes: &[Arc<Lane>], frames: Option<&Frames>) -> io::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        for (number, lane) in (LANES..).zip(lanes) {
            epoll.add(lane.ears(), EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        for (number, ear) in (FRAMES..).zip(frames.into_iter().flat_map(Frames::ears)) {
            epoll.add(ear, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        Ok(epoll)
    }

    /// With the lanes and frames that `epoll` was made for.
    pub(super) fn new(
        epoll: Epoll,
        (lanes, frames): (Vec<Arc<Lane>>, Option<Frames>),
        limits: &ShellLimits,
        stats: Arc<IoStats>,
    ) -> Self {
        let batch = limits.batch.clamp(1, BATCH_MAX);
        let lanes = lanes.into_iter().map(|lane| WorkerLane::new(lane, batch));
        let lanes: Vec<WorkerLane> = lanes.collect();
        stats.sockets.add(lanes.len() as u64);
        Self {
            epoll,
            sockets: Vec::new(),
            ready: vec![EpollEvent::empty(); limits.ready_sockets.max(1)].into(),
            ready_count: 0,
            buffers: vec![PacketBuf::new(); batch].into(),
            from: vec![SocketAddr::from(([0, 0, 0, 0], 0)); batch].into(),
            heard: Vec::with_capacity(batch),
            leaving: Vec::with_capacity(batch),
            departing: Vec::with_capacity(lanes.len()),
            regular: VecDeque::new(),
            connected_max: limits.connected_sockets as u64,
            descriptors_max: half_of_descriptors(),
            lanes,
            frames,
            frames_told: true,
            frames_read: 0,
            stats,
        }
    }

    fn end_of(&self, socket: Arc<MediaSocket>, listening: bool) -> End {
        match socket.sharing() {
            Sharing::Alone => End::Own {
                socket,
                listening,
                regular: Regular::default(),
            },
            Sharing::AmongWorkers => {
                let batch = self.buffers.len();
                let batches = Box::new(Batches {
                    headers: Headers::new(socket.local(), batch),
                    bursts: Bursts::new(&*socket, batch),
                    departing: Vec::with_capacity(batch),
                });
                End::Shared {
                    socket,
                    listening,
                    batches,
                }
            }
        }
    }

    /// Reads one datagram, to be judged with others. Level-triggered: if there are more, the next wait says so at once.
    fn read_one(&mut self, id: SocketId, judge: &mut impl Judge) -> usize {
        let Some(Some(End::Own { socket, regular, .. })) = self.sockets.get_mut(id.0 as usize) else {
            return 0;
        };
        let buffer = &mut self.buffers[self.heard.len()];
        match socket.udp().recv_from(buffer.receive_space()) {
            Ok((len, from)) => {
                buffer.set_received(len);
                self.heard.push((id, from));
                if regular.hears(from) {
                    if self.regular.len() < REGULAR_WAITING {
                        self.regular.push_back((id, from));
                    } else {
                        *regular = Regular::default();
                    }
                }
            }
            Err(error) => {
                self.count_receive_error(&error);
                return 0;
            }
        }
        self.judge_if_full(judge)
    }

    /// The same at one of the further sockets of a port.
    fn read_connected(&mut self, id: SocketId, place: usize, judge: &mut impl Judge) -> usize {
        let Some(Some(End::Own { socket, .. })) = self.sockets.get(id.0 as usize) else {
            return 0;
        };
        let buffer = &mut self.buffers[self.heard.len()];
        let udp = socket.connected().nth(place);
        // An error is what the network says of a datagram that was sent, which first sockets do not hear either.
        let Some(Ok((len, from))) = udp.map(|udp| udp.recv_from(buffer.receive_space())) else {
            return 0;
        };
        buffer.set_received(len);
        self.heard.push((id, from));
        self.judge_if_full(judge)
    }

    /// One datagram was read.
    fn judge_if_full(&mut self, judge: &mut impl Judge) -> usize {
        if self.heard.len() == self.buffers.len() {
            self.judge_heard(judge);
        }
        1
    }

    /// Gives ports that hear one peer alone a further socket for it, where there is room.
    fn connect_regular(&mut self) {
        let now = self.regular.len().min(CONNECTED_PER_TURN);
        for (id, peer) in self.regular.drain(..now) {
            let Some(Some(End::Own { socket, regular, .. })) = self.sockets.get(id.0 as usize) else {
                continue;
            };
            if !regular.has(peer) || self.stats.connected.get() >= self.connected_max {
                continue;
            }
            let event = connected_event(id, socket.connected().count());
            let watch = |udp: BorrowedFd<'_>| Ok(self.epoll.add(udp, event)?);
            match socket.connect(peer, self.descriptors_max, watch) {
                Ok(()) => self.stats.connected.add(1),
                // All is as it was.
                Err(error) => tracing::debug!("{} gets no further socket: {error}", socket.local()),
            }
        }
    }

    /// Reads a few batches.
    fn read_batches(&mut self, id: SocketId, judge: &mut impl Judge) -> usize {
        let mut received = 0;
        // A batch takes all buffers.
        self.judge_heard(judge);
        for _ in 0..BATCHES_PER_TURN {
            let Some(Some(End::Shared { socket, batches, .. })) = self.sockets.get_mut(id.0 as usize) else {
                break;
            };
            let headers = &mut batches.headers;
            let count = match headers.receive(socket.as_fd(), &mut self.buffers, &mut self.from) {
                Ok(count) => count,
                Err(error) => {
                    self.count_receive_error(&error);
                    break;
                }
            };
            self.judge_batch(count, |_, _| Some(id), judge);
            received += count;
            if count < self.buffers.len() {
                break;
            }
        }
        received
    }

    /// The same at a lane.
    fn read_lane(&mut self, lane: usize, judge: &mut impl Judge) -> usize {
        let mut received = 0;
        self.judge_heard(judge);
        for _ in 0..BATCHES_PER_TURN {
            let Some(reading) = self.lanes.get_mut(lane) else {
                break;
            };
            let count = match reading.receive(&mut self.buffers, &mut self.from) {
                Ok(count) => count,
                Err(error) => {
                    self.count_receive_error(&error);
                    break;
                }
            };
            self.judge_batch(count, |io, at| io.lanes[lane].socket(at), judge);
            received += count;
            if count < self.buffers.len() {
                break;
            }
        }
        received
    }

    /// The same with frames.
    fn read_frames(&mut self, place: usize, judge: &mut impl Judge) -> usize {
        let mut received = 0;
        self.judge_heard(judge);
        for _ in 0..BATCHES_PER_TURN {
            let Some(frames) = &mut self.frames else { break };
            let (came, count) = frames.receive(place, &mut self.buffers, &mut self.from, &self.stats);
            self.judge_batch(count, Self::hearer, judge);
            received += count;
            if came < self.buffers.len() {
                break;
            }
        }
        received
    }

    /// Watches a socket for frames no more: its interface is gone.
    fn leave_frames(&mut self, place: usize) {
        let Some(frames) = &mut self.frames else { return };
        if let Some(ear) = frames.ear(place) {
            let _ = self.epoll.delete(ear);
        }
        frames.leave(place);
    }

    /// Has the kernel tell of frames, or not. Where it cannot, they are looked for.
    fn tell_frames(&mut self, tell: bool) {
        let Some(frames) = self.frames.as_ref().filter(|_| self.frames_told != tell) else {
            return;
        };
        let ears = (0..frames.places()).filter_map(|place| Some((place, frames.ear(place)?)));
        self.frames_told = tell;
        for (place, ear) in ears {
            if tell {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, FRAMES + place as u64);
                let added = self.epoll.add(ear, event);
                self.frames_told &= matches!(added, Ok(()) | Err(Errno::EEXIST));
            } else {
                let _ = self.epoll.delete(ear);
            }
        }
    }

    /// Reads frames that nobody tells of.
    fn look_for_frames(&mut self, judge: &mut impl Judge) -> usize {
        let places = self.frames.as_ref().map_or(0, Frames::places);
        let places = if self.frames_told { 0 } else { places };
        (0..places).map(|place| self.read_frames(place, judge)).sum()
    }

    /// The socket that a datagram of a batch of frames is for.
    fn hearer(&self, at: usize) -> Option<SocketId> {
        let to = self.frames.as_ref()?.arrived(at);
        let lane = self.lanes.iter().find(|lane| lane.is_of(to))?;
        lane.socket_of(to.port())
    }

    /// Has so many datagrams at the front of the buffers judged, whose sockets `hearer` knows.
    fn judge_batch(
        &mut self,
        count: usize,
        hearer: impl Fn(&Self, usize) -> Option<SocketId>,
        judge: &mut impl Judge,
    ) {
        for at in 0..count {
            let id = hearer(self, at);
            if id.is_none() {
                self.stats.strays.add(1);
            }
            self.heard.push((id.unwrap_or(NO_SOCKET), self.from[at]));
        }
        self.judge_heard(judge);
    }

    /// Has the datagrams judged that were heard, and sends them where they are to go; all buffers are free afterwards. Each step is
    /// taken for all of them before the next, so that what it needs is fetched from memory for many at a time.
    fn judge_heard(&mut self, judge: &mut impl Judge) {
        if self.heard.is_empty() {
            return;
        }
        judge.expect(&self.heard);
        for (at, (id, from)) in self.heard.drain(..).enumerate() {
            if id != NO_SOCKET
                && let Departure::By(via, to) = judge.judge(id, from, &mut self.buffers[at])
            {
                self.leaving.push((at, via, to));
            }
        }
        self.fetch(self.leaving.iter().map(|(_, via, _)| *via));
        let mut leaving = std::mem::take(&mut self.leaving);
        for (at, via, to) in leaving.drain(..) {
            self.depart(at, via, to);
        }
        self.leaving = leaving;
        self.flush();
    }

    /// Has what is read of these ports come from memory at a time.
    fn fetch(&self, ports: impl Iterator<Item = SocketId>) {
        let marks = ports.map(|id| self.mark(id));
        black_box(marks.fold(0, usize::wrapping_add));
    }

    fn mark(&self, id: SocketId) -> usize {
        match self.sockets.get(id.0 as usize) {
            Some(Some(End::Steered { port, .. })) => port.tos().into(),
            Some(Some(End::Own { socket, .. })) => socket.glance(),
            _ => 0,
        }
    }

    fn count_receive_error(&self, error: &io::Error) {
        match error.kind() {
            // Somebody else read it, or its checksum was wrong.
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
            _ => self.stats.receive_errors.add(1),
        }
    }

    /// Sends a buffer, or puts it down for the next flush.
    fn depart(&mut self, buffer: usize, via: SocketId, to: SocketAddr) {
        match self.sockets.get_mut(via.0 as usize) {
            Some(Some(End::Own { socket, .. })) => {
                let data = self.buffers[buffer].data();
                match socket.send(data, to) {
                    Ok(_) => {
                        self.stats.sent.add(1);
                        self.stats.sent_octets.add(data.len() as u64);
                    }
                    Err(error) => self.stats.count_fault(SendFault::of(&error)),
                }
            }
            Some(Some(End::Shared { batches, .. })) => {
                if batches.departing.is_empty() {
                    self.departing.push(Exit::Shared(via));
                }
                batches.departing.push((buffer, to));
            }
            Some(Some(End::Steered { port, lane })) => {
                if self.lanes[*lane].depart(buffer, port, to) {
                    self.departing.push(Exit::Lane(*lane));
                }
            }
            Some(None) | None => self.stats.count_fault(SendFault::NoSocket),
        }
    }

    /// Sends what was put down.
    fn flush(&mut self) {
        if let Some(frames) = self.frames.as_mut().filter(|_| !self.departing.is_empty()) {
            frames.renew();
        }
        while let Some(exit) = self.departing.pop() {
            let id = match exit {
                Exit::Shared(id) => id,
                Exit::Lane(lane) => {
                    self.lanes[lane].flush(&self.buffers, self.frames.as_mut(), &self.stats);
                    continue;
                }
            };
            let Some(Some(End::Shared { socket, batches, .. })) = self.sockets.get_mut(id.0 as usize) else {
                continue;
            };
            let Batches {
                headers,
                bursts,
                departing,
            } = &mut **batches;
            let lane = self.lanes.iter().find(|lane| lane.is_of(socket.local()));
            if let Some((frames, lane)) = self.frames.as_mut().zip(lane) {
                departing.retain(|&(buffer, to)| {
                    let payload = self.buffers[buffer].data();
                    // Longer ones may be bursts, which the kernel sends at less cost.
                    if payload.len() >= bursts::OCTETS_MIN {
                        return true;
                    }
                    let header = lane.header(socket.local().port(), to, socket.tos(), payload);
                    let datagram = (buffer, payload.len());
                    !header.is_some_and(|header| frames.take(socket.local().ip(), to, header, datagram))
                });
            }
            if !departing.is_empty() {
                bursts.send((socket.as_fd(), headers), departing, &self.buffers, &self.stats);
            }
            departing.clear();
        }
        if let Some(frames) = &mut self.frames {
            frames.flush(&self.buffers, &self.stats);
        }
    }
}

impl MediaIo for PortSockets {
    fn open(&mut self, id: SocketId, port: MediaPort, listen: bool) -> io::Result<()> {
        self.close(id);
        let end = match port {
            MediaPort::Steered(port) => {
                let lane = self.lanes.iter().position(|lane| lane.is_of(port.local()));
                let lane = lane.ok_or(io::ErrorKind::AddrNotAvailable)?;
                if listen {
                    self.lanes[lane].lead(port.local().port(), id);
                }
                End::Steered { port, lane }
            }
            MediaPort::Socket(socket) => {
                // Its frames are handed to every worker.
                let lane = self.lanes.iter_mut().find(|lane| lane.is_of(socket.local()));
                if let Some(lane) = lane.filter(|_| listen) {
                    lane.lead(socket.local().port(), id);
                }
                if listen {
                    self.epoll
                        .add(&*socket, EpollEvent::new(EpollFlags::EPOLLIN, id.0.into()))?;
                    for (place, udp) in socket.connected().enumerate() {
                        self.epoll.add(udp, connected_event(id, place))?;
                        self.stats.connected.add(1);
                    }
                    self.stats.sockets.add(1);
                }
                self.end_of(socket, listen)
            }
        };
        let at = id.0 as usize;
        if at >= self.sockets.len() {
            self.sockets.resize_with(at + 1, || None);
            self.departing.reserve(self.sockets.len() + self.lanes.len());
        }
        self.sockets[at] = Some(end);
        Ok(())
    }

    fn close(&mut self, id: SocketId) {
        match self.sockets.get_mut(id.0 as usize).and_then(Option::take) {
            Some(
                End::Own {
                    socket, listening, ..
                }
                | End::Shared {
                    socket, listening, ..
                },
            ) if listening => {
                let lane = self.lanes.iter_mut().find(|lane| lane.is_of(socket.local()));
                if let Some(lane) = lane {
                    lane.forget(socket.local().port(), id);
                }
                // Other threads may still hold the descriptor, so it must be taken out here.
                let _ = self.epoll.delete(&*socket);
                for udp in socket.connected() {
                    let _ = self.epoll.delete(udp);
                    let connected = &self.stats.connected;
                    connected.set(connected.get().saturating_sub(1));
                }
                self.stats.sockets.set(self.stats.sockets.get().saturating_sub(1));
            }
            Some(End::Steered { port, lane }) => self.lanes[lane].forget(port.local().port(), id),
            _ => {}
        }
    }

    fn wait(&mut self, wait: Wait) -> io::Result<Found> {
        if wait != Wait::Look {
            self.tell_frames(true);
        } else if self.frames_read >= UNTOLD_FROM {
            self.tell_frames(false);
        }
        let timeout = match wait {
            Wait::ForWork if self.frames_told => EpollTimeout::NONE,
            Wait::ForWork | Wait::Briefly => EpollTimeout::from(BRIEFLY_MILLIS),
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
        let frames = !self.frames_told && self.frames.as_ref().is_some_and(Frames::has_some);
        Ok(Found {
            bell,
            datagrams: frames || self.ready_count > usize::from(bell),
        })
    }

    fn exchange(&mut self, judge: &mut impl Judge) -> usize {
        let mut received = self.look_for_frames(judge);
        self.frames_read = received;
        let ready = self.ready[..self.ready_count].iter();
        self.fetch(ready.map(|event| port_of(event.data()).0));
        for at in 0..self.ready_count {
            let number = self.ready[at].data();
            let Ok(id) = u32::try_from(number).map(SocketId) else {
                received += match number {
                    BELL => 0,
                    CONNECTED.. => match port_of(number) {
                        (id, Some(place)) => self.read_connected(id, place, judge),
                        (_, None) => 0,
                    },
                    FRAMES.. => {
                        let place = (number - FRAMES) as usize;
                        if !self.ready[at].events().contains(EpollFlags::EPOLLIN) {
                            self.leave_frames(place);
                        }
                        let read = self.read_frames(place, judge);
                        self.frames_read += read;
                        read
                    }
                    _ => self.read_lane((number - LANES) as usize, judge),
                };
                continue;
            };
            received += match self.sockets.get(id.0 as usize) {
                Some(Some(End::Shared { .. })) => self.read_batches(id, judge),
                _ => self.read_one(id, judge),
            };
        }
        self.judge_heard(judge);
        self.connect_regular();
        self.ready_count = 0;
        self.stats.received.add(received as u64);
        received
    }

    fn learn(&mut self, answer: HopAnswer) {
        if let Some(frames) = &mut self.frames {
            frames.learn(answer);
        }
    }

    fn inject(&mut self, datagram: &[u8], judge: impl FnOnce(&mut PacketBuf) -> Departure) {
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
