//! The control thread: one loop around the relay's brain.

mod bound;
mod crew;
mod digits;
mod dispatch;
mod events;
mod hops;
mod keeper;
mod kernel;
mod linger;
mod office;
mod patient_log;
mod pressure;
mod rebuild;
mod sockets;
mod stats;
mod steering;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::sync::broadcast;
use viaduct_forward::{CryptoTable, Epoch};
use viaduct_kmod_helper::BPFFS;
use viaduct_session::{Event, Relay};

use self::crew::Crew;
pub(crate) use self::hops::Hops;
use self::keeper::Keeper;
use self::kernel::Kernel;
pub use self::kernel::Outside;
pub(crate) use self::kernel::{KernelPlan, Told};
use self::linger::Linger;
use self::office::Furniture;
pub(crate) use self::office::Office;
use self::pressure::Pressure;
use self::sockets::Sockets;
pub use self::stats::ControlSnapshot;
pub(crate) use self::stats::ControlStats;
use self::steering::SteeredPorts;
pub(crate) use self::steering::SteeringPlan;
use crate::claim::Claims;
use crate::config::LoadLimits;
use crate::fax::FaxLine;
use crate::limits::ShellLimits;
use crate::line::{Ask, LineEnd};
use crate::ng::NgPort;
use crate::ng::udp::Next;
use crate::socket::{MediaSocket, SocketOptions};
use crate::state::{Saved, StateWriter};
use crate::worker::{Notice, Nudge, Order, WorkerThread};

/// How soon something is tried again that waits for workers.
const RETRY: Duration = Duration::from_millis(1);

/// How long the end waits for workers that do not take the order to end.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What control is made from.
pub(crate) struct ControlPlan {
    pub(crate) relay: Relay,
    pub(crate) workers: Vec<WorkerThread>,
    pub(crate) crypto: CryptoTable,
    /// The clock of the workers.
    pub(crate) epoch: Epoch,
    /// What ports of their own are set to.
    pub(crate) port_options: SocketOptions,
    /// Of each address with a browsers' port: a socket for each worker.
    pub(crate) shared: Vec<Vec<Arc<MediaSocket>>>,
    pub(crate) asks: LineEnd,
    pub(crate) notices: Receiver<Notice>,
    pub(crate) nudge: Nudge,
    /// Where the state of calls is written, if it is kept.
    pub(crate) state: Option<StateWriter>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stats: Arc<ControlStats>,
    pub(crate) limits: ShellLimits,
    /// The kernel path, if there is one.
    pub(crate) kernel: Option<KernelPlan>,
    /// What converts fax, if anything does.
    pub(crate) fax: Option<FaxLine>,
    /// What steers ports, if anything does.
    pub(crate) steering: Option<SteeringPlan>,
    /// What other relays see of the ports.
    pub(crate) claims: Claims,
    /// Beyond which no new calls are taken.
    pub(crate) load_limits: LoadLimits,
}

/// The control thread's body.
pub(crate) struct Control {
    office: Office,
    /// Listeners for NG over UDP.
    ng: Vec<NgPort>,
    asks: LineEnd,
    notices: Receiver<Notice>,
    nudge: Nudge,
    keeper: Option<Keeper>,
    pressure: Option<Pressure>,
    linger: Linger,
    budget: usize,
    /// Held as long as the ports are.
    _claims: Claims,
}

impl Control {
    pub(crate) fn new(now: Instant, plan: ControlPlan) -> Self {
        let io = plan.workers.iter().map(|worker| Arc::clone(&worker.io));
        let pressure = Pressure::new(now, plan.load_limits, io.collect());
        let mut crew = Crew::new(plan.workers.into_iter().map(|worker| worker.mailbox));
        let steering = plan.steering.map(|plan| SteeredPorts::new(now, plan));
        let mut sockets = Sockets::new(plan.port_options, steering);
        for group in plan.shared {
            sockets.share(group, &mut crew);
        }
        let budget = plan.limits.control_budget.max(1);
        let keeper = plan.state.map(|writer| Keeper::new(writer, &plan.limits));
        let office = Office::new(Furniture {
            relay: plan.relay,
            crew,
            sockets,
            crypto: plan.crypto,
            epoch: plan.epoch,
            events: plan.events,
            stats: plan.stats,
            limits: plan.limits,
            kernel: plan.kernel.map(|plan| Kernel::new(now, plan)),
            fax: plan.fax,
        });
        Self {
            office,
            ng: Vec::new(),
            asks: plan.asks,
            notices: plan.notices,
            nudge: plan.nudge,
            keeper,
            pressure,
            linger: Linger::new(),
            budget,
            _claims: plan.claims,
        }
    }

    /// Reads these from here on.
    pub(crate) fn listen(&mut self, ports: Vec<NgPort>) {
        self.ng = ports;
    }

    /// Fills the stock of ports, so that the first call finds it full.
    pub(crate) fn open_stock(&mut self, now: Instant) {
        self.office.carry_out(now);
        while self.office.open_ports(now) {}
        self.office.leave_unclaimed(now);
    }

    /// Goes on with the calls of an earlier relay. What became of them, in a line.
    pub(crate) fn rebuild(&mut self, now: Instant, saved: Saved) -> String {
        self.office.rebuild(now, saved)
    }

