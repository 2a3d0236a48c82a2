//! What the control thread works with: the relay's brain, and the hands that do what it says.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use tokio::sync::broadcast;
use viaduct_forward::{Command, CryptoId, Epoch, FlowId, LegId, MediaKind, Report};
use viaduct_ng as ng;
use viaduct_session::{Event, Output, PortPair, Relay, What};

use super::crew::Crew;
use super::digits::DigitLog;
use super::dispatch::Dispatch;
use super::events;
use super::kernel::{Kernel, Told};
use super::patient_log::PatientLog;
use super::sockets::{NoSocket, Sockets};
use super::stats::{ControlSnapshot, ControlStats};
use crate::fax::FaxLine;
use crate::limits::ShellLimits;
use crate::worker::{Notice, Order};

/// Pairs of ports that the stock may lack when a command comes. A burst of calls waits for ports then, and finds some;
/// otherwise ports are opened when there is nothing else to do.
const STOCK_LACKS_MAX: usize = 16;

/// See the module. After every call of the relay's, [`carry_out`](Self::carry_out) does what it wants.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) relay: Relay,
    pub(super) crew: Crew,
    pub(super) sockets: Sockets,
    dispatch: Dispatch,
    crypto: viaduct_forward::CryptoTable,
    epoch: Epoch,
    /// Pairs of ports to be opened.
    opening: VecDeque<PortPair>,
    /// Pairs to be opened when they are closed.
    reopening: Vec<PortPair>,
    /// Who gets the ports that come into use.
    favourite: usize,
    /// Spreads calls over the workers, in a way that nobody outside can foresee.
    spread: RandomState,
    events: broadcast::Sender<Event>,
    pub(super) stats: Arc<ControlStats>,
    limits: ShellLimits,
    no_descriptors: PatientLog,
    order_failures: PatientLog,
    digits: DigitLog,
    /// The kernel path, if there is one.
    pub(super) kernel: Option<Kernel>,
    /// What converts fax, if anything does.
    fax: Option<FaxLine>,
}

/// What an office is made of.
pub(super) struct Furniture {
    pub(super) relay: Relay,
    pub(super) crew: Crew,
    pub(super) sockets: Sockets,
    pub(super) crypto: viaduct_forward::CryptoTable,
    /// The clock of the workers.
    pub(super) epoch: Epoch,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) stats: Arc<ControlStats>,
    pub(super) limits: ShellLimits,
    pub(super) kernel: Option<Kernel>,
    pub(super) fax: Option<FaxLine>,
}

impl Office {
    pub(super) fn new(furniture: Furniture) -> Self {
        let Furniture {
            relay,
            crew,
            sockets,
            crypto,
            epoch,
            events,
            stats,
            limits,
            kernel,
            fax,
        } = furniture;
        Self {
            relay,
            crew,
            sockets,
            dispatch: Dispatch::default(),
            crypto,
            epoch,
            opening: VecDeque::new(),
            reopening: Vec::new(),
            favourite: 0,
            spread: RandomState::new(),
            events,
            stats,
            limits,
            no_descriptors: PatientLog::default(),
            order_failures: PatientLog::default(),
            digits: DigitLog::default(),
            kernel,
            fax,
        }
    }

    /// Carries out an NG command. Its answer may be sent at once.
    pub(super) fn command(
        &mut self,
        now: Instant,
        client: Option<IpAddr>,
        request: &ng::Request,
    ) -> ng::Reply {
        // Calls that come at once take from the stock at once.
        if self.opening.len() >= STOCK_LACKS_MAX {
            self.open_ports(now);
        }
        let reply = self.ng(now, client, request);
        // A phone may send as soon as it knows where to, and workers must know by then.
        self.flush(now);
        reply
    }

    fn ng(&mut self, now: Instant, client: Option<IpAddr>, request: &ng::Request) -> ng::Reply {
        self.stats.requests.add(1);
        if let ng::Request::Offer(offer) = request
            && offer.to_tag.is_none()
            && self.crew.held() > self.limits.orders_held
        {
            self.stats.requests_shed.add(1);
            return ng::LoadLimit::Load.reply(offer.options.supports_load_limit);
        }
        if let Some(call_id) = request.call_id() {
            self.favour(call_id);
            self.count_in_kernel(now, call_id);
        }
        self.answer(now, client, request)
    }

