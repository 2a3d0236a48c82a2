//! Ports for both sides of an offer.
//!
//! Everything is taken before anything else changes, so an offer that finds no ports leaves a call as it was.

use std::net::SocketAddr;

use viaduct_forward::LegId;
use viaduct_ng::{AddressFamily as NgFamily, Bundle, ErrorReason, Flag, IceMode, RtcpMux, TransportProtocol};
use viaduct_sdp::{AddressFamily, Protocol};

use super::Exchange;
use crate::call::Call;
use crate::config::InterfaceAddress;
use crate::core::Core;
use crate::describe::{Description, RemoteMedia};
use crate::leg::{Leg, LocalSocket};
use crate::party::{Part, PartyId};

/// What a leg must offer.
#[derive(Debug, Clone, Copy)]
struct Need {
    party: PartyId,
    family: AddressFamily,
    /// Candidates at every address.
    ice: bool,
    /// It is found by its ICE user fragment and needs no RTCP port, so it can share a port with others.
    can_share: bool,
}

impl Call {
    /// Makes sure that every live m-line of an offer has a leg on either side.
    pub(super) fn provide_legs(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        description: &Description,
    ) -> Result<(), ErrorReason> {
        let mut leaders = leaders(self.party(exchange.sender).may_bundle(), description);
        for (position, media) in self.party(exchange.sender).medias.iter().enumerate() {
            // What peers bundle with each other is theirs.
            if let Some(leader) = leaders.get_mut(position).filter(|_| media.direct) {
                *leader = Some(position);
            }
        }
        // A stand-in sends and receives nothing.
        let stands_in = matches!(self.party(exchange.sender).part, Part::StandsFor(_));
        for (position, remote) in description.medias.iter().enumerate() {
            if remote.is_live() && leaders[position] == Some(position) && !stands_in {
                let others: Vec<usize> = (0..position).filter(|at| leaders[*at] == Some(*at)).collect();
                self.provide_sender_leg(core, exchange, position, remote, &others)?;
            }
        }
        for (position, remote) in description.medias.iter().enumerate() {
            let Some(leader) = leaders[position].filter(|leader| remote.is_live() && *leader != position)
            else {
                continue;
            };
            let leg = self.party(exchange.sender).medias[leader].leg;
            self.party_mut(exchange.sender).medias[position].leg = leg;
        }
        if self.party(exchange.reader).part == Part::Audience {
            core.refill_ports(exchange.now);
            return Ok(());
        }
        for (position, remote) in description.medias.iter().enumerate() {
            if let Some(leader) = leaders[position].filter(|_| remote.is_live()) {
                // In a bundle the first m-line says where all are received.
                let receives = description.medias[leader].rtp;
                self.provide_reader_leg(core, exchange, position, remote, receives)?;
            }
        }
        core.refill_ports(exchange.now);
        Ok(())
    }

    fn provide_sender_leg(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        position: usize,
        remote: &RemoteMedia,
        others: &[usize],
    ) -> Result<(), ErrorReason> {
        let sender = self.party(exchange.sender);
        let known = sender.medias[position].leg;
        // Bundled before, alone from here on: the first keeps the leg.
        let keeps = others.iter().all(|at| sender.medias[*at].leg != known);
        let direct = sender.medias[position].direct;
        let ice = remote.ice.is_some() && !exchange.has(Flag::RejectIce);
        let muxes = remote.mux && !exchange.mux(RtcpMux::Reject);
        let need = Need {
            party: exchange.sender,
            family: remote.family,
            ice,
            can_share: ice && muxes && remote.dtls.is_some() && !direct,
        };
        let leg = self.provide_leg(core, known.filter(|_| keeps), need)?;
        self.party_mut(exchange.sender).medias[position].leg = Some(leg);
        Ok(())
    }

    fn provide_reader_leg(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        position: usize,
        remote: &RemoteMedia,
        receives: Option<SocketAddr>,
    ) -> Result<(), ErrorReason> {
        let Some(opposite) = self.dialogues[exchange.dialogue].opposite(exchange.sender, position) else {
            return Ok(());
        };
        let reader = self.party(exchange.reader);
        let known = reader.medias[opposite].leg;
        let direct = reader.medias[opposite].direct;
        let bundled = reader
            .medias
            .iter()
            .find_map(|media| media.leg)
            .filter(|_| self.bundles_to(exchange) && !direct);
        let ice = direct || remote.is_rtp() && self.ice_to_reader(core, exchange, opposite, remote);
        let leg = known.and_then(|leg| self.legs.get(&leg));
        let muxes = exchange.mux(RtcpMux::Require) || leg.is_some_and(|leg| leg.mux);
        let need = Need {
            party: exchange.reader,
            family: self.family_to(exchange, opposite, remote),
            ice,
            can_share: ice && muxes && !direct,
        };
        let known = self.change_ports(core, exchange, known, remote, receives);
        let leg = match (known, bundled) {
            (None, Some(bundled)) => bundled,
            (known, _) => self.provide_leg(core, known, need)?,
        };
        self.party_mut(exchange.reader).medias[opposite].leg = Some(leg);
        if let (Some(leg), Some(rtp)) = (self.legs.get_mut(&leg), receives) {
            leg.is_for_another(rtp);
        }
        Ok(())
    }

