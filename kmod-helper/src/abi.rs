//! What the programs in the kernel and user space tell each other: `ebpf/forward.h` and `ebpf/steer.h` in Rust.
//!
//! Every structure has the layout of its twin in C, without padding, and everything that a packet carries is in the order of
//! the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `AF_INET`, as the program has it.
pub(crate) const FAMILY_IPV4: u32 = 2;
/// `AF_INET6`.
pub(crate) const FAMILY_IPV6: u32 = 10;
/// RTCP is forwarded as well.
pub(crate) const RULE_RTCP: u8 = 1 << 0;
/// The receiver is a socket of this host, reached over the loopback interface.
pub(crate) const RULE_DELIVER: u8 = 1 << 1;

/// The other end of the interface is in another network namespace.
pub(crate) const RULE_PAIR: u8 = 1 << 2;
/// What leaves is IPv6; without it, IPv4.
pub(crate) const RULE_IPV6: u8 = 1 << 3;
/// The interface sends frames that were none of the stack's.
pub(crate) const HOP_FRAMES: u32 = 1 << 0;
/// The neighbour is the other end of the pair that the interface is of.
pub(crate) const HOP_ACROSS: u32 = 1 << 1;

/// What a flow is found by.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct RawKey {
    pub(crate) local: [u8; 16],
    pub(crate) peer: [u8; 16],
    pub(crate) local_port: [u8; 2],
    pub(crate) peer_port: [u8; 2],
    pub(crate) family: u32,
}

/// One flow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawRule {
    pub(crate) key: RawKey,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) source_port: [u8; 2],
    pub(crate) destination_port: [u8; 2],
    pub(crate) ifindex: u32,
    pub(crate) next_family: u32,
    pub(crate) next: [u8; 16],
    pub(crate) mtu: u16,
    pub(crate) tos: u8,
    pub(crate) flags: u8,
    pub(crate) payload_types: [u64; 2],
    pub(crate) tag: u64,
}

/// What was forwarded of one flow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawCounters {
    pub(crate) rtp_packets: u64,
    pub(crate) rtp_octets: u64,
    pub(crate) rtcp_packets: u64,
    pub(crate) rtcp_octets: u64,
    pub(crate) last_packet: u64,
    pub(crate) expected_before: u64,
    pub(crate) ssrc: u32,
    pub(crate) highest: u32,
    pub(crate) timestamp: u32,
    pub(crate) first: u16,
    pub(crate) payload_type: u8,
    pub(crate) is_heard: u8,
}

impl RawCounters {
    /// Words of 64 bits that it fills.
    pub(crate) const WORDS: usize = size_of::<Self>() / size_of::<u64>();

    /// As they lie in the table of a little-endian machine.
    pub(crate) fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [.., ssrc_and_highest, rest] = words;
        Self {
            rtp_packets: words[0],
            rtp_octets: words[1],
            rtcp_packets: words[2],
            rtcp_octets: words[3],
            last_packet: words[4],
            expected_before: words[5],
            ssrc: ssrc_and_highest as u32,
            highest: (ssrc_and_highest >> 32) as u32,
            timestamp: rest as u32,
            first: (rest >> 32) as u16,
            payload_type: (rest >> 48) as u8,
            is_heard: (rest >> 56) as u8,
        }
    }
}

/// How user space says that it lives; nanoseconds of the monotonic clock.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawPulse {
    pub(crate) heartbeat: u64,
    pub(crate) patience: u64,
}

/// A neighbour, as a [`RawRule`] has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawHopKey {
    pub(crate) ifindex: u32,
    pub(crate) family: u32,
    pub(crate) address: [u8; 16],
}

/// How frames to a neighbour begin, and when the stack was last made to ask for it; nanoseconds of the monotonic clock.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawHop {
    pub(crate) asked: u64,
    pub(crate) to: [u8; 6],
    pub(crate) from: [u8; 6],
    pub(crate) ways: u32,
}

/// A local address whose ports are steered, in the order of the network: `ebpf/steer.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawAddress {
    pub(crate) address: [u8; 16],
    pub(crate) family: u32,
}

/// Ports of one address: `ebpf/steer.h`.
pub(crate) const PORTS_EACH: u32 = 1 << 16;

/// No socket, or no worker: `ebpf/steer.h`.
pub(crate) const NOBODY: u32 = 0;
/// Whichever worker.
pub(crate) const ANYBODY: u32 = u32::MAX;

/// Who hears a port: `ebpf/steer.h`. Sockets and workers are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawHearer {
    pub(crate) socket: u32,
    pub(crate) worker: u32,
}

impl RawHearer {
    /// Of a port that is not steered.
    pub(crate) const NONE: Self = Self {
        socket: NOBODY,
        worker: NOBODY,
    };

    /// As they lie in the table, one after the other.
    pub(crate) const fn bits(self) -> u64 {
        self.socket as u64 | (self.worker as u64) << 32
    }
}

/// An interface that hands frames to workers: `ebpf/steer.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawInterface {
    pub(crate) first: u32,
    pub(crate) queues: u32,
    pub(crate) workers: u32,
    pub(crate) address: [u8; 6],
    pub(crate) unused: [u8; 2],
}

impl From<IpAddr> for RawAddress {
    fn from(address: IpAddr) -> Self {
        Self {
            address: octets(address),
            family: family(address),
        }
    }
}

// SAFETY: `repr(C)`, integers and arrays of octets only, and no padding: the sizes below are the sums of the fields'.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawKey {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawRule {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawPulse {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawHopKey {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawHop {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawAddress {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the loader asks for this mark on what it copies")]
unsafe impl aya::Pod for RawInterface {}

const _: () = assert!(size_of::<RawKey>() == 2 * 16 + 2 * 2 + 4);
const _: () = assert!(size_of::<RawRule>() == 40 + 2 * 16 + 2 * 2 + 2 * 4 + 16 + 2 + 2 + 2 * 8 + 8);
const _: () = assert!(size_of::<RawCounters>() == 6 * 8 + 3 * 4 + 2 + 2);
const _: () = assert!(size_of::<RawPulse>() == 2 * 8);
const _: () = assert!(size_of::<RawHopKey>() == 2 * 4 + 16);
const _: () = assert!(size_of::<RawHop>() == 8 + 2 * 6 + 4);
const _: () = assert!(size_of::<RawAddress>() == 16 + 4);
const _: () = assert!(size_of::<RawInterface>() == 3 * 4 + 6 + 2);

/// An address in 16 octets, of which IPv4 takes the first four.
pub(crate) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The family of an address as the program has it.
pub(crate) fn family(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(_) => FAMILY_IPV4,
        IpAddr::V6(_) => FAMILY_IPV6,
    }
}

/// The reverse of [`octets`] and [`family`].
pub(crate) fn address(family: u32, octets: [u8; 16], port: [u8; 2]) -> SocketAddr {
    let ip = if family == FAMILY_IPV4 {
        let [a, b, c, d, ..] = octets;
        Ipv4Addr::new(a, b, c, d).into()
    } else {
        Ipv6Addr::from(octets).into()
    };
    SocketAddr::new(ip, u16::from_be_bytes(port))
}
