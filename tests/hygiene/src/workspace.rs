//! What cargo knows: packages, and who depends on whom.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// Why a dependency is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// For the crate itself.
    Normal,
    /// For its build script.
    Build,
    /// For its tests, examples and benchmarks.
    Dev,
}

/// One package, ours or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The expression in its manifest.
    pub licence: Option<String>,
    /// The edition in its manifest.
    pub edition: String,
    /// Its folder from the root of the repository; `None` for those that are not ours.
    pub folder: Option<String>,
    /// What it depends on, with every reason, as positions in [`Workspace::packages`].
    pub dependencies: Vec<(usize, Vec<Kind>)>,
}

/// The packages of the workspace and everything they are built from, on this platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// In cargo's order.
    pub packages: Vec<Package>,
}

/// Why cargo's answer cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Cargo cannot be run.
    #[error("cannot run {program}: {cause}")]
    NotRun {
        /// Which program.
        program: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Cargo refuses: most often because Cargo.lock is behind the manifests.
    #[error("cargo says: {0}")]
    Refused(String),
    /// The answer has not the form that cargo documents.
    #[error("cargo metadata has no `{0}`")]
    Form(&'static str),
    /// The answer is no JSON.
    #[error("cargo metadata: {0}")]
    Json(#[from] serde_json::Error),
}

impl Workspace {
    /// Asks cargo, without network and without touching Cargo.lock.
    ///
    /// Only this platform's packages are asked for: those of others need not be on the machine.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub fn load() -> Result<Self, WorkspaceError> {
        let version = cargo(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or(WorkspaceError::Form("host"))?;
        let options = [
            "metadata",
            "--offline",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            host,
        ];
        Self::from_json(&serde_json::from_str(&cargo(&options)?)?)
    }

    /// Ours, in cargo's order.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.folder.is_some())
    }

    /// Every dependency of one of our packages on another of ours: from, to, and the reasons.
    pub fn edges(&self) -> Vec<(&str, &str, &[Kind])> {
        let edges = self
            .members()
            .flat_map(|from| from.dependencies.iter().map(move |edge| (from, edge)));
        let edges = edges.map(|(from, (to, kinds))| (from, &self.packages[*to], kinds));
        let ours = edges.filter(|(_, to, _)| to.folder.is_some());
        ours.map(|(from, to, kinds)| (&*from.name, &*to.name, &**kinds))
            .collect()
    }

    /// The shortest way from one of our packages to a package of one of these names, both ends included.
    ///
    /// What only tests use counts for the package itself and not for what it depends on, as in a build.
    pub fn way(&self, from: &str, to: &[&str]) -> Option<Vec<&str>> {
        let start = self.packages.iter().position(|package| package.name == from)?;
        let mut came_from = BTreeMap::from([(start, start)]);
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            if at != start && to.contains(&&*self.packages[at].name) {
                let mut way = vec![at];
                let mut at = at;
                while at != start {
                    at = came_from[&at];
                    way.push(at);
                }
                return Some(way.iter().rev().map(|at| &*self.packages[*at].name).collect());
            }
            for (next, kinds) in &self.packages[at].dependencies {
                let counts = at == start || kinds.iter().any(|kind| *kind != Kind::Dev);
                if counts && !came_from.contains_key(next) {
                    came_from.insert(*next, at);
                    queue.push_back(*next);
                }
            }
        }
        None
    }

    fn from_json(answer: &Value) -> Result<Self, WorkspaceError> {
        let list = |value: &'static str| answer[value].as_array().ok_or(WorkspaceError::Form(value));
        let members = list("workspace_members")?;
        let packages = list("packages")?;
        let ids = packages
            .iter()
            .map(|package| package["id"].as_str().unwrap_or_default());
        let positions: BTreeMap<&str, usize> = ids.enumerate().map(|(at, id)| (id, at)).collect();
        let mut read = Vec::new();
        for package in packages {
            let text = |key: &'static str| {
                package[key]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or(WorkspaceError::Form(key))
            };
            let is_member = members.contains(&package["id"]);
            read.push(Package {
                name: text("name")?,
                version: text("version")?,
                licence: package["license"].as_str().map(str::to_owned),
                edition: text("edition")?,
                folder: if is_member {
                    Some(folder_of(&text("manifest_path")?))
                } else {
                    None
                },
                dependencies: Vec::new(),
            });
        }
        let nodes = answer["resolve"]["nodes"]
            .as_array()
            .ok_or(WorkspaceError::Form("resolve"))?;
        for node in nodes {
            let position = |id: &Value| positions.get(id.as_str()?).copied();
            let from = position(&node["id"]).ok_or(WorkspaceError::Form("id"))?;
            for edge in node["deps"].as_array().ok_or(WorkspaceError::Form("deps"))? {
                let to = position(&edge["pkg"]).ok_or(WorkspaceError::Form("pkg"))?;
                let kinds = edge["dep_kinds"]
                    .as_array()
                    .ok_or(WorkspaceError::Form("dep_kinds"))?;
                let mut kinds: Vec<Kind> = kinds.iter().map(|kind| kind_of(&kind["kind"])).collect();
                kinds.sort();
                kinds.dedup();
                read[from].dependencies.push((to, kinds));
            }
        }
        Ok(Self { packages: read })
    }
}

