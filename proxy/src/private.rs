//! Files and folders that hold secrets: their owner's alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

/// Makes a folder, and those above it, that only its owner may enter. One that exists stays as it is.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))
}

/// Writes a file that only its owner may read.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = options()
        .truncate(true)
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}

/// Makes an empty file that only its owner may read, for others to fill. One that exists stays as it is.
pub(crate) fn touch(path: &Path) -> anyhow::Result<()> {
    options()
        .open(path)
        .map(drop)
        .with_context(|| format!("making {}", path.display()))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nobody_else_may_look() {
        let folder = std::env::temp_dir().join(format!("viaduct-private-{}/inner", std::process::id()));
        make_folder(&folder).unwrap();
        write(&folder.join("written"), "x").unwrap();
        touch(&folder.join("touched")).unwrap();
        touch(&folder.join("written")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("written"))), (0o700, 0o600));
        assert_eq!(mode(&folder.join("touched")), 0o600);
        assert_eq!(std::fs::read(folder.join("written")).unwrap(), b"x");
        std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
