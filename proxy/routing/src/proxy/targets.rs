//! Where a dialled name leads, and in which order its targets are tried (RFC 3261 section 16.6).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;
use viaduct_sip::{Message, Uri};
use viaduct_trunk::{Changes, FailPolicy};
use viaduct_txn::Hop;

use super::admitted::Admitted;
use super::{Proxy, SERVICE_FLOW};
use crate::calling::Calling;
use crate::context::{Target, Way};
use crate::gruu::{Device, Wanted};
use crate::location::{Binding, Bindings};
use crate::{Destination, Refusal, Ring, Rule, Service, User};

/// Targets that are tried at the same time. Groups are tried one after the other.
pub(super) type Group = Vec<Target>;

/// A target and how much it is preferred, in thousandths.
type Ranked = (u16, Target);

/// How a request wants its targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// One group after another. Otherwise everything is one group, as for requests that nobody waits long for.
    pub(super) serially: bool,
    /// Over secure transports only: the Request-URI is a `sips` one.
    pub(super) secure: bool,
}

/// The preference of what has none of its own.
const Q_MAX: u16 = 1_000;

/// What is asked for, and by whom.
pub(super) struct Dialled<'a> {
    /// The number as routes see it.
    pub(super) number: &'a str,
    /// What was dialled.
    pub(super) dialled: &'a str,
    pub(super) caller: &'a Calling,
    pub(super) request: &'a Message,
    /// What decides in place of the routes.
    pub(super) rule: Option<&'a Rule>,
    /// How trunks are told who calls.
    pub(super) shown: &'a Changes,
}

impl Proxy {
    /// Where a dialled name leads.
    pub(super) fn targets(
        &mut self,
        now: Instant,
        wanted: &Dialled<'_>,
        asked: Asked,
    ) -> Result<Vec<Group>, Refusal> {
        let config = Arc::clone(&self.config);
        let caller = wanted.caller.as_caller();
        let of_routes = || config.routes.find(wanted.number, caller).map(|(_, rule)| rule);
        let rule = wanted.rule.or_else(of_routes);
        let named = self.user_called(wanted);
        let (destinations, ring): (Vec<&Destination>, Ring) = match rule {
            Some(rule) => (rule.targets(caller).collect(), rule.ring),
            None => (vec![&named], Ring::Together),
        };
        let mut is_known = false;
        let mut found: Vec<Vec<Ranked>> = Vec::new();
        for destination in destinations {
            match destination {
                Destination::Service(service) => found.push(vec![(Q_MAX, self.service_target(*service))]),
                Destination::User(name) => {
                    let Some(user) = self.users.get(name) else {
                        continue;
                    };
                    is_known = true;
                    found.push(self.contacts_of(now, &user, asked.secure));
                }
                // Trunks come after everything else, each by itself.
                Destination::Trunk(_) => {}
            }
        }
        let trunks = rule.map_or_else(Vec::new, |rule| self.trunks_of(wanted, rule, asked.secure));
        if trunks.is_empty() && found.iter().all(Vec::is_empty) {
            return Err(if is_known {
                Refusal::NotRegistered
            } else {
                Refusal::UnknownUser
            });
        }
        let mut groups = match (asked.serially, ring) {
            (false, _) => {
                let all = found.into_iter().flatten();
                vec![all.map(|(_, target)| target).collect()]
            }
            (true, Ring::Together) => by_preference(found.into_iter().flatten().collect()),
            (true, Ring::OneByOne) => found.into_iter().flat_map(by_preference).collect(),
        };
        groups.extend(trunks);
        self.keep_bounds(&mut groups);
        Ok(groups)
    }

    /// Where a GRUU leads: to one device, over whichever of its flows lives (RFC 5627 section 6.1).
    pub(super) fn gruu_targets(
        &self,
        now: Instant,
        wanted: &Wanted,
        secure: bool,
    ) -> Result<Vec<Group>, Refusal> {
        let user = self.users.get(&wanted.user).ok_or(Refusal::UnknownUser)?;
        let bindings = self.bindings_of_device(now, wanted);
        if bindings.is_empty() {
            return Err(match wanted.device {
                Device::Instance(_) => Refusal::NotRegistered,
                // It was good for a registration that has ended.
                Device::Marked { .. } => Refusal::UnknownUser,
            });
        }
        let mut ranked = self.targets_of(bindings, &user, secure);
        ranked.truncate(1);
        if ranked.is_empty() {
            return Err(Refusal::NotRegistered);
        }
        Ok(by_preference(ranked))
    }

