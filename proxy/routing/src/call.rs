//! One call as the proxy remembers it: for media and for people. Routing never needs it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use viaduct_sip::{HeaderName, Message, NameAddr};
use viaduct_txn::Hop;

use crate::call_counts::Seat;
use crate::carried::TrunkSide;
use crate::media::{Endpoint, Exchange, Operation, Party};
use crate::{CallEnd, CallNumber, Flags};

/// A call: one INVITE outside any dialog and all that came of it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) number: CallNumber,
    pub(crate) call_id: Bytes,
    pub(crate) caller: Side,
    /// The account that calls; `None` for a service.
    pub(crate) caller_user: Option<String>,
    /// What was dialled.
    pub(crate) dialled: String,
    /// One for each branch that is or was tried and not yet given up.
    legs: Vec<Leg>,
    /// Legs made so far.
    legs_made: u32,
    /// The leg that took the call.
    pub(crate) taken_by: Option<LegId>,
    pub(crate) state: CallState,
    pub(crate) started: Instant,
    /// When the 2xx came.
    pub(crate) answered: Option<Instant>,
    /// Why the call will be over when its BYE is through.
    pub(crate) ending: Option<CallEnd>,
    /// Until when its ends have promised to refresh it (RFC 4028).
    pub(crate) session_until: Option<Instant>,
    /// Answers that said so, or that there is no such time.
    pub(crate) refreshes: u32,
    /// Its place among the calls that there may be, given back with it.
    _seat: Seat,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// No final answer yet.
    Ringing,
    /// Somebody took it.
    Answered,
    /// A BYE is on its way.
    Ending,
}

/// Names a leg within its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LegId(u32);

/// One branch of a call.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    /// Names the branch to the relay.
    pub(crate) via_branch: Bytes,
    pub(crate) callee: Side,
    /// The account that is called; `None` for a service.
    pub(crate) callee_user: Option<String>,
    /// `SRC_WS` of the caller and `DST_WS` of this branch.
    pub(crate) flags: Flags,
    pub(crate) exchange: Exchange,
    /// A 2xx came from it.
    pub(crate) answered: bool,
    /// The relay has an offer for this branch, so it must be told when the branch is over.
    pub(crate) relayed: bool,
    /// Requests to the relay about this branch that have no reply yet.
    pub(crate) asking: u32,
    /// What the relay made of the last SDPs, for repeats.
    pub(crate) rewritten: Vec<Rewritten>,
}

/// An SDP and what the relay made of it. A repeat (a 200 after the same 183) must come out the same.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) from: Party,
    pub(crate) operation: Operation,
    pub(crate) received: Bytes,
    pub(crate) sent: Bytes,
}

/// One end of a dialog: what is needed to speak to it, should nobody else do.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) endpoint: Endpoint,
    pub(crate) hop: Hop,
    /// From or To value without tag, as that end calls itself.
    pub(crate) address: String,
    pub(crate) tag: Option<Bytes>,
    /// Its Contact URI.
    pub(crate) contact: Option<String>,
    /// Routers beyond us on the way to it, nearest first.
    pub(crate) routes: Vec<String>,
    /// The highest CSeq number it has sent.
    pub(crate) cseq: u32,
    /// Its connection was closed and it has not come back.
    pub(crate) lost: Option<Instant>,
    /// How it is reached when its connection is gone, which says nothing about it: it may be connected to.
    pub(crate) way_back: Option<Hop>,
    /// It is a trunk.
    pub(crate) trunk: Option<TrunkSide>,
}

/// What a call is made from.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) number: CallNumber,
    pub(crate) call_id: Bytes,
    pub(crate) caller: Side,
    pub(crate) caller_user: Option<String>,
    pub(crate) dialled: String,
    pub(crate) seat: Seat,
}

impl Call {
    pub(crate) fn new(new: NewCall, now: Instant) -> Self {
        let NewCall {
            number,
            call_id,
            caller,
            caller_user,
            dialled,
            seat,
        } = new;
        Self {
            number,
            call_id,
            caller,
            caller_user,
            dialled,
            legs: Vec::new(),
            legs_made: 0,
            taken_by: None,
            state: CallState::Ringing,
            started: now,
            answered: None,
            ending: None,
            session_until: None,
            refreshes: 0,
            _seat: seat,
        }
    }

    /// The leg and the side that sends a request or response with these tags. `from_tag` is that of the sender.
    pub(crate) fn find_leg(&self, from_tag: &str, to_tag: &str) -> Option<(LegId, Party)> {
        let is = |tag: &Option<Bytes>, text: &str| tag.as_deref() == Some(text.as_bytes());
        let (callee_tag, party) = if is(&self.caller.tag, from_tag) {
            (to_tag, Party::Caller)
        } else if is(&self.caller.tag, to_tag) {
            (from_tag, Party::Callee)
        } else {
            return None;
        };
        self.legs
            .iter()
            .find(|leg| is(&leg.callee.tag, callee_tag))
            .map(|leg| (leg.id, party))
    }

    pub(crate) fn add_leg(
        &mut self,
        via_branch: Bytes,
        callee: Side,
        callee_user: Option<String>,
        flags: Flags,
    ) -> LegId {
        let id = LegId(self.legs_made);
        self.legs_made += 1;
        self.legs.push(Leg {
            id,
            via_branch,
            callee,
            callee_user,
            flags,
            exchange: Exchange::default(),
            answered: false,
            relayed: false,
            asking: 0,
            rewritten: Vec::new(),
        });
        id
    }

    pub(crate) fn remove_leg(&mut self, id: LegId) -> Option<Leg> {
        let at = self.legs.iter().position(|leg| leg.id == id)?;
        Some(self.legs.remove(at))
    }

