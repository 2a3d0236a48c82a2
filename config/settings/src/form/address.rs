//! IP addresses, host names, sockets and port ranges.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::number::digits;
use crate::decode::{Fault, TextForm};
use crate::shape::Shape;

/// An IPv4 or IPv6 address, without brackets or port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address;

/// An address.
pub(crate) fn address() -> Address {
    Address
}

impl TextForm for Address {
    type Value = IpAddr;

    fn parse(&self, text: &str) -> Result<IpAddr, Fault> {
        text.parse().map_err(|_| {
            let help = if text.parse::<SocketAddr>().is_ok() {
                Some("leave the port out")
            } else if text.contains('/') {
                Some("one address, not a network")
            } else if text.starts_with('[') {
                Some("no brackets here")
            } else {
                None
            };
            Fault::bad().help(help.map(str::to_owned))
        })
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "an IPv4 or IPv6 address".to_owned(),
            pattern: Some("^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"),
        }
    }
}

/// A host name (RFC 1123) or an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host;

/// A host name or an address, in lower case.
pub(crate) fn host() -> Host {
    Host
}

impl TextForm for Host {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        if text.parse::<IpAddr>().is_ok() || is_host_name(text) {
            return Ok(text.to_ascii_lowercase());
        }
        let help = if text.contains("://") {
            Some("only the name, without a scheme")
        } else if text.contains('/') {
            Some("only the name, without a path")
        } else if text.contains(':') {
            Some("only the name, without a port")
        } else if text.contains('*') {
            Some("one name, without `*`")
        } else {
            None
        };
        Err(Fault::bad().help(help.map(str::to_owned)))
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a host name or an address".to_owned(),
            pattern: None,
        }
    }
}

/// Whether `text` is a host name: labels of letters, digits and inner hyphens, 253 characters at most.
pub(crate) fn is_host_name(text: &str) -> bool {
    const NAME_MAX: usize = 253;
    const LABEL_MAX: usize = 63;
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_MAX
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits only would be a misspelt IPv4 address.
    let last = text.rsplit('.').next().unwrap_or("");
    text.len() <= NAME_MAX && text.split('.').all(label_is_good) && !last.bytes().all(|b| b.is_ascii_digit())
}

/// An address and a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket;

/// `address:port`, an IPv6 address in brackets.
pub(crate) fn socket() -> Socket {
    Socket
}

impl TextForm for Socket {
    type Value = SocketAddr;

    fn parse(&self, text: &str) -> Result<SocketAddr, Fault> {
        match text.parse::<SocketAddr>() {
            Ok(socket) if socket.port() > 0 => Ok(socket),
            Ok(_) => Err(Fault::range().note("port 0 would be another port at every start")),
            Err(_) => Err(Fault::bad().help(socket_help(text))),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "an address with a port, such as `127.0.0.1:9100` or `[::1]:9100`".to_owned(),
            pattern: Some("^([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]+$"),
        }
    }
}

