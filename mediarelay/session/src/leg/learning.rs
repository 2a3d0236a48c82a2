//! Where the media of a peer without ICE really comes from (NG `endpoint-learning`).
//!
//! The address of an SDP is often not the one that a NAT lets media come from. The workers hand up packets of unknown
//! sources; this says which of them is the peer. Every rule here trades one risk for another: a phone that is not heard
//! against a stranger that is.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use viaduct_forward::PortMode;
use viaduct_ng::EndpointLearning;

use crate::config::Config;

/// How the endpoint of one leg is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LearningRules {
    pub(crate) mode: EndpointLearning,
    /// How long after signalling better sources are followed.
    pub(crate) window: Duration,
    /// Other sources than the endpoint are dropped.
    pub(crate) strict: bool,
    /// The peer receives where its SDP says, wherever it sends from (flag `asymmetric`).
    pub(crate) asymmetric: bool,
    /// A new source is followed at any time (flag `media-handover`).
    pub(crate) handover: bool,
    /// Empty datagrams are sent to the peer until it is heard (flag `pierce-NAT`).
    pub(crate) pierce: bool,
}

impl LearningRules {
    /// What holds where no request says anything else.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            mode: config.learning,
            window: config.learning_time,
            strict: config.strict_source,
            asymmetric: false,
            handover: false,
            pierce: false,
        }
    }
}

/// What to do with a packet of an unknown source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Not the peer.
    Stranger,
    /// Hear it, but send to the endpoint as before.
    Heard,
    /// It is the peer: hear it and send there.
    Followed,
}

/// The host that a leg's RTP is sent to: its RTCP is expected from there as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MediaHost {
    pub(crate) address: IpAddr,
    /// Media has come from there, so RTCP of any other host is a stranger's. Many phones send no RTCP, and whoever finds
    /// their port must not take their place.
    pub(crate) found: bool,
}

/// How well a source fits what the SDP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Nothing,
    Port,
    Address,
    Exact,
}

/// The endpoint of one component of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learning {
    rules: LearningRules,
    started: Instant,
    /// What the SDP says; `None` where it says no address.
    expected: Option<SocketAddr>,
    /// How well the best source so far fits.
    best: Option<Fit>,
    settled: bool,
    /// The end of a delay has been told.
    delay_over: bool,
    /// The one source that is heard while a delay lasts and the SDP's is silent.
    meanwhile: Option<SocketAddr>,
}

impl Learning {
    /// Begins when an SDP has named an endpoint.
    pub(crate) fn new(rules: LearningRules, now: Instant, expected: Option<SocketAddr>) -> Self {
        Self {
            rules,
            started: now,
            expected,
            best: None,
            settled: rules.mode == EndpointLearning::Off,
            delay_over: rules.mode != EndpointLearning::Delayed,
            meanwhile: None,
        }
    }

    pub(crate) fn rules(&self) -> LearningRules {
        self.rules
    }

    /// The address that the SDP names.
    pub(crate) fn expected(&self) -> Option<SocketAddr> {
        self.expected
    }

    /// Takes new rules, and what a further SDP says. An endpoint that it repeats is not learnt again.
    pub(crate) fn on_signalling(&mut self, rules: LearningRules, now: Instant, expected: Option<SocketAddr>) {
        if self.expected != expected || self.rules.mode != rules.mode {
            *self = Self::new(rules, now, expected);
            return;
        }
        self.rules = rules;
        if !self.settled {
            self.started = now;
        }
    }

    /// The endpoint was found by an earlier relay.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Whether the endpoint is fixed.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// A packet came from the address of the SDP. True if that is news.
    pub(crate) fn on_expected(&mut self, now: Instant) -> bool {
        self.best = Some(Fit::Exact);
        let too_early = self.rules.mode == EndpointLearning::Delayed && now < self.window_end();
        let news = !self.settled && !too_early;
        self.settled |= news;
        news
    }

