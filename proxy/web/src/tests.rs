use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn text(asset: &Asset) -> &'static str {
    std::str::from_utf8(asset.bytes).unwrap()
}

/// The assets that we wrote ourselves, as text.
fn own_sources() -> impl Iterator<Item = (&'static Asset, &'static str)> {
    assets()
        .iter()
        .filter(|asset| !asset.path.contains("/vendor/"))
        .map(|asset| (asset, text(asset)))
}

/// Everything between `before` and `after` in `source`.
fn all_between<'a>(source: &'a str, before: &str, after: char) -> Vec<&'a str> {
    source
        .split(before)
        .skip(1)
        .filter_map(|rest| rest.split(after).next())
        .collect()
}

/// A relative module specifier, resolved against the module that imports it.
fn resolve(importer: &str, specifier: &str) -> String {
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => assert!(
                parts.pop().is_some(),
                "{specifier} in {importer} leaves the assets"
            ),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[test]
fn every_file_is_in_the_table_with_its_bytes() {
    let on_disk: BTreeSet<String> = files_below(&folder())
        .iter()
        .map(|file| {
            file.strip_prefix(folder())
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/")
        })
        .collect();
    let embedded: BTreeSet<String> = assets().iter().map(|asset| asset.path.to_owned()).collect();
    assert_eq!(on_disk, embedded);
    for asset in assets() {
        assert_eq!(
            fs::read(folder().join(asset.path)).unwrap(),
            asset.bytes,
            "{}",
            asset.path
        );
    }
}

#[test]
fn every_asset_is_found_under_its_own_url() {
    for asset in assets() {
        assert_eq!(lookup(&format!("/{}", asset.path)), Some(asset));
    }
}

#[test]
fn the_phone_page_is_the_start_page() {
    let page = lookup("/phone/index.html").unwrap();
    for url in ["/", "/phone", "/phone/"] {
        assert_eq!(lookup(url), Some(page), "{url}");
    }
}

#[test]
fn unknown_and_unsafe_paths_are_refused() {
    for url in ["", "phone/app.js", "/nothing.js", "/phone/APP.js"] {
        assert_eq!(lookup(url), None, "{url}");
    }
    let unsafe_urls = [
        "/..",
        "/../x",
        "/phone/../x",
        "/phone/./x",
        "//x",
        "/phone//x",
        "/.git/x",
        "/phone/%2e%2e/x",
        "/a\\b",
        "/c:/x",
        "/a\0",
        "/phone/ä",
    ];
    for url in unsafe_urls {
        assert_eq!(asset_path(url), None, "{url:?}");
    }
}

#[test]
fn every_type_is_known() {
    for asset in assets() {
        assert_ne!(asset.content_type, "application/octet-stream", "{}", asset.path);
    }
    assert_eq!(content_type("a.b/noending"), "application/octet-stream");
    assert_eq!(content_type("picture.svg"), "image/svg+xml");
}

#[test]
fn entity_tags_are_quoted_and_differ() {
    let tags: BTreeSet<&str> = assets().iter().map(|asset| asset.etag).collect();
    assert_eq!(tags.len(), assets().len());
    for tag in tags {
        let inner = tag
            .strip_prefix('"')
            .and_then(|tag| tag.strip_suffix('"'))
            .unwrap();
        assert!(
            !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{tag}"
        );
    }
}

#[test]
fn only_files_with_a_version_in_their_name_are_cached_for_good() {
    for asset in assets() {
        let versioned = asset.path.starts_with("phone/vendor/jssip-3.");
        assert_eq!(asset.cache.contains("immutable"), versioned, "{}", asset.path);
    }
}

#[test]
fn everything_that_a_page_refers_to_exists() {
    for (asset, source) in own_sources() {
        for attribute in ["src=\"", "href=\"", "url(\""] {
            let references = all_between(source, attribute, '"');
            for reference in references.iter().filter(|reference| !reference.starts_with('#')) {
                assert!(lookup(reference).is_some(), "{reference} in {}", asset.path);
            }
        }
        for quoted in all_between(source, "'/phone/", '\'') {
            assert!(
                lookup(&format!("/phone/{quoted}")).is_some(),
                "/phone/{quoted} in {}",
                asset.path
            );
        }
    }
}

#[test]
fn every_import_resolves_to_an_embedded_module() {
    let mut imports = 0;
    for (asset, source) in own_sources().filter(|(asset, _)| asset.path.ends_with(".js")) {
        for specifier in all_between(source, " from '", '\'') {
            let url = resolve(asset.path, specifier);
            let found = lookup(&url).unwrap_or_else(|| panic!("{specifier} in {} is missing", asset.path));
            assert_eq!(found.content_type, "text/javascript; charset=utf-8");
            imports += 1;
        }
        assert!(!source.contains("import("), "{} imports dynamically", asset.path);
    }
    assert!(imports > 20, "only {imports} imports were seen");
}

#[test]
fn every_module_is_reached_from_the_page() {
    let mut reached = BTreeSet::new();
    let mut open = vec!["/phone/app.js".to_owned()];
    while let Some(url) = open.pop() {
        let asset = lookup(&url).unwrap();
        if reached.insert(asset.path) && !asset.path.contains("/vendor/") {
            open.extend(
                all_between(text(asset), " from '", '\'')
                    .iter()
                    .map(|specifier| resolve(asset.path, specifier)),
            );
        }
    }
    let all: BTreeSet<&str> = assets()
        .iter()
        .map(|asset| asset.path)
        .filter(|path| path.ends_with(".js"))
        .collect();
    assert_eq!(reached, all);
}

#[test]
fn nothing_is_asked_from_elsewhere() {
    for (asset, source) in own_sources() {
        // Addresses in sources are namespaces, or built from the page's own location.
        for scheme in ["http://", "https://", "ws://", "wss://", "stun:", "turn:"] {
            for rest in source.split(scheme).skip(1) {
                let allowed = rest.starts_with("www.w3.org/2000/svg")
                    || rest.starts_with("${")
                    || rest.starts_with("localhost");
                assert!(
                    allowed,
                    "{scheme}{} in {}",
                    rest.chars().take(20).collect::<String>(),
                    asset.path
                );
            }
        }
    }
}

#[test]
fn the_page_keeps_to_its_content_security_policy() {
    let html = text(lookup("/").unwrap());
    assert!(
        !html.contains("<style") && !html.contains(" style="),
        "inline style"
    );
    assert!(
        all_between(html, "<script", '>')
            .iter()
            .all(|attributes| attributes.contains("src=")),
        "inline script"
    );
    assert!(
        all_between(html, " on", '=')
            .iter()
            .all(|name| !name.chars().all(|c| c.is_ascii_lowercase())),
        "inline handler"
    );
    for (asset, source) in own_sources().filter(|(asset, _)| asset.path.ends_with(".js")) {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ] {
            assert!(!source.contains(sink), "{sink} in {}", asset.path);
        }
    }
    let policy = content_security_policy();
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe") && !policy.contains("  "),
        "{policy}"
    );
}

