//! The README shows configuration that works: its YAML, and the command line of the relay.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation here is a failed test"
)]

mod common;

use std::path::Path;

use common::{check_flags, environment, read};
use viaduct_settings::{Invocation, load_gateway, parse_args};

fn readme() -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"))
}

/// The texts of the code blocks in this language.
fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let found = markdown.split(fence.as_str()).skip(1);
    found.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_configuration_of_the_readme_has_no_mistakes() {
    let readme = readme();
    let blocks = blocks(&readme, "yaml");
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let mut environment = environment();
        for file in ["alice", "desk", "acme", "site.pem", "site.key"] {
            environment = environment.with_file(&format!("/etc/viaduct/{file}"), "kiwi-4711-lemon\n");
        }
        let loaded = load_gateway("README.md", block, &environment, &check_flags)
            .unwrap_or_else(|found| panic!("{found}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}

#[test]
fn the_command_line_of_the_readme_is_taken() {
    let readme = readme();
    let commands = blocks(&readme, "sh")
        .into_iter()
        .filter(|block| block.starts_with("viaduct-relay"));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 1);
    let words = commands[0].split_whitespace().filter(|word| *word != "\\");
    let arguments: Vec<String> = words.skip(1).map(str::to_owned).collect();
    let Invocation::Run(arguments) = parse_args(&arguments).unwrap() else {
        panic!("not a command to run")
    };
    let settings = arguments.settings(None).unwrap().settings;
    assert_eq!(settings.media.rtp_ports.first, 50_000);
    assert_eq!(settings.listen.len(), 2);
}
