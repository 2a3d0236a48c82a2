//! Who may depend on whom, as docs/architecture.md draws it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use viaduct_hygiene::dependencies::{Layer, unbridged, upward};
use viaduct_hygiene::workspace::Kind;

use crate::{WORKSPACE, none, text_of, toml_of};

/// From the top down. Crates of one layer know nothing of each other.
const LAYERS: [Layer<'static>; 9] = [
    Layer {
        what: "tests of the whole",
        crates: &[
            "viaduct-scenarios",
            "viaduct-hygiene",
            "viaduct-fuzz",
            "viaduct-bench",
        ],
    },
    Layer {
        what: "the virtual network",
        crates: &["viaduct-sim"],
    },
    Layer {
        what: "the gateway",
        crates: &["viaduct-proxy"],
    },
    Layer {
        what: "the relay's shell",
        crates: &["viaduct-mediarelay"],
    },
    Layer {
        what: "the way into the kernel",
        crates: &["viaduct-kmod-helper"],
    },
    Layer {
        what: "cores that decide",
        crates: &[
            "viaduct-routing",
            "viaduct-service",
            "viaduct-janus",
            "viaduct-session",
        ],
    },
    Layer {
        what: "cores that carry",
        crates: &[
            "viaduct-txn",
            "viaduct-trunk",
            "viaduct-resolve",
            "viaduct-forward",
        ],
    },
    Layer {
        what: "cores that read and write a protocol",
        crates: &[
            "viaduct-sip",
            "viaduct-ng",
            "viaduct-sdp",
            "viaduct-stun",
            "viaduct-rtp",
            "viaduct-dtls",
            "viaduct-clip",
            "viaduct-fax",
        ],
    },
    Layer {
        what: "leaves",
        crates: &["viaduct-web", "viaduct-settings"],
    },
];

const SIGNALLING: [&str; 8] = [
    "viaduct-proxy",
    "viaduct-web",
    "viaduct-routing",
    "viaduct-service",
    "viaduct-txn",
    "viaduct-trunk",
    "viaduct-resolve",
    "viaduct-sip",
];

const MEDIA: [&str; 11] = [
    "viaduct-mediarelay",
    "viaduct-janus",
    "viaduct-session",
    "viaduct-forward",
    "viaduct-ng",
    "viaduct-sdp",
    "viaduct-stun",
    "viaduct-rtp",
    "viaduct-dtls",
    "viaduct-clip",
    "viaduct-fax",
];

/// Where signalling reaches over to media. The other way there is nothing: the relay never reads SIP.
const BRIDGES: [(&str, &str); 6] = [
    // One process can be both.
    ("viaduct-proxy", "viaduct-mediarelay"),
    // NG values are how the halves talk.
    ("viaduct-proxy", "viaduct-ng"),
    ("viaduct-routing", "viaduct-ng"),
    // To know what an endpoint can do, never to rewrite.
    ("viaduct-routing", "viaduct-sdp"),
    // The built-in user agents are endpoints.
    ("viaduct-service", "viaduct-sdp"),
    ("viaduct-service", "viaduct-rtp"),
];

/// Edges that the layers would allow and the table of crates does not.
const REFUSED: [(&str, &str, &str); 1] = [(
    "viaduct-mediarelay",
    "viaduct-sdp",
    "the relay's shell parses no SDP",
)];

/// Crates without I/O.
const CORES: [&str; 17] = [
    "viaduct-sip",
    "viaduct-txn",
    "viaduct-trunk",
    "viaduct-resolve",
    "viaduct-routing",
    "viaduct-service",
    "viaduct-ng",
    "viaduct-sdp",
    "viaduct-stun",
    "viaduct-rtp",
    "viaduct-dtls",
    "viaduct-clip",
    "viaduct-fax",
    "viaduct-forward",
    "viaduct-janus",
    "viaduct-session",
    "viaduct-settings",
];

/// What opens sockets, waits, or talks to the kernel.
const WORLD: [&str; 5] = ["tokio", "mio", "socket2", "nix", "aya"];

/// What a core's clippy.toml must forbid at least.
const FORBIDDEN_IN_CORES: [&str; 8] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::net::UdpSocket::bind",
    "std::net::TcpListener::bind",
    "std::net::TcpStream::connect",
    "std::fs::File::open",
];

const ARCHITECTURE: &str = "docs/architecture.md";

/// A row of the table of crates.
#[derive(Debug)]
struct Row {
    name: String,
    folder: String,
    kind: String,
}

fn rows() -> Vec<Row> {
    let rows = text_of(ARCHITECTURE)
        .lines()
        .filter(|line| line.starts_with("| `viaduct-"));
    let rows = rows.map(|line| {
        let mut cells = line
            .split('|')
            .skip(1)
            .map(|cell| cell.trim().trim_matches('`').trim_end_matches('/'));
        let mut next = || cells.next().unwrap_or_default().to_owned();
        Row {
            name: next(),
            folder: next(),
            kind: next(),
        }
    });
    rows.collect()
}

#[test]
fn arrows_point_down() {
    let edges = WORKSPACE.edges();
    assert!(edges.len() > 10, "{edges:?}");
    none(upward(&LAYERS, edges.into_iter().map(|(from, to, _)| (from, to))));
}

#[test]
fn every_crate_stands_in_one_layer() {
    let places = |name: &str| LAYERS.iter().filter(|layer| layer.crates.contains(&name)).count();
    let misplaced = WORKSPACE.members().filter(|member| places(&member.name) != 1);
    none(misplaced.map(|member| format!("{} stands in {} layers", member.name, places(&member.name))));
    let is_member = |name: &&str| WORKSPACE.members().any(|member| member.name == *name);
    let gone = LAYERS
        .iter()
        .flat_map(|layer| layer.crates)
        .filter(|name| !is_member(name));
    none(gone.map(|name| format!("{name} stands in LAYERS and not in the workspace")));
}

