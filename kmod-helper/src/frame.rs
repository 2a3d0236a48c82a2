//! Frames of Ethernet with one datagram, as interfaces hand them to a worker and as a worker sends them.
//!
//! What the kernel checks before a socket hears of a datagram is checked here: lengths and sums. Everything else about a frame
//! was looked at by the program that handed it on: the addresses of the hardware and of the host, the protocol, that it is no
//! fragment and has neither options nor extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ip_header::{IPV4_HEADER, IPV6_HEADER, IpHeader, UDP, UDP_HEADER, folded, sum};
use crate::next_hops::NextHop;

/// Octets of the head of a frame.
const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// A datagram that came as a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'f> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it was sent to.
    pub to: SocketAddr,
    /// What is in it.
    pub payload: &'f [u8],
}

impl<'f> Heard<'f> {
    /// Reads a frame. `None`: it is damaged, or holds no datagram.
    #[must_use]
    pub fn read(frame: &'f [u8]) -> Option<Self> {
        let (head, packet) = frame.split_at_checked(ETHERNET)?;
        let (from, to, addresses, datagram) = if head.ends_with(&IPV4) {
            let (ip, rest) = packet.split_at_checked(IPV4_HEADER)?;
            if ip[0] != 0x45 || ip[9] != UDP || folded(sum(ip)) != 0 {
                return None;
            }
            let len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            let at = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
            let datagram = rest.get(..len.checked_sub(IPV4_HEADER)?)?;
            (IpAddr::V4(at(12)), IpAddr::V4(at(16)), sum(&ip[12..]), datagram)
        } else if head.ends_with(&IPV6) {
            let (ip, rest) = packet.split_at_checked(IPV6_HEADER)?;
            if ip[0] >> 4 != 6 || ip[6] != UDP {
                return None;
            }
            let len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
            let at = |octets: &[u8]| Some(IpAddr::V6(Ipv6Addr::from(*octets.first_chunk::<16>()?)));
            (at(&ip[8..])?, at(&ip[24..])?, sum(&ip[8..]), rest.get(..len)?)
        } else {
            return None;
        };
        let (udp, _) = datagram.split_at_checked(UDP_HEADER)?;
        let [a, b, c, d, e, f, g, h] = *udp.first_chunk::<UDP_HEADER>()?;
        // A shorter length than that of the IP packet counts, and a longer one is a fault, as in the kernel.
        let len = u16::from_be_bytes([e, f]);
        let datagram = datagram.get(..usize::from(len))?;
        let payload = datagram.get(UDP_HEADER..)?;
        let pseudo_header = addresses + u64::from(UDP) + u64::from(len);
        let is_whole = match [g, h] {
            [0, 0] => from.is_ipv4(),
            written => {
                folded(pseudo_header + sum(datagram)) == 0
                    // A sender on this machine leaves the sum to hardware that is not there, and writes that of the addresses.
                    || u16::from_be_bytes(written) == !folded(pseudo_header)
            }
        };
        is_whole.then(|| Self {
            from: SocketAddr::new(from, u16::from_be_bytes([a, b])),
            to: SocketAddr::new(to, u16::from_be_bytes([c, d])),
            payload,
        })
    }
}

/// Whether a datagram that has this header and so many octets of payload fits into one packet on its way.
#[must_use]
pub fn fits(hop: &NextHop, header: &IpHeader, payload: usize) -> bool {
    header.octets().len() + payload <= hop.mtu
}