/// What is wrong with something that should be `address:port`.
pub(crate) fn socket_help(text: &str) -> Option<String> {
    if digits(text).is_ok() {
        return Some(format!("add the address: `127.0.0.1:{text}`"));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => return Some(format!("add a port: `{v4}:PORT`")),
        Ok(IpAddr::V6(v6)) => {
            // The last group may be meant as a port.
            let (head, last) = text.rsplit_once(':').unwrap_or((text, ""));
            let is_port = last.len() >= 4 && digits(last).is_ok() && head.parse::<Ipv6Addr>().is_ok();
            let meant = if is_port {
                format!("[{head}]:{last}")
            } else {
                format!("[{v6}]:PORT")
            };
            return Some(format!("an IPv6 address needs brackets: `{meant}`"));
        }
        Err(_) => {}
    }
    let (host, port) = text.rsplit_once(':')?;
    if host.is_empty() && digits(port).is_ok() {
        return Some(format!("add the address: `127.0.0.1:{port}`"));
    }
    if host.contains(':') && !host.starts_with('[') {
        return Some("put the IPv6 address in brackets".to_owned());
    }
    if host == "localhost" {
        return Some(format!("an address, not a name: `127.0.0.1:{port}`"));
    }
    is_host_name(host).then(|| "an address, not a name".to_owned())
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` is in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many ports there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last.saturating_sub(self.first)) + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Two ports with a hyphen between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortRangeForm;

/// A port range such as `30000-39999`.
pub(crate) fn port_range() -> PortRangeForm {
    PortRangeForm
}

/// Lowest port of a range: below are the ports of system services.
const RANGE_FIRST_MIN: u16 = 1_024;

impl TextForm for PortRangeForm {
    type Value = PortRange;

    fn parse(&self, text: &str) -> Result<PortRange, Fault> {
        let Some((first, last)) = text.split_once('-') else {
            let meant = text.replace("..", "-").replace([':', '–'], "-");
            let help = self.parse_pair(&meant).map(|range| format!("write `{range}`"));
            return Err(Fault::bad().help(help));
        };
        let (first, last) = (digits(first)?, digits(last)?);
        if first > last {
            return Err(Fault::range().help(format!("write `{last}-{first}`")));
        }
        match (u16::try_from(first), u16::try_from(last)) {
            (Ok(first), Ok(last)) if first >= RANGE_FIRST_MIN && last > first => {
                Ok(PortRange { first, last })
            }
            _ => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: format!(
                "a range of at least two ports, such as `30000-39999`, between {RANGE_FIRST_MIN} and 65535"
            ),
            pattern: Some("^[0-9]+-[0-9]+$"),
        }
    }
}

impl PortRangeForm {
    fn parse_pair(self, text: &str) -> Option<PortRange> {
        text.contains('-').then(|| self.parse(text).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn addresses_have_no_port_and_no_brackets() {
        assert!(address().parse("2001:db8::1").is_ok());
        let help = |text: &str| address().parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("10.0.0.1:5060"), "leave the port out");
        assert_eq!(help("[::1]"), "no brackets here");
        assert_eq!(help("10.0.0.0/8"), "one address, not a network");
        assert_eq!(help("10.0.0.256"), "");
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(
            host().parse("Voice.Example.COM").as_deref(),
            Ok("voice.example.com")
        );
        assert!(host().parse("10.0.0.1").is_ok());
        for text in [
            "",
            "a..b",
            "-a.b",
            "a_b",
            "10.0.0.300",
            "https://x",
            "a.b:5060",
            "*.a",
        ] {
            assert!(host().parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sockets_need_both_parts() {
        assert!(socket().parse("[::1]:9100").is_ok());
        let help = |text: &str| socket().parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("9100"), "add the address: `127.0.0.1:9100`");
        assert_eq!(help("::1"), "an IPv6 address needs brackets: `[::1]:PORT`");
        assert_eq!(help("::1:9100"), "an IPv6 address needs brackets: `[::1]:9100`");
        assert_eq!(help("localhost:9100"), "an address, not a name: `127.0.0.1:9100`");
        assert_eq!(help("fe80::1:x:9100"), "put the IPv6 address in brackets");
        assert_eq!(socket().parse("127.0.0.1:0").unwrap_err().code, Code::OutOfRange);
    }

    #[test]
    fn port_ranges_go_upwards() {
        let range = port_range().parse("30000-39999").unwrap();
        assert_eq!(range.count(), 10_000);
        assert!(range.contains(39_999) && !range.contains(40_000));
        let help = |text: &str| port_range().parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("40000-30000"), "write `30000-40000`");
        assert_eq!(help("30000..40000"), "write `30000-40000`");
        assert_eq!(help("30000:40000"), "write `30000-40000`");
        assert_eq!(
            port_range().parse("30000-30000").unwrap_err().code,
            Code::OutOfRange
        );
        assert_eq!(port_range().parse("80-90").unwrap_err().code, Code::OutOfRange);
        assert_eq!(
            port_range().parse("30000-70000").unwrap_err().code,
            Code::OutOfRange
        );
    }
}