    /// Carries out a command that nothing speaks against.
    fn answer(&mut self, now: Instant, client: Option<IpAddr>, request: &ng::Request) -> ng::Reply {
        let mut reply = self.relay.handle_ng(now, client, request);
        self.carry_out(now);
        if let ng::Reply::Ok(ok) = &mut reply
            && let Some(statistics) = &mut ok.statistics
        {
            self.tell_of_ports(&mut statistics.current.rest);
        }
        reply
    }

    /// How media ports are held, for NG `statistics`; rtpengine has no such thing.
    fn tell_of_ports(&self, statistics: &mut ng::Dict) {
        let held = if self.sockets.is_steering() {
            "steered"
        } else {
            "sockets"
        };
        statistics.insert("media_ports", ng::Value::text(held));
        let steered = i64::try_from(self.sockets.steered()).unwrap_or(i64::MAX);
        statistics.insert("ports_steered", ng::Value::Integer(steered));
    }

    /// Whatever comes into use next is for a call.
    pub(super) fn favour(&mut self, call_id: &[u8]) {
        self.favourite = (self.spread.hash_one(call_id) % self.crew.len() as u64) as usize;
    }

    /// Asks the relay something on behalf of this process, and does what it wants.
    pub(crate) fn ask(&mut self, now: Instant, request: &ng::Request) -> ng::Reply {
        if let Some(call_id) = request.call_id() {
            self.count_in_kernel(now, call_id);
        }
        self.answer(now, None, request)
    }

