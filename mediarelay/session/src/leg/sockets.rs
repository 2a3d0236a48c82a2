//! The sockets of a leg.

use std::net::{IpAddr, SocketAddr};

use viaduct_forward::LocalAddr;

use super::path::Component;
use crate::ports::{PortPair, PortSetId};

/// One local address with its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalSocket {
    /// What peers are told.
    pub(crate) advertised: IpAddr,
    pub(crate) rtp: LocalAddr,
    /// The pair it belongs to; `None` for a port that many share, which has no RTCP port beside it.
    pub(crate) pair: Option<PortPair>,
    /// The ports that the pair was taken from.
    pub(crate) set: Option<PortSetId>,
    /// Where the other side of the call received, by its own account, when this was told to the peer.
    pub(crate) opposite: Option<SocketAddr>,
}

impl LocalSocket {
    pub(crate) fn of_pair(pair: PortPair, set: PortSetId, advertised: IpAddr) -> Self {
        Self {
            advertised,
            rtp: pair.rtp(),
            pair: Some(pair),
            set: Some(set),
            opposite: None,
        }
    }

    pub(crate) fn shared(local: LocalAddr, advertised: IpAddr) -> Self {
        Self {
            advertised,
            rtp: local,
            pair: None,
            set: None,
            opposite: None,
        }
    }

    /// The local address of a component.
    pub(crate) fn local(&self, component: Component) -> Option<LocalAddr> {
        match component {
            Component::Rtp => Some(self.rtp),
            Component::Rtcp => self.pair.map(|pair| pair.rtcp()),
        }
    }

    /// What peers are told of a component.
    pub(crate) fn told(&self, component: Component) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.advertised, self.local(component)?.port()))
    }

    pub(crate) fn component_of(&self, local: LocalAddr) -> Option<Component> {
        Component::BOTH
            .into_iter()
            .find(|component| self.local(*component) == Some(local))
    }
}
