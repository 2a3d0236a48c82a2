//! What it costs to make the disk keep something.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sample::Latencies;

/// What is written before each wait, in octets: a page.
const PAGE: usize = 4_096;

/// How long one `fdatasync` takes after a page was written into `folder`: the median of `times`.
///
/// # Errors
/// The folder cannot be written to.
pub fn sync_time(folder: &Path, times: usize) -> std::io::Result<Duration> {
    let path = folder.join("sync-time");
    let mut file = File::create(&path)?;
    let mut latencies = Latencies::default();
    for _ in 0..times.max(1) {
        file.write_all(&[0x55; PAGE])?;
        let begun = Instant::now();
        file.sync_data()?;
        latencies.add(begun.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(latencies.percentile(50).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("viaduct-bench-disk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        sync_time(&folder, 3).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
        assert!(sync_time(&folder, 1).is_err());
    }
}
