//! What is kept of calls for a relay that goes on with them, and how that relay does.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use viaduct_forward::{CryptoTable, SsrcIndices};
use viaduct_ng::{ByteString, Flag, Reply, Request};

use super::Relay;
use super::others::{connects_to, is_lasting};
use crate::call::Call;
use crate::core::Resuming;
use crate::event::DeleteReason;
use crate::ports::PortPair;
use crate::state::{CallName, CommandRow, MEDIA_ROW, MediaRow, StateChange, StateQueue, reply_hash};

/// RTCP that one SSRC can have been sent under a key since its index was written down; by so much it leaps ahead with
/// every restart, so that no index is used twice. There are 2^31 of them.
const RTCP_LEAP: u32 = 1 << 16;

/// A call that is as an earlier relay had it, but for its ports, which are to be opened.
#[derive(Debug)]
pub struct Rebuilt {
    call: Box<Call>,
    media: MediaRow,
}

impl Rebuilt {
    /// The pairs of ports that it has.
    #[must_use]
    pub fn pairs(&self) -> Vec<PortPair> {
        let sockets = self.call.legs.values().flat_map(|leg| &leg.sockets);
        sockets.filter_map(|socket| socket.pair).collect()
    }

    /// NG `call-id`
    #[must_use]
    pub fn call_id(&self) -> &ByteString {
        &self.call.id
    }
}

/// Why a call of an earlier relay does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRebuilt {
    /// Rows are missing, damaged, or of another release.
    #[error("what was stored of it cannot be read")]
    Unreadable,
    /// Its commands make another call than they did: settings are others, or the release is.
    #[error("with these settings, or this release, its peers would be told something else than they were")]
    Differs,
    /// It would have ended meanwhile.
    #[error("it would have ended meanwhile ({0:?})")]
    Over(DeleteReason),
    /// There are as many calls as there may be, or one of its name.
    #[error("there is no room for it")]
    NoRoom,
    /// Somebody else has one of its ports.
    #[error("a port of it is used by another call, or in no range")]
    PortTaken,
}

/// Whether a request can change a call. Trickled candidates do not count: whoever goes on with a call is told of its
/// peers' addresses by their checks.
pub(super) fn changes_calls(request: &Request) -> bool {
    match request {
        Request::Offer(offer) => !offer.options.has(Flag::Fragment),
        Request::Answer(_)
        | Request::Delete(_)
        | Request::Publish(_)
        | Request::SubscribeRequest(_)
        | Request::SubscribeAnswer(_)
        | Request::Unsubscribe(_) => true,
        Request::Other(other) => is_lasting(other.command),
        Request::Ping | Request::Query(_) | Request::List(_) | Request::Statistics => false,
    }
}

impl Relay {
    /// Keeps the state of calls for a relay that goes on with them, from here on: it comes out of
    /// [`poll_state`](Self::poll_state). `run` counts the relays that have kept their state in the same place, from 1, and
    /// `crypto` is the workers' table. To be called before the first call.
    pub fn keep_state(&mut self, run: u32, crypto: CryptoTable) {
        self.core.state = Some(StateQueue::new(run, crypto, &mut self.core.rng));
    }

    /// The next change of what is kept, to be written behind whatever else is done.
    pub fn poll_state(&mut self) -> Option<StateChange> {
        self.core.state.as_mut()?.next()
    }

    /// Changes that [`poll_state`](Self::poll_state) has.
    #[must_use]
    pub fn state_waiting(&self) -> usize {
        self.core.state.as_ref().map_or(0, StateQueue::len)
    }

    /// Writes down where media stands in all calls, which is otherwise done every few seconds. To be called at the end.
    pub fn keep_all(&mut self) {
        for call in self.calls.values_mut() {
            call.state.indices_due = true;
            call.keep_media(&mut self.core);
        }
    }

    /// Carries out a command with a generator of its own and writes it down.
    pub(super) fn carry_out_and_keep(
        &mut self,
        now: Instant,
        client: Option<IpAddr>,
        request: &Request,
    ) -> Reply {
        let Some(seed) = self.core.state.as_mut().map(StateQueue::seed) else {
            return self.carry_out(now, client, request);
        };
        let of_relay = std::mem::replace(&mut self.core.rng, StdRng::from_seed(seed));
        let reply = self.carry_out(now, client, request);
        self.core.rng = of_relay;
        let Reply::Ok(ok) = &reply else { return reply };
        let key = request.call_id().and_then(|id| self.by_id.get(id));
        let call = key.and_then(|key| self.calls.get_mut(key));
        if let (Some(call), Some(state)) = (call, &mut self.core.state) {
            let row = CommandRow {
                at: self.core.clock.unix(now),
                client: call.client,
                seed,
                ports: std::mem::take(&mut state.taken),
                reply: ok.sdp.as_ref().map(reply_hash).unwrap_or_default(),
                request: Cow::Borrowed(request),
            };
            let (limits, hits) = (&self.core.config.limits, &mut self.core.counters.limits);
            state.command(CallName::of(&call.id), &mut call.state, &row, limits, hits);
        }
        reply
    }

