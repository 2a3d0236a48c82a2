//! How long, how many, how often.

use std::time::Duration;

/// One kind of load on a proxy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadPlan {
    /// Operations begun a second while delays are measured.
    pub paced_per_second: f64,
    /// For how long.
    pub paced: Duration,
    /// Operations begun a second when there is something to do all the time.
    pub steady_per_second: f64,
    /// For how long.
    pub steady: Duration,
    /// Operations at the same time while it is measured how many there can be.
    pub window: usize,
    /// For how long.
    pub saturated: Duration,
    /// For how long half of that many are begun then.
    pub half: Duration,
}

/// How the highest rate of calls without a failure is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatePlan {
    /// Searches for every program.
    pub runs: usize,
    /// Pairs of phones.
    pub pairs: usize,
    /// Calls a second at first.
    pub first: f64,
    /// By how much the next rate is higher.
    pub factor: f64,
    /// Calls a second at most.
    pub max: f64,
    /// How long each rate is kept.
    pub step: Duration,
    /// Rates that are tried between one that held and one that did not.
    pub tries: usize,
}

/// How the highest rate of packets without a loss is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MediaRatePlan {
    /// Calls at the same time.
    pub calls: usize,
    /// Packets a second at first, of all phones together.
    pub first: f64,
    /// By how much the next rate is higher.
    pub factor: f64,
    /// Packets a second at most.
    pub max: f64,
    /// How long each rate is kept.
    pub step: Duration,
    /// Rates that are tried between one that held and one that did not.
    pub tries: usize,
}

/// Calls that come and go beside others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChurnPlan {
    /// Calls that go on.
    pub calls: usize,
    /// Those of them whose phones talk: as many as the phones' processor is enough for.
    pub talking: usize,
    /// Calls that come in a second.
    pub per_second: f64,
    /// How many come.
    pub times: u64,
}

/// What memory is measured with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryPlan {
    /// Pairs of phones that register in a burst.
    pub pairs: usize,
    /// Pairs of phones that register slowly.
    pub slow_pairs: usize,
    /// Phones that do so in a second.
    pub slow_per_second: f64,
    /// Calls that go on.
    pub calls: usize,
    /// Calls that begin in a second.
    pub calls_per_second: f64,
}

/// Relays between phones on links of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreetPlan {
    /// Calls at the same time.
    pub calls: usize,
    /// How long they talk while it is measured what they hear.
    pub heard: Duration,
    /// How long they talk at a time while it is measured what that takes, and as long again without the relay.
    pub unheard: Duration,
    /// How often both are done, in turn: what else the machine does then is in both.
    pub turns: u32,
    /// Calls of which each is changed in several ways.
    pub changed: usize,
    /// Time between the changes of two calls.
    pub change_every: Duration,
}

/// Phones over WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebPlan {
    /// Phones without TLS.
    pub ws: usize,
    /// Phones with TLS.
    pub wss: usize,
    /// The time in which all of them refresh, each once.
    pub refresh: Duration,
}

/// Everything that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Runs of every program. Between two runs of one come those of all others.
    pub runs: usize,
    /// Phones of media on links of their own.
    pub links: bool,
    /// Phones that call, and as many that are called.
    pub pairs: usize,
    /// Registrations.
    pub register: LoadPlan,
    /// Calls.
    pub call: LoadPlan,
    /// As many calls as possible.
    pub rate: RatePlan,
    /// Idle registrations and live calls.
    pub memory: MemoryPlan,
    /// Phones over WebSocket.
    pub web: WebPlan,
    /// Operations of which instructions are counted.
    pub instruction_times: usize,
    /// Calls at a relay at the same time.
    pub media_calls: usize,
    /// How long they talk before anything is counted.
    pub media_warm_up: Duration,
    /// How long they talk then.
    pub media: Duration,
    /// As many packets as possible.
    pub media_rate: MediaRatePlan,
    /// Calls that come and go.
    pub churn: ChurnPlan,
    /// The same with phones on links of their own.
    pub street: StreetPlan,
}

