//! Which protocol a datagram on a media port is (RFC 7983, updated by RFC 9443; RFC 5761, section 4).

/// What the first octets of a datagram say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// First octet 0 to 3 and room for a STUN header.
    Stun,
    /// First octet 16 to 19 and room for a ZRTP header.
    Zrtp,
    /// First octet 20 to 63 and room for a DTLS record header.
    Dtls,
    /// First octet 64 to 79 and room for a TURN channel header.
    Turn,
    /// RTP version 2, payload type outside 64 to 95, and room for an RTP header.
    Rtp,
    /// RTP version 2, packet type 192 to 223, and room for an RTCP header with an SSRC.
    Rtcp,
    /// None of these, or cut short.
    Unknown,
}

/// Looks at two octets and the length. No claim that the rest is well-formed.
///
/// RTP and RTCP on one port are told apart by RFC 5761's rule: packet types 192 to 223 are RTCP, which takes the
/// payload types 64 to 95 away from RTP. A first octet outside every range, or a datagram too short for the header of
/// its protocol, is [`Kind::Unknown`].
#[must_use]
pub fn classify(datagram: &[u8]) -> Kind {
    let &[first, second, ..] = datagram else {
        return Kind::Unknown;
    };
    let (kind, header_len) = match first {
        0..=3 => (Kind::Stun, 20),
        16..=19 => (Kind::Zrtp, 12),
        20..=63 => (Kind::Dtls, 13),
        64..=79 => (Kind::Turn, 4),
        128..=191 if (192..=223).contains(&second) => (Kind::Rtcp, 8),
        128..=191 => (Kind::Rtp, 12),
        _ => return Kind::Unknown,
    };
    if datagram.len() >= header_len {
        kind
    } else {
        Kind::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram of 32 octets that begins with these two.
    fn datagram(first: u8, second: u8) -> [u8; 32] {
        let mut datagram = [0; 32];
        datagram[0] = first;
        datagram[1] = second;
        datagram
    }

    #[test]
    fn first_octets_follow_the_registry() {
        for first in 0..=255 {
            let expected = match first {
                0..=3 => Kind::Stun,
                16..=19 => Kind::Zrtp,
                20..=63 => Kind::Dtls,
                64..=79 => Kind::Turn,
                128..=191 => Kind::Rtp,
                _ => Kind::Unknown,
            };
            assert_eq!(classify(&datagram(first, 0)), expected, "first octet {first}");
        }
    }

    #[test]
    fn rtcp_shares_the_port_with_rtp() {
        for second in 0..=255 {
            let expected = if (192..224).contains(&second) {
                Kind::Rtcp
            } else {
                Kind::Rtp
            };
            assert_eq!(
                classify(&datagram(0x80, second)),
                expected,
                "second octet {second}"
            );
        }
        // Dynamic payload types with and without marker stay RTP.
        assert_eq!(classify(&datagram(0x90, 96)), Kind::Rtp);
        assert_eq!(classify(&datagram(0x90, 0x80 | 96)), Kind::Rtp);
    }

    #[test]
    fn what_is_cut_short_is_unknown() {
        for (first, second, header_len) in [
            (0, 1, 20),
            (17, 0, 12),
            (22, 254, 13),
            (64, 0, 4),
            (0x80, 0, 12),
            (0x80, 200, 8),
        ] {
            let datagram = datagram(first, second);
            assert_ne!(classify(&datagram[..header_len]), Kind::Unknown);
            for len in 0..header_len {
                assert_eq!(classify(&datagram[..len]), Kind::Unknown);
            }
        }
    }
}
