//! What the tests of this crate share: an environment, a stand-in for the relay's flag parser, and files.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use viaduct_settings::{FixedEnvironment, FlagProblem};

/// Secrets, certificates and user tables as the test files name them.
pub(crate) fn environment() -> FixedEnvironment {
    let mut environment = FixedEnvironment::default()
        .with_file("secrets/alice", "apple pie\n")
        .with_file("secrets/bob", "banana split\n")
        .with_file("secrets/201", "kite-amber-42\r\n")
        .with_file("secrets/acme", "cherry tart\n")
        .with_file("secrets/empty", "\n")
        .with_file("secrets/two-lines", "one\ntwo\n")
        .with_file("site.pem", "-----BEGIN CERTIFICATE-----\n")
        .with_file("site.key", "-----BEGIN PRIVATE KEY-----\n")
        .with_variable("BOB_SECRET", "banana split")
        .with_variable("SECOND_SECRET", "date cake");
    environment
        .certificates
        .insert("site.pem".to_owned(), vec!["www.voice.example.com".to_owned()]);
    for path in files("tests/tables") {
        let name = format!("tables/{}", path.file_name().unwrap().to_str().unwrap());
        environment = environment.with_file(&name, &read(&path));
    }
    environment
}

/// A small stand-in for the relay's own parser of flag strings.
pub(crate) fn check_flags(flags: &str) -> Vec<FlagProblem> {
    let mut problems = Vec::new();
    let mut position = 0;
    for token in flags.split(' ') {
        let problem = match token.split_once('=') {
            Some(("ICE", value)) if !["remove", "force", "force-relay", "optional"].contains(&value) => {
                Some(("expected remove, force, force-relay or optional", true))
            }
            None if token.contains("RTP/SAVPX") => Some(("expected a transport protocol", true)),
            None if token == "trust-adress" => Some(("unknown flag; did you mean `trust-address`?", false)),
            _ => None,
        };
        problems.extend(problem.map(|(problem, is_error)| FlagProblem {
            position,
            token: token.to_owned(),
            problem: problem.to_owned(),
            is_error,
        }));
        position += token.len() + 1;
    }
    problems
}

/// The files of a folder of this crate, sorted by name.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The text of a file.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file.
#[expect(
    clippy::disallowed_methods,
    reason = "expected texts are written when UPDATE_EXPECTED is set"
)]
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Whether expected texts are to be written instead of compared.
#[expect(clippy::disallowed_methods, reason = "a switch for whoever changes a text")]
pub(crate) fn updating() -> bool {
    std::env::var("UPDATE_EXPECTED").is_ok()
}
