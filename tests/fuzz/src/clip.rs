//! WAV files that somebody wants played.

use viaduct_clip::Clip;

/// Reads octets as a WAV file.
///
/// Laws: what can be played is not empty and lasts as long as its samples; written again, it reads the same.
pub fn clip(data: &[u8]) {
    let Ok(clip) = Clip::parse(data) else { return };
    assert!(!clip.samples().is_empty());
    assert_eq!(clip.duration().as_micros(), clip.samples().len() as u128 * 125);
    // However much is claimed to be there, no more is made than a fixed multiple of what is.
    assert!(clip.samples().len() <= 16_384 + data.len());
    assert_eq!(Clip::parse(&clip.to_wav()).unwrap(), clip);
}
