//! Gets hold of what NG `play media` is to play, before control has the command: reads files, and converts what would take
//! control's time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Semaphore;
use viaduct_clip::{Clip, ClipError};
use viaduct_ng::{ByteString, Dict, ErrorReason, Value};

/// Files that are read and converted at a time: further ones wait, as their memory is several times their size.
const AT_A_TIME: usize = 2;

/// Why something cannot be played.
#[derive(Debug, thiserror::Error)]
enum Unplayable {
    #[error("the path is not UTF-8")]
    Path,
    #[error("{}: {cause}", .path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("it is larger than {0} octets")]
    TooLarge(usize),
    #[error("blob64 is not base64")]
    Base64,
    #[error(transparent)]
    Clip(#[from] ClipError),
    #[error("it was not read to the end")]
    Lost,
}

/// Where what is to be played comes from.
enum Source {
    File(PathBuf),
    Blob(ByteString),
    Base64(ByteString),
}

/// Prepares what is to be played; clones share the room for it.
#[derive(Debug, Clone)]
pub(super) struct Media {
    octets_max: usize,
    room: Arc<Semaphore>,
}

impl Media {
    /// Takes files of at most so many octets.
    pub(super) fn new(octets_max: usize) -> Self {
        Self {
            octets_max,
            room: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Puts what a command names (`file`, `blob`, `blob64`) into its `blob`, in the form that takes control the least time. A
    /// command that names nothing stays as it is.
    ///
    /// # Errors
    /// What the command is to be answered with.
    pub(super) async fn prepare(&self, body: &mut Dict) -> Result<(), ErrorReason> {
        let Some(source) = source(body) else {
            return Ok(());
        };
        let clip = match source {
            Ok(source) => self.read(source).await,
            Err(why) => Err(why),
        };
        let clip = clip.map_err(|why| {
            let text = format!("Failed to start media playback: {why}");
            ErrorReason::Other(text.as_str().into())
        })?;
        body.insert("blob", Value::Bytes(clip.into()));
        Ok(())
    }

    async fn read(&self, source: Source) -> Result<Vec<u8>, Unplayable> {
        // The semaphore is never closed.
        let _room = self.room.acquire().await;
        let octets_max = self.octets_max;
        let read = tokio::task::spawn_blocking(move || {
            let octets = match source {
                Source::File(path) => read_file(&path, octets_max)?,
                Source::Blob(octets) => octets.to_vec(),
                Source::Base64(text) => BASE64_STANDARD.decode(&*text).map_err(|_| Unplayable::Base64)?,
            };
            if octets.len() > octets_max {
                return Err(Unplayable::TooLarge(octets_max));
            }
            Ok(Clip::parse(&octets)?.to_wav())
        });
        read.await.map_err(|_| Unplayable::Lost)?
    }
}

/// What a command names, taken out of it.
fn source(body: &mut Dict) -> Option<Result<Source, Unplayable>> {
    let mut take = |key: &str| body.remove(key).and_then(|value| value.to_bytes());
    let (file, blob, base64) = (take("file"), take("blob"), take("blob64"));
    if let Some(path) = file {
        let path = path.as_text().map(PathBuf::from);
        return Some(path.map(Source::File).ok_or(Unplayable::Path));
    }
    let source = blob.map(Source::Blob).or(base64.map(Source::Base64));
    source.map(Ok)
}

fn read_file(path: &Path, octets_max: usize) -> Result<Vec<u8>, Unplayable> {
    let failed = |cause| Unplayable::File {
        path: path.to_owned(),
        cause,
    };
    // Opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a file")));
    }
    let file = File::open(path).map_err(failed)?;
    let mut octets = Vec::new();
    let one_more = octets_max as u64 + 1;
    file.take(one_more).read_to_end(&mut octets).map_err(failed)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn prepared(octets_max: usize, keys: &[(&str, &[u8])]) -> Result<Option<Vec<u8>>, String> {
        let mut body = Dict::new();
        for (key, value) in keys {
            body.insert(*key, Value::Bytes(value.to_vec().into()));
        }
        let prepared = Media::new(octets_max).prepare(&mut body).await;
        prepared.map_err(|reason| reason.to_string())?;
        assert!(body.get("file").is_none() && body.get("blob64").is_none());
        Ok(body
            .get("blob")
            .and_then(Value::as_bytes)
            .map(|blob| blob.to_vec()))
    }

    #[tokio::test]
    async fn wherever_a_clip_is_control_gets_it_in_one_form() {
        let clip = Clip::new((0..800).collect());
        let plain = clip.to_wav();
        let name = format!("viaduct hello {}.wav", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, &plain).unwrap();
        let path = file.to_str().unwrap().as_bytes();
        let base64 = BASE64_STANDARD.encode(&plain);
        for keys in [
            vec![("file", path)],
            vec![("blob", &plain[..])],
            vec![("blob64", base64.as_bytes())],
            vec![("blob", b"not this one".as_slice()), ("file", path)],
        ] {
            assert_eq!(prepared(1 << 20, &keys).await, Ok(Some(plain.clone())));
        }
        assert_eq!(prepared(1 << 20, &[]).await, Ok(None));
        std::fs::remove_file(&file).unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_and_says_why() {
        let clip = Clip::new(vec![0; 800]).to_wav();
        let why = |text: &str| Err(format!("Failed to start media playback: {text}"));
        assert_eq!(
            prepared(100, &[("file", b"/nowhere/at/all.wav")]).await,
            why("/nowhere/at/all.wav: No such file or directory (os error 2)")
        );
        assert_eq!(
            prepared(100, &[("file", b"/dev/zero")]).await,
            why("/dev/zero: not a file")
        );
        assert_eq!(
            prepared(100, &[("file", b"\xff")]).await,
            why("the path is not UTF-8")
        );
        assert_eq!(
            prepared(100, &[("blob", &clip)]).await,
            why("it is larger than 100 octets")
        );
        assert_eq!(
            prepared(100, &[("blob64", b"!")]).await,
            why("blob64 is not base64")
        );
        assert_eq!(
            prepared(100, &[("blob", b"ID3 and no WAV")]).await,
            why("not a WAV file that can be played: Ill-formed WAVE file: no RIFF tag found")
        );
    }
}
