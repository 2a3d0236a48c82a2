//! Which worker a change of the forwarding tables is for.
//!
//! What names a port of its own is for the worker that reads it. What names the browsers' port, or no address at all,
//! is for every worker: the kernel decides which of them a browser's datagrams reach.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use viaduct_forward::{Command, FlowId};

use super::crew::Crew;
use super::sockets::{NoSocket, Sockets, Target};
use crate::worker::Order;

/// Remembers where flows are.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    flows: HashMap<FlowId, Target, RandomState>,
}

impl Dispatch {
    /// Hands a command to its workers. A port that is nobody's yet becomes `favourite`'s.
    ///
    /// # Errors
    /// The command names an address that no socket has; no worker was told anything.
    pub(super) fn forward(
        &mut self,
        command: Command,
        favourite: usize,
        sockets: &mut Sockets,
        crew: &mut Crew,
    ) -> Result<(), NoSocket> {
        let target = match &command {
            Command::SetPort(rule) => sockets.target(rule.local, favourite, crew)?,
            Command::ClearPort { local } | Command::ExpectStun { local, .. } => {
                sockets.target(*local, favourite, crew)?
            }
            Command::AllowDtls { tuple, .. }
            | Command::RevokeDtls { tuple }
            | Command::SelectTuple {
                tuple: Some(tuple), ..
            } => sockets.target(tuple.local, favourite, crew)?,
            Command::SelectTuple { tuple: None, .. } | Command::SetIce(_) | Command::RemoveIce { .. } => {
                Target::All
            }
            Command::InstallFlow(rule) => {
                let target = sockets.target(rule.key.local, favourite, crew)?;
                for out in rule.outs() {
                    // It is read as well as written: what comes back must be heard.
                    sockets.target(out.local, favourite, crew)?;
                    for worker in target.workers(crew.len()) {
                        sockets.admit(worker, out.local, crew)?;
                    }
                }
                self.move_flow(rule.flow, target, crew);
                target
            }
            Command::ReportSent { flow, .. } => match self.flows.get(flow) {
                Some(target) => *target,
                None => return Ok(()),
            },
            Command::RemoveFlow { flow } => match self.flows.remove(flow) {
                Some(target) => target,
                None => return Ok(()),
            },
            // The relay's core has no sockets.
            Command::BindSocket { .. } | Command::UnbindSocket { .. } => return Ok(()),
        };
        let mut workers = target.workers(crew.len());
        let last = workers.next_back();
        for worker in workers {
            crew.order(worker, Order::Apply(command.clone()));
        }
        if let Some(worker) = last {
            crew.order(worker, Order::Apply(command));
        }
        Ok(())
    }

    /// Flows that workers have.
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Notes where a flow is from here on; whoever had it before forgets it.
    fn move_flow(&mut self, flow: FlowId, target: Target, crew: &mut Crew) {
        let before = self.flows.insert(flow, target).filter(|before| *before != target);
        let count = crew.len();
        for worker in before.into_iter().flat_map(|before| before.workers(count)) {
            crew.order(worker, Order::Apply(Command::RemoveFlow { flow }));
        }
    }
}
