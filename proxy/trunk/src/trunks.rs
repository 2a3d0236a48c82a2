//! All trunks, and what all shards must know of each: how many calls it carries, whether it answers.

mod channel;
mod state;
#[cfg(test)]
mod tests;
mod users;

pub use self::channel::{Channel, Unusable};
pub use self::state::{TrunkCounters, TrunkState, TrunkView};

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::state::State;
use self::users::UserCalls;
use crate::Trunk;

/// A trunk and its state. Cheap to clone; every shard works on the same one.
#[derive(Debug, Clone)]
pub struct Line {
    trunk: Arc<Trunk>,
    state: Arc<Mutex<State>>,
    /// Of all trunks together.
    users: Arc<UserCalls>,
    calls_per_user_max: Option<u32>,
}

/// The trunks of one configuration. Two are equal when they are configured alike, whatever has happened since.
#[derive(Debug, Clone, Default)]
pub struct Trunks {
    /// In the order of the configuration.
    lines: Vec<Line>,
    by_name: HashMap<String, usize>,
    users: Arc<UserCalls>,
    calls_per_user_max: Option<u32>,
}

/// How long a trunk that answered 503 with Retry-After is left alone at most. A carrier that asks for a day would be
/// off for a day.
const REST_MAX: Duration = Duration::from_secs(300);

impl Trunks {
    /// The trunks of a configuration. What is known of a trunk of the same name in `before` is kept: calls go on.
    pub fn new(trunks: Vec<Trunk>, before: Option<&Self>) -> Self {
        let users = before.map_or_else(Arc::default, |before| Arc::clone(&before.users));
        let lines: Vec<Line> = trunks
            .into_iter()
            .map(|trunk| Line {
                users: Arc::clone(&users),
                calls_per_user_max: None,
                state: before
                    .and_then(|before| before.get(&trunk.name))
                    .map_or_else(Arc::default, |line| Arc::clone(&line.state)),
                trunk: Arc::new(trunk),
            })
            .collect();
        let by_name = lines
            .iter()
            .enumerate()
            .map(|(index, line)| (line.trunk.name.clone(), index))
            .collect();
        Self {
            lines,
            by_name,
            users,
            calls_per_user_max: None,
        }
    }

    /// The same with a limit on the calls that one user may have out over all of them together. `None` is any number, and
    /// calls that begin without a limit are not counted for a later one.
    #[must_use]
    pub fn with_calls_per_user_max(mut self, most: Option<u32>) -> Self {
        self.calls_per_user_max = most;
        for line in &mut self.lines {
            line.calls_per_user_max = most;
        }
        self
    }

    /// The trunk of this name.
    pub fn get(&self, name: &str) -> Option<&Line> {
        self.by_name.get(name).and_then(|&index| self.lines.get(index))
    }

    /// The trunk that calls from this address come from: the one with the narrowest network around it.
    pub fn by_source(&self, source: IpAddr) -> Option<&Line> {
        let mut narrowest: Option<(u8, &Line)> = None;
        for line in &self.lines {
            let around = line.trunk.trust_from.iter().filter(|net| net.contains(source));
            let prefix = around.map(|network| network.prefix).max();
            if let Some(prefix) = prefix.filter(|&prefix| narrowest.is_none_or(|(best, _)| prefix > best)) {
                narrowest = Some((prefix, line));
            }
        }
        // A trunk that we registered with calls from where it took the registration.
        let registered = || self.lines.iter().find(|line| line.is_registered_at(source));
        narrowest.map(|(_, line)| line).or_else(registered)
    }

    /// The trunk of a peer that has proven to have these names: the first that has one of them.
    pub fn by_proof(&self, names: &[String]) -> Option<&Line> {
        let is_proven = |line: &&Line| line.trunk.trust_names.iter().any(|name| names.contains(name));
        self.lines.iter().find(is_proven)
    }

    /// Every trunk, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The order in which the trunks of a list are tried: by priority, lower first; among equals that have a weight by
    /// chance, in proportion to it; without, as the list has them. `pick` draws a number below its argument.
    pub fn in_order(&self, names: &[&str], mut pick: impl FnMut(u32) -> u32) -> Vec<Line> {
        let mut left: Vec<Line> = names.iter().filter_map(|name| self.get(name)).cloned().collect();
        left.sort_by_key(|line| line.trunk.priority);
        let mut order = Vec::with_capacity(left.len());
        while let Some(first) = left.first() {
            let priority = first.trunk.priority;
            let group = left
                .iter()
                .take_while(|line| line.trunk.priority == priority)
                .map(|line| u32::from(line.trunk.weight));
            let chosen = draw(group, &mut pick);
            order.push(left.remove(chosen));
        }
        order
    }
}

impl PartialEq for Trunks {
    fn eq(&self, other: &Self) -> bool {
        let trunks = |trunks: &Self| {
            trunks
                .lines
                .iter()
                .map(|line| line.trunk.clone())
                .collect::<Vec<_>>()
        };
        trunks(self) == trunks(other) && self.calls_per_user_max == other.calls_per_user_max
    }
}

