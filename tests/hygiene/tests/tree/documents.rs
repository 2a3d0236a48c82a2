//! Documents that point to something must point to something that is there.

use std::os::unix::fs::PermissionsExt;

use viaduct_hygiene::{markdown, tree};

use crate::{FILES, none, text_of};

#[test]
fn links_in_documents_lead_somewhere() {
    let documents: Vec<_> = FILES.iter().filter(|file| file.extension() == "md").collect();
    assert!(!documents.is_empty());
    let mut findings = Vec::new();
    for document in documents {
        let text = document.text().expect("documents are UTF-8");
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in markdown::relative_links(text) {
            let target = match link.strip_prefix('/') {
                Some(from_root) => tree::root().join(from_root),
                None => tree::root().join(folder).join(&link),
            };
            if !target.exists() {
                findings.push(format!("{} links to {link}, which is not there", document.path));
            }
        }
    }
    none(findings);
}

#[test]
fn the_readme_is_there_and_what_it_says_to_run_can_be_run() {
    let mut findings = Vec::new();
    for script in markdown::scripts(text_of("README.md")) {
        match std::fs::metadata(tree::root().join(&script)) {
            Err(_) => findings.push(format!("README.md names {script}, which is not there")),
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 == 0 => {
                findings.push(format!("README.md names {script}, which is not executable"));
            }
            Ok(_) => {}
        }
    }
    none(findings);
}