#[test]
fn signalling_and_media_meet_at_ng() {
    let edges = WORKSPACE
        .edges()
        .into_iter()
        .filter(|(.., kinds)| kinds.contains(&Kind::Normal));
    let edges: Vec<(&str, &str)> = edges.map(|(from, to, _)| (from, to)).collect();
    let mut findings = Vec::new();
    for (from, to) in unbridged(&SIGNALLING, &MEDIA, &BRIDGES, edges.iter().copied()) {
        findings.push(format!("{from} depends on {to}: signalling and media meet at NG values only, and BRIDGES has no such edge"));
    }
    for (from, to) in unbridged(&MEDIA, &SIGNALLING, &[], edges.iter().copied()) {
        findings.push(format!("{from} depends on {to}: the relay never reads SIP"));
    }
    for (from, to, reason) in REFUSED {
        if edges.contains(&(from, to)) {
            findings.push(format!("{from} depends on {to}: {reason}"));
        }
    }
    for (from, to) in BRIDGES {
        if !edges.contains(&(from, to)) {
            findings.push(format!(
                "BRIDGES allows {from} to depend on {to}, which it does not"
            ));
        }
    }
    none(findings);
}

#[test]
fn cores_reach_nothing_that_does_io() {
    let mut findings = Vec::new();
    for core in CORES {
        assert!(
            WORKSPACE.members().any(|member| member.name == core),
            "{core} is in the workspace"
        );
        for world in WORLD {
            if let Some(way) = WORKSPACE.way(core, &[world]) {
                findings.push(format!(
                    "{core} is a core and depends on {world}: {}",
                    way.join(" → ")
                ));
            }
        }
    }
    // The same question has an answer where there is I/O, so silence above means something.
    assert!(WORKSPACE.way("viaduct-proxy", &["tokio"]).is_some());
    none(findings);
}

#[test]
fn cores_forbid_clocks_and_sockets() {
    let mut findings = Vec::new();
    for (file, forbidden) in forbidden_in_cores() {
        for missing in FORBIDDEN_IN_CORES.iter().filter(|path| !forbidden.contains(path)) {
            findings.push(format!("{file} does not forbid {missing}"));
        }
    }
    none(findings);
}

/// The files are copies: a list that is longer in one core is a rule that the others miss.
#[test]
fn cores_forbid_the_same() {
    let lists = forbidden_in_cores();
    // Randomness is left out: not every core depends on rand.
    let everything: BTreeSet<&str> = lists.iter().flat_map(|(_, list)| list).copied().collect();
    let everything: Vec<&str> = everything
        .into_iter()
        .filter(|path| path.starts_with("std::"))
        .collect();
    let mut findings = Vec::new();
    for (file, forbidden) in &lists {
        let missing = everything.iter().filter(|path| !forbidden.contains(path));
        findings.extend(missing.map(|path| format!("{file} does not forbid {path}, others do")));
    }
    none(findings);
}

/// The clippy.toml of every core, with the paths of its `disallowed-methods`.
fn forbidden_in_cores() -> Vec<(String, Vec<&'static str>)> {
    static TABLES: LazyLock<Vec<(String, toml::Table)>> = LazyLock::new(|| {
        let cores = WORKSPACE
            .members()
            .filter(|member| CORES.contains(&&*member.name));
        let files = cores.map(|core| format!("{}/clippy.toml", core.folder.as_deref().unwrap_or_default()));
        files.map(|file| (file.clone(), toml_of(&file))).collect()
    });
    assert_eq!(TABLES.len(), CORES.len());
    let paths = |table: &'static toml::Table| {
        let methods = table.get("disallowed-methods").and_then(toml::Value::as_array);
        methods.into_iter().flatten().filter_map(path_of).collect()
    };
    TABLES
        .iter()
        .map(|(file, table)| (file.clone(), paths(table)))
        .collect()
}

/// An entry is a path, or a table with a path and a reason.
fn path_of(entry: &toml::Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.get("path")?.as_str())
}

#[test]
fn the_table_of_crates_is_that_of_the_workspace() {
    let rows = rows();
    let mut findings = Vec::new();
    for member in WORKSPACE.members() {
        let folder = member.folder.as_deref().unwrap_or_default();
        let row = rows.iter().find(|row| row.name == member.name);
        match row {
            None if folder.starts_with("tests/") => {}
            None => findings.push(format!("{ARCHITECTURE} has no row for {}", member.name)),
            Some(row) if row.folder != folder => {
                findings.push(format!(
                    "{ARCHITECTURE} has {} in {}/, it is in {folder}/",
                    row.name, row.folder
                ));
            }
            Some(row) if row.kind == "core" && !CORES.contains(&&*row.name) => {
                findings.push(format!(
                    "{ARCHITECTURE} calls {} a core, CORES does not have it",
                    row.name
                ));
            }
            Some(row) if row.kind == "shell" && CORES.contains(&&*row.name) => {
                findings.push(format!("{ARCHITECTURE} calls {} a shell, CORES has it", row.name));
            }
            Some(_) => {}
        }
    }
    for row in rows
        .iter()
        .filter(|row| !WORKSPACE.members().any(|member| member.name == row.name))
    {
        findings.push(format!(
            "{ARCHITECTURE} has a row for {}, the workspace has no such crate",
            row.name
        ));
    }
    none(findings);
}
