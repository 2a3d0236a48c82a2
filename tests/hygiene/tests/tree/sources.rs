//! What source files may not have.

use viaduct_hygiene::rust_source::code_only;
use viaduct_hygiene::tree::File;
use viaduct_hygiene::unsafe_code::unsafes;

use crate::{FILES, none};

/// Folders and files that may contain `unsafe`, with what for. Everything else is safe Rust.
const UNSAFE_IN: [(&str, &str); 8] = [
    (
        "mediarelay/src/prefault.rs",
        "what is asked of the kernel about the program's own memory",
    ),
    (
        "mediarelay/src/turns.rs",
        "two system calls that no library wraps",
    ),
    ("mediarelay/fax/src/spandsp.rs", "a library in C"),
    (
        "mediarelay/fax/tests/pages/machines.rs",
        "fax machines out of the same library",
    ),
    ("kmod-helper/src/abi.rs", "marks on what the kernel's tables hold"),
    (
        "kmod-helper/src/frames/",
        "memory and rings that the kernel shares",
    ),
    ("kmod-helper/src/shared_words.rs", "tables that the kernel shares"),
    (
        "mediarelay/tests/relay/steering.rs",
        "a system call that detaches a program of the relay's",
    ),
];

/// Lines that one source file may have.
const LINES_MAX: usize = 800;

/// What counts as source, by the ending of its name.
const SOURCE: [&str; 11] = [
    "rs", "c", "h", "js", "mjs", "ts", "css", "html", "py", "sh", "toml",
];

/// Written by others and kept as it came.
const VENDORED: [&str; 1] = ["proxy/web/assets/phone/vendor/"];

fn sources() -> impl Iterator<Item = &'static File> {
    let sources = || FILES.iter().filter(|file| is_source(file));
    assert!(sources().count() > 100);
    sources()
}

fn is_source(file: &File) -> bool {
    // Programs in `scripts/` have no ending.
    let is_program = file.octets.starts_with(b"#!");
    let is_vendored = VENDORED.iter().any(|folder| file.path.starts_with(folder));
    (is_program || SOURCE.contains(&file.extension())) && !is_vendored
}

/// Paths and texts.
fn rust_sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = sources().filter(|file| file.extension() == "rs");
    files.map(|file| (&*file.path, file.text().expect("Rust source is UTF-8")))
}

#[test]
fn no_source_file_is_long() {
    let lines = |file: &File| file.octets.iter().filter(|octet| **octet == b'\n').count();
    let long = sources().filter(|file| lines(file) > LINES_MAX);
    none(long.map(|file| format!("{} has {} lines, {LINES_MAX} are allowed", file.path, lines(file))));
}

#[test]
fn unsafe_is_explained_and_where_it_may_be() {
    let mut findings = Vec::new();
    for (path, source) in rust_sources() {
        for found in unsafes(source) {
            let line = found.line;
            if !found.is_explained {
                findings.push(format!(
                    "{path}:{line}: `unsafe` without a `// SAFETY:` comment directly above"
                ));
            }
            if !UNSAFE_IN.iter().any(|(folder, _)| path.starts_with(folder)) {
                findings.push(format!(
                    "{path}:{line}: `unsafe` in a place that UNSAFE_IN does not have"
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn an_ignored_test_says_why() {
    let mut findings = Vec::new();
    for (path, source) in rust_sources() {
        let code = code_only(source);
        for (at, line) in code.lines().enumerate() {
            let line: String = line.split_whitespace().collect();
            if line.contains("#[ignore]") || (line.contains("cfg_attr(") && line.contains(",ignore)")) {
                findings.push(format!("{path}:{}: #[ignore] without a reason", at + 1));
            }
        }
    }
    none(findings);
}
