//! Where frames that workers send go, as long as that does not change.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use viaduct_kmod_helper::NextHops;

use crate::worker::{HopAnswer, HopClock};

/// How often the kernel is asked whether routes or neighbours have changed: for so long frames may go astray.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long workers send frames to a receiver before one packet takes its way through the kernel again. That makes the kernel ask
/// neighbours whether they are still there; of frames it knows nothing.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long a route is believed that nobody says has changed: path MTUs change unsaid.
const ROUTES_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Hops {
    finder: NextHops,
    clock: HopClock,
    next_look: Instant,
    next_renewal: Instant,
    next_routes: Instant,
}

impl Hops {
    pub(crate) fn new(now: Instant, finder: NextHops, clock: HopClock) -> Self {
        Self {
            finder,
            clock,
            next_look: now,
            next_renewal: now + RENEW_EVERY,
            next_routes: now + ROUTES_EVERY,
        }
    }

    pub(super) fn answer(&mut self, ends: (IpAddr, IpAddr)) -> HopAnswer {
        HopAnswer {
            ends,
            at: self.clock.now(),
            hop: self.finder.find(ends.0, ends.1),
        }
    }

    /// Lets workers ask again, as far as it is time for that.
    pub(super) fn look(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        let have_changed = self.finder.have_changed();
        if now >= self.next_routes {
            self.next_routes = now + ROUTES_EVERY;
            self.finder.forget_routes();
        }
        if have_changed || now >= self.next_renewal {
            self.next_renewal = now + RENEW_EVERY;
            self.clock.advance();
        }
    }

    /// When [`look`](Self::look) is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_look
    }
}
