//! Which flows the kernel forwards, and what becomes of them when it does not any more.
//!
//! Every rule passes here on its way to the workers. One that asks for nothing but new addresses, and whose peer has been
//! heard, is given to the kernel as well, whether its packets are in the clear or their receiver has the sender's key; the workers keep it, for what the kernel passes up and for the time after. So media
//! never waits for either: whatever the kernel does not forward, a worker does.

mod outside;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use viaduct_forward::{Beside, BesideSource, Command, Epoch, FlowId, FlowRule, LegId, LocalAddr, StatsTable};
use viaduct_kmod_helper::{Counters, Fast, Flow, InstallError, Instance, Key, unload};

pub use self::outside::Outside;
use self::outside::plain;
use super::stats::ControlStats;

/// How often the kernel is told that the relay lives, and asked what it forwarded. Half a turn of the relay's own clocks
/// that look at counters, and a fifth of the kernel's patience.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a kernel path is made of.
#[derive(Debug)]
pub(crate) struct KernelPlan {
    pub(crate) fast: Fast,
    pub(crate) instance: Instance,
    pub(crate) stats: StatsTable,
    pub(crate) epoch: Epoch,
    /// What leaves a socket that is not marked otherwise.
    pub(crate) tos: u8,
    pub(crate) counts: Arc<ControlStats>,
}

impl KernelPlan {
    /// Asks what the kernel has counted of a flow, and publishes it.
    fn count(&self, now: Instant, flow: FlowId, held: &mut Held) {
        if held.is_in
            && let Some(present) = self.fast.counters(&key_of(&held.rule))
        {
            held.take(present.since(held.before), &self.counts);
        }
        self.publish(now, flow, held);
    }

