//! Why a packet of a known flow goes up to user space.

/// Why a packet of a flow was not forwarded by the kernel but went on to the relay's socket. In the program's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Up {
    /// The flow was being changed or removed.
    Changing,
    /// The relay has not shown itself for longer than its patience.
    NoHeartbeat,
    /// The interface had merged several packets into one.
    Merged,
    /// The lengths of frame, IP and UDP do not agree.
    Length,
    /// It is not RTP of version 2: STUN, DTLS, or nothing known.
    NotRtp,
    /// It is RTCP, which the relay reads.
    Rtcp,
    /// Its payload type is not one that is forwarded.
    PayloadType,
    /// It is padded, and whether rightly so is for the relay to see.
    Padding,
    /// Its list of sources or its header extension ends after the packet.
    Header,
    /// Its time to live ends here.
    Ttl,
    /// It has no UDP checksum, and the way out or the way in is IPv6.
    Checksum,
    /// It is too big for the way out.
    Mtu,
    /// Its receiver is on this host, and it came from elsewhere.
    NotLoopback,
    /// The kernel had no memory to change it.
    Memory,
    /// Memory was short when it had been changed already. The only ones that are lost.
    Lost,
}

impl Up {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All, in the program's order.
    pub const ALL: [Self; 15] = [
        Self::Changing,
        Self::NoHeartbeat,
        Self::Merged,
        Self::Length,
        Self::NotRtp,
        Self::Rtcp,
        Self::PayloadType,
        Self::Padding,
        Self::Header,
        Self::Ttl,
        Self::Checksum,
        Self::Mtu,
        Self::NotLoopback,
        Self::Memory,
        Self::Lost,
    ];

    /// A name for counters, stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Changing => "changing",
            Self::NoHeartbeat => "no_heartbeat",
            Self::Merged => "merged",
            Self::Length => "length",
            Self::NotRtp => "not_rtp",
            Self::Rtcp => "rtcp",
            Self::PayloadType => "payload_type",
            Self::Padding => "padding",
            Self::Header => "header",
            Self::Ttl => "ttl",
            Self::Checksum => "checksum",
            Self::Mtu => "mtu",
            Self::NotLoopback => "not_loopback",
            Self::Memory => "memory",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_programs() {
        let header = include_str!("../ebpf/forward.h");
        let (_, list) = header.split_once("enum up {").unwrap();
        let (list, _) = list.split_once("REASONS").unwrap();
        let names = list
            .lines()
            .filter_map(|line| line.trim().strip_suffix(','))
            .map(|name| name.trim_start_matches("UP_").to_lowercase());
        assert_eq!(names.collect::<Vec<_>>(), Up::ALL.map(Up::name));
        for (at, up) in Up::ALL.into_iter().enumerate() {
            assert_eq!(at, up as usize);
        }
    }
}
