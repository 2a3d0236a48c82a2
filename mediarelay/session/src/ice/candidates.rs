//! Our candidates (RFC 8445 section 5.1, RFC 8839 section 5.1).

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};
use viaduct_sdp::{Candidate, CandidateAddress, CandidateType};

use crate::leg::{Component, LocalSocket};

/// Type preference of host candidates.
const TYPE_HOST: u32 = 126;

/// Type preference of relayed candidates.
const TYPE_RELAY: u32 = 0;

/// The last place among candidates of a type, counted from 0.
const PLACES: u32 = 65_535;

/// Characters of a foundation.
const FOUNDATION_LEN: usize = 16;
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The priority of the candidate at the `at`-th local address, counted from 0.
pub(crate) fn priority(at: usize, component: Component) -> u32 {
    let local_preference = 65_535_u32.saturating_sub(at as u32);
    (TYPE_HOST << 24) | (local_preference << 8) | (256 - u32::from(component.number()))
}

/// Host candidates for all addresses of a leg: all of RTP, then all of RTCP. `media_address` is printed in the place of
/// our own address of its family, and no other address is told then.
pub(crate) fn local_candidates(
    sockets: &[LocalSocket],
    components: &[Component],
    seed: &str,
    media_address: Option<IpAddr>,
) -> Vec<Candidate> {
    let shown =
        |socket: &LocalSocket| media_address.is_none_or(|shown| shown.is_ipv4() == socket.rtp.is_ipv4());
    let mut shown: Vec<(usize, &LocalSocket)> = sockets
        .iter()
        .enumerate()
        .filter(|(_, socket)| shown(socket))
        .collect();
    if media_address.is_some() {
        shown.truncate(1);
    }
    let one = |component: Component, at: usize, socket: &LocalSocket| {
        let told: SocketAddr = socket.told(component)?;
        let address = media_address.unwrap_or(told.ip());
        let foundation = foundation(seed, socket.rtp.ip());
        Some(Candidate::host(
            &foundation,
            component.number(),
            priority(at, component),
            address,
            told.port(),
        ))
    };
    let of = |component: Component| {
        shown
            .iter()
            .filter_map(move |(at, socket)| one(component, *at, socket))
    };
    components.iter().flat_map(|component| of(*component)).collect()
}

/// What our candidates stand beside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'c> {
    /// The candidates of the sender.
    pub(crate) theirs: &'c [Candidate],
    /// Ours are told as those of a relay.
    pub(crate) relays: bool,
}

/// Candidates for all addresses of a leg, less preferred than those of the same type that they stand beside.
pub(crate) fn candidates_beside(
    sockets: &[LocalSocket],
    seed: &str,
    media_address: Option<IpAddr>,
    beside: Beside<'_>,
) -> Vec<Candidate> {
    let (preference, first) = first_place(beside);
    let one = |component: Component, at: usize, socket: &LocalSocket| {
        let told: SocketAddr = socket.told(component)?;
        let address = media_address.unwrap_or(told.ip());
        let component = component.number();
        let priority = priority_at((preference, first + at as u32), component);
        let foundation = foundation(seed, socket.rtp.ip());
        let mut candidate = Candidate::host(&foundation, component, priority, address, told.port());
        if beside.relays {
            candidate.kind = CandidateType::Relayed;
            candidate.related = Some((CandidateAddress::Ip(address), told.port()));
        }
        Some(candidate)
    };
    let of = |component: Component| {
        let sockets = sockets.iter().enumerate();
        sockets.filter_map(move |(at, socket)| one(component, at, socket))
    };
    Component::BOTH.into_iter().flat_map(of).collect()
}

/// Type preference, and place among those of the type, counted from the best. rtpengine's own: beside the last of theirs, or
/// at the end of the next type if that is the best of its type.
fn first_place(beside: Beside<'_>) -> (u32, u32) {
    let own = if beside.relays { TYPE_RELAY } else { TYPE_HOST };
    let kind = if beside.relays {
        CandidateType::Relayed
    } else {
        CandidateType::Host
    };
    let alike = |of: &&Candidate| of.component == Component::Rtp.number() && of.kind == kind;
    let mut place = (own, 0);
    for theirs in beside.theirs.iter().filter(alike) {
        if theirs.priority > priority_at(place, Component::Rtp.number()) {
            continue;
        }
        let preference = theirs.priority >> 24;
        place = match PLACES - (theirs.priority >> 8 & PLACES) {
            0 => (preference.saturating_sub(1), PLACES),
            at => (preference, at - 1),
        };
    }
    place
}

