//! What the workers must know of a call, and what has changed about it.
//!
//! Whatever happens to a call, the rules that follow from its state are worked out anew, compared with those that the
//! workers were told, and the differences are emitted. So no event has to know what it undoes, and a call that has
//! nothing left has no rule left.

mod rules;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use litemap::LiteMap;
use viaduct_forward::{
    BlockReason, Command, CryptoCommand, CryptoDirection, CryptoId, FlowId, FlowKey, FlowRule, IceRule,
    LegId, LocalAddr, PortRule, Route, SrtpKeyMaterial,
};

use crate::core::Core;
use crate::output::Output;
use crate::state::key_name;

/// Everything that the workers know of one call.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) crypto: LiteMap<CryptoId, (CryptoDirection, SrtpKeyMaterial)>,
    pub(crate) ports: LiteMap<LocalAddr, PortRule>,
    /// By user fragment.
    pub(crate) ice: LiteMap<String, IceRule>,
    pub(crate) dtls: LiteMap<FlowKey, LegId>,
    /// Of legs with a lite agent.
    pub(crate) selected: LiteMap<LegId, FlowKey>,
    pub(crate) flows: LiteMap<FlowId, InstalledFlow>,
    pub(crate) marks: LiteMap<LocalAddr, u8>,
}

/// What is kept of a flow's rule: enough to know whether another one differs. The rule itself is with the workers, and many
/// times larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InstalledFlow {
    /// A hash of the rule, but for `confirm`.
    digest: u64,
    confirm: bool,
    /// RTP goes on to somebody.
    has_output: bool,
    /// The first route takes out blocked DTMF.
    takes_dtmf_out: bool,
    routes: u16,
}

impl InstalledFlow {
    fn of(rule: &FlowRule) -> Self {
        Self {
            digest: digest(rule),
            confirm: rule.confirm,
            has_output: has_output(rule),
            takes_dtmf_out: rule.routes.first().is_some_and(is_dtmf_out),
            // There are as many as m-lines, which are limited.
            routes: u16::try_from(rule.routes.len()).unwrap_or(u16::MAX),
        }
    }
}

/// What the workers are to know of one call, and the rules that say so.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) tables: Tables,
    /// Those of flows, as far as the workers have others or none.
    flows: Vec<FlowRule>,
}

impl Wanted {
    /// One more flow. `installed` is what the workers know.
    fn add_flow(&mut self, rule: FlowRule, installed: &Tables) {
        let flow = InstalledFlow::of(&rule);
        self.tables.flows.insert(rule.flow, flow);
        if installed.flows.get(&rule.flow) != Some(&flow) {
            self.flows.push(rule);
        }
    }
}