    /// Gives a leg of the reader other ports if the sender receives elsewhere than when they were told, and ports go with
    /// that. `None` for one with ICE, in whose place another has to be.
    fn change_ports(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        known: Option<LegId>,
        remote: &RemoteMedia,
        opposite: Option<SocketAddr>,
    ) -> Option<LegId> {
        let reader = self.party(exchange.reader);
        let shares = reader.medias.iter().filter(|media| media.leg == known).count() > 1;
        let leg = self.legs.get_mut(&known?)?;
        let latches = latches(core, exchange, leg, remote);
        if let Some(opposite) = opposite.filter(|_| !latches && !shares)
            && leg.is_for_another(opposite)
        {
            if leg.ice.is_some() {
                return None;
            }
            leg.change_ports(core, opposite);
        }
        known
    }

    /// The leg that there is, if it will do, else another.
    fn provide_leg(
        &mut self,
        core: &mut Core,
        known: Option<LegId>,
        need: Need,
    ) -> Result<LegId, ErrorReason> {
        let interface = self.party(need.party).wishes.interface.unwrap_or(0);
        let addresses = core
            .config
            .interfaces
            .get(interface)
            .map(|interface| interface.addresses.clone());
        let mut addresses = addresses.unwrap_or_default();
        // With ICE the other family is found by itself; without, a peer that changes it is reached from other ports.
        let has_family = |of: std::net::IpAddr| AddressFamily::of(of) == need.family;
        let reaches = |leg: &Leg| {
            leg.sockets.iter().any(|socket| has_family(socket.rtp.ip()))
                || !addresses.iter().any(|of| has_family(of.address))
        };
        if let Some(leg) = known.and_then(|leg| self.legs.get(&leg))
            && (!leg.is_shared() || need.can_share)
            && (need.ice || reaches(leg))
        {
            return Ok(leg.id);
        }
        // The preferred family first; stable, so the operator's order holds within a family.
        addresses.sort_by_key(|of| !has_family(of.address));
        let sockets = match shared_sockets(&addresses).filter(|_| need.can_share) {
            Some(sockets) => sockets,
            None => self.take_pairs(core, &addresses, need.ice)?,
        };
        let leg = Leg::new(core, self.key, need.party, sockets);
        let id = leg.id;
        self.legs.insert(id, Box::new(leg));
        Ok(id)
    }

    /// One pair, or with ICE one at every address.
    fn take_pairs(
        &self,
        core: &mut Core,
        addresses: &[InterfaceAddress],
        ice: bool,
    ) -> Result<Vec<LocalSocket>, ErrorReason> {
        let mut sockets = Vec::new();
        for of in addresses.iter().take(if ice { usize::MAX } else { 1 }) {
            let taken = core
                .ports
                .find(of.address, &of.ports)
                .and_then(|set| Some((core.take_pair(set)?, set)));
            sockets.extend(taken.map(|(pair, set)| LocalSocket::of_pair(pair, set, of.advertised())));
            // Further addresses are good to have; the first is what the SDP names.
            if sockets.is_empty() {
                break;
            }
        }
        if sockets.is_empty() {
            core.counters.out_of_ports += 1;
            return Err(ErrorReason::OutOfPorts);
        }
        sockets.shrink_to_fit();
        Ok(sockets)
    }

    /// Whether the reader is told of ICE: what was asked, else as the sender has it or the reader had it.
    pub(super) fn ice_to_reader(
        &self,
        core: &Core,
        exchange: &Exchange<'_>,
        opposite: usize,
        remote: &RemoteMedia,
    ) -> bool {
        let reader = self.party(exchange.reader);
        // The SDP goes through as it stands, or has our candidates beside others.
        if exchange.forces_relay(core) || reader.medias[opposite].direct {
            return false;
        }
        if exchange.forces_fax(core, remote) {
            return false;
        }
        // Not offered again to who has answered without; a word in this request asks anew.
        let answered = reader.medias[opposite].remote.as_ref();
        if exchange.options.ice.mode.is_none() && answered.is_some_and(|of| of.is_live() && of.ice.is_none())
        {
            return false;
        }
        match reader.wishes.ice {
            Some(IceMode::Remove) => false,
            Some(IceMode::Force | IceMode::Optional | IceMode::ForceRelay) => true,
            Some(IceMode::Default) | None => {
                let leg = self.leg_of(exchange.reader, opposite);
                remote.ice.is_some()
                    || leg.is_some_and(|leg| leg.ice.as_ref().is_some_and(|ice| ice.remote.is_some()))
            }
        }
    }

