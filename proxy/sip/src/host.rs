use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ValueError;
use crate::text::{Cursor, ascii, decimal, is_host};

/// A host in a URI or Via: a name, an IPv4 address or an IPv6 address in brackets.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// ASCII only, not empty.
    text: &'a str,
    v6: Option<Ipv6Addr>,
}

impl<'a> Host<'a> {
    /// The host as written, brackets included.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The address, when the host is one. A name is `None`; nothing is looked up.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.v6 {
            Some(address) => Some(IpAddr::V6(address)),
            // Most hosts of others are addresses, most of ours are names.
            None if !self.text.as_bytes()[0].is_ascii_digit() => None,
            None => self.text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }

    /// True for an address literal.
    pub fn is_ip(&self) -> bool {
        self.ip().is_some()
    }

    /// The one way to write this host: a name in lower case, an IPv6 address by RFC 5952 in brackets.
    pub fn canonical(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        self.push_canonical(&mut text);
        text
    }

    /// Appends the [canonical](Self::canonical) form to `out`.
    pub(crate) fn push_canonical(&self, out: &mut String) {
        match self.v6 {
            // Writing to a string cannot fail.
            Some(address) => drop(write!(out, "[{address}]")),
            None => {
                let start = out.len();
                out.push_str(self.text);
                out[start..].make_ascii_lowercase();
            }
        }
    }

    /// Reads a host of either kind; whole, without port.
    pub fn parse(text: &'a str) -> Result<Self, ValueError> {
        match Self::split(text)? {
            (host, "") => Ok(host),
            _ => Err(ValueError::BadHost),
        }
    }

    /// Takes a host from the front.
    pub(crate) fn take(cursor: &mut Cursor<'a>) -> Result<Self, ValueError> {
        let before = cursor.rest();
        let v6 = skip(cursor)?;
        let text = ascii(&before[..before.len() - cursor.rest().len()]);
        Ok(Self { text, v6 })
    }

    /// The host at the front of a text, and what stands behind it.
    pub(crate) fn split(text: &'a str) -> Result<(Self, &'a str), ValueError> {
        let mut cursor = Cursor::new(text.as_bytes());
        let v6 = skip(&mut cursor)?;
        let (text, rest) = text.split_at(text.len() - cursor.rest().len());
        Ok((Self { text, v6 }, rest))
    }

    /// Takes `:port` from the front, if there is one.
    pub(crate) fn take_port(cursor: &mut Cursor<'a>) -> Result<Option<u16>, ValueError> {
        if !cursor.eat_spaced(b':') {
            return Ok(None);
        }
        let digits = cursor.take_while(|byte| byte.is_ascii_digit());
        match decimal(digits).and_then(|port| u16::try_from(port).ok()) {
            Some(0) | None => Err(ValueError::BadPort),
            port => Ok(port),
        }
    }
}

/// Names compare without case, IPv6 addresses by value (`[::1]` is `[0:0:0:0:0:0:0:1]`).
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.v6, other.v6) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.text.eq_ignore_ascii_case(other.text),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Passes over a host, which is all ASCII. Answers its address if it is written in brackets.
fn skip(cursor: &mut Cursor<'_>) -> Result<Option<Ipv6Addr>, ValueError> {
    if cursor.peek() == Some(b'[') {
        let bracketed = cursor.take_until(b']').ok_or(ValueError::BadHost)?;
        let inner = std::str::from_utf8(&bracketed[1..]).map_err(|_| ValueError::BadHost)?;
        return parse_v6(inner).map(Some).ok_or(ValueError::BadHost);
    }
    if cursor.take_while(is_host).is_empty() {
        return Err(ValueError::BadHost);
    }
    Ok(None)
}

/// An IPv6 address. RFC 3261's grammar let three colons stand before an embedded IPv4 address, and RFC 5118 section
/// 4.10 asks readers to bear it.
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (head, tail) = text.split_once(":::")?;
    tail.parse::<Ipv4Addr>().ok()?;
    format!("{head}::{tail}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_inside_the_brackets_belongs_to_the_address() {
        let host = Host::parse("[2001:db8::10:5070]").unwrap();
        assert_eq!(host.ip(), Some("2001:db8::10:5070".parse().unwrap()));
    }

    #[test]
    fn three_colons_are_borne_before_an_ipv4_tail_only() {
        let host = Host::parse("[2001:db8:::192.0.2.1]").unwrap();
        assert_eq!(host.ip(), Some("2001:db8::192.0.2.1".parse().unwrap()));
        assert_eq!(Host::parse("[2001:db8:::1]"), Err(ValueError::BadHost));
        assert_eq!(Host::parse("[1::2:::192.0.2.1]"), Err(ValueError::BadHost));
    }

    #[test]
    fn zones_naked_addresses_and_open_brackets_are_refused() {
        for text in ["[fe80::1%eth0]", "2001:db8::10", "[::1", "", "a b", "[]"] {
            assert_eq!(Host::parse(text), Err(ValueError::BadHost), "{text}");
        }
    }

    #[test]
    fn hosts_compare_by_meaning() {
        let host = |text| Host::parse(text).unwrap();
        assert_eq!(host("Example.COM"), host("example.com"));
        assert_eq!(host("[0:0:0:0:0:0:0:1]"), host("[::1]"));
        assert_ne!(host("127.0.0.1"), host("localhost"));
        assert_eq!(host("[2001:DB8::0:1]").canonical(), "[2001:db8::1]");
    }
}