/// What comes after the last place of a type runs over into the bits of the type: so it does in rtpengine, whose
/// numbers proxies may have rules for.
fn priority_at((preference, place): (u32, u32), component: u16) -> u32 {
    preference << 24 | PLACES.wrapping_sub(place) << 8 | (256 - u32::from(component))
}

/// Equal for candidates at one local address, and different between relays.
fn foundation(seed: &str, address: IpAddr) -> String {
    let digest = Sha256::new()
        .chain_update(seed)
        .chain_update(address.to_string())
        .finalize();
    digest
        .iter()
        .take(FOUNDATION_LEN)
        .map(|octet| char::from(ALPHANUMERIC[usize::from(*octet) % ALPHANUMERIC.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{PortPair, PortPlan};

    fn sockets() -> Vec<LocalSocket> {
        let addresses = ["203.0.113.1", "2001:db8::1"].map(|address| address.parse::<IpAddr>().unwrap());
        let sets = addresses.map(|address| (address, (30_000..=30_001).into()));
        let plan = PortPlan::new(sets, 1, std::time::Duration::ZERO);
        addresses
            .map(|address| {
                let set = plan.find(address, &(30_000..=30_001).into()).unwrap();
                let pair = PortPair {
                    address,
                    rtp_port: 30_000,
                };
                LocalSocket::of_pair(pair, set, address)
            })
            .into()
    }

    #[test]
    fn priorities_count_down_by_address_and_component() {
        let list = local_candidates(&sockets(), &Component::BOTH, "x", None);
        let of = |n: usize| (list[n].component, list[n].priority, list[n].port);
        assert_eq!(of(0), (1, 2_130_706_431, 30_000));
        assert_eq!(of(1), (1, 2_130_706_175, 30_000));
        assert_eq!(of(2), (2, 2_130_706_430, 30_001));
        assert_eq!(of(3), (2, 2_130_706_174, 30_001));
        assert_eq!(list[0].foundation, list[2].foundation);
        assert_ne!(list[0].foundation, list[1].foundation);
        assert_eq!(list[0].foundation.len(), 16);
    }

    fn host(priority: u32) -> Candidate {
        Candidate::host("f", 1, priority, [198, 51, 100, 1].into(), 4000)
    }

    fn beside(theirs: &[Candidate], relays: bool) -> Vec<(u32, String)> {
        let list = candidates_beside(&sockets(), "x", None, Beside { theirs, relays });
        let told = list.into_iter().map(|of| (of.priority, of.to_string()));
        told.collect()
    }

    #[test]
    fn as_a_relay_ours_are_the_least_preferred_of_all() {
        let list = beside(&[host(2_130_706_431)], true);
        let priorities: Vec<u32> = list.iter().map(|of| of.0).collect();
        assert_eq!(priorities, [16_777_215, 16_776_959, 16_777_214, 16_776_958]);
        assert!(
            list[0]
                .1
                .ends_with(" 203.0.113.1 30000 typ relay raddr 203.0.113.1 rport 30000")
        );
    }

    /// RFC 8445 section 5.1.2.1 gives the type 8 bits; rtpengine's numbers for what stands beside the best host candidate.
    #[test]
    fn beside_the_best_host_candidate_ours_are_of_the_type_below() {
        let list = beside(&[host(2_130_706_431), host(2_130_706_175)], false);
        assert_eq!((list[0].0, list[2].0), (2_097_152_255, 2_097_152_254));
        assert!(list[0].1.ends_with(" 203.0.113.1 30000 typ host"));
        let after = beside(&[host(2_122_260_223)], false);
        assert_eq!((after[0].0, after[1].0), (2_122_260_479, 2_122_260_223));
    }

    #[test]
    fn media_address_is_printed_for_ours() {
        let list = local_candidates(&sockets(), &[Component::Rtp], "x", Some([3, 4, 5, 6].into()));
        assert_eq!(list.len(), 1);
        assert!(list[0].to_string().contains(" 3.4.5.6 30000 typ host"));
    }
}
