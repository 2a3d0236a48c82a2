//! What a worker knows of legs: ICE credentials, validated addresses, who may send DTLS, awaited STUN answers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use viaduct_rtp::Tick;
use viaduct_stun::TransactionId;
use viaduct_stun::lite::LiteCredentials;

use super::reports::RateWindow;
use crate::address::{LegId, SocketId, Tuple};
use crate::command::CommandError;
use crate::drop_reason::DropReason;
use crate::hash::Seed;
use crate::limits::Limits;
use crate::rule::{IceAgent, IceRule};
use crate::stats::{LegStats, StatsTable};
use crate::verdict::{ToControl, Verdict};

/// An address from which a good check came.
#[derive(Debug)]
pub(super) struct ValidTuple {
    pub(super) tuple: Tuple,
    pub(super) last_check: Tick,
    /// Control has been told.
    pub(super) reported: bool,
    /// When control was last told that the peer nominates it.
    pub(super) nomination_reported: Option<Tick>,
}

/// One leg. It exists while a username fragment or a DTLS permission names it.
#[derive(Debug)]
pub(super) struct Leg {
    /// How many of the two name it.
    named: usize,
    /// How many of its username fragments belong to a full agent.
    full_agents: usize,
    /// What validated addresses cause: DTLS, and reports about good checks.
    pub(super) validated: RateWindow,
    /// What anybody causes who knows a username fragment: checks for a full agent. A flood of these must not keep the
    /// handshake from control.
    unvalidated: RateWindow,
    pub(super) selected: Option<Tuple>,
    pub(super) tuples: Vec<ValidTuple>,
    pub(super) stats: Arc<LegStats>,
}

impl Leg {
    /// The place of an address in `tuples`. A new one gets a free place, or that of the address checked longest ago.
    pub(super) fn enter_tuple(&mut self, tuple: Tuple, now: Tick, max: usize) -> Option<usize> {
        if let Some(at) = self.tuples.iter().position(|known| known.tuple == tuple) {
            return Some(at);
        }
        let fresh = ValidTuple {
            tuple,
            last_check: now,
            reported: false,
            nomination_reported: None,
        };
        if self.tuples.len() < max {
            self.tuples.push(fresh);
            return Some(self.tuples.len() - 1);
        }
        let others = self
            .tuples
            .iter()
            .enumerate()
            .filter(|(_, known)| Some(known.tuple) != self.selected);
        let (oldest, _) = others.min_by_key(|(_, known)| known.last_check)?;
        self.tuples[oldest] = fresh;
        Some(oldest)
    }
}

/// Who answers for a username fragment.
#[derive(Debug)]
pub(super) enum Agent {
    Lite(LiteCredentials),
    Full,
}

#[derive(Debug)]
pub(super) struct Ufrag {
    pub(super) leg: LegId,
    pub(super) agent: Agent,
}

/// A STUN answer that control waits for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    socket: SocketId,
    leg: LegId,
    until: Tick,
}

/// All legs of a worker. Every leg that `ufrags` or `dtls` names is in `legs`; `dtls_by_socket` has the keys of `dtls`.
#[derive(Debug)]
pub(super) struct Legs {
    legs: HashMap<LegId, Leg, Seed>,
    ufrags: HashMap<Box<str>, Ufrag, Seed>,
    dtls: HashMap<Tuple, LegId, Seed>,
    dtls_by_socket: BTreeSet<(SocketId, Tuple)>,
    awaited: HashMap<TransactionId, Awaited, Seed>,
}