impl Plan {
    /// Figures to quote. Takes about twenty minutes.
    #[must_use]
    pub fn full() -> Self {
        let load = |paced_per_second, steady_per_second| LoadPlan {
            paced_per_second,
            paced: Duration::from_millis(1_500),
            steady_per_second,
            steady: Duration::from_millis(750),
            window: 64,
            saturated: Duration::from_millis(2_250),
            half: Duration::from_millis(1_500),
        };
        Self {
            runs: 5,
            links: false,
            pairs: 500,
            register: load(500.0, 5_000.0),
            call: load(200.0, 1_000.0),
            rate: RatePlan {
                runs: 1,
                pairs: 4_000,
                first: 700.0,
                factor: 1.35,
                max: 16_000.0,
                step: Duration::from_millis(2_500),
                tries: 3,
            },
            memory: MemoryPlan {
                pairs: 10_000,
                slow_pairs: 2_500,
                slow_per_second: 500.0,
                calls: 4_000,
                calls_per_second: 800.0,
            },
            web: WebPlan {
                ws: 2_000,
                wss: 15_000,
                refresh: Duration::from_secs(15),
            },
            instruction_times: 1_000,
            media_calls: 100,
            media_warm_up: Duration::from_secs(1),
            media: Duration::from_secs(3),
            media_rate: MediaRatePlan {
                calls: 1_000,
                first: 50_000.0,
                factor: 1.4,
                max: 1_000_000.0,
                step: Duration::from_secs(2),
                tries: 2,
            },
            churn: ChurnPlan {
                calls: 5_000,
                talking: 500,
                per_second: 200.0,
                times: 1_000,
            },
            street: StreetPlan {
                calls: 1_000,
                heard: Duration::from_secs(3),
                // Turns with the relay and without it begin at all parts of a second.
                unheard: Duration::from_millis(230),
                turns: 12,
                changed: 100,
                change_every: Duration::from_millis(10),
            },
        }
    }

    /// Shows that everything works, and figures of the right size. Takes less than four minutes.
    #[must_use]
    pub fn quick() -> Self {
        let full = Self::full();
        let shorter = |load: LoadPlan| LoadPlan {
            paced: Duration::from_millis(1_000),
            steady: Duration::from_millis(500),
            saturated: Duration::from_millis(1_000),
            half: Duration::from_millis(1_000),
            ..load
        };
        Self {
            runs: 2,
            register: shorter(full.register),
            call: shorter(full.call),
            rate: RatePlan {
                factor: 1.6,
                step: Duration::from_secs(1),
                tries: 2,
                ..full.rate
            },
            memory: MemoryPlan {
                pairs: 2_500,
                slow_pairs: 500,
                calls: 1_000,
                ..full.memory
            },
            web: WebPlan {
                ws: 500,
                wss: 1_000,
                refresh: Duration::from_secs(2),
            },
            instruction_times: 200,
            media_warm_up: Duration::from_millis(500),
            media: Duration::from_millis(1_500),
            media_rate: MediaRatePlan {
                calls: 200,
                factor: 2.0,
                step: Duration::from_millis(500),
                tries: 1,
                ..full.media_rate
            },
            churn: ChurnPlan {
                calls: 1_000,
                talking: 200,
                times: 200,
                ..full.churn
            },
            street: StreetPlan {
                calls: 200,
                heard: Duration::from_secs(1),
                turns: 2,
                changed: 20,
                ..full.street
            },
            ..full
        }
    }

    /// The same with so many calls at relays.
    #[must_use]
    pub fn with_calls(self, calls: usize) -> Self {
        let calls = calls.max(1);
        Self {
            media_calls: calls,
            street: StreetPlan {
                calls,
                changed: self.street.changed.min(calls),
                ..self.street
            },
            ..self
        }
    }

    /// The least time that measuring so many proxies and relays takes, without starting and ending them. Proxies on disk
    /// do a third of what the others do, and one more relay has sockets for its ports and little to do.
    #[must_use]
    pub fn duration(&self, proxies: u32, proxies_on_disk: u32, relays: u32) -> Duration {
        let load = |load: LoadPlan| load.paced + load.steady + load.saturated + load.half;
        let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let proxy = 2 * load(self.register) + load(self.call);
        let change = self.street.change_every * times(self.street.changed);
        let street = self.street.heard + 2 * self.street.turns * self.street.unheard + 3 * change;
        let talk = self.media_warm_up + self.media;
        // Phones are the limit long before the highest rate is reached.
        let rates = 8 * self.media_rate.step + 3 * self.media_warm_up;
        let churn = Duration::from_secs_f64(self.churn.times as f64 / self.churn.per_second);
        let relay = 3 * talk + self.media_warm_up + street + rates;
        let sockets = talk + rates;
        let each = proxies * proxy + proxies_on_disk * load(self.register) + relays * relay + sockets + churn;
        times(self.runs) * each + times(self.rate.runs) * proxies * self.rate.duration_max()
    }
}

impl RatePlan {
    /// How long a search takes if the highest rate holds.
    fn duration_max(&self) -> Duration {
        let ups = (self.max / self.first).log(self.factor).ceil() + 1.0;
        self.step.mul_f64(ups + self.tries as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_keep_their_promise_of_time() {
        // Each start and end, with what is set up in between, takes a second or two.
        assert!(Plan::full().duration(3, 1, 2) < Duration::from_secs(1_000));
        assert!(Plan::quick().duration(3, 1, 2) < Duration::from_secs(180));
    }
}
