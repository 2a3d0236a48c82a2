//! How long, how many, how often.

use std::time::Duration;

/// One kind of load on a proxy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadPlan {
    /// Operations begun a second while delays are measured.
    pub paced_per_second: f64,
    /// For how long.
    pub paced: Duration,
    /// Operations at the same time while it is measured how many there can be.
    pub window: usize,
    /// For how long.
    pub saturated: Duration,
}

/// Everything that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Runs of every program. Between two runs of one come those of all others.
    pub runs: usize,
    /// Phones that call, and as many that are called.
    pub pairs: usize,
    /// Registrations.
    pub register: LoadPlan,
    /// Calls.
    pub call: LoadPlan,
    /// Calls at a relay at the same time.
    pub media_calls: usize,
    /// How long they talk before anything is counted.
    pub media_warm_up: Duration,
    /// How long they talk then.
    pub media: Duration,
}

impl Plan {
    /// Figures to quote. Takes less than six minutes.
    #[must_use]
    pub fn full() -> Self {
        let load = |paced_per_second| LoadPlan {
            paced_per_second,
            paced: Duration::from_secs(3),
            window: 64,
            saturated: Duration::from_secs(3),
        };
        Self {
            runs: 5,
            pairs: 500,
            register: load(500.0),
            call: load(200.0),
            media_calls: 100,
            media_warm_up: Duration::from_secs(1),
            media: Duration::from_secs(4),
        }
    }

    /// Shows that everything works, and figures of the right size. Takes about a minute.
    #[must_use]
    pub fn quick() -> Self {
        let full = Self::full();
        let shorter = |load: LoadPlan| LoadPlan {
            paced: Duration::from_millis(1_000),
            saturated: Duration::from_millis(1_000),
            ..load
        };
        Self {
            runs: 2,
            register: shorter(full.register),
            call: shorter(full.call),
            media_warm_up: Duration::from_millis(500),
            media: Duration::from_millis(1_500),
            ..full
        }
    }

    /// The least time that measuring `proxies` proxies and `relays` relays takes, without starting and ending them.
    #[must_use]
    pub fn duration(&self, proxies: u32, relays: u32) -> Duration {
        let load = |load: LoadPlan| load.paced + load.saturated;
        let proxy = 2 * load(self.register) + load(self.call);
        let relay = 2 * (self.media_warm_up + self.media);
        u32::try_from(self.runs).unwrap_or(u32::MAX) * (proxies * proxy + relays * relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_keep_their_promise_of_time() {
        // Each start and end, with what is set up in between, takes a second or two.
        assert!(Plan::full().duration(2, 2) < Duration::from_secs(290));
        assert!(Plan::quick().duration(2, 2) < Duration::from_secs(45));
    }
}
