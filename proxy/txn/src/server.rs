//! Server transactions.

mod invite;
mod non_invite;

use bytes::Bytes;
use viaduct_sip::{Message, StatusCode};

use self::invite::InviteServer;
use self::non_invite::NonInviteServer;
use crate::Hop;
use crate::answered::Answered;
use crate::effects::{Effects, Letter};
use crate::key::ServerKey;

/// One server transaction: the request, the way back and the state.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) key: ServerKey,
    /// `None` once a final answer was given.
    pub(crate) request: Option<Message>,
    /// Where answers go (RFC 3261 section 18.2.2, RFC 3581 section 4).
    pub(crate) reply: Hop,
    /// `None` only while a step from one state to the next runs.
    pub(crate) state: Option<ServerState>,
}

impl Server {
    /// A 2xx was sent, so an ACK with this branch is the user's business.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.state, Some(ServerState::Invite(InviteServer::Accepted(_))))
    }

    /// No final answer was given yet.
    pub(crate) fn is_pending(&self) -> bool {
        match &self.state {
            Some(ServerState::Invite(state)) => matches!(state, InviteServer::Proceeding(_)),
            Some(ServerState::NonInvite(_)) => true,
            None => false,
        }
    }
}

/// The state of a server transaction of either kind.
#[derive(Debug)]
pub(crate) enum ServerState {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

/// What a server transaction made of an event.
#[derive(Debug)]
pub(crate) enum Next {
    /// It lives on in this state.
    In(ServerState),
    /// It is over, but for repeats of the request.
    Answered(Answered),
    /// It is over.
    Over,
    /// It is over, and its final answer was never acknowledged (timer H).
    OverUnacknowledged,
}

impl ServerState {
    pub(crate) fn new(is_invite: bool) -> Self {
        if is_invite {
            Self::Invite(InviteServer::new())
        } else {
            Self::NonInvite(NonInviteServer::new())
        }
    }

    /// The request came again.
    pub(crate) fn request_repeated(&self, fx: &mut Effects<'_>) {
        match self {
            Self::Invite(state) => state.request_repeated(fx),
            Self::NonInvite(state) => state.request_repeated(fx),
        }
    }

    /// The user answers. A `mark` is what is kept of the final answer to a request other than INVITE.
    pub(crate) fn respond(
        self,
        fx: &mut Effects<'_>,
        status: StatusCode,
        octets: Bytes,
        mark: Option<u64>,
    ) -> Next {
        match self {
            Self::Invite(state) => state.respond(fx, status, octets).into(),
            Self::NonInvite(_) => NonInviteServer::respond(fx, status, octets, mark),
        }
    }

    /// An ACK with this transaction's branch came.
    pub(crate) fn acknowledged(self, fx: &mut Effects<'_>) -> Next {
        match self {
            Self::Invite(state) => state.acknowledged(fx).into(),
            other @ Self::NonInvite(_) => Next::In(other),
        }
    }

    /// A timer of this transaction fired. One that belongs to a state left behind changes nothing.
    pub(crate) fn fired(self, fx: &mut Effects<'_>, letter: Letter) -> Next {
        match self {
            Self::Invite(InviteServer::Completed(_)) if letter == Letter::H => Next::OverUnacknowledged,
            Self::Invite(state) => state.fired(fx, letter).into(),
            other @ Self::NonInvite(_) => Next::In(other),
        }
    }
}

impl From<Option<InviteServer>> for Next {
    fn from(state: Option<InviteServer>) -> Self {
        state.map_or(Self::Over, |state| Self::In(ServerState::Invite(state)))
    }
}

impl From<NonInviteServer> for ServerState {
    fn from(state: NonInviteServer) -> Self {
        Self::NonInvite(state)
    }
}
