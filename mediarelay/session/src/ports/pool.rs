//! The pairs of one address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use super::{PortPair, PortSet, PortUsage};

/// How long a pair is left alone that could not be opened: whoever has its port is likely to keep it.
const FAILED_REST: Duration = Duration::from_secs(60);

/// So many failures in a row mean that it is not the ports: opening pauses.
const FAILURES_BEFORE_PAUSE: u32 = 16;

/// How long opening pauses then.
const PAUSE: Duration = Duration::from_secs(1);

/// While no other pair is left, so many pairs are kept open of those that have not rested to the end: enough for the m-lines of
/// the next call.
const STOCK_OF_TIRED: usize = 8;

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

/// Why a pair rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    /// What still arrives is for those who used it.
    Used,
    /// Another program has it.
    Taken,
}

/// The RTP port of the pair at a place, which lies below the end of a range.
fn port_of(first_port: u16, at: usize) -> u16 {
    first_port + 2 * at as u16
}

/// The pairs of one address. `resting` has the resting ones with the end of their rest.
#[derive(Debug)]
pub(super) struct Pool {
    address: IpAddr,
    /// The lowest even port of all sets.
    first_port: u16,
    /// Of each pair from there to the end of the last set, those between the sets among them, which stay free for ever.
    states: Vec<State>,
    sets: Vec<Set>,
    resting: BTreeSet<(Instant, u16, Rest)>,
    stock_target: usize,
    rest: Duration,
    failures: u32,
    paused_until: Option<Instant>,
}

/// A part of the pairs. `counts` has the number of its pairs in each state; `stock` names the stocked ones.
#[derive(Debug)]
struct Set {
    ports: PortSet,
    stock: Vec<u16>,
    counts: [usize; 5],
}

impl Set {
    fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    /// Pairs that wait for a call, or will.
    fn prepared(&self) -> usize {
        self.count(State::Stocked) + self.count(State::Opening)
    }
}

impl Pool {
    pub(super) fn new(address: IpAddr, sets: Vec<PortSet>, stock: usize, rest: Duration) -> Self {
        // Port 0 is none, and a pair needs an even port with its successor inside the range.
        let first_even = |ports: &PortSet| {
            (*ports.range().start())
                .max(1)
                .checked_next_multiple_of(2)
                .unwrap_or(u16::MAX)
        };
        let first_port = sets.iter().map(first_even).min().unwrap_or(u16::MAX);
        let last_port = sets.iter().map(|ports| *ports.range().end()).max().unwrap_or(0);
        let pairs = (usize::from(last_port) + 1).saturating_sub(first_port.into()) / 2;
        let set = |ports: PortSet| {
            let own = (0..pairs).filter(|at| ports.has_pair(port_of(first_port, *at)));
            let mut counts = [0; 5];
            counts[State::Free as usize] = own.count();
            Set {
                stock: Vec::with_capacity(stock.min(counts[State::Free as usize])),
                counts,
                ports,
            }
        };
        Self {
            address,
            first_port,
            states: vec![State::Free; pairs],
            sets: sets.into_iter().map(set).collect(),
            resting: BTreeSet::new(),
            stock_target: stock,
            rest,
            failures: 0,
            paused_until: None,
        }
    }

    pub(super) fn ports(&self, set: usize) -> &PortSet {
        &self.sets[set].ports
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn next_to_open(&mut self, now: Instant, rng: &mut impl Rng) -> Option<PortPair> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        let lacks = |set: &&Set| set.prepared() < self.stock_target && set.count(State::Free) > 0;
        let mut lacking = self.sets.iter().filter(lacks);
        let at = lacking
            .find_map(|set| self.random_free(&set.ports, rng))
            .or_else(|| self.wake())?;
        self.set(at, State::Opening);
        Some(self.pair(at))
    }