    /// Makes a call of an earlier relay again, from its rows in their order. Nothing is told to anybody yet: open
    /// [`Rebuilt::pairs`], then [`go_on`](Self::go_on) or [`abandon`](Self::abandon). To be called before the first
    /// outputs are carried out. `alive` is when the earlier relay was last known to run, since 1970.
    ///
    /// # Errors
    /// [`NotRebuilt`]; what is stored of the call is removed with the next changes.
    pub fn rebuild(
        &mut self,
        now: Instant,
        alive: Duration,
        name: CallName,
        rows: &[(u32, Vec<u8>)],
    ) -> Result<Rebuilt, NotRebuilt> {
        let before = (self.core.counters.clone(), self.core.outputs_waiting());
        let result = self.rebuild_call(now, alive, rows);
        self.core.counters = before.0;
        self.core.forget_outputs(before.1);
        self.core.taken_before = None;
        let result = result.and_then(|rebuilt| self.claim_pairs(now, rebuilt));
        if result.is_err() {
            self.core.counters.calls_not_rebuilt += 1;
            self.core.forget_state(|| name);
        }
        result
    }

    /// The ports of a call are open: it goes on.
    pub fn go_on(&mut self, now: Instant, rebuilt: Rebuilt) {
        let Rebuilt { call, media } = rebuilt;
        let key = call.key;
        let run = self.core.state.as_ref().map_or(1, |state| state.run);
        self.core.resuming = Some(resuming(&media, run));
        for id in call.ids() {
            self.by_id.insert(id.clone(), key);
        }
        self.calls.insert(key, call);
        self.core.counters.calls += 1;
        self.core.counters.calls_rebuilt += 1;
        self.work(now, key, |call, core| call.rebuild(now, core, media));
        self.core.resuming = None;
    }

    /// The ports of a call could not be opened: it ends. What was opened is to be closed by whoever has opened it.
    pub fn abandon(&mut self, now: Instant, rebuilt: Rebuilt) {
        self.core.counters.calls_not_rebuilt += 1;
        self.core.forget_state(|| CallName::of(&rebuilt.call.id));
        let pairs: BTreeSet<PortPair> = rebuilt.pairs().into_iter().collect();
        self.drop_call(now, *rebuilt.call);
        for pair in pairs {
            self.core.ports.give_back(now, pair);
        }
    }

    fn rebuild_call(
        &mut self,
        now: Instant,
        alive: Duration,
        rows: &[(u32, Vec<u8>)],
    ) -> Result<Rebuilt, NotRebuilt> {
        let (commands, media) = read(rows).ok_or(NotRebuilt::Unreadable)?;
        if self.calls.len() >= self.core.config.limits.calls {
            return Err(NotRebuilt::NoRoom);
        }
        let count = u32::try_from(commands.len()).unwrap_or(u32::MAX);
        let mut calls = Vec::new();
        for command in commands {
            if let Err(reason) = self.again(now, &mut calls, command) {
                calls.into_iter().for_each(|call| self.drop_call(now, call));
                return Err(reason);
            }
        }
        // Rows of calls that were merged come one call after the other, and then the command that has merged them.
        let mut call = match <[Call; 1]>::try_from(calls) {
            Ok([call]) => call,
            Err(calls) => {
                calls.into_iter().for_each(|call| self.drop_call(now, call));
                return Err(NotRebuilt::Unreadable);
            }
        };
        call.state.commands = count;
        // As if the last packet had come when the earlier relay was last known to run.
        call.last_signal = call.last_signal.max(self.instant(now, alive));
        call.check_soon(now);
        call.handle_timeout(now, &mut self.core);
        if let Some(reason) = call.ends {
            self.drop_call(now, call);
            return Err(NotRebuilt::Over(reason));
        }
        Ok(Rebuilt {
            call: Box::new(call),
            media,
        })
    }

    /// When something was. A clock that was set back since must not make anything happen later than it did.
    fn instant(&self, now: Instant, unix: Duration) -> Instant {
        self.core.clock.instant(unix).unwrap_or(now).min(now)
    }

