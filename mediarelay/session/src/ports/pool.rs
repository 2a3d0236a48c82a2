//! The pairs of one address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use super::{PortPair, PortUsage};

/// How long a pair is left alone that could not be opened: whoever has its port is likely to keep it.
const FAILED_REST: Duration = Duration::from_secs(60);

/// So many failures in a row mean that it is not the ports: opening pauses.
const FAILURES_BEFORE_PAUSE: u32 = 16;

/// How long opening pauses then.
const PAUSE: Duration = Duration::from_secs(1);

/// Random picks before a free pair is looked for in order.
const PICKS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Opening,
    Stocked,
    Used,
    Resting,
}

/// The pairs of one address. `counts` has the number of pairs in each state; `stock` names the stocked ones, `resting`
/// the resting ones with the end of their rest.
#[derive(Debug)]
pub(super) struct Pool {
    address: IpAddr,
    first_port: u16,
    states: Vec<State>,
    stock: Vec<u16>,
    resting: BTreeSet<(Instant, u16)>,
    counts: [usize; 5],
    stock_target: usize,
    rest: Duration,
    failures: u32,
    paused_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(address: IpAddr, range: &RangeInclusive<u16>, stock: usize, rest: Duration) -> Self {
        // Port 0 is none, and a pair needs an even port with its successor inside the range.
        let first_port = (*range.start())
            .max(1)
            .checked_next_multiple_of(2)
            .unwrap_or(u16::MAX);
        let pairs = (usize::from(*range.end()) + 1).saturating_sub(first_port.into()) / 2;
        let mut counts = [0; 5];
        counts[State::Free as usize] = pairs;
        Self {
            address,
            first_port,
            states: vec![State::Free; pairs],
            stock: Vec::with_capacity(stock.min(pairs)),
            resting: BTreeSet::new(),
            counts,
            stock_target: stock,
            rest,
            failures: 0,
            paused_until: None,
        }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn next_to_open(&mut self, now: Instant, rng: &mut impl Rng) -> Option<PortPair> {
        let wanted = self.count(State::Stocked) + self.count(State::Opening) < self.stock_target;
        if !wanted || self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        let at = self.random_free(rng)?;
        self.set(at, State::Opening);
        Some(self.pair(at))
    }

    pub(super) fn opened(&mut self, port: u16) -> bool {
        let Some(at) = self.position(port, State::Opening) else {
            return false;
        };
        self.failures = 0;
        self.set(at, State::Stocked);
        self.stock.push(port);
        true
    }

    pub(super) fn failed(&mut self, now: Instant, port: u16) {
        let Some(at) = self.position(port, State::Opening) else {
            return;
        };
        self.set(at, State::Resting);
        self.resting.insert((now + FAILED_REST, port));
        self.failures += 1;
        if self.failures >= FAILURES_BEFORE_PAUSE {
            self.failures = 0;
            self.paused_until = Some(now + PAUSE);
        }
    }

    pub(super) fn take(&mut self, rng: &mut impl Rng) -> Option<PortPair> {
        if self.stock.is_empty() {
            return None;
        }
        let port = self.stock.swap_remove(rng.random_range(0..self.stock.len()));
        let at = self.index(port)?;
        self.set(at, State::Used);
        Some(self.pair(at))
    }

    pub(super) fn claim(&mut self, port: u16) -> bool {
        let Some(at) = self.index(port) else {
            return false;
        };
        match self.states[at] {
            State::Free | State::Opening => {}
            State::Resting => self.resting.retain(|(_, resting)| *resting != port),
            State::Stocked | State::Used => return false,
        }
        self.set(at, State::Used);
        true
    }

    pub(super) fn give_back(&mut self, now: Instant, port: u16) {
        let Some(at) = self.position(port, State::Used) else {
            return;
        };
        self.set(at, State::Resting);
        self.resting.insert((now + self.rest, port));
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| now < *until);
        while let Some((end, port)) = self.resting.first().copied() {
            if end > now {
                break;
            }
            self.resting.pop_first();
            if let Some(at) = self.position(port, State::Resting) {
                self.set(at, State::Free);
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let rest = self.resting.first().map(|(end, _)| *end);
        rest.into_iter().chain(self.paused_until).min()
    }

    pub(super) fn usage(&self) -> PortUsage {
        PortUsage {
            address: self.address,
            total: self.states.len(),
            used: self.count(State::Used),
            stocked: self.count(State::Stocked),
            opening: self.count(State::Opening),
            resting: self.count(State::Resting),
            free: self.count(State::Free),
        }
    }

    fn random_free(&self, rng: &mut impl Rng) -> Option<usize> {
        if self.count(State::Free) == 0 {
            return None;
        }
        let len = self.states.len();
        let free = |at: &usize| self.states[*at] == State::Free;
        let picked = (0..PICKS).map(|_| rng.random_range(0..len)).find(free);
        picked.or_else(|| {
            let start = rng.random_range(0..len);
            (start..len).chain(0..start).find(free)
        })
    }

    fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    fn set(&mut self, at: usize, state: State) {
        self.counts[self.states[at] as usize] -= 1;
        self.counts[state as usize] += 1;
        self.states[at] = state;
    }

    fn pair(&self, at: usize) -> PortPair {
        PortPair {
            address: self.address,
            // Below the end of the range, which is a port.
            rtp_port: self.first_port + 2 * at as u16,
        }
    }

    fn index(&self, port: u16) -> Option<usize> {
        let offset = usize::from(port.checked_sub(self.first_port)?);
        Some(offset / 2).filter(|at| offset.is_multiple_of(2) && *at < self.states.len())
    }

    fn position(&self, port: u16, state: State) -> Option<usize> {
        self.index(port).filter(|at| self.states[*at] == state)
    }
}
