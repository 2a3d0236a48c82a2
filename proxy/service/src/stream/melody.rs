//! The music service's tune: plucked notes over two held ones, from a score of sixteen seconds, for ever.

use super::wave::sine_at;

/// The keynote in Hz. It is held softly through the whole tune, so any second of it shows it.
pub const MUSIC_BASE_HZ: u32 = 400;

/// The fifth above the keynote in Hz, held more softly.
pub const MUSIC_FIFTH_HZ: u32 = MUSIC_BASE_HZ / 2 * 3;

/// Samples from one note to the next: 250 ms.
const NOTE_SAMPLES: u32 = 2_000;

/// Peaks of the held notes: 22 and 28 dB below full scale.
const HELD: [(u32, i32); 2] = [(MUSIC_BASE_HZ, 2_600), (MUSIC_FIFTH_HZ, 1_300)];

/// How loud a note is plucked, in 16.16 fixed point.
const PLUCKED: u32 = 7_500 << 16;

/// The part of its loudness that a note loses with every sample, a time constant of 250 ms.
const DECAY: u32 = 2_000;

/// A plucked note reaches its loudness over so many samples, 5 ms.
const ATTACK_SAMPLES: u32 = 40;

/// Overtones of a plucked note: multiple of its frequency, and loudness in 64ths.
const OVERTONES: [(u32, i32); 3] = [(1, 64), (2, 20), (3, 8)];

/// Notes that sound together: the latest, and those that die away.
const VOICES: usize = 3;

/// A rest.
const REST: u32 = 0;

/// The phrases in Hz, all in just intonation on the keynote, eight notes each.
const A: [u32; 8] = [400, 500, 600, 800, 600, 500, 450, REST];
const B: [u32; 8] = [450, 500, 600, 675, 600, 500, 400, REST];
const C: [u32; 8] = [675, 600, 500, 600, 800, 900, 800, REST];
const D: [u32; 8] = [1_000, 900, 800, 675, 600, 500, 450, 400];

/// The tune, then from the beginning.
const SCORE: [[u32; 8]; 8] = [A, B, A, D, C, B, A, B];

/// The tune and how far it has been played.
#[derive(Debug, Default)]
pub(super) struct Melody {
    /// Samples played; wraps after six days, where the tune is not at its beginning and nobody minds.
    position: u32,
    voices: [Voice; VOICES],
}

#[derive(Debug, Default, Clone, Copy)]
struct Voice {
    hertz: u32,
    age: u32,
    loudness: u32,
}

impl Melody {
    /// The next sample.
    pub(super) fn next(&mut self) -> i16 {
        if self.position.is_multiple_of(NOTE_SAMPLES) {
            self.pluck(self.position / NOTE_SAMPLES);
        }
        let held: i32 = HELD
            .iter()
            .map(|(hertz, peak)| scaled(sine_at(*hertz, self.position), *peak))
            .sum();
        let plucked: i32 = self.voices.iter_mut().map(Voice::next).sum();
        self.position = self.position.wrapping_add(1);
        // The held notes swell over the first note, so that the tune does not begin with a click.
        let held = held * self.position.clamp(1, NOTE_SAMPLES) as i32 / NOTE_SAMPLES as i32;
        (held + plucked).clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    fn pluck(&mut self, note: u32) {
        let (phrase, within) = (note as usize / A.len() % SCORE.len(), note as usize % A.len());
        let hertz = SCORE[phrase][within];
        if hertz == REST {
            return;
        }
        self.voices.rotate_right(1);
        self.voices[0] = Voice {
            hertz,
            age: 0,
            loudness: PLUCKED,
        };
    }
}

impl Voice {
    fn next(&mut self) -> i32 {
        let tone: i32 = OVERTONES
            .iter()
            .map(|(multiple, part)| sine_at(self.hertz * multiple, self.age) * part / 64)
            .sum();
        let attack = self.age.min(ATTACK_SAMPLES) as i32;
        let loudness = (self.loudness >> 16) as i32 * attack / ATTACK_SAMPLES as i32;
        self.age = self.age.wrapping_add(1);
        self.loudness -= self.loudness / DECAY;
        scaled(tone, loudness)
    }
}

fn scaled(sample: i32, peak: i32) -> i32 {
    sample * peak / 32_767
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_every_time_and_never_ends() {
        let (mut one, mut other) = (Melody::default(), Melody::default());
        assert!((0..40_000).all(|_| one.next() == other.next()));
        // The score is 128,000 samples long. Once the first notes of the next round are all that sounds, it is the
        // same again, but for the held notes' swell.
        let mut played = Melody::default();
        let samples: Vec<i16> = (0..3 * 128_000).map(|_| played.next()).collect();
        assert_eq!(samples[128_000..256_000], samples[256_000..]);
    }

    #[test]
    fn it_stays_clear_of_full_scale_and_of_silence() {
        let mut melody = Melody::default();
        let samples: Vec<i16> = (0..256_000).map(|_| melody.next()).collect();
        let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((8_000..26_000).contains(&loudest), "{loudest}");
        for second in samples.chunks(8_000) {
            assert!(second.iter().any(|sample| sample.abs() > 1_500));
        }
    }

    #[test]
    fn it_wraps_without_a_fault() {
        let mut melody = Melody {
            position: u32::MAX - 10,
            ..Melody::default()
        };
        (0..100).for_each(|_| {
            melody.next();
        });
    }
}
