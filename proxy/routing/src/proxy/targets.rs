//! Where a dialled name leads, and in which order its targets are tried (RFC 3261 section 16.6).

use std::sync::Arc;
use std::time::Instant;

use super::{Proxy, SERVICE_FLOW};
use crate::config::{Destination, Ring, Service};
use crate::context::{Target, Way};
use crate::{Flags, Refusal, User};

/// Targets that are tried at the same time. Groups are tried one after the other.
pub(super) type Group = Vec<Target>;

/// A target and how much it is preferred, in thousandths.
type Ranked = (u16, Target);

/// The preference of what has none of its own.
const Q_MAX: u16 = 1_000;

impl Proxy {
    /// Where a dialled name leads. `serially` keeps the order of preference; otherwise everything is one group, as for
    /// requests that nobody waits long for.
    pub(super) fn targets(
        &mut self,
        now: Instant,
        dialled: &str,
        caller: &User,
        serially: bool,
    ) -> Result<Vec<Group>, Refusal> {
        let rule = self
            .config
            .routes
            .iter()
            .find(|rule| rule.matches(dialled, &caller.name));
        let one = [Destination::User(dialled.to_owned())];
        let (destinations, ring) = match rule {
            Some(rule) => (&*rule.send_to, rule.ring),
            None => (&one[..], Ring::Together),
        };
        let mut is_known = false;
        let mut found: Vec<Vec<Ranked>> = Vec::new();
        for destination in destinations {
            match destination {
                Destination::Service(service) => found.push(vec![(Q_MAX, self.service_target(*service))]),
                Destination::User(name) => {
                    let Some(user) = self.users.get(name).map(Arc::clone) else {
                        continue;
                    };
                    is_known = true;
                    found.push(self.contacts_of(now, &user));
                }
            }
        }
        if found.iter().all(Vec::is_empty) {
            return Err(if is_known {
                Refusal::NotRegistered
            } else {
                Refusal::UnknownUser
            });
        }
        let mut groups = match (serially, ring) {
            (false, _) => {
                let all = found.into_iter().flatten();
                vec![all.map(|(_, target)| target).collect()]
            }
            (true, Ring::Together) => by_preference(found.into_iter().flatten().collect()),
            (true, Ring::OneByOne) => found.into_iter().flat_map(by_preference).collect(),
        };
        self.keep_bounds(&mut groups);
        Ok(groups)
    }

    /// The registered contacts of a user.
    fn contacts_of(&self, now: Instant, user: &Arc<User>) -> Vec<Ranked> {
        let Some(aor) = self.aor_of(&user.name) else {
            return Vec::new();
        };
        let bindings = self.location.lookup(&aor, now);
        let targets = bindings.iter().map(|binding| {
            let target = Target {
                uri: binding.uri.clone(),
                way: Way::Hop(binding.flow.into()),
                flags: binding.flags,
                user: Some(Arc::clone(user)),
                service: None,
                patience: None,
            };
            (binding.q, target)
        });
        targets.collect()
    }

    fn service_target(&self, service: Service) -> Target {
        Target {
            uri: format!("sip:{}@{}", service.name(), self.config.domain).into(),
            way: Way::Hop(SERVICE_FLOW.into()),
            flags: Flags::NONE,
            user: None,
            service: Some(service),
            patience: None,
        }
    }

    /// Leaves out the targets beyond [`Limits::branches_max`](crate::Limits::branches_max), the least preferred first.
    fn keep_bounds(&mut self, groups: &mut Vec<Group>) {
        let mut room = self.config.limits.branches_max;
        for group in groups.iter_mut() {
            let excess = group.len().saturating_sub(room);
            self.counters.branches_over_limit += excess as u64;
            group.truncate(room);
            room -= group.len();
        }
        groups.retain(|group| !group.is_empty());
    }
}

/// Groups of equal preference, the most preferred first.
fn by_preference(mut ranked: Vec<Ranked>) -> Vec<Group> {
    ranked.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    ranked
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(|group| group.iter().map(|(_, target)| target.clone()).collect())
        .collect()
}