/// Writes a frame with a datagram. Returns how long it is; 0 where there is no room for it.
pub fn write(frame: &mut [u8], hop: &NextHop, header: &IpHeader, payload: &[u8]) -> usize {
    let header = header.octets();
    let len = ETHERNET + header.len() + payload.len();
    let Some(frame) = frame.get_mut(..len) else {
        return 0;
    };
    let (head, packet) = frame.split_at_mut(ETHERNET);
    let (packet_header, body) = packet.split_at_mut(header.len());
    head[..6].copy_from_slice(&hop.to);
    head[6..12].copy_from_slice(&hop.from);
    packet_header.copy_from_slice(header);
    body.copy_from_slice(payload);
    if header.len() == IPV4_HEADER + UDP_HEADER {
        head[12..].copy_from_slice(&IPV4);
        // A socket would leave it to the kernel.
        let checksum = folded(sum(&packet_header[..IPV4_HEADER]));
        packet_header[10..12].copy_from_slice(&checksum.to_be_bytes());
    } else {
        head[12..].copy_from_slice(&IPV6);
    }
    len
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketBuilder, PacketHeaders};
    use proptest::prelude::*;

    use super::*;

    const HOP: NextHop = NextHop {
        ifindex: 7,
        from: [2, 0, 0, 0, 0, 1],
        to: [2, 0, 0, 0, 0, 2],
        mtu: 1_500,
    };

    fn written(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let header = IpHeader::new(from, to, 0xb8, 64, payload).unwrap();
        let mut frame = [0xee; 2_048];
        let len = write(&mut frame, &HOP, &header, payload);
        frame[..len].to_vec()
    }

    /// The same by somebody else's hand.
    fn by_another(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(HOP.from, HOP.to);
        let builder = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                builder.ipv4(from.ip().octets(), to.ip().octets(), 64)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                builder.ipv6(from.ip().octets(), to.ip().octets(), 64)
            }
            _ => panic!("a packet has one family"),
        };
        let mut frame = Vec::new();
        builder
            .udp(from.port(), to.port())
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    fn ends(is_v4: bool, hosts: [u128; 2], ports: [u16; 2]) -> [SocketAddr; 2] {
        [0, 1].map(|end| {
            let ip = match is_v4 {
                true => Ipv4Addr::from(hosts[end] as u32).into(),
                false => IpAddr::from(Ipv6Addr::from(hosts[end] | 1 << 127)),
            };
            SocketAddr::new(ip, ports[end].max(1))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_here_and_elsewhere(
            is_v4: bool,
            hosts: [u128; 2],
            ports: [u16; 2],
            payload in prop::collection::vec(any::<u8>(), 0..1400),
        ) {
            let [from, to] = ends(is_v4, hosts, ports);
            let frame = written(from, to, &payload);
            let heard = Heard { from, to, payload: &payload };
            prop_assert_eq!(Heard::read(&frame), Some(heard));
            prop_assert_eq!(&frame[..12], [HOP.to, HOP.from].concat());
            let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
            let udp = headers.transport.unwrap().udp().unwrap();
            let sum = match headers.net.unwrap() {
                NetHeaders::Ipv4(ip, _) => {
                    prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    udp.calc_checksum_ipv4(&ip, &payload).unwrap()
                }
                NetHeaders::Ipv6(ip, _) => udp.calc_checksum_ipv6(&ip, &payload).unwrap(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(udp.checksum, sum);
            let mut theirs = by_another(from, to, &payload);
            prop_assert_eq!(Heard::read(&theirs), Some(heard));
            // Short frames are filled up on their way.
            theirs.extend([0; 46]);
            prop_assert_eq!(Heard::read(&theirs), Some(heard));
        }

        #[test]
        fn one_bit_that_is_wrong_is_noticed(
            is_v4: bool,
            hosts: [u128; 2],
            ports: [u16; 2],
            payload in prop::collection::vec(any::<u8>(), 0..100),
            bit: prop::sample::Index,
        ) {
            let [from, to] = ends(is_v4, hosts, ports);
            let mut frame = written(from, to, &payload);
            // What no sum covers: the hardware's head, and of IPv6 everything but the addresses.
            let first = if is_v4 { ETHERNET } else { ETHERNET + 8 };
            let bit = first * 8 + bit.index((frame.len() - first) * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            let heard = Heard::read(&frame);
            prop_assert!(heard.is_none() || has_no_sum(&frame, is_v4), "{heard:?}");
        }

        #[test]
        fn frames_of_any_form_are_read_without_panic(frame in prop::collection::vec(any::<u8>(), 0..200), kind in 0..3) {
            let mut frame = frame;
            if frame.len() > 24 {
                match kind {
                    0 => frame[12..15].copy_from_slice(&[8, 0, 0x45]),
                    1 => frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]),
                    _ => {}
                }
                frame[if kind == 0 { 23 } else { 20 }] = UDP;
            }
            let _ = Heard::read(&frame);
        }
    }

    /// A bit that makes the sum zero says that there is none.
    fn has_no_sum(frame: &[u8], is_v4: bool) -> bool {
        let at = ETHERNET + if is_v4 { IPV4_HEADER } else { IPV6_HEADER } + 6;
        is_v4 && frame[at..at + 2] == [0, 0]
    }

    #[test]
    fn a_sum_that_was_left_to_hardware_is_that_of_the_addresses() {
        for is_v4 in [true, false] {
            let [from, to] = ends(is_v4, [0x0a01_0001, 0x0a01_0002], [30_000, 4_000]);
            let mut frame = written(from, to, b"hello");
            let ip = if is_v4 { IPV4_HEADER } else { IPV6_HEADER };
            let addresses = if is_v4 { 12..20 } else { 8..40 };
            let addresses = sum(&frame[ETHERNET..][addresses]);
            let partial = !folded(addresses + u64::from(UDP) + 13);
            frame[ETHERNET + ip + 6..][..2].copy_from_slice(&partial.to_be_bytes());
            assert_eq!(Heard::read(&frame).unwrap().payload, b"hello");
            frame[ETHERNET + ip + 7] ^= 1;
            assert_eq!(Heard::read(&frame), None);
        }
    }

    #[test]
    fn without_a_sum_ipv4_is_believed_and_ipv6_is_not() {
        for is_v4 in [true, false] {
            let [from, to] = ends(is_v4, [1 << 24 | 1, 1 << 24 | 2], [30_000, 4_000]);
            let mut frame = written(from, to, b"hello");
            let ip = if is_v4 { IPV4_HEADER } else { IPV6_HEADER };
            frame[ETHERNET + ip + 6..][..2].fill(0);
            assert_eq!(Heard::read(&frame).is_some(), is_v4);
        }
    }

    #[test]
    fn what_is_too_long_is_not_written_and_does_not_fit() {
        let [from, to] = ends(true, [1 << 24 | 1, 1 << 24 | 2], [30_000, 4_000]);
        let payload = [0; 1_472];
        let header = IpHeader::new(from, to, 0, 64, &payload).unwrap();
        assert!(fits(&HOP, &header, payload.len()) && !fits(&HOP, &header, payload.len() + 1));
        assert_eq!(write(&mut [0; 1_513], &HOP, &header, &payload), 0);
        assert_eq!(write(&mut [0; 1_514], &HOP, &header, &payload), 1_514);
    }
}
