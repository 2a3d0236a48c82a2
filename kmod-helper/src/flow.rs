//! What the kernel is to do, as plain values.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::abi::{
    self, FAMILY_IPV4, FAMILY_IPV6, RULE_DELIVER, RULE_IPV6, RULE_PAIR, RULE_RTCP, RawCounters, RawKey,
    RawRule,
};

/// What a flow is found by: a packet from any other peer address is another's, so this is strict source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Our socket.
    pub local: SocketAddr,
    /// The peer.
    pub peer: SocketAddr,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.peer, self.local)
    }
}

/// One direction of media that is forwarded as it comes: RTP to RTP, or SRTP whose keys both sides share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// What it is found by. Both addresses are of one family.
    pub key: Key,
    /// Our socket towards the receiver: what packets leave from.
    pub source: SocketAddr,
    /// The receiver. Of the family of `source`, which need not be the key's.
    pub destination: SocketAddr,
    /// The octet with DSCP and ECN (IPv4 type of service, IPv6 traffic class) that packets leave with.
    pub tos: u8,
    /// Whether RTCP is forwarded as well. Otherwise it is user space's.
    pub rtcp: bool,
    /// Bit `n`: payload type `n` is forwarded. Others are user space's.
    pub payload_types: u128,
    /// Which call, as [`tag`] makes it; for people who ask what is in the kernel.
    pub tag: u64,
}

/// How a flow's receiver is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The interface's number.
    pub ifindex: u32,
    /// The router, or the receiver itself when it is on the link.
    pub next_hop: IpAddr,
    /// Octets that a packet may have, IP header included. Some interfaces take longer ones than there are: the loopback's.
    pub mtu: u16,
    /// The receiver is on this host; packets that came over the loopback interface are delivered.
    pub is_local: bool,
    /// The interface is one end of a pair (veth, netkit) whose other end is in another network namespace of this host.
    pub is_pair: bool,
}

/// What the kernel forwarded of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// RTP packets.
    pub rtp_packets: u64,
    /// Octets of RTP, headers of RTP included, those of UDP and IP not.
    pub rtp_octets: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
    /// Octets of RTCP.
    pub rtcp_octets: u64,
    /// RTP packets that the sequence numbers promised (RFC 3550, appendix A.3).
    pub expected: u64,
    /// When the last packet came, on the monotonic clock as of its last tick: up to 10 ms early.
    pub last_packet: Option<Duration>,
    /// The stream that came last.
    pub source: Option<Source>,
}

/// The stream whose packets came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its SSRC.
    pub ssrc: u32,
    /// The highest sequence number, with its cycles in the upper half.
    pub highest_sequence: u32,
    /// The timestamp of the last packet.
    pub timestamp: u32,
    /// The payload type of the last packet.
    pub payload_type: u8,
}

impl Counters {
    /// What was counted before and what has been since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            rtp_packets: self.rtp_packets + before.rtp_packets,
            rtp_octets: self.rtp_octets + before.rtp_octets,
            rtcp_packets: self.rtcp_packets + before.rtcp_packets,
            rtcp_octets: self.rtcp_octets + before.rtcp_octets,
            expected: self.expected + before.expected,
            last_packet: self.last_packet.max(before.last_packet),
            source: self.source.or(before.source),
        }
    }
}

