//! One worker's thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use viaduct_forward::{
    Command, Epoch, Limits, Out, PacketBuf, Report, Shared, SocketId, Tick, Verdict, Worker, WorkerStats,
};

use super::frames::{Frames, FramesPlan};
use super::io::{Departure, Found, Judge, MediaIo, Wait};
use super::mailbox::{Mailbox, MailboxReader, Notice, NoticeSender, Order, OrderFault, mailbox};
use super::pace::Pace;
use super::port_sockets::PortSockets;
use super::stats::IoStats;
use crate::lane::Lane;
use crate::limits::ShellLimits;
use crate::socket::MediaPort;

/// What a worker is made from.
#[derive(Debug)]
pub(crate) struct WorkerPlan {
    /// Its place among the workers, from 0.
    pub(crate) number: usize,
    pub(crate) epoch: Epoch,
    pub(crate) forward: Limits,
    pub(crate) shared: Shared,
    pub(crate) hash_seed: [u64; 2],
    pub(crate) limits: ShellLimits,
    pub(crate) notices: NoticeSender,
    /// Its lanes, one for each address whose ports are steered.
    pub(crate) lanes: Vec<Arc<Lane>>,
    /// Its frames, if interfaces hand on any.
    pub(crate) frames: Option<FramesPlan>,
}

/// What others see of a worker.
#[derive(Debug)]
pub(crate) struct WorkerThread {
    pub(crate) mailbox: Mailbox,
    pub(crate) io: Arc<IoStats>,
    pub(crate) forward: Arc<WorkerStats>,
}

impl WorkerThread {
    /// Makes a worker, and the body of its thread.
    ///
    /// # Errors
    /// No descriptor is left for its epoll and its mailbox.
    pub(crate) fn prepare(plan: WorkerPlan) -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let (mailbox, reader) = mailbox(plan.limits.orders_queued)?;
        let stats = Arc::new(IoStats::default());
        let batch = plan.limits.batch;
        let own = plan.lanes.iter().map(|lane| lane.address()).collect();
        let desk = (plan.number, plan.notices.clone());
        let frames = plan.frames.map(|frames| Frames::new(frames, desk, own, batch));
        let epoll = PortSockets::epoll(&reader.bell(), &plan.lanes, frames.as_ref())?;
        let worker = Worker::new(plan.forward, plan.shared, plan.hash_seed);
        let thread = Self {
            mailbox,
            io: Arc::clone(&stats),
            forward: worker.stats(),
        };
        let body = move || {
            let body = Body {
                io: PortSockets::new(epoll, (plan.lanes, frames), &plan.limits, Arc::clone(&stats)),
                pace: Pace::new(&plan.limits),
                napped: false,
                desk: Desk {
                    worker,
                    outbox: Outbox {
                        number: plan.number,
                        notices: plan.notices,
                        waiting: None,
                        told: false,
                        stats,
                    },
                },
                orders: reader,
                epoch: plan.epoch,
            };
            body.run();
        };
        Ok((thread, body))
    }
}

struct Body<I> {
    io: I,
    desk: Desk,
    pace: Pace,
    /// Nothing was read since the last nap.
    napped: bool,
    orders: MailboxReader,
    epoch: Epoch,
}

/// Judges datagrams.
struct Desk {
    worker: Worker,
    outbox: Outbox,
}

/// Tells control.
struct Outbox {
    number: usize,
    notices: NoticeSender,
    /// A report that found the queue full.
    waiting: Option<Report>,
    /// Something was put into the queue since control was woken last.
    told: bool,
    stats: Arc<IoStats>,
}

impl<I: MediaIo> Body<I> {
    fn run(mut self) {
        self.desk
            .outbox
            .stats
            .set_thread(nix::unistd::gettid().as_raw().unsigned_abs());
        let mut wait = Wait::ForWork;
        loop {
            let found = match self.io.wait(wait) {
                Ok(found) => found,
                // Only a descriptor that is none gets here.
                Err(error) => unreachable!("waiting for sockets: {error}"),
            };
            if found.bell {
                self.orders.heard();
            }
            if self.orders.has_some() && self.carry_out_orders() {
                break;
            }
            wait = self.turn(found);
        }
        self.desk.outbox.wake_control();
    }

    /// Reads what was found. Says how to wait next.
    fn turn(&mut self, found: Found) -> Wait {
        if !found.datagrams {
            // Orders may have made reports, and one may wait from before.
            self.desk.report();
            let nap = self.pace.nap().filter(|_| !self.napped);
            self.napped = false;
            let Some(nap) = nap else {
                return self.desk.patience();
            };
            if !found.bell {
                self.desk.outbox.stats.naps.add(1);
                std::thread::sleep(nap);
                self.napped = true;
            }
            return Wait::Look;
        }
        self.napped = false;
        self.desk.outbox.stats.wakeups.add(1);
        let now = self.now();
        let desk = &mut self.desk;
        let read = self.io.exchange(&mut DeskAt { desk, now });
        self.send_copies();
        self.desk.report();
        self.pace.on_batch(now, read);
        // Before a nap everything is read; without one the next wait tells of what is left.
        if self.pace.nap().is_some() {
            Wait::Look
        } else {
            self.desk.patience()
        }
    }

    /// Sends what listeners hear.
    fn send_copies(&mut self) {
        let worker = &mut self.desk.worker;
        while worker.has_copies() {
            let departure = |(out, via): (Out, SocketId)| Departure::By(via, out.remote);
            self.io.inject(&[], |buffer| {
                let copy = worker.poll_copy(buffer);
                copy.map_or(Departure::None, departure)
            });
        }
    }

