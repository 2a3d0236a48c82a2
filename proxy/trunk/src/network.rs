//! A range of addresses.

use std::fmt;
use std::net::IpAddr;

/// Every address whose first `prefix` bits are those of `address`: `198.51.100.0/24`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// How many leading bits its addresses have in common: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub prefix: u8,
}

impl Network {
    /// True for an address of this network. An IPv4 address that is written in IPv6 counts as what it is.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let differ = u32::from(own) ^ u32::from(ip);
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let differ = u128::from(own) ^ u128::from(ip);
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_alike() {
        let contains = |address: &str, prefix, ip: &str| {
            let address = address.parse().unwrap();
            Network { address, prefix }.contains(ip.parse().unwrap())
        };
        assert!(contains("10.0.0.0", 8, "10.255.0.1"));
        assert!(!contains("10.0.0.0", 8, "11.0.0.1"));
        assert!(contains("192.0.2.7", 32, "192.0.2.7") && !contains("192.0.2.7", 32, "192.0.2.6"));
        assert!(contains("0.0.0.0", 0, "203.0.113.9") && !contains("0.0.0.0", 0, "2001:db8::1"));
        assert!(contains("2001:db8::", 32, "2001:db8:1::1") && !contains("2001:db8::", 32, "2001:db9::"));
        assert!(
            contains("10.0.0.0", 8, "::ffff:10.1.2.3"),
            "IPv4 over an IPv6 socket"
        );
        assert!(contains("::", 0, "2001:db8::1"));
    }
}
