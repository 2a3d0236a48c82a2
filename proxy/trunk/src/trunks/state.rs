//! What is known of one trunk at one moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Unusable;
use crate::Trunk;

/// Behind the lock of a line.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) calls: u32,
    /// Calls out of each user, where that is limited. Nobody is in it without one.
    of_users: HashMap<Arc<str>, u32>,
    /// When the running second began, and how many calls have begun in it.
    second: Option<(Instant, u32)>,
    /// `None` while nobody has asked.
    pub(super) up: Option<bool>,
    pub(super) rest_until: Option<Instant>,
    pub(super) registration: Option<Result<Instant, String>>,
    /// Where the trunk took our registration.
    pub(super) registered_at: Option<IpAddr>,
    pub(super) counters: TrunkCounters,
}

/// What has been counted of a trunk. All only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkCounters {
    /// Calls that came in.
    pub calls_in: u64,
    /// Calls that were tried to go out.
    pub calls_out: u64,
    /// Calls that went out and were answered.
    pub answered: u64,
    /// Calls that the trunk failed and that went on to another target, or to none.
    pub failed: u64,
    /// Calls that did not try the trunk because of one of its limits.
    pub over_limit: u64,
    /// Calls that did not try the trunk because their user had as many over it as one may.
    pub over_user_limit: u64,
    /// Calls that did not try the trunk because their user had as many over all trunks as one may.
    #[serde(default)]
    pub over_all_user_limit: u64,
    /// Redirections that were followed.
    pub redirected: u64,
    /// Redirections that were not.
    pub redirects_refused: u64,
    /// Calls that did not try the trunk because it was down or resting.
    pub avoided: u64,
    /// Requests that the trunk wanted credentials for.
    pub challenged: u64,
    /// Credentials that the trunk did not take.
    pub refused_credentials: u64,
    /// Calls that came in for a number that is none of ours.
    pub foreign_numbers: u64,
    /// Probes that were not answered.
    pub probes_lost: u64,
    /// Registrations that failed.
    pub registrations_failed: u64,
}

/// How a trunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrunkState {
    /// Nobody has asked it yet, or nobody asks.
    Unknown,
    /// It answers.
    Up,
    /// It does not answer.
    Down,
    /// It asked to be left alone for a while.
    Resting,
}

/// A trunk as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkView {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub host: String,
    /// How it is.
    pub state: TrunkState,
    /// Calls over it, both directions.
    pub calls: u32,
    /// How many there may be.
    pub calls_max: Option<u32>,
    /// Seconds that our registration is good for. `None` when we do not register, or have not yet, or it failed.
    pub registered_s: Option<u64>,
    /// Why the registration failed.
    pub registration_error: Option<String>,
    /// What has been counted.
    pub counters: TrunkCounters,
}

impl TrunkState {
    /// The word in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Resting => "resting",
        }
    }
}

impl State {
    /// `user` is the one whose calls are counted, if they are.
    pub(super) fn take(
        &mut self,
        now: Instant,
        trunk: &Trunk,
        (user, emergency): (Option<&Arc<str>>, bool),
    ) -> Result<(), Unusable> {
        if !emergency {
            self.check(now, trunk, user.map(|user| &**user))
                .inspect_err(|unusable| match unusable {
                    Unusable::Down | Unusable::Resting => self.counters.avoided += 1,
                    Unusable::Full | Unusable::TooFast => self.counters.over_limit += 1,
                    Unusable::FullForUser => self.counters.over_user_limit += 1,
                    // Found before the trunk is asked.
                    Unusable::UserFull => self.counters.over_all_user_limit += 1,
                })?;
        }
        self.begin(now);
        if let Some(user) = user {
            *self.of_users.entry(Arc::clone(user)).or_default() += 1;
        }
        self.counters.calls_out += 1;
        Ok(())
    }

    pub(super) fn release(&mut self, user: Option<&Arc<str>>) {
        self.calls = self.calls.saturating_sub(1);
        let Some(user) = user else { return };
        if let Some(calls) = self.of_users.get_mut(user) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                self.of_users.remove(user);
            }
        }
    }

    pub(super) fn take_in(&mut self, now: Instant, trunk: &Trunk) -> Result<(), Unusable> {
        self.check_limits(now, trunk)
            .inspect_err(|_| self.counters.over_limit += 1)?;
        self.begin(now);
        self.counters.calls_in += 1;
        Ok(())
    }

    fn begin(&mut self, now: Instant) {
        self.calls += 1;
        let (began, calls) = self.running_second(now);
        self.second = Some((began, calls.saturating_add(1)));
    }

    pub(super) fn check(&self, now: Instant, trunk: &Trunk, user: Option<&str>) -> Result<(), Unusable> {
        match self.state(now) {
            TrunkState::Down => return Err(Unusable::Down),
            TrunkState::Resting => return Err(Unusable::Resting),
            TrunkState::Unknown | TrunkState::Up => {}
        }
        let of_user = user.and_then(|user| self.of_users.get(user)).copied();
        if let (Some(calls), Some(most)) = (of_user, trunk.calls_per_user_max)
            && calls >= most
        {
            return Err(Unusable::FullForUser);
        }
        self.check_limits(now, trunk)
    }

    fn check_limits(&self, now: Instant, trunk: &Trunk) -> Result<(), Unusable> {
        if trunk.calls_max.is_some_and(|most| self.calls >= most) {
            return Err(Unusable::Full);
        }
        let begun = self.running_second(now).1;
        if trunk.calls_per_second_max.is_some_and(|most| begun >= most) {
            return Err(Unusable::TooFast);
        }
        Ok(())
    }

    /// The second that counts, and the calls in it.
    fn running_second(&self, now: Instant) -> (Instant, u32) {
        self.second
            .filter(|(began, _)| now.saturating_duration_since(*began) < Duration::from_secs(1))
            .unwrap_or((now, 0))
    }

    fn state(&self, now: Instant) -> TrunkState {
        if self.up == Some(false) {
            TrunkState::Down
        } else if self.rest_until.is_some_and(|until| until > now) {
            TrunkState::Resting
        } else if self.up == Some(true) {
            TrunkState::Up
        } else {
            TrunkState::Unknown
        }
    }

    pub(super) fn view(&self, now: Instant, trunk: &Trunk) -> TrunkView {
        let until = self.registration.as_ref().and_then(|result| result.as_ref().ok());
        TrunkView {
            name: trunk.name.clone(),
            host: trunk.host.clone(),
            state: self.state(now),
            calls: self.calls,
            calls_max: trunk.calls_max,
            registered_s: until
                .and_then(|until| until.checked_duration_since(now))
                .map(|left| left.as_secs()),
            registration_error: self.registration.as_ref().and_then(|result| result.clone().err()),
            counters: self.counters,
        }
    }
}
