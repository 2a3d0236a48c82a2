//! G.711: 16-bit samples at 8 kHz to octets and back (ITU-T G.711), and from one law to the other.

use crate::RtpPacket;

/// Bits of the second octet of an RTP header that are not the payload type.
const MARKER: u8 = 0x80;

/// One of the two laws, each with a static payload type (RFC 3551).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

impl Law {
    /// Its payload type.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The one with this encoding name (RFC 3551), in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is = |of: &Self| of.name().eq_ignore_ascii_case(name);
        [Self::Mu, Self::A].into_iter().find(is)
    }

    /// Its encoding name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Mu => Self::A,
            Self::A => Self::Mu,
        }
    }

    /// The one with this static payload type.
    #[must_use]
    pub fn of_payload_type(payload_type: u8) -> Option<Self> {
        let is = |of: &Self| of.payload_type() == payload_type;
        [Self::Mu, Self::A].into_iter().find(is)
    }

    /// The octet nearest to a sample.
    #[must_use]
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => mu_law::encode(sample),
            Self::A => a_law::encode(sample),
        }
    }

    /// The sample that an octet stands for.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => mu_law::decode(octet),
            Self::A => a_law::decode(octet),
        }
    }

    /// The octet for silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => mu_law::SILENCE,
            Self::A => a_law::SILENCE,
        }
    }

    /// The only one of the two among payload types.
    #[must_use]
    pub fn only_of(payload_types: &[u8]) -> Option<Self> {
        let has = |law: Self| payload_types.contains(&law.payload_type());
        match (has(Self::Mu), has(Self::A)) {
            (true, false) => Some(Self::Mu),
            (false, true) => Some(Self::A),
            _ => None,
        }
    }

    /// Makes an RTP packet of this law one of the other: each octet becomes the one whose sample is nearest, and the payload type
    /// changes. A packet of any other payload type stays as it is.
    pub fn recode(self, packet: &mut [u8]) {
        let Ok(parsed) = RtpPacket::parse(packet) else {
            return;
        };
        if parsed.header().payload_type() != self.payload_type() {
            return;
        }
        let begin = parsed.header().size();
        let payload = begin..begin + parsed.payload().len();
        packet[1] = packet[1] & MARKER | self.other().payload_type();
        let table = match self {
            Self::Mu => &A_OF_MU,
            Self::A => &MU_OF_A,
        };
        for octet in &mut packet[payload] {
            *octet = table[usize::from(*octet)];
        }
    }
}

/// By octet of µ-law.
static A_OF_MU: [u8; 256] = {
    let (samples, mut octets, mut octet) = (mu_law::samples(), [0; 256], 0);
    while octet < 256 {
        octets[octet] = a_law::encode(samples[octet]);
        octet += 1;
    }
    octets
};

