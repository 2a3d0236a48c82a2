//! The response context of one forwarded request (RFC 3261 section 16.7): its branches and what came back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use viaduct_resolve::NextHop;
use viaduct_sip::{HeaderName, Message, StatusCode};
use viaduct_trunk::{Channel, HeaderEdit, Line};
use viaduct_txn::{ClientId, ConnId, Hop, ServerId};

use crate::call::LegId;
use crate::calling::{Calling, profile_of};
use crate::calls::CallKey;
use crate::carried::{Carrier, Mask};
use crate::media::{Party, Profile};
use crate::route::Routing;
use crate::{Flags, Refusal, Service, Ticket, User};

slotmap::new_key_type! {
    /// One forwarded request.
    pub(crate) struct ContextId;
}

/// Where one copy of a request goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The Request-URI, octet for octet.
    pub(crate) uri: Arc<str>,
    pub(crate) way: Way,
    /// `DST_WS`.
    pub(crate) flags: Flags,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) service: Option<Service>,
    /// How long each of its addresses may be silent. `None` is [`Times::address_patience`](crate::Times) while there is
    /// another address to try, and 64·T1 for the last.
    pub(crate) patience: Option<Duration>,
    /// Routers on the way beyond the hop, as one header value (RFC 3327 section 5.2).
    pub(crate) path: Option<Arc<str>>,
    /// Further flows to the same device, to be tried when this one is dead (RFC 5626 section 7).
    pub(crate) other_flows: Vec<Target>,
    /// It is a trunk.
    pub(crate) carrier: Option<Arc<Carrier>>,
    /// It is a trunk that may see nothing of the inside.
    pub(crate) hides: bool,
    /// How many redirections led to it.
    pub(crate) redirects: u32,
}

/// How a target is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over this hop.
    Hop(Hop),
    /// Over whatever this leads to, one address after another (RFC 3263 section 4.3).
    Resolve(NextHop),
}

/// One way to try for a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) hop: Hop,
    /// A request that is too large for a datagram must not go over TCP instead.
    pub(crate) is_fixed: bool,
}

impl Target {
    /// A target of which nothing is known but its Request-URI and the way to it.
    pub(crate) fn new(uri: impl Into<Arc<str>>, way: Way) -> Self {
        Self {
            uri: uri.into(),
            way,
            flags: Flags::NONE,
            user: None,
            service: None,
            patience: None,
            path: None,
            other_flows: Vec::new(),
            carrier: None,
            hides: false,
            redirects: 0,
        }
    }

    /// What the endpoint speaks: what its account says, or what it registered over.
    pub(crate) fn profile(&self) -> Profile {
        let by_flow = if self.flags.has(crate::Flag::DstWs) {
            Profile::Web
        } else {
            Profile::Phone
        };
        let own = match &self.carrier {
            Some(carrier) => Some(profile_of(&carrier.line)),
            None => self.user.as_ref().and_then(|user| user.profile),
        };
        own.unwrap_or(by_flow)
    }

    /// True when both lead to the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.uri == other.uri && self.way == other.way
    }
}

/// What every copy of a request has changed in the same way.
#[derive(Debug, Clone)]
pub(crate) struct CommonEdits {
    /// Route values of ours on top, to go.
    pub(crate) own_routes: usize,
    /// The last Route is the Request-URI and goes (strict router upstream).
    pub(crate) drop_last_route: bool,
    /// Header line with credentials for us, to go.
    pub(crate) credentials_line: Option<usize>,
    /// It may make a dialog, so we stay in the route.
    pub(crate) record_route: bool,
    /// The next Route is a strict router's: it becomes the Request-URI, which becomes the last Route (RFC 3261 section
    /// 16.6, step 6).
    pub(crate) strict_next: bool,
    /// Headers that say who calls.
    pub(crate) headers: Vec<HeaderEdit>,
}

