//! The way to a next hop: its name is resolved, and its addresses are tried one after another (RFC 3263 section 4.3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use viaduct_resolve::{Failure, NextHop};
use viaduct_sip::{Host, Method, Transport, Uri};
use viaduct_txn::{Flow, Hop};

use super::Proxy;
use super::arrival::Arrival;
use super::forward::{BeginCall, Forward};
use crate::calling::Calling;
use crate::config::{DATAGRAM_REQUEST_MAX, ForeignDomains, UdpToTcp};
use crate::context::{Attempt, Best, BranchState, CommonEdits, ContextId, Media, Target, Way};
use crate::media::Party;
use crate::route::Routing;
use crate::{Output, Reachable, Refusal, Ticket};

impl Proxy {
    /// A request to somebody elsewhere: only for users of ours, and only when that is allowed (RFC 3261 section 16.5).
    pub(super) fn forward_elsewhere(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        routing: &Routing,
        uri: &Uri<'_>,
    ) -> Result<(), Refusal> {
        let Arrival {
            server,
            flow,
            request,
            essentials,
            ..
        } = arrival;
        let method = essentials.cseq.method;
        if self.config.foreign_domains == ForeignDomains::Deny || method == Method::Register {
            return Err(Refusal::RelayDenied);
        }
        if matches!(method, Method::Bye | Method::Prack | Method::Update) {
            return Err(Refusal::NoDialog);
        }
        let who = self.authenticate_caller(now, arrival)?;
        let beyond = self.leads_through_us(uri, flow).then(|| uri.beyond_maddr());
        let beyond = beyond.as_deref().map(Uri::parse).transpose();
        let beyond = beyond.map_err(|_| Refusal::BadHeader("Request-URI"))?;
        let uri = beyond.as_ref().unwrap_or(uri);
        let next_route = routing.next_route(request).transpose()?;
        let strict_next = next_route.as_ref().filter(|route| !route.is_loose_router());
        let bad = |_| Refusal::BadHeader(if routing.foreign { "Route" } else { "Request-URI" });
        let mut next_hop = NextHop::of_uri(next_route.as_ref().unwrap_or(uri)).map_err(bad)?;
        // What must stay secret to its end must be so on the next hop too (RFC 3261 section 26.2.2).
        next_hop.secure |= uri.is_sips();
        let seat = (method == Method::Invite)
            .then(|| self.seat(who.user()))
            .transpose()?;
        let uri_out = strict_next.unwrap_or(uri).as_str();
        let target = Target::new(uri_out, Way::Resolve(next_hop));
        let forward = Forward {
            server: *server,
            flow: *flow,
            request: (*request).clone(),
            edits: CommonEdits {
                credentials_line: who.line(),
                record_route: method.makes_dialog(),
                strict_next: strict_next.is_some(),
                headers: viaduct_trunk::between_users().into(),
                ..CommonEdits::of(routing)
            },
            is_trying: arrival.has_waited,
            // One branch takes all the breadth there is.
            breadth: None,
            from_trunk: None,
            hides: false,
        };
        match seat {
            Some(seat) => {
                let begin = BeginCall {
                    caller: Calling::User(Arc::clone(who.user())),
                    dialled: uri.after_scheme().to_owned(),
                    seat,
                    channel: None,
                };
                self.begin_call(now, forward, begin, vec![vec![target]]);
            }
            None => self.forward(now, forward, vec![vec![target]]),
        }
        Ok(())
    }

    /// True when `maddr` names us in place of the host: it has led here and must lead no further (RFC 3261 section 16.4).
    fn leads_through_us(&self, uri: &Uri<'_>, flow: &Flow) -> bool {
        let maddr = uri.params().get("maddr").and_then(|param| param.value);
        let host = maddr.and_then(|text| Host::parse(text).ok());
        host.is_some_and(|host| self.config.is_our_host(&host, flow.local))
    }

