//! Where an instance's programs and tables are pinned: `<bpffs>/viaduct/<instance>/`.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Names that may not be longer, so that they fit wherever they are shown.
const NAME_MAX: usize = 32;
/// What the pins of interfaces begin with; the interface's number follows.
const LINK: &str = "link-";

/// The name of a relay among those of this host: letters, digits, `-` and `_`, at most 32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(String);

/// A text that names no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 32 letters, digits, `-` or `_`")]
pub struct InstanceError;

impl FromStr for Instance {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, InstanceError> {
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        let fits = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_owned())).ok_or(InstanceError)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Instance {
    /// `default`, for the only relay of a host.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// The folder of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn of(bpffs: &Path, instance: &Instance) -> Self {
        Self(bpffs.join("viaduct").join(&instance.0))
    }

    /// The instances that have a folder.
    pub(crate) fn instances(bpffs: &Path) -> Vec<Instance> {
        let entries = fs::read_dir(bpffs.join("viaduct")).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut instances: Vec<Instance> = names.filter_map(|name| name.parse().ok()).collect();
        instances.sort();
        instances
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn link(&self, ifindex: u32) -> PathBuf {
        self.0.join(format!("{LINK}{ifindex}"))
    }

    /// The numbers of the interfaces that a program is pinned for.
    pub(crate) fn links(&self) -> io::Result<Vec<u32>> {
        let mut links = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(LINK));
            links.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        links.sort_unstable();
        Ok(links)
    }

    /// Makes it, for us alone, and locks it as long as the result lives. `WouldBlock`: another process has it.
    pub(crate) fn claim(&self) -> io::Result<Lock> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        self.lock()
    }

    /// Locks it. `WouldBlock`: a process has it.
    pub(crate) fn lock(&self) -> io::Result<Lock> {
        let folder = File::open(&self.0)?;
        folder.try_lock().map_err(io::Error::from)?;
        Ok(Lock(folder))
    }

    /// Removes every pin. What nobody else holds, attached programs among it, is gone with the last pin.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Removes it with all that it holds, and the folder of all instances with the last one.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.clear()?;
        fs::remove_dir(&self.0)?;
        if let Some(parent) = self.0.parent() {
            // Stays while there are others.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }
}

/// The right to an instance, as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that has not begun its own program yet holds the file open as well.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_word() {
        for good in ["default", "relay-2", "A_b", &"x".repeat(32)] {
            assert_eq!(good.parse::<Instance>().unwrap().to_string(), good);
        }
        for bad in ["", "..", "a/b", "a.b", "a b", "ä", &"x".repeat(33)] {
            assert_eq!(bad.parse::<Instance>(), Err(InstanceError), "{bad}");
        }
    }
}
