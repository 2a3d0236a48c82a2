//! Networks that lose datagrams and let later ones come first.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::world::Datagram;

/// What becomes of datagrams, in both directions. The same for the same seed.
pub(crate) struct Weather {
    rng: StdRng,
    /// Of a hundred datagrams.
    lost_percent: u32,
    /// How long one takes: anything up to this, so that what is sent later may come earlier.
    delay_max: Duration,
    under_way: Vec<(Instant, Datagram)>,
}

impl Weather {
    pub(crate) fn new(seed: u64, lost_percent: u32, delay_max: Duration) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            lost_percent,
            delay_max,
            under_way: Vec::new(),
        }
    }

    /// Takes a datagram on its way, or loses it.
    pub(crate) fn carry(&mut self, now: Instant, datagram: Datagram) {
        if self.rng.random_range(0..100) >= self.lost_percent {
            let delay = self.delay_max.mul_f64(self.rng.random());
            self.under_way.push((now + delay, datagram));
        }
    }

    /// What has arrived by now, in the order of arrival.
    pub(crate) fn arrived(&mut self, now: Instant) -> Vec<Datagram> {
        let mut arrived: Vec<_> = self.under_way.extract_if(.., |(at, _)| *at <= now).collect();
        arrived.sort_by_key(|(at, _)| *at);
        arrived.into_iter().map(|(_, datagram)| datagram).collect()
    }
}
