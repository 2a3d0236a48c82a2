//! Ports that change when the other side of the call moves (NG `port-latching`, `no-port-latching`).
//!
//! A peer that has been told of new ports may send to the ones before for a while, so these stay open, and are told again
//! when the other side comes back.

use std::net::SocketAddr;
use std::time::Instant;

use super::plain::LINGER;
use super::{Leg, LocalSocket, tuple};
use crate::core::Core;
use crate::secrets;

impl Leg {
    /// Whether its ports were told when the other side received elsewhere. Notes where it does where that is not known.
    pub(crate) fn is_for_another(&mut self, opposite: SocketAddr) -> bool {
        *self.sockets[0].opposite.get_or_insert(opposite) != opposite
    }

    /// Has other ports for its peer: those that it had for this address of the other side, or else new ones. Where there
    /// are none left it keeps what it has. Those before stay open until [`Self::close_former_ports`].
    pub(crate) fn change_ports(&mut self, core: &mut Core, opposite: SocketAddr) {
        let primary = self.sockets[0];
        let known = self
            .sockets
            .iter()
            .position(|socket| socket.opposite == Some(opposite));
        let socket = match known {
            Some(at) => self.sockets.remove(at),
            None => match primary.set.and_then(|set| Some((core.take_pair(set)?, set))) {
                Some((pair, set)) => LocalSocket::of_pair(pair, set, primary.advertised),
                None => {
                    core.counters.out_of_ports += 1;
                    return;
                }
            },
        };
        let opposite = Some(opposite);
        self.sockets.insert(0, LocalSocket { opposite, ..socket });
        self.ports_changed = true;
    }

    /// An SDP is about to tell of other ports: with them goes another DTLS association.
    pub(crate) fn tell_of_ports(&mut self, core: &mut Core) {
        if self.ports_changed
            && let Some(dtls) = &mut self.dtls
        {
            dtls.offer_another(secrets::tls_id(&mut core.rng));
        }
    }

    /// Has the ports of another leg, which is over, beside its own. With ICE there is no need: peers are told what is good.
    pub(crate) fn take_in(&mut self, core: &mut Core, sockets: Vec<LocalSocket>) {
        if self.ice.is_some() || self.is_shared() {
            let pairs = sockets.iter().filter_map(|socket| socket.pair);
            pairs.for_each(|pair| core.release_pair(pair));
            return;
        }
        self.sockets.extend(sockets);
        self.ports_changed = true;
    }

    /// Closes the oldest of the ports that it was told of before, where there are too many of them: the command that has
    /// changed them did not fail.
    pub(crate) fn close_former_ports(&mut self, now: Instant, core: &mut Core) {
        let kept = core.config.limits.former_ports_per_leg + 1;
        if !std::mem::take(&mut self.ports_changed) || self.sockets.len() <= kept {
            return;
        }
        core.counters.limits.former_ports_per_leg += 1;
        for socket in self.sockets.split_off(kept) {
            let gone = self
                .paths
                .take(|path| socket.component_of(path.tuple.local).is_some());
            self.retire(now, core, gone);
            if let Some(pair) = socket.pair {
                core.release_pair(pair);
            }
        }
    }

    /// Has the ports that it had before a command that has failed.
    pub(crate) fn restore_ports(&mut self, core: &mut Core, sockets: Vec<LocalSocket>) {
        self.ports_changed = false;
        let taken = std::mem::replace(&mut self.sockets, sockets);
        for pair in taken.into_iter().filter_map(|socket| socket.pair) {
            if self.sockets.iter().all(|known| known.pair != Some(pair)) {
                core.release_pair(pair);
            }
        }
    }

    /// The peer has been told of its ports: it is sent to from them, and is heard on others for a while yet.
    pub(crate) fn follow_ports(&mut self, now: Instant, core: &mut Core) {
        if self.ice.is_some() {
            return;
        }
        for component in self.components() {
            let Some(local) = self.primary().local(*component) else {
                continue;
            };
            let Some(path) = self.paths.selected(*component) else {
                continue;
            };
            let (from, remote, origin) = (path.tuple.local, path.tuple.remote, path.origin);
            if from == local || from.is_ipv4() != local.is_ipv4() {
                continue;
            }
            let Some(path) = self.enter_path(now, core, *component, tuple(local, remote), origin) else {
                continue;
            };
            let flow = path.flow;
            self.paths.select(*component, flow);
            for path in self.paths.iter_mut() {
                if path.component == *component && path.flow != flow {
                    path.leaves.get_or_insert(now + LINGER);
                }
            }
        }
    }
}
