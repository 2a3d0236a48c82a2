//! What the echo service says before it listens: three rising tones.

use super::wave::{faded, sine_at};

/// The tones of the echo service's chime in Hz: a major triad (4 : 5 : 6), none of them a DTMF frequency.
pub const CHIME_HZ: [u32; 3] = [600, 750, 900];

/// How long each tone sounds, in samples: 300 ms.
pub const CHIME_TONE_SAMPLES: u32 = 2_400;

/// The pause between two tones, in samples: 50 ms.
pub const CHIME_PAUSE_SAMPLES: u32 = 400;

/// The whole chime, in samples: 1 s.
pub const CHIME_SAMPLES: u32 =
    CHIME_HZ.len() as u32 * (CHIME_TONE_SAMPLES + CHIME_PAUSE_SAMPLES) - CHIME_PAUSE_SAMPLES;

/// Loudest sample: 12 dB below full scale.
const AMPLITUDE: i32 = 8_192;

/// 10 ms.
const FADE_SAMPLES: u32 = 80;

/// A chime and how far it has sounded.
#[derive(Debug, Default)]
pub(super) struct Chime {
    position: u32,
}

impl Iterator for Chime {
    type Item = i16;

    fn next(&mut self) -> Option<i16> {
        if self.position >= CHIME_SAMPLES {
            return None;
        }
        let period = CHIME_TONE_SAMPLES + CHIME_PAUSE_SAMPLES;
        let (tone, within) = (self.position / period, self.position % period);
        self.position += 1;
        let hertz = CHIME_HZ[tone as usize];
        let amplitude = faded(AMPLITUDE, within, CHIME_TONE_SAMPLES, FADE_SAMPLES);
        Some((sine_at(hertz, within) * amplitude / 32_767) as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_one_second_and_pauses_between_tones() {
        let samples: Vec<i16> = Chime::default().collect();
        assert_eq!(samples.len(), 8_000);
        let loud = |range: std::ops::Range<usize>| samples[range].iter().any(|sample| sample.abs() > 4_000);
        assert!(loud(0..2_400) && loud(2_800..5_200) && loud(5_600..8_000));
        assert!(!loud(2_400..2_800) && !loud(5_200..5_600));
    }
}
