//! Proxies before the gateway: whose connections they pass on, by the PROXY protocol or by a header of HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt};
use viaduct_routing::Network;
use viaduct_settings::TellBy;

/// How version 2 of the PROXY protocol begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its end.
const LINE_MAX: usize = 107;

/// The longest header of version 2 behind its length: addresses, and room for what proxies add.
const HEADER_MAX: usize = 4_096;

/// Whose word is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    /// Networks that the proxies are in.
    pub from: Vec<Network>,
    /// How they tell.
    pub tell_by: TellBy,
}

impl Proxies {
    /// Nobody's.
    pub fn none() -> Self {
        Self {
            from: Vec::new(),
            tell_by: TellBy::XForwardedFor,
        }
    }

    /// True when connections of this address are passed on for others.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(ip))
    }

    /// True when connections of this address begin with the PROXY protocol.
    pub fn begins(&self, ip: IpAddr) -> bool {
        self.tell_by == TellBy::ProxyProtocol && self.trusts(ip)
    }

    /// Whose a request over HTTP is. What a header says is believed from its end: each proxy of ours has added the one
    /// before it, and what the first stranger says about others is worth nothing.
    pub fn client_of(&self, headers: &HeaderMap, remote: SocketAddr) -> SocketAddr {
        let (name, read) = match self.tell_by {
            TellBy::XForwardedFor => ("x-forwarded-for", x_forwarded_for as HeaderReader),
            TellBy::Forwarded => ("forwarded", forwarded as HeaderReader),
            TellBy::ProxyProtocol => return remote,
        };
        let lines = headers.get_all(name).iter();
        let told: Vec<Option<IpAddr>> = lines
            .flat_map(|line| line.to_str().map_or_else(|_| vec![None], read))
            .collect();
        let mut client = remote;
        for hop in told.into_iter().rev() {
            if !self.trusts(client.ip()) {
                break;
            }
            // Hidden or unreadable: what is known ends here.
            let Some(ip) = hop else { break };
            client = SocketAddr::new(ip, remote.port());
        }
        client
    }
}

/// The addresses in a header, in its order; `None` for one that cannot be read.
type HeaderReader = fn(&str) -> Vec<Option<IpAddr>>;

fn x_forwarded_for(value: &str) -> Vec<Option<IpAddr>> {
    value.split(',').map(address).collect()
}

/// The `for` of each element of a Forwarded header (RFC 7239 section 4).
fn forwarded(value: &str) -> Vec<Option<IpAddr>> {
    let of_element = |element: &str| {
        element.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let is_for = name.trim().eq_ignore_ascii_case("for");
            is_for.then(|| address(value.trim().trim_matches('"')))
        })
    };
    // No address has a comma or a semicolon in it, so quotes need not be looked at.
    value
        .split(',')
        .map(|element| of_element(element).flatten())
        .collect()
}

/// An address as such headers write it: with a port or without, IPv6 in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse().ok();
    let ip = ip.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(ip.to_canonical())
}

/// Reads the header of the PROXY protocol, and not an octet more. `None` when the proxy speaks for itself, or does not
/// know for whom.
///
/// # Errors
///
/// [`InvalidData`](io::ErrorKind::InvalidData) when something else comes, and whatever reading fails with.
pub async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; SIGNATURE.len()];
    stream.read_exact(&mut begin).await?;
    if begin == SIGNATURE {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [version, family, high, low] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > HEADER_MAX {
            return Err(bad("it is too long"));
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return version_2(version, family, &rest);
    }
    if !begin.starts_with(b"PROXY ") {
        return Err(bad("there is none"));
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_MAX {
            return Err(bad("its line has no end"));
        }
        line.push(stream.read_u8().await?);
    }
    version_1(&line[..line.len() - 2])
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A line of version 1, without its end.
fn version_1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).map_err(|_| bad("it is no text"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let (ip, port): (Option<IpAddr>, &str) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", "TCP4", source, _, port, _] => (source.parse::<Ipv4Addr>().ok().map(IpAddr::V4), port),
        ["PROXY", "TCP6", source, _, port, _] => (source.parse::<Ipv6Addr>().ok().map(IpAddr::V6), port),
        _ => return Err(bad("its words are wrong")),
    };
    match (ip, port.parse()) {
        (Some(ip), Ok(port)) => Ok(Some(SocketAddr::new(ip.to_canonical(), port))),
        _ => Err(bad("its address is wrong")),
    }
}

