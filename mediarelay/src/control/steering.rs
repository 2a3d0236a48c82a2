//! Ports that a program in the kernel steers, as long as it does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_kmod_helper::{FrameLosses, Hearer, Steering};

use super::bound::Bound;
use super::hops::Hops;
use crate::lane::{Lane, SteeredPort};
use crate::socket::overflows;

/// How often the kernel is asked whether the program is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What steers ports.
#[derive(Debug)]
pub(crate) struct SteeringPlan {
    pub(crate) program: Steering,
    /// The lanes of each worker, those of all workers in the same order of addresses: the order of the program's sockets.
    pub(crate) lanes: Vec<Vec<Arc<Lane>>>,
    /// What is lost at sockets for frames; none where no interface hands frames on.
    pub(crate) frame_losses: Vec<FrameLosses>,
    /// Finds next hops for frames, if there are any.
    pub(crate) hops: Option<Hops>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct SteeredPorts {
    plan: SteeringPlan,
    ports: usize,
    next_look: Instant,
    bound: Bound,
}

impl SteeredPorts {
    pub(super) fn new(now: Instant, plan: SteeringPlan) -> Self {
        Self {
            plan,
            ports: 0,
            next_look: now + LOOK_EVERY,
            bound: Bound::new(),
        }
    }

    /// Whether the ports of an address are steered.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.place(0, address).is_some()
    }

    /// Refuses a port that a socket has: whoever is bound to it would hear nothing any more.
    ///
    /// # Errors
    /// As of binding it.
    pub(super) fn see_whether_free(&mut self, now: Instant, local: SocketAddr) -> io::Result<()> {
        self.bound.see_whether_free(now, local)
    }

    /// Lets a worker hear a port.
    ///
    /// # Errors
    /// What the kernel says, in words.
    pub(super) fn give(&mut self, port: &SteeredPort, worker: usize) -> Result<(), String> {
        let place = self.place(worker, port.local().ip());
        let place = place.ok_or_else(|| "its address has no lane".to_owned())?;
        self.steer(port, (place, worker), true)?;
        self.ports += 1;
        Ok(())
    }

    /// Lets interfaces hand the worker of a port its frames, or not, where the kernel forwards them.
    pub(super) fn hand_frames(&mut self, port: &SteeredPort, worker: usize, hand: bool) {
        let place = self.place(worker, port.local().ip());
        let handed = place.map(|place| self.steer(port, (place, worker), hand));
        // Then they stay where they are, which is right as well.
        if let Some(Err(error)) = handed {
            tracing::debug!("frames of {} go where they went: {error}", port.local());
        }
    }

    fn steer(
        &mut self,
        port: &SteeredPort,
        (socket, worker): (u32, usize),
        hand: bool,
    ) -> Result<(), String> {
        let worker = u32::try_from(worker).ok();
        let worker = worker.filter(|_| hand && self.hands_frames());
        let steered = self.plan.program.steer(port.local(), Hearer { socket, worker });
        steered.map_err(|error| error.to_string())
    }

    /// Whether interfaces hand on frames.
    pub(super) fn hands_frames(&self) -> bool {
        self.plan.hops.is_some()
    }

    /// Frames of flows are forwarded no more: the kernel has none.
    pub(super) fn end_forwarding(&mut self) {
        // Its program forwards nothing without a heartbeat.
        if let Err(error) = self.plan.program.end_forwarding() {
            tracing::debug!("frames are still looked at for the kernel path: {error}");
        }
    }

    /// Says where frames go.
    pub(super) fn hops(&mut self) -> Option<&mut Hops> {
        self.plan.hops.as_mut()
    }

    /// Nobody hears a port that somebody heard.
    pub(super) fn take(&mut self, port: &SteeredPort) {
        self.plan.program.release(port.local());
        self.ports = self.ports.saturating_sub(1);
    }

    /// Ports that workers hear.
    pub(super) fn ports(&self) -> usize {
        self.ports
    }

    /// Datagrams that the system dropped at sockets of workers.
    pub(super) fn overflows(&self) -> u64 {
        let lanes = self.plan.lanes.iter().flatten();
        let of_lanes = lanes.map(|lane| overflows(&lane.ears()));
        let of_frames = self.plan.frame_losses.iter().map(FrameLosses::count);
        of_lanes.chain(of_frames).sum()
    }

    /// When [`is_lost`](Self::is_lost), or hops, are to be asked.
    pub(super) fn poll_timeout(&self) -> Instant {
        let hops = self.plan.hops.as_ref().map(Hops::poll_timeout);
        hops.map_or(self.next_look, |hops| hops.min(self.next_look))
    }

    /// Whether the program is gone, as far as it is time to look.
    pub(super) fn is_lost(&mut self, now: Instant) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK_EVERY;
        !self.plan.program.is_attached()
    }

    /// A worker's lane at an address.
    pub(super) fn lane(&self, worker: usize, local: SocketAddr) -> Option<&Lane> {
        let mut lanes = self.plan.lanes.get(worker)?.iter();
        lanes
            .find(|lane| lane.address() == local.ip())
            .map(|lane| &**lane)
    }

    /// Where the program has a worker's socket.
    fn place(&self, worker: usize, address: IpAddr) -> Option<u32> {
        let lanes = self.plan.lanes.get(worker)?;
        let at = lanes.iter().position(|lane| lane.address() == address)?;
        u32::try_from(worker * lanes.len() + at).ok()
    }
}