    /// The contact that a Request-URI stands for when it is a GRUU of ours: the one that is reached over `hop`, or the one
    /// that the device has registered since. The latter only when the other end `is_known` by this GRUU: nobody gets at
    /// other devices by naming them inside a dialog.
    pub(super) fn contact_of_gruu(
        &self,
        now: Instant,
        uri: &str,
        at: SocketAddr,
        (hop, is_known): (&Hop, bool),
    ) -> Option<Arc<Binding>> {
        // Most are none, and this is asked for every request inside a dialog.
        if !uri.contains(";gr") {
            return None;
        }
        let uri = Uri::parse(uri).ok()?;
        if !uri.host().is_some_and(|host| self.config.is_our_host(&host, at)) {
            return None;
        }
        let wanted = self.gruus.read(&uri)?.ok()?;
        let bindings = self.bindings_of_device(now, &wanted);
        let same_flow = bindings
            .iter()
            .find(|binding| matches!(hop, Hop::Flow(flow) if *flow == binding.flow));
        let moved = bindings.first().filter(|_| is_known);
        same_flow.or(moved).cloned()
    }

    fn bindings_of_device(&self, now: Instant, wanted: &Wanted) -> Bindings {
        let Some(aor) = self.aor_of(&wanted.user) else {
            return Bindings::new();
        };
        let mut bindings = self.location.lookup(&aor, now);
        bindings.retain(|binding| self.gruus.is_of(&wanted.device, binding));
        bindings
    }

    /// The users whom a request is for, none twice.
    pub(super) fn callees(&self, admitted: &Admitted) -> Vec<String> {
        if admitted.inside.is_some() {
            return Vec::new();
        }
        if let Some(wanted) = &admitted.gruu {
            return vec![wanted.user.clone()];
        }
        let caller = admitted.caller.as_caller();
        let of_routes = || self.config.routes.find(&admitted.number, caller);
        let rule = admitted.rule.as_ref();
        let mut names = match rule.or_else(|| of_routes().map(|(_, rule)| rule)) {
            Some(rule) => rule
                .targets(caller)
                .filter_map(|target| match target {
                    Destination::User(name) => Some(name.clone()),
                    Destination::Service(_) | Destination::Trunk(_) => None,
                })
                .collect(),
            None => vec![admitted.number.clone(), admitted.dialled.clone()],
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The user that a number names when no rule takes it: by the number itself, or by what was dialled.
    fn user_called(&self, wanted: &Dialled<'_>) -> Destination {
        let is_user = self.users.get(wanted.number).is_some();
        let name = if is_user { wanted.number } else { wanted.dialled };
        Destination::User(name.to_owned())
    }

    /// The trunks of a rule, one after the other.
    fn trunks_of(&mut self, wanted: &Dialled<'_>, rule: &Rule, secure: bool) -> Vec<Group> {
        let names: Vec<&str> = rule
            .targets(wanted.caller.as_caller())
            .filter_map(|target| match target {
                Destination::Trunk(name) => Some(name.as_str()),
                Destination::User(_) | Destination::Service(_) => None,
            })
            .collect();
        if names.is_empty() {
            return Vec::new();
        }
        let policy = FailPolicy::new(&rule.on_fail);
        let config = Arc::clone(&self.config);
        let lines = config
            .trunks
            .in_order(&names, |below| self.rng.random_range(0..below));
        let targets = lines
            .into_iter()
            .filter_map(|line| self.trunk_target(wanted, line, policy.clone(), secure));
        targets.map(|target| vec![target]).collect()
    }

    /// The registered contacts of a user.
    fn contacts_of(&self, now: Instant, user: &Arc<User>, secure: bool) -> Vec<Ranked> {
        let Some(aor) = self.aor_of(&user.name) else {
            return Vec::new();
        };
        self.targets_of(self.location.lookup(&aor, now), user, secure)
    }

    /// Targets for bindings, one for each device: several flows to one device are tried one after another and never at
    /// the same time (RFC 5626 section 7). A call that must be secure goes over secure flows only (RFC 5630 section 5.3).
    fn targets_of(&self, bindings: Bindings, user: &Arc<User>, secure: bool) -> Vec<Ranked> {
        let mut found: Vec<(Option<Arc<str>>, Ranked)> = Vec::new();
        for binding in bindings {
            if secure && !binding.flow.transport.is_secure() {
                continue;
            }
            let target = Target {
                flags: binding.flags,
                user: Some(Arc::clone(user)),
                path: binding.path.clone(),
                ..Target::new(binding.request_uri(), Way::Hop(binding.flow.into()))
            };
            let device = binding.instance.clone().filter(|_| binding.reg_id.is_some());
            let known = found
                .iter_mut()
                .find(|(known, _)| device.is_some() && *known == device);
            match known {
                Some((_, (_, first))) => {
                    first.patience = Some(self.config.times.flow_patience);
                    first.other_flows.push(target);
                }
                None => found.push((device, (binding.q, target))),
            }
        }
        found.into_iter().map(|(_, ranked)| ranked).collect()
    }

    fn service_target(&self, service: Service) -> Target {
        let uri = format!("sip:{}@{}", service.name(), self.config.domain);
        Target {
            service: Some(service),
            ..Target::new(uri, Way::Hop(SERVICE_FLOW.into()))
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