    /// Carries out a command of old, in the one of these calls that it is for. If it is the first of its call there is one
    /// more then.
    fn again(
        &mut self,
        now: Instant,
        calls: &mut Vec<Call>,
        command: CommandRow<'_>,
    ) -> Result<(), NotRebuilt> {
        let at = self.instant(now, command.at);
        let call_id = command.request.call_id().ok_or(NotRebuilt::Unreadable)?;
        let mut call = match take(calls, call_id) {
            Some(call) => call,
            None if self.by_id.contains_key(call_id) => return Err(NotRebuilt::NoRoom),
            None => {
                let mut call = Call::new(&mut self.core, at, call_id.clone());
                call.client = command.client;
                call
            }
        };
        let result = self.again_in(at, &mut call, calls, command);
        calls.push(call);
        result
    }

    fn again_in(
        &mut self,
        at: Instant,
        call: &mut Call,
        others: &mut Vec<Call>,
        command: CommandRow<'_>,
    ) -> Result<(), NotRebuilt> {
        self.expire(at, call)?;
        if let Some(other) = connects_to(&command.request).filter(|id| !call.has_id(id)) {
            let mut other = take(others, other).ok_or(NotRebuilt::Unreadable)?;
            let expired = self.expire(at, &mut other);
            call.merge(&mut self.core, other);
            expired?;
        }
        self.core.taken_before = Some(command.ports);
        let of_relay = std::mem::replace(&mut self.core.rng, StdRng::from_seed(command.seed));
        let reply = self
            .exchange_again(at, call, &command.request)
            .or_else(|| self.subscribe_again(at, call, &command.request))
            .or_else(|| self.publish_again(at, call, &command.request));
        match &*command.request {
            Request::Delete(delete) => {
                if let Some(selected) = call.parties_to_delete(delete) {
                    call.delete(at, &mut self.core, &selected, delete.delete_delay);
                }
            }
            Request::Other(other) => call.other_again(at, other),
            _ => {}
        }
        self.core.rng = of_relay;
        let same = match reply {
            Some(Ok(sdp)) => reply_hash(&sdp) == command.reply,
            Some(Err(_)) => false,
            None => true,
        };
        if same { Ok(()) } else { Err(NotRebuilt::Differs) }
    }

    /// Takes out parties of a call that is being rebuilt whose time has come.
    fn expire(&mut self, at: Instant, call: &mut Call) -> Result<(), NotRebuilt> {
        if !call.parties.is_empty() {
            call.delete_due(at, &mut self.core);
        }
        call.ends.map_or(Ok(()), |reason| Err(NotRebuilt::Over(reason)))
    }

    fn claim_pairs(&mut self, now: Instant, rebuilt: Rebuilt) -> Result<Rebuilt, NotRebuilt> {
        let mut claimed = Vec::new();
        for pair in rebuilt.pairs() {
            if !self.core.claim_pair(pair) {
                self.drop_call(now, *rebuilt.call);
                for pair in claimed {
                    self.core.ports.give_back(now, pair);
                }
                return Err(NotRebuilt::PortTaken);
            }
            claimed.push(pair);
        }
        Ok(rebuilt)
    }

    /// Lets go of a call of which nobody was told anything.
    fn drop_call(&mut self, now: Instant, mut call: Call) {
        let since = self.core.outputs_waiting();
        for (_, leg) in std::mem::take(&mut call.legs) {
            leg.close(now, &mut self.core);
        }
        self.core.forget_outputs(since);
    }
}

/// Takes out the call with an id.
fn take(calls: &mut Vec<Call>, id: &ByteString) -> Option<Call> {
    let place = calls.iter().position(|call| call.has_id(id))?;
    Some(calls.swap_remove(place))
}

/// The commands of a call, and what media has taught about it. `None` if a command is missing or damaged.
fn read(rows: &[(u32, Vec<u8>)]) -> Option<(VecDeque<CommandRow<'static>>, MediaRow)> {
    let mut commands = VecDeque::new();
    let mut media = MediaRow::default();
    for (number, octets) in rows {
        if *number == MEDIA_ROW {
            media = MediaRow::decode(octets)?;
        } else if *number as usize == commands.len() {
            commands.push_back(CommandRow::decode(octets)?);
        } else {
            return None;
        }
    }
    Some((commands, media))
}

/// Where SRTP goes on in the relay with this number. RTP keeps the numbers of its senders. RTCP has numbers of ours, so it
/// leaps once for each relay since the one that has written them down.
fn resuming(media: &MediaRow, run: u32) -> Resuming {
    let leap = RTCP_LEAP.saturating_mul(run.saturating_sub(media.run));
    let leapt = |of: &SsrcIndices| SsrcIndices {
        rtcp_next: of.rtcp_next.saturating_add(leap).min(1 << 31),
        ..*of
    };
    let indices = media
        .indices
        .iter()
        .map(|(key, of)| (*key, of.iter().map(leapt).collect()));
    Resuming {
        indices: indices.collect(),
        rtcp_first: RTCP_LEAP.saturating_mul(run).min(1 << 31),
    }
}
