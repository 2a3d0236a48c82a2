//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// What a walk never enters, whatever `.gitignore` says.
const NEVER: [&str; 1] = [".git"];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub octets: Vec<u8>,
}

impl File {
    /// The part of the name after its last dot.
    pub fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The file as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.octets).ok()
    }
}

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A line of a `.gitignore` is of a form that is not understood here.
    #[error("{file}: `{pattern}` is none of the forms that the checks understand: /path, name, *.ending")]
    IgnorePattern {
        /// Which file.
        file: String,
        /// The line.
        pattern: String,
    },
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // This crate is `tests/hygiene`.
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Every file that no `.gitignore` names, in order of its path. What git knows is not asked, so that a copy of the tree
/// without its history can be checked as well.
///
/// # Errors
/// [`TreeError`].
pub fn files() -> Result<Vec<File>, TreeError> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), Ignored::default())];
    while let Some((folder, mut ignored)) = folders.pop() {
        let here = root.join(&folder);
        let own = here.join(".gitignore");
        if own.is_file() {
            ignored.add(&folder, &String::from_utf8_lossy(&read(&own)?))?;
        }
        let unreadable = |cause| TreeError::Unreadable {
            path: here.clone(),
            cause,
        };
        for entry in fs::read_dir(&here).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(unreadable)?;
            if ignored.covers(&path) {
                continue;
            }
            if kind.is_dir() {
                folders.push((format!("{path}/"), ignored.clone()));
            } else if kind.is_file() {
                let octets = read(&entry.path())?;
                files.push(File { path, octets });
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, TreeError> {
    fs::read(path).map_err(|cause| TreeError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

/// What the `.gitignore` files from the root down to a folder name, in the three forms that this repository uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ignored {
    /// From the root.
    paths: Vec<String>,
    /// Of a file or folder at any depth.
    names: Vec<String>,
    /// Of a name at any depth, with its dot.
    endings: Vec<String>,
}

impl Ignored {
    /// Takes in the text of the `.gitignore` of a folder, which is given with its last `/`.
    fn add(&mut self, folder: &str, text: &str) -> Result<(), TreeError> {
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let line = line.strip_suffix('/').unwrap_or(line);
            let is_plain = |text: &str| !text.is_empty() && !text.contains(['*', '?', '[', '!', '\\']);
            let ending = line
                .strip_prefix('*')
                .filter(|ending| is_plain(ending) && !ending.contains('/'));
            if let Some(path) = line.strip_prefix('/').filter(|path| is_plain(path)) {
                self.paths.push(format!("{folder}{path}"));
            } else if let Some(ending) = ending {
                self.endings.push(ending.to_owned());
            } else if is_plain(line) && !line.contains('/') {
                self.names.push(line.to_owned());
            } else {
                return Err(TreeError::IgnorePattern {
                    file: format!("{folder}.gitignore"),
                    pattern: line.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        NEVER.contains(&name)
            || self.paths.iter().any(|ignored| ignored == path)
            || self.names.iter().any(|ignored| ignored == name)
            || self.endings.iter().any(|ending| name.ends_with(ending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(folder: &str, text: &str) -> Result<Ignored, TreeError> {
        let mut ignored = Ignored::default();
        ignored.add(folder, text)?;
        Ok(ignored)
    }

    #[test]
    fn ignored_are_paths_names_and_endings() {
        let ignored = ignored("", "# build\n/target\nnode_modules\n*.pyc\n\n/a/b/\n").unwrap();
        for path in [
            "target",
            "x/node_modules",
            "node_modules",
            "x/y.pyc",
            "a/b",
            ".git",
        ] {
            assert!(ignored.covers(path), "{path}");
        }
        for path in ["x/target", "a", "a/b/c", "b", "y.py", "modules", ".gitignore"] {
            assert!(!ignored.covers(path), "{path}");
        }
    }

    #[test]
    fn paths_of_a_folder_are_below_it() {
        let ignored = ignored("x/y/", "/target\n").unwrap();
        assert!(ignored.covers("x/y/target") && !ignored.covers("target") && !ignored.covers("x/target"));
    }

    #[test]
    fn a_form_that_is_not_understood_is_an_error() {
        for pattern in ["!keep", "a/*/b", "/x*", "a/b", "*", "[ab]"] {
            assert!(ignored("", pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn this_file_is_among_the_files_and_built_ones_are_not() {
        let files = files().unwrap();
        assert!(
            files
                .iter()
                .any(|file| file.path == "tests/hygiene/src/tree.rs" && file.extension() == "rs")
        );
        assert!(
            !files
                .iter()
                .any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/"))
        );
    }
}
