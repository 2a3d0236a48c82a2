//! What a transaction may do to the world: send, set a timer, count, tell its user.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{ClientId, Counters, Hop, Output, ServerId, Timers, Timing};

/// The timers of RFC 3261 section 17 and RFC 6026, by their letters. Timer J has a queue of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    A,
    B,
    D,
    E,
    F,
    G,
    H,
    I,
    K,
    L,
    M,
    /// A cancelled INVITE that nobody ends (RFC 3261 section 9.1, last paragraph).
    CancelGiveUp,
}

/// Whose timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Server(ServerId),
    Client(ClientId),
}

/// One timer that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) owner: Owner,
    pub(crate) letter: Letter,
}

/// The world as one transaction sees it while it handles one event.
pub(crate) struct Effects<'a> {
    pub(crate) now: Instant,
    pub(crate) owner: Owner,
    pub(crate) hop: &'a Hop,
    pub(crate) timing: &'a Timing,
    pub(crate) timers: &'a mut Timers<Timer>,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) counters: &'a mut Counters,
}

impl Effects<'_> {
    pub(crate) fn send(&mut self, octets: &Bytes) {
        let client = match self.owner {
            Owner::Client(client) => Some(client),
            Owner::Server(_) => None,
        };
        self.outputs.push_back(Output::Send {
            hop: self.hop.clone(),
            octets: octets.clone(),
            client,
        });
    }

    /// Sends again because a timer said so.
    pub(crate) fn retransmit(&mut self, octets: &Bytes) {
        self.counters.retransmissions += 1;
        self.send(octets);
    }

    pub(crate) fn set(&mut self, letter: Letter, after: Duration) {
        self.timers.set(
            self.now,
            after,
            Timer {
                owner: self.owner,
                letter,
            },
        );
    }

    /// Sets a timer whose value is 0 on transports that lose nothing. False when it is: the state is over at once.
    pub(crate) fn set_if_lossy(&mut self, letter: Letter, after: Duration) -> bool {
        let lossy = !self.is_reliable();
        if lossy {
            self.set(letter, after);
        }
        lossy
    }

    pub(crate) fn is_reliable(&self) -> bool {
        self.hop.transport().is_reliable()
    }
}
