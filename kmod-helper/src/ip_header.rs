//! Headers of datagrams that leave with a source port of our choice, by a socket that takes whole IP packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(crate) const IPV4_HEADER: usize = 20;
pub(crate) const IPV6_HEADER: usize = 40;
pub(crate) const UDP_HEADER: usize = 8;
pub(crate) const UDP: u8 = 17;
/// Routers do not cut the packet, as it is with datagrams of ordinary sockets (`IP_PMTUDISC_WANT`).
const DONT_FRAGMENT: u16 = 0x4000;

/// The IP and the UDP header of one datagram.
#[derive(Debug, Clone, Copy)]
pub struct IpHeader {
    octets: [u8; IPV6_HEADER + UDP_HEADER],
    len: usize,
}

impl IpHeader {
    /// No header.
    pub const NONE: Self = Self {
        octets: [0; IPV6_HEADER + UDP_HEADER],
        len: 0,
    };

    /// Of a datagram with this payload. The sum of an IPv4 header is the kernel's business. `None`: the addresses are of two
    /// families, the payload is too long for any datagram, or the receiver has port 0, which ordinary sockets refuse too.
    #[must_use]
    pub fn new(from: SocketAddr, to: SocketAddr, tos: u8, hops: u8, payload: &[u8]) -> Option<Self> {
        if to.port() == 0 {
            return None;
        }
        let udp_len = u16::try_from(UDP_HEADER + payload.len()).ok()?;
        let mut header = Self::NONE;
        let addresses = match (from.ip(), to.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => header.ipv4(from, to, tos, hops, udp_len)?,
            (IpAddr::V6(from), IpAddr::V6(to)) => header.ipv6(from, to, tos, hops, udp_len),
            _ => return None,
        };
        let udp = &mut header.octets[header.len..];
        udp[..2].copy_from_slice(&from.port().to_be_bytes());
        udp[2..4].copy_from_slice(&to.port().to_be_bytes());
        udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
        let pseudo_header = addresses + u64::from(UDP) + u64::from(udp_len);
        let checksum = folded(pseudo_header + sum(&udp[..UDP_HEADER]) + sum(payload));
        // 0 would say that there is none.
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        header.len += UDP_HEADER;
        Some(header)
    }

    /// What comes before the payload.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Writes the IPv4 header; gives the sum of its addresses.
    fn ipv4(&mut self, from: Ipv4Addr, to: Ipv4Addr, tos: u8, hops: u8, udp_len: u16) -> Option<u64> {
        let len = udp_len.checked_add(IPV4_HEADER as u16)?;
        let ip = &mut self.octets[..IPV4_HEADER];
        ip[0] = 0x45;
        ip[1] = tos;
        ip[2..4].copy_from_slice(&len.to_be_bytes());
        ip[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        ip[8] = hops;
        ip[9] = UDP;
        ip[12..16].copy_from_slice(&from.octets());
        ip[16..20].copy_from_slice(&to.octets());
        self.len = IPV4_HEADER;
        Some(sum(&self.octets[12..20]))
    }

    /// Writes the IPv6 header; gives the sum of its addresses.
    fn ipv6(&mut self, from: Ipv6Addr, to: Ipv6Addr, tos: u8, hops: u8, udp_len: u16) -> u64 {
        let ip = &mut self.octets[..IPV6_HEADER];
        ip[..4].copy_from_slice(&(0x6000_0000 | u32::from(tos) << 20).to_be_bytes());
        ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
        ip[6] = UDP;
        ip[7] = hops;
        ip[8..24].copy_from_slice(&from.octets());
        ip[24..40].copy_from_slice(&to.octets());
        self.len = IPV6_HEADER;
        sum(&self.octets[8..40])
    }
}

/// Words of 16 bits added up (RFC 1071), in a form that may be added to others and [`folded`]. Words of 32 bits give the same when
/// they are folded, and so they do in this machine's order of octets, if the result is put into the network's.
pub(crate) fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word)));
    let sum = words.sum::<u64>() + u64::from(u32::from_ne_bytes(last));
    u64::from(u16::from_be_bytes((!folded(sum)).to_ne_bytes()))
}

