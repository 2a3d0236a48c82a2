//! What the program in the kernel does with a frame, in Rust: the reference that it is compared with.
//!
//! Everything is computed anew and plainly here, checksums too, where the program changes them by differences. A frame that
//! came in with a wrong checksum therefore leaves the two with different ones; no other difference is allowed.

use std::net::{IpAddr, SocketAddr};

use crate::flow::{Flow, Key, Route};
use crate::up::Up;

const ETHERNET: usize = 14;
const UDP_HEADER: usize = 8;
const RTP_HEADER: usize = 12;
const PROTOCOL_UDP: u8 = 17;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is not of this flow, or of a kind that is never looked up.
    NotOurs,
    /// It goes up to user space.
    Up(Up),
    /// It leaves, and this is its IP packet.
    Forward(Vec<u8>),
}

/// What becomes of an Ethernet frame that came over the loopback interface where there is this flow, whose relay lives.
#[must_use]
pub fn forward(frame: &[u8], flow: &Flow, route: &Route) -> Outcome {
    let Some(packet) = Packet::parse(frame) else {
        return Outcome::NotOurs;
    };
    if packet.key() != flow.key {
        return Outcome::NotOurs;
    }
    match packet.objection(frame.len(), flow, route) {
        Some(up) => Outcome::Up(up),
        None => Outcome::Forward(packet.rewritten(flow)),
    }
}

/// A UDP datagram in an IP packet without options, extension headers or fragments.
struct Packet<'f> {
    source: IpAddr,
    destination: IpAddr,
    ip: &'f [u8],
    /// From the UDP header to the end of the frame.
    rest: &'f [u8],
    /// Octets of the UDP datagram, as the IP header has it. May be wrong.
    udp_len: usize,
    ttl: u8,
}

