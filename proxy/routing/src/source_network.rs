//! Who counts as one source of requests and connections.

use std::net::{IpAddr, Ipv6Addr};

/// Whom limits for each source are about: an IPv4 address, or the /64 of an IPv6 address, of which every host may take any
/// address (RFC 4291 section 2.5.4, RFC 8981).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceNetwork(IpAddr);

impl SourceNetwork {
    /// The source that an address belongs to. An IPv4 address that is written in IPv6 (RFC 4291 section 2.5.5.2) is one of
    /// IPv4.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> SourceNetwork {
        SourceNetwork::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv4_address_is_a_source_of_its_own() {
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
    }

    #[test]
    fn the_addresses_of_one_64_are_one_source() {
        assert_eq!(of("2001:db8:0:1::"), of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }
}
