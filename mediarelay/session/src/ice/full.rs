//! The full agent, on the `is` crate: one of its agents per component.
//!
//! `is` is made for one muxed component, so each component's candidates are given to it as component 1, with the
//! priorities that our SDP and the peer's have.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, CandidateKind, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol};
use viaduct_forward::LocalAddr;
use viaduct_sdp::IceCredentials;

use super::hmac::Hmac;
use super::wording::{Passwords, worded};
use super::{RemoteCandidate, RemoteIce};
use crate::leg::Component;

/// Pairs of candidates that one agent checks at most (RFC 8445 section 6.1.2.5 recommends 100 for all).
const PAIRS_MAX: usize = 100;

/// What the agent wants or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FullEvent {
    /// Send this STUN message.
    Send {
        from: LocalAddr,
        to: SocketAddr,
        data: Vec<u8>,
        /// It is a check, and an answer will come.
        is_request: bool,
    },
    /// This path is to be used.
    Nominated { local: LocalAddr, remote: SocketAddr },
    /// No path works any more.
    Disconnected,
}

/// Addresses from which an agent takes good messages. It remembers each, so a peer that sends from everywhere would
/// make it grow; one that wanders through more networks than this restarts ICE, which begins with another agent.
const SOURCES_MAX: usize = 256;

/// The agents of one leg's components.
#[derive(Debug)]
pub(crate) struct FullAgent {
    agents: [Option<IceAgent>; 2],
    /// What is said is worded as rtpengine does.
    like_rtpengine: bool,
    /// Where good messages have come from.
    sources: BTreeSet<SocketAddr>,
}

impl FullAgent {
    /// Agents for these components; `locals` has our candidates with their priorities.
    pub(crate) fn new(
        local: &IceCredentials,
        controlling: bool,
        tie_breaker: u64,
        locals: &[(Component, LocalAddr, u32)],
    ) -> Self {
        let mut agents = [None, None];
        for (component, address, priority) in locals {
            let agent: &mut IceAgent = agents[component.index()].get_or_insert_with(|| {
                let mut agent = IceAgent::with_hmac(creds(local), &Hmac);
                agent.set_controlling(controlling);
                agent.set_control_tie_breaker(tie_breaker);
                agent.set_max_candidate_pairs(PAIRS_MAX);
                agent
            });
            agent.add_local_candidate(candidate(*address, *priority, CandidateKind::Host));
        }
        Self {
            agents,
            like_rtpengine: false,
            sources: BTreeSet::new(),
        }
    }

    /// Words what it says as rtpengine does, or not.
    pub(crate) fn like_rtpengine(mut self, like: bool) -> Self {
        self.like_rtpengine = like;
        self
    }

    /// Whether we choose the path.
    pub(crate) fn is_controlling(&self) -> bool {
        self.agents.iter().flatten().any(IceAgent::controlling)
    }

    /// Begins checks with a peer, or takes further candidates of it. Other credentials than before restart ICE with
    /// `local` as ours.
    pub(crate) fn set_remote(&mut self, now: Instant, local: &IceCredentials, remote: &RemoteIce) {
        for agent in self.agents.iter_mut().flatten() {
            let wanted = creds(&remote.credentials);
            let restart = agent.remote_credentials().is_some_and(|known| *known != wanted);
            if restart || *agent.local_credentials() != creds(local) {
                agent.ice_restart(creds(local), true);
            }
            agent.set_remote_credentials(wanted);
        }
        for candidate in &remote.candidates {
            self.add_candidate(candidate);
        }
        self.handle_timeout(now);
    }

    /// Takes a candidate of the peer.
    pub(crate) fn add_candidate(&mut self, remote: &RemoteCandidate) {
        let mut components = Component::BOTH.into_iter();
        let component = components.find(|component| component.number() == remote.component);
        if let Some(agent) = component.and_then(|component| self.agents[component.index()].as_mut()) {
            agent.add_remote_candidate(candidate(remote.address, remote.priority, CandidateKind::Host));
        }
    }

    /// A STUN message came. True if it is good: whoever sent it knows the password.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        component: Component,
        local: LocalAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let Some(agent) = self.agents[component.index()].as_mut() else {
            return false;
        };
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains(&from) {
            return false;
        }
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        let packet = StunPacket {
            proto: Protocol::Udp,
            source: from,
            destination: local,
            message,
        };
        let good = agent.handle_packet(now, packet);
        agent.handle_timeout(now);
        if good {
            self.sources.insert(from);
        }
        good
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for agent in self.agents.iter_mut().flatten() {
            agent.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let with_peer = |agent: &&mut IceAgent| agent.remote_credentials().is_some();
        self.agents
            .iter_mut()
            .flatten()
            .filter(with_peer)
            .filter_map(IceAgent::poll_timeout)
            .min()
    }

    /// A message as it is to be worded.
    pub(crate) fn word(&self, message: Vec<u8>) -> Vec<u8> {
        let Some(agent) = self
            .agents
            .iter()
            .flatten()
            .next()
            .filter(|_| self.like_rtpengine)
        else {
            return message;
        };
        let passwords = Passwords {
            ours: &agent.local_credentials().pass,
            theirs: agent.remote_credentials().map(|of| of.pass.as_str()),
        };
        worded(&message, passwords).unwrap_or(message)
    }

    /// What comes out of a component's agent next.
    pub(crate) fn poll(&mut self, component: Component) -> Option<FullEvent> {
        let agent = self.agents[component.index()].as_mut()?;
        let transmit = agent.poll_transmit();
        if let Some(transmit) = transmit {
            let data = transmit.contents.to_vec();
            let data = self.word(data);
            return Some(FullEvent::Send {
                from: transmit.source,
                to: transmit.destination,
                is_request: data.first_chunk() == Some(&[0x00, 0x01]),
                data,
            });
        }
        loop {
            match self.agents[component.index()].as_mut()?.poll_event()? {
                IceAgentEvent::NominatedSend {
                    source, destination, ..
                } => {
                    return Some(FullEvent::Nominated {
                        local: source,
                        remote: destination,
                    });
                }
                IceAgentEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                    return Some(FullEvent::Disconnected);
                }
                IceAgentEvent::IceConnectionStateChange(_)
                | IceAgentEvent::IceRestart(_)
                | IceAgentEvent::DiscoveredRecv { .. } => {}
            }
        }
    }
}

fn creds(credentials: &IceCredentials) -> IceCreds {
    IceCreds {
        ufrag: credentials.ufrag.clone(),
        pass: credentials.pwd.clone(),
    }
}

/// The agent needs an address and a priority; what else SDP says of a candidate changes nothing in its work.
fn candidate(address: SocketAddr, priority: u32, kind: CandidateKind) -> Candidate {
    Candidate::from_parts(
        address.to_string(),
        1,
        Protocol::Udp,
        priority,
        address,
        kind,
        None,
        None,
        None,
    )
}