    /// Workers make the counters of a flow when they hear of it, which is before the kernel does.
    fn publish(&self, now: Instant, flow: FlowId, held: &Held) {
        let Held {
            is_in: is_active,
            total,
            ..
        } = *held;
        if !is_active && total == Counters::default() {
            return;
        }
        let Some(stats) = self.stats.flow(flow) else {
            return;
        };
        let age = total.last_packet.map(viaduct_kmod_helper::age);
        let last_packet = age
            .and_then(|age| now.checked_sub(age))
            .map(|at| self.epoch.tick(at));
        stats.set_beside(Beside {
            is_active,
            rtp: viaduct_forward::Counters {
                packets: total.rtp_packets,
                octets: total.rtp_octets,
                errors: 0,
            },
            last_packet,
            source: total.source.map(|source| BesideSource {
                ssrc: source.ssrc,
                payload_type: source.payload_type,
                expected: total.expected,
                highest_sequence: source.highest_sequence,
                last_timestamp: source.timestamp,
            }),
        });
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Kernel {
    plan: KernelPlan,
    /// Rules that the kernel has or may have.
    flows: HashMap<FlowId, Held>,
    /// Flows that it has not, and why. Without those of RTCP, which it never has.
    outside: HashMap<FlowId, (Key, Outside)>,
    marks: HashMap<LocalAddr, u8>,
    /// How many flows of each of our ports it forwards.
    ports: HashMap<LocalAddr, usize>,
    /// Ports that have got their first flow there, or lost their last one.
    ports_changed: Vec<LocalAddr>,
    next_look: Instant,
}

/// A flow, for those who ask where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) key: Key,
    /// Why workers forward it; `None`: the kernel does.
    pub(crate) outside: Option<Outside>,
    /// What the kernel has forwarded of it.
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Held {
    rule: FlowRule,
    /// The call, for people.
    tag: u64,
    is_in: bool,
    /// Counted in times that are over.
    before: Counters,
    /// The same with the present.
    total: Counters,
}

impl Held {
    /// Takes figures over.
    fn take(&mut self, total: Counters, counts: &ControlStats) {
        let new = total.rtp_packets.saturating_sub(self.total.rtp_packets);
        counts.kernel_packets.add(new);
        self.total = total;
    }
}

impl Kernel {
    pub(super) fn new(now: Instant, plan: KernelPlan) -> Self {
        plan.counts.kernel_path.set(1);
        Self {
            plan,
            flows: HashMap::new(),
            outside: HashMap::new(),
            marks: HashMap::new(),
            ports: HashMap::new(),
            ports_changed: Vec::new(),
            next_look: now,
        }
    }

    /// Takes note of an order for workers, on its way to them. `tag` is asked for the call of a leg.
    pub(super) fn on_command(&mut self, now: Instant, command: &mut Command, tag: impl FnOnce(LegId) -> u64) {
        match command {
            Command::InstallFlow(rule) => self.on_rule(now, rule, tag),
            Command::RemoveFlow { flow } => {
                self.leave(now, *flow);
                self.flows.remove(flow);
                self.note(*flow, None);
            }
            _ => {}
        }
    }

    fn on_rule(&mut self, now: Instant, rule: &mut FlowRule, tag: impl FnOnce(LegId) -> u64) {
        let outside = plain(rule).err().or(rule.confirm.then_some(Outside::Unheard));
        let is_plain = matches!(outside, None | Some(Outside::Unheard));
        let is_told = rule.accept.rtp || rule.accept.raw;
        self.note(
            rule.flow,
            outside.filter(|_| is_told).map(|why| (key_of(rule), why)),
        );
        let moves = |held: &Held| key_of(&held.rule) != key_of(rule);
        // Its first packet is to be seen by a worker.
        if !is_plain || rule.confirm || self.flows.get(&rule.flow).is_some_and(moves) {
            self.leave(now, rule.flow);
        }
        match self.flows.get_mut(&rule.flow) {
            Some(held) => held.rule = rule.clone(),
            None if is_plain => {
                let held = Held {
                    rule: rule.clone(),
                    tag: tag(rule.leg),
                    is_in: false,
                    before: Counters::default(),
                    total: Counters::default(),
                };
                self.flows.insert(rule.flow, held);
            }
            None => return,
        }
        if rule.confirm {
            // A relay before this one may have left it there.
            self.plan.fast.remove(now, &key_of(rule));
        } else {
            rule.beside = self.enter(now, rule.flow);
        }
    }

    /// A worker has seen the first packet of a flow. Gives the rule that it is to have from here on, if that changes.
    pub(super) fn on_confirmed(&mut self, now: Instant, flow: FlowId) -> Option<Command> {
        let held = self.flows.get_mut(&flow).filter(|held| !held.is_in)?;
        held.rule.confirm = false;
        let rule = FlowRule {
            beside: true,
            ..held.rule.clone()
        };
        self.enter(now, flow).then_some(Command::InstallFlow(rule))
    }

    /// What leaves this socket is marked.
    pub(super) fn on_mark(&mut self, now: Instant, local: LocalAddr, tos: u8) {
        if self.marks.insert(local, tos) == Some(tos) {
            return;
        }
        let leaves_here = |held: &Held| held.is_in && plain(&held.rule).is_ok_and(|out| out.local == local);
        let marked: Vec<FlowId> = self
            .flows
            .iter()
            .filter(|(_, held)| leaves_here(held))
            .map(|(flow, _)| *flow)
            .collect();
        for flow in marked {
            self.enter(now, flow);
        }
    }

    /// The pair with this socket is closed.
    pub(super) fn on_closed(&mut self, local: LocalAddr) {
        self.marks.remove(&local);
    }

    /// Says that the relay lives, and publishes what the kernel has counted. Gives rules of flows that workers must have
    /// alone from here on.
    ///
    /// # Errors
    /// Why there is no kernel path any more; [`surrender`](Self::surrender) has the rules.
    pub(super) fn look(&mut self, now: Instant) -> Result<Vec<Command>, String> {
        if now < self.next_look {
            return Ok(Vec::new());
        }
        self.next_look = now + LOOK_EVERY;
        let lost = self.plan.fast.heartbeat(now).map_err(|error| error.to_string())?;
        if !self.plan.fast.is_attached() {
            return Err("it was unloaded".to_owned());
        }
        let mut commands = Vec::new();
        if !lost.is_empty() {
            let inside = self.flows.iter().filter(|(_, held)| held.is_in);
            let inside: HashMap<Key, FlowId> =
                inside.map(|(flow, held)| (key_of(&held.rule), *flow)).collect();
            for (key, counters) in lost {
                let flow = inside.get(&key);
                commands.extend(flow.and_then(|flow| self.on_lost(now, *flow, counters)));
            }
        }
        for (flow, held) in self.flows.iter_mut().filter(|(_, held)| held.is_in) {
            self.plan.count(now, *flow, held);
        }
        self.publish_figures();
        let ups = self.plan.fast.ups().map_err(|error| error.to_string())?;
        for (up, count) in ups {
            self.plan.counts.kernel_ups[up as usize].set(count);
        }
        let passed = self.plan.fast.passed().map_err(|error| error.to_string())?;
        self.plan.counts.kernel_frames.set(passed.as_frames);
        self.plan.counts.kernel_across.set(passed.across);
        Ok(commands)
    }

    /// When [`look`](Self::look) is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_look
    }

    /// A flow's receiver is not reached any more as the kernel could: workers have it alone. Gives its rule.
    fn on_lost(&mut self, now: Instant, flow: FlowId, counters: Counters) -> Option<Command> {
        let held = self.flows.get_mut(&flow)?;
        held.is_in = false;
        held.take(counters.since(held.before), &self.plan.counts);
        held.before = held.total;
        let (rule, key) = (held.rule.clone(), key_of(&held.rule));
        self.plan.publish(now, flow, held);
        self.note_port(key.local, false);
        self.plan.counts.kernel_left.add(1);
        self.note(flow, Some((key, Outside::Unreached)));
        Some(Command::InstallFlow(rule))
    }

    /// Publishes what the kernel has counted of a flow.
    pub(super) fn count(&mut self, now: Instant, flow: FlowId) {
        if let Some(held) = self.flows.get_mut(&flow) {
            self.plan.count(now, flow, held);
        }
    }

    /// Where a flow is. `None` for one that never is in the kernel: RTCP.
    pub(super) fn tell(&self, flow: FlowId) -> Option<Told> {
        let counters = self.flows.get(&flow).map(|held| held.total).unwrap_or_default();
        let (key, outside) = match self.outside.get(&flow) {
            Some((key, why)) => (*key, Some(*why)),
            None => (key_of(&self.flows.get(&flow)?.rule), None),
        };
        Some(Told {
            key,
            outside,
            counters,
        })
    }

    /// Leaves to the workers what a relay before this one had in the kernel and this one does not.
    pub(super) fn drop_unclaimed(&mut self, now: Instant) {
        for key in self.plan.fast.unclaimed() {
            self.plan.fast.remove(now, &key);
        }
    }

    /// The rules that workers must have alone when there is no kernel path any more.
    pub(super) fn surrender(mut self, now: Instant) -> Vec<Command> {
        self.plan.counts.kernel_path.set(0);
        let inside = self.flows.iter().filter(|(_, held)| held.is_in);
        let inside: Vec<_> = inside.map(|(flow, held)| (*flow, held.rule.clone())).collect();
        for (flow, _) in &inside {
            self.leave(now, *flow);
        }
        let outside: Vec<FlowId> = self.outside.keys().copied().collect();
        for flow in outside {
            self.note(flow, None);
        }
        inside
            .into_iter()
            .map(|(_, rule)| Command::InstallFlow(rule))
            .collect()
    }

    /// The relay ends. With `keep`, the next one is to find everything as it is.
    pub(super) fn end(self, bpffs: &Path, keep: bool) {
        let instance = self.plan.instance.clone();
        drop(self);
        if !keep && let Err(error) = unload(bpffs, &instance) {
            tracing::debug!("unloading the kernel path: {error}");
        }
    }

    /// Gives a flow to the kernel, or what is new about it. False: it stays in user space, or has gone back there.
    fn enter(&mut self, now: Instant, flow: FlowId) -> bool {
        let Some(held) = self.flows.get(&flow) else {
            return false;
        };
        let Ok(out) = plain(&held.rule) else { return false };
        let wanted = Flow {
            key: key_of(&held.rule),
            source: out.local,
            destination: out.remote,
            tos: self.marks.get(&out.local).copied().unwrap_or(self.plan.tos),
            rtcp: false,
            payload_types: !payload_types(&held.rule.events),
            tag: held.tag,
        };
        let was_in = held.is_in;
        self.count(now, flow);
        let installed = self.plan.fast.install(now, &wanted);
        let is_in = installed.is_ok();
        let counts = &self.plan.counts;
        let outside = match installed {
            Ok(()) => {
                counts.kernel_entered.add(u64::from(!was_in));
                None
            }
            Err(error) => {
                counts.kernel_left.add(u64::from(was_in));
                match &error {
                    InstallError::Full => counts.kernel_full.add(1),
                    _ => counts.kernel_refused.add(1),
                }
                tracing::debug!("{} is for user space: {error}", wanted.key);
                Some((wanted.key, Outside::from(&error)))
            }
        };
        self.note(flow, outside);
        if was_in != is_in {
            self.note_port(wanted.key.local, is_in);
        }
        if let Some(held) = self.flows.get_mut(&flow) {
            held.is_in = is_in;
            if was_in && !is_in {
                held.before = held.total;
            }
        }
        self.publish_figures();
        self.count(now, flow);
        is_in
    }

    /// Takes a flow out of the kernel, with what was counted there.
    fn leave(&mut self, now: Instant, flow: FlowId) {
        let Some(held) = self.flows.get_mut(&flow).filter(|held| held.is_in) else {
            return;
        };
        held.is_in = false;
        if let Some(present) = self.plan.fast.remove(now, &key_of(&held.rule)) {
            held.take(present.since(held.before), &self.plan.counts);
        }
        held.before = held.total;
        let local = key_of(&held.rule).local;
        self.note_port(local, false);
        self.plan.counts.kernel_left.add(1);
        self.publish_figures();
        self.count(now, flow);
    }

    /// Counts a flow of a port in or out.
    fn note_port(&mut self, local: LocalAddr, is_in: bool) {
        let flows = self.ports.entry(local).or_default();
        let before = *flows;
        *flows = if is_in {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        if (before == 0) != (*flows == 0) {
            self.ports_changed.push(local);
        }
        if *flows == 0 {
            self.ports.remove(&local);
        }
    }

    /// Ports of which the kernel forwards something since this was last asked, or nothing any more, and which of the two.
    pub(super) fn take_changed_ports(&mut self) -> Vec<(LocalAddr, bool)> {
        let changed = std::mem::take(&mut self.ports_changed);
        let changed = changed.into_iter();
        changed
            .map(|local| (local, self.ports.contains_key(&local)))
            .collect()
    }

    /// Ports of which the kernel forwards something.
    pub(super) fn ports(&self) -> impl Iterator<Item = LocalAddr> {
        self.ports.keys().copied()
    }

    /// Takes note of why workers have a flow; `None`: the kernel has it, or nobody.
    fn note(&mut self, flow: FlowId, outside: Option<(Key, Outside)>) {
        let before = match outside {
            Some(outside) => self.outside.insert(flow, outside),
            None => self.outside.remove(&flow),
        };
        let tally = |why: Outside| &self.plan.counts.kernel_outside[why as usize];
        if let Some((_, why)) = before {
            tally(why).set(tally(why).get().saturating_sub(1));
        }
        if let Some((key, why)) = outside {
            tally(why).add(1);
            tracing::debug!("{key} is for user space: {}", why.text());
        }
    }

    fn publish_figures(&self) {
        let counts = &self.plan.counts;
        let inside = counts
            .kernel_entered
            .get()
            .saturating_sub(counts.kernel_left.get());
        counts.kernel_flows.set(inside);
    }
}

fn key_of(rule: &FlowRule) -> Key {
    Key {
        local: rule.key.local,
        peer: rule.key.remote,
    }
}

/// A set of payload types, as the kernel has it.
fn payload_types(list: &[u8]) -> u128 {
    let listed = list.iter().filter(|of| **of < 128);
    listed.fold(0, |set, of| set | 1 << of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_that_are_told_are_not_the_kernels() {
        assert_eq!(!payload_types(&[101, 200]), !(1 << 101));
    }
}