/// The mark of a call: FNV-1a of its Call-ID, so that it can be asked for by name without the kernel having to keep it.
#[must_use]
pub fn tag(call_id: &str) -> u64 {
    call_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl From<Key> for RawKey {
    fn from(key: Key) -> Self {
        Self {
            local: abi::octets(key.local.ip()),
            peer: abi::octets(key.peer.ip()),
            local_port: key.local.port().to_be_bytes(),
            peer_port: key.peer.port().to_be_bytes(),
            family: abi::family(key.local.ip()),
        }
    }
}

impl From<RawKey> for Key {
    fn from(raw: RawKey) -> Self {
        Self {
            local: abi::address(raw.family, raw.local, raw.local_port),
            peer: abi::address(raw.family, raw.peer, raw.peer_port),
        }
    }
}

impl RawRule {
    pub(crate) fn new(flow: &Flow, route: &Route) -> Self {
        let mut flags = 0;
        if flow.rtcp {
            flags |= RULE_RTCP;
        }
        if route.is_local {
            flags |= RULE_DELIVER;
        }
        if route.is_pair {
            flags |= RULE_PAIR;
        }
        if flow.source.is_ipv6() {
            flags |= RULE_IPV6;
        }
        Self {
            key: flow.key.into(),
            source: abi::octets(flow.source.ip()),
            destination: abi::octets(flow.destination.ip()),
            source_port: flow.source.port().to_be_bytes(),
            destination_port: flow.destination.port().to_be_bytes(),
            ifindex: route.ifindex,
            next_family: abi::family(route.next_hop),
            next: abi::octets(route.next_hop),
            mtu: route.mtu,
            tos: flow.tos,
            flags,
            payload_types: [flow.payload_types as u64, (flow.payload_types >> 64) as u64],
            tag: flow.tag,
        }
    }

    pub(crate) fn flow(&self) -> Flow {
        let [low, high] = self.payload_types;
        let family = if self.flags & RULE_IPV6 == 0 {
            FAMILY_IPV4
        } else {
            FAMILY_IPV6
        };
        Flow {
            key: self.key.into(),
            source: abi::address(family, self.source, self.source_port),
            destination: abi::address(family, self.destination, self.destination_port),
            tos: self.tos,
            rtcp: self.flags & RULE_RTCP != 0,
            payload_types: u128::from(high) << 64 | u128::from(low),
            tag: self.tag,
        }
    }

    pub(crate) fn route(&self) -> Route {
        Route {
            ifindex: self.ifindex,
            next_hop: abi::address(self.next_family, self.next, [0; 2]).ip(),
            mtu: self.mtu,
            is_local: self.flags & RULE_DELIVER != 0,
            is_pair: self.flags & RULE_PAIR != 0,
        }
    }
}

impl From<RawCounters> for Counters {
    fn from(raw: RawCounters) -> Self {
        let present = u64::from(raw.highest.wrapping_sub(raw.first.into())) + 1;
        let source = (raw.is_heard > 0).then_some(Source {
            ssrc: raw.ssrc,
            highest_sequence: raw.highest,
            timestamp: raw.timestamp,
            payload_type: raw.payload_type,
        });
        Self {
            rtp_packets: raw.rtp_packets,
            rtp_octets: raw.rtp_octets,
            rtcp_packets: raw.rtcp_packets,
            rtcp_octets: raw.rtcp_octets,
            expected: raw.expected_before + source.map_or(0, |_| present),
            last_packet: (raw.last_packet > 0).then(|| Duration::from_nanos(raw.last_packet)),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(key: [&str; 2], out: [&str; 2]) -> Flow {
        let [local, peer] = key.map(|address| address.parse().unwrap());
        let [source, destination] = out.map(|address| address.parse().unwrap());
        Flow {
            key: Key { local, peer },
            source,
            destination,
            tos: 184,
            rtcp: true,
            payload_types: 1 << 96 | 1 << 8 | 1,
            tag: tag("a@b"),
        }
    }

    #[test]
    fn a_flow_survives_the_way_into_the_kernel_and_back() {
        let v4 = ["192.0.2.1:30000", "198.51.100.7:4000"];
        let v6 = ["[2001:db8::1]:30002", "[2001:db8:1::9]:5000"];
        for (key, out, next_hop, is_pair) in [
            (v4, v4, "192.0.2.254", false),
            (v4, v6, "fe80::1", true),
            (v6, v4, "192.0.2.254", false),
        ] {
            let flow = flow(key, out);
            let next_hop = next_hop.parse().unwrap();
            let route = Route {
                ifindex: 3,
                next_hop,
                mtu: 1500,
                is_local: false,
                is_pair,
            };
            let raw = RawRule::new(&flow, &route);
            assert_eq!((raw.flow(), raw.route()), (flow, route));
        }
    }

    #[test]
    fn expected_packets_are_those_of_all_sources() {
        let raw = RawCounters {
            expected_before: 10,
            first: 65_530,
            highest: 65_540,
            is_heard: 1,
            rtp_packets: 20,
            ..RawCounters::default()
        };
        assert_eq!(Counters::from(raw).expected, 21);
        assert_eq!(Counters::from(RawCounters::default()), Counters::default());
    }
}