pub(crate) fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Fits after the loop.
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketHeaders};
    use proptest::prelude::*;

    use super::*;

    fn packet(from: &str, to: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let header = IpHeader::new(from.parse().unwrap(), to.parse().unwrap(), 0xb8, 64, payload)?;
        Some([header.octets(), payload].concat())
    }

    /// Source, destination, type of service and payload, if all of the packet is right but the sum of its IPv4 header.
    fn read(packet: &[u8]) -> (SocketAddr, SocketAddr, u8, Vec<u8>) {
        let headers = PacketHeaders::from_ip_slice(packet).unwrap();
        let udp = headers.transport.unwrap().udp().unwrap();
        let payload = headers.payload.slice();
        let (from, to, tos): (IpAddr, IpAddr, u8) = match headers.net.unwrap() {
            NetHeaders::Ipv4(ip, _) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, payload).unwrap());
                assert!(ip.dont_fragment && ip.time_to_live == 64);
                (ip.source.into(), ip.destination.into(), ip.dscp.value() << 2)
            }
            NetHeaders::Ipv6(ip, _) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, payload).unwrap());
                assert_eq!((ip.hop_limit, ip.flow_label.value()), (64, 0));
                (ip.source.into(), ip.destination.into(), ip.traffic_class)
            }
            other => panic!("{other:?}"),
        };
        let from = SocketAddr::new(from, udp.source_port);
        (
            from,
            SocketAddr::new(to, udp.destination_port),
            tos,
            payload.to_vec(),
        )
    }

    proptest! {
        #[test]
        fn headers_are_those_of_the_datagram(
            is_v4: bool,
            hosts: [u128; 2],
            ports: [u16; 2],
            payload in prop::collection::vec(any::<u8>(), 0..1500),
        ) {
            let [from, to] = [0, 1].map(|end| {
                let ip = if is_v4 { Ipv4Addr::from(hosts[end] as u32).into() } else { IpAddr::from(Ipv6Addr::from(hosts[end])) };
                SocketAddr::new(ip, ports[end])
            });
            prop_assume!(!from.ip().to_canonical().is_ipv4() || is_v4);
            prop_assume!(to.port() != 0);
            prop_assume!(!to.ip().to_canonical().is_ipv4() || is_v4);
            let header = IpHeader::new(from, to, 0xb8, 64, &payload).unwrap();
            let packet = [header.octets(), &payload].concat();
            prop_assert_eq!(read(&packet), (from, to, 0xb8, payload));
        }
    }

    #[test]
    fn a_sum_of_zero_is_written_as_its_other_form() {
        let all_ones = (0..=u16::MAX).find_map(|word| {
            let packet = packet("192.0.2.1:30000", "198.51.100.7:4000", &word.to_be_bytes())?;
            (packet[26..28] == [0xff, 0xff]).then_some(packet)
        });
        read(&all_ones.unwrap());
    }

    #[test]
    fn families_do_not_mix_ports_are_named_and_mapped_addresses_are_of_ipv4() {
        assert_eq!(packet("192.0.2.1:1", "[2001:db8::1]:1", b""), None);
        assert_eq!(packet("[2001:db8::1]:1", "192.0.2.1:1", b""), None);
        assert_eq!(packet("192.0.2.1:1", "192.0.2.9:0", b""), None);
        let mapped = packet("192.0.2.1:1", "[::ffff:192.0.2.9]:7", b"x").unwrap();
        assert_eq!(read(&mapped).1, "192.0.2.9:7".parse().unwrap());
    }

    #[test]
    fn what_is_too_long_for_a_datagram_has_no_header() {
        assert_eq!(packet("192.0.2.1:1", "192.0.2.9:7", &[0; 65_508]), None);
        assert_eq!(packet("[2001:db8::1]:1", "[2001:db8::2]:1", &[0; 65_528]), None);
    }
}