    /// Whether all m-lines of the reader share a transport: they do already, or that is asked for.
    pub(super) fn bundles_to(&self, exchange: &Exchange<'_>) -> bool {
        let word = |word| exchange.options.bundle.contains(word);
        let reader = self.party(exchange.reader);
        let mut legs = reader.medias.iter().filter_map(|media| media.leg);
        let first = legs.next();
        let shares = first.is_some() && legs.any(|leg| Some(leg) == first);
        shares
            || word(Bundle::Require)
            || word(Bundle::Strict)
            || (word(Bundle::Offer) && exchange.mux(RtcpMux::Require))
    }

    /// The protocol that the reader is offered: what was asked, else what it speaks, else what the sender speaks.
    pub(super) fn protocol_to(
        &self,
        exchange: &Exchange<'_>,
        opposite: usize,
        remote: &RemoteMedia,
    ) -> Protocol {
        let asked = exchange.options.transport_protocol.and_then(protocol);
        if !remote.is_rtp() {
            return remote.protocol;
        }
        let spoken = self.party(exchange.reader).medias[opposite]
            .protocol
            .filter(|known| known.is_rtp());
        asked.or(spoken).unwrap_or(remote.protocol)
    }

    fn family_to(&self, exchange: &Exchange<'_>, opposite: usize, remote: &RemoteMedia) -> AddressFamily {
        let reader = self.party(exchange.reader);
        let known = reader.medias[opposite]
            .remote
            .as_ref()
            .filter(|known| known.rtp.is_some());
        match reader.wishes.family {
            Some(NgFamily::Ip4) => AddressFamily::Ip4,
            Some(NgFamily::Ip6) => AddressFamily::Ip6,
            None => known.map_or(remote.family, |known| known.family),
        }
    }
}

/// Whether a leg keeps its ports when the other side, which says `remote` of itself, moves (NG `port-latching`).
pub(super) fn latches(core: &Core, exchange: &Exchange<'_>, leg: &Leg, remote: &RemoteMedia) -> bool {
    if exchange.has(Flag::PortLatching) || exchange.has(Flag::NoPortLatching) {
        return exchange.has(Flag::PortLatching);
    }
    // Whoever is to send nothing need not be told where to.
    core.config.port_latching || leg.ice.is_some() || leg.is_shared() || !remote.direction.receives()
}

/// NG's `transport-protocol`, where it names one of RTP.
pub(super) fn protocol(asked: TransportProtocol) -> Option<Protocol> {
    use TransportProtocol as Ng;
    match asked {
        Ng::RtpAvp => Some(Protocol::RtpAvp),
        Ng::RtpAvpf => Some(Protocol::RtpAvpf),
        Ng::RtpSavp => Some(Protocol::RtpSavp),
        Ng::RtpSavpf => Some(Protocol::RtpSavpf),
        Ng::UdpTlsRtpSavp => Some(Protocol::UdpTlsRtpSavp),
        Ng::UdpTlsRtpSavpf => Some(Protocol::UdpTlsRtpSavpf),
        Ng::Udptl | Ng::Accept => None,
    }
}

/// The shared ports at these addresses, unless there are none.
fn shared_sockets(addresses: &[InterfaceAddress]) -> Option<Vec<LocalSocket>> {
    let shared = |of: &InterfaceAddress| {
        let local = std::net::SocketAddr::new(of.address, of.browser_port?);
        Some(LocalSocket::shared(local, of.advertised()))
    };
    let sockets: Vec<LocalSocket> = addresses.iter().filter_map(shared).collect();
    (!sockets.is_empty()).then_some(sockets)
}

/// For every m-line the one whose transport it uses: its own, or that of the first live one of its bundle. `None` for
/// one that can only be used in a bundle, where there is to be none.
fn leaders(bundle: bool, description: &Description) -> Vec<Option<usize>> {
    let leader = |position: usize| {
        let media = &description.medias[position];
        let group = description
            .bundles
            .iter()
            .find(|group| bundle && group.contains(&position));
        let leads = |at: &&usize| {
            let member = &description.medias[**at];
            member.is_live() && !member.bundle_only
        };
        match group {
            Some(group) => group.iter().find(leads).copied(),
            None => Some(position).filter(|_| !media.bundle_only),
        }
    };
    (0..description.medias.len()).map(leader).collect()
}
