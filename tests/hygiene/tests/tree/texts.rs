//! What no file may say: where it was made.

use viaduct_hygiene::tree::File;

use crate::{FILES, none};

/// Package registries. A name of one in a lock file is a name of the machine that made it, mirrors included.
///
/// Each is written in two pieces, so that this file does not name one.
const REGISTRIES: [(&str, &str); 11] = [
    ("registry.", "npmjs."),
    ("registry.", "yarnpkg."),
    ("npm.pkg.", "github.com"),
    ("npm", "mirror."),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("crates.io", "/api"),
    ("crates.io", "-index"),
    ("pypi.", "org"),
    ("python", "hosted.org"),
    ("proxy.", "golang.org"),
];

/// What cargo itself writes for each package from its own registry.
const CARGO_SOURCE: (&str, &str) = (
    "source = \"registry+https://github.com/rust-lang/crates.io",
    "-index\"",
);

/// Folders of the machines on which this is written.
const FOLDERS: [(&str, &str); 2] = [("/wo", "rk/"), ("/ro", "ot/")];

fn joined((left, right): (&str, &str)) -> String {
    format!("{left}{right}")
}

/// Files as lines, those of Cargo.lock that cargo writes by itself left out.
fn lines(file: &File) -> impl Iterator<Item = (usize, String)> {
    let own = joined(CARGO_SOURCE);
    let is_lock = file.path.ends_with("Cargo.lock");
    let text = String::from_utf8_lossy(&file.octets).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines
        .into_iter()
        .enumerate()
        .filter(move |(_, line)| !(is_lock && *line == own))
}

#[test]
fn no_file_names_a_registry() {
    let mut findings = Vec::new();
    for file in FILES.iter() {
        let is_npm_lock = file.path.ends_with("package-lock.json");
        for (at, line) in lines(file) {
            let named = REGISTRIES
                .into_iter()
                .map(joined)
                .find(|name| line.contains(name));
            // Of npm's lock files no host at all: a mirror can have any name.
            let resolved = is_npm_lock && line.contains("\"resolved\"") && line.contains("://");
            if let Some(name) = named.or_else(|| resolved.then(|| "the place of a package".to_owned())) {
                findings.push(format!("{}:{}: names {name}", file.path, at + 1));
            }
        }
    }
    none(findings);
}

#[test]
fn no_file_names_a_folder_of_its_author() {
    let mut findings = Vec::new();
    for file in FILES.iter() {
        for (at, line) in lines(file) {
            for folder in FOLDERS
                .into_iter()
                .map(joined)
                .filter(|folder| begins_a_path(&line, folder))
            {
                findings.push(format!("{}:{}: names {folder}", file.path, at + 1));
            }
        }
    }
    none(findings);
}

/// Whether the folder stands in the line as the beginning of a path, not in the middle of one.
fn begins_a_path(line: &str, folder: &str) -> bool {
    let is_of_path = |character: char| character.is_alphanumeric() || "._-~/}$)".contains(character);
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(is_of_path))
}

#[test]
fn a_folder_is_found_where_a_path_begins() {
    let folder = joined(FOLDERS[0]);
    for line in [
        format!("cd {folder}x"),
        folder.clone(),
        format!("\"{folder}\""),
        format!("file={folder}a"),
    ] {
        assert!(begins_a_path(&line, &folder), "{line}");
    }
    for line in [
        format!("target{folder}x"),
        format!("$HOME{folder}"),
        "homework/".to_owned(),
    ] {
        assert!(!begins_a_path(&line, &folder), "{line}");
    }
}
