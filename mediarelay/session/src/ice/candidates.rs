//! Our candidates (RFC 8445 section 5.1, RFC 8839 section 5.1).

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};
use viaduct_sdp::Candidate;

use crate::leg::{Component, LocalSocket};

/// Type preference of host candidates.
const TYPE_HOST: u32 = 126;

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
    fn media_address_is_printed_for_ours() {
        let list = local_candidates(&sockets(), &[Component::Rtp], "x", Some([3, 4, 5, 6].into()));
        assert_eq!(list.len(), 1);
        assert!(list[0].to_string().contains(" 3.4.5.6 30000 typ host"));
    }
}
