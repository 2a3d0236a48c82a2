//! A request whose sender is known, on its way to somebody of ours or out through a trunk.

use std::time::Instant;

use viaduct_sip::{Message, Method};
use viaduct_trunk::Changes;
use viaduct_txn::{Flow, ServerId};

use super::Proxy;
use super::forward::{BeginCall, Forward};
use super::targets::{Asked, Dialled, Group};
use crate::calling::Calling;
use crate::context::CommonEdits;
use crate::gruu::Wanted;
use crate::token::Inside;
use crate::{Refusal, Rule};

/// See the module.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) server: ServerId,
    pub(super) flow: Flow,
    pub(super) request: Message,
    pub(super) caller: Calling,
    /// The number as routes see it.
    pub(super) number: String,
    /// What was dialled.
    pub(super) dialled: String,
    /// The one device that it is for.
    pub(super) gruu: Option<Wanted>,
    /// The side of a dialog that it is for: it takes the place of the other.
    pub(super) inside: Option<Inside>,
    /// It must reach its end over secure connections only.
    pub(super) secure: bool,
    pub(super) edits: CommonEdits,
    /// The caller has heard already that its INVITE is here: it waited for somebody.
    pub(super) is_trying: bool,
    /// Where it goes whatever the routes say.
    pub(super) rule: Option<Rule>,
    /// How trunks are told who calls, where that is not as it came.
    pub(super) shown: Changes,
}

impl Proxy {
    /// Sends a request where it is for, as soon as a hook has decided about it and everybody whom it is for is known.
    pub(super) fn send_on(&mut self, now: Instant, admitted: Admitted) -> Result<(), Refusal> {
        match self.waits_for_decision(now, admitted)? {
            Some(admitted) => self.look_up_and_ring(now, admitted),
            None => Ok(()),
        }
    }

    /// Sends a request where it is for, as soon as everybody whom it is for is known.
    pub(super) fn look_up_and_ring(&mut self, now: Instant, admitted: Admitted) -> Result<(), Refusal> {
        match self.waits_for_callees(now, admitted)? {
            Some(admitted) => self.ring(now, admitted),
            None => Ok(()),
        }
    }

    /// Sends a request where it is for.
    pub(super) fn ring(&mut self, now: Instant, admitted: Admitted) -> Result<(), Refusal> {
        let is_invite = admitted.request.method() == Some(Method::Invite);
        let targets = self
            .targets_for(now, &admitted, is_invite)
            .map_err(|refusal| match refusal {
                Refusal::UnknownUser if self.is_unavailable(now, &admitted) => Refusal::UsersUnavailable,
                other => other,
            })?;
        let breadth = self.breadth(&admitted.request, &targets)?;
        let Admitted {
            server,
            flow,
            request,
            caller,
            number,
            dialled,
            edits,
            is_trying,
            ..
        } = admitted;
        let from_trunk = match &caller {
            Calling::User(_) => None,
            Calling::Trunk(line) => Some(line.clone()),
        };
        let forward = Forward {
            server,
            flow,
            request,
            edits,
            is_trying,
            breadth: Some(breadth),
            hides: from_trunk
                .as_ref()
                .is_some_and(|line| line.trunk().hides_topology),
            from_trunk,
        };
        if !is_invite {
            self.forward(now, forward, targets);
            return Ok(());
        }
        let (seat, channel, dialled) = match &caller {
            Calling::User(user) => (self.seat(user)?, None, dialled),
            Calling::Trunk(line) => {
                let channel = line.take_in(now)?;
                let seat = self.call_counts.take_for_trunk(&self.config.limits);
                let seat = seat.map_err(|no_seat| self.no_seat(no_seat))?;
                (seat, Some(channel), number)
            }
        };
        let begin = BeginCall {
            caller,
            dialled,
            seat,
            channel,
        };
        self.begin_call(now, forward, begin, targets);
        Ok(())
    }

    fn targets_for(
        &mut self,
        now: Instant,
        admitted: &Admitted,
        serially: bool,
    ) -> Result<Vec<Group>, Refusal> {
        let asked = Asked {
            serially,
            secure: admitted.secure,
        };
        if let Some(inside) = &admitted.inside {
            return Ok(vec![vec![self.inside_target(now, inside, admitted.flow)]]);
        }
        if let Some(wanted) = &admitted.gruu {
            return self.gruu_targets(now, wanted, asked.secure);
        }
        let wanted = Dialled {
            number: &admitted.number,
            dialled: &admitted.dialled,
            caller: &admitted.caller,
            request: &admitted.request,
            rule: admitted.rule.as_ref(),
            shown: &admitted.shown,
        };
        self.targets(now, &wanted, asked)
    }
}
