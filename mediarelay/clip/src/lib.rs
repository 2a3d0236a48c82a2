//! What can be played to a party: WAV files as speech of the telephone, 8,000 samples a second on one channel.
//!
//! ```
//! # fn main() -> Result<(), viaduct_clip::ClipError> {
//! use viaduct_clip::Clip;
//!
//! let silence = Clip::new(vec![0; 800]);
//! let again = Clip::parse(&silence.to_wav())?;
//! assert_eq!(again.duration().as_millis(), 100);
//! # Ok(())
//! # }
//! ```

use std::io::Cursor;
use std::time::Duration;

use hound::{SampleFormat, WavReader, WavSpec};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Samples a second of a clip.
pub const SAMPLE_RATE: u32 = 8_000;

/// Rates that files may have. Others are those of no recorder, and could ask for tables of any size.
const RATES: [u32; 10] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
];

/// Samples that are converted to another rate at a time; what comes out does not depend on it.
const CHUNK: usize = 1_024;

/// Something to be played.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clip {
    samples: Box<[i16]>,
}

/// Why something cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// It is none of the WAV files that are understood: PCM of 8 to 32 bits, or floating point of 32.
    #[error("not a WAV file that can be played: {0}")]
    Wav(#[from] hound::Error),
    /// Its sampling rate, Hz.
    #[error("a sampling rate of {0} Hz is not supported; convert it to 8000 Hz")]
    Rate(u32),
    /// It has no samples.
    #[error("it is empty")]
    Empty,
    /// Its samples could not be brought to 8,000 Hz.
    #[error("converting its sampling rate: {0}")]
    Resampling(String),
}

impl Clip {
    /// A clip of these samples, 8,000 for each second.
    #[must_use]
    pub fn new(samples: Vec<i16>) -> Self {
        Self {
            samples: samples.into(),
        }
    }

    /// Reads a WAV file. Several channels become one, and 8,000 samples a second are made of more.
    ///
    /// It takes time in proportion to the octets, as little as copying for files of [`to_wav`](Self::to_wav), and some 10 ms
    /// for each megabyte of others.
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn parse(wav: &[u8]) -> Result<Self, ClipError> {
        if let Some(samples) = plain_samples(wav).filter(|samples| !samples.is_empty()) {
            return Ok(Self::new(samples));
        }
        let reader = WavReader::new(Cursor::new(wav))?;
        let spec = reader.spec();
        if !RATES.contains(&spec.sample_rate) {
            return Err(ClipError::Rate(spec.sample_rate));
        }
        let samples = match spec.sample_format {
            SampleFormat::Int if spec.bits_per_sample == 16 && is_plain(spec) => {
                reader.into_samples().collect::<Result<Vec<i16>, _>>()?
            }
            SampleFormat::Int => {
                let full = f32::from(2_u16).powi(i32::from(spec.bits_per_sample) - 1);
                let samples = reader.into_samples::<i32>();
                let samples: Result<Vec<f32>, _> = samples
                    .map(|sample| Ok::<_, hound::Error>(sample? as f32 / full))
                    .collect();
                convert(spec, &samples?)?
            }
            SampleFormat::Float => {
                let samples: Result<Vec<f32>, _> = reader.into_samples().collect();
                convert(spec, &samples?)?
            }
        };
        if samples.is_empty() {
            return Err(ClipError::Empty);
        }
        Ok(Self::new(samples))
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// How long it is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let samples = self.samples.len() as u64;
        Duration::from_micros(samples * 1_000_000 / u64::from(SAMPLE_RATE))
    }

    /// A WAV file that [`parse`](Self::parse) reads as quickly as it can be copied.
    #[must_use]
    pub fn to_wav(&self) -> Vec<u8> {
        let len = 2 * self.samples.len();
        let mut file = Vec::with_capacity(PLAIN_HEADER + len);
        file.extend(plain_header(len));
        file.extend(self.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        file
    }
}

/// Octets before the samples of a file of ours.
const PLAIN_HEADER: usize = 44;

/// How a file of ours begins that has so many octets of samples.
fn plain_header(len: usize) -> [u8; PLAIN_HEADER] {
    // What is longer than the field can say is read all the same, by us alone.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let mut header = *b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\x02\0\x10\0data\0\0\0\0";
    header[4..8].copy_from_slice(&len.saturating_add(36).to_le_bytes());
    header[24..28].copy_from_slice(&SAMPLE_RATE.to_le_bytes());
    header[28..32].copy_from_slice(&(2 * SAMPLE_RATE).to_le_bytes());
    header[40..].copy_from_slice(&len.to_le_bytes());
    header
}

/// The samples of a file of ours.
fn plain_samples(file: &[u8]) -> Option<Vec<i16>> {
    let (header, octets) = file.split_first_chunk()?;
    let (samples, []) = octets.as_chunks() else {
        return None;
    };
    let samples = (*header == plain_header(octets.len())).then_some(samples)?;
    Some(samples.iter().copied().map(i16::from_le_bytes).collect())
}

/// Whether nothing has to be converted.
fn is_plain(spec: WavSpec) -> bool {
    spec.channels == 1 && spec.sample_rate == SAMPLE_RATE
}

/// One channel of 8,000 samples a second, from samples of -1 to 1.
fn convert(spec: WavSpec, samples: &[f32]) -> Result<Vec<i16>, ClipError> {
    let channels = usize::from(spec.channels).max(1);
    let mut mono: Vec<f32> = samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().copied().map(finite).sum::<f32>() / channels as f32)
        .collect();
    if spec.sample_rate != SAMPLE_RATE && !mono.is_empty() {
        mono = resample(spec.sample_rate, &mono).map_err(ClipError::Resampling)?;
    }
    // `as` keeps what is louder than can be told at the loudest.
    Ok(mono
        .into_iter()
        .map(|sample| (sample * 32_768.0) as i16)
        .collect())
}