impl CommonEdits {
    /// What the Route headers of a request ask for, and nothing else.
    pub(crate) fn of(routing: &Routing) -> Self {
        Self {
            own_routes: routing.own,
            drop_last_route: routing.strict.is_some(),
            credentials_line: None,
            record_route: false,
            strict_next: false,
            headers: Vec::new(),
        }
    }
}

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) server: ServerId,
    pub(crate) request: Message,
    pub(crate) flow: viaduct_txn::Flow,
    pub(crate) is_invite: bool,
    pub(crate) edits: CommonEdits,
    pub(crate) media: Media,
    /// Who calls, for whom redirections are followed.
    pub(crate) caller: Option<Calling>,
    /// The trunk that sent it.
    pub(crate) from_trunk: Option<Line>,
    /// Its sender is a trunk that may see nothing of the inside.
    pub(crate) hides: bool,
    /// How many branches may exist at a time (RFC 5393). `None` leaves Max-Breadth as it came.
    pub(crate) breadth: Option<u32>,
    pub(crate) branches: Vec<Branch>,
    /// A branch was sent with another From, To or CSeq than came: answers get back what came.
    pub(crate) masked: bool,
    /// Groups of targets to try when what is tried has failed, or has rung long enough.
    pub(crate) waiting: VecDeque<Vec<Target>>,
    /// Groups tried so far, so that an old alarm is known as old.
    pub(crate) groups_started: u32,
    /// Branches are being made or given up: the end of one is not the end of all.
    pub(crate) starting: bool,
    /// The best refusal so far.
    pub(crate) best: Option<Best>,
    /// What all branches want to be proven (RFC 3261 section 16.7 step 7).
    pub(crate) challenges: Vec<(HeaderName, Bytes)>,
    /// Where branches redirect the caller to: values of Contact.
    pub(crate) redirections: Vec<Bytes>,
    /// A final answer was sent upstream.
    pub(crate) answered: bool,
    /// The caller gave up.
    pub(crate) cancelled: bool,
    /// The server transaction is over.
    pub(crate) server_ended: bool,
}

/// What a context has to do with media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Nothing.
    None,
    /// It begins a call.
    Begins(CallKey),
    /// It belongs to a dialog that the relay carries media for.
    Inside {
        call: CallKey,
        leg: LegId,
        sender: Party,
    },
}

/// One copy of a request.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) target: Target,
    /// The branch of our Via in the first attempt, and the name of the branch at the relay in all of them.
    pub(crate) via_branch: Bytes,
    pub(crate) state: BranchState,
    /// Where it went last. `None` while that is not known.
    pub(crate) attempt: Option<Attempt>,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// Where else it may go, in this order.
    pub(crate) left: VecDeque<Attempt>,
    /// What the relay wrote for it, while it may be sent again to another address.
    pub(crate) sdp: Option<Bytes>,
    /// An answer came to its last attempt.
    pub(crate) is_heard: bool,
    /// No further address is tried.
    pub(crate) is_cancelled: bool,
    /// The transaction of its last attempt, while there is one.
    pub(crate) client: Option<ClientId>,
    /// Answers that came while the relay was busy with one.
    pub(crate) inbox: VecDeque<Message>,
    /// Goes into Max-Breadth.
    pub(crate) breadth: Option<u32>,
    /// It rang too long and was cancelled by us, not by the caller.
    pub(crate) given_up: bool,
    /// Counts provisional answers, so that an old timer C is known as old.
    pub(crate) ring: u32,
    /// What it has otherwise than the request that came.
    pub(crate) mask: Mask,
    /// Answers to what its trunk wanted to be proven.
    pub(crate) credentials: Vec<(HeaderName, String)>,
    /// How often it was sent with credentials.
    pub(crate) proofs: u32,
    /// Its place on a trunk, until its leg has it.
    pub(crate) channel: Option<Channel>,
}

/// How every branch begins (RFC 3261 section 8.1.1.7).
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// How far a copy got.
#[derive(Debug)]
pub(crate) enum BranchState {
    /// Nothing has happened yet.
    Waiting,
    /// The addresses of its target are looked up.
    Resolving(Ticket),
    /// The relay writes its SDP.
    Offering(Ticket),
    /// It is out.
    Sent,
    /// An answer came, and the relay writes its SDP.
    Answering { ticket: Ticket, response: Message },
    /// Nothing more comes of it, but for repeats of a 2xx while its transaction lives.
    Done,
}

impl Branch {
    pub(crate) fn new(target: Target, via_branch: Bytes, breadth: Option<u32>) -> Self {
        Self {
            target,
            via_branch,
            state: BranchState::Waiting,
            attempt: None,
            attempts: 0,
            left: VecDeque::new(),
            sdp: None,
            is_heard: false,
            is_cancelled: false,
            client: None,
            inbox: VecDeque::new(),
            breadth,
            given_up: false,
            ring: 0,
            mask: Mask::default(),
            credentials: Vec::new(),
            proofs: 0,
            channel: None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, BranchState::Done)
    }

    /// The branch of our Via in its last attempt. Every attempt is a transaction of its own (RFC 3263 section 4.3).
    pub(crate) fn transaction_branch(&self) -> Bytes {
        match self.attempts {
            0 => self.via_branch.clone(),
            again => [
                MAGIC_COOKIE,
                again.to_string().as_bytes(),
                b".",
                &self.via_branch[MAGIC_COOKIE.len()..],
            ]
            .concat()
            .into(),
        }
    }

    /// How long its last attempt may be silent, if it is not the transaction's own time.
    pub(crate) fn patience(&self, while_others_are_left: Duration) -> Option<Duration> {
        let otherwise = || (!self.left.is_empty()).then_some(while_others_are_left);
        self.target.patience.or_else(otherwise)
    }

