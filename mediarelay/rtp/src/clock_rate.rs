//! The clocks of payload types that need no `a=rtpmap`.

/// The RTP clock in Hz of a static payload type (RFC 3551, section 6); `None` for dynamic and unassigned ones.
#[must_use]
pub const fn static_clock_rate(payload_type: u8) -> Option<u32> {
    match payload_type {
        0 | 3..=5 | 7..=9 | 12 | 13 | 15 | 18 => Some(8_000),
        6 => Some(16_000),
        10 | 11 => Some(44_100),
        16 => Some(11_025),
        17 => Some(22_050),
        14 | 25 | 26 | 28 | 31..=34 => Some(90_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_codecs_have_their_clocks() {
        // G.722 counts 8,000 although it samples at 16,000 (RFC 3551, section 4.5.2).
        for (payload_type, rate) in [(0, 8_000), (8, 8_000), (9, 8_000), (18, 8_000), (34, 90_000)] {
            assert_eq!(static_clock_rate(payload_type), Some(rate));
        }
        assert_eq!((static_clock_rate(96), static_clock_rate(72)), (None, None));
    }
}