#[test]
fn the_vendored_library_is_what_the_script_made() {
    let sums = include_str!("../vendor/SHA256SUMS");
    let mut listed = BTreeSet::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let asset = lookup(&format!("/phone/vendor/{name}")).unwrap();
        let actual: String = Sha256::digest(asset.bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            actual, sum,
            "{name} was changed by hand; run vendor/make-jssip.sh"
        );
        listed.insert(asset.path);
    }
    let vendored: BTreeSet<&str> = assets()
        .iter()
        .map(|asset| asset.path)
        .filter(|path| path.contains("/vendor/"))
        .collect();
    assert_eq!(listed, vendored);
}

#[test]
fn the_licences_of_all_bundled_packages_are_beside_the_library() {
    let licences = assets()
        .iter()
        .find(|asset| asset.path.ends_with("LICENSES.txt"))
        .map(text)
        .unwrap();
    let bundle = assets()
        .iter()
        .find(|asset| asset.path.contains("vendor/jssip-") && asset.path.ends_with(".js"))
        .map(text)
        .unwrap();
    for package in ["jssip", "debug", "events", "ms", "sdp-transform"] {
        assert!(
            licences
                .lines()
                .any(|line| line.starts_with(&format!("{package} "))),
            "{package}"
        );
    }
    assert_eq!(
        licences
            .matches("Permission is hereby granted, free of charge")
            .count(),
        5
    );
    assert!(bundle.starts_with("/* JsSIP "));
}