    /// The connection that it depends on.
    pub(crate) fn conn(&self) -> Option<ConnId> {
        self.attempt.as_ref()?.hop.conn()
    }

    /// Why it failed when it could not be sent (RFC 3261 section 16.9).
    pub(crate) fn unreachable(&self) -> Refusal {
        match (&self.target.way, &self.attempt) {
            (
                Way::Hop(Hop::Flow(_)),
                Some(Attempt {
                    hop: Hop::Flow(_), ..
                }),
            ) => Refusal::FlowGone,
            _ => Refusal::Unreachable,
        }
    }
}

/// A refusal that may go upstream.
#[derive(Debug, Clone)]
pub(crate) enum Best {
    /// As it came from downstream.
    Received(Message),
    /// Made here.
    Local(Refusal),
    /// No answer in time: 408.
    Timeout,
    /// The caller gave up and a branch never said 487 itself.
    Terminated,
}

impl Best {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // A response always has a status.
            Self::Received(response) => response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR),
            Self::Local(refusal) => refusal.status(),
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Terminated => StatusCode::REQUEST_TERMINATED,
        }
    }

    /// The better of two (RFC 3261 section 16.7, step 6): 6xx first, then the lowest class; inside 4xx those that tell
    /// the caller what to change. A timeout or an overload of one branch says least.
    pub(crate) fn prefer(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }

    fn rank(&self) -> (u8, u16) {
        let status = self.status().get();
        let class = match status {
            600..=699 => 0,
            408 => 7,
            503 => 8,
            300..=399 => 1,
            400..=499 => 2,
            _ => 3,
        };
        let inside = match status {
            // What holds for now claims less for the contacts of other branches than what holds for ever.
            302 => 0,
            300 => 1,
            401 | 407 => 0,
            415 | 420 | 484 => 1,
            487 => 2,
            // A lost flow becomes a 480 on its way up.
            430 | 480 => 4,
            _ => 3,
        };
        (class, inside)
    }
}

impl Context {
    /// The request is for a `sips` URI: TLS on every hop (RFC 5630).
    pub(crate) fn is_secure(&self) -> bool {
        self.request.request_uri_text().is_some_and(|uri| {
            uri.get(..5)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
        })
    }

    /// An answer lacks what it would have if its request had not been hidden: one of this branch, or the best of all.
    pub(crate) fn has_hidden(&self, branch: Option<&Branch>) -> bool {
        match branch {
            Some(branch) => branch.target.hides,
            None => self.branches.iter().any(|branch| branch.target.hides),
        }
    }

    /// Every branch has come to its end, and no other is being made.
    pub(crate) fn all_done(&self) -> bool {
        !self.starting && self.branches.iter().all(Branch::is_done)
    }

    /// It is an INVITE outside any dialog.
    pub(crate) fn is_new_call(&self) -> bool {
        self.is_invite && matches!(self.media, Media::Begins(_))
    }

    /// Nothing refers to this context any more.
    pub(crate) fn is_over(&self) -> bool {
        self.server_ended && self.all_done() && self.branches.iter().all(|branch| branch.client.is_none())
    }

    /// Remembers what a 401 or 407 wants to be proven: the caller is asked for all of it at once.
    pub(crate) fn collect_challenges(&mut self, response: &Message) {
        for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
            for header in response.headers(name) {
                let challenge = (name, Bytes::from(header.unfolded().into_owned()));
                if !self.challenges.contains(&challenge) {
                    self.challenges.push(challenge);
                }
            }
        }
    }

    pub(crate) fn refuse_with(&mut self, best: Best) {
        self.best = Some(match self.best.take() {
            Some(before) => before.prefer(best),
            None => best,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(refusals: &[Refusal]) -> u16 {
        let best = refusals.iter().cloned().map(Best::Local).reduce(Best::prefer);
        best.unwrap().status().get()
    }

    /// RFC 3261 section 16.7 step 6.
    #[test]
    fn the_answer_that_helps_the_caller_most_wins() {
        use Refusal::{BadHeader, FlowGone, NoDialog, Overload, UnknownUser};
        assert_eq!(
            best(&[Overload("x"), UnknownUser]),
            404,
            "503 never if there is another"
        );
        assert_eq!(
            best(&[NoDialog, Refusal::BadExtension { unsupported: vec![] }]),
            420
        );
        assert_eq!(
            best(&[FlowGone, BadHeader("To")]),
            400,
            "a lost phone says less than a refusal"
        );
        assert_eq!(best(&[FlowGone, Refusal::UserBusy]), 486);
        assert_eq!(
            best(&[Refusal::StoreFailed, UnknownUser]),
            404,
            "the lowest class"
        );
        let timeout = Best::Timeout.prefer(Best::Local(FlowGone));
        assert_eq!(timeout.status().get(), 480, "408 never if there is another");
    }
}
