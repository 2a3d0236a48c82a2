//! A range of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A network: `198.51.100.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Net {
    addr: IpAddr,
    prefix: u8,
}

impl Net {
    /// A network of the addresses that share the first `prefix` bits with `addr`. A prefix longer than the address
    /// means the address alone.
    pub fn new(addr: IpAddr, prefix: u8) -> Self {
        let addr = addr.to_canonical();
        let most = if addr.is_ipv4() { 32 } else { 128 };
        Self {
            addr,
            prefix: prefix.min(most),
        }
    }

    /// True for an address inside. An IPv4 address that came through an IPv6 socket is the IPv4 address.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_ipv4() == self.addr.is_ipv4() && {
            let differing = (bits(addr) ^ bits(self.addr)).leading_zeros();
            differing >= u32::from(self.prefix)
        }
    }

    /// Bits that its addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

/// The address as a number, its first bit on top.
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_when_its_first_bits_are_the_same() {
        for (net, prefix, inside, outside) in [
            ("198.51.100.0", 24, "198.51.100.255", "198.51.101.0"),
            ("198.51.100.7", 32, "198.51.100.7", "198.51.100.6"),
            ("2001:db8::", 32, "2001:db8:ffff::1", "2001:db9::1"),
            ("198.51.100.0", 24, "::ffff:198.51.100.9", "::198.51.100.9"),
            ("10.0.0.0", 200, "10.0.0.0", "10.0.0.1"),
        ] {
            let net = Net::new(net.parse().unwrap(), prefix);
            assert!(net.contains(inside.parse().unwrap()), "{net} {inside}");
            assert!(!net.contains(outside.parse().unwrap()), "{net} {outside}");
        }
        let everything = Net::new("0.0.0.0".parse().unwrap(), 0);
        assert!(everything.contains("203.0.113.9".parse().unwrap()));
        assert!(!everything.contains("::1".parse().unwrap()), "of its own family");
    }
}