    /// A packet came from a source that is heard already. True if it is followed for that: its turn has come.
    pub(crate) fn on_heard(&mut self, now: Instant, from: SocketAddr) -> bool {
        let counts = self.rules.mode == EndpointLearning::Delayed && now >= self.window_end();
        let news = counts && !self.settled && !self.rules.asymmetric;
        if news {
            self.settled = true;
            self.best = Some(self.fit(from, None));
        }
        news
    }

    /// A packet came from somewhere else; to an RTCP port, with the host of the media.
    pub(crate) fn on_unknown(&mut self, now: Instant, from: SocketAddr, media: Option<MediaHost>) -> Source {
        if self.settled {
            return self.after_settling();
        }
        let in_window = now < self.window_end();
        let fit = self.fit(from, media);
        match self.rules.mode {
            EndpointLearning::Off => return self.after_settling(),
            EndpointLearning::Immediate => self.settled = true,
            // One is heard already, unless the SDP's was; RTCP has time.
            EndpointLearning::Delayed if in_window => {
                let may = self.best.is_none() && media.is_none();
                if may && *self.meanwhile.get_or_insert(from) == from {
                    return Source::Heard;
                }
                return self.beside();
            }
            EndpointLearning::Delayed => self.settled = true,
            EndpointLearning::Heuristic => {
                let elsewhere = media.is_some_and(|media| media.found) && fit < Fit::Address;
                if elsewhere || self.best.is_some_and(|best| fit <= best) {
                    return self.beside();
                }
                // Nothing was heard in time: whoever comes first is all there is.
                self.settled = !in_window;
            }
        }
        self.best = Some(fit);
        self.follow()
    }

    /// Time has passed. True once, when a delay is over: the next packet counts, from wherever it comes.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        if now < self.window_end() {
            return false;
        }
        self.settled |= self.best.is_some() && self.rules.mode == EndpointLearning::Heuristic;
        !std::mem::replace(&mut self.delay_over, true)
    }

    /// When [`handle_timeout`](Self::handle_timeout) will change something.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let end = self.window_end();
        let matters = match self.rules.mode {
            EndpointLearning::Heuristic => self.best.is_some() || end > now,
            EndpointLearning::Delayed => !self.delay_over,
            EndpointLearning::Immediate | EndpointLearning::Off => false,
        };
        Some(end).filter(|_| matters && !self.settled)
    }

    /// What the workers shall do with unknown sources.
    pub(crate) fn port_mode(&self, now: Instant) -> PortMode {
        let waits = self.rules.mode == EndpointLearning::Delayed && now < self.window_end();
        let waits = waits && (self.best.is_some() || self.meanwhile.is_some());
        let open = match (self.settled, self.rules.mode) {
            (true, EndpointLearning::Off) => !self.rules.strict || self.rules.asymmetric,
            (true, _) => !self.rules.strict || self.rules.handover,
            (false, _) => !waits,
        };
        if open {
            PortMode::Learning
        } else {
            PortMode::Settled
        }
    }

    fn window_end(&self) -> Instant {
        self.started + self.rules.window
    }

    fn fit(&self, from: SocketAddr, media: Option<MediaHost>) -> Fit {
        let same_address = self.expected.is_some_and(|expected| expected.ip() == from.ip())
            || media.is_some_and(|media| media.address == from.ip());
        if self.expected == Some(from) {
            Fit::Exact
        } else if same_address {
            Fit::Address
        } else if self
            .expected
            .is_some_and(|expected| expected.port() == from.port())
        {
            Fit::Port
        } else {
            Fit::Nothing
        }
    }

    fn follow(&self) -> Source {
        if self.rules.asymmetric && self.expected.is_some() {
            Source::Heard
        } else {
            Source::Followed
        }
    }

    /// Another source than the best one, while it is not settled.
    fn beside(&self) -> Source {
        if self.rules.strict {
            Source::Stranger
        } else {
            Source::Heard
        }
    }

    fn after_settling(&self) -> Source {
        if self.rules.handover && self.rules.mode != EndpointLearning::Off {
            self.follow()
        } else {
            self.beside()
        }
    }
}

#[cfg(test)]
mod tests;