impl Legs {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            legs: HashMap::with_hasher(seed),
            ufrags: HashMap::with_hasher(seed),
            dtls: HashMap::with_hasher(seed),
            dtls_by_socket: BTreeSet::new(),
            awaited: HashMap::with_hasher(seed),
        }
    }

    pub(super) fn set_ice(
        &mut self,
        rule: &IceRule,
        limits: &Limits,
        stats: &StatsTable,
    ) -> Result<(), CommandError> {
        match self.ufrags.get(rule.ufrag.as_str()) {
            Some(known) if known.leg != rule.leg => {
                return Err(CommandError::UfragInUse {
                    ufrag: rule.ufrag.clone(),
                    leg: known.leg,
                });
            }
            None if self.ufrags.len() >= limits.ufrags => return Err(CommandError::Limit("ufrags")),
            Some(_) | None => {}
        }
        let agent = match &rule.agent {
            IceAgent::Lite { password } => Agent::Lite(LiteCredentials::new(
                &rule.ufrag,
                &password.0,
                rule.remote_ufrag.as_deref(),
            )),
            IceAgent::Full => Agent::Full,
        };
        let full = matches!(agent, Agent::Full);
        let leg = self.enter(rule.leg, stats);
        leg.full_agents += usize::from(full);
        let replaced = self
            .ufrags
            .insert(rule.ufrag.as_str().into(), Ufrag { leg: rule.leg, agent });
        if let Some(replaced) = replaced {
            self.leave(rule.leg, matches!(replaced.agent, Agent::Full));
        }
        Ok(())
    }

    pub(super) fn remove_ice(&mut self, ufrag: String) -> Result<(), CommandError> {
        match self.ufrags.remove(ufrag.as_str()) {
            Some(removed) => {
                self.leave(removed.leg, matches!(removed.agent, Agent::Full));
                Ok(())
            }
            None => Err(CommandError::UnknownUfrag(ufrag)),
        }
    }

    pub(super) fn select(&mut self, leg: LegId, tuple: Option<Tuple>) -> Result<(), CommandError> {
        self.legs
            .get_mut(&leg)
            .ok_or(CommandError::UnknownLeg(leg))?
            .selected = tuple;
        Ok(())
    }

    pub(super) fn allow_dtls(
        &mut self,
        tuple: Tuple,
        leg: LegId,
        limits: &Limits,
        stats: &StatsTable,
    ) -> Result<(), CommandError> {
        let known = self.dtls.get(&tuple).copied();
        if known.is_none() && self.dtls.len() >= limits.dtls_tuples {
            return Err(CommandError::Limit("dtls_tuples"));
        }
        self.enter(leg, stats);
        self.dtls.insert(tuple, leg);
        self.dtls_by_socket.insert((tuple.socket(), tuple));
        if let Some(known) = known {
            self.leave(known, false);
        }
        Ok(())
    }

    pub(super) fn revoke_dtls(&mut self, tuple: Tuple) {
        if let Some(leg) = self.dtls.remove(&tuple) {
            self.dtls_by_socket.remove(&(tuple.socket(), tuple));
            self.leave(leg, false);
        }
    }

    /// The socket is gone: nothing can come in by it.
    pub(super) fn forget_socket(&mut self, socket: SocketId) {
        let of_socket = (socket, Tuple::FIRST)..=(socket, Tuple::LAST);
        while let Some((_, tuple)) = self.dtls_by_socket.range(of_socket.clone()).next().copied() {
            self.revoke_dtls(tuple);
        }
    }

    pub(super) fn expect_stun(
        &mut self,
        now: Tick,
        transaction: TransactionId,
        socket: SocketId,
        leg: LegId,
        until: Tick,
        max: usize,
    ) -> Result<(), CommandError> {
        if self.awaited.len() >= max {
            self.awaited.retain(|_, awaited| awaited.until > now);
        }
        if self.awaited.len() >= max {
            return Err(CommandError::Limit("stun_transactions"));
        }
        self.awaited.insert(transaction, Awaited { socket, leg, until });
        Ok(())
    }

    /// Whose answer this is, if it is awaited at this socket. It is awaited once.
    pub(super) fn take_awaited(
        &mut self,
        now: Tick,
        transaction: TransactionId,
        socket: SocketId,
    ) -> Option<LegId> {
        let awaited = *self.awaited.get(&transaction)?;
        if awaited.socket != socket || awaited.until < now {
            return None;
        }
        self.awaited.remove(&transaction);
        Some(awaited.leg)
    }

    /// DTLS goes to control from allowed addresses only.
    pub(super) fn on_dtls(
        &mut self,
        now: Tick,
        tuple: Tuple,
        per_second: u32,
    ) -> Result<Verdict, DropReason> {
        let leg = *self.dtls.get(&tuple).ok_or(DropReason::DtlsNotAllowed)?;
        let allowed = self
            .legs
            .get_mut(&leg)
            .is_some_and(|leg| leg.validated.permit(now, per_second));
        if allowed {
            Ok(Verdict::ToControl(ToControl::Dtls { leg }))
        } else {
            Err(DropReason::ControlLimited)
        }
    }

    /// Whether some address may send DTLS for a leg: it has a handshake before it, or behind it.
    pub(super) fn awaits_dtls(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// STUN for a leg with a full agent goes to control, whoever sent it: only the agent can tell.
    pub(super) fn on_agent_stun(
        &mut self,
        now: Tick,
        leg: LegId,
        per_second: u32,
    ) -> Result<Verdict, DropReason> {
        let allowed = self
            .legs
            .get_mut(&leg)
            .is_some_and(|leg| leg.unvalidated.permit(now, per_second));
        if allowed {
            Ok(Verdict::ToControl(ToControl::Stun { leg }))
        } else {
            Err(DropReason::ControlLimited)
        }
    }

    /// The fragment's owner and the owner's leg.
    pub(super) fn by_ufrag(&mut self, ufrag: &str) -> Option<(&Ufrag, &mut Leg)> {
        let ufrag = self.ufrags.get(ufrag)?;
        Some((ufrag, self.legs.get_mut(&ufrag.leg)?))
    }

    /// Whether a leg has a full agent.
    pub(super) fn has_full_agent(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| leg.full_agents > 0)
    }

    fn enter(&mut self, id: LegId, stats: &StatsTable) -> &mut Leg {
        let leg = self.legs.entry(id).or_insert_with(|| Leg {
            named: 0,
            full_agents: 0,
            validated: RateWindow::default(),
            unvalidated: RateWindow::default(),
            selected: None,
            tuples: Vec::new(),
            stats: stats.enter_leg(id),
        });
        leg.named += 1;
        leg
    }

    fn leave(&mut self, id: LegId, full: bool) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.named -= 1;
        leg.full_agents -= usize::from(full);
        if leg.named == 0 {
            self.legs.remove(&id);
        }
    }
}
