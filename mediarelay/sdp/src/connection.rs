//! The typed lines that are not attributes: `o=`, `c=`, `b=`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::attribute::number;
use crate::error::Reason;

/// `IP4` or `IP6` (RFC 8866 section 5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// `IP4`
    Ip4,
    /// `IP6`
    Ip6,
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ip4 } else { Self::Ip6 }
    }

    /// The address that means "none" in this family: `0.0.0.0` or `::`.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::Ip4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ip6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    fn parse(text: &str) -> Result<Self, Reason> {
        match text {
            "IP4" => Ok(Self::Ip4),
            "IP6" => Ok(Self::Ip6),
            _ => Err(Reason::Unknown("addrtype")),
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip4 => "IP4",
            Self::Ip6 => "IP6",
        })
    }
}

/// An address of a line: numbers, or a name that the reader would have to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address of the line's family.
    Ip(IpAddr),
    /// A domain name. We do not resolve names.
    Name(String, AddressFamily),
}

impl Host {
    /// Reads `<nettype> <addrtype> <address>` from `fields`. The network type must be `IN`.
    pub(crate) fn parse<'t>(fields: &mut impl Iterator<Item = &'t str>) -> Result<Self, Reason> {
        if fields.next().ok_or(Reason::Missing("nettype"))? != "IN" {
            return Err(Reason::Unknown("nettype"));
        }
        let family = AddressFamily::parse(fields.next().ok_or(Reason::Missing("addrtype"))?)?;
        let text = fields.next().ok_or(Reason::Missing("address"))?;
        Self::parse_address(text, family)
    }

    fn parse_address(text: &str, family: AddressFamily) -> Result<Self, Reason> {
        match text.parse::<IpAddr>() {
            Ok(address) if AddressFamily::of(address) == family => Ok(Self::Ip(address)),
            Ok(_) => Err(Reason::Malformed("address")),
            Err(_) if is_name(text) => Ok(Self::Name(text.to_owned(), family)),
            Err(_) => Err(Reason::Malformed("address")),
        }
    }

    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Name(..) => None,
        }
    }

    /// The family the line names.
    pub fn family(&self) -> AddressFamily {
        match self {
            Self::Ip(address) => AddressFamily::of(*address),
            Self::Name(_, family) => *family,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Host {
    /// `IN IP4 192.0.2.1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "IN {} {address}", self.family()),
            Self::Name(name, family) => write!(f, "IN {family} {name}"),
        }
    }
}

/// A domain name: it holds a letter, so a mistyped address is not taken for one.
fn is_name(text: &str) -> bool {
    text.bytes().any(|octet| octet.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))
}

/// `o=` (RFC 8866 section 5.2). The two numbers stay text: senders use more than 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name, or `-`.
    pub username: String,
    /// Session id, decimal.
    pub session_id: String,
    /// Session version, decimal; rises when the description changes.
    pub version: String,
    /// Where the description was made.
    pub address: Host,
}

impl Origin {
    pub(crate) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = value.split_ascii_whitespace();
        let username = fields.next().ok_or(Reason::Missing("username"))?.to_owned();
        let session_id = digits(fields.next(), "sess-id")?;
        let version = digits(fields.next(), "sess-version")?;
        let address = Host::parse(&mut fields)?;
        end(fields)?;
        Ok(Self {
            username,
            session_id,
            version,
            address,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.username, self.session_id, self.version, self.address
        )
    }
}

/// `c=` (RFC 8866 section 5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where media is received.
    pub address: Host,
    /// What follows the address for multicast (`127`, `127/3`, `3`), without the first slash.
    pub multicast: Option<String>,
}

impl Connection {
    /// A unicast address.
    pub fn unicast(address: IpAddr) -> Self {
        Self {
            address: Host::Ip(address),
            multicast: None,
        }
    }

    /// The address that stands for "none" in `family`: what a rejected media carries.
    pub fn zero(family: AddressFamily) -> Self {
        Self::unicast(family.unspecified())
    }

    /// True for `0.0.0.0` and `::`: the old form of hold (RFC 2543), and a sender that has only ICE.
    pub fn is_zero(&self) -> bool {
        self.address.ip().is_some_and(|address| address.is_unspecified())
    }

    pub(crate) fn parse(value: &str) -> Result<Self, Reason> {
        let (head, multicast) = match value.split_once('/') {
            Some((head, rest)) => (head, Some(rest.trim_ascii_end())),
            None => (value, None),
        };
        let mut fields = head.split_ascii_whitespace();
        let address = Host::parse(&mut fields)?;
        end(fields)?;
        if let Some(rest) = multicast {
            rest.split('/')
                .try_for_each(|part| number::<u32>(part, "ttl").map(drop))?;
        }
        Ok(Self {
            address,
            multicast: multicast.map(str::to_owned),
        })
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match &self.multicast {
            Some(rest) => write!(f, "/{rest}"),
            None => Ok(()),
        }
    }
}

/// `b=` (RFC 8866 section 5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS` (kbit/s), `TIAS` (bit/s), `RR`, `RS`, `CT` or another type.
    pub kind: String,
    /// The number, in the unit of its type.
    pub value: u64,
}

impl Bandwidth {
    /// The types rtpengine carries over, in the order it prints them.
    pub const PRINTED: [&'static str; 5] = ["AS", "RR", "RS", "CT", "TIAS"];

    pub(crate) fn parse(value: &str) -> Result<Self, Reason> {
        let (kind, number) = value
            .trim_ascii()
            .split_once(':')
            .ok_or(Reason::Missing("bandwidth"))?;
        if kind.is_empty() {
            return Err(Reason::Missing("bwtype"));
        }
        let value = number.parse().map_err(|_| Reason::Malformed("bandwidth"))?;
        Ok(Self {
            kind: kind.to_owned(),
            value,
        })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

fn digits(field: Option<&str>, name: &'static str) -> Result<String, Reason> {
    let text = field.ok_or(Reason::Missing(name))?;
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(Reason::Malformed(name))
    }
}

pub(crate) fn end<'t>(mut fields: impl Iterator<Item = &'t str>) -> Result<(), Reason> {
    fields.next().map_or(Ok(()), |_| Err(Reason::Trailing))
}