impl Eq for Trunks {}

/// The index that a draw by weight hits; the first one when nothing has a weight.
fn draw(weights: impl Iterator<Item = u32> + Clone, pick: &mut impl FnMut(u32) -> u32) -> usize {
    let total: u32 = weights.clone().sum();
    if total == 0 {
        return 0;
    }
    let mut drawn = pick(total) % total;
    for (index, weight) in weights.enumerate() {
        if drawn < weight {
            return index;
        }
        drawn -= weight;
    }
    0
}

impl Line {
    /// The trunk as configured.
    pub fn trunk(&self) -> &Arc<Trunk> {
        &self.trunk
    }

    /// Takes a channel for one call, which is free again when the channel is dropped. An emergency gets one whatever
    /// the limits say and however the trunk is.
    pub fn take(&self, now: Instant, emergency: bool) -> Result<Channel, Unusable> {
        self.take_for(now, None, emergency, None)
    }

    /// The same for a user, whose calls are counted if the trunk takes only so many of one. `held` is the channel of another
    /// leg of the same call, if it has one still: over all trunks together they are one call.
    pub fn take_for(
        &self,
        now: Instant,
        user: Option<&Arc<str>>,
        emergency: bool,
        held: Option<&Channel>,
    ) -> Result<Channel, Unusable> {
        let most = self.calls_per_user_max.filter(|_| !emergency);
        let counted = user.filter(|_| self.calls_per_user_max.is_some());
        let seat = match (counted, held.and_then(Channel::seat)) {
            (None, _) => None,
            (Some(_), Some(seat)) => Some(seat),
            (Some(user), None) => {
                let seat = self.users.take(user, most);
                if seat.is_none() {
                    self.with(|state| state.counters.over_all_user_limit += 1);
                    return Err(Unusable::UserFull);
                }
                seat
            }
        };
        let user = user.filter(|_| self.trunk.calls_per_user_max.is_some());
        self.with(|state| state.take(now, &self.trunk, (user, emergency)))?;
        Ok(Channel::new(self.clone(), user.cloned(), seat))
    }

    /// Why a call of this user, which is no emergency, would get no channel at this moment.
    pub fn refuses(&self, now: Instant, user: &str) -> Option<Unusable> {
        if self
            .calls_per_user_max
            .is_some_and(|most| self.users.of(user) >= most)
        {
            return Some(Unusable::UserFull);
        }
        self.with(|state| state.check(now, &self.trunk, Some(user))).err()
    }

    /// Takes a channel for a call that comes in: how the trunk is for calls that go out does not matter.
    pub fn take_in(&self, now: Instant) -> Result<Channel, Unusable> {
        self.with(|state| state.take_in(now, &self.trunk))?;
        Ok(Channel::new(self.clone(), None, None))
    }

    /// The trunk said 503, and perhaps how long it wants to be left alone.
    pub fn rest(&self, now: Instant, retry_after: Option<Duration>) {
        if let Some(after) = retry_after {
            let until = now + after.min(REST_MAX);
            self.with(|state| state.rest_until = state.rest_until.max(Some(until)));
        }
    }

    /// A probe has found out whether the trunk is there.
    pub fn set_up(&self, up: bool) {
        self.with(|state| state.up = Some(up));
    }

    /// The trunk keeps our registration until then, and took it at this address: its calls come from there.
    pub fn set_registered(&self, until: Instant, at: IpAddr) {
        self.with(|state| {
            state.registration = Some(Ok(until));
            state.registered_at = Some(at.to_canonical());
        });
    }

    /// The trunk did not take our registration. One that it took before is good until it ends.
    pub fn set_unregistered(&self, now: Instant, reason: String) {
        self.with(|state| {
            state.counters.registrations_failed += 1;
            let is_good = matches!(state.registration, Some(Ok(until)) if until > now);
            if !is_good {
                state.registration = Some(Err(reason));
                state.registered_at = None;
            }
        });
    }

    /// The registration was ended by us.
    pub fn set_ended(&self, reason: String) {
        self.with(|state| {
            state.registration = Some(Err(reason));
            state.registered_at = None;
        });
    }

    /// The configuration wants no registration with the trunk, or none like the one before.
    pub fn set_unwanted(&self) {
        self.with(|state| {
            state.registration = None;
            state.registered_at = None;
        });
    }

    fn is_registered_at(&self, source: IpAddr) -> bool {
        self.with(|state| state.registered_at == Some(source.to_canonical()))
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut TrunkCounters)) {
        self.with(|state| count(&mut state.counters));
    }

    /// The trunk as people see it.
    pub fn view(&self, now: Instant) -> TrunkView {
        self.with(|state| state.view(now, &self.trunk))
    }

    fn release(&self, user: Option<&Arc<str>>) {
        self.with(|state| state.release(user));
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