    /// The pair that has rested longest, of a set in which no other is left: better than to refuse a call.
    fn wake(&mut self) -> Option<usize> {
        let stock = self.stock_target.min(STOCK_OF_TIRED);
        let is_short = |set: &&Set| set.prepared() < stock && set.count(State::Free) == 0;
        let entry = self.sets.iter().filter(is_short).find_map(|set| {
            let mut resting = self.resting.iter();
            resting.find(|(_, port, why)| *why == Rest::Used && set.ports.has_pair(*port))
        });
        let entry = *entry?;
        self.resting.remove(&entry);
        self.position(entry.1, State::Resting)
    }

    pub(super) fn opened(&mut self, port: u16) -> bool {
        let Some(at) = self.position(port, State::Opening) else {
            return false;
        };
        self.failures = 0;
        self.set(at, State::Stocked);
        for set in &mut self.sets {
            if set.ports.has_pair(port) {
                set.stock.push(port);
            }
        }
        true
    }

    pub(super) fn failed(&mut self, now: Instant, port: u16) {
        let Some(at) = self.position(port, State::Opening) else {
            return;
        };
        self.set(at, State::Resting);
        self.resting.insert((now + FAILED_REST, port, Rest::Taken));
        self.failures += 1;
        if self.failures >= FAILURES_BEFORE_PAUSE {
            self.failures = 0;
            self.paused_until = Some(now + PAUSE);
        }
    }

    pub(super) fn take(&mut self, set: usize, rng: &mut impl Rng) -> Option<PortPair> {
        let stock = &mut self.sets[set].stock;
        if stock.is_empty() {
            return None;
        }
        let port = stock.swap_remove(rng.random_range(0..stock.len()));
        for other in &mut self.sets {
            if let Some(place) = other.stock.iter().position(|stocked| *stocked == port) {
                other.stock.swap_remove(place);
            }
        }
        let at = self.index(port)?;
        self.set(at, State::Used);
        Some(self.pair(at))
    }

    pub(super) fn claim(&mut self, port: u16) -> bool {
        let Some(at) = self.index(port) else {
            return false;
        };
        if !self.sets.iter().any(|set| set.ports.has_pair(port)) {
            return false;
        }
        match self.states[at] {
            State::Free | State::Opening => {}
            State::Resting => self.resting.retain(|(_, resting, _)| *resting != port),
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
        self.resting.insert((now + self.rest, port, Rest::Used));
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| now < *until);
        while let Some((end, port, _)) = self.resting.first().copied() {
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
        let rest = self.resting.first().map(|(end, ..)| *end);
        rest.into_iter().chain(self.paused_until).min()
    }

    pub(super) fn usage(&self, set: usize) -> PortUsage {
        let set = &self.sets[set];
        PortUsage {
            address: self.address,
            ports: set.ports.clone(),
            total: set.counts.iter().sum(),
            used: set.count(State::Used),
            stocked: set.count(State::Stocked),
            opening: set.count(State::Opening),
            resting: set.count(State::Resting),
            free: set.count(State::Free),
        }
    }

    /// A free pair of a set.
    fn random_free(&self, ports: &PortSet, rng: &mut impl Rng) -> Option<usize> {
        let start = usize::from(ports.range().start().saturating_sub(self.first_port)) / 2;
        let end = (usize::from(*ports.range().end()) + 1).saturating_sub(self.first_port.into()) / 2;
        let free =
            |at: &usize| self.states[*at] == State::Free && ports.has_pair(port_of(self.first_port, *at));
        if start >= end {
            return None;
        }
        let picked = (0..PICKS).map(|_| rng.random_range(start..end)).find(free);
        picked.or_else(|| {
            let middle = rng.random_range(start..end);
            (middle..end).chain(start..middle).find(free)
        })
    }

    fn set(&mut self, at: usize, state: State) {
        let port = port_of(self.first_port, at);
        let before = self.states[at];
        for set in &mut self.sets {
            if set.ports.has_pair(port) {
                set.counts[before as usize] -= 1;
                set.counts[state as usize] += 1;
            }
        }
        self.states[at] = state;
    }

    fn pair(&self, at: usize) -> PortPair {
        PortPair {
            address: self.address,
            rtp_port: port_of(self.first_port, at),
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