fn kind_of(kind: &Value) -> Kind {
    match kind.as_str() {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    }
}

fn folder_of(manifest: &str) -> String {
    let folder = Path::new(manifest).parent().unwrap_or(Path::new(""));
    folder
        .strip_prefix(root())
        .unwrap_or(folder)
        .to_string_lossy()
        .into_owned()
}

fn cargo(options: &[&str]) -> Result<String, WorkspaceError> {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let output = Command::new(&program).args(options).current_dir(root()).output();
    let output = output.map_err(|cause| WorkspaceError::NotRun { program, cause })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(WorkspaceError::Refused(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `a` needs `b`; `b` needs `c` for its tests and `d` always.
    fn example() -> Workspace {
        let package = |name: &str| {
            let manifest = root().join(name).join("Cargo.toml");
            json!({ "id": name, "name": name, "version": "1.0.0", "edition": "2024", "license": "MIT", "manifest_path": manifest })
        };
        let edge = |name: &str, kinds: Value| json!({ "pkg": name, "dep_kinds": kinds });
        let always = || json!([{ "kind": null }]);
        let packages = ["a", "b", "c", "d"].map(package);
        let answer = json!({
            "workspace_members": ["a", "b"],
            "packages": packages,
            "resolve": { "nodes": [
                { "id": "a", "deps": [edge("b", always())] },
                { "id": "b", "deps": [edge("c", json!([{ "kind": "dev" }])), edge("d", always())] },
                { "id": "c", "deps": [] },
                { "id": "d", "deps": [] },
            ] },
        });
        Workspace::from_json(&answer).unwrap()
    }

    #[test]
    fn members_have_folders_and_edges() {
        let workspace = example();
        let folders: Vec<_> = workspace
            .packages
            .iter()
            .map(|package| package.folder.as_deref())
            .collect();
        assert_eq!(folders, [Some("a"), Some("b"), None, None]);
        assert_eq!(workspace.edges(), [("a", "b", &[Kind::Normal][..])]);
    }

    #[test]
    fn tests_of_others_are_not_on_the_way() {
        let workspace = example();
        assert_eq!(workspace.way("a", &["d"]), Some(vec!["a", "b", "d"]));
        assert_eq!(workspace.way("a", &["c"]), None);
        assert_eq!(workspace.way("b", &["c", "d"]), Some(vec!["b", "c"]));
        assert_eq!(workspace.way("a", &["a"]), None);
    }

    #[test]
    fn an_answer_of_another_form_is_refused() {
        assert!(Workspace::from_json(&json!({})).is_err());
    }
}
