//! Client transactions.

mod invite;
mod non_invite;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use viaduct_sip::{Limits, Message, StatusCode};

pub(crate) use self::invite::CancelOutcome;
use self::invite::InviteClient;
use self::non_invite::NonInviteClient;
use crate::Hop;
use crate::effects::{Effects, Letter};
use crate::key::ClientKey;

/// One client transaction: where its request went and how far it got.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: ClientKey,
    pub(crate) hop: Hop,
    /// A CANCEL made by the layer itself: its answers interest nobody.
    pub(crate) is_own_cancel: bool,
    /// `None` only while a step from one state to the next runs.
    pub(crate) state: Option<ClientState>,
}

/// The state of a client transaction of either kind.
#[derive(Debug)]
pub(crate) enum ClientState {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

/// What a client transaction made of an event.
#[derive(Debug)]
pub(crate) struct Next {
    /// The state it lives on in, `None` when it is over.
    pub(crate) state: Option<ClientState>,
    pub(crate) tell: Tell,
}

/// What the user of the layer, or the layer itself, has to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Nothing,
    /// The response goes to the user.
    Response,
    /// No final answer will come.
    Timeout,
    /// The first provisional answer came after the user had asked to cancel: a CANCEL may leave.
    ResponseThenCancel {
        reason: Option<Arc<str>>,
    },
}

impl ClientState {
    /// Sends the request. `patience` replaces 64·T1 in timers B and F.
    pub(crate) fn start(is_invite: bool, fx: &mut Effects<'_>, request: Bytes, patience: Duration) -> Self {
        if is_invite {
            Self::Invite(InviteClient::start(fx, request, patience))
        } else {
            Self::NonInvite(NonInviteClient::start(fx, request, patience))
        }
    }

    /// A response came.
    pub(crate) fn response(self, fx: &mut Effects<'_>, status: StatusCode, response: &Message) -> Next {
        match self {
            Self::Invite(state) => state.response(fx, status, response),
            Self::NonInvite(state) => state.response(fx, status),
        }
    }

    /// A timer of this transaction fired. One that belongs to a state left behind changes nothing.
    pub(crate) fn fired(self, fx: &mut Effects<'_>, letter: Letter) -> Next {
        match self {
            Self::Invite(state) => state.fired(fx, letter),
            Self::NonInvite(state) => state.fired(fx, letter),
        }
    }
}

/// The INVITE that was sent, as a message again. Only a refusal or a CANCEL needs it, so it is not kept in two forms.
pub(crate) fn reread(request: &Bytes) -> Option<Message> {
    // What was sent is no stranger's: it may be larger than what is accepted from one.
    const NO_LIMITS: Limits = Limits {
        datagram_octets_max: usize::MAX,
        stream_octets_max: usize::MAX,
        frame_octets_max: usize::MAX,
        head_octets_max: usize::MAX,
        start_line_octets_max: usize::MAX,
        header_octets_max: usize::MAX,
        headers_max: usize::MAX,
        vias_max: usize::MAX,
    };
    Message::parse_frame(request.clone(), &NO_LIMITS).ok()
}

impl Next {
    fn invite(state: InviteClient, tell: Tell) -> Self {
        Self {
            state: Some(ClientState::Invite(state)),
            tell,
        }
    }

    fn non_invite(state: NonInviteClient, tell: Tell) -> Self {
        Self {
            state: Some(ClientState::NonInvite(state)),
            tell,
        }
    }

    fn over(tell: Tell) -> Self {
        Self { state: None, tell }
    }
}