impl<'f> Packet<'f> {
    fn parse(frame: &'f [u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET)?;
        let parsed = match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
            ETHERTYPE_IPV4 => Self::parse_v4(packet),
            ETHERTYPE_IPV6 => Self::parse_v6(packet),
            _ => None,
        }?;
        (parsed.rest.len() >= UDP_HEADER + RTP_HEADER).then_some(parsed)
    }

    fn parse_v4(packet: &'f [u8]) -> Option<Self> {
        let (ip, rest) = packet.split_at_checked(20)?;
        let is_fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0;
        if ip[0] != 0x45 || ip[9] != PROTOCOL_UDP || is_fragment || fold(sum(ip)) != 0xffff {
            return None;
        }
        let address = |at: usize| IpAddr::from([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        Some(Self {
            source: address(12),
            destination: address(16),
            ip,
            rest,
            udp_len: usize::from(u16::from_be_bytes([ip[2], ip[3]])).wrapping_sub(20),
            ttl: ip[8],
        })
    }

    fn parse_v6(packet: &'f [u8]) -> Option<Self> {
        let (ip, rest) = packet.split_at_checked(40)?;
        if ip[0] >> 4 != 6 || ip[6] != PROTOCOL_UDP {
            return None;
        }
        let address = |at: usize| <[u8; 16]>::try_from(&ip[at..at + 16]).map(IpAddr::from).ok();
        Some(Self {
            source: address(8)?,
            destination: address(24)?,
            ip,
            rest,
            udp_len: u16::from_be_bytes([ip[4], ip[5]]).into(),
            ttl: ip[7],
        })
    }

    fn number(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.rest[at], self.rest[at + 1]])
    }

    fn key(&self) -> Key {
        Key {
            local: SocketAddr::new(self.destination, self.number(2)),
            peer: SocketAddr::new(self.source, self.number(0)),
        }
    }

    fn objection(&self, frame_len: usize, flow: &Flow, route: &Route) -> Option<Up> {
        let [first, second] = [self.rest[8], self.rest[9]];
        let has_v6 = flow.key.local.is_ipv6() || flow.source.is_ipv6();
        let out_header = if flow.source.is_ipv4() { 20 } else { 40 };
        if frame_len != (ETHERNET + self.ip.len()).wrapping_add(self.udp_len)
            || usize::from(self.number(4)) != self.udp_len
        {
            return Some(Up::Length);
        }
        if self.udp_len < UDP_HEADER + RTP_HEADER || first >> 6 != 2 {
            return Some(Up::NotRtp);
        }
        if (192..=223).contains(&second) {
            if !flow.rtcp {
                return Some(Up::Rtcp);
            }
        } else if flow.payload_types >> (second & 0x7f) & 1 == 0 {
            return Some(Up::PayloadType);
        } else if first & 0x20 != 0 {
            return Some(Up::Padding);
        } else if !self.header_fits() {
            return Some(Up::Header);
        }
        if self.ttl <= 1 {
            return Some(Up::Ttl);
        }
        if self.number(6) == 0 && has_v6 {
            return Some(Up::Checksum);
        }
        (out_header + self.udp_len > usize::from(route.mtu)).then_some(Up::Mtu)
    }

    /// RFC 3550, sections 5.1 and 5.3.1.
    fn header_fits(&self) -> bool {
        let first = self.rest[8];
        let mut len = UDP_HEADER + RTP_HEADER + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            if len + 4 > self.rest.len() {
                return false;
            }
            len += 4 + 4 * usize::from(self.number(len + 2));
        }
        len <= self.udp_len
    }

    fn rewritten(&self, flow: &Flow) -> Vec<u8> {
        let mut udp = self.rest[..self.udp_len].to_vec();
        udp[..2].copy_from_slice(&flow.source.port().to_be_bytes());
        udp[2..4].copy_from_slice(&flow.destination.port().to_be_bytes());
        if self.number(6) != 0 {
            udp[6..8].fill(0);
            let sum = sum(&udp) + pseudo_header(flow.source.ip(), flow.destination.ip(), udp.len());
            let checksum = match !fold(sum) {
                0 => 0xffff,
                other => other,
            };
            udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        }
        let mut out = match (flow.source.ip(), flow.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.v4_header(flow.tos, source.octets(), destination.octets())
            }
            (source, destination) => self.v6_header(flow.tos, octets(source), octets(destination)),
        };
        out.append(&mut udp);
        out
    }

    fn v4_header(&self, tos: u8, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let was_v4 = self.source.is_ipv4();
        let mut header = vec![0x45, tos];
        header.extend(((20 + self.udp_len) as u16).to_be_bytes());
        header.extend(if was_v4 {
            [self.ip[4], self.ip[5], self.ip[6], self.ip[7]]
        } else {
            [0, 0, 0x40, 0]
        });
        header.extend([self.ttl - 1, PROTOCOL_UDP, 0, 0]);
        header.extend(source);
        header.extend(destination);
        let checksum = !fold(sum(&header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn v6_header(&self, tos: u8, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let label = if self.source.is_ipv6() {
            [self.ip[1] & 0x0f, self.ip[2], self.ip[3]]
        } else {
            [0; 3]
        };
        let mut header = vec![0x60 | tos >> 4, tos << 4 | label[0], label[1], label[2]];
        header.extend((self.udp_len as u16).to_be_bytes());
        header.extend([PROTOCOL_UDP, self.ttl - 1]);
        header.extend(source);
        header.extend(destination);
        header
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// RFC 768 and RFC 8200, section 8.1: as sums the two are the same, since zeros do not count.
fn pseudo_header(source: IpAddr, destination: IpAddr, udp_len: usize) -> u64 {
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => sum(&ip.octets()),
        IpAddr::V6(ip) => sum(&ip.octets()),
    };
    address(source) + address(destination) + u64::from(PROTOCOL_UDP) + udp_len as u64
}

/// The sum of 16-bit words, the last one filled up with a zero.
fn sum(octets: &[u8]) -> u64 {
    let words = octets.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    });
    words.map(u64::from).sum()
}

/// RFC 1071: carries are added until there are none.
fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
