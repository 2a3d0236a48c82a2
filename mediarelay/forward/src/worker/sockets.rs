//! The sockets that a worker hears from and sends through, and what their ports are for.

use std::collections::BTreeMap;

use super::Worker;
use super::flows::FlowIndex;
use super::reports::RateWindow;
use crate::address::{LegId, LocalAddr, SocketId};
use crate::command::CommandError;
use crate::crypto::SharedReceive;
use crate::rule::{PortMode, PortRule};

/// One local UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    local: LocalAddr,
    /// `None`: a shared port, or one that is not in use.
    pub(super) leg: Option<LegId>,
    pub(super) mode: PortMode,
    pub(super) authenticate: Option<SharedReceive>,
    pub(super) limiter: RateWindow,
    /// Where the latest datagram's flow was: a port of a phone has one flow for most of its life.
    pub(super) recent_flow: FlowIndex,
}

impl Socket {
    /// Takes the port from its leg.
    pub(super) fn clear(&mut self) {
        self.leg = None;
        self.mode = PortMode::Settled;
        self.authenticate = None;
    }
}

/// All sockets by the shell's number.
#[derive(Debug)]
pub(super) struct Sockets {
    slots: Vec<Option<Box<Socket>>>,
    by_local: BTreeMap<LocalAddr, SocketId>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            by_local: BTreeMap::new(),
        }
    }

    pub(super) fn bind(&mut self, id: SocketId, local: LocalAddr, max: usize) -> Result<(), CommandError> {
        let at = id.0 as usize;
        if at >= max {
            return Err(CommandError::SocketNumber(id));
        }
        if self.get(id).is_some() || self.by_local.contains_key(&local) {
            return Err(CommandError::SocketInUse { socket: id, local });
        }
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        let socket = Socket {
            local,
            leg: None,
            mode: PortMode::Settled,
            authenticate: None,
            limiter: RateWindow::default(),
            recent_flow: FlowIndex::NONE,
        };
        self.slots[at] = Some(Box::new(socket));
        self.by_local.insert(local, id);
        Ok(())
    }

    fn unbind(&mut self, id: SocketId) -> Result<(), CommandError> {
        let slot = self.slots.get_mut(id.0 as usize).and_then(Option::take);
        let socket = slot.ok_or(CommandError::UnknownSocketNumber(id))?;
        self.by_local.remove(&socket.local);
        Ok(())
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    #[inline]
    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    /// Whether packets can go out by it.
    #[inline]
    pub(super) fn is_bound(&self, id: SocketId) -> bool {
        self.slots.get(id.0 as usize).is_some_and(Option::is_some)
    }

    /// The number of the socket that is bound to an address.
    pub(super) fn id(&self, local: LocalAddr) -> Result<SocketId, CommandError> {
        self.by_local
            .get(&local)
            .copied()
            .ok_or(CommandError::UnknownSocket(local))
    }

    /// The address that a socket is bound to.
    pub(super) fn local(&self, id: SocketId) -> Option<LocalAddr> {
        Some(self.get(id)?.local)
    }

    pub(super) fn by_local_mut(&mut self, local: LocalAddr) -> Result<&mut Socket, CommandError> {
        let id = self.id(local)?;
        self.get_mut(id).ok_or(CommandError::UnknownSocket(local))
    }
}

impl Worker {
    pub(super) fn set_port(&mut self, rule: &PortRule) -> Result<(), CommandError> {
        let authenticate = match rule.authenticate {
            Some(id) => Some(
                self.shared
                    .crypto
                    .receive(id)
                    .ok_or(CommandError::UnknownCrypto(id))?,
            ),
            None => None,
        };
        let socket = self.sockets.by_local_mut(rule.local)?;
        socket.leg = Some(rule.leg);
        socket.mode = rule.mode;
        socket.authenticate = authenticate;
        Ok(())
    }

    pub(super) fn unbind_socket(&mut self, id: SocketId) -> Result<(), CommandError> {
        self.sockets.unbind(id)?;
        self.flows.remove_all_of(id);
        self.legs.forget_socket(id);
        self.stats.flows.set(self.flows.len() as u64);
        Ok(())
    }
}
