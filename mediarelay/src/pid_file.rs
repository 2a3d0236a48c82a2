//! The file with the process number.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Exists as long as this value does.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes the file, over one that an earlier process may have left.
    pub(crate) fn write(path: &str) -> anyhow::Result<Self> {
        fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write the process number to {path}"))?;
        Ok(Self {
            path: Path::new(path).to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another relay may have taken its place.
        let ours =
            fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == std::process::id().to_string());
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}
