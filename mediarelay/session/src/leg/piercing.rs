//! Empty datagrams to a peer that was not heard yet, for NATs that let in who was written to (flag `pierce-NAT`).

use std::time::{Duration, Instant};

use super::{Component, Leg};
use crate::core::Core;

/// How often they are sent.
const EVERY: Duration = Duration::from_secs(1);

/// How many at most: a NAT that is still shut by then stays so, and nobody is to be written to for ever.
const MAX: u32 = 30;

/// When the next ones are due, and how many there have been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piercing {
    next: Instant,
    sent: u32,
}

impl Piercing {
    /// The first ones are due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, sent: 0 }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }
}

impl Leg {
    /// Sends what is due to the addresses that nothing has come from.
    pub(super) fn pierce(&mut self, now: Instant, core: &mut Core) {
        let Some(piercing) = self.piercing.filter(|piercing| piercing.next <= now) else {
            return;
        };
        let unheard = |component: &&Component| {
            let path = self.paths.selected(**component);
            path.is_some_and(|path| !path.confirmed)
        };
        let unheard: Vec<Component> = self.components().iter().filter(unheard).copied().collect();
        for path in unheard.iter().filter_map(|of| self.paths.selected(*of)) {
            core.send(path.tuple.local, path.tuple.remote, Vec::new());
        }
        let sent = piercing.sent + 1;
        let goes_on = sent < MAX && !unheard.is_empty();
        self.piercing = goes_on.then_some(Piercing {
            next: now + EVERY,
            sent,
        });
    }
}