/// By octet of A-law.
static MU_OF_A: [u8; 256] = {
    let (samples, mut octets, mut octet) = (a_law::samples(), [0; 256], 0);
    while octet < 256 {
        octets[octet] = mu_law::encode(samples[octet]);
        octet += 1;
    }
    octets
};

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

    /// The octet nearest to a sample, which at the beginning of a segment is another one than by the decision values of
    /// G.711: these lie where the segments meet, and steps are of two sizes there.
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
        let mut octet = (segment << 4) as u8 | step as u8;
        if segment > 0 && biased < 0x102 << (segment - 1) {
            // Before the middle between the last level of the segment below and the first of this one.
            octet -= 1;
        }
        !(octet | if negative { 0x80 } else { 0 })
    }

    /// The sample of an octet.
    #[must_use]
    pub fn decode(octet: u8) -> i16 {
        SAMPLES[usize::from(octet)]
    }

    pub(super) const fn samples() -> [i16; 256] {
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

    /// The octet nearest to a sample; see [`mu_law::encode`](super::mu_law::encode).
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
            let octet = (segment << 4) | (magnitude >> segment & 0x0f);
            // In sixteen bits, since the middle between two levels is finer than thirteen.
            let sample = if negative { -(sample as i32) } else { sample as i32 };
            let is_below = segment > 1 && sample < 0x204 << (segment - 2);
            octet - is_below as i32
        };
        (octet as u8 | if negative { 0 } else { 0x80 }) ^ INVERTED
    }

    /// The sample of an octet.
    #[must_use]
    pub fn decode(octet: u8) -> i16 {
        SAMPLES[usize::from(octet)]
    }

    pub(super) const fn samples() -> [i16; 256] {
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
    use super::{Law, a_law, mu_law};

    fn packet(payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let header = [0x80, 0x80 | payload_type, 0, 7, 0, 0, 0, 160, 1, 2, 3, 4];
        [&header[..], payload].concat()
    }

    #[test]
    fn every_octet_of_one_law_is_told_in_the_other_as_its_samples_are() {
        let all: Vec<u8> = (0..=255).collect();
        let told = |law: Law| {
            let mut recoded = packet(law.payload_type(), &all);
            law.recode(&mut recoded);
            assert_eq!(recoded[..12], packet(law.other().payload_type(), &[])[..]);
            recoded.split_off(12)
        };
        let (a, mu) = (told(Law::Mu), told(Law::A));
        for octet in 0..=255_u8 {
            let at = usize::from(octet);
            assert_eq!(a[at], a_law::encode(mu_law::decode(octet)), "µ-law {octet:#04x}");
            assert_eq!(mu[at], mu_law::encode(a_law::decode(octet)), "A-law {octet:#04x}");
            // What is told differs by no more than half a step of the coarser law there.
            for (said, heard) in [
                (mu_law::decode(octet), a_law::decode(a[at])),
                (a_law::decode(octet), mu_law::decode(mu[at])),
            ] {
                let (said, heard) = (i32::from(said), i32::from(heard));
                assert!((said - heard).abs() <= said.abs() / 16 + 16, "{said} as {heard}");
            }
        }
        assert_eq!((a[0], mu[0]), (0x2a, 0x29), "as rtpengine's tests have them");
        assert_eq!((a[0xff], mu[0xd5]), (a_law::SILENCE, 0xfe), "silence");
    }

    #[test]
    fn what_is_not_of_the_law_stays_and_so_does_what_stands_around_it() {
        for payload_type in [8, 101, 13] {
            let before = packet(payload_type, &[1, 2, 3]);
            let mut after = before.clone();
            Law::Mu.recode(&mut after);
            assert_eq!(after, before);
        }
        for mut nothing in [vec![], vec![0x80, 0], packet(0, &[])] {
            Law::Mu.recode(&mut nothing);
        }
        // One contributing source before the payload, and two octets of padding after it.
        let mut padded = packet(0, &[9, 9, 9, 9, 0xff, 0, 2]);
        padded[0] |= 0x21;
        Law::Mu.recode(&mut padded);
        assert_eq!(padded[12..], [9, 9, 9, 9, 0xd5, 0, 2]);
    }

    #[test]
    fn a_law_is_the_only_one_where_the_other_is_not() {
        assert_eq!(Law::only_of(&[101, 0]), Some(Law::Mu));
        assert_eq!(Law::only_of(&[8]), Some(Law::A));
        assert_eq!(Law::only_of(&[8, 0]), None);
        assert_eq!(Law::only_of(&[96]), None);
        assert_eq!(
            (Law::named("pcma"), Law::named("PCMU")),
            (Some(Law::A), Some(Law::Mu))
        );
        assert_eq!(Law::named("G729"), None);
    }

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

    #[test]
    fn no_octet_is_nearer_than_the_one_that_is_chosen() {
        for sample in i16::MIN..=i16::MAX {
            let away = |decoded: i16| i32::from(decoded).abs_diff(i32::from(sample));
            for (name, chosen, decode) in [
                ("µ-law", mu_law::encode(sample), mu_law::decode as fn(u8) -> i16),
                ("A-law", a_law::encode(sample), a_law::decode),
            ] {
                let nearest = (0..=255).map(|octet| away(decode(octet))).min();
                assert_eq!(Some(away(decode(chosen))), nearest, "{name} {sample}");
            }
        }
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
