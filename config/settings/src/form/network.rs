//! IP networks.

use std::fmt;
use std::net::IpAddr;

use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

/// An IPv4 or IPv6 network: every address whose first `prefix` bits are those of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits its addresses have in common.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Its last address.
    pub(crate) fn last(&self) -> IpAddr {
        let host_bits = u32::from(bits(self.address) - self.prefix);
        match self.address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(32 - host_bits).unwrap_or(0);
                IpAddr::from((u32::from(v4) | host).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
                IpAddr::from((u128::from(v6) | host).to_be_bytes())
            }
        }
    }

    /// Whether it has an address in common with `other`.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && (self.address..=self.last()).contains(&other.address)
            || (other.address..=other.last()).contains(&self.address)
    }

    /// The network of this size around `address`.
    fn around(address: IpAddr, prefix: u8) -> Self {
        let host_bits = u32::from(bits(address) - prefix);
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::from((u32::from(v4) & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::from((u128::from(v6) & mask).to_be_bytes())
            }
        };
        Self { address, prefix }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NetworkForm;

/// A network.
pub(crate) fn network() -> NetworkForm {
    NetworkForm
}

impl TextForm for NetworkForm {
    type Value = Network;

    fn parse(&self, text: &str) -> Result<Network, Fault> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let help = address.starts_with('[').then(|| "no brackets here".to_owned());
            return Err(Fault::bad().help(help));
        };
        let most = bits(address);
        let prefix = match prefix.map(str::parse::<u8>) {
            None => most,
            Some(Ok(prefix)) if prefix <= most => prefix,
            Some(_) => return Err(Fault::range().note(format!("the part after `/` is 0 to {most}"))),
        };
        let network = Network::around(address, prefix);
        if network.address != address {
            return Err(Fault::bad().help(Some(format!("write `{network}`"))));
        }
        Ok(network)
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a network such as `10.0.0.0/8` or `2001:db8::/32`, or one address".to_owned(),
            pattern: Some("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        NetworkForm.parse(text).unwrap()
    }

    #[test]
    fn a_network_is_an_address_with_a_length() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "192.0.2.7/32",
            "2001:db8::/32",
            "::/0",
            "::1/128",
        ] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::1").prefix(), 128);
    }

    #[test]
    fn the_last_address_has_every_free_bit() {
        let last = |text| network(text).last().to_string();
        assert_eq!(last("10.0.0.0/8"), "10.255.255.255");
        assert_eq!(last("0.0.0.0/0"), "255.255.255.255");
        assert_eq!(last("192.0.2.7"), "192.0.2.7");
        assert_eq!(last("2001:db8::/127"), "2001:db8::1");
    }

    #[test]
    fn mistakes_are_explained() {
        let help = |text: &str| NetworkForm.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("10.0.0.5/8"), "write `10.0.0.0/8`");
        assert_eq!(help("[::1]/128"), "no brackets here");
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/x",
            "example.com",
            "",
        ] {
            assert!(NetworkForm.parse(text).is_err(), "{text}");
        }
    }
}
