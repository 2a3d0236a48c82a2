//! Where connections come from: how many each source has, and how fast it opens others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use viaduct_routing::{Rate, SourceNetwork};

/// Sources below which nothing is swept.
const SWEPT_FROM: usize = 1_024;

/// What one source may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceLimits {
    /// Connections at a time (`limits.connections_per_source`).
    pub(crate) connections: usize,
    /// Connections that it may open at once, and the time after which it may open as many again
    /// (`limits.new_connections_per_source`).
    pub(crate) opening: Rate,
    /// Sources that are remembered (`limits.sources`), beyond those that have a connection.
    pub(crate) remembered: usize,
}

/// Why a source may not have another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has [`SourceLimits::connections`].
    TooMany,
    /// It opens them faster than [`SourceLimits::opening`].
    TooFast,
}

/// All sources that have a connection, or have opened one not long ago.
#[derive(Debug)]
pub(crate) struct Sources {
    known: HashMap<SourceNetwork, Source>,
    /// How many there are when those are looked for that nothing is left to say of.
    sweep_at: usize,
}

#[derive(Debug)]
struct Source {
    connections: usize,
    /// When all that it has opened would have been opened at its steady rate.
    due: Instant,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self {
            known: HashMap::new(),
            sweep_at: SWEPT_FROM,
        }
    }

    /// Counts a connection from an address. One that is refused is not counted.
    pub(crate) fn enter(&mut self, now: Instant, ip: IpAddr, limits: &SourceLimits) -> Result<(), Refusal> {
        if self.known.len() >= self.sweep_at {
            self.sweep(now, limits.remembered);
        }
        let source = self.known.entry(SourceNetwork::of(ip)).or_insert(Source {
            connections: 0,
            due: now,
        });
        if source.connections >= limits.connections {
            return Err(Refusal::TooMany);
        }
        let Rate { count, per } = limits.opening;
        let due = source.due.max(now) + per / count.max(1);
        if due > now + per {
            return Err(Refusal::TooFast);
        }
        source.due = due;
        source.connections += 1;
        Ok(())
    }

    /// A connection from an address that was counted is gone.
    pub(crate) fn leave(&mut self, now: Instant, ip: IpAddr) {
        let network = SourceNetwork::of(ip);
        if let Some(source) = self.known.get_mut(&network) {
            source.connections -= 1;
            if source.is_blank(now) {
                self.known.remove(&network);
            }
        }
    }

    /// Forgets those of whom there is nothing to say, and if that is not enough, half of those who only have to wait: those
    /// who would have waited least.
    fn sweep(&mut self, now: Instant, remembered: usize) {
        self.known.retain(|_, source| !source.is_blank(now));
        let idle = self.known.values().filter(|source| source.connections == 0);
        let mut dues: Vec<Instant> = idle.map(|source| source.due).collect();
        if dues.len() >= remembered.max(1) {
            let middle = dues.len() / 2;
            let (_, &mut cut, _) = dues.select_nth_unstable(middle);
            self.known
                .retain(|_, source| source.connections > 0 || source.due > cut);
        }
        self.sweep_at = (2 * self.known.len()).max(SWEPT_FROM);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

impl Source {
    fn is_blank(&self, now: Instant) -> bool {
        self.connections == 0 && self.due <= now
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    const LIMITS: SourceLimits = SourceLimits {
        connections: 100,
        opening: Rate {
            count: 10,
            per: Duration::from_secs(5),
        },
        remembered: 2_000,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many connections this address can open at once.
    fn opened(sources: &mut Sources, now: Instant, from: IpAddr) -> usize {
        (0..1_000)
            .take_while(|_| sources.enter(now, from, &LIMITS).is_ok())
            .count()
    }

    #[test]
    fn a_burst_is_taken_and_then_the_steady_rate() {
        let (mut sources, now, from) = (Sources::new(), Instant::now(), ip("192.0.2.1"));
        assert_eq!(opened(&mut sources, now, from), 10);
        assert_eq!(sources.enter(now, from, &LIMITS), Err(Refusal::TooFast));
        assert_eq!(opened(&mut sources, now + Duration::from_millis(499), from), 0);
        assert_eq!(opened(&mut sources, now + Duration::from_millis(500), from), 1);
        assert_eq!(opened(&mut sources, now + Duration::from_secs(2), from), 3);
        // A pause of any length saves no more than a burst.
        assert_eq!(opened(&mut sources, now + Duration::from_secs(600), from), 10);
        assert_eq!(
            opened(&mut sources, now, ip("192.0.2.2")),
            10,
            "others have their own"
        );
    }

    #[test]
    fn closing_a_connection_does_not_give_back_the_right_to_open_it() {
        let (mut sources, now, from) = (Sources::new(), Instant::now(), ip("192.0.2.1"));
        assert_eq!(opened(&mut sources, now, from), 10);
        (0..10).for_each(|_| sources.leave(now, from));
        assert_eq!(sources.enter(now, from, &LIMITS), Err(Refusal::TooFast));
        sources.enter(now + LIMITS.opening.per, from, &LIMITS).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let (mut sources, now) = (Sources::new(), Instant::now());
        for host in 0..10u16 {
            let from = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, host, host, 0, host);
            sources.enter(now, from.into(), &LIMITS).unwrap();
        }
        let neighbour = ip("2001:db8:0:1::ffff");
        assert_eq!(sources.enter(now, neighbour, &LIMITS), Err(Refusal::TooFast));
        assert_eq!(opened(&mut sources, now, ip("2001:db8:0:2::1")), 10);
        // An address of IPv4 in that of IPv6 is that of IPv4.
        assert_eq!(opened(&mut sources, now, ip("::ffff:192.0.2.1")), 10);
        assert_eq!(opened(&mut sources, now, ip("192.0.2.1")), 0);
    }

    #[test]
    fn a_source_that_has_too_many_is_refused_for_that() {
        let (mut sources, now, from) = (Sources::new(), Instant::now(), ip("192.0.2.1"));
        let limits = SourceLimits {
            connections: 2,
            ..LIMITS
        };
        sources.enter(now, from, &limits).unwrap();
        sources.enter(now, from, &limits).unwrap();
        assert_eq!(sources.enter(now, from, &limits), Err(Refusal::TooMany));
        sources.leave(now, from);
        sources.enter(now, from, &limits).unwrap();
    }

    #[test]
    fn who_has_nothing_and_need_not_wait_is_forgotten() {
        let (mut sources, now, from) = (Sources::new(), Instant::now(), ip("192.0.2.1"));
        sources.enter(now, from, &LIMITS).unwrap();
        sources.leave(now, from);
        assert_eq!(sources.len(), 1, "it has opened one");
        sources.enter(now + LIMITS.opening.per, from, &LIMITS).unwrap();
        sources.leave(now + 2 * LIMITS.opening.per, from);
        assert_eq!(sources.len(), 0);
    }

    /// A crowd that comes from everywhere and goes at once.
    #[test]
    fn no_more_sources_are_remembered_than_configured() {
        let (mut sources, now) = (Sources::new(), Instant::now());
        let stays = ip("192.0.2.1");
        sources.enter(now, stays, &LIMITS).unwrap();
        for number in 0..100_000u32 {
            let from = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            sources.enter(now, from, &LIMITS).unwrap();
            sources.leave(now, from);
            assert!(sources.len() <= 2 * LIMITS.remembered + 1, "{}", sources.len());
        }
        (0..9).for_each(|_| sources.enter(now, stays, &LIMITS).unwrap());
        assert_eq!(sources.enter(now, stays, &LIMITS), Err(Refusal::TooFast));
        // When they have had their time, the next sweep leaves those who are there.
        sources.sweep(now + LIMITS.opening.per, LIMITS.remembered);
        assert_eq!(sources.len(), 1);
    }
}
