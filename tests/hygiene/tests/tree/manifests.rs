//! What every manifest of ours must say.

use viaduct_hygiene::workspace::Package;

use crate::{WORKSPACE, none, toml_of};

const LICENCE: &str = "MIT OR Apache-2.0";

/// Fields of `[package]` that have one value for the whole workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

fn manifest_of(member: &Package) -> toml::Table {
    toml_of(&format!(
        "{}/Cargo.toml",
        member.folder.as_deref().unwrap_or_default()
    ))
}

fn says_workspace(value: Option<&toml::Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

#[test]
fn every_crate_inherits_what_is_common() {
    let root = toml_of("Cargo.toml");
    let common = &root["workspace"]["package"];
    assert_eq!(
        (common["license"].as_str(), common["edition"].as_str()),
        (Some(LICENCE), Some("2024"))
    );
    let mut findings = Vec::new();
    for member in WORKSPACE.members() {
        let name = &member.name;
        let manifest = manifest_of(member);
        for field in INHERITED {
            if !says_workspace(manifest["package"].get(field)) {
                findings.push(format!("{name} does not take `{field}` from the workspace"));
            }
        }
        if member.licence.as_deref() != Some(LICENCE) || Some(&*member.edition) != common["edition"].as_str()
        {
            findings.push(format!(
                "{name} is under {:?}, edition {}",
                member.licence, member.edition
            ));
        }
        if manifest["package"].get("description").is_none() {
            findings.push(format!("{name} has no description"));
        }
        if !says_workspace(manifest.get("lints")) {
            findings.push(format!("{name} does not take its lints from the workspace"));
        }
    }
    none(findings);
}

/// One version of a dependency for all, chosen in one place. A crate that is alone in using something may name it itself.
#[test]
fn what_the_workspace_names_is_taken_from_there() {
    let root = toml_of("Cargo.toml");
    let common = root["workspace"]["dependencies"].as_table().unwrap();
    let mut findings = Vec::new();
    for member in WORKSPACE.members() {
        let manifest = manifest_of(member);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = manifest
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten();
            for (dependency, value) in dependencies.filter(|(name, _)| common.contains_key(*name)) {
                if !says_workspace(Some(value)) {
                    findings.push(format!("{} names its own {dependency}", member.name));
                }
            }
        }
    }
    none(findings);
}
