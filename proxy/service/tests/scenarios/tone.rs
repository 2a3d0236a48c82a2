//! Measures tones.

use std::f64::consts::TAU;

use viaduct_service::CLOCK_HZ;

/// The amplitude of one frequency in samples, by Goertzel's algorithm. A sine of that frequency gives its peak.
pub(crate) fn amplitude(samples: &[i16], hertz: u32) -> f64 {
    let turn = TAU * f64::from(hertz) / f64::from(CLOCK_HZ);
    let factor = 2.0 * turn.cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + factor * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - factor * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

/// A sine of this peak, at this sample.
pub(crate) fn sine(hertz: u32, peak: f64, at: u32) -> i16 {
    let turns = f64::from(hertz) * f64::from(at) / f64::from(CLOCK_HZ);
    (peak * (TAU * turns).sin()) as i16
}

#[test]
fn a_sine_is_found_at_its_frequency_and_nowhere_else() {
    let samples: Vec<i16> = (0..1_600).map(|at| sine(700, 10_000.0, at)).collect();
    assert!((amplitude(&samples, 700) - 10_000.0).abs() < 50.0);
    assert!(amplitude(&samples, 750) < 100.0);
}
