//! Our candidates (RFC 8445 section 5.1, RFC 8839 section 5.1).

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};
use viaduct_sdp::{Candidate, CandidateAddress, CandidateType};

use crate::leg::{Component, LocalSocket};

/// Type preference of host candidates.
pub(crate) const TYPE_HOST: u32 = 126;
/// Type preference of host candidates that stand beside the peer's own and shall be used only if those fail.
pub(crate) const TYPE_BESIDE: u32 = 1;
/// Type preference of relay candidates.
pub(crate) const TYPE_RELAY: u32 = 0;

/// Characters of a foundation.
const FOUNDATION_LEN: usize = 16;
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The priority of the candidate at the `at`-th local address, counted from 0.
pub(crate) fn priority(type_preference: u32, at: usize, component: Component) -> u32 {
    let local_preference = 65_535_u32.saturating_sub(at as u32);
    (type_preference << 24) | (local_preference << 8) | (256 - u32::from(component.number()))
}

/// Host candidates for all addresses of a leg: all of RTP, then all of RTCP. `media_address` is printed in the place of
/// our own addresses.
pub(crate) fn local_candidates(
    sockets: &[LocalSocket],
    components: &[Component],
    seed: &str,
    media_address: Option<IpAddr>,
) -> Vec<Candidate> {
    candidates(sockets, components, seed, media_address, TYPE_HOST)
}

/// The same with the lowest preference, beside candidates of the peer. `relayed`: as relay candidates, which have a
/// related address.
pub(crate) fn relay_candidates(
    sockets: &[LocalSocket],
    components: &[Component],
    seed: &str,
    media_address: Option<IpAddr>,
    relayed: bool,
) -> Vec<Candidate> {
    let preference = if relayed { TYPE_RELAY } else { TYPE_BESIDE };
    let mut list = candidates(sockets, components, seed, media_address, preference);
    if relayed {
        for candidate in &mut list {
            candidate.kind = CandidateType::Relayed;
            candidate.related = Some((candidate.address.clone(), candidate.port));
        }
    }
    list
}

fn candidates(
    sockets: &[LocalSocket],
    components: &[Component],
    seed: &str,
    media_address: Option<IpAddr>,
    type_preference: u32,
) -> Vec<Candidate> {
    let one = |component: Component, at: usize, socket: &LocalSocket| {
        let told: SocketAddr = socket.told(component)?;
        let address = media_address.unwrap_or(told.ip());
        let foundation = foundation(seed, socket.rtp.ip());
        let priority = priority(type_preference, at, component);
        let mut candidate = Candidate::host(&foundation, component.number(), priority, address, told.port());
        candidate.address = CandidateAddress::Ip(address);
        Some(candidate)
    };
    let of = |component: Component| sockets.iter().enumerate().filter_map(move |(at, socket)| one(component, at, socket));
    components.iter().flat_map(|component| of(*component)).collect()
}

/// Equal for candidates at one local address, and different between relays.
fn foundation(seed: &str, address: IpAddr) -> String {
    let digest = Sha256::new().chain_update(seed).chain_update(address.to_string()).finalize();
    digest
        .iter()
        .take(FOUNDATION_LEN)
        .map(|octet| char::from(ALPHANUMERIC[usize::from(*octet) % ALPHANUMERIC.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortPair;

    fn sockets() -> Vec<LocalSocket> {
        ["203.0.113.1", "2001:db8::1"]
            .map(|address| {
                let address: IpAddr = address.parse().unwrap();
                LocalSocket::of_pair(
                    PortPair {
                        address,
                        rtp_port: 30_000,
                    },
                    address,
                )
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

    #[test]
    fn relay_candidates_have_a_related_address() {
        let list = relay_candidates(&sockets()[..1], &[Component::Rtp], "x", None, true);
        let text = list[0].to_string();
        assert!(
            text.ends_with(" 1 UDP 16777215 203.0.113.1 30000 typ relay raddr 203.0.113.1 rport 30000"),
            "{text}"
        );
    }

    #[test]
    fn media_address_is_printed_for_ours() {
        let list = local_candidates(&sockets()[..1], &[Component::Rtp], "x", Some([3, 4, 5, 6].into()));
        assert!(list[0].to_string().contains(" 3.4.5.6 30000 typ host"));
    }
}