    pub(crate) fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    pub(crate) fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    pub(crate) fn legs(&self) -> &[Leg] {
        &self.legs
    }

    pub(crate) fn leg_of_branch(&self, via_branch: &[u8]) -> Option<LegId> {
        self.legs
            .iter()
            .find(|leg| leg.via_branch == via_branch)
            .map(|leg| leg.id)
    }

    /// One side of the dialog with a leg.
    pub(crate) fn side(&self, leg: LegId, party: Party) -> Option<&Side> {
        match party {
            Party::Caller => Some(&self.caller),
            Party::Callee => self.leg(leg).map(|leg| &leg.callee),
        }
    }

    pub(crate) fn side_mut(&mut self, leg: LegId, party: Party) -> Option<&mut Side> {
        match party {
            Party::Caller => Some(&mut self.caller),
            Party::Callee => self.leg_mut(leg).map(|leg| &mut leg.callee),
        }
    }

    /// Every side with its role.
    pub(crate) fn sides_mut(&mut self) -> impl Iterator<Item = (Party, &mut Side)> {
        let callees = self.legs.iter_mut().map(|leg| (Party::Callee, &mut leg.callee));
        std::iter::once((Party::Caller, &mut self.caller)).chain(callees)
    }

    /// Nobody is left to talk: no dialog, and nobody rings but those who lost against one.
    pub(crate) fn is_deserted(&self) -> bool {
        self.legs.is_empty()
            || (self.state != CallState::Ringing && self.legs.iter().all(|leg| !leg.answered))
    }

    /// The relay has been asked about this call and not yet been told that it is over.
    pub(crate) fn is_relayed(&self) -> bool {
        self.legs.iter().any(|leg| leg.relayed)
    }

    pub(crate) fn talked(&self, now: Instant) -> Option<Duration> {
        self.answered
            .map(|answered| now.saturating_duration_since(answered))
    }
}

impl Leg {
    /// What the relay made of this SDP before, if it is a repeat.
    pub(crate) fn repeat(&self, from: Party, operation: Operation, sdp: &[u8]) -> Option<&Bytes> {
        let same =
            |done: &&Rewritten| done.from == from && done.operation == operation && done.received == sdp;
        self.rewritten.iter().find(same).map(|done| &done.sent)
    }

    /// Remembers what the relay made of an SDP. An offer begins a new exchange, so what was remembered of the one before
    /// means nothing any more.
    pub(crate) fn remember(&mut self, rewritten: Rewritten) {
        match rewritten.operation {
            Operation::Offer => self.rewritten.clear(),
            Operation::Answer => self.rewritten.retain(|done| done.operation == Operation::Offer),
        }
        self.rewritten.push(rewritten);
    }
}

impl Side {
    /// What a message says about the end that sent it: `Contact`, the routers on the way, its CSeq.
    pub(crate) fn learn(&mut self, message: &Message, routes: Vec<String>) {
        if let Some(contact) = contact_uri(message) {
            self.contact = Some(contact);
        }
        self.routes = routes;
    }
}

/// The first Contact's URI.
pub(crate) fn contact_uri(message: &Message) -> Option<String> {
    let value = message.values(HeaderName::Contact).next()?;
    let uri = NameAddr::parse(value).ok()?.uri().ok()?;
    Some(uri.as_str().to_owned())
}

/// A From or To value without its tag.
pub(crate) fn address_without_tag(value: &[u8]) -> String {
    let Ok(addr) = NameAddr::parse(value) else {
        return String::new();
    };
    let uri = String::from_utf8_lossy(addr.uri_octets());
    match addr.display_name().as_deref().map(String::from_utf8_lossy) {
        Some(name) if !name.is_empty() => format!("{} <{uri}>", viaduct_sip::quoted::quote(&name)),
        _ => ["<", &uri, ">"].concat(),
    }
}

/// A call as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CallView {
    /// Its number.
    pub call: CallNumber,
    /// Its Call-ID.
    pub call_id: String,
    /// Where it stands.
    pub state: CallState,
    /// Who calls.
    pub from: String,
    /// What was dialled.
    pub to: String,
    /// Request and branch flags, of the leg that took it or of all that ring.
    pub flags: Flags,
    /// Seconds since the INVITE.
    pub age_s: u64,
    /// Seconds since it was answered.
    pub talked_s: Option<u64>,
    /// The caller's profile.
    pub caller: EndView,
    /// The callees.
    pub callees: Vec<EndView>,
    /// The relay carries its media.
    pub relayed: bool,
}

/// One end of a call as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EndView {
    /// The account.
    pub user: Option<String>,
    /// `web`, `phone` …
    pub profile: crate::media::Profile,
    /// Transport and address.
    pub flow: String,
}

impl Call {
    pub(crate) fn view(&self, now: Instant) -> CallView {
        let end = |side: &Side, user: &Option<String>| EndView {
            user: user.clone(),
            profile: side.endpoint.profile,
            flow: side.hop.to_string(),
        };
        let flags = self
            .legs
            .iter()
            .flat_map(|leg| leg.flags.iter())
            .fold(Flags::NONE, |all, flag| all | flag);
        CallView {
            call: self.number,
            call_id: String::from_utf8_lossy(&self.call_id).into_owned(),
            state: self.state,
            from: self.caller.address.clone(),
            to: self.dialled.clone(),
            flags,
            age_s: now.saturating_duration_since(self.started).as_secs(),
            talked_s: self.talked(now).map(|talked| talked.as_secs()),
            caller: end(&self.caller, &self.caller_user),
            callees: self
                .legs
                .iter()
                .map(|leg| end(&leg.callee, &leg.callee_user))
                .collect(),
            relayed: self.is_relayed(),
        }
    }
}
