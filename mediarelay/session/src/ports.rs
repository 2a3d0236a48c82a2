//! Which ports are open, used, resting.
//!
//! The shell owns the sockets. It is asked for pairs of ports in advance, so that an offer can be answered without
//! waiting for a socket, and it says which it could open. Pairs are chosen at random: a port that cannot be guessed is
//! a port that nobody sends to in advance. A pair that was used is closed and rests, so that what still arrives for it
//! meets nobody.

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

/// The ports of one address at one moment, in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortUsage {
    /// Which address.
    pub address: IpAddr,
    /// All pairs of the range.
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
}

impl PortPlan {
    /// A plan for these addresses and ranges. `stock` pairs are kept open at each; a used pair rests for `rest`.
    ///
    /// Of an address that is given twice, the first range counts.
    pub fn new(
        ranges: impl IntoIterator<Item = (IpAddr, RangeInclusive<u16>)>,
        stock: usize,
        rest: Duration,
    ) -> Self {
        let mut pools: Vec<Pool> = Vec::new();
        for (address, range) in ranges {
            if pools.iter().all(|pool| pool.address() != address) {
                pools.push(Pool::new(address, &range, stock, rest));
            }
        }
        Self { pools }
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

    /// Takes one of the open pairs. `None` when there is none: the range is used up, or more calls came at once than
    /// the stock holds.
    pub fn take(&mut self, address: IpAddr, rng: &mut impl Rng) -> Option<PortPair> {
        self.pool(address)?.take(rng)
    }

    /// A pair is used again by those who used it before. False if somebody else has it, or it is in no range.
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

    /// The state of each address.
    pub fn usage(&self) -> impl Iterator<Item = PortUsage> {
        self.pools.iter().map(Pool::usage)
    }

    fn pool(&mut self, address: IpAddr) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.address() == address)
    }
}

#[cfg(test)]
mod tests;
