//! From a rule to a flow: everything that a packet would otherwise have to look up.

use super::Worker;
use super::flow::{Clocks, CompiledListener, CompiledRoute, Flow, Identifiers, Target};
use super::flows::FlowIndex;
use super::reports::RateWindow;
use super::resumed::{self, Resumed};
use super::select::{Sections, Selector};
use super::speech::Speech;
use super::ssrcs::Ssrcs;
use crate::address::{CryptoId, FlowId, Out, Tuple};
use crate::command::CommandError;
use crate::crypto::{SharedSend, lock};
use crate::limits::{LISTENERS_MAX, ROUTES_MAX};
use crate::rule::{FlowRule, MidSelector, Select};

impl Worker {
    /// Puts a flow in or gives a known one another rule; checks everything before anything changes.
    pub(super) fn install_flow(&mut self, rule: &FlowRule) -> Result<(), CommandError> {
        let socket = self.sockets.id(rule.key.local)?;
        let tuple = Tuple::new(socket, rule.key.remote);
        let known = self.flows.by_id(rule.flow);
        if let Some(other) = self.flows.by_tuple(tuple).filter(|other| known != Some(*other)) {
            return Err(CommandError::KeyInUse {
                key: rule.key,
                by: self.flows[other].id,
            });
        }
        if known.is_none() && self.flows.is_full() {
            return Err(CommandError::Limit("flows"));
        }
        if rule.clock_rates.len() > self.limits.selectors_per_route {
            return Err(CommandError::Limit("selectors_per_route"));
        }
        let unprotect = match rule.unprotect {
            Some(id) => Some(
                self.shared
                    .crypto
                    .receive(id)
                    .ok_or(CommandError::UnknownCrypto(id))?,
            ),
            None => None,
        };
        let (mut routes, sections) = self.compile_routes(rule)?;
        if let Some(known) = known {
            resumed::take_over(&mut routes, &self.flows[known].routes);
        }
        let passes = rule.passes();
        if let Some(context) = unprotect.as_ref().filter(|_| passes && !rule.confirm) {
            lock(context).expect_unseen();
        }
        let clocks = Clocks::new(&rule.clock_rates);
        let mut ssrcs = match known {
            Some(at) => self.take_over_ssrcs(at, &sections, &clocks),
            None => Ssrcs::new(self.limits.ssrcs_per_flow),
        };
        ssrcs.set_beside(rule.beside);
        self.flows.put(Flow {
            id: rule.flow,
            leg: rule.leg,
            tuple,
            socket,
            accept: rule.accept,
            confirm: rule.confirm,
            unprotect,
            passes,
            routes: routes.into(),
            sections,
            ssrcs,
            rtp_flow: rule.rtp_flow,
            clocks,
            events: rule
                .events
                .iter()
                .filter(|of| **of < 128)
                .fold(0, |all, of| all | 1 << of),
            repeats: rule.may_loop.then(Box::default),
            digits: known.map(|at| self.flows[at].digits).unwrap_or_default(),
            pressing: known.map(|at| self.flows[at].pressing).unwrap_or_default(),
            stats: self.shared.stats.enter_flow(rule.flow, &self.limits),
        });
        self.stats.flows.set(self.flows.len() as u64);
        Ok(())
    }

    pub(super) fn remove_flow(&mut self, flow: FlowId) -> Result<(), CommandError> {
        self.flows.remove(flow).ok_or(CommandError::UnknownFlow(flow))?;
        self.stats.flows.set(self.flows.len() as u64);
        Ok(())
    }

    /// The measurements of a flow whose rule is about to be replaced.
    fn take_over_ssrcs(&mut self, at: FlowIndex, sections: &Sections, clocks: &Clocks) -> Ssrcs {
        let flow = &mut self.flows[at];
        let mut ssrcs = std::mem::replace(&mut flow.ssrcs, Ssrcs::new(0));
        let successor = |section| sections.successor(&flow.sections, section);
        ssrcs.on_new_rule(successor, |payload_type| clocks.of(payload_type));
        ssrcs
    }

    fn compile_routes(&self, rule: &FlowRule) -> Result<(Vec<CompiledRoute>, Sections), CommandError> {
        let routes = &rule.routes;
        if routes.len() > self.limits.routes_per_flow.min(ROUTES_MAX) {
            return Err(CommandError::Limit("routes_per_flow"));
        }
        let mut sections = Sections::default();
        let mut compiled = Vec::with_capacity(routes.len());
        for route in routes {
            if route.listeners.len() > LISTENERS_MAX {
                return Err(CommandError::Limit("listeners"));
            }
            let listeners = route.listeners.iter().map(|listener| {
                Ok(CompiledListener {
                    rtp: listener.rtp_out.map(|out| self.target(out)).transpose()?,
                    rtcp: listener.rtcp_out.map(|out| self.target(out)).transpose()?,
                    protect: self.send_context(listener.protect)?,
                    mid: listener.mid.as_ref().map(element),
                })
            });
            let listeners = listeners.collect::<Result<_, CommandError>>()?;
            let protect = self.send_context(route.protect)?;
            compiled.push(CompiledRoute {
                selector: self.compile_select(&route.select, &mut sections)?,
                rtp: route.rtp_out.map(|out| self.target(out)).transpose()?,
                rtcp: route.rtcp_out.map(|out| self.target(out)).transpose()?,
                protect,
                same_key: route.same_key,
                recode: route.recode,
                speech: Speech::of(route),
                resumed: route.resume.map(Resumed::new).map(Box::new),
                to_control: route.to_control.then(RateWindow::default),
                extensions: route.extensions.as_ref().map(Identifiers::of).map(Box::new),
                mid: route.mid.as_ref().map(element),
                feedback: route.feedback,
                reports: route.reports,
                block: route.block,
                listeners,
            });
        }
        if !rule.ambiguous_to_first {
            sections.refuse_ambiguous(&compiled);
        }
        Ok((compiled, sections))
    }

    fn send_context(&self, id: Option<CryptoId>) -> Result<Option<SharedSend>, CommandError> {
        let context = |id| self.shared.crypto.send(id).ok_or(CommandError::UnknownCrypto(id));
        id.map(context).transpose()
    }

    fn compile_select(&self, select: &Select, sections: &mut Sections) -> Result<Selector, CommandError> {
        if select.payload_types.len() + select.ssrcs.len() > self.limits.selectors_per_route {
            return Err(CommandError::Limit("selectors_per_route"));
        }
        let mut payload_types = 0_u128;
        for payload_type in &select.payload_types {
            payload_types |= 1_u128
                .checked_shl((*payload_type).into())
                .ok_or(CommandError::Selector)?;
        }
        let section = match &select.mid {
            Some(mid) if mid.extension_id == 0 || mid.mid.is_empty() => return Err(CommandError::Selector),
            Some(mid) => Some(sections.enter(mid.extension_id, &mid.mid)),
            None => None,
        };
        Ok(Selector {
            payload_types,
            ssrcs: select.ssrcs.as_slice().into(),
            section,
        })
    }

    fn target(&self, out: Out) -> Result<Target, CommandError> {
        let via = self.sockets.id(out.local)?;
        Ok(Target {
            out,
            via,
            back: Tuple::new(via, out.remote),
        })
    }
}

/// The header extension's element that names an m-line.
fn element(named: &MidSelector) -> (u8, Box<[u8]>) {
    (named.extension_id, named.mid.as_bytes().into())
}