    /// Runs until it is told to stop. Each turn has the same order: media that is under way first, then commands, then
    /// time, then what can wait.
    pub(crate) fn run(mut self) {
        self.office.stats.begin();
        while !self.asks.is_stopped() {
            let now = Instant::now();
            // 1. What workers tell: handshakes, checks, first packets. Each is followed by what the relay wants done.
            let mut again = self.take_notices(now);
            // 2. Commands, and questions of people and programs.
            again |= self.take_ng(now);
            again |= self.take_asks(now);
            // 3. Timers.
            self.office.timeout(now);
            if let Some(pressure) = &mut self.pressure {
                pressure.look(now, &mut self.office.relay);
            }
            self.office.look_at_kernel(now);
            self.office.look_at_steering(now);
            // 4. Ports for calls to come.
            again |= self.office.open_ports(now);
            // 5. Workers hear of all this once.
            self.office.flush(now);
            // 6. What has changed about calls is kept, behind all else.
            if let Some(keeper) = &mut self.keeper {
                keeper.keep(now, &mut self.office.relay);
            }
            // 7. Sleep, unless a budget left something over.
            self.wait(if again {
                Some(Duration::ZERO)
            } else {
                self.patience()
            });
        }
        self.stop();
    }

    /// Returns whether there may be more.
    fn take_notices(&mut self, now: Instant) -> bool {
        for _ in 0..self.budget {
            match self.notices.try_recv() {
                Ok(notice) => self.office.notice(now, notice),
                Err(_) => return false,
            }
        }
        true
    }

    /// Returns whether there may be more.
    fn take_ng(&mut self, now: Instant) -> bool {
        for port in &mut self.ng {
            for _ in 0..self.budget {
                match port.next(now) {
                    Next::Nothing => break,
                    Next::Done => {}
                    Next::Message(case, arrival) => {
                        let answer = self.office.command(now, Some(case.client()), case.request());
                        port.answer(&case, &arrival, &answer);
                    }
                }
            }
        }
        self.ng.iter().any(NgPort::may_have_more)
    }

    /// Waits until there is something to do, at most so long.
    fn wait(&mut self, at_most: Option<Duration>) {
        if at_most == Some(Duration::ZERO) {
            self.look(at_most);
            return;
        }
        if let Some(longest) = self.linger.before(at_most) {
            let began = Instant::now();
            let mut found = false;
            while !found && began.elapsed() < longest {
                found = self.look(Some(Duration::ZERO));
            }
            self.linger.looked(found);
            if found {
                return;
            }
        }
        let began = Instant::now();
        let woken = self.look(at_most);
        self.linger.slept(woken.then(|| began.elapsed()));
    }

    /// Waits so long for something to read. Whether there is any.
    fn look(&mut self, at_most: Option<Duration>) -> bool {
        let mut readable: SmallVec<[usize; 4]> = SmallVec::new();
        let found = self
            .nudge
            .wait_beside(at_most, &self.ng, |place| readable.push(place));
        for place in readable {
            self.ng[place].readable();
        }
        found
    }

    /// Returns whether there may be more.
    fn take_asks(&mut self, now: Instant) -> bool {
        for _ in 0..self.budget {
            match self.asks.next() {
                Some(Ask::Ng {
                    request,
                    client,
                    reply,
                }) => {
                    let answer = self.office.command(now, client, &request);
                    reply(answer);
                }
                Some(Ask::Visit(visit)) => {
                    visit(&mut self.office);
                    self.office.carry_out(now);
                }
                None => return false,
            }
        }
        true
    }

    /// How long there is nothing to do. `None`: until somebody rings.
    fn patience(&self) -> Option<Duration> {
        let relay = &self.office.relay;
        let timers = [
            relay.poll_timeout(),
            self.keeper.as_ref().and_then(|keeper| keeper.poll_timeout(relay)),
            self.pressure.as_ref().map(Pressure::poll_timeout),
            self.office.kernel.as_ref().map(Kernel::poll_timeout),
            self.office.sockets.poll_timeout(),
            self.office.crew.poll_timeout(),
        ];
        let timer = timers.into_iter().flatten().min();
        let timer = timer.map(|at| at.saturating_duration_since(Instant::now()));
        let retry = self.office.must_retry().then_some(RETRY);
        timer.into_iter().chain(retry).min()
    }

    /// Ends the workers after what was ordered before.
    fn stop(mut self) {
        self.office.stats.end();
        for worker in 0..self.office.crew.len() {
            self.office.crew.order(worker, Order::Stop);
        }
        if let Some(kernel) = self.office.kernel.take() {
            kernel.end(Path::new(BPFFS), self.keeper.is_some());
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        self.office.flush(Instant::now());
        if let Some(keeper) = self.keeper.take() {
            keeper.keep_all(&mut self.office.relay, deadline);
        }
        while self.office.crew.held() > 0 && Instant::now() < deadline {
            self.nudge.wait(Some(RETRY));
            // A worker that waits for room in our queue takes no orders.
            while self.notices.try_recv().is_ok() {}
            self.office.flush(Instant::now());
        }
    }
}