impl Tables {
    /// Whether media that a flow brings goes on to somebody.
    pub(crate) fn has_output(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|flow| flow.has_output)
    }

    /// Takes in those of another call. No key is in both: ids are given once, and addresses belong to one leg.
    pub(crate) fn merge(&mut self, other: Self) {
        let Self {
            crypto,
            ports,
            ice,
            dtls,
            selected,
            flows,
            marks,
        } = other;
        self.crypto.extend(crypto);
        self.ports.extend(ports);
        self.ice.extend(ice);
        self.dtls.extend(dtls);
        self.selected.extend(selected);
        self.flows.extend(flows);
        self.marks.extend(marks);
    }

    /// A worker has reported the first packet of a flow, as its rule asked for, and will not do so again.
    pub(crate) fn confirmed(&mut self, flow: FlowId) {
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.confirm = false;
        }
    }

    /// Emits what turns these tables into `wanted`, in an order in which no rule names what is not there.
    pub(crate) fn become_(&mut self, wanted: Wanted, core: &mut Core) {
        let Wanted {
            tables: wanted,
            flows: mut rules,
        } = wanted;
        rules.sort_by_key(|rule| rule.flow);
        self.add_crypto(&wanted, core);
        for flow in gone(&self.flows, &wanted.flows) {
            core.forward(Command::RemoveFlow { flow });
        }
        self.change_ice(&wanted, core);
        for (local, rule) in changed(&self.ports, &wanted.ports) {
            debug_assert_eq!(*local, rule.local);
            core.forward(Command::SetPort(rule.clone()));
        }
        for (local, tos) in changed(&self.marks, &wanted.marks) {
            core.output(Output::Mark {
                local: *local,
                tos: *tos,
            });
        }
        self.change_dtls(&wanted, core);
        for rule in rules {
            core.forward(Command::InstallFlow(rule));
        }
        for local in gone(&self.ports, &wanted.ports) {
            core.forward(Command::ClearPort { local });
        }
        for id in gone(&self.crypto, &wanted.crypto) {
            core.output(Output::Crypto(CryptoCommand::Remove { id }));
        }
        *self = wanted;
    }

    fn add_crypto(&self, wanted: &Self, core: &mut Core) {
        for (id, (direction, keys)) in changed(&self.crypto, &wanted.crypto) {
            core.output(Output::Crypto(CryptoCommand::Install {
                id: *id,
                direction: *direction,
                keys: keys.clone(),
            }));
            let Some(resuming) = &core.resuming else {
                continue;
            };
            let indices = resuming.indices.get(&key_name(*direction, keys)).cloned();
            let resume = CryptoCommand::Resume {
                id: *id,
                indices: indices.unwrap_or_default(),
                rtcp_first: resuming.rtcp_first,
            };
            core.output(Output::Crypto(resume));
        }
    }

    /// A leg is known to a worker by its fragments, so new ones are set before old ones go, and what is selected is said
    /// in between.
    fn change_ice(&self, wanted: &Self, core: &mut Core) {
        for (_, rule) in changed(&self.ice, &wanted.ice) {
            core.forward(Command::SetIce(rule.clone()));
        }
        for (leg, tuple) in changed(&self.selected, &wanted.selected) {
            core.forward(Command::SelectTuple {
                leg: *leg,
                tuple: Some(*tuple),
            });
        }
        let still_named: BTreeSet<LegId> = wanted.ice.values().map(|rule| rule.leg).collect();
        for leg in gone(&self.selected, &wanted.selected).filter(|leg| still_named.contains(leg)) {
            core.forward(Command::SelectTuple { leg, tuple: None });
        }
        for ufrag in gone(&self.ice, &wanted.ice) {
            core.forward(Command::RemoveIce { ufrag });
        }
    }

    fn change_dtls(&self, wanted: &Self, core: &mut Core) {
        for tuple in gone(&self.dtls, &wanted.dtls) {
            core.forward(Command::RevokeDtls { tuple });
        }
        for (tuple, leg) in changed(&self.dtls, &wanted.dtls) {
            core.forward(Command::AllowDtls {
                tuple: *tuple,
                leg: *leg,
            });
        }
    }
}

/// A hash of a rule, whether or not its first packet is to be reported. Nobody gains anything from two rules of one flow with
/// the same: they would be rules of a call of their own.
fn digest(rule: &FlowRule) -> u64 {
    let FlowRule {
        flow,
        key,
        leg,
        unprotect,
        accept,
        routes,
        confirm: _,
        rtp_flow,
        clock_rates,
        events,
        may_loop,
        ambiguous_to_first,
        beside,
        may_pass,
    } = rule;
    let mut hasher = FixedState::default().build_hasher();
    (flow, key, leg, unprotect, accept, routes, rtp_flow).hash(&mut hasher);
    (
        clock_rates,
        events,
        may_loop,
        ambiguous_to_first,
        beside,
        may_pass,
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// Whether a route takes blocked DTMF out of those behind it.
fn is_dtmf_out(route: &Route) -> bool {
    route.block == Some(BlockReason::Dtmf)
}

/// Whether RTP of a rule goes anywhere.
fn has_output(rule: &FlowRule) -> bool {
    rule.routes.iter().any(|route| {
        let open = !matches!(
            route.block,
            Some(BlockReason::Direction | BlockReason::Media | BlockReason::Traffic)
        );
        (route.rtp_out.is_some() || route.to_control) && open
    })
}

/// What is new or different.
fn changed<'t, K: Ord, V: PartialEq>(
    old: &'t LiteMap<K, V>,
    new: &'t LiteMap<K, V>,
) -> impl Iterator<Item = (&'t K, &'t V)> {
    new.iter().filter(|(key, value)| old.get(key) != Some(value))
}

/// What is no longer there.
fn gone<'t, K: Ord + Clone, V>(
    old: &'t LiteMap<K, V>,
    new: &'t LiteMap<K, V>,
) -> impl Iterator<Item = K> + 't {
    old.keys().filter(|key| !new.contains_key(key)).cloned()
}
