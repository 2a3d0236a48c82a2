//! Sine waves in integers: the same samples on every machine, and no arithmetic of floats while a call runs.

use crate::media::CLOCK_HZ;

/// Every frequency here is a multiple of this, in Hz: one turn through [`SINE`].
pub(super) const STEP_HZ: u32 = 25;

/// Samples of one turn.
const TURN: usize = (CLOCK_HZ / STEP_HZ) as usize;

/// One turn of a sine, from -32,767 to 32,767.
static SINE: [i16; TURN] = sine();

/// The sample at `position`, counted from the tone's beginning, of a sine of so many Hz.
pub(super) fn sine_at(hertz: u32, position: u32) -> i32 {
    debug_assert_eq!(hertz % STEP_HZ, 0, "{hertz} Hz is no multiple of {STEP_HZ}");
    let step = (hertz / STEP_HZ) as usize;
    let at = (position as usize % TURN) * step % TURN;
    i32::from(SINE[at])
}

/// `amplitude`, faded in after a tone's beginning and out before its end over `fade` samples: a tone that begins at
/// once clicks.
pub(super) fn faded(amplitude: i32, position: u32, length: u32, fade: u32) -> i32 {
    let edge = position.min(length.saturating_sub(position)).min(fade);
    amplitude * edge as i32 / fade as i32
}

const fn sine() -> [i16; TURN] {
    let mut table = [0; TURN];
    let quarter = TURN / 4;
    let mut i = 0;
    while i < TURN {
        let within = i % quarter;
        let rising = (i / quarter).is_multiple_of(2);
        let magnitude = quarter_sine(if rising { within } else { quarter - within }, quarter);
        table[i] = if i < TURN / 2 { magnitude } else { -magnitude };
        i += 1;
    }
    table
}

/// The sine of `i` of `quarter` parts of a right angle by its series; the error is far below one step of 16 bits.
const fn quarter_sine(i: usize, quarter: usize) -> i16 {
    let x = i as f64 / quarter as f64 * std::f64::consts::FRAC_PI_2;
    let mut term = x;
    let mut sum = x;
    let mut n = 1;
    while n <= 9 {
        term = -term * x * x / ((2 * n) * (2 * n + 1)) as f64;
        sum += term;
        n += 1;
    }
    (sum * 32_767.0 + 0.5) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_sine() {
        for position in 0..TURN as u32 {
            let angle = f64::from(position) / TURN as f64 * std::f64::consts::TAU;
            let expected = angle.sin() * 32_767.0;
            let sample = f64::from(sine_at(STEP_HZ, position));
            assert!(
                (sample - expected).abs() <= 1.0,
                "{position}: {sample} for {expected}"
            );
        }
    }

    #[test]
    fn a_tone_turns_as_often_as_it_says() {
        // 400 Hz is twenty samples a turn.
        assert_eq!(
            (sine_at(400, 0), sine_at(400, 5), sine_at(400, 15)),
            (0, 32_767, -32_767)
        );
        assert_eq!(sine_at(400, u32::MAX - 15), sine_at(400, (u32::MAX - 15) % 320));
    }

    #[test]
    fn a_tone_begins_and_ends_in_silence() {
        let at = |position| faded(1_000, position, 800, 80);
        assert_eq!(
            (at(0), at(40), at(80), at(400), at(760), at(800)),
            (0, 500, 1_000, 1_000, 500, 0)
        );
    }
}
