//! Listening quality estimated from network figures: the E-model of ITU-T G.107 with everything at its default that
//! the network does not change.
//!
//! With delay `d` in ms, loss `p` in percent, and the codec's impairment `Ie` and robustness `Bpl`:
//!
//! ```text
//! Id     = 0.024 d + 0.11 max(0, d - 177.3)              delay impairment, fitted to G.107 for echo-free paths
//! Ie,eff = Ie + (95 - Ie) p / (p + Bpl)                  equipment impairment, random loss
//! R      = 93.2 - Id - Ie,eff                            held to 0..100
//! MOS    = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R)       annex B; 1 for R = 0, 4.5 for R = 100
//! ```
//!
//! `d` is half the round trip, a jitter buffer of twice the jitter, and 10 ms for packing and codec.

use std::time::Duration;

/// Packing and codec delay, in ms.
const TERMINAL_DELAY: f64 = 10.0;

/// How well a codec sounds and how it bears loss (ITU-T G.113, appendix I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodecQuality {
    /// Equipment impairment factor `Ie`, 0 for G.711.
    pub impairment: f64,
    /// Packet-loss robustness factor `Bpl`.
    pub loss_robustness: f64,
}

impl CodecQuality {
    /// G.711 with packet loss concealment: what a relay that does not decode assumes.
    pub const G711: Self = Self {
        impairment: 0.0,
        loss_robustness: 25.1,
    };
    /// G.729 annex A.
    pub const G729: Self = Self {
        impairment: 11.0,
        loss_robustness: 19.0,
    };
}

/// A mean opinion score: 1 (bad) to 4.5 (the most that narrowband telephony gets).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mos(f64);

impl Mos {
    /// The score.
    #[must_use]
    pub fn score(self) -> f64 {
        self.0
    }

    /// Ten times the score, rounded: 10 to 45, as the NG protocol's `MOS` key has it.
    #[must_use]
    pub fn tenths(self) -> u8 {
        (self.0 * 10.0).round() as u8
    }
}

/// Estimates the score of one direction of a stream.
///
/// `loss` is the lost part of the packets, 0 to 1; what is outside is held to that.
#[must_use]
pub fn estimate_mos(loss: f64, jitter: Duration, round_trip: Duration, codec: CodecQuality) -> Mos {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let delay = millis(round_trip) / 2.0 + 2.0 * millis(jitter) + TERMINAL_DELAY;
    let delay_impairment = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
    let percent = if loss.is_nan() {
        0.0
    } else {
        loss.clamp(0.0, 1.0) * 100.0
    };
    let equipment =
        codec.impairment + (95.0 - codec.impairment) * percent / (percent + codec.loss_robustness);
    let r = (93.2 - delay_impairment - equipment).clamp(0.0, 100.0);
    let mos = 1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r);
    // The cubic dips below 1 for small R.
    Mos(mos.clamp(1.0, 4.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mos(loss: f64, jitter_ms: u64, round_trip_ms: u64) -> f64 {
        let (jitter, trip) = (
            Duration::from_millis(jitter_ms),
            Duration::from_millis(round_trip_ms),
        );
        estimate_mos(loss, jitter, trip, CodecQuality::G711).score()
    }

    #[test]
    fn known_points() {
        // R = 93.2 - 0.24: G.107's own maximum is 4.41 at 93.2.
        assert!((mos(0.0, 0, 0) - 4.40).abs() < 0.01);
        // d = 160: R = 89.36.
        assert!((mos(0.0, 0, 300) - 4.32).abs() < 0.01);
        // 5 %: Ie,eff = 15.78; R = 77.18.
        assert!((mos(0.05, 0, 0) - 3.91).abs() < 0.01);
        assert!((mos(1.0, 0, 0) - 1.0).abs() < 0.2);
        let tenths = estimate_mos(0.0, Duration::ZERO, Duration::ZERO, CodecQuality::G711).tenths();
        assert_eq!(tenths, 44);
    }

    #[test]
    fn a_lossy_codec_sounds_worse() {
        let g729 = estimate_mos(0.0, Duration::ZERO, Duration::ZERO, CodecQuality::G729).score();
        assert!(g729 < mos(0.0, 0, 0));
    }

    proptest! {
        #[test]
        fn worse_networks_never_sound_better(
            loss in 0.0..0.5_f64, more_loss in 0.0..0.5_f64,
            jitter in 0..500_u64, more_jitter in 0..500_u64,
            trip in 0..2000_u64, more_trip in 0..2000_u64,
        ) {
            let before = mos(loss, jitter, trip);
            let after = mos(loss + more_loss, jitter + more_jitter, trip + more_trip);
            prop_assert!(after <= before);
            prop_assert!((1.0..=4.5).contains(&after));
        }

        #[test]
        fn any_number_gives_a_score(loss: f64, jitter: u32, trip: u32) {
            let score = mos(loss, jitter.into(), trip.into());
            prop_assert!((1.0..=4.5).contains(&score));
        }
    }
}