    fn now(&self) -> Tick {
        self.epoch.tick(Instant::now())
    }

    fn open(&mut self, id: SocketId, port: MediaPort, listen: bool) -> Result<(), OrderFault> {
        let opened = self.io.open(id, port, listen);
        opened.map_err(|error| OrderFault::Socket { id, error })
    }

    /// Returns whether the thread is to end.
    fn carry_out_orders(&mut self) -> bool {
        let now = self.now();
        while let Some(order) = self.orders.next() {
            self.desk.outbox.stats.orders.add(1);
            let done = match order {
                Order::Open { id, port, listen } => {
                    let local = port.local();
                    self.open(id, port, listen)
                        .and_then(|()| self.desk.apply(now, Command::BindSocket { socket: id, local }))
                }
                Order::Replace { id, port, listen } => self.open(id, port, listen),
                Order::Close { id } => {
                    self.io.close(id);
                    self.desk.apply(now, Command::UnbindSocket { socket: id })
                }
                Order::Apply(command) => self.desk.apply(now, command),
                Order::Inject {
                    socket,
                    from,
                    datagram,
                } => {
                    let desk = &mut self.desk;
                    self.io
                        .inject(&datagram, |buffer| desk.judge(now, socket, from, buffer));
                    self.send_copies();
                    Ok(())
                }
                Order::NextHop(answer) => {
                    self.io.learn(answer);
                    Ok(())
                }
                Order::Stop => return true,
            };
            if let Err(fault) = done {
                self.desk.outbox.failed(fault);
            }
        }
        false
    }
}

/// The same at a moment: that of a whole batch.
struct DeskAt<'d> {
    desk: &'d mut Desk,
    now: Tick,
}

impl Judge for DeskAt<'_> {
    fn expect(&mut self, datagrams: &[(SocketId, SocketAddr)]) {
        self.desk.worker.look_ahead(datagrams);
    }

    #[inline]
    fn judge(&mut self, socket: SocketId, from: SocketAddr, buffer: &mut PacketBuf) -> Departure {
        self.desk.judge(self.now, socket, from, buffer)
    }
}

impl Desk {
    #[inline]
    fn judge(&mut self, now: Tick, socket: SocketId, from: SocketAddr, buffer: &mut PacketBuf) -> Departure {
        match self.worker.handle_datagram(now, socket, from, buffer) {
            Verdict::Forward { out, via } => {
                self.outbox.stats.forwarded_octets.add(buffer.len() as u64);
                Departure::By(via, out.remote)
            }
            Verdict::Reply => Departure::By(socket, from),
            Verdict::ToControl(what) => {
                let data = buffer.data().into();
                let worker = self.outbox.number;
                self.outbox.datagram(Notice::Datagram {
                    worker,
                    what,
                    socket,
                    from,
                    data,
                });
                Departure::None
            }
            Verdict::Drop(_) => Departure::None,
        }
    }

    fn apply(&mut self, now: Tick, command: Command) -> Result<(), OrderFault> {
        let name = command_name(&command);
        self.worker
            .handle_command(now, command)
            .map_err(|error| OrderFault::Command { command: name, error })
    }

    /// Tells control what happened. A report that finds no room waits here, and those behind it in the worker.
    fn report(&mut self) {
        while let Some(report) = self.outbox.waiting.take().or_else(|| self.worker.poll_report()) {
            if !self.outbox.report(report) {
                break;
            }
        }
        self.outbox.wake_control();
    }

    /// How to wait when there is nothing to read.
    fn patience(&self) -> Wait {
        if self.outbox.waiting.is_some() {
            Wait::Briefly
        } else {
            Wait::ForWork
        }
    }
}

impl Outbox {
    fn datagram(&mut self, notice: Notice) {
        match self.notices.queue.try_send(notice) {
            Ok(()) => self.told = true,
            Err(_) => self.stats.notices_lost.add(1),
        }
    }

    /// Returns whether there was room.
    fn report(&mut self, report: Report) -> bool {
        let worker = self.number;
        match self.notices.queue.try_send(Notice::Report { worker, report }) {
            Ok(()) => {
                self.told = true;
                true
            }
            Err(TrySendError::Full(_)) => {
                self.stats.reports_held.add(1);
                self.waiting = Some(report);
                // Control is at work on what fills the queue; it must come back to what waits here.
                self.told = true;
                false
            }
            // Control is gone, and this thread is about to be told.
            Err(TrySendError::Disconnected(_)) => true,
        }
    }

    fn failed(&mut self, fault: OrderFault) {
        self.stats.orders_failed.add(1);
        let worker = self.number;
        self.datagram(Notice::Failed { worker, fault });
    }

    fn wake_control(&mut self) {
        if std::mem::take(&mut self.told) {
            self.notices.nudge.ring();
        }
    }
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::BindSocket { .. } => "bind socket",
        Command::UnbindSocket { .. } => "unbind socket",
        Command::SetPort(_) => "set port",
        Command::ClearPort { .. } => "clear port",
        Command::InstallFlow(_) => "install flow",
        Command::RemoveFlow { .. } => "remove flow",
        Command::SetIce(_) => "set ICE credentials",
        Command::RemoveIce { .. } => "remove ICE credentials",
        Command::SelectTuple { .. } => "select addresses",
        Command::AllowDtls { .. } => "allow DTLS",
        Command::RevokeDtls { .. } => "revoke DTLS",
        Command::ExpectStun { .. } => "expect STUN answer",
        Command::ReportSent { .. } => "note a report",
    }
}

#[cfg(test)]
mod tests;
