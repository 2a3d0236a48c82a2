//! ICE of one leg (RFC 8445): credentials of both sides, and who makes and answers checks.
//!
//! A lite agent's checks are answered by the workers; here is only what they report. A full agent lives here, and its
//! STUN messages go up and down through control.

mod candidates;
mod full;
mod hmac;
mod wording;

pub(crate) use candidates::{Beside, candidates_beside, local_candidates, priority};
pub(crate) use full::{FullAgent, FullEvent};

use std::net::SocketAddr;
use std::time::Instant;

use viaduct_sdp::IceCredentials;
use viaduct_stun::{Class, IntegrityKey, Message, MessageWriter, lite};

/// A candidate of the peer that checks can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteCandidate {
    pub(crate) component: u16,
    pub(crate) address: SocketAddr,
    pub(crate) priority: u32,
}

/// What a peer's SDP says about ICE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteIce {
    pub(crate) credentials: IceCredentials,
    pub(crate) lite: bool,
    /// It says that it trickles (RFC 8838).
    pub(crate) trickle: bool,
    /// It says that it follows RFC 8445.
    pub(crate) ice2: bool,
    pub(crate) candidates: Vec<RemoteCandidate>,
}

/// Who makes checks.
#[derive(Debug)]
pub(crate) enum Agent {
    /// The peer alone.
    Lite,
    /// Both.
    Full(Box<FullAgent>),
}

/// ICE of one leg.
#[derive(Debug)]
pub(crate) struct Ice {
    pub(crate) local: IceCredentials,
    pub(crate) remote: Option<RemoteIce>,
    pub(crate) agent: Agent,
    /// Since when checks can succeed: both sides' credentials are known.
    pub(crate) checking_since: Option<Instant>,
    /// When the freshness of a lite peer's checks is looked at next.
    pub(crate) next_look: Option<Instant>,
    pub(crate) state: State,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No path yet.
    Checking,
    /// There is a path.
    Connected,
    /// There is none, and that was told.
    Failed,
}

impl Ice {
    /// Credentials of ours, nothing known of the peer.
    pub(crate) fn new(local: IceCredentials, agent: Agent) -> Self {
        Self {
            local,
            remote: None,
            agent,
            checking_since: None,
            next_look: None,
            state: State::Checking,
        }
    }

    pub(crate) fn is_lite(&self) -> bool {
        matches!(self.agent, Agent::Lite)
    }

    pub(crate) fn full(&self) -> Option<&FullAgent> {
        match &self.agent {
            Agent::Lite => None,
            Agent::Full(agent) => Some(agent),
        }
    }

    pub(crate) fn full_mut(&mut self) -> Option<&mut FullAgent> {
        match &mut self.agent {
            Agent::Lite => None,
            Agent::Full(agent) => Some(agent),
        }
    }

    /// The answer to a good check of a peer whose SDP is still on its way. `None` if it is no check.
    pub(crate) fn early_answer(&self, from: SocketAddr, check: &[u8]) -> Option<Vec<u8>> {
        let check = Message::parse(check)
            .ok()
            .filter(|of| of.class() == Class::Request)?;
        let mut buffer = [0; lite::RESPONSE_MAX];
        let writer = MessageWriter::new(
            &mut buffer,
            Class::Success,
            check.method(),
            check.transaction_id(),
        );
        let mut writer = writer.ok()?;
        writer.xor_mapped_address(from).ok()?;
        writer
            .integrity(&IntegrityKey::short_term(&self.local.pwd))
            .ok()?;
        writer.fingerprint().ok()?;
        let answer = writer.finish().to_vec();
        Some(self.full().map_or(answer.clone(), |agent| agent.word(answer)))
    }

    /// Whether these credentials mean that the peer has restarted ICE (RFC 8445 section 9).
    pub(crate) fn is_restart(&self, credentials: &IceCredentials) -> bool {
        self.remote
            .as_ref()
            .is_some_and(|remote| remote.credentials != *credentials)
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let agent = self.full_mut().and_then(FullAgent::poll_timeout);
        [agent, self.next_look].into_iter().flatten().min()
    }
}
