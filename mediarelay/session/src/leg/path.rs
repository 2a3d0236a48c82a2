//! The network paths of a leg: pairs of one of our addresses and one of the peer's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use viaduct_forward::{FlowId, FlowKey, FlowStats, LocalAddr, Out};

/// RTP, or RTCP on a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Component {
    Rtp,
    Rtcp,
}

impl Component {
    pub(crate) const BOTH: [Self; 2] = [Self::Rtp, Self::Rtcp];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The number in candidates.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Rtp => 1,
            Self::Rtcp => 2,
        }
    }
}

/// How a path became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The SDP names the peer's address.
    Sdp,
    /// Media came from there.
    Learnt,
    /// An ICE check from there was good.
    Ice,
}

/// One path.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) flow: FlowId,
    pub(crate) component: Component,
    pub(crate) tuple: FlowKey,
    pub(crate) origin: Origin,
    /// PRIORITY of the peer's checks.
    pub(crate) priority: u32,
    /// The peer has chosen it.
    pub(crate) nominated: bool,
    /// When it was last known to be good, by control's own account.
    pub(crate) seen: Instant,
    /// The remote address is the peer's for another m-line.
    pub(crate) of_another: bool,
    /// A packet came by it.
    pub(crate) confirmed: bool,
    /// It is replaced and goes at this time: what is on its way still counts.
    pub(crate) leaves: Option<Instant>,
    pub(crate) stats: Option<Arc<FlowStats>>,
}

/// All paths of a leg. No two have the same addresses; what is selected is among them.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    list: Vec<Path>,
    selected: [Option<FlowId>; 2],
}

impl Paths {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.list.iter_mut()
    }

    pub(crate) fn len_of(&self, component: Component) -> usize {
        self.list
            .iter()
            .filter(|path| path.component == component)
            .count()
    }

    pub(crate) fn by_tuple(&self, tuple: FlowKey) -> Option<&Path> {
        self.list.iter().find(|path| path.tuple == tuple)
    }

    pub(crate) fn by_flow_mut(&mut self, flow: FlowId) -> Option<&mut Path> {
        self.list.iter_mut().find(|path| path.flow == flow)
    }

    pub(crate) fn by_tuple_mut(&mut self, tuple: FlowKey) -> Option<&mut Path> {
        self.list.iter_mut().find(|path| path.tuple == tuple)
    }

    /// The path that we send by.
    pub(crate) fn selected(&self, component: Component) -> Option<&Path> {
        let flow = self.selected[component.index()]?;
        self.list.iter().find(|path| path.flow == flow)
    }

    /// Where to send to.
    pub(crate) fn out(&self, component: Component) -> Option<Out> {
        self.selected(component).map(|path| Out {
            local: path.tuple.local,
            remote: path.tuple.remote,
        })
    }

    pub(crate) fn select(&mut self, component: Component, flow: FlowId) {
        self.selected[component.index()] = Some(flow);
    }

    pub(crate) fn is_selected(&self, flow: FlowId) -> bool {
        self.selected.contains(&Some(flow))
    }

    pub(crate) fn push(&mut self, path: Path) {
        debug_assert!(self.by_tuple(path.tuple).is_none());
        // One for RTP and one for RTCP, where a vector begins with room for four.
        if self.list.is_empty() {
            self.list.reserve_exact(2);
        }
        self.list.push(path);
    }

    /// Takes out the paths that `goes` picks. Those that were selected are so no more.
    pub(crate) fn take(&mut self, mut goes: impl FnMut(&Path) -> bool) -> Vec<Path> {
        let gone: Vec<Path> = self.list.extract_if(.., |path| goes(path)).collect();
        for path in &gone {
            for selected in &mut self.selected {
                *selected = selected.filter(|flow| *flow != path.flow);
            }
        }
        gone
    }

    /// When the next replaced path goes.
    pub(crate) fn next_departure(&self) -> Option<Instant> {
        self.list.iter().filter_map(|path| path.leaves).min()
    }
}

/// A tuple of plain addresses.
pub(crate) fn tuple(local: LocalAddr, remote: SocketAddr) -> FlowKey {
    FlowKey { local, remote }
}