    /// Takes what a worker tells.
    pub(super) fn notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Datagram {
                worker,
                what,
                socket,
                from,
                data,
                ..
            } => {
                self.stats.datagrams.add(1);
                // A socket that was closed meanwhile had a call that is over.
                if let Some(local) = self.sockets.local(socket) {
                    self.favourite = worker;
                    self.relay.handle_packet(now, what, local, from, &data);
                    self.carry_out(now);
                }
            }
            Notice::Report { worker, report } => {
                self.stats.reports.add(1);
                self.favourite = worker;
                let confirmed = match &report {
                    Report::FlowConfirmed { flow, .. } => Some(*flow),
                    _ => None,
                };
                self.relay.handle_report(now, report);
                self.carry_out(now);
                self.confirmed(now, confirmed);
            }
            Notice::Fax { id, output } => {
                self.relay.handle_fax(now, id, output);
                self.carry_out(now);
            }
            Notice::NextHop { worker, ends } => {
                if let Some(hops) = self.sockets.hops() {
                    let answer = hops.answer(ends);
                    self.crew.order(worker, Order::NextHop(answer));
                }
            }
            Notice::Failed { worker, fault } => {
                self.stats.orders_failed.add(1);
                self.order_failures
                    .warn(now, format_args!("worker {worker} could not {fault}"));
            }
        }
    }

    /// Runs the timers that are due.
    pub(super) fn timeout(&mut self, now: Instant) {
        if self.relay.poll_timeout().is_some_and(|at| at <= now) {
            self.relay.handle_timeout(now);
            self.carry_out(now);
        }
    }

    /// Opens some of the ports that are wanted. Returns whether there are more that can be opened at once.
    pub(super) fn open_ports(&mut self, now: Instant) -> bool {
        self.opening.extend(self.reopening.drain(..));
        for _ in 0..self.limits.binds_per_turn {
            let Some(pair) = self.opening.pop_front() else {
                break;
            };
            if self.sockets.is_closing(pair.rtp()) || self.sockets.is_closing(pair.rtcp()) {
                self.reopening.push(pair);
                continue;
            }
            match self.open_pair(now, pair) {
                Ok(()) => self.relay.handle_pair_opened(now, pair),
                Err(error) => {
                    self.count_failed_port(now, &error);
                    self.relay.handle_pair_failed(now, pair);
                }
            }
            self.carry_out(now);
        }
        !self.opening.is_empty()
    }

    /// Whether something must be tried again soon although nobody will say when: orders that found no room, and ports that
    /// workers have not let go of.
    pub(super) fn must_retry(&self) -> bool {
        self.crew.held() > 0 || !self.reopening.is_empty()
    }

    /// Hands the workers what they have room for, and publishes a few figures.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.hand_frames();
        self.crew.flush(now);
        self.stats.orders_held.set(self.crew.held() as u64);
        self.stats.sockets.set(self.sockets.len() as u64);
        self.stats.ports_steered.set(self.sockets.steered() as u64);
        self.stats.steering.set(self.sockets.is_steering().into());
        self.stats.frames.set(self.sockets.hands_frames().into());
        self.stats.flows.set(self.dispatch.flows() as u64);
        self.stats.state_waiting.set(self.relay.state_waiting() as u64);
    }

    /// Does all that the relay wants.
    pub(crate) fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.relay.poll_output() {
            if let Err(NoSocket(local)) = self.carry_out_one(now, output) {
                self.stats.addresses_unknown.add(1);
                tracing::debug!("something was to be done for {local}, which no socket is bound to");
            }
        }
    }

    fn carry_out_one(&mut self, now: Instant, output: Output) -> Result<(), NoSocket> {
        match output {
            Output::OpenPair(pair) => self.opening.push_back(pair),
            Output::ClosePair(pair) => {
                if let Some(kernel) = &mut self.kernel {
                    kernel.on_closed(pair.rtp());
                    kernel.on_closed(pair.rtcp());
                }
                self.sockets.close(pair.rtp(), &mut self.crew)?;
                self.sockets.close(pair.rtcp(), &mut self.crew)?;
            }
            Output::Crypto(command) => {
                if let Err(error) = self.crypto.apply(&command) {
                    self.stats.orders_failed.add(1);
                    self.order_failures
                        .warn(now, format_args!("SRTP contexts: {error}"));
                }
            }
            Output::Forward(mut command) => {
                if let Some(kernel) = &mut self.kernel {
                    let relay = &self.relay;
                    kernel.on_command(now, &mut command, |leg| tag_of(relay, leg));
                }
                self.dispatch
                    .forward(command, self.favourite, &mut self.sockets, &mut self.crew)?;
            }
            Output::Send { from, to, data } => self.send(from, to, &data)?,
            Output::Emit {
                from,
                to,
                protect,
                kind,
                packet,
            } => self.emit(now, (from, to), protect, kind, packet)?,
            Output::Fax(id, input) => {
                if let Some(fax) = &self.fax {
                    fax.tell(id, input);
                }
            }
            Output::Inject { local, from, data } => {
                let target = self.sockets.target(local, self.favourite, &mut self.crew)?;
                let socket = self.sockets.id(local)?;
                // Of those who share a port, the one that handed it up.
                let worker = match target {
                    super::sockets::Target::One(worker) => worker,
                    super::sockets::Target::All => self.favourite,
                };
                self.crew.order(
                    worker,
                    Order::Inject {
                        socket,
                        from,
                        datagram: data.into(),
                    },
                );
            }
            Output::Mark { local, tos } => {
                if let Err(error) = self.sockets.mark(local, tos, self.favourite)? {
                    tracing::debug!("marking {local} with {tos}: {error}");
                }
                if let Some(kernel) = &mut self.kernel {
                    kernel.on_mark(now, local, tos);
                }
            }
            Output::Event(event) => {
                self.stats.events.add(1);
                events::log(&event);
                if let What::Digit(digit) = &event.what
                    && let Some(to) = digit.to
                    && let Err(error) = self.digits.tell(to, &event.call_id, digit)
                {
                    self.stats.digits_lost.add(1);
                    tracing::debug!("telling a digit to {to}: {error}");
                }
                // Nobody has to listen.
                let _ = self.events.send(event);
            }
        }
        Ok(())
    }

    /// A worker has seen the first packet of a flow, so the kernel may have it.
    fn confirmed(&mut self, now: Instant, flow: Option<FlowId>) {
        let kernel = self.kernel.as_mut();
        let command = kernel
            .zip(flow)
            .and_then(|(kernel, flow)| kernel.on_confirmed(now, flow));
        self.order_again(command);
    }

    /// Brings the counters of a call up to date before anything is said about it.
    fn count_in_kernel(&mut self, now: Instant, call_id: &[u8]) {
        if let Some(kernel) = &mut self.kernel {
            self.relay
                .flows_of(call_id)
                .for_each(|flow| kernel.count(now, flow));
        }
    }

    /// Where the flows of a call are, but those of RTCP. `None` without a kernel path.
    pub(crate) fn in_kernel(&mut self, now: Instant, call_id: &[u8]) -> Option<Vec<Told>> {
        self.count_in_kernel(now, call_id);
        let kernel = self.kernel.as_ref()?;
        let flows = self.relay.flows_of(call_id);
        Some(flows.filter_map(|flow| kernel.tell(flow)).collect())
    }

    /// Asks the system for what it counts by itself.
    pub(crate) fn count_overflows(&self) {
        self.stats.receive_overflows.set(self.sockets.overflows());
    }

    /// What control has and has done.
    pub(crate) fn counts(&self) -> ControlSnapshot {
        self.stats.snapshot()
    }

    /// Leaves to the workers what an earlier relay had in the kernel and this one does not.
    pub(super) fn leave_unclaimed(&mut self, now: Instant) {
        if let Some(kernel) = &mut self.kernel {
            kernel.drop_unclaimed(now);
        }
    }

    /// Tells the kernel that the relay lives. If it does not hear, all media is the workers' from here on.
    pub(super) fn look_at_kernel(&mut self, now: Instant) {
        let Some(mut kernel) = self.kernel.take() else {
            return;
        };
        match kernel.look(now) {
            Ok(commands) => {
                self.kernel = Some(kernel);
                self.order_again(commands);
            }
            Err(reason) => {
                tracing::warn!("the kernel path is lost, and all media is forwarded in user space: {reason}");
                self.sockets.end_forwarding();
                kernel
                    .ports()
                    .for_each(|local| self.sockets.hand_frames(local, true));
                self.order_again(kernel.surrender(now));
            }
        }
    }

    /// Leaves frames to the kernel where it forwards something of a port, and only there.
    fn hand_frames(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        for (local, is_in) in kernel.take_changed_ports() {
            if self.sockets.hands_frames() {
                self.sockets.hand_frames(local, !is_in);
            }
        }
    }

    /// Gives ports sockets if nobody steers them any more, and has workers ask again where frames go if that may have changed.
    pub(super) fn look_at_steering(&mut self, now: Instant) {
        if let Some(hops) = self.sockets.hops() {
            hops.look(now);
        }
        let Some((held, deaf)) = self.sockets.keep_steering(now, &mut self.crew) else {
            return;
        };
        self.stats.steering_lost.add(1);
        self.stats.ports_failed.add(deaf as u64);
        tracing::warn!(
            "the program that steers media ports was detached: {held} ports have sockets of their own from here on, {deaf} could \
             not get one"
        );
    }

    /// Gives workers rules that they have in another form.
    fn order_again(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            let told = self
                .dispatch
                .forward(command, self.favourite, &mut self.sockets, &mut self.crew);
            if let Err(NoSocket(local)) = told {
                self.stats.addresses_unknown.add(1);
                tracing::debug!("a rule was to be changed for {local}, which no socket is bound to");
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> Result<(), NoSocket> {
        match self.sockets.send(from, to, data, self.favourite)? {
            Ok(()) => self.stats.sent.add(1),
            // DTLS and STUN are repeated by those who speak them.
            Err(_) => self.stats.send_faults.add(1),
        }
        Ok(())
    }

    /// Sends a packet that is no flow's.
    fn emit(
        &mut self,
        now: Instant,
        (from, to): (SocketAddr, SocketAddr),
        protect: Option<CryptoId>,
        kind: MediaKind,
        packet: Vec<u8>,
    ) -> Result<(), NoSocket> {
        let packet = match protect {
            Some(id) => match self.crypto.protect(self.epoch.tick(now), id, kind, packet) {
                Ok(packet) => packet,
                Err(error) => {
                    self.stats.send_faults.add(1);
                    tracing::debug!("protecting a packet for {to}: {error}");
                    return Ok(());
                }
            },
            None => packet,
        };
        self.send(from, to, &packet)
    }

    pub(super) fn open_pair(&mut self, now: Instant, pair: PortPair) -> io::Result<()> {
        self.sockets.open(now, pair.rtp())?;
        if let Err(error) = self.sockets.open(now, pair.rtcp()) {
            // Nobody knows of it yet, so it is closed at once.
            let _ = self.sockets.close(pair.rtp(), &mut self.crew);
            return Err(error);
        }
        Ok(())
    }

    fn count_failed_port(&mut self, now: Instant, error: &io::Error) {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => self.stats.ports_taken.add(1),
            Some(Errno::EMFILE | Errno::ENFILE) => {
                self.stats.ports_without_descriptor.add(1);
                let sockets = self.sockets.len();
                self.no_descriptors.warn(
                    now,
                    format_args!(
                        "no descriptor is left for a media port ({sockets} are open), so calls will be refused: raise \
                         the limit on open files (LimitNOFILE= of systemd, ulimit -n); a call of two phones takes eight"
                    ),
                );
            }
            _ => {
                self.stats.ports_failed.add(1);
                tracing::debug!("opening a media port: {error}");
            }
        }
    }
}

/// The mark of a leg's call in the kernel.
fn tag_of(relay: &Relay, leg: LegId) -> u64 {
    let call_id = relay
        .call_id_of(leg)
        .map(|id| String::from_utf8_lossy(id.as_bytes()));
    call_id.map_or(0, |id| viaduct_kmod_helper::tag(&id))
}
