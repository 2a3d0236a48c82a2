//! Which ports are open, used, resting.
//!
//! The shell owns the sockets. It is asked for pairs of ports in advance, so that an offer can be answered without
//! waiting for a socket, and it says which it could open. Pairs are chosen at random: a port that cannot be guessed is
//! a port that nobody sends to in advance. A pair that was used is closed and rests, so that what still arrives for it
//! meets nobody; it rests for less when there is no other for the next call.
//!
//! Interfaces with one address may have ranges of their own there, which may overlap. A pair is then in one state for all of
//! them, and one that is open serves whoever comes first.

mod pool;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::Rng;

use self::pool::Pool;

/// An even port for RTP and the one after it for RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortPair {
    /// The local address.
    pub address: IpAddr,
    /// The even port.
    pub rtp_port: u16,
}

impl PortPair {
    /// The socket address for RTP.
    #[must_use]
    pub fn rtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp_port)
    }

    /// The socket address for RTCP.
    #[must_use]
    pub fn rtcp(&self) -> SocketAddr {
        // An even port is not the last one.
        SocketAddr::new(self.address, self.rtp_port + 1)
    }
}

/// Ports for media: a range without some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet {
    range: RangeInclusive<u16>,
    /// In order.
    excluded: Vec<u16>,
}

impl PortSet {
    /// The ports of `range` without those of `excluded`, which may name others too.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>, mut excluded: Vec<u16>) -> Self {
        excluded.sort_unstable();
        excluded.dedup();
        Self { range, excluded }
    }

    /// The lowest port and the highest one, those between that are excluded among them.
    #[must_use]
    pub fn range(&self) -> &RangeInclusive<u16> {
        &self.range
    }

    /// Whether the port and the next one are in the set.
    fn has_pair(&self, rtp_port: u16) -> bool {
        let has = |port| self.range.contains(&port) && self.excluded.binary_search(&port).is_err();
        has(rtp_port) && rtp_port.checked_add(1).is_some_and(has)
    }
}

impl From<RangeInclusive<u16>> for PortSet {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self::new(range, Vec::new())
    }
}

/// Which of the sets of a [`PortPlan`], in the order in which they were given; one that was given twice counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortSetId(u16);

/// The ports of one set at one moment, in pairs. One that is in several sets counts in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortUsage {
    /// Which address.
    pub address: IpAddr,
    /// Which ports.
    pub ports: PortSet,
    /// All pairs of the set.
    pub total: usize,
    /// Held by calls.
    pub used: usize,
    /// Open and waiting for a call.
    pub stocked: usize,
    /// Being opened by the shell.
    pub opening: usize,
    /// Closed after use, or found taken by somebody else.
    pub resting: usize,
    /// Closed and ready to be opened.
    pub free: usize,
}

/// All ports of a relay.
#[derive(Debug)]
pub struct PortPlan {
    /// One per address.
    pools: Vec<Pool>,
    /// Of each set, its pool and its place there.
    sets: Vec<(usize, usize)>,
}

impl PortPlan {
    /// A plan for these addresses and ports. `stock` pairs are kept open for each set; a used pair rests for `rest`,
    /// or until no other is left.
    pub fn new(sets: impl IntoIterator<Item = (IpAddr, PortSet)>, stock: usize, rest: Duration) -> Self {
        let mut by_address: Vec<(IpAddr, Vec<PortSet>)> = Vec::new();
        let mut places = Vec::new();
        for (address, ports) in sets {
            let known = by_address.iter().position(|(of, _)| *of == address);
            let pool = known.unwrap_or_else(|| {
                by_address.push((address, Vec::new()));
                by_address.len() - 1
            });
            let of_address = &mut by_address[pool].1;
            if !of_address.contains(&ports) {
                places.push((pool, of_address.len()));
                of_address.push(ports);
            }
        }
        let pools = by_address.into_iter();
        Self {
            pools: pools
                .map(|(address, sets)| Pool::new(address, sets, stock, rest))
                .collect(),
            sets: places,
        }
    }

    /// The set with these ports at this address.
    #[must_use]
    pub fn find(&self, address: IpAddr, ports: &PortSet) -> Option<PortSetId> {
        let is_it = |(pool, place): &(usize, usize)| {
            let pool = &self.pools[*pool];
            pool.address() == address && pool.ports(*place) == ports
        };
        let at = self.sets.iter().position(is_it)?;
        u16::try_from(at).ok().map(PortSetId)
    }

    /// The address of a set.
    #[must_use]
    pub fn address(&self, set: PortSetId) -> Option<IpAddr> {
        let (pool, _) = self.sets.get(usize::from(set.0))?;
        Some(self.pools[*pool].address())
    }

    /// Whether a pair is in a set.
    #[must_use]
    pub fn has(&self, set: PortSetId, pair: PortPair) -> bool {
        self.sets.get(usize::from(set.0)).is_some_and(|(pool, place)| {
            let pool = &self.pools[*pool];
            pool.address() == pair.address && pool.ports(*place).has_pair(pair.rtp_port)
        })
    }

    /// A pair that the shell shall open now, until the stock is full. It counts as being opened from here on.
    pub fn poll_wanted(&mut self, now: Instant, rng: &mut impl Rng) -> Option<PortPair> {
        self.pools.iter_mut().find_map(|pool| pool.next_to_open(now, rng))
    }

    /// The shell has opened a pair. False if it was not asked to.
    pub fn opened(&mut self, pair: PortPair) -> bool {
        self.pool(pair.address)
            .is_some_and(|pool| pool.opened(pair.rtp_port))
    }

    /// The shell could not open a pair: another program has one of its ports. It is left alone for a while.
    pub fn failed(&mut self, now: Instant, pair: PortPair) {
        if let Some(pool) = self.pool(pair.address) {
            pool.failed(now, pair.rtp_port);
        }
    }

    /// Takes one of the open pairs of a set. `None` when there is none: the set is used up, or more calls came at once
    /// than the stock holds.
    pub fn take(&mut self, set: PortSetId, rng: &mut impl Rng) -> Option<PortPair> {
        let (pool, place) = *self.sets.get(usize::from(set.0))?;
        self.pools[pool].take(place, rng)
    }

    /// A pair is used again by those who used it before. False if somebody else has it, or it is in no set.
    pub fn claim(&mut self, pair: PortPair) -> bool {
        self.pool(pair.address)
            .is_some_and(|pool| pool.claim(pair.rtp_port))
    }

    /// A pair is no longer used, and closed.
    pub fn give_back(&mut self, now: Instant, pair: PortPair) {
        if let Some(pool) = self.pool(pair.address) {
            pool.give_back(now, pair.rtp_port);
        }
    }

    /// Ends the rest of pairs whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for pool in &mut self.pools {
            pool.handle_timeout(now);
        }
    }

    /// When the next rest ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pools.iter().filter_map(Pool::next_timeout).min()
    }

    /// The state of each set.
    pub fn usage(&self) -> impl Iterator<Item = PortUsage> {
        self.sets
            .iter()
            .map(|(pool, place)| self.pools[*pool].usage(*place))
    }

    fn pool(&mut self, address: IpAddr) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.address() == address)
    }
}

#[cfg(test)]
mod tests;