    /// Has the addresses of a branch's next hop looked up.
    pub(super) fn resolve_branch(&mut self, now: Instant, id: ContextId, index: usize, next_hop: NextHop) {
        if self.is_waiting_room_full() {
            self.counters.waiting_over_limit += 1;
            let refusal = Refusal::Overload("Too many requests wait");
            return self.branch_failed(now, id, index, Best::Local(refusal));
        }
        let ticket = self.next_ticket();
        let Some(branch) = self.branch_mut(id, index) else {
            return;
        };
        branch.state = BranchState::Resolving(ticket);
        self.resolve_waits.insert(ticket, (id, index));
        self.outputs.push_back(Output::Resolve { ticket, next_hop });
    }

    /// The addresses of a branch's next hop are known, or cannot be.
    pub(super) fn next_hop_resolved(
        &mut self,
        now: Instant,
        ticket: Ticket,
        found: Result<Vec<Reachable>, Failure>,
    ) {
        let Some((id, index)) = self.resolve_waits.remove(&ticket) else {
            return;
        };
        let Some(branch) = self.contexts.get(id).map(|context| &context.branches[index]) else {
            return;
        };
        // Cancelled meanwhile.
        if !matches!(branch.state, BranchState::Resolving(waited) if waited == ticket) {
            return;
        }
        let attempts = found.and_then(|addresses| self.attempts(&branch.target, &addresses));
        match attempts {
            Ok((first, left)) => {
                if let Some(branch) = self.branch_mut(id, index) {
                    branch.left = left;
                }
                self.offer_branch(now, id, index, first);
            }
            Err(failure) => {
                self.counters.hops_unresolved += 1;
                self.branch_failed(now, id, index, Best::Local(failure.into()));
            }
        }
    }

    /// The ways to addresses, as far as there is a listener that can be named to the peer.
    fn attempts(
        &self,
        target: &Target,
        addresses: &[Reachable],
    ) -> Result<(Attempt, VecDeque<Attempt>), Failure> {
        let mut attempts: VecDeque<Attempt> = addresses
            .iter()
            .filter_map(|address| self.attempt(address))
            .collect();
        let first = attempts.pop_front().ok_or_else(|| match &target.way {
            Way::Resolve(next_hop) => Failure::NoTransport(next_hop.host.text()),
            Way::Hop(hop) => Failure::NoTransport(hop.remote().to_string().into()),
        })?;
        Ok((first, attempts))
    }

    pub(super) fn attempt(&self, address: &Reachable) -> Option<Attempt> {
        let candidate = &address.candidate;
        let local = self.config.local_for(candidate.transport, address.source)?;
        let hop = match candidate.transport {
            Transport::Udp => Hop::Flow(Flow {
                transport: Transport::Udp,
                local,
                remote: candidate.remote,
                conn: None,
            }),
            transport => Hop::Connect {
                transport,
                local,
                remote: candidate.remote,
                name: candidate.name.clone(),
            },
        };
        Some(Attempt {
            hop,
            is_fixed: candidate.is_fixed || self.config.udp_to_tcp == UdpToTcp::Never,
        })
    }

    /// The way over TCP for a request that is too large for a datagram (RFC 3261 section 18.1.1).
    pub(super) fn stream_instead(&self, attempt: &Attempt, octets: usize) -> Option<Attempt> {
        let Hop::Flow(flow) = &attempt.hop else {
            return None;
        };
        if attempt.is_fixed || flow.transport != Transport::Udp || octets <= DATAGRAM_REQUEST_MAX {
            return None;
        }
        Some(Attempt {
            hop: Hop::Connect {
                transport: Transport::Tcp,
                local: self.config.local_for(Transport::Tcp, flow.local.ip())?,
                remote: flow.remote,
                name: None,
            },
            is_fixed: true,
        })
    }