/// What stands behind the signature of version 2.
fn version_2(version: u8, family: u8, rest: &[u8]) -> io::Result<Option<SocketAddr>> {
    match version {
        // The proxy itself, to see whether we are there.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(bad("its version is unknown")),
    }
    let short = || bad("it is too short");
    // Source address, destination address, source port, destination port; over TCP.
    match family {
        0x11 => {
            let [ip, _, ports] = rest.first_chunk::<12>().ok_or_else(short)?.as_chunks::<4>().0 else {
                return Err(short());
            };
            let port = u16::from_be_bytes([ports[0], ports[1]]);
            Ok(Some(SocketAddr::new(Ipv4Addr::from(*ip).into(), port)))
        }
        0x21 => {
            let addresses = rest.first_chunk::<36>().ok_or_else(short)?;
            let (ip, behind) = addresses.split_first_chunk::<16>().ok_or_else(short)?;
            let port = u16::from_be_bytes([behind[16], behind[17]]);
            let ip = IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical();
            Ok(Some(SocketAddr::new(ip, port)))
        }
        // Unix sockets, and what nobody knows yet.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies(tell_by: TellBy) -> Proxies {
        let network = |a, prefix| Network {
            address: IpAddr::V4(Ipv4Addr::new(10, a, 0, 0)),
            prefix,
        };
        Proxies {
            from: vec![network(0, 16), network(9, 16)],
            tell_by,
        }
    }

    fn client(tell_by: TellBy, lines: &[&str], remote: &str) -> String {
        let name = match tell_by {
            TellBy::Forwarded => "forwarded",
            TellBy::XForwardedFor | TellBy::ProxyProtocol => "x-forwarded-for",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        let remote = SocketAddr::new(remote.parse().unwrap(), 4_000);
        proxies(tell_by).client_of(&headers, remote).ip().to_string()
    }

    #[test]
    fn the_last_stranger_in_x_forwarded_for_is_the_client() {
        let client = |lines: &[&str], remote| client(TellBy::XForwardedFor, lines, remote);
        assert_eq!(client(&["203.0.113.7"], "10.0.0.1"), "203.0.113.7");
        // What strangers write before the proxies is not believed.
        assert_eq!(
            client(&["1.1.1.1, 203.0.113.7", "10.9.0.1"], "10.0.0.1"),
            "203.0.113.7"
        );
        assert_eq!(client(&["203.0.113.7"], "198.51.100.1"), "198.51.100.1");
        assert_eq!(client(&[], "10.0.0.1"), "10.0.0.1");
        assert_eq!(client(&["unknown"], "10.0.0.1"), "10.0.0.1");
        assert_eq!(client(&["::ffff:203.0.113.7"], "10.0.0.1"), "203.0.113.7");
        assert_eq!(client(&["[2001:db8::1]:99"], "10.0.0.1"), "2001:db8::1");
        assert_eq!(client(&["203.0.113.7:99"], "10.0.0.1"), "203.0.113.7");
    }

    /// The examples of RFC 7239 section 4.
    #[test]
    fn the_last_stranger_in_forwarded_is_the_client() {
        let client = |lines: &[&str]| client(TellBy::Forwarded, lines, "10.0.0.1");
        assert_eq!(
            client(&["for=192.0.2.60;proto=http;by=203.0.113.43"]),
            "192.0.2.60"
        );
        assert_eq!(client(&["For=\"[2001:db8:cafe::17]:4711\""]), "2001:db8:cafe::17");
        assert_eq!(client(&["for=192.0.2.43, for=10.9.0.7"]), "192.0.2.43");
        assert_eq!(client(&["for=192.0.2.43, for=\"_gazonk\""]), "10.0.0.1");
        assert_eq!(client(&["proto=https"]), "10.0.0.1");
    }

    async fn read(octets: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut left = octets;
        let read = read_header(&mut left).await;
        (read, left.to_vec())
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_behind_them() {
        let v2 = |version: u8, family: u8, addresses: &[u8]| {
            let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
            [&SIGNATURE[..], &[version, family], &length, addresses, b"INVITE"].concat()
        };
        let v4 = [
            203, 0, 113, 7, 10, 0, 0, 1, 0x13, 0xc4, 0x13, 0xc5, 0x04, 0x00, 0x01, 0x00,
        ];
        let mut v6 = vec![0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 7, 9);
        for (octets, expected) in [
            (
                b"PROXY TCP4 203.0.113.7 10.0.0.1 5060 443\r\nINVITE".to_vec(),
                Some("203.0.113.7:5060"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 5060 443\r\nINVITE".to_vec(),
                Some("[2001:db8::7]:5060"),
            ),
            (b"PROXY UNKNOWN\r\nINVITE".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nINVITE".to_vec(), None),
            (v2(0x21, 0x11, &v4), Some("203.0.113.7:5060")),
            (v2(0x21, 0x21, &v6), Some("[2001::7]:9")),
            (v2(0x20, 0x00, b""), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ] {
            let (told, left) = read(&octets).await;
            assert_eq!(
                told.unwrap(),
                expected.map(|text| text.parse().unwrap()),
                "{octets:?}"
            );
            assert_eq!(left, b"INVITE");
        }
        for octets in [
            &b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7\r\n..........",
            b"PROXY TCP4 2001:db8::7 10.0.0.1 5060 443\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 70000 443\r\n",
            b"PROXY TCP4",
            &[b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            &v2(0x31, 0x11, &v4),
            &v2(0x21, 0x11, &v4[..8]),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert!(read(octets).await.0.is_err(), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_a_panic(line in proptest::collection::vec(any::<u8>(), 0..120), text in ".{0,60}") {
            let _ = version_1(&line);
            let _ = version_1(format!("PROXY {text}").as_bytes());
            let _ = version_2(0x21, 0x11, &line);
            let _ = version_2(0x21, 0x21, &line);
            let _ = forwarded(&text);
            let _ = address(&text);
        }
    }
}
