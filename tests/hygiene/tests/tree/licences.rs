//! Under which licences the things stand that Viaduct is built from. The list is deny.toml's.

use viaduct_hygiene::licence::satisfies;

use crate::{WORKSPACE, none, text_of, toml_of};

fn allowed() -> Vec<String> {
    let table = toml_of("deny.toml");
    let allowed = table["licenses"]["allow"].as_array().unwrap();
    allowed
        .iter()
        .map(|licence| licence.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_dependency_is_under_a_licence_of_the_list() {
    let allowed = allowed();
    assert!(WORKSPACE.packages.len() > 100, "{}", WORKSPACE.packages.len());
    let mut findings = Vec::new();
    for package in &WORKSPACE.packages {
        let name = format!("{} {}", package.name, package.version);
        match &package.licence {
            None => findings.push(format!("{name} names no licence")),
            Some(licence) => match satisfies(licence, &allowed) {
                Ok(true) => {}
                Ok(false) => findings.push(format!(
                    "{name} is under {licence}, which deny.toml does not allow"
                )),
                Err(error) => findings.push(format!("{name}: {error}")),
            },
        }
    }
    none(findings);
}

#[test]
fn the_texts_of_our_licences_are_there() {
    for (file, words) in [
        (
            "LICENSE-MIT",
            [
                "The Viaduct authors",
                "Permission is hereby granted, free of charge",
            ],
        ),
        (
            "LICENSE-APACHE",
            ["The Viaduct authors", "Version 2.0, January 2004"],
        ),
    ] {
        for word in words {
            assert!(text_of(file).contains(word), "{file} has no `{word}`");
        }
    }
}