/// What is no number is silence.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() {
        sample.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

fn resample(from: u32, samples: &[f32]) -> Result<Vec<f32>, String> {
    let (from, to) = (from as usize, SAMPLE_RATE as usize);
    let input = InterleavedSlice::new(samples, 1, samples.len()).map_err(|error| error.to_string())?;
    let mut resampler =
        Fft::<f32>::new(from, to, CHUNK, 1, FixedSync::Both).map_err(|error| error.to_string())?;
    let output = resampler
        .process_all(&input, samples.len(), None)
        .map_err(|error| error.to_string())?;
    Ok(output.take_data())
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use hound::WavWriter;

    use super::*;

    /// Half a second of a tone of 440 Hz, half as loud as can be, on so many channels.
    fn tone(rate: u32, channels: u16, bits: u16, format: SampleFormat) -> Vec<u8> {
        let spec = WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: format,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        for at in 0..rate / 2 {
            let sample = 0.5 * (TAU * 440.0 * at as f32 / rate as f32).sin();
            for _ in 0..channels {
                match format {
                    SampleFormat::Float => writer.write_sample(sample).unwrap(),
                    SampleFormat::Int => {
                        let full = 2_f32.powi(i32::from(bits) - 1) - 1.0;
                        writer.write_sample((sample * full) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    /// How loud a tone of so many Hz is in a clip, 1 being as loud as can be.
    fn loudness(clip: &Clip, hertz: f32) -> f32 {
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (at, sample) in clip.samples().iter().enumerate() {
            let angle = TAU * hertz * at as f32 / SAMPLE_RATE as f32;
            let sample = f32::from(*sample) / 32_768.0;
            sine += sample * angle.sin();
            cosine += sample * angle.cos();
        }
        2.0 * sine.hypot(cosine) / clip.samples().len() as f32
    }

    #[test]
    fn whatever_a_file_is_made_of_it_sounds_the_same() {
        for rate in RATES {
            for (channels, bits, format) in [
                (1, 16, SampleFormat::Int),
                (2, 16, SampleFormat::Int),
                (1, 8, SampleFormat::Int),
                (6, 24, SampleFormat::Int),
                (2, 32, SampleFormat::Int),
                (1, 32, SampleFormat::Float),
            ] {
                let clip = Clip::parse(&tone(rate, channels, bits, format)).unwrap();
                let about = format!("{rate} Hz, {channels} channels of {bits} bits");
                assert!((clip.duration().as_millis()).abs_diff(500) <= 1, "{about}");
                assert!((loudness(&clip, 440.0) - 0.5).abs() < 0.02, "{about}");
                assert!(loudness(&clip, 880.0) < 0.01, "{about}");
            }
        }
    }

    #[test]
    fn what_the_telephone_cannot_carry_is_left_out_rather_than_heard_as_something_else() {
        let spec = WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        for at in 0..48_000 {
            let sample = (TAU * 7_000.0 * at as f32 / 48_000.0).sin();
            writer.write_sample((sample * 16_000.0) as i16).unwrap();
        }
        writer.finalize().unwrap();
        let clip = Clip::parse(&file.into_inner()).unwrap();
        // 7,000 Hz would be heard as 1,000.
        assert!(loudness(&clip, 1_000.0) < 0.001);
    }

    #[test]
    fn a_clip_survives_the_round_trip() {
        let clip = Clip::new((0..4_000).map(|at| (at * 7 - 9_000) as i16).collect());
        let file = clip.to_wav();
        assert_eq!(Clip::parse(&file).unwrap(), clip);
        assert_eq!(clip.duration(), Duration::from_millis(500));
        // So others read it.
        let samples = WavReader::new(Cursor::new(&file)).unwrap().into_samples::<i16>();
        assert!(samples.map(Result::unwrap).eq(clip.samples().iter().copied()));
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_a_reason() {
        let good = Clip::new(vec![1; 8]).to_wav();
        let mut odd_rate = good.clone();
        odd_rate[24..28].copy_from_slice(&7_919_u32.to_le_bytes());
        odd_rate[28..32].copy_from_slice(&(2 * 7_919_u32).to_le_bytes());
        assert!(matches!(Clip::parse(&odd_rate), Err(ClipError::Rate(7_919))));
        assert!(matches!(
            Clip::parse(&Clip::new(Vec::new()).to_wav()),
            Err(ClipError::Empty)
        ));
        for cut in 0..good.len() {
            assert!(Clip::parse(&good[..cut]).is_err(), "{cut} octets");
        }
        let mp3 = b"ID3\x04\x00\x00\x00\x00\x00\x00";
        let error = Clip::parse(mp3).unwrap_err().to_string();
        assert!(error.starts_with("not a WAV file"), "{error}");
    }

    #[test]
    fn samples_that_are_no_numbers_are_silent() {
        let spec = WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        for at in 0..16_000 {
            let sample = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0][at % 4];
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let clip = Clip::parse(&file.into_inner()).unwrap();
        assert!(clip.samples().iter().all(|sample| *sample == 0));
    }
}
