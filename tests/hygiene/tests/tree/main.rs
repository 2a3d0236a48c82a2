//! The rules of this repository, each with its reason.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what cannot be read is a failed test"
)]

mod dependencies;
mod documents;
mod licences;
mod manifests;
mod sources;
mod texts;

use std::sync::LazyLock;

use viaduct_hygiene::tree::{self, File};
use viaduct_hygiene::workspace::Workspace;

/// The tree and cargo's answer do not change while the rules are read; each is asked for once.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| tree::files().unwrap());
static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| Workspace::load().unwrap());

/// The text of a file that must be there.
#[track_caller]
fn text_of(path: &str) -> &'static str {
    let file = FILES.iter().find(|file| file.path == path);
    let file = file.unwrap_or_else(|| panic!("{path} is missing"));
    file.text().unwrap_or_else(|| panic!("{path} is not UTF-8"))
}

/// A manifest, clippy.toml or deny.toml.
#[track_caller]
fn toml_of(path: &str) -> toml::Table {
    text_of(path)
        .parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with the findings, one a line.
#[track_caller]
fn none(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