    /// Sends a branch to its next address, in a transaction of its own. False when there is none, or when nobody waits for
    /// an answer any more.
    pub(super) fn try_next_address(&mut self, now: Instant, id: ContextId, index: usize) -> bool {
        let Some(context) = self.contexts.get_mut(id) else {
            return false;
        };
        let branch = &mut context.branches[index];
        if context.answered || context.cancelled || branch.is_cancelled {
            return false;
        }
        let Some(attempt) = branch.left.pop_front() else {
            return false;
        };
        let hop = attempt.hop.clone();
        branch.attempt = Some(attempt);
        branch.attempts += 1;
        branch.client = None;
        branch.is_heard = false;
        // A timer C of the address before concerns this one no more.
        branch.ring += 1;
        let (media, via_branch) = (context.media, branch.via_branch.clone());
        self.counters.hops_failed_over += 1;
        self.side_is_at(media, &via_branch, hop);
        self.send_branch(now, id, index);
        true
    }

    /// The callee of a call is reached over another hop than was thought.
    pub(super) fn side_is_at(&mut self, media: Media, via_branch: &[u8], hop: Hop) {
        let Media::Begins(call) = media else { return };
        let Some(call) = self.calls.get_mut(call) else {
            return;
        };
        let leg = call.leg_of_branch(via_branch);
        if let Some(side) = leg.and_then(|leg| call.side_mut(leg, Party::Callee)) {
            side.hop = hop;
        }
    }

    /// The network says that a datagram which begins like this was not delivered. It counts when our Via in it is that of
    /// a request to a next hop that was looked up and that nobody has answered: whoever wants to forge that must guess the
    /// branch. A phone that is registered may only have lost its way for a moment, and gets the request again.
    pub(super) fn undelivered(&mut self, now: Instant, quoted: &[u8]) {
        let Some(client) = branch_in(quoted).and_then(|branch| self.layer.client_with_branch(branch)) else {
            return;
        };
        let Some(&(id, index)) = self.by_client.get(client) else {
            return;
        };
        let Some(branch) = self.contexts.get(id).map(|context| &context.branches[index]) else {
            return;
        };
        let is_datagram = branch
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.hop.transport() == Transport::Udp);
        let is_resolved = matches!(branch.target.way, Way::Resolve(_));
        if is_datagram && is_resolved && !branch.is_heard && branch.client == Some(client) {
            self.counters.hops_undelivered += 1;
            self.send_failed(now, client);
        }
    }

    /// The address that a branch tried last did not take it. Whoever resolves names should know.
    pub(super) fn address_is_dead(&mut self, id: ContextId, index: usize) {
        let Some(branch) = self.contexts.get(id).map(|context| &context.branches[index]) else {
            return;
        };
        if let (Way::Resolve(_), Some(attempt), false) =
            (&branch.target.way, &branch.attempt, branch.is_heard)
        {
            self.outputs.push_back(Output::Dead {
                transport: attempt.hop.transport(),
                remote: attempt.hop.remote(),
            });
        }
    }
}

/// The branch of the first Via in the beginning of a request of ours. A CANCEL and an ACK share that of their INVITE and
/// say nothing about it.
fn branch_in(quoted: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b";branch=";
    if quoted.starts_with(b"CANCEL ") || quoted.starts_with(b"ACK ") {
        return None;
    }
    let start = quoted.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let branch = &quoted[start..];
    // What was cut off may be a part of it only.
    let len = branch
        .iter()
        .position(|byte| matches!(byte, b';' | b'\r' | b',' | b' '))?;
    Some(&branch[..len])
}

/// The attempt to reach a target over a hop that is known.
pub(super) fn attempt_on_hop(target: &Target, hop: Hop, udp_to_tcp: UdpToTcp) -> Attempt {
    let may_switch = udp_to_tcp == UdpToTcp::Always
        && hop.transport() == Transport::Udp
        && Uri::parse(&target.uri).is_ok_and(|uri| !uri.params().has("transport"));
    Attempt {
        hop,
        is_fixed: !may_switch,
    }
}
