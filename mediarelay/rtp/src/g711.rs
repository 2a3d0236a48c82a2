//! G.711: 16-bit samples at 8 kHz to octets and back (ITU-T G.711).

/// µ-law, payload type 0.
pub mod mu_law {
    /// What is added to a magnitude before its segment is looked for: the table's segments begin there.
    const BIAS: i32 = 0x84;
    /// The largest magnitude that can be told.
    const CLIP: i32 = 32_635;

    /// The sample of every octet.
    static SAMPLES: [i16; 256] = samples();

    /// The octet for silence.
    pub const SILENCE: u8 = 0xff;

    /// The octet nearest to a sample.
    #[must_use]
    pub const fn encode(sample: i16) -> u8 {
        let negative = sample < 0;
        let magnitude = if negative { -(sample as i32) } else { sample as i32 };
        let biased = if magnitude > CLIP {
            CLIP + BIAS
        } else {
            magnitude + BIAS
        };
        // 0x84 to 0x7fff: the highest bit stands at 7 to 14, which is segment 0 to 7.
        let segment = 24 - biased.leading_zeros();
        let step = (biased >> (segment + 3)) & 0x0f;
        let octet = (segment << 4) as u8 | step as u8;
        !(octet | if negative { 0x80 } else { 0 })
    }

    /// The sample of an octet.
    #[must_use]
    pub fn decode(octet: u8) -> i16 {
        SAMPLES[usize::from(octet)]
    }

    const fn samples() -> [i16; 256] {
        let mut samples = [0; 256];
        let mut octet = 0;
        while octet < 256 {
            let bits = !(octet as u8);
            let segment = (bits >> 4 & 7) as u32;
            let magnitude = ((((bits & 0x0f) as i32) << 3) + BIAS) << segment;
            let magnitude = (magnitude - BIAS) as i16;
            samples[octet] = if bits & 0x80 != 0 { -magnitude } else { magnitude };
            octet += 1;
        }
        samples
    }
}

/// A-law, payload type 8.
pub mod a_law {
    /// Every other bit is inverted on the wire.
    const INVERTED: u8 = 0x55;

    /// The sample of every octet.
    static SAMPLES: [i16; 256] = samples();

    /// The octet for silence: the smallest positive value, since A-law has no zero.
    pub const SILENCE: u8 = 0xd5;

    /// The octet nearest to a sample.
    #[must_use]
    pub const fn encode(sample: i16) -> u8 {
        // Thirteen bits count; -1 becomes the smallest negative value.
        let scaled = (sample as i32) >> 3;
        let negative = scaled < 0;
        let magnitude = if negative { -scaled - 1 } else { scaled };
        let octet = if magnitude < 32 {
            magnitude >> 1
        } else {
            // 32 to 4095: the highest bit stands at 5 to 11, which is segment 1 to 7.
            let segment = 27 - magnitude.leading_zeros() as i32;
            (segment << 4) | (magnitude >> segment & 0x0f)
        };
        (octet as u8 | if negative { 0 } else { 0x80 }) ^ INVERTED
    }

    /// The sample of an octet.
    #[must_use]
    pub fn decode(octet: u8) -> i16 {
        SAMPLES[usize::from(octet)]
    }

    const fn samples() -> [i16; 256] {
        let mut samples = [0; 256];
        let mut octet = 0;
        while octet < 256 {
            let bits = octet as u8 ^ INVERTED;
            let segment = (bits >> 4 & 7) as u32;
            let step = (bits & 0x0f) as i32;
            // The middle of the step.
            let magnitude = if segment == 0 {
                (step << 4) + 8
            } else {
                ((step << 4) + 0x108) << (segment - 1)
            };
            samples[octet] = if bits & 0x80 != 0 {
                magnitude as i16
            } else {
                -(magnitude as i16)
            };
            octet += 1;
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::{a_law, mu_law};

    #[test]
    fn octets_survive_the_round_trip() {
        for octet in 0..=255 {
            assert_eq!(a_law::encode(a_law::decode(octet)), octet, "A-law {octet:#04x}");
            // µ-law has two zeros; the negative one comes back as the positive.
            let expected = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(
                mu_law::encode(mu_law::decode(octet)),
                expected,
                "µ-law {octet:#04x}"
            );
        }
    }

    /// Values from the tables of ITU-T G.711, scaled to 16 bits.
    #[test]
    fn known_values() {
        for (octet, sample) in [
            (0xff, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
            (0xef, 132),
            (0x8f, 16_764),
        ] {
            assert_eq!(mu_law::decode(octet), sample, "µ-law {octet:#04x}");
        }
        for (octet, sample) in [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xd4, 24),
            (0xc5, 264),
        ] {
            assert_eq!(a_law::decode(octet), sample, "A-law {octet:#04x}");
        }
        assert_eq!(mu_law::encode(i16::MIN), 0x00);
        assert_eq!(mu_law::encode(i16::MAX), 0x80);
        assert_eq!(a_law::encode(i16::MIN), 0x2a);
        assert_eq!(a_law::encode(i16::MAX), 0xaa);
        assert_eq!(mu_law::encode(0), mu_law::SILENCE);
        assert_eq!(a_law::encode(0), a_law::SILENCE);
    }

    /// Every sample comes back within half a step of its segment, and louder stays louder.
    #[test]
    fn samples_come_back_within_half_a_step() {
        let (mut last_mu, mut last_a) = (i16::MIN, i16::MIN);
        for sample in i16::MIN..=i16::MAX {
            let (mu, a) = (
                mu_law::decode(mu_law::encode(sample)),
                a_law::decode(a_law::encode(sample)),
            );
            assert!(mu >= last_mu && a >= last_a, "at {sample}");
            (last_mu, last_a) = (mu, a);
            let magnitude = i32::from(sample).abs();
            if magnitude < 32_000 {
                let error = (i32::from(mu) - i32::from(sample)).abs();
                assert!(error <= (magnitude / 32 + 8).max(4), "µ-law {sample} -> {mu}");
                let error = (i32::from(a) - i32::from(sample)).abs();
                assert!(error <= (magnitude / 32 + 8).max(8), "A-law {sample} -> {a}");
            }
        }
    }
}
