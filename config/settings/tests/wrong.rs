//! Wrong files, and every word that is said about them.
//!
//! `wrong/NAME.yaml` is a gateway's file, `wrong/NAME.relay.yaml` a relay's, `wrong/NAME.conf` rtpengine's, and
//! `wrong/NAME.args` a command line with one argument on each line. `NAME.….txt` is what a user sees. After a change
//! of a text: `UPDATE_EXPECTED=1 cargo test -p viaduct-settings --test wrong`, and read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation here is a failed test"
)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{check_flags, environment, files, read, updating, write};
use viaduct_settings::{
    Code, Diagnostics, Invocation, load_gateway, load_relay, load_relay_conf, parse_args,
};

/// What is said about a wrong file, and the summary line.
fn run(path: &Path) -> Diagnostics {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = read(path);
    if name.ends_with(".args") {
        let args: Vec<String> = text.lines().map(str::to_owned).collect();
        return match parse_args(&args) {
            Ok(Invocation::Run(arguments)) => match arguments.settings(None) {
                Ok(loaded) => loaded.warnings,
                Err(found) => found,
            },
            Ok(other) => panic!("{name}: {other:?}"),
            Err(found) => found,
        };
    }
    if name.ends_with(".conf") {
        return load_relay_conf(name, &text, "rtpengine")
            .map_or_else(|found| found, |loaded| loaded.warnings);
    }
    if name.ends_with(".relay.yaml") {
        return load_relay(name, &text).map_or_else(|found| found, |loaded| loaded.warnings);
    }
    load_gateway(name, &text, &environment(), &check_flags)
        .map_or_else(|found| found, |loaded| loaded.warnings)
}

fn cases() -> Vec<std::path::PathBuf> {
    let mut cases = files("tests/wrong");
    cases.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    cases
}

#[test]
fn every_wrong_file_is_explained() {
    let mut failures = Vec::new();
    for path in cases() {
        let found = run(&path);
        let said = format!("{found}\n{}\n", found.summary());
        let expected_path =
            path.with_extension(format!("{}.txt", path.extension().unwrap().to_str().unwrap()));
        if updating() {
            write(&expected_path, &said);
        } else if read(&expected_path) != said {
            failures.push(format!("{}\n{said}", path.display()));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn there_are_enough_cases_and_each_is_wrong() {
    let cases = cases();
    assert!(cases.len() >= 30);
    for path in cases {
        assert!(!run(&path).is_empty(), "{}", path.display());
    }
}

/// A code that nothing produces is a promise in the documentation that nobody keeps.
#[test]
fn every_code_has_a_case() {
    let mut seen: BTreeSet<Code> = cases()
        .iter()
        .flat_map(|path| run(path).iter().map(|d| d.code).collect::<Vec<_>>())
        .collect();
    let huge = "#".repeat(5 << 20);
    let found = load_relay("f", &huge).unwrap_err();
    seen.extend(found.iter().map(|d| d.code));
    let found = viaduct_settings::decode_utf8("f", b"\xff").unwrap_err();
    seen.extend(found.iter().map(|d| d.code));
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn diagnostics_stand_in_the_order_of_the_file() {
    for path in cases() {
        let found = run(&path);
        let places: Vec<_> = found.iter().map(|d| d.place.clone()).collect();
        assert!(places.is_sorted(), "{}", path.display());
    }
}

#[test]
fn no_secret_of_any_case_is_ever_shown() {
    for path in cases() {
        let found = run(&path);
        for text in [
            found.to_string(),
            found.to_json().to_string(),
            format!("{found:?}"),
        ] {
            assert!(!text.contains("hunter2"), "{}\n{text}", path.display());
            assert!(
                !text.contains("banana") && !text.contains("apple pie"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn json_and_text_agree() {
    for path in cases() {
        let found = run(&path);
        let json = found.to_json();
        assert_eq!(json["errors"], found.errors());
        assert_eq!(json["warnings"], found.warnings());
        for (diagnostic, value) in found.iter().zip(json["diagnostics"].as_array().unwrap()) {
            assert_eq!(value["code"], diagnostic.code.as_str());
            assert_eq!(value["message"], diagnostic.message);
            let line = diagnostic.place.as_ref().map(|place| place.span.line);
            assert_eq!(value["line"], serde_json::json!(line));
        }
    }
}
